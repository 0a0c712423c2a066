"""The lessons: what is committed is what the sources give, it runs offline, and every claim is asserted."""

import ast
import json
import re
import time
from concurrent.futures import ThreadPoolExecutor

import nbformat
import pytest

from publish import execute, normalise, notebooks, paths, questions, source
from tests.support import small_lesson
from utils import checks, widgets

NAMES = [
    "00_start_here.ipynb",
    "solutions/00_start_here.ipynb",
    "01_ragged_tensors.ipynb",
    "solutions/01_ragged_tensors.ipynb",
    "02_padding.ipynb",
    "solutions/02_padding.ipynb",
    "03_left_or_right.ipynb",
    "solutions/03_left_or_right.ipynb",
    "04_minus_infinity.ipynb",
    "solutions/04_minus_infinity.ipynb",
    "05_causal_masks.ipynb",
    "solutions/05_causal_masks.ipynb",
    "06_two_masks.ipynb",
    "solutions/06_two_masks.ipynb",
    "07_bert_2d_masks.ipynb",
    "solutions/07_bert_2d_masks.ipynb",
    "08_measure_it.ipynb",
    "solutions/08_measure_it.ipynb",
    "09_compute.ipynb",
    "solutions/09_compute.ipynb",
    "10_two_texts.ipynb",
    "solutions/10_two_texts.ipynb",
    "11_outside_the_mask.ipynb",
    "solutions/11_outside_the_mask.ipynb",
    "12_masks_that_grow.ipynb",
    "solutions/12_masks_that_grow.ipynb",
    "13_a_mask_is_a_bias.ipynb",
    "solutions/13_a_mask_is_a_bias.ipynb",
    "appendix_mha.ipynb",
    "cheat_sheet.ipynb",
    "what_went_wrong.ipynb",
]
every_notebook = pytest.mark.parametrize("name", NAMES)
STALE = f"{{}} is not what its source gives. Run: {paths.REBUILD}"


def committed(name):
    return nbformat.read(paths.FOLDER / name, as_version=4)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def tags(cell):
    return set(cell.metadata.get("tags", ()))


def test_the_list_above_is_complete():
    assert {path.relative_to(paths.FOLDER).as_posix() for path in notebooks.committed()} == set(NAMES)


@every_notebook
def test_committed_cells_are_those_of_the_source(name, executed):
    old, new = (
        [(cell.cell_type, cell.id, cell.source, tags(cell)) for cell in notebook.cells]
        for notebook in (committed(name), executed[name])
    )
    assert old == new, STALE.format(name)


@every_notebook
def test_committed_outputs_are_those_of_a_fresh_run(name, executed):
    """Words must agree exactly; numbers within rounding, and not at all where a cell measures time."""
    for old, new in zip(code_cells(committed(name)), code_cells(executed[name]), strict=True):
        assert [sorted(o.get("data", {})) for o in old.outputs] == [sorted(o.get("data", {})) for o in new.outputs]
        assert normalise.words(old) == normalise.words(new), STALE.format(f"{name}, {old.id},")
        if "measured" not in tags(old):
            numbers = [[float(n) for n in normalise.NUMBER.findall(normalise.shown(cell))] for cell in (old, new)]
            assert numbers[0] == pytest.approx(numbers[1], rel=1e-2, abs=2e-4), STALE.format(f"{name}, {old.id},")


@every_notebook
def test_notebooks_are_normalised_and_small(name):
    path = paths.FOLDER / name
    assert not normalise.normalise_file(path), f"{name} was not normalised; now it is"
    assert path.stat().st_size < 1_100_000  # a widget brings its program and a picture
    notebook = committed(name)
    nbformat.validate(notebook)
    assert {"kernelspec", "language_info"} <= set(notebook.metadata) <= {"kernelspec", "language_info", "widgets"}
    assert [cell.execution_count for cell in code_cells(notebook)] == list(range(1, len(code_cells(notebook)) + 1))


@every_notebook
def test_every_figure_has_alt_text(name, executed):
    figures = [o for c in code_cells(executed[name]) for o in c.outputs if "image/png" in o.get("data", {})]
    assert figures
    for output in figures:
        alt = output.metadata["image/png"]["alt"]
        assert len(alt.split()) > 10
        images = re.findall("<img [^>]*>", output.data["text/html"])
        assert images
        assert all('alt="' in image and 'class="masks-figure"' in image for image in images), "dark on a dark page"


