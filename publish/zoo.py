"""Small models with random weights: one of every text model class of the installed transformers.

One generic configuration does for nearly all of them: whatever a family calls its sizes, they become small, its window
too, and each kind of layer stays once. A family that needs more has a line in ``FAMILIES``; what is no text model on
``input_ids`` alone, or cannot be built here, has its reason in ``LEFT_OUT``.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, NamedTuple

#: Names of transformers' mappings from families to classes, and what each is for.
TASKS = {
    "CAUSAL_LM": "causal LM",
    "MASKED_LM": "masked LM",
    "SEQ_TO_SEQ_CAUSAL_LM": "seq2seq LM",
    "TEXT_ENCODING": "text encoding",
}
VOCABULARY = 99
#: Tokens that one query sees at most where a family has a window, and the size of its chunks.
WINDOW = 4

#: What attributes of configurations are called, and their small values. The initialisation is wide, so that influence
#: shows; there is no dropout, and no cache, which would be of no use for one run.
SIZES: dict[str, Any] = {
    **dict.fromkeys(("hidden_size", "n_embd", "d_model", "dim", "emb_dim", "embed_dim", "d_embed", "hidden_dim"), 32),
    **dict.fromkeys(("embedding_size", "word_embed_proj_dim", "lru_width", "projection_dim"), 32),
    **dict.fromkeys(("num_hidden_layers", "n_layer", "n_layers", "num_layers", "num_blocks", "depth"), 2),
    **dict.fromkeys(("encoder_layers", "decoder_layers", "num_encoder_layers", "num_decoder_layers"), 2),
    **dict.fromkeys(("num_attention_heads", "n_head", "n_heads", "num_heads", "attention_heads"), 2),
    **dict.fromkeys(("encoder_attention_heads", "decoder_attention_heads", "num_key_value_heads", "kv_n_heads"), 2),
    **dict.fromkeys(("num_decoder_attention_heads", "num_encoder_attention_heads"), 2),
    **dict.fromkeys(("head_dim", "d_kv", "attention_head_size", "v_head_dim"), 16),
    **dict.fromkeys(("intermediate_size", "ffn_dim", "encoder_ffn_dim", "decoder_ffn_dim", "d_ff", "n_inner"), 48),
    **dict.fromkeys(("ffn_hidden_size", "feed_forward_size", "dim_feedforward"), 48),
    **dict.fromkeys(("moe_intermediate_size", "shared_expert_intermediate_size", "expert_ffn_hidden_size"), 24),
    **dict.fromkeys(("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len"), 128),
    **dict.fromkeys(("sliding_window", "attention_window", "local_attention", "window_size"), WINDOW),
    **dict.fromkeys(("attention_chunk_size", "attention_window_size", "sliding_window_size"), WINDOW),
    "use_sliding_window": True,
    "max_window_layers": 1,
    **dict.fromkeys(("initializer_range", "init_std", "initializer_factor"), 0.3),
    **dict.fromkeys(("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts"), 4),
    **dict.fromkeys(("num_experts_per_tok", "num_experts_per_token", "moe_k", "moe_topk", "moe_top_k"), 2),
    **dict.fromkeys(("n_group", "topk_group", "num_expert_group", "n_shared_experts", "num_shared_experts"), 1),
    "first_k_dense_replace": 1,
    **dict.fromkeys(("q_lora_rank", "kv_lora_rank"), 16),
    **dict.fromkeys(("qk_rope_head_dim", "qk_nope_head_dim", "rotary_dim"), 8),
    **dict.fromkeys(("mamba_n_heads", "mamba_num_heads", "linear_num_key_heads", "linear_num_value_heads"), 2),
    **dict.fromkeys(("mamba_d_head", "mamba_head_dim"), 32),
    **dict.fromkeys(("linear_key_head_dim", "linear_value_head_dim", "linear_head_dim"), 16),
    "linear_num_heads": 2,
    **dict.fromkeys(("mamba_n_groups", "n_groups"), 1),
    **dict.fromkeys(("mamba_d_state", "state_size", "mamba_dt_rank", "time_step_rank"), 8),
    **dict.fromkeys(("chunk_size", "mamba_chunk_size"), 8),
    **dict.fromkeys(("hidden_size_per_layer_input", "entity_emb_size", "laurel_rank"), 8),
    **dict.fromkeys(("vocab_size", "vocab_size_per_layer_input"), VOCABULARY),
    "entity_vocab_size": 9,
    "type_vocab_size": 2,
    "image_size": 28,
    "patch_size": 14,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "decoder_start_token_id": 1,
    **dict.fromkeys(("dropout", "attention_dropout", "dropout_rate"), 0.0),
    "attention_multiplier": 0.25,  # what others divide by, the root of the head size
    "use_cache": False,
}
#: What a configuration calls its number of layers.
LAYERS = ("num_hidden_layers", "num_layers", "n_layer", "n_layers")

ROPE = {"rope_type": "default", "rope_theta": 1e4}
#: Family, or class → what it needs beside ``SIZES``.
FAMILIES: dict[str, dict[str, Any]] = {
    "bamba": {"attn_layer_indices": [1]},
    "blt": {
        "encoder_hash_byte_group_vocab": 50,
        "encoder_config": {"hidden_size_global": 32},
        "decoder_config": {"hidden_size_global": 32},
        "global_config": {"encoder_cross_output_size": 64},
    },
    "cohere_compass_text": {
        "layer_types": ["full_attention", "sliding_attention"],
        "rope_parameters": dict.fromkeys(("full_attention", "sliding_attention"), ROPE),
    },
    "dbrx": {"attn_config": {"rope_theta": 1e4, "clip_qkv": 8}},
    "falcon_h1": {"mamba_d_ssm": 64},
    "gemma3n_text": {
        "num_kv_shared_layers": 0,
        "activation_sparsity_pattern": [0.0, 0.0],
        "intermediate_size": [48, 48],
    },
    # Scores are not scaled: with more, weights would be 0 or 1.
    "gemma4": {"text_config": {"head_dim": 4, "global_head_dim": 4}},
    "gemma4_text": {"head_dim": 4, "global_head_dim": 4},
    "gpt_neo": {"attention_types": [[["global", "local"], 1]]},
    "granitemoehybrid": {"layer_types": ["linear_attention", "full_attention"]},
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1},
    "lfm2_moe": {"layer_types": ["conv", "full_attention"], "num_dense_layers": 1},
    "longcat_flash": {"head_dim": 8},
    "mamba2": {"head_dim": 32},
    "mimo_v2_flash": {"num_attention_heads": 4},  # sliding layers have twice the key heads
    "mobilebert": {"initializer_range": 0.05},  # nothing normalises its numbers
    "perceiver": {
        "num_latents": 8,
        "d_latents": 32,
        "num_self_attends_per_block": 2,
        "num_self_attention_heads": 2,
        "num_cross_attention_heads": 2,
    },
    "qwen4_exp_text": {
        "indexer_n_heads": 2,
        "indexer_kv_heads": 1,
        "indexer_head_dim": 16,
        "indexer_budget": 64,
        "indexer_compress_ratio": 4,
    },
    "recurrent_gemma": {"block_types": ["recurrent", "attention"]},
    "reformer": {
        "axial_pos_shape": [8, 16],
        "axial_pos_embds_dim": [16, 16],
        "attn_layers": ["local", "lsh"],
        "local_attn_chunk_length": 4,
        "lsh_attn_chunk_length": 4,
        "num_buckets": 2,
        "hash_seed": 0,
    },
    "T5GemmaEncoderModel": {"is_encoder_decoder": False},
    "vibevoice_asr": {
        f"{which}_tokenizer_encoder_config": {"num_filters": 4, "downsampling_ratios": [2, 2], "depths": [1, 1, 1]}
        for which in ("acoustic", "semantic")
    },
    "xmod": {"default_language": "en_XX"},
    "zamba": {"num_hidden_layers": 4, "layers_block_type": ["linear_attention", "hybrid"] * 2},
    "zaya": {"num_experts_per_tok": 1},
}

#: Class → why there is no model of it here.
LEFT_OUT: dict[str, str] = {
    "MraForMaskedLM": "needs a CUDA kernel, without which its attention gives zeros",
    "MusicgenForCausalLM": "takes four codebooks of audio, not text",
    "MusicgenMelodyForCausalLM": "takes four codebooks of audio, not text",
    "Nemotron3_5TranscribeForConditionalGeneration": "needs audio",
    "VoxtralRealtimeForConditionalGeneration": "needs audio beside input_ids",
    "Gemma4AssistantForCausalLM": "needs the keys and values of a second model",
    "Gemma4UnifiedAssistantForCausalLM": "needs the keys and values of a second model",
    "Gemma3nForConditionalGeneration": "needs timm, which is not installed",
}


class TextModel(NamedTuple):
    """One class of transformers' mappings for text models.

    Attributes:
        name: of the class.
        family: the ``model_type`` of its configuration.
        tasks: what it is for, as in ``TASKS``.
    """

    name: str
    family: str
    tasks: tuple[str, ...]


@contextmanager
def quiet() -> Iterator[None]:
    """Nothing is said of kernels that are not installed, or of what a small configuration leaves out."""
    from transformers.utils import logging

    level = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(level)


@cache
def classes() -> dict[str, TextModel]:
    """Name → class, of each class in transformers' mappings for text models; imports none of them."""
    from transformers.models.auto import modeling_auto

    families: dict[str, str] = {}
    tasks: dict[str, list[str]] = {}
    for mapping, task in TASKS.items():
        for family, names in getattr(modeling_auto, f"MODEL_FOR_{mapping}_MAPPING_NAMES").items():
            for name in (names,) if isinstance(names, str) else names:
                families.setdefault(name, family)
                if task not in tasks.setdefault(name, []):
                    tasks[name].append(task)
    return {name: TextModel(name, family, tuple(tasks[name])) for name, family in sorted(families.items())}


