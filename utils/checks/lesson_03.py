"""Checks of lesson 03: where new tokens are, and where the last real one is."""

from collections.abc import Callable

import torch
from torch import Tensor

from .feedback import answer, close, no, refuse, require_shape, spoken, yes


@spoken
def next_positions(yours: Callable[[Tensor, int], Tensor]) -> None:
    """Says whether new tokens after a cache get the right positions.

    Args:
        yours: takes ``attention_mask``, (batch, seq) int64, 1 = real, and ``new``, how many tokens follow; returns
            (batch, new) integers.

    References:
        Lesson 03.
    """
    attention_mask = torch.tensor([[0, 0, 0, 1, 1], [1, 1, 1, 1, 1], [1, 1, 0, 0, 0]])  # left, none, right
    wanted = torch.tensor([[2, 3], [5, 6], [2, 3]])
    places = answer(yours, attention_mask, 2, wanted="a tensor of shape (3, 2), a place for each new token")
    if places.shape == (3, 1) and torch.equal(places, wanted[:, :1]):
        no("right for one new token. There are two here: count on with torch.arange(new).")
    hint = "keepdim=True keeps the dimension to count along."
    require_shape(places, (3, 2), {(3,): hint, (2,): hint}, about=", a place for each new token")
    if places.is_floating_point():
        no(f"your places are {places.dtype}; the model looks them up in a table, so they must be integers.")
    refuse(
        places,
        (torch.tensor([[5, 6]] * 3), "these places count the pads too. Two rows have only two real tokens."),
        (wanted - 1, "one too low: n real tokens stand at the places 0 to n - 1, so the next one stands at n."),
        (wanted + 1, "one too high: n real tokens stand at the places 0 to n - 1, so the next one stands at n."),
    )
    for n, mask in enumerate(attention_mask.tolist()):
        if not torch.equal(places[n], wanted[n]):
            no(f"row {n}, with the mask {mask}: got {places[n].tolist()}.")
    yes("new tokens go on counting from the real ones, wherever the pads are.")


@spoken
def last_real_logits(yours: Callable[[Tensor, Tensor], Tensor]) -> None:
    """Says whether the logits of the last real token are picked in each row.

    Args:
        yours: takes ``logits``, (batch, seq, vocabulary) float, and ``attention_mask``, (batch, seq) int64, 1 = real;
            returns (batch, vocabulary) float.

    References:
        Lesson 03.
    """
    logits = torch.arange(4 * 5 * 3.0).view(4, 5, 3)
    attention_mask = torch.tensor([[0, 0, 0, 1, 1], [1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [0, 1, 1, 0, 0]])
    about = "one row of logits for each text"
    picked = answer(yours, logits.clone(), attention_mask.clone(), wanted=f"a tensor of shape (4, 3), {about}")
    if picked.shape == (4,):
        no("your result has one number for each text; wanted the whole row of logits there, (4, 3).")
    require_shape(picked, (4, 3), about=f", {about}")
    rows, count = torch.arange(4), attention_mask.sum(1)
    after = logits[rows, count.clamp(max=4)]
    first = logits[rows, attention_mask.argmax(1)]
    refuse(
        picked,
        (logits[:, -1], "this is logits[:, -1]: right for pads on the left only. The last two rows end with pads."),
        (
            logits[rows, count - 1],
            "you counted the real tokens. That is the place only if the pads stand on the right.",
        ),
        (first, "these are the logits of the first real token. argmax takes the first of several largest values."),
        (after, "one place too far: n tokens stand at the places 0 to n - 1."),
    )
    for n, last in enumerate((4, 4, 1, 2)):
        if not close(picked[n], logits[n, last]):
            no(f"row {n}, with the mask {attention_mask[n].tolist()}, has its last real token elsewhere.")
    yes("the last real token of each row, with pads on the left, on the right and on both sides.")
