"""The engine of StoryLab, run by node: its tokenizer, its numbers against transformers, its kernel, its fallback."""

import json
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from transformers import DynamicCache, GPT2Config, GPT2LMHeadModel

from tests.support import node, story_oracle
from tests.support.story_oracle import MIN, PROMPTS, Case
from utils import models
from utils._validation import text_of
from utils.widgets import _base, _story_file

ROOT = Path(__file__).parents[2]
ENGINE = node.FILES / "gpt2"
KINDS = ["plain", "wasm"]
TEXT = PROMPTS[3]
OPEN = f"""
  import {{ readFileSync, writeFileSync }} from "node:fs";
  import {{ openEngine }} from {json.dumps((ENGINE / "engine.js").as_uri())};
  const {{ file, kind, data }} = JSON.parse(readFileSync(0, "utf8"));
  const read = (path) => new Uint8Array(readFileSync(path));
  const kernel = read({json.dumps(str(ENGINE / "kernel.wasm"))});
  const engine = await openEngine(read(file), {{ wasm: kind === "wasm" && kernel }});
  if (engine.kind !== kind) throw new Error(`${{engine.kind}} instead of ${{kind}}`);
  const {{ tokenizer }} = engine;
  const print = (value) => console.log(JSON.stringify(value));
  const inputOf = (x) => ({{
    ...x,
    keep: Uint8Array.from(x.keep),
    fill: x.fill ?? -Infinity,
  }});
  const write = (arrays) => {{
    writeFileSync(`${{file}}.out`, Buffer.concat(arrays.map((x) => Buffer.from(x.buffer, x.byteOffset, x.byteLength))));
  }};
"""


class Asked:
    """Scripts in node, each with an engine of this file open."""

    def __init__(self, file: Path):
        self.file = file

    def __call__(self, kind: str, script: str, data=None):
        """What a script prints as JSON."""
        text = node.run(OPEN + script, json.dumps({"file": str(self.file), "kind": kind, "data": data}))
        return json.loads(text or "null")

    def floats(self, kind: str, script: str, data, shapes) -> list[torch.Tensor]:
        """The arrays of float32 that a script writes."""
        self(kind, script, data)
        floats = torch.frombuffer(bytearray(Path(f"{self.file}.out").read_bytes()), dtype=torch.float32)
        sizes = [torch.Size(shape).numel() for shape in shapes]
        return [part.reshape(shape) for part, shape in zip(floats.split(sizes), shapes, strict=True)]

    def forward(self, kind: str, asked: list[Case], rows: int = 7017, maps=(8, 5)) -> list:
        """(logits of every row, maps) of each case."""
        script = """
          write(data.flatMap((x) => {
            const pass = engine.forward(inputOf(x));
            return [pass.maps, ...x.ids.map((_, row) => pass.logits(row))];
          }));"""
        lengths = [len(case.ids) for case in asked]
        shapes = [shape for length in lengths for shape in ((*maps, length, length), (length, rows))]
        parts = self.floats(kind, script, [as_json(case) for case in asked], shapes)
        return list(zip(parts[1::2], parts[::2], strict=True))


def as_json(case: Case, **more) -> dict:
    """A case as JSON can hold it, which has no infinity."""
    fill = None if case.fill == -torch.inf else case.fill
    return case._asdict() | {"keep": case.keep.int().flatten().tolist(), "fill": fill} | more


@pytest.fixture(scope="module")
def ask(tmp_path_factory):
    file = tmp_path_factory.mktemp("engine") / "story.bin"
    file.write_bytes(_story_file.story_file())
    return Asked(file)


@pytest.fixture(scope="module")
def tokenizer():
    return models.load_tokenizer("story-gpt2")


