// Widgets on a page from disk: no kernel, no network. Each place on the page names a saved model; here it gets what
// anywidget would give it, get, set, on, off and save_changes, and the module's render.

(() => {
  const models = new Map();

  function revived(value) {
    if (value === null || typeof value !== "object" || value.base64 === undefined) return value;
    return new DataView(Uint8Array.from(atob(value.base64), (character) => character.charCodeAt(0)).buffer);
  }

  function model(id, saved) {
    if (models.has(id)) return models.get(id); // shown twice, one model
    const state = Object.fromEntries(Object.entries(saved).map(([name, value]) => [name, revived(value)]));
    const listeners = new Map();
    const made = {
      get: (name) => state[name],
      set(name, value) {
        state[name] = value;
        for (const tell of [...(listeners.get(`change:${name}`) ?? [])]) tell();
      },
      save_changes() {}, // there is nobody to tell
      on: (event, tell) => listeners.set(event, [...(listeners.get(event) ?? []), tell]),
      off: (event, tell) => listeners.set(event, (listeners.get(event) ?? []).filter((each) => each !== tell)),
    };
    models.set(id, made);
    return made;
  }

  async function mount() {
    const states = JSON.parse(document.getElementById("masks-states").textContent);
    const modules = new Map();
    for (const place of document.querySelectorAll(".masks-place")) {
      const { kind, state } = states[place.dataset.model];
      if (!modules.has(kind)) {
        // A page from disk can import nothing but what it carries.
        const program = new Blob([globalThis.masksPrograms[kind]], { type: "text/javascript" });
        modules.set(kind, import(URL.createObjectURL(program)));
      }
      const { default: widget } = await modules.get(kind);
      const root = document.createElement("div");
      root.className = "masks-alive";
      place.append(root);
      widget.render({ model: model(place.dataset.model, state), el: root });
      place.classList.add("masks-lives"); // its picture is for print now
    }
    document.documentElement.dataset.masks = "ready";
  }

  mount();
})();
