"""The peer of StoryLab's engine: onnxruntime-web on the same weights. Fetched for a comparison, and never installed."""

import subprocess
import sys
import tarfile
from pathlib import Path

import torch

from tests.support import node, story_oracle

#: What the graph is written with, and what runs it.
WRITER = ["onnx==1.23.2", "protobuf==7.36.2", "ml_dtypes==0.6.0"]
RUNNER = "onnxruntime-web@1.30.0"
#: Of the package: the program for WASM alone, which loads no other file but the WASM itself.
SCRIPT, KERNEL = "ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm"


def fetch(folder: Path) -> None:
    """Puts both packages into a folder.

    Raises:
        CalledProcessError: one of them could not be fetched.
    """
    options = ["--no-deps", "--quiet", "--disable-pip-version-check", "--target", str(folder / "python")]
    subprocess.run([sys.executable, "-m", "pip", "install", *options, *WRITER], check=True, stderr=subprocess.DEVNULL)
    npm = [str(Path(node.executable()).with_name("npm")), "pack", "--silent", RUNNER]
    archive = subprocess.run(npm, check=True, capture_output=True, text=True, cwd=folder).stdout.split()[-1]
    with tarfile.open(folder / archive) as packed:
        packed.extractall(folder, filter="data")
    sys.path.insert(0, str(folder / "python"))


def program(folder: Path, name: str) -> bytes:
    """One of the files that run in a page."""
    return (folder / "package" / "dist" / name).read_bytes()


class _Graph:
    """Nodes and weights of an ONNX graph, written down as they are used."""

    def __init__(self):
        from onnx import helper, numpy_helper

        self._helper, self._numpy = helper, numpy_helper
        self.nodes, self.weights = [], []

    def weight(self, value: torch.Tensor) -> str:
        name = f"w{len(self.weights)}"
        self.weights.append(self._numpy.from_array(value.detach().contiguous().numpy(), name))
        return name

    def __call__(self, kind: str, *inputs, outputs: int = 1, **attributes):
        names = [f"n{len(self.nodes)}_{n}" for n in range(outputs)]
        values = [value if isinstance(value, str) else self.weight(value) for value in inputs]
        self.nodes.append(self._helper.make_node(kind, values, names, **attributes))
        return names[0] if outputs == 1 else names

    def linear(self, values: str, module) -> str:
        return self("Add", self("MatMul", values, module.weight), module.bias)

    def norm(self, values: str, module) -> str:
        return self("LayerNormalization", values, module.weight, module.bias, epsilon=module.eps)


def model(cached: bool) -> bytes:
    """story-gpt2 as ONNX: rows of tokens, positions and a bias → logits of the last row, and all weights or a cache.

    It has the 7,017 rows that differ, as the page's file does. With a cache it takes and gives the keys and values of
    what was before, each (layers, heads, past, head_dim), and gives no weights.
    """
    from onnx import TensorProto, helper

    gpt2, _ = story_oracle.story()
    config, graph = gpt2.config, _Graph()
    tokens = graph.weight(gpt2.transformer.wte.weight[story_oracle.tokens_of_rows()])
    state = graph("Add", graph("Gather", tokens, "rows"), graph("Gather", gpt2.transformer.wpe.weight, "positions"))
    kept: dict[str, list[str]] = {"maps": [], "keys": [], "values": []}
    for n, block in enumerate(gpt2.transformer.h):
        state = _attention(graph, state, block, config, kept, n if cached else None)
        inner = graph("Gelu", graph.linear(graph.norm(state, block.ln_2), block.mlp.c_fc), approximate="tanh")
        state = graph("Add", state, graph.linear(inner, block.mlp.c_proj))
    last = graph("Gather", graph.norm(state, gpt2.transformer.ln_f), torch.tensor([-1]), axis=0)
    graph.nodes.append(helper.make_node("MatMul", [last, graph("Transpose", tokens)], ["logits"]))
    size = config.n_embd // config.n_head
    past = [config.n_layer, config.n_head, "past", size]
    cache = {name: [*past[:2], "k", size] for name in ("keys", "values")}
    shapes = cache if cached else {"maps": [*past[:2], "q", "k"]}
    for name in shapes:
        graph.nodes.append(helper.make_node("Concat", kept[name], [name], axis=0))
    whole, real = TensorProto.INT64, TensorProto.FLOAT
    inputs = [("rows", whole, ["q"]), ("positions", whole, ["q"]), ("bias", real, ["mask", "q", "k"])]
    if cached:
        inputs += [("past_keys", real, past), ("past_values", real, past)]
    built = helper.make_graph(
        graph.nodes,
        "story",
        [helper.make_tensor_value_info(*one) for one in inputs],
        [helper.make_tensor_value_info(name, real, shape) for name, shape in {"logits": [1, "row"], **shapes}.items()],
        graph.weights,
    )
    opset = [helper.make_opsetid("", 20)]
    return helper.make_model(built, opset_imports=opset, ir_version=10).SerializeToString()


def _attention(graph: _Graph, state: str, block, config, kept: dict[str, list[str]], layer: int | None) -> str:
    """The state after the attention of a block; with a cache, ``layer`` is the block's number."""
    heads, size = config.n_head, config.n_embd // config.n_head
    mixed = graph.linear(graph.norm(state, block.ln_1), block.attn.c_attn)
    parts = graph("Split", mixed, outputs=3, axis=-1, num_outputs=3)
    shape = torch.tensor([-1, heads, size])
    query, key, value = (graph("Transpose", graph("Reshape", part, shape), perm=[1, 0, 2]) for part in parts)
    if layer is not None:
        number = torch.tensor(layer)
        key = graph("Concat", graph("Gather", "past_keys", number, axis=0), key, axis=1)
        value = graph("Concat", graph("Gather", "past_values", number, axis=0), value, axis=1)
    scores = graph("Mul", graph("MatMul", query, graph("Transpose", key, perm=[0, 2, 1])), torch.tensor(size**-0.5))
    weights = graph("Softmax", graph("Add", scores, "bias"), axis=-1)
    for name, one in (("maps", weights), ("keys", key), ("values", value)):
        kept[name].append(graph("Unsqueeze", one, torch.tensor([0])))
    mixed = graph("Transpose", graph("MatMul", weights, value), perm=[1, 0, 2])
    joined = graph("Reshape", mixed, torch.tensor([-1, config.n_embd]))
    return graph("Add", state, graph.linear(joined, block.attn.c_proj))
