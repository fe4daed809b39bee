"""A number that somebody has chosen: what most consumers do."""

from __future__ import annotations

from typing import Final

from benchmarks.simulation.controller import Bounds, Law
from subscriber.control.reading import Reading

FIXED_LOW: Final = 1.0


class Fixed:
    """Always the same."""

    def __init__(self, limit: float) -> None:
        self.limit = limit

    def decide(self, reading: Reading) -> float:
        """Whatever was read."""
        del reading
        return self.limit


def _low(bounds: Bounds) -> Fixed:
    return Fixed(min(FIXED_LOW, bounds.limit_at_most))


def _high(bounds: Bounds) -> Fixed:
    return Fixed(bounds.limit_at_most)


LOW: Final = Law("fixed low", "one writer a task, for ever: the careful setting by hand", _low)
HIGH: Final = Law("fixed high", "the largest limit, for ever: the setting of who has only looked at the queue", _high)
