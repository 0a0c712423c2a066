"""Lessons as assignments of nbgrader: answers and checks get its marks, and the rest stays, so that it runs.

``dist/assignments`` is a course of nbgrader: its ``generate_assignment`` takes the solutions out, ``autograde`` runs
what learners hand in, and ``generate_feedback`` shows them the words of the checks. A check is strict there: what is
not right raises. Learners and graders need this collection installed, and its models; nbgrader, graders only.
"""

import ast
import re
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

import nbformat

from utils.lessons import without_solutions

from . import document, execute, normalise, paths, source

COURSE = paths.ROOT / "dist" / "assignments"
#: Points for each exercise; nbgrader's own tool in JupyterLab changes them.
POINTS = 1
CONFIGURATION = """\
# Settings of nbgrader, which looks for them where it is started.
c = get_config()
c.CourseDirectory.course_id = "attention_masks"
c.Execute.timeout = {seconds}  # a cell may load a model
c.KernelManager.transport_encryption = "auto"
"""
#: A file that a lesson reads.
DATA = re.compile(r'"\.\./(data/[^"]+)"')
#: What a learner hands in of a drawing. What is pasted stays text, so that its names are none of the lesson's.
PASTED = '''\
# Press "As code" below what you drew, and paste all of it between the quotation marks.
drawn = """
{code}
"""'''


def build(lessons: Iterable[str] = ()) -> Iterator[Path]:
    """Writes lessons as sources of assignments, all that have exercises if none is named; yields each path.

    Args:
        lessons: numbers or name beginnings, such as ``"05"``.

    Raises:
        LessonError: no such lesson, one without exercises, or one that names its solutions elsewhere.
    """
    lessons = list(lessons)
    COURSE.mkdir(parents=True, exist_ok=True)
    paths.write_text(CONFIGURATION.format(seconds=execute.TIMEOUT), COURSE / "nbgrader_config.py")
    for lesson in source.chosen(lessons):
        notebook, answers = source.marked(lesson)
        if answers:
            folder = COURSE / "source" / lesson.stem
            folder.mkdir(parents=True, exist_ok=True)
            yield normalise.write(_assignment(notebook, answers, folder), folder / f"{lesson.stem}.ipynb")
        elif lessons:
            raise paths.LessonError(f"{lesson.name} has no exercises")


def _assignment(notebook: nbformat.NotebookNode, answers: list[int], folder: Path) -> nbformat.NotebookNode:
    """A lesson with the metadata of nbgrader; files that it reads are copied to the folder."""
    normalise.normalise(notebook)  # with its metadata go the answers to its questions
    setup = next(cell for cell in notebook.cells if cell.cell_type == "code")
    setup.metadata.nbgrader = _graded("setup", locked=True)  # without its imports, no check would run
    for number in answers:
        answer, check = notebook.cells[number : number + 2]
        call = _call(check)
        name = ast.unparse(call.func).removeprefix("checks.")
        strict = [ast.keyword("strict", ast.Constant(True))]
        if "drawn" in paths.tags(answer):
            answer.source = PASTED.format(code=answer.source.replace("lab.keep = ", "keep = "))
            strict.insert(0, ast.keyword("code", ast.Name("drawn")))
        call.keywords.extend(strict)
        check.source = ast.unparse(call)
        answer.metadata.nbgrader = _graded(name, solution=True)
        check.metadata.nbgrader = _graded(f"{name}-check", grade=True, locked=True, points=POINTS)
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = document.without_links(without_solutions(cell.source))
        cell.source = DATA.sub(lambda match: _copied(match[1], folder), cell.source)
        if "solutions/" in cell.source:
            raise paths.LessonError(f"{folder.name}, cell {cell.id}: leads to the solutions")
    notebook.cells = [cell for cell in notebook.cells if cell.source.strip()]
    return notebook


def _graded(name: str, **values) -> nbformat.NotebookNode:
    """What nbgrader reads of a cell."""
    plain = {"grade": False, "solution": False, "locked": False, "task": False, "schema_version": 3}
    return nbformat.from_dict({"grade_id": name, **plain, **values})


def _call(check: nbformat.NotebookNode) -> ast.Call:
    """The call that a check's cell consists of.

    Raises:
        LessonError: there is something else in the cell.
    """
    match ast.parse(check.source).body:
        case [ast.Expr(ast.Call(ast.Attribute(ast.Name("checks"))) as call)]:
            return call
    raise paths.LessonError(f"cell {check.id}: a check is one call, such as checks.reach(reach)")


def _copied(name: str, folder: Path) -> str:
    """Copies a file of the repository to an assignment; returns how code there names it, with quotation marks."""
    target = folder / name
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(paths.ROOT / name, target)
    return f'"{name}"'
