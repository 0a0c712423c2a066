"""Says what a mask will do in a given API: ``conventions.describe``.

A mask is read exactly as the API reads it, not as it was meant. What that hides is described, and where the
reading is a known trap a warning says so. Stated for torch 2.13 and transformers 4.57 and 5.24.

A new API is one function that returns a ``_Reading``, and its row in ``_READERS``. A new warning is a row in
``_TRAPS``, and its condition in the function that looks at the same thing: values, shape, or what stays visible.
"""

import html
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import reduce
from typing import NamedTuple

import torch
from torch import Tensor

from . import _block_masks, patterns
from ._observe import PADDING, Observation, form_of, observe, own_in_words, replaced, takes_in_words
from ._transformers import require_attn_implementation, transformers_major
from ._validation import (
    HIDDEN_BELOW,
    as_4d,
    by_differences,
    describe_tensor,
    hidden_by,
    require_count,
    require_tensor,
    rounding_step,
    weight_words,
)


@dataclass(frozen=True)
class Trap:
    """One thing that is probably not meant.

    Attributes:
        id: the fact behind it, as the lessons number them: F6, S1.3, …
        text: what happens, and what to write in its place.

    References:
        Lesson 06, and the cheat sheet, table of traps; data/claims.yml lists the facts.
    """

    id: str
    text: str

    def __str__(self) -> str:
        return f"{self.id}: {self.text}"


@dataclass(frozen=True, repr=False)
class Description:
    """What a mask does in an API. It prints as text, and shows as a table in a notebook.

    Attributes:
        api: which API, as ``describe`` was asked.
        given: dtype and shape of the tensor, in words.
        read_as: what the API takes the dimensions for.
        polarity: what a value means there.
        keep: what the API really lets through, as bool (batch, heads, q_len, k_len), sizes of 1 where the mask says
            nothing; None if the API refuses the mask, or if it is not known. Where the layers of a model differ, what
            at least one of them lets through.
        warnings: what is probably not meant.
        unknown: why it is not known what a model does with the mask; empty where it is known.
        layers: (which layers, their keep) where the layers of a model differ.

    References:
        Lesson 00, where it is first used.
    """

    api: str
    given: str
    read_as: str
    polarity: str
    keep: Tensor | None
    warnings: list[Trap] = field(default_factory=list)
    unknown: str = ""
    layers: list[tuple[str, Tensor]] = field(default_factory=list)

    @property
    def known(self) -> bool:
        """Whether it is known what becomes of the mask: a refusal is known, a model that could not be run is not."""
        return not self.unknown

    @property
    def patterns(self) -> list[patterns.Pattern]:
        """The parts that keep is made of; empty if the API refuses the mask."""
        return [] if self.keep is None else patterns.recognise(self.keep)

    @property
    def keys_per_query(self) -> Tensor | None:
        """int64 (batch, heads, q_len): how many keys each query sees."""
        return None if self.keep is None else patterns.keys_per_query(self.keep)

    @property
    def empty_rows(self) -> list[tuple[int, int, int]]:
        """(batch, head, query) of each query that sees no key."""
        counts = self.keys_per_query
        return [] if counts is None else [tuple(row) for row in (counts == 0).nonzero().tolist()]

    def rows(self) -> list[tuple[str, str]]:
        """The description as (heading, text) pairs, as printed."""
        rows = [("reads", f"{self.given} as {self.read_as}"), ("meaning", self.polarity)]
        if self.unknown:
            rows.append(("not known", self.unknown))
        if self.keep is not None:
            rows.append(("pattern", self._each_layer(lambda keep: "; ".join(map(str, patterns.recognise(keep))))))
            rows.append(("keys per query", self._each_layer(_counts_in_words)))
            rows.append(("sees nothing", _query_names(self.empty_rows, self.keep.shape)))
        return rows + [("warning " + trap.id, trap.text) for trap in self.warnings]

    def _each_layer(self, words: Callable[[Tensor], str]) -> str:
        """The words for keep, or for each kind of layer."""
        assert self.keep is not None
        return " / ".join(f"{names}: {words(keep)}" for names, keep in self.layers) or words(self.keep)

    def __str__(self) -> str:
        return "\n".join([self.api, *(f"  {heading:<15} {text}" for heading, text in self.rows())])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        cell = "text-align: left; vertical-align: top; padding: 2px 12px 2px 0"
        lines = (
            f'<tr><th scope="row" style="{cell}; white-space: nowrap">{html.escape(heading)}</th>'
            f'<td style="{cell}; overflow-wrap: anywhere">{html.escape(text)}</td></tr>'
            for heading, text in self.rows()
        )
        caption = f'<caption style="{cell}; font-weight: bold">{html.escape(self.api)}</caption>'
        return f"<table>{caption}<tbody>{''.join(lines)}</tbody></table>"


