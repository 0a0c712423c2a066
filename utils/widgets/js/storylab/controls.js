// StoryLab's controls: the mask and its parameters, which heads have it, what hidden scores get, and three buttons.

import { button, choice, element, field } from "../dom.js";
import { STORY_LONGEST } from "./rules.js";

/** @import { StoryPreset } from "./rules.js" */
/** @import { StoryView } from "./storylab.js" */

const MOST_PADS = 16;

/** Which parameters a preset has. @type {Partial<Record<StoryPreset, string[]>>} */
const NEEDED = {
  window: ["window"],
  left_padding: ["pads", "attention_mask", "position_ids"],
  right_padding: ["pads", "attention_mask", "position_ids", "read_at"],
};

export class StoryControls {
  /** @param {StoryView} view */
  constructor(view) {
    this.view = view;
    const { words, state } = view;
    const set = (/** @type {Record<string, unknown>} */ values) => view.change(() => state.set(values));
    this.preset = choice(words.presets, "causal", (preset) => this.choosePreset(preset));
    for (const option of this.preset.options) option.disabled = option.value === "drawn"; // it is drawn, not chosen
    this.window = this.count("window", STORY_LONGEST);
    this.pads = this.count("pads", MOST_PADS);
    this.attentionMask = this.box("attention_mask");
    this.positionIds = this.box("position_ids");
    this.readAt = choice(words.read_ats, "end", (read_at) => set({ read_at }));
    this.where = element("select", { onchange: () => this.chooseWhere(this.where.value) });
    this.fill = choice(words.fills, "min", (fill) => set({ fill }));
    /** @type {Record<string, HTMLElement>} */
    this.fields = {
      window: field(words.window, this.window),
      pads: field(words.pads, this.pads),
      attention_mask: field(words.attention_mask, this.attentionMask),
      position_ids: field(words.position_ids, this.positionIds),
      read_at: field(words.read_at, this.readAt),
    };
    this.undo = button(words.undo, () => view.travel(false));
    this.reset = button(words.reset, () => view.reset());
    this.trained = button(words.as_trained, () => view.asTrained());
    this.buttons = element("div", { class: "storylab-buttons" }, this.trained, this.undo, this.reset);
    const fields = [field(words.preset, this.preset), ...Object.values(this.fields)];
    const others = [field(words.where, this.where), field(words.fill, this.fill)];
    this.node = element("div", { class: "masks-controls" }, ...fields, ...others, this.buttons);
  }

  /** Shows the state in each control. */
  show() {
    const { state, words } = this.view;
    const { preset, parameters, engine } = state;
    const heads = engine?.config.n_head ?? 0;
    if (this.where.options.length !== heads + 1) {
      const options = Array.from({ length: heads }, (_, head) => [String(head), words.one_head(head)]);
      const all = [["", words.all_heads], ...options];
      this.where.replaceChildren(...all.map(([value, text]) => element("option", { value }, text)));
    }
    this.preset.value = preset;
    this.window.value = String(parameters.window);
    this.pads.value = String(parameters.pads);
    this.attentionMask.checked = parameters.attention_mask;
    this.positionIds.checked = parameters.position_ids;
    this.readAt.value = state.readAt;
    this.where.value = String(state.onlyHead ?? "");
    this.fill.value = state.fill;
    const hadFocus = this.node.contains(document.activeElement);
    for (const [name, each] of Object.entries(this.fields)) each.hidden = !(NEEDED[preset] ?? []).includes(name);
    if (hadFocus && document.activeElement?.closest("[hidden]")) this.preset.focus({ preventScroll: true });
    // Disabled would lose the focus.
    this.undo.setAttribute("aria-disabled", String(state.history.past.length === 0));
    this.trained.setAttribute("aria-disabled", String(state.isPlain));
  }

  /** @param {string} preset */
  choosePreset(preset) {
    const { state } = this.view;
    // Words stay hidden, and a preset is read as generate() reads it.
    this.view.change(() => state.set({ preset, hidden: state.hidden, read_at: "end" }));
  }

  /**
   * @param {string} name
   * @param {unknown} value
   */
  setParameter(name, value) {
    const { state } = this.view;
    const parameters = { ...state.parameters, [name]: value };
    this.view.change(() => state.set({ parameters }));
  }

  /** @param {string} value a head, or "" for all */
  chooseWhere(value) {
    const { state } = this.view;
    const head = value === "" ? {} : { head: Number(value) }; // the head that the large map shows
    this.view.change(() => state.set({ only_head: value === "" ? null : Number(value), ...head }));
  }

  /**
   * A box to tick: whether the model is told of pads in this way.
   * @param {"attention_mask" | "position_ids"} name
   */
  box(name) {
    const input = element("input", { type: "checkbox", onchange: () => this.setParameter(name, input.checked) });
    return input;
  }

  /**
   * A field for a number, which follows while it is typed or stepped.
   * @param {"window" | "pads"} name
   * @param {number} most
   */
  count(name, most) {
    const onchange = () => {
      const { parameters } = this.view.state;
      const value = Math.min(most, Math.max(1, Math.round(Number(input.value) || 1)));
      if (value === parameters[name])
        input.value = String(value); // in place of what was typed
      else this.setParameter(name, value);
    };
    // In JupyterLab Enter is no change by itself.
    const onkeydown = (/** @type {KeyboardEvent} */ event) => event.key === "Enter" && onchange();
    const input = element("input", { type: "number", min: 1, max: most, size: 4, onchange, onkeydown });
    return input;
  }
}
