"""The ground of publishing: folders, tags, the kernel, the error of a lesson, and files that are written complete."""

import os
import threading
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent
PACKAGE = ROOT / "utils"
FOLDER = ROOT / "notebooks"
SOURCES = FOLDER / "src"
SOLUTIONS = FOLDER / "solutions"
#: The page of the claims ledger, which has no source.
CLAIMS = FOLDER / "what_tutorials_get_wrong.ipynb"
README_PICTURE = ROOT / "data" / "before_after.png"

KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
#: Media types of a widget's view and of the states of all widgets.
VIEW = "application/vnd.jupyter.widget-view+json"
STATE = "application/vnd.jupyter.widget-state+json"
REBUILD = "python -m publish notebooks"


class LessonError(Exception):
    """A lesson that cannot be published; the message names it, and the cell."""


def sources() -> list[Path]:
    """The sources of the collection: lessons in the order of their numbers, then the pages that have none."""
    return sorted(SOURCES.glob("*.md"), key=lambda path: (not is_lesson(path.stem), path.stem))


def is_lesson(name: str) -> bool:
    """Whether it is the name of a lesson; a page to look things up, such as the cheat sheet, has no number."""
    return name[:2].isdigit()


def tags(cell) -> set[str]:
    """The tags of a cell; ``__init__`` says what they mean."""
    return set(cell.metadata.get("tags", ()))


def write_text(text: str, path: Path) -> Path:
    """Writes a file through one beside it, so that nobody reads half of it; returns its path."""
    scratch = path.with_name(f"{path.name}.{os.getpid()}-{threading.get_ident()}.tmp")
    scratch.write_text(text, encoding="utf-8")
    return scratch.replace(path)
