"""Checks for the exercises. They talk to learners: what is right, what is not, and how it may have come about.

A check prints and does not raise, so an exercise that nobody has touched does not stop "Run All". Graders call it with
``strict=True``: then it raises ``NotSolved``, with the same words, unless the answer is right.
"""

from .feedback import NOT_TRIED, NotSolved
from .lesson_00 import drawn, left_to_right, masked_weights, to_keep
from .lesson_01 import offsets_of, to_padded, unpack
from .lesson_02 import labels_for_loss, max_pool, mean_pool
from .lesson_03 import last_real_logits, next_positions, pads_to_left
from .lesson_04 import one_bias, safe_softmax, sees_nothing
from .lesson_05 import causal_with_cache, next_token_losses, sees_future
from .lesson_06 import attn_mask_3d, one_keep, read_attn_mask
from .lesson_07 import own_positions, own_sentence, to_4d
from .lesson_08 import has_leak, reach, shortest_text
from .lesson_09 import blocks_touched, break_even, pads_when_sorted
from .lesson_10 import cross_keep, pads_reach_target, transformer_masks
from .lesson_11 import labels_of_packed, labels_of_padded, positions_from_ids
from .lesson_12 import static_keep, tree_keep, window_with_sinks
from .lesson_13 import alibi_bias, counted, weights_with_sink

__all__ = [
    "NOT_TRIED",
    "NotSolved",
    "alibi_bias",
    "attn_mask_3d",
    "blocks_touched",
    "break_even",
    "causal_with_cache",
    "counted",
    "cross_keep",
    "drawn",
    "has_leak",
    "labels_for_loss",
    "labels_of_packed",
    "labels_of_padded",
    "last_real_logits",
    "left_to_right",
    "masked_weights",
    "max_pool",
    "mean_pool",
    "next_positions",
    "next_token_losses",
    "offsets_of",
    "one_bias",
    "one_keep",
    "own_positions",
    "own_sentence",
    "pads_reach_target",
    "pads_to_left",
    "pads_when_sorted",
    "positions_from_ids",
    "reach",
    "read_attn_mask",
    "safe_softmax",
    "sees_future",
    "sees_nothing",
    "shortest_text",
    "static_keep",
    "to_4d",
    "to_keep",
    "to_padded",
    "transformer_masks",
    "tree_keep",
    "unpack",
    "weights_with_sink",
    "window_with_sinks",
]
