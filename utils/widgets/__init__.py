"""Live widgets: attention weights before and after a mask. They know arrays and labels, and nothing of models.

Each is one anywidget class, one plain ES module and one style sheet, and stays alive without a kernel.
"""

from importlib import import_module

__all__ = ["Explorer", "HeadGrid", "MaskLab"]


def __getattr__(name: str):
    if name in __all__:
        return getattr(import_module(f"{__name__}.{name.lower()}"), name)
    raise AttributeError(f"module 'utils.widgets' has no attribute {name!r}; it has {', '.join(__all__)}")


def __dir__():
    return sorted([*globals(), *__all__])
