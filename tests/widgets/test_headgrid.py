"""HeadGrid: every weight arrives in the browser, every map is where it should be, and the page is usable by all."""

import base64
import io
import json
import re
import zlib

import comm
import pytest
import torch
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import expect

from tests.support.masklab_page import HOSTILE
from tests.support.real_maps import maps_of_two_texts
from tests.support.widget_page import settle
from utils import _colours, masks, plots
from utils.widgets import HeadGrid
from utils.widgets.headgrid import LEVELS

LAYERS, HEADS, Q_LEN, K_LEN = 2, 3, 4, 6
QUERIES, KEYS = ["a", "b", "c", "d"], ["t", "u", "v", "w", "x", "y"]
# One definition for figures and widgets.
ZERO, ONE, RED, GREY = (
    tuple(_colours.rgb(one)) for one in (_colours.WEIGHTS[0], _colours.WEIGHTS[-1], _colours.NAN, _colours.HIDDEN)
)


FAINT = tuple((int(grey) + line) // 2 for grey, line in zip(GREY, map(int, _colours.rgb(_colours.HATCH)), strict=True))


def weights(*shape):
    return torch.randn(*(shape or (LAYERS, HEADS, Q_LEN, K_LEN))).softmax(-1)


def grid_of(before=None, after=None, **options):
    return HeadGrid(weights() if before is None else before, after, QUERIES, KEYS, **options)


def thumbs_canvas(page):
    return page.locator(".masks-thumbs canvas").first


def thumb_box(page, layer, head, heads=HEADS):
    """The upper left corner and the size of a thumbnail, from the canvas's own width: see thumbs.js."""
    pitch = (thumbs_canvas(page).evaluate("(shown) => shown.offsetWidth") - 34) / heads
    return 34 + head * pitch, 34 + layer * pitch, pitch - 3


def zoom_layout(page, side):
    """Where the cells of a large map begin on its canvas, and their size: see mapLayout in grid.js."""
    width, height, label = (
        page.locator(".headgrid-zoom canvas")
        .nth(side)
        .evaluate(
            """(shown, tokens) => {
          const context = shown.getContext("2d");
          context.font = "12px system-ui, sans-serif";
          const widest = Math.max(...tokens.map((token) => context.measureText(token).width));
          return [shown.offsetWidth, shown.offsetHeight, widest];
        }""",
            QUERIES,
        )
    )
    size = (width - 2 - label - 26) / K_LEN
    return label + 26, height - 2 - size * Q_LEN, size


class Shot:
    """What the reader sees: one screenshot of the page as it is now, in which colours are looked up."""

    def __init__(self, page, heads=HEADS):
        canvases = [thumbs_canvas(page), *page.locator(".headgrid-zoom canvas").all()]
        self.corners = [canvas.bounding_box() for canvas in canvases]
        self.thumbs = [34, 34, (thumbs_canvas(page).evaluate("(shown) => shown.offsetWidth") - 34) / heads]
        self.zooms = [zoom_layout(page, side) for side in (0, 1)]
        self.image = Image.open(io.BytesIO(page.screenshot())).convert("RGB")

    def pixel(self, canvas, x, y):
        """The colour at a place of a canvas, in CSS pixels from its corner."""
        corner = self.corners[canvas]
        return self.image.getpixel((int(round(corner["x"]) + x), int(round(corner["y"]) + y)))

    def thumb(self, layer, head, q, k):
        left, top, pitch = self.thumbs
        x, y = left + head * pitch, top + layer * pitch
        return self.pixel(0, x + (k + 0.5) / K_LEN * (pitch - 3), y + (q + 0.5) / Q_LEN * (pitch - 3))

    def zoom(self, side, q, k):
        """A colour in the large map, beside the number in the middle of a cell."""
        left, top, size = self.zooms[side]
        return self.pixel(1 + side, left + (k + 0.5) * size, top + q * size + 5)


# --- values ------------------------------------------------------------------------------------------


def test_levels_rise_and_end_at_one():
    steps = LEVELS[~LEVELS.isnan()]
    assert steps[0] == 0
    assert steps[-1] == 1
    assert (steps.diff() > 0).all()
    assert steps.diff().max() <= 0.0101
    assert steps[steps < 0.1].diff().max() <= 0.0026
    assert LEVELS[255].isnan(), "the last byte is NaN"


def test_the_share_that_moved(open_widget):
    before, after = weights(), weights()
    after[1, 2, 3] = torch.nan
    page = open_widget(grid_of(before, after, layer=1, head=2))
    share = (after - before)[1, 2, :3].abs().sum(-1).mean().item() / 2
    expect(page.locator(".masks-status")).to_contain_text(f"From before to after, {share:.0%}".replace("%", " %"))
    expect(page.locator(".masks-status")).to_contain_text("1 row is NaN.")


# --- what is seen ------------------------------------------------------------------------------------


def test_every_map_stands_at_its_layer_and_head_with_queries_down(open_widget):
    before = torch.zeros(LAYERS, HEADS, Q_LEN, K_LEN)
    before[1, 2, 3, 4] = 1.0
    before[0, 1, 0, 5] = 1.0
    seen = Shot(open_widget(grid_of(before, layer=1, head=0)))
    for layer, head, q, k in torch.ones_like(before).nonzero().tolist():
        expected = ONE if before[layer, head, q, k] else ZERO
        assert seen.thumb(layer, head, q, k) == expected, (layer, head, q, k)


def test_a_thin_line_survives_shrinking(open_widget):
    before = torch.zeros(1, 1, 400, 300)
    before[0, 0, 123, 222] = 1.0
    page = open_widget(HeadGrid(before))
    x, y, size = thumb_box(page, 0, 0, heads=1)
    seen = Shot(page, heads=1)
    assert seen.pixel(0, x + 222.5 / 300 * size, y + 123.5 / 400 * size) == ONE
    assert seen.pixel(0, x + 122.5 / 300 * size, y + 223.5 / 400 * size) == ZERO


def test_hidden_zero_nan_and_small_have_their_own_looks(open_widget):
    after = torch.zeros(LAYERS, HEADS, Q_LEN, K_LEN)
    after[..., 0] = 1.0
    after[:, :, 2] = torch.nan
    after[..., 1, 1] = 0.01
    keep = masks.full(Q_LEN, K_LEN).clone()
    keep[:, 5] = False
    page = open_widget(grid_of(weights(), after, keep=keep))
    page.get_by_label("Layer", exact=True).select_option("1")
    page.get_by_role("grid").first.focus()
    settle(page)
    seen = Shot(page)
    for cell_of in (lambda q, k: seen.thumb(0, 1, q, k), lambda q, k: seen.zoom(1, q, k)):
        assert cell_of(0, 0) == ONE
        assert cell_of(1, 3) == ZERO
        assert cell_of(2, 3) == RED
        small = cell_of(1, 1)
        assert sum(abs(int(a) - int(b)) for a, b in zip(small, ZERO, strict=True)) > 40, "0.01 can be seen"
    assert seen.thumb(0, 1, 1, 5) == GREY
    colours = {seen.zoom(1, q, k) for q in (0, 1, 3) for k in (5, 5.1, 5.2, 5.3)}
    assert GREY in colours
    assert len(colours) > 1, "hatched"
    small = {seen.thumb(0, 1, q / 20, 5) for q in range(28)}
    assert small == {GREY, FAINT}, "hatched in thumbnails too: in the dark the page is as grey"
    expect(page.locator(".headgrid-legend")).to_contain_text("hidden")
    expect(page.locator(".headgrid-legend")).to_contain_text("NaN")


def test_change_is_after_less_before(open_widget):
    before = torch.full((LAYERS, HEADS, Q_LEN, K_LEN), 0.25)
    after = before.clone()
    after[0, 0, 0, 0], after[0, 0, 0, 1] = 1.0, 0.0
    after[0, 0, 3] = torch.nan
    page = open_widget(grid_of(before, after))
    page.get_by_label("change").check()
    settle(page)
    seen = Shot(page)
    assert seen.thumb(0, 0, 1, 1) == (247, 247, 247)
    assert seen.thumb(0, 0, 3, 1) == RED
    more, less = seen.thumb(0, 0, 0, 0), seen.thumb(0, 0, 0, 1)
    assert more[0] > more[2], "more is orange"
    assert less[2] > less[0], "less is purple"
    assert sum(more) < sum(less), "0.75 is further from white than 0.25"
    expect(page.locator(".masks-title").last).to_have_text("change")
    expect(page.locator(".headgrid-legend")).to_contain_text("−1")


def test_one_side_alone_has_no_choice_of_sides(open_widget):
    page = open_widget(grid_of())
    expect(page.get_by_role("radio")).to_have_count(0)
    assert page.locator(".headgrid-zoom canvas >> visible=true").count() == 1
    expect(page.locator("thead th")).to_have_text(["key", "attention weights"])


@pytest.mark.browser_context_args(has_touch=True)
def test_a_swipe_across_the_large_map_scrolls_and_chooses_nothing(open_widget):
    page = open_widget(grid_of(weights(), weights()), width=390)
    page.set_viewport_size({"width": 390, "height": 500})
    box = page.locator(".headgrid-zoom canvas").first.bounding_box()
    page.evaluate("top => scrollTo(0, top)", box["y"] - 100)
    top, line = page.evaluate("scrollY"), page.locator(".headgrid-line").inner_text()
    touch = page.context.new_cdp_session(page)
    x, y = box["x"] + box["width"] * 0.7, box["y"] - top + box["height"] * 0.8
    for kind, up in (("Start", 0), *(("Move", 15 * n) for n in range(1, 11))):
        touch.send("Input.dispatchTouchEvent", {"type": f"touch{kind}", "touchPoints": [{"x": x, "y": y - up}]})
        page.wait_for_timeout(16)
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    page.wait_for_function("top => scrollY - top > 50", arg=top)
    settle(page)
    assert page.locator(".headgrid-line").inner_text() == line


# --- use ---------------------------------------------------------------------------------------------


def chosen(page):
    return page.evaluate("[model.get('layer'), model.get('head')]")


def test_a_click_shows_a_head_large_with_its_numbers(open_widget):
    before, after = weights(), weights()
    page = open_widget(grid_of(before, after, names=("A", "B")))
    x, y, size = thumb_box(page, 1, 2)
    thumbs_canvas(page).click(position={"x": x + size / 2, "y": y + size / 2})
    settle(page)
    assert chosen(page) == [1, 2]
    assert page.evaluate("saves") == 1, "Python hears of it"
    expect(page.get_by_label("Layer", exact=True)).to_have_value("1")
    expect(page.get_by_label("Head", exact=True)).to_have_value("2")
    rows = [line.split() for line in page.locator("tbody tr").all_inner_texts()]
    assert [row[1] for row in rows] == KEYS
    for k, row in enumerate(rows):
        assert float(row[2]) == pytest.approx(before[1, 2, 0, k].item(), abs=0.0101)
        assert float(row[3]) == pytest.approx(after[1, 2, 0, k].item(), abs=0.0101)
    expect(page.locator("thead th")).to_have_text(["key", "A", "B"])


def test_keys_move_through_heads_and_through_cells(open_widget):
    before, after = weights(), weights()
    page = open_widget(grid_of(before, after))
    thumbs, zoom = page.get_by_role("grid").all()
    thumbs.focus()
    for key, chosen_head in [
        ("ArrowRight", [0, 1]),
        ("ArrowDown", [1, 1]),
        ("ArrowDown", [1, 1]),
        ("End", [1, 2]),
        ("Home", [1, 0]),
        ("Control+Home", [0, 0]),
        ("Control+End", [1, 2]),
        ("ArrowLeft", [1, 1]),
    ]:
        page.keyboard.press(key)
        assert chosen(page) == chosen_head, key
    settle(page)
    share = (after - before)[1, 1].abs().sum(-1).mean().item() / 2
    expect(page.locator("[aria-live]")).to_have_text(
        f"Layer 1, head 1. From before to after, {share:.0%} of the weight moved.".replace("%", " %")
    )
    page.keyboard.press("Enter")
    expect(zoom).to_be_focused()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("End")
    settle(page)
    text = page.locator(f"#{zoom.get_attribute('aria-activedescendant')}").inner_text()
    said = re.fullmatch(r"query b, key y: before ([\d.]+), after ([\d.]+)", text)
    assert float(said[1]) == pytest.approx(before[1, 1, 1, 5].item(), abs=0.0101)
    assert float(said[2]) == pytest.approx(after[1, 1, 1, 5].item(), abs=0.0101)
    assert chosen(page) == [1, 1], "keys in the large map choose no head"
    expect(page.locator("caption")).to_have_text("Where query b (row 1) looks")
    page.keyboard.press("Escape")
    expect(thumbs).to_be_focused()


def test_views_stay_in_step_and_end_cleanly(open_widget):
    page = open_widget(grid_of(weights(), weights()), views=2)
    page.get_by_label("Head", exact=True).first.select_option("2")
    page.get_by_label("change").last.check()
    settle(page)
    expect(page.get_by_label("Head", exact=True).last).to_have_value("2")
    expect(page.get_by_label("change").first).to_be_checked()
    assert len(page.get_by_role("radio", checked=True).all()) == 2
    page.evaluate("forget.forEach((end) => end())")
    page.evaluate("model.set('head', 1)")
    settle(page)
    expect(page.get_by_label("Head", exact=True).first).to_have_value("2")


def test_two_widgets_on_a_page_know_nothing_of_each_other(open_widget):
    """A notebook loads the module once for each widget, so nothing in it can count them."""
    page = open_widget(grid_of(weights(), weights()))
    page.evaluate(
        """async () => {
          const el = document.createElement("div");
          document.querySelector("main").append(el);
          const state = { ...Object.fromEntries(["shape", "before_bytes", "after_bytes", "keep_bytes", "levels_bytes",
            "query_tokens", "key_tokens", "names", "words"].map((name) => [name, model.get(name)])),
            layer: 0, head: 0, side: "before" };
          const other = { get: (n) => state[n], set: (n, v) => (state[n] = v), save_changes() {}, on() {}, off() {} };
          (await window.load()).default.render({ model: other, el });
        }"""
    )
    expect(page.get_by_role("radio", checked=True)).to_have_count(2)
    ids = page.evaluate("Array.from(document.querySelectorAll('[id]'), (node) => node.id)")
    assert len(ids) == len(set(ids)) == 6
    page.get_by_label("change").last.check()
    expect(page.get_by_label("after").first).to_be_checked()


def test_no_canvas_is_empty_while_the_page_is_resized(open_widget):
    page = open_widget(grid_of(weights(), weights()))
    seen = page.evaluate(
        """async () => {
          const main = document.querySelector("main"), shown = document.querySelector("canvas"), seen = [];
          for (let width = 900; width > 400; width -= 25) {
            main.style.width = `${width}px`;
            await new Promise(requestAnimationFrame);
            await new Promise((done) => new ResizeObserver(done).observe(main)); // after the widget's own
            seen.push(shown.toDataURL().length);
          }
          return seen;
        }"""
    )
    assert min(seen) > 0.5 * max(seen)


#: Parts of the page that can be scrolled, those apart that are meant to be.
SCROLLS = """Array.from(document.querySelectorAll(".masks-widget, .masks-widget *"))
  .filter((node) => /auto|scroll/.test(getComputedStyle(node).overflow)).map((node) => node.className)"""


@pytest.mark.parametrize(
    ("heads", "width", "lines", "smallest"),
    [(12, 656, 1, 44), (12, 390, 1, 20), (32, 360, 3, 20), (32, 656, 2, 30), (128, 800, 5, 20), (24, 1400, 1, 44)],
)
def test_many_heads_take_further_lines_and_can_all_be_chosen(open_widget, heads, width, lines, smallest):
    page = open_widget(HeadGrid(weights(2, heads, 4, 6), weights(2, heads, 4, 6)), width=width)
    shown = thumbs_canvas(page)
    size = shown.evaluate("shown => [shown.offsetWidth, shown.getBoundingClientRect().width]")
    assert size[0] == pytest.approx(size[1]), "not squeezed"
    columns = -(-heads // lines)
    pitch = (size[0] - 34) / columns
    assert pitch - 3 >= smallest
    last = heads - 1 - (lines - 1) * columns  # its place in the last line
    shown.click(position={"x": 34 + (last + 0.5) * pitch, "y": 34 + (lines - 0.5) * pitch})
    assert chosen(page) == [0, heads - 1]
    shown.click(position={"x": 34 + pitch / 2, "y": 34 + (lines + 0.5) * pitch + (8 if lines > 1 else 0)})
    assert chosen(page) == [1, 0]
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert page.evaluate(SCROLLS) == []


@pytest.mark.parametrize("width", [390, 656, 1196])
def test_the_legend_is_one_line_near_the_choice(open_widget, width):
    after = weights()
    after[0, 0, 1] = torch.nan
    page = open_widget(grid_of(weights(), after, keep=masks.causal(Q_LEN, K_LEN)), width=width)
    legend = page.locator(".headgrid-legend")
    expect(legend).to_contain_text("NaN")
    tops = legend.locator("> span").evaluate_all("nodes => nodes.map((node) => node.getBoundingClientRect().top)")
    assert len(tops) == 3
    assert max(tops) == min(tops)
    choice, line, thumbs = (
        page.locator(each).bounding_box() for each in ("fieldset", ".headgrid-legend", ".masks-thumbs")
    )
    assert line["height"] < 24
    assert line["y"] - choice["y"] < 40
    assert thumbs["y"] > line["y"]


def test_thumbnails_are_beside_the_large_maps_only_where_both_have_room(open_widget):
    page = open_widget(HeadGrid(weights(2, 8, 4, 6), weights(2, 8, 4, 6)), width=1196)
    thumbs, zoom = (page.locator(each).bounding_box() for each in (".masks-thumbs", ".headgrid-zoom"))
    assert thumbs["x"] + thumbs["width"] <= zoom["x"]
    assert zoom["width"] >= 624
    page.set_viewport_size({"width": 1000, "height": 900})
    settle(page)
    thumbs, zoom = (page.locator(each).bounding_box() for each in (".masks-thumbs", ".headgrid-zoom"))
    assert thumbs["y"] + thumbs["height"] <= zoom["y"]


def test_a_low_page_has_low_maps_beside_each_other(open_widget):
    """Slides say how high maps may be, and make a widget measure itself anew."""
    page = open_widget(HeadGrid(weights(6, 12, 8, 8), weights(6, 12, 8, 8)), width=800)
    page.evaluate("document.body.style.setProperty('--masks-tallest', '200')")
    page.set_viewport_size({"width": 801, "height": 900})
    settle(page)
    thumbs, zoom = (page.locator(each).bounding_box() for each in (".masks-thumbs", ".headgrid-zoom"))
    assert thumbs["x"] + thumbs["width"] <= zoom["x"]
    assert thumbs["height"] <= 34 + 200
    assert zoom["height"] < 34 + 200 + 80


def test_two_masks_hide_each_on_its_side(open_widget):
    """Where before has a mask too, what it hides is no zero."""
    zeros = torch.zeros(LAYERS, HEADS, Q_LEN, K_LEN)
    keeps = [masks.full(Q_LEN, K_LEN).clone() for _ in range(2)]
    keeps[0][1, 2] = keeps[1][2, 5] = False
    grid = grid_of(zeros, zeros, keep=tuple(keeps))
    assert list(zlib.decompress(grid.keep_bytes)) == torch.stack(keeps).flatten().int().tolist()
    page = open_widget(grid)
    seen = Shot(page)
    assert (seen.thumb(1, 2, 2, 5), seen.thumb(1, 2, 1, 2)) == (GREY, ZERO)
    line = page.locator(".headgrid-line")
    page.mouse.move(*zoom_point(page, 0, 1, 2))
    expect(line).to_have_text("query b, key v: before 0.00, hidden → after 0.00")
    page.mouse.move(*zoom_point(page, 0, 2, 5))
    expect(line).to_have_text("query c, key y: before 0.00 → after 0.00, hidden")
    page.get_by_label("before").check()
    settle(page)
    seen = Shot(page)
    assert (seen.thumb(1, 2, 2, 5), seen.thumb(1, 2, 1, 2)) == (ZERO, GREY)
    expect(page.locator(".headgrid-legend")).to_contain_text("hidden")
    left, right = (axes.images[0].get_array() for axes in grid.picture().figure.axes[:2])
    at = [(1 + int((q + 0.5) * 24 / Q_LEN), 1 + int((k + 0.5) * 24 / K_LEN)) for q, k in ((1, 2), (2, 5))]
    assert [tuple(side[place]) == GREY for side in (left, right) for place in at] == [True, False, False, True]


def test_numbers_follow_the_pointer_and_the_focus_in_a_line_that_stays(open_widget):
    before, after = weights(), weights()
    keep = masks.full(Q_LEN, K_LEN).clone()
    keep[2, 5] = False
    page = open_widget(grid_of(before, after, keep=keep))
    line, status = page.locator(".headgrid-line"), page.locator(".masks-status")
    places = [each.bounding_box() for each in (line, status)]

    def numbers(q, k):
        text = re.match(r"query (\w), key (\w): before ([<.\d]+) → after ([<.\d]+)", line.inner_text())
        assert text, line.inner_text()
        assert (text[1], text[2]) == (QUERIES[q], KEYS[k])
        for side, said in zip((before, after), (text[3], text[4]), strict=True):
            assert float(said.lstrip("<")) == pytest.approx(side[0, 0, q, k].item(), abs=0.0101)

    numbers(0, 0)
    page.mouse.move(*zoom_point(page, 0, 2, 5))
    numbers(2, 5)
    assert line.inner_text().endswith(", hidden")
    page.mouse.move(*zoom_point(page, 1, 3, 1))
    numbers(3, 1)
    expect(page.locator("caption")).to_have_text("Where query a (row 0) looks")  # nothing is chosen by pointing
    page.mouse.move(2, 2)
    numbers(0, 0)
    page.get_by_role("grid").last.focus()
    page.mouse.move(*zoom_point(page, 1, 3, 1))
    page.keyboard.press("ArrowDown")
    settle(page)
    numbers(1, 0)
    x, y, size = thumb_box(page, 1, 2)
    thumbs_canvas(page).hover(position={"x": x + size / 2, "y": y + size / 2})
    share = (after - before)[1, 2].abs().sum(-1).mean().item() / 2
    expect(status).to_have_text(
        f"Layer 1, head 2. From before to after, {share:.0%} of the weight moved.".replace("%", " %")
    )
    assert chosen(page) == [0, 0]
    page.get_by_role("grid").first.focus()
    page.keyboard.press("ArrowDown")
    expect(status).to_have_text(re.compile("^Layer 1, head 0. "))  # the keys count, wherever the pointer rests
    page.keyboard.press("ArrowUp")
    page.mouse.move(2, 2)
    expect(status).to_have_text(re.compile("^Layer 0, head 0. "))
    assert [each.bounding_box() for each in (line, status)] == places, "nothing moves"


def test_update_shows_other_weights_in_the_same_place(open_widget):
    grid = grid_of(weights(), weights(), layer=1, head=2)
    page = open_widget(grid)
    old = grid.version
    other = torch.zeros(1, 2, 3, 3)
    other[0, 1, 1, 2] = 1.0
    grid.update(other, None, ["p", "<b>", "r"])
    assert (grid.layer, grid.head, grid.version) == (0, 1, old + 1)
    send(page, grid)
    expect(page.get_by_text("attention weights: 1 layer × 2 heads")).to_be_visible()
    expect(page.locator("tbody tr")).to_have_count(3)
    page.get_by_role("grid").last.focus()
    page.keyboard.press("ArrowDown")
    settle(page)
    assert page.locator("tbody tr").all_inner_texts()[2].split() == ["2", "r", "1.00"]
    expect(page.locator("caption")).to_have_text("Where query <b> (row 1) looks")


def test_broken_bytes_are_said_not_swallowed(open_widget):
    grid = grid_of()
    grid.before_bytes = b"no zlib"
    page = open_widget(grid)
    expect(page.get_by_text("The attention maps could not be read")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 800, 1400])
def test_axe_finds_nothing(open_widget, page, scheme, width):
    page.emulate_media(color_scheme=scheme)
    after = weights()
    after[:, :, 1] = torch.nan
    open_widget(grid_of(weights(), after, keep=masks.causal(Q_LEN, K_LEN)), width=width)
    results = Axe().run(page)
    assert results.violations_count == 0, results.generate_report()
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), "nothing runs off the page"


