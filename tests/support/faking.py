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
        "S1.7": """
            from types import SimpleNamespace
            masked = SimpleNamespace(last_hidden_state=masked.last_hidden_state * attention_mask[..., None])""",
        "S2.6": "genuine = run; run = lambda given, ids=input_ids: genuine(attention_mask, ids)",
    },
    "03_left_or_right": {
        # A batch is continued one prompt after the other.
        "S2.1": """
            genuine = model.generate
            def one_by_one(input_ids, attention_mask, **more):
                for ids, real in zip(input_ids, attention_mask):
                    genuine(input_ids=ids[None], attention_mask=real[None], **more)
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
            genuine = model
            derived = lambda given: (given.cumsum(-1) - 1).clamp(min=0)
            model = lambda input_ids, attention_mask: genuine(
                input_ids, attention_mask=attention_mask, position_ids=derived(attention_mask))""",
        "F12": "genuine = model; model = lambda ids, **more: genuine(ids.flip(1), **more)",
        "F13": "genuine = step; step = lambda given: genuine(nine)",
    },
    "04_minus_infinity": {
        "S2.7": 'patch.setattr(torch.Tensor, "masked_fill", lambda self, where, value: self)',
        "S2.8": "unmasked = weights",
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
            kept = lambda self, *given, attn_mask, **more: genuine(self, *given, attn_mask=attn_mask == 0, **more)
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
                return genuine(q, k, v, attn_mask=masks.causal(len(q), len(k)) if is_causal else attn_mask)
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
        "S3.3": """
            genuine = mha
            def lenient(*given, attn_mask, **more):
                empty = (attn_mask < 0).all(dim=1, keepdim=True)
                out, weights = genuine(*given, attn_mask=attn_mask.masked_fill(empty, 0), **more)
                return out, weights.masked_fill(empty, 0)
            mha = lenient""",
        "S3.4": """
            genuine = default
            def turning(*given, key_padding_mask=None, **more):
                if key_padding_mask is not None and len(key_padding_mask) == len(x):
                    key_padding_mask = key_padding_mask.T
                return genuine(*given, key_padding_mask=key_padding_mask, **more)
            default = turning""",
        "S3.5": "genuine = seen; seen = lambda **given: genuine(key_padding_mask=ignore)",
        "S3.6": """
            genuine = torch.nn.MultiheadAttention.forward
            kept = lambda self, *given, attn_mask, **more: genuine(self, *given, attn_mask=attn_mask == 0, **more)
            patch.setattr(torch.nn.MultiheadAttention, "forward", kept)""",
        "S3.7": """
            genuine = torch.nn.MultiheadAttention.forward
            def kept(self, *given, key_padding_mask, **more):
                return genuine(self, *given, key_padding_mask=~key_padding_mask, **more)
            patch.setattr(torch.nn.MultiheadAttention, "forward", kept)""",
        "F1": """
            genuine = F.scaled_dot_product_attention
            flipped = lambda *given, attn_mask: genuine(*given, attn_mask=~attn_mask)
            patch.setattr(F, "scaled_dot_product_attention", flipped)""",
        "F3": """
            genuine = torch.nn.MultiheadAttention.forward
            deaf = lambda self, *given, need_weights=True, **more: genuine(self, *given, **more)
            patch.setattr(torch.nn.MultiheadAttention, "forward", deaf)""",
        "F6": """
            genuine = F.scaled_dot_product_attention
            lenient = lambda *given, attn_mask: genuine(*given, attn_mask=attn_mask.bool())
            patch.setattr(F, "scaled_dot_product_attention", lenient)""",
        "F7": """
            genuine = torch.nn.TransformerEncoder.forward
            def obeys(self, src, mask=None, is_causal=None, **more):
                return genuine(self, src, mask=later if is_causal else mask, **more)
            patch.setattr(torch.nn.TransformerEncoder, "forward", obeys)""",
        "F8": """
            genuine = seen
            def lenient(attn_mask, **more):
                if attn_mask.ndim == 3 and torch.equal(attn_mask[0], attn_mask[3]):
                    attn_mask = attn_mask[:3].repeat_interleave(heads, dim=0)
                if attn_mask.is_floating_point():
                    attn_mask = attn_mask < 0
                return genuine(attn_mask=attn_mask, **more)
            seen = lenient""",
        "F21": 'patch.setattr(encoder, "use_nested_tensor", False)',
        "F22": """
            genuine = torch.nn.MultiheadAttention.forward
            def first_head(self, *given, average_attn_weights=True, **more):
                out, weights = genuine(self, *given, average_attn_weights=False, **more)
                return out, weights[:, 0] if average_attn_weights else weights
            patch.setattr(torch.nn.MultiheadAttention, "forward", first_head)""",
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
            apart = {"attention_mask": conventions.to_hf(keep)}
            patch.setattr(influence, "influence", lambda model, ids, **more: genuine(model, ids, **apart))""",
        "S1.4": """
            genuine = eager
            def eager(ids, attention_mask, **more):
                unread = torch.ones_like(ids) if attention_mask.dtype == torch.bool else attention_mask
                return genuine(ids, attention_mask=unread, **more)""",
        "S1.5": """
            genuine = eager
            eager = lambda ids, attention_mask, **more: genuine(
                ids, attention_mask=attention_mask if attention_mask.shape == ids.shape else None, **more)""",
        "S1.6": """
            for layer in eager.encoder.layer:
                def forward(hidden, bias=None, *given, genuine=layer.forward, **more):
                    return genuine(hidden, None if bias is None else bias.clone(), *given, **more)
                patch.setattr(layer, "forward", forward)""",
        "S1.7": """
            from types import SimpleNamespace
            genuine = sdpa
            def sdpa(ids, attention_mask, **more):
                states = genuine(ids, attention_mask=attention_mask, **more).last_hidden_state
                return SimpleNamespace(last_hidden_state=states * attention_mask[..., None])""",
        "S1.8": """
            torch.manual_seed(0)
            sdpa = type(sdpa)(sdpa.config).eval()""",
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
        "F14": """
            genuine = influence.influence
            def detecting(model, ids, position_ids=None, **more):
                apart = {} if position_ids is None else {"attention_mask": conventions.to_hf(keep)}
                return genuine(model, ids, **apart, **more)
            patch.setattr(influence, "influence", detecting)""",
        "F16": """
            genuine = models.load
            patch.setattr(models, "load", lambda name: genuine(name, attn_implementation="eager"))""",
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
