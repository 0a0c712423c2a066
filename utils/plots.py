"""Heatmaps of attention weights, with alt text (first used in lesson 00).

Rows are queries, query 0 on top; columns are keys. Weights have a fixed scale from 0 to 1, whose colours follow the
square root, so that small weights can be told apart. Three things that must not be confused look different in kind: a
hidden key is hatched, a weight of 0 is nearly white, NaN is red. Beyond 64 rows or columns hidden is grey.

A figure is drawn once, for light pages and for print. On a dark page a filter turns light into dark and leaves the
hues: see ``_colours.py``.
"""

import base64
import html
import io
import itertools
import math
import struct
import textwrap
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from . import _colours
from ._validation import mismatch, require_keep_for, require_tensor, text_of
from .attention import attend

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Picture", "before_after", "cost", "gallery", "head_grid", "heatmap", "side_by_side"]

VISIBLE = _colours.WEIGHTS[5]  # of a mask alone, where there are no weights to show
LINES = ("#0072b2", "#d55e00", "#000000", "#cc79a7", "#e69f00")  # Okabe and Ito: told apart without red and green
MARKERS = "osD^v"
FALLBACK_FONTS = (
    "Noto Sans CJK SC",
    "Microsoft YaHei",
    "PingFang SC",
    "Arial Unicode MS",
    "Noto Emoji",
    "Segoe UI Emoji",
)
KEYS, QUERIES = "keys (who is looked at)", "queries (who looks)"
YES_OR_NO = 2  # colours of a map of bools, the palest and the deepest of weights
MAX_NUMBERS = 8  # numbers are printed into the cells up to 8 × 8
MAX_CELLS = 64  # rows or columns up to which each hidden cell is hatched and each token named
MAX_LABEL = 16  # characters of a token label
DPI = 144
PAD = 0.1  # inches
PANEL_GAP = 0.12
LYING: dict[str, Any] = {"rotation": 0, "ha": "right", "va": "center"}  # the name of rows that are few
SCREEN_DPI = 96  # a figure of 7 inches is shown 672 px wide, with 1.5 image pixels for each
TYPE, SMALL = 10.5, 9.5  # points: 14 px, and 12.7 px in and above cells
TICKS = (0, 0.05, 0.25, 0.5, 1)  # of the scale of weights
#: Pages that say they are dark: JupyterLab, this site, VS Code, Colab. What only the system knows, a page says itself.
DARK_PAGES = ('body[data-jp-theme-light="false"]', 'html[data-theme="dark"]', "body.vscode-dark", "html[theme=dark]")
#: Black becomes whatever the page has for a background.
DARK_STYLE = f"{{ filter: {_colours.DARK_FILTER}; mix-blend-mode: screen }}"
STYLE = f"<style>@media screen {{ :is({', '.join(DARK_PAGES)}) .masks-figure {DARK_STYLE} }}</style>"


class Picture:
    """A finished figure that carries its alt text into every notebook, page and export.

    Where HTML is shown, the panels of a figure stand side by side, or below each other on a narrow screen.

    Attributes:
        figure: the ``matplotlib.figure.Figure``, for changes and ``savefig``.
        alt: what the figure shows, in words.

    Args:
        figure: a finished ``matplotlib.figure.Figure``.
        alt: what it shows, in words.
        panels: its axes, from left to right, if it may be cut between them; each has a title.

    References:
        Lesson 00; https://www.w3.org/WAI/tutorials/images/
    """

    def __init__(self, figure: "Figure", alt: str, panels: Sequence["Axes"] = ()):
        self.figure = figure
        self.alt = alt
        self._panels = panels
        if figure.get_layout_engine():  # it comes to rest in two passes; then every picture of the figure is the same
            with _no_word_of_fonts():
                for _ in range(2):
                    figure.draw_without_rendering()
            figure.set_layout_engine("none")

    def png(self) -> bytes:
        """The figure as a PNG file, light."""
        buffer = io.BytesIO()
        with _no_word_of_fonts():
            self.figure.savefig(buffer, format="png", dpi=DPI, facecolor="white", bbox_inches="tight", pad_inches=PAD)
        return _fewer_colours(buffer.getvalue())

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> tuple[dict, dict]:
        png = self.png()
        width, height = _size(png)
        # JupyterLab 4.6 drops the alt text of an image/png, so it gets the same picture as HTML. nbconvert,
        # GitHub and printing read the image and, where they know it, the alt text in its metadata.
        alts = [self.alt, *(" ".join(axes.get_title().split()) for axes in self._panels[1:])]
        images = "".join(map(_image, self._cut(png), alts))
        data = {"image/png": base64.b64encode(png).decode(), "text/html": images + STYLE, "text/plain": self.alt}
        return data, {"image/png": {"alt": self.alt, "width": width, "height": height}}

    def _cut(self, png: bytes) -> list[bytes]:
        """One PNG file for each panel, which ends where it ends: below each other they leave no gap."""
        from PIL import Image

        if len(self._panels) < 2:
            return [png]
        whole = Image.open(io.BytesIO(png))
        with _no_word_of_fonts():
            around = self.figure.get_tightbbox()
            left, bottom = around.x0 - PAD, around.y0  # the padding stays below each panel
            boxes = [_box(axes) for axes in self._panels]
        edges = [0, *(round((box.x1 + PANEL_GAP / 2 - left) * DPI) for box in boxes[:-1]), whole.width]
        ends = [*(whole.height - round((box.y0 - bottom) * DPI) for box in boxes[:-1]), whole.height]
        return [_saved(whole.crop((a, 0, b, end))) for (a, b), end in zip(itertools.pairwise(edges), ends, strict=True)]

    def __repr__(self) -> str:
        return f"<Picture: {self.alt}>"


