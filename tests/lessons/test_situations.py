"""Ten situations in which someone with nothing but the cheat sheet must pick the right mask, and their answers, run.

Each test's docstring is the situation as it is put to a reader; the code is the answer that the sheet must lead to.
"""

import pytest
import torch
import torch.nn.functional as F

from utils import conventions, masks, models


@pytest.fixture(autouse=True)
def no_gradients():
    with torch.no_grad():
        yield


@pytest.fixture(scope="module")
def gpt2():
    model, tokenizer = models.load("story-gpt2")
    tokenizer.pad_token = tokenizer.eos_token
    return model, tokenizer


def test_1_padding_in_sdpa():
    """You call F.scaled_dot_product_attention in an encoder of your own: query, key and value are (4, 8, 20, 64),
    float32. The tokenizer gave attention_mask, int64, (4, 20), pads on the right. Which attn_mask do you pass, and
    what would happen with attention_mask as it is?"""
    query, key, value = torch.randn(3, 4, 8, 20, 64)
    lengths = [20, 15, 8, 3]
    attention_mask = masks.lengths(lengths)[:, 0, 0].long()
    keep = (attention_mask == 1)[:, None, None, :]  # bool, (4, 1, 1, 20), False at pads
    found = F.scaled_dot_product_attention(query, key, value, attn_mask=keep)
    for text, n in enumerate(lengths):
        alone = F.scaled_dot_product_attention(query[text, :, :n], key[text, :, :n], value[text, :, :n])
        torch.testing.assert_close(found[text, :, :n], alone)
    for wrong in (attention_mask, attention_mask.bool()):  # the second is read as (q_len, k_len)
        with pytest.raises(RuntimeError):
            F.scaled_dot_product_attention(query, key, value, attn_mask=wrong)


def test_2_padding_and_causality_in_multihead_attention():
    """A language model of your own uses nn.MultiheadAttention(256, 8, batch_first=True); x is (4, 20, 256), pads on
    the right, the tokenizer's mask int64 (4, 20). Each token may see itself and earlier real tokens only. Which two
    arguments do you pass?"""
    attention_mask = masks.lengths([20, 15, 8, 3])[:, 0, 0].long()
    mha, x = torch.nn.MultiheadAttention(256, 8, batch_first=True), torch.randn(4, 20, 256)
    later = torch.ones(20, 20).triu(1).bool()  # True = ignore
    _, weights = mha(x, x, x, attn_mask=later, key_padding_mask=attention_mask == 0)
    assert torch.equal(weights > 0, (masks.causal(20) & masks.padding(attention_mask))[:, 0])


PROMPTS = ["Once upon a time there was a", "The dog", "My dog is here", "Lily saw", "Tom went to the park and"]


def test_3a_a_batch_for_generate(gpt2):
    """GPT-2 shall continue five prompts of unequal length in one batch with model.generate. Its tokenizer has no pad
    token. How do you tokenize, what do you pass, and must you make position_ids?"""
    model, tokenizer = gpt2
    batch = tokenizer(PROMPTS, padding=True, padding_side="left", return_tensors="pt")
    greedy = {"max_new_tokens": 6, "do_sample": False, "pad_token_id": tokenizer.pad_token_id}
    for prompt, row in zip(PROMPTS, model.generate(**batch, **greedy), strict=True):
        alone = model.generate(**tokenizer(prompt, return_tensors="pt"), **greedy)[0]
        assert torch.equal(row[-6:], alone[-6:])


