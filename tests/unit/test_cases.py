"""Inputs of people who were bitten, each with the right value: the name says which case it is.

B: finite fills. C: false alarms. D: what was half supported. H: masks that are off by one.
"""

import itertools
import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from tests.support import tiny
from utils import conventions, masks, plots, text
from utils.attention import attend
from utils.conventions import describe, from_additive, to_additive
from utils.widgets import HeadGrid, MaskLab

DOCUMENTS = masks.documents([0, 0, 1, 1])
IMAGE = torch.tensor([0, 0, 1, 1, 1, 0, 0, 0]).bool()
REAL = torch.tensor([True, True, True, False, False])
HALF, FLOATS = torch.float16, [torch.float32, torch.float16, torch.bfloat16, torch.float64]


def ids_of(description) -> list[str]:
    return [trap.id for trap in description.warnings]


def words(description, trap_id: str) -> str:
    return " ".join(trap.text for trap in description.warnings if trap.id == trap_id)


# --- B: a finite fill that is small ------------------------------------------------------------------


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("fill", [-20.0, -100.0, -999.0, -1e4])
@pytest.mark.parametrize("api", ["sdpa", "additive", "mha"])
def test_B_swins_fill_of_minus_100_hides(fill, dtype, api):
    bias = torch.zeros(4, 4, dtype=dtype).masked_fill(~DOCUMENTS, fill)
    description = describe(bias, api)
    assert torch.equal(description.keep[0, 0], DOCUMENTS)
    assert description.warnings == []
    assert torch.equal(from_additive(bias), DOCUMENTS)
    weights = bias.float().softmax(-1)
    assert weights[~DOCUMENTS].max() <= 2e-9
    assert weights[DOCUMENTS].min() == 0.5


@pytest.mark.parametrize(
    ("fill", "says"),
    [
        (-20.0, "-20 hides (weight about 2e-09 of"),
        (-100.0, "-100 hides (weight about 4e-44 of"),
        (-999.0, "-999 hides (weight exactly 0)"),
        (-1e9, "-1e+09 hides (float16 cannot hold it: .half() makes it -inf)"),
        (-math.inf, "-inf hides"),
    ],
)
def test_B_the_weight_of_the_fill_is_said(fill, says):
    assert says in describe(to_additive(DOCUMENTS, fill=fill), "additive").polarity
    stated = torch.tensor([0.0, fill]).softmax(-1)[1].item()
    assert (stated == 0) == (fill < -110)
    assert stated == pytest.approx(math.exp(fill), rel=0.05)


@pytest.mark.parametrize("fill", [-0.5, -5.0, -10.0, -19.5])
@pytest.mark.parametrize("dtype", FLOATS)
def test_B_one_mild_value_is_a_bias_with_its_weight(fill, dtype):
    bias = to_additive(DOCUMENTS, dtype, fill)
    description = describe(bias, "sdpa")
    assert description.keep.all()
    assert ids_of(description) == ["F6"]
    stated = float(words(description, "F6").split("weight about ")[1].split(" of ")[0])
    assert stated == pytest.approx(torch.tensor(fill).exp().item(), rel=0.5)
    with pytest.raises(ValueError, match=rf"soft bias.*weight about .*from_additive\(bias, fill={fill:g}\)"):
        from_additive(bias)
    assert torch.equal(from_additive(bias, fill=fill), DOCUMENTS)


def test_B_minus_5_leaves_a_weight_of_0067():
    assert "weight about 0.0067 of" in words(describe(to_additive(DOCUMENTS, fill=-5.0), "sdpa"), "F6")


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("heads", [1, 4])
def test_B_alibi_stays_a_soft_bias_however_far_it_falls(heads, dtype):
    distance = (torch.arange(96)[:, None] - torch.arange(96)).clamp(min=0)
    slopes = 2.0 ** -torch.arange(1.0, heads + 1)
    alibi = (-distance * slopes[:, None, None]).to(dtype)
    assert alibi.min() < -40
    assert describe(alibi, "sdpa").keep.all()
    causal = describe(alibi.masked_fill(~masks.causal(96), -math.inf), "sdpa")
    assert torch.equal(causal.keep.expand(1, heads, 96, 96), masks.causal(96).expand(1, heads, 96, 96))
    for bias in (alibi, alibi.masked_fill(~masks.causal(96), -math.inf)):
        with pytest.raises(ValueError, match="A soft bias"):
            from_additive(bias)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("fill", [25.0, 1e4, math.inf])
