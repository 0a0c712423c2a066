"""checks: each typical wrong answer gets its own explanation, and nothing ever raises."""

from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F

from utils import checks, masks


def naive(h, m):
    return h.mean(1)


def right(h, m):
    return (h * m[..., None]).sum(1) / m.sum(1, keepdim=True).clamp(min=1)


def in_place(ids, m):
    return ids.masked_fill_(m == 0, -100)


def following(m, new):
    return m.sum(-1, keepdim=True) + torch.arange(new)


def picked(logits, m):
    return logits[torch.arange(len(m)), (m * torch.arange(m.shape[1])).argmax(1)]


def picked_in_place(logits, m):
    return logits[torch.arange(len(m)), m.mul_(-torch.arange(m.shape[1])).argmin(1)]


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
        (checks.to_keep, lambda m: m.logical_not_()[:, None, None, :], "Right: polarity turned round"),
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
        (checks.next_positions, following, "Right: new tokens go on counting"),
        (checks.next_positions, lambda m, n: m.shape[1] + torch.arange(n).expand(3, n), "count the pads too"),
        (checks.next_positions, lambda m, n: following(m, n) - 1, "one too low"),
        (checks.next_positions, lambda m, n: following(m, n) + 1, "one too high"),
        (checks.next_positions, lambda m, n: following(m, n)[:, :1], "right for one new token"),
        (checks.next_positions, lambda m, n: following(m, n).flip(0, 1), "row 0, with the mask [0, 0, 0, 1, 1]: got"),
        (checks.next_positions, lambda m, n: m.sum(-1), "keepdim=True keeps"),
        (checks.next_positions, lambda m, n: m.sum(-1) + torch.arange(n), "your function raised RuntimeError"),
        (checks.next_positions, lambda m, n: following(m, n).float(), "must be integers"),
        (checks.next_positions, lambda m, n: following(m, 3), "shape (3, 3); wanted (3, 2)"),
        (checks.next_positions, lambda m, n: [2, 3], "you returned a list"),
        (checks.last_real_logits, picked, "Right: the last real token"),
        (checks.last_real_logits, picked_in_place, "Right: the last real token"),
        (checks.last_real_logits, lambda x, m: x[:, -1], "this is logits[:, -1]"),
        (checks.last_real_logits, lambda x, m: x[torch.arange(4), m.sum(1) - 1], "you counted the real tokens"),
        (checks.last_real_logits, lambda x, m: x[torch.arange(4), m.argmax(1)], "the first real token"),
        (checks.last_real_logits, lambda x, m: x[torch.arange(4), m.sum(1).clamp(max=4)], "one place too far"),
        (checks.last_real_logits, lambda x, m: picked(x, m).flip(0), "row 0, with the mask [0, 0, 0, 1, 1], has"),
        (checks.last_real_logits, lambda x, m: picked(x, m)[:, 0], "one number for each text"),
        (checks.last_real_logits, lambda x, m: x, "shape (4, 5, 3); wanted (4, 3)"),
        (checks.last_real_logits, lambda x, m: x.tolist(), "you returned a list"),
    ],
)
def test_answers(check, answer, says, capsys):
    assert check(answer) is None
    printed = capsys.readouterr().out
    assert says in printed
    assert printed.startswith("Right: ") == says.startswith("Right")


def weights(s, k):
    return s.masked_fill(~k, -torch.inf).softmax(-1)


def largest(h, m, fill=-torch.inf):
    return h.masked_fill(m[..., None] == 0, fill).amax(1)


def padded(v, o, fill=0.0, left=False):
    out = v.new_full((len(o) - 1, int(o.diff().max()), v.shape[1]), fill)
    for row, (a, b) in zip(out, pairwise(o), strict=True):
        row[len(row) - (b - a) if left else 0 :][: b - a] = v[a:b]
    return out


def left(ids, order):
    return ids.gather(1, order)


def loss(x, i):
    return F.cross_entropy(x.mT, i, reduction="none")


