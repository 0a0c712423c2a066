// StoryLab's stories: how the text goes on, with this mask and as trained, told a few words at a time.

import { button, choice, element, setText } from "../dom.js";
import { setAndSave } from "../widget.js";
import { storyNextPosition, storyNextRow, storySequence } from "./rules.js";

/** @import { Engine, Pass } from "../gpt2/engine.js" */
/** @import { StoryParameters, StoryPreset, StorySequence } from "./rules.js" */
/** @import { StoryState } from "./state.js" */
/** @import { StoryView } from "./storylab.js" */

const TOLD = 24; // new tokens at most
export const SLICE = 8; // ms after which the page may answer to something else
const BEFORE = 4; // tokens of the text that are shown before the new ones

/**
 * Numbers from 0 to 1, the same ones for the same seed (a counter through a hash of 32 bits).
 * @param {number} seed
 */
export function seededNumbers(seed) {
  let counter = Math.imul(seed + 1, 0x9e3779b1);
  return () => {
    counter = (counter + 0x6d2b79f5) | 0;
    let bits = Math.imul(counter ^ (counter >>> 16), 0x21f0aaad);
    bits = Math.imul(bits ^ (bits >>> 15), 0x735a2d97);
    return ((bits ^ (bits >>> 15)) >>> 0) / 2 ** 32;
  };
}

/**
 * The row of the next token: the likeliest, or one drawn by chance; -1 if the numbers are NaN.
 * @param {Engine} engine
 * @param {Float32Array} logits
 * @param {(() => number) | null} chance
 */
function chosenRow(engine, logits, chance) {
  let best = -1;
  for (let row = 0; row < logits.length; row++) {
    if (Number.isNaN(logits[row])) return -1;
    if (best < 0 || logits[row] > logits[best]) best = row;
  }
  if (!chance) return best;
  const probabilities = engine.probabilities(logits);
  let rest = chance();
  // What is left for the last row is that of all tokens which share it.
  for (let row = 0; row < probabilities.length - 1; row++) {
    rest -= probabilities[row];
    if (rest < 0) return row;
  }
  return probabilities.length - 1;
}

/**
 * What a story goes on from.
 * @typedef {object} Beginning
 * @property {Pass} pass
 * @property {number} row at which the first new token is read
 * @property {StorySequence} sequence
 * @property {StoryPreset} preset
 * @property {StoryParameters} parameters
 * @property {number[]} hidden
 * @property {Uint8Array} keep
 */

/** A story as far as it is told. @typedef {{ ids: number[], ended: boolean, nan: boolean }} Told */

/**
 * Tells a story, one token at a time.
 * @param {Engine} engine
 * @param {Beginning} beginning
 * @param {(() => number) | null} chance
 * @returns {Generator<Told>}
 */
export function* tellStory(engine, { pass, row, sequence, preset, parameters, hidden, keep }, chance) {
  const { eos_token_id, n_positions } = engine.config;
  const run = pass.run();
  /** @type {number[]} */
  const ids = [];
  let logits = pass.logits(row);
  while (ids.length < TOLD && run.length < n_positions) {
    const chosen = chosenRow(engine, logits, chance);
    if (chosen < 0) return yield { ids, ended: false, nan: true };
    const id = engine.idOf(chosen);
    if (id === eos_token_id) return yield { ids, ended: true, nan: false };
    ids.push(id);
    yield { ids, ended: false, nan: false };
    if (ids.length === TOLD) return;
    const place = run.length;
    const position = storyNextPosition(sequence, parameters, place);
    logits = run.step({ id, position, keep: storyNextRow(sequence, preset, parameters, hidden, keep, place) });
  }
}

/**
 * @param {StoryState} state
 * @returns {Beginning}
 */
function beginningOf({ pass, row, sequence, preset, parameters, hidden, keep }) {
  return { pass: /** @type {Pass} */ (pass), row, sequence, preset, parameters, hidden, keep: keep.slice() };
}

/**
 * The same text without pads, as trained.
 * @param {StoryState} state
 * @returns {Beginning}
 */
function trainedBeginning({ trained, sequence: { ids, left, words }, parameters }) {
  const text = ids.slice(left, left + words);
  const sequence = storySequence(text, "causal", parameters, text[0]);
  const pass = /** @type {Pass} */ (trained);
  return { pass, row: words - 1, sequence, preset: "causal", parameters, hidden: [], keep: new Uint8Array() };
}

export class Stories {
  /** @param {StoryView} view */
  constructor(view) {
    this.view = view;
    const { words, model } = view;
    const options = { greedy: words.greedy, sampled: words.sampled };
    this.how = choice(options, "greedy", (how) => setAndSave(model, { sample: how === "sampled" }));
    this.how.setAttribute("aria-label", words.choose);
    this.another = button(words.another, () => setAndSave(model, { seed: model.get("seed") + 1 }));
    const title = element("div", { class: "masks-title" }, words.story);
    const bar = element("div", { class: "storylab-how" }, title, this.how, this.another);
    this.now = storyBox(words.now);
    this.trained = storyBox(words.trained);
    this.node = element("div", { class: "storylab-stories" }, bar, this.now.node, this.trained.node);
    this.turn = 0; // a new one ends those before it
    this.trainedKey = ""; // what has been told
    this.nowKey = "";
    /** @type {Pass | null} */
    this.pass = null;
    /** @type {{ now: Told, trained: Told }} */
    this.told = { now: { ids: [], ended: false, nan: false }, trained: { ids: [], ended: false, nan: false } };
  }

