// Question: options to choose from, or a number to write; a button that commits; and what is said to the choice then.

import { element, mergeWords, setText, uniqueId, withCode } from "../dom.js";
import { passSaving } from "../notebook.js";
import { isRight, readNumber, written } from "./answer.js";
import { WORDS } from "./words.js";

/** @import { Model } from "../widget.js" */
/** @import { Choice } from "./answer.js" */

const LETTERS = "ABCDE";

/**
 * @param {boolean} isGood
 * @param {string} text
 */
const signed = (isGood, text) => [element("span", { "aria-hidden": "true" }, isGood ? "✓ " : "✗ "), text];

class QuestionView {
  /**
   * @param {Model} model
   * @param {HTMLElement} el
   */
  constructor(model, el) {
    this.model = model;
    this.words = mergeWords(WORDS, model.get("words"));
    this.id = uniqueId("question");
    /** @type {string[]} */
    this.options = model.get("options");
    /** @type {Choice} */
    this.right = model.get("right");
    this.isSeveral = Array.isArray(this.right);
    /** @type {HTMLInputElement[]} */
    this.inputs = [];
    /** @type {HTMLElement[]} */
    this.lines = [];
    const onclick = (/** @type {MouseEvent} */ event) => this.click(event);
    this.button = element("button", { type: "button", onclick });
    this.status = element("div", { class: "question-status", role: "status" });
    // It takes the focus of a click beside its controls, so that a notebook does not read letters as commands.
    this.root = element("div", { class: "masks-widget question", tabindex: "-1" });
    this.root.append(element("p", { class: "masks-saved" }, this.words.saved), this.group(), this.button, this.status);
    this.root.addEventListener("keydown", (event) => this.press(event));
    this.root.addEventListener("click", (event) => this.hold(event));
    this.root.addEventListener("input", () => this.show(""));
    passSaving(this.root, el);
    el.append(this.root);
    const follow = () => this.follow();
    model.on("change:choice", follow);
    this.end = () => model.off("change:choice", follow);
    this.isCommitted = false;
    this.settle();
  }

  // -- making --

  group() {
    const { model, words, isSeveral } = this;
    const legend = element("legend", { class: model.get("show_text") ? null : "masks-hidden" });
    legend.append(...withCode(model.get("text")));
    const parts = this.options.length ? this.options.map((text, n) => this.option(text, n)) : [this.number()];
    if (!isSeveral) return element("fieldset", {}, legend, ...parts);
    const hint = element("p", { class: "masks-help", id: `${this.id}-hint` }, words.several);
    return element("fieldset", { "aria-describedby": hint.id }, legend, hint, ...parts);
  }

  /**
   * @param {string} text
   * @param {number} n
   */
  option(text, n) {
    const input = element("input", { type: this.isSeveral ? "checkbox" : "radio", name: this.id, value: n });
    const letter = element("span", { class: "question-letter" }, `${LETTERS[n]}.`);
    return this.line(input, input, " ", letter, " ", element("span", { class: "question-words" }, ...withCode(text)));
  }

  number() {
    // A telephone's keys for numbers have no minus.
    const inputmode = Number(this.right) < 0 ? "text" : "decimal";
    const input = element("input", { type: "text", inputmode, autocomplete: "off" });
    return this.line(input, `${this.words.answer} `, input, ` ${this.model.get("unit")}`);
  }

  /**
   * Its last element is for a mark.
   * @param {HTMLInputElement} input
   * @param {...(Node | string)} parts
   */
  line(input, ...parts) {
    const line = element("label", {}, ...parts, " ", element("span", { class: "question-mark" }));
    this.inputs.push(input);
    this.lines.push(line);
    return line;
  }

  // -- doing --

  /** What is chosen on the page, committed or not; null if nothing is. @returns {Choice | null} */
  draft() {
    if (!this.options.length) return readNumber(this.inputs[0].value, this.model.get("unit"));
    const chosen = this.inputs.flatMap((input, n) => (input.checked ? [n] : []));
    if (!chosen.length) return null;
    return this.isSeveral ? chosen : chosen[0];
  }

  commit() {
    const draft = this.draft();
    if (draft !== null) return this.choose(draft);
    this.show(this.options.length ? this.words.choose : this.words.write);
  }

  /** @param {Choice | null} choice */
  choose(choice) {
    this.model.set("choice", choice);
    this.model.save_changes();
  }

  /** @param {MouseEvent} event */
  click(event) {
    // The second half of a double click would ask again.
    if (event.detail > 1) return;
    if (!this.isCommitted) this.commit();
    else {
      this.choose(null);
      if (!event.detail) this.inputs[0].focus();
    }
    // After a click on a slide, arrows turn slides again.
    if (event.detail && this.root.closest(".reveal")) /** @type {HTMLElement} */ (document.activeElement).blur();
  }

