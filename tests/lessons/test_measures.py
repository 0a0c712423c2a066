"""A lesson has more to see and to do than to read: how much of each is counted here, in its source."""

import re
from statistics import median

import pytest

from publish import paths, questions, source

LESSONS = {path.stem: path for path in source.lessons()}
every_lesson = pytest.mark.parametrize("name", LESSONS)
#: What is not read as text: comments, what stays folded, code, formulas, tables, and where links lead.
NOT_TEXT = re.compile(
    r"<!--.*?-->|<details>.*?</details>|^```.*?^```$|`[^`]*`|\$[^$]*\$|^\|.*$|\]\([^)]*\)|<[^>]*>",
    re.MULTILINE | re.DOTALL,
)
ALIVE = re.compile(r"\bwidgets\.(?:MaskLab|HeadGrid|StoryLab|Explorer)\(")
PICTURE = re.compile(r"\bplots\.(?!\w*scale)\w+\(")


def measures(path):
    """What a lesson's source holds of each kind."""
    notebook, exercises = source.marked(path)
    questions.unfold(notebook)
    asked = questions.of(path.stem)
    cells = [cell for cell in notebook.cells if not {"proof", "alts"} & paths.tags(cell)]
    texts = [NOT_TEXT.sub(" ", cell.source) for cell in cells if cell.cell_type == "markdown"]
    texts += [option for question in asked.values() for option in question.options]
    code = [cell for cell in cells if cell.cell_type == "code" and not questions.asked(cell)]
    shown = [cell for cell in code if not {"exercise", "check"} & paths.tags(cell)]
    alive = sum(bool(ALIVE.search(cell.source)) for cell in code)
    return {
        "words": sum(len(re.findall(r"\w[\w'’.-]*", text)) for text in texts),
        "cells": len(cells),
        "median": median(lines(cell) for cell in shown),
        "longest": max(lines(cell) for cell in shown),
        "pictures": alive + sum(bool(PICTURE.search(cell.source)) for cell in code),
        "alive": alive,
        "questions": len(asked),
        "exercises": len(exercises),
    }


def lines(cell):
    return sum(bool(line.strip()) for line in cell.source.splitlines())


@every_lesson
def test_a_lesson_has_its_measures(name):
    found = measures(LESSONS[name])
    assert 900 <= found["words"] <= 1500, found
    assert found["cells"] <= 45, found
    assert found["median"] <= 5, found
    assert found["longest"] <= 12, found
    assert found["pictures"] >= 5, found
    assert found["alive"] >= 2, found
    assert found["questions"] >= 3, found
    assert found["exercises"] == 3, found
