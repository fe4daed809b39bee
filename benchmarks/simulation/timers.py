"""Simulated time: what is to happen, in order."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable


class Timers:
    """A clock that stands still between calls."""

    def __init__(self) -> None:
        self.now = 0.0
        self._entries: list[tuple[float, int, Callable[[], None]]] = []
        self._number = 0

    def after(self, seconds: float, act: Callable[[], None]) -> None:
        """Do something so many seconds from now; what is due at the same moment is done in the order of its asking."""
        self._number += 1
        heapq.heappush(self._entries, (self.now + seconds, self._number, act))

    @property
    def next_at(self) -> float:
        """When the next is due."""
        return self._entries[0][0] if self._entries else math.inf

    def act(self) -> None:
        """Do the next; the clock must have been brought to it."""
        heapq.heappop(self._entries)[2]()
