"""Checks of lesson 05: the triangle, and a look into the future."""

import torch
from torch import Tensor
from torch.nn.functional import layer_norm, pad

from .. import masks
from .feedback import WEIGH, Attempt, Mistakes, exercise, fault, require_vectors, wrong_shape


@exercise(right="the last query sees every key, each one before it one key less, with a cache and without.")
def causal_with_cache(yours: Attempt) -> Mistakes:
    """Says whether a causal keep is right where there are more keys than queries.

    Args:
        yours: takes ``q_len`` and ``k_len``; returns (q_len, k_len) bool, True = may attend, whose last query sees
            every key.

    References:
        Lesson 05.
    """
    for q_len, k_len in ((3, 5), (1, 4), (3, 3)):
        case, wanted = f"for {q_len} queries and {k_len} keys", masks.causal(q_len, k_len)
        keep = yours(q_len, k_len, wanted=f"a bool tensor of shape {q_len, k_len}", case=case)
        hints = {
            (k_len, q_len): "Rows are queries, columns are keys.",
            (q_len, q_len): "The cached keys count too: there is a column for each key.",
            (k_len, k_len): "There is a row for each new token only.",
        }
        yield wrong_shape(keep, (q_len, k_len), hints, case=case)
        negative = keep.dtype != torch.bool and (keep < 0).any()
        yield negative, f"your result is {keep.dtype} with negative values, to be added to scores. keep is bool."
        yield keep.dtype != torch.bool, f"your result is {keep.dtype}; keep is bool: torch.ones(..., dtype=torch.bool)."
        if torch.equal(keep, wanted):
            continue
        fixed = f"right for 3 queries and 5 keys, wrong {case}: compute the diagonal from q_len and k_len."
        yield (q_len, k_len) != (3, 5), fixed
        yield from _mistakes_of_triangle(keep, wanted)


def _mistakes_of_triangle(keep: Tensor, wanted: Tensor) -> Mistakes:
    """What a wrong keep of 3 queries and 5 keys comes from."""
    ones = torch.ones_like(wanted)
    yield ~ones, "nothing is visible. The diagonal moves to the right if it is positive."
    yield ones, "nothing is hidden, so the first new token sees the second."
    yield ~wanted, "the polarity is flipped: this is True for the future. keep is True where a query may look."
    corner = (
        "the triangle begins in the upper left corner, as with is_causal of SDPA. The new tokens then see the "
        "beginning of the text, and not themselves."
    )
    yield ones.tril(), corner
    yield ones.tril(1), "off by one: no query sees itself. Its own place is q + k_len - q_len."
    yield ones.tril(3), "off by one: each query also sees the token after it, the one that it is to predict."
    yield ones.triu(2), "each query sees itself and what comes later. triu keeps the upper triangle; you want tril."
    yield wanted.flip(0), "the rows are upside down: query 0, the first new token, sees one key less than query 1."
    q, k = (keep != wanted).nonzero()[0].tolist()
    yield True, f"for 3 queries and 5 keys, query {q} and key {k}: the query {fault(keep[q, k])}."


DIM = 3
FROM_THERE_ON = "Outputs may move from the changed input on: compare those before it."
IN_TURN = "Change each input in turn, and compare all outputs before it."
UNEVENLY = "A number added to the whole vector vanishes there: change it unevenly."
#: (what it is, a function of (1, length, dim), does it see the future, what to say if the answer to that is wrong)
READERS = (
    ("a mean over the whole text", lambda x: x.mean(1, keepdim=True).expand_as(x), True, IN_TURN),
    ("a mean over what came before", lambda x: x.cumsum(1) / torch.ones_like(x).cumsum(1), False, FROM_THERE_ON),
    ("each token by itself", torch.tanh, False, FROM_THERE_ON),
    ("a look at the next token", lambda x: x + _next(x), True, IN_TURN),
    ("the next token after a layer norm", lambda x: x + _next(layer_norm(x, (DIM,))), True, UNEVENLY),
    ("token 2 in the first output", lambda x: x + pad(x[:, 2:3], (0, 0, 0, x.shape[1] - 1)), True, IN_TURN),
)


def _next(x: Tensor) -> Tensor:
    return pad(x[:, 1:], (0, 0, 0, 1))


@exercise(right="six functions, and a look ahead is found wherever it is.")
def sees_future(yours: Attempt) -> Mistakes:
    """Says whether looks ahead are found.

    Args:
        yours: takes ``function``, from (1, length, dim) float32 to the same shape, and ``x``, (1, length, dim) float32;
            returns whether an output of the function depends on a later input.

    References:
        Lesson 05.
    """
    x = torch.randn(1, 5, DIM, generator=torch.Generator().manual_seed(0))
    for what, function, truth, words in READERS:
        differentiated = False

        def read(x: Tensor, function=function) -> Tensor:
            nonlocal differentiated
            require_vectors(x, (1, "length", DIM))
            differentiated |= x.requires_grad
            return function(x).clone()  # the learner may write into it

        answer = yours(read, x, result_type=bool, wanted="True or False")
        yield yours.changed(), "x itself was changed, and your next comparison begins from it. Change a clone."
        words = WEIGH if differentiated and words == UNEVENLY else words
        yield answer != truth, f"you say {'yes' if answer else 'no'} for {what}. {words}"
