"""Checks of lessons 04 and 05: biases, a safe softmax, and the triangle."""

from collections.abc import Callable

import torch
from torch import Tensor

from .. import masks
from .feedback import call, close, kind, no, plain, yes


def one_bias(yours: Callable[[Tensor, Tensor, Tensor], Tensor]) -> None:
    """Lesson 04: ``yours(scores, attention_mask, keep)`` makes one bias of a padding mask and a (q_len, k_len) keep."""
    attention_mask = torch.tensor([[1, 1, 1, 1, 0], [1, 0, 0, 0, 0]])
    keep = torch.tensor([[1, 1, 0, 0, 0], [0, 0, 0, 1, 1], [1, 1, 1, 1, 1]]).bool()
    real = attention_mask[:, None, None, :] == 1
    both = real & keep
    for dtype in (torch.float16, torch.float32):
        scores = torch.zeros(2, 2, 3, 5, dtype=dtype)  # as many heads as sequences, so that a missing None shows
        given = scores.clone(), attention_mask.clone(), keep.clone()
        got = call(yours, *given)
        if got is None:
            return
        if not isinstance(got, Tensor):
            return no(f"you returned {kind(got)}; wanted a tensor of shape (2, 1, 3, 5).")
        if not all(torch.equal(a, b) for a, b in zip(given, (scores, attention_mask, keep), strict=True)):
            return no("one of the inputs was changed. Use masked_fill, not masked_fill_, and + in place of +=.")
        if tuple(got.shape) not in ((2, 1, 3, 5), (2, 2, 3, 5)):
            why = _shape_of_bias(got)
            return no(f"your result has the shape {tuple(got.shape)}; wanted (2, 1, 3, 5). {why}".strip())
        if got.dtype == torch.bool:
            return no("you returned a bool mask. The last step is missing: numbers to add, 0 where it keeps.")
        if got.dtype != dtype:
            return no(f"your bias is {got.dtype} and the scores are {dtype}: take scores.dtype for zeros and finfo.")
        if got.isnan().any():
            return no("there is NaN in your bias: 0 × ∞. Fill with masked_fill, do not multiply.")
        if not _no_bias(got, both, real, keep):
            return
    yes("hidden if either mask hides it, and a key that both hide still gets a finite number, in float16 too.")


def _shape_of_bias(got: Tensor) -> str:
    """What a bias of the wrong shape lacks."""
    if got.shape == (2, 3, 5):
        return "Without a dimension for the heads, sequence 0 and 1 would be read as head 0 and 1."
    if got.shape == (2, 1, 1, 5):
        return "That is the padding alone: keep is not in it."
    return "That is keep alone: the padding is not in it." if got.shape == (3, 5) else ""


def _no_bias(got: Tensor, both: Tensor, real: Tensor, keep: Tensor) -> bool:
    """Whether the bias is right; if it is not, says why."""
    both, lowest = both.expand_as(got), torch.finfo(got.dtype).min
    zeros = torch.zeros_like(got)
    hidden = got < 0
    if torch.equal(got, zeros.masked_fill(~both, lowest)):
        return True
    if got.isneginf().any() and got.isfinite()[hidden].any():
        no("a key that both masks hide has -inf: two biases were added, and the sum overflows. Combine while bool.")
    elif (got > 0).any():
        no("there are positive numbers in your bias. It is added to scores: 0 keeps, a very negative number hides.")
    elif not hidden.any():
        no("your bias is 0 everywhere, so it hides nothing.")
    elif torch.equal(hidden, both):
        no("the polarity is flipped: your bias hides what both masks keep.")
    elif torch.equal(hidden, ~(real | keep).expand_as(got)):
        no("you hide a key only if both masks hide it. A key is visible if both let it be: use & on what is kept.")
    elif torch.equal(hidden, ~(~real & keep).expand_as(got)):
        no("the padding is flipped: 1 in attention_mask means a real token, which stays visible.")
    elif torch.equal(hidden, ~(real & ~keep).expand_as(got)):
        no("keep is flipped: True means that the query may look.")
    elif torch.equal(hidden, ~real.expand_as(got)):
        no("your bias has the padding in it, but not keep.")
    elif torch.equal(hidden, ~keep.expand_as(got)):
        no("your bias has keep in it, but not the padding.")
    elif not torch.equal(hidden, ~both):
        no(f"{int((hidden == both).sum())} places differ from what both masks say. Compare with a small one by hand.")
    elif got.isneginf().any():
        no("the right places, but with -inf: a query that sees nothing would become NaN. Wanted finfo(dtype).min.")
    else:
        no(f"the right places, but filled with {got.min().item():g}; the lowest of {got.dtype} is {lowest:g}.")
    return False


