"""SOLUTIONS=no: whatever is published or copied holds no solution, no link to one, no sentence about such a link."""

import itertools
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from bs4 import BeautifulSoup

from publish import __main__ as command
from publish import for_readers, notebooks, page, paths, site, slides, source, sphinx_source
from publish.hosting import Hosting
from utils import lessons

LESSONS = [lesson.stem for lesson in source.files()]
#: The lesson that `make test` builds in all forms.
EVERYDAY = "02_padding"
#: A link to solutions, and the words around such links.
LEADS = re.compile(r"solutions/\w|solutions?\W+(?:is|are) in a notebook", re.IGNORECASE)


@pytest.fixture
def without_solutions(monkeypatch):
    monkeypatch.setenv("SOLUTIONS", "no")


def solutions(name: str) -> list[str]:
    """What the solved notebook of a lesson has and the lesson itself does not say anywhere, exercise by exercise."""
    plain, *solved = (notebook for _, notebook in source.generate(paths.SOURCES / f"{name}.md"))
    said = squeezed("\n".join(cell.source for cell in plain.cells))
    texts = []
    for cell, answer in zip(plain.cells, solved[0].cells if solved else plain.cells, strict=True):
        if "exercise" in paths.tags(cell):
            lines = [line for line in answer.source.splitlines() if line not in cell.source.splitlines()]
            texts.append(squeezed("\n".join(lines)))
    assert all(texts)
    return [text for text in texts if text not in said]


def squeezed(text: str) -> str:
    """Text without its spaces and line breaks: pages break lines, and widgets escape what they hold."""
    return re.sub(r"\s", "", text)


def read(html: str) -> str:
    """All that a page says, folded and for the speaker, its scripts included."""
    return BeautifulSoup(html, "html5lib").get_text()


def forms(name: str, folder: Path) -> Iterator[tuple[str, str]]:
    """Kind and text of every form in which a lesson reaches people, but for the search of the site."""
    (chosen,) = source.chosen([name])
    notebook = for_readers.lesson(chosen)
    yield (
        "a page of the site",
        "".join(cell.source for cell in sphinx_source._for_sphinx(nbformat.from_dict(notebook), {}, {}).cells),
    )
    yield "a single page", read(page.page(for_readers.lesson(chosen)))
    yield "slides", read(slides.deck(for_readers.lesson(chosen), name))
    (path, executed), *_ = notebooks.finished(chosen)
    for where in ({}, {"repository": "https://github.com/ada/masks"}):
        alone = site._to_run_alone(executed, path.name, Hosting(**where))
        yield f"a download {where}", "\n".join(cell.source for cell in alone.cells)
    lessons.lay(folder)
    copy = nbformat.read(folder / path.name, as_version=4)
    yield "a copy to work in", "\n".join(cell.source for cell in copy.cells)


def test_every_lesson_with_exercises_has_solutions_to_look_for():
    texts = {name: solutions(name) for name in LESSONS}
    assert [name for name, answers in texts.items() if not answers] == [
        "appendix_mha",
        "cheat_sheet",
        "what_went_wrong",
    ]


@pytest.mark.parametrize("name", [EVERYDAY])
def test_a_lesson_in_all_its_forms_holds_none_and_leads_to_none(name, tmp_path, without_solutions):
    for kind, text in forms(name, tmp_path / "mine"):
        assert [answer for answer in solutions(name) if answer in squeezed(text)] == [], kind
        assert not LEADS.search(text), kind


def test_otherwise_they_are_there(tmp_path, monkeypatch):
    """So that what is looked for above is what would be found."""
    monkeypatch.delenv("SOLUTIONS", raising=False)
    texts = dict(forms(EVERYDAY, tmp_path / "mine"))
    for kind in ("a page of the site", "a single page"):
        assert all(answer in squeezed(texts[kind]) for answer in solutions(EVERYDAY)), kind
    for kind, text in texts.items():
        assert bool(LEADS.search(text)) == ("download" in kind or "copy" in kind), kind


@pytest.mark.gate
def test_the_whole_site_holds_none_and_leads_to_none(executed, tmp_path, monkeypatch, without_solutions):
    executed.complete()
    monkeypatch.setattr(site, "SITE", tmp_path / "site")
    monkeypatch.setattr(site, "WORK", tmp_path / "build")
    folder = site.build(Hosting())
    answers = list(itertools.chain.from_iterable(map(solutions, LESSONS)))
    assert len(answers) > 15
    read_files = 0
    for path in folder.rglob("*"):
        if path.suffix in (".html", ".ipynb"):
            text = path.read_text(encoding="utf-8")
            notebook = path.suffix == ".ipynb" and nbformat.reads(text, as_version=4)
            text = "\n".join(cell.source for cell in notebook.cells) if notebook else read(text)
            assert [answer for answer in answers if answer in squeezed(text)] == [], path
            assert not LEADS.search(text), path
            read_files += 1
    assert read_files > 50
    assert not (folder / "downloads" / "solutions").exists()


def test_a_word_that_is_neither_yes_nor_no_publishes_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("SOLUTIONS", "none")
    monkeypatch.setattr(page, "PAGES", tmp_path)
    assert command.main(["page", "01"]) == 1
    assert capsys.readouterr().err == "SOLUTIONS: 'none'; wanted yes or no\n"
    assert list(tmp_path.iterdir()) == []


def test_make_passes_it_on(tmp_path):
    """On its command line as well as in the environment."""
    (tmp_path / "said.mk").write_text(f"include {paths.ROOT / 'Makefile'}\nsaid:\n\t@echo said=$$SOLUTIONS\n")
    command = ["make", "-s", "-f", str(tmp_path / "said.mk"), "said"]
    for arguments, environment in ((["SOLUTIONS=no"], {}), ([], {"SOLUTIONS": "no"})):
        done = subprocess.run(
            [*command, *arguments], env={**os.environ, **environment}, capture_output=True, text=True, check=True
        )
        assert done.stdout == "said=no\n"