def test_3b_the_same_batch_in_forward(gpt2):
    """The same prompts go through GPT-2 with model(...), pads on the left; the third row of the tokenizer's mask is 0
    0 0 1 1 1 1. You want the logits of the next token. What do you pass beside input_ids, what does its third row
    hold, and where do you read?"""
    model, tokenizer = gpt2
    batch = tokenizer(PROMPTS, padding=True, padding_side="left", return_tensors="pt")
    assert batch.attention_mask[2].tolist() == [0, 0, 0, 1, 1, 1, 1]
    position_ids = (batch.attention_mask.cumsum(dim=-1) - 1).clamp(min=0)
    assert position_ids[2].tolist() == [0, 0, 0, 0, 1, 2, 3]
    alone = torch.cat([model(**tokenizer(prompt, return_tensors="pt")).logits[:, -1] for prompt in PROMPTS])
    torch.testing.assert_close(model(**batch, position_ids=position_ids).logits[:, -1], alone, atol=1e-3, rtol=1e-4)
    assert (model(**batch).logits[:, -1] - alone).abs().max() > 0.1


def test_4_two_sentences_apart_in_bert(minilm):
    """ "Dogs bark." and "Rain is coming now." go into BertModel (transformers 5, eager, float32) as one row of 11
    tokens. No token of one sentence may see the other. A colleague passes a bool tensor (1, 1, 11, 11), True = may
    attend. What happens, and what do you pass instead?"""
    model, tokenizer = minilm
    pair = tokenizer("Dogs bark.", "Rain is coming now.", return_tensors="pt")
    keep = masks.documents(pair.token_type_ids)
    form = conventions.to_hf(keep, model=model)
    assert (form.shape, form.dtype) == ((1, 1, 11, 11), torch.float32)
    assert form.unique().tolist() == [torch.finfo(torch.float32).min, 0]

    def seen(attention_mask):
        return model(**{**pair, "attention_mask": attention_mask}, output_attentions=True).attentions[0] > 0

    assert torch.equal(seen(form), keep.expand(1, 12, 11, 11))
    assert seen(keep).all(), "the bool mask hides nothing, without a word"


def test_5_a_step_with_a_cache_in_sdpa():
    """Generation by hand on SDPA: query (2, 8, 1, 64), key and value (2, 8, 7, 64). Row 0 of the batch has two pads on
    the left, row 1 none. What do you pass as attn_mask: shape, dtype, the seven values of row 0? What would
    is_causal=True do?"""
    query, (key, value) = torch.randn(2, 8, 1, 64), torch.randn(2, 2, 8, 7, 64)
    keep = torch.tensor([[0, 0, 1, 1, 1, 1, 1], [1] * 7]).bool()[:, None, None]  # (2, 1, 1, 7)
    found = F.scaled_dot_product_attention(query, key, value, attn_mask=keep)
    alone = F.scaled_dot_product_attention(query[0], key[0, :, 2:], value[0, :, 2:])
    torch.testing.assert_close(found[0], alone)
    first_key_only = F.scaled_dot_product_attention(query, key, value, is_causal=True)
    torch.testing.assert_close(first_key_only, value[:, :, :1])
    assert torch.equal(masks.causal(1, 7) & keep, keep), "the newest token needs no triangle"


def test_6_cross_attention():
    """A decoder layer looks at an encoded source: mha(target, source, source), batch_first=True, target (4, 10, 256),
    source (4, 30, 256), some sources padded on the right, their mask int64 (4, 30). Which argument, shape, dtype
    and value at pads? Do you need a triangle?"""
    source_mask = masks.lengths([30, 20, 11, 5])[:, 0, 0].long()
    mha = torch.nn.MultiheadAttention(256, 8, batch_first=True)
    target, source = torch.randn(4, 10, 256), torch.randn(4, 30, 256)
    _, weights = mha(target, source, source, key_padding_mask=source_mask == 0)
    assert torch.equal(weights > 0, (source_mask == 1)[:, None].expand(4, 10, 30))


