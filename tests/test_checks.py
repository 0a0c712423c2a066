"""checks.py: each typical wrong answer gets its own explanation, and nothing ever raises."""

from itertools import pairwise

import pytest
import torch

from utils import checks


def naive(h, m):
    return h.mean(1)


def right(h, m):
    return (h * m[..., None]).sum(1) / m.sum(1, keepdim=True).clamp(min=1)


def in_place(ids, m):
    return ids.masked_fill_(m == 0, -100)


@pytest.mark.parametrize(
    ("check", "answer", "says"),
    [
        (checks.unpack, lambda v, o: [v[a:b] for a, b in pairwise(o)], "Right: three sentences"),
        (checks.unpack, lambda v, o: torch.tensor_split(v, o[1:-1]), "Right: three sentences"),
        (checks.unpack, lambda v, o: torch.tensor_split(v, o[1:]), "your last tensor is too many"),
        (checks.unpack, lambda v, o: torch.tensor_split(v, o[:-1]), "your first tensor is too many"),
        (checks.unpack, lambda v, o: v.split(o.tolist()), "An offset is a place, not a length"),
        (checks.unpack, lambda v, o: [part.tolist() for part in v], "wanted a list of tensors"),
        (checks.unpack, lambda v, o: torch.tensor_split(v, o[:-1])[:2], "one sentence is missing"),
        (checks.unpack, lambda v, o: [v[:n] for n in o[1:]], "An offset is a place, not a length"),
        (checks.unpack, lambda v, o: v.split([3, 1, 4]), "wanted [4, 1, 3]"),
        (checks.unpack, lambda v, o: [v[4:8], v[:1], v[:3]], "not the ones between"),
        (checks.unpack, lambda v, o: v, "you returned a tensor of shape (8, 3)"),
        (checks.mean_pool, right, "Right: only real tokens"),
        (checks.mean_pool, naive, "the plain mean"),
        (checks.mean_pool, lambda h, m: (h * m[..., None]).mean(1), "divided by the padded length"),
        (checks.mean_pool, lambda h, m: (h * m[..., None]).sum(1), "the sum over the real tokens"),
        (checks.mean_pool, lambda h, m: (h * m[..., None]).sum(1) / m.sum(1, keepdim=True), "clamp the count"),
        (checks.mean_pool, lambda h, m: h.sum(-1), "shape (3, 5); wanted (3, 4)"),
        (checks.mean_pool, lambda h, m: h[:, 0], "Try one sentence by hand"),
        (checks.mean_pool, lambda h, m: right(h, m).double(), "Right: only real tokens"),
        (checks.mean_pool, lambda h, m: right(h, 1 - m), "the polarity is flipped"),
        (checks.mean_pool, lambda h, m: torch.stack([x[: m[n].sum()].mean(0) for n, x in enumerate(h)]), "on the left"),
        (
            checks.mean_pool,
            lambda h, m: h.mul_(m[..., None]).sum(1) / m.sum(1, keepdim=True),
            "hidden itself was changed",
        ),
        (
            checks.mean_pool,
            lambda h, m: right(h, m) if m.any() else naive(h, m),
            "should give zeros; yours begins with",
        ),
        (checks.mean_pool, lambda h, m: 3, "you returned a int"),
        (checks.mean_pool, lambda h, m: h @ m, "your function raised RuntimeError"),
        (checks.mean_pool, lambda h, m: right(h, m) if m.any() else [], "without real tokens you returned a list"),
        (checks.unpack, lambda v, o: v.undefined, "has no attribute 'undefined' (inputs of shape (8, 3), (4,)).\n"),
        (checks.labels_for_loss, lambda i, m: i.masked_fill(m == 0, -100), "Right: padding is -100"),
        (checks.labels_for_loss, in_place, "input_ids itself was changed"),
        (checks.labels_for_loss, lambda i, m: i.masked_fill(m == 0, -100).float(), "cross_entropy wants int64"),
        (checks.labels_for_loss, lambda i, m: i.masked_fill(~m, -100), "Make a bool mask first"),
        (checks.labels_for_loss, lambda i, m: torch.where(m, i, -100), "Make a bool mask first"),
        (checks.to_keep, lambda m: ~m[:, None, None, :], "Right: polarity turned round"),
        (checks.to_keep, lambda m: m[:, None, None, :], "the polarity is not"),
        (checks.to_keep, lambda m: ~m, "Two None between the batch and the keys"),
        (checks.to_keep, lambda m: ~m[:, None], "wanted (2, 1, 1, 4)"),
        (checks.to_keep, lambda m: (~m).long()[:, None, None], "keep is bool"),
        (checks.to_keep, lambda m: torch.ones(2, 1, 1, 4, dtype=torch.bool), "for the ignore mask [[False,"),
        (checks.to_keep, lambda m: m.tolist(), "wanted a bool tensor of shape (2, 1, 1, 4)"),
        (checks.labels_for_loss, lambda i, m: i.masked_fill(i == 50256, -100), "ask the attention_mask"),
        (checks.labels_for_loss, lambda i, m: i.masked_fill(m == 1, -100), "the polarity is flipped"),
        (checks.labels_for_loss, lambda i, m: i, "got [[15,"),
        (checks.labels_for_loss, lambda i, m: i[0], "you returned a tensor of shape (4,)"),
    ],
)
def test_answers(check, answer, says, capsys):
    assert check(answer) is None
    printed = capsys.readouterr().out
    assert says in printed
    assert printed.startswith("Right: ") == says.startswith("Right")


