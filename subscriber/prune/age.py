"""How old a tombstone must be before it may go. Pure.

A tombstone keeps a late older event from bringing a removed version back. It is needed as long as a message with such
an event can exist: in a queue, in its dead-letter queue, in the queue again after a redrive (which begins its retention
anew), or in the quarantine, where a message waits for as long as nobody replays it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from subscriber.errors import ConfigurationError

MARGIN = timedelta(days=3)
"""Between S3 and the queue: EventBridge tries to deliver for a day; clocks differ."""


class Retention(msgspec.Struct, frozen=True):
    """How long messages live in a queue and in its dead-letter queue."""

    queue: str
    """Its URL."""
    own: timedelta
    dead_letters: timedelta | None = None
    """None without a dead-letter queue."""

    @property
    def oldest(self) -> timedelta:
        """The age that a message can reach: it expires in the dead-letter queue, or is moved back once before that."""
        if self.dead_letters is None:
            return self.own
        return self.dead_letters + max(self.own, self.dead_letters)


def require_old_enough(older_than: timedelta, retentions: Sequence[Retention]) -> None:
    """Check that no message of any queue can be older.

    Raises:
        ConfigurationError: one can; the text has the numbers and the shortest age that is allowed.
    """
    longest = max(retentions, key=lambda retention: retention.oldest)
    if older_than >= longest.oldest + MARGIN:
        return
    parts = f"{days(longest.own)} in the queue"
    if longest.dead_letters is not None:
        parts += f", {days(longest.dead_letters)} in its dead-letter queue, moved back once"
    raise ConfigurationError(
        f"--older-than: {days(older_than)} is too short: a message of queue {longest.queue} can be "
        f"{days(longest.oldest)} old ({parts}), and an older event would bring a removed object back; with a margin "
        f"of {days(MARGIN)}, write --older-than {whole_days(longest.oldest + MARGIN)}d or more"
    )


def tombstones_before(now: datetime, older_than: timedelta, oldest_waiting: datetime | None) -> datetime:
    """Tombstones written before this time may go.

    A message in the quarantine is as old as the queues allowed when it came there, and no older event of it can need
    a tombstone that was written longer before.
    """
    return min(now, oldest_waiting or now) - older_than


def days(time: timedelta) -> str:
    """A time in days, for a sentence."""
    number = time / timedelta(days=1)
    return f"{number:.3g} day" if number == 1 else f"{number:.3g} days"


def whole_days(time: timedelta) -> int:
    """The time in days, rounded up."""
    return -(-time // timedelta(days=1))
