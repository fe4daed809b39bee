"""Vector's adaptive request concurrency: additive increase, multiplicative decrease on round-trip time and errors."""

from __future__ import annotations

import math
from typing import Final

from benchmarks.simulation.controller import Bounds, ControllerSpec, clamped
from subscriber.control.reading import Reading

INITIAL: Final = 1
AT_MOST: Final = 200
DECREASE_RATIO: Final = 0.9
EWMA_ALPHA: Final = 0.4
RTT_DEVIATION_SCALE: Final = 2.5


class AdaptiveRequestConcurrency:
    """One decision per round trip: up by one if the limit was reached and times are not above their mean."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._limit = INITIAL
        self._mean: float | None = None
        self._variance = 0.0
        self._next_at = 0.0
        self._reached = False
        self._pushed_back = False

    @property
    def limit(self) -> float:
        """Whole permits."""
        return clamped(self._limit, self._bounds)

    def decide(self, reading: Reading) -> float:
        """Decides at most once per mean round trip, and only with new samples."""
        self._reached |= reading.limit_reached
        self._pushed_back |= reading.failures > 0
        seconds = reading.statement_seconds
        if (seconds is None and not self._pushed_back) or reading.taken_at < self._next_at:
            return self.limit
        self._change_limit(seconds)
        if seconds is not None:
            self._remember(seconds)
        self._next_at = reading.taken_at + (self._mean or 0.0)
        self._reached = self._pushed_back = False
        return self.limit

    def _change_limit(self, seconds: float | None) -> None:
        mean = self._mean
        is_slow = (
            seconds is not None
            and mean is not None
            and seconds >= mean + RTT_DEVIATION_SCALE * math.sqrt(self._variance)
            and seconds > mean
        )
        if self._pushed_back or is_slow:
            self._limit = max(1, math.floor(self._limit * DECREASE_RATIO))
        elif self._reached and (seconds is None or mean is None or seconds <= mean):
            self._limit = min(AT_MOST, math.floor(self._bounds.limit_at_most), self._limit + 1)

    def _remember(self, seconds: float) -> None:
        """Updates mean and variance, both exponentially weighted."""
        if self._mean is None:
            self._mean = seconds
            return
        difference = seconds - self._mean
        self._mean += EWMA_ALPHA * difference
        self._variance = (1 - EWMA_ALPHA) * (self._variance + EWMA_ALPHA * difference**2)


SPEC: Final = ControllerSpec(
    "Vector ARC",
    "vectordotdev/vector, src/sinks/util/adaptive_concurrency at c3445d4: initial 1, +1 if the limit was reached and "
    "the time of the interval is not above its mean, ×0.9 on back-pressure or beyond mean + 2.5 deviations, EWMA 0.4; "
    "the interval is a round trip, but never shorter than the second between two readings",
    AdaptiveRequestConcurrency,
)
