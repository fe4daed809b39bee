"""Signals that the pipeline and the sensors publish to the controller.

The answers of the polls say two things without a further call: the lag, from the age of messages received for the first
time, and whether a queue is silent, from the time since its last answer with a message.
"""

from __future__ import annotations

import msgspec


class Arrivals(msgspec.Struct):
    """Recent answers of the polls of one queue, recorded by the receive stage and read by the observer.

    Times are seconds of the event loop's clock.
    """

    youngest_seconds: float | None = None
    """Age, on arrival, of the youngest first receive since `pop_min_age`; None: there was none."""
    empty_in_a_row: int = 0
    """Empty answers since the last message or the last reset."""
    empty_since: float = 0.0
    """When the first of them arrived."""

    def record_answer(self, messages: int, youngest_seconds: float | None, now: float) -> None:
        """Record a poll's number of messages, and the age of the youngest first receive among them."""
        if messages:
            self.reset_silence()
        else:
            self.empty_since = self.empty_since if self.empty_in_a_row else now
            self.empty_in_a_row += 1
        if youngest_seconds is not None:
            before = self.youngest_seconds
            self.youngest_seconds = youngest_seconds if before is None else min(before, youngest_seconds)

    def reset_silence(self) -> None:
        """Reset the silence: earlier answers say nothing about now, because a poll failed or polling is paused."""
        self.empty_in_a_row = 0

    def pop_min_age(self) -> float | None:
        """The youngest age since the last call; None without a new first receive."""
        youngest, self.youngest_seconds = self.youngest_seconds, None
        return youngest

    def silent_seconds(self, now: float) -> float:
        """How long every answer has been empty."""
        return now - self.empty_since if self.empty_in_a_row else 0.0


class WriteTally(msgspec.Struct):
    """Running totals of the write stage, read by the regulator."""

    rows: int = 0
    """Rows written, stale ones included: the database reads and locks them too."""
    statements: int = 0
    seconds: float = 0.0
    """Time of successful statements."""
    failures: int = 0
    """Statements that failed for a reason other than a row."""


class LoadReading(msgspec.Struct, frozen=True):
    """A sensor's reading of the database's CPU: the mean of a past window."""

    cpu_percent: float
    """Of the database's capacity in that window, 0 to 100; includes external load."""
    taken_at: float
    """End of the window, Unix seconds; a slow sensor is minutes late."""
    window_seconds: float
    """Length of the window."""


class LimiterUsage(msgspec.Struct, frozen=True):
    """Running totals of the limiter; the difference of two covers the time between them."""

    permit_seconds: float
    """Permits in use, summed over time: divided by the elapsed time, the concurrency in use."""
    saturated_seconds: float
    """How long a write that was due has waited for a permit, pauses excluded."""
