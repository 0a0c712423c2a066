"""The site as people meet it: from a disk, with no network, in Chromium, and its files; what builds it."""

import base64
import copy
import gzip
import io
import itertools
import os
import re
import runpy
import shutil
import subprocess
import sys
import zlib
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import unquote, urldefrag
from xml.etree import ElementTree

import html5lib
import nbformat
import pytest
import torch
import yaml
from axe_playwright_python.sync_playwright import Axe
from bs4 import BeautifulSoup
from PIL import Image, ImageColor, ImageStat
from playwright.sync_api import expect

from publish import for_readers, notebooks, paths, picture, sheet, site, source, sphinx_source
from publish.hosting import Hosting
from tests.support import small_lesson
from tests.support.living_widgets import try_widgets
from tests.support.tiers import sweep
from tests.support.widget_page import settle
from utils import masks

LESSONS = [lesson.stem for lesson in source.files()]
OTHERS = [
    "index",
    "lessons",
    "what_tutorials_get_wrong",
    "for_lecturers",
    "which_masks",
    "reference",
    "404",
    "search",
    "genindex",
]
REFERENCE = [f"reference/{module}" for module in sphinx_source.MODULES]
PAGES = LESSONS + OTHERS + REFERENCE
#: One of each kind.
KINDS = ["index", "04_minus_infinity", "what_tutorials_get_wrong", "which_masks", "reference/masks", "search", "404"]


@pytest.fixture(scope="session")
def parsed(built):
    """Path → page, of everything that is HTML, but for old addresses, which lead on."""
    files = [path for path in sorted(built.rglob("*.html")) if path.name not in site.MOVED]
    return {path: BeautifulSoup(path.read_text(encoding="utf-8"), "html5lib") for path in files}


@pytest.fixture
def opened(built, open_offline):
    """Opens a page of the site."""
    return lambda name, query="": open_offline(built / f"{name}.html", query)


def test_the_lists_above_are_complete(built):
    assert {path.relative_to(built).with_suffix("").as_posix() for path in built.rglob("*.html")} == {
        *PAGES,
        *(f"pages/{name}" for name in LESSONS),
        *(f"slides/{lesson.stem}" for lesson in source.lessons()),
        "10_cheat_sheet",
        "pages/what_tutorials_get_wrong",
        f"pages/{for_readers.PRINTED.removesuffix('.html')}",
    }


@pytest.mark.parametrize("name", sweep(PAGES, daily=KINDS))
def test_a_page_needs_nothing_is_whole_and_fits(name, opened):
    shown = opened(name)
    assert shown.locator("h1").count() == 1
    assert "$" not in "".join(shown.locator("article p").all_inner_texts()), "formulas are drawn"
    for width in (360, 800, 1400):
        shown.set_viewport_size({"width": width, "height": 900})
        settle(shown)
        assert shown.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("name", sweep(["index", *LESSONS], daily=["index", "00_start_here"]))
def test_widgets_live_by_mouse_and_keyboard(name, opened):
    shown = opened(name)
    assert shown.locator(".masks-place").count() == shown.locator(".masks-lives").count() > 0
    try_widgets(shown)


def test_code_is_copied_without_its_output(opened):
    shown = opened("04_minus_infinity")
    assert shown.locator("div.cell_input button.copybtn").count() == shown.locator("div.cell_input").count() > 10
    assert shown.locator("div.cell_output button.copybtn").count() == 0


def test_search_finds_lessons_and_helpers(opened):
    shown = opened("search", "?q=left+padding")
    results = shown.locator("#search-results li a")
    expect(results.first).to_be_visible()
    assert any("03_left_or_right" in link.get_attribute("href") for link in results.all())
    shown = opened("search", "?q=assert_no_leaks")
    expect(shown.locator('#search-results a[href*="influence"]').first).to_be_visible()


def test_the_table_of_models_shows_what_is_asked_for(opened):
    shown = opened("which_masks")
    rows = shown.locator("article table").first.locator("tbody tr")
    total = rows.count()
    assert total > 280
    expect(shown.locator(".which-masks output")).to_have_text(f"{total} of {total}")
    shown.get_by_role("searchbox", name="Show only").fill("mistral window")
    expect(shown.locator(".which-masks output")).to_have_text(f"1 of {total}")
    cells = rows.locator("visible=true").first.locator("td").all_inner_texts()
    assert cells[:2] == ["MistralForCausalLM\nmistral", "causality and window of 4 keys"]
    assert cells[2:4] == ["read", "read; replaces causality and window"]
    shown.get_by_role("searchbox", name="Show only").fill("")
    expect(shown.locator(".which-masks output")).to_have_text(f"{total} of {total}")


