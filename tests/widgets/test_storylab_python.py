"""StoryLab in Python: what it computes and shares, its code to copy, and that a page means the same by all of it."""

import math
import re
import subprocess
import sys
from random import Random

import pytest
import torch
import traitlets

from tests.support import node, story_page, widget_page
from tests.support.widget_page import settle
from utils import masks, models
from utils.widgets import NextToken, StoryLab, _story, storylab

TEXT = "Lily had a dog and a cat. The dog chased the cat. She was afraid of the"
CATS = [7, 13]
ODD = "\u202e\"'\\ 猫 👩‍👩‍👧 \ud83d\n</script> <|endoftext|> {x}\x00"


def scribble(length, share):
    """A mask that no rule makes."""
    random = torch.Generator().manual_seed(length)
    return masks.causal(length) ^ (torch.rand(length, length, generator=random) < share)


#: Name → what a lab is made with: every preset, and what goes with it. Python, page and code are held against it.
CASES = {
    "causal": {},
    "hidden words": {"hidden": CATS},
    "window": {"preset": "window"},
    "window of one": {"preset": "window", "parameters": {"window": 1}},
    "left padding": {"preset": "left_padding", "hidden": [0]},
    "left padding without position_ids": {"preset": "left_padding", "parameters": {"position_ids": False, "pads": 9}},
    "left padding with −inf": {"preset": "left_padding", "fill": "-inf"},
    "left padding that is seen": {"preset": "left_padding", "parameters": {"attention_mask": False, "pads": 8}},
    "right padding that is seen": {
        "preset": "right_padding",
        "parameters": {"attention_mask": False, "position_ids": False},
        "hidden": [2],
    },
    "right padding": {"preset": "right_padding"},
    "right padding without position_ids": {"preset": "right_padding", "parameters": {"position_ids": False}},
    "right padding read at the word": {"preset": "right_padding", "read_at": "word", "hidden": CATS},
    "no mask": {"preset": "none", "fill": "-inf", "hidden": [3]},
    "upside down": {"preset": "upside_down"},
    "upside down with −inf": {"preset": "upside_down", "fill": "-inf"},
    "one head": {"preset": "window", "only_head": 2},
    "one head upside down": {"preset": "upside_down", "only_head": 0, "fill": "-inf", "hidden": [1]},
    "drawn": {"text": "One day, a big bear", "keep": scribble(6, 0.3)},
    "drawn with an empty row": {
        "text": "One day, a big bear",
        "keep": masks.causal(6) & (torch.arange(6) != 0)[:, None],
    },
    "drawn here and there": {"keep": scribble(20, 0.1)},
    "drawn all over": {"keep": scribble(20, 0.5), "only_head": 4},
    "drawn before pads": {"keep": scribble(24, 0.4), "parameters": {"side": "right"}, "read_at": "word"},
    "drawn behind pads": {"keep": scribble(24, 0.02), "parameters": {"side": "left"}},
    "no text": {"text": "", "preset": "left_padding"},
    "odd text": {"text": ODD, "preset": "right_padding", "parameters": {"pads": 1}},
    "long text": {
        "text": "Once upon a time there was a small cat. " * 60,
        "preset": "left_padding",
        "hidden": [5, 100],
    },
}
#: What eager GPT-2 could not do before transformers 5: see what has not been yet.
SEES_THE_FUTURE = ("no mask", "upside down", "one head upside", "drawn")
every_case = pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=pytest.mark.transformers_5 if n.startswith(SEES_THE_FUTURE) else ()) for n in CASES],
)


def lab_of(name):
    return StoryLab(**{"text": TEXT, **CASES[name]})


@pytest.fixture(scope="module")
def story():
    return models.load("story-gpt2", attn_implementation="eager")


def close(some, others):
    """Whether two lists of next tokens say the same, but for rounding."""
    return [row.token for row in some] == [row.token for row in others] and torch.allclose(
        torch.tensor([row[1:] for row in some]), torch.tensor([row[1:] for row in others]), atol=1e-4, equal_nan=True
    )


# --- what it computes --------------------------------------------------------------------------------


@torch.no_grad()
def probabilities_of(story, lab, row=-1):
    """The next token's, by a forward pass of its own, with a keep for each head."""
    model, tokenizer = story
    ids = tokenizer(lab.text).input_ids
    keeps = lab.keep.repeat(model.config.n_head, 1, 1)
    if lab.only_head is not None:
        keeps = masks.causal(len(ids)).repeat(model.config.n_head, 1, 1)
        keeps[lab.only_head] = lab.keep
    lowest = torch.finfo(torch.float32).min if lab.fill == "min" else -math.inf
    bias = torch.zeros(keeps.shape).masked_fill(~keeps, lowest)[None]
    return model(torch.tensor([ids]), attention_mask=bias).logits[0, row].softmax(-1)


