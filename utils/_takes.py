"""Which masks a Hugging Face model takes, in which form, and what it adds: one row of facts, all of them observed.

The table of all classes and the command ``python -m attention_masks MODEL`` are made of these rows.
"""

from typing import Any

from ._observe import LONGEST, PADDING, Observation, _reach, observe, own_in_words, usual_forms

#: Tokens of the texts that are tried, if no window of the model asks for more.
LENGTH = 16
#: Longer than any window.
ANY_LENGTH = 10**9


def takes(model: Any, length: int | None = None) -> dict[str, Any]:
    """The row of one model: facts that JSON can hold.

    Args:
        model: a Hugging Face model; it is run on a few random ids, and not changed.
        length: tokens of these texts; 16, or more where the config has a window that would not show, if not given.

    Returns:
        ``class``, ``family``, ``attn_implementation``, ``tokens``, and what was seen: ``masks``, form → ``reads``
        ("read", "partly read", "ignored", "refused" or "not known") and ``why``; what it ``adds`` by itself, in words,
        None if not known; ``causal``: True, False, "partly" or None; the smallest ``window`` and ``chunks``, in keys;
        what a 4D mask ``replaces``; ``cross``: whether cross-attention sees the mask; ``padding_reaches``: whether what
        a 2D mask hides reaches real tokens.
    """
    length = length or _length(model)
    seen = {name: observe(model, form, length) for name, form in usual_forms(model.dtype).items()}
    usual, unpadded = seen["2D"], observe(model, PADDING._replace(hides=False), length)
    return {
        "class": type(model).__name__,
        "family": model.config.model_type,
        "attn_implementation": model.config._attn_implementation,
        "tokens": length,
        "masks": {name: dict(zip(("reads", "why"), _verdict(one), strict=True)) for name, one in seen.items()},
        "adds": _adds_both(usual, unpadded) if usual.known else None,
        "causal": _causal(usual) if usual.known else None,
        **_narrowest(usual),
        "replaces": _replaced(usual, seen["4D additive"]),
        "cross": usual.cross if usual.known else None,
        "padding_reaches": None if usual.unknown else bool(usual.refusal) or not usual.hides,
    }


def in_words(row: dict[str, Any]) -> str:
    """A row of ``takes`` as people read it, a line for each fact."""
    name, own = row["class"], row["adds"]
    lines = [f"{name} ({row['family']}, {row['attn_implementation']}), tried on texts of {row['tokens']} tokens"]
    facts = {"adds by itself": "not known" if own is None else own}
    facts |= {f"{form} mask": mask_in_words(row, form) for form in row["masks"]}
    facts["padding"] = padding_in_words(row)
    return "\n".join(lines + [f"  {heading:<17} {text}" for heading, text in facts.items()])


def mask_in_words(row: dict[str, Any], form: str) -> str:
    """What becomes of a mask of one form."""
    reads, why = row["masks"][form].values()
    words = reads + (f": {why}" if why else "")
    if form == "4D additive" and row["replaces"]:
        words += f"; it replaces the model's own {' and '.join(row['replaces'])}"
    if form == "2D" and row["cross"] is not None:
        words += "; it is the encoder's, and the decoder's cross-attention " + (
            "sees it too" if row["cross"] else "does not see it"
        )
    return words


def padding_in_words(row: dict[str, Any]) -> str:
    """Whether what a 2D mask hides reaches real tokens."""
    reaches = row["padding_reaches"]
    if reaches is None:
        return "it is not known whether it reaches real tokens"
    return "it reaches real tokens, whatever the mask" if reaches else "with a 2D mask it reaches no real token"


def _length(model: Any) -> int:
    """Enough tokens that windows and chunks of the config show, if that is possible."""
    config = model.config.get_text_config().to_dict()
    sizes = [config.get(name) for name in ("sliding_window", "attention_chunk_size", "window_size", "local_attention")]
    fitting = [size for size in sizes if isinstance(size, int) and LENGTH <= size + 2 <= LONGEST]
    return max(fitting, default=LENGTH - 2) + 2


def _verdict(seen: Observation) -> tuple[str, str]:
    """("read", "partly read", "ignored", "refused" or "not known", why)."""
    if seen.unknown:
        return "not known", seen.unknown
    if seen.refusal:
        return "refused", seen.refusal
    ignoring = [names for names, layer in seen.kinds() if layer.obeys == "nothing"]
    if len(ignoring) == len(seen.kinds()) and (ignoring or seen.hidden_reach):
        return "ignored", ""
    if ignoring:
        return "partly read", f"{', '.join(ignoring)} ignore it"
    if seen.hidden_reach:
        return "partly read", f"layers without attention carry {seen.carried} tokens on, hidden ones too"
    return "read", ""


def _adds(usual: Observation) -> str:
    """What a model adds by itself to a padding mask, in words."""
    words = own_in_words(usual, ANY_LENGTH)
    if not usual.layers:
        return "causality, without attention" if usual.mixing == "causal" else "nothing, and has no attention"
    if usual.mixing:
        words = f"{words or 'nothing'}; layers without attention carry {usual.carried} tokens on"
    return words or "nothing"


def _adds_both(usual: Observation, unpadded: Observation) -> str:
    """What a model adds; where nothing is padded, it may leave out the mask and its causality with it."""
    words = _adds(usual)
    if unpadded.known and not unpadded.mixing and not usual.mixing and (other := _adds(unpadded)) != words:
        words += f"; {other} where no token is padded"
    return words


def _causal(usual: Observation) -> bool | str:
    """Whether every layer, some or none hides later tokens."""
    causal = [layer.causal for layer in usual.layers]
    causal += [usual.mixing == "causal"] if usual.mixing else []
    return all(causal) or ("partly" if any(causal) else False)


def _narrowest(usual: Observation) -> dict[str, int | None]:
    """The smallest window and the smallest chunk, in keys, measured or by the config; None where there is none."""
    sizes: dict[str, list[int]] = {"window": [], "chunks": []}
    for _, layer in usual.kinds():
        name, size = _reach(layer)
        if size:
            sizes["window" if "window" in name else "chunks"].append(size)
    return {name: min(values, default=None) for name, values in sizes.items()}


def _replaced(usual: Observation, seen: Observation) -> list[str]:
    """What a model hides under a padding mask, and no longer under a 4D mask that hides nothing."""
    if not (usual.known and seen.known) or len(usual.layers) != len(seen.layers):
        return []
    shown = [after.own & ~before.own for before, after in zip(usual.layers, seen.layers, strict=True)]
    later = any(keys.triu(1).any() for keys in shown)
    longer = bool(_narrowest(usual)["window"] or _narrowest(usual)["chunks"]) and not any(
        after.by_config for after in seen.layers
    )
    farther = any(keys.tril().any() for keys in shown) or (later and longer)
    narrow = [name for name, size in _narrowest(usual).items() if size]
    return ["causality"] * later + ([" and ".join(narrow) or "pattern"] if farther else [])
