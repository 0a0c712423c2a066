"""Questions of a lesson: one form in its source, from which widget, slides, lists and folded answers come.

A question is the last thing in a Markdown cell. Each option is followed by what is said to who chose it::

    ```{question} pads-visible
    How far off are the numbers of the *real* tokens?

    - [ ] by about 0.01: it averages out
      > Averages would need pads that point nowhere. They all point the same way.
    - [x] by more than 1
      > Right: …
    ```

The wrong option that most will choose may be marked ``[~]``, for the speaker. Several options may be right. A number is
asked for with ``= 97 ± 3 %`` in place of options, and feedback below it; then ``≠`` and feedback for all other numbers.
Cells tagged ``settles-pads-visible`` show the answer: pages hold back what code puts out, and all Markdown, until
somebody has answered; notebooks fold the Markdown. A cell with several such tags waits for all of these questions, and
words tagged ``closing`` for all of their lesson.
"""

import csv
import io
import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import nbformat

from . import paths

#: In the folder of data, where the widget reads it.
FILE = "questions.json"
FENCE = re.compile(r"^```\{question\} *(?P<id>\S*)\n(?P<body>.*?)\n```\s*\Z", re.MULTILINE | re.DOTALL)
ID = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
#: An option, the right number, or the line for other numbers; each up to the next or the end.
ENTRY = re.compile(
    r"^(?:- \[(?P<mark>[ x~])\] (?P<option>.+(?:\n  (?! *>).+)*)"
    r"|= (?P<number>-?[\d.]+)(?: ± (?P<tolerance>[\d.]+))?(?: (?P<unit>\S+))?"
    r"|(?P<other>≠))"
    r"(?P<feedback>(?:\n  > ?.*)*)$",
    re.MULTILINE,
)
#: What a widget shows as it is written; in a question's options and feedback it would be seen as signs.
MARKUP = re.compile(r"\]\(|\$|\*\*|(?<![\w*])\*(?=\S)")
LETTERS = "ABCDE"
MOST_OPTIONS = len(LETTERS)
#: The code of a cell that asks.
OF = re.compile(r'widgets\.Question\.of\("([^"]+)"\)')
ASKS, SETTLES = "question-", "settles-"
#: Tag of the words that sum a lesson up: they settle all its questions.
CLOSING = "closing"
LABEL = "**Predict.** "
FOLDED = "<details><summary>What it shows</summary>\n\n{}\n\n</details>"
#: Nothing may be folded with a heading in it: what comes after would go with it, and a page's sections would break.
HEADING = re.compile(r"^#{1,6} ", re.MULTILINE)
BLOCK = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
UNFOLDED = re.compile(r"\A<details><summary>What it shows</summary>\n\n(.*)\n\n</details>\Z", re.DOTALL)


@dataclass(frozen=True)
class Question:
    """What a source says of one question.

    Attributes:
        text: Markdown.
        options: two to five, plain text; none where a number is asked for.
        right: indices of the right options.
        feedback: what is said of each option; of the right number, and of any other.
        number: the one that is asked for.
        tolerance: how far off it may be.
        unit: of the number.
        expected: index of the wrong option that most will choose.
    """

    text: str
    options: list[str]
    right: list[int]
    feedback: list[str]
    number: float | None = None
    tolerance: float = 0.0
    unit: str = ""
    expected: int | None = None

    def answer(self) -> str:
        """The letters that are right, or the number."""
        return (
            f"{self.number:g} {self.unit}".strip()
            if self.number is not None
            else " and ".join(LETTERS[n] for n in self.right)
        )

    def for_widget(self) -> dict:
        """What ``widgets.Question`` takes: as ``right`` the one option that is, several of them, or the number."""
        said = asdict(self)
        number, _ = said.pop("number"), said.pop("expected")
        one = self.right[0] if len(self.right) == 1 else self.right
        return {**said, "right": one if number is None else number}


