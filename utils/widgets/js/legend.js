// What the colours of cells mean: the scale of weights or of changes, hidden cells, and NaN.

import { css } from "./colours.js";
import { element } from "./dom.js";

/** @import { Palette } from "./colours.js" */

/**
 * "0 ▬ .25 ▬ 1": colours are spaced by the square root, so a quarter is in the middle.
 * @param {Palette} palette
 * @param {boolean} [change] from −1 to +1
 */
export function scale(palette, change = false) {
  const [low, middle, high] = change ? ["−1", "0", "+1"] : ["0", ".25", "1"];
  const colours = change ? palette.changes : palette.weights;
  return element("span", {}, low, half(colours, 0), middle, half(colours, 0.5), high);
}

/**
 * @param {Uint32Array} colours
 * @param {number} from the share of them at which it begins; it ends half of them later
 */
function half(colours, from) {
  const shares = Array.from({ length: 9 }, (_, n) => from + n / 16);
  const bar = element("span", { class: "masks-scale" });
  const stops = shares.map((share) => css(colours[Math.round(share * (colours.length - 1))]));
  bar.style.background = `linear-gradient(to right, ${stops})`;
  return bar;
}

/**
 * @param {number} colour
 * @param {string} text
 * @param {string} [line] across it
 */
export function swatch(colour, text, line = css(colour)) {
  const box = element("span", { class: "masks-swatch" });
  box.style.background = `linear-gradient(135deg, ${css(colour)} 46%, ${line} 46% 54%, ${css(colour)} 54%)`;
  return element("span", {}, box, text);
}
