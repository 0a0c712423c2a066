"""The checks of lesson 13: each typical wrong answer gets its own explanation."""

import pytest
import torch
from torch import nn

from utils import checks


def weighted(s, c):
    return (s + c.log()).softmax(-1)


def again(s, c):
    late = s.softmax(-1) * c
    return late / late.sum(-1, keepdim=True)


def by_exp(s, c):
    exp = s.exp() * c
    return exp / exp.sum(-1, keepdim=True)


def with_inf(s, c):
    return torch.where(c == 0, -torch.inf, s + c.clamp(min=1e-9).log()).softmax(-1)


COUNTED = [
    (checks.counted, weighted, "Right: log w in a score"),
    (checks.counted, with_inf, "Right: log w in a score"),
    (checks.counted, lambda s, c: weighted(s, c).double(), "Right: log w"),
    (checks.counted, by_exp, "exp(200) is more than float32 holds"),
    (checks.counted, again, "where the key with the count 0 has a score of 200"),
    (checks.counted, lambda s, c: s.softmax(-1), "the weights without the counts"),
    (checks.counted, lambda s, c: (s + c).softmax(-1), "you added the counts themselves"),
    (checks.counted, lambda s, c: (s * c).softmax(-1), "you multiplied the scores"),
    (checks.counted, lambda s, c: s.softmax(-1) * c, "so rows do not sum to 1"),
    (checks.counted, lambda s, c: (s - c.log()).softmax(-1), "there is NaN in your weights"),
    (checks.counted, lambda s, c: (2 * s + c.log()).softmax(-1), "the first row should be"),
    (checks.counted, lambda s, c: (s + c.log1p()).softmax(-1), "log, not log1p"),
    (checks.counted, lambda s, c: (s + c.log2()).softmax(-1), "log is to base e"),
    (checks.counted, lambda s, c: (s + c.clamp(min=0.1).log()).softmax(-1), "with the count 0 still has weight"),
    (checks.counted, lambda s, c: (s + c.log()).softmax(0), "your columns sum to 1"),
    (checks.counted, lambda s, c: (s * c.log()).softmax(-1), "there is NaN in your weights"),
    (checks.counted, lambda s, c: weighted(s, c).mT, "Rows are queries, columns are keys"),
    (checks.counted, lambda s, c: weighted(s, c)[0], "That is one row"),
    (checks.counted, lambda s, c: s.add_(c.log()).softmax(-1), "one of the inputs was changed"),
    (checks.counted, lambda s, c: weighted(s, c[:, None]), "your function raised RuntimeError"),
    (checks.counted, lambda s, c: [1.0], "you returned a list"),
    (checks.counted, lambda s, c: None, "Not"),
]


def distance(q, k, start=None):
    start = k - q if start is None else start
    return torch.arange(start, start + q)[:, None] - torch.arange(k)


def sloped(q, k, m, start=None):
    d = distance(q, k, start)
    return (-m[:, None, None] * d).masked_fill(d < 0, -torch.inf)


def of_keys(q, k, m):
    bias = m[:, None, None] * torch.arange(k)
    return bias.expand(-1, q, -1).masked_fill(distance(q, k) < 0, -torch.inf)


def filled(q, k, m, fill):
    return sloped(q, k, m).nan_to_num(neginf=fill)


ALIBI = [
    (checks.alibi_bias, sloped, "Right: −slope · distance"),
    (checks.alibi_bias, lambda q, k, m: sloped(q, k, m).double(), "Right: −slope"),
    (checks.alibi_bias, lambda q, k, m: sloped(q, k, m, 0), "you count queries from 0"),
    (checks.alibi_bias, lambda q, k, m: -m[:, None, None] * distance(q, k), "so they are preferred"),
    (checks.alibi_bias, lambda q, k, m: -m[:, None, None] * distance(q, k).abs(), "count as much as earlier ones"),
    (checks.alibi_bias, lambda q, k, m: filled(q, k, m, 0.0), "later keys get 0, which hides nothing"),
    (checks.alibi_bias, lambda q, k, m: filled(q, k, m, -1e9), "later keys get -1e+09; wanted −∞"),
    (checks.alibi_bias, lambda q, k, m: sloped(q, k, -m), "the sign: far keys should lose"),
    (checks.alibi_bias, of_keys, "these are slope · key"),
    (checks.alibi_bias, lambda q, k, m: sloped(q, k, torch.ones_like(m)), "the slopes are not in it"),
    (checks.alibi_bias, lambda q, k, m: sloped(q, k, m.flip(0)), "in reverse order"),
    (checks.alibi_bias, lambda q, k, m: sloped(q, k, m)[0], "Each head has its own slope"),
    (checks.alibi_bias, lambda q, k, m: sloped(q, k, m)[None], "Without a batch"),
    (checks.alibi_bias, lambda q, k, m: sloped(q, k, m).permute(1, 2, 0), "The heads come first"),
    (checks.alibi_bias, lambda q, k, m: sloped(k, k, m), "for 2 queries and 5 keys your result"),
    (checks.alibi_bias, lambda q, k, m: sloped(k, k, m)[:, :, :q], "Rows are queries, columns are keys"),
    (checks.alibi_bias, lambda q, k, m: sloped(q, k, m) > -1, "it is added to scores, so it is a float"),
    (checks.alibi_bias, lambda q, k, m: sloped(q, k, m) + (distance(q, k) < 0) * torch.inf, "there is NaN"),
    (checks.alibi_bias, lambda q, k, m: sloped(q, k, 2 * m), "head 0, last row"),
    (checks.alibi_bias, lambda q, k, m: sloped(q, k, m.mul_(2)), "slopes itself was changed"),
    (checks.alibi_bias, lambda q, k, m: [m], "you returned a list"),
    (checks.alibi_bias, lambda q, k, m: None, "Not"),
]


