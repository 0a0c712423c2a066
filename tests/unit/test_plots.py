"""plots.py: what is drawn where, and that the alt text arrives."""

import base64
import io
import itertools
from functools import partial

import numpy as np
import pytest
import torch
from bs4 import BeautifulSoup
from IPython.core.formatters import DisplayFormatter
from matplotlib.colors import to_hex, to_rgb
from matplotlib.text import Text
from PIL import Image

from utils import _colours, masks, plots
from utils.attention import attend

Q_TOKENS, K_TOKENS = ["a", "b", "c"], ["t", "u", "v", "w", "x"]
WEIGHTS = torch.randn(3, 5, generator=torch.Generator().manual_seed(0)).softmax(-1)
ALT = "Query a looks at key t."


def hatched(axes):
    return {(int(p.get_y()), int(p.get_x())) for p in axes.patches if p.get_hatch()}


def drawn(axes):
    """(query, key) → value of the colour mesh; masked cells are left out."""
    values = axes.collections[0].get_array().reshape(len(axes.get_yticks()), -1)
    return {(q, k): float(values[q, k]) for q, k in np.ndindex(values.shape) if not np.ma.getmaskarray(values)[q, k]}


def test_rows_are_queries_from_the_top_and_values_are_the_ones_given():
    axes = plots.heatmap(WEIGHTS, Q_TOKENS, K_TOKENS, alt=ALT).figure.axes[0]
    assert [t.get_text() for t in axes.get_yticklabels()] == Q_TOKENS
    assert [t.get_text() for t in axes.get_xticklabels()] == K_TOKENS
    assert axes.yaxis_inverted()
    assert drawn(axes) == {(q, k): pytest.approx(WEIGHTS[q, k].item()) for q in range(3) for k in range(5)}
    assert axes.get_xlabel() == "keys (who is looked at)"
    assert axes.get_ylabel() == "queries (who looks)"
    assert axes.collections[0].get_clim() == (0, 1)
    assert {t.get_text() for t in axes.texts} == {f"{w:.2f}".removeprefix("0") for w in WEIGHTS.flatten().tolist()}


def test_hidden_zero_and_nan_are_three_different_looks():
    weights = WEIGHTS.clone()
    weights[0, 0] = 0
    weights[1, 1] = torch.nan
    keep = torch.ones(3, 5, dtype=torch.bool)
    keep[:, 4] = False
    weights[:2, 4] = 0  # and one leak, at (2, 4)
    axes = plots.heatmap(weights, Q_TOKENS, K_TOKENS, keep=keep, alt=ALT).figure.axes[0]
    assert hatched(axes) == {(0, 4), (1, 4), (2, 4)}
    cells = drawn(axes)
    assert cells[0, 0] == 0
    assert (1, 1) not in cells
    assert (0, 4) not in cells
    assert cells[2, 4] == pytest.approx(WEIGHTS[2, 4].item()), "a hidden key with weight must stay visible"
    texts = {(int(t.get_position()[1]), int(t.get_position()[0])): t.get_text() for t in axes.texts}
    assert texts[0, 0] == "0"
    assert texts[1, 1] == "NaN"
    (red,) = (p for p in axes.patches if not p.get_hatch())
    assert to_hex(red.get_facecolor()) == _colours.NAN
    assert {to_hex(p.get_facecolor()) for p in axes.patches if p.get_hatch() and p.get_y() < 2} == {_colours.HIDDEN}


def test_before_after_draws_softmax_and_masked_softmax_on_one_scale():
    scores = torch.randn(3, 5)
    keep = masks.lengths([3], 5)[0, 0]
    left, right, bar = plots.before_after(scores, keep, Q_TOKENS, K_TOKENS, alt=ALT).figure.axes
    before, after = drawn(left), drawn(right)
    for q in range(3):
        parts = scores[q].exp()
        for k in range(5):
            assert before[q, k] == pytest.approx((parts[k] / parts.sum()).item(), abs=1e-6)
        for k in range(3):
            assert after[q, k] == pytest.approx((parts[k] / parts[:3].sum()).item(), abs=1e-6)
    assert hatched(left) == set()
    assert hatched(right) == {(q, k) for q in range(3) for k in (3, 4)}
    assert left.collections[0].get_clim() == right.collections[0].get_clim() == (0, 1)
    assert bar.get_xlabel() == "attention weight, square-root scale"
    assert [tick.get_text() for tick in bar.get_xticklabels()] == ["0", "0.05", "0.25", "0.5", "1"]
    for axes in (left, right):
        assert (axes.get_xlabel(), axes.get_ylabel()) == ("keys (who is looked at)", "queries (who looks)")


