"""What differs between versions of transformers, and the implementations of attention that take a mask."""

from functools import cache
from importlib.metadata import PackageNotFoundError, version


@cache
def transformers_major() -> int:
    """4 or 5: the two read masks differently. Where transformers is not installed, the current one is meant."""
    try:
        return int(version("transformers").split(".")[0])
    except PackageNotFoundError:
        return 5


def require_attn_implementation(value: str) -> None:
    """Raises a named error unless ``value`` is one of the two implementations that take a mask."""
    if value not in ("eager", "sdpa"):
        raise ValueError(
            f'attn_implementation: got {value!r}, wanted "eager" or "sdpa". Flash attention takes no mask but '
            "padding; look the model's up in model.config._attn_implementation."
        )
