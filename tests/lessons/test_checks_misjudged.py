"""Answers that checks once misjudged: odd results, errors, edits in place, and right answers of an unusual kind."""

import ast
import sys
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch.autograd.functional import jacobian
from torch.nn.functional import cross_entropy, max_pool2d, pad

from publish import source
from tests.support import node
from utils import checks, masks, widgets
from utils.checks import feedback

# --- a right answer to every exercise ----------------------------------------------------------------


def one_bias(scores, attention_mask, keep):
    both = (attention_mask == 1)[:, None, None, :] & keep
    return torch.zeros(both.shape, dtype=scores.dtype).masked_fill(~both, torch.finfo(scores.dtype).min)


def safe_softmax(scores, bias):
    visible = bias == 0
    return scores.masked_fill(~visible, torch.finfo(scores.dtype).min).softmax(dim=-1) * visible


def sees_future(function, x):
    before = function(x)
    for k in range(1, x.shape[1]):
        changed = x.clone()
        changed[:, k] += torch.randn_like(x[:, k])
        if not torch.allclose(function(changed)[:, :k], before[:, :k], atol=1e-5):
            return True
    return False


def own_sentence(input_ids, attention_mask, sep_id):
    number = (input_ids == sep_id).long().cumsum(dim=-1) - (input_ids == sep_id).long()
    return ((number[:, :, None] == number[:, None, :]) & (attention_mask == 1)[:, None, :])[:, None]


def to_4d(keep, dtype):
    keep = keep[None] if keep.ndim == 2 else keep
    keep = keep[:, None] if keep.ndim == 3 else keep
    return torch.zeros(keep.shape, dtype=dtype).masked_fill(~keep, torch.finfo(dtype).min)


def reach(keep, layers):
    return torch.matrix_power((keep | torch.eye(len(keep), dtype=torch.bool)).double(), layers) > 0


def has_leak(function, x, keep):
    before = function(x)
    for row in keep.unique(dim=0):
        moved = (function(x + torch.randn_like(x) * ~row[:, None]) - before).abs().amax(dim=-1)[0] > 1e-5
        if moved[(keep == row).all(dim=1)].any():
            return True
    return False


def to_padded(values, offsets):
    return torch.nn.utils.rnn.pad_sequence([values[a:b] for a, b in pairwise(offsets)], batch_first=True)


def max_pool(hidden, attention_mask):
    real = attention_mask[..., None] == 1
    return hidden.masked_fill(~real, -torch.inf).amax(dim=1).masked_fill(~real.any(dim=1), 0.0)


def own_positions(input_ids, sep_id):
    places = torch.zeros_like(input_ids)
    for n, row in enumerate(input_ids):
        for t in range(1, len(row)):
            places[n, t] = 0 if row[t - 1] == sep_id else places[n, t - 1] + 1
    return places


def tree_keep(parents):
    keep = torch.eye(len(parents), dtype=torch.bool)
    for guess, parent in enumerate(parents):
        if parent >= 0:
            keep[guess] |= keep[parent]
    return keep


def read_attn_mask(attn_mask, num_heads):
    keep = attn_mask == 0
    return keep[None, None] if keep.ndim == 2 else keep.unflatten(0, (-1, num_heads))


def pads_when_sorted(lengths, size):
    batches = lengths.sort().values.split(size)
    return sum((batch.max() - batch).sum().item() for batch in batches)


def alibi_bias(q_len, k_len, slopes):
    distance = torch.arange(k_len - q_len, k_len)[:, None] - torch.arange(k_len)
    return (-slopes[:, None, None] * distance).masked_fill(distance < 0, -torch.inf)


def weights_with_sink(scores, sinks):
    column = sinks[:, None, None].expand(-1, scores.shape[1], 1)
    return torch.cat([scores, column], dim=-1).softmax(dim=-1)[..., :-1]


def cross_keep(source_mask, target_len):
    return source_mask.bool()[:, None, None].expand(-1, -1, target_len, -1)


def transformer_masks(source_mask, target_mask):
    source, target = source_mask == 0, target_mask == 0
    later = torch.ones(target.shape[1], target.shape[1]).triu(1).bool()
    both = {"src_key_padding_mask": source, "memory_key_padding_mask": source}
    return {"tgt_mask": later, "tgt_key_padding_mask": target, **both}


