"""MaskLab's guided tour: what steps set, in a page and in Python; tasks; and what is no step."""

import json

import pytest
import torch
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.support import node
from tests.support.masklab_page import K_LEN, KEYS, Q_LEN, TOKENS, drawn, keep_of, scores, shown, where
from tests.support.widget_page import settle
from utils import masks
from utils.widgets import MaskLab, Step
from utils.widgets.step import pack_keep, read_mask

WHOLE, CAUSAL = masks.full(Q_LEN, K_LEN), masks.causal(Q_LEN, K_LEN)
BY_HAND = WHOLE.clone()
BY_HAND[1, 2] = BY_HAND[4, 6] = False
GOAL = masks.lengths([5], K_LEN)[0, 0]  # broadcasts
TOUR = [
    Step("A window, and the lowest number.", preset="sliding_window", parameters={"window": 2}, fill="min"),
    Step("Look around: `keep` stays as you have it."),
    Step("Upside down.", keep=BY_HAND, flipped=True, dtype="float16", head=1, row=3),
    Step("Hide the pads.", preset="none", goal=GOAL, solved="Yes, `real=5`."),
    Step("The same once more.", row=2),
]
#: (keep, fill, dtype, flipped, head) on arrival; each on top of the widget as it was constructed.
SETS = [
    (masks.sliding_window(Q_LEN, 2, K_LEN), "min", "float32", False, 0),
    None,
    (BY_HAND, "-1e9", "float16", True, 1),
    (WHOLE, "-1e9", "float32", False, 0),
    (CAUSAL, "-1e9", "float32", False, 0),
]


def lab(steps=TOUR):
    return MaskLab(scores(), CAUSAL, TOKENS, KEYS, fill="-1e9", steps=steps)


def state_of(page):
    settle(page)
    return (keep_of(page), *page.evaluate("['fill', 'dtype', 'flipped', 'head', 'step'].map((n) => model.get(n))"))


def same(state, wanted):
    return torch.equal(state[0], wanted[0]) and state[1:5] == wanted[1:5]


def go(page, n, view=0):
    """Goes to a step by the buttons of the tour."""
    at = page.evaluate("model.get('step')")
    for _ in range(abs(n - at)):
        page.get_by_role("button", name="Next" if at < n else "Back", exact=True).nth(view).click()
    settle(page)


def words_of(page, view=0):
    """What of the tour can be seen, once what was asked for is painted."""
    settle(page)
    return page.locator(".masklab-tour-pages").nth(view).inner_text().split("\n\n")


# --- in the page -------------------------------------------------------------------------------------


def test_steps_set_what_they_name_in_any_order(open_widget):
    page = open_widget(lab())
    assert same(state_of(page), SETS[0]), "the first step is there from the start"
    expect(page.get_by_label("window")).to_have_value("2")
    for n in (3, 2, 4, 0, 2, 3):
        go(page, n)
        state = state_of(page)
        assert state[5] == n
        assert same(state, SETS[n]), n
        assert torch.equal(drawn(page), state[0] ^ state[3]), n
    go(page, 2)
    page.mouse.click(*where(page, 0, 0))
    before = state_of(page)
    go(page, 1)
    after = state_of(page)
    assert same(after, before), "a step that names nothing leaves everything as it is"
    assert after[5] == 1
    go(page, 2)
    page.get_by_role("button", name="This step again").click()
    assert same(state_of(page), SETS[2])
    expect(page.locator(".masklab-fold")).to_have_text("Row 3, query sat")


def test_the_words_of_a_step_and_where_it_is(open_widget):
    page = open_widget(lab())
    back, again = (page.get_by_role("button", name=name, exact=True) for name in ("Back", "This step again"))
    following = page.get_by_role("button", name="Next")
    assert words_of(page) == ["1 of 5. A window, and the lowest number."]
    expect(back).to_have_attribute("aria-disabled", "true")
    back.press("Enter")
    assert page.evaluate("model.get('step')") == 0
    following.press("Enter")
    assert words_of(page) == ["2 of 5. Look around: keep stays as you have it."]
    expect(page.locator(".masklab-tour code").first).to_have_text("keep")
    expect(again).to_have_attribute("aria-disabled", "true")
    expect(following).to_be_focused()
    expect(page.locator(".masklab-tour [aria-live]")).to_have_text("2 of 5. Look around: keep stays as you have it.")
    go(page, 4)
    expect(following).to_have_attribute("aria-disabled", "true")
    following.press("Enter")
    assert page.evaluate("model.get('step')") == 4


