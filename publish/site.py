"""The site: lessons, cheat sheet, ledger and reference as static HTML, with live widgets, search and downloads.

Each lesson is executed once and its outputs are kept; Sphinx with MyST-NB and the PyData theme makes the pages, and
makes again only those that changed. All of it works from a disk and asks the network for nothing. A build replaces
``dist/site`` only when it is complete.
"""

import copy
import hashlib
import html
import os
import re
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import nbformat
from filelock import FileLock

from utils import lessons as copies

from . import for_readers, ledger, normalise, notebooks, page, paths, sheet, slides, source, sphinx_source
from .hosting import Hosting

SITE = paths.ROOT / "dist" / "site"
WORK = paths.ROOT / "dist" / "build"
#: Old address → where it leads.
MOVED = {"10_cheat_sheet.html": "cheat_sheet.html"}
#: Pages that nobody should land on from a search.
UNLISTED = ("404.html", "genindex.html", "search.html", *MOVED)
LEADS_ON = """\
<!doctype html>
<meta charset="utf-8">
<title>Moved</title>
<meta http-equiv="refresh" content="0; url={new}">
<link rel="canonical" href="{new}">
<a href="{new}">This page has moved.</a>
"""
SITEMAPS = "http://www.sitemaps.org/schemas/sitemap/0.9"

SET_UP = """\
# Downloaded or opened in Colab, this fetches the helpers and data of the lessons. In the collection it does nothing.
import os, subprocess, sys

if not os.path.exists("../utils"):
    subprocess.run(["git", "clone", "--quiet", "--depth=1", "{repository}", "attention-masks"], check=True)
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "-e", "attention-masks"], check=True)
    sys.path.insert(0, os.path.abspath("attention-masks"))
    os.chdir("attention-masks/notebooks")"""
ALONE = (
    "*This notebook needs the helpers and the data of its collection: put it into the folder `my_lessons` there, "
    "which `make lab` makes.*\n\n"
)


def build(hosting: Hosting | None = None) -> Path:
    """Builds the site and returns its folder; of two processes that build it the second waits for the first.

    Raises:
        LessonError: a lesson that cannot be executed, or anything that Sphinx warns of. The site that was there stays.
    """
    hosting = hosting or Hosting()
    executed = {lesson.stem: list(notebooks.finished(lesson)) for lesson in source.files()}
    lessons = {name: for_readers.folded([notebook for _, notebook in files]) for name, files in executed.items()}
    claims = ledger.page()
    WORK.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(WORK.with_name(f"{WORK.name}.lock")):
        try:
            if sphinx_source.write(lessons, claims, hosting, WORK / "source"):
                for built in ("html", "doctrees"):
                    shutil.rmtree(WORK / built, ignore_errors=True)
            _run_sphinx(hosting)
        except BaseException:
            shutil.rmtree(WORK, ignore_errors=True)  # half a build is no ground for the next one
            raise
        fresh = SITE.with_name("site.new")
        shutil.rmtree(fresh, ignore_errors=True)
        unused = shutil.ignore_patterns(".buildinfo*", "*.map", "_sources", "webpack-macros.html")
        shutil.copytree(WORK / "html", fresh, ignore=unused)
        (fresh / ".nojekyll").touch()
        for old, new in MOVED.items():
            paths.write_text(LEADS_ON.format(new=new), fresh / old)
        if hosting.address:
            _write_for_search_engines(fresh, hosting.address)
        _write_downloads(fresh, lessons, claims)
        for (path, notebook), *_ in executed.values():
            normalise.write(_to_run_alone(notebook, path.name, hosting), fresh / "downloads" / path.name)
        _replace_site(fresh)
    return SITE


