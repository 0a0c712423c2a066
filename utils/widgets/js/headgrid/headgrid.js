// HeadGrid: the attention maps of every layer and head as thumbnails, before and after; one of them large.

import { element, setText } from "../dom.js";
import { ROOMY, Thumbs } from "../thumbs.js";
import { program, setAndSave, WidgetView } from "../widget.js";
import { GridControls, legendParts } from "./controls.js";
import { GridState } from "./state.js";
import { inflate, movedShare } from "./weights.js";
import { WORDS } from "./words.js";
import { Zoom } from "./zoom.js";

/** @import { Model } from "../widget.js" */
/** @import { Head } from "./state.js" */

const PADDING = 8; // of a widget, see shared.css
const BODY_GAP = 24; // between the thumbnails and the large maps beside them, see headgrid.css
const LOW = 22; // pixels of a thumbnail on a slide, at least
const PAIR = 624; // pixels: what a widget of 640 has for two large maps; with less they are below the thumbnails

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
    this.legend = element("p", { class: "masks-legend headgrid-legend", title: this.words.scale });
    this.zoom = new Zoom(this);
    const bar = element("div", { class: "headgrid-bar" }, this.controls.sides, this.legend);
    const { grid, line, table } = this.zoom;
    const side = element("div", { class: "headgrid-side" }, this.controls.head, grid.node, line, table);
    const all = element("div", {}, bar, this.thumbs.node, this.status);
    this.body = element("div", { class: "headgrid-body" }, all, side);
    this.root.append(this.body, this.help, this.live);
    this.stale = { thumbs: false, zoom: false };
    this.measured = false;
    /** @type {Head | null} */
    this.pointed = null; // the thumbnail under the pointer
    const enter = () => this.zoom.grid.focus();
    const moveToHead = (/** @type {number} */ layer, /** @type {number} */ head) => {
      this.pointToHead(null); // wherever the pointer rests
      setAndSave(model, { layer, head });
    };
    const moveToCell = (/** @type {number} */ q, /** @type {number} */ k) => {
      this.zoom.pointed = null;
      this.moveTo(q, k);
    };
    this.thumbs.grid.listen(moveToHead, { Enter: enter, " ": enter });
    this.zoom.grid.listen(moveToCell, { Escape: () => this.thumbs.grid.focus() });
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
      this.measured = false;
      this.pointed = null;
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
    if (!this.measured) return;
    if (this.stale.thumbs) this.thumbs.paint();
    if (this.stale.thumbs || this.stale.zoom) {
      this.zoom.paint();
      this.controls.show();
      this.showHead();
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
    const width = this.root.clientWidth - 2 * PADDING;
    if (!this.state.loaded || width <= 0) return; // what is not shown yet is measured when it is
    // How high a page lets maps be: slides are low, so that the large maps are beside the thumbnails at any size.
    const tallest = parseFloat(getComputedStyle(this.root).getPropertyValue("--masks-tallest")) || null;
    const pair = tallest ? this.lowPair(width - BODY_GAP) : PAIR;
    const rest = width - BODY_GAP - pair;
    const beside = tallest ? width >= PAIR : rest >= this.thumbs.width(ROOMY);
    this.body.style.gridTemplateColumns = beside ? `${rest}px minmax(0, 1fr)` : "minmax(0, 1fr)";
    this.thumbs.measure(beside ? rest : width, tallest);
    this.zoom.measure(beside ? pair : width, tallest);
    this.stale.thumbs = true;
    this.measured = true;
    this.paintNow(); // at once: a canvas that is given its size is empty
  }

  /**
   * How wide the large maps are on a slide: half of it, or as much as their numbers need, if the thumbnails can give it.
   * @param {number} room
   */
  lowPair(room) {
    const needed = this.zoom.numberedWidth();
    return needed <= room - this.thumbs.width(LOW) ? Math.max(room / 2, needed) : room / 2;
  }

  /**
   * What is said of a head, in words that are seen and heard.
   * @param {Head} place
   */
  headWords(place) {
    const { state, words, model } = this;
    return words.status(place.layer, place.head, model.get("names"), state.moved(place), state.nanRows(place));
  }

  /** Says of the head under the pointer, else of the chosen one, how much moved. */
  showHead() {
    setText(this.status, this.headWords(this.pointed ?? { layer: this.state.layer, head: this.state.head }));
  }

  /** @param {Head | null} place */
  pointToHead(place) {
    const [is, was] = [place, this.pointed].map((head) => head && `${head.layer} ${head.head}`);
    if (is === was) return;
    this.pointed = place;
    this.showHead();
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
