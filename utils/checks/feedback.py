"""How checks talk: they run the learner's function, and print what is right or what is not."""

from collections.abc import Callable

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


def call(yours: Callable, *inputs):
    """What the learner's function returns; None, with a message, if there is nothing to judge."""
    if yours is None or yours is ...:
        return print(NOT_TRIED)
    if not callable(yours):
        return no(f"wanted your function itself, without calling it; got {kind(yours)}.")
    try:
        with torch.no_grad():
            result = yours(*inputs)
    except Exception as error:
        hint = next((means for words, means in MEANS.items() if words in str(error)), "")
        shapes = ", ".join(str(tuple(value.shape)) for value in inputs if isinstance(value, Tensor))
        given = f"inputs of shape {shapes}" if shapes else f"inputs {', '.join(map(str, inputs))}"
        return no(f"your function raised {type(error).__name__}: {error} ({given}). {hint}".strip())
    if result is None or result is ...:
        return print(NOT_TRIED if untouched(yours) else "Not yet: your function returned nothing. Is a return missing?")
    return result


def untouched(function: Callable) -> bool:
    """Whether the body is still the ``...`` of the exercise, which compiles to as little as ``None`` does."""
    code = getattr(function, "__code__", None)
    return code is None or len(code.co_code) <= len((lambda: None).__code__.co_code)


def close(a, b: Tensor) -> bool:
    return isinstance(a, Tensor) and a.shape == b.shape and torch.allclose(a.double(), b.double(), atol=1e-5)


def plain(got, as_type: Callable = lambda value: value):
    """A tensor of one element as the Python value that it holds; anything else as it is."""
    return as_type(got.item()) if isinstance(got, Tensor) and got.numel() == 1 else got


def kind(value) -> str:
    return f"a tensor of shape {tuple(value.shape)}" if isinstance(value, Tensor) else f"a {type(value).__name__}"


def yes(why: str) -> None:
    print(f"Right: {why}")


def no(why: str) -> None:
    print(f"Not yet: {why}")