@pytest.mark.parametrize("width", [720, 1000, 1400])
def test_before_and_after_stand_side_by_side(open_widget, width):
    page = open_widget(HeadGrid(weights(6, 12, 13, 13), weights(6, 12, 13, 13), ["token"] * 13), width=width)
    left, right = (page.locator(".headgrid-zoom canvas").nth(n).bounding_box() for n in (0, 1))
    assert left["y"] == right["y"]
    assert left["x"] + left["width"] <= right["x"]


def test_everything_is_reached_by_keyboard(open_widget):
    page = open_widget(grid_of(weights(), weights()))
    reached = []
    for _ in range(5):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.getAttribute('role') ?? document.activeElement.type"))
        assert page.evaluate("document.activeElement.dataset.lmSuppressShortcuts") == "true"
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline == "solid", reached
    assert reached == ["radio", "grid", "select-one", "select-one", "grid"]


def test_hostile_tokens_are_text(open_widget):
    size = len(HOSTILE)
    page = open_widget(HeadGrid(weights(1, 2, size, size), weights(1, 2, size, size), HOSTILE))
    page.on("dialog", lambda dialog: pytest.fail("a token ran as code"))
    assert page.locator("main img, main script").count() == 0
    page.get_by_role("grid").last.focus()
    page.keyboard.press("Control+Home")
    settle(page)
    assert "<img src=x onerror=alert(1)>" in page.locator("[aria-live]").inner_text()
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_other_words_need_no_other_widget(open_widget):
    page = open_widget(grid_of(weights(), weights(), words={"layer": "Schicht", "change": "Unterschied"}))
    expect(page.get_by_label("Schicht", exact=True)).to_be_visible()
    expect(page.get_by_label("Unterschied")).to_be_visible()


