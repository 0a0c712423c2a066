"""Decks are for an audience, and the guide is for who stands before it: few words, votes, answers on the next slide."""

import re

import nbformat
import pytest

from publish import for_readers, guide, paths, questions, slides, source, static_widgets

#: Every lesson has slides for an audience.
DECKS = [path.stem for path in source.lessons()]
MOST_WORDS = 45
every_deck = pytest.mark.parametrize("name", DECKS)
#: Words that lead to what a slide does not show.
POINTING = re.compile(r"\b(?:above|below|next cell|cell before|this page)\b", re.IGNORECASE)
#: A print that is no evidence for an audience.
RAW = re.compile(r"tensor\(|\b(?:True|False)\b")


@pytest.fixture(scope="module")
def outlines(executed):
    """Name → the slides of these decks."""
    shown = {}
    for name in DECKS:
        notebook = for_readers.lesson(paths.SOURCES / f"{name}.md")
        static_widgets.replace_views(notebook)
        shown[name] = slides.outline(notebook, name)
    return shown


def words_of(slide):
    """What is said on a slide in Markdown, without formulas and options."""
    texts = [cell.source for cell in slide.cells if cell.cell_type == "markdown"]
    return re.sub(r"<math.*?</math>|[|#*`]|---", " ", " ".join(texts), flags=re.DOTALL).split()


@every_deck
def test_a_slide_has_few_words_and_points_at_nothing_that_is_not_there(name, outlines):
    for number, slide in enumerate(outlines[name][2:-1], start=3):  # after title and goals
        words = words_of(slide)
        assert len(words) <= MOST_WORDS, f"slide {number}: {' '.join(words)}"
        assert POINTING.search(" ".join(words)) is None, f"slide {number}: {' '.join(words)}"
        for cell in slide.cells:
            prints = "".join(output.get("text", "") for output in cell.get("outputs", ()))
            assert RAW.search(prints) is None, f"slide {number}: {prints}"


@every_deck
def test_a_question_is_on_one_slide_and_its_answer_on_the_next(name, outlines):
    shown, asked = outlines[name], questions.of(name)
    for number, slide in enumerate(shown):
        for name_asked in filter(None, map(questions.asked, slide.cells)):
            question = asked.pop(name_asked)
            assert not any(name_asked in questions.settled(cell) for cell in slide.cells)
            assert any(name_asked in questions.settled(cell) for cell in shown[number + 1].cells), name_asked
            notes, later = "\n".join(slide.notes), "\n".join(shown[number + 1].notes)
            assert f"**Right: {question.answer()}.**" in later
            if question.expected is not None:
                assert f"**Most will say {'ABCDE'[question.expected]}.**" in notes
    assert asked == {}, "every question is on a slide"


@every_deck
def test_a_widget_has_its_task_on_its_slide_and_the_speaker_has_notes(name, outlines):
    inner = outlines[name][2:-1]
    for slide in inner:
        if any(slides.WIDGET.search(cell.source) for cell in slide.cells):
            assert "**Task.**" in "\n".join(cell.source for cell in slide.cells)
    assert sum(bool(slide.notes) for slide in inner) > 0.8 * len(inner)


def test_a_deck_begins_with_its_goals(outlines):
    for name in DECKS:
        assert outlines[name][1].cells[0].source.startswith("## After this you can\n\n- ")


# --- the guide --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def lessons(executed):
    return {path.stem: for_readers.lesson(path) for path in source.files() if path.stem in DECKS}


def test_the_guide_says_what_most_will_answer_and_what_to_open(lessons):
    notebook = guide.page(lessons)
    nbformat.validate(notebook)
    opening, *each = [cell.source for cell in notebook.cells]
    assert len(each) == len(DECKS)
    for name, text in zip(DECKS, each, strict=True):
        assert text.startswith(f"## {for_readers.about(lessons[name]).title}\n")
        for question in questions.of(name).values():
            assert f"Right: **{question.answer()}**" in text
            assert question.expected is None or question.feedback[question.expected] in text
        assert f"]({name}.ipynb)" in opening
    assert "| A mask guessed from the ids | 5 |  | StoryLab |" in each[DECKS.index("02_padding")]


@every_deck
def test_a_lesson_fits_into_45_minutes_without_what_is_left_out(name, lessons):
    sections = guide.sections_of(lessons[name], name)
    assert sum(section.minutes for section in sections if section.stays) <= 45
    assert sections[0].heading == "After this you can"
    assert sum(len(section.questions) for section in sections) == len(questions.of(name))
