// MaskLab's controls: the mask and its parameters, what hidden scores get, number type, head, and three buttons.

import { button, choice, element, field, numberChoice } from "../dom.js";
import { PRESETS } from "../presets.js";
import { DTYPES } from "../softmax.js";
import { setAndSave } from "../widget.js";

/** @import { Parameter } from "../presets.js" */
/** @import { LabView } from "./masklab.js" */

const FILLS = { "-inf": "−∞", min: "finfo.min", "-1e9": "−1e9", "-1e4": "−1e4" };

export class LabControls {
  /** @param {LabView} view */
  constructor(view) {
    const { model, words, state } = view;
    this.view = view;
    this.preset = choice(words.presets, "custom", (name) => view.change(() => state.apply(name, state.parameters)));
    this.preset.options[0].disabled = true; // says what the mask is; there is nothing to choose
    this.parameters = element("span", { class: "masklab-parameters" });
    /** @type {Record<string, HTMLInputElement>} */
    this.inputs = {};
    this.inputsOf = ""; // which preset
    const dtypes = Object.fromEntries(Object.keys(DTYPES).map((name) => [name, name]));
    /** @type {Record<string, HTMLSelectElement>} */
    this.settings = {
      fill: choice(FILLS, model.get("fill"), (fill) => setAndSave(model, { fill })),
      dtype: choice(dtypes, model.get("dtype"), (dtype) => setAndSave(model, { dtype })),
      head: numberChoice(state.heads, model.get("head"), (head) => setAndSave(model, { head })),
    };
    this.flip = button(words.flip, () => setAndSave(model, { flipped: !model.get("flipped") }));
    this.undo = button(words.undo, () => state.undo() && view.commit());
    const reset = button(words.reset, () => view.change(() => state.reset()));
    const { fill, dtype, head } = this.settings;
    const fields = [field(words.fill, fill), field(words.dtype, dtype), field(words.head, head)];
    if (state.heads === 1) fields.pop();
    const mask = [field(words.preset, this.preset), this.parameters];
    this.node = element("div", { class: "masks-controls" }, ...mask, ...fields, this.flip, this.undo, reset);
  }

  /** Shows the state in each control. */
  show() {
    const { model, state } = this.view;
    for (const [name, select] of Object.entries(this.settings)) select.value = String(model.get(name));
    this.flip.setAttribute("aria-pressed", String(model.get("flipped")));
    this.preset.value = state.preset;
    this.undo.setAttribute("aria-disabled", String(state.past.length === 0)); // disabled would lose the focus
  }

  /** Shows an input for each parameter of the preset. */
  showParameters() {
    const { state, words } = this.view;
    if (this.inputsOf !== state.preset) {
      this.inputsOf = state.preset;
      const parameters = PRESETS[state.preset]?.parameters ?? [];
      this.inputs = Object.fromEntries(parameters.map((parameter) => [parameter.name, this.input(parameter)]));
      const fields = Object.entries(this.inputs).map(([name, input]) => field(words.parameters[name], input));
      this.parameters.replaceChildren(...fields);
    }
    for (const [name, input] of Object.entries(this.inputs)) input.value = [state.parameters[name]].flat().join(", ");
  }

  /** @param {Parameter} parameter */
  input(parameter) {
    const { view } = this;
    const { state } = view;
    const { name, kind, least } = parameter;
    const onchange = () => {
      const value = readValue(input.value, parameter, state.K);
      const same = String(value) === String(state.parameters[name]);
      if (same)
        this.showParameters(); // in place of what was typed
      else view.change(() => state.apply(state.preset, { ...state.parameters, [name]: value }));
    };
    // In JupyterLab Enter is no change by itself.
    const onkeydown = (/** @type {KeyboardEvent} */ event) => event.key === "Enter" && onchange();
    const type = kind === "lengths" ? "text" : "number";
    const input = element("input", { type, min: least, max: state.K, size: 6, onchange, onkeydown });
    return input;
  }
}

/**
 * The value that was typed, brought into its range.
 * @param {string} text
 * @param {Parameter} parameter
 * @param {number} most
 */
function readValue(text, { kind, least }, most) {
  if (kind === "count") return Math.min(most, Math.max(least, Math.round(Number(text) || 0)));
  return (text.match(/[0-9]+/g) ?? []).map((length) => Math.min(most, Number(length)));
}
