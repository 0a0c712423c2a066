"""Slides: one file a lesson, in a real browser, from a disk, with no network: complete, alive, and nothing cut."""

import nbformat
import pytest
from bs4 import BeautifulSoup
from playwright.sync_api import expect

from publish import for_readers, paths, slides, source, static_widgets
from tests.support.living_widgets import try_widgets
from tests.support.tiers import sweep
from tests.support.widget_page import settle, until

LESSONS = [lesson.stem for lesson in source.lessons()]
#: Lesson 00 holds both kinds of widgets.
every_lesson = pytest.mark.parametrize("name", sweep(LESSONS, daily=["00_start_here"]))


def lesson(name):
    return for_readers.lesson(*source.chosen([name]))


#: Notes on each canvas the smallest type in which it was ever written on.
NOTES_TYPE = """
const fillText = CanvasRenderingContext2D.prototype.fillText;
CanvasRenderingContext2D.prototype.fillText = function (...words) {
  const size = parseFloat(this.font.match(/[\\d.]+px/)[0]);
  this.canvas.type = Math.min(this.canvas.type ?? Infinity, size);
  this.canvas.words = [...(this.canvas.words ?? []), words[0]];
  fillText.apply(this, words);
};
"""


@pytest.fixture
def opened(deck_file, open_offline, page):
    """Opens the deck of a lesson at a slide; the file must be all there is."""
    page.add_init_script(NOTES_TYPE)

    def open_deck(name, slide=0, width=1280, height=720):
        page.set_viewport_size({"width": width, "height": height})
        return open_offline(deck_file(name), f"#/{slide}", as_alone=True)

    return open_deck


#: The number of the first slide that holds such a thing.
FIRST = "what => [...document.querySelectorAll('.slides > section')].findIndex((slide) => slide.querySelector(what))"
#: Of the slide on show: zoom of its content, by how much any part of it leaves the slide, in the slide's pixels, the
#: smallest labels there, and whether the maps of each MaskLab stand side by side. In figures 9.5 points are smallest.
MEASURED = """() => {
  const slide = Reveal.getCurrentSlide(), box = slide.querySelector(".fit"), scale = Reveal.getScale();
  const { left, top } = document.querySelector(".slides").getBoundingClientRect();
  const { width, height } = Reveal.getConfig();
  const shown = (what) => [...box.querySelectorAll(what)].filter((part) => part.checkVisibility());
  const over = shown("*").filter((part) => !part.closest(".masks-hidden"))
    .map((part) => part.getBoundingClientRect())
    .map(({ right, bottom }) => Math.max((right - left) / scale - width, (bottom - top) / scale - height));
  const cut = shown("pre:not(.masks-widget *)").filter((pre) => pre.scrollWidth > pre.clientWidth + 1);
  const enlargement = (part, natural) => part.getBoundingClientRect().width / natural / scale;
  const labels = {
    canvas: shown("canvas").filter((canvas) => canvas.type)
      .map((canvas) => canvas.type * enlargement(canvas, parseFloat(canvas.style.width))),
    widget: shown(".masks-widget *:not(.masks-hidden, option)").filter((part) => part.innerText)
      .map((part) => parseFloat(getComputedStyle(part).fontSize) * part.currentCSSZoom),
    figure: shown(".output_subarea > img").map((img) => 12.67 * enlargement(img, img.getAttribute("width"))),
    text: shown(":is(pre, td, p, li, code):not(.masks-widget *)")
      .map((part) => parseFloat(getComputedStyle(part).fontSize) * part.currentCSSZoom),
  };
  const beside = shown(".masklab").map((lab) => [...lab.querySelectorAll("canvas")]
    .map((canvas) => canvas.getBoundingClientRect()))
    .every(([before, after]) => before.top === after.top && before.right <= after.left);
  return { zoom: +box.style.zoom || 1, over: Math.max(...over), cut: cut.length, beside,
    heading: slide.querySelector("h1, h2")?.innerText, text: box.innerText.trim().length,
    labels: Object.fromEntries(Object.entries(labels).map(([kind, sizes]) => [kind, Math.min(Infinity, ...sizes)])),
    widgets: box.querySelectorAll(".masks-lives").length, pictures: box.querySelectorAll("img").length };
}"""
#: Pixels of 720, 2.5 %, less what rounding may take.
READABLE = 18 - 0.05


