"""Builds masks as ``keep``: bool, True = may attend, broadcastable to (batch, heads, q_len, k_len).

Rows are queries, columns are keys. Compose with ``&`` and ``|``; convert with ``conventions``.
"""

import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ._validation import describe_tensor, mismatch, read_zero_one, require_count, require_side, require_tensor


def full(q_len: int, k_len: int | None = None) -> Tensor:
    """Every query may attend to every key.

    Args:
        q_len: number of queries, at least 1.
        k_len: number of keys; q_len if not given.

    Returns:
        bool (q_len, k_len), all True.

    Raises:
        TypeError: sizes that are not ints.
        ValueError: sizes below 1.

    References:
        Lesson 05; https://arxiv.org/abs/1706.03762
    """
    return torch.ones(*_sizes(q_len, k_len), dtype=torch.bool)


def padding(attention_mask: Tensor) -> Tensor:
    """Padded keys are hidden from every query. Padded queries still attend: see lesson 02.

    Args:
        attention_mask: (batch, k_len), 1 or True for a real token, 0 or False for padding, as a
            Hugging Face tokenizer returns it.

    Returns:
        bool (batch, 1, 1, k_len), True = may attend.

    Raises:
        TypeError: not a tensor.
        ValueError: not 2D, empty, or values other than 0 and 1.

    References:
        Lesson 02; https://huggingface.co/docs/transformers/v5.0.0/en/glossary#attention-mask
    """
    hint = "Add the batch: attention_mask[None]." if getattr(attention_mask, "ndim", 2) == 1 else ""
    if isinstance(attention_mask, list | tuple):
        hint = "A list is no mask; wrap it: torch.tensor(attention_mask)."
    require_tensor(attention_mask, "attention_mask", (2,), "a (batch, k_len) tensor of 0 and 1", hint)
    return read_zero_one(attention_mask, "attention_mask")[:, None, None, :]


def lengths(lengths: Tensor | Sequence[int], k_len: int | None = None, side: str = "right") -> Tensor:
    """Padded keys are hidden, given how many real tokens each sequence has.

    Args:
        lengths: (batch,) ints, a tensor or a list; 0 is allowed and hides the complete row.
        k_len: the padded length; the largest length if not given.
        side: where the padding is, ``"right"`` or ``"left"``.

    Returns:
        bool (batch, 1, 1, k_len), True = may attend.

    Raises:
        TypeError: lengths that are not integers.
        ValueError: no lengths, a negative one, one beyond k_len, or an unknown side.

    References:
        Lesson 03; https://huggingface.co/docs/transformers/v5.0.0/en/pad_truncation
    """
    lengths = _integers(lengths, "lengths", (1,), "(batch,) ints, one length per sequence")
    longest, shortest = int(lengths.max()), int(lengths.min())
    if shortest < 0:
        raise ValueError(f"lengths: got {shortest}, wanted lengths of at least 0.")
    if k_len is None:
        if longest == 0:
            raise ValueError("lengths: all are 0, so k_len cannot be taken from them; pass k_len.")
        k_len = longest
    require_count(k_len, "k_len")
    if longest > k_len:
        raise ValueError(f"lengths: got {longest}, which is more than k_len={k_len}. Truncate, or raise k_len.")
    require_side(side)
    position = torch.arange(k_len, device=lengths.device)
    real = position < lengths[:, None] if side == "right" else position >= k_len - lengths[:, None]
    return real[:, None, None, :]


def causal(q_len: int, k_len: int | None = None, align: str = "lower_right") -> Tensor:
    """Each query sees its own position and what came before.

    Args:
        q_len: number of queries.
        k_len: number of keys; q_len if not given.
        align: where the diagonal ends if q_len != k_len. ``"lower_right"``: the last query sees every key, as
            with a key/value cache. ``"upper_left"``: the first query sees the first key only, as
            ``scaled_dot_product_attention(is_causal=True)`` does.

    Returns:
        bool (q_len, k_len), True = may attend. With more queries than keys, lower_right leaves the first rows empty.

    Raises:
        TypeError: sizes that are not ints.
        ValueError: sizes below 1, or an unknown align.

    References:
        Lesson 05; https://docs.pytorch.org/docs/2.13/nn.attention.bias.html
    """
    q_len, k_len = _sizes(q_len, k_len)
    if align not in ("lower_right", "upper_left"):
        raise ValueError(f'align: got {align!r}, wanted "lower_right" (a cache) or "upper_left" (is_causal of SDPA).')
    return _distance(q_len, k_len, 0 if align == "upper_left" else k_len - q_len) >= 0


