"""The site: lessons, cheat sheet, ledger and reference as static HTML, with live widgets, search and downloads.

Each lesson is executed once and its outputs are kept; Sphinx with MyST-NB and the PyData theme makes the pages. All of
it works from a disk and asks the network for nothing. A build replaces ``dist/site`` only when it is whole, and is
over at once when nothing it is made of has changed.
"""

import ast
import base64
import copy
import hashlib
import json
import re
import shutil
import subprocess
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit

import nbformat

from publish import ledger, notebooks, page, for_readers, sheet, slides, static_widgets

SITE = notebooks.ROOT / "dist" / "site"
WORK = notebooks.ROOT / "dist" / "build"
WEBSITE = notebooks.HERE / "website"
#: Modules of the reference, in the order in which one meets them.
MODULES = ["masks", "conventions", "attention", "influence", "plots", "widgets", "models", "text", "checks"]
FIGURE = re.compile(r'src="data:image/png;base64,([^"]+)"')


@dataclass(frozen=True)
class Place:
    """Where the collection lives. Buttons and links that need an address appear only if it is given.

    Args:
        repository: address of the public repository, such as ``https://github.com/owner/name``.
        address: where the site will be found, such as ``https://owner.github.io/name``.
        jupyterhub: a JupyterHub with nbgitpuller, such as ``https://hub.example.org``.
        branch: the branch that holds the lessons.
    Raises:
        LessonError: an address that is none.
    """

    repository: str = ""
    address: str = ""
    jupyterhub: str = ""
    branch: str = "main"

    def __post_init__(self):
        for name in ("repository", "address", "jupyterhub"):
            given = getattr(self, name)
            parts = urlsplit(given)
            if given and (parts.scheme not in ("http", "https") or not parts.netloc or parts.query or parts.fragment):
                raise notebooks.LessonError(
                    f"{name}: {given!r} is not an address; wanted something like https://example.org/name"
                )
            object.__setattr__(self, name, given.rstrip("/").removesuffix(".git"))
        if self.repository and len(self._path.split("/")) != 2:
            raise notebooks.LessonError(
                f"repository: {self.repository!r} has no owner and name, as in https://host/owner/name"
            )

    @property
    def _path(self) -> str:
        return urlsplit(self.repository).path.strip("/")

    def launches(self, name: str) -> list[tuple[str, str]]:
        """Label and address of each service that can run a lesson: none without a repository."""
        if not self.repository:
            return []
        host, path, notebook = urlsplit(self.repository).netloc, self._path, f"notebooks/{name}.ipynb"
        found = []
        if host in ("github.com", "gitlab.com"):
            where = f"gh/{path}" if host == "github.com" else f"gl/{quote(path, safe='')}"
            opened = quote(f"lab/tree/{notebook}", safe="")
            found.append(("Binder", f"https://mybinder.org/v2/{where}/{self.branch}?urlpath={opened}"))
        if host == "github.com":  # the branch that holds this site: its notebooks fetch the helpers
            found.append(
                ("Colab", f"https://colab.research.google.com/github/{path}/blob/gh-pages/downloads/{name}.ipynb")
            )
        if self.jupyterhub:
            opened = quote(f"lab/tree/{path.split('/')[1]}/{notebook}", safe="")
            pulled = f"repo={quote(self.repository, safe='')}&branch={quote(self.branch)}&urlpath={opened}"
            found.append(("JupyterHub", f"{self.jupyterhub}/hub/user-redirect/git-pull?{pulled}"))
        return found


