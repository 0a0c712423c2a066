"""Trains story-gpt2 from stories.txt.gz: ``python train.py stories.txt.gz work_folder``.

Takes a GPU if there is one. Every step follows from SEED, and a run that was stopped goes on from its last
checkpoint. How long it took, and the versions that made the shipped weights, stand in the model card.
"""

import gzip
import json
import math
import shutil
import sys
import time
from collections import Counter
from pathlib import Path

import torch
from torch.nn import functional as F
from transformers import GPT2Config, GPT2LMHeadModel

from utils import models
from utils.widgets._story_file import rounded

HERE = Path(__file__).parent
BREAK = "\n<|endoftext|>\n"  # between stories, in every file of them
SEED = 7
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
CONTEXT = 256
LAYERS, HEADS, WIDTH = 8, 5, 160
EPOCHS = 4
BATCH_TOKENS = 8192
HELD_OUT = 1000  # stories
SAME_START = 160  # characters: stories that share these are told once
RARE = 3  # a token that occurs less often shares one row with all that never occur
LEARNING_RATE = {"muon": 0.02, "adamw": 0.004}
CHECKPOINT_SECONDS = 240


def read_stories(path: Path) -> list[str]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        stories = [story.strip() for story in file.read().split("<|endoftext|>")]
    seen = set()
    return [s for s in stories if s and not (s[:SAME_START] in seen or seen.add(s[:SAME_START]))]


def encode(stories: list[str], tokenizer) -> list[list[int]]:
    """Token ids; a finished story ends with eos, one that the teacher's sampler cut off does not."""
    ids = tokenizer(stories)["input_ids"]
    eos = tokenizer.eos_token_id
    return [row + [eos] * story.endswith((".", "!", "?", '"', "”")) for row, story in zip(ids, stories, strict=True)]


