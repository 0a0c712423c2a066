"""Says what a mask will do in a given API: ``conventions.describe``.

A mask is read exactly as the API reads it, not as it was meant. What that hides is described, and where the
reading is a known trap a warning says so. Stated for torch 2.13 and transformers 4.57 and 5.23.
"""

import html
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from . import patterns
from ._transformers import require_attn_implementation, sees_causally, transformers_major
from ._validation import HIDDEN_BELOW, as_4d, describe_tensor, require_count, require_tensor

APIS = ("sdpa", "mha", "mha-key-padding", "hf", "additive", "flex")


@dataclass(frozen=True)
class Trap:
    """One thing that is probably not meant."""

    id: str
    """The fact behind it, as the lessons number them: F6, S1.3, …"""
    text: str

    def __str__(self) -> str:
        return f"{self.id}: {self.text}"


@dataclass(frozen=True, repr=False)
class Description:
    """What a mask does in an API. It prints as text, and shows as a table in a notebook."""

    api: str
    given: str
    """Dtype and shape of the tensor, in words."""
    read_as: str
    """What the API takes the dimensions for."""
    polarity: str
    """What a value means there."""
    keep: Tensor | None
    """What the API really lets through, as bool (batch, heads, q_len, k_len), sizes of 1 where the mask says nothing;
    None if the API refuses the mask."""
    warnings: list[Trap] = field(default_factory=list)

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
        return [] if self.keep is None else [tuple(row) for row in (~self.keep.any(dim=-1)).nonzero().tolist()]

    def rows(self) -> list[tuple[str, str]]:
        """The description as (heading, text) pairs, as printed."""
        rows = [("reads", f"{self.given} as {self.read_as}"), ("meaning", self.polarity)]
        if self.keep is not None:
            counts, k_len = self.keys_per_query, self.keep.shape[-1]
            low, high = int(counts.min()), int(counts.max())
            rows.append(("pattern", "; ".join(map(str, self.patterns))))
            rows.append(("keys per query", f"{low if low == high else f'{low} to {high}'} of {k_len}"))
            rows.append(("sees nothing", _places(self.empty_rows, self.keep.shape)))
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
    mask, api: str, *, attn_implementation: str = "sdpa", num_heads: int | None = None, model=None
) -> Description:
    """What ``mask`` will do if it is handed to ``api``: in words, as a small object, with warnings.

    Args:
        mask: the tensor as it would be passed. For ``"mha"`` also the dict of ``to_mha``; for ``"flex"`` a
            ``BlockMask``. It is not changed.
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
        TypeError, ValueError: something that is no mask at all, or an unknown api.
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


def _torch(mask: Tensor, api: str, num_heads: int | None) -> Description:
    """sdpa, mha, mha-key-padding and additive: bool by polarity, float is added, integers are refused."""
    given, traps = describe_tensor(mask), []
    if not mask.is_floating_point() and (mask.dtype != torch.bool or api == "additive"):
        hint = "Use mask.bool()" if api == "sdpa" else "Use mask == 0" if api.startswith("mha") else ""
        if api == "additive":
            meaning = "added to scores, True or 1 adds 1 and 0 adds nothing: nothing is hidden"
            traps += [Trap("F6", "0/1 added to scores hides nothing. Use conventions.to_additive(keep).")]
            if bool((mask < 0).any()):
                traps += [_negative_ints(mask)]
            return Description(api, given, _shape_words(mask, api), meaning, _grid(torch.ones_like(mask).bool()), traps)
        traps += [Trap("F6", f"An integer mask is refused: only bool and float are read. {hint}, if 1 means keep.")]
        if bool((mask < 0).any()):
            traps += [_negative_ints(mask)]
        return Description(api, given, "nothing: it is refused", "none", None, traps)
    read_as = _shape_words(mask, api)
    if mask.is_floating_point():
        keep, meaning = mask > HIDDEN_BELOW, "added to the scores: 0 keeps, very negative hides"
        traps += _float_traps(mask, key_padding=api == "mha-key-padding")
    elif api == "sdpa":
        keep, meaning = mask, "True = may attend"
    else:
        keep, meaning = ~mask, "True = ignore"
    if api == "mha-key-padding":
        keep = keep.reshape(-1, 1, 1, keep.shape[-1])
    elif api == "mha" and mask.ndim == 3:
        if num_heads and mask.shape[0] % num_heads == 0:
            traps += _repeat_trap(keep, num_heads)
            keep = keep.unflatten(0, (-1, num_heads))
            read_as = f"(batch * {num_heads} heads, q_len, k_len)"
        elif num_heads:
            text = f"The first size {mask.shape[0]} is no multiple of num_heads={num_heads}, so the module refuses it."
            return Description(api, given, "nothing: it is refused", meaning, None, [*traps, Trap("F8", text)])
        else:
            keep = keep[:, None]
    keep = _grid(keep)
    traps += _shape_traps(keep, api) if mask.ndim == 2 and api in ("sdpa", "mha") else []
    traps += _keep_traps(keep, api, mask)
    return Description(api, given, read_as, meaning, keep, traps)


def _both(masks: dict, num_heads: int | None) -> Description:
    """The dict of to_mha: what attn_mask and key_padding_mask leave visible together."""
    extra = set(masks) - {"attn_mask", "key_padding_mask"}
    given = {name: value for name, value in masks.items() if value is not None}
    if extra or not given:
        raise ValueError(
            f"mask: got a dict with {sorted(masks)}, wanted attn_mask or key_padding_mask or both, as "
            "conventions.to_mha returns them."
        )
    parts = [
        describe(value, "mha" if name == "attn_mask" else "mha-key-padding", num_heads=num_heads)
        for name, value in given.items()
    ]
    traps = [trap for part in parts for trap in part.warnings if trap.id != "F2"]
    if len(parts) == 2 and parts[0].given.split()[1] != parts[1].given.split()[1]:
        text = "attn_mask and key_padding_mask differ in dtype, which is deprecated and warns. Make both bool."
        traps.append(Trap("F8", text))
    keep = None
    if all(part.keep is not None for part in parts):
        try:
            keep = torch.broadcast_tensors(*(part.keep for part in parts))
            keep = keep[0] & keep[-1]
        except RuntimeError:
            words = " and ".join(f"{name} {tuple(value.shape)}" for name, value in given.items())
            raise ValueError(f"mask: {words} do not fit together; wanted the same k_len and batch.") from None
        traps += [trap for trap in _keep_traps(keep, "mha", None) if trap.id not in {t.id for t in traps}]
    words = " and ".join(f"{name}, {part.given}," for name, part in zip(given, parts, strict=True)).rstrip(",")
    read_as = " and ".join(part.read_as for part in parts) + (
        ": a key is hidden if either hides it" if parts[1:] else ""
    )
    return Description("mha", words, read_as, " and ".join(dict.fromkeys(p.polarity for p in parts)), keep, traps)


def _hf(mask: Tensor, implementation: str, model) -> Description:
    api, given, traps = f"hf ({implementation})", describe_tensor(mask), []

    def done(read_as, meaning, keep):
        if keep is None:
            return Description(api, given, read_as, meaning, None, traps)
        keep = _grid(keep)
        reads_like = "sdpa" if implementation == "sdpa" and mask.ndim == 4 else "hf"
        return Description(api, given, read_as, meaning, keep, traps + _keep_traps(keep, reads_like, mask))

    if mask.ndim == 1:
        return done("nothing: it needs a batch, attention_mask[None]", "none", None)
    if mask.ndim == 2:
        keep, read_as = (mask != 0)[:, None, None], "(batch, k_len): padding, the same for every query"
        traps += _padding_traps_hf(mask)
        meaning = "1 = keep; anything that is not 0 counts as 1"
        if not sees_causally(model):
            return done(read_as, meaning, keep)
        keep = keep & torch.ones_like(keep).expand(-1, -1, keep.shape[-1], -1).tril()
        found = done(read_as + ", beside the model's own causality", meaning, keep)
        # Left-padded queries are empty under it, as they should be: nobody reads them (F15).
        return replace(found, warnings=[trap for trap in found.warnings if trap.id != "F2"])
    if mask.ndim == 3:
        if transformers_major() >= 5:
            text = "transformers 5 does not read a 3D mask (4.57 did). Use conventions.to_hf(keep)."
            traps.append(Trap("F9", text))
            return done("nothing: it is refused", "none", None)
        return done("(batch, q_len, k_len), read by encoders only", "1 = keep", (mask != 0)[:, None])
    read_as = "(batch, heads, q_len, k_len)"
    if model is None or sees_causally(model):
        read_as += "; on a decoder it replaces the model's own causality"
    if mask.dtype == torch.bool and implementation == "sdpa":
        keep, meaning = mask, "True = may attend"
    elif mask.is_floating_point():
        keep, meaning = mask > HIDDEN_BELOW, "added to the scores: 0 keeps, very negative hides"
        traps += [Trap("F10", trap.text) if trap.id == "F6" else trap for trap in _float_traps(mask)]
    elif implementation == "sdpa":
        text = "A 4D integer mask is refused under sdpa, and hides nothing under eager. Use conventions.to_hf(keep)."
        traps.append(Trap("F10", text))
        return done("nothing: it is refused", "none", None)
    else:
        keep, meaning = torch.ones_like(mask, dtype=torch.bool), "added to the scores as 0 and 1: nothing is hidden"
        text = f"A 4D {str(mask.dtype)[6:]} mask leaks without a word under eager. Use conventions.to_hf(keep)."
        traps.append(Trap("F10", text))
        if bool((mask < 0).any()):
            traps.append(_negative_ints(mask))
    q_len, k_len = mask.shape[-2:]
    sees_future = 1 < q_len <= k_len and bool(keep.triu(k_len - q_len + 1).any())
    only_padding = torch.equal(keep, keep[..., :1, :].expand_as(keep))
    if sees_future and not traps and (sees_causally(model) or (model is None and only_padding)):
        who = "This model is a decoder" if model is not None else "If the model is a decoder (GPT-2, Llama)"
        text = f"{who}: a 4D mask replaces its causality, and here queries see later keys. Add & masks.causal(…)."
        traps.append(Trap("F10", text))
    return done(read_as, meaning, keep)


def _flex(mask) -> Description:
    from torch.nn.attention.flex_attention import BlockMask

    if isinstance(mask, BlockMask):
        keep = read_block_mask(mask)
        q_len, k_len = keep.shape[-2:]
        q_block, k_block = mask.BLOCK_SIZE
        blocks = f"{-(-q_len // q_block)} × {-(-k_len // k_block)} blocks of {q_block} × {k_block}"
        read_as = f"(batch, heads, q_len, k_len) in {blocks}; only whole blocks are skipped"
        given = f"a BlockMask of shape {tuple(mask.shape)}"
        return Description("flex", given, read_as, "True = may attend", keep, _keep_traps(keep, "flex", None))
    require_tensor(mask, "mask", (1, 2, 3, 4), "a BlockMask", "Make one with conventions.to_flex(keep).")
    text = "flex_attention takes a BlockMask, no tensor. Make one with conventions.to_flex(keep)."
    return Description("flex", describe_tensor(mask), "nothing: it is refused", "none", None, [Trap("F23", text)])


def read_block_mask(block_mask) -> Tensor:
    """bool (batch, heads, q_len, k_len): what the rule of a BlockMask says of every query and key."""
    from torch.nn.attention.flex_attention import create_mask

    return create_mask(block_mask.mask_mod, *block_mask.shape, device=block_mask.kv_num_blocks.device)


# --- traps -----------------------------------------------------------------------------------------


def _float_traps(mask: Tensor, key_padding: bool = False) -> list[Trap]:
    traps = []
    finite = mask[~mask.isnan()]
    if len(finite) < mask.numel():
        text = "NaN in the mask: (1 - m) * -inf is 0 * -inf at kept places. Use masked_fill or conventions.to_additive."
        traps.append(Trap("F18", text))
    hidden = finite <= HIDDEN_BELOW
    if not bool(hidden.any()) and bool((finite == 1).any()) and bool(((finite == 0) | (finite == 1)).all()):
        text = (
            "A float 0/1 mask is added to the scores and hides nothing. Use a bool, or conventions.to_additive(keep)."
        )
        traps.append(Trap("F8" if key_padding else "F6", text))
    elif bool((~hidden & (finite != 0)).any()):
        traps.append(
            Trap("F6", "Some values are neither 0 nor very negative: a soft bias that shifts, but hides nothing.")
        )
    deepest = torch.finfo(mask.dtype).min
    has_inf = bool((finite == -torch.inf).any())
    if has_inf and bool((hidden & (finite != -torch.inf)).any()):
        text = (
            "Two fills in one mask, one of them -inf: the sum of two masks overflowed. Combine as bool, convert once."
        )
        traps.append(Trap("F17", text))
    elif has_inf and mask.dtype == torch.float16:
        text = (
            "-inf in float16 is what -1e9, or the sum of two masks, becomes there; a row of it is NaN. "
            "Combine as bool, convert once."
        )
        traps.append(Trap("F17", text))
    elif bool((hidden & (finite > deepest)).any()) and bool((finite < torch.finfo(torch.float16).min).any()):
        fill = finite[hidden].min().item()
        text = f"{fill:g} is fine in this dtype, but does not fit into float16: .half() gives -inf. Use to_additive."
        traps.append(Trap("F17", text))
    return traps


def _negative_ints(mask: Tensor) -> Trap:
    return Trap("F18", f"{int(mask.min())} among integers: ~ on a 0/1 mask gives -1 and -2, both true. Use mask == 0.")


def _repeat_trap(keep: Tensor, num_heads: int) -> list[Trap]:
    """Heads of one sequence must lie together; ``repeat`` puts the sequences together instead."""
    batch = keep.shape[0] // num_heads
    ours, theirs = keep.unflatten(0, (batch, num_heads)), keep.unflatten(0, (num_heads, batch))
    alike = torch.equal(ours, ours[:, :1].expand_as(ours))
    if batch == 1 or num_heads == 1 or alike or not torch.equal(theirs, theirs[:1].expand_as(theirs)):
        return []
    text = "The sequences alternate, as repeat() leaves them, so heads take each other's masks. Use repeat_interleave."
    return [Trap("F8", text)]


def _shape_traps(keep: Tensor, api: str) -> list[Trap]:
    """A 2D mask that looks like (batch, k_len) padding where (q_len, k_len) is read."""
    keep = keep[0, 0]
    if len(keep) < 2 or torch.equal(keep, keep[:1].expand_as(keep)) or not patterns.padding_side(keep):
        return []
    if patterns.recognise(keep)[0].name not in ("irregular", "documents"):
        return []
    other = "key_padding_mask" if api == "mha" else "masks.padding(…), which is (batch, 1, 1, k_len)"
    text = (
        "It looks like (batch, k_len) padding, but a 2D mask is read as (q_len, k_len), silently if the sizes fit. "
        f"Use {other}."
    )
    return [Trap("F6", text)]


def _padding_traps_hf(mask: Tensor) -> list[Trap]:
    traps = []
    if mask.is_floating_point() and bool((mask < 0).any()):
        text = "In 2D, 1 = keep: this additive mask is read upside down, -inf as keep and 0 as hide. Use the 0/1 mask."
        return [Trap("F1", text)]
    if bool((mask < 0).any()):
        traps.append(_negative_ints(mask))
    elif not bool(((mask == 0) | (mask == 1)).all()):
        traps.append(
            Trap(
                "S1.4",
                "Not only 0 and 1: all others count as keep (4.57 differs). Are these input_ids or document ids?",
            )
        )
    keep = mask != 0
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


def _keep_traps(keep: Tensor, api: str, mask: Tensor | None) -> list[Trap]:
    """Traps that show in what stays visible, whatever the API."""
    batch, _, q_len, k_len = keep.shape
    traps = []
    empty = ~keep.any(dim=-1)  # (batch, heads, q_len)
    parts = patterns.recognise(keep)
    if q_len == k_len > 1 and keep.any() and not keep.diagonal(dim1=-2, dim2=-1).any():
        traps.append(Trap("F1", f"No query sees its own position. {_upside_down(keep)}"))
    elif any(part.name == "banded" and part.parameters["back"] == 0 for part in parts):
        traps.append(Trap("F1", "Every query sees itself and later keys only. Is it triu where tril was meant?"))
    elif q_len == 1 and empty.any() and not empty.all() and batch > 1:
        hidden = ~keep[:, :, 0]
        if bool((hidden[..., 0] | empty[..., 0]).all()) or bool((hidden[..., -1] | empty[..., 0]).all()):
            row = int(empty.flatten(1).any(dim=1).nonzero()[0])
            traps.append(Trap("F1", f"Sequence {row} is hidden altogether. {_upside_down(keep)}"))
    if q_len == k_len > 1 and empty.any() and not empty.all():
        # Under a causal mask left-padded queries are empty by themselves; the trap is to hide them on purpose.
        names = {part.name for part in parts}
        if "hidden queries" in names or (names == {"irregular"} and torch.equal(~keep.any(dim=-2), empty)):
            text = (
                "The same positions are hidden as queries and as keys. Hide keys only: an empty query is NaN or "
                "uniform, and NaN spreads to every query in the next layer."
            )
            traps.append(Trap("F5", text))
    if empty.any():
        who = _count(int(empty.sum()), "query", "queries")
        traps.append(Trap("F2", f"{who} without any key: {_empty_row_words(api, mask)}."))
    return traps


def _upside_down(keep: Tensor) -> str:
    text = "Is it upside down? For MultiheadAttention True = ignore; for SDPA and Hugging Face True = keep."
    meant = patterns.recognise(~keep)
    if meant[0].name in ("causal", "sliding window", "prefix", "documents", "padding"):
        text += f" Turned over it is: {'; '.join(map(str, meant))}."
    return text


def _empty_row_words(api: str, mask: Tensor | None) -> str:
    """What an API makes of a row in which everything is hidden."""
    added = api in ("sdpa", "additive") or (api == "hf" and mask.ndim == 4)
    if added and mask is not None and mask.is_floating_point():
        deepest = mask[~mask.isnan()].max().item() if not mask.isnan().all() else -torch.inf
        deepest = min(deepest, mask[mask <= HIDDEN_BELOW].max().item()) if (mask <= HIDDEN_BELOW).any() else deepest
        if deepest > -1e5:
            return f"adding only {deepest:g} to every key keeps the weights as if nothing were hidden"
        if deepest > -torch.inf:
            return "a finite fill leaves uniform weights, the mean of all values"
        if api != "sdpa":
            return "softmax of -inf only is NaN"
    words = {
        "sdpa": "the output is 0",
        "flex": "the output is 0",
        "mha": "NaN with need_weights=True, and in eval without gradients; else their attention is 0",
        "mha-key-padding": "NaN with need_weights=True, and in eval without gradients; else their attention is 0",
        "hf": "uniform weights under eager, output 0 under sdpa",
    }
    return words.get(api, "softmax of -inf only is NaN")


# --- words -----------------------------------------------------------------------------------------


def _grid(keep: Tensor) -> Tensor:
    """(batch, heads, q_len, k_len), also from (k_len,)."""
    return as_4d(keep if keep.ndim > 1 else keep[None])


def _shape_words(mask: Tensor, api: str) -> str:
    if api == "mha-key-padding":
        return "(batch, k_len), the same for every query and head" if mask.ndim == 2 else "(k_len), one sequence"
    if mask.ndim == 1:
        return "(k_len), the same for every query"
    if mask.ndim == 2:
        return "(q_len, k_len), the same for every sequence and head"
    if mask.ndim == 3:
        return "(batch * heads, q_len, k_len)" if api == "mha" else "(heads, q_len, k_len), the same for every sequence"
    return "(batch, heads, q_len, k_len)"


def _count(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"


def _places(rows: list[tuple[int, int, int]], shape) -> str:
    if not rows:
        return "no query"
    names = [
        ", ".join(
            f"{word} {index}"
            for word, index, size in zip(("sequence", "head", "query"), row, shape[:3], strict=True)
            if size > 1 or word == "query"
        )
        for row in rows
    ]
    return "; ".join(names[:4]) + (f"; and {len(names) - 4} more" if len(names) > 4 else "")
