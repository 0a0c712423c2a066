"""Checks of lesson 13: keys that count more or less than once, ALiBi beside a cache, and a sink for each head."""

import torch
from torch import Tensor

from .feedback import Attempt, Mistakes, exercise, same, wrong_shape

COUNTED = "a tensor of shape (3, 4), one weight per query and key"


@exercise(right="log w in a score multiplies the key's odds by w, and log 0 hides it.")
def counted(yours: Attempt) -> Mistakes:
    """Says whether keys count as often as they are said to.

    Args:
        yours: takes ``scores``, (q_len, k_len) float32, and ``counts``, (k_len,) float32 of 0 or more; returns weights,
            (q_len, k_len) float.

    References:
        Lesson 13.
    """
    scores = torch.tensor([[1.0, 2.0, 1.0, 4.0], [3.0, 1.0, 5.0, 2.0], [1.0, 1.0, 2.0, 2.0]]).log()
    counts = torch.tensor([3.0, 1.0, 0.0, 0.5])

    def right(scores: Tensor) -> Tensor:
        return (scores + counts.log()).softmax(dim=-1)

    weights = yours(scores, counts, wanted=COUNTED)
    yield yours.changed(), "one of the inputs was changed. Write scores + …, not scores += …"
    hints = {(4, 3): "Rows are queries, columns are keys.", (4,): "That is one row. Each query has its own."}
    yield wrong_shape(weights, (3, 4), hints)
    if not same(weights, right(scores)):
        yield from _mistakes_of_counts(weights, scores, counts, right(scores))
    for score, words in {
        200.0: "right here, but NaN where all scores are 200: exp(200) is more than float32 holds. "
        "softmax subtracts the largest first: add to the scores, before it.",
        -200.0: "right here, but not where all scores are −200: each exp is 0. softmax subtracts the largest first.",
    }.items():
        large = torch.full((3, 4), score)
        yield not same(yours.run(large, counts, wanted=COUNTED), right(large)), words
    hidden = scores.clone()
    hidden[:, 2] = 200.0
    late = "right here, but not where the key with the count 0 has a score of 200. Hide it before the softmax."
    yield not same(yours.run(hidden, counts, wanted=COUNTED), right(hidden)), late


def _mistakes_of_counts(weights: Tensor, scores: Tensor, counts: Tensor, wanted: Tensor) -> Mistakes:
    """What wrong weights come from."""
    columns = same(weights[:, counts > 0].sum(dim=0), torch.ones(3))
    yield columns, "your columns sum to 1, not your rows: the softmax goes over the keys, dim=-1."
    nan = "there is NaN in your weights. log 0 is −∞: add it to the scores. Times 0, or subtracted, it makes NaN."
    yield weights.isnan().any(), nan
    yield scores.softmax(dim=-1), "these are the weights without the counts."
    plain = "you added the counts themselves. exp makes a product of a sum: which number becomes 3 under exp?"
    yield (scores + counts).softmax(dim=-1), plain
    yield (scores * counts).softmax(dim=-1), "you multiplied the scores. A score of 0 is like any other; add to them."
    after = "you multiplied the weights, so rows do not sum to 1. Divide again, or add to the scores before."
    yield scores.softmax(dim=-1) * counts, after
    yield (scores + counts.log1p()).softmax(dim=-1), "a count of 1 should change nothing: log, not log1p."
    yield (scores + counts.log2()).softmax(dim=-1), "log is to base e, as exp is."
    hides = (counts == 0) & (weights > 0).any(dim=0)
    yield hides.any(), "the key with the count 0 still has weight: log 0 is −∞, which hides. Is there a clamp?"
    yield True, f"the first row should be {_rounded(wanted[0])}; yours is {_rounded(weights[0])}."


