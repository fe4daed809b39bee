"""GitLab's Sidekiq throttling: by the time that jobs spend in the database, and by their dominance of its sessions."""

from __future__ import annotations

from collections import deque
from typing import Final

from benchmarks.simulation.controller import Bounds, ControllerSpec, clamped
from subscriber.control.reading import Reading

SOFT: Final = 0.8
HARD: Final = 0.5
RECOVERY: Final = 1.1
AT_LEAST: Final = 1.0
PERIOD_SECONDS: Final = 60.0
SAMPLE_SECONDS: Final = 15.0
SAMPLES_AT_LEAST: Final = 4


class DatabaseThrottling:
    """Over quota: × 0.8. Over quota and dominant: × 0.5. Otherwise up by a tenth, at least by one. Once a minute."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._next_at: float | None = None
        self._sample_at = 0.0
        self._samples: deque[float] = deque(maxlen=SAMPLES_AT_LEAST)
        self.limit = bounds.limit_at_most

    def decide(self, reading: Reading) -> float:
        """Takes a sample every 15 s, changes the limit once a minute."""
        if self._next_at is None:
            self._next_at = reading.taken_at + PERIOD_SECONDS
        if reading.load is not None and reading.taken_at >= self._sample_at:
            self._sample_at = reading.taken_at + SAMPLE_SECONDS
            self._samples.append(reading.load.cpu_percent)
        if reading.taken_at >= self._next_at and len(self._samples) >= SAMPLES_AT_LEAST:
            self._next_at = reading.taken_at + PERIOD_SECONDS
            self.limit = clamped(max(AT_LEAST, self._moved()), self._bounds)
        return self.limit

    def _moved(self) -> float:
        over_quota = sum(self._samples) / len(self._samples) > self._bounds.cpu_target_percent
        dominated = sum(sample > self._bounds.cpu_max_percent for sample in self._samples) * 2 > len(self._samples)
        if over_quota and dominated:
            return self.limit * HARD
        if over_quota:
            return self.limit * SOFT
        return max(self.limit + 1, self.limit * RECOVERY)


SPEC: Final = ControllerSpec(
    "GitLab throttling",
    "gitlabhq/gitlabhq, sidekiq_middleware/throttling: soft ×0.8, hard ×0.5, floor 1, recovery max(+1, ×1.1), once a "
    "minute; samples every 15 s, at least 4. Its quota of database seconds a minute is translated to the CPU target, "
    "its dominance of sessions to most samples above the maximum; jobs start unthrottled",
    DatabaseThrottling,
)
