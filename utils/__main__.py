"""Says which masks a model takes, in which form, and what it adds: a name of ours, an id on the hub, or a folder."""

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from . import _takes, models

#: What a shell gets: facts, a model that cannot be had, a model of which it is not known what it does with a 2D mask.
DONE, NO_MODEL, NOT_KNOWN = 0, 1, 3


def parser() -> argparse.ArgumentParser:
    """What the command takes."""
    parser = argparse.ArgumentParser(prog=f"python -m {__package__}", description=__doc__)
    parser.add_argument("model", metavar="MODEL", help="such as story-gpt2, bert-base-uncased or path/to/a/folder")
    parser.add_argument("--json", action="store_true", help="as JSON")
    parser.add_argument(
        "--attn", choices=("sdpa", "eager"), help="implementation of attention; the model's own if not given"
    )
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Prints what a model does with masks; returns the exit status: 1 without a model, 3 if it is not known."""
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
    return NOT_KNOWN if row["masks"]["2D"]["reads"] == "not known" else DONE


def _model(name: str, attn_implementation: str | None) -> Any:
    """The model that a checkpoint holds, as its config names the class; no tokenizer is asked for."""
    if os.sep in name and name.count("/") != 1 and not Path(name).is_dir():
        raise FileNotFoundError("there is no such folder.")
    location, options = models._location(name, weights=True)
    import transformers

    with models._quiet(), models._hub_errors(name):
        config = transformers.AutoConfig.from_pretrained(location, **options)
        named = getattr(transformers, (config.architectures or [""])[0], transformers.AutoModel)
        if attn_implementation:
            options["attn_implementation"] = attn_implementation
        return named.from_pretrained(location, dtype="float32", **options).eval()


def _in_a_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


if __name__ == "__main__":
    sys.exit(main())
