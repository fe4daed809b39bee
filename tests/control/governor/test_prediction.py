"""The parts of the governor's law: ceiling, memory, prediction, step, time of a row."""

from __future__ import annotations

import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from subscriber.control.governor.memory import WINDOW_SECONDS, RowTime, WindowedMin, Work, work_between
from subscriber.control.governor.prediction import Mean, Prediction, RowCost, demand_percent, memory_seconds, predict
from subscriber.control.governor.setpoints import ceiling_percent, urgency_of
from subscriber.control.governor.step import confirmed_error, needs_step, shared, stepped_down, stepped_up
from tests.control.readings import OPTIONS


@pytest.mark.parametrize(
    ("lag", "urgency", "ceiling"),
    [(0, 0, 60), (10, 0, 60), (155, 0.5, 72.5), (300, 1, 85), (1e9, 1, 85), (math.nan, 0, 60), (math.inf, 0, 60)],
)
def test_the_ceiling_follows_the_lag(lag: float, urgency: float, ceiling: float) -> None:
    """The target up to the lag's target, the maximum from its maximum on, a straight line between."""
    found = urgency_of(lag, 10, 300)
    assert [found, ceiling_percent(60, 85, found)] == pytest.approx([urgency, ceiling])


def test_a_lag_target_that_is_the_maximum_is_a_switch() -> None:
    """There is no division by zero."""
    assert (urgency_of(10, 10, 10), urgency_of(10.1, 10, 10)) == (0.0, 1.0)


def work(ended_at: float, used: float) -> Work:
    """One second of work."""
    return Work(
        ended_at=ended_at, seconds=1.0, used=used, long_run_used=used, limit=2 * used, rows_per_second=10 * used
    )


def test_work_counts_by_its_overlap_with_the_window() -> None:
    """A window may begin and end within a second."""
    past = tuple(work(at, at) for at in (1.0, 2.0, 3.0, 4.0))
    found = work_between(past, 1.5, 3.25)
    used = (0.5 * 2 + 3 + 0.25 * 4) / 1.75
    assert found is not None
    assert msgspec.structs.astuple(found) == pytest.approx((used, used, 2 * used, 10 * used))


def test_a_mostly_forgotten_window_is_unknown() -> None:
    """Unless at least half of it is in memory."""
    past = (work(10.0, 1.0),)
    assert work_between(past, 7.5, 10) is None
    assert work_between(past, 8.5, 10) is not None
    assert work_between((), 0, 1) is None


@given(st.lists(st.tuples(st.floats(0, 1000), st.floats(0, 100)), min_size=1))
def test_a_windowed_minimum_expires(samples: list[tuple[float, float]]) -> None:
    """It is the minimum of the last one to three periods."""
    least, now, seen = WindowedMin(), 0.0, []
    for value, pause in samples:
        now += pause
        least = least.with_sample(value, now)
        seen.append((now, value))
        young = min(each for at, each in seen if now - at < WINDOW_SECONDS)
        known = min(each for at, each in seen if now - at < 3 * WINDOW_SECONDS)
        assert known <= least.value <= young


def mean(cpu: float, *, used: float = 2.0, long_run_used: float = 2.0, limit: float = 2.0, rows: float = 100.0) -> Mean:
    """A mean reading and the work that caused it."""
    return Mean(1.0, cpu, used, long_run_used, limit, rows)


COSTS_ONE_POINT_IN_TWO = RowCost(least=WindowedMin(0.5, 0.5, 0.0))


def test_only_our_own_part_is_scaled() -> None:
    """100 rows a second explain 50 of 60 points; the other 10 stay when the limit doubles."""
    found = predict(mean(60.0), COSTS_ONE_POINT_IN_TWO, 1.0, 4.0, 60.0)
    assert (found.own_percent, found.external_percent, found.cpu_percent) == pytest.approx((100.0, 10.0, 110.0))


def test_at_most_a_third_counts_as_external() -> None:
    """Otherwise a fleet that corrects together would oscillate."""
    found = predict(mean(90.0, rows=20.0), COSTS_ONE_POINT_IN_TWO, 1.0, 2.0, 90.0)
    assert found.external_percent == pytest.approx(30.0)


def test_without_a_known_row_cost_all_load_is_ours() -> None:
    """The safe direction: growth is slower than it could be."""
    assert predict(mean(60.0), RowCost(), 1.0, 4.0, 60.0).cpu_percent == pytest.approx(120.0)


