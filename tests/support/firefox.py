"""The Firefox that tests drive through Marionette, its own protocol: Playwright can drive only a build of its own."""

import os
import socket
import warnings
from contextlib import contextmanager

from tests.support import programs

NAMES = ("firefox-esr", "firefox", "/Applications/Firefox.app/Contents/MacOS/firefox")
PREFERENCES = {
    # No way out: what is asked for fails, and shows in the console.
    "network.proxy.type": 1,
    "network.proxy.http": "127.0.0.1",
    "network.proxy.http_port": 9,
    "network.proxy.ssl": "127.0.0.1",
    "network.proxy.ssl_port": 9,
}
#: Programs of pages whose files are asked for, since a page began to load.
ASKED = "return performance.getEntriesByType('resource').map((entry) => entry.name)"
#: Errors and warnings that pages caused, those of the browser's own parts aside.
COMPLAINTS = """
return Services.console.getMessageArray()
  .filter((message) => message instanceof Ci.nsIScriptError && /^(file|blob):/.test(message.sourceName))
  .map((message) => `${message.sourceName}:${message.lineNumber} ${message.errorMessage}`);
"""


def executable() -> str | None:
    """What FIREFOX names, else the first one that the system has, else Playwright's own; None if there is none."""
    return os.environ.get("FIREFOX") or programs.first(NAMES) or programs.playwrights("firefox")


def is_drivable() -> bool:
    """Whether Marionette can drive the browser. Each real Firefox is; Playwright's own build is tried."""
    if executable() != programs.playwrights("firefox"):
        return True
    try:
        with started() as client:
            return client.execute_script("return 1 + 1") == 2
    except Exception:  # it stops, it never answers, it speaks another protocol
        return False


def free_port() -> int:
    """A port that nobody listens at: two runs that share one would drive the same Firefox."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@contextmanager
def started():
    """A Firefox without a window and without a network."""
    from marionette_driver.marionette import Marionette

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # while it waits for the port it leaves sockets open
        client = Marionette(bin=executable(), headless=True, prefs=PREFERENCES, gecko_log="-", port=free_port())
    try:
        client.start_session()
        client.set_window_rect(width=1280, height=900)
        yield client
    finally:
        client.quit(in_app=False)
        client.cleanup()


def opened(client, address: str, ready: str) -> None:
    """Opens a page and waits until the script ``ready`` returns true."""
    from marionette_driver import Wait

    with client.using_context("chrome"):
        client.execute_script("Services.console.reset()")
    client.navigate(address)
    Wait(client, timeout=120).until(lambda _: client.execute_script(ready))


def complaints(client) -> list[str]:
    """What the console says of the page that is open."""
    with client.using_context("chrome"):
        return client.execute_script(COMPLAINTS)
