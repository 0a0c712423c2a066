// The same arithmetic by a kernel of WebAssembly, in float32: kernel.ts is its source.

/** @import { PackedMatrix } from "./file.js" */
/** @import { Arithmetic, Attention, Matrix, Vector } from "./plain.js" */

/**
 * What kernel.wasm has; numbers are addresses and lengths.
 * @typedef {object} Kernel
 * @property {(...numbers: number[]) => void} linear
 * @property {(...numbers: number[]) => void} layerNorm
 * @property {(...numbers: number[]) => void} gelu
 * @property {(...numbers: number[]) => void} attend
 */

/** A matrix in the memory of the kernel. @typedef {Matrix & { panels: number, scales: number }} PanelMatrix */

/** kernel.wasm in base64: _base.py puts it in, when it joins a widget's text. */
export const KERNEL = "";

const PANEL = 8; // outputs whose weights lie side by side
const PAGE = 65536; // bytes, the unit of memory
const ALIGNMENT = 16;

/** @implements {Arithmetic} */
export class KernelArithmetic {
  /** @type {"wasm"} */ kind = "wasm";
  /** @type {Kernel} */ #kernel;
  /** @type {WebAssembly.Memory} */ #memory;
  #free = ALIGNMENT;
  /** @type {Vector} room for a panel, or for a row of scores */ #line;
  /** @type {Vector} */ #zeros;

  /**
   * @param {Kernel} kernel
   * @param {WebAssembly.Memory} memory
   * @param {number} longest row of a matrix or of scores
   */
  constructor(kernel, memory, longest) {
    this.#kernel = kernel;
    this.#memory = memory;
    this.#line = this.vector(PANEL * longest);
    this.#zeros = this.vector(0);
  }

  /** @param {number} length */
  vector(length) {
    return new Float32Array(this.#memory.buffer, this.#allocate(4 * length), length);
  }

  /**
   * Eight rows of a matrix lie column by column; the last eight are filled up with zeros.
   * @param {PackedMatrix} packed
   * @returns {PanelMatrix}
   */
  matrix({ values, scales, rows, columns }) {
    const padded = Math.ceil(rows / PANEL) * PANEL;
    const panels = new Int8Array(this.#memory.buffer, this.#allocate(padded * columns), padded * columns);
    for (let row = 0; row < rows; row++) {
      const lane = row % PANEL;
      const first = (row - lane) * columns + lane;
      for (let i = 0; i < columns; i++) panels[first + i * PANEL] = values[row * columns + i];
    }
    const factors = this.vector(padded);
    factors.set(scales);
    if (padded > this.#zeros.length) this.#zeros = this.vector(padded);
    return { rows, columns, panels: panels.byteOffset, scales: factors.byteOffset };
  }

  /**
   * @param {Vector} out
   * @param {Vector} x
   * @param {number} rows
   * @param {Matrix} matrix
   * @param {Vector | null} bias
   * @param {boolean} adds
   */
  linear(out, x, rows, matrix, bias, adds) {
    const { panels, scales, rows: outputs, columns } = /** @type {PanelMatrix} */ (matrix);
    const added = (bias ?? this.#zeros).byteOffset;
    const line = this.#line.byteOffset;
    this.#kernel.linear(
      out.byteOffset,
      x.byteOffset,
      rows,
      panels,
      scales,
      added,
      outputs,
      columns,
      Number(adds),
      line,
    );
  }

  /**
   * @param {Vector} out
   * @param {Vector} x
   * @param {number} rows
   * @param {Vector} weight
   * @param {Vector} bias
   * @param {number} epsilon
   */
  layerNorm(out, x, rows, weight, bias, epsilon) {
    const { length, byteOffset } = weight;
    this.#kernel.layerNorm(out.byteOffset, x.byteOffset, rows, length, byteOffset, bias.byteOffset, epsilon);
  }

  /**
   * @param {Vector} x
   * @param {number} length
   */
  gelu(x, length) {
    this.#kernel.gelu(x.byteOffset, length);
  }

  /** @param {Attention} attention */
  attend({ weights, mixed, queries, cache, bias, rows, keys, width, size, first }) {
    const [out, query, key] = [mixed, queries, cache].map((vector) => vector.byteOffset + 4 * first);
    const { byteOffset: line } = this.#line;
    this.#kernel.attend(weights.byteOffset, out, query, key, bias.byteOffset, rows, keys, width, size, line);
  }

  /** @param {number} bytes */
  #allocate(bytes) {
    const address = this.#free;
    this.#free += Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
    return address;
  }
}

/**
 * The kernel with a memory of its own; an error where the page may run none, or the browser has no SIMD.
 * @param {Uint8Array | true} code true: that of the joined text
 * @param {number} bytes how much memory all vectors and matrices need
 * @param {number} longest row of a matrix or of scores
 */
export async function openKernel(code, bytes, longest) {
  const binary = code === true ? Uint8Array.from(atob(KERNEL), (letter) => letter.charCodeAt(0)) : code;
  // The kernel reads whole panels, also after the last scale.
  const memory = new WebAssembly.Memory({ initial: Math.ceil(bytes / PAGE) + 1 });
  const source = /** @type {Uint8Array<ArrayBuffer>} */ (binary);
  const { instance } = await WebAssembly.instantiate(source, { env: { memory } });
  return new KernelArithmetic(/** @type {any} */ (instance.exports), memory, longest);
}
