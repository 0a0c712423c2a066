"""The checks of lessons 06 to 09: each typical wrong answer gets its own explanation."""

import pytest
import torch

from utils import checks

# --- lesson 06 ---------------------------------------------------------------------------------------


def joined(a, p):
    return a | p[:, None, None, :]


LESSON_06 = [
    (checks.attn_mask_3d, lambda k, h: (~k).expand(-1, h, -1, -1).flatten(0, 1), "Right: all heads of the first text"),
    (checks.attn_mask_3d, lambda k, h: ~k[:, 0].repeat_interleave(h, 0), "Right: all heads of the first text"),
    (checks.attn_mask_3d, lambda k, h: ~k[:, 0].repeat(h, 1, 1), "All heads of text 0 come first: repeat_interleave"),
    (checks.attn_mask_3d, lambda k, h: k[:, 0].repeat_interleave(h, 0), "the order is right, the polarity is not"),
    (checks.attn_mask_3d, lambda k, h: k[:, 0].repeat(h, 1, 1), "two things"),
    (checks.attn_mask_3d, lambda k, h: (~k).expand(-1, h, -1, -1), "flatten(0, 1) joins batch and heads"),
    (checks.attn_mask_3d, lambda k, h: ~k, "The heads are missing"),
    (checks.attn_mask_3d, lambda k, h: ~k[:, 0], "The heads are missing"),
    (checks.attn_mask_3d, lambda k, h: (~k).repeat_interleave(h, 0), "The dimension of size 1"),
    (checks.attn_mask_3d, lambda k, h: (~k).repeat(1, h, 1, 1).flatten(0, 1).mT, "Rows are queries, columns are keys"),
    (
        checks.attn_mask_3d,
        lambda k, h: (~k).repeat(1, 3, 1, 1).flatten(0, 1),
        "2 heads, 3 queries and 4 keys your result",
    ),
    (checks.attn_mask_3d, lambda k, h: (~k[:, 0]).repeat_interleave(h, 0).float(), "without negative numbers"),
    (checks.attn_mask_3d, lambda k, h: (~k[:, 0]).repeat_interleave(h, 0) * -1e9, "wanted bool, True = ignore"),
    (checks.attn_mask_3d, lambda k, h: ~k[:, 0].long().repeat_interleave(h, 0), "`~` needs a bool"),
    (
        checks.attn_mask_3d,
        lambda k, h: ~k[:, 0].roll(1, 1).repeat_interleave(h, 0),
        "mask 0 is wrong. It is for text 0",
    ),
    (checks.attn_mask_3d, lambda k, h: k.logical_not_().expand(-1, h, -1, -1).flatten(0, 1), "keep itself was changed"),
    (checks.attn_mask_3d, lambda k, h: [k], "you returned a list"),
    (checks.one_keep, lambda a, p: ~joined(a, p), "Right: hidden if either mask"),
    (checks.one_keep, lambda a, p: ~a & ~p[:, None, None], "Right: hidden if either mask"),
    (checks.one_keep, joined, "it is complete. SDPA keeps"),
    (checks.one_keep, lambda a, p: ~(a & p[:, None, None]), "only if both masks ignore it"),
    (checks.one_keep, lambda a, p: ~a | ~p[:, None, None], "only if both masks ignore it"),
    (checks.one_keep, lambda a, p: a & p[:, None, None], "neither mask ignores it"),
    (checks.one_keep, lambda a, p: ~a & p[:, None, None], "the padding is upside down"),
    (checks.one_keep, lambda a, p: ~a | p[:, None, None], "binds tighter"),
    (checks.one_keep, lambda a, p: a & ~p[:, None, None], "attn_mask is upside down"),
    (checks.one_keep, lambda a, p: a | ~p[:, None, None], "attn_mask is not turned round"),
    (checks.one_keep, lambda a, p: ~a.expand(3, 1, 3, 4), "the padding is not in it"),
    (checks.one_keep, lambda a, p: ~p[:, None, None].expand(3, 1, 3, 4), "this is the padding alone"),
    (checks.one_keep, lambda a, p: ~p[:, None, None], "That is the padding alone"),
    (checks.one_keep, lambda a, p: ~(a | p), "text n was read as query n"),
    (checks.one_keep, lambda a, p: ~(a | p[:, None]), "one more None"),
    (checks.one_keep, lambda a, p: ~joined(a, p).long(), "Note that `~` needs a bool"),
    (checks.one_keep, lambda a, p: ~a.logical_or_(p[1]) & ~p[:, None, None], "one of the inputs was changed"),
    (checks.one_keep, lambda a, p: ~joined(a, p).roll(1, -1), "for query"),
    (checks.one_keep, lambda a, p: [a, p], "you returned a list"),
]

