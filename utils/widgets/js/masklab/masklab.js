// MaskLab: attention weights before and after a mask, recomputed here, so that no kernel is needed.

import { toCode } from "../as_code.js";
import { PRESETS } from "../masks.js";
import { defaults, presetKeep, recognise } from "../presets.js";
import { attendRow, fillValue, toBfloat16, toFloat16 } from "../softmax.js";
import { LabView } from "./view.js";
import { WORDS } from "./words.js";

/** @import { Model } from "../model.js" */

/** @param {{ model: Model, el: HTMLElement }} options */
function render({ model, el }) {
  const view = new LabView(model, el);
  return () => view.end();
}

// For tests, which hold them against torch.
export { PRESETS, WORDS, attendRow, defaults, fillValue, presetKeep, recognise, toBfloat16, toCode, toFloat16 };
export default { render };
