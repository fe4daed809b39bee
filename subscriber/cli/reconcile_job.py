"""Creates or joins the job of one command, works on it, and reports."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Final

import click
import msgspec

from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.adapters.postgres.jobs import Jobs
from subscriber.adapters.postgres.object_index import ObjectIndex
from subscriber.adapters.postgres.store import opened_store
from subscriber.adapters.s3.client import BucketOptions
from subscriber.cli.backfill_inventory import fill_on_job
from subscriber.cli.bucket_events import require_events
from subscriber.cli.job_results import print_results, require_success
from subscriber.cli.location import location_of
from subscriber.cli.reconcile_pace import opened_pace
from subscriber.cli.reconcile_plan import range_of_a_task, write_plan
from subscriber.cli.reconcile_text import (
    Report,
    Seen,
    cost_usd,
    has_drift,
    progress_text,
    report_text,
    utc_text,
)
from subscriber.errors import ExitCode
from subscriber.flow.request_budget import RequestLimits
from subscriber.jobs import (
    EXAMPLES_PER_RANGE,
    Counters,
    DriftExample,
    Job,
    JobOptions,
    JobRange,
    RangeCounts,
    Tolerance,
)
from subscriber.quarantine.commands import run_on_database
from subscriber.quarantine.progress import Progress
from subscriber.reconcile.inventory.fill_job import KIND as INVENTORY_KIND
from subscriber.reconcile.plan import PlannedRange
from subscriber.reconcile.range_pass import RangeOptions, RangePass
from subscriber.reconcile.run import (
    RANGES_OF_A_PLAN_PER_WORKER,
    Target,
    WorkOptions,
    has_versions,
    new_job,
    opened_lister,
    plan,
    plan_without_job,
    work_on_job,
)
from subscriber.settings.table import Settings

_RANGES_AT_ONCE: Final = 1000


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line asks for."""

    kind: str
    location: str | None
    repair: bool
    grace_seconds: int | None
    anyway: bool
    form: str
    workers: int
    requests_per_second: float
    requester_pays: bool
    job_id: int | None
    plan_file: str | None
    range_text: str | None
    ranges: int | None = None
    """Of a plan."""
    results: str | None = None


def reconcile_bucket(settings: Settings, request: Request) -> ExitCode:
    """Do what the command asks and print the result.

    Raises:
        SubscriberError: it could not be done; the text is for the operator.
    """
    return run_on_database(settings, lambda options: _Command(settings, request, options).run())


