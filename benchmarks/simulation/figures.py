"""Figures of a span of a run, computed second by second from the true values, not from the sensor's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Final

from benchmarks.simulation.controller import Bounds
from benchmarks.simulation.record import Record, Second
from benchmarks.simulation.scenario import Expectation, Figure

BAND_POINTS: Final = 7.0
"""Distance from the ceiling within which it counts as held."""

STABLE_SECONDS: Final = 10
"""A condition that holds for so long counts as lasting."""

LINGER_LAG_SECONDS: Final = 1.0
"""A lag beyond this is more than the linger time of a batch."""

MEAN_SECONDS: Final = 3

NEVER: Final = float("inf")

Span = Sequence[Second]


def value_of(expectation: Expectation, record: Record) -> float:
    """The value of the figure that the expectation is about."""
    span = [each for each in record.seconds if expectation.from_seconds < each.at <= expectation.to_seconds]
    return FIGURES[expectation.figure](span, record.bounds)


def errors(span: Span, bounds: Bounds) -> list[float]:
    """CPU minus ceiling in percentage points, each as the mean of the last three seconds of the span.

    In shorter means, statements that happen to start together look like an error of the controller. The ceiling of a
    second is the higher of those at its start and end: a ceiling that falls when the queue becomes empty was not in
    force before.
    """
    ceilings = [each.ceiling_percent(bounds) for each in span]
    allowed = [max(pair) for pair in pairwise([ceilings[0], *ceilings])]
    found = [each.cpu_percent - ceiling for each, ceiling in zip(span, allowed, strict=True)]
    means = []
    for at in range(1, len(found) + 1):
        recent = found[max(0, at - MEAN_SECONDS) : at]
        means.append(sum(recent) / len(recent))
    return means


def errors_under_load(span: Span, bounds: Bounds) -> list[float]:
    """The errors of the seconds with a backlog: an idle database is below any ceiling."""
    pairs = zip(errors(span, bounds), span, strict=True)
    return [error for error, each in pairs if each.lag_seconds > LINGER_LAG_SECONDS]


def within_band_share(span: Span, bounds: Bounds) -> float:
    """Share of the time under load, 0 to 1, in which the CPU is near its ceiling."""
    found = errors_under_load(span, bounds)
    return sum(abs(error) <= BAND_POINTS for error in found) / len(found)


def settling_seconds(span: Span, bounds: Bounds) -> float:
    """Seconds from the start of the span until the CPU is near its ceiling and stays there."""
    return _first_stable_or_never([abs(error) <= BAND_POINTS for error in errors(span, bounds)])


def back_in_band_seconds(span: Span, bounds: Bounds) -> float:
    """Seconds from the start of the span until the CPU is no longer above the band, for good."""
    return _first_stable_or_never([error <= BAND_POINTS for error in errors(span, bounds)])


def overshoot_points(span: Span, bounds: Bounds) -> float:
    """The largest excess of the CPU over its ceiling; 0: none."""
    return max(0.0, *errors(span, bounds))


def peak_to_peak_points(span: Span, bounds: Bounds) -> float:
    """The range of the distances from the ceiling under load."""
    found = errors_under_load(span, bounds)
    return max(found) - min(found)


def mean_percent(span: Span, bounds: Bounds) -> float:
    """Mean CPU, percent."""
    del bounds
    return sum(each.cpu_percent for each in span) / len(span)


def fairness(span: Span, bounds: Bounds) -> float:
    """Jain's index of the limits at the end of the span: 1 if all are equal, 1 ÷ n if one task has everything.

    R. Jain, D. Chiu and W. Hawe, "A Quantitative Measure of Fairness and Discrimination", DEC-TR-301, 1984.
    """
    del bounds
    limits = span[-1].limits
    return sum(limits) ** 2 / (len(limits) * sum(limit**2 for limit in limits))


def limit_at_most(span: Span, bounds: Bounds) -> float:
    """The largest sum of the limits of all tasks."""
    del bounds
    return max(sum(each.limits) for each in span)


def lag_at_most_seconds(span: Span, bounds: Bounds) -> float:
    """The largest age of the oldest visible message."""
    del bounds
    return max(each.lag_seconds for each in span)


def stored_per_second(span: Span, bounds: Bounds) -> float:
    """Mean rows stored per second."""
    del bounds
    return (span[-1].stored - span[0].stored) / (len(span) - 1)


FIGURES: Final[Mapping[Figure, Callable[[Span, Bounds], float]]] = {
    "within_band_share": within_band_share,
    "settling_seconds": settling_seconds,
    "back_in_band_seconds": back_in_band_seconds,
    "overshoot_points": overshoot_points,
    "peak_to_peak_points": peak_to_peak_points,
    "mean_percent": mean_percent,
    "fairness": fairness,
    "limit_at_most": limit_at_most,
    "lag_at_most_seconds": lag_at_most_seconds,
    "stored_per_second": stored_per_second,
}


def first_stable(flags: Sequence[bool]) -> int | None:
    """Seconds before the first run of true flags that lasts STABLE_SECONDS; None: there is no such run."""
    length = 0
    for number, flag in enumerate(flags):
        length = length + 1 if flag else 0
        if length == STABLE_SECONDS:
            return number + 1 - STABLE_SECONDS
    return None


def _first_stable_or_never(flags: Sequence[bool]) -> float:
    found = first_stable(flags)
    return NEVER if found is None else found
