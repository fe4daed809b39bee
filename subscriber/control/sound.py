"""Only numbers reach the governor: what is not finite, or cannot be, is taken for not said. Pure."""

from __future__ import annotations

import math

import msgspec

from subscriber.control.reading import LoadReading, Reading

CLOCKS_DIFFER_SECONDS = 60.0
"""A window that ends so little in the future was measured by another clock, and has just ended."""


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
