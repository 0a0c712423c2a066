"""How checks talk: they run the learner's function, and say what is right or what is not.

A check is a generator. For one possible mistake after the other it yields a pair: a wrong result, or whether the
mistake has been made; and the words for it. ``exercise`` makes of it what learners call, which says the words of the
first mistake that their function shows, or that the answer is right. With ``strict=True`` whatever is not right raises.
"""

import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import redirect_stderr
from functools import update_wrapper
from inspect import cleandoc
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

OFFSETS = "An offset is a place, not a length: the length is the difference."
BOOL = "`~`, `&` and `|` need bool tensors here: compare first, as in attention_mask == 1."
NUMBERS = "This needs numbers with a fraction: .float()."
ONE_NUMBER = "One number is wanted there, and you give a tensor of several: take one element, or do it for all at once."
SAME_DTYPE = "Both sides need one dtype: .float() makes numbers of a mask."
#: Words in an error, behind the name of its type, and the mistake that it is likely to come from. The first row that
#: fits is said.
MEANINGS = {
    "Error: function: got": "Give it a tensor of the shape of x, or several texts of that shape.",
    "NameError": "Is it misspelled, or made in a cell that has not been run?",
    "boolean mask": "Make a bool mask first: attention_mask == 0.",
    "condition": "Make a bool mask first: attention_mask == 0.",
    "Boolean value of Tensor": "and, or, not and if want one True or False. Between tensors write &, | and ~.",
    "split_with_sizes": OFFSETS,
    "without overflow": "The number is too large for the dtype of the scores: ask torch.finfo(scores.dtype).min.",
    "on integer and Boolean-type": BOOL,
    "bitwise": BOOL,
    "not implemented for 'Bool'": "A product needs numbers: keep.float().",
    "not implemented for 'Long'": NUMBERS,
    "mean(): could not infer output dtype": NUMBERS,
    "with a bool tensor is not supported": "A bool tensor is inverted with `~`.",
    "on a bool tensor is not supported": "A bool tensor is inverted with `~`.",
    "expected scalar type": SAME_DTYPE,
    "to have the same dtype": SAME_DTYPE,
    "to have same dtype": SAME_DTYPE,
    "must match the existing size": "expand repeats dimensions of size 1 only. Which is of another size?",
    "number of sizes provided": "expand wants a size for each dimension; -1 leaves one as it is.",
    "must match the size": "Sizes are compared from the last dimension on. Is one missing? Indexing with None adds it.",
    "Expected size for first two dimensions": "The sizes of a product do not fit: (…, n, m) @ (…, m, k).",
    "shapes cannot be multiplied": "The sizes of a product do not fit: (…, n, m) @ (…, m, k).",
    "out of bounds": "A dimension of size n has the indices 0 to n - 1. Is yours one too far, or of another dimension?",
    "too many indices": "The tensor has fewer dimensions than your index. Indexing with None adds one.",
    "Dimension out of range": "A tensor of n dimensions has dim=0 to dim=n - 1; dim=-1 is the last.",
    "is invalid for input of size": "view and reshape keep the number of elements. Is a dimension missing?",
    "view size is not compatible": "Write reshape or flatten in place of view.",
    "stack expects each tensor to be equal size": "torch.stack wants tensors of one shape.",
    "a single element can be converted": ONE_NUMBER,
    "one element tensors can be converted": ONE_NUMBER,
    "cannot be converted to Scalar": ONE_NUMBER,
    "must be Number, not Tensor": ONE_NUMBER,
    "invalid combination of arguments": "An argument is of another type than wanted, such as a tensor for a number.",
    "must be torch.dtype": "It asks for a dtype: scores.dtype, not scores.",
    "does not require grad": "Nothing in it asks for a gradient. Begin with x.clone().requires_grad_().",
    "call numpy() on": "numpy knows no gradients: stay in torch.",
    "leaf Variable": "An operation in place, with an underscore or +=, changes what came in. Write it without.",
    "single memory location": "An expanded tensor cannot be changed in place: clone it first.",
    "cast to the desired output type": "In place, a tensor keeps its dtype. Make a new one.",
    "argument": "Compare the arguments with the first line of the exercise, and with the help of what you call.",
    "unsupported operand": "One side is no tensor and no number. torch.arange, not range?",
    "has no attribute": "It is misspelled, or what is before the dot has another type than you think.",
    "ZeroDivisionError": "Which of your numbers is 0 here?",
}
ELSE = "Call it on inputs of this kind yourself, line by line."
#: To who takes a gradient where a layer norm hides it.
WEIGH = "The sum over the outputs of a layer norm never changes, so its gradient is 0: weight them unevenly first."
NOT_TRIED = "Not tried yet. Write your answer in its place, run that cell, and then this one again."
NOTHING = "your function returned nothing. Is a return missing?"

