"""Every reason of a decision has a sentence, with the figures of that decision."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from subscriber.control.reasons import REASONS, SENTENCES, seconds_text, sentence_of
from subscriber.control.status import DecisionNote

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
FULL = DecisionNote(
    began_at=AT,
    ended_at=AT,
    times=1,
    limit=2,
    was=4,
    reason="",
    cpu_percent=61.4,
    load_age_seconds=75,
    predicted_percent=83.2,
    ceiling_percent=70,
    failures=3,
    statement_seconds=0.25,
)
BARE = DecisionNote(began_at=AT, ended_at=AT, times=1, limit=2, was=4, reason="")


def note(reason: str, base: DecisionNote = FULL) -> DecisionNote:
    """A decision for this reason."""
    fields = {name: getattr(base, name) for name in base.__struct_fields__}
    return DecisionNote(**{**fields, "reason": reason})


def test_the_table_is_complete() -> None:
    """The governor's reasons and the operator's commands, and nothing else."""
    assert set(SENTENCES) == set(REASONS)


@pytest.mark.parametrize("reason", REASONS)
def test_every_reason_is_a_sentence(reason: str) -> None:
    """With all figures and with none of them: it ends with a full stop and has no empty place."""
    for base in (FULL, BARE):
        text = sentence_of(note(reason, base))
        assert text[0].isupper()
        assert text.endswith(".")
        assert "{" not in text
        assert "None" not in text


def test_sentences_have_the_figures() -> None:
    """Those of the decision."""
    assert sentence_of(note("above_ceiling")) == "The database's CPU would be 83 %, above its ceiling of 70 %."
    assert sentence_of(note("failures")).startswith("Statements failed in the database (3 in a second)")
    assert "250 ms" in sentence_of(note("slow"))
    assert "75 s" in sentence_of(note("signal_lost"))
    assert "unknown" in sentence_of(note("signal_lost", BARE))


def test_an_unknown_reason_is_shown_as_it_is() -> None:
    """A page must not fail for a word."""
    assert sentence_of(note("brand_new")) == "brand_new"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "unknown"),
        (0, "0 ms"),
        (0.0421, "42 ms"),
        (0.9999, "1.0 s"),
        (9.94, "9.9 s"),
        (10.4, "10 s"),
        (119.4, "119 s"),
        (150, "2 min"),
        (7_200, "2 h"),
        (259_200, "3 days"),
    ],
)
def test_durations_are_in_a_unit_that_fits(seconds: float | None, text: str) -> None:
    """As a person would say them."""
    assert seconds_text(seconds) == text
