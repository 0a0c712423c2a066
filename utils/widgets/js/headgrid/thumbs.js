// HeadGrid's thumbnails: every layer (down) and head (across) on one canvas.

import { CellGrid } from "../cell_grid.js";
import { contextOf, element } from "../dom.js";
import { axisNames, FONT, pointAt, sizeCanvas, widgetStyle } from "../grid.js";
import { setAndSave } from "../widget.js";

/** @import { GridView } from "./headgrid.js" */

const MARGIN = 34; // pixels on the left and on top
const GAP = 3; // between two thumbnails
const SMALLEST_BESIDE = 16; // with more heads than fit like this, the thumbnails are above the large map

export class Thumbs {
  /** @param {GridView} view */
  constructor(view) {
    this.view = view;
    this.canvas = element("canvas", { "aria-hidden": "true" });
    this.title = element("figcaption");
    const attributes = { class: "headgrid-thumbs", "aria-label": "" };
    this.grid = new CellGrid(view, "thumbs", attributes, () => view.state.headPosition(), this.canvas);
    this.node = element("figure", {}, this.title, this.grid.node);
    this.size = 0; // of a thumbnail
    this.image = new ImageData(1, 1); // the maps alone, at the screen's own resolution
    this.canvas.addEventListener("click", (event) => this.choose(event));
  }

  /** @param {number} n */
  corner(n) {
    return MARGIN + n * (this.size + GAP);
  }

  /**
   * Is there room for them beside the large map?
   * @param {number} room
   */
  fitBeside(room) {
    return room >= MARGIN + this.view.state.weights.heads * (SMALLEST_BESIDE + GAP);
  }

  /** @param {number} room */
  measure(room) {
    const { layers, heads } = this.view.state.weights;
    this.size = Math.max(8, Math.min(64, Math.floor((room - MARGIN - 2) / heads) - GAP));
    sizeCanvas(this.canvas, this.corner(heads), this.corner(layers));
  }

  /** Draws every map into the image. */
  paint() {
    const { state } = this.view;
    const { layers, heads, Q, K } = state.weights;
    const context = contextOf(this.canvas, { willReadFrequently: true });
    const ratio = context.getTransform().a;
    const size = Math.max(1, Math.round(this.size * ratio));
    const { colour, pick } = state.look(state.side, this.view.palette);
    this.image = context.createImageData(this.canvas.width, this.canvas.height);
    const { width, data } = this.image;
    const pixels = new Uint32Array(data.buffer);
    const [rows, columns] = [bounds(Q, size), bounds(K, size)];
    for (let map = 0; map < layers * heads; map++) {
      const from = map * Q * K;
      const [top, left] = [Math.floor(map / heads), map % heads].map((n) => Math.round(this.corner(n) * ratio));
      rows.forEach(([q0, q1], y) => {
        columns.forEach(([k0, k1], x) => {
          let best = from + q0 * K + k0;
          for (let q = q0; q < q1; q++) for (let k = k0; k < k1; k++) best = pick(best, from + q * K + k);
          pixels[(top + y) * width + left + x] = colour(best, best - from);
        });
      });
    }
  }

  draw() {
    const { state, words } = this.view;
    const { layers, heads } = state.weights;
    const context = contextOf(this.canvas);
    const style = widgetStyle(this.canvas);
    context.putImageData(this.image, 0, 0);
    Object.assign(context, { fillStyle: style.color, font: FONT, textBaseline: "middle", textAlign: "center" });
    const step = Math.max(1, Math.ceil(16 / (this.size + GAP)));
    const middle = (/** @type {number} */ n) => this.corner(n) + this.size / 2;
    for (let head = 0; head < heads; head += step) context.fillText(String(head), middle(head), MARGIN - 9);
    for (let layer = 0; layer < layers; layer += step) context.fillText(String(layer), MARGIN - 10, middle(layer));
    axisNames(context, words.heads, MARGIN, 9, words.layers, MARGIN);
    Object.assign(context, { strokeStyle: style.borderTopColor, lineWidth: this.grid.focused ? 4 : 3 });
    const [x, y] = [this.corner(state.head), this.corner(state.layer)];
    context.strokeRect(x - 2, y - 2, this.size + 4, this.size + 4);
  }

  /** Says what is shown, and reads out the chosen thumbnail. */
  describe() {
    const { state, words } = this.view;
    const { layers, heads } = state.weights;
    this.title.textContent = words.thumbs(state.sideName(state.side), layers, heads);
    this.grid.node.setAttribute("aria-label", this.title.textContent);
    this.grid.show(words.thumb(state.layer, state.head, state.moved()));
  }

  /**
   * Shows the head large that was clicked.
   * @param {MouseEvent} event
   */
  choose(event) {
    const { state, model } = this.view;
    if (!state.loaded) return;
    const point = pointAt(event, this.canvas, this.canvas.offsetWidth, this.canvas.offsetHeight);
    const [head, layer] = point.map((value) => Math.floor((value - MARGIN) / (this.size + GAP)));
    const { layers, heads } = state.weights;
    if (layer >= 0 && layer < layers && head >= 0 && head < heads) setAndSave(model, { layer, head });
    this.grid.focus();
  }
}

/**
 * The cells behind each of n pixels: of these the largest counts, so that a thin line stays visible.
 * @param {number} count of cells
 * @param {number} n
 */
function bounds(count, n) {
  return Array.from({ length: n }, (_, i) => {
    const first = Math.floor((i * count) / n);
    return [first, Math.max(first + 1, Math.floor(((i + 1) * count) / n))];
  });
}
