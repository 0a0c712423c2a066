"""`make lab`, in a real Chromium: open the lessons, Run All, and look at what appears. No network."""

import json
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import torch
from playwright.sync_api import Page, expect

from publish import paths
from tests.support.jupyterlab import PATIENCE, Lab, open_lesson, requests_outside, saved, until
from tests.support.masklab_page import HOSTILE, HOSTILE_SHOWN, drawn, preset_masks, shown, where
from tests.support.tiers import sweep
from utils import lessons, masks
from utils.widgets import StoryLab

LESSONS = [f"{path.stem}.ipynb" for path in paths.sources()]
#: Of the lessons that are run in JupyterLab, the one that `make test` runs; the gate runs all.
EVERYDAY = "02_padding.ipynb"

#: A line that must appear when a lesson has run.
APPEARS = {
    "00_start_here.ipynb": "pads hidden     the output moves by 0",
    "01_ragged_tensors.ipynb": "(3, j1, 384) · offsets [0, 8, 14, 18]",
    "02_padding.ipynb": "real tokens only: ",
    "03_left_or_right.ipynb": "nine entries: ['.', '.', ' happy']",
    "04_minus_infinity.ipynb": "NaN in the gradients of none",
    "05_causal_masks.ipynb": "no cache, mask of ones   text 2 is off by",
    "06_two_masks.ipynb": "unexpected keyword argument 'att_mask'",
    "07_bert_2d_masks.ipynb": "48 of 48 pairs leak",
    "08_measure_it.ipynb": "24 leaks in all; noise floor",
    "09_compute.ipynb": "stories: 5% of pairs, 14% of operations",
    "10_two_texts.ipynb": "pads on the left:",
    "11_outside_the_mask.ipynb": "Max saw a tree. It was nice.<|endoftext|>",
    "12_masks_that_grow.ipynb": "with mask  Tom went to the park with his mom.",
    "13_a_mask_is_a_bias.ipynb": "3D: Explicit attn_mask should not be set when is_causal=True",
    "appendix_mha.ipynb": "8 beside 8: what the first question cannot see of its text:",
    "cheat_sheet.ipynb": "inverted: MultiheadAttention · zeros keep: Hugging Face, 4D",
    "what_went_wrong.ipynb": "MultiheadAttention does not support NestedTensor outside of its fast path",
}


#: Whether the kernel has done all that it was asked for.
HAS_RUN = """() => {
  const { content, sessionContext } = jupyterapp.shell.currentWidget;
  const code = [...content.model.cells].filter((cell) => cell.type === "code");
  return sessionContext.session.kernel.status === "idle" && code.some((cell) => cell.executionCount !== null)
    && code.every((cell) => cell.executionState !== "running");
}"""
#: Whether every cell of the notebook is what it is to be, and none only keeps a place for it.
ALL_RENDERED = "() => jupyterapp.shell.currentWidget.content.widgets.every((cell) => !cell.isPlaceholder())"
#: Whether the first thing that a selector names is more than 100 pixels wide; a gallery's first panel has 171.
IS_WIDE = """selector => {
  const shown = document.querySelector(selector);
  return (shown?.naturalWidth ?? shown?.clientWidth) > 100;
}"""


def run_all(page: Page):
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()


def go_to(page: Page, notebook: nbformat.NotebookNode, wanted):
    """Selects the first cell that is wanted; cells far off the screen are not in the page at all."""
    index = next(i for i, cell in enumerate(notebook.cells) if wanted(cell))
    page.evaluate(
        """index => {
          const notebook = jupyterapp.shell.currentWidget.content;
          notebook.activeCellIndex = index;
          return notebook.scrollToItem(index, "start");
        }""",
        index,
    )


def is_figure(cell) -> bool:
    return any("image/png" in output.get("data", {}) for output in cell.get("outputs", ()))


def is_widget(cell) -> bool:
    return any("application/vnd.jupyter.widget-view+json" in o.get("data", {}) for o in cell.get("outputs", ()))


