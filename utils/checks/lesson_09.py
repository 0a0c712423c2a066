"""Checks of lesson 09: what padding and packing cost, and blocks that can be skipped."""

from collections.abc import Callable

import torch
from torch import Tensor

from .. import masks
from .feedback import answer, no, refuse, spoken, yes


def _near(a: float, b: float) -> bool:
    return abs(a - b) < 1e-6


@spoken
def break_even(yours: Callable[[int, int, int], float]) -> None:
    """Says whether the share of pads is right from which on packing takes fewer operations.

    Args:
        yours: takes ``tokens``, how many are in the packed row, ``dim``, the size of a token's vector, and ``wide``, the
            size inside the feed-forward; returns a number from 0 to 1.

    References:
        Lesson 09.
    """
    for tokens, dim, wide in ((512, 384, 1536), (922, 384, 1536), (100, 64, 128), (4000, 64, 256)):
        share = answer(yours, tokens, dim, wide, of=int | float, wanted="a number from 0 to 1")
        linear = 2 * dim + wide
        wanted = tokens / (tokens + linear)
        if _near(share, wanted):
            continue
        case = f"for a row of {tokens} tokens, d = {dim} and f = {wide} you return {share:.3f}; wanted {wanted:.3f}."
        refuse(
            share,
            (1 - wanted, "That is the share of real tokens. Solve for w, not for 1 - w."),
            (tokens / linear, "That is w / (1 - w), the pads for each real token. A share is of all places."),
            (1 + tokens / linear, "That is the cost of the packed row. Which w makes 1 / (1 - w) as large?"),
            (linear / tokens, "That is 1 / w - 1. Turn the fraction over, and solve for w."),
            (tokens / (tokens + 6 * dim), "6d holds where f is 4d, and this model has another f."),
            (
                tokens / (tokens + 2 * linear),
                "Two products go over the pairs, the scores and the weights times values.",
            ),
            (tokens / (tokens + wide), "Around attention are four linear layers more, which make the 2d."),
            (tokens / (tokens + 2 * dim), "The feed-forward is missing, which makes the f."),
            (100 * wanted, "A share lies between 0 and 1."),
            (round(wanted, 2), "Do not round."),
            same=_near,
            case=case,
        )
        no(case)
    yes("it is the share of pairs in the operations of the packed row. Packing trades pads for pairs.")


@spoken
def blocks_touched(yours: Callable[[Tensor, int], int]) -> None:
    """Says whether the blocks that hold a visible pair are counted.

    Args:
        yours: takes ``keep``, (q_len, k_len) bool, True = may attend, and ``size``; returns how many size × size blocks
            hold a True. Blocks at the right and lower edge may be smaller.

    References:
        Lesson 09.
    """
    lonely = torch.zeros(8, 12, dtype=torch.bool)
    lonely[5, 9] = True
    cases = (
        (masks.sliding_window(12, 2), 4, 5, "a sliding window of 2 over 12 tokens"),
        (lonely, 4, 1, "a (8, 12) keep with a single True"),
        (masks.causal(10), 4, 6, "the causal mask of 10 tokens, which 4 does not divide"),
        (masks.causal(3), 4, 1, "the causal mask of 3 tokens, less than a block"),
    )
    changed = "keep itself was changed. Work on a copy, for instance one from torch.nn.functional.pad."
    kind = "a number, how many blocks hold a True"
    for keep, size, wanted, what in cases:
        number = answer(yours, keep, size, of=int | float, wanted=kind, changed=changed)
        if number == wanted:
            continue
        blocks = [block for rows in keep.split(size) for block in rows.split(size, dim=1)]
        squares = [block for block in blocks if block.shape == (size, size)]
        case = f"for {what}, in blocks of {size}, you return {number:g}; wanted {wanted}."
        refuse(
            number,
            (_count(squares, Tensor.any), "Blocks at the edge may be smaller than the others, and count as well."),
            (wanted / len(blocks), "That is a share; wanted the number."),
            (len(blocks) - wanted, "Those are the blocks that can be skipped."),
            (keep.sum().item(), "That is the number of visible pairs."),
            (len(blocks), "That is the number of all blocks."),
            (_count(blocks, Tensor.all), "Those are the full blocks. One True is enough: any."),
            same=_near,
            case=case,
        )
        no(case)
    yes("a block counts as soon as one pair in it is visible, at the edges too.")


def _count(blocks: list[Tensor], holds: Callable[[Tensor], Tensor]) -> int:
    return sum(bool(holds(block)) for block in blocks)
