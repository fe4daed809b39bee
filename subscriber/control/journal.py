"""The last decisions, kept for whoever asks why the limit is what it is."""

from __future__ import annotations

from collections import deque
from datetime import datetime

import msgspec

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


class Journal:
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
