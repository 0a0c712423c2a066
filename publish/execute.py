"""Gives notebooks their outputs: runs them in a kernel without a network, once for all that is published.

What a lesson's code gives is kept in ``dist/executed``, under a hash of all that it depends on. So notebooks, site,
pages, slides and tests share one execution, and a change of words needs none. Two processes that want the same lesson
execute it once: the second waits for the first.
"""

import hashlib
import json
import os
import platform
import re
from contextlib import suppress
from functools import cache
from importlib import metadata
from pathlib import Path

import nbformat
from filelock import FileLock
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat.reader import NotJSONError
from traitlets.config import Config

from . import normalise, paths, questions

#: Lessons must not fetch anything: neither from the hub nor through pip. Progress bars, which a slow machine shows,
#: are no part of a lesson. Threads that wait sleep, and leave the core to whatever runs beside.
OFFLINE = {"HF_HUB_OFFLINE": "1", "PIP_NO_INDEX": "1", "PYTHONHASHSEED": "0"}
OFFLINE |= {"TQDM_DISABLE": "1", "OMP_WAIT_POLICY": "passive"}
TIMEOUT = 300  # seconds that one cell may take


def execute_once(notebook: nbformat.NotebookNode, path: Path, fresh: bool = False) -> None:
    """Gives a notebook its outputs: those of an earlier execution if nothing has changed since, else of a new one.

    Args:
        notebook: receives the outputs, and the states of its widgets.
        path: where the notebook belongs.
        fresh: whether to execute it in any case.

    Raises:
        LessonError: as ``execute``.
    """
    cached = paths.ROOT / "dist" / "executed" / path.relative_to(paths.FOLDER)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    key = _key(code)
    cached.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{cached}.lock"):
        earlier = _earlier(cached, key)
        if earlier is None or fresh:
            execute(notebook, path)
            about = {"key": key, "widgets": notebook.metadata.setdefault("widgets", {})}
            normalise.write(nbformat.v4.new_notebook(cells=code, metadata=about), cached)
            return
    for cell, same in zip(code, earlier.cells, strict=True):
        cell.outputs, cell.execution_count = same.outputs, same.execution_count
    notebook.metadata.widgets = earlier.metadata.widgets


def execute(notebook: nbformat.NotebookNode, path: Path) -> None:
    """Runs all cells in a fresh kernel, offline, as if the notebook lay at ``path``.

    Raises:
        LessonError: an error in a cell, a warning, a cell that takes too long, or a kernel that dies.
    """
    name = path.relative_to(paths.ROOT).as_posix()
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
        raise paths.LessonError(f"{name}, {started[-1]}: {error.ename}: {error.evalue}") from error
    except CellTimeoutError as error:
        raise paths.LessonError(f"{name}, {started[-1]}: took more than {TIMEOUT} s") from error
    except DeadKernelError as error:
        raise paths.LessonError(f"{name}, {started[-1]}: the kernel died, perhaps for lack of memory") from error
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            if output.get("name") == "stderr":
                raise paths.LessonError(f"{name}, cell {cell.id} warns: {output.text.strip()[:500]}")


def _earlier(cached: Path, key: str) -> nbformat.NotebookNode | None:
    """The earlier execution under this key; None if there is none, or none that can be read."""
    with suppress(FileNotFoundError, NotJSONError):
        earlier = nbformat.read(cached, as_version=4)
        if earlier.metadata.get("key") == key:
            return earlier
    return None


def _key(code: list[nbformat.NotebookNode]) -> str:
    """A hash of what makes their outputs: code and questions, the package, its data, the versions of what they need."""
    texts = (f"{cell.source}{json.dumps(cell.metadata.get('question'))}" for cell in code)
    return hashlib.sha256("\0".join([surroundings(), *texts]).encode()).hexdigest()


@cache
def surroundings() -> str:
    """A hash of all that a lesson depends on, its own text aside.

    That is the package, its data, the versions of what it imports, and the tested versions of all the rest: a tool that
    somebody installs for development changes no lesson.
    """
    needed = [line for line in metadata.requires("attention-masks") or () if "extra ==" not in line]
    names = [re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in needed]
    versions = [f"{name}=={metadata.version(name)}" for name in sorted(names)]
    digest = hashlib.sha256(f"{platform.python_version()} {OFFLINE} {versions}".encode())
    root = paths.PACKAGE.parent
    data = root / "data"
    texts = {data / name for name in (questions.FILE, "claims.yml", "README.md")}
    not_read = {paths.README_PICTURE, paths.PACKAGE / "lessons.py", *texts}
    files = {path for folder in (paths.PACKAGE, data) for path in folder.rglob("*") if path.is_file()}
    files.add(root / "constraints.txt")
    for path in sorted(path for path in files - not_read if "__pycache__" not in path.parts):
        name = path.relative_to(root).as_posix()
        digest.update(name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
