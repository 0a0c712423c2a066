"""Measures which inputs reach which outputs, and finds what a mask should have hidden.

A mask is not believed but tried: an input is changed, the model runs again, and every output that moved was
reached. Masks that look right and hide nothing show here.
"""

import math
import os
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ._probe import TOKENS, Probe, takes_decoder_ids
from ._validation import as_4d, describe_tensor, fits_into, mismatch, require_count, require_keep, require_tensor
from .patterns import padding_side, recognise

__all__ = ["Checked", "Leak", "assert_no_leaks", "find_blocked", "find_leaks", "influence", "reach"]

METHODS = ("perturb", "gradient")

#: Gradients keep every layer's numbers until the end, so fewer tokens run at once.
TOKENS_WITH_GRADIENTS = TOKENS // 8

#: Equal inputs give equal outputs up to rounding: this part of their scale, or 8 steps of their dtype.
ROUNDING = 1e-3
#: Ids of up to this many different rows are changed twice, in two ways; more rows are enough to differ in.
BOTH_DRAWS = 32
#: A model that draws random numbers runs this often: one that leaves out a layer every other time is missed 1 in 256.
RUNS_OF_RANDOM_MODELS = 8
#: More steps of the dtype than other kernels, as other batches get them, are off.
STEPS_OF_KERNELS = 64


class Leak(NamedTuple):
    """One input that moves an output from which it should be hidden.

    Attributes:
        query: position of the output.
        key: position of the input.
        amount: how much the key moves the query's output, as ``influence`` measured it.
        sequence: which sequence of the batch.

    References:
        Lesson 08.
    """

    query: int
    key: int
    amount: float
    sequence: int = 0


class Checked(NamedTuple):
    """What ``assert_no_leaks`` did to be sure.

    Attributes:
        forwards: how many different sets of inputs were changed, one for each distinct row. Ids of up to 32 rows
            are changed in two ways, if the model is not of Hugging Face.
        noise_floor: outputs that moved by no more than this count as not moved; the largest of all positions, as each
            has one of its size. For language models these are the hidden states before the last linear layer.

    References:
        Lesson 08.
    """

    forwards: int
    noise_floor: float


def influence(
    model: Callable,
    input_ids: Tensor | None = None,
    *,
    inputs_embeds: Tensor | None = None,
    method: str = "perturb",
    batch_size: int | None = None,
    return_floor: bool = False,
    **model_kwargs: Any,
) -> Tensor | tuple[Tensor, float]:
    """How much each input moves each output, measured on the model as it is.

    Args:
        model: any callable that takes (batch, k_len, dim) and returns (batch, q_len, features), a Hugging Face model,
            a module of one's own that looks ids up in an ``nn.Embedding``, or one of torch's: ``nn.TransformerEncoder``
            or its layer; ``nn.MultiheadAttention`` (cross-attention if ``query=`` (batch, q_len, dim) comes with it);
            ``nn.TransformerDecoder`` or its layer, with ``memory=`` if inputs_embeds is tgt, or ``tgt=`` if it is
            memory; ``nn.Transformer``, with ``tgt=`` if inputs_embeds is src, or ``src=`` if it is tgt.
        input_ids: (k_len,) or (batch, k_len) token ids, for models that take them.
        inputs_embeds: (k_len, dim) or (batch, k_len, dim) float, instead of ids. This and a second input are batch
            first, whatever the module's ``batch_first`` says.
        method: ``"perturb"`` adds noise as large as the inputs themselves to one input after the other, and
            reports the largest change in each output. Where a model also reads its ids beside the embedding, other ids
            are tried as well, and the larger change counts. ``"gradient"`` reports the length of the gradient of
            each output, projected on one random direction; exact zeros, but blind to what a step hides and to ids
            that are read beside the embedding, and NaN where a hidden row makes the gradient NaN.
        batch_size: how many copies of the input run at once, unchanged ones included; 1 for a callable that takes
            its own batch size only. If not given, as many as make about 2,048 tokens (256 with gradients), but at
            least 4. Memory grows with it: where it runs out, name a smaller one.
        return_floor: also return the noise floor.
        **model_kwargs: passed on, such as attention_mask. Tensors with one entry per sequence are repeated for the
            copies; attn_mask, mask, src_mask, tgt_mask and memory_mask only if they have more than two dimensions.

    Returns:
        float32 (q_len, k_len), or (batch, q_len, k_len) if batch > 1: at least 0, and exactly 0 where nothing
        moved by more than the noise floor; NaN in rows whose output is NaN. With return_floor, also the floor:
        what unchanged copies in the same batches differ by, times 4 (0 for gradients). Positions of another size, and
        features a thousand times larger than others, are held to a floor of their size; the largest is returned.

    Raises:
        TypeError: a model that cannot be called, inputs that it cannot take (pixel_values: the message shows how to
            wrap the model), or max_bytes and max_copies, which batch_size replaces.
        ValueError: both or neither of the inputs, an unknown method, an output that is no (batch, q_len, features), a
            cache; active dropout and whatever else is random; batch statistics and whatever else lets copies in one
            batch move each other (with batch_size=1 each runs alone).

    Example:
        A module of one's own, such as nanoGPT, is called with ids; ``targets=`` makes it return all positions::

            measured = influence(gpt, ids, targets=ids)
            assert_no_leaks(gpt, masks.causal(ids.shape[-1]), ids, targets=ids)

        One that has no ``nn.Embedding`` begins with embeddings::

            measured = influence(lambda x: gpt.head(gpt.blocks(x)), inputs_embeds=gpt.embed(ids))

    References:
        Lesson 08; https://arxiv.org/abs/1311.2901 (occlusion) and https://arxiv.org/abs/1312.6034 (gradients)
    """
    if method not in METHODS:
        raise ValueError(f"method: got {method!r}, wanted one of {', '.join(map(repr, METHODS))}.")
    probe = Probe(model, input_ids, inputs_embeds, batch_size, model_kwargs)
    if method == "perturb":
        probe.unchanged = probe.alone()
        _require_the_same_again(probe)
    amounts, floor = (_gradients(probe), 0.0) if method == "gradient" else _perturbations(probe)
    amounts = amounts[0] if len(amounts) == 1 else amounts
    return (amounts, floor) if return_floor else amounts


