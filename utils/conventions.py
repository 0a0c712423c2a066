"""Converts masks between ``keep`` and the conventions of PyTorch and Hugging Face.

``keep`` is the one convention inside this package: a bool tensor, True = may attend, broadcastable to
(batch, heads, q_len, k_len). Rows are queries, columns are keys. Every other mask is built from it here,
at the edge, or read back into it. What cannot be read without guessing is refused.

Stated for torch 2.13, and for transformers 4.57 and 5.24. Taught in lesson 00 (the table) and 02 (padding).
"""

import warnings

import torch
from torch import Tensor

from . import _block_masks, patterns
from ._observe import PADDING, Form, Observation, additive, observe, replaced, takes_in_words
from ._transformers import require_attn_implementation, transformers_major
from ._validation import (
    HIDDEN_BELOW,
    as_4d,
    describe_tensor,
    hidden_by,
    read_zero_one,
    require_count,
    require_keep,
    require_tensor,
    weight_words,
)
from .describe import Description, describe

__all__ = [
    "Description",
    "describe",
    "fill_value",
    "from_additive",
    "from_flex",
    "from_hf",
    "from_mha",
    "from_sdpa",
    "to_additive",
    "to_flex",
    "to_hf",
    "to_mha",
    "to_sdpa",
]


def fill_value(fill, dtype: torch.dtype) -> float:
    """The number that hides a key: ``"min"`` → finfo(dtype).min, ``"-inf"`` → -inf, a float → itself.

    Args:
        fill: ``"min"``, ``"-inf"``, or a negative number.
        dtype: the float dtype of the mask that is filled.

    Returns:
        A negative float that dtype can hold.

    Raises:
        TypeError: dtype is not a float dtype, or fill is neither a name nor a number.
        ValueError: fill is NaN, not negative, an unknown name, or does not fit into dtype.

    References:
        Lesson 04, "Which number?"
        https://docs.pytorch.org/docs/2.13/type_info.html
    """
    if not (isinstance(dtype, torch.dtype) and dtype.is_floating_point):
        raise TypeError(
            f"dtype: got {dtype!r}, wanted a float dtype such as torch.float32. "
            "An additive mask is added to scores, so it has their dtype."
        )
    if dtype.itemsize == 1:
        raise TypeError(f"dtype: got {dtype!r}, wanted a float dtype of 16 bits or more. No scores are in float8.")
    if fill == "min":
        return torch.finfo(dtype).min
    if fill == "-inf":
        return -torch.inf
    if isinstance(fill, bool) or not isinstance(fill, int | float):
        error = ValueError if isinstance(fill, str) else TypeError
        raise error(f'fill: got {describe_tensor(fill)}, wanted "min", "-inf" or a negative number.')
    fill = float(fill)
    if not fill < 0:
        raise ValueError(
            f"fill: got {fill}, wanted a negative number. It is added to the scores of hidden keys; 0 hides nothing."
        )
    if -torch.inf < fill < torch.finfo(dtype).min:
        raise ValueError(
            f"fill: got {fill:g}, which does not fit into {dtype} (smallest {torch.finfo(dtype).min:g}). "
            'Use fill="min" or fill="-inf".'
        )
    return fill


# --- keep → a library ------------------------------------------------------------------------------


def to_sdpa(keep: Tensor) -> Tensor:
    """``attn_mask`` for ``torch.nn.functional.scaled_dot_product_attention``.

    Args:
        keep: bool, True = may attend, broadcastable to (batch, heads, q_len, k_len).

    Returns:
        The same bool tensor (SDPA keeps where True), with a 2D keep left 2D. It shares memory with keep.

    Raises:
        TypeError: keep is no tensor, or not bool.
        ValueError: keep is empty or does not have 2 to 4 dimensions.

    References:
        Lesson 06, "Which mask am I holding?", and Lesson 05.
        https://docs.pytorch.org/docs/2.13/generated/torch.nn.functional.scaled_dot_product_attention.html
    """
    return require_keep(keep)


