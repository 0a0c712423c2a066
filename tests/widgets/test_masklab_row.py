"""MaskLab's row: its stages against torch, how it is played, and what it says meanwhile."""

import pytest
import torch
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.support import node
from tests.support.masklab_page import K_LEN, KEYS, Q_LEN, TOKENS, scores
from tests.support.widget_page import settle
from utils import _colours, masks
from utils.widgets import MaskLab

PENCIL = torch.tensor([1.0, 2.0, 1.0, 4.0]).log()  # exponentials that are easy
WORDS = ["rain", "is", "near", "[PAD]"]
SEES_THREE = torch.tensor([[True, True, True, False], [False] * 4])


def pencil(**settings):
    """Two queries with the same scores: the first sees three keys, the second none."""
    return MaskLab(PENCIL.expand(2, 4), SEES_THREE, ["sees three", "sees none"], WORDS, **settings)


def line(page, name, sums=True):
    """The numbers of one line of the row; with the sum at its end."""
    texts = page.locator(f".masklab-{name} td").all_text_contents()
    return [float(text.replace("−", "-").replace("∞", "inf")) for text in texts[: None if sums else -1]]


def visible(page):
    """The lines whose numbers are there."""
    return page.evaluate(
        """Array.from(document.querySelectorAll(".masklab-pipeline tbody tr"), (line) =>
          [line.firstChild.textContent, getComputedStyle(line.children[1].firstChild).visibility])
          .filter(([, visibility]) => visibility === "visible").map(([name]) => name)"""
    )


def stop_time(page):
    """From here on time passes in `run_for` alone, however busy the machine is."""
    page.clock.pause_at(3600_000)


def on(page):
    page.get_by_role("button", name="One stage on").click()


# --- numbers -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_every_stage_is_torchs(dtype):
    """400 rows for each fill, among them rows that see nothing, scores of -inf and large ones."""
    torch_dtype, count, length = getattr(torch, dtype), 400, 6
    rows = torch.randn(count, length) * torch.tensor([1.0, 5.0, 1000.0, 1e30])[torch.arange(count) % 4, None]
    rows[::7, 2] = -torch.inf
    if dtype == "float16":
        rows = rows.clamp(-6e4, 6e4)
    keep = torch.rand(count, length) < torch.tensor([0.0, 0.5, 1.0])[torch.arange(count) % 3, None]
    for fill in ("-inf", "min", "-1e9", "-1e4"):
        number = torch.finfo(torch_dtype).min if fill == "min" else float(fill)
        bias = torch.zeros(count, length).masked_fill(~keep, number).to(torch_dtype)
        stages = node.evaluate(
            MaskLab,
            """(rows, keep, fill, dtype) => keep.map((visible, n) => {
              const row = module.rowStages(new Float32Array(rows.buffer), n * visible.length, visible, fill, dtype);
              return Object.entries(row).map(([name, x]) => [name, Array.from(x.length ? x : [x], String)]);
            })""",
            rows.numpy().tobytes(),
            keep.int().tolist(),
            fill,
            dtype,
        )
        row = {name: [dict(stage)[name] for stage in stages] for name, _ in stages[0]}
        row = {name: torch.tensor([[float(x) for x in line] for line in lines]) for name, lines in row.items()}
        masked = rows.to(torch_dtype) + bias
        assert torch.equal(row["score"], rows.to(torch_dtype).float())
        assert torch.equal(row["bias"], bias.float())
        assert torch.equal(row["masked"], masked.float())
        weights = masked.softmax(-1).float()
        tolerance = {"float32": 1e-6, "float16": 2**-11, "bfloat16": 2**-8}[dtype]
        assert torch.allclose(row["weight"], weights, rtol=0, atol=tolerance, equal_nan=True)
        largest = masked.float().amax(-1, keepdim=True)
        assert torch.equal(row["max"], largest)
        by_hand = (largest.abs() <= 10) | (largest == -torch.inf)
        assert by_hand.any()
        assert not by_hand.all()
        assert torch.equal(row["subtracted"], largest.where(~by_hand, 0))
        exps = (masked.float() - row["subtracted"]).exp()
        assert torch.allclose(row["exp"], exps, rtol=1e-5)
        assert torch.allclose(row["sum"], exps.sum(-1, keepdim=True), rtol=1e-5)
        quotient = row["exp"] / row["sum"]  # what the row shows adds up: 0 / 0 included
        assert torch.allclose(quotient, weights, rtol=0, atol=tolerance, equal_nan=True)


