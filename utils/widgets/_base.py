"""What all widgets share on the Python side: their browser text, their picture, and the check of their labels."""

import base64
import json
import re
from collections.abc import Sequence
from pathlib import Path

import anywidget
import traitlets
from torch import Tensor

from .._colours import palettes_text
from .._validation import mismatch, text_of
from ..masks import PRESETS

HERE = Path(__file__).parent
LIMIT = 1024  # queries or keys; more cells than this fit on no screen
IMPORTS = re.compile(r'^import [^;]*? from "(.+?)";\n', re.MULTILINE)
#: What one text of many modules needs no more, and every notebook would carry: the word export before a declaration,
#: comments on lines of their own, and indentation (no text in a module goes on over a line's end).
LEFT_OUT = re.compile(
    r"^export (?=async |class |const |function)|^ */\*\*(?:(?!\*/).)*\*/\n|^ *//[^\n]*\n|^ +", re.MULTILINE | re.DOTALL
)
#: Of a style sheet: comments and indentation.
STYLE_LEFT_OUT = re.compile(r"/\*(?:(?!\*/).)*\*/\n?|^ +", re.MULTILINE | re.DOTALL)
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
        text = path.read_text(encoding="utf-8")
        texts[path] = ""  # so that a circle ends
        for target in IMPORTS.findall(text):
            join((path.parent / target).resolve(), path)
        del texts[path]
        texts[path] = LEFT_OUT.sub("", IMPORTS.sub("", text))

    join(HERE / "js" / name / f"{name}.js", HERE)
    text = "\n".join(texts.values()).replace("PRESETS = {}", f"PRESETS = {masks_text()}")
    text = text.replace("THEMES = {}", f"THEMES = {palettes_text()}")
    return text.replace('KERNEL = ""', f'KERNEL = "{kernel_text()}"') if 'KERNEL = ""' in text else text


def kernel_text() -> str:
    """The compiled arithmetic of StoryLab in base64. Its source is kernel.ts, which ``npm run kernel`` compiles."""
    return base64.b64encode((HERE / "js" / "gpt2" / "kernel.wasm").read_bytes()).decode()


def masks_text() -> str:
    """The table ``masks.PRESETS`` in JavaScript. Rules become functions, since a page may turn no text into code."""
    rows = []
    for row in PRESETS.values():
        names = ", ".join(parameter.name for parameter in row.parameters)
        used = [f"{name} = {value}" for name, value in DERIVED.items() if re.search(rf"\b{name}\b", row.rule)]
        sees = f"({{ {names} }}, q_len, k_len, document) => ({', '.join(['q', 'k', *used])}) => {row.rule}"
        firsts = ", ".join(f"{parameter.name}: {parameter.default}" for parameter in row.parameters)
        parameters = [parameter._asdict() for parameter in row.parameters]
        fields = json.dumps({"label": row.label, "rule": row.rule, "parameters": parameters})
        rows.append(f"  {row.key}: {{ ...{fields}, firsts: (k_len) => ({{ {firsts} }}), sees: {sees} }},\n")
    return f"{{\n{''.join(rows)}}}"


def style_text(name: str) -> str:
    """The style sheet of a widget, after the one that all have."""
    sheets = [(HERE / "css" / f"{part}.css").read_text(encoding="utf-8") for part in ("shared", name)]
    return STYLE_LEFT_OUT.sub("", "\n".join(sheets))


class MapWidget(anywidget.AnyWidget):
    """What a widget of attention maps shares with its page, and the picture that it leaves behind."""

    shape = traitlets.List(traitlets.Int()).tag(sync=True)  # ends in heads, q_len, k_len
    query_tokens = traitlets.List(traitlets.Unicode()).tag(sync=True)
    key_tokens = traitlets.List(traitlets.Unicode()).tag(sync=True)
    head = traitlets.Int(0).tag(sync=True)
    words = traitlets.Dict().tag(sync=True)

    @traitlets.validate("layer", "head")
    def _exists(self, proposal):
        name, value = proposal["trait"].name, proposal["value"]
        count = self.shape[-3 if name == "head" else -4] if self.shape else value + 1
        if not 0 <= value < count:
            raise ValueError(f"{name}: got {value}, wanted 0 to {count - 1}.")
        return value

    @traitlets.validate("query_tokens", "key_tokens", "names")
    def _encodable(self, proposal):
        return [text_of(value) for value in proposal["value"]]

    def _repr_mimebundle_(self, **kwargs):
        return with_picture(super()._repr_mimebundle_(**kwargs), self.picture())


def with_picture(bundle, picture) -> tuple[dict, dict]:
    """A widget's display data together with a picture and its alt text, for where no widget can live."""
    data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
    image, image_metadata = picture._repr_mimebundle_()
    return {**data, **image}, {**metadata, **image_metadata}


def require_labels(query_tokens, key_tokens, name: str, q_len: int, k_len: int) -> tuple[list[str], list[str]]:
    """Labels of queries and keys. The keys take those of the queries if they are as many and have none of their own.

    Raises:
        TypeError: labels that are no list of strings.
        ValueError: not as many as there are queries or keys.
    """
    if key_tokens is None and q_len == k_len:
        key_tokens = query_tokens
    return _require_tokens(query_tokens, name, q_len), _require_tokens(key_tokens, "key_tokens", k_len)


def require_size(values: Tensor, name: str) -> None:
    """Nothing, if a map of this many queries and keys fits on a screen.

    Raises:
        ValueError: more than ``LIMIT`` queries or keys.
    """
    if max(values.shape[-2:]) > LIMIT:
        raise ValueError(mismatch(name, values, f"at most {LIMIT} queries and keys", "Cut it first."))


def _require_tokens(tokens, name: str, length: int) -> list[str]:
    if tokens is None:
        return [str(n) for n in range(length)]
    if isinstance(tokens, str) or not isinstance(tokens, Sequence) or not all(isinstance(t, str) for t in tokens):
        raise TypeError(mismatch(name, tokens, f"a list of {length} strings"))
    if len(tokens) != length:
        raise ValueError(f"{name}: got {len(tokens)} labels, wanted {length}, one for each.")
    return list(tokens)
