"""Explorer: type a sentence, draw a mask, and watch every head of a real model change. Needs a kernel."""

import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import ipywidgets
import torch
from torch import Tensor

from .. import attention, conventions, models, text
from .._observe import PADDING, observe
from .._validation import require_count, require_keep_for
from ._base import with_picture
from .headgrid import HeadGrid
from .masklab import MaskLab

LONGEST = 256  # tokens; a map of more is too fine to click
MOST_PADS = 64
SAVED = "Drawn from the saved notebook. Run this cell, and the model answers again."


class Explorer(ipywidgets.VBox):
    """A real model run on a sentence of your own, without a mask and with the one you draw.

    The model runs when a sentence, a model or a number of pads is entered, and again when the mask changes. The
    mask is drawn in a ``MaskLab`` on one head of the model without a mask; a ``HeadGrid`` shows what becomes of all
    heads when the model runs with it. How far the output moved is measured and said. On a decoder the mask is
    joined with the model's own causality. Later nothing is raised: what cannot be run is told in words below the
    controls, and what was shown before stays.

    Args:
        sentence: what the model reads first.
        model: a name that ``models.load`` knows; other names can be typed later.
        names: the models on offer; those that need no hub if not given.
        pads: how many pad tokens are added, 0 to 64, on the tokenizer's side.
        keep: bool, True = may attend, broadcastable to (tokens, tokens): the first mask; nothing is hidden if not
            given.

    Attributes:
        lab: the ``MaskLab``; None until the model has run once.
        grid: the ``HeadGrid``; None until the model has run once.

    Raises:
        TypeError: sentence or model is no string, names no list of strings, pads no int, keep not bool.
        ValueError: nothing to read, too much of it, or a keep that does not fit the tokens.
        ModelUnavailable: see ``models.load``.

    References:
        Lesson 00.
        https://ipywidgets.readthedocs.io
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
        if isinstance(names, str) or not all(isinstance(name, str) for name in names or ()):
            raise TypeError(f"names: got {names!r}, wanted a list of model names.")
        if require_count(pads, "pads", minimum=0) > MOST_PADS:
            raise ValueError(f"pads: got {pads}, wanted at most {MOST_PADS}.")
        names = names or [name for name, source in models.SOURCES.items() if source.has_weights]
        wide = {"style": {"description_width": "auto"}}
        late = {"continuous_update": False, **wide}  # told when it is complete
        self._sentence = ipywidgets.Text(sentence, description="Sentence", layout={"flex": "1 1 24em"}, **late)
        self._model = ipywidgets.Combobox(
            value=model, options=tuple(names), description="Model", layout={"width": "16em"}, **late
        )
        self._pads = ipywidgets.BoundedIntText(
            pads, min=0, max=MOST_PADS, description="Pads", layout={"width": "8em"}, **wide
        )
        self._button = ipywidgets.Button(description="Run", layout={"width": "7em"})
        self._said = ipywidgets.HTML()  # a Label would cut a long line off; the text is escaped
        self._between = ipywidgets.HTML()
        self._loaded: dict[str, tuple] = {}
        self._reading: Any = None
        self.lab: Any = None
        self.grid: Any = None
        controls = [self._sentence, self._model, self._pads, self._button]
        row = ipywidgets.HBox(controls, layout={"flex_flow": "row wrap", "overflow": "visible"})
        # shared.css shows it where a page has no kernel.
        saved = ipywidgets.HTML(SAVED, layout={"display": "none"}).add_class("masks-saved")
        self._top = [saved, row, self._said]
        super().__init__(self._top, layout={"overflow": "visible"})  # else with scrollbars of its own
        self.add_class("masks-explorer")
        self._read(keep)
        for control in controls[:-1]:
            control.observe(lambda change: self._try(self._read), "value")
        self._button.on_click(lambda button: self._try(self._read))

    @property
    def message(self) -> str:
        """The words under the controls: what was measured, or why nothing could be."""
        return html.unescape(self._said.value)

    def _say(self, words: str) -> None:
        self._said.value = html.escape(words)

    # -- one sentence, one model --

    def _read(self, keep: Tensor | None = None) -> None:
        """Runs the model on the sentence as it is now; the two widgets start again, and only if all went well."""
        reading = self._run_sentence()
        size = len(reading.tokens)
        if keep is not None:
            keep = require_keep_for(keep, (size, size)).expand(size, size)
        elif self.lab is not None and self.lab.keep.shape == (size, size):
            keep = self.lab.keep  # another sentence of the same length: the mask stays
        weights = reading.weights
        layer, head = (self.grid.layer, self.grid.head) if self.grid else (0, 0)
        layer, head = min(layer, len(weights) - 1), min(head, weights.shape[1] - 1)
        # "min" is what the model itself adds to hidden scores.
        lab = MaskLab(reading.scores[layer], keep, reading.tokens, head=head, fill="min")
        grid = HeadGrid(weights, weights, reading.tokens, names=("no mask", "your mask"), layer=layer, head=head)
        earlier = (self.lab, self.grid)
        try:
            if self.grid:  # how the reader looks at things outlives the sentence
                lab.fill, lab.dtype = self.lab.fill, self.lab.dtype
                grid.side = self.grid.side
            said = reading.show_mask(lab.keep, grid)
        except BaseException:
            _close(lab, grid)
            raise
        self._reading, self.lab, self.grid = reading, lab, grid
        self._say(said)
        self._tell_layer()
        self.children = (*self._top, lab, self._between, grid)
        _close(*earlier)  # now that no page shows them
        lab.observe(lambda change: self._try(self._apply), ["keep", "flipped"])
        lab.observe(lambda change: setattr(grid, "head", change.new), "head")
        grid.observe(lambda change: self._follow(), ["layer", "head"])

    def _run_sentence(self) -> "_Reading":
        model, tokenizer = self._load(self._model.value.strip())
        input_ids = self._tokenize(model, tokenizer)
        result = _run(model, input_ids)
        weights, tokens = _weights(result), text.labels(tokenizer, input_ids[0])
        return _Reading(model, input_ids, tokens, result, weights, _scores(model, input_ids, weights))

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
        self._say(self._reading.show_mask(self.lab.keep ^ self.lab.flipped, self.grid))

    def _follow(self) -> None:
        """MaskLab shows the head that was chosen in the grid."""
        with self.lab.hold_sync():
            self.lab.scores = self._reading.scores[self.grid.layer]
            self.lab.head = self.grid.head
        self._tell_layer()

    def _tell_layer(self) -> None:
        self._between.value = (
            f"Above, the mask is put on one head of layer {self.grid.layer} as it is without a mask. Below, the model "
            "runs with the mask in every layer, so that from the second layer on its scores change too."
        )

    # -- what is seen meanwhile, and where there is no kernel --

    def _repr_mimebundle_(self, **kwargs):
        bundle = super()._repr_mimebundle_(**kwargs)
        return with_picture(bundle, self.grid.picture()) if self.grid else bundle

    def _try(self, step: Callable[[], None]) -> None:
        """Shows that the model runs; whatever goes wrong is told in words, and the last result stays."""
        was = self._button.description, self._button.icon, self._button.disabled
        self._button.description, self._button.icon, self._button.disabled = "Running", "spinner spin", True
        try:
            step()
        except Exception as error:  # a model, a network, a disk: whatever it is, the reader wants to know
            self._say(" ".join(str(error).split()) or type(error).__name__)
        finally:
            self._button.description, self._button.icon, self._button.disabled = was


def _close(*widgets: ipywidgets.DOMWidget | None) -> None:
    """Ends widgets with all that belongs to them: what is not closed is saved into the notebook."""
    for widget in widgets:
        if widget is not None:
            widget.unobserve_all()
            widget.layout.close()
            widget.close()


@dataclass
class _Reading:
    """What a model made of a sentence without a mask, and what it makes of it with one."""

    model: torch.nn.Module
    input_ids: Tensor  # (1, tokens)
    tokens: list[str]
    result: object
    weights: Tensor  # (layers, heads, tokens, tokens)
    scores: Tensor  # the same, before the softmax

    def show_mask(self, keep: Tensor, grid: HeadGrid) -> str:
        """Runs the model with keep (tokens, tokens), puts its weights into the grid, says how far its output moved."""
        nothing_hidden = bool(keep.all())
        for _, layer in observe(self.model, PADDING, len(keep)).kinds():
            keep = keep & layer.rule(len(keep))  # what the model hides by itself stays hidden
        masked = self.result if nothing_hidden else _run(self.model, self.input_ids, keep)
        grid.update(self.weights, _weights(masked), self.tokens, keep=keep)
        return self._moved(_output(masked), _output(self.result))

    def _moved(self, masked: Tensor, unmasked: Tensor) -> str:
        moved = (masked - unmasked).abs().amax(-1)[0]
        changed = int((moved > 1e-5).sum())
        if not changed:
            return "With this mask the output of every token is the same as without."
        at = int(moved.argmax())
        return (
            f"The mask changed the output of {changed} of {len(moved)} tokens, most of all that of token {at}, "
            f"{self.tokens[at]!r}, by {moved[at]:.2f}; a typical number there is {unmasked.abs().median():.2f}."
        )


@torch.no_grad()
def _run(model, input_ids: Tensor, keep: Tensor | None = None):
    # Ones where nothing is hidden: without a mask, models warn of the pads that are looked at on purpose here.
    attention_mask = torch.ones_like(input_ids) if keep is None else conventions.to_hf(keep, model=model)
    return model(input_ids, attention_mask=attention_mask, output_attentions=True)


def _weights(result) -> Tensor:
    """(layers, heads, tokens, tokens)"""
    if not result.attentions or result.attentions[0] is None:
        raise ValueError("This model returns no attention weights.")
    return torch.cat(result.attentions)


def _scores(model, input_ids: Tensor, weights: Tensor) -> Tensor:
    """(layers, heads, tokens, tokens), -inf where the model itself hides a key.

    Of a model whose scores cannot be had, or that adds more to them than a mask, the logarithms of its weights: a
    softmax makes the same of them.
    """
    try:
        scores = torch.cat(attention.scores_of(model, input_ids, attention_mask=torch.ones_like(input_ids)))
    except ValueError:
        return weights.log()
    scores = scores.masked_fill(weights == 0, -torch.inf)
    return scores if torch.allclose(scores.softmax(dim=-1), weights, atol=1e-4) else weights.log()


def _output(result) -> Tensor:
    """(1, tokens, dim): hidden states, or logits of a language model."""
    return result.logits if "logits" in result else result.last_hidden_state