def describe(
    mask,
    api: str,
    *,
    attn_implementation: str = "sdpa",
    num_heads: int | None = None,
    model=None,
    probe: bool = True,
) -> Description:
    """What ``mask`` will do if it is handed to ``api``: in words, as a small object, with warnings.

    Args:
        mask: the tensor as it would be passed: bool, integers or real floats, of the shapes that ``api`` takes. For
            ``"mha"`` also the dict of ``to_mha``; for ``"flex"`` a ``BlockMask``. It is not changed.
        api: ``"sdpa"`` (attn_mask of scaled_dot_product_attention), ``"mha"`` (attn_mask of MultiheadAttention),
            ``"mha-key-padding"`` (its key_padding_mask), ``"hf"`` (attention_mask of a Hugging Face model),
            ``"additive"`` (added to scores by hand), ``"flex"`` (block_mask of flex_attention).
        attn_implementation: for ``"hf"``: ``"eager"`` or ``"sdpa"``.
        num_heads: for ``"mha"``: unfolds a (batch * num_heads, q_len, k_len) mask.
        model: for ``"hf"``: the model itself. It is run on random ids, at most eight times for a new form of mask, at
            the mask's length up to 128 tokens: what it hides by itself, and whether it takes the mask, is seen, not
            believed. Weights, modes and random numbers stay. A longer window or chunk is said "by its config".
        probe: False never runs the model; what only a run can tell is then "not known".

    Returns:
        ``Description``: keep, patterns, keys_per_query, empty_rows, warnings. A mask that the API refuses is
        described too, with keep None; so is one about which nothing is known, with known False.

    Raises:
        TypeError: mask is no tensor (no BlockMask or tensor for ``"flex"``), is nested, or holds complex numbers;
            num_heads is no int; model is no Hugging Face model.
        ValueError: mask is empty or has a number of dimensions for which the API has no meaning, the two masks of a
            dict do not fit together, or api, attn_implementation or num_heads is unknown.

    References:
        Lesson 00, where it is first used. Lessons 05 and 06, for masks that are upside down or fit by accident.
        https://docs.pytorch.org/docs/2.13/generated/torch.nn.functional.scaled_dot_product_attention.html
        https://docs.pytorch.org/docs/2.13/generated/torch.nn.MultiheadAttention.html
        https://huggingface.co/docs/transformers/v5.0.0/en/glossary#attention-mask
    """
    if api not in APIS:
        raise ValueError(f"api: got {api!r}, wanted one of {', '.join(map(repr, APIS))}.")
    if num_heads is not None:
        require_count(num_heads, "num_heads")
    if model is not None:
        if not hasattr(model, "config"):
            raise TypeError(f"model: got {describe_tensor(model)}, wanted a Hugging Face model, with a config.")
        attn_implementation = model.config._attn_implementation
    require_attn_implementation(attn_implementation)
    if api == "mha" and isinstance(mask, dict):
        return _describe_both(mask, num_heads)
    if api == "hf" and model is not None:
        reading = _read_in(model, mask, attn_implementation == "sdpa", probe)
    else:
        reading = _READERS[api](mask, attn_implementation=attn_implementation, num_heads=num_heads)
    keep, traps = reading.keep, reading.traps
    if keep is not None:
        keep = as_4d(keep if keep.ndim > 1 else keep[None])
        if not reading.own_queries:
            traps = [*traps, *_visible_traps(keep, reading.empty_row)]
    label = f"hf ({attn_implementation})" if api == "hf" else api
    mask_words = reading.mask_words or describe_tensor(mask)
    parts = (label, mask_words, reading.read_as, reading.polarity, keep, traps)
    return Description(*parts, reading.unknown, reading.layers)


# --- how each API reads ----------------------------------------------------------------------------


class _Reading(NamedTuple):
    """What an API takes a mask for: what a reader returns, and what ``Description`` is made of."""

    read_as: str
    polarity: str
    keep: Tensor | None
    """bool, as ``Description`` has it, but leading sizes of 1 may be missing; None if the API refuses the mask."""
    traps: list[Trap]
    empty_row: str | None = None
    """What becomes of a query that sees nothing; None where that is to be expected."""
    mask_words: str = ""
    """What the mask is, if it is no tensor."""
    unknown: str = ""
    """Why it is not known what becomes of the mask."""
    layers: list[tuple[str, Tensor]] = []  # noqa: RUF012 (a default of a tuple, which nobody changes)
    """What each kind of layer lets through, where they differ."""
    own_queries: bool = False
    """Whether the model hides padding as queries too, by itself."""


_KEEPS, _IGNORES = "True = may attend", "True = ignore"
_BY_DIFFERENCES = "added to the scores: what lies far below the largest value of its row is hidden"
_SHAPES = {
    1: "(k_len), the same for every query",
    2: "(q_len, k_len), the same for every sequence and head",
    3: "(heads, q_len, k_len), the same for every sequence",
    4: "(batch, heads, q_len, k_len)",
}
_MHA_EMPTY_ROW = (
    "NaN with need_weights=True, and in eval without gradients if batch_first=True and the number of heads is even; "
    "else their attention is 0"
)
_SDPA_EMPTY_ROW = "the output is 0"
_HF_EMPTY_ROW = "uniform weights under eager, output 0 under sdpa"


def _require_mask(mask, ranks: tuple[int, ...]) -> None:
    """Refuses what is no mask at all."""
    require_tensor(mask, "mask", ranks, f"a mask with {' or '.join(map(str, ranks))} dimensions")
    if mask.is_complex():
        raise TypeError(f"mask: got {describe_tensor(mask)}, wanted bool, integers or real floats.")


def _refused(*traps: Trap, read_as: str = "nothing: it is refused", polarity: str = "none") -> _Reading:
    """The reading of a mask that the API refuses."""
    return _Reading(read_as, polarity, None, list(traps))


