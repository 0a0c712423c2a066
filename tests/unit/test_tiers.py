"""quick, test and gate: no test is left out of all of them, and a skipped test does not pass in CI."""

import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.gate


@cache
def collected(tier: str) -> frozenset[str]:
    """Ids of the tests that ``make quick``, ``test`` or ``gate`` runs, or of all tests."""
    options = ["--collect-only", "-q"]
    command = ["make", "-s", tier, f"ARGS={' '.join(options)}"]
    if tier == "all":
        command = [sys.executable, "-m", "pytest", *options]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "PYTEST"))}
    lines = subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True).stdout
    return frozenset(line for line in lines.splitlines() if line.startswith("tests/"))


def test_every_test_is_in_a_tier():
    assert len(collected("all")) > 1000
    assert collected("test") | collected("gate") == collected("all")
    assert collected("quick") < collected("test")


def test_only_properties_run_in_two_tiers():
    twice = collected("test") & collected("gate")
    assert twice
    files = {ROOT / test.split("::")[0] for test in twice}
    assert ROOT / "tests/unit/test_properties.py" in files
    assert all(re.search(r"^(from|import) hypothesis", file.read_text(), re.MULTILINE) for file in files)


def test_what_takes_a_browser_or_a_lesson_is_not_quick():
    rooms = {test.split("/")[1] for test in collected("quick")}
    assert {"unit", "lessons"} <= rooms
    assert "jupyterlab" not in rooms
    slow = ("test_assertions_fail_when_the_claim_is_faked", "fresh_run", "[chromium", "test_firefox")
    assert not [test for test in collected("quick") if any(word in test for word in slow)]


@pytest.mark.parametrize(("ci", "workers", "status"), [("true", 0, 1), ("true", 2, 1), ("", 2, 0)])
def test_a_skip_does_not_pass_in_ci(ci, workers, status, tmp_path):
    (tmp_path / "test_it.py").write_text("import pytest\ndef test_a(): pytest.skip('no')\ndef test_b(): pass\n")
    command = [sys.executable, "-m", "pytest", "-q", f"-n{workers}", "-p", "tests.conftest", str(tmp_path)]
    environment = {**os.environ, "CI": ci, "PYTHONPATH": str(ROOT)}
    environment = {name: value for name, value in environment.items() if not name.startswith("PYTEST")}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == status, done.stdout
    assert "1 passed, 1 skipped" in done.stdout
    assert ("skipped tests do not pass in CI" in done.stdout) == bool(ci)
