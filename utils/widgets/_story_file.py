"""story-gpt2 as one small file for a page: int8 weights, and what the tokenizer needs.

The shipped weights are numbers that int8 times a scale of four significant bits can hold, and so can float16: 7 + 4
bits fit into its 11. So the page computes with exactly the numbers that PyTorch loads.
"""

import functools
import json
import zlib
from pathlib import Path

import torch
from torch import Tensor

from .. import models

NAME = "story-gpt2"
MOST = 127  # of an int8 that can be negated
BYTES = 256  # tokens of a single byte come first, then one for each merge
#: Matrices of a block, by their names in the page and in the checkpoint.
BLOCK = {"c_attn": "attn.c_attn", "c_proj": "attn.c_proj", "c_fc": "mlp.c_fc", "mlp_proj": "mlp.c_proj"}


def as_int8(rows: Tensor) -> tuple[Tensor, Tensor]:
    """The int8 values and the scales that come nearest to a matrix; exact if it was made of such.

    Args:
        rows: (n, m) float, finite.

    Returns:
        int8 (n, m), and float32 (n,) of four significant bits each: float16 holds ``values * scales[:, None]``.
    """
    rows = rows.float()  # which holds each product of int8 and scale
    mantissa, exponent = torch.frexp(rows.abs().amax(1).clamp(min=2.0**-24 * MOST) / MOST)
    first = torch.ceil(mantissa * 16)  # 8 to 16: the least scale that reaches the largest value of its row
    scales, least = torch.zeros_like(first), torch.full_like(first, torch.inf)
    for step in range(17):  # every scale up to twice as large
        bits = first + step
        bits = torch.where(bits > 16, torch.ceil(bits / 2) * 2, bits)
        scale = torch.ldexp(bits, exponent - 4)
        error = (rows - (rows / scale[:, None]).round() * scale[:, None]).square().sum(1)
        scales, least = torch.where(error < least, scale, scales), torch.minimum(error, least)
        if not least.any():  # as in weights that have been rounded
            break
    return (rows / scales[:, None]).round().to(torch.int8), scales.float()


def rounded(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The parameters of a GPT-2, its matrices rounded to what ``as_int8`` holds; each output has a scale of its own."""
    return {name: _rounded(value, name) if value.ndim == 2 else value for name, value in state.items()}


def _rounded(matrix: Tensor, name: str) -> Tensor:
    by_output = matrix if _is_embedding(name) else matrix.T  # GPT-2 keeps the matrices of its blocks as (in, out)
    values, scales = as_int8(by_output)
    nearest = (values * scales[:, None]).to(matrix.dtype)
    return nearest if _is_embedding(name) else nearest.T.contiguous()


def _is_embedding(name: str) -> bool:
    return name.split(".")[-2] in ("wte", "wpe", "lm_head")


@functools.cache
def story_file() -> bytes:
    """The file as DecompressionStream("deflate") takes it, which finds by its checksum whether it was damaged.

    Inflated it is four bytes, little-endian, that say how long the JSON after them is; this JSON, padded with spaces,
    which says what lies where; and the values, each array at a multiple of 8 bytes.

    Raises:
        ModelDamaged: the files of story-gpt2 are not as they came.
        ValueError: weights that int8 cannot hold exactly.
    """
    from safetensors.torch import load_file

    folder = models.fetch(NAME)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    wanted = ("n_layer", "n_head", "n_embd", "n_positions", "layer_norm_epsilon", "vocab_size", "eos_token_id")
    arrays = _weights(load_file(folder / "model.safetensors"), config["n_layer"]) | {"merges": _merges(folder)}
    data, tensors = bytearray(), {}

    def append(array: Tensor) -> int:
        data.extend(bytes(-len(data) % 8))
        data.extend(array.contiguous().numpy().tobytes())
        return len(data) - array.nbytes

    for name, array in arrays.items():
        if array.ndim == 2 and array.is_floating_point():
            values, scales = as_int8(array)
            if not torch.equal(values * scales[:, None], array.float()):
                raise ValueError(f"{NAME}: {name} holds numbers that int8 with a scale of four bits cannot hold.")
            tensors[name] = _entry("int8", values, append(values)) | {"scales": append(scales)}
        else:
            array = array.float() if array.is_floating_point() else array
            tensors[name] = _entry(str(array.dtype).removeprefix("torch."), array, append(array))
    header = json.dumps({"config": {name: config[name] for name in wanted}, "tensors": tensors}).encode()
    header += b" " * (-(len(header) + 4) % 8)
    packer = zlib.compressobj(9)
    return packer.compress(len(header).to_bytes(4, "little") + header + data) + packer.flush()


def _entry(kind: str, array: Tensor, offset: int) -> dict:
    return {"kind": kind, "shape": list(array.shape), "offset": offset}


def _weights(state: dict[str, Tensor], layers: int) -> dict[str, Tensor]:
    """The weights by their names in the page: each row of a matrix makes one output.

    All tokens that share one row are the last row of ``wte``; ``tokens`` are the others, in the order of their rows.
    """
    state = {name.removeprefix("transformer."): value for name, value in state.items()}
    tokens = state["wte.weight"]
    likely = tokens[:, 0] == tokens[:, 0].mode().values
    shared = (tokens == tokens[likely][0]).all(1)
    arrays = {
        "tokens": torch.nonzero(~shared)[:, 0].to(torch.uint16),
        "wte": torch.cat([tokens[~shared], tokens[shared][:1]]),
        "wpe": state["wpe.weight"],
    }
    for n in range(layers):
        for name, full in BLOCK.items():
            arrays[f"h.{n}.{name}"] = state[f"h.{n}.{full}.weight"].T
            arrays[f"h.{n}.{name}.bias"] = state[f"h.{n}.{full}.bias"]
        for name in ("ln_1", "ln_2"):
            arrays |= {f"h.{n}.{name}.{part}": state[f"h.{n}.{name}.{part}"] for part in ("weight", "bias")}
    return arrays | {f"ln_f.{part}": state[f"ln_f.{part}"] for part in ("weight", "bias")}


def _merges(folder: Path) -> Tensor:
    """uint16 (merges, 2): the tokens that each merge joins. What it makes is token 256 + its number."""
    ids = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
    lines = (folder / "merges.txt").read_text(encoding="utf-8").splitlines()
    pairs = [line.split(" ") for line in lines if line and not line.startswith("#version")]
    for number, (left, right) in enumerate(pairs):
        if ids[left + right] != BYTES + number:
            raise ValueError(f"{NAME}: the token of merge {number} is {ids[left + right]}, not {BYTES + number}.")
    return torch.tensor([[ids[left], ids[right]] for left, right in pairs]).to(torch.uint16)
