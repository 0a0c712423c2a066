// A mask as code to copy, for each of the APIs that take one.

import { documentOf, PRESETS } from "./presets.js";
import { fillValue } from "./softmax.js";

/** @import { Parameters } from "./presets.js" */

export const APIS = { sdpa: "SDPA", mha: "MultiheadAttention", hf: "Hugging Face", flex: "FlexAttention" };

/**
 * The rule of a preset in torch, after a line for each name that is in it.
 * @param {string} name
 * @param {Parameters} parameters
 * @param {number} Q
 * @param {number} K
 */
function ruleAsCode(name, parameters, Q, K) {
  const { rule, parameters: needed } = PRESETS[name];
  const names = new Set(rule.match(/[a-z]\w*/g));
  if (names.has("document_q")) names.add("own").add("document_k");
  if (names.has("own")) names.add("q");
  const shift = K === Q ? "" : ` ${K > Q ? "+" : "-"} ${Math.abs(K - Q)}  # the last query is at the last key`;
  /** @type {Record<string, string>} */
  const lines = {
    q: `q = torch.arange(${Q})[:, None]  # queries are rows`,
    k: `k = torch.arange(${K})  # keys are columns`,
    own: `own = q${shift}`,
    q_len: `q_len = ${Q}`,
    k_len: `k_len = ${K}`,
  };
  for (const { name: parameter, kind } of needed) {
    const value = parameters[parameter];
    if (kind === "count") lines[parameter] = `${parameter} = ${value}`;
    else {
      lines.document_k = `document_k = torch.tensor([${documentOf(value, K).join(", ")}])`;
      lines.document_q = "document_q = document_k[own.clamp(min=0)]";
    }
  }
  const used = Object.keys(lines).filter((line) => names.has(line));
  const keep = names.has("q") && (names.has("k") || names.has("document_k")) ? rule : `(${rule}).expand(${Q}, ${K})`;
  return [...used.map((line) => lines[line]), `keep = ${keep}`].join("\n");
}

/**
 * @param {Uint8Array} keep
 * @param {number} Q
 * @param {number} K
 */
function cellsAsCode(keep, Q, K) {
  const rows = Array.from({ length: Q }, (_, q) => `    [${keep.subarray(q * K, q * K + K).join(", ")}],\n`);
  return `keep = torch.tensor([  # 1 = may attend; rows are queries, columns are keys\n${rows.join("")}]).bool()`;
}

/**
 * What hidden scores get, in the number type that they have.
 * @param {string} fill
 * @param {string} dtype
 */
function fillAsCode(fill, dtype) {
  if (fill === "min") return `torch.finfo(torch.${dtype}).min`;
  return fillValue(fill, dtype) === -Infinity ? 'float("-inf")' : fill; // −1e9 is beyond float16
}

/**
 * The mask as numbers to add to the scores.
 * @param {string} variable
 * @param {string} sizes
 * @param {Settings} settings
 */
function biasAsCode(variable, sizes, { fill, dtype }) {
  const zeros = `torch.zeros(${sizes}${dtype === "float32" ? "" : `, dtype=torch.${dtype}`})`;
  return `${variable} = ${zeros}.masked_fill(~keep, ${fillAsCode(fill, dtype)})`;
}

/** @type {Record<string, string[]>} */
const IMPORTS = {
  sdpa: ["import torch.nn.functional as F"],
  flex: ["from torch.nn.attention.flex_attention import create_block_mask, flex_attention"],
};

/**
 * From keep to the output, where hidden scores get −∞, as they do of a bool mask.
 * @type {Record<string, (Q: number, K: number) => string[]>}
 */
const CALLS = {
  sdpa: () => ["output = F.scaled_dot_product_attention(query, key, value, attn_mask=keep)  # True = may attend"],
  mha: () => ["output, weights = mha(query, key, value, attn_mask=~keep)  # True = ignore"],
  flex: (Q, K) => [
    `block_mask = create_block_mask(lambda b, h, q, k: keep[q, k], None, None, ${Q}, ${K}, device=keep.device)`,
    "output = flex_attention(query, key, value, block_mask=block_mask)",
  ],
};

/** From a bias to the output. @type {Record<string, string>} */
const BIASED_CALLS = {
  sdpa: "output = F.scaled_dot_product_attention(query, key, value, attn_mask=bias)  # 0 = may attend",
  mha: "output, weights = mha(query, key, value, attn_mask=bias)  # 0 = may attend",
  hf: "output = model(input_ids, attention_mask=attention_mask)  # 4D: transformers 5; 0 = keep",
  flex: "output = flex_attention(query, key, value, score_mod=lambda score, b, h, q, k: score + bias[q, k])",
};

/**
 * What the maps show beside the mask.
 * @typedef {object} Settings
 * @property {boolean} flipped
 * @property {string} fill
 * @property {string} dtype
 */

/** @type {Settings} */
const PLAIN = { flipped: false, fill: "-inf", dtype: "float32" };

/**
 * @param {string} api a key of APIS
 * @param {Uint8Array} keep
 * @param {string} name of a preset, or "custom"
 * @param {Parameters} parameters
 * @param {number} Q
 * @param {number} K
 * @param {Settings} settings
 */
export function toCode(api, keep, name, parameters, Q, K, settings = PLAIN) {
  const mask = [name in PRESETS ? ruleAsCode(name, parameters, Q, K) : cellsAsCode(keep, Q, K)];
  if (settings.flipped) mask.push("keep = ~keep  # flipped: True is read as ignore");
  if (api === "hf") mask.push(biasAsCode("attention_mask", `1, 1, ${Q}, ${K}`, settings), BIASED_CALLS.hf);
  else if (settings.fill === "-inf") mask.push(...CALLS[api](Q, K));
  else mask.push(biasAsCode("bias", `${Q}, ${K}`, settings), BIASED_CALLS[api]);
  return ["import torch", ...(IMPORTS[api] ?? []), "", ...mask, ""].join("\n");
}
