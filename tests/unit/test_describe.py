"""describe() and the patterns behind it: what it names is rebuilt, what it warns of is run."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tests.support import tiny
from utils import conventions, masks, patterns
from utils.conventions import describe

PADDING = masks.lengths([5, 3, 1], 5)
PADDING_2D = PADDING[:, 0, 0]
CAUSAL = masks.causal(5)


def ids_of(description) -> list[str]:
    return [trap.id for trap in description.warnings]


# --- patterns ----------------------------------------------------------------------------------------


def rebuilt(parts, keep):
    """The tensor that the named patterns stand for, built with masks.py."""
    batch, heads, q_len, k_len = keep.shape
    rebuilt_keep = masks.full(q_len, k_len)
    for pattern in parts:
        p = pattern.parameters
        if pattern.name == "causal":
            rebuilt_keep = rebuilt_keep & masks.causal(q_len, k_len, **p)
        elif pattern.name == "sliding window":
            rebuilt_keep = rebuilt_keep & masks.sliding_window(q_len, p["window"], k_len)
        elif pattern.name == "prefix":
            rebuilt_keep = rebuilt_keep & masks.prefix(q_len, **p)
        elif pattern.name in ("banded", "future only"):
            distance = torch.arange(q_len)[:, None] + k_len - q_len - torch.arange(k_len)
            rebuilt_keep = rebuilt_keep & (distance <= p["back"]) & (distance >= -p["ahead"])
        elif pattern.name == "padding":
            rebuilt_keep = rebuilt_keep & masks.lengths(p["lengths"], k_len, p["side"])
        else:
            assert pattern.name == "full", pattern
    return rebuilt_keep.expand(batch, heads, q_len, k_len)


@pytest.mark.parametrize(
    ("keep", "words"),
    [
        (masks.full(3, 5), "full: nothing is hidden"),
        (~masks.full(3, 5), "nothing is visible"),
        (CAUSAL, "causal, aligned lower right"),
        (masks.causal(3, 5), "causal, aligned lower right"),
        (masks.causal(3, 5, "upper_left"), "causal, aligned upper left"),
        (masks.sliding_window(5, 2), "sliding window of 2 keys"),
        (masks.sliding_window(5, 1), "sliding window of 1 key"),
        (masks.sliding_window(3, 2, 6), "sliding window of 2 keys"),
        (masks.prefix(5, 3), "prefix of 3 keys, then causal"),
        (~CAUSAL, "future only: from 1 to 4 ahead"),
        (CAUSAL & ~torch.eye(5, dtype=torch.bool), "past only: from 4 to 1 back, never itself"),
        (masks.sliding_window(5, 2) | masks.sliding_window(5, 3).T, "banded: from 1 back to 2 ahead"),
        (PADDING, "padding on the right, lengths 5, 3, 1"),
        (masks.lengths([4, 1], 4, "left"), "padding on the left, lengths 4, 1"),
        (PADDING & CAUSAL, "causal, aligned lower right; padding on the right, lengths 5, 3, 1"),
        (masks.lengths([2, 5], 5, "left") & CAUSAL, "causal, aligned lower right; padding on the left, lengths 2, 5"),
        (masks.sliding_window(5, 2) & PADDING, "sliding window of 2 keys; padding on the right, lengths 5, 3, 1"),
        (masks.documents([0, 0, 1, 1, 1]), "2 documents of 2, 3 tokens"),
        (masks.documents([0, 1, 0, 1, 1]), "2 documents of 2, 3 tokens"),
        (masks.documents([0, 0, 1, 1, 1]) & CAUSAL, "causal within 2 documents of 2, 3 tokens"),
        (masks.documents([[0, 0, 1], [0, 1, 2]]), "2 documents of 2, 1 tokens in the first of 2 sequences"),
        (torch.tensor([[True, False, True, True, False]]), "2 keys hidden from every query"),
        (PADDING & PADDING.transpose(-1, -2), "padding on the right, lengths 5, 3, 1; 6 queries that see nothing"),
        (torch.stack([CAUSAL, ~CAUSAL]), "different in each of 2 heads"),
        (torch.tensor([[1, 0, 1], [0, 1, 0], [1, 1, 0]]).bool(), "no regular pattern"),
    ],
)
def test_patterns_are_named(keep, words):
    assert "; ".join(map(str, patterns.recognise(keep))) == words


@pytest.mark.parametrize("q_len", [1, 2, 3, 6])
@pytest.mark.parametrize("k_len", [1, 2, 6, 7])
def test_what_is_named_is_what_is_there(q_len, k_len):
    """Every constructor, with and without padding, is recognised and rebuilt exactly."""
    for padding in (masks.full(q_len, k_len), masks.lengths([k_len, k_len - 1], k_len, "left")):
        keeps = [masks.full(q_len, k_len), masks.causal(q_len, k_len), masks.causal(q_len, k_len, "upper_left")]
        keeps += [masks.sliding_window(q_len, n, k_len) for n in range(1, 5)]
        keeps += [masks.prefix(q_len, n) for n in range(q_len + 1)] if q_len == k_len else []
        for keep in (k & padding for k in keeps):
            parts = patterns.recognise(keep)
            keep = keep[(None,) * (4 - keep.ndim)]
            if keep.any():
                assert torch.equal(rebuilt(parts, keep), keep)
            else:
                assert parts == [patterns.Pattern("nothing", {})]


# --- reading as the API reads ------------------------------------------------------------------------


def random_mask(kind: str, shape) -> torch.Tensor:
    visible = torch.rand(shape) > 0.5
    visible[..., 0] = True
    return {
        "bool": visible,
        "additive": conventions.to_additive(visible, torch.float32, "-inf"),
        "0/1": visible.float(),
    }[kind]


@pytest.mark.parametrize("kind", ["bool", "additive", "0/1"])
@pytest.mark.parametrize("shape", [(3, 5), (2, 3, 5), (4, 1, 3, 5)])
def test_sdpa_does_what_is_described(kind, shape):
    attn_mask = random_mask(kind, shape)
    description = describe(attn_mask, "sdpa")
    query, key = torch.randn(4, 2, 3, 8), torch.randn(4, 2, 5, 8)
    value = torch.eye(5).expand(4, 2, 5, 5)
    weights = F.scaled_dot_product_attention(query, key, value, attn_mask=attn_mask)
    assert torch.equal(weights > 0, description.keep.expand(4, 2, 3, 5))
    assert torch.equal(description.keys_per_query, description.keep.sum(-1))
    assert (ids_of(description) == ["F6"]) == (kind == "0/1")


@pytest.mark.parametrize("kind", ["bool", "additive", "0/1"])
@pytest.mark.parametrize("form", ["mha", "mha-key-padding", "both", "3D"])
def test_mha_does_what_is_described(kind, form):
    mha = nn.MultiheadAttention(8, 2, batch_first=True).eval()
    query, key = torch.randn(4, 3, 8), torch.randn(4, 5, 8)
    attn_mask = random_mask(kind, (8, 3, 5) if form == "3D" else (3, 5))
    padding = random_mask(kind, (4, 5))
    if kind == "bool":
        attn_mask, padding = ~attn_mask, ~padding
    if form == "both":
        attn_mask[:, 0], padding[:, 0] = (False, False) if kind == "bool" else (0.0, 0.0)
    arguments = {"attn_mask": attn_mask} if form in ("mha", "3D") else {"key_padding_mask": padding}
    arguments = {"attn_mask": attn_mask, "key_padding_mask": padding} if form == "both" else arguments
    description = describe(
        arguments if form == "both" else next(iter(arguments.values())),
        {"both": "mha", "3D": "mha"}.get(form, form),
        num_heads=2,
    )
    _, weights = mha(query, key, key, **arguments, average_attn_weights=False)
    assert torch.equal(weights > 0, description.keep.expand(4, 2, 3, 5))


@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
@pytest.mark.parametrize("kind", ["bert", "gpt2", "llama"])
@pytest.mark.parametrize("form", ["2D int", "2D float", "2D additive", "4D bool", "4D int", "4D 0/1", "4D additive"])
def test_a_hugging_face_model_does_what_is_described(form, kind, implementation):
    """Measured: one layer, so what moves is what the attention lets through, and the token itself."""
    from utils.influence import influence, reach

    model = tiny.model(kind, implementation, layers=1)
    keep = masks.documents([0, 0, 1, 1, 1])
    attention_mask = {
        "2D int": torch.tensor([[1, 1, 1, 0, 0]]),
        "2D float": torch.tensor([[1.0, 0.5, 1, 0, 0]]),
        "2D additive": conventions.to_additive(masks.lengths([3], 5)[:, 0, 0]),
        "4D bool": keep[None, None],
        "4D int": keep[None, None].long(),
        "4D 0/1": keep[None, None].float(),
        "4D additive": conventions.to_additive(keep[None, None]),
    }[form]
    description = describe(attention_mask, "hf", model=model)
    assert description.api == f"hf ({implementation})"
    ids = torch.arange(5, 10)
    own_causality = form.startswith("2D") or (not tiny.V5 and (kind, implementation) == ("gpt2", "eager"))
    if not description.known:  # 4.57's BERT computes (1 - m) * min from a 2D mask of floats: between keep and hide
        assert not tiny.V5
        assert (kind, form) in (("bert", "2D additive"), ("bert", "2D float"))
        return
    if description.keep is None:
        with pytest.raises((RuntimeError, ValueError)):
            influence(model, ids, attention_mask=attention_mask)
        return
    visible = description.keep.expand(1, 1, 5, 5)
    visible = visible & CAUSAL if own_causality and kind != "bert" else visible
    measured = influence(model, ids, attention_mask=attention_mask)
    seeing = visible[0, 0].any(-1)
    assert torch.equal((measured > 0)[seeing], reach(visible)[0][seeing])


def test_flex_is_read_as_it_is():
    from torch.nn.attention.flex_attention import create_block_mask

    block_mask = create_block_mask(lambda b, h, q, k: q - k >= 0, None, None, 4, 6, device="cpu")
    description = describe(block_mask, "flex")
    assert torch.equal(description.keep, masks.causal(4, 6, "upper_left")[None, None])
    assert "1 × 1 blocks of 128 × 128" in description.read_as
    refused = describe(CAUSAL, "flex")
    assert refused.keep is None
    assert refused.warnings[0].text.endswith("Make one with conventions.to_flex(keep).")


# --- traps -------------------------------------------------------------------------------------------

CLS = torch.zeros(3, 3)
DOCUMENTS = masks.documents([0, 0, 1, 1])
TRIANGLE = nn.Transformer.generate_square_subsequent_mask(5)
SEQUENCES = ~PADDING[:, 0].expand(3, 5, 5)


@pytest.mark.parametrize(
    ("mask", "api", "trap", "says"),
    [
        (~CAUSAL, "sdpa", "F1", "Is it upside down"),
        (CAUSAL, "mha", "F1", "No query sees its own position"),
        (~DOCUMENTS, "sdpa", "F1", "No query sees its own position"),
        (CAUSAL.T, "sdpa", "F1", "Is it triu where tril was meant"),
        (PADDING_2D, "mha-key-padding", "F1", "Sequence 0 is hidden altogether"),
        (conventions.to_additive(PADDING_2D), "hf", "F1", "read upside down"),
        (~CAUSAL, "sdpa", "F2", "1 query without any key: the output is 0"),
        (CAUSAL, "mha", "F2", "NaN with need_weights=True, and in eval without gradients"),
        (conventions.to_additive(~CAUSAL, fill="-inf"), "additive", "F2", "softmax of -inf only is NaN"),
        (conventions.to_additive(~CAUSAL, fill=-1e9), "additive", "F2", "uniform weights, the mean of all values"),
        (conventions.to_additive(~CAUSAL, fill=-1e4), "additive", "F2", "as if nothing were hidden"),
        (PADDING & PADDING.transpose(-1, -2), "sdpa", "F5", "Hide keys only"),
        (CAUSAL.float(), "sdpa", "F6", "hides nothing"),
        (CAUSAL.float(), "mha", "F6", "hides nothing"),
        (CAUSAL.float(), "additive", "F6", "hides nothing"),
        (CAUSAL.long(), "sdpa", "F6", "Use mask.bool()"),
        (CAUSAL.long(), "mha", "F6", "Use mask == 0"),
        (CAUSAL, "additive", "F6", "0/1 added to scores hides nothing"),
        (torch.tensor([[0.0, -0.5]]), "sdpa", "F6", "a soft bias that shifts, but hides nothing"),
        (PADDING_2D, "sdpa", "F6", "read as (q_len, k_len)"),
        (~PADDING_2D, "mha", "F6", "Use key_padding_mask"),
        ({"attn_mask": TRIANGLE, "key_padding_mask": ~PADDING_2D}, "mha", "F8", "differ in dtype"),
        (SEQUENCES.repeat(2, 1, 1), "mha", "F8", "Use repeat_interleave"),
        (SEQUENCES[:1].repeat(3, 1, 1), "mha", "F8", "no multiple of num_heads=2"),
        (PADDING_2D.float(), "mha-key-padding", "F8", "added to the scores and hides nothing"),
        (DOCUMENTS[None, None].float(), "hf", "F10", "hides nothing"),
        (DOCUMENTS[None, None].long(), "hf", "F10", "refused under sdpa"),
        (conventions.to_additive(PADDING.expand(3, 1, 5, 5)), "hf", "F10", "replaces its causality"),
        ((1 - PADDING_2D.float()) * -torch.inf, "additive", "F18", "NaN in the mask"),
        (~PADDING_2D.long(), "hf", "F18", "~ on a 0/1 mask gives -1 and -2"),
        (~CAUSAL.long(), "sdpa", "F18", "~ on a 0/1 mask gives -1 and -2"),
        (conventions.to_additive(PADDING, torch.float16) + conventions.to_additive(CAUSAL, torch.float16), "additive",
         "F17", "Two fills in one mask"),
        (DOCUMENTS.long(), "hf", "S1.3", "read as (batch, k_len): padding of 4 sequences"),
        (masks.sliding_window(4, 2).long(), "hf", "S1.3", "like (q_len, k_len), sliding window"),
        (torch.tensor([[1, 0, 1], [0, 1, 1], [1, 0, 1]]), "hf", "S1.3", "It looks like (q_len, k_len), but"),
        (torch.tensor([[2, 7, 0]]), "hf", "S1.4", "Are these input_ids"),
    ],
)  # fmt: skip
def test_traps_are_seen(mask, api, trap, says):
    description = describe(mask, api, num_heads=2)
    texts = [warning.text for warning in description.warnings if warning.id == trap]
    assert any(says in text for text in texts), str(description)


def test_traps_of_one_version():
    three_d = describe(DOCUMENTS[None].long(), "hf")
    assert (ids_of(three_d) == ["F9"]) == tiny.V5
    assert (three_d.keep is None) == tiny.V5
    eager = describe(DOCUMENTS[None, None], "hf", attn_implementation="eager")
    assert ids_of(eager) == ["F10"]
    assert eager.keep.all()


def test_a_decoder_is_asked_about_its_causality():
    padding_only = conventions.to_additive(PADDING.expand(3, 1, 5, 5))
    assert ids_of(describe(padding_only, "hf", model=tiny.model("llama"))) == ["F10"]
    refused = [] if tiny.V5 else ["F10"]
    assert ids_of(describe(padding_only, "hf", model=tiny.model("bert"))) == refused
    causal = conventions.to_additive(PADDING & CAUSAL)
    assert ids_of(describe(causal, "hf", model=tiny.model("gpt2"))) == []


def test_a_decoder_adds_its_own_causality_to_a_2d_mask():
    attention_mask = torch.tensor([[1, 1, 1, 1], [0, 0, 1, 1]])
    description = describe(attention_mask, "hf", model=tiny.model("llama"))
    assert torch.equal(description.keep, masks.padding(attention_mask) & masks.causal(4))
    assert description.warnings == []
    assert description.keys_per_query[1, 0].tolist() == [0, 0, 1, 2]
    assert describe(attention_mask, "hf", model=tiny.model("bert")).keep.shape == (2, 1, 1, 4)


def test_what_an_empty_row_becomes_under_sdpa():
    """Llama under sdpa hands an additive -inf mask to SDPA, whose empty rows are 0; under eager they are NaN."""
    keep = masks.causal(4) & masks.lengths([2], 4, "left")
    attention_mask = conventions.to_additive(keep, fill="-inf")
    for implementation, says in (("sdpa", "the output is 0"), ("eager", "softmax of -inf only is NaN")):
        llama = tiny.model("llama", implementation)
        texts = [trap.text for trap in describe(attention_mask, "hf", model=llama).warnings if trap.id == "F2"]
        assert says in texts[0]
        with torch.no_grad():
            output = llama(torch.tensor([[5, 6, 7, 8]]), attention_mask=attention_mask).last_hidden_state
        assert output.isnan().any() == (implementation == "eager")


RIGHT = {
    "sdpa": [CAUSAL, masks.causal(3, 5), PADDING, PADDING & CAUSAL, masks.sliding_window(5, 2),
             conventions.to_additive(CAUSAL, fill="-inf"), masks.documents([0, 0, 1])],
    "mha": [~CAUSAL, TRIANGLE, conventions.to_mha(PADDING & CAUSAL, 2), SEQUENCES.repeat_interleave(2, 0)],
    "mha-key-padding": [~PADDING_2D, ~masks.lengths([2, 5], 5, "left")[:, 0, 0]],
    "hf": [PADDING_2D.long(), PADDING_2D, conventions.to_hf(CAUSAL & PADDING), conventions.to_hf(DOCUMENTS),
           DOCUMENTS[None, None], 1 - torch.eye(3, dtype=torch.long)],
    "additive": [conventions.to_additive(CAUSAL), conventions.to_additive(PADDING, torch.float16),
                 conventions.to_additive(PADDING, torch.bfloat16, "-inf")],
    "flex": [conventions.to_flex(PADDING & CAUSAL)],
}  # fmt: skip


@pytest.mark.parametrize(("api", "mask"), [(api, mask) for api, right in RIGHT.items() for mask in right])
def test_a_right_mask_raises_no_alarm(api, mask):
    description = describe(mask, api, num_heads=2)
    assert description.warnings == [], str(description)


# --- how it shows ------------------------------------------------------------------------------------


def test_it_prints_as_text():
    assert str(describe(masks.causal(4, 6) & masks.lengths([6, 2], 6), "sdpa")) == (
        "sdpa\n"
        "  reads           a bool tensor of shape (2, 1, 4, 6) as (batch, heads, q_len, k_len)\n"
        "  meaning         True = may attend\n"
        "  pattern         causal, aligned lower right; padding on the right, lengths 6, 2\n"
        "  keys per query  2 to 6 of 6\n"
        "  sees nothing    no query"
    )
    description = describe(~masks.causal(3), "sdpa")
    assert repr(description) == str(description)
    assert "sees nothing    query 2\n" in str(description)
    assert "warning F2      1 query without any key: the output is 0." in str(description)


def test_it_shows_as_a_table():
    page = describe(~masks.causal(3), "sdpa")._repr_html_()
    assert page.count("<tr>") == len(describe(~masks.causal(3), "sdpa").rows()) == 7
    assert '<th scope="row"' in page
    assert "<caption" in page
    assert "warning F1" in page


def test_empty_rows_are_placed():
    keep = masks.full(2, 3).expand(2, 2, 2, 3).clone()
    keep[1, 0, 1] = False
    description = describe(keep, "sdpa")
    assert description.empty_rows == [(1, 0, 1)]
    assert "sequence 1, head 0, query 1" in str(description)


def test_nothing_is_changed():
    for mask in (~CAUSAL, PADDING_2D.long(), TRIANGLE):
        before = mask.clone()
        for api in ("sdpa", "mha", "hf", "additive"):
            describe(mask, api, num_heads=1)
        assert torch.equal(mask, before)


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: describe(CAUSAL, "pytorch"), ValueError, "api: got 'pytorch', wanted one of 'sdpa', 'mha'"),
        (lambda: describe([[True]], "sdpa"), TypeError, "mask: got a list"),
        (lambda: describe(None, "hf"), TypeError, "mask: got None"),
        (lambda: describe(CAUSAL[0], "sdpa"), ValueError, r"mask: got a bool tensor of shape \(5,\)"),
        (lambda: describe(CAUSAL[None, None], "mha"), ValueError, "2 or 3 dimensions"),
        (lambda: describe(CAUSAL[:0], "sdpa"), ValueError, "empty"),
        (lambda: describe(CAUSAL + 0j, "additive"), TypeError, "wanted bool, integers or real floats"),
        (lambda: describe({}, "mha"), ValueError, "mask: got a dict with"),
        (lambda: describe({"mask": CAUSAL}, "mha"), ValueError, "wanted attn_mask or key_padding_mask"),
        (lambda: describe({"attn_mask": CAUSAL, "key_padding_mask": PADDING_2D[:, :3]}, "mha"), ValueError,
         "do not fit together"),
        (lambda: describe(CAUSAL, "mha", num_heads=0), ValueError, "num_heads: got 0"),
        (lambda: describe(PADDING_2D, "hf", attn_implementation="flash"), ValueError, "attn_implementation: got"),
        (lambda: describe("causal", "flex"), TypeError, "mask: got 'causal', wanted a BlockMask"),
    ],
)  # fmt: skip
def test_bad_input_is_named(call, error, says):
    with pytest.raises(error, match=says):
        call()
