// How the model's file arrives.

/** @import { Model } from "../widget.js" */

/** @param {Model} _model @returns {{ bytes: Promise<Uint8Array>, size: number }} */
export function storyFile(_model) {
  const text = document.getElementById("masks-story-gpt2")?.textContent;
  if (!text) return { bytes: Promise.reject(new Error("The model is not in this page.")), size: 0 };
  return { bytes: Promise.resolve(Uint8Array.from(atob(text), (c) => c.charCodeAt(0))), size: text.length };
}
