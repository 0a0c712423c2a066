"""Checks of lesson 05: the triangle, what each place is to predict, and a look into the future."""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, layer_norm, pad

from .. import masks
from .feedback import WEIGH, Attempt, Mistakes, exercise, fault, require_vectors, same, wrong_shape


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


VOCABULARY = "cross_entropy wants the vocabulary in dimension 1, before the length: logits.mT. Or flatten both."


@exercise(
    right="each place is judged by the token that comes after it, and the last one by none.",
    meanings={"Expected target size": VOCABULARY, "to match target batch_size": VOCABULARY},
)
def next_token_losses(yours: Attempt) -> Mistakes:
    """Says whether each place is compared with the token that follows.

    Args:
        yours: takes ``logits``, (batch, length, vocabulary) float32, and ``input_ids``, (batch, length) int64; returns
            (batch, length - 1) float, -log of the probability of each next token.

    References:
        Lesson 05.
    """
    generator = torch.Generator().manual_seed(0)
    logits, ids = torch.randn(2, 5, 7, generator=generator), torch.tensor([[3, 1, 4, 1, 5], [2, 6, 5, 3, 0]])

    def losses(scores: Tensor, targets: Tensor) -> Tensor:
        return cross_entropy(scores.mT, targets, reduction="none")

    wanted = losses(logits[:, :-1], ids[:, 1:])
    result = yours(logits, ids, wanted="a tensor of shape (2, 4), one loss for each token but the first")
    yield yours.changed(), "one of the inputs was changed, and whoever called you still needs it."
    mean = "That is one number for all of them: cross_entropy takes the mean, unless it gets reduction='none'."
    last = "After the last token comes none, so its logits cannot be judged: one place less."
    hints = {(): mean, (1,): mean, (2, 5): last, (8,): "The losses are right in number: bring them into rows again."}
    hints |= {(2, 4, 7): "That is one number for each token of the vocabulary: pick the one of the next token."}
    yield wrong_shape(result, (2, 4), hints, about=", one loss for each token but the first")
    read = "each place is judged by the token that it has just read. Its logits are for the next one."
    yield losses(logits[:, :-1], ids[:, :-1]), f"{read} Take input_ids[:, 1:]."
    yield losses(logits[:, 1:], ids[:, 1:]), f"{read} Take logits[:, :-1]."
    yield losses(logits[:, 1:], ids[:, :-1]), "shifted the wrong way: place t predicts the token at t + 1."
    yield -wanted, "these are log probabilities, so all are negative. A loss is their opposite."
    yield (-wanted).exp(), "these are probabilities. A loss is minus the log of them."
    raw = -logits[:, :-1].gather(2, ids[:, 1:, None])[..., 0]
    yield torch.equal(result, raw) or torch.equal(result, -raw), "these are logits. The log_softmax is missing."
    first = [[round(loss, 3) for loss in row.tolist()] for row in (result[0], wanted[0])]
    yield not same(result, wanted), f"the losses of the first row are {first[0]}; wanted {first[1]}."


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
