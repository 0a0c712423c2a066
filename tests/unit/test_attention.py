"""attention.py against loops, against torch's fused attention and against a real model."""

import math

import pytest
import torch
import torch.nn.functional as F
from transformers import BertConfig, BertModel, LlamaConfig, LlamaModel

from utils import masks, models
from utils.attention import attend, scores_of


def inputs(*leading, q_len=3, k_len=5, head_dim=4, v_dim=2, dtype=torch.float32):
    shapes = (q_len, head_dim), (k_len, head_dim), (k_len, v_dim)
    return tuple(torch.randn(*leading, *shape, dtype=dtype) for shape in shapes)


def test_every_stage_against_a_plain_loop():
    query, key, value = inputs()
    keep = torch.tensor([[1, 1, 0, 0, 1], [0, 1, 1, 1, 1], [1, 0, 0, 0, 0]], dtype=torch.bool)
    found = attend(query, key, value, keep)
    for q in range(3):
        scores = [sum(query[q, d] * key[k, d] for d in range(4)) / math.sqrt(4) for k in range(5)]
        parts = [torch.exp(scores[k]) if keep[q, k] else torch.tensor(0.0) for k in range(5)]
        weights = [part / sum(parts) for part in parts]
        for k in range(5):
            assert torch.isclose(found.scores[q, k], scores[k], atol=1e-6)
            assert torch.isclose(found.weights[q, k], weights[k], atol=1e-6)
            hidden = found.masked_scores[q, k] == -math.inf
            assert hidden != keep[q, k]
        for d in range(2):
            output = sum(weights[k] * value[k, d] for k in range(5))
            assert torch.isclose(found.output[q, d], output, atol=1e-6)


@pytest.mark.parametrize("leading", [(), (2,), (2, 3), (2, 1, 3)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_same_as_the_fused_call(leading, dtype):
    query, key, value = inputs(*leading, dtype=dtype)
    keep = torch.tensor([[1, 1, 0, 0, 1], [0, 1, 1, 1, 1], [1, 0, 0, 0, 0]], dtype=torch.bool)
    tolerance = 2e-2 if dtype == torch.bfloat16 else 1e-6
    for mask in (None, keep):
        wanted = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        assert torch.allclose(attend(query, key, value, mask).output, wanted, atol=tolerance)


@pytest.mark.parametrize(
    ("fill", "first_row"),
    [("-inf", "nan"), ("min", "uniform"), (-1e9, "uniform"), (-1e4, "as unmasked")],
)
def test_what_each_fill_makes_of_an_empty_row(fill, first_row):
    query, key, value = inputs()
    keep = masks.full(3, 5).clone()
    keep[0] = False
    found = attend(query, key, value, keep, fill=fill)
    unmasked = attend(query, key, value)
    wanted = {
        "nan": torch.full((5,), torch.nan),
        "uniform": torch.full((5,), 1 / 5),
        "as unmasked": unmasked.weights[0],
    }[first_row]
    assert torch.allclose(found.weights[0], wanted, atol=1e-3, equal_nan=True)
    assert torch.equal(found.weights[1:], unmasked.weights[1:])


@pytest.mark.parametrize("fill", ["-inf", "min", -1e4])
def test_policies_for_empty_rows_and_their_gradients(fill):
    query, key, value = (x.requires_grad_() for x in inputs(2))
    keep = masks.lengths([4, 0], 5)[:, 0].expand(2, 3, 5)
    zero = attend(query, key, value, keep, fill, "zero")
    uniform = attend(query, key, value, keep, fill, "uniform")
    assert (zero.weights[1] == 0).all()
    assert (zero.output[1] == 0).all()
    assert torch.allclose(uniform.output[1], value[1].mean(0).expand(3, 2), atol=1e-6)
    assert torch.equal(zero.weights[0], uniform.weights[0])
    for stages in (zero, uniform):
        gradients = torch.autograd.grad(stages.output.sum(), (query, key, value), retain_graph=True)
        assert all(g.isfinite().all() for g in gradients)
        assert gradients[0][0].abs().sum() > 0


def test_empty_rows_are_nan_by_default_and_reach_the_gradient():
    query, key, value = (x.requires_grad_() for x in inputs(2))
    keep = masks.lengths([4, 0], 5)[:, 0]
    found = attend(query, key, value, keep)
    assert found.output[1].isnan().all()
    assert found.output[0].isfinite().all()
    (gradient,) = torch.autograd.grad(found.output[0].sum(), query, retain_graph=True)
    assert gradient[0].isfinite().all()


def test_kept_scores_are_untouched_and_inputs_unchanged():
    query, key, value = inputs()
    keep = torch.rand(3, 5) > 0.5
    before = [x.clone() for x in (query, key, value, keep)]
    for fill in ("-inf", "min", -1e9):
        found = attend(query, key, value, keep, fill, "zero")
        assert torch.equal(found.masked_scores[keep], found.scores[keep])
    assert all(torch.equal(a, b) for a, b in zip(before, (query, key, value, keep), strict=True))


def test_gives_the_weights_of_a_real_model(minilm):
    model, tokenizer = minilm
    batch = tokenizer(["Rain is coming.", "Wait."], padding=True, return_tensors="pt")
    with torch.no_grad():
        theirs = model(**batch, output_attentions=True).attentions[0]
        layer, x = model.encoder.layer[0].attention.self, model.embeddings(batch.input_ids)
        query, key, value = (
            p(x).unflatten(-1, (12, 32)).transpose(1, 2) for p in (layer.query, layer.key, layer.value)
        )
        ours = attend(query, key, value, masks.padding(batch.attention_mask), fill="min")
    assert torch.allclose(ours.weights, theirs, atol=1e-5)


Q, K, V = torch.zeros(3, 4), torch.zeros(5, 4), torch.zeros(5, 2)


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        (([1.0], K, V), TypeError, "query: got a list"),
        ((Q, None, V), TypeError, "key: got None"),
        ((Q[0], K, V), ValueError, r"query: got a float32 tensor of shape \(4,\)"),
        ((Q.long(), K, V), TypeError, "Did you pass token ids"),
        ((Q, K.double(), V), TypeError, "one dtype for all"),
        ((Q, K, V.half()), TypeError, "value: got a float16 tensor"),
        ((Q[:0], K, V), ValueError, "empty"),
        ((Q, K[:, :3], V), ValueError, "same head_dim"),
        ((Q, K, V[:4]), ValueError, "same k_len"),
        ((Q.expand(2, 3, 4), K.expand(3, 5, 4), V), ValueError, "do not broadcast"),
        ((Q, K, V, [[True]]), TypeError, "keep: got a list"),
        ((Q, K, V, torch.ones(3, 5)), TypeError, "conventions.from_additive"),
        ((Q, K, V, torch.ones(3, 5, dtype=torch.long)), TypeError, "masks.padding"),
        ((Q, K, V, torch.ones(5, 3, dtype=torch.bool)), ValueError, r"broadcasts to \(3, 5\)"),
        ((Q, K, V, torch.ones(2, 3, 5, dtype=torch.bool)), ValueError, r"broadcasts to \(3, 5\)"),
        (
            (Q.expand(2, 1, 3, 4), K, V, torch.ones(2, 5, dtype=torch.bool)),
            ValueError,
            "it is a padding mask: masks.padding",
        ),
        ((Q, K, V, None, "max"), ValueError, "fill: got 'max'"),
        ((Q, K, V, torch.ones(3, 5, dtype=torch.bool), "max"), ValueError, "fill: got 'max'"),
        ((Q, K, V, torch.ones(3, 5, dtype=torch.bool), 5.0), ValueError, "fill: got 5.0"),
        ((Q.half(), K.half(), V.half(), torch.ones(3, 5, dtype=torch.bool), -1e9), ValueError, "does not fit"),
        ((Q, K, V, None, "-inf", "skip"), ValueError, "empty_rows: got 'skip'"),
    ],
)
def test_bad_input_is_named(arguments, error, says):
    with pytest.raises(error, match=says):
        attend(*arguments)


