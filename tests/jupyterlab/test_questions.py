"""Every question of every lesson, answered by keyboard in JupyterLab: in Chromium, and in Firefox.

One notebook holds them all, each with the words above it, as in the lessons. About half of them are answered wrong.
"""

import itertools
import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest
from axe_playwright_python.sync_playwright import Axe

from publish import normalise, paths, questions, source
from tests.support import firefox
from tests.support.jupyterlab import PATIENCE, READY, address_of, open_lesson

#: Keeps every widget that is made, so that what Python knows of them can be read at the end.
BEGIN = """\
import ipywidgets, json
from utils import widgets
asked = []
ipywidgets.Widget.on_widget_constructed(asked.append)
"""
END = "print(json.dumps({each.id: each.choice for each in asked if isinstance(each, widgets.Question)}))"

#: Of the question below a cell: what is said; where the focus is, and what of the notebook its keys could change.
STATE = """(index) => {
  const { content, sessionContext } = jupyterapp.shell.currentWidget;
  const view = content.widgets[index].node.querySelector(".question");
  const inputs = [...(view?.querySelectorAll("input") ?? [])];
  const focus = document.activeElement;
  return {
    asks: inputs.length > 0,
    said: [...(view?.querySelectorAll("[role=status] p") ?? [])].map((line) => line.innerText),
    chosen: inputs.flatMap((input, n) => (input.checked ? [n] : [])),
    typed: inputs[0]?.value,
    input: inputs.indexOf(focus),
    at: focus === view?.querySelector("button") ? "button" : focus === content.widgets[index].node ? "cell" : "",
    notebook: {
      active: content.activeCellIndex,
      mode: content.mode,
      cells: content.widgets.map((cell) => [cell.model.type, cell.model.sharedModel.source]),
      counts: content.widgets.map((cell) => cell.model.executionCount ?? null),
    },
    status: sessionContext.session.kernel.status,
    dialogs: document.querySelectorAll(".jp-Dialog").length,
  };
}"""
PRINTED = """(index) => {
  const cell = jupyterapp.shell.currentWidget.content.widgets[index].model;
  return cell.executionCount && cell.executionState === "idle" ? cell.outputs.toJSON() : null;
}"""


class Hands:
    """A person at the keyboard of a notebook that is open in JupyterLab, and what that person sees."""

    def __init__(self, evaluate: Callable[[str, Any], Any], press: Callable[[str], None]):
        self.evaluate, self.press_one = evaluate, press

    def press(self, *keys: str) -> None:
        for key in keys:
            self.press_one(key)

    def until(self, script: str, argument: Any, holds: Callable[[Any], Any] = bool) -> Any:
        """What a function of the page returns, once that is as it should be."""
        deadline = time.monotonic() + PATIENCE / 1000
        while not holds(value := self.evaluate(script, argument)):
            assert time.monotonic() < deadline, f"{script[:40]} … returns {value}"
            time.sleep(0.02)
        return value

    def sees(self, index: int, holds: Callable[[dict], Any]) -> dict:
        return self.until(STATE, index, holds)

    def run(self, index: int) -> None:
        """Runs the words of a question and the cell that asks it; the cell after it is selected then."""
        self.press("Shift+Enter", "Shift+Enter")
        self.sees(
            index,
            lambda seen: seen["asks"] and seen["notebook"]["active"] == index + 1 and seen["status"] == "idle",
        )

    def choose(self, index: int, question: dict, choice: Any) -> None:
        """Goes back from the cell below with Tab, over the button, and chooses."""
        self.press("Shift+Tab")
        self.sees(index, lambda seen: seen["at"] == "button")
        self.press("Shift+Tab")
        start = self.sees(index, lambda seen: seen["input"] >= 0)[
            "input"
        ]  # Chromium's is the last, Firefox's the first
        if not question["options"]:
            self.press(*choice)
            self.sees(index, lambda seen: seen["typed"] == choice)
        elif isinstance(choice, list):
            for option in range(start, -1, -1):
                self.press(*["Space"] * (option in choice), *["Shift+Tab"] * (option > 0))
            self.sees(index, lambda seen: seen["chosen"] == choice and seen["input"] == 0)
        else:
            self.press("Space", *["ArrowDown"] * ((choice - start) % len(question["options"])))
            self.sees(index, lambda seen: seen["chosen"] == [choice] == [seen["input"]])

    def commit(self, index: int, number: int) -> dict:
        """By Enter or by the button; what is seen then."""
        if number % 2:
            self.press("Enter")
        else:
            self.tab_to("button", index, "Tab")
            self.press("Space" if number % 4 else "Enter")
        return self.sees(index, lambda seen: seen["said"])

    def tab_to(self, goal: str, index: int, key: str) -> None:
        """Presses a key until the focus is at the button of a question, or at its cell."""
        for _ in range(10):
            if self.evaluate(STATE, index)["at"] == goal:
                return
            self.press(key)
        raise AssertionError(f"{key} does not lead to the {goal} of {index}")

    def leave(self, index: int) -> None:
        """Back to the cell that asks, and down to the next, as from any output of a notebook."""
        self.tab_to("cell", index, "Shift+Tab")
        self.press("ArrowDown")
        self.sees(index + 1, lambda seen: seen["at"] == "cell" and seen["notebook"]["active"] == index + 1)


