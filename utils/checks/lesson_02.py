"""Checks of lesson 02: the mean and the maximum over real tokens, and labels without padding."""

import torch
from torch import Tensor

from .feedback import Attempt, Mistakes, exercise, kind, same, wrong_shape

MEANINGS = {
    "at non-singleton dimension 2": "attention_mask lacks the last dimension: attention_mask[..., None].",
    "at non-singleton dimension 1": "The number of real tokens lacks a dimension: sum(dim=1, keepdim=True).",
}


@exercise(right="only real tokens count, and a sentence without any gives zeros, not NaN.", meanings=MEANINGS)
def mean_pool(yours: Attempt) -> Mistakes:
    """Says whether the mean is taken over the real tokens only.

    Args:
        yours: takes ``hidden``, (batch, seq, dim) float, and ``attention_mask``, (batch, seq) int64, 1 = real; returns
            (batch, dim) float, zeros for a sentence without real tokens.

    References:
        Lesson 02.
    """
    hidden = torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(0))
    attention_mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [0, 0, 0, 1, 1]])  # the last one is left-padded
    mean = yours(hidden, attention_mask, wanted="a tensor of shape (3, 4), one vector per sentence")
    together = "The sentences are one long list here: each needs a mean of its own."
    number = "Index with a bool mask, and as a number, 0 or 1, it picks whole sentences."
    hints = {(9, 4): together, (9,): together, (4,): together, (3, 5, 5, 4): number}
    yield wrong_shape(mean, (3, 4), hints, about=", one vector per sentence")
    changed = "hidden itself was changed, and whoever called you still needs it. Write hidden * ..., not hidden *= ..."
    yield yours.changed(0), changed
    yield hidden.mean(1), "this is the plain mean: the padded positions are in it. Multiply them away first."
    real = attention_mask[..., None]
    total, count = (hidden * real).sum(1), real.sum(1)
    yield total / 5, "the sum is right, but you divided by the padded length 5, not by the number of real tokens."
    yield total, "this is the sum over the real tokens. Divide by how many there are."
    of_pads = (hidden * (1 - real)).sum(1) / (1 - real).sum(1)
    flipped = same(mean[1:], of_pads[1:])  # sentence 0 has none
    yield flipped, "the polarity is flipped: this is the mean over the pads. 1 in attention_mask means a real token."
    first = torch.stack([hidden[0].mean(0), hidden[1, :2].mean(0), hidden[2, :2].mean(0)])
    yield first, "you took the first tokens of each row, as many as are real. The last sentence is padded on the left."
    other = not same(mean, total / count)
    yield other, "the numbers differ from the mean over the real tokens. Try one sentence by hand."
    empty = yours.run(hidden[:1], torch.zeros(1, 5, dtype=torch.long), wanted="a tensor of shape (1, 4)")
    other = not isinstance(empty, Tensor) or empty.shape != (1, 4)
    yield other, f"right for these sentences. For one without real tokens you returned {kind(empty)}."
    zeros = "right for these sentences. A sentence without real tokens should give zeros; yours begins with"
    why = f"{empty.flatten()[0].item():.3g}. Its sum is 0 already, so clamp the count at 1."
    yield not same(empty, torch.zeros(1, 4)), f"{zeros} {why}"


@exercise(right="pads never win, wherever they are, and a sentence without real tokens gives zeros.", meanings=MEANINGS)
def max_pool(yours: Attempt) -> Mistakes:
    """Says whether the maximum is taken over the real tokens only.

    Args:
        yours: takes ``hidden``, (batch, seq, dim) float, and ``attention_mask``, (batch, seq) int64, 1 = real; returns
            (batch, dim) float, zeros for a sentence without real tokens.

    References:
        Lesson 02.
    """
    hidden = torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(0)) - 1
    attention_mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [0, 0, 0, 1, 1]])  # the last one is left-padded
    real = attention_mask[..., None] == 1
    wanted = hidden.masked_fill(~real, -torch.inf).amax(1)
    shape = "a tensor of shape (3, 4), one vector per sentence"
    both = type(yours.run(hidden, attention_mask, wanted=shape)).__name__ == "max"
    yield both, "max(dim=1) returns two things, the largest numbers and their places. Take .values, or call amax."
    largest = yours(hidden, attention_mask, wanted=shape)
    yield wrong_shape(largest, (3, 4), {(3, 5): "That is the largest of each token: take it over the tokens, dim=1."})
    yield yours.changed(), "hidden itself was changed, and whoever called you still needs it. Use masked_fill."
    yield hidden.amax(1), "the pads are in it: their vectors are no zeros, and some of their numbers are the largest."
    zeros = "the pads count as 0, and 0 is larger than a negative number. Which number is larger than none?"
    yield (hidden * real).amax(1), zeros
    yield same(largest[1:], hidden.masked_fill(real, -torch.inf).amax(1)[1:]), "the polarity is flipped: 1 means real."
    by_hand = "these are not the largest numbers of the real tokens. Try one sentence by hand."
    yield not same(largest, wanted), by_hand
    empty = yours.run(hidden[:1], torch.zeros(1, 5, dtype=torch.long), wanted="a tensor of shape (1, 4)")
    other = not isinstance(empty, Tensor) or empty.shape != (1, 4)
    yield other, f"right for these sentences. For one without real tokens you returned {kind(empty)}."
    why = f"A sentence without real tokens should give zeros; yours begins with {empty.flatten()[0].item():.3g}."
    yield not same(empty, torch.zeros(1, 4)), f"right for these sentences. {why}"


@exercise(right="padding is -100, which cross_entropy skips, and the real end-of-text tokens keep their label.")
def labels_for_loss(yours: Attempt) -> Mistakes:
    """Says whether labels leave the padding out of a loss.

    Args:
        yours: takes ``input_ids``, (batch, seq) int64, and ``attention_mask``, (batch, seq) int64, 1 = real; returns
            (batch, seq) int64, -100 where padded.

    References:
        Lesson 02.
    """
    ids = torch.tensor([[15, 50256, 27, 50256], [8, 9, 50256, 50256]])  # a real end-of-text, and padding
    attention_mask = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]])
    labels = yours(ids, attention_mask, wanted="a tensor of shape (2, 4), like input_ids", shape=(2, 4))
    yield labels.dtype != torch.long, f"your labels are {labels.dtype}; cross_entropy wants int64, like input_ids."
    changed = "input_ids itself was changed, and the model still needs it. Use masked_fill, or clone first."
    yield yours.changed(0), changed
    by_id = "you looked for the pad id. Token 50256 is also a real end of text here: ask the attention_mask."
    yield ids.masked_fill(ids == 50256, -100), by_id
    polarity = "the polarity is flipped: 1 in attention_mask means a real token, and those keep their label."
    yield ids.masked_fill(attention_mask == 1, -100), polarity
    wanted = ids.masked_fill(attention_mask == 0, -100)
    yield not torch.equal(labels, wanted), f"got {labels.tolist()}; wanted {wanted.tolist()}."
