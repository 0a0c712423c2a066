"""Attention maps of a real model, as many as a large one has."""

from pathlib import Path

import torch

from utils import conventions, masks, models

ROOT = Path(__file__).parents[2]


def maps_of_two_texts(length: int = 128) -> tuple[list, list, torch.Tensor]:
    """Before, after and keep: the 6 layers of MiniLM on two texts, as many real maps as a model of 12 layers has."""
    model, tokenizer = models.load("minilm-bert", attn_implementation="eager")
    words = (ROOT / "README.md").read_text().split()
    keep = masks.documents([0] * 60 + [1] * (length - 60))
    before, after = [], []
    for start in (0, 100):
        input_ids = tokenizer(" ".join(words[start : start + 150]), return_tensors="pt").input_ids[:, :length]
        with torch.no_grad():
            before += model(input_ids, output_attentions=True).attentions
            attention_mask = conventions.to_hf(keep, model=model)
            after += model(input_ids, attention_mask=attention_mask, output_attentions=True).attentions
    return before, after, keep
