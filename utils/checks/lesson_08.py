"""Checks of lessons 08 and 09: reach, leaks, and what padding costs."""

from collections.abc import Callable

import torch
from torch import Tensor

from .. import masks
from .feedback import call, kind, no, plain, yes


def _walked(keep: Tensor, layers: int, itself: bool = True) -> Tensor:
    """What is reached in ``layers`` steps, walked from place to place; without ``itself``, nobody stays where it is."""
    found = torch.zeros_like(keep)
    for q in range(len(keep)):
        here = {q}
        for _ in range(layers):
            seen = {k for place in here for k in range(len(keep)) if keep[place, k]}
            here = here | seen if itself else seen
        found[q, list(here)] = True
    return found


def reach(yours: Callable[[Tensor, int], Tensor]) -> None:
    """Lesson 08: ``yours(keep, layers)`` is bool (length, length): who may reach whom through the layers."""
    chain = torch.ones(9, dtype=torch.bool).diag(-1)  # each of ten sees the one before it, and not itself
    window = masks.sliding_window(6, 2)
    for keep, layers in ((chain, 4), (chain, 1), (chain, 2), (window, 3), (window, 40)):
        given, wanted = keep.clone(), _walked(keep, layers)
        got = call(yours, given, layers)
        if got is None:
            return
        length, case = len(keep), f"for {len(keep)} tokens and layers={layers}"
        if not isinstance(got, Tensor) or got.shape != keep.shape:
            return no(f"{case} you returned {kind(got)}; wanted a bool tensor of shape ({length}, {length}).")
        if not torch.equal(given, keep):
            return no("keep itself was changed, and the model still needs it. Use | in place of |=.")
        if got.dtype != torch.bool:
            return no(f"{case} your result is {got.dtype}; wanted bool: reached or not. Compare with > 0.")
        if not torch.equal(got, wanted):
            return no(f"{case}: {_why_not_reach(got, keep, layers, wanted)}")
    yes("the boolean power of keep | identity, for few layers and for many.")


def _why_not_reach(got: Tensor, keep: Tensor, layers: int, wanted: Tensor) -> str:
    """What a wrong ``reach`` comes from; chains and windows tell the mistakes apart."""
    itself = torch.eye(len(keep), dtype=torch.bool)
    if not got.diagonal().all() and torch.equal(got | itself, wanted):
        return "a token does not reach itself. The residual connection carries it on, whatever keep says."
    if torch.equal(got, keep):
        return "this is keep itself. A token always reaches itself, and layers add up."
    if torch.equal(got, _walked(keep, layers, itself=False)):
        return "the identity is missing: who is reached stays reached, since the residual connection keeps it."
    if torch.equal(got, wanted.mT):
        return "rows and columns are exchanged. A row is an output, a column an input."
    if torch.equal(got, _walked(keep, layers + 1)):
        return "one layer too many: one layer is keep | identity itself."
    if layers > 1 and torch.equal(got, _walked(keep, layers - 1)):
        return "one layer too few: start from keep | identity, and multiply layers - 1 times."
    if torch.equal(got, _walked(keep, 1)):
        return "this is one layer. With each further one, a token also gets what those have that it sees."
    if torch.equal(got, _walked(keep, len(keep))):
        return "this is what any number of layers can reach. Stop after the given number."
    if torch.equal(got, _walked(keep, 2 ** (layers - 1))):
        return "the reach doubles each time: multiply with one layer's matrix, not with the result."
    q, k = (got != wanted).nonzero()[0].tolist()
    return f"input {k} {'cannot' if got[q, k] else 'can'} reach output {q}. Walk it on paper, step by step."


DOCUMENTS = (0, 0, 1, 1, 1, 0)


def _own_mean(x: Tensor) -> Tensor:
    keep = masks.documents(DOCUMENTS).float()
    return x + (keep / keep.sum(dim=1, keepdim=True)) @ x


