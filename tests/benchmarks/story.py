"""StoryLab measured beside onnxruntime-web with the same weights: forward passes, stories, pages and clicks."""

import base64
import subprocess
import tempfile
from pathlib import Path
from statistics import median

from playwright.sync_api import sync_playwright

from tests.benchmarks import onnx_peer
from tests.benchmarks.timing import launched, report
from tests.support import story_oracle, widget_page
from utils.widgets import StoryLab
from utils.widgets._story_file import story_file

LENGTHS = (16, 32, 64, 128)
PEER = "onnxruntime-web"
#: What every page needs: its parts as bytes.
PARTS = """
const decoded = (text) =>
  Uint8Array.fromBase64?.(text) ?? Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
const part = (id) => decoded(document.getElementById(id).textContent);
"""
#: The peer: a pass with all maps, and steps that take and give the keys and values of what was before.
PEER_OPENS = """
async function openPeer(names) {
  const ort = await import(URL.createObjectURL(new Blob([part("script")], { type: "text/javascript" })));
  ort.env.wasm.numThreads = 1; // a page from a disk has one
  ort.env.wasm.wasmBinary = part("kernel").buffer;
  const sessions = {};
  for (const name of names) sessions[name] = await ort.InferenceSession.create(part(name));
  const whole = (values) => new ort.Tensor("int64", BigInt64Array.from(values, BigInt), [values.length]);
  const run = (name, rows, positions, bias, more = {}) => {
    const shape = [1, rows.length, bias.length / rows.length];
    const feeds = { rows: whole(rows), positions: whole(positions), bias: new ort.Tensor("float32", bias, shape) };
    return sessions[name].run({ ...feeds, ...more });
  };
  const past = () => {
    const empty = () => new ort.Tensor("float32", new Float32Array(0), EMPTY);
    return { past_keys: empty(), past_values: empty() };
  };
  return { run, past };
}
const LOWEST = -3.4028234663852886e38;
const causalBias = (length, fill) =>
  Float32Array.from({ length: length * length }, (_, n) => (n % length <= n / length ? 0 : fill));
const places = (length) => Array.from({ length }, (_, n) => n);
"""
FIRST_OF_PEER = """
const peer = await openPeer(["whole"]);
const bias = causalBias(ROWS.length, LOWEST);
const { logits, maps } = await peer.run("whole", ROWS, places(ROWS.length), bias);
window.first = logits.data.length && maps.data.length && performance.now();
"""
#: All in one page, in turn.
CONTEST = """
const ours = {};
for (const wasm of [true, false]) ours[wasm ? "wasm" : "plain"] = await openEngine(part("story"), { wasm });
const peer = await openPeer(["whole", "cached"]);
const likeliest = (logits) => logits.reduce((best, value, row) => (value > logits[best] ? row : best), 0);
const timed = async (run) => {
  const start = performance.now();
  await run();
  return performance.now() - start;
};
async function interleaved(runs, repeats) {
  const times = Object.fromEntries(Object.keys(runs).map((name) => [name, []]));
  for (let n = -2; n < repeats; n++)
    for (const [name, run] of Object.entries(runs)) {
      const took = await timed(run);
      if (n >= 0) times[name].push(took);
    }
  return times;
}
const forward = (engine, ids) => {
  const keep = Uint8Array.from(causalBias(ids.length, 1), (hidden) => 1 - hidden);
  const pass = engine.forward({ ids, positions: places(ids.length), keep, fill: LOWEST });
  pass.logits(ids.length - 1);
  return pass;
};
const rowsOf = (ids) => ids.map((id) => ours.wasm.rowOf(id));
const whole = (ids) => peer.run("whole", rowsOf(ids), places(ids.length), causalBias(ids.length, LOWEST));

window.differences = async (ids) => {
  const { logits, maps } = await whole(ids);
  const pass = forward(ours.wasm, ids);
  const largest = (one, other) => one.reduce((most, value, n) => Math.max(most, Math.abs(value - other[n])), 0);
  return [largest(pass.logits(ids.length - 1), logits.data), largest(pass.maps, maps.data)];
};
window.passes = (ids, repeats) => interleaved({
  WASM: () => forward(ours.wasm, ids),
  "plain JavaScript": () => forward(ours.plain, ids),
  [PEER]: () => whole(ids),
}, repeats);

const tellOurs = (engine, ids, count) => {
  const pass = forward(engine, ids), run = pass.run(), told = [];
  for (let logits = pass.logits(ids.length - 1); told.length < count; ) {
    const id = engine.idOf(likeliest(logits)), position = ids.length + told.length;
    told.push(id);
    logits = run.step({ id, position, keep: new Uint8Array(position + 1).fill(1) });
  }
  return told;
};
const tellPeer = async (ids, count) => {
  let output = await peer.run("cached", rowsOf(ids), places(ids.length), causalBias(ids.length, LOWEST), peer.past());
  const told = [];
  while (told.length < count) {
    const row = likeliest(output.logits.data), position = ids.length + told.length;
    told.push(ours.wasm.idOf(row));
    const past = { past_keys: output.keys, past_values: output.values };
    output = await peer.run("cached", [row], [position], new Float32Array(position + 1), past);
  }
  return told;
};
window.stories = async (ids, count) => [tellOurs(ours.wasm, ids, count), await tellPeer(ids, count)].map(String);
window.telling = (ids, count, repeats) => interleaved({
  WASM: () => tellOurs(ours.wasm, ids, count),
  "plain JavaScript": () => tellOurs(ours.plain, ids, count),
  [PEER]: () => tellPeer(ids, count),
}, repeats);
window.first = performance.now();
"""
#: Notes when a frame has been painted in which the widget is no longer waiting for its model.
FIRST_OF_STORYLAB = """
new MutationObserver((changes, observer) => {
  if (!document.querySelector(".storylab:not(.masks-waiting) .storylab-next td")) return;
  observer.disconnect();
  requestAnimationFrame(() => requestAnimationFrame(() => {
    const channel = new MessageChannel();
    channel.port1.onmessage = () => (window.first = performance.now());
    channel.port2.postMessage(0);
  }));
}).observe(document, { subtree: true, childList: true, attributes: true });
"""
#: Hides a word and shows it again, many times; each must change the table.
CLICKS = """async () => {
  const chips = [...document.querySelectorAll(".storylab-chip")];
  const table = document.querySelector(".storylab-next table");
  const times = { "to the painted frame": [], "until all is computed and drawn": [] };
  for (let n = 0; n < 40; n++) {
    await new Promise((later) => setTimeout(later, 250)); // both stories are told
    const before = table.textContent;
    const start = performance.now();
    chips[4 + Math.floor(n / 2)].click();
    const computed = performance.now() - start;
    await new Promise((shown) => requestAnimationFrame(() => {
      const channel = new MessageChannel();
      channel.port1.onmessage = shown;
      channel.port2.postMessage(0);
    }));
    if (n < 8) continue;
    times["to the painted frame"].push(performance.now() - start);
    times["until all is computed and drawn"].push(computed);
    if (table.textContent === before) throw new Error("the table has not changed");
  }
  return { ...times, tokens: chips.length };
}"""
TEXT = "Lily had a dog and a cat. The dog chased the cat. She was afraid of the"


