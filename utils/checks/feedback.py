"""How checks talk: they run the learner's function, and say what is right or what is not.

A check goes from one possible mistake to the next. The first that it meets goes to ``no``, which ends the check; one
that meets none ends with ``yes``. ``spoken`` makes sure that learners read the verdict and never see it raised.
"""

from collections.abc import Callable, Mapping
from functools import wraps
from typing import NoReturn

import torch
from torch import Tensor

OFFSETS = "An offset is a place, not a length: the length is the difference."
#: Words in torch's errors, and what they mean to a learner.
MEANS = {
    "boolean mask": "Make a bool mask first: attention_mask == 0.",
    "condition": "Make a bool mask first: attention_mask == 0.",
    "split_with_sizes": OFFSETS,
    "without overflow": "The number is too large for the dtype of the scores: ask torch.finfo(scores.dtype).min.",
    "not implemented for 'Bool'": "A product needs numbers: keep.float().",
    "tensor a (2) must match the size of tensor b (3)": "The padding lacks heads and queries: two None.",
}
NOT_TRIED = "Not tried yet. Write your answer in place of the ... and run the cell again."


class Unsolved(Exception):
    """Ends a check; its message is what the learner reads."""


def spoken(check: Callable[..., None]) -> Callable[..., None]:
    """The check as learners call it: it prints its verdict, and never raises it."""

    @wraps(check)
    def speaking(*args, **kwargs) -> None:
        try:
            check(*args, **kwargs)
        except Unsolved as verdict:
            print(verdict)

    return speaking


def yes(why: str) -> None:
    """Says that the answer is right. This is the last line of a check."""
    print(f"Right: {why}")


def no(why: str) -> NoReturn:
    """Ends the check: the answer is not right yet."""
    raise Unsolved(f"Not yet: {why}")


def call(yours: Callable, *inputs):
    """What the learner's function returns; ends the check if there is nothing to judge."""
    if yours is None or yours is ...:
        raise Unsolved(NOT_TRIED)
    if not callable(yours):
        no(f"wanted your function itself, without calling it; got {kind(yours)}.")
    try:
        with torch.no_grad():
            result = yours(*inputs)
    except Exception as error:
        hint = next((meaning for words, meaning in MEANS.items() if words in str(error)), "")
        shapes = ", ".join(str(tuple(value.shape)) for value in inputs if isinstance(value, Tensor))
        received = f"inputs of shape {shapes}" if shapes else f"inputs {', '.join(map(str, inputs))}"
        no(f"your function raised {type(error).__name__}: {error} ({received}). {hint}".strip())
    if result is None or result is ...:
        if untouched(yours):
            raise Unsolved(NOT_TRIED)
        no("your function returned nothing. Is a return missing?")
    return result


def answer(yours: Callable, *inputs, wanted: str, of=Tensor, shape: tuple = (), changed: str = "", case: str = ""):
    """What the learner's function returns, if it is of the right type.

    Args:
        yours: the learner's function.
        inputs: what it is called with; copies, if ``changed`` is given.
        wanted: what it should return, in words.
        of: the type of that, or a union of types. Where it is not Tensor, a tensor of one element is read as its value.
        shape: that of the tensor that is wanted; empty if it is looked at later, with words of its own.
        changed: what to say if it has changed one of its inputs; empty if that is not looked at.
        case: which of several cases this is, in words that begin the sentence.
    """
    copies = [value.clone() if changed and isinstance(value, Tensor) else value for value in inputs]
    result = call(yours, *copies)
    if of is not Tensor and isinstance(result, Tensor) and result.numel() == 1:
        result = bool(result) if of is bool else result.item()
    right_type = isinstance(result, of) and isinstance(result, bool) == (of is bool)
    if not right_type or (shape and result.shape != shape):
        no(f"{case} you returned {kind(result)}; wanted {wanted}.".strip())
    tensors = [pair for pair in zip(inputs, copies, strict=True) if isinstance(pair[0], Tensor)]
    if not all(torch.equal(value, copy) for value, copy in tensors):
        no(changed)
    return result


def require_shape(result: Tensor, shape: tuple, hints: Mapping | None = None, about: str = "", case: str = "") -> None:
    """Ends the check if the result has another shape.

    Args:
        result: a tensor.
        shape: the right one; ``about`` says what it is, after a comma.
        hints: what a wrong shape comes from, by shape or by number of dimensions.
        about: words after the right shape.
        case: which of several cases this is, in words that begin the sentence.
    """
    if result.shape != shape:
        hints = hints or {}
        hint = hints.get(tuple(result.shape), hints.get(result.ndim, ""))
        seen = f"{case} your result has the shape {tuple(result.shape)}"
        no(f"{seen}; wanted {shape}{about}. {hint}".strip())


def close(a, b: Tensor) -> bool:
    """Whether two tensors have the same shape and, but for rounding, the same numbers."""
    return isinstance(a, Tensor) and a.shape == b.shape and torch.allclose(a.double(), b.double(), atol=1e-5)


def refuse(result, *mistakes: tuple[object, str], same: Callable[..., bool] = close, case: str = "") -> None:
    """Ends the check at the first mistake that the result shows.

    Args:
        result: what the learner's function returned.
        mistakes: pairs of a wrong result, or of whether the mistake has been made, and the words for it.
        same: compares the result with a wrong one.
        case: which of several cases this is, in words that begin the sentence.
    """
    for wrong, words in mistakes:
        if wrong if isinstance(wrong, bool) else same(result, wrong):
            no(f"{case} {words}".strip())


def untouched(function: Callable) -> bool:
    """Whether the body is still the ``...`` of the exercise, which compiles to as little as ``None`` does."""
    code = getattr(function, "__code__", None)
    return code is None or len(code.co_code) <= len((lambda: None).__code__.co_code)


def kind(value) -> str:
    """What a value is, in words."""
    return f"a tensor of shape {tuple(value.shape)}" if isinstance(value, Tensor) else f"a {type(value).__name__}"


def seen(visible) -> str:
    """What is wrong with a pair, after "the query"; it is visible and should not be, or the other way round."""
    return "may see it and should not" if visible else "should see it and may not"
