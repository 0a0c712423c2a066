"""Reads a ``BlockMask`` of flex_attention: its tables, which say block by block, and its mask_mod, key by key.

Compiled, flex_attention computes the blocks of the tables, and asks mask_mod in partial blocks only. Uncompiled it asks
mask_mod alone. ``create_block_mask`` makes the tables from mask_mod, so both say the same. ``from_kv_blocks`` takes any
tables.
"""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from .patterns import Pattern, pack, recognise_packed


def why_refused(block_mask) -> str | None:
    """Why flex_attention does not compute with this BlockMask, and what to do; None if it does."""
    if getattr(block_mask.mask_mod, "__name__", "") == "_sliced_mask_mod_error":
        return (
            "a sliced BlockMask has lost its mask_mod, and flex_attention refuses it. Set sliced.mask_mod to the "
            "original's, with the first query added to q, and sliced.seq_lengths to (q_len, k_len)."
        )
    *leading, rows, _ = block_mask.kv_indices.shape
    if len(leading) != 2:
        return (
            f"its tables have no batch or no heads: kv_indices has shape {tuple(block_mask.kv_indices.shape)}; wanted "
            "(batch, heads, rows, columns). Write kv_indices[None, None], and kv_num_blocks alike."
        )
    (q_len, k_len), (q_block, k_block) = block_mask.seq_lengths, block_mask.BLOCK_SIZE
    if rows * q_block < q_len:
        return (
            f"its tables have {rows} rows of blocks, for {rows * q_block} queries, but its seq_lengths say {q_len}. "
            "Was it sliced? Then set seq_lengths to (q_len, k_len)."
        )
    columns = -(-k_len // k_block)
    for count, indices in _tables(block_mask):
        listed = indices[torch.arange(indices.shape[-1], device=indices.device) < count[..., None]]
        if ((listed < 0) | (listed >= columns)).any():
            return f"its tables name a block that is not there: {k_len} keys are {columns} blocks of {k_block}."
    return None


def read(block_mask) -> tuple[Tensor, bool]:
    """What compiled flex_attention lets through, and whether mask_mod alone says the same.

    Args:
        block_mask: a ``BlockMask`` that ``why_refused`` has no objection to.

    Returns:
        keep: bool (batch, heads, q_len, k_len), True = may attend, with sizes of 1 where the BlockMask broadcasts.
        same: False if uncompiled flex_attention lets something else through.
    """
    keep = torch.empty(block_mask.shape, dtype=torch.bool, device=block_mask.kv_indices.device)
    same = True
    for part, tables, rule in _strips(block_mask):
        keep[:, :, part] = tables
        same = same and torch.equal(tables, rule)
    return keep, same


def recognise_mask_mod(block_mask) -> list[Pattern]:
    """What mask_mod alone is made of. As bits, it needs no room for a second mask beside what ``read`` returns."""
    bits = np.concatenate([pack(rule) for _, _, rule in _strips(block_mask)], axis=2)
    return recognise_packed(bits, block_mask.seq_lengths[1])


def make(keep: Tensor, mask_mod):
    """The ``BlockMask`` that ``create_block_mask`` would make of a (batch, heads, q_len, k_len) keep and its mask_mod.

    That would ask mask_mod for every cell, which takes many times the memory of keep.
    """
    from torch.nn.attention.flex_attention import BlockMask

    block = 128
    q_len, k_len = keep.shape[-2:]
    padded = torch.nn.functional.pad(keep, (0, -k_len % block, 0, -q_len % block))  # a block over the edge is partial
    tiles = padded.unflatten(3, (-1, block)).unflatten(2, (-1, block))  # (batch, heads, rows, block, columns, block)
    full = tiles.all(dim=5).all(dim=3)
    partial = tiles.any(dim=5).any(dim=3) & ~full
    (count, indices), (full_count, full_indices) = _table(partial), _table(full)
    lengths = (q_len, k_len)
    return BlockMask.from_kv_blocks(
        count, indices, full_count, full_indices, BLOCK_SIZE=block, mask_mod=mask_mod, seq_lengths=lengths
    )


def _table(blocks: Tensor) -> tuple[Tensor, Tensor]:
    """How many blocks of each row are True, and the columns of these, then of the rest."""
    order = blocks.int().argsort(dim=-1, descending=True, stable=True)
    return blocks.sum(dim=-1, dtype=torch.int32), order.int()


def _tables(block_mask) -> Iterator[tuple[Tensor, Tensor]]:
    """How many blocks each row of blocks lists, and which: of the partial blocks, then of the full ones."""
    yield block_mask.kv_num_blocks, block_mask.kv_indices
    if block_mask.full_kv_num_blocks is not None:
        yield block_mask.full_kv_num_blocks, block_mask.full_kv_indices


def _dense(count: Tensor, indices: Tensor, columns: int) -> Tensor:
    """bool (batch, heads, rows, columns): the blocks that a table lists. Behind its count a row holds anything."""
    used = torch.arange(indices.shape[-1], device=indices.device) < count[..., None]
    dense = torch.zeros(*count.shape, columns + 1, dtype=torch.bool, device=indices.device)
    return dense.scatter(-1, indices.where(used, columns).long(), True)[..., :columns]


def _strips(block_mask) -> Iterator[tuple[slice, Tensor, Tensor]]:
    """A few queries at a time: which, what the tables and mask_mod let through together, and what mask_mod alone.

    The index tensors of all queries at once would take many times the memory of the mask.
    """
    from torch.nn.attention.flex_attention import create_mask

    batch, heads, q_len, k_len = block_mask.shape
    q_block, k_block = block_mask.BLOCK_SIZE
    block_of_key = torch.arange(k_len, device=block_mask.kv_indices.device) // k_block
    partial, *full = (_dense(*table, -(-k_len // k_block)) for table in _tables(block_mask))
    step = min(q_block, max(1, 2**21 // (batch * heads * k_len)))
    for row, top in enumerate(range(0, q_len, q_block)):
        end = min(top + q_block, q_len)
        for start in range(top, end, step):

            def shifted(b, h, q, k, start=start):
                return block_mask.mask_mod(b, h, q + start, k)

            part = slice(start, min(start + step, end))
            rule = create_mask(shifted, batch, heads, part.stop - start, k_len, device=block_of_key.device)
            tables = rule & partial[:, :, row, None, block_of_key]
            if full:
                tables |= full[0][:, :, row, None, block_of_key]
            yield part, tables, rule
