"""Checks of lesson 12: a step in a static cache, a window that keeps the first tokens, and a tree of guesses."""

import torch
from torch import Tensor

from .feedback import Attempt, Mistakes, exercise, fault, wrong_shape

ROWS = "Rows are queries, columns are keys."


def _not_bool(keep: Tensor) -> Mistakes:
    """Whether a keep is of another dtype, and the words for it."""
    negative = keep.dtype != torch.bool and (keep < 0).any()
    yield negative, f"your result is {keep.dtype} with negative values, to be added to scores. keep is bool."
    yield keep.dtype != torch.bool, f"your result is {keep.dtype}; keep is bool: True = may attend."


def _first_fault(keep: Tensor, wanted: Tensor, case: str) -> Mistakes:
    """The first pair that is wrong, if there is one."""
    if not torch.equal(keep, wanted):
        query, key = (keep != wanted).nonzero()[0].tolist()
        yield True, f"{case} query {query} and key {key}: the query {fault(keep[query, key])}."


@exercise(right="each new token sees the filled slots and the new ones up to its own, and no empty one.")
def static_keep(yours: Attempt) -> Mistakes:
    """Says whether a keep is right for new tokens in a cache of fixed size.

    Args:
        yours: takes ``filled``, ``new`` and ``slots``, ints; returns (new, slots) bool, True = may attend: query q goes
            to slot filled + q and sees the slots up to its own.

    References:
        Lesson 12.
    """
    for filled, new, slots in ((4, 2, 9), (0, 3, 5), (3, 1, 4)):
        case = f"for {filled} filled slots, {new} new tokens and {slots} slots"
        slot, own = torch.arange(slots), filled + torch.arange(new)[:, None]
        wanted = slot <= own
        keep = yours(filled, new, slots, wanted=f"a bool tensor of shape {new, slots}", case=case)
        hints = {
            (slots, new): ROWS,
            (new, filled + new): "The empty slots are keys as well: there is a column for each.",
            (slots, slots): "There is a row for each new token only.",
            (slots,): "There is a row for each new token.",
        }
        yield wrong_shape(keep, (new, slots), hints, case=case)
        yield from _not_bool(keep)
        if torch.equal(keep, wanted):
            continue
        yield ~wanted, f"{case} the polarity is flipped: this is True for what must be hidden."
        yield torch.ones_like(wanted), f"{case} nothing is hidden, and the empty slots get weight."
        if new > 1:
            filled_only = (slot < filled + new).expand(new, slots)
            yield filled_only, f"{case} the empty slots are hidden, but a new token sees those after it."
        yield slot < own, f"{case} off by one: no query sees itself."
        yield slot <= own + 1, f"{case} off by one: each query also sees the slot after its own."
        if filled:
            corner = "the triangle begins at slot 0, as if nothing were filled. Query q is at slot filled + q."
            yield slot <= torch.arange(new)[:, None], f"{case} {corner}"
        lower = "the triangle ends in the lower right corner, where the empty slots are. Query q is at filled + q."
        yield slot <= slots - new + torch.arange(new)[:, None], f"{case} {lower}"
        yield from _first_fault(keep, wanted, case)


@exercise(right="the window slides, the first tokens stay, and nobody sees ahead.")
def window_with_sinks(yours: Attempt) -> Mistakes:
    """Says whether a causal window keeps the first tokens.

    Args:
        yours: takes ``length``, ``window`` and ``sinks``, ints; returns (length, length) bool, True = may attend: the
            ``window`` latest keys, oneself among them, and the first ``sinks``.

    References:
        Lesson 12.
    """
    for length, window, sinks in ((8, 3, 2), (6, 2, 0), (5, 1, 1)):
        case = f"for a length of {length}, a window of {window} and {sinks} sinks"
        key, query = torch.arange(length), torch.arange(length)[:, None]
        causal, near, first = key <= query, query - key < window, key < sinks
        wanted = causal & (near | first)
        keep = yours(length, window, sinks, wanted=f"a bool tensor of shape {length, length}", case=case)
        yield wrong_shape(keep, (length, length), case=case)
        yield from _not_bool(keep)
        if torch.equal(keep, wanted):
            continue
        yield ~wanted, f"{case} the polarity is flipped: this is True for what must be hidden."
        yield wanted.T, f"{case} {ROWS} This is the other way round."
        bound = "early queries see sinks that are still to come. `&` binds tighter than `|`: causal holds for both."
        yield causal & near | first, f"{case} {bound}"
        yield near | first, f"{case} nothing is causal: later keys are near, too."
        yield causal & near, f"{case} this is the window alone. The first tokens must stay."
        yield causal & first, f"{case} these are the sinks alone. The window is missing."
        yield causal & near & first, f"{case} a key must be near and among the first. One of the two is enough."
        yield causal, f"{case} nothing is too far back."
        wider = causal & ((query - key <= window) | first)
        yield wider, f"{case} off by one: each query sees {window + 1} latest keys. It counts among the window itself."
        narrower = causal & ((query - key < window - 1) | first)
        yield narrower, f"{case} off by one: each query sees {window - 1} latest keys, itself among them."
        one_more = causal & (near | (key <= sinks))
        yield one_more, f"{case} one sink too many: the first {sinks} are the keys below {sinks}."
        yield from _first_fault(keep, wanted, case)


@exercise(right="each guess sees its own branch, and the number of keys in its row tells its place.")
def tree_keep(yours: Attempt) -> Mistakes:
    """Says whether each guess of a tree sees its own branch.

    Args:
        yours: takes ``parents``, a list of ints: for each guess the number of the one before it, smaller than its own,
            or -1; returns (guesses, guesses) bool, True = may attend.

    References:
        Lesson 12.
    """
    for parents in ([-1, 0, 1, 0, 3, -1, 5], [-1, 0, 1], [-1, -1, 0, 1, 2]):
        size, case = len(parents), f"for the parents {parents}"
        itself = torch.eye(size, dtype=torch.bool)
        wanted, parent_of = itself.clone(), torch.zeros_like(itself)
        for guess, parent in enumerate(parents):
            if parent >= 0:
                wanted[guess] |= wanted[parent]
                parent_of[guess, parent] = True
        keep = yours(list(parents), wanted=f"a bool tensor of shape {size, size}", case=case)
        yield wrong_shape(keep, (size, size), case=case)
        yield from _not_bool(keep)
        if torch.equal(keep, wanted):
            continue
        yield ~wanted, f"{case} the polarity is flipped: this is True for what must be hidden."
        yield wanted.T, f"{case} {ROWS} A guess sees those before it, not those after it."
        yield itself.cumsum(0) > 0, f"{case} this is the triangle: guesses see those of other branches."
        yield wanted & ~itself, f"{case} no guess sees itself. Begin with torch.eye."
        yield itself | parent_of, f"{case} a guess sees its parent only. What its parent sees, it sees as well."
        yield itself, f"{case} a guess sees itself only."
        last = itself.clone()
        for guess, parent in enumerate(parents):
            last[guess] |= last[parent]
        yield last, f"{case} -1 was taken for an index, which is the last guess. It means that there is no parent."
        yield from _first_fault(keep, wanted, case)