  /** @param {KeyboardEvent} event */
  press(event) {
    const isInput = event.target instanceof HTMLInputElement;
    if (event.key.startsWith("Arrow") && isInput && event.target.type === "radio") this.hold(event);
    if (event.key !== "Enter" || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    // A key that is held would commit, and ask again.
    if (event.repeat) event.preventDefault();
    else if (isInput && !this.isCommitted) this.commit();
  }

  /**
   * What is committed can be looked at and read out, but not changed.
   * @param {Event} event
   */
  hold(event) {
    if (this.isCommitted && event.target instanceof HTMLInputElement) event.preventDefault();
  }

  // -- showing --

  /** The choice has changed: here, in another view, or in Python. */
  follow() {
    const was = this.isCommitted;
    this.settle();
    const id = this.model.get("id");
    const tell = (/** @type {string} */ name, /** @type {object} */ detail) =>
      this.root.dispatchEvent(new CustomEvent(name, { bubbles: true, detail }));
    if (this.isCommitted) tell("masks-committed", { id, isRight: this.isRight() });
    else if (was) tell("masks-asked-again", { id });
  }

  isRight() {
    return isRight(this.model.get("choice"), this.right, this.options.length ? null : this.model.get("tolerance"));
  }

  /** Shows what is committed, or asks anew. */
  settle() {
    /** @type {Choice | null} */
    const choice = this.model.get("choice") ?? null;
    this.isCommitted = choice !== null;
    this.root.classList.toggle("question-committed", this.isCommitted);
    setText(this.button, this.isCommitted ? this.words.again : this.words.commit);
    if (this.options.length) this.settleOptions(choice);
    else this.settleNumber(choice);
    this.show("");
  }

  /** @param {Choice | null} choice */
  settleOptions(choice) {
    const { words } = this;
    const [chosen, right] = [choice, this.right].map((each) => (each === null ? [] : [each].flat()));
    for (const [n, input] of this.inputs.entries()) {
      input.checked = chosen.includes(n);
      input.setAttribute("aria-disabled", String(this.isCommitted));
      const word = right.includes(n) ? (chosen.includes(n) ? words.right : words.missed) : words.wrong;
      this.mark(n, right.includes(n), this.isCommitted && (input.checked || right.includes(n)) ? word : "");
    }
  }

  /** @param {Choice | null} choice */
  settleNumber(choice) {
    const [input] = this.inputs;
    // As it was understood.
    input.value = choice === null ? "" : written(Number(choice), "");
    input.readOnly = choice !== null;
    const isGood = choice !== null && this.isRight();
    this.mark(0, isGood, choice === null ? "" : isGood ? this.words.right : this.words.wrong);
  }

  /**
   * @param {number} n
   * @param {boolean} isGood
   * @param {string} word nothing is marked without one
   */
  mark(n, isGood, word) {
    const line = this.lines[n];
    line.lastElementChild?.replaceChildren(...(word ? signed(isGood, word) : []));
    line.classList.toggle("question-right", Boolean(word) && isGood);
    line.classList.toggle("question-wrong", Boolean(word) && !isGood);
  }

  /** @param {string} asked for before something can be committed */
  show(asked) {
    this.button.setAttribute("aria-disabled", String(!this.isCommitted && this.draft() === null));
    if (this.isCommitted) this.status.replaceChildren(this.verdict(), ...this.feedback());
    else if (this.status.textContent !== asked) this.status.textContent = asked;
  }

  verdict() {
    const { words, right, model } = this;
    const isGood = this.isRight();
    const isExact = this.options.length > 0 || model.get("choice") === right;
    const good = isExact ? words.said_right : words.said_about_right;
    const said = isGood ? good : [right].flat().length > 1 ? words.said_several_wrong : words.said_wrong;
    const answer = this.options.length ? this.letters() : written(Number(right), model.get("unit"));
    const text = said.replace("{right}", () => answer);
    return element("p", { class: isGood ? "question-right" : "question-wrong" }, ...signed(isGood, text));
  }

  /** "B", "A and C", "A, B and C". */
  letters() {
    const letters = [this.right].flat().map((n) => LETTERS[n]);
    const last = letters.pop();
    return letters.length ? `${letters.join(", ")} ${this.words.and} ${last}` : `${last}`;
  }

  /** The feedback to what was chosen; of several also to what should have been. */
  feedback() {
    /** @type {string[]} */
    const texts = this.model.get("feedback");
    if (!this.options.length) return this.paragraphs([texts[this.isRight() ? 0 : 1]]);
    const chosen = [this.model.get("choice")].flat();
    if (!this.isSeveral) return this.paragraphs([texts[chosen[0]]]);
    const about = this.options.flatMap((_, n) => (chosen.includes(n) || [this.right].flat().includes(n) ? [n] : []));
    return this.paragraphs(about.map((n) => texts[n] && `${LETTERS[n]}. ${texts[n]}`));
  }

  /** @param {(string | undefined)[]} texts */
  paragraphs(texts) {
    return texts.flatMap((text) => (text ? [element("p", {}, ...withCode(text))] : []));
  }
}

export { WORDS };
export default {
  render(/** @type {{ model: Model, el: HTMLElement }} */ { model, el }) {
    const view = new QuestionView(model, el);
    return () => view.end();
  },
};
