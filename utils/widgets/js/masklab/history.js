// MaskLab's history: where Undo, redo and Reset lead. A model has one, and its views share it.

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

export class LabHistory {
  /**
   * @param {Moment} start
   * @param {number} most how many moments are kept
   */
  constructor(start, most) {
    this.start = start;
    this.most = most;
    /** @type {Moment[]} */
    this.past = [];
    /** @type {Moment[]} */
    this.future = []; // the next one last
  }

  /** @param {Moment} now what is about to change */
  remember(now) {
    this.past.push(now);
    if (this.past.length > this.most) this.past.shift();
    this.future = [];
  }

  /**
   * The moment before this one, or the one after it that was undone; nothing if there is none.
   * @param {Moment} now
   * @param {boolean} forward
   */
  step(now, forward) {
    const [from, to] = forward ? [this.future, this.past] : [this.past, this.future];
    const next = from.pop();
    if (next) to.push(now);
    return next;
  }
}

/** @type {WeakMap<object, LabHistory>} */
const HISTORIES = new WeakMap();

/**
 * anywidget gives each view a model object of its own, but they hold the same arrays.
 * @param {Model} model
 * @param {Moment} start
 * @param {number} most
 */
export function historyOf(model, start, most) {
  const key = model.get("shape");
  const history = HISTORIES.get(key) ?? new LabHistory(start, most);
  HISTORIES.set(key, history);
  return history;
}
