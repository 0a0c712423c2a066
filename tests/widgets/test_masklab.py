"""MaskLab: its page in a real Chromium, its two-way traffic with Python."""

import base64
import io
import json
import re

import pytest
import torch
import torch.nn.functional as F
import traitlets
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import expect

from tests.support.masklab_page import (
    HOSTILE,
    HOSTILE_SHOWN,
    K_LEN,
    KEYS,
    Q_LEN,
    TOKENS,
    drawn,
    keep_of,
    preset_masks,
    scores,
    shown,
    where,
)
from tests.support.widget_page import settle
from utils import _colours, masks
from utils.attention import attend
from utils.widgets import MaskLab


def test_a_head_that_is_not_there_is_refused():
    lab = MaskLab(scores(), query_tokens=TOKENS, key_tokens=KEYS)
    for head in (2, -1):
        with pytest.raises(ValueError, match=f"head: got {head}, wanted 0 to 1"):
            lab.head = head
    assert lab.head == 0


def test_scores_can_be_replaced(open_widget):
    lab = MaskLab(scores(), query_tokens=TOKENS, key_tokens=KEYS)
    other = torch.zeros(2, Q_LEN, K_LEN)
    other[0, 0, 3] = 9.0
    with pytest.raises(ValueError, match="wanted \\(2, 5, 7\\), as at the start"):
        lab.scores = other[:1]
    page = open_widget(lab)
    lab.scores = other
    assert torch.equal(lab.scores, other)
    page.evaluate(
        "text => model.set('scores_bytes', new DataView(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer))",
        base64.b64encode(lab.scores_bytes).decode(),
    )
    settle(page)
    weights = [float(text.replace("−", "-")) for text in page.locator(".masklab-weight td").all_inner_texts()]
    assert weights == pytest.approx([*other[0, 0].softmax(-1).tolist(), 1], abs=6e-4)


def test_a_fast_drag_skips_no_cell(open_widget):
    page = open_widget(MaskLab(scores(), query_tokens=TOKENS, key_tokens=KEYS))
    page.mouse.move(*where(page, 0, 0))
    page.mouse.down()
    page.mouse.move(*where(page, 0, 6), steps=1)
    page.mouse.move(*where(page, 4, 2), steps=1)
    page.mouse.up()
    wanted = masks.full(Q_LEN, K_LEN).clone()
    wanted[0] = False
    wanted[[1, 2, 3, 4], [5, 4, 3, 2]] = False
    assert torch.equal(keep_of(page), wanted)


@pytest.mark.parametrize(("q_len", "k_len", "width"), [(5, 7, 1000), (5, 7, 365), (64, 64, 1000), (60, 90, 500)])
def test_a_map_drawn_in_parts_equals_one_drawn_whole(open_widget, q_len, k_len, width):
    page = open_widget(MaskLab(torch.randn(q_len, k_len), masks.causal(q_len, k_len)), width=width)
    drawn = "Array.from(document.querySelectorAll('canvas'), (canvas) => canvas.toDataURL())"
    first = page.evaluate(drawn)
    page.locator(".masklab-grid").focus()
    for key in ("Space", "ArrowDown", "ArrowRight", "ArrowDown", "Enter", "Control+End", "Space", "ArrowUp", "Space"):
        page.keyboard.press(key)
    settle(page)
    in_parts = page.evaluate(drawn)
    page.evaluate("document.body.classList.add('other')")  # as a theme that is switched: everything is drawn
    settle(page)
    assert in_parts == page.evaluate(drawn)
    assert all(was != now for was, now in zip(first, in_parts, strict=True))


def test_undo_names_a_mask_that_was_gone_before_it_was_named(open_widget):
    page = open_widget(MaskLab(scores(), masks.causal(Q_LEN, K_LEN)))
    press = "new KeyboardEvent('keydown', {key: ' ', bubbles: true})"
    page.evaluate(f"for (let n = 0; n < 3; n++) document.querySelector('[role=grid]').dispatchEvent({press})")
    for name in ("custom", "causal"):
        expect(page.get_by_label("Mask", exact=True)).to_have_value(name)
        page.get_by_role("button", name="Undo").click()
    expect(page.get_by_label("Mask", exact=True)).to_have_value("custom")