def settled(shown):
    """Waits until the widgets of the slide on show have what they draw, and the slide has made room for them."""
    until(shown, "!document.querySelector('.present [aria-busy]')")
    settle(shown)
    until(shown, "!document.querySelector('.present [data-fitting]')")
    settle(shown)


@every_lesson
def test_every_slide_fits_and_says_something(name, opened):
    shown = opened(name)
    total = shown.evaluate("Reveal.getTotalSlides()")
    assert 8 <= total <= 30
    headings, widgets = [], 0
    for number in range(total):
        if number:
            shown.keyboard.press("ArrowRight")
        until(shown, "number => Reveal.getIndices().h === number", number)
        settle(shown)
        if shown.locator(".present .masks-lives").count():
            settled(shown)
        slide = shown.evaluate(MEASURED)
        assert slide["over"] <= 1, f"slide {number + 1}: {slide}"
        assert slide["cut"] == 0, f"slide {number + 1}: {slide}"
        assert slide["zoom"] >= 0.7, f"slide {number + 1} is too full: {slide}"
        assert min(slide["labels"].values()) >= READABLE, f"slide {number + 1}: {slide}"
        assert slide["beside"], f"slide {number + 1}: {slide}"
        assert slide["heading"], f"slide {number + 1} has no heading"
        assert slide["text"] > 40 or slide["pictures"], f"slide {number + 1}: {slide}"
        headings.append(slide["heading"])
        widgets += slide["widgets"]
        try_widgets(shown, ".present")
        shown.evaluate("document.activeElement.blur()")
    assert headings[0] == for_readers.about(lesson(name)).title
    assert headings[-1] == "What you can do now"
    assert widgets > 0, "every lesson has a widget"


@every_lesson
def test_inputs_are_hidden_unless_they_are_asked_for(name, deck_file):
    deck = BeautifulSoup(deck_file(name).read_text(encoding="utf-8"), "html5lib")
    cells = [cell for cell in lesson(name).cells if cell.cell_type == "code" and paths.tags(cell) & slides.SHOWN]
    wanted = sum("show-code" in paths.tags(cell) for cell in cells)
    assert len(deck.select(".slides .input_area")) == wanted
    assert len(deck.select(".slides .code_cell")) == len(cells)


@pytest.mark.gate
def test_every_lesson_gets_a_deck(executed, tmp_path, monkeypatch):
    monkeypatch.setattr(slides, "SLIDES", tmp_path)
    assert [path.stem for path in slides.build()] == LESSONS


def test_opened_in_the_middle_a_slide_with_a_widget_fits(opened):
    """A widget is drawn when its slide is shown, so it grows after the slide has been measured."""
    shown = opened("01_ragged_tensors")
    number = shown.evaluate(FIRST, ".masklab")
    shown = opened("01_ragged_tensors", number)
    shown.reload()
    shown.wait_for_selector(".present .masks-lives")
    settled(shown)
    expect(shown.locator(".present .fit")).to_have_class("fit maps-only")
    slide = shown.evaluate(MEASURED)
    assert slide["over"] <= 1
    assert slide["zoom"] >= 0.7


def on_the_widget(shown, kind=".masklab"):
    number = shown.evaluate(FIRST, kind)
    shown.evaluate("number => Reveal.slide(number)", number)
    settle(shown)
    return number


def test_large_maps_of_headgrid_have_numbers_and_are_sharp(opened):
    shown = opened("00_start_here")
    on_the_widget(shown, ".headgrid")
    settled(shown)
    maps = shown.locator(".present .headgrid canvas").evaluate_all(
        "all => all.map((map) => [map.width / map.getBoundingClientRect().width, map.words])"
    )
    for enlarged, _ in maps:
        assert enlarged == pytest.approx(1, abs=0.01), "as many pixels as the screen has"
    for _, words in maps[1:]:
        assert ".04" in words


def test_keys_inside_a_widget_are_its_own(opened):
    shown = opened("04_minus_infinity")
    number = on_the_widget(shown)
    lab = shown.locator(".present .masklab")
    before = lab.locator(".masks-status").inner_text()
    lab.get_by_role("grid").focus()
    for key in ("Control+Home", "ArrowRight", "ArrowDown", "Space", "s", "f", "o"):
        shown.keyboard.press(key)
    assert shown.evaluate("Reveal.getIndices().h") == number
    assert not shown.evaluate("Reveal.isOverview()")
    assert lab.locator(".masks-status").inner_text() != before, "Space drew in the widget"
    shown.keyboard.press("Escape")
    shown.keyboard.press("ArrowRight")
    assert shown.evaluate("Reveal.getIndices().h") == number + 1