# --- lesson 07 ---------------------------------------------------------------------------------------


def low(dtype):
    return torch.finfo(dtype).min


def numbers(i, sep):
    is_sep = (i == sep).long()
    return is_sep.cumsum(1) - is_sep


def same(n):
    return n[:, None, :, None] == n[:, None, None, :]


def real(m):
    return (m == 1)[:, None, None, :]


def bias(k, d, fill=None):
    return torch.zeros(k.shape, dtype=d).masked_fill(~k, low(d) if fill is None else fill)


def right_4d(k, d):
    k = k[None] if k.ndim == 2 else k
    return bias(k[:, None] if k.ndim == 3 else k, d)


LESSON_07 = [
    (checks.own_sentence, lambda i, m, s: same(numbers(i, s)) & real(m), "Right: two sentences or three"),
    (checks.own_sentence, lambda i, m, s: same(numbers(i, s)) & real(m) & real(m).mT, "Right: two sentences or"),
    (checks.own_sentence, lambda i, m, s: same((i == s).long().cumsum(1)) & real(m), "sees the sentence after it"),
    (checks.own_sentence, lambda i, m, s: same((i == s).long().cumsum(1)), "And hide the pads"),
    (checks.own_sentence, lambda i, m, s: same(numbers(i, s)), "pads are visible"),
    (checks.own_sentence, lambda i, m, s: (same(numbers(i, s)) & real(m))[:, 0], "dimension for the heads"),
    (checks.own_sentence, lambda i, m, s: (same(numbers(i, s)) & real(m)).long(), "keep is bool"),
    (checks.own_sentence, lambda i, m, s: ~(same(numbers(i, s)) & real(m)), "polarity is flipped"),
    (checks.own_sentence, lambda i, m, s: same(numbers(i, s).clamp(max=1)) & real(m), "the last two see each other"),
    (checks.own_sentence, lambda i, m, s: (same(numbers(i, s)) & real(m)).tril(), "BERT looks to both sides"),
    (checks.own_sentence, lambda i, m, s: real(m).expand(-1, 1, 7, 7), "only the pads are hidden"),
    (checks.own_sentence, lambda i, m, s: torch.ones(3, 1, 7, 7, dtype=torch.bool), "nothing is hidden"),
    (checks.own_sentence, lambda i, m, s: numbers(i, s), "One number for each token"),
    (checks.own_sentence, lambda i, m, s: torch.eye(7).bool().expand(3, 1, 7, 7), "row 0, query 0 and key 1"),
    (checks.own_sentence, lambda i, m, s: same(numbers(i, s).masked_fill_(m == 0, -1)), "Right: two sentences or"),
    (checks.own_sentence, lambda i, m, s: same(numbers(i.masked_fill_(m == 0, 1), s)), "one of the inputs was changed"),
    (checks.own_sentence, lambda i, m, s: 3, "you returned a int"),
    (checks.to_4d, right_4d, "Right: two, three or four"),
    (checks.to_4d, lambda k, d: right_4d(k, d) == 0, "under eager it hides nothing"),
    (checks.to_4d, lambda k, d: (right_4d(k, d) == 0).long(), "is refused under sdpa"),
    (checks.to_4d, lambda k, d: (right_4d(k, d) == 0).to(d), "0 and 1 as floats"),
    (checks.to_4d, lambda k, d: right_4d(k, torch.float32), "pass the dtype on"),
    (checks.to_4d, lambda k, d: right_4d(~k, d), "polarity is flipped"),
    (checks.to_4d, lambda k, d: bias(right_4d(k, d) == 0, d, -torch.inf), "with -inf"),
    (checks.to_4d, lambda k, d: bias(right_4d(k, d) == 0, d, -1e4), "but filled with -10000"),
    (checks.to_4d, lambda k, d: bias(right_4d(k, d) == 0, d, -1e9), "ask torch.finfo(scores.dtype).min"),
    (
        checks.to_4d,
        lambda k, d: bias(k[None] if k.ndim == 3 else k.expand(1, 1, 4, 5) if k.ndim == 2 else k, d),
        "read as heads",
    ),
    (checks.to_4d, lambda k, d: bias(k, d), "wanted (1, 1, 4, 5)"),
    (checks.to_4d, lambda k, d: (1 - (right_4d(k, d) == 0).to(d)) * -torch.inf, "0 × ∞"),
    (checks.to_4d, lambda k, d: right_4d(k, d) + 1, "other numbers than 0"),
    (checks.to_4d, lambda k, d: k.logical_not_(), "keep itself was changed"),
    (checks.to_4d, lambda k, d: None, "Not"),
]

