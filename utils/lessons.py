"""A copy of the lessons to work in: ``python -m utils.lessons [FOLDER]`` puts them, without outputs, into my_lessons.

No answer is lost. A copy holds a hash of what was in it when it was written. If that is still what is in it, nobody has
worked in it, and it is replaced when its lesson changes. Otherwise it stays as it is, and a changed lesson is put
beside it as ``NN_name.new.ipynb``. Cells, outputs and the states of widgets count: drawn masks and predictions are in
those states, and running again does not bring them back. Nothing is ever deleted or renamed. A lesson that its learner
deletes or renames is put there again: that is how to begin it anew.

Only the standard library is needed.
"""

import argparse
import hashlib
import itertools
import json
import os
import re
import secrets
import stat
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

ROOT = Path(__file__).resolve().parents[1]
LESSONS = ROOT / "notebooks"
#: Where a notebook's metadata say what it was when it was written.
OURS = "attention_masks"
STATES = "application/vnd.jupyter.widget-state+json"
#: In an output: which widget is shown there. In a state: another widget that it consists of.
VIEW = "application/vnd.jupyter.widget-view+json"
PART = re.compile(r'"IPY_MODEL_([^"]+)"')
#: In the folder: lesson → hash of the last version that was put beside it. Who deletes that version has seen it.
OFFERED = ".offered.json"
#: Seconds after which a file that was not finished belongs to a run that was killed, not to one that goes on.
LITTER = 3600

#: Where a link or a picture leads to, in Markdown and in HTML.
LINK = re.compile(r"""(?P<before>\]\(|(?:href|src)=["'])(?P<target>[^)"'\s]+)""")
#: A link to a solution, and the space between two sentences.
SOLUTION = re.compile(r"\]\([^)\s]*\bsolutions/")
BETWEEN = re.compile(r"((?<=[.!?])\s+)")


class Answer(NamedTuple):
    """A file in a learner's folder."""

    is_plain: bool  #: no link to another place, no folder
    data: bytes  #: what is in it
    digest: str  #: of what is in it, empty if it is no notebook
    written: str  #: its digest when it was written, empty if that is not known
    lesson: str  #: the name under which it was written

    @property
    def is_touched(self) -> bool:
        """Whether there is, or may be, anything in it that a learner has put there."""
        return not self.is_plain or not self.digest or self.digest != self.written


@dataclass
class Report:
    """What one run did: the names of the lessons by what became of them."""

    new: list[str] = field(default_factory=list)
    refreshed: list[str] = field(default_factory=list)
    current: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    beside: list[str] = field(default_factory=list)  #: files with new versions of lessons that were kept
    gone: list[str] = field(default_factory=list)  #: copies of what is no lesson any more
    failed: dict[str, str] = field(default_factory=dict)  #: lesson → why it could not be read or written


# --- what a notebook is without its outputs ----------------------------------------------------------


def with_solutions() -> bool:
    """Whether solutions are shown, and linked to: unless the environment says ``SOLUTIONS=no``.

    Raises:
        ValueError: it says neither yes nor no.
    """
    said = os.environ.get("SOLUTIONS", "").strip().lower()
    if said not in ("", "yes", "no"):
        raise ValueError(f"SOLUTIONS: {said!r}; wanted yes or no")
    return said != "no"


def without_solutions(markdown: str) -> str:
    """Markdown without the sentences that link to a solution."""
    paragraphs = []
    for paragraph in markdown.split("\n\n"):
        if SOLUTION.search(paragraph):
            parts = [*BETWEEN.split(paragraph), ""]  # each sentence, and what is between it and the next
            sentences = zip(parts[::2], parts[1::2], strict=True)
            paragraph = "".join(each + space for each, space in sentences if not SOLUTION.search(each)).rstrip()
            if not paragraph:
                continue
        paragraphs.append(paragraph)
    return "\n\n".join(paragraphs)


