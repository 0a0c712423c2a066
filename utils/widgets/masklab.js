// MaskLab: attention weights before and after a mask, recomputed here, so that no kernel is needed.
//
// The first half is arithmetic, the second is what one sees. Tests hold the arithmetic against torch.

// --- words: everything that is shown or read out, so that another language needs no other widget ---

export const WORDS = {
  before: "before: softmax(scores)",
  after: "after the mask",
  key: "key: who is looked at",
  query: "query: who looks",
  preset: "Mask",
  presets: {
    custom: "drawn by hand",
    none: "none",
    right_padding: "right padding",
    left_padding: "left padding",
    causal: "causal",
    causal_upper_left: "causal, upper left",
    sliding_window: "sliding window",
    prefix: "prefix, then causal",
    documents: "documents",
    causal_padding: "causal + right padding",
  },
  parameters: { real: "real keys", window: "window", prefix: "prefix", lengths: "lengths" },
  fill: "Hidden scores get",
  dtype: "Number type",
  head: "Head",
  flip: "Flip polarity",
  flipped: "Flipped: True is read as ignore, as MultiheadAttention would.",
  undo: "Undo",
  reset: "Reset",
  code: "As code",
  copy: "Copy",
  copied: "Copied.",
  pipeline: (query, q) => `Row ${q}, query ${query}, step by step`,
  stages: ["key", "score", "+ bias", "exp(score − max)", "weight", "before"],
  row_sum: (sum) => (Number.isNaN(sum) ? "This row is NaN: nothing is left to look at." : `The weights sum to ${sum}.`),
  only_largest: (shown, all) => `Shown are the ${shown} keys with most weight, of ${all}.`,
  visible: "visible",
  hidden: "hidden",
  cell: (query, key, visible, weight) => `query ${query}, key ${key}: ${visible}, weight ${weight}`,
  summary: (hidden, all, empty, nan) =>
    `${hidden} of ${all} cells hidden` +
    (empty ? `, ${empty} ${empty === 1 ? "query sees" : "queries see"} nothing` : "") +
    (nan ? `, ${nan} ${nan === 1 ? "row is" : "rows are"} NaN` : "") +
    ".",
  help: "Click or drag cells of the right map. Keys: arrows, Home, End move; Space hides or shows; Ctrl+Z undoes.",
};

// --- arithmetic, step by step in the number type that is chosen ---

const BITS = new DataView(new ArrayBuffer(4));

function roundEven(x) {
  const rounded = Math.round(x);
  return Math.abs(x % 1) === 0.5 && rounded % 2 !== 0 ? rounded - 1 : rounded;
}

export function toFloat16(x) {
  const size = Math.abs(x);
  if (!(size < Infinity) || size === 0) return x;
  if (size >= 65520) return Math.sign(x) * Infinity;
  const step = 2 ** (Math.max(-14, Math.floor(Math.log2(size))) - 10);
  return Math.sign(x) * roundEven(size / step) * step;
}

export function toBfloat16(x) {
  if (!Number.isFinite(x)) return x;
  BITS.setFloat32(0, x);
  const bits = BITS.getUint32(0);
  BITS.setUint32(0, ((bits + 0x7fff + ((bits >>> 16) & 1)) & 0xffff0000) >>> 0);
  return BITS.getFloat32(0);
}

export const DTYPES = {
  float32: { round: Math.fround, min: -3.4028234663852886e38 },
  float16: { round: (x) => toFloat16(Math.fround(x)), min: -65504 },
  bfloat16: { round: (x) => toBfloat16(Math.fround(x)), min: -3.3895313892515355e38 },
};

export function fillValue(fill, dtype) {
  const { round, min } = DTYPES[dtype];
  return fill === "min" ? min : fill === "-inf" ? -Infinity : round(Number(fill));
}

// One row of `length` scores from `start`: its weights go to `weights[to …]`, each stage to `stages` if given.
export function attendRow(scores, start, keep, length, fill, dtype, weights, to, stages) {
  const { round } = DTYPES[dtype];
  const masked = stages ? stages.masked : scratch(length);
  let max = -Infinity;
  for (let k = 0; k < length; k++) {
    const score = round(scores[start + k]);
    masked[k] = keep === null || keep[k] ? score : round(score + fill);
    if (masked[k] > max) max = masked[k];
  }
  let sum = 0;
  const exps = stages ? stages.exps : masked;
  for (let k = 0; k < length; k++) sum += exps[k] = Math.exp(Math.fround(masked[k] - max)); // -inf - -inf is NaN
  for (let k = 0; k < length; k++) weights[to + k] = round(exps[k] / sum);
}

let buffer = new Float64Array(64);
function scratch(length) {
  if (buffer.length < length) buffer = new Float64Array(length);
  return buffer;
}

// --- presets: (parameters, queries, keys) → does query q see key k? ---

const own = (q, queries, keys) => q + keys - queries; // the last query stands at the last key

export function documentOf(lengths, keys) {
  const document = new Array(keys).fill(lengths.length);
  let place = 0;
  lengths.forEach((length, n) => {
    for (let i = 0; i < length && place < keys; i++) document[place++] = n;
  });
  return document;
}

// A query that stands before the first key is in no document (-1) and sees nothing, as in the causal presets.
function documentsOfQueries(document, Q, K) {
  return Array.from({ length: Q }, (_, q) => document[own(q, Q, K)] ?? -1);
}

