// What both widgets need: elements, numbers, colours, labelled maps. It is put in front of each module's own text,
// so that each widget stays one plain ES module without imports.

// --- elements and words ---

function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== null && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children); // strings become text, never markup
  // JupyterLab reads letters as commands unless the focused element itself forbids it; its parents are not asked.
  if ("tabindex" in attributes || /^(button|select|input|summary)$/.test(tag)) node.dataset.lmSuppressShortcuts = "true";
  return node;
}

// A page lays out again whatever is written, even the same words.
function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

// A name that no other widget on the page has: each loads this text anew, so a counter of its own would not do.
function uniqueId(name) {
  window.attentionMasksWidgets = (window.attentionMasksWidgets ?? 0) + 1;
  return `${name}-${window.attentionMasksWidgets}`;
}

function field(label, control) {
  control.setAttribute("aria-label", label); // else a select is named by all of its options
  return element("label", { class: "masks-field" }, element("span", {}, label), control);
}

function choice(options, value, onchange) {
  const select = element("select", { onchange: () => onchange(select.value) });
  for (const [name, text] of Object.entries(options)) select.append(element("option", { value: name }, text));
  select.value = value;
  return select;
}

function mergeWords(words, given) {
  const merged = { ...words };
  for (const [name, word] of Object.entries(given ?? {})) {
    merged[name] = word?.constructor === Object ? { ...words[name], ...word } : word;
  }
  return merged;
}

function bytesOf(view) {
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength).slice();
}

function short(text, most = 12) {
  const characters = Array.from(String(text).replace(/\s+/g, " "));
  return characters.length > most ? characters.slice(0, most - 1).join("") + "…" : characters.join("");
}

// "3 cat", or "3" alone where tokens are their numbers.
const placeName = (n, token) => (token === String(n) ? token : `${n} ${short(token)}`);

function number(x) {
  if (Number.isNaN(x)) return "NaN";
  if (x === Infinity) return "∞";
  if (x === -Infinity) return "−∞";
  const size = Math.abs(x);
  const text = size !== 0 && (size < 0.001 || size >= 1e6) ? x.toExponential(1) : x.toFixed(size >= 100 ? 1 : 3);
  return text.replace("-", "−");
}

// --- colours ---

const CIVIDIS = "ACJOACNPACRRACVTACVUACZWACdYAChZAChbACldACpfACphACtiACxkACxmAC1oAC5qAC5sAC9tADBvADBwADFwADFxATJxBTNxCDNwDDRwDzVwEjVwFDZwFjdwGDdvGjhvHDlvHjpvIDpvITtuIzxuJDxuJj1uJz5uKT9uKj9tK0BtLUFtLkFtL0JtMUNtMkNtM0RtNEVsNUVsNkZsOEdsOUhsOkhsO0lsPEpsPUpsPktsP0xsQExsQU1sQk5sQ05sRE9sRVBsRlFsR1FsSFJsSVNsSlNsS1RsTFVsTVVsTlZsT1dsUFdsUVhtUlltU1ptVFptVVttVVxtVlxtV11tWF5tWV5uWl9uW2BuXGFuXWFuXmJuXmNvX2NvYGRvYWVvYmVvY2ZwZGdwZWhwZWhwZmlwZ2pxaGpxaWtxamxxa21ybG1ybG5ybW9ybm9zb3BzcHFzcXJ0cnJ0cnN0c3R1dHR1dXV1dnZ2d3d2d3d3eHh3eXl3enp4e3p4fHt4fXx4fnx4fn14f354gH94gX94goB5g4F5hIJ5hYJ5hoN5h4R4iIV4iYV4ioZ4i4d4jIh4jYh4jol4j4p4kIt4kYt4kox4ko14k454lI53lY93lpB3l5F3mJJ3mZJ3mpN2m5R2nJV2nZV2npZ2n5d1oJh1oZl1opl1o5p0pJt0pZx0ppx0p51zqJ5zqZ9zqqBzq6ByrKFyraJyrqNxr6RxsKVxsaVws6ZwtKdvtahvtqlvt6luuKpuuattuqxtu61tvK5sva5svq9rv7BrwLFqwbJqwrNpw7NpxLRoxbVoxrZnx7dnyLhmyblly7llzLpkzbtjzrxjz71i0L5i0b9h0sBg08Bf1MFf1cJe1sNd18Rc2cVc2sZb28da3MhZ3chY3slY38pX4MtW4cxV4s1U5M5T5c9S5tBR59FQ6NJP6dNO6tNM69RL7dVK7tZJ79dI8NhG8dlF8tpE89tC9dxB9t0/994++N88+eA6++E4/OI2/eM0/uQ0/uU1/uY2/ug4";

