"""Live widgets: attention weights before and after a mask. They know arrays and labels, and nothing of models.

MaskLab and HeadGrid are one anywidget class each, with one plain ES module and one style sheet, and stay alive without
a kernel. Steps guide through a MaskLab. So is StoryLab, which knows one small model, a real GPT-2, and runs it in the
page. Explorer puts MaskLab and HeadGrid together with any model, and needs a kernel. Question asks before they show.
"""

from importlib import import_module

__all__ = ["Explorer", "HeadGrid", "MaskLab", "NextToken", "Question", "Step", "StoryLab"]


def __getattr__(name: str):
    if name in __all__:
        module = "storylab" if name == "NextToken" else name.lower()
        return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__all__)}")


def __dir__():
    return sorted([*globals(), *__all__])
