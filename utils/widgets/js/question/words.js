// Everything that a question shows or reads out beside its own texts, so that another language needs no other widget.

export const WORDS = {
  commit: "Commit",
  again: "Ask me again",
  shown: "The answer is shown. Hide it again to commit to yours.",
  choose: "Choose an answer first.",
  write: "Write a number first, such as 0.5 or 1200.",
  several: "Choose all that are right.",
  answer: "Your answer",
  // On an option: it was chosen, and is right or is not; it was not chosen, and is right.
  right: "Right",
  wrong: "Not right",
  missed: "This is right",
  said_right: "Right.",
  said_wrong: "Not right.",
  said_not_all: "Not all.",
  said_answer: "{right} is right.",
  said_answers: "{right} are right.",
  said_number: "It is {right}.",
  openings: "Right Yes", // of a feedback, which the line before it has said
  and: "and",
  saved: "From the saved notebook. Run this cell, and it asks again.",
};