def heatmap(
    matrix: Tensor,
    query_tokens: Sequence[str],
    key_tokens: Sequence[str],
    *,
    keep: Tensor | None = None,
    alt: str,
    title: str = "",
    value_name: str = "attention weight",
    x_name: str = KEYS,
    y_name: str = QUERIES,
    limits: tuple[float, float] | None = (0.0, 1.0),
    diverging: bool = False,
) -> Picture:
    """One matrix of queries × keys, drawn with seaborn.

    Args:
        matrix: (q_len, k_len), any real dtype; NaN is allowed and drawn as NaN. A bool one is drawn as yes and no.
        query_tokens: q_len row labels. Text is drawn as it is, never read as markup.
        key_tokens: k_len column labels.
        keep: bool, broadcastable to (q_len, k_len); cells where it is False are hatched.
        alt: required: what the figure shows, as a sentence that states the finding.
        title: written above the figure.
        value_name: what a cell is, written beside the colour scale.
        x_name: what a column is.
        y_name: what a row is.
        limits: ends of the colour scale; None takes those of the finite values. Colours follow the square root from 0
            to 1, and are evenly spaced between other limits.
        diverging: for differences: a map centred at 0, with limits made symmetric.

    Returns:
        A ``Picture``. In a notebook it shows itself.

    Raises:
        TypeError: matrix or keep is no tensor, keep is not bool, or tokens are no lists of strings.
        ValueError: shapes, tokens, limits or alt text that do not fit, each named.

    References:
        Lesson 00; https://seaborn.pydata.org/generated/seaborn.heatmap.html
    """
    values = _matrix(matrix, "matrix")
    query_tokens, key_tokens = _tokens(query_tokens, key_tokens, values.shape)
    hidden = _hidden(keep, values.shape)
    alt = _alt(alt)
    figure, (axes,) = _canvas(panels=1)
    low, high = _limits(values, limits, diverging)
    if matrix.dtype in (torch.bool, np.bool_):
        scale = _even_scale(0, 1, diverging=False, size=YES_OR_NO)
    else:
        scale = _weights_scale() if limits == (0.0, 1.0) and not diverging else _even_scale(low, high, diverging)
    mesh = _draw(axes, values, hidden, query_tokens, key_tokens, **scale)
    size = _name(axes, values.shape, title, x_name, y_name)
    _arrange(figure, [axes], [size], mesh, value_name)
    return Picture(figure, alt)


def before_after(
    scores: Tensor,
    keep: Tensor,
    query_tokens: Sequence[str],
    key_tokens: Sequence[str],
    *,
    alt: str,
    titles: tuple[str, str] = ("before the mask", "after the mask"),
    fill: str | float = "-inf",
) -> Picture:
    """Attention weights before and after a mask, side by side on one scale.

    Args:
        scores: (q_len, k_len) float, before the softmax.
        keep: bool, True = may attend, broadcastable to (q_len, k_len).
        query_tokens: q_len row labels.
        key_tokens: k_len column labels.
        alt: required: what the figure shows, as a sentence that states the finding.
        titles: of the left and the right panel.
        fill: what is added to hidden scores, as in ``attention.attend``.

    Returns:
        A ``Picture``. In a notebook it shows itself.

    Raises:
        TypeError: scores or keep is no tensor, keep is not bool, or tokens are no lists of strings.
        ValueError: shapes, tokens, titles, fill or alt text that do not fit, each named.

    References:
        Lesson 00; https://seaborn.pydata.org/generated/seaborn.heatmap.html
    """
    values = _matrix(scores, "scores")
    query_tokens, key_tokens = _tokens(query_tokens, key_tokens, values.shape)
    hidden = _hidden(keep, values.shape)
    alt = _alt(alt)
    if len(titles) != 2:
        raise ValueError(f"titles: got {len(titles)}, wanted two, for the left and the right panel.")
    scores = scores.detach().double().cpu()
    # Identity as key: query · keyᵀ is then the scores, and the masking and the softmax are attend's own.
    eye = torch.eye(scores.shape[1], dtype=scores.dtype)
    query = scores * math.sqrt(scores.shape[1])
    before = attend(query, eye, eye).weights
    after = attend(query, eye, eye, torch.from_numpy(~hidden), fill=fill).weights
    labels = query_tokens, key_tokens
    nothing = np.zeros_like(hidden)
    sides = [(before.numpy(), nothing, *labels, titles[0]), (after.numpy(), hidden, *labels, titles[1])]
    return _side_by_side(sides, alt)


