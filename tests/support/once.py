"""What is built once for a run of the tests, though several processes share the tests among them."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock


def built_once(factory: pytest.TempPathFactory, name: str, build: Callable[[], Path]) -> Path:
    """The path that ``build`` returns; only the first process of a run calls it, the others wait for it."""
    folder = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent  # of all workers
    note = folder / f"{name}.txt"
    with FileLock(f"{note}.lock"):
        if not note.exists():
            note.write_text(str(build()))
    return Path(note.read_text())