def test_click_drag_and_keys_change_the_mask(open_widget):
    page = open_widget(MaskLab(scores(), query_tokens=TOKENS, key_tokens=KEYS))
    wanted = masks.full(Q_LEN, K_LEN).clone()
    page.mouse.click(*where(page, 1, 4))
    wanted[1, 4] = False
    assert torch.equal(keep_of(page), wanted)

    page.mouse.move(*where(page, 2, 2))
    page.mouse.down()
    page.mouse.move(*where(page, 2, 5), steps=12)
    page.mouse.move(*where(page, 3, 5), steps=4)
    page.mouse.up()
    wanted[2, 2:6] = wanted[3, 5] = False
    assert torch.equal(keep_of(page), wanted)

    page.keyboard.press("Home")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Space")
    wanted[2, 0] = False
    page.keyboard.press("Control+End")
    page.keyboard.press("Enter")
    wanted[4, 6] = False
    assert torch.equal(keep_of(page), wanted)
    expect(page.get_by_label("Mask", exact=True)).to_have_value("custom")
    page.wait_for_function("saves > 0")  # a mask is named, and then sent, after the frame that shows it
    assert page.evaluate("saves") <= 4, "at most one message to Python for each click, stroke or key"

    page.keyboard.press("Control+z")
    wanted[4, 6] = True
    page.get_by_role("button", name="Undo").click()
    wanted[2, 0] = True
    assert torch.equal(keep_of(page), wanted)
    page.get_by_role("button", name="Reset").click()
    assert keep_of(page).all()
    page.get_by_role("button", name="Undo").click()
    assert torch.equal(keep_of(page), wanted)


def test_presets_and_their_parameters(open_widget):
    page = open_widget(MaskLab(scores(), query_tokens=TOKENS, key_tokens=KEYS))
    preset = page.get_by_label("Mask", exact=True)
    expect(preset).to_have_value("none")
    preset.select_option("sliding_window")
    settle(page)
    assert torch.equal(keep_of(page), masks.sliding_window(Q_LEN, 3, K_LEN))
    page.get_by_label("window").fill("2")
    page.keyboard.press("Tab")
    settle(page)
    assert torch.equal(keep_of(page), masks.sliding_window(Q_LEN, 2, K_LEN))
    page.mouse.click(*where(page, 0, 0))
    expect(preset).to_have_value("custom")
    expect(page.get_by_label("window")).to_have_count(0)
    page.mouse.click(*where(page, 0, 0))
    expect(preset).to_have_value("sliding_window")
    expect(page.get_by_label("window")).to_have_value("2")


def test_a_parameter_keeps_the_focus_while_it_changes(open_widget):
    page = open_widget(MaskLab(scores(), query_tokens=TOKENS, key_tokens=KEYS))
    page.get_by_label("Mask", exact=True).select_option("right_padding")
    page.get_by_label("real keys").focus()
    for _ in range(2):
        page.keyboard.press("ArrowDown")
    for keys, real in (
        ((), 3),
        (("2", "Enter"), 2),
        (("9", "9", "Enter"), 7),
        (("0", "7", "Enter"), 7),
        (("Enter",), 7),
    ):
        if keys:
            page.keyboard.press("Control+a")
        for key in keys:
            page.keyboard.press(key)
        expect(page.get_by_label("real keys")).to_be_focused()
        expect(page.get_by_label("real keys")).to_have_value(str(real))
        settle(page)
        assert torch.equal(keep_of(page), masks.lengths([real], K_LEN)[0, 0].expand(Q_LEN, K_LEN))
    assert page.evaluate("saves") == 5, "the choice of the preset, and 4 other numbers"
    page.keyboard.press("Control+z")
    expect(page.get_by_label("real keys")).to_have_value("2")


