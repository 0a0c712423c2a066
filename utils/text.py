"""From text to batches: readable token labels, and padding by hand (taught in lesson 02)."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ._validation import mismatch, require_count, require_side, text_of

__all__ = ["labels", "pad_batch"]


def labels(tokenizer: Any, input_ids: Tensor | Sequence[int]) -> list[str]:
    """One short, readable label per token, for the axes of a heatmap.

    A leading space, which byte-level tokenizers such as GPT-2's keep inside the token, shows as ``·``,
    a line break as ``⏎``. Special tokens keep their names.

    Args:
        tokenizer: a Hugging Face tokenizer.
        input_ids: (seq_len,) int64 token ids, one sequence without a batch dimension.

    Returns:
        seq_len strings, none of them empty.

    Raises:
        ValueError: a batch instead of one sequence, or no ids.

    References:
        Lesson 01; https://huggingface.co/docs/transformers/main_classes/tokenizer
    """
    ids = input_ids.tolist() if isinstance(input_ids, Tensor) else list(input_ids)
    if not ids or not all(isinstance(i, int) and not isinstance(i, bool) for i in ids):
        hint = "Of a batch take one row: input_ids[0]."
        raise ValueError(mismatch("input_ids", input_ids, "the ids of one sequence", hint))
    special = set(tokenizer.all_special_ids)
    tokens = tokenizer.convert_ids_to_tokens(ids)
    return [
        text_of(token) if i in special or token.startswith("##") else _readable(tokenizer, i, token)
        for i, token in zip(ids, tokens, strict=True)
    ]


def _readable(tokenizer: Any, token_id: int, token: str) -> str:
    # Wordpieces are words already; byte-level and sentencepiece tokens are an encoding, so decode those.
    text = tokenizer.decode([token_id], clean_up_tokenization_spaces=False)
    if token.startswith("▁") and not text.startswith(" "):
        text = " " + text
    return text_of(text.replace(" ", "·").replace("\n", "⏎").replace("\t", "⇥") or token)


def pad_batch(
    sequences: Sequence[Sequence[int]], pad_token_id: int, side: str = "right", length: int | None = None
) -> tuple[Tensor, Tensor]:
    """Pads token ids to one length, by hand: what ``tokenizer(..., padding=True)`` does.

    Args:
        sequences: batch lists of token ids; an empty one becomes a row of padding.
        pad_token_id: the id to fill with.
        side: where the padding goes, ``"right"`` or ``"left"``.
        length: the padded length; that of the longest sequence if not given.

    Returns:
        ``input_ids`` (batch, length) and ``attention_mask`` (batch, length), both int64; 1 = real token.

    Raises:
        TypeError: sequences that are not lists of ints.
        ValueError: an empty batch, a sequence longer than length, or an unknown side.

    References:
        Lesson 02; https://huggingface.co/docs/transformers/v5.0.0/en/pad_truncation
    """
    rows = [row.tolist() if isinstance(row, Tensor) else row for row in sequences]
    for n, row in enumerate(rows):
        if not isinstance(row, Sequence) or isinstance(row, str) or any(not isinstance(i, int) for i in row):
            raise TypeError(mismatch(f"sequences[{n}]", row, "a list of token ids", "Tokenize first."))
    if not rows:
        raise ValueError("sequences: got an empty batch, wanted at least one list of token ids.")
    require_count(pad_token_id, "pad_token_id", minimum=0)
    longest = max(map(len, rows))
    length = longest if length is None else length
    if longest == 0 and length == 0:
        raise ValueError("sequences: all are empty, so the length cannot be taken from them; pass length.")
    require_count(length, "length")
    if longest > length:
        raise ValueError(f"sequences: one has {longest} tokens, which is more than length={length}. Truncate first.")
    require_side(side)

    def padded(values: Sequence[int], fill: int) -> list[int]:
        fills = [fill] * (length - len(values))
        return [*values, *fills] if side == "right" else [*fills, *values]

    input_ids = torch.tensor([padded(row, pad_token_id) for row in rows])
    return input_ids, torch.tensor([padded([1] * len(row), 0) for row in rows])
