"""Sees what a Hugging Face model does with a mask, by running it once on a few short random texts.

The config of a model says what was meant. What every attention layer really lets through is seen at the softmax and
at scaled_dot_product_attention, which each of them calls; and tokens are changed, to see whether outputs move that no
attention explains: state-space layers, Fourier transforms and convolutions take no mask.
"""

import inspect
import json
import math
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from . import masks, patterns
from ._transformers import special_ids, transformers_major

#: A text as long as the mask, up to this. Windows and chunks that are longer show in the config only.
LONGEST = 128
#: Scores stay above this, and what models add to hide a key lies below it.
LOWEST_SCORE = -1e3
#: A text has at least so many tokens, so that a shorter mask is told from a window.
SHORTEST = 8


class Form(NamedTuple):
    """What a mask looks like to a model: its dimensions, dtype and values."""

    ndim: int
    dtype: torch.dtype
    visible: tuple[float, ...] = (1,)
    """The values of what is to be seen; mostly one."""
    hidden: float = 0
    """The value of what is to be hidden."""
    hides: bool = True
    """Whether anything is hidden: models leave out a mask that hides nothing, and are then causal or not by a flag."""
    heads: int = 1
    """Of a 4D mask."""
    per_query: bool = True
    """Whether a 4D mask has a row for each query, or one for all."""

    def __str__(self) -> str:
        kind = (
            "additive" if self.dtype.is_floating_point and self.hidden < 0 else str(self.dtype).removeprefix("torch.")
        )
        heads = f" of {self.heads} heads" if self.heads > 1 else ""
        return f"{self.ndim}D {kind}" + heads + ("" if self.per_query else " (batch, 1, 1, k_len)")


#: The mask of a tokenizer.
PADDING = Form(2, torch.int64)


def additive(dtype: torch.dtype, **shape: Any) -> Form:
    """The form of what ``to_additive`` makes."""
    return Form(4, dtype, (0.0,), torch.finfo(dtype).min, **shape)


class Layer(NamedTuple):
    """What one attention layer lets through.

    Attributes:
        own: bool (length, length), True = may attend: what it hides by itself, under a mask that hides nothing.
        obeys: what it hides of a mask: "keys", which is what the mask says; "queries" too, where the same positions are
            hidden as keys; "nothing"; or "" if it does something else.
        by_config: ("sliding window" or "chunks", keys) if the config says so of this causal layer, and a text of this
            length could not show it; (what else the config says, the length from which it may count). Else None.
    """

    own: Tensor
    obeys: str
    by_config: tuple[str, int] | None = None

    @property
    def causal(self) -> bool:
        """Whether it hides all later keys by itself."""
        return not patterns.shows_future(self.own)

    def like(self, other: "Layer") -> bool:
        """Whether another layer does the same."""
        return self[1:] == other[1:] and torch.equal(self.own, other.own)

    def rule(self, length: int) -> Tensor:
        """bool (length, length): what it lets through under a mask that hides nothing.

        Raises:
            ValueError: the text was shorter, and what it showed follows no pattern that could be continued.
        """
        if length <= len(self.own):
            return self.own[:length, :length]
        pattern = patterns.recognise(self.own)[0]
        if pattern.name not in _RULES:
            raise ValueError(
                f"it is not known how a layer that lets through {pattern} goes on after {len(self.own)} keys"
            )
        rule = _RULES[pattern.name](length, **pattern.parameters)
        if self.by_config and self.by_config[1] < length:
            name, size = self.by_config
            if name not in ("sliding window", "chunks"):
                raise ValueError(f"its config speaks of {name}, which a text of {len(self.own)} tokens cannot show")
            rule = rule & (
                masks.sliding_window(length, size) if name == "sliding window" else _chunks(length, [[size]])
            )
        return rule