def built() -> list[str]:
    """Names of the classes of which there is a small model."""
    return [name for name in classes() if name not in LEFT_OUT]


def build(name: str, attn_implementation: str | None = None) -> Any:
    """A small model with random weights, the same each time, in eval mode.

    Args:
        name: of a class of transformers.
        attn_implementation: ``"eager"`` or ``"sdpa"``; what the class takes by itself if not given.

    Raises:
        KeyError: no class of that name in the mappings.
        ValueError: one that is left out, with the reason.
    """
    import torch
    import transformers

    if name not in classes():
        raise KeyError(name)
    if name in LEFT_OUT:
        raise ValueError(f"{name} {LEFT_OUT[name]}.")
    model_class = getattr(transformers, name)
    with torch.random.fork_rng(devices=[]), quiet():
        torch.manual_seed(0)
        config = small_config(model_class)
        if attn_implementation:
            config._attn_implementation = attn_implementation
        model = model_class(config).eval()
        for weight in model.parameters():  # what begins as zeros lets nothing through
            if weight.ndim > 1 and not weight.any():
                torch.nn.init.normal_(weight, std=0.3)
    return model


def small_config(model_class: Any) -> Any:
    """The small configuration of a class."""
    config_class = model_class.config_class
    default = config_class()
    needs = FAMILIES.get(config_class.model_type, {}) | FAMILIES.get(model_class.__name__, {})
    if classes()[model_class.__name__].tasks == (TASKS["CAUSAL_LM"],) and hasattr(default, "is_decoder"):
        needs = {"is_decoder": True, **needs}  # as BERT's class for causal LM says that it is to be used
    return _small(config_class, default, needs)