@pytest.mark.parametrize("name", sweep(LESSONS, daily=[EVERYDAY]))
def test_run_all_in_jupyterlab(name, lab, page, outside):
    page.set_viewport_size({"width": 1400, "height": 1000})
    open_lesson(page, lab.address(), name)
    path = lab.copies / name
    code = [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
    assert page.locator(".jp-OutputArea-output").count() == 0
    run_all(page)
    page.wait_for_function(HAS_RUN, timeout=2 * PATIENCE)
    ran = saved(page, path)

    counts = [cell.execution_count for cell in ran.cells if cell.cell_type == "code"]
    assert counts == list(range(1, len(code) + 1)), "every cell has run, in order"
    outputs = [output for cell in ran.cells if cell.cell_type == "code" for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error" or output.get("name") == "stderr"]
    # What the reader sees, in the output areas only: the source holds some of the same words.
    go_to(page, ran, lambda cell: APPEARS[name] in str(cell.get("outputs", "")))
    expect(page.locator(".jp-OutputArea-output").get_by_text(APPEARS[name]).last).to_be_visible()
    for wanted, seen in (
        (lambda cell: is_figure(cell) and not is_widget(cell), '.jp-OutputArea-output img[alt*=" "]'),
        (lambda cell: is_widget(cell) and "MaskLab" in cell.source, ".masklab-maps canvas"),
        (lambda cell: is_widget(cell) and "HeadGrid" in cell.source, ".headgrid .masks-thumbs canvas"),
        (lambda cell: is_widget(cell) and "StoryLab" in cell.source, ".storylab:not(.masks-waiting) canvas"),
        (lambda cell: is_widget(cell) and "Explorer" in cell.source, ".widget-text"),
    ):
        if any(map(wanted, ran.cells)):
            go_to(page, ran, wanted)
            expect(page.locator(seen).first).to_be_visible()
            page.wait_for_function(IS_WIDE, arg=seen, timeout=PATIENCE)

    assert outside == []
    assert page.locator(".jp-Dialog, .Toastify__toast").count() == 0


# --- MaskLab -----------------------------------------------------------------------------------------

Q_LEN, K_LEN = 5, 6
LAB_CELLS = [
    "import json\nimport torch\nfrom utils import masks, widgets\n"
    f"lab = widgets.MaskLab(torch.zeros({Q_LEN}, {K_LEN}), None, list('abcde'), list('uvwxyz'))\n"
    "heard = open('heard.txt', 'w')\n"
    "def hear(change):\n    print(json.dumps(change.new.int().tolist()), file=heard, flush=True)\n"
    "lab.observe(hear, 'keep')\ndisplay(lab, lab)",
    "0  # for whatever Python is to do",
]


class LabNotebook:
    """A notebook that shows one MaskLab twice, and what Python hears of it through ``lab.observe(…, "keep")``."""

    def __init__(self, page: Page, folder: Path, address: str):
        self.page, self.path, self.heard_file = page, folder / "widget.ipynb", folder / "heard.txt"
        self.address = address
        cells = [nbformat.v4.new_code_cell(source) for source in LAB_CELLS]
        kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3 (ipykernel)"}}
        nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), self.path)
        self.open()

    def open(self):
        open_lesson(self.page, self.address, self.path.name)

    def close(self):
        """Closes it and shuts its kernel down."""
        self.menu("File", "Close and Shut Down Notebook…")
        self.page.get_by_role("button", name="Shut Down", exact=True).or_(
            self.page.locator(".jp-mod-accept")
        ).first.click()
        expect(self.page.locator(".jp-Notebook")).to_have_count(0)

    def begin(self):
        """Two fresh views of a fresh model that hides nothing and of which Python has heard nothing."""
        self.run_cell(0)
        self.heard = 0
        expect(self.page.locator(".masklab .masks-status")).to_have_text(
            ["0 of 30 cells hidden."] * 2, timeout=PATIENCE
        )

    def run_cell(self, index: int):
        """Runs one cell and waits until it has run."""
        prompt = self.page.locator(".jp-CodeCell").nth(index).locator(".jp-InputPrompt")
        before = prompt.inner_text()
        self.page.locator(".jp-CodeCell").nth(index).locator(".cm-content").click()
        self.page.keyboard.press("Control+Enter")
        until(self.page, lambda: prompt.inner_text() not in (before, "[*]:"), f"cell {index} has not run")

    def type(self, index: int, code: str):
        """Replaces the code of one cell and waits until the notebook has it."""
        self.page.locator(".jp-CodeCell .cm-content").nth(index).click()
        self.page.keyboard.press("Control+a")
        self.page.keyboard.insert_text(code)
        self.page.wait_for_function(
            "([n, code]) => jupyterapp.shell.currentWidget.content.widgets[n].model.sharedModel.source === code",
            arg=[index, code],
            timeout=PATIENCE,
        )

    def python(self, code: str):
        """Runs code in the last cell."""
        self.type(len(LAB_CELLS) - 1, code)
        self.run_cell(len(LAB_CELLS) - 1)

    def hears(self, keep: torch.Tensor):
        """Python was told once more, of this mask, and both views show it."""
        self.heard += 1
        until(self.page, lambda: self.heard_file.read_text().count("\n") >= self.heard, "Python has heard nothing")
        lines = self.heard_file.read_text().splitlines()
        assert len(lines) == self.heard, "one change, one call"
        assert json.loads(lines[-1]) == keep.int().tolist()
        hidden = f"{int((~keep).sum())} of 30 cells hidden"
        for status in self.page.locator(".masklab .masks-status").all():
            expect(status).to_contain_text(hidden)

    def cells(self) -> list[list[str]]:
        """Kind and content of every cell, as the page has them."""
        return self.page.locator(".jp-Notebook .jp-Cell").evaluate_all(
            "cells => cells.map((cell) => [cell.className.match(/jp-(Code|Markdown|Raw)Cell/)[1],"
            " cell.querySelector('.cm-content').innerText])"
        )

    def where(self, q: int, k: int, view: int = 0):
        return where(self.page, q, k, view, Q_LEN, K_LEN)

    def drawn(self, view: int) -> torch.Tensor:
        return drawn(self.page, view, Q_LEN, K_LEN)

    def menu(self, *names: str):
        for name in names:
            self.page.locator(".lm-MenuBar-itemLabel, .lm-Menu-itemLabel").get_by_text(name, exact=True).click()


