"""What all widgets share on the Python side: their browser text, their picture, and the check of their labels."""

import json
import re
from collections.abc import Sequence
from pathlib import Path

from .._validation import describe_tensor
from ..masks import PRESETS

HERE = Path(__file__).parent
IMPORTS = re.compile(r'^import [^;]*? from "(.+?)";\n', re.MULTILINE)
#: What one text of many modules needs no more: the word export before a declaration, and comments about types.
LEFT_OUT = re.compile(r"^export (?=async |class |const |function)|^ */\*\*.*?\*/\n", re.MULTILINE | re.DOTALL)
#: Names in a rule of ``PRESETS`` that follow from q and k.
DERIVED = {"own": "q + k_len - q_len", "document_q": "document[q + k_len - q_len]", "document_k": "document[k]"}


def module_text(name: str) -> str:
    """The ES module of a widget as one plain text, since a page on disk can import nothing.

    Each module that ``js/NAME/NAME.js`` imports, directly or not, comes once, before those that import it. What is
    exported by name after its declaration stays exported; so only the widget's own module should do that.

    Raises:
        FileNotFoundError: a module imports a file that is not there.
    """
    texts = {}

    def join(path: Path, importer: Path) -> None:
        if path in texts:
            return
        if not path.exists():
            raise FileNotFoundError(f"{importer.relative_to(HERE)} imports {path}, which is not there.")
        text = path.read_text(encoding="utf-8").replace("PRESETS = {}", f"PRESETS = {masks_text()}")
        texts[path] = ""  # so that a circle ends
        for target in IMPORTS.findall(text):
            join((path.parent / target).resolve(), path)
        del texts[path]
        texts[path] = LEFT_OUT.sub("", IMPORTS.sub("", text))

    join(HERE / "js" / name / f"{name}.js", HERE)
    return "\n".join(texts.values())


def masks_text() -> str:
    """The table ``masks.PRESETS`` in JavaScript. Its rules become functions, since a page may turn no text into code."""
    rows = []
    for row in PRESETS.values():
        names = ", ".join(parameter.name for parameter in row.parameters)
        used = [f"{name} = {value}" for name, value in DERIVED.items() if re.search(rf"\b{name}\b", row.rule)]
        sees = f"({{ {names} }}, q_len, k_len, document) => ({', '.join(['q', 'k', *used])}) => {row.rule}"
        parameters = [
            f"{{ name: {json.dumps(name)}, label: {json.dumps(label)}, least: {least}, kind: {json.dumps(kind)}, "
            f"default: (k_len) => {default} }}"
            for name, label, default, least, kind in row.parameters
        ]
        fields = f"label: {json.dumps(row.label)}, rule: {json.dumps(row.rule)}, parameters: [{', '.join(parameters)}]"
        rows.append(f"  {row.key}: {{ {fields}, sees: {sees} }},\n")
    return f"{{\n{''.join(rows)}}}"


def style_text(name: str) -> str:
    """The style sheet of a widget, after the one that all have."""
    return "\n".join((HERE / "css" / f"{part}.css").read_text(encoding="utf-8") for part in ("shared", name))


def with_picture(bundle, picture) -> tuple[dict, dict]:
    """A widget's display data together with a picture and its alt text, for where no widget can live."""
    data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
    shown, described = picture._repr_mimebundle_()
    return {**data, **shown}, {**metadata, **described}


def require_tokens(tokens, name: str, length: int) -> list[str]:
    """The labels as a list of ``length`` strings; numbers for None.

    Raises:
        TypeError, ValueError: not strings, or not as many.
    """
    if tokens is None:
        return [str(n) for n in range(length)]
    if isinstance(tokens, str) or not isinstance(tokens, Sequence) or not all(isinstance(t, str) for t in tokens):
        raise TypeError(f"{name}: got {describe_tensor(tokens)}, wanted a list of {length} strings.")
    if len(tokens) != length:
        raise ValueError(f"{name}: got {len(tokens)} labels, wanted {length}, one for each.")
    return list(tokens)