def test_numbers_fit_into_narrow_columns():
    values = [0, 0.5, -0.25, 0.6931, 1.386, 123.456, 65504, 1e-9, 0.00485, -1e9, -3.4028e38, 0.9999]
    written = node.evaluate(
        "masklab/row.js", "(values) => [...values, NaN, Infinity, -Infinity].map(module.threeDigits)", values
    )
    wanted = ["0", "0.5", "−0.25", "0.693", "1.39", "123", "65500", "1e−9", "0.005", "−1e9", "−3.4e38", "1"]
    assert written == [*wanted, "NaN", "∞", "−∞"]


def test_the_row_is_a_table_with_the_pencils_numbers(open_widget):
    page = open_widget(pencil())
    table = page.get_by_role("table", name="Row 0, query sees three")
    assert table.get_by_role("columnheader").all_text_contents() == [*WORDS, "sum"]
    assert table.get_by_role("rowheader").all_text_contents() == [
        "score", "bias", "score + bias", "exp", "weight", "before"
    ]  # fmt: skip
    raw = [0, 0.693, 0, 1.39]
    assert line(page, "score", sums=False) == raw
    assert line(page, "bias", sums=False) == [0, 0, 0, -torch.inf]
    assert line(page, "masked", sums=False) == [*raw[:3], -torch.inf]
    assert line(page, "exp") == [1, 2, 1, 0, 4]
    assert line(page, "weight") == [0.25, 0.5, 0.25, 0, 1]
    assert line(page, "before") == [0.125, 0.25, 0.125, 0.5, 1]
    assert page.locator(".masklab-pipeline .masks-off").count() == 1 + 6, "the hidden key is quiet in every line"
    page.get_by_role("grid").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Space")  # shows one key to the query that sees none
    settle(page)
    expect(table).to_have_count(0)
    assert line(page, "weight") == [1, 0, 0, 0, 1]


def test_weights_have_the_colours_of_the_map_in_both_lights(open_widget, page):
    colours = _colours.table(_colours.WEIGHTS, 256)
    page.emulate_media(color_scheme="light")
    page = open_widget(pencil())
    for table in (colours, _colours.dark(colours)):
        quarter, half = (f"rgb({', '.join(map(str, table[round(255 * w**0.5)]))})" for w in (0.25, 0.5))
        cells = page.locator(".masklab-weight td")
        page_colour = page.evaluate("getComputedStyle(document.querySelector('.masklab')).backgroundColor")
        for n, colour in enumerate((quarter, half, quarter, page_colour)):  # the last key is hidden
            expect(cells.nth(n)).to_have_css("background-color", colour)
        page.emulate_media(color_scheme="dark")


def test_the_row_follows_torch_on_the_page(open_widget):
    raw, keep = scores(Q_LEN, K_LEN), masks.causal(Q_LEN, K_LEN)
    page = open_widget(MaskLab(raw, keep, TOKENS, KEYS))
    page.get_by_role("grid").focus()
    page.keyboard.press("ArrowDown")
    page.get_by_label("Hidden scores get").select_option("-1e4")
    page.get_by_label("Number type").select_option("bfloat16")
    settle(page)
    bias = torch.zeros(Q_LEN, K_LEN).masked_fill(~keep, -1e4).bfloat16()
    masked = (raw.bfloat16() + bias)[1].float()
    assert line(page, "masked", sums=False) == pytest.approx([float(f"{x:.3g}") for x in masked.tolist()], abs=6e-4)
    weights = (raw.bfloat16() + bias)[1].softmax(-1).float()
    assert line(page, "weight", sums=False) == pytest.approx(weights.tolist(), abs=4e-3)


# --- playing -----------------------------------------------------------------------------------------

SAID = [
    (["score"], "score: how well query sees three fits each key."),
    (["score", "bias", "score + bias"], "bias: −∞ is added to 1 hidden score, 0 to the others."),
    (["score", "bias", "score + bias", "exp"], "exp: 0.693 becomes 2; −∞ becomes 0."),
    (["score", "bias", "score + bias", "exp"], "÷ sum: the sum is 4; each is divided by it."),
    (
        ["score", "bias", "score + bias", "exp", "weight", "before"],
        "weight: “is” gets most, 0.5; without the mask 0.25.",
    ),
    (["score", "bias", "score + bias", "exp", "weight", "before"], "The weights sum to 1."),
]


