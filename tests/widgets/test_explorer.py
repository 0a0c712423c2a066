"""Explorer: a real model, a sentence typed by somebody, a mask drawn by somebody, and whatever goes wrong."""

import copy
import json
import re
from collections import Counter
from types import SimpleNamespace

import ipywidgets
import pytest
import torch

from tests.support import tiny
from utils import conventions, masks, models
from utils.widgets import Explorer, explorer

SENTENCE = "Rain is coming."


@pytest.fixture(scope="module")
def plain():
    return Explorer(SENTENCE, pads=2)


def real_weights(input_ids, keep=None):
    model, _ = models.load("minilm-bert", attn_implementation="eager")
    options = {} if keep is None else {"attention_mask": conventions.to_hf(keep, model=model)}
    with torch.no_grad():
        return model(input_ids, output_attentions=True, **options)


def ids_of(sentence, pads=0):
    _, tokenizer = models.load("minilm-bert")
    return torch.tensor([tokenizer(sentence).input_ids + [tokenizer.pad_token_id] * pads])


def test_it_starts_with_the_real_model_on_the_real_sentence():
    shown = Explorer(SENTENCE, pads=2)
    assert shown.lab.query_tokens == ["[CLS]", "rain", "is", "coming", ".", "[SEP]", "[PAD]", "[PAD]"]
    wanted = torch.cat(real_weights(ids_of(SENTENCE, 2)).attentions)
    assert torch.allclose(shown.grid.before, wanted, atol=1e-6)
    assert torch.equal(shown.grid.after, shown.grid.before)
    assert torch.allclose(shown.lab.scores.softmax(-1), wanted[0], atol=1e-6)
    assert shown.message == "With this mask the output of every token is the same as without."
    assert shown.children[3:] == (shown.lab, shown._between, shown.grid)
    assert shown.lab.fill == "min", "as the model itself hides"


def test_its_scores_are_those_of_the_model(monkeypatch):
    """Of a head of BERT by hand: query · key / √d. A model that hands none out shows logarithms of its weights."""
    model, _ = models.load("minilm-bert", attn_implementation="eager")
    shown, own = Explorer(SENTENCE), model.encoder.layer[0].attention.self
    with torch.no_grad():
        embedded = model.embeddings(ids_of(SENTENCE))[0]
        query, key = (part(embedded)[:, :32] for part in (own.query, own.key))
    assert torch.allclose(shown.lab.scores[0], query @ key.T / 32**0.5, atol=1e-5)

    def refuse(*given, **more):
        raise ValueError("model: got one of its own")

    monkeypatch.setattr(explorer.attention, "scores_of", refuse)
    assert torch.allclose(Explorer(SENTENCE).lab.scores, shown.grid.before[0].log())


def test_what_a_decoder_hides_itself_stays_hidden():
    shown = Explorer("Lily saw a", "story-gpt2")
    assert torch.equal(shown.lab.scores.isinf(), (~masks.causal(4)).expand(5, 4, 4))


def test_drawing_a_mask_runs_the_model_with_it():
    shown = Explorer(SENTENCE, pads=2)
    keep = masks.lengths([6], 8)[0, 0].expand(8, 8)
    shown.lab.keep = keep
    wanted, before = real_weights(ids_of(SENTENCE, 2), keep), real_weights(ids_of(SENTENCE, 2))
    assert torch.allclose(shown.grid.after, torch.cat(wanted.attentions), atol=1e-6)
    assert (shown.grid.after[..., 6:] == 0).all()
    assert torch.equal(shown.grid.keep, keep)
    moved = (wanted.last_hidden_state - before.last_hidden_state).abs().amax(-1)[0]
    assert f"the output of 8 of 8 tokens, most of all that of token {int(moved.argmax())}, " in shown.message
    assert f"by {moved.max():.2f}" in shown.message


def test_flipping_the_polarity_runs_the_model_with_the_flipped_mask():
    shown = Explorer(SENTENCE, keep=masks.causal(6))
    shown.lab.flipped = True
    assert (shown.grid.after[:, :, 1:].tril(0)[..., :-1, :1] == 0).all()
    assert torch.equal(shown.grid.keep, ~masks.causal(6))


