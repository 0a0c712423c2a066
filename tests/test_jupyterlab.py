"""`make lab`, in a real Chromium: open the lessons, Run All, and look at what appears. No network."""

import json
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import Page, expect

ROOT = Path(__file__).parents[1]
LESSONS = sorted(path.name for path in (ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
MINUTE = 60_000

#: A line that must appear when a lesson has run.
APPEARS = {
    "00_start_here.ipynb": "four forms, one meaning, and all of them read back to the same keep",
    "01_ragged_tensors.ipynb": "ValueError: expected sequence of length 4 at dim 1 (got 3)",
    "02_padding.ipynb": "real tokens only: ",
}


class Lab:
    """A running `make lab` on a copy of the lessons, so that saving changes nothing here."""

    def __init__(self, folder: Path):
        self.folder = folder
        for name in ("notebooks", "data"):
            shutil.copytree(ROOT / name, folder / "lessons" / name)
        self.log = folder / "log.txt"
        settings = {f"JUPYTER{name}_DIR": str(folder / name) for name in ("_CONFIG", "LAB_SETTINGS", "LAB_WORKSPACES")}
        offline = {"PYTHONPATH": str(ROOT / "tests" / "offline"), "PIP_NO_INDEX": "1", "HF_HUB_OFFLINE": "1"}
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(
                ["make", "lab", f"ARGS=--no-browser --ServerApp.root_dir={folder / 'lessons'}"],
                cwd=ROOT,
                env={**os.environ, **settings, **offline},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def address(self) -> str:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and self.process.poll() is None:
            if found := re.search(r"http://localhost:\S+token=\w+", self.log.read_text()):
                return found[0]
            time.sleep(0.2)
        raise AssertionError(f"make lab printed no address:\n{self.log.read_text()}")

    def stop(self):
        os.killpg(self.process.pid, signal.SIGTERM)
        self.process.wait(timeout=30)


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    running = Lab(tmp_path_factory.mktemp("lab"))
    yield running
    running.stop()


@pytest.fixture
def outside(page: Page):
    """Every request that leaves this machine; all of them are blocked."""
    requests = []

    def judge(route):
        if re.match(r"(http|ws)://(localhost|127\.0\.0\.1)[:/]", route.request.url):
            return route.continue_()
        requests.append(route.request.url)
        return route.abort()

    page.route("**/*", judge)
    return requests


def open_lesson(page: Page, address: str, name: str):
    page.goto(address.replace("00_start_here.ipynb", f"{name}").replace("?", "?reset&"))
    page.locator(".jp-Notebook").wait_for(timeout=MINUTE)
    # Run All is lost before the kernel has answered. The page says "Idle" a little early, so it must stay so.
    idle = page.get_by_text(re.compile(r"Python 3 .*\| Idle"))
    quiet = 0
    while quiet < 6:
        idle.wait_for(timeout=MINUTE)
        page.wait_for_timeout(500)
        quiet = quiet + 1 if idle.is_visible() else 0


def run_all(page: Page):
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()


def saved(page: Page, path: Path, code_cells: int) -> nbformat.NotebookNode:
    """The notebook as JupyterLab saves it once every cell has run."""
    indicator = page.locator(".jp-Notebook-ExecutionIndicator").first
    before, deadline = path.stat().st_mtime_ns, time.monotonic() + 120
    while time.monotonic() < deadline:
        page.wait_for_timeout(500)
        if indicator.get_attribute("data-status") != "idle":
            continue
        page.keyboard.press("Control+s")
        page.wait_for_timeout(500)
        if path.stat().st_mtime_ns == before:
            continue
        notebook = nbformat.reads(path.read_text(), as_version=4)
        counts = [cell.execution_count for cell in notebook.cells if cell.cell_type == "code"]
        if counts == list(range(1, code_cells + 1)):
            return notebook
    raise AssertionError(f"{path.name}: not every cell has run: {counts}")


def go_to(page: Page, notebook: nbformat.NotebookNode, wanted):
    """Selects the first cell that is wanted; cells far off the screen are not in the page at all."""
    place = next(i for i, cell in enumerate(notebook.cells) if wanted(cell))
    page.locator(".jp-Cell .jp-InputPrompt").first.click()  # beside the text, which may hold a link
    page.keyboard.press("Escape")
    for _ in range(len(notebook.cells)):
        page.keyboard.press("ArrowUp")
    for _ in range(place):
        page.keyboard.press("ArrowDown")


@pytest.mark.parametrize("name", LESSONS)
def test_run_all_in_jupyterlab(name, lab, page, outside):
    path = lab.folder / "lessons" / "notebooks" / name
    notebook = json.loads(path.read_text())
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    for cell in code:  # so that whatever is seen afterwards was made now
        cell.update(outputs=[], execution_count=None)
    path.write_text(json.dumps(notebook))

    page.set_viewport_size({"width": 1400, "height": 1000})
    open_lesson(page, lab.address(), name)
    assert page.locator(".jp-OutputArea-output").count() == 0
    run_all(page)
    ran = saved(page, path, len(code))

    outputs = [output for cell in ran.cells if cell.cell_type == "code" for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error" or output.get("name") == "stderr"]
    # What the reader sees, in the output areas only: the source holds some of the same words.
    go_to(page, ran, lambda cell: APPEARS[name] in str(cell.get("outputs", "")))
    expect(page.locator(".jp-OutputArea-output").get_by_text(APPEARS[name]).last).to_be_visible()
    go_to(page, ran, lambda cell: "image/png" in str(cell.get("outputs", "")))
    figure = page.locator('.jp-OutputArea-output img[alt^="Two heatmaps"]').first
    expect(figure).to_be_visible()
    assert figure.evaluate("image => image.naturalWidth") > 500

    assert outside == []
    assert page.locator(".jp-Dialog, .Toastify__toast").count() == 0


WIDGET_CELLS = [
    "import torch\nfrom utils import masks, widgets\n"
    "lab = widgets.MaskLab(torch.zeros(3, 4), None, list('abc'), list('wxyz'))\nlab",
    "print('kept', int(lab.keep.sum()))",
    "lab.keep = masks.causal(3, 4)",
]


def run_cell(page: Page, place: int):
    page.locator(".jp-CodeCell .jp-InputPrompt").nth(place).click()
    page.keyboard.press("Control+Enter")


def test_masklab_and_python_speak_with_each_other(lab, page, outside):
    path = lab.folder / "lessons" / "notebooks" / "widget.ipynb"
    cells = [nbformat.v4.new_code_cell(source) for source in WIDGET_CELLS]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3 (ipykernel)"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), path)
    page.set_viewport_size({"width": 1300, "height": 1300})
    open_lesson(page, lab.address(), path.name)
    for place in (0, 1):
        run_cell(page, place)
    status, printed = page.locator(".masklab-status"), page.locator(".jp-OutputArea-output pre")
    expect(status).to_have_text("0 of 12 cells hidden.", timeout=MINUTE)
    expect(printed.get_by_text("kept 12")).to_be_visible(timeout=MINUTE)

    grid = page.get_by_role("grid", name="after the mask")
    canvas = grid.locator("canvas").bounding_box()
    page.mouse.click(canvas["x"] + canvas["width"] - 20, canvas["y"] + canvas["height"] - 20)
    expect(status).to_have_text("1 of 12 cells hidden.")
    for key in ("d", "d", "a", "x", "Enter"):  # letters are commands of the notebook; Enter shows the cell again
        page.keyboard.press(key)
    expect(status).to_have_text("0 of 12 cells hidden.")
    page.keyboard.press("Home")
    page.keyboard.press("Space")
    expect(page.locator(".jp-CodeCell")).to_have_count(len(cells))
    page.get_by_label("Hidden scores get").focus()
    for key in ("d", "d", "m"):
        page.keyboard.press(key)
    expect(page.locator(".jp-CodeCell")).to_have_count(len(cells))
    run_cell(page, 1)
    expect(printed.get_by_text("kept 11")).to_be_visible()
    run_cell(page, 2)
    expect(status).to_have_text("3 of 12 cells hidden.")
    expect(page.get_by_label("Mask", exact=True)).to_have_value("causal")

    # Saved, and opened again in another kernel: the widget is there before any cell has run.
    page.keyboard.press("Control+s")
    page.wait_for_timeout(1000)
    page.get_by_role("menuitem", name="Kernel", exact=True).click()
    page.get_by_role("menuitem", name="Shut Down Kernel", exact=True).click()
    page.wait_for_timeout(1000)
    open_lesson(page, lab.address(), path.name)
    expect(status).to_have_text("3 of 12 cells hidden.", timeout=MINUTE)
    expect(page.get_by_text(re.compile("Error displaying widget|model not found"))).to_have_count(0)
    assert outside == []


def test_a_taken_port_is_no_error_and_the_address_leads_to_the_first_lesson(lab, tmp_path):
    first = lab.address()
    second = Lab(tmp_path)
    try:
        other = second.address()
    finally:
        second.stop()
    port = re.compile(r"localhost:(\d+)/lab/tree/notebooks/00_start_here\.ipynb\?token=\w{20,}")
    assert port.search(first)[1] != port.search(other)[1]
