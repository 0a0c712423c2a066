"""Widgets of an executed notebook on a page that has no kernel and no network.

The notebook holds the state of its widgets, their program and style included. A page gets each program once, the states
as JSON, and static_widgets.js, which mounts them. Where no script runs, and in print, the widget's picture stands in
its place.
"""

import html
import json
from pathlib import Path

import nbformat

from publish import notebooks

LOADER = Path(__file__).with_name("static_widgets.js")
STYLE = """\
.masks-place > img { display: block; max-width: 100%; }
.masks-lives > img { display: none; }
@media print {
  .masks-lives > img { display: block; }
  .masks-alive { display: none; }
}
"""


def place(notebook: nbformat.NotebookNode) -> dict[str, dict]:
    """Puts a place for a widget where a widget view is, and returns the saved states of those widgets, by model id.

    Raises:
        LessonError: a view whose state or picture the notebook lacks.
    """
    saved = notebook.metadata.get("widgets", {}).get(notebooks.STATE, {}).get("state", {})
    found = {}
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            view = output.get("data", {}).pop(notebooks.VIEW, None)
            if view is None:
                continue
            model_id = view["model_id"]
            if model_id not in saved or "text/html" not in output.data:
                raise notebooks.LessonError(f"cell {cell.id}: the widget was saved without its state or its picture")
            found[model_id] = saved[model_id]
            picture = output.data["text/html"]
            output.data = nbformat.from_dict(
                {"text/html": f'<div class="masks-place" data-model="{html.escape(model_id)}">{picture}</div>'}
            )
    return found


def head(states: dict[str, dict]) -> str:
    """The style of a page that shows these widgets."""
    styles = {state["state"]["_css"] for state in states.values()}
    return "\n".join([STYLE, *sorted(styles)]) if states else ""


def scripts(states: dict[str, dict]) -> str:
    """What stands at the end of such a page: states, programs and the loader, all inline; empty without widgets."""
    if not states:
        return ""
    script = f"<script>\n{programs(states)}\n{LOADER.read_text(encoding='utf-8')}</script>"
    return "\n".join([carried(states), script])


def carried(states: dict[str, dict]) -> str:
    """The states, for the loader to find."""
    found = {}
    for model_id, saved in states.items():
        state = {name: value for name, value in saved["state"].items() if not name.startswith("_") and name != "layout"}
        for buffer in saved.get("buffers", ()):
            (name,) = buffer["path"]
            state[name] = {"base64": buffer["data"]}
        found[model_id] = {"kind": _kind(saved), "state": state}
    return f'<script type="application/json" id="masks-states">{_inline(found)}</script>'


def programs(states: dict[str, dict]) -> str:
    """The widgets' programs, as a script that holds each once."""
    found = {_kind(saved): saved["state"]["_esm"] for saved in states.values()}
    return f"globalThis.masksPrograms = {_inline(dict(sorted(found.items())))};"


def _kind(saved: dict) -> str:
    return saved["state"]["_anywidget_id"].rsplit(".", 1)[-1]


def _inline(value) -> str:
    # Nothing in it, token text included, may end the script or begin another.
    return json.dumps(value, ensure_ascii=False).replace("<", "\\u003c")
