// StoryLab: a real GPT-2 in the page. Draw its mask, and its attention, its next word and its story change.

import { copyButton } from "../copying.js";
import { element, setText, short } from "../dom.js";
import { followKeys, followPointer, Stroke } from "../drawing.js";
import { program, setAndSave, WidgetView } from "../widget.js";
import { toStoryCode } from "./as_code.js";
import { StoryControls } from "./controls.js";
import { StoryMaps } from "./maps.js";
import { NextTable, storyPercent, storyWord } from "./next.js";
import { Reasons } from "./reasons.js";
import {
  hiddenAfterEdit,
  recogniseStory,
  storyKeep,
  storyNextPosition,
  storyNextRow,
  storyParameters,
  storyPositions,
  storyRow,
  storySequence,
} from "./rules.js";
import { startStory, whenNear } from "./start.js";
import { AS_TRAINED, StoryState } from "./state.js";
import { Stories, seededNumbers, tellStory } from "./stories.js";
import { StoryText } from "./text.js";
import { STORY_WORDS } from "./words.js";

/** @import { Head } from "../thumbs.js" */
/** @import { Model } from "../widget.js" */

const SLOW_KEYS = 200; // ms that a slow model waits for the next key
const PAUSE = 500; // ms without a key after which what was typed is read out, and told to Python

/** @extends {WidgetView<typeof STORY_WORDS>} */
export class StoryView extends WidgetView {
  /**
   * @param {Model} model
   * @param {HTMLElement} el
   */
  constructor(model, el) {
    super("storylab", STORY_WORDS, model, el);
    this.root.classList.add("masks-waiting");
    this.state = new StoryState(model, this.words);
    this.typing = false; // whether what is typed belongs to a step of the history that was begun
    this.ended = false;
    this.typed = 0;
    this.telling = 0; // until Python and the live region are told
    this.stale = { all: true, thumbs: true };
    this.text = new StoryText(this);
    this.controls = new StoryControls(this);
    this.reasons = new Reasons(this);
    this.notice = element("p", { class: "storylab-notice" });
    this.caution = element("p", { class: "masks-help storylab-caution" });
    this.table = new NextTable(this);
    this.stories = new Stories(this);
    const parts = [this.notice, this.caution, this.table.node, this.stories.node];
    this.maps = new StoryMaps(this, element("div", { class: "storylab-side-by" }, ...parts));
    this.stroke = new Stroke(this);
    this.code = this.codeBox();
    this.build();
    followPointer(this);
    followKeys(this);
    this.follow(this.listeners());
    this.endings.push(
      whenNear(this.root, () => this.load()),
      () => this.tell(),
      () => (this.stories.turn = -1),
      () => (this.ended = true),
      () => this.reasons.turn++,
    );
    this.showWaiting(this.words.waiting);
  }

  /** Puts the parts together. */
  build() {
    if (matchMedia("(pointer: coarse)").matches) setText(this.help, this.words.help_touch);
    this.status.setAttribute("role", "status");
    const top = element("div", { class: "storylab-top" }, this.text.node, this.reasons.node, this.controls.node);
    this.controls.buttons.append(this.reasons.button);
    const foot = element("div", { class: "storylab-foot" }, this.help, this.code.node);
    this.root.append(top, this.status, this.maps.body, foot, this.live);
  }

  /** The same call in transformers. */
  codeBox() {
    const { words } = this;
    const text = element("pre", { tabindex: "0", "aria-label": words.code });
    const show = () => {
      if (node.open && this.state.engine) setText(text, toStoryCode(this.state));
    };
    const ontoggle = () => {
      show();
      if (node.open) node.scrollIntoView({ block: "nearest" }); // it opens below what was clicked
    };
    const bar = element("div", {}, copyButton(text, words, this.live));
    const attributes = { class: "storylab-code masks-code", ontoggle };
    const node = element("details", attributes, element("summary", {}, words.code), bar, text);
    return { node, show };
  }

  /** What changes elsewhere: other views of the same model, and Python. */
  listeners() {
    const all = () => this.state.sharing || this.refresh();
    const head = () => this.refreshHead();
    const story = () => this.tellStories();
    const names = ["text", "preset", "parameters", "keep_bytes", "hidden", "fill", "only_head", "read_at"];
    /** @type {Record<string, () => void>} */
    const listeners = Object.fromEntries(names.map((name) => [name, all]));
    const next = () => this.state.engine || this.table.show(this.savedNext());
    return { ...listeners, layer: head, head, sample: story, seed: story, next_tokens: next };
  }

