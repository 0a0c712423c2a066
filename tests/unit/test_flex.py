"""BlockMasks: what is read of one is what flex_attention computes with it, compiled and not."""

import os
import shutil
import warnings

import pytest
import torch
from torch.nn.attention.flex_attention import BlockMask, create_block_mask, flex_attention, noop_mask

from tests.support.memory import peak_bytes
from utils import _block_masks, conventions, masks
from utils.conventions import describe
from utils.patterns import recognise


def causal(b, h, q, k):
    return q >= k


def table(*rows, columns=None):
    """count and indices of one sequence and head, from the blocks that each row lists."""
    columns = columns or len(rows)
    count = torch.tensor([len(row) for row in rows], dtype=torch.int32)
    indices = torch.tensor([[*row, *[0] * (columns - len(row))] for row in rows], dtype=torch.int32)
    return count[None, None], indices[None, None]


BLOCK = torch.arange(256) // 128
DIAGONAL = BLOCK[:, None] == BLOCK
#: name → (BlockMask, what compiled flex_attention lets through, what uncompiled one does)
TABLES = {
    "no mask_mod, pytorch#182593": (
        lambda: BlockMask.from_kv_blocks(*table([0], [1])),
        DIAGONAL,
        masks.full(256),
    ),
    "a mask_mod inside the blocks": (
        lambda: BlockMask.from_kv_blocks(*table([0], [1]), mask_mod=causal),
        DIAGONAL & masks.causal(256),
        masks.causal(256),
    ),
    "full blocks, which ask no mask_mod": (
        lambda: BlockMask.from_kv_blocks(*table([0], [1]), *table([1], [0]), mask_mod=causal),
        masks.causal(256) | ~DIAGONAL,
        masks.causal(256),
    ),
    "lengths that are no multiple of a block": (
        lambda: BlockMask.from_kv_blocks(*table([0], [1]), seq_lengths=(200, 180)),
        DIAGONAL[:200, :180],
        masks.full(200, 180),
    ),
    "a row without a block": (
        lambda: BlockMask.from_kv_blocks(*table([], [0, 1]), mask_mod=causal),
        (BLOCK[:, None] == 1) & masks.causal(256),
        masks.causal(256),
    ),
}
every_table = pytest.mark.parametrize(("block_mask", "compiled", "uncompiled"), TABLES.values(), ids=TABLES)


def let_through(attention, block_mask):
    """bool (q_len, k_len): the keys that have a weight in ``attention``, told from the output, 64 values at a time."""
    q_len, k_len = block_mask.seq_lengths
    query, key = torch.randn(1, 1, q_len, 16), torch.randn(1, 1, k_len, 16)
    values = torch.nn.functional.pad(torch.eye(k_len), (0, -k_len % 64)).split(64, dim=1)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="flex_attention called without torch.compile")
        outputs = [attention(query, key, value[None, None], block_mask=block_mask) for value in values]
    return torch.cat(outputs, dim=-1)[0, 0, :, :k_len] > 0


@every_table
def test_uncompiled_flex_attention_asks_mask_mod_alone(block_mask, compiled, uncompiled):
    assert torch.equal(let_through(flex_attention, block_mask()), uncompiled)


@pytest.mark.gate
@pytest.mark.skipif(
    "CI" not in os.environ and not any(map(shutil.which, ("c++", "g++", "clang++"))),
    reason="torch.compile needs a C++ compiler, which .ci/run installs",
)
@pytest.mark.filterwarnings("ignore")
@every_table
def test_compiled_flex_attention_computes_the_tables(block_mask, compiled, uncompiled):
    torch.compiler.reset()
    assert torch.equal(let_through(torch.compile(flex_attention), block_mask()), compiled)


@every_table
def test_tables_are_read_as_compiled_flex_attention_reads_them(block_mask, compiled, uncompiled):
    description = describe(block_mask(), "flex")
    assert torch.equal(description.keep, compiled[None, None])
    assert "compiled, as its tables and its mask_mod say together" in description.read_as
    (trap,) = (trap for trap in description.warnings if "mask_mod differ" in trap.text)
    assert trap.id == "F23"
    for keep in (compiled, uncompiled):
        assert f": {'; '.join(map(str, recognise(keep)))}. " in trap.text
    with pytest.warns(UserWarning, match="The tables of block_mask and its mask_mod differ"):
        assert torch.equal(conventions.from_flex(block_mask()), compiled[None, None])


def test_D_a_block_diagonal_of_tables_alone_is_named():
    """pytorch#182593: it read as full."""
    text = str(describe(BlockMask.from_kv_blocks(*table([0], [1])), "flex"))
    assert "2 documents of 128, 128 tokens" in text
    assert (
        "partial blocks only: 2 documents of 128, 128 tokens. Uncompiled, it asks mask_mod alone: full: nothing" in text
    )


