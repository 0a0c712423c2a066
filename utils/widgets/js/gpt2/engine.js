// A GPT-2 that runs in the page: the forward pass with any mask and all its maps, and steps that go on from it.

import { openFile } from "./file.js";
import { PlainArithmetic } from "./plain.js";
import { openKernel } from "./simd.js";
import { Tokenizer } from "./tokenizer.js";

/** @import { Config, ModelFile, PackedMatrix } from "./file.js" */
/** @import { Arithmetic, Matrix, Vector } from "./plain.js" */

/**
 * A text and its mask.
 * @typedef {object} Input
 * @property {ArrayLike<number>} ids
 * @property {ArrayLike<number>} positions
 * @property {Uint8Array} keep (T, T), row = query, 1 = may attend
 * @property {number | null} [head] the one head of every layer that has this mask, while the others are causal; or null
 * @property {number} fill what is added to hidden scores: -Infinity, or the lowest number of float32
 */

/**
 * The token after those of a run.
 * @typedef {object} Step
 * @property {number} id
 * @property {number} position
 * @property {Uint8Array} keep which keys it sees, itself last
 */

/** @typedef {{ weight: Vector, bias: Vector }} Norm */
/** @typedef {{ matrix: Matrix, bias: Vector | null }} Linear */
/**
 * @typedef {object} Layer
 * @property {Norm} norm1
 * @property {Linear} queries
 * @property {Linear} keysValues
 * @property {Linear} output
 * @property {Norm} norm2
 * @property {Linear} up
 * @property {Linear} down
 */

/**
 * What a pass leaves for steps and logits: keys and values of every layer, and hidden states after the last one.
 * @typedef {object} Result
 * @property {number | null} head
 * @property {number} fill
 * @property {Vector[]} caches
 * @property {Vector} hidden
 */

/**
 * Opens a packed file. Without WebAssembly, or where a page's policy refuses it, plain JavaScript computes the same.
 * @param {Uint8Array} file
 * @param {{ wasm?: boolean | Uint8Array }} [options] false: plain JavaScript; or the bytes of a kernel
 */
export async function openEngine(file, { wasm = true } = {}) {
  const model = await openFile(file);
  const { n_embd: width, n_head, n_positions: most } = model.config;
  const lengths = scratchLengths(model);
  const floats = Object.values(lengths).reduce((sum, length) => sum + length, 0);
  if (wasm && (width / n_head) % 4 === 0) {
    try {
      // All that is not scratch is smaller in the kernel's memory than twice the file.
      const bytes = 4 * floats + 2 * model.bytes;
      return new Engine(model, await openKernel(wasm, bytes, Math.max(most, lengths.wide / most)));
    } catch {} // the kind of the engine says so
  }
  return new Engine(model, new PlainArithmetic());
}

/**
 * How many numbers an engine computes with, for as many tokens as the model takes.
 * @param {ModelFile} file
 */
function scratchLengths(file) {
  const { n_embd: width, n_head, n_positions: most } = file.config;
  return {
    x: most * width,
    normed: most * width,
    queries: most * width,
    mixed: most * width,
    wide: most * file.rows("h.0.c_fc"),
    cache: most * 2 * width,
    weights: n_head * most * most,
    chosenBias: most * most,
    otherBias: most * most,
    logits: file.rows("wte"),
  };
}

export class Engine {
  /** @type {"wasm" | "plain"} */ kind;
  /** @type {Config} */ config;
  /** @type {Tokenizer} */ tokenizer;
  /** @type {Arithmetic} */ #arithmetic;
  /** @type {Layer[]} */ #layers;
  /** @type {Norm} */ #lastNorm;
  /** @type {{ tokens: PackedMatrix, positions: PackedMatrix }} */ #embeddings;
  /** @type {Matrix} (rows of tokens, width): turns hidden states into logits */ #unembedding;
  /** @type {Uint16Array} the row of every token */ #rows;
  /** @type {Uint16Array} the tokens of all rows but the last */ #tokens;
  /** @type {Record<keyof ReturnType<typeof scratchLengths>, Vector>} */ #scratch;

