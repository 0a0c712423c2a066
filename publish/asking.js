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
    later: "This waits for ",
    /** @param {number} right @param {number} answered @param {number} asked */
    score: (right, answered, asked) =>
      answered < asked
        ? `${right} of ${answered} right so far; ${asked - answered} of ${asked} questions to go.`
        : `${right} of ${asked} right.`,
    look: " Look again at ",
  };

  /** What was not there had no width: whoever looks at widths looks again. */
  const measureAgain = () => dispatchEvent(new Event("resize"));

  /** One question: what settles it, what stands there until then, and whether the answer was right. */
  class Asked {
    /** @param {string} name @param {number} number @param {HTMLElement} widget @param {() => void} tell */
    constructor(name, number, widget, tell) {
      this.widget = widget;
      /** @type {boolean | null} */
      this.isRight = null;
      const held = [
        `.masks-settles-${name}`,
        `.celltag_settles-${name} > .output_wrapper`,
        `.tag_settles-${name} > .cell_output`,
      ];
      this.held = /** @type {HTMLElement[]} */ ([...document.querySelectorAll(held.join())]);
      this.wait = document.createElement("p");
      this.wait.className = "masks-wait";
      const show = document.createElement("button");
      show.type = "button";
      show.textContent = WORDS.show;
      show.addEventListener("click", () => {
        this.open();
        this.held[0].tabIndex = -1;
        this.held[0].focus({ preventScroll: true }); // the button is gone
      });
      this.wait.append(WORDS.wait, " ", show);
      this.held[0]?.before(this.wait);
      /** What stands where a later cell puts out what settles it, too. */
      this.later = this.held.slice(1).flatMap((part) => {
        if (part.matches('[class*="masks-settles-"]')) return []; // words, which nobody misses
        const line = document.createElement("p");
        line.className = "masks-later";
        line.append(WORDS.later, this.link(number), ".");
        part.before(line);
        return [line];
      });
      widget.addEventListener("masks-committed", (event) => {
        this.isRight = /** @type {CustomEvent} */ (event).detail.isRight;
        this.open();
        tell();
      });
      widget.addEventListener("masks-asked-again", () => {
        this.isRight = null;
        tell();
      });
    }

    open() {
      for (const part of this.held) part.classList.add("masks-open");
      for (const line of [this.wait, ...this.later]) line.hidden = true;
      measureAgain();
    }

    /** A link to it, in the words that ask. @param {number} number */
    link(number) {
      const link = document.createElement("a");
      this.widget.id ||= `question-${number + 1}`;
      link.href = `#${this.widget.id}`;
      link.textContent = `question ${number + 1}`;
      return link;
    }
  }

  const start = () => {
    /** @type {Asked[]} */
    const questions = [];
    const score = document.createElement("p");
    const tell = () => {
      const answered = questions.filter(({ isRight }) => isRight !== null);
      const wrong = answered.filter(({ isRight }) => !isRight);
      score.hidden = !answered.length;
      score.textContent = WORDS.score(answered.length - wrong.length, answered.length, questions.length);
      wrong.forEach((question, n) => {
        score.append(
          n ? ", " : WORDS.look,
          question.link(questions.indexOf(question)),
          n === wrong.length - 1 ? "." : "",
        );
      });
    };
    for (const cell of document.querySelectorAll('[class*="tag_question-"]')) {
      const name = /tag_question-([\w-]+)/.exec(cell.className)?.[1] ?? "";
      questions.push(new Asked(name, questions.length, /** @type {HTMLElement} */ (cell), tell));
    }
    if (!questions.length) return;
    score.className = "masks-score";
    score.setAttribute("role", "status");
    const parts = [...document.querySelectorAll("main h2")];
    const last = parts.find((part) => part.textContent?.startsWith("Further reading")) ?? parts.at(-1);
    // On the site a heading is in a section of its own.
    const before = last?.closest("section") ?? last?.closest(".cell") ?? last;
    before?.before(score);
    tell();
    addSwitch();
    openTarget();
    addEventListener("hashchange", openTarget);
  };

  /** A button below the title that shows everything, or holds it back again. */
  const addSwitch = () => {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "masks-show-all";
    button.textContent = WORDS.all;
    button.addEventListener("click", () => {
      const asks = page.classList.toggle("masks-asks");
      button.textContent = asks ? WORDS.all : WORDS.again;
      measureAgain();
    });
    document.querySelector("main h1")?.after(button);
  };

  /** A link may lead to what is held back. */
  const openTarget = () => {
    const name = decodeURIComponent(location.hash.slice(1));
    const target = name ? document.getElementById(name) : null;
    const held = target?.closest('[class*="masks-settles-"], [class*="tag_settles-"]');
    if (!held) return;
    for (const part of [held, ...held.querySelectorAll(":scope > :is(.output_wrapper, .cell_output)")])
      part.classList.add("masks-open");
    target?.scrollIntoView();
  };

  addEventListener("DOMContentLoaded", start);
}
