"""The queue: messages come in at a rate, and the oldest go out first."""

from __future__ import annotations

from collections import deque


class Backlog:
    """Counts of what came and what was taken; ages follow from when the counts were reached."""

    def __init__(self) -> None:
        self.arrived = 0.0
        self.taken = 0.0
        self.rate = 0.0
        """Messages a second."""
        self._now = 0.0
        self._marks: deque[tuple[float, float]] = deque([(0.0, 0.0)])
        """Moment and count of arrivals; straight lines between."""

    @property
    def waiting(self) -> float:
        """Messages that are visible."""
        return self.arrived - self.taken

    def advance(self, now: float) -> None:
        """Let time pass."""
        self.arrived += self.rate * (now - self._now)
        self._now = now

    def mark(self) -> None:
        """Remember the count of now; to be called every second, and when the rate changes."""
        self._marks.append((self._now, self.arrived))

    def add(self, messages: float, age_seconds: float) -> None:
        """Put messages in at once, evenly as old as up to `age_seconds`; what waits already counts among them."""
        if age_seconds > 0:
            self._marks = deque([(self._now - age_seconds, self.taken)])
        else:
            self.mark()
        self.arrived += messages
        self.mark()

    def take(self, messages: int) -> None:
        """The oldest go out."""
        self.taken += messages

    def put_back(self, messages: int) -> None:
        """They become visible again, at the front."""
        self.taken -= messages

    def age_seconds(self) -> float:
        """Of the oldest message that waits; 0: none does."""
        if self.waiting < 1:
            return 0.0
        marks = self._marks
        while len(marks) > 1 and marks[1][1] <= self.taken:
            marks.popleft()
        begin, count = marks[0]
        end, later = marks[1] if len(marks) > 1 else (self._now, self.arrived)
        share = (self.taken - count) / (later - count) if later > count else 1.0
        return max(0.0, self._now - begin - (end - begin) * min(1.0, max(0.0, share)))
