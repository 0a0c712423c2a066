"""A lesson for readers who run nothing: executed, formulas drawn, each exercise with its solution folded below it.

Page, slides and site show this. The notebooks, which people run, keep their solutions apart. With ``SOLUTIONS=no`` in
the environment there are none, and no link to one.
"""

import copy
import re
from dataclasses import dataclass
from pathlib import Path

import nbformat

from utils import lessons as copies

from . import document, ledger, normalise, notebooks, paths, questions, sheet

MATH = re.compile(r"(`+)(?s:.*?)\1|\$\$(?P<block>(?s:.+?))\$\$|\$(?P<inline>[^$\n]+?)\$")
#: A link to a lesson or another page, and perhaps to a cell there.
LINK = re.compile(r"\[(?P<words>[^\]]+)\]\((?P<name>\w+)\.ipynb(?P<cell>#[^)]+)?\)")
#: A link to a heading: in notebooks its words, with hyphens between them.
TO_HEADING = re.compile(r"(\]\((?:\w+\.ipynb)?#)(?!cell-id=)([^)\s]+)")
TIME = re.compile(r"\| \*\*Time\*\* \| (\d+) minutes to read(?:, (\d+) to do)?")
WORDS_A_MINUTE = 200
#: Comments: few words for a slide in place of a paragraph, and what only its speaker needs; no reader sees either.
FOR_SLIDES = re.compile(r"<!-- (slide|say): ?(.*?) ?-->\n*", re.DOTALL)
#: Class of words that settle a question; what a cell puts out has it with a prefix of nbconvert or MyST-NB.
SETTLES = f"masks-{questions.SETTLES}"
#: Tags of code that readers see as a line.
FOLDED = {normalise.PROOF, normalise.ALTS}
#: The cheat sheet on paper, beside the pages; under its own name it would be the page of the notebook.
PRINTED = "cheat_sheet_to_print.html"


@dataclass(frozen=True)
class About:
    """What a lesson says of itself: its title, the misconception it is about, and the minutes to read and to do it."""

    title: str
    description: str
    read: int
    do: int


def with_solutions() -> bool:
    """Whether solutions are published: unless the environment says ``SOLUTIONS=no``; LessonError for any other word."""
    try:
        return copies.with_solutions()
    except ValueError as error:
        raise paths.LessonError(str(error)) from None


def lesson(source: Path) -> nbformat.NotebookNode:
    """A lesson, executed, with its solutions folded in, if they are published, and its formulas as MathML.

    Raises:
        LessonError: it cannot be executed.
    """
    return folded([notebook for _, notebook in notebooks.finished(source)])


def folded(executed: list[nbformat.NotebookNode]) -> nbformat.NotebookNode:
    """What one source gave, the lesson and its solutions if it has any, as one notebook for readers."""
    notebook = copy.deepcopy(executed[0])
    if len(executed) == 2:
        if with_solutions():
            _fold(notebook, executed[1])
        for cell in notebook.cells:
            if cell.cell_type == "markdown":  # they are below the exercises, or nowhere
                cell.source = copies.without_solutions(cell.source)
    questions.unfold(notebook)
    for cell in notebook.cells:
        if questions.asked(cell):
            cell.metadata.tags += [document.HIDDEN_CODE, "remove-input"]  # nbconvert's tag and MyST-NB's
    notebook.cells = [_line(cell) if FOLDED & paths.tags(cell) else cell for cell in notebook.cells]
    return without_formulas(notebook)


def held_back(markdown: nbformat.NotebookNode) -> str:
    """The words of a cell without those of its slide; a page shows what settles questions when they are answered."""
    classes, text = [f"{SETTLES}{name}" for name in questions.settled(markdown)], FOR_SLIDES.sub("", markdown.source)
    return f'<div class="{" ".join(classes)}">\n\n{text}\n\n</div>' if classes else text