#: (check, answer, says) of the exercises 00/3, 01/1, 01/3, 02/3 and 03/3.
ROWS_00_TO_03 = [
    (checks.masked_weights, weights, "Right: hidden keys get nothing"),
    (checks.masked_weights, lambda s, k: s.masked_fill(~k, -1e9).softmax(-1), "Right: hidden keys get nothing"),
    (checks.masked_weights, lambda s, k: weights(s, ~k), "the polarity is flipped"),
    (checks.masked_weights, lambda s, k: s.softmax(-1), "without a mask"),
    (checks.masked_weights, lambda s, k: s.softmax(-1) * k, "you masked after the softmax"),
    (checks.masked_weights, lambda s, k: (s * k).softmax(-1), "the score 0, which is one like any other"),
    (checks.masked_weights, lambda s, k: s.masked_fill(~k, 0).softmax(-1), "the score 0, which is one like any other"),
    (checks.masked_weights, lambda s, k: s.masked_fill(~k, -torch.inf).softmax(0), "your columns sum to 1"),
    (checks.masked_weights, lambda s, k: s.masked_fill(~k, -torch.inf), "The last step is missing"),
    (checks.masked_weights, lambda s, k: (s + ~k * -torch.inf).softmax(-1), "0 × ∞"),
    (checks.masked_weights, lambda s, k: s.masked_fill_(~k, -torch.inf).softmax(-1), "was changed"),
    (checks.masked_weights, lambda s, k: s.masked_fill(k == 0, 1).softmax(-1), "the first row should be [0.14, 0.29"),
    (checks.offsets_of, lambda n: F.pad(n.cumsum(0), (1, 0)), "Right: each sentence begins"),
    (checks.offsets_of, lambda n: n.cumsum(0), "put a 0 in front"),
    (checks.offsets_of, lambda n: F.pad(n.cumsum(0), (1, 0))[:-1], "n sentences have n + 1 offsets"),
    (checks.offsets_of, lambda n: n, "These are lengths"),
    (checks.offsets_of, lambda n: F.pad(n, (1, 0)), "These are lengths"),
    (checks.offsets_of, lambda n: F.pad(n.cumsum_(0), (1, 0)), "lengths itself was changed"),
    (checks.offsets_of, lambda n: F.pad(n.cumsum(0), (1, 0)).float(), "wanted int64, or int32"),
    (checks.offsets_of, lambda n: [0, *n.cumsum(0)], "you returned a list"),
    (checks.offsets_of, lambda n: torch.tensor([0, 4, 5, 8]), "for the lengths [2, 0, 5, 1, 1] you returned [0, 4"),
    (checks.to_padded, padded, "Right: as long as the longest sentence"),
    (checks.to_padded, lambda v, o: padded(v, o, left=True), "the pads are in front"),
    (checks.to_padded, lambda v, o: padded(v, o, fill=1.0), "what is behind them is not 0"),
    (checks.to_padded, lambda v, o: padded(v, o, fill=torch.nan), "torch.empty holds anything"),
    (checks.to_padded, lambda v, o: padded(v, o).mT.flip(0).mT, "other tokens than those"),
    (checks.to_padded, lambda v, o: padded(v, o).transpose(0, 1), "batch first"),
    (checks.to_padded, lambda v, o: v, "This is still packed"),
    (checks.to_padded, lambda v, o: F.pad(padded(v, o), (0, 0, 0, 4)), "pad to the longest"),
    (checks.to_padded, lambda v, o: torch.stack([v[a:b] for a, b in pairwise(o)]), "fill zeros row by row"),
    (checks.to_padded, lambda v, o: padded(v.mul_(2), o), "was changed"),
    (checks.max_pool, lambda h, m: largest(h, m).nan_to_num(neginf=0.0), "Right: pads never win"),
    (checks.max_pool, largest, "yours begins with -inf"),
    (checks.max_pool, lambda h, m: h.amax(1), "the pads are in it"),
    (checks.max_pool, lambda h, m: largest(h, m, 0.0), "the pads count as 0"),
    (checks.max_pool, lambda h, m: (h * m[..., None]).amax(1), "the pads count as 0"),
    (checks.max_pool, lambda h, m: largest(h, 1 - m), "the polarity is flipped"),
    (checks.max_pool, lambda h, m: h.max(dim=1), "Take .values, or call amax"),
    (checks.max_pool, lambda h, m: h.amax(-1), "the largest of each token"),
    (checks.max_pool, lambda h, m: h.masked_fill_(m[..., None] == 0, -9e9).amax(1), "hidden itself was changed"),
    (checks.max_pool, lambda h, m: h.masked_fill(m == 0, -9e9).amax(1), "attention_mask[..., None]"),
    (checks.max_pool, lambda h, m: largest(h, m) + 1, "not the largest numbers of the real tokens"),
    (checks.pads_to_left, lambda i, m: left(i, m.argsort(dim=1, stable=True)), "Right: the pads are in front"),
    (checks.pads_to_left, lambda i, m: left(i, (1 - m).argsort(dim=1, stable=True)), "the pads are on the right"),
    (checks.pads_to_left, lambda i, m: i, "nothing has moved"),
    (checks.pads_to_left, lambda i, m: i.flip(1), "flip turns the texts around"),
    (checks.pads_to_left, lambda i, m: left(i, (i != 50256).long().argsort(dim=1, stable=True)), "the pad id"),
    (checks.pads_to_left, lambda i, m: m.argsort(dim=1, stable=True), "these are places, not ids"),
    (checks.pads_to_left, lambda i, m: i[:, m.argsort(dim=1, stable=True)[0]], "Each has its own number of pads"),
    (checks.pads_to_left, lambda i, m: left(i, m), "became [50256, 50256, 50256, 7, 7]"),
    (checks.pads_to_left, lambda i, m: left(i, m.float()), "gather wants whole numbers"),
    (checks.pads_to_left, lambda i, m: i.roll(1, 1), "row 0, [7, 50256, 9, 50256, 50256] with the mask [1, 1, 1,"),
    (checks.pads_to_left, lambda i, m: left(i, m.argsort(dim=1, stable=True)).int(), "the model wants int64"),
]


