"""Checks of lesson 00: from the mask of an API to keep, and a mask drawn by hand."""

import torch
from torch import Tensor

from .. import masks
from .feedback import Attempt, Mistakes, exercise, fault, kind, no, wrong_shape, yes


@exercise(right="polarity turned round, and a shape that broadcasts over heads and queries.")
def to_keep(yours: Attempt) -> Mistakes:
    """Says whether a key padding mask becomes a keep.

    Args:
        yours: takes ``key_padding_mask``, (batch, k_len) bool, True = ignore; returns (batch, 1, 1, k_len) bool,
            True = may attend.

    References:
        Lesson 00.
    """
    ignore = torch.tensor([[False, False, False, True], [False, True, True, True]])
    keep = yours(ignore, wanted="a bool tensor of shape (2, 1, 1, 4)")
    yield keep.dtype != torch.bool, f"your result is {keep.dtype}; keep is bool. Note that `~` needs a bool tensor too."
    yield wrong_shape(keep, (2, 1, 1, 4), {(2, 4): "Two None between the batch and the keys do that."})
    polarity = "the shape is right, the polarity is not: MultiheadAttention ignores where True, keep keeps."
    yield ignore[:, None, None], polarity
    other = not torch.equal(keep[:, 0, 0], ~ignore)
    yield other, f"got {keep[:, 0, 0].tolist()} for the ignore mask {ignore.tolist()}."


def left_to_right(lab, real: int, prompt: int = 0) -> None:
    """Says whether the mask that is drawn in a widget hides the pads, and later keys but for those of a prompt.

    Args:
        lab: a ``widgets.MaskLab`` over a text of any length.
        real: how many keys are real; the rest are pads.
        prompt: how many keys at the beginning every query may see.

    References:
        Lesson 00.
    """
    length = len(getattr(lab, "query_tokens", ())) or 1
    key = torch.arange(length)
    drawn(lab, (masks.causal(length) | (key < prompt)) & (key < real))


def drawn(lab, wanted: Tensor) -> None:
    """Says whether the mask that a widget shows is the wanted one: what was drawn, flipped if *Flip polarity* is on.

    Args:
        lab: a ``widgets.MaskLab`` of q_len queries and k_len keys.
        wanted: (q_len, k_len) bool, True = may attend.

    References:
        Lesson 00.
    """
    keep = getattr(lab, "keep", None)
    if not isinstance(keep, Tensor) or keep.dtype != torch.bool or keep.shape != wanted.shape:
        return no(f"wanted a MaskLab of {wanted.shape[0]} queries and {wanted.shape[1]} keys; got {kind(lab)}.")
    if keep.all():
        return print("Not tried yet. Click cells of the map after the mask, then run this cell again.")
    flipped = bool(getattr(lab, "flipped", False))
    keep = keep ^ flipped  # what the map shows, and what the weights are computed with
    if flipped and torch.equal(keep, ~wanted):
        return no("*Flip polarity* is on, so that the map shows the opposite of what you drew. Press it again.")
    if torch.equal(keep, wanted):
        return yes(f"{int((~keep).sum())} of {keep.numel()} cells hidden, and just the right ones.")
    if torch.equal(keep, ~wanted):
        return no("you hid what should be visible, and the other way round.")
    if torch.equal(keep, wanted.mT):
        return no("rows and columns are exchanged. A row is a query, who looks; a column is a key, who is looked at.")
    wrong = (keep != wanted).nonzero()
    query, key = wrong[0].tolist()
    names = f"query {query} ({lab.query_tokens[query]}) and key {key} ({lab.key_tokens[key]})"
    cells = "cell differs" if len(wrong) == 1 else "cells differ"
    no(f"{len(wrong)} {cells}. The first: {names}. The query {fault(keep[query, key])}.")