def pads_reach_target(function, x, source_mask):
    noise = torch.randn_like(x) * (source_mask == 0)[..., None]
    return not torch.allclose(function(x + noise), function(x), atol=1e-5)


RIGHT = {
    "masked_weights": lambda scores, keep: scores.masked_fill(~keep, -torch.inf).softmax(-1),
    "offsets_of": lambda lengths: torch.cat([torch.zeros(1, dtype=torch.long), lengths.cumsum(0)]),
    "to_padded": to_padded,
    "max_pool": max_pool,
    "pads_to_left": lambda ids, m: ids.gather(1, m.argsort(dim=1, stable=True)),
    "sees_nothing": lambda bias: (bias < 0).all(-1)[:, 0],
    "next_token_losses": lambda x, ids: cross_entropy(x[:, :-1].mT, ids[:, 1:], reduction="none"),
    "read_attn_mask": read_attn_mask,
    "own_positions": own_positions,
    "shortest_text": lambda window, layers: (window - 1) * layers + 2,
    "pads_when_sorted": pads_when_sorted,
    "to_keep": lambda ignore: ~ignore[:, None, None],
    "unpack": lambda values, offsets: [values[a:b] for a, b in pairwise(offsets)],
    "mean_pool": lambda h, m: (h * m[..., None]).sum(1) / m.sum(1, keepdim=True).clamp(min=1),
    "labels_for_loss": lambda ids, m: ids.masked_fill(m == 0, -100),
    "next_positions": lambda m, new: m.sum(-1, keepdim=True) + torch.arange(new),
    "last_real_logits": lambda x, m: x[torch.arange(len(m)), (m * torch.arange(m.shape[1])).argmax(1)],
    "one_bias": one_bias,
    "safe_softmax": safe_softmax,
    "causal_with_cache": masks.causal,
    "sees_future": sees_future,
    "attn_mask_3d": lambda keep, heads: (~keep).expand(-1, heads, -1, -1).flatten(0, 1),
    "one_keep": lambda pairs, padding: ~(pairs | padding[:, None, None]),
    "own_sentence": own_sentence,
    "to_4d": to_4d,
    "reach": reach,
    "has_leak": has_leak,
    "break_even": lambda tokens, dim, wide: tokens / (tokens + 2 * dim + wide),
    "counted": lambda scores, counts: (scores + counts.log()).softmax(-1),
    "alibi_bias": alibi_bias,
    "weights_with_sink": weights_with_sink,
    "cross_keep": cross_keep,
    "transformer_masks": transformer_masks,
    "pads_reach_target": pads_reach_target,
    "static_keep": lambda filled, new, slots: torch.arange(slots) <= torch.arange(filled, filled + new)[:, None],
    "window_with_sinks": lambda n, w, s: masks.sliding_window(n, w) | masks.causal(n) & (torch.arange(n) < s),
    "tree_keep": tree_keep,
    "blocks_touched": lambda keep, size: sum(bool(p.any()) for rows in keep.split(size) for p in rows.split(size, 1)),
    "labels_of_padded": lambda ids, m: ids.masked_fill((m == 0) | (pad(m[:, :-1], (1, 0), value=1) == 0), -100),
    "labels_of_packed": lambda ids, number: ids.masked_fill(pad(number.diff(dim=1), (1, 0)) != 0, -100),
    "positions_from_ids": lambda ids, pad_id: (ids != pad_id).cumsum(dim=1) * (ids != pad_id) + pad_id,
}


def verdict(name, answer, capsys):
    """What a check prints."""
    assert getattr(checks, name)(answer) is None
    printed = capsys.readouterr().out
    assert printed.startswith(("Right: ", "Not yet: ", "Not tried yet"))
    return printed


def test_the_list_above_is_complete():
    assert {*RIGHT, "drawn", "left_to_right", "NOT_TRIED", "NotSolved"} == set(checks.__all__)


# --- the rows of answers that were misjudged -----------------------------------------------------------

LAYER_NORM = "The sum over the outputs of a layer norm never changes, so its gradient is 0"


def cut(function, x):
    """As lesson 05 cuts a text: the beginnings, of one token, two tokens, …"""
    whole, beginnings = function(x), [x[:, : t + 1] for t in range(x.shape[1])]
    return any(not torch.allclose(function(b), whole[:, : b.shape[1]], atol=1e-5) for b in beginnings)