# --- lesson 08 ---------------------------------------------------------------------------------------


def powered(keep, layers, start=None, itself=True, more=0):
    one = (keep | torch.eye(len(keep), dtype=torch.bool) if itself else keep).float()
    found = one
    for _ in range(layers - 1 + more):
        found = ((found @ one) > 0).float()
    return found > 0


def squared(keep, layers):
    found = powered(keep, 1)
    for _ in range(layers - 1):
        found = (found.float() @ found.float()) > 0
    return found


def leaky(function, x, keep, noise=None, floor=1e-5, judge=True, again=False, rows=None):
    before = function(x)
    noise = torch.randn_like(x) if noise is None else noise
    for row in keep.unique(dim=0) if rows is None else rows(keep):
        before = function(x) if again else before
        moved = (function(x + noise * ~row[:, None]) - before).abs().amax(dim=-1)[0] > floor
        if (moved & (keep == row).all(dim=1) if judge else moved).any():
            return True
    return False


def one_by_one(function, x, keep):
    before = function(x)
    for k in range(x.shape[1]):
        changed = x.clone()
        changed[:, k] += torch.randn_like(x[:, k])
        if (((function(changed) - before).abs().amax(-1)[0] > 1e-4) & ~keep[:, k]).any():
            return True
    return False


def in_place_reach(keep, layers):
    keep |= torch.eye(len(keep), dtype=torch.bool)
    return powered(keep, layers)


def in_place_leak(function, x, keep):
    before = function(x)
    x[:, 3:5] += 1
    return bool((function(x) - before).abs().max() > 1)