@pytest.mark.transformers_5
@pytest.mark.parametrize("name", ["hidden words", "window", "no mask", "one head upside down", "drawn all over"])
def test_next_tokens_are_the_likeliest_with_this_mask_and_as_trained(name, story):
    lab, (_, tokenizer) = lab_of(name), story
    masked, trained = probabilities_of(story, lab), probabilities_of(story, StoryLab(lab.text))
    wanted = {int(i) for side in (masked, trained) if not side.isnan().any() for i in side.topk(5).indices}
    rows = [NextToken(tokenizer.decode([i]), masked[i].item(), trained[i].item()) for i in wanted]
    key = (lambda row: -row.as_trained) if masked.isnan().any() else (lambda row: -row.probability)
    assert close(lab.next_tokens, sorted(rows, key=key))


def test_hiding_what_was_said_twice_makes_it_unlikely():
    as_it_was, hidden = ({row.token: row for row in StoryLab(hidden=words).next_tokens} for words in ((), CATS))
    assert as_it_was[" cat"].probability == as_it_was[" cat"].as_trained > 0.3
    assert hidden[" cat"].probability < 0.02
    assert hidden[" cat"].as_trained == as_it_was[" cat"].as_trained


@torch.no_grad()
@pytest.mark.parametrize("side", ["left", pytest.param("right", marks=pytest.mark.transformers_5)])
def test_padding_is_what_generate_makes_of_a_padded_batch(side, story):
    """Positions, too: those of pads were 1 before transformers 5, and are read with right padding only."""
    model, tokenizer = story
    words = tokenizer(TEXT).input_ids
    pads, real = [tokenizer.pad_token_id] * 5, [1] * len(words)
    ids, real = (pads + words, [0] * 5 + real) if side == "left" else (words + pads, real + [0] * 5)
    told = model.generate(
        torch.tensor([ids]),
        attention_mask=torch.tensor([real]),
        max_new_tokens=1,
        do_sample=False,
        output_logits=True,
        return_dict_in_generate=True,
        pad_token_id=tokenizer.pad_token_id,
    )
    probabilities = told.logits[0][0].softmax(-1)
    lab = StoryLab(TEXT, preset=f"{side}_padding", parameters={"pads": 5})
    for token, probability, _ in lab.next_tokens:
        assert probability == pytest.approx(probabilities[tokenizer(token).input_ids[0]].item(), abs=1e-4)
    changed = max(abs(row.probability - row.as_trained) for row in lab.next_tokens)
    assert (changed < 1e-4) if side == "left" else (changed > 0.3)


def test_what_cannot_be_read_is_nan_and_last():
    lab = StoryLab(TEXT, preset="upside_down", fill="-inf")
    assert all(math.isnan(row.probability) for row in lab.next_tokens)
    assert [row.token for row in lab.next_tokens][:2] == [" dog", " cat"], "the likeliest as trained"
    assert [row[1] for row in lab.get_state()["next_tokens"]] == [None] * 5, "JSON has no NaN"


def test_tokens_that_were_never_trained_count_as_one():
    assert int(_story._distinct().sum()) == 7016 + 1
    untrained = ~_story._distinct()
    twin = int(untrained.nonzero()[0])
    probabilities = torch.full((50257,), 1e-6, dtype=torch.float64)
    probabilities[[3290, 3797]] = torch.tensor([0.2, 0.3], dtype=torch.float64)
    probabilities[untrained] = 1e-5
    weight = _story.loaded()[0].transformer.wte.weight
    (shared,) = (n for n in range(twin) if torch.equal(weight[n], weight[twin]))
    probabilities[shared] = 1e-5
    assert _story.likeliest(probabilities)[:3] == [3797, 3290, shared]
    assert not untrained[_story.likeliest(probabilities)].any()


# --- what follows from what --------------------------------------------------------------------------


def heard(lab, *names):
    """What observers are told, by the name of a trait."""
    told = {}
    lab.observe(lambda change: told.update({change.name: change.new}), list(names))
    return told


def test_text_and_keep_are_set_and_next_tokens_follow():
    lab = StoryLab(TEXT, preset="window", hidden=[1])
    told = heard(lab, "keep", "next_tokens", "preset", "hidden")
    lab.text = "One day, a big bear"
    assert (lab.preset, lab.hidden) == ("window", [])
    assert torch.equal(told["keep"], masks.sliding_window(6, 3))
    assert close(told["next_tokens"], StoryLab("One day, a big bear", preset="window").next_tokens)
    told.clear()
    lab.keep = scribble(6, 0.3)
    assert told["preset"] == "drawn"
    assert torch.equal(lab.keep, scribble(6, 0.3))
    assert close(told["next_tokens"], lab_of("drawn").next_tokens)
    lab.text = "One day"
    assert lab.preset == "causal", "nothing is left of what was drawn"
    assert torch.equal(lab.keep, masks.causal(2))


