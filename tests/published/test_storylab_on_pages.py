"""StoryLab without a kernel: the model inside a page or a deck, or beside the site's pages; its picture without it."""

import base64
import copy
import itertools
import re
import shutil

import pytest
from playwright.sync_api import expect

from publish import document, for_readers, page, picture, slides, source, sphinx_source, static_widgets
from tests.published.test_slides import MEASURED, NOTES_TYPE, READABLE, settled
from tests.support import small_lesson, story_page
from tests.support.widget_page import settle
from utils.widgets._story_file import story_file

CELLS = (
    ":tags: [on-slide]\nfrom utils import masks, widgets\nimport torch\nlab = widgets.StoryLab(layer=3, head=2)\nlab",
    "widgets.StoryLab('Once upon a time', preset='none')",
    ":tags: [slide]\nwidgets.MaskLab(torch.zeros(4, 4), masks.causal(4), list('abcd'))",
)
OPENING = """\
# 42 · What does a mask do?

*The misconception: nothing.*

+++ {"tags": ["slide"]}

## The next word

**Your turn**: hide both cats. What is she afraid of now?
"""
MODEL = 'id="masks-story-gpt2"'


@pytest.fixture(scope="module")
def lesson(tmp_path_factory):
    """A lesson with two StoryLabs, one of them on a slide, and a MaskLab; executed once."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("lesson")
        path = small_lesson.write(folder, patch, *CELLS)
        text = folder / "src" / f"{path.stem}.md"
        text.write_text(text.read_text().replace("# 42 · Test\n", OPENING))
        return for_readers.lesson(*source.files())


def without(lesson, *kinds):
    """The lesson without cells that show such widgets."""
    fewer = copy.deepcopy(lesson)
    fewer.cells = [cell for cell in fewer.cells if not any(kind in cell.source for kind in kinds)]
    return fewer


@pytest.fixture(scope="module")
def files(lesson, tmp_path_factory):
    """A folder with the lesson as a page and as a deck, and as two pages of a site with what is beside them."""
    folder = tmp_path_factory.mktemp("published")
    (folder / "page.html").write_text(page.page(copy.deepcopy(lesson)))
    (folder / "deck.html").write_text(slides.deck(copy.deepcopy(lesson), "42_test"))
    shown = copy.deepcopy(lesson)
    states = static_widgets.replace_views(shown)
    views = [output.data["text/html"] for cell in shown.cells for output in cell.get("outputs", ())]
    (folder / "_static").mkdir()
    (folder / "_static" / "masks.js").write_text(static_widgets.story_address() + static_widgets.loader(states))
    (folder / "_static" / static_widgets.STORY).write_text(static_widgets.story_script())
    body = "".join(f'<div style="min-height: 4000px">{view}</div>' for view in ["<h1>Far below</h1>", *views])
    end = f"{static_widgets.states_script(states)}\n{sphinx_source.MASKS_JS}"
    style = f"<title>A page</title><style>{static_widgets.style(states)}</style>"
    (folder / "site.html").write_text(f'<!doctype html><meta charset="utf-8">{style}{body}{end}')
    return folder


def text_of(path):
    return path.read_text(encoding="utf-8")


def hide_both_cats(shown):
    for word in story_page.CATS:
        shown.locator(".storylab").first.locator(".storylab-chip[aria-pressed]").nth(word).click()
        story_page.told(shown)


# --- one file ----------------------------------------------------------------------------------------


def test_a_page_computes_with_what_it_carries(files, open_offline):
    """Its policy allows the compiled kernel; nothing is asked for, and nothing is said in the console."""
    shown = open_offline(files / "page.html", as_alone=True)
    story_page.ready(shown, views=2)
    assert shown.locator(".storylab[data-kernel=wasm]").count() == 2
    expect(shown.locator(".masks-place > img").filter(visible=True)).to_have_count(0)
    assert story_page.table(shown)["cat"][0] == pytest.approx(32, abs=1)
    hide_both_cats(shown)
    assert story_page.table(shown)["cat"][0] < 2


def test_the_model_is_in_a_page_once_and_the_page_stays_small(lesson, files):
    assert text_of(files / "page.html").count(static_widgets._story()) == 1
    assert text_of(files / "deck.html").count(static_widgets._story()) == 1
    alone = without(lesson, "MaskLab(", "preset='none'")
    assert len(page.page(alone).encode()) < 5.2e6


@pytest.mark.parametrize("kind", ["page", "deck"])
def test_only_where_a_storylab_is_there_is_a_model_and_a_policy_for_it(kind, lesson, files):
    fewer = without(lesson, "StoryLab(")
    fewer.cells[-1].source = CELLS[-1]
    text = page.page(fewer) if kind == "page" else slides.deck(fewer, "42_test")
    allowed = "script-src 'unsafe-inline' blob: 'wasm-unsafe-eval';"
    assert MODEL not in text
    assert "wasm" not in re.search(r"Content-Security-Policy\" content=\"(.*?)\">", text)[1]
    assert allowed in text_of(files / f"{kind}.html")
    assert len(text) < 1e6


def test_a_deck_that_shows_no_storylab_carries_no_model(lesson):
    hidden = copy.deepcopy(lesson)
    for cell in hidden.cells:
        if "on-slide" in cell.metadata.get("tags", ()):
            cell.metadata.tags = []
    assert MODEL not in slides.deck(hidden, "42_test")


def test_the_policy_of_other_files_is_what_it_was():
    text = document.document("t", "d", style="", body="")
    assert "\"default-src 'none'; script-src 'unsafe-inline' blob:; style-src 'unsafe-inline'; img-src data:\"" in text


def test_without_the_model_the_picture_stays_and_a_sentence_says_why(files, open_offline):
    text = text_of(files / "page.html")
    start, end = text.index(f'<script type="text/plain" {MODEL}'), text.index('<script type="application/json"')
    lost = files / "lost.html"
    lost.write_text(text[:start] + text[end:])
    shown = open_offline(lost, as_alone=True)
    shown.locator(".storylab[data-failed]").first.wait_for()
    expect(shown.locator(".storylab .masks-status").first).to_contain_text("This page came without the model.")
    place = shown.locator(".masks-place").first
    expect(place.locator("> img").first).to_be_visible()
    assert "after “…dog and a cat. The dog chased the cat." in place.locator("> img").first.get_attribute("alt")
    assert story_page.table(shown)["dog"][1] == pytest.approx(56, abs=1), "the saved numbers are there"


def damaged(way):
    """The file of the model as text, as a disk, a mail or an editor may leave it."""
    whole = bytearray(story_file())
    if way == "a byte flipped":
        whole[len(whole) // 2] ^= 1  # raw, it would be unpacked without an error, and give other words
    text = base64.b64encode(whole).decode()
    return {"cut": text[: len(text) // 2], "no base64": "?" + text[1:], "more": text[:-4] + "AAAA" * 9}.get(way, text)


@pytest.mark.parametrize(
    ("kind", "way"),
    [
        ("page", "a byte flipped"),
        ("page", "more"),
        ("deck", "no base64"),
        ("site", "a byte flipped"),
        ("site", "cut"),
        ("page", "an old browser"),
    ],
)
def test_a_model_that_cannot_be_read_leaves_the_picture_and_says_so_in_english(kind, way, files, tmp_path, page):
    problems = []
    page.on("console", lambda message: problems.append(message.text))
    page.on("pageerror", lambda error: problems.append(str(error)))
    shutil.copytree(files / "_static", tmp_path / "_static")
    for source_ in (files / f"{kind}.html", files / "_static" / static_widgets.STORY):
        text = text_of(source_).replace(static_widgets._story(), damaged(way))
        (tmp_path / source_.relative_to(files)).write_text(text)
    if way == "an old browser":
        page.add_init_script("delete globalThis.DecompressionStream")
    page.goto((tmp_path / f"{kind}.html").as_uri() + ("#/1" if kind == "deck" else ""))
    lab = page.locator(".storylab").first
    lab.scroll_into_view_if_needed()
    page.locator(".storylab[data-failed]").first.wait_for()
    says = "is too old to unpack the model." if way == "an old browser" else "The file of the model is damaged."
    expect(lab.locator(".masks-status")).to_have_text(re.compile(re.escape(says) + " So nothing can be changed here"))
    expect(page.locator(".masks-place").first.locator("> img").first).to_be_visible()
    assert problems == []


def test_where_a_policy_refuses_web_assembly_plain_code_computes_and_nothing_is_said(files, open_offline):
    text = text_of(files / "page.html")
    assert " 'wasm-unsafe-eval'" in text
    (files / "refused.html").write_text(text.replace(" 'wasm-unsafe-eval'", ""))
    shown = open_offline(files / "refused.html", as_alone=True)
    story_page.ready(shown, views=2)
    assert shown.locator(".storylab[data-kernel=plain]").count() == 2
    hide_both_cats(shown)
    assert story_page.table(shown)["cat"][0] < 2


def test_in_print_the_picture_takes_its_place(files, open_offline):
    shown = open_offline(files / "page.html", as_alone=True)
    story_page.ready(shown)
    shown.emulate_media(media="print")
    expect(shown.locator(".masks-place").first.locator("> img").first).to_be_visible()
    expect(shown.locator(".storylab").first).to_be_hidden()


# --- slides ------------------------------------------------------------------------------------------


def test_a_slide_with_a_storylab_and_its_task_fits_and_can_be_read(files, open_offline, page):
    page.add_init_script(NOTES_TYPE)
    page.set_viewport_size({"width": 1280, "height": 720})
    shown = open_offline(files / "deck.html", "#/1", as_alone=True)
    shown.locator(".present .storylab[data-kernel]").wait_for()
    for change in (lambda: None, lambda: hide_both_cats(shown)):
        change()
        story_page.told(shown)
        settled(shown)
        slide = shown.evaluate(MEASURED)
        assert slide["over"] <= 1, slide
        assert slide["cut"] == 0, slide
        assert slide["zoom"] >= 0.7, slide
        assert min(slide["labels"].values()) >= READABLE, slide
        assert slide["heading"] == "The next word"
    expect(shown.locator("section.present")).to_contain_text("Your turn: hide both cats.")
    for part in (".storylab-chips", ".masks-controls", ".storylab-next", ".storylab-stories", ".storylab-maps"):
        expect(shown.locator(f".present {part}")).to_be_visible()
    boxes = [
        shown.locator(f".present {part}").bounding_box()
        for part in (".masks-controls", ".storylab-maps", ".storylab-next")
    ]
    for left, right in itertools.pairwise(boxes):
        assert left["x"] + left["width"] <= right["x"]
    # Where nothing had to go, the foot, which is beside the stories, is not over them.
    seen = """() => {
      document.querySelector("section.present .fit").classList.remove("maps-only");
      return document.querySelector("section.present .storylab-foot .masks-help").checkVisibility();
    }"""
    assert not shown.evaluate(seen)
    settled(shown)
    shown.locator(".present summary", has_text="As code").click()
    settled(shown)
    expect(shown.locator(".present .storylab-code pre")).to_be_visible()
    assert shown.evaluate(MEASURED)["over"] <= 1


def test_a_picture_that_was_large_does_not_part_a_widget_from_its_task(lesson):
    notebook = copy.deepcopy(lesson)
    static_widgets.replace_views(notebook)
    first = slides.outline(notebook, "42_test")[1]
    assert [cell.cell_type for cell in first.cells] == ["markdown", "markdown", "code"]


# --- the site ----------------------------------------------------------------------------------------


def test_a_site_loads_the_model_once_and_only_when_a_storylab_comes_near(files, open_offline):
    shown = open_offline(files / "site.html")
    asked = []
    shown.on("request", lambda request: asked.append(request.url))
    settle(shown)
    assert shown.locator(".storylab.masks-waiting").count() == 2
    assert asked == []
    story_page.ready(shown, views=2)
    assert asked == [(files / "_static" / "story-gpt2.js").as_uri()]
    assert shown.locator(".storylab[data-kernel=wasm]").count() == 2
    assert shown.evaluate("globalThis.masksStoryText") is None, "five megabytes that nobody needs any more"
    hide_both_cats(shown)
    assert story_page.table(shown)["cat"][0] < 2


def test_a_site_whose_file_is_gone_says_so_and_keeps_the_picture(files, page):
    (files / "gone.html").write_text(text_of(files / "site.html").replace("_static/masks.js", "_static/gone/masks.js"))
    (files / "_static" / "gone").mkdir()
    (files / "_static" / "gone" / "masks.js").write_text(text_of(files / "_static" / "masks.js"))
    page.goto((files / "gone.html").as_uri())
    page.locator(".storylab").first.scroll_into_view_if_needed()
    page.locator(".storylab[data-failed]").first.wait_for()
    expect(page.locator(".storylab .masks-status").first).to_contain_text("_static/gone/story-gpt2.js")
    expect(page.locator(".masks-place").first.locator("> img").first).to_be_visible()


def test_where_the_model_is_beside_the_page_its_size_is_known(files):
    assert f"size: {len(story_file())} }};" in text_of(files / "_static" / "masks.js")
    assert text_of(files / "_static" / static_widgets.STORY).count(static_widgets._story()) == 1


# --- what looks at widgets ---------------------------------------------------------------------------


def test_a_lessons_card_shows_the_mask_of_a_masklab(lesson):
    assert picture.mask(lesson).tolist() == [[True] * n + [False] * (4 - n) for n in range(1, 5)]


def test_the_home_page_opens_with_a_masklab(lesson):
    html = sphinx_source.hero(lesson, picture.mask(lesson), {})
    assert '"kind": "MaskLab"' in html
    assert "StoryLab" not in html