def side_by_side(
    weights: tuple[Tensor, Tensor],
    keeps: tuple[Tensor, Tensor],
    tokens: tuple[Sequence[str], Sequence[str]],
    *,
    alt: str,
    titles: tuple[str, str],
) -> Picture:
    """Two maps of attention weights on one scale, each with its own tokens and its own mask.

    Args:
        weights: two (T, T) float, from 0 to 1; NaN is drawn red. They need not be as large as each other.
        keeps: two bool, True = may attend, broadcastable to their weights; cells where it is False are hatched.
        tokens: the labels of each, for queries and keys alike.
        alt: required: what the figure shows, as a sentence that states the finding.
        titles: of the left and the right panel.

    Returns:
        A ``Picture``. In a notebook it shows itself.

    Raises:
        TypeError: weights or keeps that are no tensors, a keep not bool, or tokens that are no lists of strings.
        ValueError: shapes, tokens or alt text that do not fit, each named.

    References:
        Lesson 00, as the picture of StoryLab.
    """
    alt = _alt(alt)
    sides = []
    for values, keep, labels, title in zip(weights, keeps, tokens, titles, strict=True):
        matrix = _matrix(values, "weights")
        sides.append((matrix, _hidden(keep, matrix.shape), *_tokens(labels, labels, matrix.shape), title))
    return _side_by_side(sides, alt)


def _side_by_side(sides: list[tuple[np.ndarray, np.ndarray, list[str], list[str], str]], alt: str) -> Picture:
    """Maps of weights with their hidden cells, the labels of queries and keys, and titles."""
    figure, panels = _canvas(len(sides))
    sizes = []
    for axes, (weights, hidden, query_tokens, key_tokens, title) in zip(panels, sides, strict=True):
        mesh = _draw(axes, weights, hidden, query_tokens, key_tokens, **_weights_scale())
        sizes.append(_name(axes, weights.shape, title, KEYS, QUERIES))
    _arrange(figure, panels, sizes, mesh, "attention weight")
    return Picture(figure, alt, panels)


def head_grid(
    before: Tensor,
    after: Tensor | None = None,
    *,
    keep: Tensor | tuple[Tensor, Tensor] | None = None,
    alt: str,
    titles: tuple[str, str] = ("before", "after"),
) -> Picture:
    """Every layer × head as a small map, layer 0 on top; two sides next to each other if ``after`` is given.

    A map of many tokens is shrunk; of the cells that share a pixel the largest weight counts.

    Args:
        before: (layers, heads, q_len, k_len) float, attention weights from 0 to 1; NaN is drawn red.
        after: the same shape.
        keep: bool, True = may attend, broadcastable to (q_len, k_len); what ``after`` hides is grey. Or two, of
            ``before`` and ``after``.
        alt: required: what the figure shows, as a sentence that states the finding.
        titles: of the left and the right side.

    Returns:
        A ``Picture``. In a notebook it shows itself.

    Raises:
        ValueError: no alt text.

    References:
        Lesson 07; https://github.com/jessevig/bertviz shows the same maps one by one
    """
    from matplotlib.cm import ScalarMappable

    alt = _alt(alt)
    sides = [before] if after is None else [before, after]
    layers, heads = before.shape[:2]
    scale = ScalarMappable(**_weights_scale())
    wide = 5.2 if after is None else 3.2
    tile = min(wide / heads, 5.2 / layers, 1.6)
    size = max(0.8, tile * heads), max(0.6, tile * layers)
    figure, panels = _canvas(len(sides))
    keeps = keep if isinstance(keep, tuple) else (None, keep)
    for axes, weights, hiding, title in zip(panels, sides, keeps, titles, strict=False):
        mosaic = _mosaic(weights, hiding, scale)
        axes.imshow(mosaic, extent=(-0.5, heads - 0.5, layers - 0.5, -0.5), aspect="auto", interpolation="antialiased")
        axes.set_xticks(range(0, heads, math.ceil(heads * 0.24 / size[0])))
        axes.set_yticks(range(0, layers, math.ceil(layers * 0.18 / size[1])))
        axes.tick_params(length=0, labelsize=TYPE)
        axes.spines[:].set_visible(False)
        axes.set_title(_wrapped(title, size[0]), fontsize=TYPE)
        axes.set_xlabel("head", fontsize=TYPE)
    panels[0].set_ylabel("layer", fontsize=TYPE)
    _arrange(figure, panels, [size] * len(sides), scale, "attention weight")
    return Picture(figure, alt, panels if after is not None else ())


