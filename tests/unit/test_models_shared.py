"""models.py with a cache that many use: two users who are not root, and shared memory.

As root, agents give up their rights and become two other users. Elsewhere all of them are the user who runs the tests,
and what another's folder would refuse is refused by permissions: nothing here is skipped.
"""

import hashlib
import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import pytest
import torch
import transformers

from tests.support import tiny
from utils import models

ROOT = Path(__file__).parents[2]
AS_ROOT = os.geteuid() == 0
USERS = (65534, 65533) if AS_ROOT else (None, None)

#: Loads what it is told, line by line. It has a name for a small model, and a hub of its own.
AGENT = """
import json, os, stat, sys, time
from pathlib import Path
import huggingface_hub.constants
from utils import models

uid, source, hub, warm = json.loads(sys.argv[1])
models.SOURCES["small"] = models.Source(**source)
huggingface_hub.constants.HF_HUB_OFFLINE = False
asked = []

def download(repo, name, **options):
    asked.append(name)
    if meeting:
        (Path(meeting) / f"{name}-{os.getpid()}").touch()
        while len(list(Path(meeting).glob(f"{name}-*"))) < 2 and time.monotonic() < until:
            time.sleep(0.01)
    return str(Path(hub) / name)

class Session:
    def head(self, url, timeout): pass

huggingface_hub.hf_hub_download, huggingface_hub.get_session = download, Session

def answer(call, cache, where=None):
    global meeting, until
    os.environ["ATTENTION_MASKS_CACHE"] = cache
    meeting, until = where, time.monotonic() + 120  # there, each file waits until both processes have asked for it
    asked.clear()
    try:
        if call == "fetch":
            said = {"folder": str(models.fetch("small"))}
        else:
            model, tokenizer = models.load("small")
            weights = {str(p.dtype): float(p.detach().double().sum()) for p in [model.model.embed_tokens.weight]}
            said = {"weights": weights, "ids": tokenizer("a b")["input_ids"]}
    except Exception as error:
        said = {"error": type(error).__name__, "says": str(error)}
    return said | {"downloads": len(asked)}

answer("load", warm)  # imports what transformers imports late, while that may still be read
if uid is not None:
    os.setgroups([])
    os.setgid(uid)
    os.setuid(uid)
os.umask(0o077)
print("ready", flush=True)
for line in sys.stdin:
    print(json.dumps(answer(*json.loads(line))), flush=True)
"""


def python(*arguments):
    """A process that is written to and read from; leaving it ends it."""
    pipe = subprocess.PIPE
    return subprocess.Popen([sys.executable, "-c", *arguments], stdin=pipe, stdout=pipe, text=True, cwd=ROOT)


class Agent:
    """A process of its own, of one of the users."""

    def __init__(self, process):
        self.process = process

    def ask(self, call, cache, *meeting):
        self.process.stdin.write(json.dumps([call, str(cache), *meeting]) + "\n")
        self.process.stdin.flush()

    def told(self):
        return json.loads(self.process.stdout.readline())

    def does(self, call, cache):
        self.ask(call, cache)
        return self.told()


@pytest.fixture(scope="module")
def base():
    """A folder that all users may enter, as those of pytest are not."""
    folder = Path(tempfile.mkdtemp(prefix="attention-masks-"))
    folder.chmod(0o755)
    yield folder
    for path in folder.rglob("*"):  # what a test locked
        if path.is_dir():
            path.chmod(0o777)
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def hub(base):
    """The files of a small Llama in float16, as a hub has them."""
    folder = base / "hub"
    tiny.model("llama", head=True).half().save_pretrained(folder)
    models.load_tokenizer("story-gpt2").save_pretrained(folder)
    models._open_to_all(folder)
    return folder


@pytest.fixture(scope="module")
def source(hub):
    return {
        "title": "a small Llama",
        "repo": "somebody/small",
        "sha256": {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in hub.iterdir()},
        "wheel": "no-such-wheel==1.0",
        "licence": "gpt2.MIT.txt",
        "float32": True,
    }