LESSON_08 = [
    (checks.reach, powered, "Right: the boolean power"),
    (checks.reach, lambda k, n: torch.matrix_power(k.float() + torch.eye(len(k)), n) > 0, "Right: the boolean power"),
    (checks.reach, lambda k, n: k, "this is keep itself"),
    (checks.reach, lambda k, n: powered(k, 1), "this is one layer"),
    (checks.reach, lambda k, n: powered(k, n, itself=False), "the identity is missing"),
    (checks.reach, lambda k, n: powered(k, n) & ~torch.eye(len(k), dtype=torch.bool), "does not reach itself"),
    (checks.reach, lambda k, n: powered(k, n, more=1), "one layer too many"),
    (checks.reach, lambda k, n: powered(k, max(n - 1, 1)), "one layer too few"),
    (checks.reach, lambda k, n: powered(k, n).mT, "rows and columns are exchanged"),
    (checks.reach, lambda k, n: powered(k, 50), "what any number of layers can reach"),
    (checks.reach, squared, "the reach doubles each time"),
    (checks.reach, lambda k, n: powered(k, n).float(), "float32; wanted bool"),
    (checks.reach, lambda k, n: k.tolist(), "wanted a bool tensor of shape (10, 10)"),
    (checks.reach, lambda k, n: powered(k, n)[None], "you returned a tensor of shape (1, 10, 10)"),
    (checks.reach, lambda k, n: ~powered(k, n), "can reach output 0. Walk it on paper"),
    (checks.reach, lambda k, n: powered(k, min(n, 4)), "layers=40: input 0 can reach output 5. Walk it"),
    (checks.reach, in_place_reach, "keep itself was changed"),
    (checks.reach, lambda k, n: k @ k, "A product needs numbers: keep.float()."),
    (checks.has_leak, leaky, "Right: seven functions"),
    (checks.has_leak, lambda f, x, k: torch.tensor(leaky(f, x, k)), "Right: seven functions"),
    (checks.has_leak, lambda f, x, k: True, "you say yes for a mean over a token's own text"),
    (checks.has_leak, lambda f, x, k: leaky(f, x, k, judge=False), "Compare only the outputs whose row"),
    (checks.has_leak, lambda f, x, k: leaky(f, x, ~k), "Compare only the outputs whose row"),
    (checks.has_leak, lambda f, x, k: False, "you say no for a mean over the whole row"),
    (checks.has_leak, lambda f, x, k: leaky(f, x, k, rows=lambda k: k[:1]), "Every distinct row"),
    (
        checks.has_leak,
        lambda f, x, k: leaky(f, x, k, rows=lambda k: k[2:3]),
        "token 3 in output 0, its only leak. Every",
    ),
    (checks.has_leak, lambda f, x, k: leaky(f, x, k, noise=1.0), "after a layer norm. A number added"),
    (checks.has_leak, lambda f, x, k: leaky(f, x, k, noise=torch.randn(4)), "The same noise on both cancels"),
    (checks.has_leak, lambda f, x, k: leaky(f, x, k, floor=0), "let a movement count from 1e-5"),
    (checks.has_leak, lambda f, x, k: leaky(f, x, k, again=True), "run the unchanged text once, before the loop"),
    (checks.has_leak, lambda f, x, k: leaky(f, x, k, rows=lambda k: k), "let queries with equal rows share"),
    (checks.has_leak, one_by_one, "change all that a row hides at once"),
    (checks.has_leak, in_place_leak, "x or keep itself was changed"),
    (checks.has_leak, lambda f, x, k: f(x), "wanted True or False"),
    (checks.has_leak, lambda f, x, k: f(x) @ k, "your function raised RuntimeError"),
]

# --- lesson 09 ---------------------------------------------------------------------------------------


def share(tokens, dim, wide):
    return tokens / (tokens + 2 * dim + wide)


def touched(keep, size):
    return sum(bool(part.any()) for rows in keep.split(size) for part in rows.split(size, dim=1))


def of_all(keep, size):
    return [part for rows in keep.split(size) for part in rows.split(size, dim=1)]


def divisible(keep, size):
    return keep.unflatten(0, (-1, size)).unflatten(2, (-1, size)).any(dim=3).any(dim=1).sum()


def by_unfold(keep, size):
    return keep.unfold(0, size, size).unfold(1, size, size).any(-1).any(-1).sum()


def fills(keep, size):
    keep |= True
    return touched(keep, size)


