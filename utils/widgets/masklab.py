"""MaskLab: draw a mask and watch the attention weights change. Taught in lesson 00."""

from collections.abc import Sequence

import torch
import traitlets
from torch import Tensor

from .. import plots
from .._validation import describe_tensor, mismatch, require_float, require_keep_for
from ._base import MapWidget, module_text, require_labels, require_size, style_text
from .step import DTYPES, FILLS, Step, pack_keep, pack_steps, read_mask, require_known


class Keep(traitlets.TraitType):
    """bool (q_len, k_len), True = may attend: the widget's ``keep_bytes`` as a tensor, a new one at every look.

    Only the bytes are kept and travel to the browser, so whoever changes a tensor in place changes nothing here.
    """

    info_text = "a bool tensor, True = may attend, that broadcasts to (q_len, k_len)"

    def get(self, obj, cls=None) -> Tensor:
        return _keep_tensor(obj.keep_bytes, obj.shape)

    def set(self, obj, value: Tensor | None) -> None:
        obj.keep_bytes = _keep_bytes(value, *obj.shape[1:])


class MaskLab(MapWidget):
    """Attention weights before and after a mask, side by side; every cell of the mask can be clicked.

    Everything is computed in the browser. In a notebook the mask travels both ways: ``lab.keep`` is a bool
    tensor (q_len, k_len), setting it redraws, and ``lab.observe(f, "keep")`` calls f when a cell changes, with
    such tensors as ``change.old`` and ``change.new``. To tie two labs of one size both ways, link "keep_bytes":
    ``traitlets.link`` compares with ``!=``, which tensors answer cell by cell.

    Args:
        scores: (q_len, k_len) or (heads, q_len, k_len) float, before the softmax; finite or -inf.
        keep: bool, True = may attend, broadcastable to (q_len, k_len); nothing is hidden if not given. All
            heads share it.
        query_tokens: q_len labels; numbers if not given. Text is shown as it is, never read as markup.
        key_tokens: k_len labels; query_tokens if not given and q_len == k_len.
        fill: what hidden scores get: "-inf", "min" (finfo of the number type), "-1e9" or "-1e4".
        dtype: the number type of every step: "float32", "float16" or "bfloat16".
        head: which head is shown first.
        steps: a guided tour, shown beside the maps. The widget starts at its first step, so what that names is set
            already, in Python and in the picture too. ``lab.step`` is the number of the step that is shown, from 0;
            setting it goes there.
        alt: what the picture shows, for those who cannot see it; made from the mask if not given.
        words: replaces words of the interface, for another language: see WORDS in js/masklab/words.js.

    Raises:
        TypeError: scores that are no float tensor, a keep that is not bool, labels that are no list of strings, or
            steps that are none.
        ValueError: sizes that do not fit, scores of NaN or +inf, an unknown fill, number type or head, or a step that
            this widget cannot take.

    References:
        Lesson 00, and every lesson after it.
        https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.scaled_dot_product_attention.html
    """

    _esm = module_text("masklab")
    _css = style_text("masklab")

    scores_bytes = traitlets.Bytes().tag(sync=True)  # float32, since -inf is not JSON
    # uint8, 1 = may attend. From the browser it arrives as a memoryview, which Bytes refuses.
    keep_bytes = traitlets.Bytes().tag(sync=True, from_json=lambda value, widget: bytes(value))
    keep = Keep(help="bool (q_len, k_len), True = may attend: the mask as it is drawn now.")
    # {"name", "parameters"} as chosen in one view, for the others: a mask alone can be several presets, as a
    # window of k_len is causal. Views ask the mask itself where this does not make it.
    preset = traitlets.Dict().tag(sync=True)
    fill = traitlets.Enum(FILLS, "-inf").tag(sync=True)
    dtype = traitlets.Enum(DTYPES, "float32").tag(sync=True)
    flipped = traitlets.Bool(False).tag(sync=True)
    steps = traitlets.List(traitlets.Dict()).tag(sync=True)  # see pack_steps
    step = traitlets.Int(0, help="The step of the tour that is shown, from 0.").tag(sync=True)
    start = traitlets.Dict().tag(sync=True)  # what a step that sets something begins from
    _hears_the_page = False

    def __init__(
        self,
        scores: Tensor,
        keep: Tensor | None = None,
        query_tokens: Sequence[str] | None = None,
        key_tokens: Sequence[str] | None = None,
        *,
        fill: str = "-inf",
        dtype: str = "float32",
        head: int = 0,
        steps: Sequence[Step] = (),
        alt: str = "",
        words: dict | None = None,
    ):
        scores = _scores(scores)
        heads, q_len, k_len = scores.shape
        queries, keys = require_labels(query_tokens, key_tokens, "query_tokens", q_len, k_len)
        for name, value, known in (("fill", fill, FILLS), ("dtype", dtype, DTYPES), ("head", head, range(heads))):
            require_known(value, name, known)
        self._alt = alt
        tour = pack_steps(steps, (heads, q_len, k_len))
        mask = pack_keep(torch.ones(1, 1, dtype=torch.bool) if keep is None else keep, q_len, k_len)
        start = {"mask": mask, "fill": fill, "dtype": dtype, "flipped": False, "head": head}
        super().__init__(
            shape=[heads, q_len, k_len],
            scores_bytes=scores.numpy().tobytes(),
            query_tokens=queries,
            key_tokens=keys,
            words=words or {},
            steps=tour,
            start=start if tour else {},
            **_traits_of(start | (tour[0]["sets"] if tour else {}), q_len, k_len),
        )

    @property
    def scores(self) -> Tensor:
        """float32 (heads, q_len, k_len), before the softmax. Others of the same shape can be set."""
        return torch.frombuffer(bytearray(self.scores_bytes), dtype=torch.float32).reshape(self.shape)

    @scores.setter
    def scores(self, scores: Tensor) -> None:
        scores = _scores(scores)
        if list(scores.shape) != self.shape:
            raise ValueError(f"scores: got {describe_tensor(scores)}, wanted {tuple(self.shape)}, as at the start.")
        self.scores_bytes = scores.numpy().tobytes()

    @traitlets.validate("keep_bytes")
    def _same_size(self, proposal):
        value = proposal["value"]
        if self.shape and len(value) != self.shape[1] * self.shape[2]:
            raise traitlets.TraitError(f"keep_bytes: got {len(value)} bytes, wanted {self.shape[1] * self.shape[2]}.")
        return value

    @traitlets.observe("keep_bytes")
    def _tell_keep(self, change):
        old = _keep_tensor(change.old, self.shape) if change.old else traitlets.Undefined  # none when it is made
        self._notify_trait("keep", old, self.keep)

    @traitlets.validate("step")
    def _step_exists(self, proposal):
        value, count = proposal["value"], len(self.steps)
        if value and not 0 <= value < count:
            raise ValueError(f"step: got {value}, wanted 0 to {count - 1}." if count else "step: there are no steps.")
        return value

    @traitlets.observe("step")
    def _go_to_step(self, change):
        sets = self.steps[change.new]["sets"] if self.steps else {}
        if not sets or self._hears_the_page:
            return
        with self.hold_sync():
            for name, value in _traits_of(self.start | sets, *self.shape[1:]).items():
                setattr(self, name, value)

    def set_state(self, sync_data):
        """Takes what a page says. One that goes to a step sets everything itself, and may have drawn meanwhile.

        Args:
            sync_data: names of traits, with values as they arrive.
        """
        self._hears_the_page = True
        try:
            super().set_state(sync_data)
        finally:
            self._hears_the_page = False

    def picture(self) -> plots.Picture:
        """The state as a figure with alt text: what GitHub, print and PDF show.

        It is computed in float64, whatever the number type: it shows the mask, not what a small type rounds.
        """
        keep = self.keep ^ self.flipped
        fill = self.fill if self.fill in ("-inf", "min") else float(self.fill)
        alt = self._alt or _alt(keep)
        return plots.before_after(self.scores[self.head], keep, self.query_tokens, self.key_tokens, alt=alt, fill=fill)