def expand(notebook: nbformat.NotebookNode, lesson: str) -> None:
    """Puts a widget where a source asks, and folds the words that settle a question.

    Raises:
        LessonError: a question that is not in the form above, or that no cell settles; a heading in what settles one.
    """
    cells: list[nbformat.NotebookNode] = []
    asked: dict[str, Question] = {}
    for cell in notebook.cells:
        cells.append(cell)
        if CLOSING in paths.tags(cell):
            cell.metadata.tags += [f"{SETTLES}{name}" for name in asked]
        if cell.cell_type == "markdown" and "```{question}" in cell.source:
            name, question = _parsed(cell.source, lesson)
            if name in asked:
                raise paths.LessonError(f"{lesson}: there are two questions {name}")
            asked[name] = question
            cell.source = cell.source[: cell.source.index("```{question}")] + LABEL + question.text
            cells.append(_widget(lesson, name, question, cell))
        elif cell.cell_type == "markdown" and settled(cell):
            if HEADING.search(BLOCK.sub("", cell.source)):
                names = ", ".join(settled(cell))
                raise paths.LessonError(f"{lesson}: what settles {names} has a heading: end the cell before it")
            cell.source = FOLDED.format(cell.source)
    unknown = sorted({name for cell in cells for name in settled(cell)} ^ set(asked))
    if unknown:
        raise paths.LessonError(f"{lesson}: asked but not settled, or settled but not asked: {', '.join(unknown)}")
    notebook.cells = cells


def asked(cell: nbformat.NotebookNode) -> str:
    """The id of the question that a cell's widget asks; empty if it asks none."""
    return next(iter(_tagged(cell, ASKS)), "")


def settled(cell: nbformat.NotebookNode) -> list[str]:
    """The ids of the questions that a cell settles."""
    return _tagged(cell, SETTLES)


def unfold(notebook: nbformat.NotebookNode) -> None:
    """Makes words that notebooks fold ordinary ones, for what folds, or does not fold, in its own way."""
    for cell in notebook.cells:
        if cell.cell_type == "markdown" and settled(cell):
            cell.source = UNFOLDED.sub(r"\1", cell.source)


def write() -> Path:
    """Writes the questions of all lessons to where the widget reads them; returns that path."""
    path = paths.ROOT / "data" / FILE
    everything = {f"{source.stem[:2]}/{name}": question.for_widget() for source, name, question in _all()}
    text = json.dumps(everything, ensure_ascii=False, indent=1) + "\n"
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return path
    path.parent.mkdir(exist_ok=True)
    return paths.write_text(text, path)


def of(lesson: str) -> dict[str, Question]:
    """Id → question, of one lesson by its name."""
    return {name: question for path, name, question in _all() if path.stem == lesson}


def _all() -> Iterator[tuple[Path, str, Question]]:
    """Every question: its lesson's source, its id, and what it says."""
    for path in paths.sources():
        # In a source other fences may stand before a question's, and lines of code after it.
        for fence in re.findall(
            r"^```\{question\}.*?^```$", path.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
        ):
            yield path, *_parsed(fence, path.stem)


def _parsed(text: str, lesson: str) -> tuple[str, Question]:
    """Id and question of a Markdown cell that ends in one."""
    fence = FENCE.search(text)
    if fence is None or not ID.fullmatch(fence["id"]):
        raise paths.LessonError(
            f"{lesson}: a question wants an id of small letters, and nothing after it: {text[:80]!r}"
        )
    name, body = fence["id"], fence["body"]
    entries = [*ENTRY.finditer(body)]
    where = f"{lesson}, question {name}"
    if not entries or ENTRY.sub("", body[entries[0].start() :]).strip():
        raise paths.LessonError(f"{where}: after its text it wants options with feedback, and nothing else")
    feedback = [" ".join(line.lstrip(" >") for line in entry["feedback"].split("\n") if line) for entry in entries]
    question_text = body[: entries[0].start()].strip()
    if not question_text or not all(feedback):
        raise paths.LessonError(f"{where}: it wants a text, and feedback for each option")
    if any(entry["number"] for entry in entries):
        return name, _number(question_text, entries, feedback, where)
    options = [" ".join((entry["option"] or "").split()) for entry in entries]
    right = [n for n, entry in enumerate(entries) if entry["mark"] == "x"]
    if not 2 <= len(options) <= MOST_OPTIONS or not right or not all(options):
        raise paths.LessonError(f"{where}: it wants two to {MOST_OPTIONS} options, and at least one that is right")
    expected = [n for n, entry in enumerate(entries) if entry["mark"] == "~"]
    if len(expected) > 1:
        raise paths.LessonError(f"{where}: one wrong option at most is what most will choose")
    for shown in (*options, *feedback):
        if MARKUP.search(re.sub(r"`[^`]*`", "", shown)):
            raise paths.LessonError(f"{where}: options and feedback are plain text and `code`; got {shown!r}")
    return name, Question(question_text, options, right, feedback, expected=next(iter(expected), None))