@pytest.fixture(scope="module")
def notebook(lab, browser):
    page = browser.new_page(viewport={"width": 1400, "height": 2400})
    page.set_default_timeout(PATIENCE)
    requests = requests_outside(page)
    alerts = []
    page.on("dialog", lambda dialog: (alerts.append(dialog.message), dialog.dismiss()))
    address = lab.address()
    yield LabNotebook(page, lab.copies, address)
    page.close()
    assert requests == []
    assert alerts == []


def test_click_drag_and_keys_reach_python(notebook):
    notebook.begin()
    page, keep = notebook.page, masks.full(Q_LEN, K_LEN).clone()
    page.mouse.click(*notebook.where(1, 4))
    keep[1, 4] = False
    notebook.hears(keep)

    page.mouse.move(*notebook.where(2, 1, view=1))
    page.mouse.down()
    page.mouse.move(*notebook.where(2, 4, view=1), steps=9)
    page.mouse.move(*notebook.where(3, 4, view=1), steps=3)
    page.mouse.up()
    keep[2, 1:5] = keep[3, 4] = False
    notebook.hears(keep)

    for keys, (q, k) in (
        (("ArrowUp", "ArrowLeft", "Space"), (2, 3)),
        (("ArrowDown", "ArrowRight", "Home", "Enter"), (3, 0)),
        (("End", "Space"), (3, 5)),
        (("Control+Home", "Enter"), (0, 0)),
    ):
        for key in keys:
            page.keyboard.press(key)
        keep[q, k] ^= True
        notebook.hears(keep)
    assert torch.equal(notebook.drawn(view=0), keep)
    page.get_by_role("grid", name="after the mask").last.focus()
    page.keyboard.press("Control+z")
    keep[0, 0] ^= True
    notebook.hears(keep)
    assert torch.equal(notebook.drawn(view=1), keep)


def test_every_preset_reaches_python_and_the_other_view(notebook):
    notebook.begin()
    notebook.python("lab.keep = ~torch.eye(5, 6).bool()")  # no preset, so that each of them is a change
    notebook.hears(~torch.eye(Q_LEN, K_LEN).bool())
    page = notebook.page
    presets, values = page.get_by_label("Mask", exact=True), {"real": 4, "window": 3, "prefix": 3, "lengths": [3, 3]}
    wanted = preset_masks(Q_LEN, K_LEN, **values)
    options = presets.first.locator("option").evaluate_all("options => options.map((option) => option.value)")
    assert options == ["custom", *wanted]
    parameters = {
        "right_padding": ["4"],
        "left_padding": ["4"],
        "sliding_window": ["3"],
        "prefix": ["3"],
        "documents": ["3, 3"],
        "causal_padding": ["4"],
    }
    for n, (name, keep) in enumerate(wanted.items()):
        presets.nth(n % 2).select_option(name)
        notebook.hears(keep)
        assert [view[:2] for view in shown(page)] == [(name, parameters.get(name, []))] * 2
    page.get_by_label("real keys").first.fill("2")
    page.keyboard.press("Enter")
    keep = masks.causal(Q_LEN, K_LEN) & masks.lengths([2], K_LEN)[0, 0]
    notebook.hears(keep)
    assert [view[:2] for view in shown(page)] == [("causal_padding", ["2"])] * 2
    assert torch.equal(notebook.drawn(view=1), keep)


