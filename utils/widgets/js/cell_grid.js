// A grid of cells for keyboards and screen readers. Of its cells only the active one exists on the page.

import { element } from "./dom.js";

export class CellGrid {
  /**
   * @param {string} id of the widget
   * @param {string} name of the grid in it
   * @param {Record<string, any>} attributes
   * @param {...Node} maps what is seen of it; hidden from screen readers, since a grid may hold rows only
   */
  constructor(id, name, attributes, ...maps) {
    this.cell = element("div", { role: "gridcell", id: `${id}-${name}`, class: "masks-hidden" });
    this.row = element("div", { role: "row", class: "masks-hidden" }, this.cell);
    const fixed = { role: "grid", tabindex: "0", "aria-activedescendant": this.cell.id };
    this.node = element("div", { ...fixed, "aria-describedby": `${id}-help`, ...attributes }, ...maps, this.row);
  }

  get focused() {
    return document.activeElement === this.node;
  }

  focus() {
    this.node.focus({ preventScroll: true });
  }

  /**
   * Makes a cell the active one.
   * @param {string} text what is read out
   * @param {number} row
   * @param {number} column
   */
  show(text, row, column) {
    this.cell.textContent = text;
    this.row.setAttribute("aria-rowindex", String(row + 1));
    this.cell.setAttribute("aria-colindex", String(column + 1));
  }

  /**
   * @param {number} rows
   * @param {number} columns
   */
  setSize(rows, columns) {
    this.node.setAttribute("aria-rowcount", String(rows));
    this.node.setAttribute("aria-colcount", String(columns));
  }

  /**
   * Calls `draw` when the focus comes or goes, and `move` with the cell that a key leads to.
   * @param {() => [number, number, number, number] | null} position row, column, rows, columns; null if there are none
   * @param {(row: number, column: number) => void} move
   * @param {(key: string) => boolean} press any other key; says whether it means something
   * @param {() => void} draw
   */
  listen(position, move, press, draw) {
    this.node.addEventListener("keydown", (event) => {
      const now = position();
      if (!now) return;
      const next = movedTo(event, ...now);
      if (next) move(...next);
      else if (!press(event.key)) return;
      event.preventDefault();
      event.stopPropagation();
    });
    for (const name of ["focus", "blur"]) this.node.addEventListener(name, draw);
  }
}

/**
 * The cell that a key leads to, or null if it is no such key.
 * @param {KeyboardEvent} event
 * @param {number} row
 * @param {number} column
 * @param {number} rows
 * @param {number} columns
 * @returns {[number, number] | null}
 */
function movedTo(event, row, column, rows, columns) {
  const jump = event.ctrlKey || event.metaKey;
  /** @type {Record<string, [number, number]>} */
  const moves = {
    ArrowUp: [row - 1, column],
    ArrowDown: [row + 1, column],
    ArrowLeft: [row, column - 1],
    ArrowRight: [row, column + 1],
    Home: [jump ? 0 : row, 0],
    End: [jump ? rows - 1 : row, columns - 1],
    PageUp: [row - 8, column],
    PageDown: [row + 8, column],
  };
  if (!(event.key in moves)) return null;
  const [toRow, toColumn] = moves[event.key];
  return [Math.min(rows - 1, Math.max(0, toRow)), Math.min(columns - 1, Math.max(0, toColumn))];
}
