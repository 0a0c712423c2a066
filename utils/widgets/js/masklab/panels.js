// What is below MaskLab's maps: one row step by step, and the mask as code.

import { APIS, toCode } from "../as_code.js";
import { button, choice, element, formatNumber, setText, short, tokenName } from "../dom.js";
import { largestKeys, RowTable } from "../row_table.js";

/** @import { LabView } from "./masklab.js" */

const SHOWN_KEYS = 16;

export class Pipeline {
  /** @param {LabView} view */
  constructor(view) {
    this.view = view;
    this.table = new RowTable(view.words.stages);
    this.scroll = element("div", { class: "masks-scroll", tabindex: "0", role: "region" }, this.table.node);
    this.sum = element("p");
    this.node = element("div", { class: "masklab-pipeline" }, this.scroll, this.sum);
  }

  show() {
    const { words, state } = this.view;
    const { K, before, after, scores } = state;
    const { q } = state.active;
    const from = q * K;
    const stages = { masked: new Float64Array(K), exps: new Float64Array(K) };
    state.computeRow(q, stages);
    const keys = largestKeys(K, SHOWN_KEYS, (k) => Math.max(before[from + k], after[from + k] || 0));
    const lines = keys.map((k) => ({
      name: tokenName(k, state.keyTokens[k]),
      hidden: state.hides(from + k),
      numbers: [scores[from + k], stages.masked[k], stages.exps[k]].map(formatNumber),
      weights: [after, before].map((weights) => ({ text: formatNumber(weights[from + k]), value: weights[from + k] })),
    }));
    const title = words.pipeline(short(state.queryTokens[q]), q);
    this.table.show(title, lines);
    this.scroll.setAttribute("aria-label", title);
    let sum = 0;
    for (let k = 0; k < K; k++) sum += after[from + k];
    const note = K > SHOWN_KEYS ? ` ${words.only_largest(SHOWN_KEYS, K)}` : "";
    setText(this.sum, words.row_sum(Number(sum.toFixed(3))) + note);
  }
}

/** The mask as text for one of the APIs, with a button that copies it. */
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
