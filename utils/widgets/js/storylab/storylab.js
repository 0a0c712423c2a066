// StoryLab: stands in until its face is here.

import { storyFile } from "./file.js";
import { toStoryCode } from "./as_code.js";
import { element } from "../dom.js";
import { program, WidgetView } from "../widget.js";

/** @import { Model } from "../widget.js" */

/** @extends {WidgetView<{ help: string }>} */
class StoryView extends WidgetView {
  /**
   * @param {Model} model
   * @param {HTMLElement} el
   */
  constructor(model, el) {
    super("storylab", { help: "" }, model, el);
    this.root.classList.add("masks-waiting");
    const said = element("p", { class: "storylab-said" }, "waiting");
    this.root.append(said);
    const { bytes, size } = storyFile(model);
    said.textContent = `loading ${size}`;
    bytes.then(
      (file) => {
        said.textContent = `ready ${file.length}`;
        this.root.classList.remove("masks-waiting");
      },
      (error) => {
        said.textContent = `failed: ${error.message}`;
      },
    );
  }
}

export { toStoryCode };
export default program(StoryView);
