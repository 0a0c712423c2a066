// The colours of cells, for light pages and for dark ones. Each is one number, as an image holds its pixels:
// little-endian RGBA.

/** @typedef {{ weights: string, changes: string, hidden: number[], hatch: number[], nan: number[] }} Theme */

/** @type {Record<string, Theme>} */
const THEMES = {}; // filled from utils/_colours.py

/** @param {number[]} rgb */
const pixel = ([red, green, blue]) => ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0;

/**
 * @param {string} rgb three bytes a colour, as base64
 */
function table(rgb) {
  const bytes = Uint8Array.from(atob(rgb), (character) => character.charCodeAt(0));
  return Uint32Array.from({ length: bytes.length / 3 }, (_, n) => pixel([...bytes.subarray(3 * n, 3 * n + 3)]));
}

export class Palette {
  /** @param {Theme} theme */
  constructor({ weights, changes, hidden, hatch, nan }) {
    this.weights = table(weights);
    this.changes = table(changes);
    this.hidden = pixel(hidden);
    this.hatch = `rgb(${hatch})`;
    this.faintHatch = pixel(hidden.map((part, n) => Math.round((part + hatch[n]) / 2))); // where cells are tiny
    this.nan = pixel(nan);
  }

  /**
   * The square root is the spacing, so that small weights can be told apart.
   * @param {number} weight 0 … 1 or NaN
   */
  weight(weight) {
    return Number.isNaN(weight) ? this.nan : this.weights[Math.round(255 * Math.sqrt(Math.min(1, weight)))];
  }

  /** @param {number} change -1 … 1 or NaN */
  change(change) {
    if (Number.isNaN(change)) return this.nan;
    return this.changes[255 + Math.round(255 * Math.sign(change) * Math.sqrt(Math.min(1, Math.abs(change))))];
  }
}

/** @type {Record<string, Palette>} */
const PALETTES = {};

/**
 * The colours that suit the page: those of its widget's background.
 * @param {Element} widget
 */
export function paletteOf(widget) {
  const [red] = getComputedStyle(widget).backgroundColor.match(/\d+/g) ?? ["255"];
  const name = Number(red) < 128 ? "dark" : "light";
  PALETTES[name] ??= new Palette(THEMES[name]);
  return PALETTES[name];
}

/**
 * A pixel as CSS writes it.
 * @param {number} colour
 */
export const css = (colour) => `rgb(${colour & 255} ${(colour >> 8) & 255} ${(colour >> 16) & 255})`;

/**
 * Whether white text is read better on it than black.
 * @param {number} colour
 */
export function isDeep(colour) {
  const [red, green, blue] = [0, 8, 16].map((shift) => (((colour >> shift) & 255) / 255) ** 2.2);
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue < 0.18; // where both have the same contrast
}
