"""A page from disk that holds one widget and no kernel: what a reader of static HTML has, mounted by what ships."""

import time
from pathlib import Path

from publish import static_widgets

MODEL_ID = "widget"
#: Names for what tests look at: the model, the module, its bytes; how often it was saved; and what ends its views.
NAMES = """
const shown = globalThis.masksPage;
await shown.mounted;
document.getElementById("masks-states").remove(); // every id that is left is the widget's
window.model = shown.models.get("MODEL_ID");
window.load = () => shown.load("KIND");
window.module = await shown.modules.get("KIND");
window.bytes = (name) => {
  const { buffer, byteOffset, byteLength } = window.model.get(name);
  return Array.from(new Uint8Array(buffer, byteOffset, byteLength));
};
window.forget = shown.ends;
Object.defineProperty(window, "saves", { get: () => shown.saves });
window.ready = true;
"""


def settle(page) -> None:
    """Waits until what was asked for is painted."""
    page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


def until(page, condition: str, arg=None, patience: float = 60) -> None:
    """Waits until a condition holds, asked from outside: a page's policy forbids what wait_for_function does."""
    deadline = time.monotonic() + patience
    while not page.evaluate(condition, arg):
        assert time.monotonic() < deadline, f"not within {patience} s: {condition}"
        page.wait_for_timeout(20)


def write(path: Path, widget, views: int = 1) -> str:
    """Writes a page with so many views of a widget and returns its file address."""
    states = {MODEL_ID: widget._get_embed_state()}
    mounts = static_widgets.mount(MODEL_ID, "") * views
    names = NAMES.replace("MODEL_ID", MODEL_ID).replace("KIND", type(widget).__name__)
    path.write_text(
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>A widget</title>'
        f"<style>{static_widgets.style(states)}</style></head><body><main><h1>A widget</h1>{mounts}</main>"
        f'{static_widgets.scripts(states)}<script type="module">{names}</script></body></html>'
    )
    return path.as_uri()