@pytest.fixture(scope="module")
def cases():
    """A text with every mask."""
    return story_oracle.cases(story_oracle.encoded(TEXT))


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
#: What a text box can hold. Half a pair of UTF-16 counts as U+FFFD: transformers takes none.
HOSTILE = [
    *("", "\ud800", "a\udc00b", "\udc36\ud83d", "\ud83d\udc36", "🐶"[:1], "x" * 10_000, "ab" * 5_000, " " * 10_000),
    *("🐶" * 2_000, "\n" * 300, "<script>alert(1)</script>", "<|endoftext|>" * 3, "<|<|endoftext|>endoftext|>"),
    # Letters of Unicode 17, which is newer than the tokenizer of transformers: for it they are signs.
    *("\u088f've \ua7f1've", "\U00011de0've", "\U000323b0've\U00033479'll", "\U0002a6de've"),
    *("\u202eright to left\u202c", "z\u0300" * 50, "the quick brown fox " * 500),
]


def some_texts(count: int) -> list[str]:
    """Texts of hypothesis, for one run of node."""
    texts = []

    @settings(max_examples=count)
    @given(TEXTS)
    def collect(text):
        texts.append(text)

    collect()
    return texts


@pytest.mark.parametrize("count", [300, pytest.param(10_000, marks=pytest.mark.gate)])
def test_the_tokenizer_is_that_of_transformers(ask, tokenizer, count):
    """Both ways: the ids of a text, and the text of ids, such as end within a letter among them."""
    texts = some_texts(count) + HOSTILE
    ids = tokenizer([text_of(text) for text in texts])["input_ids"]
    cut = [line[n % 3 : len(line) - n % 2] for n, line in enumerate(ids)]
    script = """print([
      data.texts.map((text) => tokenizer.encode(text)),
      data.texts.map((text) => tokenizer.encode(text, 5)),
      data.ids.map((line) => tokenizer.decode(line)),
    ]);"""
    encoded, first, decoded = ask("plain", script, {"texts": texts, "ids": ids + cut})
    for n, text in enumerate(texts):
        assert encoded[n] == ids[n], text[:80]
        assert first[n] == ids[n][:5], text[:80]
    for line, wanted, text in zip(ids + cut, tokenizer.batch_decode(ids + cut), decoded, strict=True):
        assert text == wanted, line[:20]


def test_every_token_is_known_by_its_bytes(ask, tokenizer):
    texts, byte_lengths, known, rows, firsts = ask(
        "plain",
        """const ids = Array.from({ length: engine.config.vocab_size }, (_, id) => id);
        print([
          ids.map((id) => tokenizer.decode([id])),
          ids.map((id) => tokenizer.bytes(id).length),
          ids.map((id) => engine.isKnown(id)),
          ids.map((id) => engine.rowOf(id)),
          ids.slice(0, 7017).map((row) => engine.idOf(row)),
        ]);""",
    )
    ids = range(len(texts))
    assert texts == tokenizer.batch_decode([[n] for n in ids])
    assert byte_lengths == [len(token) for token in tokenizer.convert_ids_to_tokens(ids)]  # one letter for each byte
    tokens = story_oracle.tokens_of_rows()
    row_of = {token: row for row, token in enumerate(tokens[:-1])}
    assert firsts == tokens
    assert rows == [row_of.get(n, len(row_of)) for n in ids]
    assert known == [n in row_of for n in ids]
    assert known[tokenizer.eos_token_id]


# --- the numbers -------------------------------------------------------------------------------------


def require_close(values, wanted, tolerance: float, case: Case) -> None:
    """NaN where transformers has NaN, and nothing else farther away than this."""

    def message(text):
        return f"{case.name}: {text}"

    torch.testing.assert_close(values, wanted, rtol=0, atol=tolerance, equal_nan=True, msg=message)


def test_a_forward_pass_gives_the_numbers_of_transformers(ask, cases):
    """Every mask, by the kernel and by plain code; test_story_exact.py asks browsers about every prompt."""
    plain, wasm = (ask.forward(kind, cases) for kind in KINDS)
    for case, wanted, *both in zip(cases, story_oracle.answers(cases), plain, wasm, strict=True):
        real = ~wanted.logits.isnan().any(-1)
        for logits, maps in both:
            require_close(maps, wanted.maps, 1e-5, case)
            require_close(logits, wanted.logits, 1e-4, case)
            assert torch.equal(logits[real].argmax(-1), wanted.logits[real].argmax(-1)), case.name


