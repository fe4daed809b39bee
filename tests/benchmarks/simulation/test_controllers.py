"""The published controllers: each does what its source says, tested where its constants matter."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from benchmarks.simulation.controller import GOVERNOR, Bounds, Controller, ControllerSpec
from benchmarks.simulation.controllers.elasticgraph import CpuDeadBand
from benchmarks.simulation.controllers.gitlab import DatabaseThrottling
from benchmarks.simulation.controllers.netflix import Aimd, Gradient2
from benchmarks.simulation.controllers.registry import PUBLISHED
from benchmarks.simulation.controllers.scaling import BacklogScaling
from benchmarks.simulation.controllers.sui import FillBand
from benchmarks.simulation.controllers.vector import AdaptiveRequestConcurrency
from subscriber.control.reading import Reading
from subscriber.signals import LoadReading

WIDE = Bounds(limit_at_most=1000)


def reading(
    second: float,
    *,
    cpu: float | None = None,
    seconds: float | None = 0.1,
    failures: int = 0,
    used: float = 1000.0,
    backlog: int = 1,
) -> Reading:
    """One second under load."""
    load = None if cpu is None else LoadReading(cpu, second, 1.0)
    return Reading(second, 1000.0, seconds, failures, used, limit_reached=True, backlog_messages=backlog, load=load)


def limits(controller: Controller, readings: Iterable[Reading]) -> list[float]:
    """The limit after each reading."""
    return [controller.decide(each) for each in readings]


def test_lambda_starts_with_five_and_adds_three_hundred_a_minute() -> None:
    """It grows up to 1,250, and returns to five when nothing waits."""
    controller = BacklogScaling(Bounds(limit_at_most=5000))
    found = limits(controller, (reading(second) for second in range(400)))
    assert [found[0], found[60], found[-1]] == pytest.approx([5, 305, 1250])
    assert controller.decide(reading(400, backlog=0)) == 5


def test_vector_adds_one_and_cuts_a_tenth() -> None:
    """+ 1 while times are not above their mean; × 0.9, rounded down, beyond 2.5 deviations or after a failure."""
    controller = AdaptiveRequestConcurrency(WIDE)
    assert limits(controller, (reading(second) for second in range(20)))[-1] == 21
    assert controller.decide(reading(20, seconds=5.0)) == 18
    assert controller.decide(reading(30, failures=1)) == 16


def test_aimd_adds_one_while_half_is_in_use_and_cuts_a_tenth_on_a_timeout() -> None:
    """It starts at twenty."""
    controller = Aimd(WIDE)
    assert limits(controller, [reading(0), reading(1), reading(2, used=1)]) == [21, 22, 22]
    assert limits(controller, [reading(3, seconds=5.1), reading(4, failures=1)]) == [19, 17]


def test_gradient2_grows_by_its_queue_and_shrinks_when_times_grow() -> None:
    """A fifth of the way to limit + 4; with times far above their long-term mean, to half of it + 4."""
    controller = Gradient2(WIDE)
    assert limits(controller, [reading(0)]) == [20]
    assert limits(controller, (reading(second) for second in range(1, 10)))[-1] == 28
    assert controller.decide(reading(10, seconds=100.0)) < 28
    assert controller.decide(reading(11, used=0)) == controller.limit


def test_elasticgraph_changes_once_a_minute_and_not_inside_its_band() -> None:
    """× 1.5 below the band, in proportion above it, two when nothing waits."""
    controller = CpuDeadBand(Bounds(limit_at_most=1000, limit_at_least=1))
    assert controller.decide(reading(0, cpu=10)) == 2
    assert limits(controller, [reading(60, cpu=10), reading(90, cpu=10), reading(120, cpu=70)]) == [3, 3, 3]
    assert controller.decide(reading(180, cpu=100)) == pytest.approx(2)
    assert controller.decide(reading(240, cpu=10, backlog=0)) == 2


def test_gitlab_cuts_a_fifth_or_a_half_and_adds_a_tenth() -> None:
    """It decides by the samples of the minute."""
    controller = DatabaseThrottling(Bounds(limit_at_most=100))

    def minute(number: int, cpu: float) -> float:
        return limits(controller, (reading(60 * number + second, cpu=cpu) for second in range(61)))[-1]

    assert minute(0, 70) == 80
    assert minute(1, 100) == 40
    assert minute(2, 10) == 44


def test_sui_cuts_by_severity_once_per_epoch_and_grows_by_the_logarithm() -> None:
    """× 0.8 at the edge of the band, × 0.5 when full; no change inside the band."""
    controller = FillBand(Bounds(limit_at_most=1000))
    assert limits(controller, (reading(second, cpu=10) for second in range(19)))[-1] == 29
    assert controller.decide(reading(20, cpu=70)) == 29
    assert controller.decide(reading(21, cpu=100, seconds=2.0)) == 14
    assert controller.decide(reading(22, cpu=100, seconds=2.0)) == 14
    assert controller.decide(reading(24, cpu=85, seconds=2.0)) == 11


@pytest.mark.parametrize("spec", [GOVERNOR, *PUBLISHED], ids=lambda spec: spec.name)
def test_every_controller_keeps_the_operators_bounds_and_names_its_source(spec: ControllerSpec) -> None:
    """From the start, and for any reading."""
    bounds = Bounds(limit_at_least=0.5, limit_at_most=3)
    controller = spec.make(bounds)
    assert len(spec.source) > 20
    assert 0.5 <= controller.limit <= 3
    for second in range(200):
        seen = reading(second, cpu=second % 101, seconds=0.01 * (second % 30), failures=second % 37 == 0)
        assert 0.5 <= controller.decide(seen) <= 3
