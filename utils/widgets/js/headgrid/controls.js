// HeadGrid's controls (side, layer, head) and its legend: the scale of colours, hidden cells and NaN.

import { css } from "../colours.js";
import { contextOf, element, field, numberChoice } from "../dom.js";
import { setAndSave } from "../widget.js";

/** @import { Palette } from "../colours.js" */
/** @import { GridState, Side } from "./state.js" */
/** @import { GridView } from "./headgrid.js" */

const LEGEND_WIDTH = 96;

export class GridControls {
  /** @param {GridView} view */
  constructor(view) {
    this.view = view;
    this.sides = element("div");
    this.head = element("div", { class: "headgrid-head" });
    /** Shows the state in each control. */
    this.show = () => {};
  }

  /** Makes the controls that suit the weights. */
  build() {
    const { model, state, words, id } = this.view;
    const { layers, heads, after } = state.weights;
    const layer = numberChoice(layers, state.layer, (value) => setAndSave(model, { layer: value }));
    const head = numberChoice(heads, state.head, (value) => setAndSave(model, { head: value }));
    this.head.replaceChildren(field(words.layer, layer), field(words.head, head));
    const sides = /** @type {Side[]} */ (["before", "after", "change"]);
    const radios = sides.map((side) => {
      const attributes = { type: "radio", name: `${id}-side`, value: side };
      return element("input", { ...attributes, onchange: () => setAndSave(model, { side }) });
    });
    const labels = radios.map((radio, n) => element("label", {}, radio, state.sideName(sides[n])));
    const title = element("legend", { class: "masks-hidden" }, words.show);
    if (after) this.sides.replaceChildren(element("fieldset", {}, title, ...labels));
    else this.sides.replaceChildren(words.thumbs(words.only, layers, heads));
    this.show = () => {
      layer.value = String(state.layer);
      head.value = String(state.head);
      for (const radio of radios) radio.checked = radio.value === state.side;
    };
  }
}

/**
 * @param {GridState} state
 * @param {{ hidden: string, nan: string }} words
 * @param {Palette} palette
 */
export function legendParts(state, words, palette) {
  const change = state.side === "change";
  const parts = [element("span", {}, change ? "−1 " : "0 ", scale(change, palette), change ? " +1" : " 1")];
  if (state.weights.keep && state.side === "after")
    parts.push(swatch(css(palette.hidden), words.hidden, palette.hatch));
  if (state.hasNaN()) parts.push(swatch(css(palette.nan), words.nan));
  return parts;
}

/**
 * @param {boolean} change
 * @param {Palette} palette
 */
function scale(change, palette) {
  const bar = element("canvas", { width: LEGEND_WIDTH, height: 1, "aria-hidden": "true" });
  const context = contextOf(bar);
  const strip = context.createImageData(LEGEND_WIDTH, 1);
  const pixels = new Uint32Array(strip.data.buffer);
  for (let x = 0; x < LEGEND_WIDTH; x++) {
    const share = x / (LEGEND_WIDTH - 1);
    pixels[x] = change ? palette.change(2 * share - 1) : palette.weight(share);
  }
  context.putImageData(strip, 0, 0);
  return bar;
}

/**
 * @param {string} colour
 * @param {string} text
 * @param {string} [line] across it
 */
function swatch(colour, text, line = colour) {
  const box = element("span", { class: "headgrid-swatch" });
  box.style.background = `linear-gradient(135deg, ${colour} 46%, ${line} 46% 54%, ${colour} 54%)`;
  return element("span", {}, box, text);
}
