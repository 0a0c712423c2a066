"""Every converter against the library it converts for, on random masks, shapes and dtypes.

The reference is ``attend`` in float32, which test_attention.py holds against plain loops. HYPOTHESIS_PROFILE=fuzz
(``make fuzz``) runs 20,000 examples each instead of 100, and ``make gate`` 1,000.
"""

import math
import warnings
from functools import cache

import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, given, reject
from hypothesis import strategies as st
from torch import nn

from tests.support import tiny
from utils import conventions, masks, models
from utils.attention import attend
from utils.influence import find_leaks, reach
from utils.patterns import recognise

TOLERANCE = {torch.float32: 1e-4, torch.float16: 2e-2, torch.bfloat16: 1e-1}
DTYPES = list(TOLERANCE)
FILLS = ["min", "-inf", -1e4, -3e4]

sizes = st.tuples(
    st.sampled_from([1, 2, 3]),  # batch
    st.sampled_from([1, 2, 4]),  # heads
    st.integers(1, 5),  # q_len
    st.integers(1, 6),  # k_len
)


@st.composite
def keeps(draw, per_head=True, per_query=True):
    """(keep, batch, heads, q_len, k_len): keep in any form that broadcasts to those four."""
    batch, heads, q_len, k_len = draw(sizes)
    forms = [(batch, 1, 1, k_len), (1, 1, 1, k_len)]
    if per_query:
        forms += [(q_len, k_len), (1, q_len, k_len), (batch, 1, q_len, k_len)]
    if per_query and per_head:
        forms += [
            (heads, q_len, k_len),
            (1, heads, q_len, k_len),
            (batch, heads, q_len, k_len),
            (batch, heads, 1, k_len),
        ]
    shape = draw(st.sampled_from(forms))
    density = draw(st.sampled_from([0.0, 0.3, 0.6, 0.9, 1.0]))
    torch.manual_seed(draw(st.integers(0, 2**32)))  # also for what the test draws afterwards
    return torch.rand(shape) < density, batch, heads, q_len, k_len


def normal(*shape, dtype=torch.float32):
    return torch.randn(*shape).to(dtype)


def agree(found, wanted, dtype, where=None):
    """The same numbers within the dtype's precision, and NaN in the same places."""
    found, wanted = found.float(), wanted.float()
    if where is not None:
        found, wanted = found[where], wanted[where]
    assert torch.equal(found.isnan(), wanted.isnan())
    error = (found - wanted).abs().nan_to_num(0) / (1 + wanted.abs().nan_to_num(0))
    if error.numel():
        assert error.mean() <= TOLERANCE[dtype] / 3
        assert error.max() <= TOLERANCE[dtype] * 3


# --- torch -------------------------------------------------------------------------------------------


@given(keeps(), st.sampled_from(DTYPES), st.sampled_from(["bool", *FILLS]))
def test_sdpa(drawn, dtype, form):
    keep, batch, heads, q_len, k_len = drawn
    before = keep.clone()
    query = normal(batch, heads, q_len, 4, dtype=dtype)
    key, value = (normal(batch, heads, k_len, 4, dtype=dtype) for _ in range(2))
    attn_mask = conventions.to_sdpa(keep) if form == "bool" else conventions.to_additive(keep, dtype, form)
    found = F.scaled_dot_product_attention(query, key, value, attn_mask=attn_mask)
    fill, empty_rows = ("-inf", "zero") if form in ("bool", "-inf") else (form, "nan")
    if fill == "min":
        fill = torch.finfo(dtype).min
    wanted = attend(query.float(), key.float(), value.float(), keep, fill, empty_rows).output
    agree(found, wanted, dtype)
    assert torch.equal(keep, before)


@cache
def mha(heads, dtype):
    torch.manual_seed(0)
    return nn.MultiheadAttention(8, heads, batch_first=True).to(dtype)


