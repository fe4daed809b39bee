"""The governor: bounds, brakes and recovery, as a pure function of one reading after the other."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subscriber.control.governor import Decision, GovernorOptions, decide
from subscriber.control.reading import Reading, WriteTally, reading_between

OPTIONS = GovernorOptions(limit_at_least=0.05, limit_at_most=8, slow_statement_seconds=10)


def reading(*, failures: int = 0, statement_seconds: float | None = 0.1) -> Reading:
    """What was seen in a second."""
    return Reading(taken_at=1.0, rows_per_second=100.0, statement_seconds=statement_seconds, failures=failures)


@pytest.mark.parametrize(
    ("limit", "seen", "decision"),
    [
        (8, reading(), Decision(8, "steady")),
        (8, reading(failures=1), Decision(4, "failures")),
        (8, reading(failures=1000), Decision(4, "failures")),
        (8, reading(statement_seconds=10), Decision(5.6, "slow")),
        (8, reading(statement_seconds=9.99), Decision(8, "steady")),
        (4, reading(failures=1, statement_seconds=60), Decision(2, "failures")),
        (4, reading(), Decision(5, "recovering")),
        (4, reading(statement_seconds=None), Decision(5, "recovering")),
        (7, reading(), Decision(8, "recovering")),
        (0.05, reading(failures=1), Decision(0.05, "failures")),
        (0.06, reading(statement_seconds=10), Decision(0.05, "slow")),
    ],
)
def test_one_reading_one_decision_with_its_reason(limit: float, seen: Reading, decision: Decision) -> None:
    """Failures halve, slowness takes three tenths, quiet gives a quarter back; the bounds hold."""
    found = decide(OPTIONS, limit, seen)
    assert found.limit == pytest.approx(decision.limit)
    assert found.reason == decision.reason


READINGS = st.builds(
    reading,
    failures=st.integers(0, 3),
    statement_seconds=st.none() | st.floats(0, 1e6, allow_nan=False),
)


@given(least=st.floats(0.01, 4), span=st.floats(0, 30), readings=st.lists(READINGS, max_size=60), start=st.floats(0, 1))
def test_the_limit_stays_in_bounds(least: float, span: float, readings: list[Reading], start: float) -> None:
    """For any bounds, any start between them and any sequence of readings; it rises only when nothing hurts."""
    options = GovernorOptions(limit_at_least=least, limit_at_most=least + span, slow_statement_seconds=10)
    limit = least + span * start
    for seen in readings:
        decision = decide(options, limit, seen)
        assert least <= decision.limit <= least + span
        hurts = seen.failures > 0 or (seen.statement_seconds or 0) >= 10
        assert decision.limit <= limit if hurts else decision.limit >= limit
        assert (decision.reason in {"failures", "slow"}) == hurts
        limit = decision.limit


def test_from_the_floor_quiet_leads_back_to_the_top() -> None:
    """Within half a minute of readings, however deep the fall was."""
    limit = OPTIONS.limit_at_least
    for _ in range(30):
        limit = decide(OPTIONS, limit, reading()).limit
    assert limit == OPTIONS.limit_at_most


def test_a_reading_is_the_difference_of_two_tallies() -> None:
    """Rates by the time that really passed, the mean of what succeeded in between."""
    before = WriteTally(rows=100, statements=1, seconds=5.0, failures=2)
    now = WriteTally(rows=400, statements=3, seconds=6.0, failures=2)
    assert reading_between(before, now, taken_at=7.0, elapsed_seconds=1.5) == Reading(
        taken_at=7.0, rows_per_second=200.0, statement_seconds=0.5, failures=0
    )


def test_a_second_without_statements_has_no_mean() -> None:
    """Nothing was seen, which is not the same as fast."""
    tally = WriteTally(rows=100, statements=1, seconds=5.0, failures=0)
    later = WriteTally(rows=100, statements=1, seconds=5.0, failures=4)
    assert reading_between(tally, later, 1.0, 1.0) == Reading(1.0, 0.0, None, 4)
