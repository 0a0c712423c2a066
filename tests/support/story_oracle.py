"""Prompts × masks for StoryLab's engine, and what transformers' eager attention in float32 says to each of them."""

import zlib
from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor

from utils import models

MIN, INFINITE = torch.finfo(torch.float32).min, -torch.inf
EOS = 50256

#: From one token to 122; known words and unknown ones, other scripts, odd spaces, a special token.
PROMPTS = [
    "<|endoftext|>",
    "Once",
    "My dog is",
    "It will rain in the",
    "I want to eat a big bowl of",
    "Lily had a dog and a cat. The dog chased the cat. She was afraid of the",
    "Tom found a red ball. He gave the ball to",
    "The cat sat on the mat. The cat",
    "One day, a little girl named Lily found a needle in her room. She knew it was",
    "Ben and Mia went to the park. They saw a big",
    "The sun was hot and the sky was",
    "Mom said, “Do not run!” But Tom",
    "She was very sad because",
    "Once upon a time, there was a small bird. It could not fly. Its mother said",
    "The bear, the fox, the owl and the",
    "He was not happy. He was",
    "They lived happily ever",
    "Anna has two dogs. Max has one dog. The dogs of Anna",
    "the the the the the the the the",
    "Quantum chromodynamics is a gauge theory of the",
    "naïve café, 猫 and 👩‍👩‍👧 play",
    "שלום, said the",
    "  two  spaces\n\nand a\ttab",
    "“Can I play with you?” asked the rabbit. “Yes,” said the",
    "A",
    ".",
    "It was a dark night. The moon was",
    "Sam lost his hat. He looked under the bed. He looked behind the door. At last he found his",
    "Grandma baked a cake.<|endoftext|>Tim had a",
    "I like apples and you like",
    "12 + 7 = 19, so 7 +",
    "When the rain stopped, the children ran outside and jumped in the",
    "There was a king who had three sons. The first son was strong. The second son was clever. The third son was kind. "
    "One morning the king called them and said: bring me the best thing that you can find in the whole wide world. "
    "So they went away, each on a road of his own. The first son came to a",
    "A cat sat by a dog and they played with a ball. " * 9 + "Then the cat saw a",
]


class Case(NamedTuple):
    """One forward pass: what the engine gets, and what eager attention gets.

    Attributes:
        name: of its mask.
        ids: T token ids, pads included.
        positions: T position ids.
        keep: (T, T) bool, True = may attend.
        fill: what is added to the scores of hidden keys.
        head: the one head of every layer that has this mask, while the others are causal; None for all.
    """

    name: str
    ids: list[int]
    positions: list[int]
    keep: Tensor
    fill: float
    head: int | None = None

    def bias(self, heads: int) -> Tensor:
        """(1, 1 or heads, T, T), as transformers adds it to the scores of every layer."""
        keep = self.keep[None, None]
        if self.head is not None:
            keep = _causal(len(self.ids)).repeat(1, heads, 1, 1)
            keep[0, self.head] = self.keep
        return torch.zeros(keep.shape).masked_fill(~keep, self.fill)


class Answer(NamedTuple):
    """What a forward pass gives: logits (T, rows) of the tokens that differ, weights (layers, heads, T, T)."""

    logits: Tensor
    maps: Tensor


class Story(NamedTuple):
    """A greedy continuation by ``generate()``: the row of a batch that it began with, and up to 30 new tokens."""

    ids: list[int]
    attention_mask: list[int]
    told: list[int]


def _causal(length: int) -> Tensor:
    return torch.ones(length, length).tril().bool()


def _padded(name: str, ids: list[int], pads: int, side: str, fill: float, with_positions: bool) -> Case:
    real = torch.ones(len(ids), dtype=torch.long)
    none = torch.zeros(pads, dtype=torch.long)
    attention_mask = torch.cat([none, real] if side == "left" else [real, none])
    keep = _causal(len(attention_mask)) & attention_mask.bool()
    # As generate() derives them; what stands at pads differs between versions of transformers.
    counted = (attention_mask.cumsum(-1) - 1).masked_fill(attention_mask == 0, 0)
    positions = counted if with_positions else torch.arange(len(attention_mask))
    padded = [EOS] * pads + ids if side == "left" else ids + [EOS] * pads
    return Case(name, padded, positions.tolist(), keep, fill)


