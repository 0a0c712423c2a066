"""The widgets' arithmetic, run by node in the text that ships: softmax, presets, code, weights as bytes."""

import itertools
import re

import pytest
import torch

from tests.support import node
from tests.support.masklab_page import preset_masks
from utils import conventions, masks
from utils.widgets import HeadGrid, MaskLab, _base

NAMES = list(masks.PRESETS)
PARAMETERS = {name: [parameter.name for parameter in row.parameters] for name, row in masks.PRESETS.items()}


# --- the text that ships -----------------------------------------------------------------------------


@pytest.mark.parametrize("widget", [MaskLab, HeadGrid])
def test_the_joined_files_are_one_module(widget):
    """No two files have the same name for something: node would not read the text."""
    assert {"default", "WORDS"} <= set(node.evaluate(widget, "() => Object.keys(module)"))
    assert not re.search(r"^\s*(import\b|export (?!\{|default))", str(widget._esm), re.MULTILINE)


def test_files_are_joined_once_each_before_those_that_import_them(tmp_path, monkeypatch):
    monkeypatch.setattr(_base, "HERE", tmp_path)
    files = {
        "a/a.js": 'import { b } from "../b.js";\nimport {\n  c,\n} from "./c.js";\nexport { b };\nexport default c;\n',
        "b.js": 'import { d } from "./a/d.js";\n/** @import { x } from "y" */\n\n/**\n * Twice d.\n */\n'
        "export const b =\n  /** @type {number} */ (2 * d);\n/** Nothing. */\n",
        "a/c.js": 'import { d } from "./d.js";\nexport function c() {\n  // d is\n  return d; // three\n}\n',
        "a/d.js": "export const d = 3;\n",
    }
    for name, text in files.items():
        path = tmp_path / "js" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    parts = [
        "const d = 3;",
        "\nconst b =\n/** @type {number} */ (2 * d);",
        "function c() {\nreturn d; // three\n}",
        "export { b };",
    ]
    assert _base.module_text("a") == "\n\n".join(parts) + "\nexport default c;\n"
    (tmp_path / "js" / "b.js").unlink()
    with pytest.raises(FileNotFoundError, match=r"a.js imports .*b.js, which is not there"):
        _base.module_text("a")