@pytest.mark.gate
@pytest.mark.parametrize("length", [128, 256])
def test_long_texts_give_the_numbers_of_transformers(ask, length):
    """As many tokens as a page takes, and as many as the model has positions."""
    ids = (story_oracle.encoded(" ".join(PROMPTS)) * 2)[:length]
    case = Case("long", ids, list(range(length)), torch.ones(length, length).tril().bool(), MIN)
    ((logits, maps),) = ask.forward("wasm", [case])
    (wanted,) = story_oracle.answers([case])
    require_close(maps, wanted.maps, 1e-5, case)
    require_close(logits, wanted.logits, 1e-4, case)


def test_probabilities_count_every_token_of_the_shared_row(ask, cases):
    probabilities, empty = ask(
        "plain",
        """const logits = engine.forward(inputOf(data)).logits(data.ids.length - 1);
        const probabilities = Array.from(engine.probabilities(logits));
        print([probabilities, Array.from(engine.probabilities(logits.fill(NaN)), String)]);""",
        as_json(cases[0]),
    )
    model, _ = story_oracle.story()
    with torch.no_grad():
        wanted = model(torch.tensor([cases[0].ids])).logits[0, -1].softmax(-1)
    tokens = story_oracle.tokens_of_rows()
    torch.testing.assert_close(torch.tensor(probabilities), wanted[tokens], rtol=1e-4, atol=1e-7)
    total = sum(probabilities[:-1]) + probabilities[-1] * (len(wanted) - len(tokens) + 1)
    assert total == pytest.approx(1, abs=1e-12)
    assert set(empty) == {"NaN"}


# --- steps -------------------------------------------------------------------------------------------


MORE = [262, 3797, 373]  # tokens that go on after a text


def longer(case: Case) -> dict:
    """A case and three tokens more, as JSON: the first sees all, the next a part, the last nothing at all."""
    length = len(case.ids)
    rows = [[1] * (length + 1), [n % 2 for n in range(length + 2)], [0] * (length + 3)]
    positions = [*case.positions, *range(length, length + 3)]
    return as_json(case, ids=[*case.ids, *MORE], positions=positions, rows=rows)


@torch.no_grad()
def eager_steps(case: Case) -> torch.Tensor:
    """The logits of the three tokens more, by transformers with a cache."""
    model, asked = story_oracle.story()[0], longer(case)
    length, heads = len(case.ids), model.config.n_head
    ids, positions = torch.tensor([asked["ids"]]), torch.tensor([asked["positions"]])
    cache = DynamicCache()
    first = slice(0, length)
    model(ids[:, first], attention_mask=case.bias(heads), position_ids=positions[:, first], cache=cache)
    logits = []
    for n, row in enumerate(asked["rows"], length):
        bias = torch.zeros(1, heads, 1, n + 1)
        bias[:, slice(None) if case.head is None else case.head, :, ~torch.tensor(row).bool()] = case.fill
        one = slice(n, n + 1)
        done = model(ids[:, one], attention_mask=bias, position_ids=positions[:, one], cache=cache)
        logits.append(done.logits[0, 0])
    return torch.stack(logits)[:, story_oracle.tokens_of_rows()]


def test_a_step_gives_what_transformers_gives_with_a_cache(ask, cases):
    """Three tokens after a text with every mask."""
    script = """
      write(data.flatMap((x) => {
        const { ids, positions, keep, head, fill, rows } = inputOf(x);
        const run = engine.forward({ ids: ids.slice(0, -rows.length), positions, keep, head, fill }).run();
        return rows.map((row) => {
          const n = run.length;
          return run.step({ id: ids[n], position: positions[n], keep: Uint8Array.from(row) });
        });
      }));"""
    data, shapes = [longer(case) for case in cases], [(3, 7017)] * len(cases)
    plain, wasm = (ask.floats(kind, script, data, shapes) for kind in KINDS)
    for case, *both in zip(cases, plain, wasm, strict=True):
        wanted = eager_steps(case)
        for logits in both:
            require_close(logits, wanted, 1e-4, case)


