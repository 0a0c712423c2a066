// HeadGrid's state: the weights, which head and which cell are chosen, and which side is shown.

import { movedShare, NAN_CODE, percent, unpack } from "./weights.js";

/** @import { Palette } from "../colours.js" */
/** @import { Model } from "../widget.js" */
/** @import { Weights } from "./weights.js" */
/** @import { WORDS } from "./words.js" */
/** @typedef {"before" | "after" | "change"} Side */
/** @typedef {{ layer: number, head: number }} Head */

export class GridState {
  /**
   * @param {Model} model
   * @param {typeof WORDS} words
   */
  constructor(model, words) {
    this.model = model;
    this.words = words;
    this.active = { q: 0, k: 0 };
    this.loads = 0;
    this.loaded = false;
    this.weights = /** @type {Weights} */ ({}); // before it is loaded nothing is shown
  }

  /** Reads the weights that the traits hold now; false if newer ones are on their way. */
  async load() {
    const load = ++this.loads;
    const weights = await unpack(this.model).catch((/** @type {Error} */ error) => error);
    if (load !== this.loads) return false;
    if (weights instanceof Error) throw weights;
    this.weights = weights;
    this.loaded = true;
    this.active = { q: Math.min(this.active.q, weights.Q - 1), k: Math.min(this.active.k, weights.K - 1) };
    return true;
  }

  // -- what is chosen --

  get layer() {
    return Math.min(this.model.get("layer"), this.weights.layers - 1);
  }

  get head() {
    return Math.min(this.model.get("head"), this.weights.heads - 1);
  }

  /** What the thumbnails show. */
  get side() {
    return /** @type {Side} */ (this.weights.after ? this.model.get("side") : "before");
  }

  /** What the large maps show. */
  get zoomSides() {
    /** @type {Side[]} */
    const sides = ["before", this.side === "change" ? "change" : "after"];
    return this.weights.after ? sides : sides.slice(0, 1);
  }

  /** The sides that hold weights. */
  get sides() {
    return /** @type {("before" | "after")[]} */ (this.weights.after ? ["before", "after"] : ["before"]);
  }

  /** @param {Side} side */
  sideName(side) {
    const [before, after] = /** @type {string[]} */ (this.model.get("names"));
    return this.weights.after ? { before, after, change: this.words.change }[side] : this.words.only;
  }

  /** @returns {[number, number, number, number] | null} */
  headPosition() {
    return this.loaded ? [this.layer, this.head, this.weights.layers, this.weights.heads] : null;
  }

  /** @returns {[number, number, number, number] | null} */
  cellPosition() {
    return this.loaded ? [this.active.q, this.active.k, this.weights.Q, this.weights.K] : null;
  }

  // -- weights --

  /** Where the chosen map begins among the bytes. */
  get start() {
    return this.startOf(this);
  }

  /** @param {Head} place */
  startOf({ layer, head }) {
    return (layer * this.weights.heads + head) * this.weights.Q * this.weights.K;
  }

  /**
   * A weight of the chosen head.
   * @param {Side} side
   * @param {number} q
   * @param {number} k
   * @returns {number}
   */
  value(side, q, k) {
    if (side === "change") return this.value("after", q, k) - this.value("before", q, k);
    const codes = /** @type {Uint8Array} */ (this.weights[side]);
    return this.weights.levels[codes[this.start + q * this.weights.K + k]];
  }

  /**
   * The mask of a side, if there is one.
   * @param {Side} side
   */
  keepOf(side) {
    return side === "change" ? null : this.weights.keeps[side];
  }

  /**
   * Does the mask of a side hide this cell?
   * @param {Side} side
   * @param {number} q
   * @param {number} k
   */
  hides(side, q, k) {
    const keep = this.keepOf(side);
    return keep !== null && !keep[q * this.weights.K + k];
  }

  /**
   * How much of a head's weight moved; null if there is only one side.
   * @param {Head} place
   */
  moved(place) {
    const { before, after, levels, Q, K } = this.weights;
    return after && percent(movedShare(before, after, levels, this.startOf(place), Q, K));
  }

  /**
   * How many rows of a head are NaN.
   * @param {Head} place
   */
  nanRows(place) {
    const { before, after, Q, K } = this.weights;
    const start = this.startOf(place);
    const rows = Array.from({ length: Q }, (_, q) => start + q * K);
    return rows.filter((from) => (after ?? before).subarray(from, from + K).includes(NAN_CODE)).length;
  }

  hasNaN() {
    return this.sides.some((side) => this.weights[side]?.includes(NAN_CODE));
  }

  /**
   * How a side is coloured, and which of two cells stands out more, by their places among the bytes.
   * @param {Side} side
   * @param {Palette} palette
   * @returns {{ colour: (at: number, cell: number) => number, pick: (a: number, b: number) => number }}
   */
  look(side, palette) {
    const { before, levels } = this.weights;
    const after = /** @type {Uint8Array} */ (this.weights.after);
    if (side === "change") {
      const change = (/** @type {number} */ at) => levels[after[at]] - levels[before[at]];
      const size = (/** @type {number} */ at) => (Number.isNaN(change(at)) ? Infinity : Math.abs(change(at)));
      return { colour: (at) => palette.change(change(at)), pick: (a, b) => (size(b) > size(a) ? b : a) };
    }
    const bytes = side === "before" ? before : after;
    const colours = Uint32Array.from(levels, (value) => palette.weight(value));
    const masked = this.keepOf(side);
    const rank = (/** @type {number} */ at) => bytes[at] + (masked ? masked[at % masked.length] / 2 : 0);
    return {
      colour: (at, cell) => (masked && !masked[cell] && bytes[at] === 0 ? palette.hidden : colours[bytes[at]]),
      pick: (a, b) => (rank(b) > rank(a) ? b : a),
    };
  }
}
