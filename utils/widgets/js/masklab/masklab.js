// MaskLab: attention weights before and after a mask, recomputed here, so that no kernel is needed.

import { toCode } from "../as_code.js";
import { element, setText } from "../dom.js";
import { followKeys, followPointer, Stroke } from "../drawing.js";
import { defaults, PRESETS, presetKeep, recognise } from "../presets.js";
import { attendRow, fillValue, toBfloat16, toFloat16 } from "../softmax.js";
import { program, setAndSave, WidgetView } from "../widget.js";
import { labControls } from "./controls.js";
import { LabMaps } from "./maps.js";
import { codeBox } from "./panels.js";
import { RowPlayer, rowStages } from "./row.js";
import { LabState } from "./state.js";
import { Tour } from "./steps.js";
import { WORDS } from "./words.js";

/** @import { Model } from "../widget.js" */

/** @extends {WidgetView<typeof WORDS>} */
export class LabView extends WidgetView {
  /**
   * @param {Model} model
   * @param {HTMLElement} el
   */
  constructor(model, el) {
    super("masklab", WORDS, model, el);
    this.state = new LabState(model);
    this.controls = labControls(this);
    this.warning = element("p", { class: "masks-warning", role: "status" });
    this.maps = new LabMaps(this);
    this.stroke = new Stroke(this);
    this.pipeline = new RowPlayer(this);
    this.tour = new Tour(this);
    this.code = codeBox(this);
    if (matchMedia("(pointer: coarse)").matches) setText(this.help, this.words.help_touch);
    const says = element("div", { class: "masklab-says" }, this.warning, " ", this.status);
    const bar = element("div", { class: "masklab-bar" }, this.controls.buttons, says);
    const top = element("div", { class: "masklab-top" }, this.controls.node, bar);
    const foot = element("div", { class: "masklab-foot" }, this.help, this.code.node);
    this.root.append(top, this.maps.node, this.pipeline.node, foot, this.live);
    this.tour.mount();
    this.stale = { rows: /** @type {Set<number>} */ (new Set()), all: true, before: true };
    this.naming = 0;
    followPointer(this);
    followKeys(this);
    this.follow(this.listeners());
    this.endings.push(() => this.naming && this.nameDrawing());
    this.measure();
    this.controls.showParameters();
    this.refresh();
  }

  /** What changes elsewhere: other views of the same model, and Python. */
  listeners() {
    const mask = () => {
      if (this.state.sharing) return;
      const rows = this.state.readKeep();
      this.controls.showParameters();
      this.refresh(rows);
    };
    const setting = () => this.refresh();
    const scores = () => {
      this.stale.before = true;
      this.refresh();
    };
    const listeners = { keep_bytes: mask, preset: mask, fill: setting, flipped: setting };
    return { ...listeners, dtype: scores, head: scores, scores_bytes: scores };
  }

  // -- showing --

  measure() {
    this.tour.measure();
    this.maps.measure();
    this.pipeline.measure();
    if (!this.stale.all) this.pipeline.show(); // other columns are empty
    this.draw();
  }

  draw() {
    this.maps.draw();
  }

  recolour() {
    this.maps.recolour();
    this.refresh();
  }

  /**
   * Shows what has changed: a row at once, in the frame of the event itself; whatever is larger in the next one.
   * @param {number[] | null} rows all if not given
   */
  refresh(rows = null) {
    if (rows) for (const q of rows) this.stale.rows.add(q);
    else this.stale.all = true;
    if (rows && rows.length <= 1 && !this.stale.all) this.paintNow();
    else this.askToPaint();
  }

  paint() {
    const { state, stale } = this;
    if (stale.before) state.computeBefore();
    const rows = stale.all ? Array.from({ length: state.Q }, (_, q) => q) : [...stale.rows];
    for (const q of rows) state.computeRow(q);
    if (rows.length) this.maps.paint(rows);
    state.count();
    this.maps.draw(stale.all ? null : rows);
    this.stale = { rows: new Set(), all: false, before: false };
    this.showState();
  }

  showState() {
    const { state, words, model } = this;
    const { hidden, empty, nan } = state.counts;
    setText(this.status, words.summary(hidden, state.Q * state.K, empty, nan));
    setText(this.warning, model.get("flipped") ? words.flipped : "");
    this.warning.hidden = !model.get("flipped");
    this.controls.show();
    this.maps.describeCell();
    this.pipeline.show();
    this.tour.show();
    this.code.show();
  }

  /** Shows the cells of a stroke while it goes on; other views follow. */
  showStroke() {
    this.state.shareKeep();
    this.paintNow();
  }

  // -- changing --

  /** The state as it is, to come back to. */
  now() {
    return this.state.now(this.naming === 0);
  }

  /** @param {() => void} edit of the state */
  change(edit) {
    this.stroke.end();
    this.state.history.remember(this.now());
    edit();
    this.commit();
  }

  /** @param {Record<string, unknown>} settings */
  choose(settings) {
    this.stroke.end();
    this.state.history.remember(this.now());
    setAndSave(this.model, settings);
  }

  /**
   * Undoes the last change; or, forward, does again what was undone.
   * @param {boolean} forward
   */
  travel(forward) {
    this.stroke.end(); // else it would go on where no step leads back to
    const moment = this.state.history.step(this.now(), forward);
    if (!moment) return;
    this.state.restore(moment);
    this.commit();
  }

  reset() {
    if (!this.state.isAtStart()) this.change(() => this.state.restore(this.state.history.start));
  }

  commit() {
    this.controls.showParameters();
    this.state.shareKeep();
    this.state.sharePreset();
    this.refresh();
  }

  /**
   * @param {number} q
   * @param {number} k
   */
  moveTo(q, k) {
    this.state.active = { q, k };
    this.refresh([]);
  }

  /**
   * Hides or shows a cell, with which a stroke may begin; returns its new value.
   * @param {number} q
   * @param {number} k
   */
  toggle(q, k) {
    const { state } = this;
    state.history.remember(this.now());
    state.active = { q, k };
    const value = state.keep[q * state.K + k] ? 0 : 1;
    this.setCell(q, k, value);
    return value;
  }

  /**
   * @param {number} q
   * @param {number} k
   * @param {number} value
   */
  setCell(q, k, value) {
    if (this.state.setCell(q, k, value)) this.stale.rows.add(q);
  }

  /**
   * After a click, a stroke or a key. First the weights are shown: the mask's name, and Python, wait for that frame, or
   * for those of a quick hand.
   */
  endDrawing() {
    this.showStroke();
    this.maps.grid.announce();
    this.naming ||= window.setTimeout(() => this.nameDrawing(), 30);
  }

  nameDrawing() {
    clearTimeout(this.naming);
    this.naming = 0;
    this.state.nameMask();
    this.controls.showParameters();
    this.state.sharePreset();
    this.showState();
  }
}

// For tests, which hold them against torch.
export {
  attendRow,
  defaults,
  fillValue,
  PRESETS,
  presetKeep,
  recognise,
  rowStages,
  toBfloat16,
  toCode,
  toFloat16,
  WORDS,
};
export default program(LabView);
