"""The table of lesson 07, all forms of attention_mask in BERT, under whichever transformers is installed.

Its cells are tagged ``also-4.57``. They run here as they stand, with the old library too (``make test-matrix``).
"""

from importlib.metadata import version

import jupytext
import pytest
import torch

from publish import paths

NAN = torch.nan
#: transformers' major version → form and implementation → leaking pairs of the kinds, NaN for an error.
ANSWERS = {
    "5": {
        "2D": [24, 24, 24, 24],
        "3D": [NAN, NAN, NAN, NAN],
        "4D eager": [48, 48, 48, 0],
        "4D sdpa": [0, NAN, 48, 0],
    },
    "4": {
        "2D eager": [24, 24, 24, 24],
        "2D sdpa": [24, 24, 24, 48],
        "3D": [0, 0, 0, 0],
        "4D": [NAN, NAN, NAN, NAN],
    },
}
#: Forms that leak nothing, and whether each sentence is then as it is alone, by kind.
AS_ALONE = {
    "5": {"4D eager": [None, None, None, True], "4D sdpa": [True, None, None, True]},
    "4": {"3D eager": [True, True, True, False], "3D sdpa": [True, True, True, False]},
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
    major = version("transformers")[0]
    wanted, table = ANSWERS[major], namespace["table"]
    assert len(table) == 6
    for name, counts in table.items():
        assert str([float(n) for n in counts]) == str([float(n) for n in wanted.get(name, wanted.get(name[:2]))]), name
    assert as_alone(namespace) == AS_ALONE[major]


def as_alone(lesson: dict) -> dict[str, list[bool | None]]:
    """Of the forms in which nothing leaks: are the hidden states those of each sentence alone?"""
    ids = lesson["ids"]
    places = torch.tensor([[*range(6), *range(4)]])
    answers = {}
    with torch.no_grad():
        alone = torch.cat([lesson["sdpa"](part).last_hidden_state[0] for part in (ids[:, :6], ids[:, 6:])])
        for name, counts in lesson["table"].items():
            if 0 not in counts:
                continue
            rank, implementation = name.split()
            answers[name] = []
            for make, count in zip(lesson["kinds"].values(), counts, strict=True):
                given = {"attention_mask": make(lesson["forms"][rank]), "position_ids": places}
                states = None if count else lesson[implementation](ids, **given).last_hidden_state[0]
                answers[name].append(None if count else torch.allclose(states, alone, atol=1e-3))
    return answers
