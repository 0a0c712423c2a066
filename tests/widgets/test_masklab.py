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

from tests.support import node
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
from tests.widgets.test_arithmetic import keep_in
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
    drawn = "Array.from(document.querySelectorAll('canvas:not(.masks-legend *)'), (canvas) => canvas.toDataURL())"
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


#: In the canvas of the right map: how many pixels it has for one of CSS, and how often a hatch begins along a line.
HATCHES = """(box) => {
  const canvas = document.querySelectorAll(".masklab canvas")[1], ratio = canvas.width / canvas.offsetWidth;
  const [x, y, width] = box.map((length) => Math.round(length * ratio));
  const { data } = canvas.getContext("2d").getImageData(x, y, width, 1);
  const dark = Array.from({ length: width }, (_, n) => data[4 * n] < 190);
  return [ratio, dark.filter((one, n) => one && !dark[n - 1]).length];
}"""


@pytest.mark.parametrize("ratio", [1, 2, 3])
def test_hatching_is_as_coarse_on_a_fine_screen(ratio, open_widget, page):
    page.add_init_script(f"Object.defineProperty(window, 'devicePixelRatio', {{ get: () => {ratio} }})")
    keep = masks.full(Q_LEN, K_LEN).clone()
    keep[:, 3:] = False
    open_widget(MaskLab(scores(), keep, TOKENS, KEYS))
    layout = page.evaluate("[...document.querySelectorAll('.masklab canvas')].map((one) => one.offsetWidth)[1]")
    assert page.evaluate(HATCHES, [layout - 90, 120, 80]) == [ratio, 10]


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


STATE = """() => {
  const names = ["fill", "dtype", "head", "flipped"];
  return [...names.map((name) => model.get(name)), ...bytes("keep_bytes")];
}"""


def test_undo_and_reset_cover_everything_in_all_views(open_widget):
    page = open_widget(MaskLab(scores(), masks.causal(Q_LEN, K_LEN), TOKENS, KEYS, fill="min", head=1), views=2)
    undo, redo = "Control+z", ("Control+Shift+z", "Control+y")
    changes = [
        lambda: page.get_by_label("Hidden scores get").first.select_option("-1e4"),
        lambda: page.get_by_label("Number type").last.select_option("float16"),
        lambda: page.get_by_label("Head").first.select_option("0"),
        lambda: page.get_by_role("button", name="Flip polarity").last.click(),
        lambda: page.get_by_label("Mask", exact=True).first.select_option("sliding_window"),
        lambda: (page.get_by_label("window").last.fill("2"), page.keyboard.press("Enter")),
        lambda: page.mouse.click(*where(page, 4, 5)),
        lambda: page.get_by_role("button", name="Flip polarity").first.click(),
    ]

    def state():
        page.wait_for_timeout(60)  # a mask is named after the frame that shows it
        settle(page)
        controls = [
            [control.input_value() for control in page.get_by_label(name, exact=True).all()]
            for name in ("Mask", "Hidden scores get", "Number type", "Head")
        ]
        assert all(first == last for first, last in controls), controls
        return [*page.evaluate(STATE), *shown(page)]

    states = [state()]
    for change in changes:
        change()
        states.append(state())
        assert states[-1] != states[-2]
    for n in reversed(range(len(changes))):
        grid = page.get_by_role("grid").nth(n % 2)
        grid.focus()
        page.keyboard.press(undo)
        assert state() == states[n]
    expect(page.get_by_role("button", name="Undo").first).to_have_attribute("aria-disabled", "true")
    page.keyboard.press(undo)
    assert state() == states[0]
    for n in range(len(changes)):
        page.get_by_role("grid").nth(n % 2).focus()
        page.keyboard.press(redo[n % 2])
        assert state() == states[n + 1]
    for _ in range(2):  # a second time there is nothing to do
        page.get_by_role("button", name="Reset").last.click()
        assert state() == states[0]
    page.get_by_role("button", name="Undo").first.click()
    assert state() == states[-1]