@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
@pytest.mark.parametrize("name", ["minilm-bert", "story-gpt2", "llama"])
def test_scores_of_a_model_give_its_weights(name, implementation):
    """A softmax of them, hidden keys left out, is what the model itself returns as weights."""
    if name == "llama":  # two heads of queries share one of keys
        sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4}
        config = LlamaConfig(vocab_size=50, num_key_value_heads=2, attn_implementation=implementation, **sizes)
        model, ids = LlamaModel(config).eval(), torch.randint(50, (2, 6))
    else:
        model, tokenizer = models.load(name, attn_implementation=implementation)
        ids = torch.tensor([[*tokenizer("Rain is coming.").input_ids, 0, 0]])
    real = torch.ones_like(ids)
    real[:, -2:] = 0
    scores = scores_of(model, ids, attention_mask=real)
    assert model.config._attn_implementation == implementation
    assert not scores[0].requires_grad

    model.set_attn_implementation("eager")
    with torch.no_grad():
        weights = model(ids, attention_mask=real, output_attentions=True).attentions
    keep = masks.padding(real) if name == "minilm-bert" else masks.padding(real) & masks.causal(ids.shape[1])
    assert len(scores) == len(weights)
    for layer, expected in zip(scores, weights, strict=True):
        found = layer.masked_fill(~keep, -math.inf).softmax(dim=-1)
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_a_model_that_hands_its_scores_to_nobody_is_named():
    with pytest.raises(ValueError, match=r"^model: got .*, whose attention does not go through"):
        scores_of(Unregistered())


class Unregistered(BertModel):
    """It never attends."""

    def __init__(self):
        sizes = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
        super().__init__(BertConfig(vocab_size=9, **sizes))

    def forward(self):
        """Returns nothing."""
