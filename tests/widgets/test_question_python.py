"""Question in Python: what it takes and refuses, what is right, where it comes from, and what is there without it."""

import json
import re

import pytest
from markdown_it import MarkdownIt

from tests.support import node
from utils.widgets import Question, question

OPTIONS = ["they are hidden", "they stay", "`NaN` comes out"]
FEEDBACK = ["Yes.", "Look at `keep`.", "Only in empty rows."]
HALF = "\ud83e"  # half a pair of UTF-16


def asked(**changed):
    return Question(**{"text": "What happens to pads?", "options": OPTIONS, "right": 1, "feedback": FEEDBACK} | changed)


def number(**changed):
    return Question(**{"text": "How much?", "right": 25.5, "tolerance": 0.5, "unit": "%"} | changed)


# --- choosing ----------------------------------------------------------------------------------------


def test_a_choice_is_right_or_not():
    one, heard = asked(), []
    one.observe(lambda change: heard.append((change.new, one.is_right)), "choice")
    assert (one.choice, one.is_right) == (None, None)
    one.choice = 2
    one.choice = 1
    one.reset()
    assert heard == [(2, False), (1, True), (None, None)]
    several = asked(right=[2, 0])
    several.choice = (2, 0)
    assert (several.choice, several.is_right) == ([0, 2], True)
    several.choice = [0]
    assert several.is_right is False


NUMBERS = [
    *((25.5, 0.5, choice, wanted) for choice, wanted in ((25.0, True), (26, True), (24.99, False), (26.01, False))),
    (0.3, 0.1, 0.4, True),  # 0.4 - 0.3 is more than 0.1
    (0.25, 0.0, 0.25, True),
    (0.25, 0.0, 0.2501, False),
    (-1e9, 0.0, -1e9, True),
    (-2.0, 0.5, 2.0, False),
]


@pytest.mark.parametrize(("right", "tolerance", "choice", "wanted"), NUMBERS)
def test_a_number_has_a_tolerance_and_the_page_says_the_same(right, tolerance, choice, wanted):
    one = number(right=right, tolerance=tolerance)
    one.choice = choice
    assert isinstance(one.choice, float)
    assert one.is_right is wanted
    assert node.evaluate("question/answer.js", "(...all) => module.isRight(...all)", choice, right, tolerance) is wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("12", 12),
        (" 12,5 ", 12.5),
        ("12.5 %", 12.5),
        ("−3", -3),
        ("+.5", 0.5),
        ("7,", 7),
        ("1e-3", 0.001),
        ("0,125", 0.125),
        ("1 200", 1200),
        ("1200,125", 1200.125),
        *(
            (text, None)
            for text in ("", " ", "%", ".", "-", "1,200", "1.200,5", "1,5,5", "half", "1/2", "1e999", "0x10")
        ),
    ],
)
def test_numbers_are_read_with_a_comma_or_a_point_and_never_guessed(text, wanted):
    assert node.evaluate("question/answer.js", "(...all) => module.readNumber(...all)", text, "%") == wanted


@pytest.mark.parametrize(
    ("one", "choice", "error", "words"),
    [
        (asked, 3, ValueError, "choice: got 3, wanted the index of an option, 0 to 2. The first is 0."),
        (asked, -1, ValueError, "choice: got -1, wanted the index of an option, 0 to 2."),
        (asked, True, TypeError, "choice: got True, wanted the index of an option, 0 to 2."),
        (asked, "B", TypeError, "choice: got 'B', wanted the index of an option, 0 to 2."),
        (asked, [1], TypeError, "choice: got a list, wanted the index of an option, 0 to 2."),
        (lambda: asked(right=[0, 1]), 0, TypeError, "choice: got 0, wanted a list of indices"),
        (lambda: asked(right=[0, 1]), [1, 1], ValueError, "choice: got [1, 1], wanted each index once."),
        (number, "25", TypeError, "choice: got '25', wanted a number."),
        (number, float("nan"), ValueError, "choice: got nan, wanted a finite number."),
    ],
)
def test_what_is_no_choice_is_refused_and_changes_nothing(one, choice, error, words):
    one = one()
    with pytest.raises(error, match=re.escape(words)):
        one.choice = choice
    assert one.choice is None


