// Everything that StoryLab shows or reads out, so that another language needs no other widget.

/**
 * What is to be noticed: of the likeliest next word now and as trained, and of the rows.
 * @typedef {object} Finding
 * @property {boolean} trained whether the mask is the one of the training
 * @property {string} now the likeliest next word
 * @property {string} nowShare its probability
 * @property {string} was the likeliest as trained
 * @property {string} wasShare
 * @property {string} wasNow what that one has as trained and now: "53 %" and "12 %"
 * @property {boolean} infinite whether hidden scores get −∞
 * @property {boolean} same whether no probability in the table differs
 * @property {boolean} nan
 * @property {string} empty the name of the first row that sees nothing; "" if there is none
 */

/** A word of the text, named, and what the next word has without it. @typedef {{ word: string, without: string }} Without */

const ORDINALS = ["first", "second", "third", "fourth", "fifth", "sixth"];

export const STORY_WORDS = {
  text: "Text",
  tokens: "Tokens: press one to hide that word; arrows move",
  hide: "Click a word to hide it:",
  hide_touch: "Tap a word to hide it:",
  pad: "pad",
  unknown: (/** @type {string[]} */ tokens) =>
    `This model has never seen ${tokens.join(", ")}; all such words are one to it.`,
  unknown_token: "never seen by this model",
  hidden_token: "hidden: no query sees it",
  cut: (/** @type {number} */ most) => `The text is cut: the model gets its first ${most} tokens here.`,
  empty: "No text: the model begins with the token that starts a story.",
  preset: "Mask",
  presets: {
    causal: "causal",
    window: "window",
    left_padding: "left padding",
    right_padding: "right padding",
    none: "no mask",
    upside_down: "upside down (~causal)",
    drawn: "drawn by hand",
  },
  window: "window",
  pads: "pads",
  attention_mask: "attention_mask",
  position_ids: "position_ids",
  read_at: "Read at",
  read_ats: { end: "the last place", word: "the last word" },
  where: "Heads",
  all_heads: "all heads",
  one_head: (/** @type {number} */ head) => `only head ${head}`,
  fill: "Hidden scores get",
  fills: { min: "lowest number", "-inf": "−∞" },
  as_trained: "As trained",
  undo: "Undo",
  reset: "Reset",
  matters: "Which word matters?",
  matters_for: "For the next word",
  matters_nan: "All numbers are NaN: there is no next word that another could matter for.",
  from_head: (/** @type {number} */ head) => ` from head ${head}`,
  /** @type {(next: string, now: string, from: string, falls: Without[], rises: Without[]) => string} */
  mattered: (next, now, from, falls, rises) => storyMattered(next, now, from, falls, rises),
  /** @type {(n: number, word: string) => string} */
  nth: (n, word) => (n <= ORDINALS.length ? `the ${ORDINALS[n - 1]} ${word}` : `${word} number ${n}`),
  /** @type {(next: string, without: string, now: string) => string} */
  without: (next, without, now) => `without it ${next} has ${without}, now ${now}`,
  next: "The next word",
  token: "word",
  now: "with this mask",
  trained: "as trained",
  story: "The story goes on",
  choose: "How each word is chosen",
  greedy: "greedy",
  sampled: "sampled",
  same_story: "as trained: the same story",
  another: "Another",
  end: "(end)",
  no_word: "(no next word: all numbers are NaN)",
  maps: "Maps",
  map: (/** @type {number} */ layer, /** @type {number} */ head) => `Layer ${layer}, head ${head}`,
  other_head: (/** @type {number} */ head) => `Only head ${head} of every layer has this mask; this head is causal.`,
  key: "key: who is looked at",
  query: "query: who looks",
  layers: "layer",
  heads: "head",
  /** @type {(what: string, layers: number, heads: number) => string} */
  thumbs: (what, layers, heads) => `Attention ${what}: ${layers} layers × ${heads} heads`,
  hidden: "hidden",
  visible: "visible",
  /** @type {(query: string, key: string, visible: string, weight: string) => string} */
  cell: (query, key, visible, weight) => `query ${query}, key ${key}: ${visible}, weight ${weight}`,
  row: (/** @type {number} */ n, /** @type {string} */ token) => `Row ${n} (${token})`,
  /** @type {(finding: Finding) => string} */
  notice: (finding) => storyNotice(finding),
  only_causal: "The model was trained with the causal mask only: any other is new to it.",
  read_at_pad: "The next word is read at the last pad here, not at the last word: see “Read at”.",
  pads_seen: "Without attention_mask pads are seen like words.",
  pads_counted: (/** @type {number} */ pads) => `Without position_ids the first word is at position ${pads}, not 0.`,
  blind: "The row at which the next word is read sees no key, so it looks at all of them alike.",
  /** @type {(now: string, nowShare: string, was: string, wasShare: string) => string} */
  heard: (now, nowShare, was, wasShare) => `Next word: ${now}, ${nowShare}. As trained: ${was}, ${wasShare}.`,
  loading: (/** @type {string} */ size) => `Loading the model${size}`,
  megabytes: (/** @type {string} */ number) => `, ${number} MB`,
  waiting: "The model is loaded when this comes into view.",
  failed: (/** @type {string} */ reason) => `${reason} So nothing can be changed here; the table shows what was saved.`,
  code: "As code",
  copy: "Copy",
  copied: "Copied",
  copy_yourself: "Press Ctrl+C",
  help: "Click or drag cells of the large map; arrows move, Space toggles, Ctrl+Z undoes.",
  help_touch: "Tap a cell of the large map; hold, then drag, to draw.",
};

/** @param {Finding} finding */
function storyNotice({ trained, infinite, now, nowShare, was, wasShare, wasNow, same, nan, empty }) {
  if (nan) {
    const why = "it sees no key, the fill is −∞, and 0 / 0 is NaN. The next layer passes it on to every row.";
    return empty ? `${empty} is NaN: ${why}` : "The numbers are NaN.";
  }
  if (trained && infinite)
    return `Still ${now} (${nowShare}): each row sees a key, so −∞ hides as the lowest number does.`;
  if (trained) return `As trained, the next word is ${now} (${nowShare}). Change the mask, and watch.`;
  if (same) return `The next word does not change: it is ${now} (${nowShare}), as trained.`;
  if (now === was) return `The likeliest next word is still ${now}: ${nowShare} now, ${wasShare} as trained.`;
  return `The likeliest next word is now ${now} (${nowShare}); as trained it is ${was} (${wasShare}, now ${wasNow}).`;
}

/**
 * @param {string} next
 * @param {string} now
 * @param {string} from the one head that words are hidden from, with a space before; "" if it is all of them
 * @param {Without[]} falls
 * @param {Without[]} rises
 */
function storyMattered(next, now, from, falls, rises) {
  const each = (/** @type {Without} */ { word, without }) => `to ${without} without ${word}`;
  const rise = rises.map((one) => `${next} rises ${each(one)}.`).join(" ");
  if (falls.length)
    return `One word hidden at a time${from}: ${next} falls from ${now} ${falls.map(each).join(", ")}. ${rise}`.trim();
  return rise
    ? `One word hidden at a time${from}: ${next} (${now}) does not fall without any of them. ${rise}`
    : `One word hidden at a time${from}: ${next} stays at about ${now}, whichever word it is.`;
}