def reach(keep: Tensor, layers: int = 1) -> Tensor:
    """Which inputs may reach which outputs through ``layers`` layers that all use ``keep``.

    Args:
        keep: bool, True = may attend, broadcastable to (batch, heads, q_len, k_len). Heads are joined: one
            that sees a key is enough.
        layers: number of layers, at least 1. More than one needs q_len == k_len.

    Returns:
        bool (batch, q_len, k_len): the boolean power of (keep | identity), since the residual stream carries
        every position to itself. Where q_len != k_len, keep itself.

    Raises:
        TypeError: keep is no bool tensor, or layers no int.
        ValueError: layers below 1, or several layers where q_len != k_len.

    References:
        Lesson 08; https://arxiv.org/abs/2005.00928 (attention rollout)
    """
    require_count(layers, "layers")
    one = _joined(keep)
    q_len, k_len = one.shape[-2:]
    if q_len != k_len:
        if layers > 1:
            raise ValueError(
                f"keep: got shape {tuple(keep.shape)} with layers={layers}; wanted q_len == k_len. What several layers "
                "do is a product of square masks: give the mask of the whole sequence, without a cache. If it is "
                "(batch, k_len) padding, write keep[:, None, None, :]."
            )
        return one
    one = one | torch.eye(q_len, dtype=torch.bool, device=keep.device)
    reached = one
    for _ in range(layers - 1):
        further = (reached.float() @ one.float()) > 0
        if torch.equal(further, reached):
            break
        reached = further
    return reached


def find_leaks(measured: Tensor, keep: Tensor, layers: int = 1) -> list[Leak]:
    """Where inputs move outputs that ``keep`` does not let them reach.

    Args:
        measured: float (q_len, k_len) or (batch, q_len, k_len), from ``influence``: anything above 0 is reach.
        keep: bool, True = may attend, broadcastable to (batch, heads, q_len, k_len).
        layers: layers that the measured model has; reach grows with each.

    Returns:
        Leaks in the order of sequences, queries and keys; empty if there is none.

    Raises:
        TypeError: measured is no float tensor, or keep no bool tensor.
        ValueError: shapes that do not fit, or NaN in measured, which proves nothing.

    References:
        Lesson 08.
    """
    return _leaks(*_measured_and_allowed(measured, keep, layers))


def find_blocked(measured: Tensor, keep: Tensor, layers: int = 1) -> list[tuple[int, int, int]]:
    """The other mistake: inputs that ``keep`` lets through, but that move nothing.

    Args:
        measured: float (q_len, k_len) or (batch, q_len, k_len), from ``influence``.
        keep: bool, True = may attend, broadcastable to (batch, heads, q_len, k_len).
        layers: layers that the measured model has. With several only direct attention is looked at, since longer
            ways can be too faint to measure.

    Returns:
        (sequence, query, key) of each, in that order.

    Raises:
        TypeError: measured is no float tensor, or keep no bool tensor.
        ValueError: shapes that do not fit, or NaN in measured.

    References:
        Lesson 08.
    """
    measured, _ = _measured_and_allowed(measured, keep, layers)
    direct = _joined(keep).to(measured.device).expand_as(measured)
    return [(b, q, k) for b, q, k in ((measured == 0) & direct).nonzero().tolist()]