def views(notebook):
    """(cell, model id) of every widget on show."""
    for cell in code_cells(notebook):
        for output in cell.outputs:
            if view := output.get("data", {}).get(paths.VIEW):
                yield cell, view["model_id"]


def states(notebook):
    return notebook.metadata.get("widgets", {}).get(paths.STATE, {}).get("state", {})


@every_notebook
def test_widgets_are_saved_whole_under_ids_that_stay(name, executed):
    """Opened again, on a page or without a kernel, a widget is there with the program of today."""
    old, new = committed(name), executed[name]
    assert [(cell.id, model_id) for cell, model_id in views(old)] == [(c.id, m) for c, m in views(new)]
    shown = [states(old)[model_id] for _, model_id in views(old)]
    assert shown, "every lesson has a widget"
    for saved in shown:
        kind = getattr(widgets, saved["state"]["_anywidget_id"].split(".")[-1])
        assert saved["state"]["_esm"] == str(kind._esm), STALE.format(name)
        assert saved["state"]["_css"] == str(kind._css), STALE.format(name)
    needed = set(re.findall(r"IPY_MODEL_(\w+)", json.dumps(states(old)))) | {model_id for _, model_id in views(old)}
    assert set(states(old)) == needed, "nothing is missing and nothing is left over"


@every_notebook
def test_widgets_come_with_a_written_task(name):
    """Before it, as on a slide, or after it."""
    cells = [cell for cell in committed(name).cells if not {"proof", "alts"} & tags(cell)]
    for number, cell in enumerate(cells):
        shows = any(paths.VIEW in output.get("data", {}) for output in cell.get("outputs", ()))
        if (shows and not questions.asked(cell)) or "needs-kernel" in tags(cell):
            before = number - 1 if cells[number - 1].cell_type == "markdown" else number - 2  # code that it needs
            around = (cells[n] for n in (before, number + 1, number + 2) if n < len(cells))
            assert "**Task.**" in "".join(near.source for near in around if near.cell_type == "markdown"), cell.id


@every_notebook
def test_exercises_are_untouched_in_lessons_and_right_in_solutions(name, executed):
    solved = name.startswith("solutions/")
    for cell in code_cells(executed[name]):
        assert "SOLUTION" not in cell.source
        if "exercise" in tags(cell):
            turn = "# draw in the widget" if "drawn" in tags(cell) else "...  # your turn"
            assert (turn in cell.source) != solved
            assert "checks." not in cell.source
        if "check" in tags(cell):
            assert normalise.shown(cell).startswith("Right: " if solved else "Not tried yet.")


@pytest.mark.parametrize("lesson", source.lessons(), ids=lambda path: path.stem)
def test_three_exercises_each_with_a_hint_and_a_check_of_its_own(lesson):
    notebook, answers = source.marked(lesson)
    assert len(answers) == 3
    cells = notebook.cells
    assert all("<details><summary>Hint</summary>" in cells[number - 1].source for number in answers)
    calls = [cells[number + 1].source.partition("(")[0] for number in answers]
    assert len(set(calls)) == 3
    used = {call.removeprefix("checks.") for call in calls}
    assert used <= set(checks.__all__)


def test_every_check_belongs_to_an_exercise():
    sources = "".join(path.read_text() for path in source.files())
    names = {name for name in checks.__all__ if name[0].islower()} - {"drawn"}  # which left_to_right calls
    assert set(re.findall(r"^checks\.(\w+)\(", sources, re.MULTILINE)) == names


@every_notebook
def test_code_cells_are_short_and_fit_a_narrow_window(name):
    for cell in code_cells(committed(name)):
        lines = cell.source.splitlines()
        assert max(map(len, lines)) <= 92, f"{cell.id}: {max(lines, key=len)}"
        assert {"proof", "alts"} & tags(cell) or len([line for line in lines if line.strip()]) <= 15, cell.id


@every_notebook
def test_no_variable_is_called_plain_mask(name):
    for cell in code_cells(committed(name)):
        names = {node.id for node in ast.walk(ast.parse(cell.source)) if isinstance(node, ast.Name)}
        assert not names & {"mask", "masked_tensor"}, cell.id


def test_the_readmes_picture_is_the_first_figure():
    assert paths.README_PICTURE.read_bytes() == notebooks.first_picture(committed("00_start_here.ipynb"))


