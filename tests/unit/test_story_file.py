"""story-gpt2 as the file that a page gets: exactly the numbers that PyTorch loads, and the whole tokenizer."""

import json
import zlib

import pytest
import torch

from utils import models
from utils.widgets import _story_file
from utils.widgets._story_file import as_int8, rounded, story_file


@pytest.fixture(scope="module")
def arrays():
    """The configuration, and each array by name, as a page reads them."""
    data = zlib.decompress(story_file())
    start = 4 + int.from_bytes(data[:4], "little")
    assert start % 8 == 0
    header = json.loads(data[4:start])

    def read(kind, shape, offset):
        assert offset % 8 == 0
        dtype = getattr(torch, kind)
        count = torch.Size(shape).numel()
        return torch.frombuffer(bytearray(data[start + offset :]), dtype=dtype, count=count).reshape(shape)

    arrays = {}
    for name, entry in header["tensors"].items():
        scales = entry.pop("scales", None)
        arrays[name] = read(**entry)
        if scales is not None:
            arrays[name] = arrays[name] * read("float32", entry["shape"][:1], scales)[:, None]
    return header["config"], arrays


def test_a_page_has_the_numbers_of_pytorch(arrays):
    config, arrays = arrays
    model, tokenizer = models.load("story-gpt2")
    assert config == {name: getattr(model.config, name) for name in config}
    for n, block in enumerate(model.transformer.h):
        for name, layer in {
            "c_attn": block.attn.c_attn,
            "c_proj": block.attn.c_proj,
            "c_fc": block.mlp.c_fc,
            "mlp_proj": block.mlp.c_proj,
        }.items():
            assert torch.equal(arrays[f"h.{n}.{name}"], layer.weight.T), (n, name)
            assert torch.equal(arrays[f"h.{n}.{name}.bias"], layer.bias), (n, name)
        for name in ("ln_1", "ln_2"):
            for part in ("weight", "bias"):
                assert torch.equal(arrays[f"h.{n}.{name}.{part}"], getattr(getattr(block, name), part)), (n, name)
    assert torch.equal(arrays["ln_f.weight"], model.transformer.ln_f.weight)
    assert torch.equal(arrays["ln_f.bias"], model.transformer.ln_f.bias)
    assert torch.equal(arrays["wpe"], model.transformer.wpe.weight)
    tokens = arrays["tokens"].long()
    assert tokens.tolist() == sorted(set(tokens.tolist()))
    assert len(tokens) == 7016
    assert tokenizer.eos_token_id in tokens
    every = arrays["wte"][-1].repeat(50257, 1)
    every[tokens] = arrays["wte"][:-1]
    assert torch.equal(every, model.transformer.wte.weight)


def test_merges_make_every_token(arrays):
    _, tokenizer = models.load("story-gpt2")
    merges = arrays[1]["merges"].tolist()
    tokens = tokenizer.convert_ids_to_tokens(list(range(256)))
    for left, right in merges:
        tokens.append(tokens[left] + tokens[right])
    assert tokens == tokenizer.convert_ids_to_tokens(list(range(50256)))


def test_it_is_small():
    """A page with it alone has to stay below 5.2 MB; base64 makes 4 bytes of 3."""
    assert len(story_file()) < 3.64e6


def test_rounding_is_the_nearest_and_a_second_one_changes_nothing():
    matrix = torch.randn(200, 64) * torch.logspace(-3, 1, 200)[:, None]
    matrix[7] = 0
    values, scales = as_int8(matrix)
    nearest = values * scales[:, None]
    assert torch.equal(nearest, nearest.half().float()), "float16 holds it"
    assert values.abs().max() == 127
    assert ((nearest - matrix).abs() <= scales[:, None] / 2 * 1.0001).all()
    assert (scales[8:] <= matrix[8:].abs().amax(1) / 127 * 2.0001).all()
    again = as_int8(nearest)
    assert torch.equal(again[0] * again[1][:, None], nearest)
    mantissas = torch.frexp(scales).mantissa * 16
    assert torch.equal(mantissas, mantissas.round()), "four bits"
    assert not nearest[7].any()


def test_each_output_has_a_scale_of_its_own():
    state = {
        "h.0.mlp.c_fc.weight": torch.tensor([[1.0, 100], [0.5, 50.3]]),
        "h.0.mlp.c_fc.bias": torch.tensor([0.1, 7]),
    }
    result = rounded(state)
    assert result["h.0.mlp.c_fc.weight"][:, 0].tolist() == pytest.approx([1, 0.5], rel=0.01)
    assert result["h.0.mlp.c_fc.bias"] is state["h.0.mlp.c_fc.bias"]
    assert rounded({"wte.weight": torch.tensor([[1.0, 0.003]])})["wte.weight"][0, 1] == 0


def test_other_weights_are_refused(monkeypatch):
    monkeypatch.setattr(_story_file, "as_int8", lambda rows: (torch.ones(rows.shape, dtype=torch.int8), rows[:, 0] * 0))
    with pytest.raises(ValueError, match="holds numbers that int8 with a scale of four bits cannot hold"):
        story_file.__wrapped__()
