// StoryLab's reasons: which word matters for the next one, found by hiding each of them once.

import { button, element, setText } from "../dom.js";
import { storyPercent, storyWord } from "./next.js";
import { SLICE } from "./stories.js";

/** @import { StoryState } from "./state.js" */
/** @import { StoryView } from "./storylab.js" */

const SMALL_FALL = 0.02; // of a probability, not worth a word
const NAMED_REASONS = 3;

/** A word of the text, and how likely the next word is without it. @typedef {{ word: number, without: number }} Reason */

/**
 * The likeliest next word without each word of the text that is not hidden.
 * @param {StoryState} state
 * @returns {Generator<Reason>}
 */
function* withoutEach(state) {
  const { sequence, hidden, T, row } = state;
  const id = state.next[0].id;
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
    this.button = button(view.words.matters, () => this.toggle());
    this.button.setAttribute("aria-pressed", "false");
    this.note = element("p", { class: "masks-help storylab-note storylab-reason", role: "status", hidden: true });
    this.on = false;
    this.turn = 0; // a new one ends those before it
  }

  toggle() {
    this.on = !this.on;
    this.button.setAttribute("aria-pressed", String(this.on));
    this.clear();
    this.tell();
  }

  /** Takes back what was said of another mask. */
  clear() {
    this.turn++;
    this.note.hidden = true;
    this.note.removeAttribute("aria-busy");
    for (const chip of this.view.text.buttons) this.mark(chip, 0, "");
  }

  /** Hides each word once, in slices, and says which ones cost the next word most. */
  async tell() {
    const { state, words, text } = this.view;
    if (!this.on || !state.pass) return;
    const turn = ++this.turn;
    const [{ label, now }] = state.next;
    const next = `“${storyWord(label)}”`;
    /** @type {Reason[]} */
    const reasons = [];
    this.note.setAttribute("aria-busy", "true");
    let end = performance.now() + SLICE;
    for (const reason of withoutEach(state)) {
      const { word, without } = reason;
      const title = words.without(next, storyPercent(without), storyPercent(now));
      this.mark(text.buttons[state.sequence.left + word], Math.max(0, (now - without) / now) || 0, title);
      if (now - without > SMALL_FALL) reasons.push(reason);
      if (performance.now() < end) continue;
      await new Promise((later) => setTimeout(later));
      if (turn !== this.turn) return;
      end = performance.now() + SLICE;
    }
    reasons.sort((a, b) => a.without - b.without);
    const named = reasons.slice(0, NAMED_REASONS).map(({ word, without }) => ({
      word: `“${text.buttons[state.sequence.left + word].textContent}”`,
      without: storyPercent(without),
    }));
    setText(this.note, Number.isNaN(now) ? words.no_word : words.mattered(next, storyPercent(now), named));
    this.note.hidden = false;
    this.note.removeAttribute("aria-busy");
  }

  /**
   * A bar on a chip, as long as the share that the next word loses without it, and the numbers for who asks.
   * @param {HTMLElement} chip
   * @param {number} share
   * @param {string} title
   */
  mark(chip, share, title) {
    chip.classList.toggle("storylab-cause", share > 0);
    chip.style.setProperty("--masks-weight", String(share));
    if (title || chip.dataset.reason) chip.title = title;
    if (title) chip.dataset.reason = "true";
    else delete chip.dataset.reason;
  }
}
