"""One shell for every file of HTML that stands alone: it opens from a disk and asks for nothing.

Its Content-Security-Policy forbids what it does not need: every request.
"""

import html
import re

import nbformat

POLICY = "default-src 'none'; script-src 'unsafe-inline' blob:; style-src 'unsafe-inline'; img-src data:"

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


def document(title: str, description: str, *, style: str, body: str, scripts: str = "", policy: str = POLICY) -> str:
    """A complete file of HTML; title and description are plain text."""
    title, description = html.escape(title), html.escape(description)
    return HTML.format(title=title, description=description, style=style, body=body, scripts=scripts, policy=policy)


def converted(notebook: nbformat.NotebookNode, **options) -> str:
    """The cells of a notebook as HTML, without the numbers of executions; options are those of nbconvert's exporter."""
    from nbconvert import HTMLExporter

    exporter = HTMLExporter(template_name="basic", exclude_input_prompt=True, exclude_output_prompt=True, **options)
    return exporter.from_notebook_node(notebook)[0].strip()


def highlighted(style: str) -> str:
    """A style sheet with the colours of code, light and dark, where it says so."""
    from pygments.formatters import HtmlFormatter

    for name, colours in (("light", "default"), ("dark", "github-dark")):
        style = style.replace(f"/* {name} */", HtmlFormatter(style=colours).get_style_defs(".highlight"))
    return style


def without_empty_heads(body: str) -> str:
    """HTML whose tables have no empty heads: Markdown cannot leave a head out."""
    body = re.sub(r"<thead>\s*<tr[^>]*>\s*(<th[^>]*>(<p></p>)?</th>\s*)+</tr>\s*</thead>", "", body)
    return re.sub(r"<th([^>]*)>(<p></p>)?</th>", r"<td\1></td>", body)
