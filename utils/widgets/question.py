"""Question: a prediction that answers back. First asked in lesson 00."""

import difflib
import html
import json
import math
import re
from collections.abc import Sequence
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from .._validation import mismatch, text_of
from ._base import module_text, style_text

__all__ = ["Question"]

LETTERS = "ABCDE"
PACKAGE = Path(__file__).parents[1]
#: Inside an installed package, beside it in the repository.
DATA = PACKAGE / "data" if (PACKAGE / "data").exists() else PACKAGE.parent / "data"
#: Rounding of decimals is no mistake: 0.4 is 0.1 from 0.3. answer.js has the same.
SLACK = 1e-9
#: What a question says where no widget lives; js/question/words.js has the same words for the page.
SEVERAL, ANSWER = "Choose all that are right.", "Your answer"
#: What is between backticks is code.
CODE = re.compile(r"`([^`]+)`")
MARKUP = re.compile(r"([\\`*_{}\[\]<>()#+\-.!|~&$:])")


class Question(anywidget.AnyWidget):
    """A question with options, or one that a number answers: choose, commit, and read what your choice means.

    All texts are plain; what is between backticks is shown as code. In a notebook ``question.choice`` follows the
    page, and ``question.observe(f, "choice")`` calls f when something is committed. A cell that runs again asks again.

    Args:
        text: the question.
        options: two to five answers to choose from; without them a number is asked for.
        right: the index of the right option, from 0; a list of indices, if several may be ticked; or the number.
        feedback: a text for each option; for a number two, (for a right one, for a wrong one). None if not given. Once
            something is committed, its own is shown first; if it was wrong, that of what is right follows, after
            "B is right." An opening "Right." or "Yes:" is left out, since it was said.
        tolerance: how far from the right number an answer may be.
        unit: what stands behind the number, such as "%".
        id: its name among the questions of the lessons, such as "02/pads-visible".
        words: replaces words of the interface, for another language: see WORDS in js/question/words.js.

    Attributes:
        choice: what is committed: None before that, then an index, a list of indices, or a number. Setting it commits.

    Raises:
        TypeError: a text that is none, or a ``right`` that does not suit the options.
        ValueError: too few or too many options or texts, an option that is not there, a number that is not finite.

    References:
        Lesson 00, and every lesson after it.
        https://en.wikipedia.org/wiki/Peer_instruction
    """

    _esm = module_text("question")
    _css = style_text("question")

    text = traitlets.Unicode().tag(sync=True)
    show_text = traitlets.Bool(True, help="Whether the question is seen, not only read out.").tag(sync=True)
    options = traitlets.List(traitlets.Unicode()).tag(sync=True)
    right = traitlets.Any().tag(sync=True)
    feedback = traitlets.List(traitlets.Unicode()).tag(sync=True)
    tolerance = traitlets.Float(0.0).tag(sync=True)
    unit = traitlets.Unicode().tag(sync=True)
    id = traitlets.Unicode().tag(sync=True)
    words = traitlets.Dict().tag(sync=True)
    choice = traitlets.Any(None, allow_none=True).tag(sync=True)

    def __init__(
        self,
        text: str,
        options: Sequence[str] = (),
        *,
        right: int | Sequence[int] | float,
        feedback: Sequence[str] = (),
        tolerance: float = 0.0,
        unit: str = "",
        id: str = "",
        words: dict | None = None,
    ):
        options = _require_options(options)
        super().__init__(
            text=_require_text(text, "text"),
            options=options,
            right=_require_right(right, options),
            feedback=_require_feedback(feedback, options),
            tolerance=_require_tolerance(tolerance, options),
            unit=_require_unit(unit, options),
            id=_require_text(id, "id", optional=True),
            words=words or {},
        )

    @classmethod
    def of(cls, id: str, *, words: dict | None = None) -> "Question":
        """The question of a lesson, by its id. Its text is in the lesson already, so only its options are seen.

        Args:
            id: such as "02/pads-visible"; data/questions.json holds them all.
            words: as for the class.

        Returns:
            a new question, nothing committed, with ``show_text`` False.

        Raises:
            FileNotFoundError: there are no questions yet.
            KeyError: none of this id.

        References:
            Lesson 00.
        """
        path = DATA / "questions.json"
        if not path.is_file():
            raise FileNotFoundError(
                f"{path} is missing, which holds the questions of the lessons. Run `python -m publish notebooks`, "
                "which writes it."
            )
        questions = json.loads(path.read_text(encoding="utf-8"))
        if id not in questions:
            close = difflib.get_close_matches(str(id), questions, n=3, cutoff=0.5)
            hint = f"Close to it: {', '.join(close)}." if close else f"There are {len(questions)} in {path}."
            raise _UnknownQuestion(mismatch("id", id, "the id of a question of the lessons", hint))
        question = cls(**questions[id], id=id, words=words)
        question.show_text = False
        return question

    @traitlets.validate("choice")
    def _is_possible(self, proposal):
        value = proposal["value"]
        return None if value is None else _require_choice(value, self.right, self.options)

    @property
    def is_right(self) -> bool | None:
        """Whether what is committed is right; None before that."""
        if self.choice is None:
            return None
        if self.options:
            return self.choice == self.right
        return abs(self.choice - self.right) <= self.tolerance + SLACK * max(1.0, abs(self.right))

    def reset(self) -> None:
        """Asks again: nothing is committed."""
        self.choice = None

    def __repr__(self) -> str:
        name = repr(self.id) if self.id else repr(self.text)
        return f"Question({name}, choice={self.choice!r})"  # that of ipywidgets would give the answer away

    def _repr_mimebundle_(self, **kwargs):
        bundle = super()._repr_mimebundle_(**kwargs)
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle or {}, {})
        lines = self._lines()
        plain = "\n".join(f"{letter}. {text}" if letter else text for letter, text in lines)
        return {**data, "text/html": _html(lines), "text/markdown": _markdown(lines), "text/plain": plain}, metadata

    def _lines(self) -> list[tuple[str, str]]:
        """What is shown where no widget lives: (letter or "", text) of each line. No marks, no feedback."""
        lines = [("", self.text)] if self.show_text else []
        if not self.options:
            return [*lines, ("", f"{self.words.get('answer', ANSWER)}: … {self.unit}".rstrip())]
        if isinstance(self.right, list):
            lines.append(("", self.words.get("several", SEVERAL)))
        return lines + list(zip(LETTERS, self.options, strict=False))


