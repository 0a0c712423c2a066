// What a StoryLab shows as code to copy: the same call of the same model in transformers, with the same next word.

/**
 * The traits that say what the model gets; `keep` is T × T, 1 = may attend.
 * @typedef {object} StorySettings
 * @property {string} text
 * @property {string} preset
 * @property {{ window: number, pads: number, attention_mask: boolean, position_ids: boolean, side?: string }} parameters
 * @property {Uint8Array} keep
 * @property {number[]} hidden
 * @property {string} fill
 * @property {number | null} onlyHead the one head of every layer that has the mask
 * @property {string} readAt
 */

const LONGEST_PROMPT = 128; // tokens
const SMALL_MASK = 16; // rows up to which a drawn mask is written cell by cell
const FEW_CELLS = 96; // that differ from a mask with a rule

/**
 * A string of Python. What cannot be seen, or changes the order of what can, is written by its number.
 * @param {string} text
 */
function pythonText(text) {
  const quoted = JSON.stringify(text.replace(/\p{Surrogate}/gu, "\ufffd"));
  return quoted.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Co}]/gu, (character) => {
    const code = /** @type {number} */ (character.codePointAt(0)).toString(16);
    return code.length > 4 ? `\\U${code.padStart(8, "0")}` : `\\u${code.padStart(4, "0")}`;
  });
}

/**
 * Where pads are, "" if there are none.
 * @param {StorySettings} state
 */
const sideOf = ({ preset, parameters }) =>
  ({ left_padding: "left", right_padding: "right", drawn: parameters.side })[preset] ?? "";

/**
 * @param {StorySettings} state
 * @param {number} length
 */
function promptAsCode(state, length) {
  const { pads } = state.parameters;
  const side = sideOf(state);
  const most = LONGEST_PROMPT - (side ? pads : 0);
  const cut = length === LONGEST_PROMPT ? `[:${most}]  # as many as the page shows` : "";
  const start = state.text === "" ? " or [tokenizer.eos_token_id]  # the start of any story" : cut;
  const lines = [`text = ${pythonText(state.text)}`, `ids = tokenizer(text).input_ids${start}`];
  if (side) {
    lines.push(
      `pads = [tokenizer.eos_token_id] * ${pads}`,
      `ids = ${side === "left" ? "pads + ids" : "ids + pads"}`,
      `real = torch.arange(len(ids)) ${side === "left" ? `>= ${pads}` : `< len(ids) - ${pads}`}`,
    );
  }
  return lines;
}

/**
 * The keep of a preset, before words are hidden.
 * @param {StorySettings} state
 */
function ruleOfStory(state) {
  const padded = state.parameters.attention_mask ? "(k <= q) & real" : "k <= q  # no attention_mask: pads are seen";
  const rules = {
    causal: "k <= q",
    window: `(k <= q) & (k > q - ${state.parameters.window})  # each query sees ${state.parameters.window} keys`,
    left_padding: padded,
    right_padding: padded,
    none: "torch.ones(len(ids), len(ids), dtype=torch.bool)  # every token sees the future",
    upside_down: "k > q  # ~causal: every token sees the future only",
  };
  return rules[/** @type {keyof typeof rules} */ (state.preset)];
}

/**
 * The hidden words as columns: a pad before them is a column, too.
 * @param {StorySettings} state
 * @param {number} length
 */
function hiddenAsCode(state, length) {
  const words = length - (sideOf(state) ? state.parameters.pads : 0);
  const hidden = state.hidden.filter((n) => n < words); // pads may have cut the text before one
  if (state.preset === "drawn" || hidden.length === 0) return []; // a drawn mask is all there is
  const first = state.preset === "left_padding" ? state.parameters.pads : 0;
  return [`keep[:, [${hidden.map((n) => n + first).join(", ")}]] = False  # words that no query sees`];
}

/**
 * A mask that is drawn by hand: cell by cell, or what differs from a causal one, or its rows as hexadecimal numbers.
 * @param {StorySettings} state
 * @param {number} length
 */
