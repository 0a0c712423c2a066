"""Check of lesson 01: a packed tensor, cut into its sentences."""

import torch
from torch import Tensor

from .feedback import OFFSETS, Attempt, Mistakes, Unsolved, exercise, kind, plain, same

LIST = "a list of tensors, one (length, dim) tensor per sentence"
MEANINGS = {
    "out of bounds for dimension 0": "n sentences have n + 1 offsets: range(len(offsets) - 1).",
    "out of bounds for dimension 1": "A slice has a colon: values[start:end].",
    "stack expects each tensor to be equal size": "Sentences differ in length: return a list, without torch.stack.",
}


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
