"""Fakes away what a lesson claims, to see its assertions fail: ``python -m tests.faking 02_padding`` prints JSON.

A lesson's cells run one after the other in one namespace. Before each cell that asserts a claim, a fake is applied to a
copy of that namespace and the cell is run there: True for a claim whose assertion failed then, in one cell at least.
"""

import contextlib
import io
import json
import os
import sys

import jupytext
import pytest

from utils.publish import ledger, notebooks

#: What is run before a claim's cell. `patch` is pytest's MonkeyPatch; names are those of the lesson.
FAKES = {
    "01_ragged_tensors": {
        "S1.1": """
            genuine = torch.tensor
            patch.setattr(torch, "tensor", lambda rows: genuine([row + [0] * (4 - len(row)) for row in rows]))""",
        "S2.1": """
            import time
            genuine = model
            model = lambda ids, **more: (time.sleep(3 * (len(ids) > 1)), genuine(ids, **more))""",
        "S2.3": """
            genuine = torch.tensor
            patch.setattr(torch, "tensor", lambda rows: genuine([(row + [0] * 3)[:3] for row in rows]))""",
        "F24": """
            genuine = torch.nested.nested_tensor
            cut = lambda rows, **more: genuine([row[:2] for row in rows], **more)
            patch.setattr(torch.nested, "nested_tensor", cut)""",
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
        "S2.1": """
            import itertools, time
            patch.setattr(time, "perf_counter", itertools.count().__next__)""",
        "S2.2": """
            genuine = model.generate
            patch.setattr(model, "generate", lambda **given: genuine(**given).roll(1, 0))""",
        "S2.4": "import copy; left = copy.deepcopy(left); left['input_ids'][0, 0] = 220",
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
        "F17": 'patch.setattr(torch.Tensor, "half", torch.Tensor.float)',
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


def faked(lesson: str) -> dict[str, bool]:
    """For each claim of a lesson: does one of its assertions fail when the claim is faked?"""
    found: dict[str, bool] = {}
    namespace: dict = {"__name__": "__main__"}
    for cell in jupytext.read(notebooks.SOURCES / f"{lesson}.md", fmt="md:myst").cells:
        if cell.cell_type != "code":
            continue
        for claim in ledger.claimed(cell):
            found.setdefault(claim, False)
            if ledger.asserts(cell) and not found[claim]:
                found[claim] = fails(cell.source, dict(namespace), FAKES[lesson][claim])
        exec(cell.source, namespace)
    return found


if __name__ == "__main__":
    os.chdir(notebooks.FOLDER)
    with contextlib.redirect_stdout(io.StringIO()):
        answer = faked(sys.argv[1])
    print(json.dumps(answer))