@given(keeps(), st.sampled_from(DTYPES), st.booleans(), st.booleans())
def test_mha(drawn, dtype, need_weights, additive):
    keep, batch, heads, q_len, k_len = drawn
    before = keep.clone()
    module = mha(heads, dtype)
    query, key = normal(batch, q_len, 8, dtype=dtype), normal(batch, k_len, 8, dtype=dtype)
    keep = stated(keep, batch, q_len)
    told = conventions.to_mha(keep, heads)
    if additive:
        told = {name: None if x is None else conventions.to_additive(~x, dtype, "-inf") for name, x in told.items()}
    found, weights = module(query, key, key, **told, need_weights=need_weights)
    projections = F.linear(query.float(), *part(module, 0)), F.linear(key.float(), *part(module, 1))
    projections += (F.linear(key.float(), *part(module, 2)),)
    split = (x.unflatten(-1, (heads, -1)).transpose(1, 2) for x in projections)
    stages = attend(*split, keep, "-inf", "nan" if need_weights else "zero")
    output = stages.output.transpose(1, 2).flatten(2)
    agree(found, F.linear(output, module.out_proj.weight.float(), module.out_proj.bias.float()), dtype)
    if need_weights:
        agree(weights, stages.weights.mean(1), dtype)
    assert torch.equal(drawn[0], before)


def stated(keep, batch, q_len):
    """to_mha takes sizes of 1 as they are, so batch and q_len are stated."""
    return keep if keep.ndim == 2 else keep[(None,) * (4 - keep.ndim)].expand(batch, -1, q_len, -1)


def part(module, n):
    """Weight and bias of the query (0), key (1) or value (2) projection."""
    return module.in_proj_weight.float().chunk(3)[n], module.in_proj_bias.float().chunk(3)[n]


@given(keeps())
def test_flex(drawn):
    from torch.nn.attention.flex_attention import flex_attention

    keep, batch, heads, q_len, k_len = drawn
    query = normal(batch, heads, q_len, 4)
    key, value = (normal(batch, heads, k_len, 4) for _ in range(2))
    # The same sums as without it, but nothing is traced again for each shape.
    with warnings.catch_warnings(), torch.compiler.set_stance("force_eager"):
        warnings.filterwarnings("ignore", message="flex_attention called without torch.compile")
        found = flex_attention(query, key, value, block_mask=conventions.to_flex(keep, q_len))
    agree(found, attend(query, key, value, keep, empty_rows="zero").output, torch.float32)


# --- transformers ------------------------------------------------------------------------------------


@cache
def model(kind, implementation, dtype):
    return tiny.model(kind, implementation, layers=1).to(dtype)


@cache
def twin(kind, dtype):
    """The same weights in float32, for the reference."""
    return tiny.model(kind, "eager", layers=1).to(dtype).float()


def reference(kind, dtype, ids, keep, empty_rows="nan"):
    """The model's last hidden state (batch, T, 16), its one attention replaced by ``attend``."""
    twin_model, positions = twin(kind, dtype), torch.arange(ids.shape[1])[None]

    def heads(x):
        return x.unflatten(-1, (-1, 8)).transpose(1, 2)

    def attention(query, key, value):
        fill = torch.finfo(dtype).min
        return attend(query, key, value, keep, fill, empty_rows).output.transpose(1, 2).flatten(2)

    if kind == "bert":
        x, layer = twin_model.embeddings(ids), twin_model.encoder.layer[0]
        inner = layer.attention.self
        x = layer.attention.output(attention(*(heads(p(x)) for p in (inner.query, inner.key, inner.value))), x)
        return layer.output(layer.intermediate(x), x)
    if kind == "gpt2":
        x, block = twin_model.wte(ids) + twin_model.wpe(positions), twin_model.h[0]
        x = x + block.attn.c_proj(attention(*(heads(p) for p in block.attn.c_attn(block.ln_1(x)).chunk(3, -1))))
        return twin_model.ln_f(x + block.mlp(block.ln_2(x)))
    from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

    x, layer = twin_model.embed_tokens(ids), twin_model.layers[0]
    inner, normed = layer.self_attn, layer.input_layernorm(x)
    query, key, value = (heads(p(normed)) for p in (inner.q_proj, inner.k_proj, inner.v_proj))
    query, key = apply_rotary_pos_emb(query, key, *twin_model.rotary_emb(x, positions))
    x = x + inner.o_proj(attention(query, key.expand_as(query), value.expand_as(query)))
    return twin_model.norm(x + layer.mlp(layer.post_attention_layernorm(x)))


