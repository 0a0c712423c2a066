"""HeadGrid: the attention maps of every layer and head of a model, before and after. First used in lesson 00."""

import zlib
from collections.abc import Sequence

import torch
import traitlets
from torch import Tensor

from .. import plots
from .._validation import describe_tensor, mismatch, require_keep_for
from ._base import MapWidget, module_text, require_labels, require_size, style_text

MAX_VALUES = 2**24  # of before and after together: about 10 MB in a page
SIDES = ("before", "after", "change")

# What a byte stands for: the middle between two edges. Numbers are shown with two digits, and every edge but the
# finest is one at which these change, or lies between two such, so that what is shown is what the weight would give.
# Below 0.1 the steps are finer, for the colours. 0 is exactly 0, and the last byte is NaN.
_EDGES = torch.cat(
    [
        0.005 * (torch.arange(17, dtype=torch.float64) / 16) ** 2,
        torch.linspace(0.0075, 0.105, 40, dtype=torch.float64),
        torch.linspace(0.115, 0.995, 89, dtype=torch.float64),
    ]
)
LEVELS = torch.full((256,), torch.nan)
LEVELS[0] = 0.0
LEVELS[1 : len(_EDGES)] = (_EDGES[1:] + _EDGES[:-1]) / 2
LEVELS[len(_EDGES)] = 1.0


