"""The governor with a sensor: its decisions on readings, and without new ones."""

from __future__ import annotations

import msgspec
import pytest

from subscriber.control.governor.decide import GovernorState, decide
from subscriber.control.reading import Reading
from subscriber.signals import LoadReading
from tests.control.readings import OPTIONS, SENSOR_DELAY_SECONDS, busy, run, settled


def test_a_reading_inside_the_dead_band_changes_nothing() -> None:
    """The limit does not follow the sensor's noise."""
    _, decisions = run(settled(4.0), range(20, 40), lambda at, limit: busy(at, limit, 57.0 + at % 3))
    assert {(each.limit, each.reason) for each in decisions} == {(4.0, "steady")}


def test_a_reading_of_the_past_is_scaled_to_the_present() -> None:
    """The second of two equal readings belongs to the limit before the first cut, so its cut is smaller.

    Our rows explain 58 of the 90 points, so a cut frees no more than its part of 58; at most a third is external.
    """
    _, (first, second) = run(settled(4.0), (20, 21), lambda at, limit: busy(at, limit, 90.0))
    external, own, aim = 30.0, 60.0, 58.0
    assert first.limit == pytest.approx(4.0 * ((aim - external) / own) ** 0.6, rel=0.01)
    present = 32.0 + 58.0 * first.limit / 4.0
    own_now = present - external
    assert second.predicted_percent == pytest.approx(present, rel=0.01)
    assert second.limit == pytest.approx(first.limit * ((aim - external) / own_now) ** 0.6, rel=0.01)


def test_there_is_no_growth_without_evidence() -> None:
    """Free CPU alone is no reason: no batch waited for the limiter."""
    seen = busy(20, 4.0, 20.0, limit_reached=False)
    state, decision = decide(OPTIONS, msgspec.structs.replace(settled(4.0), was_reached=False), seen)
    assert (decision.limit, decision.reason) == (4.0, "not_needed")
    assert state.limit == 4.0


def test_a_hardly_used_limiter_does_not_show_the_cost_of_more() -> None:
    """The reading of an idle window would allow any limit."""
    readings = {20.0: 58.0, 21.0: 31.0}  # the second of them is of a window that saw half a second of work
    state, decisions = run(
        settled(4.0),
        range(20, 40),
        lambda at, limit: busy(at, limit, readings.get(at, 5.0), concurrency_used=0.1),
    )
    assert decisions[-1].reason == "unmeasured"
    assert state.limit == 4.0


def test_a_new_task_waits_for_a_reading_of_its_own_writes() -> None:
    """A window before its first write does not contain their cost."""
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


def test_a_repeated_reading_of_the_sensor_is_not_new() -> None:
    """One step per reading, however often it is repeated."""
    newest = LoadReading(90.0, taken_at=18.5, window_seconds=1.0)

    def repeated(at: float, limit: float) -> Reading:
        return busy(at, limit, None, load=newest, load_age_seconds=at - newest.taken_at)

    _, decisions = run(settled(4.0), range(20, 26), repeated)
    assert [each.reason for each in decisions] == ["above_ceiling", *["no_new_reading"] * 5]
    assert len({each.limit for each in decisions}) == 1


def test_slow_rows_brake_before_the_sensor_reports_it_and_once() -> None:
    """Rows that take three times their best lower the limit by the ratio; while it lasts it is the same event."""
    _, decisions = run(
        settled(4.0), range(20, 30), lambda at, limit: busy(at, limit, None, statement_seconds=0.3, load=None)
    )
    cuts = [each for each in decisions if each.reason == "slow_rows"]
    assert len(cuts) == 1
    assert cuts[0].limit == pytest.approx(4.0 / cuts[0].row_time_ratio)


def dearer(at: float, limit: float, cpu_percent: float) -> Reading:
    """A second of rows that cost five times as much as before, whatever the limit."""
    return busy(at, limit, cpu_percent, statement_seconds=0.5, rows_per_second=2_000 * limit)


def test_rows_that_became_dearer_hold_the_growth_back_for_seconds() -> None:
    """Once a window after the cut shows the limit in use and a CPU below the target, their time is the new best."""
    state, decisions = run(settled(4.0), range(20, 40), lambda at, limit: dearer(at, limit, 5 * limit))
    reasons = [each.reason for each in decisions]
    cut = reasons.index("slow_rows")
    grown = reasons.index("below_ceiling", cut)
    assert 5 <= grown - cut <= 8
    assert state.limit > 4.0
    assert decisions[-1].row_time_ratio == pytest.approx(1.0)
    _, decisions = run(state, range(40, 43), lambda at, limit: busy(at, limit, 40.0, statement_seconds=1.5))
    assert decisions[1].reason == "slow_rows"  # slow compared with the new best


@pytest.mark.parametrize("cpu_percent", [58.0, 100.0])
def test_rows_that_are_slow_without_headroom_stay_a_congestion(cpu_percent: float) -> None:
    """At the target, or on a full CPU, the limit may be the cause."""
    _, decisions = run(settled(4.0), range(20, 60), lambda at, limit: dearer(at, limit, cpu_percent))
    assert "below_ceiling" not in {each.reason for each in decisions}
    assert decisions[-1].row_time_ratio > 2


