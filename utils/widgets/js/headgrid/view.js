// HeadGrid: the attention maps of every layer and head as thumbnails, before and after; one of them large.
//
// Weights arrive as one byte each, compressed: a byte is an index into `levels_bytes`.

export const WORDS = {
  show: "Show",
  change: "change",
  only: "attention weights",
  layer: "Layer",
  head: "Head",
  layers: "layer",
  heads: "head",
  brighten: "Brighten small weights",
  thumbs: (what, layers, heads) =>
    `${what}: ${layers} ${layers === 1 ? "layer" : "layers"} × ${heads} ${heads === 1 ? "head" : "heads"}`,
  zoom: "One head, large",
  query: "query: who looks",
  key: "key: who is looked at",
  thumb: (layer, head, moved) =>
    `layer ${layer}, head ${head}` + (moved === null ? "" : `, ${moved} of the weight moved`),
  cell: (query, key, parts) => `query ${query}, key ${key}: ${parts}`,
  value: (name, weight) => `${name} ${weight}`,
  hidden: "hidden",
  status: (layer, head, names, moved, nan) =>
    `Layer ${layer}, head ${head}.` +
    (moved === null ? "" : ` From ${names[0]} to ${names[1]}, ${moved} of the weight moved.`) +
    (nan ? ` ${nan} ${nan === 1 ? "row is" : "rows are"} NaN.` : ""),
  row: (query, q) => `Where query ${query} (row ${q}) looks`,
  keyColumn: "key",
  onlyLargest: (shown, all) => `Shown are the ${shown} keys with most weight, of ${all}.`,
  legend: "Colours",
  nan: "NaN",
  broken: (reason) => `The attention maps could not be read: ${reason}`,
  help:
    "Click a map to see it large. Keys: arrows, Home, End move; Enter goes into the large map, Escape back out.",
};

const SHOWN_KEYS = 8;
const GAP = 3; // pixels between two thumbnails
const SMALLEST_BESIDE = 16; // pixels; with more heads than fit like this, the thumbnails stand above
const NAN_CODE = 255;

// --- values ---