def assert_no_leaks(
    model: Callable,
    keep: Tensor,
    input_ids: Tensor | None = None,
    *,
    inputs_embeds: Tensor | None = None,
    layers: int | None = None,
    queries: Tensor | None = None,
    tokens: Sequence[str] | None = None,
    tokenizer: Any = None,
    batch_size: int | None = None,
    **model_kwargs: Any,
) -> Checked:
    """Raises AssertionError if an input moves an output that ``keep`` does not let it reach.

    For every distinct row of what may be reached, everything outside it is changed at once and the outputs with
    that row must stay: two packed documents take two changed copies, however long they are. An input is changed by
    noise and, if it is an ordinary token id, by another id at the same time At
    the first output that moves the check stops, and inputs are tried alone to name the leak. In a batch also the
    other sequences are changed, and must not matter. A language model whose last step is a plain linear layer is
    compared before that layer, which looks at one position at a time. A keep that hides nothing leaves nothing to
    check, and the model does not run.

    Args:
        model: as for ``influence``.
        keep: bool, True = may attend, broadcastable to (batch, heads, q_len, k_len): what the model should
            do, causality included, not the mask that it gets. Here q_len counts outputs and k_len the inputs that are
            changed. Where these are two sequences (query=, tgt=, or the ids of an encoder-decoder), keep says what an
            output may depend on in the end.
        input_ids: (k_len,) or (batch, k_len) token ids, for models that take them; or
        inputs_embeds: (k_len, dim) or (batch, k_len, dim) float.
        layers: layers that reach grows through; taken from a model of Hugging Face or torch if not given, else 1.
            With 1, keep is meant for the model as a whole.
        queries: bool (q_len,) or (batch, q_len): the queries that are read later. Others, such as padding,
            may hold anything and are not looked at; all are if not given.
        tokens: k_len labels for the message; or
        tokenizer: makes them from input_ids.
        batch_size: how many copies run at once, as for ``influence``.
        **model_kwargs: passed on to the model, such as attention_mask.

    Returns:
        ``Checked(forwards, noise_floor)``.

    Raises:
        AssertionError: a leak, named with its tokens; or NaN outputs, about which nothing can be said.
        TypeError: keep is no bool tensor, and what ``influence`` refuses.
        ValueError: a model that does not react to its input at all, a keep or queries that do not fit, an
            encoder-decoder without layers=1, and what ``influence`` refuses.

    Warns:
        UserWarning: the layers let everything through that keep hides from some output, or keep hides nothing from
            the queries, so that nothing is proved about these; or the noise floor is high, as in half precision, so
            that a leak could be below it.

    References:
        Lesson 08.
    """
    probe = Probe(model, input_ids, inputs_embeds, batch_size, model_kwargs)
    keep = _keep_for(probe, keep)
    through = (_own_layers(probe) or 1) if layers is None else layers
    allowed = _allowed(probe, keep, through)
    judged = _judged(queries, allowed[..., 0])
    _warn_of_what_layers_wash_out(keep, allowed, judged, through)
    closed, row_of = _distinct_rows(allowed)
    _warn_of_queries_that_see_everything((row_of >= 0) & keep.any(dim=-1), (row_of >= 0) & judged)
    if not len(closed) and probe.batch == 1:
        return Checked(0, 0.0)
    unchanged = probe.unchanged = probe.alone(before_head=True)
    _require_the_same_again(probe)
    between, noise = _check_between_sequences(probe) if probe.batch > 1 else (0, 0.0)
    movement = None
    if len(closed):
        movement, noise_within = _first_movement(probe, closed, row_of, judged)
        noise = max(noise, noise_within)
    if movement is None:
        _warn_of_a_high_floor(unchanged, noise, probe.floor(noise, judged))
        return Checked(len(closed) + between, probe.floor(noise, judged))
    if tokens is None and tokenizer is not None and input_ids is not None:
        from . import text

        tokens = text.labels(tokenizer, probe.input_ids[movement.sequence])
    name = _name("query", movement.query, tokens, movement.sequence, probe.batch)
    if math.isnan(movement.amount):
        raise AssertionError(
            f"{name}: the output is NaN, so nothing can be said about what reaches it. Is everything hidden from it? "
            "Queries that nobody reads can be left out with queries=."
        )
    leaks, are_all, floor = _leaks_behind(probe, movement, allowed, judged)
    if not leaks:
        raise AssertionError(
            f"{name} moves if everything that it should not reach{_through(through)} is changed together, though no "
            f"single input moves it by more than the noise floor {floor:.2g}."
        )
    lines = [*_message(leaks, are_all, keep, allowed, through, tokens, floor)]
    if not probe.across:
        lines += _layers_in_words(keep, leaks[0], through, _own_layers(probe), assumed=layers is None)
    raise AssertionError("\n".join(lines))


# --- the two measurements ----------------------------------------------------------------------------


def _perturbations(probe: Probe) -> tuple[Tensor, float]:
    """(batch, q_len, k_len) largest changes, 0 below the floor, and the floor."""
    one_at_a_time = torch.eye(probe.k_len, dtype=torch.bool, device=probe.embeds.device)
    where = one_at_a_time[:, None].expand(-1, probe.batch, -1)
    amounts, noise = _changes(probe, where, probe.copies())
    if probe.by_ids and _reads_ids_elsewhere(probe, noise):
        for second in (False, True):
            by_ids, noise_by_ids = _changes(probe, where, probe.copies(), noise=False, ids=True, second=second)
            amounts, noise = torch.maximum(amounts, by_ids), max(noise, noise_by_ids)
    return amounts.permute(1, 2, 0).contiguous(), probe.floor(noise)


@torch.no_grad()
def _reads_ids_elsewhere(probe: Probe, noise: float) -> bool:
    """Whether outputs depend on the ids in another way than through their embedding, which is held as it was."""
    three = torch.stack([probe.input_ids, probe.other_ids, probe.third_ids])
    delta = torch.zeros_like(probe.embeds)[None]
    runs = [three] if probe.copies() > 2 else three[:, None]
    same, *others = torch.cat([probe.run(delta.repeat(len(ids), 1, 1, 1), ids, hold=True) for ids in runs])
    parts = torch.stack([_largest_change(probe, other, same)[1] for other in others])
    return bool((parts.nan_to_num(0) > max(noise, _rounding(same))).any())


def _changes(
    probe: Probe, where: Tensor, copies: int, noise: bool = True, ids: bool = False, second: bool = False
) -> tuple[Tensor, float]:
    """(changed copies, batch, q_len) how much outputs move if inputs change, 0 where that is noise; and the noise.

    The noise is a part of each output's scale.
    """
    seconds = torch.full_like(where[:, 0, 0], second)
    batches = [*_batches(probe, where, copies, noise=noise, ids=ids, second=seconds)]
    level = max(level for *_, level in batches)
    amounts, parts = torch.cat([a for a, *_ in batches]), torch.cat([p for _, p, _ in batches])
    return amounts.masked_fill(parts <= level, 0.0), level