  /**
   * @param {ModelFile} file
   * @param {Arithmetic} arithmetic
   */
  constructor(file, arithmetic) {
    const { n_layer, vocab_size } = file.config;
    this.kind = arithmetic.kind;
    this.config = file.config;
    this.tokenizer = new Tokenizer(file.integers("merges"), file.config.eos_token_id);
    this.#arithmetic = arithmetic;
    this.#embeddings = { tokens: file.matrix("wte"), positions: file.matrix("wpe") };
    this.#unembedding = arithmetic.matrix(this.#embeddings.tokens);
    this.#layers = Array.from({ length: n_layer }, (_, n) => layerOf(file, arithmetic, `h.${n}.`));
    this.#lastNorm = normOf(file, arithmetic, "ln_f");
    this.#tokens = file.integers("tokens");
    this.#rows = new Uint16Array(vocab_size).fill(this.#tokens.length);
    this.#tokens.forEach((id, row) => {
      this.#rows[id] = row;
    });
    const vectors = Object.entries(scratchLengths(file)).map(([name, length]) => [name, arithmetic.vector(length)]);
    this.#scratch = Object.fromEntries(vectors);
  }

  /** Was this token trained? @param {number} id */
  isKnown(id) {
    return this.rowOf(id) < this.#tokens.length;
  }

  /** Its row in logits; all tokens that were never trained share the last one. @param {number} id */
  rowOf(id) {
    return this.#rows[id];
  }

  /** A token of this row, the first one of the row that is shared. @param {number} row */
  idOf(row) {
    return row < this.#tokens.length ? this.#tokens[row] : this.#rows.indexOf(row);
  }

  /**
   * One forward pass.
   * @param {Input} input
   */
  forward({ ids, positions, keep, head = null, fill }) {
    const rows = ids.length;
    const { chosenBias, otherBias } = this.#scratch;
    for (let n = 0; n < rows * rows; n++) {
      chosenBias[n] = keep[n] ? 0 : fill;
      otherBias[n] = n % rows <= n / rows ? 0 : fill;
    }
    const { n_layer, n_head } = this.config;
    const size = n_head * rows * rows;
    const maps = new Float32Array(n_layer * size);
    this.#embed(ids, positions);
    const caches = this.#layers.map((layer, n) => {
      this.#runLayer(layer, rows, 0, head);
      maps.set(this.#scratch.weights.subarray(0, size), n * size);
      return this.#scratch.cache.slice(0, rows * 2 * this.config.n_embd);
    });
    return new Pass(this, rows, maps, { head, fill, caches, hidden: this.#hidden(rows) });
  }

  /**
   * The logits of one more token, and its keys and values, which the next one needs in `steps`.
   * @param {Step} step
   * @param {Result} start
   * @param {Vector[][]} steps
   */
  step({ id, position, keep }, { head, fill, caches }, steps) {
    const { cache, chosenBias, otherBias } = this.#scratch;
    keep.forEach((sees, k) => {
      chosenBias[k] = sees ? 0 : fill;
      otherBias[k] = 0;
    });
    const width = 2 * this.config.n_embd;
    const length = keep.length - 1;
    this.#embed([id], [position]);
    const added = this.#layers.map((layer, n) => {
      cache.set(caches[n]);
      steps.forEach((step, m) => {
        cache.set(step[n], caches[n].length + m * width);
      });
      this.#runLayer(layer, 1, length, head);
      return cache.slice(length * width, (length + 1) * width);
    });
    return { logits: this.logits(this.#hidden(1)), added };
  }

  /** The logits of one row of hidden states. @param {Vector} hidden */
  logits(hidden) {
    const { normed, logits } = this.#scratch;
    normed.set(hidden);
    this.#arithmetic.linear(logits, normed, 1, this.#unembedding, null, false);
    return Float32Array.from(logits);
  }

  /**
   * The probability of one token of each row. Many tokens share the last row, and each of them counts.
   * @param {Float32Array} logits
   */
  probabilities(logits) {
    const largest = logits.reduce((most, logit) => Math.max(most, logit), -Infinity);
    const exps = Float64Array.from(logits, (logit) => Math.exp(logit - largest));
    const shared = this.config.vocab_size - this.#tokens.length;
    const sum = exps.reduce((total, exp, row) => total + (row < this.#tokens.length ? exp : shared * exp), 0);
    return exps.map((exp) => exp / sum);
  }

  /**
   * @param {ArrayLike<number>} ids
   * @param {ArrayLike<number>} positions
   */
  #embed(ids, positions) {
    const { x } = this.#scratch;
    const { tokens, positions: places } = this.#embeddings;
    const width = this.config.n_embd;
    for (let n = 0; n < ids.length; n++) {
      const row = this.rowOf(ids[n]);
      const place = positions[n];
      for (let i = 0; i < width; i++) {
        x[n * width + i] =
          tokens.values[row * width + i] * tokens.scales[row] + places.values[place * width + i] * places.scales[place];
      }
    }
  }

  /**
   * One layer, in place in x: `rows` new tokens after `before` others, whose keys and values the cache holds.
   * @param {Layer} layer
   * @param {number} rows
   * @param {number} before
   * @param {number | null} head
   */
  #runLayer(layer, rows, before, head) {
    const arithmetic = this.#arithmetic;
    const { layer_norm_epsilon: epsilon, n_embd: width, n_head } = this.config;
    const { x, normed, queries, mixed, wide, cache, weights, chosenBias, otherBias } = this.#scratch;
    /** @type {(out: Vector, from: Vector, part: Linear, adds?: boolean) => void} */
    const linear = (out, from, part, adds = false) => arithmetic.linear(out, from, rows, part.matrix, part.bias, adds);
    arithmetic.layerNorm(normed, x, rows, layer.norm1.weight, layer.norm1.bias, epsilon);
    linear(queries, normed, layer.queries);
    linear(cache.subarray(before * 2 * width), normed, layer.keysValues);
    const keys = before + rows;
    const size = width / n_head;
    for (let n = 0; n < n_head; n++) {
      arithmetic.attend({
        weights: weights.subarray(n * rows * keys, (n + 1) * rows * keys),
        bias: head === null || head === n ? chosenBias : otherBias,
        ...{ mixed, queries, cache, rows, keys, width, size, first: n * size },
      });
    }
    linear(x, mixed, layer.output, true);
    arithmetic.layerNorm(normed, x, rows, layer.norm2.weight, layer.norm2.bias, epsilon);
    linear(wide, normed, layer.up);
    arithmetic.gelu(wide, rows * layer.up.matrix.rows);
    linear(x, wide, layer.down, true);
  }

  /** The hidden states after the last layer, a copy. @param {number} rows */
  #hidden(rows) {
    const { x, normed } = this.#scratch;
    const { weight, bias } = this.#lastNorm;
    this.#arithmetic.layerNorm(normed, x, rows, weight, bias, this.config.layer_norm_epsilon);
    return normed.slice(0, rows * this.config.n_embd);
  }
}

