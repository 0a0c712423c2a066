"""The notebooks that people open: each lesson executed, normalised and written, with its solutions beside it."""

import base64
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import nbformat
from nbformat.reader import NotJSONError

from . import execute, normalise, paths, questions, source


def build(lessons: Iterable[str] = (), fresh: bool = False) -> Iterator[Path]:
    """Executes lessons and writes their notebooks; yields each path when it is written.

    Args:
        lessons: numbers or name beginnings, such as ``"02"``; all lessons if empty.
        fresh: whether to execute even what has been executed.

    Raises:
        LessonError: no such lesson, an error in a cell, or a warning that nobody expects. The notebook
            that was there before stays as it is.
    """
    for lesson in source.chosen(lessons):
        for path, notebook in finished(lesson, fresh):
            path.parent.mkdir(exist_ok=True)
            normalise.write(notebook, path)
            yield path
            if path == paths.FOLDER / "00_start_here.ipynb":
                paths.README_PICTURE.write_bytes(first_picture(notebook))
                yield paths.README_PICTURE


def finished(lesson: Path, fresh: bool = False) -> Iterator[tuple[Path, nbformat.NotebookNode]]:
    """What one source gives, executed and ready to be written: the lesson, and its solutions if it has exercises.

    Raises:
        LessonError: as ``build``.
    """
    questions.write()  # the widgets read them
    for path, notebook in source.generate(lesson):
        execute.execute_once(notebook, path, fresh)
        normalise.normalise(notebook)
        with suppress(FileNotFoundError, NotJSONError):  # a merge conflict, say, which building repairs
            normalise.restore_measured(notebook, nbformat.read(path, as_version=4))
        yield path, notebook


def committed() -> list[Path]:
    """The notebooks of lessons, of pages with a source, and of solutions that lie in the repository."""
    written = [path for path in paths.FOLDER.glob("*.ipynb") if path.name != paths.CLAIMS.name]
    return sorted([*written, *paths.SOLUTIONS.glob("*.ipynb")])


def first_picture(notebook: nbformat.NotebookNode) -> bytes:
    """The first figure of an executed notebook, as a PNG file."""
    outputs = (output for cell in notebook.cells for output in cell.get("outputs", ()))
    return next(base64.b64decode(o.data["image/png"]) for o in outputs if "image/png" in o.get("data", ()))