def _by_dtype(mask, ranks, bools: str, leak: Trap | None = None, *, zero_one="F6", soft="F6") -> _Reading:
    """Reads float as added to the scores, and bool as ``bools`` says; refuses integers, unless they leak.

    Args:
        mask: bool, integers or float, as it came.
        ranks: numbers of dimensions that it may have.
        bools: ``_KEEPS`` or ``_IGNORES``; beside ``leak`` other words.
        leak: what to warn of where bool and integers are added to the scores as 0 and 1.
        zero_one: the fact behind floats that are 0 and 1.
        soft: the fact behind floats that are a soft bias.

    Returns:
        A reading whose dimensions are the last ones of (batch, heads, q_len, k_len).

    Raises:
        TypeError, ValueError: it is no mask at all.
    """
    _require_mask(mask, ranks)
    shape = _SHAPES[mask.ndim]
    if mask.ndim == 3 and len(mask) > 1:
        shape += "; if the first size is a batch, write mask[:, None]"
    if mask.is_floating_point():
        biases, by_row = by_differences(mask)
        hidden = hidden_by(biases)
        words = _BY_DIFFERENCES if by_row.any() else _fill_words(mask, hidden)
        traps = list(_float_traps(mask, biases, by_row, hidden, zero_one, soft))
        keep = ~(hidden | _without_number(mask))
        return _Reading(shape, words, keep, traps + ([] if ranks == (1, 2) else _cached_step_traps(keep)))
    if leak:
        return _Reading(shape, bools, torch.ones_like(mask, dtype=torch.bool), [leak, *_negative_traps(mask)])
    if mask.dtype == torch.bool:
        keep = mask if bools == _KEEPS else ~mask
        return _Reading(shape, bools, keep, [] if ranks == (1, 2) else _cached_step_traps(keep))
    remedy = "mask.bool()" if bools == _KEEPS else "mask == 0"
    return _refused(_trap("integers refused", remedy=remedy), *_negative_traps(mask))


def _read_sdpa(mask, **_) -> _Reading:
    reading = _by_dtype(mask, (2, 3, 4), _KEEPS)
    traps = [*reading.traps, *_shape_traps(reading, "masks.padding(…), which is (batch, 1, 1, k_len)")]
    return reading._replace(traps=traps, empty_row=_empty_row(mask, _SDPA_EMPTY_ROW))


def _read_mha(mask, num_heads, **_) -> _Reading:
    reading = _by_dtype(mask, (2, 3), _IGNORES)._replace(empty_row=_mha_empty_row(mask))
    keep, traps = reading.keep, reading.traps
    if keep is None or mask.ndim == 2:
        return reading._replace(traps=[*traps, *_shape_traps(reading, "key_padding_mask")])
    if not num_heads:
        return reading._replace(read_as="(batch * heads, q_len, k_len)", keep=keep[:, None])
    if len(mask) % num_heads:
        trap = _trap("heads", size=len(mask), num_heads=num_heads)
        return _refused(*traps, trap, polarity=reading.polarity)
    read_as, traps = f"(batch * {num_heads} heads, q_len, k_len)", [*traps, *_repeat_traps(keep, num_heads)]
    return reading._replace(read_as=read_as, keep=keep.unflatten(0, (-1, num_heads)), traps=traps)


def _read_mha_key_padding(mask, **_) -> _Reading:
    reading = _by_dtype(mask, (1, 2), _IGNORES, zero_one="F8")
    if reading.keep is None:
        return reading
    read_as = "(batch, k_len), the same for every query and head" if mask.ndim == 2 else "(k_len), one sequence"
    return reading._replace(read_as=read_as, keep=reading.keep[..., None, None, :], empty_row=_mha_empty_row(mask))


def _read_additive(mask, **_) -> _Reading:
    bools = "added to scores, True or 1 adds 1 and 0 adds nothing: nothing is hidden"
    reading = _by_dtype(mask, (1, 2, 3, 4), bools, _trap("0/1 added"))
    return reading._replace(empty_row=_empty_row(mask, "softmax of -inf only is NaN"))


def _read_hf(mask, attn_implementation, **_) -> _Reading:
    _require_mask(mask, (1, 2, 3, 4))
    if mask.ndim == 1:
        return _refused(read_as="nothing: it needs a batch, attention_mask[None]")
    if mask.ndim == 4:
        return _read_hf_4d(mask, attn_implementation == "sdpa")
    if mask.ndim == 3:
        if transformers_major() >= 5:
            return _refused(_trap("3D"))
        return _Reading(
            "(batch, q_len, k_len), read by encoders only", "1 = keep", (mask != 0)[:, None], [], _HF_EMPTY_ROW
        )
    read_as, polarity = "(batch, k_len): padding, the same for every query", "1 = keep; all that is not 0 counts as 1"
    return _Reading(read_as, polarity, (mask != 0)[:, None, None], list(_padding_traps(mask)), _HF_EMPTY_ROW)


def _read_hf_4d(mask: Tensor, sdpa: bool) -> _Reading:
    bools = _KEEPS if sdpa else "added to the scores as 0 and 1: nothing is hidden"
    leak = None if sdpa else _trap("4D leak", dtype=str(mask.dtype)[6:])
    reading = _by_dtype(mask, (4,), bools, leak, zero_one="F10", soft="F10")
    if reading.keep is None:
        return _refused(_trap("4D integers"))
    return reading._replace(
        read_as=reading.read_as + "; on a decoder it replaces the model's own causality",
        traps=reading.traps or list(_causality_traps(reading.keep)),
        empty_row=_empty_row(mask, _SDPA_EMPTY_ROW if sdpa else "softmax of -inf only is NaN"),
    )


