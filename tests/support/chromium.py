"""The Chromium that tests drive through Playwright."""

import os

from tests.support import programs

NAMES = (
    "chromium",
    "chromium-browser",
    "google-chrome-stable",
    "google-chrome",
    "chrome",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)
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
    """What CHROMIUM names, else the first one that the system has, else Playwright's own; None if there is none."""
    return os.environ.get("CHROMIUM") or programs.first(NAMES) or programs.playwrights("chromium")
