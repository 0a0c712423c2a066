// MaskLab's row: how the scores of one query become weights. It can be played, stage by stage.

import { css, isDeep } from "../colours.js";
import { button, element, setText, short } from "../dom.js";
import { largestKeys } from "../row_table.js";
import { attendRow, DTYPES, fillValue } from "../softmax.js";

/** @import { LabView } from "./masklab.js" */

/** The stages in which a row is played. At REST everything is there and nothing is marked. */
const STAGES = ["score", "bias", "exp", "sum", "weight"];
const REST = STAGES.length;
const PAUSE = 1200; // ms
/** The lines of the table, and the stage that each comes with. */
/** @type {Record<string, string>} */
const LINES = { score: "score", bias: "bias", masked: "bias", exp: "exp", weight: "weight", before: "weight" };
/** In pixels: the names of the lines with the sums; the narrowest column of a key, in which −0.123 fits, and the widest. */
const [SIDES, NARROWEST, WIDEST] = [142, 54, 80];

/** @typedef {ReturnType<typeof rowStages>} Row */

/**
 * All stages of a row, as torch computes them in this number type. Softmax subtracts the largest number before exp. That
 * changes no weight, so it is left out wherever exp is a number that every type holds, as one does with a pencil.
 * @param {Float32Array} scores
 * @param {number} start where the row begins among them
 * @param {ArrayLike<number>} keep 1 = may attend
 * @param {string} fill
 * @param {string} dtype
 */
export function rowStages(scores, start, keep, fill, dtype) {
  const { length } = keep;
  const stages = { masked: new Float64Array(length), exps: new Float64Array(length) };
  const [weights, bias] = [new Float32Array(length), fillValue(fill, dtype)];
  attendRow(scores, start, keep, length, bias, dtype, weights, 0, stages);
  const max = Math.max(...stages.masked);
  const subtracted = max === -Infinity || Math.abs(max) <= 10 ? 0 : max; // exp(11.1) is too large for float16
  const exp = subtracted === 0 ? stages.masked.map((x) => Math.exp(x)) : stages.exps;
  return {
    score: Float64Array.from({ length }, (_, k) => DTYPES[dtype].round(scores[start + k])),
    bias: Float64Array.from({ length }, (_, k) => (keep[k] ? 0 : bias)),
    masked: stages.masked,
    exp,
    weight: Float64Array.from(weights),
    max,
    subtracted,
    sum: total(exp),
  };
}

/** @param {Float64Array} numbers */
const total = (numbers) => numbers.reduce((sum, x) => sum + x, 0);

/**
 * A number in three digits, of them at most three decimals: a narrow column has room for that.
 * @param {number} x
 */
export function threeDigits(x) {
  if (Number.isNaN(x)) return "NaN";
  const size = Math.abs(x);
  const decimal = size === 0 || (size >= 0.001 && size < 1e5);
  const digits = decimal ? String(Number(size < 1 ? size.toFixed(3) : size.toPrecision(3))) : powerOfTen(size);
  return x < 0 ? `−${digits}` : digits;
}

/** @param {number} size */
const powerOfTen = (size) =>
  size === Infinity ? "∞" : size.toExponential(1).replace(".0", "").replace("e+", "e").replace("e-", "e−");

/** The table, how it is played and folded. */
export class RowPlayer {
  /** @param {LabView} view */
  constructor(view) {
    const { words } = view;
    this.view = view;
    this.at = REST;
    this.timer = 0;
    this.columns = 0;
    this.title = button("", () => this.fold());
    this.title.className = "masklab-fold";
    this.title.setAttribute("aria-expanded", "true");
    this.play = button(words.play, () => this.playOrPause());
    this.back = button("‹", () => this.step(-1));
    this.on = button("›", () => this.step(1));
    for (const [arrow, name] of [
      [this.back, words.stage_back],
      [this.on, words.stage_on],
    ]) {
      /** @type {HTMLElement} */ (arrow).setAttribute("aria-label", /** @type {string} */ (name));
    }
    this.said = element("p", { role: "status" });
    this.caption = element("caption", { class: "masks-hidden" });
    this.head = element("tr");
    this.body = element("tbody");
    this.table = element("table", {}, this.caption, element("thead", {}, this.head), this.body);
    this.note = element("p", { class: "masks-help" });
    this.player = element("div", { class: "masklab-player" }, this.play, this.back, this.on, this.said);
    this.content = element("div", {}, this.table, this.note);
    const top = element("div", { class: "masklab-row-top" }, this.title, this.player);
    this.node = element("div", { class: "masklab-pipeline" }, top, this.content);
    view.endings.push(() => this.pause());
  }

  /** As many keys as there is room for. */
  measure() {
    const { words, state, root } = this.view;
    const room = (root.clientWidth || 656) - 16 - SIDES;
    const columns = Math.min(state.K, Math.max(1, Math.floor(room / NARROWEST)));
    if (columns === this.columns) return;
    this.columns = columns;
    this.table.style.maxWidth = `${SIDES + columns * WIDEST}px`;
    const heads = Array.from({ length: columns }, () =>
      element("th", { scope: "col", dir: "auto" }, element("small"), element("span")),
    );
    this.head.replaceChildren(element("td"), ...heads, element("th", { scope: "col" }, words.sum));
    this.body.replaceChildren(...Object.keys(LINES).map((name) => this.emptyLine(name)));
  }

  /** @param {string} name */
  emptyLine(name) {
    const cells = Array.from({ length: this.columns + 1 }, () => element("td", {}, element("span")));
    return element("tr", { class: `masklab-${name}` }, element("th", { scope: "row" }), ...cells);
  }

  // -- showing --

