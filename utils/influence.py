"""Measures which inputs reach which outputs, and finds what a mask should have hidden.

A mask is not believed but tried: an input is changed, the model runs again, and every output that moved was
reached. Masks that look right and hide nothing show here.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ._validation import (
    as_4d,
    describe_tensor,
    fits_into,
    mismatch,
    require_count,
    require_float,
    require_keep,
    require_tensor,
)
from .patterns import padding_side, recognise

__all__ = ["Checked", "Leak", "assert_no_leaks", "find_blocked", "find_leaks", "influence", "reach"]

METHODS = ("perturb", "gradient")

#: Modules of torch that are called in their own way, with their own masks.
TORCH_MODULES = nn.MultiheadAttention | nn.TransformerEncoder | nn.TransformerEncoderLayer

#: About how many tokens run at once if no batch_size is given: 32 copies of 64. More is not faster.
TOKENS = 2048
#: Gradients keep every layer's numbers until the end, so fewer tokens run at once.
TOKENS_WITH_GRADIENTS = TOKENS // 8


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
        forwards: how many changed copies of the input the model ran on.
        noise_floor: outputs that moved by no more than this count as not moved.

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
        model: a Hugging Face model, ``nn.MultiheadAttention`` (self-attention, or cross-attention if
            ``query=`` (batch, q_len, dim) comes with it), ``nn.TransformerEncoder`` or one of its layers, or any
            callable that takes (batch, k_len, dim) and returns (batch, q_len, features).
        input_ids: (k_len,) or (batch, k_len) token ids, for Hugging Face models.
        inputs_embeds: (k_len, dim) or (batch, k_len, dim) float, instead of ids; batch first, whatever the
            module's ``batch_first`` says.
        method: ``"perturb"`` adds noise as large as the inputs themselves to one input after the other, and
            reports the largest change in each output. ``"gradient"`` reports the length of the gradient of
            each output, projected on one random direction; exact zeros, but blind to what a step hides, and NaN
            where a hidden row makes the gradient NaN.
        batch_size: how many copies of the input run at once, unchanged ones included; 1 for a callable that takes
            its own batch size only. If not given, as many as make about 2,048 tokens (256 with gradients), but at
            least 4. Memory grows with it: where it runs out, name a smaller one.
        return_floor: also return the noise floor.
        **model_kwargs: passed on, such as attention_mask. Tensors with one entry per sequence are repeated
            for the copies.

    Returns:
        float32 (q_len, k_len), or (batch, q_len, k_len) if batch > 1: at least 0, and exactly 0 where nothing
        moved by more than the noise floor; NaN in rows whose output is NaN. With return_floor, also the floor:
        what unchanged copies in the same batches differ by, times 4 (0 for gradients).

    Raises:
        TypeError: a model that cannot be called, inputs that it cannot take, or max_bytes and max_copies, which
            batch_size replaces.
        ValueError: both or neither of the inputs, an unknown method, an output that is no (batch, q_len, features),
            or active dropout, which would look like reach.

    References:
        Lesson 08; https://arxiv.org/abs/1311.2901 (occlusion) and https://arxiv.org/abs/1312.6034 (gradients)
    """
    if method not in METHODS:
        raise ValueError(f"method: got {method!r}, wanted one of {', '.join(map(repr, METHODS))}.")
    probe = _Probe(model, input_ids, inputs_embeds, batch_size, model_kwargs)
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
    measured, allowed = _measured_and_allowed(measured, keep, layers)
    leaking = ((measured > 0) & ~allowed).nonzero().tolist()
    return [Leak(q, k, measured[b, q, k].item(), b) for b, q, k in leaking]


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

    For every distinct row of what may be reached, everything outside it is changed at once and the outputs
    with that row must stay: two packed documents take two changed copies, however long they are. Only if one
    moves, each input is tried alone, to name the leak. In a batch also the other sequences are changed, and must not
    matter. A keep that hides nothing leaves nothing to check, and the model does not run.

    Args:
        model: as for ``influence``.
        keep: bool, True = may attend, broadcastable to (batch, heads, q_len, k_len): what the model should
            do, causality included, not the mask that it gets.
        input_ids: (k_len,) or (batch, k_len) token ids, for Hugging Face models; or
        inputs_embeds: (k_len, dim) or (batch, k_len, dim) float.
        layers: layers that reach grows through; taken from the model if not given, 1 for a plain callable.
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
        ValueError: a model that does not react to its input at all, a keep or queries that do not fit, and what
            ``influence`` refuses.

    References:
        Lesson 08.
    """
    probe = _Probe(model, input_ids, inputs_embeds, batch_size, model_kwargs)
    keep = _keep_for(probe, keep)
    layers = _layers(model) if layers is None else layers
    allowed = reach(keep[:, None], layers)
    closed, row_of = _distinct_rows(allowed)
    between, floor_between = _check_between_sequences(probe) if probe.batch > 1 else (0, 0.0)
    if not len(closed):
        return Checked(between, floor_between)
    # First without a twin to show the noise: what stays within rounding needs none. What does not is asked again.
    for twin in (False, True):
        moved, floor = _moved_together(probe, closed, row_of, twin)
        judged = _judged(queries, moved)
        bad = (moved != 0) & judged  # NaN too
        if not bad.any():
            return Checked(len(closed) + between, max(floor, floor_between))
    if tokens is None and tokenizer is not None and input_ids is not None:
        from . import text

        tokens = text.labels(tokenizer, probe.input_ids[bad.nonzero()[0, 0]])  # of the first sequence that leaks
    if (moved.isnan() & judged).any():
        b, q = (moved.isnan() & judged).nonzero()[0].tolist()
        raise AssertionError(
            f"{_name('query', q, tokens, b, probe.batch)}: the output is NaN, so nothing can be said about what "
            "reaches it. Is everything hidden from it? Queries that nobody reads can be left out with queries=."
        )
    amounts, _ = _perturbations(probe)
    leaks = find_leaks(amounts.masked_fill(~judged[..., None], 0.0), keep[:, None], layers)
    if not leaks:
        b, q = bad.nonzero()[0].tolist()
        raise AssertionError(
            f"{_name('query', q, tokens, b, probe.batch)} moves if everything that it should not reach"
            f"{_through(layers)} is changed together, though no single input moves it by more than the noise floor "
            f"{floor:.2g}."
        )
    raise AssertionError(_message(leaks, keep, allowed, layers, tokens, floor))


# --- running a model on changed copies of its input --------------------------------------------------


class _Probe:
    """Runs one model on changed copies of one input, whatever kind of model it is."""

    def __init__(self, model: Any, input_ids: Any, inputs_embeds: Any, batch_size: int | None, model_kwargs: dict):
        if not callable(model):
            raise TypeError(mismatch("model", model, "a model or a callable"))
        for name in {"max_bytes", "max_copies"} & set(model_kwargs):
            raise TypeError(f"{name}: it is gone; batch_size= says how many copies of the input run at once.")
        if batch_size is not None:
            require_count(batch_size, "batch_size")
        if (input_ids is None) == (inputs_embeds is None):
            raise ValueError(
                "input_ids, inputs_embeds: got both or neither, wanted exactly one of them. For cross-attention give "
                "what is attended to as inputs_embeds, and query=."
            )
        if model_kwargs.get("past_key_values") is not None:
            raise ValueError(
                "past_key_values: a cache belongs to one batch and is changed by running. Wrap the step in a function "
                "that takes the embeddings of all tokens, fills a new cache and returns the last outputs."
            )
        _refuse_dropout(model)
        self.model, self.kwargs, self.batch_size = model, model_kwargs, batch_size
        self.by_ids = inputs_embeds is None
        self.is_hf = hasattr(model, "get_input_embeddings") and hasattr(model, "config")
        if self.by_ids:
            self.input_ids = self._checked_ids(input_ids)
            with torch.no_grad():
                self.embeds = model.get_input_embeddings()(self.input_ids)
        else:
            wanted = "a float tensor (k_len, dim) or (batch, k_len, dim)"
            require_float(inputs_embeds, "inputs_embeds", (2, 3), wanted, "Token ids go to input_ids.")
            self.embeds = inputs_embeds.detach().reshape(-1, *inputs_embeds.shape[-2:])
        self.batch, self.k_len, dim = self.embeds.shape
        query = model_kwargs.get("query")
        if isinstance(model, nn.MultiheadAttention) and query is not None:
            wanted = f"(batch, q_len, dim) with a batch of {self.batch}, first, whatever batch_first says"
            if require_tensor(query, "query", (3,), wanted).shape[0] != self.batch:
                raise ValueError(mismatch("query", query, wanted))
        generator = torch.Generator().manual_seed(0)
        noise = torch.randn(self.k_len, dim, generator=generator).to(self.embeds)
        size = self.embeds.float().pow(2).mean(dim=(1, 2), keepdim=True).sqrt().to(self.embeds.dtype)
        self.noise = noise * size.masked_fill(size == 0, 1.0)  # (batch, k_len, dim)

    def _checked_ids(self, input_ids: Any) -> Tensor:
        wanted = "an integer tensor (k_len,) or (batch, k_len)"
        require_tensor(input_ids, "input_ids", (1, 2), wanted)
        if input_ids.is_floating_point() or input_ids.dtype == torch.bool:
            raise TypeError(mismatch("input_ids", input_ids, wanted, "Floats go to inputs_embeds."))
        if not self.is_hf:
            raise TypeError(
                f"input_ids: got them for {describe_tensor(self.model)}, which has no input embeddings of its own; "
                "wanted inputs_embeds=(batch, k_len, dim)."
            )
        return input_ids.reshape(-1, input_ids.shape[-1])

    def copies(self, tokens: int = TOKENS) -> int:
        """How many copies run at once: what was asked for, else as many as make about ``tokens``, but 4 at least."""
        return self.batch_size or max(4, tokens // (self.batch * self.k_len))

    def run(self, delta: Tensor) -> Tensor:
        """Outputs (copies, batch, q_len, features) for ``delta`` (copies, batch, k_len, dim) added to the input."""
        copies = len(delta)
        kwargs = {name: self._tile(name, value, copies) for name, value in self.kwargs.items()}
        if self.by_ids:
            output = self._run_ids(delta.flatten(0, 1), copies, kwargs)
        else:
            output = self._run_embeds((self.embeds + delta).flatten(0, 1), kwargs)
        output = _first_tensor(output)
        if output.ndim != 3 or len(output) != copies * self.batch:
            raise ValueError(
                f"model: its output is {describe_tensor(output)}, wanted (batch, q_len, features) with a batch of "
                f"{copies * self.batch}. Of a classifier measure the encoder (model.base_model); a callable that takes "
                "its own batch size only needs batch_size=1."
            )
        return output.unflatten(0, (copies, self.batch))

    def _run_ids(self, delta: Tensor, copies: int, kwargs: dict) -> Any:
        """The ids go in as they are, so positions and padding are what they would be; a hook adds delta."""
        calls = []

        def add(module: nn.Module, args: Any, output: Tensor) -> Tensor | None:
            calls.append(output.shape)
            return output + delta if len(calls) == 1 else None  # a decoder embeds its own ids with the same weight

        embedding = self.model.get_input_embeddings()
        tied = [m for m in self.model.modules() if type(m) is type(embedding) and m.weight is embedding.weight]
        handles = [module.register_forward_hook(add) for module in tied]
        try:
            output = self.model(input_ids=self.input_ids.repeat(copies, 1), **kwargs)
        finally:
            for handle in handles:
                handle.remove()
        if not calls:
            raise ValueError(
                f"model: {type(self.model).__name__} did not use its input embeddings; wanted inputs_embeds instead of "
                "input_ids, or a callable."
            )
        return output

    def _run_embeds(self, embeds: Tensor, kwargs: dict) -> Any:
        if self.is_hf:
            return self.model(inputs_embeds=embeds, **kwargs)
        if not isinstance(self.model, TORCH_MODULES):
            return self.model(embeds, **kwargs)
        attention = next(m for m in self.model.modules() if isinstance(m, nn.MultiheadAttention))
        turn = (lambda x: x) if attention.batch_first else (lambda x: x.transpose(0, 1))
        embeds = turn(embeds)
        if isinstance(self.model, nn.MultiheadAttention):
            query = kwargs.pop("query", None)
            output = self.model(embeds if query is None else turn(query), embeds, embeds, **kwargs)[0]
        else:
            output = self.model(embeds, **kwargs)
        return turn(output)

    def _tile(self, name: str, value: Any, copies: int) -> Any:
        """A tensor with one entry per sequence, repeated for the copies; anything else as it is."""
        if not isinstance(value, Tensor) or value.ndim == 0:
            return value
        per_sequence = value.shape[0] == self.batch
        if name in ("attn_mask", "mask", "src_mask"):  # torch's names: 2D is (q_len, k_len), 3D (batch * heads, …)
            is_3d = value.ndim == 3 and isinstance(self.model, TORCH_MODULES)
            per_sequence = value.shape[0] % self.batch == 0 if is_3d else per_sequence and value.ndim > 2
        return value.repeat(copies, *[1] * (value.ndim - 1)) if per_sequence else value


def _first_tensor(output: Any) -> Tensor:
    first = output[0] if isinstance(output, tuple | list) and output else output
    for candidate in (getattr(output, "logits", None), getattr(output, "last_hidden_state", None), first):
        if isinstance(candidate, Tensor):
            return candidate
    raise TypeError(f"model: it returned {describe_tensor(first)}, wanted a tensor (batch, q_len, features).")


def _refuse_dropout(model: Any) -> None:
    modules = model.modules() if isinstance(model, nn.Module) else ()
    for module in modules:
        rate = module.dropout if isinstance(module, nn.MultiheadAttention) else getattr(module, "p", 0)
        if module.training and isinstance(module, nn.MultiheadAttention | nn.modules.dropout._DropoutNd) and rate > 0:
            raise ValueError(
                f"model: it is in train mode with dropout {rate}, so outputs move by themselves. Call model.eval()."
            )


# --- the two measurements ----------------------------------------------------------------------------


def _perturbations(probe: _Probe) -> tuple[Tensor, float]:
    """(batch, q_len, k_len) largest changes, 0 below the floor, and the floor."""
    one_at_a_time = torch.eye(probe.k_len, dtype=torch.bool, device=probe.embeds.device)
    amounts, floor = _changes(probe, one_at_a_time[:, None].expand(-1, probe.batch, -1), probe.copies())
    return amounts.permute(1, 2, 0).contiguous(), floor


def _moved_together(probe: _Probe, closed: Tensor, row_of: Tensor, twin: bool) -> tuple[Tensor, float]:
    """(batch, q_len) how much each query moves if all that it may not see is changed, and the floor."""
    changes, floor = _changes(probe, ~closed, probe.copies(), twin)  # (copies, batch, q_len)
    if changes.shape[-1] != row_of.shape[-1]:
        raise ValueError(f"keep: got {row_of.shape[-1]} queries, but the model returns {changes.shape[-1]} outputs.")
    if not (changes != 0).any() and not (_changes(probe, torch.ones_like(closed[:1]), probe.copies())[0] != 0).any():
        raise ValueError(
            f"model: no output moves by more than the noise floor of {floor:.2g}, even if every input is changed. "
            "If that is much, the model is random (functional dropout?); if little, it ignores its input."
        )
    # A query whose row hides nothing has no copy of its own.
    own = changes.gather(0, row_of.clamp(min=0)[None])[0]
    return own.masked_fill(row_of < 0, 0.0), floor


def _check_between_sequences(probe: _Probe) -> tuple[int, float]:
    """Sequences of a batch must not move each other. Halving the batch by each bit of their numbers tries all pairs."""
    numbers = torch.arange(probe.batch, device=probe.embeds.device)
    halves = [(numbers >> bit) & 1 == side for bit in range((probe.batch - 1).bit_length()) for side in (0, 1)]
    changed = torch.stack(halves)  # (copies, batch)
    # One copy at a time: where sequences mix, copies in one batch would mix too, and all move alike.
    moved, floor = _changes(probe, changed[..., None].expand(-1, -1, probe.k_len), copies=1)
    wrong = (moved > 0) & ~changed[..., None]  # NaN is judged with its own sequence
    if wrong.any():
        copy, sequence, query = wrong.nonzero()[0].tolist()
        others = ", ".join(map(str, changed[copy].nonzero().flatten().tolist()[:8]))
        raise AssertionError(
            f"query {query} of sequence {sequence} is moved by other sequences of the batch (changed: {others}), by "
            f"{moved[copy, sequence, query]:.3g}. Sequences never see each other: is batch_first missing, or are two "
            "dimensions swapped?"
        )
    return len(changed), floor


def _changes(probe: _Probe, where: Tensor, copies: int, twin: bool = True) -> tuple[Tensor, float]:
    """(changed copies, batch, q_len) how much outputs move if inputs change, 0 up to the noise floor; and the floor.

    ``where`` is bool (changed copies, batch, k_len), True at inputs to change; ``copies`` run at once. Each batch of
    copies begins with an unchanged one that the others are compared with, and ends with its twin, which shows what
    equal copies differ by. Where there is no room for these, each changed copy runs alone.
    """
    room = copies - 1 - twin
    zero = torch.zeros_like(probe.embeds)[None]
    changes, floor = [], 0.0
    with torch.no_grad():
        alone = [] if room > 0 else [*probe.run(zero)]
        for part in _bar(where.chunk(math.ceil(len(where) / max(room, 1)))):  # of equal size
            delta = part[..., None] * probe.noise
            outputs = probe.run(torch.cat([zero, delta] + [zero] * twin) if room > 0 else delta)
            reference, *changed = [*alone, *outputs]
            change = torch.stack([_largest_change(output, reference) for output in changed])
            if twin and room > 0:
                floor = max(floor, 4 * change[-1].nan_to_num(0).max().item())
            # Arithmetic cannot resolve less than this, whatever the unchanged copies show.
            floor = max(floor, torch.finfo(reference.dtype).eps * reference.abs().nan_to_num(0, 0).max().item())
            changes.append(change[: len(delta)])
    amounts = torch.cat(changes)
    return amounts.masked_fill(amounts <= floor, 0.0), floor


def _largest_change(output: Tensor, reference: Tensor) -> Tensor:
    """(batch, q_len) over the features of one copy; NaN where the reference is NaN, inf where only the copy is."""
    change = (output.float() - reference.float()).abs_()
    largest = change.amax(dim=-1)
    if largest.isfinite().all():
        return largest
    change.masked_fill_(output == reference, 0.0)  # inf - inf
    change.masked_fill_(output.isnan() & ~reference.isnan(), torch.inf)
    return change.amax(dim=-1)


def _gradients(probe: _Probe) -> Tensor:
    """(batch, q_len, k_len) lengths of gradients: copy q is asked for the gradient of output q."""
    zero = torch.zeros_like(probe.embeds)[None]
    with torch.no_grad():
        _, _, q_len, features = probe.run(zero).shape
    direction = torch.randn(features, generator=torch.Generator().manual_seed(1)).to(probe.embeds.device)
    rows = []
    with torch.enable_grad():
        for queries in _bar(torch.arange(q_len).split(probe.copies(TOKENS_WITH_GRADIENTS))):
            delta = zero.repeat(len(queries), 1, 1, 1).requires_grad_()
            outputs = probe.run(delta)[torch.arange(len(queries)), :, queries]  # (copies, batch, features)
            gradient = None
            if outputs.requires_grad:  # otherwise nothing of the input is left in them
                (gradient,) = torch.autograd.grad((outputs.float() @ direction).sum(), delta, allow_unused=True)
            gradient = torch.zeros_like(delta) if gradient is None else gradient
            rows.append(gradient.float().norm(dim=-1))  # (copies, batch, k_len)
    return torch.cat(rows).transpose(0, 1)


def _bar(batches: Sequence[Tensor]) -> Iterable[Tensor]:
    """The same batches, with a bar that shows if they take longer than two seconds."""
    from tqdm.auto import tqdm

    return tqdm(batches, desc="influence", unit="batch", delay=2, leave=False)


# --- small parts of the checks -----------------------------------------------------------------------


def _joined(keep: Tensor) -> Tensor:
    """(batch, q_len, k_len): what at least one head lets through."""
    return as_4d(keep).any(dim=1)


def _keep_for(probe: _Probe, keep: Tensor) -> Tensor:
    """keep as (batch, q_len, k_len), heads joined, if it fits the input of the probe."""
    as_batch = require_keep(keep).ndim == 2 and keep.shape == (probe.batch, probe.k_len)
    if as_batch and padding_side(keep) and recognise(keep)[0].name == "irregular":
        raise ValueError(
            f"keep: got {describe_tensor(keep)}, which looks like (batch, k_len) padding but would be read as "
            "(q_len, k_len). Write keep[:, None, None, :]; if each row is meant for a query, keep[None, None]."
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
    """The distinct rows that hide something, and which of them each query has (-1: it hides nothing).

    Returns:
        bool (copies, batch, k_len), with rows of True where a sequence has fewer, and int64 (batch, q_len).
    """
    per_sequence, row_of = [], []
    for rows in allowed:
        unique, inverse = torch.unique(rows, dim=0, return_inverse=True)
        hiding = ~unique.all(dim=1)
        number = torch.where(hiding, hiding.cumsum(0) - 1, -1)
        per_sequence.append(unique[hiding])
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


def _layers(model: Any) -> int:
    config = getattr(model, "config", None)
    if getattr(config, "is_encoder_decoder", False):
        raise ValueError("layers: an encoder-decoder has several stacks; wanted the number that reach grows through.")
    if config is not None and hasattr(config, "num_hidden_layers"):
        return config.num_hidden_layers
    return len(model.layers) if isinstance(model, nn.TransformerEncoder) else 1


def _name(kind: str, index: int, tokens: Sequence[str] | None, sequence: int, batch: int) -> str:
    token = f" {tokens[index]!r}" if tokens is not None and index < len(tokens) else ""
    return f"{kind} {index}{token}" + (f" of sequence {sequence}" if batch > 1 else "")


def _through(layers: int) -> str:
    return f" through {layers} layers" if layers > 1 else ""


def _message(leaks: list[Leak], keep: Tensor, allowed: Tensor, layers: int, tokens: Any, floor: float) -> str:
    first = leaks[0]
    sees = allowed[first.sequence, first.query].nonzero().flatten().tolist()
    names = ", ".join(repr(tokens[k]) if tokens is not None else str(k) for k in sees[:12])
    lines = [
        f"{_name('query', first.query, tokens, first.sequence, len(keep))} is moved by "
        f"{_name('key', first.key, tokens, 0, 1)}, by {first.amount:.3g}, which keep hides from it{_through(layers)}.",
        f"It may be reached by {'' if tokens is not None else 'keys '}{names}{', …' if len(sees) > 12 else ''} only.",
        f"{len(leaks)} leak{'s' if len(leaks) > 1 else ''} in all; noise floor {floor:.2g}.",
    ]
    empty = ~keep.any(dim=-1)
    if all(empty[leak.sequence, leak.query] for leak in leaks):
        lines.append(
            "All of them are queries without any key, whose weights are uniform or NaN. If nobody reads them: queries=."
        )
    else:
        lines.append("conventions.describe(mask, api) says how the mask is read.")
    return "\n".join(lines)
