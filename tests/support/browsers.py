"""The browsers that tests drive: installed by ``make test`` if they are missing, asked for before any test has run.

``python -m tests.support.browsers`` takes what is there, else Debian's packages, else Playwright's own builds, else it
says in one sentence what to do. As a plugin of pytest it stops a run that would need a browser which is not there.
"""

import os
import platform
import shutil
import subprocess
import sys

import pytest

from tests.support import chromium, firefox

BROWSERS = {"chromium": chromium, "firefox": firefox}
#: Fixture → the browser that it starts.
FIXTURES = {"browser": "chromium", "fox": "firefox"}
#: Browser → its package in Debian. A bare machine has no fonts either.
PACKAGES = {"chromium": "chromium", "firefox": "firefox-esr"}
FONTS = "fonts-dejavu-core"
#: What the processes of a parallel run missed.
MISSED = pytest.StashKey[list[str]]()


def missing(wanted=tuple(BROWSERS)) -> list[str]:
    """Those of the wanted browsers that this machine lacks."""
    return [name for name in wanted if not BROWSERS[name].executable()]


def ways_out(names: list[str]) -> str:
    """One sentence for a person whose machine lacks these browsers."""
    programs = " and ".join(name.capitalize() for name in names)
    pronoun = "them" if names[1:] else "it"
    return (
        f"The browser tests need {programs}: install {pronoun} with your package manager (not as a snap, which cannot "
        f"read the files of tests), or let Playwright fetch {pronoun} (.venv/bin/playwright install "
        f"{' '.join(names)}), or name the program in {' and '.join(map(str.upper, names))}, or run what needs no "
        "browser: make quick."
    )


def as_root() -> list[str] | None:
    """How a command is run as root without a password being asked for; None if it cannot be."""
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        return []
    if shutil.which("sudo") and subprocess.run(["sudo", "-n", "true"], capture_output=True).returncode == 0:
        return ["sudo", "-n"]
    return None


def is_debian() -> bool:
    """Whether apt has these browsers as real packages. Ubuntu's are stubs that ask for a snap."""
    try:
        return platform.freedesktop_os_release()["ID"] == "debian" and bool(shutil.which("apt-get"))
    except OSError:  # macOS, Windows
        return False


def install_debian_packages(names: list[str], root: list[str]) -> None:
    """Says what it installs, and installs it."""
    packages = [*(PACKAGES[name] for name in names), FONTS]
    print(
        f"The browser tests need {' and '.join(names)}. Installing Debian's {', '.join(packages)} with apt-get.",
        flush=True,
    )
    quiet = [*root, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q"]
    if subprocess.run([*quiet, "update"]).returncode == 0:
        subprocess.run([*quiet, "install", "-y", "--no-install-recommends", *packages])


def install_playwrights_builds(names: list[str], root: list[str] | None) -> None:
    """Says what it fetches, and fetches it; first the libraries that these builds need, where it may install them."""
    playwright = [sys.executable, "-m", "playwright"]
    with_libraries = root is not None and bool(shutil.which("apt-get"))
    also = ", after the libraries that they need" if with_libraries else ""
    print(f"The browser tests need {' and '.join(names)}. Playwright fetches its own builds{also}.", flush=True)
    if with_libraries:
        node = f"PLAYWRIGHT_NODEJS_PATH={os.environ.get('PLAYWRIGHT_NODEJS_PATH', '')}"  # sudo forgets variables
        subprocess.run([*root, "env", node, *playwright, "install-deps", *names])
    subprocess.run([*playwright, "install", *names])


def main() -> int:
    """Makes sure that there is a Chromium and a Firefox that tests can drive; an exit status."""
    root = as_root()
    if (names := missing()) and root is not None and is_debian():
        install_debian_packages(names, root)
    if names := missing():
        install_playwrights_builds(names, root)
    names = missing()
    if "firefox" not in names and not firefox.is_drivable():
        names.append("firefox")
    if names:
        print(ways_out(names), file=sys.stderr)
        return 1
    print("Browser tests use " + " and ".join(browser.executable() for browser in BROWSERS.values()))
    return 0


@pytest.hookimpl(trylast=True)  # once it is known which tests were chosen
def pytest_collection_modifyitems(config, items) -> None:
    """Stops the run, before any test, if tests were chosen that start a browser which is not there."""
    wanted = {FIXTURES[fixture] for item in items for fixture in item.fixturenames if fixture in FIXTURES}
    names = missing(sorted(wanted))
    if names and hasattr(config, "workeroutput"):  # one of several processes: their parent speaks
        items.clear()
        config.workeroutput["browsers"] = names
    elif names:
        raise pytest.UsageError(ways_out(names))


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node) -> None:
    """Hears from a process that has ended which browsers it missed."""
    if names := getattr(node, "workeroutput", {}).get("browsers"):
        node.config.stash[MISSED] = names


def pytest_sessionfinish(session) -> None:
    """A run that was stopped for want of a browser fails."""
    if MISSED in session.config.stash:
        session.exitstatus = pytest.ExitCode.USAGE_ERROR


def pytest_terminal_summary(terminalreporter, config) -> None:
    """Says why the run was stopped."""
    if names := config.stash.get(MISSED, None):
        terminalreporter.write_line("ERROR: " + ways_out(names), red=True)


if __name__ == "__main__":
    sys.exit(main())
