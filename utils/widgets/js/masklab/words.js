// Everything that MaskLab shows or reads out, so that another language needs no other widget.

import { PRESETS } from "../presets.js";

const presets = Object.entries(PRESETS);

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
  pipeline: (/** @type {string} */ query, /** @type {number} */ q) => `Row ${q}, query ${query}, step by step`,
  stages: ["key", "score", "score + bias", "exp(… − max)", "weight", "before"],
  row_sum: (/** @type {number} */ sum) =>
    Number.isNaN(sum) ? "This row is NaN: nothing is left to look at." : `The weights sum to ${sum}.`,
  only_largest: (/** @type {number} */ shown, /** @type {number} */ all) =>
    `Shown are the ${shown} keys with most weight, of ${all}.`,
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
  help: "Click or drag cells of the second map. Arrows move, Space hides or shows, Ctrl+Z undoes.",
  help_touch: "Tap a cell to hide or show it. Hold, then drag, to draw.",
};
