"""Checks for the exercises. They talk to learners: what is right, what is not, and how it may have come about.

A check prints and never raises, so an exercise that nobody has touched does not stop "Run All".
"""

from collections.abc import Callable

import torch
from torch import Tensor

NOT_TRIED = "Not tried yet. Write your answer in place of the ... and run the cell again."


def unpack(yours: Callable[[Tensor, Tensor], list[Tensor]]) -> None:
    """Lesson 01: ``yours(values, offsets)`` cuts (total, dim) values into one tensor per sentence."""
    values = torch.arange(24.0).view(8, 3)
    offsets = torch.tensor([0, 4, 5, 8])
    wanted = [values[0:4], values[4:5], values[5:8]]
    got = _call(yours, values, offsets)
    if got is None:
        return
    if not isinstance(got, list | tuple) or not all(isinstance(part, Tensor) for part in got):
        return _no(f"you returned {_kind(got)}; wanted a list with one tensor per sentence.")
    lengths = [len(part) for part in got]
    if len(got) == len(wanted) + 1:
        return _no("you returned one tensor too many. n sentences have n + 1 offsets: the last one is an end only.")
    if len(got) == len(wanted) - 1:
        return _no("one sentence is missing. The last offset, 8, is where the third sentence ends.")
    if lengths == [0, 4, 5] or lengths == offsets[1:].tolist():
        return _no(f"your lengths are {lengths}. An offset is a place, not a length: the length is the difference.")
    if lengths != [4, 1, 3]:
        return _no(f"for offsets [0, 4, 5, 8] your lengths are {lengths}; wanted [4, 1, 3].")
    if not all(torch.equal(a, b) for a, b in zip(got, wanted, strict=True)):
        return _no("the lengths are right, but the rows are not the ones between two neighbouring offsets.")
    _yes("three sentences of 4, 1 and 3 tokens, cut where the offsets say.")


def mean_pool(yours: Callable[[Tensor, Tensor], Tensor]) -> None:
    """Lesson 02: ``yours(hidden, attention_mask)`` averages (batch, seq, dim) over the real tokens only."""
    hidden = torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(0))
    attention_mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [0, 0, 0, 1, 1]])
    wanted = torch.stack([row[m.bool()].mean(0) for row, m in zip(hidden, attention_mask, strict=True)])
    got = _call(yours, hidden, attention_mask)
    if got is None:
        return
    if not isinstance(got, Tensor):
        return _no(f"you returned {_kind(got)}; wanted a tensor of shape (3, 4), one vector per sentence.")
    if got.shape != wanted.shape:
        return _no(f"your result has the shape {tuple(got.shape)}; wanted (3, 4), one vector per sentence.")
    total = (hidden * attention_mask[..., None]).sum(1)
    if _close(got, hidden.mean(1)):
        return _no("this is the plain mean: the padded positions are in it. Multiply them away first.")
    if _close(got, total / hidden.shape[1]):
        return _no("the sum is right, but you divided by the padded length 5, not by the number of real tokens.")
    if _close(got, total):
        return _no("this is the sum over the real tokens. Divide by how many there are.")
    if not _close(got, wanted):
        return _no("the numbers differ from the mean over the real tokens. Try one sentence by hand.")
    empty = _call(yours, hidden[:1], torch.zeros(1, 5, dtype=torch.long))
    if empty is None:
        return
    if not bool(empty.isfinite().all()):
        return _no("right for these sentences. But a row without any real token gives 0 / 0: clamp the count at 1.")
    _yes("only real tokens count, and a row without any gives zeros, not NaN.")


def labels_for_loss(yours: Callable[[Tensor, Tensor], Tensor]) -> None:
    """Lesson 02: ``yours(input_ids, attention_mask)`` gives labels that a loss can use: -100 where padded."""
    input_ids = torch.tensor([[15, 50256, 27, 50256], [8, 9, 50256, 50256]])  # a real end-of-text, and padding
    attention_mask = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]])
    wanted = torch.tensor([[15, 50256, 27, 50256], [8, 9, -100, -100]])
    given = input_ids.clone()
    got = _call(yours, given, attention_mask)
    if got is None:
        return
    if not isinstance(got, Tensor) or got.shape != wanted.shape:
        return _no(f"you returned {_kind(got)}; wanted a tensor of shape (2, 4), like input_ids.")
    if not torch.equal(given, input_ids):
        return _no("input_ids itself was changed, and the model still needs it. Use masked_fill, or clone first.")
    if torch.equal(got, input_ids.masked_fill(input_ids == 50256, -100)):
        return _no("you looked for the pad id. Token 50256 is also a real end of text here: ask the attention_mask.")
    if torch.equal(got, input_ids.masked_fill(attention_mask == 1, -100)):
        return _no("the polarity is flipped: 1 in attention_mask means a real token, and those keep their label.")
    if not torch.equal(got, wanted):
        return _no(f"got {got.tolist()}; wanted {wanted.tolist()}.")
    _yes("padding is -100, which cross_entropy skips, and the real end-of-text tokens keep their label.")


def _call(yours: Callable, *inputs):
    """What the learner's function returns; None, with a message, if there is nothing to judge."""
    if yours is None or yours is ...:
        return print(NOT_TRIED)
    if not callable(yours):
        return _no(f"wanted your function itself, without calling it; got {_kind(yours)}.")
    try:
        with torch.no_grad():
            result = yours(*inputs)
    except Exception as error:
        shapes = ", ".join(str(tuple(value.shape)) for value in inputs)
        return _no(f"your function raised {type(error).__name__}: {error} (inputs of shape {shapes}).")
    if result is None or result is ...:
        return print(NOT_TRIED)
    return result


def _close(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and torch.allclose(a, b, atol=1e-5)


def _kind(value) -> str:
    return f"a tensor of shape {tuple(value.shape)}" if isinstance(value, Tensor) else f"a {type(value).__name__}"


def _yes(why: str) -> None:
    print(f"Right: {why}")


def _no(why: str) -> None:
    print(f"Not yet: {why}")