def fresh(notebook: Mapping[str, Any], moved: Callable[[str], str], solutions: bool) -> dict[str, Any]:
    """A notebook that nobody has run yet: no outputs, no numbers of executions, no widgets.

    Args:
        notebook: as JSON has it, or nbformat; it is not changed.
        moved: target of a link → target of the same link where the notebook is going to be.
        solutions: whether it may link to them.
    """
    cells = []
    for original in notebook["cells"]:
        cell = {**original, "source": _text(original)}
        if cell["cell_type"] == "code":
            cell |= {"outputs": [], "execution_count": None}
        elif not solutions:
            cell["source"] = without_solutions(cell["source"])
            if not cell["source"]:
                continue
        if cell["cell_type"] == "markdown":
            cell["source"] = LINK.sub(lambda link: link["before"] + moved(link["target"]), cell["source"])
        cells.append(cell)
    metadata = {name: value for name, value in notebook["metadata"].items() if name != "widgets"}
    return {**notebook, "cells": cells, "metadata": metadata}


def digest(notebook: Mapping[str, Any]) -> str:
    """A hash of what a learner may have put into a notebook: cells, outputs, and the states of widgets."""
    cells = [
        [cell["cell_type"], _text(cell), cell.get("attachments", {}), cell.get("outputs", [])]
        for cell in notebook["cells"]
    ]
    return hashlib.sha256(json.dumps([cells, _states(notebook)], sort_keys=True).encode()).hexdigest()


