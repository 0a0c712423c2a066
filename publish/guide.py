"""The lecturer's guide, one page made from the lessons: minutes, what to leave out, what most will say, what to open.

Minutes are counted from slides. A section whose heading is tagged ``cut-45`` is left out where there are 45.
"""

import copy

import nbformat

from . import for_readers, normalise, questions, slides, static_widgets

PAGE = "for_lecturers"

ABOUT = """\
# For lecturers

*How long each lesson takes, what to leave out, what most will answer, and which widget to have open.*

Each deck asks before it shows: a question with options A to D is on one slide, what settles it on the next. Let people
vote by hands or with a polling tool: `make questions` writes all questions as CSV, and as GIFT for Moodle. If fewer
than a third or more than two thirds are right, go on; in between, let neighbours talk and vote again. Press S for the
speaker's notes: they hold what a slide leaves out.

Minutes are counted from the slides: {question} for a question, {widget} for a widget, {other} for any other. Readers at
home take longer: the lessons say how long.

| lesson | minutes to teach | to read and do | questions |
|---|---|---|---|
{rows}

## Three ways to teach it

**Two lectures of 90 minutes.** First: {first}. Second: {second}. Each lesson without what is left out where there are
45 minutes. The other lessons are for reading.

**A workshop day.** Six blocks of 75 minutes, each 45 for a lesson and 30 for its exercises: {day}. Begin with the first
widget of lesson 00, and let people hide words.

**A week of self-study.** Two lessons a day, in their order; the [cheat sheet](cheat_sheet.ipynb) is to keep. `make lab`
gives everybody a copy of their own, `my_lessons`, without outputs. `make assignment LESSON=05` makes an assignment of a
lesson, which nbgrader grades.

Solutions are in this collection. `SOLUTIONS=no` leaves them out of site, pages, slides and copies; whoever clones the
repository has them all the same."""
LESSON = """\
## {title}

About {minutes} minutes; {short} without what is left out where there are 45. Where there are 90, exercises follow.

| section | minutes | where there are 45 | have open |
|---|---|---|---|
{rows}

{asked}"""
EXPECTED = "- *{text}* Right: **{answer}**. Most will say **{letter}**, “{option}”. {feedback}"
ASKED = "- *{text}* Right: **{answer}**."
FIRST, SECOND = ("02", "05"), ("04", "07")
DAY = ("00", "02", "03", "04", "05", "07")


def page(lessons: dict[str, nbformat.NotebookNode]) -> nbformat.NotebookNode:
    """The guide as a notebook without code.

    Args:
        lessons: name → lesson for readers.
    """
    sections = {name: sections_of(notebook, name) for name, notebook in lessons.items()}
    about = {name: for_readers.about(notebook) for name, notebook in lessons.items()}
    named = {name[:2]: f"[{name[:2]}]({name}.ipynb)" for name in lessons}
    rows = [
        f"| [{about[name].title}]({name}.ipynb) | {slides.minutes(parts)[0]} | "
        f"{about[name].read + about[name].do} | {sum(len(section.questions) for section in parts)} |"
        for name, parts in sections.items()
    ]
    opening = ABOUT.format(
        question=slides.OF_QUESTION,
        widget=slides.OF_WIDGET,
        other=slides.OF_OTHER,
        rows="\n".join(rows),
        **{
            key: ", ".join(named[n] for n in of if n in named)
            for key, of in (("first", FIRST), ("second", SECOND), ("day", DAY))
        },
    )
    texts = [opening, *(_lesson(name, about[name].title, parts) for name, parts in sections.items())]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(text) for text in texts])
    normalise.normalise(notebook)
    return notebook


def sections_of(notebook: nbformat.NotebookNode, name: str) -> list[slides.Section]:
    """The sections of a lesson's deck, in order; those without a slide are left out."""
    notebook = copy.deepcopy(notebook)
    static_widgets.replace_views(notebook)
    return slides.sections(slides.outline(notebook, name), notebook)


def _lesson(name: str, title: str, sections: list[slides.Section]) -> str:
    """What the guide says of one lesson."""
    asked = questions.of(name)
    minutes, short = slides.minutes(sections)
    rows = [
        f"| {s.heading} | {s.minutes} | {'' if s.stays else 'leave out'} | {', '.join(dict.fromkeys(s.widgets))} |"
        for s in sections
    ]
    return LESSON.format(
        title=title,
        minutes=minutes,
        short=short,
        rows="\n".join(rows),
        asked="\n".join(_asked(asked[id]) for s in sections for id in s.questions),
    ).strip()


def _asked(question: questions.Question) -> str:
    """A question, its answer, and what most will say instead, and why."""
    text = " ".join(question.text.split()).replace("*", "")
    if question.expected is None:
        return ASKED.format(text=text, answer=question.answer())
    return EXPECTED.format(
        text=text,
        answer=question.answer(),
        letter=questions.LETTERS[question.expected],
        option=question.options[question.expected],
        feedback=question.feedback[question.expected],
    )
