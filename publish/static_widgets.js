// Widgets on a page from disk: no kernel, no network. Each mount on the page names a saved model; here it gets what
// anywidget would give it, get, set, on, off and save_changes, and the module's render. Tests mount widgets in this
// way, too, and look at globalThis.masksPage.

(() => {
  const page = { models: new Map(), modules: new Map(), ends: [], saves: 0, load };

  // A page from disk can import nothing but what it carries.
  function load(kind) {
    return import(URL.createObjectURL(new Blob([globalThis.masksPrograms[kind]], { type: "text/javascript" })));
  }

  function revived(value) {
    if (value === null || typeof value !== "object" || value.base64 === undefined) return value;
    return new DataView(Uint8Array.from(atob(value.base64), (character) => character.charCodeAt(0)).buffer);
  }

  function newModel(saved) {
    const state = Object.fromEntries(Object.entries(saved).map(([name, value]) => [name, revived(value)]));
    const listeners = new Map();
    return {
      get: (name) => state[name],
      set(name, value) {
        state[name] = value;
        for (const tell of [...(listeners.get(`change:${name}`) ?? [])]) tell();
      },
      save_changes: () => void page.saves++, // there is nobody to tell
      on: (event, tell) => listeners.set(event, [...(listeners.get(event) ?? []), tell]),
      off: (event, tell) => listeners.set(event, (listeners.get(event) ?? []).filter((each) => each !== tell)),
    };
  }

  async function mountAll() {
    const states = JSON.parse(document.getElementById("masks-states").textContent);
    for (const mount of document.querySelectorAll(".masks-place")) {
      const id = mount.dataset.model;
      const { kind, state } = states[id];
      if (!page.modules.has(kind)) page.modules.set(kind, load(kind));
      if (!page.models.has(id)) page.models.set(id, newModel(state)); // shown twice, one model
      const { default: widget } = await page.modules.get(kind);
      const root = document.createElement("div");
      root.className = "masks-alive";
      mount.append(root);
      page.ends.push(widget.render({ model: page.models.get(id), el: root }));
      mount.classList.add("masks-lives"); // its picture is for print now
    }
    document.documentElement.dataset.masks = "ready";
  }

  globalThis.masksPage = page;
  page.mounted = mountAll();
})();
