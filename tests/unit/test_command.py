"""The command ``python -m utils MODEL``: in words, as JSON, from a folder, and what it says where it cannot."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from publish import zoo
from utils import __main__ as command

ROOT = Path(__file__).parents[2]


def folder_of(name, tmp_path):
    """A folder with a small model of a class, and no tokenizer."""
    zoo.build(name).save_pretrained(tmp_path / name)
    return str(tmp_path / name)


def test_it_is_run_by_the_name_of_the_package():
    done = subprocess.run(
        [sys.executable, "-m", "utils", "story-gpt2"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == [
        "GPT2LMHeadModel (gpt2, sdpa), tried on texts of 16 tokens",
        "  adds by itself    causality",
        "  2D mask           read",
        *[line for line in done.stdout.splitlines() if line.startswith("  3D mask")],
        "  4D additive mask  read; it replaces the model's own causality",
        "  4D bool mask      read",
        "  padding           with a 2D mask it reaches no real token",
    ]
    assert done.stderr == ""


def test_another_implementation_may_be_asked_for(capsys):
    assert command.main(["story-gpt2", "--attn", "eager"]) == 0
    assert "  4D bool mask      ignored\n" in capsys.readouterr().out


def test_json_holds_the_same_facts(tmp_path, capsys):
    assert command.main([folder_of("MistralForCausalLM", tmp_path), "--json"]) == 0
    row = json.loads(capsys.readouterr().out)
    assert (row["class"], row["family"], row["attn_implementation"]) == ("MistralForCausalLM", "mistral", "sdpa")
    assert (row["adds"], row["causal"], row["window"]) == ("causality and window of 4 keys", True, 4)
    assert row["replaces"] == ["causality", "window"]
    assert {form: mask["reads"] for form, mask in row["masks"].items()} == {
        "2D": "read",
        "3D": "refused",
        "4D additive": "read",
        "4D bool": "read",
    }
    assert row["padding_reaches"] is False


def test_texts_are_long_enough_for_a_window_to_show(tmp_path, capsys):
    model = zoo.build("MistralForCausalLM")
    model.config.sliding_window = 40
    model.save_pretrained(tmp_path)
    assert command.main([str(tmp_path), "--json"]) == 0
    row = json.loads(capsys.readouterr().out)
    assert (row["tokens"], row["window"]) == (42, 40)
    assert row["adds"] == "causality and window of 40 keys"


def test_a_window_longer_than_any_text_is_said_by_its_config(tmp_path, capsys):
    model = zoo.build("MistralForCausalLM")
    model.config.sliding_window = 4096
    model.save_pretrained(tmp_path)
    assert command.main([str(tmp_path)]) == 0
    assert "by its config, not measured" in capsys.readouterr().out


def test_an_encoder_decoders_mask_is_its_encoders(tmp_path, capsys):
    assert command.main([folder_of("BartForConditionalGeneration", tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "  adds by itself    nothing\n" in said
    assert "2D mask           read; it is the encoder's, and the decoder's cross-attention sees it too\n" in said


def test_padding_reaches_real_tokens_where_no_layer_reads_the_mask(tmp_path, capsys):
    assert command.main([folder_of("FNetForMaskedLM", tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "  2D mask           ignored\n" in said
    assert "  padding           it reaches real tokens, whatever the mask\n" in said


def test_a_model_of_which_nothing_is_known_says_why(tmp_path, capsys):
    assert command.main([folder_of("ReformerModelWithLMHead", tmp_path)]) == command.NOT_KNOWN
    said = capsys.readouterr().out
    assert "  adds by itself    not known\n" in said
    assert "2D mask           not known: ReformerModelWithLMHead sorts tokens by what they say" in said


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("nobody/nothing", "nobody/nothing: 'nobody/nothing' could not be loaded: "),
        ("no/such/folder", "no/such/folder: there is no such folder."),
    ],
)
def test_a_model_that_cannot_be_had_is_named(name, says, capsys):
    assert command.main([name]) == command.NO_MODEL
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(says)
    assert len(captured.err.splitlines()) == 1


def test_a_folder_without_a_model_is_named(tmp_path, capsys):
    assert command.main([str(tmp_path)]) == command.NO_MODEL
    assert capsys.readouterr().err.startswith(f"{tmp_path}: ")


def test_without_a_model_it_says_how_it_is_called(capsys):
    with pytest.raises(SystemExit, match="2"):
        command.main([])
    assert "MODEL" in capsys.readouterr().err
