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
 * @property {boolean} same whether no probability in the table differs
 * @property {boolean} nan
 * @property {string} empty the name of the first row that sees nothing; "" if there is none
 */

export const STORY_WORDS = {
  text: "Text",
  tokens: "Tokens: click one to hide that word",
  hide: "Click a word to hide it:",
  hide_touch: "Tap a word to hide it:",
  pad: "pad",
  unknown: (/** @type {string[]} */ tokens) =>
    `This model has never seen ${tokens.join(", ")}; all such words are one to it.`,
  unknown_token: "never seen by this model",
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
  /** @type {(next: string, now: string, reasons: { word: string, without: string }[]) => string} */
  mattered: (next, now, reasons) => {
    if (reasons.length === 0) return `Without any one word, ${next} (${now}) stays about as likely.`;
    const each = reasons.map(
      ({ word, without }, n) => `${n ? "" : `${next} falls from ${now} `}to ${without} without ${word}`,
    );
    return `One word hidden at a time: ${each.join(", ")}.`;
  },
  /** @type {(next: string, without: string, now: string) => string} */
  without: (next, without, now) => `without it, ${next}: ${without} (now ${now})`,
  next: "The next word",
  token: "word",
  now: "with this mask",
  trained: "as trained",
  story: "The story goes on",
  choose: "How each word is chosen",
  greedy: "greedy",
  sampled: "sampled",
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
function storyNotice({ trained, now, nowShare, was, wasShare, wasNow, same, nan, empty }) {
  if (nan) {
    const why = "it sees no key, the fill is −∞, and 0 / 0 is NaN. The next layer passes it on to every row.";
    return empty ? `${empty} is NaN: ${why}` : "The numbers are NaN.";
  }
  if (trained) return `As trained, the next word is ${now} (${nowShare}). Change the mask, and watch.`;
  if (same) return `The next word does not change: it is ${now} (${nowShare}), as trained.`;
  if (now === was) return `The likeliest next word is still ${now}: ${nowShare} now, ${wasShare} as trained.`;
  return `The likeliest next word is now ${now} (${nowShare}); as trained it is ${was} (${wasShare}, now ${wasNow}).`;
}
