"""Checks of lesson 06: the two masks of MultiheadAttention."""

from collections.abc import Callable

import torch
from torch import Tensor

from .feedback import answer, no, refuse, require_shape, spoken, yes


@spoken
def attn_mask_3d(yours: Callable[[Tensor, int], Tensor]) -> None:
    """Says whether a keep becomes the attn_mask of MultiheadAttention.

    Args:
        yours: takes ``keep``, (batch, 1, q_len, k_len) bool, True = may attend, and ``num_heads``; returns
            (batch * heads, q_len, k_len) bool, True = ignore.

    References:
        Lesson 06.
    """
    visible = [[[1, 0, 0, 0], [1, 1, 0, 1], [1, 1, 1, 1]], [[1, 1, 0, 0], [0, 0, 1, 0], [0, 1, 1, 0]]]
    keep = torch.tensor(visible).bool()[:, None]
    missing = "The heads are missing: each text needs its mask once for each head."
    alternate = "the texts alternate, so heads get the masks of other texts. All heads of text 0 come first: "
    for heads in (3, 2):
        case, shape = f"for a batch of 2, {heads} heads, 3 queries and 4 keys", (2 * heads, 3, 4)
        changed = "keep itself was changed, and whoever called you still needs it."
        mask = answer(yours, keep, heads, wanted=f"a bool tensor of shape {shape}", changed=changed, case=case)
        hints = {
            (2, heads, 3, 4): "The module does not read four dimensions: flatten(0, 1) joins batch and heads.",
            (2, 3, 4): missing,
            (2, 1, 3, 4): missing,
            (2 * heads, 1, 3, 4): "The dimension of size 1 that stood for the heads is still there.",
            (2 * heads, 4, 3): "Rows are queries, columns are keys.",
        }
        require_shape(mask, shape, hints, case=case)
        if mask.is_floating_point() and not (mask < 0).any():
            no(f"your result is {mask.dtype} without negative numbers. It is added, and hides nothing.")
        if mask.dtype != torch.bool:
            no(f"your result is {mask.dtype}; wanted bool, True = ignore. `~` needs a bool tensor, too.")
        kept, wanted = keep[:, 0], ~keep[:, 0].repeat_interleave(heads, 0)
        refuse(
            mask,
            ((~kept).repeat(heads, 1, 1), f"{alternate}repeat_interleave."),
            (~wanted, "the order is right, the polarity is not: MultiheadAttention ignores where True."),
            (kept.repeat(heads, 1, 1), "two things: True must mean ignore, and all heads of text 0 must come first."),
        )
        for n, (head_mask, right) in enumerate(zip(mask, wanted, strict=True)):
            if not torch.equal(head_mask, right):
                no(f"{case} mask {n} is wrong. It is for text {n // heads}, head {n % heads}.")
    yes("all heads of the first text, then all of the second, and True where a key is ignored.")


@spoken
def one_keep(yours: Callable[[Tensor, Tensor], Tensor]) -> None:
    """Says whether the two masks of MultiheadAttention become one keep for SDPA.

    Args:
        yours: takes ``attn_mask``, (q_len, k_len) bool, and ``key_padding_mask``, (batch, k_len) bool, both True =
            ignore; returns (batch, 1, q_len, k_len) bool, True = may attend.

    References:
        Lesson 06.
    """
    pairs = torch.tensor([[0, 1, 1, 0], [0, 0, 1, 0], [1, 0, 0, 0]]).bool()
    padding = torch.tensor([[0, 0, 0, 0], [0, 0, 0, 1], [1, 1, 0, 0]]).bool()
    pads = padding[:, None, None, :]
    wanted = ~(pairs | pads)
    changed = "one of the inputs was changed. Use a | b, not a |= b."
    keep = answer(yours, pairs, padding, wanted="a bool tensor of shape (3, 1, 3, 4)", changed=changed)
    hints = {
        (3, 4): "As many texts as queries here: without None between, text n was read as query n.",
        (3, 3, 4): "Without a dimension for the heads, SDPA reads the texts as heads: one more None.",
        (3, 1, 1, 4): "That is the padding alone: attn_mask is not in it.",
    }
    require_shape(keep, (3, 1, 3, 4), hints)
    if keep.dtype != torch.bool:
        no(f"your result is {keep.dtype}; wanted bool, True = keep. Note that `~` needs a bool tensor too.")
    refuse(
        keep,
        (~wanted, "this is what to ignore, and it is complete. SDPA keeps where True, so turn it round."),
        (~(pairs & pads), "you hide a pair only if both masks ignore it. Either is enough: use | before the ~."),
        (pairs & pads, "a pair is kept only if neither mask ignores it: ~a & ~b, which is ~(a | b)."),
        (~pairs & pads, "the padding is upside down: in key_padding_mask, too, True means ignore."),
        (~pairs | pads, "the padding is not turned round: `~` binds tighter than `|`. Write ~(a | b)."),
        (pairs & ~pads, "attn_mask is upside down: here, too, True means ignore."),
        (pairs | ~pads, "attn_mask is not turned round: each of the two means ignore."),
        (~pairs.expand_as(wanted), "this is attn_mask alone: the padding is not in it."),
        (~pads.expand_as(wanted), "this is the padding alone: attn_mask is not in it."),
    )
    if not torch.equal(keep, wanted):
        text, _, query, key = (keep != wanted).nonzero()[0].tolist()
        what = "is visible and should not be" if keep[text, 0, query, key] else "is hidden and should not be"
        no(f"in text {text}, key {key} {what} for query {query}.")
    yes("hidden if either mask ignores it, turned round, and in a shape that SDPA cannot misread.")
