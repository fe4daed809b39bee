"""What a comparison without drift costs, and whether planted drift is found and repaired while the bucket changes."""

from __future__ import annotations

import asyncio
import time
from typing import Final

import msgspec

from benchmarks.loadtest.scenarios import UNGOVERNED
from benchmarks.reconcile.asked import Asked
from benchmarks.reconcile.changes import live_changes
from benchmarks.reconcile.parts import BUCKET, TABLE, Parts
from benchmarks.reconcile.rows import DRIFTS, chosen, plant, unrepaired
from testkit.local_stack import running_daemon
from testkit.process import ProcessError
from testkit.s3.generated import GeneratedPlan

SECONDS_PER_TEN_MILLION: Final = 240.0
"""At most, for so many keys."""
DATABASE_MICROSECONDS: Final = 15.0
"""Of CPU for each key, at most."""
PEAK_BYTES: Final = 150_000_000
"""At most."""
LIVE_SECONDS: Final = 5.0
"""Of live events before the comparison begins."""
_DRAIN_SECONDS: Final = 120.0
_WRITTEN: Final = f"SELECT n_tup_ins + n_tup_upd + n_tup_del FROM pg_stat_user_tables WHERE relid = '{TABLE}'::regclass"


class ReconcileRound(msgspec.Struct, frozen=True):
    """One comparison of an index that is equal to its bucket. Times are in seconds; CPU times are user and system."""

    keys: int
    versions: int
    seconds: float
    """Wall time of the command, its start included."""
    cpu_seconds: float
    database_cpu_seconds: float
    server_cpu_seconds: float
    peak_bytes: int
    drift: int
    """Versions that were reported; each is a false one."""
    rows_written: int
    """Inserted, updated or deleted in the index, by PostgreSQL's own count."""

    @property
    def database_microseconds(self) -> float:
        """Of CPU for each key."""
        return self.database_cpu_seconds / self.keys * 1e6

    @property
    def seconds_per_ten_million(self) -> float:
        """The same rate for ten million keys."""
        return self.seconds / self.keys * 1e7


class DriftRound(msgspec.Struct, frozen=True):
    """One comparison with planted drift, with repair, under live events."""

    keys: int
    planted: int
    found: int
    """Versions that were reported, of the kinds that were planted and at most as many of each kind."""
    false: int
    """Versions that were reported beyond those."""
    unrepaired: int
    """Planted versions that the index still has wrong."""
    fresh: int
    """Keys that changed within the grace."""
    grace_seconds: int
    live_events: int
    live_events_per_second: float
    """Sent meanwhile."""
    seconds: float
    """Wall time of the command, with the wait for its second look."""
    peak_bytes: int


def measure_reconcile(parts: Parts, plan: GeneratedPlan) -> ReconcileRound:
    """Compare once; the index is equal to the bucket.

    Raises:
        ProcessError: the command failed.
    """
    parts.execute("CHECKPOINT")
    before = int(parts.value(_WRITTEN))
    ran = parts.run("reconcile", f"s3://{BUCKET}", expected=(0, 10))
    return ReconcileRound(
        keys=plan.keys,
        versions=ran.counter("listed"),
        seconds=ran.seconds,
        cpu_seconds=ran.cpu_seconds,
        database_cpu_seconds=ran.database_cpu_seconds,
        server_cpu_seconds=ran.server_cpu_seconds,
        peak_bytes=ran.peak_bytes,
        drift=sum(ran.counter(drift) for drift in DRIFTS),
        rows_written=int(parts.value(_WRITTEN)) - before,
    )


def measure_drift(parts: Parts, plan: GeneratedPlan, round_number: int, asked: Asked) -> DriftRound:
    """Let the index differ, and compare with repair while a real daemon writes the events of changes.

    Raises:
        ProcessError: a part failed, or the queue does not drain.
    """
    planted = chosen(plan, round_number, asked.keys_per_drift)
    asyncio.run(plant(parts.database_url, planted, round_number))
    with running_daemon(parts.environment, parts.queue_url, UNGOVERNED) as daemon:
        with live_changes(parts, asked.rate, round_number) as live:
            time.sleep(LIVE_SECONDS)
            ran = parts.run("reconcile", "--repair", f"s3://{BUCKET}", "--grace", str(asked.grace_seconds))
        _drain(parts)
        daemon.stop()
    expected = {drift: len(each.keys) for drift, each in planted.items()}
    reported = {drift: ran.counter(drift) for drift in DRIFTS}
    return DriftRound(
        keys=plan.keys,
        planted=sum(expected.values()),
        found=sum(min(reported[drift], expected[drift]) for drift in DRIFTS),
        false=sum(max(0, reported[drift] - expected[drift]) for drift in DRIFTS),
        unrepaired=asyncio.run(unrepaired(parts.database_url, planted, round_number)),
        fresh=ran.counter("fresh"),
        grace_seconds=asked.grace_seconds,
        live_events=live.sent,
        live_events_per_second=live.rate,
        seconds=ran.seconds,
        peak_bytes=ran.peak_bytes,
    )


def _drain(parts: Parts) -> None:
    deadline = time.monotonic() + _DRAIN_SECONDS
    while parts.environment.unfinished(parts.queue_url):
        if time.monotonic() > deadline:
            raise ProcessError(f"the queue was not drained within {_DRAIN_SECONDS:g} s after the live events")
        time.sleep(0.1)
