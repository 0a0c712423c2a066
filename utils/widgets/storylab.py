"""StoryLab: draw a mask, and the next word of a real GPT-2 changes. Taught in lesson 00."""

from collections.abc import Sequence
from contextlib import contextmanager
from math import isqrt, nan
from typing import Any

import anywidget
import torch
import traitlets
from torch import Tensor

from .. import plots
from .._validation import describe_tensor, mismatch, require_count, require_keep_for, text_of
from . import _story
from ._base import module_text, style_text, with_picture
from ._story import FILLS, PARAMETERS, PRESETS, SIDES, NextToken
from ._story_file import story_file
from .step import require_known

__all__ = ["NextToken", "StoryLab"]

PLACES = ("end", "word")
MOST_PADS = 16
#: Each mask in words.
MASKS = {
    "causal": "causal",
    "window": "each token sees {window} tokens, itself among them",
    "left_padding": "{pads} pads before the text, which {are} hidden",
    "right_padding": "{pads} pads after the text, which {are} hidden",
    "none": "none, so that every token sees the future",
    "upside_down": "upside down, so that every token sees the future only",
    "drawn": "drawn by hand",
}
#: Traits from which the mask and the next tokens follow.
SETTINGS = ("text", "preset", "parameters", "hidden", "keep_bytes", "fill", "only_head", "read_at")
ZERO_ONE = b"\0" + b"\1" * 255  # what each byte of a mask becomes
MOST_SEED = 2**32 - 1
CLOSE = 1e-4  # probabilities of a page and of Python
SHOWN = 60  # characters of a text in the words of a picture


class Keep(traitlets.TraitType):
    """bool (T, T), True = may attend: the widget's ``keep_bytes`` as a tensor, a new one at every look."""

    info_text = "a bool tensor, True = may attend, that broadcasts to (T, T)"

    def get(self, obj, cls=None) -> Tensor:
        return _keep_tensor(obj.keep_bytes)

    def set(self, obj, value) -> None:
        length = len(obj.tokens)
        obj.keep_bytes = _keep_bytes(_require_keep(value, length))


def _from_page(rows: list, widget) -> list[NextToken]:
    """What a page says of the next token; what was known already stays as it is, since the last digits may differ."""
    told = [NextToken(token, *(nan if p is None else p for p in numbers)) for token, *numbers in rows]
    return widget.next_tokens if _are_close(told, widget.next_tokens) else told


def _to_page(tokens: list[NextToken], widget) -> list[list]:
    return [[row.token, *(None if p != p else p for p in row[1:])] for row in tokens]