def test_before_after_shows_an_empty_row_as_nan():
    keep = torch.tensor([[True] * 5, [False] * 5, [True] * 5])
    right = plots.before_after(torch.zeros(3, 5), keep, Q_TOKENS, K_TOKENS, alt=ALT).figure.axes[1]
    assert [t.get_text() for t in right.texts].count("NaN") == 5
    assert attend(torch.zeros(3, 1), torch.zeros(5, 1), torch.zeros(5, 1), keep).weights[1].isnan().all()


def test_differences_are_centred_at_zero():
    axes = plots.heatmap(WEIGHTS - 0.3, Q_TOKENS, K_TOKENS, alt=ALT, limits=None, diverging=True).figure.axes[0]
    low, high = axes.collections[0].get_clim()
    assert low == -high
    assert high == pytest.approx((WEIGHTS - 0.3).abs().max().item())


def test_alt_text_reaches_the_notebook_as_html_and_as_metadata():
    alt = 'Key "t" <b>gets</b> & keeps all.'
    data, metadata = DisplayFormatter().format(plots.heatmap(WEIGHTS, Q_TOKENS, K_TOKENS, alt=alt))
    assert metadata["image/png"]["alt"] == alt
    assert 'alt="Key &quot;t&quot; &lt;b&gt;gets&lt;/b&gt; &amp; keeps all."' in data["text/html"]
    assert data["text/plain"] == alt
    png = data["image/png"]
    png = base64.b64decode(png) if isinstance(png, str) else png
    image = Image.open(io.BytesIO(png))
    assert image.format == "PNG"
    assert metadata["image/png"]["width"] == pytest.approx(image.width * plots.SCREEN_DPI / plots.DPI, abs=1)
    assert data["text/html"].startswith('<img class="masks-figure" src=')
    assert "<b>" not in data["text/html"]


def test_the_palette_changes_no_colour_to_speak_of():
    """A palette that drops rare colours would repaint the bright end of the scale."""
    keep = masks.lengths([10], 12)[0, 0]
    picture = plots.before_after(torch.randn(12, 12) * 2, keep, list("abcdefghijkl"), list("abcdefghijkl"), alt=ALT)
    whole = io.BytesIO()
    picture.figure.savefig(whole, dpi=plots.DPI, facecolor="white", bbox_inches="tight", pad_inches=0.1)
    before, after = (np.asarray(Image.open(f).convert("RGB")).astype(int) for f in (whole, io.BytesIO(picture.png())))
    assert np.abs(before - after).max() <= 12


def test_panels_are_pictures_of_their_own_where_html_is_shown():
    """Together they are the whole picture, of which GitHub shows one with its alt text; below no panel is nothing."""
    picture = plots.before_after(torch.randn(3, 5), masks.lengths([3], 5)[0, 0], Q_TOKENS, K_TOKENS, alt=ALT)
    data, _ = picture._repr_mimebundle_()
    page = BeautifulSoup(data["text/html"], "html.parser")
    left, right = page.find_all("img", class_="masks-figure")
    assert (left["alt"], right["alt"]) == (ALT, "after the mask")
    parts = [Image.open(io.BytesIO(base64.b64decode(part["src"].partition(",")[2]))) for part in (left, right)]
    whole = np.asarray(Image.open(io.BytesIO(base64.b64decode(data["image/png"]))).convert("RGB"))
    high = np.full_like(whole, 255)
    for part, start in zip(parts, (0, parts[0].width), strict=True):
        high[: part.height, start : start + part.width] = np.asarray(part.convert("RGB"))
    assert np.array_equal(high, whole)
    for part in parts:
        (inked,) = np.nonzero((np.asarray(part.convert("RGB")) != 255).any(axis=(1, 2)))
        assert abs(part.height - 1 - inked[-1] - plots.PAD * plots.DPI) <= 4, "the padding, and no more"
    edge = np.asarray(parts[0].convert("RGB"))[:, -2:]
    assert (edge == 255).all(), "cut between the panels, through nothing"
    assert all(part.width / 96 * 64 < 390 for part in parts), "each fits on a phone"