def test_python_redraws_both_views(notebook):
    notebook.begin()
    for code, name, parameters, keep in (
        ("masks.documents([0, 0, 1, 1, 1, 2])[1:]", "documents", ["2, 3, 1"], masks.documents([0, 0, 1, 1, 1, 2])[1:]),
        ("masks.causal(5, 6)", "causal", [], masks.causal(Q_LEN, K_LEN)),
        ("~torch.eye(5, 6).bool()", "custom", [], ~torch.eye(Q_LEN, K_LEN).bool()),
    ):
        notebook.python(f"lab.keep = {code}")
        notebook.hears(keep)
        assert [view[:2] for view in shown(notebook.page)] == [(name, parameters)] * 2
        assert torch.equal(notebook.drawn(view=1), keep)


def test_letters_never_edit_the_notebook(notebook):
    """JupyterLab's commands are letters: d d deletes a cell, x cuts it, 0 0 restarts the kernel."""
    notebook.begin()
    page = notebook.page
    notebook.python("lab.keep = masks.causal(5, 6)")  # typed, so that the browser itself has something to undo
    view = page.locator(".masklab").last
    view.get_by_text("As code").click()
    before = notebook.cells()
    assert before == [["Code", LAB_CELLS[0]], ["Code", "lab.keep = masks.causal(5, 6)"]]

    def type_at(control):
        control.click(force=True)  # also where there is nothing to undo
        page.keyboard.press("Escape")  # closes the list that a click on a choice opens
        for key in (*"ddabxmyz00cv", "Enter", "Escape", "x", "Control+z", "Control+y"):
            page.keyboard.press(key)
        assert notebook.cells() == before, control
        assert page.locator(".jp-Dialog").count() == 0
        assert view.evaluate("view => view.contains(document.activeElement)"), control

    for preset, parameter in (("sliding_window", "window"), ("documents", "lengths")):
        view.get_by_label("Mask", exact=True).select_option(preset)
        type_at(view.get_by_label(parameter))
    type_at(view.get_by_role("grid", name="after the mask"))
    type_at(view.get_by_label("Mask", exact=True))
    type_at(view.get_by_label("Hidden scores get"))
    for button in ("Flip polarity", "Undo", "Reset", "Copy"):
        type_at(view.get_by_role("button", name=button))
    for text in ("pre", "summary", "canvas >> nth=0", "td >> nth=0", ".masks-status"):
        type_at(view.locator(text))


def test_the_dark_theme_leaves_no_light_box(notebook):
    notebook.begin()
    notebook.menu("Settings", "Theme", "JupyterLab Dark")
    expect(notebook.page.locator("body")).to_have_attribute("data-jp-theme-light", "false", timeout=PATIENCE)
    behind = """view => {
      const levels = [];
      for (let node = view; !node.matches(".jp-Notebook"); node = node.parentElement) {
        const [r, g, b, a] = getComputedStyle(node).backgroundColor.match(/[0-9.]+/g).map(Number);
        if (a !== 0) levels.push(Math.max(r, g, b));
      }
      return levels;
    }"""
    view = notebook.page.locator(".masklab").first
    until(notebook.page, lambda: max(view.evaluate(behind), default=255) < 60, "a light box stays behind the widget")
    expect(view.locator(".masks-status")).to_have_css("color", "rgb(230, 233, 237)")
    notebook.menu("Settings", "Theme", "JupyterLab Light")
    expect(notebook.page.locator("body")).to_have_attribute("data-jp-theme-light", "true", timeout=PATIENCE)


def test_hostile_tokens_are_text_in_jupyterlab(notebook):
    notebook.begin()
    notebook.python(f"widgets.MaskLab(torch.zeros(9, 9), None, {HOSTILE!r})")
    view = notebook.page.locator(".masklab").nth(2)
    expect(view.locator(".masklab-pipeline thead th span")).to_have_count(9, timeout=PATIENCE)
    assert view.locator(".masklab-pipeline thead th span").all_text_contents() == HOSTILE_SHOWN
    assert view.locator("img, script").count() == 0
    notebook.python("0")  # takes it away again


