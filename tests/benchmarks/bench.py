"""What people wait for, measured: ``make bench``. Ratios within one run, medians of interleaved repeats."""

import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

import torch
from torch.nn.attention.flex_attention import create_block_mask

from publish import execute, notebooks, site, source
from tests.benchmarks.story import measure_story
from tests.benchmarks.timing import interleaved, launched, report, seconds
from tests.support.memory import peak_bytes
from tests.support.real_maps import maps_of_two_texts
from utils import conventions, influence, masks, models, plots

ROOT = Path(__file__).parents[2]


def python(code: str):
    return lambda: subprocess.run([sys.executable, "-c", code], check=True)


def measure_influence() -> None:
    model, _ = models.load("minilm-bert")
    input_ids = torch.arange(2000, 2064)[None]
    keep = masks.documents([0] * 30 + [1] * 34)
    attention_mask = {"attention_mask": conventions.to_hf(keep, model=model)}
    embeds = model.get_input_embeddings()(input_ids).detach()
    noise = torch.randn_like(embeds) * embeds.std()

    def loop():
        """What one would write without the helper: a forward for each input."""
        with torch.no_grad():
            base = model(inputs_embeds=embeds, **attention_mask).last_hidden_state
            for k in range(64):
                changed = embeds.clone()
                changed[:, k] += noise[:, k]
                (model(inputs_embeds=changed, **attention_mask).last_hidden_state - base).abs().amax(-1)

    runs = {
        "the full map, batched": lambda: influence.influence(model, input_ids, **attention_mask),
        "the full map, a loop of single forwards": loop,
        "the check only, two documents": lambda: influence.assert_no_leaks(model, keep, input_ids, **attention_mask),
    }
    report("Influence, MiniLM at 64 tokens", interleaved(runs, 9), "the full map, batched")
    for copies in (8, 32):
        used = peak_bytes(lambda n=copies: influence.influence(model, input_ids, batch_size=n, **attention_mask))
        print(f"  {'memory of the full map':45} {used / 2**20:7.1f} MiB with batch_size={copies}")