def texts_of(picture):
    """Every text that is seen in a figure, with its box."""
    picture.figure.draw_without_rendering()
    texts = [text for text in picture.figure.findobj(Text) if text.get_visible() and text.get_text().strip()]
    return [(text.get_text(), text.get_window_extent()) for text in texts]


SMALL_SIZES = [(1, 1), (2, 4), (4, 2), (1, 8), (8, 1), (8, 8), (16, 3), (3, 16)]
LONG = "before the mask, when the model looks at every key that there is"


@pytest.mark.parametrize(
    "draw",
    [
        *(partial(plots.before_after, torch.zeros(size), masks.full(*size)) for size in SMALL_SIZES),
        partial(plots.before_after, torch.zeros(2, 4), masks.full(2, 4), titles=(LONG, LONG)),
        partial(plots.heatmap, torch.zeros(1, 2), limits=None, diverging=True, title=LONG, value_name="a difference"),
        partial(plots.heatmap, torch.zeros(50, 50)),
    ],
)
@pytest.mark.parametrize("token", ["t", "a token of many letters"])
def test_nothing_overlaps_and_nothing_is_cut_whatever_is_drawn(draw, token):
    q_len, k_len = draw.args[0].shape
    nothing_overlaps_or_is_cut(draw(query_tokens=[token] * q_len, key_tokens=[token] * k_len, alt=ALT))


@pytest.mark.parametrize("shape", [(1, 1), (1, 32), (32, 1)])
def test_a_head_grid_of_any_shape_fits_on_a_screen(shape):
    weights = torch.zeros(*shape, 2, 2)
    picture = plots.head_grid(weights, weights, alt=ALT, titles=(LONG, "after"))
    nothing_overlaps_or_is_cut(picture)
    assert max(Image.open(io.BytesIO(picture.png())).size) < 8 * plots.DPI


def test_a_gallery_with_long_names_overlaps_nothing():
    names = ("a name that is much wider than its mask", "b", "another name, as long as the first")
    nothing_overlaps_or_is_cut(plots.gallery({name: masks.causal(n) for n, name in enumerate(names, 1)}, alt=ALT))


def nothing_overlaps_or_is_cut(picture):
    for (one, a), (other, b) in itertools.combinations(texts_of(picture), 2):
        apart = min(a.x1, b.x1) - max(a.x0, b.x0) < 1 or min(a.y1, b.y1) - max(a.y0, b.y0) < 1
        assert apart, f"{one!r} overlaps {other!r}"
    page = BeautifulSoup(picture._repr_mimebundle_()[0]["text/html"], "html.parser")
    for image in page.find_all("img"):
        part = np.asarray(Image.open(io.BytesIO(base64.b64decode(image["src"].partition(",")[2]))).convert("RGB"))
        assert (part[:, [0, 1, -2, -1]] == 255).all(), "cut through nothing"


def test_numbers_are_read_on_every_colour():
    """By 3.6 to 1 in both lights, as WCAG measures it: more is not to be had of one picture for both."""
    weights = torch.linspace(0, 1, 56)[1:].reshape(5, 11)
    for panel in (weights[:, :8], weights[:, 3:], weights[:, 3:] - 0.5):
        diverging = bool(panel.min() < 0)
        axes = plots.heatmap(panel, list("abcde"), list("abcdefgh"), alt=ALT, diverging=diverging).figure.axes[0]
        assert len(axes.texts) == 40
        for text in axes.texts:
            key, query = map(int, text.get_position())
            cell = axes.collections[0].to_rgba(panel[query, key].item())
            colours = np.array([cell[:3], to_rgb(text.get_color())]) * 255
            for seen in (colours, _colours.dark(colours)):
                dark, light = sorted(luminance(colour / 255) for colour in seen)
                assert (light + 0.05) / (dark + 0.05) > 3.6, text.get_text()


