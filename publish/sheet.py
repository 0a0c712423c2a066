"""The cheat sheet for the wall: one sheet of paper, both sides, as a file that any browser opens and prints.

It consists of the cells of that page up to its line "End of the sheet", without code. The proof stays in the notebook.
"""

from pathlib import Path

import nbformat

from . import document, paths

LESSON = paths.FOLDER / "cheat_sheet.ipynb"
PAGE = paths.FOLDER / "cheat_sheet.html"
STYLE = paths.HERE / "sheet.css"
END = "*End of the sheet."


def page() -> str:
    """The page as HTML, with its picture inside it and nothing to load.

    Raises:
        LessonError: the lesson does not say where the sheet ends.
    """
    notebook = nbformat.read(LESSON, as_version=4)
    ends = [number for number, cell in enumerate(notebook.cells) if END in cell.source]
    if len(ends) != 1:
        raise paths.LessonError(f"{LESSON.name}: wanted one cell with {END!r}, found {len(ends)}")
    notebook.cells = notebook.cells[: ends[0] + 1]
    last = notebook.cells[-1]
    last.source = last.source[: last.source.index(END)].rstrip()
    for cell in notebook.cells:
        cell.source = document.without_links(cell.source)
    notebook.metadata.pop("widgets", None)
    return document.document(
        "Attention masks: cheat sheet",
        "Which attention mask goes where: shapes, types, polarity, converters and traps.",
        style=STYLE.read_text(encoding="utf-8").strip(),
        body=f"<main>\n{document.converted(notebook, code=False)}\n</main>",
    )


def write() -> Path:
    """Writes the page beside its lesson; returns its path."""
    return paths.write_text(page(), PAGE)