kinds = pytest.mark.parametrize("kind", ["bert", "gpt2", "llama"])


@kinds
@given(data=st.data(), implementation=st.sampled_from(["eager", "sdpa"]), dtype=st.sampled_from(DTYPES))
def test_hf(kind, data, implementation, dtype):
    """2D and 4D forms (3D for BertModel in transformers 4), with empty rows, batches of 1, heads alike or not."""
    drawn, batch, _, _, k_len = data.draw(keeps(per_head=False))
    keep = drawn if drawn.shape[-2] == 1 and drawn.ndim == 4 else drawn[..., :1, :] | torch.zeros(k_len, 1).bool()
    if keep.shape[-2] > 1:  # the drawn rows, made square
        keep = drawn[..., torch.arange(k_len) % drawn.shape[-2], :]
    per_head = kind != "bert" or tiny.V5
    if keep.shape[-2] > 1 and per_head and data.draw(st.booleans()):
        keep = keep & (torch.rand(1, 2, k_len, k_len) < 0.8)
    own_triangle = kind == "gpt2" and implementation == "eager" and not tiny.V5  # applied beside the mask
    if own_triangle and keep.shape[-2] > 1:
        keep = keep & masks.causal(k_len)
    loaded = model(kind, implementation, dtype)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*lets queries see later keys")
        attention_mask = conventions.to_hf(keep, model=loaded)
    only_keys = keep.shape[-2] == 1 and (keep.ndim < 3 or keep.shape[-3] == 1)
    assert attention_mask.ndim == (2 if only_keys else 4 if per_head else 3)
    ids = torch.randint(5, tiny.VOCABULARY, (batch, k_len))
    if attention_mask.ndim == 2:
        attention_mask = attention_mask.expand(batch, -1)
        keep = keep if kind == "bert" else keep & masks.causal(k_len)
    elif attention_mask.ndim == 3:
        attention_mask = attention_mask.expand(batch, -1, -1)
    with torch.no_grad():
        found = loaded(ids, attention_mask=attention_mask).last_hidden_state
        wanted = reference(kind, dtype, ids, keep)
    # A query without any key is uniform or 0 in 2D, depending on the implementation (F2); it never is NaN.
    # In float16 the sum score - 65504 is rounded under eager, and not in the float32 that sdpa computes in.
    seeing = keep[(None,) * (4 - keep.ndim)].any(-1).all(1)
    everywhere = attention_mask.ndim == 4 and dtype != torch.float16 and not own_triangle
    agree(found, wanted, dtype, None if everywhere else seeing.expand(batch, k_len))
    assert not found.isnan().any()