def summed_gradient(function, x):
    """Does the sum of what output q is made of depend on a later input?"""
    changed = x.clone().requires_grad_()
    for q in range(x.shape[1] - 1):
        (gradient,) = torch.autograd.grad(function(changed)[:, q].sum(), changed, allow_unused=True)
        if gradient[:, q + 1 :].abs().max() > 1e-5:
            return True
    return False


def by_jacobian(function, x):
    moved = jacobian(function, x)[0, :, :, 0].abs().amax(dim=(1, 3))  # (outputs, inputs)
    return bool((moved.triu(1) > 1e-5).any())


def by_nan(function, x):
    return any(function(x.index_fill(1, torch.tensor(k), torch.nan))[:, :k].isnan().any() for k in range(1, x.shape[1]))


def several_at_once(function, x):
    """One call, with a text for each change."""
    texts = torch.cat([x.index_add(1, torch.tensor(k), torch.randn(1, 1, 3)) for k in range(1, 5)])
    return any((function(texts)[k - 1, :k] - function(x)[0, :k]).abs().max() > 1e-5 for k in range(1, 5))


def those_whom_it_sees(function, x, keep):
    """Looks at the tokens that a row shows, in place of the queries that have this row."""
    before = function(x)
    for row in keep.unique(dim=0):
        moved = (function(x + torch.randn_like(x) * ~row[:, None]) - before).abs().amax(dim=-1)[0] > 1e-5
        if moved[row].any():
            return True
    return False


def leak_by_nan(function, x, keep):
    return any(
        function(x.masked_fill(~row[:, None], torch.nan))[0, (keep == row).all(1)].isnan().any()
        for row in keep.unique(dim=0)
    )


def leak_by_gradient(function, x, keep, weigh=True):
    """One call: does a weighted sum of each output depend on an input that its row hides?"""
    changed = x.clone().requires_grad_()
    outputs = function(changed)[0]
    weights = torch.randn(x.shape[-1]) if weigh else torch.ones(x.shape[-1])
    for q, row in enumerate(keep):
        (gradient,) = torch.autograd.grad((outputs[q] * weights).sum(), changed, retain_graph=True)
        if (gradient[0].abs().amax(dim=-1) * ~row).max() > 1e-5:
            return True
    return False


MISJUDGED = {
    "one_bias that is the scores, filled": (
        "one_bias",
        lambda s, m, k: s.masked_fill(~((m == 1)[:, None, None] & k), torch.finfo(s.dtype).min),
        "the scores themselves are in your bias",
    ),
    "one_bias once for each head": (
        "one_bias",
        lambda s, m, k: one_bias(s, m, k).expand_as(s),
        "has the shape (2, 2, 3, 5); wanted (2, 1, 3, 5). The right numbers, once for each head",
    ),
    "05/2 by cutting the text, as the lesson does": ("sees_future", cut, "Right: six functions"),
    "05/2 by a summed gradient": ("sees_future", summed_gradient, f"a layer norm. {LAYER_NORM}"),
    "05/2 by a whole jacobian": ("sees_future", by_jacobian, "Right: six functions"),
    "05/2 by NaN": ("sees_future", by_nan, "Right: six functions"),
    "05/2 by several texts at once": ("sees_future", several_at_once, "Right: six functions"),
    "05/2 with a text that lost its batch": ("sees_future", lambda f, x: f(x[0]), "wanted (1, length, 3)"),
    "08/2 by a gradient": ("has_leak", leak_by_gradient, "Right: seven functions"),
    "08/2 by a summed gradient": ("has_leak", lambda f, x, k: leak_by_gradient(f, x, k, weigh=False), LAYER_NORM),
    "08/2 by NaN": ("has_leak", leak_by_nan, "Right: seven functions"),
    "08/2 by cutting the text": ("has_leak", lambda f, x, k: f(x[:, k[0]]), "change vectors, and cut none off"),
    "08/2 looks at moved[row].any()": ("has_leak", those_whom_it_sees, "Compare only the outputs whose row"),
    "08/2 reads keep by columns": ("has_leak", lambda f, x, k: has_leak(f, x, k.mT), "Compare only the outputs"),
    "(h*m).sum(1)/m.sum(1)": ("mean_pool", lambda h, m: (h * m).sum(1) / m.sum(1), "attention_mask[..., None]"),
    "counts without keepdim": ("mean_pool", lambda h, m: (h * m[..., None]).sum(1) / m.sum(1), "keepdim=True"),
    "m.sum(-1)+arange(new)": ("next_positions", lambda m, new: m.sum(-1) + torch.arange(new), "keepdim=True keeps"),
    "always two new tokens": ("next_positions", lambda m, new: m.sum(-1, keepdim=True) + torch.arange(2), "new=4"),
    "positions of eight bits": ("next_positions", lambda m, n: RIGHT["next_positions"](m, n).byte(), "int64, or int32"),
    "l[:, m.sum(1)-1]": ("last_real_logits", lambda x, m: x[:, m.sum(1) - 1], "logits[torch.arange(batch), places]"),
    "l[m.sum(1)-1]": ("last_real_logits", lambda x, m: x[m.sum(1) - 1], "The first index picks texts, not places."),
    "l[rows, m.sum(1)]": ("last_real_logits", lambda x, m: x[torch.arange(4), m.sum(1)], "subtract 1"),
    "logits as integers": ("last_real_logits", lambda x, m: RIGHT["last_real_logits"](x, m).long(), "elsewhere"),
    "range(len(offsets))": (
        "unpack",
        lambda v, o: [v[o[n] : o[n + 1]] for n in range(len(o))],
        "range(len(offsets) - 1)",
    ),
    "sentences stacked": ("unpack", lambda v, o: torch.stack([v[a:b] for a, b in pairwise(o)]), "return a list"),
    "three sentences, whatever comes": (
        "unpack",
        lambda v, o: [v[o[n] : o[n + 1]] for n in range(3)],
        "range(len(offsets) - 1)",
    ),
    "blocks of a pooling": (
        "blocks_touched",
        lambda keep, size: max_pool2d(keep[None].float(), size, ceil_mode=True).sum(),
        "Right",
    ),
}


