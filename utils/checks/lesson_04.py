"""Checks of lesson 04: rows that see nothing, one bias of two masks, and a softmax that is safe in such rows."""

from collections.abc import Callable

import torch
from torch import Tensor

from .feedback import Attempt, Mistakes, exercise, same, wrong_shape


@exercise(right="a row sees nothing if all its keys are hidden, whatever they are filled with.")
def sees_nothing(yours: Attempt) -> Mistakes:
    """Says whether the queries that see no key are told from the others.

    Args:
        yours: takes ``bias``, (batch, 1, q_len, k_len) float, 0 where visible and a very negative number or -inf where
            not; returns (batch, q_len) bool, True where a query sees no key.

    References:
        Lesson 04.
    """
    keep = torch.tensor([[[1, 1, 1, 1], [1, 0, 0, 1], [0, 0, 0, 0]], [[0, 0, 0, 0], [0, 0, 0, 1], [0, 0, 0, 0]]]).bool()
    wanted, some = ~keep.any(dim=-1), ~keep.all(dim=-1)
    fills = {"-inf": -torch.inf, "the lowest number": torch.finfo(torch.float32).min, "-1e4": -1e4}
    for name, fill in fills.items():
        bias = torch.zeros(2, 1, 3, 4).masked_fill(~keep[:, None], fill)
        case = f"for a bias filled with {name}"
        empty = yours(bias, wanted="a bool tensor of shape (2, 3), one answer per query", case=case)
        yield yours.changed(), "bias itself was changed."
        hints = {
            (2, 1, 3): "The dimension of the heads is left over: [:, 0].",
            (2, 1, 3, 1): "The dimension of the heads is left over, and that of the keys: all(dim=-1)[:, 0].",
            (2, 1, 4): "That is an answer for each key. all(dim=-1) goes over the keys.",
            (2, 4): "That is an answer for each key. all(dim=-1) goes over the keys.",
        }
        yield wrong_shape(empty, (2, 3), hints, about=", one answer per query", case=case)
        yield empty.dtype != torch.bool, f"your answer is {empty.dtype}; wanted bool."
        infinite = f"{case} you find other rows than for one with -inf. Ask what is less than 0, of each key by itself."
        yield name != "-inf" and not torch.equal(empty, wanted), infinite
        yield some, "you find rows in which some key is hidden. Wanted those in which all are."
        yield ~wanted, "the polarity is flipped: these are the rows that see something."
        got = f"batch by batch you find {empty.tolist()}"
        yield not torch.equal(empty, wanted), f"{case}, {got}; wanted {wanted.tolist()}."