def test_an_observer_of_the_mask_sees_the_next_word_that_goes_with_it():
    lab, seen = StoryLab(TEXT), []
    lab.observe(lambda change: seen.append(lab.next_tokens[0].token), "keep")
    lab.preset = "window"
    assert seen == [" trees"]


def test_a_side_that_no_mask_uses_adds_no_pads_to_what_is_drawn():
    lab = StoryLab("One day, a big bear")
    lab.set_state({"parameters": lab.parameters | {"side": "left"}})
    lab.keep = scribble(6, 0.3)
    assert (lab.preset, lab.parameters["side"], len(lab.tokens)) == ("drawn", "", 6)
    assert torch.equal(lab.keep, scribble(6, 0.3))


@pytest.mark.parametrize("name", ["keep", "next_tokens", "preset"])
@pytest.mark.parametrize("from_page", [False, True])
def test_what_an_observer_changes_is_followed_too(name, from_page):
    lab = StoryLab("One day, a big bear")
    lab.observe(lambda change: setattr(lab, "hidden", [2]), name)
    if from_page:
        keep = memoryview(masks.full(6).to(torch.uint8).numpy().tobytes())
        lab.set_state({"preset": "none", "keep_bytes": keep, "next_tokens": [["x", 0.25, 0.25]]})
    else:
        lab.preset = "none"
    made = StoryLab(lab.text, preset="none", hidden=[2])
    assert torch.equal(lab.keep, made.keep)
    assert close(lab.next_tokens, made.next_tokens)


def test_a_hidden_word_that_pads_push_out_of_the_text_is_hidden_no_more():
    lab = StoryLab("a cat " * 70, hidden=[0, 127])
    lab.preset = "left_padding"
    made = StoryLab(lab.text, preset="left_padding", hidden=[0])
    assert torch.equal(lab.keep, made.keep)
    assert lab.picture().alt == made.picture().alt
    asked = {name: getattr(lab, name) for name in ("text", "preset", "parameters", "hidden", "fill")}
    (code,) = node.evaluate("storylab/as_code.js", CODE, [{**asked, "keep": list(lab.keep_bytes), "onlyHead": None}])
    assert "keep[:, [4]] = False" in code


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("preset", "none"),
        ("parameters", {"window": 2}),
        ("hidden", CATS),
        ("fill", "-inf"),
        ("only_head", 3),
        ("read_at", "word"),
    ],
)
def test_whatever_is_set_is_as_if_the_lab_was_made_with_it(name, value):
    start = {"preset": "right_padding" if name == "read_at" else "left_padding"} if name != "parameters" else {}
    start |= {"preset": "window"} if name == "parameters" else {}
    lab, made = StoryLab(TEXT, **start), StoryLab(TEXT, **(start | {name: value}))
    before = lab.next_tokens
    setattr(lab, name, value)
    assert close(lab.next_tokens, made.next_tokens)
    assert not close(lab.next_tokens, before)
    assert torch.equal(lab.keep, made.keep)
    assert lab.parameters == made.parameters


@pytest.mark.parametrize("name", ["causal", "hidden words", "window", "no mask", "upside down", "right padding"])
def test_a_mask_that_a_preset_makes_gets_its_name(name):
    made = lab_of(name)
    lab = StoryLab(TEXT, preset="right_padding" if "pad" in made.tokens else "window", parameters={"window": 9})
    lab.keep = made.keep
    assert (lab.preset, lab.hidden) == (made.preset, made.hidden)
    assert made.preset != "window" or lab.parameters["window"] == 3
    assert torch.equal(lab.keep, made.keep)


def test_drawing_on_a_padded_map_leaves_the_pads():
    lab = StoryLab(TEXT, preset="left_padding")
    keep = lab.keep
    keep[10, 6] = False
    lab.keep = keep
    assert (lab.preset, lab.parameters["side"], len(lab.keep), lab.tokens[:4]) == ("drawn", "left", 24, ["pad"] * 4)
    assert torch.equal(lab.keep, keep)
    lab.hidden = [2]
    assert not lab.keep[:, 6].any()
    lab.hidden = []
    assert torch.equal(lab.keep[:, 6], torch.arange(24) >= 6), "seen again, as a causal mask has it"
    lab.parameters = {"pads": 2, "side": "left"}
    assert (lab.preset, len(lab.keep)) == ("left_padding", 22), "a mask that was drawn for other pads does not fit"