def test_it_plays_by_itself_and_rests_complete(open_widget, page):
    page.clock.install(time=0)
    page = open_widget(pencil(), width=656)  # where some sentences need two lines
    stop_time(page)
    said, play = page.locator(".masklab-player p"), page.locator(".masklab-player button").first
    height = page.locator(".masklab").bounding_box()["height"]
    expect(said).to_have_text(SAID[-1][1])
    play.click()
    for n, (lines, words) in enumerate(SAID):
        expect(said).to_have_text(words)
        assert visible(page) == lines
        assert page.locator(".masklab").bounding_box()["height"] == height, "nothing jumps"
        expect(play).to_have_text("Pause" if n < len(SAID) - 1 else "Play")
        page.clock.run_for(1100)
        expect(said).to_have_text(words)  # not before its time
        page.clock.run_for(100)
    page.clock.run_for(10_000)
    expect(said).to_have_text(SAID[-1][1])
    play.click()
    page.clock.run_for(1200)
    play.click()  # pauses at the second stage
    page.clock.run_for(10_000)
    expect(said).to_have_text(SAID[1][1])
    play.click()
    expect(said).to_have_text(SAID[2][1])
    page.evaluate("window.row = document.querySelector('.masklab-player p'); forget.forEach((f) => f())")
    page.clock.run_for(10_000)
    assert page.evaluate("row.textContent") == SAID[2][1], "a view that has ended plays no more"


def test_it_goes_step_by_step_and_keeps_its_stage(open_widget, page):
    page.emulate_media(reduced_motion="reduce")
    page.clock.install(time=0)
    page = open_widget(pencil())
    said, play = page.locator(".masklab-player p"), page.get_by_role("button", name="Play")
    for _, words in SAID:  # where things should not move, Play is a step
        play.click()
        expect(said).to_have_text(words)
        page.clock.run_for(10_000)
        expect(said).to_have_text(words)
    for _ in range(4):
        on(page)
    expect(said).to_have_text(SAID[3][1])
    expect(page.locator(".masklab-now")).to_have_text("4")
    page.get_by_role("grid").focus()
    page.keyboard.press("Space")  # hides "rain"
    expect(said).to_have_text("÷ sum: the sum is 3; each is divided by it.")
    page.keyboard.press("ArrowDown")
    expect(said).to_have_text("÷ sum: the sum is 0, and 0 / 0 is NaN.")
    on(page)
    expect(said).to_have_text("weight: the row is NaN. Nothing is left to look at.")
    assert page.locator(".masklab-weight td").all_text_contents() == ["NaN"] * 5
    back = page.get_by_role("button", name="One stage back")
    for words in ("÷ sum: the", "exp: −∞ becomes 0.", "bias: every key is hidden, so −∞ is added to every score."):
        back.click()
        expect(said).to_contain_text(words)
    back.click()
    back.press("Enter")  # there is nothing before the first
    expect(said).to_have_text("score: how well query sees none fits each key.")
    expect(back).to_have_attribute("aria-disabled", "true")
    assert page.evaluate("document.getAnimations().length") == 0


def test_what_is_said_of_other_fills(open_widget):
    page = open_widget(pencil(fill="min"), width=656)
    height = page.locator(".masklab").bounding_box()["height"]
    page.get_by_role("grid").focus()
    page.keyboard.press("ArrowDown")
    for _ in range(3):
        on(page)
    said = page.locator(".masklab-player p")
    expect(said).to_have_text("exp: first −3.4e38, the largest, is subtracted. No weight changes.")
    head = page.get_by_role("rowheader", name="exp(… − max)")
    assert head.evaluate("(node) => node.scrollWidth <= node.clientWidth"), "nothing is cut"
    assert page.locator(".masklab").bounding_box()["height"] == height, "and nothing jumps"
    assert line(page, "exp") == [1, 1, 1, 1, 4]
    on(page)
    on(page)
    expect(said).to_have_text("weight: hidden keys still get 1.")


# --- what it shows -----------------------------------------------------------------------------------


def test_what_is_said_of_a_score_that_is_too_large(open_widget):
    page = open_widget(MaskLab(torch.tensor([[7e4, 1.0, 2.0]]), dtype="float16"))
    said = []
    for _ in range(5):
        page.get_by_role("button", name="One stage on").click()
        said.append(page.locator(".masklab-player p").inner_text())
    assert said[2:4] == ["exp: ∞ − ∞ is NaN.", "÷ sum: the sum is NaN."]
    assert said[4] == "weight: the row is NaN. Nothing is left to look at."


