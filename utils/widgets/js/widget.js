// What a view of any widget does: it shares traits with Python, follows the page's width and colours, and ends.

import { paletteOf } from "./colours.js";
import { element, mergeWords, pixelRatio, uniqueId } from "./dom.js";
import { passSaving } from "./notebook.js";

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
 * What a widget's module exports: anywidget has it render each view, and calls what that returns when the view goes.
 * @param {new (model: Model, el: HTMLElement) => WidgetView<any>} View
 */
export const program = (View) => ({
  render(/** @type {{ model: Model, el: HTMLElement }} */ { model, el }) {
    const view = new View(model, el);
    return () => view.end();
  },
});

/** What every widget says, beside the words of its own. */
const COMMON = {
  saved: "Drawn from the saved notebook. Run this cell, and Python sees what you do here.",
  scale: "Colours follow the square root of the weight.",
};

/** @template {Record<string, any>} Words */
export class WidgetView {
  /**
   * @param {string} name
   * @param {Words} words
   * @param {Model} model
   * @param {HTMLElement} el
   */
  constructor(name, words, model, el) {
    this.id = uniqueId(name);
    this.model = model;
    this.words = /** @type {typeof COMMON & Words} */ (mergeWords({ ...COMMON, ...words }, model.get("words")));
    this.root = element("div", { class: `masks-widget ${name}`, "data-lm-suppress-shortcuts": "true" });
    this.status = element("p", { class: "masks-status" });
    this.help = element("p", { class: "masks-help", id: `${this.id}-help` }, this.words.help);
    this.live = element("div", { class: "masks-hidden", "aria-live": "polite" });
    // Where a notebook is open but no kernel knows this widget; shared.css shows it there.
    this.root.append(element("p", { class: "masks-saved" }, this.words.saved));
    this.frame = 0;
    /** @type {(() => unknown)[]} */
    this.endings = [];
    el.append(this.root);
    this.palette = paletteOf(this.root);
    passSaving(this.root, el);
  }

  /** When the width changes. */
  measure() {}

  /** When the focus or the page's colours change. */
  draw() {}

  /** When the page has become dark, or light. */
  recolour() {}

  /** When anything else does; see `askToPaint`. */
  paint() {}

  /**
   * Calls a listener when its trait changes, `measure` and `draw` when the page does.
   * @param {Record<string, () => void>} listeners
   */
  follow(listeners) {
    for (const [name, listener] of Object.entries(listeners)) {
      this.model.on(`change:${name}`, listener);
      this.endings.push(() => this.model.off(`change:${name}`, listener));
    }
    const draw = () => {
      const palette = paletteOf(this.root);
      if (palette === this.palette) return this.draw();
      this.palette = palette;
      this.recolour();
    };
    const resize = new ResizeObserver(() => {
      if (paletteOf(this.root) !== this.palette) draw(); // it may have had no style until now
      this.measure();
    });
    // As wide as the widget, but never higher: what `measure` changes must not call it again, which a page calls an error.
    const gauge = element("div");
    this.root.prepend(gauge);
    resize.observe(gauge);
    let ratio = pixelRatio(this.root);
    // Full screen enlarges a slide, and a browser its page, but to the widget it is as wide as before.
    const enlarge = () =>
      requestAnimationFrame(() => {
        if (!this.root.offsetWidth || pixelRatio(this.root) === ratio) return;
        ratio = pixelRatio(this.root);
        this.measure();
      });
    window.addEventListener("resize", enlarge);
    this.endings.push(() => window.removeEventListener("resize", enlarge));
    const dark = matchMedia("(prefers-color-scheme: dark)");
    dark.addEventListener("change", draw);
    const themes = new MutationObserver(draw); // the site and JupyterLab switch by attributes
    for (const node of [document.documentElement, document.body]) {
      themes.observe(node, { attributes: true, attributeFilter: ["data-theme", "data-jp-theme-light", "class"] });
    }
    for (const observer of [resize, themes]) this.endings.push(() => observer.disconnect());
    this.endings.push(() => dark.removeEventListener("change", draw));
  }

  /** Paints in the next frame, once. */
  askToPaint() {
    this.frame ||= requestAnimationFrame(() => this.paintNow());
  }

  paintNow() {
    cancelAnimationFrame(this.frame);
    this.frame = 0;
    this.paint();
  }

  end() {
    for (const ending of this.endings) ending();
    cancelAnimationFrame(this.frame);
  }
}
