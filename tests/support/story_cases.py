"""What story-gpt2 is asked in a page and in PyTorch: prompts, masks, and the answers of transformers (eager)."""

import functools
from collections.abc import Iterable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from utils import models

LOWEST = torch.finfo(torch.float32).min
PROMPTS = [
    "Lily had a dog and a cat. The dog chased the cat. She was afraid of the",
    "Once upon a time, there was a little girl named",
    "Tom",
    "The sun was shining brightly. A small",
    "“Look, Mommy!” she said. “I found a",
    "Ben and Mia went to the park to play with the ball. Ben",
    "One day, a big bear came out of the",
    "The attention mask hides quarterly earnings from transformers.",
    "naïve café, 東京 and שלום and 🐶",
    "She was so happy that she",
    " leading space",
    "1 2 3 4 5 6 7",
    "Tim loved his red car. He drove it fast. The car hit a tree and",
    "a",
    "\n\n  Two lines,\nand\tmore ",
    "The old man was sad because he had no",
    "They played all day long. When it got dark, they went",
    '"Can I have a cookie?" asked Sam. His mom said',
    "The bird flew up, up, up into the blue",
    "The the the the the the the the",
    "<|endoftext|>Once upon a time",
    "He put the fish in the bowl, the bowl on the table, and the table in the",
    "It was raining. Anna opened her",
    "Max was a good dog. Max had a bone. Max hid the bone in the",
    "Sara wanted to bake a cake for her grandma's birthday, so she asked her mom for",
    "don't can't won't I'm we've they'll",
    "Where is the key? It is under the",
    "The king and the queen lived in a castle. The king wore a",
    "Jack climbed the hill. At the top he saw a",
    "THE END",
]


@dataclass(frozen=True)
class Case:
    """A text, its mask, and what goes with it: what both sides are asked.

    Attributes:
        ids: T tokens.
        keep: bool (T, T), True = may attend.
        positions: T of them.
        fill: what is added to hidden scores.
        head: the one head of every layer that has the mask; the others are causal. None: all have it.
    """

    name: str
    ids: list[int]
    keep: Tensor
    positions: list[int] = field(default_factory=list)
    fill: float = LOWEST
    head: int | None = None

    def as_json(self) -> dict:
        """The case as JSON can hold it, with ``"-inf"`` or ``"min"`` as fill."""
        fill = "min" if self.fill == LOWEST else "-inf"
        keep = self.keep.int().flatten().tolist()
        return {"ids": self.ids, "positions": self.positions, "keep": keep, "head": self.head, "fill": fill}

    def bias(self, heads: int) -> Tensor:
        """The (1, heads, T, T) mask that transformers adds to the scores."""
        keep = self.keep.expand(heads, -1, -1).clone()
        for head in range(heads):
            if self.head not in (None, head):
                keep[head] = torch.ones_like(self.keep).tril()
        return torch.zeros(keep.shape).masked_fill(~keep, self.fill)[None]


@functools.cache
def story():
    """(model, tokenizer) of story-gpt2 in float32, able to return its weights."""
    return models.load("story-gpt2", attn_implementation="eager", dtype=torch.float32)


def cases(prompts: Iterable[str] = PROMPTS) -> list[Case]:
    """Every mask of StoryLab on these texts, and such that nobody would draw."""
    tokenizer = story()[1]
    return [case for prompt in prompts for case in _masks(prompt, tokenizer(prompt)["input_ids"])]


def _masks(prompt: str, ids: list[int]) -> list[Case]:
    length, end = len(ids), story()[0].config.eos_token_id
    places = list(range(length))
    causal = torch.ones(length, length, dtype=torch.bool).tril()
    generator = torch.Generator().manual_seed(length)
    drawn = torch.rand(length, length, generator=generator) < 0.5
    hidden = causal.clone()
    hidden[:, length // 3 :: 4] = False
    empty = causal.clone()
    empty[length // 2] = False
    sparse = causal & drawn
    rows = {
        "causal": Case("", ids, causal, places),
        "window": Case("", ids, causal.triu(-2), places),
        "no mask": Case("", ids, torch.ones_like(causal), places),
        "upside down": Case("", ids, ~causal, places),
        "hidden words": Case("", ids, hidden, places),
        "drawn": Case("", ids, drawn, places),
        "one head": Case("", ids, sparse, places, head=length % 5),
        "one head upside down": Case("", ids, ~causal, places, head=(length + 1) % 5),
        "an empty row": Case("", ids, empty, places),
        "an empty row of -inf": Case("", ids, empty, places, -torch.inf),
        "the last row empty, -inf": Case(
            "", ids, causal & (torch.arange(length) < length - 1)[:, None], places, -torch.inf
        ),
        "one head, -inf": Case("", ids, sparse | torch.eye(length, dtype=torch.bool), places, -torch.inf, length % 5),
        "upside down, -inf": Case("", ids, ~causal, places, -torch.inf),
    }
    pads = 4
    padded = torch.cat([torch.zeros(pads, dtype=torch.long), torch.ones(length, dtype=torch.long)])
    positions = (padded.cumsum(0) - 1).masked_fill(padded == 0, 1).tolist()
    longer, every = torch.ones(length + pads, length + pads, dtype=torch.bool).tril(), list(range(length + pads))
    left, right = longer & padded.bool(), longer & padded.flip(0).bool()
    rows |= {
        "left padding": Case("", [end] * pads + ids, left, positions),
        "left padding, positions from 0": Case("", [end] * pads + ids, left, every),
        "pads that nobody hides": Case("", [end] * pads + ids, longer, every),
        "right padding": Case("", ids + [end] * pads, right, every),
        "left padding, -inf": Case("", [end] * pads + ids, left, positions, -torch.inf),
    }
    return [
        Case(f"{prompt[:20]!r}, {name}", case.ids, case.keep, case.positions, case.fill, case.head)
        for name, case in rows.items()
    ]


@torch.no_grad()
def eager(case: Case) -> tuple[Tensor, Tensor]:
    """What transformers gives: logits (T, vocabulary) and weights (layers, heads, T, T)."""
    model = story()[0]
    done = model(
        torch.tensor([case.ids]),
        attention_mask=case.bias(model.config.n_head),
        position_ids=torch.tensor([case.positions]),
        output_attentions=True,
    )
    return done.logits[0], torch.cat(done.attentions)