def test_the_focus_stays_where_undo_takes_a_parameter_away(open_widget):
    page = open_widget(MaskLab(scores(), query_tokens=TOKENS, key_tokens=KEYS))
    preset = page.get_by_label("Mask", exact=True)
    preset.select_option("sliding_window")
    page.get_by_label("window").focus()
    page.keyboard.press("Control+z")
    settle(page)
    assert preset.input_value() == "none"
    assert preset.evaluate("select => select === document.activeElement")
    page.keyboard.press("Control+y")
    settle(page)
    assert preset.input_value() == "sliding_window"


def test_reset_brings_back_parameters_of_a_mask_that_is_not_chosen(open_widget):
    page = open_widget(MaskLab(scores(), query_tokens=TOKENS, key_tokens=KEYS))
    preset, window = page.get_by_label("Mask", exact=True), page.get_by_label("window")
    preset.select_option("sliding_window")
    first = window.input_value()
    assert first != "2"
    window.fill("2")
    preset.select_option("none")
    page.get_by_role("button", name="Reset").click()
    preset.select_option("sliding_window")
    expect(window).to_have_value(first)


def test_undo_ends_a_stroke(open_widget):
    page = open_widget(MaskLab(scores(), query_tokens=TOKENS, key_tokens=KEYS))
    page.mouse.move(*where(page, 1, 1))
    page.mouse.down()
    page.mouse.move(*where(page, 1, 3))
    page.keyboard.press("Control+z")
    page.mouse.move(*where(page, 1, 5))
    page.mouse.up()
    settle(page)
    assert bool(keep_of(page).all())
    page.keyboard.press("Control+y")
    settle(page)
    assert (~keep_of(page)).nonzero().tolist() == [[1, 1], [1, 2], [1, 3]]


def test_a_change_after_undo_is_the_last(open_widget):
    page = open_widget(MaskLab(scores(), query_tokens=TOKENS, key_tokens=KEYS))
    fill = page.get_by_label("Hidden scores get")
    fill.focus()
    fill.select_option("min")
    page.keyboard.press("Control+z")
    expect(fill).to_have_value("-inf")
    fill.select_option("-1e4")
    page.keyboard.press("Control+y")
    settle(page)
    expect(fill).to_have_value("-1e4")
    page.keyboard.press("Control+z")
    expect(fill).to_have_value("-inf")


@pytest.mark.parametrize("api", ["sdpa", "mha", "hf", "flex"])
def test_code_follows_the_flip(api):
    by_hand = (torch.rand(3, 5) > 0.5).int().flatten().tolist()
    rows = node.evaluate(
        MaskLab,
        """(api, drawn) => [...Object.keys(module.PRESETS), "custom"].map((name) => {
          const p = module.defaults(5), flip = { flipped: true, fill: "-inf", dtype: "float32" };
          const keep = name === "custom" ? Uint8Array.from(drawn) : module.presetKeep(name, p, 3, 5);
          return [module.toCode(api, keep, name, p, 3, 5, flip), Array.from(keep)];
        })""",
        api,
        by_hand,
    )
    for code, keep in rows:
        assert torch.equal(keep_in(code, api).reshape(3, 5), ~torch.tensor(keep).reshape(3, 5).bool()), code