# --- drawing and pointing, in detail ------------------------------------------------------------------

#: Records what is written and framed on canvases: [what, x, y, more], since the last `drawn.length = 0`.
SPY = """
window.drawn = [];
const { fillText, strokeRect } = CanvasRenderingContext2D.prototype;
Object.assign(CanvasRenderingContext2D.prototype, {
  fillText(text, x, y) { drawn.push([text, x, y, this.fillStyle]); fillText.call(this, text, x, y); },
  strokeRect(x, y, w, h) { drawn.push(["frame", x, y, [w, h, this.lineWidth]]); strokeRect.call(this, x, y, w, h); },
});
"""


def redrawn(page, step):
    """What is written and framed by a step, which leads to one drawing."""
    page.evaluate("drawn.length = 0")
    step()
    settle(page)
    return page.evaluate("drawn")


def zoom_point(page, side, q, k):
    """The middle of a cell of a large map, on the screen."""
    canvas = page.locator(".headgrid-zoom canvas").nth(side)
    box, scale = canvas.bounding_box(), canvas.evaluate("(c) => c.getBoundingClientRect().width / c.offsetWidth")
    left, top, size = zoom_layout(page, side)
    return box["x"] + (left + (k + 0.5) * size) * scale, box["y"] + (top + (q + 0.5) * size) * scale


