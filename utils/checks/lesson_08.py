"""Checks of lesson 08: texts that are long enough, reach through layers, and leaks."""

from collections.abc import Callable
from itertools import cycle

import torch
from torch import Tensor
from torch.nn.functional import layer_norm

from .. import masks
from .feedback import WEIGH, Attempt, Mistakes, exercise, require_vectors


def _walked(keep: Tensor, layers: int, itself: bool = True) -> Tensor:
    """What is reached in ``layers`` steps, walked from token to token; without ``itself``, nobody stays in place."""
    stay = torch.eye(len(keep), dtype=torch.bool)
    reached, step = stay, keep | stay if itself else keep
    for _ in range(min(layers, len(keep)) if itself else layers):  # further steps reach nothing new
        reached = (reached[:, :, None] & step).any(dim=1)
    return reached


@exercise(right="one token more than the last one reaches, so that a test has something to prove.")
def shortest_text(yours: Attempt) -> Mistakes:
    """Says whether the shortest text is right in which something is hidden from the last token.

    Args:
        yours: takes ``window``, how many keys a query of a causal sliding window sees, itself among them, and
            ``layers``, how many such layers there are; returns a number of tokens.

    References:
        Lesson 08.
    """
    for window, layers in ((3, 1), (5, 4), (2, 5), (1, 3)):
        wanted = 2
        while _walked(masks.sliding_window(wanted, window), layers)[-1].all():
            wanted += 1
        tokens = yours(window, layers, result_type=int | float, wanted="a number of tokens")
        if tokens == wanted:
            continue
        yours.case = f"for window={window} and layers={layers} you return {tokens:g}; wanted {wanted}."
        yield wanted - 1, "In a text of that length the last token reaches all. One more is needed."
        yield wanted - 2, "That is how far back the last token reaches. Itself counts, too, and one token must be left."
        yield (
            layers > 1 and tokens == window + 1,
            "That is enough for one layer. Each further one reaches further back.",
        )
        yield window * layers, "A window holds the token itself: each layer goes back by window - 1."
        yield window * layers + 1, "A window holds the token itself: each layer goes back by window - 1."
        yield True, ""


@exercise(right="the boolean power of keep | identity, for few layers and for many.")
def reach(yours: Attempt) -> Mistakes:
    """Says whether the reach through the layers is right.

    Args:
        yours: takes ``keep``, (length, length) bool, True = may attend, and ``layers``; returns (length, length) bool,
            True = input k may reach output q.

    References:
        Lesson 08.
    """
    chain = torch.ones(9, dtype=torch.bool).diag(-1)  # each of ten sees the one before it, and not itself
    window = masks.sliding_window(6, 2)
    for keep, layers in ((chain, 4), (chain, 1), (chain, 2), (window, 3), (window, 40)):
        case, shape = f"for {len(keep)} tokens and layers={layers}", tuple(keep.shape)
        reached = yours(keep, layers, wanted=f"a bool tensor of shape {shape}", shape=shape, case=case)
        yield yours.changed(), "keep itself was changed, and the model still needs it. Use | in place of |=."
        other = f"{case} your result is {reached.dtype}; wanted bool: reached or not. Compare with > 0."
        yield reached.dtype != torch.bool, other
        if not torch.equal(reached, _walked(keep, layers)):
            yours.case = f"{case}:"
            yield from _mistakes_of_reach(reached, keep, layers)


def _mistakes_of_reach(reached: Tensor, keep: Tensor, layers: int) -> Mistakes:
    """What a wrong reach comes from; chains and windows tell the mistakes apart."""
    wanted, itself = _walked(keep, layers), torch.eye(len(keep), dtype=torch.bool)
    lost = torch.equal(reached | itself, wanted) and not torch.equal(reached | itself, reached)
    yield lost, "a token does not reach itself. The residual connection carries it on, whatever keep says."
    yield keep, "this is keep itself. A token always reaches itself, and layers add up."
    power = _walked(keep, layers, itself=False)
    yield power, "the identity is missing: who is reached stays reached, since the residual connection keeps it."
    yield wanted.mT, "rows and columns are exchanged. A row is an output, a column an input."
    yield _walked(keep, layers + 1), "one layer too many: one layer is keep | identity itself."
    too_few = layers > 1 and torch.equal(reached, _walked(keep, layers - 1))
    yield too_few, "one layer too few: start from keep | identity, and multiply layers - 1 times."
    yield _walked(keep, 1), "this is one layer. With each further one, a token also gets what those have that it sees."
    yield _walked(keep, len(keep)), "this is what any number of layers can reach. Stop after the given number."
    doubled = "the reach doubles each time: multiply with one layer's matrix, not with the result."
    yield _walked(keep, 2 ** (layers - 1)), doubled
    q, k = (reached != wanted).nonzero()[0].tolist()
    can = "cannot" if reached[q, k] else "can"
    yield True, f"input {k} {can} reach output {q}. Walk it on paper, step by step."


