"""Fakes away what a lesson claims, to see its assertions fail: ``python -m tests.support.faking 02_padding``.

A lesson's cells run one after the other in one namespace. Before code cells that are about a claim, what shows it and
what proves it, a fake is applied to a copy of that namespace and they run there: True for a claim whose assertion
failed then, in one place at least.
"""

import contextlib
import io
import json
import os
import sys
from itertools import takewhile

import jupytext
import pytest

from publish import ledger, paths

#: What is run before a claim's cell. `patch` is pytest's MonkeyPatch; names are those of the lesson.
FAKES = {
    "01_ragged_tensors": {
        "S1.1": """
            genuine = torch.tensor
            patch.setattr(torch, "tensor", lambda rows: genuine([row + [0] * (4 - len(row)) for row in rows]))""",
        # A batch is computed one sentence after the other.
        "S2.1": """
            genuine = model
            model = lambda ids, **more: [genuine(row[None]) for row in ids]""",
        "S2.3": """
            genuine = torch.tensor
            patch.setattr(torch, "tensor", lambda rows: genuine([(row + [0] * 3)[:3] for row in rows]))""",
        "F24": """
            genuine = torch.nested.nested_tensor
            backwards = lambda rows, **more: genuine([row.flip(0) for row in rows], **more)
            patch.setattr(torch.nested, "nested_tensor", backwards)""",
    },
    "02_padding": {
        "S0.1": "genuine = run; run = lambda given, ids=input_ids: genuine(attention_mask, ids)",
        "S0.2": """
            def run(given):
                raise TypeError("not the error of a list")""",
        "S0.3": """
            genuine = F.scaled_dot_product_attention
            flipped = lambda *given, attn_mask: genuine(*given, attn_mask=~attn_mask)
            patch.setattr(F, "scaled_dot_product_attention", flipped)""",
        "S0.5": """
            from types import SimpleNamespace
            sharper = [weights**2 / (weights**2).sum(-1, keepdim=True) for weights in masked.attentions]
            masked = SimpleNamespace(attentions=sharper)""",
        "S1.4": "genuine = run; run = lambda given, ids=input_ids: genuine((given > 0.9).long(), ids)",
        # Pads come out as zeros.
        "S1.7": """
            genuine = run
            def run(given, ids=input_ids):
                result = genuine(given, ids)
                result.last_hidden_state = result.last_hidden_state * attention_mask[..., None]
                return result""",
        "S2.6": "genuine = run; run = lambda given, ids=input_ids: genuine(attention_mask, ids)",
    },
    "03_left_or_right": {
        # A batch is continued one prompt after the other.
        "S2.1": """
            genuine = model.generate
            def one_by_one(input_ids, attention_mask, **more):
                rows = zip(input_ids[:, None], attention_mask[:, None])
                return torch.cat([genuine(input_ids=ids, attention_mask=real, **more) for ids, real in rows])
            patch.setattr(model, "generate", one_by_one)""",
        "S2.2": """
            genuine = model.generate
            patch.setattr(model, "generate", lambda **given: genuine(**given).roll(1, 0))""",
        "S2.4": """
            genuine = type(tokenizer).__call__
            def with_spaces(self, *given, **more):
                batch = genuine(self, *given, **more)
                return batch | {"input_ids": batch["input_ids"].masked_fill(batch["attention_mask"] == 0, 220)}
            patch.setattr(type(tokenizer), "__call__", with_spaces)""",
        "S2.5": """
            genuine = model.generate
            patch.setattr(model, "generate", lambda **given: genuine(**left, **greedy))""",
        "S2.10": """
            genuine = tokenizer.decode
            patch.setattr(tokenizer, "decode", lambda row, **more: genuine(row))""",
        "F11": """
            genuine = model.forward
            def counting(ids, attention_mask, position_ids=None):
                places = (attention_mask.cumsum(-1) - 1).clamp(min=0)
                return genuine(ids, attention_mask=attention_mask, position_ids=places)
            patch.setattr(model, "forward", counting)""",
        # A mask of ones opens the future, too.
        "F12": """
            genuine = model.forward
            def both_sides(ids=None, input_ids=None, attention_mask=None):
                ids = input_ids if ids is None else ids
                return genuine(ids, attention_mask=torch.zeros(1, 1, ids.shape[1], ids.shape[1]))
            patch.setattr(model, "forward", both_sides)""",
        # A mask that is too short is filled up with what is known of the past.
        "F13": """
            import functools
            genuine = model.forward
            @functools.wraps(genuine)
            def knowing(*given, attention_mask, **more):
                if attention_mask.shape[1] == 1:
                    attention_mask = F.pad(left.attention_mask, (0, 1), value=1)
                return genuine(*given, attention_mask=attention_mask, **more)
            patch.setattr(model, "forward", knowing)""",
    },
    "04_minus_infinity": {
        "S2.7": 'patch.setattr(torch.Tensor, "masked_fill", lambda self, where, value: self)',
        # The weights that are to be hidden are 0 already, as if the softmax knew.
        "S2.8": """
            genuine = torch.Tensor.softmax
            def knowing(x, dim):
                pads = x[..., 6:].clone()
                pads[:] = -torch.inf
                return genuine(torch.cat([x[..., :6], pads], dim), dim) if x.ndim == 4 else genuine(x, dim)
            patch.setattr(torch.Tensor, "softmax", knowing)""",
        "S2.9": """
            genuine = torch.Tensor.softmax
            exact = lambda x, dim: genuine(x.masked_fill(x < -1e3, -torch.inf), dim)
            patch.setattr(torch.Tensor, "softmax", exact)""",
        "F2": """
            genuine = torch.Tensor.softmax
            patch.setattr(torch.Tensor, "softmax", lambda x, dim: genuine(x, dim).nan_to_num(0.0))""",
        "F3": """
            genuine = torch.nn.MultiheadAttention.forward
            deaf = lambda self, *given, need_weights=True, **more: genuine(self, *given, **more)
            patch.setattr(torch.nn.MultiheadAttention, "forward", deaf)""",
        "F4": """
            genuine = torch.softmax
            finite = lambda x, dim, **more: genuine(x.clamp(min=-1e9), dim)
            patch.setattr(torch.Tensor, "softmax", finite)
            patch.setattr(F, "softmax", finite)""",
        "F5": """
            genuine = conventions.to_additive
            patch.setattr(conventions, "to_additive", lambda keep, fill: genuine(keep, fill="min"))""",
        "H5": """
            genuine = F.scaled_dot_product_attention
            def by_hand(*given, attn_mask=None, **more):
                out = genuine(*given, attn_mask=attn_mask, **more)
                return out.masked_fill(attn_mask.isneginf().all(dim=-1, keepdim=True), torch.nan)
            patch.setattr(F, "scaled_dot_product_attention", by_hand)""",
        "F15": """
            genuine = F.softmax
            patch.setattr(F, "softmax", lambda x, dim, **more: genuine(x, dim, **more) * (x > -1e30))""",
        # What does not fit becomes the lowest number instead of −∞.
        "F17": """
            genuine = torch.Tensor.half
            patch.setattr(torch.Tensor, "half", lambda self: genuine(self.clamp(-65504, 65504)))""",
        "F18": """
            genuine = torch.Tensor.__mul__
            def hiding(a, b):
                if isinstance(b, torch.Tensor):
                    return a.masked_fill(b == 0, -torch.inf)
                return torch.where(a == 0, 0.0, genuine(a, b))
            patch.setattr(torch.Tensor, "__mul__", hiding)""",
        "F19": """
            genuine = torch.Tensor.__matmul__
            patch.setattr(torch.Tensor, "__matmul__", lambda a, b: genuine(a, b.nan_to_num(0.0)))""",
    },
    "05_causal_masks": {
        "S3.6": """
            genuine = torch.nn.MultiheadAttention.forward
            def kept(self, *given, attn_mask=None, **more):
                return genuine(self, *given, attn_mask=None if attn_mask is None else attn_mask == 0, **more)
            patch.setattr(torch.nn.MultiheadAttention, "forward", kept)""",
        "F1": """
            genuine = F.scaled_dot_product_attention
            flipped = lambda *given, attn_mask: genuine(*given, attn_mask=~attn_mask)
            patch.setattr(F, "scaled_dot_product_attention", flipped)""",
        "F7": """
            genuine = torch.nn.MultiheadAttention.forward
            deaf = lambda self, *given, is_causal=False, **more: genuine(self, *given, **more)
            patch.setattr(torch.nn.MultiheadAttention, "forward", deaf)""",
        "F12": """
            genuine = model.forward
            def both_sides(ids, attention_mask=None):
                return genuine(ids, attention_mask=conventions.to_hf(masks.full(ids.shape[1])))
            patch.setattr(model, "forward", both_sides)""",
        "F14": """
            genuine = model.forward
            always = {"use_cache": False, "attention_mask": None}
            patch.setattr(model, "forward", lambda *given, **more: genuine(*given, **{**more, **always}))""",
        "F20": """
            genuine = F.scaled_dot_product_attention
            def lower_right(q, k, v, attn_mask=None, is_causal=False):
                return genuine(q, k, v, attn_mask=masks.causal(len(q), len(k)))
            patch.setattr(F, "scaled_dot_product_attention", lower_right)""",
        "F23": """
            import functools, torch.nn.attention.flex_attention as flex
            patch.setattr(flex, "create_block_mask", functools.partial(flex.create_block_mask, BLOCK_SIZE=8))""",
    },
    "06_two_masks": {
        "S3.1": """
            genuine = torch.nn.MultiheadAttention.forward
            def both_names(self, *given, att_mask=None, attn_mask=None, **more):
                return genuine(self, *given, attn_mask=att_mask if attn_mask is None else attn_mask, **more)
            patch.setattr(torch.nn.MultiheadAttention, "forward", both_names)""",
        "S3.2": "default = mha",
        "S3.4": """
            genuine = default
            def turning(*given, key_padding_mask=None, **more):
                if key_padding_mask is not None and len(key_padding_mask) == len(x):
                    key_padding_mask = key_padding_mask.T
                return genuine(*given, key_padding_mask=key_padding_mask, **more)
            default = turning""",
        "S3.5": "genuine = in_mha; in_mha = lambda **given: genuine(key_padding_mask=ignore)",
        "S3.6": """
            genuine = torch.nn.MultiheadAttention.forward
            def kept(self, *given, attn_mask=None, **more):
                return genuine(self, *given, attn_mask=None if attn_mask is None else ~attn_mask, **more)
            patch.setattr(torch.nn.MultiheadAttention, "forward", kept)""",
        "S3.7": """
            genuine = torch.nn.MultiheadAttention.forward
            def kept(self, *given, key_padding_mask=None, **more):
                padding = None if key_padding_mask is None else ~key_padding_mask
                return genuine(self, *given, key_padding_mask=padding, **more)
            patch.setattr(torch.nn.MultiheadAttention, "forward", kept)""",
        "F1": """
            genuine = F.scaled_dot_product_attention
            flipped = lambda *given, attn_mask: genuine(*given, attn_mask=~attn_mask)
            patch.setattr(F, "scaled_dot_product_attention", flipped)""",
        "F6": """
            genuine = F.scaled_dot_product_attention
            def understanding(*given, attn_mask):
                return genuine(*given, attn_mask=attn_mask.bool() if attn_mask.max() == 1 else attn_mask)
            patch.setattr(F, "scaled_dot_product_attention", understanding)""",
        "F8": """
            genuine = in_mha
            def lenient(attn_mask):
                if torch.equal(attn_mask[0], attn_mask[3]):
                    attn_mask = attn_mask[:3].repeat_interleave(heads, dim=0)
                return genuine(attn_mask=attn_mask)
            in_mha = lenient""",
    },
    "07_bert_2d_masks": {
        "S1.2": """
            from types import SimpleNamespace
            genuine = eager
            def eager(ids, given, **more):
                found = genuine(ids, given, **more).attentions
                return SimpleNamespace(attentions=[layer.tril() for layer in found])""",
        "S1.3": """
            genuine = influence.influence
            apart = {"attention_mask": conventions.to_hf(pairs[None, None])}
            patch.setattr(influence, "influence", lambda model, ids, **more: genuine(model, ids, **apart))""",
        "S1.4": """
            genuine = eager.forward
            def forward(*given, attention_mask=None, **more):
                if attention_mask is not None and attention_mask.ndim == 2 and attention_mask.dtype == torch.bool:
                    attention_mask = None
                return genuine(*given, attention_mask=attention_mask, **more)
            patch.setattr(eager, "forward", forward)""",
        "S1.5": """
            genuine = eager
            def eager(ids, attention_mask=None, **more):
                fits = attention_mask is not None and attention_mask.shape == ids.shape
                return genuine(ids, attention_mask=attention_mask if fits else None, **more)""",
        "S1.6": """
            for layer in eager.encoder.layer:
                def forward(hidden, bias=None, *given, genuine=layer.forward, **more):
                    return genuine(hidden, None if bias is None else bias.clone(), *given, **more)
                patch.setattr(layer, "forward", forward)""",
        "S1.7": """
            genuine = eager
            def eager(ids, attention_mask=None, **more):
                out = genuine(ids, attention_mask=attention_mask, **more)
                if attention_mask is not None:
                    out.last_hidden_state = out.last_hidden_state * attention_mask[:1, :, None]
                return out""",
        "S1.8": """
            torch.manual_seed(0)
            eager = type(eager)(eager.config).eval()""",
        "F9": """
            for model in (eager, sdpa):
                def forward(*given, genuine=model.forward, attention_mask=None, **more):
                    if attention_mask is not None and attention_mask.ndim == 3:
                        attention_mask = conventions.to_additive(attention_mask[:, None].bool())
                    return genuine(*given, attention_mask=attention_mask, **more)
                patch.setattr(model, "forward", forward)""",
        "F10": """
            for model in (eager, sdpa):
                def forward(*given, genuine=model.forward, attention_mask=None, **more):
                    if attention_mask is not None and attention_mask.ndim == 4 and attention_mask.dtype == torch.bool:
                        attention_mask = conventions.to_additive(attention_mask)
                    return genuine(*given, attention_mask=attention_mask, **more)
                patch.setattr(model, "forward", forward)""",
        # A float mask of two dimensions is read as one to be added.
        "H3": """
            genuine = eager.forward
            def forward(*given, attention_mask=None, **more):
                if attention_mask is not None and attention_mask.ndim == 2 and attention_mask.min() < -1:
                    attention_mask = (attention_mask == 0).long()
                return genuine(*given, attention_mask=attention_mask, **more)
            patch.setattr(eager, "forward", forward)""",
        # The model brings a mask to its own dtype.
        "H6": """
            import functools
            kind = type(eager)
            genuine = kind.forward
            @functools.wraps(genuine)
            def casting(self, *given, attention_mask=None, **more):
                if attention_mask is not None and attention_mask.is_floating_point():
                    lowest = torch.finfo(self.dtype).min
                    attention_mask = attention_mask.clamp(min=lowest).to(self.dtype)
                return genuine(self, *given, attention_mask=attention_mask, **more)
            patch.setattr(kind, "forward", casting)""",
        "F14": """
            genuine = influence.influence
            def detecting(model, ids, position_ids=None, **more):
                apart = {} if position_ids is None else {"attention_mask": conventions.to_hf(pairs[None, None])}
                return genuine(model, ids, **apart, **more)
            patch.setattr(influence, "influence", detecting)""",
        "F16": "sdpa = eager",
        "F25": """
            from transformers.utils import attention_visualizer
            genuine = attention_visualizer.generate_attention_matrix_from_mask
            whole = lambda words, shown, **more: genuine(words, torch.ones_like(shown), **more)
            patch.setattr(attention_visualizer, "generate_attention_matrix_from_mask", whole)""",
    },
    "08_measure_it": {
        "F1": """
            genuine = F.scaled_dot_product_attention
            def flipped(*given, attn_mask=None, **more):
                if attn_mask is not None and attn_mask.dtype == torch.bool:
                    attn_mask = ~attn_mask
                return genuine(*given, attn_mask=attn_mask, **more)
            patch.setattr(F, "scaled_dot_product_attention", flipped)""",
        "F6": """
            genuine = F.scaled_dot_product_attention
            def understanding(*given, attn_mask=None, **more):
                if attn_mask is not None and attn_mask.is_floating_point() and attn_mask.max() == 1:
                    attn_mask = attn_mask.bool()
                return genuine(*given, attn_mask=attn_mask, **more)
            patch.setattr(F, "scaled_dot_product_attention", understanding)""",
        "F10": """
            genuine = model.forward
            def understanding(*given, attention_mask, **more):
                if attention_mask.dtype == torch.bool:
                    attention_mask = conventions.to_additive(attention_mask)
                return genuine(*given, attention_mask=attention_mask, **more)
            patch.setattr(model, "forward", understanding)""",
        "F19": """
            genuine = F.scaled_dot_product_attention
            clean = lambda q, k, v, **more: genuine(q, k, v.nan_to_num(0.0, posinf=0.0), **more)
            patch.setattr(F, "scaled_dot_product_attention", clean)""",
        # Dropout in modules only.
        "H7": """
            import torch.nn.functional as F
            genuine = F.scaled_dot_product_attention
            sure = lambda *given, dropout_p=0.0, **more: genuine(*given, **more)
            patch.setattr(F, "scaled_dot_product_attention", sure)""",
        # Each text is normed by itself.
        "H8": """
            genuine = torch.nn.BatchNorm1d.forward
            alone = lambda self, x: torch.cat([genuine(self, row) for row in x.split(1)])
            patch.setattr(torch.nn.BatchNorm1d, "forward", alone)""",
        # Layers after the first one pass on what they get.
        "H9": """
            for block in decoder.transformer.h[1:]:
                patch.setattr(block, "forward", lambda hidden, *given, **more: hidden)""",
        "H10": """
            import torch.nn.functional as F
            genuine = F.scaled_dot_product_attention
            tame = lambda q, k, v, **more: genuine(q, k.clamp(-1e4, 1e4), v, **more)
            patch.setattr(F, "scaled_dot_product_attention", tame)""",
    },
    "09_compute": {
        # A masked run is given fewer tokens, as if what is hidden were not computed.
        "S0.4": "genuine = model; model = lambda ids, *form, **more: genuine(ids[:, :9] if form else ids)",
        # A table of finer blocks: eight tokens are no longer one block.
        "F23": """
            from torch.nn.attention import flex_attention as flex
            genuine = flex.create_block_mask
            finer = lambda *given, **more: genuine(*given, **more, BLOCK_SIZE=4 if given[3] == 8 else 128)
            patch.setattr(flex, "create_block_mask", finer)""",
        # A "jagged" tensor that pads inside: its values hold the pads as well.
        "F24": """
            genuine = torch.nested.nested_tensor
            def with_pads(rows, **more):
                widest = max(len(row) for row in rows)
                return genuine([F.pad(row, (0, 0, 0, 0, 0, widest - len(row))) for row in rows], **more)
            patch.setattr(torch.nested, "nested_tensor", with_pads)""",
    },
    "13_a_mask_is_a_bias": {
        # is_causal is not read where there is a mask.
        "G1": """
            genuine = attend
            attend = lambda q, k, v, mask, is_causal=False, **more: genuine(q, k, v, mask, **more)
            patch.setattr(F, "scaled_dot_product_attention", attend)""",
        "G2": """
            genuine = F.scaled_dot_product_attention
            cast = lambda q, k, v, mask: genuine(q, k, v, mask if mask.dtype == torch.bool else mask.to(q.dtype))
            patch.setattr(F, "scaled_dot_product_attention", cast)""",
        "G3": """
            genuine = F.scaled_dot_product_attention
            by_text = lambda q, k, v, mask: genuine(q, k, v, mask[:, None] if mask.ndim == 3 else mask)
            patch.setattr(F, "scaled_dot_product_attention", by_text)""",
        # What is added to a score multiplies the key's share.
        "G15": """
            genuine = torch.Tensor.softmax
            patch.setattr(torch.Tensor, "softmax", lambda x, dim: genuine(2 * x, dim))""",
        "G16": """
            genuine = F.pad
            patch.setattr(F, "pad", lambda x, sizes, value=0.0: genuine(x, sizes, value=-torch.inf))""",
        # The loss leaves pads out by itself.
        "G17": """
            genuine = F.cross_entropy
            skipping = lambda x, labels: genuine(x, labels.masked_fill(labels == tokenizer.pad_token_id, -100))
            patch.setattr(F, "cross_entropy", skipping)""",
        # & comes last, as it is read from left to right.
        "G18": """
            genuine = torch.Tensor.__or__
            patch.setattr(torch.Tensor, "__or__", lambda a, b: genuine(a, b) & real)""",
    },
    "appendix_mha": {
        "S3.3": """
            genuine = mha
            def lenient(*given, attn_mask, **more):
                empty = (attn_mask < 0).all(dim=1, keepdim=True)
                out, weights = genuine(*given, attn_mask=attn_mask.masked_fill(empty, 0), **more)
                return out, weights.masked_fill(empty, 0)
            mha = lenient""",
        "F3": """
            genuine = torch.nn.MultiheadAttention.forward
            deaf = lambda self, *given, need_weights=True, **more: genuine(self, *given, **more)
            patch.setattr(torch.nn.MultiheadAttention, "forward", deaf)""",
        "H2": 'patch.setattr(encoder, "use_nested_tensor", False)',
        "F7": """
            genuine = torch.nn.MultiheadAttention.forward
            deaf = lambda self, *given, is_causal=False, **more: genuine(self, *given, **more)
            patch.setattr(torch.nn.MultiheadAttention, "forward", deaf)""",
        "F8": """
            genuine = weights_of
            def understanding(key_padding_mask=None, **more):
                if key_padding_mask is not None and key_padding_mask.is_floating_point():
                    key_padding_mask = key_padding_mask == 0
                return genuine(key_padding_mask=key_padding_mask, **more)
            weights_of = understanding""",
        "F21": 'patch.setattr(encoder, "use_nested_tensor", False)',
        "F22": """
            genuine = torch.nn.MultiheadAttention.forward
            def first_head(self, *given, average_attn_weights=True, **more):
                out, weights = genuine(self, *given, average_attn_weights=False, **more)
                return out, weights[:, 0] if average_attn_weights else weights
            patch.setattr(torch.nn.MultiheadAttention, "forward", first_head)""",
    },
    "cheat_sheet": {
        # GPT-2 takes row b for text b, as BERT does.
        "H1": """
            genuine = gpt2
            gpt2 = lambda given, attention_mask: genuine(given, attention_mask=attention_mask[: len(given)])""",
        # A row of the lowest number counts as one of −∞.
        "H4": """
            genuine = F.scaled_dot_product_attention
            def nothing(*given, attn_mask=None, **more):
                if attn_mask is not None and attn_mask.is_floating_point():
                    lowest = torch.finfo(attn_mask.dtype).min
                    attn_mask = attn_mask.masked_fill(attn_mask == lowest, -torch.inf)
                return genuine(*given, attn_mask=attn_mask, **more)
            patch.setattr(F, "scaled_dot_product_attention", nothing)""",
        "H11": 'patch.setattr(hf.BloomModel, "forward", lambda self, ids, attention_mask: None)',
    },
    "10_two_texts": {
        # Whoever passes the encoder's output need not say again what is a pad.
        "G4": """
            genuine = bart.generate
            def knowing(encoder_outputs=None, attention_mask=real, **more):
                return genuine(encoder_outputs=encoder_outputs, attention_mask=attention_mask, **more)
            patch.setattr(bart, "generate", knowing)""",
        # Places are counted from the first real token.
        "G5": """
            genuine = bart.generate
            def sideless(ids, attention_mask, **more):
                order = attention_mask.argsort(dim=1, descending=True, stable=True)
                rows = ids.gather(1, order), attention_mask.gather(1, order)
                return genuine(rows[0], attention_mask=rows[1], **more)
            patch.setattr(bart, "generate", sideless)""",
    },
    "12_masks_that_grow": {
        "G10": """
            genuine = conventions.to_hf
            patch.setattr(conventions, "to_hf", lambda keep: genuine(keep & masks.sliding_window(len(keep), 3)))""",
        # Slots that are empty are hidden whatever the mask.
        "G11": """
            import functools
            genuine = model.forward
            @functools.wraps(genuine)
            def hiding(ids, attention_mask=None, **more):
                if attention_mask is not None and attention_mask.ndim == 4:
                    empty = torch.arange(attention_mask.shape[-1]) >= 14
                    attention_mask = attention_mask.masked_fill(empty, torch.finfo(torch.float32).min)
                return genuine(ids, attention_mask=attention_mask, **more)
            patch.setattr(model, "forward", hiding)""",
        "G12": """
            genuine = model.generate
            def finding(*given, **more):
                if "inputs_embeds" in more:
                    more.setdefault("attention_mask", batch.attention_mask)
                return genuine(*given, **more)
            patch.setattr(model, "generate", finding)""",
        # Places are counted from what has been read, not from what is still in the cache.
        "G13": """
            genuine = model.forward
            def counting(ids, **more):
                if cache_name in more:
                    cache, length = more[cache_name], ids.shape[1]
                    cache.read = getattr(cache, "read", 0) + length
                    more["position_ids"] = torch.arange(cache.read - length, cache.read)[None]
                return genuine(ids, **more)
            patch.setattr(model, "forward", counting)""",
        # An export that decides anew at each call.
        "G14": """
            from types import SimpleNamespace
            alive = lambda module, *given, **more: SimpleNamespace(module=lambda: module)
            patch.setattr(torch.export, "export", alive)""",
    },
    "11_outside_the_mask": {
        # What is told is used by nobody.
        "G6": """
            genuine = off
            off = lambda net, **given: genuine(net)""",
        # The pad token is another one than eos.
        "G7": "by_id = by_mask",
        # The mask is asked where a text ends: its real eos is read.
        "G8": """
            kind = transformers.GPT2ForSequenceClassification
            genuine = kind.forward
            def forward(self, input_ids=None, attention_mask=None, **more):
                if input_ids is not None and attention_mask is not None:
                    ends = (input_ids == tokenizer.eos_token_id) & (attention_mask == 1)
                    input_ids = input_ids.masked_fill(ends, 13)
                return genuine(self, input_ids, attention_mask=attention_mask, **more)
            patch.setattr(kind, "forward", forward)""",
        "G9": """
            kind = type(models.load("minilm-bert")[1])
            genuine = kind.__call__
            def hiding(self, *texts, **given):
                row = genuine(self, *texts, **given)
                if "return_tensors" in given:
                    row["attention_mask"] = (row["input_ids"] != self.mask_token_id).long()
                return row
            patch.setattr(kind, "__call__", hiding)""",
        "G19": """
            genuine = small
            def small(kind, auto=transformers.AutoModel, **more):
                return genuine(kind, auto, **{**more, "is_decoder": kind == "bert"})""",
        "G20": """
            genuine = small
            def small(kind):
                net = genuine(kind)
                return lambda given, attention_mask: net(given, attention_mask=attention_mask.clamp(max=1))""",
    },
}


