// What is below MaskLab's maps and their row: the mask as code.

import { APIS, toCode } from "../as_code.js";
import { copyButton } from "../copying.js";
import { choice, element, setText } from "../dom.js";

/** @import { LabView } from "./masklab.js" */

/**
 * The mask as text for one of the APIs, with a button that copies it.
 * @param {LabView} view
 */
export function codeBox(view) {
  const { words, state, model, live } = view;
  const text = element("pre", { tabindex: "0", "aria-label": words.code });
  const show = () => {
    if (!node.open) return;
    const { keep, preset, parameters, Q, K } = state;
    const settings = { flipped: model.get("flipped"), fill: model.get("fill"), dtype: model.get("dtype") };
    setText(text, toCode(api.value, keep, preset, parameters, Q, K, settings));
  };
  const copying = copyButton(text, words, live);
  const api = choice(APIS, "sdpa", show);
  api.setAttribute("aria-label", words.code);
  const parts = [element("summary", {}, words.code), element("div", {}, api, copying), text];
  const ontoggle = () => {
    show();
    view.measure(); // on a slide the maps give way to the code, and come back
  };
  const node = element("details", { class: "masklab-code masks-code", ontoggle }, ...parts);
  return { node, show };
}
