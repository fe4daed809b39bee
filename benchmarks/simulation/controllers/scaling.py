"""Lambda's scaling of an SQS event source: by the backlog alone."""

from __future__ import annotations

from typing import Final

from benchmarks.simulation.controller import Bounds, ControllerSpec, clamped
from subscriber.control.reading import Reading

BATCHES_AT_START: Final = 5
BATCHES_PER_MINUTE: Final = 300
BATCHES_AT_MOST: Final = 1250


class BacklogScaling:
    """Adds concurrent batches while messages wait; returns to the initial number when none do."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._taken_at: float | None = None
        self.limit = clamped(BATCHES_AT_START, bounds)

    def decide(self, reading: Reading) -> float:
        """Adds the allowance of a minute evenly over the minute."""
        seconds = 0.0 if self._taken_at is None else reading.taken_at - self._taken_at
        self._taken_at = reading.taken_at
        grown = min(float(BATCHES_AT_MOST), self.limit + BATCHES_PER_MINUTE / 60 * seconds)
        self.limit = clamped(grown if reading.backlog_messages else BATCHES_AT_START, self._bounds)
        return self.limit


SPEC: Final = ControllerSpec(
    "Lambda scaling",
    "AWS Lambda Developer Guide, 'Configuring scaling behavior for SQS event source mappings': starts with 5 "
    "concurrent batches, adds up to 300 a minute while messages are there, at most 1,250; the growth is spread over "
    "the minute, and the operator's largest limit is used as MaximumConcurrency",
    BacklogScaling,
)
