"""Names that were replaced by the field's own words do not come back."""

from __future__ import annotations

import re

import pytest

from tests.repo.source import texts

pytestmark = pytest.mark.usefixtures("untraced")

RETIRED = [
    # By what replaced them: CHANGELOG.md has the table of metrics and log events.
    "Gate",
    "GateUsage",
    "LeaseBook",
    "LeaseKeeper",
    "Bell",
    "Outage",
    "Settlement",
    "QueueIntake",
    "LineSigns",
    "LineOptions",
    "LeastOfLate",
    "QueueSigns",
    "SERVERS_OWN",
    "FOREIGN_ERRORS",
    "acquit_database",
    "is_bad_luck",
    "pause_before_knock",
    "note_shortage",
    "hand_back",
    "handed_back",
    "watch_for_silence",
    "look_at_queue",
    "look_at_bucket",
    "look_at_database",
    "Contender",
    "TortureLoad",
    "TortureQueue",
    "Notebook",
    "LabError",
    "neighbour",
    "neighbours",
    "subscriber_line_lag_seconds",
    "subscriber_newest_lag_seconds",
    "lost_messages",
    "refused_messages",
    "hidden_messages",
    "handed_back_messages",
    "renewed_messages",
    "message.refused",
    "database.lost",
    "database.returned",
    "database.still_away",
    "messages.handed_back",
    "sensor.fell_silent",
    "sensor.spoke_again",
    "control.obeyed",
    "line.started",
    "pages.opened",
]
"""Whole words, as code and documents wrote them."""

_WORD = re.compile(rf"(?<![\w.])(?:{'|'.join(map(re.escape, RETIRED))})(?!\w)")
_ALLOWED = ("CHANGELOG.md", "tests/repo/test_retired_words.py", "benchmarks/results/")


def retired(text: str) -> list[str]:
    """The retired words of a text."""
    return [found.group() for found in _WORD.finditer(text)]


def test_no_retired_word_is_left() -> None:
    """Nowhere but in the changelog's table from old to new."""
    found = [
        f"{path}: {word}" for path, text in texts().items() if not path.startswith(_ALLOWED) for word in retired(text)
    ]
    assert found == []


@pytest.mark.parametrize("word", RETIRED)
def test_each_is_noticed(word: str) -> None:
    """As a word of its own, and not inside of a longer one."""
    assert retired(f"see {word} there") == [word]
    assert retired(f"see {word}s_now there") == []