# --- arguments ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "changed", "error", "words"),
    [
        (asked, {"text": None}, TypeError, "text: got None, wanted text."),
        (asked, {"text": " "}, ValueError, "text: got nothing, wanted words."),
        (asked, {"options": "yes"}, TypeError, "options: got 'yes', wanted two to five texts, or none for a number."),
        (asked, {"options": ["yes"]}, ValueError, "options: got 1, wanted two to five texts, or none for a number."),
        (asked, {"options": list("abcdef")}, ValueError, "options: got 6, wanted two to five texts"),
        (asked, {"options": ["a", 2]}, TypeError, "options[1]: got 2, wanted text."),
        (asked, {"options": ["a", ""]}, ValueError, "options[1]: got nothing, wanted words."),
        (asked, {"options": ["a", "b", "a"]}, ValueError, "options: got 'a' twice, wanted different ones."),
        (asked, {"right": 3}, ValueError, "right: got 3, wanted the index of an option, 0 to 2. The first is 0."),
        (asked, {"right": "they stay"}, TypeError, "right: got 'they stay', wanted the index of an option, 0 to 2. "
         "Write right=1."),
        (asked, {"right": "C"}, TypeError, "Write right=2."),
        (asked, {"right": "D"}, TypeError, "right: got 'D', wanted the index of an option, 0 to 2."),
        (asked, {"right": 1.0}, TypeError, "right: got 1.0, wanted the index of an option, 0 to 2."),
        (asked, {"right": []}, ValueError, "right: got no index, wanted at least one right option."),
        (asked, {"right": [0, 0]}, ValueError, "right: got [0, 0], wanted each index once."),
        (asked, {"right": [0, 5]}, ValueError, "right[1]: got 5, wanted the index of an option, 0 to 2."),
        (asked, {"feedback": ["one"]}, ValueError, "feedback: got 1, wanted 3 texts, one for each option."),
        (asked, {"feedback": "no"}, TypeError, "feedback: got 'no', wanted 3 texts, one for each option."),
        (asked, {"tolerance": 1}, ValueError, "tolerance: got 1.0, wanted none beside options. Only a number has one."),
        (asked, {"unit": "%"}, ValueError, "unit: got '%', wanted none beside options. Only a number has one."),
        (asked, {"id": 2}, TypeError, "id: got 2, wanted text."),
        (number, {"right": "25"}, TypeError, "right: got '25', wanted a number."),
        (number, {"right": [1]}, TypeError, "right: got a list, wanted a number. With options it can be the index"),
        (number, {"right": True}, TypeError, "right: got True, wanted a number."),
        (number, {"right": float("inf")}, ValueError, "right: got inf, wanted a finite number."),
        (number, {"tolerance": -1}, ValueError, "tolerance: got -1.0, wanted 0 or more."),
        (number, {"feedback": FEEDBACK}, ValueError, "feedback: got 3, wanted 2 texts, for a right number and for a"),
    ],
)  # fmt: skip
def test_errors_say_what_came_and_what_was_wanted(make, changed, error, words):
    with pytest.raises(error, match=re.escape(words)):
        make(**changed)


# --- the questions of the lessons --------------------------------------------------------------------


@pytest.fixture
def lessons(tmp_path, monkeypatch):
    """Questions as the lessons have them; returns where they are."""
    entry = {"text": "What happens?", "options": OPTIONS, "right": [0, 2], "feedback": FEEDBACK}
    much = {"text": "How much?", "options": [], "right": 25, "feedback": [], "tolerance": 1.5, "unit": "%"}
    path = tmp_path / "questions.json"
    path.write_text(json.dumps({"02/pads-visible": entry, "02/pads-left": entry, "07/much": much}))
    monkeypatch.setattr(question, "DATA", tmp_path)
    return path


