"""The cheat sheet as a page to print: that of the lesson, one sheet of paper, and nothing to load."""

import re

import pytest

from publish import paths, sheet


def test_the_page_is_that_of_the_lesson():
    assert sheet.PAGE.read_text(encoding="utf-8") == sheet.page(), f"Run: {paths.REBUILD}"


@pytest.fixture
def requests(page):
    seen = []
    page.on("request", lambda request: seen.append(request.url))
    page.context.set_offline(True)
    page.goto(sheet.PAGE.as_uri())
    return seen


def test_it_prints_on_one_sheet_of_paper(page, requests):
    assert page.locator("table").count() == 6
    printed = page.pdf(prefer_css_page_size=True)
    assert len(re.findall(rb"/Type\s*/Page\b", printed)) == 2  # both sides
    assert requests == [sheet.PAGE.as_uri()]


@pytest.mark.parametrize("width", [360, 1400])
def test_it_fits_the_window(page, requests, width):
    page.set_viewport_size({"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    picture = page.get_by_role("img").first
    assert "heatmaps of masks" in picture.get_attribute("alt")
    box, natural = picture.bounding_box(), picture.evaluate("image => image.naturalWidth / image.naturalHeight")
    assert box["width"] / box["height"] == pytest.approx(natural, rel=0.02)


def test_a_lesson_without_an_end_is_refused(monkeypatch):
    monkeypatch.setattr(sheet, "END", "*Nowhere.")
    with pytest.raises(paths.LessonError, match=r"cheat_sheet\.ipynb: wanted one cell with '\*Nowhere\.'"):
        sheet.page()
