// HeadGrid's controls (side, layer, head, brighten) and its legend: the scale of colours, hidden cells and NaN.

import { colourOf, NAN_COLOUR } from "../colours.js";
import { contextOf, element, field, numberChoice } from "../dom.js";
import { setAndSave } from "../widget.js";
import { changeColour, stretch } from "./weights.js";

/** @import { GridState, Side } from "./state.js" */
/** @import { GridView } from "./headgrid.js" */

const LEGEND_WIDTH = 96;

export class GridControls {
  /** @param {GridView} view */
  constructor(view) {
    this.view = view;
    this.node = element("div", { class: "masks-controls" });
    /** @type {Record<string, HTMLSelectElement>} */
    this.selects = {};
    this.brighten = element("input");
    /** @type {HTMLInputElement[]} */
    this.radios = [];
  }

  /** Makes the controls that suit the weights. */
  build() {
    const { model, state, words } = this.view;
    const { layers, heads, after } = state.weights;
    const layer = numberChoice(layers, state.layer, (value) => setAndSave(model, { layer: value }));
    const head = numberChoice(heads, state.head, (value) => setAndSave(model, { head: value }));
    this.selects = { layer, head };
    const onchange = () => setAndSave(model, { brighten: this.brighten.checked });
    this.brighten = element("input", { type: "checkbox", onchange });
    const brighten = element("label", { class: "headgrid-check" }, this.brighten, words.brighten);
    this.node.replaceChildren(field(words.layer, layer), field(words.head, head), brighten);
    this.radios = [];
    if (after) this.node.prepend(element("fieldset", {}, element("legend", {}, words.show), ...this.buildSides()));
  }

  buildSides() {
    const { model, state } = this.view;
    return /** @type {Side[]} */ (["before", "after", "change"]).map((side) => {
      const onchange = () => setAndSave(model, { side });
      const radio = element("input", { type: "radio", name: `${this.view.id}-side`, value: side, onchange });
      this.radios.push(radio);
      return element("label", {}, radio, state.sideName(side));
    });
  }

  /** Shows the state in each control. */
  show() {
    const { state } = this.view;
    this.selects.layer.value = String(state.layer);
    this.selects.head.value = String(state.head);
    this.brighten.checked = state.brighten;
    for (const radio of this.radios) radio.checked = radio.value === state.side;
  }
}

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
  const bar = element("canvas", { width: LEGEND_WIDTH, height: 1, "aria-hidden": "true" });
  const context = contextOf(bar);
  const strip = context.createImageData(LEGEND_WIDTH, 1);
  const pixels = new Uint32Array(strip.data.buffer);
  for (let x = 0; x < LEGEND_WIDTH; x++) {
    const share = x / (LEGEND_WIDTH - 1);
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
