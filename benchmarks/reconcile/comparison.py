"""What a comparison without drift costs, and whether planted drift is found and repaired while the bucket changes."""

from __future__ import annotations

from typing import Final

import msgspec

from benchmarks.reconcile.parts import BUCKET, IDLE_DATABASE, TABLE, Parts
from benchmarks.reconcile.rows import DRIFTS
from testkit.s3.generated import GeneratedPlan

SECONDS_PER_TEN_MILLION: Final = 240.0
"""At most, for so many keys."""
DATABASE_MICROSECONDS: Final = 15.0
"""Of CPU for each key, at most."""
PEAK_BYTES: Final = 150_000_000
"""At most."""
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


def measure_reconcile(parts: Parts, plan: GeneratedPlan) -> ReconcileRound:
    """Compare once; the index is equal to the bucket.

    Raises:
        ProcessError: the command failed.
    """
    parts.execute("CHECKPOINT")
    before = int(parts.value(_WRITTEN))
    ran = parts.run("reconcile", f"s3://{BUCKET}", expected=(0, 10), settings=IDLE_DATABASE)
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
