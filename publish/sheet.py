"""The cheat sheet for the wall: one sheet of paper, both sides, as a file that any browser opens and prints.

It is made of the cells of lesson 10 up to its line "End of the sheet", without code. The proof stays in the notebook.
"""

import re
from pathlib import Path

import nbformat

from publish import notebooks

LESSON = notebooks.FOLDER / "10_cheat_sheet.ipynb"
PAGE = notebooks.FOLDER / "10_cheat_sheet.html"
END = "*End of the sheet."

HTML = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Attention masks: cheat sheet</title>
<meta name="description" content="Which attention mask goes where: shapes, types, polarity, converters and traps.">
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 16px/1.45 system-ui, sans-serif; max-width: 75rem; margin: auto; padding: 1rem; }}
table {{ border-collapse: collapse; width: 100%; }}
th, td {{ border: 1px solid #8888; padding: 0.2em 0.5em; text-align: left; vertical-align: top; }}
code {{ font: 0.9em ui-monospace, monospace; }}
img {{ max-width: 100%; height: auto; background: white; }}
.anchor-link {{ display: none; }}
@media screen and (max-width: 60rem) {{ table {{ display: block; overflow-x: auto; }} }}
@page {{ size: A4; margin: 8mm; }}
@media print {{
  :root {{ color-scheme: light; }}
  body {{ font-size: 7.3pt; line-height: 1.17; max-width: none; padding: 0; }}
  h1 {{ font-size: 12pt; margin: 0; }}
  h2 {{ font-size: 9.5pt; margin: 1.2mm 0 0.4mm; break-after: avoid; }}
  p {{ margin: 0.6mm 0; }}
  th, td {{ padding: 0.1mm 0.9mm; }}
  table, img {{ break-inside: avoid; }}
  img {{ max-height: 24mm; width: auto !important; }}
  a {{ color: inherit; text-decoration: none; }}
}}
</style>
</head>
<body>
<main>
{body}
</main>
</body>
</html>
"""


def page() -> str:
    """The page as HTML, with its picture inside it and nothing to load."""
    from nbconvert import HTMLExporter

    notebook = nbformat.read(LESSON, as_version=4)
    ends = [place for place, cell in enumerate(notebook.cells) if END in cell.source]
    if len(ends) != 1:
        raise notebooks.LessonError(f"{LESSON.name}: wanted one cell with {END!r}, found {len(ends)}")
    notebook.cells = notebook.cells[: ends[0] + 1]
    last = notebook.cells[-1]
    last.source = last.source[: last.source.index(END)].rstrip()
    for cell in notebook.cells:  # on paper, and alone in a folder, a link leads nowhere
        cell.source = re.sub(r"\[([^\]]+)\]\(\w+\.(?:ipynb|html)[^)]*\)", r"\1", cell.source)
    notebook.metadata.pop("widgets", None)
    body, _ = HTMLExporter(template_name="basic", exclude_input=True, exclude_output_prompt=True).from_notebook_node(
        notebook
    )
    return HTML.format(body=body.strip())


def write() -> Path:
    """Writes the page beside its lesson."""
    return notebooks.write_text(page(), PAGE)