def test_widgets_on_slides_take_the_mouse_where_it_is(opened):
    """The slide is scaled, and the widget on it again."""
    shown = opened("04_minus_infinity")
    shown.set_viewport_size({"width": 900, "height": 700})
    on_the_widget(shown)
    lab = shown.locator(".present .masklab")
    lab.get_by_role("button", name="Reset").click()
    before = lab.locator(".masks-status").inner_text()
    box = lab.locator(".masklab-grid canvas").bounding_box()
    shown.mouse.click(box["x"] + box["width"] * 0.9, box["y"] + box["height"] * 0.65)  # the last key of the first query
    expect(lab.locator(".masks-status")).not_to_have_text(before)
    shown.keyboard.press("Control+z")
    expect(lab.locator(".masks-status")).to_have_text(before)


#: Pixels of each canvas on the slide for one of the screen.
SHARPNESS = """[...document.querySelectorAll(".present canvas")].filter((canvas) => canvas.checkVisibility())
  .map((canvas) => canvas.width / canvas.getBoundingClientRect().width)"""


def test_maps_are_as_sharp_as_the_screen_on_which_they_are_thrown(opened):
    shown = opened("04_minus_infinity")
    on_the_widget(shown)
    settled(shown)
    for width, height in ((1280, 720), (1920, 1080)):
        shown.set_viewport_size({"width": width, "height": height})
        until(shown, f"{SHARPNESS}.every((one) => Math.abs(one - 1) < 0.02)", patience=10)
        assert len(shown.evaluate(SHARPNESS)) == 2


def test_a_question_has_a_heading_as_large_as_that_of_its_answer(opened):
    shown = opened("05_causal_masks")
    sizes = []
    for number in (10, 11):
        shown.evaluate("number => Reveal.slide(number)", number)
        settled(shown)
        sizes.append(shown.evaluate("parseFloat(getComputedStyle(document.querySelector('.present h2')).fontSize)"))
    assert shown.locator(".present .question").count() == 0
    assert sizes == [44, 44]


def test_beside_a_figure_no_word_is_broken_and_lines_are_not_too_short(opened):
    shown = opened("06_two_masks")
    beside = 0
    for number in range(shown.evaluate("Reveal.getTotalSlides()")):
        shown.evaluate("number => Reveal.slide(number)", number)
        settled(shown)
        words = shown.locator(".present .beside > :not(:first-child, :has(.output_subarea > img))")
        for part in words.all():
            assert part.evaluate("part => part.scrollWidth <= part.clientWidth"), number
            assert part.bounding_box()["width"] >= 190, number
            beside += 1
    assert beside >= 1


def test_code_is_shown_in_place_of_the_maps(opened):
    shown = opened("00_start_here")
    on_the_widget(shown)
    settled(shown)
    lab = shown.locator(".present .masklab")
    lab.locator("summary", has_text="As code").click()
    settled(shown)
    expect(lab.locator(".masklab-code pre")).to_be_visible()
    expect(lab.locator(".masklab-maps")).to_be_hidden()
    assert shown.evaluate(MEASURED)["over"] <= 1
    lab.locator("summary", has_text="As code").click()
    settled(shown)
    slide = shown.evaluate(MEASURED)
    assert slide["beside"]
    assert min(slide["labels"].values()) >= READABLE


def test_the_speaker_has_notes_and_a_clock(opened):
    shown = opened("05_causal_masks")
    assert shown.locator("aside.notes").count() > 4
    number = shown.evaluate(FIRST, "aside.notes")
    shown.evaluate("number => Reveal.slide(number)", number)
    wanted = shown.locator("aside.notes").first.text_content().split()[:5]
    with shown.expect_popup() as popup:
        shown.keyboard.press("s")
    notes = popup.value.locator(".speaker-controls-notes .value")
    expect(notes).to_contain_text(" ".join(wanted))


def test_printing_gives_a_page_a_slide_with_pictures_for_widgets(deck_file, page):
    page.emulate_media(color_scheme="dark")
    page.goto(f"{deck_file('04_minus_infinity').as_uri()}?print-pdf")
    page.wait_for_selector(".reveal-print .pdf-page, .print-pdf .pdf-page")
    page.emulate_media(media="print")
    slides = page.locator(".slides section").count()
    assert page.locator(".pdf-page").count() == slides
    expect(page.locator(".masks-place > img").first).to_be_visible()
    expect(page.locator(".masks-alive").first).to_be_hidden()
    sheets = page.locator(".pdf-page").evaluate_all(
        "all => all.map((sheet) => getComputedStyle(sheet).backgroundColor)"
    )
    assert set(sheets) == {"rgb(255, 255, 255)"}, "white paper, whatever the screen is"


