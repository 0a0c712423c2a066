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

/**
 * "Right: it is." → "It is."
 * @param {string} text
 * @param {string} openings words
 */
function withoutOpening(text, openings) {
  const [, opening, rest] = /^([^\s.:,]+)[.:,](?:\s+(.*))?$/s.exec(text) ?? [];
  if (!openings.split(" ").includes(opening)) return text;
  return rest ? rest[0].toUpperCase() + rest.slice(1) : "";
}

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
    const saved = element("p", { class: "masks-saved" }, this.words.saved);
    this.answer = element("div", { class: "question-answer" }); // no status: a page reveals all its answers at once
    this.root.append(saved, this.group(), this.button, this.status, this.answer);
    this.root.addEventListener("keydown", (event) => this.press(event));
    this.root.addEventListener("click", (event) => this.hold(event));
    this.root.addEventListener("input", () => this.show(""));
    this.root.addEventListener("masks-reveal", (event) => this.reveal(/** @type {CustomEvent} */ (event).detail));
    passSaving(this.root, el);
    el.append(this.root);
    const follow = () => this.follow();
    model.on("change:choice", follow);
    this.end = () => model.off("change:choice", follow);
    this.isCommitted = false;
    this.isRevealed = false;
    this.settle();
    this.tell("masks-asked");
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
    if (this.isRevealed) return this.show(this.words.shown);
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
   * What is committed or revealed can be looked at and read out, but not changed.
   * @param {Event} event
   */
  hold(event) {
    if ((this.isCommitted || this.isRevealed) && event.target instanceof HTMLInputElement) event.preventDefault();
  }

  // -- showing --

  /** The choice has changed: here, in another view, or in Python. */
  follow() {
    const was = this.isCommitted;
    this.settle();
    if (this.isCommitted) this.tell("masks-committed", { isRight: this.isRight() });
    else if (was) this.tell("masks-asked-again");
  }

  /**
   * What is around it hears of it.
   * @param {string} name
   * @param {object} more
   */
  tell(name, more = {}) {
    const detail = { id: this.model.get("id"), ...more };
    this.root.dispatchEvent(new CustomEvent(name, { bubbles: true, detail }));
  }

  isRight() {
    return isRight(this.model.get("choice"), this.right, this.options.length ? null : this.model.get("tolerance"));
  }

  /** Shows what is committed, or asks anew. */
  settle() {
    /** @type {Choice | null} */
    const choice = this.model.get("choice") ?? null;
    this.isCommitted = choice !== null;
    const chosen = [choice].flat();
    for (const [n, input] of this.inputs.entries()) input.checked = chosen.includes(n);
    // As it was understood.
    if (!this.options.length) this.inputs[0].value = choice === null ? "" : written(Number(choice), "");
    this.mark();
  }

  /**
   * A page shows all its answers, or hides them again. What was chosen, and not committed, stays.
   * @param {boolean} isRevealed
   */
  reveal(isRevealed) {
    this.isRevealed = isRevealed;
    this.mark();
  }

  /** Marks what is right, and what was chosen and is not, once that may be seen. */
  mark() {
    const { words, isCommitted, isRevealed } = this;
    const isLocked = isCommitted || isRevealed;
    this.root.classList.toggle("question-committed", isCommitted);
    this.root.classList.toggle("question-revealed", isRevealed);
    setText(this.button, isCommitted ? words.again : words.commit);
    for (const [n, input] of this.inputs.entries()) {
      const isChosen = isCommitted && (input.checked || !this.options.length);
      const isGood = this.options.length ? [this.right].flat().includes(n) : isCommitted && this.isRight();
      const word = isGood ? (isChosen ? words.right : words.missed) : words.wrong;
      const line = this.lines[n];
      line.lastElementChild?.replaceChildren(...(isChosen || (isLocked && isGood) ? signed(isGood, word) : []));
      line.classList.toggle("question-right", isLocked && isGood);
      line.classList.toggle("question-wrong", isChosen && !isGood);
      if (this.options.length) input.setAttribute("aria-disabled", String(isLocked));
      else input.readOnly = isLocked;
    }
    this.show("");
  }

  /** @param {string} asked for before something can be committed */
  show(asked) {
    const { isCommitted, isRevealed } = this;
    this.button.setAttribute("aria-disabled", String(!isCommitted && (isRevealed || this.draft() === null)));
    if (isCommitted) this.status.replaceChildren(...this.verdict());
    else if (this.status.textContent !== asked) this.status.textContent = asked;
    this.answer.replaceChildren(...(isRevealed && !isCommitted ? this.explanation([]) : []));
  }

  /** What is said to a choice: its own feedback first; then what is right, and why. */
  verdict() {
    const { words, model, right } = this;
    const isGood = this.isRight();
    const choice = model.get("choice");
    if (Array.isArray(right)) {
      const isPart = choice.every((/** @type {number} */ n) => right.includes(n));
      const lead = isGood ? words.said_right : isPart ? words.said_not_all : words.said_wrong;
      return [this.paragraph(isGood, lead), ...this.byLetter(choice), ...(isGood ? [] : this.explanation(choice))];
    }
    const isExact = this.options.length || choice === right;
    const good = isExact ? words.said_right : `${words.said_right} ${this.named(words.said_number)}`;
    const about = this.options.length ? choice : Number(!isGood);
    return [this.paragraph(isGood, isGood ? good : words.said_wrong, about), ...(isGood ? [] : this.explanation([]))];
  }

  /**
   * What is right, and why; of several without what was said already.
   * @param {number[]} chosen
   */
  explanation(chosen) {
    const { words, options, right } = this;
    if (!options.length) return [this.paragraph(true, this.named(words.said_number), 0)];
    const rest = [right].flat().filter((n) => !chosen.includes(n));
    if ([right].flat().length === 1) return [this.paragraph(true, this.named(words.said_answer), rest[0])];
    return [this.paragraph(true, this.named(words.said_answers)), ...this.byLetter(rest)];
  }

  /** @param {number[]} about */
  byLetter(about) {
    const isGood = (/** @type {number} */ n) => [this.right].flat().includes(n);
    const withFeedback = about.filter((n) => this.model.get("feedback")[n]);
    return withFeedback.map((n) => this.paragraph(isGood(n), `${LETTERS[n]}.`, n));
  }

  /**
   * Words with what is right: "B", "A and C", "A, B and C", or the number.
   * @param {string} words
   */
  named(words) {
    const letters = [this.right].flat().map((n) => LETTERS[n]);
    const last = letters.pop();
    const all = letters.length ? `${letters.join(", ")} ${this.words.and} ${last}` : `${last}`;
    return words.replace("{right}", () =>
      this.options.length ? all : written(Number(this.right), this.model.get("unit")),
    );
  }

  /**
   * @param {boolean} isGood
   * @param {string} lead
   * @param {number} [about] the feedback that follows, without the "Right" that its lead has said
   */
  paragraph(isGood, lead, about = -1) {
    /** @type {string} */
    const text = this.model.get("feedback")[about] ?? "";
    const said = isGood ? withoutOpening(text, this.words.openings) : text;
    const head = element("span", { class: isGood ? "question-right" : "question-wrong" }, ...signed(isGood, lead));
    return element("p", {}, head, ...(said ? [" ", ...withCode(said)] : []));
  }
}

export { WORDS };
export default {
  render(/** @type {{ model: Model, el: HTMLElement }} */ { model, el }) {
    const view = new QuestionView(model, el);
    return () => view.end();
  },
};
