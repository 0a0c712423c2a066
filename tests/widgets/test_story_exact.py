"""StoryLab's engine in a browser says what transformers says: eager attention in float32, whatever the mask."""

import base64
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
import torch

from tests.support import firefox, story_oracle
from tests.support.story_oracle import Answer, Case, Story
from utils.widgets import StoryLab
from utils.widgets._story_file import story_file

NEAR_LOGITS, NEAR_WEIGHTS = 1e-4, 1e-5
KINDS = ("wasm", "plain")
NEW_TOKENS = 30
#: So many rows at once: their logits are 28 kB each, and all travel as one text.
ROWS_AT_ONCE = 300
DAILY = story_oracle.PROMPTS[1:5]
#: What the page offers to the test: two engines, passes and stories; numbers travel as base64.
PAGE = """
const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
const text = (arrays) => new Promise((done) => {
  const reader = new FileReader();
  reader.onload = () => done(reader.result.slice(reader.result.indexOf(",") + 1));
  reader.readAsDataURL(new Blob(arrays));
});
const engines = {};
const begun = (kind, { ids, positions, keep, head, fill }) =>
  engines[kind].forward({ ids, positions, keep: bytes(keep), head, fill: fill ?? -Infinity });
const likeliest = (logits) => logits.reduce((best, value, row) => (value > logits[best] ? row : best), 0);

globalThis.opened = async (file) => {
  for (const wasm of [true, false]) {
    const engine = await openEngine(bytes(file), { wasm });
    engines[engine.kind] = engine;
  }
  return Object.keys(engines);
};
globalThis.passes = async (kind, cases) => {
  const done = cases.map((one) => begun(kind, one));
  const logits = done.flatMap((pass) => Array.from({ length: pass.length }, (_, row) => pass.logits(row)));
  return [await text(logits), await text(done.map((pass) => pass.maps))];
};
globalThis.told = async (kind, stories, count) => stories.map((story) => {
  const engine = engines[kind], pass = begun(kind, story), run = pass.run(), seen = [...story.attention_mask];
  const words = [];
  for (let logits = pass.logits(pass.length - 1); ; ) {
    const id = engine.idOf(likeliest(logits));
    words.push(id);
    if (words.length === count || id === engine.config.eos_token_id) return words;
    const position = seen.reduce((sum, real) => sum + real, 0);
    seen.push(1);
    logits = run.step({ id, position, keep: Uint8Array.from(seen) });
  }
});
"""

Call = Callable[..., Any]


def _written(path) -> str:
    """The address of a page that holds the text that ships, its engine named for the test."""
    module = f"{StoryLab._esm}\nglobalThis.openEngine = openEngine;{PAGE}globalThis.ready = true;"
    path.write_text(
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Engine</title><script type="module">{module}'
        "</script></html>"
    )
    return path.as_uri()


def _opened(call: Call) -> Call:
    """A page's functions, its two engines open; fails if one of them is not there."""
    assert call("opened", base64.b64encode(story_file()).decode()) == list(KINDS)
    return call


@pytest.fixture
def chromium_page(page, tmp_path) -> Call:
    """Calls a function of a page in Chromium."""
    page.goto(_written(tmp_path / "engine.html"))
    page.wait_for_function("window.ready")
    return _opened(
        lambda name, *arguments: page.evaluate("([name, values]) => window[name](...values)", [name, arguments])
    )


@pytest.fixture
def fox(tmp_path) -> Iterator[Call]:
    """Calls a function of a page in Firefox."""
    script = """
      const [name, values, done] = [...arguments];
      window.wrappedJSObject[name](...JSON.parse(values)).then((value) => done(JSON.stringify(value)));
    """
    with firefox.started() as client:
        client.timeout.script = 600
        firefox.opened(client, _written(tmp_path / "engine.html"), "return window.wrappedJSObject.ready")
        yield _opened(lambda name, *values: json.loads(client.execute_async_script(script, [name, json.dumps(values)])))


def packed(case: Case) -> dict:
    """A case as the page takes it; JSON has no infinity."""
    keep = base64.b64encode(case.keep.to(torch.uint8).numpy().tobytes()).decode()
    fill = None if case.fill == -torch.inf else case.fill
    return {"ids": case.ids, "positions": case.positions, "keep": keep, "head": case.head, "fill": fill}


def batches(cases: Sequence[Case]) -> Iterator[list[Case]]:
    """The cases in their order, as many together as may travel at once."""
    batch: list[Case] = []
    for case in cases:
        if batch and sum(len(one.ids) for one in [*batch, case]) > ROWS_AT_ONCE:
            yield batch
            batch = []
        batch.append(case)
    yield batch


