// Answers: what is right, and what a person means who writes a number.

/** An index, several, or a number. @typedef {number | number[]} Choice */

const SLACK = 1e-9; // 0.4 is 0.1 from 0.3; question.py has the same
const NUMBER = /^[+-]?(\d+[.,]?\d*|[.,]\d+)(e[+-]?\d+)?$/i;
const AMBIGUOUS = /^[+-]?[1-9]\d{0,2},\d{3}$/; // 1,200 is a thousand to some, and a bit more than one to others

/**
 * @param {Choice} choice
 * @param {Choice} right
 * @param {number | null} tolerance null for an index
 */
export function isRight(choice, right, tolerance) {
  if (tolerance === null) return String(choice) === String(right);
  return Math.abs(Number(choice) - Number(right)) <= tolerance + SLACK * Math.max(1, Math.abs(Number(right)));
}

/**
 * The number that a text says, with a comma or a point, with its unit or without; null if it says none, or two.
 * @param {string} text
 * @param {string} unit
 */
export function readNumber(text, unit) {
  let rest = text.replace(/\s/g, "").replace("−", "-");
  const end = unit.replace(/\s/g, "");
  if (end && rest.endsWith(end)) rest = rest.slice(0, -end.length);
  const number = NUMBER.test(rest) && !AMBIGUOUS.test(rest) ? Number(rest.replace(",", ".")) : Number.NaN;
  return Number.isFinite(number) ? number : null;
}

/**
 * @param {number} number
 * @param {string} unit
 */
export const written = (number, unit) => `${String(number).replace("-", "−")}${unit && `\u00a0${unit}`}`;
