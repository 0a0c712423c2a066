"""Recognises what a ``keep`` is made of: causal, sliding window, prefix, documents, padding.

The inverse of ``masks``. Nothing is guessed: a pattern is named only if it gives the same tensor again. For most
patterns a few numbers decide that: each query's first and last visible key, how many it sees, and which keys any query
sees. So the tensor is looked through once, however many patterns are tried.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

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


def recognise(keep: Tensor, *, inverted: bool = False) -> list[Pattern]:
    """The parts that ``keep`` is made of.

    Args:
        keep: bool, True = may attend, broadcastable to (batch, heads, q_len, k_len).
        inverted: recognise ``~keep``, without making it.

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
    bits, k_len = pack(keep[:, :1]), keep.shape[-1]
    if inverted:
        bits = ~bits
        bits[..., -1] &= (0xFF << (-k_len % 8)) & 0xFF  # behind the last key all stays 0
    return recognise_packed(bits, k_len)


def recognise_packed(bits: NDArray[np.uint8], k_len: int) -> list[Pattern]:
    """``recognise`` for a mask that is not there as a tensor.

    Args:
        bits: (batch, heads, q_len, k_len / 8, rounded up), as ``pack`` makes them.
        k_len: number of keys.

    Returns:
        The same patterns.

    References:
        Lesson 05, where ``describe`` names the masks.
    """
    if bits.shape[1] > 1 and (bits != bits[:, :1]).any():
        return [Pattern("per head", {"heads": bits.shape[1]})]
    rows = _read_rows(bits[:, 0], k_len)
    if not rows.seen.any():
        return [Pattern("nothing", {})]
    attempts = [(*candidate, hide) for candidate in _candidates(rows) for hide in (False, True)]
    for pattern, shape, hide_queries in sorted(attempts, key=lambda a: _RANK.get((a[0].name, a[2]), 2 + a[2])):
        if shape.fits(rows, hide_queries):
            parts = [] if pattern.name == "full" else [pattern]
            parts += _padding(rows.seen | ~shape.shown())
            if hide_queries:
                parts.append(Pattern("hidden queries", {"count": int(rows.empty.sum())}))
            return parts or [pattern]
    return [Pattern("irregular", {})]


#: Which explanation is the simpler one: (pattern, with hidden queries) → rank, 2 or 3 if not named here.
_RANK = {(name, False): 0 for name in ("full", "causal", "sliding window", "prefix")} | {("full", True): 1}


class _Rows(NamedTuple):
    """What the queries of a (batch, q_len, k_len) keep see."""

    bits: NDArray[np.uint8]
    """(batch, q_len, k_len / 8, rounded up): one bit for each key, eight times less to look through."""
    first: NDArray[np.int64]
    """(batch, q_len): the first visible key; k_len if there is none."""
    last: NDArray[np.int64]
    """(batch, q_len): the last visible key; -1 if there is none."""
    total: NDArray[np.int64]
    """(batch, q_len): how many keys are visible."""
    seen: NDArray[np.bool_]
    """(batch, k_len): whether any query sees this key."""

    @property
    def empty(self) -> NDArray[np.bool_]:
        return self.total == 0


#: How many bits of a byte come before its first and behind its last 1; the highest bit is the first key.
_BEFORE, _BEHIND = (np.array([f"{n:08b}"[::way].find("1") for n in range(256)]) for way in (1, -1))


def pack(keep: Tensor) -> NDArray[np.uint8]:
    """A mask as bits, which are looked through many times as fast.

    Args:
        keep: bool (…, q_len, k_len), True = may attend.

    Returns:
        (…, q_len, k_len / 8, rounded up): eight keys to a byte, the first key in the highest bit; 0 behind the last.

    References:
        Lesson 05, where ``describe`` names the masks.
    """
    if keep.stride(-1) != 1:
        # Packing across rows takes ten times as long as turning the memory first, which is fast for single matrices.
        matrices = keep.reshape(-1, *keep.shape[-2:])
        keep = torch.stack([matrix.contiguous() for matrix in matrices]).view(keep.shape)
    return np.packbits(keep.cpu().numpy(), axis=-1)


def _unexpanded(keep: Tensor) -> Tensor:
    """keep, with a size of 1 where ``expand`` repeats one sequence, head or row: repeats need not be looked at."""
    return keep[tuple(slice(1 if step == 0 else None) for step in keep.stride()[:-1])]