def test_the_search_button_leads_to_the_results(opened):
    shown = opened("index")
    shown.keyboard.press("Control+k")
    shown.keyboard.type("cross-attention")
    shown.keyboard.press("Enter")
    expect(shown.locator('#search-results a[href*="appendix_mha"]').first).to_be_visible()


def test_dark_is_dark_for_page_widgets_and_figures(opened, page):
    page.emulate_media(color_scheme="dark")
    shown = opened("04_minus_infinity")
    brightness = """element => {
      const canvas = document.createElement("canvas").getContext("2d");
      canvas.fillStyle = getComputedStyle(element).backgroundColor;
      canvas.fillRect(0, 0, 1, 1);
      return Math.max(...canvas.getImageData(0, 0, 1, 1).data.slice(0, 3));
    }"""
    for selector in ("body", ".masklab", "div.cell_input div.highlight"):
        assert shown.locator(selector).first.evaluate(brightness) < 70, selector
    # The theme lays something light behind outputs and pictures; ours are dark themselves.
    shown.locator(".cell_output img").evaluate_all(
        "all => all.map((img) => { img.className = 'masks-figure'; img.style = ''; })"
    )
    for slab in shown.locator(".cell_output .text_html, .cell_output img").all():
        assert slab.evaluate("e => getComputedStyle(e).backgroundColor") == "rgba(0, 0, 0, 0)"
        assert slab.evaluate("e => getComputedStyle(e).padding") == "0px"
    assert "brightness" not in shown.locator(".cell_output img").first.evaluate("e => getComputedStyle(e).filter")
    # The switch in the page wins over the system, for the widgets too.
    shown.get_by_role("button", name="Color mode").click()
    shown.get_by_role("button", name="Light").click()
    for selector in ("body", ".masklab"):
        assert shown.locator(selector).first.evaluate(brightness) > 200, selector


@pytest.mark.gate
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", KINDS)
def test_axe_finds_nothing(name, scheme, page, opened):
    page.emulate_media(color_scheme=scheme)
    answer = Axe().run(opened(name), options={"preload": False}).response  # it would fetch style sheets
    assert [(v["id"], [n["html"][:90] for n in v["nodes"]][:3]) for v in answer["violations"]] == []


def test_what_is_too_wide_says_so_and_words_are_never_cut(opened):
    """On a phone, messages wrap; tables and columns of numbers scroll, with a shadow where they go on."""
    shown = opened("02_padding")
    shown.get_by_role("button", name="Show all answers").click()
    shown.set_viewport_size({"width": 390, "height": 844})
    settle(shown)
    cut = "pre => pre.scrollWidth > pre.clientWidth"
    sentences, lined_up = (shown.locator(f".cell_output pre{kind}") for kind in (".sentences", ":not(.sentences)"))
    message = sentences.filter(has_text="argument 'attn_mask' must be Tensor, not list")
    assert message.count() == 1
    assert [pre.inner_text() for pre in sentences.all() if pre.evaluate(cut)] == []
    shadow_changes_sides(next(pre for pre in lined_up.all() if pre.evaluate(cut)))
    opened("07_bert_2d_masks")
    shown.get_by_role("button", name="Show all answers").click()
    tables = shown.locator(".pst-scrollable-table-container").all()
    shadow_changes_sides(next(table for table in tables if table.evaluate(cut)))


def edges(box) -> tuple[float, float]:
    """How light the leftmost and the rightmost pixels of an element are, 0 to 255."""
    image = Image.open(io.BytesIO(box.screenshot())).convert("L")
    left, right = (image.crop((x, 0, x + 4, image.height)) for x in (2, image.width - 6))
    return ImageStat.Stat(left).mean[0], ImageStat.Stat(right).mean[0]


def shadow_changes_sides(box):
    """Where a box goes on there is a shadow: at the right at first, and at the left once it is scrolled to its end."""
    left, right = edges(box)
    box.evaluate("box => { box.scrollLeft = box.scrollWidth }")
    left_then, right_then = edges(box)
    assert right < right_then - 15
    assert left_then < left - 15


def test_on_a_phone_the_cells_of_a_long_row_are_below_each_other(opened):
    """Each with the name of its column, none wider than the screen, none without anything in it."""
    shown = opened("cheat_sheet")
    shown.set_viewport_size({"width": 390, "height": 844})
    table = shown.get_by_role("table").first
    row = table.get_by_role("row").filter(has_text="is_causal=True").first
    cells = row.get_by_role("cell")
    names = [cell.evaluate("cell => getComputedStyle(cell, '::before').content") for cell in cells.all()]
    assert names == ["none", '"shape"', '"type: what hides"', '"given something else"'], "an empty cell is not there"
    boxes = [cell.bounding_box() for cell in cells.all()]
    assert all(below["y"] >= above["y"] + above["height"] for above, below in itertools.pairwise(boxes))
    assert all(box["x"] >= 0 and box["x"] + box["width"] <= 390 for box in boxes)
    shown.set_viewport_size({"width": 1280, "height": 844})
    assert len({cell.bounding_box()["y"] for cell in cells.all()}) == 1


