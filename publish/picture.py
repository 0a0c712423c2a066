"""The picture of a lesson is its mask: small on the lesson's card, large where somebody sends the page to a friend.

It is the mask of the first widget that hides something, as the lesson was executed.
"""

import base64
import copy
import html
import io
import math
import textwrap
import zlib
from typing import TYPE_CHECKING

import nbformat
import numpy as np
import torch
from torch import Tensor

from utils import patterns
from utils._colours import HATCH, HIDDEN, WEIGHTS
from utils.plots import VISIBLE

from . import paths, static_widgets

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Width and height of a large picture, in pixels: what services that show links ask for.
SIZE = (1200, 630)
#: In it, in pixels: the square of the masks, what is left of it, and where the words begin. Points to a pixel.
SQUARE, MARGIN, LEFT_OF_WORDS, POINTS = 430, 70, 570, 0.72


def mask(notebook: nbformat.NotebookNode) -> Tensor:
    """The mask that stands for an executed lesson: bool (q_len, k_len), True = may attend.

    It is what its first widget shows. Where that hides nothing yet, or everything, its pads are hidden; if it has
    none, the next widget is asked.

    Raises:
        LessonError: no widget hides anything.
    """
    states = static_widgets.replace_views(copy.deepcopy(notebook))
    for saved in states.values():
        if "shape" in saved["state"]:
            keep = _keep(saved)
            if not keep.all():
                return keep
    raise paths.LessonError("a lesson needs a MaskLab or a HeadGrid that hides something: its card shows that mask")


def _keep(saved: dict) -> Tensor:
    """What a saved MaskLab or HeadGrid shows, pads hidden."""
    state = saved["state"]
    *maps, q_len, k_len = state["shape"]
    data = {buffer["path"][0]: base64.b64decode(buffer["data"]) for buffer in saved["buffers"]}
    keep = torch.ones(q_len, k_len, dtype=torch.bool)
    if len(maps) == 1:  # a MaskLab
        keep = _matrix(data["keep_bytes"], (q_len, k_len))
    elif data.get("keep_bytes"):
        keep = _matrix(zlib.decompress(data["keep_bytes"]), (-1, q_len, k_len))[-1]  # of two, the later one
    elif data.get("after_bytes"):  # what the first head gives weight to
        keep = _matrix(zlib.decompress(data["after_bytes"]), (*maps, q_len, k_len))[0, 0]
    if not keep.any():
        keep = ~keep
    return keep & torch.tensor([token.lower() != "[pad]" for token in state["key_tokens"]])


def _matrix(data: bytes, shape: tuple[int, ...]) -> Tensor:
    """One byte a cell as bool: whether it is not 0."""
    return torch.frombuffer(bytearray(data), dtype=torch.uint8).reshape(shape).bool()


def words(keep: Tensor) -> str:
    """What a picture of a mask shows, for those who cannot see it."""
    q_len, k_len = keep.shape
    hidden = int((~keep).sum())
    names = "; ".join(map(str, patterns.recognise(keep)))
    return f"A mask of {q_len} queries by {k_len} keys, {hidden} of {keep.numel()} cells hidden: {names}."


def small(keep: Tensor) -> str:
    """A mask as SVG: visible cells are filled, hidden ones hatched."""
    rows, columns = keep.shape
    filled = [(query, *run) for query in range(rows) for run in _runs(keep[query])]
    cells = "".join(f"M{start} {query}h{end - start}v1H{start}z" for query, start, end in filled)
    hatch = "".join(f"M{key + 0.15} {query + 0.85}l.7-.7" for query, key in (~keep).nonzero().tolist())
    lines = "".join(f"M{x} 0v{rows}" for x in range(1, columns)) + "".join(f"M0 {y}h{columns}" for y in range(1, rows))
    return (
        f'<svg class="mask-picture" viewBox="0 0 {columns} {rows}" role="img" aria-label="{html.escape(words(keep))}">'
        f'<path fill="{HIDDEN}" d="M0 0h{columns}v{rows}H0z"/><path fill="{VISIBLE}" d="{cells}"/>'
        f'<path stroke="{HATCH}" stroke-width=".08" d="{hatch}"/>'
        f'<path stroke="#fff" stroke-width=".08" d="{lines}"/></svg>'
    )


def _runs(row: Tensor) -> list[tuple[int, int]]:
    """First and last + 1 of each run of True."""
    edges = np.flatnonzero(np.diff(np.pad(row.numpy().astype(int), 1)))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def large(keeps: list[Tensor], title: str, sentence: str, below: str) -> bytes:
    """One mask, or several small ones, beside a title and a sentence, as a PNG file of ``SIZE``."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(SIZE[0] / 100, SIZE[1] / 100), dpi=100, facecolor="#f8fafc")
    for keep, (left, top, wide, high) in zip(keeps, _boxes(keeps), strict=True):
        box = (left / SIZE[0], 1 - (top + high) / SIZE[1], wide / SIZE[0], high / SIZE[1])
        _draw(figure.add_axes(box), keep, wide / keep.shape[1])
    lines = textwrap.wrap(title, 20)
    size = 46 if len(lines) < 4 else 38
    texts = [(line, size, 1.25, WEIGHTS[-1], "bold") for line in lines]
    texts += [("", 26, 1, "black", "normal")]
    texts += [(line, 25, 1.45, "#42526b", "normal") for line in textwrap.wrap(sentence, 38)]
    y = (SIZE[1] - 40 - sum(pixels * spacing for _, pixels, spacing, *_ in texts)) / 2
    for line, pixels, spacing, colour, weight in texts:
        where = LEFT_OF_WORDS / SIZE[0], 1 - y / SIZE[1]
        figure.text(*where, line, size=pixels * POINTS, color=colour, weight=weight, va="top")
        y += pixels * spacing
    figure.text(LEFT_OF_WORDS / SIZE[0], 70 / SIZE[1], below, size=20 * POINTS, color=VISIBLE, va="bottom")
    data = io.BytesIO()
    figure.savefig(data, format="png")
    return data.getvalue()


def _boxes(keeps: list[Tensor]) -> list[tuple[float, float, float, float]]:
    """Left, top, width and height of each mask, in pixels: all of them in one square, row by row."""
    columns = math.ceil(math.sqrt(len(keeps)))
    gap = 18 if columns > 1 else 0
    step = (SQUARE + gap) / columns
    boxes = []
    for number, keep in enumerate(keeps):
        high, wide = ((step - gap) * length / max(keep.shape) for length in keep.shape)
        left, top = MARGIN + step * (number % columns), (SIZE[1] - SQUARE) / 2 + step * (number // columns)
        boxes.append((left + (step - gap - wide) / 2, top + (step - gap - high) / 2, wide, high))
    return boxes


def _draw(axes: "Axes", keep: Tensor, cell: float) -> None:
    """The same picture as ``small``, with matplotlib; a cell is so many pixels wide."""
    from matplotlib.collections import LineCollection
    from matplotlib.colors import ListedColormap

    line = max(0.7, 0.06 * cell * POINTS)
    axes.pcolormesh(keep, cmap=ListedColormap([HIDDEN, VISIBLE]), vmin=0, vmax=1, edgecolor="white", linewidth=line)
    hidden = (~keep).nonzero().tolist()
    strokes = [[(key + 0.15, query + 0.85), (key + 0.85, query + 0.15)] for query, key in hidden]
    axes.add_collection(LineCollection(strokes, color=HATCH, linewidth=line))
    axes.set(xlim=(0, keep.shape[1]), ylim=(keep.shape[0], 0))
    axes.set_axis_off()
