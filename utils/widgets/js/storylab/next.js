// StoryLab's table: the likeliest next words, with this mask and as trained.

import { element, setText, short } from "../dom.js";

/** @import { StoryView } from "./storylab.js" */

const LONGEST_WORD = 16; // characters

/**
 * A probability as it is read: 53 %, 3.2 %, < 0.1 %.
 * @param {number} p
 */
export function storyPercent(p) {
  if (Number.isNaN(p)) return "NaN";
  const percent = 100 * p;
  if (percent < 0.1) return "<\u00a00.1\u00a0%";
  return `${percent < 9.95 ? percent.toFixed(1) : Math.round(percent)}\u00a0%`;
}

/**
 * A token as a word: without its leading space. One that goes on where the last ended begins with a hyphen.
 * @param {string} label
 */
export function storyWord(label) {
  const text = short(label, LONGEST_WORD);
  if (/^[· ]./.test(text)) return text.slice(1);
  return /^[\p{L}\p{N}]/u.test(text) ? `-${text}` : text;
}

export class NextTable {
  /** @param {StoryView} view */
  constructor(view) {
    this.view = view;
    const { words } = view;
    const titles = [words.token, words.now, words.trained];
    const head = element("tr", {}, ...titles.map((title) => element("th", { scope: "col" }, title)));
    this.body = element("tbody");
    const caption = element("caption", {}, words.next);
    const table = element("table", {}, caption, element("thead", {}, head), this.body);
    this.node = element("div", { class: "storylab-next" }, table);
    this.most = 0; // words so far: the room for them stays, so that the stories below do not jump
    /** @type {ReturnType<typeof emptyWord>[]} */
    this.lines = [];
  }

  /** @param {{ label: string, now: number, trained: number }[]} next */
  show(next) {
    for (const [n, { label, now, trained }] of next.entries()) {
      this.lines[n] ??= emptyWord();
      const { node, word, texts, bars } = this.lines[n];
      setText(word, storyWord(label));
      for (const [m, p] of [now, trained].entries()) {
        setText(texts[m], storyPercent(p));
        bars[m].style.setProperty("--masks-weight", String(p || 0));
      }
      if (!node.parentNode) this.body.append(node);
    }
    this.most = Math.max(this.most, next.length);
    this.node.style.setProperty("--storylab-words", String(this.most));
    for (const { node } of this.lines.splice(next.length)) node.remove();
  }
}

function emptyWord() {
  const word = element("bdi");
  const bars = [0, 1].map(() => element("span", { class: "masks-bar" }));
  const texts = bars.map(() => element("span"));
  const cells = bars.map((bar, m) => element("td", { class: "masks-weight" }, bar, texts[m]));
  return { node: element("tr", {}, element("th", { scope: "row" }, word), ...cells), word, texts, bars };
}