def test_B_a_fill_without_its_minus_hides_the_rest(fill, dtype):
    """(1 - attention_mask) * 10000: the pads are all that is seen, and only in rows that have some."""
    bias = torch.zeros(2, 1, 1, 5, dtype=dtype)
    bias[1, ..., ~REAL] = fill
    description = describe(bias, "additive")
    assert description.keep[:, 0, 0].tolist() == [[True] * 5, [False] * 5 if fill == math.inf else (~REAL).tolist()]
    assert ids_of(description) == (["F1", "F2"] if fill == math.inf else ["F1"])
    assert f"Was -{bias.max().item():g} meant?" in words(description, "F1")
    if fill < math.inf:
        assert torch.equal(bias.double().softmax(-1) > 1e-9, description.keep)
    with pytest.raises(ValueError, match="Is its minus missing"):
        from_additive(bias)


def test_B_a_lifted_row_beside_rows_of_0_is_neither_a_fill_of_0_nor_padding():
    description = describe(torch.tensor([[0.0, 100.0], [0.0, 0.0]]), "sdpa")
    assert description.keep[0, 0].tolist() == [[False, True], [True, True]]
    assert ids_of(description) == ["F1"]
    assert "0 hides" not in description.polarity
    assert "below the largest value of its row" in description.polarity


@pytest.mark.parametrize("api", ["sdpa", "mha", "additive"])
@pytest.mark.parametrize("rows", [[[50.0, 50.0], [50.0, 50.0]], [[50.0, 50.0], [0.0, 0.0]]])
def test_B_the_same_large_number_at_every_key_hides_nothing(rows, api):
    description = describe(torch.tensor(rows), api)
    assert description.keep.all()
    assert ids_of(description) == ["F6"]
    assert "50 is added to all keys of a row alike: that changes no weight" in words(description, "F6")


@pytest.mark.parametrize("api", ["sdpa", "mha", "additive"])
@pytest.mark.parametrize("value", [math.inf, math.nan])
def test_B_one_inf_or_nan_makes_its_whole_row_nan(value, api):
    bias = torch.tensor([[0.0, value], [0.0, 0.0]])
    query = torch.randn(1, 1, 2, 4)
    output = F.scaled_dot_product_attention(query, query, query, attn_mask=bias)[0, 0]
    assert output.isnan().any(-1).tolist() == bias.softmax(-1).isnan().any(-1).tolist() == [True, False]
    description = describe(bias, api)
    assert description.keep[0, 0].tolist() == [[False, False], [True, True]]
    assert ids_of(description) == ["F1" if value == math.inf else "F18", "F2"]
    assert "its whole row NaN" in str(description)
    assert "1 query without any key: NaN" in words(description, "F2")
    other = describe(bias.index_fill(0, torch.tensor(1), -math.inf), api)
    assert "in other rows: " in words(other, "F2")


@pytest.mark.parametrize("api", ["sdpa", "mha", "additive"])
@pytest.mark.parametrize("fill", [-1e4, -100.0, -1e9, "min"])
def test_B_a_row_that_has_two_fills_added_up_is_described_as_softmax_sees_it(fill, api):
    once = to_additive(masks.causal(4), fill=fill)
    bias = once + once.min() * (torch.arange(4) == 2)[:, None]
    assert torch.equal(bias.softmax(-1) > 1e-9, masks.causal(4))
    description = describe(bias, api)
    assert torch.equal(description.keep[0, 0], masks.causal(4))
    assert set(ids_of(description)) == {"F17"}
    assert f"the keys with {once.min():g} are seen" in words(description, "F17")
    assert ("about equal weights" in words(description, "F17")) == (fill in (-1e9, "min"))


@pytest.mark.parametrize("api", ["sdpa", "mha", "additive"])
def test_B_a_last_row_at_the_fill_is_no_padding(api):
    bias = to_additive(masks.causal(4), fill=-1e4)
    bias[3] -= 1e4
    description = describe(bias, api)
    assert ids_of(description) == ["F2"]
    assert "as if nothing were hidden" in words(description, "F2")


def test_B_from_additive_names_nan():
    for fill in (None, -5.0):
        with pytest.raises(ValueError, match=r"with the value nan.*is NaN at kept places") as error:
            from_additive(torch.tensor([[0.0, -math.inf, math.nan]]), fill=fill)
        assert "ALiBi" not in str(error.value)


@pytest.mark.parametrize(("fill", "other"), [(-5.0, -math.inf), (-100.0, -math.inf), (-5.0, -1e4)])
def test_B_from_additive_with_a_fill_beside_another_fill_does_not_speak_of_alibi(fill, other):
    with pytest.raises(ValueError, match=rf"value {other:g}, .*Were two masks added") as error:
        from_additive(torch.tensor([[0.0, fill, other]]), fill=fill)
    assert "ALiBi" not in str(error.value)


