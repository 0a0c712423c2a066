// StoryLab's state: the text as tokens, the mask, and what the model makes of them.

import { historyOf } from "../history.js";
import { bytesOf } from "../widget.js";
import {
  hiddenAfterEdit,
  isStoryPad,
  recogniseStory,
  storyKeep,
  storyParameters,
  storyPositions,
  storyRow,
  storySequence,
  storySide,
  unseenWords,
} from "./rules.js";

/** @import { Palette } from "../colours.js" */
/** @import { Engine, Pass } from "../gpt2/engine.js" */
/** @import { MapLook } from "../thumbs.js" */
/** @import { Model } from "../widget.js" */
/** @import { StoryPreset, StorySequence } from "./rules.js" */

const LOWEST_NUMBER = -3.4028234663852886e38; // of float32
const LIKELIEST = 5; // words with this mask, and as many as trained
const UNCHANGED = 5e-5; // a probability that differs less is the same

/**
 * All that a person can change; `keep` only if it is drawn by hand.
 * @typedef {{ keep: Uint8Array | null } & Record<string, any>} StoryMoment
 */

const MOMENT = ["text", "preset", "parameters", "hidden", "fill", "only_head", "read_at"];

/**
 * A word that may come next: its token, and how likely it is with this mask and as trained.
 * @typedef {{ id: number, label: string, now: number, trained: number }} NextWord
 */

/** What is set when nothing is changed. */
export const AS_TRAINED = { preset: "causal", hidden: [], only_head: null, fill: "min", read_at: "end" };

/** Which maps are shown: with the mask, or as trained. @typedef {"now" | "trained"} MapSide */

export class StoryState {
  /**
   * @param {Model} model
   * @param {Record<MapSide, string>} words
   */
  constructor(model, words) {
    this.model = model;
    this.words = words;
    this.side = /** @type {MapSide} */ ("now"); // that thumbnails show
    /** @type {Engine | null} */
    this.engine = null;
    this.sharing = false; // so that this view does not read its own words
    this.active = { q: -1, k: 0 }; // in the large map; the last row at first
    /** @type {string | null} */
    this.encoded = null; // the text whose tokens are textIds
    /** @type {number[]} */
    this.textIds = [];
    /** @type {StorySequence} */
    this.sequence = { ids: [], left: 0, right: 0, words: 0, cut: false };
    this.keep = new Uint8Array();
    /** @type {StoryPreset} */
    this.named = "causal"; // the last preset that was not drawn
    /** @type {Pass | null} */
    this.pass = null;
    /** @type {Pass | null} */
    this.masked = null;
    this.input = ""; // of that pass
    /** @type {Pass | null} */
    this.trained = null;
    this.trainedText = "";
    /** @type {NextWord[]} */
    this.next = [];
    /** @type {ReturnType<StoryState["notice"]> | null} */
    this.finding = null;
    /** @type {import("../history.js").DrawingHistory<StoryMoment>} */
    this.history = historyOf(model.get("words"), this.now(), 100);
  }

  // -- what is chosen --

  /** @returns {string} */
  get text() {
    return this.model.get("text");
  }

  /** @returns {StoryPreset} */
  get preset() {
    return this.model.get("preset");
  }

  get parameters() {
    return storyParameters(this.model.get("parameters"));
  }

  /** @returns {number[]} words that no query sees, counted without pads */
  get hidden() {
    return this.preset === "drawn" ? unseenWords(this.sequence, this.keep) : this.model.get("hidden");
  }

  /** @returns {"min" | "-inf"} */
  get fill() {
    return this.model.get("fill");
  }

  /** @returns {number | null} the one head of every layer that has the mask */
  get onlyHead() {
    return this.model.get("only_head") ?? null;
  }

  /** @returns {string} */
  get readAt() {
    return this.model.get("read_at") ?? "end";
  }

  /** The layer and the head of the large map. @returns {number} */
  get layer() {
    return Math.min(this.model.get("layer"), (this.engine?.config.n_layer ?? 1) - 1);
  }

  /** @returns {number} */
  get head() {
    return Math.min(this.model.get("head"), (this.engine?.config.n_head ?? 1) - 1);
  }