@pytest.mark.parametrize("kind", ["gpt2", "llama"])
@given(
    st.integers(1, 4), st.integers(1, 4), st.integers(0, 2**32), st.sampled_from(["eager", "sdpa"]),
    st.sampled_from(DTYPES),
)  # fmt: skip
def test_hf_with_a_cache(kind, past, q_len, seed, implementation, dtype):
    """Fewer queries than keys: past keys come from a cache, the mask covers past and new."""
    torch.manual_seed(seed)
    keep = torch.rand(2, 1, q_len, past + q_len) < 0.6
    if kind == "gpt2" and implementation == "eager" and not tiny.V5:
        keep = keep & masks.causal(q_len, past + q_len)
    keep[..., 0] = True
    loaded, ids = model(kind, implementation, dtype), torch.randint(5, tiny.VOCABULARY, (2, past + q_len))
    with torch.no_grad(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*lets queries see later keys")
        attention_mask = conventions.to_hf(keep, model=loaded, ndim=4)
        name = models.cache_argument(loaded)
        step = {name: loaded(ids[:, :past], use_cache=True)[name], "attention_mask": attention_mask}
        found = loaded(ids[:, past:], **step).last_hidden_state
        whole = torch.cat([torch.ones(2, 1, past, past + q_len, dtype=torch.bool), keep], dim=2)
        wanted = reference(kind, dtype, ids, whole)[:, past:]
    agree(found, wanted, dtype)


# --- there and back ----------------------------------------------------------------------------------


@given(keeps(), st.sampled_from([*DTYPES, torch.float64]), st.sampled_from(FILLS), st.sampled_from(["eager", "sdpa"]))
def test_round_trips_are_exact(drawn, dtype, fill, implementation):
    keep, batch, heads, q_len, k_len = drawn
    before, whole = keep.clone(), (batch, heads, q_len, k_len)
    assert torch.equal(conventions.from_sdpa(conventions.to_sdpa(keep)), keep)
    assert torch.equal(conventions.from_additive(conventions.to_additive(keep, dtype, fill)), keep)
    for known in (fill, -0.3, -50.0):
        assert torch.equal(conventions.from_additive(conventions.to_additive(keep, dtype, known), fill=known), keep)
    hf = conventions.from_hf(conventions.to_hf(keep, implementation, dtype), implementation)
    assert torch.equal(hf, keep[(None,) * (4 - keep.ndim)])
    mha_masks = conventions.to_mha(stated(keep, batch, q_len), heads)
    back = conventions.from_mha(**mha_masks, num_heads=heads)
    assert torch.equal(back.expand(whole), keep.expand(whole))
    assert torch.equal(conventions.describe(mha_masks, "mha", num_heads=heads).keep.expand(whole), keep.expand(whole))
    assert torch.equal(keep, before)


@given(keeps())
def test_flex_round_trips_are_exact(drawn):
    keep, batch, heads, q_len, k_len = drawn
    found = conventions.from_flex(conventions.to_flex(keep, q_len))
    whole = (batch, heads, q_len, k_len)
    assert torch.equal(found.expand(whole), keep.expand(whole))


# --- fills -------------------------------------------------------------------------------------------

FLOATS = [*DTYPES, torch.float64]
fills = st.floats(-1e9, -1e-3) | st.floats(-200, -1e-3) | st.floats(-21, -19) | st.sampled_from([-20.0, -torch.inf])


def from_additive_or_none(bias):
    try:
        return conventions.from_additive(bias)
    except ValueError:
        return None


@given(keeps(), fills, st.sampled_from(FLOATS), st.sampled_from(["sdpa", "additive"]))
def test_one_fill_hides_by_the_weight_that_softmax_leaves(drawn, fill, dtype, api):
    keep = drawn[0]
    bias = torch.zeros(keep.shape, dtype=dtype).masked_fill(~keep, max(fill, torch.finfo(dtype).min))
    relative = bias.double().exp()  # to a key whose bias is 0
    hidden = relative <= math.exp(-20)
    found = conventions.describe(bias, api)
    assert torch.equal(found.keep, ~hidden[(None,) * (4 - keep.ndim)])
    assert "F17" not in [trap.id for trap in found.warnings]
    mild = not keep.all() and not hidden.any()
    assert ("F6" in [trap.id for trap in found.warnings if "soft bias" in trap.text]) == mild
    read = from_additive_or_none(bias)
    assert (read is None) == mild
    assert read is None or torch.equal(read, keep)
    known = bias.min().item()
    assert keep.all() or torch.equal(conventions.from_additive(bias, fill=known), keep)
    # Where a query sees a key, softmax gives what is hidden next to nothing, and the rest their share.
    weights = bias.double().softmax(-1)
    seeing = keep.any(-1, keepdim=True)
    assert not ((weights > 2.1e-9) & hidden & seeing).any()
    assert not ((weights == 0) & ~hidden & seeing).any()


@given(
    st.lists(st.floats(-60, 3) | st.floats(-3000, 60) | st.sampled_from([0.0, -20.0, -100.0, -1e9, -torch.inf]),
             min_size=1, max_size=8),
    st.sampled_from(FLOATS),
)  # fmt: skip
def test_several_values_hide_below_the_first_gap_of_20(chosen, dtype):
    bias = torch.tensor([chosen], dtype=torch.float64).clamp(min=torch.finfo(dtype).min).to(dtype)
    bias = torch.where(torch.tensor([chosen]) == -torch.inf, -torch.inf, bias)
    values = bias.double()[0].tolist()
    lowest = max(values) if max(values) >= 20 else 0.0
    for value in sorted(values, reverse=True):
        if lowest - value >= 20:
            break
        lowest = min(lowest, value)
    # With a fill at every key, and more at some, softmax shows those within reach of the highest.
    top = max(values)
    uneven = -torch.inf < top < lowest and min(values) < top
    if uneven:
        lowest = top
        for value in sorted(values, reverse=True):
            if lowest - value >= 20:
                break
            lowest = value
    found = conventions.describe(bias, "additive")
    assert found.keep.flatten().tolist() == [value >= lowest for value in values]
    read = from_additive_or_none(bias)
    assert (read is None) == (uneven or any(value > 0 or lowest <= value < 0 for value in values))
    assert read is None or torch.equal(read, found.keep[0, 0])


# --- describe and influence --------------------------------------------------------------------------

shapes = st.lists(st.integers(1, 4), min_size=1, max_size=4).map(tuple)
dtypes = st.sampled_from([torch.bool, torch.int64, torch.uint8, torch.float16, torch.bfloat16, torch.float32])
values = st.lists(
    st.sampled_from([0.0, 1.0, 0.5, 2.0, -1.0, -2.0, -1e4, -1e9, -3.4e38, -torch.inf, torch.nan]),
    min_size=1,
    max_size=4,
)


@given(
    shapes, dtypes, values, st.sampled_from(["sdpa", "mha", "mha-key-padding", "hf", "additive"]),
    st.sampled_from(["eager", "sdpa"]), st.sampled_from([None, 1, 2]),
)  # fmt: skip
def test_describe_has_words_for_every_tensor(shape, dtype, chosen, api, implementation, num_heads):
    choice = torch.randint(len(chosen), shape)
    mask = torch.tensor(chosen)[choice]
    mask = mask.to(dtype) if dtype.is_floating_point else mask.nan_to_num(0, 0, 0).clamp(-2, 2).to(dtype)
    before = mask.clone()
    try:
        found = conventions.describe(mask, api, attn_implementation=implementation, num_heads=num_heads)
    except ValueError as error:
        if "mask: got" in str(error):  # a rank that this API has no meaning for
            reject()
        raise
    assert found.api.startswith(api)
    assert str(found).count("\n") == len(found.rows()) == found._repr_html_().count("<tr>")
    if found.keep is not None:
        assert found.keep.ndim == 4
        assert found.keep.shape[-1] == shape[-1]
    assert torch.equal(mask.nan_to_num(7), before.nan_to_num(7))


@given(keeps(per_head=False))
def test_patterns_never_claim_what_is_not_there(drawn):
    keep = drawn[0]
    names = {part.name for part in recognise(keep)}
    assert ("full" in names) == bool(keep.all())
    assert ("hidden queries" in names) <= (not keep.any(-1).all())
    assert ("nothing" in names) == (not keep.any())
    square = keep[..., 0, :, :] if keep.ndim > 2 else keep
    if "causal" in names and keep.ndim == 2:
        q_len, k_len = square.shape
        shapes_of = [masks.causal(q_len, k_len, align) for align in ("lower_right", "upper_left")]
        assert any(not (square & ~shape).any() for shape in shapes_of)


@given(keeps(), st.integers(1, 4))
def test_find_leaks_against_a_loop(drawn, layers):
    keep, batch, heads, q_len, _ = drawn
    keep = keep[..., :q_len].expand(batch, heads, q_len, -1) if keep.shape[-1] >= q_len else None
    assume(keep is not None)
    measured = torch.rand(batch, q_len, q_len) * (torch.rand(batch, q_len, q_len) > 0.5)
    allowed = reach(keep, layers)
    found = find_leaks(measured, keep, layers)
    wanted = [
        (q, k, measured[b, q, k].item(), b)
        for b in range(batch)
        for q in range(q_len)
        for k in range(q_len)
        if measured[b, q, k] > 0 and not walk(keep[b].any(0), q, layers)[k]
    ]
    assert [tuple(leak) for leak in found] == wanted
    assert all(allowed[b, q].tolist() == walk(keep[b].any(0), q, layers) for b in range(batch) for q in range(q_len))


def walk(keep, q, layers):
    here = {q}
    for _ in range(layers):
        here |= {k for place in here for k in range(len(keep)) if keep[place, k]}
    return [k in here for k in range(len(keep))]
