"""Recognises what a ``keep`` is made of: causal, sliding window, prefix, documents, padding.

The inverse of ``masks``, whose constructors it calls. Nothing is guessed: a pattern is named only if it gives the same
tensor again.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from . import masks
from ._validation import as_4d


class Pattern(NamedTuple):
    """One part of a mask; the parts of a mask are combined with ``&``.

    Attributes:
        name: full, nothing, causal, sliding window, prefix, banded, future only, documents, padding, hidden keys,
            hidden queries, per head, or irregular.
        parameters: what rebuilds it, for example {"align": "lower_right"} or {"side": "left", "lengths": [5, 3]}.

    References:
        Lesson 05.
    """

    name: str
    parameters: dict

    def __str__(self) -> str:
        return _WORDS.get(self.name, lambda **_: self.name)(**self.parameters)


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
    attempts = [(*candidate, hide) for candidate in _candidates(keep) for hide in (False, True)]
    for pattern, shape, hide_queries in sorted(attempts, key=lambda a: _RANK.get((a[0].name, a[2]), 2 + a[2])):
        shape = shape.to(keep.device)
        rebuilt = shape & seen_keys[:, None]
        if hide_queries:
            rebuilt = rebuilt & seeing_queries[:, :, None]
        if torch.equal(rebuilt, keep):
            parts = [] if pattern.name == "full" else [pattern]
            parts += _padding(seen_keys | ~shape.any(dim=-2))
            if hide_queries:
                parts.append(Pattern("hidden queries", {"count": int((~seeing_queries).sum())}))
            return parts or [pattern]
    return [Pattern("irregular", {})]


#: Which explanation is the simpler one: (pattern, with hidden queries) → rank, 2 or 3 if not named here.
_RANK = {(name, False): 0 for name in ("full", "causal", "sliding window", "prefix")} | {("full", True): 1}


def _candidates(keep: Tensor) -> Iterator[tuple[Pattern, Tensor]]:
    """Patterns with the parameters that ``keep`` suggests, simplest first, each as ([1 or batch,] q_len, k_len)."""
    _, q_len, k_len = keep.shape
    offset = k_len - q_len
    yield Pattern("full", {}), masks.full(q_len, k_len)
    for align in ("lower_right", "upper_left") if offset else ("lower_right",):
        yield Pattern("causal", {"align": align}), masks.causal(q_len, k_len, align)
    queries, keys = keep.any(dim=0).nonzero(as_tuple=True)
    distance = queries + offset - keys  # how far a visible key lies before its query: 0 is itself, negative the future
    nearest, farthest = int(distance.min()), int(distance.max())
    if nearest == 0:
        yield Pattern("sliding window", {"window": farthest + 1}), masks.sliding_window(q_len, farthest + 1, k_len)
    first_row = keep[:, 0].any(dim=0).nonzero()
    if q_len == k_len and len(first_row) and 2 <= (prefix_len := int(first_row.max()) + 1) < q_len:
        yield Pattern("prefix", {"prefix_len": prefix_len}), masks.prefix(q_len, prefix_len)
    band = masks.full(q_len, k_len).tril(offset - nearest).triu(offset - farthest)
    name = "future only" if farthest < 0 else "banded"
    yield Pattern(name, {"back": farthest, "ahead": -nearest}), band
    if q_len == k_len:
        # The first key that a token sees names its document; a token that sees nothing is one of its own.
        own = k_len + torch.arange(q_len, device=keep.device)
        first = torch.where(keep.any(dim=2), keep.int().argmax(dim=2), own)
        sizes = [torch.unique(row[row < k_len], return_counts=True)[1].tolist() for row in first]
        same = first[:, :, None] == first[:, None, :]  # as masks.documents, which warns of such numbers
        yield Pattern("documents", {"sizes": sizes, "causal": False}), same
        yield Pattern("documents", {"sizes": sizes, "causal": True}), same.tril()


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


def shows_future(keep: Tensor) -> bool:
    """Whether a query sees a key later than itself, if the last query is at the last key.

    Args:
        keep: bool (…, q_len, k_len), True = may attend.

    Returns:
        False, too, if there are more queries than keys: then a query's own position is not known.

    References:
        Lesson 05.
    """
    q_len, k_len = keep.shape[-2:]
    return q_len <= k_len and bool(keep.triu(k_len - q_len + 1).any())


def _some(values: list, most: int = 8) -> str:
    return ", ".join(map(str, values[:most])) + (", …" if len(values) > most else "")


def _keys(count: int) -> str:
    return f"{count} key" + ("s" if count != 1 else "")


def _documents_in_words(sizes: list[list[int]], causal: bool) -> str:
    text = f"{'causal within ' if causal else ''}{len(sizes[0])} documents of {_some(sizes[0])} tokens"
    return text if len(sizes) == 1 else f"{text} in the first of {len(sizes)} sequences"


def _band_in_words(back: int, ahead: int) -> str:
    if ahead < 0:
        return f"past only: from {back} to {-ahead} back, never itself"
    if back == 0:
        return f"itself and the future: up to {ahead} ahead"
    return f"future only: from {-back} to {ahead} ahead" if back < 0 else f"banded: from {back} back to {ahead} ahead"


#: What is said of each pattern, from its parameters.
_WORDS: dict[str, Callable[..., str]] = {
    "full": lambda: "full: nothing is hidden",
    "nothing": lambda: "nothing is visible",
    "causal": lambda align: f"causal, aligned {align.replace('_', ' ')}",
    "sliding window": lambda window: f"sliding window of {_keys(window)}",
    "prefix": lambda prefix_len: f"prefix of {_keys(prefix_len)}, then causal",
    "banded": _band_in_words,
    "future only": _band_in_words,
    "documents": _documents_in_words,
    "padding": lambda side, lengths: f"padding on the {side}, lengths {_some(lengths)}",
    "hidden keys": lambda count: f"{_keys(count)} hidden from every query",
    "hidden queries": lambda count: f"{count} queries that see nothing" if count != 1 else "1 query sees nothing",
    "per head": lambda heads: f"different in each of {heads} heads",
    "irregular": lambda: "no regular pattern",
}