  showControls() {
    const { model } = this.view;
    this.how.value = model.get("sample") ? "sampled" : "greedy";
    this.another.hidden = !model.get("sample");
  }

  /**
   * Tells both stories, once the maps are on the screen, each anew only if it is another one; false if another turn has
   * begun.
   */
  async tell() {
    const turn = ++this.turn;
    this.node.setAttribute("aria-busy", "true");
    const { state, model } = this.view;
    await nextFrame();
    if (turn !== this.turn || !state.pass || !state.trained) return false;
    const seed = model.get("sample") ? /** @type {number} */ (model.get("seed")) : null;
    const trainedKey = `${seed} ${state.trainedText}`;
    if (trainedKey !== this.trainedKey) {
      this.trainedKey = "";
      if (!(await this.stream("trained", trainedBeginning(state), seed, turn))) return false;
      this.trainedKey = trainedKey;
    }
    const now = [seed, state.preset, JSON.stringify(state.parameters), state.row, state.trainedText].join(";");
    if (state.pass === state.trained) this.told.now = this.told.trained;
    else if (now !== this.nowKey || state.pass !== this.pass) {
      this.nowKey = "";
      if (!(await this.stream("now", beginningOf(state), seed, turn))) return false;
    }
    [this.nowKey, this.pass] = [now, state.pass];
    this.show(true);
    this.node.removeAttribute("aria-busy");
    return true;
  }

  /**
   * Tells one story in slices; false if another turn has begun.
   * @param {"now" | "trained"} side
   * @param {Beginning} beginning
   * @param {number | null} seed
   * @param {number} turn
   */
  async stream(side, beginning, seed, turn) {
    const engine = /** @type {Engine} */ (this.view.state.engine);
    const chance = seed === null ? null : seededNumbers(seed);
    this.told[side] = { ids: [], ended: false, nan: false };
    let end = performance.now() + SLICE;
    for (const told of tellStory(engine, beginning, chance)) {
      this.told[side] = { ...told, ids: told.ids.slice() };
      if (performance.now() < end) continue;
      this.show(false);
      await new Promise((done) => setTimeout(done));
      if (turn !== this.turn) return false;
      end = performance.now() + SLICE;
    }
    return true;
  }

  /** @param {boolean} done whether both stories are told; before, one that is shorter is not different yet */
  show(done) {
    const { now, trained } = this.told;
    const shorter = Math.min(now.ids.length, trained.ids.length);
    let common = 0;
    while (common < shorter && now.ids[common] === trained.ids[common]) common++;
    if (common === shorter && !done) common = TOLD;
    const { words, state } = this.view;
    const isSame = done && state.pass !== state.trained && now.ids.join() === trained.ids.join();
    setText(this.trained.title, isSame ? words.same_story : words.trained);
    this.showOne(this.now, now, common);
    this.showOne(this.trained, trained, common);
  }

  /**
   * @param {ReturnType<typeof storyBox>} box
   * @param {Told} told
   * @param {number} common how many tokens both stories begin with
   */
  showOne(box, { ids, ended, nan }, common) {
    const { state, words } = this.view;
    const { tokenizer } = /** @type {Engine} */ (state.engine);
    const { sequence } = state;
    const text = sequence.ids.slice(sequence.left, sequence.left + sequence.words);
    const before = state.textIds.length ? tokenizer.decode(text.slice(-BEFORE)).trimStart() : "";
    setText(box.before, text.length > BEFORE ? `… ${before}` : before);
    setText(box.same, tokenizer.decode(ids.slice(0, common)));
    setText(box.other, tokenizer.decode(ids.slice(common)));
    setText(box.end, nan ? ` ${words.no_word}` : ended ? ` ${words.end}` : "");
  }
}

/** @param {string} name */
function storyBox(name) {
  const title = element("div", { class: "storylab-side" }, name);
  const before = element("span", { class: "storylab-before" });
  const same = element("span");
  const other = element("mark");
  const end = element("span", { class: "storylab-before" });
  const text = element("p", { dir: "auto" }, before, same, other, end);
  return {
    node: element("div", {}, title, text),
    title,
    before,
    same,
    other,
    end,
  };
}

/** When the next frame has been shown. A page that is not seen shows none. */
const nextFrame = () =>
  new Promise((done) => {
    const wait = setTimeout(done, 100);
    requestAnimationFrame(() => {
      clearTimeout(wait);
      setTimeout(done);
    });
  });
