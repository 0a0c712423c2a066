"""Checks of lessons 06 and 07: the forms of a mask that knows pairs."""

from collections.abc import Callable

import torch
from torch import Tensor

from .. import masks
from .feedback import call, kind, no, yes


def attn_mask_3d(yours: Callable[[Tensor, int], Tensor]) -> None:
    """Lesson 06: ``yours(keep, num_heads)`` makes the (batch * heads, q_len, k_len) attn_mask of MultiheadAttention."""
    visible = [[[1, 0, 0, 0], [1, 1, 0, 1], [1, 1, 1, 1]], [[1, 1, 0, 0], [0, 0, 1, 0], [0, 1, 1, 0]]]
    keep = torch.tensor(visible).bool()[:, None]
    for heads in (3, 2):
        given = keep.clone()
        got = call(yours, given, heads)
        if got is None:
            return
        case = f"for a batch of 2, {heads} heads, 3 queries and 4 keys"
        if not isinstance(got, Tensor):
            return no(f"{case} you returned {kind(got)}; wanted a bool tensor of shape ({2 * heads}, 3, 4).")
        if not torch.equal(given, keep):
            return no("keep itself was changed, and whoever called you still needs it.")
        if got.shape != (2 * heads, 3, 4):
            return no(f"{case} your result has the shape {tuple(got.shape)}; {_shape_of_3d(got, heads)}")
        if got.dtype != torch.bool:
            if got.is_floating_point() and not bool((got < 0).any()):
                return no(f"your result is {got.dtype} without negative numbers. It is added, and hides nothing.")
            return no(f"your result is {got.dtype}; wanted bool, True = ignore. `~` needs a bool tensor, too.")
        ignore = ~keep[:, 0]
        if torch.equal(got, ignore.repeat_interleave(heads, 0)):
            continue
        if torch.equal(got, ignore.repeat(heads, 1, 1)):
            return no(
                "the texts alternate, so heads get the masks of other texts. All heads of text 0 come first: "
                "repeat_interleave."
            )
        if torch.equal(got, keep[:, 0].repeat_interleave(heads, 0)):
            return no("the order is right, the polarity is not: MultiheadAttention ignores where True.")
        if torch.equal(got, keep[:, 0].repeat(heads, 1, 1)):
            return no("two things: True must mean ignore, and all heads of text 0 must come first.")
        wrong = (got != ignore.repeat_interleave(heads, 0)).flatten(1).any(dim=1).nonzero()[0].item()
        return no(f"{case} mask {wrong} is wrong. It is for text {wrong // heads}, head {wrong % heads}.")
    yes("all heads of the first text, then all of the second, and True where a key is ignored.")


def _shape_of_3d(got: Tensor, heads: int) -> str:
    """What an attn_mask of the wrong shape lacks, after "your result has the shape …; "."""
    wanted = f"wanted ({2 * heads}, 3, 4)."
    if got.shape == (2, heads, 3, 4):
        return f"{wanted} The module does not read four dimensions: flatten(0, 1) joins batch and heads."
    if got.shape == (2, 3, 4) or got.shape == (2, 1, 3, 4):
        return f"{wanted} The heads are missing: each text needs its mask once for each head."
    if got.shape == (2 * heads, 1, 3, 4):
        return f"{wanted} The dimension of size 1 that stood for the heads is still there."
    if got.shape == (2 * heads, 4, 3):
        return f"{wanted} Rows are queries, columns are keys."
    return wanted


