// How the model starts in a page: once, for all StoryLabs, when one of them comes near.

import { openEngine } from "../gpt2/engine.js";
import { storyFile } from "./file.js";

/** @import { Engine } from "../gpt2/engine.js" */
/** @import { Model } from "../widget.js" */

/** The page's one engine, and how large its file is. @typedef {{ engine: Promise<Engine>, size: number }} StoryStart */

/**
 * The engine of this page. Each widget may load this text again, so a variable of its own would not do.
 * @param {Model} model
 * @param {HTMLElement} root of the view that asks
 * @returns {StoryStart}
 */
export function startStory(model, root) {
  const page = /** @type {{ masksStory?: StoryStart }} */ (globalThis);
  if (!page.masksStory) {
    const { bytes, size } = storyFile(model, root);
    const engine = bytes.then((file) => openEngine(file));
    page.masksStory = { engine, size };
    engine.catch(() => delete page.masksStory); // the next one tries again
  }
  return page.masksStory;
}

/**
 * Calls back once when an element is within about a screen of what is seen.
 * @param {Element} node
 * @param {() => void} callback
 * @returns {() => void} which gives up waiting
 */
export function whenNear(node, callback) {
  const observer = new IntersectionObserver(
    (entries) => {
      if (!entries.some((entry) => entry.isIntersecting)) return;
      observer.disconnect();
      callback();
    },
    { rootMargin: "100% 0px" },
  );
  observer.observe(node);
  return () => observer.disconnect();
}