def to_mha(keep: Tensor, num_heads: int) -> dict[str, Tensor | None]:
    """``attn_mask`` and ``key_padding_mask`` for ``torch.nn.MultiheadAttention``: bool, True = ignore.

    Call it as ``mha(x, x, x, **to_mha(keep, num_heads))``. A mask that factors into "which query sees
    which key" and "which keys are padding" comes out as those two; one that does not comes out as a
    single (batch * heads, q_len, k_len) mask.

    Args:
        keep: bool, True = may attend, broadcastable to (batch, heads, q_len, k_len). Its batch and
            q_len are taken as they are: expand a size of 1 that is meant for more.
        num_heads: heads of the module.

    Returns:
        ``attn_mask`` (q_len, k_len) or (batch * num_heads, q_len, k_len) or None, and
        ``key_padding_mask`` (batch, k_len) or None; bool, True = ignore.

    Raises:
        TypeError: keep is no tensor or not bool, or num_heads is no int.
        ValueError: keep is empty, does not have 2 to 4 dimensions, or has neither 1 nor num_heads heads; num_heads is
            below 1.

    References:
        Lesson 06.
        https://docs.pytorch.org/docs/2.13/generated/torch.nn.MultiheadAttention.html
    """
    require_count(num_heads, "num_heads")
    states_batch = require_keep(keep).ndim == 4
    keep = as_4d(keep)
    batch, heads, q_len, k_len = keep.shape
    if heads not in (1, num_heads):
        raise ValueError(
            f"keep: got {heads} heads in shape {tuple(keep.shape)}, wanted 1 or num_heads={num_heads}. "
            "A 3D keep is read as (heads, q_len, k_len); for (batch, q_len, k_len) write keep[:, None]."
        )
    per_query = keep.any(dim=0)[0]  # (q_len, k_len): what at least one sequence lets a query see
    per_key = keep.any(dim=2)[:, 0]  # (batch, k_len): what at least one query of a sequence sees
    if heads > 1 or not torch.equal(per_query & per_key[:, None, None], keep):
        ignore = ~keep.expand(batch, num_heads, q_len, k_len).flatten(0, 1)
        return {"attn_mask": ignore, "key_padding_mask": None}
    queries_alike = torch.equal(per_query, per_query[:1].expand_as(per_query))
    only_keys = queries_alike and states_batch and (batch > 1 or q_len == 1)
    only_queries = not only_keys and torch.equal(per_key, per_key[:1].expand_as(per_key))
    return {"attn_mask": None if only_keys else ~per_query, "key_padding_mask": None if only_queries else ~per_key}


def to_additive(keep: Tensor, dtype: torch.dtype = torch.float32, fill: str | float = "min") -> Tensor:
    """An additive bias: 0 where kept, ``fill`` where hidden. Add it to the scores, before the softmax.

    Args:
        keep: bool, True = may attend, broadcastable to (batch, heads, q_len, k_len).
        dtype: the dtype of the scores.
        fill: ``"min"`` (finfo(dtype).min, what Hugging Face uses), ``"-inf"``, or a negative number.

    Returns:
        A new tensor of keep's shape and of dtype.

    Raises:
        TypeError: keep is no bool tensor, dtype no float dtype, or fill neither a name nor a number.
        ValueError: keep is empty or does not have 2 to 4 dimensions, or fill is not negative, unknown, or does not fit
            into dtype.

    References:
        Lesson 04.
        https://docs.pytorch.org/docs/2.13/generated/torch.nn.functional.scaled_dot_product_attention.html
    """
    require_keep(keep)
    value = fill_value(fill, dtype)
    return torch.zeros(keep.shape, dtype=dtype, device=keep.device).masked_fill(~keep, value)


