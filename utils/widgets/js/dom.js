// Elements of a page: buttons, choices, fields; and the words, tokens and numbers on them.

/**
 * A new element. An attribute "onclick" is a listener, null and false are left out, and strings among the children
 * become text, never markup.
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Record<string, any>} attributes
 * @param {...(Node | string)} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== null && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children);
  // JupyterLab reads letters as commands unless the focused element itself forbids it; its parents are not asked.
  const takesKeys = "tabindex" in attributes || /^(button|select|input|summary)$/.test(tag);
  if (takesKeys) node.dataset.lmSuppressShortcuts = "true";
  return node;
}

/**
 * Text in which what is between backticks is code; nothing else is markup.
 * @param {string} text
 */
export const withCode = (text) =>
  text.split(/`([^`]+)`/).map((part, n) => (n % 2 ? element("code", {}, part) : document.createTextNode(part)));

/**
 * Writes text where it differs: a page lays out again whatever is written, even the same words.
 * @param {Element} node
 * @param {string} text
 */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/**
 * A name that no other widget on the page has. Each loads this text again, so a counter of its own would not do.
 * @param {string} name
 */
export function uniqueId(name) {
  const page = /** @type {{ attentionMasksWidgets?: number }} */ (/** @type {unknown} */ (window));
  page.attentionMasksWidgets = (page.attentionMasksWidgets ?? 0) + 1;
  return `${name}-${page.attentionMasksWidgets}`;
}

/**
 * @param {string} text
 * @param {() => void} onclick
 */
export const button = (text, onclick) => element("button", { type: "button", onclick }, text);

/**
 * A control under its label.
 * @param {string} label
 * @param {HTMLElement} control
 */
export function field(label, control) {
  control.setAttribute("aria-label", label); // else a select is named by all of its options
  return element("label", { class: "masks-field" }, element("span", {}, label), control);
}

/**
 * A list to choose from.
 * @param {Record<string, string>} options value → text
 * @param {string} value
 * @param {(value: string) => void} onchange
 */
export function choice(options, value, onchange) {
  const select = element("select", { onchange: () => onchange(select.value) });
  for (const [name, text] of Object.entries(options)) select.append(element("option", { value: name }, text));
  select.value = value;
  return select;
}

/**
 * A choice among 0 … count - 1.
 * @param {number} count
 * @param {number} value
 * @param {(value: number) => void} onchange
 */
export function numberChoice(count, value, onchange) {
  const options = Object.fromEntries(Array.from({ length: count }, (_, n) => [n, String(n)]));
  return choice(options, String(value), (text) => onchange(Number(text)));
}

/**
 * The words of a widget with those that a page replaces.
 * @template {Record<string, any>} Words
 * @param {Words} words
 * @param {Record<string, any> | undefined} others
 * @returns {Words}
 */
export function mergeWords(words, others) {
  /** @type {Record<string, any>} */
  const merged = { ...words };
  for (const [name, word] of Object.entries(others ?? {})) {
    merged[name] = word?.constructor === Object ? { ...words[name], ...word } : word;
  }
  return /** @type {Words} */ (merged);
}

/**
 * The context that draws on a canvas.
 * @param {HTMLCanvasElement} canvas
 * @param {CanvasRenderingContext2DSettings} [settings]
 */
export const contextOf = (canvas, settings) =>
  /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d", settings));

/**
 * A text in one line, cut after `most` characters.
 * @param {string} text
 */
export function short(text, most = 12) {
  const characters = Array.from(String(text).replace(/\s+/g, " "));
  return characters.length > most ? `${characters.slice(0, most - 1).join("")}…` : characters.join("");
}

/**
 * "3 cat", or "3" alone where tokens are their numbers.
 * @param {number} n
 * @param {string} token
 */
export const tokenName = (n, token) => (token === String(n) ? token : `${n} ${short(token)}`);

/**
 * A number in at most three decimals, with a minus as it is printed.
 * @param {number} x
 */
export function formatNumber(x) {
  if (Number.isNaN(x)) return "NaN";
  if (Math.abs(x) === Infinity) return x > 0 ? "∞" : "−∞";
  const size = Math.abs(x);
  const text = size !== 0 && (size < 0.001 || size >= 1e6) ? x.toExponential(1) : x.toFixed(size >= 100 ? 1 : 3);
  return text.replace("-", "−");
}

const SHARPEST = 3; // pixels of a canvas for one of CSS: more are seen by nobody and cost time

/**
 * How many pixels of the screen one of CSS is: slides are drawn for 720 lines and enlarged.
 * @param {HTMLElement} widget
 */
export function pixelRatio(widget) {
  const scale = widget.offsetWidth ? widget.getBoundingClientRect().width / widget.offsetWidth : 1;
  // Where nothing is enlarged, it is 1 to the last digit: offsetWidth is rounded.
  return Math.min(SHARPEST, Math.max(1, Math.round(100 * scale) / 100) * (window.devicePixelRatio || 1));
}
