// From a disk a page cannot read others, so search shows titles without their text; from a server it shows both.
if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;

/** So many models are unfolded at once on a narrow page. */
const FEW = 3;

/** Shows only those rows of the table of models that hold every word of a search. */
function filterModels() {
  const place = document.querySelector(".which-masks");
  if (!place) return;
  const table = /** @type {HTMLTableElement} */ (document.querySelector("article table"));
  const models = [...table.tBodies[0].rows];
  table.classList.add("models");
  models.forEach(addUnfold);
  place.innerHTML = '<label>Show only <input type="search" placeholder="mistral"></label> <output></output>';
  const input = /** @type {HTMLInputElement} */ (place.querySelector("input"));
  const output = /** @type {HTMLOutputElement} */ (place.querySelector("output"));
  const show = () => {
    const words = input.value.toLowerCase().split(" ");
    for (const row of models) {
      const text = (row.textContent ?? "").toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
    }
    const shown = models.filter((row) => !row.hidden);
    for (const row of models) unfold(row, !row.hidden && shown.length <= FEW);
    output.textContent = `${shown.length} of ${models.length}`;
  };
  input.addEventListener("input", show);
  show();
}

/**
 * A button for narrow pages, where a model is its name until one asks for the rest.
 * @param {HTMLTableRowElement} row
 */
function addUnfold(row) {
  const button = document.createElement("button");
  button.className = "unfold";
  button.ariaLabel = `All about ${row.cells[0].querySelector("code")?.textContent}`;
  row.cells[0].firstElementChild?.prepend(button);
  unfold(row, false);
  row.cells[0].addEventListener("click", () => unfold(row, !row.classList.contains("unfolded")));
}

/**
 * @param {HTMLTableRowElement} row
 * @param {boolean} unfolded
 */
function unfold(row, unfolded) {
  row.classList.toggle("unfolded", unfolded);
  row.querySelector(".unfold")?.setAttribute("aria-expanded", String(unfolded));
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