@torch.no_grad()
def _batches(
    probe: Probe,
    where: Tensor,
    copies: int,
    second: Tensor,
    twin: bool = True,
    noise: bool = True,
    ids: bool = False,
) -> Iterator[tuple[Tensor, Tensor, float]]:
    """How much outputs move, batch after batch of copies: amounts, parts of the scale of outputs, and the noise.

    ``where`` is bool (changed copies, batch, k_len), True at inputs to change; ``copies`` run at once. ``second``
    is bool (changed copies,), True where the second draw changes them. Amounts and parts are (copies of this batch,
    batch, q_len); what is no more than the noise, also a part, is no movement. Each batch of copies begins with an
    unchanged one that the others are compared with, and ends with its twin, which shows what equal copies differ
    by. Where there is no room for these, each copy runs alone, and the twin after the others.
    """
    room = copies - 1 - twin
    if room <= 0:
        alone = probe.unchanged = probe.alone() if probe.unchanged is None else probe.unchanged
    same = torch.zeros_like(where[:1])
    number = math.ceil(len(where) / max(room, 1))
    with _bar(where.chunk(number)) as chunks:  # of equal size
        for chunk, draw in zip(chunks, second.chunk(number), strict=True):
            level = 0.0
            if room > 0:
                draw = nn.functional.pad(draw, (1, int(twin)))
                outputs = probe.run_changed(torch.cat([same, chunk] + [same] * twin), noise=noise, ids=ids, second=draw)
                level = _require_steady(probe, outputs[0], len(outputs))
                reference, changed = outputs[0], outputs[1:]
            else:
                reference, changed = alone, probe.run_changed(chunk, noise=noise, ids=ids, second=draw)
            pairs = [_largest_change(probe, output, reference) for output in changed]
            amounts, parts = torch.stack([a for a, _ in pairs]), torch.stack([p for _, p in pairs])
            level = max(level, _rounding(reference))
            if twin and room > 0:
                _require_steady(probe, changed[-1], len(outputs))
                level = max(level, 4 * parts[-1].nan_to_num(0).max().item())
            yield amounts[: len(chunk)], parts[: len(chunk)], level
    if twin and room <= 0:
        _require_steady(probe, probe.run(torch.zeros_like(probe.embeds)[None])[0], 1)


