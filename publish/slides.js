// Starts the deck. What is too tall for a slide is made smaller until it fits: fonts differ between machines, and nothing
// may be cut. Words give way to widgets and figures, whose labels must be read from the last row.

{
  const upright = matchMedia("(orientation: portrait) and (max-width: 600px)"); // a phone, held as phones are
  const MARGIN = 0.05; // of the window's height, on all sides together
  /** A phone's slide is as high as its screen, so that maps have room for numbers. */
  const size = () => {
    if (!upright.matches) return { width: 1280, height: 720 };
    const around = MARGIN * innerHeight;
    const height = (640 * (innerHeight - around)) / (innerWidth - around);
    return { width: 640, height: Math.round(Math.min(1500, Math.max(1000, height))) };
  };
  const foot = () => (upright.matches ? 90 : 30); // the number and the arrows
  const SMALLEST = 18; // px of code, prints and labels, 2.5 % of the height; a longer line of code is broken
  const SMALLEST_WORDS = 0.7; // of their size
  const WIDGET = 1.5; // as slides.css has it: labels of 12 px
  const FIGURE = SMALLEST / 12.67; // numbers of 9.5 points
  const TABLES = [30, 27, 24]; // px of their words, the largest for which there is room
  const NARROWEST = 300; // px of words beside a figure, unless its labels need the room
  const LOWEST = 160; // px of a widget's maps
  const LOWEST_OF_ALL = 132; // where labels would have to be smaller else
  /** @type {[number, boolean][]} zoom of the words, and whether they are beside the figure */
  const ARRANGEMENTS = [
    [1, false],
    [0.9, false],
    [0.85, true],
    [0.8, false],
    [0.75, true],
    [0.7, false],
    [0.7, true],
  ];

  /** @typedef {NodeListOf<HTMLElement>} Elements */

  const fit = (/** @type {HTMLElement} */ slide) => {
    const box = boxOf(slide);
    const figures = figuresOf(box);
    if (box.querySelector(".masks-lives")) fitWidgets(box);
    else if (figures.length) fitFigures(box, figures);
    else fitWords(box);
  };

  const fitWords = (/** @type {HTMLElement} */ box) => {
    const isRoomy = (/** @type {number} */ size) => {
      box.style.setProperty("--table", `${size}px`);
      return fits(box, 1);
    };
    if (!TABLES.some(isRoomy)) largest(SMALLEST_WORDS, 1, (zoom) => fits(box, zoom));
  };

  const boxOf = (/** @type {Element} */ slide) => /** @type {HTMLElement} */ (slide.querySelector(".fit"));
  const figuresOf = (/** @type {Element} */ box) =>
    /** @type {HTMLImageElement[]} */ ([...box.querySelectorAll(".output_subarea > img")]);

  /**
   * Tries the largest number that passes, and leaves it tried; the least one if none does. It is returned.
   * @param {number} least
   * @param {number} most
   * @param {(number: number) => boolean} passes
   */
  const largest = (least, most, passes) => {
    let [low, high] = [least, most];
    for (let turn = 0; turn < 9; turn++) {
      const middle = (low + high) / 2; // less zoom, longer lines, so height is no simple function of it
      if (passes(middle)) low = middle;
      else high = middle;
    }
    passes(low);
    return low;
  };

  /**
   * Shows words at this zoom, and says whether everything is on the slide.
   * @param {HTMLElement} box
   * @param {number} zoom
   */
  const fits = (box, zoom) => {
    box.style.zoom = String(zoom);
    box.style.setProperty("--fit", String(zoom)); // by which widgets and figures are not made smaller
    fitPrints(box, zoom);
    fitFormulas(box);
    if (excess(box) > 1) return false;
    const right = box.getBoundingClientRect().left + (Reveal.getConfig().width + 1) * Reveal.getScale();
    const parts = box.querySelectorAll("table:not(.masks-widget *), math, .masks-alive > *, img");
    return [...parts].every((part) => part.getBoundingClientRect().right <= right);
  };

  /**
   * Prints and code get smaller until their lines have room, but never too small to be read.
   * @param {Element} box
   * @param {number} zoom
   */
  const fitPrints = (box, zoom) => {
    const blocks = /** @type {Elements} */ (box.querySelectorAll("pre:not(.masks-widget *)"));
    for (const pre of blocks) {
      pre.classList.remove("broken");
      pre.style.fontSize = "";
      let size = parseFloat(getComputedStyle(pre).fontSize);
      while (pre.scrollWidth > pre.clientWidth && size > SMALLEST / zoom) {
        size = Math.max(size - 0.5, SMALLEST / zoom);
        pre.style.fontSize = `${size}px`;
      }
      pre.classList.toggle("broken", pre.scrollWidth > pre.clientWidth);
    }
  };

  /** Formulas that are wider than a phone get smaller. */
  const fitFormulas = (/** @type {Element} */ box) => {
    const formulas = /** @type {NodeListOf<MathMLElement>} */ (box.querySelectorAll('math[display="block"]'));
    for (const formula of formulas) {
      formula.style.zoom = "";
      const widths = [...formula.children].map((part) => part.getBoundingClientRect().width);
      const room = box.getBoundingClientRect().width / Math.max(...widths);
      if (room < 1) formula.style.zoom = String(room);
    }
  };

  /** By how many pixels of the slide its content is too tall. */
  const excess = (/** @type {Element} */ box) =>
    box.getBoundingClientRect().height / Reveal.getScale() - (Reveal.getConfig().height - foot());

  /**
   * Figures as large as there is room for, below the words or beside them; words get smaller before figures do.
   * @param {HTMLElement} box
   * @param {HTMLElement[]} figures
   */
  const fitFigures = (box, figures) => {
    /** @param {number} zoom @param {boolean} beside */
    const attempt = (zoom, beside) => {
      box.classList.toggle("beside", beside);
      return largest(FIGURE / 4, 1.6 * FIGURE, (enlargement) => {
        for (const figure of figures) figure.style.zoom = String(enlargement / zoom);
        return fits(box, zoom) && (!beside || isWideEnough(box, enlargement <= FIGURE));
      });
    };
    let best = { zoom: 1, beside: false, enlargement: 0 };
    for (const [zoom, beside] of ARRANGEMENTS) {
      if (beside && (upright.matches || box.children.length < 3)) continue;
      const enlargement = attempt(zoom, beside);
      if (enlargement > best.enlargement) best = { zoom, beside, enlargement };
      if (enlargement >= FIGURE) return;
    }
    attempt(best.zoom, best.beside);
  };

  /**
   * Whether words beside a figure have a column that reads well, or at least one that breaks no word.
   * @param {Element} box
   * @param {boolean} isNeeded whether the figure needs the room for its labels
   */
  const isWideEnough = (box, isNeeded) => {
    const words = [...box.children].slice(1).filter((part) => !part.querySelector(".output_subarea > img"));
    const room = (/** @type {Element} */ part) => part.getBoundingClientRect().width / Reveal.getScale();
    return words.every((part) => part.scrollWidth <= part.clientWidth && (isNeeded || room(part) >= NARROWEST));
  };

  /**
   * Words get smaller until the slide holds a widget, then its maps get lower: their numbers need large cells. What a
   * lecture can do without goes first. A widget measures itself anew when its width changes, and is drawn before the
   * next frame but one.
   * @param {HTMLElement} box
   */
  const fitWidgets = async (box) => {
    if (box.dataset.fitting) return;
    box.dataset.fitting = "true";
    let tallest = Number(getComputedStyle(box).getPropertyValue("--masks-tallest"));
    let zoom = Number(box.style.zoom) || 1;
    let widget = WIDGET;
    let lowest = LOWEST;
    const isMeasured = () => box.checkVisibility() && !box.querySelector(".masks-waiting"); // whose picture is smaller
    for (let turn = 0; turn < 16 && !fits(box, zoom) && isMeasured(); turn++) {
      if (!box.classList.contains("maps-only")) box.classList.add("maps-only");
      else if (zoom > SMALLEST_WORDS) zoom = Math.max(SMALLEST_WORDS, zoom - 0.1);
      else if (tallest > lowest && mapsReachDown(box))
        tallest = Math.max(lowest, Math.min(tallest, tallestOf(box)) - excess(box) / WIDGET / mapsAboveEachOther(box));
      else if (lowest > LOWEST_OF_ALL && mapsReachDown(box)) lowest = LOWEST_OF_ALL;
      else widget -= 0.05; // cut is worse than small
      box.style.setProperty("--masks-tallest", String(Math.floor(tallest)));
      box.style.setProperty("--widget", String(widget));
      for (const alive of box.querySelectorAll(".masks-alive")) alive.classList.toggle("masks-nudged"); // by now there
      await new Promise((painted) => requestAnimationFrame(() => requestAnimationFrame(painted)));
    }
    delete box.dataset.fitting;
  };

  const mapsAboveEachOther = (/** @type {Element} */ box) =>
    box.querySelector(".masklab-stacked") || (upright.matches && box.querySelector(".headgrid")) ? 2 : 1;

  /** Whether maps make the slide tall, not what is beside them. Below them there is a line and the widget's edge. */
  const mapsReachDown = (/** @type {Element} */ box) => {
    if (upright.matches || box.querySelector(".headgrid")) return true; // nothing as tall is beside them
    const bottom = (/** @type {string} */ what) =>
      Math.max(...[...box.querySelectorAll(what)].map((part) => part.getBoundingClientRect().bottom));
    const beside = box.querySelector(".storylab-next") ? bottom(".storylab-next tr") : bottom(".masks-widget");
    return beside - bottom("canvas") < 60 * WIDGET * Reveal.getScale();
  };

  const tallestOf = (/** @type {Element} */ box) =>
    Math.max(...[...box.querySelectorAll("canvas")].map((canvas) => canvas.offsetHeight));

  // A widget is drawn when its slide is shown, and then has its height; it changes as one works with it.
  const grown = new ResizeObserver((changes) => {
    for (const { target } of changes) {
      const box = /** @type {HTMLElement} */ (target);
      if (box.checkVisibility() && excess(box) > 1) fitWidgets(box);
    }
  });
  for (const box of document.querySelectorAll(".fit:has(.masks-place)")) grown.observe(box);

  const inWidget = (/** @type {EventTarget | null} */ target) =>
    target instanceof Element && target.closest(".masks-widget");

  const widgets = /** @type {Elements} */ (document.querySelectorAll(".masks-place"));
  for (const widget of widgets) widget.dataset.preventSwipe = "";
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && inWidget(event.target) && !event.defaultPrevented) {
      /** @type {HTMLElement} */ (event.target).blur();
      event.stopImmediatePropagation();
    }
  });

  Reveal.initialize({
    ...size(),
    scrollActivationWidth: 0, // the same slides on a phone, in another shape
    margin: MARGIN,
    center: false,
    hash: true,
    slideNumber: "c/t",
    transition: "none",
    backgroundTransition: "none",
    pdfMaxPagesPerSlide: 1,
    keyboardCondition: () => !inWidget(document.activeElement),
    plugins: [RevealNotes],
  });
  const fitCurrent = () => {
    const slide = Reveal.getCurrentSlide(); // none yet when the first "resize" comes
    if (slide) fit(slide);
  };
  Reveal.on("ready", fitCurrent);
  Reveal.on("slidechanged", fitCurrent);
  Reveal.on("resize", fitCurrent);
  upright.addEventListener("change", () => Reveal.configure(size()));
  Reveal.on("pdf-ready", () => {
    for (const slide of Reveal.getSlides()) fit(slide);
  });
}