@pytest.mark.parametrize("case", MISJUDGED)
def test_G_answers_that_were_misjudged(case, capsys):
    name, answer, says = MISJUDGED[case]
    printed = verdict(name, answer, capsys)
    assert says in printed
    assert printed.startswith("Right: ") == says.startswith("Right")


# --- in place ----------------------------------------------------------------------------------------

IN_PLACE = [(name, position) for name in RIGHT for position in range(3)]


@pytest.mark.parametrize(("name", "position"), IN_PLACE)
def test_an_input_that_was_changed_in_place_is_never_what_an_answer_is_compared_with(name, position, capsys):
    """The answer is right, and an input is overwritten behind it: said is that, or that the answer is right."""
    changes = []

    def answer(*inputs):
        result = RIGHT[name](*[value.clone() if isinstance(value, torch.Tensor) else value for value in inputs])
        if position < len(inputs) and isinstance(inputs[position], torch.Tensor):
            changes.append(position)
            inputs[position].logical_not_()
        return result

    printed = verdict(name, answer, capsys)
    assert printed.startswith("Right: ") or (changes and "changed" in printed), printed


def test_G_logical_not_in_place_is_no_wrong_polarity(capsys):
    assert "polarity is" not in verdict("to_keep", lambda ignore: ignore.logical_not_()[:, None, None], capsys)
    kept = verdict("attn_mask_3d", lambda k, h: k.logical_not_().expand(-1, h, -1, -1).flatten(0, 1), capsys)
    assert "keep itself was changed" in kept


def test_what_a_function_returns_may_be_written_into(capsys):
    def answer(function, x):
        before = function(x)
        found = sees_future(function, x)
        before.zero_()
        return found

    assert verdict("sees_future", answer, capsys).startswith("Right")


# --- odd results -------------------------------------------------------------------------------------


def of_tensors(change):
    """The change, of a tensor or of each in a list or dict; a number is made a tensor first."""

    def changed(result):
        if isinstance(result, dict):
            return {name: change(part) for name, part in result.items()}
        if isinstance(result, list | tuple):
            return [change(part) for part in result]
        return change(result if isinstance(result, torch.Tensor) else torch.tensor(result))

    return changed


def nested(x):
    return torch.nested.nested_tensor([x.float().flatten()], layout=torch.jagged)


def masked(x):
    return torch.masked.masked_tensor(x.float(), torch.ones_like(x, dtype=torch.bool))


