"""What moves what in a model, tried on its ids alone: an independent look at what descriptions of masks say."""

import inspect
import warnings

import torch
from torch import Tensor

#: Tokens of a text. A window of 4 keys in two layers does not reach from one end to the other.
LENGTH = 10
#: Names of what a model returns for each token of its input.
OUTPUTS = ("encoder_last_hidden_state", "last_hidden_state", "logits", "prediction_logits")


def attention_masks(dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    """Name → a mask of batch 1, in the forms that people hand to Hugging Face models."""
    ones = torch.ones(1, LENGTH, dtype=torch.int64)
    position = torch.arange(LENGTH)
    documents = torch.tensor([[(q < 5) == (k < 5) for k in range(LENGTH)] for q in range(LENGTH)])
    causal = position[:, None] >= position

    def additive(keep: Tensor) -> Tensor:
        return torch.zeros(1, 1, LENGTH, LENGTH, dtype=dtype).masked_fill(~keep, torch.finfo(dtype).min)

    return {
        "2D ones": ones,
        "2D padded right": ones * (position < 7),
        "2D padded left": ones * (position >= 3),
        "3D documents": documents[None].long(),
        "4D causal": additive(causal),
        "4D documents": additive(documents),
        "4D documents and causal": additive(documents & causal),
        "4D full": additive(torch.ones_like(causal)),
        "4D bool documents": documents[None, None],
    }


def run(model, ids: Tensor, attention_mask: Tensor | None) -> Tensor:
    """(batch, length, features): what a model returns for each token.

    Raises:
        Exception: whatever the model says.
    """
    kwargs = {}
    if "decoder_input_ids" in inspect.signature(model.forward).parameters:
        kwargs["decoder_input_ids"] = ids[:1, : LENGTH - 2].expand(len(ids), -1)
    if attention_mask is not None:
        kwargs["attention_mask"] = attention_mask.expand(len(ids), *attention_mask.shape[1:])
    with torch.no_grad(), torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        output = model(input_ids=ids, **kwargs)
    candidates = [getattr(output, name, None) for name in OUTPUTS] + [output[0]]
    return next(c for c in candidates if c is not None and c.ndim == 3 and c.shape[:2] == ids.shape)


def moved(model, attention_mask: Tensor | None) -> Tensor:
    """bool (q_len, k_len): whether another token at k moves the output at q.

    Each changed text runs twice, in a batch of its own: with one alone, some models take by accident what they refuse.

    Raises:
        Exception: whatever the model says.
    """
    generator = torch.Generator().manual_seed(1)
    tokens = 10 + torch.randperm(80, generator=generator)  # the first few have a meaning of their own
    text, other = tokens[:LENGTH], tokens[LENGTH : 2 * LENGTH]
    reference = run(model, text.repeat(2, 1), attention_mask)[0]
    columns = []
    for key in range(LENGTH):
        changed = torch.where(torch.arange(LENGTH) == key, other, text)
        output = run(model, changed.repeat(2, 1), attention_mask)[0]
        columns.append((output - reference).abs().amax(dim=-1))
    changes = torch.stack(columns, dim=1)
    return changes > 1e-5 * reference.abs().max()