def a_choice(question: dict, number: int) -> Any:
    """The right answer to every other question, else a wrong one, each time another; a number as it is typed."""
    options, right, is_right = question["options"], question["right"], number % 2 == 0
    if not options:
        return f"{right if is_right else right + 1 + 2 * question['tolerance']:g}"
    if isinstance(right, list):
        return right if is_right else [n for n in range(len(options)) if (n in right) == (n == right[0])]
    return right if is_right else (right + 1 + number // 2 % (len(options) - 1)) % len(options)


def said_of(question: dict, choice: Any) -> list[str]:
    """What must be said to a choice: the feedback of each option that was chosen, or of the number."""
    if not question["options"]:
        is_near = abs(float(choice) - question["right"]) <= question["tolerance"]
        return [question["feedback"][0 if is_near else 1]]
    return [question["feedback"][n] for n in (choice if isinstance(choice, list) else [choice])]


def in_one_notebook(path: Path) -> list[str]:
    """Writes every question, and the words above it, into one notebook; returns their ids."""
    cells, names = [nbformat.v4.new_code_cell(BEGIN)], []
    for lesson in source.files():
        (_, notebook), *_ = source.generate(lesson)
        normalise.normalise(notebook)
        for above, cell in itertools.pairwise(notebook.cells):
            if name := questions.asked(cell):
                names.append(f"{lesson.stem[:2]}/{name}")
                cells += [above, cell]
    cells.append(nbformat.v4.new_code_cell(END))
    for number, cell in enumerate(cells):
        cell.id = f"cell-{number}"
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": paths.KERNEL}), str(path))
    return names


def plain(text: str) -> str:
    """A text as it is seen: code without its backticks, one space between words, no "Right." that was said before."""
    text = re.sub(r"^(?:Right|Yes)[.:,] ", "", " ".join(text.replace("`", "").split()))
    return text.casefold()  # its first letter is a capital then


def answer_all(hands: Hands, names: list[str], lab) -> None:
    """Answers each question, and reads what is said; at the end Python knows every choice."""
    known = json.loads((lab.root / "data" / questions.FILE).read_text(encoding="utf-8"))
    assert names == list(known)
    told = {}
    hands.until(STATE, 0, lambda seen: seen["at"] == "cell")
    hands.press("Shift+Enter")
    for number, (name, question) in enumerate(known.items()):
        index, choice = 2 * number + 2, a_choice(question, number)
        hands.run(index)
        before = hands.evaluate(STATE, index)["notebook"]
        hands.choose(index, question, choice)
        seen = hands.commit(index, number)
        wanted = [plain(text) for text in said_of(question, choice)]
        said = [plain(text) for text in seen["said"]]
        assert all(text in " ".join(said) for text in wanted), (name, choice, said)
        if not isinstance(choice, list):  # what the right option says may follow
            assert said[0].endswith(wanted[0]), (name, choice)
        assert seen["notebook"] == {**before, "active": index}, f"{name}: keys have reached the notebook"
        assert seen["dialogs"] == 0
        told[name] = choice if question["options"] else float(choice)
        hands.leave(index)
    hands.press("Shift+Enter")
    (printed,) = hands.until(PRINTED, 2 * len(names) + 1)
    assert json.loads("".join(printed["text"])) == told


@pytest.mark.gate
def test_every_question_is_answered_by_keyboard_in_chromium(lab, page, outside):
    address = lab.address()
    names = in_one_notebook(lab.copies / "in_chromium.ipynb")
    page.set_viewport_size({"width": 1400, "height": 1000})
    open_lesson(page, address, "in_chromium.ipynb")
    answer_all(Hands(page.evaluate, page.keyboard.press), names, lab)
    results = Axe().run(page, context=".jp-OutputArea-output:has(.question)", options={"preload": False})
    assert len(results.response["passes"]) > 5
    assert results.response["violations"] == [], results.generate_report()
    assert outside == []


@pytest.fixture
def fox():
    with firefox.started() as client:
        yield client


@pytest.mark.gate
def test_every_question_is_answered_by_keyboard_in_firefox(lab, fox):
    from marionette_driver.keys import Keys

    keys = {"Space": Keys.SPACE, "Enter": Keys.ENTER, "Tab": Keys.TAB}
    keys |= {"ArrowUp": Keys.ARROW_UP, "ArrowDown": Keys.ARROW_DOWN}

    def press(key: str) -> None:
        *held, key = key.split("+")
        sequence = fox.actions.sequence("key", "keyboard")
        if held:
            sequence.key_down(Keys.SHIFT)
        sequence.key_down(keys.get(key, key)).key_up(keys.get(key, key))
        if held:
            sequence.key_up(Keys.SHIFT)
        sequence.perform()

    def evaluate(script: str, argument: Any) -> Any:
        call = f"const [argument, done] = arguments; Promise.resolve(({script})(argument)).then(done);"
        return fox.execute_async_script(call, script_args=[argument], sandbox=None)

    address = lab.address()
    names = in_one_notebook(lab.copies / "in_firefox.ipynb")
    hands = Hands(evaluate, press)
    fox.timeout.script = PATIENCE / 1000
    fox.navigate(address_of(address, "in_firefox.ipynb"))
    hands.until("() => Boolean(globalThis.jupyterapp)", None)
    hands.until(READY, "in_firefox.ipynb")
    answer_all(hands, names, lab)
    asked = fox.execute_script(firefox.ASKED)
    assert [url for url in asked if not url.startswith(("http://localhost:", "blob:", "data:"))] == []