@pytest.mark.parametrize("fill", [-100.0, -1e4, -1e9, "min"])
def test_B_from_additive_refuses_a_row_of_two_fills_of_which_softmax_shows_some(fill):
    once = to_additive(masks.causal(4), fill=fill)
    bias = once + once.min() * (torch.arange(4) == 2)[:, None]
    assert torch.equal(bias.softmax(-1) > 1e-9, masks.causal(4))
    for read in (from_additive, conventions.from_sdpa, conventions.from_mha):
        with pytest.raises(ValueError, match=r"fill at every key, and more at some.*Were two masks added"):
            read(bias)


def test_B_a_soft_bias_that_reaches_minus_30_is_not_called_mild():
    bias = torch.tensor([[0.0, -30.0, -15.0], [-30.0, 0.0, -15.0], [-30.0, -15.0, 0.0]])
    description = describe(bias, "sdpa")
    assert description.keep.all()
    assert "The values fall to -30 in steps of less than 20: a soft bias that shifts" in words(description, "F6")
    assert "very negative" not in words(description, "F6")


def test_B_relative_positions_beside_a_fill():
    """Swin adds a learned bias and -100 in one tensor: what is near -100 is hidden, the rest is soft."""
    torch.manual_seed(0)
    bias = torch.randn(3, 4, 4).masked_fill(~DOCUMENTS, -100.0)
    added = torch.randn(3, 4, 4) + to_additive(DOCUMENTS, fill=-100.0)
    for tensor in (bias, added):
        description = describe(tensor, "sdpa")
        assert torch.equal(description.keep, DOCUMENTS.expand(1, 3, 4, 4))
        assert "a soft bias that shifts" in words(description, "F6")
        with pytest.raises(ValueError, match="A soft bias"):
            from_additive(tensor)


@pytest.mark.parametrize("dtype", FLOATS)
def test_B_several_values_that_are_all_very_negative_hide(dtype):
    bias = to_additive(DOCUMENTS, dtype, -100.0) + to_additive(masks.causal(4), dtype, -50.0)
    assert bias.unique().tolist() == [-150, -100, -50, 0]
    assert torch.equal(describe(bias, "sdpa").keep[0, 0], DOCUMENTS & masks.causal(4))
    assert torch.equal(from_additive(bias), DOCUMENTS & masks.causal(4))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("api", ["sdpa", "additive", "mha"])
@pytest.mark.parametrize("keep", [masks.causal(5), masks.sliding_window(5, 2), masks.causal(5) & REAL])
def test_B_a_healthy_float16_mask_of_minus_infinity_draws_no_overflow_warning(keep, api, dtype):
    description = describe(to_additive(keep, dtype, "-inf"), api)
    assert description.warnings == []
    assert torch.equal(description.keep[0, 0], keep)
    for fill in ("min", -1e4):
        assert describe(to_additive(keep, dtype, fill), api).warnings == []


@pytest.mark.parametrize("dtype", FLOATS)
def test_B_only_a_sum_that_overflowed_is_warned_about(dtype):
    padding = to_additive(REAL.expand(5, 5), dtype)
    overflowed = padding + to_additive(masks.causal(5), dtype)
    assert overflowed.isinf().any()
    assert "Two fills in one mask" in words(describe(overflowed, "additive"), "F17")
    two_on_purpose = to_additive(masks.causal(5), dtype, "-inf").masked_fill(~REAL, -1e4)
    assert ids_of(describe(two_on_purpose, "additive")) == []
    assert ids_of(describe(to_additive(masks.causal(5), torch.float32, -1e9), "additive")) == []


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("fill", [-20.0, -100.0, -1e3, -1e4, -1e5, -1e6, -1e7, -1e8, -1e9, "min", "-inf"])
@pytest.mark.parametrize("api", ["sdpa", "additive"])
def test_B_what_an_empty_row_becomes_follows_the_fill_and_the_dtype(fill, dtype, api):
    if fill not in ("min", "-inf") and fill < torch.finfo(dtype).min:
        return  # to_additive refuses it
    torch.manual_seed(0)
    query, key, value = torch.randn(3, 1, 2, 4, 8).to(dtype)
    keep = masks.full(4).clone()
    keep[2] = False
    bias = to_additive(keep, dtype, fill)
    scores = query @ key.transpose(-2, -1) / math.sqrt(8)
    by_hand = (scores + bias).softmax(-1) @ value
    output = F.scaled_dot_product_attention(query, key, value, attn_mask=bias) if api == "sdpa" else by_hand
    row, said = output[:, :, 2].float(), words(describe(bias, api), "F2")
    if fill == "-inf":
        assert said.endswith("the output is 0." if api == "sdpa" else "softmax of -inf only is NaN.")
        assert not row.any() if api == "sdpa" else row.isnan().all()
        return
    if "as if nothing were hidden" in said:
        step = 1e-3
    elif "rounds the scores to steps of" in said:
        step = float(said.split("steps of ")[1].split(",")[0])
        assert 1 / 64 < step < 8
    else:
        assert said.endswith("a finite fill leaves uniform weights, the mean of all values.")
        step = math.inf
    rounded = torch.zeros_like(scores[:, :, 2]) if step == math.inf else (scores[:, :, 2] / step).round() * step
    wanted = rounded.float().softmax(-1)[..., None, :] @ value.float()
    assert torch.allclose(row, wanted[..., 0, :], atol=0.03), said


