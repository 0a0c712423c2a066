"""patterns: what is told from a few numbers of each row is what comparing with every candidate tells."""

import itertools

import pytest
import torch

from utils import masks, patterns
from utils.patterns import Pattern, recognise

# --- the reference: each candidate is built with masks.py, and compared as a whole -----------------------


def compared(keep):
    """The parts of keep, by brute force."""
    keep = keep[(None,) * (4 - keep.ndim)]
    if not torch.equal(keep, keep[:, :1].expand_as(keep)):
        return [Pattern("per head", {"heads": keep.shape[1]})]
    keep = keep[:, 0]
    if not keep.any():
        return [Pattern("nothing", {})]
    seen, seeing = keep.any(dim=1), keep.any(dim=2)
    attempts = [(*candidate, hide) for candidate in candidates(keep) for hide in (False, True)]
    simple = {(name, False): 0 for name in ("full", "causal", "sliding window", "prefix")} | {("full", True): 1}
    for pattern, shape, hide in sorted(attempts, key=lambda a: simple.get((a[0].name, a[2]), 2 + a[2])):
        rebuilt = shape & seen[:, None]
        if torch.equal(rebuilt & seeing[:, :, None] if hide else rebuilt, keep):
            parts = [] if pattern.name == "full" else [pattern]
            parts += padding(seen | ~shape.any(dim=-2))
            parts += [Pattern("hidden queries", {"count": int((~seeing).sum())})] if hide else []
            return parts or [pattern]
    return [Pattern("irregular", {})]


def candidates(keep):
    _, q_len, k_len = keep.shape
    offset = k_len - q_len
    yield Pattern("full", {}), masks.full(q_len, k_len)
    for align in ("lower_right", "upper_left") if offset else ("lower_right",):
        yield Pattern("causal", {"align": align}), masks.causal(q_len, k_len, align)
    queries, keys = keep.any(dim=0).nonzero(as_tuple=True)
    distance = queries + offset - keys
    nearest, farthest = int(distance.min()), int(distance.max())
    if nearest == 0:
        yield Pattern("sliding window", {"window": farthest + 1}), masks.sliding_window(q_len, farthest + 1, k_len)
    first_row = keep[:, 0].any(dim=0).nonzero()
    if q_len == k_len and len(first_row) and 2 <= (prefix_len := int(first_row.max()) + 1) < q_len:
        yield Pattern("prefix", {"prefix_len": prefix_len}), masks.prefix(q_len, prefix_len)
    band = masks.full(q_len, k_len).tril(offset - nearest).triu(offset - farthest)
    yield Pattern("future only" if farthest < 0 else "banded", {"back": farthest, "ahead": -nearest}), band
    if q_len == k_len:
        first = torch.where(keep.any(dim=2), keep.int().argmax(dim=2), k_len + torch.arange(q_len))
        sizes = [torch.unique(row[row < k_len], return_counts=True)[1].tolist() for row in first]
        same = first[:, :, None] == first[:, None]
        yield Pattern("documents", {"sizes": sizes, "causal": False}), same
        yield Pattern("documents", {"sizes": sizes, "causal": True}), same.tril()


def padding(visible):
    if visible.all():
        return []
    if side := side_of(visible):
        return [Pattern("padding", {"side": side, "lengths": visible.sum(dim=1).tolist()})]
    return [Pattern("hidden keys", {"count": int((~visible).sum())})]


def side_of(visible):
    for side in ("right", "left"):
        if torch.equal(masks.lengths(visible.sum(dim=1), visible.shape[1], side)[:, 0, 0], visible):
            return side
    return None


# --- masks to try ----------------------------------------------------------------------------------------


def number(low, high):
    return int(torch.randint(low, high + 1, ()))


def one_in(n):
    return number(1, n) == 1


def documents(batch, q_len, k_len):
    if q_len != k_len:
        return masks.full(q_len, k_len)
    ids = torch.randint(number(1, 4), (batch, q_len))
    ids = ids if one_in(2) else ids.sort(dim=1).values
    return (ids[:, :, None] == ids[:, None])[:, None]


def band(batch, q_len, k_len):
    distance = torch.arange(q_len)[:, None] + k_len - q_len - torch.arange(k_len)
    low, high = sorted((number(-k_len, q_len), number(-k_len, q_len)))
    return (distance >= low) & (distance <= high)


def noise(*shape):
    return torch.rand(shape) < (0.1, 0.3, 0.6, 0.9, 0.97)[number(0, 4)]


SHAPES = [
    lambda batch, q_len, k_len: masks.full(q_len, k_len),
    lambda batch, q_len, k_len: masks.causal(q_len, k_len, "upper_left" if one_in(2) else "lower_right"),
    lambda batch, q_len, k_len: masks.sliding_window(q_len, number(1, k_len), k_len),
    lambda batch, q_len, k_len: masks.prefix(q_len, number(0, q_len)) if q_len == k_len else masks.full(q_len, k_len),
    lambda batch, q_len, k_len: noise(batch, 1, q_len, k_len),
    lambda batch, q_len, k_len: noise(q_len, k_len),
    documents,
    band,
]


def some_lengths(batch, length):
    return masks.lengths(torch.randint(length + 1, (batch,)), length, "left" if one_in(2) else "right")