def safe_softmax(yours: Callable[[Tensor, Tensor], Tensor]) -> None:
    """Lesson 04: ``yours(scores, bias)`` is a masked softmax with zeros in empty rows, and with finite gradients."""
    scores = torch.tensor([[1.0, 2.0, 4.0, 8.0], [3.0, 1.0, 1.0, 2.0], [1.0, 5.0, 2.0, 2.0]]).log() - 2
    keep = torch.tensor([[1, 1, 1, 0], [0, 0, 0, 0], [1, 1, 1, 1]]).bool()
    bias, seen = torch.zeros(3, 4).masked_fill(~keep, -torch.inf), keep.any(dim=1)

    def right(scores: Tensor) -> Tensor:
        return scores.masked_fill(~keep, torch.finfo(scores.dtype).min).softmax(dim=-1) * keep

    given, wanted = (scores.clone(), bias.clone()), right(scores)
    got = call(yours, *given)
    if got is None:
        return
    if not isinstance(got, Tensor) or got.shape != wanted.shape:
        return no(f"you returned {kind(got)}; wanted a tensor of shape (3, 4), one weight per query and key.")
    if not torch.equal(given[0], scores) or not torch.equal(given[1], bias):
        return no("scores or bias was changed. Use masked_fill, not masked_fill_, and + in place of +=.")
    if not close(got, wanted):
        return no(_why_not_safe(got, scores, keep, wanted))
    got = call(yours, scores.masked_fill(~keep, 200.0), bias.clone())
    if got is None:
        return
    if not close(got, wanted):
        return no("right here, but a hidden score of 200 changes visible weights. Hide before the softmax, not after.")

    def gradient_of(function: Callable[[Tensor], Tensor]) -> Tensor:
        with torch.enable_grad():
            leaf = scores.clone().requires_grad_()
            weights = function(leaf)
            if weights.requires_grad:
                weights[seen].square().sum().backward()  # a loss that leaves the empty row out
        return torch.zeros_like(scores) if leaf.grad is None else leaf.grad

    gradient = call(lambda *_: gradient_of(lambda leaf: yours(leaf, bias.clone())), scores)
    if gradient is None:
        return
    if gradient.isnan().any():
        return no(
            "the weights are right, their gradient is NaN. A NaN that is replaced after the softmax is still inside "
            "it, and the way back goes through it. Let none arise: hide with a finite number."
        )
    if not close(gradient, gradient_of(right)):
        return no("the weights are right, but their gradient is not that of a softmax. Did you detach something?")
    yes("visible keys share the weight, an empty row gets zeros, and the gradient is finite.")


def _why_not_safe(got: Tensor, scores: Tensor, keep: Tensor, wanted: Tensor) -> str:
    """What wrong weights of ``safe_softmax`` come from; the three rows see some keys, none and all."""
    got, late, empty = got.float(), scores.softmax(dim=-1), got[1].float()
    if got[[0, 2]].isnan().any():
        return "a row that sees some keys has NaN, as 0 × ∞ is. Compare first, bias == 0, and then use masked_fill."
    if got.isneginf().any():
        return "there are weights of -inf. The bias is added to the scores, before the softmax."
    if close(got[[0, 2]], wanted[[0, 2]]):
        if empty.isnan().any():
            return "the row that sees nothing is NaN. Hidden with a finite number it would be uniform; what makes it 0?"
        if close(empty, torch.full((4,), 0.25)):
            return "the row that sees nothing is uniform. All its keys are hidden, so their weights should be 0."
        if torch.allclose(empty, late[1], atol=1e-2):
            return "the row that sees nothing is as without a mask: your number moves all its scores alike."
        return f"the row that sees nothing should be 0; yours is {[round(x, 2) for x in empty.tolist()]}."
    if close(got, late):
        return "these are the weights without a mask."
    if close(got, late * keep):
        return "you masked after the softmax: the first row sums to less than 1. Hide before it."
    if close(got[0] * keep[0], (scores * keep).softmax(dim=-1)[0] * keep[0]):
        return "you multiplied the scores by 0, and a score of 0 is one like any other: it still takes its share."
    if (got[0, :3] == 0).all():
        return "the polarity is flipped: a bias of 0 keeps, a bias of -inf hides."
    if close(got.sum(dim=0)[:3], torch.ones(3)):
        return "your columns sum to 1, not your rows: the softmax goes over the keys, dim=-1."
    should, yours = ([round(x, 2) for x in row.tolist()] for row in (wanted[0], got[0]))
    return f"the first row should be {should}; yours is {yours}."


