"""The house: import directions, one source of dependencies, and files that belong together."""

import ast
import re
import subprocess
import sys
import tomllib
from itertools import chain
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

import utils

ROOT = Path(__file__).parents[2]

#: Room → the rooms that it imports from. These are the edges that exist: one that goes must go here, too.
EDGES = {
    "_validation": set(),
    "_colours": set(),
    "_transformers": set(),
    "masks": {"_validation"},
    "patterns": {"_validation"},
    "_block_masks": {"patterns"},
    "text": {"_validation"},
    "models": set(),
    "_observe": {"_transformers", "masks", "patterns"},
    "_takes": {"_observe"},
    "describe": {"_block_masks", "_observe", "_transformers", "_validation", "patterns"},
    "conventions": {"_block_masks", "_observe", "_transformers", "_validation", "describe", "patterns"},
    "attention": {"_validation", "conventions"},
    "_probe": {"_transformers", "_validation"},
    "influence": {"_probe", "_validation", "patterns", "text"},
    "checks": {"masks"},
    "plots": {"_colours", "_validation", "attention"},  # the softmax of a figure is the taught one
    "widgets": {"_colours", "_validation", "masks", "plots"},
    # The other widgets know nothing of models. StoryLab knows one, and Explorer any, for which it needs a kernel.
    "widgets.storylab": {"_validation", "masks", "models", "plots", "text"},
    "widgets.explorer": {"_observe", "_validation", "attention", "conventions", "models", "text"},
    "lessons": set(),
    "__main__": {"_takes", "models"},
    "utils": set(),
}
#: What a module may import at its top; the rest waits until it is used.
LIGHT = {*sys.stdlib_module_names, "torch", "numpy"}
#: What the classes of a room derive from.
MADE_OF = {
    "widgets": {"anywidget", "traitlets"},
    "widgets.storylab": {"anywidget", "traitlets"},
    "widgets.explorer": {"ipywidgets"},
}

FILES = sorted((ROOT / "utils").rglob("*.py"))


def room_of(path):
    parts = path.relative_to(ROOT / "utils").with_suffix("").parts
    if parts == ("widgets", "explorer"):
        return "widgets.explorer"
    if parts[0] == "widgets" and "story" in parts[-1]:
        return "widgets.storylab"
    return "utils" if parts == ("__init__",) else parts[0]


