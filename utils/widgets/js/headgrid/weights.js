// Weights as they travel, one byte each, which is an index into the levels.

import { bytesOf } from "../widget.js";

/** @import { Model } from "../widget.js" */

export const NAN_CODE = 255;

/**
 * The bytes of a trait, unpacked; null if it is empty.
 * @param {DataView<ArrayBuffer>} view
 */
export async function inflate(view) {
  const bytes = bytesOf(view);
  if (!bytes.length) return null;
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/**
 * What the traits hold, unpacked.
 * @typedef {Awaited<ReturnType<typeof unpack>>} Weights
 * @param {Model} model
 */
export async function unpack(model) {
  const names = ["before_bytes", "after_bytes", "keep_bytes"];
  const [before, after, masks] = await Promise.all(names.map((name) => inflate(model.get(name))));
  if (!before) throw new Error("no weights");
  const [layers, heads, Q, K] = /** @type {number[]} */ (model.get("shape"));
  const levels = new Float32Array(bytesOf(model.get("levels_bytes")).buffer);
  const queryTokens = /** @type {string[]} */ (model.get("query_tokens"));
  const keyTokens = /** @type {string[]} */ (model.get("key_tokens"));
  const keeps = {
    before: masks && masks.length > Q * K ? masks.subarray(0, Q * K) : null,
    after: masks?.subarray(-Q * K) ?? null,
  };
  return { before, after, keeps, levels, layers, heads, Q, K, queryTokens, keyTokens };
}

/**
 * How much of its weight a query moved: half of the summed differences, averaged over queries without NaN.
 * @param {Uint8Array} before
 * @param {Uint8Array} after
 * @param {Float32Array} levels
 * @param {number} from where the map begins
 * @param {number} Q
 * @param {number} K
 */
export function movedShare(before, after, levels, from, Q, K) {
  let sum = 0;
  let rows = 0;
  for (let q = 0; q < Q; q++) {
    let row = 0;
    for (let at = from + q * K; at < from + (q + 1) * K; at++) row += Math.abs(levels[after[at]] - levels[before[at]]);
    if (Number.isNaN(row)) continue;
    sum += row / 2;
    rows += 1;
  }
  return rows ? sum / rows : NaN;
}

/** @param {number} share */
export const percent = (share) => (Number.isNaN(share) ? "NaN" : `${Math.round(100 * Math.min(1, share))} %`);

/**
 * A weight, as exact as a byte allows.
 * @param {number} value
 */
export function twoDigits(value) {
  return Number.isNaN(value) ? "NaN" : value > 0 && value < 0.005 ? "<0.01" : value.toFixed(2);
}
