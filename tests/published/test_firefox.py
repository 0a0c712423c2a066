"""Site, pages and slides in Firefox: from a disk, with no network, tried with its own mouse and keyboard."""

import pytest

from publish import source
from tests.support import firefox
from tests.support.living_widgets import PAINTED, READY, try_in_firefox

pytestmark = pytest.mark.gate

LESSONS = [lesson.stem for lesson in source.files()]
FOLDERS = ["", "pages/", "slides/"]
#: Numbers of the slides that hold a widget.
WIDGET_SLIDES = """
const slides = [...document.querySelectorAll(".slides > section")];
return slides.flatMap((slide, number) => (slide.querySelector(".masks-place") ? [number] : []));
"""
LIVING = "return ['place', 'lives'].map((name) => document.querySelectorAll(`.masks-${name}`).length)"
HEIGHTS = "return [...document.querySelectorAll('math')].map((formula) => formula.getBoundingClientRect().height)"


@pytest.fixture(scope="module")
def fox():
    with firefox.started() as client:
        yield client


@pytest.fixture
def opened(fox, built):
    """Opens a publication, where every widget must live; nothing is asked for, and nothing is complained of."""

    def open_file(name):
        firefox.opened(fox, (built / f"{name}.html").as_uri(), f"return {READY.strip()}")
        mounts, living = fox.execute_script(LIVING)
        assert mounts == living > 0
        return living

    yield open_file
    assert [url for url in fox.execute_script(firefox.ASKED) if not url.startswith(("file:", "blob:"))] == []
    assert firefox.complaints(fox) == []


@pytest.mark.parametrize("folder", FOLDERS)
@pytest.mark.parametrize("name", LESSONS)
def test_firefox_opens_it_and_widgets_live(name, folder, opened):
    assert opened(f"{folder}{name}") > 0


@pytest.mark.parametrize("folder", FOLDERS)
def test_widgets_answer_to_firefoxs_mouse_and_keyboard(folder, opened, fox):
    """Lesson 00 holds both kinds."""
    living = opened(f"{folder}00_start_here")
    if folder != "slides/":
        assert try_in_firefox(fox) == living
        return
    tried = 0
    for number in fox.execute_script(WIDGET_SLIDES):
        fox.execute_script(f"window.wrappedJSObject.Reveal.slide({number})")
        fox.execute_async_script(PAINTED)
        tried += try_in_firefox(fox, ".present")
    assert tried == living


def test_firefox_draws_formulas_and_finds(fox, built):
    firefox.opened(fox, (built / "04_minus_infinity.html").as_uri(), f"return {READY.strip()}")
    heights = fox.execute_script(HEIGHTS)
    assert heights
    assert min(heights) > 8
    results = "return document.querySelectorAll('#search-results a[href*=\"05_causal\"]').length > 0"
    firefox.opened(fox, (built / "search.html").as_uri() + "?q=future", results)
    assert firefox.complaints(fox) == []
