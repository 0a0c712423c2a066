"""influence.py against known answers: closed forms, planted leaks and their correct twins, on real models."""

import os
import subprocess
import sys
import warnings

import hypothesis
import pytest
import torch
import torch.nn.functional as F
from hypothesis import strategies as st
from torch import nn
from torch.nn.attention.bias import causal_lower_right

from tests.support import tiny
from tests.support.memory import peak_bytes
from utils import conventions, masks, models
from utils._probe import Probe
from utils.influence import Checked, Leak, assert_no_leaks, find_blocked, find_leaks, influence, reach

BATCH, HEADS, T, DIM = 3, 2, 6, 8
KEEP = torch.tensor([[1, 0, 0, 1, 0], [0, 1, 1, 0, 0], [0, 0, 0, 0, 1]], dtype=torch.bool)  # 3 queries, 5 keys


def both_methods(test):
    return pytest.mark.parametrize("method", ["perturb", "gradient"])(test)


@pytest.fixture
def mha():
    return nn.MultiheadAttention(DIM, HEADS, batch_first=True).eval()


@pytest.fixture
def embeds():
    return torch.randn(BATCH, T, DIM)


# --- known answers -----------------------------------------------------------------------------------


@both_methods
def test_a_linear_map_is_measured_as_it_is(method):
    """Output q = Σ_k A[q, k] · input k, so the amounts of one column are proportional to |A|."""
    factors = torch.randn(3, 5) * KEEP
    measured = influence(lambda x: factors @ x, inputs_embeds=torch.randn(5, DIM), method=method)
    assert measured.shape == (3, 5)
    assert torch.equal(measured > 0, KEEP)
    ratios = measured / factors.abs()
    for k in range(5):
        column = ratios[KEEP[:, k], k]
        assert torch.allclose(column, column[:1].expand_as(column), rtol=1e-3)


@both_methods
def test_each_sequence_of_a_batch_is_measured_by_itself(method, mha, embeds):
    keep = masks.lengths([6, 4, 2], T)
    measured = influence(mha, inputs_embeds=embeds, method=method, **conventions.to_mha(keep, HEADS))
    assert measured.shape == (BATCH, T, T)
    allowed = (keep[:, 0] | torch.eye(T, dtype=torch.bool)).expand(BATCH, T, T)
    assert torch.equal(measured > 0, allowed)
    alone = influence(mha, inputs_embeds=embeds[1], method=method, key_padding_mask=~keep[1, 0])
    assert torch.allclose(alone, measured[1], atol=1e-4)


def test_the_amount_is_the_largest_change():
    embeds = torch.randn(4, DIM)
    measured, floor = influence(lambda x: torch.cat([x, 3 * x], -1), inputs_embeds=embeds, return_floor=True)
    noise = torch.randn(4, DIM, generator=torch.Generator().manual_seed(0)) * embeds.pow(2).mean().sqrt()
    assert torch.allclose(measured.diagonal(), 3 * noise.abs().amax(-1), rtol=1e-4)
    assert 0 < floor < 1e-5


@pytest.mark.parametrize("layers", [1, 2, 3, 6])
def test_reach_against_walking_every_path(layers):
    keep = torch.rand(2, 1, 5, 5) > 0.7
    found = reach(keep, layers)
    for b in range(2):
        for q in range(5):
            here = {q}
            for _ in range(layers):
                here |= {k for place in here for k in range(5) if keep[b, 0, place, k]}
            assert {k for k in range(5) if found[b, q, k]} == here


def test_reach_joins_heads_and_leaves_rectangles_alone():
    per_head = torch.zeros(1, 2, 3, 3, dtype=torch.bool)
    per_head[0, 0, 2, 0] = per_head[0, 1, 2, 1] = True
    assert reach(per_head)[0].tolist() == [[True, False, False], [False, True, False], [True, True, True]]
    assert torch.equal(reach(KEEP), KEEP[None])


def test_reach_grows_through_layers():
    """A window of 2 keys in 3 layers reaches 3 back: true of the module, and known to find_leaks."""
    layer = nn.TransformerEncoderLayer(DIM, HEADS, 16, dropout=0.0, batch_first=True)
    encoder = nn.TransformerEncoder(layer, 3, enable_nested_tensor=False).eval()
    keep = masks.sliding_window(T, 2)
    measured = influence(encoder, inputs_embeds=torch.randn(T, DIM), mask=~keep)
    assert torch.equal(measured > 0, masks.sliding_window(T, 4))
    assert find_leaks(measured, keep, layers=3) == []
    assert {(leak.query, leak.key) for leak in find_leaks(measured, keep)} == {
        (q, k) for q in range(T) for k in range(T) if 2 <= q - k <= 3
    }
    assert assert_no_leaks(encoder, keep, inputs_embeds=torch.randn(T, DIM), mask=~keep).forwards == T


# --- every kind of model -----------------------------------------------------------------------------


@pytest.mark.parametrize("batch_first", [True, False])
def test_modules_of_torch_are_called_in_their_own_layout(batch_first, embeds):
    keep = masks.causal(T) & masks.lengths([6, 4, 2], T)
    attention = nn.MultiheadAttention(DIM, HEADS, batch_first=batch_first).eval()
    layer = nn.TransformerEncoderLayer(DIM, HEADS, 16, dropout=0.0, batch_first=batch_first).eval()
    encoder = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False).eval()
    both = conventions.to_mha(keep, HEADS)
    encoder_masks = {"mask": both["attn_mask"], "src_key_padding_mask": both["key_padding_mask"]}
    layer_masks = {"src_mask": both["attn_mask"], "src_key_padding_mask": both["key_padding_mask"]}
    for module, given in ((attention, both), (layer, layer_masks), (encoder, encoder_masks)):
        measured = influence(module, inputs_embeds=embeds, **given)
        wanted = reach(keep)
        # The fast path of a whole layer zeroes padded positions; real ones are what is asked about.
        real = masks.lengths([6, 4, 2], T)[:, 0, 0]
        assert torch.equal((measured > 0)[real], wanted[real])


def test_cross_attention_has_its_own_queries(mha, embeds):
    query = torch.randn(BATCH, 4, DIM)
    keep = masks.lengths([6, 4, 1], T).expand(BATCH, 1, 4, T) & (torch.rand(4, T) > 0.3)
    keep[..., 0] = True
    given = conventions.to_mha(keep, HEADS)
    measured = influence(mha, inputs_embeds=embeds, query=query, **given)
    assert measured.shape == (BATCH, 4, T)
    assert torch.equal(measured > 0, keep[:, 0])
    assert find_leaks(measured, keep) == [] == find_blocked(measured, keep)


@both_methods
@pytest.mark.parametrize("by", ["input_ids", "inputs_embeds"])
@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
@pytest.mark.parametrize("kind", ["bert", "gpt2", "llama"])
def test_hugging_face_models_by_ids_and_by_embeddings(kind, implementation, by, method):
    model = tiny.model(kind, implementation)
    ids = torch.tensor([[5, 6, 7, 8, 9, 10]])
    keep = masks.documents([0, 0, 0, 1, 1, 1])
    keep = keep if kind == "bert" else keep & masks.causal(T)
    given = {"input_ids": ids} if by == "input_ids" else {"inputs_embeds": model.get_input_embeddings()(ids).detach()}
    measured = influence(model, **given, method=method, attention_mask=conventions.to_hf(keep, model=model))
    assert torch.equal(measured > 0, keep)
    assert find_leaks(measured, keep, layers=2) == []


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("kind", ["bert", "gpt2", "llama"])
def test_half_precision(kind, dtype):
    model = tiny.model(kind, "sdpa").to(dtype)
    keep = masks.documents([0, 0, 0, 1, 1, 1]) & masks.causal(T)
    measured, floor = influence(
        model, torch.arange(5, 11), attention_mask=conventions.to_hf(keep, model=model), return_floor=True
    )
    assert measured.dtype == torch.float32
    assert torch.equal(measured > 0, keep)
    assert floor > 0


def test_a_language_model_is_measured_at_its_logits():
    model = tiny.model("gpt2", "sdpa", head=True)
    measured = influence(model, torch.tensor([[5, 6, 7, 8]]))
    assert torch.equal(measured > 0, masks.causal(4))


def test_real_minilm_keeps_two_sentences_apart(minilm):
    model, tokenizer = minilm
    encoded = tokenizer("The cat sat.", "It was warm.", return_tensors="pt")
    keep = masks.documents(encoded.token_type_ids[0])
    attention_mask = conventions.to_hf(keep, model=model)
    measured = influence(model, encoded.input_ids, attention_mask=attention_mask)
    assert torch.equal(measured > 0, keep)
    checked = assert_no_leaks(model, keep, encoded.input_ids, attention_mask=attention_mask)
    assert isinstance(checked, Checked)
    assert checked.forwards == 2
    assert checked.noise_floor < 1e-5


# --- planted leaks and their correct twins -----------------------------------------------------------


def leaks(model, keep, layers, **given):
    """What the map finds; the quick check must say the same."""
    found = find_leaks(influence(model, **given), keep, layers)
    if found:
        with pytest.raises(AssertionError, match="is moved by"):
            assert_no_leaks(model, keep, layers=layers, **given)
    else:
        assert_no_leaks(model, keep, layers=layers, **given)
    return {(leak.sequence, leak.query, leak.key) for leak in found}


@pytest.mark.parametrize(
    ("implementation", "form", "leaky"),
    [
        ("eager", "bool", True),
        ("eager", "int", True),
        ("eager", "float 0/1", True),
        ("sdpa", "float 0/1", True),
        ("sdpa", "bool", False),
        ("eager", "additive", False),
        ("sdpa", "additive", False),
    ],
)
def test_F10_finds_the_silent_leaks_of_4d_masks(implementation, form, leaky):
    if not tiny.V5:  # 4.57 refuses every 4D mask in BertModel, so nothing can leak there: F9 and F10 in test_facts.py
        with pytest.raises(ValueError, match="Wrong shape"):
            tiny.model("bert", implementation)(torch.tensor([[5, 6]]), attention_mask=torch.ones(1, 1, 2, 2).bool())
        return
    model, tokenizer = models.load("minilm-bert", attn_implementation=implementation)
    encoded = tokenizer("The cat sat.", "It was warm.", return_tensors="pt")
    keep = masks.documents(encoded.token_type_ids[0])
    attention_mask = {
        "bool": keep[None, None],
        "int": keep[None, None].long(),
        "float 0/1": keep[None, None].float(),
        "additive": conventions.to_hf(keep, implementation),
    }[form]
    found = leaks(model, keep, 6, input_ids=encoded.input_ids, attention_mask=attention_mask)
    assert found == ({(0, q, k) for q, k in (~keep).nonzero().tolist()} if leaky else set())


