"""Questions in a lesson's source: what one says, what it becomes, and the errors of one that is not in its form."""

import csv
import json
import re

import nbformat
import pytest

from publish import normalise, paths, questions
from publish.questions import Question

ONE = """\
Words before.

```{question} pads-visible
How far off are the numbers of the *real* tokens,
at most?

- [ ] by about 0.01:
  it averages out
  > No: pads point
  > the same way.
- [x] by more than 1
  > Right: `exp(0)` is 1.
```"""
QUESTION = Question(
    "How far off are the numbers of the *real* tokens,\nat most?",
    ["by about 0.01: it averages out", "by more than 1"],
    [1],
    ["No: pads point the same way.", "Right: `exp(0)` is 1."],
)
NUMBER = "```{question} how-sure\nHow sure?\n\n= 97 ± 2.5 %\n  > Right.\n≠\n  > No, look again.\n```"


def lesson(*cells):
    new = {"markdown": nbformat.v4.new_markdown_cell, "code": nbformat.v4.new_code_cell}
    return nbformat.v4.new_notebook(cells=[new[kind](text, metadata={"tags": tags}) for kind, text, tags in cells])


def test_a_question_becomes_words_and_a_widget_and_its_explanation_is_folded():
    notebook = lesson(
        ("markdown", ONE, ["slide"]),
        ("code", "print(2)", ["settles-pads-visible", "slide"]),
        ("markdown", "Pads *pull*.", ["settles-pads-visible"]),
    )
    questions.expand(notebook, "42_test")
    asks, widget, run, why = notebook.cells
    assert asks.source == f"Words before.\n\n**Predict.** {QUESTION.text}"
    assert widget.source == 'widgets.Question.of("42/pads-visible")'
    assert widget.metadata.tags == ["question-pads-visible", "on-slide"]
    assert widget.metadata.question == QUESTION.for_widget()
    assert run.source == "print(2)"
    assert why.source == "<details><summary>What it shows</summary>\n\nPads *pull*.\n\n</details>"
    assert [questions.asked(cell) for cell in notebook.cells] == ["", "pads-visible", "", ""]
    assert [questions.settled(cell) for cell in notebook.cells] == [[], [], ["pads-visible"], ["pads-visible"]]
    normalise.normalise(notebook)
    assert [cell.id for cell in notebook.cells] == ["cell-00", "question-pads-visible", "cell-02", "cell-03"]
    normalise.normalise(notebook)  # again, and nothing changes
    assert widget.source == 'widgets.Question.of("42/pads-visible")  # run this cell, and answer'
    assert widget.metadata == {"jupyter": {"source_hidden": True}, "tags": ["question-pads-visible", "on-slide"]}
    questions.unfold(notebook)
    assert why.source == "Pads *pull*."


def test_an_explanation_ends_before_the_next_heading():
    why = "It is 1.\n\n```text\n# no heading\n```"
    cells = [("markdown", ONE, []), ("markdown", why, ["settles-pads-visible"])]
    questions.expand(lesson(*cells), "42_test")
    cells[1] = ("markdown", f"{why}\n\n## Exercises", ["settles-pads-visible"])
    with pytest.raises(paths.LessonError, match="42_test: what settles pads-visible has a heading"):
        questions.expand(lesson(*cells), "42_test")


def test_a_proof_is_folded_to_a_line_that_says_nothing_of_what_it_proves():
    tags = ["proof", "claim-S2.3", "claim-F1"]
    notebook = lesson(("code", "assert 1 < 2\nassert 2 < 3", tags), ("code", "assert 1", ["proof"]), ("code", "1", []))
    for _ in range(2):  # nothing changes the second time
        normalise.normalise(notebook)
        proof, unnamed, other = notebook.cells
        assert proof.source == "# Proof of what is shown above: F1, S2.3\nassert 1 < 2\nassert 2 < 3"
        assert unnamed.source == "# Proof of what is shown above\nassert 1"
        assert other.source == "1"
    assert normalise.proof(proof) == "assert 1 < 2\nassert 2 < 3"
    assert normalise.proof(nbformat.v4.new_code_cell("assert 1 < 2\nassert 2")) == "assert 1 < 2\nassert 2"


