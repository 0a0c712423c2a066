"""Checks of lesson 07: each sentence by itself, and the additive form of any keep."""

from collections.abc import Callable

import torch
from torch import Tensor

from .. import masks
from .feedback import answer, no, refuse, require_shape, seen, spoken, yes


@spoken
def own_sentence(yours: Callable[[Tensor, Tensor, int], Tensor]) -> None:
    """Says whether each token sees its own sentence and no pad.

    Args:
        yours: takes ``input_ids``, (batch, seq) int64, ``attention_mask``, (batch, seq) int64, 1 = real, and
            ``sep_id``, the token that ends a sentence; returns (batch, 1, seq, seq) bool, True = may attend. What pads
            see does not matter.

    References:
        Lesson 07.
    """
    cls, sep = 101, 102
    input_ids = torch.tensor([[cls, 7, sep, 8, 9, 8, sep], [0, 0, cls, 5, sep, 9, sep], [cls, 5, sep, 7, sep, sep, 0]])
    attention_mask = torch.tensor([[1, 1, 1, 1, 1, 1, 1], [0, 0, 1, 1, 1, 1, 1], [1, 1, 1, 1, 1, 1, 0]])
    number = torch.tensor([[0, 0, 0, 1, 1, 1, 1], [0, 0, 0, 0, 0, 1, 1], [0, 0, 0, 1, 1, 2, 3]])
    changed = "one of the inputs was changed, and the model still needs it. Work on a new tensor."
    wanted = "a bool tensor of shape (3, 1, 7, 7)"
    keep = answer(yours, input_ids, attention_mask, sep, wanted=wanted, changed=changed)
    each = "One number for each token says nothing about pairs: compare each with each."
    require_shape(keep, (3, 1, 7, 7), {(3, 7, 7): "A dimension for the heads is missing: [:, None].", 2: each})
    if keep.dtype != torch.bool:
        no(f"your result is {keep.dtype}; keep is bool.")
    no_pads = masks.padding(attention_mask).expand_as(keep)
    own, late = masks.documents(number), masks.documents(number + (input_ids == sep))
    last_two = masks.documents(number.clamp(max=1)) & no_pads
    right, real = own & no_pads, no_pads.mT

    def same(a: Tensor, b: Tensor) -> bool:
        return not ((a != b) & real).any()

    refuse(
        keep,
        (torch.ones_like(keep), "nothing is hidden."),
        (no_pads, "only the pads are hidden. Sentences still see each other."),
        (~right, "the polarity is flipped: keep is True where a query may look."),
        (own, "pads are visible to the sentence beside them. Hide them as keys: [:, None, :]."),
        (late, "a [SEP] sees the next sentence. It ends its own: count those before a token. And hide the pads."),
        (late & no_pads, "a [SEP] sees the sentence after it. It ends its own: count those before a token only."),
        (last_two, "where there are three sentences, the last two see each other."),
        (right.tril(), "later tokens of the own sentence are hidden. BERT looks to both sides."),
        same=same,
    )
    if not same(keep, right):
        row, _, q, k = ((keep != right) & real).nonzero()[0].tolist()
        no(f"row {row}, query {q} and key {k}: the query {seen(keep[row, 0, q, k])}.")
    yes("two sentences or three, pads on either side: each token sees its own sentence and no pad.")


@spoken
def to_4d(yours: Callable[[Tensor, torch.dtype], Tensor]) -> None:
    """Says whether a keep becomes an additive mask of four dimensions.

    Args:
        yours: takes ``keep``, bool, True = may attend, of shape (q_len, k_len), (batch, q_len, k_len) or
            (batch, heads, q_len, k_len), and ``dtype``; returns (batch or 1, heads or 1, q_len, k_len) of that dtype,
            0 where visible and its lowest number where not.

    References:
        Lesson 07.
    """
    generator = torch.Generator().manual_seed(0)
    whole = torch.rand(3, 3, 4, 5, generator=generator) > 0.4  # as many heads as sequences, so that a wrong None shows
    changed = "keep itself was changed. Use masked_fill, not masked_fill_."
    for keep, wanted in ((whole[0, 0], whole[:1, :1]), (whole[:, 0], whole[:, :1]), (whole, whole)):
        for dtype in (torch.float16, torch.float32):
            shape = f"a tensor of shape {tuple(wanted.shape)}"
            mask = answer(yours, keep, dtype, wanted=shape, changed=changed)
            _require_additive(mask, keep, wanted, dtype)
    yes("two, three or four dimensions, and numbers that eager adds and SDPA adds too.")


def _require_additive(mask: Tensor, keep: Tensor, wanted: Tensor, dtype: torch.dtype) -> None:
    """Ends the check if the mask is not the additive form of ``wanted``, which is ``keep`` with four dimensions."""
    case, lowest = f"for a keep of shape {tuple(keep.shape)}", torch.finfo(dtype).min
    if mask.dtype == torch.bool:
        no("you returned a bool mask: right under sdpa, and under eager it hides nothing. Wanted numbers to add.")
    if not mask.is_floating_point():
        no(f"your mask is {mask.dtype}, which leaks under eager and is refused under sdpa. Wanted numbers to add.")
    if mask.dtype != dtype:
        no(f"your mask is {mask.dtype}, wanted {dtype}: pass the dtype on to torch.zeros, and to finfo.")
    heads = "As it is, the sequences are read as heads: the missing dimension comes after the batch."
    require_shape(mask, tuple(wanted.shape), {(1, *keep.shape): heads} if keep.ndim == 3 else None, case=case)
    if mask.isnan().any():
        no("there is NaN in your mask: 0 × ∞. Fill with masked_fill, do not multiply.")
    if torch.equal(mask, wanted.to(dtype)):
        no("0 and 1 as floats are added to the scores and hide nothing, under either implementation.")
    if torch.equal(mask < 0, wanted):
        no("the polarity is flipped: your mask hides what keep lets through. Fill where ~keep.")
    if not torch.equal(mask < 0, ~wanted) or (mask > 0).any():
        no(f"{case} there are other numbers than 0 where keep is True, or 0 where it is False.")
    if mask.isneginf().any():
        no("the right places, but with -inf: a query that sees nothing would be NaN under eager. Wanted finfo.min.")
    if not (mask[~wanted] == lowest).all():
        no(f"the right places, but filled with {mask.min().item():g}; the lowest of {dtype} is {lowest:g}.")
