"""Checks of arguments: every error names the argument, what came, what was wanted and the likely mistake.

The rest of the package calls these; nobody else needs to.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

#: What is added to a score multiplies the weight by exp(bias). At -20 that is 2e-9: whoever writes it means to hide.
HIDDEN_BELOW = -20.0


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
    if value.is_floating_point() and value.element_size() == 1:
        hint = "torch computes next to nothing in float8. Write .to(torch.float16) first, or a wider dtype."
        raise TypeError(mismatch(name, value, wanted, hint))
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
    elif keep.ndim == 3 and len(shape) == 4 and len(keep) == shape[0]:
        hint = "A 3D keep is read as (heads, q_len, k_len); for (batch, q_len, k_len) write keep[:, None]."
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


def hidden_by(bias: Tensor) -> Tensor:
    """bool of bias's shape: where a float that is added to the scores hides. The one definition of "hidden".

    A value hides if it lies ``HIDDEN_BELOW`` or more under 0, with no milder values between that bridge the distance:
    -100 beside 0 hides, and so do -inf and -1e9 beside ALiBi; the -100 of an ALiBi that falls step by step does not.
    """
    low, negative = bias <= HIDDEN_BELOW, bias < 0
    if torch.equal(low, negative):
        return low
    values = torch.cat([bias[negative].unique().double(), torch.zeros(1, dtype=torch.float64, device=bias.device)])
    gaps = (values.diff() >= -HIDDEN_BELOW).nonzero()
    return bias <= values[gaps[-1]] if len(gaps) else torch.zeros_like(low)


def by_differences(bias: Tensor) -> tuple[Tensor, Tensor]:
    """bias as softmax sees it where no key of a row is near 0: less the largest value of its row; and in which rows.

    Such a row has a key of +20 or more, which hides the others; or a fill at every key and more at some, as the sum of
    two masks leaves it, so that the keys nearest to 0 are seen after all. A row of one fill only is left as it is.

    Returns:
        float of bias's shape, and bool (..., 1), True = a row of differences.
    """
    top = bias.amax(dim=-1, keepdim=True)
    filled = top.isfinite() & (top <= HIDDEN_BELOW)
    if filled.any():
        filled &= hidden_by(bias).all(dim=-1, keepdim=True) & (bias.amin(dim=-1, keepdim=True) < top)
    rows = filled | top.isfinite() & (top >= -HIDDEN_BELOW)
    return (bias.double() - top.double().where(rows, 0) if rows.any() else bias), rows


def rounding_step(value: float, dtype: torch.dtype) -> float:
    """How far the next number of dtype is from value: scores that are added to it are rounded to such steps."""
    return math.ulp(value) * torch.finfo(dtype).eps / torch.finfo(torch.float64).eps


def weight_words(biases: Tensor | float) -> str:
    """What biases leave of a key's weight, in float32, as in ``about 0.0067 of what the score alone would give``."""
    weights = torch.as_tensor(biases, dtype=torch.float32).exp()
    low, high = (f"{w:.{2 if w > 1e-3 else 1}g}" for w in (weights.min().item(), weights.max().item()))
    if high == "0":
        return "weight exactly 0"
    return f"weight about {low if low == high else f'{low} to {high}'} of what the score alone would give"


def text_of(value: str) -> str:
    """``value`` as a file or a page can hold it: half a pair of UTF-16, which no encoding takes, becomes U+FFFD."""
    return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


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