def _read_in(model, mask: Tensor, sdpa: bool, probe: bool) -> _Reading:
    """Reads an attention_mask as this model does it, which was seen."""
    reading = _values(mask, sdpa)
    if reading.keep is None:
        return reading
    visible, name, k_len = as_4d(reading.keep), type(model).__name__, mask.shape[-1]
    seen = observe(model, form_of(mask), k_len) if probe else Observation(unknown="it was not run (probe=False)")
    if seen.refusal:
        fact, takes = {2: "S1.5", 3: "F9", 4: "F10"}[mask.ndim], takes_in_words(model, k_len, mask.ndim)
        return _refused(_trap("refused", fact=fact, name=name, why=seen.refusal, takes=takes))
    try:
        if seen.unknown:
            raise ValueError(seen.unknown)
        layers = seen.keeps(visible)
    except ValueError as error:
        return reading._replace(keep=None, unknown=f"{error}. {_WAYS_ON}")
    usual = observe(model, PADDING, k_len)
    own_rules = any(not layer.own.all() for layer in seen.layers)
    return reading._replace(
        read_as=_read_as(reading.read_as, mask.ndim, seen, usual, k_len),
        keep=reduce(torch.logical_or, (keep for _, keep in layers)),
        traps=[*reading.traps, *_model_traps(name, mask, visible, seen, usual)],
        # Left-padded queries of a causal model are empty, as they should be: nobody reads them (F15).
        empty_row=None if mask.ndim == 2 and own_rules else reading.empty_row,
        layers=layers if len(layers) > 1 else [],
        own_queries=any(layer.obeys == "queries" for layer in seen.layers),
    )


def _values(mask: Tensor, sdpa: bool) -> _Reading:
    """What the values of an attention_mask say, whatever a model does with them."""
    _require_mask(mask, (1, 2, 3, 4))
    if mask.ndim < 3:
        return _read_hf(mask, "sdpa" if sdpa else "eager")
    if mask.ndim == 4 and mask.is_floating_point():
        empty_row = _empty_row(mask, _SDPA_EMPTY_ROW if sdpa else "softmax of -inf only is NaN")
        return _by_dtype(mask, (4,), _KEEPS, zero_one="F10", soft="F10")._replace(empty_row=empty_row)
    keep = mask != 0 if mask.ndim == 4 else (mask != 0)[:, None]
    read_as = _SHAPES[4] if mask.ndim == 4 else "(batch, q_len, k_len)"
    return _Reading(read_as, "1 or True = keep", keep, list(_negative_traps(mask)), _HF_EMPTY_ROW)


def _read_as(usual_words: str, ndim: int, seen: Observation, usual: Observation, k_len: int) -> str:
    """What the model takes the dimensions for, and what it adds to the mask."""
    own = own_in_words(seen, k_len)
    if ndim > 2 and not own:
        lost = own_in_words(usual, k_len)
        return usual_words + (f"; it replaces the model's own {lost}" if lost else "")
    words = usual_words
    if any(layer.obeys == "queries" for layer in seen.layers):
        words += ", and hidden as queries too"
    words += f", beside the model's own {own}" if own else ""
    if seen.cross is not None:
        sees = "sees it too" if seen.cross else "does not see it"
        words = words.replace("padding", "padding of the encoder") + f"; the decoder's cross-attention {sees}"
    if seen.mixing:
        words += f"; layers without attention carry {seen.carried} tokens on"
        words += "" if seen.hidden_reach else ", but not those that are hidden"
    return words


def _read_flex(mask, **_) -> _Reading:
    from torch.nn.attention.flex_attention import BlockMask

    if not isinstance(mask, BlockMask):
        require_tensor(mask, "mask", (1, 2, 3, 4), "a BlockMask", "Make one with conventions.to_flex(keep).")
        return _refused(_trap("flex"))
    words = f"a BlockMask of shape {tuple(mask.shape)}"
    if reason := _block_masks.why_refused(mask):
        return _refused(_trap("flex refused", reason=reason))._replace(mask_words=words)
    keep, same = _block_masks.read(mask)
    (q_len, k_len), (q_block, k_block) = keep.shape[-2:], mask.BLOCK_SIZE
    blocks = f"{-(-q_len // q_block)} × {-(-k_len // k_block)} blocks of {q_block} × {k_block}"
    read_as, traps = f"{_SHAPES[4]} in {blocks}; only whole blocks are skipped", _cached_step_traps(keep)
    if not same:
        read_as += "; compiled, as its tables and its mask_mod say together"
        readings = patterns.recognise(keep), _block_masks.recognise_mask_mod(mask)
        compiled, rule = ("; ".join(map(str, parts)) for parts in readings)
        traps = [*traps, _trap("two readings", compiled=compiled, rule=rule)]
    return _Reading(read_as, _KEEPS, keep, traps, _SDPA_EMPTY_ROW, words)


_READERS: dict[str, Callable[..., _Reading]] = {
    "sdpa": _read_sdpa,
    "mha": _read_mha,
    "mha-key-padding": _read_mha_key_padding,
    "hf": _read_hf,
    "additive": _read_additive,
    "flex": _read_flex,
}
APIS = tuple(_READERS)