def column(s, z):
    return z[:, None, None].expand(-1, s.shape[1], 1)


def sunk(s, z):
    return torch.cat([s, column(s, z)], -1).softmax(-1)[..., :-1]


def front(s, z):
    return torch.cat([column(s, z), s], -1).softmax(-1)


def divided(s, z):
    weights = sunk(s, z)
    return weights / weights.sum(-1, keepdim=True)


def by_hand(s, z):
    return s.exp() / (s.exp().sum(-1, keepdim=True) + z[:, None, None].exp())


SINK = [
    (checks.weights_with_sink, sunk, "Right: the sink takes its share"),
    (checks.weights_with_sink, lambda s, z: front(s, z)[..., 1:], "Right: the sink takes its share"),
    (checks.weights_with_sink, by_hand, "right here, but not for scores of 200"),
    (checks.weights_with_sink, lambda s, z: s.softmax(-1), "the sinks have no effect"),
    (checks.weights_with_sink, lambda s, z: (s + z[:, None, None]).softmax(-1), "the sinks have no effect"),
    (checks.weights_with_sink, divided, "did you divide again"),
    (checks.weights_with_sink, lambda s, z: torch.cat([s, column(s, z)], -1).softmax(-1), "The sink is no key"),
    (checks.weights_with_sink, lambda s, z: front(s, z)[..., :-1], "you dropped the last key"),
    (
        checks.weights_with_sink,
        lambda s, z: torch.cat([s, column(s, z)], -1).softmax(-1)[..., 1:],
        "you dropped the first key",
    ),
    (checks.weights_with_sink, lambda s, z: sunk(s, z)[..., :-1], "You dropped a key as well"),
    (checks.weights_with_sink, lambda s, z: front(s, z)[..., :1], "That is the weight of the sink"),
    (checks.weights_with_sink, lambda s, z: front(s, z)[..., 0], "That is the weight of the sink"),
    (checks.weights_with_sink, lambda s, z: sunk(s, z.flip(0)), "in reverse order"),
    (checks.weights_with_sink, lambda s, z: sunk(s, z[:1].expand(2)), "each head has a sink of its own"),
    (checks.weights_with_sink, lambda s, z: sunk(s, 0 * z), "each head has a sink of its own"),
    (checks.weights_with_sink, lambda s, z: sunk(s, z.exp()), "the softmax takes its exp"),
    (checks.weights_with_sink, lambda s, z: sunk(s, z) + s.isneginf().all(-1, keepdim=True), "the sink takes all"),
    (checks.weights_with_sink, lambda s, z: sunk(s, z) + 0 * s.amax(-1, keepdim=True), "is NaN. With the sink"),
    (checks.weights_with_sink, lambda s, z: sunk(s, z) * torch.nan, "no row is NaN"),
    (checks.weights_with_sink, lambda s, z: sunk(s, 2 * z), "the first row of head 0 should be"),
    (
        checks.weights_with_sink,
        lambda s, z: torch.cat([s, z[:, None, None].expand(-1, 1, 4)], 1).softmax(-1),
        "one more key, not one more query",
    ),
    (checks.weights_with_sink, lambda s, z: sunk(s.nan_to_num_(neginf=-1e9), z), "one of the inputs was changed"),
    (checks.weights_with_sink, lambda s, z: torch.cat([s, z], -1), "your function raised RuntimeError"),
    (checks.weights_with_sink, lambda s, z: nn.Parameter(sunk(s, z)), "Right: the sink takes its share"),
    (checks.weights_with_sink, lambda s, z: [s], "you returned a list"),
    (checks.weights_with_sink, lambda s, z: None, "Not"),
]


@pytest.mark.parametrize(("check", "answer", "says"), COUNTED + ALIBI + SINK)
def test_answers(check, answer, says, capsys):
    assert check(answer) is None
    printed = capsys.readouterr().out
    assert says in printed
    assert printed.startswith("Right: ") == says.startswith("Right")


def untouched(*inputs): ...  # your turn


@pytest.mark.parametrize("check", [checks.counted, checks.alibi_bias, checks.weights_with_sink])
def test_untouched_exercises_are_not_tried_yet(check, capsys):
    for answer in (None, ..., untouched, lambda *inputs: ...):
        check(answer)
        assert capsys.readouterr().out == checks.NOT_TRIED + "\n"
    check(lambda *inputs: print(end=""))
    assert "Is a return missing?" in capsys.readouterr().out
    check("an answer")
    assert "wanted your function itself" in capsys.readouterr().out