def test_on_a_phone_a_model_is_its_name_and_a_button_shows_the_rest(opened):
    shown = opened("which_masks")
    shown.set_viewport_size({"width": 390, "height": 844})
    assert shown.evaluate("document.documentElement.scrollHeight") < 20_000
    button = shown.get_by_role("button", name="All about AfmoeForCausalLM", exact=True)
    afmoe = shown.get_by_role("row").filter(has=button).get_by_role("cell")
    for unfolded in (True, False):
        expect(button).to_have_attribute("aria-expanded", str(not unfolded).lower())
        button.press("Enter")
        expect(button).to_have_attribute("aria-expanded", str(unfolded).lower())
        expect(afmoe).to_have_count(7 if unfolded else 1)
    shown.get_by_role("searchbox", name="Show only").fill("mistral window")
    row = shown.get_by_role("table").first.get_by_role("row").filter(has_text="MistralForCausalLM")
    expect(row).to_be_visible()
    cells = row.get_by_role("cell")
    assert cells.nth(1).evaluate("cell => getComputedStyle(cell, '::before').content") == '"adds by itself"'
    tops = [cell.bounding_box()["y"] for cell in cells.all()]
    assert tops == sorted(set(tops)), "one below the other"
    assert len(tops) == 7
    assert shown.locator(".pst-scrollable-table-container").first.evaluate("box => box.scrollWidth <= box.clientWidth")


def test_the_home_page_begins_with_words_beside_a_living_widget(opened):
    shown = opened("index")
    for width, beside in ((1280, True), (820, False), (390, False)):
        shown.set_viewport_size({"width": width, "height": 800})
        settle(shown)
        title, widget, header = (shown.locator(at).first.bounding_box() for at in ("h1", ".masks-widget", ".bd-header"))
        assert (widget["x"] > title["x"] + title["width"]) == beside
        assert (widget["y"] < title["y"] + title["height"]) == beside
        assert widget["y"] < 480
        assert widget["width"] >= min(640, width - 32)
        assert header["height"] <= 80, "one line"
        if beside:
            assert shown.locator(".lessons .sd-card").first.bounding_box()["y"] < 800, "in sight without scrolling"
            assert shown.evaluate("document.activeElement === document.body"), "nothing takes the focus"
        rows: dict[float, set[int]] = {}
        for card in shown.locator(".lessons .sd-card").all():
            box = card.bounding_box()
            assert 0 <= box["x"] <= width - box["width"]
            rows.setdefault(round(box["y"]), set()).add(round(box["height"]))
        assert len(rows) == (7 if width > 768 else 14)
        assert all(len(heights) == 1 for heights in rows.values()), "cards of a row are equally high"


def test_print_shows_pictures_in_place_of_widgets(opened):
    shown = opened("04_minus_infinity")
    shown.emulate_media(media="print")
    expect(shown.locator(".masks-place > img").first).to_be_visible()
    expect(shown.locator(".masks-alive").first).to_be_hidden()
    expect(shown.locator(".bd-sidebar-primary")).to_be_hidden()
    shown.set_viewport_size({"width": 700, "height": 900})
    for code in shown.locator("div.cell_input pre").all():
        assert code.evaluate("pre => pre.scrollWidth <= pre.clientWidth"), "long lines are broken, not cut"


# --- files, without a browser ------------------------------------------------------------------------


def test_html_is_strict(built):
    for path in built.rglob("*.html"):
        parser = html5lib.HTMLParser(strict=False)
        parser.parse(path.read_text(encoding="utf-8"))
        assert [(position, code) for position, code, _ in parser.errors] == [], path


def test_titles_and_descriptions(parsed):
    titles = {}
    for path, page in parsed.items():
        title, description = page.title.get_text(), page.find("meta", attrs={"name": "description"})
        assert len(title) > 8, path
        assert description is not None, path
        assert 20 < len(description["content"]) < 250, path
        assert page.html["lang"] == "en", path
        titles.setdefault((path.parent, title), []).append(path.name)
    assert [names for names in titles.values() if len(names) > 1] == []


