"""One shell for every self-contained file of HTML: it opens from a disk and asks for nothing.

Its Content-Security-Policy forbids what it does not need: every request.
"""

import html
import re
from functools import cache

import nbformat
from bs4 import BeautifulSoup
from traitlets.config import Config

from utils.plots import DARK_STYLE

from . import paths

#: What all of them have in their style, and the site, too.
SHARED = paths.HERE / "shared.css"
POLICY = "default-src 'none'; script-src 'unsafe-inline' blob:{wasm}; style-src 'unsafe-inline'; img-src data:"
LINK = re.compile(r"\[([^\]]+)\]\((?:solutions/)?\w+\.(?:ipynb|html)[^)]*\)")
#: What a cell prints, in nbconvert's HTML.
PRINT = re.compile(r'(<div class="(?:output_subarea output_stream|output_text)[^>]*>\s*<pre)>(.*?)</pre>', re.DOTALL)
#: Columns that are lined up, and rows of a matrix: broken, such lines say nothing.
LINED_UP = re.compile(r"\S {2,}\S|^ *\[", re.MULTILINE)
LONGEST_LINED_UP = 90
#: A message that begins a line: none is ever cut, whatever stands above it.
MESSAGE = re.compile(r"^\w*(?:Error|Warning): ", re.MULTILINE)
TABLE = re.compile(r"<table\b.*?</table>", re.DOTALL)
#: In a table, a long word of code may be broken after one of these signs, and a name that is as long after "_".
LONG_WORD = re.compile(r"\S{25,}")
SIGN = re.compile(r"(?<=[.(,=])(?=[^.(,=)\]])")
#: Characters of a row that no phone has room for, in three columns or more.
LONGEST_ROW = 60
#: Tag of a cell that shows its output only.
HIDDEN_CODE = "hidden-code"

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


def document(
    title: str,
    description: str,
    *,
    style: str,
    body: str,
    scripts: str = "",
    policy: str = "",
    wasm: bool = False,
) -> str:
    """A complete file of HTML; title and description are plain text.

    Args:
        title: of the window.
        description: one sentence.
        style: of this page.
        body: what it shows.
        scripts: its end.
        policy: what it may do beyond ``POLICY``.
        wasm: whether it may compile WebAssembly.
    """
    policy = POLICY.format(wasm=" 'wasm-unsafe-eval'" if wasm else "") + policy
    style = f"{style}\n{shared_style('screen and (prefers-color-scheme: dark)', '.masks-figure')}"
    title, description = html.escape(title), html.escape(description)
    return HTML.format(title=title, description=description, style=style, body=body, scripts=scripts, policy=policy)


def shared_style(dark: str, figures: str) -> str:
    """The style that all pages share; where the media are ``dark``, figures, which are drawn light, are dark too."""
    return f"{SHARED.read_text(encoding='utf-8')}\n@media {dark} {{ {figures} {DARK_STYLE} }}"


def converted(notebook: nbformat.NotebookNode, *, code: bool = True, anchors: bool = True) -> str:
    """The cells of a notebook as HTML: with all code, or none; with links to headings, or none.

    Code of a cell tagged ``HIDDEN_CODE`` is left out, and so are the numbers of executions.
    """
    return PRINT.sub(with_sentences, _exporter(code, anchors).from_notebook_node(notebook)[0].strip())


def with_sentences(output: re.Match[str]) -> str:
    """What a cell prints, marked if it is sentences, such as an error's, that may be broken where the line ends."""
    lines = html.unescape(re.sub(r"<[^>]+>", "", output[2])).splitlines()
    text, too_long = "\n".join(lines), max(map(len, lines), default=0) > LONGEST_LINED_UP
    is_lined_up = LINED_UP.search(text) and not too_long and not MESSAGE.search(text)
    style = "" if is_lined_up else ' class="sentences"'
    return f"{output[1]}{style}>{output[2]}</pre>"


@cache
def _exporter(code: bool, anchors: bool):
    """nbconvert's exporter with these options; it reads its templates once, which takes longer than a cell."""
    from nbconvert import HTMLExporter

    return HTMLExporter(
        template_name="basic",
        exclude_input=not code,
        exclude_anchor_links=not anchors,
        exclude_input_prompt=True,
        exclude_output_prompt=True,
        config=Config({"TagRemovePreprocessor": {"enabled": True, "remove_input_tags": {HIDDEN_CODE}}}),
    )


def without_links(markdown: str) -> str:
    """Markdown whose links to other files of the collection are words: on a slide and on paper they lead nowhere."""
    return LINK.sub(r"\1", markdown)


def highlighted(style: str) -> str:
    """A style sheet with the colours of code, light and dark, where it says so."""
    from pygments.formatters import HtmlFormatter

    for name, colours in (("light", "default"), ("dark", "github-dark")):
        style = style.replace(f"/* {name} */", HtmlFormatter(style=colours).get_style_defs(".highlight"))
    return style


def with_readable_tables(body: str) -> str:
    """HTML whose tables can be read on narrow pages and on slides.

    Long words of code may be broken after a sign; empty heads are left out, which Markdown cannot do. Where rows are
    long, each cell names its column: on a phone, shared.css puts the cells below each other.
    """
    body = re.sub(r"<thead>\s*<tr[^>]*>\s*(<th[^>]*>(<p></p>)?</th>\s*)+</tr>\s*</thead>", "", body)
    body = re.sub(r"<th([^>]*)>(<p></p>)?</th>", r"<td\1></td>", body)
    return TABLE.sub(_readable, body)


def _with_breaks(word: re.Match[str]) -> str:
    """A long word of code as HTML that says where it may be broken."""
    parts = SIGN.split(word[0])
    return "<wbr>".join(part.replace("_", "_<wbr>") if LONG_WORD.fullmatch(part) else part for part in parts)


def _readable(match: re.Match[str]) -> str:
    """A table in which long words of code have places to break, and cells of long rows name their column."""
    soup = BeautifulSoup(match[0], "html.parser")
    for text in [text for code in soup("code") for text in code.find_all(string=True)]:
        broken = LONG_WORD.sub(_with_breaks, html.escape(text, quote=False))
        if "<wbr>" in broken:
            text.replace_with(BeautifulSoup(broken, "html.parser"))
    head, *rows = soup("tr")
    columns = [cell.get_text().strip() for cell in head(["th", "td"])]
    if soup.thead and len(columns) > 2 and max(len(row.get_text()) for row in rows) > LONGEST_ROW:
        for table in soup("table"):
            table["data-long-rows"] = ""
            table["role"] = "table"  # a browser may forget what is shown otherwise
        for part in soup(["thead", "tbody"]):
            part["role"] = "rowgroup"
        for row in (head, *rows):
            row["role"] = "row"
            for column, cell in zip(columns, row(["th", "td"]), strict=False):
                cell["role"] = "columnheader" if cell.name == "th" else "cell"
                cell["data-column"] = column
    return str(soup)
