"""Checks of arguments: every error names the argument, what came, what was wanted and the likely mistake.

The rest of the package calls these; nobody else needs to.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

#: A float below this, next to zeros, is read as "hidden". Biases that only nudge (ALiBi, relative
#: positions) stay far above it, every fill in use (-1e4, -1e9, finfo.min, -inf) is at or below it.
HIDDEN_BELOW = -1e3


def describe_tensor(value: Any) -> str:
    """What ``value`` is, for error messages: ``an int64 tensor of shape (2, 5)`` or ``a list``."""
    if isinstance(value, Tensor):
        dtype = str(value.dtype).removeprefix("torch.")
        article = "an" if dtype[0] in "aeiou" else "a"
        return f"{article} {dtype} tensor of shape {tuple(value.shape)}"
    if value is None or isinstance(value, bool | int | float | str):
        return repr(value)
    article = "an" if type(value).__name__[0] in "aeiouAEIOU" else "a"
    return f"{article} {type(value).__name__}"


def mismatch(name: str, value: Any, wanted: str, hint: str = "") -> str:
    """The words of an error: which argument, what it got, what was wanted, and the likely mistake."""
    return f"{name}: got {describe_tensor(value)}, wanted {wanted}." + (f" {hint}" if hint else "")


def fits_into(shape: Sequence[int], target: Sequence[int]) -> bool:
    """Whether a tensor of ``shape`` broadcasts to ``target`` without making that larger."""
    try:
        return torch.broadcast_shapes(shape, target) == tuple(target)
    except RuntimeError:
        return False


def require_tensor(value: Any, name: str, dims: tuple[int, ...], wanted: str, hint: str = "") -> Tensor:
    """``value`` itself, if it is a non-empty tensor with one of ``dims`` ranks; a named error if not."""
    if not isinstance(value, Tensor):
        raise TypeError(mismatch(name, value, wanted, hint or "Wrap it in torch.tensor(...)."))
    if value.is_nested:
        raise TypeError(
            f"{name}: got a nested tensor, whose rows differ in length; wanted {wanted}. A mask is rectangular: "
            "masks.lengths(...) says the same of a padded batch."
        )
    if value.ndim not in dims:
        raise ValueError(mismatch(name, value, wanted, hint))
    if value.numel() == 0:
        raise ValueError(f"{name}: got {describe_tensor(value)}, which is empty; wanted {wanted} with no size of 0.")
    return value


def require_float(value: Any, name: str, dims: tuple[int, ...], wanted: str, hint: str) -> Tensor:
    """``value`` itself, if it is a non-empty float tensor with one of ``dims`` ranks; ``hint`` if it is not float."""
    if not require_tensor(value, name, dims, wanted).is_floating_point():
        raise TypeError(mismatch(name, value, wanted, hint))
    return value


def _require_bool(keep: Any, name: str, wanted: str) -> None:
    if isinstance(keep, Tensor) and keep.dtype != torch.bool:
        if keep.is_floating_point():
            hint = "If it is an additive mask (0 and -inf), read it with conventions.from_additive(bias)."
        else:
            hint = "If it is a 0/1 attention_mask, read it with masks.padding(attention_mask)."
        raise TypeError(mismatch(name, keep, wanted, hint))


def require_keep(keep: Any, name: str = "keep") -> Tensor:
    """``keep`` itself, if it is a bool tensor of 2 to 4 dimensions; an error that names the mistake if not.

    Raises:
        TypeError: not a tensor, or not bool.
        ValueError: a rank other than 2, 3 or 4, or a size of 0.
    """
    wanted = "a bool tensor, True = may attend, broadcastable to (batch, heads, q_len, k_len)"
    _require_bool(keep, name, wanted)
    hint = "For one query write keep[None, :]." if getattr(keep, "ndim", 2) == 1 else ""
    return require_tensor(keep, name, (2, 3, 4), wanted, hint)


def require_keep_for(keep: Any, shape: Sequence[int], name: str = "keep") -> Tensor:
    """``keep`` itself, if it is bool and broadcasts to ``shape`` (..., q_len, k_len); a named error if not."""
    shape = tuple(shape)
    wanted = f"a bool tensor, True = may attend, that broadcasts to {shape}"
    _require_bool(keep, name, wanted)
    require_tensor(keep, name, tuple(range(1, 65)), wanted)
    if fits_into(keep.shape, shape):
        return keep
    hint = ""
    if keep.ndim == 2 and len(shape) > 2 and keep.shape[-1] == shape[-1]:
        hint = "If it is (batch, k_len), it is a padding mask: masks.padding(...) gives it the right shape."
    elif keep.ndim > len(shape) == 2:
        hint = f"Pick one sequence and head first: keep[{', '.join('0' * (keep.ndim - 2))}]."
    raise ValueError(mismatch(name, keep, wanted, hint))


def as_4d(keep: Tensor) -> Tensor:
    """``keep`` as (batch, heads, q_len, k_len), a view with sizes of 1 where nothing was said.

    Broadcasting aligns shapes from the right, so a 3D keep is (heads, q_len, k_len).
    """
    return require_keep(keep)[(None,) * (4 - keep.ndim)]


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


def require_count(value: Any, name: str, minimum: int = 1) -> int:
    """``value`` itself, if it is an int of at least ``minimum``; a named error if not."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(mismatch(name, value, f"an int of at least {minimum}"))
    if value < minimum:
        raise ValueError(f"{name}: got {value}, wanted an int of at least {minimum}.")
    return value


def require_side(value: Any) -> None:
    """Raises a named error unless ``value`` is a side on which padding can be."""
    if value not in ("right", "left"):
        raise ValueError(f'side: got {value!r}, wanted "right" or "left" (where the padding is).')
