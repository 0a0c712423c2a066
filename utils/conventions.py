"""Converts masks between ``keep`` and the conventions of PyTorch and Hugging Face.

``keep`` is the one convention inside this package: a bool tensor, True = may attend, broadcastable to
(batch, heads, q_len, k_len). Rows are queries, columns are keys. Every other mask is made from it here,
at the edge, or read back into it. What cannot be read without guessing is refused.

Stated for torch 2.13 and transformers 5.23. Taught in lesson 00 (the table) and 02 (padding).
"""

import torch
from torch import Tensor

#: A float below this, next to zeros, is read as "hidden". Biases that only nudge (ALiBi, relative
#: positions) stay far above it, every fill in use (-1e4, -1e9, finfo.min, -inf) is at or below it.
HIDDEN_BELOW = -1e3

FILLS = ("min", "-inf")


# --- what came, in words ---------------------------------------------------------------------------


def describe_tensor(value) -> str:
    """What ``value`` is, for error messages: ``an int64 tensor of shape (2, 5)`` or ``a list``."""
    if isinstance(value, Tensor):
        dtype = str(value.dtype).removeprefix("torch.")
        article = "an" if dtype[0] in "aeiou" else "a"
        return f"{article} {dtype} tensor of shape {tuple(value.shape)}"
    if value is None or isinstance(value, bool | int | float | str):
        return repr(value)
    article = "an" if type(value).__name__[0] in "aeiouAEIOU" else "a"
    return f"{article} {type(value).__name__}"


def require_tensor(value, name: str, dims: tuple[int, ...], wanted: str, hint: str = "") -> Tensor:
    """``value`` itself, if it is a non-empty tensor with one of ``dims`` ranks; a named error if not."""
    hint = f" {hint}" if hint else ""
    if not isinstance(value, Tensor):
        raise TypeError(
            f"{name}: got {describe_tensor(value)}, wanted {wanted}.{hint or ' Wrap it in torch.tensor(...).'}"
        )
    if value.ndim not in dims:
        raise ValueError(f"{name}: got {describe_tensor(value)}, wanted {wanted}.{hint}")
    if value.numel() == 0:
        raise ValueError(f"{name}: got {describe_tensor(value)}, which is empty; wanted {wanted} with no size of 0.")
    return value


def require_keep(keep, name: str = "keep") -> Tensor:
    """``keep`` itself, if it is a bool tensor of 2 to 4 dimensions; an error that names the mistake if not.

    Raises:
        TypeError: not a tensor, or not bool.
        ValueError: a rank other than 2, 3 or 4, or a size of 0.
    """
    wanted = "a bool tensor, True = may attend, broadcastable to (batch, heads, q_len, k_len)"
    if isinstance(keep, Tensor) and keep.dtype != torch.bool:
        if keep.is_floating_point():
            hint = "If it is an additive mask (0 and -inf), read it with conventions.from_additive(bias)."
        else:
            hint = "If it is a 0/1 attention_mask, read it with masks.padding(attention_mask)."
        raise TypeError(f"{name}: got {describe_tensor(keep)}, wanted {wanted}. {hint}")
    one_d = isinstance(keep, Tensor) and keep.ndim == 1
    hint = "For one query write keep[None, :]." if one_d else ""
    return require_tensor(keep, name, (2, 3, 4), wanted, hint)


def require_keep_for(keep, shape: tuple[int, ...]) -> Tensor:
    """``keep`` itself, if it is bool and broadcasts to ``shape`` (..., q_len, k_len); a named error if not."""
    shape = tuple(shape)
    wanted = f"a bool tensor, True = may attend, that broadcasts to {shape}"
    if isinstance(keep, Tensor) and keep.dtype != torch.bool:
        raise TypeError(
            f"keep: got {describe_tensor(keep)}, wanted {wanted}. From a 0/1 attention_mask: masks.padding(...); "
            "from an additive mask: conventions.from_additive(...)."
        )
    require_tensor(keep, "keep", tuple(range(1, 65)), wanted)
    try:
        fits = torch.broadcast_shapes(keep.shape, shape) == shape
    except RuntimeError:
        fits = False
    if fits:
        return keep
    hint = ""
    if keep.ndim == 2 and len(shape) > 2 and keep.shape[-1] == shape[-1]:
        hint = " If it is (batch, k_len), it is a padding mask: masks.padding(...) gives it the right shape."
    elif keep.ndim > len(shape) == 2:
        hint = " Pick one sequence and head first: keep[0, 0]."
    raise ValueError(f"keep: got {describe_tensor(keep)}, wanted {wanted}.{hint}")


