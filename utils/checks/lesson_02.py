"""Checks of lessons 00 to 03: reading a mask, drawing one, padding and positions."""

from collections.abc import Callable

import torch
from torch import Tensor

from .. import masks
from .feedback import OFFSETS, call, close, kind, no, yes


def to_keep(yours: Callable[[Tensor], Tensor]) -> None:
    """Lesson 00: ``yours(key_padding_mask)`` turns (batch, k_len), True = ignore, into keep."""
    ignore = torch.tensor([[False, False, False, True], [False, True, True, True]])
    got = call(yours, ignore)
    if got is None:
        return
    if not isinstance(got, Tensor):
        return no(f"you returned {kind(got)}; wanted a bool tensor of shape (2, 1, 1, 4).")
    if got.dtype != torch.bool:
        return no(f"your result is {got.dtype}; keep is bool. Note that `~` needs a bool tensor too.")
    if got.shape != (2, 1, 1, 4):
        hint = " Two None between the batch and the keys do that." if got.shape == (2, 4) else ""
        return no(f"your result has the shape {tuple(got.shape)}; wanted (2, 1, 1, 4).{hint}")
    if torch.equal(got[:, 0, 0], ignore):
        return no("the shape is right, the polarity is not: MultiheadAttention ignores where True, keep keeps.")
    if not torch.equal(got[:, 0, 0], ~ignore):
        return no(f"got {got[:, 0, 0].tolist()} for the ignore mask {ignore.tolist()}.")
    yes("polarity turned round, and a shape that broadcasts over heads and queries.")


def left_to_right(lab, real: int) -> None:
    """Lesson 00: the mask in a ``MaskLab`` hides later keys and all but the first ``real`` ones."""
    length = len(getattr(lab, "query_tokens", ()))
    drawn(lab, masks.causal(length or 1) & (torch.arange(length or 1) < real))


def drawn(lab, wanted: Tensor) -> None:
    """The mask in a ``MaskLab`` is (q_len, k_len) ``wanted``, True = may attend."""
    keep = getattr(lab, "keep", None)
    if not isinstance(keep, Tensor) or keep.shape != wanted.shape:
        return no(f"wanted a MaskLab of {wanted.shape[0]} queries and {wanted.shape[1]} keys; got {kind(lab)}.")
    if keep.all():
        return print("Not tried yet. Click cells of the map after the mask, then run this cell again.")
    if torch.equal(keep, wanted):
        return yes(f"{int((~keep).sum())} of {keep.numel()} cells hidden, and just the right ones.")
    if torch.equal(keep, ~wanted):
        return no("you hid what should be visible, and the other way round.")
    if torch.equal(keep, wanted.mT):
        return no("rows and columns are exchanged. A row is a query, who looks; a column is a key, who is looked at.")
    wrong = (keep != wanted).nonzero()
    query, key = wrong[0].tolist()
    names = f"query {query} ({lab.query_tokens[query]}) and key {key} ({lab.key_tokens[key]})"
    what = "may see it and should not" if keep[query, key] else "should see it and may not"
    no(f"{len(wrong)} {'cell differs' if len(wrong) == 1 else 'cells differ'}. The first: {names}. The query {what}.")


def unpack(yours: Callable[[Tensor, Tensor], list[Tensor]]) -> None:
    """Lesson 01: ``yours(values, offsets)`` cuts (total, dim) values into one tensor per sentence."""
    values = torch.arange(24.0).view(8, 3)
    offsets = torch.tensor([0, 4, 5, 8])
    wanted = [values[0:4], values[4:5], values[5:8]]
    got = call(yours, values, offsets)
    if got is None:
        return
    if not isinstance(got, list | tuple) or not all(isinstance(part, Tensor) for part in got):
        return no(f"you returned {kind(got)}; wanted a list of tensors, one (length, dim) tensor per sentence.")
    lengths = [len(part) for part in got]
    if len(got) == 4:
        which = "first" if lengths[0] == 0 else "last"
        return no(f"you returned four tensors. Three sentences have four offsets; your {which} tensor is too many.")
    if len(got) == 2:
        return no("one sentence is missing. The last offset, 8, is where the third sentence ends.")
    if lengths in ([0, 4, 5], [4, 5, 8]):
        return no(f"your lengths are {lengths}. {OFFSETS}")
    if lengths != [4, 1, 3]:
        return no(f"for offsets [0, 4, 5, 8] your lengths are {lengths}; wanted [4, 1, 3].")
    if not all(torch.equal(a, b) for a, b in zip(got, wanted, strict=True)):
        return no("the lengths are right, but the rows are not the ones between two neighbouring offsets.")
    yes("three sentences of 4, 1 and 3 tokens, cut where the offsets say.")


