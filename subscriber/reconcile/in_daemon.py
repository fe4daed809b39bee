"""The schedule as a task of the daemon, with all that it opens."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from subscriber.adapters.postgres.advisory_lock import AdvisoryLock
from subscriber.adapters.postgres.bucket_jobs import BucketJobsTable
from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.flow.limiter import ConcurrencyLimiter
from subscriber.flow.shutdown import run_until
from subscriber.observe.metrics import Metrics
from subscriber.reconcile.pace import Conditions, LivePace, PaceOptions
from subscriber.reconcile.schedule import ReconcileSchedule, ScheduleOptions
from subscriber.reconcile.scheduled_job import GapOf, ScheduledJobs


class DaemonScheduleOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator may choose."""

    schedule: ScheduleOptions
    pace: PaceOptions
    is_repair: bool
    """Whether what differs is repaired; else it is only counted."""
    batch_rows: int
    """The most rows of a statement."""
    gap_of: GapOf
    """Why a bucket is not repaired."""


class DaemonSchedule:
    """The schedule of one daemon; without options, `run` only waits.

    Args:
        options: None: the operator wants no schedule.
        database: how to connect.
        limiter: of the live writes.
        metrics: the catalog.
        conditions: what live traffic shows now.
    """

    def __init__(
        self,
        options: DaemonScheduleOptions | None,
        database: StoreOptions,
        limiter: ConcurrencyLimiter,
        metrics: Metrics,
        conditions: Callable[[], Conditions],
    ) -> None:
        self._options = options
        self._database = database
        self._limiter = limiter
        self._metrics = metrics
        self._conditions = conditions

    async def run(self, stop: asyncio.Event) -> None:
        """Run until the stop is requested: a job in work is then given back within seconds."""
        options = self._options
        if options is None:
            await stop.wait()
            return
        tables, lock = BucketJobsTable(self._database), AdvisoryLock(self._database, "reconciliation")
        schedule = ReconcileSchedule(options.schedule, tables, lock, self._jobs(options).run, self._metrics)
        try:
            await run_until(stop, schedule.run())
        finally:
            await asyncio.gather(tables.close(), lock.release())

    def _jobs(self, options: DaemonScheduleOptions) -> ScheduledJobs:
        return ScheduledJobs(
            self._database,
            LivePace(options.pace, self._limiter, self._conditions),
            self._metrics,
            lambda: self._conditions().lag_seconds,
            is_repair=options.is_repair,
            batch_rows=options.batch_rows,
            gap_of=options.gap_of,
        )