class Observation(NamedTuple):
    """What a model did with masks of one form.

    Attributes:
        layers: one for each self-attention, in the order in which they ran; of an encoder-decoder, the encoder's.
        mixing: "causal" or "everywhere" if outputs move though their attention does not reach what was changed: other
            layers, without attention, carry earlier tokens on, or all of them. Else "".
        hidden_reach: whether tokens that the mask hides move the outputs of others all the same, past the attention.
        cross: whether cross-attention sees the mask; None if there is none.
        refusal: what the model said if it takes no mask of this form, though it runs without one.
        unknown: why nothing can be said.
    """

    layers: tuple[Layer, ...] = ()
    mixing: str = ""
    hidden_reach: bool = False
    cross: bool | None = None
    refusal: str = ""
    unknown: str = ""

    @property
    def known(self) -> bool:
        """Whether enough was seen to say what a mask of this form does."""
        return not self.unknown and not self.refusal

    @property
    def hides(self) -> bool:
        """Whether every layer hides what a mask of this form hides."""
        return not self.hidden_reach and all(layer.obeys != "nothing" for layer in self.layers)

    @property
    def carried(self) -> str:
        """Which tokens layers without attention carry on, "all" or "earlier" ones, if there are such layers."""
        return {"everywhere": "all", "causal": "earlier", "": ""}[self.mixing]

    def kinds(self) -> list[tuple[str, Layer]]:
        """The attention layers, those that do the same together: ("layers 0, 2", what they do)."""
        kinds: list[tuple[list[int], Layer]] = []
        for number, layer in enumerate(self.layers):
            same = [numbers for numbers, other in kinds if layer.like(other)]
            if same:
                same[0].append(number)
            else:
                kinds.append(([number], layer))
        kind = "attention layer" if self.mixing else "layer"  # with others between them, they are counted apart
        return [(_names(kind, numbers), layer) for numbers, layer in kinds]

    def keeps(self, visible: Tensor) -> list[tuple[str, Tensor]]:
        """What each kind of layer lets through under a mask; where there is no attention, what reaches what.

        Args:
            visible: bool (batch, heads, q_len or 1, k_len), True where the mask says so.

        Returns:
            (which layers, bool of the same sizes), q_len full where a layer has a rule of its own.

        Raises:
            ValueError: the text was shorter than k_len, and a layer follows no pattern that could be continued.
        """
        k_len = visible.shape[-1]
        q_len = k_len if visible.shape[-2] == 1 else visible.shape[-2]
        keeps = [
            (names, _under(visible, layer.rule(k_len)[k_len - q_len :].to(visible.device), layer.obeys))
            for names, layer in self.kinds()
        ]
        if self.mixing:
            carried = masks.full(k_len) if self.mixing == "everywhere" else masks.causal(k_len)
            carried = carried[k_len - q_len :].to(visible.device)
            carried = carried[None, None] if self.hidden_reach else carried & visible
            keeps.append(("layers without attention", carried))
        return keeps


def _names(kind: str, numbers: list[int]) -> str:
    few = ", ".join(map(str, numbers[:6])) + (", …" if len(numbers) > 6 else "")
    return f"{kind} {few}" if len(numbers) == 1 else f"{kind}s {few}"


def form_of(attention_mask: Tensor) -> Form:
    """The form of a mask: what its values are, and which of them hides."""
    dtype, ndim = attention_mask.dtype, attention_mask.ndim
    shape: dict[str, Any] = {}
    if ndim == 4:
        _, heads, q_len, k_len = attention_mask.shape
        shape = {"heads": heads, "per_query": q_len > 1 or k_len == 1}
    if dtype == torch.bool:
        return Form(ndim, dtype, (True,), False, not bool(attention_mask.all()), **shape)
    low, high = (value.item() for value in attention_mask.aminmax())
    if math.isnan(low):
        low, high = (value.item() for value in attention_mask.nan_to_num(0.0, -1.0, -torch.inf).aminmax())
    if ndim == 4 and dtype.is_floating_point:  # added to the scores, as 0 and a fill, or by mistake as 1 and 0
        fill = low if low < LOWEST_SCORE else torch.finfo(dtype).min  # milder ones are harder to tell from a score
        return Form(4, dtype, (max(high, 0.0),), 0.0 if low == 0 < high else fill, low < high or low < 0, **shape)
    values = attention_mask[attention_mask != 0].unique().tolist() or [1]
    some = tuple(dict.fromkeys([values[-1], values[0], *values[1:3]]))
    return Form(ndim, dtype, some, 0, bool((attention_mask == 0).any()), **shape)


