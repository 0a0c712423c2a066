"""Checks of lesson 04: one bias of two masks, and a softmax that is safe in empty rows."""

from collections.abc import Callable

import torch
from torch import Tensor

from .feedback import answer, call, close, no, refuse, require_shape, spoken, yes


@spoken
def one_bias(yours: Callable[[Tensor, Tensor, Tensor], Tensor]) -> None:
    """Says whether a padding mask and a keep become one bias.

    Args:
        yours: takes ``scores``, (batch, heads, q_len, k_len) float16 or float32, ``attention_mask``, (batch, k_len)
            int64, 1 = real, and ``keep``, (q_len, k_len) bool, True = may attend; returns (batch, 1, q_len, k_len) or
            (batch, heads, q_len, k_len) of the dtype of the scores, 0 where visible and its lowest number where not.

    References:
        Lesson 04.
    """
    attention_mask = torch.tensor([[1, 1, 1, 1, 0], [1, 0, 0, 0, 0]])
    keep = torch.tensor([[1, 1, 0, 0, 0], [0, 0, 0, 1, 1], [1, 1, 1, 1, 1]]).bool()
    hints = {
        (2, 3, 5): "Without a dimension for the heads, sequence 0 and 1 would be read as head 0 and 1.",
        (2, 1, 1, 5): "That is the padding alone: keep is not in it.",
        (3, 5): "That is keep alone: the padding is not in it.",
    }
    changed = "one of the inputs was changed. Use masked_fill, not masked_fill_, and + in place of +=."
    for dtype in (torch.float16, torch.float32):
        inputs = torch.zeros(2, 2, 3, 5, dtype=dtype), attention_mask, keep  # heads as sequences: a missing None shows
        bias = answer(yours, *inputs, wanted="a tensor of shape (2, 1, 3, 5)", changed=changed)
        if bias.shape != (2, 2, 3, 5):
            require_shape(bias, (2, 1, 3, 5), hints)
        if bias.dtype == torch.bool:
            no("you returned a bool mask. The last step is missing: numbers to add, 0 where it keeps.")
        if bias.dtype != dtype:
            no(f"your bias is {bias.dtype} and the scores are {dtype}: take scores.dtype for zeros and finfo.")
        if bias.isnan().any():
            no("there is NaN in your bias: 0 × ∞. Fill with masked_fill, do not multiply.")
        _require_bias(bias, attention_mask[:, None, None, :] == 1, keep)
    yes("hidden if either mask hides it, and a key that both hide still gets a finite number, in float16 too.")


def _require_bias(bias: Tensor, real: Tensor, keep: Tensor) -> None:
    """Ends the check if the bias hides the wrong places, or with the wrong number."""
    visible, both, lowest = bias >= 0, (real & keep).expand_as(bias), torch.finfo(bias.dtype).min
    if torch.equal(bias, torch.zeros_like(bias).masked_fill(~both, lowest)):
        return
    if bias.isneginf().any() and bias.isfinite()[~visible].any():
        no("a key that both masks hide has -inf: two biases were added, and the sum overflows. Combine while bool.")
    if (bias > 0).any():
        no("there are positive numbers in your bias. It is added to scores: 0 keeps, a very negative number hides.")
    either = "you hide a key only if both masks hide it. A key is visible if both let it be: use & on what is kept."
    padding = "the padding is flipped: 1 in attention_mask means a real token, which stays visible."
    refuse(
        visible,
        (bool(visible.all()), "your bias is 0 everywhere, so it hides nothing."),
        (~both, "the polarity is flipped: your bias hides what both masks keep."),
        (real | keep, either),
        (~real & keep, padding),
        (real & ~keep, "keep is flipped: True means that the query may look."),
        (real, "your bias has the padding in it, but not keep."),
        (keep, "your bias has keep in it, but not the padding."),
        same=lambda a, b: torch.equal(a, b.expand_as(a)),
    )
    if not torch.equal(visible, both):
        no(f"{int((visible != both).sum())} places differ from what both masks say. Compare with a small one by hand.")
    if bias.isneginf().any():
        no("the right places, but with -inf: a query that sees nothing would become NaN. Wanted finfo(dtype).min.")
    no(f"the right places, but filled with {bias.min().item():g}; the lowest of {bias.dtype} is {lowest:g}.")


