// MaskLab's state: the mask that is drawn, what it is called, its history, and the weights before and after it.

import { historyOf } from "../history.js";
import { defaults, isPreset, PRESETS, presetKeep, recognise } from "../presets.js";
import { attendRow, fillValue } from "../softmax.js";
import { bytesOf } from "../widget.js";

/** @import { Parameters } from "../presets.js" */
/** @import { Model } from "../widget.js" */

/**
 * All that a person can change.
 * @typedef {object} Moment
 * @property {Uint8Array} keep
 * @property {string | null} preset its name; null if it was not looked for yet
 * @property {Parameters} parameters
 * @property {Record<string, any>} settings
 */

const SETTINGS = ["fill", "dtype", "head", "flipped", "step"];

export class LabState {
  /** @param {Model} model */
  constructor(model) {
    this.model = model;
    const [heads, Q, K] = /** @type {number[]} */ (model.get("shape"));
    this.heads = heads;
    this.Q = Q;
    this.K = K;
    /** @type {string[]} */
    this.queryTokens = model.get("query_tokens");
    /** @type {string[]} */
    this.keyTokens = model.get("key_tokens");
    this.keep = bytesOf(model.get("keep_bytes")); // this view's own, to draw on
    this.known = this.keep.slice(); // the mask as others know it
    this.scores = new Float32Array(Q * K); // of the chosen head
    this.before = new Float32Array(Q * K);
    this.after = new Float32Array(Q * K);
    this.hiddenInRow = new Uint32Array(Q);
    this.counts = { hidden: 0, empty: 0, nan: 0 };
    this.active = { q: 0, k: 0 };
    this.edited = 0; // the row that changed last
    this.preset = "custom";
    this.parameters = defaults(K);
    this.sharing = false; // so that this view does not read its own words
    this.nameMask();
    this.history = historyOf(model.get("shape"), this.now(true), Q * K > 65536 ? 10 : 100);
  }

  /** Names the mask: as the view that drew it says; else, as after Python has drawn, as it looks. */
  nameMask() {
    const said = this.model.get("preset");
    const parameters = { ...this.parameters, ...said.parameters };
    const holds = said.name in PRESETS && isPreset(this.keep, said.name, parameters, this.Q, this.K, this.edited);
    const preset = holds ? { name: said.name, parameters } : recognise(this.keep, this.Q, this.K, this.edited);
    this.preset = preset.name;
    this.parameters = { ...this.parameters, ...preset.parameters };
  }

  // -- computing --

  /** @param {number} cell */
  hides(cell) {
    return this.keep[cell] === (this.model.get("flipped") ? 1 : 0);
  }

  /**
   * The weights of row q after the mask.
   * @param {number} q
   */
  computeRow(q) {
    const { model, K } = this;
    const drawn = this.keep.subarray(q * K, q * K + K);
    const row = model.get("flipped") ? drawn.map((visible) => 1 - visible) : drawn;
    const fill = fillValue(model.get("fill"), model.get("dtype"));
    attendRow(this.scores, q * K, row, K, fill, model.get("dtype"), this.after, q * K);
    this.hiddenInRow[q] = row.reduce((hidden, visible) => hidden - visible, K);
  }

  /** Reads the scores of the chosen head, and computes their weights before the mask. */
  computeBefore() {
    const { model, Q, K } = this;
    const { buffer, byteOffset } = /** @type {DataView<ArrayBuffer>} */ (model.get("scores_bytes"));
    const from = byteOffset + 4 * Q * K * model.get("head");
    this.scores = new Float32Array(buffer.slice(from, from + 4 * Q * K));
    for (let at = 0; at < Q * K; at += K) attendRow(this.scores, at, null, K, 0, model.get("dtype"), this.before, at);
  }

  count() {
    this.counts = { hidden: 0, empty: 0, nan: 0 };
    for (let q = 0; q < this.Q; q++) {
      this.counts.hidden += this.hiddenInRow[q];
      this.counts.empty += Number(this.hiddenInRow[q] === this.K);
      this.counts.nan += Number(Number.isNaN(this.after[q * this.K]));
    }
  }

  // -- changing --

  /**
   * @param {boolean} named whether its name is that of the mask, or was not looked for yet
   * @returns {Moment}
   */
  now(named) {
    const settings = Object.fromEntries(SETTINGS.map((name) => [name, this.model.get(name)]));
    return { keep: this.known, preset: named ? this.preset : null, parameters: this.parameters, settings };
  }

  /** @param {Moment} moment */
  restore({ keep, preset, parameters, settings }) {
    this.keep = keep.slice();
    this.parameters = parameters;
    if (preset) this.preset = preset;
    else this.nameMask();
    for (const [name, value] of Object.entries(settings)) if (this.model.get(name) !== value) this.share(name, value);
  }

  /** Whether there is nothing that Reset would change. */
  isAtStart() {
    const { keep, preset, parameters, settings } = this.history.start;
    const same =
      this.preset === preset &&
      SETTINGS.every((name) => this.model.get(name) === settings[name]) &&
      Object.keys(parameters).every((name) => String(this.parameters[name]) === String(parameters[name]));
    return same && keep.every((visible, cell) => visible === this.keep[cell]);
  }

  /**
   * @param {string} name
   * @param {Record<string, any>} parameters
   */
  apply(name, parameters) {
    this.parameters = parameters;
    this.keep = presetKeep(name, parameters, this.Q, this.K);
    this.preset = name;
  }

  /** @param {Uint8Array<ArrayBuffer>} keep a mask of any shape */
  draw(keep) {
    this.keep = keep;
    this.nameMask();
  }

  /**
   * Hides or shows a cell; false if it is so already.
   * @param {number} q
   * @param {number} k
   * @param {number} value
   */
  setCell(q, k, value) {
    const cell = q * this.K + k;
    if (this.keep[cell] === value) return false;
    this.keep[cell] = value;
    this.edited = q;
    this.preset = "custom";
    return true;
  }

  /** Takes the mask that another view, or Python, has drawn, and returns the rows that differ. */
  readKeep() {
    const keep = bytesOf(this.model.get("keep_bytes"));
    const rows = new Set();
    for (let at = 0; at < keep.length; at++) if (keep[at] !== this.keep[at]) rows.add(Math.floor(at / this.K));
    [this.keep, this.known] = [keep, keep.slice()];
    this.nameMask();
    return /** @type {number[]} */ ([...rows]);
  }

  // -- telling others --

  /**
   * @param {string} name
   * @param {unknown} value
   */
  share(name, value) {
    this.sharing = true;
    this.model.set(name, value);
    this.sharing = false;
  }

  shareKeep() {
    this.known = this.keep.slice();
    this.share("keep_bytes", new DataView(this.known.buffer));
  }

  sharePreset() {
    this.share("preset", { name: this.preset, parameters: this.parameters });
    this.model.save_changes();
  }
}
