"""What both widgets share on the Python side: their browser text, their picture, and the check of their labels."""

from collections.abc import Sequence
from pathlib import Path

from .._validation import describe_tensor

HERE = Path(__file__).parent


def module_text(name: str) -> str:
    """The ES module of a widget: shared.js and its own text in one, since a page on disk can import nothing."""
    return "\n".join((HERE / "js" / f"{part}.js").read_text(encoding="utf-8") for part in ("shared", name))


def style_text(name: str) -> str:
    """The style sheet of a widget, after the one that both have."""
    return "\n".join((HERE / "css" / f"{part}.css").read_text(encoding="utf-8") for part in ("shared", name))


def with_picture(bundle, picture) -> tuple[dict, dict]:
    """A widget's display data together with a picture and its alt text, for where no widget can live."""
    data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
    shown, described = picture._repr_mimebundle_()
    return {**data, **shown}, {**metadata, **described}


def require_tokens(tokens, name: str, length: int) -> list[str]:
    """The labels as a list of ``length`` strings; numbers for None.

    Raises:
        TypeError, ValueError: not strings, or not as many.
    """
    if tokens is None:
        return [str(n) for n in range(length)]
    if isinstance(tokens, str) or not isinstance(tokens, Sequence) or not all(isinstance(t, str) for t in tokens):
        raise TypeError(f"{name}: got {describe_tensor(tokens)}, wanted a list of {length} strings.")
    if len(tokens) != length:
        raise ValueError(f"{name}: got {len(tokens)} labels, wanted {length}, one for each.")
    return list(tokens)
