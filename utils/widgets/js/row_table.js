// The keys of one row as a table: numbers, and weights with bars.

import { element, setText } from "./dom.js";

/**
 * @typedef {object} Line
 * @property {string} name of the key
 * @property {boolean} hidden
 * @property {string[]} numbers
 * @property {{ text: string, value: number }[]} weights
 */

/**
 * The keys with most weight, in their order.
 * @param {number} count
 * @param {number} most
 * @param {(k: number) => number} weight
 */
export function largestKeys(count, most, weight) {
  const keys = Array.from({ length: count }, (_, k) => k);
  if (count <= most) return keys;
  return keys
    .sort((a, b) => weight(b) - weight(a))
    .slice(0, most)
    .sort((a, b) => a - b);
}

export class RowTable {
  /** @param {string[]} titles of the columns */
  constructor(titles) {
    this.caption = element("caption");
    const head = element("tr", {}, ...titles.map((title) => element("th", { scope: "col" }, title)));
    this.body = element("tbody");
    this.node = element("table", {}, this.caption, element("thead", {}, head), this.body);
    /** @type {ReturnType<typeof emptyLine>[]} */
    this.lines = [];
  }

  /**
   * Lines are made once and rewritten where they differ; their number stays.
   * @param {string} caption
   * @param {Line[]} lines
   */
  show(caption, lines) {
    setText(this.caption, caption);
    for (const [n, { name, hidden, numbers, weights }] of lines.entries()) {
      this.lines[n] ??= emptyLine(numbers.length, weights.length);
      const { node, head, texts, bars } = this.lines[n];
      node.className = hidden ? "masks-off" : "";
      setText(head, name);
      for (const [m, text] of [...numbers, ...weights.map(formatted)].entries()) setText(texts[m], text);
      for (const [m, { value }] of weights.entries()) bars[m].style.setProperty("--masks-weight", String(value || 0));
      if (!node.parentNode) this.body.append(node);
    }
  }
}

const formatted = (/** @type {{ text: string }} */ { text }) => text;

/**
 * @param {number} numbers
 * @param {number} weights
 */
function emptyLine(numbers, weights) {
  const head = element("th", { scope: "row" });
  const cells = Array.from({ length: numbers }, () => element("td"));
  const bars = Array.from({ length: weights }, () => element("span", { class: "masks-bar" }));
  const texts = [...cells, ...bars.map(() => element("span"))];
  const last = bars.map((bar, m) => element("td", { class: "masks-weight" }, bar, texts[numbers + m]));
  return { node: element("tr", {}, head, ...cells, ...last), head, texts, bars };
}