def luminance(colour):
    """https://www.w3.org/TR/WCAG22/#dfn-relative-luminance"""
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in colour[:3]]
    return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))


def test_a_dollar_in_a_title_is_no_formula():
    axes = plots.heatmap(
        WEIGHTS, Q_TOKENS, K_TOKENS, alt=ALT, title="$5 and $6", x_name="$a$", y_name="$b$"
    ).figure.axes
    shown = axes[0].title, axes[0].xaxis.label, axes[0].yaxis.label, axes[1].xaxis.label
    assert not any(text.get_parse_math() for text in shown)


def test_colours_tell_small_weights_apart_in_both_lights():
    """The distances that OKLab measures; 0.02 is what one just sees, side by side."""
    light = _colours.table(_colours.WEIGHTS, 256)
    for colours in (light, _colours.dark(light)):
        of = lambda weight: oklab(colours[round(255 * weight**0.5)])  # noqa: B023, E731
        assert np.linalg.norm(of(0.05) - of(0)) > 0.15
        assert np.linalg.norm(of(0.5) - of(0.25)) > 0.12
        lightness = oklab(colours)[:, 0]
        assert (np.diff(lightness) * np.sign(lightness[-1] - lightness[0]) > -0.003).all()
    assert oklab(light)[0, 0] > 0.95
    assert oklab(_colours.dark(light))[0, 0] < 0.2


def oklab(colours):
    """https://bottosson.github.io/posts/oklab/"""
    srgb = colours / 255
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    cone = [[0.41222, 0.53633, 0.05145], [0.21190, 0.68070, 0.10740], [0.08830, 0.28172, 0.62998]]
    lab = [[0.21045, 0.79362, -0.00407], [1.97800, -2.42859, 0.45059], [0.02590, 0.78277, -0.80868]]
    return np.cbrt(linear @ np.transpose(cone)) @ np.transpose(lab)


def test_hostile_tokens_are_drawn_as_text():
    tokens = ["$x^2$ $", "<img onerror=alert(1)>", "line\nbreak", "", "🙂 مرحبا é", "long " * 2000]
    picture = plots.heatmap(torch.zeros(6, 6), tokens, tokens, alt=ALT)
    labels = [t.get_text() for t in picture.figure.axes[0].get_xticklabels()]
    assert labels[:4] == ["$x^2$ $", "<img onerror=al…", "line⏎break", "∅"]
    assert len(labels[5]) == plots.MAX_LABEL
    assert picture.png().startswith(b"\x89PNG")


def test_08_a_small_leak_is_not_written_as_zero():
    values = torch.tensor([[0.0, 0.0041, 2.4e-12], [0.5, -0.0004, 12.345]])
    axes = plots.heatmap(values, Q_TOKENS[:2], K_TOKENS[:3], alt=ALT, limits=None).figure.axes[0]
    assert [text.get_text() for text in axes.texts] == ["0", "<.01", "<.01", ".50", "<.01", "12.3"]
    axes = plots.heatmap(values[:, :2] / 10, Q_TOKENS[:2], K_TOKENS[:2], alt=ALT, limits=None).figure.axes[0]
    assert [text.get_text() for text in axes.texts] == ["0", "4e−4", "5e−2", "−4e−5"], "where all are small"