def test_every_image_says_what_it_shows(parsed):
    for path, page in parsed.items():
        for image in page.select("img:not(.logo__image)"):  # beside the logo stands its name
            panel = image.find_previous_sibling(
                "img"
            )  # a second panel is named only: the first one says what both show
            assert len(image.get("alt", "").split()) > (0 if panel else 10), f"{path}: {str(image)[:120]}"


def test_links_and_anchors_resolve(parsed, built):
    anchors = {path: {tag["id"] for tag in page.find_all(id=True)} for path, page in parsed.items()}
    checked = 0
    for path, page in parsed.items():
        for tag in page.find_all(href=True):
            address, anchor = urldefrag(tag["href"])
            address = unquote(address.partition("?")[0])
            if re.match(r"(https?|mailto|data):", address) or (path.parent.name == "slides" and anchor.startswith("/")):
                continue
            target = (path.parent / address).resolve() if address else path
            assert target.is_file(), f"{path.relative_to(built)} → {tag['href']}"
            if anchor:
                assert {anchor, unquote(anchor)} & anchors[target], f"{path.relative_to(built)} → {tag['href']}"
            checked += 1
    assert checked > 1000


def test_the_ledgers_links_lead_to_the_cells_that_prove_it(parsed, built):
    links = parsed[built / "what_tutorials_get_wrong.html"].select('a[href*="#cell-id=claim"]')
    assert len(links) > 60
    for link in links:
        address, anchor = urldefrag(link["href"])
        target = parsed[built / address].find(id=anchor)
        assert target.find_next("details", class_="proof") is not None


def test_pages_and_shared_files_are_small(built):
    shared = [path for path in (built / "_static").rglob("*") if path.is_file() and path.parent.name != "figures"]
    assert sum(path.stat().st_size for path in shared) < 8e6
    assert not [path for path in shared if path.suffix == ".map"]
    for name in PAGES:
        text = (built / f"{name}.html").read_text(encoding="utf-8")
        figures = {built / address for address in re.findall(r'_static/figures/[^"]+', text)}
        # Hosts send text compressed, figures as they are.
        assert len(gzip.compress(text.encode())) + sum(path.stat().st_size for path in figures) < 300_000, name


def test_the_reference_shows_public_names_and_what_is_said_of_them(parsed, built):
    shown = set()
    for module in sphinx_source.MODULES:
        page = parsed[built / "reference" / f"{module}.html"]
        names = [entry["id"].removeprefix(f"utils.{module}.") for entry in page.select("dl.py > dt[id]")]
        assert len(names) == len(set(names)) > 1, module
        assert [name for name in names if name.startswith("_") or name.isupper() or name == "main"] == []
        assert [entry["id"] for entry in page.select("dl.py > dt[id]") if "*args" in entry.get_text()] == []
        text = page.select_one("article").get_text()
        for remains in ("See:", "Alias for field number", str(paths.ROOT)):
            assert remains not in text, module
        shown |= {f"{module}.{name}" for name in names}
    assert {"masks.causal", "conventions.describe", "influence.find_leaks", "plots.heatmap", "models.load"} <= shown
    assert {f"widgets.{name}" for name in ("MaskLab", "HeadGrid", "Explorer")} <= shown


def drawn(svg) -> torch.Tensor:
    """The mask that a small picture shows, read off its filled cells: (q_len, k_len) bool."""
    _, _, columns, rows = map(int, svg["viewBox"].split())
    keep = torch.zeros(rows, columns, dtype=torch.bool)
    filled = next(path for path in svg.find_all("path") if path.get("fill") == picture.VISIBLE)["d"]
    for start, row, length in re.findall(r"M(\d+) (\d+)h(\d+)v1H\d+z", filled):
        keep[int(row), int(start) : int(start) + int(length)] = True
    return keep


def pads(*real: int) -> torch.Tensor:
    return torch.tensor(real).bool()


DOCUMENTS = masks.documents(torch.repeat_interleave(torch.tensor([8, 6, 4])))
#: What each lesson is about, made anew.
MASKS = {
    "00_start_here": pads(1, 1, 1, 1, 1, 1, 0, 0).expand(8, 8),
    "01_ragged_tensors": DOCUMENTS,
    "02_padding": pads(1, 1, 1, 1, 0, 0, 0, 0).expand(8, 8),
    "03_left_or_right": masks.causal(8) & pads(0, 0, 0, 0, 0, 1, 1, 1),
    "04_minus_infinity": torch.stack([pads(1, 1, 1, 0), pads(0, 0, 0, 0)]),
    "05_causal_masks": masks.causal(8),
    "06_two_masks": masks.causal(8) & pads(1, 1, 1, 1, 1, 1, 0, 0),
    "07_bert_2d_masks": masks.documents(torch.tensor([0] * 6 + [1] * 4)),
    "08_measure_it": torch.stack(
        [pads(1, 1, 1, 1, 1, 1, 1), *[pads(1, 1, 1, 1, 0, 0, 0)] * 3] + [pads(0, 0, 0, 0, 1, 1, 1)] * 3
    ),
    "09_compute": DOCUMENTS,
    "10_two_texts": pads(1, 1, 1, 0, 0).expand(4, 5),
    "11_outside_the_mask": pads(1, 1, 1, 1, 1, 1, 0, 1, 1).expand(9, 9),
    "12_masks_that_grow": torch.arange(20) <= torch.tensor([[11], [12], [13]]),
    "13_a_mask_is_a_bias": masks.causal(8),
}