def _ends(bits: NDArray[np.uint8], k_len: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The first and the last visible key of each row; k_len and -1 in an empty one."""
    some, last_byte = bits != 0, bits.shape[-1] - 1
    head, end = some.argmax(axis=-1), last_byte - some[..., ::-1].argmax(axis=-1)
    first = 8 * head + _BEFORE[np.take_along_axis(bits, head[..., None], axis=-1)[..., 0]]
    last = 8 * end + 7 - _BEHIND[np.take_along_axis(bits, end[..., None], axis=-1)[..., 0]]
    empty = ~some.any(axis=-1)
    return np.where(empty, k_len, first), np.where(empty, -1, last)


def _read_rows(bits: NDArray[np.uint8], k_len: int) -> _Rows:
    seen = np.unpackbits(np.bitwise_or.reduce(bits, axis=-2), axis=-1, count=k_len)
    return _Rows(bits, *_ends(bits, k_len), _count(bits), seen.astype(bool))


def _count(bits: NDArray[np.uint8]) -> NDArray[np.int64]:
    return np.bitwise_count(bits).sum(axis=-1, dtype=np.int64)


class _Band(NamedTuple):
    """A shape whose row q is the keys from ``low[q]`` up to, but without, ``high[q]``; the same in each sequence."""

    low: NDArray[np.int64]
    high: NDArray[np.int64]
    k_len: int

    def limits(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Low and high between 0 and k_len, equal where a row is empty."""
        low = self.low.clip(0, self.k_len)
        return low, self.high.clip(low, self.k_len)

    def fits(self, rows: _Rows, hide_queries: bool) -> bool:
        """Whether each row holds all seen keys of its stretch, and no other key."""
        low, high = self.limits()
        seen_before = np.pad(rows.seen.cumsum(axis=1), ((0, 0), (1, 0)))
        same = rows.total == seen_before[:, high] - seen_before[:, low]
        same &= rows.empty | ((rows.first >= low) & (rows.last < high))
        return bool((same | rows.empty if hide_queries else same).all())

    def shown(self) -> NDArray[np.bool_]:
        """(k_len,): whether the shape shows this key to any query."""
        steps = np.zeros(self.k_len + 1, dtype=np.int64)
        for limit, step in zip(self.limits(), (1, -1), strict=True):
            np.add.at(steps, limit, step)
        return steps.cumsum()[:-1] > 0


class _Same(NamedTuple):
    """A shape in which a query sees the keys that have its own number."""

    numbers: NDArray[np.int32]
    """(batch, T)"""
    causal: bool

    def fits(self, rows: _Rows, hide_queries: bool) -> bool:
        """Whether it is these rows, a stretch of them at a time: all at once could be too much memory.

        With hidden queries it explains nothing more. A token that sees nothing has a number of its own already.
        """
        if hide_queries:
            return False
        batch, length = self.numbers.shape
        position = np.arange(length)
        step = max(1, 2**24 // (batch * length))
        for part in (slice(start, start + step) for start in range(0, length, step)):
            same = (self.numbers[:, part, None] == self.numbers[:, None]) & rows.seen[:, None]
            if self.causal:
                same &= position[part, None] >= position
            if not np.array_equal(np.packbits(same, axis=-1), rows.bits[:, part]):
                return False
        return True

    def shown(self) -> NDArray[np.bool_]:
        """(T,): a token sees itself."""
        return np.ones(self.numbers.shape[1], dtype=bool)


def _candidates(rows: _Rows) -> Iterator[tuple[Pattern, _Band | _Same]]:
    """Patterns with the parameters that the rows suggest, simplest first, each with its shape."""
    q_len, k_len = rows.total.shape[1], rows.seen.shape[1]
    query = np.arange(q_len)
    own, start, end = query + k_len - q_len, np.zeros_like(query), np.full_like(query, k_len)
    yield Pattern("full", {}), _Band(start, end, k_len)
    yield Pattern("causal", {"align": "lower_right"}), _Band(start, own + 1, k_len)
    if q_len != k_len:
        yield Pattern("causal", {"align": "upper_left"}), _Band(start, query + 1, k_len)
    # How far a visible key lies before its query: 0 is itself, negative the future.
    nearest, farthest = (own - rows.last)[~rows.empty].min().item(), (own - rows.first)[~rows.empty].max().item()
    band = _Band(own - farthest, own - nearest + 1, k_len)
    if nearest == 0:
        yield Pattern("sliding window", {"window": farthest + 1}), band
    prefix_len = rows.last[:, 0].max().item() + 1
    if q_len == k_len and 2 <= prefix_len < q_len:
        yield Pattern("prefix", {"prefix_len": prefix_len}), _Band(start, (own + 1).clip(min=prefix_len), k_len)
    yield Pattern("future only" if farthest < 0 else "banded", {"back": farthest, "ahead": -nearest}), band
    if q_len == k_len:
        # The first key that a token sees names its document; a token that sees nothing is one of its own.
        numbers = np.where(rows.empty, k_len + query, rows.first).astype(np.int32)
        sizes = [np.unique(row[row < k_len], return_counts=True)[1].tolist() for row in numbers]
        for causal in (False, True):
            yield Pattern("documents", {"sizes": sizes, "causal": causal}), _Same(numbers, causal)


def _padding(visible: NDArray[np.bool_]) -> list[Pattern]:
    """What (batch, k_len) hides from all queries, if anything."""
    if visible.all():
        return []
    if side := padding_side(torch.from_numpy(visible)):
        return [Pattern("padding", {"side": side, "lengths": visible.sum(axis=1).tolist()})]
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
    bits, k_len = pack(visible), visible.shape[-1]
    (first, last), count = _ends(bits, k_len), _count(bits)
    if (last + 1 == count).all():
        return "right"
    return "left" if (k_len - first == count).all() else None


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
    last = _ends(pack(_unexpanded(keep)), k_len)[1]
    return q_len <= k_len and bool((last > np.arange(q_len) + k_len - q_len).any())


def keys_per_query(keep: Tensor) -> Tensor:
    """int64 (…, q_len): how many keys each query sees. It is ``keep.sum(dim=-1)``, many times as fast.

    Args:
        keep: bool (…, q_len, k_len), True = may attend.

    Returns:
        A tensor on keep's device.

    References:
        Lesson 00, where ``describe`` counts them.
    """
    counts = torch.from_numpy(_count(pack(_unexpanded(keep)))).to(keep.device)
    return counts.expand(keep.shape[:-1]).contiguous()


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