@spoken
def safe_softmax(yours: Callable[[Tensor, Tensor], Tensor]) -> None:
    """Says whether a masked softmax gives zeros in empty rows, and finite gradients.

    Args:
        yours: takes ``scores``, (q_len, k_len) float32, and ``bias``, (q_len, k_len) float32, 0 where visible and -inf
            where not; returns weights, (q_len, k_len) float.

    References:
        Lesson 04.
    """
    scores = torch.tensor([[1.0, 2.0, 4.0, 8.0], [3.0, 1.0, 1.0, 2.0], [1.0, 5.0, 2.0, 2.0]]).log() - 2
    keep = torch.tensor([[1, 1, 1, 0], [0, 0, 0, 0], [1, 1, 1, 1]]).bool()
    bias = torch.zeros(3, 4).masked_fill(~keep, -torch.inf)

    def right(scores: Tensor) -> Tensor:
        return scores.masked_fill(~keep, torch.finfo(scores.dtype).min).softmax(dim=-1) * keep

    def gradient_of(function: Callable[[Tensor], Tensor]) -> Tensor:
        with torch.enable_grad():
            leaf = scores.clone().requires_grad_()
            weights = function(leaf)
            if weights.requires_grad:
                weights[[0, 2]].square().sum().backward()  # a loss that leaves the empty row out
        return torch.zeros_like(scores) if leaf.grad is None else leaf.grad

    words, wanted = "a tensor of shape (3, 4), one weight per query and key", right(scores)
    changed = "scores or bias was changed. Use masked_fill, not masked_fill_, and + in place of +=."
    weights = answer(yours, scores, bias, wanted=words, shape=(3, 4), changed=changed)
    if not close(weights, wanted):
        _explain_weights(weights.float(), scores, keep, wanted)
    if not close(call(yours, scores.masked_fill(~keep, 200.0), bias.clone()), wanted):
        no("right here, but a hidden score of 200 changes visible weights. Hide before the softmax, not after.")
    gradient = call(lambda scores: gradient_of(lambda leaf: yours(leaf, bias.clone())), scores)
    if gradient.isnan().any():
        no(
            "the weights are right, their gradient is NaN. A NaN that is replaced after the softmax is still inside "
            "it, and the way back goes through it. Let none arise: hide with a finite number."
        )
    if not close(gradient, gradient_of(right)):
        no("the weights are right, but their gradient is not that of a softmax. Did you detach something?")
    yes("visible keys share the weight, an empty row gets zeros, and the gradient is finite.")


def _explain_weights(weights: Tensor, scores: Tensor, keep: Tensor, wanted: Tensor) -> None:
    """Ends the check with what wrong weights come from; the three rows see some keys, none and all."""
    late, first, empty = scores.softmax(dim=-1), weights[0], weights[1]
    if weights[[0, 2]].isnan().any():
        no("a row that sees some keys has NaN, as 0 × ∞ is. Compare first, bias == 0, and then use masked_fill.")
    if weights.isneginf().any():
        no("there are weights of -inf. The bias is added to the scores, before the softmax.")
    if close(weights[[0, 2]], wanted[[0, 2]]):
        uniform = "the row that sees nothing is uniform. All its keys are hidden, so their weights should be 0."
        alike = torch.allclose(empty, late[1], atol=1e-2)
        if empty.isnan().any():
            no("the row that sees nothing is NaN. Hidden with a finite number it would be uniform; what makes it 0?")
        refuse(
            empty,
            (torch.full((4,), 0.25), uniform),
            (alike, "the row that sees nothing is as without a mask: your number moves all its scores alike."),
        )
        no(f"the row that sees nothing should be 0; yours is {_rounded(empty)}.")
    zeroed = close(first * keep[0], (scores * keep).softmax(dim=-1)[0] * keep[0])
    columns = close(weights.sum(dim=0)[:3], torch.ones(3))
    refuse(
        weights,
        (late, "these are the weights without a mask."),
        (late * keep, "you masked after the softmax: the first row sums to less than 1. Hide before it."),
        (zeroed, "you multiplied the scores by 0, and a score of 0 is one like any other: it still takes its share."),
        (not first[:3].any(), "the polarity is flipped: a bias of 0 keeps, a bias of -inf hides."),
        (columns, "your columns sum to 1, not your rows: the softmax goes over the keys, dim=-1."),
    )
    no(f"the first row should be {_rounded(wanted[0])}; yours is {_rounded(first)}.")


def _rounded(row: Tensor) -> list[float]:
    return [round(number, 2) for number in row.tolist()]
