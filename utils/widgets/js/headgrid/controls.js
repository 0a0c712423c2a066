// HeadGrid's controls (side, layer, head) and its legend: the scale of colours, hidden cells and NaN.

import { element, field, numberChoice } from "../dom.js";
import { scale, swatch } from "../legend.js";
import { setAndSave } from "../widget.js";

/** @import { Palette } from "../colours.js" */
/** @import { GridState, Side } from "./state.js" */
/** @import { GridView } from "./headgrid.js" */

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
  const parts = [scale(palette, change)];
  if (state.keepOf(state.side)?.includes(0)) parts.push(swatch(palette.hidden, words.hidden, palette.hatch));
  if (state.hasNaN()) parts.push(swatch(palette.nan, words.nan));
  return parts;
}