def _describe_both(masks: dict, num_heads: int | None) -> Description:
    """The dict of to_mha: what attn_mask and key_padding_mask leave visible together."""
    apis = {"attn_mask": "mha", "key_padding_mask": "mha-key-padding"}
    tensors = {name: value for name, value in masks.items() if value is not None}
    if not tensors or not masks.keys() <= apis.keys():
        raise ValueError(
            f"mask: got a dict with {sorted(masks)}, wanted attn_mask or key_padding_mask or both, as "
            "conventions.to_mha returns them."
        )
    parts = [describe(value, apis[name], num_heads=num_heads) for name, value in tensors.items()]
    traps = [trap for part in parts for trap in part.warnings if trap.id != "F2"]
    if len({value.dtype for value in tensors.values()}) > 1:
        traps.append(_trap("two dtypes"))
    keep, keeps = None, [part.keep for part in parts if part.keep is not None]
    if len(keeps) == len(parts):
        try:
            keep = keeps[0] & keeps[-1]
        except RuntimeError:
            words = " and ".join(f"{name} {tuple(value.shape)}" for name, value in tensors.items())
            raise ValueError(f"mask: {words} do not fit together; wanted the same k_len and batch.") from None
        ids = {trap.id for trap in traps}
        traps += [trap for trap in _visible_traps(keep, _empty_row_of_both(tensors, parts)) if trap.id not in ids]
    mask_words = ", and ".join(f"{name}, {part.given}" for name, part in zip(tensors, parts, strict=True))
    read_as = " and ".join(part.read_as for part in parts)
    read_as += ": a key is hidden if either hides it" if len(parts) > 1 else ""
    polarity = " and ".join(dict.fromkeys(part.polarity for part in parts))
    return Description("mha", mask_words, read_as, polarity, keep, traps)


_WAYS_ON = (
    "Without model=, describe says how such a mask is usually read; influence.influence(model, …) measures what "
    "reaches what on inputs of your own"
)


def _empty_row_of_both(tensors: dict[str, Tensor], parts: list[Description]) -> str:
    """What becomes of an empty row under both masks, which the module adds if one of them is float."""
    if not any(value.is_floating_point() for value in tensors.values()):
        return _MHA_EMPTY_ROW
    biases = [
        value if value.is_floating_point() else torch.zeros(value.shape).masked_fill(value, -torch.inf)
        for value in tensors.values()
    ]
    shapes = [part.keep.shape for part in parts if part.keep is not None]
    first, *rest = (bias.reshape(shape) for bias, shape in zip(biases, shapes, strict=True))
    return _mha_empty_row(sum(rest, first))


# --- traps -----------------------------------------------------------------------------------------

#: Every warning: its name here → the fact behind it, as the lessons number them, and its words.
_TRAPS = {
    "no query itself": "F1: No query sees its own position. {hint}",
    "triu": "F1: Every query sees itself and later keys only. Is it triu where tril was meant?",
    "one ahead": "S3.6: Every query sees one key past itself: off by one. "
    "Use masks.causal, that is tril(), not tril(1), or hide triu(1), not triu(2).",
    "positive": "F1: {high:g} is added to the scores: it raises what it marks and hides all else in its row. "
    "Was -{high:g} meant? Use conventions.to_additive(keep).",
    "hidden sequence": "F1: Sequence {sequence} is hidden altogether. {hint}",
    "additive 2D": "F1: In 2D, 1 = keep: this additive mask is read upside down, -inf as keep and 0 as hide. "
    "Use the 0/1 mask.",
    "empty rows": "F2: {queries} without any key: {empty_row}.",
    "hidden queries": "F5: The same positions are hidden as queries and as keys. Hide keys only: {outcome}.",
    "integers refused": "F6: An integer mask is refused: only bool and float are read. Use {remedy}, if 1 means keep.",
    "0/1 added": "F6: 0/1 added to scores hides nothing. Use conventions.to_additive(keep).",
    "0/1 float": "{fact}: A float 0/1 mask is added to the scores and hides nothing. "
    "Use a bool, or conventions.to_additive(keep).",
    "soft": "{fact}: {values} a soft bias that shifts, but hides nothing: {weight}.",
    "padding as 2D": "F6: It looks like (batch, k_len) padding, but a 2D mask is read as (q_len, k_len), "
    "silently if the sizes fit. Use {remedy}.",
    "heads": "F8: The first size {size} is no multiple of num_heads={num_heads}, so the module refuses it.",
    "repeat": "F8: The sequences alternate, as repeat() leaves them, so heads take each other's masks. "
    "Use repeat_interleave.",
    "two dtypes": "F8: attn_mask and key_padding_mask differ in dtype, which is deprecated and warns. Make both bool.",
    "3D": "F9: transformers 5 does not read a 3D mask (4.57 did). Use conventions.to_hf(keep).",
    "refused": "{fact}: {name} refuses it: {why}. It takes {takes}.",
    "ignored": "F10: {name} hides nothing of what this {form} mask hides{layers}. "
    "Use conventions.to_hf(keep, model=model).",
    "past attention": "S1.7: {name} has layers without attention, which carry {what} tokens on, hidden ones too.",
    "window": "G10: A 4D mask replaces the model's own {what}, and here queries see farther. Add & {remedy}.",
    "4D integers": "F10: A 4D integer mask is refused under sdpa, and hides nothing under eager. "
    "Use conventions.to_hf(keep).",
    "4D leak": "F10: A 4D {dtype} mask leaks without a word under eager. Use conventions.to_hf(keep).",
    "causality": "F10: {who}: a 4D mask replaces its causality, and here queries see later keys. "
    "Add & masks.causal(…).",
    "two fills": "F17: Two fills in one mask, {fill:g} and -inf: the sum of two masks overflowed. "
    "Combine as bool, convert once.",
    "NaN": "F18: NaN in the mask: (1 - m) * -inf is 0 * -inf at kept places. One NaN makes its whole row NaN. "
    "Use masked_fill or conventions.to_additive.",
    "infinite": "F1: inf is added to the scores: softmax makes its whole row NaN, since inf - inf is NaN. "
    "Was -inf meant? Use conventions.to_additive(keep).",
    "alike": "{fact}: {high:g} is added to all keys of a row alike: that changes no weight, and hides nothing.",
    "filled rows": "F17: In {rows} a fill is at every key, and not the same at each, as if two masks were added. "
    "Softmax sees differences only, so the keys with {fill:g} are seen{equal}. Combine as bool, convert once.",
    "negative": "F18: {lowest} among integers: ~ on a 0/1 mask gives -1 and -2, both true. Use mask == 0.",
    "flex": "F23: flex_attention takes a BlockMask, no tensor. Make one with conventions.to_flex(keep).",
    "flex refused": "F23: {reason}",
    "two readings": "F23: The tables of this BlockMask and its mask_mod differ. Compiled, flex_attention computes the "
    "blocks of the tables, and asks mask_mod in partial blocks only: {compiled}. Uncompiled, it asks mask_mod alone: "
    "{rule}. Give BlockMask.from_kv_blocks a mask_mod that says what the tables say.",
    "pairs as 2D": "S1.3: It looks like (q_len, k_len){pattern}, but a 2D mask is read as (batch, k_len): "
    "padding of {batch} sequences. It hides no token of a sequence from another. "
    "Use conventions.to_hf(keep), which is 4D.",
    "upper left": "F20: Aligned upper left: query 0 is at key 0. With a cache the last of {q_len} queries is at the "
    "last of {k_len} keys. Use masks.causal({q_len}, {k_len}) or masks.sliding_window, aligned lower right.",
    "cached step": "F20: The only query sees key 0 alone, as a triangle that is aligned upper left has it. With a "
    "cache it is at the last of {k_len} keys and sees them all: leave the mask out, or use masks.causal(1, {k_len}).",
    "ids": "S1.4: Not only 0 and 1: all others count as keep (4.57 differs). Are these input_ids or document ids?",
}