def _scores(scores) -> Tensor:
    wanted = "a float tensor (q_len, k_len) or (heads, q_len, k_len)"
    if isinstance(scores, Tensor) and scores.ndim == 4:
        raise ValueError(mismatch("scores", scores, wanted, "Of a batch pick one sequence: scores[0]."))
    require_float(scores, "scores", (2, 3), wanted, "Did you pass a mask?")
    scores = scores.detach().to("cpu", torch.float32).reshape(-1, *scores.shape[-2:]).contiguous()
    require_size(scores, "scores")
    if bool((scores.isnan() | (scores == torch.inf)).any()):
        raise ValueError("scores: got NaN or +inf among them, wanted finite values or -inf, before the softmax.")
    return scores


def _traits_of(settings: dict, q_len: int, k_len: int) -> dict:
    """The traits of a lab for what a step, on top of the lab as constructed, is set to."""
    mask = settings["mask"]
    traits = {name: value for name, value in settings.items() if name not in ("mask", "row")}  # each view has its row
    preset = mask if isinstance(mask, dict) else {}
    return traits | {"preset": preset, "keep_bytes": _keep_bytes(read_mask(mask, q_len, k_len), q_len, k_len)}


def _keep_bytes(keep, q_len: int, k_len: int) -> bytes:
    keep = require_keep_for(keep, (q_len, k_len)).cpu().expand(q_len, k_len)
    return keep.to(torch.uint8).contiguous().numpy().tobytes()


def _keep_tensor(keep_bytes: bytes, shape: Sequence[int]) -> Tensor:
    return torch.frombuffer(bytearray(keep_bytes), dtype=torch.uint8).reshape(*shape[1:]).bool()


def _alt(keep: Tensor) -> str:
    hidden, empty = int((~keep).sum()), int((~keep.any(dim=1)).sum())
    rows = f" {empty} of {len(keep)} queries see nothing." if empty else ""
    return (
        f"Attention weights of {keep.shape[0]} queries and {keep.shape[1]} keys before and after a mask that hides "
        f"{hidden} of {keep.numel()} cells.{rows}"
    )
