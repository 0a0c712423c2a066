// Thumbnails of attention maps: every layer (down) and head (across) on one canvas.

import { CellGrid } from "./cell_grid.js";
import { contextOf, element } from "./dom.js";
import { axisNames, FONT, pointAt, sizeCanvas, widgetStyle } from "./grid.js";
import { setAndSave } from "./widget.js";

/** @import { Palette } from "./colours.js" */
/** @import { WidgetView } from "./widget.js" */
/** @typedef {{ layer: number, head: number }} Head */

/**
 * How maps are coloured, and which of two cells stands out more, by their places among all weights.
 * @typedef {{ colour: (at: number, cell: number) => number, pick: (a: number, b: number) => number }} MapLook
 */

/**
 * What a widget knows of its maps.
 * @template {string} Side
 * @typedef {object} MapsState
 * @property {boolean} loaded
 * @property {{ layers: number, heads: number, Q: number, K: number }} weights
 * @property {Side} side that thumbnails show
 * @property {number} layer
 * @property {number} head
 * @property {() => [number, number, number, number] | null} headPosition
 * @property {(side: Side, palette: Palette) => MapLook} look
 * @property {(side: Side) => string} sideName
 */

/**
 * A widget with thumbnails.
 * @template {string} Side
 * @typedef {WidgetView<any> & {
 *   state: MapsState<Side>,
 *   headWords: (head: Head) => string,
 *   pointToHead: (head: Head | null) => void,
 * }} ThumbsView
 */

const MARGIN = 34; // pixels on the left and on top, for numbers and names
const GAP = 3; // between two thumbnails
const FRAME = 0.4; // how dark its hairline is
const LAYER_GAP = 8; // between two layers that take several lines each
const SMALLEST = 20; // pixels of a thumbnail; with more heads a layer takes several lines
const LARGEST = 80;
const HATCH = 5; // pixels between two lines over what is hidden: its colour alone may be that of the page
const TALL = 440; // pixels of all layers, if their thumbnails can be smaller than LARGEST without being small
export const ROOMY = 44; // pixels of a thumbnail that shows its pattern

/** @template {string} Side */
export class Thumbs {
  /** @param {ThumbsView<Side>} view */
  constructor(view) {
    this.view = view;
    this.canvas = element("canvas", { "aria-hidden": "true" });
    const attributes = { class: "masks-thumbs", "aria-label": "" };
    this.grid = new CellGrid(view, "thumbs", attributes, () => view.state.headPosition(), this.canvas);
    this.node = element("figure", {}, this.grid.node);
    this.size = 0; // of a thumbnail
    this.columns = 1; // thumbnails in a line
    this.lines = 1; // of a layer
    this.image = new ImageData(1, 1); // the maps alone, at the screen's own resolution
    this.canvas.addEventListener("click", (event) => this.choose(event));
    this.canvas.addEventListener("pointermove", (event) => view.pointToHead(this.headAt(event)));
    this.canvas.addEventListener("pointerleave", () => view.pointToHead(null));
  }

  /**
   * The upper left corner of a thumbnail.
   * @param {number} layer
   * @param {number} head
   * @returns {[number, number]}
   */
  corner(layer, head) {
    const pitch = this.size + GAP;
    const line = Math.floor(head / this.columns);
    return [MARGIN + (head % this.columns) * pitch, MARGIN + layer * this.layerPitch + line * pitch];
  }

  get layerPitch() {
    return this.lines * (this.size + GAP) + (this.lines > 1 ? LAYER_GAP : 0);
  }

  /**
   * How wide all heads are in one line.
   * @param {number} size of a thumbnail
   */
  width(size) {
    return MARGIN + this.view.state.weights.heads * (size + GAP);
  }

  /**
   * @param {number} room
   * @param {number | null} tallest how high all of them may be at most
   */
  measure(room, tallest) {
    const { layers, heads } = this.view.state.weights;
    const pitches = room - MARGIN - 1; // the frame of the last one reaches beyond its gap
    this.lines = Math.ceil(heads / Math.max(1, Math.floor(pitches / (SMALLEST + GAP))));
    this.columns = Math.ceil(heads / this.lines);
    const low = Math.floor((tallest ?? TALL) / (layers * this.lines)) - GAP;
    const most = Math.min(LARGEST, Math.max(tallest ? SMALLEST : ROOMY, low));
    this.size = Math.max(8, Math.min(most, Math.floor(pitches / this.columns) - GAP));
    sizeCanvas(this.canvas, MARGIN + this.columns * (this.size + GAP), this.corner(layers, 0)[1]);
  }