def one_keep(yours: Callable[[Tensor, Tensor], Tensor]) -> None:
    """Lesson 06: ``yours(attn_mask, key_padding_mask)``, both bool and True = ignore, makes one keep for SDPA."""
    attn_mask = torch.tensor([[0, 1, 1, 0], [0, 0, 1, 0], [1, 0, 0, 0]]).bool()
    padding = torch.tensor([[0, 0, 0, 0], [0, 0, 0, 1], [1, 1, 0, 0]]).bool()
    middle = padding[:, None, None, :]
    wanted = ~(attn_mask | middle)
    given = attn_mask.clone(), padding.clone()
    got = call(yours, *given)
    if got is None:
        return
    if not isinstance(got, Tensor):
        return no(f"you returned {kind(got)}; wanted a bool tensor of shape (3, 1, 3, 4).")
    if not all(torch.equal(a, b) for a, b in zip(given, (attn_mask, padding), strict=True)):
        return no("one of the inputs was changed. Use a | b, not a |= b.")
    if got.shape != wanted.shape:
        return no(f"your result has the shape {tuple(got.shape)}; wanted (3, 1, 3, 4).{_shape_of_keep(got)}")
    if got.dtype != torch.bool:
        return no(f"your result is {got.dtype}; wanted bool, True = keep. Note that `~` needs a bool tensor too.")
    answers = (
        (~wanted, "this is what to ignore, and it is complete. SDPA keeps where True, so turn it round."),
        (~(attn_mask & middle), "you hide a pair only if both masks ignore it. Either is enough: use | before the ~."),
        (attn_mask & middle, "a pair is kept only if neither mask ignores it: ~a & ~b, which is ~(a | b)."),
        (~attn_mask & middle, "the padding is upside down: in key_padding_mask, too, True means ignore."),
        (~attn_mask | middle, "the padding is not turned round: `~` binds tighter than `|`. Write ~(a | b)."),
        (attn_mask & ~middle, "attn_mask is upside down: here, too, True means ignore."),
        (attn_mask | ~middle, "attn_mask is not turned round: each of the two means ignore."),
        (~attn_mask.expand_as(wanted), "this is attn_mask alone: the padding is not in it."),
        (~middle.expand_as(wanted), "this is the padding alone: attn_mask is not in it."),
    )
    for wrong, why in answers:
        if torch.equal(got, wrong):
            return no(why)
    if not torch.equal(got, wanted):
        text, _, query, key = (got != wanted).nonzero()[0].tolist()
        what = "is visible and should not be" if got[text, 0, query, key] else "is hidden and should not be"
        return no(f"in text {text}, key {key} {what} for query {query}.")
    yes("hidden if either mask ignores it, turned round, and in a shape that SDPA cannot misread.")


def _shape_of_keep(got: Tensor) -> str:
    """What a keep of the wrong shape lacks."""
    if got.shape == (3, 4):
        return " As many texts as queries here: without None between, text n was read as query n."
    if got.shape == (3, 3, 4):
        return " Without a dimension for the heads, SDPA reads the texts as heads: one more None."
    if got.shape == (3, 1, 1, 4):
        return " That is the padding alone: attn_mask is not in it."
    return ""


def own_sentence(yours: Callable[[Tensor, Tensor, int], Tensor]) -> None:
    """Lesson 07: ``yours(input_ids, attention_mask, sep_id)`` is a keep (batch, 1, T, T): own sentence, no pads."""
    cls, sep = 101, 102
    input_ids = torch.tensor([[cls, 7, sep, 8, 9, 8, sep], [0, 0, cls, 5, sep, 9, sep], [cls, 5, sep, 7, sep, sep, 0]])
    attention_mask = torch.tensor([[1, 1, 1, 1, 1, 1, 1], [0, 0, 1, 1, 1, 1, 1], [1, 1, 1, 1, 1, 1, 0]])
    number = torch.tensor([[0, 0, 0, 1, 1, 1, 1], [0, 0, 0, 0, 0, 1, 1], [0, 0, 0, 1, 1, 2, 3]])
    wanted = masks.documents(number) & masks.padding(attention_mask)
    given = input_ids.clone(), attention_mask.clone()
    got = call(yours, *given, sep)
    if got is None:
        return
    if not isinstance(got, Tensor):
        return no(f"you returned {kind(got)}; wanted a bool tensor of shape (3, 1, 7, 7).")
    if not torch.equal(given[0], input_ids) or not torch.equal(given[1], attention_mask):
        return no("one of the inputs was changed, and the model still needs it. Work on a new tensor.")
    if got.shape != (3, 1, 7, 7):
        hint = " A dimension for the heads is missing: [:, None]." if got.shape == (3, 7, 7) else ""
        hint = " One number for each token says nothing about pairs: compare each with each." if got.ndim == 2 else hint
        return no(f"your result has the shape {tuple(got.shape)}; wanted (3, 1, 7, 7).{hint}")
    if got.dtype != torch.bool:
        return no(f"your result is {got.dtype}; keep is bool.")
    real = (attention_mask == 1)[:, None, :, None].expand_as(wanted)  # what pads see does not matter
    if ((got != wanted) & real).any():
        return no(_why_not_own_sentence(got, wanted, real, number, input_ids == sep))
    yes("two sentences or three, pads on either side: each token sees its own sentence and no pad.")