def sliding_window(q_len: int, window: int, k_len: int | None = None) -> Tensor:
    """Causal, and no further back than ``window`` keys, counting the query's own position.

    Args:
        q_len: number of queries.
        window: how many keys a query sees at most, at least 1.
        k_len: number of keys; q_len if not given. The diagonal ends in the lower right corner.

    Returns:
        bool (q_len, k_len), True = may attend.

    Raises:
        TypeError: sizes or a window that are not ints.
        ValueError: sizes or a window below 1.

    References:
        Lesson 05; https://arxiv.org/abs/2004.05150 (Longformer)
    """
    q_len, k_len = _sizes(q_len, k_len)
    require_count(window, "window")
    distance = _distance(q_len, k_len, k_len - q_len)
    return (distance >= 0) & (distance < window)


def prefix(q_len: int, prefix_len: int) -> Tensor:
    """Prefix language model: everybody sees the first ``prefix_len`` keys, the rest is causal.

    Args:
        q_len: number of queries and of keys.
        prefix_len: 0 (causal) to q_len (everything visible).

    Returns:
        bool (q_len, q_len), True = may attend.

    Raises:
        TypeError: sizes that are not ints.
        ValueError: q_len below 1, or a prefix_len below 0 or above q_len.

    References:
        Lesson 05; https://arxiv.org/abs/1910.10683 (T5, section 3.2.1)
    """
    keep = causal(q_len)
    require_count(prefix_len, "prefix_len", minimum=0)
    if prefix_len > q_len:
        raise ValueError(f"prefix_len: got {prefix_len}, which is more than q_len={q_len}.")
    return keep | (torch.arange(q_len) < prefix_len)


def documents(document_ids: Tensor | Sequence[int]) -> Tensor:
    """A token sees the tokens of its own document only; combine with ``causal`` for language models.

    Args:
        document_ids: integers, (T,) or (batch, T): equal numbers are one document, wherever they are. From
            cu_seqlens or lengths ``document_ids`` makes them.

    Returns:
        bool, True = may attend: (T, T) for (T,), (batch, 1, T, T) for (batch, T).

    Raises:
        TypeError: ids that are not integers, or something that is no tensor and no list.
        ValueError: a rank other than 1 or 2, no ids, or rows of different lengths.

    Warns:
        UserWarning: ids that begin at 0, never fall, mostly rise and leave gaps, as the borders that flash-attn calls
            cu_seqlens do: read as ids, nearly each token is a document of its own.

    References:
        Lesson 07; https://arxiv.org/abs/2107.02027 (packing without cross-contamination)
    """
    wanted = "integers (T,) or (batch, T), one document number per token"
    ids = _integers(document_ids, "document_ids", (1, 2), wanted)
    if _like_borders(ids):
        rises = bool((ids.long().diff(dim=-1) > 0).all())
        warnings.warn(
            f"document_ids: got {_some(ids.reshape(-1, ids.shape[-1])[0])}, which begin at 0, "
            f"{'rise at each step' if rises else 'never fall'} and leave gaps. Read as ids, equal numbers are a "
            "document, and each other token is one of its own. If they are borders, as flash-attn's cu_seqlens, write "
            "documents(document_ids(cu_seqlens=…)).",
            stacklevel=2,
        )
    same = ids[..., :, None] == ids[..., None, :]
    return same if ids.ndim == 1 else same[:, None]


def document_ids(
    *, cu_seqlens: Tensor | Sequence[int] | None = None, lengths: Tensor | Sequence[int] | None = None
) -> Tensor:
    """The document of each token in a row of packed documents, for ``documents``. Give exactly one argument.

    Args:
        cu_seqlens: (documents + 1,) integers, where each document begins and the last one ends, as flash-attn takes
            them: 0 first, never falling. A document without tokens (equal neighbours) leaves its number out.
        lengths: (documents,) integers, how many tokens each document has, at least 1.

    Returns:
        int64 (T,): 0 for each token of the first document, then 1, and so on.

    Raises:
        TypeError: values that are not integers.
        ValueError: both arguments or neither; cu_seqlens that do not begin at 0, fall, or hold no token; a length
            below 1; a rank other than 1.

    References:
        Lesson 07; https://github.com/Dao-AILab/flash-attention (``flash_attn_varlen_func``)
    """
    if (cu_seqlens is None) == (lengths is None):
        came = "neither" if lengths is None else "both"
        raise ValueError(f"document_ids: got {came} of cu_seqlens and lengths, wanted one of them.")
    counts = _counts_of_borders(cu_seqlens) if lengths is None else _counts(lengths)
    return torch.arange(len(counts), device=counts.device).repeat_interleave(counts)


