// A widget's model: the traits that it shares with Python and with other views.

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
