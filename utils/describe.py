"""Says what a mask will do in a given API: ``conventions.describe``.

A mask is read exactly as the API reads it, not as it was meant. What that hides is described, and where the
reading is a known trap a warning says so. Stated for torch 2.13 and transformers 4.57 and 5.23.
"""

import html
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from . import patterns
from ._transformers import require_attn_implementation, sees_causally, transformers_major
from ._validation import HIDDEN_BELOW, as_4d, describe_tensor, require_count, require_tensor

__all__ = ["Description", "Trap", "describe", "read_block_mask"]

APIS = ("sdpa", "mha", "mha-key-padding", "hf", "additive", "flex")

#: What becomes of a float mask, and of a row in which it hides everything.
ADDED = "added to the scores: 0 keeps, very negative hides"
ALL_INF = "softmax of -inf only is NaN"


@dataclass(frozen=True)
class Trap:
    """One thing that is probably not meant.

    Attributes:
        id: the fact behind it, as the lessons number them: F6, S1.3, …
        text: what happens, and what to write instead.

    References:
        Lesson 10.
    """

    id: str
    text: str

    def __str__(self) -> str:
        return f"{self.id}: {self.text}"


@dataclass(frozen=True, repr=False)
class Description:
    """What a mask does in an API. It prints as text, and shows as a table in a notebook.

    Attributes:
        api: the API that reads it.
        form: dtype and shape of the tensor, in words.
        read_as: what the API takes the dimensions for.
        polarity: what a value means there.
        keep: what the API really lets through, as bool (batch, heads, q_len, k_len), sizes of 1 where the mask says
            nothing; None if the API refuses the mask.
        warnings: what is probably not meant.

    References:
        Lesson 10.
    """

    api: str
    form: str
    read_as: str
    polarity: str
    keep: Tensor | None
    warnings: list[Trap] = field(default_factory=list)

    @property
    def given(self) -> str:
        """The earlier name of ``form``."""
        return self.form

    @property
    def patterns(self) -> list[patterns.Pattern]:
        """The parts that keep is made of; empty if the API refuses the mask."""
        return [] if self.keep is None else patterns.recognise(self.keep)

    @property
    def keys_per_query(self) -> Tensor | None:
        """int64 (batch, heads, q_len): how many keys each query sees."""
        return None if self.keep is None else self.keep.sum(dim=-1)

    @property
    def empty_rows(self) -> list[tuple[int, int, int]]:
        """(batch, head, query) of each query that sees no key."""
        return [] if self.keep is None else [(b, h, q) for b, h, q in (~self.keep.any(dim=-1)).nonzero().tolist()]

    def rows(self) -> list[tuple[str, str]]:
        """The description as (heading, text) pairs, as printed."""
        rows = [("reads", f"{self.form} as {self.read_as}"), ("meaning", self.polarity)]
        if self.keep is not None:
            counts, k_len = self.keep.sum(dim=-1), self.keep.shape[-1]
            low, high = int(counts.min()), int(counts.max())
            rows.append(("pattern", "; ".join(map(str, self.patterns))))
            rows.append(("keys per query", f"{low if low == high else f'{low} to {high}'} of {k_len}"))
            rows.append(("sees nothing", _row_words(self.empty_rows, self.keep.shape)))
        return rows + [("warning " + trap.id, trap.text) for trap in self.warnings]

    def __str__(self) -> str:
        return "\n".join([self.api, *(f"  {heading:<15} {text}" for heading, text in self.rows())])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        cell = "text-align: left; vertical-align: top; padding: 2px 12px 2px 0"
        lines = (
            f'<tr><th scope="row" style="{cell}; white-space: nowrap">{html.escape(heading)}</th>'
            f'<td style="{cell}">{html.escape(text)}</td></tr>'
            for heading, text in self.rows()
        )
        caption = f'<caption style="{cell}; font-weight: bold">{html.escape(self.api)}</caption>'
        return f"<table>{caption}<tbody>{''.join(lines)}</tbody></table>"


