"""Helpers for the lessons on attention masks.

``from utils import masks, conventions, attention, models, plots`` is how the lessons begin; the installed wheel has
the same modules under the name ``attention_masks``. Each loads when it is first used, so that importing the package
costs nothing; torch comes with the mask modules, transformers with the first model, seaborn with the first figure,
anywidget and ipywidgets with the first widget.
"""

from importlib import import_module
from types import ModuleType

__all__ = ["attention", "checks", "conventions", "influence", "masks", "models", "plots", "text", "widgets"]


def __getattr__(name: str) -> ModuleType:
    if name in __all__:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__all__)}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
