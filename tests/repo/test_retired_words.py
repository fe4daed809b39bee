"""Retired names do not come back: docs/glossary.md has the words that replaced them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.repo.source import texts

pytestmark = pytest.mark.usefixtures("untraced")

RETIRED = (Path(__file__).parent / "retired_words.txt").read_text().split()
"""Whole words, as they were in code and documents."""

_WORD = re.compile(rf"(?<![\w.])(?:{'|'.join(map(re.escape, RETIRED))})(?!\w)")
_METAPHOR = re.compile(
    r"\b(rooms?|gates?|hand(s|ed)? back|convict(s|ed)?|acquit(s|ted)?|(un)?knock(s|ed)?|blamed?|guilty|"
    r"witness(es)?|whom|torture)\b",
    re.IGNORECASE,
)
_READ_BY_USERS = ("subscriber/", "docs/", "README.md", "config/")
_ALIAS = "make torture"
_ALLOWED = ("CHANGELOG.md", "tests/repo/retired_words.txt", "benchmarks/results/")


def retired(text: str) -> list[str]:
    """The retired words in a text."""
    return [found.group() for found in _WORD.finditer(text)]


def test_no_retired_word_is_left() -> None:
    """Only the changelog's table of old and new names has them."""
    found = [
        f"{path}: {word}" for path, text in texts().items() if not path.startswith(_ALLOWED) for word in retired(text)
    ]
    assert found == []


def metaphors(text: str) -> list[str]:
    """The metaphors in a text, the old name of `make chaos` apart."""
    return [found.group() for found in _METAPHOR.finditer(text.replace(_ALIAS, ""))]


def test_what_users_read_has_no_metaphor() -> None:
    """Stages are no rooms, and a message that cannot be stored is no culprit."""
    found = [
        f"{path}: {word}"
        for path, text in texts().items()
        if path.startswith(_READ_BY_USERS)
        for word in metaphors(text)
    ]
    assert found == []


def test_a_metaphor_is_found() -> None:
    """In any case and form; the alias is none."""
    assert metaphors("Room one, handed back by the gate: make torture") == ["Room", "handed back", "gate"]


@pytest.mark.parametrize("word", RETIRED)
def test_each_is_found(word: str) -> None:
    """A whole word is found; a part of a longer word is not."""
    assert retired(f"see {word} there") == [word]
    assert retired(f"see {word}s_now there") == []
