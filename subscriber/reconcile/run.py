"""Plans a job for a bucket, and works on it in this process beside any number of others."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Final

import msgspec

from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.adapters.postgres.jobs import Jobs
from subscriber.adapters.postgres.object_index import ObjectIndex, Sample
from subscriber.adapters.postgres.store import opened_store
from subscriber.adapters.s3.chain import Operation
from subscriber.adapters.s3.client import BucketOptions
from subscriber.adapters.s3.lister import BucketLister, ListerOptions
from subscriber.errors import AwsErrorKind, ListingError, aws_error_kind
from subscriber.flow.request_budget import RequestLimits
from subscriber.jobs import Job, JobOptions, JobRange, NewJob
from subscriber.model import KeyRange
from subscriber.ports import SplittableLister
from subscriber.reconcile.listing_wait import ListingWait
from subscriber.reconcile.pace import Pace
from subscriber.reconcile.probed_plan import probed_ranges
from subscriber.reconcile.range_pass import RangeOptions, RangePass
from subscriber.reconcile.ranges import prefix_range, ranges_between
from subscriber.reconcile.splitting import Splitting
from subscriber.reconcile.worker import ChooseSplit, Worker, WorkerOptions

RANGES_OF_A_PLAN_PER_WORKER: Final = 4
"""So that tasks end at about the same time. In a job idle workers split ranges instead: at the end of each range the
grace passes, if anything differs."""
SPLIT_EVERY_LISTED: Final = 5_000
"""Versions that a range must have listed since a cut was last sought in it: that takes some requests."""
SPLIT_AFTER_PAGES: Final = 3
"""A cut lies so far ahead of the range's worker: it has a page in work and one asked for, and learns of the cut with
the next one. Were it past the cut by then, it would decline."""
LOOKAHEADS_AT_MOST: Final = 48
"""For one split: five or six for each place at which the keys differ."""
CONCURRENCY: Final = 64
"""Ranges of a new job that all processes may do at once; `subscriber jobs tune` changes it. Each process has a bound of
its own."""
PROGRESS_SECONDS: Final = 1.0
IDLE_SECONDS: Final = 0.5
"""Between two looks for work: a small job ends at once."""


class Target(msgspec.Struct, frozen=True):
    """A bucket, or the part of it with one prefix, and how it is asked."""

    bucket: BucketOptions
    prefix: str
    limits: RequestLimits


class WorkOptions(msgspec.Struct, frozen=True):
    """How this process works."""

    slots: int
    """Ranges that it has in work at once."""
    range_options: RangeOptions = RangeOptions()
    lease_seconds: float = 60.0


async def has_versions(target: Target) -> bool:
    """Whether versions must be listed: the bucket has or had versioning, or does not let us know."""
    async with BucketLister(ListerOptions(target.bucket, "ListObjectVersions", limits=target.limits)) as lister:
        try:
            return await lister.has_versioning()
        except ListingError as error:
            if aws_error_kind(error.code) is not AwsErrorKind.DENIED:
                raise
            return True  # ListObjectVersions is right for every bucket


@asynccontextmanager
async def opened_lister(target: Target, *, versions: bool) -> AsyncIterator[BucketLister]:
    """The lister of a job."""
    operation: Operation = "ListObjectVersions" if versions else "ListObjectsV2"
    async with BucketLister(ListerOptions(target.bucket, operation, target.prefix, target.limits)) as lister:
        yield lister


async def plan(store: StoreOptions, target: Target, parts: int) -> tuple[tuple[KeyRange, ...], Sample]:
    """The ranges of a job, of about equal size where the index knows keys; and the sample that they come from."""
    index = ObjectIndex(store)
    try:
        sample = await index.sample(target.bucket.bucket, target.prefix, parts)
    finally:
        await index.close()
    return tuple(ranges_between(sample.quantiles, prefix_range(target.prefix))), sample


async def plan_without_job(store: StoreOptions, target: Target, count: int) -> tuple[KeyRange, ...]:
    """Ranges for others to hand out, which nobody divides while they are in work.

    Where the index knows too few keys the bucket is asked, by at most some ten requests for each range.
    """
    ranges, _ = await plan(store, target, count)
    if len(ranges) >= count:
        return ranges
    async with opened_lister(target, versions=await has_versions(target)) as lister:
        return tuple(await probed_ranges(lister, prefix_range(target.prefix), ranges, count))


def new_job(kind: str, target: Target, ranges: Sequence[KeyRange], options: JobOptions) -> NewJob:
    """The job to create."""
    bucket, prefix = target.bucket.bucket, target.prefix
    return NewJob(kind, bucket, prefix, tuple(ranges), worker_name(), options, concurrency=CONCURRENCY)


async def work_on_job(
    store_options: StoreOptions,
    job: Job,
    target: Target,
    options: WorkOptions,
    *,
    pace: Pace | None = None,
    show: Callable[[Job], None] = lambda _: None,
) -> tuple[Job, RangePass]:
    """Work until the job has ended; return it as it is then, and what this process found.

    Cancelled, it gives its ranges back, and the job can be gone on with.

    Args:
        store_options: the database.
        job: as it is now.
        target: its bucket and prefix.
        options: of this process.
        pace: of what the database does.
        show: takes the job every second.

    Raises:
        SubscriberError: as Worker.run and BucketLister raise them.
    """
    async with (
        _tables(store_options) as jobs,
        opened_lister(target, versions=job.options.versions) as lister,
        opened_store(store_options) as store,
        _shown(store_options, job.job_id, show),
    ):
        passed = RangePass(lister, lambda: ObjectIndex(store_options), store, pace, options.range_options)
        named = WorkerOptions(worker_name(), options.slots, options.lease_seconds, idle_seconds=IDLE_SECONDS)
        worker = Worker(jobs, passed.do_range, named, split_chooser(lister, jobs, passed.reached, passed.waits))
        return await worker.run(job.job_id), passed


def split_chooser(lister: SplittableLister, jobs: Jobs, reached: Mapping[int, str], waits: ListingWait) -> ChooseSplit:
    """Chooses a cut in a range in work with keys on both sides of it, by requests for one key each.

    Args:
        lister: of the job.
        jobs: the tables.
        reached: of ranges in this process, how far they are listed, committed or not.
        waits: of the ranges in this process that fill the index.
    """
    sought: dict[int, int] = {}

    async def choose(job: Job, running: Sequence[JobRange]) -> tuple[JobRange, str] | None:
        if not waits.is_long:
            return None
        for owned in sorted(running, key=lambda each: -each.counters.listed):
            listed = owned.counters.listed
            rest = _unlisted(owned, reached)
            if not rest.after or owned.cut_at is not None or listed < sought.get(owned.number, 0) + SPLIT_EVERY_LISTED:
                continue
            sought[owned.number] = listed
            cuts = await _cuts(lister, rest)
            now = await jobs.ranges(job.job_id, owned.number - 1, 1)  # its worker went on meanwhile
            for cut in cuts[len(cuts) // 2 :] if now else ():
                if await _is_ahead(lister, _unlisted(now[0], reached), cut):
                    return now[0], cut
        return None

    return choose


def _unlisted(owned: JobRange, reached: Mapping[int, str]) -> KeyRange:
    """What is left to list of a range; at its end a range without keys."""
    position = max(owned.position or "", reached.get(owned.number, ""))
    return KeyRange(position, owned.keys.upto)


async def _is_ahead(lister: SplittableLister, keys: KeyRange, cut: str) -> bool:
    """Whether several pages of keys lie before the cut."""
    if keys.after >= cut:
        return False
    pages = 0
    async with aclosing(lister.pages(KeyRange(keys.after, cut))) as listed:
        async for _ in listed:
            pages += 1
            if pages == SPLIT_AFTER_PAGES:
                return True
    return False


async def _cuts(lister: SplittableLister, keys: KeyRange) -> list[str]:
    """Some cuts in order, with keys before and behind each."""
    if keys.upto is not None and keys.after >= keys.upto:
        return []
    splitting = Splitting([keys])
    part, cuts = splitting.next_part(), list[str]()
    if part is not None:
        splitting.page_given(part, keys.after)
    for _ in range(LOOKAHEADS_AT_MOST):
        lookahead = splitting.next_lookahead()
        if lookahead is None:
            break
        found = await lister.first_key(lookahead.keys)
        splitting.answered(lookahead, found)
        if found is None:
            continue
        cuts.append(lookahead.cut)
        splitting.part_ended(lookahead.part)  # a cut further on is wanted
        if (upper := splitting.next_part()) is not None:
            splitting.page_given(upper, found)
    return cuts


def worker_name() -> str:
    """For operators: host and process."""
    return f"{socket.gethostname()}-{os.getpid()}"


@asynccontextmanager
async def _tables(options: StoreOptions) -> AsyncIterator[Jobs]:
    jobs = Jobs(options)
    try:
        yield jobs
    finally:
        await jobs.close()


@asynccontextmanager
async def _shown(options: StoreOptions, job_id: int, show: Callable[[Job], None]) -> AsyncIterator[None]:
    """Show the job while the block runs; a failure to read it is left to the worker, which reads it too."""
    task = asyncio.create_task(_show(options, job_id, show), name=f"job-{job_id}-progress")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            task.exception()


async def _show(options: StoreOptions, job_id: int, show: Callable[[Job], None]) -> None:
    async with _tables(options) as jobs:
        while True:
            await asyncio.sleep(PROGRESS_SECONDS)
            show(await jobs.get(job_id))
