"""Checks for the exercises. They talk to learners: what is right, what is not, and how it may have come about.

A check prints and never raises, so an exercise that nobody has touched does not stop "Run All".
"""

from collections.abc import Callable

import torch
from torch import Tensor

from utils import masks

OFFSETS = "An offset is a place, not a length: the length is the difference."
#: Words in torch's errors, and what they mean to a learner.
MEANS = {
    "boolean mask": "Make a bool mask first: attention_mask == 0.",
    "condition": "Make a bool mask first: attention_mask == 0.",
    "split_with_sizes": OFFSETS,
    "without overflow": "The number is too large for the dtype of the scores: ask torch.finfo(scores.dtype).min.",
    "tensor a (2) must match the size of tensor b (3)": "The padding lacks heads and queries: two None.",
}
NOT_TRIED = "Not tried yet. Write your answer in place of the ... and run the cell again."


def to_keep(yours: Callable[[Tensor], Tensor]) -> None:
    """Lesson 00: ``yours(key_padding_mask)`` turns (batch, k_len), True = ignore, into keep."""
    ignore = torch.tensor([[False, False, False, True], [False, True, True, True]])
    got = _call(yours, ignore)
    if got is None:
        return
    if not isinstance(got, Tensor):
        return _no(f"you returned {_kind(got)}; wanted a bool tensor of shape (2, 1, 1, 4).")
    if got.dtype != torch.bool:
        return _no(f"your result is {got.dtype}; keep is bool. Note that `~` needs a bool tensor too.")
    if got.shape != (2, 1, 1, 4):
        hint = " Two None between the batch and the keys do that." if got.shape == (2, 4) else ""
        return _no(f"your result has the shape {tuple(got.shape)}; wanted (2, 1, 1, 4).{hint}")
    if torch.equal(got[:, 0, 0], ignore):
        return _no("the shape is right, the polarity is not: MultiheadAttention ignores where True, keep keeps.")
    if not torch.equal(got[:, 0, 0], ~ignore):
        return _no(f"got {got[:, 0, 0].tolist()} for the ignore mask {ignore.tolist()}.")
    _yes("polarity turned round, and a shape that broadcasts over heads and queries.")


def left_to_right(lab, real: int) -> None:
    """Lesson 00: the mask in a ``MaskLab`` hides later keys and all but the first ``real`` ones."""
    length = len(getattr(lab, "query_tokens", ()))
    drawn(lab, masks.causal(length or 1) & (torch.arange(length or 1) < real))


def drawn(lab, wanted: Tensor) -> None:
    """The mask in a ``MaskLab`` is (q_len, k_len) ``wanted``, True = may attend."""
    keep = getattr(lab, "keep", None)
    if not isinstance(keep, Tensor) or keep.shape != wanted.shape:
        return _no(f"wanted a MaskLab of {wanted.shape[0]} queries and {wanted.shape[1]} keys; got {_kind(lab)}.")
    if keep.all():
        return print("Not tried yet. Click cells of the map after the mask, then run this cell again.")
    if torch.equal(keep, wanted):
        return _yes(f"{int((~keep).sum())} of {keep.numel()} cells hidden, and just the right ones.")
    if torch.equal(keep, ~wanted):
        return _no("you hid what should be visible, and the other way round.")
    if torch.equal(keep, wanted.mT):
        return _no("rows and columns are exchanged. A row is a query, who looks; a column is a key, who is looked at.")
    wrong = (keep != wanted).nonzero()
    query, key = wrong[0].tolist()
    names = f"query {query} ({lab.query_tokens[query]}) and key {key} ({lab.key_tokens[key]})"
    what = "may see it and should not" if keep[query, key] else "should see it and may not"
    _no(f"{len(wrong)} {'cell differs' if len(wrong) == 1 else 'cells differ'}. The first: {names}. The query {what}.")