def mean_pool(yours: Callable[[Tensor, Tensor], Tensor]) -> None:
    """Lesson 02: ``yours(hidden, attention_mask)`` averages (batch, seq, dim) over the real tokens only."""
    hidden = torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(0))
    attention_mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [0, 0, 0, 1, 1]])  # the last one is left-padded
    real = attention_mask[..., None]
    total, count = (hidden * real).sum(1), real.sum(1)
    first = torch.stack([row[:n].mean(0) for row, n in zip(hidden, count.flatten().tolist(), strict=True)])
    given = hidden.clone()
    got = call(yours, given, attention_mask)
    if got is None:
        return
    if not isinstance(got, Tensor):
        return no(f"you returned {kind(got)}; wanted a tensor of shape (3, 4), one vector per sentence.")
    if got.shape != total.shape:
        return no(f"your result has the shape {tuple(got.shape)}; wanted (3, 4), one vector per sentence.")
    if not torch.equal(given, hidden):
        return no(
            "hidden itself was changed, and whoever called you still needs it. Write hidden * ..., not hidden *= ..."
        )
    if close(got, hidden.mean(1)):
        return no("this is the plain mean: the padded positions are in it. Multiply them away first.")
    if close(got, total / hidden.shape[1]):
        return no("the sum is right, but you divided by the padded length 5, not by the number of real tokens.")
    if close(got, total):
        return no("this is the sum over the real tokens. Divide by how many there are.")
    if close(got[1:], ((hidden * (1 - real)).sum(1) / (1 - real).sum(1))[1:]):
        return no("the polarity is flipped: this is the mean over the pads. 1 in attention_mask means a real token.")
    if close(got, first):
        return no(
            "you took the first tokens of each row, as many as are real. The last sentence is padded on the left."
        )
    if not close(got, total / count):
        return no("the numbers differ from the mean over the real tokens. Try one sentence by hand.")
    empty = call(yours, hidden[:1].clone(), torch.zeros(1, 5, dtype=torch.long))
    if empty is None:
        return
    if not close(empty, torch.zeros(1, 4)):
        if not isinstance(empty, Tensor) or empty.shape != (1, 4):
            return no(f"right for these sentences. For one without real tokens you returned {kind(empty)}.")
        return no(
            "right for these sentences. A sentence without real tokens should give zeros; yours begins with "
            f"{empty.flatten()[0].item():.3g}. Its sum is 0 already, so clamp the count at 1."
        )
    yes("only real tokens count, and a sentence without any gives zeros, not NaN.")


def labels_for_loss(yours: Callable[[Tensor, Tensor], Tensor]) -> None:
    """Lesson 02: ``yours(input_ids, attention_mask)`` gives labels that a loss can use: -100 where padded."""
    input_ids = torch.tensor([[15, 50256, 27, 50256], [8, 9, 50256, 50256]])  # a real end-of-text, and padding
    attention_mask = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]])
    wanted = torch.tensor([[15, 50256, 27, 50256], [8, 9, -100, -100]])
    given = input_ids.clone()
    got = call(yours, given, attention_mask)
    if got is None:
        return
    if not isinstance(got, Tensor) or got.shape != wanted.shape:
        return no(f"you returned {kind(got)}; wanted a tensor of shape (2, 4), like input_ids.")
    if got.dtype != torch.long:
        return no(f"your labels are {got.dtype}; cross_entropy wants int64, like input_ids.")
    if not torch.equal(given, input_ids):
        return no("input_ids itself was changed, and the model still needs it. Use masked_fill, or clone first.")
    if torch.equal(got, input_ids.masked_fill(input_ids == 50256, -100)):
        return no("you looked for the pad id. Token 50256 is also a real end of text here: ask the attention_mask.")
    if torch.equal(got, input_ids.masked_fill(attention_mask == 1, -100)):
        return no("the polarity is flipped: 1 in attention_mask means a real token, and those keep their label.")
    if not torch.equal(got, wanted):
        return no(f"got {got.tolist()}; wanted {wanted.tolist()}.")
    yes("padding is -100, which cross_entropy skips, and the real end-of-text tokens keep their label.")


