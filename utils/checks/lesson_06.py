"""Checks of lesson 06: the two masks of MultiheadAttention, there and back."""

import torch

from .feedback import Attempt, Mistakes, exercise, wrong_shape


@exercise(right="all heads of the first text, then all of the second, and True where a key is ignored.")
def attn_mask_3d(yours: Attempt) -> Mistakes:
    """Says whether a keep becomes the attn_mask of MultiheadAttention.

    Args:
        yours: takes ``keep``, (batch, 1, q_len, k_len) bool, True = may attend, and ``num_heads``; returns
            (batch * heads, q_len, k_len) bool, True = ignore.

    References:
        Lesson 06.
    """
    visible = [[[1, 0, 0, 0], [1, 1, 0, 1], [1, 1, 1, 1]], [[1, 1, 0, 0], [0, 0, 1, 0], [0, 1, 1, 0]]]
    kept = torch.tensor(visible).bool()
    missing = "The heads are missing: each text needs its mask once for each head."
    for heads in (3, 2):
        case, shape = f"for a batch of 2, {heads} heads, 3 queries and 4 keys", (2 * heads, 3, 4)
        mask = yours(kept[:, None], heads, wanted=f"a bool tensor of shape {shape}", case=case)
        yield yours.changed(), "keep itself was changed, and whoever called you still needs it."
        hints = {
            (2, heads, 3, 4): "The module does not read four dimensions: flatten(0, 1) joins batch and heads.",
            (2, 3, 4): missing,
            (2, 1, 3, 4): missing,
            (2 * heads, 1, 3, 4): "The dimension of size 1 that stood for the heads is still there.",
            (2 * heads, 4, 3): "Rows are queries, columns are keys.",
        }
        yield wrong_shape(mask, shape, hints, case=case)
        positive = mask.is_floating_point() and not (mask < 0).any()
        yield positive, f"your result is {mask.dtype} without negative numbers. It is added, and hides nothing."
        other = f"your result is {mask.dtype}; wanted bool, True = ignore. `~` needs a bool tensor, too."
        yield mask.dtype != torch.bool, other
        order = "the texts alternate, so heads get the masks of other texts. All heads of text 0 come first: "
        yield ~kept.repeat(heads, 1, 1), f"{order}repeat_interleave."
        polarity = "the order is right, the polarity is not: MultiheadAttention ignores where True."
        yield kept.repeat_interleave(heads, 0), polarity
        yield kept.repeat(heads, 1, 1), "two things: True must mean ignore, and all heads of text 0 must come first."
        for n, ignored in enumerate(mask):
            wrong = not torch.equal(ignored, ~kept[n // heads])
            yield wrong, f"{case} mask {n} is wrong. It is for text {n // heads}, head {n % heads}."


@exercise(right="hidden if either mask ignores it, turned round, and in a shape that SDPA cannot misread.")
def one_keep(yours: Attempt) -> Mistakes:
    """Says whether the two masks of MultiheadAttention become one keep for SDPA.

    Args:
        yours: takes ``attn_mask``, (q_len, k_len) bool, and ``key_padding_mask``, (batch, k_len) bool, both True =
            ignore; returns (batch, 1, q_len, k_len) bool, True = may attend.

    References:
        Lesson 06.
    """
    pairs = torch.tensor([[0, 1, 1, 0], [0, 0, 1, 0], [1, 0, 0, 0]]).bool()
    padding = torch.tensor([[0, 0, 0, 0], [0, 0, 0, 1], [1, 1, 0, 0]]).bool()
    keep = yours(pairs, padding, wanted="a bool tensor of shape (3, 1, 3, 4)")
    yield yours.changed(), "one of the inputs was changed. Use a | b, not a |= b."
    hints = {
        (3, 4): "As many texts as queries here: without None between, text n was read as query n.",
        (3, 3, 4): "Without a dimension for the heads, SDPA reads the texts as heads: one more None.",
        (3, 1, 1, 4): "That is the padding alone: attn_mask is not in it.",
    }
    yield wrong_shape(keep, (3, 1, 3, 4), hints)
    other = f"your result is {keep.dtype}; wanted bool, True = keep. Note that `~` needs a bool tensor too."
    yield keep.dtype != torch.bool, other
    pads = padding[:, None, None, :]
    wanted = ~(pairs | pads)
    yield ~wanted, "this is what to ignore, and it is complete. SDPA keeps where True, so turn it round."
    yield ~(pairs & pads), "you hide a pair only if both masks ignore it. Either is enough: use | before the ~."
    yield pairs & pads, "a pair is kept only if neither mask ignores it: ~a & ~b, which is ~(a | b)."
    yield ~pairs & pads, "the padding is upside down: in key_padding_mask, too, True means ignore."
    yield ~pairs | pads, "the padding is not turned round: `~` binds tighter than `|`. Write ~(a | b)."
    yield pairs & ~pads, "attn_mask is upside down: here, too, True means ignore."
    yield pairs | ~pads, "attn_mask is not turned round: each of the two means ignore."
    yield ~pairs.expand_as(wanted), "this is attn_mask alone: the padding is not in it."
    yield ~pads.expand_as(wanted), "this is the padding alone: attn_mask is not in it."
    for text, _, query, key in (keep != wanted).nonzero().tolist():
        what = "visible" if keep[text, 0, query, key] else "hidden"
        yield True, f"in text {text}, key {key} is {what} and should not be for query {query}."


@exercise(right="two dimensions or three, bool or float: what hides in any of them is False in keep.")
def read_attn_mask(yours: Attempt) -> Mistakes:
    """Says whether an attn_mask of MultiheadAttention becomes a keep.

    Args:
        yours: takes ``attn_mask``, (q_len, k_len) or (batch * heads, q_len, k_len), bool, True = ignore, or float, 0 =
            keep and -inf = ignore, and ``num_heads``; returns (batch or 1, heads or 1, q_len, k_len) bool, True = may
            attend.

    References:
        Lesson 06.
    """
    generator = torch.Generator().manual_seed(0)
    keep = torch.rand(2, 3, 4, 5, generator=generator) > 0.4
    for wanted in (keep[:1, :1], keep):
        ignore = ~(wanted[0, 0] if len(wanted) == 1 else wanted.flatten(0, 1))
        floats = torch.zeros(ignore.shape).masked_fill(ignore, -torch.inf)
        for attn_mask, form in ((ignore, "bool"), (floats, "float")):
            case, shape = f"for a {form} attn_mask of shape {tuple(ignore.shape)}", tuple(wanted.shape)
            read = yours(attn_mask, 3, wanted=f"a bool tensor of shape {shape}", case=case)
            yield yours.changed(), "attn_mask itself was changed, and the module still needs it."
            hints: dict = {
                2: "Two None in front stand for the batch and the heads.",
                3: "unflatten(0, (-1, num_heads)) splits.",
            }
            hints |= {(3, 2, 4, 5): "The first dimension is the batch: all heads of text 0 come first."}
            yield wrong_shape(read, shape, hints, case=case)
            yield read.dtype != torch.bool, f"{case} your result is {read.dtype}; keep is bool."
            yield ~wanted, f"{case} the polarity is not turned round: MultiheadAttention ignores where True, or -inf."
            yield read.all(), f"{case} nothing is hidden. In a float mask 0 keeps, and -inf hides."
            swapped = wanted.flatten(0, 1).unflatten(0, (shape[1], shape[0])).transpose(0, 1)
            order = f"{case} the texts and the heads are mixed up: all heads of text 0 come first."
            yield torch.equal(read, swapped) and not torch.equal(read, wanted), order
            for text, head, query, key in (read != wanted).nonzero().tolist()[:1]:
                what = "visible" if read[text, head, query, key] else "hidden"
                yield (
                    True,
                    f"{case}: in text {text}, head {head}, key {key} is {what} for query {query}, and should not.",
                )