  // -- loading --

  /** @param {string} sentence */
  showWaiting(sentence) {
    this.text.show();
    this.table.show(this.savedNext());
    setText(this.status, sentence);
  }

  /** The next words as Python, or a page before this one, has computed them. */
  savedNext() {
    const saved = /** @type {[string, number | null, number | null][]} */ (this.model.get("next_tokens") ?? []);
    return saved.map(([label, now, trained]) => ({ label, now: now ?? NaN, trained: trained ?? NaN }));
  }

  async load() {
    const { words, status } = this;
    this.root.setAttribute("aria-busy", "true");
    try {
      const { engine, size } = startStory(this.model, this.root);
      const megabytes = size ? words.megabytes((size / 1e6).toFixed(1)) : "";
      const label = words.loading(megabytes);
      status.replaceChildren(`${label} `, element("progress", { "aria-label": label }));
      const opened = await engine;
      if (this.ended) return;
      this.state.engine = opened;
      this.root.dataset.kernel = this.state.engine.kind;
      this.root.classList.remove("masks-waiting");
      status.replaceChildren();
      status.hidden = true;
      this.refresh();
    } catch (error) {
      status.replaceChildren(words.failed(/** @type {Error} */ (error).message));
      this.root.dataset.failed = "true";
    }
    this.root.removeAttribute("aria-busy");
  }

  // -- showing --

  /** Whatever has changed, in the next frame. */
  refresh() {
    this.stale = { all: true, thumbs: true };
    this.askToPaint();
  }

  /** Another head is large, or another cell is active. */
  refreshHead() {
    this.askToPaint();
  }

  draw() {
    if (this.state.pass) this.maps.draw();
  }

  recolour() {
    this.stale.thumbs = true;
    this.askToPaint();
  }

  measure() {
    if (!this.state.pass) return;
    this.maps.measure();
    this.maps.paint({ thumbs: true });
    this.maps.draw();
  }

  paint() {
    const { state, stale } = this;
    if (!state.engine) return this.showWaiting(this.status.textContent || "");
    const first = !state.pass;
    if (stale.all) {
      state.read();
      state.compute();
    }
    const sized = stale.all && this.maps.build();
    if (first || sized) this.maps.measure();
    this.maps.paint({ thumbs: stale.thumbs || stale.all });
    this.maps.draw();
    if (stale.all) this.showState();
    this.stale = { all: false, thumbs: false };
  }

  showState() {
    const { state, words } = this;
    this.reasons.clear();
    this.text.show();
    this.controls.show();
    this.table.show(state.next);
    const finding = this.finding();
    setText(this.notice, words.notice(finding));
    setText(this.caution, this.reason());
    const unsaid = finding.trained || finding.same; // pads that are hidden and not counted change nothing
    this.caution.classList.toggle("storylab-unsaid", unsaid); // its room stays: nothing moves at the first click
    this.code.show();
    this.tellStories();
  }

  /** Why the next word can differ: what is wrong with pads if they are, else that the mask is new to the model. */
  reason() {
    const { state, words } = this;
    const { left, right } = state.sequence;
    const { attention_mask, position_ids } = state.parameters;
    const pads = [
      right && state.readAt === "end" ? words.read_at_pad : "",
      left + right && state.preset !== "drawn" && !attention_mask ? words.pads_seen : "",
      left && !position_ids ? words.pads_counted(left) : "",
    ].filter(Boolean);
    if (pads.length) return pads.join(" ");
    return state.isBlind ? `${words.blind} ${words.only_causal}` : words.only_causal;
  }

  /** What is to be noticed, in words. */
  finding() {
    const { trained, now, was, empty, same, nan } = /** @type {NonNullable<StoryState["finding"]>} */ (
      this.state.finding
    );
    const { labels } = this.maps.right;
    const word = (/** @type {{ label: string }} */ { label }) => `“${storyWord(label)}”`;
    return {
      trained,
      infinite: this.state.fill === "-inf",
      same,
      nan,
      now: word(now),
      nowShare: storyPercent(now.now),
      was: word(was),
      wasShare: storyPercent(was.trained),
      wasNow: storyPercent(was.now),
      empty: empty < 0 ? "" : this.words.row(empty, short(labels.queryTokens[empty])),
    };
  }

