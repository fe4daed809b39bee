"""What `subscriber control status` prints: few lines, the worst of them in capitals."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest

from subscriber.admin.client import mode_text, status_text
from subscriber.control.overrides import Mode
from subscriber.control.reading import Reading
from subscriber.control.status import AlarmStatus, DecisionNote, QueueStatus, SensorStatus
from subscriber.signals import LoadReading
from tests.fakes.control_status import QUIET

AT = datetime(2026, 3, 1, 3, 12, 5, tzinfo=UTC)
BUSY = msgspec.structs.replace(
    QUIET,
    limit=3.25,
    held_messages=812,
    reading=Reading(
        taken_at=1000,
        rows_per_second=5321.4,
        statement_seconds=0.3104,
        failures=0,
        concurrency_used=2.91,
        limit_reached=True,
        lag_seconds=12.34,
        backlog_messages=40213,
        load=LoadReading(cpu_percent=61.2, taken_at=1_795_000_000, window_seconds=1),
        load_age_seconds=2.2,
    ),
    sensor=SensorStatus(source="performance_insights", period_seconds=1, is_stale=False, problem=""),
    queues=(QueueStatus(name="events", visible_messages=40213, in_flight_messages=812, age_seconds=7.3),),
    decisions=(
        DecisionNote(began_at=AT, ended_at=AT, times=1, limit=3.25, was=2.9, reason="below_ceiling"),
        DecisionNote(began_at=AT, ended_at=AT, times=41, limit=2.9, was=2.9, reason="steady"),
    ),
)


def test_a_busy_pipeline_in_seven_lines() -> None:
    """Mode, lag, writes, database, queue, and the reasons of the limit."""
    assert status_text(BUSY).splitlines() == [
        "control   governed, now 3.25, from 0.05 to 8",
        "pipeline  12.3 s late, 812 messages held",
        "writes    2.91 at a time, 5321 rows/s, statements 0.31 s each, 0 failed, limit reached",
        "database  61 % CPU by performance_insights, 2 s old",
        "queue     events: 40213 waiting, 812 in flight, 7 s ago",
        "decision  03:12:05 UTC  3.25, from 2.9: below_ceiling",
        "decision  03:12:05 UTC  2.9, stays: steady (41 times)",
    ]


def test_trouble_is_in_capitals() -> None:
    """An alarm with its advice, an unavailable database, a stale sensor, a queue without counts."""
    troubled = msgspec.structs.replace(
        BUSY,
        database_available=False,
        sensor=msgspec.structs.replace(BUSY.sensor, is_stale=True, problem="no answer within 5 s"),
        queues=(QueueStatus(name="events", visible_messages=None, in_flight_messages=None, age_seconds=None),),
        alarms=(
            AlarmStatus(
                queue="events", reason="in_flight_limit", advice="find the consumer that hangs", lasts_seconds=61.7
            ),
        ),
        decisions=(),
    )
    assert status_text(troubled).splitlines()[1:] == [
        "pipeline  12.3 s late, 812 messages held; DATABASE UNAVAILABLE",
        "writes    2.91 at a time, 5321 rows/s, statements 0.31 s each, 0 failed, limit reached",
        "database  61 % CPU by performance_insights, 2 s old, STALE; no answer within 5 s",
        "queue     events: counts unknown",
        "ALARM     events: in_flight_limit for 62 s; find the consumer that hangs",
    ]


def test_a_pipeline_that_has_just_started_prints_little() -> None:
    """No reading at first, and later no load where none is read."""
    begun = msgspec.structs.replace(BUSY, reading=None, queues=(), decisions=())
    assert status_text(begun).splitlines()[1:] == ["pipeline  no reading yet"]
    assert BUSY.reading is not None
    idle = msgspec.structs.replace(BUSY.reading, load=None, statement_seconds=None, limit_reached=False)
    none = SensorStatus(source="none", period_seconds=None, is_stale=False, problem="")
    lines = status_text(msgspec.structs.replace(begun, reading=idle, sensor=none)).splitlines()
    assert lines[2:] == [
        "writes    2.91 at a time, 5321 rows/s, statements none, 0 failed",
        "database  load not read (source none)",
    ]


@pytest.mark.parametrize(
    ("mode", "fixed_limit", "text"),
    [
        ("auto", None, "governed, now 3.25, from 0.05 to 8"),
        ("fixed", 0.5, "fixed at 0.5, until auto"),
        ("paused", None, "paused, 812 messages held; after resume: governed, from 3.25"),
        ("paused", 0.5, "paused, 812 messages held; after resume: fixed at 0.5"),
    ],
)
def test_the_mode_says_what_comes_next(mode: Mode, fixed_limit: float | None, text: str) -> None:
    """In one line."""
    assert mode_text(msgspec.structs.replace(BUSY, mode=mode, fixed_limit=fixed_limit)) == text


def test_a_pause_names_what_open_polls_may_still_return() -> None:
    """Whoever waits until nothing is held must wait for the open polls too."""
    begun = msgspec.structs.replace(QUIET, mode="paused", reserved_messages=10)
    assert mode_text(begun) == "paused, 0 messages held, up to 10 to come; after resume: governed, from 8"