def test_a_click_anywhere_keeps_the_keys_in_the_widget(open_widget):
    """A notebook reads letters as commands wherever the focus is not in the widget."""
    page = open_widget(MaskLab(scores(), query_tokens=TOKENS, key_tokens=KEYS))
    for part in (
        ".masks-status",
        ".masklab canvas >> nth=0",
        ".masklab-pipeline td >> nth=0",
        "figcaption >> nth=0",
    ):
        page.evaluate("document.activeElement.blur()")
        page.locator(part).click()
        focused = page.evaluate("[document.activeElement.tagName, document.activeElement.dataset.lmSuppressShortcuts]")
        assert focused == ["DIV", "true"], part
    page.get_by_label("Mask", exact=True).select_option("causal")
    page.get_by_role("button", name="Undo").click()
    settle(page)
    expect(page.get_by_role("button", name="Undo")).to_be_focused()  # though nothing is left to undo
    expect(page.get_by_role("button", name="Undo")).to_have_attribute("aria-disabled", "true")
    assert keep_of(page).all()


def colours(page, q, k):
    """The colours beside the number of one cell of the right map, as the reader sees them: two for a hatch."""
    x, y = where(page, q, k)
    shot = Image.open(io.BytesIO(page.screenshot(clip={"x": x - 8, "y": y - 15, "width": 16, "height": 7})))
    return {colour for _, colour in shot.convert("RGB").getcolors()}


def test_hidden_zero_and_nan_have_three_looks(open_widget):
    raw = torch.zeros(Q_LEN, K_LEN)
    raw[1, 1] = -200.0  # visible, with a weight of 0
    keep = masks.full(Q_LEN, K_LEN).clone()
    keep[0] = False
    keep[1, 2] = False
    page = open_widget(MaskLab(raw, keep, TOKENS, KEYS))
    page.mouse.click(*where(page, 4, 6))  # away from what is looked at
    settle(page)
    palest, red, grey = (tuple(_colours.rgb(one)) for one in (_colours.WEIGHTS[0], _colours.NAN, _colours.HIDDEN))
    assert colours(page, 1, 1) == {palest}
    assert grey in colours(page, 1, 2)
    assert len(colours(page, 1, 2)) > 1, "hatched"
    assert red in colours(page, 0, 3)
    page.get_by_label("Hidden scores get").select_option("min")
    settle(page)
    leaking = colours(page, 0, 3)
    assert red not in leaking
    assert grey not in leaking
    assert len(leaking) > 1, "a hidden key that has weight all the same keeps its colour under the hatch"
    expect(page.locator(".masks-status")).to_have_text(re.compile(r"^9 of 35 cells hidden, 1 query sees nothing\.$"))


def test_flipped_polarity_is_the_classic_bug(open_widget):
    lab = MaskLab(scores(), masks.causal(Q_LEN, K_LEN), TOKENS, KEYS)
    page = open_widget(lab)
    page.get_by_role("button", name="Flip polarity").click()
    settle(page)
    expect(page.get_by_role("button", name="Flip polarity")).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_text("True is read as ignore")).to_be_visible()
    expect(page.locator(".masks-status")).to_contain_text("1 query sees nothing, 1 row is NaN")
    assert torch.equal(keep_of(page), masks.causal(Q_LEN, K_LEN)), "the mask is the same; only its reading changed"


def test_views_of_one_model_stay_in_step(open_widget):
    page = open_widget(MaskLab(scores(), query_tokens=TOKENS, key_tokens=KEYS), views=2)
    page.mouse.click(*where(page, 1, 1, view=1))
    settle(page)
    assert shown(page) == [("custom", [], "1 of 35 cells hidden.")] * 2
    assert (~drawn(page, view=0)).nonzero().tolist() == [[1, 1]]
    page.get_by_label("Hidden scores get").first.select_option("-1e4")
    settle(page)
    expect(page.get_by_label("Hidden scores get").last).to_have_value("-1e4")
    page.evaluate("forget.forEach((f) => f())")  # closing a view leaves no listener behind
    page.evaluate("model.set('flipped', true)")
    settle(page)
    expect(page.locator(".masks-warning").first).to_be_hidden()


