"""What differs between versions of transformers, and what a Hugging Face model does by itself."""

from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any


@cache
def transformers_major() -> int:
    """4 or 5: the two read masks differently. Where transformers is not installed, the current one is meant."""
    try:
        return int(version("transformers").split(".")[0])
    except PackageNotFoundError:
        return 5


def sees_causally(model: Any) -> bool:
    """Whether a Hugging Face model hides the future by itself, as GPT-2 and Llama do."""
    if model is None:
        return False
    return bool(getattr(model.config, "is_decoder", False)) or any(
        getattr(module, "is_causal", False) for module in model.modules()
    )


def require_attn_implementation(value: str) -> None:
    """Raises a named error unless ``value`` is one of the two implementations that take a mask."""
    if value not in ("eager", "sdpa"):
        raise ValueError(
            f'attn_implementation: got {value!r}, wanted "eager" or "sdpa". Flash attention takes no mask but '
            "padding; look the model's up in model.config._attn_implementation."
        )