def imports(tree, path):
    """(room of ours or None, name of a library or None) for each import, wherever it stands."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((None, alias.name.split(".")[0]) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield None, node.module.split(".")[0]
        elif isinstance(node, ast.ImportFrom):
            folder = path.parents[node.level - 1].relative_to(ROOT / "utils").parts
            names = [node.module] if node.module else [alias.name for alias in node.names]
            yield from (((*folder, *name.split("."))[0], None) for name in names)


def test_imports_run_one_way():
    edges = {room: set() for room in EDGES}
    for path in FILES:
        room = room_of(path)
        ours = {name for name, _ in imports(ast.parse(path.read_text()), path) if name}
        edges[room] |= ours - {room.split(".")[0]}
    assert edges == EDGES
    order = list(EDGES)
    backwards = [
        (room, other) for room, others in EDGES.items() for other in others if order.index(other) > order.index(room)
    ]
    assert backwards == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_imports_are_relative_and_heavy_libraries_load_when_used(path):
    """So that the folder can be installed under another name, and `import utils` costs next to nothing."""
    tree = ast.parse(path.read_text())
    assert not {"utils", "attention_masks", "publish", "tests"} & {library for _, library in imports(tree, path)}
    tree.body = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    libraries = {library for _, library in imports(tree, path) if library}
    assert libraries <= LIGHT | MADE_OF.get(room_of(path), set())


def test_importing_everything_loads_nothing_heavier_than_torch():
    code = (
        "import sys, utils; assert 'torch' not in sys.modules\n"
        "from utils import attention, checks, conventions, influence, masks, models, plots, text, widgets\n"
        "print(*{'transformers', 'seaborn', 'matplotlib', 'pandas', 'anywidget', 'ipywidgets'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_utils_is_ours():
    assert Path(utils.__file__) == ROOT / "utils" / "__init__.py"
    done = subprocess.run(
        [sys.executable, "-c", "import utils; print(utils.__file__)"],
        cwd="/",
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(done.stdout.strip()) == ROOT / "utils" / "__init__.py"


def test_unknown_submodules_are_named():
    assert set(utils.__all__) <= set(dir(utils))
    with pytest.raises(AttributeError, match="no attribute 'widget'; it has attention"):
        utils.widget  # noqa: B018


def constraints():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return dict(line.split("==") for line in lines if line and not line.startswith("#"))


def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_every_dependency_has_a_tested_version_within_its_range():
    pinned = {canonicalize_name(name): version for name, version in constraints().items()}
    for text in chain(project()["dependencies"], *project()["optional-dependencies"].values()):
        requirement = Requirement(text)
        if requirement.name != project()["name"]:  # an extra that holds another
            assert pinned[canonicalize_name(requirement.name)] in requirement.specifier, text


def test_every_pin_installs_on_the_oldest_python():
    """Debian 12 has 3.11.2; a pin that wants 3.11.5 makes pip search for minutes and then fail."""
    from importlib.metadata import PackageNotFoundError, metadata

    oldest = project()["requires-python"].removeprefix(">=") + ".0"
    refused = {}
    for name in constraints():
        try:
            wanted = metadata(name)["Requires-Python"] or ""
        except PackageNotFoundError:  # pinned for another platform or Python
            continue
        if not SpecifierSet(wanted).contains(oldest):
            refused[name] = wanted
    assert refused == {}


def test_what_is_installed_is_what_is_tested():
    from importlib.metadata import version

    for name in ("torch", "transformers", "jupyterlab", "matplotlib", "seaborn", "ipywidgets", "jupytext"):
        assert version(name).split("+")[0] == constraints()[name]


def test_environment_yml_says_the_same():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    assert environment["name"] == project()["name"]
    assert environment["channels"] == ["conda-forge", "nodefaults"]
    *conda, pip = environment["dependencies"]
    versions = dict(entry.split("=") if "=" in entry else (entry, "") for entry in conda)
    assert versions["pytorch-cpu"] == constraints()["torch"]
    assert Requirement("python" + project()["requires-python"]).specifier.contains(versions["python"] + ".9")
    assert "pip" in versions
    assert pip == {"pip": ["--constraint constraints.txt", "--editable .[lab]"]}
    assert (ROOT / "constraints.txt").exists(), "conda runs pip in the folder of environment.yml"


def test_the_readmes_example_prints_what_it_shows(capsys, monkeypatch):
    """With the name that the wheel gives this folder; the test of the wheel runs it there, too."""
    monkeypatch.setitem(sys.modules, "attention_masks", utils)
    readme = (ROOT / "README.md").read_text()
    code = re.search(r"```python\n(.*?)```\n\n```\n(.*?)```", readme, re.DOTALL)
    exec(compile(code[1], "README.md", "exec"), {})
    assert capsys.readouterr().out == code[2]


def test_the_gate_runs_the_readmes_test_command():
    assert "make test" in (ROOT / "README.md").read_text()
    assert re.search(r"^make test$", (ROOT / ".ci" / "run").read_text(), re.MULTILINE)


def test_the_older_transformers_is_within_the_range_and_in_the_gate():
    older = dict(line.split("==") for line in (ROOT / "constraints-4.57.txt").read_text().split() if "==" in line)
    (wanted,) = [d for d in project()["dependencies"] if d.startswith("transformers")]
    assert older["transformers"] in Requirement(wanted).specifier
    assert set(older) <= set(constraints())
    assert re.search(r"^make test-matrix$", (ROOT / ".ci" / "run").read_text(), re.MULTILINE)


def test_ruff_is_one_version_everywhere():
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    assert hooks["repos"][0]["rev"] == "v" + constraints()["ruff"]


def test_the_version_is_the_same_everywhere():
    version = project()["version"]
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == version
    assert re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)[1] == version
    assert f".git@v{version}" in (ROOT / "README.md").read_text()


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 90


def test_the_editable_install_gives_utils_and_only_that():
    code = "import importlib.util as u; print(bool(u.find_spec('utils')), u.find_spec('attention_masks'))"
    done = subprocess.run([sys.executable, "-c", code], cwd="/", capture_output=True, text=True, check=True)
    assert done.stdout == "True None\n"


def test_links_between_files_lead_somewhere():
    for path in [*ROOT.glob("*.md"), ROOT / "data" / "README.md", *(ROOT / "notebooks" / "src").glob("*.md")]:
        folder = ROOT / "notebooks" if path.parent.name == "src" else path.parent
        prose = re.sub(r"```.*?```", "", path.read_text(), flags=re.DOTALL)
        for target in re.findall(r"\]\(([^)#]+)", prose):
            if not target.startswith("http"):
                assert (folder / target).exists(), f"{path.name} → {target}"