def next_positions(yours: Callable[[Tensor, int], Tensor]) -> None:
    """Lesson 03: ``yours(attention_mask, new)`` gives the places (batch, new) of tokens that are fed after a cache."""
    attention_mask = torch.tensor([[0, 0, 0, 1, 1], [1, 1, 1, 1, 1], [1, 1, 0, 0, 0]])  # left, none, right
    new = 2
    wanted = torch.tensor([[2, 3], [5, 6], [2, 3]])
    got = call(yours, attention_mask, new)
    if got is None:
        return
    if not isinstance(got, Tensor):
        return no(f"you returned {kind(got)}; wanted a tensor of shape (3, 2), a place for each new token.")
    if got.shape == (3, 1) and torch.equal(got, wanted[:, :1]):
        return no("right for one new token. There are two here: count on with torch.arange(new).")
    if got.shape != (3, 2):
        hint = " keepdim=True keeps the dimension to count along." if got.shape in ((3,), (2,)) else ""
        return no(f"your result has the shape {tuple(got.shape)}; wanted (3, 2), a place for each new token.{hint}")
    if got.is_floating_point():
        return no(f"your places are {got.dtype}; the model looks them up in a table, so they must be integers.")
    if torch.equal(got, torch.tensor([[5, 6]] * 3)):
        return no("these places count the pads too. Two rows have only two real tokens.")
    if torch.equal(got, wanted - 1):
        return no("one too low: n real tokens stand at the places 0 to n - 1, so the next one stands at n.")
    if torch.equal(got, wanted + 1):
        return no("one too high: n real tokens stand at the places 0 to n - 1, so the next one stands at n.")
    if not torch.equal(got, wanted):
        row = next(n for n in range(3) if not torch.equal(got[n], wanted[n]))
        return no(f"row {row}, with the mask {attention_mask[row].tolist()}: got {got[row].tolist()}.")
    yes("new tokens go on counting from the real ones, wherever the pads are.")


def last_real_logits(yours: Callable[[Tensor, Tensor], Tensor]) -> None:
    """Lesson 03: ``yours(logits, attention_mask)`` picks (batch, vocabulary) at the last real token of each row."""
    logits = torch.arange(4 * 5 * 3.0).view(4, 5, 3)
    attention_mask = torch.tensor([[0, 0, 0, 1, 1], [1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [0, 1, 1, 0, 0]])
    last = torch.tensor([4, 4, 1, 2])
    rows = torch.arange(4)
    got = call(yours, logits.clone(), attention_mask)
    if got is None:
        return
    if not isinstance(got, Tensor):
        return no(f"you returned {kind(got)}; wanted a tensor of shape (4, 3), one row of logits for each text.")
    if got.shape == (4,):
        return no("your result has one number for each text; wanted the whole row of logits there, (4, 3).")
    if got.shape != (4, 3):
        return no(f"your result has the shape {tuple(got.shape)}; wanted (4, 3), one row of logits for each text.")
    if close(got, logits[:, -1]):
        return no("this is logits[:, -1]: right for pads on the left only. The last two rows end with pads.")
    if close(got, logits[rows, attention_mask.sum(1) - 1]):
        return no("you counted the real tokens. That is the place only if the pads stand on the right.")
    if close(got, logits[rows, attention_mask.argmax(1)]):
        return no("these are the logits of the first real token. argmax takes the first of several largest values.")
    if close(got, logits[rows, attention_mask.sum(1).clamp(max=4)]):
        return no("one place too far: n tokens stand at the places 0 to n - 1.")
    if not close(got, logits[rows, last]):
        wrong = next(n for n in range(4) if not close(got[n], logits[n, last[n]]))
        return no(f"row {wrong}, with the mask {attention_mask[wrong].tolist()}, has its last real token elsewhere.")
    yes("the last real token of each row, with pads on the left, on the right and on both sides.")