def test_a_long_text_is_cut_and_none_is_the_start_of_a_story():
    assert len(lab_of("long text").keep) == _story.LONGEST
    lab = StoryLab("")
    assert (lab.tokens, lab.next_tokens[0].token) == (["<|endoftext|>"], " upon")
    assert StoryLab("half a pair \ud83d").text == "half a pair \ufffd"


@pytest.mark.parametrize(
    ("wrong", "error", "says"),
    [
        ({"text": 3}, TypeError, "text: got 3, wanted a string"),
        ({"preset": "sliding"}, ValueError, "preset: got 'sliding', wanted one of 'causal', 'window'"),
        ({"preset": "drawn"}, ValueError, "preset: got 'drawn' without a mask; wanted keep, too"),
        ({"hidden": [99]}, ValueError, r"hidden\[0\]: got 99, wanted 0 to 19: the text has 20 tokens"),
        ({"hidden": [0, True]}, TypeError, r"hidden\[1\]: got True, wanted an int from 0 to 19"),
        ({"hidden": "cat"}, TypeError, "hidden: got 'cat', wanted a list of ints from 0 to 19"),
        ({"keep": torch.ones(3, 3)}, TypeError, "keep: got a float32 tensor .* wanted a bool tensor"),
        ({"keep": masks.causal(3)}, ValueError, r"keep: got a bool tensor .* that broadcasts to \(20, 20\)"),
        ({"keep": masks.causal(20), "preset": "window"}, ValueError, "keep: got .* beside the preset 'window'"),
        ({"keep": masks.causal(20), "hidden": [1]}, ValueError, "keep: got .* beside hidden tokens; wanted one"),
        ({"parameters": [3]}, TypeError, "parameters: got a list, wanted a dict of 'window', 'pads'"),
        ({"parameters": {"windows": 3}}, ValueError, "parameters: got 'windows', wanted 'window', 'pads'"),
        ({"parameters": {"window": 0}}, ValueError, r"parameters\['window'\]: got 0, wanted an int of at least 1"),
        ({"parameters": {"window": 10**20}}, ValueError, r"parameters\['window'\]: got 10+, wanted 1 to 128"),
        ({"parameters": {"pads": 17}}, ValueError, r"parameters\['pads'\]: got 17, wanted 1 to 16"),
        ({"parameters": {"position_ids": 1}}, ValueError, r"parameters\['position_ids'\]: got 1, wanted one of True"),
        ({"fill": "-1e9"}, ValueError, "fill: got '-1e9', wanted one of 'min', '-inf'"),
        ({"read_at": "start"}, ValueError, "read_at: got 'start', wanted one of 'end', 'word'"),
        ({"only_head": 5}, ValueError, "only_head: got 5, wanted 0 to 4"),
        ({"only_head": True}, TypeError, "only_head: got True, wanted an int from 0 to 4"),
        ({"layer": 8}, ValueError, "layer: got 8, wanted 0 to 7"),
        ({"seed": True}, TypeError, "seed: got True, wanted an int of at least 0"),
        ({"seed": 2**32}, ValueError, "seed: got 4294967296, wanted 0 to 4294967295"),
        ({"alt": 3}, TypeError, "alt: got 3, wanted a string"),
        ({"head": -1}, ValueError, "head: got -1, wanted 0 to 4"),
    ],
)
def test_what_makes_no_sense_is_named(wrong, error, says):
    with pytest.raises(error, match=says):
        StoryLab(**{"text": TEXT, **wrong})


@pytest.mark.parametrize(("name", "value"), [("keep", masks.causal(3)), ("hidden", [20]), ("parameters", {"pads": 0})])
def test_what_is_refused_later_changes_nothing(name, value):
    lab = StoryLab(TEXT, preset="window")
    state = lab.get_state()
    with pytest.raises(ValueError, match=name):
        setattr(lab, name, value)
    assert lab.get_state() == state


def test_bytes_that_are_no_mask_of_this_text_are_refused_by_name():
    lab = StoryLab("One day, a big bear")
    state = lab.get_state()
    for wrong in (b"", b"123", bytes(25)):
        with pytest.raises(ValueError, match=rf"keep_bytes: got {len(wrong)} bytes, wanted 36, .* 6 × 6 cells"):
            lab.keep_bytes = wrong
    assert lab.get_state() == state
    lab.keep_bytes = bytes([0, 9] * 18)
    assert lab.keep_bytes == bytes([0, 1] * 18)


