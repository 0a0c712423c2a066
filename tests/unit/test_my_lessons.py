"""The learner's own copy of the lessons: what is put there, what is kept, and that no answer is ever lost."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest

from utils import lessons

ROOT = Path(__file__).parents[2]
ONE, TWO, THREE = "00_one.ipynb", "01_two.ipynb", "02_three.ipynb"
#: What a learner may have saved of a widget.
DRAWN = {lessons.STATES: {"state": {"a1": {"state": {"preset": "causal"}}}, "version_major": 2, "version_minor": 0}}
WIDGET = {"output_type": "display_data", "metadata": {}, "data": {"text/plain": "a picture"}}


def notebook(*sources: str, name: str = ONE) -> dict:
    """An executed lesson, with an exercise, a way to the data, a link to a lesson and one to solutions."""
    texts = ["# Title\n\nSee [two](01_two.ipynb#cell-id=x) and [print](sheet.html).\n", *sources]
    cells = [{"cell_type": "markdown", "id": "cell-00", "metadata": {}, "source": texts[0].splitlines(keepends=True)}]
    for number, source in enumerate(['open("../data/x.txt")', "def answer():\n    ...", *texts[1:]], 1):
        cells.append(
            {
                "cell_type": "code",
                "id": f"cell-{number:02}",
                "metadata": {"tags": ["exercise"]},
                "source": source.splitlines(keepends=True),
                "outputs": [WIDGET],
                "execution_count": number,
            }
        )
    end = f"More words. The [solutions](solutions/{name}) are in a notebook of their own."
    cells.append({"cell_type": "markdown", "id": "cell-end", "metadata": {}, "source": [end]})
    kernel = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}, "widgets": DRAWN}
    return {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}


@pytest.fixture
def collection(tmp_path, monkeypatch) -> Path:
    """Three small lessons, their solutions and data, in a folder that is the repository's root."""
    root = tmp_path / "repository"
    for folder in ("notebooks/solutions", "data", "utils"):
        (root / folder).mkdir(parents=True)
    for name in (ONE, TWO, THREE):
        change(root, name)
        (root / "notebooks" / "solutions" / name).write_text("{}")
    (root / "notebooks" / "sheet.html").write_text("to print")
    (root / "data" / "x.txt").write_text("data")
    monkeypatch.setattr(lessons, "ROOT", root)
    monkeypatch.setattr(lessons, "LESSONS", root / "notebooks")
    monkeypatch.delenv("SOLUTIONS", raising=False)
    return root


@pytest.fixture
def run(collection, capsys) -> Callable[..., str]:
    """Runs the command, and returns the one line that it prints; the status must be the wanted one."""

    def run(*arguments: str, status: int = 0) -> str:
        assert lessons.main([*arguments]) == status
        printed = capsys.readouterr()
        (line,) = (printed.err if status else printed.out).splitlines()
        assert not (printed.out if status else printed.err)
        return line.removeprefix("my_lessons: ")

    return run


@pytest.fixture
def mine(collection, run) -> Path:
    """The learner's folder, with all lessons in it."""
    assert run() == "3 lessons put there"
    return collection / "my_lessons"


def change(root: Path, name: str, *sources: str):
    """Writes a lesson, with some more cells."""
    (root / "notebooks" / name).write_text(json.dumps(notebook(*sources, name=name)))


def work(path: Path, edit: Callable[[dict], object]) -> bytes:
    """What a learner does with a copy, as JupyterLab would save it; the bytes of the file."""
    worked = json.loads(path.read_bytes())
    edit(worked)
    path.write_text(json.dumps(worked, indent=1))
    return path.read_bytes()


def answered(worked: dict):
    worked["cells"][2]["source"] = ["def answer():\n", "    return 42"]


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.startswith(".")}


def sources(path: Path) -> list[str]:
    return [cell.source for cell in nbformat.read(path, as_version=4).cells]


# --- what is put there -------------------------------------------------------------------------------