#: What the help of every check says of its last argument.
STRICT = """
    strict: whether to raise if the answer is not right, for those who grade.

Raises:
    NotSolved: it is not right, or not there, and the check is strict."""

Mistakes = Iterator[tuple[object, str]]


class Unsolved(Exception):
    """The answer is not right yet; the message says why."""


class NotTried(Exception):
    """The exercise is as it was; the message, if there is one, says what to do."""


class NotSolved(AssertionError):
    """What a strict check raises: its message is the words that another check prints.

    References:
        Every lesson; nbgrader gives no points where a cell raises,
        https://nbgrader.readthedocs.io/en/stable/user_guide/creating_and_grading_assignments.html
    """

    def _render_traceback_(self) -> list[str]:
        """What IPython shows of it: the words alone, since the calls that led here are none of the learner's."""
        return [str(self)]


class Check(Protocol):
    """What learners call: it prints, and if it is strict, it raises ``NotSolved`` unless the answer is right."""

    def __call__(self, yours: Callable, *, strict: bool = False) -> None: ...


def speak(judge: Callable[[], str], strict: bool) -> None:
    """Prints whether an answer is right; or raises.

    Args:
        judge: returns why the answer is right.
        strict: whether to raise if it is not, for those who grade. Then nothing is written to stderr, where a warning
            would cost a right answer its points.

    Raises:
        NotSolved: the answer is not right, or not there, and the check is strict.
    """
    with redirect_stderr(sys.stdout if strict else sys.stderr):
        try:
            words, right = f"Right: {judge()}", True
        except NotTried as untried:
            words, right = str(untried) or NOT_TRIED, False
        except Unsolved as why:
            words, right = f"Not yet: {why}", False
        if strict and not right:
            raise NotSolved(words) from None
        print(words)


class Attempt:
    """The learner's function, and how it went when it was last called.

    Args:
        function: what the learner hands in; a function, we hope.
        meanings: words in an error, and the mistake that they mean in this exercise; looked at before ``MEANINGS``.

    Attributes:
        result: what it returned, of the type that was wanted.
        case: which of several cases that was, in words that begin the sentence about a mistake.
    """

    def __init__(self, function: Callable, meanings: dict[str, str] | None = None):
        self.function, self.result, self.case = function, None, ""
        self._meanings = [*(meanings or {}).items(), *MEANINGS.items()]
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
        result = self.run(*inputs, wanted=wanted, case=case)
        if result_type is not Tensor and isinstance(result, Tensor) and result.numel() == 1:
            result = bool(result) if result_type is bool else result.item()
        right_type = isinstance(result, result_type) and isinstance(result, bool) == (result_type is bool)
        if not right_type or (shape and result.shape != shape):
            raise Unsolved(f"{case} you returned {kind(result)}; wanted {wanted}.".strip())
        self.result = result
        return result

    def run(self, *inputs, wanted: str, case: str = ""):
        """What the function returns, whatever it is; of a tensor its numbers, without a gradient and on the CPU.

        Args:
            inputs: what the function is called with; it gets copies of tensors.
            wanted: what it should return, in words.
            case: which of several cases this is, in words that begin the sentence about another kind of result.

        Raises:
            Unsolved: it returned nothing, or a tensor that nothing can be compared with, or raised.
            NotTried: there is no function yet, or it is untouched.
        """
        if self.function is None or self.function is ...:
            raise NotTried
        if not callable(self.function):
            raise Unsolved(f"wanted your function itself, without calling it; got {kind(self.function)}.")
        copies = [value.clone() if isinstance(value, Tensor) else value for value in inputs]
        self._inputs = list(zip(inputs, copies, strict=True))
        try:
            result = self.function(*copies)
        except NotImplementedError as error:
            if not error.args:  # raised by who wants to write it later
                raise NotTried from None
            raise Unsolved(self._words(error, copies)) from error
        except Exception as error:
            raise Unsolved(self._words(error, copies)) from error
        if result is None or result is ...:
            raise NotTried if untouched(self.function) else Unsolved(NOTHING)
        return plain(result, wanted, case)

    def _words(self, error: Exception, inputs: list) -> str:
        """What was raised, on which inputs, and the likely mistake."""
        text = f"{type(error).__name__}: {error}"
        hint = next((meaning for words, meaning in self._meanings if words in text), ELSE)
        shapes = ", ".join(str(tuple(value.shape)) for value in inputs if isinstance(value, Tensor))
        received = f"inputs of shape {shapes}" if shapes else f"inputs {', '.join(map(str, inputs))}"
        first = text.splitlines()[0]  # torch goes on with all the forms that a function takes
        return f"your function raised {first} ({received}).\n{hint}"

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


