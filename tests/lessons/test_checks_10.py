"""The checks of lesson 10: each typical wrong answer gets its own explanation."""

import pytest
import torch

from utils import checks


def cross(m, n):
    return m.bool()[:, None, None].expand(-1, -1, n, -1)


CROSS_KEEP = [
    (cross, "Right: each query sees the source's real tokens"),
    (lambda m, n: (m == 1)[:, None, None].repeat(1, 1, n, 1), "Right: each query sees"),
    (lambda m, n: cross(m, n).mT, "Rows are queries, the target's tokens"),
    (lambda m, n: m.bool()[:, None, None], "That broadcasts, and attention would take it"),
    (lambda m, n: cross(m, n)[:, 0], "dimension of the heads is missing"),
    (lambda m, n: m.bool(), "source_mask[:, None, None]"),
    (lambda m, n: m.bool()[:, None, None].expand(n, -1), "source_mask[:, None, None]"),
    (lambda m, n: m.bool().expand(n, 4), "expand repeats dimensions of size 1 only"),
    (lambda m, n: cross(m, 4), "That is the encoder's mask"),
    (lambda m, n: torch.ones(2, 1, n, n).tril().bool(), "That is the decoder's mask"),
    (lambda m, n: cross(m, n)[0, 0], "Each text has its own pads"),
    (lambda m, n: cross(m, n)[:1], "Each text has its own pads"),
    (lambda m, n: cross(m, n).long(), "torch.int64; keep is bool"),
    (lambda m, n: ~cross(m, n), "the polarity is flipped"),
    (lambda m, n: torch.ones(2, 1, n, 4).bool(), "nothing is hidden"),
    (lambda m, n: cross(m, n).tril(), "there is a triangle in it"),
    (lambda m, n: torch.ones(2, 1, n, 4).tril().bool(), "this is a triangle"),
    (lambda m, n: cross(m, n).roll(1, -1), "right in shape; but which keys"),
    (lambda m, n: cross(m, 3), "right for three; for target_len=6"),
    (lambda m, n: cross(m.mul_(1 - m), n), "source_mask itself was changed"),
    (lambda m, n: [m], "you returned a list"),
]


def arguments(source, target, **others):
    length = target.shape[1]
    given = {
        "tgt_mask": torch.ones(length, length).triu(1).bool(),
        "src_key_padding_mask": source == 0,
        "tgt_key_padding_mask": target == 0,
        "memory_key_padding_mask": source == 0,
    }
    return {name: mask for name, mask in (given | others).items() if mask is not None}


def with_triangle(triangle):
    return lambda s, t: arguments(s, t, tgt_mask=triangle)


ONES = torch.ones(3, 3)
TRANSFORMER_MASKS = [
    (arguments, "Right: nn.Transformer hides the pads of both texts"),
    (lambda s, t: arguments(s, t, memory_key_padding_mask=None), "without it the decoder sees the source's pads"),
    (lambda s, t: arguments(s, t, src_key_padding_mask=None), "without it the source's words see"),
    (lambda s, t: arguments(s, t, tgt_key_padding_mask=None), "it hides the target's pads"),
    (with_triangle(None), "without it the decoder sees the words that it is to write"),
    (lambda s, t: arguments(s, t, memory_mask=torch.zeros(3, 4).bool()), "memory_mask: four arguments are enough"),
    (with_triangle(ONES.tril().bool()), "tgt_mask: the polarity is flipped"),
    (with_triangle(ONES.triu().bool()), "each token is hidden from itself: triu(1)"),
    (with_triangle(ONES.tril(-1).bool()), "the past is hidden"),
    (with_triangle((ONES * -torch.inf).triu(1)), "tgt_mask: your tensor is torch.float32"),
    (with_triangle(torch.ones(4, 4).triu(1).bool()), "tgt_mask: your tensor has the shape (4, 4); wanted (3, 3)"),
    (with_triangle(ONES.bool() & False), "tgt_mask: nothing is True in it"),
    (with_triangle(ONES.bool()), "tgt_mask: wanted [[0, 1, 1], [0, 0, 1], [0, 0, 0]] as 1 = ignore"),
    (with_triangle([[True]]), "tgt_mask: you returned a list"),
    (with_triangle(ONES.to_sparse()), "tgt_mask: you returned a sparse tensor"),
    (lambda s, t: arguments(s, t, src_key_padding_mask=s.bool()), "src_key_padding_mask: the polarity is flipped"),
    (lambda s, t: arguments(s, t, src_key_padding_mask=s), "src_key_padding_mask: your tensor is torch.int64"),
    (
        lambda s, t: arguments(s, t, memory_key_padding_mask=t == 0),
        "memory_key_padding_mask: your tensor has the shape (2, 3); wanted (2, 4). That is the shape of tgt_key",
    ),
    (lambda s, t: arguments(s.mul_(1 - s), t), "one of the inputs was changed"),
    (lambda s, t: (s == 0, t == 0), "you returned a tuple; wanted a dict of four tensors"),
]


def reaches(function, x, source_mask, noise=None, of=torch.randn_like):
    noise = of(x) * (source_mask == 0)[..., None] if noise is None else noise
    return not torch.allclose(function(x + noise), function(x), atol=1e-5)


def one_pad(place):
    changed = torch.zeros(5, 1)
    changed[place] = 1
    return lambda f, x, m: reaches(f, x, m, torch.randn_like(x) * changed * (m == 0)[..., None])


def last_two(f, x, m):
    return reaches(f, x, torch.tensor([[1, 1, 1, 0, 0]]))


def in_place(f, x, m):
    before = f(x)
    x[m == 0] += 1
    return not torch.allclose(f(x), before)


PADS_REACH_TARGET = [
    (reaches, "Right: seven functions"),
    (lambda f, x, m: torch.tensor(reaches(f, x, m)), "Right: seven functions"),
    (lambda f, x, m: True, "you say yes where both attentions hide the pads. Do you change the pads alone?"),
    (lambda f, x, m: False, "you say no where cross-attention sees the pads"),
    (lambda f, x, m: reaches(f, x, m, torch.randn_like(x)), "Do you change the pads alone?"),
    (lambda f, x, m: reaches(f, x, 1 - m), "Do you change the pads alone?"),
    (one_pad(3), "you say no where cross-attention sees the second pad alone. Change both pads"),
    (one_pad(4), "you say no where cross-attention sees the first pad alone. Change both pads"),
    (last_two, "you say yes where both hide two pads on the left"),
    (in_place, "x or source_mask itself was changed"),
    (lambda f, x, m: f(x[:, :3]), "It reads five vectors"),
    (lambda f, x, m: f(x), "wanted True or False"),
]

ALL = [
    (check, answer, says)
    for check, rows in (
        (checks.cross_keep, CROSS_KEEP),
        (checks.transformer_masks, TRANSFORMER_MASKS),
        (checks.pads_reach_target, PADS_REACH_TARGET),
    )
    for answer, says in rows
]


@pytest.mark.parametrize(("check", "answer", "says"), ALL)
def test_answers(check, answer, says, capsys):
    assert check(answer) is None
    printed = capsys.readouterr().out
    assert says in printed
    assert printed.startswith("Right: ") == says.startswith("Right")