def to_hf(
    keep: Tensor,
    attn_implementation: str | None = None,
    dtype: torch.dtype | None = None,
    *,
    model=None,
    ndim: int | None = None,
    probe: bool = True,
) -> Tensor:
    """``attention_mask`` for a Hugging Face model (transformers 4.57 and 5).

    Args:
        keep: bool, True = may attend, broadcastable to (batch, heads, q_len, k_len).
        attn_implementation: the model's, ``"eager"`` or ``"sdpa"``; sdpa if neither this nor a model is given.
        dtype: the model's dtype, for the 4D form; float32 if neither this nor a model is given.
        model: the model itself. Implementation and dtype are taken from it, and it is run on random ids, at most eight
            times for a new form of mask, at the mask's length up to 128 tokens: whether it takes the mask, and what the
            mask replaces, is seen, not believed. Weights, modes and random numbers stay.
        ndim: 2, 3 or 4 asks for that form and refuses a keep that does not fit into it.
        probe: False never runs the model. Then ndim must say which form it takes, and nothing is checked on it.

    Returns:
        If keep says nothing about queries and heads, that is, its shape is (batch, 1, 1, k_len): the 2D
        int64 mask (batch, k_len), 1 = keep; a decoder then adds its own causality. Otherwise the additive 4D
        mask (0 and finfo(dtype).min), the one form that is right under both implementations. 3D, where asked
        for or where it is the only per-query form that the model takes (BertModel in transformers 4): int64
        (batch, q_len, k_len), 1 = keep.

    Raises:
        TypeError: keep is no bool tensor, model no Hugging Face model, or dtype no float dtype.
        ValueError: arguments that contradict the model, an ndim that cannot say what keep says, a form that the model
            does not take or that hides nothing there, or keys for a model that hides them whatever it is given; a model
            that cannot be run (attn_implementation= and ndim= go on without measuring); an unknown
            attn_implementation; a keep that is empty or does not have 2 to 4 dimensions.

    Warns:
        UserWarning: a 4D mask replaces a model's own causality and its own window, and keep shows later keys, or
            farther ones. A prefix, and tokens that see each other inside a causal text, pass.

    References:
        Lesson 07.
        https://huggingface.co/docs/transformers/v5.0.0/en/glossary#attention-mask
    """
    shape = tuple(require_keep(keep).shape)
    keep = as_4d(keep)
    asked = ndim is not None and attn_implementation is not None
    attn_implementation, dtype = _hf_model(model, attn_implementation, dtype)
    if ndim not in (None, 2, 3, 4):
        raise ValueError(f"ndim: got {ndim!r}, wanted 2, 3 or 4, or None for the simplest that fits.")
    only_keys = keep.shape[1:3] == (1, 1)
    if ndim == 2 and not only_keys:
        raise ValueError(
            f"keep: got shape {shape}, which differs per query or head; wanted (batch, 1, 1, k_len) for ndim=2. "
            "A 2D attention_mask is padding only, one value per key. Leave ndim out: a 4D mask can say it."
        )
    if model is not None:
        ndim = _ndim_for(model, keep, dtype, ndim, probe, asked)
    if ndim == 3:
        return _to_hf_3d(keep, shape)
    ndim = ndim or (2 if only_keys else 4)
    return keep[:, 0, 0].long() if ndim == 2 else to_additive(keep, dtype, "min")


def _hf_model(model, attn_implementation: str | None, dtype: torch.dtype | None) -> tuple[str, torch.dtype]:
    """(implementation, dtype) of a model, or as asked for, or the defaults."""
    if model is None:
        attn_implementation = "sdpa" if attn_implementation is None else attn_implementation
        require_attn_implementation(attn_implementation)
        return attn_implementation, torch.float32 if dtype is None else dtype
    if not hasattr(model, "config") or not hasattr(model, "dtype"):
        raise TypeError(f"model: got {describe_tensor(model)}, wanted a Hugging Face model, with config and dtype.")
    own = {"attn_implementation": model.config._attn_implementation, "dtype": model.dtype}
    require_attn_implementation(own["attn_implementation"])
    for (name, value), asked in zip(own.items(), (attn_implementation, dtype), strict=True):
        if asked is not None and asked != value:
            raise ValueError(f"{name}: got {asked!r}, but the model has {value!r}; leave it out beside a model.")
    return own["attn_implementation"], own["dtype"]


