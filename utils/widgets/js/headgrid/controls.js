// HeadGrid's controls: which side, layer and head, and whether small weights are brightened.

import { element, field, numberChoice } from "../dom.js";
import { setAndSave } from "../model.js";

/** @import { Side } from "./state.js" */
/** @import { GridView } from "./view.js" */

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