  /** Draws every map into the image. */
  paint() {
    const { state } = this.view;
    const { layers, heads, Q, K } = state.weights;
    const context = contextOf(this.canvas, { willReadFrequently: true });
    const ratio = context.getTransform().a;
    const size = Math.max(1, Math.round(this.size * ratio));
    const { hidden, faintHatch } = this.view.palette;
    const { colour, pick } = state.look(state.side, this.view.palette);
    const spacing = Math.round(HATCH * ratio);
    const line = Math.max(1, Math.round(ratio / 2)); // its width
    this.image = context.createImageData(this.canvas.width, this.canvas.height);
    const { width, data } = this.image;
    const pixels = new Uint32Array(data.buffer);
    const [rows, columns] = [bounds(Q, size), bounds(K, size)];
    for (let map = 0; map < layers * heads; map++) {
      const from = map * Q * K;
      const [left, top] = this.corner(Math.floor(map / heads), map % heads).map((n) => Math.round(n * ratio));
      rows.forEach(([q0, q1], y) => {
        columns.forEach(([k0, k1], x) => {
          let best = from + q0 * K + k0;
          for (let q = q0; q < q1; q++) for (let k = k0; k < k1; k++) best = pick(best, from + q * K + k);
          const shown = colour(best, best - from);
          const hatched = shown === hidden && (x + y) % spacing < line;
          pixels[(top + y) * width + left + x] = hatched ? faintHatch : shown;
        });
      });
    }
  }

  draw() {
    const { state, words } = this.view;
    const context = contextOf(this.canvas);
    const style = widgetStyle(this.canvas);
    context.putImageData(this.image, 0, 0);
    this.drawFrames(context, style.color);
    Object.assign(context, { fillStyle: style.color, font: FONT, textBaseline: "middle", textAlign: "center" });
    this.drawNumbers(context);
    const rows = context.measureText(words.layers).width < this.canvas.clientHeight - MARGIN ? words.layers : "";
    axisNames(context, words.heads, MARGIN, 9, rows, MARGIN);
    Object.assign(context, { strokeStyle: style.borderTopColor, lineWidth: this.grid.focused ? 4 : 3 });
    const [x, y] = this.corner(state.layer, state.head);
    context.strokeRect(x - 2, y - 2, this.size + 4, this.size + 4);
  }

  /**
   * A hairline in the middle of each gap: weights of 0 and hidden cells are as light, or as dark, as the page.
   * @param {CanvasRenderingContext2D} context
   * @param {string} colour
   */
  drawFrames(context, colour) {
    const { layers, heads } = this.view.state.weights;
    const lines = new Path2D();
    for (let map = 0; map < layers * heads; map++) {
      const [x, y] = this.corner(Math.floor(map / heads), map % heads);
      lines.rect(x - GAP / 2, y - GAP / 2, this.size + GAP, this.size + GAP);
    }
    Object.assign(context, { strokeStyle: colour, lineWidth: 1, globalAlpha: FRAME });
    context.stroke(lines);
    context.globalAlpha = 1;
  }

  /**
   * Of layers and heads. A further line of a layer says how many heads are in the lines above it: + 16.
   * @param {CanvasRenderingContext2D} context
   */
  drawNumbers(context) {
    const { layers } = this.view.state.weights;
    const middle = this.size / 2;
    const step = Math.max(1, Math.ceil(16 / (this.size + GAP)));
    for (let head = 0; head < this.columns; head += step) {
      context.fillText(String(head), this.corner(0, head)[0] + middle, MARGIN - 9);
    }
    context.textAlign = "right";
    for (let layer = 0; layer < layers; layer += step) {
      for (let line = 0; line < this.lines; line++) {
        const text = line ? `+${line * this.columns}` : String(layer);
        context.fillText(text, MARGIN - 6, this.corner(layer, line * this.columns)[1] + middle);
      }
    }
  }

  /** Says what is shown, and reads out the chosen thumbnail. */
  describe() {
    const { state, words } = this.view;
    const { layers, heads } = state.weights;
    const { layer, head } = state;
    this.grid.node.setAttribute("aria-label", words.thumbs(state.sideName(state.side), layers, heads));
    this.grid.show(this.view.headWords({ layer, head }));
  }

  /**
   * The head that an event points at, or null.
   * @param {MouseEvent} event
   */
  headAt(event) {
    if (!this.view.state.loaded) return null;
    const { layers, heads } = this.view.state.weights;
    const [x, y] = pointAt(event, this.canvas, this.canvas.offsetWidth, this.canvas.offsetHeight);
    const pitch = this.size + GAP;
    const layer = Math.floor((y - MARGIN) / this.layerPitch);
    const line = Math.floor((y - MARGIN - layer * this.layerPitch) / pitch);
    const column = Math.floor((x - MARGIN) / pitch);
    const head = line * this.columns + column;
    const inside = layer >= 0 && layer < layers && line < this.lines && column >= 0 && column < this.columns;
    return inside && head < heads ? { layer, head } : null;
  }

  /**
   * Shows the head large that was clicked.
   * @param {MouseEvent} event
   */
  choose(event) {
    const head = this.headAt(event);
    if (head) setAndSave(this.view.model, head);
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