def test_views_agree_on_the_preset_and_its_parameters(open_widget):
    """After a choice, a number or a click in either view, and after Python: also where two presets make one mask."""
    page = open_widget(MaskLab(scores(), query_tokens=TOKENS, key_tokens=KEYS), views=2)
    wanted = preset_masks(Q_LEN, K_LEN, real=5, window=3, prefix=3, lengths=[3, 4])
    texts = {"real": "5", "window": "3", "prefix": "3", "lengths": "3, 4"}

    def both(name, values, keep):
        settle(page)
        hidden = f"{int((~keep).sum())} of 35 cells hidden."
        assert shown(page) == [(name, values, hidden)] * 2
        assert torch.equal(keep_of(page), keep)

    for n, (name, keep) in enumerate(wanted.items()):
        page.get_by_label("Mask", exact=True).nth(n % 2).select_option(name)
        both(name, [texts[parameter.name] for parameter in masks.PRESETS[name].parameters], keep)

    page.get_by_label("Mask", exact=True).first.select_option("causal")
    page.get_by_label("Mask", exact=True).last.select_option("sliding_window")
    for view, window in ((0, K_LEN), (1, 1)):  # a window of all keys is causal, and is a window all the same
        page.get_by_label("window").nth(view).fill(str(window))
        page.keyboard.press("Tab")
        both("sliding_window", [str(window)], masks.sliding_window(Q_LEN, window, K_LEN))
    page.get_by_label("Mask", exact=True).first.select_option("documents")
    page.get_by_label("lengths").last.fill("4, 1, 2")
    page.keyboard.press("Tab")
    both("documents", ["4, 1, 2"], masks.documents([0, 0, 0, 0, 1, 2, 2])[-Q_LEN:])

    page.get_by_role("button", name="Undo").last.click()  # each view undoes what was done in it
    both("documents", ["3, 4"], wanted["documents"])

    for keep, *said in (
        (masks.documents([0, 0, 0, 1, 1, 2, 2])[-Q_LEN:], "documents", ["3, 2, 2"]),
        (masks.causal(Q_LEN, K_LEN), "causal", []),
    ):  # as after lab.keep = … in Python
        page.evaluate(
            "cells => model.set('keep_bytes', new DataView(Uint8Array.from(cells).buffer))", [*map(int, keep.flatten())]
        )
        both(*said, keep)


def test_hostile_tokens_are_text(open_widget):
    size = len(HOSTILE)
    page = open_widget(MaskLab(scores(size, size), masks.causal(size), HOSTILE))
    assert page.locator("main img, main script").count() == 0
    assert page.locator(".masklab-pipeline thead th span").all_text_contents() == HOSTILE_SHOWN
    page.get_by_role("grid").focus()
    for n, token in enumerate(HOSTILE):
        expect(page.locator(".masklab-pipeline caption")).to_have_text(
            f"Row {n}, query {HOSTILE_SHOWN[n]}", use_inner_text=True
        )
        said = page.get_by_role("gridcell").text_content()
        assert said.startswith(f"query {token[:39]}".replace("\n", " ")), "longer here, and never read as markup"
        page.keyboard.press("ArrowDown")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 800, 1400])
def test_axe_finds_nothing(open_widget, page, scheme, width):
    page.emulate_media(color_scheme=scheme)
    keep = masks.causal(Q_LEN, K_LEN).clone()
    keep[0] = False
    open_widget(MaskLab(scores(), keep, TOKENS, KEYS), width=width)
    page.get_by_text("As code").click()
    page.get_by_role("button", name="Flip polarity").click()
    settle(page)
    results = Axe().run(page)
    assert results.violations_count == 0, results.generate_report()
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), "nothing runs off the page"