def run_code(code, raw, dtype):
    """The weights that copied code gets from torch: query @ key.T / 4 are the scores, and value hands weights out."""
    q_len, k_len = raw.shape
    query, key, value = (torch.zeros(1, 1, n, 16, dtype=dtype) for n in (q_len, k_len, k_len))
    query[..., :k_len] = raw
    key[0, 0, :, :k_len] = 4 * torch.eye(k_len)
    value[0, 0, :, :k_len] = torch.eye(k_len)
    mha = torch.nn.MultiheadAttention(16, 1, batch_first=True, dtype=dtype).requires_grad_(False)
    mha.in_proj_weight.copy_(torch.eye(16).repeat(3, 1))
    names = {"query": query, "key": key, "value": value, "mha": mha}
    if "mha(" in code:
        names |= {name: names[name][0] for name in ("query", "key", "value")}
    exec(compile(code, "copied", "exec"), names)
    return names["weights" if "mha(" in code else "output"].reshape(q_len, -1)[:, :k_len].float()


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
@pytest.mark.parametrize(
    ("api", "dtype"),  # with short numbers, MultiheadAttention alone rounds each step to them, as the map does
    [("sdpa", "float32"), ("flex", "float32"), ("mha", "float32"), ("mha", "float16"), ("mha", "bfloat16")],
)
def test_torch_makes_of_the_code_what_the_map_shows(api, dtype):
    """Flipped or not, and for whatever hidden scores get."""
    raw = scores(4, 5).to(getattr(torch, dtype)).float()
    settings = [
        {"flipped": flipped, "fill": fill, "dtype": dtype}
        for flipped in (False, True)
        for fill in ("-inf", "min", "-1e9", "-1e4")
    ]
    rows = node.evaluate(
        MaskLab,
        """(api, settings, raw) => settings.map((one) => {
          const scores = new Float32Array(raw.buffer), keep = module.presetKeep("causal", {}, 4, 5);
          const weights = new Float32Array(20), fill = module.fillValue(one.fill, one.dtype);
          const read = one.flipped ? keep.map((cell) => 1 - cell) : keep;
          for (let at = 0; at < 20; at += 5) {
            module.attendRow(scores, at, read.subarray(at, at + 5), 5, fill, one.dtype, weights, at);
          }
          const shown = Array.from(weights, (x) => (Number.isNaN(x) ? null : x));
          return [module.toCode(api, keep, "causal", {}, 4, 5, one), shown];
        })""",
        api,
        settings,
        raw.numpy().tobytes(),
    )
    hidden_row = 3  # when it is flipped: the last query sees nothing
    for one, (code, weights) in zip(settings, rows, strict=True):
        weights = torch.tensor([torch.nan if x is None else x for x in weights]).reshape(4, 5)
        ours = run_code(code, raw, getattr(torch, dtype))
        if weights.isnan().any():  # torch's functions give 0 or NaN there, and both mean: nothing is left
            assert weights.isnan().any(1).nonzero().tolist() == [[hidden_row]], one
            assert ours[hidden_row].nan_to_num(0).eq(0).all(), one
            weights, ours = weights[:hidden_row], ours[:hidden_row]
        tolerance = {"float32": 1e-6, "float16": 2e-3, "bfloat16": 1.6e-2}[dtype]
        assert (weights - ours).abs().max() <= tolerance, (one, code)


@pytest.mark.parametrize(
    ("fill", "dtype", "line"),
    [
        ("-inf", "float32", ').masked_fill(~keep, float("-inf"))'),
        ("min", "float16", ", dtype=torch.float16).masked_fill(~keep, torch.finfo(torch.float16).min)"),
        ("-1e9", "float16", ', dtype=torch.float16).masked_fill(~keep, float("-inf"))'),  # beyond float16
        ("-1e9", "bfloat16", ", dtype=torch.bfloat16).masked_fill(~keep, -1e9)"),
        ("-1e4", "float32", ").masked_fill(~keep, -1e4)"),
    ],
)
def test_the_code_for_hugging_face_says_fill_and_number_type(open_widget, fill, dtype, line):
    page = open_widget(MaskLab(GOOD, masks.causal(2, 3), fill=fill, dtype=dtype))
    page.get_by_text("As code").click()
    page.get_by_label("As code").first.select_option("hf")
    expect(page.locator(".masklab-code pre")).to_contain_text(f"attention_mask = torch.zeros(1, 1, 2, 3{line}\n")
    page.get_by_role("button", name="Flip polarity").click()
    settle(page)
    expect(page.locator(".masklab-code pre")).to_contain_text("keep = ~keep  # flipped: True is read as ignore\n")


