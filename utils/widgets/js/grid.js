// Maps of weights with labelled rows and columns: layout, cells, numbers, hatching and frames.

import { contextOf, element, pixelRatio, short } from "./dom.js";

const OPAQUE = 0xff000000;
export const FONT = "12px system-ui, sans-serif";

/** Cells are made as large as this if they can be, so that their numbers have room. */
export const NUMBERED = 26;
/** From this size on a cell shows its number. */
export const NUMBER_FITS = 22;

/**
 * A number as a cell has room for it: .25, 0 for nothing at all, and <.01 for almost nothing.
 * @param {number} value
 */
export function cellNumber(value) {
  if (value === 0 || Number.isNaN(value)) return String(value);
  if (Math.abs(value) < 0.005) return "<.01";
  return value
    .toFixed(2)
    .replace(/^(-?)0/, "$1")
    .replace("-", "−");
}

/**
 * Whether cells show numbers if they are large enough.
 * @param {number} rows
 * @param {number} columns
 */
const isFew = (rows, columns) => rows <= 8 && columns <= 8;

const READABLE = 12; // px of a row that shows its name
const BARE = 6; // px left of cells without names, for the half of the first key's name
/** Pixels above the names of the keys, for that of their axis, and below them. */
export const ABOVE_NAMES = 24;

/**
 * @typedef {object} Layout
 * @property {number} left where the cells begin: labels take a margin on the left and on top
 * @property {number} top
 * @property {number} cell the side of a cell
 * @property {number} width of all cells
 * @property {number} height
 * @property {number} outerWidth of the canvas
 * @property {number} outerHeight
 * @property {boolean} counted numbers stand for the names of many rows and columns
 */

/**
 * What a map's margins say.
 * @typedef {object} Labels
 * @property {string[]} queryTokens
 * @property {string[]} keyTokens
 * @property {{ query: string, key: string }} words names of the axes
 * @property {number} [highest] px that the names of the keys, which run upwards, may take; longer ones are cut
 */

/** @typedef {Pick<CanvasRenderingContext2D, "font" | "measureText">} Ruler */

/**
 * @param {Ruler} context
 * @param {number} room how wide the canvas may be
 * @param {Labels} labels
 * @param {number} most the largest cell
 * @param {number} tallest of all cells
 */
export const mapLayout = (context, room, labels, most = 48, tallest = 560) =>
  layoutsOf(context, room, labels, most, tallest, 1, 0)[0];

/**
 * The layouts of two maps side by side, with cells of one size. Where they would be small, the second does not repeat
 * the names of the rows.
 * @param {Ruler} context
 * @param {number} room for both
 * @param {number} gap between them
 * @param {Labels} labels
 * @param {number} most
 * @param {number} tallest
 */
export function pairLayouts(context, room, gap, labels, most, tallest) {
  const one = mapLayout(context, (room - gap) / 2, labels, most, tallest);
  const narrow = one.cell < Math.min(NUMBERED, most, tallest / labels.queryTokens.length);
  return narrow ? layoutsOf(context, room, labels, most, tallest, 2, gap) : [one, one];
}

/**
 * How wide two maps beside each other must be to show numbers; no width is enough for many tokens.
 * @param {Ruler} context
 * @param {number} gap
 * @param {Labels} labels
 */
export function numberedWidth(context, gap, labels) {
  if (!isFew(labels.queryTokens.length, labels.keyTokens.length)) return Infinity;
  const pair = layoutsOf(context, Infinity, labels, NUMBER_FITS, Infinity, 2, gap);
  return pair.reduce((sum, { outerWidth }) => sum + outerWidth, gap);
}

/**
 * Layouts of maps beside each other, of which only the first has names of rows.
 * @param {Ruler} context
 * @param {number} room
 * @param {Labels} labels
 * @param {number} most
 * @param {number} tallest
 * @param {number} maps
 * @param {number} gap
 * @returns {Layout[]}
 */
function layoutsOf(context, room, labels, most, tallest, maps, gap) {
  context.font = FONT;
  const widthOf = (/** @type {string} */ text) => context.measureText(text).width;
  const widest = (/** @type {string[]} */ tokens) => Math.max(...tokens.map((token) => widthOf(short(token))));
  const { queryTokens, keyTokens, words, highest = Infinity } = labels;
  const [Q, K] = [queryTokens.length, keyTokens.length];
  /** @returns {Layout[]} */
  const layouts = (/** @type {boolean} */ counted) => {
    const left = (counted ? widthOf("0000") : widest(queryTokens)) + 26;
    const top = (counted ? widthOf("0000") : Math.min(widest(keyTokens), highest)) + ABOVE_NAMES;
    const edge = counted ? 8 : 2; // of the last number
    const cells = room - left - edge - (maps - 1) * (gap + BARE + edge);
    const cell = Math.min(most, cells / (maps * K), tallest / Q);
    if (!counted && cell < READABLE) return layouts(true);
    const [width, height] = [cell * K, cell * Q];
    // Few cells leave no room for the names of the axes.
    const outerHeight = top + Math.max(height, widthOf(words.query)) + edge;
    const outerWidth = Math.max(width, widthOf(words.key)) + edge;
    const layout = { top, cell, width, height, outerHeight, counted };
    const lefts = Array.from({ length: maps }, (_, n) => (n ? BARE : left));
    return lefts.map((start) => ({ ...layout, left: start, outerWidth: start + outerWidth }));
  };
  return layouts(Math.max(Q, K) > 40);
}

