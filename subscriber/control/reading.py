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


class Reading(msgspec.Struct, frozen=True):
    """One look at the line, about a second after the one before."""

    taken_at: float
    """Seconds of the event loop's clock."""
    rows_per_second: float
    statement_seconds: float | None
    """Mean time of the statements that succeeded; None: there were none."""
    failures: int
    concurrency_used: float = 0.0
    """Writes at work on average since the reading before; an idle gate uses none, whatever its limit."""
    limit_reached: bool = False
    """Whether a batch that was due had to wait for the gate since the reading before: the evidence for growth."""
    lag_seconds: float = 0.0
    """How late the line is: the larger of the newest first receive's age and that of the oldest one inside."""
    backlog_messages: int | None = None
    """Visible messages of all queues together, as the queues last said; None: they have not."""
    load: LoadReading | None = None
    """The newest the sensor has said, maybe the same as in the reading before; None: it has never spoken."""
    load_age_seconds: float = 0.0
    """Since the end of its window."""
    rows_per_statement: float = 0.0
    """Of the statements that succeeded: time is judged by the row, for a bigger batch is no congestion. 0: none did."""


def reading_between(before: WriteTally, now: WriteTally, taken_at: float, elapsed_seconds: float) -> Reading:
    """The difference of two tallies as a reading."""
    statements = now.statements - before.statements
    return Reading(
        taken_at=taken_at,
        rows_per_second=(now.rows - before.rows) / elapsed_seconds,
        statement_seconds=(now.seconds - before.seconds) / statements if statements else None,
        failures=now.failures - before.failures,
        rows_per_statement=(now.rows - before.rows) / statements if statements else 0.0,
    )