def _trap(key: str, **values) -> Trap:
    """A warning of ``_TRAPS``, its gaps filled."""
    return Trap(*_TRAPS[key].format(**values).split(": ", 1))


def _float_traps(
    mask: Tensor, biases: Tensor, by_row: Tensor, hidden: Tensor, zero_one: str, soft: str
) -> Iterator[Trap]:
    """An additive mask with NaN, with values that hide nothing, or in which two masks were added."""
    broken = _without_number(mask)
    if mask.isnan().any():
        yield _trap("NaN")
    if (mask == torch.inf).any():
        yield _trap("infinite")
    shifts, filled = ~(hidden | broken) & (mask != 0), by_row & (mask.amax(dim=-1, keepdim=True) < 0)
    raising = bool((hidden & by_row & ~filled).any())
    if shifts.any() and not hidden.any() and bool((mask[shifts] == 1).all()):
        yield _trap("0/1 float", fact=zero_one)
    elif shifts.any():
        yield from _shift_traps(mask[shifts], biases[shifts], raising, soft)
    if filled.any():
        count, fill = int(filled.sum()), mask.masked_fill(~filled, -torch.inf).max().item()
        equal = ", with about equal weights" if rounding_step(fill, torch.float32) >= 8 else ""
        yield _trap("filled rows", rows=f"{count} row{'s' * (count > 1)}", fill=fill, equal=equal)
    numbers = mask.masked_fill(mask.isnan(), 0.0)
    if numbers.min() == -torch.inf:
        lowest = numbers.masked_fill(numbers == -torch.inf, 0.0).min()
        if lowest * 2 == -torch.inf:
            yield _trap("two fills", fill=lowest.item())


def _shift_traps(values: Tensor, biases: Tensor, raising: bool, soft: str) -> Iterator[Trap]:
    """What is said of values that are not 0 and stay visible: as they came, and as softmax sees them."""
    high = values.max().item()
    raised = high >= -HIDDEN_BELOW
    if raised and raising:
        yield _trap("positive", high=high)
    elif raised and not biases.any():
        yield _trap("alike", fact=soft, high=high)
    elif biases.any():
        low, high = biases.min().item(), biases.max().item()
        words = f"{low:g} is" if low == high < 0 else "Some values are neither 0 nor very negative:"
        if low <= HIDDEN_BELOW:
            words = f"The values fall to {low:g} in steps of less than {-HIDDEN_BELOW:g}:"
        yield _trap("soft", fact=soft, values=words, weight=f"it leaves {weight_words(torch.tensor([low, high]))}")


def _without_number(mask: Tensor) -> Tensor:
    """bool (..., 1): rows with NaN or +inf. Softmax makes each of their weights NaN."""
    top = mask.amax(dim=-1, keepdim=True)
    return top.isnan() | (top == torch.inf)


def _negative_traps(mask: Tensor) -> Iterator[Trap]:
    """Integers below 0, as ``~`` makes them."""
    if (mask < 0).any():
        yield _trap("negative", lowest=int(mask.min()))


def _repeat_traps(keep: Tensor, num_heads: int) -> Iterator[Trap]:
    """Heads of one sequence must lie together; ``repeat`` puts the sequences together instead."""
    batch = len(keep) // num_heads
    by_sequence, by_head = keep.unflatten(0, (batch, num_heads)), keep.unflatten(0, (num_heads, batch))
    if 1 not in (batch, num_heads) and not _alike(by_sequence, 1) and _alike(by_head, 0):
        yield _trap("repeat")


