"""Recognises what a ``keep`` is made of: causal, sliding window, prefix, documents, padding.

The inverse of ``masks``, whose constructors it calls. Nothing is guessed: a pattern is named only if it gives the same
tensor again.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from . import masks
from ._validation import as_4d


class Pattern(NamedTuple):
    """One part of a mask; the parts of a mask are combined with ``&``.

    References:
        Lesson 05.
    """

    name: str
    """full, nothing, causal, sliding window, prefix, banded, future only, documents, padding, hidden keys,
    hidden queries, per head, or irregular."""
    parameters: dict
    """What rebuilds it, for example {"align": "lower_right"} or {"side": "left", "lengths": [5, 3]}."""

    def __str__(self) -> str:
        return _WORDS.get(self.name, lambda p: self.name)(self.parameters)


def recognise(keep: Tensor) -> list[Pattern]:
    """The parts that ``keep`` is made of.

    Args:
        keep: bool, True = may attend, broadcastable to (batch, heads, q_len, k_len).

    Returns:
        One or two patterns, three if queries are hidden too. Where several descriptions give the same tensor
        (one query, say), the simplest comes out.

    Raises:
        TypeError: keep is not a bool tensor.
        ValueError: it has no size, or not 2 to 4 dimensions.

    References:
        Lesson 05, where ``describe`` names the masks.
    """
    keep = as_4d(keep)
    if not torch.equal(keep, keep[:, :1].expand_as(keep)):
        return [Pattern("per head", {"heads": keep.shape[1]})]
    keep = keep[:, 0]  # (batch, q_len, k_len)
    if not keep.any():
        return [Pattern("nothing", {})]
    seen_keys, seeing_queries = keep.any(dim=1), keep.any(dim=2)
    tries = [(*candidate, hide) for candidate in _candidates(keep) for hide in (False, True)]
    for pattern, shape, hide_queries in sorted(tries, key=lambda t: _RANK.get((t[0].name, t[2]), 2 + t[2])):
        rebuilt = shape & seen_keys[:, None]
        if hide_queries:
            rebuilt = rebuilt & seeing_queries[:, :, None]
        if torch.equal(rebuilt.expand_as(keep), keep):
            padding = _padding(seen_keys | ~shape.any(dim=1))
            queries = [Pattern("hidden queries", {"count": int((~seeing_queries).sum())})] if hide_queries else []
            return ([pattern] if pattern.name != "full" or not padding + queries else []) + padding + queries
    return [Pattern("irregular", {})]


#: Which explanation is the simpler one: (pattern, with hidden queries) → rank, 2 or 3 if not named here.
_RANK = {(name, False): 0 for name in ("full", "causal", "sliding window", "prefix")} | {("full", True): 1}


def _candidates(keep: Tensor) -> Iterator[tuple[Pattern, Tensor]]:
    """Patterns with the parameters that ``keep`` suggests, simplest first, each as (1 or batch, q_len, k_len)."""
    _, q_len, k_len = keep.shape
    offset, device = k_len - q_len, keep.device
    causal = masks.causal(q_len, k_len).to(device)
    yield Pattern("full", {}), masks.full(q_len, k_len).to(device)[None]
    yield Pattern("causal", {"align": "lower_right"}), causal[None]
    if offset:
        yield Pattern("causal", {"align": "upper_left"}), masks.causal(q_len, k_len, "upper_left").to(device)[None]
    queries, keys = keep.any(dim=0).nonzero(as_tuple=True)
    distance = queries + offset - keys  # how far a visible key lies before its query: 0 is itself, negative the future
    nearest, farthest = int(distance.min()), int(distance.max())
    if nearest == 0:
        window = masks.sliding_window(q_len, farthest + 1, k_len).to(device)
        yield Pattern("sliding window", {"window": farthest + 1}), window[None]
    first_row = keep[:, 0].any(dim=0).nonzero()
    if q_len == k_len and len(first_row) and 2 <= (prefix_len := int(first_row.max()) + 1) < q_len:
        yield Pattern("prefix", {"prefix_len": prefix_len}), masks.prefix(q_len, prefix_len).to(device)[None]
    band = masks.full(q_len, k_len).tril(offset - nearest).triu(offset - farthest).to(device)
    name = "future only" if farthest < 0 else "banded"
    yield Pattern(name, {"back": farthest, "ahead": -nearest}), band[None]
    if q_len == k_len:
        # The first key that a token sees names its document; a token that sees nothing is one of its own.
        rows = torch.arange(q_len, device=device)
        first = torch.where(keep.any(dim=2), keep.int().argmax(dim=2), k_len + rows)
        same = masks.documents(first)[:, 0]
        sizes = [torch.unique(row[row < k_len], return_counts=True)[1].tolist() for row in first]
        yield Pattern("documents", {"sizes": sizes, "causal": False}), same
        yield Pattern("documents", {"sizes": sizes, "causal": True}), same & causal


def _padding(visible: Tensor) -> list[Pattern]:
    """What (batch, k_len) hides from all queries, if anything."""
    if visible.all():
        return []
    if side := padding_side(visible):
        return [Pattern("padding", {"side": side, "lengths": visible.sum(dim=1).tolist()})]
    return [Pattern("hidden keys", {"count": int((~visible).sum())})]


def padding_side(visible: Tensor) -> str | None:
    """``"right"`` or ``"left"`` if every row of a mask is padded there, else None.

    Args:
        visible: bool (rows, k_len), True = a real token.

    Returns:
        The side where the padding is; ``"right"`` if there is none.

    References:
        Lesson 03.
    """
    for side in ("right", "left"):
        if torch.equal(masks.lengths(visible.sum(dim=1), visible.shape[1], side)[:, 0, 0], visible):
            return side
    return None


def _some(values: list, most: int = 8) -> str:
    return ", ".join(map(str, values[:most])) + (", …" if len(values) > most else "")


def _keys(count: int) -> str:
    return f"{count} key" + ("s" if count != 1 else "")


def _documents_in_words(parameters: dict) -> str:
    sizes = parameters["sizes"]
    first = f"{len(sizes[0])} documents of {_some(sizes[0])} tokens"
    more = "" if len(sizes) == 1 else f" in the first of {len(sizes)} sequences"
    return ("causal within " if parameters["causal"] else "") + first + more


def _band_in_words(parameters: dict) -> str:
    back, ahead = parameters["back"], parameters["ahead"]
    if ahead < 0:
        return f"past only: from {back} to {-ahead} back, never itself"
    if back == 0:
        return f"itself and the future: up to {ahead} ahead"
    if back < 0:
        return f"future only: from {-back} to {ahead} ahead"
    return f"banded: from {back} back to {ahead} ahead"


_WORDS = {
    "full": lambda p: "full: nothing is hidden",
    "nothing": lambda p: "nothing is visible",
    "causal": lambda p: f"causal, aligned {p['align'].replace('_', ' ')}",
    "sliding window": lambda p: f"sliding window of {_keys(p['window'])}",
    "prefix": lambda p: f"prefix of {_keys(p['prefix_len'])}, then causal",
    "banded": _band_in_words,
    "future only": _band_in_words,
    "documents": _documents_in_words,
    "padding": lambda p: f"padding on the {p['side']}, lengths {_some(p['lengths'])}",
    "hidden keys": lambda p: f"{_keys(p['count'])} hidden from every query",
    "hidden queries": lambda p: f"{p['count']} queries that see nothing" if p["count"] != 1 else "1 query sees nothing",
    "per head": lambda p: f"different in each of {p['heads']} heads",
    "irregular": lambda p: "no regular pattern",
}
