"""Widgets on pages of other people: beside each other, in boxes without a size, in the dark, without a kernel."""

import re

import pytest
import torch

from tests.support.widget_page import settle
from utils import masks
from utils.widgets import HeadGrid, MaskLab, Question
from utils.widgets._base import style_text

QUERIES = ["transformers", "are", "[SEP]", "longish-token", "."] * 2
KEYS = QUERIES[6:]
Q_LEN, K_LEN = len(QUERIES), len(KEYS)
#: What JupyterLab's widgets say of a view without a kernel: @jupyter-widgets/base, css/index.css.
JUPYTER = ".jupyter-widgets-disconnected::before { content: 'broken'; display: inline-block; color: #d9534f; }"
#: Every computed style of every element of the widget, and where each of them is.
LOOKS = """() => Array.from(document.querySelectorAll(".masks-widget, .masks-widget *"), (node) => {
  const { x, y, width, height } = node.getBoundingClientRect();
  const look = getComputedStyle(node);
  return [`${node.localName}.${node.className}`, x, y, width, height,
    Array.from(look, (name) => `${name}: ${look.getPropertyValue(name)}`).join("; ")];
})"""
#: What is painted on each canvas: how many of its pixels, as a share.
PAINTED = """() => Array.from(document.querySelectorAll("canvas"), (shown) => {
  if (!shown.width || !shown.height) return 0;
  const { data } = shown.getContext("2d").getImageData(0, 0, shown.width, shown.height);
  return data.filter((byte, n) => n % 4 === 3 && byte > 0).length / (data.length / 4);
})"""


def widget(kind):
    keep = masks.causal(Q_LEN, K_LEN)
    if kind == "MaskLab":
        return MaskLab(torch.randn(2, Q_LEN, K_LEN), keep, QUERIES, KEYS)
    if kind == "Question":
        return Question("Which?", ["`one`", "two"], right=[1], feedback=["no", "yes"])
    before = torch.randn(2, 12, Q_LEN, K_LEN).softmax(-1)
    return HeadGrid(before, before.roll(1, -1), QUERIES, KEYS, keep=keep)


@pytest.mark.parametrize("width", [390, 1000])
@pytest.mark.parametrize(
    ("kind", "name", "other"),
    [("MaskLab", "masklab", "headgrid"), ("HeadGrid", "headgrid", "masklab"), ("Question", "question", "masklab")],
)
def test_beside_another_widget_it_looks_the_same_whichever_sheet_is_first(open_widget, kind, name, other, width):
    page = open_widget(widget(kind), width=width)
    alone = page.evaluate(LOOKS)
    for order in ([name, other], [other, name]):
        sheets = "\n".join(style_text(each) for each in order)
        page.evaluate("(text) => { document.querySelector('style').textContent = text; }", sheets)
        settle(page)
        for mine, theirs in zip(page.evaluate(LOOKS), alone, strict=True):
            assert mine == theirs, order


@pytest.mark.parametrize("kind", ["MaskLab", "HeadGrid"])
@pytest.mark.parametrize("box", ["width: 0", "width: 40px", "display: none"])
def test_what_has_no_room_yet_is_no_error_and_is_drawn_once_it_has(open_widget, page, kind, box):
    """The theme of a page may change before it is laid out, and what is folded or on another slide has no size."""
    page.emulate_media(color_scheme="dark")
    page.add_init_script(f"addEventListener('DOMContentLoaded', () => (document.body.style = '{box}'))")
    open_widget(widget(kind))
    for theme in ("light", "dark"):
        page.evaluate("(theme) => (document.documentElement.dataset.theme = theme)", theme)
        settle(page)
    page.evaluate("() => (document.body.style = '')")
    settle(page)
    assert min(page.evaluate(PAINTED)) > 0.3
    assert page.evaluate("document.querySelector('.masks-widget').clientWidth") > 900


@pytest.mark.parametrize("kind", ["MaskLab", "HeadGrid"])
def test_without_a_kernel_it_says_so_in_words_and_only_in_a_notebook(open_widget, kind):
    page = open_widget(widget(kind))
    page.evaluate(
        "(text) => document.head.append(Object.assign(document.createElement('style'), { textContent: text }))", JUPYTER
    )
    words = page.get_by_text(re.compile("^Drawn from the saved notebook. Run this cell, and Python"))
    icon = "getComputedStyle(document.querySelector('.masks-alive'), '::before').content"
    assert not words.is_visible(), "a page from disk has nothing to run"
    page.evaluate("document.querySelector('.masks-alive').classList.add('jupyter-widgets-disconnected')")
    assert words.is_visible()
    assert page.evaluate(icon) == "none"
    other = """() => {
      const node = document.body.appendChild(document.createElement("div"));
      node.className = "jupyter-widgets-disconnected";
      return getComputedStyle(node, "::before").content;
    }"""
    assert page.evaluate(other) == '"broken"', "the icon of other people's widgets stays"


@pytest.mark.parametrize("columns", [2, 3, 4])
def test_jupyterlab_on_a_phone_hides_no_column_of_a_lessons_table(open_widget, columns):
    """A table of JupyterLab's is as wide as its longest words; beside a widget one fits, and names in code break."""
    page = open_widget(widget("MaskLab"), width=390)
    page.evaluate(
        """(columns) => {
          const text = document.body.appendChild(document.createElement("div"));
          text.className = "jp-RenderedHTMLCommon jp-RenderedMarkdown";
          text.style = "width: 272px; overflow-x: auto; font: 14px monospace";
          const cell = (tag) => `<${tag}><code>scaled_dot_product_attention</code></${tag}>`;
          const row = (tag) => `<tr>${cell(tag).repeat(columns)}</tr>`;
          text.innerHTML = `<table style="table-layout: fixed">${row("th")}${row("td")}</table>`;
        }""",
        columns,
    )
    room = (
        "(({ scrollWidth, clientWidth }) => scrollWidth - clientWidth)(document.querySelector('.jp-RenderedMarkdown'))"
    )
    assert page.evaluate(room) <= 0
    widths = page.locator(".jp-RenderedMarkdown td").evaluate_all("all => all.map((cell) => cell.offsetWidth)")
    assert max(widths) - min(widths) <= 1, "none is squeezed"
