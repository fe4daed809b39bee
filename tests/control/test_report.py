"""What the regulator publishes: a log line per decision, metrics, and notes for the control page."""

from __future__ import annotations

import asyncio
import itertools
from datetime import UTC, datetime, timedelta

import msgspec
import structlog
from hypothesis import given
from hypothesis import strategies as st

from subscriber.control.status import DECISIONS_KEPT, ControlStatus, DecisionLog, DecisionNote
from tests.control.loop import ControlLoop

BEGAN = datetime(2026, 3, 1, 3, 0, tzinfo=UTC)


def note(second: int, limit: float, *, was: float | None = None, reason: str = "steady") -> DecisionNote:
    """A decision at that second; without `was` the limit did not change."""
    at = BEGAN + timedelta(seconds=second)
    return DecisionNote(
        began_at=at, ended_at=at, times=1, limit=limit, was=limit if was is None else was, reason=reason
    )


async def test_a_decision_that_changes_the_limit_is_one_line_with_its_evidence() -> None:
    """Any other decision is the same line at debug."""
    control = ControlLoop()
    with structlog.testing.capture_logs() as lines:
        async with control.running():
            await asyncio.sleep(1)
            control.tally.failures += 3
            await asyncio.sleep(1)
    seen = {
        "cpu_percent": None,
        "load_age_seconds": None,
        "lag_seconds": 0,
        "limit_reached": False,
        "concurrency_used": 0,
        "rows_per_second": 0,
        "statement_seconds": None,
    }
    quiet = {"event": "limit.kept", "log_level": "debug", "limit": 8, "was": 8, "reason": "steady", "failures": 0}
    braked = {"event": "limit.changed", "log_level": "info", "limit": 4, "was": 8, "reason": "failures", "failures": 3}
    decided = [line for line in lines if line["event"].startswith("limit.")]
    assert all({"backlog_messages", "ceiling_percent", "predicted_percent"} <= line.keys() for line in decided)
    # Other fields are results of the governor, which has tests of its own.
    assert [{name: line[name] for name in quiet | seen} for line in decided] == [quiet | seen, braked | seen]


async def test_decisions_are_counted_by_reason() -> None:
    """Every one of them."""
    control = ControlLoop()
    async with control.running():
        await asyncio.sleep(10)
        control.tally.failures += 1
        await asyncio.sleep(1)
    assert control.metric("decisions_total", reason="steady") == 10
    assert control.metric("decisions_total", reason="failures") == 1


async def test_the_status_explains_the_limit() -> None:
    """Newest first, equal decisions in a row as one note."""
    control = ControlLoop()
    async with control.running():
        await asyncio.sleep(100)
        control.tally.failures += 1
        await asyncio.sleep(1)
        notes = control.regulator.status().decisions
    assert [(one.reason, one.times, one.was, one.limit) for one in notes] == [
        ("failures", 1, 8, 4),
        ("steady", 100, 8, 8),
    ]


async def test_the_status_is_the_same_on_both_sides_of_a_socket() -> None:
    """The encoded status can be decoded, before the first reading and after it."""
    control = ControlLoop()
    before = control.regulator.status()
    async with control.running():
        await asyncio.sleep(30)
        after = control.regulator.status()
    assert before.reading is None
    for status in (before, after):
        assert msgspec.json.decode(msgspec.json.encode(status), type=ControlStatus) == status


def test_equal_decisions_in_a_row_are_one_note() -> None:
    """With the times of the first and the last; a new reason or a new limit begins a new note."""
    log = DecisionLog()
    for one in (note(0, 8), note(1, 8), note(2, 4, was=8), note(3, 4), note(4, 4), note(5, 4, reason="frozen")):
        log.add(one)
    frozen, steady, moved, first = log.newest_first()
    assert (frozen.reason, frozen.times) == ("frozen", 1)
    assert (steady.times, steady.began_at, steady.ended_at) == (2, note(3, 4).began_at, note(4, 4).ended_at)
    assert (moved.was, moved.limit, moved.times) == (8, 4, 1)
    assert first.times == 2


@given(limits=st.lists(st.sampled_from([1.0, 2.0, 4.0]), max_size=300), more=st.integers(0, 60))
def test_the_decision_log_is_bounded_and_drops_only_the_oldest(limits: list[float], more: int) -> None:
    """Fifty notes; the newest is always there, and each begins at the limit where the one before ended."""
    log, was = DecisionLog(), 8.0
    for second, limit in enumerate(limits + [float(number) for number in range(more)]):
        log.add(note(second, limit, was=was))
        was = limit
    kept = log.newest_first()
    assert len(kept) <= DECISIONS_KEPT
    assert not kept or kept[0].limit == was
    assert all(newer.was == older.limit for newer, older in itertools.pairwise(kept))
