"""A lesson as one file, in a real browser, from a disk, with no network: alive, complete, and printable."""

import re

import nbformat
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from publish import for_readers, static_widgets
from publish import page as single
from tests.support.widget_page import settle

LESSONS = [source.stem for source in source.files()]
every_lesson = pytest.mark.parametrize("name", LESSONS)


def committed(name):
    return nbformat.read(paths.FOLDER / f"{name}.ipynb", as_version=4)


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(single, "PAGES", folder)
        written = list(single.build())
    assert [path.stem for path in written] == [*LESSONS, "cheat_sheet_to_print", "what_tutorials_get_wrong"]
    return {path.stem: path for path in written}


@pytest.fixture
def opened(pages, page):
    """Opens a lesson with the network off; at the end, nothing was asked for and nothing was complained of."""
    requests, complaints = [], []
    page.on("request", lambda request: requests.append(request.url))
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))

    def open_page(name):
        page.context.set_offline(True)
        page.goto(pages[name].as_uri())
        page.wait_for_selector('html[data-masks="ready"]')
        return page

    yield open_page
    assert [url for url in requests if not url.startswith(("blob:", "file:"))] == []
    assert len([url for url in requests if url.startswith("file:")]) == 1
    assert complaints == []


@every_lesson
def test_a_page_needs_nothing_and_is_whole(name, opened):
    shown, notebook = opened(name), committed(name)
    heading = re.search(r"^# (.+)$", notebook.cells[0].source, re.MULTILINE)[1].replace("`", "")
    expect(shown).to_have_title(heading)
    assert len(shown.locator('meta[name="description"]').get_attribute("content")) > 20
    assert shown.locator("h1").count() == 1
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert shown.locator(".code_cell").count() == len(code)
    for picture in shown.locator("img").all():
        assert len((picture.get_attribute("alt") or "").split()) > 10
    # Every formula became MathML, and no dollar of one is left in the text.
    formulas = [
        found
        for cell in notebook.cells
        if cell.cell_type == "markdown"
        for found in for_readers.MATH.finditer(cell.source)
    ]
    wanted = sum(found["block"] is not None or found["inline"] is not None for found in formulas)
    assert shown.locator("math").count() == wanted
    assert "$" not in "".join(shown.locator(".text_cell").all_inner_texts())


def try_widgets(shown, within="body"):
    """Every widget within answers: MaskLab to mouse and keyboard, HeadGrid to its choices."""
    for lab in shown.locator(f"{within} .masklab").all():
        status, before = lab.locator(".masks-status"), lab.locator(".masks-status").inner_text()
        flip = lab.get_by_role("button", name="Flip polarity")
        flip.click()
        expect(flip).to_have_attribute("aria-pressed", "true")
        flip.click()
        expect(status).to_have_text(before)
        lab.get_by_role("grid").focus()
        shown.keyboard.press("Control+Home")
        shown.keyboard.press("Space")
        expect(status).not_to_have_text(before)
        shown.keyboard.press("Control+z")
        expect(status).to_have_text(before)
    for grid in shown.locator(f"{within} .headgrid").all():
        for choice in grid.get_by_role("radio").all():
            choice.check()
            settle(shown)
            expect(choice).to_be_checked()


@every_lesson
def test_widgets_live_by_mouse_and_keyboard(name, opened):
    shown = opened(name)
    assert shown.locator(".masks-place").count() == shown.locator(".masks-lives").count() > 0
    try_widgets(shown)


@every_lesson
def test_a_page_fits_the_window(name, opened):
    shown = opened(name)
    for width in (360, 800, 1400):
        shown.set_viewport_size({"width": width, "height": 900})
        settle(shown)
        assert shown.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["00_start_here", "10_cheat_sheet"])
def test_axe_finds_nothing(name, scheme, page, opened):
    page.emulate_media(color_scheme=scheme)
    found = Axe().run(opened(name))
    assert [(v["id"], [n["html"][:90] for n in v["nodes"]][:3]) for v in found.response["violations"]] == []


def test_print_shows_pictures_in_place_of_widgets(opened):
    shown = opened("04_minus_infinity")
    picture, living = shown.locator(".masks-place > img"), shown.locator(".masks-alive")
    expect(picture).to_be_hidden()
    expect(living).to_be_visible()
    shown.emulate_media(media="print", color_scheme="dark")
    expect(picture).to_be_visible()
    expect(living).to_be_hidden()
    # Whoever prints from a dark window gets dark letters on white paper.
    colours = shown.evaluate("[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]")
    assert colours == ["rgb(27, 31, 36)", "rgb(255, 255, 255)"]
    line = shown.locator(".code_cell pre").first
    assert line.evaluate("pre => pre.scrollWidth <= pre.clientWidth"), "long lines are broken, not cut"


def test_links_between_lessons_stay_among_the_pages(pages):
    for path in pages.values():
        for target in re.findall(r'href="(\d\d_\w+\.html)', path.read_text(encoding="utf-8")):
            assert (path.parent / target).exists(), f"{path.name} → {target}"


HOSTILE = '</script><script>window.hit = true</script><img src=x onerror="window.hit = true">'


def test_text_of_a_widget_is_never_read_as_html(page, tmp_path):
    notebook = committed("04_minus_infinity")
    for saved in notebook.metadata.widgets[paths.STATE]["state"].values():
        if "key_tokens" in saved["state"]:
            saved["state"]["key_tokens"] = [HOSTILE] * len(saved["state"]["key_tokens"])
    target = tmp_path / "hostile.html"
    target.write_text(single.page(notebook), encoding="utf-8")
    page.goto(target.as_uri())
    page.wait_for_selector('html[data-masks="ready"]')
    assert page.evaluate("window.hit") is None
    assert "</script><s…" in page.locator(".masklab").inner_text()


def test_a_widget_without_its_state_is_named():
    notebook = committed("04_minus_infinity")
    notebook.metadata.pop("widgets")
    with pytest.raises(paths.LessonError, match=r"cell cell-\d+: the widget was saved without its state"):
        static_widgets.place(notebook)


def test_a_lesson_that_does_not_exist_is_named():
    with pytest.raises(paths.LessonError, match="no lesson begins with '77'"):
        list(single.build(["77"]))


@pytest.mark.parametrize(
    ("markdown", "wanted"),
    [
        ("a `$x$` b", "a `$x$` b"),
        ("```\n$x$\n```", "```\n$x$\n```"),
        ("costs 5 $ and no more", "costs 5 $ and no more"),
    ],
)
def test_code_and_single_dollars_are_no_formulas(markdown, wanted):
    assert for_readers.formulas(markdown) == wanted


def test_a_formula_becomes_mathml():
    drawn = for_readers.formulas(r"so $e^{-\infty} = 0$ and $$\sqrt{d}$$")
    assert drawn.count("<math") == 2
    assert "<msup>" in drawn
    assert 'display="block"' in drawn
    assert "$" not in drawn
