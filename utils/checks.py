"""Checks for the exercises. They talk to learners: what is right, what is not, and how it may have come about.

A check prints and never raises, so an exercise that nobody has touched does not stop "Run All".
"""

from collections.abc import Callable

import torch
from torch import Tensor

from utils import masks

OFFSETS = "An offset is a place, not a length: the length is the difference."
#: Words in torch's errors, and what they mean to a learner.
MEANS = {
    "boolean mask": "Make a bool mask first: attention_mask == 0.",
    "condition": "Make a bool mask first: attention_mask == 0.",
    "split_with_sizes": OFFSETS,
}
NOT_TRIED = "Not tried yet. Write your answer in place of the ... and run the cell again."


def to_keep(yours: Callable[[Tensor], Tensor]) -> None:
    """Lesson 00: ``yours(key_padding_mask)`` turns (batch, k_len), True = ignore, into keep."""
    ignore = torch.tensor([[False, False, False, True], [False, True, True, True]])
    got = _call(yours, ignore)
    if got is None:
        return
    if not isinstance(got, Tensor):
        return _no(f"you returned {_kind(got)}; wanted a bool tensor of shape (2, 1, 1, 4).")
    if got.dtype != torch.bool:
        return _no(f"your result is {got.dtype}; keep is bool. Note that `~` needs a bool tensor too.")
    if got.shape != (2, 1, 1, 4):
        hint = " Two None between the batch and the keys do that." if got.shape == (2, 4) else ""
        return _no(f"your result has the shape {tuple(got.shape)}; wanted (2, 1, 1, 4).{hint}")
    if torch.equal(got[:, 0, 0], ignore):
        return _no("the shape is right, the polarity is not: MultiheadAttention ignores where True, keep keeps.")
    if not torch.equal(got[:, 0, 0], ~ignore):
        return _no(f"got {got[:, 0, 0].tolist()} for the ignore mask {ignore.tolist()}.")
    _yes("polarity turned round, and a shape that broadcasts over heads and queries.")


def left_to_right(lab, real: int) -> None:
    """Lesson 00: the mask in a ``MaskLab`` hides later keys and all but the first ``real`` ones."""
    length = len(getattr(lab, "query_tokens", ()))
    drawn(lab, masks.causal(length or 1) & (torch.arange(length or 1) < real))


def drawn(lab, wanted: Tensor) -> None:
    """The mask in a ``MaskLab`` is (q_len, k_len) ``wanted``, True = may attend."""
    keep = getattr(lab, "keep", None)
    if not isinstance(keep, Tensor) or keep.shape != wanted.shape:
        return _no(f"wanted a MaskLab of {wanted.shape[0]} queries and {wanted.shape[1]} keys; got {_kind(lab)}.")
    if keep.all():
        return print("Not tried yet. Click cells of the map after the mask, then run this cell again.")
    if torch.equal(keep, wanted):
        return _yes(f"{int((~keep).sum())} of {keep.numel()} cells hidden, and just the right ones.")
    if torch.equal(keep, ~wanted):
        return _no("you hid what should be visible, and the other way round.")
    if torch.equal(keep, wanted.mT):
        return _no("rows and columns are exchanged. A row is a query, who looks; a column is a key, who is looked at.")
    wrong = (keep != wanted).nonzero()
    query, key = wrong[0].tolist()
    names = f"query {query} ({lab.query_tokens[query]}) and key {key} ({lab.key_tokens[key]})"
    what = "may see it and should not" if keep[query, key] else "should see it and may not"
    _no(f"{len(wrong)} {'cell differs' if len(wrong) == 1 else 'cells differ'}. The first: {names}. The query {what}.")


def unpack(yours: Callable[[Tensor, Tensor], list[Tensor]]) -> None:
    """Lesson 01: ``yours(values, offsets)`` cuts (total, dim) values into one tensor per sentence."""
    values = torch.arange(24.0).view(8, 3)
    offsets = torch.tensor([0, 4, 5, 8])
    wanted = [values[0:4], values[4:5], values[5:8]]
    got = _call(yours, values, offsets)
    if got is None:
        return
    if not isinstance(got, list | tuple) or not all(isinstance(part, Tensor) for part in got):
        return _no(f"you returned {_kind(got)}; wanted a list of tensors, one (length, dim) tensor per sentence.")
    lengths = [len(part) for part in got]
    if len(got) == 4:
        which = "first" if lengths[0] == 0 else "last"
        return _no(f"you returned four tensors. Three sentences have four offsets; your {which} tensor is too many.")
    if len(got) == 2:
        return _no("one sentence is missing. The last offset, 8, is where the third sentence ends.")
    if lengths in ([0, 4, 5], [4, 5, 8]):
        return _no(f"your lengths are {lengths}. {OFFSETS}")
    if lengths != [4, 1, 3]:
        return _no(f"for offsets [0, 4, 5, 8] your lengths are {lengths}; wanted [4, 1, 3].")
    if not all(torch.equal(a, b) for a, b in zip(got, wanted, strict=True)):
        return _no("the lengths are right, but the rows are not the ones between two neighbouring offsets.")
    _yes("three sentences of 4, 1 and 3 tokens, cut where the offsets say.")