def test_F1_finds_the_inverted_mask(mha):
    keep = masks.causal(T)
    embeds = torch.randn(T, DIM)
    future = {(0, q, k) for q in range(T) for k in range(q + 1, T)}
    # The last row of the inverted mask is empty: 0 in train mode with need_weights=False, else NaN (F3).
    mha.train()
    assert leaks(mha, keep, 1, inputs_embeds=embeds, attn_mask=keep, need_weights=False) == future
    assert leaks(mha, keep, 1, inputs_embeds=embeds, attn_mask=~keep, need_weights=False) == set()


def sdpa(x, attn_mask=None, is_causal=False):
    """One head of attention without weights of its own."""
    x = x[:, None]
    return F.scaled_dot_product_attention(x, x, x, attn_mask=attn_mask, is_causal=is_causal)[:, 0]


def test_F6_finds_batch_by_keys_read_as_queries_by_keys():
    """As many sequences as positions, so the padding mask (B, S) passes for an (L, S) one."""
    lengths = torch.tensor([4, 3, 2, 1])
    keep = masks.lengths(lengths)
    embeds = torch.randn(4, 4, DIM)
    found = leaks(sdpa, keep, 1, inputs_embeds=embeds, attn_mask=keep[:, 0, 0])
    wanted = {
        (b, q, k) for b in range(4) for q in range(4) for k in range(4) if k < lengths[q] and k >= lengths[b] and k != q
    }
    assert found == wanted
    assert leaks(sdpa, keep, 1, inputs_embeds=embeds, attn_mask=keep) == set()


def test_F8_finds_masks_dealt_out_to_the_wrong_heads(mha, embeds):
    keep = masks.lengths([6, 4, 2], T).expand(BATCH, 1, T, T)
    ignore = ~keep[:, 0]  # one (q_len, k_len) mask per sequence
    found = leaks(mha, keep, 1, inputs_embeds=embeds, attn_mask=ignore.repeat(HEADS, 1, 1))
    # Heads 0 and 1 of sequence 1 get the masks of sequences 2 and 0, so one head sees what is hidden.
    assert {(b, k) for b, _, k in found} == {(1, 4), (1, 5), (2, 2), (2, 3)}
    assert leaks(mha, keep, 1, inputs_embeds=embeds, attn_mask=ignore.repeat_interleave(HEADS, 0)) == set()


def test_F20_finds_the_upper_left_alignment_with_a_cache():
    """Two new queries, five keys: upper left hides what a cache step should see."""

    def step(attn_mask=None, is_causal=False):
        def attention(x):
            x = x[:, None]
            return F.scaled_dot_product_attention(x[..., 3:, :], x, x, attn_mask=attn_mask, is_causal=is_causal)[:, 0]

        return attention

    embeds, keep = torch.randn(5, DIM), masks.causal(2, 5)
    wrong = influence(step(is_causal=True), inputs_embeds=embeds)
    right = influence(step(causal_lower_right(2, 5)), inputs_embeds=embeds)
    # A query is made from its own input, key 4, which shows where it has more than one key to choose from.
    itself = torch.tensor([[0, 0, 0, 0, 0], [0, 0, 0, 0, 1]], dtype=torch.bool)
    assert torch.equal(wrong > 0, masks.causal(2, 5, "upper_left") | itself)
    assert find_blocked(wrong, keep) == [(0, 0, 1), (0, 0, 2), (0, 0, 3), (0, 1, 2), (0, 1, 3)]
    assert find_leaks(right, keep) == [] == find_blocked(right, keep)
    # Seen the other way: whoever promises upper left and runs lower right leaks.
    assert [leak[:2] for leak in find_leaks(right, masks.causal(2, 5, "upper_left") | itself)] == [
        (0, 1),
        (0, 2),
        (0, 3),
        (1, 2),
        (1, 3),
    ]


def test_F19_finds_nan_that_a_weight_of_zero_lets_through():
    """0 × NaN: a hidden value that becomes NaN still poisons the output, and counts as moving it without limit."""
    keep = masks.causal(4)

    def attention(x):
        weights = (x @ x.transpose(-1, -2)).masked_fill(~keep, -torch.inf).softmax(-1)
        return weights @ x.log()  # NaN where a change makes x negative

    measured = influence(attention, inputs_embeds=torch.rand(4, 64) + 0.1)
    assert (measured[~keep] == torch.inf).all()
    assert len(find_leaks(measured, keep)) == 6


# --- decoders and nn.Transformer: two inputs, three attentions -----------------------------------------

SRC, TGT = 7, 5
SRC_KEEP = masks.sliding_window(SRC, 2)
TGT_KEEP = masks.causal(TGT)
MEMORY_KEEP = torch.arange(SRC) <= torch.arange(TGT)[:, None] + 1


def dependence(tgt, memory, src=None, layers=1, encoder_layers=1):
    """(tgt, src) what outputs depend on in the end, one attention after the other; memory itself if src is None."""
    encoded = [{k} for k in range(memory.shape[1])]
    for _ in range(encoder_layers if src is not None else 0):
        encoded = [encoded[q].union(*(encoded[k] for k in src[q].nonzero().flatten())) for q in range(len(src))]
    state = [set() for _ in range(len(tgt))]
    for _ in range(layers):
        state = [state[q].union(*(state[k] for k in tgt[q].nonzero().flatten())) for q in range(len(tgt))]
        state = [state[q].union(*(encoded[k] for k in memory[q].nonzero().flatten())) for q in range(len(tgt))]
    return torch.tensor([[k in row for k in range(memory.shape[1])] for row in state])


def opened(keep, query, key):
    keep = keep.clone()
    assert not keep[query, key]
    keep[query, key] = True
    return keep


def transformer(batch_first, layers=1):
    torch.manual_seed(1)
    sizes = {"d_model": DIM, "nhead": HEADS, "dim_feedforward": 16, "dropout": 0.0, "batch_first": batch_first}
    module = nn.Transformer(num_encoder_layers=layers, num_decoder_layers=layers, **sizes).eval()
    for parameter in module.parameters():  # large enough that everything allowed shows, after a layer norm, too
        parameter.data.normal_(std=0.5) if parameter.ndim > 1 else None
    return module


def as_3d(keep, batch):
    """torch's (batch * heads, q_len, k_len)."""
    return keep.expand(batch * HEADS, -1, -1)


torch_talks = pytest.mark.filterwarnings("ignore:.*nested:UserWarning")  # of what its encoder does inside


def two_inputs(test):
    test = torch_talks(test)
    test = pytest.mark.parametrize("batch_first", [True, False])(test)
    test = pytest.mark.parametrize("rank", [2, 3])(test)
    return pytest.mark.parametrize("batch", [1, HEADS, 3, TGT])(test)


@two_inputs
def test_D_a_decoder_layer_finds_leaks_of_both_its_attentions(batch, rank, batch_first):
    layer = transformer(batch_first).decoder.layers[0]
    tgt, memory = torch.randn(batch, TGT, DIM), torch.randn(batch, SRC, DIM)
    form = (lambda keep: ~keep) if rank == 2 else (lambda keep: ~as_3d(keep, batch))
    right = {"tgt_mask": form(TGT_KEEP), "memory_mask": form(MEMORY_KEEP)}
    measured = influence(layer, inputs_embeds=tgt, memory=memory, **right)
    assert torch.equal(measured > 0, TGT_KEEP.expand_as(measured))
    measured = influence(layer, inputs_embeds=memory, tgt=tgt, **right)
    assert torch.equal(measured > 0, MEMORY_KEEP.expand_as(measured))
    assert assert_no_leaks(layer, TGT_KEEP, inputs_embeds=tgt, memory=memory, **right).forwards >= TGT - 1
    assert_no_leaks(layer, MEMORY_KEEP, inputs_embeds=memory, tgt=tgt, **right)
    wrong = right | {"tgt_mask": form(opened(TGT_KEEP, 1, 4))}
    with pytest.raises(AssertionError, match=r"query 1.* is moved by key 4"):
        assert_no_leaks(layer, TGT_KEEP, inputs_embeds=tgt, memory=memory, **wrong)
    wrong = right | {"memory_mask": form(opened(MEMORY_KEEP, 2, 6))}
    with pytest.raises(AssertionError, match=r"query 2.* is moved by key 6"):
        assert_no_leaks(layer, MEMORY_KEEP, inputs_embeds=memory, tgt=tgt, **wrong)


@two_inputs
def test_D_a_transformer_finds_leaks_of_all_three_attentions(batch, rank, batch_first):
    module = transformer(batch_first)
    src, tgt = torch.randn(batch, SRC, DIM), torch.randn(batch, TGT, DIM)
    form = (lambda keep: ~keep) if rank == 2 else (lambda keep: ~as_3d(keep, batch))
    right = {"src_mask": form(SRC_KEEP), "tgt_mask": form(TGT_KEEP), "memory_mask": form(MEMORY_KEEP)}
    across = dependence(TGT_KEEP, MEMORY_KEEP, SRC_KEEP)
    measured = influence(module, inputs_embeds=src, tgt=tgt, **right)
    assert torch.equal(measured > 0, across.expand_as(measured))
    assert_no_leaks(module, across, inputs_embeds=src, tgt=tgt, **right)
    assert_no_leaks(module, TGT_KEEP, inputs_embeds=tgt, src=src, **right)
    leaky = {"src_mask": opened(SRC_KEEP, 0, 6), "memory_mask": opened(MEMORY_KEEP, 0, 6)}
    keys = {"src_mask": 6, "memory_mask": 5}  # of the source, position 6 has taken in 5
    for name, keep in leaky.items():
        wrong = right | {name: form(keep)}
        opened_to = dependence(TGT_KEEP, leaky["memory_mask"] if name == "memory_mask" else MEMORY_KEEP,
                               leaky["src_mask"] if name == "src_mask" else SRC_KEEP)  # fmt: skip
        measured = influence(module, inputs_embeds=src, tgt=tgt, **wrong)
        assert torch.equal(measured > 0, opened_to.expand_as(measured))
        with pytest.raises(AssertionError, match=rf"query 0.* is moved by key {keys[name]}"):
            assert_no_leaks(module, across, inputs_embeds=src, tgt=tgt, **wrong)
    wrong = right | {"tgt_mask": form(opened(TGT_KEEP, 0, 3))}
    with pytest.raises(AssertionError, match=r"query 0.* is moved by key 3"):
        assert_no_leaks(module, TGT_KEEP, inputs_embeds=tgt, src=src, **wrong)


