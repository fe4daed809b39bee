"""Writes the results of a job where its command is told to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from subscriber.adapters.postgres.jobs import Jobs
from subscriber.cli.jobs_text import tolerance_text
from subscriber.errors import ConfigurationError, QueueError, SubscriberError
from subscriber.jobs import Job, JobRange
from subscriber.reconcile.inventory.file_ranges import file_number
from subscriber.reconcile.inventory.fill_job import KIND as INVENTORY_KIND
from subscriber.reconcile.inventory.fill_job import file_keys
from subscriber.reconcile.results import InputOf, result_place, write_job_results, writer_to


async def print_results(jobs: Jobs, job: Job, place_text: str | None) -> None:
    """Write the results of a job to a folder or S3, and print on stderr where they are; None: do nothing.

    Raises:
        ConfigurationError: the folder does not take them.
        ListingError: S3 does not.
        StoreError: the database failed.
    """
    if place_text is None:
        return
    place = result_place(place_text)
    input_of = await _file_inputs(job) if job.kind == INVENTORY_KIND else None
    try:
        async with writer_to(place) as writer:
            manifest = await write_job_results(jobs, job, place, writer, input_of)
    except OSError as error:
        raise ConfigurationError(f"the results cannot be written to {place_text}: {error.strerror}") from error
    click.echo(f"the results of job {job.job_id} are in {manifest}", err=True)


async def require_success(jobs: Jobs, job: Job) -> None:
    """Check that a job that has ended has succeeded.

    Raises:
        QueueError: it failed; the text has the first reason, and how to go on.
        SubscriberError: it was cancelled, or ended otherwise.
        StoreError: the database failed.
    """
    job_id = job.job_id
    if job.state == "failed":
        failed = await jobs.ranges(job_id, at_most=1, states={"failed"})
        why = f" ({failed[0].error})" if failed and failed[0].error else ""
        noun, command = ("files", "backfill") if job.kind == INVENTORY_KIND else ("ranges", job.kind)
        raise QueueError(
            f"job {job_id} failed in {job.ranges.failed} of {job.ranges.total} {noun}{why}; it tolerates "
            f"{tolerance_text(job.tolerance)}: `subscriber jobs show {job_id}` has all of them. Once the cause is "
            f"gone, `subscriber jobs redrive {job_id}` makes them pending again, and `subscriber {command} --job "
            f"{job_id}` works on them"
        )
    if job.state != "succeeded":
        raise SubscriberError(f"job {job_id} is {job.state}: `subscriber jobs redrive {job_id}` goes on with it")


async def _file_inputs(job: Job) -> InputOf:
    keys = await file_keys(job)

    def input_of(held: JobRange) -> Mapping[str, Any]:
        inventory, key = job.options.inventory, keys[file_number(held)]
        return {"Bucket": job.bucket, "Prefix": job.prefix, "Inventory": inventory, "Key": key}

    return input_of
