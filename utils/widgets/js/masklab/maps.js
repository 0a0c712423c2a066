// MaskLab's two maps: the weights before the mask, and after it, where the mask is drawn.

import { CellGrid } from "../cell_grid.js";
import { isDeep } from "../colours.js";
import { contextOf, element, formatNumber, short } from "../dom.js";
import { ABOVE_NAMES, cellNumber, LabelledMap, mapLayout, NUMBERED, pairLayouts } from "../grid.js";
import { scale } from "../legend.js";

/** @import { LabView } from "./masklab.js" */

// The widget's width in px from which on its maps stand side by side, and all controls in one row.
const SIDE_BY_SIDE = 640;
const WIDE = 1150;
const GAP = 24;
const LARGEST = 48; // px, the side of a cell
const LEGIBLE = 40; // px of a name, of which the rest may be cut

export class LabMaps {
  /** @param {LabView} view */
  constructor(view) {
    const { words, state } = view;
    this.view = view;
    const labels = { queryTokens: state.queryTokens, keyTokens: state.keyTokens, words };
    const name = `${words.before}. ${state.Q} × ${state.K}.`;
    this.left = new LabelledMap(element("canvas", { role: "img", "aria-label": name }), labels);
    this.right = new LabelledMap(element("canvas", { "aria-hidden": "true" }), labels);
    const attributes = { class: "masklab-grid masks-drawn", "aria-label": words.after, "aria-multiselectable": "true" };
    /** @returns {[number, number, number, number]} */
    const position = () => [state.active.q, state.active.k, state.Q, state.K];
    this.grid = new CellGrid(view, "cell", attributes, position, this.right.canvas);
    this.legend = element("span", { class: "masks-legend", title: words.scale });
    const figure = (/** @type {Node[]} */ caption, /** @type {Node} */ content) =>
      element("figure", {}, element("figcaption", {}, ...caption), content);
    const titles = [words.before, words.after].map((title) => element("span", {}, title));
    const figures = [figure([titles[0]], this.left.canvas), figure([titles[1], this.legend], this.grid.node)];
    this.node = element("div", { class: "masklab-maps" }, ...figures);
    /** @type {number | null} */
    this.framedRow = null; // on the left
    this.recolour();
  }

  recolour() {
    this.legend.replaceChildren(scale(this.view.palette));
  }

  measure() {
    const { root } = this.view;
    if (root.clientWidth && !this.node.clientWidth) return; // hidden
    const outer = root.clientWidth || SIDE_BY_SIDE;
    const columns = outer >= SIDE_BY_SIDE ? 2 : 1;
    root.classList.toggle("masklab-stacked", columns === 1);
    root.classList.toggle("masklab-wide", outer >= WIDE);
    const context = contextOf(this.left.canvas);
    const { labels } = this.left;
    const room = this.node.clientWidth || outer - 16;
    const inView = this.inView(columns, outer);
    const spare = inView - NUMBERED * this.view.state.Q - ABOVE_NAMES;
    labels.highest = columns === 2 && spare >= LEGIBLE ? spare : Infinity; // the rows say long names, too
    const { top } = mapLayout(context, room / columns, labels);
    const tallest = this.tallest(inView - top);
    const stacked = () => new Array(2).fill(mapLayout(context, room, labels, LARGEST, tallest));
    const layouts = columns === 2 ? pairLayouts(context, room, GAP, labels, LARGEST, tallest) : stacked();
    this.left.take(layouts[0]);
    this.right.take(layouts[1]);
  }

  /**
   * How high one map may be, so that with a few tokens the whole widget is in view at once.
   * @param {number} columns
   * @param {number} outer the width of the widget
   */
  inView(columns, outer) {
    if (columns === 1) return Infinity;
    if (outer >= WIDE) return 332;
    return this.view.tour.isAbove ? 276 : 290;
  }

  /**
   * How high all cells of one map may be: as the page says in --masks-tallest, else what is in view. Many tokens need
   * more.
   * @param {number} few
   */
  tallest(few) {
    const said = parseFloat(getComputedStyle(this.view.root).getPropertyValue("--masks-tallest"));
    return said || Math.max(Math.min(few, 320), Math.min(NUMBERED * this.view.state.Q, 560));
  }

  /**
   * Colours rows. A hidden cell is grey and hatched; one that has a weight all the same, or is NaN, keeps that colour
   * under the hatch.
   * @param {number[]} rows
   */
  paint(rows) {
    const { state, model, palette } = this.view;
    const { before, after, keep } = state;
    const hiding = model.get("flipped") ? 1 : 0;
    const hidden = (/** @type {number} */ cell) => keep[cell] === hiding;
    const [from, to] = [Math.min(...rows), Math.max(...rows) + 1];
    const unmasked = (/** @type {number} */ cell) => palette.weight(before[cell]);
    const colour = (/** @type {number} */ cell) =>
      hidden(cell) && after[cell] === 0 ? palette.hidden : palette.weight(after[cell]);
    this.left.paint(unmasked, null, from, to);
    this.right.paint(colour, hidden, from, to);
  }

  /**
   * Draws both maps; or of the right one the given rows, and of the left one what the move to another row has changed.
   * @param {number[] | null} rows
   */
  draw(rows = null) {
    const { active } = this.view.state;
    const moved = this.framedRow === active.q || this.framedRow === null ? [] : [this.framedRow, active.q];
    if (!rows || moved.length) this.drawMap(this.left, rows && moved);
    this.drawMap(this.right, rows && [...rows, ...moved, active.q]);
    this.framedRow = active.q;
  }

  /**
   * @param {LabelledMap} map
   * @param {number[] | null} rows
   */
  drawMap(map, rows) {
    const { state, palette } = this.view;
    const { top, cell, outerHeight } = map.layout;
    const masked = map === this.right;
    const weights = masked ? state.after : state.before;
    map.draw({
      active: state.active,
      focused: masked && this.grid.focused,
      hatch: masked && state.counts.hidden > 0 ? palette.hatch : null,
      number(q, k) {
        const weight = weights[q * state.K + k];
        if (masked && weight === 0 && state.hides(q * state.K + k)) return null;
        return { text: cellNumber(weight), light: isDeep(palette.weight(weight)) };
      },
      // Between whole numbers, so that no pixel is drawn half; frames reach beyond their rows.
      from: rows ? Math.floor(top + Math.min(...rows) * cell) - 4 : 0,
      to: rows ? Math.ceil(top + (Math.max(...rows) + 1) * cell) + 4 : outerHeight,
    });
  }

  /** Reads out the active cell. */
  describeCell() {
    const { state, words } = this.view;
    const { q, k } = state.active;
    const cell = q * state.K + k;
    const seen = state.hides(cell) ? words.hidden : words.visible;
    const [query, key] = [short(state.queryTokens[q], 40), short(state.keyTokens[k], 40)];
    this.grid.show(words.cell(query, key, seen, formatNumber(state.after[cell])));
    this.grid.cell.setAttribute("aria-selected", String(!state.hides(cell)));
  }
}
