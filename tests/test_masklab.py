"""MaskLab: its arithmetic against torch, its page in a real Chromium, its two-way traffic with Python."""

import base64
import io
import json
import re

import pytest
import torch
import torch.nn.functional as F
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import expect

from tests import widget_page
from utils import masks
from utils.attention import attend
from utils.widgets import MaskLab

TOKENS = ["[CLS]", "the", "cat", "sat", "[SEP]"]
KEYS = [*TOKENS, "[PAD]", "[PAD]"]
Q_LEN, K_LEN = len(TOKENS), len(KEYS)


def scores(*shape):
    return torch.randn(*(shape or (2, Q_LEN, K_LEN)))


@pytest.fixture
def open_lab(page, tmp_path):
    """Opens a MaskLab from disk, all requests forbidden, and fails if anything is logged or asked for."""
    problems = []
    page.on("console", lambda message: problems.append(message.text))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.route(re.compile(r"^(?!file:|blob:|data:)"), lambda route: (problems.append(route.request.url), route.abort()))

    def open_(lab, views=1, width=1000):
        page.set_viewport_size({"width": width, "height": 900})
        page.goto(widget_page.write(tmp_path / "page.html", lab, views))
        page.wait_for_function("window.ready")
        settle(page)
        return page

    yield open_
    assert problems == []


def settle(page):
    page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


def keep_of(page):
    return torch.tensor(page.evaluate("bytes('keep_bytes')")).reshape(Q_LEN, K_LEN).bool()


def where(page, q, k, view=0):
    """The middle of a cell, in pixels of the page, from the grid's own labels and size."""
    page.locator(".masklab-grid").nth(view).scroll_into_view_if_needed()
    box = page.locator(".masklab-grid canvas").nth(view).bounding_box()
    # The cells end 2 pixels before the right and lower edge and are squares.
    size = page.evaluate(
        """([q_len, k_len, view]) => {
          const canvas = document.querySelectorAll(".masklab-grid canvas")[view], box = canvas.getBoundingClientRect();
          for (let size = 48; size > 0; size -= 0.01) {
            if (box.width - 2 - size * k_len > 20 && box.height - 2 - size * q_len > 20) return size;
          }
        }""",
        [Q_LEN, K_LEN, view],
    )
    left, top = box["x"] + box["width"] - 2 - size * K_LEN, box["y"] + box["height"] - 2 - size * Q_LEN
    return left + (k + 0.5) * size, top + (q + 0.5) * size


