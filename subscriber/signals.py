"""Signals that the pipeline and the sensors publish to the controller.

The polls say three things without a further call: the lag, from the ages of the messages that show it; whether a queue
is silent, from the time since its last answer with a message; and whether anything is asked of it at all.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

QUIET_AFTER_SECONDS = 0.5
"""A poll that has been open for so long found nothing: a long poll ends with the first message."""

EMPTY_FOR_SECONDS = 2.0
"""How long an empty answer shows an empty queue by itself, until the poll after it does."""


def send_times_that_show_lag(
    first: Sequence[float], received: Sequence[float], *, is_full: bool
) -> tuple[float, float] | None:
    """When the oldest and the youngest message of an answer that show lag were sent; None: none shows any.

    A message received for the first time shows it. One that was received before may be late for a reason of its own,
    such as a retry delay. But where a whole answer of ten is of that kind, they are a backlog that another consumer
    left; the youngest stands for all.

    Args:
        first: send times of the messages that were received for the first time, Unix seconds.
        received: send times of all messages.
        is_full: whether the answer has as many messages as an answer can have.
    """
    if first:
        return min(first), max(first)
    if is_full and received:
        return max(received), max(received)
    return None


class Arrivals(msgspec.Struct):
    """Recent answers of the polls of one queue, recorded by the receive stage and read by the observer.

    Times are seconds of the event loop's clock.
    """

    youngest_seconds: float | None = None
    """Age, on arrival, of the youngest message that shows lag since `pop_min_age`; None: there was none."""
    empty_in_a_row: int = 0
    """Empty answers since the last message or the last reset."""
    empty_since: float = 0.0
    """When the first of them arrived."""
    emptied_at: float = -math.inf
    """When the newest empty answer arrived."""
    full_at: float = -math.inf
    """When the newest full answer arrived."""
    open_polls: int = 0
    is_failing: bool = False
    """Whether the newest poll to end failed."""
    error: str = ""
    """Code of the newest poll that failed; empty: none has."""
    failed_at: float = -math.inf
    """When it ended."""
    asked_since: float = math.inf
    """Since when a poll has been open, without an answer that brought a message."""

    def begin_poll(self, now: float) -> None:
        """Record that a poll begins."""
        if not self.open_polls:
            self.asked_since = now
        self.open_polls += 1

    def end_poll(self, *, has_failed: bool) -> None:
        """Record that a poll has ended."""
        self.open_polls -= 1
        self.is_failing = has_failed
        if has_failed:
            self.reset_silence()

    def record_failure(self, error: str, now: float) -> None:
        """Record why a poll failed."""
        self.error, self.failed_at = error, now

    def record_answer(
        self, messages: int, youngest_seconds: float | None, now: float, *, is_full: bool = False
    ) -> None:
        """Record a poll's number of messages, and the age of the youngest among them that shows lag."""
        if messages:
            self.reset_silence()
            self.asked_since = now
        else:
            self.empty_since = self.empty_since if self.empty_in_a_row else now
            self.empty_in_a_row += 1
            self.emptied_at = now
        if is_full:
            self.full_at = now
        if youngest_seconds is not None:
            before = self.youngest_seconds
            self.youngest_seconds = youngest_seconds if before is None else min(before, youngest_seconds)

    def reset_silence(self) -> None:
        """Reset the silence: earlier answers say nothing about now, because a poll failed or polling is paused."""
        self.empty_in_a_row = 0

    def pop_min_age(self) -> float | None:
        """The youngest age since the last call; None without a new message that shows lag."""
        youngest, self.youngest_seconds = self.youngest_seconds, None
        return youngest

    def silent_seconds(self, now: float) -> float:
        """How long every answer has been empty."""
        return now - self.empty_since if self.empty_in_a_row else 0.0

    @property
    def is_asked(self) -> bool:
        """Whether a poll is open, and the one before did not fail."""
        return self.open_polls > 0 and not self.is_failing

    def is_quiet(self, now: float) -> bool:
        """Whether the polls of the last moments show an empty queue."""
        if self.empty_in_a_row and now - self.emptied_at < EMPTY_FOR_SECONDS:
            return True
        return self.is_asked and now - self.asked_since >= QUIET_AFTER_SECONDS


class WriteTally(msgspec.Struct):
    """Running totals of the write stage, read by the regulator."""

    rows: int = 0
    """Rows written, stale ones included: the database reads and locks them too."""
    statements: int = 0
    seconds: float = 0.0
    """Time of successful statements."""
    failures: int = 0
    """Statements that failed for a reason other than a row."""
    newest_received_at: float = -math.inf
    """When the newest message arrived whose rows have been stored; loop's clock."""


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