LESSON_09 = [
    (checks.break_even, share, "Right: it is the share of pairs"),
    (checks.break_even, lambda t, d, f: torch.tensor(share(t, d, f)), "Right: it is the share of pairs"),
    (checks.break_even, lambda t, d, f: 4 * t * t * d / (4 * t * t * d + 8 * t * d * d + 4 * t * d * f), "Right"),
    (checks.break_even, lambda t, d, f: 1 - share(t, d, f), "the share of real tokens"),
    (checks.break_even, lambda t, d, f: t / (2 * d + f), "the pads for each real token"),
    (checks.break_even, lambda t, d, f: 1 + t / (2 * d + f), "the cost of the packed row"),
    (checks.break_even, lambda t, d, f: (2 * d + f) / t, "Turn the fraction over"),
    (checks.break_even, lambda t, d, f: t / (t + 6 * d), "6d holds where f is 4d"),
    (checks.break_even, lambda t, d, f: t / (t + 4 * d + 2 * f), "Two products go over the pairs"),
    (checks.break_even, lambda t, d, f: t / (t + f), "four linear layers more"),
    (checks.break_even, lambda t, d, f: t / (t + 2 * d), "The feed-forward is missing"),
    (checks.break_even, lambda t, d, f: 100 * share(t, d, f), "between 0 and 1"),
    (checks.break_even, lambda t, d, f: round(share(t, d, f), 2), "Do not round"),
    (checks.break_even, lambda t, d, f: 0.5, "you return 0.500; wanted 0.182."),
    (checks.break_even, lambda t, d, f: [t], "you returned a list"),
    (checks.break_even, lambda t, d, f: t.max(), "your function raised AttributeError"),
    (checks.blocks_touched, touched, "Right: a block counts"),
    (checks.blocks_touched, lambda k, s: torch.tensor(touched(k, s)), "Right: a block counts"),
    (checks.blocks_touched, lambda k, s: sum(bool(p.all()) for p in of_all(k, s)), "Those are the full blocks"),
    (checks.blocks_touched, lambda k, s: len(of_all(k, s)), "the number of all blocks"),
    (checks.blocks_touched, lambda k, s: k.sum(), "the number of visible pairs"),
    (checks.blocks_touched, lambda k, s: sum(not p.any() for p in of_all(k, s)), "blocks that can be skipped"),
    (checks.blocks_touched, lambda k, s: touched(k, s) / len(of_all(k, s)), "That is a share"),
    (checks.blocks_touched, divisible, "your function raised RuntimeError"),
    (checks.blocks_touched, by_unfold, "Blocks at the edge"),
    (checks.blocks_touched, fills, "keep itself was changed"),
    (checks.blocks_touched, lambda k, s: k, "you returned a tensor of shape (12, 12)"),
    (checks.blocks_touched, lambda k, s: 42, "you return 42; wanted 5."),
]


def read(m, h):
    keep = m == 0
    return keep[None, None] if keep.ndim == 2 else keep.unflatten(0, (-1, h))


def places(number):
    """The place of each token among those before it with its number."""
    return (number[:, :, None] == number[:, None, :]).tril(-1).sum(-1)


def before(ids, sep):
    is_sep = (ids == sep).long()
    return is_sep.cumsum(1) - is_sep


def pads(parts):
    return sum(int((part.max() - part).sum()) for part in parts)


def rising(n):
    return n.sort().values


