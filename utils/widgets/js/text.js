// Tokens and numbers as they are written.

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
