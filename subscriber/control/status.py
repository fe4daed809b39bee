"""What `GET /control` returns and `subscriber control` reads: the same types on both sides of the socket.

Also the log of the last decisions, which explains the limit in force.
"""

from __future__ import annotations

from collections import deque
from datetime import datetime

import msgspec

from subscriber.control.governor.state import Decision
from subscriber.control.overrides import Mode
from subscriber.control.reading import Reading

DECISIONS_KEPT = 50

_NOT_EVIDENCE = ("taken_at", "load", "rows_per_statement")


def evidence_of(decision: Decision, reading: Reading) -> dict[str, object]:
    """The decision with the reading that led to it, by the names that the log and the control page use."""
    load = reading.load
    seen = {name: value for name, value in msgspec.structs.asdict(reading).items() if name not in _NOT_EVIDENCE}
    return msgspec.structs.asdict(decision) | {
        **seen,
        "cpu_percent": load.cpu_percent if load else None,
        "load_age_seconds": reading.load_age_seconds if load else None,
    }


class DecisionNote(msgspec.Struct, frozen=True):
    """One decision, or several in a row that are equal, with the evidence of the last of them."""

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
    """None: no load was read."""
    load_age_seconds: float | None = None
    predicted_percent: float | None = None
    ceiling_percent: float | None = None
    lag_seconds: float = 0.0
    limit_reached: bool = False
    failures: int = 0
    statement_seconds: float | None = None

    @classmethod
    def of(cls, evidence: dict[str, object], *, was: float, at: datetime) -> DecisionNote:
        """The note of one decision under the limit `was`, from what `evidence_of` returns."""
        fields = {name: evidence[name] for name in cls.__struct_fields__ if name in evidence}
        return cls(**fields, began_at=at, ended_at=at, times=1, was=was)  # type: ignore[arg-type] # as the two structs have them

    def repeats(self, other: DecisionNote) -> bool:
        """Whether both leave the limit where it is, for the same reason."""
        return self.was == self.limit == other.was == other.limit and self.reason == other.reason


class DecisionLog:
    """The last decisions; equal ones in a row are one note, so that fifty notes reach far back."""

    def __init__(self) -> None:
        self._notes: deque[DecisionNote] = deque(maxlen=DECISIONS_KEPT)

    def add(self, note: DecisionNote) -> None:
        """Add the newest decision."""
        last = self._notes[-1] if self._notes else None
        if last and last.repeats(note):
            note = msgspec.structs.replace(note, began_at=last.began_at, times=last.times + note.times, was=last.was)
            self._notes.pop()
        self._notes.append(note)

    def newest_first(self) -> tuple[DecisionNote, ...]:
        """All notes that are kept."""
        return tuple(reversed(self._notes))


class SensorStatus(msgspec.Struct, frozen=True):
    """The source of the database's load."""

    source: str
    """`none`: the load is not read."""
    period_seconds: float | None
    is_stale: bool
    """Whether there should be a newer reading than there is."""
    problem: str
    """Why the last read failed; empty: it did not."""


class QueueStatus(msgspec.Struct, frozen=True):
    """The counts of one queue."""

    name: str
    visible_messages: int | None
    """None, here and below: no count for a minute."""
    in_flight_messages: int | None
    age_seconds: float | None


class AlarmStatus(msgspec.Struct, frozen=True):
    """An active alarm."""

    queue: str
    reason: str
    advice: str
    lasts_seconds: float


class ControlStatus(msgspec.Struct, frozen=True):
    """The whole state of the control of a running daemon."""

    mode: Mode
    limit: float
    """Concurrent writes on average, in force now; during a pause none starts, whatever the limit."""
    limit_at_least: float
    limit_at_most: float
    fixed_limit: float | None
    """The operator's; None: the governor decides."""
    held_messages: int
    """Received and not settled."""
    reserved_messages: int
    """The most that the polls which are open now may still return."""
    database_available: bool
    reading: Reading | None
    """None: the first second is not over."""
    sensor: SensorStatus
    queues: tuple[QueueStatus, ...]
    alarms: tuple[AlarmStatus, ...]
    decisions: tuple[DecisionNote, ...]
    """Newest first."""