class StoryLab(anywidget.AnyWidget):
    """A sentence, a mask, and what a real GPT-2 says next: with this mask, and as it was trained.

    story-gpt2 itself runs in the page, without a kernel: a word is hidden by a click, a mask chosen or drawn, and all
    attention maps, the next word and the story change at once. In a notebook the state travels both ways: set ``text``
    or ``keep``, and observe ``text``, ``keep`` or ``next_tokens``. Python computes the same numbers with transformers.

    Args:
        text: what the model reads. It is cut after 128 tokens, pads included; nothing is the start of any story.
        preset: the mask: ``"causal"``, as the model was trained; ``"window"``; ``"left_padding"``;
            ``"right_padding"``; ``"none"``; ``"upside_down"``, which is ~causal; or ``"drawn"``, by ``keep`` alone.
        parameters: of the presets: ``"window"``, how many tokens a token sees, itself among them, 1 to 128, 3 if not
            given; ``"pads"``, 1 to 16, 4 if not given; ``"attention_mask"``, whether pads are hidden, and
            ``"position_ids"``, whether positions are counted from the first word, as generate() does, both True if not
            given; ``"side"``, where a drawn mask has pads: ``"left"``, ``"right"`` or ``""``.
        keep: in place of a preset, bool, True = may attend, broadcastable to (T, T), where T counts the tokens.
        hidden: which tokens of the text, counted from 0, no query sees, on top of the preset.
        fill: what is added to hidden scores: ``"min"``, the lowest number, as transformers does, or ``"-inf"``.
        only_head: the one head, of every layer, that has this mask, while the others are causal; all have it if None.
        read_at: where the next token is read: ``"end"``, the last place, as generate() does, or ``"word"``, the last
            word. They differ with right padding.
        layer: of the head that is shown large.
        head: of the head that is shown large.
        sample: whether the story goes on by chance; by the likeliest token if not.
        seed: of that chance.
        alt: what the picture shows, for those who cannot see it; made from the next word if not given.
        words: replaces words of the interface, for another language: see WORDS in js/storylab/words.js.

    Raises:
        TypeError: a text that is no string, a keep that is not bool, or parameters of a wrong type.
        ValueError: an unknown preset, parameter, fill, layer or head, a hidden token that is not there, a keep that
            does not fit, or one beside a preset or hidden tokens.
        ModelDamaged: the model's files are not as they came.

    References:
        Lessons 00, 02, 03 and 05.
        https://huggingface.co/docs/transformers/model_doc/gpt2
    """

    _esm = module_text("storylab")
    _css = style_text("storylab")

    text = traitlets.Unicode(help="What the model reads. A new text shows all its words, with a mask of a preset.").tag(
        sync=True
    )
    preset = traitlets.Enum(PRESETS, "causal").tag(sync=True)
    parameters = traitlets.Dict(default_value=PARAMETERS).tag(sync=True)
    # uint8, 1 = may attend. From the browser it arrives as a memoryview, which Bytes refuses.
    keep_bytes = traitlets.Bytes().tag(sync=True, from_json=lambda value, widget: bytes(value))
    keep = Keep(help="bool (T, T), True = may attend: the mask as it is now. traitlets.link takes keep_bytes instead.")
    hidden = traitlets.List(traitlets.Int()).tag(sync=True)
    fill = traitlets.Enum(FILLS, "min").tag(sync=True)
    only_head = traitlets.Int(None, allow_none=True).tag(sync=True)
    read_at = traitlets.Enum(PLACES, "end").tag(sync=True)
    layer = traitlets.Int(0).tag(sync=True)
    head = traitlets.Int(0).tag(sync=True)
    sample = traitlets.Bool(False).tag(sync=True)
    seed = traitlets.Int(0).tag(sync=True)
    next_tokens: traitlets.List[Any] = traitlets.List(
        read_only=True, help="The likeliest next tokens, with this mask and as trained: a list of NextToken."
    ).tag(sync=True, to_json=_to_page, from_json=_from_page)
    words = traitlets.Dict().tag(sync=True)
    _settled = False  # whether a change is one of somebody else, and not what follows from it
    _followed: tuple = ()  # the settings from which all is as it has to be

    def __init__(
        self,
        text: str = "Lily had a dog and a cat. The dog chased the cat. She was afraid of the",
        *,
        preset: str = "causal",
        parameters: dict[str, Any] | None = None,
        keep: Tensor | None = None,
        hidden: Sequence[int] = (),
        fill: str = "min",
        only_head: int | None = None,
        read_at: str = "end",
        layer: int = 0,
        head: int = 0,
        sample: bool = False,
        seed: int = 0,
        alt: str = "",
        words: dict | None = None,
    ):
        for name, value in (("text", text), ("alt", alt)):
            if not isinstance(value, str):
                raise TypeError(mismatch(name, value, "a string"))
        for name, value, known in (("preset", preset, PRESETS), ("fill", fill, FILLS), ("read_at", read_at, PLACES)):
            require_known(value, name, known)
        self._alt = text_of(alt)
        super().__init__(
            text=text,
            **_mask_traits(text_of(text), preset, _parameters(parameters or {}), keep, hidden),
            fill=fill,
            only_head=only_head,
            read_at=read_at,
            layer=layer,
            head=head,
            sample=sample,
            seed=seed,
            words=words or {},
        )
        self._settled, self._followed = True, self._settings()
        self.on_msg(self._answer)

    @property
    def tokens(self) -> list[str]:
        """A label for each of the T tokens, pads included: a leading space shows as ``·``."""
        return self._prompt().labels

    # -- what is refused --

    @traitlets.validate("text")
    def _encodable(self, proposal):
        return text_of(proposal["value"])

    @traitlets.validate("parameters")
    def _complete(self, proposal):
        parameters = _parameters(proposal["value"])
        # Else whoever answers a change of it with values of their own would go on for ever.
        return parameters if self.preset == "drawn" else parameters | {"side": SIDES.get(self.preset, "")}

    @traitlets.validate("keep_bytes")
    def _has_a_byte_for_each_cell(self, proposal):
        value, length = proposal["value"], len(self._prompt().ids)
        if len(value) != length**2:
            wanted = f"{length**2}, one for each of {length} × {length} cells"
            raise ValueError(f"keep_bytes: got {len(value)} bytes, wanted {wanted}. To set a bool tensor, set keep.")
        return value.translate(ZERO_ONE)

    @traitlets.validate("seed")
    def _repeats(self, proposal):
        if require_count(proposal["value"], "seed", 0) > MOST_SEED:
            raise ValueError(f"seed: got {proposal['value']}, wanted 0 to {MOST_SEED}.")
        return proposal["value"]

    @traitlets.validate("layer", "head", "only_head")
    def _exists(self, proposal):
        name, value = proposal["trait"].name, proposal["value"]
        count = _story.sizes()[name != "layer"]
        if value is None:
            return value
        if isinstance(value, bool):  # to Python it is a number, to a page it is none
            raise TypeError(mismatch(name, value, f"an int from 0 to {count - 1}"))
        if not 0 <= value < count:
            raise ValueError(f"{name}: got {value}, wanted 0 to {count - 1}.")
        return value

    @traitlets.validate("hidden")
    def _among_the_words(self, proposal):
        value = proposal["value"]  # pads may push words out of what is read, which are of the text all the same
        return _hidden(value, _story.read(self.text)) if self._settled else sorted(set(value))

    # -- what follows from what --

    @traitlets.default("next_tokens")
    def _first_next_tokens(self):
        return self._next_tokens()

    def _settings(self) -> tuple:
        return tuple(getattr(self, name) for name in SETTINGS)

    @traitlets.observe(*SETTINGS)
    def _follow(self, change):
        if not self._settled:
            return
        before = dict(zip(SETTINGS, self._followed, strict=True))
        changed = {name for name in SETTINGS if getattr(self, name) != before[name]}
        if changed:
            with self._following():
                self._follow_all(changed, before)

    def _follow_all(self, changed: set[str], before: dict[str, Any]) -> None:
        """What follows from these settings, which somebody may have set together, as ``before`` they were."""
        if "keep_bytes" in changed:
            return self._name_mask()
        if "text" in changed:
            self.hidden = self.hidden if "hidden" in changed else []
            self.preset = "causal" if self.preset == "drawn" else self.preset
        if self.preset != "drawn":  # there the pads stay where they were
            self.parameters = self.parameters | {"side": SIDES.get(self.preset, "")}
        elif len(self.keep) != len(self._prompt().ids):  # other pads
            self.preset = {side: name for name, side in SIDES.items()}.get(self.parameters["side"], "causal")
        elif "hidden" in changed:
            self._hide(set(before["hidden"]), set(self.hidden))
        if self.preset != "drawn":
            keep = _story.keep_of(self.preset, self.parameters, self._prompt(), self.hidden)
            self.keep_bytes = _keep_bytes(keep)

    def _name_mask(self) -> None:
        """What makes the mask that was drawn: a preset and hidden words, or neither. Its pads stay."""
        side = self.parameters["side"] if self.preset == "drawn" else SIDES.get(self.preset, "")
        self.preset, self.parameters, self.hidden = _story.recognise(
            self.keep, self._prompt(), self.preset, self.parameters | {"side": side}
        )

    def _hide(self, before: set[int], now: set[int]) -> None:
        """Hides words from every query of a drawn mask, and shows others as a causal mask does."""
        keep, prompt = self.keep, self._prompt()
        causal = _story.keep_of("causal", self.parameters, prompt)
        for n in (before ^ now) & set(range(len(prompt.words))):  # pads may have cut the text before one
            word = prompt.words[n]
            keep[:, word] = False if n in now else causal[:, word]
        self.keep_bytes = _keep_bytes(keep)

    @contextmanager
    def _following(self):
        """Nothing follows from what is set here, but the next tokens; a page gets it all at once."""
        with self.hold_sync(), self.hold_trait_notifications():
            self._settled = False
            try:
                yield
                self.set_trait("next_tokens", self._next_tokens())
            finally:  # before anybody is told, who may change something in turn
                self._settled, self._followed = True, self._settings()

    @traitlets.observe("keep_bytes")
    def _tell_keep(self, change):
        old = _keep_tensor(change.old) if change.old else traitlets.Undefined  # none when it is made
        self._notify_trait("keep", old, self.keep)

    # -- a page --

    def set_state(self, sync_data):
        """Takes what a page says. A StoryLab there has computed what follows, but jslink, for one, has not.

        Args:
            sync_data: names of traits, with values as they arrive.

        Raises:
            TypeError: a value of a wrong type.
            ValueError: one that a StoryLab cannot have. All is as it was before, then.
        """
        said = {name: bytes(value) if name == "keep_bytes" else value for name, value in sync_data.items()}
        before = self._followed
        if "next_tokens" in said:
            self._followed = tuple(said.get(name, getattr(self, name)) for name in SETTINGS)
        try:
            super().set_state(sync_data)
        except Exception:
            self._followed = before  # all is as it was
            raise

    def _answer(self, widget, content, buffers):
        """Sends a page the model, which it asks for once."""
        if content != {"ask": _story.MODEL}:
            return
        try:
            self.send({"answer": _story.MODEL}, buffers=[story_file()])
        except (RuntimeError, ValueError, OSError) as error:  # damaged files: told where the widget is
            self.send({"answer": _story.MODEL, "error": " ".join(str(error).split())})

    # -- the model --

    def _prompt(self) -> _story.Prompt:
        return _story.read(self.text, self.preset, self.parameters["side"], self.parameters["pads"])

    def _masked(self) -> _story.Pass:
        prompt = self._prompt()
        return _story.run(
            prompt,
            self.keep,
            _story.positions_of(prompt, self.parameters["position_ids"]),
            fill=self.fill,
            only_head=self.only_head,
            row=prompt.words[-1] if self.read_at == "word" else -1,
        )

    def _as_trained(self) -> _story.Pass:
        return _story.run_as_trained(self._prompt())

    def _next_tokens(self) -> list[NextToken]:
        return _story.next_tokens(self._masked().probabilities, self._as_trained().probabilities)

    def picture(self) -> plots.Picture:
        """One head as trained and with this mask, with the next word above: what GitHub, print and PDF show."""
        return _picture(self)

    def _repr_mimebundle_(self, **kwargs):
        return with_picture(super()._repr_mimebundle_(**kwargs), self.picture())


