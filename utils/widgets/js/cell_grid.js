// A grid of cells for keyboards and screen readers. Of its cells only the active one exists on the page.

import { element } from "./dom.js";

/** @import { WidgetView } from "./widget.js" */

export class CellGrid {
  /**
   * @param {WidgetView<any>} view
   * @param {string} name of the grid in the widget
   * @param {Record<string, any>} attributes
   * @param {() => [number, number, number, number] | null} position the active row and column, and how many there are
   * @param {...Node} maps what is seen of it; hidden from screen readers, since a grid may hold rows only
   */
  constructor(view, name, attributes, position, ...maps) {
    this.position = position;
    this.live = view.live;
    this.cell = element("div", { role: "gridcell", id: `${view.id}-${name}`, class: "masks-hidden" });
    this.row = element("div", { role: "row", class: "masks-hidden" }, this.cell);
    const fixed = { role: "grid", tabindex: "0", "aria-activedescendant": this.cell.id };
    this.node = element("div", { ...fixed, "aria-describedby": view.help.id, ...attributes }, ...maps, this.row);
    for (const event of ["focus", "blur"]) this.node.addEventListener(event, () => view.draw());
  }

  get focused() {
    return document.activeElement === this.node;
  }

  focus() {
    this.node.focus({ preventScroll: true });
  }

  /**
   * Reads out the active cell.
   * @param {string} text
   */
  show(text) {
    const [row, column, rows, columns] = this.position() ?? [0, 0, 0, 0];
    this.cell.textContent = text;
    this.node.setAttribute("aria-rowcount", String(rows));
    this.node.setAttribute("aria-colcount", String(columns));
    this.row.setAttribute("aria-rowindex", String(row + 1));
    this.cell.setAttribute("aria-colindex", String(column + 1));
  }

  /** Reads out what the next frame shows. */
  announce() {
    requestAnimationFrame(() => (this.live.textContent = this.cell.textContent));
  }

  /**
   * Follows the keys, and reads out the cell that they lead to.
   * @param {(row: number, column: number) => void} move to the cell that a key leads to
   * @param {Record<string, () => void>} others what other keys do
   */
  listen(move, others) {
    this.node.addEventListener("keydown", (event) => {
      const position = this.position();
      if (!position) return;
      const next = movedTo(event, ...position);
      if (next) {
        move(...next);
        this.announce();
      } else if (event.key in others) others[event.key]();
      else return;
      event.preventDefault();
      event.stopPropagation();
    });
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