@pytest.mark.parametrize(("check", "answer", "says"), ROWS_00_TO_03)
def test_answers_of_00_to_03(check, answer, says, capsys):
    test_answers(check, answer, says, capsys)


def lowest(like):
    return torch.finfo(like.dtype).min


def fill(keep, like, value=None):
    return torch.zeros(keep.shape, dtype=like.dtype).masked_fill(~keep, lowest(like) if value is None else value)


def real(m):
    return (m == 1)[:, None, None, :]


def scores_in_place(s, m, k):
    return s.masked_fill_(~(real(m) & k), lowest(s))


def survives(s, b):
    return s.masked_fill(b != 0, lowest(s)).softmax(-1) * (b == 0)


def renormalised(s, b):
    weights = s.softmax(-1) * (b == 0)
    return weights / weights.sum(-1, keepdim=True).clamp(min=1e-9)


def replaced(s, b):
    return torch.where((b == 0).any(-1, keepdim=True), (s + b).softmax(-1), 0.0)


def triangle(diagonal):
    return lambda q, k: masks.full(q, k).tril(diagonal(q, k))


def moves(function, x, k, first, last, by=None):
    """Whether a change of input k moves one of the outputs from first up to last."""
    changed = x.clone()
    changed[:, k] += by if by is not None else torch.arange(1.0, 4.0)
    return not torch.allclose(function(changed)[:, first:last], function(x)[:, first:last], atol=1e-5)


def each_in_turn(function, x, by=None):
    return any(moves(function, x, k, 0, k, by) for k in range(1, x.shape[1]))