@pytest.mark.parametrize(
    ("scheme", "where_", "attribute", "dark"),
    [
        ("light", "body", "data-jp-theme-light=false", True),
        ("dark", "body", "data-jp-theme-light=true", False),
        ("light", "documentElement", "data-theme=dark", True),
        ("dark", "documentElement", "data-theme=light", False),
        ("dark", "body", "lang=en", True),
    ],
)
def test_the_pages_own_switch_wins_over_the_systems(open_widget, page, scheme, where_, attribute, dark):
    page.emulate_media(color_scheme=scheme)
    open_widget(MaskLab(scores(), query_tokens=TOKENS, key_tokens=KEYS))
    name, value = attribute.split("=")
    page.evaluate(f"document.{where_}.setAttribute({name!r}, {value!r})")
    settle(page)
    back = page.evaluate("getComputedStyle(document.querySelector('.masklab')).backgroundColor")
    assert back == ("rgb(21, 25, 30)" if dark else "rgb(255, 255, 255)")
    # The labels on the canvas follow: the lightest or the darkest pixels left of the map are text.
    box = page.locator(".masklab-grid canvas").bounding_box()
    shot = page.screenshot(clip={"x": box["x"], "y": box["y"] + 70, "width": 50, "height": 120})
    greys = [grey for _, grey in Image.open(io.BytesIO(shot)).convert("L").getcolors()]
    assert (max(greys) > 180) if dark else (min(greys) < 80)


def test_everything_is_reached_by_keyboard_and_read_out(open_widget):
    page = open_widget(MaskLab(scores(), query_tokens=TOKENS, key_tokens=KEYS))
    reached = []
    for _ in range(16):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.getAttribute('role') ?? document.activeElement.tagName"))
    assert {"SELECT", "BUTTON", "grid", "SUMMARY"} <= set(reached)
    grid = page.get_by_role("grid")
    grid.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Space")
    settle(page)
    cell = page.locator(f"#{grid.get_attribute('aria-activedescendant')}")
    expect(cell).to_have_text("query the, key [CLS]: hidden, weight 0.000")
    expect(cell).to_have_attribute("aria-selected", "false")
    expect(page.locator("[aria-live=polite]")).to_have_text("query the, key [CLS]: hidden, weight 0.000")


def test_other_words_need_no_other_widget(open_widget):
    words = {"reset": "Zurück", "presets": {"causal": "kausal"}}
    page = open_widget(MaskLab(scores(), query_tokens=TOKENS, key_tokens=KEYS, words=words))
    expect(page.get_by_role("button", name="Zurück")).to_be_visible()
    expect(page.get_by_label("Mask", exact=True).locator("option", has_text="kausal")).to_have_count(1)
    expect(page.get_by_label("Mask", exact=True).locator("option", has_text="prefix")).to_have_count(1)


@pytest.mark.parametrize("width", [700, 800, 1000, 1400])
def test_before_and_after_stand_side_by_side_where_there_is_room(open_widget, width):
    page = open_widget(MaskLab(scores(8, 8), masks.causal(8), ["a token"] * 8), width=width)
    left, right = (figure.bounding_box() for figure in page.locator(".masklab figure").all())
    assert left["y"] == right["y"]
    assert right["x"] >= left["x"] + left["width"]


def test_few_cells_leave_room_for_the_names_of_the_axes(open_widget):
    page = open_widget(MaskLab(scores(1, 1)))
    width, height = page.evaluate(
        """() => {
          const context = document.createElement("canvas").getContext("2d");
          context.font = "12px system-ui, sans-serif";
          return [module.WORDS.key, module.WORDS.query].map((text) => context.measureText(text).width);
        }"""
    )
    for canvas in page.locator("canvas").all():
        assert canvas.bounding_box()["width"] > width + 20  # the labels of the queries stand left of it
        assert canvas.bounding_box()["height"] > height + 20
    box = page.locator(".masklab-grid canvas").bounding_box()
    page.mouse.click(box["x"] + 33 + 24, box["y"] + 31 + 24)  # the middle of the only cell
    settle(page)
    expect(page.locator(".masks-status")).to_have_text("1 of 1 cells hidden, 1 query sees nothing, 1 row is NaN.")


def test_1024_tokens(open_widget):
    page = open_widget(MaskLab(scores(1024, 1024), masks.causal(1024)))
    expect(page.locator(".masks-status")).to_have_text(f"{1024 * 1023 // 2} of {1024 * 1024} cells hidden.")
    page.get_by_role("grid").focus()
    page.keyboard.press("End")
    page.keyboard.press("Space")
    settle(page)
    expect(page.locator(".masks-status")).to_contain_text(f"{1024 * 1023 // 2 - 1} of")


# --- Python ------------------------------------------------------------------------------------------


