// How MaskLab is drawn on: with a pointer and with keys.

/** @import { LabView } from "./masklab.js" */

/**
 * A stroke gives all of its cells the value that its first one gets; a click on the left selects a row.
 * @param {LabView} view
 */
export function followPointer(view) {
  const { state, maps } = view;
  const { left, right } = maps;
  /** @type {number | null} */
  let value = null; // of the stroke that is being drawn
  right.canvas.addEventListener("pointerdown", (event) => {
    const { q, k, inside } = right.cellAt(event);
    if (event.button !== 0 || !inside) return;
    event.preventDefault();
    maps.grid.focus();
    right.canvas.setPointerCapture(event.pointerId);
    value = view.toggle(q, k);
    view.showStroke();
  });
  right.canvas.addEventListener("pointermove", (event) => {
    const { q, k, inside } = right.cellAt(event);
    if (value === null || !inside || (q === state.active.q && k === state.active.k)) return;
    for (const [row, column] of cellsBetween(state.active, { q, k })) view.setCell(row, column, value);
    state.active = { q, k };
    view.showStroke();
  });
  const endStroke = () => {
    if (value !== null) view.endDrawing();
    value = null;
  };
  right.canvas.addEventListener("pointerup", endStroke);
  right.canvas.addEventListener("pointercancel", endStroke);
  // A notebook takes the focus for its cell while the button is down, and then reads letters as commands.
  view.root.addEventListener("click", () => {
    if (!view.root.contains(document.activeElement)) maps.grid.focus();
  });
  left.canvas.addEventListener("pointerdown", (event) => {
    const { q, inRows } = left.cellAt(event);
    if (inRows) view.moveTo(q, state.active.k);
  });
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
 * Arrows move, Space and Enter hide or show a cell, Ctrl+Z undoes.
 * @param {LabView} view
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
    if (key !== "z" && key !== "y") return;
    event.preventDefault(); // Chrome would undo whatever was typed last on this page, as in a cell of the notebook
    if (key === "z" && !event.shiftKey && state.undo()) view.commit();
  });
}