def test_a_long_row_shows_the_keys_with_most_weight(open_widget):
    raw = scores(40, 40)
    page = open_widget(MaskLab(raw, masks.sliding_window(40, 2)), width=656)
    page.get_by_role("grid").focus()
    page.keyboard.press("Control+End")
    settle(page)
    shown = [int(text) for text in page.locator(".masklab-pipeline thead th span").all_text_contents()]
    assert {38, 39} <= set(shown), "what the row still sees is among them"
    assert shown == sorted(shown)
    after = (raw + torch.zeros(40, 40).masked_fill(~masks.sliding_window(40, 2), -torch.inf)).softmax(-1)
    most = torch.maximum(raw.softmax(-1), after)[39].topk(len(shown)).indices
    assert sorted(most.tolist()) == shown
    expect(page.get_by_text(f"Shown are the {len(shown)} keys with most weight, of 40.")).to_be_visible()
    page.set_viewport_size({"width": 390, "height": 900})
    settle(page)
    assert page.locator(".masklab-pipeline thead th span").count() == 4
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_the_row_of_eight_tokens_is_low_and_complete(open_widget):
    tokens = ["[CLS]", "rain", "is", "coming", ".", "[SEP]", "[PAD]", "[PAD]"]
    page = open_widget(MaskLab(scores(8, 8) * 3, masks.causal(8), tokens, fill="min"), width=656)
    assert page.locator(".masklab-pipeline").bounding_box()["height"] <= 160
    assert page.locator(".masklab-pipeline thead th span").all_text_contents() == tokens
    cut = "cells => cells.filter((c) => c.scrollWidth > c.clientWidth).map((c) => c.textContent)"
    assert page.locator(".masklab-pipeline :is(th, td)").evaluate_all(cut) == []


def test_no_number_of_a_long_row_is_cut(open_widget):
    page = open_widget(MaskLab(-scores(40, 40).abs() / 2), width=656)
    cut = "cells => cells.filter((c) => c.scrollWidth > c.clientWidth).map((c) => c.textContent)"
    for width in (656, 720, 980, 1180, 390):
        page.set_viewport_size({"width": width, "height": 900})
        settle(page)
        assert page.locator(".masklab-pipeline td").evaluate_all(cut) == [], width


def test_the_row_is_whole_after_the_window_changed(open_widget):
    page = open_widget(MaskLab(torch.zeros(8, 8), query_tokens=list("abcdefgh")), width=900)
    assert line(page, "weight") == [*[0.125] * 8, 1]
    page.set_viewport_size({"width": 390, "height": 900})
    expect(page.locator(".masklab-weight td")).to_have_count(5)
    assert line(page, "weight") == [*[0.125] * 4, 1]
    page.set_viewport_size({"width": 900, "height": 900})
    expect(page.locator(".masklab-weight td")).to_have_count(9)
    assert line(page, "weight") == [*[0.125] * 8, 1]


def test_forced_colours_mark_the_stage(open_widget, page):
    page.emulate_media(forced_colors="active")
    page = open_widget(pencil())
    page.get_by_role("button", name="One stage on").click()
    page.get_by_role("button", name="One stage on").click()
    outlined = "heads => heads.map((head) => getComputedStyle(head).outlineStyle)"
    marked = page.locator(".masklab-pipeline tbody th").evaluate_all(outlined)
    assert marked == ["none", "solid", "solid", "none", "none", "none"]


def test_it_is_folded_and_unfolded(open_widget, page):
    page.clock.install(time=0)
    page = open_widget(pencil())
    stop_time(page)
    page.get_by_role("button", name="Play").click()
    fold = page.get_by_role("button", name="Row 0, query sees three")
    fold.press("Enter")
    expect(fold).to_have_attribute("aria-expanded", "false")
    expect(page.get_by_role("table")).to_have_count(0)
    expect(page.get_by_role("button", name="Play")).to_have_count(0)
    page.clock.run_for(10_000)
    page.get_by_role("grid").focus()
    page.keyboard.press("ArrowDown")
    page.set_viewport_size({"width": 700, "height": 900})
    page.clock.run_for(100)
    expect(page.get_by_role("table")).to_have_count(0)  # folded it stays
    page.get_by_role("button", name="Row 1, query sees none").click()
    expect(page.locator(".masklab-player p")).to_have_text("score: how well query sees none fits each key.")
    assert line(page, "score", sums=False) == [0, 0.693, 0, 1.39]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_at_any_stage(open_widget, page, scheme):
    page.emulate_media(color_scheme=scheme)
    page = open_widget(pencil(), width=700)
    for _ in range(4):
        on(page)
        settle(page)
        results = Axe().run(page)
        assert results.violations_count == 0, results.generate_report()