def _counts(lengths: Any) -> Tensor:
    """int64 (documents,), each at least 1."""
    counts = _integers(lengths, "lengths", (1,), "(documents,) integers of at least 1, one length per document").long()
    if int(counts.min()) < 1:
        rises = len(counts) > 1 and int(counts[0]) == 0 and bool((counts.diff() > 0).all())
        hint = "Are these borders? Then write cu_seqlens=…" if rises else "Leave out a document without tokens."
        raise ValueError(f"lengths: got {_some(counts)}, wanted integers of at least 1. {hint}")
    return counts


def _counts_of_borders(cu_seqlens: Any) -> Tensor:
    """int64 (documents,), how many tokens lie between each border and the next."""
    wanted = "(documents + 1,) integers that begin at 0, never fall, and end with the number of tokens"
    borders = _integers(cu_seqlens, "cu_seqlens", (1,), wanted).long()
    counts = borders.diff()
    if int(borders[0]) != 0 or int(borders[-1]) == 0 or bool((counts < 0).any()):
        hint = " Are these lengths? Then write lengths=…" if int(borders.min()) > 0 else ""
        raise ValueError(f"cu_seqlens: got {_some(borders)}, wanted {wanted}.{hint}")
    return counts


def _like_borders(ids: Tensor) -> bool:
    """Whether ids could be flash-attn's cu_seqlens: each row begins at 0, never falls, mostly rises, and leaves gaps.

    Equal neighbours are an empty document, or the end, repeated up to a fixed size. Ids may leave a number out too, so
    one gap is enough only if the last number is at least how many there are.
    """
    ids = ids.long()
    steps = ids.diff(dim=-1)
    if not steps.numel() or bool((ids[..., 0] != 0).any() or (steps < 0).any()):
        return False
    last = ids[..., -1:]
    before_end = ids[..., :-1] < last  # steps up to the last rise
    mostly_rise = 2 * (steps > 0).sum(-1) > before_end.sum(-1)
    gaps = (steps > 1).sum(-1)
    return bool((mostly_rise & ((gaps > 1) | ((gaps > 0) & (last[..., 0] >= ids.shape[-1])))).all())


def _sizes(q_len: int, k_len: int | None) -> tuple[int, int]:
    require_count(q_len, "q_len")
    return q_len, q_len if k_len is None else require_count(k_len, "k_len")


def _distance(q_len: int, k_len: int, offset: int) -> Tensor:
    """(q_len, k_len): how many positions key k lies before query q, whose own position is q + offset."""
    return torch.arange(q_len)[:, None] + offset - torch.arange(k_len)


def _some(values: Tensor, most: int = 8) -> str:
    """The first values of a row, for messages."""
    return str(values[:most].tolist())[:-1] + (", …]" if len(values) > most else "]")


def _integers(values: Any, name: str, dims: tuple[int, ...], wanted: str) -> Tensor:
    """An integer tensor, from one or from a list of ints; a named error if it is neither."""
    if isinstance(values, Sequence) and not isinstance(values, str):
        rows = values if 2 in dims and values and all(isinstance(row, list | tuple) for row in values) else [values]
        odd = [n for row in rows for n in row if isinstance(n, bool) or not isinstance(n, int)]
        if odd:
            raise TypeError(f"{name}: got {describe_tensor(odd[0])} among them, wanted {wanted}.")
        if len({len(row) for row in rows}) > 1:
            raise ValueError(
                f"{name}: got rows of lengths {[len(row) for row in rows]}, wanted {wanted}. Pad them first."
            )
        large = [n for row in rows for n in row if not -(2**63) <= n < 2**63]
        if large:
            raise ValueError(f"{name}: got {large[0]} among them, which int64 cannot hold; wanted {wanted}.")
        values = torch.tensor(list(values), dtype=torch.long)
    require_tensor(values, name, dims, wanted)
    if values.dtype == torch.bool or values.is_floating_point() or values.is_complex():
        hint = "Is this an attention_mask? Then use masks.padding." if values.dtype == torch.bool else ""
        raise TypeError(mismatch(name, values, "integers", hint))
    return values


# --- one list of masks, for Python and for the page --------------------------------------------------


class Parameter(NamedTuple):
    """A number, or a list of document lengths, that a mask of ``PRESETS`` needs.

    Attributes:
        name: what the rule calls it.
        label: what its input is called.
        default: a number or an expression of ``k_len``, brought into 1 to k_len. Of lengths it is the first; the rest
            follows.
        least: the least value.
        kind: ``"count"`` (0 to k_len) or ``"lengths"`` (a list of counts, one for each document).

    References:
        Lesson 00, where MaskLab shows an input for each.
    """

    name: str
    label: str
    default: str
    least: int = 0
    kind: str = "count"