def as_4d(keep: Tensor) -> Tensor:
    """``keep`` as (batch, heads, q_len, k_len), a view with sizes of 1 where nothing was said.

    Broadcasting aligns shapes from the right, so a 3D keep is (heads, q_len, k_len).
    """
    return require_keep(keep)[(None,) * (4 - keep.ndim)]


def fill_value(fill, dtype: torch.dtype) -> float:
    """The number that hides a key: ``"min"`` → finfo(dtype).min, ``"-inf"`` → -inf, a float → itself.

    Raises:
        TypeError: dtype is not a float dtype, or fill is neither a name nor a number.
        ValueError: fill is NaN, not negative, an unknown name, or does not fit into dtype.
    """
    if not (isinstance(dtype, torch.dtype) and dtype.is_floating_point):
        raise TypeError(
            f"dtype: got {dtype!r}, wanted a float dtype such as torch.float32. "
            "An additive mask is added to scores, so it has their dtype."
        )
    if fill == "min":
        return torch.finfo(dtype).min
    if fill == "-inf":
        return float("-inf")
    if isinstance(fill, str):
        raise ValueError(f'fill: got {fill!r}, wanted "min", "-inf" or a negative number.')
    if isinstance(fill, bool) or not isinstance(fill, int | float):
        raise TypeError(f'fill: got {describe_tensor(fill)}, wanted "min", "-inf" or a negative number.')
    fill = float(fill)
    if not fill < 0:
        raise ValueError(
            f"fill: got {fill}, wanted a negative number. It is added to the scores of hidden keys; 0 hides nothing."
        )
    if fill != float("-inf") and fill < torch.finfo(dtype).min:
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
    See:
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
            q_len are taken as they are: expand a size of 1 that stands for more.
        num_heads: heads of the module.
    Returns:
        ``attn_mask`` (q_len, k_len) or (batch * num_heads, q_len, k_len) or None, and
        ``key_padding_mask`` (batch, k_len) or None.
    See:
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
    if heads == 1 and torch.equal(per_query & per_key[:, None, None], keep):
        queries_alike = torch.equal(per_query, per_query[:1].expand_as(per_query))
        sequences_alike = torch.equal(per_key, per_key[:1].expand_as(per_key))
        if queries_alike and states_batch and (batch > 1 or q_len == 1):
            return {"attn_mask": None, "key_padding_mask": ~per_key}
        if sequences_alike:
            return {"attn_mask": ~per_query, "key_padding_mask": None}
        return {"attn_mask": ~per_query, "key_padding_mask": ~per_key}
    ignore = ~keep.expand(batch, num_heads, q_len, k_len).reshape(batch * num_heads, q_len, k_len)
    return {"attn_mask": ignore, "key_padding_mask": None}


def to_additive(keep: Tensor, dtype: torch.dtype = torch.float32, fill: str | float = "min") -> Tensor:
    """An additive bias: 0 where kept, ``fill`` where hidden. Add it to the scores, before the softmax.

    Args:
        keep: bool, True = may attend, broadcastable to (batch, heads, q_len, k_len).
        dtype: the dtype of the scores.
        fill: ``"min"`` (finfo(dtype).min, what Hugging Face uses), ``"-inf"``, or a negative number.
    Returns:
        A new tensor of keep's shape and the given dtype.
    """
    require_keep(keep)
    value = fill_value(fill, dtype)
    return torch.zeros(keep.shape, dtype=dtype, device=keep.device).masked_fill(~keep, value)