def _ndim_for(model, keep: Tensor, dtype: torch.dtype, ndim: int | None, probe: bool, asked: bool) -> int:
    """The form in which the model takes keep, after a look at what it does there; 2, 3 or 4."""
    name, k_len = type(model).__name__, keep.shape[-1]
    ways_on = "to_hf(keep, attn_implementation=…, ndim=2 or 4) goes on without measuring."
    if not probe:
        if ndim is None:
            raise ValueError(f"model: with probe=False it is not known which masks {name} takes. {ways_on}")
        return ndim
    hides = not bool(keep.all())
    four = additive(dtype, hides=hides, heads=keep.shape[1], per_query=keep.shape[2] > 1 or k_len == 1)
    forms = {2: PADDING._replace(hides=hides), 3: Form(3, torch.int64, hides=hides), 4: four}
    wanted = ndim or (2 if keep.shape[1:3] == (1, 1) else 4)
    seen = observe(model, forms[wanted], k_len)
    if seen.refusal and wanted == 4 and ndim is None and observe(model, forms[3], k_len).known:
        wanted, seen = 3, observe(model, forms[3], k_len)
    if seen.unknown:
        if asked:
            return wanted
        raise ValueError(f"model: what {name} does with a mask is not known: {seen.unknown}. {ways_on}")
    if seen.refusal or not seen.hides:
        why = (
            f"refuses a {wanted}D mask: {seen.refusal}"
            if seen.refusal
            else f"hides nothing of what a {wanted}D mask hides"
        )
        raise ValueError(f"model: {name} {why}. It takes {takes_in_words(model, k_len, wanted)}.")
    if wanted > 2:
        _warn_of_what_is_replaced(name, keep, seen, observe(model, PADDING, k_len))
    return wanted


def _warn_of_what_is_replaced(name: str, keep: Tensor, seen: Observation, usual: Observation) -> None:
    """Refuses later keys that the model hides under any mask; warns of keys that it hides under a padding mask."""
    shape = tuple(keep.shape)
    causal = [words for words, layer in seen.kinds() if layer.causal]
    if causal and patterns.shows_future(keep):
        raise ValueError(
            f"keep: got shape {shape} that lets queries see later keys; {name} hides them whatever its attention_mask "
            f"says, in {', '.join(causal)}. Under another attn_implementation it may not."
        )
    for what, remedy in replaced(keep, seen, usual):
        keys = "later" if what == "causality" else "farther"
        shown = "the future is" if what == "causality" else "they are"
        warnings.warn(
            f"keep of shape {shape} lets queries see {keys} keys. On a model such as {name} a 4D mask replaces its own "
            f"{what}, so {shown} visible. Did you mean keep & {remedy}?",
            stacklevel=4,
        )


def _to_hf_3d(keep: Tensor, shape: tuple[int, ...]) -> Tensor:
    if transformers_major() >= 5:
        raise ValueError("ndim: got 3, which transformers 5 does not read; wanted 2 or 4, or leave it out.")
    if keep.shape[1] != 1:
        raise ValueError(
            f"keep: got {keep.shape[1]} heads in shape {shape}; wanted 1. A BertModel of transformers 4 reads "
            "(batch, q_len, k_len) and no mask per head; transformers 5 does."
        )
    return keep[:, 0].long()


def to_flex(keep: Tensor, q_len: int | None = None):
    """``block_mask`` for ``torch.nn.attention.flex_attention.flex_attention``.

    Args:
        keep: bool, True = may attend, broadcastable to (batch, heads, q_len, k_len). It is copied.
        q_len: number of queries, where keep says nothing about them (size 1), as a padding mask does.

    Returns:
        A ``BlockMask`` with torch's blocks of 128 × 128: a shorter mask is one block, in which nothing can
        be skipped. Batch and heads of size 1 broadcast.

    Raises:
        TypeError: keep is no tensor or not bool, or q_len is no int.
        ValueError: q_len is below 1, or keep has another number of queries already; keep is empty or does not have
            2 to 4 dimensions.

    References:
        Lesson 09, and the cheat sheet.
        https://docs.pytorch.org/docs/2.13/nn.attention.flex_attention.html
    """
    table = as_4d(keep).clone()
    batch, heads, rows, _ = table.shape
    q_len = rows if q_len is None else require_count(q_len, "q_len")
    if rows not in (1, q_len):
        raise ValueError(
            f"q_len: got {q_len} beside a keep of shape {tuple(keep.shape)}; wanted {rows}, or leave it out."
        )

    def mask_mod(b, h, q, k):
        # A size of 1 is the same for all; `* 0` keeps the index a tensor, as the tracing of mask_mod needs.
        return table[b if batch > 1 else b * 0, h if heads > 1 else h * 0, q if rows > 1 else q * 0, k]

    return _block_masks.make(table.expand(-1, -1, q_len, -1), mask_mod)


