"""What is left in a committed notebook: what a reader needs, under ids that stay when a lesson is built again."""

import hashlib
import json
import re
from pathlib import Path

import nbformat

from . import paths, questions

#: Tag of a cell that asserts what the cells before it show.
PROOF = "proof"
#: Tag of a cell that says in words what pictures show that settle a question.
ALTS = "alts"
#: Behind what asks, since JupyterLab folds it to this line, and nothing is asked before it runs.
RUN = "  # run this cell, and answer"
#: The line that a proof is folded to: without it, an assertion would stand there, and tell what a question asks.
TITLE = "# Proof of what is shown above"
NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?:e[+-]?\d+)?")  # as prints have them, not within a word


def normalise(notebook: nbformat.NotebookNode) -> None:
    """Leaves what a reader needs: widgets and what they show, no timings, no editor settings, stable ids."""
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    name_cells(notebook)
    widgets = _widgets(notebook)
    notebook.metadata = nbformat.from_dict({"kernelspec": paths.KERNEL, "language_info": {"name": "python"}, **widgets})
    for cell in notebook.cells:
        tags = cell.metadata.get("tags")
        folded = {"jupyter": {"source_hidden": True}} if cell.cell_type == "code" and is_folded(cell) else {}
        cell.metadata = nbformat.from_dict({**folded, "tags": tags} if tags else {})
        if cell.cell_type == "code":
            cell.outputs = _joined(cell.outputs)
            if questions.asked(cell):
                cell.source = cell.source.removesuffix(RUN) + RUN
            if PROOF in paths.tags(cell):
                cell.source = f"{_title(cell)}\n{proof(cell)}"


def proof(cell: nbformat.NotebookNode) -> str:
    """The code of a cell that proves something, without the line that notebooks fold it to."""
    first, _, rest = cell.source.partition("\n")
    return rest if first.startswith(TITLE) else cell.source


def _title(cell: nbformat.NotebookNode) -> str:
    """The line that a cell which proves something is folded to, with the claims that it proves."""
    claims = ", ".join(sorted(tag.removeprefix("claim-") for tag in paths.tags(cell) if tag.startswith("claim-")))
    return f"{TITLE}: {claims}" if claims else TITLE


def is_folded(cell: nbformat.NotebookNode) -> bool:
    """Whether a code cell is folded to its first line: one that proves, asks or describes, and teaches no code."""
    return bool({PROOF, ALTS} & paths.tags(cell)) or bool(questions.asked(cell))


def name_cells(notebook: nbformat.NotebookNode) -> None:
    """Gives cells ids that stay when a lesson is built again: what a cell proves or asks, else its position."""
    used: set[str] = set()
    for position, cell in enumerate(notebook.cells):
        claims = [tag for tag in cell.metadata.get("tags", ()) if tag.startswith(("claim-", questions.ASKS))]
        name = claims[0].replace(".", "-") if claims else f"cell-{position:02d}"
        if name in used:
            name = f"{name}-{position:02d}"
        used.add(name)
        cell.id = name


def restore_measured(notebook: nbformat.NotebookNode, earlier: nbformat.NotebookNode) -> None:
    """Gives cells that measure time the numbers that they had, so that building twice changes nothing."""
    old = {cell.source: cell for cell in earlier.cells if cell.cell_type == "code"}
    for cell in notebook.cells:
        measured, same = "measured" in paths.tags(cell), old.get(cell.source)
        if measured and same and words(same) == words(cell):
            cell.outputs = same.outputs


def shown(cell: nbformat.NotebookNode) -> str:
    """What a code cell shows, as text: prints, results, and the alt text of figures."""
    texts = (output.get("text") or output.get("data", {}).get("text/plain", "") for output in cell.get("outputs", ()))
    return "\n".join(texts)


def words(cell: nbformat.NotebookNode) -> str:
    """What a code cell shows, with every number blanked, and the spaces that fill a number up to its column."""
    return re.sub(r"^ +| +(?= )", "", NUMBER.sub("#", shown(cell)), flags=re.MULTILINE)


def normalise_file(path: Path) -> bool:
    """Normalises one notebook in place; returns whether that changed it."""
    text = path.read_text(encoding="utf-8")
    notebook = nbformat.reads(text, as_version=4)
    normalise(notebook)
    if _text(notebook) == text:
        return False
    write(notebook, path)
    return True


def write(notebook: nbformat.NotebookNode, path: Path) -> Path:
    """Writes a notebook, complete or not at all; returns its path."""
    return paths.write_text(_text(notebook), path)


def _widgets(notebook: nbformat.NotebookNode) -> dict:
    """The saved state of the widgets that are on show, under ids that stay when a lesson is built again.

    A view whose state was not saved, or that is dead without Python, is taken out of its output, which then shows
    its picture instead. So is that of a question: its options are there as text, and its program, many times over,
    would be half of a notebook. Pages make it anew.
    """
    saved = notebook.metadata.get("widgets", {}).get(paths.STATE, {}).get("state", {})
    names: dict[str, str] = {}
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            view = output.get("data", {}).get(paths.VIEW)
            if view is None:
                continue
            if view["model_id"] not in saved or "needs-kernel" in paths.tags(cell) or questions.asked(cell):
                del output.data[paths.VIEW]
                continue
            for member in _family(view["model_id"], saved):
                names.setdefault(member, hashlib.md5(f"{cell.id} {len(names)}".encode()).hexdigest())
            view["model_id"] = names[view["model_id"]]
    if not names:
        return {}
    text = json.dumps({new: saved[old] for old, new in names.items()})
    for old, new in names.items():
        text = text.replace(f"IPY_MODEL_{old}", f"IPY_MODEL_{new}")
    return {"widgets": {paths.STATE: {"state": json.loads(text), "version_major": 2, "version_minor": 0}}}


def _family(model_id: str, saved: dict) -> list[str]:
    """A widget's id and those of all widgets that it consists of, each once, in the order of first mention."""
    family = [model_id]
    for member in family:  # grows while we walk
        for mentioned in re.findall(r"IPY_MODEL_(\w+)", json.dumps(saved[member])):
            if mentioned in saved and mentioned not in family:
                family.append(mentioned)
    return family


def _joined(outputs: list) -> list:
    """Outputs with prints that arrived in several pieces as one, so that their number does not depend on timing."""
    joined: list = []
    for output in outputs:
        last = joined[-1] if joined else None
        if last and output.output_type == last.output_type == "stream" and output.name == last.name:
            last.text += output.text
        else:
            joined.append(output)
    return joined


def _text(notebook: nbformat.NotebookNode) -> str:
    """A notebook as the text of its file."""
    return nbformat.writes(notebook) + "\n"