def computed(call: Call, kind: str, batch: list[Case], like: list[Answer]) -> list[Answer]:
    """What the page gives for these cases, in the shapes of the answers that they should have."""
    logits, maps = call("passes", kind, [packed(case) for case in batch])
    parts = []
    for text, wanted in ((logits, [a.logits for a in like]), (maps, [a.maps for a in like])):
        values = torch.frombuffer(bytearray(base64.b64decode(text)), dtype=torch.float32)
        sizes = values.split([one.numel() for one in wanted])
        parts.append([one.reshape(other.shape) for one, other in zip(sizes, wanted, strict=True)])
    return [Answer(*pair) for pair in zip(*parts, strict=True)]


def difference(values: torch.Tensor, wanted: torch.Tensor, what: str) -> float:
    """The largest one; both are NaN at the same places, or neither is."""
    same = torch.equal(values.isnan(), wanted.isnan())
    assert same, f"{what}: NaN elsewhere"
    return float((values - wanted).abs().masked_fill(wanted.isnan(), 0).max())


def compare(call: Call, prompts: Sequence[str]) -> dict:
    """Holds every case of these prompts against transformers; returns what was measured, and a digest of all bits."""
    measured: dict[str, Any] = {"cases": 0, "rows": 0, "NaN rows": 0}
    bits = {kind: hashlib.sha256() for kind in KINDS}
    for prompt in prompts:
        for batch in batches(story_oracle.cases(story_oracle.encoded(prompt))):
            answers = story_oracle.answers(batch)
            by_kind = [computed(call, kind, batch, answers) for kind in KINDS]
            for case, wanted, *several in zip(batch, answers, *by_kind, strict=True):
                for kind, values in zip(KINDS, several, strict=True):
                    _hold(values, wanted, f"{kind}, {case.name}: {prompt[:40]!r}", kind, measured)
                    bits[kind].update(b"".join(part.nan_to_num(7).numpy().tobytes() for part in values))
                measured["cases"] += 1
                measured["rows"] += len(case.ids)
                measured["NaN rows"] += int(wanted.logits.isnan().any(1).sum())
    return measured | {f"bits, {kind}": digest.hexdigest()[:12] for kind, digest in bits.items()}


def _hold(values: Answer, wanted: Answer, what: str, kind: str, measured: dict) -> None:
    for name, near in (("logits", NEAR_LOGITS), ("maps", NEAR_WEIGHTS)):
        amount = difference(getattr(values, name), getattr(wanted, name), f"{name}, {what}")
        assert amount <= near, f"{name}, {what}: {amount}"
        key = f"{name}, {kind}"
        measured[key] = max(measured.get(key, 0.0), amount)
    number = ~wanted.logits.isnan().any(1)
    assert torch.equal(values.logits[number].argmax(1), wanted.logits[number].argmax(1)), f"best token, {what}"


def compare_stories(call: Call, prompts: Sequence[str]) -> None:
    """Greedy continuations, alone and in a batch that is padded on the left, are those of ``generate()``."""
    stories = story_oracle.stories(list(prompts), NEW_TOKENS)
    for kind in KINDS:
        told = call("told", kind, [beginning(story) for story in stories], NEW_TOKENS)
        assert told == [story.told for story in stories], kind


def beginning(story: Story) -> dict:
    """What the engine gets for the row of a batch: causal, pads hidden, positions counted as ``generate()`` does."""
    real = torch.tensor(story.attention_mask)
    length = len(story.ids)
    keep = torch.ones(length, length).tril().bool() & real.bool()
    positions = (real.cumsum(0) - 1).clamp(min=0).tolist()
    case = Case("story", story.ids, positions, keep, story_oracle.MIN)
    return {**packed(case), "attention_mask": story.attention_mask}


def test_a_page_says_what_transformers_says(chromium_page):
    """21 masks × four prompts; all prompts in the gate."""
    measured = compare(chromium_page, DAILY)
    print(measured)
    assert measured["cases"] == 21 * len(DAILY)
    assert measured["NaN rows"] > 50
    compare_stories(chromium_page, DAILY)


@pytest.mark.gate
def test_chromium_says_what_transformers_says(chromium_page):
    _all(chromium_page)


@pytest.mark.gate
def test_firefox_says_what_transformers_says(fox):
    _all(fox)


def _all(call: Call) -> None:
    measured = compare(call, story_oracle.PROMPTS)
    print(measured)
    assert len(set(story_oracle.PROMPTS)) >= 30
    assert measured["cases"] == 21 * len(story_oracle.PROMPTS)
    assert measured["NaN rows"] > 1000
    compare_stories(call, story_oracle.PROMPTS)