@pytest.mark.parametrize("name", ["index", "lessons"])
def test_each_card_shows_its_lessons_mask(name, parsed, built):
    cards = parsed[built / f"{name}.html"].select(".lessons .sd-card")
    assert [card.a["href"].removesuffix(".html") for card in cards] == list(MASKS)
    for card, (lesson, keep) in zip(cards, MASKS.items(), strict=True):
        assert torch.equal(drawn(card.svg), keep), lesson
        assert f"{int((~keep).sum())} of {keep.numel()} cells hidden" in card.svg["aria-label"], lesson


def test_a_lesson_that_hides_nothing_has_no_picture(executed):
    notebook = copy.deepcopy(executed["00_start_here.ipynb"])
    for saved in notebook.metadata.widgets[paths.STATE]["state"].values():
        for tokens in ("query_tokens", "key_tokens"):
            if tokens in saved["state"]:
                saved["state"][tokens] = ["a"] * 8
        for buffer in saved.get("buffers", ()):
            if buffer["path"] == ["keep_bytes"] and "preset" not in saved["state"]:  # the HeadGrid
                buffer["data"] = base64.b64encode(zlib.compress(bytes([1] * 64))).decode()
    with pytest.raises(paths.LessonError, match="a MaskLab or a HeadGrid that hides something"):
        picture.mask(notebook)


def test_a_picture_of_a_mask_reads_back_and_has_a_large_version():
    keep = masks.causal(3, 5) & pads(1, 0, 1, 1, 1)
    svg = BeautifulSoup(picture.small(keep), "html5lib").svg
    assert torch.equal(drawn(svg), keep)
    assert svg["aria-label"] == picture.words(keep)
    assert picture.words(keep).startswith("A mask of 3 queries by 5 keys, 6 of 15 cells hidden: causal")
    large = Image.open(io.BytesIO(picture.large([keep], "Title", "A sentence.", "below"))).convert("RGB")
    assert large.size == (1200, 630)
    cell, left, top = 430 / 5, 70, (630 - 430 * 3 / 5) / 2
    middles = [
        [large.getpixel((round(left + cell * (k + 0.2)), round(top + cell * (q + 0.2)))) for k in range(5)]
        for q in range(3)
    ]
    wanted = {True: ImageColor.getrgb(picture.VISIBLE), False: ImageColor.getrgb(picture.HIDDEN)}
    assert middles == [[wanted[cell] for cell in row] for row in keep.tolist()]


def test_downloads_are_there(parsed, built):
    for name in LESSONS:
        links = {link.get_text(): link["href"] for link in parsed[built / f"{name}.html"].select(".about-page a")}
        assert {"Notebook", "Single page"} <= set(links)
        assert ("Slides" in links) == paths.is_lesson(name)
        cells = nbformat.read(built / links["Notebook"], as_version=4).cells
        assert any(cell.cell_type == "code" for cell in cells)
        assert not any(cell.get("outputs") for cell in cells), name
    assert (built / "pages" / for_readers.PRINTED).read_text() == sheet.page()
    minutes = parsed[built / "04_minus_infinity.html"].select_one(".about-page li").get_text()
    assert minutes == "20 min to read, 25 to do"


# --- building ----------------------------------------------------------------------------------------


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.gate
def test_building_again_changes_nothing(built, tmp_path, monkeypatch):
    """Sphinx writes no page again that has not changed, and what comes of it is the same to the byte."""
    written = {path: path.stat().st_mtime_ns for path in (site.WORK / "html").glob("*_*.html")}
    monkeypatch.setattr(site, "SITE", tmp_path / "site")
    site.build()
    assert {path: path.stat().st_mtime_ns for path in written} == written
    assert len(written) > 10
    before, after = contents(built), contents(tmp_path / "site")
    assert set(before) == set(after)
    assert [path for path in before if before[path] != after[path]] == []


