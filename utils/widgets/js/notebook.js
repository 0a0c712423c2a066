// What a widget owes the notebook around it.

/**
 * The notebook hears no key from in here (see `element`), but must be saved: Ctrl+S is told to what is around.
 * @param {HTMLElement} root
 * @param {HTMLElement} el
 */
export function passSaving(root, el) {
  root.addEventListener("keydown", (event) => {
    if (!(event.ctrlKey || event.metaKey) || event.key.toLowerCase() !== "s" || !root.closest(".jp-Notebook")) return;
    if (!el.dispatchEvent(new KeyboardEvent("keydown", event))) event.preventDefault();
  });
}
