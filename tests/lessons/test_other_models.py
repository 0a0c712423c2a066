"""The lessons know their models by name alone: with gpt2 and bert-base-uncased in the set-up cell they run unchanged.

The files of these two are not here. In their place, a hub cache of its own holds our models, made wider without
changing what they compute: other numbers of heads, widths and layers, under the hub's names.
"""

import re
from pathlib import Path

import jupytext
import pytest
import torch

from publish import paths, source
from tests.support.forks import Forks
from utils import models

pytestmark = [pytest.mark.gate, pytest.mark.lesson]

NAMES = {"story-gpt2": "gpt2", "minilm-bert": "bert-base-uncased"}


def code(lesson: str) -> list[str]:
    """The code cells of a lesson's source."""
    cells = jupytext.read(paths.SOURCES / f"{lesson}.md", fmt="md:myst").cells
    return [cell.source for cell in cells if cell.cell_type == "code"]


def names_models(text: str) -> bool:
    return any(f'"{ours}"' in text for ours in NAMES)


#: Messages, which a page quotes word for word, name the sizes of these very models.
QUOTES = "what_went_wrong"
LESSONS = [p.stem for p in source.files() if p.stem != QUOTES and any(map(names_models, code(p.stem)))]


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
    wide = type(model)(config).eval()
    wide.load_state_dict({name: twice(name, value) for name, value in model.state_dict().items()})
    return wide


def wide_gpt2(model, more_layers=4):
    config = type(model.config)(**model.config.to_dict())
    config.n_embd, config.n_head, config.n_layer = 2 * config.n_embd, 2 * config.n_head, config.n_layer + more_layers
    torch.manual_seed(0)
    wide = type(model)(config).eval()
    state = {}
    for name, value in model.state_dict().items():
        if name == "lm_head.weight":
            continue
        turned = value.T if value.ndim == 2 and ".h." in name else value  # GPT-2 keeps its maps as (in, out)
        # One matrix holds queries, keys and values: each is doubled by itself.
        doubled = torch.cat([twice(name, part) for part in turned.chunk(3 if "c_attn" in name else 1)])
        state[name] = doubled.T if turned is not value else doubled
    for part in ("weight", "bias"):
        state[f"transformer.ln_f.{part}"] /= 2  # the head reads [x, x] with [E, E]
    missing = wide.load_state_dict(state, strict=False).missing_keys
    for name, parameter in wide.named_parameters():
        if name in missing and "c_proj" in name:
            torch.nn.init.normal_(parameter, std=1e-3)  # a layer that adds little
    wide.tie_weights()
    return wide


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
        repository = folder / f"models--{repo.replace('/', '--')}"
        (repository / "refs").mkdir(parents=True)
        (repository / "refs" / "main").write_text(revision)
        wide = widen(model)
        ids = tokenizer("Once upon a time there was a dog.", return_tensors="pt").input_ids
        with torch.no_grad():
            output, wanted = wide(ids)[0], model(ids)[0]
        assert torch.allclose(output[..., : wanted.shape[-1]], wanted, atol=0.05)
        assert wide.config.hidden_size == 2 * model.config.hidden_size
        for part in (wide, tokenizer):
            part.save_pretrained(repository / "snapshots" / revision)
    return folder


@pytest.fixture(scope="module")
def forks(hub):
    running = Forks(HF_HUB_CACHE=str(hub))
    yield running
    running.stop()


def test_lessons_name_models():
    assert {"02_padding", "03_left_or_right"} <= set(LESSONS)


@pytest.mark.parametrize("name", LESSONS)
def test_a_lesson_runs_with_the_models_of_the_hub(name, forks):
    first, *others = code(name)
    assert not any(map(names_models, others)), "names of models are in the first cell alone"
    for ours, theirs in NAMES.items():
        first = first.replace(f'"{ours}"', f'"{theirs}"')
    forks.call("tests.support.forks:execute", "\n\n".join([first, *others]))