def test_every_line_of_the_cheat_sheet_is_run():
    """Code in tables 3 to 5 is in a code cell too, spaces, line breaks and quotation marks aside."""
    cells = committed("cheat_sheet.ipynb").cells

    def bare(code):
        return re.sub(r"\s|\\|'", "", code)

    run = bare("".join(cell.source for cell in cells if cell.cell_type == "code"))
    tables = "".join(cell.source for cell in cells if cell.cell_type == "markdown")
    tables = tables[tables.index("## 3.") : tables.index("## 6.")]
    lines = [line for line in re.findall(r"`([^`]+)`", tables) if re.search(r"[(\[=]", line)]
    assert len(lines) > 40
    assert not [line for line in lines if bare(line) not in run]


def headings(path):
    """What notebooks call the headings of a source: their words, with hyphens between them."""
    text = re.sub(r"^```.*?^```$", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return {
        re.sub("[`*]", "", words).strip().replace(" ", "-") for words in re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    }


@pytest.mark.parametrize("path", source.files(), ids=lambda path: path.stem)
def test_links_to_headings_lead_to_them(path):
    for name, heading in re.findall(r"\]\((\w+(?=\.ipynb))?(?:\.ipynb)?#([^)\s]+)\)", path.read_text(encoding="utf-8")):
        if not heading.startswith("cell-id="):
            assert heading in headings(paths.SOURCES / f"{name or path.stem}.md"), (name, heading)


# --- the machinery -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cell", "says"),
    [
        ("1 / 0", r"42_test.ipynb, cell cell-02: ZeroDivisionError: division by zero"),
        ("import warnings; warnings.warn('look out')", "cell cell-02 warns: .*look out"),
        (
            "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
            "42_test.ipynb, cell cell-02: the kernel died",
        ),
    ],
)
def test_a_lesson_that_fails_is_named_and_the_old_notebook_stays(cell, says, tmp_path, monkeypatch):
    target = small_lesson.write(tmp_path, monkeypatch, "x = 1", cell)
    target.write_text("the last good one")
    with pytest.raises(paths.LessonError, match=says):
        list(notebooks.build())
    assert target.read_text() == "the last good one"
    assert not list(tmp_path.glob("*.tmp"))


def test_lessons_cannot_reach_the_network(tmp_path, monkeypatch):
    from tests.support import offline

    monkeypatch.setenv("PYTHONPATH", offline.__path__[0])
    small_lesson.write(tmp_path, monkeypatch, "import socket", "socket.create_connection(('192.0.2.1', 80), timeout=1)")
    with pytest.raises(paths.LessonError, match=r"tried to reach '192\.0\.2\.1'"):
        list(notebooks.build())


ANSWER = "def f(x):\n    ### BEGIN SOLUTION\n    y = x + 1\n    return y\n    ### END SOLUTION"
EXERCISE, CHECK = f":tags: [exercise]\n\n{ANSWER}", ":tags: [check]\n\nprint(f(1))"


def test_solutions_are_taken_out_and_kept(tmp_path, monkeypatch):
    target = small_lesson.write(tmp_path, monkeypatch, EXERCISE, CHECK)
    written = list(notebooks.build())
    assert written == [target, tmp_path / "solutions" / "42_test.ipynb"]
    plain, solved = (nbformat.read(path, as_version=4).cells for path in written)
    assert plain[1].source == "def f(x):\n    ...  # your turn"
    assert solved[1].source == "def f(x):\n    y = x + 1\n    return y"
    assert plain[2].source == solved[2].source == "print(f(1))"
    assert (plain[2].outputs[0].text, solved[2].outputs[0].text) == ("None\n", "2\n")
    assert solved[0].source.startswith("*Solutions.")


@pytest.mark.parametrize(
    ("cells", "says"),
    [
        ([EXERCISE], "42_test.md: exercise cell-01 has no check"),
        ([EXERCISE, "print(f(1))", CHECK], "cell-01 has no check"),
        ([":tags: [exercise]\n\nx = 1", CHECK], "cell-01 has 0 solutions, wanted 1"),
        ([f"{EXERCISE}\n{ANSWER}", CHECK], "cell-01 has 2 solutions, wanted 1"),
        ([EXERCISE.replace("### BEGIN", "### END"), CHECK], "cell-01 has 0 solutions, wanted 1"),
        ([EXERCISE + "\n    ### BEGIN SOLUTION", CHECK], "cell-01 has 0 solutions, wanted 1"),
    ],
)
def test_an_exercise_that_could_not_be_graded_is_named(cells, says, tmp_path, monkeypatch):
    small_lesson.write(tmp_path, monkeypatch, *cells)
    with pytest.raises(paths.LessonError, match=says):
        list(source.generate(*source.files()))