def test_undo_takes_a_step_back(open_widget):
    page = open_widget(lab())
    undo = page.get_by_role("button", name="Undo")
    for n in (2, 3):
        go(page, n)  # by way of 1, which sets nothing
    for n, wanted in ((2, SETS[2]), (1, SETS[0]), (0, SETS[0])):
        undo.click()
        state = state_of(page)
        assert state[5] == n
        assert same(state, wanted), n
        assert words_of(page)[0].startswith(f"{n + 1} of 5")
    expect(undo).to_have_attribute("aria-disabled", "true")
    page.keyboard.press("Control+y")
    page.keyboard.press("Control+y")
    assert same(state_of(page), SETS[2])
    page.get_by_role("button", name="Reset").click()
    assert same(state_of(page), SETS[0])
    assert words_of(page)[0].startswith("1 of 5")


def test_a_task_says_when_it_is_solved_and_only_then(open_widget):
    page = open_widget(lab())
    go(page, 3)
    live = page.locator(".masklab-tour [aria-live]")
    assert words_of(page) == ["4 of 5, task. Hide the pads."]
    height = page.locator(".masklab-tour").bounding_box()["height"]
    page.mouse.move(*where(page, 0, 5))
    page.mouse.down()
    page.mouse.move(*where(page, 4, 5), steps=2)
    page.mouse.move(*where(page, 4, 6), steps=1)
    page.mouse.move(*where(page, 1, 6), steps=2)
    settle(page)
    assert words_of(page) == ["4 of 5, task. Hide the pads."]
    expect(live).to_have_text("4 of 5, task. Hide the pads.")
    page.mouse.move(*where(page, 0, 6))
    settle(page)
    assert words_of(page)[1:] == ["✓ Yes, real=5."], "while one draws"
    expect(live).to_have_text("✓ Yes, real=5.")
    page.mouse.up()
    assert page.locator(".masklab-tour").bounding_box()["height"] == height
    page.keyboard.press("Space")
    settle(page)
    assert words_of(page) == ["4 of 5, task. Hide the pads."]
    page.get_by_label("Mask", exact=True).select_option("right_padding")
    settle(page)
    assert len(words_of(page)) == 2
    page.get_by_role("button", name="Flip polarity").click()
    settle(page)
    assert len(words_of(page)) == 1, "what counts is what is seen"
    go(page, 4)
    assert words_of(page) == ["5 of 5. The same once more."]


def test_views_of_one_model_are_at_one_step(open_widget):
    page = open_widget(lab(), views=2)
    go(page, 2, view=1)
    assert words_of(page) == words_of(page, 1) == ["3 of 5. Upside down."]
    assert shown(page)[0] == shown(page)[1]
    assert page.locator(".masklab-fold").all_text_contents() == ["Row 3, query sat"] * 2
    page.evaluate("forget.forEach((f) => f())")
    page.evaluate("model.set('step', 0)")
    settle(page)
    assert words_of(page) == ["3 of 5. Upside down."], "a view that has ended hears nothing"


def test_words_are_text(open_widget):
    page = open_widget(lab([Step("<b>bold</b> <img src=x onerror=alert(1)> `<i>code</i>` **two** ` one")]))
    assert words_of(page) == ["1 of 1. <b>bold</b> <img src=x onerror=alert(1)> <i>code</i> **two** ` one"]
    assert page.locator(".masklab-tour :is(b, img, i)").count() == 0
    expect(page.locator(".masklab-tour code")).to_have_text("<i>code</i>")


def test_the_tour_is_beside_the_maps_where_there_is_room(open_widget):
    for width, beside in ((1100, True), (900 + 16, True), (900, False), (390, False)):
        page = open_widget(lab(), width=width)
        box, maps = (page.locator(name).bounding_box() for name in (".masklab-tour", ".masklab-maps"))
        if beside:
            assert box["x"] + box["width"] <= maps["x"]
            assert box["y"] == maps["y"]
            left, right = (figure.bounding_box() for figure in page.locator(".masklab figure").all())
            assert left["y"] == right["y"], "the maps are side by side all the same"
            assert page.locator(".masklab").bounding_box()["height"] <= 620
        else:
            assert box["y"] + box["height"] <= maps["y"]
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        go(page, 3)
        assert page.locator(".masklab-tour").bounding_box()["height"] == box["height"], "nothing jumps"
        pages = page.locator(".masklab-tour-pages > div").all()
        assert len({one.bounding_box()["y"] for one in pages}) == 1, "they lie on each other"


