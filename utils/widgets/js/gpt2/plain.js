// What a transformer computes, in plain JavaScript and double precision: for pages without the kernel, and to test it.

/** @import { PackedMatrix } from "./file.js" */

/** Numbers in the memory of an arithmetic. @typedef {Float32Array | Float64Array} Vector */

/**
 * The attention of one head: `rows` queries look at `keys` keys.
 * @typedef {object} Attention
 * @property {Vector} weights gets (rows, keys)
 * @property {Vector} mixed gets the weighted values, (rows, width of all heads)
 * @property {Vector} queries (rows, width)
 * @property {Vector} cache (keys, 2 × width), key and value of each
 * @property {Vector} bias (rows, keys), added to the scores
 * @property {number} rows
 * @property {number} keys
 * @property {number} width
 * @property {number} size of one head
 * @property {number} first column of this head
 */

/**
 * A matrix as an arithmetic keeps it.
 * @typedef {object} Matrix
 * @property {number} rows
 * @property {number} columns
 */

/**
 * The same for plain numbers and for the kernel. Vectors are of the arithmetic's own memory, or parts of such.
 * @typedef {object} Arithmetic
 * @property {"wasm" | "plain"} kind
 * @property {(length: number) => Vector} vector zeros
 * @property {(packed: PackedMatrix) => Matrix} matrix
 * @property {(out: Vector, x: Vector, rows: number, matrix: Matrix, bias: Vector | null, adds: boolean) => void} linear
 * @property {(out: Vector, x: Vector, rows: number, weight: Vector, bias: Vector, epsilon: number) => void} layerNorm
 * @property {(x: Vector, length: number) => void} gelu
 * @property {(attention: Attention) => void} attend
 */

const BLOCK = 4; // rows of x that share one reading of the weights
const SLOPE = Math.sqrt(2 / Math.PI);

/** @implements {Arithmetic} */
export class PlainArithmetic {
  /** @type {"plain"} */ kind = "plain";
  /** @type {Float64Array} one row of weights */ #line = new Float64Array(0);

  /** @param {number} length */
  vector(length) {
    return new Float64Array(length);
  }

  /** @param {PackedMatrix} packed */
  matrix(packed) {
    if (packed.columns > this.#line.length) this.#line = new Float64Array(packed.columns);
    return packed;
  }

  /**
   * out = x · matrixᵀ + bias, or that added to what out holds.
   * @param {Vector} out
   * @param {Vector} x
   * @param {number} rows
   * @param {Matrix} matrix
   * @param {Vector | null} bias
   * @param {boolean} adds
   */
  linear(out, x, rows, matrix, bias, adds) {
    const { values, scales, rows: outputs, columns } = /** @type {PackedMatrix} */ (matrix);
    const line = this.#line;
    const sums = new Float64Array(rows + BLOCK);
    for (let j = 0; j < outputs; j++) {
      for (let i = 0; i < columns; i++) line[i] = values[j * columns + i];
      let row = 0;
      for (; row + BLOCK <= rows; row += BLOCK) dotFour(sums, row, line, x, columns);
      for (; row < rows; row++) sums[row] = dot(line, x, row * columns, columns);
      for (row = 0; row < rows; row++) {
        const y = sums[row] * scales[j] + (bias === null ? 0 : bias[j]);
        out[row * outputs + j] = adds ? out[row * outputs + j] + y : y;
      }
    }
  }

  /**
   * Each row with mean 0 and variance 1, times weight, plus bias.
   * @param {Vector} out
   * @param {Vector} x
   * @param {number} rows
   * @param {Vector} weight
   * @param {Vector} bias
   * @param {number} epsilon
   */
  layerNorm(out, x, rows, weight, bias, epsilon) {
    const width = weight.length;
    for (let at = 0; at < rows * width; at += width) {
      let mean = 0;
      for (let i = 0; i < width; i++) mean += x[at + i] / width;
      let variance = 0;
      for (let i = 0; i < width; i++) variance += (x[at + i] - mean) ** 2 / width;
      const scale = 1 / Math.sqrt(variance + epsilon);
      for (let i = 0; i < width; i++) out[at + i] = (x[at + i] - mean) * scale * weight[i] + bias[i];
    }
  }

  /**
   * gelu_new, in place.
   * @param {Vector} x
   * @param {number} length
   */
  gelu(x, length) {
    for (let i = 0; i < length; i++) {
      x[i] = 0.5 * x[i] * (1 + Math.tanh(SLOPE * (x[i] + 0.044715 * x[i] ** 3)));
    }
  }

  /**
   * Nothing is left out that a bias hides: NaN has to spread, and a row without a key to be uniform, as in torch.
   * @param {Attention} attention
   */
  attend({ weights, mixed, queries, cache, bias, rows, keys, width, size, first }) {
    const scaling = 1 / Math.sqrt(size);
    for (let row = 0; row < rows; row++) {
      const query = row * width + first;
      const line = weights.subarray(row * keys, (row + 1) * keys);
      for (let k = 0; k < keys; k++) {
        const key = 2 * k * width + first;
        let score = 0;
        for (let i = 0; i < size; i++) score += queries[query + i] * cache[key + i];
        line[k] = Math.fround(score * scaling + bias[row * keys + k]);
      }
      softmax(line);
      for (let i = 0; i < size; i++) {
        let sum = 0;
        for (let k = 0; k < keys; k++) sum += line[k] * cache[(2 * k + 1) * width + first + i];
        mixed[query + i] = sum;
      }
    }
  }
}

/**
 * sums[row …] = x[row …] · line, for four rows.
 * @param {Float64Array} sums
 * @param {number} row
 * @param {Float64Array} line
 * @param {Vector} x
 * @param {number} length
 */
function dotFour(sums, row, line, x, length) {
  const first = row * length;
  const second = first + length;
  const third = second + length;
  const fourth = third + length;
  let [a, b, c, d] = [0, 0, 0, 0];
  for (let i = 0; i < length; i++) {
    const weight = line[i];
    a += weight * x[first + i];
    b += weight * x[second + i];
    c += weight * x[third + i];
    d += weight * x[fourth + i];
  }
  sums[row] = a;
  sums[row + 1] = b;
  sums[row + 2] = c;
  sums[row + 3] = d;
}

/**
 * @param {Float64Array} line
 * @param {Vector} x
 * @param {number} from
 * @param {number} length
 */
function dot(line, x, from, length) {
  let sum = 0;
  for (let i = 0; i < length; i++) sum += line[i] * x[from + i];
  return sum;
}

/**
 * In place. The largest of numbers with NaN among them is NaN, and -Infinity less itself too.
 * @param {Vector} line
 */
function softmax(line) {
  let largest = -Infinity;
  for (const score of line) largest = Math.max(largest, score);
  let sum = 0;
  for (let k = 0; k < line.length; k++) {
    line[k] = Math.exp(line[k] - largest);
    sum += line[k];
  }
  for (let k = 0; k < line.length; k++) line[k] /= sum;
}
