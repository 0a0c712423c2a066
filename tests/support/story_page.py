"""StoryLab on a page from disk: with the model's file in it, what it shows, and where its cells are."""

import base64
import re

from tests.support import widget_page
from utils.widgets._story_file import story_file

ASSET = "masks-story-gpt2"
#: What a page is told to begin anew: every trait that a reader can change.
TRAITS = {
    "text": "Lily had a dog and a cat. The dog chased the cat. She was afraid of the",
    "preset": "causal",
    "parameters": {"window": 3, "pads": 4, "position_ids": True, "side": ""},
    "hidden": [],
    "fill": "min",
    "only_head": None,
    "read_at": "end",
    "layer": 3,
    "head": 2,
    "sample": False,
    "seed": 0,
}
TOKENS = ["L", "ily", "·had", "·a", "·dog", "·and", "·a", "·cat", ".", "·The", "·dog", "·chased", "·the", "·cat", "."]
TOKENS += ["·She", "·was", "·afraid", "·of", "·the"]
CATS = (7, 13)


def write(path, widget, views=1):
    """Writes a page with so many views of a StoryLab and the model's file, and returns its address."""
    address = widget_page.write(path, widget, views)
    page = path.read_text(encoding="utf-8")
    if f'id="{ASSET}"' not in page:
        asset = base64.b64encode(story_file()).decode()
        page = page.replace("</main>", f'</main><script type="text/plain" id="{ASSET}">{asset}</script>')
        path.write_text(page, encoding="utf-8")
    return address


def ready(page, views=1):
    """Waits until the model has answered in every view."""
    for view in range(views):
        page.locator(".storylab").nth(view).scroll_into_view_if_needed()
        page.locator(".storylab[data-kernel]").nth(view).wait_for()
    told(page)


def told(page):
    """Waits until everything is shown and told: the maps, the table, both stories, and what is read out."""
    widget_page.settle(page)
    widget_page.until(page, "() => !document.querySelector('[data-untold], [aria-busy]')")
    widget_page.settle(page)


def begin(page, **traits):
    """Sets all that a reader can change, as Python would."""
    page.evaluate(
        "(traits) => Object.entries(traits).forEach(([name, value]) => model.set(name, value))", TRAITS | traits
    )
    told(page)


def table(page, view=0):
    """The words of the table with their percents: {word: (with this mask, as trained)}."""
    rows = page.locator(".storylab-next tbody").nth(view).locator("tr").all()
    return {row.locator("th").inner_text(): tuple(map(percent, row.locator("td").all_inner_texts())) for row in rows}


def percent(text):
    """A percentage as it is shown, as a number; a hundredth of a percent for less than a tenth."""
    return 0.01 if "<" in text else float(re.sub(r"\s*%", "", text))


def next_tokens(page):
    """What the page has told Python, as lists of token, probability and probability as trained."""
    return page.evaluate("model.get('next_tokens')")


def keep_of(page):
    """The cells of the mask as others know it, row by row."""
    cells = page.evaluate("bytes('keep_bytes')")
    length = round(len(cells) ** 0.5)
    return [cells[row * length : (row + 1) * length] for row in range(length)]


def stories(page, view=0):
    """How the text goes on: (with this mask, as trained), without the end of the text before."""
    boxes = page.locator(".storylab").nth(view).locator(".storylab-stories p").all()
    return tuple("".join(box.locator("span:nth-child(2), mark").all_text_contents()) for box in boxes)


def where(page, q, k, labels=TOKENS):
    """The middle of a cell of the map that is drawn on: its layout is that of grid.js, and its cells are squares."""
    canvas = page.locator(".storylab .masks-drawn canvas")
    canvas.scroll_into_view_if_needed()
    widest = canvas.evaluate(
        """(canvas, labels) => {
          const context = canvas.getContext("2d");
          context.font = "12px system-ui, sans-serif";
          return Math.max(...labels.map((label) => context.measureText(label).width));
        }""",
        labels,
    )
    box = canvas.bounding_box()
    size = (box["width"] - 2 - widest - 26) / len(labels)
    return box["x"] + widest + 26 + (k + 0.5) * size, box["y"] + box["height"] - 2 - (len(labels) - q - 0.5) * size
