"""What people wait for, measured: ``make bench``. Ratios within one run, medians of interleaved repeats."""

import subprocess
import sys
import time
from statistics import median

from utils import models, plots
from utils.publish import notebooks


def seconds(run) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def interleaved(runs: dict, repeats: int) -> dict[str, list[float]]:
    """Times of each run, taken in turn, so that a slow minute of the machine hits all of them alike."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for run in runs.values():
        run()  # warm up
    for _ in range(repeats):
        for name, run in runs.items():
            times[name].append(seconds(run))
    return times


def python(code: str):
    return lambda: subprocess.run([sys.executable, "-c", code], check=True)


def report(title: str, times: dict[str, list[float]], baseline: str) -> None:
    print(f"\n{title}")
    for name, values in times.items():
        ratios = [value / base for value, base in zip(values, times[baseline], strict=True)]
        spread = f"{min(values):.3f} to {max(values):.3f} s"
        print(f"  {name:45} {median(values):7.3f} s  ({spread})  × {median(ratios):.3f}")


def main() -> None:
    imports = {
        "import torch": python("import torch"),
        "import utils": python("import utils"),
        "the core: masks, conventions, attention": python("from utils import masks, conventions, attention"),
        "every module": python("from utils import attention, checks, conventions, masks, models, plots, text"),
    }
    report("Import, as whole processes", interleaved(imports, 7), "import torch")

    weights = models.load("minilm-bert")[0].embeddings.word_embeddings.weight[:8, :8].detach().softmax(-1)
    tokens = [f"token {n}" for n in range(8)]
    first = {"load minilm-bert again": lambda: models.load("minilm-bert")}
    first["draw one heatmap, to PNG"] = lambda: plots.heatmap(weights, tokens, tokens, alt="Eight tokens.").png()
    first["check that all models are there"] = lambda: [models.fetch(name) for name in models.SOURCES]
    report("In a running kernel", interleaved(first, 5), "load minilm-bert again")

    print("\nExecution of the lessons, each in a fresh kernel")
    total = 0.0
    for source in notebooks.sources():
        path, notebook = next(iter(notebooks.generate(source)))
        took = seconds(lambda notebook=notebook, path=path: notebooks.execute(notebook, path))
        total += took
        print(f"  {path.name:45} {took:7.1f} s")
    print(f"  {'together':45} {total:7.1f} s")


if __name__ == "__main__":
    main()
