"""Pages ask before they show: what settles a question is held back until somebody answers, or wants to see it."""

import json
import re

import nbformat
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from publish import ledger, normalise, paths, questions, source
from publish import page as single_page
from tests.support.widget_page import settle
from utils.widgets import Question
from utils.widgets import question as question_of_utils

LESSON = "02_padding"
FIRST = "pads-visible"
#: The words at a lesson's end, which settle all its questions, and so have several of these classes.
SUMMED_UP = '[class*=" masks-settles-"]'
#: What settles a question, on a page and on the site.
HELD = '[class*="masks-settles-"], [class*="tag_settles-"] > :is(.output_wrapper, .cell_output)'


def asked():
    """Id → what the lesson's questions say, in their order."""
    said = json.loads((paths.ROOT / "data" / questions.FILE).read_text(encoding="utf-8"))
    return {name.removeprefix("02/"): question for name, question in said.items() if name.startswith("02/")}


def plain(feedback):
    """As a page says it: without the signs of code, and of a right one without its first word, which is said before."""
    text = re.sub(r"^Right[.:,] ", "", feedback.replace("`", ""))
    return text[0].upper() + text[1:]


def is_seen(parts):
    """Whether each of these parts is there to be seen; there is at least one."""
    return parts.evaluate_all("parts => parts.length > 0 && parts.every((part) => part.checkVisibility())")


def is_any_seen(parts):
    return parts.evaluate_all("parts => parts.some((part) => part.checkVisibility())")


@pytest.fixture(params=["page", "site"])
def shown(request, open_offline):
    """Lesson 02, as a single page and on the site."""
    if request.param == "page":
        return open_offline(request.getfixturevalue("page_file")(LESSON), as_alone=True)
    return open_offline(request.getfixturevalue("built") / f"{LESSON}.html")


def question(shown, name=FIRST):
    return shown.locator(f'[class*="tag_question-{name}"]')


def held(shown, name=FIRST):
    """What waits for this question alone."""
    return shown.locator(f":is({HELD.replace('settles-', f'settles-{name}')}):not({SUMMED_UP})")


def answer(shown, name, option):
    """Chooses an option and commits to it, with the keyboard alone."""
    box = question(shown, name)
    box.get_by_role("radio").nth(option).focus()
    shown.keyboard.press("Space")
    shown.keyboard.press("Enter")
    settle(shown)


def test_nothing_that_settles_a_question_is_seen_until_somebody_answers(shown):
    assert shown.locator(HELD).count() > 2 * len(asked())
    assert not is_any_seen(shown.locator(HELD))
    text = shown.locator("main").first.inner_text()
    for said in asked().values():
        for option, feedback in zip(said["options"], said["feedback"], strict=True):
            assert option.replace("`", "") in text
            assert plain(feedback) not in text
    expect(shown.locator(".masks-wait")).to_have_count(len(asked()))
    later = held(shown, "pads-visible").and_(shown.locator(".output_wrapper, .cell_output")).count() - 1
    expect(shown.locator(".masks-later:visible", has_text="This waits for question 1.")).to_have_count(later)
    expect(shown.locator(".masks-score")).to_be_hidden()


def test_committing_shows_what_settles_this_question_and_no_other(shown):
    names, right = list(asked()), asked()[FIRST]["right"]
    answer(shown, FIRST, right)
    assert is_seen(held(shown))
    expect(shown.locator(".masks-later:visible", has_text="question 1.")).to_have_count(0)
    others = shown.locator(f':is({HELD}):not([class*="settles-{FIRST}"], [class*="settles-{FIRST}"] > *)')
    assert not is_any_seen(others)
    expect(question(shown).get_by_role("status")).to_have_text(f"✓ Right. {plain(asked()[FIRST]['feedback'][right])}")
    expect(shown.locator(".masks-score")).to_have_text(
        f"1 of 1 right so far; {len(names) - 1} of {len(names)} questions to go."
    )
    expect(shown.locator(".masks-wait:visible")).to_have_count(len(names) - 1)


def test_a_wrong_choice_is_settled_at_once_and_asking_again_folds_it_away(shown):
    said, name = asked()[FIRST], FIRST
    assert said["right"] == 3
    answer(shown, name, 1)
    status = question(shown).get_by_role("status").locator("p")
    feedback = [f"✗ Not right. {said['feedback'][1]}", f"✓ D is right. {plain(said['feedback'][3])}"]
    expect(status).to_have_text(feedback)
    expect(question(shown).locator(".question-mark")).to_have_text(["", "✗ Not right", "", "✓ This is right"])
    assert is_seen(held(shown))
    score = shown.locator(".masks-score")
    expect(score).to_contain_text("Look again at question 1.")
    shown.keyboard.press("Tab")
    expect(question(shown).get_by_role("button", name="Ask me again")).to_be_focused()
    shown.keyboard.press("Enter")
    settle(shown)
    expect(question(shown).get_by_role("radio").first).to_be_focused()
    expect(question(shown).locator(":checked")).to_have_count(0)
    expect(status).to_have_count(0)
    assert not is_any_seen(held(shown))
    expect(shown.locator(".masks-wait:visible")).to_have_count(len(asked()))
    expect(score).to_be_hidden()
    answer(shown, name, 3)  # a second reader
    assert is_seen(held(shown))
    expect(score).to_contain_text("1 of 1 right so far")