  async tellStories() {
    this.stories.showControls();
    if (this.state.pass && (await this.stories.tell())) await this.reasons.tell();
  }

  /** @param {Head} head */
  headWords({ layer, head }) {
    return this.words.map(layer, head);
  }

  pointToHead() {}

  // -- changing --

  /** @param {() => void} edit of the state */
  change(edit) {
    this.stroke.end();
    this.typing = false;
    this.state.history.remember(this.state.now());
    edit();
    this.commit();
  }

  /** After an edit: at once, if the model is quick. */
  commit() {
    this.stale = { all: true, thumbs: true };
    if (this.state.engine?.kind === "wasm") this.paintNow();
    else this.askToPaint();
    this.tellLater(0);
  }

  /** @param {string} text */
  type(text) {
    const { state } = this;
    if (!state.engine) return;
    if (!this.typing) state.history.remember(state.now());
    this.typing = true;
    state.type(text);
    clearTimeout(this.typed);
    if (state.engine.kind === "wasm") this.refresh();
    else this.typed = window.setTimeout(() => this.refresh(), SLOW_KEYS);
    this.tellLater(PAUSE);
  }

  /** @param {Head} head */
  showHead(head) {
    setAndSave(this.model, { ...head });
  }

  asTrained() {
    const { state } = this;
    if (!state.isPlain) this.change(() => state.set(AS_TRAINED));
  }

  reset() {
    const { state } = this;
    if (!state.isAtStart()) this.change(() => state.restore(state.history.start));
  }

  /**
   * Undoes the last change; or, forward, does again what was undone.
   * @param {boolean} forward
   */
  travel(forward) {
    const { state } = this;
    this.stroke.end(); // else it would go on where no step leads back to
    this.typing = false;
    const moment = state.history.step(state.now(), forward);
    if (!moment) return;
    state.restore(moment);
    this.commit();
  }

  // -- drawing --

  /**
   * @param {number} q
   * @param {number} k
   */
  moveTo(q, k) {
    this.state.active = { q, k };
    this.refreshHead();
  }

  /**
   * Hides or shows a cell, with which a stroke may begin; returns its new value, or null where nothing is drawn: on a
   * head that does not have the mask.
   * @param {number} q
   * @param {number} k
   */
  toggle(q, k) {
    const { state } = this;
    state.active = { q, k };
    if (state.onlyHead !== null && state.onlyHead !== state.head) {
      this.refreshHead();
      return null;
    }
    state.history.remember(state.now());
    this.typing = false;
    const value = state.keep[q * state.T + k] ? 0 : 1;
    this.setCell(q, k, value);
    return value;
  }

  /**
   * @param {number} q
   * @param {number} k
   * @param {number} value
   */
  setCell(q, k, value) {
    if (this.state.setCell(q, k, value)) this.state.shareDrawing();
  }

  showStroke() {
    this.commit();
  }

  endDrawing() {
    this.state.nameDrawing();
    this.commit();
  }

  // -- telling others --

  /** @param {number} pause */
  tellLater(pause) {
    clearTimeout(this.telling);
    this.root.dataset.untold = "true";
    this.telling = window.setTimeout(() => this.tell(), pause + 50);
  }

  /** Tells Python what has changed here and what comes next, and reads out the next word. */
  tell() {
    if (!this.telling) return;
    clearTimeout(this.telling);
    this.telling = 0;
    delete this.root.dataset.untold;
    if (this.frame) this.paintNow();
    const { state, words, model } = this;
    state.shareNext();
    model.save_changes();
    const finding = this.finding();
    const cell = this.maps.grid.focused ? `${this.maps.grid.cell.textContent}. ` : "";
    const { nan, nowShare, wasShare } = finding;
    const [now, was] = [state.finding?.now, state.finding?.was].map((word) => storyWord(word?.label ?? ""));
    this.live.textContent = cell + (nan ? words.notice(finding) : words.heard(now, nowShare, was, wasShare));
  }
}

// For tests, which hold them against Python.
export {
  hiddenAfterEdit,
  recogniseStory,
  STORY_WORDS,
  seededNumbers,
  startStory,
  storyKeep,
  storyNextPosition,
  storyNextRow,
  storyParameters,
  storyPositions,
  storyRow,
  storySequence,
  tellStory,
};
export default program(StoryView);