def test_headgrid_tells_python_and_python_tells_headgrid(notebook):
    notebook.begin()
    notebook.python(
        "torch.manual_seed(0); before, after = torch.randn(2, 2, 3, 5, 6).softmax(-1)\n"
        "grid = widgets.HeadGrid(before, after, list('abcde'), list('uvwxyz'))\n"
        "grid.observe(lambda change: print(change.name, change.new, file=heard, flush=True), ['layer', 'head'])\ngrid"
    )
    page, view = notebook.page, notebook.page.locator(".headgrid")
    expect(view.locator(".masks-status")).to_contain_text("Layer 0, head 0.", timeout=PATIENCE)
    cells = notebook.cells()
    heads = view.locator(".masks-thumbs canvas")
    pitch = (heads.bounding_box()["width"] - 34) / 3
    heads.click(position={"x": 34 + 2.5 * pitch, "y": 34 + 1.5 * pitch})
    expect(view.locator(".masks-status")).to_contain_text("Layer 1, head 2.")
    for key in (*"ddabxmyz00", "Escape", "ArrowLeft"):
        page.keyboard.press(key)
    expect(view.locator(".masks-status")).to_contain_text("Layer 1, head 1.")
    assert notebook.cells() == cells
    until(page, lambda: notebook.heard_file.read_text().count("\n") >= 3, "Python has not heard it all")
    assert sorted(notebook.heard_file.read_text().splitlines()) == ["head 1", "head 2", "layer 1"]

    # The grid is under the cell that made it; another cell speaks to it.
    notebook.type(0, "grid.update(torch.eye(3).expand(1, 2, 3, 3), None, ['p', '<i>', 'r'])")
    notebook.run_cell(0)
    expect(view.get_by_text("attention weights: 1 layer × 2 heads")).to_be_visible()
    assert view.locator("tbody tr").all_inner_texts()[0].split() == ["0", "p", "1.00"]
    notebook.type(0, LAB_CELLS[0])
    notebook.python("0")  # takes it away again


def test_the_explorer_runs_a_typed_sentence_and_the_mask_that_is_drawn(notebook):
    notebook.begin()
    notebook.python("widgets.Explorer('Rain is coming.', pads=2)")
    page = notebook.page
    grid = page.locator(".headgrid")
    expect(page.get_by_text("the output of every token is the same")).to_be_visible(timeout=PATIENCE)
    sentence = page.get_by_label("Sentence")
    sentence.fill("<b>Snow</b> falls.")
    sentence.press("Enter")
    expect(page.locator(".masklab").last.locator("thead th span").nth(1)).to_have_text("<", timeout=PATIENCE)
    lab = page.locator(".masklab").last
    lab.get_by_label("Mask", exact=True).select_option("causal")
    expect(page.get_by_text(re.compile(r"The mask changed the output of \d+ of \d+ tokens"))).to_be_visible(
        timeout=PATIENCE
    )
    status = grid.locator(".masks-status")  # the cell that is read out says the same
    expect(status).to_have_text(re.compile(r"From no mask to your mask, [1-9]\d* % of the weight moved"))
    model = page.get_by_label("Model")
    model.fill("no/such-model")
    model.press("Enter")
    expect(page.get_by_text("'no/such-model' could not be loaded")).to_be_visible(timeout=PATIENCE)
    expect(status).to_contain_text("From no mask to your mask")
    expect(page.get_by_role("button", name="Run", exact=True).last).to_be_enabled()
    notebook.python("0")


