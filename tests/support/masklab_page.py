"""MaskLab on a page: where its cells are, what it shows, and the masks that its presets must be."""

import torch

from utils import masks

TOKENS = ["[CLS]", "the", "cat", "sat", "[SEP]"]
KEYS = [*TOKENS, "[PAD]", "[PAD]"]
Q_LEN, K_LEN = len(TOKENS), len(KEYS)


def scores(*shape):
    """Random scores, (2, Q_LEN, K_LEN) if no shape is given."""
    return torch.randn(*(shape or (2, Q_LEN, K_LEN)))


def keep_of(page):
    """The mask as others know it: what the widget has told its model."""
    return torch.tensor(page.evaluate("bytes('keep_bytes')")).reshape(Q_LEN, K_LEN).bool()


def where(page, q, k, view=0, q_len=Q_LEN, k_len=K_LEN):
    """The middle of a cell, in pixels of the page. The cells of both maps have one size."""
    page.locator(".masklab-grid").nth(view).scroll_into_view_if_needed()
    box = page.locator(".masklab-grid canvas").nth(view).bounding_box()
    # The cells end 2 pixels before the right and lower edge, are squares, and begin where nothing is drawn beside them.
    size = page.evaluate(
        """([k_len, view]) => {
          const canvas = document.querySelectorAll(".masklab-maps figure:first-child canvas")[view];
          const ratio = canvas.getBoundingClientRect().width / canvas.width;
          const copy = new OffscreenCanvas(canvas.width, 1).getContext("2d");
          copy.drawImage(canvas, 0, Math.round(5 / ratio) - canvas.height);
          const line = copy.getImageData(0, 0, canvas.width, 1).data;
          let left = canvas.width - Math.round(5 / ratio);
          while (left > 0 && line[4 * left + 3] > 0) left -= 1;
          return (canvas.width * ratio - 2 - (left + 1) * ratio) / k_len;
        }""",
        [k_len, view],
    )
    left, top = box["x"] + box["width"] - 2 - size * k_len, box["y"] + box["height"] - 2 - size * q_len
    return left + (k + 0.5) * size, top + (q + 0.5) * size


def drawn(page, view=0, q_len=Q_LEN, k_len=K_LEN):
    """The mask that one view shows: what its grid reads out, cell by cell, while the arrows walk over it."""
    grid = page.get_by_role("grid", name="after the mask").nth(view)
    grid.focus()
    page.keyboard.press("Control+Home")
    cell, rows = grid.get_by_role("gridcell"), []
    for _ in range(q_len):
        row = []
        for _ in range(k_len):
            row.append(": visible, weight " in cell.inner_text())
            page.keyboard.press("ArrowRight")
        rows.append(row)
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Home")
    return torch.tensor(rows)


def shown(page):
    """What each view of the page says of its mask: (preset, values of its parameters, line of status)."""
    return [
        (
            view.get_by_label("Mask", exact=True).input_value(),
            view.locator(".masklab-parameters input").evaluate_all("inputs => inputs.map((input) => input.value)"),
            view.locator(".masks-status").inner_text(),
        )
        for view in page.locator(".masklab").all()
    ]


def preset_masks(q_len, k_len, real, window, prefix, lengths):
    """Every preset of the widget as masks.py makes it. The last query stands at the last key, as in a cache."""
    whole, causal = masks.full(q_len, k_len), masks.causal(q_len, k_len)
    common = min(q_len, k_len)  # queries that stand at a key; those before the first key see nothing
    ids = [n for n, length in enumerate(lengths) for _ in range(length)]
    documents = torch.zeros_like(whole)
    documents[-common:] = masks.documents(ids)[-common:]
    return {
        "none": whole,
        "right_padding": masks.lengths([real], k_len)[0, 0] & whole,
        "left_padding": masks.lengths([real], k_len, "left")[0, 0] & whole,
        "causal": causal,
        "causal_upper_left": masks.causal(q_len, k_len, "upper_left"),
        "sliding_window": masks.sliding_window(q_len, window, k_len),
        "prefix": masks.prefix(q_len, prefix) if q_len == k_len else causal | masks.lengths([prefix], k_len)[0, 0],
        "documents": documents,
        "causal_padding": masks.lengths([real], k_len)[0, 0] & causal,
    }


HOSTILE = ["<img src=x onerror=alert(1)>", "\"'`", "</script><script>alert(1)</script>", "👩‍👩‍👧", "שלום"]
HOSTILE += ["e\u0301\u0302\u0303", "a\nb", "x" * 10_000, ""]
#: How the widget names them in its row: at most 12 characters, in one line.
HOSTILE_SHOWN = ["<img src=x …", HOSTILE[1], "</script><s…", *HOSTILE[3:6], "a b", "x" * 11 + "…", ""]