def test_B_the_largest_number_of_float64_has_words_too():
    bias = to_additive(~masks.full(1, 2), torch.float64)
    assert "uniform weights" in words(describe(bias, "sdpa"), "F2")


@pytest.mark.parametrize("form", ["bool", "-inf", "min", -1e4])
@pytest.mark.parametrize("which", ["attn_mask", "key_padding_mask", "both"])
@pytest.mark.parametrize("heads", [2, 3])
@pytest.mark.parametrize("batch_first", [True, False])
def test_B_what_an_empty_row_becomes_in_multihead_attention(form, which, heads, batch_first):
    torch.manual_seed(0)
    module = nn.MultiheadAttention(6 * heads, heads, batch_first=batch_first).eval()
    x = torch.randn(1, 5, 6 * heads)
    x = x if batch_first else x.transpose(0, 1)
    keeps = {"attn_mask": masks.causal(5) & masks.full(5).triu(-4), "key_padding_mask": torch.zeros(1, 5).bool()}
    keeps["attn_mask"][0] = False
    told = {
        name: ~keep if form == "bool" else to_additive(keep, fill=form)
        for name, keep in keeps.items()
        if which in (name, "both")
    }
    description = describe(told, "mha", num_heads=heads)
    said = words(description, "F2")
    with torch.no_grad():
        rows = {need: module(x, x, x, **told, need_weights=need)[0].flatten(0, 1)[0] for need in (True, False)}
    bias = module.out_proj.bias.detach()
    if form in ("bool", "-inf"):
        assert said.startswith(f"{len(description.empty_rows)} quer")
        assert "NaN with need_weights=True" in said
        assert rows[True].isnan().all()
        fast = form == "bool" and heads % 2 == 0 and batch_first
        assert rows[False].isnan().all() if fast else torch.allclose(rows[False], bias, atol=1e-6)
        assert ("in eval without gradients if batch_first=True and the number of heads is even" in said) == (
            form == "bool"
        )
        assert "else their attention is 0" in said
        return
    assert ("uniform weights" in said) == (form == "min")
    assert ("as if nothing were hidden" in said) == (form == -1e4)
    # finfo.min twice is -inf: of both masks only row 0, whose every key has two fills, is all -inf.
    assert ("a row of -inf only: NaN with need_weights=True; else" in said) == (form == "min" and which == "both")
    if form == "min" and which == "both":
        assert rows[True].isnan().all()
        assert torch.allclose(rows[False], bias, atol=1e-6)
    else:
        assert torch.allclose(rows[True], rows[False], atol=1e-3)
        assert not rows[True].isnan().any()


# --- C: false alarms ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "keep",
    [
        masks.causal(8) | (torch.arange(8) < 5) & (torch.arange(8)[:, None] < 5) & (torch.arange(8)[:, None] > 1),
        masks.causal(8) | IMAGE[:, None] & IMAGE,
        masks.causal(6) | masks.documents([0, 1, 1, 2, 2, 2]),
        masks.causal(6).T | masks.documents([0, 1, 1, 2, 2, 2]).T,
        masks.lengths([3, 2, 3], 3)[:, 0, 0],
    ],
)  # fmt: skip
def test_C_image_tokens_that_see_each_other_are_no_padding(keep):
    """Square, and every query sees itself: a mask of queries, whatever its rows look like."""
    keep = keep.bool()
    for mask, api in ((keep, "sdpa"), (~keep, "mha"), (to_additive(keep), "sdpa")):
        description = describe(mask, api)
        assert ids_of(description) == [], str(description)
        assert torch.equal(description.keep[0, 0], keep)


@pytest.mark.parametrize("start", [2, 3, 4])
def test_C_image_tokens_in_a_chunk_of_a_prefill_are_no_padding(start):
    keep = (masks.causal(8) | IMAGE[:, None] & IMAGE)[start:]
    for mask, api in ((keep, "sdpa"), (~keep, "mha"), (to_additive(keep), "sdpa")):
        assert ids_of(describe(mask, api)) == []


def test_C_padding_as_2d_is_still_seen():
    for lengths, k_len, side in (
        ([5, 3, 1], 5, "right"),
        ([3, 1, 2], 3, "right"),
        ([5, 3], 5, "right"),
        ([3, 5, 4], 5, "left"),
    ):
        assert ids_of(describe(masks.lengths(lengths, k_len, side)[:, 0, 0], "sdpa")) == ["F6"]