# --- arithmetic --------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_the_browser_computes_what_torch_computes(open_lab, dtype):
    """10,000 random rows: every fill, full rows, scores of -inf, large scores; the same numbers and the same NaN."""
    page = open_lab(MaskLab(scores(), query_tokens=TOKENS, key_tokens=KEYS))
    torch_dtype = getattr(torch, dtype)
    generator = torch.Generator().manual_seed(0)
    rows, wanted, length = [], [], 7
    for n in range(10_000):
        row = torch.randn(length, generator=generator) * [1.0, 10.0, 1000.0, 1e30][n % 4]
        row = row.clamp(-6e4, 6e4) if dtype == "float16" else row
        if n % 5 == 0:
            row[torch.randint(length, (1,), generator=generator)] = -torch.inf
        keep = torch.rand(length, generator=generator) < [0.0, 0.5, 0.9, 1.0][n // 4 % 4]
        fill = ["-inf", "min", "-1e9", "-1e4"][n // 16 % 4]
        number = {"-inf": -torch.inf, "min": torch.finfo(torch_dtype).min}.get(fill)
        number = torch.tensor(float(fill)).to(torch_dtype) if number is None else number
        bias = torch.zeros(length, dtype=torch_dtype).masked_fill(~keep, number)
        rows.append([[None if x == -torch.inf else x for x in row.tolist()], keep.int().tolist(), fill])
        wanted.append((row.to(torch_dtype) + bias).softmax(-1).float())
    found = page.evaluate(
        """([rows, dtype]) => rows.map(([row, keep, fill]) => {
          const scores = Float32Array.from(row, (x) => (x === null ? -Infinity : x));
          const weights = new Float32Array(row.length);
          module.attendRow(scores, 0, keep, row.length, module.fillValue(fill, dtype), dtype, weights, 0);
          return Array.from(weights, (x) => (Number.isNaN(x) ? null : x));
        })""",
        [rows, dtype],
    )
    found = torch.tensor([[torch.nan if x is None else x for x in row] for row in found])
    wanted = torch.stack(wanted)
    assert torch.equal(found.isnan(), wanted.isnan())
    assert 100 < wanted.isnan().any(1).sum() < 5000
    # One step of the number type at 1: float32 is held to 1e-6.
    tolerance = {"float32": 1e-6, "float16": 2**-11, "bfloat16": 2**-8}[dtype]
    assert (found - wanted).nan_to_num(0).abs().max() <= tolerance


def test_number_types_round_as_torch_does(open_lab):
    page = open_lab(MaskLab(scores(), query_tokens=TOKENS, key_tokens=KEYS))
    edges = [65504.0, 65519.9, 65520, 0, -0.0, 2**-24, 2**-25, 6e-8, 1 + 2**-11, 1 + 3 * 2**-11, -1e9, 3e38]
    values = torch.cat([torch.randn(3000) * 10.0 ** torch.randint(-9, 6, (3000,)), torch.tensor(edges)])
    for name, dtype in (("toFloat16", torch.float16), ("toBfloat16", torch.bfloat16)):
        found = page.evaluate(f"values => values.map((x) => String(module.{name}(Math.fround(x))))", values.tolist())
        found = torch.tensor([float(x.replace("Infinity", "inf")) for x in found])
        assert torch.equal(found, values.to(dtype).float()), name


@pytest.mark.parametrize(("q_len", "k_len"), [(1, 1), (5, 5), (3, 7), (7, 3), (6, 6)])
def test_presets_are_the_masks_of_masks_py(open_lab, q_len, k_len):
    page = open_lab(MaskLab(scores(), query_tokens=TOKENS, key_tokens=KEYS))
    whole, half = masks.full(q_len, k_len), max(1, k_len // 2)
    wanted = {
        "none": ({}, whole),
        "causal": ({}, masks.causal(q_len, k_len)),
        "causal_upper_left": ({}, masks.causal(q_len, k_len, "upper_left")),
        "right_padding": ({"real": half}, masks.lengths([half], k_len)[0, 0] & whole),
        "left_padding": ({"real": half}, masks.lengths([half], k_len, "left")[0, 0] & whole),
        "sliding_window": ({"window": 2}, masks.sliding_window(q_len, 2, k_len)),
        "causal_padding": ({"real": half}, masks.lengths([half], k_len)[0, 0] & masks.causal(q_len, k_len)),
    }
    if q_len == k_len:
        ids = [0] * half + [1] * (k_len - half)
        wanted["prefix"] = ({"prefix": half}, masks.prefix(q_len, half))
        wanted["documents"] = ({"lengths": [half, k_len - half]}, masks.documents(ids))
    for name, (parameters, keep) in wanted.items():
        arguments = [name, parameters, q_len, k_len]
        found = page.evaluate("([n, p, q, k]) => Array.from(module.presetKeep(n, p, q, k))", arguments)
        assert torch.equal(torch.tensor(found).reshape(q_len, k_len).bool(), keep), name


@pytest.mark.parametrize("api", ["sdpa", "mha", "hf", "flex"])
@pytest.mark.parametrize(("q_len", "k_len"), [(4, 4), (3, 5)])
def test_code_means_the_mask_that_is_drawn(open_lab, api, q_len, k_len):
    """The copied text is run, and its mask read back, for every preset and a mask drawn by hand."""
    from utils import conventions

    page = open_lab(MaskLab(scores(), query_tokens=TOKENS, key_tokens=KEYS))
    seen = []

    class Anything:
        def __getattr__(self, name):
            return self

        def __call__(self, *args, **kwargs):
            seen.append(kwargs)
            return torch.zeros(2), torch.zeros(2)

    by_hand = (torch.rand(q_len, k_len) > 0.5).int().flatten().tolist()
    names = page.evaluate("Object.keys(module.PRESETS)")
    for name in [*names, "custom"]:
        code, keep = page.evaluate(
            """([name, api, q, k, drawn]) => {
              const p = module.defaults(q, k);
              const keep = name === "custom" ? Uint8Array.from(drawn) : module.presetKeep(name, p, q, k);
              return [module.toCode(api, keep, name, p, q, k), Array.from(keep)];
            }""",
            [name, api, q_len, k_len, by_hand],
        )
        wanted = torch.tensor(keep).reshape(q_len, k_len).bool()
        seen.clear()
        stub = Anything()
        names_ = dict.fromkeys(("query", "key", "value", "mha", "model", "input_ids"), stub)
        code = code.replace("import torch.nn.functional as F", "F = stub")
        code = code.replace(", flex_attention\n", "\nflex_attention = stub\n")
        exec(compile(code, name, "exec"), {**names_, "stub": stub})
        (given,) = seen
        read = {
            "sdpa": lambda g: conventions.from_sdpa(g["attn_mask"]),
            "mha": lambda g: conventions.from_mha(g["attn_mask"]),
            "hf": lambda g: conventions.from_hf(g["attention_mask"], "eager"),
            "flex": lambda g: conventions.from_flex(g["block_mask"]),
        }[api](given)
        assert torch.equal(read.reshape(q_len, k_len), wanted), (name, code)


# --- the page ----------------------------------------------------------------------------------------


def test_click_drag_and_keys_change_the_mask(open_lab):
    page = open_lab(MaskLab(scores(), query_tokens=TOKENS, key_tokens=KEYS))
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
    assert page.evaluate("saves") == 4, "one message to Python for each click, stroke or key"

    page.keyboard.press("Control+z")
    wanted[4, 6] = True
    page.get_by_role("button", name="Undo").click()
    wanted[2, 0] = True
    assert torch.equal(keep_of(page), wanted)
    page.get_by_role("button", name="Reset").click()
    assert keep_of(page).all()
    page.get_by_role("button", name="Undo").click()
    assert torch.equal(keep_of(page), wanted)


def test_presets_and_their_parameters(open_lab):
    page = open_lab(MaskLab(scores(), query_tokens=TOKENS, key_tokens=KEYS))
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


def test_a_row_is_shown_step_by_step_with_torchs_numbers(open_lab):
    given = scores(Q_LEN, K_LEN)
    keep = masks.lengths([5], K_LEN)[0, 0].expand(Q_LEN, K_LEN)
    page = open_lab(MaskLab(given, keep, TOKENS, KEYS))
    page.mouse.click(*where(page, 2, 0))  # selects row 2, and hides key 0 from it
    settle(page)
    keep = keep.clone()
    keep[2, 0] = False
    weights = (given + torch.zeros(Q_LEN, K_LEN).masked_fill(~keep, -torch.inf)).softmax(-1)
    rows = page.locator(".masklab-pipeline tbody tr").all_inner_texts()
    for k, line in enumerate(rows):
        numbers = [x.replace("−", "-") for x in line.split()[2:]]
        assert float(numbers[0]) == pytest.approx(given[2, k].item(), abs=6e-4)
        assert (
            numbers[1] == "-∞" if not keep[2, k] else float(numbers[1]) == pytest.approx(given[2, k].item(), abs=6e-4)
        )
        assert float(numbers[3]) == pytest.approx(weights[2, k].item(), abs=6e-4)
        assert float(numbers[4]) == pytest.approx(given.softmax(-1)[2, k].item(), abs=6e-4)
    expect(page.get_by_text("The weights sum to 1.")).to_be_visible()
    expect(page.locator(".masklab-pipeline caption")).to_have_text("Row 2, query cat, step by step")


def colours(page, q, k):
    """The colours beside the number of one cell of the right map, as the reader sees them: two for a hatch."""
    x, y = where(page, q, k)
    shot = Image.open(io.BytesIO(page.screenshot(clip={"x": x - 8, "y": y - 15, "width": 16, "height": 7})))
    return {colour for _, colour in shot.convert("RGB").getcolors()}


def test_hidden_zero_and_nan_have_three_looks(open_lab):
    given = torch.zeros(Q_LEN, K_LEN)
    given[1, 1] = -200.0  # visible, with a weight of 0
    keep = masks.full(Q_LEN, K_LEN).clone()
    keep[0] = False
    keep[1, 2] = False
    page = open_lab(MaskLab(given, keep, TOKENS, KEYS))
    page.mouse.click(*where(page, 4, 6))  # away from what is looked at
    settle(page)
    darkest, red, grey = (0, 34, 78), (178, 24, 43), (217, 217, 217)
    assert colours(page, 1, 1) == {darkest}
    assert grey in colours(page, 1, 2)
    assert len(colours(page, 1, 2)) > 1, "hatched"
    assert red in colours(page, 0, 3)
    page.get_by_label("Hidden scores get").select_option("min")
    settle(page)
    leaking = colours(page, 0, 3)
    assert red not in leaking
    assert grey not in leaking
    assert len(leaking) > 1, "a hidden key that has weight all the same keeps its colour under the hatch"
    expect(page.locator(".masklab-status")).to_have_text(re.compile(r"^9 of 35 cells hidden, 1 query sees nothing\.$"))


def test_flipped_polarity_is_the_classic_bug(open_lab):
    lab = MaskLab(scores(), masks.causal(Q_LEN, K_LEN), TOKENS, KEYS)
    page = open_lab(lab)
    page.get_by_role("button", name="Flip polarity").click()
    settle(page)
    expect(page.get_by_role("button", name="Flip polarity")).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_text("True is read as ignore")).to_be_visible()
    expect(page.locator(".masklab-status")).to_contain_text("1 query sees nothing, 1 row is NaN")
    assert torch.equal(keep_of(page), masks.causal(Q_LEN, K_LEN)), "the mask is the same; only its reading changed"


def test_views_of_one_model_stay_in_step(open_lab):
    page = open_lab(MaskLab(scores(), query_tokens=TOKENS, key_tokens=KEYS), views=2)
    page.mouse.click(*where(page, 1, 1, view=1))
    settle(page)
    for status in page.locator(".masklab-status").all():
        expect(status).to_have_text("1 of 35 cells hidden.")
    page.get_by_label("Hidden scores get").first.select_option("-1e4")
    settle(page)
    expect(page.get_by_label("Hidden scores get").last).to_have_value("-1e4")
    page.evaluate("forget.forEach((f) => f())")  # closing a view leaves no listener behind
    page.evaluate("model.set('flipped', true)")
    settle(page)
    expect(page.locator(".masklab-warning").first).to_be_hidden()


HOSTILE = ["<img src=x onerror=alert(1)>", "\"'`", "</script><script>alert(1)</script>", "👩‍👩‍👧", "שלום"]
HOSTILE += ["e\u0301\u0302\u0303", "a\nb", "x" * 10_000, ""]


def test_hostile_tokens_are_text(open_lab):
    size = len(HOSTILE)
    page = open_lab(MaskLab(scores(size, size), masks.causal(size), HOSTILE))
    page.on("dialog", lambda dialog: pytest.fail("a token ran as code"))
    assert page.locator("main img, main script").count() == 0
    texts = page.locator(".masklab-pipeline tbody th").all_inner_texts()
    assert texts[0] == "0 <img src=x …"
    assert texts[3] == "3 👩‍👩‍👧"
    assert texts[6] == "6 a b"
    assert len(texts[7]) < 20
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 800, 1400])
def test_axe_finds_nothing(open_lab, page, scheme, width):
    page.emulate_media(color_scheme=scheme)
    keep = masks.causal(Q_LEN, K_LEN).clone()
    keep[0] = False
    open_lab(MaskLab(scores(), keep, TOKENS, KEYS), width=width)
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
def test_the_pages_own_switch_wins_over_the_systems(open_lab, page, scheme, where_, attribute, dark):
    page.emulate_media(color_scheme=scheme)
    open_lab(MaskLab(scores(), query_tokens=TOKENS, key_tokens=KEYS))
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


