// How masks are drawn on a map: with a pointer, with a finger and with keys.

/** @import { CellGrid } from "./cell_grid.js" */
/** @import { LabelledMap } from "./grid.js" */

/**
 * A widget with two maps, of which the right one is drawn on.
 * @typedef {object} Drawable
 * @property {HTMLElement} root
 * @property {{ left: LabelledMap, right: LabelledMap, grid: CellGrid }} maps
 * @property {{ active: { q: number, k: number } }} state
 * @property {Stroke} stroke
 * @property {(q: number, k: number) => number | null} toggle hides or shows a cell, with which a stroke may
 *   begin; its new value, or null if nothing is drawn there
 * @property {(q: number, k: number, value: number) => void} setCell
 * @property {() => void} showStroke
 * @property {() => void} endDrawing
 * @property {(q: number, k: number) => void} moveTo
 * @property {(forward: boolean) => void} travel undoes, or does again
 */

const HOLD = 350; // ms after which a finger draws
const SLACK = 10; // px that a finger may move while it holds still

/** A stroke gives all of its cells the value that its first one gets. */
export class Stroke {
  /** @param {Drawable} view */
  constructor(view) {
    this.view = view;
    /** @type {number | null} */
    this.value = null; // null while nothing is drawn
    this.pointer = 0; // that draws; a second finger does not
  }

  /**
   * @param {{ q: number, k: number }} cell
   * @param {number} pointer
   */
  begin({ q, k }, pointer) {
    this.pointer = pointer;
    this.view.maps.grid.focus();
    this.value = this.view.toggle(q, k);
    this.view.showStroke();
  }

  /** @param {PointerEvent} event */
  follow(event) {
    const { state, maps } = this.view;
    const { q, k, inside } = maps.right.cellAt(event);
    if (this.value === null || !inside || (q === state.active.q && k === state.active.k)) return;
    for (const [row, column] of cellsBetween(state.active, { q, k })) this.view.setCell(row, column, this.value);
    state.active = { q, k };
    this.view.showStroke();
  }

  end() {
    if (this.value !== null) this.view.endDrawing();
    this.value = null;
  }
}

/**
 * The cells on the way: a fast hand jumps over them.
 * @param {{ q: number, k: number }} from itself left out
 * @param {{ q: number, k: number }} to
 */
function cellsBetween(from, to) {
  const steps = Math.max(Math.abs(to.q - from.q), Math.abs(to.k - from.k));
  return Array.from({ length: steps }, (_, n) => {
    const share = (n + 1) / steps;
    return [from.q + (to.q - from.q) * share, from.k + (to.k - from.k) * share].map(Math.round);
  });
}

/**
 * Draws on the right; a click on the left selects a row.
 * @param {Drawable} view
 */
export function followPointer(view) {
  const { state, maps, stroke } = view; // maps change with the number of tokens, their canvases do not
  const [left, right] = [maps.left.canvas, maps.right.canvas];
  const finger = new Finger(view, stroke);
  const isAnother = (/** @type {PointerEvent} */ event) => stroke.value !== null && event.pointerId !== stroke.pointer;
  right.addEventListener("pointerdown", (event) => {
    if (isAnother(event)) return;
    finger.touches = event.pointerType === "touch";
    if (finger.touches) return finger.press(event);
    const cell = maps.right.cellAt(event);
    if (event.button !== 0 || !cell.inside) return;
    event.preventDefault();
    right.setPointerCapture(event.pointerId);
    stroke.begin(cell, event.pointerId);
  });
  right.addEventListener("pointermove", (event) => {
    if (isAnother(event)) return;
    finger.move(event);
    stroke.follow(event);
  });
  right.addEventListener("pointerup", (event) => {
    if (isAnother(event)) return;
    finger.lift();
    stroke.end();
  });
  right.addEventListener("pointercancel", (event) => {
    if (isAnother(event)) return;
    finger.forget();
    stroke.end();
  });
  // A page that has begun to scroll can no longer be held; so this is no passive listener.
  const hold = (/** @type {TouchEvent} */ event) => stroke.value !== null && event.preventDefault();
  right.addEventListener("touchmove", hold, { passive: false });
  right.addEventListener("contextmenu", (event) => finger.touches && event.preventDefault());
  // A notebook takes the focus for its cell while the button is down, and then reads letters as commands.
  view.root.addEventListener("click", () => {
    if (!view.root.contains(document.activeElement)) maps.grid.focus();
  });
  left.addEventListener("click", (event) => {
    const { q, inRows } = maps.left.cellAt(event);
    if (inRows) view.moveTo(q, state.active.k);
  });
}

/** A finger scrolls the page with a swipe, toggles a cell with a tap, and draws once it has held still for a moment. */
class Finger {
  /**
   * @param {Drawable} view
   * @param {Stroke} stroke
   */
  constructor(view, stroke) {
    this.view = view;
    this.stroke = stroke;
    this.touches = false;
    this.waiting = 0;
    this.first = { q: 0, k: 0 };
    this.pointer = 0;
    this.x = 0;
    this.y = 0;
  }

  /** @param {PointerEvent} event */
  press(event) {
    this.forget();
    const { q, k, inside } = this.view.maps.right.cellAt(event);
    if (!event.isPrimary || !inside) return; // two fingers enlarge the page
    this.first = { q, k };
    this.pointer = event.pointerId;
    [this.x, this.y] = [event.clientX, event.clientY];
    this.waiting = window.setTimeout(() => this.draw(), HOLD);
  }

  draw() {
    this.forget();
    this.stroke.begin(this.first, this.pointer);
    this.view.maps.grid.node.classList.add("masks-drawing");
  }

  /** @param {PointerEvent} event */
  move(event) {
    if (this.waiting && Math.hypot(event.clientX - this.x, event.clientY - this.y) > SLACK) this.forget();
  }

  lift() {
    if (this.waiting) this.stroke.begin(this.first, this.pointer);
    this.forget();
  }

  forget() {
    clearTimeout(this.waiting);
    this.waiting = 0;
    this.view.maps.grid.node.classList.remove("masks-drawing");
  }
}

/**
 * Arrows move, Space and Enter hide or show a cell, Ctrl+Z undoes, Ctrl+Y or Ctrl+Shift+Z does again.
 * @param {Drawable} view
 */
export function followKeys(view) {
  const { state, maps } = view;
  const toggle = () => {
    view.toggle(state.active.q, state.active.k);
    view.endDrawing();
  };
  maps.grid.listen((q, k) => view.moveTo(q, k), { " ": toggle, Enter: toggle });
  view.root.addEventListener("keydown", (event) => {
    const key = event.ctrlKey || event.metaKey ? event.key.toLowerCase() : "";
    if ((key !== "z" && key !== "y") || event.target instanceof HTMLTextAreaElement) return; // which undoes its letters
    event.preventDefault(); // Chrome would undo whatever was typed last on this page, as in a cell of the notebook
    view.travel(key === "y" || event.shiftKey);
  });
}