def test_copy_says_so_where_one_looks(open_widget, context):
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = open_widget(MaskLab(scores(), masks.causal(Q_LEN, K_LEN), TOKENS, KEYS))
    page.clock.install()
    page.get_by_text("As code").click()
    expect(page.locator(".masklab-code pre")).to_contain_text("import torch")  # a page says later that it opened
    copy, code = page.locator(".masklab-code button"), page.locator(".masklab-code pre").text_content()
    assert code.startswith("import torch\n")
    width = copy.bounding_box()["width"]
    copy.click()
    expect(copy).to_have_text("Copied")
    expect(page.locator("[aria-live=polite]")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == code
    page.clock.fast_forward(2100)
    expect(copy).to_have_text("Copy")
    page.evaluate("void (navigator.clipboard.writeText = () => Promise.reject(new Error('not allowed')))")
    copy.click()
    expect(copy).to_have_text("Press Ctrl+C")
    assert page.evaluate("getSelection().toString()").strip() == code.strip()
    assert copy.bounding_box()["width"] == width


def touches(page):
    """Real touches: the browser itself decides whether they scroll."""
    session = page.context.new_cdp_session(page)

    def touch(kind, *points):
        points = [{"x": x, "y": y} for x, y in points]
        session.send("Input.dispatchTouchEvent", {"type": f"touch{kind}", "touchPoints": points})

    def move(x, y, steps):
        for n in range(1, 11):
            touch("Move", (x, y + steps * n / 10))
            page.wait_for_timeout(16)
        touch("End")
        settle(page)

    return touch, move


@pytest.mark.browser_context_args(has_touch=True)
def test_a_swipe_scrolls_a_tap_toggles_and_a_long_press_draws(open_widget):
    page = open_widget(MaskLab(scores(), query_tokens=TOKENS, key_tokens=KEYS), width=390)
    page.set_viewport_size({"width": 390, "height": 620})
    help_line = page.locator(".masklab-foot .masks-help")
    expect(help_line).to_have_text("Tap a cell to hide or show it. Hold, then drag, to draw.")
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    touch, move = touches(page)
    wanted = masks.full(Q_LEN, K_LEN).clone()

    x, y = where(page, 3, 2)
    top = page.evaluate("scrollY")
    touch("Start", (x, y))
    move(x, y, -150)
    page.wait_for_function("top => Math.abs(scrollY - top) > 100", arg=top)
    assert torch.equal(keep_of(page), wanted), "a swipe changes no cell"

    touch("Start", where(page, 3, 2))
    touch("End")
    settle(page)
    wanted[3, 2] = False
    assert torch.equal(keep_of(page), wanted)

    x, y = where(page, 0, 4)
    top = page.evaluate("scrollY")
    touch("Start", (x, y))
    page.locator(".masks-drawing").wait_for()
    move(x, y, where(page, 4, 4)[1] - y)
    wanted[:, 4] = False
    assert torch.equal(keep_of(page), wanted)
    assert page.evaluate("scrollY") == top, "the page stands still meanwhile"
    assert page.locator(".masks-drawing").count() == 0
    assert page.evaluate("getSelection().toString()") == ""

    x, y = where(page, 1, 0)
    touch("Start", (x, y))
    touch("Start", (x, y), (x + 60, y + 60))
    touch("End")
    settle(page)
    assert torch.equal(keep_of(page), wanted), "two fingers enlarge the page"

    first, (x, y) = where(page, 1, 0), where(page, 4, 6)
    touch("Start", first)
    page.locator(".masks-drawing").wait_for()
    touch("Start", first, (x, y))
    touch("Move", first, (x - 30, y))
    touch("Move", first, (x, y - 30))
    settle(page)
    assert page.locator(".masks-drawing").count() == 1
    touch("End")
    settle(page)
    wanted[1, 0] = False
    assert torch.equal(keep_of(page), wanted), "a second finger draws nothing"


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


EIGHT = ["[CLS]", "the", "cat", "sat", "on", "the", "mat", "[SEP]"]
#: Of the widget: its sides and height, and those of its maps.
GEOMETRY = """() => {
  const root = document.querySelector(".masklab");
  const maps = [...root.querySelectorAll("canvas")].map((canvas) => {
    const { left, right, top, height } = canvas.getBoundingClientRect();
    return { left, right, top, height };
  });
  const { left, right, height } = root.getBoundingClientRect();
  return { left, right, height, maps, over: document.documentElement.scrollWidth };
}"""


def resized(page, width):
    """The geometry of the page's widget when it is so wide; the page has a margin of 8 pixels."""
    page.set_viewport_size({"width": width + 16, "height": 900})
    settle(page)
    settle(page)
    geometry = page.evaluate(GEOMETRY)
    assert geometry["right"] - geometry["left"] == width
    return geometry


@pytest.mark.parametrize("count", [8, 20, 64])
def test_before_and_after_stand_side_by_side_from_640_px_on(open_widget, count):
    tokens = EIGHT if count == 8 else [f"a token {n}" for n in range(count)]
    page = open_widget(MaskLab(scores(count, count), masks.causal(count), tokens))
    for width in (390, 600, 639, 640, 800, 1180):
        geometry = resized(page, width)
        before, after = geometry["maps"]
        assert before["height"] == after["height"], width
        if width < 640:
            assert after["left"] == before["left"], width
            assert after["top"] > before["top"] + before["height"], width
        else:
            assert after["top"] == before["top"], width
            assert after["left"] >= before["right"] + 24, width
        assert max(before["right"], after["right"]) <= geometry["right"] - 8, width
        assert geometry["over"] <= width + 16, "nothing runs off the page"
        repeated = before["right"] - before["left"] == after["right"] - after["left"]
        assert repeated == (count == 8 or width < 640), "where cells are small, rows are named once"


def test_eight_tokens_are_in_view_at_once(open_widget):
    page = open_widget(MaskLab(scores(2, 8, 8), masks.causal(8), EIGHT))
    page.get_by_label("Mask", exact=True).select_option("sliding_window")  # its window is one more control
    for width in (640, 700, 900, 1180):
        assert resized(page, width)["height"] <= 620, width
        assert page.evaluate("document.querySelector('.masklab-grid canvas').offsetHeight") > 8 * 26, "with numbers"


def test_no_change_of_size_calls_for_another(open_widget, page):
    page.add_init_script("globalThis.errors = []; addEventListener('error', (event) => errors.push(event.message))")
    page = open_widget(MaskLab(scores(20, 20)))
    for width in (390, 640, 800, 1180):
        resized(page, width)
    assert page.evaluate("errors") == []


def test_the_page_says_how_high_the_cells_may_be(open_widget):
    page = open_widget(MaskLab(scores(8, 8), masks.causal(8), EIGHT))
    page.add_style_tag(content=".masklab { --masks-tallest: 320 }")
    low, high = (resized(page, width)["maps"][0]["height"] for width in (640, 900))
    page.add_style_tag(content=".masklab { --masks-tallest: 352 }")
    resized(page, 899)
    higher = resized(page, 900)["maps"][0]["height"]
    assert higher - high == pytest.approx(32, abs=1)
    assert low < high, "where the width is what limits the cells"


@pytest.mark.parametrize("width", [390, 640, 1180])
def test_nothing_moves_when_a_warning_comes_and_goes(open_widget, width):
    page = open_widget(MaskLab(scores(8, 8), masks.causal(8), EIGHT))
    before = resized(page, width)
    page.get_by_role("button", name="Flip polarity").click()
    settle(page)
    expect(page.get_by_text("True is read as ignore")).to_be_visible()
    assert page.evaluate(GEOMETRY)["maps"] == before["maps"]


def test_few_cells_leave_room_for_the_names_of_the_axes(open_widget):
    page = open_widget(MaskLab(scores(1, 1)))
    width, height = page.evaluate(
        """() => {
          const context = document.createElement("canvas").getContext("2d");
          context.font = "12px system-ui, sans-serif";
          return [module.WORDS.key, module.WORDS.query].map((text) => context.measureText(text).width);
        }"""
    )
    for canvas in page.locator("canvas:not(.masks-legend *)").all():
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