@pytest.mark.gate
def test_a_storylab_gets_its_model_from_python_and_says_so_where_there_is_none(notebook):
    """The model arrives as one message; nothing of it is saved, so an opened notebook has a sentence in its place."""
    notebook.begin()
    notebook.python(
        "story = widgets.StoryLab('One day, a big bear'); told = open('told.txt', 'w')\n"
        "hear = lambda change: print(json.dumps([story.hidden, change.new[0]]), file=told, flush=True)\n"
        "story.observe(hear, 'next_tokens')\nstory"
    )
    page, file = notebook.page, notebook.path.with_name("told.txt")
    view = page.locator(".storylab")
    expect(view).to_have_attribute("data-kernel", "wasm", timeout=PATIENCE)
    view.locator(".storylab-chip[aria-pressed]").nth(5).click()
    until(page, lambda: file.exists() and file.read_text().count("\n") >= 1, "Python has heard nothing")
    hidden, (token, probability, as_trained) = json.loads(file.read_text().splitlines()[-1])
    wanted = StoryLab("One day, a big bear", hidden=[5]).next_tokens[0]
    assert (hidden, token) == ([5], wanted.token)
    assert (probability, as_trained) == pytest.approx(wanted[1:], abs=1e-4)

    # The lab is under the cell that made it; another cell speaks to it.
    notebook.type(0, "story.text = 'Once upon a time'")
    notebook.run_cell(0)
    expect(view.get_by_label("Text")).to_have_value("Once upon a time")
    expect(view.locator(".storylab-next tbody tr").first).to_contain_text("97 %")
    saved(page, notebook.path)
    assert notebook.path.stat().st_size < 800_000

    notebook.close()
    notebook.open()
    expect(view.locator(".masks-status")).to_contain_text("The model comes from Python", timeout=PATIENCE)
    expect(view.locator(".storylab-next tbody tr").first).to_contain_text("97 %")
    notebook.type(0, LAB_CELLS[0])
    for _ in range(2):  # so that the last cell gets another number than it had
        notebook.begin()
    notebook.python("0")


QUESTION = """\
question, told = widgets.Question("Which?", ["one", "`two`", "three"], right=1, id="x"), open("told.txt", "w")
hear = lambda change: print(json.dumps([change.new, question.is_right]), file=told, flush=True)
question.observe(hear, "choice")
question"""


def test_a_question_tells_python_and_a_saved_notebook_keeps_what_was_committed(notebook):
    """Letters in it edit nothing; a cell that runs again asks again."""
    notebook.begin()
    notebook.python(QUESTION)
    page, view, file = notebook.page, notebook.page.locator(".question"), notebook.path.with_name("told.txt")
    options, said = view.get_by_role("radio"), view.get_by_role("status")
    cells = notebook.cells()

    def told(*lines):
        until(page, lambda: file.exists() and file.read_text().count("\n") >= len(lines), "Python has heard nothing")
        assert [json.loads(line) for line in file.read_text().splitlines()] == list(lines)

    options.first.click()
    for key in (*"ddabxmyz00cv", "Escape", "ArrowDown", "ArrowDown", "Enter", *"ddx"):
        page.keyboard.press(key)
    told([2, False])
    expect(said).to_have_text("✗ Not right.✓ B is right.")
    said.click()
    for key in (*"ddabxmyz00cv", "Enter"):
        page.keyboard.press(key)
    view.get_by_role("button", name="Ask me again").press("Enter")
    for key in ("Space", "ArrowDown", "Enter"):
        page.keyboard.press(key)
    told([2, False], [None, None], [1, True])
    expect(said).to_have_text("✓ Right.")
    assert notebook.cells() == cells
    assert page.locator(".jp-Dialog").count() == 0

    notebook.type(0, "question.choice = 0")
    notebook.run_cell(0)
    expect(said).to_have_text("✗ Not right.✓ B is right.")
    expect(options.first).to_be_checked()
    options.first.focus()
    saved(page, notebook.path)  # by Ctrl+S, from within
    notebook.close()
    notebook.open()
    expect(said).to_have_text("✗ Not right.✓ B is right.", timeout=PATIENCE)
    expect(view.get_by_text("From the saved notebook. Run this cell, and it asks again.")).to_be_visible()
    view.get_by_role("button", name="Ask me again").click()
    options.nth(1).check()
    view.get_by_role("button", name="Commit").click()
    expect(said).to_have_text("✓ Right.")
    notebook.type(0, LAB_CELLS[0])
    for _ in range(2):  # so that the last cell gets another number than it had
        notebook.begin()
    notebook.run_cell(1)
    expect(view.get_by_role("button")).to_have_text("Commit")
    expect(said).to_have_text("")