def test_at_the_end_a_page_says_what_to_look_at_again(shown):
    wrong = list(asked())[1]
    for name, said in asked().items():
        answer(shown, name, said["right"] if name != wrong else (said["right"] + 1) % 4)
    score = shown.locator(".masks-score")
    expect(score).to_have_text(f"{len(asked()) - 1} of {len(asked())} right. Look again at question 2.")
    score.get_by_role("link", name="question 2").click()
    expect(question(shown, wrong)).to_be_in_viewport()
    assert shown.evaluate("localStorage.length + sessionStorage.length") <= 2  # the site's theme
    shown.reload()
    expect(shown.locator(".masks-score")).to_be_hidden()


def test_who_does_not_want_to_guess_sees_one_answer_or_all(shown):
    button = shown.locator(".masks-wait").first.get_by_role("button")
    button.focus()
    shown.keyboard.press("Enter")
    assert is_seen(held(shown))
    assert held(shown).first.evaluate("part => part === document.activeElement")  # the keyboard goes on from there
    switch = shown.get_by_role("button", name="Show all answers")
    switch.click()
    assert is_seen(shown.locator(HELD))
    expect(shown.locator(".masks-wait:visible")).to_have_count(0)
    shown.get_by_role("button", name="Hide the answers again").click()
    expect(shown.locator(".masks-wait:visible")).to_have_count(len(asked()) - 1)


def marked(shown):
    """What stands beside options that are marked, and what is said, question by question."""
    boxes = [question(shown, name) for name in asked()]
    return [[box.locator(f"{what}:not(:empty)").all_inner_texts() for what in (MARKS, SAID)] for box in boxes]


MARKS, SAID = ".question-mark", ":is(.question-answer, .question-status) > p"


def test_all_answers_are_marked_and_explained_without_being_answered(shown):
    answer(shown, FIRST, 0)
    before = marked(shown)
    assert before[1:] == [[[], []]] * (len(asked()) - 1)
    switch = shown.locator(".masks-show-all")
    switch.focus()
    shown.keyboard.press("Enter")
    settle(shown)
    expect(switch).to_be_focused()
    all_marked = marked(shown)
    assert all_marked[0] == before[0]
    for (marks, said), wanted in zip(all_marked[1:], [*asked().values()][1:], strict=True):
        right = wanted["right"]
        assert marks == ["✓ This is right"]
        assert said == [f"✓ {'ABCD'[right]} is right. {plain(wanted['feedback'][right])}"]
    expect(shown.locator(".masks-score")).to_contain_text(f"{len(asked()) - 1} of {len(asked())} questions to go")
    shown.keyboard.press("Enter")
    settle(shown)
    assert marked(shown) == before
    assert not is_any_seen(held(shown, list(asked())[1]))
    shown.evaluate("dispatchEvent(new Event('beforeprint'))")  # a browser's own menu is out of reach
    shown.emulate_media(media="print")
    assert marked(shown) == all_marked
    assert not is_any_seen(shown.locator(".question-saved"))
    shown.emulate_media(media="screen")
    shown.evaluate("dispatchEvent(new Event('afterprint'))")
    assert marked(shown) == before


def test_on_paper_and_without_javascript_everything_is_there(shown, browser):
    shown.emulate_media(media="print")
    assert is_seen(shown.locator(HELD))
    assert not is_any_seen(shown.locator(".masks-wait"))
    context = browser.new_context(java_script_enabled=False)
    plain = context.new_page()
    plain.goto(shown.url)
    for number in range(plain.locator(HELD).count()):
        expect(plain.locator(HELD).nth(number)).to_be_visible()
    expect(question(plain)).to_contain_text(f"A {asked()[FIRST]['options'][0]}")
    context.close()