  /** @returns {[number, number, number, number] | null} */
  headPosition() {
    return this.engine && [this.layer, this.head, this.engine.config.n_layer, this.engine.config.n_head];
  }

  get T() {
    return this.sequence.ids.length;
  }

  /** Whether all there is, is what the model was trained with. */
  get isTrained() {
    const { sequence, keep, T } = this;
    return T === sequence.words && keep.every((visible, cell) => visible === Number(cell % T <= Math.floor(cell / T)));
  }

  /** Whether everything is set as at first; a mask can be causal by another name. */
  get isPlain() {
    const differs = (/** @type {[string, unknown]} */ [name, value]) =>
      String(this.model.get(name) ?? null) !== String(value);
    return !Object.entries(AS_TRAINED).some(differs);
  }

  /** Whether the row at which the next word is read sees no key, and has numbers all the same. */
  get isBlind() {
    const { keep, row, T } = this;
    return this.onlyHead === null && this.fill === "min" && !keep.subarray(row * T, row * T + T).includes(1);
  }

  /** The row at which the next word is read. */
  get row() {
    return storyRow(this.sequence, this.readAt);
  }

  // -- tokens --

  /**
   * A token as text on one line: a leading space shows as a dot, as elsewhere.
   * @param {number} id
   */
  labelOf(id) {
    const { tokenizer } = /** @type {Engine} */ (this.engine);
    return tokenizer.decode([id]).replaceAll(" ", "·").replaceAll("\n", "⏎").replaceAll("\t", "⇥");
  }

  /** Reads the traits, which others may have set. */
  read() {
    const engine = /** @type {Engine} */ (this.engine);
    const { preset, parameters } = this;
    if (this.text !== this.encoded) {
      this.textIds = engine.tokenizer.encode(this.text);
      this.encoded = this.text;
    }
    const last = this.active.q === this.T - 1 || this.active.q < 0;
    this.sequence = storySequence(this.textIds, preset, parameters, engine.config.eos_token_id);
    const bytes = preset === "drawn" ? bytesOf(this.model.get("keep_bytes")) : null;
    if (bytes?.length === this.T ** 2) this.keep = bytes;
    else this.keep = storyKeep(this.sequence, preset === "drawn" ? "causal" : preset, parameters, this.hidden);
    if (preset !== "drawn") this.named = preset;
    this.active = {
      q: last ? this.T - 1 : Math.min(this.active.q, this.T - 1),
      k: Math.min(this.active.k, this.T - 1),
    };
  }

  /** The labels of all tokens. @param {string} pad the name of a pad */
  labels(pad) {
    return this.sequence.ids.map((id, place) => (isStoryPad(this.sequence, place) ? pad : this.labelOf(id)));
  }

  // -- computing --

  /** Runs the model. As trained only for another text. */
  compute() {
    const engine = /** @type {Engine} */ (this.engine);
    const { ids, left, words } = this.sequence;
    const text = ids.slice(left, left + words);
    if (!this.trained || this.trainedText !== text.join()) {
      const plain = storySequence(text, "causal", this.parameters, text[0]);
      this.trained = engine.forward({
        ids: text,
        positions: text.map((_, place) => place),
        keep: storyKeep(plain, "causal", this.parameters, []),
        head: null,
        fill: LOWEST_NUMBER,
      });
      this.trainedText = text.join();
    }
    const isSame = this.isTrained && this.preset !== "window"; // as a story goes on, a window hides more
    this.pass = isSame ? this.trained : this.runMasked();
    this.next = this.likeliest(this.pass, this.trained, text.length - 1);
    this.finding = this.notice();
  }

  /** A pass with a mask, all else as it is. @param {Uint8Array} keep */
  forward(keep) {
    const { ids } = this.sequence;
    const positions = storyPositions(this.sequence, this.parameters);
    const fill = this.fill === "min" ? LOWEST_NUMBER : -Infinity;
    return /** @type {Engine} */ (this.engine).forward({ ids, positions, keep, head: this.onlyHead, fill });
  }

  /**
   * How likely a token is after a row.
   * @param {number} id
   * @param {Pass} pass
   * @param {number} row
   */
  probabilityOf(id, pass, row) {
    const engine = /** @type {Engine} */ (this.engine);
    return engine.probabilities(pass.logits(row))[engine.rowOf(id)];
  }

