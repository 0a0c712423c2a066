// Everything that a question shows or reads out beside its own texts, so that another language needs no other widget.

export const WORDS = {
  commit: "Commit",
  again: "Try again",
  choose: "Choose an answer first.",
  write: "Write a number first, such as 0.5 or 1200.",
  several: "Choose all that are right.",
  answer: "Your answer",
  // On an option: it was chosen, and is right or is not; it was not chosen, and is right.
  right: "Right",
  wrong: "Not right",
  missed: "This is right",
  said_right: "Right.",
  said_about_right: "Right. It is {right}.",
  said_wrong: "Not right. The right answer is {right}.",
  said_several_wrong: "Not right. The right answers are {right}.",
  and: "and",
  saved: "From the saved notebook. Run this cell, and it asks again.",
};