def describe(
    mask: Any, api: str, *, attn_implementation: str = "sdpa", num_heads: int | None = None, model: Any = None
) -> Description:
    """What ``mask`` will do if it is handed to ``api``: in words, as a small object, with warnings.

    Args:
        mask: the tensor as it would be passed, 1D to 4D, bool, integer or float. For ``"mha"`` also the dict of
            ``to_mha``; for ``"flex"`` a ``BlockMask``. It is not changed.
        api: ``"sdpa"`` (attn_mask of scaled_dot_product_attention), ``"mha"`` (attn_mask of MultiheadAttention),
            ``"mha-key-padding"`` (its key_padding_mask), ``"hf"`` (attention_mask of a Hugging Face model),
            ``"additive"`` (added to scores by hand), ``"flex"`` (block_mask of flex_attention).
        attn_implementation: for ``"hf"``: ``"eager"`` or ``"sdpa"``.
        num_heads: for ``"mha"``: unfolds a (batch * num_heads, q_len, k_len) mask.
        model: for ``"hf"``: the model itself; its implementation is used, and a 4D mask on a decoder is judged.

    Returns:
        ``Description``: keep, patterns, keys_per_query, empty_rows, warnings. A mask that the API refuses is
        described too, with keep None.

    Raises:
        TypeError: something that is no mask at all, or complex numbers.
        ValueError: an unknown api or attn_implementation, a rank that the api never takes, or two masks that do not
            fit together.

    References:
        Lesson 10; https://docs.pytorch.org/docs/2.13/generated/torch.nn.functional.scaled_dot_product_attention.html
        and https://huggingface.co/docs/transformers/v5.0.0/en/glossary#attention-mask
    """
    if api not in APIS:
        raise ValueError(f"api: got {api!r}, wanted one of {', '.join(map(repr, APIS))}.")
    if num_heads is not None:
        require_count(num_heads, "num_heads")
    if model is not None:
        attn_implementation = model.config._attn_implementation
    require_attn_implementation(attn_implementation)
    if api == "flex":
        return _flex(mask)
    if api == "mha" and isinstance(mask, dict):
        return _both(mask, num_heads)
    ranks = {"mha": (2, 3), "mha-key-padding": (1, 2), "sdpa": (2, 3, 4)}.get(api, (1, 2, 3, 4))
    require_tensor(mask, "mask", ranks, f"a mask with {' or '.join(map(str, ranks))} dimensions")
    if mask.is_complex():
        raise TypeError(f"mask: got {describe_tensor(mask)}, wanted bool, integers or real floats.")
    if api == "hf":
        return _hf(mask, attn_implementation, model)
    return _torch(mask, api, num_heads)


# --- how each API reads ----------------------------------------------------------------------------


def _described(
    api: str, mask: Tensor, read_as: str, meaning: str, keep: Tensor, traps: Iterable[Trap] = (), reads_like: str = ""
) -> Description:
    """A mask that is read: its own traps, and then those that show in what stays visible."""
    keep = _grid(keep)
    traps = [*traps, *_keep_traps(keep, reads_like or api, mask)]
    return Description(api, describe_tensor(mask), read_as, meaning, keep, traps)


def _refused(
    api: str, mask: Tensor, traps: Iterable[Trap] = (), why: str = "it is refused", meaning: str = "none"
) -> Description:
    return Description(api, describe_tensor(mask), f"nothing: {why}", meaning, None, list(traps))


def _torch(mask: Tensor, api: str, num_heads: int | None) -> Description:
    """sdpa, mha, mha-key-padding and additive: bool by polarity, float is added, integers are refused."""
    if api == "additive" and not mask.is_floating_point():
        traps = [Trap("F6", "0/1 added to scores hides nothing. Use conventions.to_additive(keep)."), *_int_traps(mask)]
        meaning = "added to scores, True or 1 adds 1 and 0 adds nothing: nothing is hidden"
        keep = _grid(torch.ones_like(mask, dtype=torch.bool))
        return Description(api, describe_tensor(mask), _shape_words(mask, api), meaning, keep, traps)
    if not mask.is_floating_point() and mask.dtype != torch.bool:
        hint = "Use mask.bool()" if api == "sdpa" else "Use mask == 0"
        text = f"An integer mask is refused: only bool and float are read. {hint}, if 1 means keep."
        return _refused(api, mask, [Trap("F6", text), *_int_traps(mask)])
    read_as, traps = _shape_words(mask, api), []
    if mask.is_floating_point():
        keep, meaning = mask > HIDDEN_BELOW, ADDED
        traps += _float_traps(mask, key_padding=api == "mha-key-padding")
    elif api == "sdpa":
        keep, meaning = mask, "True = may attend"
    else:
        keep, meaning = ~mask, "True = ignore"
    if api == "mha-key-padding":
        keep = keep.reshape(-1, 1, 1, keep.shape[-1])
    elif api == "mha" and mask.ndim == 3:
        if num_heads and mask.shape[0] % num_heads:
            text = f"The first size {mask.shape[0]} is no multiple of num_heads={num_heads}, so the module refuses it."
            return _refused(api, mask, [*traps, Trap("F8", text)], meaning=meaning)
        if num_heads:
            traps += _repeat_traps(keep, num_heads)
            read_as = f"(batch * {num_heads} heads, q_len, k_len)"
        keep = keep.unflatten(0, (-1, num_heads or 1))
    if mask.ndim == 2 and api in ("sdpa", "mha"):
        traps += _shape_traps(keep, api)
    return _described(api, mask, read_as, meaning, keep, traps)


