"""What the polls of one queue have brought lately: kept by the receive room, poll by poll, read by the observer.

Two things are told from it. How late the line is: the age of a message received for the first time says it at once
and asks nobody. And whether a queue has fallen silent: how long every answer has been empty.
"""

from __future__ import annotations

import msgspec


class Arrivals(msgspec.Struct):
    """Of one queue. Times are seconds of the event loop's clock."""

    youngest_seconds: float | None = None
    """Age, when it came, of the youngest first receive since this was last taken; None: none came."""
    empty_in_a_row: int = 0
    """Empty answers since the last message, or since the silence was forgotten."""
    empty_since: float = 0.0
    """When the first of them came."""

    def answered(self, messages: int, youngest_seconds: float | None, now: float) -> None:
        """A poll has brought so many messages, and the youngest first receive among them was so old."""
        if messages:
            self.forget_silence()
        else:
            self.empty_since = self.empty_since if self.empty_in_a_row else now
            self.empty_in_a_row += 1
        if youngest_seconds is not None:
            before = self.youngest_seconds
            self.youngest_seconds = youngest_seconds if before is None else min(before, youngest_seconds)

    def forget_silence(self) -> None:
        """Whatever the answers were, they say nothing of now: a poll failed, or none is made."""
        self.empty_in_a_row = 0

    def pop_min_age(self) -> float | None:
        """The age of the youngest, once: without a new message the next one to ask is told None."""
        youngest, self.youngest_seconds = self.youngest_seconds, None
        return youngest

    def silent_seconds(self, now: float) -> float:
        """How long every answer has been empty."""
        return now - self.empty_since if self.empty_in_a_row else 0.0


class WriteTally(msgspec.Struct):
    """Running totals of the write stage, added to by its tasks and read by the regulator."""

    rows: int = 0
    """Rows stored, stale ones included: the database has read and locked them too."""
    statements: int = 0
    seconds: float = 0.0
    """Time spent in statements that succeeded."""
    failures: int = 0
    """Statements that failed for the database's reasons, not for a row's."""


CLOCKS_DIFFER_SECONDS = 30.0
"""A window that ends later than now by more than this was not measured: two clocks may differ by less."""


class LoadReading(msgspec.Struct, frozen=True):
    """What a sensor says of the database's CPU: a mean over a window that has ended."""

    cpu_percent: float
    """Of the capacity the database had in that window, 0 to 100; somebody else's load is in it too."""
    taken_at: float
    """End of the window, Unix seconds: a slow sensor tells of the past."""
    window_seconds: float
    """Length of the window."""


class LimiterUsage(msgspec.Struct, frozen=True):
    """Running totals since the limiter was made; the difference of two tells of the time between them."""

    permit_seconds: float
    """Permits at work, summed over time: divided by the time between, the concurrency really used."""
    saturated_seconds: float
    """How long a write that was due has waited for a permit, pauses apart."""
