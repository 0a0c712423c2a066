// Holds back what settles a question until somebody has answered it, or wants to see it. Without this script, and in
// print, everything is there. Nothing is stored: a page that is opened again asks again.

{
  const page = document.documentElement;
  page.classList.add("masks-asks"); // before the page is painted, so that nobody sees an answer go

  /** What is said, one text each. */
  const WORDS = {
    all: "Show all answers",
    again: "Hide the answers again",
    wait: "Answer first, then see what a run shows.",
    show: "Show it",
    /** What is before and after names of questions. */
    shared: ["Answer ", " first, then see what a run shows."],
    later: ["This waits for ", "."],
    /** @param {number} right @param {number} answered @param {number} asked */
    score: (right, answered, asked) =>
      answered < asked
        ? `${right} of ${answered} right so far; ${asked - answered} of ${asked} questions to go.`
        : `${right} of ${asked} right.`,
    look: " Look again at ",
  };

  /** What was not there had no width: whoever looks at widths looks again. */
  const measureAgain = () => dispatchEvent(new Event("resize"));

  /** Whether every answer is to be seen: somebody wants to, or prints. */
  let isPrinting = false;
  const isRevealed = () => isPrinting || !page.classList.contains("masks-asks");

  /**
   * "1", "1 and 2", "1, 2 and 3".
   * @param {Node[]} nodes
   */
  const listed = (nodes) => nodes.flatMap((node, n) => (n ? [n === nodes.length - 1 ? " and " : ", ", node] : [node]));

  /** One question, its widget, and whether the answer was right. */
  class Asked {
    /** @param {number} number @param {HTMLElement} widget @param {() => void} tell */
    constructor(number, widget, tell) {
      this.number = number;
      this.widget = widget;
      /** @type {boolean | null} */
      this.isRight = null;
      this.isOpen = false;
      /** @type {Part[]} */
      this.parts = [];
      widget.addEventListener("masks-asked", () => this.reveal());
      widget.addEventListener("masks-committed", (event) => {
        this.isRight = /** @type {CustomEvent} */ (event).detail.isRight;
        this.open(true);
        tell();
      });
      widget.addEventListener("masks-asked-again", () => {
        this.isRight = null;
        this.open(false);
        tell();
      });
    }

    /** @param {boolean} isOpen */
    open(isOpen) {
      this.isOpen = isOpen;
      for (const part of this.parts) {
        if (!isOpen) part.isReached = false;
        part.update();
      }
      measureAgain();
    }

    /** Tells the widget, once it lives, whether its answer is to be seen. */
    reveal() {
      const widget = this.widget.querySelector(".masks-widget.question");
      widget?.dispatchEvent(new CustomEvent("masks-reveal", { detail: isRevealed() }));
    }

    /** A link to it, in the words that ask. */
    link() {
      const link = document.createElement("a");
      this.widget.id ||= `question-${this.number}`;
      link.href = `#${this.widget.id}`;
      link.textContent = `question ${this.number}`;
      return link;
    }
  }

  /** What settles a question, or several; it is there when each of them is answered. Until then a line is. */
  class Part {
    /** @param {HTMLElement} element @param {Asked[]} questions */
    constructor(element, questions) {
      this.element = element;
      this.questions = questions;
      this.isReached = false; // by a link
      for (const question of questions) question.parts.push(this);
      this.isFirst = questions.some(({ parts }) => parts[0] === this);
      this.line = document.createElement("p");
      this.line.className = this.isFirst ? "masks-wait" : "masks-later";
      this.words = document.createElement("span");
      this.line.append(this.words, ...(this.isFirst ? [" ", this.button()] : []));
      element.before(this.line);
      this.update();
    }

    button() {
      const show = document.createElement("button");
      show.type = "button";
      show.textContent = WORDS.show;
      show.addEventListener("click", () => {
        for (const question of this.waiting()) question.open(true);
        this.element.tabIndex = -1;
        this.element.focus({ preventScroll: true }); // the button is gone
      });
      return show;
    }

    waiting() {
      return this.questions.filter(({ isOpen }) => !isOpen);
    }

    update() {
      const waiting = this.waiting();
      const isOpen = this.isReached || !waiting.length;
      const isShared = this.questions.length > 1;
      this.element.classList.toggle("masks-open", isOpen);
      // Nobody misses words that come after what a run puts out.
      const isMissed = isShared || !this.element.matches('[class*="masks-settles-"]');
      this.line.hidden = !waiting.length || (!this.isFirst && (isOpen || !isMissed));
      const [before, after] = this.isFirst ? WORDS.shared : WORDS.later;
      const links = listed(waiting.map((question) => question.link()));
      this.words.replaceChildren(...(this.isFirst && !isShared ? [WORDS.wait] : [before, ...links, after]));
    }
  }

  const HELD = '[class*="masks-settles-"], [class*="tag_settles-"] > :is(.output_wrapper, .cell_output)';
  const NAMES = /(?:^|\s)(?:masks-|celltag_|tag_)settles-([\w-]+)/g;

  /** What settles these questions, in the order of the page. @param {Map<string, Asked>} questions */
  const partsOf = (questions) =>
    /** @type {HTMLElement[]} */ ([...document.querySelectorAll(HELD)]).map((element) => {
      const tags = `${element.className} ${element.parentElement?.className}`.matchAll(NAMES);
      const names = [...new Set([...tags].map(([, name]) => name))];
      const settled = names.flatMap((name) => questions.get(name) ?? []);
      return new Part(element, settled);
    });

  const start = () => {
    /** @type {Map<string, Asked>} */
    const byName = new Map();
    const score = document.createElement("p");
    const tell = () => {
      const questions = [...byName.values()];
      const answered = questions.filter(({ isRight }) => isRight !== null);
      const wrong = answered.filter(({ isRight }) => !isRight);
      score.hidden = !answered.length;
      score.textContent = WORDS.score(answered.length - wrong.length, answered.length, questions.length);
      if (wrong.length) score.append(WORDS.look, ...listed(wrong.map((question) => question.link())), ".");
    };
    for (const cell of document.querySelectorAll('[class*="tag_question-"]')) {
      const name = /tag_question-([\w-]+)/.exec(cell.className)?.[1] ?? "";
      byName.set(name, new Asked(byName.size + 1, /** @type {HTMLElement} */ (cell), tell));
    }
    if (!byName.size) return;
    const parts = partsOf(byName);
    score.className = "masks-score";
    score.setAttribute("role", "status");
    const headings = [...document.querySelectorAll("main h2")];
    const last = headings.find((each) => each.textContent?.startsWith("Further reading")) ?? headings.at(-1);
    // On the site a heading is in a section of its own.
    const before = last?.closest("section") ?? last?.closest(".cell") ?? last;
    before?.before(score);
    tell();
    const reveal = () => {
      for (const question of byName.values()) question.reveal();
    };
    addSwitch(reveal);
    revealInPrint(reveal);
    openTarget(parts);
    addEventListener("hashchange", () => openTarget(parts));
  };

  /** A button below the title that shows everything, or holds it back again. @param {() => void} reveal */
  const addSwitch = (reveal) => {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "masks-show-all";
    button.textContent = WORDS.all;
    button.addEventListener("click", () => {
      const asks = page.classList.toggle("masks-asks");
      button.textContent = asks ? WORDS.all : WORDS.again;
      reveal();
      measureAgain();
    });
    document.querySelector("main h1")?.after(button);
  };

  /** @param {() => void} reveal */
  const revealInPrint = (reveal) => {
    for (const name of ["beforeprint", "afterprint"])
      addEventListener(name, () => {
        isPrinting = name === "beforeprint";
        reveal();
      });
  };

  /** A link may lead to what is held back. @param {Part[]} parts */
  const openTarget = (parts) => {
    const name = decodeURIComponent(location.hash.slice(1));
    const target = name ? document.getElementById(name) : null;
    const held = target?.closest('[class*="masks-settles-"], [class*="tag_settles-"]');
    if (!held) return;
    for (const part of parts.filter(({ element }) => held.contains(element))) {
      part.isReached = true;
      part.update();
    }
    target?.scrollIntoView();
  };

  addEventListener("DOMContentLoaded", start);
}