def fails(source: str, namespace: dict, fake: str) -> bool:
    """Whether an assertion of the cell fails once the fake has been applied; any other error is passed on."""
    lines = fake.strip("\n").splitlines()
    indent = len(lines[0]) - len(lines[0].lstrip())
    with pytest.MonkeyPatch.context() as patch:
        faked = {**namespace, "patch": patch}
        exec("\n".join(line[indent:] for line in lines), faked)
        try:
            exec(source, faked)
        except AssertionError:
            return True
    return False


def about(cell) -> set[str]:
    """The claims that a cell shows, by a tag such as ``shows-F1``, or proves."""
    return ledger.claimed(cell) | {tag.removeprefix("shows-") for tag in paths.tags(cell) if tag.startswith("shows-")}


def faked(lesson: str) -> dict[str, bool]:
    """For each claim of a lesson: does one of its assertions fail when the claim is faked?"""
    failed: dict[str, bool] = {}
    namespace: dict = {"__name__": "__main__"}
    cells = [c for c in jupytext.read(paths.SOURCES / f"{lesson}.md", fmt="md:myst").cells if c.cell_type == "code"]
    for n, cell in enumerate(cells):
        for claim in about(cell) - (about(cells[n - 1]) if n else set()):
            group = [*takewhile(lambda later, claim=claim: claim in about(later), cells[n:])]
            if not failed.setdefault(claim, False) and any(map(ledger.asserts, group)):
                source = "\n".join(later.source for later in group)
                failed[claim] = fails(source, dict(namespace), FAKES[lesson][claim])
        exec(cell.source, namespace)
    return failed


if __name__ == "__main__":
    os.chdir(paths.FOLDER)
    with contextlib.redirect_stdout(io.StringIO()):
        answer = faked(sys.argv[1])
    print(json.dumps(answer))