# --- a library → keep ------------------------------------------------------------------------------


def from_sdpa(attn_mask: Tensor) -> Tensor:
    """``keep`` from SDPA's ``attn_mask``: bool is returned as it is, float is read as additive.

    Args:
        attn_mask: (q_len, k_len) or anything that broadcasts to (batch, heads, q_len, k_len); bool
            (True = may attend) or additive float.

    Returns:
        bool of attn_mask's shape, True = may attend; a bool attn_mask itself.

    Raises:
        TypeError: no tensor, or an integer mask, which SDPA itself refuses.
        ValueError: a float mask that is 0/1, a soft bias or NaN; an empty mask, or one without 2 to 4 dimensions.

    References:
        Lesson 06, "Which mask am I holding?"
        https://docs.pytorch.org/docs/2.13/generated/torch.nn.functional.scaled_dot_product_attention.html
    """
    wanted = "a bool mask (True = may attend) or an additive float mask, with 2 to 4 dimensions"
    return _from_bool_or_additive(attn_mask, "attn_mask", (2, 3, 4), wanted)


def from_mha(attn_mask: Tensor | None = None, key_padding_mask: Tensor | None = None, *, num_heads: int = 1) -> Tensor:
    """``keep`` from the two masks of ``nn.MultiheadAttention``: what both of them leave visible.

    Args:
        attn_mask: (q_len, k_len) or (batch * num_heads, q_len, k_len); bool (True = ignore) or additive.
        key_padding_mask: (batch, k_len); bool (True = ignore) or additive.
        num_heads: heads of the module, to unfold a 3D attn_mask.

    Returns:
        bool (batch, heads, q_len, k_len), True = may attend, with sizes of 1 where the masks say nothing.

    Raises:
        TypeError: a mask that is no tensor or holds integers, or num_heads is no int.
        ValueError: both masks missing, shapes that do not fit together, a float mask that is 0/1, a soft bias or NaN,
            an empty mask, or num_heads below 1.

    References:
        Lesson 06.
        https://docs.pytorch.org/docs/2.13/generated/torch.nn.MultiheadAttention.html
    """
    require_count(num_heads, "num_heads")
    keep = None if attn_mask is None else _from_attn_mask(attn_mask, num_heads)
    if key_padding_mask is None:
        if keep is None:
            raise ValueError("from_mha: got neither attn_mask nor key_padding_mask, so there is no mask to read.")
        return keep
    wanted, hint = "(batch, k_len), bool (True = ignore) or additive float", "Add the batch: key_padding_mask[None]."
    visible = _from_bool_or_additive(key_padding_mask, "key_padding_mask", (2,), wanted, hint, ignore=True)
    visible = visible[:, None, None]
    if attn_mask is None or keep is None:
        return visible
    if keep.shape[-1] != visible.shape[-1] or len(keep) not in (1, len(visible)):
        raise ValueError(
            f"key_padding_mask: got {describe_tensor(key_padding_mask)} beside an attn_mask of shape "
            f"{tuple(attn_mask.shape)}; wanted the same k_len, and the batch that attn_mask // num_heads has."
        )
    return keep & visible


def _from_attn_mask(attn_mask: Tensor, num_heads: int) -> Tensor:
    """bool (1 or batch, 1 or num_heads, q_len, k_len), True = may attend."""
    wanted = "(q_len, k_len) or (batch * num_heads, q_len, k_len), bool (True = ignore) or additive float"
    hint = "A 4D mask belongs to SDPA or Hugging Face."
    keep = _from_bool_or_additive(attn_mask, "attn_mask", (2, 3), wanted, hint, ignore=True)
    if keep.ndim == 2:
        return as_4d(keep)
    if len(keep) % num_heads:
        raise ValueError(
            f"attn_mask: got {describe_tensor(attn_mask)}, whose first size is no multiple of "
            f"num_heads={num_heads}; wanted (batch * num_heads, q_len, k_len), heads of one sequence together."
        )
    return keep.unflatten(0, (-1, num_heads))


