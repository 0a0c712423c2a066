// What is below MaskLab's maps: one row step by step, and the mask as code.

import { APIS, toCode } from "../as_code.js";
import { button, choice, element, formatNumber, setText, short } from "../dom.js";
import { RowTable } from "../row_table.js";

/** @import { LabView } from "./masklab.js" */

const SHOWN_KEYS = 16;

/**
 * The active row, from scores to weights.
 * @param {LabView} view
 */
export function pipeline({ words, state }) {
  const { K, keyTokens } = state;
  const table = new RowTable(words.stages, formatNumber);
  const scroll = element("div", { class: "masks-scroll", tabindex: "0", role: "region" }, table.node);
  const note = element("p");
  const stages = { masked: new Float64Array(K), exps: new Float64Array(K) };
  const show = () => {
    const { before, after, scores } = state;
    const { q } = state.active;
    const from = q * K;
    state.computeRow(q, stages);
    const title = words.pipeline(short(state.queryTokens[q]), q);
    const largest = (/** @type {number} */ k) => Math.max(before[from + k], after[from + k] || 0);
    table.show(title, keyTokens, SHOWN_KEYS, largest, (k) => ({
      hidden: state.hides(from + k),
      numbers: [scores[from + k], stages.masked[k], stages.exps[k]],
      weights: [after[from + k], before[from + k]],
    }));
    scroll.setAttribute("aria-label", title);
    const sum = after.subarray(from, from + K).reduce((total, weight) => total + weight, 0);
    const cut = K > SHOWN_KEYS ? ` ${words.only_largest(SHOWN_KEYS, K)}` : "";
    setText(note, words.row_sum(Number(sum.toFixed(3))) + cut);
  };
  return { node: element("div", { class: "masklab-pipeline" }, scroll, note), show };
}

/**
 * The mask as text for one of the APIs, with a button that copies it.
 * @param {LabView} view
 */
export function codeBox({ words, state, model, live }) {
  const text = element("pre", { tabindex: "0", "aria-label": words.code });
  const show = () => {
    if (!node.open) return;
    const { keep, preset, parameters, Q, K } = state;
    const settings = { flipped: model.get("flipped"), fill: model.get("fill"), dtype: model.get("dtype") };
    setText(text, toCode(api.value, keep, preset, parameters, Q, K, settings));
  };
  let saying = 0;
  const say = (/** @type {string} */ word) => {
    setText(copying, word);
    live.textContent = word;
    clearTimeout(saying);
    saying = window.setTimeout(() => setText(copying, words.copy), 2000);
  };
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text.textContent ?? "");
      say(words.copied);
    } catch {
      // Without permission, as in some embedded pages: leave it selected, for Ctrl+C.
      getSelection()?.selectAllChildren(text);
      say(words.copy_yourself);
    }
  };
  const copying = button(words.copy, copy);
  const api = choice(APIS, "sdpa", show);
  api.setAttribute("aria-label", words.code);
  const parts = [element("summary", {}, words.code), element("div", {}, api, copying), text];
  const node = element("details", { class: "masklab-code", ontoggle: show }, ...parts);
  return { node, show };
}