def test_C_queries_hidden_as_well_give_0_under_sdpa():
    keep = REAL[:, None] & REAL
    description = describe(keep, "sdpa")
    assert ids_of(description) == ["F5", "F2"]
    assert "NaN" not in str(description)
    assert "Hide keys only: hiding the queries too gains nothing." in str(description)
    assert "2 queries without any key: the output is 0" in str(description)
    query, key, value = torch.randn(3, 1, 1, 5, 4)
    output = F.scaled_dot_product_attention(query, key, value, attn_mask=keep)[0, 0]
    alone = F.scaled_dot_product_attention(query, key, value, attn_mask=REAL.expand(5, 5))[0, 0]
    assert not output[3:].any()
    assert torch.allclose(output[:3], alone[:3])


@pytest.mark.parametrize(
    ("mask", "api", "spreads", "says"),
    [
        (to_additive(REAL[:, None] & REAL, fill="-inf"), "sdpa", False, "the output is 0"),
        (to_additive(REAL[:, None] & REAL, fill="-inf"), "additive", True, "becomes NaN"),
        (to_additive(REAL[:, None] & REAL), "additive", False, "uniform weights"),
        (to_additive(REAL[:, None] & REAL, fill=-1e4), "additive", False, "as if nothing were hidden"),
        (~(REAL[:, None] & REAL), "mha", True, "may become NaN"),
        (to_additive(REAL[:, None] & REAL), "mha", False, "uniform weights"),
        (to_additive(REAL[:, None] & REAL)[None, None], "hf", False, "uniform weights"),
        (conventions.to_flex(REAL[:, None] & REAL), "flex", False, "the output is 0"),
    ],
)
def test_C_queries_hidden_as_well_are_told_for_each_api(mask, api, spreads, says):
    description = describe(mask, api)
    assert ("NaN spreads" in words(description, "F5")) == spreads
    assert says in words(description, "F5") + words(description, "F2")


# --- D: half supported -------------------------------------------------------------------------------


@pytest.mark.parametrize("borders", [[0, 3, 5, 8], [0, 8], [0, 1, 2, 9], [[0, 3, 5, 8], [0, 1, 4, 8]]])
@pytest.mark.parametrize("as_tensor", [True, False])
def test_D_cu_seqlens_are_no_document_ids(borders, as_tensor):
    with pytest.warns(UserWarning, match=r"begin at 0, rise at each step.*document_ids\(cu_seqlens=…\)"):
        keep = masks.documents(torch.tensor(borders, dtype=torch.int32) if as_tensor else borders)
    assert torch.equal(keep, torch.eye(keep.shape[-1]).bool().expand(keep.shape))


@pytest.mark.parametrize("borders", [[0, 3, 5, 8, 8, 8], [0, 3, 5, 5, 5, 5, 5], [0, 3, 3, 8], [0, 0, 3, 8], [0, 8, 8]])
@pytest.mark.parametrize("dtype", [torch.int32, torch.int64, torch.uint8, None])
def test_D_cu_seqlens_with_an_empty_document_or_a_repeated_end_are_no_document_ids(borders, dtype):
    with pytest.warns(UserWarning, match=r"begin at 0, never fall and leave gaps.*document_ids\(cu_seqlens=…\)"):
        masks.documents(torch.tensor(borders, dtype=dtype) if dtype else borders)
    ids = masks.document_ids(cu_seqlens=borders)
    assert len(ids) == borders[-1]
    masks.documents(ids)  # without a warning


def test_D_an_id_that_int64_cannot_hold_is_named():
    for value in (2**70, 2**63, -(2**70)):
        with pytest.raises(ValueError, match=rf"document_ids: got {value} among them, which int64 cannot hold"):
            masks.documents([value, 1])


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2])
def test_D_float8_is_refused_by_name(dtype):
    bias = torch.tensor([[0.0, -20.0]]).to(dtype)
    for api in ("sdpa", "mha", "mha-key-padding", "additive", "hf"):
        with pytest.raises(TypeError, match=r"mask: got a float8.*Write \.to\(torch\.float16\) first"):
            describe(bias, api)
    for read in (from_additive, conventions.from_sdpa, conventions.from_mha, conventions.from_hf):
        with pytest.raises(TypeError, match=r"float8.*Write \.to\(torch\.float16\) first"):
            read(bias)
    with pytest.raises(TypeError, match=r"dtype: got torch\.float8.*16 bits or more"):
        to_additive(DOCUMENTS, dtype)