@torch_talks
@pytest.mark.parametrize("batch_first", [True, False])
def test_D_keep_across_memory_says_what_outputs_depend_on_in_the_end(batch_first):
    """In two layers the second one's tgt_mask carries what the first one's queries took from the memory."""
    decoder = transformer(batch_first, layers=2).decoder
    tgt, memory = torch.randn(2, TGT, DIM), torch.randn(2, SRC, DIM)
    window = masks.sliding_window(TGT, 2)
    only_own = torch.eye(TGT, SRC, dtype=torch.bool)
    given = {"tgt_mask": ~window, "memory_mask": ~only_own}
    in_the_end = dependence(window, only_own, layers=2)
    assert in_the_end.int().tolist()[3] == [0, 0, 1, 1, 0, 0, 0]
    assert_no_leaks(decoder, in_the_end, inputs_embeds=memory, tgt=tgt, **given)
    with pytest.raises(AssertionError, match=r"query 1 of sequence 0 is moved by key 0") as caught:
        assert_no_leaks(decoder, only_own, inputs_embeds=memory, tgt=tgt, **given)
    assert "layers" not in str(caught.value)
    with pytest.raises(ValueError, match="layers: got 2 where outputs and changed inputs are two sequences"):
        assert_no_leaks(decoder, only_own, inputs_embeds=memory, tgt=tgt, layers=2, **given)
    with pytest.warns(UserWarning, match="through layers=2"):  # those of the decoder, for its own tokens
        assert_no_leaks(decoder, masks.sliding_window(TGT, 3), inputs_embeds=tgt, memory=memory, **given)


@torch_talks
def test_D_padding_masks_of_two_inputs():
    module = transformer(True)
    src, tgt = torch.randn(3, SRC, DIM), torch.randn(3, TGT, DIM)
    src_real, tgt_real = masks.lengths([7, 4, 2], SRC), masks.lengths([5, 3, 1], TGT)
    given = {
        "src_key_padding_mask": ~src_real[:, 0, 0],
        "memory_key_padding_mask": ~src_real[:, 0, 0],
        "tgt_key_padding_mask": ~tgt_real[:, 0, 0],
        "tgt_mask": ~masks.causal(TGT),
    }
    assert_no_leaks(module, src_real, inputs_embeds=src, tgt=tgt, **given)
    assert_no_leaks(module, masks.causal(TGT) & tgt_real, inputs_embeds=tgt, src=src, **given)
    forgotten = given | {"memory_key_padding_mask": None}
    assert_no_leaks(module, src_real, inputs_embeds=src, tgt=tgt, **forgotten)  # a fast path has set pads to 0
    module.encoder.use_nested_tensor = False
    with pytest.raises(AssertionError, match="query 0 of sequence 1 is moved by key 4"):
        assert_no_leaks(module, src_real, inputs_embeds=src, tgt=tgt, **forgotten)
    one = {name: value[1] if "padding" in name else value for name, value in given.items()}  # without a batch
    assert_no_leaks(module, src_real[1], inputs_embeds=src[1], tgt=tgt[1], **one)


def test_D_outputs_of_another_sequence_are_not_reached_by_the_input_at_their_place():
    """As many outputs as keys: what several layers of self-attention carry to itself is a leak here."""
    layer, attention = transformer(True).decoder.layers[0], nn.MultiheadAttention(DIM, HEADS, batch_first=True).eval()
    others = ~torch.eye(TGT, dtype=torch.bool)
    tgt, memory = torch.randn(1, TGT, DIM), torch.randn(1, TGT, DIM)
    assert_no_leaks(layer, others, inputs_embeds=memory, tgt=tgt, memory_mask=~others)
    assert_no_leaks(attention, others, inputs_embeds=memory, query=tgt, attn_mask=~others)
    with pytest.raises(AssertionError, match="query 2 is moved by key 2"):
        assert_no_leaks(layer, others, inputs_embeds=memory, tgt=tgt, memory_mask=~opened(others, 2, 2))
    with pytest.raises(AssertionError, match="query 2 is moved by key 2"):
        assert_no_leaks(attention, others, inputs_embeds=memory, query=tgt, attn_mask=~opened(others, 2, 2))


def test_an_encoder_and_a_decoder_of_hugging_face_across():
    import transformers

    sizes = {"d_model": 16, "encoder_layers": 2, "decoder_layers": 1, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32}
    heads = {"encoder_attention_heads": 2, "decoder_attention_heads": 2, "init_std": 0.4}
    torch.manual_seed(0)
    model = transformers.BartModel(transformers.BartConfig(vocab_size=50, dropout=0.0, **sizes, **heads)).eval()
    ids, decoder_ids = torch.tensor([[5, 6, 7, 8, 9]]), torch.tensor([[2, 10, 11, 12, 13]])
    attention_mask = torch.tensor([[1, 1, 1, 0, 0]])
    given = {"decoder_input_ids": decoder_ids, "attention_mask": attention_mask}
    keep = attention_mask[:, None, None].bool()
    with pytest.raises(
        ValueError, match=r"layers: an encoder-decoder has several stacks; wanted layers=1.*get_encoder"
    ):
        assert_no_leaks(model, keep, ids, **given)
    assert_no_leaks(model, keep, ids, layers=1, **given)
    with pytest.raises(AssertionError, match="query 0 is moved by key 3"):
        assert_no_leaks(model, keep, ids, layers=1, decoder_input_ids=decoder_ids)
    only_others = (torch.arange(5) != 1)[None, None, None]
    with pytest.raises(AssertionError, match="query 0 is moved by key 1"):
        assert_no_leaks(model, only_others, ids, layers=1, **given)
    real = attention_mask.bool()
    assert_no_leaks(model.get_encoder(), keep, ids, attention_mask=attention_mask, queries=real)
    assert_no_leaks(
        lambda x: model(inputs_embeds=torch.ones(len(x), 4, 16), decoder_inputs_embeds=x).last_hidden_state,
        masks.causal(5), inputs_embeds=torch.randn(5, 16),
    )  # fmt: skip


# --- proofs that must not pass silently ----------------------------------------------------------------


def planted(keep, leak, size):
    """A model whose outputs are sums of the inputs that keep lets through, and of ``size`` times one that it hides."""
    factors = torch.rand(keep.shape) * keep + 0.5 * keep
    if leak is not None:
        factors[leak] = size

    def model(x):
        return torch.einsum("bqk,cbkd->cbqd", factors, x.unflatten(0, (-1, len(keep)))).flatten(0, 1)

    return model


@hypothesis.given(st.data())
def test_a_single_planted_leak_is_found_whatever_the_mask(data):
    """Of random masks and every number of copies at once; and its twin without the leak passes."""
    batch, length = data.draw(st.integers(1, 3)), data.draw(st.integers(2, 9))
    bits = data.draw(st.lists(st.booleans(), min_size=batch * length**2, max_size=batch * length**2))
    keep = torch.tensor(bits).reshape(batch, length, length)
    hidden = (~(keep | torch.eye(length, dtype=torch.bool))).nonzero().tolist()
    batch_size = data.draw(st.sampled_from([None, 1, 2, 3, 5]))
    given = {"inputs_embeds": torch.randn(batch, length, 3), "batch_size": batch_size}
    allowed = keep | torch.eye(length, dtype=torch.bool)
    if keep.any():
        rows = max(len({tuple(row) for row in one.tolist() if not all(row)}) for one in allowed)
        between = 2 * (batch - 1).bit_length()
        checked = assert_no_leaks(planted(keep, None, 0), keep[:, None], **given)
        assert checked.forwards == rows + between
    if hidden:
        b, q, k = data.draw(st.sampled_from(hidden))
        name = f"query {q} of sequence {b}" if batch > 1 else f"query {q}"
        with pytest.raises(AssertionError, match=f"^{name} is moved by key {k}, by "):
            assert_no_leaks(planted(keep, (b, q, k), 1e-3), keep[:, None], **given)


@pytest.mark.parametrize("kind", ["causal", "window", "documents"])
def test_a_single_planted_leak_is_found_in_a_long_text(kind):
    """Where no batch has room for every input, groups of them are tried until one is left."""
    keep = {
        "causal": masks.causal(90),
        "window": masks.sliding_window(90, 7),
        "documents": masks.documents([0] * 50 + [1] * 40),
    }[kind]
    x = torch.randn(90, 3)
    assert_no_leaks(planted(keep[None], None, 0), keep, inputs_embeds=x)
    for q, k in (~keep).nonzero()[::997].tolist():
        calls, model = [], planted(keep[None], (0, q, k), 1e-3)

        def counted(x, model=model, calls=calls):
            calls.append(len(x))
            return model(x)

        with pytest.raises(AssertionError, match=f"^query {q} is moved by key {k}, by ") as caught:
            assert_no_leaks(counted, keep, inputs_embeds=x)
        assert "The check stopped here" in str(caught.value)
        assert sum(calls) < 90 + 22 + 22  # once for each row at most, and a few groups


def test_H_functional_dropout_is_refused_as_randomness():
    """attention_dropout of Llama: a function, no module that could be looked for."""
    import transformers

    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    model = transformers.LlamaModel(transformers.LlamaConfig(vocab_size=50, attention_dropout=0.1, **sizes)).train()
    ids = torch.arange(5, 13)
    for batch_size in (None, 1, 2, 3):
        for call in (assert_no_leaks, lambda model, keep, ids, **more: influence(model, ids, **more)):
            with pytest.raises(ValueError, match=r"run twice on the same input.*functional dropout.*model.eval\(\)"):
                call(model, masks.causal(8), ids, batch_size=batch_size)
    assert_no_leaks(model.eval(), masks.causal(8), ids)


def test_H_what_moves_once_and_not_again_is_randomness():
    """Dropout of a small rate drops nothing in most runs."""
    calls = []

    def glitching(x):
        calls.append(len(x))
        output = sdpa(x, attn_mask=masks.causal(T))
        if len(calls) == 2:
            output[1, 0] += 1
        return output

    with pytest.raises(ValueError, match=r"run twice on the same input it gives outputs that differ by 1, .*random"):
        assert_no_leaks(glitching, masks.causal(T), inputs_embeds=torch.randn(T, DIM))
    assert calls == [1, T, 3]


