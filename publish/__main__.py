"""Command line: ``python -m publish notebooks|page|slides|assignment [LESSON …]``, ``site``, ``guide``, ``questions``,
``normalise`` and ``which-masks``. With SOLUTIONS=no in the environment, pages, slides and site have no solutions.
"""

import argparse
import json
import sys
from pathlib import Path

from . import (
    assignment,
    for_readers,
    guide,
    ledger,
    normalise,
    notebooks,
    page,
    paths,
    questions,
    sheet,
    site,
    slides,
    source,
    which_masks,
    zoo,
)
from .hosting import Hosting


def parser() -> argparse.ArgumentParser:
    """The commands and what they take."""
    parser = argparse.ArgumentParser(prog="python -m publish", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    build = commands.add_parser("notebooks", help="execute the lessons and write their notebooks")
    build.add_argument("lessons", nargs="*", help="numbers or names, such as 02; all if none is given")
    build.add_argument("--fresh", action="store_true", help="execute even what has been executed")
    single = commands.add_parser("page", help="write lessons as self-contained files, to dist/pages")
    single.add_argument("lessons", nargs="*", help="numbers or names, such as 03; all if none is given")
    deck = commands.add_parser("slides", help="write lessons as decks of slides, one file each, to dist/slides")
    deck.add_argument("lessons", nargs="*", help="numbers or names, such as 03; all if none is given")
    graded = commands.add_parser("assignment", help="write lessons as sources of nbgrader, to dist/assignments")
    graded.add_argument("lessons", nargs="*", help="numbers or names, such as 05; all if none is given")
    everything = commands.add_parser("site", help="write the complete site, to dist/site")
    everything.add_argument(
        "--repository", default="", metavar="URL", help="for buttons that launch a lesson elsewhere"
    )
    everything.add_argument("--address", default="", metavar="URL", help="where the site will be")
    everything.add_argument("--jupyterhub", default="", metavar="URL", help="a JupyterHub with nbgitpuller")
    takes = commands.add_parser(
        "which-masks", help="try every text model of transformers, and write data/which_masks.json"
    )
    takes.add_argument("classes", nargs="*", help="such as MistralForCausalLM: print their lines, and write nothing")
    commands.add_parser("guide", help="write the lecturer's guide, to dist/pages")
    commands.add_parser("questions", help="write all questions for polling tools, to dist/questions")
    tidy = commands.add_parser("normalise", help="take out of notebooks what JupyterLab adds when it saves")
    tidy.add_argument("files", nargs="*", type=Path, help="notebooks; all lessons if none is given")
    return parser


def run(options: argparse.Namespace) -> None:
    """Carries out one command, and prints what it wrote."""
    if options.command == "notebooks":
        for path in notebooks.build(options.lessons, options.fresh):
            print(_with_size(path))
        for derived in (ledger, sheet):
            print(f"wrote {derived.write().relative_to(paths.ROOT)}")
    elif options.command == "site":
        folder = site.build(Hosting(options.repository, options.address, options.jupyterhub))
        print(f"the site is in {folder.relative_to(paths.ROOT)}/index.html")
    elif options.command in ("page", "slides"):
        for path in (page if options.command == "page" else slides).build(options.lessons):
            print(_with_size(path))
    elif options.command == "guide":
        lessons = {lesson.stem: for_readers.lesson(lesson) for lesson in source.lessons()}
        print(_with_size(paths.write_text(page.page(guide.page(lessons)), page.PAGES / f"{guide.PAGE}.html")))
    elif options.command == "questions":
        for path in questions.export():
            print(_with_size(path))
    elif options.command == "assignment":
        for path in assignment.build(options.lessons):
            print(_with_size(path))
        print(f"next, in {assignment.COURSE.relative_to(paths.ROOT)}: nbgrader generate_assignment NAME")
    elif options.command == "which-masks":
        if not options.classes:
            print(_with_size(which_masks.write()))
        for name in options.classes:
            print(json.dumps({name: _line(name)}))
    else:
        for path in options.files or notebooks.committed():
            if normalise.normalise_file(path):
                print(f"normalised {path}")


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit status: 1 if a lesson cannot be published, with the reason on stderr."""
    try:
        run(parser().parse_args(arguments))
    except paths.LessonError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _line(name: str) -> dict:
    """A line of the table of models."""
    try:
        return which_masks.line(name)
    except KeyError:
        import difflib

        near = difflib.get_close_matches(name, zoo.classes())
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        raise paths.LessonError(f"which-masks: {name} is no text model of the installed transformers{hint}") from None
    except ValueError as error:
        raise paths.LessonError(f"which-masks: {error}") from None


def _with_size(path: Path) -> str:
    """What is printed of a file that was written."""
    return f"wrote {path.relative_to(paths.ROOT)}, {path.stat().st_size / 1000:.0f} kB"


if __name__ == "__main__":
    sys.exit(main())