function drawnAsCode({ keep }, length) {
  const rows = Array.from({ length }, (_, q) => keep.subarray(q * length, (q + 1) * length));
  if (length <= SMALL_MASK) {
    const cells = rows.map((row) => `    [${row.join(", ")}],`);
    return ["keep = torch.tensor([  # 1 = may attend; rows are queries, columns are keys", ...cells, "]).bool()"];
  }
  const others = rows.map((row, q) => [...row.keys()].filter((k) => Boolean(row[k]) !== k <= q));
  if (others.reduce((sum, keys) => sum + keys.length, 0) <= FEW_CELLS) {
    const cells = others.flatMap((keys, q) => (keys.length ? [`    ${q}: [${keys.join(", ")}],`] : []));
    return [
      "keep = k <= q",
      "for query, keys in {  # the cells that are not as in a causal mask",
      ...cells,
      "}.items():",
      "    keep[query, keys] = ~keep[query, keys]",
    ];
  }
  const bits = rows.map((row) => BigInt(`0b${row.join("")}`).toString(16));
  const lines = Array.from(
    { length: Math.ceil(length / 4) },
    (_, n) => `    ${bits.slice(4 * n, 4 * n + 4).join(" ")}`,
  );
  return [
    "# Each row of the mask as a number: its bits are the keys, 1 = may attend.",
    'rows = """',
    ...lines,
    '"""',
    `keep = torch.tensor([[int(bit) for bit in f"{int(row, 16):0${length}b}"] for row in rows.split()]).bool()`,
  ];
}

/**
 * From keep to what is added to the scores, of all heads or of one in each layer.
 * @param {StorySettings} state
 */
function storyBias({ fill, onlyHead }) {
  const lowest = fill === "min" ? "torch.finfo(torch.float32).min" : 'float("-inf")';
  if (onlyHead === null) return [`bias = torch.zeros(1, 1, *keep.shape).masked_fill(~keep, ${lowest})`];
  return [
    "heads = (k <= q).repeat(model.config.n_head, 1, 1)  # the other heads are causal",
    `heads[${onlyHead}] = keep`,
    `bias = torch.zeros(1, *heads.shape).masked_fill(~heads, ${lowest})`,
  ];
}

/**
 * Positions where they are not 0, 1, 2 …, and what names them in the call.
 * @param {StorySettings} state
 */
function positionsAsCode(state) {
  if (!sideOf(state)) return { lines: [], argument: "" };
  if (!state.parameters.position_ids) return { lines: [], argument: "" };
  const count = "(real.cumsum(0) - 1).where(real, 0)[None]";
  return { lines: [`position_ids = ${count}  # as generate() does`], argument: ", position_ids=position_ids" };
}

/** @param {StorySettings} state */
export function toStoryCode(state) {
  const length = Math.sqrt(state.keep.length);
  const mask = state.preset === "drawn" ? drawnAsCode(state, length) : [`keep = ${ruleOfStory(state)}`];
  const { lines: positions, argument } = positionsAsCode(state);
  const row = state.readAt === "word" && sideOf(state) === "right" ? -1 - state.parameters.pads : -1;
  return [
    "import torch",
    "from utils import models  # attention_masks, where that is installed",
    "",
    'model, tokenizer = models.load("story-gpt2", attn_implementation="eager")',
    ...promptAsCode(state, length),
    "",
    "q = torch.arange(len(ids))[:, None]  # queries are rows",
    "k = torch.arange(len(ids))  # keys are columns",
    ...mask,
    ...hiddenAsCode(state, length),
    ...storyBias(state),
    ...positions,
    "",
    "with torch.no_grad():",
    `    out = model(torch.tensor([ids]), attention_mask=bias${argument})`,
    `probabilities = out.logits[0, ${row}].softmax(-1)${row < -1 ? "  # at the last word, not at the last pad" : ""}`,
    "for probability, token in zip(*probabilities.topk(5)):",
    '    print(f"{probability:.1%} {tokenizer.decode(token)!r}")',
    "",
  ].join("\n");
}
