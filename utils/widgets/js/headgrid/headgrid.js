// HeadGrid: the attention maps of every layer and head as thumbnails, before and after; one of them large.

import { inflate, movedShare } from "./values.js";
import { GridView } from "./view.js";
import { WORDS } from "./words.js";

/** @import { Model } from "../model.js" */

/** @param {{ model: Model, el: HTMLElement }} options */
function render({ model, el }) {
  const view = new GridView(model, el);
  return () => view.end();
}

export { inflate, movedShare, WORDS };
export default { render };