def _largest_change(probe: Probe, output: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
    """(batch, q_len) over the features of one copy: what changed by more than rounding, and as a part of its scale.

    NaN where the reference is NaN, inf where only the copy is.
    """
    scale = probe.scale()
    change = (output.to(scale) - reference.to(scale)).abs_()
    if not change.isfinite().all():
        change.masked_fill_(output == reference, 0.0)  # inf - inf
        change.masked_fill_(output.isnan() & ~reference.isnan(), torch.inf)
    parts = change / scale
    largest = change.masked_fill_(parts <= _rounding(reference), 0.0).amax(dim=-1)
    tiny = torch.finfo(torch.float32).tiny  # float64 has smaller numbers, which are movements, too
    return largest.masked_fill((largest > 0) & (largest < tiny), tiny).float(), parts.amax(dim=-1)


def _rounding(outputs: Tensor) -> float:
    """Arithmetic cannot resolve less than this part, whatever unchanged copies show."""
    return torch.finfo(outputs.dtype).eps


def _tolerance(outputs: Tensor) -> float:
    return max(ROUNDING, 8 * _rounding(outputs))


def _random(difference: float, tolerance: float) -> str:
    return (
        f"model: run twice on the same input it gives outputs that differ by {difference:.2g}, where rounding explains "
        f"{tolerance:.1g}. It is random (functional dropout?), so outputs move by themselves: call model.eval(), or "
        "set the rate of its config to 0."
    )


def _drift(probe: Probe, one: Tensor, other: Tensor) -> float:
    """How far outputs of equal inputs are apart, as a part of their scale."""
    return _largest_change(probe, one, other)[1].nan_to_num(0).max().item()


@torch.no_grad()
def _require_steady(probe: Probe, outputs: Tensor, copies: int) -> float:
    """The noise, as a part of their scale, in outputs of the unchanged input beside others in a batch of ``copies``.

    More than rounding explains is refused, and so is less, if the other copies are behind it.
    """
    if probe.unchanged is None:
        probe.unchanged = outputs
    tolerance, kernels = _tolerance(outputs), STEPS_OF_KERNELS * _rounding(outputs)
    zero = torch.zeros_like(probe.embeds)[None]
    together = _drift(probe, outputs, probe.unchanged)
    if together > tolerance:
        apart = _drift(probe, probe.run(zero)[0], probe.run(zero)[0])
        if apart > tolerance:
            raise ValueError(_random(probe.floor(apart), probe.floor(tolerance)))
    elif together <= kernels or probe.is_noisy is not None:
        return together if probe.is_noisy else 0.0  # what is compared comes from the same kernels
    else:  # other kernels, noise, or a weak coupling: only the last depends on what the other copies are
        equal, again = (probe.run(zero.repeat(copies, 1, 1, 1))[0] for _ in range(2))
        coupling, noise = _drift(probe, outputs, equal), _drift(probe, again, equal)
        if coupling <= kernels or noise > kernels:
            probe.is_noisy = noise > kernels
            return together if probe.is_noisy else max(coupling, noise)
        together, tolerance = coupling, kernels
    raise ValueError(
        f"model: the same input gives outputs that differ by {probe.floor(together):.2g} when other copies run beside "
        f"it, where rounding explains {probe.floor(tolerance):.1g}. Something couples the sequences of a batch: batch "
        "statistics (call model.eval()), or dimensions in the wrong order (is batch_first missing?). With batch_size=1 "
        "each copy runs alone."
    )


@torch.no_grad()
def _require_the_same_again(probe: Probe) -> None:
    """Refuses a model that draws random numbers and sometimes gives other outputs, as where it leaves layers out."""
    unchanged = probe.alone() if probe.unchanged is None else probe.unchanged
    zero, tolerance = torch.zeros_like(probe.embeds)[None], _tolerance(unchanged)
    for _ in range(RUNS_OF_RANDOM_MODELS if probe.draws else 0):
        if (apart := _drift(probe, probe.run(zero)[0], unchanged)) > tolerance:
            raise ValueError(_random(probe.floor(apart), probe.floor(tolerance)))


def _gradients(probe: Probe) -> Tensor:
    """(batch, q_len, k_len) lengths of gradients: copy q is asked for the gradient of output q."""
    zero = torch.zeros_like(probe.embeds)[None]
    with torch.no_grad():
        _, _, q_len, features = probe.run(zero).shape
    direction = torch.randn(features, generator=torch.Generator().manual_seed(1)).to(probe.embeds.device)
    rows = []
    with torch.enable_grad(), _bar(torch.arange(q_len).split(probe.copies(TOKENS_WITH_GRADIENTS))) as parts:
        for queries in parts:
            delta = zero.repeat(len(queries), 1, 1, 1).requires_grad_()
            outputs = probe.run(delta)[torch.arange(len(queries)), :, queries]  # (copies, batch, features)
            gradient = None
            if outputs.requires_grad:  # otherwise nothing of the input is left in them
                (gradient,) = torch.autograd.grad((outputs.float() @ direction).sum(), delta, allow_unused=True)
            gradient = torch.zeros_like(delta) if gradient is None else gradient
            rows.append(gradient.float().norm(dim=-1))  # (copies, batch, k_len)
    return torch.cat(rows).transpose(0, 1)


@contextmanager
def _bar(batches: Sequence[Tensor]) -> Iterator[Iterable[Tensor]]:
    """The same batches, with a bar if they take longer than two seconds and somebody watches: never in a log."""
    from tqdm import auto

    in_notebook = auto.notebook_tqdm is not auto.std_tqdm
    # The bar of notebooks would not look at TQDM_DISABLE.
    silent = "TQDM_DISABLE" in os.environ or not (in_notebook or sys.stderr.isatty())
    bar = auto.tqdm(batches, desc="influence", unit="batch", delay=2, leave=False, disable=silent)
    try:
        yield _counted(batches, bar)
    finally:
        bar.total = bar.n  # to stop early is no failure: a notebook would keep the bar, in red
        bar.close()


def _counted(batches: Sequence[Tensor], bar: Any) -> Iterator[Tensor]:
    """The batches, each counted when done. A notebook's bar shows itself, in red, if one stops to iterate over it."""
    for batch in batches:
        yield batch
        bar.update()


# --- the check ---------------------------------------------------------------------------------------


class _Movement(NamedTuple):
    """An output that moves with everything that it should not reach; the amount is NaN where it is.

    ``second`` says which draw of changes moved it.
    """

    sequence: int
    query: int
    amount: float
    second: bool


def _first_movement(probe: Probe, closed: Tensor, row_of: Tensor, judged: Tensor) -> tuple[_Movement | None, float]:
    """The first judged output that moves if all that it may not reach is changed, and the noise.

    Draws of changes take turns from row to row; ids of few rows
    are changed with both, if the model is one's own and may read them in ways that one draw misses.
    """
    second = torch.arange(len(closed), device=closed.device) % 2 == 1
    movement, level = _first_movement_of_draw(probe, closed, row_of, judged, second)
    if movement is None and probe.by_ids and not probe.is_hf and len(closed) <= BOTH_DRAWS:
        movement, noise = _first_movement_of_draw(probe, closed, row_of, judged, ~second)
        level = max(level, noise)
    return movement, level


def _first_movement_of_draw(
    probe: Probe, closed: Tensor, row_of: Tensor, judged: Tensor, second: Tensor
) -> tuple[_Movement | None, float]:
    level, any_moved, start = 0.0, False, 0
    for _, parts, rounding in _batches(probe, ~closed, probe.copies(), second, twin=False, ids=True):
        if parts.shape[-1] != row_of.shape[-1]:
            raise ValueError(_other_queries(parts.shape[-1], row_of.shape[-1]))
        level = max(level, rounding)
        any_moved = any_moved or bool((parts > level).any())
        for copy, part in enumerate(parts, start):
            own = (row_of == copy) & judged  # a query whose row hides nothing has no copy of its own
            if not (own & ~(part <= level)).any():  # NaN is no proof either
                continue
            # What stays within rounding needs no twin to show the noise. What does not is asked again beside one.
            one = slice(copy, copy + 1)
            ((amounts, again, noise),) = _batches(probe, ~closed[one], probe.copies(), second[one], ids=True)
            level = max(level, noise)
            # What moved once and not again, by more than rounding, is no leak and no proof.
            difference = (part - again[0]).masked_fill(~own, 0.0).abs().nan_to_num(0).max().item()
            if probe.unchanged is not None and difference > (tolerance := _tolerance(probe.unchanged)):
                raise ValueError(_random(probe.floor(difference), probe.floor(tolerance)))
            moved = own & ~(again[0] <= level)
            if moved.any():
                moved = moved & again[0].isnan() if (moved & again[0].isnan()).any() else moved
                sequence, query = moved.nonzero()[0].tolist()
                amount = amounts[0, sequence, query].item()
                return _Movement(sequence, query, amount, bool(second[copy])), level
        start += len(parts)
    if not any_moved and not (_changes(probe, torch.ones_like(closed[:1]), probe.copies())[0] != 0).any():
        raise ValueError(
            f"model: no output moves by more than the noise floor of {probe.floor(level):.2g}, even if every input is "
            "changed. It ignores its input."
        )
    return None, level


def _leaks_behind(probe: Probe, movement: _Movement, allowed: Tensor, judged: Tensor) -> tuple[list[Leak], bool, float]:
    """Which inputs are behind a movement, whether these are all leaks that there are, and the noise floor.

    Where one batch has room for every input the whole map is measured. Elsewhere groups of inputs are, until one input
    is left, so that the first leak is named soon.
    """
    with probe.with_head():
        if probe.k_len + 2 <= probe.copies():
            amounts, floor = _perturbations(probe)
            if leaks := _leaks(amounts.masked_fill(~judged[..., None], 0.0), allowed):
                return leaks, True, floor
    sequence, query, _, second = movement
    keys = (~allowed[sequence, query]).nonzero().flatten()
    amount = 0.0
    while amount == 0 or len(keys) > 1:
        groups = keys.chunk(max(2, probe.copies() - 2))
        where = torch.zeros(len(groups), probe.batch, probe.k_len, dtype=torch.bool, device=keys.device)
        for copy, group in enumerate(groups):
            where[copy, sequence, group] = True
        changes, noise = _changes(probe, where, probe.copies(), ids=True, second=second)
        floor = probe.floor(noise)
        moving = changes[:, sequence, query].nonzero().flatten().tolist()
        if not moving:
            return [], False, floor
        keys, amount = groups[moving[0]], changes[moving[0], sequence, query].item()
        where = where[moving[0]][None]
    with probe.with_head():  # as influence measures it
        changes, noise = _changes(probe, where, probe.copies())
        floor_with_head = probe.floor(noise)
    if measured := changes[0, sequence, query].item():
        amount, floor = measured, floor_with_head
    return [Leak(query, int(keys), amount, sequence)], False, floor


def _check_between_sequences(probe: Probe) -> tuple[int, float]:
    """Sequences of a batch must not move each other. Halving the batch by each bit of their numbers tries all pairs."""
    numbers = torch.arange(probe.batch, device=probe.embeds.device)
    halves = [(numbers >> bit) & 1 == side for bit in range((probe.batch - 1).bit_length()) for side in (0, 1)]
    changed = torch.stack(halves)  # (copies, batch)
    # One copy at a time: where sequences mix, copies in one batch would mix too, and all move alike.
    moved, noise = _changes(probe, changed[..., None].expand(-1, -1, probe.k_len), copies=1, ids=True)
    wrong = (moved > 0) & ~changed[..., None]  # NaN is judged with its own sequence
    if wrong.any():
        copy, sequence, query = wrong.nonzero()[0].tolist()
        others = ", ".join(map(str, changed[copy].nonzero().flatten().tolist()[:8]))
        raise AssertionError(
            f"query {query} of sequence {sequence} is moved by other sequences of the batch (changed: {others}), by "
            f"{moved[copy, sequence, query]:.3g}. Sequences never see each other: is batch_first missing, or are two "
            "dimensions swapped?"
        )
    return len(changed), noise


# --- small parts of the checks -----------------------------------------------------------------------


def _joined(keep: Tensor) -> Tensor:
    """(batch, q_len, k_len): what at least one head lets through."""
    return as_4d(keep).any(dim=1)


def _leaks(measured: Tensor, allowed: Tensor) -> list[Leak]:
    leaking = ((measured > 0) & ~allowed).nonzero().tolist()
    return [Leak(q, k, measured[b, q, k].item(), b) for b, q, k in leaking]


def _keep_for(probe: Probe, keep: Tensor) -> Tensor:
    """keep as (batch, q_len, k_len), heads joined, if it fits the input of the probe."""
    as_batch = require_keep(keep).ndim == 2 and keep.shape == (probe.batch, probe.k_len)
    # Tokens that see each other inside a causal text: each query sees itself, and no fewer keys than the one before.
    grows = as_batch and bool(keep.diagonal().all()) and bool((keep.sum(dim=1).diff() >= 0).all())
    if as_batch and not grows and padding_side(keep) and recognise(keep)[0].name == "irregular":
        raise ValueError(
            f"keep: got {describe_tensor(keep)}, which looks like (batch, k_len) padding but would be read as "
            "(q_len, k_len). Write keep[:, None, None, :]; if each row is meant for a query, keep[None, None]."
        )
    if keep.ndim == 3 and len(keep) == probe.batch > 1 and not torch.equal(keep, keep[:1].expand_as(keep)):
        raise ValueError(
            f"keep: got {describe_tensor(keep)}, whose first size is the batch; 3D is read as (heads, q_len, k_len). "
            "For a mask of each sequence write keep[:, None]; if they are heads, keep[None]."
        )
    keep = _joined(keep).to(probe.embeds.device)
    if len(keep) not in (1, probe.batch) or keep.shape[-1] != probe.k_len:
        raise ValueError(
            f"keep: got {tuple(keep.shape)} as (batch, q_len, k_len), wanted {probe.batch} or 1 sequences of "
            f"{probe.k_len} keys, as the input has."
        )
    if keep.shape[1] == 1 < probe.k_len:  # it says nothing about queries, so ask the model how many there are
        with torch.no_grad():
            keep = keep.expand(-1, probe.run(torch.zeros_like(probe.embeds)[None]).shape[2], -1)
    return keep.expand(probe.batch, -1, -1)


def _measured_and_allowed(measured: Tensor, keep: Tensor, layers: int) -> tuple[Tensor, Tensor]:
    require_tensor(measured, "measured", (2, 3), "a float tensor (q_len, k_len) or (batch, q_len, k_len)")
    if not measured.is_floating_point():
        raise TypeError(mismatch("measured", measured, "floats from influence(...)"))
    shape = tuple(measured.shape)
    measured = measured.reshape(-1, *shape[-2:])
    joined = _joined(keep).to(measured.device)
    if not fits_into(joined.shape, measured.shape):
        raise ValueError(mismatch("keep", keep, f"one that broadcasts to measured, {shape}"))
    if measured.isnan().any():
        b, q, _ = measured.isnan().nonzero()[0].tolist()
        raise ValueError(
            f"measured: got NaN for {_name('query', q, None, b, len(measured))}: the output there is NaN, which proves "
            "nothing. A fully hidden query? Leave its row out, or give it a key to see."
        )
    # A keep that says nothing about queries, as a padding mask, holds for all of them.
    allowed = reach(joined.expand(-1, measured.shape[1], -1)[:, None], layers)
    return measured, allowed.expand_as(measured)


def _distinct_rows(allowed: Tensor) -> tuple[Tensor, Tensor]:
    """The distinct rows that hide something, in the order of their queries, and which each query has (-1: none).

    Returns:
        bool (copies, batch, k_len), with rows of True where a sequence has fewer, and int64 (batch, q_len).
    """
    per_sequence, row_of = [], []
    for rows in allowed:
        unique, inverse = torch.unique(rows, dim=0, return_inverse=True)
        hiding = ~unique.all(dim=1)
        first = torch.full_like(hiding, len(rows), dtype=torch.long).scatter_reduce(
            0, inverse, torch.arange(len(rows), device=rows.device), "amin"
        )
        order = first.masked_fill(~hiding, len(rows)).argsort()  # those that hide nothing come last
        number = torch.where(hiding, order.argsort(), -1)
        per_sequence.append(unique[order][: int(hiding.sum())])
        row_of.append(number[inverse])
    copies = max(map(len, per_sequence))
    padded = [nn.functional.pad(rows, (0, 0, 0, copies - len(rows)), value=True) for rows in per_sequence]
    return torch.stack(padded, dim=1), torch.stack(row_of)


def _judged(queries: Tensor | None, moved: Tensor) -> Tensor:
    if queries is None:
        return torch.ones_like(moved, dtype=torch.bool)
    require_tensor(queries, "queries", (1, 2), "a bool tensor (q_len,) or (batch, q_len), True = is read later")
    same_length = queries.shape[-1] == moved.shape[-1]
    if queries.dtype != torch.bool or not same_length or not fits_into(queries.shape, moved.shape):
        raise ValueError(mismatch("queries", queries, f"a bool tensor {tuple(moved.shape)}, True = is read later"))
    if not queries.any():
        raise ValueError("queries: got no True among them, so there is nothing to check.")
    return queries.to(moved.device).expand_as(moved)


def _own_layers(probe: Probe) -> int | None:
    """How many layers reach grows through, if the model tells."""
    model = probe.model
    if probe.across:
        if takes_decoder_ids(model):
            raise ValueError(
                "layers: an encoder-decoder has several stacks; wanted layers=1 with a keep (decoder length, encoder "
                "length) that says what each output may depend on in the end. To check its encoder alone, give "
                "model.get_encoder(), with layers=. To check its decoder, wrap the model: lambda x: "
                "model(inputs_embeds=source.expand(len(x), -1, -1), decoder_inputs_embeds=x).last_hidden_state."
            )
        return 1
    config = getattr(model, "config", None)
    if getattr(config, "is_encoder_decoder", False):
        return len(model.layers) if isinstance(getattr(model, "layers", None), nn.ModuleList) else None
    if config is not None and hasattr(config, "num_hidden_layers"):
        return min([config.num_hidden_layers, *_lengths_of_stacks(model, config.num_hidden_layers)])
    model = model.decoder if isinstance(model, nn.Transformer) else model
    return len(model.layers) if isinstance(model, nn.TransformerEncoder | nn.TransformerDecoder) else None


def _lengths_of_stacks(model: Any, expected: int) -> list[int]:
    """How long the lists of layers of a model are, where layers were taken out of it and its config not told."""
    modules = model.named_modules() if isinstance(model, nn.Module) else ()
    stacks = [(name.split(".")[-1], len(m)) for name, m in modules if isinstance(m, nn.ModuleList)]
    lengths = [length for name, length in stacks if name in ("layers", "layer", "h", "blocks") and length]
    return [] if expected in lengths else lengths[:1]


def _allowed(probe: Probe, keep: Tensor, layers: int) -> Tensor:
    """(batch, q_len, k_len) which inputs may reach which outputs."""
    if not probe.across:
        return reach(keep[:, None], layers)
    require_count(layers, "layers")
    if layers > 1:
        raise ValueError(
            f"layers: got {layers} where outputs and changed inputs are two sequences; wanted 1 (or nothing), since "
            "keep then says what each output may depend on in the end."
        )
    return keep


def _other_queries(outputs: int, queries: int) -> str:
    hint = ""
    if outputs == 1:
        hint = (
            " It returns the last position only, as nanoGPT does without targets: ask it for all positions (targets=), "
            "or give keep[-1:]."
        )
    return f"keep: got {queries} queries, but the model returns {outputs} outputs.{hint}"


def _closure(joined: Tensor) -> Tensor:
    """(batch, length, length) what may be reached through any number of layers; ``joined`` holds the diagonal."""
    while True:
        further = (joined.float() @ joined.float()) > 0
        if torch.equal(further, joined):
            return joined
        joined = further


def _warn_of_what_layers_wash_out(keep: Tensor, allowed: Tensor, judged: Tensor, layers: int) -> None:
    """Warns of hidden pairs where the layers let as much through as any number of them would.

    A text that is longer than what a window reaches through all layers has outputs that not everything reaches; that
    is where a missing window shows. Tokens that are connected, such as those of a document, are looked at together.
    """
    if layers == 1:
        return
    one = keep | torch.eye(keep.shape[-1], dtype=torch.bool, device=keep.device)
    washed_out = allowed & ~one & judged[..., None]
    if not washed_out.any():
        return
    closure = _closure(one)
    unlimited = (allowed == closure).all(dim=-1)  # (batch, q_len)
    connected = _closure(closure | closure.transpose(1, 2))
    unproved = washed_out & ~(connected & ~unlimited[:, None]).any(dim=-1, keepdim=True)
    if not unproved.any():
        return
    sequence, query, key = unproved.nonzero()[0].tolist()
    warnings.warn(
        f"keep hides key {key} from {_name('query', query, None, sequence, len(keep))}, but through layers={layers} "
        f"other tokens may carry it there, so this check proves nothing about this pair and {int(unproved.sum()) - 1} "
        "others: a model without this mask passes, too. For a sliding window check a model of one layer, or a text "
        "longer than (window - 1) * layers + 1 tokens. If keep is meant for the model as a whole, give layers=1.",
        stacklevel=3,
    )


def _warn_of_queries_that_see_everything(hiding: Tensor, judged: Tensor) -> None:
    """Warns if all queries from which keep hides something are left out, but for those that see nothing at all."""
    if hiding.any() and not judged.any():
        warnings.warn(
            "queries: keep hides nothing from any of these queries, so this check proves nothing. Are others read too?",
            stacklevel=3,
        )


def _warn_of_a_high_floor(outputs: Tensor, noise: float, floor: float) -> None:
    """Warns if a leak of ordinary size could be below the floor, as half precision and noise make it."""
    dtype = outputs.dtype
    if _rounding(outputs) < 1e-4 and noise <= 2 * ROUNDING:
        return
    warnings.warn(
        f"Nothing moved by more than the noise floor of {floor:.2g}, but that is high for outputs of up to "
        f"{floor / noise:.2g} ({str(dtype).removeprefix('torch.')}): a smaller leak would not be seen. Check the model "
        'in float32 (model.float()), or find_leaks(influence(…, method="gradient"), keep, layers), which has no floor.',
        stacklevel=3,
    )


def _name(kind: str, index: int, tokens: Sequence[str] | None, sequence: int, batch: int) -> str:
    token = f" {tokens[index]!r}" if tokens is not None and index < len(tokens) else ""
    return f"{kind} {index}{token}" + (f" of sequence {sequence}" if batch > 1 else "")


def _through(layers: int) -> str:
    return f" through {layers} layers" if layers > 1 else ""


def _message(
    leaks: list[Leak], are_all: bool, keep: Tensor, allowed: Tensor, layers: int, tokens: Any, floor: float
) -> Iterator[str]:
    first = leaks[0]
    sees = allowed[first.sequence, first.query].nonzero().flatten().tolist()
    names = ", ".join(repr(tokens[k]) if tokens is not None else str(k) for k in sees[:12])
    yield (
        f"{_name('query', first.query, tokens, first.sequence, len(keep))} is moved by "
        f"{_name('key', first.key, tokens, 0, 1)}, by {first.amount:.3g}, which keep hides from it{_through(layers)}."
    )
    yield f"It may be reached by {'' if tokens is not None else 'keys '}{names}{', …' if len(sees) > 12 else ''} only."
    if are_all:
        yield f"{len(leaks)} leak{'s' if len(leaks) > 1 else ''} in all; noise floor {floor:.2g}."
    else:
        yield f"The check stopped here; find_leaks(influence(…), keep, layers) lists all. Noise floor {floor:.2g}."
    empty = ~keep.any(dim=-1)
    if all(empty[leak.sequence, leak.query] for leak in leaks):
        yield (
            "All of them are queries without any key, whose weights are uniform or NaN. If nobody reads them: queries=."
        )
    else:
        yield "conventions.describe(mask, api) says how the mask is read."


def _layers_in_words(keep: Tensor, leak: Leak, layers: int, own: int | None, assumed: bool) -> Iterator[str]:
    """Whether more layers than were counted with would let a leak through; of queries after a cache nothing is said."""
    if keep.shape[-2] != keep.shape[-1]:
        return
    one = keep[leak.sequence] | torch.eye(keep.shape[-1], dtype=torch.bool, device=keep.device)
    row, needed = one[leak.query], 1
    while not row[leak.key] and needed < (own or len(one)):
        row, needed = one[row].any(dim=0), needed + 1
    if needed > layers and row[leak.key]:
        yield (
            f"layers={layers} was {'assumed' if assumed else 'given'}. {needed} layers of keep let this through, by "
            "way of other tokens: if keep is what each layer does, give the number of layers as layers=."
        )
    elif assumed and own is None:
        yield "layers=1 was assumed; more layers of keep would not let this through either."