def _mask_traits(text: str, preset: str, parameters: dict, keep: Tensor | None, hidden: Sequence[int]) -> dict:
    """The traits of a mask: a preset with hidden words, or one that is drawn."""
    if preset == "drawn" and keep is None:
        raise ValueError("preset: got 'drawn' without a mask; wanted keep, too.")
    if keep is not None and (preset not in ("causal", "drawn") or len(hidden)):
        other = "hidden tokens" if len(hidden) else f"the preset {preset!r}"
        raise ValueError(f"keep: got {describe_tensor(keep)} beside {other}; wanted one of the two.")
    preset = preset if keep is None else "drawn"
    side = parameters["side"] if preset == "drawn" else SIDES.get(preset, "")
    prompt = _story.read(text, preset, side, parameters["pads"])
    words = _hidden(hidden, prompt)
    if keep is None:
        keep = _story.keep_of(preset, parameters, prompt, words)
    else:
        keep = _require_keep(keep, len(prompt.ids))
        preset, parameters, words = _story.recognise(keep, prompt, preset, parameters)
    parameters = parameters | {"side": side}
    return {"preset": preset, "parameters": parameters, "keep_bytes": _keep_bytes(keep), "hidden": words}


def _parameters(values: Any) -> dict[str, Any]:
    """All parameters, of which some are given."""
    if not isinstance(values, dict):
        raise TypeError(mismatch("parameters", values, f"a dict of {', '.join(map(repr, PARAMETERS))}"))
    for name in values:
        if name not in PARAMETERS:
            raise ValueError(f"parameters: got {name!r}, wanted {', '.join(map(repr, PARAMETERS))}.")
    parameters = PARAMETERS | values
    for name, most in (("window", _story.LONGEST), ("pads", MOST_PADS)):
        if require_count(parameters[name], f"parameters['{name}']") > most:
            raise ValueError(f"parameters['{name}']: got {parameters[name]}, wanted 1 to {most}.")
    for name in ("attention_mask", "position_ids"):
        require_known(parameters[name], f"parameters['{name}']", (True, False))
    require_known(parameters["side"], "parameters['side']", ("", "left", "right"))
    return parameters