def test_a_question_of_a_lesson_is_asked_by_its_id(lessons):
    one = Question.of("02/pads-visible", words={"commit": "Antworten"})
    assert (one.id, one.text, one.show_text) == ("02/pads-visible", "What happens?", False)
    assert (one.options, one.right, one.feedback, one.words) == (OPTIONS, [0, 2], FEEDBACK, {"commit": "Antworten"})
    much = Question.of("07/much")
    assert (much.right, much.tolerance, much.unit) == (25.0, 1.5, "%")


def test_an_id_that_is_not_there_is_answered_by_those_close_to_it(lessons):
    with pytest.raises(KeyError) as caught:
        Question.of("02/pads-visble")
    wanted = "id: got '02/pads-visble', wanted the id of a question of the lessons. Close to it: 02/pads-visible"
    assert str(caught.value).startswith(wanted)
    with pytest.raises(KeyError, match=r"There are 3 in .*questions\.json"):
        Question.of("xyz")
    lessons.unlink()
    with pytest.raises(FileNotFoundError, match=r"questions\.json is missing.*`python -m publish notebooks`"):
        Question.of("02/pads-visible")


# --- where no widget lives ---------------------------------------------------------------------------


def shown(one):
    data, _ = one._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in data
    return data["text/html"], data["text/markdown"], data["text/plain"]


def test_without_a_widget_the_options_are_a_list_without_marks_or_feedback():
    one = asked(right=2, id="02/x")
    html, markdown, plain = shown(one)
    assert plain == "What happens to pads?\nA. they are hidden\nB. they stay\nC. `NaN` comes out"
    assert html == (
        '<p class="question-saved">What happens to pads?<br><b>A</b> they are hidden<br><b>B</b> they stay<br>'
        "<b>C</b> <code>NaN</code> comes out</p>"
    )
    one.choice = 2
    assert shown(one) == (html, markdown, plain), "whatever was committed"
    one.show_text = False
    assert shown(one)[2] == "A. they are hidden\nB. they stay\nC. `NaN` comes out"
    assert repr(one) == "Question('02/x', choice=2)"
    assert shown(asked(right=[1]))[2].split("\n")[1] == "Choose all that are right."
    assert shown(number())[2] == "How much?\nYour answer: … %"
    assert shown(number(unit=""))[2] == "How much?\nYour answer: …"


def test_the_words_of_python_are_those_of_the_page():
    words = node.evaluate(Question, "() => module.WORDS")
    assert (words["several"], words["answer"]) == (question.SEVERAL, question.ANSWER)
    assert shown(asked(right=[1], words={"several": "Kreuze an."}))[2].split("\n")[1] == "Kreuze an."
    assert node.evaluate(
        "question/answer.js", "() => module.isRight(1 + 0.9e-9, 1, 0) && !module.isRight(1 + 1.1e-9, 1, 0)"
    )
    assert question.SLACK == 1e-9


HOSTILE = ["<script>alert(1)</script> & *no* _markup_", "1. # [x](y) `a < b | *c*`", f"$x$ ![i](j) {HALF} \\ ~~s~~"]


def test_texts_are_text_in_html_and_in_markdown():
    one = asked(text="<b>Who</b>?", options=HOSTILE)
    html, markdown, plain = shown(one)
    rendered = MarkdownIt("gfm-like", {"linkify": False}).render(markdown)
    for text in (html, rendered):
        assert not re.search(r"<(script|em|strong>[^A-C]|a |img|h1|li|s>)", text), text
        assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; *no* _markup_" in text
        assert "1. # [x](y) <code>a &lt; b | *c*</code>" in text
        assert "$x$ ![i](j) \ufffd \\ ~~s~~" in text
        assert text.count("<br") == 3
    assert rendered.count("<p>") == 1
    assert plain.encode()
    assert number(unit=HALF, id=HALF, feedback=[HALF, ""]).feedback == ["\ufffd", ""]


def test_the_program_is_small():
    assert len(str(Question._esm)) < 14_000
