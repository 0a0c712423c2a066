// StoryLab's text: a box to type in, and its tokens, which a click or a key hides.

import { element, field, setText, short } from "../dom.js";
import { isStoryPad, STORY_LONGEST } from "./rules.js";

/** @import { Engine } from "../gpt2/engine.js" */
/** @import { StoryView } from "./storylab.js" */

const NAMED = 3; // unknown tokens that are named
const WORDY = 30; // characters of a chip

export class StoryText {
  /** @param {StoryView} view */
  constructor(view) {
    this.view = view;
    const { words } = view;
    this.area = this.box();
    // What there is to do, where it is done; a screen reader has it as the name of the group.
    const touch = matchMedia("(pointer: coarse)").matches;
    const hint = element("span", { class: "masks-help", "aria-hidden": "true" }, touch ? words.hide_touch : words.hide);
    this.chips = element("div", { class: "storylab-chips", role: "toolbar", "aria-label": words.tokens }, hint);
    this.note = element("p", { class: "masks-help storylab-note" });
    this.node = element("div", { class: "storylab-text" }, field(words.text, this.area), this.chips, this.note);
    /** @type {string | null} */
    this.shown = null; // the text that the box holds
    /** @type {HTMLButtonElement[]} */
    this.buttons = [];
    this.word = 0; // the one that Tab comes to
    this.chips.addEventListener("click", (event) => this.press(event));
    this.chips.addEventListener("focusin", (event) => this.enter(/** @type {Node} */ (event.target)));
    this.chips.addEventListener("keydown", (event) => this.move(event));
  }

  box() {
    const attributes = { rows: 2, dir: "auto", spellcheck: "false", maxlength: 20000, readonly: true };
    const oninput = () => this.view.type(this.area.value);
    const onblur = () => (this.view.typing = false);
    const name = { "aria-label": this.view.words.text, "data-lm-suppress-shortcuts": "true" };
    return element("textarea", { ...attributes, ...name, oninput, onblur });
  }

  /**
   * Puts a text that others have set into a new box: in the old one Ctrl+Z would undo letters of the text before, and
   * double this one.
   * @param {string} text
   */
  write(text) {
    const before = this.area;
    const { selectionStart, selectionEnd } = before;
    const isHere = document.activeElement === before;
    this.area = this.box();
    this.area.value = text;
    before.replaceWith(this.area);
    if (!isHere) return;
    this.area.focus({ preventScroll: true });
    this.area.setSelectionRange(selectionStart, selectionEnd);
  }

  /** Shows the text, tokens only if there is a model to know them. */
  show() {
    const { state } = this.view;
    if (state.text !== this.shown) {
      this.shown = state.text;
      // What was typed here is there already. To write it again would move the cursor, and break composed letters.
      if (this.area.value !== state.text.replace(/\r\n?/g, "\n")) this.write(state.text);
    }
    this.area.readOnly = !state.engine;
    if (state.engine) this.showTokens(state.engine);
  }

  /** @param {Engine} engine */
  showTokens(engine) {
    const { state, words } = this.view;
    const { sequence, hidden } = state;
    const labels = state.labels(words.pad);
    const wasHere = this.chips.contains(document.activeElement);
    const unseen = new Set();
    for (const [place, label] of labels.entries()) {
      const chip = this.chip(place);
      const pad = isStoryPad(sequence, place);
      const known = engine.isKnown(sequence.ids[place]);
      if (!known) unseen.add(`“\u2068${short(label.replace(/^·/, ""))}\u2069”`);
      const glued = !pad && place > sequence.left && !/^[·⏎⇥]/.test(label);
      chip.className = `storylab-chip${pad ? " storylab-pad" : ""}${known ? "" : " storylab-unknown"}`;
      chip.classList.toggle("storylab-glued", glued);
      setText(chip, short(label.replace(/^·(?=.)/, ""), WORDY));
      chip.disabled = pad;
      if (pad) chip.removeAttribute("aria-pressed");
      else chip.setAttribute("aria-pressed", String(hidden.includes(place - sequence.left)));
    }
    for (const chip of this.buttons.splice(labels.length)) chip.remove();
    this.mark();
    this.pass(Math.min(this.word, sequence.words - 1), wasHere);
    setText(this.note, this.noteOn([.../** @type {Set<string>} */ (unseen)]));
    this.note.hidden = !this.note.textContent;
  }