def send(page, grid):
    """Puts the state of a HeadGrid into the page, as Python does: bytes first, the version last."""
    names = ("shape", "query_tokens", "key_tokens", "layer", "head", "version")
    packed = [(n, base64.b64encode(getattr(grid, n)).decode()) for n in ("before_bytes", "after_bytes", "keep_bytes")]
    page.evaluate(
        """([packed, state]) => {
          for (const [name, text] of packed)
            model.set(name, new DataView(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer));
          for (const [name, value] of state) model.set(name, value);
        }""",
        [packed, [(n, getattr(grid, n)) for n in names]],
    )


def test_grey_is_hidden_without_weight_and_on_the_right_only(open_widget):
    after = torch.zeros(LAYERS, HEADS, Q_LEN, K_LEN)
    after[1, 2, 2, 5] = 1.0  # a leak
    keep = masks.full(Q_LEN, K_LEN).clone()
    keep[:, 5] = False
    page = open_widget(grid_of(after, after, keep=keep, layer=1, head=2))
    legend = page.locator(".headgrid-legend")
    expect(legend).to_contain_text("hidden")
    seen = Shot(page)
    assert [seen.thumb(1, 2, q, 5) for q in (1, 2)] == [GREY, ONE], "a leak can be seen"
    assert seen.zoom(0, 1, 5) == ZERO
    page.get_by_label("change").check()
    settle(page)
    seen = Shot(page)
    assert {seen.zoom(1, q, 5 + n / 20) for q in (1, 3) for n in range(6)} == {(247, 247, 247)}, "no hatch"
    expect(legend).not_to_contain_text("hidden")


