"""Checks of lesson 11: labels of padded and of packed rows, and the positions of a model that counts ids."""

import torch
from torch import Tensor

from .feedback import Attempt, Mistakes, exercise, wrong_shape

EOS = 50256
NOT_SCORED = "the label at place 0 is never scored, since nothing comes before it"


@exercise(right="pads are left out, the real end stays, and no pad has to guess a first token.")
def labels_of_padded(yours: Attempt) -> Mistakes:
    """Says whether the labels of a padded batch score what a real token predicts, and nothing else.

    Args:
        yours: takes ``input_ids``, (batch, seq) int64, and ``attention_mask``, (batch, seq) int64, 1 = real; returns
            (batch, seq) int64, -100 where nothing is to be learned. The label at place 0 is never scored.

    References:
        Lesson 11.
    """
    ids = torch.tensor([[15, 50256, 27, 50256], [8, 9, 50256, 50256], [50256, 50256, 7, 50256]])
    attention_mask = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0], [0, 0, 1, 1]])
    labels = yours(ids, attention_mask, wanted="a tensor of shape (3, 4), like input_ids", shape=(3, 4))
    yield yours.changed(0), "input_ids itself was changed, and the model still needs it. Use masked_fill."
    yield yours.changed(1), "attention_mask itself was changed, and the model still needs it. Work on a new tensor."
    yield labels.dtype != torch.long, f"your labels are {labels.dtype}; cross_entropy wants int64, like input_ids."
    padded = ids.masked_fill(attention_mask == 0, -100)
    wanted = padded.masked_fill(_begins(attention_mask), -100)

    def scores(wrong: Tensor) -> bool:
        return torch.equal(labels[:, 1:], wrong[:, 1:])

    yield scores(ids), "nothing is left out: all pads are scored."
    by_id = "you looked for the pad id. Token 50256 is also a real end of text here: ask the attention_mask."
    yield scores(ids.masked_fill(ids == EOS, -100)), by_id
    polarity = "the polarity is flipped: 1 in attention_mask means a real token, and those keep their label."
    yield scores(ids.masked_fill(attention_mask == 1, -100)), polarity
    first = "the pads are left out. In row 2 the last pad on the left still has to guess the first token, at place 2."
    yield scores(padded), first
    shifted = "the labels are shifted here. The loss shifts them itself: label n belongs to token n."
    yield scores(wanted.roll(-1, 1)) or scores(padded.roll(-1, 1)), shifted
    last = "the last real token lost its label. The one before it has to predict it, and so learns to stop."
    yield scores(wanted.masked_fill(_begins(attention_mask.flip(1)).flip(1), -100)), last
    for n in range(3):
        got, right = labels[n, 1:].tolist(), wanted[n, 1:].tolist()
        yield got != right, f"row {n}: got {got} from place 1 on, wanted {right}; {NOT_SCORED}."


def _begins(attention_mask: Tensor) -> Tensor:
    """Real tokens with a pad to the left of them."""
    return torch.nn.functional.pad(attention_mask, (1, 0), value=1).diff(dim=1) == 1


@exercise(right="no text has to guess how the next one begins, whatever its number is.")
def labels_of_packed(yours: Attempt) -> Mistakes:
    """Says whether the labels of packed texts leave out the first token of each.

    Args:
        yours: takes ``input_ids`` and ``number``, (batch, seq) int64, the number of each token's text; returns (batch,
            seq) int64, -100 at the first token of each text. The label at place 0 is never scored.

    References:
        Lesson 11.
    """
    ids = torch.tensor([[5, 6, 7, 8, 9, 4], [3, 2, 3, 2, 3, 2]])
    number = torch.tensor([[0, 0, 1, 1, 1, 2], [7, 7, 3, 3, 7, 7]])
    labels = yours(ids, number, wanted="a tensor of shape (2, 6), like input_ids", shape=(2, 6))
    yield yours.changed(), "one of the inputs was changed, and the model still needs it. Use masked_fill."
    yield labels.dtype != torch.long, f"your labels are {labels.dtype}; cross_entropy wants int64, like input_ids."
    seam = torch.nn.functional.pad(number.diff(dim=1), (1, 0)) != 0
    wanted = ids.masked_fill(seam, -100)

    def scores(wrong: Tensor) -> bool:
        return torch.equal(labels[:, 1:], wrong[:, 1:])

    yield scores(ids), "every seam is scored: the last token of each text has to guess how the next one begins."
    late = "you left out the last token of each text. It is to be learned; what comes after it is not."
    ends = torch.nn.functional.pad(seam[:, 1:], (0, 1))
    yield scores(ids.masked_fill(ends, -100)), late
    yield scores(ids.masked_fill(~seam, -100)), "this is inverted: only the first tokens are left."
    rising = torch.nn.functional.pad(number.diff(dim=1), (1, 0))
    yield scores(ids.masked_fill(rising == 1, -100)), "numbers need not rise by one: a text begins where they change."
    yield scores(ids.masked_fill(rising > 0, -100)), "numbers need not rise: a text begins where they change."
    yield scores(wanted.roll(-1, 1)), "the labels are shifted here. The loss shifts them itself."
    for n in range(2):
        got, right = labels[n, 1:].tolist(), wanted[n, 1:].tolist()
        yield got != right, f"row {n}: got {got} from place 1 on, wanted {right}; {NOT_SCORED}."


@exercise(right="pads are skipped, wherever they are, and the first real token is one after the pad id.")
def positions_from_ids(yours: Attempt) -> Mistakes:
    """Says whether positions are counted from the ids, as RoBERTa does.

    Args:
        yours: takes ``input_ids``, (batch, seq) int64, and ``pad_id``; returns (batch, seq) int64: pads have the
            position pad_id, real tokens pad_id + 1, pad_id + 2, …

    References:
        Lesson 11.
    """
    for pad in (1, 0, 5):
        real = torch.tensor([[0, 0, 1, 1, 1], [1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [0, 1, 1, 0, 0]])
        ids = torch.tensor([7, 9, 8, 9, 6]).expand(4, 5).where(real == 1, pad)
        case = f"for pad_id={pad}"
        yours.case = case
        positions = yours(ids, pad, wanted="a tensor of shape (4, 5), one position per token", case=case)
        yield yours.changed(), "input_ids itself was changed, and the model still needs it. Work on a new tensor."
        yield wrong_shape(positions, (4, 5), about=", one position per token")
        numbers = f"your positions are {positions.dtype}; the model looks them up in a table, so they must be int64."
        yield positions.dtype != torch.long, numbers
        count, places = real.cumsum(1), torch.arange(5).expand(4, 5)
        wanted = count * real + pad
        yield places + pad + 1, "pads are counted, too. Only real tokens are."
        yield places, "this counts from the left edge, as GPT-2 does."
        if pad:  # with 0 these are right, or nearly
            yield (count - 1).clamp(min=0), "this is for models that begin at 0. RoBERTa begins after pad_id."
            yield count * real, "the first real token is to be at pad_id + 1, and pads at pad_id: add it."
            yield (count + pad) * real, "right for real tokens. Pads have the position pad_id, not 0."
        yield (count - 1) * real + pad, "one too low: the first real token is at pad_id + 1."
        yield (count - 1).clamp(min=0) + pad, "one too low: the first real token is at pad_id + 1. Pads are at pad_id."
        yield count + pad, "right for real tokens. A pad on the right is at pad_id, not where the last token is."
        for n in range(4):
            got, right = positions[n].tolist(), wanted[n].tolist()
            yield got != right, f"row {n}, {ids[n].tolist()}: got {got}, wanted {right}."
