// From a disk a page cannot read others, so search shows titles without their text; from a server it shows both.
if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;

/** Shows only those rows of the table of models that hold every word of a search. */
function filterModels() {
  const place = document.querySelector(".which-masks");
  const rows = [...document.querySelectorAll("article table")[0]?.tBodies[0].rows ?? []];
  if (!place) return;
  place.innerHTML = '<label>Show only <input type="search" placeholder="mistral"></label> <output></output>';
  const [input, output] = place.querySelectorAll("input, output");
  const show = () => {
    const words = input.value.toLowerCase().split(/\s+/);
    for (const row of rows) row.hidden = !words.every((word) => row.textContent.toLowerCase().includes(word));
    output.textContent = `${rows.filter((row) => !row.hidden).length} of ${rows.length}`;
  };
  input.addEventListener("input", show);
  show();
}
document.addEventListener("DOMContentLoaded", filterModels);