def test_what_shrinking_may_not_lose(open_widget):
    """Of the cells behind a pixel: one that is not hidden, and NaN."""
    before = torch.zeros(1, 1, 400, 400)
    after = before.clone()
    after[0, 0, 199] = torch.nan
    keep = (torch.arange(400) % 5 == 3).expand(400, 400)
    page = open_widget(HeadGrid(before, after, keep=keep))
    x, y, size = thumb_box(page, 0, 0, heads=1)
    seen = Shot(page)
    assert {seen.pixel(0, x + n, y + 5) for n in range(2, 60)} == {ZERO}
    assert seen.pixel(0, x + 9, y + 199.5 / 400 * size) == RED
    page.get_by_label("change").check()
    settle(page)
    assert Shot(page).pixel(0, x + 9, y + 199.5 / 400 * size) == RED


def test_changes_and_the_legend_follow_the_square_root_too(open_widget):
    before = torch.full((LAYERS, HEADS, Q_LEN, K_LEN), 0.25)
    before[0, 0, 3] = torch.nan
    after = torch.full_like(before, 0.5)
    page = open_widget(grid_of(before, after))
    expect(page.locator(".headgrid-legend")).to_contain_text("NaN")  # on the left only
    table = _colours.table(_colours.WEIGHTS, 256)
    first, second = page.locator(".headgrid-legend .masks-scale").all()
    for half, ends in ((first, (0, 128)), (second, (128, 255))):
        colours = re.findall(r"rgb\((.+?)\)", half.evaluate("bar => bar.style.background"))
        assert [colours[0], colours[-1]] == [", ".join(map(str, table[end])) for end in ends], "¼ in the middle"
    page.get_by_label("change").check()
    settle(page)
    assert Shot(page).thumb(0, 0, 1, 1) == (213, 167, 126), "half of the way to orange, for a change of a quarter"