def test_everything_is_reached_by_keyboard_and_read_out(open_lab):
    page = open_lab(MaskLab(scores(), query_tokens=TOKENS, key_tokens=KEYS))
    reached = []
    for _ in range(12):
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


def test_other_words_need_no_other_widget(open_lab):
    words = {"reset": "Zurück", "presets": {"causal": "kausal"}}
    page = open_lab(MaskLab(scores(), query_tokens=TOKENS, key_tokens=KEYS, words=words))
    expect(page.get_by_role("button", name="Zurück")).to_be_visible()
    expect(page.get_by_label("Mask", exact=True).locator("option", has_text="kausal")).to_have_count(1)
    expect(page.get_by_label("Mask", exact=True).locator("option", has_text="prefix")).to_have_count(1)


def test_a_long_row_shows_the_keys_that_matter(open_lab):
    page = open_lab(MaskLab(scores(40, 40), masks.sliding_window(40, 2)))
    page.get_by_role("grid").focus()
    page.keyboard.press("Control+End")
    settle(page)
    shown = [int(line.split()[0]) for line in page.locator(".masklab-pipeline tbody tr").all_inner_texts()]
    assert len(shown) == 16
    assert {38, 39} <= set(shown), "what the row still sees is among them"
    assert shown == sorted(shown)