def test_a_link_leads_to_what_is_held_back(shown):
    target = held(shown).first
    target.evaluate("part => { part.insertAdjacentHTML('beforeend', '<i id=here>here</i>'); location.hash = 'here'; }")
    expect(shown.locator("#here")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_that_ask_have_nothing_that_axe_finds(shown, scheme):
    shown.emulate_media(color_scheme=scheme)
    answer(shown, FIRST, 0)
    results = Axe().run(shown, context="main", options={"preload": False})  # it would fetch style sheets
    assert results.response["violations"] == [], results.generate_report()


SHARED = """
```{question} first
One?

- [x] a
  > Right.
- [ ] b
  > No.
```
---
```{question} second
Two?

- [x] a
  > Right.
- [ ] b
  > No.
```"""


@pytest.fixture(params=["page", "site"])
def shared(request, tmp_path, open_offline, monkeypatch):
    """A lesson in which a run and words settle two questions, and each of these has words of its own after them."""
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "42_test.md").write_text(SHARED)
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    monkeypatch.setattr(paths, "SOURCES", tmp_path / "src")
    monkeypatch.setattr(question_of_utils, "DATA", questions.write().parent)
    first, second = SHARED.split("---\n")
    both = ["settles-first", "settles-second"]
    run = nbformat.v4.new_code_cell("print(1)", outputs=[nbformat.v4.new_output("stream", text="a run\n")])
    cells = [nbformat.v4.new_markdown_cell(text) for text in ("# 42 · Test?\n\n*None.*", first, second)]
    cells += [run, *map(nbformat.v4.new_markdown_cell, ("Of both.", "Of one.", "Of two.", "## Further reading"))]
    for cell, tags in zip(cells[3:-1], (both, both, both[:1], both[1:]), strict=True):
        cell.metadata.tags = tags
    notebook = nbformat.v4.new_notebook(cells=cells)
    questions.expand(notebook, "42_test")
    for cell in notebook.cells:
        if questions.asked(cell):
            name = questions.OF.search(cell.source)[1]
            data, _ = Question.of(name)._repr_mimebundle_()
            cell.outputs = [nbformat.v4.new_output("display_data", data)]
    questions.unfold(notebook)
    text = single_page.page(notebook)
    if request.param == "site":  # has other names for the same
        text = (
            text.replace('="celltag_', '="tag_').replace(" celltag_", " tag_").replace("output_wrapper", "cell_output")
        )
    (tmp_path / "page.html").write_text(text)
    return open_offline(tmp_path / "page.html", as_alone=True)


def lines(shown):
    """What stands in place of what is held back."""
    return shown.locator(":is(.masks-wait, .masks-later):visible").all_inner_texts()


def visible(shown):
    return [
        text for text in ("a run", "Of both.", "Of one.", "Of two.") if shown.get_by_text(text, exact=True).is_visible()
    ]


def test_what_settles_two_questions_waits_for_both(shared):
    wait = "Answer question 1 and question 2 first, then see what a run shows. Show it"
    assert lines(shared) == [wait, "This waits for question 1 and question 2."]
    assert visible(shared) == []
    answer(shared, "second", 1)
    assert lines(shared) == [wait.replace(" and question 2", ""), "This waits for question 1."]
    assert visible(shared) == ["Of two."]
    shared.locator(".masks-wait").get_by_role("link").click()
    expect(question(shared, "first")).to_be_in_viewport()
    answer(shared, "first", 0)
    assert lines(shared) == []
    assert visible(shared) == ["a run", "Of both.", "Of one.", "Of two."]
    question(shared, "second").get_by_role("button").click()
    assert lines(shared) == [wait.replace("question 1 and ", ""), "This waits for question 2."]
    assert visible(shared) == ["Of one."]
    shared.locator(".masks-wait").get_by_role("button").focus()
    shared.keyboard.press("Enter")
    assert visible(shared) == ["a run", "Of both.", "Of one.", "Of two."]
    assert shared.evaluate("document.activeElement.innerText").strip() == "a run"
    expect(shared.locator(".masks-score")).to_have_text("1 of 1 right so far; 1 of 2 questions to go.")


# --- the notebooks ----------------------------------------------------------------------------------------

LETTER = re.compile(r"\b(?:It is|answer is|Right:) \(?[a-eA-E]\)|^- [a-e]\) ", re.MULTILINE)


