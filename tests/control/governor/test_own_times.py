"""Without a sensor: the limit grows while the times of our own statements do not rise with it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from subscriber.control.governor.decide import Decision, GovernorOptions, GovernorState, decide
from subscriber.control.governor.own_times import (
    CONGESTED_RATIO,
    FACTOR_BELOW_ONE,
    FACTOR_FROM_ONE,
    OTHERS_SECONDS,
    SLOW_RATIO,
    SLOW_SECONDS,
    STATEMENTS_FROM_ONE,
)
from subscriber.control.reading import Reading

OPTIONS = GovernorOptions(limit_at_least=0.05, limit_at_most=16, slow_statement_seconds=10)
STATEMENT_SECONDS = 0.1

Times = Callable[[float, float], float]
"""How long a statement takes, in seconds, at a second and under a limit."""


def waiting_for(cores: float) -> Times:
    """A database of so many cores, shared equally: statements wait for each other from there on."""
    return lambda _, limit: STATEMENT_SECONDS * max(1.0, limit / cores)


def second(at: float, limit: float, statement_seconds: float, *, is_due: bool = True) -> Reading:
    """A second of work that uses the limit up."""
    statements = max(1, round(limit / statement_seconds))
    return Reading(
        taken_at=at,
        rows_per_second=1000.0 * statements,
        statement_seconds=statement_seconds,
        failures=0,
        concurrency_used=limit,
        limit_reached=is_due,
        rows_per_statement=1000.0,
        statements=statements,
    )


def run(
    times: Times, seconds: Iterable[float], state: GovernorState | None = None, *, is_due: bool = True
) -> tuple[GovernorState, list[Decision]]:
    """The governor at such a database, while a backlog is due."""
    state = GovernorState.at_start(OPTIONS) if state is None else state
    found = []
    for at in seconds:
        state, decision = decide(OPTIONS, state, second(at, state.limit, times(at, state.limit), is_due=is_due))
        found.append(decision)
    return state, found


def test_it_grows_by_a_factor_a_second_to_the_largest_limit_while_times_do_not_rise() -> None:
    """In half a minute from a twentieth to sixteen writers, and no step is larger than the law's."""
    _, found = run(waiting_for(100), range(40))
    limits = [OPTIONS.limit_at_least, *(each.limit for each in found)]
    assert max(after / before for before, after in pairwise(limits)) == pytest.approx(FACTOR_BELOW_ONE)
    assert limits[5] < 0.2
    assert {each.reason for each in found if each.limit < OPTIONS.limit_at_most} == {"quick_rows", "unmeasured"}
    assert (found[-1].limit, found[-1].reason) == (OPTIONS.limit_at_most, "steady")
    assert max(after / before for before, after in pairwise(limits) if before >= 1) == pytest.approx(FACTOR_FROM_ONE)


def test_it_stays_where_statements_begin_to_wait_for_each_other() -> None:
    """Above the last limit without waiting, and below the one that is a cut."""
    _, found = run(waiting_for(4), range(300))
    limits = [each.limit for each in found[60:]]
    assert min(limits) >= 4
    assert max(limits) <= 4 * CONGESTED_RATIO
    assert found[-1].reason == "braked"


def test_a_neighbor_gets_room() -> None:
    """Its half of four cores doubles our times under the old limit; a cut makes them quick again."""
    times = lambda at, limit: STATEMENT_SECONDS * max(1.0, (limit + (3 if at >= 100 else 0)) / 4)  # noqa: E731 – a table
    _, found = run(times, range(160))
    assert found[100].row_time_ratio >= CONGESTED_RATIO, "the evidence is the ratio that decided"
    cuts = [(at, each.limit) for at, each in enumerate(found) if each.reason == "slow_rows"]
    assert cuts[0][0] == 100
    assert found[99].limit > 4
    assert found[-1].limit + 3 <= 4 * CONGESTED_RATIO
    assert found[-1].limit >= 1


@pytest.mark.parametrize("factor", [1.5, 2.0, 5.0])
def test_rows_that_become_dearer_for_good_hold_growth_back_for_seconds(factor: float) -> None:
    """Cuts that change no times are the proof: the dearer rows are the new normal, and the limit grows again."""

    def times(at: float, limit: float) -> float:
        return waiting_for(4)(at, limit) * (factor if at >= 100 else 1.0)

    _, found = run(times, range(300))
    before = found[99].limit
    regained = next(at for at in range(110, 300) if found[at].limit >= 0.9 * before)
    assert min(each.limit for each in found[100:]) >= 0.1 * before
    assert regained <= 200


def test_dearer_rows_at_the_lowest_limit_do_not_stop_growth() -> None:
    """There nothing can be cut, and a wait of a few seconds answers the test."""
    state, _ = run(waiting_for(100), range(8))
    state = msgspec.structs.replace(state, limit=OPTIONS.limit_at_least)
    state, found = run(lambda _at, _limit: 3 * STATEMENT_SECONDS, range(10, 80), state)
    assert found[-1].limit > 1


