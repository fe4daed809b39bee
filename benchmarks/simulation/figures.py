"""Figures of a span of a run: what an engineer would read off the curves. From the truth, second by second."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Final

from benchmarks.simulation.controller import Bounds
from benchmarks.simulation.record import Record, Second
from benchmarks.simulation.scenario import Expectation, Figure

BAND_POINTS: Final = 7.0
"""So near to the ceiling counts as held."""

STAYS_SECONDS: Final = 10
"""Settled is what stays in the band for so long."""

WAITS_SECONDS: Final = 1.0
"""A lag beyond this is more than the lingering of a batch."""

SHORT_SECONDS: Final = 3

NEVER: Final = float("inf")

Span = Sequence[Second]


def value_of(expectation: Expectation, record: Record) -> float:
    """The figure that a scenario expects something of."""
    span = [each for each in record.seconds if expectation.from_seconds < each.at <= expectation.to_seconds]
    return FIGURES[expectation.figure](span, record.bounds)


def errors(span: Span, bounds: Bounds) -> list[float]:
    """CPU less ceiling, points, each a mean of the last three seconds of the span.

    Shorter than that, statements that happen to begin together look like a mistake of the law. The ceiling of a second
    is the higher of those at its begin and at its end: one that falls with an empty queue was not in force before.
    """
    ceilings = [each.ceiling_percent(bounds) for each in span]
    allowed = [max(pair) for pair in pairwise([ceilings[0], *ceilings])]
    found = [each.cpu_percent - ceiling for each, ceiling in zip(span, allowed, strict=True)]
    means = []
    for at in range(1, len(found) + 1):
        recent = found[max(0, at - SHORT_SECONDS) : at]
        means.append(sum(recent) / len(recent))
    return means


def errors_under_load(span: Span, bounds: Bounds) -> list[float]:
    """Those of the seconds in which there is more to do than is done: an idle database is below any ceiling."""
    pairs = zip(errors(span, bounds), span, strict=True)
    return [error for error, each in pairs if each.lag_seconds > WAITS_SECONDS]


def within_band_share(span: Span, bounds: Bounds) -> float:
    """Part of the time under load, 0 to 1, in which the CPU is near its ceiling."""
    found = errors_under_load(span, bounds)
    return sum(abs(error) <= BAND_POINTS for error in found) / len(found)


def settling_seconds(span: Span, bounds: Bounds) -> float:
    """From the begin of the span until the CPU is near its ceiling, and stays there."""
    return _first_run([abs(error) <= BAND_POINTS for error in errors(span, bounds)])


def back_in_band_seconds(span: Span, bounds: Bounds) -> float:
    """From the begin of the span until the CPU is no longer above the band, and stays so."""
    return _first_run([error <= BAND_POINTS for error in errors(span, bounds)])


def overshoot_points(span: Span, bounds: Bounds) -> float:
    """How far above its ceiling the CPU was at most; 0: never."""
    return max(0.0, *errors(span, bounds))


def peak_to_peak_points(span: Span, bounds: Bounds) -> float:
    """Between the largest and the smallest distance from the ceiling, under load."""
    found = errors_under_load(span, bounds)
    return max(found) - min(found)


def mean_percent(span: Span, bounds: Bounds) -> float:
    """CPU on average."""
    del bounds
    return sum(each.cpu_percent for each in span) / len(span)


def fairness(span: Span, bounds: Bounds) -> float:
    """Jain's index of the limits at the end of the span: 1 where all are equal, 1 ÷ n where one has everything.

    R. Jain, D. Chiu and W. Hawe, "A Quantitative Measure of Fairness and Discrimination", DEC-TR-301, 1984.
    """
    del bounds
    limits = span[-1].limits
    return sum(limits) ** 2 / (len(limits) * sum(limit**2 for limit in limits))


def lag_at_most_seconds(span: Span, bounds: Bounds) -> float:
    """Age of the oldest message that waited."""
    del bounds
    return max(each.lag_seconds for each in span)


def stored_per_second(span: Span, bounds: Bounds) -> float:
    """Rows."""
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
    "lag_at_most_seconds": lag_at_most_seconds,
    "stored_per_second": stored_per_second,
}


def _first_run(flags: Sequence[bool]) -> float:
    """Seconds before the first run of flags that is long enough."""
    length = 0
    for number, flag in enumerate(flags):
        length = length + 1 if flag else 0
        if length == STAYS_SECONDS:
            return number + 1 - STAYS_SECONDS
    return NEVER