#: How wide the maps of the shown slide's widgets are, in pixels of the screen.
MAPS = """[...Reveal.getCurrentSlide().querySelectorAll(".masks-alive canvas")].filter((map) => map.checkVisibility())
  .map((map) => map.getBoundingClientRect().width)"""


@every_lesson
def test_on_a_phone_slides_are_upright_and_large_enough_to_read(name, opened):
    """Nothing is cut or scrolled sideways; words are as large as a page's, and turned over the deck is a wide one."""
    shown = opened(name, width=390, height=760)
    for number in range(shown.evaluate("Reveal.getTotalSlides()")):
        shown.evaluate("number => Reveal.slide(number)", number)
        settle(shown)
        settled(shown)
        slide = shown.evaluate(MEASURED)
        assert slide["over"] <= 1, f"slide {number + 1}: {slide}"
        assert slide["cut"] == 0, f"slide {number + 1}: {slide}"
        assert shown.evaluate("document.documentElement.scrollWidth") == 390
        assert slide["labels"]["text"] * shown.evaluate("Reveal.getScale()") > 9, f"slide {number + 1}: {slide}"
        assert min(shown.evaluate(MAPS), default=99) > 80, f"slide {number + 1}: a map is squeezed"
    shown.set_viewport_size({"width": 760, "height": 390})
    settle(shown)
    assert shown.evaluate("Reveal.getConfig().width") == 1280


# --- what tags do --------------------------------------------------------------------------------------


def tagged(*cells):
    """A small lesson: (text, tags) for Markdown, (code, output, tags) for code."""
    head = "# 42 · Test?\n\n*The misconception: none.*\n\n**After this you can**\n\n- test;\n- and\n  more.\n\nBegin."
    lesson_cells = [nbformat.v4.new_markdown_cell(head)]
    for text, *output, tags in cells:
        if output:
            outputs = [nbformat.v4.new_output("stream", text=output[0])]
            cell = nbformat.v4.new_code_cell(text, outputs=outputs)
        else:
            cell = nbformat.v4.new_markdown_cell(text)
        cell.metadata.tags = tags.split()
        lesson_cells.append(cell)
    return nbformat.v4.new_notebook(cells=lesson_cells)


def shown_of(notebook):
    return [([cell.source for cell in slide.cells], slide.notes) for slide in slides.outline(notebook, "42_test")]


MUCH = "Words. " * 40


@pytest.mark.parametrize("words", ["Before.", MUCH])
def test_a_large_figure_shares_its_slide_with_a_few_words_at_most(words):
    picture = nbformat.v4.new_output("display_data", {"image/png": ""}, metadata={"image/png": {"width": 700}})
    together, apart = [["## One", words, "plot()", "After."]], [["## One", words], ["## One", "plot()", "After."]]
    for before in ([(f"## One\n\n{words}", "slide")], [("## One", "slide"), (words, "on-slide")]):
        notebook = tagged(*before, ("plot()", "", "on-slide"), ("After.", "on-slide"))
        notebook.cells[-2].outputs = [picture]
        for height, wanted in ((200, together), (400, together if words == "Before." else apart)):
            picture.metadata["image/png"]["height"] = height
            assert [[text.strip() for text in cells] for cells, _ in shown_of(notebook)[2:-1]] == [
                [text.strip() for text in cells] for cells in wanted
            ]


@pytest.mark.parametrize(
    "more", ["- a list", "| a | table |", "### A heading", "A formula, $e^0$", "1. a number", MUCH]
)
def test_beside_a_large_figure_there_is_no_room_for_more_than_sentences(more):
    picture = nbformat.v4.new_output(
        "display_data", {"image/png": ""}, metadata={"image/png": {"width": 700, "height": 400}}
    )
    notebook = tagged(
        ("## One", "slide"), ("plot()", "", "on-slide"), (more, "on-slide"), ("print(1)", "1\n", "on-slide")
    )
    notebook.cells[-3].outputs = [picture]
    assert [cells for cells, _ in shown_of(notebook)[2:-1]] == [["## One", "plot()"], ["## One", more, "print(1)"]]
    notebook.cells[-2].metadata.tags = []
    assert [cells for cells, _ in shown_of(notebook)[2:-1]] == [["## One", "plot()"], ["## One", "print(1)"]]


