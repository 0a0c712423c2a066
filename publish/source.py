"""Source text → notebooks that nobody has executed: which lessons there are, and what each of them consists of.

A lesson is one MyST file, ``notebooks/src/NN_name.md``; a page to look things up is one without a number. A code cell
tagged ``exercise`` holds its solution between the lines ``### BEGIN SOLUTION`` and ``### END SOLUTION``, as nbgrader
has it: the lesson gets ``...`` in its place, the notebook in ``solutions`` keeps it; where the answer is ``drawn``, a
line says so. The next cell, tagged ``check``, calls what judges the answer.
"""

import copy
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import jupytext
import nbformat

from . import paths, questions
from .normalise import name_cells

SOLUTION = re.compile(r"^( *)### BEGIN SOLUTION\n(.*?)^ *### END SOLUTION\n?", re.MULTILINE | re.DOTALL)
MARKERS = re.compile(r"^ *### (BEGIN|END) SOLUTION\n?", re.MULTILINE)
#: The space of "25 %", which no line may break; sources have a plain one, which can be typed and searched for.
PERCENT = re.compile(r"(?<=\d) (?=%)")


def files() -> list[Path]:
    """The sources of all lessons, in order, and of the pages without a number behind them."""
    return paths.sources()


def lessons() -> list[Path]:
    """The sources of the lessons, which have numbers, without the pages to look things up."""
    return [path for path in files() if paths.is_lesson(path.stem)]


def chosen(lessons: Iterable[str]) -> list[Path]:
    """The sources of the lessons that begin so, all if none is named; LessonError where there is none."""
    everything = files()
    lessons = list(lessons)
    for lesson in lessons:
        if not any(source.stem.startswith(lesson) for source in everything):
            known = ", ".join(source.stem for source in everything)
            raise paths.LessonError(f"no lesson begins with {lesson!r}; there are {known}")
    return [s for s in everything if not lessons or any(s.stem.startswith(lesson) for lesson in lessons)]


def generate(source: Path) -> Iterator[tuple[Path, nbformat.NotebookNode]]:
    """What one source gives, not executed: path and notebook of the lesson, and of its solutions if it has exercises.

    Raises:
        LessonError: as ``marked``.
    """
    solved, answers = marked(source)
    lesson = copy.deepcopy(solved)
    for number in answers:
        _take_out_solution(lesson.cells[number])
        solved.cells[number].source = MARKERS.sub("", solved.cells[number].source).rstrip("\n")
    yield paths.FOLDER / f"{source.stem}.ipynb", lesson
    if answers:
        heading = f"*Solutions. The lesson itself: [{source.stem}](../{source.stem}.ipynb).*\n\n"
        solved.cells[0].source = heading + solved.cells[0].source
        _move_down(solved)
        yield paths.SOLUTIONS / f"{source.stem}.ipynb", solved


def marked(source: Path) -> tuple[nbformat.NotebookNode, list[int]]:
    """A lesson with its solutions, which the marks surround; and at which places it has exercises.

    Raises:
        LessonError: an exercise without a solution, or with more than one, or not followed by its check; or a
            question that is none.
    """
    lesson = jupytext.read(source, fmt="md:myst")
    lesson.metadata = nbformat.from_dict({"kernelspec": paths.KERNEL, "language_info": {"name": "python"}})
    questions.expand(lesson, source.stem)
    name_cells(lesson)
    for cell in lesson.cells:
        if cell.cell_type == "markdown":
            cell.source = PERCENT.sub("\N{NO-BREAK SPACE}", cell.source)
    tags = [paths.tags(cell) for cell in lesson.cells]
    answers = [number for number, names in enumerate(tags) if "exercise" in names]
    for number in answers:
        name, count = f"{source.name}: exercise {lesson.cells[number].id}", _solutions(lesson.cells[number])
        if count != 1:
            raise paths.LessonError(f"{name} has {count} solutions, wanted 1")
        if not any("check" in names for names in tags[number + 1 : number + 2]):
            raise paths.LessonError(f"{name} has no check: wanted a cell with this tag right after it")
    return lesson, answers


def _solutions(cell: nbformat.NotebookNode) -> int:
    """How many solutions a cell holds; a mark without its partner makes it none."""
    count = len(SOLUTION.findall(cell.source))
    return count if len(MARKERS.findall(cell.source)) == 2 * count else 0


def _take_out_solution(cell: nbformat.NotebookNode) -> None:
    """Puts a line that asks for the learner's answer where an exercise has its solution."""
    turn = "# draw in the widget, then run the next cell" if "drawn" in paths.tags(cell) else "...  # your turn"
    cell.source = SOLUTION.sub(rf"\1{turn}\n", cell.source).rstrip("\n")


def _move_down(notebook: nbformat.NotebookNode) -> None:
    """Makes relative paths right for a notebook in a folder below that of the lessons."""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = re.sub(r"\]\((\w+\.ipynb)", r"](../\1", cell.source)
            cell.source = cell.source.replace("](solutions/", "](")
        else:
            cell.source = cell.source.replace('"../data/', '"../../data/')
