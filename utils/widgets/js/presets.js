// Masks that have a name: what they hide, and which of them a drawn mask is.

/** @typedef {Record<string, any>} Parameters */

/**
 * @typedef {object} Parameter
 * @property {string} name
 * @property {string} label
 * @property {number} least
 * @property {"count" | "lengths"} kind
 */

/**
 * @typedef {object} Preset
 * @property {string} label
 * @property {string} rule
 * @property {Parameter[]} parameters
 * @property {(k_len: number) => Record<string, number>} firsts what the parameters are at first
 * @property {(values: Parameters, Q: number, K: number, document: number[]) => Rule} sees
 */

/** May query q attend to key k? @typedef {(q: number, k: number) => number | boolean} Rule */

/**
 * The table of masks.py: _base.py puts the rows in, when it joins a widget's text.
 * @type {Record<string, Preset>}
 */
export const PRESETS = {};

/**
 * The number of each key's document. Keys beyond the sum of the lengths are one more.
 * @param {number[]} lengths
 * @param {number} keys
 */
export function documentOf(lengths, keys) {
  const documents = lengths.flatMap((length, n) => new Array(Math.min(length, keys)).fill(n)).slice(0, keys);
  return [...documents, ...new Array(keys - documents.length).fill(lengths.length)];
}

/**
 * (q, k) → does query q see key k?
 * @param {string} name
 * @param {Parameters} parameters
 * @param {number} Q
 * @param {number} K
 */
function ruleOf(name, parameters, Q, K) {
  const lengths = PRESETS[name].parameters.find(({ kind }) => kind === "lengths");
  return PRESETS[name].sees(parameters, Q, K, lengths ? documentOf(parameters[lengths.name], K) : []);
}

/**
 * What the parameters are at first. Of the documents the first has the default length, the second the rest.
 * @param {number} K
 */
export function defaults(K) {
  /** @type {Parameters} */
  const values = {};
  for (const { parameters, firsts } of Object.values(PRESETS)) {
    for (const { name, kind } of parameters) {
      const count = Math.min(K, Math.max(1, firsts(K)[name]));
      values[name] = kind === "lengths" ? [count, K - count].filter(Boolean) : count;
    }
  }
  return values;
}

/**
 * @param {string} name
 * @param {Parameters} parameters
 * @param {number} Q
 * @param {number} K
 */
export function presetKeep(name, parameters, Q, K) {
  const sees = ruleOf(name, parameters, Q, K);
  const keep = new Uint8Array(Q * K);
  for (let q = 0; q < Q; q++) for (let k = 0; k < K; k++) keep[q * K + k] = Number(sees(q, k));
  return keep;
}

/**
 * A row in which a mask is not this preset; -1 if it is the preset.
 * @param {Uint8Array} keep
 * @param {string} name
 * @param {Parameters} parameters
 * @param {number} Q
 * @param {number} K
 * @param {number[]} first the rows that are looked at before all of them
 */
function rowUnlike(keep, name, parameters, Q, K, first) {
  const sees = ruleOf(name, parameters, Q, K);
  for (let row = -first.length; row < Q; row++) {
    const q = row < 0 ? first[row + first.length] : row;
    for (let k = 0; k < K; k++) if (Number(sees(q, k)) !== keep[q * K + k]) return q;
  }
  return -1;
}

/**
 * @param {Uint8Array} keep
 * @param {string} name
 * @param {Parameters} parameters
 * @param {number} Q
 * @param {number} K
 */
export const isPreset = (keep, name, parameters, Q, K, first = 0) =>
  rowUnlike(keep, name, parameters, Q, K, [first]) < 0;

/**
 * A document begins at the first key that one of its queries sees.
 * @param {Uint8Array} keep
 * @param {number} Q
 * @param {number} K
 */
function documentLengths(keep, Q, K) {
  const starts = new Set([0]);
  for (let q = 0; q < Q; q++) starts.add(Math.max(0, keep.subarray(q * K, q * K + K).indexOf(1)));
  const ordered = [...starts].sort((a, b) => a - b);
  return ordered.map((start, n) => (ordered[n + 1] ?? K) - start);
}

/**
 * All values that parameters can have; lengths are read off the mask.
 * @param {Parameter[]} parameters
 * @param {Uint8Array} keep
 * @param {number} Q
 * @param {number} K
 * @returns {Generator<Parameters>}
 */
function* choices([parameter, ...others], keep, Q, K) {
  if (!parameter) return yield {};
  const { name, kind, least } = parameter;
  const values =
    kind === "lengths" ? [documentLengths(keep, Q, K)] : Array.from({ length: K + 1 }, (_, n) => n).slice(least);
  for (const value of values) for (const rest of choices(others, keep, Q, K)) yield { [name]: value, ...rest };
}

/**
 * Which preset a mask is, the simplest first; "custom" if none. Most fail in few rows, as in the one that was changed
 * last; so each looks at those first.
 * @param {Uint8Array} keep
 * @param {number} Q
 * @param {number} K
 * @param {number} edited the row that changed last
 */
export function recognise(keep, Q, K, edited = 0) {
  const simplestFirst = Object.entries(PRESETS).sort(([, a], [, b]) => a.parameters.length - b.parameters.length);
  const telling = [edited];
  for (const [name, preset] of simplestFirst) {
    for (const parameters of choices(preset.parameters, keep, Q, K)) {
      const row = rowUnlike(keep, name, parameters, Q, K, telling);
      if (row < 0) return { name, parameters };
      if (!telling.includes(row)) telling.push(row);
    }
  }
  return { name: "custom", parameters: {} };
}