def mean_pool(yours: Callable[[Tensor, Tensor], Tensor]) -> None:
    """Lesson 02: ``yours(hidden, attention_mask)`` averages (batch, seq, dim) over the real tokens only."""
    hidden = torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(0))
    attention_mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [0, 0, 0, 1, 1]])  # the last one is left-padded
    real = attention_mask[..., None]
    total, count = (hidden * real).sum(1), real.sum(1)
    first = torch.stack([row[:n].mean(0) for row, n in zip(hidden, count.flatten().tolist(), strict=True)])
    given = hidden.clone()
    got = _call(yours, given, attention_mask)
    if got is None:
        return
    if not isinstance(got, Tensor):
        return _no(f"you returned {_kind(got)}; wanted a tensor of shape (3, 4), one vector per sentence.")
    if got.shape != total.shape:
        return _no(f"your result has the shape {tuple(got.shape)}; wanted (3, 4), one vector per sentence.")
    if not torch.equal(given, hidden):
        return _no(
            "hidden itself was changed, and whoever called you still needs it. Write hidden * ..., not hidden *= ..."
        )
    if _close(got, hidden.mean(1)):
        return _no("this is the plain mean: the padded positions are in it. Multiply them away first.")
    if _close(got, total / hidden.shape[1]):
        return _no("the sum is right, but you divided by the padded length 5, not by the number of real tokens.")
    if _close(got, total):
        return _no("this is the sum over the real tokens. Divide by how many there are.")
    if _close(got[1:], ((hidden * (1 - real)).sum(1) / (1 - real).sum(1))[1:]):
        return _no("the polarity is flipped: this is the mean over the pads. 1 in attention_mask means a real token.")
    if _close(got, first):
        return _no(
            "you took the first tokens of each row, as many as are real. The last sentence is padded on the left."
        )
    if not _close(got, total / count):
        return _no("the numbers differ from the mean over the real tokens. Try one sentence by hand.")
    empty = _call(yours, hidden[:1].clone(), torch.zeros(1, 5, dtype=torch.long))
    if empty is None:
        return
    if not _close(empty, torch.zeros(1, 4)):
        if not isinstance(empty, Tensor) or empty.shape != (1, 4):
            return _no(f"right for these sentences. For one without real tokens you returned {_kind(empty)}.")
        return _no(
            "right for these sentences. A sentence without real tokens should give zeros; yours begins with "
            f"{empty.flatten()[0].item():.3g}. Its sum is 0 already, so clamp the count at 1."
        )
    _yes("only real tokens count, and a sentence without any gives zeros, not NaN.")


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
    if got.dtype != torch.long:
        return _no(f"your labels are {got.dtype}; cross_entropy wants int64, like input_ids.")
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
        hint = next((means for words, means in MEANS.items() if words in str(error)), "")
        shapes = ", ".join(str(tuple(value.shape)) for value in inputs)
        return _no(f"your function raised {type(error).__name__}: {error} (inputs of shape {shapes}). {hint}".strip())
    if result is None or result is ...:
        return print(
            NOT_TRIED if _untouched(yours) else "Not yet: your function returned nothing. Is a return missing?"
        )
    return result


def _untouched(function: Callable) -> bool:
    """Whether the body is still the ``...`` of the exercise, which compiles to as little as ``None`` does."""
    code = getattr(function, "__code__", None)
    return code is None or len(code.co_code) <= len((lambda: None).__code__.co_code)


def _close(a, b: Tensor) -> bool:
    return isinstance(a, Tensor) and a.shape == b.shape and torch.allclose(a.double(), b.double(), atol=1e-5)


def _kind(value) -> str:
    return f"a tensor of shape {tuple(value.shape)}" if isinstance(value, Tensor) else f"a {type(value).__name__}"


def _yes(why: str) -> None:
    print(f"Right: {why}")


def _no(why: str) -> None:
    print(f"Not yet: {why}")
