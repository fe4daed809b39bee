"""Compares the buckets with the index on a schedule: the fleet one bucket at a time, by one worker at a time.

What is due follows from the rows of the jobs, so a restart begins nothing anew, and a job that an operator ran by hand
counts as well. Every worker publishes what the last complete job of a bucket found. The one that holds the lock runs
the jobs that are due; where it ends in any way, the next one goes on with its job. Two workers that both believe they
hold it, for the seconds in which a connection is lost, share the ranges of one job, which is harmless.
"""

from __future__ import annotations

import asyncio
import math
import random
import zlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol, TypeAlias

import msgspec

from subscriber.errors import SubscriberError
from subscriber.flow.backoff import Backoff, is_power_of_two
from subscriber.jobs import BucketJobs, Job
from subscriber.observe.log import get_logger
from subscriber.observe.metrics import Metrics

CREATOR: Final = "schedule"
"""How `created_by` of the jobs begins."""
LOOK_SECONDS: Final = 60.0
LOOKS_PER_PERIOD: Final = 60
"""A look comes at least so often in a period, down to one a second."""
FIRST_LOOK_WITHIN_SECONDS: Final = 5.0
JITTER: Final = 0.05
"""Part of the period by which a bucket is due earlier or later, so that the buckets of many fleets do not meet."""
LOCK_SECONDS: Final = 10.0
"""Between two looks at the lock while a job runs."""
BUCKETS_AT_MOST: Final = 100
"""Of an index without an allow-list."""
RETRY: Final = Backoff(first_seconds=60.0, max_seconds=3600.0, jitter=0.2)
"""After a job that could not be run or has failed."""

RunJob: TypeAlias = Callable[[str, int | None], Awaitable[Job]]
"""Compares a bucket with the index to the end of a job, a new one or the one of this id, and returns it as it is then.
It raises SubscriberError; cancelled, it lets others go on."""

_log = get_logger()


class LockLostError(SubscriberError):
    """Another worker holds the lock now."""


class Lock(Protocol):
    """The lock of the fleet; see AdvisoryLock."""

    async def is_ours(self) -> bool:
        """Take the lock, if it is free; whether it is ours now."""
        ...

    async def release(self) -> None:
        """Give it back."""
        ...


class Tables(Protocol):
    """What the jobs say; see BucketJobsTable."""

    async def of(self, buckets: Sequence[str], creator: str) -> list[BucketJobs]:
        """The jobs of each bucket."""
        ...

    async def indexed_buckets(self, at_most: int) -> list[str]:
        """The first buckets of the index."""
        ...


class ScheduleOptions(msgspec.Struct, frozen=True):
    """When, and which buckets."""

    every_seconds: float
    buckets: tuple[str, ...] = ()
    """The allow-list; empty: the buckets of the index."""


def look_seconds(every_seconds: float) -> float:
    """How often a worker looks for what is due."""
    return min(LOOK_SECONDS, max(1.0, every_seconds / LOOKS_PER_PERIOD))


def is_due(jobs: BucketJobs, every_seconds: float) -> bool:
    """Whether a bucket is to be compared now, or its job to be gone on with.

    The time depends on the last job that ended, and so does its jitter: all workers agree on it. A job that has failed
    is tried again after an hour at most; one that was cancelled is not, because somebody did not want it.
    """
    if jobs.unfinished_id is not None:
        return not jobs.is_paused
    if jobs.ended_seconds is None:
        return True
    wait_seconds = min(every_seconds, RETRY.max_seconds) if jobs.has_failed else every_seconds
    spread = zlib.crc32(f"{jobs.bucket} {jobs.ended_id}".encode()) / (1 << 31) - 1
    return jobs.ended_seconds >= wait_seconds * (1 + JITTER * spread)