def test_a_lesson_that_fails_leaves_the_last_good_site(tmp_path, monkeypatch):
    small_lesson.write(tmp_path, monkeypatch, "x = 1", "1 / 0")
    monkeypatch.setattr(site, "SITE", tmp_path / "site")
    monkeypatch.setattr(site, "WORK", tmp_path / "build")
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "index.html").write_text("the last good one")
    with pytest.raises(paths.LessonError, match=r"42_test\.ipynb, cell cell-02: ZeroDivisionError"):
        site.build()
    assert [path.name for path in (tmp_path / "site").iterdir()] == ["index.html"]
    assert (tmp_path / "site" / "index.html").read_text() == "the last good one"


def test_what_sphinx_warns_of_stops_the_build(executed, tmp_path, monkeypatch):
    monkeypatch.setattr(site, "SITE", tmp_path / "site")
    monkeypatch.setattr(site, "WORK", tmp_path / "build")
    shutil.copytree(sphinx_source.WEBSITE, website := tmp_path / "website")
    (website / "lessons.md").write_text("# Lessons\n\n[nowhere](no_such_page.md)\n")
    monkeypatch.setattr(sphinx_source, "WEBSITE", website)
    monkeypatch.setattr(sphinx_source, "write", only_the_list_of_lessons)
    with pytest.raises(paths.LessonError, match=r"(?s)the site cannot be built.*lessons\.md.*no_such_page"):
        site.build()
    assert not (tmp_path / "site").exists()
    assert not (tmp_path / "build").exists()


def only_the_list_of_lessons(lessons, claims, hosting, folder):
    """The smallest site: a home page and the list of lessons."""
    (folder / "_static").mkdir(parents=True)
    (folder / "about.json").write_text("{}")
    (folder / "index.md").write_text("# Home\n\n:::{toctree}\nlessons\n:::\n")
    shutil.copy(sphinx_source.WEBSITE / "lessons.md", folder)
    return False


# --- where it lives ----------------------------------------------------------------------------------


def test_without_an_address_nothing_is_launched(parsed):
    assert not [path for path, page in parsed.items() if page.select(".launch")]
    assert Hosting().launches("03_left_or_right") == []


def test_with_an_address_lessons_can_be_launched():
    hosting = Hosting("https://github.com/ada/masks.git", "https://ada.github.io/masks/", "https://hub.example.org/")
    assert (hosting.repository, hosting.address) == ("https://github.com/ada/masks", "https://ada.github.io/masks")
    assert dict(hosting.launches("03_left")) == {
        "Binder": "https://mybinder.org/v2/gh/ada/masks/main?urlpath=lab%2Ftree%2Fmy_lessons%2F03_left.ipynb",
        "Colab": "https://colab.research.google.com/github/ada/masks/blob/gh-pages/downloads/03_left.ipynb",
        "JupyterHub": "https://hub.example.org/hub/user-redirect/git-pull?repo=https%3A%2F%2Fgithub.com%2Fada%2Fmasks"
        "&branch=main&urlpath=lab%2Ftree%2Fmasks%2Fnotebooks%2F03_left.ipynb",
    }
    elsewhere = Hosting("https://git.example.org/ada/masks")
    assert elsewhere.launches("03_left") == []


def test_what_binder_builds_is_what_its_link_opens(tmp_path):
    """In a copy of the repository, in which models need not be fetched."""
    for name in ("notebooks", "utils", "data"):
        shutil.copytree(paths.ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    subprocess.run([paths.ROOT / "postBuild"], cwd=tmp_path, env=environment, check=True, capture_output=True)
    for name in LESSONS:
        address = dict(Hosting("https://github.com/ada/masks").launches(name))["Binder"]
        opened = unquote(address.partition("?urlpath=lab")[2]).removeprefix("/tree/")
        cells = nbformat.read(tmp_path / opened, as_version=4).cells
        assert not any(cell.get("outputs") for cell in cells), name


@pytest.mark.parametrize(
    ("addresses", "says"),
    [
        ({"repository": "ada/masks"}, "repository: 'ada/masks' is not an address; wanted something like https://"),
        ({"repository": "https://github.com/ada"}, "repository: 'https://github.com/ada' has no owner and name"),
        ({"address": "ada.github.io"}, "address: 'ada.github.io' is not an address"),
        ({"jupyterhub": "javascript:alert(1)"}, "jupyterhub: .* is not an address"),
    ],
)
def test_an_address_that_is_none_is_refused(addresses, says):
    with pytest.raises(paths.LessonError, match=says):
        Hosting(**addresses)


ADA = {"repository": "https://github.com/ada/masks", "address": "https://ada.github.io/masks"}


@pytest.mark.parametrize(
    ("hosting", "lesson", "solutions"),
    [
        ({}, "02_padding.ipynb", "../notebooks/solutions/01_ragged_tensors.ipynb"),
        (
            {"repository": ADA["repository"]},
            *(
                f"https://github.com/ada/masks/blob/main/notebooks/{name}.ipynb"
                for name in ("02_padding", "solutions/01_ragged_tensors")
            ),
        ),
        (
            ADA,
            "https://ada.github.io/masks/02_padding.html",
            "https://github.com/ada/masks/blob/main/notebooks/solutions/01_ragged_tensors.ipynb",
        ),
    ],
    ids=["nowhere", "a repository", "a site, too"],
)
def test_a_downloaded_notebook_has_no_outputs_and_its_links_lead_somewhere(hosting, lesson, solutions):
    (_, notebook), _ = notebooks.finished(*source.chosen(["01"]))
    before = copy.deepcopy(notebook)
    alone = site._to_run_alone(notebook, "01_ragged_tensors.ipynb", Hosting(**hosting))
    nbformat.validate(alone)
    assert notebook == before
    assert "widgets" not in alone.metadata
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in alone.cells)
    text = "".join(cell.source for cell in alone.cells if cell.cell_type == "markdown")
    targets = re.findall(r"\]\(([^)]+)\)", text)
    assert {lesson, solutions} <= set(targets)
    if hosting:
        assert [target for target in targets if not target.startswith(("https://", "#"))] == []