@exercise(
    right="hidden if either mask hides it, and a key that both hide still gets a finite number, in float16 too.",
    meanings={"must match the size of tensor b (3)": "The padding lacks heads and queries: two None."},
)
def one_bias(yours: Attempt) -> Mistakes:
    """Says whether a padding mask and a keep become one bias.

    Args:
        yours: takes ``scores``, (batch, heads, q_len, k_len) float16 or float32, ``attention_mask``, (batch, k_len)
            int64, 1 = real, and ``keep``, (q_len, k_len) bool, True = may attend; returns (batch, 1, q_len, k_len) of
            the dtype of the scores, 0 where visible and its lowest number where not.

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
    generator = torch.Generator().manual_seed(0)
    for dtype in (torch.float16, torch.float32):
        # As many heads as sequences, so that a missing None shows.
        scores = torch.randn(2, 2, 3, 5, generator=generator).to(dtype)
        bias = yours(scores, attention_mask, keep, wanted="a tensor of shape (2, 1, 3, 5)")
        yield yours.changed(), "one of the inputs was changed. Use masked_fill, not masked_fill_, and + in place of +=."
        if bias.shape != scores.shape:
            yield wrong_shape(bias, (2, 1, 3, 5), hints)
        filled = bias.shape == scores.shape and (bias == scores).any()
        yield filled, "the scores themselves are in your bias. It is added to them: fill zeros, not the scores."
        boolean = "you returned a bool mask. The last step is missing: numbers to add, 0 where it keeps."
        yield bias.dtype == torch.bool, boolean
        other = f"your bias is {bias.dtype} and the scores are {dtype}: take scores.dtype for zeros and finfo."
        yield bias.dtype != dtype, other
        yield bias.isnan().any(), "there is NaN in your bias: 0 × ∞. Fill with masked_fill, do not multiply."
        yield from _mistakes_of_bias(bias, attention_mask[:, None, None, :] == 1, keep)
        each = "The right numbers, once for each head: with a dimension of size 1, one bias serves all of them."
        yield wrong_shape(bias, (2, 1, 3, 5), {4: each})


def _mistakes_of_bias(bias: Tensor, real: Tensor, keep: Tensor) -> Mistakes:
    """Wrong places and wrong numbers in a bias of the right shape and dtype."""
    visible, both, lowest = bias >= 0, (real & keep).expand_as(bias), torch.finfo(bias.dtype).min
    if torch.equal(bias, torch.zeros_like(bias).masked_fill(~both, lowest)):
        return

    def sees(wrong: Tensor) -> bool:
        return torch.equal(visible, wrong.expand_as(visible))

    infinite, added = bias.isneginf().any(), "two biases were added, and the sum overflows. Combine while bool."
    finite = bias.isfinite()[~visible].any()
    yield infinite and finite, f"a key that both masks hide has -inf: {added}"
    positive = "there are positive numbers in your bias. It is added to scores: 0 keeps, a very negative number hides."
    yield (bias > 0).any(), positive
    yield visible.all(), "your bias is 0 everywhere, so it hides nothing."
    yield sees(~both), "the polarity is flipped: your bias hides what both masks keep."
    either = "you hide a key only if both masks hide it. A key is visible if both let it be: use & on what is kept."
    yield sees(real | keep), either
    yield sees(~real & keep), "the padding is flipped: 1 in attention_mask means a real token, which stays visible."
    yield sees(real & ~keep), "keep is flipped: True means that the query may look."
    yield sees(real), "your bias has the padding in it, but not keep."
    yield sees(keep), "your bias has keep in it, but not the padding."
    count = int((visible != both).sum())
    yield count > 0, f"{count} places differ from what both masks say. Compare with a small one by hand."
    places = "the right places, but"
    yield infinite, f"{places} with -inf: a query that sees nothing would become NaN. Wanted finfo(dtype).min."
    yield True, f"{places} filled with {bias.min().item():g}; the lowest of {bias.dtype} is {lowest:g}."


WEIGHTS = "a tensor of shape (3, 4), one weight per query and key"


@exercise(right="visible keys share the weight, an empty row gets zeros, and the gradient is finite.")
def safe_softmax(yours: Attempt) -> Mistakes:
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
            loss = function(leaf)[[0, 2]].square().sum()  # leaves the empty row out
            return torch.autograd.grad(loss + 0 * leaf.sum(), leaf)[0]

    weights = yours(scores, bias, wanted=WEIGHTS, shape=(3, 4))
    yield yours.changed(), "scores or bias was changed. Use masked_fill, not masked_fill_, and + in place of +=."
    if not same(weights, right(scores)):
        yield from _mistakes_of_weights(weights.float(), scores, keep, right(scores))
    late = not same(yours.run(scores.masked_fill(~keep, 200.0), bias, wanted=WEIGHTS), right(scores))
    yield late, "right here, but a hidden score of 200 changes visible weights. Hide before the softmax, not after."
    gradient = Attempt(lambda scores: gradient_of(lambda leaf: yours.function(leaf, bias.clone()))).run(
        scores, wanted=WEIGHTS
    )
    nan = (
        "the weights are right, their gradient is NaN. A NaN that is replaced after the softmax is still inside "
        "it, and the way back goes through it. Let none arise: hide with a finite number."
    )
    yield gradient.isnan().any(), nan
    other = not same(gradient, gradient_of(right))
    yield other, "the weights are right, but their gradient is not that of a softmax. Did you detach something?"


def _mistakes_of_weights(weights: Tensor, scores: Tensor, keep: Tensor, wanted: Tensor) -> Mistakes:
    """What wrong weights come from; the three rows see some keys, none and all."""
    late, first, empty = scores.softmax(dim=-1), weights[0], weights[1]
    nan = "a row that sees some keys has NaN, as 0 × ∞ is. Compare first, bias == 0, and then use masked_fill."
    yield weights[[0, 2]].isnan().any(), nan
    yield weights.isneginf().any(), "there are weights of -inf. The bias is added to the scores, before the softmax."
    if same(weights[[0, 2]], wanted[[0, 2]]):
        row = "the row that sees nothing"
        yield empty.isnan().any(), f"{row} is NaN. Hidden with a finite number it would be uniform; what makes it 0?"
        uniform = same(empty, torch.full((4,), 0.25))
        yield uniform, f"{row} is uniform. All its keys are hidden, so their weights should be 0."
        alike = torch.allclose(empty, late[1], atol=1e-2)
        yield alike, f"{row} is as without a mask: your number moves all its scores alike."
        yield True, f"{row} should be 0; yours is {_rounded(empty)}."
    yield same(weights, late), "these are the weights without a mask."
    after = same(weights, late * keep)
    yield after, "you masked after the softmax: the first row sums to less than 1. Hide before it."
    zeroed = same(first * keep[0], (scores * keep).softmax(dim=-1)[0] * keep[0])
    yield zeroed, "you multiplied the scores by 0, and a score of 0 is one like any other: it still takes its share."
    yield not first[:3].any(), "the polarity is flipped: a bias of 0 keeps, a bias of -inf hides."
    columns = same(weights.sum(dim=0)[:3], torch.ones(3))
    yield columns, "your columns sum to 1, not your rows: the softmax goes over the keys, dim=-1."
    yield True, f"the first row should be {_rounded(wanted[0])}; yours is {_rounded(first)}."


def _rounded(row: Tensor) -> list[float]:
    return [round(number, 2) for number in row.tolist()]