@pytest.mark.parametrize(
    "ids",
    [
        [0, 1, 2],
        [0],
        [1, 3, 5],
        [0, 0, 2, 2],
        [0, 0, 1, 1, 2],
        [0, 2, 2, 2],
        [0, 0, 0, 5, 5, 5, 9, 9],
        [0, 2, 1],
        [5, 3, 0],
        [[0, 1, 2], [0, 3, 5]],
        [[0, 0], [0, 2]],
    ],
)
def test_D_other_ids_draw_no_warning(ids):
    masks.documents(ids)  # any warning is an error here


def test_D_describe_does_not_warn_in_the_name_of_documents():
    """What describe asks itself about document ids is no business of its caller: any warning is an error here."""
    keep = torch.tensor([[True, False], [False, False]])
    assert ids_of(describe(keep, "sdpa")) == ["F2"]


@given(st.lists(st.integers(0, 4), min_size=1, max_size=6).filter(any), st.sampled_from([torch.int32, torch.int64]))
def test_D_document_ids_against_a_loop(counts, dtype):
    borders = [sum(counts[:n]) for n in range(len(counts) + 1)]
    wanted = [n for n, count in enumerate(counts) for _ in range(count)]
    ids = masks.document_ids(cu_seqlens=torch.tensor(borders, dtype=dtype))
    assert ids.dtype == torch.int64
    assert ids.tolist() == wanted == masks.document_ids(cu_seqlens=borders).tolist()
    if all(counts):
        assert masks.document_ids(lengths=counts).tolist() == wanted
        assert masks.document_ids(lengths=torch.tensor(counts, dtype=dtype)).tolist() == wanted
        keep = masks.documents(ids)
        for start, end in itertools.pairwise(borders):
            assert keep[start:end, start:end].all()
            assert not keep[start:end, :start].any()
            assert not keep[start:end, end:].any()


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ({}, ValueError, "got neither of cu_seqlens and lengths"),
        ({"cu_seqlens": [0, 2], "lengths": [2]}, ValueError, "got both of cu_seqlens and lengths"),
        ({"cu_seqlens": [3, 2, 3]}, ValueError, r"cu_seqlens: got \[3, 2, 3\].*Then write lengths="),
        ({"cu_seqlens": [0, 5, 3]}, ValueError, r"cu_seqlens: got \[0, 5, 3\], wanted .* never fall"),
        ({"cu_seqlens": [0]}, ValueError, r"got \[0\], wanted"),
        ({"cu_seqlens": [0, 0]}, ValueError, "end with the number of tokens"),
        ({"cu_seqlens": []}, ValueError, "empty"),
        ({"cu_seqlens": [0, 2.5]}, TypeError, "got 2.5 among them"),
        ({"cu_seqlens": torch.tensor([0.0, 2.0])}, TypeError, "cu_seqlens: got a float32 tensor.*wanted integers"),
        ({"cu_seqlens": torch.tensor([[0, 2]])}, ValueError, r"of shape \(1, 2\)"),
        ({"cu_seqlens": torch.tensor([False, True])}, TypeError, "Is this an attention_mask"),
        ({"cu_seqlens": 8}, TypeError, "cu_seqlens: got 8"),
        ({"lengths": [3, 0]}, ValueError, r"lengths: got \[3, 0\].*Leave out a document without tokens"),
        ({"lengths": [3, -1]}, ValueError, r"lengths: got \[3, -1\]"),
        ({"lengths": [0, 3, 5, 8]}, ValueError, "Then write cu_seqlens="),
        ({"lengths": torch.tensor([2.0])}, TypeError, "lengths: got a float32 tensor"),
        ({"lengths": [*range(1, 20), 0]}, ValueError, r"\[1, 2, 3, 4, 5, 6, 7, 8, …\]"),
    ],
)
def test_D_document_ids_names_bad_input(arguments, error, says):
    with pytest.raises(error, match=says):
        masks.document_ids(**arguments)


def test_D_document_ids_takes_no_position():
    with pytest.raises(TypeError):
        masks.document_ids([0, 3])


def test_D_attentions_of_generate_are_nested():
    model = tiny.model("gpt2", "eager", head=True)
    options = {"max_new_tokens": 2, "min_new_tokens": 2, "do_sample": False}
    result = model.generate(
        torch.tensor([[5, 6, 7, 8]]), output_attentions=True, return_dict_in_generate=True, **options
    )
    step, later = result.attentions
    for nested in ((step, later), [list(step)], (step,)):
        with pytest.raises(TypeError, match=r"before\[0\]: got a (tuple|list).*one tuple per step.*attentions\[0\]"):
            HeadGrid(nested)
    with pytest.raises(TypeError, match=r"after\[0\]: got a tuple.*one tuple per step"):
        HeadGrid(step, (step, later))
    # What the error proposes works: one step, or the finished text run once.
    assert HeadGrid(step).shape == [2, 2, 4, 4]
    assert HeadGrid(later).shape == [2, 2, 1, 5]
    assert HeadGrid(model(result.sequences, output_attentions=True).attentions).shape == [2, 2, 6, 6]


