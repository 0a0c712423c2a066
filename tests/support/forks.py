"""Runs functions in processes of their own that have torch and transformers already: a fork takes no time to import.

``Forks`` starts a Python that imports them once (``python -m tests.support.forks``). For each call it forks, and the
child, in the folder of the lessons, tells what the function returned. The parent never computes: it has no threads that
a fork would lose.
"""

import contextlib
import importlib
import io
import json
import os
import subprocess
import sys
import traceback
from pathlib import Path

ROOT = Path(__file__).parents[2]
PRELOADED = (
    "torch",
    "torch.nn.attention.flex_attention",
    "transformers",
    "transformers.models.auto.modeling_auto",
    "transformers.models.bert.modeling_bert",
    "transformers.models.gpt2.modeling_gpt2",
    "matplotlib.pyplot",
    "seaborn",
    "tests.support.faking",
    "utils.widgets",
)


class Forks:
    """A Python process that runs functions, each in a fork of its own.

    Args:
        environment: what its environment has beside that of this process.
    """

    def __init__(self, **environment: str):
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.forks"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, "MPLBACKEND": "agg", **environment},
        )

    def call(self, function: str, *arguments):
        """What ``module:function`` returns for arguments that JSON can hold.

        Raises:
            AssertionError: it raised, or its process died; the message ends as its standard error does.
        """
        print(json.dumps([function, arguments]), file=self._process.stdin, flush=True)
        line = self._process.stdout.readline()
        assert line, "the process that forks has ended"
        answer = json.loads(line)
        assert "returned" in answer, answer["failed"]
        return answer["returned"]

    def stop(self) -> None:
        """Ends the process."""
        self._process.stdin.close()
        self._process.wait(timeout=60)
        self._process.stdout.close()


def execute(source: str) -> None:
    """Runs a program, such as all cells of a lesson."""
    exec(source, {"__name__": "__main__"})


def _answer(function: str, arguments: list) -> dict:
    """What the child tells: what the function returned, or how it failed. What it prints is dropped."""
    module, name = function.split(":")
    os.chdir(ROOT / "notebooks")
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            return {"returned": getattr(importlib.import_module(module), name)(*arguments)}
    except BaseException:
        return {"failed": traceback.format_exc()[-2000:]}


def _forked(function: str, arguments: list) -> str:
    """One line of JSON from a child that has run the function."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        with open(writing, "w") as pipe:
            json.dump(_answer(function, arguments), pipe)
        os._exit(0)
    os.close(writing)
    with open(reading) as pipe:
        line = pipe.read()
    _, status = os.waitpid(child, 0)
    return line or json.dumps({"failed": f"its process died with status {status}"})


def main() -> None:
    """Answers each line of standard input, a call, with a line of standard output."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what else is written to the standard output, in C too, is no answer
    for module in PRELOADED:
        importlib.import_module(module)
    for line in sys.stdin:
        print(_forked(*json.loads(line)), file=answers, flush=True)


if __name__ == "__main__":
    main()
