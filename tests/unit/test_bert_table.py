"""The table of lesson 07, all forms of attention_mask in BERT, under whichever transformers is installed.

Its cells are tagged ``also-4.57``. They run here as they stand, with the old library too (``make test-matrix``).
"""

from importlib.metadata import version

import jupytext
import pytest
import torch

from publish import paths

#: transformers' major version → (rank, kind of values) → [eager, sdpa]; * stands for all other kinds of that rank.
ANSWERS = {
    "5": {
        ("2D", "*"): ["24 leak", "24 leak"],
        ("3D", "*"): ["raises", "raises"],
        ("4D", "bool"): ["48 leak", "right"],
        ("4D", "int64"): ["48 leak", "raises"],
        ("4D", "0/1 float"): ["48 leak", "48 leak"],
        ("4D", "additive"): ["right", "right"],
    },
    "4": {
        ("2D", "*"): ["24 leak", "24 leak"],
        ("2D", "additive"): ["24 leak", "48 leak"],
        ("3D", "*"): ["right", "right"],
        ("3D", "additive"): ["wrong", "wrong"],
        ("4D", "*"): ["raises", "raises"],
    },
}


@pytest.mark.lesson
def test_the_table_of_lesson_07():
    lesson = jupytext.read(paths.SOURCES / "07_bert_2d_masks.md", fmt="md:myst")
    cells = [cell.source for cell in lesson.cells if "also-4.57" in cell.metadata.get("tags", ())]
    namespace: dict = {"__name__": "__main__"}
    with torch.enable_grad():  # the lesson turns gradients off, for itself
        for source in cells:
            exec(source, namespace)
    assert torch.is_grad_enabled()
    wanted = ANSWERS[version("transformers")[0]]
    table = namespace["table"]
    assert len(table) == 12
    assert table == {form: wanted.get(form, wanted.get((form[0], "*"))) for form in table}
