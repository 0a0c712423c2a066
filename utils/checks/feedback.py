"""How checks talk: they run the learner's function, and say what is right or what is not.

A check is a generator. For one possible mistake after the other it yields a pair: a wrong result, or whether the
mistake has been made; and the words for it. ``exercise`` makes of it what learners call, which says the words of the
first mistake that their function shows, or that the answer is right.
"""

from collections.abc import Callable, Iterator
from functools import update_wrapper

import torch
from torch import Tensor

OFFSETS = "An offset is a place, not a length: the length is the difference."
#: Words in torch's errors, and what they mean to a learner.
MEANINGS = {
    "boolean mask": "Make a bool mask first: attention_mask == 0.",
    "condition": "Make a bool mask first: attention_mask == 0.",
    "split_with_sizes": OFFSETS,
    "without overflow": "The number is too large for the dtype of the scores: ask torch.finfo(scores.dtype).min.",
    "not implemented for 'Bool'": "A product needs numbers: keep.float().",
    "tensor a (2) must match the size of tensor b (3)": "The padding lacks heads and queries: two None.",
}
NOT_TRIED = "Not tried yet. Write your answer in place of the ... and run the cell again."
NOTHING = "your function returned nothing. Is a return missing?"

Mistakes = Iterator[tuple[object, str]]


def yes(why: str) -> None:
    """Says that the answer is right."""
    print(f"Right: {why}")


def no(why: object) -> None:
    """Says that the answer is not right yet."""
    print(f"Not yet: {why}")


class Unsolved(Exception):
    """The answer is not right yet; the message says why."""


class NotTried(Exception):
    """The exercise is as it was."""


class Attempt:
    """The learner's function, and how it went when it was last called.

    Args:
        function: what the learner hands in; a function, we hope.

    Attributes:
        result: what it returned, of the type that was wanted.
        case: which of several cases that was, in words that begin the sentence about a mistake.
    """

    def __init__(self, function: Callable):
        self.function, self.result, self.case = function, None, ""
        self._inputs: list = []

    def __call__(self, *inputs, wanted: str, result_type=Tensor, shape: tuple = (), case: str = ""):
        """What the function returns, if it is of the right type.

        Args:
            inputs: what the function is called with; it gets copies of tensors.
            wanted: what it should return, in words.
            result_type: the type of that, or a union; unless it is Tensor, a tensor of one element is read as a value.
            shape: that of the tensor that is wanted; empty if it is looked at later, with words of its own.
            case: which of several cases this is, in words that begin the sentence about a wrong type.

        Raises:
            Unsolved: it returned something else, or nothing, or raised.
            NotTried: there is no function yet, or it is untouched.
        """
        result = self.run(*inputs)
        if result_type is not Tensor and isinstance(result, Tensor) and result.numel() == 1:
            result = bool(result) if result_type is bool else result.item()
        right_type = isinstance(result, result_type) and isinstance(result, bool) == (result_type is bool)
        if not right_type or (shape and result.shape != shape):
            raise Unsolved(f"{case} you returned {kind(result)}; wanted {wanted}.".strip())
        self.result = result
        return result

    def run(self, *inputs):
        """What the function returns, whatever it is.

        Args:
            inputs: what the function is called with; it gets copies of tensors.

        Raises:
            Unsolved: it returned nothing, or raised.
            NotTried: there is no function yet, or it is untouched.
        """
        if self.function is None or self.function is ...:
            raise NotTried
        if not callable(self.function):
            raise Unsolved(f"wanted your function itself, without calling it; got {kind(self.function)}.")
        copies = [value.clone() if isinstance(value, Tensor) else value for value in inputs]
        self._inputs = list(zip(inputs, copies, strict=True))
        try:
            with torch.no_grad():
                result = self.function(*copies)
        except Exception as error:
            hint = next((meaning for words, meaning in MEANINGS.items() if words in str(error)), "")
            shapes = ", ".join(str(tuple(value.shape)) for value in copies if isinstance(value, Tensor))
            received = f"inputs of shape {shapes}" if shapes else f"inputs {', '.join(map(str, inputs))}"
            why = f"your function raised {type(error).__name__}: {error} ({received}). {hint}"
            raise Unsolved(why.strip()) from error
        if result is None or result is ...:
            raise NotTried if untouched(self.function) else Unsolved(NOTHING)
        return result

    def changed(self, position: int | None = None) -> bool:
        """Whether the last call changed its inputs, or the one at a position."""
        pairs = self._inputs if position is None else [self._inputs[position]]
        return any(isinstance(value, Tensor) and not torch.equal(value, copy) for value, copy in pairs)

    def shows(self, mistake) -> bool:
        """Whether the last result shows a mistake.

        Args:
            mistake: a wrong result; or whether the mistake has been made, as a bool or a tensor without dimensions.
        """
        if isinstance(mistake, bool) or (isinstance(mistake, Tensor) and mistake.ndim == 0):
            return bool(mistake)
        return same(self.result, mistake)


def exercise(right: str) -> Callable[[Callable[[Attempt], Mistakes]], Callable[[Callable], None]]:
    """Makes a check of a generator of mistakes: it takes the learner's function, prints, and does not raise.

    Args:
        right: what to say if there is no mistake.
    """

    def decorate(mistakes: Callable[[Attempt], Mistakes]) -> Callable[[Callable], None]:
        def check(yours: Callable) -> None:
            attempt = Attempt(yours)
            try:
                for mistake, words in mistakes(attempt):
                    if attempt.shows(mistake):
                        raise Unsolved(f"{attempt.case} {words}".strip())
                yes(right)
            except NotTried:
                print(NOT_TRIED)
            except Unsolved as why:
                no(why)

        update_wrapper(check, mistakes, assigned=("__module__", "__name__", "__qualname__", "__doc__"))
        del vars(check)["__wrapped__"]  # help shows what learners call, not the generator
        return check

    return decorate


def wrong_shape(result: Tensor, shape: tuple, hints: dict | None = None, about: str = "", case: str = ""):
    """Whether a tensor has another shape than the right one, and the words for it.

    Args:
        result: what the learner's function returned.
        shape: the right one.
        hints: what a wrong shape comes from, by shape or by number of dimensions.
        about: words after the right shape.
        case: which of several cases this is, in words that begin the sentence.
    """
    hint = (hints or {}).get(tuple(result.shape), (hints or {}).get(result.ndim, ""))
    words = f"{case} your result has the shape {tuple(result.shape)}; wanted {shape}{about}. {hint}"
    return result.shape != shape, words.strip()


def untouched(function: Callable) -> bool:
    """Whether the body is still the ``...`` of the exercise, which compiles to as little as ``None`` does."""
    code = getattr(function, "__code__", None)
    return code is None or len(code.co_code) <= len((lambda: None).__code__.co_code)


def same(a, b) -> bool:
    """Whether two results are equal but for rounding: two numbers, or two tensors of one shape."""
    if isinstance(b, Tensor):
        return isinstance(a, Tensor) and a.shape == b.shape and torch.allclose(a.double(), b.double(), atol=1e-5)
    return abs(a - b) < 1e-6


def kind(value) -> str:
    """What a value is, in words."""
    return f"a tensor of shape {tuple(value.shape)}" if isinstance(value, Tensor) else f"a {type(value).__name__}"


def fault(visible) -> str:
    """What is wrong with a pair, after "the query": it sees the key and should not, or the other way round."""
    return "may see it and should not" if visible else "should see it and may not"
