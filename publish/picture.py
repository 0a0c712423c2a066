"""The picture of a lesson is its mask: small on the lesson's card, large where somebody sends the page to a friend.

It is the mask of the first widget that hides something, as the lesson was executed.
"""

import base64
import copy
import html
import io
import textwrap
import zlib
from typing import TYPE_CHECKING

import nbformat
import numpy as np
import torch
from torch import Tensor

from utils import patterns

from . import paths, static_widgets

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Of a light page. Where the page is dark, it inverts the picture as it does with figures.
VISIBLE, HIDDEN, HATCH = "#3c6dbc", "#e8e8e8", "#8c8c8c"
#: Width and height of a large picture, in pixels: what services that show links ask for.
SIZE = (1200, 630)


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
        keep = _matrix(zlib.decompress(data["keep_bytes"]), (q_len, k_len))
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

    width, height = SIZE
    figure = Figure(figsize=(width / 100, height / 100), dpi=100, facecolor="#f8fafc")
    side = 430
    columns = int(np.ceil(np.sqrt(len(keeps))))
    gap = 18 if columns > 1 else 0
    edge = (side + gap) / columns
    for number, keep in enumerate(keeps):
        longest = max(keep.shape)
        high, wide = ((edge - gap) * length / longest for length in keep.shape)
        left = 70 + edge * (number % columns) + (edge - gap - wide) / 2
        top = (height - side) / 2 + edge * (number // columns) + (edge - gap - high) / 2
        _draw(figure.add_axes((left / width, 1 - (top + high) / height, wide / width, high / height)), keep)
    lines = textwrap.wrap(title, 20)
    size = 46 if len(lines) < 4 else 38
    spoken = textwrap.wrap(sentence, 38)
    tall = len(lines) * size * 1.25 + 26 + len(spoken) * 36
    y = (height - 40 - tall) / 2
    texts = [(line, size, size * 1.25, "#162455", "bold") for line in lines]
    texts += [("", 0, 26, "#000000", "normal")]
    texts += [(line, 25, 36, "#42526b", "normal") for line in spoken]
    for line, points, step, colour, weight in texts:
        figure.text(570 / width, 1 - y / height, line, size=points * 0.72, color=colour, weight=weight, va="top")
        y += step
    figure.text(570 / width, 70 / height, below, size=20 * 0.72, color=VISIBLE, va="bottom")
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=100)
    return data.getvalue()


def _draw(axes: "Axes", keep: Tensor) -> None:
    """The same picture as ``small``, with matplotlib."""
    from matplotlib.collections import LineCollection
    from matplotlib.colors import ListedColormap

    axes.pcolormesh(keep, cmap=ListedColormap([HIDDEN, VISIBLE]), vmin=0, vmax=1, edgecolor="white", linewidth=1)
    hidden = (~keep).nonzero().tolist()
    strokes = [[(key + 0.15, query + 0.85), (key + 0.85, query + 0.15)] for query, key in hidden]
    axes.add_collection(LineCollection(strokes, color=HATCH, linewidth=1))
    axes.set(xlim=(0, keep.shape[1]), ylim=(keep.shape[0], 0))
    axes.set_axis_off()
