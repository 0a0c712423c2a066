// Starts the deck. A slide that is too tall for the window's 16:9 is made smaller until it fits: fonts differ between
// machines, and nothing may be cut.

(() => {
  const HEIGHT = 720;

  function fit(slide) {
    const box = slide.querySelector(".fit");
    for (const pre of box.querySelectorAll("pre:not(.masks-widget *)")) {
      pre.style.fontSize = "";
      const room = pre.clientWidth / pre.scrollWidth;
      if (room < 1) pre.style.fontSize = `${Math.floor(parseFloat(getComputedStyle(pre).fontSize) * room * 10) / 10}px`;
    }
    let zoom = 1;
    box.style.zoom = zoom;
    for (let turn = 0; turn < 6; turn++) {
      const tall = box.getBoundingClientRect().height / Reveal.getScale();
      if (tall <= HEIGHT) break;
      zoom *= Math.min(0.97, HEIGHT / tall); // less zoom, longer lines: the next turn measures again
      box.style.zoom = zoom;
    }
  }

  const inWidget = (element) => element?.closest?.(".masks-widget");

  for (const place of document.querySelectorAll(".masks-place")) place.dataset.preventSwipe = "";
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && inWidget(event.target) && !event.defaultPrevented) {
      event.target.blur();
      event.stopImmediatePropagation();
    }
  });

  Reveal.initialize({
    width: 1280,
    height: HEIGHT,
    margin: 0.05,
    center: false,
    hash: true,
    slideNumber: "c/t",
    transition: "none",
    backgroundTransition: "none",
    pdfSeparateFragments: false,
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
  Reveal.on("pdf-ready", () => Reveal.getSlides().forEach(fit));
})();