THIRD = [
    (checks.read_attn_mask, read, "Right: two dimensions or three, bool or float"),
    (checks.read_attn_mask, lambda m, h: ~read(m, h), "the polarity is not turned round"),
    (checks.read_attn_mask, lambda m, h: m == 0, "Two None in front"),
    (
        checks.read_attn_mask,
        lambda m, h: (m == 0)[None, None] if m.ndim == 2 else m == 0,
        "unflatten(0, (-1, num_heads))",
    ),
    (checks.read_attn_mask, lambda m, h: (~m)[None, None] if m.ndim == 2 else ~read(m, h), "need bool tensors here"),
    (checks.read_attn_mask, lambda m, h: read(m.bool() & False, h), "nothing is hidden"),
    (checks.read_attn_mask, lambda m, h: read(m, h).float(), "keep is bool"),
    (checks.read_attn_mask, lambda m, h: read(m, h).transpose(0, 1), "all heads of text 0 come first"),
    (
        checks.read_attn_mask,
        lambda m, h: read(m, h) if m.ndim == 2 else (m == 0).unflatten(0, (h, -1)).transpose(0, 1),
        "the texts and the heads are mixed up",
    ),
    (checks.read_attn_mask, lambda m, h: read(m, h).roll(1, -1), "in text 0, head 0, key 0 is"),
    (checks.read_attn_mask, lambda m, h: read(m.logical_not_(), h), "attn_mask itself was changed"),
    (checks.own_positions, lambda i, s: places(before(i, s)), "Right: each sentence begins at 0"),
    (checks.own_positions, lambda i, s: torch.arange(7).expand(2, 7), "count on through all sentences"),
    (checks.own_positions, before, "which sentence a token is in"),
    (checks.own_positions, lambda i, s: places(before(i, s)) + 1, "one too high"),
    (checks.own_positions, lambda i, s: places((i == s).cumsum(1)), "a [SEP] begins the next sentence here"),
    (checks.own_positions, lambda i, s: places(before(i, s).clamp(max=1)), "From the third one on"),
    (checks.own_positions, lambda i, s: places(before(i, s)).float(), "so they must be int64"),
    (checks.own_positions, lambda i, s: places(before(i, s))[..., None].expand(2, 7, 7), "for each pair of tokens"),
    (checks.own_positions, lambda i, s: places(before(i, s)).flip(1), "row 0, [101, 7, 102, 8, 9, 8, 102]: got [3, 2"),
    (checks.own_positions, lambda i, s: places(before(i.mul_(1).add_(0 * i + 1), s)), "input_ids itself was changed"),
    (checks.shortest_text, lambda w, n: (w - 1) * n + 2, "Right: one token more than the last one reaches"),
    (checks.shortest_text, lambda w, n: torch.tensor((w - 1) * n + 2), "Right: one token more"),
    (checks.shortest_text, lambda w, n: (w - 1) * n + 1, "the last token reaches all"),
    (checks.shortest_text, lambda w, n: (w - 1) * n, "That is how far back the last token reaches"),
    (checks.shortest_text, lambda w, n: w + 1, "That is enough for one layer"),
    (checks.shortest_text, lambda w, n: w * n + 1, "each layer goes back by window - 1"),
    (checks.shortest_text, lambda w, n: 99, "for window=3 and layers=1 you return 99; wanted 4."),
    (checks.shortest_text, lambda w, n: [w], "you returned a list"),
    (checks.pads_when_sorted, lambda n, s: pads(rising(n).split(s)), "Right: short texts are padded to short ones"),
    (checks.pads_when_sorted, lambda n, s: pads(n.split(s)), "Sort them first"),
    (checks.pads_when_sorted, lambda n, s: pads([n]), "the pads of one batch of all"),
    (checks.pads_when_sorted, lambda n, s: pads(rising(n).split(s)) + n.sum(), "all places, real tokens among them"),
    (checks.pads_when_sorted, lambda n, s: pads(rising(n).flip(0).split(s)), "not from long to short"),
    (checks.pads_when_sorted, lambda n, s: pads(rising(n)[: len(n) // s * s].split(s)), "The last batch is smaller"),
    (checks.pads_when_sorted, lambda n, s: pads(rising(n).split(s)) / (pads(rising(n).split(s)) + n.sum()), "a share"),
    (checks.pads_when_sorted, lambda n, s: pads(n.copy_(rising(n)).split(s)), "lengths itself was changed"),
    (checks.pads_when_sorted, lambda n, s: n.sort().split(s), "has no attribute"),
    (checks.pads_when_sorted, lambda n, s: 77, "in batches of 2 you return 77; wanted"),
]


@pytest.mark.parametrize(("check", "answer", "says"), LESSON_06 + LESSON_07 + LESSON_08 + LESSON_09 + THIRD)
def test_answers(check, answer, says, capsys):
    assert check(answer) is None
    printed = capsys.readouterr().out
    assert says in printed
    assert printed.startswith("Right: ") == says.startswith("Right")