def test_large_figures_have_no_numbers_and_inputs_stay_as_they_are():
    weights = torch.rand(9, 4, dtype=torch.float16, requires_grad=True)
    before = weights.detach().clone()
    picture = plots.heatmap(weights, list("abcdefghi"), list("wxyz"), alt=ALT)
    assert not picture.figure.axes[0].texts
    assert torch.equal(weights, before)


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"matrix": [[1.0]]}, TypeError, "matrix: got a list"),
        ({"matrix": WEIGHTS[None]}, ValueError, r"Pick one sequence and head first: weights\[0, 0\]"),
        ({"matrix": WEIGHTS[0]}, ValueError, r"matrix: got a float32 tensor of shape \(5,\)"),
        ({"matrix": WEIGHTS[:0], "query_tokens": []}, ValueError, "no size of 0"),
        ({"query_tokens": K_TOKENS}, ValueError, "query_tokens: got 5 tokens.*wanted 3"),
        ({"key_tokens": Q_TOKENS}, ValueError, "key_tokens: got 3 tokens.*wanted 5"),
        ({"key_tokens": "tuvwx"}, TypeError, "key_tokens: got 'tuvwx'"),
        ({"query_tokens": [1, 2, 3]}, TypeError, "list of strings"),
        ({"keep": torch.ones(3, 5)}, TypeError, "keep: got a float32 tensor"),
        ({"keep": torch.ones(5, 3, dtype=torch.bool)}, ValueError, "keep: got a bool tensor of shape"),
        ({"keep": torch.ones(2, 1, 3, 5, dtype=torch.bool)}, ValueError, r"keep\[0, 0\]"),
        ({"alt": ""}, ValueError, "alt: got ''"),
        ({"alt": None}, ValueError, "alt: got None"),
        ({"limits": (1, 0)}, ValueError, "low < high"),
    ],
)
def test_bad_input_is_named(change, error, says):
    arguments = {"matrix": WEIGHTS, "query_tokens": Q_TOKENS, "key_tokens": K_TOKENS, "alt": ALT, **change}
    with pytest.raises(error, match=says):
        plots.heatmap(arguments.pop("matrix"), arguments.pop("query_tokens"), arguments.pop("key_tokens"), **arguments)


def test_alt_is_required():
    with pytest.raises(TypeError, match="alt"):
        plots.heatmap(WEIGHTS, Q_TOKENS, K_TOKENS)
    with pytest.raises(ValueError, match="titles: got 1"):
        plots.before_after(WEIGHTS, masks.full(3, 5), Q_TOKENS, K_TOKENS, alt=ALT, titles=("one",))


def test_many_cells_are_drawn_in_one_go():
    """Beyond 64 rows hidden keys are grey, NaN is red, and every few tokens are named; a patch each took minutes."""
    size = 100
    keep = masks.causal(size).clone()
    keep[5] = False
    tokens = [f"t{n}" for n in range(size)]
    axes = plots.before_after(torch.zeros(size, size), keep, tokens, tokens, alt=ALT).figure.axes[1]
    assert not axes.patches
    weights, hidden, nan = (mesh.get_array().reshape(size, size) for mesh in axes.collections)
    wanted = keep & (torch.arange(size) != 5)[:, None]
    assert np.array_equal(~np.ma.getmaskarray(weights), wanted.numpy())
    assert np.array_equal(~np.ma.getmaskarray(nan), (~keep.any(1, keepdim=True)).expand(size, size).numpy())
    assert np.array_equal(~np.ma.getmaskarray(hidden), (~keep & keep.any(1, keepdim=True)).numpy())
    assert [label.get_text() for label in axes.get_xticklabels()] == tokens[::8]
    assert list(axes.get_yticks()) == [n + 0.5 for n in range(0, size, 8)]


def test_a_gallery_has_one_picture_for_each_mask():
    shown = plots.gallery(
        {"causal": masks.causal(3), "cache": masks.causal(2, 6)}, alt="Two masks, a triangle and a cache."
    )
    triangle, cache = shown.figure.axes
    assert [axes.get_title() for axes in shown.figure.axes] == ["causal", "cache"]
    assert [len(axes.patches) for axes in (triangle, cache)] == [9, 12]
    hatched = [bool(patch.get_hatch()) for patch in cache.patches]  # rows of queries, one after the other
    assert hatched == (~masks.causal(2, 6)).flatten().tolist()
    assert (triangle.get_xlabel(), triangle.get_ylabel()) == ("keys", "queries")


def test_a_gallery_of_what_was_measured_names_inputs_and_outputs():
    shown = plots.gallery({"reach": masks.causal(3)}, alt=ALT, x_name="inputs", y_name="outputs")
    assert (shown.figure.axes[0].get_xlabel(), shown.figure.axes[0].get_ylabel()) == ("inputs", "outputs")


def test_counts_are_written_as_whole_numbers_and_weights_as_weights():
    def written(*row):
        matrix = torch.tensor([row])
        axes = plots.heatmap(matrix, ["q"], list("abc"), alt=ALT, limits=None).figure.axes[0]
        return [text.get_text() for text in axes.texts]

    assert written(0.0, 1.0, 12.0) == ["0", "1", "12"]
    assert written(0.0, 1.0, 2.5) == ["0", "1.00", "2.50"]
    assert written(0.0, 0.0, 1.0) == ["0", "0", "1.00"]