export const PRESETS = {
  none: () => () => true,
  right_padding: ({ real }) => (q, k) => k < real,
  left_padding: ({ real }, Q, K) => (q, k) => k >= K - real,
  causal: (p, Q, K) => (q, k) => k <= own(q, Q, K),
  causal_upper_left: () => (q, k) => k <= q,
  sliding_window: ({ window }, Q, K) => (q, k) => k <= own(q, Q, K) && k > own(q, Q, K) - window,
  prefix: ({ prefix }, Q, K) => (q, k) => k < prefix || k <= own(q, Q, K),
  documents: ({ lengths }, Q, K) => {
    const document = documentOf(lengths, K);
    const mine = documentsOfQueries(document, Q, K);
    return (q, k) => mine[q] === document[k];
  },
  causal_padding: ({ real }, Q, K) => (q, k) => k <= own(q, Q, K) && k < real,
};

export const PARAMETERS = {
  right_padding: ["real"],
  left_padding: ["real"],
  sliding_window: ["window"],
  prefix: ["prefix"],
  documents: ["lengths"],
  causal_padding: ["real"],
};

export function defaults(Q, K) {
  const half = Math.max(1, Math.floor(K / 2));
  return { real: Math.max(1, K - 2), window: Math.min(3, K), prefix: half, lengths: [half, K - half].filter(Boolean) };
}

export function presetKeep(name, parameters, Q, K) {
  const sees = PRESETS[name](parameters, Q, K);
  const keep = new Uint8Array(Q * K);
  for (let q = 0; q < Q; q++) for (let k = 0; k < K; k++) keep[q * K + k] = sees(q, k) ? 1 : 0;
  return keep;
}

export function isPreset(keep, name, parameters, Q, K) {
  const sees = PRESETS[name](parameters, Q, K);
  for (let q = 0; q < Q; q++) for (let k = 0; k < K; k++) if (sees(q, k) !== (keep[q * K + k] === 1)) return false;
  return true;
}

// A document begins at the first key that one of its queries sees.
function documentLengths(keep, Q, K) {
  const starts = new Set([0]);
  for (let q = 0; q < Q; q++) starts.add(Math.max(0, keep.subarray(q * K, q * K + K).indexOf(1)));
  const ordered = [...starts].sort((a, b) => a - b);
  return ordered.map((start, n) => (ordered[n + 1] ?? K) - start);
}

// Which preset, if any, a mask is: with the parameters that its first and last row suggest.
export function recognise(keep, Q, K) {
  const rowCount = (q) => keep.subarray(q * K, q * K + K).reduce((sum, value) => sum + value, 0);
  const [first, last] = [rowCount(0), rowCount(Q - 1)];
  const tries = [
    ["none", {}],
    ["causal", {}],
    ["causal_upper_left", {}],
    ["right_padding", { real: first }],
    ["left_padding", { real: first }],
    ["sliding_window", { window: last }],
    ["prefix", { prefix: first }],
    ["causal_padding", { real: last }],
    ["documents", { lengths: documentLengths(keep, Q, K) }],
  ];
  const found = tries.find(([name, parameters]) => isPreset(keep, name, parameters, Q, K));
  return found ? { name: found[0], parameters: found[1] } : { name: "custom", parameters: {} };
}

// --- the mask as code ---

export const APIS = { sdpa: "SDPA", mha: "MultiheadAttention", hf: "Hugging Face", flex: "FlexAttention" };

function keepAsCode(keep, name, p, Q, K) {
  const ones = `torch.ones(${Q}, ${K}, dtype=torch.bool)`;
  const diagonal = K - Q;
  const row = (test) => `keep = (${test}).expand(${Q}, ${K})`;
  switch (name) {
    case "none":
      return `keep = ${ones}`;
    case "right_padding":
      return row(`torch.arange(${K}) < ${p.real}`);
    case "left_padding":
      return row(`torch.arange(${K}) >= ${K - p.real}`);
    case "causal":
      return `keep = ${ones}.tril(${diagonal || ""})`;
    case "causal_upper_left":
      return `keep = ${ones}.tril()`;
    case "sliding_window":
      return `keep = ${ones}.tril(${diagonal || ""}).triu(${diagonal - p.window + 1})`;
    case "prefix":
      return `keep = ${ones}.tril(${diagonal || ""}) | (torch.arange(${K}) < ${p.prefix})`;
    case "causal_padding":
      return `keep = ${ones}.tril(${diagonal || ""}) & (torch.arange(${K}) < ${p.real})`;
    case "documents": {
      const document = documentOf(p.lengths, K);
      const keys = `document = torch.tensor([${document.join(", ")}])`;
      if (Q === K) return `${keys}\nkeep = document[:, None] == document`;
      const queries = `own = torch.tensor([${documentsOfQueries(document, Q, K).join(", ")}])`;
      return `${keys}  # of each key\n${queries}  # of each query; -1 is none\nkeep = own[:, None] == document`;
    }
  }
  const rows = [];
  for (let q = 0; q < Q; q++) rows.push(`    [${Array.from(keep.subarray(q * K, q * K + K)).join(", ")}],`);
  return `keep = torch.tensor([  # 1 = may attend; rows are queries, columns are keys\n${rows.join("\n")}\n]).bool()`;
}

