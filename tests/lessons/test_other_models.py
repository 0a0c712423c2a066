"""The lessons know their models by name alone: with gpt2 and bert-base-uncased in the set-up cell they run unchanged.

The files of these two are not here. In their place, in a hub cache of its own, stand our models made wider without
changing what they compute: other numbers of heads, widths and layers, under the hub's names.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import jupytext
import pytest
import torch

from publish import paths, source
from utils import models

NAMES = {"story-gpt2": "gpt2", "minilm-bert": "bert-base-uncased"}
RUN = """
import contextlib, io, sys
with contextlib.redirect_stdout(io.StringIO()):
    exec(sys.stdin.read(), {"__name__": "__main__"})
"""


def twice(name: str, value: torch.Tensor) -> torch.Tensor:
    """A parameter of a model in which each vector x stands twice side by side, [x, x], between all layers and in them.

    The layer norm of [x, x] is that of x, twice; so is an embedding or a bias written twice. A linear map, (out, in),
    takes half of each copy.
    """
    if name.endswith("position_ids"):
        return value
    if value.ndim == 1:
        return value.repeat(2)
    return value.repeat(1, 2) if re.search("embeddings|wte|wpe", name) else value.repeat(2, 2) / 2


def wide_bert(model):
    config = type(model.config)(**model.config.to_dict())
    config.hidden_size, config.intermediate_size = 2 * config.hidden_size, 2 * config.intermediate_size
    config.num_attention_heads *= 2
    found = type(model)(config).eval()
    found.load_state_dict({name: twice(name, value) for name, value in model.state_dict().items()})
    return found


def wide_gpt2(model, more_layers=4):
    config = type(model.config)(**model.config.to_dict())
    config.n_embd, config.n_head, config.n_layer = 2 * config.n_embd, 2 * config.n_head, config.n_layer + more_layers
    torch.manual_seed(0)
    found = type(model)(config).eval()
    state = {}
    for name, value in model.state_dict().items():
        if name == "lm_head.weight":
            continue
        turned = value.T if value.ndim == 2 and ".h." in name else value  # GPT-2 keeps its maps as (in, out)
        # Queries, keys and values stand in one matrix: each is doubled by itself.
        wide = torch.cat([twice(name, part) for part in turned.chunk(3 if "c_attn" in name else 1)])
        state[name] = wide.T if turned is not value else wide
    for part in ("weight", "bias"):
        state[f"transformer.ln_f.{part}"] /= 2  # the head reads [x, x] with [E, E]
    missing = found.load_state_dict(state, strict=False).missing_keys
    for name, parameter in found.named_parameters():
        if name in missing and "c_proj" in name:
            torch.nn.init.normal_(parameter, std=1e-3)  # a layer that adds little
    found.tie_weights()
    return found


@pytest.fixture(scope="module")
def hub(tmp_path_factory) -> Path:
    """A hub cache that holds the wider models under the names of the hub."""
    folder = tmp_path_factory.mktemp("hub")
    source = models.SOURCES["gpt2"]
    for ours, repo, revision, widen in (
        ("story-gpt2", source.repo, source.revision, wide_gpt2),
        ("minilm-bert", "bert-base-uncased", "0" * 40, wide_bert),
    ):
        model, tokenizer = models.load(ours)
        place = folder / f"models--{repo.replace('/', '--')}"
        (place / "refs").mkdir(parents=True)
        (place / "refs" / "main").write_text(revision)
        wide = widen(model)
        ids = tokenizer("Once upon a time there was a dog.", return_tensors="pt").input_ids
        with torch.no_grad():
            found, wanted = wide(ids)[0], model(ids)[0]
        assert torch.allclose(found[..., : wanted.shape[-1]], wanted, atol=0.05)
        assert wide.config.hidden_size == 2 * model.config.hidden_size
        for part in (wide, tokenizer):
            part.save_pretrained(place / "snapshots" / revision)
    return folder


@pytest.mark.parametrize("name", [path.stem for path in source.files()])
def test_a_lesson_runs_with_the_models_of_the_hub(name, hub):
    cells = [
        c.source for c in jupytext.read(paths.SOURCES / f"{name}.md", fmt="md:myst").cells if c.cell_type == "code"
    ]
    naming = [source for source in cells if any(f'"{ours}"' in source for ours in NAMES)]
    if not naming:
        return
    assert naming == cells[:1], "names of models stand in one place"
    for ours, theirs in NAMES.items():
        cells[0] = cells[0].replace(f'"{ours}"', f'"{theirs}"')
    done = subprocess.run(
        [sys.executable, "-c", RUN],
        input="\n\n".join(cells),
        capture_output=True,
        text=True,
        cwd=paths.FOLDER,
        env={**os.environ, "HF_HUB_CACHE": str(hub), "PYTHONPATH": str(paths.ROOT), "MPLBACKEND": "agg"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