def _shape_traps(reading: _Reading, remedy: str) -> Iterator[Trap]:
    """A 2D mask that looks like (batch, k_len) padding where (q_len, k_len) is read."""
    keep = reading.keep
    if keep is None or keep.ndim != 2 or _alike(keep, 0) or not patterns.padding_side(keep):
        return
    if reading.polarity == _BY_DIFFERENCES or not keep.any(dim=-1).all():
        return  # other warnings say what these values do
    rows, k_len = keep.shape
    prefixes = rows == k_len or (rows < k_len and patterns.padding_side(keep) == "right")
    if prefixes and keep.diagonal(k_len - rows).all():
        return  # every query sees itself: a mask of queries, as image tokens that see each other in a text
    if patterns.recognise(keep)[0].name in ("irregular", "documents"):
        yield _trap("padding as 2D", remedy=remedy)


def _cached_step_traps(keep: Tensor) -> list[Trap]:
    """One query that sees key 0 only: an upper-left triangle, in a step with a cache."""
    one_of_many = keep.ndim > 1 and keep.shape[-2] == 1 < keep.shape[-1]
    if one_of_many and keep[..., 0].all() and not keep[..., 1:].any():
        return [_trap("cached step", k_len=keep.shape[-1])]
    return []


def _padding_traps(mask: Tensor) -> Iterator[Trap]:
    """A 2D mask of Hugging Face that is not what is read: (batch, k_len) of 0 and 1."""
    keep, negative = mask != 0, bool((mask < 0).any())
    if negative and mask.is_floating_point():
        yield _trap("additive 2D")
        return
    yield from _negative_traps(mask)
    if not negative and ((mask != 1) & keep).any():
        yield _trap("ids")
    if mask.shape[0] == mask.shape[1] > 1 and keep.diagonal().all():
        name = patterns.recognise(keep)[0].name
        irregular = name == "irregular" and not patterns.padding_side(keep)
        if irregular or name in ("causal", "sliding window", "prefix", "banded", "documents"):
            yield _trap("pairs as 2D", pattern="" if irregular else f", {name}", batch=len(mask))


def _causality_traps(keep: Tensor) -> Iterator[Trap]:
    """A 4D mask that is padding only: right for an encoder, and on a decoder it shows the future."""
    if patterns.shows_future(keep) and _alike(keep, -2):
        yield _trap("causality", who="If the model is a decoder (GPT-2, Llama)")


def _model_traps(name: str, mask: Tensor, visible: Tensor, seen: Observation, usual: Observation) -> Iterator[Trap]:
    """What this model does with this mask, and what is probably not meant."""
    ignoring = [names for names, layer in seen.kinds() if layer.obeys == "nothing"]
    if ignoring and not visible.all():
        zero_one = mask.ndim == 4 and mask.is_floating_point() and bool(((mask == 0) | (mask == 1)).all())
        if not zero_one:  # of which the values say the same
            yield _trap("ignored", name=name, form=form_of(mask), layers=_where(ignoring, seen))
    if seen.hidden_reach:
        yield _trap("past attention", name=name, what=seen.carried)
    for what, remedy in replaced(visible, seen, usual) if mask.ndim > 2 else ():
        trap = "causality" if what == "causality" else "window"
        yield _trap(trap, who="This model is a decoder", what=what, remedy=remedy)


def _where(names: list[str], seen: Observation) -> str:
    return "" if len(names) == len(seen.kinds()) else f" in {', '.join(names)}"


def _visible_traps(keep: Tensor, empty_row: str | None) -> Iterator[Trap]:
    """What stays visible looks upside down, hides padding as queries too, or leaves queries nothing."""
    batch, _, q_len, k_len = keep.shape
    square = q_len == k_len > 1
    empty = patterns.keys_per_query(keep) == 0  # (batch, heads, q_len)
    some_empty = empty.any() and not empty.all()
    parts = {part.name: part.parameters for part in patterns.recognise(keep)}
    if square and not empty.all() and not keep.diagonal(dim1=-2, dim2=-1).any():
        yield _trap("no query itself", hint=_upside_down(keep))
    elif parts.get("banded", {}).get("back") == 0:
        yield _trap("triu")
    elif shifted := _shifted(parts, q_len, k_len) or (square and _documents_ahead(keep, parts)):
        yield _trap(shifted, q_len=q_len, k_len=k_len)
    elif q_len == 1 < batch and some_empty:
        ends_hidden = ~keep[:, :, 0, [0, -1]] | empty  # (batch, heads, 2): the first key, and the last
        if ends_hidden.flatten(0, 1).all(dim=0).any():
            sequence = int(empty.flatten(1).any(dim=1).nonzero()[0])
            yield _trap("hidden sequence", sequence=sequence, hint=_upside_down(keep))
    # Under a causal mask left-padded queries are empty by themselves; the trap is to hide them on purpose.
    queries_hidden = "hidden queries" in parts or parts.keys() == {"irregular"}
    if square and some_empty and queries_hidden and torch.equal(~keep.any(dim=-2), empty):
        yield _trap("hidden queries", outcome=_outcome(empty_row))
    if empty_row and empty.any():
        count = int(empty.sum())
        yield _trap("empty rows", queries=f"{count} {'query' if count == 1 else 'queries'}", empty_row=empty_row)


# --- words -----------------------------------------------------------------------------------------


def _counts_in_words(keep: Tensor) -> str:
    counts, k_len = patterns.keys_per_query(keep), keep.shape[-1]
    low, high = int(counts.min()), int(counts.max())
    return f"{low if low == high else f'{low} to {high}'} of {k_len}"