const NAN_COLOUR = [178, 24, 43];
const HIDDEN_COLOUR = 0xffd9d9d9; // hatched on top; the same in light and dark, as the map beside it

const pixel = (red, green, blue) => ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0; // little-endian RGBA

// Colours of the weights 0 … 1 in 256 steps, and of NaN.
const COLOURS = (() => {
  const bytes = Uint8Array.from(atob(CIVIDIS), (c) => c.charCodeAt(0));
  const colours = new Uint32Array(257);
  for (let i = 0; i < 256; i++) colours[i] = pixel(bytes[3 * i], bytes[3 * i + 1], bytes[3 * i + 2]);
  colours[256] = pixel(...NAN_COLOUR);
  return colours;
})();

const colourOf = (weight) => COLOURS[Number.isNaN(weight) ? 256 : Math.round(255 * Math.min(1, weight))];

// One pixel a cell, to be drawn enlarged.
function pixelMap(columns, rows) {
  const small = element("canvas", { width: columns, height: rows });
  const context = small.getContext("2d", { willReadFrequently: true });
  const data = context.createImageData(columns, rows);
  return { small, context, data, pixels: new Uint32Array(data.data.buffer) };
}

// Lines only: what is under them says what the cell is.
let hatching = null;
function hatch() {
  if (hatching) return hatching;
  const tile = element("canvas", { width: 8, height: 8 });
  const context = tile.getContext("2d");
  context.strokeStyle = "#555555";
  context.lineWidth = 1;
  context.beginPath();
  for (const shift of [-8, 0, 8]) {
    context.moveTo(shift, 8);
    context.lineTo(shift + 8, 0);
  }
  context.stroke();
  return (hatching = context.createPattern(tile, "repeat"));
}

// Hatches those cells of a drawn map that are opaque in `veil`, at least between the heights `from` and `to` of the
// canvas. The layer is no larger than that: each drawing copies it.
function drawHatch(context, layer, veil, layout, from = 0, to = Infinity) {
  const { left, top, width, height } = layout;
  const ratio = context.getTransform().a;
  const [columns, rows] = [width, height].map((length) => Math.max(1, Math.round(length * ratio)));
  const first = Math.max(0, Math.floor(((from - top) / height) * rows));
  const last = Math.min(rows, Math.ceil(((to - top) / height) * rows));
  Object.assign(layer, { width: columns, height: last - first }); // also clears it
  const over = layer.getContext("2d");
  over.imageSmoothingEnabled = false;
  over.translate(0, -first);
  over.drawImage(veil.small, 0, 0, columns, rows);
  over.globalCompositeOperation = "source-in";
  over.fillStyle = hatch();
  over.fillRect(0, first, columns, last - first);
  context.drawImage(layer, left, top + (first / rows) * height, width, ((last - first) / rows) * height);
}

// --- maps with labelled rows and columns ---

const FONT = "12px system-ui, sans-serif";

// Where the cells stand on a canvas, in CSS pixels: labels take a margin on the left and on top.
function mapLayout(context, room, queryTokens, keyTokens, words, most = 48, tallest = 560) {
  context.font = FONT;
  const widthOf = (text) => context.measureText(text).width;
  const widest = (tokens) => Math.max(...tokens.map((token) => widthOf(short(token))));
  const [Q, K] = [queryTokens.length, keyTokens.length];
  const many = Math.max(Q, K) > 40;
  const left = many ? widthOf("0000") + 26 : widest(queryTokens) + 26; // many rows are numbered
  const top = many ? widthOf("0000") + 24 : widest(keyTokens) + 24;
  const cell = Math.min(most, (room - left - 2) / K, tallest / Q);
  const [width, height] = [cell * K, cell * Q];
  // Few cells leave no room for the names of the axes.
  const edge = many ? 8 : 2; // of the last number
  const outerWidth = left + Math.max(width, widthOf(words.key)) + edge;
  const outerHeight = top + Math.max(height, widthOf(words.query)) + edge;
  return { left, top, cell, width, height, outerWidth, outerHeight };
}

