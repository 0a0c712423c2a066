"""How the benchmarks measure: medians of interleaved repeats, and ratios within one run."""

import time
from statistics import median

from tests.support import chromium


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


def report(title: str, times: dict[str, list[float]], baseline: str, unit: str = "s") -> None:
    """Prints the median of each run, its spread, and how often the baseline's it is; milliseconds have one digit."""
    digits = {"s": 3, "ms": 1}[unit]
    print(f"\n{title}")
    for name, values in times.items():
        ratios = [value / base for value, base in zip(values, times[baseline], strict=True)]
        spread = f"{min(values):.{digits}f} to {max(values):.{digits}f} {unit}"
        print(f"  {name:45} {median(values):7.{digits}f} {unit}  ({spread})  × {median(ratios):.3f}", flush=True)


def launched(play):
    """The Chromium that the tests drive too."""
    executable = chromium.executable()
    return play.chromium.launch(args=chromium.ARGUMENTS, **({"executable_path": executable} if executable else {}))
