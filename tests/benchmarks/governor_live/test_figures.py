"""Control figures, each checked on a series that was made to show it."""

from __future__ import annotations

import pytest

from benchmarks.governor_live import metrics, series
from benchmarks.governor_live.run import NEIGHBOR_STARTS, NEIGHBOR_STOPS, control_figures
from benchmarks.governor_live.series import Second
from tests.benchmarks.governor_live.runs import CEILING, SAMPLES, samples


def test_a_second_holds_differences_between_samples() -> None:
    """CPU is the share of the database's cores used in the second; rows are those stored in it."""
    seconds = series.seconds_of(samples(lambda at: 80 if at >= 10 else 20, seconds=20), cores=2)
    assert [round(each.cpu_percent) for each in seconds] == [10] * 10 + [40] * 10
    assert seconds[-1].rows == pytest.approx(0.8e6 / 150)


def test_a_mean_is_of_five_seconds() -> None:
    """A step is fully visible after five seconds and partly before."""
    mean = series.smoothed(series.seconds_of(samples(lambda at: 50 if at >= 10 else 0, seconds=20), cores=1))
    assert [round(each.cpu_percent) for each in mean[8:16]] == [0, 0, 10, 20, 30, 40, 50, 50]


def test_a_perfect_run() -> None:
    """At the ceiling from the first second: settled at once, always in the band, never above, as fast as fixed."""
    found = control_figures(SAMPLES, 1)
    assert found["settling_seconds"] == 0
    assert found["overshoot_points"] == pytest.approx(0, abs=1e-6)
    assert (found["within_band_share"], found["within_band_share_raw"]) == (1, 1)
    assert found["rate_to_fixed"] == pytest.approx(1)
    assert found["neighbor_back_under_seconds"] is not None


def test_a_slow_start_and_a_neighbor() -> None:
    """Ten seconds of ramp-up, then held; thirty points too much for eight seconds after the neighbor starts."""

    def busy(at: float) -> float:
        if at < 10:
            return 0
        return CEILING + 30 if NEIGHBOR_STARTS <= at < NEIGHBOR_STARTS + 8 else CEILING - 1

    found = control_figures(samples(busy), 1)
    assert found["settling_seconds"] == 14  # a mean of five seconds is in the band once 90 % of it is
    assert found["neighbor_overshoot_points"] == pytest.approx(30)
    assert found["neighbor_back_under_seconds"] == pytest.approx(12)
    assert found["share_regained_seconds"] == 1
    assert found["rate_to_fixed"] == pytest.approx(80 / 90, abs=0.001)


def test_still_under_the_ceiling_is_not_back() -> None:
    """Below in the first second with the neighbor, above until the eighth: the result is eight, not zero."""

    def with_neighbor(*errors: float) -> list[Second]:
        return [Second(float(at), CEILING + error, CEILING, 0.0, 1.0, 0.0) for at, error in enumerate(errors, 1)]

    assert metrics.back_under_seconds(with_neighbor(-1, *[5] * 7, *[-1] * 20)) == 8
    assert metrics.back_under_seconds(with_neighbor(*[-1] * 28)) == 0
    assert metrics.back_under_seconds(with_neighbor(-1, *[8] * 5, *[5] * 3, *[-1] * 20)) == 9
    assert metrics.back_under_seconds(with_neighbor(*[5] * 28)) is None


def test_a_state_that_is_never_reached_is_none() -> None:
    """A database at 100 % all the time is never near its ceiling and never yields to the neighbor."""
    found = control_figures(samples(lambda _: 100), 1)
    assert (found["settling_seconds"], found["neighbor_back_under_seconds"]) == (None, None)
    assert found["within_band_share"] == 0
    assert found["overshoot_points"] == pytest.approx(40)


def test_regained_is_nine_tenths_of_before() -> None:
    """The first second in which so many rows are stored counts."""
    found = series.between(series.seconds_of(samples(lambda at: min(50, at)), cores=1), 0, NEIGHBOR_STOPS)
    rate = 0.5e6 / 150
    assert metrics.regained_seconds(found, rate) == pytest.approx(46)
    assert metrics.regained_seconds(found, 2 * rate) is None