def random_mask():
    """A mask of masks.py, or noise, with padding, holes, hidden queries, heads, a flipped cell: each now and then."""
    batch, q_len = number(1, 3), number(1, 11)
    k_len = number(1, 19) if one_in(3) else q_len
    keep = SHAPES[number(0, len(SHAPES) - 1)](batch, q_len, k_len)
    if one_in(4):
        keep = keep & SHAPES[number(0, len(SHAPES) - 1)](batch, q_len, k_len)
    if one_in(8):
        keep = keep | SHAPES[number(0, len(SHAPES) - 1)](batch, q_len, k_len)
    if one_in(9):
        keep = ~keep
    if one_in(3):
        keep = keep & some_lengths(batch, k_len)
    if one_in(5):
        keep = keep & some_lengths(batch, q_len).mT
    if one_in(5):
        keep = keep & noise(batch, 1, 1, k_len)
    if one_in(6):
        keep = keep & noise(batch, 1, q_len, 1)
    keep = keep.clone()
    if one_in(5):
        cell = tuple(number(0, size - 1) for size in keep.shape)
        keep[cell] = ~keep[cell]
    if one_in(4):
        keep = keep[(None,) * (4 - keep.ndim)].expand(-1, 2, -1, -1)
        if one_in(3):
            keep = torch.cat([keep[:, :1], ~keep[:, 1:]], dim=1)
    return keep


@pytest.mark.parametrize("seeds", [range(1500), pytest.param(range(1500, 30_000), marks=pytest.mark.gate)], ids=len)
def test_random_masks_are_recognised_as_by_comparing(seeds):
    names = set()
    for seed in seeds:
        torch.manual_seed(seed)
        keep = random_mask()
        parts = recognise(keep)
        assert repr(parts) == repr(compared(keep)), (seed, keep.int())  # repr: plain numbers in the parameters, too
        bits = patterns.pack(keep[(None,) * (4 - keep.ndim)])
        assert patterns.recognise_packed(bits, keep.shape[-1]) == parts
        if seed % 8 == 0:
            assert recognise(keep, inverted=True) == compared(~keep), (seed, keep.int())
        names |= {part.name for part in parts}
    everything = {"full", "nothing", "causal", "sliding window", "prefix", "banded", "future only", "documents"}
    assert names >= everything | {"padding", "hidden keys", "hidden queries", "per head", "irregular"}


@pytest.mark.parametrize(
    ("q_len", "k_len"),
    [(1, 1), (1, 4), (4, 1), (2, 2), (2, 3), (3, 2), (3, 3), (2, 4), (4, 2),
     pytest.param(3, 4, marks=pytest.mark.gate), pytest.param(4, 3, marks=pytest.mark.gate)],
)  # fmt: skip
def test_every_small_mask_is_recognised_as_by_comparing(q_len, k_len):
    for cells in itertools.product((False, True), repeat=q_len * k_len):
        keep = torch.tensor(cells).view(q_len, k_len)
        assert recognise(keep) == compared(keep), keep.int()


def test_numbers_of_rows_are_those_of_the_tensor():
    for seed in range(500):
        torch.manual_seed(seed)
        keep = random_mask()
        q_len, k_len = keep.shape[-2:]
        assert torch.equal(patterns.keys_per_query(keep), keep.sum(dim=-1))
        later = torch.ones(q_len, k_len).triu(k_len - q_len + 1).bool()
        assert patterns.shows_future(keep) == (q_len <= k_len and bool((keep & later).any()))
        for visible in (keep.reshape(-1, k_len), keep[..., 0, :].reshape(-1, k_len)):
            assert patterns.padding_side(visible) == side_of(visible)


@pytest.mark.parametrize("k_len", [7, 8, 9, 16, 17, 40])
def test_a_mask_is_recognised_however_its_memory_lies(k_len):
    """Transposed, cut out of something larger, expanded, and of each width around a byte."""
    causal = masks.causal(k_len)
    assert recognise(causal.T.contiguous().T) == [Pattern("causal", {"align": "lower_right"})]
    assert recognise(
        torch.zeros(3, k_len + 5, k_len + 5).bool().masked_fill(masks.causal(k_len + 5), True)[1, 5:, 5:]
    ) == [Pattern("causal", {"align": "lower_right"})]
    assert recognise(causal.expand(4, 3, -1, -1)) == [Pattern("causal", {"align": "lower_right"})]
    assert recognise(causal[:, :1].expand(-1, k_len)) == [Pattern("full", {})]
    assert patterns.keys_per_query(causal.T)[-1] == 1
    for expanded in (causal.expand(4, 3, -1, -1), causal[1:2].expand(k_len, -1), causal[1].expand(2, 1, k_len, -1)):
        assert torch.equal(patterns.keys_per_query(expanded), expanded.sum(dim=-1))
        assert patterns.shows_future(expanded) == bool(expanded.triu(1).any())
    for last in range(k_len):
        keep = torch.arange(k_len)[None] == last
        assert patterns.keys_per_query(keep).tolist() == [1]
        assert patterns.shows_future(keep.expand(k_len, -1)) == (last > 0)
        assert patterns.padding_side(keep) == ("right" if last == 0 else "left" if last == k_len - 1 else None)


def test_long_documents_are_compared_to_the_last_row():
    """5,000 tokens are more than are compared at a time."""
    keep = masks.documents(torch.arange(5000) % 3)
    assert recognise(keep)[0].parameters == {"sizes": [[1667, 1667, 1666]], "causal": False}
    assert recognise(keep.tril())[0].parameters == {"sizes": [[1667, 1667, 1666]], "causal": True}
    keep[4999, 4] = False
    assert recognise(keep) == [Pattern("irregular", {})]
