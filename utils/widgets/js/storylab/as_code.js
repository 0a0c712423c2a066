// The same call in transformers, to copy.

/** @param {Record<string, any>} state */
export function toStoryCode(state) {
  return String(state);
}
