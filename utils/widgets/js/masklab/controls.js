// MaskLab's controls: the mask and its parameters, what hidden scores get, number type, head, and three buttons.

import { button, choice, element, field, numberChoice } from "../dom.js";
import { PRESETS } from "../presets.js";
import { DTYPES } from "../softmax.js";

/** @import { Parameter } from "../presets.js" */
/** @import { LabView } from "./masklab.js" */

const FILLS = { "-inf": "−∞", min: "finfo.min", "-1e9": "−1e9", "-1e4": "−1e4" };

/** @param {LabView} view */
export function labControls(view) {
  const { model, words, state } = view;
  const preset = choice(words.presets, "custom", (name) => view.change(() => state.apply(name, state.parameters)));
  preset.options[0].disabled = true; // says what the mask is; there is nothing to choose
  const parameters = element("span", { class: "masklab-parameters" });
  const dtypes = Object.fromEntries(Object.keys(DTYPES).map((name) => [name, name]));
  /** @type {Record<string, HTMLSelectElement>} */
  const settings = {
    fill: choice(FILLS, model.get("fill"), (fill) => view.choose({ fill })),
    dtype: choice(dtypes, model.get("dtype"), (dtype) => view.choose({ dtype })),
    head: numberChoice(state.heads, model.get("head"), (head) => view.choose({ head })),
  };
  const fields = Object.entries(settings).map(([name, select]) => field(/** @type {any} */ (words)[name], select));
  if (state.heads === 1) fields.pop();
  const flip = button(words.flip, () => view.choose({ flipped: !model.get("flipped") }));
  const undo = button(words.undo, () => view.travel(false));
  const reset = button(words.reset, () => view.reset());

  /** Shows the state in each control. */
  const show = () => {
    for (const [name, select] of Object.entries(settings)) select.value = String(model.get(name));
    flip.setAttribute("aria-pressed", String(model.get("flipped")));
    preset.value = state.preset;
    undo.setAttribute("aria-disabled", String(state.history.past.length === 0)); // disabled would lose the focus
  };

  /** @type {Record<string, HTMLInputElement>} */
  let inputs = {};
  let inputsOf = ""; // which preset

  /** Shows an input for each parameter of the preset. */
  const showParameters = () => {
    if (inputsOf !== state.preset) {
      inputsOf = state.preset;
      const needed = PRESETS[state.preset]?.parameters ?? [];
      inputs = Object.fromEntries(needed.map((one) => [one.name, parameterInput(view, one)]));
      const hadFocus = parameters.contains(document.activeElement);
      parameters.replaceChildren(...needed.map(({ name }) => field(words.parameters[name], inputs[name])));
      if (hadFocus) preset.focus({ preventScroll: true }); // as after Undo: the page's own keys are not meant
    }
    for (const [name, input] of Object.entries(inputs)) input.value = [state.parameters[name]].flat().join(", ");
  };

  const mask = [field(words.preset, preset), parameters];
  const node = element("div", { class: "masks-controls" }, ...mask, ...fields);
  const buttons = element("div", { class: "masklab-buttons" }, flip, undo, reset);
  return { node, buttons, show, showParameters };
}

/**
 * @param {LabView} view
 * @param {Parameter} parameter
 */
function parameterInput(view, parameter) {
  const { state } = view;
  const { name, kind, least } = parameter;
  const onchange = () => {
    const value = readValue(input.value, parameter, state.K);
    const same = String(value) === String(state.parameters[name]);
    if (same) return view.controls.showParameters(); // in place of what was typed
    view.change(() => state.apply(state.preset, { ...state.parameters, [name]: value }));
  };
  // In JupyterLab Enter is no change by itself.
  const onkeydown = (/** @type {KeyboardEvent} */ event) => event.key === "Enter" && onchange();
  const type = kind === "lengths" ? "text" : "number";
  const input = element("input", { type, min: least, max: state.K, size: 6, onchange, onkeydown });
  return input;
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