def unpack(yours: Callable[[Tensor, Tensor], list[Tensor]]) -> None:
    """Lesson 01: ``yours(values, offsets)`` cuts (total, dim) values into one tensor per sentence."""
    values = torch.arange(24.0).view(8, 3)
    offsets = torch.tensor([0, 4, 5, 8])
    wanted = [values[0:4], values[4:5], values[5:8]]
    got = _call(yours, values, offsets)
    if got is None:
        return
    if not isinstance(got, list | tuple) or not all(isinstance(part, Tensor) for part in got):
        return _no(f"you returned {_kind(got)}; wanted a list of tensors, one (length, dim) tensor per sentence.")
    lengths = [len(part) for part in got]
    if len(got) == 4:
        which = "first" if lengths[0] == 0 else "last"
        return _no(f"you returned four tensors. Three sentences have four offsets; your {which} tensor is too many.")
    if len(got) == 2:
        return _no("one sentence is missing. The last offset, 8, is where the third sentence ends.")
    if lengths in ([0, 4, 5], [4, 5, 8]):
        return _no(f"your lengths are {lengths}. {OFFSETS}")
    if lengths != [4, 1, 3]:
        return _no(f"for offsets [0, 4, 5, 8] your lengths are {lengths}; wanted [4, 1, 3].")
    if not all(torch.equal(a, b) for a, b in zip(got, wanted, strict=True)):
        return _no("the lengths are right, but the rows are not the ones between two neighbouring offsets.")
    _yes("three sentences of 4, 1 and 3 tokens, cut where the offsets say.")


def mean_pool(yours: Callable[[Tensor, Tensor], Tensor]) -> None:
    """Lesson 02: ``yours(hidden, attention_mask)`` averages (batch, seq, dim) over the real tokens only."""
    hidden = torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(0))
    attention_mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [0, 0, 0, 1, 1]])  # the last one is left-padded
    real = attention_mask[..., None]
    total, count = (hidden * real).sum(1), real.sum(1)
    first = torch.stack([row[:n].mean(0) for row, n in zip(hidden, count.flatten().tolist(), strict=True)])
    given = hidden.clone()
    got = _call(yours, given, attention_mask)
    if got is None:
        return
    if not isinstance(got, Tensor):
        return _no(f"you returned {_kind(got)}; wanted a tensor of shape (3, 4), one vector per sentence.")
    if got.shape != total.shape:
        return _no(f"your result has the shape {tuple(got.shape)}; wanted (3, 4), one vector per sentence.")
    if not torch.equal(given, hidden):
        return _no(
            "hidden itself was changed, and whoever called you still needs it. Write hidden * ..., not hidden *= ..."
        )
    if _close(got, hidden.mean(1)):
        return _no("this is the plain mean: the padded positions are in it. Multiply them away first.")
    if _close(got, total / hidden.shape[1]):
        return _no("the sum is right, but you divided by the padded length 5, not by the number of real tokens.")
    if _close(got, total):
        return _no("this is the sum over the real tokens. Divide by how many there are.")
    if _close(got[1:], ((hidden * (1 - real)).sum(1) / (1 - real).sum(1))[1:]):
        return _no("the polarity is flipped: this is the mean over the pads. 1 in attention_mask means a real token.")
    if _close(got, first):
        return _no(
            "you took the first tokens of each row, as many as are real. The last sentence is padded on the left."
        )
    if not _close(got, total / count):
        return _no("the numbers differ from the mean over the real tokens. Try one sentence by hand.")
    empty = _call(yours, hidden[:1].clone(), torch.zeros(1, 5, dtype=torch.long))
    if empty is None:
        return
    if not _close(empty, torch.zeros(1, 4)):
        if not isinstance(empty, Tensor) or empty.shape != (1, 4):
            return _no(f"right for these sentences. For one without real tokens you returned {_kind(empty)}.")
        return _no(
            "right for these sentences. A sentence without real tokens should give zeros; yours begins with "
            f"{empty.flatten()[0].item():.3g}. Its sum is 0 already, so clamp the count at 1."
        )
    _yes("only real tokens count, and a sentence without any gives zeros, not NaN.")