@pytest.mark.gate
def test_two_storylabs_share_one_transfer_and_live_through_another_run_and_another_kernel(notebook):
    """The page has the model once it has come: a cell that is run again, or a new kernel, sends nothing more."""
    notebook.begin()
    made = (
        "from utils import widgets; from utils.widgets import storylab; file = storylab.story_file\n"
        "storylab.story_file = lambda: [print('sent', file=open('sent.txt', 'a')), file()][1]\n"
        "from IPython.display import display\n"
        "two = [widgets.StoryLab('One day, a big bear'), widgets.StoryLab('Once upon a time', preset='window')]\n"
        "display(*two)"
    )
    page, sent = notebook.page, notebook.path.with_name("sent.txt")
    views, problems = page.locator(".storylab"), []
    page.on("pageerror", lambda error: problems.append(str(error)))

    def both_live():
        expect(views).to_have_count(2, timeout=PATIENCE)
        for n in range(2):
            views.nth(n).scroll_into_view_if_needed()
            expect(views.nth(n)).to_have_attribute("data-kernel", "wasm", timeout=PATIENCE)
        expect(views.nth(1).locator(".storylab-next tbody tr").first).to_contain_text("97 %")

    page.evaluate("delete globalThis.masksStory")  # that another test may have left
    notebook.python(made)
    both_live()
    assert sent.read_text() == "sent\n"
    notebook.run_cell(1)
    both_live()
    notebook.menu("Kernel", "Restart Kernel…")
    page.locator(".jp-Dialog .jp-mod-accept").click()
    expect(page.locator(".jp-Dialog")).to_have_count(0)
    notebook.run_cell(1)
    both_live()
    views.first.locator(".storylab-chip[aria-pressed]").nth(5).click()
    notebook.type(0, "print(two[0].hidden, two[0].next_tokens[0].token, file=open('sent.txt', 'a'))")
    notebook.run_cell(0)
    token = StoryLab("One day, a big bear", hidden=[5]).next_tokens[0].token
    until(page, lambda: sent.read_text() == f"sent\n[5] {token}\n", f"Python says {sent.read_text()!r}")
    assert problems == []
    notebook.type(0, LAB_CELLS[0])
    for _ in range(2):
        notebook.begin()
    notebook.python("0")


BROKEN = re.compile("Error|Loading widget|model not found|Traceback|Failed|Invalid", re.IGNORECASE)


def test_a_saved_notebook_shows_the_mask_last_drawn(notebook):
    """Saved, its tab closed, its kernel shut down, opened again: the widget is there, with no kernel behind it.

    Also if it was opened and saved in between, with nothing run.
    """
    notebook.begin()
    notebook.python("lab.keep = masks.causal(5, 6)")
    page, keep = notebook.page, masks.causal(Q_LEN, K_LEN).clone()
    notebook.hears(keep)
    page.mouse.click(*notebook.where(0, 5))
    keep[0, 5] = True
    notebook.hears(keep)
    written = saved(page, notebook.path)
    nbformat.validate(written)
    assert [cell.source for cell in written.cells] == [LAB_CELLS[0], "lab.keep = masks.causal(5, 6)"]
    notebook.close()
    notebook.open()
    statuses = page.locator(".masklab .masks-status")
    expect(statuses).to_have_text(["9 of 30 cells hidden."] * 2, timeout=PATIENCE)
    states = [file.metadata.widgets[lessons.STATES].state for file in (written, saved(page, notebook.path))]
    view = written.cells[0].outputs[0].data[lessons.VIEW].model_id
    assert states[0][view] == states[1][view]
    notebook.close()
    notebook.open()
    expect(page.locator(".jp-OutputArea-output").first).not_to_have_text(BROKEN, timeout=PATIENCE)
    expect(statuses).to_have_text(["9 of 30 cells hidden."] * 2, timeout=PATIENCE)
    for saved_view in page.locator(".jupyter-widgets-disconnected:has(> .masks-widget)").all():
        assert saved_view.evaluate("(view) => getComputedStyle(view, '::before').content") == "none", "no red icon"
    expect(page.get_by_text("Drawn from the saved notebook. Run this cell")).to_have_count(2)
    for words in page.get_by_text("Drawn from the saved notebook. Run this cell").all():
        expect(words).to_be_visible()
    for view in (0, 1):
        assert torch.equal(notebook.drawn(view), keep)
    notebook.menu("Kernel", "Shut Down Kernel")
    expect(page.get_by_text("No Kernel").first).to_be_visible(timeout=PATIENCE)
    page.mouse.click(*notebook.where(0, 5))
    expect(statuses).to_have_text(["10 of 30 cells hidden."] * 2)
    page.get_by_label("Mask", exact=True).last.select_option("documents")
    documents = masks.documents([0, 0, 0, 1, 1, 1])[1:]
    expect(statuses).to_have_text([f"{int((~documents).sum())} of 30 cells hidden."] * 2)
    assert torch.equal(notebook.drawn(view=0), documents)
    for output in page.locator(".jp-OutputArea-output").all():
        assert not BROKEN.search(output.inner_text())
    assert page.locator(".jp-Dialog, .Toastify__toast").count() == 0