def test_a_copy_is_the_lesson_without_what_running_it_gave(mine, collection):
    assert set(files(mine)) == {ONE, TWO, THREE}
    copy, original = (nbformat.read(folder / ONE, as_version=4) for folder in (mine, collection / "notebooks"))
    nbformat.validate(copy)
    assert [(c.cell_type, c.id, c.metadata) for c in copy.cells] == [
        (c.cell_type, c.id, c.metadata) for c in original.cells
    ]
    code = [cell for cell in copy.cells if cell.cell_type == "code"]
    assert len(code) == 2
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code)
    assert code[1].source == "def answer():\n    ..."
    assert set(copy.metadata) == {"kernelspec", "language_info", "attention_masks"}
    assert "causal" not in (mine / ONE).read_text()


def test_a_copy_says_of_its_language_what_a_kernel_says_and_is_written_as_jupyter_writes(mine):
    ipykernel = pytest.importorskip("ipykernel.ipkernel")
    text = (mine / ONE).read_text(encoding="utf-8")
    copy = nbformat.reads(text, as_version=4)
    assert copy.metadata.language_info == ipykernel.IPythonKernel.language_info
    assert nbformat.writes(copy) + "\n" == text


@pytest.mark.parametrize("place", ["my_lessons", "elsewhere/deep/mine", "../other place/mine"])
def test_data_lessons_and_solutions_are_found_from_a_copy(place, collection, run):
    folder = collection / place
    run(str(folder))
    first, code, *_, last = sources(folder / ONE)
    links = dict(re.findall(r"\[(\w+)\]\(([^)#]*)", first + last))
    assert links["two"] == "01_two.ipynb"
    for words, target in (("print", "sheet.html"), ("solutions", f"solutions/{ONE}")):
        assert (folder / links[words].replace("%20", " ")).resolve() == collection / "notebooks" / target
    opened = subprocess.run([sys.executable, "-c", f"print({code}.read())"], cwd=folder, capture_output=True, text=True)
    assert opened.stdout == "data\n"


def test_data_are_found_from_a_folder_that_a_link_leads_to(collection, run, tmp_path):
    (tmp_path / "cloud" / "deep").mkdir(parents=True)
    (collection / "my_lessons").symlink_to(tmp_path / "cloud" / "deep")
    run()
    code = sources(collection / "my_lessons" / ONE)[1]
    opened = subprocess.run([sys.executable, "-c", f"print({code}.read())"], cwd=tmp_path / "cloud" / "deep", text=True)
    assert opened.returncode == 0


def test_from_another_drive_whole_paths_lead_to_data_and_solutions(collection, run, monkeypatch):
    """On Windows there is no relative path from one drive to another."""

    def relpath(*_):
        raise ValueError("path is on mount 'C:', start on mount 'D:'")

    monkeypatch.setattr(lessons.os.path, "relpath", relpath)
    run()
    first, code, *_, last = sources(collection / "my_lessons" / ONE)
    assert f"(01_two.ipynb#cell-id=x) and [print]({collection}/notebooks/sheet.html)" in first
    assert code == f'open("{collection}/data/x.txt")'
    assert f"({collection}/notebooks/solutions/{ONE})" in last


def test_without_solutions_nothing_leads_to_them(collection, run, monkeypatch):
    monkeypatch.setenv("SOLUTIONS", "no")
    assert run() == "3 lessons put there"
    assert sources(collection / "my_lessons" / ONE)[-1] == "More words."
    assert "olution" not in (collection / "my_lessons" / ONE).read_text()
    monkeypatch.setenv("SOLUTIONS", "never")
    assert run(status=1) == "SOLUTIONS: 'never'; wanted yes or no"


@pytest.mark.parametrize(
    ("markdown", "left"),
    [
        ("The [solution](solutions/00.ipynb) is in a notebook of its own.", ""),
        ("One. Two is [there](solutions/00.ipynb), too. Three.\n\nFour.", "One. Three.\n\nFour."),
        ("One.\nThe [answers](../notebooks/solutions/00.ipynb)\nare there.\n\n- a\n- b.", "One.\n\n- a\n- b."),
        ("A solution of [salt](05.ipynb).\nNext line. ", "A solution of [salt](05.ipynb).\nNext line. "),
    ],
)
def test_sentences_that_link_to_solutions_go_and_no_others(markdown, left):
    assert lessons.without_solutions(markdown) == left