def test_no_line_breaks_a_percentage_and_code_keeps_its_spaces(tmp_path, monkeypatch):
    small_lesson.write(tmp_path, monkeypatch, "print(25 % 7)")
    path = tmp_path / "src" / "42_test.md"
    path.write_text(path.read_text().replace("# 42 · Test", "# 42 · Test\n\nIt is 25 %, more than 2.5 % of `n % 2`."))
    ((_, lesson),) = source.generate(path)
    assert lesson.cells[0].source.endswith("It is 25\xa0%, more than 2.5\xa0% of `n % 2`.")
    assert lesson.cells[1].source == "print(25 % 7)"


def a_widget(model_id, saved):
    """An output that shows a widget, in a notebook that holds these states."""
    data = {paths.VIEW: {"model_id": model_id}, "text/plain": "a picture"}
    cell = nbformat.v4.new_code_cell("lab", outputs=[nbformat.v4.new_output("display_data", data)])
    return nbformat.v4.new_notebook(cells=[cell], metadata={"widgets": {paths.STATE: {"state": saved}}})


def test_normalising_renames_widgets_and_drops_what_nothing_shows():
    saved = {
        "aaa": {"state": {"layout": "IPY_MODEL_bbb", "children": ["IPY_MODEL_ccc"]}},
        "bbb": {"state": {}},
        "ccc": {"state": {"layout": "IPY_MODEL_bbb"}},
        "ddd": {"state": {"layout": "IPY_MODEL_bbb"}},
    }
    notebook, again = a_widget("aaa", saved), a_widget("xaaa", json.loads(json.dumps(saved).replace("aaa", "xaaa")))
    for each in (notebook, again):
        normalise.normalise(each)
    assert notebook.metadata == again.metadata, "ids do not depend on the run"
    ((_, root),) = views(notebook)
    kept = states(notebook)
    assert len(kept) == 3
    layout, child = kept[root]["state"]["layout"], kept[root]["state"]["children"][0]
    assert kept[child.removeprefix("IPY_MODEL_")]["state"]["layout"] == layout
    assert layout.removeprefix("IPY_MODEL_") in kept
    before = json.dumps(notebook)
    normalise.normalise(notebook)
    assert json.dumps(notebook) == before


@pytest.mark.parametrize("tags", [[], ["needs-kernel"]])
def test_a_view_that_would_be_broken_gives_way_to_its_picture(tags):
    notebook = a_widget("gone" if not tags else "aaa", {"aaa": {"state": {}}})
    notebook.cells[0].metadata.tags = tags
    normalise.normalise(notebook)
    assert notebook.cells[0].outputs[0].data == {"text/plain": "a picture"}
    assert "widgets" not in notebook.metadata


def test_normalising_removes_what_jupyterlab_adds(tmp_path):
    notebook = nbformat.v4.new_notebook(
        metadata={"widgets": {"x": 1}, "language_info": {"name": "python", "version": "3.11.7"}},
        cells=[
            nbformat.v4.new_code_cell(
                "print(1)",
                id="random",
                metadata={"execution": {"iopub.execute_input": "2026"}, "collapsed": True, "tags": ["claim-S1.1"]},
                outputs=[nbformat.v4.new_output("stream", text=t) for t in ("1\n", "2\n")],
                execution_count=7,
            )
        ],
    )
    path = tmp_path / "x.ipynb"
    nbformat.write(notebook, path)
    assert normalise.normalise_file(path)
    assert not normalise.normalise_file(path)
    (cell,) = nbformat.read(path, as_version=4).cells
    assert (cell.id, cell.metadata) == ("claim-S1-1", {"tags": ["claim-S1.1"]})
    assert [output.text for output in cell.outputs] == ["1\n2\n"]


def test_building_again_keeps_measured_numbers_but_not_others(tmp_path, monkeypatch):
    clock = ":tags: [measured]\n\nimport time\nprint('took', time.perf_counter_ns(), 'ns')"
    target = small_lesson.write(tmp_path, monkeypatch, clock, "import random\nprint(random.random())")
    built = []
    for _ in range(2):
        list(notebooks.build(fresh=True))
        built.append([normalise.shown(cell) for cell in code_cells(nbformat.read(target, as_version=4))])
    assert built[0][0] == built[1][0]
    assert built[0][1] != built[1][1]