def test_what_is_written_on_the_maps(open_widget, page):
    page.add_init_script(SPY)
    before = torch.full((LAYERS, HEADS, Q_LEN, K_LEN), 0.125)
    after = before.clone()
    before[0, 0, 0, :2] = torch.tensor([1.0, 0.02])
    after[0, 0, 0, :3] = torch.tensor([0.02, 1.0, 0.25])
    open_widget(HeadGrid(before, after, ["a" * 13, *"bcd"], KEYS, names=("A", "B")), width=1400)
    texts = redrawn(page, lambda: page.evaluate("model.set('side', 'before')"))
    titles = page.locator(".headgrid-zoom .masks-title")
    expect(titles).to_have_text(["A", "B"])
    x, _, size = thumb_box(page, 0, 0)
    assert [t[:3] for t in texts[:HEADS]] == [[str(h), x + h * (size + 3) + size / 2, 25] for h in range(HEADS)]
    assert [t[0] for t in texts if t[0].startswith("aa")] == ["a" * 11 + "…"] * 2
    numbers = [(t[0], t[3]) for t in texts if re.fullmatch(r"−?1?\.\d\d|1\.00", t[0])]
    assert numbers[:3] == [("1.00", "#ffffff"), (".02", "#000000"), (".12", "#000000")]
    assert len(numbers) == 2 * Q_LEN * K_LEN
    texts = redrawn(page, lambda: page.get_by_label("change").check())
    expect(titles).to_have_text(["A", "change"])
    numbers = [(t[0], t[3]) for t in texts if re.fullmatch(r"−?\d?\.\d\d", t[0])]
    assert numbers[Q_LEN * K_LEN :][:3] == [("−.98", "#ffffff"), (".98", "#ffffff"), (".13", "#000000")]


def test_frames_stand_around_what_is_chosen(open_widget, page):
    page.add_init_script(SPY)
    open_widget(grid_of())
    thumbs, zoom = page.get_by_role("grid").all()
    frames = redrawn(page, lambda: page.evaluate("model.set('layer', 1); model.set('head', 2)"))
    x, y, size = thumb_box(page, 1, 2)
    assert next(f[1:] for f in frames if f[0] == "frame") == [x - 2, y - 2, [size + 4, size + 4, 3]]
    frames = redrawn(page, thumbs.focus)
    assert next(f[3][2] for f in frames if f[0] == "frame") == 4, "thicker where the keys go"
    redrawn(page, zoom.focus)
    frames = redrawn(page, lambda: page.keyboard.press("ArrowDown") or page.keyboard.press("Control+End"))
    (_, left, top, (width, cell, _)), (_, x, y, _) = [f for f in frames if f[0] == "frame"][-4::2]
    assert (y, x + cell) == pytest.approx((top, left + width - 1), abs=0.01), "row and cell, in the last corner"
    canvas = page.locator(".headgrid-zoom canvas").first
    assert top + cell == pytest.approx(canvas.evaluate("(shown) => shown.offsetHeight") - 2, abs=1)


def test_a_row_shows_the_keys_with_most_weight_in_order(open_widget):
    before = weights(1, 1, 3, 20)
    before[0, 0, 0, 17], before[0, 0, 0, 3] = 0.9, 0.001
    before[0, 0, 0, 4:14] = 0.0
    keep = masks.full(3, 20).clone()
    keep[0, 17] = False
    page = open_widget(HeadGrid(before, before, keep=keep))
    rows = page.locator("tbody tr")
    wanted = sorted(before[0, 0, 0].topk(8).indices.tolist())
    assert [int(row.split()[0]) for row in rows.all_inner_texts()] == wanted
    assert page.locator("tr.masks-off th").all_inner_texts() == ["17"]
    expect(page.get_by_text("Shown are the 8 keys with most weight, of 20.")).to_be_visible()
    page.get_by_role("grid").last.focus()
    cell = page.locator(f"#{page.get_by_role('grid').last.get_attribute('aria-activedescendant')}")
    for keys, text in [
        (["ArrowRight"] * 3, "query 0, key 3: before <0.01, after <0.01"),
        (["ArrowRight"], "query 0, key 4: before 0.00, after 0.00"),
        (["PageDown", "PageDown", "ArrowLeft", "ArrowLeft"], "query 2, key 2: "),
        (["End", "PageUp", "ArrowLeft", "ArrowLeft"], "query 0, key 17: before 0.90, after 0.90, hidden"),
    ]:
        for key in keys:
            page.keyboard.press(key)
        settle(page)
        expect(cell).to_contain_text(text)
    assert [cell.get_attribute("aria-colindex"), cell.locator("..").get_attribute("aria-rowindex")] == ["18", "1"]
    grid = page.get_by_role("grid").last
    assert [grid.get_attribute("aria-rowcount"), grid.get_attribute("aria-colcount")] == ["3", "20"]


@pytest.mark.parametrize("scale", [1, 0.5])
def test_the_pointer_chooses_heads_and_cells(open_widget, scale):
    page = open_widget(grid_of(weights(), weights()))
    page.evaluate(f"Object.assign(document.body.style, {{ transform: 'scale({scale})', transformOrigin: '0 0' }})")
    thumbs, zoom = page.get_by_role("grid").all()
    x, y, size = thumb_box(page, 1, 2)
    box = thumbs_canvas(page).bounding_box()
    page.mouse.click(box["x"] + scale * (x + size - 2), box["y"] + scale * (y + size - 2))
    assert chosen(page) == [1, 2]
    expect(thumbs).to_be_focused()
    page.mouse.click(box["x"] + scale * (x + size / 2), box["y"] + scale * 10)  # on the numbers of the heads
    assert chosen(page) == [1, 2]
    page.mouse.click(*zoom_point(page, 1, 2, 5))
    expect(page.locator("caption")).to_have_text("Where query c (row 2) looks")
    expect(zoom).to_be_focused()
    cell = page.locator(f"#{zoom.get_attribute('aria-activedescendant')}")
    expect(cell).to_contain_text("query c, key y")
    page.mouse.click(*zoom_point(page, 1, 1, -1))
    settle(page)
    expect(cell).to_contain_text("query c, key y")
    page.mouse.move(*zoom_point(page, 0, 1, 1))
    settle(page)
    expect(cell).to_contain_text("query c, key y")
    page.mouse.down()
    page.mouse.move(*zoom_point(page, 0, 3, 2))
    page.mouse.up()
    expect(cell).to_contain_text("query d, key v")


def test_keys_do_not_scroll_the_page(open_widget):
    page = open_widget(grid_of(), width=360)
    page.evaluate("document.body.style.height = '4000px'")
    thumbs, zoom = page.get_by_role("grid").all()
    for grid in (thumbs, zoom):
        grid.evaluate("(shown) => shown.focus({ preventScroll: true })")
        for key in ("ArrowDown", "PageDown", "End"):
            page.keyboard.press(key)
        page.wait_for_timeout(200)
        assert page.evaluate("window.scrollY") == 0
    thumbs.focus()
    page.keyboard.press("Space")
    expect(zoom).to_be_focused()