class _UnknownQuestion(KeyError):
    """A KeyError whose words are shown as they are, not as repr of them."""

    def __str__(self) -> str:
        return self.args[0]


def _html(lines: list[tuple[str, str]]) -> str:
    """Letters are text, since GitHub and others may leave out the types of lists."""
    rows = []
    for letter, text in lines:
        words = CODE.sub(r"<code>\1</code>", html.escape(text))
        rows.append(f"<b>{letter}</b> {words}" if letter else words)
    return f'<p class="question-saved">{"<br>".join(rows)}</p>'


def _markdown(lines: list[tuple[str, str]]) -> str:
    rows = []
    for letter, text in lines:
        parts = CODE.split(" ".join(text.split()))
        words = "".join(f"`{part}`" if n % 2 else MARKUP.sub(r"\\\1", part) for n, part in enumerate(parts))
        rows.append(f"**{letter}** {words}" if letter else words)
    return "\\\n".join(rows)  # a line ends, the paragraph goes on


# --- arguments ---------------------------------------------------------------------------------------


def _require_text(value: Any, name: str, optional: bool = False) -> str:
    if not isinstance(value, str):
        raise TypeError(mismatch(name, value, "text"))
    if not optional and not value.strip():
        raise ValueError(f"{name}: got nothing, wanted words.")
    return text_of(value)


