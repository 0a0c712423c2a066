// StoryLab's rules: which tokens the model gets, what each may see, at which positions, and how a story goes on.

/**
 * @typedef {"causal" | "window" | "left_padding" | "right_padding" | "none" | "upside_down" | "drawn"} StoryPreset
 */

/**
 * `attention_mask` and `position_ids`: whether the model is told of pads. `side` says where they are while a mask is
 * drawn by hand: drawing on a padded map leaves its pads there.
 * @typedef {object} StoryParameters
 * @property {number} window
 * @property {number} pads
 * @property {boolean} attention_mask
 * @property {boolean} position_ids
 * @property {"" | "left" | "right"} side
 */

/**
 * What is given to the model: the tokens of the text, with pads on one side or none.
 * @typedef {object} StorySequence
 * @property {number[]} ids
 * @property {number} left how many pads are before the words
 * @property {number} right and after them
 * @property {number} words how many tokens of the text there are
 * @property {boolean} cut whether the text had more
 */

export const STORY_LONGEST = 128; // tokens, pads included

/** @type {StoryParameters} */
const STORY_PARAMETERS = { window: 3, pads: 4, attention_mask: true, position_ids: true, side: "" };

/**
 * Parameters with those that are not said.
 * @param {Partial<StoryParameters> | undefined} said
 * @returns {StoryParameters}
 */
export const storyParameters = (said) => ({ ...STORY_PARAMETERS, ...said });

/**
 * On which side the pads are; "" if there are none.
 * @param {StoryPreset} preset
 * @param {StoryParameters} parameters
 */
export function storySide(preset, { side }) {
  if (preset === "left_padding") return "left";
  if (preset === "right_padding") return "right";
  return preset === "drawn" ? side : "";
}

/**
 * @param {number[]} textIds the tokens of the whole text
 * @param {StoryPreset} preset
 * @param {StoryParameters} parameters
 * @param {number} eos the token that begins a story, and that is the pad
 * @returns {StorySequence}
 */
export function storySequence(textIds, preset, parameters, eos) {
  const side = storySide(preset, parameters);
  const pads = side ? parameters.pads : 0;
  const most = STORY_LONGEST - pads;
  const words = textIds.length ? textIds.slice(0, most) : [eos];
  const padding = new Array(pads).fill(eos);
  const [left, right] = side === "left" ? [pads, 0] : [0, pads];
  const ids = side === "left" ? [...padding, ...words] : [...words, ...padding];
  return { ids, left, right, words: words.length, cut: textIds.length > most };
}

/**
 * Whether a place of the sequence holds a pad.
 * @param {StorySequence} sequence
 * @param {number} place
 */
export const isStoryPad = ({ left, words }, place) => place < left || place >= left + words;

/**
 * (T, T) cells, row = query, 1 = may attend: what the preset says, with the hidden words' columns 0. Not for "drawn".
 * @param {StorySequence} sequence
 * @param {StoryPreset} preset
 * @param {StoryParameters} parameters
 * @param {number[]} hidden words, counted without pads
 */
export function storyKeep(sequence, preset, parameters, hidden) {
  const T = sequence.ids.length;
  const columns = hiddenPlaces(sequence, hidden);
  const keep = new Uint8Array(T * T);
  for (let q = 0; q < T; q++) {
    for (let k = 0; k < T; k++) keep[q * T + k] = Number(!columns.has(k) && sees(sequence, preset, parameters, q, k));
  }
  return keep;
}

/**
 * @param {StorySequence} sequence
 * @param {number[]} hidden
 */
const hiddenPlaces = ({ left, words }, hidden) =>
  new Set(hidden.filter((word) => word >= 0 && word < words).map((word) => left + word));

/**
 * @param {StorySequence} sequence
 * @param {StoryPreset} preset
 * @param {StoryParameters} parameters
 * @param {number} q
 * @param {number} k
 */
function sees(sequence, preset, { window, attention_mask }, q, k) {
  if (preset === "none") return true;
  if (preset === "upside_down") return k > q;
  if (preset === "window" && k <= q - window) return false;
  const isPad = attention_mask && sequence.left + sequence.right > 0 && isStoryPad(sequence, k);
  return k <= q && !isPad;
}

/**
 * The position of each token. With padding and position_ids words count from 0 and pads are at 0, as in generate().
 * @param {StorySequence} sequence
 * @param {StoryParameters} parameters
 */
export function storyPositions(sequence, { position_ids }) {
  const { ids, left, right } = sequence;
  const counts = position_ids && left + right > 0;
  return ids.map((_, place) => (counts ? (isStoryPad(sequence, place) ? 0 : place - left) : place));
}