@pytest.mark.parametrize("lesson", [path.stem for path in source.files()])
def test_no_visible_text_of_a_lesson_gives_an_answer_away(lesson):
    """With outputs cleared and explanations folded: words, code and alt texts."""
    notebook = nbformat.read(paths.FOLDER / f"{lesson}.ipynb", as_version=4)
    said = json.loads((paths.ROOT / "data" / questions.FILE).read_text(encoding="utf-8"))
    visible = "\n".join(
        cell.source
        for cell in notebook.cells
        if not {"proof", "alts"} & paths.tags(cell) and not (cell.cell_type == "markdown" and questions.settled(cell))
    )
    assert LETTER.search(visible) is None
    for cell in notebook.cells:  # JupyterLab folds a cell to its first line, which stays to be read
        if "proof" in paths.tags(cell):
            assert cell.source.startswith(normalise.TITLE), cell.id
        elif "alts" in paths.tags(cell):
            assert re.match("# What pictures show( that answer a question)?, in words\\b", cell.source), cell.id
    words = " ".join(visible.replace("`", "").split())
    for name, question in said.items():
        if name.startswith(lesson[:2]):
            assert not [text for text in question["feedback"] if text.replace("`", "") in words], name
            right = question["right"] if isinstance(question["right"], list) else [question["right"]]
            told = [
                n
                for n, option in enumerate(question["options"])
                if len(option.split()) > 1 and option.replace("`", "") in words
            ]
            assert not {*told} & {*right} or len(told) == len(question["options"]), f"{name}: {told}"


def test_why_an_option_is_right_can_be_read_after_the_words_that_say_so():
    """After "B is right." comes its feedback, without the first word."""
    for name, question in json.loads((paths.ROOT / "data" / questions.FILE).read_text(encoding="utf-8")).items():
        right = question["right"] if isinstance(question["right"], list) else [question["right"]]
        for n in right if question["options"] else [0]:
            feedback = question["feedback"][n]
            assert not re.match(r"(?:And|But|Or|So|Right)\b|(?:Yes|No)[.,:]", plain(feedback)), f"{name}: {feedback}"


def test_no_letter_is_right_too_often():
    """Of A to D each is right in 15 to 35 % of all questions that have one right option."""
    said = json.loads((paths.ROOT / "data" / questions.FILE).read_text(encoding="utf-8"))
    right = [question["right"] for question in said.values() if question["options"]]
    single = [letter for letter in right if isinstance(letter, int)]
    for letter in range(4):
        assert 0.15 <= single.count(letter) / len(single) <= 0.35, "ABCD"[letter]


def test_the_form_of_an_option_does_not_tell_that_it_is_right():
    """Who knows nothing and chooses by length, or by a reason behind a colon, is right as often as by chance."""
    said = json.loads((paths.ROOT / "data" / questions.FILE).read_text(encoding="utf-8"))
    asked = [(question["options"], question["right"]) for question in said.values()]
    single = [(options, right) for options, right in asked if options and isinstance(right, int)]
    chance = sum(1 / len(options) for options, _ in single)

    def score(choice):
        return sum(right == choice(options) for options, right in single)

    def without_reason(options):
        return [option for option in options if ":" not in option] or options

    for choice in (
        lambda options: options.index(min(options, key=len)),
        lambda options: options.index(max(options, key=len)),
        lambda options: options.index(min(without_reason(options), key=len)),
        lambda options: options.index(max(without_reason(options), key=len)),
    ):
        assert score(choice) < 1.35 * chance


@pytest.mark.parametrize("lesson", [path.stem for path in source.files()])
def test_cells_that_teach_assert_nothing(lesson):
    for cell in nbformat.read(paths.FOLDER / f"{lesson}.ipynb", as_version=4).cells:
        if cell.cell_type == "code" and not {"proof", "alts", "exercise"} & paths.tags(cell):
            assert not ledger.asserts(cell), cell.id


# --- every question, everywhere -------------------------------------------------------------------------


@pytest.mark.gate
@pytest.mark.parametrize("lesson", [path.stem for path in source.lessons()])
@pytest.mark.parametrize("place", ["page", "site"])
def test_every_question_is_answered_by_keyboard_and_settled(lesson, place, request, open_offline):
    """From one to the next with Tab, as somebody does who has no mouse."""
    path = request.getfixturevalue("page_file")(lesson) if place == "page" else None
    shown = open_offline(path or request.getfixturevalue("built") / f"{lesson}.html")
    boxes = shown.locator('[class*="tag_question-"]')
    assert boxes.count() >= 3
    assert not is_any_seen(shown.locator(SUMMED_UP))
    for box in boxes.all():
        name = re.search(r"tag_question-([a-z0-9-]+)", box.get_attribute("class"))[1]
        answers = box.locator("input")
        answers.first.focus()
        if answers.first.get_attribute("type") == "text":
            shown.keyboard.type("3")
        else:
            shown.keyboard.press("Space")
        shown.keyboard.press("Enter")
        expect(box.get_by_role("status")).to_contain_text("ight")
        settle(shown)
        assert is_seen(held(shown, name))
    expect(shown.locator(":is(.masks-wait, .masks-later):visible")).to_have_count(0)
    assert is_seen(shown.locator(SUMMED_UP))
    expect(shown.locator(".masks-score")).to_contain_text(f" of {boxes.count()} right")