@exercise(right="−slope · distance, counted from where each query stands, and nothing of the future.")
def alibi_bias(yours: Attempt) -> Mistakes:
    """Says whether ALiBi's bias is right, beside a cache too.

    Args:
        yours: takes ``q_len``, ``k_len`` and ``slopes``, (heads,) float32; returns the bias, (heads, q_len, k_len)
            float, -slope · distance, and -inf for later keys. Queries are the last ``q_len`` of ``k_len`` places.

    References:
        Lesson 13; https://arxiv.org/abs/2108.12409
    """
    slopes = torch.tensor([1.0, 0.25, 0.5])
    for q_len, k_len in ((4, 4), (2, 5)):
        case, shape = f"for {q_len} queries and {k_len} keys", (3, q_len, k_len)
        bias = yours(q_len, k_len, slopes, wanted=f"a tensor of shape {shape}", case=case)
        yield yours.changed(), "slopes itself was changed."
        hints = {
            2: "Each head has its own slope: slopes[:, None, None].",
            (q_len, k_len, 3): "The heads come first: slopes[:, None, None].",
            (3, k_len, q_len): "Rows are queries, columns are keys.",
            4: "Without a batch: three dimensions.",
        }
        yield wrong_shape(bias, shape, hints, case=case)
        yield not bias.is_floating_point(), f"your bias is {bias.dtype}; it is added to scores, so it is a float."
        yield bias.isnan().any(), "there is NaN in your bias: 0 · ∞. Use masked_fill, do not multiply."
        wanted = _alibi(q_len, k_len, slopes)
        if not same(bias, wanted):
            yield from _mistakes_of_alibi(bias, q_len, k_len, slopes)
        yield not same(bias, wanted), f"head 0, last row: {bias[0, -1].tolist()}; wanted {wanted[0, -1].tolist()}."


def _alibi(q_len: int, k_len: int, slopes: Tensor, start: int | None = None) -> Tensor:
    first = k_len - q_len if start is None else start
    distance = torch.arange(first, first + q_len)[:, None] - torch.arange(k_len)
    return (-slopes[:, None, None] * distance).masked_fill(distance < 0, -torch.inf)


def _mistakes_of_alibi(bias: Tensor, q_len: int, k_len: int, slopes: Tensor) -> Mistakes:
    """What a wrong bias of the right shape comes from."""
    wanted, seen = _alibi(q_len, k_len, slopes), _alibi(q_len, k_len, slopes).isfinite()
    row, column = torch.arange(k_len - q_len, k_len)[:, None], torch.arange(k_len)
    raw = -slopes[:, None, None] * (row - column)
    corner = "you count queries from 0. Beside a cache they are the last places: torch.arange(k_len - q_len, k_len)."
    yield _alibi(q_len, k_len, slopes, start=0), corner
    yield _alibi(q_len, k_len, slopes, start=0).abs(), corner
    yield raw, "later keys get positive numbers, so they are preferred. They are to be hidden: −∞."
    yield -raw.abs(), "later keys are to be hidden, −∞; in yours they count as much as earlier ones."
    yield raw.masked_fill(~seen, 0.0), "later keys get 0, which hides nothing: −∞."
    visible, right = bias.masked_fill(~seen, 0.0), wanted.masked_fill(~seen, 0.0)
    filled = bias[~seen]
    finite = len(filled) and same(visible, right) and filled.isfinite().all()
    yield bool(finite), f"later keys get {filled.min().item() if len(filled) else 0:g}; wanted −∞."
    yield same(visible, -right), "the sign: far keys should lose, so the bias is −slope · distance."
    by_key = (slopes[:, None, None] * column).expand_as(bias).masked_fill(~seen, 0.0)
    key_only = "these are slope · key. The weights would be the same, but wanted are ALiBi's own: 0 for oneself."
    yield same(visible, by_key), key_only
    unsloped = (-(row - column).float()).expand_as(bias).masked_fill(~seen, 0.0)
    yield same(visible, unsloped), "the slopes are not in it: each head multiplies the distance by its own."
    yield same(visible, right.flip(0)), "the slopes are in reverse order: head 0 has the first."