def test_an_update_finds_its_way_whatever_was_chosen(open_widget):
    grid = grid_of(layer=1, head=2)
    page = open_widget(grid)
    page.get_by_role("grid").last.focus()
    page.keyboard.press("Control+End")
    page.evaluate("model.set('layer', 7)")  # of larger weights whose bytes are still being read
    settle(page)
    expect(page.locator(".masks-status")).to_have_text("Layer 1, head 2.")
    grid.update(torch.full((4, 1, 1024, 1024), 0.5))
    large = base64.b64encode(grid.before_bytes).decode()
    grid.update(torch.eye(3).expand(1, 2, 3, 3))
    page.evaluate(
        """(text) => {
          window.large = new DataView(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer);
          model.set("before_bytes", large);
          model.set("version", -1);
        }""",
        large,
    )
    send(page, grid)
    page.evaluate("module.inflate(large)")  # longer under way than what came after it
    settle(page)
    expect(page.locator("caption")).to_have_text("Where query 2 (row 2) looks")
    assert page.locator("tbody tr").all_inner_texts()[2].split() == ["2", "1.00"]


def test_width_and_theme_are_followed_until_the_view_ends(open_widget, page):
    page.add_init_script(SPY)
    page.emulate_media(color_scheme="light")
    open_widget(grid_of())
    width = thumbs_canvas(page).bounding_box()["width"]
    texts = redrawn(page, lambda: page.emulate_media(color_scheme="dark"))
    assert {t[3] for t in texts if t[0].startswith("key:")} == {"#e6e9ed"}
    page.set_viewport_size({"width": 200, "height": 900})
    settle(page)
    narrow = thumbs_canvas(page).bounding_box()["width"]
    assert narrow < width
    page.evaluate("forget.forEach((end) => end())")
    page.set_viewport_size({"width": 1000, "height": 900})
    settle(page)
    assert thumbs_canvas(page).bounding_box()["width"] == narrow


# --- Python ------------------------------------------------------------------------------------------


def test_the_attentions_of_a_real_model_go_in_as_they_are(minilm):
    model, tokenizer = minilm
    batch = tokenizer("The cat sat.", return_tensors="pt")
    with torch.no_grad():
        attentions = model(**batch, output_attentions=True).attentions
    grid = HeadGrid(attentions)
    assert grid.shape == [6, 12, 6, 6]
    assert torch.equal(grid.before[3, 5], attentions[3][0, 5])


def test_twelve_by_twelve_heads_at_128_tokens_fit_in_a_page():
    before, after, keep = maps_of_two_texts(128)
    grid = HeadGrid(before, after, keep=keep)
    page_bytes = sum(len(base64.b64encode(x)) for x in (grid.before_bytes, grid.after_bytes))
    assert page_bytes + len(str(grid._esm)) + len(grid._css) < 3.5e6
    assert grid.shape == [12, 12, 128, 128]


def test_the_fallback_shows_the_same_maps_with_alt_text():
    before, after = weights(), weights()
    data, metadata = grid_of(before, after)._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in data
    alt = metadata["image/png"]["alt"]
    moved = ((after - before).abs().sum(-1) / 2).mean(-1)
    layer, head = divmod(int(moved.argmax()), HEADS)
    assert alt.startswith("Attention maps of 2 layers with 3 heads each, 4 queries by 6 keys, before and after.")
    assert (
        f"{moved.mean():.0%} of the weight moved, most in layer {layer}, head {head}: {moved[layer, head]:.0%}" in alt
    )
    assert data["text/plain"] == alt
    image = Image.open(io.BytesIO(base64.b64decode(data["image/png"])))
    assert image.width > 500
    assert grid_of(alt="Mine.").picture().alt == "Mine."


def test_the_picture_has_each_cell_in_its_place():
    before = torch.zeros(LAYERS, HEADS, Q_LEN, K_LEN)
    before[1, 2, 3, 4] = 1.0
    after = before.clone()
    after[0, 0, 2] = torch.nan
    keep = masks.full(Q_LEN, K_LEN).clone()
    keep[:, 0] = False
    left, right = (
        axes.images[0].get_array() for axes in plots.head_grid(before, after, keep=keep, alt="x").figure.axes[:2]
    )

    def cell(image, layer, head, q, k):  # 24 pixels a map, a line of 1 around it
        return tuple(
            int(x)
            for x in image[layer * 26 + 1 + int((q + 0.5) * 24 / Q_LEN), head * 26 + 1 + int((k + 0.5) * 24 / K_LEN)]
        )

    for colour, wanted in [
        (cell(left, 1, 2, 3, 4), ONE),
        (cell(left, 1, 2, 2, 4), ZERO),
        (cell(left, 0, 0, 2, 4), ZERO),
        (cell(right, 0, 0, 2, 4), RED),
        (cell(right, 1, 1, 1, 0), GREY),
        (cell(left, 1, 1, 1, 0), ZERO),
    ]:
        assert colour == pytest.approx(wanted, abs=1)  # matplotlib cuts off where the browser rounds


def test_state_is_bytes_not_lists():
    grid = grid_of(weights(), weights(), keep=masks.causal(Q_LEN, K_LEN))
    assert len(zlib.decompress(grid.before_bytes)) == LAYERS * HEADS * Q_LEN * K_LEN
    assert list(zlib.decompress(grid.keep_bytes)) == masks.causal(Q_LEN, K_LEN).flatten().int().tolist()
    state = {name: value for name, value in grid.get_state().items() if not isinstance(value, bytes)}
    assert len(json.dumps({name: value for name, value in state.items() if name not in ("_esm", "_css")})) < 2000


