"""One lesson as a deck of slides: a single file for reveal.js, with its widgets alive and nothing to fetch.

Tags in the lesson's source say what is shown. ``slide`` begins a slide with this cell, ``on-slide`` adds the cell to
the slide before; of a code cell that is its output, and with ``show-code`` its code, too. Markdown without a tag goes
to the speaker's notes of the slide before or, where a section begins, of its first slide; a section without any slide
stays away. A Markdown cell gets tags by the line ``+++ {"tags": ["slide"]}`` before it. Where one holds the comment
``<!-- slide: few words -->``, the slide has these in place of its text, which goes to the notes; its heading and what
it asks stay. What only the speaker needs is in ``<!-- say: words -->``: what to click, what is seen then. The notes of
a section's first slide begin with its minutes. Title, goals and closing slide come from the lesson's head. A figure
that needs the room of a slide shares it with a few words at most, so that its labels can be read.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

import nbformat

from . import document, for_readers, paths, questions, source, static_widgets

SLIDES = paths.ROOT / "dist" / "slides"
STYLE = paths.HERE / "slides.css"
START = paths.HERE / "slides.js"
SHOWN = {"slide", "on-slide"}
#: Width and height of a figure, in pixels, beyond which only a few words have room beside it, and nothing below.
LARGE = 640, 300
FEW = 260  # characters
#: What is more than words of a sentence: lists, headings, tables, formulas, code and HTML.
STRUCTURE = re.compile(r"^ *(?:[-*+] |[#|<>]|\d+\. |```)|\$|<math", re.MULTILINE)
#: The speaker's window shows the deck in frames.
FRAMES = "; frame-src file: http: https:"
TITLE = """\
# {title}

*{description}*

<p class="keys">Space goes on · S speaker's notes · F full screen · O overview · Esc leaves a widget</p>"""
LESSON = "The lesson, with all its code and exercises: **{title}**"
AIMS = "## After this you can\n\n{goals}"
CLOSING = "## What you can do now\n\n{goals}\n\n" + LESSON
CLOSING_WITHOUT_GOALS = "## To go on\n\n" + LESSON
GOALS = re.compile(r"^\*\*After this you can\*\*\s+((?:[-*] .+\n?(?: +.+\n?)*)+)", re.MULTILINE)

HEADING = re.compile(r"\A(?:#+ .+\n*)+")
#: What the speaker reads below a question, and below its answer.
EXPECTED = "Three minutes: read, vote, talk to a neighbour, vote again. **Most will say {letter}.** {feedback}"
VOTE = "Three minutes: read, vote, talk to a neighbour, vote again."
ANSWER = "**Right: {answer}.** {feedback}"
#: What the speaker reads on the first slide of a section, and on the title.
SECTION = "**{minutes} for this section.**"
LEFT_OUT = "**{minutes} for this section;** leave it out where there are 45."
WHOLE = "**{minutes} in all;** {short} where there are 45, without the sections that say so."
#: Minutes of a slide, by what it holds.
OF_QUESTION, OF_WIDGET, OF_OTHER = 3, 4, 1
CUT = "cut-45"
WIDGET = re.compile(r"\bwidgets\.([A-Z]\w+Lab|HeadGrid|Explorer)\(")

BODY = """\
<main class="reveal">
<div class="slides">
{slides}
</div>
</main>"""


@dataclass
class Slide:
    """One slide: what it shows, and the Markdown of what the speaker reads."""

    cells: list[nbformat.NotebookNode]
    notes: list[str] = field(default_factory=list)


@dataclass
class Section:
    """One section of a deck: its heading, its slides, and whether it stays where there are 45 minutes."""

    heading: str
    stays: bool = True
    slides: list[Slide] = field(default_factory=list)
    questions: list[str] = field(default_factory=list)
    widgets: list[str] = field(default_factory=list)
    minutes: int = 0


def build(lessons: Iterable[str] = ()) -> Iterator[Path]:
    """Writes the decks of lessons, all if none is named; yields each path.

    Args:
        lessons: numbers or name beginnings, such as ``"03"``.

    Raises:
        LessonError: no such lesson, one that cannot be executed, or one with no tag for slides.
    """
    SLIDES.mkdir(parents=True, exist_ok=True)
    for lesson in source.chosen(lessons) if lessons else source.lessons():
        yield paths.write_text(deck(for_readers.lesson(lesson), lesson.stem), SLIDES / f"{lesson.stem}.html")


