"""Finds the Chromium that browser tests drive; ``python -m tests.support.chromium`` installs one if there is none."""

import os
import shutil
import subprocess
import sys

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome", "chrome")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def executable() -> str | None:
    """The browser that the system has: CHROMIUM names it, else the first one on the path; None if there is none."""
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


def main() -> int:
    if found := executable():
        print(f"browser tests use {found}")
        return 0
    print("no Chromium on this system; Playwright fetches one for the browser tests")
    done = subprocess.run([sys.executable, "-m", "playwright", "install", "chromium"])
    if done.returncode:
        print("That failed. Install Chromium with the system's package manager, or name one in CHROMIUM.")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