def test_a_downloaded_notebook_says_or_fetches_what_it_needs(tmp_path):
    """In Colab: a folder with nothing else, a repository to clone, and a pip of which only its arguments are wanted."""
    (_, notebook), _ = notebooks.finished(*source.chosen(["09"]))
    alone = site._to_run_alone(notebook, "09_compute.ipynb", Hosting())
    assert alone.cells[0].source.startswith("*This notebook needs the helpers")
    fetching = site._to_run_alone(notebook, "09_compute.ipynb", Hosting("https://github.com/ada/masks"))
    code = fetching.cells[0].source
    assert [cell.source for cell in fetching.cells[1:] if cell.cell_type == "code"] == [
        cell.source for cell in notebook.cells if cell.cell_type == "code"
    ]
    assert '"https://github.com/ada/masks", "attention-masks"' in code
    read = next(cell.source for cell in fetching.cells if '"../data/' in cell.source)
    path = re.search(r'"(\.\./data/[^"]+)"', read)[1]

    (tmp_path / "pip").mkdir()
    (tmp_path / "pip" / "__init__.py").touch()
    (tmp_path / "pip" / "__main__.py").write_text("import sys; open('asked', 'w').write(' '.join(sys.argv[1:]))")
    local = tmp_path / "repository"
    for name in ("notebooks", "utils", "data/story-gpt2"):
        (local / name).mkdir(parents=True)
        (local / name / "__init__.py").touch()
    (local / "data" / "story-gpt2" / "held_out.txt").write_text("stories")
    for command in (
        ["init", "-q"],
        ["add", "."],
        ["-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "-qm", "all"],
    ):
        subprocess.run(["git", *command], cwd=local, check=True)
    colab = tmp_path / "colab"
    colab.mkdir()
    code = code.replace("https://github.com/ada/masks", local.as_uri())
    code += f"\nimport utils; print(utils.__file__); print(open({path!r}).read())"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=colab, env=environment, check=True, capture_output=True, text=True
    )
    helpers = colab / "attention-masks" / "utils" / "__init__.py"
    assert done.stdout.splitlines() == [str(helpers), "stories"]
    assert (colab / "asked").read_text() == "install --quiet -e attention-masks"
    # In the collection it does nothing.
    for folder in ("notebooks", "my_lessons"):
        (local / folder).mkdir(exist_ok=True)
        code = fetching.cells[0].source
        subprocess.run([sys.executable, "-c", code], cwd=local / folder, check=True, env={"PATH": ""})


def seen_of_link(page) -> dict[str, str]:
    """What services read in the head of a page when a link to it is sent."""
    tags = [*page.select('meta[property^="og:"]'), *page.select('meta[name^="twitter:"]')]
    names = [tag.get("property") or tag["name"] for tag in tags]
    assert len(set(names)) == len(names)
    return dict(zip(names, (tag["content"] for tag in tags), strict=True))