@pytest.mark.parametrize("kind", ["bool", "additive"])
def test_D_a_3d_mask_is_read_as_heads_and_says_so(kind):
    """(batch, L, L) runs without a word where batch == heads; SDPA gives each head another text's mask."""
    keep = torch.stack([masks.causal(4), masks.full(4)])
    attn_mask = keep if kind == "bool" else to_additive(keep)
    description = describe(attn_mask, "sdpa")
    assert description.read_as == (
        "(heads, q_len, k_len), the same for every sequence; if the first size is a batch, write mask[:, None]"
    )
    assert description.warnings == []
    query, key = torch.randn(2, 2, 2, 4, 8)
    weights = F.scaled_dot_product_attention(query, key, torch.eye(4).expand(2, 2, 4, 4), attn_mask=attn_mask)
    assert torch.equal(weights > 0, description.keep.expand(2, 2, 4, 4))
    right = F.scaled_dot_product_attention(query, key, torch.eye(4).expand(2, 2, 4, 4), attn_mask=attn_mask[:, None])
    assert torch.equal(right > 0, keep[:, None].expand(2, 2, 4, 4))
    for one in (attn_mask[:1], attn_mask[:1][None], attn_mask[0]):
        assert "if the first size is a batch" not in describe(one, "sdpa").read_as


def test_D_a_batch_as_heads_is_named_by_attend_and_masklab():
    query, key, value = torch.randn(3, 3, 2, 4, 8)  # 3 texts, 2 heads
    with pytest.raises(ValueError, match=r"keep: got .*\(3, 4, 4\).*for \(batch, q_len, k_len\) write keep\[:, None\]"):
        attend(query, key, value, masks.causal(4).expand(3, 4, 4))
    with pytest.raises(ValueError, match=r"keep: got .*Pick one sequence and head first: keep\[0\]"):
        MaskLab(torch.randn(2, 4, 4), masks.causal(4).expand(3, 4, 4))
    with pytest.raises(ValueError, match=r"scores: got .*Of a batch pick one sequence: scores\[0\]"):
        MaskLab(torch.randn(3, 2, 4, 4))


@pytest.mark.parametrize(("token", "shown"), [("\ud800", "�"), ("a\udc00", "a�"), ("\ud83d\ude00", "😀"), ("ok", "ok")])
def test_D_half_a_utf16_pair_in_a_token(token, shown):
    """A tokenizer that cuts an emoji in two, as JSON or JavaScript may hand it over: no encoding takes it."""
    weights, tokens = torch.full((2, 2), 0.5), [token, "b"]
    pictures = [
        plots.heatmap(weights, tokens, tokens, alt=f"alt {token}", title=token, value_name=token),
        plots.before_after(weights, masks.causal(2), tokens, tokens, alt="alt", titles=(token, token)),
        plots.gallery({token: masks.causal(2)}, alt="alt"),
        plots.cost({token: {1: [1.0], 2: [2.0]}}, alt="alt", title=token, x_name=token, y_name=token),
        MaskLab(weights, masks.causal(2), tokens, alt=f"alt {token}").picture(),
        HeadGrid(weights[None, None], weights[None, None], tokens, names=(token, "b"), alt=f"alt {token}").picture(),
    ]
    for picture in pictures:
        bundle, _ = picture._repr_mimebundle_()
        "".join(bundle.values()).encode("utf-8")
        assert picture.png().startswith(b"\x89PNG")
    assert pictures[0].alt == f"alt {shown}"
    assert [label.get_text() for label in pictures[0].figure.axes[0].get_xticklabels()] == [shown, "b"]
    for widget in (MaskLab(weights, None, tokens), HeadGrid(weights[None, None], tokens=tokens)):
        assert widget.query_tokens == widget.key_tokens == [shown, "b"]
        widget.key_tokens = ["b", token]
        assert widget.key_tokens == ["b", shown]
        assert widget.get_state(["query_tokens", "key_tokens"]) == {
            "query_tokens": [shown, "b"],
            "key_tokens": ["b", shown],
        }
    assert HeadGrid(weights[None, None], weights[None, None], names=("a", token)).names == ["a", shown]


def test_D_half_a_utf16_pair_in_a_vocabulary():
    class Tokenizer:
        all_special_ids = (0,)

        def convert_ids_to_tokens(self, ids):
            return ["\ud800", "##\udc00", "c"]

        def decode(self, ids, **_):
            return "c\ud800"

    assert text.labels(Tokenizer(), [0, 1, 2]) == ["�", "##�", "c�"]


# --- H: masks that are off by one --------------------------------------------------------------------


