"""Checks of lesson 10: which mask serves which of an encoder-decoder's three attentions."""

import torch
from torch import Tensor

from .feedback import Attempt, Mistakes, Unsolved, exercise, kind, plain, require_vectors, wrong_shape

SOURCE, TARGET = [[1, 1, 1, 1], [1, 1, 0, 0]], [[1, 1, 1], [1, 1, 0]]
TWO_NONES = "Indexing with None adds the dimensions of heads and queries: source_mask[:, None, None]."


@exercise(
    right="each query sees the source's real tokens, whichever query it is.",
    meanings={"number of sizes provided": TWO_NONES},
)
def cross_keep(yours: Attempt) -> Mistakes:
    """Says whether a mask for cross-attention is right.

    Args:
        yours: takes ``source_mask``, (batch, source length) int64, 1 = real, and ``target_len``, an int; returns
            (batch, 1, target_len, source length) bool, True = may attend.

    References:
        Lesson 10.
    """
    source_mask = torch.tensor(SOURCE)
    wanted = source_mask.bool()[:, None, None].expand(2, 1, 3, 4)
    keep = yours(source_mask, 3, wanted="a bool tensor of shape (2, 1, 3, 4), for two texts")
    yield yours.changed(), "source_mask itself was changed. Return a new tensor."
    hints = {
        (2, 1, 4, 3): "Rows are queries, the target's tokens; columns are keys, the source's.",
        (2, 1, 1, 4): "That broadcasts, and attention would take it. Here each query gets its row: expand.",
        (2, 3, 4): "The dimension of the heads is missing.",
        (2, 4): TWO_NONES,
        (2, 1, 4, 4): "That is the encoder's mask. In cross-attention the queries are those of the target.",
        (2, 1, 3, 3): "That is the decoder's mask. In cross-attention the keys are those of the source.",
        (3, 4): "Each text has its own pads, so the batch is needed.",
        (1, 1, 3, 4): "Each text has its own pads, so the batch is needed.",
    }
    yield wrong_shape(keep, (2, 1, 3, 4), hints)
    yield keep.dtype != torch.bool, f"your result is {keep.dtype}; keep is bool: .bool(), or compare with 1."
    yield ~wanted, "the polarity is flipped: True means may attend."
    yield torch.ones_like(wanted), "nothing is hidden, and the second text has pads."
    triangle = torch.ones(3, 4).tril().bool()
    yield wanted & triangle, "there is a triangle in it. The whole source may be seen, from the first word on."
    yield triangle.expand(2, 1, 3, 4), "this is a triangle. What is hidden here are the source's pads."
    yield not torch.equal(keep, wanted), "right in shape; but which keys of the second text are pads?"
    longer = yours(source_mask, 6, wanted="a tensor of shape (2, 1, 6, 4)", case="right for three; for target_len=6")
    yield longer.shape != (2, 1, 6, 4), f"right for three; for target_len=6 the shape is {tuple(longer.shape)}."


NAMES = ("tgt_mask", "src_key_padding_mask", "tgt_key_padding_mask", "memory_key_padding_mask")
MISSING = {
    "tgt_mask": "without it the decoder sees the words that it is to write.",
    "src_key_padding_mask": "without it the source's words see the source's pads.",
    "tgt_key_padding_mask": "it hides the target's pads.",
    "memory_key_padding_mask": "without it the decoder sees the source's pads.",
}


@exercise(right="nn.Transformer hides the pads of both texts, those of the source twice, and the future.")
def transformer_masks(yours: Attempt) -> Mistakes:
    """Says whether the four arguments of ``nn.Transformer`` are right.

    Args:
        yours: takes ``source_mask``, (batch, source length), and ``target_mask``, (batch, target length), int64,
            1 = real; returns a dict of ``tgt_mask``, ``src_key_padding_mask``, ``tgt_key_padding_mask`` and
            ``memory_key_padding_mask``, bool, True = ignore.

    References:
        Lesson 10; https://docs.pytorch.org/docs/2.13/generated/torch.nn.Transformer.html
    """
    source_mask, target_mask = torch.tensor(SOURCE), torch.tensor(TARGET)
    source, target = source_mask == 0, target_mask == 0
    wanted = dict(zip(NAMES, (torch.ones(3, 3).triu(1).bool(), source, target, source), strict=True))
    words = "a dict of four tensors: " + ", ".join(NAMES)
    given = yours(source_mask, target_mask, wanted=words, result_type=dict)
    yield yours.changed(), "one of the inputs was changed. Return new tensors."
    for name in NAMES:
        yield name not in given, f"{name} is missing: {MISSING[name]}"
    unknown = [str(name) for name in given if name not in NAMES]
    yield bool(unknown), f"{', '.join(unknown)}: four arguments are enough here: {', '.join(NAMES)}."
    for name, right in wanted.items():
        yield from _argument(name, given[name], right, wanted)


