"""Checks of lesson 03: where new tokens are, and where the last real one is."""

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