  /** Shows what words are beside their letters, to look at and, in words, for who rests on one or hears it. */
  mark() {
    const { state, words, reasons } = this.view;
    const { sequence, hidden, engine } = state;
    for (const [place, chip] of this.buttons.entries()) {
      const word = place - sequence.left;
      const { share, title } = reasons.marks.get(word) ?? { share: 0, title: "" };
      chip.classList.toggle("storylab-cause", share > 0);
      chip.style.setProperty("--masks-weight", String(share));
      const isHidden = !isStoryPad(sequence, place) && hidden.includes(word);
      const unknown = engine?.isKnown(sequence.ids[place]) ? "" : words.unknown_token;
      const said = [isHidden ? words.hidden_token : "", unknown, title].filter(Boolean).join("; ");
      if (chip.title !== said) chip.title = said;
    }
  }

  /** @param {number} place */
  chip(place) {
    const chip = this.buttons[place] ?? element("button", { type: "button", dir: "auto" });
    if (!this.buttons[place]) this.chips.append(chip);
    this.buttons[place] = chip;
    return chip;
  }

  /** @param {string[]} unseen */
  noteOn(unseen) {
    const { state, words } = this.view;
    const named = unseen.length > NAMED ? [...unseen.slice(0, NAMED), "…"] : unseen;
    return [
      state.textIds.length ? "" : words.empty,
      unseen.length ? words.unknown(named) : "",
      state.sequence.cut ? words.cut(STORY_LONGEST - state.sequence.left - state.sequence.right) : "",
    ]
      .filter(Boolean)
      .join(" ");
  }

  /** @param {MouseEvent} event */
  press(event) {
    const place = this.buttons.indexOf(/** @type {HTMLButtonElement} */ (event.target));
    if (place < 0) return;
    const { state } = this.view;
    this.view.change(() => state.toggleWord(place - state.sequence.left));
  }

  // -- keys: all words are one stop of Tab --

  /** @param {Node} node that has the focus now */
  enter(node) {
    const place = this.buttons.indexOf(/** @type {HTMLButtonElement} */ (node));
    if (place >= 0) this.pass(place - this.view.state.sequence.left, false);
  }

  /**
   * Makes a word the one that Tab comes to.
   * @param {number} word
   * @param {boolean} focus whether the focus goes there, too, if it is elsewhere
   */
  pass(word, focus) {
    this.word = word;
    const chosen = this.buttons[word + this.view.state.sequence.left];
    for (const chip of this.buttons) chip.tabIndex = chip === chosen ? 0 : -1;
    if (focus && document.activeElement !== chosen) chosen.focus();
  }

  /** Arrows move along the words and between their lines. @param {KeyboardEvent} event */
  move(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const last = this.view.state.sequence.words - 1;
    /** @type {Record<string, number>} */
    const words = { ArrowLeft: this.word - 1, ArrowRight: this.word + 1, Home: 0, End: last };
    const word = words[event.key] ?? this.besides(event.key);
    if (word === null) return;
    event.preventDefault(); // the box of the words would scroll
    this.pass(Math.min(last, Math.max(0, word)), true);
  }

  /** The word in the line above or below that is nearest; null for other keys. @param {string} key */
  besides(key) {
    const step = { ArrowUp: -1, ArrowDown: 1 }[key];
    if (!step) return null;
    const { left, words } = this.view.state.sequence;
    const boxes = this.buttons.slice(left, left + words).map((chip) => chip.getBoundingClientRect());
    const { top, left: x } = boxes[this.word];
    const tops = boxes.map((box) => box.top).filter((other) => step * (other - top) > 1);
    if (!tops.length) return this.word;
    const line = step > 0 ? Math.min(...tops) : Math.max(...tops);
    const away = boxes.map((box) => (Math.abs(box.top - line) > 1 ? Infinity : Math.abs(box.left - x)));
    return away.indexOf(Math.min(...away));
  }
}
