// "As code": the mask as text for one of the APIs, with a button that copies it.

import { APIS, toCode } from "../as_code.js";
import { button, choice, element } from "../dom.js";

/** @import { LabView } from "./view.js" */

export class CodeBox {
  /** @param {LabView} view */
  constructor(view) {
    const { words } = view;
    this.view = view;
    this.text = element("pre", { tabindex: "0", "aria-label": words.code });
    this.api = choice(APIS, "sdpa", () => this.show());
    this.api.setAttribute("aria-label", words.code);
    const copy = button(words.copy, () => this.copy());
    const summary = element("summary", {}, words.code);
    const attributes = { class: "masklab-code", ontoggle: () => this.show() };
    this.node = element("details", attributes, summary, element("div", {}, this.api, copy), this.text);
  }

  show() {
    const { keep, preset, parameters, Q, K } = this.view.state;
    if (this.node.open) this.text.textContent = toCode(this.api.value, keep, preset, parameters, Q, K);
  }

  async copy() {
    const { live, words } = this.view;
    try {
      await navigator.clipboard.writeText(this.text.textContent ?? "");
      live.textContent = words.copied;
    } catch {
      // Without permission, as in some embedded pages: leave it selected, for Ctrl+C.
      getSelection()?.selectAllChildren(this.text);
    }
  }
}