@pytest.mark.parametrize("width", [700, 800, 1000, 1400])
def test_before_and_after_stand_side_by_side_where_there_is_room(open_lab, width):
    page = open_lab(MaskLab(scores(8, 8), masks.causal(8), ["a token"] * 8), width=width)
    left, right = (figure.bounding_box() for figure in page.locator(".masklab figure").all())
    assert left["y"] == right["y"]
    assert right["x"] >= left["x"] + left["width"]


def test_1024_tokens(open_lab):
    page = open_lab(MaskLab(scores(1024, 1024), masks.causal(1024)))
    expect(page.locator(".masklab-status")).to_have_text(f"{1024 * 1023 // 2} of {1024 * 1024} cells hidden.")
    page.get_by_role("grid").focus()
    page.keyboard.press("End")
    page.keyboard.press("Space")
    settle(page)
    expect(page.locator(".masklab-status")).to_contain_text(f"{1024 * 1023 // 2 - 1} of")


# --- Python ------------------------------------------------------------------------------------------


def test_keep_is_a_tensor_both_ways():
    lab = MaskLab(scores(), query_tokens=TOKENS, key_tokens=KEYS)
    assert lab.keep.all()
    assert lab.keep.shape == (Q_LEN, K_LEN)
    seen = []
    lab.observe(lambda change: seen.append(lab.keep), "keep_bytes")
    lab.keep = masks.causal(Q_LEN, K_LEN)
    assert torch.equal(seen[0], masks.causal(Q_LEN, K_LEN))
    lab.keep = masks.lengths([3], K_LEN)[0, 0]  # broadcasts
    assert torch.equal(lab.keep, masks.lengths([3], K_LEN)[0, 0].expand(Q_LEN, K_LEN))
    lab.set_state({"keep_bytes": memoryview(b"\x01" * 34 + b"\x00")})  # as it arrives from the browser
    assert (~lab.keep).nonzero().tolist() == [[4, 6]]
    lab.keep[0, 0] = False  # a copy: the widget changes when it is told to
    assert lab.keep[0, 0]


def test_fallback_is_a_picture_with_words():
    """What GitHub, print and PDF show: the same weights, as a PNG with alt text."""
    given, keep = scores(Q_LEN, K_LEN), masks.causal(Q_LEN, K_LEN)
    lab = MaskLab(given, keep, TOKENS, KEYS)
    data, metadata = lab._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in data
    assert base64.b64decode(data["image/png"]).startswith(b"\x89PNG")
    assert metadata["image/png"]["alt"] == data["text/plain"] == lab.picture().alt
    assert lab.picture().alt.endswith("before and after a mask that hides 10 of 35 cells.")
    drawn = lab.picture().figure.axes[1].collections[0].get_array()
    wanted = attend(torch.eye(Q_LEN), torch.eye(Q_LEN, K_LEN).T, torch.eye(K_LEN)).scores * 0 + given
    wanted = (wanted + torch.zeros(Q_LEN, K_LEN).masked_fill(~keep, -torch.inf)).softmax(-1)
    assert torch.allclose(torch.as_tensor(drawn.filled(0)).float().flatten(), wanted.flatten(), atol=1e-6)
    assert MaskLab(given, keep, TOKENS, KEYS, alt="Mine.").picture().alt == "Mine."


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
