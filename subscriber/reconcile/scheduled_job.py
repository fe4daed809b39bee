"""One job of the schedule, inside a daemon: created or joined, done beside live traffic, and counted."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

import msgspec

from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.adapters.postgres.jobs import Jobs
from subscriber.adapters.s3.client import BucketOptions
from subscriber.choices import SCHEDULED_RANGES
from subscriber.flow.request_budget import RequestLimits
from subscriber.jobs import Counters, Job, JobOptions
from subscriber.observe.log import get_logger
from subscriber.observe.metrics import Metrics
from subscriber.reconcile.compare import default_grace_seconds
from subscriber.reconcile.pace import Pace
from subscriber.reconcile.range_pass import RangeOptions
from subscriber.reconcile.run import Target, WorkOptions, has_versions, new_job, plan, work_on_job
from subscriber.reconcile.schedule import CREATOR

LIMITS: Final = RequestLimits(at_once=2 * SCHEDULED_RANGES, per_second=50.0)
"""A hundredth of what S3 gives a prefix (5,500 reads a second; S3 user guide, "Optimizing performance")."""


GapOf: TypeAlias = Callable[[str], Awaitable[str | None]]
"""Why the changes of a bucket certainly do not arrive, as the end of a sentence; None: they may."""

_log = get_logger()


class ScheduledJobs:
    """Runs jobs for ReconcileSchedule, one at a time.

    Args:
        options: the database.
        pace: of the daemon.
        metrics: the catalog.
        lag_seconds: how late rows are; the grace of a new job follows it.
        is_repair: whether new jobs repair what they find.
        batch_rows: the most rows of a statement.
        gap_of: asked before a job that repairs; a bucket with a gap is compared only.
    """

    def __init__(
        self,
        options: StoreOptions,
        pace: Pace,
        metrics: Metrics,
        lag_seconds: Callable[[], float],
        *,
        is_repair: bool,
        batch_rows: int,
        gap_of: GapOf,
    ) -> None:
        self._options = msgspec.structs.replace(options, connections_max=SCHEDULED_RANGES)
        self._pace = pace
        self._metrics = metrics
        self._lag_seconds = lag_seconds
        self._is_repair = is_repair
        self._gap_of = gap_of
        self._work = WorkOptions(SCHEDULED_RANGES, RangeOptions(batch_rows=batch_rows))
        self._counted = Counters()

    async def run(self, bucket: str, job_id: int | None) -> Job:
        """See schedule.RunJob."""
        target = Target(BucketOptions(bucket), "", LIMITS)
        jobs = Jobs(self._options)
        try:
            job = await jobs.get(await self._created(jobs, target) if job_id is None else job_id)
        finally:
            await jobs.close()
        self._counted = job.counters
        job, _ = await work_on_job(self._options, job, target, self._work, pace=self._pace, show=self._count)
        self._count(job)
        return job

    async def _created(self, jobs: Jobs, target: Target) -> int:
        """A new job of the whole bucket."""
        options = JobOptions(
            repair=self._is_repair and await self._may_repair(target.bucket.bucket),
            grace_seconds=math.ceil(default_grace_seconds(self._lag_seconds())),
            versions=await has_versions(target),
        )
        ranges, _ = await plan(self._options, target, SCHEDULED_RANGES)
        new = new_job("reconcile", target, ranges, options)
        return await jobs.create(msgspec.structs.replace(new, created_by=f"{CREATOR} of {new.created_by}"))

    async def _may_repair(self, bucket: str) -> bool:
        """Whether changes of the bucket arrive: else the index would be out of date at once, and nobody told."""
        gap = await self._gap_of(bucket)
        if gap is not None:
            _log.warning("reconcile.not_repaired", bucket=bucket, detail=f"bucket {bucket} {gap}")
        return gap is None

    def _count(self, job: Job) -> None:
        """Add to the counters of the process what the job has done since the last time."""
        before, now = self._counted, job.counters
        self._counted = now
        self._metrics.reconcile_requests.inc(max(0, now.requests - before.requests))
        self._metrics.reconcile_versions.inc(max(0, now.listed - before.listed))
        self._metrics.reconcile_rows.inc(max(0, now.written - before.written))