def _small(config_class: Any, default: Any, needs: dict[str, Any]) -> Any:
    """A configuration with ``SIZES`` where the default has such an attribute; those inside it likewise."""
    from transformers import PreTrainedConfig

    # What differs from layer to layer may not be read by its name, so the dict comes first.
    values = {name: vars(default).get(name, value) for name, value in default.to_dict().items()}
    nested = {name: value for name, value in values.items() if isinstance(value, PreTrainedConfig)}
    small = {
        name: SIZES[name] for name, value in values.items() if name in SIZES and not isinstance(value, list | dict)
    }
    if "qk_rope_head_dim" in values:
        small.pop("head_dim", None)  # follows from it
    small |= _first_of_each_kind(values)
    small |= {name: _small(type(value), value, needs.get(name, {})) for name, value in nested.items()}
    return config_class(**small | {name: value for name, value in needs.items() if name not in nested})


def _first_of_each_kind(values: dict[str, Any]) -> dict[str, Any]:
    """Lists with an entry for each layer, cut down to the first layer of each kind, two at least."""
    kinds = values.get("layer_types") or values.get("layers_block_type")
    number = next((name for name in LAYERS if isinstance(values.get(name), int)), None)
    if not isinstance(kinds, list) or number is None or len(kinds) != values[number]:
        return {}
    first = [layer for layer, kind in enumerate(kinds) if kind not in kinds[:layer]]
    chosen = first if len(first) > 1 else [0, 0]
    lists = {name: value for name, value in values.items() if isinstance(value, list) and len(value) == len(kinds)}
    return {number: len(chosen), **{name: [value[layer] for layer in chosen] for name, value in lists.items()}}
