"""masks.py against plain loops, and its errors."""

import numpy as np
import pytest
import torch
from torch.nn.attention.bias import causal_lower_right

from utils import masks


def test_full_has_queries_as_rows():
    assert torch.equal(masks.full(2, 3), torch.tensor([[True] * 3] * 2))
    assert masks.full(4).shape == (4, 4)


@pytest.mark.parametrize("dtype", [torch.bool, torch.int64, torch.int32, torch.uint8, torch.float32])
def test_padding_keeps_where_one(dtype):
    attention_mask = torch.tensor([[1, 1, 1, 0], [1, 0, 0, 0]], dtype=dtype)
    before = attention_mask.clone()
    keep = masks.padding(attention_mask)
    assert keep.shape == (2, 1, 1, 4)
    assert keep.dtype == torch.bool
    for b in range(2):
        for k in range(4):
            assert keep[b, 0, 0, k].item() == (before[b, k] == 1)
    assert torch.equal(attention_mask, before)


def test_padding_allows_a_row_of_zeros_only_if_integer():
    assert not masks.padding(torch.zeros(1, 3, dtype=torch.long)).any()


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("as_tensor", [False, True])
def test_lengths_against_a_loop(side, as_tensor):
    sizes, k_len = [3, 0, 5, 1], 5
    keep = masks.lengths(torch.tensor(sizes) if as_tensor else sizes, k_len, side)
    assert keep.shape == (4, 1, 1, 5)
    for b, n in enumerate(sizes):
        real = set(range(n)) if side == "right" else set(range(k_len - n, k_len))
        assert {k for k in range(k_len) if keep[b, 0, 0, k]} == real


def test_lengths_takes_k_len_from_the_longest_and_accepts_more():
    assert masks.lengths([1, 3]).shape == (2, 1, 1, 3)
    assert masks.lengths([1, 3], 7).shape == (2, 1, 1, 7)
    assert masks.lengths(torch.tensor([2], dtype=torch.int32), side="left").all()


def test_a_tokenizers_mask_and_lengths_agree(minilm):
    _, tokenizer = minilm
    batch = tokenizer(["one two three", "one"], padding=True, return_tensors="pt")
    keep = masks.lengths(batch.attention_mask.sum(1), batch.input_ids.shape[1])
    assert torch.equal(keep, masks.padding(batch.attention_mask))


SIZES = [(q, k) for q in (1, 2, 3, 5) for k in (1, 2, 4, 6)]


@pytest.mark.parametrize(("q_len", "k_len"), SIZES)
def test_causal_and_sliding_window_against_a_loop(q_len, k_len):
    lower, upper = masks.causal(q_len, k_len), masks.causal(q_len, k_len, align="upper_left")
    windows = {window: masks.sliding_window(q_len, window, k_len) for window in (1, 2, 3, 99)}
    for q in range(q_len):
        place = q + k_len - q_len  # of the query, if the last query stands at the last key
        for k in range(k_len):
            assert lower[q, k] == (k <= place)
            assert upper[q, k] == (k <= q)
            for window, keep in windows.items():
                assert keep[q, k] == (place - window < k <= place)


@pytest.mark.parametrize(("q_len", "k_len"), SIZES)
def test_causal_is_what_torch_calls_it(q_len, k_len):
    query, key = torch.randn(1, 1, q_len, 4), torch.randn(1, 1, k_len, 4)
    attention = torch.nn.functional.scaled_dot_product_attention
    theirs = attention(query, key, torch.eye(k_len)[None, None], is_causal=True)[0, 0]
    assert torch.equal(theirs > 0, masks.causal(q_len, k_len, "upper_left"))
    if q_len <= k_len:
        bias = causal_lower_right(q_len, k_len)
        theirs = attention(query, key, torch.eye(k_len)[None, None], attn_mask=bias)[0, 0]
        assert torch.equal(theirs > 0, masks.causal(q_len, k_len))


@pytest.mark.parametrize("prefix_len", range(6))
def test_prefix_against_a_loop(prefix_len):
    keep = masks.prefix(5, prefix_len)
    assert all(keep[q, k] == (k < prefix_len or k <= q) for q in range(5) for k in range(5))
    assert torch.equal(masks.prefix(5, 0), masks.causal(5))
    assert torch.equal(masks.prefix(5, 5), masks.full(5))


def test_documents_one_row_and_a_batch():
    ids = torch.tensor([[0, 0, 1, 1, 0], [7, 8, 8, 8, 9]])
    keep = masks.documents(ids)
    assert keep.shape == (2, 1, 5, 5)
    for b in range(2):
        assert torch.equal(masks.documents(ids[b]), keep[b, 0])
        assert torch.equal(masks.documents(ids[b].tolist()), keep[b, 0])
        assert all(keep[b, 0, q, k] == (ids[b, q] == ids[b, k]) for q in range(5) for k in range(5))


