"""What is said of a mask in a model is what the model does: it was run. Compared with what influence measures."""

import copy
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import pytest
import torch

from tests.support import tiny
from utils import conventions, masks
from utils._observe import LONGEST, PADDING, Form, observe
from utils.conventions import describe, to_hf
from utils.influence import influence, reach

DOCUMENTS = masks.documents([0] * 4 + [1] * 4)
PADDED = torch.tensor([[1] * 6 + [0] * 2])
ONES = torch.ones(1, 8, dtype=torch.long)
CAUSAL = masks.causal(8)

SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48}
SHARED = {"vocab_size": 99, "initializer_range": 0.4, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
ENCODER_DECODER = {"encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2, "decoder_attention_heads": 2}
GROUPED = {"num_key_value_heads": 1, "head_dim": 16}
#: Each model: its class, and its config beside SHARED.
MODELS = {
    "CLIPText": ("CLIPTextModel", SIZES),
    "Bloom": ("BloomModel", {"hidden_size": 32, "n_layer": 2, "n_head": 2}),
    "MPT": ("MptModel", {"d_model": 32, "n_layers": 2, "n_heads": 2}),
    "CodeGen": ("CodeGenModel", {"n_embd": 32, "n_layer": 2, "n_head": 4, "rotary_dim": 8}),
    "XGLM": ("XGLMModel", {"d_model": 32, "num_layers": 2, "attention_heads": 2, "ffn_dim": 48}),
    "OpenAI-GPT": ("OpenAIGPTModel", {"n_embd": 32, "n_layer": 2, "n_head": 2}),
    "BERT": ("BertModel", SIZES),
    "BERT head": ("BertLMHeadModel", SIZES),
    "BERT decoder": ("BertLMHeadModel", {**SIZES, "is_decoder": True}),
    "Llama": ("LlamaModel", {**SIZES, **GROUPED}),
    "BART": ("BartModel", {"d_model": 32, "encoder_ffn_dim": 48, "decoder_ffn_dim": 48, **ENCODER_DECODER}),
    "T5": ("T5Model", {"d_model": 32, "num_layers": 1, "num_heads": 2, "d_ff": 48, "d_kv": 16}),
    "Mistral": ("MistralModel", {**SIZES, **GROUPED, "sliding_window": 3}),
    "Mistral 200": ("MistralModel", {**SIZES, **GROUPED, "sliding_window": 150}),
    "Starcoder2": ("Starcoder2Model", {**SIZES, "num_key_value_heads": 1, "sliding_window": 3}),
    "Cohere2": ("Cohere2Model", {**SIZES, **GROUPED, "sliding_window": 3}),
    "Gemma 2": ("Gemma2Model", {**SIZES, **GROUPED, "sliding_window": 3, "query_pre_attn_scalar": 16}),
    "Gemma 3": ("Gemma3TextModel", {**SIZES, **GROUPED, "sliding_window": 3, "query_pre_attn_scalar": 16}),
    "ModernBERT": ("ModernBertModel", {**SIZES, "local_attention": 4, "cls_token_id": 1, "sep_token_id": 2}),
    "GPT-Neo": (
        "GPTNeoModel",
        {"hidden_size": 32, "num_layers": 2, "num_heads": 2, "attention_types": [[["global", "local"], 1]],
         "window_size": 3},
    ),
    "DeBERTa": ("DebertaModel", SIZES),
    "DeBERTa-v2": ("DebertaV2Model", SIZES),
    "OPT": (
        "OPTModel",
        {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "ffn_dim": 48, "word_embed_proj_dim": 32},
    ),
    "Mamba": ("MambaModel", {"hidden_size": 32, "num_hidden_layers": 2}),
    "Jamba": (
        "JambaModel",
        {**SIZES, "num_key_value_heads": 1, "attn_layer_period": 2, "attn_layer_offset": 1, "use_mamba_kernels": False,
         "num_experts": 2, "mamba_dt_rank": 4},
    ),
    "Switch": (
        "SwitchTransformersEncoderModel",
        {"d_model": 16, "d_kv": 8, "d_ff": 16, "num_layers": 2, "num_sparse_encoder_layers": 1, "num_heads": 2},
    ),
    "FNet": ("FNetModel", {"hidden_size": 32, "num_hidden_layers": 2, "intermediate_size": 48}),
    "BERT classifier": ("BertForSequenceClassification", SIZES),
    "BERT answers": ("BertForQuestionAnswering", SIZES),
    "Longformer": ("LongformerModel", {**SIZES, "attention_window": 4}),
}  # fmt: skip


@cache
def model(name: str, implementation: str | None = None, **changes):
    import transformers

    class_name, sizes = MODELS[name]
    options = {"attn_implementation": implementation} if implementation else {}
    with torch.random.fork_rng(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of transformers 4, which still compiles with torch.jit
        model_class = getattr(transformers, class_name)
        torch.manual_seed(0)
        return model_class(model_class.config_class(**{**SHARED, **sizes, **changes, **options})).eval()


def warnings_of(description) -> list[str]:
    return [trap.id for trap in description.warnings]


# --- what a model hides by itself --------------------------------------------------------------------


@pytest.mark.parametrize("implementation", ["eager", None])
@pytest.mark.parametrize("name", ["CLIPText", "Bloom", "MPT", "CodeGen", "XGLM", "OpenAI-GPT", "BERT decoder"])
def test_A_a_causal_model_that_no_flag_tells_of(name, implementation):
    """openai/CLIP#183, transformers#41750: padding is not all that a query does not see."""
    description = describe(PADDED, "hf", model=model(name, implementation))
    assert torch.equal(description.keep, masks.padding(PADDED) & CAUSAL)
    assert str(description.patterns[0]) == "causal, aligned lower right"
    assert "the model's own causality" in description.read_as
    assert (description.known, description.warnings, description.layers) == (True, [], [])


@pytest.mark.parametrize("name", ["CLIPText", "XGLM", "BERT decoder", "Llama"] if tiny.V5 else ["Llama"])
def test_A_a_4d_mask_on_a_causal_model_shows_later_keys(name):
    with pytest.warns(UserWarning, match=r"lets queries see later keys.*Did you mean keep & masks.causal\(8\)"):
        attention_mask = to_hf(DOCUMENTS, model=model(name))
    description = describe(attention_mask, "hf", model=model(name))
    assert torch.equal(description.keep[0, 0], DOCUMENTS)
    assert warnings_of(description) == ["F10"]
    measured = influence(model(name), torch.arange(20, 28), attention_mask=attention_mask)
    assert (measured[0, 1:4] > 0).all()  # token 0 does see the later tokens of its document
    to_hf(DOCUMENTS & CAUSAL, model=model(name))  # any warning is an error


def test_A_a_causal_class_that_was_told_not_to_be():
    """transformers#46077, sentence-transformers#3513."""
    llama = copy.deepcopy(model("Llama"))
    assert describe(PADDED, "hf", model=llama).keep.shape == (1, 1, 8, 8)
    llama.config.is_causal = False
    description = describe(PADDED, "hf", model=llama)
    if tiny.V5:  # 4.57 does not read it
        assert torch.equal(description.keep, masks.padding(PADDED))
        assert "causality" not in description.read_as
        to_hf(DOCUMENTS, model=llama)  # no warning: nothing is replaced
    measured = influence(llama, torch.arange(20, 28), attention_mask=PADDED)
    assert torch.equal((measured > 0)[:6], reach(description.keep.expand(1, 1, 8, 8))[0][:6])
    assert describe(PADDED, "hf", model=model("BERT head")).keep.shape == (1, 1, 1, 8)


@pytest.mark.parametrize("name", ["BART", "T5"])
def test_A_the_mask_of_an_encoder_decoder_is_the_encoders(name):
    description = describe(PADDED, "hf", model=model(name))
    assert torch.equal(description.keep, masks.padding(PADDED))
    assert "padding of the encoder" in description.read_as
    assert "cross-attention sees it too" in description.read_as
    assert description.warnings == []
    says = "only where both texts have the same length.*attn_implementation=…, ndim=" if tiny.V5 else "takes a 2D mask"
    with pytest.raises(ValueError, match=says):
        to_hf(DOCUMENTS, model=model(name))
    assert describe(to_hf(DOCUMENTS), "hf", model=model(name)).keep is None


@pytest.mark.parametrize("name", ["Mistral", "Starcoder2", "Gemma 2", "Gemma 3", "Cohere2"])
def test_A_a_sliding_window_is_seen(name):
    """transformers#39408. In Gemma 2 every second layer has it."""
    window = masks.sliding_window(8, 3)
    description = describe(ONES, "hf", model=model(name))
    narrow = description.layers[0][1] if name == "Gemma 2" else description.keep
    assert torch.equal(narrow[0, 0], window)
    assert "1 to 3 of 8" in str(description)
    assert "window of 3 keys" in description.read_as
    if name == "Gemma 2":
        assert torch.equal(description.keep[0, 0], CAUSAL)
        assert [names for names, _ in description.layers] == ["layer 0", "layer 1"]
    with pytest.warns(UserWarning, match=r"replaces its own window of 3 keys.*keep & masks.sliding_window\(8, 3\)"):
        attention_mask = to_hf(CAUSAL, model=model(name))
    assert (influence(model(name), torch.arange(20, 28), attention_mask=attention_mask)[7] > 0).all()
    replaced = describe(attention_mask, "hf", model=model(name))
    assert torch.equal(replaced.keep[0, 0], CAUSAL)
    assert warnings_of(replaced) == ["G10"]
    to_hf(window, model=model(name))  # any warning is an error
    assert describe(to_hf(window, model=model(name)), "hf", model=model(name)).warnings == []


def test_a_window_on_both_sides():
    description = describe(ONES, "hf", model=model("ModernBERT"))
    band = masks.sliding_window(8, 3) | masks.sliding_window(8, 3).T
    assert torch.equal(description.layers[1][1][0, 0], band)
    assert description.layers[0][1].all()
    if tiny.V5:  # 4.57 takes no 4D mask here
        with pytest.warns(UserWarning, match=r"farther keys.*masks.sliding_window\(8, 3\) \| masks.sliding_window"):
            to_hf(DOCUMENTS | CAUSAL, model=model("ModernBERT"))


def test_a_window_longer_than_a_text_is_said_by_the_config():
    long = torch.ones(1, 200, dtype=torch.long)
    mistral = model("Mistral 200")
    description = describe(long, "hf", model=mistral)
    assert torch.equal(description.keep[0, 0], masks.sliding_window(200, 150))
    assert "sliding window of 150 keys (by its config, not measured)" in description.read_as
    assert "config" not in describe(long[:, :140], "hf", model=mistral).read_as
    measured = observe(model("Mistral"), PADDING, 200)  # a short window is measured, and goes on
    assert all(len(layer.own) == LONGEST for layer in measured.layers)
    assert torch.equal(describe(long, "hf", model=model("Mistral")).keep[0, 0], masks.sliding_window(200, 3))


# --- forms that a model does not take ----------------------------------------------------------------


@pytest.mark.parametrize("name", ["DeBERTa", "DeBERTa-v2", "OPT", "Bloom"])
def test_A_a_form_that_a_model_cannot_take_is_refused_by_name(name):
    """transformers#35290: it crashed deep inside the model."""
    subject = model(name)
    with pytest.raises(ValueError, match=rf"{MODELS[name][0]} refuses a 4D mask.*It takes a 2D mask \(batch, k_len\)"):
        to_hf(DOCUMENTS & CAUSAL, model=subject)
    attention_mask = conventions.to_additive((DOCUMENTS & CAUSAL)[None, None])
    description = describe(attention_mask, "hf", model=subject)
    assert (description.keep, description.known, warnings_of(description)) == (None, True, ["F10"])
    assert f"{MODELS[name][0]} refuses it" in description.warnings[0].text
    with pytest.raises((RuntimeError, ValueError, IndexError)), torch.no_grad():
        subject(torch.arange(20, 28)[None], attention_mask=attention_mask)
    if name == "OPT":
        assert "needs position_ids=" in description.warnings[0].text
        positions = torch.arange(8)[None]
        subject(torch.arange(20, 28)[None], attention_mask=attention_mask, position_ids=positions)


def test_a_model_that_hides_padding_as_queries_too():
    description = describe(PADDED, "hf", model=model("DeBERTa-v2"))
    real = masks.padding(PADDED)
    assert torch.equal(description.keep, real & real.transpose(-1, -2))
    assert "hidden as queries too" in description.read_as
    assert description.warnings == []
    assert to_hf(real, model=model("DeBERTa-v2")).tolist() == PADDED.tolist()


def test_a_model_that_stays_causal_under_a_4d_mask():
    neo = model("GPT-Neo", "eager")
    with pytest.raises(ValueError, match="GPTNeoModel hides them whatever its attention_mask says"):
        to_hf(DOCUMENTS, model=neo)
    attention_mask = to_hf(DOCUMENTS & CAUSAL, model=neo)
    description = describe(attention_mask, "hf", model=neo)
    assert torch.equal(description.layers[0][1][0, 0], DOCUMENTS & CAUSAL)
    assert torch.equal(description.layers[1][1][0, 0], DOCUMENTS & masks.sliding_window(8, 3))
    assert description.warnings == []


def test_layers_without_attention():
    mamba, fnet = (describe(PADDED, "hf", model=model(name)) for name in ("Mamba", "FNet"))
    assert torch.equal(mamba.keep, masks.padding(PADDED) & CAUSAL)
    assert "layers without attention carry earlier tokens on" in mamba.read_as
    if tiny.V5:  # takes any keyword, and does nothing with it
        assert fnet.keep.all()
        assert warnings_of(fnet) == ["S1.7"]
        measured = influence(model("FNet"), torch.arange(20, 28), attention_mask=PADDED)
        assert (measured > 0).all()  # the Fourier transform mixes padding in
    else:
        assert (fnet.keep, warnings_of(fnet)) == (None, ["S1.5"])
    refusal = "hides nothing of what a 2D mask hides" if tiny.V5 else "FNetModel takes no attention_mask"
    with pytest.raises(ValueError, match=refusal):
        to_hf(masks.padding(PADDED), model=model("FNet"))


@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
@pytest.mark.parametrize("name", ["BERT", "Llama"])
@pytest.mark.parametrize("dtype", [torch.bool, torch.long, torch.float])
def test_a_4d_mask_of_zeros_and_ones_is_tried_too(name, implementation, dtype):
    attention_mask = (DOCUMENTS & CAUSAL)[None, None].to(dtype)
    description = describe(attention_mask, "hf", model=model(name, implementation))
    if not tiny.V5 and name == "BERT":
        assert description.keep is None
    elif dtype == torch.bool and implementation == "sdpa":
        assert torch.equal(description.keep[0, 0], DOCUMENTS & CAUSAL)
        assert description.warnings == []
    elif dtype == torch.long and implementation == "sdpa":
        assert description.keep is None
    else:
        assert description.keep.all()
        assert "F10" in warnings_of(description)


# --- what a flag, a length, a value or another thread must not hide ---------------------------------------


def test_a_mask_that_hides_nothing_is_left_out_by_sdpa():
    """Then the flag of each layer counts, as in PaliGemma; beside a pad it does not."""
    llama = copy.deepcopy(model("Llama", "sdpa"))
    for layer in llama.layers:
        layer.self_attn.is_causal = False
    ids = torch.arange(20, 28)
    for attention_mask, own in ((ONES, masks.full(8)), (PADDED, CAUSAL)):
        description = describe(attention_mask, "hf", model=llama)
        keep = description.keep.expand(1, 1, 8, 8)
        assert torch.equal(keep[0, 0], own & masks.padding(attention_mask)[0, 0])
        measured = influence(llama, ids, attention_mask=attention_mask)
        assert torch.equal((measured > 0)[:6], reach(keep)[0][:6])


def test_a_long_4d_mask_replaces_a_long_window_too():
    mistral = model("Mistral 200")
    with pytest.warns(UserWarning, match=r"window of 150 keys, by its config.*masks.sliding_window\(200, 150\)"):
        attention_mask = to_hf(masks.causal(200), model=mistral)
    description = describe(attention_mask, "hf", model=mistral)
    assert torch.equal(description.keep[0, 0], masks.causal(200))
    assert warnings_of(description) == ["G10"]


def test_a_long_window_under_another_name_is_not_known():
    """GPT-Neo calls it window_size, and ModernBERT counts both sides."""
    neo = model("GPT-Neo", "eager", window_size=256, max_position_embeddings=512)
    bert = model("ModernBERT", local_attention=300, max_position_embeddings=512)
    for subject, length, says in ((neo, 400, "window_size=256"), (bert, 300, "local_attention=300")):
        description = describe(torch.ones(1, length, dtype=torch.long), "hf", model=subject)
        assert (description.known, description.keep) == (False, None)
        assert says in description.unknown
        assert describe(torch.ones(1, 100, dtype=torch.long), "hf", model=subject).known


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_what_half_precision_could_hide_is_not_known(dtype):
    """State-space layers carry a little of what is hidden, and 8 steps of bfloat16 are 6 %."""
    mamba = model("Mamba")
    assert describe(PADDED, "hf", model=mamba).known
    jamba = model("Jamba")
    with pytest.raises(ValueError, match="hides nothing of what a 4D mask hides" if tiny.V5 else "refuses a 4D mask"):
        to_hf(DOCUMENTS & CAUSAL, model=jamba)
    with pytest.raises(
        ValueError, match=r"refuses a 4D mask|hides nothing|below the rounding of b?float16. Try model.float\(\)"
    ):
        to_hf(DOCUMENTS & CAUSAL, model=copy.deepcopy(jamba).to(dtype))


def test_layers_of_ones_own_above_a_model_are_run():
    import transformers

    class Tagger(transformers.BertPreTrainedModel):
        def __init__(self, config):
            super().__init__(config)
            self.bert = transformers.BertModel(config)
            self.lstm = torch.nn.LSTM(32, 16, batch_first=True, bidirectional=True)
            self.post_init()

        def forward(self, input_ids=None, attention_mask=None):
            return (self.lstm(self.bert(input_ids, attention_mask=attention_mask).last_hidden_state)[0],)

    description = describe(PADDED, "hf", model=Tagger(model("BERT").config).eval())
    assert description.keep.all()
    assert warnings_of(description) == ["S1.7"]


def test_values_that_a_model_tells_apart_are_not_known():
    """GPT's 2 lies above its 1, and BERT's 2 is a 1."""
    several = torch.tensor([[1, 1, 1, 1, 2, 2, 0, 0]])
    gpt = describe(several, "hf", model=model("OpenAI-GPT"))
    assert (gpt.known, gpt.keep) == (False, None)
    assert "does not read 1, 2 as the same" in gpt.unknown
    if tiny.V5:
        assert torch.equal(describe(several, "hf", model=model("BERT")).keep[0, 0, 0], several[0] > 0)


@pytest.mark.parametrize("length", [6, 7, 8, 9, 16])
def test_a_choice_among_experts_is_no_attention(length):
    ones = torch.ones(1, length, dtype=torch.long)
    ones[0, -2:] = 0
    description = describe(ones, "hf", model=model("Switch"))
    assert torch.equal(description.keep, masks.padding(ones))
    assert description.layers == []
    assert description.warnings == []


def test_a_mask_per_head_is_tried_per_head():
    per_head = torch.stack([CAUSAL, masks.sliding_window(8, 2)])
    llama = model("Llama")
    assert torch.equal(describe(to_hf(per_head, model=llama), "hf", model=llama).keep[0], per_head)
    with pytest.raises(ValueError, match="LlamaModel refuses a 4D mask"):
        to_hf(torch.cat([per_head, per_head[:1]]), model=llama)
    keys = to_hf(masks.padding(PADDED), model=llama, ndim=4)  # (1, 1, 1, 8)
    description = describe(keys, "hf", model=llama)
    assert torch.equal(description.keep.expand(1, 1, 8, 8), masks.padding(PADDED).expand(1, 1, 8, 8))


def test_a_hook_on_a_layer_is_seen():
    llama = copy.deepcopy(model("Llama"))
    assert torch.equal(describe(ONES, "hf", model=llama).keep[0, 0], CAUSAL)
    llama.layers[0].register_forward_hook(lambda module, args, output: output + output.mean(dim=1, keepdim=True))
    assert describe(ONES, "hf", model=llama).keep.all()


def test_others_may_use_the_model_meanwhile():
    """A class is served while one of it is described, and several ask at once."""
    llama, ids, failures, answers = copy.deepcopy(model("Llama")), torch.arange(20, 28)[None], [], []
    done = threading.Event()

    def serve():
        while not done.is_set():
            try:
                llama(ids)
            except Exception as error:
                failures.append(error)

    def ask(length):
        answers.append(describe(torch.ones(1, length, dtype=torch.long), "hf", model=llama))

    server = threading.Thread(target=serve)
    server.start()
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(ask, [9, 10, 11, 9, 10, 11, 12, 13]))
    done.set()
    server.join()
    assert failures == []
    assert all(answer.known and str(answer.patterns[0]) == "causal, aligned lower right" for answer in answers)


@pytest.mark.gate
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch.compile itself
def test_a_compiled_model_is_looked_at_uncompiled():
    compiled = torch.compile(model("Mistral"))
    assert torch.equal(describe(ONES, "hf", model=compiled).keep[0, 0], masks.sliding_window(8, 3))


def test_what_is_no_model_is_named():
    for call in (lambda m: describe(PADDED, "hf", model=m), lambda m: to_hf(DOCUMENTS, model=m)):
        with pytest.raises(TypeError, match="model: got a DataParallel, wanted a Hugging Face model"):
            call(torch.nn.DataParallel(model("BERT")))


# --- what is meant is not warned of ------------------------------------------------------------------


def test_C_a_prefix_and_tokens_that_see_each_other_are_meant():
    """transformers#39389: the tokens of an image see each other inside a causal text."""
    image = torch.tensor([0, 0, 1, 1, 1, 0, 0, 0]).bool()
    for keep, name in ((masks.prefix(8, 3), "prefix"), (CAUSAL | (image[:, None] & image), "irregular")):
        attention_mask = to_hf(keep, model=model("Llama"))
        description = describe(attention_mask, "hf", model=model("Llama"))
        assert description.patterns[0].name == name
        assert description.warnings == []


@pytest.mark.parametrize("name", ["BERT classifier", "BERT answers"])
def test_a_model_that_returns_one_vector_for_each_text(name):
    hooks = len(model(name).base_model._forward_hooks)
    description = describe(PADDED, "hf", model=model(name))
    assert torch.equal(description.keep, masks.padding(PADDED))
    assert len(model(name).base_model._forward_hooks) == hooks


# --- how it is measured ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["Mistral", "OPT", "DeBERTa-v2", "BART", "Longformer", "FNet"])
def test_at_most_eight_forwards_and_then_none(name):
    subject, calls = copy.deepcopy(model(name)), []
    subject.register_forward_pre_hook(lambda *_: calls.append(1))
    additive = conventions.to_additive((DOCUMENTS & CAUSAL)[None, None])
    for attention_mask in (PADDED, additive, additive[:, 0].bool().long()):
        calls.clear()
        first = describe(attention_mask, "hf", model=subject)
        assert len(calls) <= 8
        calls.clear()
        again = describe(attention_mask, "hf", model=subject)
        assert (calls, str(again)) == ([], str(first))


def test_the_state_of_a_model_stays():
    subject = copy.deepcopy(model("BERT", hidden_dropout_prob=0.5)).train()
    subject.encoder.layer[0].eval()
    before = {name: value.clone() for name, value in subject.state_dict().items()}
    modes, seed = [module.training for module in subject.modules()], torch.random.get_rng_state()
    description = describe(PADDED, "hf", model=subject)
    assert torch.equal(description.keep, masks.padding(PADDED))
    assert all(torch.equal(value, before[name]) for name, value in subject.state_dict().items())
    assert [module.training for module in subject.modules()] == modes
    assert torch.equal(torch.random.get_rng_state(), seed)
    assert all(parameter.grad is None for parameter in subject.parameters())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_in_half_precision(dtype):
    subject = copy.deepcopy(model("Mistral")).to(dtype)
    assert torch.equal(describe(ONES, "hf", model=subject).keep[0, 0], masks.sliding_window(8, 3))
    assert to_hf(masks.sliding_window(8, 3), model=subject).dtype == dtype


def test_with_a_cache_there_are_fewer_queries_than_keys():
    with pytest.warns(UserWarning, match=r"masks.sliding_window\(2, 3, 8\)"):
        attention_mask = to_hf(masks.causal(2, 8), model=model("Mistral"))
    description = describe(attention_mask, "hf", model=model("Mistral"))
    assert torch.equal(description.keep[0, 0], masks.causal(2, 8))
    assert warnings_of(description) == ["G10"]


# --- what is not known -------------------------------------------------------------------------------


def test_a_model_that_cannot_be_run_is_not_guessed():
    import transformers

    vit = transformers.ViTModel(transformers.ViTConfig(**SIZES, image_size=16, patch_size=8)).eval()
    description = describe(PADDED, "hf", model=vit)
    assert (description.known, description.keep, description.patterns) == (False, None, [])
    assert "ViTModel takes pixel_values, not input_ids" in description.unknown
    assert "not known" in str(description)
    assert "Without model=" in str(description)
    for keep in (DOCUMENTS, masks.padding(PADDED)):
        with pytest.raises(ValueError, match=r"ViTModel takes pixel_values.*attn_implementation=…, ndim="):
            to_hf(keep, model=vit)
        assert to_hf(keep, "sdpa", model=vit, ndim=4).shape[-2:] == keep.shape[-2:]


def test_attention_that_cannot_be_seen_is_not_guessed():
    """Longformer computes it in blocks along a diagonal."""
    description = describe(PADDED, "hf", model=model("Longformer"))
    assert (description.known, description.keep) == (False, None)
    assert "computes attention in parts" in description.unknown


def test_nothing_runs_without_a_probe():
    subject, calls = copy.deepcopy(model("Llama")), []
    subject.register_forward_pre_hook(lambda *_: calls.append(1))
    description = describe(PADDED, "hf", model=subject, probe=False)
    assert (description.known, description.keep) == (False, None)
    with pytest.raises(ValueError, match="with probe=False it is not known which masks LlamaModel takes"):
        to_hf(DOCUMENTS, model=subject, probe=False)
    assert torch.equal(to_hf(DOCUMENTS, model=subject, probe=False, ndim=4), to_hf(DOCUMENTS, "sdpa"))
    assert calls == []


def test_a_form_is_what_its_values_are():
    minimum = torch.finfo(torch.float32).min
    from utils._observe import form_of

    assert form_of(PADDED) == PADDING
    assert form_of(DOCUMENTS[None, None]) == Form(4, torch.bool, (True,), False)
    assert form_of(to_hf(DOCUMENTS)) == Form(4, torch.float32, (0.0,), minimum)
    assert form_of(torch.zeros(1, 1, 2, 2)) == Form(4, torch.float32, (0.0,), minimum, hides=False)
    assert form_of(torch.tensor([[[[0.0, -100.0], [torch.nan, 0.0]]]])) == Form(4, torch.float32, (0.0,), minimum)
    assert form_of(DOCUMENTS[None, None].float()) == Form(4, torch.float32, (1.0,), 0.0)
    assert form_of(torch.tensor([[0, 0.5, 1]])) == Form(2, torch.float32, (1.0, 0.5), 0)
    assert form_of(torch.tensor([[0, 3]])) == Form(2, torch.int64, (3,), 0)


def test_a_mask_may_be_longer_than_a_model_has_positions():
    """The patterns go on; the model itself is run on what it can take."""
    ones = torch.ones(1, 60, dtype=torch.long)
    for implementation in ("eager", "sdpa"):
        short = model("CLIPText", implementation, max_position_embeddings=16)
        assert torch.equal(describe(ones, "hf", model=short).keep[0, 0], masks.causal(60))