  /** Runs the model with the mask, unless it has just done so: a click ends where it began. */
  runMasked() {
    const input = [this.sequence.ids, JSON.stringify(this.parameters), this.fill, this.onlyHead, this.keep].join(";");
    if (input !== this.input || !this.masked) {
      this.masked = this.forward(this.keep);
      this.input = input;
    }
    return this.masked;
  }

  /**
   * The likeliest words with this mask and as trained, by their probability.
   * @param {Pass} pass
   * @param {Pass} trained
   * @param {number} row of the last word as trained
   */
  likeliest(pass, trained, row) {
    const engine = /** @type {Engine} */ (this.engine);
    const now = engine.probabilities(pass.logits(this.row));
    const was = pass === trained ? now : engine.probabilities(trained.logits(row));
    const rows = [...new Set([...largest(now, LIKELIEST), ...largest(was, LIKELIEST)])];
    const words = rows.map((each) => {
      const id = engine.idOf(each);
      return { id, label: this.labelOf(id), now: now[each], trained: was[each] };
    });
    return words.sort((a, b) => (Number.isNaN(a.now) ? 0 : b.now - a.now) || b.trained - a.trained || a.id - b.id);
  }

  /** What is to be noticed of the next word. */
  notice() {
    const { next, keep, T } = this;
    const was = next.reduce((best, word) => (word.trained > best.trained ? word : best));
    let empty = -1;
    for (let q = T - 1; q >= 0; q--) if (!keep.subarray(q * T, q * T + T).includes(1)) empty = q;
    const same = next.every((word) => Math.abs(word.now - word.trained) < UNCHANGED);
    const nan = Number.isNaN(next[0].now);
    return { trained: this.isTrained, now: next[0], was, empty, same, nan };
  }

  // -- maps --

  get loaded() {
    return this.pass !== null;
  }

  /** How many maps the thumbnails show, and of what size. */
  get weights() {
    const { config } = /** @type {Engine} */ (this.engine);
    const size = this.sizeOf(this.side);
    return { layers: config.n_layer, heads: config.n_head, Q: size, K: size };
  }

  /** @param {MapSide} side */
  sideName(side) {
    return this.words[side];
  }

  /** How many tokens a side has; as trained there are no pads. @param {MapSide} side */
  sizeOf(side) {
    return side === "now" ? this.T : this.sequence.words;
  }

  /** @param {MapSide} side */
  mapsOf(side) {
    return /** @type {Pass} */ (side === "now" ? this.pass : this.trained).maps;
  }

  /** Where the large map begins among all weights of a side. @param {MapSide} side */
  startOf(side) {
    return (this.layer * this.weights.heads + this.head) * this.sizeOf(side) ** 2;
  }

  /**
   * Whether a cell is hidden from a head. Heads that do not have the mask are causal.
   * @param {MapSide} side
   * @param {number} head
   * @returns {(cell: number) => boolean}
   */
  hider(side, head) {
    const { keep } = this;
    const size = this.sizeOf(side);
    if (side === "now" && (this.onlyHead ?? head) === head) return (cell) => !keep[cell];
    return (cell) => cell % size > Math.floor(cell / size);
  }

  /**
   * @param {MapSide} side
   * @param {Palette} palette
   * @returns {MapLook}
   */
  look(side, palette) {
    const maps = this.mapsOf(side);
    const cells = this.sizeOf(side) ** 2;
    const { heads } = this.weights;
    const hiders = Array.from({ length: heads }, (_, head) => this.hider(side, head));
    const isHidden = (/** @type {number} */ at, /** @type {number} */ cell) =>
      maps[at] === 0 && hiders[Math.floor(at / cells) % heads](cell);
    const rank = (/** @type {number} */ at) => (Number.isNaN(maps[at]) ? 2 : maps[at]);
    return {
      colour: (at, cell) => (isHidden(at, cell) ? palette.hidden : palette.weight(maps[at])),
      pick: (a, b) => (rank(b) > rank(a) ? b : a),
    };
  }

  // -- changing --