def test_without_an_address_a_link_shows_title_and_sentence_and_nothing_needs_one(parsed, built):
    for path, page in parsed.items():
        if path.parent.name in ("pages", "slides"):
            continue
        sentence = page.find("meta", attrs={"name": "description"})["content"]
        seen = seen_of_link(page)
        assert seen["og:description"] == sentence, path
        assert seen["og:title"] in " ".join(page.title.get_text().split()), path
        assert set(seen) == {"og:type", "og:site_name", "og:title", "og:description"}, path
        assert not page.select('link[rel="canonical"], base'), path
    assert seen_of_link(parsed[built / "02_padding.html"]) == {
        "og:type": "website",
        "og:site_name": "Attention masks, executed",
        "og:title": "02 · What does padding do if nobody tells the model?",
        "og:description": "The misconception: padding is zeros, and zeros do nothing.",
    }
    assert [*built.glob("sitemap.xml"), *built.glob("robots.txt"), *built.glob("_static/pictures/*")] == []


@pytest.mark.gate
def test_with_an_address_a_link_shows_its_picture_and_search_engines_find_each_page(executed, tmp_path, monkeypatch):
    executed.complete()
    monkeypatch.setattr(site, "SITE", tmp_path / "site")
    monkeypatch.setattr(site, "WORK", tmp_path / "build")
    monkeypatch.setattr(site, "_write_downloads", lambda *_: (tmp_path / "site.new" / "downloads").mkdir())
    address = "https://ada.github.io/masks"
    folder = site.build(Hosting(address=f"{address}/"))
    for name in PAGES:
        page = BeautifulSoup((folder / f"{name}.html").read_text(encoding="utf-8"), "html5lib")
        seen, canonical = seen_of_link(page), page.select('link[rel="canonical"]')
        if name == "404":
            assert set(seen) == {"og:type", "og:site_name", "og:title", "og:description"}
            assert canonical == []
            continue
        assert seen["og:url"] == canonical[0]["href"] == f"{address}/{'' if name == 'index' else f'{name}.html'}"
        own = name if name in LESSONS else "index"
        assert seen["og:image"] == f"{address}/_static/pictures/{own}.png"
        with Image.open(folder / seen["og:image"].removeprefix(f"{address}/")) as image:
            assert image.size == (int(seen["og:image:width"]), int(seen["og:image:height"])) == (1200, 630)
        assert (seen["og:image:type"], seen["twitter:card"]) == ("image/png", "summary_large_image")
        if name in MASKS:
            assert seen["og:image:alt"] == picture.words(MASKS[name])
    assert {path.stem for path in (folder / "_static" / "pictures").iterdir()} == {*LESSONS, "index"}
    listed = re.findall(r"<loc>(.*)</loc>", (folder / "sitemap.xml").read_text())
    wanted = [f"{address}/{name}.html" for name in PAGES if name not in ("404", "search", "genindex", "index")]
    assert sorted(listed) == sorted([f"{address}/", *wanted])
    assert f"Sitemap: {address}/sitemap.xml" in (folder / "robots.txt").read_text().splitlines()


def test_pages_that_were_not_written_again_are_in_the_sitemap_too(tmp_path):
    (tmp_path / "reference").mkdir()
    for name in ("index", "a&b", "404", "search", "genindex", "reference/masks"):
        (tmp_path / f"{name}.html").touch()
    site._write_for_search_engines(tmp_path, "https://ada.github.io/masks")
    sitemap = ElementTree.parse(tmp_path / "sitemap.xml").getroot()
    assert sitemap.tag == "{http://www.sitemaps.org/schemas/sitemap/0.9}urlset"
    assert [url[0].text for url in sitemap] == [
        f"https://ada.github.io/masks/{page}" for page in ("", "a&b.html", "reference/masks.html")
    ]


@pytest.mark.parametrize(("address", "wanted"), [("", 0), ("https://ada.github.io/masks/", 1)])
def test_with_an_address_the_page_not_found_works_anywhere(address, wanted, built):
    """It is shown at any depth, so its links must start from the top."""
    describe = runpy.run_path(str(sphinx_source.WEBSITE / "conf.py"))["describe"]
    app = SimpleNamespace(srcdir=site.WORK / "source", config=SimpleNamespace(html_baseurl=address))
    describe(app, "404", "page.html", context := {"body": ""}, None)
    assert context["metatags"].count(f'<base href="{address}">') == wanted


def test_the_workflow_runs_what_one_can_run_oneself():
    workflow = yaml.safe_load((paths.ROOT / ".github" / "workflows" / "site.yml").read_text())
    steps = [step["run"] for step in workflow["jobs"]["site"]["steps"] if "run" in step]
    targets = re.findall(r"^make (\w+)", "\n".join(steps), re.MULTILINE)
    assert targets == ["lint", "test", "site", "publish"]
    rules = (paths.ROOT / "Makefile").read_text()
    for target in targets:
        assert re.search(rf"^{target}\b[\w ]*:", rules, re.MULTILINE)
