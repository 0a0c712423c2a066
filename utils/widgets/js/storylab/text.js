// StoryLab's text: a box to type in, and its tokens, which a click hides.

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
    const attributes = { rows: 2, dir: "auto", spellcheck: "false", maxlength: 20000, readonly: true };
    this.area = element("textarea", { ...attributes, oninput: () => view.type(this.area.value) });
    this.area.dataset.lmSuppressShortcuts = "true";
    this.area.addEventListener("blur", () => (view.typing = false));
    // What there is to do, where it is done; a screen reader has it as the name of the group.
    const touch = matchMedia("(pointer: coarse)").matches;
    const hint = element("span", { class: "masks-help", "aria-hidden": "true" }, touch ? words.hide_touch : words.hide);
    this.chips = element("div", { class: "storylab-chips", role: "group", "aria-label": words.tokens }, hint);
    this.note = element("p", { class: "masks-help storylab-note" });
    this.node = element("div", { class: "storylab-text" }, field(words.text, this.area), this.chips, this.note);
    /** @type {string | null} */
    this.shown = null; // the text that the box holds
    /** @type {HTMLButtonElement[]} */
    this.buttons = [];
    this.chips.addEventListener("click", (event) => this.press(event));
  }

  /** Shows the text, tokens only if there is a model to know them. */
  show() {
    const { state } = this.view;
    if (state.text !== this.shown) {
      this.shown = state.text;
      // What was typed here is there already. To write it again would move the cursor, and break composed letters.
      if (this.area.value !== state.text.replace(/\r\n?/g, "\n")) this.area.value = state.text;
    }
    this.area.readOnly = !state.engine;
    if (state.engine) this.showTokens(state.engine);
  }

  /** @param {Engine} engine */
  showTokens(engine) {
    const { state, words } = this.view;
    const { sequence, hidden } = state;
    const labels = state.labels(words.pad);
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
      chip.title = known ? "" : words.unknown_token;
      chip.disabled = pad;
      if (pad) chip.removeAttribute("aria-pressed");
      else chip.setAttribute("aria-pressed", String(hidden.includes(place - sequence.left)));
    }
    for (const chip of this.buttons.splice(labels.length)) chip.remove();
    setText(this.note, this.noteOn([.../** @type {Set<string>} */ (unseen)]));
    this.note.hidden = !this.note.textContent;
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
}