def test_the_masks_of_two_labs_can_be_linked():
    """By their bytes: traitlets.link asks whether values differ, which a tensor answers for each cell."""
    one, other = StoryLab("One day, a big bear"), StoryLab("One day, a big bear")
    traitlets.link((one, "keep_bytes"), (other, "keep_bytes"))
    one.keep = masks.full(6)
    assert (other.preset, other.next_tokens) == ("none", one.next_tokens)
    other.keep = scribble(6, 0.3)
    assert torch.equal(one.keep, scribble(6, 0.3))
    copied = StoryLab(one.text)
    traitlets.dlink((one, "keep"), (copied, "keep"))
    one.preset = "window"
    assert copied.preset == "window"


@pytest.mark.parametrize("second", [{"hidden": [1, 3]}, {"keep": masks.full(4)}, {"keep": scribble(4, 0.4)}])
def test_what_is_set_together_with_a_text_belongs_to_that_text(second):
    lab = StoryLab("Lily")
    with lab.hold_trait_notifications():
        lab.text = "Once upon a time"
        for name, value in second.items():
            setattr(lab, name, value)
    made = StoryLab(lab.text, **second)
    assert torch.equal(lab.keep, made.keep)
    assert (lab.preset, lab.hidden, lab.next_tokens) == (made.preset, made.hidden, made.next_tokens)


def test_whoever_sets_parameters_when_they_change_is_answered_once():
    lab = StoryLab(preset="left_padding")
    lab.observe(lambda change: lab.set_trait("parameters", {"pads": 2}), "parameters")
    lab.parameters = {"pads": 7}
    assert (lab.parameters["pads"], lab.parameters["side"], lab.tokens.count("pad")) == (2, "left", 2)


def test_next_tokens_cannot_be_set():
    with pytest.raises(traitlets.TraitError, match="read-only"):
        StoryLab(TEXT).next_tokens = []


# --- a page at the other end -------------------------------------------------------------------------


def test_what_a_page_says_is_taken_as_it_is():
    lab = StoryLab(TEXT)
    told = heard(lab, "keep", "next_tokens", "hidden")
    keep = masks.causal(20)
    keep[:, 4] = False
    rows = [[" dog", 0.25, 0.56], [" cat", None, 0.3]]
    lab.set_state({"hidden": [4], "keep_bytes": memoryview(keep.numpy().tobytes()), "next_tokens": rows})
    assert torch.equal(told["keep"], keep)
    assert told["hidden"] == [4]
    assert lab.next_tokens[0] == NextToken(" dog", 0.25, 0.56)
    assert math.isnan(told["next_tokens"][1].probability)


@pytest.mark.parametrize("said", [{"text": "Once upon a time"}, {"preset": "none"}, {"fill": "-inf"}, {"hidden": [5]}])
def test_what_a_page_says_without_what_follows_is_followed_here(said):
    """As jslink does, which sets one trait and knows nothing of the others."""
    lab = StoryLab("One day, a big bear", preset="upside_down")
    lab.set_state(said)
    made = StoryLab(**{"text": lab.text, "preset": "upside_down", **said})
    assert torch.equal(lab.keep, made.keep)
    assert close(lab.next_tokens, made.next_tokens)


def test_a_page_may_hide_a_word_beside_one_that_pads_have_pushed_out():
    lab = StoryLab("a cat " * 70, hidden=[127])
    lab.preset = "left_padding"
    made = StoryLab(lab.text, preset="left_padding", hidden=[5])
    rows = lab.get_state()["next_tokens"]
    lab.set_state({"hidden": [5, 127], "keep_bytes": memoryview(made.keep_bytes), "next_tokens": rows})
    assert (lab.hidden, lab.keep_bytes) == ([5, 127], made.keep_bytes)


def test_the_last_digits_of_a_page_are_no_news():
    lab = StoryLab(TEXT)
    told = heard(lab, "next_tokens")
    rows = [[row.token, row.probability + 1e-6, row.as_trained - 1e-6] for row in lab.next_tokens]
    lab.set_state({"next_tokens": rows})
    assert told == {}
    rows[0][1] += 0.01
    lab.set_state({"next_tokens": rows})
    assert told["next_tokens"][0].probability == rows[0][1]


def test_a_page_that_asks_gets_the_model_in_one_message(monkeypatch):
    lab, sent = StoryLab(TEXT), []
    monkeypatch.setattr(lab, "send", lambda content, buffers=None: sent.append((content, buffers)))
    lab._handle_custom_msg({"ask": "story-gpt2"}, [])
    assert sent == [({"answer": "story-gpt2"}, [storylab.story_file()])]
    lab._handle_custom_msg({"ask": "something else"}, [])
    assert len(sent) == 1


