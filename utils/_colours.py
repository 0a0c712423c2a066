"""The colours of weights, changes, hidden cells and NaN: one definition for figures and widgets, in light and dark.

Weights run from near-white to a deep blue, with the square root as spacing: 0.05 is told from 0 and 0.25 from 0.5 at a
glance, with every kind of colour blindness too. Steps of lightness are even (as OKLab measures it).
"""

import base64
import json

import numpy as np

WEIGHTS = ("#eff7fe", "#bfddfa", "#93c2f4", "#6da5e8", "#5088d5", "#3c6dbc", "#2e539b", "#223a78", "#162455")  # 0 … 1
CHANGES = ("#54278f", "#f7f7f7", "#b35806")  # -1, 0, 1: never red against green
HIDDEN, HATCH = "#e8e8e8", "#8c8c8c"  # a hidden cell, and the lines across it
NAN = "#b2182b"
#: What a dark page does to a picture. Hues stay, light becomes dark; `dark` gives a widget the same colours.
DARK_FILTER = "invert(1) hue-rotate(180deg)"
_HUE_ROTATED = np.array([[-0.574, 1.430, 0.144], [0.426, 0.430, 0.144], [0.426, 1.430, -0.856]])


def rgb(colour: str) -> np.ndarray:
    """(3,) uint8, from "#rrggbb"."""
    return np.frombuffer(bytes.fromhex(colour[1:]), dtype=np.uint8)


def table(anchors: tuple[str, ...], size: int) -> np.ndarray:
    """(size, 3) uint8: colours from the first anchor to the last, those between interpolated."""
    positions, channels = np.linspace(0, len(anchors) - 1, size), np.stack([rgb(anchor) for anchor in anchors], axis=1)
    return (
        np.stack([np.interp(positions, range(len(anchors)), channel) for channel in channels], axis=1)
        .round()
        .astype(np.uint8)
    )


def dark(colours: np.ndarray) -> np.ndarray:
    """(…, 3) uint8: what ``DARK_FILTER`` makes of colours (…, 3) uint8.

    References:
        https://www.w3.org/TR/filter-effects-1/#huerotateEquivalent
    """
    inverted = 255.0 - colours
    return (inverted @ _HUE_ROTATED.T).clip(0, 255).round().astype(np.uint8)


def palettes_text() -> str:
    """The colours in JavaScript: for each theme two tables of RGB as base64, and three colours."""
    themes = {}
    for theme, shown in (("light", lambda colours: colours), ("dark", dark)):
        tables = {"weights": table(WEIGHTS, 256), "changes": table(CHANGES, 511)}
        single = {"hidden": HIDDEN, "hatch": HATCH, "nan": NAN}
        themes[theme] = {name: base64.b64encode(shown(colours).tobytes()).decode() for name, colours in tables.items()}
        themes[theme] |= {name: shown(rgb(colour)).tolist() for name, colour in single.items()}
    return json.dumps(themes)