def _number(text: str, entries: list[re.Match], feedback: list[str], where: str) -> Question:
    """A question that asks for a number."""
    if len(entries) != 2 or not entries[0]["number"] or not entries[1]["other"]:
        raise paths.LessonError(
            f"{where}: a number wants a line that begins with = and one that is ≠, each with feedback"
        )
    number, tolerance, unit = entries[0].group("number", "tolerance", "unit")
    return Question(text, [], [], feedback, float(number), float(tolerance or 0), unit or "")


def _widget(lesson: str, name: str, question: Question, below: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The cell that asks, on the slide of the words above it."""
    tags = [f"{ASKS}{name}"] + (["on-slide"] if paths.tags(below) & {"slide", "on-slide"} else [])
    code = f'widgets.Question.of("{lesson[:2]}/{name}")'
    # Not only its code, but also what it asks, makes its output.
    return nbformat.v4.new_code_cell(code, metadata={"tags": tags, "question": question.for_widget()})


def _tagged(cell: nbformat.NotebookNode, prefix: str) -> list[str]:
    """What follows the prefix in those of a cell's tags that have it."""
    return [tag.removeprefix(prefix) for tag in sorted(paths.tags(cell)) if tag.startswith(prefix)]


# --- lists for polling tools and question banks -----------------------------------------------------------


def export() -> Iterator[Path]:
    """Writes all questions as CSV, one a row, and in Moodle's format GIFT; yields both paths."""
    rows = [(f"{path.stem[:2]}/{name}", question) for path, name, question in _all()]
    folder = paths.ROOT / "dist" / "questions"
    folder.mkdir(parents=True, exist_ok=True)
    yield paths.write_text(_csv(rows), folder / "questions.csv")
    yield paths.write_text(
        "\n\n".join(_gift(name, question) for name, question in rows) + "\n", folder / "questions.gift"
    )


def _csv(rows: list[tuple[str, Question]]) -> str:
    """One row a question: id, text, options A to E, the right letters or number, its tolerance, feedback A to E."""
    head = ["id", "question", *LETTERS, "right", "tolerance", "unit", *(f"feedback {letter}" for letter in LETTERS)]
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(head)
    for name, question in rows:
        answer = "".join(LETTERS[n] for n in question.right) if question.number is None else f"{question.number:g}"
        several = [[*texts, *[""] * 5][:5] for texts in (question.options, question.feedback)]
        table.writerow([name, question.text, *several[0], answer, question.tolerance or "", question.unit, *several[1]])
    return text.getvalue()


def _gift(name: str, question: Question) -> str:
    """One question in GIFT, with its feedback; signs that mean something there are escaped."""

    def plain(text: str) -> str:
        return re.sub(r"([~=#{}:\\])", r"\\\1", " ".join(text.split()))

    head = f"::{plain(name)}::[markdown]{plain(question.text)} "
    if question.number is not None:
        right, other = map(plain, question.feedback)
        return f"{head}{{#\n  ={question.number:g}:{question.tolerance:g}#{right}\n  ~#{other}\n}}"
    lines = []
    for n, (option, feedback) in enumerate(zip(question.options, question.feedback, strict=True)):
        if len(question.right) == 1:
            mark = "=" if n in question.right else "~"
        else:  # shares of the points, so that ticking everything gives none
            wrong = len(question.options) - len(question.right)
            mark = f"~%{100 / len(question.right):.5g}%" if n in question.right else f"~%-{100 / wrong:.5g}%"
        lines.append(f"  {mark}{plain(option)}#{plain(feedback)}")
    return "{}{{\n{}\n}}".format(head, "\n".join(lines))
