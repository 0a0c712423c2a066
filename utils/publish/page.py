"""One lesson as one self-contained file: it opens from a disk, asks for nothing, and its widgets live.

The page is made of the committed notebook, as it was executed. Formulas become MathML, which browsers draw themselves.
Its Content-Security-Policy forbids what it does not need: every request.
"""

import html
import re
from pathlib import Path

import nbformat

from utils.publish import alive, notebooks

PAGES = notebooks.ROOT / "dist" / "pages"
STYLE = Path(__file__).with_name("page.css")
MATH = re.compile(r"(`+)(?s:.*?)\1|\$\$(?P<block>(?s:.+?))\$\$|\$(?P<inline>[^$\n]+?)\$")
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
<a class="skip" href="#content">Skip to the lesson</a>
<main id="content">
{body}
</main>
{scripts}
</body>
</html>
"""


def build(lessons=()):
    """Writes the pages of lessons, all if none is named; yields each path.

    Args:
        lessons: numbers or name beginnings, such as ``"03"``.
    Raises:
        LessonError: no such lesson, or one that is not built.
    """
    for source in notebooks.chosen(lessons):
        path = notebooks.FOLDER / f"{source.stem}.ipynb"
        if not path.exists():
            raise notebooks.LessonError(f"{path.name} is not built yet. Run: {notebooks.REBUILD} {source.stem[:2]}")
        text = page(nbformat.read(path, as_version=4))
        PAGES.mkdir(parents=True, exist_ok=True)
        yield notebooks.write_text(text, PAGES / f"{source.stem}.html")


def page(notebook: nbformat.NotebookNode) -> str:
    """An executed lesson as HTML that needs no other file.

    Raises:
        LessonError: no heading with a sentence in italics at the top, or a widget without its state.
    """
    from nbconvert import HTMLExporter
    from pygments.formatters import HtmlFormatter

    title, description = _about(notebook)
    states = alive.place(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = _links(_formulas(cell.source))
    notebook.metadata.pop("widgets", None)
    exporter = HTMLExporter(template_name="basic", exclude_input_prompt=True, exclude_output_prompt=True)
    body, _ = exporter.from_notebook_node(notebook)
    light = HtmlFormatter(style="default").get_style_defs(".highlight")
    dark = HtmlFormatter(style="github-dark").get_style_defs(".highlight")
    style = STYLE.read_text(encoding="utf-8").replace("/* light */", light).replace("/* dark */", dark)
    return HTML.format(
        policy=POLICY,
        title=html.escape(title),
        description=html.escape(description),
        style=f"{style}\n{alive.head(states)}",
        body=_tables(body.strip()),
        scripts="\n".join([SCRIPT, alive.scripts(states)]),
    )


def _about(notebook: nbformat.NotebookNode) -> tuple[str, str]:
    """Title and description: the first heading, and the first sentence in italics."""
    first = notebook.cells[0].source
    title = re.search(r"^# (.+)$", first, re.MULTILINE)
    said = re.search(r"^\*([^*].+?)\*$", first, re.MULTILINE | re.DOTALL)
    if title is None or said is None:
        raise notebooks.LessonError("the first cell wants a heading and a sentence in italics below it")
    return title[1].replace("`", ""), " ".join(said[1].split())


def _formulas(markdown: str) -> str:
    """Markdown with its formulas as MathML; code stays as it is."""
    from latex2mathml.converter import convert

    def drawn(found: re.Match) -> str:
        if found["block"] is None and found["inline"] is None:
            return found[0]  # code
        formula = " ".join((found["block"] or found["inline"]).split())
        return convert(formula, display="block" if found["block"] else "inline")

    return MATH.sub(drawn, markdown)


def _tables(body: str) -> str:
    """HTML whose tables have no empty heads: Markdown cannot leave a head out."""
    body = re.sub(r"<thead>\s*<tr>\s*(<th[^>]*></th>\s*)+</tr>\s*</thead>", "", body)
    return re.sub(r"<th([^>]*)></th>", r"<td\1></td>", body)


def _links(markdown: str) -> str:
    """Links between lessons lead from page to page."""
    return re.sub(r"\]\((\d\d_\w+)\.ipynb", r"](\1.html", markdown)
