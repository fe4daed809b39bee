"""What the governor is told: how writing went lately, and when that was taken."""

from __future__ import annotations

import msgspec


class WriteTally(msgspec.Struct):
    """Running totals of the write room, added to by its tasks and read by the regulator."""

    rows: int = 0
    """Rows stored, stale ones included: the database has read and locked them too."""
    statements: int = 0
    seconds: float = 0.0
    """Time spent in statements that succeeded."""
    failures: int = 0
    """Statements that failed for the database's reasons, not for a row's."""


class Reading(msgspec.Struct, frozen=True):
    """One look at the line, about a second after the one before."""

    taken_at: float
    """Seconds of the event loop's clock."""
    rows_per_second: float
    statement_seconds: float | None
    """Mean time of the statements that succeeded; None: there were none."""
    failures: int


def reading_between(before: WriteTally, now: WriteTally, taken_at: float, elapsed_seconds: float) -> Reading:
    """The difference of two tallies as a reading."""
    statements = now.statements - before.statements
    return Reading(
        taken_at=taken_at,
        rows_per_second=(now.rows - before.rows) / elapsed_seconds,
        statement_seconds=(now.seconds - before.seconds) / statements if statements else None,
        failures=now.failures - before.failures,
    )
