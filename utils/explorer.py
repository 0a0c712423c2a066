"""Explorer: type a sentence, draw a mask, and watch every head of a real model change. Needs a kernel."""

from collections.abc import Sequence
from contextlib import contextmanager

import ipywidgets
import torch
from torch import Tensor

from utils import conventions, masks, models, text
from utils.describing import sees_causally
from utils.inputs import require_keep_for
from utils.widgets import HeadGrid, MaskLab
from utils.widgets.shared import with_picture

LONGEST = 256  # tokens; a map of more is too fine to click
MOST_PADS = 64


class Explorer(ipywidgets.VBox):
    """A real model run on a sentence of your own, without a mask and with the one you draw.

    The model runs when a sentence, a model or a number of pads is entered, and again when the mask changes. The
    mask is drawn in a ``MaskLab`` over the scores of the chosen head; a ``HeadGrid`` shows what it does to all
    of them. Under it stands how far the model's output moved, measured. On a decoder the mask is joined with
    the model's own causality.

    Args:
        sentence: what the model reads first.
        model: a name that ``models.load`` knows; other names can be typed later.
        names: the models on offer; those that need no hub if not given.
        pads: how many pad tokens are added, on the tokenizer's side.
        keep: bool, True = may attend, broadcastable to (tokens, tokens): the first mask; nothing is hidden if not
            given.
    Attributes:
        lab, grid: the ``MaskLab`` and the ``HeadGrid``; None until the model has run once.
        message: what stands under the controls: what was measured, or why nothing could be.
    Raises:
        TypeError: sentence or model is no string.

    Whatever cannot be run is told in words below the controls, and what was shown before stays.
    """

    def __init__(
        self,
        sentence: str = "The cat sat on the mat because it was warm.",
        model: str = "minilm-bert",
        *,
        names: Sequence[str] | None = None,
        pads: int = 0,
        keep: Tensor | None = None,
    ):
        for name, value in (("sentence", sentence), ("model", model)):
            if not isinstance(value, str):
                raise TypeError(f"{name}: got {type(value).__name__}, wanted a string.")
        names = names or [name for name, source in models.SOURCES.items() if source.has_weights]
        wide = {"style": {"description_width": "auto"}}
        self._sentence = ipywidgets.Text(
            sentence, description="Sentence", continuous_update=False, layout={"flex": "1 1 24em"}, **wide
        )
        self._model = ipywidgets.Combobox(
            value=model,
            options=tuple(names),
            description="Model",
            continuous_update=False,
            layout={"width": "16em"},
            **wide,
        )
        self._pads = ipywidgets.BoundedIntText(
            pads, min=0, max=MOST_PADS, description="Pads", layout={"width": "8em"}, **wide
        )
        self._run = ipywidgets.Button(description="Run", layout={"width": "7em"})
        self._said = ipywidgets.Label()  # a label shows text as it is, never as markup
        self._loaded = {}
        self._result = None
        self._input_ids = None
        self.lab: MaskLab | None = None
        self.grid: HeadGrid | None = None
        controls = [self._sentence, self._model, self._pads, self._run]
        row = ipywidgets.HBox(controls, layout={"flex_flow": "row wrap"})
        super().__init__([row, self._said])
        self._read(keep)
        for control in controls[:-1]:
            control.observe(lambda change: self._read(), "value")
        self._run.on_click(lambda button: self._read())

    @property
    def message(self) -> str:
        return self._said.value

    # -- one sentence, one model --

    def _read(self, keep: Tensor | None = None) -> None:
        """Tokenizes, runs the model without a mask, and starts the two widgets anew."""
        with self._working():
            model, tokenizer = self._load(self._model.value.strip())
            input_ids = self._tokenize(model, tokenizer)
            result = _run(model, input_ids)
            tokens = text.labels(tokenizer, input_ids[0])
            size = len(tokens)
            if keep is not None:
                keep = require_keep_for(keep, (size, size)).expand(size, size)
            elif self.lab is not None and self.lab.keep.shape == (size, size):
                keep = self.lab.keep  # another sentence of the same length: the mask stays
            self._input_ids, self._result, self._tokens = input_ids, result, tokens
            layer, head = (self.grid.layer, self.grid.head) if self.grid else (0, 0)
            weights = _weights(result)
            layer, head = min(layer, len(weights) - 1), min(head, weights.shape[1] - 1)
            # The logarithm of a weight is its score, up to a number that the softmax takes out again.
            self.lab = MaskLab(weights[layer].log(), keep, tokens, head=head)
            self.grid = HeadGrid(weights, weights, tokens, names=("no mask", "your mask"), layer=layer, head=head)
            self.lab.observe(lambda change: self._apply(), "keep")
            self.lab.observe(lambda change: setattr(self.grid, "head", change.new), "head")
            self.grid.observe(lambda change: self._follow(), ["layer", "head"])
            self._apply()
            self.children = (*self.children[:2], self.lab, self.grid)

    def _load(self, name: str):
        if name not in self._loaded:
            # Weights come back from eager attention only.
            self._loaded = {name: models.load(name, attn_implementation="eager")}
        return self._loaded[name]

    def _tokenize(self, model, tokenizer) -> Tensor:
        """(1, tokens) ids of the sentence and the pads."""
        sentence, pads = self._sentence.value, self._pads.value
        ids = tokenizer(sentence).input_ids if sentence.strip() else []
        if not ids:
            raise ValueError("There is nothing to read: type a sentence.")
        most = min(LONGEST, getattr(model.config, "max_position_embeddings", LONGEST))
        if len(ids) + pads > most:
            raise ValueError(f"That is {len(ids) + pads} tokens; at most {most} can be shown. Type less.")
        pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
        input_ids, _ = text.pad_batch([ids], pad, side=tokenizer.padding_side, length=len(ids) + pads)
        return input_ids

    # -- the mask --

    def _apply(self) -> None:
        """Runs the model with the mask as it is drawn now, and says how far its output moved."""
        with self._working():
            (model, _), keep = next(iter(self._loaded.values())), self.lab.keep
            if sees_causally(model):
                keep = keep & masks.causal(len(keep))
            masked = self._result if bool(self.lab.keep.all()) else _run(model, self._input_ids, keep)
            self.grid.update(_weights(self._result), _weights(masked), self._tokens, keep=keep)
            self._said.value = self._measured(_output(masked), _output(self._result))

    def _measured(self, masked: Tensor, unmasked: Tensor) -> str:
        moved = (masked - unmasked).abs().amax(-1)[0]
        changed = int((moved > 1e-5).sum())
        if not changed:
            return "With this mask the output of every token is the same as without."
        at = int(moved.argmax())
        return (
            f"The mask changed the output of {changed} of {len(moved)} tokens, most of all that of token {at}, "
            f"{self._tokens[at]!r}, by {moved[at]:.2f}; a typical number there is {unmasked.abs().median():.2f}."
        )

    def _follow(self) -> None:
        """MaskLab shows the head that was chosen in the grid."""
        with self.lab.hold_sync():
            self.lab.scores = _weights(self._result)[self.grid.layer].log()
            self.lab.head = self.grid.head

    # -- what is seen meanwhile, and where there is no kernel --

    def _repr_mimebundle_(self, **kwargs):
        bundle = super()._repr_mimebundle_(**kwargs)
        return with_picture(bundle, self.grid.picture()) if self.grid else bundle

    @contextmanager
    def _working(self):
        """Shows that the model runs; whatever goes wrong is told in words, and the last result stays."""
        was = self._run.description, self._run.icon, self._run.disabled
        self._run.description, self._run.icon, self._run.disabled = "Running", "spinner spin", True
        try:
            yield
        except Exception as error:  # a model, a network, a disk: whatever it is, the reader wants to know
            self._said.value = " ".join(str(error).split()) or type(error).__name__
        finally:
            self._run.description, self._run.icon, self._run.disabled = was


@torch.no_grad()
def _run(model, input_ids: Tensor, keep: Tensor | None = None):
    # Ones where nothing is hidden: without a mask, models warn of the pads that are looked at on purpose here.
    given = torch.ones_like(input_ids) if keep is None else conventions.to_hf(keep, model=model)
    return model(input_ids, attention_mask=given, output_attentions=True)


def _weights(result) -> Tensor:
    """(layers, heads, tokens, tokens)"""
    if not result.attentions or result.attentions[0] is None:
        raise ValueError("This model returns no attention weights.")
    return torch.cat(result.attentions)


def _output(result) -> Tensor:
    """(1, tokens, dim): hidden states, or logits of a language model."""
    return result.logits if "logits" in result else result.last_hidden_state