PADS = masks.lengths([6], 8)[0, 0]
LONG_TOUR = [
    Step("Hide the two pads: drag over their columns, or choose right padding.", goal=PADS, solved="Solved. " * 5),
    Step(
        "The same mask, read as another library would. The last query sees nothing: NaN. A softmax over nothing has "
        "no answer.",
        flipped=True,
        row=7,
    ),
]
EIGHT = ["[CLS]", "rain", "is", "coming", ".", "[SEP]", "[PAD]", "[PAD]"]
OF_TWELVE_LETTERS = ["abbreviation", "mountainside", "grandmothers", "neighborhood", "photographed", *EIGHT[5:]]


@pytest.mark.parametrize("tokens", [EIGHT, OF_TWELVE_LETTERS], ids=["short", "long"])
def test_with_a_tour_eight_tokens_are_in_view_at_once(open_widget, tokens):
    page = open_widget(MaskLab(scores(1, 8, 8), query_tokens=tokens, steps=LONG_TOUR))
    for width in (640, 676, 760, 899, 900, 1180):
        page.set_viewport_size({"width": width + 16, "height": 900})
        settle(page)
        settle(page)
        root = page.locator(".masklab").bounding_box()
        assert root["width"] == width
        assert root["height"] <= 620, width
        left, right = (canvas.bounding_box() for canvas in page.locator("figure canvas").all())
        assert left["y"] == right["y"], width
        assert left["x"] + left["width"] <= right["x"]
        assert right["height"] > 8 * 26 + 60, "cells with numbers, and names above them"
        assert page.locator(".masklab-pipeline tbody tr:visible").count() == (5 if width < 900 else 6), width
        for part in (".masklab-tour-bar", ".masklab-pipeline table", ".masklab-foot"):
            expect(page.locator(part)).to_be_in_viewport(ratio=1)
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_a_view_of_fewer_steps_shows_the_last(open_widget):
    widget = lab()
    widget.step = 4
    widget.steps = widget.steps[:2]
    page = open_widget(widget)
    assert words_of(page) == ["2 of 2. Look around: keep stays as you have it."]
    page.get_by_role("button", name="Back", exact=True).click()
    settle(page)
    assert words_of(page) == ["1 of 2. A window, and the lowest number."]


def test_without_steps_there_is_no_tour(open_widget):
    page = open_widget(MaskLab(scores(), query_tokens=TOKENS, key_tokens=KEYS))
    assert page.locator(".masklab-tour").count() == 0
    assert page.get_by_role("button", name="Next").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1100])
def test_axe_finds_nothing_in_a_tour(open_widget, page, scheme, width):
    page.emulate_media(color_scheme=scheme)
    page = open_widget(lab(), width=width)
    go(page, 3)
    page.get_by_label("Mask", exact=True).select_option("right_padding")
    settle(page)
    results = Axe().run(page)
    assert results.violations_count == 0, results.generate_report()


# --- in Python ---------------------------------------------------------------------------------------


def test_python_goes_to_a_step():
    widget = lab()
    for n in (0, 2, 1, 4, 3):
        widget.step = n
        wanted = SETS[2] if n == 1 else SETS[n]
        state = (widget.keep, widget.fill, widget.dtype, widget.flipped, widget.head)
        assert same(state, wanted), n
    widget.step = 0
    assert widget.preset == {"name": "sliding_window", "parameters": {"window": 2}}
    for n in (5, -1):
        with pytest.raises(ValueError, match=f"step: got {n}, wanted 0 to 4"):
            widget.step = n
    with pytest.raises(ValueError, match="step: there are no steps"):
        lab(()).step = 1


def test_what_was_drawn_after_a_step_stays_when_both_arrive_together():
    widget = lab()
    cells = bytes(GOAL.expand(Q_LEN, K_LEN).flatten().tolist())
    widget.set_state({"step": 3, "keep_bytes": memoryview(cells), "fill": "-1e4"})  # one message of a busy page
    assert widget.step == 3
    assert torch.equal(widget.keep, GOAL.expand(Q_LEN, K_LEN))
    assert widget.fill == "-1e4"
    widget.step = 2
    assert torch.equal(widget.keep, BY_HAND)