class Unreadable:
    """Nothing can be done with it."""

    __hash__ = None

    def __len__(self):
        raise ValueError("no length")

    def __eq__(self, other):
        raise ValueError("no comparison")


#: what it is → the result in place of the right one
ODD = {
    "complex": of_tensors(lambda x: x.to(torch.complex64)),
    "float8": of_tensors(lambda x: x.float().to(torch.float8_e4m3fn)),
    "sparse": of_tensors(lambda x: x.to_sparse()),
    "meta": of_tensors(lambda x: x.to("meta")),
    "nested": of_tensors(nested),
    "masked": of_tensors(masked),
    "one dimension more": of_tensors(lambda x: x[None]),
    "another behind": of_tensors(lambda x: x[..., None]),
    "flat": of_tensors(torch.flatten),
    "empty": of_tensors(lambda x: x.flatten()[:0]),
    "one column less": of_tensors(lambda x: x[..., :-1] if x.ndim else x),
    "no dimension": of_tensors(lambda x: x.flatten()[0] if x.numel() else torch.tensor(0)),
    "int32": of_tensors(lambda x: x.nan_to_num().int()),
    "uint8": of_tensors(lambda x: x.nan_to_num().byte()),
    "bool": of_tensors(torch.Tensor.bool),
    "NaN": of_tensors(lambda x: x.float() * torch.nan),
    "infinity": of_tensors(lambda x: x.float() + torch.inf),
    "numpy": of_tensors(torch.Tensor.numpy),
    "numbers in lists": of_tensors(torch.Tensor.tolist),
    "a list": lambda result: [result],
    "a tuple of two": lambda result: (result, result),
    "an empty list": lambda result: [],
    "a list of None": lambda result: [None],
    "lists of lists": lambda result: [[1, 2], [3]],
    "tensors without length": lambda result: [torch.tensor(1.0)] * 3,
    "a dictionary": lambda result: {"answer": result},
    "a generator": lambda result: (part for part in [result]),
    "an iterator": lambda result: map(abs, [1]),
    "text": str,
    "a class": lambda result: int,
    "a function": lambda result: len,
    "a large number": lambda result: 10**400,
    "no number": lambda result: float("nan"),
    "an infinite number": lambda result: float("inf"),
    "1j": lambda result: 1j,
    "True of numpy": lambda result: np.bool_(True),
    "3 of numpy": lambda result: np.int64(3),
    "NotImplemented": lambda result: NotImplemented,
    "something unreadable": lambda result: Unreadable(),
}
#: Numbers and one True or False may come in any tensor of one element.
OF_ONE = ("sees_future", "has_leak", "break_even", "blocks_touched", "shortest_text", "pads_when_sorted")
OF_ONE += ("pads_reach_target",)


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("name", RIGHT)
def test_an_odd_result_is_answered_in_words(name, odd, capsys):
    printed = verdict(name, lambda *inputs: ODD[odd](RIGHT[name](*inputs)), capsys)
    words = printed.removeprefix("Not yet: ")
    assert "Error" not in words or (odd == "a large number" and name in OF_ONE)
    fits = printed.startswith("Right: ")
    same_dtype = name not in OF_ONE and odd in ("bool", "int32")
    same_dtype |= (name, odd) == ("offsets_of", "flat")  # which it is already
    assert not fits or name in OF_ONE or same_dtype, f"{odd} is no right answer"


@pytest.mark.parametrize("name", RIGHT)
def test_right_answers_of_another_kind_are_right(name, capsys):
    """With a gradient; as a parameter; in double precision, where the exercise leaves the dtype open."""
    changes = [lambda x: x + torch.zeros(1, dtype=x.dtype, requires_grad=x.is_floating_point())]
    if name != "safe_softmax":  # there it would cut the gradient off
        changes.append(lambda x: torch.nn.Parameter(x, False))
    for change in changes:
        printed = verdict(name, lambda *inputs, change=change: of_tensors(change)(RIGHT[name](*inputs)), capsys)
        assert printed.startswith("Right: "), printed
    if name in ("unpack", "mean_pool", "last_real_logits", "safe_softmax", "masked_weights", "to_padded", "max_pool"):
        double = of_tensors(torch.Tensor.double)
        assert verdict(name, lambda *inputs: double(RIGHT[name](*inputs)), capsys).startswith("Right: ")
    if name in ("mean_pool", "last_real_logits"):
        for dtype in (torch.float16, torch.bfloat16):
            printed = verdict(name, lambda *inputs, dtype=dtype: RIGHT[name](*inputs).to(dtype), capsys)
            assert printed.startswith("Right: "), printed