def _with(query: int, change: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """The honest mean, with something added to one output."""

    def function(x: Tensor) -> Tensor:
        added = torch.zeros_like(x)
        added[:, query] = change(x)
        return _own_mean(x) + added

    return function


def _rounded() -> Callable[[Tensor], Tensor]:
    """Each call differs from the one before it by what rounding does."""
    calls = []

    def function(x: Tensor) -> Tensor:
        calls.append(0)
        return _own_mean(x) + 1e-6 * (len(calls) % 2)

    return function


#: (what it is, makes a function of (1, length, dim), does it leak?)
LEAKS = (
    ("a mean over a token's own text", lambda: _own_mean, False),
    ("a mean over the whole row", lambda: lambda x: x + x.mean(dim=1, keepdim=True), True),
    ("token 3 in output 0, its only leak", lambda: _with(0, lambda x: x[:, 3]), True),
    ("token 0 in output 4, its only leak", lambda: _with(4, lambda x: x[:, 0]), True),
    ("token 5 in output 2, after a layer norm", lambda: _with(2, lambda x: 3 * _normed(x[:, 5])), True),
    ("token 3 minus token 4 in output 0", lambda: _with(0, lambda x: x[:, 3] - x[:, 4]), True),
    ("the mean over a token's own text, with rounding", _rounded, False),
)


def _normed(x: Tensor) -> Tensor:
    return torch.nn.functional.layer_norm(x, x.shape[-1:])


def has_leak(yours: Callable[[Callable, Tensor, Tensor], bool]) -> None:
    """Lesson 08: ``yours(function, x, keep)`` finds leaks with one call for each distinct row of keep, and one."""
    x = torch.randn(1, 6, 4, generator=torch.Generator().manual_seed(0))
    keep = masks.documents(DOCUMENTS)
    most = len(keep.unique(dim=0)) + 1
    for what, make, wanted in LEAKS:
        ran, function, given, given_keep = [0], make(), x.clone(), keep.clone()

        def counted(x: Tensor, ran=ran, function=function) -> Tensor:
            ran[0] += len(x)
            return function(x)

        got = plain(call(yours, counted, given, given_keep), bool)
        if got is None:
            return
        if not isinstance(got, bool):
            return no(f"you returned {kind(got)}; wanted True or False.")
        if not torch.equal(given, x) or not torch.equal(given_keep, keep):
            return no("x or keep itself was changed, and your next comparison begins from it. Change a clone.")
        if got != wanted:
            return no(_why_not_leak(what, got))
        if ran[0] > most:
            return no(f"right for {what}, but the function read {ran[0]} texts; {_cheaper(ran[0], most)}")
    yes(f"seven functions, each with {most} calls or fewer, however long the text is.")


def _why_not_leak(what: str, got: bool) -> str:
    if "rounding" in what:
        return f"you say yes for {what}. Calls differ by 1e-6 there: let a movement count from 1e-5 on."
    if got:
        return (
            f"you say yes for {what}. Compare only the outputs whose row of keep hides what you changed: the others "
            "may move."
        )
    if "minus" in what:
        return f"you say no for {what}. The same noise on both cancels: change each vector in its own way."
    if "layer norm" in what:
        return f"you say no for {what}. A number added to the whole vector vanishes there: change it unevenly."
    if "whole row" in what:
        return f"you say no for {what}. Change what a row of keep hides, ~row, and look at the queries with that row."
    return f"you say no for {what}. Every distinct row of keep needs a run of its own, and all its queries a look."


def _cheaper(ran: int, most: int) -> str:
    if ran in (2 * most - 2, 2 * most - 1):
        return f"{most} will do: run the unchanged text once, before the loop."
    return f"{most} will do: change all that a row hides at once, and let queries with equal rows share that run."


def break_even(yours: Callable[[int, int, int], float]) -> None:
    """Lesson 09: ``yours(tokens, dim, wide)`` is the share of pads from which on packing takes fewer operations."""
    for tokens, dim, wide in ((512, 384, 1536), (922, 384, 1536), (100, 64, 128), (4000, 64, 256)):
        got = plain(call(yours, tokens, dim, wide))
        if got is None:
            return
        if isinstance(got, bool) or not isinstance(got, int | float):
            return no(f"you returned {kind(got)}; wanted a number from 0 to 1.")
        wanted = tokens / (tokens + 2 * dim + wide)
        if abs(got - wanted) < 1e-6:
            continue
        said = f"for a row of {tokens} tokens, d = {dim} and f = {wide} you return {got:.3f}; wanted {wanted:.3f}."
        return no(f"{said} {_why_not_share(got, tokens, dim, wide)}".strip())
    yes("it is the share of pairs in the operations of the packed row. Packing trades pads for pairs.")


def _why_not_share(got: float, tokens: int, dim: int, wide: int) -> str:
    linear = 2 * dim + wide
    share = tokens / (tokens + linear)
    wrong = {
        1 - share: "That is the share of real tokens. Solve for w, not for 1 - w.",
        tokens / linear: "That is w / (1 - w), the pads for each real token. A share is of all places.",
        1 + tokens / linear: "That is the cost of the packed row. Which w makes 1 / (1 - w) as large?",
        linear / tokens: "That is 1 / w - 1. Turn the fraction over, and solve for w.",
        tokens / (tokens + 6 * dim): "6d holds where f is 4d, and this model has another f.",
        tokens / (tokens + 2 * linear): "Two products go over the pairs, the scores and the weights times values.",
        tokens / (tokens + wide): "Around attention are four linear layers more, which make the 2d.",
        tokens / (tokens + 2 * dim): "The feed-forward is missing, which makes the f.",
        100 * share: "A share lies between 0 and 1.",
        round(share, 2): "Do not round.",
    }
    return next((why for value, why in wrong.items() if abs(got - value) < 1e-6), "")


def blocks_touched(yours: Callable[[Tensor, int], int]) -> None:
    """Lesson 09: ``yours(keep, size)`` counts the size × size blocks that hold a visible pair."""
    window = masks.sliding_window(12, 2)
    lonely = torch.zeros(8, 12, dtype=torch.bool)
    lonely[5, 9] = True
    cases = (
        (window, 4, 5, "a sliding window of 2 over 12 tokens"),
        (lonely, 4, 1, "a (8, 12) keep with a single True"),
        (masks.causal(10), 4, 6, "the causal mask of 10 tokens, which 4 does not divide"),
        (masks.causal(3), 4, 1, "the causal mask of 3 tokens, less than a block"),
    )
    for keep, size, wanted, what in cases:
        given = keep.clone()
        got = plain(call(yours, given, size))
        if got is None:
            return
        if isinstance(got, bool) or not isinstance(got, int | float):
            return no(f"you returned {kind(got)}; wanted a number, how many blocks hold a True.")
        if not torch.equal(given, keep):
            return no("keep itself was changed. Work on a copy, for instance one from torch.nn.functional.pad.")
        if got == wanted:
            continue
        blocks = [part for rows in keep.split(size) for part in rows.split(size, dim=1)]
        wrong = {
            float(sum(bool(block.all()) for block in blocks)): "Those are the full blocks. One True is enough: any.",
            float(len(blocks)): "That is the number of all blocks.",
            float(keep.sum()): "That is the number of visible pairs.",
            float(sum(not block.any() for block in blocks)): "Those are the blocks that can be skipped.",
            wanted / len(blocks): "That is a share; wanted the number.",
            float(keep.unfold(0, size, size).unfold(1, size, size).any(dim=(2, 3)).sum() if len(keep) >= size else 0): (
                "Blocks at the edge may be smaller than the others, and count as well."
            ),
        }
        why = next((words for value, words in wrong.items() if abs(got - value) < 1e-6), "")
        return no(f"for {what}, in blocks of {size}, you return {got:g}; wanted {wanted}. {why}".strip())
    yes("a block counts as soon as one pair in it is visible, at the edges too.")