def test_several_options_may_be_right_and_a_number_may_be_asked_for():
    several = "```{question} two\nWhich?\n\n- [x] one\n  > Yes.\n- [ ] two\n  > No.\n- [x] three\n  > Yes.\n```"
    assert questions._parsed(several, "42")[1].right == [0, 2]
    assert questions._parsed(NUMBER, "42") == (
        "how-sure",
        Question("How sure?", [], [], ["Right.", "No, look again."], 97.0, 2.5, "%"),
    )
    plain = questions._parsed(NUMBER.replace(" ± 2.5 %", ""), "42")[1]
    assert (plain.number, plain.tolerance, plain.unit) == (97.0, 0.0, "")
    assert plain.for_widget()["right"] == 97.0
    assert questions._parsed(several, "42")[1].for_widget()["right"] == [0, 2]
    assert QUESTION.for_widget() == {
        "text": QUESTION.text,
        "options": QUESTION.options,
        "right": 1,
        "feedback": QUESTION.feedback,
        "tolerance": 0.0,
        "unit": "",
    }


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (ONE.replace(" pads-visible", ""), "wants an id of small letters"),
        (ONE + "\nMore.", "nothing after it"),
        (ONE.replace("- [ ] by", "- by"), "it wants two to 5 options"),
        (ONE.replace("[x]", "[ ]"), "at least one that is right"),
        (ONE.replace("  > Right: `exp(0)` is 1.\n", ""), "feedback for each option"),
        (ONE.replace("by more than 1", "by **more** than 1"), "plain text and `code`"),
        (ONE.replace("the same way", "the $same$ way"), "plain text and `code`"),
        (ONE.replace("- [x]", "Or\n- [x]"), "options with feedback, and nothing else"),
        (NUMBER.replace("≠\n  > No, look again.\n", ""), "one that is ≠, each with feedback"),
    ],
)
def test_a_question_in_another_form_is_refused(text, complaint):
    with pytest.raises(paths.LessonError, match=r"^42_test") as error:
        questions.expand(lesson(("markdown", text, [])), "42_test")
    assert complaint in str(error.value)


def test_what_is_asked_is_settled_and_what_is_settled_is_asked():
    for cells in ([("markdown", ONE, [])], [("code", "1", ["settles-other"])]):
        with pytest.raises(paths.LessonError, match=r"asked but not settled, or settled but not asked: (pads|other)"):
            questions.expand(lesson(*cells), "42_test")
    both = ["settles-pads-visible", "settles-how-sure"]
    notebook = lesson(("markdown", ONE, []), ("markdown", NUMBER, []), ("code", "1", both), ("markdown", "Why.", both))
    questions.expand(notebook, "42_test")
    assert [questions.settled(cell) for cell in notebook.cells[4:]] == [["how-sure", "pads-visible"]] * 2
    closed = lesson(("markdown", ONE, []), ("code", "1", both[:1]), ("markdown", "So.", ["closing", "on-slide"]))
    questions.expand(closed, "42_test")
    assert questions.settled(closed.cells[-1]) == ["pads-visible"]
    assert "<details>" in closed.cells[-1].source
    for tags in (both[:1], [*both, "settles-other"]):
        cells = [("markdown", ONE, []), ("markdown", NUMBER, []), ("code", "1", tags)]
        with pytest.raises(paths.LessonError, match=r"not asked: (how-sure|other)$"):
            questions.expand(lesson(*cells), "42_test")
    with pytest.raises(paths.LessonError, match="there are two questions pads-visible"):
        questions.expand(lesson(("markdown", ONE, []), ("markdown", ONE, [])), "42_test")


@pytest.fixture
def collection(tmp_path, monkeypatch):
    """A collection of one lesson with two questions, and code between them that shows a fence."""
    code = "```{code-cell} ipython3\nprint('- [x] no option')\n```"
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "42_test.md").write_text(f"# 42\n\n{ONE}\n\n{code}\n\n{NUMBER}\n", encoding="utf-8")
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    monkeypatch.setattr(paths, "SOURCES", tmp_path / "src")
    return tmp_path


def test_the_widget_reads_what_the_sources_say(collection):
    path = questions.write()
    everything = json.loads(path.read_text(encoding="utf-8"))
    assert path == collection / "data" / "questions.json"
    assert everything["42/pads-visible"] == QUESTION.for_widget()
    assert everything["42/how-sure"]["right"] == 97.0
    assert len(everything) == 2
    before = path.stat().st_mtime_ns
    assert questions.write().stat().st_mtime_ns == before, "what has not changed is not written"


def test_questions_go_to_polling_tools_and_question_banks(collection):
    table, bank = questions.export()
    head, first, second = csv.reader(table.read_text(encoding="utf-8").splitlines())
    row = dict(zip(head, first, strict=True))
    assert [row[column] for column in ("id", "A", "B", "C", "right")] == ["42/pads-visible", *QUESTION.options, "", "B"]
    assert row["feedback B"] == "Right: `exp(0)` is 1."
    assert dict(zip(head, second, strict=True))["right"] == "97"
    text = bank.read_text(encoding="utf-8")
    assert "::42/pads-visible::[markdown]How far off are the numbers of the *real* tokens, at most? {\n" in text
    assert "  ~by about 0.01\\: it averages out#No\\: pads point the same way.\n  =by more than 1#" in text
    assert "{#\n  =97:2.5#Right.\n  ~#No, look again.\n}" in text


def test_ticking_everything_earns_nothing_in_a_question_bank():
    gift = questions._gift("q", Question("Which?", ["a", "b", "c"], [0, 2], ["x", "y", "z"]))
    assert sum(float(share) for share in re.findall(r"~%(-?[\d.]+)%", gift)) == 0


def test_the_file_beside_the_lessons_is_what_their_sources_give():
    said = json.loads((paths.ROOT / "data" / questions.FILE).read_text(encoding="utf-8"))
    assert said == {f"{path.stem[:2]}/{name}": question.for_widget() for path, name, question in questions._all()}