def gallery(keeps: dict[str, Tensor], *, alt: str, x_name: str = "keys", y_name: str = "queries") -> Picture:
    """Several masks side by side as small pictures: a visible cell is filled, a hidden one hatched.

    Args:
        keeps: name → bool (q_len, k_len), True = may attend, at most 16 × 16; one picture each, in this order.
            A line break in a name begins a new line above the picture.
        alt: required: what the pictures show, as a sentence that states the finding.
        x_name: what a column is, such as "inputs" where what is shown was measured.
        y_name: what a row is.

    Returns:
        A ``Picture``. In a notebook it shows itself.

    Raises:
        TypeError: a keep that is no bool tensor.
        ValueError: no keeps, one that is not 2D or larger than 16 × 16, or no alt text.

    References:
        Lesson 05, and the cheat sheet.
    """
    alt = _alt(alt)
    if not keeps:
        raise ValueError("keeps: got an empty dict, wanted at least one name with its mask.")
    for name, keep in keeps.items():
        require_tensor(keep, f"keeps[{name!r}]", (2,), "a bool tensor (q_len, k_len)", "Pick one sequence: keep[0, 0].")
        require_keep_for(keep, tuple(keep.shape))
        if max(keep.shape) > 16:
            raise ValueError(mismatch(f"keeps[{name!r}]", keep, "at most 16 × 16"))
    figure, panels = _canvas(len(keeps))
    sizes = [(0.14 * keep.shape[1], 0.14 * keep.shape[0]) for keep in keeps.values()]
    for axes, (name, keep) in zip(panels, keeps.items(), strict=True):
        for query, key in np.ndindex(*keep.shape):
            style = {"facecolor": VISIBLE} if keep[query, key] else {"facecolor": _colours.HIDDEN, "hatch": "/////"}
            axes.add_patch(_cell(query, key, edgecolor=_colours.HATCH, linewidth=0, **style))
        axes.hlines(range(1, keep.shape[0]), 0, keep.shape[1], color="white", linewidth=0.8)
        axes.vlines(range(1, keep.shape[1]), 0, keep.shape[0], color="white", linewidth=0.8)
        axes.set(xlim=(0, keep.shape[1]), ylim=(keep.shape[0], 0), xticks=(), yticks=())
        axes.spines[:].set_color(_colours.HATCH)
        axes.set_title(text_of(name), fontsize=SMALL, pad=3)
    panels[0].set_xlabel(x_name, fontsize=SMALL)
    panels[0].set_ylabel(y_name, fontsize=SMALL, **(LYING if sizes[0][1] < 0.6 else {}))
    _arrange(figure, panels, sizes)
    return Picture(figure, alt, panels)