def to_hf(keep: Tensor, attn_implementation: str = "sdpa", dtype: torch.dtype = torch.float32) -> Tensor:
    """``attention_mask`` for a Hugging Face model (transformers 5).

    Args:
        keep: bool, True = may attend, broadcastable to (batch, heads, q_len, k_len).
        attn_implementation: the model's, ``"eager"`` or ``"sdpa"``.
        dtype: the model's dtype, for the 4D form.
    Returns:
        If keep says nothing about queries and heads, that is, its shape is (batch, 1, 1, k_len): the 2D
        int64 mask (batch, k_len), 1 = keep. Otherwise the additive 4D mask (0 and finfo(dtype).min),
        the one form that is right under both implementations. On decoders a 4D mask replaces the
        model's own causality, so put ``masks.causal`` into keep.
    See:
        https://huggingface.co/docs/transformers/v5.0.0/en/glossary#attention-mask
    """
    require_attn_implementation(attn_implementation)
    keep = as_4d(keep)
    if keep.shape[1:3] == (1, 1):
        return keep[:, 0, 0].long()
    return to_additive(keep, dtype, "min")


def to_flex(keep: Tensor, q_len: int | None = None):
    """``block_mask`` for ``torch.nn.attention.flex_attention.flex_attention``.

    Args:
        keep: bool, True = may attend, broadcastable to (batch, heads, q_len, k_len). It is copied.
        q_len: number of queries, where keep says nothing about them (size 1), as a padding mask does.
    Returns:
        A ``BlockMask`` with torch's blocks of 128 × 128: a shorter mask is one block, in which nothing can
        be skipped. Batch and heads of size 1 broadcast.
    Raises:
        ValueError: q_len beside a keep that already has another number of queries.
    See:
        https://docs.pytorch.org/docs/2.13/nn.attention.flex_attention.html
    """
    from torch.nn.attention.flex_attention import create_block_mask

    table = as_4d(keep).clone()
    batch, heads, rows, k_len = table.shape
    q_len = rows if q_len is None else require_count(q_len, "q_len")
    if rows not in (1, q_len):
        raise ValueError(
            f"q_len: got {q_len} beside a keep of shape {tuple(keep.shape)}; wanted {rows}, or leave it out."
        )

    def mask_mod(b, h, q, k):
        # A size of 1 stands for all; `* 0` keeps the index a tensor, as the tracing of mask_mod needs.
        return table[b if batch > 1 else b * 0, h if heads > 1 else h * 0, q if rows > 1 else q * 0, k]

    sizes = (batch if batch > 1 else None, heads if heads > 1 else None, q_len, k_len)
    return create_block_mask(mask_mod, *sizes, device=table.device)


# --- a library → keep ------------------------------------------------------------------------------


def from_sdpa(attn_mask: Tensor) -> Tensor:
    """``keep`` from SDPA's ``attn_mask``: bool is returned as it is, float is read as additive.

    Args:
        attn_mask: (q_len, k_len) or anything that broadcasts to (batch, heads, q_len, k_len); bool
            (True = may attend) or additive float.
    Raises:
        TypeError: an integer mask, which SDPA itself refuses.
        ValueError: a float mask that is 0/1 or a soft bias.
    """
    wanted = "a bool mask (True = may attend) or an additive float mask, with 2 to 4 dimensions"
    require_tensor(attn_mask, "attn_mask", (2, 3, 4), wanted)
    if attn_mask.dtype == torch.bool:
        return attn_mask
    return from_additive(attn_mask, name="attn_mask")


