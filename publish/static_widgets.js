// Widgets on a page from disk: no kernel, no network. Each mount on the page names a saved model; here it gets what
// anywidget would give it, get, set, on, off and save_changes, and the module's render. Tests mount widgets in this
// way, too, and look at globalThis.masksPage.

(() => {
  /**
   * @typedef {Record<string, any>} Model what anywidget gives
   * @typedef {{ default: { render: (options: { model: Model, el: HTMLElement }) => () => void } }} Program
   */
  /** @type {{ models: Map<string, Model>, modules: Map<string, Promise<Program>>, [name: string]: any }} */
  const page = { models: new Map(), modules: new Map(), ends: [], saves: 0, load };

  /**
   * A page from disk can import nothing but what it carries.
   * @param {string} kind
   * @returns {Promise<Program>}
   */
  function load(kind) {
    return import(URL.createObjectURL(new Blob([globalThis.masksPrograms[kind]], { type: "text/javascript" })));
  }

  /** @param {any} value */
  function revived(value) {
    if (value === null || typeof value !== "object" || value.base64 === undefined) return value;
    return new DataView(Uint8Array.from(atob(value.base64), (character) => character.charCodeAt(0)).buffer);
  }

  /**
   * @param {Record<string, any>} saved
   * @returns {Model}
   */
  function newModel(saved) {
    const state = Object.fromEntries(Object.entries(saved).map(([name, value]) => [name, revived(value)]));
    /** @type {Map<string, (() => void)[]>} */
    const listeners = new Map();
    return {
      get: (/** @type {string} */ name) => state[name],
      set(/** @type {string} */ name, /** @type {unknown} */ value) {
        state[name] = value;
        for (const tell of [...(listeners.get(`change:${name}`) ?? [])]) tell();
      },
      save_changes() {
        page.saves += 1; // there is nobody to tell
      },
      on: (/** @type {string} */ event, /** @type {() => void} */ tell) =>
        listeners.set(event, [...(listeners.get(event) ?? []), tell]),
      off(/** @type {string} */ event, /** @type {() => void} */ tell) {
        const others = (listeners.get(event) ?? []).filter((each) => each !== tell);
        listeners.set(event, others);
      },
    };
  }

  async function mountAll() {
    const states = JSON.parse(document.getElementById("masks-states")?.textContent ?? "{}");
    const mounts = /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll(".masks-place"));
    for (const mount of mounts) {
      const id = mount.dataset.model ?? "";
      const { kind, state } = states[id];
      const program = page.modules.get(kind) ?? load(kind);
      page.modules.set(kind, program);
      const model = page.models.get(id) ?? newModel(state); // shown twice, one model
      page.models.set(id, model);
      const { default: widget } = await program;
      const root = document.createElement("div");
      root.className = "masks-alive";
      mount.append(root);
      page.ends.push(widget.render({ model, el: root }));
      mount.classList.add("masks-lives"); // its picture is for print now
    }
    document.documentElement.dataset.masks = "ready";
  }

  globalThis.masksPage = page;
  page.mounted = mountAll();
})();