/**
 * Gives a canvas its size in CSS pixels, at the screen's own resolution, on slides too, which are enlarged. It is empty
 * then.
 * @param {HTMLCanvasElement} canvas
 * @param {number} width
 * @param {number} height
 */
export function sizeCanvas(canvas, width, height) {
  const ratio = pixelRatio(/** @type {HTMLElement} */ (canvas.closest(".masks-widget")));
  Object.assign(canvas.style, { width: `${width}px`, height: `${height}px` });
  Object.assign(canvas, { width: Math.round(width * ratio), height: Math.round(height * ratio) });
  canvas.getContext("2d")?.setTransform(ratio, 0, 0, ratio, 0, 0);
}

/**
 * The style of a canvas's widget, whose colours labels and frames take.
 * @param {HTMLCanvasElement} canvas
 */
export const widgetStyle = (canvas) => getComputedStyle(/** @type {Element} */ (canvas.closest(".masks-widget")));

/**
 * Where on a canvas of this size an event points. Ratios of its box, since slides scale their pages.
 * @param {MouseEvent} event
 * @param {HTMLCanvasElement} canvas
 * @param {number} width
 * @param {number} height
 */
export function pointAt(event, canvas, width, height) {
  const box = canvas.getBoundingClientRect();
  return [((event.clientX - box.left) / box.width) * width, ((event.clientY - box.top) / box.height) * height];
}

/**
 * An image of one pixel a cell, to be drawn enlarged.
 * @param {number} columns
 * @param {number} rows
 */
export function pixelMap(columns, rows) {
  const small = element("canvas", { width: columns, height: rows });
  const context = contextOf(small, { willReadFrequently: true });
  const data = context.createImageData(columns, rows);
  return { small, context, data, pixels: new Uint32Array(data.data.buffer) };
}

/**
 * Lines only: what is under them says what the cell is.
 * @param {string} colour
 * @param {number} ratio pixels of the screen for one of CSS, by which the lines and what is between them are larger
 */
function hatching(colour, ratio) {
  const side = Math.round(8 * ratio);
  const tile = element("canvas", { width: side, height: side });
  const context = contextOf(tile);
  context.scale(side / 8, side / 8);
  context.strokeStyle = colour;
  context.stroke(new Path2D("M-8 8 L0 0 M0 8 L8 0 M8 8 L16 0"));
  return /** @type {CanvasPattern} */ (context.createPattern(tile, "repeat"));
}

/**
 * How a map is drawn.
 * @typedef {object} Look
 * @property {{ q: number, k: number }} active the row with a frame, and the cell if the grid has the focus
 * @property {boolean} focused
 * @property {string | null} hatch the colour of the lines across hidden cells, if there are any
 * @property {(q: number, k: number) => { text: string, light: boolean } | null} number in the middle of a cell
 * @property {boolean} [smooth] where cells are smaller than pixels
 * @property {number} [from] draws between two heights only
 * @property {number} [to]
 */

export class LabelledMap {
  /**
   * @param {HTMLCanvasElement} canvas
   * @param {Labels} labels
   */
  constructor(canvas, labels) {
    this.canvas = canvas;
    this.labels = labels;
    this.rows = labels.queryTokens.length;
    this.columns = labels.keyTokens.length;
    this.image = pixelMap(this.columns, this.rows);
    this.veil = pixelMap(this.columns, this.rows); // opaque where hidden
    this.layer = element("canvas");
    this.hatch = { colour: "", ratio: 0, lines: /** @type {CanvasPattern | null} */ (null) };
    this.layout = /** @type {Layout} */ ({});
  }

  /** @param {Layout} layout */
  take(layout) {
    this.layout = layout;
    sizeCanvas(this.canvas, this.layout.outerWidth, this.layout.outerHeight);
  }

  /**
   * Sets the colours of the cells from one row to another.
   * @param {(cell: number) => number} colour
   * @param {((cell: number) => boolean) | null} hidden
   */
  paint(colour, hidden, from = 0, to = this.rows) {
    for (let cell = from * this.columns; cell < to * this.columns; cell++) {
      this.image.pixels[cell] = colour(cell);
      this.veil.pixels[cell] = hidden?.(cell) ? OPAQUE : 0;
    }
    for (const { context, data } of [this.image, this.veil]) {
      context.putImageData(data, 0, 0, 0, from, this.columns, to - from);
    }
  }