  /** @returns {StoryMoment} */
  now() {
    const traits = Object.fromEntries(MOMENT.map((name) => [name, this.model.get(name) ?? null]));
    return { ...traits, keep: traits.preset === "drawn" ? bytesOf(this.model.get("keep_bytes")) : null };
  }

  /** @param {StoryMoment} moment */
  restore(moment) {
    const { keep, ...traits } = moment;
    if (keep) traits.keep_bytes = new DataView(keep.slice().buffer);
    this.set(traits);
  }

  /** Whether there is nothing that Reset would change. */
  isAtStart() {
    const text = (/** @type {StoryMoment} */ { keep, ...traits }) => JSON.stringify([traits, keep && [...keep]]);
    return text(this.now()) === text(this.history.start);
  }

  /**
   * Sets traits, and the mask that follows from them.
   * @param {Record<string, unknown>} values
   */
  set(values) {
    this.share(values);
    const { preset, parameters } = this;
    this.share({ parameters: { ...parameters, side: storySide(preset, parameters) } });
    this.read();
    this.shareKeep();
  }

  /** @param {string} text that was typed */
  type(text) {
    const { tokenizer } = /** @type {Engine} */ (this.engine);
    const hidden = hiddenAfterEdit(this.hidden, this.textIds, tokenizer.encode(text));
    const preset = this.preset === "drawn" ? "causal" : this.preset; // no cell is left of what was drawn
    this.set({ text, hidden, preset });
  }

  /**
   * Hides a word from all queries, or shows it again.
   * @param {number} word
   */
  toggleWord(word) {
    const { hidden, sequence, T } = this;
    const isHidden = hidden.includes(word);
    if (this.preset !== "drawn") {
      const others = hidden.filter((each) => each !== word);
      return this.set({ hidden: isHidden ? others : [...others, word].sort((a, b) => a - b) });
    }
    const k = sequence.left + word;
    for (let q = 0; q < T; q++) this.keep[q * T + k] = Number(isHidden && k <= q);
    this.shareDrawing();
  }

  /**
   * Hides or shows a cell; false if it is so already.
   * @param {number} q
   * @param {number} k
   * @param {number} value
   */
  setCell(q, k, value) {
    const cell = q * this.T + k;
    if (this.keep[cell] === value) return false;
    this.keep[cell] = value;
    return true;
  }

  /** Tells others of a mask that is drawn. Its pads stay. */
  shareDrawing() {
    const { preset, parameters } = this;
    this.share({ preset: "drawn", parameters: { ...parameters, side: storySide(preset, parameters) }, hidden: [] });
    this.shareKeep();
  }

  /** Gives a drawn mask the name of what it has become. */
  nameDrawing() {
    if (this.preset !== "drawn") return;
    const { sequence, keep, named, parameters } = this;
    const mask = recogniseStory(keep, sequence, named, parameters);
    if (mask.preset !== "drawn") this.set({ ...mask });
  }

  // -- telling others --

  /** @param {Record<string, unknown>} values */
  share(values) {
    this.sharing = true;
    for (const [name, value] of Object.entries(values)) this.model.set(name, value);
    this.sharing = false;
  }

  shareKeep() {
    this.share({ keep_bytes: new DataView(this.keep.slice().buffer) });
  }

  /** Tells Python what comes next. */
  shareNext() {
    const number = (/** @type {number} */ p) => (Number.isNaN(p) ? null : p);
    const { tokenizer } = /** @type {Engine} */ (this.engine);
    const rows = this.next.map(({ id, now, trained }) => [tokenizer.decode([id]), number(now), number(trained)]);
    this.share({ next_tokens: rows });
  }
}

/**
 * The places of the largest numbers, the largest first; none if they are NaN.
 * @param {Float64Array} numbers
 * @param {number} count
 */
function largest(numbers, count) {
  /** @type {number[]} */
  const places = [];
  for (let n = 0; n < numbers.length; n++) {
    if (places.length === count && !(numbers[n] > numbers[places[count - 1]])) continue;
    if (Number.isNaN(numbers[n])) continue;
    const at = places.findIndex((place) => numbers[n] > numbers[place]);
    places.splice(at < 0 ? places.length : at, 0, n);
    if (places.length > count) places.pop();
  }
  return places;
}
