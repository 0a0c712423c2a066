"""What all tests share: no hub, no skipping in CI, lessons executed once, and the browser."""

import os
import re
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"  # before transformers is imported, so that nothing waits for a hub

import hypothesis
import nbformat
import pytest
import torch

from publish import notebooks
from tests.support import chromium, widget_page
from utils import models

pytest_plugins = ["tests.support.browsers"]  # stops a run that needs a browser which is not there

# In CI the same 1,000 examples each time; `make fuzz` looks further, elsewhere each time.
hypothesis.settings.register_profile("ci", max_examples=1000, deadline=None, derandomize=True, database=None)
hypothesis.settings.register_profile("fuzz", max_examples=20_000, deadline=None, print_blob=True)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


def pytest_sessionfinish(session):
    """A test that is skipped in CI has not been run, so it must not pass as one that has."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CI") and reporter.stats.get("skipped") and session.exitstatus == 0:
        reporter.write_line("skipped tests do not pass in CI", red=True)
        session.exitstatus = 1


@pytest.fixture(autouse=True)
def deterministic():
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def minilm():
    """(model, tokenizer) of the real MiniLM, able to return its weights."""
    return models.load("minilm-bert", attn_implementation="eager")


@pytest.fixture(scope="session")
def executed() -> dict[str, nbformat.NotebookNode]:
    """Every notebook of the collection, fresh from its source and executed with no network; the site uses the same."""
    fresh = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parent / "support" / "offline"))
        for source in notebooks.sources():
            for path, notebook in notebooks.generate(source):
                notebooks.execute_once(notebook, path)
                notebooks.normalise(notebook)
                fresh[path.relative_to(notebooks.FOLDER).as_posix()] = notebook
    return fresh


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args):
    """The system's Chromium where there is one; without any browser the tests fail, they are not skipped."""
    found = chromium.executable()
    return {
        **browser_type_launch_args,
        "args": chromium.ARGUMENTS,
        **({"executable_path": found} if found else {}),
    }


@pytest.fixture
def open_widget(page, tmp_path):
    """Opens a widget from disk, all requests forbidden, and fails if anything is logged or asked for."""
    problems = []
    page.on("console", lambda message: problems.append(message.text))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.route(re.compile(r"^(?!file:|blob:|data:)"), lambda route: (problems.append(route.request.url), route.abort()))

    def open_(widget, views=1, width=1000):
        page.set_viewport_size({"width": width, "height": 900})
        page.goto(widget_page.write(tmp_path / "page.html", widget, views))
        page.wait_for_function("window.ready && !document.querySelector('[aria-busy]')")
        widget_page.settle(page)
        return page

    yield open_
    assert problems == []
