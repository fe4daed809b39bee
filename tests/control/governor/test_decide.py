"""The governor without a sensor, and the rules that do not need one: failures, slowness, outages, bounds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subscriber.control.governor.decide import Decision, GovernorOptions, GovernorState, decide
from subscriber.control.reading import Reading, reading_between
from subscriber.signals import WriteTally

OPTIONS = GovernorOptions(limit_at_least=0.05, limit_at_most=8, slow_statement_seconds=10)


def reading(
    *,
    taken_at: float = 1.0,
    failures: int = 0,
    statement_seconds: float | None = 0.1,
    statements: int = 0,
    database_unavailable: bool = False,
) -> Reading:
    """The reading of one second."""
    return Reading(
        taken_at=taken_at,
        rows_per_second=100.0,
        statement_seconds=statement_seconds,
        failures=failures,
        statements=statements,
        database_unavailable=database_unavailable,
    )


def decisions(options: GovernorOptions, start: float, readings: list[Reading]) -> list[Decision]:
    """The decisions on these readings, in order."""
    state, found = GovernorState(limit=start), []
    for seen in readings:
        state, decision = decide(options, state, seen)
        assert state.limit == decision.limit
        found.append(decision)
    return found


@pytest.mark.parametrize(
    ("limit", "seen", "expected"),
    [
        (8, reading(), (8, "steady")),
        (8, reading(failures=1), (4, "failures")),
        (8, reading(failures=1000), (4, "failures")),
        (8, reading(statement_seconds=10), (5.6, "slow")),
        (8, reading(statement_seconds=9.99), (8, "steady")),
        (4, reading(failures=1, statement_seconds=60), (2, "failures")),
        (4, reading(), (4, "not_needed")),
        (0.05, reading(failures=1), (0.05, "failures")),
        (0.06, reading(statement_seconds=10), (0.05, "slow")),
    ],
)
def test_one_reading_one_decision_with_its_reason(limit: float, seen: Reading, expected: tuple[float, str]) -> None:
    """Failures halve the limit, slowness takes three tenths, a quiet second changes nothing; the bounds hold."""
    (found,) = decisions(OPTIONS, limit, [seen])
    assert found.reason == expected[1]
    assert found.limit == pytest.approx(expected[0])


def test_a_congestion_is_cut_once() -> None:
    """Failures and slow statements of the next five seconds belong to the same event; later ones do not."""
    failing = [reading(taken_at=second, failures=1) for second in range(1, 6)]
    again = reading(taken_at=6, statement_seconds=10)
    found = decisions(OPTIONS, 8, [*failing, again])
    assert [each.reason for each in found] == ["failures", *["braked"] * 4, "slow"]
    assert [each.limit for each in found] == pytest.approx([4, 4, 4, 4, 4, 2.8])


@pytest.mark.parametrize(
    ("failures", "statements", "expected"),
    [(1, 0, "failures"), (1, 19, "failures"), (1, 20, "steady"), (5, 95, "failures"), (5, 96, "steady")],
)
def test_one_failure_in_twenty_statements_lowers_the_limit(failures: int, statements: int, expected: str) -> None:
    """Fewer do not: a single deadlock is no evidence against the limit."""
    (found,) = decisions(OPTIONS, 8, [reading(failures=failures, statements=statements)])
    assert found.reason == expected


def test_statements_of_earlier_seconds_count_less_and_less() -> None:
    """A failure after many commits is rare; half a minute without a statement later it is not."""
    before = reading(statements=100)
    soon, late = (reading(taken_at=at, failures=1, statement_seconds=None) for at in (2.0, 40.0))
    assert [each.reason for each in decisions(OPTIONS, 8, [before, soon])] == ["steady", "steady"]
    assert [each.reason for each in decisions(OPTIONS, 8, [before, late])] == ["steady", "failures"]


def test_an_outage_moves_nothing_until_the_database_is_available() -> None:
    """Growth is possible again five seconds after the last second of the outage."""
    silent = [
        reading(taken_at=second, statement_seconds=None, database_unavailable=True, failures=second % 2)
        for second in range(2, 40)
    ]
    healthy = [reading(taken_at=second) for second in range(40, 46)]
    found = decisions(
        OPTIONS, 8, [reading(failures=3, statement_seconds=None, database_unavailable=True), *silent, *healthy]
    )
    assert [each.reason for each in found] == [
        "failures",
        *["outage"] * len(silent),
        *["braked"] * 4,
        *["not_needed"] * 2,
    ]
    assert {each.limit for each in found} == {4}


def test_a_task_starts_at_the_lowest_limit() -> None:
    """With and without a sensor: others may be using the database."""
    for has_load_signal in (True, False):
        options = GovernorOptions(
            limit_at_least=0.05, limit_at_most=8, slow_statement_seconds=10, has_load_signal=has_load_signal
        )
        assert GovernorState.at_start(options).limit == 0.05


READINGS = st.lists(
    st.builds(
        reading,
        failures=st.integers(0, 3),
        statement_seconds=st.none() | st.floats(0, 1e6, allow_nan=False),
    ),
    max_size=60,
)


@given(least=st.floats(0.01, 4), span=st.floats(0, 30), readings=READINGS, start=st.floats(0, 1))
def test_the_limit_stays_in_bounds(least: float, span: float, readings: list[Reading], start: float) -> None:
    """For any bounds, any start between them and any sequence of readings; no rise on failures or slow statements."""
    options = GovernorOptions(limit_at_least=least, limit_at_most=least + span, slow_statement_seconds=10)
    state = GovernorState(limit=least + span * start)
    for second, seen in enumerate(readings):
        before = state.limit
        state, decision = decide(options, state, reading_at(seen, second))
        assert least <= decision.limit <= least + span
        is_bad = seen.failures > 0 or (seen.statement_seconds or 0) >= 10
        assert not (is_bad and decision.limit > before)


def reading_at(seen: Reading, second: int) -> Reading:
    """The same reading at another time."""
    return reading(taken_at=second, failures=seen.failures, statement_seconds=seen.statement_seconds)


def test_a_reading_is_the_difference_of_two_tallies() -> None:
    """Rates by the time that really passed, and the mean of the statements in between."""
    before = WriteTally(rows=100, statements=1, seconds=5.0, failures=2)
    now = WriteTally(rows=400, statements=3, seconds=6.0, failures=2)
    assert reading_between(before, now, taken_at=7.0, elapsed_seconds=1.5) == Reading(
        taken_at=7.0, rows_per_second=200.0, statement_seconds=0.5, failures=0, rows_per_statement=150.0, statements=2
    )


def test_a_second_without_statements_has_no_mean() -> None:
    """None is unknown, which is not the same as fast."""
    tally = WriteTally(rows=100, statements=1, seconds=5.0, failures=0)
    later = WriteTally(rows=100, statements=1, seconds=5.0, failures=4)
    assert reading_between(tally, later, 1.0, 1.0) == Reading(1.0, 0.0, None, 4)