/** What a forward pass gives. */
export class Pass {
  /** @type {Engine} */ #engine;
  /** @type {Result} */ #result;
  /** @type {Map<number, Float32Array>} */ #logits = new Map();

  /**
   * @param {Engine} engine
   * @param {number} length
   * @param {Float32Array} maps
   * @param {Result} result
   */
  constructor(engine, length, maps, result) {
    this.#engine = engine;
    this.#result = result;
    this.length = length;
    /** Weights after the softmax: (layers, heads, T, T). */
    this.maps = maps;
  }

  /**
   * The logits that follow a token, computed when they are asked for.
   * @param {number} row
   */
  logits(row) {
    const width = this.#engine.config.n_embd;
    const logits =
      this.#logits.get(row) ?? this.#engine.logits(this.#result.hidden.subarray(row * width, (row + 1) * width));
    this.#logits.set(row, logits);
    return logits;
  }

  /** A continuation of its own. */
  run() {
    return new Run(this.#engine, this.length, this.#result);
  }
}

/** Tokens after those of a pass, one by one; the tokens before are not run again. */
export class Run {
  /** @type {Engine} */ #engine;
  /** @type {Result} */ #start;
  /** @type {Vector[][]} keys and values that each step added, of every layer */ #steps = [];

  /**
   * @param {Engine} engine
   * @param {number} length
   * @param {Result} start
   */
  constructor(engine, length, start) {
    this.#engine = engine;
    this.#start = start;
    this.length = length;
  }

  /**
   * The logits that follow one more token. Heads that do not have the mask see all keys.
   * @param {Step} step
   */
  step(step) {
    const { logits, added } = this.#engine.step(step, this.#start, this.#steps);
    this.#steps.push(added);
    this.length++;
    return logits;
  }
}

/**
 * @param {ModelFile} file
 * @param {Arithmetic} arithmetic
 * @param {string} name
 */
function normOf(file, arithmetic, name) {
  return { weight: vectorOf(file, arithmetic, `${name}.weight`), bias: vectorOf(file, arithmetic, `${name}.bias`) };
}

/**
 * @param {ModelFile} file
 * @param {Arithmetic} arithmetic
 * @param {string} prefix
 * @returns {Layer}
 */
function layerOf(file, arithmetic, prefix) {
  const width = file.config.n_embd;
  /** @type {(name: string, from?: number, to?: number) => Linear} */
  const linear = (name, from, to) => ({
    matrix: arithmetic.matrix(file.matrix(prefix + name, from, to)),
    bias: vectorOf(file, arithmetic, `${prefix}${name}.bias`).subarray(from, to),
  });
  return {
    norm1: normOf(file, arithmetic, `${prefix}ln_1`),
    queries: linear("c_attn", 0, width),
    keysValues: linear("c_attn", width),
    output: linear("c_proj"),
    norm2: normOf(file, arithmetic, `${prefix}ln_2`),
    up: linear("c_fc"),
    down: linear("mlp_proj"),
  };
}

/**
 * A vector of the file in the arithmetic's memory.
 * @param {ModelFile} file
 * @param {Arithmetic} arithmetic
 * @param {string} name
 */
function vectorOf(file, arithmetic, name) {
  const values = file.vector(name);
  const vector = arithmetic.vector(values.length);
  vector.set(values);
  return vector;
}