def stamped(notebook: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A notebook that says under which name it was written, and the digest of what was in it then."""
    ours = {"lesson": name, "written": digest(notebook)}
    return {**notebook, "metadata": {**notebook["metadata"], OURS: ours}}


def _states(notebook: Mapping[str, Any]) -> dict[str, Any]:
    """The id of each widget that was saved with a notebook → its state."""
    return notebook["metadata"].get("widgets", {}).get(STATES, {}).get("state", {})


def _text(cell: Mapping[str, Any]) -> str:
    """The source of a cell, which a file has as a list of lines."""
    return "".join(cell["source"])


def _language() -> dict[str, Any]:
    """What a kernel of this Python says of itself: JupyterLab writes it into a notebook that says anything else."""
    major = sys.version_info.major
    return {
        "codemirror_mode": {"name": "ipython", "version": major},
        "file_extension": ".py",
        "mimetype": "text/x-python",
        "name": "python",
        "nbconvert_exporter": "python",
        "pygments_lexer": f"ipython{major}",
        "version": sys.version.split()[0],
    }


def _as_file(notebook: Mapping[str, Any]) -> bytes:
    """A notebook as JupyterLab writes it, to the byte."""
    cells = [{**cell, "source": cell["source"].splitlines(keepends=True)} for cell in notebook["cells"]]
    text = json.dumps({**notebook, "cells": cells}, ensure_ascii=False, indent=1, sort_keys=True)
    return f"{text}\n".encode()


# --- the learner's folder ----------------------------------------------------------------------------


def lay(folder: Path) -> Report:
    """Puts every lesson into a folder, or a new version beside what somebody has worked in; says what it did.

    Args:
        folder: made if it is not there.

    Raises:
        ValueError: a folder that belongs to the collection, no lessons at all, or a wrong ``SOLUTIONS``.
        OSError: the folder cannot be made.
    """
    lessons = sorted(LESSONS.glob("*.ipynb"))
    if not lessons:
        raise ValueError(f"there are no lessons in {LESSONS}; clone or download the repository")
    if LESSONS.resolve() in [folder.resolve(), *folder.resolve().parents]:
        raise ValueError(f"FOLDER: {folder} is where the lessons come from; name another")
    solutions = with_solutions()
    folder.mkdir(parents=True, exist_ok=True)
    _remove_litter(folder)
    moved, data = links(folder), _way(ROOT / "data", folder.resolve())  # a kernel is where the folder really is
    report = Report()
    for path in lessons:
        try:
            notebook = fresh(json.loads(path.read_bytes()), moved, solutions)
            notebook["metadata"]["language_info"] = _language()
            for cell in notebook["cells"]:
                if cell["cell_type"] == "code":
                    cell["source"] = cell["source"].replace('"../data/', f'"{data}/')
            _lay_one(stamped(notebook, path.name), folder / path.name, report)
        except OSError as error:
            report.failed[path.name] = error.strerror or str(error)
        except (ValueError, LookupError, TypeError, AttributeError):
            report.failed[path.name] = f"{path} is no notebook"
    names = {path.name for path in lessons}
    copies = ((path.name, _read(path)) for path in sorted(folder.glob("*.ipynb")) if path.name not in names)
    report.gone = [name for name, copy in copies if copy and copy.lesson == name]
    return report


def _lay_one(notebook: dict[str, Any], path: Path, report: Report) -> None:
    """Puts one lesson where its copy is, or beside it, and adds to the report what that was."""
    wanted, data = notebook["metadata"][OURS]["written"], _as_file(notebook)
    copy = _read(path)
    if copy is None:
        is_written, became = _write(path, data, None), report.new
    elif copy.data == data or (copy.is_touched and copy.digest == wanted):
        is_written, became = True, report.current
    elif not copy.is_touched:
        is_written, became = _write(path, data, copy.data), report.refreshed
    else:
        is_written, became = False, report.kept
        if copy.written != wanted and (beside := _lay_beside(path, wanted, data)):
            report.beside.append(beside)
    (became if is_written else report.kept).append(path.name)


def _lay_beside(path: Path, wanted: str, data: bytes) -> str:
    """Puts a new version beside a copy, unless it is there; its name, or nothing if the learner has deleted it."""
    versions: list[tuple[Path, Answer]] = []
    for number in itertools.count(1):
        free = path.with_suffix(f".new{'' if number == 1 else number}.ipynb")
        version = _read(free)
        if version is None:
            break
        versions.append((free, version))
    offered = _offered(path.parent)
    untouched = [(place, version.data) for place, version in versions if not version.is_touched]
    there = [place for place, version in versions if wanted in (version.digest, version.written)]
    if there:
        target = there[0]
    elif untouched or offered.get(path.name) != wanted:
        target, before = untouched[0] if untouched else (free, None)
        _write(target, data, before)
    else:
        return ""
    if offered.get(path.name) != wanted:
        with suppress(OSError):
            record = path.with_name(OFFERED)
            before = record.read_bytes() if record.exists() else None
            _write(record, json.dumps(offered | {path.name: wanted}, indent=1, sort_keys=True).encode(), before)
    return target.name


def _read(path: Path) -> Answer | None:
    """What a learner's folder has at a path; None if nothing.

    Whatever is no plain file, cannot be read or is no notebook belongs to the learner.
    """
    try:
        is_plain = stat.S_ISREG(path.lstat().st_mode)
    except FileNotFoundError:
        return None
    try:
        data = path.read_bytes()
        notebook = json.loads(data)
        ours = notebook["metadata"].get(OURS, {})
        written, lesson = ours.get("written", ""), ours.get("lesson", "")
        return Answer(is_plain, data, digest(notebook), written, lesson)
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return Answer(is_plain, b"", "", "", "")


def _write(path: Path, data: bytes, before: bytes | None) -> bool:
    """Puts a complete file where ``before`` was, or nothing was; False if that has changed, which then stays."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        with open(scratch, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if (path.read_bytes() if os.path.lexists(path) else None) != before:
            return False  # saved meanwhile
        os.replace(scratch, path)
        return True
    finally:
        with suppress(OSError):
            scratch.unlink()


def _remove_litter(folder: Path) -> None:
    """Deletes what runs that were killed left of files that they had not finished."""
    for scratch in folder.glob(".*.tmp"):
        with suppress(OSError):
            if time.time() - scratch.stat().st_mtime > LITTER:
                scratch.unlink()


def _offered(folder: Path) -> dict[str, str]:
    """Lesson → version that was put beside it last; nothing if the record is lost."""
    with suppress(OSError, ValueError):
        record = json.loads((folder / OFFERED).read_bytes())
        if isinstance(record, dict):
            return record
    return {}


def links(folder: Path) -> Callable[[str], str]:
    """Target of a link in the collection → target in the folder: lessons are beside it, the rest is where it was."""

    def moved(target: str) -> str:
        address, *anchor = re.split(r"(?=[#?])", target, maxsplit=1)
        file = Path(os.path.normpath(LESSONS / address))
        is_lesson = file.parent == LESSONS and file.suffix == ".ipynb"
        if not address or is_lesson or re.match(r"[a-z]+:|/", address) or not os.path.lexists(file):
            return target
        return f"{quote(_way(file, folder.absolute()), safe='/:')}{''.join(anchor)}"

    return moved


def _way(target: Path, start: Path) -> str:
    """The relative path from a folder to a file, with slashes on every system; on another drive its whole path."""
    try:
        return Path(os.path.relpath(target, start)).as_posix()
    except ValueError:
        return target.as_posix()


# --- while a learner works ---------------------------------------------------------------------------


def keep_states(model: dict[str, Any], path: str, contents_manager: Any) -> None:
    """Puts states of widgets into a notebook that JupyterLab is about to save without them: a hook of its server.

    JupyterLab saves the states of widgets that a kernel has made since the notebook was opened. Who opens a notebook,
    runs nothing and saves would lose what was drawn and answered before. Whatever an output still shows is kept.

    Args:
        model: what is to be saved, as Jupyter's contents have it; a notebook is changed in place.
        path: where, from the root of the server.
        contents_manager: knows that root.
    """
    notebook, file = model.get("content"), Path(contents_manager.root_dir) / path.strip("/")
    if model.get("type") != "notebook" or not notebook or not file.exists():
        return
    states = dict(_states(notebook))
    outputs = (output for cell in notebook["cells"] for output in cell.get("outputs", ()))
    missing = [output["data"][VIEW]["model_id"] for output in outputs if VIEW in output.get("data", {})]
    if all(name in states for name in missing):
        return
    saved = _states(json.loads(file.read_bytes()))
    while missing:
        name = missing.pop()
        if name in saved and name not in states:
            states[name] = saved[name]
            missing += PART.findall(json.dumps(saved[name]))
    notebook["metadata"]["widgets"] = {STATES: {"version_major": 2, "version_minor": 0, "state": states}}


# --- the command -------------------------------------------------------------------------------------


def in_a_line(report: Report, folder: str) -> str:
    """What a run did, in one line."""
    kept = "kept as you left it" if len(report.kept) == 1 else "kept as you left them"
    words = {"put there": report.new, "refreshed": report.refreshed, "up to date": report.current, kept: report.kept}
    parts = [(len(names), became) for became, names in words.items() if names]
    line = ", ".join(
        f"{count} {'' if number else 'lesson ' if count == 1 else 'lessons '}{became}"
        for number, (count, became) in enumerate(parts)
    )
    clauses = [line] if line else []
    if report.beside:
        one, all_kept = len(report.beside) == 1, len(report.beside) == len(report.kept)
        of = ("its" if one else "their") if all_kept else "the"
        rest = "" if all_kept else f" of {'one' if one else len(report.beside)} of them"
        clauses.append(f"{_listed(report.beside)} {'is' if one else 'are'} {of} new version{'' if one else 's'}{rest}")
    if report.gone:
        clauses.append(f"{_listed(report.gone)} {'is' if len(report.gone) == 1 else 'are'} no longer among the lessons")
    for reason in dict.fromkeys(report.failed.values()):
        names = [name for name, why in report.failed.items() if why == reason]
        few = _listed(names) if len(names) < 4 else f"{len(names)} lessons"
        clauses.append(f"{few} could not be put there: {reason}")
    return f"{folder}: {'; '.join(clauses)}"


def _listed(names: Iterable[str]) -> str:
    """Names as a sentence lists them."""
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last


def main(arguments: list[str] | None = None) -> int:
    """Lays the lessons and says so in one line; returns the exit status: 1 if a lesson is not there, old or new."""
    parser = argparse.ArgumentParser(
        prog=f"python -m {__package__}.lessons",
        description="Puts the lessons, without outputs, into a folder to work in. What you worked in stays as it is.",
    )
    parser.add_argument("folder", nargs="?", type=Path, metavar="FOLDER", help="my_lessons if it is not given")
    folder = parser.parse_args(arguments).folder or ROOT / "my_lessons"
    said = folder.name if folder == ROOT / "my_lessons" else str(folder)
    try:
        report = lay(folder)
    except (OSError, ValueError) as error:
        reason = error.strerror or str(error) if isinstance(error, OSError) else str(error)
        print(f"{said}: {reason}", file=sys.stderr)
        return 1
    missing = [name for name in report.failed if not (folder / name).exists()]
    print(in_a_line(report, said), file=sys.stderr if missing else sys.stdout)
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
