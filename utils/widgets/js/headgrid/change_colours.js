// Colours of changes: purple for less, orange for more, white for the same, black for NaN.

import { BLACK, pixel } from "../colours.js";

const LESS = [84, 39, 136];
const SAME = [247, 247, 247];
const MORE = [179, 88, 6];
const CHANGES = Uint32Array.from({ length: 511 }, (_, n) => {
  const share = Math.abs(n - 255) / 255;
  const end = n < 255 ? LESS : MORE;
  return pixel(SAME.map((value, i) => Math.round(value + (end[i] - value) * share)));
});

/**
 * The square root, if small values are to be seen.
 * @param {number} value
 * @param {boolean} brighten
 */
export const stretch = (value, brighten) => (brighten ? Math.sign(value) * Math.sqrt(Math.abs(value)) : value);

/**
 * @param {number} change -1 … 1 or NaN
 * @param {boolean} brighten
 */
export const changeColour = (change, brighten) =>
  Number.isNaN(change) ? BLACK : CHANGES[255 + Math.round(255 * stretch(change, brighten))];
