// The packed file of a model: its header, and its tensors as typed arrays.

/**
 * @typedef {object} Config
 * @property {number} n_layer
 * @property {number} n_head
 * @property {number} n_embd
 * @property {number} n_positions
 * @property {number} layer_norm_epsilon
 * @property {number} vocab_size
 * @property {number} eos_token_id
 */

/** @typedef {{ kind: "int8" | "float32" | "uint16", shape: number[], offset: number, scales?: number }} Tensor */

/** A matrix whose row j holds what makes output j; its numbers are `values` times the scale of their row.
 * @typedef {{ values: Int8Array, scales: Float32Array, rows: number, columns: number }} PackedMatrix
 */

export class ModelFile {
  /** @type {ArrayBuffer} */ #buffer;
  /** @type {Record<string, Tensor>} */ #tensors;
  /** @type {number} where data begin */ #start;
  /** @type {Config} */ config;

  /** @param {ArrayBuffer} buffer the inflated file */
  constructor(buffer) {
    const length = new DataView(buffer).getUint32(0, true);
    const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
    this.#buffer = buffer;
    this.#tensors = header.tensors;
    this.#start = 4 + length;
    this.config = header.config;
    this.bytes = buffer.byteLength;
  }

  /** How many rows a matrix has. @param {string} name */
  rows(name) {
    return this.#tensors[name].shape[0];
  }

  /**
   * The rows of a matrix, from one to before another.
   * @param {string} name
   * @param {number} [from]
   * @param {number} [to]
   * @returns {PackedMatrix}
   */
  matrix(name, from = 0, to = this.rows(name)) {
    const { shape, offset, scales = 0 } = this.#tensors[name];
    const columns = shape[1];
    const rows = to - from;
    return {
      values: new Int8Array(this.#buffer, this.#start + offset + from * columns, rows * columns),
      scales: new Float32Array(this.#buffer, this.#start + scales + 4 * from, rows),
      rows,
      columns,
    };
  }

  /** @param {string} name */
  vector(name) {
    const { shape, offset } = this.#tensors[name];
    return new Float32Array(this.#buffer, this.#start + offset, shape[0]);
  }

  /** @param {string} name */
  integers(name) {
    const { shape, offset } = this.#tensors[name];
    const count = shape.reduce((product, size) => product * size, 1);
    return new Uint16Array(this.#buffer, this.#start + offset, count);
  }
}

/** What a reader is told in place of what a browser calls it, such as "Failed to fetch". */
export const DAMAGED_FILE = "The file of the model is damaged.";
const OLD_BROWSER = "This browser is too old to unpack the model.";

/**
 * Inflates a packed file.
 * @param {Uint8Array} file
 */
export async function openFile(file) {
  if (!globalThis.DecompressionStream) throw new Error(OLD_BROWSER);
  const packed = new Blob([/** @type {Uint8Array<ArrayBuffer>} */ (file)]).stream();
  try {
    const inflated = new Response(packed.pipeThrough(new DecompressionStream("deflate")));
    return new ModelFile(await inflated.arrayBuffer());
  } catch {
    throw new Error(DAMAGED_FILE);
  }
}
