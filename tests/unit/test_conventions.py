"""conventions.py against the libraries themselves: same numbers, both ways, on unequal q_len and k_len."""

import warnings

import pytest
import torch
import torch.nn.functional as F

from tests.support import tiny
from utils import conventions, masks
from utils.attention import attend

BATCH, HEADS, Q_LEN, K_LEN, DIM = 3, 2, 4, 6, 8

PADDING = masks.lengths([6, 4, 1], K_LEN)
PER_QUERY = torch.rand(Q_LEN, K_LEN, generator=torch.Generator().manual_seed(1)) > 0.4
PER_QUERY[:, 0] = True  # so that no row is empty; those have tests of their own
PER_SEQUENCE = torch.rand(BATCH, 1, Q_LEN, K_LEN, generator=torch.Generator().manual_seed(2)) > 0.4
PER_SEQUENCE[..., 1] = True
PER_HEAD = torch.rand(BATCH, HEADS, Q_LEN, K_LEN, generator=torch.Generator().manual_seed(3)) > 0.4
PER_HEAD[..., 2] = True
KEEPS = {
    "padding": PADDING,
    "per query": PER_QUERY,
    "both": PADDING & PER_QUERY,
    "per sequence": PER_SEQUENCE,
    "per head": PER_HEAD,
}
every_keep = pytest.mark.parametrize("keep", KEEPS.values(), ids=KEEPS)


def inputs(dtype=torch.float32):
    query = torch.randn(BATCH, HEADS, Q_LEN, DIM, dtype=dtype)
    key, value = torch.randn(2, BATCH, HEADS, K_LEN, DIM, dtype=dtype)
    return query, key, value


@every_keep
def test_sdpa_reads_to_sdpa_and_to_additive_alike(keep):
    query, key, value = inputs()
    wanted = attend(query, key, value, keep).output
    for attn_mask in (
        conventions.to_sdpa(keep),
        conventions.to_additive(keep, torch.float32, "-inf"),
        conventions.to_additive(keep, torch.float32, "min"),
        conventions.to_additive(keep, torch.float32, -1e9),
    ):
        output = F.scaled_dot_product_attention(query, key, value, attn_mask=attn_mask)
        assert torch.allclose(output, wanted, atol=1e-6)


@every_keep
def test_mha_reads_to_mha(keep):
    mha = torch.nn.MultiheadAttention(HEADS * DIM, HEADS, batch_first=True).eval()
    query, key, value = (torch.randn(BATCH, n, HEADS * DIM) for n in (Q_LEN, K_LEN, K_LEN))
    both_masks = conventions.to_mha(keep, HEADS)
    _, weights = mha(query, key, value, **both_masks, average_attn_weights=False)
    visible = keep.expand(BATCH, HEADS, Q_LEN, K_LEN)
    assert torch.equal(weights > 0, visible)
    assert torch.allclose(weights.sum(-1), torch.ones(BATCH, HEADS, Q_LEN))


def test_to_mha_uses_the_simplest_form():
    only_keys = conventions.to_mha(PADDING, HEADS)
    assert only_keys["attn_mask"] is None
    assert torch.equal(only_keys["key_padding_mask"], ~PADDING[:, 0, 0])
    only_queries = conventions.to_mha(PER_QUERY, HEADS)
    assert only_queries["key_padding_mask"] is None
    assert torch.equal(only_queries["attn_mask"], ~PER_QUERY)
    both = conventions.to_mha(PADDING & PER_QUERY, HEADS)
    assert both["attn_mask"].shape == (Q_LEN, K_LEN)
    assert both["key_padding_mask"].shape == (BATCH, K_LEN)
    assert conventions.to_mha(PER_SEQUENCE, HEADS)["attn_mask"].shape == (BATCH * HEADS, Q_LEN, K_LEN)
    one_query = conventions.to_mha(torch.tensor([[True, False, True]]), HEADS)
    assert one_query["attn_mask"].shape == (1, 3)


@every_keep
def test_flex_attention_reads_to_flex(keep):
    from torch.nn.attention.flex_attention import create_mask, flex_attention

    query, key, value = inputs()
    copied = keep.clone()
    block_mask = conventions.to_flex(copied, Q_LEN)
    copied.fill_(False)  # the BlockMask must not look at our tensor any more
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="flex_attention called without torch.compile")
        output = flex_attention(query, key, value, block_mask=block_mask)
    assert torch.allclose(output, attend(query, key, value, keep).output, atol=1e-6)
    dense = create_mask(block_mask.mask_mod, BATCH, HEADS, Q_LEN, K_LEN, device="cpu")
    assert torch.equal(dense, keep.expand(BATCH, HEADS, Q_LEN, K_LEN))