def measure_describe() -> None:
    """Words for masks of many tokens, beside one comparison of two such masks."""
    comparison = "torch.equal(keep, keep.clone())"
    for length in (512, 4096, 8192):
        keep = masks.causal(length)
        padded = masks.documents(torch.arange(length) * 5 // length) & masks.lengths([length - 9], length)
        described = {
            "describe a causal mask": keep,
            "describe it as additive": conventions.to_additive(keep),
            "describe documents with padding": padded,
            "describe noise": torch.rand(length, length) < 0.5,
        }
        runs = {comparison: lambda keep=keep: torch.equal(keep, keep.clone())}
        runs |= {name: lambda mask=mask: str(conventions.describe(mask, "sdpa")) for name, mask in described.items()}
        runs["to_flex"] = lambda keep=keep: conventions.to_flex(keep)
        report(f"Masks of {length:,} tokens", interleaved(runs, 9), comparison)
    block_mask = create_block_mask(lambda b, h, q, k: q >= k, None, None, 16_384, 16_384, device="cpu")

    def describe():
        return str(conventions.describe(block_mask, "flex"))

    took, used = seconds(describe), peak_bytes(describe) / 1e6
    print(f"\n  {'describe a BlockMask of 16,384 tokens':45} {took:7.3f} s, {used:.0f} MB")


def measure_leak_check() -> None:
    """A causal mask has a distinct row for each token, so nothing is saved by sharing copies: the dearest case."""
    model, _ = models.load("story-gpt2")
    length, at_once = 128, 16
    ids, causal = torch.arange(1000, 1000 + length)[None], masks.causal(length)
    embeds = model.get_input_embeddings()(ids).detach()
    noise = torch.randn_like(embeds) * embeds.std()

    def by_hand():
        """All logits for a copy per row, with what lies after it changed."""
        with torch.no_grad():
            for rows in causal[:-1].split(at_once - 1):
                copies = torch.cat([embeds, embeds + noise * ~rows[..., None]])
                logits = model(inputs_embeds=copies).logits
                (logits[1:] - logits[:1]).abs().amax(-1)

    def failing():
        """The model has no window."""
        try:
            influence.assert_no_leaks(model, masks.sliding_window(length, 3), ids, layers=1)
        except AssertionError:
            return
        raise RuntimeError("a model without a window passed")

    runs = {
        "all logits of a copy per row, by hand": by_hand,
        "the check, passing": lambda: influence.assert_no_leaks(model, causal, ids),
        "the check, failing": failing,
    }
    report(f"Check for leaks, story-gpt2, causal, {length} tokens", interleaved(runs, 3), next(iter(runs)))


TOGGLES = """async () => {
  const root = document.querySelector(".masklab"), grid = root.querySelector("[role=grid]"), times = [];
  for (let n = 0; n < 40; n++) {
    await new Promise(requestAnimationFrame);
    const start = performance.now();
    grid.dispatchEvent(new KeyboardEvent("keydown", { key: " ", bubbles: true, cancelable: true }));
    // A message sent from a frame's callback arrives when that frame has been painted.
    await new Promise((shown) => {
      const channel = new MessageChannel();
      channel.port1.onmessage = shown;
      channel.port2.postMessage(0);
    });
    times.push(performance.now() - start);
  }
  return times.slice(8).sort((a, b) => a - b);
}"""


def measure_redraw() -> None:
    """From a key to the frame in which the cell has changed; seaborn draws the same two maps for comparison."""
    from playwright.sync_api import sync_playwright

    from tests.support import widget_page
    from utils.widgets import MaskLab

    print("\nMaskLab, from toggle to painted frame (a frame of 60 Hz is 16.7 ms)")
    with sync_playwright() as play, tempfile.TemporaryDirectory() as folder:
        browser = launched(play)
        for length in (16, 64, 256, 512, 1024):
            lab = MaskLab(torch.randn(length, length), masks.causal(length))
            page = browser.new_page(viewport={"width": 1200, "height": 1000})
            page.goto(widget_page.write(Path(folder) / "page.html", lab))
            page.wait_for_function("window.ready")
            times = page.evaluate(TOGGLES)
            page.close()
            line = f"  {length:5} tokens {median(times):8.1f} ms  ({times[0]:.1f} to {times[-1]:.1f} ms)"
            if length in (16, 64, 512):
                drawn = 1000 * seconds(lab.picture().png)
                line += f"   seaborn and PNG: {drawn:7.0f} ms, × {drawn / median(times):.0f}"
            print(line, flush=True)


#: Notes when a frame has been painted in which the widget was no longer busy.
PAINTED = """
new MutationObserver((changes, observer) => {
  const root = document.querySelector(".headgrid");
  if (!root || root.hasAttribute("aria-busy")) return;
  observer.disconnect();
  requestAnimationFrame(() => requestAnimationFrame(() => {
    const channel = new MessageChannel();
    channel.port1.onmessage = () => (window.painted = performance.now());
    channel.port2.postMessage(0);
  }));
}).observe(document, { subtree: true, childList: true, attributes: true });
"""


def measure_headgrid() -> None:
    """Bytes in a page and time to first paint, of 12 × 12 heads at 128 tokens, before and after together."""
    from playwright.sync_api import sync_playwright

    from tests.support import widget_page
    from utils.widgets import HeadGrid

    print("\nHeadGrid, 12 × 12 real heads at 128 tokens, before and after")
    before, after, keep = maps_of_two_texts()
    with sync_playwright() as play, tempfile.TemporaryDirectory() as folder:
        browser = launched(play)
        path = Path(folder) / "page.html"
        address = widget_page.write(path, HeadGrid(before, after, keep=keep))
        times = []
        for _ in range(9):
            page = browser.new_page(viewport={"width": 1200, "height": 1000})
            page.add_init_script(PAINTED)
            page.goto(address)
            page.wait_for_function("window.painted")
            times.append(page.evaluate("window.painted"))
            page.close()
        ours = path.stat().st_size / 1e6
    times.sort()
    print(f"  page {ours:.2f} MB, first paint after {median(times):.0f} ms  ({times[0]:.0f} to {times[-1]:.0f} ms)")
    try:
        theirs = bertviz_megabytes(before, after)
    except subprocess.CalledProcessError:
        print("  bertviz 1.4.1 could not be fetched for comparison")
    else:
        print(f"  bertviz 1.4.1, a model view of each: {theirs:.0f} MB, × {theirs / ours:.0f}")


def bertviz_megabytes(*sides: list) -> float:
    """Size of the pages that bertviz makes of the same maps; it is fetched for this, and never installed."""
    with tempfile.TemporaryDirectory() as folder:
        options = ["--no-deps", "--quiet", "--disable-pip-version-check", "--target", folder, "bertviz==1.4.1"]
        subprocess.run([sys.executable, "-m", "pip", "install", *options], check=True)
        sys.path.insert(0, folder)
        from bertviz import model_view

        tokens = [str(n) for n in range(sides[0][0].shape[-1])]
        pages = [model_view(side, tokens, html_action="return").data for side in sides]
        sys.path.remove(folder)
    return sum(len(page.encode()) for page in pages) / 1e6


def measure_site() -> None:
    """From executed lessons to a site, again with nothing changed, and from a page's address to living widgets."""
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as folder:
        site.SITE, site.WORK = Path(folder) / "site", Path(folder) / "build"
        for lesson in source.files():
            list(notebooks.finished(lesson))  # executed, if they were not
        print("\nThe site, all lessons executed")
        print(f"  {'built from nothing':45} {seconds(site.build):7.1f} s")
        print(f"  {'again, nothing changed':45} {seconds(site.build):7.1f} s")
        times = []
        with sync_playwright() as play:
            browser = launched(play)
            for lesson in source.files():
                page = browser.new_page(viewport={"width": 1400, "height": 900})
                page.goto((site.SITE / f"{lesson.stem}.html").as_uri(), wait_until="commit")
                page.wait_for_selector("html[data-masks=ready]")
                times.append(page.evaluate("performance.now()"))
                page.close()
        shared = sum(path.stat().st_size for path in (site.SITE / "_static").rglob("*") if path.is_file())
        largest = max((site.SITE / f"{lesson.stem}.html").stat().st_size for lesson in source.files())
        print(f"  {'a page, until its widgets live':45} {median(times):7.0f} ms  (at most {max(times):.0f} ms)")
        print(f"  the largest page {largest / 1000:.0f} kB, files shared by all {shared / 1e6:.1f} MB")


def main() -> None:
    imports = {
        "import torch": python("import torch"),
        "import utils": python("import utils"),
        "the core: masks, conventions, influence": python("from utils import masks, conventions, influence"),
        "every module": python(
            "from utils import attention, checks, conventions, influence, masks, models, plots, text, widgets"
        ),
    }
    report("Import, as whole processes", interleaved(imports, 7), "import torch")

    weights = models.load("minilm-bert")[0].embeddings.word_embeddings.weight[:8, :8].detach().softmax(-1)
    tokens = [f"token {n}" for n in range(8)]
    first = {"load minilm-bert again": lambda: models.load("minilm-bert")}
    first |= {f"load {name}": lambda name=name: models.load(name) for name in ("story-gpt2", "smollm2")}
    first["draw one heatmap, to PNG"] = lambda: plots.heatmap(weights, tokens, tokens, alt="Eight tokens.").png()
    first["check that all models are there"] = lambda: [models.fetch(name) for name in models.SOURCES]
    report("In a running kernel", interleaved(first, 5), "load minilm-bert again")
    measure_describe()
    measure_influence()
    measure_leak_check()
    measure_redraw()
    measure_headgrid()
    measure_story()
    measure_site()

    print("\nExecution of the lessons, each in a fresh kernel")
    total = 0.0
    for lesson in source.files():
        path, notebook = next(iter(source.generate(lesson)))
        took = seconds(lambda notebook=notebook, path=path: execute.execute(notebook, path))
        total += took
        print(f"  {path.name:45} {took:7.1f} s")
    print(f"  {'together':45} {total:7.1f} s")


if __name__ == "__main__":
    main()