DOCUMENTS = (0, 0, 1, 1, 1, 0)
#: Two texts, and a first token that all see: who is seen by a query is not who sees the same as it.
KEEP = masks.documents(DOCUMENTS) | (torch.arange(len(DOCUMENTS)) == 0)
MOST = len(set(DOCUMENTS)) + 1  # calls: one for each distinct row of keep, and one with the unchanged text
DIM = 4
ANY_ROW = "Every distinct row of keep needs a run of its own, and all its queries a look."
HIDDEN = "Change what a row of keep hides, ~row, and look at the queries with that row."
MAY_MOVE = "Compare only the outputs whose row of keep hides what you changed: the others may move."
OWN_WAY = "The same noise on both cancels: change each vector in its own way."
ROUNDING = "Calls differ by 1e-6 there: let a movement count from 1e-5 on."
UNEVENLY = "A number added to the whole vector vanishes there: change it unevenly."


def _own_mean(x: Tensor) -> Tensor:
    seen = torch.where(KEEP[:, :, None], x[:, None], 0.0)  # no product: 0 × NaN would carry what is hidden
    return x + seen.sum(dim=2) / KEEP.sum(dim=1, keepdim=True)


def _leaking(query: int, leak: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """The honest mean, with something added to one output."""
    row = torch.eye(len(KEEP))[query, :, None]
    return lambda x: _own_mean(x) + row * leak(x)[:, None]


#: What rounding does: each call differs from the one before it.
NOISE = cycle((1e-6, 0.0))
#: (what it is, a function of (1, length, dim), does it leak, what to say if the answer to that is wrong)
LEAKS = (
    ("a mean over a token's own text and token 0", _own_mean, False, MAY_MOVE),
    ("a mean over the whole row", lambda x: x + x.mean(dim=1, keepdim=True), True, HIDDEN),
    ("token 3 in output 0, its only leak", _leaking(0, lambda x: x[:, 3]), True, ANY_ROW),
    ("token 1 in output 4, its only leak", _leaking(4, lambda x: x[:, 1]), True, ANY_ROW),
    ("token 5 in output 2, after a layer norm", _leaking(2, lambda x: 3 * layer_norm(x, (DIM,))[:, 5]), True, UNEVENLY),
    ("token 3 minus token 4 in output 0", _leaking(0, lambda x: x[:, 3] - x[:, 4]), True, OWN_WAY),
    (
        "the mean over a token's own text and token 0, with rounding",
        lambda x: _own_mean(x) + next(NOISE),
        False,
        ROUNDING,
    ),
)


@exercise(right=f"seven functions, each with {MOST} calls or fewer, however long the text is.")
def has_leak(yours: Attempt) -> Mistakes:
    """Says whether leaks are found, with one call for each distinct row of keep and one more.

    Args:
        yours: takes ``function``, from (1, length, dim) float32 to the same shape, ``x``, (1, length, dim) float32, and
            ``keep``, (length, length) bool, True = may attend; returns whether an output of the function depends on an
            input that keep hides from it.

    References:
        Lesson 08.
    """
    x = torch.randn(1, len(KEEP), DIM, generator=torch.Generator().manual_seed(0))
    for what, function, truth, words in LEAKS:
        texts: list[Tensor] = []

        def counted(x: Tensor, texts=texts, function=function) -> Tensor:
            require_vectors(x, (1, len(KEEP), DIM), "keep is for so many tokens: change vectors, and cut none off.")
            texts.extend(x)
            return function(x)

        answer = yours(counted, x, KEEP, result_type=bool, wanted="True or False")
        differentiated = any(text.requires_grad for text in texts)
        words = WEIGH if differentiated and words == UNEVENLY else words
        yield yours.changed(), "x or keep itself was changed, and your next comparison begins from it. Change a clone."
        yield answer != truth, f"you say {'yes' if answer else 'no'} for {what}. {words}"
        way = "change all that a row hides at once, and let queries with equal rows share that run."
        if len(texts) in (2 * MOST - 2, 2 * MOST - 1):
            way = "run the unchanged text once, before the loop."
        read = f"right for {what}, but the function read {len(texts)} texts; {MOST} will do:"
        yield len(texts) > MOST, f"{read} {way}"
