// From a disk a page cannot read others, so search shows titles without their text; from a server it shows both.
if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;

/** Shows only those rows of the table of models that hold every word of a search. */
function filterModels() {
  const place = document.querySelector(".which-masks");
  if (!place) return;
  const table = /** @type {HTMLTableElement} */ (document.querySelector("article table"));
  const models = [...table.tBodies[0].rows];
  place.innerHTML = '<label>Show only <input type="search" placeholder="mistral"></label> <output></output>';
  const input = /** @type {HTMLInputElement} */ (place.querySelector("input"));
  const output = /** @type {HTMLOutputElement} */ (place.querySelector("output"));
  const show = () => {
    const words = input.value.toLowerCase().split(" ");
    for (const row of models) {
      const text = (row.textContent ?? "").toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
    }
    output.textContent = `${models.filter((row) => !row.hidden).length} of ${models.length}`;
  };
  input.addEventListener("input", show);
  show();
}
document.addEventListener("DOMContentLoaded", filterModels);