export function toCode(api, keep, name, parameters, Q, K) {
  const made = keepAsCode(keep, name, parameters, Q, K);
  if (api === "sdpa") {
    return (
      `import torch\nimport torch.nn.functional as F\n\n${made}\n` +
      "output = F.scaled_dot_product_attention(query, key, value, attn_mask=keep)  # True = may attend\n"
    );
  }
  if (api === "mha") {
    return `import torch\n\n${made}\noutput, weights = mha(query, key, value, attn_mask=~keep)  # True = ignore\n`;
  }
  if (api === "hf") {
    return (
      `import torch\n\n${made}\n` +
      `attention_mask = torch.zeros(1, 1, ${Q}, ${K}).masked_fill(~keep, torch.finfo(torch.float32).min)\n` +
      "output = model(input_ids, attention_mask=attention_mask)  # 4D: transformers 5; 0 = keep\n"
    );
  }
  return (
    "import torch\nfrom torch.nn.attention.flex_attention import create_block_mask, flex_attention\n\n" +
    `${made}\n` +
    `block_mask = create_block_mask(lambda b, h, q, k: keep[q, k], None, None, ${Q}, ${K}, device=keep.device)\n` +
    "output = flex_attention(query, key, value, block_mask=block_mask)\n"
  );
}

// --- colours ---

const CIVIDIS = "ACJOACNPACRRACVTACVUACZWACdYAChZAChbACldACpfACphACtiACxkACxmAC1oAC5qAC5sAC9tADBvADBwADFwADFxATJxBTNxCDNwDDRwDzVwEjVwFDZwFjdwGDdvGjhvHDlvHjpvIDpvITtuIzxuJDxuJj1uJz5uKT9uKj9tK0BtLUFtLkFtL0JtMUNtMkNtM0RtNEVsNUVsNkZsOEdsOUhsOkhsO0lsPEpsPUpsPktsP0xsQExsQU1sQk5sQ05sRE9sRVBsRlFsR1FsSFJsSVNsSlNsS1RsTFVsTVVsTlZsT1dsUFdsUVhtUlltU1ptVFptVVttVVxtVlxtV11tWF5tWV5uWl9uW2BuXGFuXWFuXmJuXmNvX2NvYGRvYWVvYmVvY2ZwZGdwZWhwZWhwZmlwZ2pxaGpxaWtxamxxa21ybG1ybG5ybW9ybm9zb3BzcHFzcXJ0cnJ0cnN0c3R1dHR1dXV1dnZ2d3d2d3d3eHh3eXl3enp4e3p4fHt4fXx4fnx4fn14f354gH94gX94goB5g4F5hIJ5hYJ5hoN5h4R4iIV4iYV4ioZ4i4d4jIh4jYh4jol4j4p4kIt4kYt4kox4ko14k454lI53lY93lpB3l5F3mJJ3mZJ3mpN2m5R2nJV2nZV2npZ2n5d1oJh1oZl1opl1o5p0pJt0pZx0ppx0p51zqJ5zqZ9zqqBzq6ByrKFyraJyrqNxr6RxsKVxsaVws6ZwtKdvtahvtqlvt6luuKpuuattuqxtu61tvK5sva5svq9rv7BrwLFqwbJqwrNpw7NpxLRoxbVoxrZnx7dnyLhmyblly7llzLpkzbtjzrxjz71i0L5i0b9h0sBg08Bf1MFf1cJe1sNd18Rc2cVc2sZb28da3MhZ3chY3slY38pX4MtW4cxV4s1U5M5T5c9S5tBR59FQ6NJP6dNO6tNM69RL7dVK7tZJ79dI8NhG8dlF8tpE89tC9dxB9t0/994++N88+eA6++E4/OI2/eM0/uQ0/uU1/uY2/ug4";

const NAN_COLOUR = [178, 24, 43];
const HIDDEN_COLOUR = 0xffd9d9d9; // hatched on top; the same in light and dark, as the map beside it

function palette() {
  const bytes = Uint8Array.from(atob(CIVIDIS), (c) => c.charCodeAt(0));
  const colours = new Uint32Array(257); // 0 … 255 and NaN, as little-endian RGBA
  for (let i = 0; i < 256; i++) {
    colours[i] = (255 << 24) | (bytes[3 * i + 2] << 16) | (bytes[3 * i + 1] << 8) | bytes[3 * i];
  }
  colours[256] = (255 << 24) | (NAN_COLOUR[2] << 16) | (NAN_COLOUR[1] << 8) | NAN_COLOUR[0];
  return colours;
}

let COLOURS = null;
const colourOf = (weight) => COLOURS[Number.isNaN(weight) ? 256 : Math.round(255 * Math.min(1, weight))];

// --- small helpers for the page ---

function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== null && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children); // strings become text, never markup
  // JupyterLab reads letters as commands unless the focused element itself forbids it; its parents are not asked.
  if ("tabindex" in attributes || /^(button|select|input|summary)$/.test(tag)) node.dataset.lmSuppressShortcuts = "true";
  return node;
}

function bytesOf(view) {
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength).slice();
}

function short(text, most = 12) {
  const characters = Array.from(String(text).replace(/\s+/g, " "));
  return characters.length > most ? characters.slice(0, most - 1).join("") + "…" : characters.join("");
}

function number(x) {
  if (Number.isNaN(x)) return "NaN";
  if (x === Infinity) return "∞";
  if (x === -Infinity) return "−∞";
  const size = Math.abs(x);
  const text = size !== 0 && (size < 0.001 || size >= 1e6) ? x.toExponential(1) : x.toFixed(size >= 100 ? 1 : 3);
  return text.replace("-", "−");
}