@pytest.fixture(scope="module")
def agents(base, hub, source):
    """A process of each user."""
    with ExitStack() as stack:
        started = []
        for n, uid in enumerate(USERS):
            process = python(AGENT, json.dumps([uid, source, str(hub), str(base / f"warm-{n}")]))
            started.append(Agent(stack.enter_context(process)))
        assert [agent.process.stdout.readline() for agent in started] == ["ready\n"] * 2
        yield started


@pytest.fixture
def loaded(hub):
    """What every agent should tell of the model, if it downloaded nothing."""
    weights = transformers.AutoModelForCausalLM.from_pretrained(hub, dtype="float32")
    total = float(weights.model.embed_tokens.weight.detach().double().sum())
    return {"weights": {"torch.float32": total}, "ids": [64, 275], "downloads": 0}


@pytest.fixture
def cache(base):
    """A cache where all may write, and remove only what is their own."""
    folder = Path(tempfile.mkdtemp(dir=base))
    folder.chmod(0o1777)
    return folder


def lock(folder: Path, mode=0o555):
    """Takes the right to write into a folder from both users."""
    if AS_ROOT:
        os.chown(folder, 0, 0)
        folder.chmod(mode | 0o200)
    else:
        folder.chmod(mode)


def modes(folder: Path):
    return {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}


def test_two_users_who_fetch_at_once_both_load(agents, cache, source, loaded):
    meeting = cache.parent / "meeting"
    meeting.mkdir()
    meeting.chmod(0o777)
    for agent in agents:
        agent.ask("load", cache, str(meeting))
    told = [agent.told() for agent in agents]
    assert [{**each, "downloads": 0} for each in told] == [loaded] * 2
    assert [each["downloads"] for each in told] == [len(source["sha256"])] * 2, "both have fetched at the same time"
    assert [path.name for path in cache.iterdir()] == ["small-float32"], "nothing is left over"
    assert modes(cache / "small-float32") == {0o644}
    assert stat.S_IMODE((cache / "small-float32").stat().st_mode) == 0o755


