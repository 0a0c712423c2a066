"""Source text → executed, normalised notebook. The text is what people edit, the notebook what they open.

A lesson is one MyST file, ``notebooks/src/NN_name.md``. A code cell tagged ``exercise`` holds its solution
between the lines ``# solution`` and ``# end of solution``: the lesson gets ``...`` in its place, the
notebook in ``solutions`` keeps it; where the answer is ``drawn``, a line says so. Other tags: ``claim-…`` names a
row of the claims ledger, ``measured`` says that the numbers in the output differ from run to run, ``needs-kernel``
that a widget does nothing without one; ``slide`` and its kin are those of ``slides.py``.

What a lesson's code gives is kept in ``dist/executed``, under a hash of all that it depends on. So notebooks, site,
pages, slides and tests share one execution, and a change of words needs none.
"""

import base64
import copy
import hashlib
import json
import os
import platform
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import cache
from importlib import metadata
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat.reader import NotJSONError
from packaging.requirements import Requirement
from traitlets.config import Config

HERE = Path(__file__).parent
ROOT = HERE.parent
PACKAGE = ROOT / "utils"
FOLDER = ROOT / "notebooks"
SOURCES = FOLDER / "src"
SOLUTIONS = FOLDER / "solutions"

README_PICTURE = ROOT / "data" / "before_after.png"

#: Lessons must not fetch anything: neither from the hub nor through pip. Progress bars, which a slow machine shows,
#: are no part of a lesson. Threads that wait sleep, and leave the core to whatever runs beside.
OFFLINE = {"HF_HUB_OFFLINE": "1", "PIP_NO_INDEX": "1", "PYTHONHASHSEED": "0"}
OFFLINE |= {"TQDM_DISABLE": "1", "OMP_WAIT_POLICY": "passive"}
TIMEOUT = 300  # seconds that one cell may take
KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
VIEW = "application/vnd.jupyter.widget-view+json"
STATE = "application/vnd.jupyter.widget-state+json"
SOLUTION = re.compile(r"^( *)# solution\n.*?^ *# end of solution\n?", re.MULTILINE | re.DOTALL)
MARKERS = re.compile(r"^ *# (end of )?solution\n?", re.MULTILINE)
NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?:e[+-]?\d+)?")  # as prints have them, not within a word
REBUILD = "python -m publish notebooks"


class LessonError(Exception):
    """A lesson that cannot be published; the message names it, and the cell."""


def build(lessons: Iterable[str] = (), fresh: bool = False) -> Iterator[Path]:
    """Executes lessons and writes their notebooks; yields each path when it is written.

    Args:
        lessons: numbers or name beginnings, such as ``"02"``; all lessons if empty.
        fresh: whether to execute even what has been executed.
    Raises:
        LessonError: no such lesson, an error in a cell, or a warning that nobody expects. The notebook
            that was there before stays as it is.
    """
    for source in chosen(lessons):
        for path, notebook in finished(source, fresh):
            path.parent.mkdir(exist_ok=True)
            write(notebook, path)
            yield path
            if path == FOLDER / "00_start_here.ipynb":
                README_PICTURE.write_bytes(first_picture(notebook))
                yield README_PICTURE


def finished(source: Path, fresh: bool = False) -> Iterator[tuple[Path, nbformat.NotebookNode]]:
    """What one source gives, executed and ready to be written: the lesson, and its solutions if it has exercises.

    Raises:
        LessonError: as ``build``.
    """
    for path, notebook in generate(source):
        execute_once(notebook, path, fresh)
        normalise(notebook)
        with suppress(FileNotFoundError, NotJSONError):  # a merge conflict, say, which this mends
            keep_measured(notebook, nbformat.read(path, as_version=4))
        yield path, notebook


def generate(source: Path) -> Iterator[tuple[Path, nbformat.NotebookNode]]:
    """What one source gives, not executed: the lesson, and its solutions if it has exercises."""
    notebook = jupytext.read(source, fmt="md:myst")
    notebook.metadata = nbformat.from_dict({"kernelspec": KERNEL, "language_info": {"name": "python"}})
    _name_cells(notebook)
    lesson, solved = copy.deepcopy(notebook), copy.deepcopy(notebook)
    exercises = 0
    for cell, solved_cell in zip(lesson.cells, solved.cells, strict=True):
        if "exercise" in cell.metadata.get("tags", ()):
            turn = "# draw in the widget, then run this cell" if "drawn" in cell.metadata.tags else "...  # your turn"
            cell.source, count = SOLUTION.subn(rf"\1{turn}\n", cell.source)
            cell.source = cell.source.rstrip("\n")
            solved_cell.source = MARKERS.sub("", solved_cell.source)
            exercises += 1
            if count != 1:
                raise LessonError(f"{source.name}: exercise {cell.id} has {count} solutions, wanted 1")
    yield FOLDER / f"{source.stem}.ipynb", lesson
    if exercises:
        heading = f"*Solutions. The lesson itself: [{source.stem}](../{source.stem}.ipynb).*\n\n"
        solved.cells[0].source = heading + solved.cells[0].source
        for cell in solved.cells:  # paths, seen from one folder below
            if cell.cell_type == "markdown":
                cell.source = re.sub(r"\]\((\d\d_\w+\.ipynb)", r"](../\1", cell.source)
                cell.source = cell.source.replace("](solutions/", "](")
            else:
                cell.source = cell.source.replace('"../data/', '"../../data/')
        yield SOLUTIONS / f"{source.stem}.ipynb", solved


