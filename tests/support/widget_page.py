"""A page from disk that holds one widget and no kernel: what a reader of static HTML has."""

import base64
import json
from pathlib import Path

#: Enough of anywidget's model for a widget to live on: get, set, on, off, save_changes.
STAND_IN = """
const decode = (value) => value && value.base64 !== undefined
  ? new DataView(Uint8Array.from(atob(value.base64), (c) => c.charCodeAt(0)).buffer) : value;
const state = Object.fromEntries(Object.entries(STATE).map(([name, value]) => [name, decode(value)]));
const listeners = {};
window.saves = 0;
window.model = {
  get: (name) => state[name],
  set: (name, value) => { state[name] = value; for (const f of listeners["change:" + name] ?? []) f(); },
  save_changes: () => { window.saves += 1; },
  on: (event, f) => { (listeners[event] ??= []).push(f); },
  off: (event, f) => { listeners[event] = (listeners[event] ?? []).filter((g) => g !== f); },
};
window.load = () => import(URL.createObjectURL(new Blob([SOURCE], { type: "text/javascript" })));
window.module = await window.load();
window.bytes = (name) => Array.from(new Uint8Array(state[name].buffer, state[name].byteOffset, state[name].byteLength));
window.forget = [];
for (let n = 0; n < VIEWS; n++) {
  const el = document.createElement("div");
  document.querySelector("main").append(el);
  window.forget.push(window.module.default.render({ model: window.model, el }));
}
window.ready = true;
"""


def settle(page) -> None:
    """Waits until what was asked for is painted."""
    page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


def write(path: Path, widget, views: int = 1) -> str:
    """Writes the page and returns its file address."""

    def inline(value):
        return json.dumps(value).replace("<", "\\u003c")

    names = [name for name in widget.trait_names(sync=True) if not name.startswith("_") and name != "layout"]
    state = {name: getattr(widget, name) for name in names}
    for name, value in state.items():
        if isinstance(value, bytes):
            state[name] = {"base64": base64.b64encode(value).decode()}
    script = STAND_IN.replace("STATE", inline(state)).replace("SOURCE", inline(str(widget._esm)))
    path.write_text(
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>A widget</title>'
        f"<style>{widget._css}</style></head><body><main><h1>A widget</h1></main>"
        f'<script type="module">{script.replace("VIEWS", str(views))}</script></body></html>'
    )
    return path.as_uri()