def _run_sphinx(hosting: Hosting) -> None:
    """Makes the pages; whatever Sphinx warns of stops the build."""
    folders = [str(WORK / name) for name in ("source", "html")]
    options = ["-q", "-W", "--keep-going", "-c", str(sphinx_source.WEBSITE), "-d", str(WORK / "doctrees")]
    options += ["-D", f"html_static_path=_static,{WORK / 'source' / '_static'}"]
    if hosting.address:
        options += ["-D", f"html_baseurl={hosting.address}/"]
    # They make every page.
    unwatched = (sphinx_source.WEBSITE / "conf.py", paths.HERE / "document.py", WORK / "source" / "about.json")
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in unwatched)).hexdigest()
    options += ["-D", f"said_of_pages={digest}"]
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", *options, *folders],
        env={**os.environ, "PYTHONHASHSEED": "0"},  # the search index lists sets
        capture_output=True,
        text=True,
    )
    if done.returncode:
        complaint = re.sub(r"\x1b\[[\d;]*m", "", done.stderr).strip()
        raise paths.LessonError(f"the site cannot be built; Sphinx says:\n{complaint}")


def _write_for_search_engines(folder: Path, address: str) -> None:
    """Writes sitemap.xml, with every page once, and robots.txt, which leads to it.

    sphinx-sitemap would list those pages only that this build had to write again.
    """
    pages = [path.relative_to(folder).as_posix() for path in [*folder.glob("*.html"), *folder.glob("reference/*.html")]]
    addresses = sorted(f"{address}/{'' if page == 'index.html' else page}" for page in pages if page not in UNLISTED)
    urls = "".join(f"<url><loc>{html.escape(url)}</loc></url>\n" for url in addresses)
    sitemap = f'<?xml version="1.0" encoding="utf-8"?>\n<urlset xmlns="{SITEMAPS}">\n{urls}</urlset>\n'
    paths.write_text(sitemap, folder / "sitemap.xml")
    paths.write_text(f"User-agent: *\nAllow: /\n\nSitemap: {address}/sitemap.xml\n", folder / "robots.txt")


def _write_downloads(folder: Path, lessons: dict[str, nbformat.NotebookNode], claims: nbformat.NotebookNode) -> None:
    """Writes the single pages and the decks, the printed sheet and the ledger's notebook into a new site."""
    for name in ("pages", "slides", "downloads"):
        (folder / name).mkdir()
    for name, notebook in lessons.items():
        paths.write_text(page.page(copy.deepcopy(notebook)), folder / "pages" / f"{name}.html")
        if paths.is_lesson(name):
            paths.write_text(slides.deck(copy.deepcopy(notebook), name), folder / "slides" / f"{name}.html")
    paths.write_text(page.page(copy.deepcopy(claims)), folder / "pages" / f"{ledger.PAGE.stem}.html")
    paths.write_text(sheet.page(), folder / "pages" / for_readers.PRINTED)
    normalise.write(claims, folder / "downloads" / ledger.PAGE.name)


def _replace_site(fresh: Path) -> None:
    """Puts the new site where the old one was."""
    old = SITE.with_name("site.old")
    shutil.rmtree(old, ignore_errors=True)
    with suppress(FileNotFoundError):
        SITE.rename(old)
    fresh.rename(SITE)
    shutil.rmtree(old, ignore_errors=True)


def _to_run_alone(notebook: nbformat.NotebookNode, name: str, hosting: Hosting) -> nbformat.NotebookNode:
    """A lesson, without outputs, for somebody who has nothing else.

    It fetches the collection or, if that has no address, says where in it the notebook belongs.
    """
    there = copies.links(paths.ROOT / "my_lessons")
    alone = copies.fresh(notebook, lambda link: hosting.link(link) or there(link), for_readers.with_solutions())
    if hosting.repository:
        code = SET_UP.format(repository=hosting.repository)
        alone["cells"].insert(0, nbformat.v4.new_code_cell(code, id="set-up"))
    else:
        alone["cells"][0]["source"] = ALONE + alone["cells"][0]["source"]
    return nbformat.from_dict(copies.stamped(alone, name))
