"""Live widgets: attention weights before and after a mask. They know arrays and labels, and nothing of models.

MaskLab and HeadGrid are one anywidget class each, with one plain ES module and one style sheet, and stay alive without
a kernel. Steps guide through a MaskLab. Explorer puts both together with a real model, and needs a kernel.
"""

from importlib import import_module

__all__ = ["Explorer", "HeadGrid", "MaskLab", "Step"]


def __getattr__(name: str):
    if name in __all__:
        return getattr(import_module(f"{__name__}.{name.lower()}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__all__)}")


def __dir__():
    return sorted([*globals(), *__all__])