export async function inflate(view) {
  const bytes = bytesOf(view);
  if (!bytes.length) return null;
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

// How much of its weight a query moved: half of the summed differences, averaged over queries without NaN.
export function movedShare(before, after, levels, from, Q, K) {
  let sum = 0;
  let rows = 0;
  for (let q = 0; q < Q; q++) {
    let row = 0;
    for (let at = from + q * K; at < from + (q + 1) * K; at++) row += Math.abs(levels[after[at]] - levels[before[at]]);
    if (Number.isNaN(row)) continue;
    sum += row / 2;
    rows += 1;
  }
  return rows ? sum / rows : NaN;
}

const percent = (share) => (Number.isNaN(share) ? "NaN" : `${Math.round(100 * Math.min(1, share))} %`);

// --- colours of changes: purple for less, orange for more, white for the same; black for NaN ---

const LESS = [84, 39, 136];
const SAME = [247, 247, 247];
const MORE = [179, 88, 6];
const NAN_CHANGE = pixel(0, 0, 0);
const CHANGES = Uint32Array.from({ length: 511 }, (_, n) => {
  const share = Math.abs(n - 255) / 255;
  const end = n < 255 ? LESS : MORE;
  return pixel(...SAME.map((value, i) => Math.round(value + (end[i] - value) * share)));
});

const stretch = (value, brighten) => (brighten ? Math.sign(value) * Math.sqrt(Math.abs(value)) : value);
const changeColour = (change, brighten) =>
  Number.isNaN(change) ? NAN_CHANGE : CHANGES[255 + Math.round(255 * stretch(change, brighten))];

// --- the widget ---

function render({ model, el }) {
  const id = uniqueId("headgrid");
  const words = mergeWords(WORDS, model.get("words"));
  let data = null; // what the traits hold, unpacked
  let active = { q: 0, k: 0 };
  let ended = false;

  // -- the page --

  const root = element("div", { class: "masks-widget headgrid", "data-lm-suppress-shortcuts": "true", "aria-busy": "true" });
  const controls = element("div", { class: "masks-controls" });
  const hiddenCell = (name) => element("div", { role: "gridcell", id: `${id}-${name}`, class: "masks-hidden" });
  const gridOf = (name, label, ...canvases) => {
    const cell = hiddenCell(name);
    const row = element("div", { role: "row", class: "masks-hidden" }, cell);
    const grid = element(
      "div",
      {
        role: "grid",
        tabindex: "0",
        class: `headgrid-${name}`,
        "aria-label": label,
        "aria-activedescendant": cell.id,
        "aria-describedby": `${id}-help`,
      },
      ...canvases,
      row,
    );
    return { grid, cell, row };
  };
  const canvas = () => element("canvas", { "aria-hidden": "true" });
  const thumbsCanvas = canvas();
  const zoomCanvases = [canvas(), canvas()];
  const thumbsTitle = element("figcaption");
  const zoomTitles = [element("div", { class: "masks-title" }), element("div", { class: "masks-title" })];
  // Hidden from screen readers, which read the cell instead: a grid may hold rows only.
  const zoomMaps = zoomCanvases.map((shown, n) => element("div", { "aria-hidden": "true" }, zoomTitles[n], shown));
  const thumbs = gridOf("thumbs", "", thumbsCanvas);
  const zoom = gridOf("zoom", words.zoom, ...zoomMaps);
  const status = element("p", { class: "masks-status" });
  const legend = element("p", { class: "masks-help headgrid-legend" });
  const help = element("p", { class: "masks-help", id: `${id}-help` }, words.help);
  const live = element("div", { class: "masks-hidden", "aria-live": "polite" });
  const table = element("div");
  const thumbsFigure = element("figure", {}, thumbsTitle, thumbs.grid);
  const zoomSide = element("div", { class: "headgrid-side" }, zoom.grid, status, table);
  const body = element("div", { class: "headgrid-body" }, element("div", {}, thumbsFigure, legend), zoomSide);
  root.append(controls, body, help, live);
  el.append(root);

  // -- reading the traits --

  let loads = 0;
  async function load() {
    const mine = ++loads;
    root.setAttribute("aria-busy", "true");
    try {
      const [before, after, keep] = await Promise.all(
        ["before_bytes", "after_bytes", "keep_bytes"].map((name) => inflate(model.get(name))),
      );
      if (ended || mine !== loads) return; // newer values are on their way
      const [layers, heads, Q, K] = model.get("shape");
      const levels = new Float32Array(bytesOf(model.get("levels_bytes")).buffer);
      const queryTokens = model.get("query_tokens");
      data = { before, after, keep, levels, layers, heads, Q, K, queryTokens, keyTokens: model.get("key_tokens") };
    } catch (error) {
      if (!ended && mine === loads) root.replaceChildren(words.broken(error.message));
      return;
    } finally {
      if (mine === loads) root.removeAttribute("aria-busy");
    }
    active = { q: Math.min(active.q, data.Q - 1), k: Math.min(active.k, data.K - 1) };
    showControls();
    measure();
  }

  const names = () => model.get("names");
  const side = () => (data.after ? model.get("side") : "before");
  const sideName = (which) =>
    data.after ? { before: names()[0], after: names()[1], change: words.change }[which] : words.only;
  const layer = () => Math.min(model.get("layer"), data.layers - 1);
  const head = () => Math.min(model.get("head"), data.heads - 1);
  const start = (l, h) => (l * data.heads + h) * data.Q * data.K; // of one map among the bytes
  const movedAt = (l, h) =>
    data.after ? percent(movedShare(data.before, data.after, data.levels, start(l, h), data.Q, data.K)) : null;

  function setAndSave(values) {
    for (const [name, value] of Object.entries(values)) model.set(name, value);
    model.save_changes();
  }

  // -- controls --

  let settings = {};
  function showControls() {
    const numbers = (count) => Object.fromEntries(Array.from({ length: count }, (_, n) => [n, String(n)]));
    const layerSelect = choice(numbers(data.layers), layer(), (value) => setAndSave({ layer: Number(value) }));
    const headSelect = choice(numbers(data.heads), head(), (value) => setAndSave({ head: Number(value) }));
    const brighten = element("input", { type: "checkbox", onchange: () => setAndSave({ brighten: brighten.checked }) });
    const sides = ["before", "after", "change"].map((which) => {
      const radio = element("input", { type: "radio", name: `${id}-side`, value: which, onchange: () => setAndSave({ side: which }) });
      return { radio, label: element("label", {}, radio, sideName(which)) };
    });
    settings = { layerSelect, headSelect, brighten, sides };
    controls.replaceChildren(
      field(words.layer, layerSelect),
      field(words.head, headSelect),
      element("label", { class: "headgrid-check" }, brighten, words.brighten),
    );
    if (data.after) {
      const group = element("fieldset", {}, element("legend", {}, words.show), ...sides.map(({ label }) => label));
      controls.prepend(group);
    }
  }

  function showSettings() {
    settings.layerSelect.value = String(layer());
    settings.headSelect.value = String(head());
    settings.brighten.checked = model.get("brighten");
    for (const { radio } of settings.sides) radio.checked = radio.value === side();
  }

  // -- thumbnails --

  const tile = { size: 0, left: 34, top: 34 }; // in CSS pixels
  const place = (l, h) => [tile.left + h * (tile.size + GAP), tile.top + l * (tile.size + GAP)];

  // Each map shrunk to n × n pixels, or enlarged: of the cells behind a pixel the largest counts, so that a thin line
  // stays visible.
  function tilePixels(n, colour, pick) {
    const { Q, K } = data;
    const bounds = (count) =>
      Array.from({ length: n }, (_, i) => {
        const first = Math.floor((i * count) / n);
        return [first, Math.max(first + 1, Math.floor(((i + 1) * count) / n))];
      });
    const [rows, columns] = [bounds(Q), bounds(K)];
    return (from, into, offset, width) => {
      rows.forEach(([q0, q1], y) => {
        columns.forEach(([k0, k1], x) => {
          let best = from + q0 * K + k0;
          for (let q = q0; q < q1; q++) for (let k = k0; k < k1; k++) best = pick(best, from + q * K + k);
          into[offset + y * width + x] = colour(best, best - from);
        });
      });
    };
  }

  // How cells are coloured, and which of two stands out more, by their places among the bytes.
  function lookOf(which) {
    const { before, after, levels, keep } = data;
    const brighten = model.get("brighten");
    if (which === "change") {
      const change = (at) => levels[after[at]] - levels[before[at]];
      const size = (at) => (Number.isNaN(change(at)) ? Infinity : Math.abs(change(at)));
      return { colour: (at) => changeColour(change(at), brighten), pick: (a, b) => (size(b) > size(a) ? b : a) };
    }
    const bytes = which === "before" ? before : after;
    const colours = Uint32Array.from(levels, (value) => colourOf(stretch(value, brighten)));
    const masked = which === "after" ? keep : null;
    const rank = masked ? (at) => bytes[at] + masked[at % masked.length] / 2 : (at) => bytes[at];
    return {
      colour: (at, cell) => (masked && !masked[cell] && bytes[at] === 0 ? HIDDEN_COLOUR : colours[bytes[at]]),
      pick: (a, b) => (rank(b) > rank(a) ? b : a),
    };
  }

  let thumbsImage = null; // the maps alone, at the screen's own resolution
  function paintThumbs() {
    const { layers, heads } = data;
    const context = thumbsCanvas.getContext("2d", { willReadFrequently: true });
    const ratio = context.getTransform().a;
    const n = Math.max(1, Math.round(tile.size * ratio));
    const look = lookOf(side());
    const write = tilePixels(n, look.colour, look.pick);
    thumbsImage = context.createImageData(thumbsCanvas.width, thumbsCanvas.height);
    const pixels = new Uint32Array(thumbsImage.data.buffer);
    for (let l = 0; l < layers; l++) {
      for (let h = 0; h < heads; h++) {
        const [x, y] = place(l, h).map((value) => Math.round(value * ratio));
        write(start(l, h), pixels, y * thumbsImage.width + x, thumbsImage.width);
      }
    }
  }

  function drawThumbs() {
    const context = thumbsCanvas.getContext("2d");
    const style = getComputedStyle(root);
    context.putImageData(thumbsImage, 0, 0);
    context.fillStyle = style.color;
    context.font = FONT;
    context.textBaseline = "middle";
    context.textAlign = "center";
    const step = Math.max(1, Math.ceil(16 / (tile.size + GAP)));
    for (let h = 0; h < data.heads; h += step) context.fillText(String(h), place(0, h)[0] + tile.size / 2, tile.top - 9);
    for (let l = 0; l < data.layers; l += step) context.fillText(String(l), tile.left - 10, place(l, 0)[1] + tile.size / 2);
    context.textAlign = "left";
    context.fillText(words.heads, tile.left, 9);
    context.save();
    context.translate(8, tile.top);
    context.rotate(-Math.PI / 2);
    context.textAlign = "right";
    context.fillText(words.layers, 0, 0);
    context.restore();
    const [x, y] = place(layer(), head());
    context.lineWidth = document.activeElement === thumbs.grid ? 4 : 3;
    context.strokeStyle = style.borderTopColor;
    context.strokeRect(x - 2, y - 2, tile.size + 4, tile.size + 4);
  }

  // -- one head, large --

  let layout = null;
  let images = [];
  let veil = null;
  const layerOfHatches = element("canvas");
  const rightSide = () => (side() === "change" ? "change" : "after");

  function paintZoom() {
    const { Q, K, keep } = data;
    const from = start(layer(), head());
    images = (data.after ? ["before", rightSide()] : ["before"]).map((which) => {
      const image = pixelMap(K, Q);
      const { colour } = lookOf(which);
      for (let cell = 0; cell < Q * K; cell++) image.pixels[cell] = colour(from + cell, cell);
      image.context.putImageData(image.data, 0, 0);
      return image;
    });
    veil = null;
    if (keep && data.after && rightSide() === "after") {
      veil = pixelMap(K, Q);
      for (let cell = 0; cell < Q * K; cell++) veil.pixels[cell] = keep[cell] ? 0 : pixel(0, 0, 0);
      veil.context.putImageData(veil.data, 0, 0);
    }
  }

  function drawZoom() {
    const { Q, K, queryTokens, keyTokens } = data;
    const style = getComputedStyle(root);
    const { left, top, width, height, cell } = layout;
    images.forEach((image, n) => {
      const context = zoomCanvases[n].getContext("2d");
      context.clearRect(0, 0, layout.outerWidth, layout.outerHeight);
      context.imageSmoothingEnabled = cell < 1;
      context.drawImage(image.small, left, top, width, height);
      if (n === 1 && veil) drawHatch(context, layerOfHatches, veil, layout);
      drawLabels(context, layout, queryTokens, keyTokens, words, style.color);
      if (cell >= 30 && Q <= 8 && K <= 8) drawNumbers(context, n);
      const y = top + active.q * cell;
      outline(context, style.color, style.backgroundColor, 2, [left - 1, y, width + 2, cell]);
      if (document.activeElement === zoom.grid) {
        outline(context, style.borderTopColor, style.backgroundColor, 4, [left + active.k * cell, y, cell, cell]);
      }
    });
  }

  function valueAt(which, q, k) {
    const at = start(layer(), head()) + q * data.K + k;
    const value = (bytes) => data.levels[bytes[at]];
    return which === "change" ? value(data.after) - value(data.before) : value(data[which]);
  }

  function drawNumbers(context, n) {
    const which = n === 0 ? "before" : rightSide();
    const { left, top, cell: size } = layout;
    context.font = "11px system-ui, sans-serif";
    context.textAlign = "center";
    for (let q = 0; q < data.Q; q++) {
      for (let k = 0; k < data.K; k++) {
        const value = valueAt(which, q, k);
        if (which === "after" && data.keep && !data.keep[q * data.K + k] && value === 0) continue;
        const shade = Math.abs(stretch(value, model.get("brighten")));
        const onDark = Number.isNaN(value) || (which === "change" ? shade > 0.6 : shade < 0.5);
        context.fillStyle = onDark ? "#ffffff" : "#000000";
        const rounded = value.toFixed(2).replace(/^-?0\.00$/, "0"); // neither .00 nor −.00
        const text = Number.isNaN(value) ? "NaN" : rounded.replace(/^(-?)0\./, "$1.").replace("-", "−");
        context.fillText(text, left + (k + 0.5) * size, top + (q + 0.5) * size);
      }
    }
  }

  function showRow() {
    const { q } = active;
    const { K, queryTokens, keyTokens, keep } = data;
    const sides = data.after ? ["before", "after"] : ["before"];
    const most = (k) => Math.max(...sides.map((which) => valueAt(which, q, k) || 0));
    const keys = Array.from({ length: K }, (_, k) => k).sort((a, b) => most(b) - most(a)).slice(0, SHOWN_KEYS);
    keys.sort((a, b) => a - b);
    const shown = element("table", {}, element("caption", {}, words.row(short(queryTokens[q]), q)));
    const titles = element("tr", {}, element("th", { scope: "col" }, words.keyColumn));
    for (const which of sides) titles.append(element("th", { scope: "col" }, sideName(which)));
    const body_ = element("tbody");
    for (const k of keys) {
      const off = keep && !keep[q * K + k];
      const line = element("tr", { class: off ? "masks-off" : "" }, element("th", { scope: "row" }, placeName(k, keyTokens[k])));
      for (const which of sides) {
        const value = valueAt(which, q, k);
        const bar = element("span", { class: "masks-bar" });
        bar.style.setProperty("--masks-weight", Number.isNaN(value) ? 0 : value);
        line.append(element("td", { class: "masks-weight" }, bar, element("span", {}, twoDigits(value))));
      }
      body_.append(line);
    }
    shown.append(element("thead", {}, titles), body_);
    table.replaceChildren(shown);
    if (K > SHOWN_KEYS) table.append(element("p", { class: "masks-help" }, words.onlyLargest(SHOWN_KEYS, K)));
  }

  // As exact as a byte allows.
  const twoDigits = (value) => (Number.isNaN(value) ? "NaN" : value > 0 && value < 0.005 ? "<0.01" : value.toFixed(2));

  function showLegend() {
    const which = side();
    const bar = element("canvas", { width: 96, height: 1, "aria-hidden": "true" });
    const context = bar.getContext("2d");
    const strip = context.createImageData(96, 1);
    const pixels = new Uint32Array(strip.data.buffer);
    for (let x = 0; x < 96; x++) {
      const share = x / 95;
      pixels[x] =
        which === "change" ? changeColour(2 * share - 1, model.get("brighten")) : colourOf(stretch(share, model.get("brighten")));
    }
    context.putImageData(strip, 0, 0);
    const swatch = (colour, text) => {
      const box = element("span", { class: "headgrid-swatch" });
      box.style.background = colour;
      return element("span", {}, box, text);
    };
    legend.replaceChildren(
      element("span", {}, which === "change" ? "−1 " : "0 ", bar, which === "change" ? " +1" : " 1"),
    );
    if (data.keep && which === "after") legend.append(swatch("#d9d9d9", words.hidden));
    if (hasNaN()) legend.append(swatch(which === "change" ? "#000000" : `rgb(${NAN_COLOUR})`, words.nan));
  }

  const hasNaN = () => data.before.includes(NAN_CODE) || Boolean(data.after?.includes(NAN_CODE));

  // -- what is said --

  function nanRows() {
    const bytes = data.after ?? data.before;
    let rows = 0;
    for (let q = 0; q < data.Q; q++) {
      const from = start(layer(), head()) + q * data.K;
      rows += bytes.subarray(from, from + data.K).includes(NAN_CODE);
    }
    return rows;
  }

  function describe() {
    const { q, k } = active;
    const sides = data.after ? ["before", "after"] : ["before"];
    const parts = sides.map((which) => words.value(sideName(which), twoDigits(valueAt(which, q, k))));
    if (data.keep && !data.keep[q * data.K + k]) parts.push(words.hidden);
    thumbs.cell.textContent = words.thumb(layer(), head(), movedAt(layer(), head()));
    zoom.cell.textContent = words.cell(short(data.queryTokens[q], 40), short(data.keyTokens[k], 40), parts.join(", "));
    for (const [{ grid, row, cell }, at, size] of [
      [thumbs, [layer(), head()], [data.layers, data.heads]],
      [zoom, [q, k], [data.Q, data.K]],
    ]) {
      grid.setAttribute("aria-rowcount", size[0]);
      grid.setAttribute("aria-colcount", size[1]);
      row.setAttribute("aria-rowindex", at[0] + 1);
      cell.setAttribute("aria-colindex", at[1] + 1);
    }
  }

  function showWords() {
    const { layers, heads } = data;
    thumbsTitle.textContent = words.thumbs(sideName(side()), layers, heads);
    thumbs.grid.setAttribute("aria-label", thumbsTitle.textContent);
    zoomTitles[0].textContent = sideName("before");
    zoomTitles[1].textContent = sideName(rightSide());
    status.textContent = words.status(layer(), head(), names(), movedAt(layer(), head()), nanRows());
    showLegend();
  }

  // -- drawing, at most once a frame --

  let frame = 0;
  let stale = new Set();
  function refresh(...what) {
    what.forEach((name) => stale.add(name));
    frame ||= requestAnimationFrame(paint);
  }
  function paint() {
    cancelAnimationFrame(frame);
    frame = 0;
    if (!data) return;
    if (stale.has("thumbs")) paintThumbs();
    if (stale.has("thumbs") || stale.has("zoom")) {
      paintZoom();
      showSettings();
      showWords();
    }
    stale = new Set();
    drawThumbs();
    drawZoom();
    showRow();
    describe();
  }

  function measure() {
    if (!data) return;
    const wide = (root.clientWidth || 656) - 16;
    const half = Math.floor(wide * 0.42);
    const beside = wide >= 860 && half >= tile.left + data.heads * (SMALLEST_BESIDE + GAP);
    const room = beside ? half : wide;
    body.style.gridTemplateColumns = beside ? `${room}px minmax(0, 1fr)` : "minmax(0, 1fr)";
    tile.size = Math.max(8, Math.min(64, Math.floor((room - tile.left - 2) / data.heads) - GAP));
    sizeCanvas(thumbsCanvas, place(0, data.heads)[0], place(data.layers, 0)[1]);
    const side_ = beside ? wide - room - 24 : wide;
    const columns = data.after && side_ >= 480 ? 2 : 1;
    const share = Math.min(480, (side_ - 16 * (columns - 1)) / columns);
    layout = mapLayout(zoomCanvases[0].getContext("2d"), share, data.queryTokens, data.keyTokens, words, 40, 420);
    for (const shown of zoomCanvases) sizeCanvas(shown, layout.outerWidth, layout.outerHeight);
    zoomMaps[1].hidden = !data.after;
    stale.add("thumbs");
    paint(); // at once: a canvas that is given its size is empty
  }

  // -- pointer and keyboard --

  const announce = (cell) => (live.textContent = cell.textContent);

  thumbsCanvas.addEventListener("click", (event) => {
    if (!data) return;
    const box = thumbsCanvas.getBoundingClientRect(); // ratios, since slides scale their pages
    const x = ((event.clientX - box.left) / box.width) * thumbsCanvas.offsetWidth - tile.left;
    const y = ((event.clientY - box.top) / box.height) * thumbsCanvas.offsetHeight - tile.top;
    const [h, l] = [x, y].map((value) => Math.floor(value / (tile.size + GAP)));
    if (l >= 0 && l < data.layers && h >= 0 && h < data.heads) setAndSave({ layer: l, head: h });
    thumbs.grid.focus({ preventScroll: true });
  });
  for (const shown of zoomCanvases) {
    const point = (event) => {
      if (!data) return;
      const { row, column } = cellAt(event, shown, layout);
      if (row < 0 || row >= data.Q || column < 0 || column >= data.K) return;
      active = { q: row, k: column };
      refresh();
    };
    shown.addEventListener("click", (event) => {
      point(event);
      zoom.grid.focus({ preventScroll: true });
    });
    shown.addEventListener("pointermove", (event) => event.buttons === 1 && point(event));
  }
  thumbs.grid.addEventListener("keydown", (event) => {
    if (!data) return;
    const to = movedTo(event, layer(), head(), data.layers, data.heads);
    if (to) {
      setAndSave({ layer: to.row, head: to.column });
      requestAnimationFrame(() => announce(thumbs.cell));
    } else if (event.key === "Enter" || event.key === " ") zoom.grid.focus({ preventScroll: true });
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  zoom.grid.addEventListener("keydown", (event) => {
    if (!data) return;
    const to = movedTo(event, active.q, active.k, data.Q, data.K);
    if (to) {
      active = { q: to.row, k: to.column };
      refresh();
      requestAnimationFrame(() => announce(zoom.cell));
    } else if (event.key === "Escape") thumbs.grid.focus({ preventScroll: true });
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  for (const { grid } of [thumbs, zoom]) for (const name of ["focus", "blur"]) grid.addEventListener(name, () => refresh());

  // -- what changes elsewhere: other views of the same model, and Python --

  const onSide = () => refresh("thumbs");
  const onHead = () => refresh("zoom");
  const listeners = { version: load, layer: onHead, head: onHead, side: onSide, brighten: onSide };
  for (const [name, listener] of Object.entries(listeners)) model.on(`change:${name}`, listener);
  passSaving(root, el);
  const unfollow = followPage(root, measure, () => refresh());
  load();

  return () => {
    ended = true;
    for (const [name, listener] of Object.entries(listeners)) model.off(`change:${name}`, listener);
    unfollow();
    cancelAnimationFrame(frame);
  };
}

export default { render };