def test_what_was_executed_is_not_executed_again_until_something_changes(tmp_path, monkeypatch):
    target = small_lesson.write(tmp_path, monkeypatch, "import random", "print(random.random())")

    def built(fresh=False):
        list(notebooks.build(fresh=fresh))
        return normalise.shown(nbformat.read(target, as_version=4).cells[-1])

    def change(old, new):
        path = tmp_path / "src" / "42_test.md"
        path.write_text(path.read_text().replace(old, new))

    first = built()
    assert built() == first
    change("# 42 · Test", "# 42 · A test")  # words
    assert built() == first
    assert nbformat.read(target, as_version=4).cells[0].source == "# 42 · A test"
    assert built(fresh=True) != first
    second = built()
    change("import random", "import random  # code")
    assert (third := built()) != second
    monkeypatch.setattr(execute, "surroundings", lambda: "another version of something")
    assert built() != third


def test_what_surrounds_a_lesson_is_its_package_data_and_versions_but_not_publishing(tmp_path, monkeypatch):
    package, data, publisher = tmp_path / "utils", tmp_path / "data", tmp_path / "publish"
    constraints = tmp_path / "constraints.txt"
    for path in (package / "masks.py", data / "story.txt", publisher / "page.py", data / "claims.yml", constraints):
        path.parent.mkdir(exist_ok=True)
        path.write_text("one")
    monkeypatch.setattr(paths, "PACKAGE", package)

    def surroundings():
        execute.surroundings.cache_clear()
        return execute.surroundings()

    before = surroundings()
    for path in (publisher / "page.py", data / "claims.yml"):
        path.write_text("two")
    assert surroundings() == before
    for path in (package / "masks.py", data / "story.txt", constraints):
        path.write_text("two")
        assert surroundings() != before
        before = surroundings()
    installed = {}
    genuine = execute.metadata.version
    monkeypatch.setattr(execute.metadata, "version", lambda name: installed.get(name) or genuine(name))
    installed["ruff"] = "99"  # a tool for development
    assert surroundings() == before
    installed["torch"] = "99"
    assert surroundings() != before
    monkeypatch.undo()
    execute.surroundings.cache_clear()


def test_of_two_who_want_the_same_lesson_one_executes_it(tmp_path, monkeypatch):
    small_lesson.write(tmp_path, monkeypatch, "print(1)")
    executions = []

    def slow(notebook, path):
        executions.append(path.name)
        time.sleep(0.3)  # long enough for the other to come
        notebook.cells[1].outputs = [nbformat.v4.new_output("stream", text=f"execution {len(executions)}")]

    monkeypatch.setattr(execute, "execute", slow)
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda _: list(notebooks.finished(*source.files())), range(2)))
    assert executions == ["42_test.ipynb"]
    assert [normalise.shown(notebook.cells[1]) for ((_, notebook),) in both] == ["execution 1"] * 2


def test_a_notebook_that_cannot_be_read_is_replaced(tmp_path, monkeypatch):
    target = small_lesson.write(tmp_path, monkeypatch, "print('new')")
    target.write_text("<<<<<<< ours\n{}\n=======\n{}\n>>>>>>> theirs\n")
    list(notebooks.build())
    assert normalise.shown(nbformat.read(target, as_version=4).cells[1]) == "new\n"


def test_unknown_lessons_are_named():
    with pytest.raises(paths.LessonError, match="no lesson begins with '77'; there are 00_start_here, "):
        list(notebooks.build(["77"]))


def test_normalising_keeps_a_widgets_whole_family_and_one_shown_twice():
    saved = {
        "aaa": {"state": {"child": "IPY_MODEL_bbb", "lost": "IPY_MODEL_gone"}},
        "bbb": {"state": {"style": "IPY_MODEL_ccc", "parent": "IPY_MODEL_aaa"}},
        "ccc": {"state": {}},
    }
    notebook = a_widget("aaa", saved)
    notebook.cells += a_widget("aaa", saved).cells
    normalise.normalise(notebook)
    (_, root), (_, again) = views(notebook)
    kept = states(notebook)
    child = kept[root]["state"]["child"].removeprefix("IPY_MODEL_")
    style = kept[child]["state"]["style"].removeprefix("IPY_MODEL_")
    assert (again, kept[child]["state"]["parent"]) == (root, f"IPY_MODEL_{root}")
    assert set(kept) == {root, child, style}, "a widget's children have children"
    assert kept[root]["state"]["lost"] == "IPY_MODEL_gone"