def execute_once(notebook: nbformat.NotebookNode, path: Path, fresh: bool = False) -> None:
    """Gives a notebook its outputs: those of an earlier execution, if that can still be told; else it is executed."""
    kept = ROOT / "dist" / "executed" / path.relative_to(FOLDER)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    key = _key(code)
    with suppress(FileNotFoundError, NotJSONError):
        before = nbformat.read(kept, as_version=4)
        if before.metadata.get("key") == key and not fresh:
            for cell, same in zip(code, before.cells, strict=True):
                cell.outputs, cell.execution_count = same.outputs, same.execution_count
            notebook.metadata.widgets = before.metadata.widgets
            return
    execute(notebook, path)
    about = {"key": key, "widgets": notebook.metadata.setdefault("widgets", {})}
    kept.parent.mkdir(parents=True, exist_ok=True)
    write(nbformat.v4.new_notebook(cells=code, metadata=about), kept)


def execute(notebook: nbformat.NotebookNode, path: Path) -> None:
    """Runs all cells in a fresh kernel, offline, as if the notebook lay at ``path``."""
    name = path.relative_to(ROOT).as_posix()
    path.parent.mkdir(exist_ok=True)  # where its kernel runs, as in JupyterLab
    started: list[str] = []
    client = NotebookClient(
        notebook,
        timeout=TIMEOUT,
        kernel_name="python3",
        resources={"metadata": {"path": str(path.parent)}},
        on_cell_start=lambda cell, cell_index: started.append(f"cell {cell.id}"),
        # What passes between here and the kernel is encrypted, and the kernel has nothing to warn about.
        config=Config({"KernelManager": {"transport_encryption": "auto"}}),
    )
    try:
        client.execute(env={**os.environ, **OFFLINE})
    except CellExecutionError as error:
        raise LessonError(f"{name}, {started[-1]}: {error.ename}: {error.evalue}") from error
    except CellTimeoutError as error:
        raise LessonError(f"{name}, {started[-1]}: took more than {TIMEOUT} s") from error
    except DeadKernelError as error:
        raise LessonError(f"{name}, {started[-1]}: the kernel died, perhaps for lack of memory") from error
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            if output.get("name") == "stderr":
                raise LessonError(f"{name}, cell {cell.id} warns: {output.text.strip()[:500]}")


def normalise(notebook: nbformat.NotebookNode) -> None:
    """Leaves what a reader needs: widgets and what they show, no timings, no editor settings, stable ids."""
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    _name_cells(notebook)
    widgets = _widgets(notebook)
    notebook.metadata = nbformat.from_dict({"kernelspec": KERNEL, "language_info": {"name": "python"}, **widgets})
    for cell in notebook.cells:
        tags = cell.metadata.get("tags")
        cell.metadata = nbformat.from_dict({"tags": tags} if tags else {})
        if cell.cell_type == "code":
            cell.outputs = _joined(cell.outputs)


def keep_measured(notebook: nbformat.NotebookNode, before: nbformat.NotebookNode) -> None:
    """Keeps the numbers of cells that measure time as they were, so that building twice changes nothing."""
    old = {cell.source: cell for cell in before.cells if cell.cell_type == "code"}
    for cell in notebook.cells:
        measured, same = "measured" in cell.metadata.get("tags", ()), old.get(cell.source)
        if measured and same and words(same) == words(cell):
            cell.outputs = same.outputs


def shown(cell: nbformat.NotebookNode) -> str:
    """What a code cell shows, as text: prints, results, and the alt text of figures."""
    texts = (output.get("text") or output.get("data", {}).get("text/plain", "") for output in cell.get("outputs", ()))
    return "\n".join(texts)


def words(cell: nbformat.NotebookNode) -> str:
    """What a code cell shows, with every number blanked."""
    return NUMBER.sub("#", shown(cell))


def normalise_file(path: Path) -> bool:
    """Normalises one notebook in place; True if that changed it."""
    before = path.read_text(encoding="utf-8")
    notebook = nbformat.reads(before, as_version=4)
    normalise(notebook)
    if _text(notebook) == before:
        return False
    write(notebook, path)
    return True


def write(notebook: nbformat.NotebookNode, path: Path) -> Path:
    """Writes a notebook, whole or not at all."""
    return write_text(_text(notebook), path)


def write_text(text: str, path: Path) -> Path:
    """Writes a file through one beside it, so that nobody finds half of it."""
    scratch = path.with_name(f"{path.name}.tmp")
    scratch.write_text(text, encoding="utf-8")
    return scratch.replace(path)


def first_picture(notebook: nbformat.NotebookNode) -> bytes:
    """The first figure of an executed notebook, as a PNG file."""
    outputs = (output for cell in notebook.cells for output in cell.get("outputs", ()))
    return next(base64.b64decode(o.data["image/png"]) for o in outputs if "image/png" in o.get("data", ()))


