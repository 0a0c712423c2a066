"""Facts about masks in torch and transformers, each executed: what is often believed beside what is right."""

import re
from itertools import product
from math import exp, log

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.attention.bias import causal_lower_right

from tests.support import tiny
from utils import conventions, masks, models
from utils.attention import attend
from utils.influence import find_leaks, influence

BATCH, HEADS, Q_LEN, K_LEN, DIM = 2, 2, 3, 5, 8

IDS = torch.tensor([[11, 42, 7, 33, 28, 25]])
FIRST, SECOND = IDS[:, :2], IDS[:, 2:]  # two sentences of unequal length, packed into one row
DOCUMENT = torch.tensor([0, 0, 1, 1, 1, 1])
SAME_SENTENCE = DOCUMENT[:, None] == DOCUMENT
RESTARTED = torch.tensor([[0, 1, 0, 1, 2, 3]])  # position_ids that begin anew with each sentence

each_decoder = pytest.mark.parametrize("kind", ["gpt2", "llama"])
each_implementation = pytest.mark.parametrize("implementation", ["eager", "sdpa"])
# torch says it once per process, so it can be neither expected nor left to pass.
nested_prototype = pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors is in prototype stage")


def inputs(*leading, q_len=Q_LEN, k_len=K_LEN):
    """query, key and value, random; leading is () or (batch, heads)."""
    return tuple(torch.randn(*leading, n, DIM) for n in (q_len, k_len, k_len))


def sdpa_weights(query, key, attn_mask=None, **kwargs):
    """SDPA returns no weights, but with the identity as values they are its output."""
    value = torch.eye(key.shape[-2]).expand(*key.shape[:-1], -1)
    return F.scaled_dot_product_attention(query, key, value, attn_mask=attn_mask, **kwargs)


def multihead(**kwargs):
    return nn.MultiheadAttention(DIM, HEADS, batch_first=True, **kwargs)


def encoder_layer():
    return nn.TransformerEncoderLayer(DIM, HEADS, 16, dropout=0.0, batch_first=True)


def padded_left(ids, amount=3):
    """ids with pads before them, their attention_mask, and position_ids that count real tokens only."""
    attention_mask = F.pad(torch.ones_like(ids), (amount, 0))
    return F.pad(ids, (amount, 0)), attention_mask, (attention_mask.cumsum(-1) - 1).clamp(min=0)


def close(found, wanted):
    return torch.allclose(found, wanted, atol=1e-5)


def far(found, wanted):
    """Not a matter of rounding: somewhere they differ by more than a hundredth."""
    return (found - wanted).abs().max() > 0.01


# --- F1: the conventions --------------------------------------------------------------------------


def test_F1_the_same_bool_tensor_means_opposite_things():
    same = torch.tensor([[True, True, True, False, False]])  # (batch, k_len)
    query, key, _ = inputs(1)
    _, weights = multihead()(query, key, key, key_padding_mask=same)
    assert torch.equal(weights[0] > 0, ~same.expand(Q_LEN, K_LEN))
    assert torch.equal(sdpa_weights(query, key, same)[0] > 0, same.expand(Q_LEN, K_LEN))
    bert = tiny.model("bert", "eager")
    for attention_mask in (same, same.long()):
        weights = bert(IDS[:, :K_LEN], attention_mask=attention_mask, output_attentions=True).attentions[0]
        assert torch.equal(weights[0, 0] > 0, same.expand(K_LEN, K_LEN))


def test_F1_a_mask_for_mha_makes_sdpa_see_the_future_only():
    future = torch.ones(4, 4, dtype=torch.bool).triu(1)  # True = ignore
    x = torch.randn(1, 4, DIM)
    _, weights = multihead()(x, x, x, attn_mask=future)
    assert torch.equal(weights[0] > 0, masks.causal(4))
    wrong = sdpa_weights(x, x, future)[0]
    assert torch.equal(wrong > 0, future)
    assert wrong[-1].tolist() == [0, 0, 0, 0], "the last query sees nothing at all"
    assert torch.equal(sdpa_weights(x, x, ~future)[0] > 0, masks.causal(4))


# --- F2 to F5: rows in which everything is hidden --------------------------------------------------


def one_row_hidden():
    """Row 0 sees some keys, row 1 none, row 2 all."""
    return torch.tensor([[1, 1, 0, 1, 0], [0, 0, 0, 0, 0], [1, 1, 1, 1, 1]], dtype=torch.bool)


def test_F2_a_fully_hidden_row_is_nan_in_a_softmax_and_zero_in_sdpa():
    query, key, value = inputs()
    keep = one_row_hidden()
    weights = (query @ key.T).masked_fill(~keep, -torch.inf).softmax(-1)
    assert weights.isnan().any(-1).tolist() == [False, True, False]
    wanted = attend(query, key, value, keep, empty_rows="zero").output
    assert wanted[1].tolist() == [0] * DIM
    for attn_mask in (keep, conventions.to_additive(keep, fill="-inf")):
        found = F.scaled_dot_product_attention(query[None], key[None], value[None], attn_mask=attn_mask)[0]
        assert found[1].tolist() == [0] * DIM
        assert close(found, wanted)


@pytest.mark.parametrize("fill", ["min", -1e9])
def test_F2_a_fully_hidden_row_is_uniform_with_a_large_finite_fill(fill):
    query, key, value = inputs()
    bias = conventions.to_additive(one_row_hidden(), fill=fill)
    weights = (query @ key.T + bias).softmax(-1)
    assert torch.equal(weights[1], torch.full((K_LEN,), 1 / K_LEN))
    assert torch.equal(weights[0] > 0, one_row_hidden()[0]), "a row that sees something is right"
    found = F.scaled_dot_product_attention(query[None], key[None], value[None], attn_mask=bias)[0]
    assert close(found[1], value.mean(0))


def test_F2_a_fully_hidden_row_keeps_its_distribution_with_a_small_fill():
    query, key, _ = inputs()
    scores = query @ key.T
    weights = (scores + conventions.to_additive(one_row_hidden(), fill=-1e4)).softmax(-1)
    assert torch.equal(weights[0] > 0, one_row_hidden()[0])
    assert torch.allclose(weights[1], scores[1].softmax(-1), atol=2e-3), "as if nothing were hidden"
    assert far(weights[1], torch.full((K_LEN,), 1 / K_LEN))
    # Only rounding makes -1e9 uniform: float64 still tells the scores apart.
    weights = (scores.double() + conventions.to_additive(one_row_hidden(), torch.float64, -1e9)).softmax(-1)
    assert torch.allclose(weights[1], scores[1].double().softmax(-1), atol=1e-5)


def mha_with_an_empty_row(**kwargs):
    """(output of the query that sees nothing, bias of the last projection)."""
    mha = multihead().eval()
    nn.init.normal_(mha.out_proj.bias)  # it begins as 0, which would hide what is left of the row
    x = torch.randn(1, Q_LEN, DIM)
    ignore = ~one_row_hidden()[:, :Q_LEN]
    return mha(x, x, x, attn_mask=ignore, **kwargs)[0][0, 1], mha.out_proj.bias


def test_F3_whether_mha_returns_nan_depends_on_need_weights():
    output, _ = mha_with_an_empty_row()
    assert output.isnan().all(), "need_weights is True by default"
    output, bias = mha_with_an_empty_row(need_weights=False)
    assert torch.equal(output, bias), "weights of 0, so only the bias of the projection is left"


@torch.no_grad()
@pytest.mark.parametrize("need_weights", [True, False])
def test_F3_on_the_fast_path_it_is_nan_either_way(need_weights):
    output, _ = mha_with_an_empty_row(need_weights=need_weights)
    assert output.isnan().all()


def gradients(attention):
    """Gradients of query, key and value, of a loss that leaves the empty row out."""
    leaves = [leaf.requires_grad_() for leaf in inputs(1)]
    output = attention(*leaves, one_row_hidden())
    output[:, [0, 2]].square().sum().backward()
    return [leaf.grad for leaf in leaves]


def test_F4_minus_inf_gives_nan_gradients_in_a_softmax():
    def added(query, key, value, keep):
        return (query @ key.mT + conventions.to_additive(keep, fill="-inf")).softmax(-1) @ value

    scores = []

    def filled(query, key, value, keep):
        scores.append(query @ key.mT)
        scores[0].retain_grad()
        return scores[0].masked_fill(~keep, -torch.inf).softmax(-1) @ value

    assert all(grad.isnan().any() for grad in gradients(added))
    query, key, value = gradients(filled)
    assert scores[0].grad[0, 1].tolist() == [0] * K_LEN
    assert not query.isnan().any()
    assert not key.isnan().any()
    assert value.isnan().any(), "the loss gives the row a gradient of 0, but its weights are NaN, and 0 × NaN is NaN"


def test_F4_sdpa_has_finite_gradients():
    def fused(query, key, value, keep):
        return F.scaled_dot_product_attention(query, key, value, attn_mask=keep)

    def fused_additive(query, key, value, keep):
        return fused(query, key, value, conventions.to_additive(keep, fill="-inf"))

    for attention in (fused, fused_additive):
        for grad in gradients(attention):
            assert grad.isfinite().all()
            assert grad.abs().sum() > 0


