// The call of StoryLab as code in transformers.

/** @import { StoryState } from "./state.js" */

/** @param {StoryState} state */
export const toStoryCode = (state) => `# ${state.preset}`;
