"""The checks of lesson 12: each typical wrong answer gets its own explanation."""

import pytest
import torch

from utils import checks, masks


def slots(n):
    return torch.arange(n)


def own(filled, new):
    return filled + torch.arange(new)[:, None]


STATIC = [
    (lambda f, n, s: slots(s) <= own(f, n), "Right: each new token sees the filled slots"),
    (lambda f, n, s: torch.cat([masks.causal(n, f + n), torch.zeros(n, s - f - n).bool()], 1), "Right: each new token"),
    (lambda f, n, s: torch.ones(n, s).tril(f).bool(), "Right: each new token"),
    (lambda f, n, s: slots(s) > own(f, n), "the polarity is flipped"),
    (lambda f, n, s: torch.ones(n, s, dtype=torch.bool), "nothing is hidden, and the empty slots get weight"),
    (lambda f, n, s: (slots(s) < f + n).expand(n, s), "a new token sees those after it"),
    (lambda f, n, s: slots(s) < own(f, n), "off by one: no query sees itself"),
    (lambda f, n, s: slots(s) <= own(f, n) + 1, "off by one: each query also sees the slot after its own"),
    (lambda f, n, s: slots(s) <= own(0, n), "the triangle begins at slot 0"),
    (lambda f, n, s: masks.causal(n, s), "ends in the lower right corner, where the empty slots are"),
    (lambda f, n, s: masks.causal(n, f + n), "The empty slots are keys as well"),
    (lambda f, n, s: (slots(s) <= own(f, n)).T, "Rows are queries, columns are keys"),
    (lambda f, n, s: masks.causal(s), "There is a row for each new token only"),
    (lambda f, n, s: slots(s) < f + n, "There is a row for each new token."),
    (lambda f, n, s: (slots(s) <= own(f, n)).float(), "keep is bool"),
    (lambda f, n, s: torch.zeros(n, s).masked_fill(slots(s) > own(f, n), -1e9), "to be added to scores"),
    (lambda f, n, s: slots(s) <= own(4, n), "for 0 filled slots, 3 new tokens and 5 slots nothing is hidden"),
    (lambda f, n, s: (slots(s) <= own(f, n)).roll(1, 1), "query 0 and key 0: the query should see it"),
    (lambda f, n, s: [f], "you returned a list"),
]


def parts(length, window, sinks):
    key, query = torch.arange(length), torch.arange(length)[:, None]
    return key <= query, query - key < window, (key < sinks).expand(length, length)


def made(rule, more=0, extra=0):
    return lambda n, w, s: rule(*parts(n, w + more, s + extra))


SINKS = [
    (made(lambda causal, near, first: causal & (near | first)), "Right: the window slides"),
    (made(lambda causal, near, first: causal & near | causal & first), "Right: the window slides"),
    (made(lambda causal, near, first: ~(causal & (near | first))), "the polarity is flipped"),
    (made(lambda causal, near, first: (causal & (near | first)).T), "This is the other way round"),
    (made(lambda causal, near, first: causal & near | first), "`&` binds tighter than `|`"),
    (made(lambda causal, near, first: near | first), "nothing is causal"),
    (made(lambda causal, near, first: causal & near), "this is the window alone"),
    (made(lambda causal, near, first: causal & first), "these are the sinks alone"),
    (made(lambda causal, near, first: causal & near & first), "One of the two is enough"),
    (made(lambda causal, near, first: causal), "nothing is too far back"),
    (made(lambda causal, near, first: causal & (near | first), more=1), "each query sees 4 latest keys"),
    (made(lambda causal, near, first: causal & (near | first), more=-1), "each query sees 2 latest keys"),
    (made(lambda causal, near, first: causal & (near | first), extra=1), "one sink too many"),
    (made(lambda causal, near, first: (causal & (near | first)).float()), "keep is bool"),
    (made(lambda causal, near, first: torch.where(causal & (near | first), 0.0, -1e9)), "to be added to scores"),
    (made(lambda causal, near, first: (causal & (near | first))[:-1]), "wanted (8, 8)"),
    (made(lambda causal, near, first: (causal & (near | first)).roll(1, 0)), "query 0 and key 1: the query may see it"),
    (lambda n, w, s: masks.sliding_window(n, 3) | masks.prefix(n, 2) & masks.causal(n) & (slots(n) < 2), "length of 6"),
    (lambda n, w, s: (n, w), "you returned a tuple"),
]


def tree(parents, itself=True, grandparents=True, root=-1):
    keep = torch.eye(len(parents), dtype=torch.bool)
    for guess, parent in enumerate(parents):
        if parent > root or root == -2:
            keep[guess] |= keep[parent] if grandparents else torch.eye(len(parents), dtype=torch.bool)[parent]
    return keep if itself else keep & ~torch.eye(len(parents), dtype=torch.bool)


TREE = [
    (tree, "Right: each guess sees its own branch"),
    (lambda p: tree(p).clone().detach(), "Right: each guess sees its own branch"),
    (lambda p: ~tree(p), "the polarity is flipped"),
    (lambda p: tree(p).T, "A guess sees those before it, not those after it"),
    (lambda p: masks.causal(len(p)), "this is the triangle"),
    (lambda p: tree(p, itself=False), "no guess sees itself"),
    (lambda p: tree(p, grandparents=False), "a guess sees its parent only"),
    (lambda p: torch.eye(len(p), dtype=torch.bool), "a guess sees itself only"),
    (lambda p: tree(p, root=-2), "-1 was taken for an index"),
    (lambda p: tree(p, root=0), "query 1 and key 0: the query should see it"),
    (lambda p: tree(p).float(), "keep is bool"),
    (lambda p: torch.where(tree(p), 0.0, -1e9), "to be added to scores"),
    (lambda p: tree(p)[None], "wanted (7, 7)"),
    (lambda p: list(p), "you returned a list"),
]

ROWS = [
    *[(checks.static_keep, *row) for row in STATIC],
    *[(checks.window_with_sinks, *row) for row in SINKS],
    *[(checks.tree_keep, *row) for row in TREE],
]


@pytest.mark.parametrize(("check", "answer", "says"), ROWS)
def test_answers(check, answer, says, capsys):
    check(answer)
    printed = capsys.readouterr().out
    assert says in printed
    assert printed.startswith("Right: ") == says.startswith("Right")
    if says.startswith("Right"):
        check(answer, strict=True)
    else:
        with pytest.raises(checks.NotSolved):
            check(answer, strict=True)