def _why_not_own_sentence(got: Tensor, wanted: Tensor, real: Tensor, number: Tensor, is_sep: Tensor) -> str:
    """What a wrong ``own_sentence`` comes from; in row 1 two pads stand before the first sentence."""
    no_pads, late = real.mT, masks.documents(number + is_sep)
    mistakes = (
        (torch.ones_like(wanted), "nothing is hidden."),
        (no_pads, "only the pads are hidden. Sentences still see each other."),
        (~wanted, "the polarity is flipped: keep is True where a query may look."),
        (masks.documents(number), "pads are visible to the sentence beside them. Hide them as keys: [:, None, :]."),
        (late, "a [SEP] sees the next sentence. It ends its own: count those before a token. And hide the pads."),
        (late & no_pads, "a [SEP] sees the sentence after it. It ends its own: count those before a token only."),
        (
            masks.documents(number.clamp(max=1)) & no_pads,
            "where there are three sentences, the last two see each other.",
        ),
        (wanted.tril(), "later tokens of the own sentence are hidden. BERT looks to both sides."),
    )
    for mistake, words in mistakes:
        if not ((got != mistake) & real).any():
            return words
    row, _, q, k = ((got != wanted) & real).nonzero()[0].tolist()
    what = "may see it and should not" if got[row, 0, q, k] else "should see it and may not"
    return f"row {row}, query {q} and key {k}: the query {what}."


def to_4d(yours: Callable[[Tensor, torch.dtype], Tensor]) -> None:
    """Lesson 07: ``yours(keep, dtype)`` is the additive 4D mask of a keep of two, three or four dimensions."""
    generator = torch.Generator().manual_seed(0)
    whole = torch.rand(3, 3, 4, 5, generator=generator) > 0.4  # as many heads as sequences, so that a wrong None shows
    for keep in (whole[0, 0], whole[:, 0], whole):
        wanted = keep[:, None] if keep.ndim == 3 else keep.expand(1, 1, -1, -1) if keep.ndim == 2 else keep
        for dtype in (torch.float16, torch.float32):
            given = keep.clone()
            got = call(yours, given, dtype)
            if got is None:
                return
            if not isinstance(got, Tensor):
                return no(f"you returned {kind(got)}; wanted a tensor of shape {tuple(wanted.shape)}.")
            if not torch.equal(given, keep):
                return no("keep itself was changed. Use masked_fill, not masked_fill_.")
            if problem := _why_not_to_4d(got, keep, wanted, dtype):
                return no(problem)
    yes("two, three or four dimensions, and numbers that eager adds and SDPA adds too.")


def _why_not_to_4d(got: Tensor, keep: Tensor, wanted: Tensor, dtype: torch.dtype) -> str:
    """What is wrong with a ``to_4d``; empty if nothing is."""
    case, lowest = f"for a keep of shape {tuple(keep.shape)}", torch.finfo(dtype).min
    if got.dtype == torch.bool:
        return "you returned a bool mask: right under sdpa, and under eager it hides nothing. Wanted numbers to add."
    if not got.is_floating_point():
        return f"your mask is {got.dtype}, which leaks under eager and is refused under sdpa. Wanted numbers to add."
    if got.dtype != dtype:
        return f"your mask is {got.dtype}, wanted {dtype}: pass the dtype on to torch.zeros, and to finfo."
    if got.shape != wanted.shape:
        hint = ""
        if keep.ndim == 3 and got.shape == (1, *keep.shape):
            hint = " As it is, the sequences are read as heads: the missing dimension comes after the batch."
        return f"{case} your result has the shape {tuple(got.shape)}; wanted {tuple(wanted.shape)}.{hint}"
    if got.isnan().any():
        return "there is NaN in your mask: 0 × ∞. Fill with masked_fill, do not multiply."
    if torch.equal(got, wanted.to(dtype)):
        return "0 and 1 as floats are added to the scores and hide nothing, under either implementation."
    if torch.equal(got < 0, wanted):
        return "the polarity is flipped: your mask hides what keep lets through. Fill where ~keep."
    if not torch.equal(got < 0, ~wanted) or (got > 0).any():
        return f"{case} there are other numbers than 0 where keep is True, or 0 where it is False."
    if got.isneginf().any():
        return "the right places, but with -inf: a query that sees nothing would be NaN under eager. Wanted finfo.min."
    if not (got[~wanted] == lowest).all():
        return f"the right places, but filled with {got.min().item():g}; the lowest of {dtype} is {lowest:g}."
    return ""
