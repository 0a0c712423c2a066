// The softmax of one row, step by step, in the number type that is chosen. Tests hold it against torch.

const BITS = new DataView(new ArrayBuffer(4));

/** @param {number} x */
export function toFloat16(x) {
  const size = Math.abs(x);
  if (!(size < Infinity) || size === 0) return x;
  if (size >= 65520) return Math.sign(x) * Infinity;
  const step = 2 ** (Math.max(-14, Math.floor(Math.log2(size))) - 10);
  const large = 1.5 * 2 ** 52 * step; // the numbers here are `step` apart, so that a sum is rounded to it, half to even
  return Math.sign(x) * (size + large - large);
}

/** @param {number} x */
export function toBfloat16(x) {
  if (!Number.isFinite(x)) return x;
  BITS.setFloat32(0, x);
  const bits = BITS.getUint32(0);
  BITS.setUint32(0, ((bits + 0x7fff + ((bits >>> 16) & 1)) & 0xffff0000) >>> 0);
  return BITS.getFloat32(0);
}

/** @type {Record<string, { round: (x: number) => number, min: number }>} */
export const DTYPES = {
  float32: { round: Math.fround, min: -3.4028234663852886e38 },
  float16: { round: (x) => toFloat16(Math.fround(x)), min: -65504 },
  bfloat16: { round: (x) => toBfloat16(Math.fround(x)), min: -3.3895313892515355e38 },
};

/**
 * What is added to hidden scores.
 * @param {string} fill "min", "-inf" or a number
 * @param {string} dtype
 */
export function fillValue(fill, dtype) {
  const { round, min } = DTYPES[dtype];
  if (fill === "min") return min;
  return fill === "-inf" ? -Infinity : round(Number(fill));
}

/**
 * The weights of one row of `length` scores from `start`, written to `weights[to …]`.
 * @param {Float32Array} scores
 * @param {number} start
 * @param {ArrayLike<number> | null} keep 1 = may attend; null hides nothing
 * @param {number} length
 * @param {number} fill
 * @param {string} dtype
 * @param {Float32Array} weights
 * @param {number} to
 * @param {{ masked: Float64Array, exps: Float64Array }} [stages] gets the steps on the way
 */
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
  for (let k = 0; k < length; k++) {
    exps[k] = Math.exp(Math.fround(masked[k] - max)); // -inf - -inf is NaN
    sum += exps[k];
  }
  for (let k = 0; k < length; k++) weights[to + k] = round(exps[k] / sum);
}

let buffer = new Float64Array(64);

/** @param {number} length */
function scratch(length) {
  if (buffer.length < length) buffer = new Float64Array(length);
  return buffer;
}
