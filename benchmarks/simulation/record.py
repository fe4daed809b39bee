"""The record of a run: one entry per second."""

from __future__ import annotations

import msgspec

from benchmarks.simulation.controller import Bounds
from subscriber.control.governor.setpoints import ceiling_percent, urgency_of


class Second(msgspec.Struct, frozen=True):
    """One second of a run, with the true values and not those of the sensor."""

    at: float
    """End of the second, in seconds since the start."""
    cpu_percent: float
    """Mean over the second."""
    neighbor_cores: float
    cores: float
    lag_seconds: float
    waiting: float
    arrived: float
    """Messages that have arrived so far."""
    stored: int
    """Rows stored so far by all tasks, including the warm-up."""
    used: float
    """Concurrent writes of all tasks, mean of the second."""
    limits: tuple[float, ...]
    """Limits of the running tasks, oldest first."""

    def ceiling_percent(self, bounds: Bounds) -> float:
        """The governor's CPU ceiling at this lag."""
        urgency = urgency_of(self.lag_seconds, bounds.lag_target_seconds, bounds.lag_max_seconds)
        return ceiling_percent(bounds.cpu_target_percent, bounds.cpu_max_percent, urgency)


class Record(msgspec.Struct, frozen=True):
    """A run of one controller in one scenario."""

    controller: str
    scenario: str
    bounds: Bounds
    rows_per_second_at_most: float
    """Capacity of the database at the start."""
    seconds: tuple[Second, ...]
    paths: tuple[tuple[float, ...], ...]
    """The limits of every task, second by second; each starts with the task's initial limit."""
