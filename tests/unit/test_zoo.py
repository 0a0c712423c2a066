"""Every text model class of transformers: what is said of its masks is what happens, and the table says the same."""

import json
import re
from functools import reduce

import pytest
import torch
import transformers
from packaging.version import Version

from publish import which_masks, zoo
from publish.__main__ import main
from tests.support import zoo as tried
from utils import _takes, conventions, influence

BUILT = zoo.built()
#: One of each kind, tried in `make test`; the gate tries all.
DAILY = {
    "BartForConditionalGeneration": "its mask is the encoder's, and cross-attention sees it",
    "BertModel": "bidirectional",
    "BigBirdModel": "becomes another after a short text",
    "BloomForCausalLM": "causal, and takes no 4D mask",
    "GPTNeoForCausalLM": "keeps causality and window under a 4D mask",
    "Gemma2ForCausalLM": "a window in every other layer",
    "JambaForCausalLM": "state-space layers",
    "MistralForCausalLM": "a window",
    "OPTForCausalLM": "counts positions by its mask",
    "ReformerModelWithLMHead": "not known",
}
CHUNKS = [BUILT[start::24] for start in range(24)]  # what takes long is spread over them


def expected(description):
    """(what may move a query in the end, what moves it through attention, keep): bool (length, length) each."""

    def joined(keep):
        return keep.expand(1, -1, tried.LENGTH, -1).any(dim=1)[0]

    without = "layers without attention"
    attention = [keep for names, keep in description.layers if names != without]
    if not description.layers and without not in description.read_as:
        attention = [description.keep]
    direct = reduce(torch.logical_or, map(joined, attention), torch.zeros(tried.LENGTH, tried.LENGTH).bool())
    keep = joined(description.keep)
    return influence.reach(keep[None, None], tried.LENGTH)[0], direct, keep


def mistakes(description, attention_mask, moved):
    """What a description says of a mask, and a run refutes; ``moved`` is what moved, or what the model said."""
    if isinstance(moved, str):
        if description.known and description.keep is not None:
            yield f"it is described as read, and the model says {moved}"
        return
    if not description.known:
        return
    if description.keep is None:
        yield f"it is described as refused, and the model runs: {description.warnings}"
        return
    reached, direct, keep = expected(description)
    judged = keep.any(dim=-1)
    if attention_mask.ndim == 2:
        judged &= attention_mask[0] != 0  # nobody reads what stands at a pad
    if (moved & ~reached)[judged].any():
        yield f"moves though hidden: {(moved & ~reached & judged[:, None]).nonzero().tolist()}"
    if (direct & ~moved)[judged].any():
        yield f"visible, and does not move: {(direct & ~moved & judged[:, None]).nonzero().tolist()}"
    if keep.triu(1).any() and not moved.triu(1).any():
        yield "later keys are described as visible, and none moves anything"


def moved_or_said(model, attention_mask):
    """What moved what, or what the model said instead."""
    try:
        return tried.moved(model, attention_mask)
    except Exception as error:
        return f"{type(error).__name__}: {str(error)[:80]}"


def wrong(name, implementation=None):
    """Name of a mask → what is wrong about its description, for one class."""
    model = zoo.build(name, implementation)
    masks = tried.attention_masks(model.dtype)
    before = state(model)
    descriptions = {mask: conventions.describe(masks[mask], "hf", model=model) for mask in masks}
    changed = state(model) != before
    moved = {mask: moved_or_said(model, masks[mask]) for mask in masks}
    said = {mask: list(mistakes(descriptions[mask], masks[mask], moved[mask])) for mask in masks}
    said["state"] = ["it is changed by being described"] if changed else []
    said["padding"] = list(padding_mistakes(model, masks, moved))
    return {mask: words for mask, words in said.items() if words}


def state(model):
    """Modes, settings and kinds of all modules."""
    plain = bool | int | float | str | None
    return [
        (name, type(module), {key: value for key, value in vars(module).items() if isinstance(value, plain)})
        for name, module in model.named_modules()
    ]


def padding_mistakes(model, masks, moved):
    """Whether pads reach real tokens is said of both sides: a causal layer carries on those on the left only."""
    claimed = _takes.takes(model)["padding_reaches"]
    sides = [mask for mask in ("2D padded right", "2D padded left") if not isinstance(moved[mask], str)]
    if claimed is None or not sides:
        return
    hidden = {mask: masks[mask][0] == 0 for mask in sides}
    reaches = any(bool(moved[mask][~hidden[mask]][:, hidden[mask]].any()) for mask in sides)
    if claimed != reaches:
        yield f"pads are said {'' if claimed else 'not '}to reach real tokens, and {'do' if reaches else 'do not'}"


@pytest.fixture(scope="module")
def table():
    return which_masks.read()


# --- the daily ones ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DAILY)
def test_what_is_said_of_a_class_is_what_happens(name):
    assert wrong(name) == {}


@pytest.mark.parametrize("name", DAILY)
def test_a_line_of_the_table_is_made_again(name, table, capsys):
    assert main(["which-masks", name]) == 0
    assert json.loads(capsys.readouterr().out) == {name: table["models"][name]}


def test_the_table_describes_at_least_85_of_100_classes(table):
    classes, lines = zoo.classes(), table["models"]
    assert len(classes) > 280
    assert set(lines) | set(table["left_out"]) == set(classes)
    assert len(lines) >= 0.95 * len(classes)
    known = [name for name, row in lines.items() if (row.get("sdpa") or row["eager"])["adds"] is not None]
    assert len(known) >= 0.93 * len(lines)