def test_a_mask_can_be_given_at_the_start():
    keep = masks.causal(8)
    shown = Explorer(SENTENCE, pads=2, keep=keep)
    assert torch.equal(shown.lab.keep, keep)
    assert (shown.grid.after.triu(1) == 0).all()


def test_typing_another_sentence_reads_it_and_keeps_a_mask_that_still_fits():
    shown = Explorer("Rain is coming.", keep=masks.causal(6))
    grid = shown.grid
    shown._sentence.value = "Snow was melting."
    assert shown.lab.query_tokens[1] == "snow"
    assert torch.equal(shown.lab.keep, masks.causal(6))
    assert shown.grid is not grid
    shown._sentence.value = "No."
    assert shown.lab.keep.all()
    assert len(shown.lab.query_tokens) == 4


def test_the_chosen_head_is_the_one_in_masklab():
    shown = Explorer(SENTENCE)
    shown.grid.layer, shown.grid.head = 3, 5
    assert shown.lab.head == 5
    assert torch.allclose(shown.lab.scores.softmax(-1), shown.grid.before[3], atol=1e-6)
    shown.lab.head = 7
    assert (shown.grid.layer, shown.grid.head) == (3, 7)
    assert "one head of layer 3 " in shown._between.value
    shown.lab.fill, shown.lab.dtype, shown.grid.side = "-inf", "float16", "change"
    shown._sentence.value = "Another one."
    assert (shown.lab.fill, shown.lab.dtype) == ("-inf", "float16")
    assert shown.grid.side == "change"
    assert (shown.grid.layer, shown.grid.head, shown.lab.head) == (3, 7, 7), "the choice outlives the sentence"


@pytest.mark.parametrize(
    ("control", "value", "says"),
    [
        ("_sentence", "   ", "There is nothing to read"),
        ("_sentence", "word " * 300, "That is 304 tokens; at most 256 can be shown"),
        ("_model", "no/such-model", "'no/such-model' could not be loaded"),
        ("_model", "", "name: got ''"),
        ("_model", "gpt2", "'gpt2' could not be loaded"),
    ],
)
def test_what_cannot_be_run_is_told_and_the_last_result_stays(plain, control, value, says):
    grid, lab, was = plain.grid, plain.lab, getattr(plain, control).value
    getattr(plain, control).value = value
    assert says in plain.message
    assert plain.grid is grid
    assert plain.lab is lab
    assert (plain.children[3], plain.children[5]) == (lab, grid)
    assert (plain._button.disabled, plain._button.icon) == (False, "")
    getattr(plain, control).value = was
    assert says not in plain.message


def test_a_spinner_turns_while_the_model_runs(monkeypatch):
    shown, seen = Explorer(SENTENCE), []
    real = explorer._run
    monkeypatch.setattr(
        explorer,
        "_run",
        lambda *a: (seen.append((shown._button.description, shown._button.icon, shown._button.disabled)), real(*a))[1],
    )
    shown._sentence.value = "Dogs bark."
    assert seen == [("Running", "spinner spin", True)]
    assert (shown._button.description, shown._button.icon, shown._button.disabled) == ("Run", "", False)


def test_a_model_that_breaks_is_told(monkeypatch):
    shown = Explorer(SENTENCE)

    def broken(*arguments):
        raise RuntimeError("out of <b>memory</b>\nand patience")

    monkeypatch.setattr(explorer, "_run", broken)
    shown.lab.keep = masks.causal(6)
    assert shown.message == "out of <b>memory</b> and patience"
    assert shown._said.value == "out of &lt;b&gt;memory&lt;/b&gt; and patience", "text is never read as markup"


def saved(earlier=frozenset()):
    """What a notebook is saved with, by the ids of its widgets, without those that were there earlier."""
    states = ipywidgets.Widget.get_manager_state()["state"]
    return {model_id: state for model_id, state in states.items() if model_id not in earlier}


