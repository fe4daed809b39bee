"""Properties of the governor for any sequence of readings, possible or not."""

from __future__ import annotations

import math

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from subscriber.control.governor.decide import GovernorOptions, GovernorState, decide
from subscriber.control.governor.memory import REMEMBERED_AT_MOST, REMEMBERED_SECONDS
from subscriber.control.reading import Reading
from subscriber.signals import LoadReading
from tests.control.readings import OPTIONS, busy, run, settled

pytestmark = pytest.mark.usefixtures("untraced")

ANY = st.floats(allow_nan=True, allow_infinity=True)
SENSIBLE = st.floats(0, 200)

LOADS = st.none() | st.builds(
    LoadReading,
    cpu_percent=st.floats(0, 100) | ANY,
    taken_at=st.floats(0, 100) | ANY,
    window_seconds=st.sampled_from([1.0, 10.0, 60.0]) | ANY,
)


def seconds_of(numbers: st.SearchStrategy[float]) -> st.SearchStrategy[list[Reading]]:
    """A series of readings, a second apart."""
    seconds = st.builds(
        Reading,
        taken_at=st.just(0.0),
        rows_per_second=numbers,
        statement_seconds=st.none() | numbers,
        failures=st.integers(0, 2),
        concurrency_used=numbers,
        limit_reached=st.booleans(),
        lag_seconds=numbers,
        load=LOADS,
        load_age_seconds=st.floats(0, 5) | numbers,
        rows_per_statement=numbers,
    )
    rows = st.lists(seconds, max_size=40)
    return rows.map(lambda row: [msgspec.structs.replace(each, taken_at=float(at)) for at, each in enumerate(row)])


BOUNDS = st.tuples(st.floats(0.01, 4), st.floats(0, 30), st.booleans()).map(
    lambda drawn: GovernorOptions(
        limit_at_least=drawn[0],
        limit_at_most=drawn[0] + drawn[1],
        slow_statement_seconds=10,
        has_load_signal=drawn[2],
    )
)


@given(options=BOUNDS, readings=seconds_of(ANY | SENSIBLE))
def test_the_limit_is_a_number_within_its_bounds(options: GovernorOptions, readings: list[Reading]) -> None:
    """For any values of a sensor, a clock or a tally: NaN and infinity included."""
    state = GovernorState.at_start(options)
    for seen in readings:
        state, decision = decide(options, state, seen)
        assert options.limit_at_least <= decision.limit <= options.limit_at_most
        assert state.limit == decision.limit
        assert decision.predicted_percent is None or math.isfinite(decision.predicted_percent)


def mostly_well() -> st.SearchStrategy[list[Reading]]:
    """A series of readings a second apart, with few failures and a sensor that often has a new reading."""
    seconds = st.builds(
        Reading,
        taken_at=st.just(0.0),
        rows_per_second=st.floats(0, 20_000),
        statement_seconds=st.none() | st.floats(0.01, 4),
        failures=st.sampled_from([0] * 30 + [1]),
        concurrency_used=st.floats(0, 8),
        limit_reached=st.booleans(),
        lag_seconds=st.floats(0, 300),
        load=st.none() | st.builds(LoadReading, st.floats(0, 100), st.just(0.0), st.just(1.0)),
        load_age_seconds=st.just(0.5),
        rows_per_statement=st.floats(1, 1000),
    )

    def a_second_apart(row: list[Reading]) -> list[Reading]:
        return [
            msgspec.structs.replace(
                each,
                taken_at=float(at),
                load=each.load and msgspec.structs.replace(each.load, taken_at=at - 0.5),
            )
            for at, each in enumerate(row)
        ]

    return st.lists(seconds, min_size=5, max_size=40).map(a_second_apart)


def test_it_rises_only_on_evidence() -> None:
    """A batch waited, nothing fails, and a new reading shows free CPU; or the sensor is stale and rows are quick."""
    rises = 0

    @given(readings=mostly_well() | seconds_of(SENSIBLE), start=st.floats(0.05, 8))
    def holds(readings: list[Reading], start: float) -> None:
        nonlocal rises
        rises += rises_in(readings, start)

    holds()
    assert rises >= 10, "too few rises for a meaningful test"


def rises_in(readings: list[Reading], start: float) -> int:
    """How often the limit rises, each time with evidence."""
    state, was_reached, rises = GovernorState(limit=start), False, 0
    for seen in readings:
        before = state
        state, decision = decide(OPTIONS, state, seen)
        was_reached = was_reached or seen.limit_reached
        if decision.limit > before.limit:
            rises += 1
            assert was_reached
            assert not seen.failures
            assert decision.reason in {"below_ceiling", "sharing", "fallback"}
            has_free_cpu = decision.cpu_percent is not None and decision.cpu_percent < (decision.ceiling_percent or 0)
            assert has_free_cpu or decision.reason == "fallback"
        if state.load_taken_at != before.load_taken_at:
            was_reached = False
    return rises


@given(limit=st.floats(0.1, 8), cpu=st.floats(69, 100), lag=st.floats(0, 10))
def test_it_falls_while_the_cpu_is_above_the_ceiling(limit: float, cpu: float, lag: float) -> None:
    """Five such readings, with windows under the present limit, lower it; above one, the first does."""
    _, decisions = run(settled(limit), range(20, 25), lambda at, now: busy(at, now, cpu, lag_seconds=lag))
    assert decisions[-1].limit < limit
    assert decisions[0].limit < limit or limit < 1


@given(readings=seconds_of(SENSIBLE), repeats=st.integers(1, 5))
def test_one_step_for_one_reading(readings: list[Reading], repeats: int) -> None:
    """A repeated reading changes neither limit nor state."""
    state = GovernorState.at_start(OPTIONS)
    for seen in readings:
        state, decision = decide(OPTIONS, state, seen)
        for _ in range(repeats):
            again, repeated = decide(OPTIONS, state, seen)
            assert again == state
            assert (repeated.limit, repeated.reason) == (decision.limit, "no_new_reading")


@given(readings=seconds_of(SENSIBLE))
def test_the_same_readings_lead_to_the_same_decisions(readings: list[Reading]) -> None:
    """The governor uses neither a clock nor randomness."""
    runs = []
    for _ in range(2):
        state, decisions = GovernorState.at_start(OPTIONS), []
        for seen in readings:
            state, decision = decide(OPTIONS, state, seen)
            decisions.append(decision)
        runs.append((state, decisions))
    assert runs[0] == runs[1]


@settings(max_examples=5, deadline=None)
@given(period=st.floats(0.1, 5))
def test_the_memory_is_bounded(period: float) -> None:
    """In time and in number, for any run time and any period."""
    state, _ = run(
        GovernorState.at_start(OPTIONS),
        (number * period for number in range(2000)),
        lambda at, now: busy(at, now, 50.0),
    )
    assert len(state.past) <= REMEMBERED_AT_MOST
    assert state.past[-1].ended_at - state.past[0].ended_at <= REMEMBERED_SECONDS