def test_growth_uses_the_more_expensive_of_two_estimates() -> None:
    """The concurrency that was used may be below its long-run mean; it counts as at least half of that."""
    found = predict(mean(20.0, used=0.1, long_run_used=0.4, limit=0.4), RowCost(), 1.0, 0.4, 20.0)
    assert (found.cpu_percent, found.own_at_most_percent) == pytest.approx((20.0, 40.0))


def test_the_demand_on_a_full_database_follows_the_row_time() -> None:
    """Up to four times, and only where the database is saturated."""
    found = [demand_percent(100, 2.5), demand_percent(100, 50), demand_percent(80, 2.5), demand_percent(100, 0.9)]
    assert found == [250, 400, 80, 100]


def test_a_duty_cycle_is_averaged_over_several_of_its_periods() -> None:
    """Five writes of 0.2 s at a duty cycle of a twentieth take twenty seconds."""
    assert memory_seconds(0.05, 0.2) == pytest.approx(20.0)


@given(limit=st.floats(0.05, 8), own=st.floats(0.1, 400), external=st.floats(0, 100))
def test_a_step_is_bounded_and_goes_the_right_way(limit: float, own: float, external: float) -> None:
    """Half to one and a half times, up to four at the start; a step down never raises, one up never lowers."""
    prediction = Prediction(own, external, own, 0.0, is_measured=True)
    assert limit / 2 <= stepped_down(limit, prediction, 58) <= limit
    assert limit <= stepped_up(limit, prediction, 58, 58) <= 1.5 * limit
    assert limit <= stepped_up(limit, prediction, 58, 0) <= 4 * limit


def test_a_slow_start_is_as_fast_as_its_cost_is_known() -> None:
    """The sensor's scaled error shortens the step; a larger mean ends the slow start."""
    well, badly = (Prediction(2.0, 0.0, 2.0, error, is_measured=True) for error in (1.0, 12.0))
    assert stepped_up(1.0, well, 58, 2.0) == 4.0
    assert stepped_up(1.0, badly, 58, 2.0) == pytest.approx((58 / 14) ** 0.6)
    assert stepped_up(1.0, well, 58, 40.0) == 1.5


def test_the_sensors_error_scales_with_the_limit() -> None:
    """Four times the limit of the window means four times the error."""
    mean = Mean(1.0, 2.0, 0.25, 0.25, 0.25, 1000.0)
    assert predict(mean, RowCost(), 1.0, 1.0, 2.0).uncertainty_percent == pytest.approx(4 * 3.0)
    assert predict(mean, RowCost(), 1.0, 0.25, 2.0).uncertainty_percent == pytest.approx(3.0)


def test_a_large_or_confirmed_error_needs_a_step() -> None:
    """One reading does not confirm an error of three points, four in a row do."""
    assert not needs_step(3.0, confirmed_error(0.0, 3.0, 1.0))
    assert needs_step(7.0, confirmed_error(0.0, 7.0, 1.0))
    confirmed = 0.0
    for _ in range(4):
        confirmed = confirmed_error(confirmed, 3.0, 1.0)
    assert needs_step(3.0, confirmed)
    assert needs_step(3.0, confirmed_error(0.0, 3.0, 60.0)), "a window of a minute confirms itself"


@given(limit=st.floats(0.05, 8))
def test_shares_drift_to_the_middle_of_the_bounds(limit: float) -> None:
    """Never beyond it, and by a few percent at most."""
    middle = math.sqrt(0.05 * 8)
    found = shared(limit, OPTIONS, 0.5, 60.0)
    assert min(limit, middle) * (1 - 1e-9) <= found <= max(limit, middle) * (1 + 1e-9)
    assert abs(math.log(found / limit)) <= 0.2 + 1e-9


def test_a_share_shrinks_only_while_the_cpu_is_high() -> None:
    """Above the middle it shrinks only while the CPU is slightly high; below the middle it grows at any CPU."""
    assert shared(4.0, OPTIONS, -0.5, 1.0) == 4.0
    assert shared(4.0, OPTIONS, 0.5, 1.0) < 4.0
    assert shared(0.1, OPTIONS, -0.5, 1.0) == shared(0.1, OPTIONS, 0.5, 1.0) > 0.1


def test_the_time_of_a_row_is_compared_with_the_longer_of_two_bests() -> None:
    """A small batch is not slow because it has few rows, nor a large one because it has many; a slow one is."""
    time = RowTime().with_statements(0.01, 100.0, 0.0).with_statements(0.1, 1000.0, 1.0).with_statements(0.01, 1.0, 2.0)
    assert time.ratio == pytest.approx(1.0)
    assert time.with_statements(0.3, 1000.0, 3.0).ratio == pytest.approx(1.0 + 0.4 * 2)
    assert time.with_statements(None, 0.0, 4.0) == time