def test_a_page_is_told_why_it_gets_no_model(monkeypatch):
    lab, sent = StoryLab(TEXT), []

    def damaged():
        raise models.ModelDamaged("story-gpt2 is\n not as it came")

    monkeypatch.setattr(storylab, "story_file", damaged)
    monkeypatch.setattr(lab, "send", lambda content, buffers=None: sent.append((content, buffers)))
    lab._handle_custom_msg({"ask": "story-gpt2"}, [])
    assert sent == [({"answer": "story-gpt2", "error": "story-gpt2 is not as it came"}, None)]


def test_nothing_of_the_model_is_in_the_state():
    state = StoryLab(TEXT).get_state()
    assert sum(len(str(value)) for name, value in state.items() if not name.startswith("_")) < 3000
    assert len(state["_esm"]) < 250_000


def test_no_model_is_loaded_before_a_lab_is_made():
    code = "import sys\nfrom utils.widgets import NextToken, StoryLab\nprint('transformers' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_where_the_model_is_damaged_the_error_says_so(monkeypatch):
    def load(*_, **__):
        raise models.ModelDamaged("story-gpt2: model.safetensors was changed")

    _story.loaded.cache_clear()
    _story.read.cache_clear()
    monkeypatch.setattr(models, "load", load)
    with pytest.raises(models.ModelDamaged, match="was changed"):
        StoryLab(TEXT)


# --- the picture -------------------------------------------------------------------------------------


def test_the_picture_says_what_comes_next_with_and_without_the_mask():
    lab = StoryLab(TEXT, hidden=CATS, layer=3, head=2)
    alt = lab.picture().alt
    for words in (
        "after “…dog and a cat. The dog chased the cat. She was afraid of the”",
        "as trained, the likeliest next word is “dog”, 56 %; with this mask it is “dog”, 37 %",
        "no query sees “cat” (7), no query sees “cat” (13)",
        "layer 3, head 2",
    ):
        assert words in alt
    assert [axes.get_title() for axes in lab.picture().figure.axes[:2]] == [
        "as trained\nnext word: “dog”, 56 %",
        "with this mask\nnext word: “dog”, 37 %",
    ]
    data, metadata = lab._repr_mimebundle_()
    assert metadata["image/png"]["alt"] == alt
    assert len(data["image/png"]) + len(data["text/html"]) < 150_000


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("causal", "with this mask nothing changes. The mask: causal."),
        ("left padding", "The mask: 4 pads before the text, which are hidden, no query sees “L” (0)."),
        ("upside down with −inf", "with this mask every probability is NaN. The mask: upside down"),
        ("one head", "The mask: each token sees 3 tokens, itself among them, for head 2 of every layer only."),
        ("odd text", "pads after the text"),
        ("no text", "as trained, the likeliest next word is “upon”"),
    ],
)
def test_every_lab_has_a_picture_with_a_finding(name, says):
    lab = lab_of(name)
    assert says in lab.picture().alt
    assert StoryLab(TEXT, alt="My own.").picture().alt == "My own."
    assert lab._repr_mimebundle_()[1]["image/png"]["width"] < 1300


def test_the_picture_is_of_the_head_that_is_shown():
    """Beside it the hatched cells, which are causal for a head that does not have the mask."""
    lab = StoryLab("One day, a big bear", preset="none", only_head=1, layer=7, head=1)
    masked, causal = lab._masked().maps[7], masks.causal(6)
    assert bool((masked[1][~causal] > 0).any())
    assert not bool((masked[0][~causal] > 0).any())
    hatched = [len(axes.patches) for axes in lab.picture().figure.axes[:2]]
    lab.head = 0
    assert (hatched, [len(axes.patches) for axes in lab.picture().figure.axes[:2]]) == ([15, 0], [15, 15])


# --- the page means the same -------------------------------------------------------------------------

MEANING = """(cases) => cases.map(({ ids, eos, preset, parameters, hidden, keep, read_at }) => {
  const all = module.storyParameters(parameters);
  const sequence = module.storySequence(ids, preset, all, eos);
  const cells = new Uint8Array(keep);
  const made = preset === "drawn" ? cells : module.storyKeep(sequence, preset, all, hidden);
  return {
    ids: sequence.ids,
    keep: Array.from(made),
    positions: module.storyPositions(sequence, all),
    row: module.storyRow(sequence, read_at),
    named: module.recogniseStory(cells, sequence, preset, all),
  };
})"""


