"""The page "What tutorials get wrong": the claims ledger as a notebook, each row with a link to its proof.

The ledger is ``data/claims.yml``. The cells are found by their tags, so the page follows when a lesson changes.
"""

import ast
import re
from functools import cache
from importlib.metadata import version
from itertools import product
from pathlib import Path

import nbformat
import yaml

from . import normalise, paths

LEDGER = paths.ROOT / "data" / "claims.yml"
PAGE = paths.CLAIMS

SOURCES = {"tutorial": "Tutorials", "library": "Libraries"}
VERDICTS = {"wrong": "wrong", "partly": "right, under a condition that goes unsaid", "right": "right"}
ABOUT = """\
# What tutorials get wrong about attention masks

*{tutorial} claims of tutorials and {library} beliefs about libraries, what a run shows of each, and the cell that
proves it.*

Four widely read tutorials say or do {tutorial} things about masks. Of these {tutorial_wrong} are wrong,
{tutorial_partly} hold under a condition that goes unsaid, and {tutorial_right} are right.

The other {library} are no tutorial's words. They are what one may believe of torch and transformers where the
documentation is silent or easily misread, and were chosen because they trap: {library_wrong} are wrong,
{library_partly} hold under a condition.

Each row links to the cell that runs it. The cell asserts what stands here, and a test fakes the behaviour away and sees
that assertion fail.

*Run with {versions}, on a CPU. Where a row speaks of another version, the tests run it there.*"""


def claims() -> list[dict]:
    """The rows of the ledger, in its order."""
    return yaml.safe_load(LEDGER.read_text(encoding="utf-8"))


def claimed(cell) -> set[str]:
    """Ids of the claims that a cell is about."""
    return {tag.removeprefix("claim-") for tag in paths.tags(cell) if tag.startswith("claim-")}


def asserts(cell) -> bool:
    """Whether a code cell holds an assertion."""
    return any(isinstance(node, ast.Assert) for node in ast.walk(ast.parse(cell.source)))


def cells(lesson: str) -> list:
    """The cells of a built lesson.

    Raises:
        FileNotFoundError: it is not built.
    """
    return nbformat.read(paths.FOLDER / f"{lesson}.ipynb", as_version=4).cells


def proofs(claim: dict, cells_of=cells) -> dict[str, str]:
    """Lesson → id of the first cell there that proves the claim.

    Raises:
        LessonError: a lesson that the ledger names has no cell with the claim's tag.
    """
    cell_ids = {}
    for lesson in claim["lessons"]:
        try:
            lesson_cells = cells_of(lesson)
        except FileNotFoundError as error:
            missing = f"{lesson}.ipynb, which {LEDGER.name} names for {claim['id']}, is not built yet"
            raise paths.LessonError(missing) from error
        proving = [cell.id for cell in lesson_cells if claim["id"] in claimed(cell) and asserts(cell)]
        if not proving:
            raise paths.LessonError(f"{lesson}.ipynb: no cell asserts {claim['id']}, which {LEDGER.name} names")
        cell_ids[lesson] = proving[0]
    return cell_ids


def counts(rows: list[dict]) -> dict[str, int]:
    """How many claims there are from each source, and how many of them have which verdict."""
    many = {source: sum(row["source"] == source for row in rows) for source in SOURCES}
    for source, verdict in product(SOURCES, VERDICTS):
        many[f"{source}_{verdict}"] = sum((row["source"], row["verdict"]) == (source, verdict) for row in rows)
    return many


def heading(source: str, verdict: str) -> str:
    """The heading of the table that such a claim stands in."""
    return f"{SOURCES[source]}: {VERDICTS[verdict]}"


def page() -> nbformat.NotebookNode:
    """The page as a notebook without code, one Markdown cell for each source and verdict."""
    rows, cells_of = claims(), cache(cells)  # each lesson is read once for all its claims
    versions = " and ".join(f"{name} {version(name).split('+')[0]}" for name in ("torch", "transformers"))
    texts = [ABOUT.format(**counts(rows), versions=versions)]
    for source, verdict in product(SOURCES, VERDICTS):
        judged = [row for row in rows if (row["source"], row["verdict"]) == (source, verdict)]
        if not judged:
            continue
        table = [
            f"## {heading(source, verdict)}",
            "",
            "| what is said or done | what a run shows | proof |",
            "|:---|:---|:---|",
        ]
        table += [f"| {_plain(row['claim'])} | {_plain(row['finding'])} | {_links(row, cells_of)} |" for row in judged]
        texts.append("\n".join(table))
    texts.append(
        "← [00 Start here and index](00_start_here.ipynb) · [What went wrong?](what_went_wrong.ipynb) · "
        "[Cheat sheet](cheat_sheet.ipynb)"
    )
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(text) for text in texts])
    normalise.normalise(notebook)
    return notebook


def write() -> Path:
    """Writes the page beside the lessons; returns its path."""
    return normalise.write(page(), PAGE)


def _links(claim: dict, cells_of) -> str:
    """Links to the cells that prove a claim: JupyterLab and nbconvert both find a cell by its id."""
    return ", ".join(
        f"[{lesson.partition('_')[0]}]({lesson}.ipynb#cell-id={cell})"
        for lesson, cell in proofs(claim, cells_of).items()
    )


def _plain(text: str) -> str:
    """Text that Markdown leaves as it is."""
    return re.sub(r"([\\`*_<>|\[\]$])", r"\\\1", text)
