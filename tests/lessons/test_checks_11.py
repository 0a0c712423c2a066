"""The checks of lesson 11: each typical wrong answer gets its own explanation."""

import pytest
import torch
from torch.nn.functional import pad

from utils import checks

# --- labels of a padded batch ------------------------------------------------------------------------


def after_pad(m):
    return pad(m[:, :-1], (1, 0), value=1) == 0


def padded(i, m):
    return i.masked_fill((m == 0) | after_pad(m), -100)


def before_pad(m):
    return pad(m[:, 1:], (0, 1), value=1) == 0


PADDED = [
    (checks.labels_of_padded, padded, "Right: pads are left out, the real end stays"),
    (checks.labels_of_padded, lambda i, m: padded(i, m).index_fill(1, torch.tensor([0]), -100), "Right: pads are left"),
    (checks.labels_of_padded, lambda i, m: i.where((m == 1) & ~after_pad(m), -100), "Right: pads are left out"),
    (checks.labels_of_padded, lambda i, m: i.masked_fill(m == 0, -100), "In row 2 the last pad on the left"),
    (checks.labels_of_padded, lambda i, m: i.masked_fill(i == 50256, -100), "you looked for the pad id"),
    (checks.labels_of_padded, lambda i, m: i.masked_fill(m == 1, -100), "the polarity is flipped"),
    (checks.labels_of_padded, lambda i, m: i.clone(), "nothing is left out"),
    (checks.labels_of_padded, lambda i, m: i, "nothing is left out"),
    (checks.labels_of_padded, lambda i, m: padded(i, m).roll(-1, 1), "The loss shifts them itself"),
    (checks.labels_of_padded, lambda i, m: i.masked_fill(m == 0, -100).roll(-1, 1), "The loss shifts them itself"),
    (checks.labels_of_padded, lambda i, m: padded(i, m).masked_fill(before_pad(m), -100), "lost its label"),
    (checks.labels_of_padded, lambda i, m: i.masked_fill_((m == 0) | after_pad(m), -100), "input_ids itself was"),
    (checks.labels_of_padded, lambda i, m: padded(i, m.clone()) + 0 * m.mul_(0), "attention_mask itself was changed"),
    (checks.labels_of_padded, lambda i, m: padded(i, m).float(), "cross_entropy wants int64"),
    (checks.labels_of_padded, lambda i, m: padded(i, m)[:, 1:], "wanted a tensor of shape (3, 4), like input_ids"),
    (checks.labels_of_padded, lambda i, m: torch.zeros_like(i), "row 0: got [0, 0, 0] from place 1 on, wanted [50256"),
    (checks.labels_of_padded, lambda i, m: padded(i, m).tolist(), "you returned a list"),
    (checks.labels_of_padded, lambda i, m: i.masked_fill(m, -100), "Make a bool mask first"),
]

# --- labels of packed texts --------------------------------------------------------------------------


def seam(n):
    return pad(n[:, 1:] != n[:, :-1], (1, 0))


def risen(n):
    return pad(n.diff(dim=1), (1, 0))


PACKED = [
    (checks.labels_of_packed, lambda i, n: i.masked_fill(seam(n), -100), "Right: no text has to guess"),
    (checks.labels_of_packed, lambda i, n: i.masked_fill(pad(seam(n)[:, 1:], (1, 0), value=True), -100), "Right: no"),
    (checks.labels_of_packed, lambda i, n: i.masked_fill(risen(n) != 0, -100), "Right: no text has to guess"),
    (checks.labels_of_packed, lambda i, n: i.clone(), "every seam is scored"),
    (checks.labels_of_packed, lambda i, n: i.masked_fill(pad(seam(n)[:, 1:], (0, 1)), -100), "you left out the last"),
    (checks.labels_of_packed, lambda i, n: i.masked_fill(~seam(n), -100), "this is inverted"),
    (checks.labels_of_packed, lambda i, n: i.masked_fill(risen(n) == 1, -100), "need not rise by one"),
    (checks.labels_of_packed, lambda i, n: i.masked_fill(risen(n) > 0, -100), "numbers need not rise: a text"),
    (checks.labels_of_packed, lambda i, n: i.masked_fill(seam(n), -100).roll(-1, 1), "The loss shifts them itself"),
    (checks.labels_of_packed, lambda i, n: i.masked_fill_(seam(n), -100), "one of the inputs was changed"),
    (checks.labels_of_packed, lambda i, n: i.masked_fill(seam(n), -100).int(), "cross_entropy wants int64"),
    (
        checks.labels_of_packed,
        lambda i, n: i.masked_fill(n.diff(dim=1) != 0, -100),
        "your function raised RuntimeError",
    ),
    (checks.labels_of_packed, lambda i, n: i.masked_fill(seam(n), 0), "row 0: got [6, 0, 8, 9, 0] from place 1 on"),
    (checks.labels_of_packed, lambda i, n: seam(n)[:, 1:], "wanted a tensor of shape (2, 6)"),
]

