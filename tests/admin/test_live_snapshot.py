"""What is wrong and what to do: each situation has its notice, and the most urgent is the first."""

from __future__ import annotations

import msgspec
import pytest

from subscriber.admin.live_snapshot import Facts, QueueFacts, notices_of, snapshot_of
from subscriber.control.status import AlarmStatus, DecisionNote, SensorStatus
from tests.admin.live_samples import AT, FACTS, QUEUE, READING, READY, facts

STALE = SensorStatus(source="cloudwatch", period_seconds=60, is_stale=True, problem="access denied")


def operator(reason: str) -> DecisionNote:
    """An operator's command in the log of decisions."""
    return DecisionNote(began_at=AT, ended_at=AT, times=1, limit=2, was=2, reason=reason)


def failing() -> Facts:
    """A queue whose polls fail."""
    return msgspec.structs.replace(FACTS, queues={QUEUE: QueueFacts(error="AccessDenied", is_failing=True)})


SITUATIONS = {
    "all well": (FACTS, "good", "All is well: rows are 400 ms late."),
    "paused": (
        facts(mode="paused", decisions=(operator("operator_pause"),)),
        "bad",
        "PAUSED by an operator since 03:04:05 UTC (02 January)",
    ),
    "paused before any decision is kept": (facts(mode="paused"), "bad", "PAUSED by an operator: nothing"),
    "fixed": (facts(mode="fixed", fixed_limit=0.5), "warning", "An operator fixed the limit at 0.5"),
    "database gone": (facts(database_available=False), "bad", "The database does not answer."),
    "queue stalled": (facts(alarms=(AlarmStatus(QUEUE, "unseen_backlog", "look", 130),)), "bad", "Queue object-events"),
    "queue failing": (failing(), "bad", "Queue object-events cannot be read: AccessDenied."),
    "sensor stale": (facts(sensor=STALE), "warning", "The load of the database is not known"),
    "statements fail": (
        facts(reading=msgspec.structs.replace(READING, failures=2)),
        "warning",
        "2 statements failed",
    ),
    "late": (
        facts(reading=msgspec.structs.replace(READING, lag_seconds=95)),
        "warning",
        "Rows are 95 s late; the target is 10 s.",
    ),
    "no reading yet": (facts(reading=None), "good", "All is well"),
}


@pytest.mark.parametrize("name", SITUATIONS)
def test_a_situation_is_told_first(name: str) -> None:
    """By its level and its words; what is wrong comes with advice."""
    given, level, text = SITUATIONS[name]
    notices = notices_of(given)
    assert notices[0].level == level
    assert notices[0].text.startswith(text)
    assert level == "good" or notices[0].advice


def test_the_most_urgent_comes_first() -> None:
    """An outage before a fixed limit, and no line says that all is well."""
    notices = notices_of(facts(mode="fixed", fixed_limit=1, database_available=False))
    assert [notice.level for notice in notices] == ["bad", "warning"]


def test_the_quarantine_is_a_note_beside_a_good_state() -> None:
    """Poison messages wait for a person, and nothing is held up by them."""
    waiting = msgspec.structs.replace(FACTS, quarantine={"not_json": 2, "no_records": 1_200})
    assert [(notice.level, notice.text) for notice in notices_of(waiting)][1] == (
        "note",
        "1,202 messages wait in the quarantine.",
    )
    assert snapshot_of(waiting).quarantine == (("no_records", 1_200), ("not_json", 2))


@pytest.mark.parametrize(
    ("conditions", "text"),
    [
        (READY | {"started": False}, "The pipeline is not running"),
        (READY | {"not_stopping": False}, "The daemon is stopping."),
        (READY, "No figures yet."),
    ],
)
def test_without_a_pipeline_the_conditions_say_why(conditions: dict[str, bool], text: str) -> None:
    """While the daemon starts or stops."""
    (notice,) = notices_of(msgspec.structs.replace(FACTS, status=None, conditions=conditions))
    assert notice.text.startswith(text)
    assert snapshot_of(msgspec.structs.replace(FACTS, status=None)).queues == ()


def test_an_old_error_of_a_queue_is_not_shown() -> None:
    """The newest error is, until it is five minutes old, or as long as polls fail."""

    def error(seconds: float, *, is_failing: bool) -> str:
        queue = QueueFacts(error="Throttled", error_age_seconds=seconds, is_failing=is_failing)
        return snapshot_of(msgspec.structs.replace(FACTS, queues={QUEUE: queue})).queues[0].error

    assert error(12, is_failing=False) == "Throttled, 12 s ago"
    assert error(301, is_failing=False) == ""
    assert error(301, is_failing=True) == "Throttled, 5 min ago"


def test_decisions_have_their_sentence_and_the_ceiling_in_force() -> None:
    """The newest decision with a ceiling tells it."""
    note = DecisionNote(AT, AT, 3, 2, 2, "above_ceiling", ceiling_percent=70, predicted_percent=90)
    snapshot = snapshot_of(facts(decisions=(operator("operator_auto"), note)))
    assert snapshot.ceiling_percent == 70
    assert [row.times for row in snapshot.decisions] == [1, 3]
    assert "90 %" in snapshot.decisions[1].text
