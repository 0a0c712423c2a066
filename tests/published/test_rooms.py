"""The publisher's own house: which module imports which, and that functions fit a screen."""

import ast

import pytest

from publish import paths

#: Module → the modules that it imports. These are the edges that exist: one that goes must go here, too.
EDGES = {
    "__init__": set(),
    "paths": set(),
    "document": {"paths"},
    "sheet": {"document", "paths"},
    "hosting": {"paths"},
    "zoo": set(),
    "which_masks": {"paths", "zoo"},
    "questions": {"paths"},
    "normalise": {"paths", "questions"},
    "source": {"normalise", "paths", "questions"},
    "execute": {"normalise", "paths", "questions"},
    "notebooks": {"execute", "normalise", "paths", "questions", "source"},
    "ledger": {"normalise", "paths"},
    "static_widgets": {"paths", "questions"},
    "picture": {"paths", "static_widgets"},
    "for_readers": {"document", "ledger", "normalise", "notebooks", "paths", "questions", "sheet"},
    "page": {"document", "for_readers", "ledger", "paths", "questions", "sheet", "source", "static_widgets"},
    "slides": {"document", "for_readers", "paths", "questions", "source", "static_widgets"},
    "assignment": {"document", "execute", "normalise", "paths", "source"},
    "guide": {"for_readers", "normalise", "questions", "slides", "static_widgets"},
    "sphinx_source": {
        "document",
        "for_readers",
        "guide",
        "hosting",
        "ledger",
        "paths",
        "picture",
        "sheet",
        "static_widgets",
        "which_masks",
    },
    "site": {
        "for_readers",
        "hosting",
        "ledger",
        "normalise",
        "notebooks",
        "page",
        "paths",
        "sheet",
        "slides",
        "source",
        "sphinx_source",
    },
    "__main__": {
        "assignment",
        "for_readers",
        "guide",
        "hosting",
        "ledger",
        "normalise",
        "notebooks",
        "page",
        "paths",
        "questions",
        "sheet",
        "site",
        "slides",
        "source",
        "which_masks",
        "zoo",
    },
}
FILES = sorted(paths.HERE.glob("*.py"))
every_file = pytest.mark.parametrize("path", [*FILES, paths.HERE / "website" / "conf.py"], ids=lambda path: path.stem)


def imported(path) -> set[str]:
    """The modules of the publisher that a file imports."""
    modules = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            modules |= {node.module} if node.module else {alias.name for alias in node.names}
    return modules


def test_imports_run_one_way():
    assert {path.stem: imported(path) for path in FILES} == EDGES
    order = list(EDGES)
    assert [(one, other) for one in order for other in EDGES[one] if order.index(other) > order.index(one)] == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_imports_inside_are_relative_and_helpers_are_not_needed(path):
    """What learners import is hashed and documented, not imported; but for colours, models, a page's file, copies."""
    libraries = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            libraries |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            libraries.add(node.module.split(".")[0])
    needed = (
        {"utils"}
        if path.stem in ("which_masks", "document", "picture", "static_widgets", "for_readers", "site", "assignment")
        else set()
    )
    assert libraries & {"publish", "utils", "tests"} == needed


@every_file
def test_every_function_fits_a_screen_and_says_what_it_returns(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree)
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    for node in functions:
        docstring = node.body[0] if ast.get_docstring(node) else None
        lines = node.end_lineno - node.lineno + 1
        lines -= docstring.end_lineno - docstring.lineno + 1 if docstring else 0
        assert lines <= 60, node.name
        assert docstring, f"{node.name} says nothing of itself"