def _both(masks: dict[str, Tensor | None], num_heads: int | None) -> Description:
    """The dict of to_mha: what attn_mask and key_padding_mask leave visible together."""
    tensors = {name: value for name, value in masks.items() if value is not None}
    if not tensors or set(masks) - {"attn_mask", "key_padding_mask"}:
        raise ValueError(
            f"mask: got a dict with {sorted(masks)}, wanted attn_mask or key_padding_mask or both, as "
            "conventions.to_mha returns them."
        )
    apis = {"attn_mask": "mha", "key_padding_mask": "mha-key-padding"}
    parts = [describe(value, apis[name], num_heads=num_heads) for name, value in tensors.items()]
    traps = [trap for part in parts for trap in part.warnings if trap.id != "F2"]
    if len({value.dtype for value in tensors.values()}) > 1:
        text = "attn_mask and key_padding_mask differ in dtype, which is deprecated and warns. Make both bool."
        traps.append(Trap("F8", text))
    keep, keeps = None, [part.keep for part in parts if part.keep is not None]
    if len(keeps) == len(parts):
        try:
            keep = torch.stack(torch.broadcast_tensors(*keeps)).all(dim=0)
        except RuntimeError:
            words = " and ".join(f"{name} {tuple(value.shape)}" for name, value in tensors.items())
            raise ValueError(f"mask: {words} do not fit together; wanted the same k_len and batch.") from None
        traps += [trap for trap in _keep_traps(keep, "mha", None) if trap.id not in {t.id for t in traps}]
    words = " and ".join(f"{name}, {part.form}," for name, part in zip(tensors, parts, strict=True)).rstrip(",")
    read_as = " and ".join(part.read_as for part in parts)
    read_as += ": a key is hidden if either hides it" if len(parts) > 1 else ""
    return Description("mha", words, read_as, " and ".join(dict.fromkeys(p.polarity for p in parts)), keep, traps)


def _hf(mask: Tensor, implementation: str, model: Any) -> Description:
    api = f"hf ({implementation})"
    if mask.ndim == 1:
        return _refused(api, mask, why="it needs a batch, attention_mask[None]")
    if mask.ndim == 2:
        return _hf_2d(mask, api, model)
    if mask.ndim == 4:
        return _hf_4d(mask, api, implementation, model)
    if transformers_major() >= 5:
        text = "transformers 5 does not read a 3D mask (4.57 did). Use conventions.to_hf(keep)."
        return _refused(api, mask, [Trap("F9", text)])
    return _described(
        api, mask, "(batch, q_len, k_len), read by encoders only", "1 = keep", (mask != 0)[:, None], reads_like="hf"
    )


def _hf_2d(mask: Tensor, api: str, model: Any) -> Description:
    keep, read_as = (mask != 0)[:, None, None], "(batch, k_len): padding, the same for every query"
    traps, meaning = _padding_traps_hf(mask), "1 = keep; anything that is not 0 counts as 1"
    if not sees_causally(model):
        return _described(api, mask, read_as, meaning, keep, traps, "hf")
    keep = keep & torch.ones_like(keep).expand(-1, -1, keep.shape[-1], -1).tril()
    description = _described(api, mask, read_as + ", beside the model's own causality", meaning, keep, traps, "hf")
    # Left-padded queries are empty under it, as they should be: nobody reads them (F15).
    return replace(description, warnings=[trap for trap in description.warnings if trap.id != "F2"])


