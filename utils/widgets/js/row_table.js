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
  return keys.sort((a, b) => weight(b) - weight(a)).slice(0, most).sort((a, b) => a - b);
}

export class RowTable {
  /** @param {string[]} titles of the columns */
  constructor(titles) {
    this.caption = element("caption");
    this.head = element("tr", {}, ...titles.map((title) => element("th", { scope: "col" }, title)));
    this.body = element("tbody");
    this.node = element("table", {}, this.caption, element("thead", {}, this.head), this.body);
    /** @type {{ line: HTMLElement, name: HTMLElement, cells: HTMLElement[], bars: HTMLElement[] }[]} */
    this.lines = [];
  }

  /**
   * Lines are made once and rewritten where they differ; their number stays.
   * @param {string} caption
   * @param {Line[]} lines
   */
  show(caption, lines) {
    setText(this.caption, caption);
    lines.forEach(({ name, hidden, numbers, weights }, n) => {
      this.lines[n] ??= this.addLine(numbers.length, weights.length);
      const { line, name: head, cells, bars } = this.lines[n];
      line.className = hidden ? "masks-off" : "";
      setText(head, name);
      [...numbers, ...weights.map(({ text }) => text)].forEach((text, m) => setText(cells[m], text));
      weights.forEach(({ value }, m) => bars[m].style.setProperty("--masks-weight", String(value || 0)));
    });
  }

  /**
   * @param {number} numbers
   * @param {number} weights
   */
  addLine(numbers, weights) {
    const name = element("th", { scope: "row" });
    const cells = Array.from({ length: numbers }, () => element("td"));
    const bars = Array.from({ length: weights }, () => element("span", { class: "masks-bar" }));
    const texts = bars.map(() => element("span"));
    const line = element("tr", {}, name, ...cells);
    bars.forEach((bar, m) => line.append(element("td", { class: "masks-weight" }, bar, texts[m])));
    this.body.append(line);
    return { line, name, cells: [...cells, ...texts], bars };
  }
}
