"""Site, pages and slides in Firefox: from a disk, with no network, tried with its own mouse and keyboard."""

from contextlib import contextmanager

import pytest

from publish import source
from tests.support import firefox
from tests.support.living_widgets import PAINTED, READY, answer_first_in_firefox, try_in_firefox

pytestmark = pytest.mark.gate

PAGES = [page.stem for page in source.files()]
LESSONS = [lesson.stem for lesson in source.lessons()]
FOLDERS = ["", "pages/", "slides/"]
#: Numbers of the slides that hold a widget.
WIDGET_SLIDES = """
const slides = [...document.querySelectorAll(".slides > section")];
return slides.flatMap((slide, number) => (slide.querySelector(".masks-place") ? [number] : []));
"""
LIVING = "return ['place', 'lives'].map((name) => document.querySelectorAll(`.masks-${name}`).length)"
HEIGHTS = "return [...document.querySelectorAll('math')].map((formula) => formula.getBoundingClientRect().height)"
#: Gives the page a width that no window of a desk can have; all of the window's if it is 0.
NARROWED = """
const { style } = gBrowser.selectedBrowser;
[style.flex, style.width] = arguments[0] ? ["none", `${arguments[0]}px`] : ["", ""];
"""
#: Of all widgets on show: their width; whether the maps of MaskLab are side by side; the size of labels, which are
#: written at 12 px, in pixels of a slide.
WIDGETS = """
const slides = document.querySelector(".slides");
const scale = slides ? slides.getBoundingClientRect().width / slides.offsetWidth : 1;
const widgets = [...document.querySelectorAll(".masks-widget:has(canvas)")];
return widgets.filter((widget) => widget.checkVisibility()).map((widget) => {
  const canvases = [...widget.querySelectorAll("[role=grid] canvas, .masklab-maps canvas")];
  const [before, after] = canvases.map((canvas) => canvas.getBoundingClientRect());
  const beside = !widget.matches(".masklab") || (before.top === after.top && before.right <= after.left);
  const labels = 12 * before.width / parseFloat(canvases[0].style.width) / scale;
  return { width: widget.getBoundingClientRect().width, beside, labels };
});
"""
AT_REST = "return !document.querySelector('.present [aria-busy], .present [data-fitting]')"


@contextmanager
def narrowed(fox, width):
    """A page of this width, then one as wide as the window again."""
    try:
        _narrow(fox, width)
        yield
    finally:
        _narrow(fox, 0)


def _narrow(fox, width):
    from marionette_driver import Wait

    with fox.using_context("chrome"):
        fox.execute_script(NARROWED, script_args=[width])
    Wait(fox).until(lambda _: fox.execute_script("return innerWidth") == (width or 1280))
    fox.execute_async_script(PAINTED)


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


@pytest.mark.parametrize(
    ("name", "folder"),
    [(name, folder) for name in PAGES for folder in FOLDERS if name in LESSONS or folder != "slides/"],
)
def test_firefox_opens_it_and_widgets_live(name, folder, opened):
    assert opened(f"{folder}{name}") > 0


@pytest.mark.parametrize("folder", FOLDERS)
def test_widgets_answer_to_firefoxs_mouse_and_keyboard(folder, opened, fox):
    """Lesson 00 holds all kinds."""
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


@pytest.mark.parametrize("folder", ["", "pages/"])
@pytest.mark.parametrize("name", LESSONS)
def test_every_question_is_answered_by_firefoxs_keyboard_and_settled(name, folder, opened, fox):
    opened(f"{folder}{name}")
    boxes = fox.find_elements("css selector", ".question")
    assert len(boxes) >= 3
    for box in boxes:
        answer_first_in_firefox(fox, box)
    assert not [line for line in fox.find_elements("css selector", ".masks-wait, .masks-later") if line.is_displayed()]
    assert f" of {len(boxes)} right" in fox.find_element("css selector", ".masks-score").text


@pytest.mark.parametrize("folder", ["", "pages/"])
def test_firefox_has_room_for_two_maps_at_800_and_cuts_nothing_at_390(folder, opened, fox):
    opened(f"{folder}00_start_here")
    for width in (800, 390):
        with narrowed(fox, width):
            shown = fox.execute_script(WIDGETS)
            assert fox.execute_script("return document.documentElement.scrollWidth") <= width
        assert [widget["beside"] and widget["width"] >= 640 for widget in shown] == [width == 800] * len(shown)


def test_firefox_shows_labels_on_slides_large_and_maps_side_by_side(opened, fox):
    from marionette_driver import Wait

    opened("slides/00_start_here")
    for number in fox.execute_script(WIDGET_SLIDES):
        fox.execute_script(f"window.wrappedJSObject.Reveal.slide({number})")
        fox.execute_async_script(PAINTED)
        Wait(fox).until(lambda _: fox.execute_script(AT_REST))
        for widget in fox.execute_script(WIDGETS):
            assert widget["beside"]
            assert widget["labels"] >= 17.95, "2.5 % of 720, less rounding"


def test_errors_of_a_page_are_heard_in_firefox(fox, tmp_path):
    """So that a test that asks for none means something."""
    page = tmp_path / "page.html"
    page.write_text("<!doctype html><script>Promise.reject(Error('rejected')); throw Error('thrown')</script>")
    firefox.opened(fox, page.as_uri(), "return true")
    fox.execute_async_script(PAINTED)
    assert [complaint.partition(" ")[2] for complaint in firefox.complaints(fox)] == [
        "Error: thrown",
        "Error: rejected",
    ]


def test_firefox_draws_formulas_and_finds(fox, built):
    firefox.opened(fox, (built / "04_minus_infinity.html").as_uri(), f"return {READY.strip()}")
    fox.execute_script("document.documentElement.classList.remove('masks-asks')")  # what is held back has no height
    heights = fox.execute_script(HEIGHTS)
    assert heights
    assert min(heights) > 8
    results = "return document.querySelectorAll('#search-results a[href*=\"05_causal\"]').length > 0"
    firefox.opened(fox, (built / "search.html").as_uri() + "?q=future", results)
    assert firefox.complaints(fox) == []