@pytest.mark.parametrize("kind", KINDS)
def test_a_step_gives_the_bits_of_a_full_pass(ask, cases, kind):
    """A second run from the same pass, in between, changes nothing. (A row that sees nothing depends on the length.)"""
    script = """
      const different = [];
      for (const x of data) {
        const { ids, positions, keep, head, fill } = inputOf(x);
        const [before, rows] = [Math.sqrt(keep.length), x.rows.map((row) => Uint8Array.from(row))];
        const pass = (length) => {
          const whole = Uint8Array.from({ length: length * length }, (_, n) => {
            const [q, k] = [Math.floor(n / length), n % length];
            return q < before ? k < before && keep[q * before + k] : (rows[q - before][k] ?? 0);
          });
          return engine.forward({ ids: ids.slice(0, length), positions, keep: whole, head, fill });
        };
        const start = pass(before);
        const [run, other] = [start.run(), start.run()];
        rows.forEach((row, n) => {
          const length = before + n + 1;
          other.step({ id: 11, position: 0, keep: new Uint8Array(length).fill(1) });
          const logits = run.step({ id: ids[length - 1], position: positions[length - 1], keep: row });
          const wanted = pass(length).logits(length - 1);
          if (!logits.every((value, n) => Object.is(value, wanted[n]))) different.push([x.name, length]);
          if (run.length !== length) different.push(run.length);
        });
      }
      print(different);"""
    asked = [longer(case) for case in cases if not case.keep.triu(1).any() and case.keep.any(-1).all()]
    assert len(asked) > 3
    assert ask(kind, script, asked) == []


def test_greedy_continuations_are_those_of_generate(ask):
    """30 tokens after each prompt: alone, or in a batch that is padded on the left."""
    stories = story_oracle.stories(PROMPTS[1:4])
    asked = []
    for ids, real, _ in stories:
        mask = torch.tensor(real)
        positions = (mask.cumsum(0) - 1).masked_fill(mask == 0, 1).tolist()
        keep = torch.ones(len(ids), len(ids)).tril().bool() & mask.bool()
        asked.append(as_json(Case("", ids, positions, keep, MIN), real=real))
    script = """
      print(data.map((x) => {
        const pass = engine.forward(inputOf(x));
        const run = pass.run();
        const ids = [];
        let logits = pass.logits(pass.length - 1);
        while (ids.length < 30) {
          const id = engine.idOf(logits.indexOf(Math.max(...logits)));
          ids.push(id);
          if (id === engine.config.eos_token_id) break;
          const position = x.real.reduce((sum, real) => sum + real, 0);
          x.real.push(1);
          logits = run.step({ id, position, keep: Uint8Array.from(x.real) });
        }
        return ids;
      }));"""
    for kind in KINDS:
        assert ask(kind, script, asked) == [story.told for story in stories]


# --- the kernel and its fallback ---------------------------------------------------------------------