@pytest.mark.parametrize("name", RIGHT)
def test_who_wants_to_write_it_later_has_not_tried(name, capsys):
    def later(*inputs):
        raise NotImplementedError

    assert verdict(name, later, capsys) == checks.NOT_TRIED + "\n"


# --- errors ------------------------------------------------------------------------------------------


def tensor(*shape):
    return torch.ones(*shape)


#: an expression that raises → what is said of it
ERRORS = {
    "tensor(3, 5) * tensor(4)": "Indexing with None adds it.",
    "tensor(2, 3) @ tensor(2, 3)": "The sizes of a product do not fit",
    "tensor(1, 2, 3) @ tensor(1, 2, 3)": "The sizes of a product do not fit",
    "tensor(2).long() @ tensor(2)": "Both sides need one dtype",
    "tensor(2, 3).double() @ tensor(3, 2)": "Both sides need one dtype",
    "torch.arange(tensor(3), tensor(3))": "of another type than wanted",
    "tensor(2)[2]": "0 to n - 1",
    "tensor(2)[:, 0]": "fewer dimensions than your index",
    "tensor(2).sum(dim=1)": "dim=0 to dim=n - 1",
    "tensor(6).view(4, 2)": "keep the number of elements",
    "tensor(2, 3).T.view(6)": "Write reshape or flatten",
    "tensor(2, 3).expand(4, 3)": "of size 1 only",
    "tensor(2, 3).expand(3)": "a size for each dimension",
    "tensor(3).masked_fill(tensor(3), 0.0)": "Make a bool mask first",
    "torch.where(tensor(3), 1.0, 0.0)": "Make a bool mask first",
    "tensor(3) if tensor(3) else 0": "Between tensors write &, | and ~.",
    "not tensor(3)": "Between tensors write &, | and ~.",
    "~tensor(3)": "need bool tensors here",
    "tensor(3) & tensor(3)": "need bool tensors here",
    "1 - tensor(3).bool()": "inverted with `~`",
    "-tensor(3).bool()": "inverted with `~`",
    "tensor(3, 3).bool() @ tensor(3, 3).bool()": "keep.float()",
    "tensor(3).long().softmax(0)": "numbers with a fraction",
    "tensor(3).long().mean()": "numbers with a fraction",
    "range(tensor(3))": "One number is wanted there",
    "tensor(3).item()": "One number is wanted there",
    "torch.stack([tensor(2), tensor(3)])": "tensors of one shape",
    "torch.arange(tensor(3))": "One number is wanted there",
    "torch.finfo(tensor(3)).min": "scores.dtype, not scores",
    "tensor(3).half().fill_(-1e9)": "too large for the dtype",
    "tensor(3).sum().backward()": "requires_grad_()",
    "tensor(3).requires_grad_().numpy()": "stay in torch",
    "tensor(3).requires_grad_().add_(1)": "Write it without.",
    "tensor(1).expand(3).add_(1)": "clone it first",
    "tensor(3).long().mul_(0.5)": "Make a new one.",
    "tensor(3) + range(3)": "torch.arange, not range?",
    "tensor(3).nothing": "misspelled",
    "nowhere": "misspelled",
    "1 / 0": "is 0 here?",
    "torch.zeros((3,), torch.float32)": "Compare the arguments",
    "tensor(3).softmax()": "Compare the arguments",
    "tensor(8).split_with_sizes([1, 2])": "the length is the difference",
    "{}['a']": "line by line",
}


@pytest.mark.parametrize("expression", ERRORS)
@pytest.mark.parametrize("name", ["causal_with_cache", "has_leak"])
def test_an_error_of_the_answer_is_said_with_its_likely_mistake(name, expression, capsys):
    def answer(*inputs):
        return eval(expression, {"torch": torch, "tensor": tensor})

    printed = verdict(name, answer, capsys)
    first, hint = printed.removeprefix("Not yet: ").splitlines()
    assert first.startswith("your function raised ")
    assert "(inputs " in first
    assert ERRORS[expression] in hint
    assert (hint == feedback.ELSE) == (expression == "{}['a']")


