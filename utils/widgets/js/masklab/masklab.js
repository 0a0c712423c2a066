// MaskLab: attention weights before and after a mask, recomputed here, so that no kernel is needed.

import { APIS, toCode } from "../as_code.js";
import { PRESETS } from "../masks.js";
import { defaults, isPreset, PARAMETERS, presetKeep, recognise } from "../presets.js";
import { attendRow, DTYPES, fillValue, toBfloat16, toFloat16 } from "../softmax.js";
import { LabView } from "./view.js";
import { WORDS } from "./words.js";

/** @import { Model } from "../model.js" */

/** @param {{ model: Model, el: HTMLElement }} options */
function render({ model, el }) {
  const view = new LabView(model, el);
  return () => view.end();
}

export { APIS, PARAMETERS, PRESETS, WORDS, defaults, isPreset, presetKeep, recognise, toCode };
export { DTYPES, attendRow, fillValue, toBfloat16, toFloat16 };
export default { render };