def sub_vocabulary(train: list[list[int]], eos: int, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """(size,) row of each token, and (rows,) how many tokens stand behind each row; the last row is shared."""
    counts = Counter(token for row in train for token in row)
    own = sorted(token for token, count in counts.items() if count >= RARE or token == eos)
    row_of = torch.full((size,), len(own))
    row_of[torch.tensor(own)] = torch.arange(len(own))
    tokens_of = torch.ones(len(own) + 1)
    tokens_of[-1] = size - len(own)
    return row_of, tokens_of


def model_config(rows: int, **ids: int) -> GPT2Config:
    return GPT2Config(
        vocab_size=rows,
        n_positions=CONTEXT,
        n_embd=WIDTH,
        n_layer=LAYERS,
        n_head=HEADS,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        activation_function="gelu_pytorch_tanh",  # GPT-2's own gelu_new in one operation instead of six
        **(ids or {"bos_token_id": 0, "eos_token_id": 0}),
    )


def batches(rows: list[torch.Tensor], epoch: int) -> list[list[int]]:
    """Stories of like length together, batches in random order."""
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(SEED * 1000 + epoch)).tolist()
    order.sort(key=lambda n: len(rows[n]) // 16)  # stable: random within a length
    made, batch = [], []
    for n in order:
        if batch and (len(batch) + 1) * max(len(rows[n]), len(rows[batch[0]])) > BATCH_TOKENS:
            made.append(batch)
            batch = []
        batch.append(n)
    made.append(batch)
    shuffle = torch.randperm(len(made), generator=torch.Generator().manual_seed(SEED * 2000 + epoch)).tolist()
    return [made[n] for n in shuffle]


def collate(rows: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """Right-padded inputs, which a causal model may ignore, and targets with -100 where nothing is asked."""
    padded = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=-100)
    return padded[:, :-1].clamp(min=0).to(DEVICE), padded[:, 1:].to(DEVICE)


def loss_of(model, offset, inputs, targets) -> torch.Tensor:
    """Summed cross-entropy in nats per token of the full vocabulary: a shared row is divided among its tokens."""
    with torch.autocast(DEVICE, torch.bfloat16):
        hidden = model.transformer(input_ids=inputs).last_hidden_state
        asked = targets.flatten() != -100
        logits = model.lm_head(hidden.flatten(0, 1)[asked]).float() + offset
    targets = targets.flatten()[asked]
    return F.cross_entropy(logits, targets, reduction="sum") + offset[targets].sum()


def optimizers(model) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of the blocks, AdamW for embeddings, gains and biases."""
    matrices = [p for name, p in model.named_parameters() if p.ndim == 2 and ".h." in name]
    chosen = {id(p) for p in matrices}
    others = [p for p in model.parameters() if id(p) not in chosen]
    groups = [
        {"params": [p for p in others if p.ndim == 2], "weight_decay": 0.01},
        {"params": [p for p in others if p.ndim < 2], "weight_decay": 0.0},
    ]
    muon = torch.optim.Muon(matrices, lr=LEARNING_RATE["muon"], weight_decay=0.05, adjust_lr_fn="original")
    adamw = torch.optim.AdamW(groups, lr=LEARNING_RATE["adamw"], betas=(0.9, 0.98))
    for optimizer in (muon, adamw):
        for group in optimizer.param_groups:
            group["peak"] = group["lr"]
    return [muon, adamw]


def schedule(step: int, steps: int) -> float:
    """Rises for 150 steps, then falls to a hundredth along a cosine."""
    if step < 150:
        return (step + 1) / 150
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * (step - 150) / max(1, steps - 150)))


@torch.no_grad()
def held_out_loss(model, offset, rows) -> float:
    model.eval()
    total = count = 0
    for start in range(0, len(rows), 32):
        inputs, targets = collate(rows[start : start + 32])
        total += float(loss_of(model, offset, inputs, targets))
        count += int((targets != -100).sum())
    model.train()
    return total / count


def export(state: dict[str, torch.Tensor], row_of: torch.Tensor, folder: Path) -> None:
    """The model that is shipped: each token of GPT-2's vocabulary gets the row that stood for it; float16.

    Matrices are rounded to what int8 and a scale hold, so that a page, which has no more, computes the same.
    """
    eos = 50256
    config = model_config(len(row_of), bos_token_id=eos, eos_token_id=eos, pad_token_id=eos)
    config.activation_function = "gelu_new"  # the same function, by the name that GPT-2 gives it
    model = GPT2LMHeadModel(config)
    rows = state["transformer.wte.weight"][row_of]
    model.load_state_dict({**state, "transformer.wte.weight": rows, "lm_head.weight": rows})
    model.load_state_dict(rounded(model.state_dict()))
    model.to(torch.float16).save_pretrained(folder)
    for name in ("vocab.json", "merges.txt"):
        shutil.copyfile(models.fetch("gpt2") / name, folder / name)
    tokenizer = {
        "tokenizer_class": "GPT2Tokenizer",
        "model_max_length": CONTEXT,
        "padding_side": "left",
        **{f"{use}_token": "<|endoftext|>" for use in ("bos", "eos", "unk", "pad")},
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer, indent=2) + "\n")


def restore(checkpoint: Path, model, tools) -> int:
    """Continues where a run was stopped; the number of its last step."""
    state = torch.load(checkpoint, map_location=DEVICE)
    model.load_state_dict(state["model"])
    for tool, saved in zip(tools, state["optimizers"], strict=True):
        tool.load_state_dict(saved)
    return state["step"]


def save(checkpoint: Path, step: int, model, tools) -> None:
    """Writes what ``restore`` reads, complete or not at all."""
    state = {"step": step, "model": model.state_dict(), "optimizers": [tool.state_dict() for tool in tools]}
    torch.save(state, checkpoint.with_suffix(".new"))
    checkpoint.with_suffix(".new").replace(checkpoint)


def update(loss: torch.Tensor, model, tools, factor: float) -> None:
    """One step of every optimizer, with its peak learning rate times ``factor``."""
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    for tool in tools:
        for group in tool.param_groups:
            group["lr"] = group["peak"] * factor
        tool.step()
        tool.zero_grad()


def main(stories_path: Path, work: Path, most_steps: int | None = None) -> None:
    work.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(SEED)
    tokenizer = models.load_tokenizer("gpt2")
    stories = read_stories(stories_path)
    order = torch.randperm(len(stories), generator=torch.Generator().manual_seed(SEED)).tolist()
    held_out, train = [[stories[n] for n in part] for part in (order[:HELD_OUT], order[HELD_OUT:])]
    (work / "held_out.txt").write_text(BREAK.join(held_out), encoding="utf-8")
    train_ids, held_ids = encode(train, tokenizer), encode(held_out, tokenizer)
    row_of, tokens_of = sub_vocabulary(train_ids, tokenizer.eos_token_id, 50257)
    offset = tokens_of.log().to(DEVICE)
    rows = [row_of[torch.tensor(ids[:CONTEXT])] for ids in train_ids]
    held_rows = [row_of[torch.tensor(ids[:CONTEXT])] for ids in held_ids]

    model = GPT2LMHeadModel(model_config(len(tokens_of))).to(DEVICE).train()
    tools = optimizers(model)
    plan = [batch for epoch in range(EPOCHS) for batch in batches(rows, epoch)]
    steps = len(plan)
    print(
        f"{len(train)} stories, {sum(map(len, rows))} tokens, {len(tokens_of)} rows, {steps} steps, "
        f"{sum(p.numel() for p in model.parameters()):,} parameters",
        flush=True,
    )
    checkpoint = work / "checkpoint.pt"
    step = restore(checkpoint, model, tools) if checkpoint.exists() else 0
    began = saved = time.monotonic()
    done = loss_sum = loss_count = 0
    stop = min(steps, most_steps or steps)
    while step < stop:
        inputs, targets = collate([rows[n] for n in plan[step]])
        count = int((targets != -100).sum())
        loss = loss_of(model, offset, inputs, targets) / count
        update(loss, model, tools, schedule(step, steps))
        step += 1
        done += count
        loss_sum += loss.detach() * count
        loss_count += count
        if step % 20 == 0:
            speed = done / (time.monotonic() - began)
            print(f"step {step}/{steps} loss {loss_sum / loss_count:.3f} {speed:.0f} tokens/s", flush=True)
            loss_sum = loss_count = 0
        if step % 400 == 0 or step == stop:
            held = held_out_loss(model, offset, held_rows[:200] if step < steps else held_rows)
            print(f"step {step} held-out loss {held:.4f} perplexity {math.exp(held):.2f}", flush=True)
        if time.monotonic() - saved > CHECKPOINT_SECONDS or step == stop:
            save(checkpoint, step, model, tools)
            saved = time.monotonic()
    if step == steps:
        export(model.cpu().state_dict(), row_of, HERE)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else None)