@pytest.mark.parametrize("need_weights", [True, False])
def test_F4_mha_has_nan_gradients_if_weights_are_asked_for(need_weights):
    mha = multihead()
    x = torch.randn(1, Q_LEN, DIM)
    output, _ = mha(x, x, x, attn_mask=~one_row_hidden()[:, :Q_LEN], need_weights=need_weights)
    loss = output[:, [0, 2]].sum()
    loss.backward()
    assert loss.isfinite(), "the loss does not show it"
    if need_weights:
        assert mha.in_proj_weight.grad.isnan().all(), "one step of the optimiser, and every weight is NaN"
    else:
        assert mha.in_proj_weight.grad.isfinite().all()
        assert mha.in_proj_weight.grad.abs().sum() > 0


LAST_ROW_AND_COLUMN = torch.zeros(4, 4, dtype=torch.bool)
LAST_ROW_AND_COLUMN[:3, :3] = True
LAST_COLUMN = masks.lengths([3], 4)[0, 0].expand(4, 4)


def two_layers(keep, x, need_weights=True):
    layers = multihead(), multihead()
    outputs = []
    for layer in layers:
        attn_mask = conventions.to_additive(keep, fill="-inf")
        x = layer(x, x, x, attn_mask=attn_mask, need_weights=need_weights)[0]
        outputs.append(x)
    return outputs


def test_F5_nan_of_a_hidden_row_reaches_every_row_in_the_next_layer():
    first, second = two_layers(LAST_ROW_AND_COLUMN, torch.randn(1, 4, DIM))
    assert first.isnan().any(-1).tolist() == [[False, False, False, True]]
    assert second.isnan().all(), "0 × NaN: the hidden key of layer 2 has a NaN value"
    for output in two_layers(LAST_ROW_AND_COLUMN, torch.randn(1, 4, DIM), need_weights=False):
        assert output.isfinite().all()


@pytest.mark.parametrize("gradients_on", [True, False])
def test_F5_in_an_encoder_layer_it_shows_on_the_fast_path_only(gradients_on):
    """Everywhere else the layer asks for no weights, so that the row is 0 rather than NaN."""
    layers = encoder_layer().eval(), encoder_layer().eval()
    bias = conventions.to_additive(LAST_ROW_AND_COLUMN, fill="-inf")
    with torch.set_grad_enabled(gradients_on):
        first = layers[0](torch.randn(1, 4, DIM), src_mask=bias)
        second = layers[1](first, src_mask=bias)
    assert first.isnan().any(-1).tolist() == [[False, False, False, not gradients_on]]
    assert second.isnan().any(-1).tolist() == [[not gradients_on] * 4]


@pytest.mark.parametrize("gradients_on", [True, False])
def test_F5_hiding_columns_only_equals_the_unpadded_run(gradients_on):
    layers = encoder_layer().eval(), encoder_layer().eval()
    x = torch.randn(1, 4, DIM)
    bias = conventions.to_additive(LAST_COLUMN, fill="-inf")
    with torch.set_grad_enabled(gradients_on):
        found = layers[1](layers[0](x, src_mask=bias), src_mask=bias)
        alone = layers[1](layers[0](x[:, :3]))
        unmasked = layers[1](layers[0](x))
    assert torch.allclose(found[:, :3], alone, atol=1e-6)
    assert far(unmasked[:, :3], alone)


# --- F6 to F8: masks that torch misreads -----------------------------------------------------------


def test_F6_sdpa_adds_a_float_mask_of_0_and_1_and_refuses_integers():
    query, key, _ = inputs(BATCH, HEADS)
    keep = masks.lengths([5, 3], K_LEN)
    right = sdpa_weights(query, key, keep)
    assert torch.equal(right > 0, keep.expand_as(right))
    wrong = sdpa_weights(query, key, keep.float())
    assert (wrong > 0).all()
    assert close(wrong, (query @ key.mT / DIM**0.5 + keep.float()).softmax(-1)), "1 is added to the kept scores"
    assert close(wrong[0], sdpa_weights(query[0], key[0])), "and where all are kept, nothing changes"
    for dtype in (torch.int64, torch.uint8, torch.float16):
        with pytest.raises(RuntimeError, match="Expected attn_mask dtype to be bool or float"):
            sdpa_weights(query, key, keep.to(dtype))


def test_F6_sdpa_reads_a_mask_of_batch_and_k_len_as_q_len_and_k_len():
    padding = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]], dtype=torch.bool)  # (batch, k_len)
    query, key, _ = inputs(BATCH, HEADS, q_len=BATCH)
    wrong = sdpa_weights(query, key, padding)
    assert torch.equal(wrong > 0, padding.expand_as(wrong)), "query 1 of both sequences, rather than sequence 1"
    right = sdpa_weights(query, key, masks.padding(padding))
    assert torch.equal(right > 0, padding[:, None, None].expand_as(right))
    query, key, _ = inputs(BATCH, HEADS, q_len=3)
    with pytest.raises(RuntimeError, match="must match the size"):
        sdpa_weights(query, key, padding)


def every_mode(test):
    """Train or eval, gradients on or off, weights asked for or not: the paths that MultiheadAttention has."""
    for name in ("need_weights", "gradients_on", "training"):
        test = pytest.mark.parametrize(name, [True, False])(test)
    return test


NOTHING_HIDDEN = torch.zeros(4, 4)
CAUSAL = nn.Transformer.generate_square_subsequent_mask(4)


@every_mode
def test_F7_mha_with_a_causal_hint_and_no_mask(training, gradients_on, need_weights):
    mha, x = multihead().train(training), torch.randn(2, 4, DIM)
    with torch.set_grad_enabled(gradients_on):
        if training or gradients_on:
            with pytest.raises(RuntimeError, match="Need attn_mask if specifying the is_causal hint"):
                mha(x, x, x, is_causal=True, need_weights=need_weights)
            return
        found = mha(x, x, x, is_causal=True, need_weights=need_weights)[0]
        assert close(found, mha(x, x, x)[0]), "the fast path attends to everything, without a word"
        assert far(found, mha(x, x, x, attn_mask=CAUSAL)[0])


@every_mode
def test_F7_mha_obeys_a_wrong_hint_if_no_weights_are_asked_for(training, gradients_on, need_weights):
    mha, x = multihead().train(training), torch.randn(2, 4, DIM)
    with torch.set_grad_enabled(gradients_on):
        found = mha(x, x, x, attn_mask=NOTHING_HIDDEN, is_causal=True, need_weights=need_weights)[0]
        full, causal = mha(x, x, x)[0], mha(x, x, x, attn_mask=CAUSAL)[0]
    assert close(found, full if need_weights else causal)
    assert far(found, causal if need_weights else full)


@pytest.mark.parametrize("module", ["layer", "encoder"])
def test_F7_an_encoder_layer_drops_the_hint_on_the_fast_path(module):
    model, x = encoder_layer(), torch.randn(2, 4, DIM)
    if module == "encoder":
        model = nn.TransformerEncoder(model, 2, enable_nested_tensor=False)
    mask_name = "mask" if module == "encoder" else "src_mask"
    for training, gradients_on in [(True, True), (True, False), (False, True)]:
        model.train(training)
        with torch.set_grad_enabled(gradients_on), pytest.raises(RuntimeError, match="Need attn_mask"):
            model(x, is_causal=True)
    with torch.no_grad():
        found = model.eval()(x, is_causal=True)
        assert close(found, model(x))
        assert far(found, model(x, **{mask_name: CAUSAL}))


def test_F8_the_causal_mask_of_torch_is_float_and_does_not_mix_with_a_bool_one():
    assert CAUSAL.dtype == torch.float32
    assert torch.equal(CAUSAL, conventions.to_additive(masks.causal(4), fill="-inf"))
    mha, x = multihead(), torch.randn(2, 4, DIM)
    key_padding_mask = ~masks.lengths([4, 2])[:, 0, 0]
    with pytest.warns(UserWarning, match="mismatched key_padding_mask and attn_mask is deprecated"):
        _, mixed = mha(x, x, x, attn_mask=CAUSAL, key_padding_mask=key_padding_mask)
    _, both_bool = mha(x, x, x, attn_mask=CAUSAL.isinf(), key_padding_mask=key_padding_mask)
    assert torch.equal(mixed, both_bool), "the warning is about the future, the result is right"


def test_F8_a_3d_mask_repeats_each_sequence_once_per_head():
    keep = torch.tensor([[1, 0, 0], [1, 1, 0], [1, 1, 1]]).bool().repeat(BATCH, 1, 1)
    keep[1] = torch.eye(3).bool()
    mha, x = multihead(), torch.randn(BATCH, 3, DIM)

    def visible(attn_mask):
        return mha(x, x, x, attn_mask=attn_mask, average_attn_weights=False)[1] > 0

    wanted = keep[:, None].expand(BATCH, HEADS, 3, 3)
    assert torch.equal(visible(~keep.repeat_interleave(HEADS, 0)), wanted)
    wrong = visible(~keep.repeat(HEADS, 1, 1))
    assert torch.equal(wrong, keep.expand(BATCH, HEADS, 3, 3)), "head 1 of sequence 0 gets the mask of sequence 1"
    assert not torch.equal(wrong, wanted)


