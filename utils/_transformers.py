"""What differs between versions of transformers, the implementations that take a mask, and ids with a meaning."""

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


def require_attn_implementation(value: str) -> None:
    """Raises a named error unless ``value`` is one of the two implementations that take a mask."""
    if value not in ("eager", "sdpa"):
        raise ValueError(
            f'attn_implementation: got {value!r}, wanted "eager" or "sdpa". Flash attention takes no mask but '
            "padding; look the model's up in model.config._attn_implementation."
        )


def special_ids(config: Any) -> set[int]:
    """Every token id that a config names: padding, the ends of a text, placeholders of pictures."""
    values = config if isinstance(config, dict) else getattr(config, "to_dict", dict)()
    special: set[int] = set()
    for name, value in values.items():
        if isinstance(value, dict):
            special |= special_ids(value)
        elif str(name).endswith(("token_id", "token_ids", "token_index")):
            special |= {n for n in (value if isinstance(value, list | tuple) else [value]) if isinstance(n, int)}
    return special