def test_there_is_no_warning_where_tables_and_mask_mod_say_the_same():
    everything = table([0, 1], [0, 1])
    for block_mask in (
        create_block_mask(causal, 2, 3, 300, 200, device="cpu"),
        create_block_mask(causal, None, None, 200, 300, device="cpu", BLOCK_SIZE=(64, 32)),
        create_block_mask(noop_mask, None, None, 200, 300, device="cpu"),
        BlockMask.from_kv_blocks(*everything),
        BlockMask.from_kv_blocks(*everything, mask_mod=causal),
        conventions.to_flex(masks.causal(200) & masks.lengths([200, 3], 200)),
    ):
        description = describe(block_mask, "flex")
        assert [trap for trap in description.warnings if "mask_mod" in trap.text] == []
        assert "compiled" not in description.read_as
        assert conventions.from_flex(block_mask).shape == block_mask.shape


@pytest.mark.parametrize("seed", range(40))
def test_tables_are_read_as_a_loop_reads_them(seed):
    torch.manual_seed(seed)
    batch, heads, rows, columns = torch.randint(1, 4, (4,)).tolist()
    q_block, k_block = (2 ** torch.randint(5, (2,))).tolist()
    q_len, k_len = rows * q_block - seed % q_block, columns * k_block - seed % k_block
    kind = torch.randint(3, (batch, heads, rows, columns))  # 0 not listed, 1 partial, 2 full
    rule = torch.rand(batch, heads, q_len, k_len) < 0.5
    pairs = []
    for wanted in (1, 2):
        indices = (kind != wanted).int().argsort(dim=-1, stable=True).int()
        count = (kind == wanted).sum(dim=-1).int()
        junk = torch.arange(columns) >= count[..., None]  # what lies behind the count is undefined
        pairs += [count, indices.masked_fill(junk, columns - 1)]
    block_mask = BlockMask.from_kv_blocks(
        *pairs, BLOCK_SIZE=(q_block, k_block), mask_mod=lambda b, h, q, k: rule[b, h, q, k], seq_lengths=(q_len, k_len)
    )
    wanted = torch.zeros_like(rule)
    for b, h, q, k in rule.nonzero().tolist():
        wanted[b, h, q, k] = kind[b, h, q // q_block, k // k_block] > 0
    for b, h, row, column in (kind == 2).nonzero().tolist():
        wanted[b, h, row * q_block : (row + 1) * q_block, column * k_block : (column + 1) * k_block] = True
    description = describe(block_mask, "flex")
    assert torch.equal(description.keep, wanted)
    differ = any("mask_mod differ" in trap.text for trap in description.warnings)
    assert differ == (not torch.equal(wanted, rule))


@pytest.mark.parametrize("block", [128, 1 << 30])
def test_a_block_of_more_cells_than_are_read_at_a_time(block):
    rows = -(-300 // block)
    block_mask = BlockMask.from_kv_blocks(  # int64 numbers of all cells would be 230 MB
        torch.ones(8, 3, rows, dtype=torch.int32),
        torch.arange(rows, dtype=torch.int32)[:, None].repeat(8, 3, 1, rows),
        BLOCK_SIZE=block,
        mask_mod=lambda b, h, q, k: (q - k) * (h + 1) * (b + 1) >= b * (h + 1) * (b + 1),
        seq_lengths=(300, 4000),
    )
    position = torch.arange(4000)
    keep = position[:300, None] >= position + torch.arange(8)[:, None, None, None]
    if block == 128:
        keep = keep & (position[:300, None] // 128 == position // 128)
    assert torch.equal(describe(block_mask, "flex").keep, keep.expand(8, 3, -1, -1))
    assert peak_bytes(lambda: _block_masks.read(block_mask)) < 4 * keep.expand(8, 3, -1, -1).numel()


# --- what flex_attention refuses -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "cut",
    [lambda b: b[0], lambda b: b[0, 1], lambda b: b[:, :, 0], lambda b: b[:, :, torch.tensor([1])]],
    ids=["[0]", "[0, 1]", "[:, :, 0]", "[:, :, tensor]"],
)
def test_D_a_sliced_block_mask_is_refused_by_name(cut):
    """pytorch#143260: its mask_mod raises, in flex_attention, too."""
    sliced = cut(create_block_mask(causal, 2, 2, 256, 256, device="cpu"))
    description = describe(sliced, "flex")
    assert (description.keep, [trap.id for trap in description.warnings]) == (None, ["F23"])
    assert "Set sliced.mask_mod to the original's, with the first query added to q" in str(description)
    with pytest.raises(ValueError, match=r"block_mask: got a BlockMask of shape .*; a sliced BlockMask has lost its"):
        conventions.from_flex(sliced)
    with pytest.raises(RuntimeError, match="Cannot use mask_mod from a sliced BlockMask"):
        let_through(flex_attention, sliced)


def test_a_sliced_block_mask_with_a_mask_mod_is_read():
    sliced = create_block_mask(causal, None, None, 512, 512, device="cpu")[:, :, 1]
    sliced.mask_mod = lambda b, h, q, k: causal(b, h, q + 128, k)
    with pytest.raises(ValueError, match="have 1 rows of blocks, for 128 queries, but its seq_lengths say 512"):
        conventions.from_flex(sliced)
    for q_len in (128, 1):
        sliced.seq_lengths = (q_len, 512)
        wanted = masks.causal(512)[128 : 128 + q_len]
        assert torch.equal(conventions.from_flex(sliced), wanted[None, None])
        assert torch.equal(let_through(flex_attention, sliced), wanted)


@pytest.mark.parametrize(
    ("block_mask", "says"),
    [
        (
            lambda: BlockMask.from_kv_blocks(*(part[0, 0] for part in table([0], [1]))),
            "no batch or no heads: kv_indices",
        ),
        (
            lambda: BlockMask.from_kv_blocks(*(part[0] for part in table([0], [1]))),
            "kv_indices has shape (2, 2); wanted",
        ),
        (lambda: BlockMask.from_kv_blocks(*table([0], [1]), seq_lengths=(256, 100)), "100 keys are 1 blocks of 128"),
    ],
)
def test_tables_that_compiled_flex_attention_cannot_read_are_refused(block_mask, says):
    block_mask = block_mask()
    description = describe(block_mask, "flex")
    assert description.keep is None
    assert says.replace("(2, 2)", str(tuple(block_mask.kv_indices.shape))) in description.warnings[0].text
    with pytest.raises(ValueError, match="block_mask: got a BlockMask of shape"):
        conventions.from_flex(block_mask)


# --- size ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(30))
def test_to_flex_makes_the_tables_of_create_block_mask(seed):
    torch.manual_seed(seed)
    batch, heads, q_len, k_len = *torch.randint(1, 4, (2,)).tolist(), *torch.randint(1, 400, (2,)).tolist()
    shape = (batch, heads, 1 if seed % 3 == 0 else q_len, k_len)
    keep = torch.rand(shape) < (0.0, 0.001, 1.0)[seed % 3]
    if seed % 2:
        keep[..., : k_len // 2] = True
    block_mask = conventions.to_flex(keep, q_len)
    whole = keep.expand(-1, -1, q_len, -1)
    theirs = create_block_mask(lambda b, h, q, k: whole[b, h, q, k], batch, heads, q_len, k_len, device="cpu")
    for ours, wanted in zip(block_mask.as_tuple()[:-1], theirs.as_tuple()[:-1], strict=True):
        if isinstance(wanted, torch.Tensor):
            assert (ours.dtype, ours.shape) == (wanted.dtype, wanted.shape)
            assert torch.equal(ours, wanted)
        else:
            assert ours == wanted
    assert torch.equal(conventions.from_flex(block_mask), whole)


#: name → (mask_mod, what is said of the BlockMask)
LONG = {
    "causal": (causal, "pattern         causal, aligned lower right"),
    "upside down": (lambda b, h, q, k: q < k, "Turned over it is: causal, aligned lower right"),
    "no mask_mod, pytorch#182593": (None, "Uncompiled, it asks mask_mod alone: full"),
}


@pytest.mark.parametrize("length", [2048, pytest.param(16_384, marks=pytest.mark.gate)])
@pytest.mark.parametrize(("mask_mod", "says"), LONG.values(), ids=LONG)
def test_E_a_long_block_mask_takes_hardly_more_memory_than_its_keep(length, mask_mod, says):
    """7 GB and a minute for 16,384 tokens, when all was asked at once."""
    rows = range(length // 128)
    lower, upper = ([range(row) for row in rows], [range(row + 1, len(rows)) for row in rows])
    full = table(*(upper if says.startswith("Turned") else lower))
    block_mask = BlockMask.from_kv_blocks(*table(*([row] for row in rows)), *full, mask_mod=mask_mod)
    texts = []
    used = peak_bytes(lambda: texts.append(str(describe(block_mask, "flex"))))
    assert says in texts[0]
    assert ("Uncompiled" in texts[0]) == (mask_mod is None)
    assert used < length**2 + 30e6, f"{used / 1e6:.0f} MB"


def test_to_flex_takes_hardly_more_memory_than_two_copies_of_keep():
    keep = masks.causal(2048)
    assert peak_bytes(lambda: conventions.to_flex(keep)) < 2.5 * keep.numel()