def test_F8_mha_adds_a_float_attention_mask_of_hugging_face():
    attention_mask = torch.tensor([[1.0, 1, 1, 0]])
    mha, x = multihead(), torch.randn(1, 4, DIM)

    def weights(**kwargs):
        return mha(x, x, x, average_attn_weights=False, **kwargs)[1]

    biased = weights(key_padding_mask=attention_mask)
    assert (biased > 0).all()
    odds = biased[..., 0] / biased[..., 3] / (weights()[..., 0] / weights()[..., 3])
    assert torch.allclose(odds, torch.tensor(exp(1)), rtol=1e-4), "real tokens gain a factor e over padding, no more"
    assert (weights(key_padding_mask=attention_mask == 0)[..., 3] == 0).all()
    with pytest.raises(AssertionError, match="only bool and floating types of key_padding_mask"):
        weights(key_padding_mask=attention_mask.long())


# --- sentences that a run refuted: torch ------------------------------------------------------------


@pytest.mark.parametrize("rank", [2, 3, 4])
@pytest.mark.parametrize("value_dim", [DIM, 6])
def test_sheet_1_is_causal_beside_a_mask_is_an_error_except_for_4d_inputs_of_one_head_size(rank, value_dim):
    query, key, _ = inputs(*(BATCH, HEADS)[: rank - 2], q_len=K_LEN)
    value = torch.randn(*key.shape[:-1], value_dim)
    keep = torch.ones(K_LEN, K_LEN, dtype=torch.bool)
    keep[1:, 1] = False
    for attn_mask in (keep, conventions.to_additive(keep, fill="-inf")):
        given = {"attn_mask": attn_mask, "is_causal": True}
        if (rank, value_dim) != (4, DIM):
            with pytest.raises(RuntimeError, match="Explicit attn_mask should not be set when is_causal=True"):
                F.scaled_dot_product_attention(query, key, value, **given)
            continue
        found = F.scaled_dot_product_attention(query, key, value, **given)
        both = F.scaled_dot_product_attention(query, key, value, attn_mask=keep & masks.causal(K_LEN))
        assert close(found, both), "without a word, what both allow"


FLOATS = torch.float16, torch.bfloat16, torch.float32, torch.float64


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("mask_dtype", FLOATS)
def test_sheet_1_a_float32_mask_runs_beside_queries_of_any_float_type(dtype, mask_dtype):
    query, key, value = (each.to(dtype) for each in inputs(BATCH, HEADS))
    keep = masks.lengths([5, 3], K_LEN)
    bias = conventions.to_additive(keep, mask_dtype, fill="-inf")
    if mask_dtype not in (dtype, torch.float32):
        with pytest.raises(RuntimeError, match="Expected attn_mask dtype to be bool or float"):
            F.scaled_dot_product_attention(query, key, value, attn_mask=bias)
        return
    found = F.scaled_dot_product_attention(query, key, value, attn_mask=bias)
    wanted = F.scaled_dot_product_attention(query.float(), key.float(), value.float(), attn_mask=keep)
    assert torch.allclose(found.float(), wanted, atol=0.03)


@pytest.mark.parametrize(
    ("dtype", "fill", "answer"),
    [
        (torch.float32, "min", "mean"),
        (torch.float32, -1e9, "mean"),
        (torch.float32, -1e4, "unmasked"),
        (torch.float16, "min", "unmasked"),  # SDPA adds in float32, where −65504 does not swallow a score
        (torch.float16, -1e4, "unmasked"),
        (torch.bfloat16, "min", "mean"),
        (torch.bfloat16, -1e4, "unmasked"),
        (torch.float64, -1e9, "unmasked"),
        *((dtype, "-inf", "zero") for dtype in FLOATS),
    ],
)
def test_sheet_1_an_empty_row_in_sdpa_depends_on_number_and_dtype(dtype, fill, answer):
    query, key, value = (each.to(dtype) for each in inputs(BATCH, HEADS))
    bias = conventions.to_additive(torch.zeros(Q_LEN, K_LEN, dtype=torch.bool), dtype, fill)
    found = F.scaled_dot_product_attention(query, key, value, attn_mask=bias).double()
    wanted = {
        "mean": value.double().mean(-2, keepdim=True).expand_as(found),
        "unmasked": F.scaled_dot_product_attention(query.double(), key.double(), value.double()),
        "zero": torch.zeros_like(found),
    }
    close_to = [name for name, each in wanted.items() if torch.allclose(found, each, atol=0.02)]
    assert close_to == [answer]


