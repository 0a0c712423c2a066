"""A running `make lab` on a copy of the repository, and what tests do with a notebook in it. No network."""

import json
import os
import re
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import nbformat
from playwright.sync_api import Page

from publish import execute
from tests.support import offline

ROOT = Path(__file__).parents[2]
#: What passes passes at once; on a busy machine it may take minutes.
PATIENCE = 300_000

#: Lets a test ask JupyterLab what it is doing, and select a cell that is not in the page yet.
EXPOSE = "--LabApp.expose_app_in_browser=True"
#: Whether the notebook of this name is open and its kernel has answered: Run All is lost before.
READY = """async (name) => {
  const panel = jupyterapp?.shell.currentWidget;
  if (!panel?.sessionContext || !panel.context.path.endsWith(name)) return false;
  await Promise.all([panel.context.ready, panel.revealed, panel.sessionContext.ready]);
  const kernel = panel.sessionContext.session?.kernel;
  await kernel?.info;
  return kernel?.connectionStatus === "connected" && kernel.status === "idle";
}"""
#: A promise, window.saved, of the next save that begins; one that has begun already may hold an older notebook.
LISTEN = """limit => {
  const { saveState } = jupyterapp.shell.currentWidget.context;
  window.saved = new Promise((resolve, reject) => {
    let begun = false;
    function hear(context, state) {
      if (state === "started") begun = true;
      else if (begun) {
        saveState.disconnect(hear);
        if (state === "failed") reject(new Error("the save failed"));
        else resolve();
      }
    }
    saveState.connect(hear);
    setTimeout(() => reject(new Error("nothing was saved")), limit);
  });
}"""


class Lab:
    """A running `make lab` on a copy of the repository, so that nothing changes here."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.root = folder / "lessons"
        self.copies = self.root / "my_lessons"
        for name in ("notebooks", "data", "utils"):
            shutil.copytree(ROOT / name, self.root / name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "Makefile", self.root)
        venv = ROOT / ".venv"
        self.log = folder / "log.txt"
        names = ("_CONFIG", "_DATA", "LAB_SETTINGS", "LAB_WORKSPACES")  # with the data, which notebooks are trusted
        settings = {f"JUPYTER{name}_DIR": str(folder / name) for name in names}
        alone = {"PYTHONPATH": offline.__path__[0], **execute.OFFLINE}
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(
                ["make", "lab", f"VENV={venv}", f"--old-file={venv / 'installed-lab'}", f"ARGS=--no-browser {EXPOSE}"],
                cwd=self.root,
                env={**os.environ, **settings, **alone},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def address(self) -> str:
        deadline = time.monotonic() + PATIENCE / 1000
        while time.monotonic() < deadline and self.process.poll() is None:
            if address := re.search(r"http://localhost:\S+token=\w+", self.log.read_text()):
                return address[0]
            time.sleep(0.2)
        raise AssertionError(f"make lab printed no address:\n{self.log.read_text()}")

    def stop(self):
        with suppress(ProcessLookupError):  # it could not start
            os.killpg(self.process.pid, signal.SIGTERM)
        self.process.wait(timeout=120)


def requests_outside(page: Page) -> list[str]:
    """Every request that leaves this machine, from now on; all of them are blocked."""
    requests = []

    def judge(route):
        if re.match(r"(http|ws)://(localhost|127\.0\.0\.1)[:/]", route.request.url):
            return route.continue_()
        requests.append(route.request.url)
        return route.abort()

    page.route("**/*", judge)
    return requests


def address_of(address: str, name: str) -> str:
    """Where a notebook is that is beside the first lesson; opened there, nothing else is open."""
    return address.replace("00_start_here.ipynb", name).replace("?", "?reset&")


def open_lesson(page: Page, address: str, name: str):
    page.goto(address_of(address, name))
    page.locator(".jp-Notebook").wait_for(timeout=PATIENCE)
    page.wait_for_function(READY, arg=name, timeout=PATIENCE)


def until(page: Page, holds, otherwise: str):
    """Waits until a condition holds that Python can see."""
    deadline = time.monotonic() + PATIENCE / 1000
    while not holds():
        assert time.monotonic() < deadline, otherwise
        page.wait_for_timeout(50)


def saved(page: Page, path: Path) -> nbformat.NotebookNode:
    """Saves with Ctrl+S, from wherever the focus is, and returns what is on the disk once that is written."""
    page.evaluate(LISTEN, PATIENCE)
    page.keyboard.press("Control+s")
    page.evaluate("window.saved")
    text = ""

    def complete() -> bool:  # JupyterLab may be writing it again by itself, and it writes in place
        nonlocal text
        text = path.read_text(encoding="utf-8")
        with suppress(json.JSONDecodeError):
            json.loads(text)
            return True
        return False

    until(page, complete, f"{path.name} is never complete")
    return nbformat.reads(text, as_version=4)
