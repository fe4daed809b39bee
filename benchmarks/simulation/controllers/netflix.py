"""Netflix's concurrency-limits: AIMD by a timeout, and Gradient2 by the ratio of long and short round-trip times."""

from __future__ import annotations

import math
from typing import Final

from benchmarks.simulation.controller import Bounds, ControllerSpec, clamped
from subscriber.control.reading import Reading

AT_MOST: Final = 200
INITIAL: Final = 20

AIMD_BACKOFF: Final = 0.9
AIMD_TIMEOUT_SECONDS: Final = 5.0

GRADIENT_SMOOTHING: Final = 0.2
GRADIENT_QUEUE: Final = 4
GRADIENT_TOLERANCE: Final = 1.5
GRADIENT_WINDOW: Final = 600
GRADIENT_WARM_UP: Final = 10
GRADIENT_DRIFT: Final = 0.95


def _most(bounds: Bounds) -> float:
    """The library's upper bound, or the operator's if that is lower."""
    return min(float(AT_MOST), bounds.limit_at_most)


class Aimd:
    """Up by one while at least half is in use, down by a tenth after a drop or a timeout."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._most = _most(bounds)
        self._limit = min(self._most, float(INITIAL))

    @property
    def limit(self) -> float:
        """Whole permits."""
        return clamped(self._limit, self._bounds)

    def decide(self, reading: Reading) -> float:
        """Treats each reading as one sample."""
        seconds = reading.statement_seconds
        if reading.failures or (seconds is not None and seconds > AIMD_TIMEOUT_SECONDS):
            self._limit = max(1.0, min(self._limit - 1, math.floor(self._limit * AIMD_BACKOFF)))
        elif seconds is not None and reading.concurrency_used * 2 >= self._limit:
            self._limit += 1
        self._limit = min(self._most, max(1.0, self._limit))
        return self.limit


class Gradient2:
    """The limit follows `long ÷ short`, the ratio of long-term to current statement time."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._most = _most(bounds)
        self._limit = min(self._most, float(INITIAL))
        self._long_seconds = 0.0
        self._samples = 0

    @property
    def limit(self) -> float:
        """Rounded down, as in the library."""
        return clamped(math.floor(self._limit) or 1, self._bounds)

    def decide(self, reading: Reading) -> float:
        """Treats each reading as one sample; no change while less than half is in use."""
        short = reading.statement_seconds
        if short is None or short <= 0:
            return self.limit
        long = self._long(short)
        if reading.concurrency_used < self._limit / 2:
            return self.limit
        gradient = max(0.5, min(1.0, GRADIENT_TOLERANCE * long / short))
        wanted = self._limit * gradient + GRADIENT_QUEUE
        self._limit += GRADIENT_SMOOTHING * (wanted - self._limit)
        self._limit = min(self._most, max(1.0, self._limit))
        return self.limit

    def _long(self, short: float) -> float:
        """The long-term mean: plain over the first samples, then exponential; lowered when times stay much lower."""
        self._samples += 1
        if self._samples <= GRADIENT_WARM_UP:
            self._long_seconds += (short - self._long_seconds) / self._samples
        else:
            self._long_seconds += 2 / (GRADIENT_WINDOW + 1) * (short - self._long_seconds)
        if self._long_seconds / short > 2:
            self._long_seconds *= GRADIENT_DRIFT
        return self._long_seconds


_SOURCE = (
    "Netflix/concurrency-limits at 78a74b9, initial 20, at most 200, both cut to the operator's bounds; its minimum of "
    "20 is replaced by 1, because it could not change otherwise; "
)
AIMD: Final = ControllerSpec(
    "Netflix AIMD",
    _SOURCE + "+1 while half is in use, ×0.9 on a drop or beyond 5 s; one sample per second instead of one per call",
    Aimd,
)
GRADIENT2: Final = ControllerSpec(
    "Netflix Gradient2",
    _SOURCE + "gradient 0.5 … 1 of tolerance 1.5 × long ÷ short, queue 4, smoothing 0.2, long window 600 samples; one "
    "sample per second instead of one per call",
    Gradient2,
)
