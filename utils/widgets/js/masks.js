// The table of masks.py. This file only says what it is: _base.py puts the rows in, when it joins a widget's text.

/** @typedef {Record<string, any>} Parameters */

/**
 * @typedef {object} Parameter
 * @property {string} name
 * @property {string} label
 * @property {number} least
 * @property {"count" | "lengths"} kind
 */

/**
 * @typedef {object} Preset
 * @property {string} label
 * @property {string} rule
 * @property {Parameter[]} parameters
 * @property {(k_len: number) => Record<string, number>} firsts what the parameters are at first
 * @property {(values: Parameters, Q: number, K: number, document: number[]) => Rule} sees
 */

/** May query q attend to key k? @typedef {(q: number, k: number) => number | boolean} Rule */

/** @type {Record<string, Preset>} */
export const PRESETS = {};
