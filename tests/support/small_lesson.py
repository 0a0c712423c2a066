"""A small lesson in a folder of its own, for the publisher to work on as if it were the collection."""

from pathlib import Path

import pytest

from publish import paths


def write(folder: Path, monkeypatch: pytest.MonkeyPatch, *cells: str) -> Path:
    """Writes the source of lesson 42, one code cell for each text, and makes ``folder`` the publisher's root.

    A cell's text may begin with MyST options such as ``:tags: [exercise]``. Returns the path that its notebook gets.
    """
    source = folder / "src" / "42_test.md"
    source.parent.mkdir()
    blocks = [f"```{{code-cell}} ipython3\n{cell}\n```" for cell in cells]
    source.write_text("---\nkernelspec: {name: python3, display_name: x}\n---\n\n# 42 · Test\n\n" + "\n\n".join(blocks))
    monkeypatch.setattr(paths, "ROOT", folder)
    monkeypatch.setattr(paths, "FOLDER", folder)
    monkeypatch.setattr(paths, "SOURCES", source.parent)
    monkeypatch.setattr(paths, "SOLUTIONS", folder / "solutions")
    return folder / "42_test.ipynb"
