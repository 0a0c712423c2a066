"""What all tests share: their tiers, no hub, no skipping in CI, lessons executed once, and the browser."""

import os
import re
from collections.abc import Mapping
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"  # before transformers is imported, so that nothing waits for a hub

import hypothesis
import nbformat
import pytest
import torch
from playwright.sync_api import expect

from publish import execute, normalise, paths, source
from tests.support import chromium, tiers, tiny, widget_page
from tests.support.forks import Forks
from utils import models

pytest_plugins = ["tests.support.browsers"]  # stops a run that needs a browser which is not there

# `make test` tries 100 examples of each property, `make gate` 1,000, the same each time. `make fuzz` looks further,
# elsewhere each time.
hypothesis.settings.register_profile("test", max_examples=100, deadline=None, derandomize=True, database=None)
hypothesis.settings.register_profile("gate", max_examples=1000, deadline=None, derandomize=True, database=None)
hypothesis.settings.register_profile("fuzz", max_examples=20_000, deadline=None, print_blob=True)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "test"))

#: Milliseconds that something in a browser may take. What passes passes at once; a busy machine takes its time.
PATIENCE = 120_000
expect.set_options(timeout=PATIENCE)

if "PYTEST_XDIST_WORKER" in os.environ:  # every core has its own worker, so more threads would only wait
    torch.set_num_threads(1)


def pytest_xdist_auto_num_workers(config) -> int:
    """Workers for ``-n auto``: one for each core, and none at all for a single test."""
    if config.args and all("::" in argument for argument in config.args):
        return 0
    return min(tiers.cores(), 8)


@pytest.hookimpl(tryfirst=True)  # before marks are read and groups are formed
def pytest_collection_modifyitems(config, items):
    for item in items:
        for mark in tiers.marks(item):
            item.add_marker(mark)
    if not tiny.V5:  # a skip would not pass in CI
        newer = [item for item in items if item.get_closest_marker("transformers_5")]
        config.hook.pytest_deselected(items=newer)
        items[:] = [item for item in items if item not in newer]


def pytest_sessionfinish(session):
    """A test that is skipped in CI has not been run, so it must not pass as one that has."""
    if hasattr(session.config, "workerinput"):  # the process that started the workers knows of all skips
        return
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


class Executed(Mapping):
    """The notebooks of the collection by name, fresh from their sources; each is executed when it is asked for."""

    def __init__(self):
        built = [pair for lesson in source.files() for pair in source.generate(lesson)]
        self._paths = {path.relative_to(paths.FOLDER).as_posix(): path for path, _ in built}
        self._waiting = dict(built)
        self._executed: dict[str, nbformat.NotebookNode] = {}

    def __getitem__(self, name: str) -> nbformat.NotebookNode:
        if name not in self._executed:
            notebook = self._waiting[self._paths[name]]
            execute.execute_once(notebook, self._paths[name])
            normalise.normalise(notebook)
            self._executed[name] = notebook
        return self._executed[name]

    def complete(self) -> None:
        """Executes every lesson; each worker begins at another one, so that they share the work."""
        names = list(self)
        start = len(names) * tiers.worker() // tiers.workers()
        for name in names[start:] + names[:start]:
            _ = self[name]

    def __iter__(self):
        return iter(self._paths)

    def __len__(self):
        return len(self._paths)


@pytest.fixture(scope="session")
def executed():
    """Every notebook of the collection by name, executed with no network; the site uses the same executions."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parent / "support" / "offline"))
        yield Executed()


@pytest.fixture(scope="session")
def forks():
    """Calls functions in processes of their own, which need not import torch and transformers first."""
    running = Forks()
    yield running
    running.stop()


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args):
    """The system's Chromium where there is one; without any browser the tests fail, they are not skipped."""
    executable = chromium.executable()
    return {
        **browser_type_launch_args,
        "args": chromium.ARGUMENTS,
        **({"executable_path": executable} if executable else {}),
    }


@pytest.fixture
def context(context):
    """Playwright's, with patience for a busy machine."""
    context.set_default_timeout(PATIENCE)
    return context


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