# --- positions from the ids --------------------------------------------------------------------------


def count(i, p):
    return (i != p).long().cumsum(1)


def real(i, p):
    return (i != p).long()


COUNTED = [
    (checks.positions_from_ids, lambda i, p: count(i, p) * real(i, p) + p, "Right: pads are skipped"),
    (checks.positions_from_ids, lambda i, p: (count(i, p) + p).masked_fill(i == p, p), "Right: pads are skipped"),
    (checks.positions_from_ids, lambda i, p: torch.arange(5).expand(4, 5), "as GPT-2 does"),
    (checks.positions_from_ids, lambda i, p: torch.arange(5).expand(4, 5) + p + 1, "pads are counted, too"),
    (checks.positions_from_ids, lambda i, p: (count(i, p) - 1).clamp(min=0), "for models that begin at 0"),
    (checks.positions_from_ids, lambda i, p: count(i, p) * real(i, p), "and pads at pad_id: add it"),
    (checks.positions_from_ids, lambda i, p: (count(i, p) + p) * real(i, p), "Pads have the position pad_id, not 0"),
    (checks.positions_from_ids, lambda i, p: (count(i, p) - 1) * real(i, p) + p, "one too low"),
    (checks.positions_from_ids, lambda i, p: (count(i, p) - 1).clamp(min=0) + p, "one too low"),
    (checks.positions_from_ids, lambda i, p: count(i, p) + p, "not where the last token is"),
    (checks.positions_from_ids, lambda i, p: count(i, 1) * real(i, 1) + 1, "for pad_id=0"),
    (checks.positions_from_ids, lambda i, p: (count(i, p) * real(i, p) + p).float(), "so they must be int64"),
    (checks.positions_from_ids, lambda i, p: (count(i, p) * real(i, p) + p)[:, 1:], "wanted (4, 5), one position per"),
    (
        checks.positions_from_ids,
        lambda i, p: count(i.clone(), p) * real(i, p) + p + 0 * i.mul_(0),
        "itself was changed",
    ),
    (checks.positions_from_ids, lambda i, p: torch.full_like(i, 3), "row 0, [1, 1, 8, 9, 6]: got [3, 3, 3, 3, 3]"),
    (checks.positions_from_ids, lambda i, p: (i != p).cumsum(1) * (i != p) + p, "Right: pads are skipped"),
    (checks.positions_from_ids, lambda i, p: [p], "you returned a list"),
]


@pytest.mark.parametrize(("check", "answer", "says"), PADDED + PACKED + COUNTED)
def test_answers(check, answer, says, capsys):
    assert check(answer) is None
    printed = capsys.readouterr().out
    assert says in printed
    assert printed.startswith("Right: ") == says.startswith("Right")


@pytest.mark.parametrize("name", ["labels_of_packed", "labels_of_padded", "positions_from_ids"])
def test_untouched_exercises_are_not_tried_yet(name, capsys):
    for answer in (None, ..., lambda *inputs: ...):
        getattr(checks, name)(answer)
        assert capsys.readouterr().out == checks.NOT_TRIED + "\n"
    getattr(checks, name)(lambda *inputs: print(end=""))
    assert "Is a return missing?" in capsys.readouterr().out
