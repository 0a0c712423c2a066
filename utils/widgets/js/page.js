// The page around a widget, and its model: what changes there, and what is told to it.

/**
 * What anywidget gives: the traits that Python shares.
 * @typedef {object} Model
 * @property {(name: string) => any} get
 * @property {(name: string, value: unknown) => void} set
 * @property {() => void} save_changes
 * @property {(event: string, listener: () => void) => void} on
 * @property {(event: string, listener: () => void) => void} off
 */

/**
 * The bytes of a trait, copied.
 * @param {DataView<ArrayBuffer>} view
 */
export const bytesOf = (view) => new Uint8Array(view.buffer, view.byteOffset, view.byteLength).slice();

/**
 * Sets traits and sends them to Python.
 * @param {Model} model
 * @param {Record<string, unknown>} values
 */
export function setAndSave(model, values) {
  for (const [name, value] of Object.entries(values)) model.set(name, value);
  model.save_changes();
}

/**
 * Calls a listener when its trait changes; returns what ends it.
 * @param {Model} model
 * @param {Record<string, () => void>} listeners
 */
export function listen(model, listeners) {
  for (const [name, listener] of Object.entries(listeners)) model.on(`change:${name}`, listener);
  return () => {
    for (const [name, listener] of Object.entries(listeners)) model.off(`change:${name}`, listener);
  };
}

/** Calls `paint` at most once a frame. */
export class Frame {
  /** @param {() => void} paint */
  constructor(paint) {
    this.paint = paint;
    this.request = 0;
  }
  ask() {
    this.request ||= requestAnimationFrame(() => this.now());
  }
  now() {
    this.end();
    this.paint();
  }
  end() {
    cancelAnimationFrame(this.request);
    this.request = 0;
  }
}

/**
 * Calls `measure` when the width changes and `draw` when colours do; returns what ends it.
 * @param {HTMLElement} root
 * @param {() => void} measure
 * @param {() => void} draw
 */
export function followPage(root, measure, draw) {
  const resize = new ResizeObserver(measure);
  resize.observe(root);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  dark.addEventListener("change", draw);
  const themes = new MutationObserver(draw); // the site and JupyterLab switch by attributes
  for (const node of [document.documentElement, document.body]) {
    themes.observe(node, { attributes: true, attributeFilter: ["data-theme", "data-jp-theme-light", "class"] });
  }
  return () => {
    resize.disconnect();
    themes.disconnect();
    dark.removeEventListener("change", draw);
  };
}

/**
 * The notebook hears no key from in here (see `element`), but must be saved: Ctrl+S is told to what is around.
 * @param {HTMLElement} root
 * @param {HTMLElement} el
 */
export function passSaving(root, el) {
  root.addEventListener("keydown", (event) => {
    if (!(event.ctrlKey || event.metaKey) || event.key.toLowerCase() !== "s" || !root.closest(".jp-Notebook")) return;
    if (!el.dispatchEvent(new KeyboardEvent("keydown", event))) event.preventDefault();
  });
}
