"""Synthetic runs on a database with one core."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.governor_live.run import ENDS
from benchmarks.loadtest.samples import INTERVAL_SECONDS, Sample

CEILING = 60.0


def samples(busy: Callable[[float], float], seconds: float = ENDS, row_microseconds: float = 150.0) -> list[Sample]:
    """A run in which the daemon's rows use `busy(second)` percent of the database."""
    used, found = 0.0, []
    for number in range(int(seconds / INTERVAL_SECONDS) + 1):
        at = number * INTERVAL_SECONDS
        found.append(
            Sample(
                seconds=at,
                offered=0,
                unfinished=0,
                cpu_seconds={"consumer": 0.0, "queue": 0.0, "database": used},
                resident_bytes=0,
                rows=used / row_microseconds * 1e6,
                concurrency_limit=0.6,
                cpu_ceiling_percent=CEILING,
            )
        )
        used += busy(at) / 100 * INTERVAL_SECONDS
    return found


SAMPLES = samples(lambda _: CEILING)
