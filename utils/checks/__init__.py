"""Checks for the exercises. They talk to learners: what is right, what is not, and how it may have come about.

A check prints and never raises, so an exercise that nobody has touched does not stop "Run All".
"""

from .feedback import NOT_TRIED
from .lesson_02 import (
    drawn,
    labels_for_loss,
    last_real_logits,
    left_to_right,
    mean_pool,
    next_positions,
    to_keep,
    unpack,
)
from .lesson_04 import causal_with_cache, one_bias, safe_softmax, sees_future
from .lesson_06 import attn_mask_3d, one_keep, own_sentence, to_4d
from .lesson_08 import blocks_touched, break_even, has_leak, reach

__all__ = [
    "NOT_TRIED",
    "attn_mask_3d",
    "blocks_touched",
    "break_even",
    "causal_with_cache",
    "drawn",
    "has_leak",
    "labels_for_loss",
    "last_real_logits",
    "left_to_right",
    "mean_pool",
    "next_positions",
    "one_bias",
    "one_keep",
    "own_sentence",
    "reach",
    "safe_softmax",
    "sees_future",
    "to_4d",
    "to_keep",
    "unpack",
]