def deck(notebook: nbformat.NotebookNode, name: str) -> str:
    """An executed lesson as slides, in HTML that needs no other file.

    Raises:
        LessonError: ``on-slide`` before any ``slide``, or no ``slide`` at all.
    """
    about = for_readers.about(notebook)
    states = static_widgets.replace_views(notebook)
    shown = outline(notebook, name)
    _tell_minutes(shown, notebook)
    states = {model: saved for model, saved in states.items() if any(_holds(slide, model) for slide in shown)}
    reveal = files("sphinx_revealjs") / "_static" / "revealjs"
    parts = [reveal / "dist" / "reset.css", reveal / "dist" / "reveal.css", STYLE]
    style = document.highlighted("\n".join(part.read_text(encoding="utf-8") for part in parts))
    programs = [reveal / "dist" / "reveal.js", reveal / "plugin" / "notes" / "notes.js", START]
    scripts = [f"<script>\n{_without_map(part.read_text(encoding='utf-8'))}</script>" for part in programs]
    return document.document(
        f"{about.title} · slides",
        about.description,
        style=f"{style}\n{static_widgets.style(states)}",
        body=BODY.format(slides="\n".join(_rendered(shown))),
        scripts="\n".join([*scripts, static_widgets.scripts(states)]),
        policy=FRAMES,
        wasm=static_widgets.needs_model(states),
    )


def outline(notebook: nbformat.NotebookNode, name: str) -> list[Slide]:
    """The slides of an executed lesson, title, goals and closing slide among them.

    Raises:
        LessonError: as ``deck``.
    """
    about, goals = for_readers.about(notebook), GOALS.search(notebook.cells[0].source)
    slides = [Slide([_markdown("title", TITLE.format(title=about.title, description=about.description))])]
    asked, heading = questions.of(name), ""
    waiting: list[str] = []
    notes: list[str] = []  # of the current slide, or waiting for the first of a section
    for cell in notebook.cells[1:]:
        tags = paths.tags(cell)
        section = re.match(r"## (.+)\n*", cell.source) if cell.cell_type == "markdown" else None
        if section:
            heading, waiting = section[1], []
            notes = waiting
        shown, (few, spoken) = slides[-1].cells, _few_words(cell)
        if "slide" in tags or (tags & SHOWN and len(slides) > 1 and _is_alone(few, shown)):
            slides.append(Slide([] if section else [_markdown(f"{cell.id}-heading", f"## {heading}")], list(waiting)))
            waiting, notes = [], slides[-1].notes
        elif tags & SHOWN and len(slides) == 1:
            raise paths.LessonError(f"{name}, cell {cell.id}: tagged on-slide, but no slide comes before it")
        if tags & SHOWN:
            slides[-1].cells.extend(map(_for_slide, _split(few, section and section[0])))
            notes.extend([spoken] if spoken else [])
            if name_asked := questions.asked(cell):
                notes.append(_vote(asked[name_asked]))
            notes.extend(_answer(asked.pop(name)) for name in questions.settled(cell) if name in asked)
        elif cell.cell_type == "markdown" and not cell.source.startswith("<details"):
            notes.append(document.without_links(cell.source.removeprefix(section[0]) if section else cell.source))
    if len(slides) == 1:
        raise paths.LessonError(f"{name}: no cell is tagged slide")
    if goals:
        slides.insert(1, Slide([_markdown("aims", AIMS.format(goals=goals[1].strip()))]))
    closing = CLOSING if goals else CLOSING_WITHOUT_GOALS
    text = closing.format(goals=goals and goals[1].strip(), title=about.title)
    slides.append(Slide([_markdown("closing", text)]))
    return slides


def sections(shown: list[Slide], notebook: nbformat.NotebookNode) -> list[Section]:
    """The sections of a deck, in order, without its title and its closing slide.

    Args:
        shown: the outline of the lesson.
        notebook: the lesson, whose headings say what is left out.
    """
    cut = {_heading(cell) for cell in notebook.cells if CUT in paths.tags(cell)}
    parts: list[Section] = []
    for slide in shown[1:-1]:
        heading = _heading(slide.cells[0])
        if not parts or heading != parts[-1].heading:
            parts.append(Section(heading, stays=heading not in cut))
        asked = [id for cell in slide.cells if (id := questions.asked(cell))]
        tried = [widget for cell in slide.cells for widget in WIDGET.findall(cell.source)]
        parts[-1].slides.append(slide)
        parts[-1].questions += asked
        parts[-1].widgets += tried
        parts[-1].minutes += OF_QUESTION if asked else OF_WIDGET if tried else OF_OTHER
    return parts


def minutes(parts: list[Section]) -> tuple[int, int]:
    """Those of all sections, and of the sections that stay where there are 45."""
    return sum(part.minutes for part in parts), sum(part.minutes for part in parts if part.stays)


def _heading(cell: nbformat.NotebookNode) -> str:
    """The first heading of a cell, without signs of Markdown."""
    match = re.search(r"^#+ (.+)$", cell.source, re.MULTILINE)
    return match[1].replace("`", "") if match else ""


def _tell_minutes(shown: list[Slide], notebook: nbformat.NotebookNode) -> None:
    """Puts minutes before the notes of the title and of each section's first slide."""
    parts = sections(shown, notebook)
    for part in parts:
        says = SECTION if part.stays else LEFT_OUT
        part.slides[0].notes.insert(0, says.format(minutes=_minutes(part.minutes)))
    whole, short = minutes(parts)
    shown[0].notes.insert(0, WHOLE.format(minutes=_minutes(whole), short=short))