def test_keep_is_a_tensor_both_ways():
    lab = MaskLab(scores(), query_tokens=TOKENS, key_tokens=KEYS)
    assert lab.keep.all()
    assert lab.keep.shape == (Q_LEN, K_LEN)
    lab.keep = masks.causal(Q_LEN, K_LEN)
    assert torch.equal(lab.keep, masks.causal(Q_LEN, K_LEN))
    assert lab.keep.dtype == torch.bool
    lab.keep = masks.lengths([3], K_LEN)[0, 0]  # broadcasts
    assert torch.equal(lab.keep, masks.lengths([3], K_LEN)[0, 0].expand(Q_LEN, K_LEN))
    lab.set_state({"keep_bytes": memoryview(b"\x01" * 34 + b"\x00")})  # as it arrives from the browser
    assert (~lab.keep).nonzero().tolist() == [[4, 6]]
    lab.keep[0, 0] = False  # a copy: the widget changes when it is told to
    assert lab.keep[0, 0]


def test_keep_is_observed_like_any_trait():
    whole, causal, window = masks.full(Q_LEN, K_LEN), masks.causal(Q_LEN, K_LEN), masks.sliding_window(Q_LEN, 2, K_LEN)
    lab, changes = MaskLab(scores(), query_tokens=TOKENS, key_tokens=KEYS), []
    lab.observe(changes.append, "keep")
    lab.keep = causal
    lab.keep = causal.clone()  # the same mask: nothing has changed
    lab.set_state({"keep_bytes": memoryview(bytes(window.flatten().tolist()))})  # a click in the browser
    lab.set_trait("keep", whole)
    seen = [(whole, causal), (causal, window), (window, whole)]
    assert [(change.name, change.owner, change.type) for change in changes] == [("keep", lab, "change")] * 3
    for change, (old, new) in zip(changes, seen, strict=True):
        assert change.old.dtype == change.new.dtype == torch.bool
        assert torch.equal(change.old, old)
        assert torch.equal(change.new, new)
    changes[-1].new[0, 0] = False  # a copy, like what lab.keep gives
    assert lab.keep.all()

    with lab.hold_trait_notifications():
        lab.keep = causal
        lab.keep = window
        assert len(changes) == 3
    assert torch.equal(changes[3].old, whole)
    assert torch.equal(changes[3].new, window)
    for wrong, error in ((masks.causal(9), ValueError), (causal.float(), TypeError)):
        with pytest.raises(error, match="keep: got a"):
            lab.keep = wrong
    lab.unobserve(changes.append, "keep")
    lab.keep = causal
    assert len(changes) == 4
    assert "keep" not in lab.get_state(), "only its bytes travel"


def test_keep_feeds_other_traits():
    class Reader(traitlets.HasTraits):
        keep = traitlets.Any()
        hidden = traitlets.Int()

    first, second, reader = MaskLab(GOOD), MaskLab(GOOD), Reader()
    link = traitlets.dlink((first, "keep"), (reader, "keep"))
    traitlets.dlink((first, "keep"), (reader, "hidden"), lambda keep: int((~keep).sum()))
    assert torch.equal(reader.keep, masks.full(2, 3))
    first.keep = masks.causal(2, 3, "upper_left")
    assert torch.equal(reader.keep, masks.causal(2, 3, "upper_left"))
    assert reader.hidden == 3
    link.unlink()
    first.keep = masks.causal(2, 3)
    assert torch.equal(reader.keep, masks.causal(2, 3, "upper_left"))
    assert reader.hidden == 1

    traitlets.link((first, "keep_bytes"), (second, "keep_bytes"))
    assert torch.equal(second.keep, masks.causal(2, 3))
    second.keep = masks.sliding_window(2, 1, 3)
    assert torch.equal(first.keep, masks.sliding_window(2, 1, 3))
    assert reader.hidden == 4


def test_a_subclass_observes_keep_from_its_first_mask_on():
    class Watched(MaskLab):
        @traitlets.observe("keep")
        def _remember(self, change):
            self.seen = [*getattr(self, "seen", []), (change.old, change.new.tolist())]

    lab = Watched(torch.zeros(1, 2), torch.tensor([[True, False]]))
    assert lab.seen == [(traitlets.Undefined, [[True, False]])]