@pytest.mark.parametrize("form", ["attn_mask 2D", "attn_mask 3D", "key_padding_mask"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_04_an_empty_row_in_mha_is_nan_with_weights_and_on_the_fast_path_only(form, dtype):
    """need_weights × batch_first × parity of heads × mode × bool or float: 48 settings for each form and dtype."""
    answers = {}
    for setting in product([True, False], [True, False], [2, 3], ["train", "gradients", "eval"], [True, False]):
        need_weights, batch_first, heads, mode, as_bool = setting
        mha = nn.MultiheadAttention(12, heads, batch_first=batch_first, dtype=dtype).train(mode == "train")
        nn.init.normal_(mha.out_proj.bias)
        shape = {"attn_mask 2D": (4, 4), "attn_mask 3D": (heads, 4, 4), "key_padding_mask": (1, 4)}[form]
        ignore = torch.ones(shape, dtype=torch.bool)
        hides = ignore if as_bool else conventions.to_additive(~ignore, dtype, fill="-inf")
        x = torch.randn((1, 4, 12) if batch_first else (4, 1, 12), dtype=dtype)
        with torch.set_grad_enabled(mode == "gradients"):
            output, _ = mha(x, x, x, need_weights=need_weights, **{form.split()[0]: hides})
        if not output.isnan().all():
            assert torch.allclose(output, mha.out_proj.bias.expand_as(output), atol=1e-3), "attention gave 0"
        answers[setting] = output.isnan().all().item()
    fast = (False, True, 2, "eval", True)
    assert {setting for setting, nan in answers.items() if nan} == {s for s in answers if s[0]} | {fast}


SETTINGS = {  # what a layer is made with → (setting, the path that the encoder takes)
    "defaults": ({}, "cut"),
    "gelu": ({"activation": "gelu"}, "cut"),
    "norm_first": ({"norm_first": True}, "fast"),
    "odd heads": ({"nhead": 3}, "slow"),
    "no bias": ({"bias": False}, "slow"),
    "batch second": ({"batch_first": False}, "slow"),
    "silu": ({"activation": F.silu}, "slow"),
}


@torch.no_grad()
@nested_prototype
@pytest.mark.filterwarnings("ignore:enable_nested_tensor is True")
@pytest.mark.parametrize(("setting", "path"), SETTINGS.values(), ids=SETTINGS)
def test_F21_layers_decide_whether_pads_are_cut_off_and_what_an_empty_text_gets(setting, path):
    given = {"d_model": 12, "nhead": 2, "dim_feedforward": 16, "batch_first": True, **setting}
    encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(**given), 2).eval()
    x = torch.randn(2, 4, 12)
    pads = ~masks.lengths([4, 2])[:, 0, 0]

    def run(src_key_padding_mask, **more):
        inputs_of = x if given["batch_first"] else x.transpose(0, 1)
        output = encoder(inputs_of, src_key_padding_mask=src_key_padding_mask, **more)
        return (output if given["batch_first"] else output.transpose(0, 1))[1]

    assert (run(pads)[2:] == 0).all() == (path == "cut")
    assert (run(pads, mask=~masks.causal(4))[2:] != 0).any(), "beside a mask nothing is cut off"
    empty = run(pads | torch.tensor([[False], [True]]))
    assert (empty == 0).all() == (path == "cut")
    assert empty.isnan().all() == (path == "fast")


@torch.no_grad()
@pytest.mark.parametrize(("batch_first", "heads", "one_tensor"), list(product([True, False], [2, 3], [True, False])))
def test_05_is_causal_alone_is_silent_on_the_fast_path_only(batch_first, heads, one_tensor):
    mha, x = nn.MultiheadAttention(12, heads, batch_first=batch_first).eval(), torch.randn(2, 4, 12)
    other = x if one_tensor else x.clone()
    if batch_first and heads == 2 and one_tensor:
        assert (mha(x, other, other, is_causal=True)[1] > 0).all(), "and nothing is hidden"
        return
    with pytest.raises(RuntimeError, match="Need attn_mask if specifying the is_causal hint"):
        mha(x, other, other, is_causal=True)


# --- F9 and F10: masks per query in Hugging Face ---------------------------------------------------


def test_F9_bert_reads_a_3d_mask_in_transformers_4_only():
    for implementation, dtype in product(["eager", "sdpa"], [torch.bool, torch.int64, torch.float32]):
        bert = tiny.model("bert", implementation)
        given = {"attention_mask": SAME_SENTENCE[None].to(dtype), "position_ids": RESTARTED}
        if tiny.V5:
            is_float = dtype == torch.float32
            error, says = (NotImplementedError, "bitwise_and") if is_float else (RuntimeError, r"expand\(")
            with pytest.raises(error, match=says):
                bert(IDS, **given)
        else:
            alone = torch.cat([bert(FIRST)[0], bert(SECOND)[0]], 1)
            assert close(bert(IDS, **given)[0], alone)
            assert far(bert(IDS, position_ids=RESTARTED)[0], alone)


def verdict(implementation, attention_mask):
    """What BertModel does with a mask that should keep two sentences apart: right, leaks, or the error's name."""
    bert = tiny.model("bert", implementation)
    given = {"attention_mask": attention_mask, "position_ids": RESTARTED}
    try:
        output = bert(IDS, **given)[0]
    except (RuntimeError, ValueError) as error:
        return type(error).__name__
    leaks = find_leaks(influence(bert, IDS, **given), SAME_SENTENCE, layers=2)
    across = int((~SAME_SENTENCE).sum())
    assert len(leaks) in (0, across), "nothing is hidden, or everything that should be"
    assert close(output, torch.cat([bert(FIRST)[0], bert(SECOND)[0]], 1)) == (not leaks)
    return "leaks" if leaks else "right"


def test_F10_most_4d_masks_leak_in_bert():
    keep = SAME_SENTENCE[None, None]
    forms = {
        "additive": conventions.to_additive(keep),
        "bool": keep,
        "int": keep.long(),
        "0/1 float": keep.float(),
    }
    found = {(form, name): verdict(name, given) for form, given in forms.items() for name in ("eager", "sdpa")}
    if not tiny.V5:  # no 4D mask at all, so code from then has none that could be repaired by adding a dimension
        assert set(found.values()) == {"ValueError"}
        return
    assert found == {
        ("additive", "eager"): "right",
        ("additive", "sdpa"): "right",
        ("bool", "eager"): "leaks",
        ("bool", "sdpa"): "right",
        ("int", "eager"): "leaks",
        ("int", "sdpa"): "RuntimeError",
        ("0/1 float", "eager"): "leaks",
        ("0/1 float", "sdpa"): "leaks",
    }


@each_decoder
@each_implementation
def test_F10_a_4d_mask_replaces_the_causality_of_decoders(kind, implementation):
    decoder = tiny.model(kind, implementation)
    keep = masks.lengths([5], 6)

    def visible(attention_mask):
        return influence(decoder, IDS, attention_mask=attention_mask) > 0

    causal = masks.causal(6)
    assert torch.equal(visible(keep[:, 0, 0].long()), causal & keep[0, 0] | torch.eye(6, dtype=torch.bool))
    padding_only = visible(conventions.to_additive(keep.expand(1, 1, 6, 6)))
    if kind == "gpt2" and implementation == "eager" and not tiny.V5:
        assert torch.equal(padding_only, causal), "this one model adds its causality on top"
    else:
        assert padding_only[:5, :5].all(), "every token sees the future"
    both = visible(conventions.to_additive(keep & causal))
    assert torch.equal(both, causal & keep[0, 0] | torch.eye(6, dtype=torch.bool))


# --- sentences that a run refuted: transformers -----------------------------------------------------


@pytest.mark.transformers_5
@pytest.mark.parametrize("kind", ["bert", "gpt2", "llama"])
@each_implementation
def test_sheet_1_rows_of_queries_by_keys_are_read_as_padding(kind, implementation):
    """(Q, K): text b gets row b, in GPT-2 row b · Q / B. (B, Q, K): an error, and in GPT-2 each text's first row."""
    model, ids = tiny.model(kind, implementation), torch.cat([IDS, IDS.flip(1)])
    of_pairs = torch.eye(6, dtype=torch.long)
    of_pairs[:, 0] = 1  # the first key stays, so that no row is empty
    rows = of_pairs[[0, 3]] if kind == "gpt2" else of_pairs[:2]
    wanted = model(ids, attention_mask=rows)[0]
    assert close(model(ids, attention_mask=of_pairs)[0], wanted)
    stacked = torch.stack([of_pairs, of_pairs.flip(0)])
    if kind == "gpt2":
        first_rows = model(ids, attention_mask=stacked[:, 0])[0]
        assert close(model(ids, attention_mask=stacked)[0], first_rows)
        return
    with pytest.raises(RuntimeError, match=r"expand\("):
        model(ids, attention_mask=stacked)


@pytest.mark.transformers_5
@pytest.mark.parametrize("kind", ["gpt2", "llama"])
@pytest.mark.parametrize(("dtype", "answer"), [(torch.float32, "mean"), (torch.float16, "unmasked")])
def test_04_under_sdpa_a_4d_mask_does_not_give_0_to_a_pad(kind, dtype, answer):
    decoder = tiny.model(kind, "sdpa").to(dtype)
    seen: list[torch.Tensor] = []
    layer = decoder.h[0].attn.c_proj if kind == "gpt2" else decoder.layers[0].self_attn.o_proj
    layer.register_forward_pre_hook(lambda module, given: seen.append(given[0][0, 0]))
    _, attention_mask, _ = padded_left(IDS)
    padded = F.pad(IDS, (3, 0), value=40)  # the vector of token 0 is 0, which would make all its scores equal
    keep = masks.padding(attention_mask) & masks.causal(9)
    with torch.no_grad():
        for form in (attention_mask, conventions.to_additive(keep, dtype), torch.zeros(1, 1, 9, 9, dtype=dtype)):
            decoder(padded, attention_mask=form)
    by_2d, by_4d, unmasked = (each.float() for each in seen)
    assert (by_2d == 0).all()
    assert (by_4d != 0).any()
    assert torch.allclose(by_4d, unmasked, atol=0.01) == (answer == "unmasked")


@each_implementation
@pytest.mark.transformers_5
@pytest.mark.parametrize("kind", ["bert", "gpt2", "llama"])
def test_04_nan_travels_under_eager_only(kind, implementation):
    model, real = tiny.model(kind, implementation), torch.tensor([1, 1, 1, 1, 0, 0]).bool()
    keep = real[:, None] & real & (masks.full(6) if kind == "bert" else masks.causal(6))
    bias = conventions.to_additive(keep[None, None], fill="-inf")
    states = model(IDS, attention_mask=bias, output_hidden_states=True).hidden_states
    counts = [state.isnan().any(-1).sum().item() for state in states]
    assert counts == ([0, 2, 6] if implementation == "eager" else [0, 0, 0])


@pytest.mark.transformers_5
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_07_the_recipe_needs_the_models_dtype(dtype):
    bert, keep = tiny.model("bert", "eager").to(dtype), SAME_SENTENCE[None, None]
    with torch.no_grad():
        with pytest.raises(RuntimeError, match=r"dtype|scalar type"):
            bert(IDS, attention_mask=conventions.to_additive(keep))
        lowest = torch.finfo(dtype).min
        by_hand = torch.zeros(keep.shape, dtype=dtype).masked_fill(~keep, lowest)
        weights = bert(IDS, attention_mask=by_hand, output_attentions=True).attentions[0]
    assert torch.equal(weights > 0, keep.expand_as(weights))


def small_model(name, **sizes):
    import transformers

    given = {"vocab_size": 50, "pad_token_id": 1, "bos_token_id": 2, "eos_token_id": 3, **sizes}
    config = getattr(transformers, f"{name}Config")(**given)
    return getattr(transformers, f"{name}Model")(config).eval()


WIDE = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
ENCODER = {**WIDE, "intermediate_size": 32, "initializer_range": 0.4}


@pytest.mark.parametrize(
    ("name", "sizes", "untold", "told"),
    [
        ("OPT", {**WIDE, "ffn_dim": 32, "word_embed_proj_dim": 16, "init_std": 0.4}, True, True),
        ("Roberta", ENCODER, True, False),
        ("XLMRoberta", ENCODER, True, False),
        ("MPNet", ENCODER, True, False),
        ("Bert", ENCODER, False, True),
        ("Electra", {**ENCODER, "embedding_size": 16}, False, True),
    ],
)
def test_03_left_pads_untold_and_told_by_counting_real_tokens(name, sizes, untold, told):
    model = small_model(name, **sizes)
    attention_mask = F.pad(torch.ones_like(IDS), (2, 0))
    position_ids = (attention_mask.cumsum(-1) - 1).clamp(min=0)
    alone = model(IDS)[0]
    for right, more in ((untold, {}), (told, {"position_ids": position_ids})):
        found = model(F.pad(IDS, (2, 0), value=1), attention_mask=attention_mask, **more)[0][:, 2:]
        assert close(found, alone) == right
        assert far(found, alone) != right


@pytest.mark.transformers_5
def test_sheet_1_models_that_read_4d_masks_in_their_own_way():
    import transformers

    added = conventions.to_additive(SAME_SENTENCE)[None, None]
    attention = {"attention_types": [[["global"], 2]]}
    neo = small_model("GPTNeo", hidden_size=16, num_layers=2, num_heads=2, **attention)
    causal = SAME_SENTENCE & masks.causal(6)
    assert torch.equal(influence(neo, IDS, method="gradient", attention_mask=added) > 0, causal)
    t5_sizes = {"vocab_size": 50, "d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 2, "num_heads": 2}
    t5 = transformers.T5EncoderModel(transformers.T5Config(**t5_sizes)).eval()
    assert t5.config._attn_implementation == "sdpa"
    as_int = SAME_SENTENCE[None, None].long()
    assert (influence(t5, IDS, method="gradient", attention_mask=as_int) > 0).all()
    assert torch.equal(influence(t5, IDS, method="gradient", attention_mask=added) > 0, SAME_SENTENCE)
    bloom, deberta = small_model("Bloom", hidden_size=16, n_layer=2, n_head=2), small_model("DebertaV2", **ENCODER)
    for model, error in ((bloom, ValueError), (deberta, RuntimeError)):
        with pytest.raises(error):
            model(IDS, attention_mask=added)


@pytest.mark.parametrize("side", ["left", "right"])
def test_sheet_5_labels_of_a_decoder_leave_out_what_a_pad_predicts(side):
    decoder = tiny.model("gpt2", head=True)
    pads = (3, 0) if side == "left" else (0, 3)
    ids, attention_mask = F.pad(IDS, pads), F.pad(torch.ones_like(IDS), pads)
    position_ids = (attention_mask.cumsum(-1) - 1).clamp(min=0)
    alone = decoder(IDS, labels=IDS).loss
    pads_only = ids.masked_fill(attention_mask == 0, -100)
    first_too = ids.masked_fill(attention_mask * attention_mask.cumsum(-1) < 2, -100)
    losses = [
        decoder(ids, attention_mask=attention_mask, position_ids=position_ids, labels=labels).loss
        for labels in (pads_only, first_too)
    ]
    assert close(losses[1], alone)
    assert close(losses[0], alone) == (side == "right")


# 4.57 takes a slot for empty while its key is 0.
@pytest.mark.parametrize("part", [pytest.param("keys", marks=pytest.mark.transformers_5), "values"])
def test_08_a_large_number_in_an_empty_slot_is_safe_in_values_and_not_in_keys(part):
    from transformers import StaticCache

    decoder = tiny.model("llama", head=True)
    after = {}
    for number in (0.0, 1e4, 3e38):
        cache = StaticCache(config=decoder.config, max_cache_len=9)
        given = {models.cache_argument(decoder): cache}
        decoder(IDS[:, :-1], **given)
        for layer in cache.layers:
            getattr(layer, part)[:, :, 5:] = number
        after[number] = decoder(IDS[:, -1:], **given).logits
    assert close(after[0.0], decoder(IDS).logits[:, -1:])
    assert close(after[1e4], after[0.0])
    if part == "values":
        assert close(after[3e38], after[0.0])
    else:
        assert after[3e38].isnan().all()


# --- F11 to F14: positions, caches and packing -----------------------------------------------------


@each_decoder
def test_F11_left_padding_without_position_ids(kind):
    decoder = tiny.model(kind, head=True)
    padded, attention_mask, position_ids = padded_left(IDS)
    alone = decoder(IDS).logits
    found = decoder(padded, attention_mask=attention_mask).logits[:, 3:]
    if kind == "gpt2":
        assert far(found, alone), "absolute positions: the first real token stands at 3, not at 0"
    else:
        assert close(found, alone), "rotary positions: only distances count"
    found = decoder(padded, attention_mask=attention_mask, position_ids=position_ids).logits[:, 3:]
    assert close(found, alone)


@each_decoder
def test_F11_generate_derives_positions_and_forward_does_not(kind):
    decoder = tiny.model(kind, head=True)
    settings = {"max_new_tokens": 5, "min_new_tokens": 5, "do_sample": False}
    padded, attention_mask, _ = padded_left(IDS)
    alone = decoder.generate(IDS, attention_mask=torch.ones_like(IDS), **settings)[0, 6:]
    generated = decoder.generate(padded, attention_mask=attention_mask, **settings)[0, 9:]
    assert torch.equal(generated, alone)
    by_hand = padded
    for _ in range(5):
        logits = decoder(by_hand, attention_mask=attention_mask).logits[:, -1]
        logits[:, decoder.config.eos_token_id] = -torch.inf  # as min_new_tokens does
        by_hand = torch.cat([by_hand, logits.argmax(-1, keepdim=True)], 1)
        attention_mask = F.pad(attention_mask, (0, 1), value=1)
    assert torch.equal(by_hand[0, 9:], alone) == (kind == "llama")


def test_F11_bert_padded_on_the_left_is_wrong_too():
    bert = tiny.model("bert")
    padded, attention_mask, position_ids = padded_left(IDS)
    alone = bert(IDS)[0]
    assert far(bert(padded, attention_mask=attention_mask)[0][:, 3:], alone)
    assert close(bert(padded, attention_mask=attention_mask, position_ids=position_ids)[0][:, 3:], alone)
    right = bert(F.pad(IDS, (0, 3)), attention_mask=F.pad(torch.ones_like(IDS), (0, 3)))[0]
    assert close(right[:, :6], alone)


@each_decoder
@each_implementation
def test_F12_right_padding_needs_no_mask_if_the_right_logits_are_read(kind, implementation):
    decoder = tiny.model(kind, implementation, head=True)
    alone = decoder(IDS).logits
    padded = decoder(F.pad(IDS, (0, 3), value=decoder.config.eos_token_id)).logits
    assert close(padded[:, :6], alone)
    last_real = padded[:, 6 - 1]
    assert close(last_real, alone[:, -1])
    assert far(padded[:, -1], alone[:, -1]), "logits[:, -1] predicts what follows the padding"
    assert padded[:, -1].argmax() != alone[:, -1].argmax()


@each_decoder
@each_implementation
def test_F13_a_step_with_a_cache_needs_the_mask_of_past_and_new(kind, implementation):
    decoder = tiny.model(kind, implementation, head=True)
    padded, attention_mask, position_ids = padded_left(IDS[:, :4], 2)
    ids = torch.cat([padded, IDS.flip(1)])  # one sequence with padding, one without
    attention_mask = torch.cat([attention_mask, torch.ones_like(IDS)])
    position_ids = torch.cat([position_ids, torch.arange(6)[None]])
    whole = decoder(ids, attention_mask=attention_mask, position_ids=position_ids).logits[:, -1]

    def step(new_mask):
        past = {"attention_mask": attention_mask[:, :-1], "position_ids": position_ids[:, :-1]}
        name = models.cache_argument(decoder)
        cache = decoder(ids[:, :-1], **past, use_cache=True)[name]
        new = {"attention_mask": new_mask, "position_ids": position_ids[:, -1:]}
        return decoder(ids[:, -1:], **new, **{name: cache}).logits[:, -1]

    assert close(step(attention_mask), whole)
    new_only = step(attention_mask[:, -1:])
    assert far(new_only[0], whole[0])
    assert far(new_only[1], whole[1]), "even without padding"
    without = step(None)
    assert far(without[0], whole[0])
    assert close(without[1], whole[1]), "no mask is right where nothing is padded"


@each_decoder
@each_implementation
def test_F14_packing_is_detected_only_without_mask_and_cache(kind, implementation):
    decoder = tiny.model(kind, implementation, head=True)
    alone = torch.cat([decoder(FIRST).logits, decoder(SECOND).logits], 1)
    ones = torch.ones_like(IDS)

    def packed(**kwargs):
        return decoder(IDS, position_ids=RESTARTED, **kwargs).logits

    assert close(packed(use_cache=False), alone)
    unpacked = packed(use_cache=False, attention_mask=ones)
    assert far(unpacked[:, 2:], alone[:, 2:])
    # The cache is on by default: the positions do begin anew, and nothing is hidden.
    assert decoder.config.use_cache
    assert close(packed(), unpacked)
    assert close(packed(attention_mask=ones), unpacked)
    measured = influence(decoder, IDS, position_ids=RESTARTED) > 0
    assert torch.equal(measured, masks.causal(6))
    measured = influence(decoder, IDS, position_ids=RESTARTED, use_cache=False) > 0
    assert torch.equal(measured, masks.causal(6) & SAME_SENTENCE)


# --- F15 and F16: attention weights of Hugging Face ------------------------------------------------


@each_decoder
def test_F15_rows_of_left_padding_are_uniform_in_eager_decoders(kind):
    decoder = tiny.model(kind, "eager")
    padded, attention_mask, _ = padded_left(IDS)
    for weights in decoder(padded, attention_mask=attention_mask, output_attentions=True).attentions:
        if kind == "gpt2" and not tiny.V5:  # its causality has the same fill, so it is uniform over pads up to its own
            wanted = masks.causal(9)[:3] / masks.causal(9)[:3].sum(-1, keepdim=True)
        else:
            wanted = torch.full((3, 9), 1 / 9)
        assert close(weights[0, :, :3], wanted.expand(HEADS, 3, 9))
        real = masks.causal(9)[3:] & attention_mask.bool()
        assert torch.equal(weights[0, :, 3:] > 0, real.expand(HEADS, 6, 9)), "rows of real tokens are right"


def test_F15_an_encoder_has_no_empty_rows_there():
    padded, attention_mask, _ = padded_left(IDS)
    weights = tiny.model("bert", "eager")(padded, attention_mask=attention_mask, output_attentions=True).attentions[0]
    assert torch.equal(weights[0, 0] > 0, attention_mask.bool().expand(9, 9))
    assert far(weights[0, 0, :3], attention_mask / 6), "real numbers, though nobody should read them either"


@pytest.mark.parametrize("kind", ["bert", "gpt2", "llama"])
def test_F16_weights_need_eager(kind):
    model = tiny.model(kind, "eager")
    untold = type(model.config).from_dict(model.config.to_dict())
    assert type(model)(untold).config._attn_implementation == "sdpa", "the default"
    eager = tiny.model(kind, "eager")(IDS, output_attentions=True).attentions
    assert [tuple(weights.shape) for weights in eager] == [(1, HEADS, 6, 6)] * 2
    assert torch.allclose(eager[0].sum(-1), torch.ones(1, HEADS, 6))

    fused = tiny.model(kind, "sdpa")
    if tiny.V5:
        assert fused(IDS, output_attentions=True).attentions == ()
    elif kind == "bert":
        found = fused(IDS, output_attentions=True).attentions
        assert close(found[0], eager[0]), "falls back to eager"
    elif kind == "gpt2":
        assert fused(IDS, output_attentions=True).attentions == (None, None)
    else:
        with pytest.warns(UserWarning, match="output_attentions=True` is not supported"):
            assert fused(IDS, output_attentions=True).attentions is None
    with pytest.raises(ValueError, match="not supported when using the `attn_implementation` set to sdpa"):
        fused.config.output_attentions = True


# --- F17 to F19: numbers ---------------------------------------------------------------------------


def test_F17_minus_1e9_does_not_fit_into_fp16():
    scores = torch.zeros(2, 3, dtype=torch.float16)
    hidden = torch.tensor([[False, False, True], [True, True, True]])
    with pytest.raises(RuntimeError, match="cannot be converted to type c10::Half without overflow"):
        scores.masked_fill(hidden, -1e9)
    bias = torch.zeros(2, 3).masked_fill(hidden, -1e9).half()
    assert bias[0].tolist() == [0, 0, -torch.inf]
    weights = (scores + bias).softmax(-1)
    assert weights[0].tolist() == [0.5, 0.5, 0]
    assert weights[1].isnan().all(), "what was uniform in float32 is NaN"
    assert torch.tensor(-1e9).bfloat16().isfinite()
    with pytest.raises(ValueError, match=r"does not fit into torch\.float16"):
        conventions.to_additive(~hidden, torch.float16, -1e9)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_F17_two_masks_of_finfo_min_overflow(dtype):
    """Not in fp16 alone: every dtype has this limit."""
    first, second = masks.lengths([3, 0], 4), masks.lengths([2, 2], 4)
    added = conventions.to_additive(first, dtype) + conventions.to_additive(second, dtype)
    assert added[0, 0, 0].tolist() == [0, 0, torch.finfo(dtype).min, -torch.inf]
    empty = conventions.to_additive(masks.lengths([0, 0], 4), dtype)
    assert (empty + empty).softmax(-1).isnan().all()
    once = conventions.to_additive(first & second, dtype)
    assert once[0, 0, 0].tolist() == [0, 0, torch.finfo(dtype).min, torch.finfo(dtype).min]
    assert once.softmax(-1)[1, 0, 0].tolist() == [0.25] * 4


def test_F18_zero_times_infinity_is_nan():
    attention_mask = torch.tensor([1.0, 1.0, 0.0])
    scores = torch.tensor([0.3, -0.2, 0.9])
    bias = (1 - attention_mask) * -torch.inf
    assert bias.isnan().tolist() == [True, True, False]
    assert (scores + bias).softmax(-1).isnan().all()
    right = scores.masked_fill(attention_mask == 0, -torch.inf).softmax(-1)
    assert right[2] == 0
    assert torch.isclose(right.sum(), torch.tensor(1.0))


def test_F18_inverting_integers_gives_two_truths():
    attention_mask = torch.tensor([1, 1, 0])
    assert (~attention_mask).tolist() == [-2, -2, -1]
    assert (~attention_mask).bool().tolist() == [True, True, True]
    assert (~attention_mask.bool()).tolist() == [False, False, True]


def test_F18_a_score_of_0_is_not_hidden():
    keep = torch.tensor([True, True, False])
    scores = torch.tensor([-1.0, 1.0, 0.5])
    multiplied = (scores * keep).softmax(-1)
    assert multiplied[2] > multiplied[0], "the hidden key gets more than a kept one"
    assert scores.masked_fill(~keep, -torch.inf).softmax(-1)[2] == 0


@pytest.mark.parametrize("garbage", [torch.nan, torch.inf])
def test_F19_nan_in_a_hidden_value_poisons_the_output(garbage):
    query, key, value = inputs()
    keep = masks.lengths([4], K_LEN)[0, 0].expand(Q_LEN, K_LEN)
    wanted = attend(query, key, value, keep).output
    dirty = value.clone()
    dirty[4] = garbage
    written = attend(query, key, dirty, keep)
    assert (written.weights[:, 4] == 0).all(), "hidden without doubt"
    assert written.output.isnan().all(), "and 0 × NaN is NaN"
    fused = F.scaled_dot_product_attention(query[None], key[None], dirty[None], attn_mask=keep)
    assert fused.isnan().all()
    clean = dirty.masked_fill(~keep[0, :, None], 0)
    assert torch.equal(attend(query, key, clean, keep).output, wanted)


def test_F19_nan_in_a_hidden_key_survives_addition_but_not_a_fill():
    query, key, _ = inputs()
    key[4] = torch.nan
    keep = masks.lengths([4], K_LEN)[0, 0].expand(Q_LEN, K_LEN)
    scores = query @ key.T
    assert (scores + conventions.to_additive(keep, fill="-inf")).softmax(-1).isnan().all()
    assert scores.masked_fill(~keep, -torch.inf).softmax(-1).isfinite().all()
    assert sdpa_weights(query[None], key[None], keep).isnan().all(), "SDPA adds, even if the mask is bool"


# --- F20 to F24: newer parts of torch --------------------------------------------------------------


def test_F20_is_causal_aligns_at_the_upper_left():
    query, key, _ = inputs(1, 1, q_len=2, k_len=5)
    found = sdpa_weights(query, key, is_causal=True)[0, 0] > 0
    assert found.int().tolist() == [[1, 0, 0, 0, 0], [1, 1, 0, 0, 0]]
    assert torch.equal(found, masks.causal(2, 5, align="upper_left"))


def test_F20_a_cache_needs_the_lower_right():
    query, key, value = inputs(1, 1, q_len=5, k_len=5)
    whole = F.scaled_dot_product_attention(query, key, value, is_causal=True)[:, :, -2:]
    newest = query[:, :, -2:]
    found = F.scaled_dot_product_attention(newest, key, value, attn_mask=causal_lower_right(2, 5))
    assert close(found, whole)
    assert close(F.scaled_dot_product_attention(newest, key, value, attn_mask=masks.causal(2, 5)), whole)
    assert far(F.scaled_dot_product_attention(newest, key, value, is_causal=True), whole)


@nested_prototype
@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize(("training", "gradients_on"), [(True, True), (True, False), (False, True), (False, False)])
def test_F21_an_encoder_zeroes_padding_on_the_fast_path(side, training, gradients_on):
    encoder, x = nn.TransformerEncoder(encoder_layer(), 2).train(training), torch.randn(BATCH, 4, DIM)
    real = masks.lengths([4, 2], side=side)[:, 0, 0]
    with torch.set_grad_enabled(gradients_on):
        output = encoder(x, src_key_padding_mask=~real)
        alone = encoder(x[1:, real[1]])[0]
    assert torch.allclose(output[1][real[1]], alone, atol=1e-5), "real tokens are right everywhere"
    fast = side == "right" and not training and not gradients_on
    assert (output[1][~real[1]] == 0).all() == fast
    assert (output[1][~real[1]] != 0).any() == (not fast)


@torch.no_grad()
def test_F21_not_without_nested_tensors():
    encoder = nn.TransformerEncoder(encoder_layer(), 2, enable_nested_tensor=False).eval()
    real = masks.lengths([4, 2])[:, 0, 0]
    output = encoder(torch.randn(BATCH, 4, DIM), src_key_padding_mask=~real)
    assert (output[1, 2:] != 0).any(-1).all()


def test_F22_mha_averages_weights_over_heads():
    mha, x = multihead(), torch.randn(1, 4, DIM)
    ignore = torch.zeros(HEADS, 4, 4, dtype=torch.bool)
    ignore[0, :, 3] = True  # head 0 alone does not see key 3
    _, averaged = mha(x, x, x, attn_mask=ignore)
    _, weights = mha(x, x, x, attn_mask=ignore, average_attn_weights=False)
    assert (averaged.shape, weights.shape) == ((1, 4, 4), (1, HEADS, 4, 4))
    assert close(averaged, weights.mean(1))
    assert (weights[0, 0, :, 3] == 0).all()
    assert (averaged[..., 3] > 0).all(), "the average does not show that one head hides it"


def test_F22_dropout_leaves_rows_that_do_not_sum_to_1():
    mha, x = multihead(dropout=0.5), torch.randn(1, 6, DIM)
    sums = mha(x, x, x)[1].sum(-1)
    assert far(sums, torch.ones(1, 6))
    assert close(mha.eval()(x, x, x)[1].sum(-1), torch.ones(1, 6))


def test_F23_flex_attention_knows_blocks_of_128():
    from torch.nn.attention.flex_attention import create_block_mask, create_mask

    def causal(batch, head, q, k):
        return q >= k

    small = create_block_mask(causal, None, None, 6, 8, device="cpu")
    assert small.BLOCK_SIZE == (128, 128)
    assert small.to_dense().tolist() == [[[[1]]]], "one block, so that nothing can be skipped"
    large = create_block_mask(causal, None, None, 256, 384, device="cpu")
    assert large.to_dense()[0, 0].tolist() == [[1, 0, 0], [1, 1, 0]]
    assert large.sparsity() == 50
    dense = create_mask(causal, None, None, 6, 8, device="cpu")
    assert torch.equal(dense[0, 0], masks.causal(6, 8, align="upper_left"))


@nested_prototype
def test_F24_ragged_sequences_need_no_padding():
    sequences = [torch.randn(length, HEADS, DIM) for length in (3, 5, 1)]
    ragged = torch.nested.nested_tensor(sequences, layout=torch.jagged)
    assert ragged.values().shape[0] == 9, "no pads are stored"
    assert ragged.offsets().tolist() == [0, 3, 8, 9]
    heads_first = ragged.transpose(1, 2)
    output = F.scaled_dot_product_attention(heads_first, heads_first, heads_first)
    padded = nn.utils.rnn.pad_sequence(sequences, batch_first=True).transpose(1, 2)
    dense = F.scaled_dot_product_attention(padded, padded, padded, attn_mask=masks.lengths([3, 5, 1]))
    unmasked = F.scaled_dot_product_attention(padded, padded, padded)
    for found, masked, wrong in zip(output.unbind(), dense, unmasked, strict=True):
        length = found.shape[1]
        assert close(found, masked[:, :length])
        assert length == 5 or far(wrong[:, :length], found)


# --- F25: a drawing that is wrong ------------------------------------------------------------------


def drawn_by_transformers(sentence, capsys):
    """(labels of the rows, bool table) as AttentionMaskVisualizer prints them for MiniLM."""
    from transformers.utils.attention_visualizer import AttentionMaskVisualizer

    AttentionMaskVisualizer(str(models.fetch("minilm-bert")))(sentence)
    printed = re.sub(r"\x1b\[\d+m", "", capsys.readouterr().out)
    assert "BertModel" in printed
    rows = re.findall(r"^'(.+)' *: +\d+ ([■⬚ ]+?) +\|", printed, flags=re.MULTILINE)
    labels, squares = zip(*rows, strict=True)
    return list(labels), torch.tensor([[square == "■" for square in row.split()] for row in squares])


def test_F25_transformers_draws_bert_as_causal_and_mislabels_it(minilm, capsys):
    model, tokenizer = minilm
    sentence = "Dogs bark at night."
    labels, table = drawn_by_transformers(sentence, capsys)
    assert torch.equal(table, masks.causal(5))

    given = tokenizer(sentence, return_tensors="pt")
    for weights in model(**given, output_attentions=True).attentions:
        assert (weights > 0).all(), "every token attends to every token"
    tokens = tokenizer.convert_ids_to_tokens(given.input_ids[0])
    assert tokens == ["[CLS]", "dogs", "bark", "at", "night", ".", "[SEP]"]
    assert labels == tokens[1:-1], "the table begins with the row of [CLS], its labels do not"


# --- S0 and S1: claims about masks for BERT --------------------------------------------------------


def test_S0_3_only_what_is_true_is_considered_except_by_mha():
    same = torch.tensor([[True, True, True, True, False, False]])
    others = ~torch.eye(6, dtype=torch.bool)  # a token always reaches itself, through the residual stream
    x = torch.randn(1, 6, DIM)

    def reaching(model, *args, **kwargs):
        """Which inputs reach other outputs than their own."""
        return ((influence(model, *args, **kwargs) > 0) & others).any(0)

    def fused(embeds):
        return F.scaled_dot_product_attention(embeds, embeds, embeds, attn_mask=same)

    assert torch.equal(reaching(fused, inputs_embeds=x), same[0])
    assert torch.equal(reaching(tiny.model("bert"), IDS, attention_mask=same), same[0])
    assert torch.equal(reaching(multihead(), inputs_embeds=x, key_padding_mask=same), ~same[0])


def test_S0_5_a_mask_removes_and_adds_no_attention():
    query, key, _ = inputs(1)
    keep = torch.tensor([True, False, True, True, False])
    before = sdpa_weights(query, key)[0]
    after = sdpa_weights(query, key, keep.expand(Q_LEN, K_LEN))[0]
    gain = after[:, keep] / before[:, keep]
    assert close(gain, (1 / before[:, keep].sum(-1, keepdim=True)).expand_as(gain)), "one factor for all kept keys"
    assert (gain > 1).all()
    assert torch.equal(after[:, keep].argsort(), before[:, keep].argsort())
    # Extra attention takes a positive bias: adding log 2 doubles the odds of a key.
    biased = sdpa_weights(query, key, torch.tensor([log(2), 0, 0, 0, 0]).expand(Q_LEN, K_LEN))[0]
    assert close(biased[:, 0] / biased[:, 1], 2 * before[:, 0] / before[:, 1])


def test_S1_2_no_mask_per_token_keeps_sentences_apart():
    """All 64 masks that there are for six tokens are tried."""
    bert = tiny.model("bert", "eager", layers=1)
    per_token = torch.tensor(list(product([0, 1], repeat=6)))
    weights = bert(IDS.expand(64, -1), attention_mask=per_token, output_attentions=True).attentions[0]
    visible = weights[:, 0] > 0
    assert torch.equal(visible, visible[:, :1].expand_as(visible)), "every query sees what every other sees"
    assert not (visible == SAME_SENTENCE).all((1, 2)).any()
    pairwise = conventions.to_hf(SAME_SENTENCE, model=bert)
    weights = bert(IDS, attention_mask=pairwise, output_attentions=True).attentions[0]
    assert torch.equal(weights[0, 0] > 0, SAME_SENTENCE)


def test_S1_3_a_mask_of_batch_and_length_blocks_nothing_across_sentences(minilm):
    model, tokenizer = minilm
    given = tokenizer("Dogs bark.", "Rain is coming now.", return_tensors="pt")
    segments = given.token_type_ids[0]
    across = segments[:, None] != segments
    assert across.any()
    for weights in model(**given, output_attentions=True).attentions:
        assert (weights[0][:, across] > 0).all()
    kept_apart = {**given, "attention_mask": conventions.to_hf(~across, model=model)}
    for weights in model(**kept_apart, output_attentions=True).attentions:
        assert (weights[0][:, across] == 0).all()


def test_S1_3_rows_of_a_batch_never_attend_to_each_other(minilm):
    model, tokenizer = minilm
    first = model(**tokenizer(["Dogs bark.", "Rain is coming now."], padding=True, return_tensors="pt"))[0]
    other = model(**tokenizer(["Cats sleep.", "Rain is coming now."], padding=True, return_tensors="pt"))[0]
    assert far(first[0], other[0])
    assert close(first[1], other[1])
    assert close(first[1], model(**tokenizer("Rain is coming now.", return_tensors="pt"))[0][0])


@each_implementation
def test_S1_4_true_and_false_work_and_other_numbers_depend_on_the_version(implementation):
    bert = tiny.model("bert", implementation)
    real = torch.tensor([[True, True, True, True, False, False]])

    def output(kept, hidden):
        return bert(IDS, attention_mask=torch.where(real, kept, hidden))[0]

    wanted, unmasked = output(1, 0), bert(IDS)[0]
    assert far(wanted, unmasked)
    assert torch.equal(output(True, False), wanted)
    assert torch.equal(output(1.0, 0.0), wanted)
    if tiny.V5:  # cast to bool: everything but 0 keeps
        for other in (0.5, -1, 3):
            assert close(output(other, 0), wanted)
            assert close(output(1, other), unmasked)
    else:  # 1 - value is what hides: everything below 1 does, and what is above 1 depends
        for other in (0.5, -1):
            assert close(output(1, other), wanted)
        above = output(1, 3)
        assert above.isnan().all() if implementation == "eager" else close(above, wanted)


@each_implementation
def test_S1_5_a_mask_per_query_has_another_shape_than_input_ids(implementation):
    for kind in ("bert", "gpt2", "llama"):
        model = tiny.model(kind, implementation)
        keep = SAME_SENTENCE if kind == "bert" else SAME_SENTENCE & masks.causal(6)
        attention_mask = conventions.to_hf(keep, model=model)
        assert attention_mask.shape == ((1, 6, 6) if kind == "bert" and not tiny.V5 else (1, 1, 6, 6))
        found = model(IDS, attention_mask=attention_mask, position_ids=RESTARTED)[0]
        assert close(found, torch.cat([model(FIRST)[0], model(SECOND)[0]], 1))


@each_decoder
def test_S1_5_with_a_cache_a_mask_is_longer_than_input_ids(kind):
    decoder = tiny.model(kind, head=True)
    attention_mask = torch.ones_like(IDS)
    whole = decoder(IDS).logits[:, 2:]

    def continued(mask):
        name = models.cache_argument(decoder)
        cache = {name: decoder(FIRST, use_cache=True)[name]}
        return decoder(SECOND, attention_mask=mask, position_ids=torch.arange(2, 6)[None], **cache).logits

    assert close(continued(attention_mask), whole)
    assert far(continued(attention_mask[:, 2:]), whole), "a mask of the shape of input_ids is silently wrong"


def test_S1_5_a_mask_that_is_too_short_is_not_always_refused():
    """It depends on its values: without a 0 it is dropped unseen, and the rest counts as real."""
    bert = tiny.model("bert", "sdpa")
    assert close(bert(IDS, attention_mask=torch.ones(1, 4))[0], bert(IDS)[0])
    with pytest.raises(RuntimeError, match="must match the size"):
        bert(IDS, attention_mask=torch.tensor([[1, 1, 1, 0]]))
    llama = tiny.model("llama", "sdpa", head=True)
    short, hidden = (llama(IDS, attention_mask=torch.tensor([m])).logits for m in ([1, 1, 1, 1], [1, 1, 1, 1, 0, 0]))
    assert close(short, hidden), "a decoder takes the rest for padding"
    assert far(short, llama(IDS).logits)


def test_S1_6_one_mask_serves_all_layers():
    bert = tiny.model("bert", "eager")
    attention_mask = torch.tensor([[1, 1, 1, 1, 0, 0]])
    both = bert(IDS, attention_mask=attention_mask, output_attentions=True).attentions
    assert len(both) == 2
    for weights in both:
        assert torch.equal(weights[0, 0] > 0, attention_mask.bool().expand(6, 6))
    with pytest.raises(AttributeError, match="'list' object has no attribute"):
        bert(IDS, attention_mask=[attention_mask, attention_mask])


def test_S1_6_a_hook_gives_one_layer_a_mask_of_its_own():
    bert = tiny.model("bert", "eager")
    bias = conventions.to_additive(SAME_SENTENCE[None, None])

    def only_here(module, args, kwargs):
        return args, {**kwargs, "attention_mask": bias}

    def run():
        return bert(IDS, output_hidden_states=True, output_attentions=True)

    before = run()
    bert.encoder.layer[1].attention.self.register_forward_pre_hook(only_here, with_kwargs=True)
    after = run()
    assert torch.equal(after.attentions[0], before.attentions[0])
    assert (after.attentions[0] > 0).all()
    assert torch.equal(after.attentions[1] > 0, SAME_SENTENCE.expand(1, HEADS, 6, 6))
    assert far(after.last_hidden_state, before.last_hidden_state)


# --- S3: claims about nn.MultiheadAttention --------------------------------------------------------


def test_S3_1_the_argument_is_called_attn_mask():
    mha, x = multihead(), torch.randn(1, 4, DIM)
    with pytest.raises(TypeError, match="unexpected keyword argument 'att_mask'"):
        mha(x, x, x, att_mask=CAUSAL)
    assert torch.equal(mha(x, x, x, attn_mask=CAUSAL)[1][0] > 0, masks.causal(4))


def test_S3_2_batch_first_is_false_by_default():
    mha, x = nn.MultiheadAttention(256, 4), torch.randn(1, 5, 256)
    assert not mha.batch_first
    bias = torch.zeros(5, 5)
    bias[:, 1] = -1e9
    says = re.escape("The shape of the 2D attn_mask is torch.Size([5, 5]), but should be (1, 1).")
    with pytest.raises(RuntimeError, match=says):
        mha(x, x, x, attn_mask=bias)
    _, weights = mha(x, x, x)
    assert torch.equal(weights, torch.ones(5, 1, 1)), "without a mask it runs: five sequences of one token each"
    right = nn.MultiheadAttention(256, 4, batch_first=True)
    assert torch.equal(right(x, x, x, attn_mask=bias)[1][0] > 0, (bias == 0))


def test_S3_3_hidden_rows_are_uniform_or_nan_so_hide_columns_only():
    mha, x = nn.MultiheadAttention(256, 4, batch_first=True), torch.randn(1, 5, 256)
    bias = torch.zeros(5, 5)
    bias[1:3, :] = bias[:, 1:3] = -1e9
    weights = mha(x, x, x, attn_mask=bias)[1][0]
    assert close(weights[1:3], torch.full((2, 5), 0.2)), "not ignored: they attend to everything alike"
    weights = mha(x, x, x, attn_mask=bias.masked_fill(bias < 0, -torch.inf))[1][0]
    assert weights.isnan().any(-1).tolist() == [False, True, True, False, False]
    columns = torch.zeros(5, 5)
    columns[:, 1:3] = -1e9
    weights = mha(x, x, x, attn_mask=columns)[1][0]
    assert torch.equal(weights > 0, columns == 0)
    assert close(weights.sum(-1), torch.ones(5))


def test_S3_4_padding_needs_batch_first_too():
    x, key_padding_mask = torch.randn(3, 5, 256), ~masks.lengths([5, 4, 2])[:, 0, 0]
    mha = nn.MultiheadAttention(256, 4)
    with pytest.raises(AssertionError, match=re.escape("Expected key_padded_mask.shape[0] to be 5, but got 3")):
        mha(x, x, x, key_padding_mask=key_padding_mask)
    right = nn.MultiheadAttention(256, 4, batch_first=True)
    weights = right(x, x, x, key_padding_mask=key_padding_mask)[1]
    assert torch.equal(weights > 0, ~key_padding_mask[:, None].expand(3, 5, 5))


def test_S3_5_attn_mask_as_padding():
    keep = masks.lengths([5, 3], K_LEN)
    mha, (query, key, _) = multihead(), inputs(BATCH)
    wanted = mha(query, key, key, key_padding_mask=~keep[:, 0, 0])[1]
    assert torch.equal(wanted > 0, keep[:, 0].expand(BATCH, Q_LEN, K_LEN))
    # Two dimensions: the same keys are hidden in every sequence.
    shared = mha(query, key, key, attn_mask=~keep[1, 0].expand(Q_LEN, K_LEN))[1]
    assert close(shared[1], wanted[1])
    assert far(shared[0], wanted[0])
    # Three dimensions can say it.
    ignore = ~keep.expand(BATCH, HEADS, Q_LEN, K_LEN).flatten(0, 1)
    assert close(mha(query, key, key, attn_mask=ignore)[1], wanted)


def test_S3_5_a_padding_mask_as_attn_mask_passes_if_batch_equals_q_len():
    ignore = ~masks.lengths([5, 3], K_LEN)[:, 0, 0]  # (batch, k_len)
    mha, (query, key, _) = multihead(), inputs(BATCH)
    with pytest.raises(RuntimeError, match=r"should be \(3, 5\)"):
        mha(query, key, key, attn_mask=ignore)
    query = query[:, :BATCH]
    weights = mha(query, key, key, attn_mask=ignore)[1]
    assert torch.equal(weights > 0, ~ignore.expand(BATCH, BATCH, K_LEN)), "read as queries, without a word"


def test_S3_6_an_upper_triangle_limits_to_the_past():
    mha, x = multihead(), torch.randn(1, 4, DIM)
    ones = torch.ones(4, 4)

    def weights(attn_mask):
        return mha(x, x, x, attn_mask=attn_mask)[1][0]

    assert torch.equal(weights(ones.triu(1).bool()) > 0, masks.causal(4))
    assert torch.equal(weights(CAUSAL), weights(ones.triu(1).bool()))
    # The diagonal: 0 hides a token from itself too, and leaves the first query nothing.
    strict = weights(ones.triu(0).bool())
    assert strict[0].isnan().all()
    assert torch.equal(strict[1:] > 0, ones.tril(-1)[1:].bool())
    # The dtype: ones are added, and so favour the future; integers are refused.
    assert (weights(ones.triu(1)) > 0).all()
    assert weights(ones.triu(1))[0, 1:].sum() > weights(None)[0, 1:].sum()
    with pytest.raises(AssertionError, match="only bool and floating types of attn_mask are supported"):
        weights(ones.triu(1).long())


def test_S3_7_key_padding_mask_ignores_keys_of_each_sequence_and_joins_with_attn_mask():
    mha, x = multihead(), torch.randn(BATCH, 4, DIM)
    padding = masks.lengths([4, 2])
    key_padding_mask = ~padding[:, 0, 0]

    def visible(**kwargs):
        return mha(x, x, x, average_attn_weights=False, **kwargs)[1] > 0

    whole = BATCH, HEADS, 4, 4
    assert torch.equal(visible(key_padding_mask=key_padding_mask), padding.expand(whole))
    both = visible(key_padding_mask=key_padding_mask, attn_mask=~masks.causal(4))
    assert torch.equal(both, (padding & masks.causal(4)).expand(whole)), "what either hides is hidden"
    assert torch.equal(~both[:, 0], key_padding_mask[:, None] | ~masks.causal(4))
