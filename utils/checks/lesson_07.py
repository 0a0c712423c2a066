"""Checks of lesson 07: each sentence by itself, its positions, and the additive form of any keep."""

import torch
from torch import Tensor

from .. import masks
from .feedback import Attempt, Mistakes, exercise, fault, wrong_shape


@exercise(right="two sentences or three, pads on either side: each token sees its own sentence and no pad.")
def own_sentence(yours: Attempt) -> Mistakes:
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
    keep = yours(input_ids, attention_mask, sep, wanted="a bool tensor of shape (3, 1, 7, 7)")
    yield yours.changed(), "one of the inputs was changed, and the model still needs it. Work on a new tensor."
    each = "One number for each token says nothing about pairs: compare each with each."
    yield wrong_shape(keep, (3, 1, 7, 7), {(3, 7, 7): "A dimension for the heads is missing: [:, None].", 2: each})
    yield keep.dtype != torch.bool, f"your result is {keep.dtype}; keep is bool."
    no_pads = masks.padding(attention_mask).expand_as(keep)
    own, late = masks.documents(number), masks.documents(number + (input_ids == sep))
    first_two, right = masks.documents(number.clamp(max=1)) & no_pads, own & no_pads
    real = no_pads.mT  # what pads see does not matter

    def sees(wrong: Tensor) -> bool:
        return torch.equal(keep & real, wrong & real)

    yield sees(torch.ones_like(keep)), "nothing is hidden."
    yield sees(no_pads), "only the pads are hidden. Sentences still see each other."
    yield sees(~right), "the polarity is flipped: keep is True where a query may look."
    yield sees(own), "pads are visible to the sentence beside them. Hide them as keys: [:, None, :]."
    yield sees(late), "a [SEP] sees the next sentence. It ends its own: count those before a token. And hide the pads."
    yield sees(late & no_pads), "a [SEP] sees the sentence after it. It ends its own: count those before a token only."
    yield sees(first_two), "where there are three sentences, the last two see each other."
    yield sees(right.tril()), "later tokens of the own sentence are hidden. BERT looks to both sides."
    for row, _, q, k in ((keep != right) & real).nonzero().tolist():
        yield True, f"row {row}, query {q} and key {k}: the query {fault(keep[row, 0, q, k])}."


@exercise(right="each sentence begins at 0, and its separator is its last place.")
def own_positions(yours: Attempt) -> Mistakes:
    """Says whether the positions begin again with each sentence.

    Args:
        yours: takes ``input_ids``, (batch, seq) int64, and ``sep_id``, the token that ends a sentence; returns (batch,
            seq) int64, the place of each token in its own sentence.

    References:
        Lesson 07.
    """
    cls, sep = 101, 102
    input_ids = torch.tensor([[cls, 7, sep, 8, 9, 8, sep], [cls, 5, sep, 7, sep, sep, 3]])
    wanted = torch.tensor([[0, 1, 2, 0, 1, 2, 3], [0, 1, 2, 0, 1, 0, 0]])
    positions = yours(input_ids, sep, wanted="a tensor of shape (2, 7), one place per token")
    yield yours.changed(), "input_ids itself was changed, and the model still needs it."
    each = "That is one number for each pair of tokens. Count them along the last dimension."
    yield wrong_shape(positions, (2, 7), {(2, 7, 7): each}, about=", one place per token")
    numbers = f"your places are {positions.dtype}; the model looks them up in a table, so they must be int64."
    yield positions.dtype != torch.long, numbers
    is_sep = (input_ids == sep).long()
    number = is_sep.cumsum(1) - is_sep
    yield torch.arange(7).expand(2, 7), "these places count on through all sentences. Each begins again at 0."
    yield number, "this says which sentence a token is in. Wanted its place there."
    yield wanted + 1, "one too high: the first place is 0."
    yield (
        _places(is_sep.cumsum(1)),
        "a [SEP] begins the next sentence here. It ends its own: count those before a token.",
    )
    yield _places(number.clamp(max=1)), "right for two sentences. From the third one on, the places go on counting."
    for n, row in enumerate(positions.tolist()):
        ids = input_ids[n].tolist()
        yield row != wanted[n].tolist(), f"row {n}, {ids}: got {row}, wanted {wanted[n].tolist()}."


def _places(number: Tensor) -> Tensor:
    """The place of each token among those with its number."""
    return masks.documents(number)[:, 0].tril(-1).sum(dim=-1)


@exercise(right="two, three or four dimensions, and numbers that eager adds and SDPA adds too.")
def to_4d(yours: Attempt) -> Mistakes:
    """Says whether a keep becomes an additive mask of four dimensions.

    Args:
        yours: takes ``keep``, bool, True = may attend, of shape (q_len, k_len), (batch, q_len, k_len) or
            (batch, heads, q_len, k_len), and ``dtype``; returns (batch or 1, heads or 1, q_len, k_len) of that dtype,
            0 where visible and its lowest number where not.

    References:
        Lesson 07.
    """
    generator = torch.Generator().manual_seed(0)
    four_d = torch.rand(3, 3, 4, 5, generator=generator) > 0.4  # as many heads as sequences, so that a wrong None shows
    for keep, wanted in ((four_d[0, 0], four_d[:1, :1]), (four_d[:, 0], four_d[:, :1]), (four_d, four_d)):
        case, shape = f"for a keep of shape {tuple(keep.shape)}", tuple(wanted.shape)
        as_heads = "As it is, the sequences are read as heads: the missing dimension comes after the batch."
        hints = {(1, *keep.shape): as_heads} if keep.ndim == 3 else {}
        for dtype in (torch.float16, torch.float32):
            mask = yours(keep, dtype, wanted=f"a tensor of shape {shape}")
            yield yours.changed(), "keep itself was changed. Use masked_fill, not masked_fill_."
            boolean = (
                "you returned a bool mask: right under sdpa, and under eager it hides nothing. Wanted numbers to add."
            )
            yield mask.dtype == torch.bool, boolean
            integers = f"your mask is {mask.dtype}, which leaks under eager and is refused under sdpa."
            yield not mask.is_floating_point(), f"{integers} Wanted numbers to add."
            other = f"your mask is {mask.dtype}, wanted {dtype}: pass the dtype on to torch.zeros, and to finfo."
            yield mask.dtype != dtype, other
            yield wrong_shape(mask, shape, hints, case=case)
            yield mask.isnan().any(), "there is NaN in your mask: 0 × ∞. Fill with masked_fill, do not multiply."
            ones = "0 and 1 as floats are added to the scores and hide nothing, under either implementation."
            yield torch.equal(mask, wanted.to(dtype)), ones
            polarity = "the polarity is flipped: your mask hides what keep lets through. Fill where ~keep."
            yield torch.equal(mask < 0, wanted), polarity
            places = f"{case} there are other numbers than 0 where keep is True, or 0 where it is False."
            yield not torch.equal(mask < 0, ~wanted) or (mask > 0).any(), places
            infinite = "the right places, but with -inf: a query that sees nothing would be NaN under eager."
            yield mask.isneginf().any(), f"{infinite} Wanted finfo.min."
            filled, lowest = f"the right places, but filled with {mask.min().item():g}", torch.finfo(dtype).min
            yield not (mask[~wanted] == lowest).all(), f"{filled}; the lowest of {dtype} is {lowest:g}."