def test_the_picture_is_that_of_the_first_step():
    widget = lab()
    assert widget.picture().alt == MaskLab(scores(), masks.sliding_window(Q_LEN, 2, K_LEN)).picture().alt
    assert widget.fill == "min"
    untouched = lab(TOUR[1:2])
    assert torch.equal(untouched.keep, CAUSAL)
    assert untouched.preset == {}


@pytest.mark.parametrize(("q_len", "k_len"), [(1, 1), (1, 8), (3, 3), (5, 7), (40, 41)])
def test_masks_travel_as_bits(q_len, k_len):
    keep = torch.rand(q_len, k_len) < 0.5
    text = pack_keep(keep, q_len, k_len)
    assert torch.equal(read_mask(text, q_len, k_len), keep)
    cells = node.evaluate(
        "masklab/steps.js", "(text, n) => Array.from(module.unpackKeep(text, n))", text, q_len * k_len
    )
    assert torch.equal(torch.tensor(cells).reshape(q_len, k_len).bool(), keep)
    assert len(text) <= 4 * -(-q_len * k_len // 24)


def test_lengths_of_documents_may_be_a_tensor():
    widget = lab([Step("Two.", preset="documents", parameters={"lengths": torch.tensor([3, 4])})])
    assert json.loads(json.dumps(widget.steps))[0]["sets"]["mask"]["parameters"] == {"lengths": [3, 4]}
    assert widget.preset == {"name": "documents", "parameters": {"lengths": [3, 4]}}


FIRST = Step("Look.")


@pytest.mark.parametrize(
    ("step", "error", "says"),
    [
        ({"words": "a"}, TypeError, r"steps\[1\]: got a dict, wanted a widgets.Step. Write widgets.Step"),
        ("a", TypeError, r"steps\[1\]: got 'a'"),
        (Step(3), TypeError, r"steps\[1\].words: got 3"),
        (Step(" "), ValueError, r"steps\[1\].words: got nothing"),
        (Step("a", preset="window"), ValueError, r"steps\[1\].preset: name: got 'window', wanted one of none"),
        (Step("a", preset="sliding_window"), TypeError, r"steps\[1\].preset: sliding_window: got the parameters none"),
        (Step("a", parameters={"window": 2}), ValueError, r"steps\[1\].parameters: got window but no preset"),
        (Step("a", preset="causal", keep=CAUSAL), ValueError, r"steps\[1\].keep: got a bool tensor .* beside a preset"),
        (Step("a", keep=masks.causal(9)), ValueError, r"steps\[1\].keep: got .*broadcasts to \(5, 7\)"),
        (Step("a", keep=CAUSAL.int()), TypeError, r"steps\[1\].keep: got an int32 tensor"),
        (Step("a", goal=CAUSAL.float()), TypeError, r"steps\[1\].goal: got a float32 tensor"),
        (Step("a", goal=CAUSAL[0, :2]), ValueError, r"steps\[1\].goal: got "),
        (Step("a", solved="b"), ValueError, r"steps\[1\].solved: got words but no goal"),
        (Step("a", goal=CAUSAL, solved=1), TypeError, r"steps\[1\].solved: got 1"),
        (Step("a", fill="max"), ValueError, r"steps\[1\].fill: got 'max', wanted one of '-inf'"),
        (Step("a", dtype=torch.float16), ValueError, r"steps\[1\].dtype: got torch.float16, wanted one of 'float32'"),
        (Step("a", flipped=1), ValueError, r"steps\[1\].flipped: got 1, wanted one of True, False"),
        (Step("a", head=2), ValueError, r"steps\[1\].head: got 2, wanted 0 to 1"),
        (Step("a", row=True), ValueError, r"steps\[1\].row: got True, wanted 0 to 4"),
        (Step("a", row=5), ValueError, r"steps\[1\].row: got 5, wanted 0 to 4"),
    ],
)
def test_what_is_no_step_is_named(step, error, says):
    with pytest.raises(error, match=says):
        lab([FIRST, step])


@pytest.mark.parametrize("steps", [FIRST, "Look.", {"words": "Look."}])
def test_steps_are_a_list(steps):
    with pytest.raises(TypeError, match=r"steps: got .*, wanted a list of widgets.Step"):
        lab(steps)
