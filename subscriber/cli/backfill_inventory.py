"""`subscriber backfill --inventory`: fill the index from an inventory or a list of keys."""

from __future__ import annotations

import asyncio
import sys
from functools import partial
from typing import Final

import click
import msgspec

from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.adapters.postgres.jobs import Jobs
from subscriber.cli.bucket_events import require_events
from subscriber.cli.job_results import print_results, require_success
from subscriber.cli.jobs import ToleranceOption
from subscriber.cli.location import location_of
from subscriber.cli.reconcile_pace import opened_pace
from subscriber.errors import ExitCode
from subscriber.jobs import Job, PageDone, Tolerance
from subscriber.quarantine.commands import run_on_database
from subscriber.quarantine.progress import Progress
from subscriber.reconcile.inventory.fill_job import NewFill, absolute, create, work
from subscriber.reconcile.inventory.key_list import FORMATS, SourceFormat
from subscriber.settings.table import Settings

INVENTORY_OPTIONS: Final = (
    click.option(
        "--inventory", metavar="PLACE", help="Read manifest.json, its folder or a list of keys; s3://… or a path."
    ),
    click.option(
        "--inventory-format",
        type=click.Choice(FORMATS),
        help="What --inventory is.  [default: recognized]",
    ),
    click.option(
        "--tolerated-failures",
        type=ToleranceOption(),
        default="0",
        show_default=True,
        help="Files that may fail before the job of an inventory does, as in 5 or 2.5%.",
    ),
)
"""Of `backfill`, beside its others."""


class InventoryRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line asks for."""

    location: str | None
    """`s3://BUCKET/PREFIX`."""
    inventory: str
    inventory_format: SourceFormat | None
    concurrency: int
    tolerated_failures: Tolerance
    results: str | None
    anyway: bool
    """Whether a bucket is filled that does not send its events to our queues."""


def fill_from_inventory(settings: Settings, request: InventoryRequest) -> ExitCode:
    """Do what the command asks and print the result.

    Raises:
        SubscriberError: it could not be done; the text is for the operator.
    """
    return run_on_database(settings, partial(_run, _new_fill(request), request, settings))


async def _run(new: NewFill, request: InventoryRequest, settings: Settings, database: StoreOptions) -> ExitCode:
    if not request.anyway:
        await require_events(settings, new.bucket, new.prefix)
    jobs = Jobs(database)
    try:
        job = await jobs.get(await create(jobs, new))
        return await fill_on_job(database, jobs, job, request.results, settings)
    finally:
        await jobs.close()


async def fill_on_job(
    database: StoreOptions, jobs: Jobs, job: Job, results: str | None, settings: Settings
) -> ExitCode:
    """Work on a job that reads an inventory until it has ended, and print the result.

    Args:
        database: of the index.
        jobs: the tables of the same schema.
        job: as it is now.
        results: where its results are written; None for nowhere.
        settings: for the pace and the rows of a statement.

    Raises:
        SubscriberError: it did not succeed; the text is for the operator.
    """
    job = await _worked_on(database, jobs, job, settings)
    await print_results(jobs, job, results)
    await require_success(jobs, job)
    click.echo(_result_text(job))
    return ExitCode.DRAINED


def _new_fill(request: InventoryRequest) -> NewFill:
    bucket, prefix = location_of(request.location or "")
    return NewFill(
        bucket,
        prefix,
        absolute(request.inventory),
        request.inventory_format,
        request.concurrency,
        request.tolerated_failures,
    )


async def _worked_on(database: StoreOptions, jobs: Jobs, job: Job, settings: Settings) -> Job:
    """Work until the job has ended, with progress on stderr."""
    progress, tally = Progress(sys.stderr, _progress_text), _Tally(job.job_id)

    def count(page: PageDone) -> None:
        tally.rows += page.counters.listed
        tally.written += page.counters.written
        progress.show(tally)

    click.echo(f"job {job.job_id}: {job.ranges.total} files of {job.options.inventory}", err=True)
    try:
        async with opened_pace(settings, database, job.options.share) as pace:
            rows = settings.batch_max_rows
            ended = await work(database, jobs, job, count, rows_per_statement=rows, permit=pace.permit)
    except asyncio.CancelledError:
        progress.end()
        click.echo(
            f"stopped early: `subscriber backfill --job {job.job_id}` goes on where job {job.job_id} stopped", err=True
        )
        raise
    progress.end()
    return ended


class _Tally(msgspec.Struct):
    """What this process has done."""

    job_id: int
    rows: int = 0
    written: int = 0


def _progress_text(tally: _Tally, elapsed_seconds: float) -> str:
    rate = tally.rows / elapsed_seconds if elapsed_seconds > 0 else 0.0
    return f"job {tally.job_id}: {tally.rows} rows read, {tally.written} added; {rate:.0f}/s"


def _result_text(job: Job) -> str:
    ranges, counters = job.ranges, job.counters
    failed = f", {ranges.failed} failed" if ranges.failed else ""
    return (
        f"job {job.job_id} succeeded: {ranges.succeeded} of {ranges.total} files{failed}; "
        f"{counters.listed} rows read, {counters.written} added, {counters.listed - counters.written} known before"
    )
