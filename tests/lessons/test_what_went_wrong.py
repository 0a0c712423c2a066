"""The page for who has a bug: its messages are those that cells raise, its repairs run, its links lead somewhere."""

import re

import pytest

from publish import normalise, paths

NAME = "what_went_wrong"
SOURCE = paths.SOURCES / f"{NAME}.md"
#: A quoted message, in one or two backticks, as Markdown has code that holds a backtick.
QUOTED = re.compile(r"^> (`+) ?(?P<message>.+?) ?\1$", re.MULTILINE)
TO_LESSON = re.compile(r"→ \[[^\]]+\]\((?:\d\d|appendix)_\w+\.ipynb#[^)\s]+\)")
CODE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
INSTEAD = "\n# instead\n"


def entries(notebook):
    """Heading → the Markdown and the code cells below it, of each entry."""
    found = {}
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            for part in re.split(r"^(?=### )", cell.source, flags=re.MULTILINE):
                if part.startswith("### "):
                    words, _, text = part.partition("\n")
                    found[words.removeprefix("### ")] = [text]
        elif found and "proof" not in paths.tags(cell):
            [*found.values()][-1].append(cell)
    return found


@pytest.fixture(scope="module")
def page(executed):
    return executed[f"{NAME}.ipynb"]


def test_every_quoted_message_is_what_its_cell_raises_and_there_are_enough(page):
    messages = set()
    for heading, (text, *cells) in entries(page).items():
        printed = " ".join("".join(map(normalise.shown, cells)).split())
        for quoted in QUOTED.finditer(text):
            assert " ".join(quoted["message"].split()) in printed, heading
            messages.add(quoted["message"])
    assert len(messages) >= 40
    assert all(len(message.split()) >= 3 for message in messages)


def test_an_entry_with_a_message_says_what_to_write_and_runs_it(page):
    with_message = {heading: cells for heading, (text, *cells) in entries(page).items() if QUOTED.search(text)}
    assert len(with_message) >= 40
    for heading, cells in with_message.items():
        wrong, _, right = cells[0].source.partition(INSTEAD)
        assert "says(" in wrong, heading
        assert right.strip() or heading == "NaN gradients, found by anomaly detection", heading


def test_symptoms_are_in_the_table_that_leads_to_them(page):
    sources = "\n".join(cell.source for cell in page.cells if cell.cell_type == "markdown")
    symptoms = sources[sources.index("## Symptoms") : sources.index("## Messages")]
    table = sources[: sources.index("## Which mask")]
    headings = re.findall(r"^### (.+)$", symptoms, re.MULTILINE)
    assert len(headings) >= 16
    assert [heading for heading in headings if f"| [{heading}](#{anchor(heading)}) |" not in table] == []


def anchor(heading):
    """The anchor of a heading, as JupyterLab makes it."""
    return heading.replace(" ", "-")


def test_every_entry_leads_to_a_section_of_a_lesson_or_an_appendix():
    """That it is there is tested for all pages."""
    for part in re.split(r"^### ", CODE.sub("", SOURCE.read_text()), flags=re.MULTILINE)[1:]:
        assert TO_LESSON.search(part), part