def test_the_kernel_computes_what_plain_code_computes():
    """Each of its functions alone, for sizes that fill no panel and no four numbers; how far they are apart."""
    script = f"""
      import {{ readFileSync }} from "node:fs";
      import {{ PlainArithmetic }} from {json.dumps((ENGINE / "plain.js").as_uri())};
      import {{ openKernel }} from {json.dumps((ENGINE / "simd.js").as_uri())};
      const plain = new PlainArithmetic();
      const code = new Uint8Array(readFileSync({json.dumps(str(ENGINE / "kernel.wasm"))}));
      let seed = 1;
      const random = () => (seed = (seed * 48271) % 2147483647) / 1073741824 - 1;
      const numbers = (length, size = 1) => Float32Array.from({{ length }}, () => size * random());
      const largest = {{}};
      /** The same with both: what each writes into its last vectors. */
      const compare = async (name, vectors, results, call) => {{
        const fast = await openKernel(code, 1 << 20, 64);
        const [wanted, written] = [plain, fast].map((arithmetic) => {{
          const own = [...vectors, ...results].map((x) => {{
            const vector = arithmetic.vector(x.length + 1); // what comes after it has to stay
            vector.set(x);
            vector[x.length] = 77;
            return vector;
          }});
          call(arithmetic, own.map((x) => x.subarray(0, -1)));
          return own.slice(vectors.length).map((x) => Array.from(x)).flat();
        }});
        wanted.forEach((x, n) => {{
          const apart = Object.is(x, written[n]) ? 0 : Math.abs(x - written[n]) / Math.max(1, Math.abs(x));
          largest[name] = Math.max(largest[name] ?? 0, Number.isNaN(apart) ? Infinity : apart);
        }});
      }};
      for (const rows of [1, 2, 3, 4, 5, 9]) {{
        for (const [outputs, columns] of [[1, 3], [7, 8], [8, 5], [9, 4], [30, 16], [33, 7], [64, 12], [75, 20]]) {{
          const values = Int8Array.from(numbers(outputs * columns, 127));
          const packed = {{ values, scales: numbers(outputs, 0.1), rows: outputs, columns }};
          for (const adds of [false, true]) {{
            await compare("linear", [numbers(rows * columns), numbers(outputs)], [numbers(rows * outputs)],
              (arithmetic, [x, bias, out]) => arithmetic.linear(out, x, rows, arithmetic.matrix(packed), bias, adds));
          }}
          await compare("no bias", [numbers(rows * columns)], [numbers(rows * outputs)],
            (arithmetic, [x, out]) => arithmetic.linear(out, x, rows, arithmetic.matrix(packed), null, false));
        }}
        await compare("layerNorm", [numbers(rows * 12, 30), numbers(12), numbers(12)], [numbers(rows * 12)],
          (arithmetic, [x, weight, bias, out]) => arithmetic.layerNorm(out, x, rows, weight, bias, 1e-5));
        await compare("gelu", [], [numbers(400, 10 ** (rows - 4)), [NaN, -1e4, 1e4, 0]],
          (arithmetic, [x, special]) => {{
            arithmetic.gelu(x, 400);
            arithmetic.gelu(special, 4);
          }});
        for (const keys of [1, 2, 3, 4, 5, 8, 11]) {{
          for (const fill of [0, -3.4028234663852886e38, -Infinity, NaN, -40]) {{
            const bias = numbers(rows * keys).map((x) => (x > 0.2 || fill === 0 ? 0 : fill));
            const results = [numbers(rows * keys), numbers(rows * 24)];
            await compare("attend", [numbers(rows * 24, 5), numbers(keys * 48, 5), bias], results,
              (arithmetic, [queries, cache, bias, weights, mixed]) => {{
                for (const first of [0, 8, 16]) {{
                  arithmetic.attend({{ weights, mixed, queries, cache, bias, rows, keys, width: 24, size: 8, first }});
                }}
              }});
          }}
        }}
      }}
      console.log(JSON.stringify(largest));
    """
    largest = json.loads(node.run(script))
    assert set(largest) == {"linear", "no bias", "layerNorm", "gelu", "attend"}
    assert all(0 < apart < 5e-6 for apart in largest.values()), largest


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A random model whose sizes are all others: (model, its packed file); its weights are such as int8 holds."""

    def build(heads: int, width: int):
        torch.manual_seed(0)
        sizes = {"n_layer": 2, "n_head": heads, "n_embd": width, "n_positions": 19, "n_inner": 27}
        config = GPT2Config(
            **sizes, vocab_size=50257, eos_token_id=50256, initializer_range=0.3, layer_norm_epsilon=0.01
        )
        model = GPT2LMHeadModel._from_config(config, attn_implementation="eager").eval()
        with torch.no_grad():
            model.transformer.wte.weight[1000:-1] = model.transformer.wte.weight[1000].clone()
        state = {name: value for name, value in model.state_dict().items() if name != "lm_head.weight"}
        state = _story_file.rounded(state)
        model.load_state_dict(state, strict=False)
        folder = tmp_path_factory.mktemp("small")
        for name in ("vocab.json", "merges.txt"):
            shutil.copy(models.fetch("story-gpt2") / name, folder)
        config.save_pretrained(folder)
        save_file(state, folder / "model.safetensors")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(_story_file.models, "fetch", lambda name: folder)
            (folder / "story.bin").write_bytes(_story_file.story_file.__wrapped__())
        return model, Asked(folder / "story.bin")

    return build


@pytest.mark.parametrize(("kind", "heads", "width"), [("plain", 3, 15), ("wasm", 3, 12), ("plain", 3, 12)])
def test_sizes_are_read_from_the_file(small, kind, heads, width):
    """Heads of 5 numbers, with which the kernel could not compute, are left to plain code."""
    model, ask = small(heads, width)
    ids = [5, 999, 1000, 50256, 40000, 17, 17]
    case = Case("small", ids, [3, 0, 1, 18, 4, 5, 6], torch.rand(7, 7) < 0.6, MIN, head=1)
    best = ask(kind, "print((await openEngine(read(file), { wasm: kernel })).kind);")
    assert best == ("plain" if width == 15 else "wasm")
    ((logits, maps),) = ask.forward(kind, [case], rows=1002, maps=(2, heads))
    with torch.no_grad():
        inputs = {"attention_mask": case.bias(heads), "position_ids": torch.tensor([case.positions])}
        wanted = model(torch.tensor([ids]), **inputs, output_attentions=True)
    torch.testing.assert_close(maps, torch.cat(wanted.attentions), rtol=0, atol=1e-5)
    torch.testing.assert_close(logits, wanted.logits[0][:, [*range(1000), 50256, 1000]], rtol=0, atol=1e-4)


def test_where_no_kernel_may_run_plain_code_does(ask, tmp_path, monkeypatch):
    """The text that a page gets has the kernel in it; a policy that refuses it, or a browser without, is no error."""
    shutil.copytree(ENGINE, tmp_path / "js" / "gpt2")
    (tmp_path / "js" / "probe").mkdir()
    (tmp_path / "js" / "probe" / "probe.js").write_text(
        'import { openEngine } from "../gpt2/engine.js";\nexport { openEngine };\n'
    )
    monkeypatch.setattr(_base, "HERE", tmp_path)
    (tmp_path / "probe.mjs").write_text(_base.module_text("probe"))
    kinds = ask(
        "plain",
        """const joined = await import(data);
        const kindOf = async (options) => (await joined.openEngine(read(file), options)).kind;
        const kinds = [await kindOf(), await kindOf({ wasm: false })];
        const { instantiate } = WebAssembly;
        WebAssembly.instantiate = () => Promise.reject(new WebAssembly.CompileError("refused by a policy"));
        kinds.push(await kindOf());
        WebAssembly.instantiate = instantiate;
        delete globalThis.WebAssembly;
        print([...kinds, await kindOf()]);""",
        (tmp_path / "probe.mjs").as_uri(),
    )
    assert kinds == ["wasm", "plain", "plain", "plain"]


@pytest.mark.gate  # which has the compiler: make lint installs it
def test_the_kernel_is_what_its_source_compiles_to(tmp_path):
    """Byte for byte, with the command of package.json."""
    compiler, *arguments = shlex.split(json.loads((ROOT / "package.json").read_text())["scripts"]["kernel"])
    arguments[arguments.index("--outFile") + 1] = str(tmp_path / "kernel.wasm")
    program = ROOT / "node_modules" / "assemblyscript" / "bin" / f"{compiler}.js"
    subprocess.run([node.executable(), program, *arguments], cwd=ROOT, check=True)
    assert (tmp_path / "kernel.wasm").read_bytes() == (ENGINE / "kernel.wasm").read_bytes(), "Run: npm run kernel"