def test_a_notebook_is_no_larger_after_twenty_sentences_than_after_one(monkeypatch):
    a_reader(monkeypatch)
    earlier = saved().keys()
    shown = Explorer("ab", "tiny", keep=masks.causal(2))
    first = saved(earlier)
    for n in range(20):
        shown._sentence.value = "ba" if n % 2 == 0 else "ab"
    last = saved(earlier)
    names = [Counter(each["model_module"] + each["model_name"] for each in states.values()) for states in (first, last)]
    assert names[0] == names[1]
    assert len(json.dumps(last)) <= len(json.dumps(first)) + 100, "a few digits at most"


def test_what_is_replaced_is_closed_once_it_is_no_longer_shown_and_nobody_listens_to_it(monkeypatch):
    a_reader(monkeypatch)
    shown = Explorer("ab", "tiny")
    lab, grid, order = shown.lab, shown.grid, []
    shown.observe(lambda change: order.append("replaced"), "children")
    for old in (lab, grid):
        monkeypatch.setattr(old, "close", lambda old=old, close=old.close: (order.append(type(old).__name__), close()))
    shown._sentence.value = "abc"
    assert order == ["replaced", "MaskLab", "HeadGrid"]
    assert [old.comm for old in (lab, grid, lab.layout, grid.layout)] == [None] * 4
    message = shown.message
    lab.keep = masks.causal(2)
    grid.layer = 1
    assert (shown.message, shown.grid.layer) == (message, 0)


def test_a_sentence_that_fails_half_way_leaves_no_widget_behind(monkeypatch):
    a_reader(monkeypatch)
    shown = Explorer("ab", "tiny")
    alive = set(ipywidgets.widgets.widget._instances)
    monkeypatch.setattr(explorer._Reading, "show_mask", lambda *arguments: 1 / 0)
    shown._sentence.value = "abc"
    assert shown.message == "division by zero"
    assert set(ipywidgets.widgets.widget._instances) == alive


def test_a_model_that_cannot_be_shown_leaves_the_last_one_at_work(monkeypatch):
    shown = Explorer(SENTENCE)
    real = models.load("minilm-bert", attn_implementation="eager")
    monkeypatch.setattr(models, "load", lambda name, **kwargs: models_without_weights(real))
    shown._model.value = "another"
    assert shown.message == "This model returns no attention weights."
    monkeypatch.undo()
    shown.lab.keep = masks.causal(6)
    assert (shown.grid.after.triu(1) == 0).all()
    assert "The mask changed the output of 6 of 6 tokens" in shown.message


def models_without_weights(pair):
    model, tokenizer = pair
    model = copy.deepcopy(model)
    forward = model.forward

    def silent(*arguments, **options):
        result = forward(*arguments, **options)
        result.attentions = None
        return result

    model.forward = silent
    return model, tokenizer


def test_on_a_decoder_the_mask_is_joined_with_its_own_causality(monkeypatch):
    model = tiny.model("gpt2", "eager")
    tokenizer = models.load_tokenizer("gpt2")
    monkeypatch.setattr(models, "load", lambda name, **kwargs: (model, tokenizer))
    ids = torch.randint(0, model.config.vocab_size, (1, 5))
    monkeypatch.setattr(Explorer, "_tokenize", lambda self, model, tokenizer: ids)
    keep = masks.full(5).clone()
    keep[:, 0] = False
    keep[0, 0] = True
    shown = Explorer(SENTENCE, "gpt2", keep=keep)
    assert (shown.grid.after.triu(1) == 0).all()
    assert (shown.grid.after[:, :, 1:, 0] == 0).all()
    assert re.search(r"changed the output of 4 of 5 tokens", shown.message)


