"""What the control page shows and `subscriber control` reads: the same types on both sides of the socket.

The last decisions, kept for whoever asks why the limit is what it is.
"""

from __future__ import annotations

from collections import deque
from datetime import datetime

import msgspec

from subscriber.control.overrides import Mode
from subscriber.control.reading import Reading

DECISIONS_KEPT = 50


class DecisionNote(msgspec.Struct, frozen=True):
    """One decision, or several in a row that said the same."""

    began_at: datetime
    """UTC."""
    ended_at: datetime
    """Of the last of them."""
    times: int
    limit: float
    was: float
    """The limit before the first of them."""
    reason: str
    cpu_percent: float | None = None
    """The evidence of the last of them; None: no load was read."""
    load_age_seconds: float | None = None
    predicted_percent: float | None = None
    ceiling_percent: float | None = None
    lag_seconds: float = 0.0
    limit_reached: bool = False
    failures: int = 0
    statement_seconds: float | None = None

    def says_the_same(self, other: DecisionNote) -> bool:
        """Whether `other` is one more of these: nothing moved, for the same reason."""
        return self.was == self.limit == other.was == other.limit and self.reason == other.reason


class DecisionLog:
    """The last decisions: what goes on saying the same is one note, so that fifty reach far back."""

    def __init__(self) -> None:
        self._notes: deque[DecisionNote] = deque(maxlen=DECISIONS_KEPT)

    def add(self, note: DecisionNote) -> None:
        """The newest decision."""
        last = self._notes[-1] if self._notes else None
        if last and last.says_the_same(note):
            note = msgspec.structs.replace(note, began_at=last.began_at, times=last.times + note.times, was=last.was)
            self._notes.pop()
        self._notes.append(note)

    def newest_first(self) -> tuple[DecisionNote, ...]:
        """All that are kept."""
        return tuple(reversed(self._notes))


class SensorStatus(msgspec.Struct, frozen=True):
    """Where the load is read."""

    source: str
    """`none`: it is not."""
    period_seconds: float | None
    is_stale: bool
    """Whether there should be a newer reading than there is."""
    problem: str
    """What went wrong with the last read; empty: nothing."""


class QueueStatus(msgspec.Struct, frozen=True):
    """What a queue says of itself."""

    name: str
    visible_messages: int | None
    """None, here and below: it has not said for a minute."""
    in_flight_messages: int | None
    age_seconds: float | None


class AlarmStatus(msgspec.Struct, frozen=True):
    """An alarm that stands."""

    queue: str
    reason: str
    advice: str
    lasts_seconds: float


class ControlStatus(msgspec.Struct, frozen=True):
    """All there is to see of the control of a running daemon."""

    mode: Mode
    limit: float
    """Concurrent writes on average, in force now; a pause lets none begin whatever it says."""
    limit_at_least: float
    limit_at_most: float
    fixed_limit: float | None
    """The operator's; None: the governor decides."""
    held_messages: int
    """Inside the process, room kept for open polls included."""
    database_available: bool
    reading: Reading | None
    """None: the first second is not over."""
    sensor: SensorStatus
    queues: tuple[QueueStatus, ...]
    alarms: tuple[AlarmStatus, ...]
    decisions: tuple[DecisionNote, ...]
    """Newest first."""
