"""The index of the documents names every page, and prose is wrapped. `test_links.py` checks the links."""

from __future__ import annotations

import posixpath

import pytest

from tests.repo.markdown import lines, link_targets
from tests.repo.source import texts

pytestmark = pytest.mark.usefixtures("untraced")

_WIDTH = 120
_GENERATED = "<!-- Written by `python -m tests.repo.reference`; do not edit. -->"


def documents() -> dict[str, str]:
    """Every Markdown file, by path."""
    return {path: text for path, text in texts().items() if path.endswith(".md")}


def test_the_index_names_every_page() -> None:
    """docs/README.md links to each page of docs; decisions have an index of their own."""
    index = documents()["docs/README.md"]
    pages = [path for path in documents() if path.startswith("docs/") and "/decisions/" not in path]
    linked = {posixpath.normpath(f"docs/{link.partition('#')[0]}") for _, link in link_targets(index)}
    assert [page for page in pages if page not in linked | {"docs/README.md"}] == []


def test_prose_is_wrapped() -> None:
    """A line of prose is no longer than a line of code; tables, code, images and generated pages are exempt."""
    wide = [
        f"{path}:{line.number}: {line.text[:60]}…"
        for path, text in documents().items()
        if path.startswith(("docs/", "CONTRIBUTING.md", "README.md", "SECURITY.md")) and _GENERATED not in text
        for line in lines(text)
        if not line.is_code and len(line.text) > _WIDTH and not line.text.startswith(("|", "!["))
    ]
    assert wide == []
