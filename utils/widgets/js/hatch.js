// The hatching of hidden cells.

import { contextOf, element } from "./dom.js";

/** @import { Layout } from "./layout.js" */

/**
 * An image of one pixel a cell, to be drawn enlarged.
 * @typedef {ReturnType<typeof pixelMap>} PixelMap
 * @param {number} columns
 * @param {number} rows
 */
export function pixelMap(columns, rows) {
  const small = element("canvas", { width: columns, height: rows });
  const context = contextOf(small, { willReadFrequently: true });
  const data = context.createImageData(columns, rows);
  return { small, context, data, pixels: new Uint32Array(data.data.buffer) };
}

/** @type {CanvasPattern | null} */
let hatching = null;

// Lines only: what is under them says what the cell is.
function hatch() {
  if (hatching) return hatching;
  const tile = element("canvas", { width: 8, height: 8 });
  const context = contextOf(tile);
  context.strokeStyle = "#555555";
  context.lineWidth = 1;
  context.beginPath();
  for (const shift of [-8, 0, 8]) {
    context.moveTo(shift, 8);
    context.lineTo(shift + 8, 0);
  }
  context.stroke();
  hatching = /** @type {CanvasPattern} */ (context.createPattern(tile, "repeat"));
  return hatching;
}

/**
 * Hatches those cells of a drawn map that are opaque in `veil`, at least between two heights of the canvas. The layer is
 * no larger than that: each drawing copies it.
 * @param {CanvasRenderingContext2D} context
 * @param {HTMLCanvasElement} layer
 * @param {PixelMap} veil
 * @param {Layout} layout
 * @param {number} from
 * @param {number} to
 */
export function drawHatch(context, layer, veil, layout, from, to) {
  const { left, top, width, height } = layout;
  const ratio = context.getTransform().a;
  const [columns, rows] = [width, height].map((length) => Math.max(1, Math.round(length * ratio)));
  const first = Math.max(0, Math.floor(((from - top) / height) * rows));
  const last = Math.min(rows, Math.ceil(((to - top) / height) * rows));
  Object.assign(layer, { width: columns, height: last - first }); // also clears it
  const over = contextOf(layer);
  over.imageSmoothingEnabled = false;
  over.translate(0, -first);
  over.drawImage(veil.small, 0, 0, columns, rows);
  over.globalCompositeOperation = "source-in";
  over.fillStyle = hatch();
  over.fillRect(0, first, columns, last - first);
  context.drawImage(layer, left, top + (first / rows) * height, width, ((last - first) / rows) * height);
}
