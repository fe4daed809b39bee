"""The governor with a sensor: what it does of a reading, and what it does without one."""

from __future__ import annotations

import msgspec
import pytest

from subscriber.control.governor.decide import GovernorState, decide
from subscriber.control.reading import Reading
from subscriber.signals import LoadReading
from tests.control.readings import OPTIONS, SENSOR_DELAY_SECONDS, busy, run, settled


def test_a_reading_inside_the_dead_band_moves_nothing() -> None:
    """A limit that twitches with the sensor's error helps nobody."""
    _, decisions = run(settled(4.0), range(20, 40), lambda at, limit: busy(at, limit, 57.0 + at % 3))
    assert {(each.limit, each.reason) for each in decisions} == {(4.0, "steady")}


def test_a_reading_of_the_past_is_carried_to_today_before_it_counts() -> None:
    """The second of two equal readings tells of the limit before the first one's cut, and is answered by less.

    Our rows explain 58 of the 90 points, so a cut frees no more than its part of 58; a third at most is foreign.
    """
    _, (first, second) = run(settled(4.0), (20, 21), lambda at, limit: busy(at, limit, 90.0))
    foreign, own, aim = 30.0, 60.0, 58.0
    assert first.limit == pytest.approx(4.0 * ((aim - foreign) / own) ** 0.6, rel=0.01)
    today = 32.0 + 58.0 * first.limit / 4.0
    own_today = today - foreign
    assert second.predicted_percent == pytest.approx(today, rel=0.01)
    assert second.limit == pytest.approx(first.limit * ((aim - foreign) / own_today) ** 0.6, rel=0.01)


def test_growth_is_refused_without_evidence() -> None:
    """Room alone is no reason: nobody waited for the limiter."""
    seen = busy(20, 4.0, 20.0, limit_reached=False)
    state, decision = decide(OPTIONS, msgspec.structs.replace(settled(4.0), was_reached=False), seen)
    assert (decision.limit, decision.reason) == (4.0, "not_needed")
    assert state.limit == 4.0


def test_a_gate_that_was_hardly_used_says_nothing_of_more() -> None:
    """The reading of an idle time would promise anything."""
    readings = {20.0: 58.0, 21.0: 31.0}  # the second of them is of a window that saw half a second of work
    state, decisions = run(
        settled(4.0),
        range(20, 40),
        lambda at, limit: busy(at, limit, readings.get(at, 5.0), concurrency_used=0.1),
    )
    assert decisions[-1].reason == "unmeasured"
    assert state.limit == 4.0


def test_a_new_task_waits_for_a_reading_of_its_own_time() -> None:
    """What was measured before its first write says nothing of what its writes cost."""
    old = LoadReading(10.0, taken_at=-200.0, window_seconds=60.0)
    seen = busy(1, 0.05, None, load=old, load_age_seconds=150.0)
    _, decision = decide(OPTIONS, GovernorState.at_start(OPTIONS), seen)
    assert (decision.limit, decision.reason) == (0.05, "unmeasured")


def test_the_ceiling_rises_with_lateness() -> None:
    """The same CPU is too much while nothing is late, and too little when everything is."""
    calm, late = busy(20, 4.0, 75.0), busy(20, 4.0, 75.0, lag_seconds=300.0)
    _, decision = decide(OPTIONS, settled(4.0), calm)
    assert (decision.reason, decision.ceiling_percent, decision.urgency) == ("above_ceiling", 60.0, 0.0)
    _, decision = decide(OPTIONS, settled(4.0), late)
    assert (decision.reason, decision.ceiling_percent, decision.urgency) == ("below_ceiling", 85.0, 1.0)


def test_a_repeated_reading_of_the_sensor_is_none() -> None:
    """One step for one reading, however often it is told."""
    said = LoadReading(90.0, taken_at=18.5, window_seconds=1.0)

    def repeated(at: float, limit: float) -> Reading:
        return busy(at, limit, None, load=said, load_age_seconds=at - said.taken_at)

    _, decisions = run(settled(4.0), range(20, 26), repeated)
    assert [each.reason for each in decisions] == ["above_ceiling", *["no_news"] * 5]
    assert len({each.limit for each in decisions}) == 1


def test_slow_rows_brake_before_the_sensor_tells_and_once() -> None:
    """A row that takes three times its best is cut by the ratio; that it goes on is the same event."""
    _, decisions = run(
        settled(4.0), range(20, 30), lambda at, limit: busy(at, limit, None, statement_seconds=0.3, load=None)
    )
    cuts = [each for each in decisions if each.reason == "slow_rows"]
    assert len(cuts) == 1
    assert cuts[0].limit == pytest.approx(4.0 / cuts[0].row_time_ratio)


