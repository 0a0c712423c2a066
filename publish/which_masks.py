"""The table "Which mask does this model take?": every text model class of transformers, built small, and tried.

``python -m publish which-masks`` writes data/which_masks.json; with names of classes it prints their lines and writes
nothing. A line holds what was seen under each implementation of attention, and is the same wherever it is made.
"""

import json
import textwrap
from importlib.metadata import version
from pathlib import Path
from typing import Any

from utils import _takes

from . import paths, zoo

TABLE = paths.ROOT / "data" / "which_masks.json"
IMPLEMENTATIONS = ("sdpa", "eager")
#: Why a mask is refused or not known is told in so many characters; the rest are sizes.
TOLD = 160
#: What of a configuration decides about masks; the rest are sizes.
SETTINGS = (
    "is_decoder",
    "sliding_window",
    "attention_window",
    "local_attention",
    "window_size",
    "attention_chunk_size",
)


def line(name: str) -> dict[str, Any]:
    """What is known of one class: its family and tasks, what was set, and a row for each implementation.

    Raises:
        KeyError: no class of that name in transformers' mappings for text models.
        ValueError: one that is left out, with the reason.
    """
    about = zoo.classes()[name]
    seen, settings = {}, {}
    for implementation in IMPLEMENTATIONS:
        try:
            model = zoo.build(name, implementation)
        except ValueError:
            if implementation == "sdpa" and name not in zoo.LEFT_OUT:  # a class that has eager attention only
                continue
            raise
        with zoo.quiet():
            row = _takes.takes(model, _takes.LENGTH)
        for mask in row["masks"].values():
            mask["why"] = textwrap.shorten(mask["why"], TOLD, placeholder=" …")
        seen[implementation] = {key: row[key] for key in row if key not in ("class", "family", "tokens")}
        del seen[implementation]["attn_implementation"]
        settings = _settings(model)
    return {"family": about.family, "tasks": about.tasks, "settings": settings, **seen}


def table() -> dict[str, Any]:
    """All lines, what they were made with, and the classes that are left out."""
    return {
        **{library: version(library).split("+")[0] for library in ("torch", "transformers")},
        "tokens": _takes.LENGTH,
        "models": {name: line(name) for name in zoo.built()},
        "left_out": {name: zoo.LEFT_OUT[name] for name in zoo.classes() if name in zoo.LEFT_OUT},
    }


def write() -> Path:
    """Makes the table anew, one line of text for each class; returns its path."""
    contents = table()
    models = ",\n".join(f"{json.dumps(name)}: {json.dumps(row)}" for name, row in contents.pop("models").items())
    rest = json.dumps(contents, indent=0, ensure_ascii=True).removesuffix("\n}")
    return paths.write_text(f'{rest},\n"models": {{\n{models}\n}}\n}}\n', TABLE)


def read() -> dict[str, Any]:
    """The table as it is in data."""
    return json.loads(TABLE.read_text(encoding="utf-8"))


def page() -> str:
    """The page of the site, as MyST Markdown."""
    contents = read()
    lines = contents["models"]
    known = [name for name, row in lines.items() if _first(row)["adds"] is not None]
    return PAGE.format(
        torch=contents["torch"],
        transformers=contents["transformers"],
        models=len(lines),
        known=len(known),
        window=zoo.WINDOW,
        headings=f"| {' | '.join(HEADINGS)} |\n|{':---|' * len(HEADINGS)}",
        rows="\n".join(_cells(name, row) for name, row in lines.items()),
        left_out="\n".join(f"| `{name}` | {reason} |" for name, reason in contents["left_out"].items()),
    )


HEADINGS = (
    "class and family",
    "adds by itself",
    "2D mask, 1 and 0",
    "4D mask, additive",
    "4D mask, bool",
    "3D mask",
    "does padding reach real tokens?",
)
PAGE = """\
# Which mask does this model take?

{models} classes of text models of transformers {transformers}, each built small, with random weights, and run: what it
does with a mask was seen at its softmax and in its outputs, not read in its config or its documentation. For {known} of
them it is known what they add by themselves.

For a model of your own, by its name on the hub or its folder: `python -m attention_masks MODEL`.

<div class="which-masks"></div>

{headings}
{rows}

- *read*: hidden keys get no weight. *replaces*: under a 4D mask the model no longer hides this by itself, so your mask
  must. *partly read*: other layers carry hidden tokens on, or do not read it. *ignored*: the model runs, and nothing is
  hidden. *refused*: it raises an error.
- Where eager attention differs from SDPA, both are named.
- Windows and chunks were set to {window} keys, so that they show; a pretrained model has its own, in its config.
- The mask of an encoder-decoder is its encoder's, and was tried with a decoder's text of another length.
- Torch {torch}, transformers {transformers}, on a CPU. `python -m publish which-masks CLASS` prints a line again, with
  what a model said when it refused.

## Left out

| class | why |
|:---|:---|
{left_out}
"""


def _settings(model: Any) -> dict[str, Any]:
    """What was set in the config that decides about masks."""
    config = model.config.get_text_config().to_dict()
    return {name: config[name] for name in SETTINGS if config.get(name)}


def _first(row: dict[str, Any]) -> dict[str, Any]:
    """What was seen under SDPA, or under eager attention where there is no other."""
    return row.get("sdpa") or row["eager"]


def _cells(name: str, row: dict[str, Any]) -> str:
    """A line of the page's table."""
    family = f"`{name}`<br>{row['family']}"
    adds = _both(row, lambda seen: seen["adds"] or "not known")
    forms = [_both(row, lambda seen, form=form: _form(seen, form)) for form in ("2D", "4D additive", "4D bool", "3D")]
    padding = _both(row, lambda seen: {None: "not known", True: "yes", False: "no"}[seen["padding_reaches"]])
    return f"| {family} | {adds} | {' | '.join(forms)} | {padding} |"


def _form(seen: dict[str, Any], form: str) -> str:
    """What becomes of masks of one form, in a few words."""
    mask = seen["masks"][form]
    words = mask["reads"] + (f": {mask['why']}" if mask["reads"] == "partly read" else "")
    if form == "4D additive" and seen["replaces"]:
        words += f"; replaces {' and '.join(seen['replaces'])}"
    if form == "2D" and seen["cross"] is not None:
        words += "; cross-attention too" if seen["cross"] else "; not by cross-attention"
    return words


def _both(row: dict[str, Any], words: Any) -> str:
    """Words about SDPA, and about eager attention where they differ."""
    said = [words(row[implementation]) for implementation in IMPLEMENTATIONS if implementation in row]
    return said[0] if len(set(said)) == 1 else f"sdpa: {said[0]}<br>eager: {said[1]}"
