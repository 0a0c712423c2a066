"""A lesson as one file, in a real browser, from a disk, with no network: alive, complete, and printable."""

import io
import re

import nbformat
import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from bs4 import BeautifulSoup
from PIL import Image
from playwright.sync_api import expect

from publish import document, for_readers, paths, source, static_widgets
from publish import page as single
from tests.support.living_widgets import try_widgets
from tests.support.tiers import sweep
from tests.support.widget_page import settle

LESSONS = [lesson.stem for lesson in source.files()]
#: Lesson 00 holds both kinds of widgets.
every_lesson = pytest.mark.parametrize("name", sweep(LESSONS, daily=["00_start_here"]))


def committed(name):
    return nbformat.read(paths.FOLDER / f"{name}.ipynb", as_version=4)


@pytest.fixture
def opened(page_file, open_offline):
    """Opens the page of a lesson, which must be all there is."""
    return lambda name: open_offline(page_file(name), as_alone=True)


@every_lesson
def test_a_page_needs_nothing_and_is_whole(name, opened):
    shown, notebook = opened(name), committed(name)
    heading = re.search(r"^# (.+)$", notebook.cells[0].source, re.MULTILINE)[1].replace("`", "")
    expect(shown).to_have_title(heading)
    assert len(shown.locator('meta[name="description"]').get_attribute("content")) > 20
    assert shown.locator("h1").count() == 1
    code = [cell for cell in notebook.cells if cell.cell_type == "code" and "alts" not in paths.tags(cell)]
    proofs = [cell for cell in code if "proof" in paths.tags(cell)]
    assert shown.locator(".code_cell").count() == len(code) - len(proofs)
    expect(shown.locator("details.proof")).to_have_count(len(proofs))
    described = [cell for cell in notebook.cells if "alts" in paths.tags(cell)]
    expect(shown.locator("details.alts:not([open])")).to_have_count(len(described))
    for picture in shown.locator("img").all():  # a second panel is named only: the first one says what both show
        panel = picture.evaluate("img => img.previousElementSibling?.matches('img') ?? false")
        assert len((picture.get_attribute("alt") or "").split()) > (0 if panel else 10)
    # Every formula became MathML, and no dollar of one is left in the text.
    texts = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
    texts = [re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL) for text in texts]  # what a slide says is not shown
    formulas = [match for text in texts for match in for_readers.MATH.finditer(text)]
    wanted = sum(match["block"] is not None or match["inline"] is not None for match in formulas)
    assert shown.locator("math").count() == wanted
    assert "$" not in "".join(shown.locator(".text_cell").all_inner_texts())


@every_lesson
def test_widgets_live_by_mouse_and_keyboard(name, opened):
    shown = opened(name)
    assert shown.locator(".masks-place").count() == shown.locator(".masks-lives").count() > 0
    try_widgets(shown)


#: Widths of all living widgets, and of all paragraphs of a lesson.
WIDTHS = """() => ["main .masks-widget:has(canvas)", ":is(#content, .bd-article) p:not(.masks-widget *, table *)"].map(
  (what) =>
  [...document.querySelectorAll(what)].map((part) => part.getBoundingClientRect().width))"""

BOXES = "(parts) => parts.map((part) => part.getBoundingClientRect().toJSON())"


@every_lesson
def test_a_page_fits_the_window(name, opened):
    """Nothing is scrolled sideways; widgets have room for two maps side by side, words stay in a column."""
    shown = opened(name)
    shown.evaluate("document.documentElement.classList.remove('masks-asks')")  # what is held back has room, too
    for width in (360, 390, 800, 1000, 1400, 2400):
        shown.set_viewport_size({"width": width, "height": 900})
        settle(shown)
        assert shown.evaluate("document.documentElement.scrollWidth") <= width
        widgets, words = shown.evaluate(WIDTHS)
        assert min(widgets) >= (640 if width >= 800 else width - 32)
        assert max(words) <= 736
        for maps in shown.locator(".masklab").all() if width >= 800 else []:
            # At one moment: a StoryLab above takes the place of its picture when it is ready.
            before, after = maps.locator("canvas").evaluate_all(BOXES)
            assert before["y"] == after["y"]
            assert before["x"] + before["width"] <= after["x"]


