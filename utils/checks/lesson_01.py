"""Check of lesson 01: a packed tensor, cut into its sentences."""

from collections.abc import Callable

import torch
from torch import Tensor

from .feedback import OFFSETS, call, kind, no, refuse, spoken, yes


@spoken
def unpack(yours: Callable[[Tensor, Tensor], list[Tensor]]) -> None:
    """Says whether a packed tensor is cut into one tensor per sentence.

    Args:
        yours: takes ``values``, (total, dim) float, and ``offsets``, (sentences + 1,) int64; returns a list or tuple of
            (length, dim) tensors, one per sentence.

    References:
        Lesson 01.
    """
    values = torch.arange(24.0).view(8, 3)
    parts = call(yours, values.clone(), torch.tensor([0, 4, 5, 8]))
    if not isinstance(parts, list | tuple) or not all(isinstance(part, Tensor) for part in parts):
        no(f"you returned {kind(parts)}; wanted a list of tensors, one (length, dim) tensor per sentence.")
    lengths = [len(part) for part in parts]
    if len(parts) == 4:
        which = "first" if lengths[0] == 0 else "last"
        no(f"you returned four tensors. Three sentences have four offsets; your {which} tensor is too many.")
    refuse(
        lengths,
        (len(parts) == 2, "one sentence is missing. The last offset, 8, is where the third sentence ends."),
        (lengths in ([0, 4, 5], [4, 5, 8]), f"your lengths are {lengths}. {OFFSETS}"),
        (lengths != [4, 1, 3], f"for offsets [0, 4, 5, 8] your lengths are {lengths}; wanted [4, 1, 3]."),
    )
    if not all(torch.equal(a, b) for a, b in zip(parts, values.split([4, 1, 3]), strict=True)):
        no("the lengths are right, but the rows are not the ones between two neighbouring offsets.")
    yes("three sentences of 4, 1 and 3 tokens, cut where the offsets say.")