@pytest.mark.parametrize(("ratio", "falls"), [(1.9, False), (2.1, True)])
def test_below_one_only_rows_that_wait_for_others_lower_the_limit(ratio: float, falls: bool) -> None:
    """A single writer does not wait for itself, and times vary."""
    state, _ = run(waiting_for(100), range(12))
    assert 0.5 < state.limit < 1
    state = msgspec.structs.replace(state, limit=0.5)
    _, found = run(lambda _at, _limit: ratio * STATEMENT_SECONDS, range(12, 16), state)
    assert ("slow_rows" in {each.reason for each in found}) == falls


def test_slightly_slower_rows_stop_growth_and_only_later_cut() -> None:
    """Between the two ratios the limit stays for ten minutes; then a series of cuts tests whose doing it is."""
    state, found = run(waiting_for(100), range(25))
    assert 1 < state.limit < OPTIONS.limit_at_most
    slower = STATEMENT_SECONDS * (SLOW_RATIO + CONGESTED_RATIO) / 2
    state, found = run(lambda _at, _limit: slower, range(25, 25 + int(SLOW_SECONDS)), state)
    limits = {each.limit for each in found[3:]}
    assert len(limits) == 1
    _, found = run(lambda _at, _limit: slower, range(25 + int(SLOW_SECONDS), 1000), state)
    assert "slow_rows" in {each.reason for each in found}
    assert found[-1].limit == OPTIONS.limit_at_most


def test_a_cut_shows_its_effect_before_the_next_one() -> None:
    """The statements of the first seconds after a cut count for nothing."""
    _, found = run(lambda at, limit: waiting_for(4)(at, limit) * (5 if at >= 100 else 1), range(130))
    cuts = [at for at, each in enumerate(found) if each.reason == "slow_rows"]
    assert len(cuts) >= 2
    assert min(after - before for before, after in pairwise(cuts)) >= OTHERS_SECONDS


@pytest.mark.parametrize("limit", [0.05, 2.0])
def test_without_a_batch_that_waits_it_stays(limit: float) -> None:
    """However quick statements are: nobody needs a larger limit."""
    _, found = run(waiting_for(100), range(60), GovernorState(limit=limit), is_due=False)
    assert {(each.limit, each.reason) for each in found} == {(limit, "not_needed")}


def test_from_one_on_a_step_needs_enough_statements_under_the_limit() -> None:
    """A single quick statement does not show that there is room for another writer."""
    state, found = GovernorState(limit=2.0), []
    for at in range(STATEMENTS_FROM_ONE):
        seen = msgspec.structs.replace(second(at, state.limit, STATEMENT_SECONDS), statements=1)
        state, decision = decide(OPTIONS, state, seen)
        found.append(decision.reason)
    assert found == [*["unmeasured"] * (STATEMENTS_FROM_ONE - 1), "quick_rows"]


def test_a_larger_batch_is_not_congestion() -> None:
    """It takes longer, and its rows do not."""
    state, _ = run(waiting_for(100), range(30))
    found = []
    for at in range(30, 60):
        seen = msgspec.structs.replace(second(at, state.limit, 0.9), rows_per_statement=9000.0)
        state, decision = decide(OPTIONS, state, seen)
        found.append(decision)
    assert "slow_rows" not in {each.reason for each in found}
    assert found[-1].limit == OPTIONS.limit_at_most


def test_equal_bounds_fix_the_limit() -> None:
    """No law moves it, so that a limit can be chosen by settings."""
    options = msgspec.structs.replace(OPTIONS, limit_at_least=4.0, limit_at_most=4.0)
    state = GovernorState.at_start(options)
    for at in range(60):
        seconds = STATEMENT_SECONDS * (5 if at > 30 else 1)
        state, decision = decide(options, state, second(at, state.limit, seconds))
        assert (decision.limit, decision.reason) == (4.0, "steady")


def test_it_falls_and_rises_for_its_reasons_only() -> None:
    """For any times: up after a batch waited, by one step, without failures; down where rows or statements are slow."""

    @given(
        times=st.lists(st.floats(0.001, 4), min_size=5, max_size=60),
        dues=st.lists(st.booleans(), min_size=60, max_size=60),
        start=st.floats(0.05, 16),
    )
    def holds(times: list[float], dues: list[bool], start: float) -> None:
        state, was_reached = GovernorState(limit=start), False
        for at, seconds in enumerate(times):
            before, was_reached = state.limit, was_reached or dues[at]
            state, decision = decide(OPTIONS, state, second(at, state.limit, seconds, is_due=dues[at]))
            if decision.limit > before:
                assert was_reached
                assert decision.reason == "quick_rows"
                assert decision.limit <= before * FACTOR_BELOW_ONE
            if decision.limit < before:
                assert decision.reason == "slow_rows"
                assert decision.limit >= before / 2
            was_reached = was_reached and decision.limit == before

    holds()