def test_other_inputs_than_an_exercise_has_are_an_error_with_words(capsys):
    for name, right in RIGHT.items():
        assert "Compare the arguments" in verdict(name, lambda: right, capsys)  # noqa: B023


# --- for those who grade -----------------------------------------------------------------------------


def raised(name, answer, **more):
    with pytest.raises(checks.NotSolved) as caught:
        getattr(checks, name)(answer, strict=True, **more)
    return str(caught.value)


@pytest.mark.parametrize("name", RIGHT)
def test_a_strict_check_raises_what_another_one_prints(name, capsys):
    assert getattr(checks, name)(RIGHT[name], strict=True) is None, "a value would be taken for points"
    assert capsys.readouterr().out.startswith("Right: ")

    def wrong(*inputs):
        return "something else"

    def later(*inputs):  # what nbgrader puts where a solution was
        raise NotImplementedError()

    for answer in (wrong, later, ...):
        words = raised(name, answer)
        assert capsys.readouterr() == ("", "")
        assert words + "\n" == verdict(name, answer, capsys)


def test_what_a_strict_check_raises_is_shown_without_a_traceback():
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.utils.io import capture_output

    shell = InteractiveShell()
    shell.user_ns["checks"] = checks
    with capture_output() as shown:
        shell.run_cell("checks.reach(..., strict=True)")
    assert shown.stdout == checks.NOT_TRIED + "\n"


def test_a_warning_costs_a_right_answer_no_points(capsys):
    """nbgrader gives none where a graded cell writes to stderr."""

    def warns(tokens, dim, wide):
        print("nearly there", file=sys.stderr)
        return RIGHT["break_even"](tokens, dim, wide)

    checks.break_even(warns, strict=True)
    printed = capsys.readouterr()
    assert printed.err == ""
    assert printed.out.endswith("packed row. Packing trades pads for pairs.\n")
    checks.break_even(warns)
    assert capsys.readouterr().err.startswith("nearly there"), "whoever learns sees it as usual"


# --- the drawing -------------------------------------------------------------------------------------


@pytest.fixture
def lab():
    return widgets.MaskLab(torch.zeros(8, 8))


def say(lab, capsys):
    checks.left_to_right(lab, real=6, prompt=3)
    return capsys.readouterr().out


WANTED = masks.prefix(8, 3) & (torch.arange(8) < 6)


def test_G_the_drawing_is_judged_by_what_the_map_shows(lab, capsys):
    lab.keep = WANTED
    assert say(lab, capsys).startswith("Right: ")
    lab.flipped = True
    assert say(lab, capsys).startswith("Not yet: *Flip polarity* is on, so that the map shows the opposite")
    lab.keep = ~WANTED
    assert say(lab, capsys).startswith("Right: "), "flipped, the map shows the wanted one"
    lab.flipped = False
    assert say(lab, capsys).startswith("Not yet: you hid what should be visible")


def test_G_no_mask_of_the_menu_is_the_drawing(lab, capsys):
    assert "checks.left_to_right(lab, real=6, prompt=3)" in (source.files()[0]).read_text()
    for name, row in masks.PRESETS.items():
        values = [range(parameter.least, 9) for parameter in row.parameters]
        if name == "documents":
            values = [[[n, 8 - n] for n in range(9)]]
        for value in values[0] if values else [None]:
            lab.keep = masks.preset(name, 8, 8, **({row.parameters[0].name: value} if values else {}))
            for lab.flipped in (False, True):
                assert not say(lab, capsys).startswith("Right: "), (name, value)


def as_code(keep, flipped=False, api="sdpa"):
    """What the widget shows for a mask that was drawn."""
    code = """(api, keep, flipped, size) => module.toCode(
        api, Uint8Array.from(keep), "custom", {}, size, size, { flipped, fill: "-inf", dtype: "float32" })"""
    return node.evaluate("as_code.js", code, api, keep.flatten().int().tolist(), flipped, len(keep))