class HeadGrid(MapWidget):
    """Every layer × head of a model as a thumbnail, before and after a mask (or A and B); one of them large.

    A click or the arrow keys choose the head that is shown large. Everything is drawn in the browser. In a
    notebook ``grid.layer`` and ``grid.head`` follow the choice, and ``update`` shows other weights.
    Weights are stored as one byte each: exact to 0.005, and finer below 0.1.

    Args:
        before: attention weights, after the softmax: (layers, heads, q_len, k_len) float from 0 to 1, NaN
            allowed; or the ``attentions`` of a Hugging Face model run on one sequence, a tuple of
            (1, heads, q_len, k_len).
        after: the same shape, under a mask, or of another model; without it one side is shown.
        tokens: q_len labels; numbers if not given. Text is shown as it is, never read as markup.
        key_tokens: k_len labels; tokens if not given and q_len == k_len.
        keep: bool, True = may attend, broadcastable to (q_len, k_len): what the mask of ``after`` hides is hatched.
            Or two, of ``before`` and ``after``.
        names: what the two sides are called.
        layer: the layer whose map is large at first, counted from 0.
        head: the head whose map is large at first, counted from 0.
        alt: what the picture shows, for those who cannot see it; made from the weights if not given.
        words: replaces words of the interface, for another language: see WORDS in js/headgrid/words.js.

    Raises:
        TypeError: weights that are no float tensor, a keep that is not bool, labels that are no list of strings.
        ValueError: sizes that do not fit, values outside 0 to 1, a keep without after, a layer or head that is not
            there.

    References:
        Lesson 00.
        https://huggingface.co/docs/transformers/main_classes/output, ``attentions``
    """

    _esm = module_text("headgrid")
    _css = style_text("headgrid")

    before_bytes = traitlets.Bytes().tag(sync=True)  # zlib, one index into levels_bytes for each weight
    after_bytes = traitlets.Bytes().tag(sync=True)  # empty without after
    keep_bytes = traitlets.Bytes().tag(sync=True)  # zlib, uint8, 1 = may attend; of after, or of both
    levels_bytes = traitlets.Bytes(LEVELS.numpy().tobytes()).tag(sync=True)
    names = traitlets.List(traitlets.Unicode(), ["before", "after"]).tag(sync=True)
    layer = traitlets.Int(0).tag(sync=True)
    side = traitlets.Enum(SIDES, "before").tag(sync=True)
    version = traitlets.Int(0).tag(sync=True)  # rises when weights, tokens and keep have all arrived

    def __init__(
        self,
        before: Tensor | Sequence[Tensor],
        after: Tensor | Sequence[Tensor] | None = None,
        tokens: Sequence[str] | None = None,
        key_tokens: Sequence[str] | None = None,
        *,
        keep: Tensor | tuple[Tensor, Tensor] | None = None,
        names: tuple[str, str] = ("before", "after"),
        layer: int = 0,
        head: int = 0,
        alt: str = "",
        words: dict | None = None,
    ):
        strings = isinstance(names, Sequence) and not isinstance(names, str)
        if not strings or len(names) != 2 or not all(isinstance(name, str) for name in names):
            raise ValueError(f"names: got {names!r}, wanted two strings, for before and after.")
        super().__init__(names=list(names), words=words or {}, side="before" if after is None else "after")
        self.update(before, after, tokens, key_tokens, keep=keep, alt=alt)
        self.layer, self.head = layer, head

    def update(
        self,
        before: Tensor | Sequence[Tensor],
        after: Tensor | Sequence[Tensor] | None = None,
        tokens: Sequence[str] | None = None,
        key_tokens: Sequence[str] | None = None,
        *,
        keep: Tensor | tuple[Tensor, Tensor] | None = None,
        alt: str = "",
    ) -> None:
        """Shows other weights, of any shape.

        Args:
            before: as in ``HeadGrid``, like all others.
            after: float (layers, heads, q_len, k_len), or None for one side.
            tokens: q_len labels.
            key_tokens: k_len labels.
            keep: bool, True = may attend, broadcastable to (q_len, k_len); or two.
            alt: what the picture shows.

        Raises:
            TypeError: as in ``HeadGrid``. Nothing has changed then.
            ValueError: as in ``HeadGrid``. Nothing has changed then.

        References:
            Lesson 00.
        """
        before = _weights(before, "before")
        layers, heads, q_len, k_len = before.shape
        if after is not None:
            after = _weights(after, "after")
            if after.shape != before.shape:
                raise ValueError(mismatch("after", after, f"{tuple(before.shape)}, the shape of before"))
        if before.numel() * (1 if after is None else 2) > MAX_VALUES:
            hint = "Pass some layers only, before[:4], or fewer tokens."
            raise ValueError(mismatch("before", before, f"at most {MAX_VALUES:,} weights in all", hint))
        query_tokens, key_tokens = require_labels(tokens, key_tokens, "tokens", q_len, k_len)
        if keep is not None:
            if after is None:
                raise ValueError("keep: given without after; it says what the mask of after hides. Leave it out.")
            keep = _keeps(keep, (q_len, k_len))
        rows = keep if isinstance(keep, tuple) else () if keep is None else (keep,)
        # Packing takes most of the time, and often only the other side is new. The bytes say if this is the first time.
        packed = bool(self.before_bytes) and torch.equal(before, self.before)  # type: ignore[has-type]
        self.before, self.after, self.keep = before, after, keep
        self._alt = alt or _alt(before, after, self.names)
        with self.hold_sync():
            self.shape = list(before.shape)
            self.layer, self.head = min(self.layer, layers - 1), min(self.head, heads - 1)
            self.query_tokens, self.key_tokens = query_tokens, key_tokens
            if not packed:
                self.before_bytes = _packed(_codes(before))
            self.after_bytes = b"" if after is None else _packed(_codes(after))
            self.keep_bytes = b"" if keep is None else _packed(torch.cat(rows).to(torch.uint8))
            self.version += 1

    def picture(self) -> plots.Picture:
        """All maps as a figure with alt text: what GitHub, print and PDF show."""
        return plots.head_grid(
            self.before, self.after, titles=(self.names[0], self.names[1]), keep=self.keep, alt=self._alt
        )


def _keeps(keep, shape: tuple[int, int]) -> Tensor | tuple[Tensor, Tensor]:
    """bool (q_len, k_len): what ``after`` shows, or in a tuple ``before`` and ``after``."""
    if not isinstance(keep, tuple) or len(keep) != 2:
        return require_keep_for(keep, shape).cpu().expand(shape)
    before, after = (require_keep_for(each, shape, f"keep[{n}]").cpu().expand(shape) for n, each in enumerate(keep))
    return before, after


