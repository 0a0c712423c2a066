// The history of a mask that is drawn: where Undo, redo and Reset lead. A model has one, and its views share it.

/**
 * All that a person can change is a moment.
 * @template Moment
 */
export class DrawingHistory {
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

/** @type {WeakMap<object, DrawingHistory<any>>} */
const HISTORIES = new WeakMap();

/**
 * anywidget gives each view a model object of its own, but they hold the same arrays.
 * @template Moment
 * @param {object} key an array or object of the model that is never replaced
 * @param {Moment} start
 * @param {number} most
 * @returns {DrawingHistory<Moment>}
 */
export function historyOf(key, start, most) {
  const history = HISTORIES.get(key) ?? new DrawingHistory(start, most);
  HISTORIES.set(key, history);
  return history;
}