def page_of(path: Path, parts: dict[str, bytes], script: str) -> str:
    """Writes a page that holds these parts and this module; returns its address."""
    config = story_oracle.story()[0].config
    empty = [config.n_layer, config.n_head, 0, config.n_embd // config.n_head]
    held = "".join(
        f'<script type="text/plain" id="{name}">{base64.b64encode(value).decode()}</script>'
        for name, value in parts.items()
    )
    script = f'const PEER = "{PEER}", EMPTY = {empty};{PARTS}{script}'
    path.write_text(
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{path.stem}</title>{held}'
        f'<script type="module">{script}</script></html>'
    )
    return path.as_uri()


def text_of(length: int) -> list[int]:
    """So many ids of a story."""
    ids = story_oracle.encoded(" ".join(story_oracle.PROMPTS[1:20]))
    return (ids * (1 + length // len(ids)))[:length]


def measure_story() -> None:
    """All of it; what needs the peer is left out where that cannot be fetched."""
    with sync_playwright() as play, tempfile.TemporaryDirectory() as scratch:
        folder, browser = Path(scratch), launched(play)
        parts = _parts_of_peer(folder)
        if parts:
            _measure_contest(browser, folder, parts)
        _measure_pages(browser, folder, parts)
        _measure_clicks(browser, folder)


def _parts_of_peer(folder: Path) -> dict[str, bytes]:
    """What a page with the peer holds; empty if the peer cannot be fetched."""
    try:
        onnx_peer.fetch(folder)
    except (subprocess.CalledProcessError, OSError):
        print(f"\n{onnx_peer.RUNNER} could not be fetched for comparison")
        return {}
    script, kernel = (onnx_peer.program(folder, name) for name in (onnx_peer.SCRIPT, onnx_peer.KERNEL))
    return {"script": script, "kernel": kernel, "whole": onnx_peer.model(cached=False)}


def _measure_contest(browser, folder: Path, parts: dict[str, bytes]) -> None:
    parts = {**parts, "cached": onnx_peer.model(cached=True), "story": story_file()}
    page = browser.new_page()
    page.goto(page_of(folder / "contest.html", parts, f"{StoryLab._esm}\n{PEER_OPENS}{CONTEST}"))
    page.wait_for_function("window.first")
    for length in LENGTHS:
        ids = text_of(length)
        logits, maps = page.evaluate("(ids) => differences(ids)", ids)
        title = f"story-gpt2, {length} tokens, with all 40 maps (largest differences {logits:.0e}, {maps:.0e})"
        report(title, page.evaluate("(ids) => passes(ids, 15)", ids), PEER, "ms")
    told = page.evaluate("(ids) => stories(ids, 64)", text_of(16))
    if told[0] != told[1]:
        raise RuntimeError("the two do not tell the same story")
    times = page.evaluate("(ids) => telling(ids, 64, 9)", text_of(16))
    report("The same, a text of 16 tokens and 64 new ones, with a cache", times, PEER, "ms")
    print(
        "  tokens per second: " + ", ".join(f"{name} {64_000 / median(values):.0f}" for name, values in times.items())
    )
    page.close()


def _measure_pages(browser, folder: Path, parts: dict[str, bytes]) -> None:
    """Opening a page with one StoryLab, and one that only computes with the peer, in turn; what both weigh."""
    rows = [n * 40 for n in range(16)]
    widget_page.write(folder / "storylab.html", StoryLab(TEXT))
    names = {"a page with StoryLab, until it is painted": "storylab.html"}
    if parts:
        page_of(folder / "peer.html", parts, f"const ROWS = {rows};{PEER_OPENS}{FIRST_OF_PEER}")
        names[f"a page with {PEER}"] = "peer.html"
    times: dict[str, list[float]] = {name: [] for name in names}
    for n in range(8):
        for name, file in names.items():
            page = browser.new_page(viewport={"width": 1200, "height": 1000})
            page.add_init_script(FIRST_OF_STORYLAB)
            page.goto((folder / file).as_uri())
            page.wait_for_function("window.first")
            if n > 0:
                times[name].append(page.evaluate("window.first"))
            page.close()
    sizes = [f"{file} {(folder / file).stat().st_size / 1e6:.2f} MB" for file in names.values()]
    report(f"From a file's address to its first result ({', '.join(sizes)})", times, list(names)[-1], "ms")


def _measure_clicks(browser, folder: Path) -> None:
    """From a click on a word to the frame in which maps and table have changed; the stories come after."""
    ids = text_of(32)
    page = browser.new_page(viewport={"width": 1200, "height": 1000})
    page.goto(widget_page.write(folder / "storylab.html", StoryLab(story_oracle.story()[1].decode(ids))))
    page.wait_for_function("document.querySelector('.storylab:not(.masks-waiting)')")
    times = page.evaluate(CLICKS)
    if times.pop("tokens") != len(ids):
        raise RuntimeError("the text has not as many tokens as it should have")
    report(f"StoryLab, a click at {len(ids)} tokens (a frame of 60 Hz is 16.7 ms)", times, "to the painted frame", "ms")
    page.close()


if __name__ == "__main__":
    measure_story()
