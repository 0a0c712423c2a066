// Where things are on the canvas of a map with labelled rows and columns, in CSS pixels.

import { short } from "./text.js";

export const FONT = "12px system-ui, sans-serif";

/**
 * @typedef {object} Layout
 * @property {number} left where the cells begin: labels take a margin on the left and on top
 * @property {number} top
 * @property {number} cell the side of a cell
 * @property {number} width of all cells
 * @property {number} height
 * @property {number} outerWidth of the canvas
 * @property {number} outerHeight
 */

/**
 * What a map's margins say.
 * @typedef {object} Labels
 * @property {string[]} queryTokens
 * @property {string[]} keyTokens
 * @property {{ query: string, key: string }} words names of the axes
 */

/**
 * @param {Pick<CanvasRenderingContext2D, "font" | "measureText">} context
 * @param {number} room how wide the canvas may be
 * @param {Labels} labels
 * @returns {Layout}
 */
export function mapLayout(context, room, { queryTokens, keyTokens, words }, most = 48, tallest = 560) {
  context.font = FONT;
  const widthOf = (/** @type {string} */ text) => context.measureText(text).width;
  const widest = (/** @type {string[]} */ tokens) => Math.max(...tokens.map((token) => widthOf(short(token))));
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

/**
 * Gives a canvas its size in CSS pixels, at the screen's own resolution. It is empty then.
 * @param {HTMLCanvasElement} canvas
 * @param {number} width
 * @param {number} height
 */
export function sizeCanvas(canvas, width, height) {
  const ratio = Math.min(3, window.devicePixelRatio || 1);
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  canvas.getContext("2d")?.setTransform(ratio, 0, 0, ratio, 0, 0);
}

/**
 * Where on a canvas of this size an event points. Ratios of its box, since slides scale their pages.
 * @param {MouseEvent} event
 * @param {HTMLCanvasElement} canvas
 * @param {number} width
 * @param {number} height
 */
export function pointAt(event, canvas, width, height) {
  const box = canvas.getBoundingClientRect();
  return [((event.clientX - box.left) / box.width) * width, ((event.clientY - box.top) / box.height) * height];
}
