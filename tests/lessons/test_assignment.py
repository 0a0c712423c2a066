"""Assignments for nbgrader: what is written, and the points that its own commands then give."""

import csv
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from publish import assignment, execute, paths, source
from tests.support import small_lesson

WITH_EXERCISES = [path.stem for path in source.files() if source.marked(path)[1]]
every_lesson = pytest.mark.parametrize("name", WITH_EXERCISES)


def build(folder: Path, *names: str) -> Path:
    """A course of nbgrader in a folder, which is returned."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(assignment, "COURSE", folder)
        list(assignment.build(names))
    return folder


def read(course: Path, step: str, name: str):
    return nbformat.read(course / step / name / f"{name}.ipynb", as_version=4)


def parts(notebook, part: str) -> list:
    """Its answers ("solution") or its checks ("grade")."""
    return [cell for cell in notebook.cells if cell.metadata.get("nbgrader", {}).get(part)]


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    return build(tmp_path_factory.mktemp("course"))


def test_every_lesson_with_exercises_is_an_assignment(course):
    assert sorted(path.name for path in (course / "source").iterdir()) == WITH_EXERCISES
    assert "cheat_sheet" not in WITH_EXERCISES


@every_lesson
def test_answers_and_checks_are_marked_as_nbgrader_has_it(name, course):
    notebook = read(course, "source", name)
    nbformat.validate(notebook)
    answers, checks = parts(notebook, "solution"), parts(notebook, "grade")
    assert len(answers) == len(checks) == len(source.marked(paths.SOURCES / f"{name}.md")[1])
    for answer, check in zip(answers, checks, strict=True):
        assert notebook.cells.index(check) == notebook.cells.index(answer) + 1
        assert answer.source.count("### BEGIN SOLUTION") == answer.source.count("### END SOLUTION") == 1
        assert check.source.startswith("checks.")
        assert check.source.endswith("strict=True)"), "without it, nothing would raise"
        assert (check.metadata.nbgrader.points, check.metadata.nbgrader.locked) == (1, True)
        assert check.metadata.nbgrader.grade_id == f"{answer.metadata.nbgrader.grade_id}-check"
    ids = [cell.metadata.nbgrader.grade_id for cell in notebook.cells if "nbgrader" in cell.metadata]
    assert len(ids) == len(set(ids))
    setup = next(cell for cell in notebook.cells if cell.cell_type == "code")
    assert "import" in setup.source
    assert "checks" in setup.source
    assert setup.metadata.nbgrader.locked


@every_lesson
def test_nothing_leads_to_a_solution_or_out_of_the_assignment(name, course):
    notebook = read(course, "source", name)
    for cell in notebook.cells:
        assert not cell.get("outputs")
        assert set(cell.metadata) <= {"tags", "jupyter", "nbgrader"}, "which answer is right is in no metadata"
        assert cell.source
        assert "solutions" not in cell.source
        assert ".ipynb" not in cell.source
        assert "../" not in cell.source
    asked = {
        match[1] for path in [paths.SOURCES / f"{name}.md"] for match in assignment.DATA.finditer(path.read_text())
    }
    assert all((course / "source" / name / file).read_bytes() == (paths.ROOT / file).read_bytes() for file in asked)


def test_a_drawing_is_pasted_as_text(course):
    notebook = read(course, "source", "00_start_here")
    (answer,) = [cell for cell in parts(notebook, "solution") if "drawn" in cell.source]
    check = notebook.cells[notebook.cells.index(answer) + 1].source
    assert check == "checks.left_to_right(lab, real=6, prompt=3, code=drawn, strict=True)"
    names: dict = {}
    exec(answer.source, names)
    assert "keep = " in names["drawn"]
    assert "lab" not in names["drawn"]


CHECK = ":tags: [check]\n\nchecks.reach(reach)"
EXERCISE = ":tags: [exercise]\n\n### BEGIN SOLUTION\nx = 1\n### END SOLUTION"


@pytest.mark.parametrize(
    ("cells", "says"),
    [
        (["x = 1"], "42_test.md has no exercises"),
        ([EXERCISE, CHECK + "\nprint(1)"], "cell-02: a check is one call"),
        ([EXERCISE, ":tags: [check]\n\nassert x"], "cell-02: a check is one call"),
        (["open('solutions/42_test.ipynb')", EXERCISE, CHECK], "42_test, cell cell-01: leads to the solutions"),
    ],
)
def test_a_lesson_that_is_no_assignment_is_named(cells, says, tmp_path, monkeypatch):
    small_lesson.write(tmp_path, monkeypatch, *cells)
    with pytest.raises(paths.LessonError, match=says):
        build(tmp_path / "course", "42")


# --- nbgrader itself ---------------------------------------------------------------------------------

#: who → which exercises are right; wrong ones return something, and those of "empty" are as they were released.
SUBMISSIONS = {"solved": {0, 1, 2}, "half": {0}, "wrong": set(), "empty": set()}


def nbgrader(course: Path, *command: str) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # nbgrader starts alembic by its name
    environment = {**os.environ, **execute.OFFLINE, "PATH": path}
    done = subprocess.run(
        [sys.executable, "-m", "nbgrader", *command], cwd=course, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def hand_in(course: Path, who: str, name: str) -> None:
    """Submits what was released, with some of it answered."""
    notebook, solutions = read(course, "release", name), parts(read(course, "source", name), "solution")
    for number, (answer, solution) in enumerate(zip(parts(notebook, "solution"), solutions, strict=True)):
        if number in SUBMISSIONS[who]:
            answer.source = solution.source
        elif who != "empty":
            answer.source = answer.source.replace("raise NotImplementedError()", "return 3")
    folder = course / "submitted" / who / name
    shutil.copytree(course / "release" / name, folder)
    nbformat.write(notebook, folder / f"{name}.ipynb")


@pytest.mark.gate
@pytest.mark.parametrize("name", ["02_padding", "05_causal_masks", "07_bert_2d_masks"])
def test_nbgrader_gives_the_points_of_what_was_solved(name, tmp_path):
    course = build(tmp_path, name)
    nbgrader(course, "generate_assignment", name)
    released = (course / "release" / name / f"{name}.ipynb").read_text()
    assert "SOLUTION" not in released
    assert "YOUR CODE HERE" in released
    for who in SUBMISSIONS:
        hand_in(course, who, name)
    for command in (["autograde", name], ["generate_feedback", name], ["export"]):
        nbgrader(course, *command)
    with (course / "grades.csv").open() as file:
        scores = {row["student_id"]: (float(row["score"]), float(row["max_score"])) for row in csv.DictReader(file)}
    most = len(parts(read(course, "source", name), "grade"))
    assert scores == {"solved": (most, most), "half": (1, most), "wrong": (0, most), "empty": (0, most)}
    for who, count in {"solved": (most, 0, 0), "half": (1, most - 1, 0), "wrong": (0, most, 0)}.items():
        feedback = (course / "feedback" / who / name / f"{name}.html").read_text()
        assert tuple(map(feedback.count, ("Right: ", "Not yet: ", "Not tried yet."))) == count
    for cell in nbformat.read(course / "autograded" / "solved" / name / f"{name}.ipynb", as_version=4).cells:
        assert not [output for output in cell.get("outputs", ()) if output.output_type == "error"], cell.source
