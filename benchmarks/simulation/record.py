"""What a run leaves behind: one line per second."""

from __future__ import annotations

import msgspec

from benchmarks.simulation.controller import Bounds
from subscriber.control.governor.setpoints import ceiling_percent, urgency_of


class Second(msgspec.Struct, frozen=True):
    """The truth, not what a sensor made of it."""

    at: float
    """Its end, seconds since the start."""
    cpu_percent: float
    """Mean over the second."""
    neighbor_cores: float
    cores: float
    lag_seconds: float
    waiting: float
    arrived: float
    """Messages that have come so far."""
    stored: int
    """Rows that have been stored so far, in the lead-in too, whoever stored them."""
    used: float
    """Writes at work, mean of the second, all tasks together."""
    limits: tuple[float, ...]
    """Of the tasks that are there, oldest first."""

    def ceiling_percent(self, bounds: Bounds) -> float:
        """What was allowed."""
        urgency = urgency_of(self.lag_seconds, bounds.lag_target_seconds, bounds.lag_max_seconds)
        return ceiling_percent(bounds.cpu_target_percent, bounds.cpu_max_percent, urgency)


class Record(msgspec.Struct, frozen=True):
    """A run of one law in one scenario."""

    law: str
    scenario: str
    bounds: Bounds
    rows_per_second_at_most: float
    """What the database could store as it was at first."""
    seconds: tuple[Second, ...]
    paths: tuple[tuple[float, ...], ...]
    """The limits of every task that was there, second by second; the first is the one it began with."""
