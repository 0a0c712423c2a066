// Where the model's file comes from: the page itself, a file beside it, or Python.

/** @import { Model } from "../widget.js" */

/** @param {Model} model */
export function storyFile(model) {
  return { bytes: Promise.reject(new Error(`Not yet ${model}.`)), size: 0 };
}
