"""Step: one stop of a guided tour through a MaskLab. Taught in lesson 00."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .. import masks
from .._validation import describe_tensor, mismatch, require_keep_for, text_of

#: What a lab, and a step of its tour, can be set to.
FILLS = ("-inf", "min", "-1e9", "-1e4")
DTYPES = ("float32", "float16", "bfloat16")


@dataclass(frozen=True)
class Step:
    """One stop of a guided tour: what to look at or to do, and what the widget is set to on arrival.

    A step that names a setting begins from the widget as it was constructed, so that steps can be visited in any
    order. One that names none leaves everything as the reader has it.

    Attributes:
        words: one or two sentences of plain text, never read as markup; what is between backticks is shown as code.
        preset: a mask of the menu, a key of ``masks.PRESETS``.
        parameters: those of the preset, such as ``{"window": 3}``.
        keep: in place of a preset, bool, True = may attend, broadcastable to (q_len, k_len).
        fill: what hidden scores get, as in ``MaskLab``.
        dtype: the number type, as in ``MaskLab``.
        flipped: whether True is read as ignore.
        head: which head is shown.
        row: which query's row is selected.
        goal: makes the step a task, which is solved while the maps show this mask: bool, True = may attend,
            broadcastable to (q_len, k_len). With the polarity flipped, what counts is what is seen.
        solved: what is said then; "Solved." if not given.

    References:
        Lesson 00, whose tour is made of five.
    """

    words: str
    preset: str | None = None
    parameters: dict[str, Any] = field(default_factory=dict)
    keep: Tensor | None = None
    fill: str | None = None
    dtype: str | None = None
    flipped: bool | None = None
    head: int | None = None
    row: int | None = None
    goal: Tensor | None = None
    solved: str = ""


def pack_steps(steps: Sequence[Step], shape: Sequence[int]) -> list[dict]:
    """Steps as JSON for the page, each ``{"words", "sets", "goal", "solved"}``: see ``pack_keep`` for its masks.

    Args:
        steps: of one tour.
        shape: (heads, q_len, k_len) of the widget.

    Returns:
        a list of dicts; "sets" holds only what a step names.

    Raises:
        TypeError: no list of steps, or a value of a wrong type.
        ValueError: a value that this widget cannot be set to.
    """
    if isinstance(steps, str) or not isinstance(steps, Sequence):
        raise TypeError(mismatch("steps", steps, "a list of widgets.Step"))
    return [_pack_step(step, f"steps[{n}]", *shape) for n, step in enumerate(steps)]


def _pack_step(step: Step, name: str, heads: int, q_len: int, k_len: int) -> dict:
    if not isinstance(step, Step):
        hint = "Write widgets.Step(**step)." if isinstance(step, dict) else ""
        raise TypeError(mismatch(name, step, "a widgets.Step", hint))
    for field_, text in (("words", step.words), ("solved", step.solved)):
        if not isinstance(text, str):
            raise TypeError(mismatch(f"{name}.{field_}", text, "text"))
    if not step.words.strip():
        raise ValueError(f"{name}.words: got nothing, wanted a sentence or two.")
    if step.solved and step.goal is None:
        raise ValueError(f"{name}.solved: got words but no goal; wanted both, or neither.")
    for field_, value, known in (
        ("fill", step.fill, FILLS),
        ("dtype", step.dtype, DTYPES),
        ("flipped", step.flipped, (True, False)),
        ("head", step.head, range(heads)),
        ("row", step.row, range(q_len)),
    ):
        if value is not None:
            require_known(value, f"{name}.{field_}", known)
    sets = {key: getattr(step, key) for key in ("fill", "dtype", "flipped", "head", "row")}
    sets["mask"] = _pack_mask(step, name, q_len, k_len)
    return {
        "words": text_of(step.words),
        "sets": {key: value for key, value in sets.items() if value is not None},
        "goal": "" if step.goal is None else pack_keep(step.goal, q_len, k_len, f"{name}.goal"),
        "solved": text_of(step.solved),
    }


def require_known(value: Any, name: str, known: Sequence) -> None:
    """Nothing, if ``value`` is one of those known.

    Raises:
        ValueError: it is none of them.
    """
    if type(value) is not type(known[0]) or value not in known:  # True is no 1
        wanted = f"0 to {len(known) - 1}" if isinstance(known, range) else f"one of {', '.join(map(repr, known))}"
        raise ValueError(f"{name}: got {value!r}, wanted {wanted}.")


def _pack_mask(step: Step, name: str, q_len: int, k_len: int) -> dict | str | None:
    if step.preset is None and step.parameters:
        raise ValueError(f"{name}.parameters: got {', '.join(step.parameters)} but no preset; wanted both, or neither.")
    if step.preset is None:
        return None if step.keep is None else pack_keep(step.keep, q_len, k_len, f"{name}.keep")
    if step.keep is not None:
        raise ValueError(f"{name}.keep: got {describe_tensor(step.keep)} beside a preset; wanted one of the two.")
    parameters = {key: value.tolist() if isinstance(value, Tensor) else value for key, value in step.parameters.items()}
    mask = {"name": step.preset, "parameters": parameters}
    try:
        read_mask(mask, q_len, k_len)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{name}.preset: {error}") from None
    return mask


def pack_keep(keep: Tensor, q_len: int, k_len: int, name: str = "keep") -> str:
    """A mask as a short text: its cells as bits, row after row, in base64.

    Raises:
        TypeError: no bool tensor.
        ValueError: one that does not broadcast to (q_len, k_len).
    """
    keep = require_keep_for(keep, (q_len, k_len), name).cpu().expand(q_len, k_len)
    return base64.b64encode(np.packbits(keep.numpy()).tobytes()).decode()


def read_mask(mask: dict | str, q_len: int, k_len: int) -> Tensor:
    """bool (q_len, k_len) of a mask in a step: a preset with its parameters, or what ``pack_keep`` returns.

    Raises:
        TypeError: parameters that the preset does not have.
        ValueError: no such preset, or a parameter that is too small.
    """
    if isinstance(mask, dict):
        return masks.preset(mask["name"], q_len, k_len, **mask["parameters"])
    bits = np.unpackbits(np.frombuffer(base64.b64decode(mask), dtype=np.uint8), count=q_len * k_len)
    return torch.from_numpy(bits).reshape(q_len, k_len).bool()