#: (check, answer, says) of lessons 04 and 05.
ROWS = [
    (checks.sees_nothing, lambda b: (b < 0).all(-1)[:, 0], "Right: a row sees nothing if all its keys"),
    (checks.sees_nothing, lambda b: (b < 0).any(-1)[:, 0], "some key is hidden. Wanted those in which all"),
    (checks.sees_nothing, lambda b: (b == 0).any(-1)[:, 0], "the polarity is flipped"),
    (checks.sees_nothing, lambda b: b.isneginf().all(-1)[:, 0], "for a bias filled with the lowest number you find"),
    (checks.sees_nothing, lambda b: b.softmax(-1).isnan().all(-1)[:, 0], "filled with the lowest number you find"),
    (checks.sees_nothing, lambda b: b.sum(-1).isneginf()[:, 0], "Wanted those in which all are"),
    (checks.sees_nothing, lambda b: (b < 0).all(-1), "The dimension of the heads is left over: [:, 0]"),
    (checks.sees_nothing, lambda b: (b < 0).all(-1, keepdim=True), "all(dim=-1)[:, 0]"),
    (checks.sees_nothing, lambda b: (b < 0).all(-2)[:, 0], "an answer for each key"),
    (checks.sees_nothing, lambda b: (b < 0).all(-1)[:, 0].float(), "wanted bool"),
    (checks.sees_nothing, lambda b: (b < 0).all(-1)[:, 0].roll(1, 1), "batch by batch you find"),
    (checks.sees_nothing, lambda b: b.clamp_(max=-1).lt(0).all(-1)[:, 0], "bias itself was changed"),
    (checks.next_token_losses, lambda x, i: loss(x[:, :-1], i[:, 1:]), "Right: each place is judged by the token"),
    (checks.next_token_losses, loss, "one place less"),
    (checks.next_token_losses, lambda x, i: loss(x[:, :-1], i[:, :-1]), "just read. Its logits are for the next one"),
    (checks.next_token_losses, lambda x, i: loss(x[:, 1:], i[:, 1:]), "Take logits[:, :-1]"),
    (checks.next_token_losses, lambda x, i: loss(x[:, 1:], i[:, :-1]), "shifted the wrong way"),
    (checks.next_token_losses, lambda x, i: -loss(x[:, :-1], i[:, 1:]), "these are log probabilities"),
    (checks.next_token_losses, lambda x, i: (-loss(x[:, :-1], i[:, 1:])).exp(), "these are probabilities"),
    (checks.next_token_losses, lambda x, i: x[:, :-1].gather(2, i[:, 1:, None])[..., 0], "these are logits"),
    (checks.next_token_losses, lambda x, i: F.cross_entropy(x[:, :-1].mT, i[:, 1:]), "reduction='none'"),
    (checks.next_token_losses, lambda x, i: loss(x[:, :-1], i[:, 1:]).flatten(), "bring them into rows again"),
    (checks.next_token_losses, lambda x, i: -x[:, :-1].log_softmax(-1), "pick the one of the next token"),
    (checks.next_token_losses, lambda x, i: F.cross_entropy(x[:, :-1], i[:, 1:]), "the vocabulary in dimension 1"),
    (checks.next_token_losses, lambda x, i: F.cross_entropy(x.mT, i[:, 1:]), "the vocabulary in dimension 1"),
    (checks.next_token_losses, lambda x, i: loss(x[:, :-1], i[:, 1:]) + 1, "the losses of the first row are"),
    (checks.next_token_losses, lambda x, i: loss(x.mul_(2)[:, :-1], i[:, 1:]), "was changed"),
    (checks.one_bias, lambda s, m, k: fill(real(m) & k, s), "Right: hidden if either mask hides it"),
    (checks.one_bias, lambda s, m, k: fill(real(m) & k, s).expand(2, 2, 3, 5), "The right numbers, once for each head"),
    (checks.one_bias, lambda s, m, k: fill(real(m) & k, s)[:, 0], "would be read as head 0 and 1"),
    (checks.one_bias, lambda s, m, k: fill(real(m), s), "That is the padding alone"),
    (checks.one_bias, lambda s, m, k: fill(k, s), "That is keep alone"),
    (checks.one_bias, lambda s, m, k: fill(real(m).expand(2, 1, 3, 5), s), "but not keep"),
    (checks.one_bias, lambda s, m, k: fill(k, s).expand(2, 1, 3, 5), "but not the padding"),
    (checks.one_bias, lambda s, m, k: fill((m == 1) & k, s), "lacks heads and queries: two None"),
    (checks.one_bias, lambda s, m, k: real(m) & k, "you returned a bool mask"),
    (checks.one_bias, lambda s, m, k: fill(real(m) & k, torch.zeros(1)), "take scores.dtype for zeros and finfo"),
    (checks.one_bias, lambda s, m, k: fill(real(m) & k, s, -1e9), "ask torch.finfo(scores.dtype).min"),
    (checks.one_bias, lambda s, m, k: fill(real(m) & k, s, -65504), "filled with -65504; the lowest of torch.float32"),
    (checks.one_bias, lambda s, m, k: fill(real(m) & k, s, -1e4), "filled with -10000; the lowest of torch.float16"),
    (checks.one_bias, lambda s, m, k: fill(real(m) & k, s, -torch.inf), "but with -inf"),
    (checks.one_bias, lambda s, m, k: fill(real(m), s) + fill(k, s), "two biases were added"),
    (checks.one_bias, lambda s, m, k: (1 - (real(m) & k).to(s.dtype)) * -torch.inf, "there is NaN in your bias"),
    (checks.one_bias, lambda s, m, k: (real(m) & k).to(s.dtype), "there are positive numbers"),
    (checks.one_bias, lambda s, m, k: 0 * s, "it hides nothing"),
    (checks.one_bias, lambda s, m, k: fill(real(m) | k, s), "only if both masks hide it"),
    (checks.one_bias, lambda s, m, k: fill(~(real(m) & k), s), "hides what both masks keep"),
    (checks.one_bias, lambda s, m, k: fill(~real(m) & k, s), "the padding is flipped"),
    (checks.one_bias, lambda s, m, k: fill(real(m) & ~k, s), "keep is flipped"),
    (checks.one_bias, lambda s, m, k: fill(s == 1, s).masked_fill(~m[:, None, None] & k, 0), "Make a bool mask first"),
    (checks.one_bias, scores_in_place, "one of the inputs was changed"),
    (checks.one_bias, lambda s, m, k: fill((real(m) & k).roll(1, -1), s), "10 places differ"),
    (checks.one_bias, lambda s, m, k: [0], "you returned a list"),
    (checks.safe_softmax, survives, "Right: visible keys share the weight"),
    (checks.safe_softmax, lambda s, b: (s + b.clamp(min=lowest(s))).softmax(-1) * b.exp(), "Right: visible keys"),
    (checks.safe_softmax, lambda s, b: survives(s, b).double(), "Right: visible keys"),
    (checks.safe_softmax, lambda s, b: (s + b).softmax(-1).nan_to_num(0.0), "their gradient is NaN"),
    (checks.safe_softmax, replaced, "their gradient is NaN"),
    (checks.safe_softmax, lambda s, b: survives(s.detach(), b), "Did you detach something?"),
    (checks.safe_softmax, lambda s, b: (s + b).softmax(-1), "the row that sees nothing is NaN"),
    (checks.safe_softmax, lambda s, b: (s + b).softmax(-1) * (b == 0), "the row that sees nothing is NaN"),
    (checks.safe_softmax, lambda s, b: (s + b.clamp(min=lowest(s))).softmax(-1), "sees nothing is uniform"),
    (checks.safe_softmax, lambda s, b: (s + b.clamp(min=-1e4)).softmax(-1), "is as without a mask"),
    (checks.safe_softmax, lambda s, b: survives(s, b) + (b != 0).all(-1, keepdim=True), "yours is [1.0, 1.0, 1.0"),
    (checks.safe_softmax, lambda s, b: s.softmax(-1), "these are the weights without a mask"),
    (checks.safe_softmax, lambda s, b: s.softmax(-1) * (b == 0), "you masked after the softmax"),
    (checks.safe_softmax, lambda s, b: s.softmax(-1) + b, "there are weights of -inf"),
    (checks.safe_softmax, renormalised, "a hidden score of 200"),
    (checks.safe_softmax, lambda s, b: (s * (b == 0)).softmax(-1), "you multiplied the scores by 0"),
    (checks.safe_softmax, lambda s, b: (s + (b != 0) * -torch.inf).softmax(-1), "a row that sees some keys has NaN"),
    (checks.safe_softmax, lambda s, b: s.masked_fill(b == 0, lowest(s)).softmax(-1), "the polarity is flipped"),
    (checks.safe_softmax, lambda s, b: s.masked_fill(b != 0, lowest(s)).softmax(0), "your columns sum to 1"),
    (checks.safe_softmax, lambda s, b: s.add_(b).softmax(-1), "scores or bias was changed"),
    (checks.safe_softmax, lambda s, b: torch.ones(3, 4), "the first row should be [0.14, 0.29, 0.57, 0.0]"),
    (checks.safe_softmax, lambda s, b: s[0], "wanted a tensor of shape (3, 4)"),
    (checks.causal_with_cache, triangle(lambda q, k: k - q), "Right: the last query sees every key"),
    (checks.causal_with_cache, masks.causal, "Right: the last query sees every key"),
    (checks.causal_with_cache, triangle(lambda q, k: 0), "begins in the upper left corner"),
    (checks.causal_with_cache, triangle(lambda q, k: k - q - 1), "no query sees itself"),
    (checks.causal_with_cache, triangle(lambda q, k: k - q + 1), "the one that it is to predict"),
    (checks.causal_with_cache, triangle(lambda q, k: q - k - 1), "nothing is visible"),
    (checks.causal_with_cache, triangle(lambda q, k: 2), "right for 3 queries and 5 keys, wrong for 1 queries"),
    (checks.causal_with_cache, lambda q, k: torch.ones(q, k).tril(k - q), "keep is bool: torch.ones"),
    (checks.causal_with_cache, lambda q, k: torch.zeros(q, k) - 1, "with negative values, to be added"),
    (checks.causal_with_cache, lambda q, k: ~masks.causal(q, k), "the polarity is flipped"),
    (checks.causal_with_cache, lambda q, k: masks.full(q, k).triu(k - q), "triu keeps the upper triangle"),
    (checks.causal_with_cache, masks.full, "nothing is hidden"),
    (checks.causal_with_cache, lambda q, k: masks.causal(q), "there is a column for each key"),
    (checks.causal_with_cache, lambda q, k: masks.causal(k), "a row for each new token only"),
    (checks.causal_with_cache, lambda q, k: masks.causal(q, k).T, "Rows are queries, columns are keys"),
    (checks.causal_with_cache, lambda q, k: masks.causal(q, k).flip(0), "the rows are upside down"),
    (checks.causal_with_cache, lambda q, k: masks.sliding_window(q, 2, k), "query 0 and key 0: the query should see"),
    (checks.causal_with_cache, lambda q, k: [[True] * k] * q, "you returned a list"),
    (checks.causal_with_cache, lambda q, k: masks.causal(q, k, 3, 4), "TypeError: causal() takes"),
    (checks.causal_with_cache, lambda q, k: masks.nothing, "(inputs 3, 5)."),
    (checks.sees_future, each_in_turn, "Right: six functions"),
    (checks.sees_future, lambda f, x: torch.tensor(each_in_turn(f, x)), "Right: six functions"),
    (checks.sees_future, lambda f, x: moves(f, x, 4, 0, 4), "you say no for token 2 in the first output"),
    (checks.sees_future, lambda f, x: moves(f, x, 4, 0, 1), "you say no for a look at the next token"),
    (checks.sees_future, lambda f, x: moves(f, x, 4, 0, 5), "you say yes for a mean over what came before"),
    (
        checks.sees_future,
        lambda f, x: each_in_turn(f, x, by=1),
        "A number added to the whole vector",
    ),
    (checks.sees_future, lambda f, x: False, "you say no for a mean over the whole text"),
    (checks.sees_future, lambda f, x: 1, "you returned a int; wanted True or False"),
    (checks.sees_future, lambda f, x: bool(x.add_(1).sum()), "x itself was changed"),
]