/**
 * What a new token sees, itself last. It follows the preset's rule for its place; after a drawn mask it sees what the
 * last row sees, and all new tokens.
 * @param {StorySequence} sequence
 * @param {StoryPreset} preset
 * @param {StoryParameters} parameters
 * @param {number[]} hidden
 * @param {Uint8Array} keep of the sequence
 * @param {number} place of the new token
 */
export function storyNextRow(sequence, preset, parameters, hidden, keep, place) {
  const T = sequence.ids.length;
  const row = new Uint8Array(place + 1);
  if (preset === "drawn") {
    row.fill(1);
    row.set(keep.subarray((T - 1) * T));
    return row;
  }
  const columns = hiddenPlaces(sequence, hidden);
  for (let k = 0; k <= place; k++) {
    const isOld = k < T; // what comes after the pads of the text is no pad
    if (isOld) row[k] = Number(!columns.has(k) && sees(sequence, preset, parameters, place, k));
    else row[k] = Number(preset !== "upside_down" && !(preset === "window" && k <= place - parameters.window));
  }
  return row;
}

/**
 * The position of a new token.
 * @param {StorySequence} sequence
 * @param {StoryParameters} parameters
 * @param {number} place
 */
export function storyNextPosition({ left, right }, { position_ids }, place) {
  return position_ids ? place - left - right : place;
}

/**
 * The row whose logits say the next word: the last place, or the last word before the pads.
 * @param {StorySequence} sequence
 * @param {string} readAt "end" or "word"
 */
export const storyRow = ({ ids, right }, readAt) => (readAt === "word" ? ids.length - 1 - right : ids.length - 1);

/**
 * The words that no query sees.
 * @param {StorySequence} sequence
 * @param {Uint8Array} keep
 */
export function unseenWords({ ids, left, words }, keep) {
  const T = ids.length;
  const isUnseen = (/** @type {number} */ k) => ids.every((_, q) => keep[q * T + k] === 0);
  return Array.from({ length: words }, (_, word) => word).filter((word) => isUnseen(left + word));
}

/**
 * Which words stay hidden while the text is edited: those that are as before, at the beginning and at the end.
 * @param {number[]} hidden
 * @param {number[]} before ids of the text
 * @param {number[]} after
 */
export function hiddenAfterEdit(hidden, before, after) {
  const shorter = Math.min(before.length, after.length);
  let head = 0;
  while (head < shorter && before[head] === after[head]) head++;
  let tail = 0;
  while (tail < shorter - head && before.at(-1 - tail) === after.at(-1 - tail)) tail++;
  const moved = hidden.map((word) => {
    if (word < head) return word;
    return word >= before.length - tail ? word + after.length - before.length : -1;
  });
  return moved.filter((word) => word >= 0);
}

/**
 * The preset, its parameters and the hidden words that make a mask, the present ones first; "drawn" if none do.
 * @param {Uint8Array} keep
 * @param {StorySequence} sequence
 * @param {StoryPreset} preset
 * @param {StoryParameters} parameters
 * @returns {{ preset: StoryPreset, parameters: StoryParameters, hidden: number[] }}
 */
export function recogniseStory(keep, sequence, preset, parameters) {
  const candidates = storyCandidates(sequence, parameters);
  candidates.sort(([a], [b]) => Number(b === preset) - Number(a === preset));
  for (const hidden of [[], unseenWords(sequence, keep)]) {
    for (const [name, values] of candidates) {
      const cells = storyKeep(sequence, name, values, hidden);
      if (cells.every((visible, cell) => visible === keep[cell])) return { preset: name, parameters: values, hidden };
    }
  }
  return { preset: "drawn", parameters, hidden: [] };
}

/**
 * All presets that a sequence can have, with each value of the parameter that changes their mask.
 * @param {StorySequence} sequence
 * @param {StoryParameters} parameters
 * @returns {[StoryPreset, StoryParameters][]}
 */
function storyCandidates({ ids, left, right }, parameters) {
  if (left + right) {
    const told = [parameters.attention_mask, !parameters.attention_mask];
    const name = left ? "left_padding" : "right_padding";
    return told.map((attention_mask) => [name, { ...parameters, attention_mask }]);
  }
  const windows = [parameters.window, ...Array.from({ length: ids.length - 1 }, (_, n) => n + 1)];
  return [
    ["causal", parameters],
    ["none", parameters],
    ["upside_down", parameters],
    ...windows.map((window) => /** @type {[StoryPreset, StoryParameters]} */ (["window", { ...parameters, window }])),
  ];
}