def test_the_sites_sidebars_leave_room_for_two_maps(built, open_offline, page):
    shown = open_offline(built / "00_start_here.html")
    for width in (800, 959, 960, 1199, 1200, 1280, 1680, 2400):  # the theme's own breaks among them
        page.set_viewport_size({"width": width, "height": 900})
        settle(shown)
        widgets, words = shown.evaluate(WIDTHS)
        assert min(widgets) >= 640 + 15, "a scroll bar takes 15"
        assert max(words) <= 736
    assert min(widgets) == 1180


@pytest.mark.parametrize("scheme", sweep(["light", "dark"], daily=["dark"]))
def test_what_is_wider_than_the_screen_says_so(scheme, page, opened):
    """A shadow at the edge where more is to come; it moves to the other edge as one scrolls to the end."""
    page.set_viewport_size({"width": 390, "height": 800})
    page.emulate_media(color_scheme=scheme)
    shown = opened("07_bert_2d_masks")
    shown.get_by_role("button", name="Show all answers").click()
    for what in ("table", ".output_subarea pre:not(.sentences)"):
        wide = shown.locator(f"{what}:not(.masks-widget *)").filter(visible=True)
        wide = next(box for box in wide.all() if box.evaluate("box => box.scrollWidth > box.clientWidth + 40"))
        for end in (0, 1):
            wide.evaluate("(box, end) => (box.scrollLeft = end * box.scrollWidth)", end)
            settle(shown)
            edges = shades(wide.screenshot())
            assert edges[1 - end] > edges[end] + 30, f"{what} at {end}: {edges}"
        assert wide.evaluate("box => box.tabIndex") == 0


def shades(png: bytes) -> list[int]:
    """How far the left and the right edge of a picture are from its background, in steps of 255."""
    pixels = np.asarray(Image.open(io.BytesIO(png)).convert("L")).astype(int)
    edges = [np.median(pixels[:, columns]) for columns in (slice(1, 4), slice(-4, -1))]
    return [round(abs(edge - np.median(pixels))) for edge in edges]


def test_sentences_that_a_cell_prints_are_broken_and_columns_are_not(page, opened):
    page.set_viewport_size({"width": 390, "height": 800})
    shown = opened("01_ragged_tensors")
    shown.get_by_role("button", name="Show all answers").click()
    error = shown.locator("pre", has_text="Unable to create tensor, you should probably").last
    assert error.evaluate("pre => pre.scrollWidth <= pre.clientWidth && pre.scrollHeight === pre.clientHeight")
    below_a_tensor = shown.locator(".output_subarea pre", has_text="[3, 4]])").first
    assert below_a_tensor.evaluate("pre => pre.scrollWidth <= pre.clientWidth")
    columns = shown.locator(".output_subarea pre", has_text="Dogs bark at the moon.  0.000").first
    assert columns.evaluate("pre => pre.scrollWidth > pre.clientWidth")
    feedback = shown.locator(".solution pre", has_text="Right: each sentence begins where").first
    feedback.evaluate("pre => { pre.closest('details').open = true; }")
    assert feedback.evaluate("pre => pre.scrollWidth <= pre.clientWidth")


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("ValueError: expected sequence of length 2 at dim 1 (got 1)\n", True),
        ("eager  24 leak\nsdpa   right\n", False),
        ("tensor([[1, 2],\n        [3, 4]])\n", False),
        ("tensor([[1, 2],\n        [3, 4]])\nValueError: expected sequence of length 2\n", True),
        (f"F8  {'a long warning ' * 7}\n", True),
        ("", True),
    ],
)
def test_what_is_lined_up_is_told_from_sentences(text, sentences):
    cell = nbformat.v4.new_code_cell("pass", outputs=[nbformat.v4.new_output("stream", text=text)])
    printed = document.converted(nbformat.v4.new_notebook(cells=[cell]))
    assert ('<pre class="sentences">' in printed) == sentences