def test_tags_say_what_is_shown_and_the_rest_is_notes():
    notebook = tagged(
        ("## One\n\nBefore.", ""),
        ("print(1)", "1\n", "slide"),
        ("Shown [here](03_left_or_right.ipynb).", "on-slide"),
        ("Said [there](solutions/03_left_or_right.ipynb).", ""),
        ("secret()", "nothing\n", ""),
        ("## Two", "slide"),
        ("## Skipped\n\nNobody hears this.", ""),
    )
    assert shown_of(notebook)[1:] == [
        (["## After this you can\n\n- test;\n- and\n  more."], []),
        (["## One", "print(1)", "Shown here."], ["Before.", "Said there."]),
        (["## Two"], []),
        ([slides.CLOSING.format(goals="- test;\n- and\n  more.", title="42 · Test?")], []),
    ]


def test_a_slide_may_have_few_words_of_its_own_and_the_speaker_has_the_rest():
    few = "<!-- slide: Few words,\nin *two* lines. -->\n\n"
    notebook = tagged(
        (f"## One\n\n{few}A whole paragraph.\n\n**Predict.** What now?", "slide"),
        (f"{few}Another [one](03_left_or_right.ipynb).", "on-slide"),
    )
    ((cells, notes),) = shown_of(notebook)[2:-1]
    assert [cell.strip() for cell in cells] == [
        "## One",
        "Few words,\nin *two* lines.\n\n**Predict.** What now?",
        "Few words,\nin *two* lines.",
    ]
    assert notes == ["A whole paragraph.", "Another one."]


def test_what_only_the_speaker_needs_is_in_the_notes_alone():
    notebook = tagged(
        ("## One\n\n<!-- slide: Few words. -->\n\n<!-- say: Click *no mask*. -->\n\nA whole paragraph.", "slide"),
        ("<!-- say: Then wait. -->\n\nAll words.", "on-slide"),
        ("<!-- slide: One. -->\n\nA.\n\n<!-- slide: Two. -->\n\nB.", "on-slide"),
    )
    ((cells, notes),) = shown_of(notebook)[2:-1]
    assert [cell.strip() for cell in cells] == ["## One", "Few words.", "All words.", "One.\n\nTwo."]
    assert notes == ["A whole paragraph.\n\nClick *no mask*.", "Then wait.", "A.\n\nB."]


def test_the_speaker_knows_how_long_each_section_takes():
    notebook = tagged(
        ("## One", "slide"), ("First.", "slide"), ("## Two", "slide cut-45"), ("widgets.MaskLab()", "", "on-slide")
    )
    shown = BeautifulSoup(slides.deck(notebook, "42_test"), "html.parser").select(".slides > section")
    said = [" ".join(note.get_text().strip() for note in slide.select(".notes p")) for slide in shown]
    assert said[0] == "7 minutes in all; 3 where there are 45, without the sections that say so."
    assert said[1:] == [
        "1 minute for this section.",
        "2 minutes for this section.",
        "",
        "4 minutes for this section; leave it out where there are 45.",
        "",
    ]


@pytest.mark.parametrize(
    ("cells", "says"),
    [
        ([("text", "on-slide")], "42_test, cell .*: tagged on-slide, but no slide comes before it"),
        ([("text", "")], "42_test: no cell is tagged slide"),
    ],
)
def test_a_lesson_without_slides_is_named(cells, says):
    with pytest.raises(paths.LessonError, match=says):
        slides.deck(tagged(*cells), "42_test")


def test_a_lesson_that_does_not_exist_is_named():
    with pytest.raises(paths.LessonError, match="no lesson begins with '77'"):
        list(slides.build(["77"]))


def test_code_is_shown_on_purpose_only():
    text = slides.deck(tagged(("secret = 1", "out\n", "slide"), ("public = 2", "out\n", "slide show-code")), "42_test")
    assert "secret" not in text
    assert "public" in text


def test_a_deck_carries_only_the_widgets_it_shows():
    notebook = lesson("00_start_here")
    assert len(static_widgets.replace_views(lesson("00_start_here"))) > 1
    for cell in notebook.cells[1:]:
        cell.metadata.tags = []
    notebook.cells[1].metadata.tags = ["slide"]
    assert "masks-states" not in slides.deck(notebook, "00_start_here")
    assert static_widgets.scripts({}) == ""