@pytest.mark.parametrize(
    ("keeps", "error"),
    [
        ({}, "empty dict"),
        ({"4D": masks.causal(3)[None, None]}, "Pick one sequence"),
        ({"big": masks.full(17)}, "16 × 16"),
    ],
)
def test_a_gallery_refuses_what_it_cannot_draw(keeps, error):
    with pytest.raises(ValueError, match=error):
        plots.gallery(keeps, alt="Nothing to see.")


def test_a_gallery_refuses_what_is_no_bool():
    with pytest.raises(TypeError, match="wanted a bool tensor"):
        plots.gallery({"float": masks.full(3).float()}, alt="Nothing to see.")


def test_cost_joins_medians_and_names_lines_at_their_ends():
    measured = {"fast": {10: [1.0, 3.0, 2.0], 20: [4.0, 4.0, 5.0]}, "slow": {10: [8.0], 20: [32.0]}}
    shown = plots.cost(measured, theory={"slow": {10: 8.0, 20: 32.0}, "T": {10: 1.0, 20: 2.0}}, alt="Slow is a square.")
    (axes,) = shown.figure.axes
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    lines = [(line.get_linestyle(), line.get_ydata().tolist(), line.get_color()) for line in axes.lines]
    assert [ys for _, ys, _ in lines] == [[2.0, 4.0], [8.0, 32.0], [8.0, 32.0], [1.0, 2.0]]
    assert [style for style, _, _ in lines] == ["-", "-", "--", "--"]
    assert lines[1][2] == lines[2][2] != lines[0][2], "theory has the colour of its line"
    assert sorted(text.get_text() for text in axes.texts) == ["T", "fast", "slow"]
    band = axes.collections[0].get_paths()[0].vertices
    assert {tuple(point) for point in band} >= {(10, 1), (10, 3), (20, 4), (20, 5)}
    _, metadata = shown._repr_mimebundle_()
    assert metadata["image/png"]["width"] < 480, "in the 358 px of a phone its words of 13.9 px are larger than 10"


@pytest.mark.parametrize(
    ("measured", "error"),
    [
        ({}, "wanted at least one line"),
        ({"a": {}}, "wanted at least one line"),
        ({"a": {10: []}}, "at least one measurement"),
        ({"a": {10: [0.0]}}, "got 0.0, wanted positive numbers"),
        ({"a": {0: [1.0]}}, "got 0, wanted positive numbers"),
    ],
)
def test_cost_refuses_what_log_axes_cannot_show(measured, error):
    with pytest.raises(ValueError, match=error):
        plots.cost(measured, alt="Nothing to see.")
    with pytest.raises(ValueError, match="positive"):
        plots.cost({"a": {10: [1.0]}}, theory={"b": {10: -1.0}}, alt="Nothing to see.")


def test_a_bool_matrix_is_drawn_as_yes_and_no():
    axes, bar = plots.heatmap(WEIGHTS > 0.2, Q_TOKENS, K_TOKENS, value_name="NaN", alt=ALT).figure.axes
    assert [label.get_text() for label in bar.get_xticklabels()] == ["no", "yes"]
    assert bar.get_xlabel() == "NaN"
    assert [text.get_text() for text in axes.texts] == []
    colours = {drawn(axes)[q, k]: to_hex(axes.collections[0].to_rgba(drawn(axes)[q, k])) for q, k in drawn(axes)}
    assert colours == {0: to_hex(_colours.WEIGHTS[0]), 1: to_hex(_colours.WEIGHTS[-1])}


def test_whole_numbers_have_whole_ticks_and_short_signs_stand_upright():
    axes, bar = plots.heatmap(
        torch.tensor([[1, 2, 3, 0, 0]]), ["a"], ["−∞", "0", "-10000", "1e4", "·a"], limits=None, alt=ALT
    ).figure.axes
    assert all(tick.is_integer() for tick in bar.get_xticks())
    assert [label.get_rotation() for label in axes.get_xticklabels()] == [0, 0, 90, 90, 0]