def test_H_batch_statistics_are_refused_and_measured_one_copy_at_a_time():
    norm = nn.BatchNorm1d(DIM).train()
    embeds, keep = torch.randn(T, DIM), torch.eye(T, dtype=torch.bool)

    def positions(x):  # each feature is normalised over all positions, so every input reaches every output
        return norm(x.transpose(1, 2)).transpose(1, 2)

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = norm

        def forward(self, x):
            return positions(x)

    with pytest.raises(ValueError, match=r"its BatchNorm1d normalises by the statistics of the batch.*model.eval\(\)"):
        assert_no_leaks(Model(), keep, inputs_embeds=embeds)
    for call in (assert_no_leaks, lambda model, keep, **more: influence(model, **more)):
        with pytest.raises(ValueError, match=r"when other copies run beside it.*batch statistics.*batch_size=1"):
            call(positions, keep, inputs_embeds=embeds)
    state = {name: value.clone() for name, value in norm.state_dict().items()}
    for method in ("perturb", "gradient"):
        measured = influence(Model(), inputs_embeds=embeds, method=method, batch_size=1)
        assert (measured > 0).all()
    with pytest.raises(AssertionError, match="query 0 is moved by key 1"):
        assert_no_leaks(Model(), keep, inputs_embeds=embeds, batch_size=1)
    assert all(torch.equal(value, state[name]) for name, value in norm.state_dict().items()), "measuring is no training"
    assert_no_leaks(Model().eval(), keep, inputs_embeds=embeds)


def test_H_copies_that_mean_over_the_batch_are_refused():
    """A coupling that no module gives away."""
    with pytest.raises(ValueError, match="couples the sequences of a batch"):
        assert_no_leaks(lambda x: x - x.mean(0), masks.causal(T), inputs_embeds=torch.randn(T, DIM))
    layer = nn.TransformerEncoderLayer(DIM, HEADS, 16).eval()
    with pytest.raises(ValueError, match="is batch_first missing"):
        assert_no_leaks(lambda x: layer(x), masks.causal(T), inputs_embeds=torch.randn(T, DIM))


def test_H_a_window_that_layers_wash_out_is_said():
    model, _ = models.load("story-gpt2")  # it has no window
    layers, window = model.config.n_layer, 3
    washed_out = (window - 1) * layers + 1
    ids = torch.arange(1000, 1000 + washed_out + 1)
    with pytest.warns(
        UserWarning, match=r"hides key 0 from query 3, but through layers=8.*\(window - 1\) \* layers \+ 1"
    ):
        assert_no_leaks(model, masks.sliding_window(13, window), ids[:13])
    with pytest.warns(UserWarning, match="layers=8"):
        assert_no_leaks(model, masks.sliding_window(washed_out, window), ids[:washed_out])
    with pytest.raises(AssertionError, match=rf"query {washed_out} is moved by key 0"):  # one more is enough
        assert_no_leaks(model, masks.sliding_window(washed_out + 1, window), ids)
    with pytest.raises(AssertionError, match="query 3 is moved by key 0"):
        assert_no_leaks(model, masks.sliding_window(13, window), ids[:13], layers=1)
    for keep in (masks.causal(13), masks.prefix(13, 4), masks.documents([0] * 6 + [1] * 7) & masks.causal(13)):
        given = {"attention_mask": conventions.to_hf(keep, model=model)}
        assert_no_leaks(model, keep, ids[:13], **given)  # layers add nothing to these, and nothing is said


def windowed(layers, window, length):
    layer = nn.TransformerEncoderLayer(DIM, HEADS, 16, dropout=0.0, batch_first=True)
    encoder = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False).eval()
    return lambda x: encoder(x, mask=~masks.sliding_window(length, window))


def test_H_only_the_documents_that_layers_wash_out_are_said():
    """The second document is long enough to show a missing window; in the first nothing could."""
    window = masks.sliding_window(17, 2)
    keep = window & masks.documents([0] * 4 + [1] * 13)
    layer = nn.TransformerEncoderLayer(DIM, HEADS, 16, dropout=0.0, batch_first=True)
    encoder = nn.TransformerEncoder(layer, 3, enable_nested_tensor=False).eval()
    with pytest.warns(UserWarning, match="key 0 from query 2.*this pair and 2 others"):
        assert_no_leaks(encoder, keep, inputs_embeds=torch.randn(17, DIM), mask=~keep)
    later = torch.arange(17) >= 4
    assert_no_leaks(encoder, keep, inputs_embeds=torch.randn(17, DIM), mask=~keep, queries=later)


def test_H_a_right_model_of_three_windowed_layers_is_told_of_layers():
    keep, embeds = masks.sliding_window(12, 2), torch.randn(12, DIM)
    with pytest.raises(
        AssertionError, match=r"query 2 is moved by key 0(?s:.*)layers=1 was assumed. 2 layers of keep let"
    ):
        assert_no_leaks(windowed(3, 2, 12), keep, inputs_embeds=embeds)
    assert_no_leaks(windowed(3, 2, 12), keep, inputs_embeds=embeds, layers=3)
    with pytest.raises(
        AssertionError, match=r"query 4 is moved by key 0(?s:.*)layers=3 was given. 4 layers of keep let"
    ):
        assert_no_leaks(windowed(4, 2, 12), keep, inputs_embeds=embeds, layers=3)
    with pytest.raises(AssertionError, match=r"layers=1 was assumed; more layers of keep would not let this through"):
        assert_no_leaks(windowed(1, 12, 12), masks.documents([0] * 6 + [1] * 6), inputs_embeds=embeds)


@pytest.mark.parametrize("rows", [2, 5])
def test_a_leak_of_queries_after_a_cache_is_named(rows):
    """There are fewer queries than keys: what more layers would let through cannot be said."""
    keep, x = masks.causal(rows, 7, align="lower_right"), torch.randn(1, 1, 7, DIM)

    def attend(x):
        upside_down = ~keep | torch.eye(7, dtype=torch.bool)[-rows:]
        return F.scaled_dot_product_attention(x[:, -rows:], x, x, attn_mask=upside_down)

    with pytest.raises(AssertionError, match=r"query 0 is moved by key \d") as error:
        assert_no_leaks(attend, keep, inputs_embeds=x[0])
    assert "layers=1" not in str(error.value)


@pytest.mark.parametrize(("dtype", "floor"), [(torch.float16, "0.00"), (torch.bfloat16, "0.0")])
def test_H_a_floor_that_could_hide_a_leak_is_said(dtype, floor):
    model, ids = tiny.model("llama").to(dtype), torch.arange(5, 13)
    with pytest.warns(UserWarning, match=rf"noise floor of {floor}.*{str(dtype)[6:]}.*model.float\(\).*gradient"):
        checked = assert_no_leaks(model, masks.causal(8), ids)
    assert checked.noise_floor > 1e-3
    assert assert_no_leaks(model.float(), masks.causal(8), ids).noise_floor < 1e-5
    slope = influence(model.to(dtype), ids, method="gradient")
    assert find_leaks(slope, masks.causal(8), layers=2) == []


class LooksAhead(nn.Module):
    """Looks ids up twice; the second time those of the next token, or of the token itself."""

    def __init__(self, shift):
        super().__init__()
        self.first, self.second, self.shift = nn.Embedding(50, DIM), nn.Embedding(50, DIM), shift

    def forward(self, idx):
        return self.first(idx) + self.second(idx.roll(self.shift, -1))


def test_H_ids_that_are_read_beside_the_embedding_are_tried_too():
    ids, keep = torch.arange(5, 12), torch.eye(7, dtype=torch.bool)
    with pytest.raises(AssertionError, match=r"query 0 is moved by key 1(?s:.*)7 leaks in all"):
        assert_no_leaks(LooksAhead(-1), keep, ids)
    assert torch.equal(influence(LooksAhead(-1), ids) > 0, keep | keep.roll(1, 1))
    assert_no_leaks(LooksAhead(0), keep, ids)
    assert_no_leaks(LooksAhead(-1), keep | keep.roll(1, 1), ids)


def test_H_padding_and_special_ids_are_neither_replaced_nor_drawn():
    """RoBERTa counts positions from what is no padding: a pad in the place of a token would move all later ones."""
    import transformers

    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    config = transformers.RobertaConfig(vocab_size=8, type_vocab_size=1, **sizes)  # 5 ids that mean nothing special
    model = transformers.RobertaModel(config, add_pooling_layer=False).eval()
    ids = torch.tensor([[0, 3, 4, 5, 6, 7, 2, 1, 1]])
    probe = Probe(model, ids, None, None, {})
    special = torch.isin(ids, torch.tensor([0, 1, 2]))
    assert torch.equal(probe.other_ids == ids, special)
    assert not torch.isin(probe.other_ids[~special], torch.tensor([0, 1, 2])).any()
    keep = masks.documents([0] * 4 + [1] * 5)
    assert_no_leaks(model, keep, ids, attention_mask=conventions.to_hf(keep, model=model))


def test_H_a_check_that_has_to_fail_stops_at_the_first_leak():
    calls = []

    def attention(x):
        calls.append(len(x))
        return sdpa(x)

    with pytest.raises(AssertionError, match=r"query 0 is moved by key 1,(?s:.*)The check stopped here"):
        assert_no_leaks(attention, masks.causal(200), inputs_embeds=torch.randn(200, DIM))
    assert sum(calls) < 50, "of 199 copies that a model without leaks takes"


def test_H_no_bar_in_a_log():
    code = (
        "import torch, time; from utils import influence, masks\n"
        "def slow(x):\n    time.sleep(1.1)\n    return x\n"
        "influence.influence(slow, inputs_embeds=torch.randn(4, 8), batch_size=3)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")


def test_a_head_changes_nothing_about_what_is_found():
    """A language model is compared before its last layer; where something follows that layer, after it."""
    import transformers

    ids, keep = torch.arange(5, 13), masks.causal(8)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    config = transformers.Gemma2Config(vocab_size=50, num_key_value_heads=1, head_dim=8, **sizes)
    for model in (tiny.model("gpt2", head=True), transformers.Gemma2ForCausalLM(config).eval()):
        head, shapes = model.get_output_embeddings(), []
        weight = nn.Parameter(head.weight.detach().clone())  # of its own, so that only the head is counted
        head.weight = weight
        genuine = F.linear

        def linear(x, used, *bias, genuine=genuine, weight=weight, shapes=shapes):
            shapes.append(x.shape) if used is weight else None
            return genuine(x, used, *bias)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(F, "linear", linear)
            assert_no_leaks(model, keep, ids)
        assert len(shapes) == (1 if model.config.model_type == "gpt2" else 2), "Gemma 2 caps its logits"
        assert "forward" not in vars(head)
        hides_key_0 = keep & (torch.arange(8) > 0)
        with pytest.raises(AssertionError, match="query 1 is moved by key 0") as caught:
            assert_no_leaks(model, hides_key_0, ids, layers=1)
        assert f"by {influence(model, ids)[1, 0]:.3g}," in str(caught.value)