def test_the_real_lessons_can_be_copied_and_their_links_lead_somewhere(tmp_path):
    folder = tmp_path / "mine"
    report = lessons.lay(folder)
    assert len(report.new) == len(list((ROOT / "notebooks").glob("*.ipynb"))) > 11
    checked = 0
    for name in report.new:
        copy = nbformat.read(folder / name, as_version=4)
        nbformat.validate(copy)
        for cell in copy.cells:
            assert cell.source
            assert not cell.get("outputs")
            if cell.cell_type == "markdown":
                for target in re.findall(r"\]\((?!https?:)([^)#\s]+\.(?:ipynb|html))", cell.source):
                    assert (folder / target).exists(), f"{name} → {target}"
                    checked += 1
            else:
                assert '"../data' not in cell.source, "the folder is elsewhere"
    assert checked > 100
    assert set(lessons.lay(folder).current) == set(report.new)


def test_the_command_needs_nothing_but_python(collection):
    """No site packages: neither torch nor anything of the extra that publishes."""
    for name in ("__init__.py", "lessons.py"):
        shutil.copy(ROOT / "utils" / name, collection / "utils")
    done = subprocess.run(
        [
            sys.executable,
            "-I",
            "-S",
            "-c",
            "import sys; sys.path.insert(0, '.'); from utils import lessons; lessons.main([])",
        ],
        cwd=collection,
        capture_output=True,
        text=True,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("my_lessons: 3 lessons put there\n", "")


def test_where_lessons_come_from_is_no_place_for_copies(collection, run, tmp_path, monkeypatch):
    before = files(collection / "notebooks" / "solutions")
    for folder in ("notebooks", "notebooks/solutions", "notebooks/mine"):
        assert "is where the lessons come from; name another" in run(str(collection / folder), status=1)
    assert files(collection / "notebooks" / "solutions") == before
    file = tmp_path / "file"
    file.touch()
    assert run(str(file), status=1).endswith("File exists")
    monkeypatch.setattr(lessons, "LESSONS", tmp_path / "nothing")
    assert "there are no lessons in" in run(status=1)


# --- what is kept ------------------------------------------------------------------------------------


def test_what_nobody_worked_in_is_refreshed(mine, collection, run):
    assert run() == "3 lessons up to date"
    change(collection, ONE, "new = 1")
    assert run() == "1 lesson refreshed, 2 up to date"
    assert "new = 1" in sources(mine / ONE)
    assert set(files(mine)) == {ONE, TWO, THREE}


def saved_by_another(worked: dict):
    """What JupyterLab, VS Code or a newer Python add by themselves."""
    worked["metadata"]["language_info"] = {"name": "python", "version": "3.99"}
    worked["metadata"]["widgets"] = {lessons.STATES: {"state": {}, "version_major": 2, "version_minor": 0}}
    for cell in worked["cells"]:
        cell["metadata"] |= {"collapsed": False, "trusted": True}


def test_saving_alone_is_no_work(mine, collection, run):
    work(mine / ONE, saved_by_another)
    change(collection, ONE, "new = 1")
    assert run() == "1 lesson refreshed, 2 up to date"


WORK = {
    "an answer": answered,
    "a cell more": lambda worked: worked["cells"].append({**worked["cells"][0], "source": ["my note"]}),
    "a cell less": lambda worked: worked["cells"].pop(1),
    "another order": lambda worked: worked["cells"].reverse(),
    "code as text": lambda worked: worked["cells"][1].update(cell_type="markdown"),
    "an output": lambda worked: worked["cells"][1]["outputs"].append(WIDGET),
    "a drawn mask": lambda worked: worked["metadata"].update(widgets=DRAWN),
    "a pasted picture": lambda worked: worked["cells"][0].update(attachments={"a.png": {"image/png": "AA=="}}),
}


@pytest.mark.parametrize("what", WORK)
def test_what_somebody_worked_in_stays_and_the_new_version_is_beside_it(what, mine, collection, run):
    before = work(mine / ONE, WORK[what])
    assert run() == "2 lessons up to date, 1 kept as you left it"
    assert set(files(mine)) == {ONE, TWO, THREE}
    change(collection, ONE, "new = 1")
    change(collection, TWO, "new = 2")
    said = "1 lesson refreshed, 1 up to date, 1 kept as you left it; 00_one.new.ipynb is its new version"
    assert run() == said
    assert (mine / ONE).read_bytes() == before
    assert "new = 1" in sources(mine / "00_one.new.ipynb")
    after = files(mine)
    assert run() == said.replace("1 lesson refreshed, 1 up to date", "2 lessons up to date")
    assert files(mine) == after


def test_one_line_says_what_was_done(mine, collection, run):
    for name in (ONE, TWO):
        work(mine / name, answered)
    change(collection, ONE, "new = 1")
    change(collection, THREE, "new = 1")
    said = "1 lesson refreshed, 2 kept as you left them; 00_one.new.ipynb is the new version of one of them"
    assert run() == said
    change(collection, TWO, "new = 1")
    both = "00_one.new.ipynb and 01_two.new.ipynb are their new versions"
    assert run() == f"1 lesson up to date, 2 kept as you left them; {both}"


def test_an_answer_that_was_taken_back_is_no_work(mine, collection, run):
    before = (mine / ONE).read_bytes()
    work(mine / ONE, answered)
    (mine / ONE).write_bytes(before)
    change(collection, ONE, "new = 1")
    assert run() == "1 lesson refreshed, 2 up to date"


def test_a_new_version_that_is_itself_worked_in_stays_too(mine, collection, run):
    first = work(mine / ONE, answered)
    change(collection, ONE, "new = 1")
    run()
    change(collection, ONE, "new = 2")
    run()
    assert "new = 2" in sources(mine / "00_one.new.ipynb"), "nobody had worked in it"
    second = work(mine / "00_one.new.ipynb", answered)
    assert run() == "2 lessons up to date, 1 kept as you left it; 00_one.new.ipynb is its new version"
    change(collection, ONE, "new = 3")
    assert run() == "2 lessons up to date, 1 kept as you left it; 00_one.new2.ipynb is its new version"
    assert "new = 3" in sources(mine / "00_one.new2.ipynb")
    third = work(mine / "00_one.new2.ipynb", answered)
    change(collection, ONE, "new = 4")
    run()
    assert "new = 4" in sources(mine / "00_one.new3.ipynb")
    kept = files(mine)
    assert (kept[ONE], kept["00_one.new.ipynb"], kept["00_one.new2.ipynb"]) == (first, second, third)


def test_a_new_version_that_was_deleted_does_not_come_back_until_there_is_a_newer_one(mine, collection, run):
    work(mine / ONE, answered)
    change(collection, ONE, "new = 1")
    run()
    (mine / "00_one.new.ipynb").unlink()
    assert run() == "2 lessons up to date, 1 kept as you left it"
    assert set(files(mine)) == {ONE, TWO, THREE}
    change(collection, ONE, "new = 2")
    assert "00_one.new.ipynb is its new version" in run()


def test_a_new_version_can_take_the_place_of_the_old_one(mine, collection, run):
    work(mine / ONE, answered)
    change(collection, ONE, "new = 1")
    run()
    (mine / "00_one.new.ipynb").replace(mine / ONE)
    assert run() == "3 lessons up to date"
    change(collection, ONE, "new = 2")
    assert run() == "1 lesson refreshed, 2 up to date"


@pytest.mark.parametrize("record", [None, "", "{", "[]", '{"00_one.ipynb": 5}'])
def test_the_record_may_be_lost(record, mine, collection, run):
    before = work(mine / ONE, answered)
    change(collection, ONE, "new = 1")
    run()
    (mine / "00_one.new.ipynb").unlink()
    (mine / lessons.OFFERED).unlink()
    if record is not None:
        (mine / lessons.OFFERED).write_text(record)
    assert "00_one.new.ipynb is its new version" in run()
    assert (mine / ONE).read_bytes() == before
    assert json.loads((mine / lessons.OFFERED).read_text()).keys() == {ONE}


def test_a_copy_that_does_not_say_what_it_was_is_the_learners(mine, collection, run):
    """Another program may have dropped what was noted; if it is what the lesson is, nothing can be lost."""
    before = work(mine / ONE, lambda worked: worked["metadata"].pop("attention_masks"))
    assert run() == "3 lessons up to date"
    change(collection, ONE, "new = 1")
    assert "00_one.new.ipynb is its new version" in run()
    assert (mine / ONE).read_bytes() == before


HALF = {
    "half a file": lambda path: path.write_bytes(path.read_bytes()[:300]),
    "nothing": lambda path: path.write_bytes(b""),
    "no UTF-8": lambda path: path.write_bytes(b"\xff\xfe"),
    "other JSON": lambda path: path.write_text("[1, 2]"),
    "no notebook": lambda path: path.write_text('{"cells": 5, "metadata": {}}'),
    "strange cells": lambda path: path.write_text('{"cells": [{"source": 7}], "metadata": []}'),
    "too deep": lambda path: path.write_text("[" * 100_000),
}


@pytest.mark.parametrize("what", HALF)
def test_what_cannot_be_read_is_the_learners(what, mine, run):
    HALF[what](mine / ONE)
    before = (mine / ONE).read_bytes()
    assert run() == "2 lessons up to date, 1 kept as you left it; 00_one.new.ipynb is its new version"
    assert (mine / ONE).read_bytes() == before


def test_links_and_folders_in_place_of_a_copy_stay(mine, collection, run, tmp_path):
    elsewhere = tmp_path / "elsewhere.ipynb"
    (mine / ONE).replace(elsewhere)
    (mine / ONE).symlink_to(elsewhere)
    (mine / TWO).unlink()
    (mine / TWO).symlink_to(tmp_path / "nothing.ipynb")
    (mine / THREE).unlink()
    (mine / THREE).mkdir()
    before = elsewhere.read_bytes()
    for name in (ONE, TWO, THREE):
        change(collection, name, "new = 1")
    assert "3 lessons kept as you left them; " in run()
    assert elsewhere.read_bytes() == before
    assert (mine / ONE).is_symlink()
    assert not (tmp_path / "nothing.ipynb").exists()
    assert (mine / THREE).is_dir()
    assert "new = 1" in sources(mine / "02_three.new.ipynb")


def test_a_lesson_that_its_learner_deleted_begins_anew(mine, run):
    before = work(mine / ONE, answered)
    (mine / ONE).rename(mine / "mine.ipynb")
    assert run() == "1 lesson put there, 2 up to date"
    assert (mine / "mine.ipynb").read_bytes() == before
    assert "    return 42" not in (mine / ONE).read_text()


def test_a_lesson_that_is_gone_or_has_another_name_stays_with_the_learner(mine, collection, run):
    before = {name: work(mine / name, answered) for name in (ONE, TWO)}
    (collection / "notebooks" / ONE).rename(collection / "notebooks" / "00_renamed.ipynb")
    (collection / "notebooks" / TWO).unlink()
    said = "1 lesson put there, 1 up to date; 00_one.ipynb and 01_two.ipynb are no longer among the lessons"
    assert run() == said
    assert {name: (mine / name).read_bytes() for name in before} == before


def test_a_lesson_that_cannot_be_read_stops_no_other(mine, collection, run):
    before = files(mine)
    (collection / "notebooks" / ONE).write_text("<<<<<<< HEAD")
    change(collection, TWO, "new = 1")
    said = "1 lesson refreshed, 1 up to date; 00_one.ipynb could not be put there: "
    assert run() == f"{said}{collection / 'notebooks' / ONE} is no notebook"
    assert (mine / ONE).read_bytes() == before[ONE]


# --- whatever happens --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("operation", "reason"), [("fsync", "No space left on device"), ("replace", "Permission denied")]
)
def test_a_full_disk_or_a_read_only_folder_changes_nothing(operation, reason, mine, collection, run, monkeypatch):
    number = {"No space left on device": 28, "Permission denied": 13}[reason]

    def fail(*_):
        raise OSError(number, os.strerror(number))

    work(mine / TWO, answered)
    before = {path.name: path.read_bytes() for path in mine.iterdir()}
    for name in (ONE, TWO):
        change(collection, name, "new = 1")
    monkeypatch.setattr(lessons.os, operation, fail)
    assert run() == f"1 lesson up to date; 00_one.ipynb and 01_two.ipynb could not be put there: {reason}"
    assert {path.name: path.read_bytes() for path in mine.iterdir()} == before, "and no litter"
    (mine / THREE).unlink()
    assert "could not be put there" in run(status=1), "a lesson that is not there at all is worth a status"