def test_7_a_bias_in_float16():
    """Attention by hand in float16: scores (2, 8, 16, 16), two bool masks, causal (16, 16) and padding (2, 1, 1, 16),
    True = may attend. The second text is nothing but pads. How do you make the bias, with which number, and what do
    the rows of that text hold? Name two ways to get NaN."""
    scores = torch.randn(2, 8, 16, 16).half()
    keep = masks.causal(16) & masks.lengths([10, 0], 16)
    low = torch.finfo(torch.float16).min
    bias = torch.zeros(keep.shape, dtype=torch.float16).masked_fill(~keep, low)
    weights = (scores + bias).softmax(dim=-1)
    assert torch.equal(weights[0] > 0, keep[0].expand(8, 16, 16))
    assert (weights[1] == 1 / 16).all()
    with pytest.raises(RuntimeError, match="overflow"):
        scores.masked_fill(~keep, -1e9)
    for ways_to_nan in (-1e9, -torch.inf):
        infinite = torch.zeros(keep.shape).masked_fill(~keep, ways_to_nan).half()
        assert (scores + infinite).softmax(dim=-1)[1].isnan().all()


def test_8_packing_for_gpt2(gpt2):
    """Three texts of 6, 4 and 5 tokens are packed into one row for GPT-2, one forward pass. Name two ways to call the
    model so that no text sees another and each has the logits that it has alone. What breaks the second way without
    a word?"""
    model, _ = gpt2
    lengths = (6, 4, 5)
    parts = [torch.randint(1000, (1, n)) for n in lengths]
    packed, restart = torch.cat(parts, dim=1), torch.cat([torch.arange(n) for n in lengths])[None]
    alone = torch.cat([model(part).logits[0] for part in parts])
    text_ids = torch.repeat_interleave(torch.arange(3), torch.tensor(lengths))
    form = conventions.to_hf(masks.causal(15) & masks.documents(text_ids), model=model)
    for way in ({"attention_mask": form}, {"use_cache": False}):
        torch.testing.assert_close(model(packed, position_ids=restart, **way).logits[0], alone, atol=1e-3, rtol=1e-4)
    for broken in ({}, {"use_cache": False, "attention_mask": torch.ones_like(packed)}):
        assert (model(packed, position_ids=restart, **broken).logits[0] - alone).abs().max() > 0.1


def test_9_a_mask_for_each_head():
    """nn.MultiheadAttention(256, 4, batch_first=True), x is (3, 12, 256): heads 0 and 1 shall be causal, heads 2 and 3
    look back at three tokens only, itself counted. What do you pass: argument, shape, dtype, order of the first
    dimension?"""
    keep = torch.stack([masks.causal(12)] * 2 + [masks.sliding_window(12, 3)] * 2).expand(3, 4, 12, 12)
    ignore = ~keep.flatten(0, 1)  # (12, 12, 12): all heads of text 0, then of text 1, then of text 2
    mha, x = torch.nn.MultiheadAttention(256, 4, batch_first=True), torch.randn(3, 12, 256)
    for given in ({"attn_mask": ignore}, conventions.to_mha(keep, 4)):
        _, weights = mha(x, x, x, average_attn_weights=False, **given)
        assert torch.equal(weights > 0, keep)


def test_10_two_masks_of_unknown_meaning():
    """In somebody's project you find two float32 tensors (3, 1, 12, 12), both called mask. One holds 0 and −10⁹, the
    other 0 and 1. Which places does each hide in F.scaled_dot_product_attention? How do you find out what the
    second was meant to hide, and what do you do with it?"""
    meant = masks.causal(12).expand(3, 1, 12, 12)
    query, key = torch.randn(2, 3, 2, 12, 12)
    value = torch.eye(12).expand(3, 2, 12, 12)  # so that the output is the weights

    def seen(attn_mask):
        return F.scaled_dot_product_attention(query, key, value, attn_mask=attn_mask) > 0

    assert torch.equal(seen(torch.zeros(3, 1, 12, 12).masked_fill(~meant, -1e9)), meant.expand(3, 2, 12, 12))
    second = meant.float()
    assert seen(second).all(), "it hides nothing"
    assert (second.diagonal(dim1=-2, dim2=-1) == 1).all(), "a token sees itself, so 1 keeps"
    assert torch.equal(seen(second == 1), meant.expand(3, 2, 12, 12))