def test_to_flex_skips_whole_blocks_only():
    document = torch.arange(512) // 128
    block_mask = conventions.to_flex(document[:, None] == document)
    assert block_mask.sparsity() == 75
    short = conventions.to_flex(PER_QUERY)
    assert short.kv_num_blocks.tolist() == [[[1]]], "4 x 6 is one block, so nothing is skipped"


@every_keep
def test_round_trips_are_exact(keep):
    expanded = keep.expand(BATCH, HEADS, Q_LEN, K_LEN)
    assert torch.equal(conventions.from_sdpa(conventions.to_sdpa(keep)), keep)
    for dtype in (torch.float32, torch.float16, torch.bfloat16, torch.float64):
        for fill in ("min", "-inf", -1e4):
            assert torch.equal(conventions.from_additive(conventions.to_additive(keep, dtype, fill)), keep)
    back = conventions.from_mha(**conventions.to_mha(keep, HEADS), num_heads=HEADS)
    assert torch.equal(back.expand(BATCH, HEADS, Q_LEN, K_LEN), expanded)
    for implementation in ("eager", "sdpa"):
        back = conventions.from_hf(conventions.to_hf(keep, implementation), implementation)
        assert torch.equal(back.expand(BATCH, HEADS, Q_LEN, K_LEN), expanded)


@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
def test_bert_reads_to_hf(implementation):
    """Padding as 2D and sentence borders as 4D: real tokens come out as if they were alone."""
    from utils import models

    model, tokenizer = models.load("minilm-bert", attn_implementation=implementation)
    first, second = (tokenizer(s, return_tensors="pt").input_ids for s in ("Dogs bark.", "Rain is coming now."))
    with torch.no_grad():
        alone = [model(ids).last_hidden_state[0] for ids in (first, second)]
        document = torch.tensor([0] * first.shape[1] + [1] * second.shape[1])
        keep = document[:, None] == document
        positions = torch.cat([torch.arange(ids.shape[1]) for ids in (first, second)])[None]
        pairwise = conventions.to_hf(keep, model=model)
        heads = (1,) if tiny.V5 else ()  # BertModel of transformers 4 reads (batch, q_len, k_len)
        assert pairwise.shape == (1, *heads, len(document), len(document))
        packed = model(torch.cat([first, second], 1), attention_mask=pairwise, position_ids=positions)
        assert torch.allclose(packed.last_hidden_state[0], torch.cat(alone), atol=1e-4)

        padded = torch.nn.functional.pad(first, (0, 3))
        mask_2d = conventions.to_hf(masks.lengths([first.shape[1]], padded.shape[1]), implementation)
        assert mask_2d.dtype == torch.int64
        output = model(padded, attention_mask=mask_2d).last_hidden_state[0, : first.shape[1]]
        assert torch.allclose(output, alone[0], atol=1e-4)


def test_3d_belongs_to_transformers_4():
    """Right there for BertModel; the version decides, so nobody has to remember it."""
    three_d = torch.tensor([[[1, 0, 1], [0, 1, 1]]])
    if tiny.V5:
        with pytest.raises(ValueError, match="no longer reads a 3D mask"):
            conventions.from_hf(three_d)
        with pytest.raises(ValueError, match="ndim: got 3, which transformers 5 does not read"):
            conventions.to_hf(three_d.bool(), ndim=3)
    else:
        assert torch.equal(conventions.from_hf(three_d), three_d[:, None].bool())
        assert torch.equal(conventions.to_hf(three_d.bool(), ndim=3), three_d)


def test_to_hf_takes_what_it_needs_from_the_model():
    keep = masks.causal(4)
    half = tiny.model("llama", "eager").to(torch.bfloat16)
    assert conventions.to_hf(keep, model=half).dtype == torch.bfloat16
    assert conventions.to_hf(keep, "eager", torch.bfloat16, model=half).min() == torch.finfo(torch.bfloat16).min
    with pytest.raises(ValueError, match="attn_implementation: got 'sdpa', but the model has 'eager'"):
        conventions.to_hf(keep, "sdpa", model=half)
    with pytest.raises(ValueError, match=r"dtype: got torch.float32, but the model has torch.bfloat16"):
        conventions.to_hf(keep, dtype=torch.float32, model=half)
    with pytest.raises(TypeError, match="model: got 'gpt2', wanted a Hugging Face model"):
        conventions.to_hf(keep, model="gpt2")


