"""Every public name says what it takes, returns and raises, and where to read on."""

import ast
import dataclasses
import inspect
import re
import textwrap
from importlib import import_module

import pytest

import utils

SECTIONS = {"Args", "Attributes", "Returns", "Yields", "Raises", "Warns", "Example", "Examples", "Note", "References"}


def public_names():
    """(name, function or class or property) of everything that others may use."""
    for module in (import_module(f"utils.{name}") for name in sorted({*utils.__all__, "describe", "patterns"})):
        here = [name for name, value in vars(module).items() if getattr(value, "__module__", "") == module.__name__]
        for name in getattr(module, "__all__", [name for name in here if not name.startswith("_")]):
            value = getattr(module, name)
            if inspect.isfunction(value) or inspect.isclass(value):
                yield f"{module.__name__}.{name}", value
                members = vars(value).items() if inspect.isclass(value) else ()
                yield from (
                    (f"{module.__name__}.{name}.{member}", getattr(inner, "__func__", inner))
                    for member, inner in members
                    if not member.startswith("_")
                    and isinstance(inner, classmethod | staticmethod | property | FUNCTION)
                )


FUNCTION = type(public_names)


def sections(docstring):
    """Heading → text. A heading begins its line and ends it with a colon."""
    parts = re.split(r"^(\w+):$", inspect.cleandoc(docstring), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def body_of(function):
    return ast.parse(textwrap.dedent(inspect.getsource(function)))


def nodes_outside_try(node):
    """Everything below a node, without what its ``except`` may catch."""
    for child in ast.iter_child_nodes(node):
        if not (isinstance(node, ast.Try) and node.handlers and child in node.body):
            yield child
            yield from nodes_outside_try(child)


def can_raise(function, seen=()):
    """Whether a function of this package raises, by itself or through another one that it calls by name."""
    if inspect.isclass(function):
        function = vars(function).get("__post_init__" if dataclasses.is_dataclass(function) else "__init__")
    if not inspect.isfunction(function) or function in seen or not function.__module__.startswith(("utils", __name__)):
        return False
    nodes = list(nodes_outside_try(body_of(function)))
    called = [node.func.id for node in nodes if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]
    return any(isinstance(node, ast.Raise) for node in nodes) or any(
        can_raise(function.__globals__.get(name), (*seen, function)) for name in called
    )


def returns_something(function):
    returned = [node.value for node in ast.walk(body_of(function)) if isinstance(node, ast.Return)]
    return any(value is not None for value in returned) and inspect.signature(function).return_annotation is not None


def parameters(value):
    """What the docstring must name: parameters of a function, or of a class that has its own ``__init__``."""
    if inspect.isclass(value) and (dataclasses.is_dataclass(value) or "__init__" not in vars(value)):
        return []
    function = value.__init__ if inspect.isclass(value) else value
    stars = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}
    listed = inspect.signature(function).parameters.values()
    return [stars.get(p.kind, "") + p.name for p in listed if p.name not in ("self", "cls")]


def fields(value):
    names = [f.name for f in dataclasses.fields(value)] if dataclasses.is_dataclass(value) else ()
    return getattr(value, "_fields", names) if inspect.isclass(value) else ()


def problems(value, is_member=False):
    """What is missing in one docstring, in words."""
    docstring = inspect.cleandoc(value.__doc__ or "")
    if not docstring.split("\n")[0].endswith("."):
        yield "its first line is no sentence"
    found = sections(docstring)
    yield from (f"{name}: is no section of ours" for name in found if name not in SECTIONS)
    yield from (f"no blank line before {name}:" for name in found if not re.search(rf"\n\n{name}:\n", docstring))
    if is_member and (isinstance(value, property) or not parameters(value)):
        return  # one line is enough
    for heading, names in (("Args", parameters(value)), ("Attributes", fields(value))):
        text = found.get(heading, "")
        yield from (
            f"{heading}: lacks {n}" for n in names if not re.search(rf"^ +{re.escape(n)}: ", text, re.MULTILINE)
        )
    if inspect.isfunction(value) and returns_something(value) and "Returns" not in found:
        yield "Returns: is missing"
    if can_raise(value) and "Raises" not in found:
        yield "Raises: is missing"
    if not is_member and not re.search("[Ll]esson|https://", found.get("References", "")):
        yield "References: is missing"


@pytest.mark.parametrize(("name", "value"), [pytest.param(*pair, id=pair[0]) for pair in public_names()])
def test_the_docstring_is_complete(name, value):
    assert [*problems(value, is_member=name.count(".") > 2)] == []


def test_public_names_are_found_in_every_module():
    names = {name for name, _ in public_names()}
    assert {"utils.masks.causal", "utils.conventions.to_hf", "utils.describe.Description.rows"} <= names
    assert {"utils.widgets.MaskLab.picture", "utils.checks.mean_pool", "utils.patterns.Pattern"} <= names
    assert not [name for name in names if "._" in name]


def _refuse(count):
    if count < 0:
        raise ValueError(count)


def _careless(count, *, rest=None, **more):
    """Returns the count
    Args:
        count: a number.
    See:
        Nothing.
    """
    _refuse(count)
    return count


def _careful(count):
    """The count itself.

    Args:
        count: a number.

    Returns:
        The same number.

    Raises:
        ValueError: a negative number.

    References:
        Lesson 00.
    """
    _refuse(count)
    return count


def test_each_mistake_is_seen():
    assert [*problems(_careful)] == []
    assert [*problems(_careless)] == [
        "its first line is no sentence",
        "See: is no section of ours",
        "no blank line before Args:",
        "no blank line before See:",
        "Args: lacks rest",
        "Args: lacks **more",
        "Returns: is missing",
        "Raises: is missing",
        "References: is missing",
    ]
