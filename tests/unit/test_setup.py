"""What happens on a machine that has nothing yet: which Python, which torch, which browsers, and what is said."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import install
from tests.support import browsers, chromium, firefox, programs

ROOT = Path(__file__).parents[2]
#: Fetched for comparisons in the benchmarks, and never installed.
FETCHED = {"bertviz", "onnx"}


@pytest.fixture
def commands(monkeypatch):
    """The commands that would be run, each with success."""
    run = []

    def record(command, **_):
        run.append([str(part) for part in command])
        return SimpleNamespace(returncode=0, stdout="", stderr="")

    monkeypatch.setattr(subprocess, "run", record)
    return run


def program(folder, name, text):
    """A small shell script, as a program on a path of its own."""
    path = folder / name
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o755)
    return path


# Python


def python_of_make(tmp_path, versions):
    """The Python that the Makefile takes where the path holds only these; "bare" ones have no ensurepip."""
    for name, version in versions.items():
        fails = "*version_info*" if version == "3.9" else "*ensurepip*" if version.endswith("bare") else "nothing"
        program(tmp_path, name, f'case "$2" in {fails}) exit 1;; esac\n')
    for name in ("sh", "id", "uname"):
        (tmp_path / name).symlink_to(shutil.which(name))
    (tmp_path / "print.mk").write_text(f"include {ROOT / 'Makefile'}\n$(info $(PYTHON))\nnothing: ;\n")
    command = [shutil.which("make"), "-s", "-f", str(tmp_path / "print.mk"), "nothing"]
    return subprocess.run(
        command, env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=True
    ).stdout.splitlines()[0]


@pytest.mark.parametrize(
    ("versions", "chosen"),
    [
        ({"python3": "3.12", "python3.11": "3.11"}, "python3"),
        ({"python3": "3.9", "python3.12": "3.12", "python3.11": "3.11"}, "python3.12"),
        ({"python3": "3.12 bare", "python3.11": "3.11"}, "python3.11"),
        ({"python3.13": "3.13"}, "python3.13"),
        ({"python3": "3.9"}, "python3"),  # which then says that it is too old
        ({}, "python3"),
    ],
)
def test_make_takes_the_first_python_that_will_do(tmp_path, versions, chosen):
    assert python_of_make(tmp_path, versions) == chosen


@pytest.mark.parametrize(
    ("version", "has_ensurepip", "words"),
    [
        ((3, 9, 18), True, "Python 3.11 or newer is needed; .* is Python 3.9.18"),
        ((3, 9, 18), False, "Python 3.11 or newer is needed"),
        ((3, 11, 2), False, "cannot make virtual environments. On Debian or Ubuntu: apt install python3-venv"),
    ],
)
def test_a_python_that_will_not_do_says_why(monkeypatch, capsys, commands, version, has_ensurepip, words):
    monkeypatch.setattr(install.sys, "version_info", version)
    monkeypatch.setattr(install, "has_ensurepip", lambda: has_ensurepip)
    assert install.main([".venv", "lab"]) == 1
    assert re.search(words, capsys.readouterr().err)
    assert commands == []


def test_install_can_be_read_by_an_old_python():
    ast.parse((ROOT / "install.py").read_text(), feature_version=(3, 8))


# torch


@pytest.fixture
def bare_linux(monkeypatch):
    monkeypatch.setattr(install.sys, "platform", "linux")
    monkeypatch.setattr(install, "has_nvidia_gpu", lambda: False)
    monkeypatch.setattr(install, "answers", lambda address: True)
    monkeypatch.delenv("PIP_EXTRA_INDEX_URL", raising=False)


def test_linux_without_a_gpu_takes_the_small_torch(bare_linux):
    assert install.torch_options() == ["--extra-index-url", "https://download.pytorch.org/whl/cpu"]


@pytest.mark.parametrize(
    ("owner", "name", "value"),
    [
        (install.sys, "platform", "darwin"),
        (install, "has_nvidia_gpu", lambda: True),
        (install, "answers", lambda address: False),
    ],
)
def test_everybody_else_takes_what_pip_takes(bare_linux, monkeypatch, owner, name, value):
    monkeypatch.setattr(owner, name, value)
    assert install.torch_options() == []


def test_an_index_of_ones_own_wins(bare_linux, monkeypatch):
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "https://example.org/simple")
    assert install.torch_options() == []


def test_an_index_answers_in_time_or_not_at_all(monkeypatch):
    class Answer:
        status = 200
        __enter__ = lambda self: self  # noqa: E731
        __exit__ = lambda *_: None  # noqa: E731

    asked = []

    def answer(*question, timeout):
        asked.append((*question, timeout))
        return Answer()

    monkeypatch.setattr(install.urllib.request, "urlopen", answer)
    assert install.answers("https://example.org")
    assert asked == [("https://example.org", 3)]

    def refuse(address, timeout):
        raise OSError("no such host")

    monkeypatch.setattr(install.urllib.request, "urlopen", refuse)
    assert not install.answers("https://example.org")

    waiting = install.threading.Event()
    monkeypatch.setattr(install, "SECONDS", 0.01)
    monkeypatch.setattr(install.urllib.request, "urlopen", lambda address, timeout: waiting.wait() and Answer())
    assert not install.answers("https://example.org")
    waiting.set()


# The environment


def test_an_environment_gets_what_was_asked_for(monkeypatch, tmp_path, commands):
    monkeypatch.setattr(install, "torch_options", lambda: ["--extra-index-url", "cpu"])
    environment = tmp_path / "environment"
    environment.mkdir()
    assert install.main([str(environment), "publish"]) == 0
    venv, pip = commands
    assert venv == [sys.executable, "-m", "venv", "--clear", str(environment)]
    pins = str(environment / "constraints.txt")
    assert pip[1:] == [
        *("-m", "pip", "install", "--disable-pip-version-check", "--extra-index-url", "cpu"),
        *("--constraint", pins, "--editable", ".[publish]"),
    ]
    # What publishing needs holds what the lessons need, and not what tests need.
    assert sorted(path.name for path in environment.glob("installed-*")) == ["installed-lab", "installed-publish"]
    for name, settings in install.JUPYTER.items():
        assert json.loads((environment / name).read_text()) == settings


def test_an_install_that_fails_leaves_no_mark(monkeypatch, tmp_path):
    monkeypatch.setattr(install, "torch_options", list)
    monkeypatch.setattr(install, "works", lambda environment: True)
    monkeypatch.setattr(install, "run", lambda *command: 7)
    assert install.main([str(tmp_path), "lab"]) == 7
    assert list(tmp_path.glob("installed-*")) == []


def test_later_pins_replace_earlier_ones():
    pins = install.merged_pins(["constraints.txt", "constraints-4.57.txt"]).splitlines()
    assert "transformers==4.57.6" in pins
    assert [pin for pin in pins if pin.startswith(("transformers==", "tokenizers==", "huggingface_hub=="))] == [
        "huggingface_hub==0.36.2",
        "tokenizers==0.22.2",
        "transformers==4.57.6",
    ]
    assert "torch==2.13.0" in pins


def recipe(target):
    """What make would run for a target on a machine that has nothing yet."""
    command = ["make", "--dry-run", "VENV=no/such/folder", "PYTHON=python", target]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return re.findall(r"python install.py \S+ (\w+)|-m (tests\.support\.browsers)|jupyter (lab) ", done.stdout)


def test_make_lab_installs_neither_browsers_nor_tools_for_tests():
    assert [*map("".join, recipe("lab"))] == ["lab", "lab"]


def test_make_test_sets_up_everything_before_a_test_runs():
    assert [*map("".join, recipe("test"))] == ["dev", "tests.support.browsers"]


def test_publishing_needs_no_browser():
    assert [*map("".join, recipe("site"))] == ["publish"]


# Browsers


@pytest.fixture
def machine(monkeypatch, commands):
    """A machine without browsers, whose package managers bring none; attributes say what it is."""
    state = SimpleNamespace(system="debian", root=[], arrive={})

    def executable(name):
        return lambda: name if any(state.arrive.get(name, "never") in command for command in commands) else None

    for name, module in browsers.BROWSERS.items():
        monkeypatch.setattr(module, "executable", executable(name))
    monkeypatch.setattr(firefox, "is_drivable", lambda: True)
    monkeypatch.setattr(browsers.platform, "freedesktop_os_release", lambda: {"ID": state.system})
    monkeypatch.setattr(browsers.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(browsers, "as_root", lambda: state.root)
    return state


APT = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q"]
PACKAGES = ["chromium", "firefox-esr", "fonts-dejavu-core"]
PLAYWRIGHT = [sys.executable, "-m", "playwright"]


@pytest.mark.parametrize("prefix", [[], ["sudo", "-n"]])
def test_debian_installs_its_packages_and_says_so_first(machine, commands, capsys, prefix):
    machine.root = prefix
    machine.arrive = {"chromium": "chromium", "firefox": "firefox-esr"}
    assert browsers.main() == 0
    install_them = ["install", "-y", "--no-install-recommends", *PACKAGES]
    assert commands == [[*prefix, *APT, "update"], [*prefix, *APT, *install_them]]
    said = "need chromium and firefox. Installing Debian's chromium, firefox-esr, fonts-dejavu-core with apt-get."
    assert said in capsys.readouterr().out


@pytest.mark.parametrize(
    ("system", "root"),
    [("ubuntu", []), ("ubuntu", ["sudo", "-n"]), ("ubuntu", None), ("debian", None), ("fedora", None)],
)
def test_others_get_playwrights_own_builds(machine, commands, capsys, monkeypatch, system, root):
    machine.system, machine.root = system, root
    monkeypatch.setenv("PLAYWRIGHT_NODEJS_PATH", str(programs.NODE))
    machine.arrive = {"chromium": "install", "firefox": "install"}
    assert browsers.main() == 0
    node = f"PLAYWRIGHT_NODEJS_PATH={programs.NODE}"
    libraries = [] if root is None else [[*root, "env", node, *PLAYWRIGHT, "install-deps", "chromium", "firefox"]]
    assert commands == [*libraries, [*PLAYWRIGHT, "install", "chromium", "firefox"]]
    assert "Playwright fetches its own builds" in capsys.readouterr().out


def test_what_is_there_is_taken_and_only_the_rest_installed(machine, commands, monkeypatch):
    monkeypatch.setattr(chromium, "executable", lambda: "/usr/bin/chromium")
    machine.root = None
    machine.arrive = {"firefox": "install"}
    assert browsers.main() == 0
    assert commands == [[*PLAYWRIGHT, "install", "firefox"]]


def test_without_any_way_one_sentence_names_the_ways_out(machine, commands, capsys):
    assert browsers.main() == 1
    assert [command[-1] for command in commands] == ["update", "fonts-dejavu-core", "firefox", "firefox"]
    (said,) = capsys.readouterr().err.splitlines()
    for way in ("Chromium and Firefox", "package manager", "playwright install chromium firefox", "make quick"):
        assert way in said


def test_a_firefox_that_marionette_cannot_drive_is_none(machine, capsys, monkeypatch):
    for module in browsers.BROWSERS.values():
        monkeypatch.setattr(module, "executable", lambda: "/some/program")
    monkeypatch.setattr(firefox, "is_drivable", lambda: False)
    assert browsers.main() == 1
    assert "The browser tests need Firefox: install it" in capsys.readouterr().err


def test_snaps_and_their_stubs_are_passed_over(tmp_path, monkeypatch):
    stub = program(tmp_path, "chromium", "exec /snap/bin/chromium\n")
    real = program(tmp_path, "google-chrome", "exec /opt/google/chrome\n")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert programs.is_snap(str(stub))
    assert programs.first(["chromium", "google-chrome"]) == str(real)
    assert programs.first(["chromium"]) is None


@pytest.mark.parametrize(
    "workers",
    [["-p", "no:xdist"], pytest.param(["-n2"], marks=pytest.mark.gate)],  # the latter takes 10 seconds
    ids=["one process", "two"],
)
def test_pytest_stops_before_any_test_if_a_browser_is_missing(tmp_path, workers):
    (tmp_path / "conftest.py").write_text(
        "from tests.support import browsers, chromium\n"
        "chromium.executable = lambda: None\n"
        'pytest_plugins = ["tests.support.browsers"]\n'
    )
    (tmp_path / "test_pages.py").write_text(
        "def test_without(): open('ran', 'w').close()\ndef test_with(page): open('ran', 'w').close()\n"
    )
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *workers]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}

    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "ERROR: The browser tests need Chromium: install it" in done.stdout + done.stderr
    assert not (tmp_path / "ran").exists()

    done = subprocess.run([*command, "-k", "without"], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0
    assert (tmp_path / "ran").exists()


# What is imported is declared


def declared(extra=None):
    """The names of the distributions that an extra brings, its own extras followed."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = set()
    for text in project["optional-dependencies"][extra] if extra else project["dependencies"]:
        requirement = Requirement(text)
        if requirement.name == project["name"]:
            names |= set().union(*map(declared, requirement.extras))
        else:
            names.add(canonicalize_name(requirement.name))
    return names | (declared() if extra else set())