def _alike(values: Tensor, dim: int) -> bool:
    """Whether everything along a dimension is the same."""
    return torch.equal(values, values.narrow(dim, 0, 1).expand_as(values))


def _upside_down(keep: Tensor) -> str:
    text = "Is it upside down? For MultiheadAttention True = ignore; for SDPA and Hugging Face True = keep."
    parts = patterns.recognise(keep, inverted=True)
    if parts[0].name in ("causal", "sliding window", "prefix", "documents", "padding"):
        text += f" Turned over it is: {'; '.join(map(str, parts))}."
    return text


def _shifted(parts: dict[str, dict], q_len: int, k_len: int) -> str | None:
    """The warning for a causal mask that is off by one, or aligned as no cache needs it; None for all others."""
    band, padding = parts.get("banded", {}), parts.get("padding", {})
    longest = max(padding["lengths"]) if padding.get("side") == "left" else k_len
    if band == {"back": longest - 1, "ahead": 1}:
        return "one ahead"
    upper_left = parts.get("causal") == {"align": "upper_left"} or band.get("ahead") == q_len - k_len
    return "upper left" if upper_left and q_len < k_len else None


def _documents_ahead(keep: Tensor, parts: dict[str, dict]) -> str | None:
    """The warning for tril(1) in packed documents: all tokens but the last of each see the next one too."""
    nexts, backs = keep.diagonal(1, -2, -1), keep.diagonal(-1, -2, -1)
    if parts.keys() != {"irregular"} or not torch.equal(nexts, backs) or keep.triu(2).any():
        return None  # triu copies the mask: last
    return "one ahead" if patterns.recognise(keep.tril())[0].parameters.get("causal") is True else None


def _outcome(empty_row: str | None) -> str:
    """What hiding queries too does to the others, from what becomes of an empty row."""
    if not empty_row or "NaN" not in empty_row:
        return "hiding the queries too gains nothing"
    may = "may become" if "need_weights" in empty_row else "becomes"
    return f"an empty query {may} NaN, and NaN spreads to every query in the next layer"


def _fill_words(mask: Tensor, hidden: Tensor) -> str:
    """What an additive mask means: its fill, if there is one, and the weight that it leaves."""
    fill, mildest = (side.item() for side in (mask.min(), mask.masked_fill(~hidden, -torch.inf).max()))
    if fill != mildest or not hidden.any():
        return "added to the scores: 0 keeps, very negative hides"
    words = f"added to the scores: 0 keeps, {fill:g} hides"
    if torch.finfo(mask.dtype).min < fill < torch.finfo(torch.float16).min:
        return f"{words} (float16 cannot hold it: .half() makes it -inf)"
    return words if fill < -1e3 else f"{words} ({weight_words(fill)})"


def _empty_row(mask: Tensor, otherwise: str) -> str:
    """What becomes of a row in which everything is hidden: its fill and its dtype decide, if the fill is finite.

    A fill that is added to all keys alike changes no weight, unless it is so large that the sum rounds the scores away.
    """
    if not mask.is_floating_point():
        return otherwise
    broken = _without_number(mask)
    if broken.any():
        rest = mask[~broken[..., 0]]
        also = len(rest) and bool(hidden_by(rest).all(dim=-1).any())
        words = "NaN, as in the mask" if mask.isnan().any() else "NaN, from inf in the mask"
        return f"{words}; in other rows: {_empty_row(rest, otherwise)}" if also else words
    if (mask.amax(dim=-1) > HIDDEN_BELOW).all():
        return otherwise  # no row is empty
    rows = mask[hidden_by(mask).all(dim=-1)]
    peaks = rows.amax(dim=-1)
    fill = peaks.max().item() if len(rows) else -torch.inf
    if fill == -torch.inf:
        return otherwise
    # SDPA adds in float32 at least, also for float16; all others add in the dtype of the mask.
    dtype = torch.promote_types(mask.dtype, torch.float32) if otherwise == _SDPA_EMPTY_ROW else mask.dtype
    step = rounding_step(fill, dtype)
    if step <= 1 / 64:
        text = f"adding only {fill:g} to every key keeps the weights about as if nothing were hidden"
    elif step < 8:
        text = f"adding only {fill:g} to every key rounds the scores to steps of {step:g}, and hides nothing"
    else:
        text = "a finite fill leaves uniform weights, the mean of all values"
    mixed = f", among the keys with {fill:g}" if (rows != peaks[:, None]).any() else ""
    return f"{text}{mixed}" + (f"; a row of -inf only: {otherwise}" if peaks.min() == -torch.inf else "")


def _mha_empty_row(mask: Tensor) -> str:
    """As ``_empty_row``: with need_weights=True the module adds in the mask's dtype, else SDPA does."""
    if not mask.is_floating_point():
        return _MHA_EMPTY_ROW
    weights, fused = _empty_row(mask, "NaN"), _empty_row(mask, _SDPA_EMPTY_ROW)
    if weights == fused:
        return weights
    return f"{weights} with need_weights=True; else {fused.replace(_SDPA_EMPTY_ROW, 'their attention is 0')}"


def _query_names(rows: list[tuple[int, int, int]], shape) -> str:
    """Where queries are that see nothing: the first four by name."""
    words = [(dim, word) for dim, word in enumerate(("sequence", "head", "query")) if shape[dim] > 1 or word == "query"]
    names = [", ".join(f"{word} {row[dim]}" for dim, word in words) for row in rows[:4]]
    more = [f"and {len(rows) - 4} more"] if len(rows) > 4 else []
    return "; ".join(names + more) or "no query"
