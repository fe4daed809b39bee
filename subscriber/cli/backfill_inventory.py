"""`subscriber backfill --inventory`: fill the index from an inventory or a list of keys."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, TypeVar

import click
import msgspec

from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.adapters.postgres.jobs import Jobs
from subscriber.cli import jobs_text
from subscriber.cli.environment import read_settings
from subscriber.cli.jobs import ToleranceOption
from subscriber.errors import ConfigurationError, ExitCode, QueueError, SubscriberError
from subscriber.events.key import MAX_BUCKET_BYTES, MAX_KEY_BYTES, is_storable
from subscriber.jobs import Job, JobRange, PageDone, Tolerance
from subscriber.observe.log import bytes_of
from subscriber.quarantine.commands import run_on_database
from subscriber.quarantine.progress import Progress
from subscriber.reconcile.inventory.file_ranges import file_number
from subscriber.reconcile.inventory.fill_job import SLOTS_AT_MOST, NewFill, absolute, create, file_keys, work
from subscriber.reconcile.inventory.key_list import FORMATS, SourceFormat
from subscriber.reconcile.results import result_place, write_job_results, writer_to
from subscriber.settings.table import Settings

F = TypeVar("F", bound=Callable[..., Any])

_ID = click.IntRange(1, (1 << 63) - 1)
_CONCURRENCY = 4

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
        "--concurrency",
        type=click.IntRange(1, SLOTS_AT_MOST),
        default=_CONCURRENCY,
        show_default=True,
        help="Files that all workers of a new job read at once.",
    ),
    click.option(
        "--tolerated-failures",
        type=ToleranceOption(),
        default="0",
        show_default=True,
        help="Files that may fail before a new job does, as in 5 or 2.5%.",
    ),
    click.option(
        "--results", metavar="PLACE", help="Write what became of each file to a folder or s3://BUCKET/PREFIX."
    ),
)
"""Of the command, beside the bucket and --job."""


class InventoryRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line asks for."""

    location: str | None
    """`s3://BUCKET/PREFIX`; None with a job."""
    job_id: int | None
    inventory: str | None
    inventory_format: SourceFormat | None
    concurrency: int
    tolerated_failures: Tolerance
    results: str | None


def _options(command: F) -> F:
    for add in reversed(INVENTORY_OPTIONS):
        command = add(command)
    return command


@click.command(
    epilog="""\b
Exit codes:
  0  done
  1  interrupted or cancelled; the job can be gone on with
  2  invalid settings or arguments, or another inventory than the job's
  3  the database rejects the login or a statement
  4  the inventory cannot be read, or files of it failed
  5  the schema is missing or belongs to another release
"""
)
@click.argument("location", metavar="[s3://BUCKET/PREFIX]", required=False)
@_options
@click.option("--job", "job_id", metavar="JOB", type=_ID, help="Work on this job, beside all who already do.")
def backfill(**arguments: Any) -> None:
    """Fill the index with what an inventory of a bucket, or a list of its keys, has.

    Rows are only added: what an event told stays. Subscribe the queue first, and take an inventory whose
    creationTimestamp lies after it. Interrupted, the job goes on with --job.
    """
    request = InventoryRequest(**arguments)
    settings = read_settings(stream=bytes_of(sys.stderr), needs_queues=False)
    sys.exit(fill_from_inventory(settings, request))


def fill_from_inventory(settings: Settings, request: InventoryRequest) -> ExitCode:
    """Do what the command asks and print the result.

    Raises:
        SubscriberError: it could not be done; the text is for the operator.
    """
    if (request.job_id is None) == (request.inventory is None or request.location is None):
        raise ConfigurationError("name either a bucket and --inventory PLACE, as in s3://BUCKET/PREFIX, or --job JOB")
    return run_on_database(settings, partial(_run, request, settings.batch_max_rows))


async def _run(request: InventoryRequest, rows_per_statement: int, database: StoreOptions) -> ExitCode:
    jobs = Jobs(database)
    try:
        job_id = request.job_id if request.job_id is not None else await create(jobs, _new_fill(request))
        job = await _worked_on(database, jobs, await jobs.get(job_id), rows_per_statement)
        if request.results is not None:
            click.echo(f"results: {await _write_results(jobs, job, request.results)}")
        if job.state == "failed":
            raise await _failure(jobs, job)
        if job.state != "succeeded":
            sentence = f"job {job_id} is {job.state}: `subscriber jobs redrive {job_id}` goes on with it"
            raise SubscriberError(sentence)
        click.echo(_result_text(job))
        return ExitCode.DRAINED
    finally:
        await jobs.close()


def _new_fill(request: InventoryRequest) -> NewFill:
    location = request.location or ""
    bucket, _, prefix = location.removeprefix("s3://").partition("/")
    is_storable_name = is_storable(prefix, MAX_KEY_BYTES) and is_storable(bucket, MAX_BUCKET_BYTES)
    if not location.startswith("s3://") or not bucket or not is_storable_name:
        raise ConfigurationError(f"{location!r} names no bucket: write s3://BUCKET or s3://BUCKET/PREFIX")
    return NewFill(
        bucket,
        prefix,
        absolute(request.inventory or ""),
        request.inventory_format,
        request.concurrency,
        request.tolerated_failures,
    )


async def _worked_on(database: StoreOptions, jobs: Jobs, job: Job, rows_per_statement: int) -> Job:
    """Work until the job has ended, with progress on stderr."""
    progress, tally = Progress(sys.stderr, _progress_text), _Tally(job.job_id)

    def count(page: PageDone) -> None:
        tally.rows += page.counters.listed
        tally.written += page.counters.written
        progress.show(tally)

    click.echo(f"job {job.job_id}: {job.ranges.total} files of {job.options.inventory}", err=True)
    try:
        ended = await work(database, jobs, job, count, rows_per_statement=rows_per_statement)
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


async def _write_results(jobs: Jobs, job: Job, place_text: str) -> str:
    place, keys = result_place(place_text), await file_keys(job)

    def input_of(held: JobRange) -> Mapping[str, Any]:
        inventory, key = job.options.inventory, keys[file_number(held)]
        return {"Bucket": job.bucket, "Prefix": job.prefix, "Inventory": inventory, "Key": key}

    try:
        async with writer_to(place) as writer:
            return await write_job_results(jobs, job, place, writer, input_of)
    except OSError as error:
        raise ConfigurationError(f"the results cannot be written to {place_text}: {error.strerror}") from error


async def _failure(jobs: Jobs, job: Job) -> QueueError:
    failed = await jobs.ranges(job.job_id, at_most=1, states={"failed"})
    why = f" ({failed[0].error})" if failed and failed[0].error else ""
    job_id = job.job_id
    return QueueError(
        f"job {job_id} failed in {job.ranges.failed} of {job.ranges.total} files{why}; it tolerates "
        f"{jobs_text.tolerance_text(job.tolerance)}: `subscriber jobs show {job_id}` has all of them; once the cause "
        f"is gone, `subscriber jobs redrive {job_id}` and `subscriber backfill --job {job_id}` try them again"
    )
