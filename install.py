"""Makes the virtual environments that `make` works in; without make: ``python install.py .venv lab``.

It needs nothing but a Python. Old ones, from 3.8 on, can read it too, and say that they are too old.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import shutil
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent
#: Builds of torch without CUDA. Those on PyPI bring several GB of it on Linux.
TORCH_CPU = "https://download.pytorch.org/whl/cpu"
SECONDS = 3  # for an answer from there
#: Extras by what they hold: each holds those before it.
EXTRAS = ["lab", "publish", "dev"]
#: Files of JupyterLab in the environment.
JUPYTER = {
    "share/jupyter/lab/settings/overrides.d/attention-masks.json": {
        # A saved notebook keeps its widgets, so that they are there when it is opened again, before any cell has run.
        "@jupyter-widgets/jupyterlab-manager:plugin": {"saveState": True},
        # Cells are as high as they are. By default JupyterLab guesses that of most by their lines, of folded ones too,
        # and what a link leads to is not where it scrolls to.
        "@jupyterlab/notebook-extension:tracker": {"windowingMode": "defer"},
    },
    # JupyterLab forgets the states of widgets that were not run again, and saves a notebook without them.
    "etc/jupyter/jupyter_server_config.json": {"ContentsManager": {"pre_save_hook": "utils.lessons.keep_states"}},
    # JupyterLab would ask everybody whether it may fetch news from the network.
    "etc/jupyter/labconfig/page_config.json": {
        "disabledExtensions": {"@jupyterlab/apputils-extension:announcements": True}
    },
}


def problem_with(version: tuple, can_make_environments: bool) -> str:
    """Why a Python cannot be used, and what to do about it; empty if it can."""
    name = f"{sys.executable} is Python {'.'.join(map(str, version[:3]))}"
    if version < (3, 11):
        return f"Python 3.11 or newer is needed; {name}. If you have another: make PYTHON=/path/to/python3.12 ..."
    if not can_make_environments:
        return f"{name}, which cannot make virtual environments. On Debian or Ubuntu: apt install python3-venv"
    return ""


def has_ensurepip() -> bool:
    """Whether this Python can put pip into a virtual environment: Debian ships that part as python3-venv."""
    try:
        import ensurepip  # noqa: F401
    except ImportError:
        return False
    return True


def has_nvidia_gpu() -> bool:
    """Whether this machine shows any sign of NVIDIA's driver."""
    return bool(shutil.which("nvidia-smi")) or any(map(os.path.exists, ("/proc/driver/nvidia", "/dev/nvidiactl")))


def answers(address: str) -> bool:
    """Whether a web address answers within ``SECONDS``."""
    answer = []

    def ask() -> None:
        try:
            with urllib.request.urlopen(address, timeout=SECONDS) as response:
                answer.append(response.status)
        except (OSError, http.client.HTTPException):
            pass

    # In a thread, since the look-up of a name knows no time limit.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(SECONDS)
    return answer == [200]


def torch_options() -> list[str]:
    """What pip is told so that Linux without an NVIDIA GPU gets the small build of torch."""
    if sys.platform != "linux" or has_nvidia_gpu() or "PIP_EXTRA_INDEX_URL" in os.environ:
        return []
    if not answers(TORCH_CPU + "/torch/"):
        print(f"{TORCH_CPU} does not answer, so torch comes from where pip gets everything else.", flush=True)
        return []
    print("No NVIDIA GPU here, so torch comes without CUDA.", flush=True)
    return ["--extra-index-url", TORCH_CPU]


def merged_pins(files: list[str]) -> str:
    """The lines of several constraints files; where two pin the same package, the last one counts."""
    pins = {}
    for name in files:
        for line in (ROOT / name).read_text(encoding="utf-8").splitlines():
            if line and not line.startswith("#"):
                pins[line.split("==")[0].lower()] = line
    return "".join(line + "\n" for line in pins.values())


def python_of(environment: Path) -> Path:
    """The Python of a virtual environment."""
    return environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def run(*command: str | Path) -> int:
    """Runs a command at the root of the repository, and returns its exit status."""
    return subprocess.run([str(part) for part in command], cwd=ROOT).returncode


def works(environment: Path) -> bool:
    """Whether a virtual environment is there and its pip starts: its Python may have left the machine."""
    command = [str(python_of(environment)), "-m", "pip", "--version"]
    return python_of(environment).exists() and subprocess.run(command, capture_output=True).returncode == 0


def settle_jupyter(environment: Path) -> None:
    """Writes the settings of JupyterLab, unless there are some."""
    for name, settings in JUPYTER.items():
        path = environment / name
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(settings), encoding="utf-8")


def main(arguments: list[str] | None = None) -> int:
    """Brings one environment up to date; an exit status."""
    parser = argparse.ArgumentParser(description="Makes a virtual environment with what the lessons or the tests need.")
    parser.add_argument("environment", type=Path, help="its folder: .venv")
    parser.add_argument("extra", choices=EXTRAS, help="lab for the lessons, dev for the tests")
    parser.add_argument("--constraint", action="append", metavar="FILE", help="pins; the last one counts")
    parser.add_argument("--newest", action="store_true", help="no pins at all")
    options = parser.parse_args(arguments)
    if problem := problem_with(tuple(sys.version_info), has_ensurepip()):
        print(problem, file=sys.stderr)
        return 1
    environment = ROOT / options.environment
    print(f"Setting up {options.environment} for {options.extra}: a few minutes, once.", flush=True)
    if not works(environment) and (status := run(sys.executable, "-m", "venv", "--clear", environment)):
        return status
    pins = environment / "constraints.txt"
    pins.write_text("" if options.newest else merged_pins(options.constraint or ["constraints.txt"]), encoding="utf-8")
    install: list[str | Path] = [
        python_of(environment),
        "-m",
        "pip",
        "install",
        "--disable-pip-version-check",
        *torch_options(),
    ]
    upgrade = ["--upgrade", "--upgrade-strategy", "eager"] if options.newest else []
    if status := run(*install, *upgrade, "--constraint", pins, "--editable", f".[{options.extra}]"):
        return status
    settle_jupyter(environment)
    for extra in EXTRAS[: EXTRAS.index(options.extra) + 1]:
        (environment / f"installed-{extra}").touch()
    return 0


if __name__ == "__main__":
    sys.exit(main())
