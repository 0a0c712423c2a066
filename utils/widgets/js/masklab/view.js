// MaskLab: attention weights before and after a mask, recomputed here, so that no kernel is needed.
//
// The first half is arithmetic, the second is what one sees. Tests hold the arithmetic against torch. What both
// widgets need stands in shared.js, which is put in front of this text.

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
  stages: ["key", "score", "score + bias", "exp(… − max)", "weight", "before"],
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
  help: "Click or drag cells of the map after the mask. Keys: arrows, Home, End move; Space hides or shows; Ctrl+Z undoes.",
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

// Looks at row `first` before the others: where a cell has just been changed, most presets fail.
export function isPreset(keep, name, parameters, Q, K, first = 0) {
  const sees = PRESETS[name](parameters, Q, K);
  const differs = (q) => {
    for (let k = 0; k < K; k++) if (sees(q, k) !== (keep[q * K + k] === 1)) return true;
    return false;
  };
  if (differs(first)) return false;
  for (let q = 0; q < Q; q++) if (differs(q)) return false;
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
export function recognise(keep, Q, K, edited = 0) {
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
  const found = tries.find(([name, parameters]) => isPreset(keep, name, parameters, Q, K, edited));
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

// --- the widget ---

function render({ model, el }) {
  const id = uniqueId("masklab");
  const words = mergeWords(WORDS, model.get("words"));
  const [heads, Q, K] = model.get("shape");
  const readScores = () => new Float32Array(bytesOf(model.get("scores_bytes")).buffer);
  let scores = readScores();
  const queryTokens = model.get("query_tokens");
  const keyTokens = model.get("key_tokens");
  let keep = bytesOf(model.get("keep_bytes"));
  const initial = keep.slice();
  let known = initial; // the mask as others know it; keep is this view's own, to draw on
  const before = new Float32Array(Q * K);
  const after = new Float32Array(Q * K);
  const rowHidden = new Uint32Array(Q); // cells of each row
  const active = { q: 0, k: 0 };
  let edited = 0; // row
  const past = [];
  let preset = "custom";
  let parameters = defaults(Q, K);
  // As the view that drew it says; else, as after Python has drawn, as it looks.
  function nameTheMask() {
    const said = model.get("preset");
    const given = { ...parameters, ...said.parameters };
    const holds = said.name in PRESETS && isPreset(keep, said.name, given, Q, K, edited);
    const found = holds ? { name: said.name, parameters: given } : recognise(keep, Q, K, edited);
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

  const root = element("div", { class: "masks-widget masklab", "data-lm-suppress-shortcuts": "true" });
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
  const controls = element("div", { class: "masks-controls" });
  controls.append(field(words.preset, presetSelect), parameterBox, field(words.fill, fillSelect));
  controls.append(field(words.dtype, dtypeSelect));
  if (heads > 1) controls.append(field(words.head, headSelect));
  controls.append(flip, undo, reset);

  const maps = element("div", { class: "masklab-maps" });
  const leftCanvas = element("canvas", { role: "img" });
  const rightCanvas = element("canvas", { "aria-hidden": "true" });
  const cell = element("div", { role: "gridcell", id: `${id}-cell`, class: "masks-hidden" });
  const gridRow = element("div", { role: "row", class: "masks-hidden" }, cell);
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
  const status = element("p", { class: "masks-status" });
  const live = element("div", { class: "masks-hidden", "aria-live": "polite" });
  const warning = element("p", { class: "masks-warning", role: "status" });
  const pipelineBox = element("div", { class: "masks-scroll", tabindex: "0", role: "region" });
  const pipelineCaption = element("caption");
  const pipelineBody = element("tbody");
  const stages = words.stages.map((stage) => element("th", { scope: "col" }, stage));
  pipelineBox.append(
    element("table", {}, pipelineCaption, element("thead", {}, element("tr", {}, ...stages)), pipelineBody),
  );
  const rowSum = element("p");
  const pipeline = element("div", { class: "masklab-pipeline" }, pipelineBox, rowSum);
  const help = element("p", { class: "masks-help", id: `${id}-help` }, words.help);

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

  const images = [pixelMap(K, Q), pixelMap(K, Q)]; // before, after
  const veil = pixelMap(K, Q); // opaque where hidden

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
  function paintRows(rows) {
    for (const q of rows) colourRow(q);
    const [from, to] = [Math.min(...rows), Math.max(...rows) + 1];
    for (const image of [...images, veil]) image.context.putImageData(image.data, 0, 0, 0, from, K, to - from);
  }

  let layout = null;
  let drawnRow = null; // the one outlined on the left
  function measure() {
    const wide = (root.clientWidth || 656) - 16; // without the padding
    const columns = wide >= 640 ? 2 : 1;
    const room = Math.min(560, (wide - 24 * (columns - 1)) / columns);
    layout = mapLayout(leftCanvas.getContext("2d"), room, queryTokens, keyTokens, words);
    for (const canvas of [leftCanvas, rightCanvas]) sizeCanvas(canvas, layout.outerWidth, layout.outerHeight);
  }

  const layer = element("canvas");

  // Both maps; or of the right one the given rows, and of the left one what the move to another row has changed.
  function draw(rows = null) {
    const moved = drawnRow === active.q ? [] : [drawnRow, active.q];
    if (!rows || moved.length) drawMap(0, rows && moved);
    drawMap(1, rows && [...rows, ...moved, active.q]);
    drawnRow = active.q;
  }
  function drawMap(n, rows) {
    const canvas = [leftCanvas, rightCanvas][n];
    const style = getComputedStyle(root);
    const text = style.color;
    const context = canvas.getContext("2d");
    const { left, top, width, height, outerWidth, outerHeight, cell: size } = layout;
    // Between whole numbers, so that no pixel is drawn half; outlines reach beyond their rows.
    const from = rows ? Math.floor(top + Math.min(...rows) * size) - 4 : 0;
    const to = rows ? Math.ceil(top + (Math.max(...rows) + 1) * size) + 4 : outerHeight;
    context.save();
    context.beginPath();
    context.rect(0, from, outerWidth + 1, to - from);
    context.clip();
    context.clearRect(0, from, outerWidth + 1, to - from);
    context.imageSmoothingEnabled = false;
    context.drawImage(images[n].small, left, top, width, height);
    if (n === 1 && hiddenCells) drawHatch(context, layer, veil, layout, from, to);
    drawLabels(context, layout, queryTokens, keyTokens, words, text);
    if (size >= 30 && Q <= 8 && K <= 8) numbers(context, n === 0 ? before : after, n === 1);
    const y = top + active.q * size;
    outline(context, text, style.backgroundColor, 2, [left - 1, y, width + 2, size]);
    if (n === 1 && document.activeElement === grid) {
      outline(context, style.borderTopColor, style.backgroundColor, 4, [left + active.k * size, y, size, size]);
    }
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
    let sum = 0;
    for (let k = 0; k < K; k++) sum += after[q * K + k];
    keys.forEach((k, n) => {
      const at = q * K + k;
      const { line, name, cells, bars } = (lines[n] ??= pipelineLine());
      line.className = row[k] ? "" : "masks-off";
      setText(name, placeName(k, keyTokens[k]));
      const weights = [after[at], before[at]];
      const numbers = [headScores()[at], stages.masked[k], stages.exps[k], ...weights];
      numbers.forEach((x, m) => setText(cells[m], number(x)));
      weights.forEach((x, m) => bars[m].style.setProperty("--masks-weight", Number.isNaN(x) ? 0 : x));
    });
    const note = K > most ? ` ${words.only_largest(most, K)}` : "";
    const title = words.pipeline(short(queryTokens[q]), q);
    setText(pipelineCaption, title);
    pipelineBox.setAttribute("aria-label", title);
    setText(rowSum, words.row_sum(Number.isNaN(sum) ? NaN : Number(sum.toFixed(3))) + note);
  }

  // The table is made once, and rewritten where it differs.
  const lines = [];
  function pipelineLine() {
    const line = element("tr", {});
    const name = element("th", { scope: "row" });
    const numbers = [0, 1, 2].map(() => element("td", {}));
    const [bars, weights] = [[0, 1].map(() => element("span", { class: "masks-bar" })), [0, 1].map(() => element("span"))];
    line.append(name, ...numbers);
    bars.forEach((bar, m) => line.append(element("td", { class: "masks-weight" }, bar, weights[m])));
    pipelineBody.append(line);
    return { line, name, cells: [...numbers, ...weights], bars };
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
    setText(status, summary);
    leftCanvas.setAttribute("aria-label", `${words.before}. ${Q} × ${K}.`);
    setText(warning, model.get("flipped") ? words.flipped : "");
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
    const rows = dirtyAll ? Array.from({ length: Q }, (_, q) => q) : [...dirtyRows];
    rows.forEach(computeRow);
    if (rows.length) paintRows(rows);
    count();
    draw(dirtyAll ? null : rows);
    dirtyRows = new Set();
    dirtyAll = dirtyBefore = false;
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
  const shareKeep = () => {
    known = keep.slice();
    share("keep_bytes", new DataView(known.buffer));
  };
  const sharePreset = () => share("preset", { name: preset, parameters });
  function remember() {
    past.push({ keep: known, preset: naming ? null : preset, parameters });
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
      keep = presetKeep(name, parameters, Q, K);
    }, name);
  }
  function startAgain() {
    change(() => {
      keep = initial.slice();
      nameTheMask();
    });
  }
  function undoLast() {
    const last = past.pop();
    if (!last) return;
    keep = last.keep.slice();
    ({ preset, parameters } = last);
    if (!preset) nameTheMask();
    commit();
  }
  function setCell(q, k, value) {
    if (keep[q * K + k] === value) return;
    keep[q * K + k] = value;
    edited = q;
    preset = "custom";
    dirtyRows.add(q);
  }
  // While a stroke goes on: its cells are drawn, and other views follow.
  function showStroke() {
    shareKeep();
    paint();
  }
  // After a click, a stroke or a key. First the weights are shown: the mask's name, and Python, wait for that frame, or
  // for those of a quick hand.
  let naming = 0;
  function endDrawing() {
    showStroke();
    announce();
    naming ||= setTimeout(nameDrawing, 30);
  }
  function nameDrawing() {
    clearTimeout(naming);
    naming = 0;
    nameTheMask();
    showParameters();
    sharePreset();
    model.save_changes();
    showState();
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

  function cellOf(event) {
    const { row, column } = cellAt(event, rightCanvas, layout);
    return row >= 0 && row < Q && column >= 0 && column < K ? { q: row, k: column } : null;
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
    showStroke();
  });
  rightCanvas.addEventListener("pointermove", (event) => {
    const place = stroke && cellOf(event);
    if (!place) return;
    // A fast hand jumps over cells: those on the way are drawn too.
    const [q, k] = [active.q, active.k];
    const steps = Math.max(Math.abs(place.q - q), Math.abs(place.k - k));
    for (let n = 1; n <= steps; n++) {
      const on = (from, to) => Math.round(from + ((to - from) * n) / steps);
      setCell(on(q, place.q), on(k, place.k), stroke.value);
    }
    if (steps) {
      Object.assign(active, place);
      showStroke();
    }
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
    }
  });
  passSaving(root, el);
  leftCanvas.addEventListener("pointerdown", (event) => {
    const { row } = cellAt(event, leftCanvas, layout);
    if (row >= 0 && row < Q) {
      active.q = row;
      refresh({ rows: [] });
    }
  });

  grid.addEventListener("keydown", (event) => {
    const { q, k } = active;
    const to = movedTo(event, q, k, Q, K);
    if (to) {
      Object.assign(active, { q: to.row, k: to.column });
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
    [keep, known] = [theirs, theirs.slice()];
    nameTheMask();
    showParameters();
    refresh({ rows: [...rows] });
  };
  const onSetting = () => refresh();
  const onScores = () => refresh({ before: true });
  const onOtherScores = () => {
    scores = readScores();
    onScores();
  };
  const listeners = { keep_bytes: onMask, preset: onMask, fill: onSetting, flipped: onSetting };
  Object.assign(listeners, { dtype: onScores, head: onScores, scores_bytes: onOtherScores });
  for (const [name, listener] of Object.entries(listeners)) model.on(`change:${name}`, listener);

  measure();
  showParameters();
  refresh({ before: true });
  const unfollow = followPage(
    root,
    () => {
      measure();
      draw();
    },
    () => draw(),
  );

  return () => {
    for (const [name, listener] of Object.entries(listeners)) model.off(`change:${name}`, listener);
    unfollow();
    if (naming) nameDrawing();
    cancelAnimationFrame(frame);
  };
}

export default { render };