class ReconcileSchedule:
    """One per daemon.

    Args:
        options: when, and which buckets.
        tables: what the jobs say.
        lock: of the fleet.
        run_job: does the work.
        metrics: the catalog.
    """

    def __init__(self, options: ScheduleOptions, tables: Tables, lock: Lock, run_job: RunJob, metrics: Metrics) -> None:
        self._options = options
        self._tables = tables
        self._lock = lock
        self._run_job = run_job
        self._metrics = metrics
        self._failures: dict[str | None, int] = {}
        """By bucket, since its last job that ended well; None: failures to look."""
        self._retry_at: dict[str, float] = {}
        """By bucket; loop's clock."""

    async def run(self) -> None:
        """Look for what is due, and do it; ends by cancellation only."""
        await asyncio.sleep(FIRST_LOOK_WITHIN_SECONDS * random.random())  # noqa: S311 – jitter, not a secret
        while True:
            try:
                await self._look()
                self._failures.pop(None, None)
            except Exception as error:  # noqa: BLE001 – whatever fails here, the pipeline goes on
                self._note_failure(error)
            pause_seconds = look_seconds(self._options.every_seconds)
            await asyncio.sleep(pause_seconds * random.uniform(0.8, 1.2))  # noqa: S311 – jitter, not a secret

    async def _look(self) -> None:
        """Publish what is known; if something is due and nobody is at it, do it."""
        if not await self._due():
            return
        try:
            if await self._lock.is_ours():
                for jobs in await self._due():  # again: another worker may have done it meanwhile
                    await self._reconcile(jobs)
                await self._due()  # for the metrics
        finally:
            await self._lock.release()

    async def _due(self) -> list[BucketJobs]:
        buckets = self._options.buckets or await self._tables.indexed_buckets(BUCKETS_AT_MOST)
        known = await self._tables.of(buckets, CREATOR)
        self._publish(known)
        self._failures = {each: self._failures[each] for each in (None, *buckets) if each in self._failures}
        self._retry_at = {each: self._retry_at[each] for each in buckets if each in self._retry_at}
        now = asyncio.get_running_loop().time()
        return [
            jobs
            for jobs in known
            if is_due(jobs, self._options.every_seconds) and now >= self._retry_at.get(jobs.bucket, now)
        ]

    async def _reconcile(self, jobs: BucketJobs) -> None:
        """One bucket; its failure is noted and does not keep the next one from its turn, unless the lock is lost."""
        _log.info("reconcile.started", bucket=jobs.bucket, job=jobs.unfinished_id)
        try:
            job = await self._while_locked(self._run_job(jobs.bucket, jobs.unfinished_id))
        except LockLostError:
            raise
        except Exception as error:  # noqa: BLE001 – whatever fails here, the pipeline goes on
            self._note_failure(error, jobs.bucket)
            return
        counters = job.counters
        if job.state == "failed":
            detail = f"{job.ranges.failed} of its ranges failed; see `subscriber jobs show {job.job_id}`"
            self._note_failure(SubscriberError(f"job {job.job_id}: {detail}"), jobs.bucket)
            return
        self._failures.pop(jobs.bucket, None)
        _log.info(
            "reconcile.finished",
            bucket=jobs.bucket,
            job=job.job_id,
            state=job.state,
            listed=counters.listed,
            drift=counters.missing + counters.ghost + counters.stale,
            missing=counters.missing,
            ghost=counters.ghost,
            stale=counters.stale,
            written=counters.written,
            requests=counters.requests,
        )

    async def _while_locked(self, work: Awaitable[Job]) -> Job:
        """Work as long as the lock is ours."""
        try:
            async with asyncio.TaskGroup() as group:
                keeping = group.create_task(self._keep_lock(), name="reconcile lock")
                job = await work
                keeping.cancel()
        except ExceptionGroup as errors:  # the work and the lock fail for one reason
            raise errors.exceptions[0] from None
        return job

    async def _keep_lock(self) -> None:
        while True:
            await asyncio.sleep(LOCK_SECONDS)
            if not await self._lock.is_ours():
                raise LockLostError("another worker took the lock, and goes on with the job")

    def _note_failure(self, error: Exception, bucket: str | None = None) -> None:
        failures = self._failures[bucket] = self._failures.get(bucket, 0) + 1
        if bucket is not None:
            self._retry_at[bucket] = asyncio.get_running_loop().time() + RETRY.delay_seconds(failures)
        self._metrics.reconcile_failures.inc()
        if is_power_of_two(failures):
            detail = str(error) if isinstance(error, SubscriberError) else repr(error)
            _log.warning("reconcile.failed", bucket=bucket, detail=detail, failures=failures)

    def _publish(self, known: Sequence[BucketJobs]) -> None:
        """One series for each bucket of the allow-list; an index may name any number, so they share one."""
        for label, group in self._by_label(known).items():
            for kind in ("missing", "ghost", "stale"):
                found = sum(getattr(jobs, kind) for jobs in group)
                self._metrics.drift_objects.labels(label, kind).set(found)
            ages = [jobs.complete_seconds for jobs in group if jobs.complete_seconds is not None]
            oldest_seconds = max(ages) if len(ages) == len(group) else math.nan
            self._metrics.reconcile_age_seconds.labels(label).set(oldest_seconds)

    def _by_label(self, known: Sequence[BucketJobs]) -> dict[str, list[BucketJobs]]:
        groups: dict[str, list[BucketJobs]] = {}
        for jobs in known:
            groups.setdefault(jobs.bucket if self._options.buckets else "all", []).append(jobs)
        return groups