@pytest.mark.parametrize("length", [3, 5, 8])
@pytest.mark.parametrize("padding", [None, "right", "left"])
def test_H_tril_1_is_off_by_one(length, padding):
    keep = masks.full(length).tril(1)
    if padding and length > 3:
        keep = keep & masks.lengths([length - 1], length, padding)
    for mask, api in (
        (keep, "sdpa"),
        (to_additive(keep), "additive"),
        (to_additive(keep).reshape(1, 1, length, length), "hf"),
    ):
        description = describe(mask, api)
        assert "S3.6" in ids_of(description), str(description)
        assert "off by one" in words(description, "S3.6")
        assert "tril(), not tril(1)" in words(description, "S3.6")
    if padding is None:
        assert ids_of(describe(torch.ones(length, length).triu(2).bool(), "mha")) == ["S3.6"]


def test_H_one_ahead_with_a_cache():
    assert ids_of(describe(masks.full(3, 7).tril(5), "sdpa")) == ["S3.6"]
    assert ids_of(describe(masks.full(3, 7).tril(4), "sdpa")) == []


@pytest.mark.parametrize(("q_len", "k_len"), [(2, 3), (3, 5), (4, 12)])
def test_H_an_upper_left_triangle_with_a_cache(q_len, k_len):
    keep = masks.causal(q_len, k_len, "upper_left")
    for mask, api in (
        (keep, "sdpa"),
        (~keep, "mha"),
        (to_additive(keep), "additive"),
        (conventions.to_flex(keep), "flex"),
    ):
        description = describe(mask, api)
        assert ids_of(description) == ["F20"], str(description)
        assert f"Use masks.causal({q_len}, {k_len})" in words(description, "F20")
    theirs = F.scaled_dot_product_attention(
        torch.randn(1, 1, q_len, 4), torch.randn(1, 1, k_len, 4), torch.eye(k_len)[None, None], is_causal=True
    )
    assert torch.equal(theirs[0, 0] > 0, keep)
    assert ids_of(describe(masks.causal(q_len, k_len), "sdpa")) == []


@pytest.mark.parametrize("k_len", [2, 4, 300])
def test_H_one_cached_query_that_sees_key_0_only(k_len):
    keep = masks.causal(1, k_len, "upper_left")
    for mask, api in (
        (keep, "sdpa"),
        (~keep, "mha"),
        (to_additive(keep), "additive"),
        (keep.expand(2, 1, 1, k_len), "sdpa"),
        (to_additive(keep[None, None]), "hf"),
        (conventions.to_flex(keep), "flex"),
    ):
        description = describe(mask, api)
        assert ids_of(description) == ["F20"], str(description)
        assert f"use masks.causal(1, {k_len})" in words(description, "F20")
        assert description.keep.sum(-1).eq(1).all()
    assert ids_of(describe(masks.causal(1, k_len), "sdpa")) == []
    lengths = masks.lengths([1, 2], 2)
    for padding, api in ((keep.int(), "hf"), (~keep, "mha-key-padding"), (lengths, "sdpa")):
        assert ids_of(describe(padding, api)) == []


@pytest.mark.parametrize("ids", [[0, 0, 0, 1, 1, 1, 1], [0, 0, 1, 1, 1, 2], [0, 1, 1, 1]])
@pytest.mark.parametrize("batch", [1, 2])
def test_H_tril_1_in_packed_documents_is_off_by_one(ids, batch):
    documents = masks.documents([ids] * batch)
    keep = documents & masks.full(len(ids)).tril(1)
    assert ids_of(describe(keep, "sdpa")) == ["S3.6"]
    for right in (documents, documents & masks.causal(len(ids)), documents & masks.full(len(ids)).tril(2)):
        assert ids_of(describe(right if batch > 1 else right[0, 0], "sdpa")) == (
            ["S3.6"] if torch.equal(right, keep) and not torch.equal(right, documents) else []
        )


def test_H_an_upper_left_window_with_a_cache():
    keep = masks.causal(4, 9, "upper_left") & masks.full(4, 9).triu(-1)
    assert ids_of(describe(keep, "sdpa")) == ["F20"]
    assert ids_of(describe(masks.sliding_window(4, 2, 9), "sdpa")) == []


@pytest.mark.parametrize(
    "keep",
    [
        masks.full(5).tril(1).triu(-1),
        masks.full(6).tril(1).triu(-3),
        masks.full(6).tril(2),
        masks.full(2).tril(1),
        masks.causal(5, 3, "upper_left"),
        masks.prefix(5, 2),
        masks.lengths([2, 3], 3) & masks.full(3),
    ],
)
def test_H_bands_on_purpose_draw_no_warning(keep):
    assert not {"S3.6", "F20"} & set(ids_of(describe(keep, "sdpa")))