def imported(path):
    """The top names of the modules that a file imports, wherever it does."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module.split(".")[0]


@pytest.mark.parametrize(("folder", "extra"), [("utils", None), ("publish", "publish"), ("tests", "dev")])
def test_what_is_imported_is_declared(folder, extra):
    distributions = packages_distributions()
    ours = {*sys.stdlib_module_names, "utils", "publish", "tests", "install", *FETCHED}
    undeclared = {}
    for path in (ROOT / folder).rglob("*.py"):
        for name in set(imported(path)) - ours:
            owners = {canonicalize_name(owner) for owner in distributions.get(name, [name])}
            if not owners & declared(extra):
                undeclared.setdefault(name, []).append(path.relative_to(ROOT).as_posix())
    assert undeclared == {}


# Workflows


def test_workflows_run_targets_that_the_makefile_has():
    targets = set(re.findall(r"^([a-z][a-z -]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    targets = {name for line in targets for name in line.split()}
    named = {}
    for path in (ROOT / ".github" / "workflows").glob("*.yml"):
        for job in yaml.safe_load(path.read_text())["jobs"].values():
            for step in job["steps"]:
                for target in re.findall(r"^\s*make ([a-z-]+)", step.get("run", ""), re.MULTILINE):
                    named.setdefault(target, path.name)
    assert set(named) - targets == set()
    assert {"test", "lint", "quick", "test-newest"} <= set(named)


def test_only_the_site_may_write():
    for path in (ROOT / ".github" / "workflows").glob("*.yml"):
        workflow = yaml.safe_load(path.read_text())
        assert workflow["permissions"] == {"contents": "read"}, path.name
        for name, job in workflow["jobs"].items():
            writers = {("site.yml", "site"), ("wheel.yml", "wheel")}
            if (path.name, name) not in writers:
                assert "permissions" not in job, f"{path.name}: {name}"
