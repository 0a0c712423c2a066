// Starts the deck. A slide that is too tall for the window's 16:9 is made smaller until it fits: fonts differ between
// machines, and nothing may be cut.

{
  const WIDTH = 1280, HEIGHT = 720, ROOM = 690; // below it are the number and the arrows
  const SMALLEST = 18; // px of code and prints; a longer line is broken

  const fit = (slide, most = 1) => {
    const box = slide.querySelector(".fit");
    for (const pre of box.querySelectorAll("pre:not(.masks-widget *)")) {
      pre.classList.remove("broken");
      pre.style.fontSize = "";
      let size = parseFloat(getComputedStyle(pre).fontSize);
      while (pre.scrollWidth > pre.clientWidth && size > SMALLEST) pre.style.fontSize = `${(size -= 0.5)}px`;
      pre.classList.toggle("broken", pre.scrollWidth > pre.clientWidth);
    }
    const fits = (zoom) => {
      box.style.zoom = zoom;
      if (tooTall(box)) return false;
      const right = box.getBoundingClientRect().left + (WIDTH + 1) * Reveal.getScale();
      const parts = box.querySelectorAll("table:not(.masks-widget *), math, .masks-alive > *");
      return [...parts].every((part) => part.getBoundingClientRect().right <= right);
    };
    if (fits(most) || (box.querySelector(".masks-widget") && !box.classList.contains("maps-only"))) return;
    let low = 0.4, high = most;
    for (let turn = 0; turn < 7; turn++) {
      const middle = (low + high) / 2; // less zoom, longer lines, so height is no simple function of it
      if (fits(middle)) low = middle;
      else high = middle;
    }
    fits(low);
  };

  const tooTall = (box) => box.getBoundingClientRect().height > ROOM * Reveal.getScale() + 1;
  // A widget is drawn when its slide is shown, and then has its height.
  const grown = new ResizeObserver((changes) => {
    for (const { target: box } of changes) {
      if (!box.checkVisibility() || !tooTall(box)) continue;
      const maps = box.classList.contains("maps-only");
      box.classList.add("maps-only"); // large maps rather than a small everything
      if (tooTall(box)) fit(box.parentElement, maps ? 0.98 * box.style.zoom : 1);
    }
  });
  for (const box of document.querySelectorAll(".fit:has(.masks-place)")) grown.observe(box);

  const inWidget = (element) => element?.closest?.(".masks-widget");

  for (const mount of document.querySelectorAll(".masks-place")) mount.dataset.preventSwipe = "";
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && inWidget(event.target) && !event.defaultPrevented) {
      event.target.blur();
      event.stopImmediatePropagation();
    }
  });

  Reveal.initialize({
    width: WIDTH,
    height: HEIGHT,
    margin: 0.05,
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
  Reveal.on("pdf-ready", () => Reveal.getSlides().forEach((slide) => fit(slide)));
}
