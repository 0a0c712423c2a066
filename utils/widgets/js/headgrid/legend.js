// HeadGrid's legend: the scale of colours, and what hidden cells and NaN look like.

import { colourOf, NAN_COLOUR } from "../colours.js";
import { contextOf, element } from "../dom.js";
import { changeColour, stretch } from "./change_colours.js";

/** @import { GridState } from "./state.js" */

const WIDTH = 96;

/**
 * @param {GridState} state
 * @param {{ hidden: string, nan: string }} words
 */
export function legendParts(state, words) {
  const change = state.side === "change";
  const parts = [element("span", {}, change ? "−1 " : "0 ", scale(change, state.brighten), change ? " +1" : " 1")];
  if (state.weights.keep && state.side === "after") parts.push(swatch("#d9d9d9", words.hidden));
  if (state.hasNaN()) parts.push(swatch(change ? "#000000" : `rgb(${NAN_COLOUR})`, words.nan));
  return parts;
}

/**
 * @param {boolean} change
 * @param {boolean} brighten
 */
function scale(change, brighten) {
  const bar = element("canvas", { width: WIDTH, height: 1, "aria-hidden": "true" });
  const context = contextOf(bar);
  const strip = context.createImageData(WIDTH, 1);
  const pixels = new Uint32Array(strip.data.buffer);
  for (let x = 0; x < WIDTH; x++) {
    const share = x / (WIDTH - 1);
    pixels[x] = change ? changeColour(2 * share - 1, brighten) : colourOf(stretch(share, brighten));
  }
  context.putImageData(strip, 0, 0);
  return bar;
}

/**
 * @param {string} colour
 * @param {string} text
 */
function swatch(colour, text) {
  const box = element("span", { class: "headgrid-swatch" });
  box.style.background = colour;
  return element("span", {}, box, text);
}
