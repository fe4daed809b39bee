"""What the governor sees of one second: how writing went, how late rows are, and the database's load.

Only numbers reach the governor: `sanitized` replaces impossible values by "unknown". Pure.
"""

from __future__ import annotations

import math

import msgspec

from subscriber.signals import LoadReading, WriteTally

MAX_CLOCK_SKEW_SECONDS = 30.0
"""Two clocks may differ by this much; a window that ends further in the future cannot have been measured."""


class Reading(msgspec.Struct, frozen=True):
    """The state of the pipeline and the database, about a second after the reading before."""

    taken_at: float
    """Seconds of the event loop's clock."""
    rows_per_second: float
    statement_seconds: float | None
    """Mean time of the statements that succeeded; None: there were none."""
    failures: int
    concurrency_used: float = 0.0
    """Mean number of writes in progress since the reading before; an idle limiter uses none, whatever its limit."""
    limit_reached: bool = False
    """Whether a batch that was due had to wait for the limiter since the reading before: the evidence for growth."""
    lag_seconds: float = 0.0
    """How late rows are: the worst age of messages just received, held, or waiting while nothing is received."""
    backlog_messages: int | None = None
    """Visible messages of all queues together, by their newest counts; None: unknown."""
    load: LoadReading | None = None
    """The sensor's newest reading, maybe the same as in the reading before; None: there has been none."""
    load_age_seconds: float = 0.0
    """Since the end of its window."""
    rows_per_statement: float = 0.0
    """Mean of the statements that succeeded, 0 without any: a larger batch takes longer without any congestion, so the
    governor measures time per row."""
    statements: int = 0
    """Statements that succeeded."""
    database_unavailable: bool = False
    """Whether the circuit breaker is not closed."""


def reading_between(before: WriteTally, now: WriteTally, taken_at: float, elapsed_seconds: float) -> Reading:
    """The difference of two tallies as a reading."""
    statements = now.statements - before.statements
    return Reading(
        taken_at=taken_at,
        rows_per_second=(now.rows - before.rows) / elapsed_seconds,
        statement_seconds=(now.seconds - before.seconds) / statements if statements else None,
        failures=now.failures - before.failures,
        rows_per_statement=(now.rows - before.rows) / statements if statements else 0.0,
        statements=statements,
    )


def percent_flaw(cpu_percent: float, rounding_percent: float = 0.0) -> str | None:
    """Why `cpu_percent` cannot be a CPU load, or None.

    Args:
        cpu_percent: of the capacity.
        rounding_percent: how far above 100 it may be by rounding alone.
    """
    if 0 <= cpu_percent <= 100 + rounding_percent:  # false for NaN
        return None
    return f"a load of {cpu_percent:g} % cannot be true"


def load_flaw(load: LoadReading, age_seconds: float) -> str | None:
    """Why a sensor cannot have measured `load`, or None.

    Args:
        load: the reading.
        age_seconds: since the end of its window; negative by at most the clock skew.
    """
    if flaw := percent_flaw(load.cpu_percent):
        return flaw
    if not 0 < load.window_seconds < math.inf:
        return f"a window of {load.window_seconds:g} s cannot be true"
    if not (math.isfinite(load.taken_at) and -MAX_CLOCK_SKEW_SECONDS <= age_seconds < math.inf):
        return f"its window cannot end {-age_seconds:.0f} s from now"
    return None


def sanitized(reading: Reading) -> Reading | None:
    """The reading without its impossible parts; None where not even its time is a number."""
    if not math.isfinite(reading.taken_at):
        return None
    seconds, load = reading.statement_seconds, reading.load
    return msgspec.structs.replace(
        reading,
        rows_per_second=_amount(reading.rows_per_second),
        statement_seconds=seconds if seconds is not None and math.isfinite(seconds) and seconds >= 0 else None,
        concurrency_used=_amount(reading.concurrency_used),
        lag_seconds=_amount(reading.lag_seconds),
        load=load if load is not None and load_flaw(load, reading.load_age_seconds) is None else None,
        load_age_seconds=_amount(reading.load_age_seconds),
        rows_per_statement=_amount(reading.rows_per_statement),
    )


def _amount(value: float) -> float:
    """A quantity that cannot be negative; 0 where it is not a finite number."""
    return value if math.isfinite(value) and value > 0 else 0.0
