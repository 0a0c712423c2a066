// One view of a HeadGrid: its parts, and what happens when weights arrive, a choice changes or the page does.

import { element, mergeWords, uniqueId } from "../dom.js";
import { Frame, followPage, listen, passSaving, setAndSave } from "../page.js";
import { GridControls } from "./controls.js";
import { legendParts } from "./legend.js";
import { GridState } from "./state.js";
import { Thumbs } from "./thumbs.js";
import { WORDS } from "./words.js";
import { Zoom } from "./zoom.js";

/** @import { Model } from "../page.js" */

export class GridView {
  /**
   * @param {Model} model
   * @param {HTMLElement} el
   */
  constructor(model, el) {
    const id = uniqueId("headgrid");
    this.model = model;
    this.words = mergeWords(WORDS, model.get("words"));
    this.state = new GridState(model, this.words);
    const attributes = { class: "masks-widget headgrid", "data-lm-suppress-shortcuts": "true", "aria-busy": "true" };
    this.root = element("div", attributes);
    this.controls = new GridControls(this, id);
    this.thumbs = new Thumbs(this, id);
    this.legend = element("p", { class: "masks-help headgrid-legend" });
    this.zoom = new Zoom(this, id);
    this.status = element("p", { class: "masks-status" });
    const help = element("p", { class: "masks-help", id: `${id}-help` }, this.words.help);
    this.live = element("div", { class: "masks-hidden", "aria-live": "polite" });
    const side = element("div", { class: "headgrid-side" }, this.zoom.grid.node, this.status, this.zoom.table);
    this.body = element("div", { class: "headgrid-body" }, element("div", {}, this.thumbs.node, this.legend), side);
    this.root.append(this.controls.node, this.body, help, this.live);
    el.append(this.root);
    this.frame = new Frame(() => this.paint());
    this.stale = { thumbs: false, zoom: false };
    this.followKeys();
    const sides = () => this.refresh({ thumbs: true });
    const heads = () => this.refresh({ zoom: true });
    const load = () => this.load();
    this.unlisten = listen(model, { version: load, layer: heads, head: heads, side: sides, brighten: sides });
    passSaving(this.root, el);
    this.unfollow = followPage(this.root, () => this.measure(), () => this.refresh());
    load();
  }

  async load() {
    this.root.setAttribute("aria-busy", "true");
    try {
      if (!(await this.state.load())) return;
    } catch (error) {
      this.root.replaceChildren(this.words.broken(/** @type {Error} */ (error).message));
      this.root.removeAttribute("aria-busy");
      return;
    }
    this.root.removeAttribute("aria-busy");
    this.controls.build();
    this.zoom.build();
    this.measure();
  }

  // -- showing --

  /**
   * Shows in the next frame what has changed.
   * @param {{ thumbs?: boolean, zoom?: boolean }} stale
   */
  refresh(stale = {}) {
    Object.assign(this.stale, stale);
    this.frame.ask();
  }

  paint() {
    if (!this.state.loaded) return;
    if (this.stale.thumbs) this.thumbs.paint();
    if (this.stale.thumbs || this.stale.zoom) {
      this.zoom.paint();
      this.controls.show();
      this.showWords();
    }
    this.stale = { thumbs: false, zoom: false };
    this.thumbs.draw();
    this.zoom.draw();
    this.zoom.showRow();
    this.thumbs.describe();
    this.zoom.describe();
  }

  showWords() {
    const { state, words } = this;
    this.status.textContent = words.status(state.layer, state.head, state.names, state.moved(), state.nanRows());
    this.legend.replaceChildren(...legendParts(state, words));
  }

  measure() {
    if (!this.state.loaded) return;
    const width = (this.root.clientWidth || 656) - 16;
    const half = Math.floor(width * 0.42);
    const beside = width >= 860 && this.thumbs.fitBeside(half);
    this.body.style.gridTemplateColumns = beside ? `${half}px minmax(0, 1fr)` : "minmax(0, 1fr)";
    this.thumbs.measure(beside ? half : width);
    this.zoom.measure(beside ? width - half - 24 : width);
    this.stale.thumbs = true;
    this.frame.now(); // at once: a canvas that is given its size is empty
  }

  // -- changing --

  /**
   * @param {number} q
   * @param {number} k
   */
  moveTo(q, k) {
    this.state.active = { q, k };
    this.refresh();
  }

  /** Arrows move in both grids; Enter goes into the large map, Escape back out. */
  followKeys() {
    const { state, thumbs, zoom } = this;
    const leave = (/** @type {string[]} */ keys, /** @type {Thumbs | Zoom} */ other) => (/** @type {string} */ key) => {
      if (keys.includes(key)) other.grid.focus();
      return keys.includes(key);
    };
    const announce = (/** @type {Thumbs | Zoom} */ part) =>
      requestAnimationFrame(() => (this.live.textContent = part.grid.cell.textContent));
    thumbs.grid.listen(
      () => (state.loaded ? [state.layer, state.head, state.weights.layers, state.weights.heads] : null),
      (layer, head) => {
        setAndSave(this.model, { layer, head });
        announce(thumbs);
      },
      leave(["Enter", " "], zoom),
      () => this.refresh(),
    );
    zoom.grid.listen(
      () => (state.loaded ? [state.active.q, state.active.k, state.weights.Q, state.weights.K] : null),
      (q, k) => {
        this.moveTo(q, k);
        announce(zoom);
      },
      leave(["Escape"], thumbs),
      () => this.refresh(),
    );
  }

  end() {
    this.state.end();
    this.unlisten();
    this.unfollow();
    this.frame.end();
  }
}
