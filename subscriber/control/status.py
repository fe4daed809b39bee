"""What the control page shows and `subscriber control` reads: the same types on both sides of the socket."""

from __future__ import annotations

import msgspec

from subscriber.control.hands import Mode
from subscriber.control.journal import DecisionNote
from subscriber.control.reading import Reading


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