def test_the_table_says_what_it_was_made_with(table):
    assert Version(table["transformers"]) == Version(transformers.__version__)
    assert Version(table["torch"]) == Version(torch.__version__.split("+")[0])


def test_what_is_left_out_says_why_and_cannot_be_built():
    assert set(zoo.LEFT_OUT) <= set(zoo.classes())
    for name, reason in zoo.LEFT_OUT.items():
        with pytest.raises(ValueError, match=re.escape(f"{name} {reason}.")):
            zoo.build(name)


@pytest.mark.parametrize("family", zoo.FAMILIES)
def test_every_line_of_families_is_of_a_family_that_is_there(family):
    names = {transformers.CONFIG_MAPPING[about.family].model_type for about in zoo.classes().values()}
    configs = {getattr(transformers, name).config_class.model_type for name in BUILT}
    assert family in names | configs | set(BUILT)


def test_models_are_small_and_the_same_each_time():
    first, second = (zoo.build("MistralForCausalLM") for _ in range(2))
    state = torch.random.get_rng_state()
    zoo.build("BertModel")
    assert torch.equal(state, torch.random.get_rng_state())
    for one, other in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(one, other)
    assert sum(weight.numel() for weight in first.parameters()) < 50_000
    assert first.config.sliding_window == zoo.WINDOW


def test_an_unknown_class_is_named_with_one_that_is_near(capsys):
    assert main(["which-masks", "MistralForCausal"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("which-masks: MistralForCausal is no text model of the installed transformers; did you mean")
    assert "MistralForCausalLM" in said


# --- the values of single rows, against what is known of these models --------------------------------


@pytest.mark.parametrize(
    ("name", "facts"),
    [
        ("BertModel", {"adds": "nothing", "causal": False, "window": None, "replaces": []}),
        ("GPT2LMHeadModel", {"adds": "causality", "causal": True, "window": None, "replaces": ["causality"]}),
        ("CLIPTextModel", {"adds": "causality", "causal": True, "window": None, "replaces": ["causality"]}),
        ("MistralForCausalLM", {"causal": True, "window": 4, "replaces": ["causality", "window"]}),
        ("Gemma2ForCausalLM", {"causal": True, "window": 4, "replaces": ["causality", "window"]}),
        ("GPTNeoForCausalLM", {"causal": True, "window": 4, "replaces": []}),
        ("BloomForCausalLM", {"causal": True, "window": None, "replaces": []}),
        ("BartForConditionalGeneration", {"adds": "nothing", "causal": False, "cross": True}),
        ("T5ForConditionalGeneration", {"adds": "nothing", "causal": False, "cross": True}),
        ("FNetForMaskedLM", {"adds": "nothing, and has no attention", "causal": False, "padding_reaches": True}),
        ("RwkvForCausalLM", {"causal": True, "padding_reaches": True}),
        ("MambaForCausalLM", {"causal": True, "padding_reaches": False}),
    ],
)
def test_rows_of_well_known_models(name, facts, table):
    row = table["models"][name]
    seen = row.get("sdpa") or row["eager"]
    assert {fact: seen[fact] for fact in facts} == facts


@pytest.mark.parametrize(
    ("name", "implementation", "form", "reads"),
    [
        ("GPT2LMHeadModel", "sdpa", "4D bool", "read"),
        ("GPT2LMHeadModel", "eager", "4D bool", "ignored"),
        ("GPT2LMHeadModel", "eager", "4D additive", "read"),
        ("BloomForCausalLM", "eager", "4D additive", "refused"),
        ("DebertaV2Model", "eager", "4D additive", "refused"),
        ("RwkvForCausalLM", "eager", "2D", "ignored"),
        ("BambaForCausalLM", "sdpa", "4D additive", "partly read"),
        ("ReformerModelWithLMHead", "eager", "2D", "not known"),
        ("MistralForCausalLM", "sdpa", "3D", "refused"),
    ],
)
def test_what_becomes_of_masks_in_well_known_models(name, implementation, form, reads, table):
    assert table["models"][name][implementation]["masks"][form]["reads"] == reads


# --- all of them -------------------------------------------------------------------------------------


@pytest.mark.gate
@pytest.mark.parametrize("chunk", range(len(CHUNKS)))
def test_what_is_said_of_every_class_is_what_happens(chunk):
    assert {name: said for name in CHUNKS[chunk] if (said := wrong(name))} == {}


@pytest.mark.gate
@pytest.mark.parametrize("chunk", range(0, len(CHUNKS), 6))  # masks differ between implementations, classes hardly do
def test_what_is_said_of_eager_attention_is_what_happens(chunk):
    assert {name: said for name in CHUNKS[chunk] if (said := wrong(name, "eager"))} == {}


@pytest.mark.gate
@pytest.mark.parametrize("chunk", range(len(CHUNKS)))
def test_the_table_is_made_again(chunk, table):
    made = {name: json.loads(json.dumps(which_masks.line(name))) for name in CHUNKS[chunk]}
    assert made == {name: table["models"][name] for name in CHUNKS[chunk]}


# --- the command -------------------------------------------------------------------------------------


def test_hidden_forms_are_told_apart_in_words():
    words = _takes.in_words(_takes.takes(zoo.build("MistralForCausalLM", "eager"), 16)).splitlines()
    assert words[0] == "MistralForCausalLM (mistral, eager), tried on texts of 16 tokens"
    assert words[1].split(maxsplit=3)[3] == "causality and window of 4 keys"
    assert words[4] == "  4D additive mask  read; it replaces the model's own causality and window"
    assert words[5] == "  4D bool mask      ignored"
    assert words[6] == "  padding           with a 2D mask it reaches no real token"
