"""Checks of lesson 09: what sorting saves, what padding and packing cost, and blocks that can be skipped."""

import torch

from .. import masks
from .feedback import Attempt, Mistakes, exercise, same


@exercise(right="short texts are padded to short ones, and the last batch may be smaller.")
def pads_when_sorted(yours: Attempt) -> Mistakes:
    """Says whether the pads are counted that are left when texts are sorted before they are cut into batches.

    Args:
        yours: takes ``lengths``, (texts,) int64, and ``size``, the number of texts in a batch; returns the number of
            pads in all batches, if texts go into them from short to long, and each is as long as its longest.

    References:
        Lesson 09.
    """
    for lengths, size in (([9, 2, 7, 3, 8, 4], 2), ([5, 1, 6, 2, 9], 3)):
        rising = sorted(lengths)

        def pads(order: list[int], size=size) -> int:
            batches = [order[n : n + size] for n in range(0, len(order), size)]
            return sum(max(batch) * len(batch) - sum(batch) for batch in batches)

        number = yours(torch.tensor(lengths), size, result_type=int | float, wanted="a number of pads")
        yield yours.changed(), "lengths itself was changed. Use sort, whose result is new."
        wanted, places = pads(rising), pads(rising) + sum(lengths)
        if number == wanted:
            continue
        yours.case = f"for the lengths {lengths} in batches of {size} you return {number:g}; wanted {wanted}."
        yield pads(lengths), "Those are the pads in the order that the texts come in. Sort them first."
        yield max(lengths) * len(lengths) - sum(lengths), "Those are the pads of one batch of all. Cut it."
        yield places, "Those are all places, real tokens among them."
        yield pads(rising[: len(rising) // size * size]), "The last batch is smaller, and counts as well."
        yield pads(rising[::-1]), "From short to long, not from long to short: the smaller batch comes last."
        yield wanted / places, "That is a share; wanted the number."
        yield True, ""


@exercise(right="it is the share of pairs in the operations of the packed row. Packing trades pads for pairs.")
def break_even(yours: Attempt) -> Mistakes:
    """Says whether the share of pads is right from which on packing takes fewer operations.

    Args:
        yours: takes ``tokens``, how many are in the packed row, ``dim``, the size of a token's vector, and ``wide``,
            the size inside the feed-forward; returns a number from 0 to 1.

    References:
        Lesson 09.
    """
    for tokens, dim, wide in ((512, 384, 1536), (922, 384, 1536), (100, 64, 128), (4000, 64, 256)):
        share = yours(tokens, dim, wide, result_type=int | float, wanted="a number from 0 to 1")
        linear = 2 * dim + wide
        wanted = tokens / (tokens + linear)
        if same(share, wanted):
            continue
        yours.case = (
            f"for a row of {tokens} tokens, d = {dim} and f = {wide} you return {share:.3f}; wanted {wanted:.3f}."
        )
        yield 1 - wanted, "That is the share of real tokens. Solve for w, not for 1 - w."
        yield tokens / linear, "That is w / (1 - w), the pads for each real token. A share is of all places."
        yield 1 + tokens / linear, "That is the cost of the packed row. Which w makes 1 / (1 - w) as large?"
        yield linear / tokens, "That is 1 / w - 1. Turn the fraction over, and solve for w."
        yield tokens / (tokens + 6 * dim), "6d holds where f is 4d, and this model has another f."
        yield tokens / (tokens + 2 * linear), "Two products go over the pairs, the scores and the weights times values."
        yield tokens / (tokens + wide), "Around attention are four linear layers more, which make the 2d."
        yield tokens / (tokens + 2 * dim), "The feed-forward is missing, which makes the f."
        yield 100 * wanted, "A share lies between 0 and 1."
        yield round(wanted, 2), "Do not round."
        yield True, ""


@exercise(right="a block counts as soon as one pair in it is visible, at the edges too.")
def blocks_touched(yours: Attempt) -> Mistakes:
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
        (masks.sliding_window(12, 2), 5, "a sliding window of 2 over 12 tokens"),
        (lonely, 1, "a (8, 12) keep with a single True"),
        (masks.causal(10), 6, "the causal mask of 10 tokens, which 4 does not divide"),
        (masks.causal(3), 1, "the causal mask of 3 tokens, less than a block"),
    )
    for keep, wanted, what in cases:
        number = yours(keep, 4, result_type=int | float, wanted="a number, how many blocks hold a True")
        yield yours.changed(), "keep itself was changed. Work on a copy, for instance one from torch.nn.functional.pad."
        if number == wanted:
            continue
        blocks = [block for rows in keep.split(4) for block in rows.split(4, dim=1)]
        squares = sum(bool(block.any()) for block in blocks if block.shape == (4, 4))
        full = sum(bool(block.all()) for block in blocks)
        yours.case = f"for {what}, in blocks of 4, you return {number:g}; wanted {wanted}."
        yield squares, "Blocks at the edge may be smaller than the others, and count as well."
        yield wanted / len(blocks), "That is a share; wanted the number."
        yield len(blocks) - wanted, "Those are the blocks that can be skipped."
        yield keep.sum().item(), "That is the number of visible pairs."
        yield len(blocks), "That is the number of all blocks."
        yield full, "Those are the full blocks. One True is enough: any."
        yield True, ""
