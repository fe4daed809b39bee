"""What the governor is told: how writing went lately, and when that was taken.

Only numbers reach the governor: what is not finite, or cannot be, is taken for not said. Pure.
"""

from __future__ import annotations

import math

import msgspec

from subscriber.signals import CLOCKS_DIFFER_SECONDS, LoadReading, WriteTally


class Reading(msgspec.Struct, frozen=True):
    """One look at the line, about a second after the one before."""

    taken_at: float
    """Seconds of the event loop's clock."""
    rows_per_second: float
    statement_seconds: float | None
    """Mean time of the statements that succeeded; None: there were none."""
    failures: int
    concurrency_used: float = 0.0
    """Writes at work on average since the reading before; an idle limiter uses none, whatever its limit."""
    limit_reached: bool = False
    """Whether a batch that was due had to wait for the limiter since the reading before: the evidence for growth."""
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


def sound(reading: Reading) -> Reading | None:
    """The reading without its impossible parts; None where not even its time is a number."""
    if not math.isfinite(reading.taken_at):
        return None
    seconds = reading.statement_seconds
    return msgspec.structs.replace(
        reading,
        rows_per_second=_amount(reading.rows_per_second),
        statement_seconds=seconds if seconds is not None and math.isfinite(seconds) and seconds >= 0 else None,
        concurrency_used=_amount(reading.concurrency_used),
        lag_seconds=_amount(reading.lag_seconds),
        load=reading.load if _is_possible(reading.load, reading.load_age_seconds) else None,
        load_age_seconds=_amount(reading.load_age_seconds),
        rows_per_statement=_amount(reading.rows_per_statement),
    )


def _amount(value: float) -> float:
    """A quantity that cannot be negative; 0 where it is no number."""
    return value if math.isfinite(value) and value > 0 else 0.0


def _is_possible(load: LoadReading | None, age_seconds: float) -> bool:
    """Whether a sensor can have said this."""
    return (
        load is not None
        and 0 <= load.cpu_percent <= 100  # false for NaN
        and 0 < load.window_seconds < math.inf
        and math.isfinite(load.taken_at)
        and -CLOCKS_DIFFER_SECONDS <= age_seconds < math.inf
    )
