"""The ledger, data/claims.yml: each claim is asserted in the lessons it names, by an assertion that can fail."""

import re

import nbformat
import pytest

from publish import ledger, paths
from tests.support import faking

LEDGER = ledger.claims()
LESSONS = [path.stem for path in paths.sources()]
every_claim = pytest.mark.parametrize("claim", LEDGER, ids=lambda claim: claim["id"])


def claim_cells(lesson):
    """(claim id, cell) for every tag of a committed lesson."""
    for cell in nbformat.read(paths.FOLDER / f"{lesson}.ipynb", as_version=4).cells:
        for claim in ledger.claimed(cell):
            yield claim, cell


def test_every_claim_is_there():
    tutorials = {0: 5, 1: 8, 2: 10, 3: 7}  # how many claims each of them makes
    wanted = [f"S{tutorial}.{n}" for tutorial, many in tutorials.items() for n in range(1, many + 1)]
    libraries = {"F": 25, "G": 20, "H": 11}
    wanted += [f"{letter}{n}" for letter, many in libraries.items() for n in range(1, many + 1)]
    assert [claim["id"] for claim in LEDGER] == wanted


@every_claim
def test_a_claim_is_told_whole(claim):
    assert set(claim) == {"id", "claim", "source", "verdict", "finding", "lessons"}
    assert re.fullmatch(r"S[0-3]\.\d+|[FGH]\d+", claim["id"])
    assert claim["source"] in ("tutorial", "library")
    assert claim["verdict"] in ("right", "wrong", "partly")
    assert set(claim["lessons"]) <= set(LESSONS)
    for sentence in (claim["claim"], claim["finding"]):
        assert sentence.endswith("."), sentence
        assert sentence == " ".join(sentence.split()), sentence


@pytest.mark.parametrize("lesson", LESSONS)
def test_a_lesson_has_the_tags_that_the_ledger_names(lesson):
    tagged = {claim for claim, _ in claim_cells(lesson)}
    assert tagged == {claim["id"] for claim in LEDGER if lesson in claim["lessons"]}
    assert tagged == set(faking.FAKES.get(lesson, {}))


@pytest.mark.parametrize("lesson", LESSONS)
def test_every_claim_is_asserted(lesson):
    asserting = {claim for claim, cell in claim_cells(lesson) if ledger.asserts(cell)}
    assert asserting == {claim for claim, _ in claim_cells(lesson)}


@pytest.mark.lesson
@pytest.mark.parametrize("lesson", faking.FAKES)
def test_assertions_fail_when_the_claim_is_faked(lesson, forks):
    assert forks.call("tests.support.faking:faked", lesson) == dict.fromkeys(faking.FAKES[lesson], True)


# --- the page "What tutorials get wrong" ---------------------------------------------------------------


def test_the_page_is_that_of_the_ledger():
    assert nbformat.read(ledger.PAGE, as_version=4) == ledger.page(), f"Run: {paths.REBUILD}"


@every_claim
def test_the_page_tells_a_claim_once_and_links_to_its_proof(claim):
    page = nbformat.read(ledger.PAGE, as_version=4)  # the test above says that it is up to date
    rows = [line for cell in page.cells for line in cell.source.splitlines() if line.startswith("| ")]
    (row,) = [row for row in rows if row.replace("\\", "").startswith(f"| {claim['claim']} | {claim['finding']} |")]
    (table,) = [cell.source for cell in page.cells if row in cell.source]
    assert table.startswith(f"## {ledger.heading(claim['source'], claim['verdict'])}\n")
    links = dict(re.findall(r"\]\((\w+)\.ipynb#cell-id=([\w-]+)\)", row))
    assert list(links) == claim["lessons"]
    for lesson, cell_id in links.items():
        cells = nbformat.read(paths.FOLDER / f"{lesson}.ipynb", as_version=4).cells
        (cell,) = [cell for cell in cells if cell.id == cell_id]
        assert claim["id"] in ledger.claimed(cell)
        assert ledger.asserts(cell)


def test_what_tutorials_claim_is_counted_apart_from_what_is_believed_of_libraries():
    assert ledger.counts(LEDGER) == {
        "tutorial": 30,
        "tutorial_wrong": 12,
        "tutorial_partly": 6,
        "tutorial_right": 12,
        "library": 56,
        "library_wrong": 30,
        "library_partly": 26,
        "library_right": 0,
    }
    about = " ".join(ledger.ABOUT.format(**ledger.counts(LEDGER), versions="these versions").split())
    assert (
        "30 things about masks. Of these 12 are wrong, 6 hold under a condition that goes unsaid, and 12 are" in about
    )
    assert "The other 56 are no tutorial's words." in about
    assert "30 are wrong, 26 hold under a condition." in about
    assert {claim["source"] for claim in LEDGER if claim["id"].startswith("S")} == {"tutorial"}


def test_a_claim_without_a_proof_is_named():
    lost = {"id": "S9.9", "lessons": ["02_padding"]}
    with pytest.raises(paths.LessonError, match=r"02_padding.ipynb: no cell asserts S9\.9, which claims.yml"):
        ledger.proofs(lost)


def test_a_lesson_that_is_not_built_is_named():
    with pytest.raises(paths.LessonError, match=r"42_none\.ipynb, which claims\.yml names for F99, is not built yet"):
        ledger.proofs({"id": "F99", "lessons": ["42_none"]})


def test_words_of_a_claim_are_not_read_as_markdown():
    assert ledger._plain("a|b *c* <d> [e] f_g $h$") == r"a\|b \*c\* \<d\> \[e\] f\_g \$h\$"