@pytest.mark.parametrize(("check", "answer", "says"), ROWS)
def test_answers_of_lessons_04_and_05(check, answer, says, capsys):
    test_answers(check, answer, says, capsys)


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
        (Drawn(CAUSAL.float()), "Not yet: wanted a MaskLab of 3 queries and 3 keys; got a Drawn."),
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


def forgot_the_return(*inputs):
    len(inputs)


@pytest.mark.parametrize(
    "check",
    [
        checks.to_keep,
        checks.masked_weights,
        checks.offsets_of,
        checks.to_padded,
        checks.max_pool,
        checks.pads_to_left,
        checks.sees_nothing,
        checks.next_token_losses,
        checks.read_attn_mask,
        checks.own_positions,
        checks.shortest_text,
        checks.pads_when_sorted,
        checks.unpack,
        checks.mean_pool,
        checks.labels_for_loss,
        checks.next_positions,
        checks.last_real_logits,
        checks.one_bias,
        checks.safe_softmax,
        checks.causal_with_cache,
        checks.sees_future,
        checks.attn_mask_3d,
        checks.one_keep,
        checks.own_sentence,
        checks.to_4d,
        checks.reach,
        checks.has_leak,
        checks.break_even,
        checks.blocks_touched,
        checks.cross_keep,
        checks.transformer_masks,
        checks.pads_reach_target,
        checks.static_keep,
        checks.window_with_sinks,
        checks.tree_keep,
    ],
)
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