def without_formulas(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """A copy whose Markdown has MathML in place of formulas, which browsers draw themselves."""
    notebook = copy.deepcopy(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = formulas(cell.source)
    return notebook


def about(notebook: nbformat.NotebookNode) -> About:
    """What the first cell says of the lesson: heading, the sentence in italics below it, and the row "Time".

    Raises:
        LessonError: no heading with a sentence in italics.
    """
    first = notebook.cells[0].source
    title = re.search(r"^# (.+)$", first, re.MULTILINE)
    said = re.search(r"^\*([^*].+?)\*$", first, re.MULTILINE | re.DOTALL)
    if title is None or said is None:
        raise paths.LessonError("the first cell wants a heading and a sentence in italics below it")
    time = TIME.search(first)
    read, do = (int(minutes or 0) for minutes in time.groups()) if time else (minutes_to_read(notebook), 0)
    return About(title[1].replace("`", ""), " ".join(said[1].split()), read, do)


def minutes_to_read(notebook: nbformat.NotebookNode) -> int:
    """Whole minutes for the words of a notebook, at 200 a minute; at least one."""
    words = sum(len(cell.source.split()) for cell in notebook.cells if cell.cell_type == "markdown")
    return max(1, round(words / WORDS_A_MINUTE))


def formulas(markdown: str) -> str:
    """Markdown with its formulas as MathML; code stays as it is."""
    from latex2mathml.converter import convert

    def drawn(match: re.Match) -> str:
        if match["block"] is None and match["inline"] is None:
            return match[0]  # code
        formula = " ".join((match["block"] or match["inline"]).split())
        mathml = convert(formula, display="block" if match["block"] else "inline")
        mathml = mathml.replace("negativethinmathspace", "-0.1667em")  # a name that Firefox calls deprecated
        return mathml.replace("<mo>&#x0221E;</mo>", "<mi>&#x0221E;</mi>")  # no sign between numbers, with space around

    return MATH.sub(drawn, markdown)


def linked(markdown: str) -> str:
    """Links to lessons and to their cells, leading from page to page."""
    markdown = markdown.replace(f"]({sheet.PAGE.name})", f"]({PRINTED})")
    return LINK.sub(lambda link: f"[{link['words']}]({link['name']}.html{link['cell'] or ''})", markdown)


def anchored(markdown: str) -> str:
    """Links as MyST has them: to cells and to the printed sheet as HTML, and to headings by its own names for these."""

    def anchor(link: re.Match) -> str:
        if not (link["cell"] or "").startswith("#cell-id="):
            return link[0]
        return f'<a class="reference internal" href="{link["name"]}.html{link["cell"]}">{link["words"]}</a>'

    markdown = TO_HEADING.sub(lambda link: link[1] + re.sub(r"[^\w-]", "", link[2].lower()), markdown)
    markdown = re.sub(rf"\[([^\]]+)\]\({sheet.PAGE.name}\)", rf'<a href="pages/{PRINTED}">\1</a>', markdown)
    return LINK.sub(anchor, markdown)


def _line(cell: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """A cell that proves something, or says what pictures show, as one line to click, with its code behind it."""
    kind, claims = normalise.PROOF, ", ".join(sorted(ledger.claimed(cell)))
    summary = f"Proved: {claims}" if claims else "Proved"
    if normalise.ALTS in paths.tags(cell):
        kind, summary = normalise.ALTS, "What pictures show, in words"
    code = f"```python\n{normalise.proof(cell)}\n```"
    text = f'<details class="{kind}"><summary>{summary}</summary>\n\n{code}\n\n</details>'
    return nbformat.v4.new_markdown_cell(text, id=cell.id, metadata=cell.metadata)


def _fold(notebook: nbformat.NotebookNode, solved: nbformat.NotebookNode) -> None:
    """Puts each solution below its exercise, behind a line to click."""
    cells, code = [], ""
    for cell, answer in zip(notebook.cells, solved.cells, strict=True):
        cells.append(cell)
        if "exercise" in paths.tags(cell):
            code = answer.source
        elif "check" in paths.tags(cell):  # it stands below the answer, and says that it is right
            text = f"```python\n{code}\n```\n\n```text\n{normalise.shown(answer).strip()}\n```"
            folded = f'<details class="solution"><summary>Solution</summary>\n\n{text}\n\n</details>'
            cells.append(nbformat.v4.new_markdown_cell(folded, id=f"{cell.id}-solution"))
    notebook.cells = cells