def observe(model: Any, form: Form, length: int) -> Observation:
    """What ``model`` does with masks of a form, at a length.

    Args:
        model: a Hugging Face model. It is not changed; at most four calls, each of eight texts, and none if the same
            was asked before.
        form: what the mask looks like.
        length: tokens of the mask; texts have as many, but at least 8 and at most 128.

    Returns:
        What was seen, or why nothing was.
    """
    model = getattr(model, "_orig_mod", model)  # what torch.compile compiles
    length = _length(model, length)
    with _LOCK:  # of two threads, the second finds what the first saw
        known = _KNOWN.setdefault(model, {})
        key = (form, length, _fingerprint(model))
        if key not in known:
            known[key] = _observe(model, form, length)
        return known[key]


def _length(model: Any, length: int) -> int:
    """Tokens of a text, other than the number of experts: a choice among these would look like attention."""
    length = min(max(length, SHORTEST), _longest(model))
    config = _text_config(model).to_dict()
    experts = {value for name, value in config.items() if "expert" in name and isinstance(value, int)}
    while {length, length - 1, length + 1} & experts:
        length += 1 if length < LONGEST // 2 else -1
    return length


def _longest(model: Any) -> int:
    """Tokens that a text may have: no more than the model has positions for, two of which may be kept for padding."""
    positions = getattr(_text_config(model), "max_position_embeddings", None)
    return min(LONGEST, positions - 2) if isinstance(positions, int) and positions >= SHORTEST + 2 else LONGEST


_LOCK = threading.RLock()
#: What was seen of each model that is still in use.
_KNOWN: WeakKeyDictionary[Any, dict] = WeakKeyDictionary()


def _fingerprint(model: Any) -> tuple:
    """What may be changed on a model after it was loaded, and changes what it does with a mask."""
    flags = tuple(
        (getattr(m, "is_causal", None), *m._forward_hooks, *m._forward_pre_hooks, id(vars(m).get("forward")))
        for m in model.modules()
    )
    return json.dumps(model.config.to_dict(), default=str, sort_keys=True), model.config._attn_implementation, flags


def _observe(model: Any, form: Form, length: int) -> Observation:
    parameters = inspect.signature(model.forward).parameters
    if "input_ids" not in parameters:
        wanted = getattr(model, "main_input_name", None) or next(iter(parameters), "nothing")
        return Observation(unknown=f"{type(model).__name__} takes {wanted}, not input_ids, so there is no text to try")
    if "attention_mask" not in parameters and not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return Observation(refusal=f"{type(model).__name__} takes no attention_mask")
    if len(form.visible) > 1:
        return _observe_values(model, form, length)
    try:
        texts = _Texts(model, form, length)
        return _seen(texts, *texts.run(texts.attention_mask))
    except Exception as error:
        refusal = _in_a_line(error)
    if error_without := _error_without_a_mask(model, length):
        return Observation(unknown=f"{type(model).__name__} does not run on input_ids alone: {error_without}")
    if "decoder_input_ids" in parameters:
        with suppress(Exception):
            texts.run(texts.attention_mask, decoder_input_ids=texts.ids)
            name = type(model).__name__
            return Observation(unknown=f"{name} takes a {form} mask only where both texts have the same length")
    if form.ndim == 4 and form.dtype.is_floating_point and "position_ids" in parameters:
        with suppress(Exception):  # the first error says more
            texts.run(texts.attention_mask, position_ids=torch.arange(length, device=model.device)[None])
            refusal = "it counts positions by its attention_mask, so a 4D one needs position_ids= beside it"
    return Observation(refusal=refusal)


def _observe_values(model: Any, form: Form, length: int) -> Observation:
    """A mask of several values that are not 0: known only if the model treats them all alike, side by side too."""
    alike = observe(model, form._replace(visible=(1,)), length)
    try:
        texts = _Texts(model, form, length)
        mixed = _seen(texts, *texts.run(texts.attention_mask))
    except Exception as error:
        return Observation(refusal=_in_a_line(error)) if alike.known else alike
    same = len(mixed.layers) == len(alike.layers) and all(map(Layer.like, mixed.layers, alike.layers))
    if alike.known and not (mixed.known and same and mixed[1:] == alike[1:]):
        name, values = type(model).__name__, ", ".join(f"{value:g}" for value in sorted(form.visible))
        return Observation(unknown=f"{name} does not read {values} as the same; give a mask of 0 and 1")
    return alike


def _error_without_a_mask(model: Any, length: int) -> str:
    """What the model says to ids alone; empty if it runs."""
    key = ("without", length, _fingerprint(model))
    if key not in _KNOWN[model]:
        try:
            _Texts(model, PADDING, length).run(None)
            _KNOWN[model][key] = ""
        except Exception as error:
            _KNOWN[model][key] = _in_a_line(error)
    return _KNOWN[model][key]