@pytest.mark.parametrize("scheme", sweep(["light", "dark"], daily=["light"]))
@pytest.mark.parametrize("name", sweep(["00_start_here", "cheat_sheet"], daily=["00_start_here"]))
def test_axe_finds_nothing(name, scheme, page, opened):
    page.emulate_media(color_scheme=scheme)
    answer = Axe().run(opened(name)).response
    assert [(v["id"], [n["html"][:90] for n in v["nodes"]][:3]) for v in answer["violations"]] == []


def test_print_shows_pictures_in_place_of_widgets(opened):
    shown = opened("04_minus_infinity")
    shown.get_by_role("button", name="Show all answers").click()
    place = shown.locator(".masks-place").first
    pictures, living = place.locator("> img"), place.locator(".masks-alive:has(canvas)")
    assert pictures.count() == 2, "before and after"
    expect(pictures.filter(visible=True)).to_have_count(0)
    expect(living).to_be_visible()
    shown.emulate_media(media="print", color_scheme="dark")
    expect(pictures.filter(visible=True)).to_have_count(2)
    before, after = (picture.bounding_box() for picture in pictures.all())
    assert before["y"] == after["y"], "side by side"
    expect(living).to_be_hidden()
    # Whoever prints from a dark window gets dark letters on white paper.
    colours = shown.evaluate("[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]")
    assert colours == ["rgb(27, 31, 36)", "rgb(255, 255, 255)"]
    line = shown.locator(".code_cell pre").first
    assert line.evaluate("pre => pre.scrollWidth <= pre.clientWidth"), "long lines are broken, not cut"


@pytest.mark.gate  # every day, a test of the site looks at the links of the pages that it brings
def test_all_pages_are_written_and_links_between_lessons_stay_among_them(executed, tmp_path, monkeypatch):
    monkeypatch.setattr(single, "PAGES", tmp_path)
    written = list(single.build())
    assert [path.stem for path in written] == [
        name
        for lesson in [*LESSONS, "what_tutorials_get_wrong"]
        for name in ([lesson, "cheat_sheet_to_print"] if lesson == "cheat_sheet" else [lesson])
    ]
    for path in written:
        for target in re.findall(r'href="(\w+\.html)', path.read_text(encoding="utf-8")):
            assert (tmp_path / target).exists(), f"{path.name} → {target}"


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
    assert "</script><s…" in page.locator(".masklab").first.inner_text()


def test_a_widget_without_its_state_is_named():
    notebook = committed("04_minus_infinity")
    notebook.metadata.pop("widgets")
    with pytest.raises(paths.LessonError, match=r"cell cell-\d+: the widget was saved without its state"):
        static_widgets.replace_views(notebook)


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
    assert "<mi>&#x0221E;</mi>" in drawn, "a sign would have space around it"
    assert 'display="block"' in drawn
    assert "$" not in drawn


def test_long_words_of_code_in_tables_may_be_broken_after_a_sign():
    def code(words):
        table = document.with_readable_tables(f"<table><tr><td><code>{words}</code></td></tr></table>")
        return re.search("<code>(.*)</code>", table)[1].replace("<wbr/>", "|")

    assert code("key_padding_mask") == "key_padding_mask"
    assert code("scaled_dot_product_attention") == "scaled_|dot_|product_|attention"
    assert code("masks.padding(attention_mask) &amp; x") == "masks.|padding(|attention_mask) &amp; x"
    assert code("a &lt; torch.arange(n).clamp(min=2)") == "a &lt; torch.|arange(|n).|clamp(|min=|2)"


def test_only_tables_with_long_rows_name_their_columns_in_each_cell():
    row = "<tr><td>{0}</td><td>{0}</td><td><code>{0}</code></td></tr>"
    head = "<thead><tr><th></th><th>a &amp; <code>b</code></th><th>c</th></tr></thead>"
    short, long = (
        document.with_readable_tables(f"<table>{head}<tbody>{row.format('x' * n)}</tbody></table>") for n in (20, 21)
    )
    assert "data-" not in short
    assert "<th></th>" not in short
    cells = BeautifulSoup(long, "html.parser").select("tbody td")
    assert [cell["data-column"] for cell in cells] == ["", "a & b", "c"]
    assert [cell["role"] for cell in cells] == ["cell"] * 3
