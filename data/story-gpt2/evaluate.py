"""Measures story-gpt2 and writes the measured part of its card: ``python evaluate.py [stories.txt]``; draws heads.png.

Perplexity is per token of GPT-2's vocabulary, over stories that were held out before training: those of
held_out.txt, and of the given file as train.py leaves it in its work folder.
"""

import math
import sys
from pathlib import Path

import torch
from torch.nn import functional as F

from utils import models, plots, text

HERE = Path(__file__).parent
CARD = HERE / "README.md"
BEGIN, END = "<!-- measured: written by evaluate.py -->\n", "<!-- end of measured -->"
BREAK = "\n<|endoftext|>\n"  # between stories
PROMPTS = [
    "It will rain in the",
    "I want to eat a big bowl of",
    "My dog is",
    "Once upon a time, there was a",
    "The little girl was sad because",
    "Tom and his mom went to the",
    "The sun was shining and the birds were",
    "One day, a big red ball",
    "Lily opened the box and saw",
    "The cat sat on the",
    "He was very tired, so he went to",
    'Mom said, "Do not touch the',
    "The old man gave the boy a",
    "They played in the park until",
    "She looked out of the window and",
    "The bird could not fly because",
    "Ben wanted to build a",
    "The dragon was not mean, he was",
    "After dinner, Dad read a",
    "The two friends found a",
    '"Thank you for helping me," said the',
    "In the morning, the rabbit",
    "The boat was too small for",
]
SENTENCE = "Lily had a red ball. Tom had a blue ball. Lily gave Tom the red ball."


@torch.no_grad()
def perplexity(model, tokenizer, stories: list[str]) -> tuple[float, int]:
    """Perplexity per token and the number of tokens: each story from its second token on, and its end if it has one."""
    total = count = 0
    for story in stories:
        ids = tokenizer(story).input_ids + [tokenizer.eos_token_id] * story.endswith((".", "!", "?", '"', "”"))
        input_ids = torch.tensor([ids[: model.config.n_positions]])
        logits = model(input_ids, attention_mask=torch.ones_like(input_ids)).logits
        total += float(F.cross_entropy(logits[0, :-1], input_ids[0, 1:], reduction="sum"))
        count += input_ids.shape[1] - 1
    return math.exp(total / count), count


@torch.no_grad()
def continuation(model, tokenizer, prompt: str, tokens: int = 10) -> str:
    """What the model finds most likely, token by token."""
    given = tokenizer(prompt, return_tensors="pt")
    out = model.generate(**given, max_new_tokens=tokens, do_sample=False, pad_token_id=tokenizer.eos_token_id)
    return tokenizer.decode(out[0, given.input_ids.shape[1] :], skip_special_tokens=True)


@torch.no_grad()
def heads(sentence: str) -> tuple[torch.Tensor, list[str], dict[str, list[torch.Tensor]]]:
    """Weights (layers, heads, T, T), token labels, and for each pattern two mean weights on it: (layers, heads) of the
    model, and () of a head that looks at all visible keys alike."""
    model, tokenizer = models.load("story-gpt2", attn_implementation="eager")
    input_ids = tokenizer(sentence, return_tensors="pt").input_ids
    weights = torch.cat(model(input_ids, output_attentions=True).attentions)
    length = input_ids.shape[1]
    query, key = torch.arange(length)[:, None], torch.arange(length)
    same = (input_ids[0][:, None] == input_ids[0]) & (key < query)
    stops = (input_ids[0] == tokenizer(".").input_ids[0]).long()
    sentence_of = stops.cumsum(0) - stops  # a full stop ends its own sentence
    begins = torch.cat([torch.ones(1, dtype=torch.bool), stops[:-1].bool()])
    articles = sum(input_ids[0] == tokenizer(word).input_ids[0] for word in (" a", " the")).bool()
    patterns = {
        "the last article": articles & (articles.cumsum(0) == articles.cumsum(0)[:, None]) & (key <= query),
        "the beginning of its sentence": begins & (sentence_of[:, None] == sentence_of) & (key < query - 1),
        "the full stop before its sentence": stops.bool() & (sentence_of[:, None] == sentence_of + 1),
        "the same token, earlier": same,
        "what followed the same token": same.roll(1, dims=1) & (key > 0) & (key < query),
    }
    even = torch.ones(length, length).tril()
    even /= even.sum(-1, keepdim=True)
    found = {}
    for name, fits in patterns.items():
        rows = fits.any(1)
        found[name] = [(x * fits).sum(-1)[..., rows].mean(-1) for x in (weights, even)]
    return weights, text.labels(tokenizer, input_ids[0]), found


def strongest(amounts: torch.Tensor) -> tuple[int, int, float]:
    """Layer, head and amount of the head that fits a pattern best."""
    layer, head = divmod(int(amounts.argmax()), amounts.shape[1])
    return layer, head, float(amounts[layer, head])


def draw(path: Path) -> None:
    """The maps of the heads that fit each pattern best."""
    import seaborn
    from matplotlib.figure import Figure

    weights, labels, found = heads(SENTENCE)
    figure = Figure(figsize=(14, 9.5), layout="constrained")
    places = figure.subplots(2, 3)
    shown = {**plots._weights_scale(), "square": True, "cbar": False}
    for axes, (name, (amounts, _)) in zip(places.flat[:-1], found.items(), strict=True):
        layer, head, _ = strongest(amounts)
        seaborn.heatmap(weights[layer, head].numpy(), ax=axes, xticklabels=labels, yticklabels=labels, **shown)
        axes.set(title=f"layer {layer}, head {head}:\n{name}", xlabel="key", ylabel="query")
        axes.tick_params(labelsize=8)
    places.flat[-1].set_axis_off()
    scale = places.flat[-1].inset_axes([0.1, 0, 0.05, 1])
    figure.colorbar(axes.collections[0], cax=scale, label="attention weight")
    figure.savefig(path, dpi=100)


def measured(stories_path: Path | None = None) -> str:
    """The measured part of the card, as Markdown."""
    model, tokenizer = models.load("story-gpt2")
    lines = []
    for path in filter(None, (stories_path, HERE / "held_out.txt")):
        stories = path.read_text(encoding="utf-8").split(BREAK)
        value, count = perplexity(model, tokenizer, stories)
        lines.append(f"- {len(stories):,} held-out stories, {count:,} tokens: perplexity {value:.2f} per token,")
        lines.append(f"  a loss of {math.log(value):.2f} nats")
    lines += ["", "| a head that looks at | layer, head | mean weight | if it looked everywhere alike |"]
    lines += ["|---|---|---|---|"]
    for name, (amounts, even) in heads(SENTENCE)[2].items():
        layer, head, amount = strongest(amounts)
        lines.append(f"| {name} | {layer}, {head} | {amount:.2f} | {even:.2f} |")
    lines += ["", "| prompt | the ten most likely tokens, one after the other |", "|---|---|"]
    for prompt in PROMPTS:
        told = continuation(model, tokenizer, prompt).replace("\n", "⏎")
        lines.append(f"| {prompt} | …{told} |")
    return "\n".join(lines) + "\n"


def main(stories_path: Path | None = None) -> None:
    draw(HERE / "heads.png")
    card = CARD.read_text(encoding="utf-8")
    before, rest = card.split(BEGIN)
    CARD.write_text(before + BEGIN + "\n" + measured(stories_path) + "\n" + END + rest.split(END)[1], encoding="utf-8")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:2]))
