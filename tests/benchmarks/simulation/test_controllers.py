"""The published laws: each does what its source says, at the places where its constants show."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from benchmarks.simulation.controller import GOVERNOR, Bounds, Policy
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


def limits(policy: Policy, readings: Iterable[Reading]) -> list[float]:
    """What it says to each."""
    return [policy.decide(each) for each in readings]


def test_lambda_starts_with_five_and_adds_three_hundred_a_minute() -> None:
    """Up to 1,250; back to five when nothing waits."""
    law = BacklogScaling(Bounds(limit_at_most=5000))
    found = limits(law, (reading(second) for second in range(400)))
    assert [found[0], found[60], found[-1]] == pytest.approx([5, 305, 1250])
    assert law.decide(reading(400, backlog=0)) == 5


def test_vector_adds_one_and_takes_a_tenth() -> None:
    """One while times are not above their mean; nine tenths, rounded down, beyond 2.5 deviations or on a failure."""
    law = AdaptiveRequestConcurrency(WIDE)
    assert limits(law, (reading(second) for second in range(20)))[-1] == 21
    assert law.decide(reading(20, seconds=5.0)) == 18
    assert law.decide(reading(30, failures=1)) == 16


def test_aimd_adds_one_while_half_is_in_use_and_takes_a_tenth_on_a_timeout() -> None:
    """From twenty."""
    law = Aimd(WIDE)
    assert limits(law, [reading(0), reading(1), reading(2, used=1)]) == [21, 22, 22]
    assert limits(law, [reading(3, seconds=5.1), reading(4, failures=1)]) == [19, 17]


def test_gradient2_grows_by_its_queue_and_shrinks_when_times_grow() -> None:
    """A fifth of the way to limit + 4; with times far above their long mean to half of it + 4."""
    law = Gradient2(WIDE)
    assert limits(law, [reading(0)]) == [20]
    assert limits(law, (reading(second) for second in range(1, 10)))[-1] == 28
    assert law.decide(reading(10, seconds=100.0)) < 28
    assert law.decide(reading(11, used=0)) == law.limit


def test_elasticgraph_moves_once_a_minute_and_not_inside_its_band() -> None:
    """Half again below the band, in proportion above it, two when nothing waits."""
    law = CpuDeadBand(Bounds(limit_at_most=1000, limit_at_least=1))
    assert law.decide(reading(0, cpu=10)) == 2
    assert limits(law, [reading(60, cpu=10), reading(90, cpu=10), reading(120, cpu=70)]) == [3, 3, 3]
    assert law.decide(reading(180, cpu=100)) == pytest.approx(2)
    assert law.decide(reading(240, cpu=10, backlog=0)) == 2


def test_gitlab_takes_a_fifth_or_a_half_and_gives_a_tenth() -> None:
    """By the samples of the minute."""
    law = DatabaseThrottling(Bounds(limit_at_most=100))

    def minute(number: int, cpu: float) -> float:
        return limits(law, (reading(60 * number + second, cpu=cpu) for second in range(61)))[-1]

    assert minute(0, 70) == 80
    assert minute(1, 100) == 40
    assert minute(2, 10) == 44


def test_sui_cuts_by_severity_once_per_epoch_and_grows_by_the_logarithm() -> None:
    """Eight tenths at the band's edge, half when full; between them nothing."""
    law = FillBand(Bounds(limit_at_most=1000))
    assert limits(law, (reading(second, cpu=10) for second in range(19)))[-1] == 29
    assert law.decide(reading(20, cpu=70)) == 29
    assert law.decide(reading(21, cpu=100, seconds=2.0)) == 14
    assert law.decide(reading(22, cpu=100, seconds=2.0)) == 14
    assert law.decide(reading(24, cpu=85, seconds=2.0)) == 11


@pytest.mark.parametrize("law", [GOVERNOR, *PUBLISHED], ids=lambda law: law.name)
def test_every_law_keeps_the_operators_bounds_and_names_its_source(law: object) -> None:
    """From the first moment, and whatever is read."""
    found = next(each for each in (GOVERNOR, *PUBLISHED) if each is law)
    bounds = Bounds(limit_at_least=0.5, limit_at_most=3)
    policy = found.make(bounds)
    assert len(found.source) > 20
    assert 0.5 <= policy.limit <= 3
    for second in range(200):
        seen = reading(second, cpu=second % 101, seconds=0.01 * (second % 30), failures=second % 37 == 0)
        assert 0.5 <= policy.decide(seen) <= 3