# --- modules of one's own, and models that take no ids -------------------------------------------------


class NanoGPT(nn.Module):
    """The shape of karpathy/nanoGPT: ids in; logits and a loss out, without targets the last logits only."""

    def __init__(self, is_causal=True):
        super().__init__()
        self.wte, self.wpe = nn.Embedding(50, 16), nn.Embedding(32, 16)
        self.attention = nn.MultiheadAttention(16, 2, batch_first=True)
        self.lm_head = nn.Linear(16, 50, bias=False)
        self.wte.weight = self.lm_head.weight
        self.is_causal = is_causal

    def forward(self, idx, targets=None):
        x = self.wpe(torch.arange(idx.shape[1])) + self.wte(idx)
        keep = masks.causal(idx.shape[1]) if self.is_causal else masks.full(idx.shape[1])
        x = x + self.attention(x, x, x, attn_mask=~keep)[0]
        if targets is None:
            return self.lm_head(x[:, [-1]]), None
        logits = self.lm_head(x)
        return logits, F.cross_entropy(logits.flatten(0, 1), targets.flatten())


@both_methods
@pytest.mark.parametrize("first", [0, 5], ids=["ids like positions", "other ids"])
def test_H_a_module_of_ones_own_takes_ids(first, method):
    ids = torch.arange(first, first + 6)[None].expand(2, 6)
    model = NanoGPT().eval()
    measured = influence(model, ids, targets=ids, method=method)
    assert torch.equal(measured > 0, masks.causal(6).expand(2, 6, 6))
    assert_no_leaks(model, masks.causal(6), ids, targets=ids)
    with pytest.raises(AssertionError, match="query 0 of sequence 0 is moved by key 1"):
        assert_no_leaks(NanoGPT(is_causal=False).eval(), masks.causal(6), ids, targets=ids)
    assert influence(model, ids).shape == (2, 1, 6)
    with pytest.raises(ValueError, match=r"keep: got 6 queries, but the model returns 1 outputs.*nanoGPT.*targets="):
        assert_no_leaks(model, masks.causal(6), ids)


def test_a_model_that_turns_its_ids_before_it_looks_them_up():
    """XLNet's batch comes second; batch == length, so that a shape alone does not tell."""
    import transformers

    torch.manual_seed(0)
    sizes = {"d_model": 16, "n_layer": 1, "n_head": 2, "d_inner": 32, "initializer_range": 0.4}
    model = transformers.XLNetLMHeadModel(transformers.XLNetConfig(vocab_size=50, dropout=0.0, **sizes)).eval()
    ids, kept = torch.arange(5, 30).reshape(5, 5), torch.tensor([[1, 1, 1, 1, 0]] * 5)
    for batch in (1, 5):
        given = {"input_ids": ids[:batch], "attention_mask": kept[:batch]}
        wanted = kept[:batch, None].bool() | torch.eye(5, dtype=torch.bool)
        assert torch.equal(influence(model, **given).reshape(batch, 5, 5) > 0, wanted)
        assert_no_leaks(model, masks.padding(kept[:batch]), **given)


def test_a_model_without_embeddings_is_named():
    import transformers

    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    model = transformers.CanineModel(transformers.CanineConfig(num_hash_buckets=8, **sizes)).eval()
    with pytest.raises(TypeError, match="input_ids: got them for a CanineModel, which has no input embeddings"):
        influence(model, torch.arange(5, 9))


def test_D_a_model_of_pictures_is_told_how_to_be_wrapped():
    import transformers

    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    config = transformers.ViTConfig(image_size=16, patch_size=4, initializer_range=0.4, **sizes)
    model = transformers.ViTModel(config, add_pooling_layer=False).eval()
    pixel_values = torch.randn(2, 3, 16, 16)
    for inputs in ({"input_ids": torch.arange(4)}, {"inputs_embeds": torch.randn(4, 16)}):
        with pytest.raises(TypeError, match="ViTModel takes pixel_values, neither token ids nor") as caught:
            influence(model, **inputs)
    recipe = "\n".join(line[4:] for line in str(caught.value).splitlines() if line.startswith("    "))
    recipe = recipe.replace("influence(", "measured = influence(")
    names = {"model": model, "pixel_values": pixel_values, "torch": torch, "influence": influence}
    exec(recipe, names)
    assert names["measured"].shape == (2, 17, 16)
    assert (names["measured"] > 0).all()
    with pytest.raises(TypeError, match=r"WhisperModel takes input_features.*function of \(batch, k_len, dim\)"):
        influence(transformers.WhisperModel(transformers.WhisperConfig(
            d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2, decoder_attention_heads=2,
            encoder_ffn_dim=16, decoder_ffn_dim=16, vocab_size=60, pad_token_id=0, bos_token_id=1, eos_token_id=2,
            decoder_start_token_id=1)), torch.arange(4))  # fmt: skip


# --- to_hf never leaks -------------------------------------------------------------------------------


@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
@pytest.mark.parametrize("kind", ["bert", "gpt2", "llama"])
def test_to_hf_never_leaks(kind, implementation):
    """Measured on masks of every make: 0 where hidden, more than 0 where allowed, for one layer each."""
    model = tiny.model(kind, implementation, layers=1)
    generator = torch.Generator().manual_seed(0)
    causal = masks.full(T) if kind == "bert" else masks.causal(T)
    diagonal = torch.eye(T, dtype=torch.bool)
    keeps = {
        "documents": masks.documents([0, 0, 1, 1, 1, 2]) & causal,
        "window": masks.sliding_window(T, 2),
        "prefix": masks.prefix(T, 3),
        "right padding": masks.lengths([4], T) & causal,
        "2D right padding": masks.lengths([4], T),
        "2D left padding": masks.lengths([4], T, "left"),
        **{f"random {n}": (torch.rand(T, T, generator=generator) > 0.5) | diagonal for n in range(8)},
    }
    ids = torch.arange(5, 5 + T)
    for name, keep in keeps.items():
        if (
            kind == "gpt2"
            and implementation == "eager"
            and not tiny.V5
            and bool(keep.triu(1).any())
            and keep.shape[-2] == T
        ):
            with pytest.raises(ValueError, match="hides them whatever its attention_mask says"):
                conventions.to_hf(keep, model=model)
            continue
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*lets queries see later keys")  # random masks do so on purpose
            attention_mask = conventions.to_hf(keep, model=model)
        assert (attention_mask.ndim == 2) == name.startswith("2D")
        measured = influence(model, ids, attention_mask=attention_mask)
        allowed = (keep & causal if name.startswith("2D") else keep).expand(1, 1, T, T)
        seeing = allowed[0, 0].any(-1)  # a query without any key is F2, not a leak
        assert torch.equal((measured > 0)[seeing], reach(allowed)[0][seeing]), name


def test_an_encoder_and_a_decoder_with_one_embedding():
    """T5 embeds the encoder's and the decoder's ids with one module; only the encoder's inputs are changed."""
    import transformers

    config = transformers.T5Config(
        vocab_size=50, d_model=16, d_kv=8, d_ff=32, num_layers=1, num_heads=2, dropout_rate=0.0, initializer_factor=2.0
    )
    model, ids = transformers.T5Model(config).eval(), torch.tensor([[5, 6, 7, 8]])
    attention_mask = torch.tensor([[1, 1, 1, 0]])
    measured = influence(model, ids, decoder_input_ids=torch.tensor([[0, 9, 10, 11]]), attention_mask=attention_mask)
    assert torch.equal(measured > 0, attention_mask.bool().expand(4, 4))
    with pytest.raises(ValueError, match="layers: an encoder-decoder has several stacks"):
        assert_no_leaks(model, masks.full(4), ids, decoder_input_ids=ids)


# --- how it measures ---------------------------------------------------------------------------------


def test_batches_of_any_size_measure_the_same(mha):
    embeds = torch.randn(7, DIM)
    whole = influence(mha, inputs_embeds=embeds)
    for batch_size in (1, 2, 4, 5, 100):
        assert torch.allclose(influence(mha, inputs_embeds=embeds, batch_size=batch_size), whole, atol=1e-5)


def test_a_callable_with_a_batch_of_its_own():
    attn_mask = masks.lengths([2, 3]).expand(2, 1, 3, 3)
    embeds = torch.randn(2, 3, DIM)

    def fixed(x):
        return F.scaled_dot_product_attention(x[:, None], x[:, None], x[:, None], attn_mask=attn_mask)[:, 0]

    measured = influence(fixed, inputs_embeds=embeds, batch_size=1)
    assert find_leaks(measured, attn_mask) == []
    assert torch.equal(measured > 0, reach(attn_mask))


def test_memory_follows_the_batch_size(minilm):
    """The allocator's own record, as the profiler writes it: twice the copies take about twice the memory."""
    model, tokenizer = minilm
    ids = tokenizer("The cat sat on the mat and looked at the rain. ", return_tensors="pt").input_ids[:, :12]
    influence(model, ids)  # so that nothing is allocated once and for all below
    for method in ("perturb", "gradient"):
        small, large = (peak_bytes(lambda m=method, n=n: influence(model, ids, method=m, batch_size=n)) for n in (4, 8))
        assert 1.5 < large / small < 2.5


def test_as_many_copies_run_at_once_as_the_batch_size_says():
    sizes = []

    def attention(x):
        sizes.append(len(x))
        return sdpa(x)

    def runs(length, **options):
        sizes.clear()
        influence(attention, inputs_embeds=torch.randn(length, DIM), **options)
        return list(sizes)

    assert runs(6, batch_size=8) == [1, 8], "an unchanged one alone; six changed copies, an unchanged one and its twin"
    assert runs(6, batch_size=5) == [1, 5, 5]
    assert runs(3, batch_size=1) == [1, 1, 1, 1, 1], "the unchanged one first and last, the others one at a time"
    assert runs(64) == [1, 24, 24, 22], "three batches of at most 2048 tokens"
    assert runs(520) == [1] + [4] * 260, "but never fewer than four copies"


def test_the_check_runs_once_per_distinct_row():
    calls = []
    keep = masks.documents([0] * 5 + [1] * 4 + [2] * 3)

    def attention(x):
        calls.append(len(x))
        return sdpa(x, attn_mask=keep)

    assert assert_no_leaks(attention, keep, inputs_embeds=torch.randn(12, DIM)).forwards == 3
    assert calls == [1, 4], "an unchanged one alone, then three changed copies beside an unchanged one"
    calls.clear()
    assert assert_no_leaks(attention, masks.full(12), inputs_embeds=torch.randn(12, DIM)) == Checked(0, 0.0)
    assert calls == [], "where nothing is hidden nothing can leak"