def test_a_copy_that_is_saved_while_it_is_about_to_be_replaced_stays(mine, collection, run, monkeypatch):
    """JupyterLab may write at any time; here it does so after the copy was judged."""
    real, saved = os.fsync, []

    def save_and_sync(file):
        if not saved:
            saved.append(work(mine / ONE, answered))
        real(file)

    change(collection, ONE, "new = 1")
    monkeypatch.setattr(lessons.os, "fsync", save_and_sync)
    assert run() == "2 lessons up to date, 1 kept as you left it"
    assert (mine / ONE).read_bytes() == saved[0]


def test_two_at_once_agree(mine, collection):
    for name in ("__init__.py", "lessons.py"):
        shutil.copy(ROOT / "utils" / name, collection / "utils")
    before = work(mine / ONE, answered)
    for name in (ONE, TWO):
        change(collection, name, "new = 1")
    command = [sys.executable, "-S", "-m", "utils.lessons"]
    running = [subprocess.Popen(command, cwd=collection, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    lines = [process.communicate()[0] for process in running]
    assert all(process.returncode == 0 for process in running)
    assert all(line.startswith("my_lessons: ") and line.count("\n") == 1 for line in lines)
    assert (mine / ONE).read_bytes() == before
    assert set(files(mine)) == {ONE, TWO, THREE, "00_one.new.ipynb"}
    for name in (TWO, "00_one.new.ipynb"):
        assert "new = 1" in sources(mine / name)
    assert not [*mine.glob("*.tmp")]


#: Runs the command in children of its own: the n-th dies before its n-th operation on files, until one lives. Then
#: there is a limit on the size of a file, at which the system kills in the middle of writing.
KILLED = """
import json, os, resource, shutil, signal, sys
sys.path.insert(0, ".")
from pathlib import Path
from utils import lessons

OPERATIONS = {"open", "write", "flush", "fsync", "replace", "unlink", "mkdir", "lstat", "stat", "lexists", "__exit__"}

def run_and_die(prepare):
    shutil.rmtree("my_lessons")
    shutil.copytree("before", "my_lessons")
    child = os.fork()
    if child == 0:
        prepare()
        lessons.main([])
        os._exit(0)
    _, status = os.waitpid(child, 0)
    after = {path.name: path.read_bytes() for path in Path("my_lessons").iterdir() if path.suffix != ".tmp"}
    judge = json.loads(sys.argv[1])
    for name, data in after.items():
        assert name in judge and data.decode() in judge[name], f"{name} is neither old nor new"
    assert set(os.listdir("before")) <= set(after), "something is gone"
    if not os.fork():
        os._exit(lessons.main([]))
    assert os.wait()[1] == 0
    after = {path.name: path.read_bytes() for path in Path("my_lessons").iterdir() if path.suffix != ".tmp"}
    assert {name: data.decode() for name, data in after.items()} == {name: states[-1] for name, states in judge.items()}
    return os.WIFSIGNALED(status)

def dying_at(number):
    left = number
    def count(frame, event, function):
        nonlocal left
        if event == "c_call" and function.__name__ in OPERATIONS:
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
    return lambda: sys.setprofile(count)

def dying_in(size):
    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    return limit

points = 0
while run_and_die(dying_at(points)):
    points += 1
inside = sum(run_and_die(dying_in(size)) for size in (0, 1, 100, 1000))
print("killed", points, inside)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes that fork")
def test_killed_at_any_moment_nothing_is_lost_and_the_next_run_finishes(mine, collection, run):
    for name in ("__init__.py", "lessons.py"):
        shutil.copy(ROOT / "utils" / name, collection / "utils")
    work(mine / ONE, answered)
    (mine / THREE).unlink()
    for name in (ONE, TWO):
        change(collection, name, "new = 1")
    before = {path.name: path.read_text() for path in mine.iterdir()}
    shutil.copytree(mine, collection / "before")
    run()
    after = {path.name: path.read_text() for path in mine.iterdir()}
    assert set(after) == {ONE, TWO, THREE, "00_one.new.ipynb", lessons.OFFERED}
    assert before[TWO] != after[TWO]
    states = {name: [*([before[name]] if name in before else []), after[name]] for name in after}
    done = subprocess.run(
        [sys.executable, "-S", "-c", KILLED, json.dumps(states)], cwd=collection, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    moments, inside = map(int, re.fullmatch(r"killed (\d+) (\d+)", done.stdout.splitlines()[-1]).groups())
    assert moments > 40
    assert inside == 4


def test_what_a_killed_run_leaves_goes_when_it_is_old(mine, run):
    old, young, own = (mine / name for name in (".a.tmp", ".b.tmp", "c.tmp"))
    for path in (old, young, own):
        path.write_text("half")
    for path in (old, own):
        os.utime(path, (0, 0))
    run()
    assert [path.exists() for path in (old, young, own)] == [False, True, True]


# JupyterLab saves


def shows(model: str) -> dict:
    return {"output_type": "display_data", "metadata": {}, "data": {lessons.VIEW: {"model_id": model}}}


def with_states(names: str, *outputs: dict) -> dict:
    """A notebook that shows widgets, with the states of the named ones; a and b consist of c and d."""
    parts = {"a": ["c", "d"], "b": ["d"]}
    states = {name: {"state": {"parts": [f"IPY_MODEL_{part}" for part in parts.get(name, "")]}} for name in names}
    widgets = {lessons.STATES: {"state": states, "version_major": 2, "version_minor": 0}}
    return {"cells": [{"cell_type": "code", "outputs": list(outputs)}], "metadata": {"widgets": widgets}}


@pytest.mark.parametrize(
    ("before", "now", "kept"),
    [
        ("abcde", "", "acd"),  # opened, and saved with nothing run
        ("abcde", "f", "acdf"),  # one cell was run again
        ("abcde", "acd", "acd"),
        ("", "", ""),
    ],
)
def test_what_is_shown_keeps_its_state_when_jupyterlab_forgets_it(before, now, kept, tmp_path):
    root = SimpleNamespace(root_dir=str(tmp_path))
    views = [shows("a"), *map(shows, now[:1]), WIDGET]
    (tmp_path / "mine.ipynb").write_text(json.dumps(with_states(before, *views)))
    notebook = with_states(now, *views)
    lessons.keep_states({"type": "notebook", "content": notebook}, "/mine.ipynb", root)
    assert notebook == with_states(kept, *views)


def test_what_is_no_notebook_or_new_is_saved_as_it_is(tmp_path):
    root, notebook = SimpleNamespace(root_dir=str(tmp_path)), with_states("", shows("a"))
    for model in ({"type": "file", "content": "text"}, {"type": "notebook", "content": notebook}):
        lessons.keep_states(model, "/new.ipynb", root)
    assert notebook == with_states("", shows("a"))
