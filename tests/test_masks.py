"""masks.py against plain loops, and its errors."""

import numpy as np
import pytest
import torch

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
    ],
)
def test_bad_input_is_named(call, error, says):
    with pytest.raises(error, match=says):
        call()