def _minutes(number: int) -> str:
    """Minutes in words."""
    return f"{number} minute{'' if number == 1 else 's'}"


def _few_words(cell: nbformat.NotebookNode) -> tuple[nbformat.NotebookNode, str]:
    """A cell with what it says on a slide, and what of its Markdown is for the speaker then."""
    if cell.cell_type != "markdown":
        return cell, ""
    comments = [(kind[1], kind[2]) for kind in for_readers.FOR_SLIDES.finditer(cell.source)]
    few, said = ("\n\n".join(text for kind, text in comments if kind == wanted) for wanted in ("slide", "say"))
    whole = for_readers.FOR_SLIDES.sub("", cell.source)
    heading = "".join(HEADING.findall(whole)[:1])
    spoken, label, question = whole.removeprefix(heading).partition(questions.LABEL)
    shown = nbformat.from_dict(cell)
    if few:
        shown.source = "\n\n".join(part.strip() for part in (heading, few, label + question) if part.strip())
    else:
        shown.source, spoken = whole, ""
    return shown, document.without_links("\n\n".join(part for part in (spoken.strip(), said) if part))


def _vote(question: questions.Question) -> str:
    """What the speaker reads while a question is up: how long, and what most will say."""
    if question.expected is None:
        return VOTE
    return EXPECTED.format(letter=questions.LETTERS[question.expected], feedback=question.feedback[question.expected])


def _answer(question: questions.Question) -> str:
    """What the speaker reads with the answer."""
    feedback = question.feedback[0] if question.number is not None else question.feedback[question.right[0]]
    return ANSWER.format(answer=question.answer(), feedback=feedback)


def _split(cell: nbformat.NotebookNode, heading: str | None) -> list[nbformat.NotebookNode]:
    """A cell whose heading is a cell of its own, if words follow it: those may have to stand beside a figure."""
    if not heading or cell.source == heading:
        return [cell]
    return [_markdown(f"{cell.id}-heading", heading.strip()), _markdown(cell.id, cell.source.removeprefix(heading))]


def _is_alone(cell: nbformat.NotebookNode, shown: list[nbformat.NotebookNode]) -> bool:
    """Whether a cell has no room beside those shown: one is a large figure, and the others are not a few words."""
    others = [*shown[1:], cell]  # below the title
    figures = [other for other in others if _is_large_figure(other)]
    words = [other for other in others if other not in figures]
    return bool(figures and others[1:]) and not (len(figures) == 1 and _are_few_words(words))


def _are_few_words(cells: list[nbformat.NotebookNode]) -> bool:
    """Whether cells are sentences, and so few that they can stand in a narrow column."""
    texts = [re.sub(r"^## .+\n*", "", cell.source) for cell in cells]
    plain = all(cell.cell_type == "markdown" for cell in cells) and not any(map(STRUCTURE.search, texts))
    return plain and sum(map(len, texts)) <= FEW


def _is_large_figure(cell: nbformat.NotebookNode) -> bool:
    """Whether a cell shows a figure that leaves no room for words; widgets make room, whatever their picture needs."""
    figures = [output for output in cell.get("outputs", ()) if "masks-place" not in str(output.get("data"))]
    sizes = [output.get("metadata", {}).get("image/png", {}) for output in figures]
    return any(size.get("width", 0) > LARGE[0] and size.get("height", 0) > LARGE[1] for size in sizes)


def _rendered(slides: list[Slide]) -> list[str]:
    """Each slide as a section of HTML."""

    def converted(cells: list[nbformat.NotebookNode]) -> str:
        notebook = nbformat.v4.new_notebook(cells=cells)
        return document.with_readable_tables(document.converted(notebook, anchors=False))

    sections = []
    for number, slide in enumerate(slides):
        notes = converted([_markdown(f"note-{number}-{n}", text) for n, text in enumerate(slide.notes)])
        notes = f'<aside class="notes">{notes}</aside>' if slide.notes else ""
        sections.append(f'<section><div class="fit">\n{converted(slide.cells)}\n</div>{notes}</section>')
    return sections


def _for_slide(cell: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """A cell as a slide shows it: without links that lead away, code hidden unless it is asked for."""
    cell = nbformat.from_dict(cell)
    if cell.cell_type == "markdown":
        cell.source = document.without_links(cell.source)
    elif not {"show-code", document.HIDDEN_CODE} & paths.tags(cell):
        cell.metadata.tags = [*cell.metadata.tags, document.HIDDEN_CODE]
    return cell


def _markdown(cell_id: str, text: str) -> nbformat.NotebookNode:
    """A Markdown cell whose id does not change from build to build."""
    return nbformat.v4.new_markdown_cell(text, id=cell_id)


def _holds(slide: Slide, model: str) -> bool:
    """Whether a slide shows the widget with this model id."""
    return any(model in str(output.get("data", {})) for cell in slide.cells for output in cell.get("outputs", ()))


def _without_map(program: str) -> str:
    """A program that names no source map: that is another file, which a browser's tools would ask for."""
    return re.sub(r"//# sourceMappingURL=\S+", "", program)
