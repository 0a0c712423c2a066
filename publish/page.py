"""One lesson as one self-contained file: it opens from a disk, asks for nothing, and its widgets live."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import nbformat

from . import document, for_readers, ledger, paths, questions, sheet, source, static_widgets

PAGES = paths.ROOT / "dist" / "pages"
STYLE = paths.HERE / "page.css"

ASKING = paths.HERE / "asking.js"
#: What is wider than the window is scrolled with the keyboard, too.
SCRIPT = """\
<script>
addEventListener("load", () => {
  const reach = () => {
    for (const box of document.querySelectorAll("main :is(pre, table, math[display=block]):not(.masks-widget *)")) {
      if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
      else box.removeAttribute("tabindex");
    }
  };
  reach();
  addEventListener("resize", reach);
});
</script>"""

BODY = """\
<a class="skip" href="#content">Skip to the lesson</a>
<main id="content">
{body}
</main>"""


def build(lessons: Iterable[str] = ()) -> Iterator[Path]:
    """Writes the pages of lessons, all if none is named; yields each path.

    Args:
        lessons: numbers or name beginnings, such as ``"03"``.

    Raises:
        LessonError: no such lesson, or one that cannot be executed.
    """
    PAGES.mkdir(parents=True, exist_ok=True)
    for lesson in source.chosen(lessons):
        yield paths.write_text(page(for_readers.lesson(lesson)), PAGES / f"{lesson.stem}.html")
        if lesson.stem == sheet.LESSON.stem:
            yield paths.write_text(sheet.page(), PAGES / for_readers.PRINTED)
    if not lessons:
        yield paths.write_text(page(ledger.page()), PAGES / f"{ledger.PAGE.stem}.html")


def page(notebook: nbformat.NotebookNode) -> str:
    """An executed lesson as HTML that needs no other file.

    Raises:
        LessonError: no heading with a sentence in italics at the top, or a widget without its state.
    """
    about = for_readers.about(notebook)
    states = static_widgets.replace_views(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = for_readers.linked(for_readers.held_back(cell))
    notebook.metadata.pop("widgets", None)
    style = document.highlighted(STYLE.read_text(encoding="utf-8"))
    return document.document(
        about.title,
        about.description,
        style=f"{style}\n{static_widgets.style(states)}",
        body=script_that_asks(notebook) + BODY.format(body=document.with_readable_tables(document.converted(notebook))),
        scripts="\n".join([SCRIPT, static_widgets.scripts(states)]),
        wasm=static_widgets.needs_model(states),
    )


def script_that_asks(notebook: nbformat.NotebookNode) -> str:
    """The script that holds answers back, for the begin of a page; empty if nothing is asked."""
    asks = any(questions.asked(cell) for cell in notebook.cells)
    return f"<script>\n{ASKING.read_text(encoding='utf-8')}</script>\n" if asks else ""