@pytest.mark.parametrize(
    ("arguments", "options", "error", "says"),
    [
        ((3,), {}, TypeError, "sentence: got int, wanted a string"),
        (("a", 3), {}, TypeError, "model: got int, wanted a string"),
        (("",), {}, ValueError, "There is nothing to read"),
        ((SENTENCE, "no/such"), {}, models.ModelUnavailable, "'no/such' could not be loaded"),
        ((SENTENCE,), {"keep": masks.causal(3)}, ValueError, "keep: got a bool tensor of shape (3, 3)"),
        ((SENTENCE,), {"keep": torch.ones(6, 6)}, TypeError, "keep"),
        ((SENTENCE,), {"pads": -1}, ValueError, "pads: got -1"),
        ((SENTENCE,), {"pads": 1000}, ValueError, "pads: got 1000, wanted at most 64"),
        ((SENTENCE,), {"pads": 2.5}, TypeError, "pads"),
        ((SENTENCE,), {"names": "minilm-bert"}, TypeError, "names: got 'minilm-bert'"),
    ],
)
def test_what_is_wrong_in_the_cell_is_raised_there(arguments, options, error, says):
    with pytest.raises(error, match=re.escape(says)):
        Explorer(*arguments, **options)


def test_where_no_widget_lives_there_is_a_picture_with_alt_text(plain):
    data, metadata = plain._repr_mimebundle_()
    assert "no mask and your mask" in metadata["image/png"]["alt"]
    assert data["image/png"]


def a_reader(monkeypatch, kind="gpt2", side="right", **options):
    """Every model is a tiny one that reads the letters a to i, without a pad token."""
    model = tiny.model(kind, "eager", **options)
    ended = {"pad_token_id": None, "eos_token_id": 3, "padding_side": side, "all_special_ids": [3]}
    methods = {
        "__call__": lambda self, sentence: SimpleNamespace(input_ids=[ord(x) - 87 for x in sentence]),
        "convert_ids_to_tokens": lambda self, ids: ["end" if i == 3 else chr(i + 87) for i in ids],
        "decode": lambda self, ids, **how: chr(ids[0] + 87),
    }
    pair = model, type("Letters", (), {**ended, **methods})()
    monkeypatch.setattr(models, "load", lambda name, **kwargs: pair)
    return model


def test_a_smaller_model_shows_its_last_head(monkeypatch):
    shown = Explorer("abc")
    shown.grid.layer, shown.grid.head = 5, 11
    a_reader(monkeypatch)
    shown._model.value = "tiny"
    assert shown.grid.shape == [2, 2, 3, 3]
    assert (shown.grid.layer, shown.grid.head, shown.lab.head) == (1, 1, 1)


@pytest.mark.parametrize(("side", "tokens"), [("right", ["a", "b", "end", "end"]), ("left", ["end", "end", "a", "b"])])
def test_pads_stand_where_the_tokenizer_puts_them(side, tokens, monkeypatch):
    a_reader(monkeypatch, side=side)
    shown = Explorer("ab", "tiny", pads=1)
    shown._pads.value = 2
    assert shown.lab.query_tokens == tokens


def test_as_much_as_fits_is_read(monkeypatch):
    a_reader(monkeypatch)  # 64 positions
    shown = Explorer("a" * 62, "tiny", pads=2)
    assert shown.grid.shape[2:] == [64, 64]
    shown._pads.value = 3
    assert shown.message == "That is 65 tokens; at most 64 can be shown. Type less."


def test_the_message_measures_logits_and_names_the_token(monkeypatch):
    model = a_reader(monkeypatch, head=True)
    keep = masks.full(3).clone()
    keep[2, 0] = False
    shown = Explorer("abc", "tiny", keep=keep)
    with torch.no_grad():
        ids = torch.tensor([[10, 11, 12]])
        attention_mask = conventions.to_hf(keep & masks.causal(3), model=model)
        before, after = model(ids).logits, model(ids, attention_mask=attention_mask).logits
    assert shown.message == (
        "The mask changed the output of 1 of 3 tokens, most of all that of token 2, 'c', by "
        f"{(after - before).abs().max():.2f}; a typical number there is {before.abs().median():.2f}."
    )


def test_run_reads_again_and_an_error_without_words_has_a_name(plain, monkeypatch):
    grid = plain.grid
    plain._button.click()
    assert plain.grid is not grid
    plain._model.value = " minilm-bert "
    assert plain.message.startswith("With this mask")

    def silent(*arguments):
        raise MemoryError

    monkeypatch.setattr(explorer, "_run", silent)
    plain._button.click()
    assert plain.message == "MemoryError"
    monkeypatch.undo()
    plain._model.value = "minilm-bert"
