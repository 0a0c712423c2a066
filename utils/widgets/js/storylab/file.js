// How the model's file reaches a StoryLab: it is in the page, beside the page, or Python has it.

import { DAMAGED_FILE } from "../gpt2/file.js";

/** @import { Model } from "../widget.js" */

/**
 * What a page may say of the file, and what its script beside the page leaves there.
 * @typedef {{ masksStoryBeside?: { address: string, size: number }, masksStoryText?: string }} StoryPage
 */

/**
 * A notebook's model, which has Python at its other end.
 * @typedef {object} Asking
 * @property {(content: object) => void} [send]
 * @property {(event: "msg:custom", listener: (content: any, buffers: DataView<ArrayBuffer>[]) => void) => void} on
 * @property {(event: "msg:custom", listener: (content: any, buffers: DataView<ArrayBuffer>[]) => void) => void} off
 */

const STORY_MODEL = "story-gpt2";
const DECODED_AT_ONCE = 1 << 19; // characters

/**
 * The packed file, and how many bytes it has; 0 if that is not known. It is asked for once a page: see startStory.
 * @param {Model} model
 * @param {HTMLElement} root of the view that asks
 * @returns {{ bytes: Promise<Uint8Array>, size: number }} rejects with a sentence for the reader
 */
export function storyFile(model, root) {
  const inside = document.getElementById(`masks-${STORY_MODEL}`)?.textContent;
  if (inside) return { bytes: bytesOfText(inside), size: Math.floor(inside.length * 0.75) };
  const { masksStoryBeside: beside } = /** @type {StoryPage} */ (globalThis);
  if (beside) return { bytes: readBeside(beside.address), size: beside.size };
  const asking = /** @type {Asking} */ (/** @type {unknown} */ (model));
  return { bytes: askPython(asking, root), size: 0 };
}

/**
 * The file from its text.
 * @param {string} text
 * @returns {Promise<Uint8Array>}
 */
async function bytesOfText(text) {
  try {
    return await decodeBase64(text);
  } catch {
    throw new Error(DAMAGED_FILE);
  }
}

/**
 * Bytes from base64. Browsers that cannot do it themselves do it in pieces, and paint between them.
 * @param {string} text
 * @returns {Promise<Uint8Array>}
 */
async function decodeBase64(text) {
  const native = /** @type {{ fromBase64?: (text: string) => Uint8Array }} */ (/** @type {unknown} */ (Uint8Array));
  if (native.fromBase64) return native.fromBase64(text);
  const bytes = new Uint8Array((text.length / 4) * 3 - (text.match(/=*$/)?.[0].length ?? 0));
  for (let start = 0; start < text.length; start += DECODED_AT_ONCE) {
    const piece = atob(text.slice(start, start + DECODED_AT_ONCE));
    const first = (start / 4) * 3;
    for (let n = 0; n < piece.length; n++) bytes[first + n] = piece.charCodeAt(n);
    await new Promise((painted) => setTimeout(painted));
  }
  return bytes;
}

/**
 * The file from a script beside the page: from a disk a page may load that, and nothing else.
 * @param {string} address
 * @returns {Promise<Uint8Array>}
 */
function readBeside(address) {
  const page = /** @type {StoryPage} */ (globalThis);
  const script = document.createElement("script");
  return new Promise((resolve, reject) => {
    script.addEventListener("load", () => {
      resolve(bytesOfText(page.masksStoryText ?? ""));
      delete page.masksStoryText;
      script.remove();
    });
    script.addEventListener("error", () => {
      reject(new Error(`The file of the model is not at ${address}.`));
      script.remove();
    });
    script.src = address;
    document.head.append(script);
  });
}

/**
 * The file from Python, which may be busy for a while. Where no kernel knows the view, nobody would ever answer.
 * @param {Asking} model
 * @param {HTMLElement} root
 * @returns {Promise<Uint8Array>}
 */
function askPython(model, root) {
  if (!model.send) return Promise.reject(new Error("This page came without the model."));
  return new Promise((resolve, reject) => {
    /** @type {Parameters<Asking["on"]>[1]} */
    const hear = (content, [buffer]) => {
      if (content?.answer !== STORY_MODEL) return;
      end();
      if (content.error) reject(new Error(content.error));
      else resolve(new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength));
    };
    const look = () => {
      if (!root.closest(".jupyter-widgets-disconnected")) return;
      end();
      reject(new Error("The model comes from Python, and this notebook has no kernel that knows this widget."));
    };
    const timer = setInterval(look, 300);
    const end = () => {
      clearInterval(timer);
      model.off("msg:custom", hear);
    };
    model.on("msg:custom", hear);
    model.send?.({ ask: STORY_MODEL });
  });
}
