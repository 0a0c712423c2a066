// What is below MaskLab's maps and their row: the mask as code.

import { APIS, toCode } from "../as_code.js";
import { button, choice, element } from "../dom.js";

/** @import { LabView } from "./masklab.js" */

/**
 * The mask as text for one of the APIs, with a button that copies it.
 * @param {LabView} view
 */
export function codeBox({ words, state, live }) {
  const text = element("pre", { tabindex: "0", "aria-label": words.code });
  const show = () => {
    const { keep, preset, parameters, Q, K } = state;
    if (node.open) text.textContent = toCode(api.value, keep, preset, parameters, Q, K);
  };
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text.textContent ?? "");
      live.textContent = words.copied;
    } catch {
      // Without permission, as in some embedded pages: leave it selected, for Ctrl+C.
      getSelection()?.selectAllChildren(text);
    }
  };
  const api = choice(APIS, "sdpa", show);
  api.setAttribute("aria-label", words.code);
  const parts = [element("summary", {}, words.code), element("div", {}, api, button(words.copy, copy)), text];
  const node = element("details", { class: "masklab-code", ontoggle: show }, ...parts);
  return { node, show };
}
