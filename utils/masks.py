"""Builds masks as ``keep``: bool, True = may attend, broadcastable to (batch, heads, q_len, k_len).

Rows are queries, columns are keys. Compose with ``&`` and ``|``; convert with ``utils.conventions``.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from utils.conventions import describe_tensor, read_zero_one, require_count, require_tensor


def full(q_len: int, k_len: int | None = None) -> Tensor:
    """Every query may attend to every key.

    Args:
        q_len: number of queries, at least 1.
        k_len: number of keys; q_len if not given.
    Returns:
        bool (q_len, k_len), all True.
    """
    require_count(q_len, "q_len")
    k_len = q_len if k_len is None else require_count(k_len, "k_len")
    return torch.ones(q_len, k_len, dtype=torch.bool)


def padding(attention_mask: Tensor) -> Tensor:
    """Padded keys are hidden from every query. Padded queries still attend: see lesson 02.

    Args:
        attention_mask: (batch, k_len), 1 or True for a real token, 0 or False for padding, as a
            Hugging Face tokenizer returns it.
    Returns:
        bool (batch, 1, 1, k_len).
    Raises:
        TypeError: not a tensor.
        ValueError: not 2D, empty, or values other than 0 and 1.
    """
    hint = "Add the batch: attention_mask[None]." if getattr(attention_mask, "ndim", 2) == 1 else ""
    if isinstance(attention_mask, list | tuple):
        hint = "A list is no mask; wrap it: torch.tensor(attention_mask)."
    require_tensor(attention_mask, "attention_mask", (2,), "a (batch, k_len) tensor of 0 and 1", hint)
    return read_zero_one(attention_mask, "attention_mask")[:, None, None, :]


def lengths(lengths: Tensor | Sequence[int], k_len: int | None = None, side: str = "right") -> Tensor:
    """Padded keys are hidden, given how many real tokens each sequence has.

    Args:
        lengths: (batch,) ints, a tensor or a list; 0 is allowed and hides the whole row.
        k_len: the padded length; the largest length if not given.
        side: where the padding stands, ``"right"`` or ``"left"``.
    Returns:
        bool (batch, 1, 1, k_len).
    Raises:
        TypeError: lengths that are not integers.
        ValueError: no lengths, a negative one, one beyond k_len, or an unknown side.
    """
    if isinstance(lengths, Sequence) and not isinstance(lengths, str):
        odd = [n for n in lengths if isinstance(n, bool) or not isinstance(n, int)]
        if odd:
            raise TypeError(f"lengths: got {describe_tensor(odd[0])} among them, wanted ints, one per sequence.")
        lengths = torch.tensor(lengths, dtype=torch.long)
    require_tensor(lengths, "lengths", (1,), "(batch,) ints, one length per sequence")
    if lengths.dtype == torch.bool or lengths.is_floating_point() or lengths.is_complex():
        hint = " Is this an attention_mask? Then use masks.padding." if lengths.dtype == torch.bool else ""
        raise TypeError(f"lengths: got {describe_tensor(lengths)}, wanted integers.{hint}")
    longest, shortest = int(lengths.max()), int(lengths.min())
    if shortest < 0:
        raise ValueError(f"lengths: got {shortest}, wanted lengths of at least 0.")
    if k_len is None:
        if longest == 0:
            raise ValueError("lengths: all are 0, so k_len cannot be taken from them; pass k_len.")
        k_len = longest
    require_count(k_len, "k_len")
    if longest > k_len:
        raise ValueError(f"lengths: got {longest}, which is more than k_len={k_len}. Truncate, or raise k_len.")
    if side not in ("right", "left"):
        raise ValueError(f'side: got {side!r}, wanted "right" or "left" (where the padding stands).')
    position = torch.arange(k_len, device=lengths.device)
    real = position < lengths[:, None] if side == "right" else position >= k_len - lengths[:, None]
    return real[:, None, None, :]