def test_noise_is_not_reach(embeds):
    """A model whose copies differ by themselves: the floor rises above the noise, what is larger stays."""

    def noisy(x):
        return sdpa(x, attn_mask=masks.causal(T)) + torch.randn(x.shape) * 1e-4

    measured, floor = influence(noisy, inputs_embeds=embeds[0], return_floor=True)
    assert 1e-4 < floor < 1e-2
    assert find_leaks(measured, masks.causal(T)) == []
    assert_no_leaks(noisy, masks.causal(T), inputs_embeds=embeds[0])


@both_methods
def test_outputs_that_no_input_reaches(method):
    weight = nn.Parameter(torch.ones(2))
    for constant in (lambda x: torch.ones(len(x), 3, 2), lambda x: weight.expand(len(x), 3, 2)):
        measured = influence(constant, inputs_embeds=torch.randn(5, DIM), method=method)
        assert torch.equal(measured, torch.zeros(3, 5))


def test_minus_infinity_in_the_output_is_no_change():
    """Logits that a model sets to -inf stay equal, though -inf - -inf is NaN."""
    measured = influence(lambda x: F.pad(x, (0, 1), value=-torch.inf), inputs_embeds=torch.randn(3, DIM))
    assert torch.equal(measured > 0, torch.eye(3, dtype=torch.bool))


def test_nothing_is_left_behind(mha, embeds):
    model = tiny.model("bert", "eager").train()
    model.config.hidden_dropout_prob = 0.0
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    ids = torch.tensor([[5, 6, 7], [8, 9, 10]])
    attention_mask = torch.tensor([[1, 1, 1], [1, 1, 0]])
    state = {name: value.clone() for name, value in model.state_dict().items()}
    before = ids.clone(), attention_mask.clone(), embeds.clone()
    for method in ("perturb", "gradient"):
        influence(model, ids, method=method, attention_mask=attention_mask)
        influence(mha, inputs_embeds=embeds, method=method)
    assert model.training
    assert all(parameter.grad is None and parameter.requires_grad for parameter in model.parameters())
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert all(torch.equal(a, b) for a, b in zip(before, (ids, attention_mask, embeds), strict=True))
    assert not model.get_input_embeddings()._forward_hooks
    model.encoder.forward = lambda *args, **kwargs: 1 / 0
    with pytest.raises(ZeroDivisionError):
        influence(model, ids)
    assert not model.get_input_embeddings()._forward_hooks


def test_sequences_of_a_batch_must_not_move_each_other(embeds):
    """The classic: batch_first forgotten, so that sequences attend to each other and positions do not."""
    layer = nn.TransformerEncoderLayer(DIM, HEADS, 16).eval()
    with pytest.raises(
        AssertionError, match=r"sequence 1 is moved by other sequences.*changed: 0, 2.*batch_first missing"
    ):
        assert_no_leaks(lambda x: layer(x), masks.causal(T), inputs_embeds=embeds)
    right = nn.TransformerEncoderLayer(DIM, HEADS, 16, batch_first=True).eval()
    checked = assert_no_leaks(lambda x: right(x, src_mask=~masks.causal(T)), masks.causal(T), inputs_embeds=embeds)
    assert checked.forwards == T - 1 + 4, "one for each row that hides something, and two for each bit of 3 sequences"
    for batch in (2, 3, 5, 8):
        for source in range(batch):
            for target in set(range(batch)) - {source}:

                def mixed(x, source=source, target=target, batch=batch):
                    parts = list(x.clone().split(batch))
                    for part in parts:
                        part[target] += part[source].mean()
                    return torch.cat(parts)

                with pytest.raises(AssertionError, match=f"of sequence {target} is moved by other sequences"):
                    assert_no_leaks(mixed, masks.full(2), inputs_embeds=torch.randn(batch, 2, 3))


def test_a_bar_shows_when_it_takes_long_and_somebody_watches(capsys, monkeypatch):
    seconds = [0.0]  # on a clock of our own, so that the machine may be as slow as it likes
    monkeypatch.setattr("tqdm.std.time", lambda: seconds[0])

    def slow(x):
        seconds[0] += 0.6
        return x

    influence(slow, inputs_embeds=torch.randn(5, DIM), batch_size=3)
    assert capsys.readouterr().err.strip() == "", "a log is no terminal"
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    influence(lambda x: x, inputs_embeds=torch.randn(4, DIM), batch_size=3)
    assert capsys.readouterr().err.strip() == ""
    influence(slow, inputs_embeds=torch.randn(5, DIM), batch_size=3)
    assert "influence" in capsys.readouterr().err


def test_a_check_that_stops_early_leaves_no_bar_in_a_notebook(monkeypatch):
    """That of a notebook showed itself, in red, when one stopped to iterate over it: after each leak that was found."""
    from tqdm import auto, notebook

    shown = []
    monkeypatch.delenv("TQDM_DISABLE", raising=False)
    monkeypatch.setattr(auto, "tqdm", notebook.tqdm_notebook)
    monkeypatch.setattr(auto, "notebook_tqdm", notebook.tqdm_notebook)
    monkeypatch.setattr(notebook, "display", shown.append)
    with pytest.raises(AssertionError, match="is moved by key 1"):
        assert_no_leaks(lambda x: x.cumsum(1).flip(1), masks.causal(T), inputs_embeds=torch.randn(1, T, DIM))
    assert shown == []


# --- messages and bad input --------------------------------------------------------------------------


def test_the_first_leak_is_shown_as_tokens(minilm):
    model, tokenizer = minilm
    encoded = tokenizer("The cat sat.", "It was warm.", return_tensors="pt")
    keep = masks.documents(encoded.token_type_ids[0])
    with pytest.raises(AssertionError) as caught:
        assert_no_leaks(model, keep, encoded.input_ids, tokenizer=tokenizer, attention_mask=encoded.attention_mask)
    lines = str(caught.value).splitlines()
    assert lines[0].startswith("query 0 '[CLS]' is moved by key 6 'it', by 0.0")
    assert lines[0].endswith("which keep hides from it through 6 layers.")
    assert lines[1] == "It may be reached by '[CLS]', 'the', 'cat', 'sat', '.', '[SEP]' only."
    assert lines[2].startswith("60 leaks in all; noise floor ")


def test_the_leak_of_a_batch_is_shown_with_its_own_tokens(minilm):
    model, tokenizer = minilm
    batch = tokenizer(["The cat sat on the mat.", "It rains."], padding=True, return_tensors="pt")
    keep = masks.padding(batch.attention_mask)
    with pytest.raises(AssertionError, match=r"query 0 '\[CLS\]' of sequence 1 is moved by key 5 '\[PAD\]'"):
        assert_no_leaks(model, keep, batch.input_ids, tokenizer=tokenizer)
    real = batch.attention_mask.bool()
    checked = assert_no_leaks(model, keep, **batch, tokenizer=tokenizer, queries=real)
    assert checked.forwards >= 3


def test_a_leak_is_named_beside_rows_of_nan(mha):
    keep = masks.causal(4) & (torch.arange(4) > 0)[:, None]
    wrong = keep.clone()
    wrong[1, 3] = True
    given = {
        "inputs_embeds": torch.randn(4, DIM),
        "attn_mask": ~wrong,
        "queries": torch.tensor([False, True, True, True]),
    }
    with pytest.raises(AssertionError, match="query 1 is moved by key 3"):
        assert_no_leaks(mha, keep, **given)


def test_queries_that_nobody_reads_may_hold_anything():
    """Left padding under finfo.min: the pad queries come out uniform over everything (F15)."""
    model = tiny.model("gpt2", "eager")
    attention_mask = torch.tensor([[0, 0, 1, 1, 1]])
    keep = masks.causal(5) & masks.padding(attention_mask)
    given = {"input_ids": torch.tensor([[1, 1, 5, 6, 7]]), "attention_mask": attention_mask}
    with pytest.raises(AssertionError, match=r"(?s)queries without any key.*queries="):
        assert_no_leaks(model, keep, **given)
    assert_no_leaks(model, keep, queries=attention_mask.bool(), **given)


def test_nan_is_no_proof(mha):
    keep = masks.full(4).clone()
    keep[0] = False
    given = {"inputs_embeds": torch.randn(4, DIM), "attn_mask": ~keep, "need_weights": True}
    with pytest.raises(AssertionError, match="query 0: the output is NaN"):
        assert_no_leaks(mha, keep, **given)
    assert_no_leaks(mha, keep, queries=torch.tensor([False, True, True, True]), **given)
    measured = influence(mha, **given)
    assert measured[0].isnan().all()
    assert measured[1:].isfinite().all()
    with pytest.raises(ValueError, match="NaN for query 0"):
        find_leaks(measured, keep)


def test_leaks_of_a_batch_name_their_sequence():
    measured = torch.zeros(2, 3, 3)
    measured[1, 2, 0] = 0.5
    assert find_leaks(measured, torch.eye(3, dtype=torch.bool)) == [Leak(query=2, key=0, amount=0.5, sequence=1)]
    assert find_leaks(measured[1], torch.eye(3, dtype=torch.bool)) == [Leak(2, 0, 0.5)]


BERT_IDS = torch.tensor([[5, 6, 7]])


def other_embeddings():
    """A model whose get_input_embeddings names a module that it does not use."""
    model, unused = tiny.model("bert"), nn.Embedding(50, 16)
    model.get_input_embeddings = lambda: unused
    return model


