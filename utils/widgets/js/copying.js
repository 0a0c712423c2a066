// Text to copy, with a button that does it.

import { button, setText } from "./dom.js";

/**
 * @param {HTMLElement} text
 * @param {{ copy: string, copied: string, copy_yourself: string }} words
 * @param {HTMLElement} live reads out what happened
 */
export function copyButton(text, words, live) {
  let saying = 0;
  const say = (/** @type {string} */ word) => {
    setText(copying, word);
    live.textContent = word;
    clearTimeout(saying);
    saying = window.setTimeout(() => setText(copying, words.copy), 2000);
  };
  const copying = button(words.copy, async () => {
    try {
      await navigator.clipboard.writeText(text.textContent ?? "");
      say(words.copied);
    } catch {
      // Without permission, as in some embedded pages: leave it selected, for Ctrl+C.
      getSelection()?.selectAllChildren(text);
      say(words.copy_yourself);
    }
  });
  return copying;
}