def _hf_4d(mask: Tensor, api: str, implementation: str, model: Any) -> Description:
    decoder, traps = sees_causally(model), []
    read_as = "(batch, heads, q_len, k_len)"
    read_as += "; on a decoder it replaces the model's own causality" if model is None or decoder else ""
    if mask.dtype == torch.bool and implementation == "sdpa":
        keep, meaning = mask, "True = may attend"
    elif mask.is_floating_point():
        keep, meaning = mask > HIDDEN_BELOW, ADDED
        traps += [Trap("F10", trap.text) if trap.id == "F6" else trap for trap in _float_traps(mask)]
    elif implementation == "sdpa":
        text = "A 4D integer mask is refused under sdpa, and hides nothing under eager. Use conventions.to_hf(keep)."
        return _refused(api, mask, [Trap("F10", text)])
    else:
        keep, meaning = torch.ones_like(mask, dtype=torch.bool), "added to the scores as 0 and 1: nothing is hidden"
        text = f"A 4D {str(mask.dtype)[6:]} mask leaks without a word under eager. Use conventions.to_hf(keep)."
        traps += [Trap("F10", text), *_int_traps(mask)]
    q_len, k_len = mask.shape[-2:]
    sees_future = 1 < q_len <= k_len and bool(keep.triu(k_len - q_len + 1).any())
    only_padding = torch.equal(keep, keep[..., :1, :].expand_as(keep))
    if sees_future and not traps and (decoder or (model is None and only_padding)):
        who = "This model is a decoder" if model is not None else "If the model is a decoder (GPT-2, Llama)"
        text = f"{who}: a 4D mask replaces its causality, and here queries see later keys. Add & masks.causal(…)."
        traps.append(Trap("F10", text))
    return _described(api, mask, read_as, meaning, keep, traps, "sdpa" if implementation == "sdpa" else "hf")


def _flex(mask: Any) -> Description:
    from torch.nn.attention.flex_attention import BlockMask

    if not isinstance(mask, BlockMask):
        require_tensor(mask, "mask", (1, 2, 3, 4), "a BlockMask", "Make one with conventions.to_flex(keep).")
        text = "flex_attention takes a BlockMask, no tensor. Make one with conventions.to_flex(keep)."
        return _refused("flex", mask, [Trap("F23", text)])
    keep = read_block_mask(mask)
    q_len, k_len = keep.shape[-2:]
    q_block, k_block = mask.BLOCK_SIZE
    blocks = f"{-(-q_len // q_block)} × {-(-k_len // k_block)} blocks of {q_block} × {k_block}"
    read_as = f"(batch, heads, q_len, k_len) in {blocks}; only whole blocks are skipped"
    words = f"a BlockMask of shape {tuple(mask.shape)}"
    return Description("flex", words, read_as, "True = may attend", keep, [*_keep_traps(keep, "flex", None)])


def read_block_mask(block_mask: Any) -> Tensor:
    """bool (batch, heads, q_len, k_len): what the rule of a BlockMask says of every query and key.

    Args:
        block_mask: a BlockMask of ``flex_attention``.

    Returns:
        bool (batch, heads, q_len, k_len), sizes of 1 where the BlockMask broadcasts.

    References:
        Lesson 10; https://docs.pytorch.org/docs/2.13/nn.attention.flex_attention.html
    """
    from torch.nn.attention.flex_attention import create_mask

    batch, heads, q_len, k_len = block_mask.shape
    return create_mask(block_mask.mask_mod, batch, heads, q_len, k_len, device=block_mask.kv_num_blocks.device)


# --- traps -----------------------------------------------------------------------------------------