def from_hf(attention_mask: Tensor, attn_implementation: str = "sdpa") -> Tensor:
    """``keep`` from a Hugging Face ``attention_mask`` (transformers 4.57 and 5).

    Args:
        attention_mask: (batch, k_len) with 1 or True = keep, or the additive 4D form, or under sdpa the
            bool 4D form (True = may attend), or under transformers 4 (batch, q_len, k_len) with 1 = keep.
        attn_implementation: the model's, ``"eager"`` or ``"sdpa"``.

    Returns:
        bool, True = may attend: (batch, 1, 1, k_len) for a 2D mask, (batch, 1, q_len, k_len) for a 3D one, else the
        shape of the 4D mask.

    Raises:
        TypeError: no tensor, or what a model would misread: 4D integers, 4D bool under eager.
        ValueError: what a model would misread: 3D in transformers 5, 4D float that is 0/1 or a soft bias, values
            other than 0 and 1 in 2D; an empty or 1D mask, or an unknown attn_implementation.

    References:
        Lesson 07.
        https://huggingface.co/docs/transformers/v5.0.0/en/glossary#attention-mask
    """
    require_attn_implementation(attn_implementation)
    wanted = "(batch, k_len) with 1 = keep, or (batch, 1 or heads, q_len, k_len) additive"
    hints = {
        1: "Add the batch: attention_mask[None].",
        3: "transformers 5 no longer reads a 3D mask; build a 4D one with conventions.to_hf(keep).",
    }
    hint = hints.get(attention_mask.ndim, "") if isinstance(attention_mask, Tensor) else ""
    ranks = (2, 3, 4) if transformers_major() < 5 else (2, 4)
    require_tensor(attention_mask, "attention_mask", ranks, wanted, hint)
    if attention_mask.ndim < 4:
        keep = read_zero_one(attention_mask, "attention_mask")
        return keep[:, None, None] if keep.ndim == 2 else keep[:, None]
    if attention_mask.dtype != torch.bool:
        return from_additive(attention_mask, name="attention_mask")
    if attn_implementation == "eager":
        raise TypeError(
            f"attention_mask: got {describe_tensor(attention_mask)} for eager attention, which adds it to the "
            "scores as 0 and 1 and so hides nothing. Did you mean conventions.to_hf(keep, 'eager')?"
        )
    return attention_mask


def from_flex(block_mask) -> Tensor:
    """``keep`` from the ``BlockMask`` of ``flex_attention``.

    Args:
        block_mask: a BlockMask; its mask_mod is asked for every query and key, not only for whole blocks.

    Returns:
        bool (batch, heads, q_len, k_len), True = may attend, with sizes of 1 where the BlockMask broadcasts: what
        compiled flex_attention lets through.

    Raises:
        TypeError: something else.
        ValueError: a BlockMask that flex_attention refuses, such as a sliced one.

    Warns:
        UserWarning: uncompiled flex_attention lets something else through, since mask_mod does not say what the tables
            say.

    References:
        Lesson 09, and the cheat sheet.
        https://docs.pytorch.org/docs/2.13/nn.attention.flex_attention.html
    """
    from torch.nn.attention.flex_attention import BlockMask

    if not isinstance(block_mask, BlockMask):
        raise TypeError(
            f"block_mask: got {describe_tensor(block_mask)}, wanted a BlockMask, as conventions.to_flex(keep) makes it."
        )
    if reason := _block_masks.why_refused(block_mask):
        raise ValueError(f"block_mask: got a BlockMask of shape {tuple(block_mask.shape)}; {reason}")
    keep, same = _block_masks.read(block_mask)
    if not same:
        warnings.warn(
            "The tables of block_mask and its mask_mod differ. This keep is what compiled flex_attention lets through; "
            "uncompiled, it asks mask_mod alone. Did BlockMask.from_kv_blocks get no mask_mod?",
            stacklevel=2,
        )
    return keep


