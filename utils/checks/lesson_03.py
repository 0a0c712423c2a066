"""Checks of lesson 03: where new tokens are, where the last real one is, and pads that change sides."""

import torch

from .feedback import Attempt, Mistakes, exercise, same, wrong_shape

ALONG = "keepdim=True keeps the dimension to count along."


@exercise(
    right="new tokens go on counting from the real ones, wherever the pads are.",
    meanings={"at non-singleton dimension 0": f"(batch,) and (new,) do not line up: {ALONG}"},
)
def next_positions(yours: Attempt) -> Mistakes:
    """Says whether new tokens after a cache get the right positions.

    Args:
        yours: takes ``attention_mask``, (batch, seq) int64, 1 = real, and ``new``, how many tokens follow; returns
            (batch, new) integers.

    References:
        Lesson 03.
    """
    attention_mask = torch.tensor([[0, 0, 0, 1, 1], [1, 1, 1, 1, 1], [1, 1, 0, 0, 0]])  # left, none, right
    wanted = torch.tensor([[2, 3], [5, 6], [2, 3]])
    positions = yours(attention_mask, 2, wanted="a tensor of shape (3, 2), a place for each new token")
    yield wanted[:, :1], "right for one new token. There are two here: count on with torch.arange(new)."
    every = "These are places of the tokens that are there; the new ones come after the last."
    hints = {(3,): ALONG, (2,): ALONG, (3, 5): every}
    yield wrong_shape(positions, (3, 2), hints, about=", a place for each new token")
    numbers = f"your places are {positions.dtype}; the model looks them up in a table, so they must be integers."
    yield positions.dtype not in (torch.int64, torch.int32), f"{numbers} int64, or int32."
    yield torch.tensor([[5, 6]] * 3), "these places count the pads too. Two rows have only two real tokens."
    count = "n real tokens stand at the places 0 to n - 1, so the next one stands at n."
    yield wanted - 1, f"one too low: {count}"
    yield wanted + 1, f"one too high: {count}"
    for n, row in enumerate(positions):
        mask = attention_mask[n].tolist()
        yield not torch.equal(row, wanted[n]), f"row {n}, with the mask {mask}: got {row.tolist()}."
    more = yours(attention_mask, 4, wanted="a tensor of shape (3, 4)", shape=(3, 4), case="right for two; for new=4")
    yield not torch.equal(more, wanted[:, :1] + torch.arange(4)), f"right for two; for new=4 got {more.tolist()}."


EACH_ROW = "Index the rows too: logits[torch.arange(batch), places]."


@exercise(
    right="the last real token of each row, with pads on the left, on the right and on both sides.",
    meanings={
        "out of bounds for dimension 0": f"The first index picks texts, not places. {EACH_ROW}",
        "out of bounds for dimension 1": "n tokens are at the places 0 to n - 1: subtract 1.",
        "same number of dimensions as input": f"gather wants an index of three dimensions. {EACH_ROW}",
    },
)
def last_real_logits(yours: Attempt) -> Mistakes:
    """Says whether the logits of the last real token are picked in each row.

    Args:
        yours: takes ``logits``, (batch, seq, vocabulary) float, and ``attention_mask``, (batch, seq) int64, 1 = real;
            returns (batch, vocabulary) float.

    References:
        Lesson 03.
    """
    logits, rows = torch.randn(4, 5, 3, generator=torch.Generator().manual_seed(0)), torch.arange(4)
    attention_mask = torch.tensor([[0, 0, 0, 1, 1], [1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [0, 1, 1, 0, 0]])
    picked = yours(logits, attention_mask, wanted="a tensor of shape (4, 3), one row of logits for each text")
    single = "your result has one number for each text; wanted the whole row of logits there, (4, 3)."
    yield picked.shape == (4,), single
    hints = {
        (4, 4, 3): f"logits[:, places] takes every one of the places from every text. {EACH_ROW}",
        (4, 1, 3): "A dimension of size 1 is left over: index with a number, not with a list of one.",
        (11, 3): "These are the logits of all real tokens. Which is the last one of each text?",
        (3,): "That is one text. Each has its own last real token.",
        (4, 5, 5, 3): "Numbers, 0 and 1, pick texts. What picks places is a bool mask, or their numbers.",
    }
    yield wrong_shape(picked, (4, 3), hints, about=", one row of logits for each text")
    yield logits[:, -1], "this is logits[:, -1]: right for pads on the left only. The last two rows end with pads."
    counted = logits[rows, attention_mask.sum(1) - 1]
    yield counted, "you counted the real tokens. That is the place only if the pads stand on the right."
    first = logits[rows, attention_mask.argmax(1)]
    yield first, "these are the logits of the first real token. argmax takes the first of several largest values."
    after = logits[rows, attention_mask.sum(1).clamp(max=4)]
    yield after, "one place too far: n tokens stand at the places 0 to n - 1."
    for n, last in enumerate((4, 4, 1, 2)):
        mask, other = attention_mask[n].tolist(), not same(picked[n], logits[n, last])
        yield other, f"row {n}, with the mask {mask}, has its last real token elsewhere."


@exercise(
    right="the pads are in front, and the tokens of each text keep their order.",
    meanings={"int64": "gather wants whole numbers as places, (batch, length) int64."},
)
def pads_to_left(yours: Attempt) -> Mistakes:
    """Says whether pads are moved to the left.

    Args:
        yours: takes ``input_ids``, (batch, seq) int64, and ``attention_mask``, (batch, seq) int64, 1 = real; returns
            (batch, seq) int64, the pads of each row before its real tokens.

    References:
        Lesson 03.
    """
    eos = 50256  # the pad, and a real token in two of the texts
    ids = torch.tensor([[7, eos, 9, eos, eos], [5, 6, 7, 8, 9], [eos, 4, 3, eos, eos], [2, 1, 8, eos, eos]])
    attention_mask = torch.tensor([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1], [0, 1, 1, 0, 0], [1, 1, 1, 1, 0]])
    wanted = torch.tensor([[eos, eos, 7, eos, 9], [5, 6, 7, 8, 9], [eos, eos, eos, 4, 3], [eos, 2, 1, 8, eos]])
    moved = yours(ids, attention_mask, wanted="a tensor of shape (4, 5), like input_ids", shape=(4, 5))
    yield yours.changed(), "one of the inputs was changed. Return a new tensor."
    yield moved.dtype != torch.long, f"your ids are {moved.dtype}; the model wants int64, like input_ids."
    yield ids, "nothing has moved."
    yield ids.flip(1), "flip turns the texts around, too: their tokens have to keep their order."
    order = attention_mask.argsort(dim=1, stable=True)
    by_id = ids.gather(1, (ids != eos).long().argsort(dim=1, stable=True))
    yield by_id, f"you looked for the pad id. Token {eos} is also a real end of text here: ask the attention_mask."
    right = ids.gather(1, (1 - attention_mask).argsort(dim=1, stable=True))
    yield right, "the pads are on the right. 0 in attention_mask is a pad, and 0 comes before 1."
    yield order, "these are places, not ids. gather picks the ids at these places: input_ids.gather(1, places)."
    yield ids[:, order[0]], "all rows were moved like the first one. Each has its own number of pads: gather."
    for n, row in enumerate(moved.tolist()):
        mask = attention_mask[n].tolist()
        yield row != wanted[n].tolist(), f"row {n}, {ids[n].tolist()} with the mask {mask}, became {row}."
