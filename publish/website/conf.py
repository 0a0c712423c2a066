"""How Sphinx makes the site. ``sphinx_source.py`` writes what it reads; nothing here asks the network."""

import inspect
import json
import re
from datetime import date
from html import escape, unescape
from pathlib import Path

from sphinx.util.inspect import stringify_signature

from publish import picture
from publish.document import with_readable_tables, with_sentences
from publish.for_readers import WORDS_A_MINUTE

project = "Attention masks, executed"
author = "the authors of Attention masks, executed"
project_copyright = f"{date.today().year}. Text: CC BY 4.0. Code: MIT"
language = "en"

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinx_design",
]
nb_execution_mode = "off"  # executed already, once for everything
nb_merge_streams = True
myst_heading_anchors = 3
myst_enable_extensions = ["attrs_block", "colon_fence"]
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
napoleon_use_rtype = False  # the type is in the signature already
napoleon_use_ivar = True  # attributes as a list, not as entries beside those of the class
copybutton_selector = "div.cell_input pre, div.highlight-python pre, div.highlight-bash pre"
suppress_warnings = ["mystnb.unknown_mime_type"]

html_theme = "pydata_sphinx_theme"
html_title = "Attention masks"
html_context = {"default_mode": "auto"}
html_css_files = ["masks.css", "site.css"]
html_js_files = ["site.js", "asking.js"]
templates_path = ["_templates"]
html_copy_source = False
html_show_sourcelink = False
html_domain_indices = False
html_sidebars: dict[str, list] = {
    "index": [],
    "404": [],
    "what_tutorials_get_wrong": [],
    "for_lecturers": [],
    "cheat_sheet": [],
    "what_went_wrong": [],
    "which_masks": [],
}
html_favicon = "_static/mask.svg"
html_theme_options = {
    "logo": {"text": "Attention masks", "image_light": "_static/mask.svg", "image_dark": "_static/mask.svg"},
    "navbar_end": ["theme-switcher"],
    "article_header_end": ["about-page"],
    "secondary_sidebar_items": {"**": ["page-toc"], "index": [], "which_masks": []},
    "footer_start": ["copyright"],
    "footer_end": [],
    "navigation_with_keys": False,  # arrow keys belong to the widgets
    "search_bar_text": "Search the lessons",
    "show_toc_level": 2,
    "back_to_top_button": False,
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}

#: Of pages that are no lessons.
DESCRIPTIONS = {
    "lessons": "All lessons on attention masks in their order, with the time that each takes.",
    "what_tutorials_get_wrong": "Claims about attention masks, what a run shows of each, and the cell that proves it.",
    "for_lecturers": "How long each lesson takes to teach, what to leave out, and what most will answer.",
    "which_masks": "Every text model class of transformers: which attention masks it takes, in which form, and what it "
    "hides by itself. Measured.",
    "reference": "The helpers behind the lessons: masks, what torch and transformers make of them, and measuring them.",
    "404": "There is no such page.",
    "search": "Search the lessons and the reference.",
    "genindex": "Every name in the reference, in alphabetical order.",
}


def describe(app, name, template, context, doctree):
    """Gives each page what a link to it shows, the minutes it takes, its downloads and its launch buttons."""
    pages = json.loads((Path(app.srcdir) / "about.json").read_text(encoding="utf-8"))
    about, address = pages.get(name, {}), app.config.html_baseurl
    plain = f"Reference of {name.replace('reference/', 'utils.')}: what each function takes, returns and raises."
    title = about.get("title") or re.sub(r"<[^>]+>", "", unescape(context.get("title", "")))
    description = about.get("description") or DESCRIPTIONS.get(name, plain)
    tags = {"description": description, "og:type": "website", "og:site_name": project}
    tags |= {"og:title": title, "og:description": description}
    if name == "404":
        context["pageurl"] = None  # it is shown at any address
    elif address:
        if name == "index":
            context["pageurl"] = address  # one page, one address
        tags |= {"og:url": context["pageurl"], **picture_tags(about if "picture" in about else pages["index"], address)}
    context["metatags"] = "\n".join([context.get("metatags", ""), *(meta(*tag) for tag in tags.items())])
    if name == "404" and address:  # its links start from the top
        context["metatags"] += f'\n<base href="{escape(address)}">'
    if doctree is not None and name not in ("index", "404"):
        words = sum(len(text.split()) for text in doctree.findall(is_read))
        context["minutes"] = about.get("read") or max(1, round(words / WORDS_A_MINUTE))
    context.update(minutes_to_do=about.get("do"), downloads=about.get("downloads"), launches=about.get("launches"))
    if "body" in context:
        context["body"] = PRINT.sub(with_sentences, with_readable_tables(context["body"]))


def is_read(node):
    """Whether a node is text of the page, not of a picture in HTML."""
    return node.tagname == "#text" and getattr(node.parent, "tagname", "") != "raw"


def picture_tags(about, address):
    """What names the picture that a link to a page shows."""
    width, height = map(str, picture.SIZE)
    return {
        "og:image": address + about["picture"],
        "og:image:alt": about["shown"],
        "og:image:type": "image/png",
        "og:image:width": width,
        "og:image:height": height,
        "twitter:card": "summary_large_image",
    }


def meta(name, content):
    """A tag of a page's head: Open Graph has properties, the rest are names."""
    return f'<meta {"property" if name.startswith("og:") else "name"}="{name}" content="{escape(content)}">'


#: What a cell prints, in MyST-NB's HTML.
PRINT = re.compile(
    r'(<div class="output (?:stream|text_plain)[^>]*><div class="highlight"><pre)>(.*?)</pre>', re.DOTALL
)


def is_internal(app, what, name, obj, skip, options):
    """Whether the reference leaves out a member of a module: constants and the command line. None: as usual."""
    if what == "module" and (name == "main" or not (inspect.isclass(obj) or inspect.isroutine(obj))):
        return True
    return None


def signature(app, what, name, obj, options, arguments, returns):
    """What a class takes, where its base hides it: a widget's arguments are those of its ``__init__``."""
    if what == "class" and arguments and arguments.startswith("(*args"):
        parameters = [*inspect.signature(obj.__init__).parameters.values()][1:]  # without self
        return stringify_signature(inspect.Signature(parameters), unqualified_typehints=True), returns
    return None


#: Docstrings of attributes, as they were written.
one_liners: dict[str, list[str]] = {}


def remember_docstring(app, what, name, obj, options, lines):
    """Remembers what is said of an attribute: napoleon takes what comes before a colon for its type."""
    if what in ("attribute", "property", "data") and not any(line.endswith(":") for line in lines):
        one_liners[name] = list(lines)


def restore_docstring(app, what, name, obj, options, lines):
    """Undoes what napoleon did to an attribute's docstring; of a named tuple's field, Python says only its number."""
    lines[:] = [line for line in one_liners.pop(name, lines) if not line.startswith("Alias for field number")]


def setup(app):
    """Connects what is defined here; returns that pages may be read and written in parallel."""
    app.add_config_value("said_of_pages", "", "html")
    app.connect("html-page-context", describe)
    app.connect("autodoc-skip-member", is_internal)
    app.connect("autodoc-process-signature", signature)
    app.connect("autodoc-process-docstring", remember_docstring, priority=400)  # before napoleon
    app.connect("autodoc-process-docstring", restore_docstring, priority=600)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