class _Command:
    """One run of a command."""

    def __init__(self, settings: Settings, request: Request, options: StoreOptions) -> None:
        self._settings, self._request = settings, request
        connections = max(options.connections_max, request.workers + 1)
        self._options = msgspec.structs.replace(options, connections_max=connections)
        self._work = WorkOptions(request.workers, RangeOptions(batch_rows=settings.batch_max_rows))
        self._expected = 0

    async def run(self) -> ExitCode:
        """See reconcile_bucket."""
        request = self._request
        if request.range_text is not None:
            return await self._one_range(await range_of_a_task(request.range_text))
        if request.job_id is not None:
            return await self._on_job(request.job_id)
        bucket, prefix = location_of(request.location or "")
        target = self._target(bucket, prefix)
        if not request.anyway:
            await require_events(self._settings, bucket, prefix)
        if request.plan_file is not None:
            count = request.ranges or request.workers * RANGES_OF_A_PLAN_PER_WORKER
            planned = await plan_without_job(self._options, target, count)
            await write_plan(request.plan_file, [PlannedRange(bucket, prefix, keys) for keys in planned])
            return ExitCode.DRAINED
        ranges, sample = await plan(self._options, target, request.workers)
        self._expected = sample.versions
        jobs = Jobs(self._options)
        try:
            options = self._job_options(versions=await has_versions(target))
            job_id = await jobs.create(new_job(request.kind, target, ranges, options))
        finally:
            await jobs.close()
        return await self._on_job(job_id)

    async def _on_job(self, job_id: int) -> ExitCode:
        jobs = Jobs(self._options)
        try:
            job = await jobs.get(job_id)
            if job.kind == INVENTORY_KIND:
                return await fill_on_job(self._options, jobs, job, self._request.results, self._settings)
            target = self._target(job.bucket, job.prefix)
            share = job.options.share
            async with opened_pace(self._settings, self._options, share) as pace:
                with self._progress(job) as show:
                    job, passed = await work_on_job(self._options, job, target, self._work, pace=pace, show=show)
            examples = await _examples(jobs, job_id)
            await print_results(jobs, job, self._request.results)
            await require_success(jobs, job)
            return self._printed(job, passed, job.counters, examples)
        finally:
            await jobs.close()

    async def _one_range(self, planned: PlannedRange) -> ExitCode:
        target = self._target(planned.bucket, planned.prefix)
        options = self._job_options(versions=await has_versions(target))
        job, held = _without_rows(self._request.kind, planned, options)
        counted, examples = [0] * len(Counters.__struct_fields__), list[DriftExample]()
        async with (
            opened_lister(target, versions=options.versions) as lister,
            opened_store(self._options) as store,
            opened_pace(self._settings, self._options, options.share) as pace,
        ):
            passed = RangePass(lister, lambda: ObjectIndex(self._options), store, pace, self._work.range_options)
            async for page in passed.do_range(job, held):
                counted = [sum(pair) for pair in zip(counted, msgspec.structs.astuple(page.counters), strict=True)]
                examples += page.examples[: EXAMPLES_PER_RANGE - len(examples)]
        return self._printed(job, passed, Counters(*counted), tuple(examples))

    def _job_options(self, *, versions: bool) -> JobOptions:
        request = self._request
        return JobOptions(
            repair=request.repair, grace_seconds=request.grace_seconds, anyway=request.anyway, versions=versions
        )

    def _target(self, bucket: str, prefix: str) -> Target:
        asked = BucketOptions(bucket, is_requester_pays=self._request.requester_pays)
        limits = RequestLimits(2 * self._request.workers, self._request.requests_per_second)
        return Target(asked, prefix, limits)

    def _printed(self, job: Job, passed: RangePass, counters: Counters, examples: tuple[DriftExample, ...]) -> ExitCode:
        drifts = has_drift(counters)
        report = Report(
            job_id=job.job_id or None,
            bucket=job.bucket,
            prefix=job.prefix,
            state=job.state,
            repair=job.options.repair,
            drift=drifts,
            counters=counters,
            begun_again=job.begun_again,
            unjudged=passed.totals.unjudged,
            looked_at_once=passed.totals.looked_at_once,
            youngest=utc_text(passed.totals.youngest),
            cost_usd=cost_usd(counters.requests, self._settings.list_price_per_million),
            examples=examples,
        )
        if self._request.form == "json":
            click.echo(msgspec.json.encode(report))
        else:
            click.echo("\n".join(report_text(report)))
        return ExitCode.DRIFT if drifts and not job.options.repair else ExitCode.DRAINED

    @contextmanager
    def _progress(self, job: Job) -> Iterator[Callable[[Job], None]]:
        progress = Progress(sys.stderr, progress_text)
        price, began_with = self._settings.list_price_per_million, job.counters.listed

        def show(now: Job) -> None:
            cost = cost_usd(now.counters.requests, price)
            progress.show(Seen(now.counters, self._expected, began_with, cost))

        try:
            yield show
        except asyncio.CancelledError:
            progress.end()
            text = f"stopped early: `subscriber {job.kind} --job {job.job_id}` goes on where job {job.job_id} stopped"
            click.echo(text, err=True)
            raise
        except BaseException:
            progress.end()
            raise
        progress.end()


def _without_rows(kind: str, planned: PlannedRange, options: JobOptions) -> tuple[Job, JobRange]:
    """A job and its only range that no table holds."""
    now = datetime.now(UTC)
    job = Job(
        job_id=0,
        kind=kind,
        bucket=planned.bucket,
        prefix=planned.prefix,
        options=options,
        state="succeeded",
        concurrency=1,
        tolerance=Tolerance(),
        created_by="",
        created_at=now,
        started_at=now,
        finished_at=None,
        ranges=RangeCounts(running=1),
        counters=Counters(),
    )
    held = JobRange(0, 1, planned.keys, None, "running", 1, 1, None, None, None, Counters(), (), None, now, None)
    return job, held


async def _examples(jobs: Jobs, job_id: int) -> tuple[DriftExample, ...]:
    """The first examples of a job, in the order of its ranges."""
    found, after = list[DriftExample](), 0
    while len(found) < EXAMPLES_PER_RANGE:
        ranges = await jobs.ranges(job_id, after, _RANGES_AT_ONCE)
        if not ranges:
            break
        after = ranges[-1].number
        found += [example for each in ranges for example in each.examples]
    return tuple(found[:EXAMPLES_PER_RANGE])