def test_fallback_is_a_picture_with_words():
    """What GitHub, print and PDF show: the same weights, as a PNG with alt text."""
    raw, keep = scores(Q_LEN, K_LEN), masks.causal(Q_LEN, K_LEN)
    lab = MaskLab(raw, keep, TOKENS, KEYS)
    data, metadata = lab._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in data
    assert base64.b64decode(data["image/png"]).startswith(b"\x89PNG")
    assert metadata["image/png"]["alt"] == data["text/plain"] == lab.picture().alt
    assert lab.picture().alt.endswith("before and after a mask that hides 10 of 35 cells.")
    drawn = lab.picture().figure.axes[1].collections[0].get_array()
    wanted = attend(torch.eye(Q_LEN), torch.eye(Q_LEN, K_LEN).T, torch.eye(K_LEN)).scores * 0 + raw
    wanted = (wanted + torch.zeros(Q_LEN, K_LEN).masked_fill(~keep, -torch.inf)).softmax(-1)
    assert torch.allclose(torch.as_tensor(drawn.filled(0)).float().flatten(), wanted.flatten(), atol=1e-6)
    assert MaskLab(raw, keep, TOKENS, KEYS, alt="Mine.").picture().alt == "Mine."


def test_the_page_carries_what_it_needs():
    """The module and the style lie in the widget's state: no address, no network."""
    state = MaskLab(scores(), query_tokens=TOKENS, key_tokens=KEYS).get_state()
    for part in (state["_esm"], state["_css"]):
        assert "http" not in part
        assert len(part) > 1000
    assert not re.search(r"^\s*import ", state["_esm"], re.MULTILINE)
    assert json.dumps({k: v for k, v in state.items() if not isinstance(v, bytes)})


GOOD = torch.zeros(2, 3)


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: MaskLab([[1.0]]), TypeError, "scores: got a list"),
        (lambda: MaskLab(GOOD.long()), TypeError, "Did you pass a mask"),
        (lambda: MaskLab(GOOD[0]), ValueError, r"scores: got a float32 tensor of shape \(3,\)"),
        (lambda: MaskLab(GOOD[:0]), ValueError, "empty"),
        (lambda: MaskLab(GOOD + torch.nan), ValueError, r"scores: got NaN or \+inf"),
        (lambda: MaskLab(GOOD + torch.inf), ValueError, r"scores: got NaN or \+inf"),
        (lambda: MaskLab(torch.zeros(1025, 2)), ValueError, "at most 1024 queries and keys"),
        (lambda: MaskLab(GOOD, torch.ones(3, 2).bool()), ValueError, r"broadcasts to \(2, 3\)"),
        (lambda: MaskLab(GOOD, torch.ones(2, 3)), TypeError, "keep: got a float32 tensor"),
        (lambda: MaskLab(GOOD, None, ["a"]), ValueError, "query_tokens: got 1 labels, wanted 2"),
        (lambda: MaskLab(GOOD, None, ["a", "b"], ["a", "b"]), ValueError, "key_tokens: got 2 labels, wanted 3"),
        (lambda: MaskLab(GOOD, None, "ab"), TypeError, "query_tokens: got 'ab'"),
        (lambda: MaskLab(GOOD, None, [1, 2]), TypeError, "wanted a list of 2 strings"),
        (lambda: MaskLab(GOOD, fill="max"), ValueError, "fill: got 'max'"),
        (lambda: MaskLab(GOOD, dtype="float64"), ValueError, "dtype: got 'float64'"),
        (lambda: MaskLab(GOOD, head=1), ValueError, "head: got 1, wanted 0 to 0"),
    ],
)
def test_bad_input_is_named(call, error, says):
    with pytest.raises(error, match=says):
        call()


def test_a_mask_of_another_size_is_refused():
    lab = MaskLab(GOOD)
    with pytest.raises(ValueError, match=r"broadcasts to \(2, 3\)"):
        lab.keep = masks.causal(4)
    assert F.softmax(lab.scores, -1).shape == (1, 2, 3)
    assert lab.keep.all()
