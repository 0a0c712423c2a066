// StoryLab's reasons: which word matters for the next one, found by hiding each of them once.

import { button, element, field, setText } from "../dom.js";
import { storyPercent, storyWord } from "./next.js";
import { SLICE } from "./stories.js";

/** @import { NextWord, StoryState } from "./state.js" */
/** @import { StoryView } from "./storylab.js" */

const SMALL_FALL = 0.1; // share of a probability, not worth a word
const SMALL_RISE = 0.02; // of a probability
const NAMED_FALLS = 3; // words without which it falls

/** A word of the text, and how likely the next word is without it. @typedef {{ word: number, without: number }} Reason */

/**
 * How likely a token is without each word of the text that is not hidden.
 * @param {StoryState} state
 * @param {number} id
 * @returns {Generator<Reason>}
 */
function* withoutEach(state, id) {
  const { sequence, hidden, T, row } = state;
  for (let word = 0; word < sequence.words; word++) {
    if (hidden.includes(word)) continue;
    const keep = state.keep.slice();
    for (let q = 0; q < T; q++) keep[q * T + sequence.left + word] = 0;
    yield { word, without: state.probabilityOf(id, state.forward(keep), row) };
  }
}

export class Reasons {
  /** @param {StoryView} view */
  constructor(view) {
    this.view = view;
    const { words } = view;
    this.button = button(words.matters, () => this.toggle());
    this.button.setAttribute("aria-pressed", "false");
    this.which = element("select", { onchange: () => this.choose(Number(this.which.value)) });
    this.sentence = element("p", { role: "status" });
    const parts = [field(words.matters_for, this.which), this.sentence];
    this.node = element("div", { class: "storylab-reason", hidden: true }, ...parts);
    this.on = false;
    /** @type {number | null} */
    this.chosen = null; // the token that is asked for; the likeliest if none is, or if it is not in the table
    /** @type {Map<number, { share: number, title: string }>} */
    this.marks = new Map(); // of words: the share that the next word loses without it, and that in words
    this.turn = 0; // a new one ends those before it
  }

  toggle() {
    this.on = !this.on;
    this.chosen = null;
    this.button.setAttribute("aria-pressed", String(this.on));
    this.node.hidden = !this.on;
    this.clear();
    this.view.text.mark();
    this.view.tellStories(); // and then this, see there
  }

  /** @param {number} id of a token that may come next */
  choose(id) {
    this.chosen = id;
    this.clear();
    this.view.text.mark();
    this.tell();
  }

  /** Takes back what was said of another mask; its room stays. */
  clear() {
    this.turn++;
    this.marks.clear();
    this.sentence.classList.add("storylab-unsaid");
    this.node.removeAttribute("aria-busy");
  }

  /** Shows the words of the table to choose from, and returns the one that is asked for. @returns {NextWord} */
  showChoice() {
    const { next } = this.view.state;
    const subject = next.find(({ id }) => id === this.chosen) ?? next[0];
    const options = next.map(({ id, label }) => element("option", { value: id }, storyWord(label)));
    const key = next.map(({ id }) => id).join();
    if (this.which.dataset.key !== key) this.which.replaceChildren(...options);
    this.which.dataset.key = key;
    this.which.value = String(subject.id);
    return subject;
  }

  /** Hides each word once, in slices, and says without which ones the next word is less likely. */
  async tell() {
    const { state, words, text } = this.view;
    if (!this.on || !state.pass) return;
    const turn = ++this.turn;
    const subject = this.showChoice();
    if (Number.isNaN(subject.now)) return this.say(words.matters_nan);
    const next = `“${storyWord(subject.label)}”`;
    const now = storyPercent(subject.now);
    /** @type {Reason[]} */
    const reasons = [];
    this.node.setAttribute("aria-busy", "true");
    let end = performance.now() + SLICE;
    for (const reason of withoutEach(state, subject.id)) {
      const { word, without } = reason;
      const share = Math.max(0, 1 - without / subject.now) || 0;
      this.marks.set(word, { share, title: words.without(next, storyPercent(without), now) });
      reasons.push(reason);
      if (performance.now() < end) continue;
      text.mark();
      await new Promise((later) => setTimeout(later));
      if (turn !== this.turn) return;
      end = performance.now() + SLICE;
    }
    text.mark();
    this.say(this.words(next, subject.now, reasons));
  }

  /** @param {string} sentence */
  say(sentence) {
    setText(this.sentence, sentence);
    this.sentence.classList.remove("storylab-unsaid");
    this.node.removeAttribute("aria-busy");
  }

  /**
   * What was found, the strongest first.
   * @param {string} next
   * @param {number} now
   * @param {Reason[]} reasons
   */
  words(next, now, reasons) {
    const { words, state } = this.view;
    const name = (/** @type {Reason} */ { word, without }) => ({
      word: this.nameOf(word),
      without: storyPercent(without),
    });
    const falls = reasons.filter(({ without }) => 1 - without / now > SMALL_FALL).sort((a, b) => a.without - b.without);
    const rises = reasons.filter(({ without }) => without - now > SMALL_RISE).sort((a, b) => b.without - a.without);
    const from = state.onlyHead === null ? "" : words.from_head(state.onlyHead);
    return words.mattered(
      next,
      storyPercent(now),
      from,
      falls.slice(0, NAMED_FALLS).map(name),
      rises.slice(0, 1).map(name),
    );
  }

  /** A word, and which one it is if the text has it more than once. @param {number} word */
  nameOf(word) {
    const { state, words, text } = this.view;
    const { ids, left, words: count } = state.sequence;
    const own = ids.slice(left, left + count);
    const times = own.filter((id) => id === own[word]).length;
    const nth = own.slice(0, word + 1).filter((id) => id === own[word]).length;
    const name = `“\u2068${text.buttons[left + word].textContent}\u2069”`;
    return times > 1 ? words.nth(nth, name) : name;
  }
}
