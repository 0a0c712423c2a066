"""The house: import directions, one source of dependencies, and files that belong together."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

import utils

ROOT = Path(__file__).parents[1]

#: Which modules of the package each module may import. Anything not named here is not allowed.
MAY_IMPORT = {
    "inputs": set(),
    "patterns": {"inputs"},
    "describing": {"inputs", "patterns"},
    "conventions": {"inputs", "patterns", "describing"},
    "masks": {"inputs", "conventions"},
    "attention": {"inputs", "conventions", "masks"},
    "influence": {"inputs", "patterns", "conventions", "masks", "attention", "text"},
    "checks": {"checks", "inputs", "conventions", "masks", "attention"},
    "text": {"inputs"},
    "models": {"inputs", "text"},
    "plots": {"inputs", "attention"},  # the softmax of a figure is the taught one
    "widgets": {"widgets", "inputs", "plots"},
    # Widgets know nothing of models; this one, which needs a kernel, brings the two together.
    "explorer": {"inputs", "describing", "conventions", "masks", "models", "text", "widgets"},
    "publish": {"publish"},
    "": set(),
}
#: What a module may import at its top; the rest waits until it is used.
LIGHT = {*sys.stdlib_module_names, "torch", "numpy", "utils"}


def module_of(path):
    parts = path.relative_to(ROOT / "utils").with_suffix("").parts
    return "" if parts == ("__init__",) else parts[0]


every_file = pytest.mark.parametrize("path", sorted((ROOT / "utils").rglob("*.py")), ids=lambda path: path.stem)


def imports(node):
    for child in ast.walk(node):
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, "imports are absolute"
            if child.module == "utils":
                yield from (f"utils.{alias.name}" for alias in child.names)
            else:
                yield child.module


@every_file
def test_imports_run_one_way(path):
    module = module_of(path)
    ours = {name.split(".")[1] for name in imports(ast.parse(path.read_text())) if name.startswith("utils.")}
    assert ours <= MAY_IMPORT[module], f"{path.name} imports {ours - MAY_IMPORT[module]}"


@every_file
def test_heavy_libraries_load_when_used(path):
    if module_of(path) == "publish":
        return
    made_of = {"widgets": {"anywidget", "traitlets"}, "explorer": {"ipywidgets"}}  # what its classes derive from
    light = LIGHT | made_of.get(module_of(path), set())
    tree = ast.parse(path.read_text())
    tree.body = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    assert {name.split(".")[0] for name in imports(tree)} <= light


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
    pinned = {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in constraints().items()}
    for text in [*project()["dependencies"], *project()["optional-dependencies"]["dev"]]:
        requirement = Requirement(text)
        assert pinned[requirement.name] in requirement.specifier, text


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
    assert pip == {"pip": ["--constraint constraints.txt", "--editable ."]}
    assert (ROOT / "constraints.txt").exists(), "conda runs pip in the folder of environment.yml"


def test_the_readmes_example_prints_what_it_shows(capsys):
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


def test_links_between_files_lead_somewhere():
    for path in [ROOT / "README.md", ROOT / "data" / "README.md", *(ROOT / "notebooks" / "src").glob("*.md")]:
        folder = ROOT / "notebooks" if path.parent.name == "src" else path.parent
        prose = re.sub(r"```.*?```", "", path.read_text(), flags=re.DOTALL)
        for target in re.findall(r"\]\(([^)#]+)", prose):
            if not target.startswith("http"):
                assert (folder / target).exists(), f"{path.name} → {target}"