def test_slow_rows_of_a_hardly_used_limiter_do_not_brake() -> None:
    """A limit that delays no write is not what makes rows slow; once it does, it is lowered."""
    idle = {"limit_reached": False, "concurrency_used": 0.1}
    state, decisions = run(
        settled(4.0), range(20, 30), lambda at, limit: busy(at, limit, None, statement_seconds=0.3, load=None, **idle)
    )
    assert {each.limit for each in decisions} == {4.0}
    _, decisions = run(state, (30,), lambda at, limit: busy(at, limit, None, statement_seconds=0.3, load=None))
    assert decisions[0].reason == "slow_rows"


def test_idle_seconds_do_not_mask_the_first_busy_one() -> None:
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
    """Ten times the time for ten times the rows is the same time per row."""
    state, _ = run(
        GovernorState(limit=4.0, load_taken_at=-100.0),
        range(20),
        lambda at, limit: busy(at, limit, 58.0, statement_seconds=0.01, rows_per_statement=100.0),
    )
    _, decisions = run(state, range(20, 40), lambda at, limit: busy(at, limit, 58.0))
    assert {each.limit for each in decisions} == {4.0}


def test_a_stale_sensor_freezes_growth_and_then_caps_the_limit() -> None:
    """No growth after fifteen seconds; after a minute half of the limit at its last reading."""
    _, decisions = run(settled(4.0), range(20, 200), lambda at, limit: busy(at, limit, None))
    reasons = [each.reason for each in decisions]
    assert reasons == ["no_new_reading"] * 14 + ["signal_lost"] * 45 + ["fallback"] * 121
    assert {each.limit for each in decisions[:59]} == {4.0}
    assert [each.limit for each in decisions[59:]] == pytest.approx([2.0] * 121)


def test_without_any_reading_the_cap_is_one_writer() -> None:
    """From the lowest limit, on evidence, by two percent a second."""
    state, _ = run(GovernorState.at_start(OPTIONS), range(400), lambda at, limit: busy(at, limit, None))
    assert state.limit == 1.0


def test_a_sensor_with_a_window_of_a_minute_becomes_stale_later() -> None:
    """After three windows."""

    def slow(at: float, limit: float) -> Reading:
        window = LoadReading(58.0, taken_at=at // 60 * 60, window_seconds=60.0)
        return busy(at, limit, None, load=window, load_age_seconds=at % 60)

    _, decisions = run(GovernorState(limit=4.0, load_taken_at=-100.0), range(120, 600), slow)
    assert {each.reason for each in decisions} <= {"no_new_reading", "steady", "unmeasured"}


def test_an_outage_does_not_count_as_free_cpu() -> None:
    """The CPU of an unavailable database is low; growth waits for a window that began after the first success."""
    outage = {"statement_seconds": None, "database_unavailable": True}
    state, _ = run(
        settled(4.0), range(20, 50), lambda at, limit: busy(at, limit, 0.0, failures=int(at == 20), **outage)
    )
    assert state.limit == 2.0
    _, decisions = run(state, range(50, 60), lambda at, limit: busy(at, limit, 20.0))
    first = next(at for at, each in enumerate(decisions) if each.reason == "below_ceiling")
    assert {each.limit for each in decisions[:first]} == {2.0}
    assert first >= 4 > SENSOR_DELAY_SECONDS


def test_a_quiet_pipeline_obeys_its_sensor_after_one_failure() -> None:
    """A failure without an outage lowers the limit once; from then on the readings count."""
    state, decisions = run(
        settled(4.0),
        range(20, 40),
        lambda at, limit: busy(
            at, limit, 90.0, statement_seconds=None, failures=int(at == 20), limit_reached=False, concurrency_used=0.0
        ),
    )
    assert (decisions[0].limit, decisions[0].reason) == (2.0, "failures")
    assert {each.reason for each in decisions[1:]} == {"above_ceiling"}
    assert state.limit == OPTIONS.limit_at_least


def test_a_failure_among_many_statements_does_not_stop_the_growth() -> None:
    """A deadlock every three seconds among a hundred commits a second: the limit grows as without it."""

    def decisions(failures: int) -> list[tuple[float, str]]:
        _, found = run(
            settled(2.0),
            range(20, 60),
            lambda at, limit: busy(at, limit, 7 * limit, statements=100, failures=failures * int(at % 3 == 0)),
        )
        return [(each.limit, each.reason) for each in found]

    assert decisions(failures=1) == decisions(failures=0)
    assert decisions(failures=1)[-1][0] > 6


def test_external_load_is_recognized_and_not_scaled() -> None:
    """CPU that our rows do not explain does not follow our limit: only our part is compared with what it leaves."""
    _, decision = decide(OPTIONS, settled(4.0), busy(20, 4.0, 80.0))
    assert decision.external_percent == pytest.approx(80.0 / 4, rel=0.15)
    assert decision.limit < 4.0 * (58 / 80) ** 0.6


def test_a_task_that_finds_the_database_loaded_moves_towards_its_share() -> None:
    """Where others were first, it grows slightly inside the dead band, as every small task does."""
    _, decisions = run(GovernorState.at_start(OPTIONS), range(300), lambda at, limit: busy(at, limit, 57.0))
    assert decisions[-1].reason == "sharing"
    assert 0.1 < decisions[-1].limit < 0.7