def _weights(weights, name: str) -> Tensor:
    """float32 (layers, heads, q_len, k_len) on the CPU, every value 0 to 1 or NaN."""
    wanted = "a float tensor (layers, heads, q_len, k_len) or a model's attentions for one sequence"
    if isinstance(weights, Sequence) and not isinstance(weights, str):
        weights = _stacked(weights, name, wanted)
    if not isinstance(weights, Tensor):
        hint = "From numpy: torch.from_numpy(...)." if hasattr(weights, "__array__") else ""
        raise TypeError(mismatch(name, weights, wanted, hint))
    if weights.ndim != 4 or weights.numel() == 0:
        hint = "Of a batch pick one sequence: weights[:, 0]." if weights.ndim == 5 else ""
        raise ValueError(mismatch(name, weights, wanted, hint))
    if not weights.is_floating_point():
        raise TypeError(mismatch(name, weights, wanted, "Did you pass a mask?"))
    require_size(weights, name)
    weights = weights.detach().to("cpu", torch.float32, copy=True)
    # A sum of many small weights in bfloat16 may give 1.004.
    low, high = weights.nan_to_num(0.0).aminmax()
    if low < 0 or high > 1.01:
        raise ValueError(
            f"{name}: got values from {low:.3g} to {high:.3g}, wanted weights from 0 to 1. Are these scores? "
            "Then take scores.softmax(-1)."
        )
    return weights


def _stacked(layers: Sequence, name: str, wanted: str) -> Tensor:
    if not layers:
        raise TypeError(f"{name}: got an empty list, wanted {wanted}.")
    for n, layer in enumerate(layers):
        if isinstance(layer, Sequence) and not isinstance(layer, str):
            raise TypeError(
                f"{name}[{n}]: got {describe_tensor(layer)}, wanted {wanted}. generate() nests one tuple per step: "
                "pass one step, result.attentions[0] for the prompt, or run the finished text once: "
                "model(result.sequences, output_attentions=True).attentions."
            )
        if not isinstance(layer, Tensor):
            hint = "SDPA returns no weights: load the model with attn_implementation='eager'." if layer is None else ""
            raise TypeError(mismatch(f"{name}[{n}]", layer, wanted, hint))
    if len({layer.shape for layer in layers}) > 1:
        raise ValueError(f"{name}: got layers of different shapes, wanted {wanted}.")
    if layers[0].ndim != 4:
        return torch.stack(list(layers))
    if len(layers[0]) != 1:
        raise ValueError(
            f"{name}: got layers of {describe_tensor(layers[0])}, a batch of {len(layers[0])}, wanted one "
            "sequence: [layer[:1] for layer in attentions]."
        )
    return torch.cat(list(layers))


def _codes(weights: Tensor) -> Tensor:
    """uint8: between which edges each weight lies."""
    codes = torch.bucketize(weights.double(), _EDGES)
    return torch.where(weights.isnan(), len(LEVELS) - 1, codes).to(torch.uint8)


def _packed(codes: Tensor) -> bytes:
    return zlib.compress(codes.contiguous().numpy().tobytes(), 9)


def _alt(before: Tensor, after: Tensor | None, names: Sequence[str]) -> str:
    layers, heads, q_len, k_len = before.shape
    text = f"Attention maps of {layers} layers with {heads} heads each, {q_len} queries by {k_len} keys"
    if after is None:
        return f"{text}."
    if torch.equal(after, before):
        return f"{text}, {names[0]} and {names[1]}: the same."
    moved = (after - before).abs().sum(-1).nanmean(-1) / 2  # of each head
    if bool(moved.isnan().all()):
        return f"{text}, {names[0]} and {names[1]}."
    layer, head = divmod(int(moved.nan_to_num(-1.0).argmax()), heads)
    return (
        f"{text}, {names[0]} and {names[1]}. On average {moved.nanmean():.0%} of the weight moved, "
        f"most in layer {layer}, head {head}: {moved[layer, head]:.0%}."
    )
