"""The engine of StoryLab, run by node: its tokenizer, its numbers against transformers, its kernel against plain code."""

import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import node
from tests.support.story_cases import PROMPTS, cases, eager, story
from utils.widgets._story_file import story_file

KERNEL = node.FILES / "gpt2" / "kernel.wasm"
KINDS = ["plain", "wasm"]
OPEN = f"""
  import {{ readFileSync, writeFileSync }} from "node:fs";
  import {{ openEngine }} from {json.dumps((node.FILES / "gpt2" / "engine.js").as_uri())};
  const {{ folder, kind, data }} = JSON.parse(readFileSync(0, "utf8"));
  const read = (path) => new Uint8Array(readFileSync(path));
  const kernel = kind === "wasm" && read({json.dumps(str(KERNEL))});
  const engine = await openEngine(read(`${{folder}}/story.bin`), {{ wasm: kernel }});
  if (engine.kind !== kind) throw new Error(`${{engine.kind}} instead of ${{kind}}`);
  const {{ tokenizer }} = engine;
  const fillOf = (name) => (name === "min" ? -3.4028234663852886e38 : -Infinity);
  const inputOf = (x) => ({{ ...x, keep: Uint8Array.from(x.keep), fill: fillOf(x.fill) }});
"""


@pytest.fixture(scope="module")
def ask(tmp_path_factory):
    """``ask(kind, script, data)``: what a script prints as JSON, with an engine open; and the floats it wrote."""
    folder = tmp_path_factory.mktemp("engine")
    (folder / "story.bin").write_bytes(story_file())

    def answer(kind: str, script: str, data=None):
        text = node.run(OPEN + script, json.dumps({"folder": str(folder), "kind": kind, "data": data}))
        return json.loads(text or "null")

    answer.folder = folder
    return answer


@pytest.fixture(scope="module")
def tokens(ask):
    """The token of each row of logits, by the engine."""
    rows = ask("plain", "console.log(JSON.stringify(Array.from({ length: 7017 }, (_, row) => engine.idOf(row))));")
    return torch.tensor(rows)


# --- the tokenizer -----------------------------------------------------------------------------------

ODD = [
    *("", " ", "  ", "\n", "\t", "\r\n", "\x00", "\x85", "\xa0", "\u2003", "\u200b", "\ufeff", "\u3000", "\u180e"),
    *("'s", "'t", "'re", "'ve", "'m", "'ll", "'d", "'S", "’s", "'", "''", "<|endoftext|>", "<|endoftext|", "|>"),
    *(
        "🐶",
        "👩‍👩‍👧‍👦",
        "e\u0301",
        "ñ",
        "ﷺ",
        "שלום",
        "مرحبا",
        "東京",
        "ไทย",
        "½",
        "²",
        "٣",
        "Ⅷ",
        "\U0001d7d8",
        "\U0010ffff",
        "�",
    ),
    *(
        "the",
        " the",
        "The",
        " cat",
        "cats",
        "dog",
        "transformers",
        "aaaaaaaaaaaa",
        "1234567",
        "...",
        "!!",
        "<b>",
        "&amp;",
    ),
]
TEXTS = st.one_of(
    st.text(max_size=40),
    st.lists(st.sampled_from(ODD), max_size=12).map("".join),
    st.lists(st.one_of(st.sampled_from(ODD), st.text(max_size=3)), max_size=8).map("".join),
    st.text(alphabet="abcdefghijklmnopqrstuvwxyz '.,!?ABC\n0129", max_size=60),
)


def some_texts(count: int) -> list[str]:
    """Different texts of hypothesis, for one run of node."""
    texts = []

    @settings(max_examples=count)
    @given(TEXTS)
    def collect(text):
        texts.append(text)

    collect()
    return texts


@pytest.mark.parametrize("count", [1_000, pytest.param(10_000, marks=pytest.mark.gate)])
def test_the_tokenizer_is_that_of_transformers(ask, count):
    """Both ways: the ids of a text, and the text of ids, those that are half a letter among them."""
    tokenizer = story()[1]
    texts = some_texts(count)
    ids = tokenizer(texts)["input_ids"]
    cut = [line[n % 3 : len(line) - n % 2] for n, line in enumerate(ids)]
    encoded, decoded = ask(
        "plain",
        """const [texts, ids] = data;
        console.log(JSON.stringify([texts.map((text) => tokenizer.encode(text)), ids.map((x) => tokenizer.decode(x))]));""",
        [texts, ids + cut],
    )
    for text, wanted, line in zip(texts, ids, encoded, strict=True):
        assert line == wanted, text
    for line, wanted, text in zip(ids + cut, tokenizer.batch_decode(ids + cut), decoded, strict=True):
        assert text == wanted, line


# --- the numbers -------------------------------------------------------------------------------------


def forward(ask, kind: str, asked) -> list:
    """(logits of each row, maps) of every case, as the engine computes them."""
    ask(
        kind,
        """const floats = [];
        for (const x of data) {
          const pass = engine.forward(inputOf(x));
          floats.push(pass.maps, ...x.ids.map((_, row) => pass.logits(row)));
        }
        const bytes = floats.map((part) => Buffer.from(part.buffer, part.byteOffset, part.byteLength));
        writeFileSync(`${folder}/${kind}.bin`, Buffer.concat(bytes));""",
        [case.as_json() for case in asked],
    )
    floats = torch.frombuffer(bytearray((ask.folder / f"{kind}.bin").read_bytes()), dtype=torch.float32)
    shapes = [shape for case in asked for shape in ((8, 5, len(case.ids), len(case.ids)), (len(case.ids), 7017))]
    parts = [
        part.reshape(shape)
        for part, shape in zip(floats.split([torch.Size(x).numel() for x in shapes]), shapes, strict=True)
    ]
    return list(zip(parts[1::2], parts[::2], strict=True))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("first", [0, *(pytest.param(n, marks=pytest.mark.gate) for n in range(2, 30, 4))])
def test_a_forward_pass_gives_the_numbers_of_transformers(ask, tokens, first, kind):
    """Every prompt with every mask: logits, weights, NaN where eager attention has NaN, and the best token of each row."""
    asked = cases(PROMPTS[first : first + (4 if first else 2)])
    for case, (logits, maps) in zip(asked, forward(ask, kind, asked), strict=True):
        wanted_logits, wanted_maps = eager(case)
        wanted_logits = wanted_logits[:, tokens]
        same = {"rtol": 0, "equal_nan": True, "msg": lambda text, case=case: f"{case.name}: {text}"}
        torch.testing.assert_close(maps, wanted_maps, atol=1e-5, **same)
        torch.testing.assert_close(logits, wanted_logits, atol=1e-4, **same)
        real = ~wanted_logits.isnan().any(-1)
        assert torch.equal(logits[real].argmax(-1), wanted_logits[real].argmax(-1)), case.name
