"""What Sphinx reads to make the site: the lessons as notebooks without code to run, the pages around them, and data.

The texts of the pages that are no lessons are in ``website``.
"""

import ast
import base64
import copy
import hashlib
import json
import re
from pathlib import Path

import nbformat
from torch import Tensor

from . import document, for_readers, guide, ledger, paths, picture, sheet, static_widgets, which_masks
from .hosting import Hosting

WEBSITE = paths.HERE / "website"
#: Modules of the reference, in the order in which one meets them; what describe.py holds is in conventions.
MODULES = ["masks", "conventions", "patterns", "attention", "influence", "plots", "widgets", "models", "text", "checks"]
FIGURE = re.compile(r'src="data:image/png;base64,([^"]+)"')
#: What the home page says first, and a link to it.
TITLE = "Attention masks, executed"
SENTENCE = (
    "Interactive lessons on attention masks: what they hide, how to write one down for each library, and why a mask "
    "that looks right can hide nothing."
)
ALL_MASKS = "Nine small masks, each from a lesson: visible cells are blue, hidden ones hatched."
#: The masks of cards are drawn light, too.
FIGURES = 'html[data-theme="dark"] .bd-article :is(img.masks-figure, .mask-picture)'
MASKS_JS = '<script src="_static/masks.js"></script>'


def write(
    lessons: dict[str, nbformat.NotebookNode], claims: nbformat.NotebookNode, hosting: Hosting, folder: Path
) -> bool:
    """Writes what Sphinx reads to a folder; what has not changed keeps its date, so that Sphinx leaves it alone.

    Args:
        lessons: name → lesson for readers.
        claims: the ledger's page.
        hosting: where the collection is hosted.
        folder: what it holds beside what is written is deleted.

    Returns:
        Whether anything was deleted: what Sphinx built before may then hold pages of what is gone.
    """
    about = {name: for_readers.about(notebook) for name, notebook in lessons.items()}
    keeps = {name: picture.mask(notebook) for name, notebook in lessons.items()}
    files: dict[str, str] = {}
    states: dict[str, dict] = {}
    figures: dict[str, bytes] = {}
    texts = {
        ledger.PAGE.stem: for_readers.without_formulas(claims),
        guide.PAGE: guide.page({name: lessons[name] for name in lessons if paths.is_lesson(name)}),
    }
    for name, notebook in {**lessons, **texts}.items():
        page = copy.deepcopy(notebook)
        shown = static_widgets.replace_views(page)
        states |= shown
        files[f"{name}.ipynb"] = nbformat.writes(_for_sphinx(page, shown, figures))
    files |= _texts(about, keeps, hero(lessons["00_start_here"], keeps["00_start_here"], figures)) | _reference()
    files["_static/masks.css"] = "\n".join([document.shared_style("screen", FIGURES), static_widgets.style(states)])
    files["_static/masks.js"] = static_widgets.loader(states)
    if static_widgets.needs_model(states):
        files["_static/masks.js"] = static_widgets.story_address() + files["_static/masks.js"]
        files[f"_static/{static_widgets.STORY}"] = static_widgets.story_script()
    files["_static/asking.js"] = (paths.HERE / "asking.js").read_text(encoding="utf-8")
    files[f"{which_masks.TABLE.stem}.md"] = which_masks.page()
    files["about.json"] = json.dumps(_pages(about, keeps, hosting))
    contents = {name: text.encode() for name, text in files.items()}
    contents |= {f"_static/figures/{name}": data for name, data in figures.items()}
    if hosting.address:
        contents |= {picture_file(name): data for name, data in _pictures(about, keeps).items()}
    for name, data in contents.items():
        _write_if_changed(folder / name, data)
    gone = [
        path for path in folder.rglob("*.*") if path.is_file() and path.relative_to(folder).as_posix() not in contents
    ]
    for path in gone:
        path.unlink()
    return bool(gone)


def hero(notebook: nbformat.NotebookNode, keep: Tensor, figures: dict[str, bytes]) -> str:
    """HTML of the first MaskLab of a lesson, for the home page: masked, as in the figure that it replaces, no tour."""
    states = static_widgets.replace_views(copy.deepcopy(notebook))
    model_id, saved = next((model_id, saved) for model_id, saved in states.items() if "steps" in saved["state"])
    saved["state"] |= {"steps": [], "start": {}}
    for buffer in saved["buffers"]:
        if buffer["path"] == ["keep_bytes"]:
            buffer["data"] = base64.b64encode(keep.numpy().tobytes()).decode()
    outputs = (output.get("data", {}) for cell in notebook.cells for output in cell.get("outputs", ()))
    shown = _figures(next(data["text/html"] for data in outputs if "image/png" in data), figures)
    return "\n".join([static_widgets.mount(model_id, shown), static_widgets.states_script({model_id: saved}), MASKS_JS])


def picture_file(name: str) -> str:
    """Where the site has the picture that goes with a link to a page."""
    return f"_static/pictures/{name}.png"


def _pictures(about: dict[str, for_readers.About], keeps: dict[str, Tensor]) -> dict[str, bytes]:
    """Name → picture that goes with a link to a lesson; that of the home page shows several masks."""
    pictures = {
        name: picture.large([keeps[name]], lesson.title.split(" · ", 1)[-1], lesson.description, TITLE)
        for name, lesson in about.items()
    }
    many = sum(map(paths.is_lesson, about))
    pictures["index"] = picture.large([*keeps.values()][:9], TITLE, SENTENCE, f"{many} lessons")
    return pictures


