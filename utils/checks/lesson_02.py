"""Checks of lesson 02: the mean over real tokens, and labels without padding."""

from collections.abc import Callable

import torch
from torch import Tensor

from .feedback import answer, call, close, kind, no, refuse, require_shape, spoken, yes


@spoken
def mean_pool(yours: Callable[[Tensor, Tensor], Tensor]) -> None:
    """Says whether the mean is taken over the real tokens only.

    Args:
        yours: takes ``hidden``, (batch, seq, dim) float, and ``attention_mask``, (batch, seq) int64, 1 = real; returns
            (batch, dim) float, zeros for a sentence without real tokens.

    References:
        Lesson 02.
    """
    hidden = torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(0))
    attention_mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [0, 0, 0, 1, 1]])  # the last one is left-padded
    real, copy = attention_mask[..., None], hidden.clone()
    total, count = (hidden * real).sum(1), real.sum(1)
    mean = answer(yours, copy, attention_mask, wanted="a tensor of shape (3, 4), one vector per sentence")
    require_shape(mean, (3, 4), about=", one vector per sentence")
    if not torch.equal(copy, hidden):
        no("hidden itself was changed, and whoever called you still needs it. Write hidden * ..., not hidden *= ...")
    first = torch.stack([row[:n].mean(0) for row, n in zip(hidden, count.flatten().tolist(), strict=True)])
    pads = (hidden * (1 - real)).sum(1) / (1 - real).sum(1)
    flipped = close(mean[1:], pads[1:])  # sentence 0 has no pads
    refuse(
        mean,
        (hidden.mean(1), "this is the plain mean: the padded positions are in it. Multiply them away first."),
        (total / 5, "the sum is right, but you divided by the padded length 5, not by the number of real tokens."),
        (total, "this is the sum over the real tokens. Divide by how many there are."),
        (flipped, "the polarity is flipped: this is the mean over the pads. 1 in attention_mask means a real token."),
        (first, "you took the first tokens of each row, as many as are real. The last sentence is padded on the left."),
    )
    if not close(mean, total / count):
        no("the numbers differ from the mean over the real tokens. Try one sentence by hand.")
    empty = call(yours, hidden[:1].clone(), torch.zeros(1, 5, dtype=torch.long))
    if not isinstance(empty, Tensor) or empty.shape != (1, 4):
        no(f"right for these sentences. For one without real tokens you returned {kind(empty)}.")
    if not close(empty, torch.zeros(1, 4)):
        begins = f"yours begins with {empty.flatten()[0].item():.3g}. Its sum is 0 already, so clamp the count at 1."
        no(f"right for these sentences. A sentence without real tokens should give zeros; {begins}")
    yes("only real tokens count, and a sentence without any gives zeros, not NaN.")


@spoken
def labels_for_loss(yours: Callable[[Tensor, Tensor], Tensor]) -> None:
    """Says whether labels leave the padding out of a loss.

    Args:
        yours: takes ``input_ids``, (batch, seq) int64, and ``attention_mask``, (batch, seq) int64, 1 = real; returns
            (batch, seq) int64, -100 where padded.

    References:
        Lesson 02.
    """
    input_ids = torch.tensor([[15, 50256, 27, 50256], [8, 9, 50256, 50256]])  # a real end-of-text, and padding
    attention_mask = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]])
    wanted = torch.tensor([[15, 50256, 27, 50256], [8, 9, -100, -100]])
    copy = input_ids.clone()
    labels = call(yours, copy, attention_mask)
    if not isinstance(labels, Tensor) or labels.shape != wanted.shape:
        no(f"you returned {kind(labels)}; wanted a tensor of shape (2, 4), like input_ids.")
    if labels.dtype != torch.long:
        no(f"your labels are {labels.dtype}; cross_entropy wants int64, like input_ids.")
    if not torch.equal(copy, input_ids):
        no("input_ids itself was changed, and the model still needs it. Use masked_fill, or clone first.")
    by_id = input_ids.masked_fill(input_ids == 50256, -100)
    flipped = input_ids.masked_fill(attention_mask == 1, -100)
    refuse(
        labels,
        (by_id, "you looked for the pad id. Token 50256 is also a real end of text here: ask the attention_mask."),
        (flipped, "the polarity is flipped: 1 in attention_mask means a real token, and those keep their label."),
        (not torch.equal(labels, wanted), f"got {labels.tolist()}; wanted {wanted.tolist()}."),
    )
    yes("padding is -100, which cross_entropy skips, and the real end-of-text tokens keep their label.")
