"""Widgets of an executed notebook on a page that has no kernel and no network.

The notebook holds the state of its widgets, their program and style included. A page gets each program once, the states
as JSON, and static_widgets.js, which mounts them. Where no script runs, and in print, the widget's picture is there
instead.
"""

import base64
import html
import json
from functools import cache

import nbformat

from utils.widgets import Question
from utils.widgets._story_file import story_file

from . import paths, questions

LOADER = paths.HERE / "static_widgets.js"
#: Pictures bring their own style. That of a widget which is not ready, or never will be, stays.
STYLE = """\
@media not print {
  .masks-lives:not(:has(.masks-waiting)) > img { display: none !important; }
}
@media print {
  .masks-lives > img { display: inline-block !important; }
  .masks-alive { display: none; }
}
"""
#: What computes with a model in the page, and the file of the site that holds this model.
STORYLAB, STORY = "StoryLab", "story-gpt2.js"


def replace_views(notebook: nbformat.NotebookNode) -> dict[str, dict]:
    """Puts HTML where a notebook has views of widgets, and returns the saved states of those widgets, by model id.

    Raises:
        LessonError: a view whose state or picture the notebook lacks.
    """
    saved = notebook.metadata.get("widgets", {}).get(paths.STATE, {}).get("state", {})
    states: dict[str, dict] = {}
    for cell in notebook.cells:
        if questions.asked(cell):
            states |= _question(cell)
            continue
        for output in cell.get("outputs", ()):
            view = output.get("data", {}).pop(paths.VIEW, None)
            if view is None:
                continue
            model_id = view["model_id"]
            if model_id not in saved or "text/html" not in output.data:
                raise paths.LessonError(f"cell {cell.id}: the widget was saved without its state or its picture")
            states[model_id] = saved[model_id]
            output.data = nbformat.from_dict({"text/html": mount(model_id, output.data["text/html"])})
    return states


def _question(cell: nbformat.NotebookNode) -> dict[str, dict]:
    """Puts HTML where a cell asks a question, and returns the state of its widget, by model id.

    Raises:
        LessonError: the cell has no output, or its code asks nothing.
    """
    name = questions.OF.search(cell.source)
    if name is None or not cell.outputs:
        raise paths.LessonError(f"cell {cell.id}: wanted one call of widgets.Question.of, executed")
    widget = Question.of(name[1])
    output, state = cell.outputs[0], widget.get_state()
    widget.close()
    output.data = nbformat.from_dict({"text/html": mount(cell.id, output.data["text/html"])})
    return {cell.id: {"state": state}}


def mount(model_id: str, picture: str) -> str:
    """The element in which the loader mounts a widget; until then it shows the picture, which is HTML."""
    return f'<div class="masks-place" data-model="{html.escape(model_id)}">{picture}</div>'


def style(states: dict[str, dict]) -> str:
    """The style of a page that shows these widgets."""
    styles = {saved["state"]["_css"] for saved in states.values()}
    return "\n".join([STYLE, *sorted(styles)]) if states else ""


def scripts(states: dict[str, dict]) -> str:
    """The end of such a page: states, programs and the loader, all inline; empty without widgets.

    The model is before them if one of the widgets computes with it.
    """
    if not states:
        return ""
    model = f'<script type="text/plain" id="masks-story-gpt2">{_story()}</script>\n' if needs_model(states) else ""
    return f"{model}{states_script(states)}\n<script>\n{loader(states)}</script>"


def needs_model(states: dict[str, dict]) -> bool:
    """Whether one of these widgets computes with a model."""
    return any(_kind(saved) == STORYLAB for saved in states.values())


def story_script() -> str:
    """The model as a script beside the pages of a site, which loads it when a widget asks for it."""
    return f'globalThis.masksStoryText = "{_story()}";\n'


def story_address() -> str:
    """The line of a site's script that says where ``story_script`` is: beside that script itself."""
    said = f'{{ address: new URL("{STORY}", document.currentScript.src).href, size: {len(story_file())} }}'
    return f"globalThis.masksStoryBeside = {said};\n"


@cache
def _story() -> str:
    """The file of story-gpt2 as text."""
    return base64.b64encode(story_file()).decode()


def states_script(states: dict[str, dict]) -> str:
    """The element that holds the states, where the loader looks for them."""
    models = {}
    for model_id, saved in states.items():
        state = {name: value for name, value in saved["state"].items() if not name.startswith("_") and name != "layout"}
        for buffer in saved.get("buffers", ()):
            (name,) = buffer["path"]
            state[name] = {"base64": buffer["data"]}
        models[model_id] = {"kind": _kind(saved), "state": state}
    return f'<script type="application/json" id="masks-states">{_inline(models)}</script>'


def loader(states: dict[str, dict]) -> str:
    """The script that mounts these widgets: each of their programs once, and static_widgets.js."""
    programs = {_kind(saved): saved["state"]["_esm"] for saved in states.values()}
    return (
        f"globalThis.masksPrograms = {_inline(dict(sorted(programs.items())))};\n{LOADER.read_text(encoding='utf-8')}"
    )


def _kind(saved: dict) -> str:
    """The name of a widget's class."""
    return saved["state"]["_anywidget_id"].rsplit(".", 1)[-1]


def _inline(value) -> str:
    """A value as JSON that no text in it, tokens included, can end or continue as a script."""
    return json.dumps(value, ensure_ascii=False).replace("<", "\\u003c")