def from_additive(bias: Tensor, *, fill: str | float | None = None, name: str = "bias") -> Tensor:
    """``keep`` from an additive bias: True where it is 0, False where it is very negative.

    Args:
        bias: float, every value 0 (or -0) or at most -20 (-inf included), which leaves a hidden key a weight of at
            most exp(-20), about 2e-9, of what its score alone would give.
        fill: the one value that hides, if it is known; then it may also be a mild one such as -5.
        name: what the argument is called in errors.

    Returns:
        bool of the same shape, True = may attend. A row with one fill at every key is empty, as ``to_additive`` wrote
        it; softmax gives such a row no zeros: of a small fill such as -1e4 it sees everything. ``describe`` says which.

    Raises:
        TypeError: not a float tensor.
        ValueError: NaN, 0/1 values (they hide nothing), or soft values (a bias that is no mask); a row with a fill at
            every key and more at some, of which softmax shows the keys nearest to 0; a tensor that is empty or does
            not have 1 to 4 dimensions, or an unknown fill.

    References:
        Lesson 04.
        https://docs.pytorch.org/docs/2.13/generated/torch.nn.functional.scaled_dot_product_attention.html
    """
    wanted = "a float tensor of 0 (kept) and very negative values (hidden)"
    require_tensor(bias, name, (1, 2, 3, 4), wanted)
    if not bias.is_floating_point():
        raise TypeError(
            f"{name}: got {describe_tensor(bias)}, wanted {wanted}. Integers and bools are not added to scores; "
            "a 0/1 attention_mask is read with masks.padding, a bool mask with from_sdpa or from_mha."
        )
    kept = bias == 0
    if fill is None:
        hidden = hidden_by(bias)
    else:
        wanted = f"a float tensor of 0 (kept) and {fill} (hidden)"
        hidden = bias == torch.tensor(fill_value(fill, bias.dtype), dtype=bias.dtype)
    others = bias[~(kept | hidden)]
    if not len(others):
        _require_one_fill_per_row(bias, hidden, name)
        return kept
    if bool(others.isnan().any()):
        values, hint = "value nan", "(1 - m) * -inf is NaN at kept places. Use masked_fill or conventions.to_additive."
    elif fill is not None and bool((others <= HIDDEN_BELOW).any()):
        values = f"value {others.min().item():g}"
        hint = "It hides too. Were two masks added? Combine them as bool, and convert once; or leave fill out."
    elif bool((kept | (bias == 1)).all()):
        values, hint = (
            "values 0 and 1",
            "Added to scores, 0/1 hides nothing. Did you mean conventions.to_additive(keep)?",
        )
    elif fill is None and len(others.unique()) == 1 and bool(others[0] < 0):
        values = f"value {others[0].item():g}"
        hint = f"A soft bias hides nothing: it leaves {weight_words(others[0])}. If it is meant to hide, say so: "
        hint += f"from_additive({name}, fill={others[0].item():g})."
    else:
        values = f"value {others[0].item():g}"
        hint = "A soft bias (ALiBi, relative positions) has no keep: it hides nothing."
        if bool((others >= -HIDDEN_BELOW).any()):
            hint = "A large positive number raises its key above all others. Is its minus missing?"
    raise ValueError(f"{name}: got {describe_tensor(bias)} with the {values}, wanted {wanted}. {hint}")


def _require_one_fill_per_row(bias: Tensor, hidden: Tensor, name: str) -> None:
    """Refuses a row with a fill at every key and more at some: softmax shows the keys nearest to 0 after all."""
    top = bias.amax(dim=-1)
    uneven = hidden.all(dim=-1) & top.isfinite() & (bias.amin(dim=-1) < top)
    if uneven.any():
        raise ValueError(
            f"{name}: got {describe_tensor(bias)} with a row that has a fill at every key, and more at some; wanted a "
            "float tensor of 0 (kept) and one fill. Softmax sees differences only, so there it shows the keys with "
            f"{top[uneven][0].item():g}. Were two masks added? Combine them as bool, and convert once."
        )


def _from_bool_or_additive(
    mask, name: str, ranks: tuple[int, ...], wanted: str, hint: str = "", *, ignore: bool = False
) -> Tensor:
    """bool of mask's shape, True = may attend, from a bool mask (True = may attend, or ignore) or an additive one."""
    require_tensor(mask, name, ranks, wanted, hint)
    if mask.dtype == torch.bool:
        return ~mask if ignore else mask
    if ignore and not mask.is_floating_point():
        raise TypeError(
            f"{name}: got {describe_tensor(mask)}, wanted bool (True = ignore) or additive float. "
            "MultiheadAttention refuses integers. From a 0/1 attention_mask: attention_mask == 0."
        )
    return from_additive(mask, name=name)
