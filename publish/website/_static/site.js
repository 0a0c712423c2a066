// From a disk a page cannot read others, so search shows titles without their text; from a server it shows both.
if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;

/** Shows only those rows of the table of models that hold every word of a search. */
function filterModels() {
  const place = document.querySelector(".which-masks");
  if (!place) return;
  const table = /** @type {HTMLTableElement} */ (document.querySelector("article table"));
  const models = [...table.tBodies[0].rows];
  table.classList.add("models");
  nameCells(table);
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

/**
 * Says in each cell what it is: on a phone a row is a block, and no head stands above it. The roles stay then, too.
 * @param {HTMLTableElement} table
 */
function nameCells(table) {
  const headings = [...table.rows[0].cells].map((cell) => cell.textContent ?? "");
  table.setAttribute("role", "table");
  for (const part of [table.tHead, ...table.tBodies]) part?.setAttribute("role", "rowgroup");
  for (const row of table.rows) {
    row.setAttribute("role", "row");
    [...row.cells].forEach((cell, n) => {
      cell.setAttribute("role", cell.tagName === "TH" ? "columnheader" : "cell");
      cell.dataset.heading = headings[n];
    });
  }
}
document.addEventListener("DOMContentLoaded", filterModels);

/** On the home page the numbers of a row are folded at first, so that the lessons are in sight. */
async function foldRow() {
  if (!document.getElementById("attention-masks-executed")) return;
  await globalThis.masksPage.mounted;
  const fold = document.querySelector(".masklab-fold");
  fold?.dispatchEvent(new MouseEvent("click")); // does not bubble: the widget would take the focus
}
document.addEventListener("DOMContentLoaded", foldRow);
