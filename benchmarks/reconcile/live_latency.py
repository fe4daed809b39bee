"""How late live events are in the index while a backfill runs beside them, and without one."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import asyncpg
import msgspec

from benchmarks.loadtest.scenarios import UNGOVERNED
from benchmarks.reconcile.parts import BUCKET, TABLE, Parts
from testkit.checker.compare import StoredRow, Version
from testkit.checker.latency import Latency, commit_latency
from testkit.local_stack import running_daemon, running_load
from testkit.process import Child, ProcessError
from testkit.workload.bucket import VersionRow
from testkit.workload.load import LoadPlan, Phase
from testkit.workload.send_log import SendLog

P99_RATIO: Final = 1.5
"""At most: p99 beside a backfill, divided by p99 without one."""
_SECONDS_BEFORE_NOW: Final = 3_600
_DRAIN_SECONDS: Final = 120.0
_WATCH_SECONDS: Final = 0.1
WARM_SECONDS: Final = 1.0
"""Of the load before the backfill begins."""
_LOADED: Final = f"""
SELECT bucket, key, version_id, state, size_bytes, etag, sequencer,
       extract(epoch FROM pg_xact_commit_timestamp(xmin))::float8 AS committed_at
FROM {TABLE} WHERE bucket <> $1
"""


class LatencyRound(msgspec.Struct, frozen=True):
    """Latency from send to commit of the same rate without and with a backfill, in seconds."""

    events_per_second: float
    without: Latency
    beside: Latency
    """Of the events that were sent while the backfill ran."""
    backfill_seconds: float
    """How long it ran; it is ended with the load."""
    backfill_versions: int
    """That it wrote."""

    @property
    def is_void(self) -> bool:
        """Whether the load ended before the backfill wrote anything, so that the round shows nothing."""
        return self.backfill_versions == 0

    @property
    def p99_ratio(self) -> float:
        """Beside a backfill, divided by without."""
        return self.beside.p99 / self.without.p99


class _Loaded(msgspec.Struct, frozen=True):
    """What one load showed."""

    latency: Latency
    seconds: float = 0.0
    versions: int = 0


def measure_latency(parts: Parts, round_number: int, *, rate: float, seconds: float) -> LatencyRound:
    """Two loads of so many seconds, without a backfill and beside one; every other round begins with the latter.

    Raises:
        ProcessError: a part failed, or the queue does not drain.
    """
    measured: dict[bool, _Loaded] = {}
    with running_daemon(parts.environment, parts.queue_url, UNGOVERNED) as daemon:
        for place, is_beside in enumerate((False, True) if round_number % 2 == 0 else (True, False), 1):
            plan = LoadPlan((Phase(rate, seconds),), 2 * round_number + place, _start())
            measured[is_beside] = _under_load(parts, plan, f"s3://{BUCKET}" if is_beside else None)
        daemon.stop()
    beside = measured[True]
    return LatencyRound(rate, measured[False].latency, beside.latency, beside.seconds, beside.versions)


def _start() -> int:
    return int(time.time()) - _SECONDS_BEFORE_NOW


def _under_load(parts: Parts, plan: LoadPlan, filled: str | None) -> _Loaded:
    """The latency under a load, and seconds and versions of the backfill beside it."""
    parts.empty_table()
    with tempfile.TemporaryDirectory(prefix="subscriber-latency-") as folder:
        path = Path(folder) / "sent.jsonl"
        log = SendLog(path)
        with running_load(parts.queue_url, plan, path) as load:
            time.sleep(WARM_SECONDS)
            begin, end = time.time(), float("inf")
            if filled is not None:
                end = _fill_beside(parts, load, filled)
            if not _becomes_true(lambda: not load.is_running, _seconds(plan)) or load.stop() != 0:
                raise ProcessError(f"the load failed\n{load.log_tail()}")
            log.catch_up()
    if not _becomes_true(lambda: not parts.environment.unfinished(parts.queue_url), _DRAIN_SECONDS):
        raise ProcessError(f"the queue was not drained within {_DRAIN_SECONDS:g} s")
    sent = [each for each in log.messages if begin <= each.sent_at <= end]
    latency = commit_latency(sent, asyncio.run(_stored(parts.database_url)))
    if filled is None:
        return _Loaded(latency)
    versions = int(parts.value(f"SELECT count(*) FROM {TABLE} WHERE bucket = $1", BUCKET))
    return _Loaded(latency, end - begin, versions)


def _fill_beside(parts: Parts, load: Child, place: str) -> float:
    """Fill until the bucket is filled or the load has ended; the Unix time of that."""
    with parts.started("backfill", place) as command:
        while command.is_running and load.is_running:
            time.sleep(_WATCH_SECONDS)
        end = time.time()
        if command.is_running:
            command.interrupt()
        elif command.code != 0:
            raise ProcessError(f"the backfill ended with {command.code}\n{command.error_tail()}")
    return end


def _seconds(plan: LoadPlan) -> float:
    """How long a load may take."""
    return sum(phase.seconds for phase in plan.profile) + _DRAIN_SECONDS


def _becomes_true(condition: Callable[[], bool], timeout_seconds: float) -> bool:
    deadline = time.monotonic() + timeout_seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


async def _stored(database_url: str) -> dict[Version, StoredRow]:
    """The rows of the load, without those of the backfill."""
    connection = await asyncpg.connect(database_url, command_timeout=_DRAIN_SECONDS)
    try:
        rows = [
            StoredRow(VersionRow(*record[:6]), record["sequencer"], record["committed_at"])
            for record in await connection.fetch(_LOADED, BUCKET)
        ]
    finally:
        await connection.close()
    return {(each.row.bucket, each.row.key, each.row.version_id): each for each in rows}