function mergeWords(given) {
  const merged = { ...WORDS, ...given };
  for (const table of ["presets", "parameters"]) merged[table] = { ...WORDS[table], ...(given?.[table] ?? {}) };
  return merged;
}

// --- the widget ---

let instances = 0;

function render({ model, el }) {
  COLOURS ??= palette();
  const id = `masklab-${++instances}`;
  const words = mergeWords(model.get("words"));
  const [heads, Q, K] = model.get("shape");
  const scoreBytes = bytesOf(model.get("scores_bytes"));
  const scores = new Float32Array(scoreBytes.buffer);
  const queryTokens = model.get("query_tokens");
  const keyTokens = model.get("key_tokens");
  let keep = bytesOf(model.get("keep_bytes"));
  const initial = keep.slice();
  const before = new Float32Array(Q * K);
  const after = new Float32Array(Q * K);
  const rowHidden = new Uint32Array(Q); // cells of each row
  const active = { q: 0, k: 0 };
  const past = [];
  let preset = "custom";
  let parameters = defaults(Q, K);
  // As the view that drew it says; else, as after Python has drawn, as it looks.
  function nameTheMask() {
    const said = model.get("preset");
    const given = { ...parameters, ...said.parameters };
    const holds = said.name in PRESETS && isPreset(keep, said.name, given, Q, K);
    const found = holds ? { name: said.name, parameters: given } : recognise(keep, Q, K);
    preset = found.name;
    parameters = { ...parameters, ...found.parameters };
  }
  nameTheMask();
  let emptyRows = 0;
  let nanRows = 0;
  let hiddenCells = 0;

  // -- computing --

  const effective = new Uint8Array(K);
  function effectiveRow(q) {
    const flipped = model.get("flipped") ? 1 : 0;
    for (let k = 0; k < K; k++) effective[k] = keep[q * K + k] ^ flipped;
    return effective;
  }
  const headScores = () => scores.subarray(model.get("head") * Q * K, (model.get("head") + 1) * Q * K);
  const fill = () => fillValue(model.get("fill"), model.get("dtype"));

  function computeRow(q) {
    const row = effectiveRow(q);
    attendRow(headScores(), q * K, row, K, fill(), model.get("dtype"), after, q * K);
    rowHidden[q] = K;
    for (let k = 0; k < K; k++) rowHidden[q] -= row[k];
  }
  function computeBefore() {
    for (let q = 0; q < Q; q++) attendRow(headScores(), q * K, null, K, 0, model.get("dtype"), before, q * K);
  }
  function count() {
    hiddenCells = emptyRows = nanRows = 0;
    for (let q = 0; q < Q; q++) {
      hiddenCells += rowHidden[q];
      emptyRows += rowHidden[q] === K;
      nanRows += Number.isNaN(after[q * K]);
    }
  }

  // -- the page --

  const root = element("div", { class: "masklab", "data-lm-suppress-shortcuts": "true" });
  const field = (label, control) => {
    control.setAttribute("aria-label", label); // else a select is named by all of its options
    return element("label", { class: "masklab-field" }, element("span", {}, label), control);
  };
  const choice = (options, value, onchange) => {
    const select = element("select", { onchange: () => onchange(select.value) });
    for (const [name, text] of Object.entries(options)) select.append(element("option", { value: name }, text));
    select.value = value;
    return select;
  };
  const presetSelect = choice(words.presets, "custom", (name) => applyPreset(name));
  presetSelect.querySelector("[value=custom]").disabled = true; // says what the mask is; there is nothing to choose
  const parameterBox = element("span", { class: "masklab-parameters" });
  const fills = { "-inf": "−∞", min: "finfo.min", "-1e9": "−1e9", "-1e4": "−1e4" };
  const fillSelect = choice(fills, model.get("fill"), (value) => setAndSave("fill", value));
  const dtypes = Object.fromEntries(Object.keys(DTYPES).map((name) => [name, name]));
  const dtypeSelect = choice(dtypes, model.get("dtype"), (value) => setAndSave("dtype", value));
  const headNames = Object.fromEntries(Array.from({ length: heads }, (_, n) => [n, String(n)]));
  const headSelect = choice(headNames, String(model.get("head")), (value) => setAndSave("head", Number(value)));
  const flip = element("button", { type: "button", onclick: () => setAndSave("flipped", !model.get("flipped")) });
  flip.textContent = words.flip;
  const undo = element("button", { type: "button", onclick: () => undoLast() }, words.undo);
  const reset = element("button", { type: "button", onclick: () => startAgain() }, words.reset);
  const controls = element("div", { class: "masklab-controls" });
  controls.append(field(words.preset, presetSelect), parameterBox, field(words.fill, fillSelect));
  controls.append(field(words.dtype, dtypeSelect));
  if (heads > 1) controls.append(field(words.head, headSelect));
  controls.append(flip, undo, reset);

  const maps = element("div", { class: "masklab-maps" });
  const leftCanvas = element("canvas", { role: "img" });
  const rightCanvas = element("canvas", { "aria-hidden": "true" });
  const cell = element("div", { role: "gridcell", id: `${id}-cell`, class: "masklab-hidden" });
  const gridRow = element("div", { role: "row", class: "masklab-hidden" }, cell);
  const grid = element(
    "div",
    {
      role: "grid",
      tabindex: "0",
      class: "masklab-grid",
      "aria-label": words.after,
      "aria-rowcount": Q,
      "aria-colcount": K,
      "aria-activedescendant": `${id}-cell`,
      "aria-describedby": `${id}-help`,
      "aria-multiselectable": "true",
    },
    rightCanvas,
    gridRow,
  );
  const figure = (title, content) =>
    element("figure", {}, element("figcaption", {}, title), content);
  maps.append(figure(words.before, leftCanvas), figure(words.after, grid));
  const status = element("p", { class: "masklab-status" });
  const live = element("div", { class: "masklab-hidden", "aria-live": "polite" });
  const warning = element("p", { class: "masklab-warning", role: "status" });
  const pipelineBox = element("div", { class: "masklab-scroll", tabindex: "0", role: "region" });
  const rowSum = element("p");
  const pipeline = element("div", { class: "masklab-pipeline" }, pipelineBox, rowSum);
  const help = element("p", { class: "masklab-help", id: `${id}-help` }, words.help);

  const codeText = element("pre", { tabindex: "0", "aria-label": words.code });
  const codeApi = choice(APIS, "sdpa", () => showCode());
  codeApi.setAttribute("aria-label", words.code);
  const copy = element("button", {
    type: "button",
    onclick: async () => {
      try {
        await navigator.clipboard.writeText(codeText.textContent);
      } catch {
        // Without permission, as in some embedded pages: leave it selected, for Ctrl+C.
        const range = document.createRange();
        range.selectNodeContents(codeText);
        getSelection().removeAllRanges();
        getSelection().addRange(range);
        return;
      }
      live.textContent = words.copied;
    },
  });
  copy.textContent = words.copy;
  const code = element("details", { class: "masklab-code", ontoggle: () => showCode() });
  code.append(element("summary", {}, words.code), element("div", {}, codeApi, copy), codeText);
  root.append(controls, warning, maps, status, help, pipeline, code, live);
  el.append(root);

  // -- drawing --

  const pixelMap = () => {
    const small = element("canvas", { width: K, height: Q }); // one pixel a cell
    const context = small.getContext("2d", { willReadFrequently: true });
    const data = context.createImageData(K, Q);
    return { small, context, data, pixels: new Uint32Array(data.data.buffer) };
  };
  const images = [pixelMap(), pixelMap()]; // before, after
  const veil = pixelMap(); // opaque where hidden

  // A hidden cell is grey and hatched; one that has a weight all the same, or is NaN, keeps that colour under the hatch.
  function colourRow(q) {
    const row = effectiveRow(q);
    for (let k = 0; k < K; k++) {
      const at = q * K + k;
      images[0].pixels[at] = colourOf(before[at]);
      images[1].pixels[at] = !row[k] && after[at] === 0 ? HIDDEN_COLOUR : colourOf(after[at]);
      veil.pixels[at] = row[k] ? 0 : 0xff000000;
    }
  }
  function paintRow(q) {
    colourRow(q);
    for (const image of [...images, veil]) image.context.putImageData(image.data, 0, 0, 0, q, K, 1);
  }
  function paintAll() {
    for (let q = 0; q < Q; q++) colourRow(q);
    for (const image of [...images, veil]) image.context.putImageData(image.data, 0, 0);
  }

  // Where the cells stand on a canvas, in CSS pixels: labels take a margin on the left and on top.
  const layout = { cell: 0, left: 0, top: 0, width: 0, height: 0, outerWidth: 0, outerHeight: 0 };
  const FONT = "12px system-ui, sans-serif";

  function measure() {
    const context = leftCanvas.getContext("2d");
    context.font = FONT;
    const widthOf = (text) => context.measureText(text).width;
    const widest = (tokens) => Math.max(...tokens.map((token) => widthOf(short(token))));
    const wide = (root.clientWidth || 656) - 16; // without the padding
    const columns = wide >= 640 ? 2 : 1;
    const room = Math.min(560, (wide - 24 * (columns - 1)) / columns);
    const many = Math.max(Q, K) > 40;
    layout.left = many ? 40 : widest(queryTokens) + 26;
    layout.top = many ? 36 : widest(keyTokens) + 24;
    layout.cell = Math.min(48, (room - layout.left - 2) / K, 560 / Q);
    layout.width = layout.cell * K;
    layout.height = layout.cell * Q;
    layout.outerWidth = layout.left + Math.max(layout.width, widthOf(words.key)) + 2; // few cells leave no room for it
    layout.outerHeight = layout.top + Math.max(layout.height, widthOf(words.query)) + 2;
    const ratio = Math.min(3, window.devicePixelRatio || 1);
    for (const canvas of [leftCanvas, rightCanvas]) {
      canvas.style.width = `${layout.outerWidth}px`;
      canvas.style.height = `${layout.outerHeight}px`;
      canvas.width = Math.round(layout.outerWidth * ratio);
      canvas.height = Math.round(layout.outerHeight * ratio);
      canvas.getContext("2d").setTransform(ratio, 0, 0, ratio, 0, 0);
    }
  }

  let hatched = null; // lines only: what is under them says what the cell is
  function hatch() {
    if (hatched) return hatched;
    const tile = element("canvas", { width: 8, height: 8 });
    const context = tile.getContext("2d");
    context.strokeStyle = "#555555";
    context.lineWidth = 1;
    context.beginPath();
    for (const shift of [-8, 0, 8]) {
      context.moveTo(shift, 8);
      context.lineTo(shift + 8, 0);
    }
    context.stroke();
    return (hatched = context.createPattern(tile, "repeat"));
  }
  const layer = element("canvas");

  function draw() {
    const style = getComputedStyle(root);
    const text = style.color;
    [leftCanvas, rightCanvas].forEach((canvas, n) => {
      const context = canvas.getContext("2d");
      const { left, top, width, height, cell: size } = layout;
      context.clearRect(0, 0, canvas.width, canvas.height);
      context.imageSmoothingEnabled = false;
      context.drawImage(images[n].small, left, top, width, height);
      if (n === 1 && hiddenCells) drawHidden(context);
      labels(context, text);
      if (size >= 30 && Q <= 8 && K <= 8) numbers(context, n === 0 ? before : after, n === 1);
      const y = top + active.q * size;
      outline(context, text, style.backgroundColor, 2, [left - 1, y, width + 2, size]);
      if (n === 1 && document.activeElement === grid) {
        outline(context, style.borderTopColor, style.backgroundColor, 4, [left + active.k * size, y, size, size]);
      }
    });
  }

  // A line with an edge on both sides, since the cells under it are both light and dark.
  function outline(context, colour, edge, lineWidth, box) {
    for (const [strokeStyle, wide] of [[edge, lineWidth + 2], [colour, lineWidth]]) {
      Object.assign(context, { strokeStyle, lineWidth: wide });
      context.strokeRect(...box);
    }
  }

  function drawHidden(context) {
    const { left, top, width, height } = layout;
    const ratio = rightCanvas.width / layout.outerWidth;
    layer.width = Math.max(1, Math.round(width * ratio));
    layer.height = Math.max(1, Math.round(height * ratio));
    const over = layer.getContext("2d");
    over.imageSmoothingEnabled = false;
    over.drawImage(veil.small, 0, 0, layer.width, layer.height);
    over.globalCompositeOperation = "source-in";
    over.fillStyle = hatch();
    over.fillRect(0, 0, layer.width, layer.height);
    context.drawImage(layer, left, top, width, height);
  }

  function labels(context, text) {
    const { left, top, cell: size } = layout;
    context.fillStyle = text;
    context.font = FONT;
    context.textBaseline = "middle";
    const step = Math.max(1, Math.ceil(14 / size));
    for (let q = 0; q < Q; q += step) {
      context.textAlign = "right";
      context.fillText(step > 1 ? String(q) : short(queryTokens[q]), left - 6, top + (q + 0.5) * size);
    }
    for (let k = 0; k < K; k += step) {
      context.save();
      context.translate(left + (k + 0.5) * size, top - 6);
      context.rotate(-Math.PI / 2);
      context.textAlign = "left";
      context.fillText(step > 1 ? String(k) : short(keyTokens[k]), 0, 0);
      context.restore();
    }
    context.textAlign = "left";
    context.fillText(words.key, left, 8);
    context.save();
    context.translate(8, top);
    context.rotate(-Math.PI / 2);
    context.textAlign = "right";
    context.fillText(words.query, 0, 0);
    context.restore();
  }

  function numbers(context, weights, masked) {
    const { left, top, cell: size } = layout;
    context.font = "11px system-ui, sans-serif";
    context.textAlign = "center";
    for (let q = 0; q < Q; q++) {
      const row = effectiveRow(q);
      for (let k = 0; k < K; k++) {
        const weight = weights[q * K + k];
        if (masked && !row[k] && weight === 0) continue;
        const nan = Number.isNaN(weight);
        context.fillStyle = nan || weight < 0.5 ? "#ffffff" : "#000000";
        context.fillText(nan ? "NaN" : weight.toFixed(2).replace(/^0/, ""), left + (k + 0.5) * size, top + (q + 0.5) * size);
      }
    }
  }

  // -- the row, step by step --

  function showPipeline() {
    const q = active.q;
    const row = effectiveRow(q).slice();
    const stages = { masked: new Float64Array(K), exps: new Float64Array(K) };
    attendRow(headScores(), q * K, row, K, fill(), model.get("dtype"), new Float32Array(K), 0, stages);
    let keys = Array.from({ length: K }, (_, k) => k);
    const most = 16;
    if (K > most) {
      const weight = (k) => Math.max(before[q * K + k], after[q * K + k] || 0);
      keys.sort((a, b) => weight(b) - weight(a));
      keys = keys.slice(0, most).sort((a, b) => a - b);
    }
    const table = element("table", {});
    table.append(element("caption", {}, words.pipeline(short(queryTokens[q]), q)));
    const head = element("tr", {});
    for (const stage of words.stages) head.append(element("th", { scope: "col" }, stage));
    table.append(element("thead", {}, head));
    const body = element("tbody", {});
    let sum = 0;
    for (let k = 0; k < K; k++) sum += after[q * K + k];
    for (const k of keys) {
      const at = q * K + k;
      const line = element("tr", { class: row[k] ? "" : "masklab-off" });
      line.append(element("th", { scope: "row" }, `${k} ${short(keyTokens[k])}`));
      for (const x of [headScores()[at], stages.masked[k], stages.exps[k]]) line.append(element("td", {}, number(x)));
      for (const x of [after[at], before[at]]) {
        const bar = element("span", { class: "masklab-bar" });
        bar.style.setProperty("--masklab-weight", Number.isNaN(x) ? 0 : x);
        line.append(element("td", { class: "masklab-weight" }, bar, element("span", {}, number(x))));
      }
      body.append(line);
    }
    table.append(body);
    const note = K > most ? ` ${words.only_largest(most, K)}` : "";
    pipelineBox.setAttribute("aria-label", words.pipeline(short(queryTokens[q]), q));
    pipelineBox.replaceChildren(table); // the box itself stays, with the focus and where it is scrolled to
    rowSum.textContent = words.row_sum(Number.isNaN(sum) ? NaN : Number(sum.toFixed(3))) + note;
  }

  function showCode() {
    if (code.open) codeText.textContent = toCode(codeApi.value, keep, preset, parameters, Q, K);
  }

  function describeCell() {
    const { q, k } = active;
    const seen = effectiveRow(q)[k] ? words.visible : words.hidden;
    gridRow.setAttribute("aria-rowindex", q + 1);
    cell.setAttribute("aria-colindex", k + 1);
    cell.setAttribute("aria-selected", String(Boolean(effectiveRow(q)[k])));
    cell.textContent = words.cell(short(queryTokens[q], 40), short(keyTokens[k], 40), seen, number(after[q * K + k]));
  }

  function showState() {
    const summary = words.summary(hiddenCells, Q * K, emptyRows, nanRows);
    status.textContent = summary;
    leftCanvas.setAttribute("aria-label", `${words.before}. ${Q} × ${K}.`);
    warning.textContent = model.get("flipped") ? words.flipped : "";
    warning.hidden = !model.get("flipped");
    flip.setAttribute("aria-pressed", String(model.get("flipped")));
    fillSelect.value = model.get("fill");
    dtypeSelect.value = model.get("dtype");
    headSelect.value = String(model.get("head"));
    presetSelect.value = preset;
    undo.setAttribute("aria-disabled", String(past.length === 0)); // disabled would lose the focus when it is reached
    describeCell();
    showPipeline();
    showCode();
  }

  let dirtyRows = new Set();
  let dirtyAll = true;
  let dirtyBefore = true;
  let frame = 0;
  function refresh({ rows = null, before: again = false } = {}) {
    if (rows) rows.forEach((q) => dirtyRows.add(q));
    else dirtyAll = true;
    dirtyBefore ||= again;
    // A few rows are painted at once, in the frame of the event itself; whatever is larger waits for the next one.
    if (rows && rows.length <= 1 && !dirtyAll) paint();
    else frame ||= requestAnimationFrame(paint);
  }
  function paint() {
    cancelAnimationFrame(frame);
    frame = 0;
    if (dirtyBefore) computeBefore();
    if (dirtyAll) {
      for (let q = 0; q < Q; q++) computeRow(q);
      paintAll();
    } else {
      for (const q of dirtyRows) {
        computeRow(q);
        paintRow(q);
      }
    }
    dirtyRows = new Set();
    dirtyAll = dirtyBefore = false;
    count();
    draw();
    showState();
  }

  // -- changing --

  function setAndSave(name, value) {
    model.set(name, value);
    model.save_changes();
  }
  let sharing = false;
  function share(name, value) {
    sharing = true; // so that this view does not read its own words
    model.set(name, value);
    sharing = false;
  }
  const shareKeep = () => share("keep_bytes", new DataView(keep.slice().buffer));
  const sharePreset = () => share("preset", { name: preset, parameters });
  function remember() {
    past.push({ keep: keep.slice(), preset, parameters });
    if (past.length > (Q * K > 65536 ? 10 : 100)) past.shift();
  }
  function change(edit, name) {
    remember();
    edit();
    if (name) preset = name;
    commit();
  }
  function commit() {
    showParameters();
    shareKeep();
    sharePreset();
    model.save_changes();
    refresh();
  }
  function applyPreset(name, given = parameters) {
    change(() => {
      parameters = given;
      keep.set(presetKeep(name, parameters, Q, K));
    }, name);
  }
  function startAgain() {
    change(() => {
      keep.set(initial);
      nameTheMask();
    });
  }
  function undoLast() {
    const last = past.pop();
    if (!last) return;
    keep.set(last.keep);
    ({ preset, parameters } = last);
    commit();
  }
  function setCell(q, k, value) {
    if (keep[q * K + k] === value) return;
    keep[q * K + k] = value;
    preset = "custom";
    shareKeep();
    refresh({ rows: [q] });
  }
  // After a click, a stroke or a key: what was drawn may have become a preset.
  function endDrawing() {
    nameTheMask();
    showParameters();
    sharePreset();
    model.save_changes();
    showState();
    announce();
  }
  function announce() {
    describeCell();
    live.textContent = cell.textContent;
  }

  let inputs = {};
  let inputsOf = null;
  function showParameters() {
    if (inputsOf !== preset) {
      inputsOf = preset;
      inputs = Object.fromEntries((PARAMETERS[preset] ?? []).map((name) => [name, parameterInput(name)]));
      const fields = Object.entries(inputs).map(([name, input]) => field(words.parameters[name], input));
      parameterBox.replaceChildren(...fields);
    }
    for (const [name, input] of Object.entries(inputs)) input.value = [parameters[name]].flat().join(", ");
  }
  function parameterInput(name) {
    const isList = name === "lengths";
    const least = name === "window" ? 1 : 0;
    const read = (text) =>
      isList
        ? text.split(/[^0-9]+/).filter(Boolean).map((length) => Math.min(K, Number(length)))
        : Math.min(K, Math.max(least, Math.round(Number(text) || 0)));
    const onchange = () => {
      const value = read(input.value);
      if (String(value) === String(parameters[name])) showParameters(); // in the place of what else was typed
      else applyPreset(preset, { ...parameters, [name]: value });
    };
    const onkeydown = (event) => event.key === "Enter" && onchange(); // in JupyterLab that is no change by itself
    const type = isList ? "text" : "number";
    const input = element("input", { type, min: least, max: K, size: 6, onchange, onkeydown });
    return input;
  }

  // -- pointer and keyboard --

  function placeOf(event) {
    const box = event.target.getBoundingClientRect(); // ratios, since slides scale their pages
    const x = ((event.clientX - box.left) / box.width) * layout.outerWidth - layout.left;
    const y = ((event.clientY - box.top) / box.height) * layout.outerHeight - layout.top;
    return { q: Math.floor(y / layout.cell), k: Math.floor(x / layout.cell) };
  }
  function cellOf(event) {
    const { q, k } = placeOf(event);
    return q >= 0 && q < Q && k >= 0 && k < K ? { q, k } : null;
  }
  let stroke = null;
  rightCanvas.addEventListener("pointerdown", (event) => {
    const place = event.button === 0 ? cellOf(event) : null;
    if (!place) return;
    event.preventDefault();
    grid.focus({ preventScroll: true });
    rightCanvas.setPointerCapture(event.pointerId);
    remember();
    stroke = { value: keep[place.q * K + place.k] ? 0 : 1 };
    Object.assign(active, place);
    setCell(place.q, place.k, stroke.value);
  });
  rightCanvas.addEventListener("pointermove", (event) => {
    const place = stroke && cellOf(event);
    if (!place) return;
    Object.assign(active, place);
    setCell(place.q, place.k, stroke.value);
  });
  const endStroke = () => {
    if (!stroke) return;
    stroke = null;
    endDrawing();
  };
  rightCanvas.addEventListener("pointerup", endStroke);
  rightCanvas.addEventListener("pointercancel", endStroke);
  // A notebook takes the focus for its cell while the button is down, and then reads letters as commands.
  root.addEventListener("click", () => {
    if (!root.contains(document.activeElement)) grid.focus({ preventScroll: true });
  });
  root.addEventListener("keydown", (event) => {
    const key = event.ctrlKey || event.metaKey ? event.key.toLowerCase() : "";
    if (key === "z" || key === "y") {
      event.preventDefault(); // Chrome would undo whatever was typed last on this page, as in a cell of the notebook
      if (key === "z" && !event.shiftKey) undoLast();
    } else if (key === "s" && root.closest(".jp-Notebook")) {
      // The notebook hears no key from in here (see element), but must be saved: tell what stands around us.
      if (!el.dispatchEvent(new KeyboardEvent("keydown", event))) event.preventDefault();
    }
  });
  leftCanvas.addEventListener("pointerdown", (event) => {
    const { q } = placeOf(event);
    if (q >= 0 && q < Q) {
      active.q = q;
      refresh({ rows: [] });
    }
  });

  grid.addEventListener("keydown", (event) => {
    const { q, k } = active;
    const jump = event.ctrlKey || event.metaKey;
    const moves = {
      ArrowUp: [q - 1, k],
      ArrowDown: [q + 1, k],
      ArrowLeft: [q, k - 1],
      ArrowRight: [q, k + 1],
      Home: [jump ? 0 : q, 0],
      End: [jump ? Q - 1 : q, K - 1],
      PageUp: [q - 8, k],
      PageDown: [q + 8, k],
    };
    if (event.key in moves) {
      active.q = Math.min(Q - 1, Math.max(0, moves[event.key][0]));
      active.k = Math.min(K - 1, Math.max(0, moves[event.key][1]));
      refresh({ rows: [] });
      announce();
    } else if (event.key === " " || event.key === "Enter") {
      remember();
      setCell(q, k, keep[q * K + k] ? 0 : 1);
      endDrawing();
    } else return;
    event.preventDefault();
    event.stopPropagation();
  });
  for (const name of ["focus", "blur"]) grid.addEventListener(name, () => draw());

  // -- what changes elsewhere: other views of the same model, and Python --

  const onMask = () => {
    if (sharing) return;
    const theirs = bytesOf(model.get("keep_bytes"));
    const rows = new Set();
    for (let at = 0; at < theirs.length; at++) if (theirs[at] !== keep[at]) rows.add(Math.floor(at / K));
    keep = theirs;
    nameTheMask();
    showParameters();
    refresh({ rows: [...rows] });
  };
  const onSetting = () => refresh();
  const onScores = () => refresh({ before: true });
  const listeners = { keep_bytes: onMask, preset: onMask, fill: onSetting, flipped: onSetting };
  Object.assign(listeners, { dtype: onScores, head: onScores });
  for (const [name, listener] of Object.entries(listeners)) model.on(`change:${name}`, listener);

  const resize = new ResizeObserver(() => {
    measure();
    draw();
  });
  const dark = matchMedia("(prefers-color-scheme: dark)");
  dark.addEventListener("change", draw);
  const themes = new MutationObserver(draw); // the site and JupyterLab switch by attributes
  for (const node of [document.documentElement, document.body]) {
    themes.observe(node, { attributes: true, attributeFilter: ["data-theme", "data-jp-theme-light", "class"] });
  }
  measure();
  showParameters();
  refresh({ before: true });
  resize.observe(root);

  return () => {
    for (const [name, listener] of Object.entries(listeners)) model.off(`change:${name}`, listener);
    resize.disconnect();
    themes.disconnect();
    dark.removeEventListener("change", draw);
    cancelAnimationFrame(frame);
  };
}

export default { render };
