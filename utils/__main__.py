"""Says which masks a model takes, in which form, and what it adds: a name of ours, an id on the hub, or a folder."""

import argparse
import json
import os
import sys
import warnings
from pathlib import Path
from typing import Any

from . import _takes, models

#: What a shell gets: a fact, a model that cannot be had, a model of which nothing is known.
DONE, NO_MODEL, NOT_KNOWN = 0, 1, 3


def parser() -> argparse.ArgumentParser:
    """What the command takes."""
    parser = argparse.ArgumentParser(prog=f"python -m {__package__}", description=__doc__)
    parser.add_argument("model", metavar="MODEL", help="such as story-gpt2, bert-base-uncased or path/to/a/folder")
    parser.add_argument("--json", action="store_true", help="as JSON")
    parser.add_argument("--attn", choices=("sdpa", "eager"), help="implementation of attention; the model's own if not given")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Prints what a model does with masks; returns the exit status: 1 without a model, 3 if nothing is known of it."""
    options = parser().parse_args(arguments)
    try:
        model = _model(options.model, options.attn)
    except Exception as error:  # whatever a hub, a disk or a class of transformers says
        print(f"{options.model}: {_in_a_line(error)}", file=sys.stderr)
        return NO_MODEL
    if not hasattr(model, "config"):
        print(f"{options.model}: it has no config, so it is no Hugging Face model.", file=sys.stderr)
        return NO_MODEL
    row = _takes.takes(model)
    print(json.dumps(row, indent=2) if options.json else _takes.in_words(row))
    return NOT_KNOWN if all(mask["reads"] == "not known" for mask in row["masks"].values()) else DONE


def _model(name: str, attn_implementation: str | None) -> Any:
    """A model by its name, without its tokenizer's warnings."""
    if os.sep in name and not Path(name).is_dir() and name.count("/") != 1:
        raise FileNotFoundError(f"there is no such folder, and it is no id on the hub ({Path(name).absolute()})")
    kwargs = {"attn_implementation": attn_implementation} if attn_implementation else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return models.load_model(name, **kwargs)


def _in_a_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


if __name__ == "__main__":
    sys.exit(main())