def cases(ids: list[int]) -> list[Case]:
    """A prompt under every mask that StoryLab offers, and under random ones, the same in each run."""
    length = len(ids)
    places = list(range(length))
    chance = torch.Generator().manual_seed(zlib.crc32(repr(ids).encode()))
    causal, everything = _causal(length), torch.ones(length, length).bool()

    def drawn(share: float) -> Tensor:
        return torch.rand(length, length, generator=chance) < share

    def hidden(keep: Tensor, *keys: int) -> Tensor:
        seen = torch.ones(length).bool()
        seen[[key % length for key in keys]] = False
        return keep & seen

    def plain(name: str, keep: Tensor, fill: float = MIN, head: int | None = None) -> Case:
        return Case(name, ids, places, keep, fill, head)

    return [
        plain("causal", causal),
        plain("causal, -inf", causal, INFINITE),
        plain("window of 3", causal & ~causal.tril(-3)),
        _padded("4 pads on the left", ids, 4, "left", MIN, True),
        _padded("4 pads on the left, without position_ids", ids, 4, "left", MIN, False),
        _padded("2 pads on the left, -inf: NaN spreads", ids, 2, "left", INFINITE, True),
        _padded("3 pads on the right", ids, 3, "right", MIN, True),
        _padded("3 pads on the right, without position_ids, -inf", ids, 3, "right", INFINITE, False),
        plain("no mask", everything),
        plain("upside down: the last row is empty", ~causal),
        plain("upside down, -inf", ~causal, INFINITE),
        plain("two words hidden", hidden(causal, 1, length // 2)),
        plain("the first word hidden: its own row is empty", hidden(causal, 0)),
        plain("the last word hidden, -inf", hidden(causal, -1), INFINITE),
        plain("every word hidden", ~everything),
        plain("drawn at random", drawn(0.5)),
        plain("drawn at random, -inf", drawn(0.7) | torch.eye(length).bool(), INFINITE),
        plain("drawn at random, with empty rows, -inf", drawn(0.2), INFINITE),
        plain("one head sees all", everything, head=3),
        plain("one head, drawn at random", drawn(0.4), head=0),
        plain("one head upside down, -inf", ~causal, INFINITE, head=4),
    ]


@cache
def story():
    """(model, tokenizer) of story-gpt2 with eager attention in float32."""
    return models.load("story-gpt2", attn_implementation="eager")


@cache
def tokens_of_rows() -> list[int]:
    """A token of each row that differs from the others, in the order of the page's file; the last row is shared."""
    model, _ = story()
    _, row_of, count = model.transformer.wte.weight.unique(dim=0, return_inverse=True, return_counts=True)
    trained = (count[row_of] == 1).nonzero().flatten().tolist()
    shared = (count[row_of] > 1).nonzero().flatten().tolist()
    assert sorted(count.unique().tolist()) == [1, len(shared)], "all tokens that were never trained share one row"
    return [*trained, shared[0]]


def encoded(text: str) -> list[int]:
    """The ids of a prompt."""
    _, tokenizer = story()
    return tokenizer(text).input_ids


@torch.no_grad()
def answers(several: list[Case]) -> list[Answer]:
    """What transformers' eager attention gives for each case; those of one length go as one batch."""
    model, _ = story()
    heads, rows = model.config.n_head, tokens_of_rows()
    by_length: dict[int, list[int]] = {}
    for n, case in enumerate(several):
        by_length.setdefault(len(case.ids), []).append(n)
    answer_of: dict[int, Answer] = {}
    for numbers in by_length.values():
        batch = [several[n] for n in numbers]
        output = model(
            torch.tensor([case.ids for case in batch]),
            attention_mask=torch.cat([case.bias(heads).expand(-1, heads, -1, -1) for case in batch]),
            position_ids=torch.tensor([case.positions for case in batch]),
            output_attentions=True,
            use_cache=False,
        )
        logits, maps = output.logits[..., rows], torch.stack(output.attentions, 1)
        answer_of.update({n: Answer(logits[row], maps[row]) for row, n in enumerate(numbers)})
    return [answer_of[n] for n in range(len(several))]


@torch.no_grad()
def stories(prompts: list[str], new_tokens: int = 30) -> list[Story]:
    """What ``generate()`` tells greedily for each prompt alone, and again for all in one batch, padded on the left."""
    model, tokenizer = story()
    batches = [tokenizer([prompt], return_tensors="pt") for prompt in prompts]
    batches.append(tokenizer(prompts, padding=True, return_tensors="pt"))
    told = []
    for batch in batches:
        output = model.generate(**batch, max_new_tokens=new_tokens, do_sample=False, pad_token_id=EOS)
        for ids, attention_mask, row in zip(batch.input_ids, batch.attention_mask, output, strict=True):
            new = row[len(ids) :].tolist()
            new = new[: new.index(EOS) + 1] if EOS in new else new
            told.append(Story(ids.tolist(), attention_mask.tolist(), new))
    return told
