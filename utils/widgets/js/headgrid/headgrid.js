// HeadGrid: the attention maps of every layer and head as thumbnails, before and after; one of them large.

import { element } from "../dom.js";
import { program, setAndSave, WidgetView } from "../widget.js";
import { GridControls, legendParts } from "./controls.js";
import { GridState } from "./state.js";
import { Thumbs } from "./thumbs.js";
import { inflate, movedShare } from "./weights.js";
import { WORDS } from "./words.js";
import { Zoom } from "./zoom.js";

/** @import { Model } from "../widget.js" */

/** @extends {WidgetView<typeof WORDS>} */
export class GridView extends WidgetView {
  /**
   * @param {Model} model
   * @param {HTMLElement} el
   */
  constructor(model, el) {
    super("headgrid", WORDS, model, el);
    this.state = new GridState(model, this.words);
    this.controls = new GridControls(this);
    this.thumbs = new Thumbs(this);
    this.legend = element("p", { class: "masks-help headgrid-legend" });
    this.zoom = new Zoom(this);
    const side = element("div", { class: "headgrid-side" }, this.zoom.grid.node, this.status, this.zoom.table);
    this.body = element("div", { class: "headgrid-body" }, element("div", {}, this.thumbs.node, this.legend), side);
    this.root.append(this.controls.node, this.body, this.help, this.live);
    this.stale = { thumbs: false, zoom: false };
    const enter = () => this.zoom.grid.focus();
    this.thumbs.grid.listen((layer, head) => setAndSave(model, { layer, head }), { Enter: enter, " ": enter });
    this.zoom.grid.listen((q, k) => this.moveTo(q, k), { Escape: () => this.thumbs.grid.focus() });
    const sides = () => this.refresh({ thumbs: true });
    const heads = () => this.refresh({ zoom: true });
    this.follow({ version: () => this.load(), layer: heads, head: heads, side: sides });
    this.endings.push(() => (this.state.loads = -1)); // nothing that is still being read is shown
    this.load();
  }

  async load() {
    this.root.setAttribute("aria-busy", "true");
    try {
      if (!(await this.state.load())) return;
      this.controls.build();
      this.zoom.build();
    } catch (error) {
      this.root.replaceChildren(this.words.broken(/** @type {Error} */ (error).message));
    }
    this.root.removeAttribute("aria-busy");
    this.measure();
  }

  // -- showing --

  /**
   * Shows in the next frame what has changed.
   * @param {{ thumbs?: boolean, zoom?: boolean }} stale
   */
  refresh(stale = {}) {
    Object.assign(this.stale, stale);
    this.askToPaint();
  }

  draw() {
    this.refresh();
  }

  recolour() {
    this.refresh({ thumbs: true });
  }

  paint() {
    const { state, words } = this;
    if (!state.loaded) return;
    if (this.stale.thumbs) this.thumbs.paint();
    if (this.stale.thumbs || this.stale.zoom) {
      this.zoom.paint();
      this.controls.show();
      const { layer, head } = state;
      this.status.textContent = words.status(layer, head, this.model.get("names"), state.moved(), state.nanRows());
      this.legend.replaceChildren(...legendParts(state, words, this.palette));
    }
    this.stale = { thumbs: false, zoom: false };
    this.thumbs.draw();
    this.zoom.draw();
    this.zoom.showRow();
    this.thumbs.describe();
    this.zoom.describe();
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
    this.paintNow(); // at once: a canvas that is given its size is empty
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
}

export { inflate, movedShare, WORDS };
export default program(GridView);
