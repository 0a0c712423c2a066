"""Firefox, driven through Marionette, its own protocol: Playwright drives a build of its own, which must be fetched."""

import os
import shutil
import warnings
from contextlib import contextmanager

NAMES = ("firefox-esr", "firefox")
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


def executable() -> str:
    """The Firefox that the system has: FIREFOX names it, else the first one on the path.

    Raises:
        FileNotFoundError: there is none.
    """
    found = os.environ.get("FIREFOX") or next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        raise FileNotFoundError("these tests drive Firefox: install it, or name it in FIREFOX")
    return found


@contextmanager
def started():
    """A Firefox without a window and without a network."""
    from marionette_driver.marionette import Marionette

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # while it waits for the port it leaves sockets open
        client = Marionette(bin=executable(), headless=True, prefs=PREFERENCES, gecko_log="-")
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