def labels_for_loss(yours: Callable[[Tensor, Tensor], Tensor]) -> None:
    """Lesson 02: ``yours(input_ids, attention_mask)`` gives labels that a loss can use: -100 where padded."""
    input_ids = torch.tensor([[15, 50256, 27, 50256], [8, 9, 50256, 50256]])  # a real end-of-text, and padding
    attention_mask = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]])
    wanted = torch.tensor([[15, 50256, 27, 50256], [8, 9, -100, -100]])
    given = input_ids.clone()
    got = _call(yours, given, attention_mask)
    if got is None:
        return
    if not isinstance(got, Tensor) or got.shape != wanted.shape:
        return _no(f"you returned {_kind(got)}; wanted a tensor of shape (2, 4), like input_ids.")
    if got.dtype != torch.long:
        return _no(f"your labels are {got.dtype}; cross_entropy wants int64, like input_ids.")
    if not torch.equal(given, input_ids):
        return _no("input_ids itself was changed, and the model still needs it. Use masked_fill, or clone first.")
    if torch.equal(got, input_ids.masked_fill(input_ids == 50256, -100)):
        return _no("you looked for the pad id. Token 50256 is also a real end of text here: ask the attention_mask.")
    if torch.equal(got, input_ids.masked_fill(attention_mask == 1, -100)):
        return _no("the polarity is flipped: 1 in attention_mask means a real token, and those keep their label.")
    if not torch.equal(got, wanted):
        return _no(f"got {got.tolist()}; wanted {wanted.tolist()}.")
    _yes("padding is -100, which cross_entropy skips, and the real end-of-text tokens keep their label.")


def next_positions(yours: Callable[[Tensor, int], Tensor]) -> None:
    """Lesson 03: ``yours(attention_mask, new)`` gives the places (batch, new) of tokens that are fed after a cache."""
    attention_mask = torch.tensor([[0, 0, 0, 1, 1], [1, 1, 1, 1, 1], [1, 1, 0, 0, 0]])  # left, none, right
    new = 2
    wanted = torch.tensor([[2, 3], [5, 6], [2, 3]])
    got = _call(yours, attention_mask, new)
    if got is None:
        return
    if not isinstance(got, Tensor):
        return _no(f"you returned {_kind(got)}; wanted a tensor of shape (3, 2), a place for each new token.")
    if got.shape == (3, 1) and torch.equal(got, wanted[:, :1]):
        return _no("right for one new token. There are two here: count on with torch.arange(new).")
    if got.shape != (3, 2):
        hint = " keepdim=True keeps the dimension to count along." if got.shape in ((3,), (2,)) else ""
        return _no(f"your result has the shape {tuple(got.shape)}; wanted (3, 2), a place for each new token.{hint}")
    if got.is_floating_point():
        return _no(f"your places are {got.dtype}; the model looks them up in a table, so they must be integers.")
    if torch.equal(got, torch.tensor([[5, 6]] * 3)):
        return _no("these places count the pads too. Two rows have only two real tokens.")
    if torch.equal(got, wanted - 1):
        return _no("one too low: n real tokens stand at the places 0 to n - 1, so the next one stands at n.")
    if torch.equal(got, wanted + 1):
        return _no("one too high: n real tokens stand at the places 0 to n - 1, so the next one stands at n.")
    if not torch.equal(got, wanted):
        row = next(n for n in range(3) if not torch.equal(got[n], wanted[n]))
        return _no(f"row {row}, with the mask {attention_mask[row].tolist()}: got {got[row].tolist()}.")
    _yes("new tokens go on counting from the real ones, wherever the pads are.")