def _float_traps(mask: Tensor, key_padding: bool = False) -> Iterator[Trap]:
    finite = mask[~mask.isnan()]
    hidden = finite <= HIDDEN_BELOW
    if len(finite) < mask.numel():
        text = "NaN in the mask: (1 - m) * -inf is 0 * -inf at kept places. Use masked_fill or conventions.to_additive."
        yield Trap("F18", text)
    if not hidden.any() and (finite == 1).any() and ((finite == 0) | (finite == 1)).all():
        text = "A float 0/1 mask is added to the scores and hides nothing."
        yield Trap("F8" if key_padding else "F6", f"{text} Use a bool, or conventions.to_additive(keep).")
    elif (~hidden & (finite != 0)).any():
        yield Trap("F6", "Some values are neither 0 nor very negative: a soft bias that shifts, but hides nothing.")
    has_inf = bool((finite == -torch.inf).any())
    advice = "Combine as bool, convert once."
    if has_inf and (hidden & (finite != -torch.inf)).any():
        yield Trap("F17", f"Two fills in one mask, one of them -inf: the sum of two masks overflowed. {advice}")
    elif has_inf and mask.dtype == torch.float16:
        text = "-inf in float16 is what -1e9, or the sum of two masks, becomes there; a row of it is NaN."
        yield Trap("F17", f"{text} {advice}")
    elif (hidden & (finite > torch.finfo(mask.dtype).min)).any() and (finite < torch.finfo(torch.float16).min).any():
        fill = finite[hidden].min().item()
        text = f"{fill:g} is fine in this dtype, but does not fit into float16: .half() gives -inf. Use to_additive."
        yield Trap("F17", text)


def _int_traps(mask: Tensor) -> Iterator[Trap]:
    if (mask < 0).any():
        text = f"{int(mask.min())} among integers: ~ on a 0/1 mask gives -1 and -2, both true. Use mask == 0."
        yield Trap("F18", text)


def _repeat_traps(keep: Tensor, num_heads: int) -> Iterator[Trap]:
    """Heads of one sequence must lie together; ``repeat`` puts the sequences together instead."""
    batch = keep.shape[0] // num_heads
    right, mixed = keep.unflatten(0, (batch, num_heads)), keep.unflatten(0, (num_heads, batch))
    heads_alike = torch.equal(right, right[:, :1].expand_as(right))
    if batch > 1 and num_heads > 1 and not heads_alike and torch.equal(mixed, mixed[:1].expand_as(mixed)):
        text = "The sequences alternate, as repeat() leaves them, so heads take each other's masks."
        yield Trap("F8", f"{text} Use repeat_interleave.")


def _shape_traps(keep: Tensor, api: str) -> Iterator[Trap]:
    """A 2D mask that looks like (batch, k_len) padding where (q_len, k_len) is read."""
    if len(keep) < 2 or torch.equal(keep, keep[:1].expand_as(keep)) or not patterns.padding_side(keep):
        return
    if patterns.recognise(keep)[0].name in ("irregular", "documents"):
        other = "key_padding_mask" if api == "mha" else "masks.padding(…), which is (batch, 1, 1, k_len)"
        text = (
            "It looks like (batch, k_len) padding, but a 2D mask is read as (q_len, k_len), silently if the sizes fit."
        )
        yield Trap("F6", f"{text} Use {other}.")


def _padding_traps_hf(mask: Tensor) -> list[Trap]:
    if mask.is_floating_point() and (mask < 0).any():
        text = "In 2D, 1 = keep: this additive mask is read upside down, -inf as keep and 0 as hide. Use the 0/1 mask."
        return [Trap("F1", text)]
    traps, keep = [*_int_traps(mask)], mask != 0
    if not traps and not ((mask == 0) | (mask == 1)).all():
        text = "Not only 0 and 1: all others count as keep (4.57 differs). Are these input_ids or document ids?"
        traps.append(Trap("S1.4", text))
    if mask.shape[0] == mask.shape[1] > 1 and keep.diagonal().all():
        looks = patterns.recognise(keep)[0].name
        pairwise = looks == "irregular" and not patterns.padding_side(keep)
        if pairwise or looks in ("causal", "sliding window", "prefix", "banded", "documents"):
            text = (
                f"It looks like (q_len, k_len){'' if pairwise else ', ' + looks}, but a 2D mask is read as "
                f"(batch, k_len): padding of {len(mask)} sequences. It hides no token of a sequence from another. "
                "Use conventions.to_hf(keep), which is 4D."
            )
            traps.append(Trap("S1.3", text))
    return traps