def committed() -> list[Path]:
    """The notebooks that lie in the repository."""
    return sorted([*FOLDER.glob("[0-9][0-9]_*.ipynb"), *SOLUTIONS.glob("*.ipynb")])


def sources() -> list[Path]:
    """The sources of all lessons, in order."""
    return sorted(SOURCES.glob("[0-9][0-9]_*.md"))


def chosen(lessons: Iterable[str]) -> list[Path]:
    """The sources of the lessons that begin so, all if none is named; LessonError where there is none."""
    everything = sources()
    lessons = list(lessons)
    for lesson in lessons:
        if not any(source.stem.startswith(lesson) for source in everything):
            known = ", ".join(source.stem for source in everything)
            raise LessonError(f"no lesson begins with {lesson!r}; there are {known}")
    return [s for s in everything if not lessons or any(s.stem.startswith(lesson) for lesson in lessons)]


def _key(code: list[nbformat.NotebookNode]) -> str:
    """A hash of what makes their outputs: the code, the package, its data, and the versions of what it needs."""
    return hashlib.sha256("\0".join([surroundings(), *(cell.source for cell in code)]).encode()).hexdigest()


@cache
def surroundings() -> str:
    """A hash of all that a lesson depends on, its own text aside."""
    found = hashlib.sha256(f"{platform.python_version()} {OFFLINE}".encode())
    for name in _needed("attention-masks"):
        found.update(f"{name}=={metadata.version(name)}".encode())
    data = PACKAGE.parent / "data"
    files = [path for folder in (PACKAGE, data) for path in folder.rglob("*") if path.is_file()]
    for path in sorted(files):
        where = path.relative_to(PACKAGE.parent)
        if "__pycache__" in where.parts:
            continue
        if path not in (README_PICTURE, data / "claims.yml", data / "README.md"):
            found.update(where.as_posix().encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return found.hexdigest()


def _needed(package: str) -> list[str]:
    """Names of the packages that this one needs, and those need, sorted; not what it takes to develop them."""
    found = {package}
    waiting = [package]
    while waiting:
        for line in metadata.requires(waiting.pop()) or ():
            wanted = Requirement(line)
            if wanted.name not in found and (wanted.marker is None or wanted.marker.evaluate({"extra": ""})):
                with suppress(metadata.PackageNotFoundError):  # torch names CUDA packages that its CPU build lacks
                    metadata.version(wanted.name)
                    found.add(wanted.name)
                    waiting.append(wanted.name)
    return sorted(found)


def _name_cells(notebook: nbformat.NotebookNode) -> None:
    """Ids that stay when a lesson is rebuilt: the claim that a cell proves, else its place."""
    used: set[str] = set()
    for position, cell in enumerate(notebook.cells):
        claims = [tag for tag in cell.metadata.get("tags", ()) if tag.startswith("claim-")]
        name = claims[0].replace(".", "-") if claims else f"cell-{position:02d}"
        if name in used:
            name = f"{name}-{position:02d}"
        used.add(name)
        cell.id = name


def _widgets(notebook: nbformat.NotebookNode) -> dict:
    """The saved state of the widgets that are on show, under ids that stay when a lesson is rebuilt.

    A view whose state was not saved, or that is dead without Python, is taken out of its output, which then shows
    its picture instead.
    """
    saved = notebook.metadata.get("widgets", {}).get(STATE, {}).get("state", {})
    names: dict[str, str] = {}
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            view = output.get("data", {}).get(VIEW)
            if view is None:
                continue
            if view["model_id"] not in saved or "needs-kernel" in cell.metadata.get("tags", ()):
                del output.data[VIEW]
                continue
            for found in _family(view["model_id"], saved):
                names.setdefault(found, hashlib.md5(f"{cell.id} {len(names)}".encode()).hexdigest())
            view["model_id"] = names[view["model_id"]]
    if not names:
        return {}
    text = json.dumps({names[found]: saved[found] for found in names})
    for old, new in names.items():
        text = text.replace(f"IPY_MODEL_{old}", f"IPY_MODEL_{new}")
    return {"widgets": {STATE: {"state": json.loads(text), "version_major": 2, "version_minor": 0}}}


def _family(model_id: str, saved: dict) -> list[str]:
    """A widget's id and those of all widgets that it is made of, each once, in the order of first mention."""
    family = [model_id]
    for member in family:  # grows while we walk
        for found in re.findall(r"IPY_MODEL_(\w+)", json.dumps(saved[member])):
            if found in saved and found not in family:
                family.append(found)
    return family


def _joined(outputs) -> list:
    """Prints that arrived in several pieces become one, so that their number does not depend on timing."""
    joined: list = []
    for output in outputs:
        last = joined[-1] if joined else None
        if last and output.output_type == last.output_type == "stream" and output.name == last.name:
            last.text += output.text
        else:
            joined.append(output)
    return joined


def _text(notebook: nbformat.NotebookNode) -> str:
    return nbformat.writes(notebook) + "\n"