def test_slow_rows_of_an_open_gate_are_not_cut() -> None:
    """A limit that holds nobody back is not what makes them slow; once it does, the cut comes."""
    idle = {"limit_reached": False, "concurrency_used": 0.1}
    state, decisions = run(
        settled(4.0), range(20, 30), lambda at, limit: busy(at, limit, None, statement_seconds=0.3, load=None, **idle)
    )
    assert {each.limit for each in decisions} == {4.0}
    _, decisions = run(state, (30,), lambda at, limit: busy(at, limit, None, statement_seconds=0.3, load=None))
    assert decisions[0].reason == "slow_rows"


def test_idle_seconds_do_not_hide_what_the_first_busy_one_tells() -> None:
    """A new task's first reading of its own work lets it grow, however long it has waited for work."""
    state, _ = run(
        GovernorState.at_start(OPTIONS),
        range(20),
        lambda at, limit: busy(
            at, limit, 0.5, rows_per_second=0.0, statement_seconds=None, concurrency_used=0.0, limit_reached=False
        ),
    )
    _, decisions = run(state, range(20, 24), lambda at, limit: busy(at, limit, 1.0))
    assert [each.reason for each in decisions] == ["unmeasured", *["below_ceiling"] * 3]


def test_a_bigger_batch_is_no_congestion() -> None:
    """Ten times the time for ten times the rows is the same pace."""
    state, _ = run(
        GovernorState(limit=4.0, load_taken_at=-100.0),
        range(20),
        lambda at, limit: busy(at, limit, 58.0, statement_seconds=0.01, rows_per_statement=100.0),
    )
    _, decisions = run(state, range(20, 40), lambda at, limit: busy(at, limit, 58.0))
    assert {each.limit for each in decisions} == {4.0}


def test_a_sensor_that_falls_silent_freezes_growth_and_then_caps_it() -> None:
    """Fifteen seconds of patience, then no growth, after a minute half of the last limit it knew."""
    _, decisions = run(settled(4.0), range(20, 200), lambda at, limit: busy(at, limit, None))
    reasons = [each.reason for each in decisions]
    assert reasons == ["no_news"] * 14 + ["signal_lost"] * 45 + ["fallback"] * 121
    assert {each.limit for each in decisions[:59]} == {4.0}
    assert [each.limit for each in decisions[59:]] == pytest.approx([2.0] * 121)


def test_a_sensor_that_never_spoke_leaves_one_writer() -> None:
    """From the floor, on evidence, by two per cent a second."""
    state, _ = run(GovernorState.at_start(OPTIONS), range(400), lambda at, limit: busy(at, limit, None))
    assert state.limit == 1.0


def test_a_sensor_that_speaks_once_a_minute_may_be_silent_for_longer() -> None:
    """Its patience is three windows."""

    def slow(at: float, limit: float) -> Reading:
        window = LoadReading(58.0, taken_at=at // 60 * 60, window_seconds=60.0)
        return busy(at, limit, None, load=window, load_age_seconds=at % 60)

    _, decisions = run(GovernorState(limit=4.0, load_taken_at=-100.0), range(120, 600), slow)
    assert {each.reason for each in decisions} <= {"no_news", "steady", "unmeasured"}


def test_an_outage_is_not_taken_for_room() -> None:
    """The CPU of a database that is away is low; growth waits for a window that began after the first success."""
    state, _ = run(
        settled(4.0), range(20, 50), lambda at, limit: busy(at, limit, 0.0, statement_seconds=None, failures=at == 20)
    )
    assert state.limit == 2.0
    _, decisions = run(state, range(50, 60), lambda at, limit: busy(at, limit, 20.0))
    first = next(at for at, each in enumerate(decisions) if each.reason == "below_ceiling")
    assert {each.limit for each in decisions[:first]} == {2.0}
    assert first >= 4 > SENSOR_DELAY_SECONDS


def test_a_neighbor_is_told_apart_and_not_scaled() -> None:
    """CPU that our rows do not explain stays where it is, whatever our limit: only ours is held against the room."""
    _, decision = decide(OPTIONS, settled(4.0), busy(20, 4.0, 80.0))
    assert decision.external_percent == pytest.approx(80.0 / 4, rel=0.15)
    assert decision.limit < 4.0 * (58 / 80) ** 0.6


def test_a_task_that_finds_the_database_loaded_moves_towards_its_share() -> None:
    """Where others were before it, it grows a little inside the dead band, as every small task does."""
    _, decisions = run(GovernorState.at_start(OPTIONS), range(300), lambda at, limit: busy(at, limit, 57.0))
    assert decisions[-1].reason == "sharing"
    assert 0.1 < decisions[-1].limit < 0.7