def test_to_hf_warns_of_a_decoder_that_would_see_the_future():
    decoder, encoder = tiny.model("llama"), tiny.model("bert")
    documents = masks.documents([0, 0, 1, 1])
    with pytest.warns(UserWarning, match=r"LlamaModel a 4D mask.*Did you mean keep & masks.causal"):
        conventions.to_hf(documents, model=decoder)
    conventions.to_hf(documents & masks.causal(4), model=decoder)  # any warning is an error here
    conventions.to_hf(masks.prefix(4, 2), model=decoder)
    conventions.to_hf(documents, model=encoder)
    conventions.to_hf(masks.lengths([2, 4]), model=decoder)


def test_what_2d_cannot_say_is_refused():
    for keep in (masks.causal(3), torch.ones(2, 2, 1, 3, dtype=torch.bool)):
        with pytest.raises(ValueError, match=r"wanted \(batch, 1, 1, k_len\) for ndim=2.*a 4D mask can say it"):
            conventions.to_hf(keep, ndim=2)
    assert conventions.to_hf(masks.lengths([2, 3]), ndim=4).shape == (2, 1, 1, 3)
    with pytest.raises(ValueError, match="ndim: got 5"):
        conventions.to_hf(masks.causal(3), ndim=5)


def test_ragged_rows_are_no_mask():
    """A jagged layout is not rectangular; the error says what says the same."""
    jagged = torch.nested.nested_tensor([torch.ones(2), torch.ones(3)], layout=torch.jagged)
    for read in (masks.padding, conventions.from_sdpa, conventions.from_hf, conventions.from_additive):
        with pytest.raises(TypeError, match=r"got a nested tensor.*masks.lengths\(...\)"):
            read(jagged)


def test_from_flex_asks_the_rule_not_the_blocks():
    from torch.nn.attention.flex_attention import create_block_mask

    block_mask = create_block_mask(lambda b, h, q, k: k <= q + b, 2, None, 3, 5, device="cpu")
    keep = conventions.from_flex(block_mask)
    assert keep.shape == (2, 1, 3, 5)
    assert all(keep[b, 0, q, k] == (k <= q + b) for b in range(2) for q in range(3) for k in range(5))
    with pytest.raises(TypeError, match="block_mask: got a bool tensor"):
        conventions.from_flex(masks.causal(3))


def test_to_additive_has_the_fill_and_dtype_asked_for():
    keep = torch.tensor([[True, False]])
    assert conventions.to_additive(keep).tolist() == [[0, torch.finfo(torch.float32).min]]
    assert conventions.to_additive(keep, torch.float16, "min").tolist() == [[0, -65504]]
    assert conventions.to_additive(keep, torch.bfloat16, "-inf").tolist() == [[0, -torch.inf]]
    assert conventions.to_additive(keep, torch.float32, -1e4).tolist() == [[0, -1e4]]


def test_from_mha_unfolds_heads_of_one_sequence_together():
    ignore = torch.zeros(BATCH * HEADS, Q_LEN, K_LEN, dtype=torch.bool)
    ignore[1 * HEADS + 0, 2, 3] = True  # sequence 1, head 0
    keep = conventions.from_mha(ignore, num_heads=HEADS)
    assert (~keep).nonzero().tolist() == [[1, 0, 2, 3]]


def test_from_mha_hides_what_either_mask_hides():
    keep = conventions.from_mha(~PER_QUERY, ~PADDING[:, 0, 0], num_heads=HEADS)
    assert torch.equal(keep, PADDING & PER_QUERY)
    additive = torch.zeros(2, 2).masked_fill(torch.tensor([[False, True], [False, False]]), -torch.inf)
    assert torch.equal(conventions.from_mha(additive), torch.tensor([[[[True, False], [True, True]]]]))


def test_no_input_is_changed():
    keep = (PADDING & PER_QUERY).clone()
    before = keep.clone()
    for result in (
        conventions.to_additive(keep),
        conventions.to_hf(keep),
        *conventions.to_mha(keep, HEADS).values(),
    ):
        result.fill_(0)
    assert torch.equal(keep, before)