class Preset(NamedTuple):
    """One mask: its words, its parameters and its rule. ``preset`` evaluates the rule, MaskLab's page does the same.

    Attributes:
        key: its name in ``PRESETS``.
        label: what it is called in a menu.
        rule: may query q attend to key k? An expression that Python reads with tensors, JavaScript with numbers,
            alike. Its names are q, k, q_len, k_len, the parameters, ``own`` (the position of the query among the keys:
            the last query is at the last key), ``document_q`` and ``document_k`` (the documents of both, if there are
            lengths). Its operators are ``+ - * < <= > >= == & |`` and ``%`` of what is not negative, with parentheses
            around each comparison.
        parameters: what the rule needs besides.

    References:
        Lesson 00, where MaskLab offers each.
    """

    key: str
    label: str
    rule: str
    parameters: tuple[Parameter, ...] = ()


_REAL = Parameter("real", "real keys", default="k_len - 2")
_WINDOW = Parameter("window", "window", default="3", least=1)
_PREFIX = Parameter("prefix", "prefix", default="k_len >> 1")
_LENGTHS = Parameter("lengths", "lengths", default="k_len >> 1", kind="lengths")

#: Every mask that MaskLab offers, in the order of its menu. A row here is all that the widget needs.
PRESETS = {
    row.key: row
    for row in (
        Preset("none", "none", "(q >= 0) & (k >= 0)"),
        Preset("right_padding", "right padding", "k < real", (_REAL,)),
        Preset("left_padding", "left padding", "k >= k_len - real", (_REAL,)),
        Preset("causal", "causal", "k <= own"),
        Preset("causal_upper_left", "causal, upper left", "k <= q"),
        Preset("sliding_window", "sliding window", "(k <= own) & (k > own - window)", (_WINDOW,)),
        Preset("prefix", "prefix, then causal", "(k < prefix) | (k <= own)", (_PREFIX,)),
        Preset("documents", "documents", "(own >= 0) & (document_q == document_k)", (_LENGTHS,)),
        Preset("causal_padding", "causal + right padding", "(k <= own) & (k < real)", (_REAL,)),
    )
}


def preset(name: str, q_len: int, k_len: int | None = None, **parameters) -> Tensor:
    """The mask that MaskLab's menu calls ``name``: its rule in ``PRESETS``, evaluated for every query and key.

    Args:
        name: a key of ``PRESETS``, such as ``"sliding_window"``.
        q_len: number of queries, at least 1.
        k_len: number of keys; q_len if not given. The last query is at the last key.
        **parameters: those of the preset, such as ``window=3``; ``lengths`` is a list of ints, and keys beyond
            their sum are one more document.

    Returns:
        bool (q_len, k_len), True = may attend.

    Raises:
        TypeError: a parameter is missing, unknown, or not an int (of lengths, not a list of ints).
        ValueError: no such preset, a size below 1, or a parameter below its least value.

    References:
        Lesson 00, where MaskLab is first used; Lesson 05 teaches the causal ones.
    """
    q_len, k_len = _sizes(q_len, k_len)
    if name not in PRESETS:
        raise ValueError(f"name: got {name!r}, wanted one of {', '.join(PRESETS)}.")
    row = PRESETS[name]
    wanted = [parameter.name for parameter in row.parameters]
    if sorted(parameters) != sorted(wanted):
        raise TypeError(
            f"{name}: got the parameters {', '.join(parameters) or 'none'}, wanted {', '.join(wanted) or 'none'}."
        )
    q, k = torch.arange(q_len)[:, None], torch.arange(k_len)
    own = q + k_len - q_len
    names = {"q": q, "k": k, "own": own, "q_len": q_len, "k_len": k_len}
    for parameter in row.parameters:
        value = parameters[parameter.name]
        if parameter.kind == "lengths":
            document = _documents_of(value, k_len)
            names |= {"document_k": document, "document_q": document[own.clamp(min=0)]}
        else:
            names[parameter.name] = require_count(value, parameter.name, minimum=parameter.least)
    return eval(row.rule, {"__builtins__": {}}, names).expand(q_len, k_len).clone()


def _documents_of(lengths: Sequence[int], k_len: int) -> Tensor:
    """(k_len,) the number of each key's document; keys beyond the sum of the lengths are one more."""
    counts = _integers(lengths, "lengths", (1,), "a list of ints, one length per document")
    if int(counts.min()) < 0:
        raise ValueError(f"lengths: got {int(counts.min())}, wanted lengths of at least 0.")
    ids = torch.arange(len(counts)).repeat_interleave(counts)[:k_len]
    return torch.cat([ids, torch.full((k_len - len(ids),), len(counts))])