@exercise(right="the sink takes its share, and is dropped. A row that sees nothing gives all to it.")
def weights_with_sink(yours: Attempt) -> Mistakes:
    """Says whether each head's sink takes its share, and is dropped.

    Args:
        yours: takes ``scores``, (heads, q_len, k_len) float32, -inf where hidden, and ``sinks``, (heads,) float32;
            returns the weights of the keys, (heads, q_len, k_len) float.

    References:
        Lesson 13; https://arxiv.org/abs/2309.17453
    """
    scores = torch.tensor([[1.0, 2.0, 1.0, 4.0], [3.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]]).log()
    scores = torch.stack([scores, scores + 1])
    sinks = torch.tensor([0.5, -1.0])
    wanted = _sunk(scores, sinks)
    words = "a tensor of shape (2, 3, 4), one weight per head, query and key"
    weights = yours(scores, sinks, wanted=words)
    yield yours.changed(), "one of the inputs was changed. torch.cat makes a new tensor."
    hints = {
        (2, 3, 5): "The sink is no key: drop its weight, [..., :-1].",
        (2, 4, 4): "The sink is one more key, not one more query: dim=-1.",
        (2, 3, 1): "That is the weight of the sink, which is to be dropped; wanted the others.",
        (2, 3): "That is the weight of the sink, which is to be dropped; wanted the others.",
        (2, 3, 3): "You dropped a key as well.",
    }
    yield wrong_shape(weights, (2, 3, 4), hints)
    if not same(weights, wanted):
        yield from _mistakes_of_sink(weights, scores, sinks, wanted)
    large = torch.full((2, 3, 4), 200.0)
    overflow = "right here, but not for scores of 200: exp(200) is more than float32 holds. Let softmax take the exp."
    yield not same(yours.run(large, sinks, wanted=words), _sunk(large, sinks)), overflow


def _sunk(scores: Tensor, sinks: Tensor) -> Tensor:
    column = sinks[:, None, None].expand(-1, scores.shape[1], 1)
    return torch.cat([scores, column], dim=-1).softmax(dim=-1)[..., :-1]


def _mistakes_of_sink(weights: Tensor, scores: Tensor, sinks: Tensor, wanted: Tensor) -> Mistakes:
    """What wrong weights come from; in each head the last row sees nothing."""
    some = weights[:, :2]
    plain = "the sinks have no effect: a number that is added to a whole row changes nothing. They are one more score."
    yield same(some, scores.softmax(dim=-1)[:, :2]), f"{plain} Or did you divide again after dropping them?"
    column = sinks[:, None, None].expand(-1, 3, 1)
    both = torch.cat([column, scores], dim=-1).softmax(dim=-1)
    yield both[..., :-1], "the sink stands in front, and you dropped the last key."
    last = torch.cat([scores, column], dim=-1).softmax(dim=-1)[..., 1:]
    yield last, "the sink stands behind, and you dropped the first key."
    yield same(some, _sunk(scores, sinks.flip(0))[:, :2]), "the sinks are in reverse order: head 0 has the first."
    alike = [_sunk(scores, sink.expand(2)) for sink in (*sinks, sinks.mean(), torch.tensor(0.0))]
    yield any(same(some, one[:, :2]) for one in alike), "each head has a sink of its own: sinks[:, None, None]."
    yield same(some, _sunk(scores, sinks.exp().log1p())[:, :2]), "the sink is a score, as the others: use it as it is."
    yield same(some, _sunk(scores, sinks.exp())[:, :2]), "the sink is a score: the softmax takes its exp."
    empty = "the row that sees nothing"
    if same(some, wanted[:, :2]):
        yield weights.isnan().any(), f"{empty} is NaN. With the sink in the softmax its sum is not 0."
        yield True, f"{empty} should be 0: the sink takes all. Yours is {_rounded(weights[0, 2])}."
    yield weights.isnan().any(), "there is NaN in your weights. With the sink in the softmax no row is NaN."
    yield True, f"the first row of head 0 should be {_rounded(wanted[0, 0])}; yours is {_rounded(weights[0, 0])}."


def _rounded(row: Tensor) -> list[float]:
    return [round(number, 2) for number in row.tolist()]