def from_mha(attn_mask: Tensor | None = None, key_padding_mask: Tensor | None = None, *, num_heads: int = 1) -> Tensor:
    """``keep`` from the two masks of ``nn.MultiheadAttention``: what both of them leave visible.

    Args:
        attn_mask: (q_len, k_len) or (batch * num_heads, q_len, k_len); bool (True = ignore) or additive.
        key_padding_mask: (batch, k_len); bool (True = ignore) or additive.
        num_heads: heads of the module, to unfold a 3D attn_mask.
    Returns:
        bool (batch, heads, q_len, k_len), with sizes of 1 where the masks say nothing.
    Raises:
        ValueError: both masks missing, or shapes that do not fit together.
    """
    require_count(num_heads, "num_heads")
    if attn_mask is None and key_padding_mask is None:
        raise ValueError("from_mha: got neither attn_mask nor key_padding_mask, so there is no mask to read.")
    keep = None
    if attn_mask is not None:
        wanted = "(q_len, k_len) or (batch * num_heads, q_len, k_len), bool (True = ignore) or additive float"
        require_tensor(attn_mask, "attn_mask", (2, 3), wanted, "A 4D mask belongs to SDPA or Hugging Face.")
        keep = _from_ignore_or_additive(attn_mask, "attn_mask")
        if keep.ndim == 3:
            if keep.shape[0] % num_heads:
                raise ValueError(
                    f"attn_mask: got {describe_tensor(attn_mask)}, whose first size is no multiple of "
                    f"num_heads={num_heads}; wanted (batch * num_heads, q_len, k_len), heads of one sequence together."
                )
            keep = keep.unflatten(0, (-1, num_heads))
        keep = as_4d(keep)
    if key_padding_mask is not None:
        wanted = "(batch, k_len), bool (True = ignore) or additive float"
        require_tensor(key_padding_mask, "key_padding_mask", (2,), wanted, "Add the batch: key_padding_mask[None].")
        visible = _from_ignore_or_additive(key_padding_mask, "key_padding_mask")[:, None, None, :]
        if keep is not None and (keep.shape[-1] != visible.shape[-1] or keep.shape[0] not in (1, visible.shape[0])):
            raise ValueError(
                f"key_padding_mask: got {describe_tensor(key_padding_mask)} beside an attn_mask of shape "
                f"{tuple(attn_mask.shape)}; wanted the same k_len, and the batch that attn_mask // num_heads has."
            )
        keep = visible if keep is None else keep & visible
    return keep


def from_hf(attention_mask: Tensor, attn_implementation: str = "sdpa") -> Tensor:
    """``keep`` from a Hugging Face ``attention_mask`` (transformers 5).

    Args:
        attention_mask: (batch, k_len) with 1 or True = keep, or the additive 4D form, or under sdpa the
            bool 4D form (True = may attend).
        attn_implementation: the model's, ``"eager"`` or ``"sdpa"``.
    Returns:
        bool (batch, 1, 1, k_len) for a 2D mask, else the shape of the 4D mask.
    Raises:
        TypeError, ValueError: forms that a model would misread: 3D, 4D integers, 4D bool under eager,
            4D float 0/1.
    """
    require_attn_implementation(attn_implementation)
    wanted = "(batch, k_len) with 1 = keep, or (batch, 1 or heads, q_len, k_len) additive"
    hint = ""
    if isinstance(attention_mask, Tensor) and attention_mask.ndim == 1:
        hint = "Add the batch: attention_mask[None]."
    elif isinstance(attention_mask, Tensor) and attention_mask.ndim == 3:
        hint = "transformers 5 no longer reads a 3D mask; build a 4D one with conventions.to_hf(keep)."
    require_tensor(attention_mask, "attention_mask", (2, 4), wanted, hint)
    if attention_mask.ndim == 2:
        return read_zero_one(attention_mask, "attention_mask")[:, None, None, :]
    if attention_mask.dtype == torch.bool:
        if attn_implementation == "eager":
            raise TypeError(
                f"attention_mask: got {describe_tensor(attention_mask)} for eager attention, which adds it to the "
                "scores as 0 and 1 and so hides nothing. Did you mean conventions.to_hf(keep, 'eager')?"
            )
        return attention_mask
    return from_additive(attention_mask, name="attention_mask")


