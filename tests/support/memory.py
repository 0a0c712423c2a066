"""How much memory tensors take while something runs."""

import json
import tempfile
from pathlib import Path

import torch


def peak_bytes(run) -> int:
    """The most bytes that tensors took at once while ``run`` ran, above what they took before."""
    with torch.profiler.profile(profile_memory=True, acc_events=True) as profile:
        run()
    with tempfile.TemporaryDirectory() as folder:
        profile.export_chrome_trace(str(path := Path(folder) / "trace.json"))
        events = [e for e in json.loads(path.read_text())["traceEvents"] if e.get("name") == "[memory]"]
    level = highest = 0
    for event in sorted(events, key=lambda event: event["ts"]):
        level += event["args"]["Bytes"]
        highest = max(highest, level)
    assert highest > 0, "the profiler recorded no memory"
    return highest
