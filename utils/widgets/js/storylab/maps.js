// StoryLab's maps: one head large, as trained and with the mask that is drawn on it, and thumbnails of all.

import { CellGrid } from "../cell_grid.js";
import { isDeep } from "../colours.js";
import { contextOf, element, formatNumber, setText, short } from "../dom.js";
import { cellNumber, LabelledMap, mapLayout, pairLayouts } from "../grid.js";
import { scale, swatch } from "../legend.js";
import { Thumbs } from "../thumbs.js";

/** @import { Layout } from "../grid.js" */
/** @import { MapSide } from "./state.js" */
/** @import { StoryView } from "./storylab.js" */

// The widget's width in px from which on its maps are beside the next word, and thumbnails beside the large map.
const TWO_COLUMNS = 640;
const THREE_COLUMNS = 830; // JupyterLab beside its files has 848 in a window of 1280
const PAIR_GAP = 16;
const COLUMN_GAP = 20; // see storylab.css
const EDGES = 16 + COLUMN_GAP;
const WORDS_LEAST = 270; // px of the next word and the stories
const WORDS_MOST = 330; // unless the maps leave more
const LEAST_HEAD = 360; // px of the line above the large map
const READABLE_PAIR = 13; // px of a cell from which on both large maps are shown
const LARGEST_STORY_CELL = 40;
const LOW_THUMBS = 320; // px, of all layers
const TALL_THUMBS = 440; // where the page is narrow and scrolls
const LOW_MAP = 300; // px, of the large map's cells

export class StoryMaps {
  /**
   * @param {StoryView} view
   * @param {HTMLElement} next what stands beside the maps
   */
  constructor(view, next) {
    this.view = view;
    const { words } = view;
    const canvases = [
      element("canvas", { role: "img", "aria-label": words.trained }),
      element("canvas", { "aria-hidden": "true" }),
    ];
    const maps = canvases.map((canvas) => new LabelledMap(canvas, { queryTokens: [""], keyTokens: [""], words }));
    [this.left, this.right] = maps;
    /** @returns {[number, number, number, number]} */
    const position = () => [view.state.active.q, view.state.active.k, view.state.T, view.state.T];
    const attributes = { class: "masks-drawn", "aria-label": words.now, "aria-multiselectable": "true" };
    this.grid = new CellGrid(view, "cell", attributes, position, this.right.canvas);
    this.title = element("div", { class: "masks-title" });
    this.legend = element("div", { class: "masks-legend storylab-legend", title: words.scale });
    this.switch = this.sideSwitch();
    this.captions = [words.trained, words.now].map((text) => element("div", { class: "storylab-side" }, text));
    this.boxes = [this.left.canvas, this.grid.node].map((node, n) => element("div", {}, this.captions[n], node));
    // In the order of the table.
    this.pair = element("div", { class: "storylab-pair" }, this.boxes[1], this.boxes[0]);
    const head = element("div", { class: "storylab-head" }, this.title, this.switch);
    this.note = element("p", { class: "masks-help storylab-note" });
    this.large = element("div", { class: "storylab-large" }, head, this.note, this.pair);
    /** @type {Thumbs<MapSide>} */
    this.thumbs = new Thumbs(view);
    this.all = element("div", { class: "storylab-all" }, this.thumbs.node, this.legend);
    this.node = element("div", { class: "storylab-maps" }, this.large, this.all);
    this.body = element("div", { class: "storylab-body" }, next, this.node);
    this.paired = false; // whether both large maps are shown
    this.built = ""; // the labels that the maps have
    this.thumbs.grid.listen((layer, head) => view.showHead({ layer, head }), {
      Enter: () => this.grid.focus(),
      " ": () => this.grid.focus(),
    });
  }

  /** A choice of what the maps show, where there is room for one. */
  sideSwitch() {
    const { words, id } = this.view;
    const radio = (/** @type {MapSide} */ side) => {
      const onchange = () => {
        this.view.state.side = side;
        this.view.measure();
      };
      const input = element("input", { type: "radio", name: `${id}-side`, value: side, onchange });
      input.checked = side === "now";
      return element("label", {}, input, words[side]);
    };
    const legend = element("legend", { class: "masks-hidden" }, words.maps);
    return element("fieldset", {}, legend, radio("now"), radio("trained"));
  }

  /** Makes maps for the tokens, if they are others than before; true if so. */
  build() {
    const { state, words } = this.view;
    const labels = state.labels(words.pad);
    const key = JSON.stringify([labels, state.sequence.left, state.sequence.words]);
    if (key === this.built) return false;
    this.built = key;
    const { left, words: count } = state.sequence;
    const own = labels.slice(left, left + count);
    this.left = new LabelledMap(this.left.canvas, { queryTokens: own, keyTokens: own, words });
    this.right = new LabelledMap(this.right.canvas, { queryTokens: labels, keyTokens: labels, words });
    return true;
  }

  // -- room --