  show() {
    const { view, columns } = this;
    const { words, state, model } = view;
    const { q } = state.active;
    const title = words.pipeline(short(state.queryTokens[q]), q);
    setText(this.title, title);
    setText(this.caption, title);
    if (this.content.hidden) return;
    const from = q * state.K;
    const keep = Array.from({ length: state.K }, (_, k) => Number(!state.hides(from + k)));
    const row = rowStages(state.scores, from, keep, model.get("fill"), model.get("dtype"));
    const before = Float64Array.from(state.before.subarray(from, from + state.K));
    const keys = largestKeys(state.K, columns, (k) => Math.max(before[k], row.weight[k] || 0));
    this.fill({ ...row, before }, keys, keep);
    this.mark();
    setText(this.said, this.sentence(row, before, keep));
    setText(this.note, columns < state.K ? words.only_largest(columns, state.K) : "");
  }

  /**
   * Writes the numbers of these keys.
   * @param {Row & { before: Float64Array }} row
   * @param {number[]} keys
   * @param {number[]} keep
   */
  fill(row, keys, keep) {
    const { words, state } = this.view;
    for (const [n, k] of keys.entries()) {
      const head = this.head.children[n + 1];
      const [number, token] = head.children;
      const numbered = keys.length < state.K && state.keyTokens[k] !== String(k);
      setText(number, numbered ? `${k} ` : "");
      setText(token, short(state.keyTokens[k]));
      head.setAttribute("title", short(state.keyTokens[k], 40));
      head.classList.toggle("masks-off", !keep[k]);
    }
    for (const [n, name] of Object.keys(LINES).entries()) {
      const numbers = /** @type {Record<string, any>} */ (row)[name];
      const [head, ...cells] = this.body.children[n].children;
      setText(
        head,
        name === "exp" && row.subtracted ? words.exp_of_difference : /** @type {any} */ (words.stages)[name],
      );
      for (const [m, k] of keys.entries()) {
        setText(cells[m].firstElementChild ?? cells[m], threeDigits(numbers[k]));
        cells[m].classList.toggle("masks-off", !keep[k]);
        const isWeight = name === "weight" || name === "before";
        if (isWeight) this.colour(/** @type {HTMLElement} */ (cells[m]), numbers[k], !keep[k] && numbers[k] === 0);
      }
      const summed = name === "exp" || name === "weight" || name === "before";
      if (summed) setText(cells[keys.length].firstElementChild ?? cells[keys.length], threeDigits(total(numbers)));
    }
  }

  /**
   * A weight has the colour that it has in the map; one that is hidden has none.
   * @param {HTMLElement} cell
   * @param {number} weight
   * @param {boolean} hidden
   */
  colour(cell, weight, hidden) {
    const colour = this.view.palette.weight(weight);
    cell.style.backgroundColor = hidden ? "" : css(colour);
    cell.style.color = hidden ? "" : isDeep(colour) ? "white" : "black";
  }

  /** Marks the stage that is reached, and blanks those that are not; they keep their room. */
  mark() {
    const stage = (/** @type {string} */ name) => STAGES.indexOf(name);
    const set = (/** @type {Element} */ node, /** @type {number} */ comes) => {
      node.classList.toggle("masklab-later", comes > this.at);
      node.classList.toggle("masklab-now", comes === this.at);
    };
    for (const [n, name] of Object.values(LINES).entries()) set(this.body.children[n], stage(name));
    const sum = this.body.querySelector(".masklab-exp > :last-child");
    if (sum) set(sum, stage("sum"));
    const { words } = this.view;
    setText(this.play, this.timer ? words.pause : words.play);
    this.back.setAttribute("aria-disabled", String(this.at === 0));
  }

  /**
   * What has just happened, with the numbers of this row.
   * @param {Row} row
   * @param {Float64Array} before
   * @param {number[]} keep
   */
  sentence(row, before, keep) {
    const { words, state, model } = this.view;
    const { weight, sum, max, subtracted } = row;
    if (this.at === REST) return words.row_sum(Number(total(weight).toFixed(3)));
    const most = weight.indexOf(Math.max(...weight));
    return words.said[STAGES[this.at]]({
      query: short(state.queryTokens[state.active.q]),
      all: state.K,
      hidden: keep.filter((visible) => !visible).length,
      fill: threeDigits(fillValue(model.get("fill"), model.get("dtype"))),
      max: threeDigits(max),
      power: threeDigits(Math.exp(max)),
      subtracted: subtracted !== 0,
      infinite: row.masked.includes(-Infinity),
      sum: threeDigits(sum),
      key: short(state.keyTokens[most] ?? ""),
      weight: threeDigits(weight[most]),
      before: threeDigits(before[most]),
      leak: threeDigits(total(weight.map((x, k) => (keep[k] ? 0 : x)))),
    });
  }

  // -- playing --

  /** @param {number} by how many stages; after the last one everything is there, and then it begins again */
  step(by) {
    this.pause();
    this.goTo(this.at + by);
  }

  /** @param {number} at */
  goTo(at) {
    this.at = at > REST ? 0 : Math.max(0, at);
    this.show();
  }

  /** Where things should not move by themselves, this is one stage on. */
  playOrPause() {
    if (this.timer) this.pause();
    else if (matchMedia("(prefers-reduced-motion: reduce)").matches) this.step(1);
    else this.playOn();
  }

  playOn() {
    const next = this.at + 1;
    this.timer = next === REST ? 0 : window.setTimeout(() => this.playOn(), PAUSE);
    this.goTo(next);
  }

  pause() {
    clearTimeout(this.timer);
    this.timer = 0;
    setText(this.play, this.view.words.play);
  }

  fold() {
    const folded = !this.content.hidden;
    this.content.hidden = this.player.hidden = folded;
    this.title.setAttribute("aria-expanded", String(!folded));
    this.pause();
    this.show();
  }
}
