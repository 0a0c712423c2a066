"""Transparent scaled dot-product attention: every stage is returned, nothing is fused; and the scores of a real model.

Taught in lesson 00 (the three stages) and 04 (a row that sees nothing).
"""

import math
import sys
from contextvars import ContextVar
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ._validation import describe_tensor, require_float, require_keep_for
from .conventions import fill_value

__all__ = ["Attention", "attend", "scores_of"]

EMPTY_ROWS = ("nan", "zero", "uniform")
#: The name in transformers' registry of the implementation that keeps scores, and where it keeps those of this thread.
KEEPS_SCORES = "keeps_scores"
_kept: ContextVar[list[Tensor]] = ContextVar("kept")


class Attention(NamedTuple):
    """The stages of one attention, in order.

    Attributes:
        scores: (..., q_len, k_len) float: query · key / sqrt(head_dim).
        masked_scores: (..., q_len, k_len) float: scores plus ``fill`` where hidden.
        weights: (..., q_len, k_len) float: softmax of masked_scores over the keys; each row sums to 1 unless it is
            empty.
        output: (..., q_len, v_dim) float: weights @ value.

    References:
        Lesson 00; https://arxiv.org/abs/1706.03762, equation 1
    """

    scores: Tensor
    masked_scores: Tensor
    weights: Tensor
    output: Tensor


def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    keep: Tensor | None = None,
    fill: str | float = "-inf",
    empty_rows: str = "nan",
) -> Attention:
    """softmax(query · keyᵀ / sqrt(head_dim) + bias) · value, with every stage returned.

    Args:
        query: (..., q_len, head_dim), float.
        key: (..., k_len, head_dim), float, the dtype of query.
        value: (..., k_len, v_dim), float, the dtype of query.
        keep: bool, True = may attend, broadcastable to (..., q_len, k_len); None hides nothing.
        fill: what is added to hidden scores: ``"-inf"``, ``"min"`` (finfo of the dtype) or a negative number.
        empty_rows: what a query with no visible key gets. ``"nan"``: what the softmax makes of it, NaN for
            -inf and something finite for finite fills; ``"zero"``: weights of 0, as
            ``scaled_dot_product_attention`` does; ``"uniform"``: 1 / k_len. The last two have finite gradients.

    Returns:
        ``Attention(scores, masked_scores, weights, output)``. No input is changed.

    Raises:
        TypeError: not tensors, not float, dtypes that differ, or a keep that is not bool.
        ValueError: shapes that do not fit, or an unknown fill or empty_rows.

    References:
        Lesson 00, and lesson 04 for empty rows; Vaswani et al. 2017, equation 1, https://arxiv.org/abs/1706.03762
    """
    _check_inputs(query, key, value)
    if empty_rows not in EMPTY_ROWS:
        raise ValueError(f"empty_rows: got {empty_rows!r}, wanted one of {', '.join(map(repr, EMPTY_ROWS))}.")
    hide = fill_value(fill, query.dtype)
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])
    if keep is None:
        weights = scores.softmax(dim=-1)
        return Attention(scores, scores, weights, weights @ value)

    require_keep_for(keep, scores.shape)
    # `where` before the addition: 0 is added where kept, never 0 * inf, so kept scores keep their bits.
    bias = torch.zeros((), dtype=scores.dtype, device=scores.device).where(keep, hide)
    masked_scores = scores + bias
    if empty_rows == "nan":
        weights = masked_scores.softmax(dim=-1)
    else:
        empty = ~keep.any(dim=-1, keepdim=True)
        # Replaced before the softmax as well as after it: a NaN that `where` discards still reaches the gradient.
        weights = masked_scores.masked_fill(empty, 0.0).softmax(dim=-1)
        weights = weights.masked_fill(empty, 0.0 if empty_rows == "zero" else 1 / scores.shape[-1])
    return Attention(scores, masked_scores, weights, weights @ value)


def scores_of(model: Any, *inputs: Any, **named: Any) -> tuple[Tensor, ...]:
    """The scores of every head of a transformers model: query · key · scaling, before any mask or softmax.

    ``output_attentions`` returns weights, from which hidden scores cannot be had back. Layers after the first read what
    earlier layers wrote under the mask that is passed, so their scores depend on it.

    Args:
        model: a model of transformers whose attention goes through its registry of implementations, as that of BERT,
            GPT-2, Llama and most others does. Biases of position that such a model adds later are not in the scores.
        *inputs: what the model is called with, such as input_ids, (batch, length).
        **named: the same by name, such as attention_mask.

    Returns:
        One tensor a layer, in the order in which they run: (batch, heads, q_len, k_len), float, without gradients.

    Raises:
        ValueError: no attention of the model went through the registry, so there is nothing to return.

    References:
        Lesson 00; https://huggingface.co/docs/transformers/attention_interface
    """
    from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS, AttentionMaskInterface
    from transformers.modeling_utils import AttentionInterface

    AttentionInterface.register(KEEPS_SCORES, _eager)
    AttentionMaskInterface.register(KEEPS_SCORES, ALL_MASK_ATTENTION_FUNCTIONS["eager"])
    scores: list[Tensor] = []
    before, running = model.config._attn_implementation, _kept.set(scores)
    try:
        model.set_attn_implementation(KEEPS_SCORES)
        with torch.no_grad():
            model(*inputs, **named)
    finally:
        model.set_attn_implementation(before)
        _kept.reset(running)
    if not scores:
        raise ValueError(
            f"model: got {type(model).__name__}, whose attention does not go through transformers' registry of "
            "implementations; wanted one such as BERT, GPT-2 or Llama. Its weights are there with output_attentions."
        )
    return tuple(scores)


def _eager(module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Any, **more: Any) -> Any:
    """The model's own eager attention, which keeps its scores on the way."""
    scaling = more.get("scaling") or query.shape[-1] ** -0.5
    groups = query.shape[1] // key.shape[1]  # heads of queries that share one of keys
    _kept.get().append(query @ key.repeat_interleave(groups, dim=1).transpose(-2, -1) * scaling)
    own = sys.modules[type(module).__module__].eager_attention_forward
    return own(module, query, key, value, attention_mask, **more)


def _check_inputs(query: Tensor, key: Tensor, value: Tensor) -> None:
    for name, tensor in (("query", query), ("key", key), ("value", value)):
        wanted = "a float tensor (..., length, dim) with at least 2 dimensions"
        require_float(tensor, name, tuple(range(2, 65)), wanted, "Did you pass token ids?")
        if tensor.dtype != query.dtype:
            raise TypeError(
                f"{name}: got {describe_tensor(tensor)} beside a query of {query.dtype}; wanted one dtype for all."
            )
    if query.shape[-1] != key.shape[-1]:
        raise ValueError(
            f"key: got {describe_tensor(key)} beside a query of shape {tuple(query.shape)}; wanted the same head_dim "
            "in the last dimension."
        )
    if key.shape[-2] != value.shape[-2]:
        raise ValueError(
            f"value: got {describe_tensor(value)} beside a key of shape {tuple(key.shape)}; wanted the same k_len in "
            "the last dimension but one."
        )
    try:
        torch.broadcast_shapes(query.shape[:-2], key.shape[:-2], value.shape[:-2])
    except RuntimeError:
        raise ValueError(
            f"query, key, value: the leading dimensions {tuple(query.shape[:-2])}, {tuple(key.shape[:-2])} and "
            f"{tuple(value.shape[:-2])} do not broadcast; wanted the same batch and heads in all three."
        ) from None