def test_a_taken_port_is_no_error_and_the_address_leads_to_the_first_lesson(lab, tmp_path):
    first = lab.address()
    second = Lab(tmp_path)
    try:
        other = second.address()
    finally:
        second.stop()
    port = re.compile(r"localhost:(\d+)/lab/tree/my_lessons/00_start_here\.ipynb\?token=\w{20,}")
    assert port.search(first)[1] != port.search(other)[1]


def test_a_copy_that_was_only_looked_at_closes_without_asking(lab, page, outside):
    """And what saving it writes is what is there, so that nobody takes it for something that was worked in."""

    def lay() -> str:  # not where other tests work
        command = [sys.executable, "-m", "utils.lessons", "looked_at"]
        return subprocess.run(command, cwd=lab.root, capture_output=True, text=True, check=True).stdout

    address = lab.address().replace("my_lessons", "looked_at")
    assert "put there" in lay()
    path = lab.root / "looked_at" / EVERYDAY
    before = path.read_bytes()
    open_lesson(page, address, EVERYDAY)
    page.wait_for_timeout(1000)  # for whatever it may tell the notebook of the kernel, which is ready
    assert page.evaluate("jupyterapp.shell.currentWidget.context.model.dirty") is False
    page.evaluate("jupyterapp.commands.execute('application:close')")
    expect(page.locator(".jp-NotebookPanel")).to_have_count(0)
    assert page.locator(".jp-Dialog").count() == 0
    assert path.read_bytes() == before

    open_lesson(page, address, EVERYDAY)
    saved(page, path)
    again = json.loads(path.read_bytes())
    again["metadata"].pop("widgets", None)  # JupyterLab notes that there are none
    assert again == json.loads(before)
    assert " kept" not in lay()
    assert path.read_bytes() == before
    assert outside == []


def test_links_of_a_copy_lead_to_other_copies_and_to_the_solutions(lab, page, outside):
    open_lesson(page, lab.address(), EVERYDAY)
    cells = nbformat.read(lab.copies / EVERYDAY, as_version=4)
    shown = page.locator(".jp-NotebookPanel:not(.lm-mod-hidden)")
    for link, folder, name in (
        ("solutions", "notebooks/solutions", EVERYDAY),
        ("03 Left or right?", "my_lessons", "03_left_or_right.ipynb"),
    ):
        go_to(page, cells, lambda cell, link=link: f"[{link}](" in cell.source)
        shown.get_by_role("link", name=link, exact=True).first.click()
        page.wait_for_function(
            "path => jupyterapp.shell.currentWidget?.context?.path === path", arg=f"{folder}/{name}", timeout=PATIENCE
        )
        expect(shown.locator("h1").first).to_be_attached(timeout=PATIENCE)
        page.evaluate("jupyterapp.commands.execute('application:close')")
        expect(page.locator(".jp-NotebookPanel")).to_have_count(1)
    assert outside == []


@pytest.mark.parametrize("folder", sweep(["my_lessons", "notebooks"], daily=["my_lessons"]))
def test_a_proof_is_one_click_away(folder, lab, page, outside):
    """A link of the page "What tutorials get wrong" opens the lesson at the cell that proves the claim."""
    open_lesson(page, lab.address().replace("my_lessons", folder), "what_tutorials_get_wrong.ipynb")
    row = page.get_by_role("row", name="An upper triangle as attn_mask limits each position")
    row.get_by_role("link", name="05").click()
    shown = page.locator(".jp-NotebookPanel:not(.lm-mod-hidden)")
    expect(shown.get_by_role("heading", name="05 · How does a model not see the future?")).to_be_attached(
        timeout=PATIENCE
    )
    proof = shown.locator(".jp-CodeCell", has_text=re.compile(r"# Proof of what is shown above: .*S3\.6\b"))
    expect(proof).to_have_class(re.compile("jp-mod-selected"), timeout=PATIENCE)
    page.wait_for_function(ALL_RENDERED, timeout=PATIENCE)  # what is rendered late must not push it away
    expect(proof).to_be_in_viewport(ratio=0.9)
    assert outside == []