# --- softmax -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_the_browser_computes_what_torch_computes(dtype):
    """10,000 random rows: every fill, full rows, scores of -inf, large scores; the same numbers and the same NaN."""
    torch_dtype = getattr(torch, dtype)
    count, length = 10_000, 7
    n = torch.arange(count)
    rows = torch.randn(count, length) * torch.tensor([1.0, 10.0, 1000.0, 1e30])[n % 4, None]
    if dtype == "float16":
        rows = rows.clamp(-6e4, 6e4)
    infinite = torch.arange(0, count, 5)
    rows[infinite, torch.randint(length, infinite.shape)] = -torch.inf
    keep = torch.rand(count, length) < torch.tensor([0.0, 0.5, 0.9, 1.0])[n // 4 % 4, None]
    fills = ["-inf", "min", "-1e9", "-1e4"]
    numbers = torch.tensor([-torch.inf, torch.finfo(torch_dtype).min, -1e9, -1e4]).to(torch_dtype)
    bias = torch.where(keep, torch.zeros((), dtype=torch_dtype), numbers[n // 16 % 4, None])
    wanted = (rows.to(torch_dtype) + bias).softmax(-1).float()
    weights = node.evaluate(
        MaskLab,
        """(rows, keep, fills, length, dtype) => {
          const scores = new Float32Array(rows.buffer), weights = new Float32Array(scores.length);
          for (let at = 0, n = 0; at < scores.length; at += length, n++) {
            const fill = module.fillValue(fills[Math.floor(n / 16) % 4], dtype);
            const row = new Uint8Array(keep.buffer).subarray(at, at + length);
            module.attendRow(scores, at, row, length, fill, dtype, weights, at);
          }
          return Array.from(weights, (x) => (Number.isNaN(x) ? null : x));
        }""",
        rows.numpy().tobytes(),
        keep.to(torch.uint8).numpy().tobytes(),
        fills,
        length,
        dtype,
    )
    weights = torch.tensor([torch.nan if x is None else x for x in weights]).reshape(count, length)
    assert torch.equal(weights.isnan(), wanted.isnan())
    assert 100 < wanted.isnan().any(1).sum() < 5000
    # One step of the number type at 1: float32 is held to 1e-6.
    tolerance = {"float32": 1e-6, "float16": 2**-11, "bfloat16": 2**-8}[dtype]
    assert (weights - wanted).nan_to_num(0).abs().max() <= tolerance


def test_number_types_round_as_torch_does():
    edges = [65504.0, 65519.9, 65520, 0, -0.0, 2**-24, 2**-25, 6e-8, 1 + 2**-11, 1 + 3 * 2**-11, -1e9, 3e38]
    values = torch.cat([torch.randn(3000) * 10.0 ** torch.randint(-9, 6, (3000,)), torch.tensor(edges)])
    for name, dtype in (("toFloat16", torch.float16), ("toBfloat16", torch.bfloat16)):
        function = f"(values) => values.map((x) => String(module.{name}(Math.fround(x))))"
        rounded = node.evaluate(MaskLab, function, values.tolist())
        rounded = torch.tensor([float(x.replace("Infinity", "inf")) for x in rounded])
        assert torch.equal(rounded, values.to(dtype).float()), name


# --- presets -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("q_len", "k_len"), [(1, 1), (5, 5), (3, 7), (7, 3), (6, 6)])
def test_presets_are_the_masks_of_masks_py(q_len, k_len):
    half = max(1, k_len // 2)
    parameters = {"real": half, "window": 2, "prefix": half, "lengths": [half, k_len - half]}
    wanted = preset_masks(q_len, k_len, **parameters)
    assert list(wanted) == node.evaluate(MaskLab, "() => Object.keys(module.PRESETS)") == NAMES
    keeps = node.evaluate(
        MaskLab,
        "(p, q, k) => Object.keys(module.PRESETS).map((name) => Array.from(module.presetKeep(name, p, q, k)))",
        parameters,
        q_len,
        k_len,
    )
    for (name, keep), cells in zip(wanted.items(), keeps, strict=True):
        assert torch.equal(torch.tensor(cells).reshape(q_len, k_len).bool(), keep), name
        ours = masks.preset(name, q_len, k_len, **{parameter: parameters[parameter] for parameter in PARAMETERS[name]})
        assert ours.dtype == torch.bool
        assert torch.equal(ours, keep), name


#: What each preset means, for query q and key k whose own position among the keys is `own`, in plain words of Python.
MEANINGS = {
    "none": lambda q, k, own, k_len, value, document: True,
    "right_padding": lambda q, k, own, k_len, value, document: k < value,
    "left_padding": lambda q, k, own, k_len, value, document: k_len - k <= value,
    "causal": lambda q, k, own, k_len, value, document: not k > own,
    "causal_upper_left": lambda q, k, own, k_len, value, document: not k > q,
    "sliding_window": lambda q, k, own, k_len, value, document: 0 <= own - k < value,
    "prefix": lambda q, k, own, k_len, value, document: k < value or k <= own,
    "documents": lambda q, k, own, k_len, value, document: own >= 0 and document[own] == document[k],
    "causal_padding": lambda q, k, own, k_len, value, document: k <= own and k < value,
}


@pytest.mark.parametrize("name", NAMES)
def test_each_row_of_the_table_means_what_a_loop_says(name):
    assert list(MEANINGS) == NAMES
    for q_len, k_len in [(1, 1), (1, 4), (4, 4), (3, 5), (5, 3)]:
        values = [None]
        if PARAMETERS[name]:
            least = masks.PRESETS[name].parameters[0].least
            values = [[2, 1], [0, 3], [1, 9]] if name == "documents" else range(least, k_len + 2)
        for value in values:
            parameters = {} if value is None else {PARAMETERS[name][0]: value}
            lengths = value if name == "documents" else []
            document = [n for n, length in enumerate([*lengths, 99]) for _ in range(length)]
            keep = masks.preset(name, q_len, k_len, **parameters)
            for q, k in itertools.product(range(q_len), range(k_len)):
                own = q + k_len - q_len
                assert keep[q, k] == MEANINGS[name](q, k, own, k_len, value, document), (q, k, value)


@pytest.mark.parametrize(
    ("arguments", "parameters", "error", "says"),
    [
        (("window", 3), {}, ValueError, "name: got 'window', wanted one of none, right_padding"),
        (("causal", 0), {}, ValueError, "q_len: got 0"),
        (("causal", 3), {"window": 2}, TypeError, "causal: got the parameters window, wanted none"),
        (("sliding_window", 3), {}, TypeError, "sliding_window: got the parameters none, wanted window"),
        (("sliding_window", 3), {"window": 0}, ValueError, "window: got 0, wanted an int of at least 1"),
        (("sliding_window", 3), {"window": 2.0}, TypeError, "window: got 2.0"),
        (("documents", 3), {"lengths": 3}, TypeError, "lengths: got 3"),
        (("documents", 3), {"lengths": [3, -1]}, ValueError, "lengths: got -1"),
    ],
)
def test_what_no_preset_is_is_named(arguments, parameters, error, says):
    with pytest.raises(error, match=re.escape(says)):
        masks.preset(*arguments, **parameters)


def compositions(total):
    """Every list of lengths of at least 1 that add up to total."""
    return [[n, *rest] for n in range(1, total) for rest in compositions(total - n)] + [[total]]


@pytest.mark.parametrize(("q_len", "k_len"), [(1, 1), (1, 4), (4, 4), (3, 5), (5, 3)])
def test_a_mask_is_recognised(q_len, k_len):
    """Every preset with every parameter; and a mask that no preset makes is drawn by hand."""
    counts = {
        parameter.name: range(parameter.least, k_len + 1) for row in masks.PRESETS.values() for parameter in row[3]
    }
    values = {name: list(values_) for name, values_ in counts.items()} | {"lengths": compositions(k_len)}
    drawn = torch.randint(2, (50, q_len * k_len)).tolist()
    rows, names_of_drawn = node.evaluate(
        MaskLab,
        """(values, drawn, Q, K) => [Object.keys(module.PRESETS).flatMap((name) => {
          const parameter = module.PRESETS[name].parameters[0]?.name;
          return (parameter ? values[parameter] : [null]).map((value) => {
            const keep = module.presetKeep(name, { [parameter]: value }, Q, K);
            const recognised = module.recognise(keep, Q, K);
            const { name: preset, parameters } = recognised;
            const again = preset === "custom" ? [] : module.presetKeep(preset, parameters, Q, K);
            return [name, value, Array.from(keep), recognised, Array.from(again)];
          });
        }), drawn.map((keep) => module.recognise(Uint8Array.from(keep), Q, K))]""",
        values,
        drawn,
        q_len,
        k_len,
    )
    names = {}  # of each mask
    for name, _, keep, _, _ in rows:
        names.setdefault(tuple(keep), set()).add(name)
    for name, value, keep, recognised, again in rows:
        assert again == keep, (name, value, recognised)
        assert recognised["name"] in names[tuple(keep)]
    if (q_len, k_len) == (4, 4):  # what is seen of documents: here each of them, by its lengths
        lone = [row for row in rows if names[tuple(row[2])] == {"documents"}]
        assert [row[3]["parameters"]["lengths"] for row in lone] == [row[1] for row in lone]
        assert [2, 1, 1] in [row[1] for row in lone]
    for keep, recognised in zip(drawn, names_of_drawn, strict=True):
        assert (recognised["name"] == "custom") == (tuple(keep) not in names)


@pytest.mark.parametrize("hole", [(199, 0), (100, 3), (199, 199)])
def test_a_mask_that_is_almost_a_preset_is_named_without_long_thought(hole):
    """Of a mask from Python no view knows which row tells it from all windows and prefixes."""
    keep = masks.causal(200).clone()
    keep[hole] = False
    asked = node.evaluate(
        MaskLab,
        """(cells) => {
          let asked = 0;
          for (const preset of Object.values(module.PRESETS)) {
            const { sees } = preset;
            preset.sees = (...all) => {
              const rule = sees(...all);
              return (q, k) => { asked += 1; return rule(q, k); };
            };
          }
          module.recognise(Uint8Array.from(cells), 200, 200);
          return asked;
        }""",
        keep.int().flatten().tolist(),
    )
    assert asked < 10 * keep.numel()


def test_parameters_begin_with_values_that_fit():
    wanted = {
        1: {"real": 1, "window": 1, "prefix": 1, "lengths": [1]},
        2: {"real": 1, "window": 2, "prefix": 1, "lengths": [1, 1]},
        7: {"real": 5, "window": 3, "prefix": 3, "lengths": [3, 4]},
    }
    for k_len, values in wanted.items():
        assert node.evaluate(MaskLab, "(K) => module.defaults(K)", k_len) == values


# --- the mask as code --------------------------------------------------------------------------------


def keep_in(code, api):
    """The mask that copied code hands to its API, read back as keep; everything but torch is a stand-in."""
    calls = []

    class Anything:
        def __getattr__(self, name):
            return self

        def __call__(self, *args, **kwargs):
            calls.append(kwargs)
            return torch.zeros(2), torch.zeros(2)

    stub = Anything()
    names = dict.fromkeys(("query", "key", "value", "mha", "model", "input_ids", "stub"), stub)
    code = code.replace("import torch.nn.functional as F", "F = stub")
    code = code.replace(", flex_attention\n", "\nflex_attention = stub\n")
    exec(compile(code, api, "exec"), names)
    (arguments,) = calls
    return {
        "sdpa": lambda: conventions.from_sdpa(arguments["attn_mask"]),
        "mha": lambda: conventions.from_mha(arguments["attn_mask"]),
        "hf": lambda: conventions.from_hf(arguments["attention_mask"], "eager"),
        "flex": lambda: conventions.from_flex(arguments["block_mask"]),
    }[api]()


@pytest.mark.parametrize("api", ["sdpa", "mha", "hf", "flex"])
@pytest.mark.parametrize(("q_len", "k_len"), [(4, 4), (3, 5), (5, 3)])
def test_code_means_the_mask_that_is_drawn(api, q_len, k_len):
    """The copied text is run, and its mask read back, for every preset and a mask drawn by hand."""
    by_hand = (torch.rand(q_len, k_len) > 0.5).int().flatten().tolist()
    names = [*NAMES, "custom"]
    rows = node.evaluate(
        MaskLab,
        """(names, api, q, k, drawn) => names.map((name) => {
          const p = module.defaults(k);
          const keep = name === "custom" ? Uint8Array.from(drawn) : module.presetKeep(name, p, q, k);
          return [module.toCode(api, keep, name, p, q, k), Array.from(keep)];
        })""",
        names,
        api,
        q_len,
        k_len,
        by_hand,
    )
    for name, (code, keep) in zip(names, rows, strict=True):
        wanted = torch.tensor(keep).reshape(q_len, k_len).bool()
        assert torch.equal(keep_in(code, api).reshape(q_len, k_len), wanted), (name, code)


def test_code_holds_the_rule_of_the_table():
    code = node.evaluate(MaskLab, "() => module.toCode('sdpa', null, 'sliding_window', { window: 2 }, 3, 5)")
    assert code == (
        "import torch\n"
        "import torch.nn.functional as F\n"
        "\n"
        "q = torch.arange(3)[:, None]  # queries are rows\n"
        "k = torch.arange(5)  # keys are columns\n"
        "own = q + 2  # the last query is at the last key\n"
        "window = 2\n"
        "keep = (k <= own) & (k > own - window)\n"
        "output = F.scaled_dot_product_attention(query, key, value, attn_mask=keep)  # True = may attend\n"
    )


# --- weights as bytes --------------------------------------------------------------------------------

LAYERS, HEADS, Q_LEN, K_LEN = 2, 3, 4, 6


def weights(*shape):
    return torch.randn(*(shape or (LAYERS, HEADS, Q_LEN, K_LEN))).softmax(-1)


def test_every_weight_arrives_in_the_browser():
    zeros, ones = torch.zeros(1, HEADS, Q_LEN, K_LEN), torch.ones(1, HEADS, Q_LEN, K_LEN)
    before = torch.cat([weights(), weights() ** 8, zeros, ones])
    before[0, 0, 1] = torch.nan
    before[1, 1, 2, 3] = 1e-30
    grid = HeadGrid(before)
    arrived = node.evaluate(
        HeadGrid,
        """async (packed, levels) => {
          const values = new Float32Array(levels.buffer);
          return Array.from(await module.inflate(packed), (code) => (Number.isNaN(values[code]) ? null : values[code]));
        }""",
        grid.before_bytes,
        grid.levels_bytes,
    )
    arrived = torch.tensor([torch.nan if x is None else x for x in arrived]).reshape(before.shape)
    assert torch.equal(arrived.isnan(), before.isnan())
    known = ~before.isnan()
    assert torch.equal(arrived[known] == 0, before[known] == 0), "0 means exactly 0"
    assert (arrived - before)[known].abs().max() <= 0.0051
    small = known & (before < 0.01)
    assert small.sum() > 10
    assert (arrived - before)[small].abs().max() <= 0.0013


def test_two_digits_are_those_of_the_weight_itself():
    before = torch.rand(1, 1, 60, 50)
    before[0, 0, :20] **= 4
    before = before.clamp(min=0.0051)
    grid = HeadGrid(before)
    digits = node.evaluate(
        HeadGrid,
        """async (packed, levels) => {
          const values = new Float32Array(levels.buffer);
          return Array.from(await module.inflate(packed), (code) => values[code].toFixed(2));
        }""",
        grid.before_bytes,
        grid.levels_bytes,
    )
    assert digits == [f"{w:.2f}" for w in before.flatten().tolist()]


def test_bytes_may_stand_in_a_larger_buffer():
    count = node.evaluate(
        HeadGrid,
        """async (view) => {
          const larger = new Uint8Array(view.byteLength + 7);
          larger.set(new Uint8Array(view.buffer), 3);
          return (await module.inflate(new DataView(larger.buffer, 3, view.byteLength))).length;
        }""",
        HeadGrid(weights()).before_bytes,
    )
    assert count == LAYERS * HEADS * Q_LEN * K_LEN


def test_the_share_of_weight_that_moved():
    before, after = weights(1, 1, 3, 5)[0, 0], weights(1, 1, 3, 5)[0, 0]
    after[1] = torch.nan  # a row that is NaN counts in no average
    levels = torch.cat([before.flatten(), after.flatten()])
    share = node.evaluate(
        HeadGrid,
        """(levels, count, Q, K) => {
          const before = Uint8Array.from({ length: count }, (_, n) => n), after = before.map((n) => n + count);
          return module.movedShare(before, after, new Float32Array(levels.buffer), 0, Q, K);
        }""",
        levels.numpy().tobytes(),
        15,
        3,
        5,
    )
    assert share == pytest.approx((after - before)[[0, 2]].abs().sum(-1).mean().item() / 2, abs=1e-6)


# --- layout and text ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("room", "cell"), [(9999, 48), (200, (200 - 36 - 2) / 4)])
def test_a_map_leaves_a_margin_for_its_labels(room, cell):
    """With letters of 5 pixels: the widest label and 26 (24) pixels on the left (on top)."""
    layout = node.evaluate(
        "grid.js",
        """(room, queryTokens, keyTokens) => {
          const context = { measureText: (text) => ({ width: 5 * text.length }) };
          return module.mapLayout(context, room, { queryTokens, keyTokens, words: { query: "who", key: "whom" } });
        }""",
        room,
        ["a", "bc"],
        ["def", "g", "h", "i"],
    )
    assert (layout["left"], layout["top"], layout["cell"]) == pytest.approx((36, 39, cell))
    assert (layout["outerWidth"], layout["outerHeight"]) == pytest.approx((36 + 4 * cell + 2, 39 + 2 * cell + 2))


def test_in_cells_only_nothing_is_zero():
    written = node.evaluate(
        "grid.js",
        "(values) => [...values, NaN].map(module.cellNumber)",
        [0, 0.0049, 1e-30, -0.004, 0.005, 0.5, -0.25, 0.999, 1],
    )
    assert written == ["0", "<.01", "<.01", "<.01", ".01", ".50", "−.25", "1.00", "1.00", "NaN"]


def test_numbers_are_short_and_have_a_real_minus():
    values = [0, 0.5, -0.25, 123.456, 1e-9, -2e7, 1]
    written = node.evaluate(
        "dom.js", "(values) => [...values, NaN, Infinity, -Infinity].map(module.formatNumber)", values
    )
    assert written == ["0.000", "0.500", "−0.250", "123.5", "1.0e−9", "−2.0e+7", "1.000", "NaN", "∞", "−∞"]
