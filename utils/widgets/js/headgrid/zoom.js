// HeadGrid's large maps of one head, before and after, and the table of one of its rows.

import { CellGrid } from "../cell_grid.js";
import { isDeep } from "../colours.js";
import { contextOf, element, setText, short } from "../dom.js";
import { cellNumber, LabelledMap, mapLayout, numberedWidth, pairLayouts } from "../grid.js";
import { RowTable } from "../row_table.js";
import { twoDigits } from "./weights.js";

/** @import { Side } from "./state.js" */
/** @import { GridView } from "./headgrid.js" */

const SHOWN_KEYS = 8;
const LARGEST_CELL = 40; // px
const PAIR_GAP = 16; // px between two large maps, see headgrid.css

export class Zoom {
  /** @param {GridView} view */
  constructor(view) {
    this.view = view;
    this.canvases = [0, 1].map(() => element("canvas", { "aria-hidden": "true" }));
    this.titles = [0, 1].map(() => element("div", { class: "masks-title" }));
    this.boxes = this.canvases.map((canvas, n) => element("div", { "aria-hidden": "true" }, this.titles[n], canvas));
    const attributes = { class: "headgrid-zoom", "aria-label": view.words.zoom };
    this.grid = new CellGrid(view, "zoom", attributes, () => view.state.cellPosition(), ...this.boxes);
    this.line = element("p", { class: "headgrid-line", "aria-hidden": "true" }); // the grid's cell says the same
    this.table = element("div");
    /** @type {{ q: number, k: number } | null} */
    this.pointed = null; // the cell under the pointer
    /** @type {LabelledMap[]} */
    this.maps = [];
    for (const [n, canvas] of this.canvases.entries()) {
      canvas.addEventListener("click", (event) => {
        this.choose(event, n);
        this.grid.focus();
      });
      canvas.addEventListener("pointermove", (event) => this.point(event, n));
      canvas.addEventListener("pointerleave", () => this.pointTo(null));
    }
  }

  /** Makes maps of the size of the weights. */
  build() {
    const { words, state } = this.view;
    this.pointed = null;
    this.maps = this.canvases.map((canvas) => new LabelledMap(canvas, { ...state.weights, words }));
  }

  /** How wide two maps must be to show numbers. */
  numberedWidth() {
    return Math.ceil(numberedWidth(contextOf(this.canvases[0]), PAIR_GAP, this.maps[0].labels));
  }

  /**
   * @param {number} room
   * @param {number | null} tallest how high all cells of a map may be at most
   */
  measure(room, tallest) {
    const { after } = this.view.state.weights;
    const context = contextOf(this.canvases[0]);
    const [{ labels }] = this.maps;
    const high = tallest ?? 420;
    const one = mapLayout(context, Math.min(480, room), labels, LARGEST_CELL, high);
    const two = () => pairLayouts(context, Math.min(976, room), PAIR_GAP, labels, LARGEST_CELL, high);
    const layouts = after && (room >= 480 || tallest) ? two() : [one, one];
    for (const [n, map] of this.maps.entries()) map.take(layouts[n]);
    this.boxes[1].hidden = !after;
  }

  paint() {
    const { state, palette } = this.view;
    const from = state.start;
    state.zoomSides.forEach((side, n) => {
      const { colour } = state.look(side, palette);
      const keep = state.keepOf(side);
      this.maps[n].paint(
        (cell) => colour(from + cell, cell),
        (cell) => keep !== null && !keep[cell],
      );
      this.titles[n].textContent = state.sideName(side);
    });
  }

  draw() {
    const { state, palette } = this.view;
    state.zoomSides.forEach((side, n) => {
      this.maps[n].draw({
        active: state.active,
        focused: this.grid.focused,
        hatch: state.keepOf(side) && palette.hatch,
        smooth: this.maps[n].layout.cell < 1,
        number: (q, k) => this.number(side, q, k),
      });
    });
  }

  /**
   * The number in a cell.
   * @param {Side} side
   * @param {number} q
   * @param {number} k
   */
  number(side, q, k) {
    const { state, palette } = this.view;
    const value = state.value(side, q, k);
    if (value === 0 && state.hides(side, q, k)) return null;
    const light = isDeep(side === "change" ? palette.change(value) : palette.weight(value));
    return { text: cellNumber(value), light };
  }

  /**
   * The weights of a cell, in words.
   * @param {{ q: number, k: number }} cell
   * @param {string} then between before and after
   * @param {number} most characters of a token
   */
  cellWords({ q, k }, then, most) {
    const { state, words } = this.view;
    const { queryTokens, keyTokens } = state.weights;
    const parts = state.sides.map((side) => {
      const weight = words.value(state.sideName(side), twoDigits(state.value(side, q, k)));
      return state.hides(side, q, k) ? `${weight}, ${words.hidden}` : weight;
    });
    return words.cell(short(queryTokens[q], most), short(keyTokens[k], most), parts.join(then));
  }

  /** Reads out the active cell, and shows the numbers of the one under the pointer. */
  describe() {
    const { active } = this.view.state;
    this.grid.show(this.cellWords(active, ", ", 40));
    setText(this.line, this.cellWords(this.pointed ?? active, " → ", 12));
  }

  /** Shows where the active query looks. */
  showRow() {
    const { state, words } = this.view;
    const { K, queryTokens, keyTokens } = state.weights;
    const { sides, active } = state;
    const table = new RowTable([words.keyColumn, ...sides.map((side) => state.sideName(side))], twoDigits);
    const weights = (/** @type {number} */ k) => sides.map((side) => state.value(side, active.q, k));
    const largest = (/** @type {number} */ k) => Math.max(...weights(k).map((weight) => weight || 0));
    table.show(words.row(short(queryTokens[active.q]), active.q), keyTokens, SHOWN_KEYS, largest, (k) => ({
      hidden: state.hides("after", active.q, k),
      numbers: [],
      weights: weights(k),
    }));
    this.table.replaceChildren(table.node);
    if (K > SHOWN_KEYS) this.table.append(element("p", { class: "masks-help" }, words.onlyLargest(SHOWN_KEYS, K)));
  }

  /**
   * Shows the numbers of the cell under the pointer; a pressed one makes it the active cell.
   * @param {PointerEvent} event
   * @param {number} n
   */
  point(event, n) {
    if (!this.view.measured) return;
    if (event.buttons === 1 && event.pointerType !== "touch") this.choose(event, n); // a finger scrolls the page
    const { q, k, inside } = this.maps[n].cellAt(event);
    this.pointTo(inside ? { q, k } : null);
  }

  /** @param {{ q: number, k: number } | null} cell */
  pointTo(cell) {
    this.pointed = cell;
    if (this.view.measured) setText(this.line, this.cellWords(cell ?? this.view.state.active, " → ", 12));
  }

  /**
   * Makes the cell that was pointed at the active one.
   * @param {MouseEvent} event
   * @param {number} n
   */
  choose(event, n) {
    if (!this.view.measured) return;
    const { q, k, inside } = this.maps[n].cellAt(event);
    if (inside) this.view.moveTo(q, k);
  }
}
