// How the model's file arrives.

/** @import { Model } from "../widget.js" */

/** @param {Model} _model @returns {{ bytes: Promise<Uint8Array>, size: number }} */
export function storyFile(_model) {
  return { bytes: Promise.reject(new Error("The model is not here.")), size: 0 };
}