def cost(
    measured: dict[str, dict[float, Sequence[float]]],
    *,
    alt: str,
    theory: dict[str, dict[float, float]] | None = None,
    x_name: str = "tokens in a row",
    y_name: str = "milliseconds",
    title: str = "",
) -> Picture:
    """Cost against length, both on log axes: a straight line of slope 2 is a square.

    Each line joins the medians; the band around it goes from the smallest to the largest measurement. A line's name
    is at its right end. What theory says is dashed, in the colour of the line of the same name.

    Args:
        measured: name of a line → {length: all measurements at it}, all positive.
        alt: required: what the figure shows, as a sentence that states the finding.
        theory: name → {length: cost}.
        x_name: what a length is.
        y_name: what is measured, with its unit.
        title: written above the figure.

    Returns:
        A ``Picture``. In a notebook it shows itself.

    Raises:
        ValueError: no lines, an empty line, something that is not positive, which log axes cannot show, or no alt
            text.

    References:
        Lesson 09.
    """
    from matplotlib.figure import Figure

    alt = _alt(alt)
    theory = theory or {}
    lines: list[dict[float, Sequence[float]]] = list(measured.values())
    lines += [{x: [y] for x, y in curve.items()} for curve in theory.values()]
    numbers = [number for line in lines for x, ys in line.items() for number in (x, *ys)]
    if not measured or not all(line and all(len(ys) for ys in line.values()) for line in measured.values()):
        raise ValueError("measured: wanted at least one line, and at least one measurement at each of its lengths.")
    if min(numbers) <= 0:
        raise ValueError(f"measured, theory: got {min(numbers)}, wanted positive numbers; log axes show no others.")
    figure = Figure(figsize=(4.6, 3.6), layout="constrained")  # so wide that a phone need not shrink its words much
    axes = figure.subplots()
    ends: dict[str, tuple[float, float, str]] = {}
    for n, (name, line) in enumerate(measured.items()):
        lengths = sorted(line)
        middle = [float(np.median(line[x])) for x in lengths]
        colour = LINES[n % len(LINES)]
        axes.plot(lengths, middle, color=colour, marker=MARKERS[n % len(MARKERS)], markersize=4, linewidth=1.5)
        extremes = [min(line[x]) for x in lengths], [max(line[x]) for x in lengths]
        axes.fill_between(lengths, *extremes, color=colour, alpha=0.2, linewidth=0)
        ends[name] = (lengths[-1], middle[-1], colour)
    for name, curve in theory.items():
        lengths = sorted(curve)
        end = ends.setdefault(name, (lengths[-1], curve[lengths[-1]], "#767676"))
        axes.plot(lengths, [curve[x] for x in lengths], color=end[2], linestyle="--", linewidth=1)
    axes.set(xscale="log", yscale="log", xlabel=text_of(x_name), ylabel=text_of(y_name))
    axes.set_title(text_of(title))
    axes.set_xticks(sorted({x for line in measured.values() for x in line}))
    axes.set_xticks([], minor=True)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter("")
    axes.grid(which="major", color="#e0e0e0", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    # Names keep a distance of 6 % of the axis, so that lines that end together can still be told apart.
    (low, high), taken = np.log(axes.get_ylim()), -math.inf
    for name, (x, y, colour) in sorted(ends.items(), key=lambda item: item[1][1]):
        taken = max((math.log(y) - low) / (high - low), taken + 0.06)
        height = math.exp(low + taken * (high - low))
        beside: dict[str, Any] = {"xytext": (8, 0), "textcoords": "offset points", "va": "center"}
        beside["annotation_clip"] = False  # names of lines that end together at the top go beyond it
        text = axes.annotate(text_of(name), (x, height), color=colour, **beside)
        text.set_parse_math(False)
    return Picture(figure, alt)


# --- drawing ---------------------------------------------------------------------------------------


def _canvas(panels: int) -> tuple["Figure", Any]:
    """An empty figure and its axes, which ``_arrange`` sets side by side."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(1, 1))  # so that positions are inches
    return figure, [figure.add_axes((0, 0, 1, 1), label=str(n)) for n in range(panels)]


def _name(axes: "Axes", shape: tuple[int, ...], title: str, x_name: str, y_name: str) -> tuple[float, float]:
    """Names a map and its axes; how wide and high its cells are together, in inches."""
    q_len, k_len = shape
    # With its labels a map of 8 tokens is less than 4 inches wide: a phone's width, half of a column's.
    most = min(0.5, (2.8 if k_len <= 16 else 4.4) / k_len, 4.4 / q_len)
    least = min(most, 0.34 if max(shape) <= MAX_NUMBERS else 0.14)  # numbers and labels do not touch
    height = most * q_len
    y_name = text_of(y_name)
    flat = height < 0.8
    lines = y_name.replace(" (", "\n(") if len(y_name) * 0.075 > height else y_name  # the name is longer than its axis
    axes.set_ylabel(lines, **(LYING if flat else {}))
    axes.set_position((0, 0, most * k_len, height))
    room = (3.7 if k_len <= 16 else 5.2) + _box(axes).x0
    cell = min(most, max(least, room / k_len))
    axes.set_xlabel(text_of(x_name))
    axes.set_title(_wrapped(title, cell * k_len))
    return cell * k_len, cell * q_len


def _wrapped(text: str, width: float) -> str:
    """A title in lines of about this many inches."""
    characters = round(max(1.6, width) / 0.096)
    return "\n".join(textwrap.fill(line, characters) for line in text_of(text).split("\n"))


def _box(axes: "Axes") -> Any:
    """All that axes take with their labels and titles, in inches."""
    from matplotlib.transforms import Affine2D

    with _no_word_of_fonts():
        box: Any = axes.get_tightbbox()
    return box.transformed(Affine2D().scale(1 / axes.figure.dpi))


def _arrange(
    figure: "Figure", panels: Sequence["Axes"], sizes: list[tuple[float, float]], mesh: Any = None, label: str = ""
) -> None:
    """Sets panels side by side, with nothing of one above or below another, and the figure's size to that of all.

    A colour scale goes below the last: what is below takes no width, of which phones have little. Lower edges are
    aligned, so that fewer queries than keys look like the last rows of a square.
    """
    from matplotlib.transforms import Bbox

    for axes in panels:
        _as_written(axes.title, axes.xaxis.label, axes.yaxis.label)
    right, boxes = 0.0, []
    places: dict[Axes, tuple[float, float, float, float]] = {}
    for axes, (width, height) in zip(panels, sizes, strict=True):
        axes.set_position((0, 0, width, height))
        group = {axes: (0.0, 0.0, width, height)}
        if mesh and axes is panels[-1]:
            wide = max(1.7, width)
            group |= _colour_scale(figure, mesh, label, ((width - wide) / 2, _box(axes).y0 - 0.2, wide, 0.1))
        box = Bbox.union([_box(one) for one in group])
        shift = right - box.x0
        places |= {one: (x + shift, y, w, h) for one, (x, y, w, h) in group.items()}
        boxes.append(box.translated(shift, 0))
        right += box.width + PANEL_GAP
    whole = Bbox.union(boxes)
    figure.set_size_inches(whole.width, whole.height)
    for axes, (x, y, w, h) in places.items():
        left, bottom = (x - whole.x0) / whole.width, (y - whole.y0) / whole.height
        axes.set_position((left, bottom, w / whole.width, h / whole.height))


def _colour_scale(
    figure: "Figure", mesh: Any, label: str, place: tuple[float, float, float, float]
) -> dict["Axes", tuple[float, float, float, float]]:
    """A colour scale, with its place."""
    from matplotlib.ticker import MaxNLocator

    axes = figure.add_axes(place, label="scale")
    bar = figure.colorbar(mesh, cax=axes, orientation="horizontal")
    if hasattr(mesh.norm, "gamma"):
        bar.set_ticks(TICKS, labels=[f"{tick:g}" for tick in TICKS])
        bar.ax.minorticks_off()
        label += ", square-root scale"
    elif mesh.cmap.N == YES_OR_NO:
        bar.set_ticks([0.25, 0.75], labels=["no", "yes"])
        bar.ax.tick_params(length=0)
    else:
        bar.locator = MaxNLocator(4, integer=_are_whole(mesh.get_array().compressed()))
    bar.set_label(text_of(label))
    _as_written(bar.ax.xaxis.label)
    return {axes: place}


def _weights_scale() -> dict[str, Any]:
    """Colours of weights from 0 to 1."""
    from matplotlib.colors import ListedColormap, PowerNorm

    return {"cmap": ListedColormap(_colours.table(_colours.WEIGHTS, 256) / 255), "norm": PowerNorm(0.5, 0.0, 1.0)}


def _even_scale(low: float, high: float, diverging: bool, size: int = 256) -> dict[str, Any]:
    """The same colours, or those of changes, evenly spaced."""
    from matplotlib.colors import ListedColormap, Normalize

    colours = _colours.table(_colours.CHANGES if diverging else _colours.WEIGHTS, size)
    return {"cmap": ListedColormap(colours / 255), "norm": Normalize(low, high)}


def _draw(
    axes: "Axes", values: np.ndarray, hidden: np.ndarray, query_tokens: list[str], key_tokens: list[str], **scale: Any
) -> Any:
    """One map with its labels; returns the mesh that a colour scale describes."""
    import seaborn

    q_len, k_len = values.shape
    few = q_len <= MAX_NUMBERS and k_len <= MAX_NUMBERS
    yes_or_no = scale["cmap"].N == YES_OR_NO
    numbers = {"annot": _numbers(values), "fmt": "", "annot_kws": {"fontsize": SMALL}} if few and not yes_or_no else {}
    lines = {"linewidths": 0.5 if few or yes_or_no else 0, "linecolor": "white"}
    blank = (hidden & (values == 0)) | np.isnan(values)
    seaborn.heatmap(values, mask=blank, square=True, cbar=False, ax=axes, **scale, **numbers, **lines)
    mesh = axes.collections[0]
    for number in axes.texts:  # seaborn's are white on pale blue
        key, query = map(int, number.get_position())
        number.set_color("white" if _is_deep(mesh.to_rgba(values[query, key])) else "black")
    many = max(q_len, k_len) > MAX_CELLS
    if many:
        _fill(axes, hidden & (values == 0), _colours.HIDDEN)
        _fill(axes, np.isnan(values), _colours.NAN)
    for query, key in () if many else np.argwhere(hidden):
        # A hidden key that still has weight is a leak: its colour stays under the hatching.
        leak = values[query, key] != 0 and not np.isnan(values[query, key])
        face = "none" if leak else _colours.HIDDEN
        if np.isnan(values[query, key]):
            face = _colours.NAN
        axes.add_patch(_cell(query, key, facecolor=face, edgecolor=_colours.HATCH, hatch="////", linewidth=0))
    for query, key in () if many else np.argwhere(np.isnan(values)):
        if not hidden[query, key]:
            axes.add_patch(_cell(query, key, facecolor=_colours.NAN, edgecolor="white", linewidth=0.5))
        if few:
            axes.text(key + 0.5, query + 0.5, "NaN", color="white", fontsize=SMALL, ha="center", va="center")
    size = TYPE if max(q_len, k_len) <= 24 else 8
    upright = k_len <= 4 and all(len(token) <= 5 for token in key_tokens)
    # Where rows are lower than type, every second token is named.
    step = math.ceil(max(q_len, k_len) / MAX_CELLS) * 4 if many else math.ceil(max(q_len, k_len) / 34)
    across, down = np.arange(0, k_len, step), np.arange(0, q_len, step)
    axes.set_xticks(across + 0.5, map(_label, key_tokens[::step]), fontsize=size)
    axes.set_yticks(down + 0.5, map(_label, query_tokens[::step]), rotation=0, fontsize=size)
    for label in axes.get_xticklabels():
        sign = len(label.get_text()) <= 2 and not label.get_text().isalpha()  # a turned −∞ is an 8
        label.set_rotation(0 if upright or sign else 90)
    _as_written(*axes.get_xticklabels(), *axes.get_yticklabels())
    return mesh


def _is_deep(colour: Any) -> bool:
    """Whether white text is read better on it than black, on a light page and, turned round, on a dark one.

    js/colours.js asks for one page at a time, and has another limit.
    """
    red, green, blue = (part**2.2 for part in colour[:3])
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue < 0.23


def _as_written(*texts: Any) -> None:
    """Text that comes from outside may hold $, which is no formula, and any script."""
    for text in texts:
        text.set_parse_math(False)
        text.set_fontfamily(_fonts())


@contextmanager
def _no_word_of_fonts() -> Iterator[None]:
    """A token may be in any script. What no font on this machine has is drawn as a box; that is warning enough."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


@cache
def _fonts() -> list[str]:
    """matplotlib's own font, then those on this machine that have what it lacks."""
    from matplotlib.font_manager import fontManager

    known = {font.name for font in fontManager.ttflist}
    return ["DejaVu Sans", *(name for name in FALLBACK_FONTS if name in known)]


def _mosaic(weights: Tensor, keep: Tensor | None, scale: Any) -> np.ndarray:
    """(rows, columns, 3) uint8: all maps of (layers, heads, q_len, k_len) with a white line between them."""
    size, line = 24, 1
    weights = weights.detach().cpu().float()
    layers, heads, q_len, k_len = weights.shape
    nan = weights.isnan().float().reshape(-1, 1, q_len, k_len)
    values = weights.nan_to_num(0.0).reshape(-1, 1, q_len, k_len)
    kept = torch.ones(q_len, k_len) if keep is None else keep.cpu().expand(q_len, k_len).float()
    shrink = torch.nn.functional.adaptive_max_pool2d
    values, nan, kept = (shrink(x, size).squeeze(1) for x in (values, nan, kept[None, None]))
    colours = torch.from_numpy(scale.cmap(scale.norm(values.numpy()), bytes=True)[..., :3].copy())
    colours[(values == 0) & (kept == 0)] = torch.tensor(_colours.rgb(_colours.HIDDEN))
    colours[nan > 0] = torch.tensor(_colours.rgb(_colours.NAN))
    tiles = torch.nn.functional.pad(colours, (0, 0, line, line, line, line), value=255)
    tiles = tiles.unflatten(0, (layers, heads)).permute(0, 2, 1, 3, 4)
    return tiles.flatten(2, 3).flatten(0, 1).numpy()


def _fill(axes: "Axes", where: np.ndarray, colour: str) -> None:
    """Colours many cells at once, where a patch for each would take minutes."""
    from matplotlib.colors import ListedColormap

    edges = (np.arange(n + 1) for n in reversed(where.shape))
    axes.pcolormesh(*edges, np.ma.masked_where(~where, where), cmap=ListedColormap([colour]))


def _cell(query: int, key: int, **style: Any) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((key, query), 1, 1, **style)


def _numbers(values: np.ndarray) -> np.ndarray:
    """What is written into cells, as widgets write it (cellNumber in js/grid.js): .25, and <.01 for what is not 0.

    Counts, whole numbers of which one is larger than any weight, are written as such.
    """
    finite = values[np.isfinite(values)]
    counts = _are_whole(finite) and (finite > 1).any()
    tiny = not (np.abs(finite) >= 0.1).any()  # two digits would say nothing
    return np.vectorize(lambda value: _number(value, counts, tiny), otypes=[str])(values)


def _are_whole(values: np.ndarray) -> bool:
    return bool((values == values.round()).all())


def _number(value: float, counts: bool, tiny: bool) -> str:
    if math.isnan(value):
        return "NaN"
    if counts:
        return f"{value:.0f}"
    if value == 0:
        return "0"
    if tiny:
        return f"{value:.0e}".replace("e-0", "e-").replace("-", "−")
    if abs(value) < 0.005:  # ".00" would say that nothing is there
        return "<.01"
    text = f"{value:.2f}" if abs(value) < 10 else f"{value:.3g}"
    return text.replace("0.", ".", 1) if abs(value) < 1 else text


def _label(token: str) -> str:
    token = text_of(token).replace("\n", "⏎").replace("\r", "⏎").replace("\t", "⇥") or "∅"
    return token if len(token) <= MAX_LABEL else token[: MAX_LABEL - 1] + "…"


def _fewer_colours(png: bytes) -> bytes:
    """The same picture with a palette: less than half the size, and colours that nobody tells from their own."""
    from PIL import Image

    image = Image.open(io.BytesIO(png)).convert("RGB")
    # Maximum coverage keeps rare colours, such as the bright end of the scale; median cut drops them.
    return _saved(image.quantize(256, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE))


def _saved(image: Any) -> bytes:
    """An image as a PNG file."""
    buffer = io.BytesIO()
    image.save(buffer, format="png", optimize=True)
    return buffer.getvalue()


def _size(png: bytes) -> tuple[int, int]:
    """Width and height of a PNG file on the screen, in CSS pixels."""
    width, height = (round(pixels * SCREEN_DPI / DPI) for pixels in struct.unpack(">II", png[16:24]))
    return width, height


def _image(png: bytes, alt: str) -> str:
    """A picture in HTML; it shrinks on a narrow screen."""
    address = f"data:image/png;base64,{base64.b64encode(png).decode()}"
    style = "display: inline-block; vertical-align: top; max-width: 100%; height: auto"  # panels beside each other
    return (
        f'<img class="masks-figure" src="{address}" alt="{html.escape(alt)}" width="{_size(png)[0]}" style="{style}">'
    )


# --- checks ----------------------------------------------------------------------------------------


def _matrix(matrix: Tensor | np.ndarray, name: str) -> np.ndarray:
    matrix = torch.from_numpy(matrix) if isinstance(matrix, np.ndarray) else matrix
    hint = "Pick one sequence and head first: weights[0, 0]." if getattr(matrix, "ndim", 2) in (3, 4) else ""
    require_tensor(matrix, name, (2,), "a (q_len, k_len) tensor", hint)
    if matrix.is_complex():
        raise ValueError(mismatch(name, matrix, "real numbers"))
    return matrix.detach().double().cpu().numpy()


def _tokens(query_tokens: Any, key_tokens: Any, shape: tuple[int, ...]) -> tuple[list[str], list[str]]:
    sides = ("query_tokens", query_tokens, shape[0], "row"), ("key_tokens", key_tokens, shape[1], "column")
    for name, tokens, count, what in sides:
        if isinstance(tokens, str) or not isinstance(tokens, Sequence) or not all(isinstance(t, str) for t in tokens):
            raise TypeError(mismatch(name, tokens, f"a list of strings, one per {what}"))
        if len(tokens) != count:
            raise ValueError(
                f"{name}: got {len(tokens)} tokens for a matrix of shape {tuple(shape)}, wanted {count}, one per "
                f"{what}. Rows are queries, columns are keys."
            )
    return list(query_tokens), list(key_tokens)


def _hidden(keep: Tensor | np.ndarray | None, shape: tuple[int, ...]) -> np.ndarray:
    if keep is None:
        return np.zeros(shape, dtype=bool)
    keep = torch.from_numpy(keep) if isinstance(keep, np.ndarray) else keep
    return ~require_keep_for(keep, shape).cpu().expand(shape).numpy()


def _alt(alt: str) -> str:
    if not isinstance(alt, str) or not alt.strip():
        raise ValueError(
            f"alt: got {alt!r}, wanted a sentence that states what the figure shows, for readers who do not see it."
        )
    return " ".join(text_of(alt).split())


def _limits(values: np.ndarray, limits: tuple[float, float] | None, diverging: bool) -> tuple[float, float]:
    if limits is None:
        finite = values[np.isfinite(values)]
        limits = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    low, high = limits
    if diverging:
        high = max(abs(low), abs(high)) or 1.0
        low = -high
    if not low < high:
        if low > high:
            raise ValueError(f"limits: got {limits!r}, wanted (low, high) with low < high.")
        low, high = low - 0.5, high + 0.5
    return low, high
