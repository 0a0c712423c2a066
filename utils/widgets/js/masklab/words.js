// Everything that MaskLab shows or reads out, so that another language needs no other widget.

import { PRESETS } from "../presets.js";

const presets = Object.entries(PRESETS);

/**
 * A row as it is played, in text. `subtracted` and `infinite`: whether the largest was taken off, and −∞ is among them.
 * @typedef {object} Facts
 * @property {string} query
 * @property {number} all
 * @property {number} hidden
 * @property {string} fill
 * @property {string} max
 * @property {string} power of the largest
 * @property {boolean} subtracted
 * @property {boolean} infinite
 * @property {string} sum
 * @property {string} key that has most weight
 * @property {string} weight
 * @property {string} before
 * @property {string} leak
 */

/** What has just happened to a row. @type {Record<string, (facts: Facts) => string>} */
const SAID = {
  score: ({ query }) => `score: how well query ${query} fits each key.`,
  bias({ hidden, all, fill }) {
    if (hidden === 0) return "bias: nothing is hidden, so 0 is added to every score.";
    if (hidden === all) return `bias: every key is hidden, so ${fill} is added to every score.`;
    return `bias: ${fill} is added to ${hidden} hidden ${hidden === 1 ? "score" : "scores"}, 0 to the others.`;
  },
  exp({ max, power, subtracted, infinite }) {
    if (max === "∞") return "exp: ∞ − ∞ is NaN."; // float16 ends at 65504
    if (subtracted) return `exp: first ${max}, the largest, is subtracted. No weight changes.`;
    if (max === "−∞") return "exp: −∞ becomes 0.";
    return `exp: ${max} becomes ${power}${infinite ? "; −∞ becomes 0" : ""}.`;
  },
  sum({ sum }) {
    if (sum === "0") return "÷ sum: the sum is 0, and 0 / 0 is NaN.";
    return sum === "NaN" ? "÷ sum: the sum is NaN." : `÷ sum: the sum is ${sum}; each is divided by it.`;
  },
  weight({ key, weight, before, leak }) {
    if (leak === "NaN" || weight === "NaN") return "weight: the row is NaN. Nothing is left to look at.";
    if (leak !== "0") return `weight: hidden keys still get ${leak}.`;
    return `weight: “${key}” gets most, ${weight}; without the mask ${before}.`;
  },
};

export const WORDS = {
  before: "before: softmax(scores)",
  after: "after the mask",
  key: "key: who is looked at",
  query: "query: who looks",
  preset: "Mask",
  presets: { custom: "drawn by hand", ...Object.fromEntries(presets.map(([name, { label }]) => [name, label])) },
  parameters: Object.fromEntries(presets.flatMap(([, { parameters }]) => parameters.map((p) => [p.name, p.label]))),
  fill: "Hidden scores get",
  dtype: "Number type",
  head: "Head",
  flip: "Flip polarity",
  flipped: "Flipped: True is read as ignore.",
  undo: "Undo",
  reset: "Reset",
  code: "As code",
  copy: "Copy",
  copied: "Copied",
  copy_yourself: "Press Ctrl+C",
  pipeline: (/** @type {string} */ query, /** @type {number} */ q) => `Row ${q}, query ${query}`,
  stages: { score: "score", bias: "bias", masked: "score + bias", exp: "exp", weight: "weight", before: "before" },
  exp_of_difference: "exp(… − max)",
  sum: "sum",
  row_sum: (/** @type {number} */ sum) =>
    Number.isNaN(sum) ? "This row is NaN: nothing is left to look at." : `The weights sum to ${sum}.`,
  only_largest: (/** @type {number} */ shown, /** @type {number} */ all) =>
    `Shown are the ${shown} keys with most weight, of ${all}.`,
  play: "Play",
  pause: "Pause",
  stage_back: "One stage back",
  stage_on: "One stage on",
  said: SAID,
  tour: "Guided tour",
  back: "Back",
  next: "Next",
  again: "This step again",
  /** @type {(n: number, all: number, task: boolean) => string} */
  step_of: (n, all, task) => `${n} of ${all}${task ? ", task" : ""}.`,
  solved: "Solved.",
  visible: "visible",
  hidden: "hidden",
  /** @type {(query: string, key: string, visible: string, weight: string) => string} */
  cell: (query, key, visible, weight) => `query ${query}, key ${key}: ${visible}, weight ${weight}`,
  /** @type {(hidden: number, all: number, empty: number, nan: number) => string} */
  summary: (hidden, all, empty, nan) =>
    `${hidden} of ${all} cells hidden` +
    (empty ? `, ${empty} ${empty === 1 ? "query sees" : "queries see"} nothing` : "") +
    (nan ? `, ${nan} ${nan === 1 ? "row is" : "rows are"} NaN` : "") +
    ".",
  help: "Click or drag cells of the second map. Arrows move, Space toggles, Ctrl+Z undoes.",
  help_touch: "Tap a cell to hide or show it. Hold, then drag, to draw.",
};