def _in_a_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__


# --- the texts ---------------------------------------------------------------------------------------


class _Texts:
    """Eight texts: four under a mask that hides nothing, four under masks that do.

    In each four, the first is compared with the others, in which tokens are changed.
    """

    def __init__(self, model: Any, form: Form, length: int):
        self.model, self.form, self.length = model, form, length
        generator = torch.Generator().manual_seed(0)
        usual = self._usual_ids(generator)
        first, second = (usual[torch.arange(length + n) % len(usual)][n:] for n in (0, 1))
        #: bool (8, length): which tokens of a text are others than in the one that it is compared with.
        self.changed = torch.zeros(8, length, dtype=torch.bool)
        for text, token in ((1, -1), (2, 0), (3, length // 2)):
            self.changed[text, token] = True
        self.visible = masks.full(length).repeat(8, 1, 1)
        if not form.hides:
            self.changed[[5, 7], length // 2] = True
        elif form.ndim == 2 or not form.per_query:
            few = max(1, length // 4)
            self.visible[4:6, :, -few:] = False
            self.visible[6:8, :, :few] = False
            self.changed[5, -few:] = self.changed[7, :few] = True
        else:
            for text in (4, 6):
                hidden = torch.rand(length, length, generator=generator) < 0.4
                hidden[:, length // 2] = True  # is changed, and moves nobody but itself
                self.visible[text : text + 2] = ~hidden | torch.eye(length, dtype=torch.bool)
            self.visible[6:8] &= masks.causal(length)  # what then moves earlier tokens is no attention
            self.changed[[5, 7], length // 2] = True
        self.ids = torch.where(self.changed, second, first).to(model.device)
        values = torch.tensor(form.visible, dtype=form.dtype)
        visible = values[torch.arange(length) % len(values)].expand_as(self.visible)
        attention_mask = torch.where(self.visible, visible, torch.tensor(form.hidden, dtype=form.dtype))
        attention_mask = attention_mask if form.per_query else attention_mask[:, :1]
        if form.ndim == 2:
            attention_mask = attention_mask[:, 0]
        elif form.ndim == 4:
            attention_mask = attention_mask[:, None].expand(-1, form.heads, -1, -1)
        self.attention_mask = attention_mask.to(model.device)

    def _usual_ids(self, generator: torch.Generator) -> Tensor:
        """Ids in random order, without those that have a meaning of their own."""
        size = getattr(_text_config(self.model), "vocab_size", None)
        size = size or self.model.get_input_embeddings().weight.shape[0]
        special = special_ids(self.model.config)
        usual = torch.tensor([number for number in range(min(size, 4096)) if number not in special])
        return usual[torch.randperm(len(usual), generator=generator)]

    def run(self, attention_mask: Tensor | None, **kwargs: Any) -> tuple["_Watch", Tensor | None]:
        """What the layers let through, and outputs (8, length, features), None if the model gives no such thing."""
        parameters = inspect.signature(self.model.forward).parameters
        if attention_mask is not None:
            kwargs["attention_mask"] = attention_mask
        if "decoder_input_ids" in parameters:
            # Of another length, to tell the two texts apart.
            kwargs.setdefault("decoder_input_ids", self.ids[:1, :-1].repeat(8, 1))
        watch, outputs = _Watch(), []

        thread, base = threading.get_ident(), getattr(self.model, "base_model", self.model)
        # Heads of transformers look at one token at a time, or make one answer for the text; others may do anything.
        head = base is not self.model and type(self.model).__module__.startswith("transformers.")

        def note(module: nn.Module, args: Any, output: Any) -> None:
            if threading.get_ident() == thread:  # and not somebody who uses the model meanwhile
                outputs.extend(self._by_token(output))
                if outputs and head:
                    raise _Enough

        hook = base.register_forward_hook(note)
        try:
            with _left_alone(self.model), watch, suppress(_Enough):
                outputs[:0] = self._by_token(self.model(input_ids=self.ids, **kwargs))
        finally:
            hook.remove()
        return watch, outputs[0] if outputs else None

    def _by_token(self, output: Any) -> list[Tensor]:
        """What an output holds of shape (8, length, features); of an encoder-decoder, the encoder's first."""
        names = ("encoder_last_hidden_state", "last_hidden_state", "logits", "prediction_logits")
        tensors = [getattr(output, name, None) for name in names]
        tensors += [output[0]] if isinstance(output, tuple) and output else []
        return [t for t in tensors if isinstance(t, Tensor) and t.ndim == 3 and t.shape[:2] == self.ids.shape]


class _Enough(Exception):
    """What is needed of a run is there."""


def _text_config(model: Any) -> Any:
    """The config of the part that reads text; mostly the config itself."""
    return model.config.get_text_config() if hasattr(model.config, "get_text_config") else model.config


@contextmanager
def _left_alone(model: nn.Module) -> Iterator[None]:
    """A run that leaves no trace: without dropout, gradients, warnings, or numbers drawn from torch's generator."""
    modules = list(model.modules())
    # Modules change on the way: BigBird is dense for good after a short text, transformers 4 replaces forward for a
    # while and forgets it after an error. What they hold goes back as it was.
    before: list[tuple[dict[str, Any], ...]] = [
        (dict(vars(module)), dict(module._modules), dict(module._buffers)) for module in modules
    ]
    for module in modules:
        module.training = False
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for module, contents in zip(modules, before, strict=True):
            holders: tuple[dict[str, Any], ...] = (vars(module), module._modules, module._buffers)
            for holder, content in zip(holders, contents, strict=True):
                _put_back(holder, content)


def _put_back(holder: dict[str, Any], contents: dict[str, Any]) -> None:
    """Makes a dict what it was, and touches nothing that did not change."""
    for name in holder.keys() - contents.keys():
        del holder[name]
    for name, value in contents.items():
        if name not in holder or holder[name] is not value:
            holder[name] = value


class _Watch(TorchDispatchMode):
    """Notes what every softmax over keys, and every fused attention, lets through: bool (8, queries, keys)."""

    def __init__(self) -> None:
        super().__init__()
        self.maps: list[Tensor] = []
        self.sorts = False

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        name = func.__name__.split(".")[0]
        if name in ("_softmax", "_safe_softmax") and args[0].ndim >= 3 and args[1] in (-1, args[0].ndim - 1):
            self._note(_weighs(args[0]))
        elif name.startswith("_scaled_dot_product") and "backward" not in name:
            values = dict(zip((argument.name for argument in func._schema.arguments), args, strict=False)) | kwargs
            self._note(self._fused(values))
        elif name == "sort" and args[0].ndim >= 3:  # experts of a mixture sort a flat list
            self.sorts = True
        return func(*args, **kwargs)

    def _fused(self, values: dict) -> Tensor:
        query, key = values["query"], values["key"]
        shape = (query.shape[0], 1, query.shape[-2], key.shape[-2])
        bias = values.get("attn_mask", values.get("attn_bias"))
        visible = torch.ones(shape, dtype=torch.bool, device=query.device)
        if values.get("is_causal"):
            visible = visible.tril()
        return visible if bias is None else visible & (bias if bias.dtype == torch.bool else _weighs(bias))

    def _note(self, visible: Tensor) -> None:
        if visible.ndim == 3 and len(visible) == 8 and visible.shape[2] not in (visible.shape[1], visible.shape[1] + 1):
            return  # a choice among experts or words, not among tokens; see _length
        if visible.shape[0] != 8 and visible.ndim == 3 and visible.shape[0] % 8 == 0:
            visible = visible.unflatten(0, (8, -1))  # (texts * heads, queries, keys)
        if visible.shape[0] == 8:
            self.maps.append(visible.reshape(8, -1, *visible.shape[-2:]).any(dim=1).cpu())


def _weighs(scores: Tensor) -> Tensor:
    """Which scores were not hidden, by a fill far below scores, or by another key that was lifted as far above them."""
    return (scores > LOWEST_SCORE) & (scores > scores.amax(dim=-1, keepdim=True) + 5 * LOWEST_SCORE)


# --- what they show ----------------------------------------------------------------------------------


def _seen(texts: _Texts, watch: _Watch, output: Tensor | None) -> Observation:
    length, name = texts.length, type(texts.model).__name__
    # A learned sink is one more key, after the others, that everybody sees.
    maps = [m[..., :length] for m in watch.maps if m.shape[1] == length and m.shape[2] in (length, length + 1)]
    layers = tuple(_layer(visible, texts.visible) for visible in maps)
    if watch.maps and not layers:
        return Observation(unknown=f"{name} computes attention in parts, from which it cannot be read")
    if not all(layer.obeys for layer in layers):
        return Observation(unknown=f"{name} does something else with a {texts.form} mask than to hide keys")
    if watch.sorts:
        return Observation(unknown=f"{name} sorts tokens by what they say, and only then lets them see each other")
    if any(m.shape[1] == length and m.shape[2] > length + 1 for m in watch.maps):
        return Observation(unknown=f"{name} has layers that see more than the tokens, which cannot be read")
    if output is None:
        return Observation(unknown=f"{name} returns nothing for each token, by which to see what was reached")
    cross = [m for m in watch.maps if m.shape[1:] == (length - 1, length)]
    sees_it = all(torch.equal(m, texts.visible[:, :1].expand_as(m)) for m in cross) if cross else None
    moved = _moved(texts, output)
    unexplained = moved & ~_explained(texts, layers)
    later = torch.arange(length) > texts.changed.int().argmax(dim=1, keepdim=True)
    if not unexplained.any():
        mixing = ""
    else:  # layers that carry on what is earlier, between those that have attention, may explain the rest
        everywhere = moved & ~later & ~_explained(texts, layers, carried=True)
        mixing = "everywhere" if everywhere.any() else "causal"
    if not layers and not mixing:
        return Observation(unknown=f"{name} lets no token move another, so it cannot be seen what hides it")
    if not mixing and torch.finfo(texts.model.dtype).eps > 1e-5 and _may_mix(texts.model, len(layers)):
        dtype = str(texts.model.dtype).removeprefix("torch.")
        why = (
            f"has layers without attention; what they carry on may be below the rounding of {dtype}. Try model.float()"
        )
        return Observation(unknown=f"{name} {why}")
    hidden_reach = bool(unexplained[4:].any()) and texts.form.hides
    sizes = _by_config(texts.model, texts.form, layers, length)
    layers = tuple(layer._replace(by_config=size) for layer, size in zip(layers, sizes, strict=True))
    return Observation(layers, mixing, hidden_reach, sees_it)


def _may_mix(model: Any, attention_layers: int) -> bool:
    """Whether something in a model may carry tokens on beside attention."""
    layers = getattr(_text_config(model), "num_hidden_layers", attention_layers)
    return attention_layers < layers or any(isinstance(module, nn.Conv1d) for module in model.modules())


def _layer(seen: Tensor, visible: Tensor) -> Layer:
    """One layer, from what it let through, and what the masks said: both bool (8, length, length)."""
    own = seen[:4].any(dim=0)
    if not own.any(dim=-1).all():  # a mask that should hide nothing hides everything from a query
        return Layer(own, "")
    for obeys in ("keys", "queries", "nothing"):
        expected = _under(visible[4:, None], own, obeys)[:, 0].expand(4, -1, -1)
        # A query that may see nothing is filled with anything.
        if torch.equal(seen[4:] & expected.any(dim=-1, keepdim=True), expected):
            return Layer(own, obeys)
    return Layer(own, "")


def _under(visible: Tensor, own: Tensor, obeys: str) -> Tensor:
    """What a layer with a rule of its own lets through under a mask."""
    if obeys == "nothing":
        return own[None, None]
    whole = bool(own.all())
    keep = visible if whole else visible & own
    if obeys == "queries":
        real = visible.any(dim=-2)  # (batch, heads, k_len)
        keep = keep & real[..., -own.shape[-2] :, None]
    return keep


def _explained(texts: _Texts, layers: tuple[Layer, ...], carried: bool = False) -> Tensor:
    """bool (8, length): what the attention layers let the changed tokens reach, if others carry tokens on or not."""
    moved = texts.changed.float()
    for layer in layers:
        moved = moved.cummax(dim=1).values if carried else moved
        rule = _under(texts.visible[:, None], layer.own, layer.obeys)[:, 0].float()
        moved = moved + (rule.expand(8, -1, -1) @ moved[..., None])[..., 0]
    moved = moved.cummax(dim=1).values if carried else moved
    return moved > 0


def _moved(texts: _Texts, output: Tensor) -> Tensor:
    """bool (8, length): outputs that differ by more than rounding from the text that theirs is compared with."""
    output = output.float().cpu()
    reference = output[[0, 0, 0, 0, 4, 4, 6, 6]]
    precision = torch.finfo(texts.model.dtype).eps
    rounding = precision * (64 if precision < 1e-5 else 8) * reference.abs().nan_to_num(0, 0).max()
    return ((output - reference).abs() > rounding).any(dim=-1)


def _by_config(model: Any, form: Form, layers: tuple[Layer, ...], length: int) -> list[tuple[str, int] | None]:
    """For each layer what its config speaks of, if a text of this length cannot show it.

    A window or chunk that a causal layer has under the usual names is taken from there. Other words for it may mean
    other things: then nothing is said of longer texts.
    """
    config = _text_config(model).to_dict()  # an attribute that differs between layers may raise
    kinds = config.get("layer_types")
    sizes = {
        "sliding_attention": ("sliding window", config.get("sliding_window")),
        "chunked_attention": ("chunks", config.get("attention_chunk_size")),
    }
    longer = {kind: (name, size) for kind, (name, size) in sizes.items() if isinstance(size, int) and size >= length}
    if all(layer.causal for layer in layers):
        if kinds is None and len(longer) == 1:
            return [*longer.values()] * len(layers)
        told = kinds is not None and all(kind not in sizes or isinstance(sizes[kind][1], int) for kind in kinds)
        if kinds is not None and told and len(kinds) == len(layers):
            return [longer.get(kind) for kind in kinds]
    elif form.ndim > 2 and (usual := observe(model, PADDING, length)).known and all(one.causal for one in usual.layers):
        return [None] * len(layers)  # the mask replaces what the model hides, so its window, too
    return [_speaks_of(config, length)] * len(layers)


def _speaks_of(config: dict[str, Any], length: int) -> tuple[str, int] | None:
    """Words of a config about windows, chunks or sparse attention that a text of this length does not show."""
    for name, value in config.items():
        if isinstance(value, str) and value in ("block_sparse", "lsh"):
            return f"{name}={value!r}", length
        named = any(word in name for word in ("window", "chunk", "local_attention"))
        other = any(word in name for word in ("feed_forward", "speech", "audio", "vision"))
        if named and not other and isinstance(value, int) and value >= length:
            return f"{name}={value}", max(length, value // 2)  # of a window on both sides, half is behind
    return None


def _banded(length: int, back: int, ahead: int) -> Tensor:
    return masks.full(length).tril(ahead).triu(-back)


def _chunks(length: int, sizes: list[list[int]], causal: bool = True) -> Tensor:
    same = masks.documents(torch.arange(length) // sizes[0][0])
    return same.tril() if causal else same


_RULES: dict[str, Callable[..., Tensor]] = {
    "full": masks.full,
    "causal": lambda length, align: masks.full(length).tril(),
    "sliding window": masks.sliding_window,
    "banded": _banded,
    "documents": _chunks,
}


# --- in words ----------------------------------------------------------------------------------------


def own_in_words(seen: Observation, k_len: int) -> str:
    """ "causality and window of 3 keys in layer 0" or the like; empty if no layer hides anything by itself."""
    kinds = seen.kinds()
    rules = [(_layer_in_words(layer, k_len), f" in {names}" if len(kinds) > 1 else "") for names, layer in kinds]
    return ", ".join(rule + where for rule, where in rules if rule)


def _layer_in_words(layer: Layer, k_len: int) -> str:
    pattern = patterns.recognise(layer.own)[0]
    words = {
        "full": "",
        "causal": "causality",
        "sliding window": "causality and window of {window} keys",
        "banded": "window: {back} back and {ahead} ahead",
        "documents": f"chunks of {pattern.parameters.get('sizes', [[0]])[0][0]} keys",
    }
    rule = words.get(pattern.name, str(pattern)).format(**pattern.parameters)
    if pattern.name == "documents" and pattern.parameters["causal"]:
        rule = f"causality and {rule}"
    if layer.by_config and layer.by_config[1] < k_len:
        name, size = layer.by_config
        said = f"what its config calls {name} (not" if "=" in name else f"{name} of {size} keys (by its config, not"
        rule += f"{' and ' if rule else ''}{said} measured)"
    return rule


def replaced(visible: Tensor, seen: Observation, usual: Observation) -> list[tuple[str, str]]:
    """What a model hides by itself under a padding mask, and shows under this one.

    A prefix is meant, and so are tokens that see each other inside a causal text: there each query sees all that is
    earlier.

    Args:
        visible: bool (batch, heads, q_len, k_len), True = may attend, as the mask says it.
        seen: what the model does under such a mask.
        usual: what it does under a padding mask.

    Returns:
        ("causality", or "window of 3 keys in layers 0, 2"; the code of a mask that puts it back).
    """
    q_len, k_len = visible.shape[-2:]
    if q_len > k_len or len(seen.layers) != len(usual.layers):  # where a query is among the keys is not known
        return []
    earlier = torch.ones(q_len, k_len, dtype=torch.bool, device=visible.device).tril(k_len - q_len)
    rows_alike = torch.equal(visible, visible[..., :1, :].expand_as(visible))
    real = visible.any(dim=-2, keepdim=True)
    on_purpose = not rows_alike and bool((visible | ~(earlier & real)).all())
    losses, kinds = [], usual.kinds()
    for names, layer in kinds:
        under = seen.layers[next(number for number, other in enumerate(usual.layers) if layer.like(other))]
        try:
            own, left = (one.rule(k_len)[k_len - q_len :].to(visible.device) for one in (layer, under))
        except ValueError:
            continue
        shown, causal = visible & left & ~own, not (own & ~earlier).any()
        if causal and not on_purpose and (shown & ~earlier).any():
            losses.append(("causality", f"masks.causal({_sizes(q_len, k_len)})"))
        if (shown & earlier if causal else shown).any():
            where = f" in {names}" if len(kinds) > 1 else ""
            also = ", which narrows the other layers too" if where else ""
            losses.append((_reach_in_words(layer) + where, _reach_in_code(layer, q_len, k_len) + also))
    return list(dict.fromkeys(losses))


def _sizes(q_len: int, k_len: int) -> str:
    return f"{q_len}" if q_len == k_len else f"{q_len}, {k_len}"


def _reach(layer: Layer) -> tuple[str, int]:
    """("window" or "chunks", keys) of a layer that does not see all earlier keys."""
    name, parameters = patterns.recognise(layer.own)[0]
    if name == "sliding window":
        return "window", parameters["window"]
    if name == "documents":
        return "chunks", parameters["sizes"][0][0]
    if name == "banded":
        return "window", parameters["back"] + 1
    return layer.by_config if layer.by_config and "=" not in layer.by_config[0] else ("pattern", 0)


def _reach_in_words(layer: Layer) -> str:
    name, size = _reach(layer)
    words = f"{name} of {size} keys" if size else name
    return words + (", by its config" if layer.by_config else "")


def _reach_in_code(layer: Layer, q_len: int, k_len: int) -> str:
    name, size = _reach(layer)
    if name == "chunks":
        return f"masks.documents(torch.arange({k_len}) // {size})"
    if not size:
        return "what it hides by itself"
    window = f"masks.sliding_window({q_len}, {size}{'' if q_len == k_len else f', {k_len}'})"
    symmetric = patterns.recognise(layer.own)[0].name == "banded" and q_len == k_len
    return f"({window} | {window}.T)" if symmetric else window


#: The usual forms, in the words of an error.
_FORMS_IN_WORDS = {
    "2D": "a 2D mask (batch, k_len) of 1 and 0",
    "4D additive": "a 4D additive one",
    "4D bool": "a 4D bool one",
    "3D": "a 3D one (batch, q_len, k_len) of 1 and 0",
}


def usual_forms(dtype: torch.dtype) -> dict[str, Form]:
    """What people hand to a model of this dtype: name → form."""
    return {
        "2D": PADDING,
        "3D": Form(3, torch.int64),
        "4D additive": additive(dtype),
        "4D bool": Form(4, torch.bool, (True,), False),
    }


def takes_in_words(model: Any, length: int, refused: int) -> str:
    """Which masks a model takes, and hides what they hide, where it refused one of so many dimensions."""
    ranks = {2, 3, 4} if transformers_major() < 5 else {2, 4}
    forms = usual_forms(model.dtype)
    others = {words: forms[name] for name, words in _FORMS_IN_WORDS.items() if forms[name].ndim in ranks - {refused}}
    seen = {words: observe(model, form, length) for words, form in others.items()}
    taken = [words for words, one in seen.items() if one.known and one.hides]
    taken += [f"{words}, of which it is not known what it does" for words, one in seen.items() if one.unknown]
    return ", ".join(taken) or "no mask that hides anything"