def _hidden(values: Any, prompt: _story.Prompt) -> list[int]:
    """Words of a prompt by their numbers, in order."""
    count = len(prompt.words)
    wanted = f"a list of ints from 0 to {count - 1}"
    if isinstance(values, str) or not isinstance(values, Sequence):
        raise TypeError(mismatch("hidden", values, wanted))
    for n, value in enumerate(values):
        if isinstance(value, bool) or not isinstance(value, int):
            raise TypeError(mismatch(f"hidden[{n}]", value, f"an int from 0 to {count - 1}"))
        if not 0 <= value < count:
            raise ValueError(f"hidden[{n}]: got {value}, wanted 0 to {count - 1}: the text has {count} tokens.")
    return sorted(set(values))


def _require_keep(keep: Any, length: int) -> Tensor:
    return require_keep_for(keep, (length, length)).cpu().expand(length, length)


def _keep_bytes(keep: Tensor) -> bytes:
    return keep.to(torch.uint8).contiguous().numpy().tobytes()


def _keep_tensor(keep_bytes: bytes) -> Tensor:
    length = isqrt(len(keep_bytes))
    return torch.frombuffer(bytearray(keep_bytes), dtype=torch.uint8).reshape(length, length).bool()


def _are_close(some: list[NextToken], others: list[NextToken]) -> bool:
    """Whether two lists name the same tokens, and the same numbers but for the rounding of one machine or another."""
    return [row.token for row in some] == [row.token for row in others] and all(
        abs(a - b) < CLOSE or (a != a and b != b)
        for row, other in zip(some, others, strict=True)
        for a, b in zip(row[1:], other[1:], strict=True)
    )