def test_every_setting_means_the_same_in_the_page(story):
    _, tokenizer = story
    labs = [lab_of(name) for name in CASES]
    asked = [
        {
            "ids": tokenizer(lab.text, verbose=False).input_ids,
            "eos": tokenizer.eos_token_id,
            "keep": list(lab.keep_bytes),
            **{name: getattr(lab, name) for name in ("preset", "parameters", "hidden", "read_at")},
        }
        for lab in labs
    ]
    for name, lab, said in zip(CASES, labs, node.evaluate(StoryLab, MEANING, asked), strict=True):
        prompt = lab._prompt()
        row = prompt.words[-1] if lab.read_at == "word" else len(prompt.ids) - 1
        assert said == {
            "ids": list(prompt.ids),
            "keep": list(lab.keep_bytes),
            "positions": _story.positions_of(prompt, lab.parameters["position_ids"]),
            "row": row,
            "named": dict(
                zip(
                    ("preset", "parameters", "hidden"),
                    _story.recognise(lab.keep, prompt, lab.preset, lab.parameters),
                    strict=True,
                )
            ),
        }, name


def percent(text):
    return math.nan if text == "NaN" else float(re.sub("[<% ]", "", text)) / 100


def test_the_page_computes_the_same_next_words(open_widget):
    """All cases in one page: Python's settings arrive, and its table shows Python's numbers."""
    page = open_widget(StoryLab(TEXT))
    page.wait_for_function("document.querySelector('.storylab') && !document.querySelector('.masks-waiting')")
    for name in CASES:
        lab = lab_of(name)
        state = lab.get_state()
        traits = ("text", "preset", "parameters", "hidden", "fill", "only_head", "read_at")
        page.evaluate(
            "([traits, keep]) => { const keep_bytes = new DataView(new Uint8Array(keep).buffer);"
            "for (const [name, value] of Object.entries({ ...traits, keep_bytes })) window.model.set(name, value); }",
            [{trait: state[trait] for trait in traits}, list(lab.keep_bytes)],
        )
        settle(page)
        rows = page.locator(".storylab-next tbody tr").evaluate_all(
            "rows => rows.map((row) => [...row.children].map((cell) => cell.textContent))"
        )
        assert len(rows) == len(lab.next_tokens), name
        for (_, now, trained), (_, probability, as_trained) in zip(rows, lab.next_tokens, strict=True):
            assert percent(now) == pytest.approx(probability, abs=0.006, nan_ok=True), name
            assert percent(trained) == pytest.approx(as_trained, abs=0.006), name


SETTINGS = ("text", "preset", "parameters", "hidden", "fill", "only_head", "read_at")
#: What a person does, with the page's own controls.
DO = """([what, value]) => {
  const lab = document.querySelector(".storylab");
  const change = (control, name, value) => {
    control[name] = value;
    control.dispatchEvent(new Event(control.tagName === "TEXTAREA" ? "input" : "change", { bubbles: true }));
  };
  const labelled = (label) => [...lab.querySelectorAll("label")].find((each) => each.textContent.startsWith(label));
  const control = (label) => labelled(label).querySelector("input, select, textarea");
  if (what === "Word") lab.querySelectorAll(".storylab-chip[aria-pressed]")[value].click();
  else change(control(what), typeof value === "boolean" ? "checked" : "value", value);
}"""
#: The same in Python: the label of a control → what it sets.
SAID = {
    "Text": lambda lab, value: {"text": value},
    "Mask": lambda lab, value: {"read_at": "end", "preset": value},
    "Word": lambda lab, value: {"hidden": sorted({*lab.hidden} ^ {value})},
    "Heads": lambda lab, value: {"only_head": int(value) if value else None},
    "Hidden scores": lambda lab, value: {"fill": value},
    "Read at": lambda lab, value: {"read_at": value},
    **{
        name: lambda lab, value, name=name: {"parameters": lab.parameters | {name: value}}
        for name in ("window", "pads", "attention_mask", "position_ids")
    },
}
SEQUENCES = 12
TEXTS = (TEXT, "", "Once upon", "a\n\nb <|endoftext|> 👩‍👩‍👧 שלום", "Tom found a red ball. " * 30)


def something_to_do(random, lab):
    """A control that is there, and what it may be set to."""
    do = {
        "Text": TEXTS,
        "Mask": _story.PRESETS[:-1],
        "Word": range(len(lab._prompt().words)),
        "Heads": ("", "0", "4"),
        "Hidden scores": _story.FILLS,
    }
    if lab.preset == "window":
        do["window"] = (1, 2, 9, 128)
    elif lab.preset in _story.SIDES:
        do |= {"pads": (1, 5, 16), "attention_mask": (True, False), "position_ids": (True, False)}
        if lab.preset == "right_padding":
            do["Read at"] = ("end", "word")
    what = random.choice(list(do))
    return what, random.choice(do[what])


