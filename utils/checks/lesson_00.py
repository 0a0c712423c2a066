"""Checks of lesson 00: from an ignore mask to keep, weights under a keep, and a mask drawn by hand."""

import ast

import torch
from torch import Tensor

from .. import masks
from .feedback import Attempt, Mistakes, NotTried, Unsolved, exercise, fault, kind, same, speak, wrong_shape


@exercise(right="polarity turned round, and a shape that broadcasts over heads and queries.")
def to_keep(yours: Attempt) -> Mistakes:
    """Says whether a mask in which True means ignore becomes a keep.

    Args:
        yours: takes ``ignore``, (batch, k_len) bool, True = ignore; returns (batch, 1, 1, k_len) bool,
            True = may attend.

    References:
        Lesson 00.
    """
    ignore = torch.tensor([[False, False, False, True], [False, True, True, True]])
    keep = yours(ignore, wanted="a bool tensor of shape (2, 1, 1, 4)")
    yield keep.dtype != torch.bool, f"your result is {keep.dtype}; keep is bool. Note that `~` needs a bool tensor too."
    yield wrong_shape(keep, (2, 1, 1, 4), {(2, 4): "Two None between the batch and the keys do that."})
    polarity = "the shape is right, the polarity is not: in keep, True means that a key may be looked at."
    yield ignore[:, None, None], polarity
    other = not torch.equal(keep[:, 0, 0], ~ignore)
    yield other, f"got {keep[:, 0, 0].tolist()} for the ignore mask {ignore.tolist()}."


@exercise(right="hidden keys get nothing, and the visible ones share all the weight of their row.")
def masked_weights(yours: Attempt) -> Mistakes:
    """Says whether scores become weights, with hidden keys left out.

    Args:
        yours: takes ``scores``, (q_len, k_len) float32, and ``keep``, (q_len, k_len) bool, True = may attend, with at
            least one True in each row; returns weights, (q_len, k_len) float, whose rows sum to 1.

    References:
        Lesson 00.
    """
    scores = torch.tensor([[1.0, 2.0, 4.0, 8.0], [3.0, 1.0, 1.0, 2.0], [1.0, 5.0, 2.0, 2.0]]).log() - 2
    keep = torch.tensor([[1, 1, 1, 0], [0, 1, 1, 0], [1, 1, 1, 1]]).bool()
    wanted = scores.masked_fill(~keep, -torch.inf).softmax(dim=-1)
    weights = yours(scores, keep, wanted="a tensor of shape (3, 4), one weight per query and key", shape=(3, 4)).float()
    yield yours.changed(), "scores or keep was changed. Use masked_fill, not masked_fill_."
    flipped = scores.masked_fill(keep, -torch.inf).softmax(dim=-1)
    yield same(weights[:2], flipped[:2]), "the polarity is flipped: keep is True where a query may look."
    infinite = "these are the masked scores. The last step is missing: the softmax."
    yield weights.isneginf().any(), infinite
    yield weights.isnan().any(), "there is NaN, as 0 × ∞ is. Use masked_fill, do not multiply."
    yield scores.softmax(dim=-1), "these are the weights without a mask."
    late = "you masked after the softmax, so that the first row sums to less than 1. Hide before it."
    yield scores.softmax(dim=-1) * keep, late
    zero = "you gave hidden keys the score 0, which is one like any other: it still takes its share. What does not?"
    yield (scores * keep).softmax(dim=-1), zero
    columns = "your columns sum to 1, not your rows: the softmax goes over the keys, dim=-1."
    yield scores.masked_fill(~keep, -torch.inf).softmax(dim=0), columns
    first = [[round(number, 2) for number in row.tolist()] for row in (wanted[0], weights[0])]
    yield not same(weights, wanted), f"the first row should be {first[0]}; yours is {first[1]}."


def left_to_right(lab, real: int, prompt: int = 0, *, code: str | None = None, strict: bool = False) -> None:
    """Says whether the mask that is drawn in a widget hides the pads, and later keys but for those of a prompt.

    Args:
        lab: a ``widgets.MaskLab`` over a text of any length.
        real: how many keys are real; the rest are pads.
        prompt: how many keys at the beginning every query may see.
        code: what *As code* gives, to look at in place of what is drawn: graders have no browser.
        strict: whether to raise if it is not right, for those who grade.

    Raises:
        NotSolved: it is not right, or nothing is drawn, and the check is strict.

    References:
        Lesson 00.
    """
    length = len(getattr(lab, "query_tokens", ())) or 1
    key = torch.arange(length)
    drawn(lab, (masks.causal(length) | (key < prompt)) & (key < real), code=code, strict=strict)


