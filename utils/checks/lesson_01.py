"""Checks of lesson 01: where packed sentences begin, a packed tensor cut apart, and the same one padded."""

import torch
from torch import Tensor

from .feedback import OFFSETS, Attempt, Mistakes, Unsolved, exercise, kind, plain, same, wrong_shape

LIST = "a list of tensors, one (length, dim) tensor per sentence"
MEANINGS = {
    "out of bounds for dimension 0": "n sentences have n + 1 offsets: range(len(offsets) - 1).",
    "out of bounds for dimension 1": "A slice has a colon: values[start:end].",
    "stack expects each tensor to be equal size": "Sentences differ in length: return a list, without torch.stack.",
}


@exercise(right="each sentence begins where the one before it ends, and the last offset is the end of all.")
def offsets_of(yours: Attempt) -> Mistakes:
    """Says whether lengths become offsets.

    Args:
        yours: takes ``lengths``, (sentences,) int64; returns (sentences + 1,) integers.

    References:
        Lesson 01.
    """
    for lengths, wanted in (([4, 1, 3], [0, 4, 5, 8]), ([2, 0, 5, 1, 1], [0, 2, 2, 7, 8, 9])):
        case = f"for the lengths {lengths}"
        offsets = yours(torch.tensor(lengths), wanted=f"a tensor of {len(wanted)} offsets", case=case)
        yield yours.changed(), "lengths itself was changed. Use cumsum, not cumsum_."
        whole = offsets.dtype in (torch.int64, torch.int32)
        yield not whole, f"your offsets are {offsets.dtype}; wanted int64, or int32: a long row has many places."
        numbers, got = offsets.tolist(), f"{case} you returned {offsets.tolist()}."
        yield numbers == wanted[1:], f"{got} The first sentence begins at 0, and these are the ends: put a 0 in front."
        yield numbers == wanted[:-1], f"{got} n sentences have n + 1 offsets: the last one is where the last one ends."
        yield numbers in (lengths, [0, *lengths]), f"{got} These are lengths. An offset is the sum of those before it."
        yield numbers != wanted, f"{got} Wanted {wanted}."


@exercise(right="three sentences of 4, 1 and 3 tokens, cut where the offsets say.", meanings=MEANINGS)
def unpack(yours: Attempt) -> Mistakes:
    """Says whether a packed tensor is cut into one tensor per sentence.

    Args:
        yours: takes ``values``, (total, dim) float, and ``offsets``, (sentences + 1,) int64; returns a list or tuple of
            (length, dim) tensors, one per sentence.

    References:
        Lesson 01.
    """
    values = torch.randn(8, 3, generator=torch.Generator().manual_seed(0))
    parts = _parts(yours.run(values, torch.tensor([0, 4, 5, 8]), wanted=LIST))
    lengths = [len(part) for part in parts]
    four = "you returned four tensors. Three sentences have four offsets; your"
    yield len(parts) == 4, f"{four} {'last' if lengths[:1] != [0] else 'first'} tensor is too many."
    yield len(parts) == 2, "one sentence is missing. The last offset, 8, is where the third sentence ends."
    yield lengths in ([0, 4, 5], [4, 5, 8]), f"your lengths are {lengths}. {OFFSETS}"
    yield lengths != [4, 1, 3], f"for offsets [0, 4, 5, 8] your lengths are {lengths}; wanted [4, 1, 3]."
    rows = "the lengths are right, but the rows are not the ones between two neighbouring offsets."
    yield not all(map(same, parts, values.split([4, 1, 3]))), rows
    two = _parts(yours.run(values[:5], torch.tensor([0, 0, 5]), wanted=LIST))
    lengths = [len(part) for part in two]
    yield (
        lengths != [0, 5],
        f"right for these; for offsets [0, 0, 5], with an empty sentence, your lengths are {lengths}.",
    )


def _parts(result) -> list[Tensor]:
    """The tensors that were returned, if it is a list of them."""
    if not isinstance(result, list | tuple):
        raise Unsolved(f"you returned {kind(result)}; wanted {LIST}.")
    parts = [plain(part, LIST) for part in result]
    for part in parts:
        if not isinstance(part, Tensor) or part.ndim != 2:
            raise Unsolved(f"you returned a {type(result).__name__} with {kind(part)} in it; wanted {LIST}.")
    return parts


SHAPES = {"stack expects each tensor to be equal size": "Sentences differ in length: fill zeros row by row."}


@exercise(right="as long as the longest sentence, with zeros behind the others.", meanings=SHAPES)
def to_padded(yours: Attempt) -> Mistakes:
    """Says whether a packed tensor is padded.

    Args:
        yours: takes ``values``, (total, dim) float, and ``offsets``, (sentences + 1,) int64; returns (sentences,
            longest, dim) of the dtype of the values, with zeros behind the tokens of a sentence.

    References:
        Lesson 01.
    """
    values = torch.randn(8, 3, generator=torch.Generator().manual_seed(0))
    for lengths in ([4, 1, 3], [0, 5]):
        offsets = torch.tensor([0, *lengths]).cumsum(0)
        packed, case = values[: offsets[-1]], f"for the offsets {offsets.tolist()}"
        wanted = torch.zeros(len(lengths), max(lengths), 3)
        for row, part in zip(wanted, packed.split(lengths), strict=True):
            row[: len(part)] = part
        shape = tuple(wanted.shape)
        padded = yours(packed, offsets, wanted=f"a tensor of shape {shape}", case=case)
        yield yours.changed(), "values or offsets was changed. Fill a new tensor."
        hints = {
            (len(lengths), len(packed), 3): "No sentence has as many tokens as all of them: pad to the longest.",
            (max(lengths), len(lengths), 3): "A row is a sentence: batch first.",
            2: "This is still packed. One row for each sentence, and in it one for each token.",
        }
        yield wrong_shape(padded, shape, hints, case=case)
        behind = torch.arange(max(lengths)) >= torch.tensor(lengths)[:, None]
        left = torch.stack([row.roll(max(lengths) - n, 0) for row, n in zip(wanted, lengths, strict=True)])
        yield padded.isnan().any(), f"{case} there is NaN. torch.empty holds anything: begin with torch.zeros."
        yield lengths != [0, 5] and same(padded, left), "the pads are in front. Wanted behind the tokens."
        filled = same(padded * ~behind[..., None], wanted) and not same(padded, wanted)
        yield filled, f"{case} the tokens are right, but what is behind them is not 0."
        yield not same(padded, wanted), f"{case} there are other tokens than those from one offset to the next."