@pytest.mark.gate
@pytest.mark.transformers_5
def test_whatever_is_done_in_a_page_and_in_python_ends_alike(page, tmp_path, story):
    """Three of them: the page, a lab that is set as the page is, and a lab that hears what the page says."""
    random, (_, tokenizer) = Random(20), story
    hears = StoryLab(TEXT)
    page.goto(story_page.write(tmp_path / "page.html", hears))
    story_page.ready(page)
    for _ in range(SEQUENCES):
        lab, done = StoryLab(TEXT), []
        story_page.begin(page, parameters=lab.parameters)
        for _ in range(random.randint(1, 8)):
            what, value = something_to_do(random, lab)
            done.append((what, value))
            page.evaluate(DO, [what, value])
            for name, new in SAID[what](lab, value).items():
                setattr(lab, name, new)
            settle(page)
            said = page.evaluate(
                "(names) => Object.fromEntries(names.map((name) => [name, model.get(name)]))", SETTINGS
            )
            if what == "Text":  # words that stay in it stay hidden in a page, which sees how a text is typed
                lab.hidden = said["hidden"]
        widget_page.until(page, "() => !document.querySelector('[data-untold]')")
        keep, rows = page.evaluate("bytes('keep_bytes')"), story_page.next_tokens(page)
        hears.set_state({**said, "keep_bytes": memoryview(bytes(keep)), "next_tokens": rows})
        assert said == {name: getattr(lab, name) for name in SETTINGS}, done
        assert keep == list(lab.keep_bytes) == list(hears.keep_bytes), done
        assert close(hears.next_tokens, hears._next_tokens()), done
        assert close(hears.next_tokens, lab.next_tokens), done
        ids = tokenizer(lab.text, verbose=False).input_ids
        asked = {**said, "ids": ids, "eos": tokenizer.eos_token_id, "keep": keep}
        (meant,) = page.evaluate(f"(cases) => ({MEANING})(cases)", [asked])
        assert meant["positions"] == _story.positions_of(lab._prompt(), lab.parameters["position_ids"]), done


# --- as code -----------------------------------------------------------------------------------------

CODE = """(cases) => cases.map(({ keep, ...state }) => module.toStoryCode({ ...state, keep: new Uint8Array(keep) }))"""


@pytest.fixture(scope="module")
def codes():
    """Name of a case → its code."""
    labs = {name: lab_of(name) for name in CASES}
    asked = [
        {
            "keep": list(lab.keep_bytes),
            "onlyHead": lab.only_head,
            "readAt": lab.read_at,
            **{name: getattr(lab, name) for name in ("text", "preset", "parameters", "hidden", "fill")},
        }
        for lab in labs.values()
    ]
    return dict(zip(labs, node.evaluate("storylab/as_code.js", CODE, asked), strict=True))


@every_case
def test_code_gives_the_same_next_tokens(name, codes, story, monkeypatch, capsys):
    """With the model that is loaded already; loading it is what every one of them begins with."""
    assert 'models.load("story-gpt2", attn_implementation="eager")' in codes[name]
    monkeypatch.setattr(models, "load", lambda *_, **__: story)
    names = {}
    exec(compile(codes[name], name, "exec"), names)
    lab = lab_of(name)
    assert names["text"] == lab.text
    assert torch.equal(names["keep"], lab.keep)
    wanted = [row for row in lab.next_tokens if not math.isnan(row.probability)][:5]
    tokenizer = story[1]
    told = [
        (tokenizer.decode(i), p) for p, i in zip(*(x.tolist() for x in names["probabilities"].topk(5)), strict=True)
    ]
    printed = capsys.readouterr().out.splitlines()
    if wanted:
        assert [token for token, _ in told] == [row.token for row in wanted]
        assert [p for _, p in told] == pytest.approx([row.probability for row in wanted], abs=1e-4)
        assert printed[0] == f"{told[0][1]:.1%} {told[0][0]!r}"
    else:
        assert bool(names["probabilities"].isnan().all())
        assert printed[0].startswith("nan%")


def test_code_is_short_and_what_is_drawn_stays_compact(codes):
    assert len(codes["causal"].splitlines()) < 18
    assert len(codes["drawn all over"].splitlines()) < 28
    assert "for query, keys in {  # the cells that are not as in a causal mask" in codes["drawn here and there"]
    assert "    [0, 0, 0, 0, 0, 0],\n" in codes["drawn with an empty row"]
    assert max(len(line) for name, code in codes.items() for line in code.splitlines() if name != "long text") < 121


def test_code_writes_what_cannot_be_seen_by_its_number(codes):
    line = next(line for line in codes["odd text"].splitlines() if line.startswith("text = "))
    assert "\\u202e" in line
    assert line.isprintable()


def test_code_of_one_head_leaves_the_others_causal(codes):
    assert "heads = (k <= q).repeat(model.config.n_head, 1, 1)" in codes["one head"]
    assert "heads[2] = keep" in codes["one head"]