def build(place: Place | None = None) -> Path:
    """Builds the site, or leaves it if it is up to date.

    Raises:
        LessonError: a lesson that cannot be executed, or anything that Sphinx warns of. The site that was there stays.
    """
    place = place or Place()
    stamp = _stamp(place)
    stamped = WORK / "stamp"
    if (SITE / "index.html").exists() and stamped.exists() and stamped.read_text() == stamp:
        return SITE
    made = {source.stem: list(notebooks.finished(source)) for source in notebooks.sources()}
    lessons = {name: for_readers.folded([notebook for _, notebook in found]) for name, found in made.items()}
    claims = ledger.page()
    try:
        _write_sources(lessons, claims, place)
        _sphinx(place)
    except BaseException:
        shutil.rmtree(WORK, ignore_errors=True)  # half a build is no ground for the next one
        raise
    _publish(made, lessons, claims, place)
    stamped.write_text(stamp)
    return SITE


def _stamp(place: Place) -> str:
    """A hash of all that the site is made of."""
    found = hashlib.sha256(json.dumps(asdict(place)).encode() + notebooks.surroundings().encode())
    folders = (notebooks.SOURCES, notebooks.FOLDER, notebooks.HERE)
    files = {path for folder in folders[:2] for path in folder.glob("*.*")}
    files |= {ledger.LEDGER, notebooks.ROOT / "constraints.txt"}
    files |= {path for path in folders[2].rglob("*.*") if "__pycache__" not in path.parts}
    for path in sorted(path for path in files if path.is_file()):
        found.update(path.name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return found.hexdigest()


# --- what Sphinx reads -------------------------------------------------------------------------------


def _write_sources(lessons: dict[str, nbformat.NotebookNode], claims: nbformat.NotebookNode, place: Place) -> None:
    """Writes what Sphinx reads. What has not changed keeps its date, so that Sphinx leaves it alone."""
    source = WORK / "source"
    written = {}
    widgets, figures = {}, {}
    about = {name: for_readers.about(notebook) for name, notebook in lessons.items()}
    for name, notebook in {**lessons, ledger.PAGE.stem: for_readers.without_formulas(claims)}.items():
        made = copy.deepcopy(notebook)
        states = static_widgets.place(made)
        widgets |= states
        written[f"{name}.ipynb"] = nbformat.writes(_for_sphinx(made, states, figures))
    hero = _hero(lessons["00_start_here"], figures)
    cards = "\n".join(_card(name, said) for name, said in about.items() if not name.startswith("10"))
    for name in ("index", "lessons", "404"):
        text = (WEBSITE / f"{name}.md").read_text(encoding="utf-8")
        entries = "\n".join(name for name in about if not name.startswith("10"))
        written[f"{name}.md"] = text.replace("{hero}", hero).replace("{cards}", cards).replace("{entries}", entries)
    reference = (WEBSITE / "reference.md").read_text(encoding="utf-8")
    reference = reference.replace("{summaries}", "\n".join(map(_summary, MODULES)))
    written["reference.md"] = reference.replace("{modules}", "\n".join(f"reference/{name}" for name in MODULES))
    written |= {f"reference/{name}.rst": _module(name) for name in MODULES}
    written["_static/masks.css"] = static_widgets.head(widgets)
    written["_static/masks.js"] = (
        static_widgets.programs(widgets) + "\n" + static_widgets.LOADER.read_text(encoding="utf-8")
    )
    written["about.json"] = json.dumps(_abouts(about, place))
    for name, text in written.items():
        _keep(source / name, text.encode())
    for name, data in figures.items():
        _keep(source / "_static" / "figures" / name, data)
    for path in [*source.rglob("*.*")]:
        if path.is_file() and path.relative_to(source).as_posix() not in written and path.name not in figures:
            path.unlink()
            for built in ("html", "doctrees"):  # may still hold pages of what is gone
                shutil.rmtree(WORK / built, ignore_errors=True)


def _keep(path: Path, data: bytes) -> None:
    if not path.exists() or path.read_bytes() != data:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def _for_sphinx(notebook: nbformat.NotebookNode, states: dict, figures: dict[str, bytes]) -> nbformat.NotebookNode:
    """A lesson for MyST-NB: places for widgets, anchors for what the ledger links to, figures as files of their own."""
    cells = []
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = for_readers.anchored(cell.source)
        elif ledger.claimed(cell):
            cells.append(nbformat.v4.new_markdown_cell(f'<span id="cell-id={cell.id}"></span>', id=f"{cell.id}-anchor"))
        for output in cell.get("outputs", ()):
            data = output.get("data", {})
            if "text/html" in data:
                output.data = nbformat.from_dict({"text/html": _figures(data["text/html"], figures)})
        cells.append(cell)
    if states:
        end = f'{static_widgets.carried(states)}\n<script src="_static/masks.js"></script>'
        cells.append(nbformat.v4.new_raw_cell(end, metadata={"format": "text/html"}, id="widgets"))
    notebook.cells = cells
    notebook.metadata.pop("widgets", None)
    return notebook


def _figures(text: str, figures: dict[str, bytes]) -> str:
    """HTML whose pictures are files, kept in ``figures`` by name."""

    def named(found: re.Match) -> str:
        data = base64.b64decode(found[1])
        name = f"{hashlib.sha256(data).hexdigest()[:16]}.png"
        figures[name] = data
        return f'src="_static/figures/{name}"'

    return FIGURE.sub(named, text)


def _hero(notebook: nbformat.NotebookNode, figures: dict[str, bytes]) -> str:
    """The first widget of the first lesson, for the home page: pads hidden, as in the figure that stands in for it."""
    states = static_widgets.place(copy.deepcopy(notebook))
    model, saved = next((model, saved) for model, saved in states.items() if "preset" in saved["state"])
    saved = copy.deepcopy(saved)
    tokens = saved["state"]["key_tokens"]
    row = bytes(token != "[PAD]" for token in tokens)
    for buffer in saved["buffers"]:
        if buffer["path"] == ["keep_bytes"]:
            buffer["data"] = base64.b64encode(row * len(tokens)).decode()
    outputs = (output.get("data", {}) for cell in notebook.cells for output in cell.get("outputs", ()))
    picture = next(data["text/html"] for data in outputs if "image/png" in data)
    place = f'<div class="masks-place" data-model="{model}">{_figures(picture, figures)}</div>'
    return f'{place}\n{static_widgets.carried({model: saved})}\n<script src="_static/masks.js"></script>'


def _card(name: str, about: for_readers.About) -> str:
    number, title = about.title.split(" · ", 1)
    return f"""\
::::{{grid-item-card}} {number} · {title}
:link: {name}
:link-type: doc

{about.description}

:::{{card-footer}}
{about.read + about.do} min
:::
::::
"""


def _module(name: str) -> str:
    """The page of the reference that tells of one module."""
    title = f"utils.{name}"
    return f"{title}\n{'=' * len(title)}\n\n.. automodule:: utils.{name}\n   :members:\n"


def _summary(name: str) -> str:
    """A line of the reference's list: a module and the first sentence of what it says of itself."""
    path = notebooks.PACKAGE / f"{name}.py"
    path = path if path.exists() else notebooks.PACKAGE / name / "__init__.py"
    said = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    first = re.split(r"(?<=\.)\s", " ".join(said.split()), maxsplit=1)[0]
    return f"- [utils.{name}](reference/{name}.rst): {first.replace('``', '`')}"


def _abouts(about: dict[str, for_readers.About], place: Place) -> dict:
    """For conf.py: what it shall say of each page."""
    found = {}
    for name, said in about.items():
        downloads = [
            ("Notebook", f"downloads/{name}.ipynb"),
            ("Single page", f"pages/{name}.html"),
            ("Slides", f"slides/{name}.html"),
        ]
        if name.startswith("10"):
            downloads.insert(0, ("One sheet to print", f"pages/{for_readers.PRINTED}"))
        found[name] = {
            "description": said.description,
            "read": said.read,
            "do": said.do,
            "downloads": downloads,
            "launches": place.launches(name),
        }
    return found


# --- Sphinx, and what comes after --------------------------------------------------------------------


def _sphinx(place: Place) -> None:
    """Runs Sphinx; whatever it warns of stops the build."""
    folders = [str(WORK / name) for name in ("source", "html")]
    options = ["-q", "-W", "--keep-going", "-c", str(WEBSITE), "-d", str(WORK / "doctrees")]
    options += ["-D", f"html_static_path=_static,{WORK / 'source' / '_static'}"]
    if place.address:
        options += ["-D", f"html_baseurl={place.address}/"]
    said = (WEBSITE / "conf.py", WORK / "source" / "about.json")  # are in every page, and Sphinx does not watch them
    found = hashlib.sha256(b"".join(path.read_bytes() for path in said)).hexdigest()
    options += ["-D", f"said_of_pages={found}"]
    done = subprocess.run([sys.executable, "-m", "sphinx", *options, *folders], capture_output=True, text=True)
    if done.returncode:
        said = re.sub(r"\x1b\[[\d;]*m", "", done.stderr).strip()
        raise notebooks.LessonError(f"the site cannot be built; Sphinx says:\n{said}")


def _publish(
    made: dict[str, list], lessons: dict[str, nbformat.NotebookNode], claims: nbformat.NotebookNode, place: Place
) -> None:
    """Puts the new site in the old one's place, with the files to download beside the pages."""
    fresh = SITE.with_name("site.new")
    shutil.rmtree(fresh, ignore_errors=True)
    unused = shutil.ignore_patterns(".buildinfo*", "*.map", "_sources", "webpack-macros.html")
    shutil.copytree(WORK / "html", fresh, ignore=unused)
    (fresh / ".nojekyll").touch()
    for folder in ("pages", "slides", "downloads/solutions"):
        (fresh / folder).mkdir(parents=True)
    for name, notebook in lessons.items():
        notebooks.write_text(page.page(copy.deepcopy(notebook)), fresh / "pages" / f"{name}.html")
        notebooks.write_text(slides.deck(copy.deepcopy(notebook), name), fresh / "slides" / f"{name}.html")
    notebooks.write_text(page.page(copy.deepcopy(claims)), fresh / "pages" / f"{ledger.PAGE.stem}.html")
    notebooks.write_text(sheet.page(), fresh / "pages" / for_readers.PRINTED)
    notebooks.write(claims, fresh / "downloads" / ledger.PAGE.name)
    for found in made.values():
        for path, notebook in found:
            target = fresh / "downloads" / path.relative_to(notebooks.FOLDER)
            notebooks.write(_to_run_alone(notebook, path, place), target)
    old = SITE.with_name("site.old")
    shutil.rmtree(old, ignore_errors=True)
    with suppress(FileNotFoundError):
        SITE.rename(old)
    fresh.rename(SITE)
    shutil.rmtree(old, ignore_errors=True)


SET_UP = """\
# Downloaded or opened in Colab, this fetches the helpers and data of the lessons. In the collection it does nothing.
import os, subprocess, sys

if not any(os.path.exists(f"{{above}}/utils") for above in ("..", "../..")):
    subprocess.run(["git", "clone", "--quiet", "--depth=1", "{repository}", "attention-masks"], check=True)
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "-e", "attention-masks"], check=True)
    sys.path.insert(0, os.path.abspath("attention-masks"))
    os.chdir("attention-masks/{folder}")"""
ALONE = (
    "*This notebook needs the helpers and the data of its collection: put it into the folder `notebooks` there.*\n\n"
)


def _to_run_alone(notebook: nbformat.NotebookNode, path: Path, place: Place) -> nbformat.NotebookNode:
    """A notebook for somebody who has nothing else: it fetches the collection or, if that has no address, says so."""
    notebook = copy.deepcopy(notebook)
    if place.repository:
        folder = path.parent.relative_to(notebooks.ROOT).as_posix()
        code = SET_UP.format(repository=place.repository, folder=folder)
        notebook.cells.insert(0, nbformat.v4.new_code_cell(code, id="set-up"))
    else:
        notebook.cells[0].source = ALONE + notebook.cells[0].source
    return notebook
