"""Check of lesson 01: a packed tensor, cut into its sentences."""

import torch
from torch import Tensor

from .feedback import OFFSETS, Attempt, Mistakes, exercise, kind


@exercise(right="three sentences of 4, 1 and 3 tokens, cut where the offsets say.")
def unpack(yours: Attempt) -> Mistakes:
    """Says whether a packed tensor is cut into one tensor per sentence.

    Args:
        yours: takes ``values``, (total, dim) float, and ``offsets``, (sentences + 1,) int64; returns a list or tuple of
            (length, dim) tensors, one per sentence.

    References:
        Lesson 01.
    """
    values = torch.arange(24.0).view(8, 3)
    parts = yours.run(values, torch.tensor([0, 4, 5, 8]))
    other = not isinstance(parts, list | tuple) or not all(isinstance(part, Tensor) for part in parts)
    yield other, f"you returned {kind(parts)}; wanted a list of tensors, one (length, dim) tensor per sentence."
    lengths = [len(part) for part in parts]
    four = "you returned four tensors. Three sentences have four offsets; your"
    yield len(parts) == 4, f"{four} {'last' if lengths[:1] != [0] else 'first'} tensor is too many."
    yield len(parts) == 2, "one sentence is missing. The last offset, 8, is where the third sentence ends."
    yield lengths in ([0, 4, 5], [4, 5, 8]), f"your lengths are {lengths}. {OFFSETS}"
    yield lengths != [4, 1, 3], f"for offsets [0, 4, 5, 8] your lengths are {lengths}; wanted [4, 1, 3]."
    rows = "the lengths are right, but the rows are not the ones between two neighbouring offsets."
    yield not all(map(torch.equal, parts, values.split([4, 1, 3]))), rows
