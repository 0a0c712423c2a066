"""Runs one model on changed copies of one input, whatever kind of model it is.

``influence`` decides what to change and what a movement means; here is how a model is called.
"""

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ._transformers import special_ids
from ._validation import describe_tensor, mismatch, require_count, require_float, require_tensor

#: Modules of torch with two inputs, and what these are called. The outputs are always those of ``tgt``.
TWO_INPUTS: dict[Any, tuple[str, str]] = {
    nn.TransformerDecoderLayer: ("tgt", "memory"),
    nn.TransformerDecoder: ("tgt", "memory"),
    nn.Transformer: ("src", "tgt"),
}
#: Modules of torch that are called in their own way, with their own masks.
TORCH_MODULES: tuple[Any, ...] = (nn.MultiheadAttention, nn.TransformerEncoder, nn.TransformerEncoderLayer, *TWO_INPUTS)
#: Masks that are (q_len, k_len) if they have two dimensions: no entry per sequence, whatever their size.
SQUARE_MASKS = ("attn_mask", "mask", "src_mask", "tgt_mask", "memory_mask")

#: About how many tokens run at once if no batch_size is given: 32 copies of 64. More is not faster.
TOKENS = 2048

#: How many times larger than a usual feature of its position one has to be to count for itself only.
HUGE = 1e3


