// One view of a MaskLab: its parts, and what happens when its mask, a setting or the page changes.

import { element, mergeWords, setText, uniqueId } from "../dom.js";
import { Frame, followPage, listen } from "../page.js";
import { CodeBox } from "./code_box.js";
import { LabControls } from "./controls.js";
import { followKeys, followPointer } from "./input.js";
import { LabMaps } from "./maps.js";
import { Pipeline } from "./pipeline.js";
import { LabState } from "./state.js";
import { WORDS } from "./words.js";

/** @import { Model } from "../page.js" */

export class LabView {
  /**
   * @param {Model} model
   * @param {HTMLElement} el
   */
  constructor(model, el) {
    const id = uniqueId("masklab");
    this.model = model;
    this.words = mergeWords(WORDS, model.get("words"));
    this.state = new LabState(model);
    this.root = element("div", { class: "masks-widget masklab", "data-lm-suppress-shortcuts": "true" });
    this.controls = new LabControls(this);
    this.warning = element("p", { class: "masks-warning", role: "status" });
    this.maps = new LabMaps(this, id);
    this.status = element("p", { class: "masks-status" });
    const help = element("p", { class: "masks-help", id: `${id}-help` }, this.words.help);
    this.pipeline = new Pipeline(this);
    this.code = new CodeBox(this);
    this.live = element("div", { class: "masks-hidden", "aria-live": "polite" });
    const shown = [this.controls.node, this.warning, this.maps.node, this.status, help, this.pipeline.node];
    this.root.append(...shown, this.code.node, this.live);
    el.append(this.root);
    this.frame = new Frame(() => this.paint());
    this.stale = { rows: /** @type {Set<number>} */ (new Set()), all: true, before: true };
    this.naming = 0;
    followPointer(this);
    followKeys(this, el);
    this.unlisten = listen(model, this.listeners());
    this.maps.measure();
    this.controls.showParameters();
    this.refresh();
    const resized = () => {
      this.maps.measure();
      this.maps.draw();
    };
    this.unfollow = followPage(this.root, resized, () => this.maps.draw());
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
    const otherScores = () => {
      this.state.readScores();
      scores();
    };
    const listeners = { keep_bytes: mask, preset: mask, fill: setting, flipped: setting };
    return { ...listeners, dtype: scores, head: scores, scores_bytes: otherScores };
  }

  // -- showing --

  /**
   * Shows what has changed: a row at once, in the frame of the event itself; whatever is larger in the next one.
   * @param {number[] | null} rows all if not given
   */
  refresh(rows = null) {
    if (rows) for (const q of rows) this.stale.rows.add(q);
    else this.stale.all = true;
    if (rows && rows.length <= 1 && !this.stale.all) this.frame.now();
    else this.frame.ask();
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
    this.code.show();
  }

  /** Shows the cells of a stroke while it goes on; other views follow. */
  showStroke() {
    this.state.shareKeep();
    this.frame.now();
  }

  announce() {
    this.maps.describeCell();
    this.live.textContent = this.maps.grid.cell.textContent;
  }

  // -- changing --

  remember() {
    this.state.remember(this.naming === 0);
  }

  /** @param {() => void} edit of the state */
  change(edit) {
    this.remember();
    edit();
    this.commit();
  }

  commit() {
    this.controls.showParameters();
    this.state.shareKeep();
    this.state.sharePreset();
    this.refresh();
  }

  undo() {
    if (this.state.undo()) this.commit();
  }

  /**
   * @param {string} name
   * @param {Record<string, any>} parameters
   */
  applyPreset(name, parameters) {
    this.change(() => this.state.apply(name, parameters));
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
    this.announce();
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

  end() {
    this.unlisten();
    this.unfollow();
    if (this.naming) this.nameDrawing();
    this.frame.end();
  }
}
