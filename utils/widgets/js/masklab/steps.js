// MaskLab's guided tour: words beside the maps, what each step sets, and tasks that say when they are solved.

import { button, element, withCode } from "../dom.js";

/** @import { LabView } from "./masklab.js" */

const BESIDE = 900; // px that the widget needs for the tour beside its maps, which have 640 then

/** A preset with its parameters, or bits in base64. @typedef {{ name: string, parameters: object } | string} Mask */

/**
 * What Python packs: see step.py.
 * @typedef {object} Step
 * @property {string} words
 * @property {{ mask?: Mask, row?: number } & Record<string, any>} sets
 * @property {string} goal
 * @property {string} solved
 */

/**
 * The cells of a mask that Python has packed, 1 = may attend.
 * @param {string} text
 * @param {number} cells
 */
export function unpackKeep(text, cells) {
  const bytes = atob(text);
  return Uint8Array.from({ length: cells }, (_, n) => (bytes.charCodeAt(n >> 3) >> (7 - (n & 7))) & 1);
}

export class Tour {
  /** @param {LabView} view */
  constructor(view) {
    const { words, model, state } = view;
    this.view = view;
    /** @type {Step[]} */
    this.steps = model.get("steps") ?? [];
    this.goals = this.steps.map(({ goal }) => goal && unpackKeep(goal, state.Q * state.K));
    this.isSolved = false;
    this.isAbove = false; // the maps
    this.back = button(words.back, () => this.goTo(this.at - 1));
    this.next = button(words.next, () => this.goTo(this.at + 1));
    this.again = button("↺", () => this.goTo(this.at));
    this.again.setAttribute("aria-label", words.again);
    this.again.setAttribute("title", words.again);
    this.pages = this.steps.map((step, n) => this.page(step, n));
    this.live = element("div", { class: "masks-hidden", "aria-live": "polite" });
    const bar = element("div", { class: "masklab-tour-bar" }, this.back, this.next, this.again);
    const pages = element("div", { class: "masklab-tour-pages" }, ...this.pages);
    this.node = element(
      "div",
      { class: "masklab-tour", role: "group", "aria-label": words.tour },
      pages,
      bar,
      this.live,
    );
    this.frame = element("div", { class: "masklab-guided" });
  }

  get at() {
    return Math.min(this.view.model.get("step"), this.steps.length - 1); // Python may have replaced the steps since
  }

  /**
   * The words of a step. All pages lie on each other, so that the box is as high as the longest and nothing jumps.
   * @param {Step} step
   * @param {number} n
   */
  page(step, n) {
    const { words } = this.view;
    const count = words.step_of(n + 1, this.steps.length, Boolean(step.goal));
    const text = element("p", {}, element("span", { class: "masklab-count" }, count), " ", ...withCode(step.words));
    const solved = element("p", { class: "masklab-solved" }, "✓ ", ...withCode(step.solved || words.solved));
    return element("div", {}, text, ...(step.goal ? [" ", solved] : []));
  }

  /** Stands with the maps, if there are steps. */
  mount() {
    const { maps, model, endings } = this.view;
    if (!this.steps.length) return;
    maps.node.replaceWith(this.frame);
    this.frame.append(this.node, maps.node);
    const arrive = () => this.arrive();
    model.on("change:step", arrive);
    endings.push(() => model.off("change:step", arrive));
    this.selectRow();
  }

  measure() {
    const { root } = this.view;
    const isBeside = root.clientWidth >= BESIDE;
    this.isAbove = this.steps.length > 0 && !isBeside;
    this.frame.classList.toggle("masklab-beside", isBeside);
    root.classList.toggle("masklab-below-tour", this.isAbove);
  }

  // -- showing --

  show() {
    const { state } = this.view;
    const { at, steps } = this;
    if (!steps.length) return;
    const goal = this.goals[at];
    const isSolved = Boolean(goal) && state.keep.every((_, cell) => state.hides(cell) !== Boolean(goal[cell]));
    for (const [n, page] of this.pages.entries()) page.classList.toggle("masklab-later", n !== at);
    this.pages[at].lastElementChild?.classList.toggle("masklab-later", Boolean(goal) && !isSolved);
    this.back.setAttribute("aria-disabled", String(at === 0));
    this.next.setAttribute("aria-disabled", String(at === steps.length - 1));
    this.again.setAttribute("aria-disabled", String(!Object.keys(steps[at].sets).length));
    if (isSolved && !this.isSolved) this.say(this.pages[at].lastElementChild);
    this.isSolved = isSolved;
  }

  /** @param {Element | null} node whose text is read out */
  say(node) {
    this.live.textContent = node?.textContent ?? "";
  }

  // -- going --

  /**
   * Goes to a step, and sets what it names on top of the widget as it was constructed.
   * @param {number} n
   */
  goTo(n) {
    const { view, steps } = this;
    if (!(n in steps)) return;
    const { sets } = steps[n];
    if (Object.keys(sets).length) view.change(() => this.apply(sets, n));
    else if (n !== this.at) view.choose({ step: n });
  }

  /**
   * @param {Step["sets"]} sets
   * @param {number} n
   */
  apply(sets, n) {
    const { state, model } = this.view;
    const { mask, row, ...settings } = { ...model.get("start"), ...sets };
    if (typeof mask === "string") state.draw(unpackKeep(mask, state.Q * state.K));
    else state.apply(mask.name, { ...state.parameters, ...mask.parameters });
    for (const [name, value] of Object.entries({ ...settings, step: n })) model.set(name, value);
    this.selectRow();
  }

  /** Wherever the step was changed: here, in another view, or in Python. */
  arrive() {
    this.isSolved = false; // so that it is said again
    this.say(this.pages[this.at].firstElementChild);
    this.selectRow();
    this.view.refresh();
  }

  selectRow() {
    const { row } = this.steps[this.at].sets;
    const { state } = this.view;
    if (row !== undefined) state.active = { q: row, k: state.active.k };
  }
}