def causal_with_cache(yours: Callable[[int, int], Tensor]) -> None:
    """Lesson 05: ``yours(q_len, k_len)`` is a causal keep (q_len, k_len) whose last query sees every key."""
    for q_len, k_len in ((3, 5), (1, 4), (3, 3)):
        got = call(yours, q_len, k_len)
        if got is None:
            return
        case = f"for {q_len} queries and {k_len} keys"
        wanted = masks.causal(q_len, k_len)
        if not isinstance(got, Tensor):
            return no(f"{case} you returned {kind(got)}; wanted a bool tensor of shape ({q_len}, {k_len}).")
        if got.shape != wanted.shape:
            hint = " Rows are queries, columns are keys." if got.shape == (k_len, q_len) else ""
            hint = " The cached keys count too: there is a column for each key." if got.shape == (q_len,) * 2 else hint
            hint = " There is a row for each new token only." if got.shape == (k_len,) * 2 else hint
            return no(f"{case} your result has the shape {tuple(got.shape)}; wanted ({q_len}, {k_len}).{hint}")
        if got.dtype != torch.bool:
            if bool((got < 0).any()):
                return no(f"your result is {got.dtype} with negative values, to be added to scores. keep is bool.")
            return no(f"your result is {got.dtype}; keep is bool: torch.ones(..., dtype=torch.bool).")
        if torch.equal(got, wanted):
            continue
        if (q_len, k_len) != (3, 5):
            return no(f"right for 3 queries and 5 keys, wrong {case}: compute the diagonal from q_len and k_len.")
        return no(_why_not_causal(got, wanted))
    yes("the last query sees every key, each one before it one key less, with a cache and without.")


def _why_not_causal(got: Tensor, wanted: Tensor) -> str:
    """What a wrong ``causal_with_cache`` for 3 queries and 5 keys comes from."""
    ones = torch.ones_like(wanted)
    if not got.any():
        return "nothing is visible. The diagonal moves to the right if it is positive."
    if got.all():
        return "nothing is hidden, so the first new token sees the second."
    if torch.equal(got, ~wanted):
        return "the polarity is flipped: this is True for the future. keep is True where a query may look."
    if torch.equal(got, ones.tril()):
        return (
            "the triangle begins in the upper left corner, as with is_causal of SDPA. The new tokens then see the "
            "beginning of the text, and not themselves."
        )
    if torch.equal(got, ones.tril(1)):
        return "off by one: no query sees itself. Its own place is q + k_len - q_len."
    if torch.equal(got, ones.tril(3)):
        return "off by one: each query also sees the token after it, the one that it is to predict."
    if torch.equal(got, ones.triu(2)):
        return "each query sees itself and what comes later. triu keeps the upper triangle; you want tril."
    if torch.equal(got, wanted.flip(0)):
        return "the rows are upside down: query 0, the first new token, sees one key less than query 1."
    q, k = (got != wanted).nonzero()[0].tolist()
    what = "may see it and should not" if got[q, k] else "should see it and may not"
    return f"for 3 queries and 5 keys, query {q} and key {k}: the query {what}."


def _normalised_next(x: Tensor) -> Tensor:
    following = torch.nn.functional.layer_norm(x, x.shape[-1:])[:, 1:]
    return x + torch.cat([following, torch.zeros_like(x[:, :1])], 1)


#: (what it is, a function of (1, length, dim), does it see the future?)
READERS = (
    ("a mean over the whole text", lambda x: x.mean(1, keepdim=True).expand_as(x), True),
    ("a mean over what came before", lambda x: x.cumsum(1) / torch.arange(1, x.shape[1] + 1)[:, None], False),
    ("each token by itself", torch.tanh, False),
    ("a look at the next token", lambda x: x + torch.cat([x[:, 1:], x[:, :1] * 0], 1), True),
    ("the next token after a layer norm", _normalised_next, True),
    ("token 2 in the first output", lambda x: torch.cat([x[:, :1] + x[:, 2:3], x[:, 1:]], 1), True),
)


def sees_future(yours: Callable[[Callable, Tensor], bool]) -> None:
    """Lesson 05: ``yours(function, x)`` says whether an output of the function depends on a later input."""
    x = torch.randn(1, 5, 3, generator=torch.Generator().manual_seed(0))
    for what, function, wanted in READERS:
        given = x.clone()
        got = plain(call(yours, function, given), bool)
        if got is None:
            return
        if not isinstance(got, bool):
            return no(f"you returned {kind(got)}; wanted True or False.")
        if not torch.equal(given, x):
            return no("x itself was changed, and your next comparison begins from it. Change a clone.")
        if got and not wanted:
            return no(f"you say yes for {what}. Outputs may move from the changed input on: compare those before it.")
        if wanted and not got:
            if function is _normalised_next:
                return no(
                    f"you say no for {what}. A number added to the whole vector vanishes there: change it unevenly."
                )
            return no(f"you say no for {what}. Change each input in turn, and compare all outputs before it.")
    yes("six functions, and a look ahead is found wherever it is.")
