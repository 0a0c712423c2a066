// A map of weights: one cell for each query and key, with labels, numbers, hatching and frames.

import { BLACK } from "./colours.js";
import { contextOf, element } from "./dom.js";
import { drawHatch, pixelMap } from "./hatch.js";
import { FONT, pointAt } from "./layout.js";
import { short } from "./text.js";

/** @import { Labels, Layout } from "./layout.js" */

/**
 * How a map is drawn.
 * @typedef {object} Look
 * @property {CSSStyleDeclaration} style of the widget, whose colours labels and frames take
 * @property {Labels} labels
 * @property {{ q: number, k: number }} active the row with a frame, and the cell if the grid has the focus
 * @property {boolean} focused
 * @property {boolean} hatched
 * @property {(q: number, k: number) => { text: string, light: boolean } | null} number in the middle of a cell
 * @property {boolean} [smooth] where cells are smaller than pixels
 * @property {number} [from] draws between two heights only
 * @property {number} [to]
 */

export class LabelledMap {
  /**
   * @param {HTMLCanvasElement} canvas
   * @param {number} rows
   * @param {number} columns
   */
  constructor(canvas, rows, columns) {
    this.canvas = canvas;
    this.rows = rows;
    this.columns = columns;
    this.image = pixelMap(columns, rows);
    this.veil = pixelMap(columns, rows); // opaque where hidden
    this.layer = element("canvas");
  }

  /**
   * Sets the colours of the cells from one row to another.
   * @param {(cell: number) => number} colour
   * @param {((cell: number) => boolean) | null} hidden
   */
  paint(colour, hidden, from = 0, to = this.rows) {
    for (let cell = from * this.columns; cell < to * this.columns; cell++) {
      this.image.pixels[cell] = colour(cell);
      this.veil.pixels[cell] = hidden?.(cell) ? BLACK : 0;
    }
    for (const { context, data } of [this.image, this.veil]) {
      context.putImageData(data, 0, 0, 0, from, this.columns, to - from);
    }
  }

  /**
   * @param {Layout} layout
   * @param {Look} look
   */
  draw(layout, look) {
    const { left, top, width, height, outerWidth, outerHeight, cell } = layout;
    const { style, labels, active, from = 0, to = outerHeight } = look;
    const context = contextOf(this.canvas);
    context.save();
    context.beginPath();
    context.rect(0, from, outerWidth + 1, to - from);
    context.clip();
    context.clearRect(0, from, outerWidth + 1, to - from);
    context.imageSmoothingEnabled = look.smooth ?? false;
    context.drawImage(this.image.small, left, top, width, height);
    if (look.hatched) drawHatch(context, this.layer, this.veil, layout, from, to);
    drawLabels(context, layout, labels, style.color);
    if (cell >= 30 && this.rows <= 8 && this.columns <= 8) this.drawNumbers(context, layout, look);
    const y = top + active.q * cell;
    outline(context, style.color, style.backgroundColor, 2, [left - 1, y, width + 2, cell]);
    if (look.focused) {
      outline(context, style.borderTopColor, style.backgroundColor, 4, [left + active.k * cell, y, cell, cell]);
    }
    context.restore();
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {Layout} layout
   * @param {Look} look
   */
  drawNumbers(context, { left, top, cell }, { number }) {
    context.font = "11px system-ui, sans-serif";
    context.textAlign = "center";
    for (let q = 0; q < this.rows; q++) {
      for (let k = 0; k < this.columns; k++) {
        const shown = number(q, k);
        if (!shown) continue;
        context.fillStyle = shown.light ? "#ffffff" : "#000000";
        context.fillText(shown.text, left + (k + 0.5) * cell, top + (q + 0.5) * cell);
      }
    }
  }

  /**
   * The cell that an event points at, and whether there is one.
   * @param {MouseEvent} event
   * @param {Layout} layout
   */
  cellAt(event, { left, top, cell, outerWidth, outerHeight }) {
    const [x, y] = pointAt(event, this.canvas, outerWidth, outerHeight);
    const [q, k] = [Math.floor((y - top) / cell), Math.floor((x - left) / cell)];
    const inRows = q >= 0 && q < this.rows;
    return { q, k, inRows, inside: inRows && k >= 0 && k < this.columns };
  }
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Layout} layout
 * @param {Labels} labels
 * @param {string} colour
 */
function drawLabels(context, { left, top, cell }, { queryTokens, keyTokens, words }, colour) {
  context.fillStyle = colour;
  context.font = FONT;
  context.textBaseline = "middle";
  const step = Math.max(1, Math.ceil(14 / cell));
  const label = (/** @type {number} */ n, /** @type {string[]} */ tokens) => (step > 1 ? String(n) : short(tokens[n]));
  context.textAlign = "right";
  for (let q = 0; q < queryTokens.length; q += step) {
    context.fillText(label(q, queryTokens), left - 6, top + (q + 0.5) * cell);
  }
  for (let k = 0; k < keyTokens.length; k += step) {
    upwards(context, label(k, keyTokens), left + (k + 0.5) * cell, top - 6, "left");
  }
  axisNames(context, words.key, left, 8, words.query, top);
}

/**
 * The names of the axes: of the columns on top, of the rows on the left, upwards.
 * @param {CanvasRenderingContext2D} context
 * @param {string} columns
 * @param {number} left
 * @param {number} y
 * @param {string} rows
 * @param {number} top
 */
export function axisNames(context, columns, left, y, rows, top) {
  context.textAlign = "left";
  context.fillText(columns, left, y);
  upwards(context, rows, 8, top, "right");
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {string} text
 * @param {number} x
 * @param {number} y
 * @param {CanvasTextAlign} align
 */
function upwards(context, text, x, y, align) {
  context.save();
  context.translate(x, y);
  context.rotate(-Math.PI / 2);
  context.textAlign = align;
  context.fillText(text, 0, 0);
  context.restore();
}

/**
 * A line with an edge on both sides, since the cells under it are both light and dark.
 * @param {CanvasRenderingContext2D} context
 * @param {string} colour
 * @param {string} edge
 * @param {number} lineWidth
 * @param {[number, number, number, number]} box
 */
function outline(context, colour, edge, lineWidth, box) {
  Object.assign(context, { strokeStyle: edge, lineWidth: lineWidth + 2 });
  context.strokeRect(...box);
  Object.assign(context, { strokeStyle: colour, lineWidth });
  context.strokeRect(...box);
}