def from_additive(bias: Tensor, *, name: str = "bias") -> Tensor:
    """``keep`` from an additive bias: True where it is 0, False where it is very negative.

    Args:
        bias: float, every value 0 (or -0) or at most ``HIDDEN_BELOW`` (-inf included).
        name: what the argument is called in errors.
    Returns:
        bool of the same shape.
    Raises:
        TypeError: not a float tensor.
        ValueError: NaN, 0/1 values (they hide nothing), or soft values (a bias that is no mask).
    """
    wanted = "a float tensor of 0 (kept) and very negative values (hidden)"
    require_tensor(bias, name, (1, 2, 3, 4), wanted)
    if not bias.is_floating_point():
        raise TypeError(
            f"{name}: got {describe_tensor(bias)}, wanted {wanted}. Integers and bools are not added to scores; "
            "a 0/1 attention_mask is read with masks.padding, a bool mask with from_sdpa or from_mha."
        )
    kept, hidden = bias == 0, bias <= HIDDEN_BELOW
    if bool((kept | hidden).all()):
        return kept
    if bool((kept | (bias == 1)).all()):
        raise ValueError(
            f"{name}: got {describe_tensor(bias)} with the values 0 and 1, wanted {wanted}. Added to scores, "
            "0/1 hides nothing. Did you mean conventions.to_additive(keep)?"
        )
    odd = bias[~(kept | hidden)].flatten()[0].item()
    raise ValueError(
        f"{name}: got {describe_tensor(bias)} with the value {odd:g}, wanted {wanted}. "
        "A soft bias (ALiBi, relative positions) has no keep: it hides nothing."
    )


# --- small checks shared with masks.py -------------------------------------------------------------


def read_zero_one(values: Tensor, name: str) -> Tensor:
    """bool from a bool, integer or float tensor that holds only 0 and 1; anything else is refused."""
    if values.dtype == torch.bool:
        return values
    if not bool(((values == 0) | (values == 1)).all()):
        odd = values[(values != 0) & (values != 1)].flatten()[0].item()
        if values.is_floating_point():
            hint = "If it is additive, read it with conventions.from_additive(bias)."
        elif odd < 0:
            hint = "`~` on an integer mask gives -1 and -2; use (1 - attention_mask) or a bool mask."
        else:
            hint = "Did you pass input_ids?"
        raise ValueError(f"{name}: got {describe_tensor(values)} with the value {odd:g}, wanted only 0 and 1. {hint}")
    if values.is_floating_point() and not bool((values == 1).any()):
        raise ValueError(
            f"{name}: got {describe_tensor(values)} of zeros only. As 0/1 it hides everything, as an additive mask "
            "it hides nothing; say which: .bool(), or conventions.from_additive(bias)."
        )
    return values == 1


def require_count(value, name: str, minimum: int = 1) -> int:
    """``value`` itself, if it is an int of at least ``minimum``; a named error if not."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name}: got {describe_tensor(value)}, wanted an int of at least {minimum}.")
    if value < minimum:
        raise ValueError(f"{name}: got {value}, wanted an int of at least {minimum}.")
    return value


def require_side(value) -> None:
    if value not in ("right", "left"):
        raise ValueError(f'side: got {value!r}, wanted "right" or "left" (where the padding stands).')


def require_attn_implementation(value) -> None:
    if value not in ("eager", "sdpa"):
        raise ValueError(
            f'attn_implementation: got {value!r}, wanted "eager" or "sdpa". Flash attention takes no mask but '
            "padding; look the model's up in model.config._attn_implementation."
        )


def _from_ignore_or_additive(value: Tensor, name: str) -> Tensor:
    if value.dtype == torch.bool:
        return ~value
    if not value.is_floating_point():
        raise TypeError(
            f"{name}: got {describe_tensor(value)}, wanted bool (True = ignore) or additive float. "
            "MultiheadAttention refuses integers. From a 0/1 attention_mask: attention_mask == 0."
        )
    return from_additive(value, name=name)