def last_real_logits(yours: Callable[[Tensor, Tensor], Tensor]) -> None:
    """Lesson 03: ``yours(logits, attention_mask)`` picks (batch, vocabulary) at the last real token of each row."""
    logits = torch.arange(4 * 5 * 3.0).view(4, 5, 3)
    attention_mask = torch.tensor([[0, 0, 0, 1, 1], [1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [0, 1, 1, 0, 0]])
    last = torch.tensor([4, 4, 1, 2])
    rows = torch.arange(4)
    got = _call(yours, logits.clone(), attention_mask)
    if got is None:
        return
    if not isinstance(got, Tensor):
        return _no(f"you returned {_kind(got)}; wanted a tensor of shape (4, 3), one row of logits for each text.")
    if got.shape == (4,):
        return _no("your result has one number for each text; wanted the whole row of logits there, (4, 3).")
    if got.shape != (4, 3):
        return _no(f"your result has the shape {tuple(got.shape)}; wanted (4, 3), one row of logits for each text.")
    if _close(got, logits[:, -1]):
        return _no("this is logits[:, -1]: right for pads on the left only. The last two rows end with pads.")
    if _close(got, logits[rows, attention_mask.sum(1) - 1]):
        return _no("you counted the real tokens. That is the place only if the pads stand on the right.")
    if _close(got, logits[rows, attention_mask.argmax(1)]):
        return _no("these are the logits of the first real token. argmax takes the first of several largest values.")
    if _close(got, logits[rows, attention_mask.sum(1).clamp(max=4)]):
        return _no("one place too far: n tokens stand at the places 0 to n - 1.")
    if not _close(got, logits[rows, last]):
        wrong = next(n for n in range(4) if not _close(got[n], logits[n, last[n]]))
        return _no(f"row {wrong}, with the mask {attention_mask[wrong].tolist()}, has its last real token elsewhere.")
    _yes("the last real token of each row, with pads on the left, on the right and on both sides.")


def one_bias(yours: Callable[[Tensor, Tensor, Tensor], Tensor]) -> None:
    """Lesson 04: ``yours(scores, attention_mask, keep)`` makes one bias of a padding mask and a (q_len, k_len) keep."""
    attention_mask = torch.tensor([[1, 1, 1, 1, 0], [1, 0, 0, 0, 0]])
    keep = torch.tensor([[1, 1, 0, 0, 0], [0, 0, 0, 1, 1], [1, 1, 1, 1, 1]]).bool()
    real = attention_mask[:, None, None, :] == 1
    both = real & keep
    for dtype in (torch.float16, torch.float32):
        scores = torch.zeros(2, 2, 3, 5, dtype=dtype)  # as many heads as sequences, so that a missing None shows
        given = scores.clone(), attention_mask.clone(), keep.clone()
        got = _call(yours, *given)
        if got is None:
            return
        if not isinstance(got, Tensor):
            return _no(f"you returned {_kind(got)}; wanted a tensor of shape (2, 1, 3, 5).")
        if not all(torch.equal(a, b) for a, b in zip(given, (scores, attention_mask, keep), strict=True)):
            return _no("one of the inputs was changed. Use masked_fill, not masked_fill_, and + in place of +=.")
        if tuple(got.shape) not in ((2, 1, 3, 5), (2, 2, 3, 5)):
            why = _shape_of_bias(got)
            return _no(f"your result has the shape {tuple(got.shape)}; wanted (2, 1, 3, 5). {why}".strip())
        if got.dtype == torch.bool:
            return _no("you returned a bool mask. The last step is missing: numbers to add, 0 where it keeps.")
        if got.dtype != dtype:
            return _no(f"your bias is {got.dtype} and the scores are {dtype}: take scores.dtype for zeros and finfo.")
        if got.isnan().any():
            return _no("there is NaN in your bias: 0 × ∞. Fill with masked_fill, do not multiply.")
        if not _no_bias(got, both, real, keep):
            return
    _yes("hidden if either mask hides it, and a key that both hide still gets a finite number, in float16 too.")


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
        _no("a key that both masks hide has -inf: two biases were added, and the sum overflows. Combine while bool.")
    elif (got > 0).any():
        _no("there are positive numbers in your bias. It is added to scores: 0 keeps, a very negative number hides.")
    elif not hidden.any():
        _no("your bias is 0 everywhere, so it hides nothing.")
    elif torch.equal(hidden, both):
        _no("the polarity is flipped: your bias hides what both masks keep.")
    elif torch.equal(hidden, ~(real | keep).expand_as(got)):
        _no("you hide a key only if both masks hide it. A key is visible if both let it be: use & on what is kept.")
    elif torch.equal(hidden, ~(~real & keep).expand_as(got)):
        _no("the padding is flipped: 1 in attention_mask means a real token, which stays visible.")
    elif torch.equal(hidden, ~(real & ~keep).expand_as(got)):
        _no("keep is flipped: True means that the query may look.")
    elif torch.equal(hidden, ~real.expand_as(got)):
        _no("your bias has the padding in it, but not keep.")
    elif torch.equal(hidden, ~keep.expand_as(got)):
        _no("your bias has keep in it, but not the padding.")
    elif not torch.equal(hidden, ~both):
        _no(f"{int((hidden == both).sum())} places differ from what both masks say. Compare with a small one by hand.")
    elif got.isneginf().any():
        _no("the right places, but with -inf: a query that sees nothing would become NaN. Wanted finfo(dtype).min.")
    else:
        _no(f"the right places, but filled with {got.min().item():g}; the lowest of {got.dtype} is {lowest:g}.")
    return False


def safe_softmax(yours: Callable[[Tensor, Tensor], Tensor]) -> None:
    """Lesson 04: ``yours(scores, bias)`` is a masked softmax with zeros in empty rows, and with finite gradients."""
    scores = torch.tensor([[1.0, 2.0, 4.0, 8.0], [3.0, 1.0, 1.0, 2.0], [1.0, 5.0, 2.0, 2.0]]).log() - 2
    keep = torch.tensor([[1, 1, 1, 0], [0, 0, 0, 0], [1, 1, 1, 1]]).bool()
    bias, seen = torch.zeros(3, 4).masked_fill(~keep, -torch.inf), keep.any(dim=1)

    def right(scores: Tensor) -> Tensor:
        return scores.masked_fill(~keep, torch.finfo(scores.dtype).min).softmax(dim=-1) * keep

    given, wanted = (scores.clone(), bias.clone()), right(scores)
    got = _call(yours, *given)
    if got is None:
        return
    if not isinstance(got, Tensor) or got.shape != wanted.shape:
        return _no(f"you returned {_kind(got)}; wanted a tensor of shape (3, 4), one weight per query and key.")
    if not torch.equal(given[0], scores) or not torch.equal(given[1], bias):
        return _no("scores or bias was changed. Use masked_fill, not masked_fill_, and + in place of +=.")
    if not _close(got, wanted):
        return _no(_why_not_safe(got, scores, keep, wanted))
    got = _call(yours, scores.masked_fill(~keep, 200.0), bias.clone())
    if got is None:
        return
    if not _close(got, wanted):
        return _no("right here, but a hidden score of 200 changes visible weights. Hide before the softmax, not after.")

    def gradient_of(function: Callable[[Tensor], Tensor]) -> Tensor:
        with torch.enable_grad():
            leaf = scores.clone().requires_grad_()
            weights = function(leaf)
            if weights.requires_grad:
                weights[seen].square().sum().backward()  # a loss that leaves the empty row out
        return torch.zeros_like(scores) if leaf.grad is None else leaf.grad

    gradient = _call(lambda *_: gradient_of(lambda leaf: yours(leaf, bias.clone())), scores)
    if gradient is None:
        return
    if gradient.isnan().any():
        return _no(
            "the weights are right, their gradient is NaN. A NaN that is replaced after the softmax is still inside "
            "it, and the way back goes through it. Let none arise: hide with a finite number."
        )
    if not _close(gradient, gradient_of(right)):
        return _no("the weights are right, but their gradient is not that of a softmax. Did you detach something?")
    _yes("visible keys share the weight, an empty row gets zeros, and the gradient is finite.")


def _why_not_safe(got: Tensor, scores: Tensor, keep: Tensor, wanted: Tensor) -> str:
    """What wrong weights of ``safe_softmax`` come from; the three rows see some keys, none and all."""
    got, late, empty = got.float(), scores.softmax(dim=-1), got[1].float()
    if got[[0, 2]].isnan().any():
        return "a row that sees some keys has NaN, as 0 × ∞ is. Compare first, bias == 0, and then use masked_fill."
    if got.isneginf().any():
        return "there are weights of -inf. The bias is added to the scores, before the softmax."
    if _close(got[[0, 2]], wanted[[0, 2]]):
        if empty.isnan().any():
            return "the row that sees nothing is NaN. Hidden with a finite number it would be uniform; what makes it 0?"
        if _close(empty, torch.full((4,), 0.25)):
            return "the row that sees nothing is uniform. All its keys are hidden, so their weights should be 0."
        if torch.allclose(empty, late[1], atol=1e-2):
            return "the row that sees nothing is as without a mask: your number moves all its scores alike."
        return f"the row that sees nothing should be 0; yours is {[round(x, 2) for x in empty.tolist()]}."
    if _close(got, late):
        return "these are the weights without a mask."
    if _close(got, late * keep):
        return "you masked after the softmax: the first row sums to less than 1. Hide before it."
    if _close(got[0] * keep[0], (scores * keep).softmax(dim=-1)[0] * keep[0]):
        return "you multiplied the scores by 0, and a score of 0 is one like any other: it still takes its share."
    if (got[0, :3] == 0).all():
        return "the polarity is flipped: a bias of 0 keeps, a bias of -inf hides."
    if _close(got.sum(dim=0)[:3], torch.ones(3)):
        return "your columns sum to 1, not your rows: the softmax goes over the keys, dim=-1."
    should, yours = ([round(x, 2) for x in row.tolist()] for row in (wanted[0], got[0]))
    return f"the first row should be {should}; yours is {yours}."


def causal_with_cache(yours: Callable[[int, int], Tensor]) -> None:
    """Lesson 05: ``yours(q_len, k_len)`` is a causal keep (q_len, k_len) whose last query sees every key."""
    for q_len, k_len in ((3, 5), (1, 4), (3, 3)):
        got = _call(yours, q_len, k_len)
        if got is None:
            return
        case = f"for {q_len} queries and {k_len} keys"
        wanted = masks.causal(q_len, k_len)
        if not isinstance(got, Tensor):
            return _no(f"{case} you returned {_kind(got)}; wanted a bool tensor of shape ({q_len}, {k_len}).")
        if got.shape != wanted.shape:
            hint = " Rows are queries, columns are keys." if got.shape == (k_len, q_len) else ""
            hint = " The cached keys count too: there is a column for each key." if got.shape == (q_len,) * 2 else hint
            hint = " There is a row for each new token only." if got.shape == (k_len,) * 2 else hint
            return _no(f"{case} your result has the shape {tuple(got.shape)}; wanted ({q_len}, {k_len}).{hint}")
        if got.dtype != torch.bool:
            if bool((got < 0).any()):
                return _no(f"your result is {got.dtype} with negative values, to be added to scores. keep is bool.")
            return _no(f"your result is {got.dtype}; keep is bool: torch.ones(..., dtype=torch.bool).")
        if torch.equal(got, wanted):
            continue
        if (q_len, k_len) != (3, 5):
            return _no(f"right for 3 queries and 5 keys, wrong {case}: compute the diagonal from q_len and k_len.")
        return _no(_why_not_causal(got, wanted))
    _yes("the last query sees every key, each one before it one key less, with a cache and without.")


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
        got = _call(yours, function, given)
        if got is None:
            return
        if isinstance(got, Tensor) and got.numel() == 1:
            got = bool(got)
        if not isinstance(got, bool):
            return _no(f"you returned {_kind(got)}; wanted True or False.")
        if not torch.equal(given, x):
            return _no("x itself was changed, and your next comparison begins from it. Change a clone.")
        if got and not wanted:
            return _no(f"you say yes for {what}. Outputs may move from the changed input on: compare those before it.")
        if wanted and not got:
            if function is _normalised_next:
                return _no(
                    f"you say no for {what}. A number added to the whole vector vanishes there: change it unevenly."
                )
            return _no(f"you say no for {what}. Change each input in turn, and compare all outputs before it.")
    _yes("six functions, and a look ahead is found wherever it is.")


def _call(yours: Callable, *inputs):
    """What the learner's function returns; None, with a message, if there is nothing to judge."""
    if yours is None or yours is ...:
        return print(NOT_TRIED)
    if not callable(yours):
        return _no(f"wanted your function itself, without calling it; got {_kind(yours)}.")
    try:
        with torch.no_grad():
            result = yours(*inputs)
    except Exception as error:
        hint = next((means for words, means in MEANS.items() if words in str(error)), "")
        shapes = ", ".join(str(tuple(value.shape)) for value in inputs if isinstance(value, Tensor))
        given = f"inputs of shape {shapes}" if shapes else f"inputs {', '.join(map(str, inputs))}"
        return _no(f"your function raised {type(error).__name__}: {error} ({given}). {hint}".strip())
    if result is None or result is ...:
        return print(
            NOT_TRIED if _untouched(yours) else "Not yet: your function returned nothing. Is a return missing?"
        )
    return result


def _untouched(function: Callable) -> bool:
    """Whether the body is still the ``...`` of the exercise, which compiles to as little as ``None`` does."""
    code = getattr(function, "__code__", None)
    return code is None or len(code.co_code) <= len((lambda: None).__code__.co_code)


def _close(a, b: Tensor) -> bool:
    return isinstance(a, Tensor) and a.shape == b.shape and torch.allclose(a.double(), b.double(), atol=1e-5)


def _kind(value) -> str:
    return f"a tensor of shape {tuple(value.shape)}" if isinstance(value, Tensor) else f"a {type(value).__name__}"


def _yes(why: str) -> None:
    print(f"Right: {why}")


def _no(why: str) -> None:
    print(f"Not yet: {why}")
