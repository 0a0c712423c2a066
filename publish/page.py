"""One lesson as one self-contained file: it opens from a disk, asks for nothing, and its widgets live.

Its Content-Security-Policy forbids what it does not need: every request.
"""

import html
import re
from pathlib import Path

import nbformat

from publish import ledger, notebooks, for_readers, sheet, static_widgets

PAGES = notebooks.ROOT / "dist" / "pages"
STYLE = Path(__file__).with_name("page.css")
POLICY = "default-src 'none'; script-src 'unsafe-inline' blob:; style-src 'unsafe-inline'; img-src data:"

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

HTML = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<meta name="description" content="{description}">
<style>
{style}
</style>
</head>
<body>
{body}
{scripts}
</body>
</html>
"""
BODY = """\
<a class="skip" href="#content">Skip to the lesson</a>
<main id="content">
{body}
</main>"""


def build(lessons=()):
    """Writes the pages of lessons, all if none is named; yields each path.

    Args:
        lessons: numbers or name beginnings, such as ``"03"``.
    Raises:
        LessonError: no such lesson, or one that cannot be executed.
    """
    PAGES.mkdir(parents=True, exist_ok=True)
    for source in notebooks.chosen(lessons):
        yield notebooks.write_text(page(for_readers.lesson(source)), PAGES / f"{source.stem}.html")
        if source.stem == sheet.LESSON.stem:
            yield notebooks.write_text(sheet.page(), PAGES / for_readers.PRINTED)
    if not lessons:
        yield notebooks.write_text(page(ledger.page()), PAGES / f"{ledger.PAGE.stem}.html")


def page(notebook: nbformat.NotebookNode) -> str:
    """An executed lesson as HTML that needs no other file.

    Raises:
        LessonError: no heading with a sentence in italics at the top, or a widget without its state.
    """
    from nbconvert import HTMLExporter

    about = for_readers.about(notebook)
    states = static_widgets.place(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = for_readers.linked(cell.source)
    notebook.metadata.pop("widgets", None)
    exporter = HTMLExporter(template_name="basic", exclude_input_prompt=True, exclude_output_prompt=True)
    body, _ = exporter.from_notebook_node(notebook)
    style = highlighted(STYLE.read_text(encoding="utf-8"))
    return document(
        about,
        style=f"{style}\n{static_widgets.head(states)}",
        body=BODY.format(body=tables(body.strip())),
        scripts="\n".join([SCRIPT, static_widgets.scripts(states)]),
    )


def document(about: for_readers.About, style: str, body: str, scripts: str, policy: str = POLICY) -> str:
    """A whole file of HTML that asks for nothing."""
    title, description = html.escape(about.title), html.escape(about.description)
    return HTML.format(title=title, description=description, style=style, body=body, scripts=scripts, policy=policy)


def highlighted(style: str) -> str:
    """A style sheet with the colours of code, light and dark, where it says so."""
    from pygments.formatters import HtmlFormatter

    for name, colours in (("light", "default"), ("dark", "github-dark")):
        style = style.replace(f"/* {name} */", HtmlFormatter(style=colours).get_style_defs(".highlight"))
    return style


def tables(body: str) -> str:
    """HTML whose tables have no empty heads: Markdown cannot leave a head out."""
    body = re.sub(r"<thead>\s*<tr[^>]*>\s*(<th[^>]*>(<p></p>)?</th>\s*)+</tr>\s*</thead>", "", body)
    return re.sub(r"<th([^>]*)>(<p></p>)?</th>", r"<td\1></td>", body)