def exercise(right: str, meanings: dict[str, str] | None = None) -> Callable[[Callable[[Attempt], Mistakes]], Check]:
    """Makes a check of a generator of mistakes: it takes the learner's function, prints, and raises only if asked to.

    Args:
        right: what to say if there is no mistake.
        meanings: words in an error that the learner's function raises, and the mistake that they mean here.
    """

    def decorate(mistakes: Callable[[Attempt], Mistakes]) -> Check:
        def judged(yours: Callable) -> str:
            attempt = Attempt(yours, meanings)
            try:
                for mistake, words in mistakes(attempt):
                    if attempt.shows(mistake):
                        raise Unsolved(f"{attempt.case} {words}".strip())
            except (NotTried, Unsolved):
                raise
            except Exception as error:  # an answer of a kind that nobody thought of
                result = kind(attempt.result)
                raise Unsolved(f"{result} could not be compared: {type(error).__name__}: {error}") from error
            return right

        def check(yours: Callable, *, strict: bool = False) -> None:
            speak(lambda: judged(yours), strict)

        update_wrapper(check, mistakes, assigned=("__module__", "__name__", "__qualname__"))
        del vars(check)["__wrapped__"]  # help shows what learners call, not the generator
        check.__doc__ = cleandoc(mistakes.__doc__ or "").replace("\n\nReferences:", f"{STRICT}\n\nReferences:")
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
    """Whether two results are equal but for the rounding of their dtype: two numbers, or two tensors of one shape."""
    if isinstance(b, Tensor):
        if not isinstance(a, Tensor) or a.shape != b.shape:
            return False
        rounding = 4 * torch.finfo(a.dtype).eps if a.is_floating_point() else 0
        return torch.allclose(a.double(), b.double(), rtol=max(rounding, 1e-5), atol=max(rounding, 1e-5))
    return abs(a - b) < 1e-6


def plain(result, wanted: str, case: str = ""):
    """The result without a gradient and on the CPU, if it is a tensor, and Python's own number for one of numpy.

    Args:
        result: what a learner's function returned.
        wanted: what it should return, in words.
        case: which of several cases this is, in words that begin the sentence.

    Raises:
        Unsolved: a tensor that others cannot be compared with: sparse, nested, masked, complex, of eight bits, or
            without numbers in it.
    """
    if isinstance(result, np.generic):
        return result.item()
    if not isinstance(result, Tensor):
        return result
    usual = type(result) in (Tensor, torch.nn.Parameter) and result.layout == torch.strided and not result.is_nested
    narrow = result.is_floating_point() and result.itemsize < 2
    if not usual or result.is_meta or result.is_complex() or narrow:
        raise Unsolved(f"{case} you returned {kind(result)}; wanted {wanted}.".strip())
    return result.detach().cpu()


def kind(value) -> str:
    """What a value is, in words."""
    if isinstance(value, Generator):
        return "a generator, as yield makes it"
    if not isinstance(value, Tensor):
        return f"a {type(value).__name__}"
    if value.is_nested or type(value) not in (Tensor, torch.nn.Parameter):
        return f"a {'nested tensor' if value.is_nested else type(value).__name__}, not a plain tensor"
    if value.layout != torch.strided:
        return f"a sparse tensor of shape {tuple(value.shape)}"
    if value.is_meta:
        return f"a tensor without numbers (device meta) of shape {tuple(value.shape)}"
    plain_dtype = not value.is_complex() and (value.itemsize > 1 or not value.is_floating_point())
    return f"a tensor of shape {tuple(value.shape)}" + ("" if plain_dtype else f" of {value.dtype}")


def require_vectors(x, shape: tuple, why: str = "") -> None:
    """Refuses what a function that the learner is given cannot read, before something inside it fails.

    Args:
        x: what the learner calls the function with; a tensor of the shape, we hope.
        shape: that of one text, with a word for a size that is free; several texts at once will do.
        why: words after the shape.

    Raises:
        TypeError: it is not a tensor.
        ValueError: it is of another shape.
    """
    if not isinstance(x, Tensor):
        raise TypeError(f"function: got {kind(x)}, wanted a tensor.")
    fits = x.ndim == len(shape) and all(
        size == wanted for size, wanted in zip(x.shape[1:], shape[1:], strict=True) if isinstance(wanted, int)
    )
    if not fits:
        wanted = f"({', '.join(map(str, shape))})"
        raise ValueError(f"function: got the shape {tuple(x.shape)}, wanted {wanted}. {why}".strip())


def fault(visible) -> str:
    """What is wrong with a pair, after "the query": it sees the key and should not, or the other way round."""
    return "may see it and should not" if visible else "should see it and may not"