def drawn(lab, wanted: Tensor, *, code: str | None = None, strict: bool = False) -> None:
    """Says whether the mask that a widget shows is the wanted one: what was drawn, flipped if *Flip polarity* is on.

    Args:
        lab: a ``widgets.MaskLab`` of q_len queries and k_len keys.
        wanted: (q_len, k_len) bool, True = may attend.
        code: what *As code* gives, to look at in place of what is drawn: graders have no browser.
        strict: whether to raise if it is not right, for those who grade.

    Raises:
        NotSolved: it is not right, or nothing is drawn, and the check is strict.

    References:
        Lesson 00.
    """
    speak(lambda: _judged(lab, wanted, code), strict)


def _judged(lab, wanted: Tensor, code: str | None) -> str:
    """Why a drawing is right.

    Raises:
        Unsolved: it is not.
        NotTried: nothing is hidden.
    """
    size = f"wanted a MaskLab of {wanted.shape[0]} queries and {wanted.shape[1]} keys"
    keep, flipped = getattr(lab, "keep", None), bool(getattr(lab, "flipped", False))
    if not isinstance(keep, Tensor) or keep.dtype != torch.bool or keep.shape != wanted.shape:
        raise Unsolved(f"{size}; got {kind(lab)}.")
    if code is not None:
        keep, flipped = _made_by(code), False  # the code has the flip in it
        if keep.shape != wanted.shape:
            raise Unsolved(f"{size}; what you pasted makes a mask of shape {tuple(keep.shape)}.")
    if keep.all():
        raise NotTried("Not tried yet. Click cells of the map after the mask, then run this cell again.")
    keep = keep ^ flipped  # what the map shows, and what the weights are computed with
    if flipped and torch.equal(keep, ~wanted):
        raise Unsolved("*Flip polarity* is on, so that the map shows the opposite of what you drew. Press it again.")
    if torch.equal(keep, wanted):
        return f"{int((~keep).sum())} of {keep.numel()} cells hidden, and just the right ones."
    if torch.equal(keep, ~wanted):
        raise Unsolved("you hid what should be visible, and the other way round.")
    if torch.equal(keep, wanted.mT):
        swapped = "rows and columns are exchanged."
        raise Unsolved(f"{swapped} A row is a query, who looks; a column is a key, who is looked at.")
    wrong = (keep != wanted).nonzero()
    query, key = wrong[0].tolist()
    names = f"query {query} ({lab.query_tokens[query]}) and key {key} ({lab.key_tokens[key]})"
    cells = "cell differs" if len(wrong) == 1 else "cells differ"
    raise Unsolved(f"{len(wrong)} {cells}. The first: {names}. The query {fault(keep[query, key])}.")


def _made_by(code: str) -> Tensor:
    """The ``keep`` that *As code* makes, (q_len, k_len) bool; lines after it, which call an API with it, are not run.

    Raises:
        Unsolved: it is no code, or makes something else.
        NotTried: nothing was pasted.
    """
    names = {"torch": torch, "masks": masks}
    try:
        lines = ast.parse(code).body
        last = max((number for number, line in enumerate(lines, 1) if _assigns_keep(line)), default=0)
        exec(compile(ast.Module(lines[:last], []), "what you pasted", "exec"), names)
    except Exception as error:
        what = f"what you pasted raised {type(error).__name__}: {error}."
        raise Unsolved(f"{what} Paste all that *As code* shows.") from None
    if not last:
        raise NotTried("Not tried yet. Draw in the widget, press *As code*, and paste what it shows.")
    keep = names["keep"]
    if not isinstance(keep, Tensor) or keep.dtype != torch.bool or keep.ndim != 2:
        raise Unsolved(f"keep should be a bool tensor of two dimensions; got {kind(keep)}.")
    return keep


def _assigns_keep(line: ast.stmt) -> bool:
    return isinstance(line, ast.Assign) and any(getattr(target, "id", "") == "keep" for target in line.targets)