def test_masks_compose():
    keep = masks.causal(4) & masks.documents([0, 0, 1, 1]) & masks.lengths([4, 3], 4)
    assert keep.shape == (2, 1, 4, 4)
    rows = [["1...", "11..", "..1.", "..11"], ["1...", "11..", "..1.", "..1."]]
    assert [["".join(".1"[int(x)] for x in row) for row in one[0]] for one in keep] == rows
    either = masks.causal(3) | masks.full(3)
    assert either.all()


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: masks.full(0), ValueError, "q_len: got 0"),
        (lambda: masks.full(-3), ValueError, "q_len: got -3"),
        (lambda: masks.full(2, 0), ValueError, "k_len: got 0"),
        (lambda: masks.full(2.0), TypeError, "q_len: got 2.0, wanted an int"),
        (lambda: masks.full(True), TypeError, "q_len: got True"),
        (lambda: masks.full("3"), TypeError, "q_len: got '3'"),
        (lambda: masks.full(torch.tensor(3)), TypeError, "q_len: got an int64 tensor"),
        (lambda: masks.padding([[1, 0]]), TypeError, "A list is no mask"),
        (lambda: masks.padding(np.ones((1, 2))), TypeError, "attention_mask: got a ndarray"),
        (lambda: masks.padding(None), TypeError, "attention_mask: got None"),
        (lambda: masks.padding(torch.tensor([1, 0])), ValueError, r"Add the batch: attention_mask\[None\]"),
        (lambda: masks.padding(torch.ones(1, 1, 3)), ValueError, r"of shape \(1, 1, 3\)"),
        (lambda: masks.padding(torch.ones(0, 3)), ValueError, "empty"),
        (lambda: masks.padding(torch.ones(3, 0)), ValueError, "empty"),
        (lambda: masks.padding(torch.tensor([[101, 7592, 102]])), ValueError, "Did you pass input_ids"),
        (lambda: masks.padding(~torch.tensor([[1, 1, 0]])), ValueError, "`~` on an integer mask"),
        (lambda: masks.padding(torch.tensor([[1.0, 0.5]])), ValueError, "value 0.5, wanted only 0 and 1"),
        (lambda: masks.padding(torch.tensor([[0.0, -torch.inf]])), ValueError, "from_additive"),
        (lambda: masks.padding(torch.zeros(1, 3)), ValueError, "say which"),
        (lambda: masks.padding(torch.tensor([[1.0, torch.nan]])), ValueError, "value nan"),
        (lambda: masks.lengths([]), ValueError, "lengths: got an int64 tensor of shape \\(0,\\), which is empty"),
        (lambda: masks.lengths([3, -1]), ValueError, "lengths: got -1"),
        (lambda: masks.lengths([3, 9], 5), ValueError, "got 9, which is more than k_len=5"),
        (lambda: masks.lengths([2.5]), TypeError, "got 2.5 among them"),
        (lambda: masks.lengths([True]), TypeError, "got True among them"),
        (lambda: masks.lengths("35"), TypeError, "lengths: got '35'"),
        (lambda: masks.lengths(4), TypeError, "lengths: got 4"),
        (lambda: masks.lengths(torch.tensor([1.0, 2.0])), TypeError, "wanted integers"),
        (lambda: masks.lengths(torch.tensor([True, False])), TypeError, "Is this an attention_mask"),
        (lambda: masks.lengths(torch.tensor([[1, 1]])), ValueError, r"of shape \(1, 2\)"),
        (lambda: masks.lengths([0, 0]), ValueError, "pass k_len"),
        (lambda: masks.lengths([1], 0), ValueError, "k_len: got 0"),
        (lambda: masks.lengths([1], side="both"), ValueError, "side: got 'both'"),
        (lambda: masks.causal(0), ValueError, "q_len: got 0"),
        (lambda: masks.causal(2, -1), ValueError, "k_len: got -1"),
        (lambda: masks.causal(torch.ones(3, 3)), TypeError, "q_len: got a float32 tensor"),
        (lambda: masks.causal(3, align="left"), ValueError, "align: got 'left'"),
        (lambda: masks.sliding_window(3, 0), ValueError, "window: got 0"),
        (lambda: masks.sliding_window(3, 1.5), TypeError, "window: got 1.5"),
        (lambda: masks.prefix(3, 4), ValueError, "prefix_len: got 4, which is more than q_len=3"),
        (lambda: masks.prefix(3, -1), ValueError, "prefix_len: got -1"),
        (lambda: masks.documents([]), ValueError, "document_ids: got an int64 tensor of shape"),
        (lambda: masks.documents([[0, 1], [0]]), ValueError, "document_ids: got rows of lengths"),
        (lambda: masks.documents(torch.ones(2, 2, 2)), ValueError, r"of shape \(2, 2, 2\)"),
        (lambda: masks.documents(torch.tensor([True, False])), TypeError, "Is this an attention_mask"),
        (lambda: masks.documents(torch.tensor([0.0, 1.0])), TypeError, "wanted integers"),
    ],
)
def test_bad_input_is_named(call, error, says):
    with pytest.raises(error, match=says):
        call()