class Probe:
    """One model and one input, of which changed copies are run.

    Attributes:
        embeds: (batch, k_len, dim) the input, or the embeddings of its ids.
        noise: (batch, k_len, dim) what a change adds to it.
        across: whether outputs have positions of their own, as in cross-attention, so that output 3 need not be
            reached by input 3.
        unchanged: (batch, q_len, features) what the unchanged input gives, once that was asked for.
        is_noisy: whether equal batches were seen to differ by noise, or only other kernels; None if nobody looked.
        draws: whether the model drew random numbers when it ran alone.
    """

    def __init__(self, model: Any, input_ids: Any, inputs_embeds: Any, batch_size: int | None, model_kwargs: dict):
        if not callable(model):
            raise TypeError(mismatch("model", model, "a model or a callable"))
        if batch_size is not None:
            require_count(batch_size, "batch_size")
        _refuse_arguments(input_ids, inputs_embeds, model_kwargs)
        _refuse_train_mode(model, alone=batch_size == 1)
        self.model: Any = model
        self.kwargs, self.batch_size = dict(model_kwargs), batch_size
        self.by_ids = inputs_embeds is None
        self.is_hf = hasattr(model, "get_input_embeddings") and hasattr(model, "config")
        self.unchanged: Tensor | None = None
        self.is_noisy: bool | None = None
        self.draws = False
        self._scales: tuple[Tensor, Tensor, Tensor] | None = None
        self.head: nn.Linear | None = None  # set where outputs are compared before it
        if self.is_hf:
            _refuse_other_inputs(model, self.kwargs)
        if self.by_ids:
            self.input_ids = self._checked_ids(input_ids)
            with torch.no_grad():
                self.embedding = _embedding_of(model) if self.is_hf else self._embedding_of_ids()
                self.embeds = self.embedding(self.input_ids)
            self.other_ids, self.third_ids = _other_ids(self.input_ids, self.embedding, getattr(model, "config", None))
        else:
            wanted = "a float tensor (k_len, dim) or (batch, k_len, dim)"
            require_float(inputs_embeds, "inputs_embeds", (2, 3), wanted, "Token ids go to input_ids.")
            self.embeds = inputs_embeds.detach().reshape(-1, *inputs_embeds.shape[-2:])
        self.batch, self.k_len, dim = self.embeds.shape
        self.across = self._prepare_second_input() or takes_decoder_ids(model)
        generator = torch.Generator().manual_seed(0)
        noise = torch.randn(self.k_len, dim, generator=generator).to(self.embeds)
        finite = self.embeds.float().nan_to_num(0, 0, 0)  # padding may hold anything
        size = finite.pow(2).mean(dim=(1, 2), keepdim=True).sqrt().to(self.embeds.dtype)
        self.noise = noise * size.masked_fill(size == 0, 1.0)

    # --- what comes in -------------------------------------------------------------------------------

    def _checked_ids(self, input_ids: Any) -> Tensor:
        wanted = "an integer tensor (k_len,) or (batch, k_len)"
        require_tensor(input_ids, "input_ids", (1, 2), wanted)
        if input_ids.is_floating_point() or input_ids.dtype == torch.bool:
            raise TypeError(mismatch("input_ids", input_ids, wanted, "Floats go to inputs_embeds."))
        modules = self.model.modules() if isinstance(self.model, nn.Module) else ()
        has_embedding = any(isinstance(module, nn.Embedding) for module in modules)
        if not self.is_hf and not has_embedding:
            raise TypeError(_no_embeddings(self.model))
        return input_ids.reshape(-1, input_ids.shape[-1])

    def _embedding_of_ids(self) -> nn.Module:
        """Where a module of one's own looks its ids up. Positions have an embedding, too, which gets other numbers."""
        runs = []
        for ids in (self.input_ids, self.input_ids.flip(-1)):  # positions stay what they are
            calls: list[tuple[nn.Module, Any]] = []
            note = partial(_note_call, calls)
            handles = [m.register_forward_hook(note) for m in self.model.modules() if isinstance(m, nn.Embedding)]
            try:
                with _same_statistics(self.model):
                    self.model(ids, **self.kwargs)
            finally:
                for handle in handles:
                    handle.remove()
            runs.append([m for m, x in calls if isinstance(x, Tensor) and torch.equal(x.flatten(), ids.flatten())])
        looked_up = [module for module in runs[0] if module in runs[1]]
        if not looked_up:
            raise ValueError(
                f"input_ids: {type(self.model).__name__} does not look them up in an nn.Embedding as they are; wanted "
                "inputs_embeds=(batch, k_len, dim) and a callable that begins with them, such as "
                "lambda x: model.blocks(x)."
            )
        return looked_up[0]

    def _prepare_second_input(self) -> bool:
        """Checks the input that is not changed, if the model has one; returns whether outputs belong to it."""
        self.role = ""  # of the input that changes, where the model has two
        attends = isinstance(self.model, nn.MultiheadAttention)
        names = next((names for kind, names in TWO_INPUTS.items() if isinstance(self.model, kind)), ())
        present = [name for name in names if self.kwargs.get(name) is not None]
        if names and len(present) != 1:
            one, other = names
            raise ValueError(
                f"{one}, {other}: got {'both' if present else 'neither'} of them. {type(self.model).__name__} has two "
                "inputs: the one to change goes to inputs_embeds, the other one keeps its name. Wanted "
                f"inputs_embeds={one}, {other}=… or inputs_embeds={other}, {one}=…."
            )
        name = "query" if attends else present[0] if present else ""
        value = self.kwargs.get(name)
        if value is None:
            return False
        across = name in ("query", "tgt")  # the outputs are those of the other input
        length = "q_len" if across else "length"
        wanted = f"(batch, {length}, dim) with a batch of {self.batch}, first, whatever batch_first says"
        if isinstance(value, Tensor) and value.ndim == 2 and self.batch == 1:
            value = value[None]
        if require_tensor(value, name, (3,), wanted).shape[0] != self.batch:
            raise ValueError(mismatch(name, value, wanted))
        self.kwargs[name] = value.detach()
        self.role = next((other for other in names if other != name), "")
        return across

    # --- runs ----------------------------------------------------------------------------------------

    def copies(self, tokens: int = TOKENS) -> int:
        """How many copies run at once: what was asked for, else as many as make about ``tokens``, but 4 at least."""
        tokens *= 1 if self.head is None else 2  # without logits there is room for more
        return self.batch_size or max(4, tokens // (self.batch * self.k_len))

    def alone(self, before_head: bool = False) -> Tensor:
        """(batch, q_len, features) outputs of the unchanged input in a batch of its own.

        With ``before_head``, a language model is compared before its last linear layer from then on: that layer
        looks at one position at a time, and with a large vocabulary it takes most of the time.
        """
        head = _last_linear(self.model, self.kwargs) if before_head and self.is_hf else None
        calls: list[tuple[Tensor, Tensor, Tensor]] = []

        def note(module: nn.Module, args: Any, output: Tensor) -> None:
            calls.append((args[0], output, output.clone()))

        handle = head.register_forward_hook(note) if head else None
        zero = torch.zeros_like(self.embeds)[None]
        before = _random_states(self.embeds.device)
        try:
            with torch.no_grad():
                output = self._call(zero, None, False)
        finally:
            if handle:
                handle.remove()
        after = _random_states(self.embeds.device)
        self.draws = any(not torch.equal(*states) for states in zip(before, after, strict=True))
        # Only if the very tensor that it made comes out as it was is it known that nothing happens after it.
        same = len(calls) == 1 and output is calls[0][1] and torch.equal(output.nan_to_num(), calls[0][2].nan_to_num())
        if same and calls[0][0].ndim == 3:
            self.head, output = head, calls[0][0]
        return self._checked(output, 1)[0]

    @contextmanager
    def with_head(self) -> Iterator[None]:
        """Compares whole outputs for a while, as they come out of the model."""
        before = self.head, self.unchanged, self._scales
        self.head = self.unchanged = None
        try:
            yield
        finally:
            self.head, self.unchanged, self._scales = before

    def scale(self) -> Tensor:
        """(batch, q_len, features) what rounding of each unchanged output is a part of."""
        return self._scales_of_unchanged()[1]

    def floor(self, noise: float, judged: Tensor | None = None) -> float:
        """What noise, a part of the scale of outputs, comes to at the largest position (batch, q_len) that is judged.

        Features that are much larger than the others of their position are left out.
        """
        positions = self._scales_of_unchanged()[2]
        return noise * (positions if judged is None else positions[judged]).max().item()

    def _scales_of_unchanged(self) -> tuple[Tensor, Tensor, Tensor]:
        if self.unchanged is None:
            raise RuntimeError("unchanged: the model has not run on the unchanged input yet.")
        if self._scales is None or self._scales[0] is not self.unchanged:
            self._scales = self.unchanged, *_scales(self.unchanged)
        return self._scales

    def run_changed(
        self, where: Tensor, *, noise: bool = True, ids: bool = False, second: Tensor | None = None
    ) -> Tensor:
        """Outputs (copies, batch, q_len, features) where the inputs that ``where`` (copies, batch, k_len) marks change.

        ``noise`` is added to them; with ``ids`` also other ids take the place of theirs, for models that read them
        beside the embedding. Copies that ``second`` (copies,) marks get the noise with the opposite sign, and ids of
        the other parity: what one draw misses by chance, such as a gate that stays shut, the other one opens.
        """
        second = torch.zeros_like(where[:, 0, 0]) if second is None else second
        second = second[:, None, None]
        noises = torch.where(second[..., None], -self.noise, self.noise)
        delta = torch.where(where[..., None] & noise, noises, torch.zeros_like(noises))
        if not (ids and self.by_ids):
            return self.run(delta)
        others = torch.where(second, self.third_ids, self.other_ids)
        return self.run(delta, torch.where(where, others, self.input_ids))

    def run(self, delta: Tensor, ids: Tensor | None = None, hold: bool = False) -> Tensor:
        """Outputs (copies, batch, q_len, features) for ``delta`` (copies, batch, k_len, dim) added to the input.

        ``ids`` (copies, batch, k_len) go in instead of the input's own; with ``hold`` the embeddings stay those of the
        input all the same.
        """
        if self.head is not None:
            vars(self.head)["forward"] = lambda hidden: hidden
        try:
            return self._checked(self._call(delta, ids, hold), len(delta))
        finally:
            if self.head is not None:
                del vars(self.head)["forward"]

    def _call(self, delta: Tensor, ids: Tensor | None, hold: bool) -> Tensor:
        copies = len(delta)
        kwargs = {name: self._tile(name, value, copies) for name, value in self.kwargs.items()}
        with _same_statistics(self.model):
            try:
                if not self.by_ids:
                    return _first_tensor(self._run_embeds((self.embeds + delta).flatten(0, 1), kwargs))
                ids = self.input_ids.repeat(copies, 1) if ids is None else ids.flatten(0, 1)
                held = self.embeds.repeat(copies, 1, 1) if hold else None
                return _first_tensor(self._run_ids(ids, delta.flatten(0, 1), held, kwargs))
            except AssertionError as error:  # of the model's own, which must not pass for a leak
                raise ValueError(
                    f"model: {type(self.model).__name__} refuses its input or masks, before anything was measured: "
                    f"{error or 'an assertion of its own failed'}"
                ) from error

    def _checked(self, output: Tensor, copies: int) -> Tensor:
        if not output.is_floating_point():
            wanted = "floats (batch, q_len, features), such as logits before their argmax"
            raise TypeError(f"model: its output is {describe_tensor(output)}, wanted {wanted}.")
        if output.ndim != 3 or len(output) != copies * self.batch:
            raise ValueError(
                f"model: its output is {describe_tensor(output)}, wanted (batch, q_len, features) with a batch of "
                f"{copies * self.batch}. Of a classifier measure the encoder (model.base_model); a callable that takes "
                "its own batch size only needs batch_size=1."
            )
        return output.unflatten(0, (copies, self.batch))

    def _run_ids(self, ids: Tensor, delta: Tensor, held: Tensor | None, kwargs: dict) -> Any:
        """Ids go in as ids, so positions and padding are what they would be; a hook adds delta to their embeddings."""
        calls: list[nn.Module] = []

        def add(module: nn.Module, args: Any, output: Tensor) -> Tensor | None:
            looked_up = args[0] if args else ids
            others = looked_up.numel() != ids.numel()  # a token of its own that the model puts before them
            if not self.is_hf and not others:
                others = not any(torch.equal(looked_up.flatten(), own.flatten()) for own in (ids, ids.T))
            if others or calls:  # a decoder embeds its own ids with the same weight
                return None
            calls.append(module)
            turned = torch.equal(looked_up, ids.T) and not torch.equal(looked_up, ids)  # XLNet's batch comes second

            def as_looked_up(x: Tensor) -> Tensor:
                return (x.transpose(0, 1) if turned else x).reshape(output.shape)

            return (output if held is None else as_looked_up(held)) + as_looked_up(delta)

        tied = [
            m for m in self.model.modules() if type(m) is type(self.embedding) and m.weight is self.embedding.weight
        ]
        handles = [module.register_forward_hook(add) for module in tied]
        try:
            output = self.model(input_ids=ids, **kwargs) if self.is_hf else self.model(ids, **kwargs)
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
        turn = (lambda x: x) if _is_batch_first(self.model) else (lambda x: x.transpose(0, 1))
        embeds = turn(embeds)
        for name in ("query", "src", "tgt", "memory"):
            if kwargs.get(name) is not None:
                kwargs[name] = turn(kwargs[name])
        if isinstance(self.model, nn.MultiheadAttention):
            query = kwargs.pop("query", None)
            output = self.model(embeds if query is None else query, embeds, embeds, **kwargs)[0]
        elif self.role:
            output = self.model(**{self.role: embeds}, **kwargs)
        else:
            output = self.model(embeds, **kwargs)
        return turn(output)

    def _tile(self, name: str, value: Any, copies: int) -> Any:
        """A tensor with one entry per sequence, repeated for the copies; anything else as it is."""
        if not isinstance(value, Tensor) or value.ndim == 0:
            return value
        of_torch = isinstance(self.model, TORCH_MODULES)
        if of_torch and name.endswith("key_padding_mask") and value.ndim == 1:
            value = value[None]  # as torch takes it without a batch
        per_sequence = value.shape[0] == self.batch
        if name in SQUARE_MASKS:  # with three dimensions torch's are (batch * heads, q_len, k_len)
            is_3d = value.ndim == 3 and of_torch
            per_sequence = value.shape[0] % self.batch == 0 if is_3d else per_sequence and value.ndim > 2
        return value.repeat(copies, *[1] * (value.ndim - 1)) if per_sequence else value


# --- what is refused ---------------------------------------------------------------------------------


def _refuse_arguments(input_ids: Any, inputs_embeds: Any, model_kwargs: dict) -> None:
    for name in {"max_bytes", "max_copies"} & set(model_kwargs):
        raise TypeError(f"{name}: it is gone; batch_size= says how many copies of the input run at once.")
    if (input_ids is None) == (inputs_embeds is None):
        raise ValueError(
            "input_ids, inputs_embeds: got both or neither, wanted exactly one of them. For cross-attention give "
            "what is attended to as inputs_embeds, and query=."
        )
    for name in ("past_key_values", "cache"):  # the second is the newer name; models without it ignore it in silence
        if model_kwargs.get(name) is not None:
            raise ValueError(
                f"{name}: a cache belongs to one batch and is changed by running. Wrap the step in a function "
                "that takes the embeddings of all tokens, fills a new cache and returns the last outputs."
            )


def _coupling(model: Any) -> list[nn.Module]:
    """The batch norms of a model that normalise by what is in the batch."""
    modules = model.modules() if isinstance(model, nn.Module) else ()
    norms = [m for m in modules if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    return [m for m in norms if m.training or m.running_mean is None]


@contextmanager
def _same_statistics(model: Any) -> Iterator[None]:
    """Gives norms copies of their running statistics for a while: measuring is not training."""
    modules = model.modules() if isinstance(model, nn.Module) else ()
    norms = [m for m in modules if isinstance(m, nn.modules.batchnorm._NormBase) and m.training]
    before = [dict(norm._buffers) for norm in norms]
    for norm in norms:
        norm._buffers.update({name: None if b is None else b.clone() for name, b in norm._buffers.items()})
    try:
        yield
    finally:
        for norm, buffers in zip(norms, before, strict=True):
            norm._buffers.update(buffers)


def _refuse_train_mode(model: Any, alone: bool) -> None:
    """Refuses modules that are random, or that couple the copies of a batch (unless copies run alone)."""
    for module in model.modules() if isinstance(model, nn.Module) else ():
        rate = module.dropout if isinstance(module, nn.MultiheadAttention) else getattr(module, "p", 0)
        if module.training and isinstance(module, nn.MultiheadAttention | nn.modules.dropout._DropoutNd) and rate > 0:
            raise ValueError(
                f"model: it is in train mode with dropout {rate}, so outputs move by themselves. Call model.eval()."
            )
        for name in ("layerdrop", "drop_prob"):  # whole layers, or whole branches, now and then
            if module.training and isinstance(rate := getattr(module, name, 0), int | float) and rate > 0:
                raise ValueError(
                    f"model: {type(module).__name__} is in train mode with {name} {rate}, so outputs move by "
                    "themselves. Call model.eval()."
                )
    if not alone and (norms := _coupling(model)):
        kind = type(norms[0]).__name__
        way = "Call model.eval(), or give" if norms[0].training and norms[0].running_mean is not None else "Give"
        raise ValueError(
            f"model: its {kind} normalises by the statistics of the batch, so changed copies move the unchanged ones. "
            f"{way} batch_size=1, which runs each copy alone and measures what the statistics carry."
        )


_WRAP_PICTURES = """A picture is cut into patches like this, and put together again for the model:
    size = model.config.patch_size
    patches = torch.nn.functional.unfold(pixel_values, size, stride=size).mT  # (batch, patches, numbers)
    def outputs(x):
        picture = torch.nn.functional.fold(x.mT, pixel_values.shape[-2:], size, stride=size)
        return model(pixel_values=picture).last_hidden_state
    influence(outputs, inputs_embeds=patches)
The outputs are as many as the model has: a ViT's begin with one for [CLS]."""


def _refuse_other_inputs(model: Any, kwargs: dict) -> None:
    name = getattr(model, "main_input_name", "input_ids")
    if not isinstance(name, str) or name in ("input_ids", "inputs_embeds") or name in kwargs:
        return
    wrap = f"Wrap it in a function of (batch, k_len, dim) that makes {name} of them and returns the outputs."
    raise TypeError(
        f"model: {type(model).__name__} takes {name}, neither token ids nor their embeddings. "
        + (_WRAP_PICTURES if name == "pixel_values" else wrap)
    )


# --- what a model is made of -------------------------------------------------------------------------


def takes_decoder_ids(model: Any) -> bool:
    """Whether a Hugging Face model has an encoder for its input and a decoder for its outputs."""
    if not getattr(getattr(model, "config", None), "is_encoder_decoder", False):
        return False
    return "decoder_input_ids" in inspect.signature(model.forward).parameters


def _is_batch_first(model: nn.Module) -> bool:
    """How a module of torch wants its input, if that can be told: a wrong guess would turn positions into sequences."""
    modules = [model] if isinstance(model, nn.MultiheadAttention) else model.modules()
    layouts = {value for m in modules if isinstance(value := getattr(m, "batch_first", None), bool)}
    if len(layouts) != 1:
        seen = "both True and False" if layouts else "nowhere, as where its attention is one's own"
        raise ValueError(
            f"model: batch_first of {type(model).__name__} and its parts is {seen}, so it cannot be told how it takes "
            "its input. Give its attention that attribute, or wrap it in a function of (batch, k_len, dim): "
            "lambda x: model(x), or lambda x: model(x.transpose(0, 1)).transpose(0, 1)."
        )
    return layouts.pop()


def _random_states(device: torch.device) -> list[Tensor]:
    """What changes when a model draws random numbers of torch."""
    on_device = [torch.cuda.get_rng_state(device)] if device.type == "cuda" else []
    return [torch.get_rng_state(), *on_device]


def _embedding_of(model: Any) -> nn.Module:
    try:
        embedding = model.get_input_embeddings()
    except NotImplementedError:  # CANINE hashes characters
        embedding = None
    if embedding is None:
        raise TypeError(_no_embeddings(model))
    return embedding


def _no_embeddings(model: Any) -> str:
    return (
        f"input_ids: got them for {describe_tensor(model)}, which has no input embeddings of its own; wanted "
        "inputs_embeds=(batch, k_len, dim) and a callable that begins with them, such as lambda x: model.blocks(x)."
    )


def _note_call(calls: list[tuple[nn.Module, Any]], module: nn.Module, args: Any, _: Any) -> None:
    calls.append((module, args[0] if args else None))


def _last_linear(model: Any, kwargs: dict) -> nn.Linear | None:
    """The linear layer that makes logits of hidden states, if it is plain and nothing else needs its output."""
    head = getattr(model, "get_output_embeddings", lambda: None)()
    if type(head) is not nn.Linear or "forward" in vars(head) or head._forward_hooks or head._forward_pre_hooks:
        return None
    return head if kwargs.get("labels") is None else None  # a loss would be taken of the hidden states


def _other_ids(ids: Tensor, embedding: Any, config: Any) -> tuple[Tensor, Tensor]:
    """Two other ids for each, one odd and one even, drawn from those that mean nothing special, which stay."""
    rows = len(getattr(embedding, "weight", ()))
    size = min(rows, getattr(config, "vocab_size", None) or rows)
    special = special_ids(config) | {getattr(embedding, "padding_idx", None)}
    ordinary = torch.tensor([n for n in range(size) if n not in special])
    if len(ordinary) < 2:
        return ids, ids
    steps = torch.randint(1, len(ordinary), ids.shape, generator=torch.Generator().manual_seed(0))
    own = ids.cpu().contiguous()
    rank = torch.searchsorted(ordinary, own)
    is_ordinary = ordinary[rank.clamp(max=len(ordinary) - 1)] == own
    next_steps = torch.where(steps + 1 < len(ordinary), steps + 1, (steps - 1).clamp(min=1))
    draws = [ordinary[(rank + step) % len(ordinary)] for step in (steps, next_steps)]
    first, second = (torch.where(is_ordinary, draw, own).to(ids) for draw in draws)
    return first, second


def _scales(outputs: Tensor) -> tuple[Tensor, Tensor]:
    """(batch, q_len, features) the scale of each output, and (batch, q_len) that of each position.

    An output near 0 may be a difference of larger numbers, so its scale is the largest of its position, and at least
    that of the middle position. Features HUGE times larger than a usual one, such as suppressed logits, count for
    themselves only, and so does a huge position, such as a first token that collects attention.
    """
    size = outputs.detach().abs().nan_to_num(0, 0)
    size = size.double() if outputs.dtype == torch.float64 else size.float()
    rising = size.sort(dim=-1).values
    zeros = (rising == 0).sum(dim=-1, keepdim=True)
    last = size.shape[-1] - 1
    usual = rising.gather(-1, (zeros + (last + 1 - zeros) // 4).clamp(max=last))
    position = size.masked_fill(size > HUGE * usual, 0.0).amax(dim=-1)
    if (position > 0).any():
        position = position.clamp(min=position[position > 0].median())
    position = position.clamp(min=torch.finfo(size.dtype).tiny)
    return torch.maximum(size, position[..., None]), position


def _first_tensor(output: Any) -> Tensor:
    first = output[0] if isinstance(output, tuple | list) and output else output
    for candidate in (getattr(output, "logits", None), getattr(output, "last_hidden_state", None), first):
        if isinstance(candidate, Tensor):
            return candidate
    raise TypeError(f"model: it returned {describe_tensor(first)}, wanted a tensor (batch, q_len, features).")