def test_what_one_user_fetched_under_a_umask_of_077_another_loads_without_the_right_to_write(agents, cache, loaded):
    deep = cache / "group" / "models"
    first, second = agents
    assert first.does("load", deep)["weights"] == loaded["weights"]
    for folder in (deep.parent, deep, deep / "small-float32"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o755, folder
    assert modes(deep / "small-float32") == {0o644}
    lock(deep)
    assert second.does("load", deep) == loaded
    assert second.does("fetch", deep) == {"folder": str(deep / "small-float32"), "downloads": 0}


def test_a_read_only_cache_without_the_model_names_the_ways_out(agents, cache):
    lock(cache)
    told = agents[1].does("load", cache)
    assert told["error"] == "ModelUnavailable"
    assert told["downloads"] == 0, "nothing is fetched that cannot be kept"
    assert f"'small' (a small Llama) is not in {cache / 'small-float32'}" in told["says"]
    assert "Permission denied" in told["says"]
    for way in ("run `python -m utils.models` once", "copy the folder 'small-float32'", "ATTENTION_MASKS_CACHE"):
        assert way in told["says"]
    told = agents[1].does("load", cache / "below")  # the folder itself cannot be made
    assert (told["error"], told["downloads"]) == ("ModelUnavailable", 0)


def test_a_cache_below_a_file_names_the_ways_out(agents, cache):
    (cache / "file").write_text("no folder")
    told = agents[0].does("load", cache / "file")
    assert (told["error"], told["downloads"]) == ("ModelUnavailable", 0)
    assert "ATTENTION_MASKS_CACHE" in told["says"]


def test_a_read_only_cache_of_an_older_version_just_loads(agents, cache, hub, loaded):
    shutil.copytree(hub, cache / "small")
    lock(cache)
    assert agents[1].does("load", cache) == loaded
    assert [path.name for path in cache.iterdir()] == ["small"]


def test_a_cache_of_an_older_version_is_converted_without_a_network(agents, cache, hub, loaded):
    shutil.copytree(hub, cache / "small")
    for agent in agents:
        agent.ask("load", cache)
    assert [agent.told() for agent in agents] == [loaded] * 2
    assert {path.name for path in cache.iterdir()} == {"small", "small-float32"}
    assert (cache / "small" / "model.safetensors").read_bytes() == (hub / "model.safetensors").read_bytes()
    config = json.loads((cache / "small-float32" / "config.json").read_text())
    assert {config.get("dtype", config.get("torch_dtype"))} == {"float32"}


def test_a_copy_that_another_keeps_to_himself_is_said_with_what_opens_it(agents, cache):
    agents[0].does("fetch", cache)
    (cache / "small-float32").chmod(0o700 if AS_ROOT else 0)
    told = agents[1].does("load", cache)
    assert (told["error"], told["downloads"]) == ("ModelUnavailable", 0)
    assert f"`chmod -R a+rX {cache}`" in told["says"]
    (cache / "small-float32").chmod(0o755)


def test_a_damaged_copy_of_another_user_is_said_to_be_damaged(agents, cache):
    agents[0].does("fetch", cache)
    damaged = cache / "small-float32"
    (damaged / "config.json").write_text("{}")
    if not AS_ROOT:
        lock(cache)
    told = agents[1].does("load", cache)
    assert told["error"] == "ModelDamaged"
    assert "config.json has sha256" in told["says"]
    told = agents[1].does("fetch", cache)
    assert told["error"] == "ModelUnavailable"
    assert f"is damaged in {damaged} and could not be fetched" in told["says"]
    if not AS_ROOT:
        cache.chmod(0o755)
    assert agents[0].does("fetch", cache)["folder"] == str(damaged)  # its owner repairs it
    assert "weights" in agents[1].does("load", cache)


# --- memory ------------------------------------------------------------------------------------------


def mapped_bytes(model, file: Path) -> tuple[int, int]:
    """How many bytes of the parameters lie in pages of a file, and how many there are."""
    ranges = [
        [int(end, 16) for end in line.split()[0].split("-")]
        for line in Path("/proc/self/maps").read_text().splitlines()
        if line.endswith(str(file))
    ]
    own = {p.data_ptr(): p.nbytes for p in model.parameters()}
    inside = sum(size for start, size in own.items() if any(low <= start < high for low, high in ranges))
    return inside, sum(own.values())


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_smollm2_is_mapped_and_not_copied():
    model, _ = models.load("smollm2")
    assert model.dtype == torch.float32
    inside, total = mapped_bytes(model, models.fetch("smollm2") / "model.safetensors")
    assert total == 538_060_032
    assert inside == total


MEMORY = """
import sys, torch, transformers
from transformers import AutoModelForCausalLM, LlamaForCausalLM
from utils import models

def private():
    lines = open("/proc/self/smaps_rollup").read().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) // 1024

before = private()
model, _ = models.load("smollm2")
with torch.no_grad():
    model(torch.arange(8)[None])
print("loaded", flush=True)
sys.stdin.readline()  # until the other has loaded it too
print(private() - before, flush=True)
sys.stdin.readline()
"""


@pytest.mark.gate
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_two_processes_share_the_weights_of_smollm2():
    """513 MB of weights; what a process has for itself is what transformers and one run of the model take."""
    with python(MEMORY) as one, python(MEMORY) as other:
        assert [process.stdout.readline() for process in (one, other)] == ["loaded\n"] * 2
        megabytes = []
        for process in (one, other):
            process.stdin.write("\n")
            process.stdin.flush()
            megabytes.append(int(process.stdout.readline()))
    assert max(megabytes) < 200, megabytes