X = torch.randn(3, DIM)
DECODER = nn.TransformerDecoderLayer(DIM, HEADS, 16).eval()
ONE = masks.full(3)


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: influence("minilm-bert", BERT_IDS), TypeError, "model: got 'minilm-bert', wanted a model"),
        (lambda: influence(sdpa), ValueError, "input_ids, inputs_embeds: got both or neither"),
        (lambda: influence(sdpa, BERT_IDS, inputs_embeds=X), ValueError, "got both or neither"),
        (lambda: influence(sdpa, BERT_IDS), TypeError, "has no input embeddings of its own"),
        (lambda: influence(tiny.model("bert"), X), TypeError, "Floats go to inputs_embeds"),
        (lambda: influence(tiny.model("bert"), [5, 6]), TypeError, "input_ids: got a list"),
        (lambda: influence(tiny.model("bert"), BERT_IDS[None]), ValueError, r"of shape \(1, 1, 3\)"),
        (lambda: influence(sdpa, inputs_embeds=BERT_IDS), TypeError, "Token ids go to input_ids"),
        (lambda: influence(sdpa, inputs_embeds=X[0]), ValueError, r"inputs_embeds: got a float32 tensor of shape \(8"),
        (lambda: influence(sdpa, inputs_embeds=X[:0]), ValueError, "empty"),
        (lambda: influence(sdpa, inputs_embeds=X, method="ablate"), ValueError, "method: got 'ablate'"),
        (lambda: influence(sdpa, inputs_embeds=X, batch_size=0), ValueError, "batch_size: got 0"),
        (lambda: influence(sdpa, inputs_embeds=X, batch_size=1.5), TypeError, "batch_size: got 1.5"),
        (lambda: influence(sdpa, inputs_embeds=X, max_bytes=2**20), TypeError, "max_bytes: it is gone; batch_size="),
        (lambda: assert_no_leaks(sdpa, ONE, inputs_embeds=X, max_copies=1), TypeError, "max_copies: .*batch_size="),
        (lambda: influence(lambda x: x.mean(1), inputs_embeds=X), ValueError, "Of a classifier measure the encoder"),
        (lambda: influence(lambda x: x[:1], inputs_embeds=X), ValueError, "needs batch_size=1"),
        (lambda: influence(lambda x: None, inputs_embeds=X), TypeError, "it returned None"),
        (lambda: influence(nn.MultiheadAttention(8, 2, dropout=0.1, batch_first=True), inputs_embeds=X), ValueError,
         r"dropout 0.1.*Call model.eval\(\)"),
        (lambda: influence(tiny.model("bert").train(), BERT_IDS), ValueError, "train mode with dropout 0.1"),
        (lambda: influence(tiny.model("gpt2"), BERT_IDS, past_key_values=1), ValueError, "^past_key_values: a cache"),
        (lambda: influence(tiny.model("llama"), BERT_IDS, cache=1), ValueError, "^cache: a cache belongs to one batch"),
        (lambda: influence(sdpa, inputs_embeds=X, cache=1), ValueError, "^cache: a cache belongs to one batch"),
        (lambda: influence(nn.Linear(3, 3), BERT_IDS), TypeError, r"no input embeddings of its own.*lambda x: model"),
        (lambda: influence(DECODER, inputs_embeds=X), ValueError,
         r"tgt, memory: got neither of them.*inputs_embeds=tgt, memory=… or inputs_embeds=memory, tgt=…"),
        (lambda: influence(DECODER, inputs_embeds=X, tgt=X, memory=X), ValueError, "tgt, memory: got both of them"),
        (lambda: influence(DECODER, inputs_embeds=X, tgt=X.expand(2, 3, DIM)), ValueError,
         r"tgt: got a float32 tensor of shape \(2, 3, 8\), wanted \(batch, q_len, dim\) with a batch of 1"),
        (lambda: influence(DECODER, inputs_embeds=X, memory=[X]), TypeError, "memory: got a list"),
        (lambda: influence(other_embeddings(), BERT_IDS), ValueError, "BertModel did not use its input embeddings"),
        (lambda: reach(ONE, 0), ValueError, "layers: got 0"),
        (lambda: reach(masks.causal(2, 5), 2), ValueError, r"keep: got shape \(2, 5\) with layers=2"),
        (lambda: reach(torch.ones(3, 3)), TypeError, "keep: got a float32 tensor"),
        (lambda: find_leaks([[1.0]], ONE), TypeError, "measured: got a list"),
        (lambda: find_leaks(ONE, ONE), TypeError, "measured: got a bool tensor"),
        (lambda: find_leaks(torch.ones(3, 4), ONE), ValueError, r"broadcasts to measured, \(3, 4\)"),
        (lambda: find_leaks(torch.ones(3, 3), ONE.long()), TypeError, "keep: got an int64 tensor"),
        (lambda: find_blocked(torch.ones(2, 3, 3), ONE.expand(4, 1, 3, 3)), ValueError, "broadcasts to measured"),
        (lambda: assert_no_leaks(sdpa, masks.causal(4), inputs_embeds=X), ValueError, "1 or 1 sequences of 3 keys"),
        (lambda: assert_no_leaks(sdpa, masks.causal(2, 3), inputs_embeds=X), ValueError, "2 queries, but the model"),
        (lambda: assert_no_leaks(lambda x: 0 * x, masks.causal(3), inputs_embeds=X), ValueError, "no output moves"),
        (lambda: assert_no_leaks(lambda x: F.dropout(x, 0.5), masks.causal(3), inputs_embeds=X), ValueError,
         "functional dropout"),
        (lambda: assert_no_leaks(sdpa, torch.ones(3, 3).tril(1).bool()[[2, 0, 1]], inputs_embeds=X.expand(3, 3, DIM)),
         ValueError, r"looks like \(batch, k_len\) padding.*keep\[:, None, None, :\]"),
        (lambda: assert_no_leaks(sdpa, masks.causal(3), inputs_embeds=X, queries=~ONE[0]), ValueError, "no True among"),
        (lambda: influence(nn.MultiheadAttention(DIM, 2), inputs_embeds=X, query=torch.ones(5, 2, DIM)), ValueError,
         r"query: got a float32 tensor of shape \(5, 2, 8\), wanted \(batch, q_len, dim\)"),
        (lambda: assert_no_leaks(sdpa, masks.causal(3), inputs_embeds=X, queries=torch.ones(3)), ValueError,
         "queries: got a float32 tensor"),
        (lambda: assert_no_leaks(sdpa, masks.causal(3), inputs_embeds=X, queries=ONE[0, :2]), ValueError,
         r"queries: got a bool tensor of shape \(2,\)"),
        (lambda: assert_no_leaks(sdpa, masks.causal(3), inputs_embeds=X, layers=0), ValueError, "layers: got 0"),
    ],
)  # fmt: skip
def test_bad_input_is_named(call, error, says):
    with pytest.raises(error, match=says):
        call()


def test_D_a_mask_of_each_sequence_is_not_taken_for_heads():
    """espnet#6116: of two heads, one that sees a key is enough, so swapped masks of two texts passed."""
    llama = tiny.model("llama")  # a 4D mask replaces its causality, in 4.57 too
    ids = torch.arange(5, 17).reshape(2, 6)
    keep = torch.stack([masks.documents([0, 0, 0, 1, 1, 1]), masks.documents([0, 0, 1, 1, 1, 1])])
    attention_mask = conventions.to_hf(keep[:, None])
    with pytest.raises(ValueError, match=r"whose first size is the batch.*write keep\[:, None\]"):
        assert_no_leaks(llama, keep, ids, attention_mask=attention_mask)
    assert assert_no_leaks(llama, keep[:, None], ids, attention_mask=attention_mask).forwards > 0
    with pytest.raises(AssertionError, match="which keep hides from it"):
        assert_no_leaks(llama, keep.flip(0)[:, None], ids, attention_mask=attention_mask)


def test_C_tokens_that_see_each_other_are_no_padding_in_a_proof():
    image = torch.tensor([0, 0, 1, 1, 1, 0]).bool()
    keep = masks.causal(6) | (image[:, None] & image)
    llama, ids = tiny.model("llama"), torch.arange(5, 11).repeat(6, 1)  # as many texts as tokens
    assert assert_no_leaks(llama, keep, ids, attention_mask=conventions.to_hf(keep, model=llama)).forwards > 0


# --- models that were measured wrongly ---------------------------------------------------------------


class MeanAttention(nn.Module):
    """An attention of one's own in the place of torch's: every position sees all, whatever the mask."""

    num_heads, _qkv_same_embed_dim, in_proj_bias, batch_first = HEADS, True, None, True

    def forward(self, query, key, value, **ignored):
        return value.mean(1, keepdim=True).expand_as(query), None


class MeanLayer(nn.TransformerEncoderLayer):
    """A layer without any attention of torch."""

    def __init__(self):
        super().__init__(DIM, HEADS, 16, 0.0, batch_first=True)
        self.self_attn = None

    def forward(self, src, src_mask=None, src_key_padding_mask=None, is_causal=False):
        return src + src.mean(1, keepdim=True)


@pytest.mark.parametrize("batch_size", [None, 1])
@pytest.mark.parametrize("batch", [1, 2])
def test_an_attention_of_ones_own_is_not_transposed_by_guess(batch, batch_size):
    """Positions that were taken for sequences saw nothing of each other, and a layer without a mask passed."""
    layer = nn.TransformerEncoderLayer(DIM, HEADS, 16, 0.0, batch_first=True)
    layer.self_attn = MeanAttention()
    encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False).train()
    given = {"inputs_embeds": torch.randn(batch, T, DIM), "batch_size": batch_size}
    with pytest.raises(AssertionError, match=r"query 0.* is moved by key 1"):
        assert_no_leaks(encoder, masks.causal(T), **given)
    unknown = MeanLayer().eval()
    with pytest.raises(ValueError, match="batch_first of MeanLayer and its parts is nowhere"):
        assert_no_leaks(unknown, masks.causal(T), **given)
    with pytest.raises(AssertionError, match=r"query 0.* is moved by key 1"):
        assert_no_leaks(lambda x: unknown(x), masks.causal(T), **given)


def test_two_layouts_in_one_module_are_refused():
    opposite = nn.TransformerEncoder(nn.TransformerEncoderLayer(DIM, HEADS, 16), 1, enable_nested_tensor=False)
    two = nn.Transformer(DIM, HEADS, 1, 1, 16, custom_encoder=opposite, batch_first=True).eval()
    with pytest.raises(ValueError, match="both True and False"):
        influence(two, inputs_embeds=torch.randn(1, T, DIM), tgt=torch.randn(1, T, DIM))


def suppressed(value):
    def outputs(x, leak=0.0):
        y = x.cumsum(1).tanh() + leak * x.mean(1, keepdim=True)
        return torch.cat([y, torch.full_like(y[..., :1], value)], dim=-1)

    return outputs


@pytest.mark.parametrize("value", [-1e4, -1e9, torch.finfo(torch.float32).min, -torch.inf])
def test_a_suppressed_logit_hides_no_leak_and_no_movement(value):
    """One constant feature of -1e9 made the floor of all others 100, and a right model "ignored its input"."""
    x, outputs = torch.randn(1, T, DIM), suppressed(value)
    assert assert_no_leaks(outputs, masks.causal(T), inputs_embeds=x).noise_floor < 1e-5
    with pytest.raises(AssertionError, match="query 0 is moved by key 1"):
        assert_no_leaks(lambda x: outputs(x, 0.1), masks.causal(T), inputs_embeds=x)
    assert (influence(lambda x: outputs(x, 0.1), inputs_embeds=x) > 0).all()