B23 = torch.ones(2, 3, dtype=torch.bool)
F23 = torch.zeros(2, 3)


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: conventions.to_sdpa([[True]]), TypeError, "keep: got a list"),
        (lambda: conventions.to_sdpa(B23.long()), TypeError, "masks.padding"),
        (lambda: conventions.to_sdpa(F23), TypeError, "from_additive"),
        (lambda: conventions.to_sdpa(B23[0]), ValueError, r"keep\[None, :\]"),
        (lambda: conventions.to_sdpa(B23[None, None, None]), ValueError, r"of shape \(1, 1, 1, 2, 3\)"),
        (lambda: conventions.to_sdpa(B23[:0]), ValueError, "empty"),
        (lambda: conventions.to_mha(B23, 0), ValueError, "num_heads: got 0"),
        (lambda: conventions.to_mha(B23, 2.0), TypeError, "num_heads: got 2.0"),
        (lambda: conventions.to_mha(B23.expand(5, 2, 3), 2), ValueError, r"write keep\[:, None\]"),
        (lambda: conventions.to_additive(B23, torch.int64), TypeError, "dtype: got torch.int64"),
        (lambda: conventions.to_additive(B23, "float32"), TypeError, "dtype: got 'float32'"),
        (lambda: conventions.to_additive(B23, torch.float16, -1e9), ValueError, "does not fit into torch.float16"),
        (lambda: conventions.to_additive(B23, fill="max"), ValueError, "fill: got 'max'"),
        (lambda: conventions.to_additive(B23, fill=0), ValueError, "0 hides nothing"),
        (lambda: conventions.to_additive(B23, fill=1e9), ValueError, "wanted a negative number"),
        (lambda: conventions.to_additive(B23, fill=float("nan")), ValueError, "wanted a negative number"),
        (lambda: conventions.to_additive(B23, fill=None), TypeError, "fill: got None"),
        (lambda: conventions.to_additive(B23, fill=True), TypeError, "fill: got True"),
        (lambda: conventions.to_hf(B23, "flash_attention_2"), ValueError, "got 'flash_attention_2', wanted"),
        (lambda: conventions.to_hf(B23.long()), TypeError, "keep: got an int64 tensor"),
        (lambda: conventions.to_flex(B23, 3), ValueError, "q_len: got 3 beside a keep of shape"),
        (lambda: conventions.to_flex(B23.int()), TypeError, "keep: got an int32 tensor"),
        (lambda: conventions.from_sdpa(B23.long()), TypeError, "Integers and bools are not added"),
        (lambda: conventions.from_sdpa(torch.tensor([[0.0, 1.0]])), ValueError, "hides nothing. Did you mean"),
        (lambda: conventions.from_sdpa(None), TypeError, "attn_mask: got None"),
        (lambda: conventions.from_sdpa(B23[0]), ValueError, r"of shape \(3,\)"),
        (lambda: conventions.from_additive(torch.tensor([0.0, -0.5])), ValueError, "soft bias"),
        (lambda: conventions.from_additive(torch.tensor([0.0, torch.nan])), ValueError, "value nan"),
        (lambda: conventions.from_additive(torch.tensor([0.0, torch.inf])), ValueError, "value inf"),
        (lambda: conventions.from_additive(torch.tensor([0.0, -5.0])), ValueError, r"0\.0067.*\(bias, fill=-5\)"),
        (lambda: conventions.from_additive(torch.tensor([0.0, -9.0]), fill=-50), ValueError, "value -9, wanted"),
        (lambda: conventions.from_additive(B23), TypeError, "bias: got a bool tensor"),
        (lambda: conventions.from_mha(), ValueError, "neither attn_mask nor key_padding_mask"),
        (lambda: conventions.from_mha(B23.long()), TypeError, "MultiheadAttention refuses integers"),
        (lambda: conventions.from_mha(B23[None, None]), ValueError, "4D mask belongs to SDPA"),
        (lambda: conventions.from_mha(B23.expand(5, 2, 3), num_heads=2), ValueError, "no multiple of num_heads=2"),
        (lambda: conventions.from_mha(B23, torch.ones(2, 4, dtype=torch.bool)), ValueError, "the same k_len"),
        (lambda: conventions.from_mha(key_padding_mask=B23[0]), ValueError, "Add the batch"),
        (lambda: conventions.from_mha(B23.expand(4, 2, 3), B23.expand(2, 3)[:1].expand(3, 3), num_heads=2), ValueError,
         "key_padding_mask: got"),
        (lambda: conventions.from_hf(B23.long()[0]), ValueError, r"attention_mask\[None\]"),
        (lambda: conventions.from_hf(B23[None, None], "eager"), TypeError, "hides nothing"),
        (lambda: conventions.from_hf(B23[None, None].long()), TypeError, "wanted a float tensor"),
        (lambda: conventions.from_hf(B23[None, None].float()), ValueError, "values 0 and 1"),
        (lambda: conventions.from_hf(torch.tensor([[2, 1]])), ValueError, "Did you pass input_ids"),
        (lambda: conventions.from_hf(B23, "flex"), ValueError, "attn_implementation"),
    ],
)  # fmt: skip
def test_bad_input_is_named(call, error, says):
    with pytest.raises(error, match=says):
        call()