def _write_if_changed(path: Path, data: bytes) -> None:
    """Writes a file, unless that is what it holds."""
    if not path.exists() or path.read_bytes() != data:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def _texts(about: dict[str, for_readers.About], keeps: dict[str, Tensor], hero: str) -> dict[str, str]:
    """Name → text of the home page, the list of lessons, and the page for what is not there."""
    numbered = [name for name in about if paths.is_lesson(name)]
    parts = {
        "{title}": TITLE,
        "{sentence}": SENTENCE,
        "{hero}": hero,
        "{cards}": "\n".join(_card(name, about[name], keeps[name]) for name in numbered),
        "{entries}": "\n".join([*numbered, *(name for name in about if name.startswith("appendix"))]),
    }
    return {f"{name}.md": _filled(f"{name}.md", parts) for name in ("index", "lessons", "404")}


def _reference() -> dict[str, str]:
    """Name → text of the reference: its list of modules, and a page for each of them."""
    parts = {
        "{summaries}": "\n".join(map(_summary, MODULES)),
        "{modules}": "\n".join(f"reference/{name}" for name in MODULES),
    }
    pages = {f"reference/{name}.rst": _module(name) for name in MODULES}
    return {"reference.md": _filled("reference.md", parts), **pages}


def _filled(name: str, parts: dict[str, str]) -> str:
    """A text of the website with its gaps filled."""
    text = (WEBSITE / name).read_text(encoding="utf-8")
    for gap, part in parts.items():
        text = text.replace(gap, part)
    return text


def _for_sphinx(notebook: nbformat.NotebookNode, states: dict, figures: dict[str, bytes]) -> nbformat.NotebookNode:
    """A lesson for MyST-NB: states of its widgets, anchors for what the ledger links to, figures as files."""
    cells = []
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = for_readers.anchored(for_readers.held_back(cell))
        if ledger.claimed(cell):
            cells.append(nbformat.v4.new_markdown_cell(f'<span id="cell-id={cell.id}"></span>', id=f"{cell.id}-anchor"))
        for output in cell.get("outputs", ()):
            data = output.get("data", {})
            if "text/html" in data:
                output.data = nbformat.from_dict({"text/html": _figures(data["text/html"], figures)})
        cells.append(cell)
    if states:
        end = f"{static_widgets.states_script(states)}\n{MASKS_JS}"
        cells.append(nbformat.v4.new_raw_cell(end, metadata={"format": "text/html"}, id="widgets"))
    notebook.cells = cells
    notebook.metadata.pop("widgets", None)
    return notebook


def _figures(text: str, figures: dict[str, bytes]) -> str:
    """HTML whose pictures are files; adds these to ``figures``, by name."""

    def file(match: re.Match) -> str:
        data = base64.b64decode(match[1])
        name = f"{hashlib.sha256(data).hexdigest()[:16]}.png"
        figures[name] = data
        return f'src="_static/figures/{name}"'

    return FIGURE.sub(file, text)


def _card(name: str, about: for_readers.About, keep: Tensor) -> str:
    """A lesson among the cards of the home page: its mask, its question, and the belief that it is about."""
    number, title = about.title.split(" · ", 1)
    belief = about.description.removeprefix("The misconception: ")
    return f"""\
::::{{grid-item-card}} {number} · {title}
:link: {name}
:link-type: doc

<div class="card-mask">{picture.small(keep)}</div>

“{belief[0].upper()}{belief[1:]}”

<div class="card-minutes">{about.read + about.do} min</div>
::::
"""


def _module(name: str) -> str:
    """The page of the reference that tells of one module."""
    title = f"utils.{name}"
    return f"{title}\n{'=' * len(title)}\n\n.. automodule:: utils.{name}\n   :members:\n"


def _summary(name: str) -> str:
    """A line of the reference's list: a module and the first sentence of what it says of itself."""
    path = paths.PACKAGE / f"{name}.py"
    path = path if path.exists() else paths.PACKAGE / name / "__init__.py"
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    first = re.split(r"(?<=\.)\s", " ".join(docstring.split()), maxsplit=1)[0]
    return f"- [utils.{name}](reference/{name}.rst): {first.replace('``', '`')}"


def _pages(about: dict[str, for_readers.About], keeps: dict[str, Tensor], hosting: Hosting) -> dict:
    """Name → what conf.py says of a page; a table is looked up, not read, so its words say nothing of its minutes."""
    pages: dict[str, dict] = {
        "index": {"title": TITLE, "description": SENTENCE, "picture": picture_file("index"), "shown": ALL_MASKS},
        which_masks.TABLE.stem: {"read": 2},
    }
    for name, lesson in about.items():
        downloads = [
            ("Notebook", f"downloads/{name}.ipynb"),
            ("Single page", f"pages/{name}.html"),
        ]
        if paths.is_lesson(name):
            downloads.append(("Slides", f"slides/{name}.html"))
        if name == sheet.LESSON.stem:
            downloads.insert(0, ("One sheet to print", f"pages/{for_readers.PRINTED}"))
        pages[name] = {
            "title": lesson.title,
            "description": lesson.description.replace("`", ""),
            "picture": picture_file(name),
            "shown": picture.words(keeps[name]),
            "read": lesson.read,
            "do": lesson.do,
            "downloads": downloads,
            "launches": hosting.launches(name),
        }
    return pages