W = weights()
BAD = [
    ((None,), TypeError, "before: got None"),
    ((W.numpy(),), TypeError, "torch.from_numpy"),
    (([W[0], None],), TypeError, "before[1]: got None"),
    ((W.tolist(),), TypeError, "before[0]: got a list"),
    (((),), TypeError, "before: got an empty list"),
    (((None, None),), TypeError, "attn_implementation='eager'"),
    ((W[0],), ValueError, "wanted a float tensor (layers, heads, q_len, k_len)"),
    ((W[None],), ValueError, "pick one sequence: weights[:, 0]"),
    ((W[:, :0],), ValueError, "before"),
    ((W > 0.1,), TypeError, "Did you pass a mask?"),
    (([W[:, :, :2], W],), ValueError, "different shapes"),
    (([W, W],), ValueError, "a batch of 2, wanted one sequence"),
    ((W.log(),), ValueError, "scores.softmax(-1)"),
    ((W * 1.5 + 1,), ValueError, "wanted weights from 0 to 1"),
    ((torch.zeros(1, 1, 2, 1025),), ValueError, "at most 1024"),
    ((torch.zeros(17, 1, 1024, 1024),), ValueError, "16,777,216 weights"),
    ((torch.zeros(9, 1, 1024, 1024), torch.zeros(9, 1, 1024, 1024)), ValueError, "fewer tokens"),
    ((W, W[:1]), ValueError, "after: got"),
    ((W, None, "abcd"), TypeError, "tokens: got"),
    ((W, None, ["a"]), ValueError, "tokens: got 1 labels, wanted 4"),
    ((W, None, QUERIES, QUERIES), ValueError, "key_tokens: got 4 labels, wanted 6"),
    ((W, None, QUERIES, [1] * 6), TypeError, "key_tokens"),
]


@pytest.mark.parametrize(("arguments", "error", "message"), BAD)
def test_bad_input_is_named(arguments, error, message):
    with pytest.raises(error, match=re.escape(message)):
        HeadGrid(*arguments)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"keep": torch.ones(3, 6, dtype=torch.bool)}, ValueError, "keep"),
        ({"keep": torch.ones(4, 6)}, TypeError, "keep"),
        ({"keep": (masks.full(4, 6), torch.ones(4, 6))}, TypeError, "keep[1]"),
        ({"names": "ab"}, ValueError, "names"),
        ({"names": ("a",)}, ValueError, "names"),
        ({"names": None}, ValueError, "names"),
        ({"layer": 2}, ValueError, "layer: got 2, wanted 0 to 1"),
        ({"head": -1}, ValueError, "head: got -1, wanted 0 to 2"),
    ],
)
def test_bad_options_are_named(options, error, message):
    with pytest.raises(error, match=re.escape(message)):
        grid_of(weights(), weights(), **options)


def test_a_mask_belongs_to_after():
    with pytest.raises(ValueError, match="keep: given without after"):
        grid_of(keep=masks.causal(Q_LEN, K_LEN))


def test_a_failed_update_changes_nothing():
    grid = grid_of(W, W)
    state = grid.get_state()
    with pytest.raises(ValueError, match="after"):
        grid.update(weights(1, 1, 2, 2), weights(1, 1, 3, 3))
    with pytest.raises(ValueError, match="wanted 0 to 2"):
        grid.head = 3
    assert grid.get_state() == state
    assert torch.equal(grid.before, W)


def test_the_given_tensors_stay_as_they_were():
    before = weights()
    kept = before.clone()
    grid = grid_of(before)
    before.zero_()
    assert torch.equal(grid.before, kept), "and a later change of them changes no picture"


def test_the_picture_has_the_names_and_the_mask_of_the_widget():
    zeros = torch.zeros(LAYERS, HEADS, Q_LEN, K_LEN)
    keep = masks.full(Q_LEN, K_LEN).clone()
    keep[:, 0] = False
    left, right = grid_of(zeros, zeros, keep=keep, names=("A", "B")).picture().figure.axes[:2]
    assert [left.get_title(), right.get_title()] == ["A", "B"]
    assert tuple(right.images[0].get_array()[13, 3]) == GREY
    assert right.images[0].get_extent() == [-0.5, HEADS - 0.5, LAYERS - 0.5, -0.5], "layer 0 on top"


def test_the_picture_shrinks_by_the_maximum_and_shows_leaks_and_nan():
    before = torch.zeros(1, 1, 400, 400)
    before[0, 0, 123, 222] = 1.0
    after = torch.full((1, 1, 4, 4), 0.25)
    after[0, 0, 1] = torch.nan
    keep = masks.full(4).clone()
    keep[:, 3] = False
    picture = plots.head_grid(before, alt="x").figure.axes[0].images[0].get_array()
    assert tuple(picture[1 + 123 * 24 // 400, 1 + 222 * 24 // 400]) == pytest.approx(ONE, abs=1)
    picture = plots.head_grid(after, after, keep=keep, alt="x").figure.axes[1].images[0].get_array()
    middle = _colours.table(_colours.WEIGHTS, 256)[128].tolist()
    assert picture[4, 22].tolist() == picture[4, 4].tolist() == pytest.approx(middle, abs=2), "√0.25, a leak"
    assert tuple(picture[10, 22]) == tuple(picture[10, 4]) == RED


@pytest.mark.parametrize(
    ("nan", "says"),
    [((), ": the same."), ((0, 0), "most in layer 1, head 2: 100%."), (..., ", before and after.")],
)
def test_the_words_of_the_picture(nan, says):
    before = torch.zeros(LAYERS, HEADS, Q_LEN, K_LEN)
    before[..., 0] = 1.0
    after = before.clone()
    if nan != ():
        after[1, 2] = before[1, 2].roll(1, -1)
        after[nan] = torch.nan
    assert grid_of(before, after).picture().alt.endswith(says)


def test_what_just_fits_is_taken():
    grid = HeadGrid(torch.full((1, 1, 2, 3), 1.004), tokens=["a", "b"])
    assert (grid.query_tokens, grid.key_tokens) == (["a", "b"], ["0", "1", "2"])
    with pytest.raises(ValueError, match="at most 1024"):
        HeadGrid(torch.zeros(1, 1, 1025, 2))


def test_an_update_is_one_message_and_a_failed_one_leaves_the_picture(monkeypatch):
    monkeypatch.setattr(comm, "create_comm", comm.DummyComm)  # whoever has imported ipykernel has one without a kernel
    grid, sent = grid_of(W), []
    monkeypatch.setattr(grid, "send_state", lambda key: sent.append(set(key)))
    grid.update(weights(1, 2, 3, 3))
    assert len(sent) == 1
    assert {"shape", "before_bytes", "version"} <= sent[0]
    shown = grid.before
    with pytest.raises(ValueError, match="keep"):
        grid.update(weights(1, 1, 2, 2), keep=masks.full(5))
    assert grid.before is shown