def _argument(name: str, value: object, right: Tensor, wanted: dict[str, Tensor]) -> Mistakes:
    """What may be wrong with one argument of ``nn.Transformer``: its type, its shape, what is True in it."""
    value = plain(value, "a bool tensor", f"{name}:")
    if not isinstance(value, Tensor):
        raise Unsolved(f"{name}: you returned {kind(value)}; wanted a bool tensor.")
    shape, hint = tuple(right.shape), ""
    others = [other for other, mask in wanted.items() if mask.shape == value.shape and other != name]
    if value.shape != shape and others:
        hint = f" That is the shape of {others[0]}."
    yield value.shape != shape, f"{name}: your tensor has the shape {tuple(value.shape)}; wanted {shape}.{hint}"
    yield value.dtype != torch.bool, f"{name}: your tensor is {value.dtype}; wanted bool, True = ignore."
    yield torch.equal(value, ~right), f"{name}: the polarity is flipped. True means ignore in nn.Transformer."
    if name == "tgt_mask":
        yield torch.equal(value, torch.ones(3, 3).triu(0).bool()), f"{name}: each token is hidden from itself: triu(1)."
        yield torch.equal(value, right.mT), f"{name}: the past is hidden, and the future is seen: triu, not tril."
    yield not value.any(), f"{name}: nothing is True in it, so it hides nothing."
    yield not torch.equal(value, right), f"{name}: wanted {right.int().tolist()} as 1 = ignore."


@exercise(right="seven functions: pads reach the target through the encoder, through the decoder, or not at all.")
def pads_reach_target(yours: Attempt) -> Mistakes:
    """Says whether a test for the source's pads finds those that reach the target, and only those.

    Args:
        yours: takes a function from (1, source length, dim) to (1, target length, dim), ``x`` for it, and
            ``source_mask``, (1, source length) int64, 1 = real; returns True if an output depends on a pad.

    References:
        Lesson 10.
    """
    generator = torch.Generator().manual_seed(0)
    x, asked = torch.randn(1, 5, 4, generator=generator), torch.randn(3, 4, generator=generator)
    source_mask = torch.tensor([[1, 1, 1, 0, 0]])
    keep = source_mask[0] == 1

    def attend(queries: Tensor, keys: Tensor, seen: Tensor) -> Tensor:
        return (queries @ keys.mT).masked_fill(~seen, -torch.inf).softmax(-1) @ keys

    def model(in_encoder: Tensor, in_cross: Tensor, normed: bool = False):
        def function(x: Tensor) -> Tensor:
            require_vectors(x, ("texts", 5, 4), "It reads five vectors.")
            memory = x + attend(x, x, in_encoder)
            out = asked + attend(asked, memory, in_cross)
            return torch.nn.functional.layer_norm(out, (4,)) if normed else out

        return function

    every = torch.ones(5, dtype=torch.bool)
    first, last = torch.tensor([[1, 1, 1, 1, 0], [1, 1, 1, 0, 1]]).bool()
    cases = [
        (model(keep, keep), False, "both attentions hide the pads"),
        (model(keep, every), True, "cross-attention sees the pads"),
        (model(every, keep), True, "the source's words see the pads in the encoder"),
        (model(keep, first), True, "cross-attention sees the first pad alone"),
        (model(keep, last), True, "cross-attention sees the second pad alone"),
        (model(keep, every, normed=True), True, "cross-attention sees the pads, and a layer norm follows"),
        (model(keep, keep, normed=True), False, "both attentions hide the pads, and a layer norm follows"),
    ]
    for function, right, where in cases:
        said = yours(function, x, source_mask, wanted="True or False", result_type=bool)
        yield yours.changed(), "x or source_mask itself was changed. Add noise to a copy."
        hint = "Do you change the pads alone?" if not right else "Change both pads, each number by itself, by noise."
        yield said != right, f"you say {'yes' if said else 'no'} where {where}. {hint}"
    # What is real depends on the source's mask, not on the place.
    left = torch.tensor([[0, 0, 1, 1, 1]])
    said = yours(model(left[0] == 1, left[0] == 1), x, left, wanted="True or False", result_type=bool)
    yield said, "you say yes where both hide two pads on the left. Ask source_mask which tokens are pads."