  /** @param {Look} look */
  draw(look) {
    const { left, top, width, height, outerWidth, outerHeight, cell } = this.layout;
    if (!(cell > 0)) return; // not measured yet, or the labels alone are wider than the room; a wider page draws again
    const { active, from = 0, to = outerHeight } = look;
    const style = widgetStyle(this.canvas);
    const context = contextOf(this.canvas);
    context.save();
    context.beginPath();
    context.rect(0, from, outerWidth + 1, to - from);
    context.clip();
    context.clearRect(0, from, outerWidth + 1, to - from);
    context.imageSmoothingEnabled = look.smooth ?? false;
    context.drawImage(this.image.small, left, top, width, height);
    if (look.hatch) this.drawHatch(context, look.hatch, from, to);
    drawLabels(context, this.layout, this.labels, style.color);
    if (cell >= NUMBER_FITS && isFew(this.rows, this.columns)) this.drawNumbers(context, look);
    const y = top + active.q * cell;
    outline(context, style.color, style.backgroundColor, 2, [left - 1, y, width + 2, cell]);
    if (look.focused) {
      outline(context, style.borderTopColor, style.backgroundColor, 4, [left + active.k * cell, y, cell, cell]);
    }
    context.restore();
  }

  /**
   * Hatches those cells that are opaque in the veil, at least between two heights of the canvas. The layer is no larger
   * than that: each drawing copies it.
   * @param {CanvasRenderingContext2D} context
   * @param {string} colour
   * @param {number} from
   * @param {number} to
   */
  drawHatch(context, colour, from, to) {
    const { left, top, width, height } = this.layout;
    const ratio = context.getTransform().a;
    if (this.hatch.colour !== colour || this.hatch.ratio !== ratio) {
      this.hatch = { colour, ratio, lines: hatching(colour, ratio) };
    }
    const [columns, rows] = [width, height].map((length) => Math.max(1, Math.round(length * ratio)));
    const first = Math.max(0, Math.floor(((from - top) / height) * rows));
    const last = Math.min(rows, Math.ceil(((to - top) / height) * rows));
    Object.assign(this.layer, { width: columns, height: last - first }); // also clears it
    const over = contextOf(this.layer);
    over.imageSmoothingEnabled = false;
    over.translate(0, -first);
    over.drawImage(this.veil.small, 0, 0, columns, rows);
    over.globalCompositeOperation = "source-in";
    over.fillStyle = /** @type {CanvasPattern} */ (this.hatch.lines);
    over.fillRect(0, first, columns, last - first);
    context.drawImage(this.layer, left, top + (first / rows) * height, width, ((last - first) / rows) * height);
  }

  /**
   * A number that is wider than its cell is drawn narrower.
   * @param {CanvasRenderingContext2D} context
   * @param {Look} look
   */
  drawNumbers(context, { number }) {
    const { left, top, cell } = this.layout;
    Object.assign(context, { font: FONT, textAlign: "center" });
    for (let q = 0; q < this.rows; q++) {
      for (let k = 0; k < this.columns; k++) {
        const shown = number(q, k);
        if (!shown) continue;
        context.fillStyle = shown.light ? "#ffffff" : "#000000";
        context.fillText(shown.text, left + (k + 0.5) * cell, top + (q + 0.5) * cell, cell - 2);
      }
    }
  }

  /**
   * The cell that an event points at, and whether there is one.
   * @param {MouseEvent} event
   */
  cellAt(event) {
    const { left, top, cell, outerWidth, outerHeight } = this.layout;
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
function drawLabels(context, { left, top, cell, counted }, { queryTokens, keyTokens, words }, colour) {
  Object.assign(context, { fillStyle: colour, font: FONT, textBaseline: "middle" });
  const step = Math.max(1, Math.ceil((counted ? 14 : READABLE) / cell));
  const label = (/** @type {number} */ n, /** @type {string[]} */ tokens) => (counted ? String(n) : short(tokens[n]));
  context.textAlign = "right";
  const named = left > BARE;
  for (let q = 0; named && q < queryTokens.length; q += step) {
    context.fillText(label(q, queryTokens), left - 6, top + (q + 0.5) * cell);
  }
  for (let k = 0; k < keyTokens.length; k += step) {
    const name = cut(context, label(k, keyTokens), top - ABOVE_NAMES);
    upwards(context, name, left + (k + 0.5) * cell, top - 6, "left");
  }
  axisNames(context, words.key, left, 8, named ? words.query : "", top);
}

/**
 * As much of a text as there is room for.
 * @param {Ruler} context
 * @param {string} text
 * @param {number} room in pixels
 */
function cut(context, text, room) {
  let shown = text;
  for (let most = text.length - 1; most > 1 && context.measureText(shown).width > room + 0.5; most--) {
    shown = short(text, most);
  }
  return shown;
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