def test_a_huge_first_position_hides_no_leak_of_others():
    """A first token of 1e8, as one that collects attention, made the floor of all positions 12."""
    x = torch.randn(1, T, DIM)

    def outputs(x):
        y = x.cumsum(1).tanh()
        return torch.cat([1e8 * y[:, :1], y[:, 1:-1] + 0.05 * x[:, 2:], y[:, -1:]], dim=1)

    with pytest.raises(AssertionError, match="query 1 is moved by key 2"):
        assert_no_leaks(outputs, masks.causal(T), inputs_embeds=x)
    last = torch.arange(T) == T - 2
    with pytest.raises(AssertionError, match="query 4 is moved by key 5"):
        assert_no_leaks(outputs, masks.causal(T), inputs_embeds=x, queries=last)
    assert assert_no_leaks(lambda x: outputs(x)[:, :1], masks.causal(T)[:1], inputs_embeds=x, layers=1).noise_floor > 1


def test_float64_is_compared_in_float64():
    """In float32 a movement of 1e-3 beside 1e6 was lost, and rounding of 1e9 was a leak."""
    x, mix = torch.randn(1, 16, 64).double(), torch.randn(64, 64).double()
    with pytest.raises(AssertionError, match="query 0 is moved by key 1"):
        assert_no_leaks(lambda x: 1e6 + x.cumsum(1) + 1e-3 * x.mean(1, keepdim=True), masks.causal(16), inputs_embeds=x)
    causal = torch.ones(16, 16).tril().double()
    checked = assert_no_leaks(lambda x: 1e9 + causal @ x @ mix, masks.causal(16), inputs_embeds=x)
    assert checked.noise_floor < 1e-4
    tiny_outputs = influence(lambda x: 1e-60 * x.mean(1, keepdim=True).expand_as(x), inputs_embeds=x)
    assert (tiny_outputs > 0).all()


@pytest.mark.parametrize("amount", [1e-3, 3e-4, 3e-5])
def test_a_weak_coupling_of_copies_is_refused(amount):
    """Copies moved each other by less than 1e-3 alike, so that the leak did not show and the floor was 1e-7."""
    x = torch.randn(1, T, DIM)

    def outputs(x):
        return x.cumsum(1).tanh() + amount * F.batch_norm(x.mT, None, None, training=True).mT

    with pytest.raises(ValueError, match="couples the sequences of a batch"):
        assert_no_leaks(outputs, masks.causal(T), inputs_embeds=x)
    with pytest.raises(AssertionError, match="is moved by"):
        assert_no_leaks(outputs, masks.causal(T), inputs_embeds=x, batch_size=1)


class BigramHash(nn.Module):
    """Reads whether the sum of two neighbouring ids is even, which only an id of another parity moves."""

    def __init__(self):
        super().__init__()
        self.embedding, self.hashes = nn.Embedding(50, DIM), nn.Embedding(2, DIM)

    def forward(self, ids):
        return self.embedding(ids) + self.hashes((F.pad(ids[:, :-1], (1, 0)) * 7 + ids) % 2)


@pytest.mark.parametrize("seed", range(12))
def test_a_hash_of_two_ids_is_found_across_documents(seed):
    """One draw of other ids left the parity of a document's last id as it was half of the time."""
    torch.manual_seed(seed)
    keep = masks.documents([0] * 4 + [1] * 4) & masks.causal(8)
    with pytest.raises(AssertionError, match="query 4 is moved by key 3"):
        assert_no_leaks(BigramHash(), keep, torch.randint(0, 50, (1, 8)))


def test_padding_that_holds_nan_is_no_leak():
    """0 · NaN put NaN into positions that were not changed, and the size of the noise was NaN everywhere."""
    x = torch.randn(1, T, DIM)
    x[0, 4:] = torch.nan

    def outputs(x, leak=0.0):
        y = x[:, :4].cumsum(1) + x[:, :4].mean(1, keepdim=True)
        return torch.cat([y, leak * y[:, :2]], dim=1)

    keep = masks.padding(torch.tensor([[1, 1, 1, 1, 0, 0]]))
    for batch_size in (None, 1):
        assert_no_leaks(outputs, keep, inputs_embeds=x, batch_size=batch_size)
        with pytest.raises(AssertionError, match="is moved by key 3"):
            assert_no_leaks(lambda x: outputs(x, 1.0), keep & ~torch.eye(T, dtype=bool)[3], inputs_embeds=x)
    assert (influence(outputs, inputs_embeds=x)[:4, :4] > 0).all()


def test_a_branch_that_is_left_out_at_random_is_refused():
    """A leak in a branch that a whole batch leaves out every other time passed in 18 of 60 checks."""
    x = torch.randn(1, T, DIM)
    for seed in range(6):
        torch.manual_seed(seed)
        with pytest.raises(ValueError, match="It is random"):
            assert_no_leaks(
                lambda x: x + (torch.rand(()) < 0.5) * x.mean(1, keepdim=True), masks.causal(T), inputs_embeds=x
            )


def test_layers_that_are_dropped_in_train_mode_are_refused_by_name():
    import transformers

    sizes = {"vocab_size": 50, "hidden_size": 16, "ffn_dim": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    rates = {"layerdrop": 0.1, "dropout": 0.0, "attention_dropout": 0.0, "word_embed_proj_dim": 16}
    model = transformers.OPTModel(transformers.OPTConfig(**sizes, **rates)).train()
    with pytest.raises(ValueError, match=r"OPTDecoder is in train mode with layerdrop 0.1"):
        assert_no_leaks(model, masks.causal(T), torch.arange(5, 11))


def test_an_assertion_of_the_model_is_no_leak():
    def outputs(x):
        raise AssertionError("the mask should be 2D")

    with pytest.raises(ValueError, match=r"refuses its input or masks.*the mask should be 2D"):
        assert_no_leaks(outputs, masks.causal(T), inputs_embeds=torch.randn(T, DIM))


@pytest.mark.parametrize("dtype", [torch.long, torch.bool, torch.complex64])
def test_outputs_that_are_no_floats_are_named(dtype):
    with pytest.raises(TypeError, match="such as logits before their argmax"):
        assert_no_leaks(lambda x: x.cumsum(1).to(dtype), masks.causal(T), inputs_embeds=torch.randn(T, DIM))


def test_running_statistics_of_instances_stay_what_they_were():
    norm = nn.InstanceNorm1d(DIM, track_running_stats=True).train()
    before = norm.running_mean.clone()
    influence(nn.Sequential(nn.Identity(), norm), inputs_embeds=torch.randn(1, DIM, T))
    assert torch.equal(norm.running_mean, before)


@pytest.mark.parametrize("feature", [0, 20])
def test_logits_that_are_changed_in_place_are_compared_as_they_come_out(feature):
    """Hidden states stood in for logits, though the model went on with these, in place: a refusal, or an IndexError."""
    llama = tiny.model("llama", "sdpa", head=True)
    genuine = llama.forward

    def forward(leak=0.0, **given):
        output = genuine(**given)
        output.logits[..., feature] += leak * output.logits[:, -1:, feature]
        output.logits.mul_(2.0)
        return output

    ids = torch.arange(5, 13)
    try:
        llama.forward = forward
        assert_no_leaks(llama, masks.causal(8), ids)
        with pytest.raises(AssertionError, match="query 0 is moved by key"):
            assert_no_leaks(llama, masks.causal(8), ids, leak=1.0)
    finally:
        del llama.forward


def test_layers_that_were_taken_out_of_a_model_are_not_counted():
    """A model cut to one layer with a window of 5 passed as four layers with one of 3, as its config said."""
    import transformers

    sizes = {"vocab_size": 50, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 4}
    config = transformers.MistralConfig(**sizes, num_attention_heads=2, num_key_value_heads=2, sliding_window=5)
    model, ids = transformers.MistralForCausalLM(config).eval(), torch.arange(5, 25)
    assert_no_leaks(model, masks.sliding_window(20, 5), ids)
    model.model.layers = model.model.layers[:1]
    assert_no_leaks(model, masks.sliding_window(20, 5), ids)
    with pytest.raises(AssertionError, match="query 3 is moved by key 0"):
        assert_no_leaks(model, masks.sliding_window(20, 3), ids)


@pytest.mark.transformers_5
def test_layers_that_share_their_weights_are_all_counted():
    import transformers

    sizes = {"vocab_size": 50, "embedding_size": 8, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 3}
    albert = transformers.AlbertModel(transformers.AlbertConfig(**sizes, num_attention_heads=2)).eval()
    keep = masks.sliding_window(12, 2)
    assert_no_leaks(albert, keep, torch.arange(5, 17), attention_mask=conventions.to_hf(keep, model=albert))


def test_queries_that_leave_nothing_to_prove_are_said():
    def outputs(x):
        return x + x.mean(1, keepdim=True)

    with pytest.warns(UserWarning, match="keep hides nothing from any of these queries"):
        assert_no_leaks(outputs, masks.causal(T), inputs_embeds=torch.randn(T, DIM), queries=torch.arange(T) == T - 1)


class LooksUpItsOwnFirst(nn.Module):
    """Looks up tokens of its own in the table of the ids, before these."""

    def __init__(self, length):
        super().__init__()
        self.embedding, self.length = nn.Embedding(30, DIM), length

    def forward(self, ids):
        own = self.embedding(torch.zeros(len(ids), self.length, dtype=torch.long))
        return self.embedding(ids).cumsum(1) + 0 * own.mean(1, keepdim=True)


@pytest.mark.parametrize("length", [1, T])
def test_noise_goes_to_the_ids_and_not_to_a_token_that_the_model_adds(length):
    """A first token alone was a RuntimeError; as many as the ids took their noise, and gradients were 0."""
    model, ids = LooksUpItsOwnFirst(length), torch.randint(1, 30, (1, T))
    assert_no_leaks(model, masks.causal(T), ids)
    assert torch.equal(influence(model, ids, method="gradient") > 0, masks.causal(T))


def test_TQDM_DISABLE_keeps_the_bar_away_where_somebody_watches():
    """Lessons are executed so: a bar of a slow minute would be saved as a widget that is gone."""
    code = (
        "import sys; from tqdm import auto; from utils import influence; sys.stderr.isatty = lambda: True\n"
        "bar = auto.tqdm; auto.tqdm = lambda *of, **how: print(how['disable']) or bar(*of, **how)\n"
        "with influence._bar([]): pass"
    )
    for setting, disabled in ((None, "False"), ("1", "True")):
        environment = {name: value for name, value in os.environ.items() if name != "TQDM_DISABLE"}
        environment |= {"TQDM_DISABLE": setting} if setting else {}
        run = subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True)
        assert run.stdout.strip() == disabled