def _picture(lab: StoryLab) -> plots.Picture:
    trained, masked = lab._as_trained(), lab._masked()
    prompt = lab._prompt()
    causal = _story.keep_of("causal", lab.parameters, prompt.alone)
    has_mask = lab.only_head in (None, lab.head)
    keep = lab.keep if has_mask else _story.keep_of("causal", lab.parameters, prompt)
    before, after = (_story.likeliest_in_words(one.probabilities) for one in (trained, masked))
    return plots.side_by_side(
        (trained.maps[lab.layer, lab.head], masked.maps[lab.layer, lab.head]),
        (causal, keep),
        (prompt.alone.labels, prompt.labels),
        titles=(f"as trained\nnext word: {before}", f"with this mask\nnext word: {after}"),
        alt=lab._alt or _alt(lab, before, after),
    )


def _alt(lab: StoryLab, before: str, after: str) -> str:
    """What the model says next, and under which mask."""
    text = lab.text if len(lab.text) <= SHOWN else f"…{lab.text[-SHOWN:]}"
    prompt = lab._prompt()
    hidden = {n: _story.word(prompt.labels[prompt.words[n]]) for n in lab.hidden if n < len(prompt.words)}
    mask = MASKS[lab.preset].format(**lab.parameters, are="are" if lab.parameters["attention_mask"] else "are not")
    mask += "".join(f", no query sees “{word}” ({n})" for n, word in hidden.items())
    mask += f", for head {lab.only_head} of every layer only" if lab.only_head is not None else ""
    trained, masked = lab._as_trained().probabilities, lab._masked().probabilities
    finding = f"with this mask it is {after}"
    if masked.isnan().any():
        finding = "with this mask every probability is NaN"
    elif (trained - masked).abs().max() < CLOSE:
        finding = "with this mask nothing changes"
    return (
        f"What story-gpt2 says after “{text}”: as trained, the likeliest next word is {before}; {finding}. The mask: "
        f"{mask}. The maps are the attention weights of layer {lab.layer}, head {lab.head}, in both cases."
    )