def _require_texts(values: Any, name: str, wanted: str, optional: bool = False) -> list[str]:
    if isinstance(values, str) or not isinstance(values, Sequence):
        raise TypeError(mismatch(name, values, wanted, f"Write [{values!r}]." if isinstance(values, str) else ""))
    return [_require_text(value, f"{name}[{n}]", optional) for n, value in enumerate(values)]


def _require_options(options: Any) -> list[str]:
    wanted = "two to five texts, or none for a number"
    texts = _require_texts(options, "options", wanted)
    if texts and not 2 <= len(texts) <= len(LETTERS):
        raise ValueError(f"options: got {len(texts)}, wanted {wanted}.")
    for n, text in enumerate(texts):
        if text in texts[:n]:
            raise ValueError(f"options: got {text!r} twice, wanted different ones.")
    return texts


def _require_right(right: Any, options: list[str]) -> int | list[int] | float:
    if not options:
        hint = "With options it can be the index of one; there are none." if isinstance(right, list | str) else ""
        return _require_number(right, "right", hint)
    if isinstance(right, str):
        index = options.index(right) if right in options else LETTERS.find(right) if len(right) == 1 else -1
        hint = f"Write right={index}." if 0 <= index < len(options) else ""
        raise TypeError(mismatch("right", right, f"the index of an option, 0 to {len(options) - 1}", hint))
    if isinstance(right, Sequence):
        indices = _require_indices(right, "right", options)
        if not indices:
            raise ValueError("right: got no index, wanted at least one right option.")
        return indices
    return _require_index(right, "right", options)


def _require_index(value: Any, name: str, options: list[str]) -> int:
    wanted = f"the index of an option, 0 to {len(options) - 1}"
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(mismatch(name, value, wanted))
    index = int(value)
    if not 0 <= index < len(options):
        raise ValueError(mismatch(name, index, wanted, "The first is 0." if index == len(options) else ""))
    return index


def _require_indices(values: Any, name: str, options: list[str]) -> list[int]:
    if isinstance(values, str) or not isinstance(values, Sequence):
        raise TypeError(mismatch(name, values, "a list of indices, since several options may be ticked"))
    indices = sorted(_require_index(value, f"{name}[{n}]", options) for n, value in enumerate(values))
    if len(set(indices)) < len(indices):
        raise ValueError(f"{name}: got {list(values)}, wanted each index once.")
    return indices


def _require_number(value: Any, name: str, hint: str = "") -> float:
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(mismatch(name, value, "a number", hint))
    if not math.isfinite(value):
        raise ValueError(mismatch(name, float(value), "a finite number"))
    return float(value)


def _require_choice(value: Any, right: Any, options: list[str]) -> int | list[int] | float:
    if not options:
        return _require_number(value, "choice")
    if isinstance(right, list):
        return _require_indices(value, "choice", options)
    return _require_index(value, "choice", options)


def _require_feedback(feedback: Any, options: list[str]) -> list[str]:
    count = len(options) or 2
    wanted = f"{count} texts, one for each option" if options else "2 texts, for a right number and for a wrong one"
    texts = _require_texts(feedback, "feedback", wanted, optional=True)
    if texts and len(texts) != count:
        raise ValueError(f"feedback: got {len(texts)}, wanted {wanted}.")
    return texts


def _require_tolerance(tolerance: Any, options: list[str]) -> float:
    tolerance = _require_number(tolerance, "tolerance")
    if tolerance < 0:
        raise ValueError(mismatch("tolerance", tolerance, "0 or more"))
    if tolerance and options:
        raise ValueError(mismatch("tolerance", tolerance, "none beside options", "Only a number has one."))
    return tolerance


def _require_unit(unit: Any, options: list[str]) -> str:
    unit = _require_text(unit, "unit", optional=True)
    if unit and options:
        raise ValueError(mismatch("unit", unit, "none beside options", "Only a number has one."))
    return unit