  measure() {
    const { root, state } = this.view;
    const outer = root.clientWidth;
    if (!outer || !state.pass) return;
    const said = parseFloat(getComputedStyle(root).getPropertyValue("--masks-tallest")) || 0;
    const columns = outer >= THREE_COLUMNS || said ? 3 : outer >= TWO_COLUMNS ? 2 : 1;
    for (const n of [1, 2, 3]) root.classList.toggle(`storylab-${n}`, columns === n);
    root.classList.toggle("storylab-low", said > 0);
    this.body.style.gridTemplateColumns = "";
    const room = columns > 1 && !said ? outer - EDGES - Math.min(WORDS_MOST, Math.max(WORDS_LEAST, outer / 3)) : 0;
    const own = room || this.node.clientWidth;
    if (!own) return; // hidden
    const highest = said ? 0.75 * said : columns === 1 ? TALL_THUMBS : LOW_THUMBS;
    if (columns !== 2) this.thumbs.measure(columns === 3 ? Math.min(240, Math.max(150, 0.34 * own)) : own, highest);
    const beside = columns === 3 ? this.thumbs.canvas.offsetWidth + COLUMN_GAP : 0;
    this.measureLarge(own - beside, said || LOW_MAP);
    // What low maps leave of a wide page is for the words.
    const width = [this.left, this.right].reduce((sum, { layout }) => sum + layout.outerWidth, PAIR_GAP);
    const used = this.paired ? width : Math.max(this.right.layout.outerWidth, LEAST_HEAD);
    const taken = Math.min(own, used + beside);
    if (room) this.body.style.gridTemplateColumns = `${taken}px minmax(0, 1fr)`;
    if (columns === 2) this.thumbs.measure(outer - EDGES - taken, highest); // below the next word
  }

  /**
   * @param {number} room
   * @param {number} low how high the cells may be; with many tokens a bit more
   */
  measureLarge(room, low) {
    const { T, sequence } = this.view.state;
    const context = contextOf(this.right.canvas);
    const tallest = Math.max(low, low === LOW_MAP ? Math.min(16 * T, 420) : 0);
    const half = (/** @type {LabelledMap} */ map) =>
      mapLayout(context, (room - PAIR_GAP) / 2, map.labels, LARGEST_STORY_CELL, tallest);
    // The map that is drawn on stands first, and the first of a pair has the names.
    /** @type {Layout[]} */
    const pair =
      T === sequence.words
        ? pairLayouts(context, room, PAIR_GAP, this.right.labels, LARGEST_STORY_CELL, tallest)
        : [half(this.right), half(this.left)];
    const one = (/** @type {LabelledMap} */ map) => mapLayout(context, room, map.labels, LARGEST_STORY_CELL, tallest);
    const alone = one(this.right);
    // Two maps are for looking, one is for drawing: they must not cost it its size.
    this.paired = pair[0].cell >= Math.min(READABLE_PAIR, alone.cell);
    this.left.take(this.paired ? pair[1] : one(this.left));
    this.right.take(this.paired ? pair[0] : alone);
    this.switch.hidden = this.paired;
    const { state } = this.view;
    if (this.paired) state.side = "now"; // both are large: the thumbnails show the mask
    for (const radio of this.switch.querySelectorAll("input")) radio.checked = radio.value === state.side;
    this.boxes[0].hidden = !this.paired && state.side !== "trained";
    this.boxes[1].hidden = !this.paired && state.side !== "now";
    for (const caption of this.captions) caption.hidden = !this.paired;
  }

  // -- showing --

  /** @returns {[MapSide, LabelledMap][]} */
  sides() {
    return [
      ["trained", this.left],
      ["now", this.right],
    ];
  }

  /** @param {{ thumbs: boolean }} stale */
  paint({ thumbs }) {
    const { state, words, palette } = this.view;
    const { layer, head, onlyHead } = state;
    for (const [side, map] of this.sides()) {
      const start = state.startOf(side);
      const { colour } = state.look(side, palette);
      map.paint((cell) => colour(start + cell, cell), state.hider(side, head));
    }
    if (thumbs) this.thumbs.paint();
    const legend = [scale(palette), swatch(palette.hidden, words.hidden, palette.hatch)];
    if (state.mapsOf(state.side).some(Number.isNaN)) legend.push(swatch(palette.nan, "NaN"));
    this.legend.replaceChildren(...legend);
    setText(this.title, words.map(layer, head));
    this.grid.node.setAttribute("aria-label", `${words.map(layer, head)}, ${words.now}`);
    this.note.hidden = onlyHead === null || onlyHead === head;
    setText(this.note, onlyHead === null ? "" : words.other_head(onlyHead));
  }

  draw() {
    const { state, palette } = this.view;
    for (const [side, map] of this.sides()) {
      const weights = state.mapsOf(side);
      const start = state.startOf(side);
      const hides = state.hider(side, state.head);
      map.draw({
        active: side === "now" ? state.active : this.activeAsTrained(),
        focused: side === "now" && this.grid.focused,
        hatch: palette.hatch,
        smooth: map.layout.cell < 1,
        number(q, k) {
          const cell = q * map.columns + k;
          const weight = weights[start + cell];
          if (weight === 0 && hides(cell)) return null;
          return { text: cellNumber(weight), light: isDeep(palette.weight(weight)) };
        },
      });
    }
    this.thumbs.draw();
    this.describe();
  }

  /** The active cell where there are no pads. */
  activeAsTrained() {
    const { active, sequence } = this.view.state;
    const [q, k] = [active.q, active.k].map((n) => Math.min(sequence.words - 1, Math.max(0, n - sequence.left)));
    return { q, k };
  }

  /** Reads out the active cell and the chosen head. */
  describe() {
    const { state, words } = this.view;
    const { q, k } = state.active;
    const cell = q * state.T + k;
    const isHidden = state.hider("now", state.head)(cell);
    const [query, key] = [q, k].map((place) => short(this.right.labels.keyTokens[place], 40));
    const weight = formatNumber(state.mapsOf("now")[state.startOf("now") + cell]);
    this.grid.show(words.cell(query, key, isHidden ? words.hidden : words.visible, weight));
    this.grid.cell.setAttribute("aria-selected", String(!isHidden));
    this.thumbs.describe();
  }
}
