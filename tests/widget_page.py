"""A page from disk that holds one widget and no kernel: what a reader of static HTML has."""

import base64
import json
from pathlib import Path

WIDGETS = Path(__file__).parents[1] / "utils" / "widgets"

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
window.module = await import(URL.createObjectURL(new Blob([SOURCE], { type: "text/javascript" })));
window.bytes = (name) => Array.from(new Uint8Array(state[name].buffer, state[name].byteOffset, state[name].byteLength));
window.forget = [];
for (let n = 0; n < VIEWS; n++) {
  const el = document.createElement("div");
  document.querySelector("main").append(el);
  window.forget.push(window.module.default.render({ model: window.model, el }));
}
window.ready = true;
"""


def write(path: Path, widget, views: int = 1) -> str:
    """Writes the page and returns its file address."""
    state = {name: value for name, value in widget.get_state().items() if not name.startswith("_")}
    for name, value in state.items():
        if isinstance(value, bytes | bytearray | memoryview):
            state[name] = {"base64": base64.b64encode(bytes(value)).decode()}
    name = type(widget).__name__.lower()

    def inline(value):
        return json.dumps(value).replace("<", "\\u003c")

    keep = {"shape", *widget.trait_names(sync=True)}
    state = {
        name: value for name, value in state.items() if name in keep and isinstance(value, str | int | list | dict)
    }
    script = STAND_IN.replace("STATE", inline(state)).replace("SOURCE", inline((WIDGETS / f"{name}.js").read_text()))
    path.write_text(
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>A widget</title>'
        f"<style>{(WIDGETS / f'{name}.css').read_text()}</style></head><body><main><h1>A widget</h1></main>"
        f'<script type="module">{script.replace("VIEWS", str(views))}</script></body></html>'
    )
    return path.as_uri()
