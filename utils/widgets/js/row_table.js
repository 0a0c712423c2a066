// The keys of one row as a table: numbers, and weights with bars.

import { element, setText, tokenName } from "./dom.js";

/**
 * What is said of a key.
 * @typedef {object} Line
 * @property {boolean} hidden
 * @property {number[]} numbers
 * @property {number[]} weights
 */

/**
 * The keys with most weight, in their order.
 * @param {number} count
 * @param {number} most
 * @param {(k: number) => number} weight
 */
export function largestKeys(count, most, weight) {
  const weights = Array.from({ length: count }, (_, k) => weight(k));
  const largest = [...weights.keys()].sort((a, b) => weights[b] - weights[a]).slice(0, most);
  return largest.sort((a, b) => a - b);
}

export class RowTable {
  /**
   * @param {string[]} titles of the columns
   * @param {(x: number) => string} format
   */
  constructor(titles, format) {
    this.format = format;
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
   * @param {string[]} tokens of all keys
   * @param {number} most how many are shown
   * @param {(k: number) => number} weight by which these are chosen
   * @param {(k: number) => Line} line
   */
  show(caption, tokens, most, weight, line) {
    setText(this.caption, caption);
    for (const [n, k] of largestKeys(tokens.length, most, weight).entries()) {
      const { hidden, numbers, weights } = line(k);
      this.lines[n] ??= emptyLine(numbers.length, weights.length);
      const { node, head, texts, bars } = this.lines[n];
      node.className = hidden ? "masks-off" : "";
      setText(head, tokenName(k, tokens[k]));
      for (const [m, x] of [...numbers, ...weights].entries()) setText(texts[m], this.format(x));
      for (const [m, x] of weights.entries()) bars[m].style.setProperty("--masks-weight", String(x || 0));
      if (!node.parentNode) this.body.append(node);
    }
  }
}

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