class Drawn:
    """As much of a MaskLab as a check looks at."""

    query_tokens, key_tokens = ["a", "b", "c"], ["x", "y", "z"]

    def __init__(self, keep):
        self.keep = keep


CAUSAL = torch.ones(3, 3, dtype=torch.bool).tril()


@pytest.mark.parametrize(
    ("lab", "says"),
    [
        (Drawn(CAUSAL), "Right: 3 of 9 cells hidden, and just the right ones."),
        (Drawn(torch.ones(3, 3, dtype=torch.bool)), "Not tried yet. Click cells"),
        (Drawn(~CAUSAL), "Not yet: you hid what should be visible"),
        (Drawn(CAUSAL.T), "Not yet: rows and columns are exchanged."),
        (
            Drawn(CAUSAL | torch.tensor([[0, 1, 0], [0, 0, 0], [0, 0, 0]]).bool()),
            "Not yet: 1 cell differs. The first: query 0 (a) and key 1 (y). The query may see it and should not.",
        ),
        (
            Drawn(CAUSAL & torch.tensor([[1, 1, 1], [1, 0, 1], [0, 1, 1]]).bool()),
            "Not yet: 2 cells differ. The first: query 1 (b) and key 1 (y). The query should see it and may not.",
        ),
        (Drawn(torch.ones(2, 2).bool()), "Not yet: wanted a MaskLab of 3 queries and 3 keys; got a Drawn."),
        (None, "Not yet: wanted a MaskLab of 3 queries and 3 keys; got a NoneType."),
        (CAUSAL, "Not yet: wanted a MaskLab of 3 queries and 3 keys; got a tensor of shape (3, 3)."),
    ],
)
def test_a_drawn_mask_is_read_and_answered(lab, says, capsys):
    assert checks.drawn(lab, CAUSAL) is None
    assert capsys.readouterr().out.startswith(says)


def test_left_to_right_wants_earlier_real_keys(capsys):
    real = torch.tensor([True, True, False])
    checks.left_to_right(Drawn(CAUSAL & real), real=2)
    assert capsys.readouterr().out.startswith("Right: 4 of 9 cells hidden")
    checks.left_to_right(Drawn(CAUSAL), real=2)
    assert "query 2 (c) and key 2 (z). The query may see it and should not" in capsys.readouterr().out
    checks.left_to_right(None, real=2)
    assert "wanted a MaskLab" in capsys.readouterr().out


def untouched(*inputs): ...  # your turn


def documented_but_untouched(*inputs):
    """What the function is for."""
    ...  # your turn


def forgot_the_return(values, *others):
    values.sum()


@pytest.mark.parametrize("check", [checks.to_keep, checks.unpack, checks.mean_pool, checks.labels_for_loss])
def test_untouched_exercises_are_not_tried_yet(check, capsys):
    for answer in (None, ..., untouched, documented_but_untouched, lambda *inputs: ...):
        check(answer)
        assert capsys.readouterr().out == checks.NOT_TRIED + "\n"
    check(forgot_the_return)
    assert "Is a return missing?" in capsys.readouterr().out
    check("an answer")
    assert "wanted your function itself" in capsys.readouterr().out


def test_the_size_that_is_wanted_is_named_rows_first(capsys):
    checks.drawn(Drawn(CAUSAL), torch.ones(2, 5).bool())
    assert capsys.readouterr().out == "Not yet: wanted a MaskLab of 2 queries and 5 keys; got a Drawn.\n"