function sizeCanvas(canvas, width, height) {
  const ratio = Math.min(3, window.devicePixelRatio || 1);
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  canvas.getContext("2d").setTransform(ratio, 0, 0, ratio, 0, 0);
}

function drawLabels(context, layout, queryTokens, keyTokens, words, text) {
  const { left, top, cell: size } = layout;
  context.fillStyle = text;
  context.font = FONT;
  context.textBaseline = "middle";
  const step = Math.max(1, Math.ceil(14 / size));
  for (let q = 0; q < queryTokens.length; q += step) {
    context.textAlign = "right";
    context.fillText(step > 1 ? String(q) : short(queryTokens[q]), left - 6, top + (q + 0.5) * size);
  }
  for (let k = 0; k < keyTokens.length; k += step) {
    context.save();
    context.translate(left + (k + 0.5) * size, top - 6);
    context.rotate(-Math.PI / 2);
    context.textAlign = "left";
    context.fillText(step > 1 ? String(k) : short(keyTokens[k]), 0, 0);
    context.restore();
  }
  context.textAlign = "left";
  context.fillText(words.key, left, 8);
  context.save();
  context.translate(8, top);
  context.rotate(-Math.PI / 2);
  context.textAlign = "right";
  context.fillText(words.query, 0, 0);
  context.restore();
}

// A line with an edge on both sides, since the cells under it are both light and dark.
function outline(context, colour, edge, lineWidth, box) {
  for (const [strokeStyle, wide] of [[edge, lineWidth + 2], [colour, lineWidth]]) {
    Object.assign(context, { strokeStyle, lineWidth: wide });
    context.strokeRect(...box);
  }
}

// Which cell of a map an event points at. Ratios of its box, since slides scale their pages.
function cellAt(event, canvas, layout) {
  const box = canvas.getBoundingClientRect();
  const x = ((event.clientX - box.left) / box.width) * layout.outerWidth - layout.left;
  const y = ((event.clientY - box.top) / box.height) * layout.outerHeight - layout.top;
  return { row: Math.floor(y / layout.cell), column: Math.floor(x / layout.cell) };
}

// --- a page that changes under the widget: its width, its theme ---

// Calls `measure` when the width changes and `draw` when colours do; returns what ends it.
function followPage(root, measure, draw) {
  const resize = new ResizeObserver(measure);
  resize.observe(root);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  dark.addEventListener("change", draw);
  const themes = new MutationObserver(draw); // the site and JupyterLab switch by attributes
  for (const node of [document.documentElement, document.body]) {
    themes.observe(node, { attributes: true, attributeFilter: ["data-theme", "data-jp-theme-light", "class"] });
  }
  return () => {
    resize.disconnect();
    themes.disconnect();
    dark.removeEventListener("change", draw);
  };
}

// The notebook hears no key from in here (see element), but must be saved: Ctrl+S is told to what stands around.
function passSaving(root, el) {
  root.addEventListener("keydown", (event) => {
    if (!(event.ctrlKey || event.metaKey) || event.key.toLowerCase() !== "s" || !root.closest(".jp-Notebook")) return;
    if (!el.dispatchEvent(new KeyboardEvent("keydown", event))) event.preventDefault();
  });
}

// --- keys that move through rows and columns ---

// The place a key leads to, or null if it is no such key.
function movedTo(event, row, column, rows, columns) {
  const jump = event.ctrlKey || event.metaKey;
  const moves = {
    ArrowUp: [row - 1, column],
    ArrowDown: [row + 1, column],
    ArrowLeft: [row, column - 1],
    ArrowRight: [row, column + 1],
    Home: [jump ? 0 : row, 0],
    End: [jump ? rows - 1 : row, columns - 1],
    PageUp: [row - 8, column],
    PageDown: [row + 8, column],
  };
  if (!(event.key in moves)) return null;
  const inside = (n, count) => Math.min(count - 1, Math.max(0, n));
  return { row: inside(moves[event.key][0], rows), column: inside(moves[event.key][1], columns) };
}