def _keep_traps(keep: Tensor, api: str, mask: Tensor | None) -> Iterator[Trap]:
    """Traps that show in what stays visible, whatever the API."""
    batch, _, q_len, k_len = keep.shape
    empty = ~keep.any(dim=-1)  # (batch, heads, q_len)
    some_empty = bool(empty.any()) and not bool(empty.all())
    parts = patterns.recognise(keep)
    if q_len == k_len > 1 and keep.any() and not keep.diagonal(dim1=-2, dim2=-1).any():
        yield Trap("F1", f"No query sees its own position. {_upside_down(keep)}")
    elif any(part.name == "banded" and part.parameters["back"] == 0 for part in parts):
        yield Trap("F1", "Every query sees itself and later keys only. Is it triu where tril was meant?")
    elif q_len == 1 and some_empty and batch > 1:
        hidden = ~keep[:, :, 0]
        if (hidden[..., 0] | empty[..., 0]).all() or (hidden[..., -1] | empty[..., 0]).all():
            row = int(empty.flatten(1).any(dim=1).nonzero()[0])
            yield Trap("F1", f"Sequence {row} is hidden altogether. {_upside_down(keep)}")
    if q_len == k_len > 1 and some_empty:
        # Under a causal mask left-padded queries are empty by themselves; the trap is to hide them on purpose.
        names = {part.name for part in parts}
        if "hidden queries" in names or (names == {"irregular"} and torch.equal(~keep.any(dim=-2), empty)):
            text = (
                "The same positions are hidden as queries and as keys. Hide keys only: an empty query is NaN or "
                "uniform, and NaN spreads to every query in the next layer."
            )
            yield Trap("F5", text)
    if count := int(empty.sum()):
        who = f"{count} {'query' if count == 1 else 'queries'} without any key"
        yield Trap("F2", f"{who}: {_empty_row_words(api, mask)}.")


def _upside_down(keep: Tensor) -> str:
    text = "Is it upside down? For MultiheadAttention True = ignore; for SDPA and Hugging Face True = keep."
    meant = patterns.recognise(~keep)
    if meant[0].name in ("causal", "sliding window", "prefix", "documents", "padding"):
        text += f" Turned over it is: {'; '.join(map(str, meant))}."
    return text


def _empty_row_words(api: str, mask: Tensor | None) -> str:
    """What an API makes of a row in which everything is hidden."""
    added = api in ("sdpa", "additive") or (api == "hf" and mask is not None and mask.ndim == 4)
    if added and mask is not None and mask.is_floating_point():
        numbers = mask[~mask.isnan()]
        hiding = numbers[numbers <= HIDDEN_BELOW]
        numbers = hiding if len(hiding) else numbers
        fill = numbers.max().item() if len(numbers) else -torch.inf  # the mildest of those that hide
        if fill > -1e5:
            return f"adding only {fill:g} to every key keeps the weights as if nothing were hidden"
        if fill > -torch.inf:
            return "a finite fill leaves uniform weights, the mean of all values"
        if api != "sdpa":
            return ALL_INF
    if api in ("sdpa", "flex"):
        return "the output is 0"
    if api in ("mha", "mha-key-padding"):
        return "NaN with need_weights=True, and in eval without gradients; else their attention is 0"
    return "uniform weights under eager, output 0 under sdpa" if api == "hf" else ALL_INF


# --- words -----------------------------------------------------------------------------------------


def _grid(keep: Tensor) -> Tensor:
    """(batch, heads, q_len, k_len), also from (k_len,)."""
    return as_4d(keep if keep.ndim > 1 else keep[None])


def _shape_words(mask: Tensor, api: str) -> str:
    if api == "mha-key-padding":
        return "(batch, k_len), the same for every query and head" if mask.ndim == 2 else "(k_len), one sequence"
    if mask.ndim == 3 and api == "mha":
        return "(batch * heads, q_len, k_len)"
    return (
        "(k_len), the same for every query",
        "(q_len, k_len), the same for every sequence and head",
        "(heads, q_len, k_len), the same for every sequence",
        "(batch, heads, q_len, k_len)",
    )[mask.ndim - 1]


def _row_words(rows: list[tuple[int, int, int]], shape: Sequence[int]) -> str:
    """The first of the rows without a key, without the dimensions that have one entry only."""
    names = [
        ", ".join(
            f"{word} {index}"
            for word, index, size in zip(("sequence", "head", "query"), row, shape[:3], strict=True)
            if size > 1 or word == "query"
        )
        for row in rows[:4]
    ]
    return "; ".join(names) + (f"; and {len(rows) - 4} more" if len(rows) > 4 else "") or "no query"
