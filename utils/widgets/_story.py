"""What the settings of a StoryLab mean: the tokens that are read, the mask, the positions, and the next word.

js/storylab/ says the same of a page. A test holds both against one table of cases.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from math import nan
from typing import Any, NamedTuple

import torch
from torch import Tensor

from .. import masks, models
from .._validation import text_of
from ..text import labels

MODEL = "story-gpt2"
LONGEST = 128  # tokens, pads included: as many as a map can show
LIKELIEST = 5
PRESETS = ("causal", "window", "left_padding", "right_padding", "none", "upside_down", "drawn")
SIDES = {"left_padding": "left", "right_padding": "right"}
FILLS = ("min", "-inf")
#: ``attention_mask`` and ``position_ids``: whether the model is told of pads. ``side``: where they are while a mask is
#: drawn by hand.
PARAMETERS: dict[str, Any] = {"window": 3, "pads": 4, "attention_mask": True, "position_ids": True, "side": ""}


class NextToken(NamedTuple):
    """A token that may come next, and how likely it is.

    Attributes:
        token: its text; a space before a word belongs to it.
        probability: with the mask; NaN where nothing can be read.
        as_trained: of the text alone with a causal mask, as the model was trained.

    References:
        Lesson 00.
    """

    token: str
    probability: float
    as_trained: float


@dataclass(frozen=True)
class Prompt:
    """The tokens that the model reads, pads among them."""

    ids: tuple[int, ...]
    real: tuple[bool, ...]  # False where a pad is

    @property
    def words(self) -> list[int]:
        """Where the tokens of the text are."""
        return [n for n, real in enumerate(self.real) if real]

    @property
    def alone(self) -> "Prompt":
        """The same words without pads."""
        return Prompt(tuple(self.ids[n] for n in self.words), (True,) * len(self.words))

    @property
    def labels(self) -> list[str]:
        """One readable label for each token; a pad is ``pad``, though its id is that of the end of a text."""
        names = labels(loaded()[1], self.ids)
        return [name if real else "pad" for name, real in zip(names, self.real, strict=True)]


@cache
def loaded() -> tuple[Any, Any]:
    """The model, which returns its attention weights, and its tokenizer; loaded once.

    Raises:
        ModelDamaged: its files are not as they came.
    """
    model, tokenizer = models.load(MODEL, attn_implementation="eager")
    for block in model.transformer.h:  # until transformers 5 these hide the future, whatever mask is given
        if hasattr(block.attn, "bias"):
            block.attn.bias.fill_(True)
    return model, tokenizer


def sizes() -> tuple[int, int]:
    """How many layers the model has, and how many heads each."""
    config = loaded()[0].config
    return config.n_layer, config.n_head


@lru_cache(maxsize=16)
def read(text: str, preset: str = "causal", side: str = "", pads: int = 0) -> Prompt:
    """What the model reads of a text: its tokens and, with a preset of padding or drawn on ``side``, pads."""
    side = side if preset == "drawn" else SIDES.get(preset, "")
    pads = pads if side else 0
    _, tokenizer = loaded()
    ids = tokenizer(text_of(text), truncation=True, max_length=LONGEST).input_ids or [tokenizer.eos_token_id]
    words, padding = tuple(ids[: LONGEST - pads]), (tokenizer.eos_token_id,) * pads
    real, none = (True,) * len(words), (False,) * pads
    if side == "left":
        return Prompt(padding + words, none + real)
    return Prompt(words + padding, real + none)


def keep_of(preset: str, parameters: dict, prompt: Prompt, hidden: Sequence[int] = ()) -> Tensor:
    """bool (T, T), True = may attend: the mask of a preset, and no query sees the hidden words."""
    length, words = len(prompt.ids), prompt.words
    if preset == "window":
        keep = masks.sliding_window(length, parameters["window"])
    elif preset == "none":
        keep = masks.full(length)
    elif preset == "upside_down":
        keep = ~masks.causal(length)
    else:
        keep = masks.causal(length)
    if preset in SIDES and parameters["attention_mask"]:  # in rows of pads too, as generate() has it
        keep &= torch.tensor(prompt.real)
    keep[:, [words[n] for n in hidden if n < len(words)]] = False  # pads may have cut the text before it
    return keep


def positions_of(prompt: Prompt, position_ids: bool) -> list[int]:
    """Where the model believes each token is: counted from the first word, with pads at 0, as generate() does."""
    if not position_ids:
        return list(range(len(prompt.ids)))
    counted = torch.tensor(prompt.real).cumsum(0) - 1
    return counted.where(torch.tensor(prompt.real), 0).tolist()


def recognise(keep: Tensor, prompt: Prompt, preset: str, parameters: dict) -> tuple[str, dict, list[int]]:
    """The preset, its parameters and the hidden words that make a mask, present ones first; ``"drawn"`` if none do."""
    empty = [n for n, word in enumerate(prompt.words) if not keep[:, word].any()]
    candidates = [(name, parameters) for name in ("causal", "none", "upside_down")]
    candidates += [("window", parameters | {"window": n}) for n in (parameters["window"], *range(1, len(prompt.ids)))]
    if not all(prompt.real):
        told = parameters["attention_mask"]
        name = "left_padding" if prompt.real[-1] else "right_padding"
        candidates = [(name, parameters | {"attention_mask": value}) for value in (told, not told)]
    candidates.sort(key=lambda candidate: candidate[0] != preset)
    for hidden in ([], empty):
        for name, values in candidates:
            if torch.equal(keep_of(name, values, prompt, hidden), keep):
                return name, values, hidden
    return "drawn", parameters, []


class Pass(NamedTuple):
    """What the model makes of a prompt under a mask."""

    maps: Tensor  # float32 (layers, heads, T, T), weights after the softmax
    probabilities: Tensor  # float64 (vocabulary,), of the next token


def run(
    prompt: Prompt,
    keep: Tensor,
    positions: list[int],
    *,
    fill: str = "min",
    only_head: int | None = None,
    row: int = -1,
) -> Pass:
    """The model with this mask, all heads of it or one in each layer; the next token is read at one row."""
    model, _ = loaded()
    lowest = torch.finfo(torch.float32).min if fill == "min" else -torch.inf
    heads = keep.expand(1, 1, *keep.shape)
    if only_head is not None:
        heads = masks.causal(len(keep)).expand(1, sizes()[1], *keep.shape).clone()
        heads[0, only_head] = keep
    bias = torch.zeros(heads.shape).masked_fill(~heads, lowest)
    with torch.inference_mode():
        out = model(
            torch.tensor([prompt.ids]),
            attention_mask=bias,
            position_ids=torch.tensor([positions]),
            output_attentions=True,
            use_cache=False,
        )
    return Pass(torch.cat(out.attentions).clone(), out.logits[0, row].double().softmax(-1).clone())


@lru_cache(maxsize=16)
def run_as_trained(prompt: Prompt) -> Pass:
    """The model with the words of a prompt, as it was trained: without pads, causal, positions from 0."""
    prompt = prompt.alone
    return run(prompt, masks.causal(len(prompt.ids)), positions_of(prompt, False))


@cache
def _distinct() -> Tensor:
    """bool (vocabulary,): all tokens but those that another one, before it, stands for.

    Most tokens were never trained. They are one to the model, and equally likely: the first of them stands for all.
    """
    weight = loaded()[0].transformer.wte.weight.detach()
    sums = weight.double().sum(-1)
    untrained = (weight == weight[int(sums.mode().indices)]).all(-1)
    distinct = ~untrained
    distinct[untrained.nonzero()[:1]] = True
    return distinct


def likeliest(probabilities: Tensor) -> list[int]:
    """The ids of the likeliest tokens; none if they are not known, which NaN says."""
    if probabilities.isnan().any():
        return []
    _, ids = probabilities.where(_distinct(), -1).sort(descending=True, stable=True)
    return ids[:LIKELIEST].tolist()


def next_tokens(masked: Tensor, trained: Tensor) -> list[NextToken]:
    """The likeliest with a mask and the likeliest as trained, joined; the likeliest with the mask first.

    Args:
        masked: float (vocabulary,), probabilities with the mask.
        trained: the same as trained.
    """
    _, tokenizer = loaded()
    ids = sorted({*likeliest(masked), *likeliest(trained)})
    # NaN is always the same one, which is equal to itself where lists are compared.
    rows = [(nan if masked[i].isnan() else float(masked[i]), float(trained[i]), i) for i in ids]
    rows.sort(key=lambda row: (row[0] != row[0], -row[0] if row[0] == row[0] else 0, -row[1], row[2]))
    return [NextToken(tokenizer.decode([i]), p, as_trained) for p, as_trained, i in rows]


def likeliest_in_words(probabilities: Tensor) -> str:
    """The likeliest token and its probability, as in ``“dog”, 54 %``."""
    if not (ids := likeliest(probabilities)):
        return "NaN"
    return f"“{word(labels(loaded()[1], ids[:1])[0])}”, {100 * probabilities[ids[0]]:.0f} %"


def word(label: str) -> str:
    """A label without the sign for the space before a word."""
    return label.removeprefix("·") or label
