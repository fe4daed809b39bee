"""A fixed limit, as most consumers have."""

from __future__ import annotations

from typing import Final

from benchmarks.simulation.controller import Bounds, ControllerSpec
from subscriber.control.reading import Reading

FIXED_LOW: Final = 1.0


class Fixed:
    """Always returns the same limit."""

    def __init__(self, limit: float) -> None:
        self.limit = limit

    def decide(self, reading: Reading) -> float:
        """The fixed limit, whatever the reading."""
        del reading
        return self.limit


def _low(bounds: Bounds) -> Fixed:
    return Fixed(min(FIXED_LOW, bounds.limit_at_most))


def _high(bounds: Bounds) -> Fixed:
    return Fixed(bounds.limit_at_most)


LOW: Final = ControllerSpec("fixed low", "one writer per task: a cautious manual setting", _low)
HIGH: Final = ControllerSpec(
    "fixed high", "always the largest limit: a manual setting with only the queue in mind", _high
)