PASTED = {
    "right": (lambda: as_code(WANTED), "Right: 28 of 64 cells hidden"),
    "right, for MultiheadAttention": (lambda: as_code(WANTED, api="mha"), "Right: "),
    "right, for Hugging Face": (lambda: as_code(WANTED, api="hf"), "Right: "),
    "right, for FlexAttention": (lambda: as_code(WANTED, api="flex"), "Right: "),
    "flipped": (lambda: as_code(~WANTED, flipped=True), "Right: "),
    "only the mask": (lambda: as_code(WANTED).partition("output")[0], "Right: "),
    "a rule": (lambda: "keep = masks.prefix(8, 3) & (torch.arange(8) < 6)", "Right: "),
    "upside down": (lambda: as_code(~WANTED), "Not yet: you hid what should be visible"),
    "one row": (
        lambda: as_code(WANTED.index_fill(0, torch.tensor(0), True)),
        "Not yet: 5 cells differ. The first: query 0",
    ),
    "another size": (lambda: as_code(WANTED[:4, :4]), "Not yet: wanted a MaskLab of 8 queries and 8 keys; what you"),
    "untouched": (
        lambda: "\n# YOUR CODE HERE\nraise NotImplementedError()\n",
        "Not tried yet. Draw in the widget, press",
    ),
    "empty": (lambda: "", "Not tried yet. Draw in the widget"),
    "nothing hidden": (lambda: as_code(torch.ones(8, 8)), "Not tried yet. Click cells"),
    "half a paste": (lambda: as_code(WANTED)[:200], "Not yet: what you pasted raised SyntaxError"),
    "a misspelling": (lambda: "keep = masc.causal(8)", "Not yet: what you pasted raised NameError"),
    "numbers": (lambda: "keep = torch.ones(8, 8)", "Not yet: keep should be a bool tensor"),
}


@pytest.mark.parametrize("case", PASTED)
def test_what_as_code_gives_is_graded_without_a_browser(case, lab, capsys):
    write, says = PASTED[case]
    code = write()
    lab.keep = WANTED  # drawn, but not pasted: graders would not see it
    checks.left_to_right(lab, real=6, prompt=3, code=code)
    assert capsys.readouterr().out.startswith(says)
    if not says.startswith("Right"):
        assert raised("left_to_right", lab, real=6, prompt=3, code=code).startswith(says)


# --- 09 asserts times --------------------------------------------------------------------------------

CLOCKS = {"process_time", "perf_counter", "perf_counter_ns", "process_time_ns", "monotonic", "timeit", "time"}


def names_in(node):
    return {child.id for child in ast.walk(node) if isinstance(child, ast.Name)} | {
        child.attr for child in ast.walk(node) if isinstance(child, ast.Attribute) if child.attr in CLOCKS - {"time"}
    }


def timed_assertions(code):
    """Every assertion about something that was made of a clock's times, as text."""
    timed, flagged = set(CLOCKS), []

    def assign(target, value):
        container = target
        while isinstance(container, ast.Subscript | ast.Attribute):
            container = container.value
        names = names_in(container)
        if value & timed:
            timed.update(names)
        elif isinstance(target, ast.Name):
            timed.difference_update(names)

    def visit(node):
        if isinstance(node, ast.Assert) and names_in(node) & timed:
            flagged.append(ast.unparse(node))
        elif isinstance(node, ast.FunctionDef) and names_in(node) & timed & CLOCKS:
            timed.add(node.name)
        elif isinstance(node, ast.Assign | ast.AugAssign):
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                assign(target, names_in(node.value))
        elif isinstance(node, ast.For):
            pairs = isinstance(node.target, ast.Tuple) and ast.unparse(node.iter).endswith(".items()")
            assign(node.target.elts[1] if pairs else node.target, names_in(node.iter))
        if not isinstance(node, ast.FunctionDef):
            for child in ast.iter_child_nodes(node):
                visit(child)

    visit(ast.parse(code))
    return flagged


def test_an_assertion_about_time_is_recognised():
    code = (
        "def race(run):\n    start = process_time()\n    run()\n    return process_time() - start\n"
        "found = {}\nfor name in ways:\n    found[name] = race(ways[name])\n"
        "for name, seconds in found.items():\n    assert name\n    assert seconds < 1\n"
        "assert found['a'] < found['b']\nfound = 3\nassert found == 3"
    )
    assert timed_assertions(code) == ["assert seconds < 1", "assert found['a'] < found['b']"]


@pytest.mark.parametrize("path", source.files(), ids=lambda path: path.stem)
def test_G_no_lesson_asserts_times(path):
    """A busy machine may be slow, and may not stop a lesson."""
    (_, lesson), *_ = source.generate(path)
    cells = [cell.source for cell in lesson.cells if cell.cell_type == "code"]
    assert timed_assertions("\n".join(cells)) == []
