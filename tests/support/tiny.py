"""Small Hugging Face models with random weights, large enough that every allowed influence shows."""

import copy
from functools import cache
from importlib.metadata import version

import torch

#: transformers 4.57 and 5 read masks differently; `make test-matrix` runs under the former.
V5 = version("transformers").startswith("5")
VOCABULARY = 50


def model(kind: str, implementation: str = "sdpa", *, layers: int = 2, head: bool = False):
    """A new copy of a model in eval mode: ``"bert"``, ``"gpt2"`` or ``"llama"``, hidden size 16, 2 heads."""
    return copy.deepcopy(_model(kind, implementation, layers, head))


@cache
def _model(kind: str, implementation: str, layers: int, head: bool):
    import transformers

    shared = {
        "vocab_size": VOCABULARY,
        "attn_implementation": implementation,
        "initializer_range": 0.4,
        "bos_token_id": 2,
        "eos_token_id": 3,
        "pad_token_id": 0,
    }
    sizes = {"hidden_size": 16, "num_hidden_layers": layers, "num_attention_heads": 2, "intermediate_size": 32}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        if kind == "bert":
            config = transformers.BertConfig(**sizes, **shared)
            found = transformers.BertModel(config, add_pooling_layer=False)
        elif kind == "gpt2":
            config = transformers.GPT2Config(n_embd=16, n_layer=layers, n_head=2, n_positions=64, **shared)
            found = (transformers.GPT2LMHeadModel if head else transformers.GPT2Model)(config)
        else:
            config = transformers.LlamaConfig(num_key_value_heads=1, **sizes, **shared)
            found = (transformers.LlamaForCausalLM if head else transformers.LlamaModel)(config)
    return found.eval()
