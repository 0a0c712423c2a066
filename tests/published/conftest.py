"""What tests of publications share: the site, built once for a run, pages and decks, and a page without a network."""

from collections.abc import Callable
from pathlib import Path

import pytest

from publish import page as single_page
from publish import site, slides
from tests.support.living_widgets import READY
from tests.support.once import built_once
from tests.support.widget_page import until


@pytest.fixture(scope="session")
def built(executed, tmp_path_factory) -> Path:
    """The folder of the site, in its own place: Sphinx leaves alone what has not changed since it was last built."""
    executed.complete()
    return built_once(tmp_path_factory, "site", site.build)


@pytest.fixture(scope="session")
def page_file(executed, tmp_path_factory) -> Callable[[str], Path]:
    """Name of a lesson → its single page, written when it is first asked for."""
    return _written_on_demand(single_page, "PAGES", tmp_path_factory.mktemp("pages"))


@pytest.fixture(scope="session")
def deck_file(executed, tmp_path_factory) -> Callable[[str], Path]:
    """Name of a lesson → its deck of slides, written when it is first asked for."""
    return _written_on_demand(slides, "SLIDES", tmp_path_factory.mktemp("slides"))


def _written_on_demand(publisher, constant: str, folder: Path) -> Callable[[str], Path]:
    def file(name: str) -> Path:
        path = folder / f"{name}.html"
        if not path.exists():
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(publisher, constant, folder)
                assert path in list(publisher.build([name]))
        return path

    return file


@pytest.fixture
def open_offline(page):
    """Opens a file with the network off; at the end, nothing was asked for, nothing failed, nothing was complained of.

    A file that is opened as alone has asked for no other file, either, and has said nothing at all in the console.
    """
    requests, complaints, remarks, alone = [], [], [], set()
    page.context.on("request", lambda request: requests.append(request.url))  # of windows that it opens, too
    page.on("requestfailed", lambda request: complaints.append(request.url))
    page.on(
        "console",
        lambda message: (complaints if message.type in ("error", "warning") else remarks).append(message.text),
    )
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.context.set_offline(True)

    def open_file(path: Path, query: str = "", *, as_alone: bool = False):
        if as_alone:
            alone.add(path.as_uri())
        page.goto(path.as_uri() + query)
        until(page, READY)
        return page

    yield open_file
    assert [url for url in requests if not url.startswith(("blob:", "file:", "data:"))] == []
    assert complaints == []
    if alone:
        files = {url.partition("#")[0].partition("?")[0] for url in requests if url.startswith("file:")}
        assert files == alone
        assert remarks == []
