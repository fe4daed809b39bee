"""Simulated time: a clock and a queue of timers."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable


class Timers:
    """Timers in order of their due time. The simulator advances `now`."""

    def __init__(self) -> None:
        self.now = 0.0
        self._entries: list[tuple[float, int, Callable[[], None]]] = []
        self._number = 0

    def after(self, seconds: float, call: Callable[[], None]) -> None:
        """Schedules a call in `seconds` from now; calls due at the same time run in the order of scheduling."""
        self._number += 1
        heapq.heappush(self._entries, (self.now + seconds, self._number, call))

    @property
    def next_at(self) -> float:
        """Due time of the next timer; infinity: there is none."""
        return self._entries[0][0] if self._entries else math.inf

    def run_next(self) -> None:
        """Runs the next timer; `now` must have been advanced to its due time."""
        heapq.heappop(self._entries)[2]()
