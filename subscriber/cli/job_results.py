"""Writes the results of a job where its command is told to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from subscriber.adapters.postgres.jobs import Jobs
from subscriber.errors import ConfigurationError
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


async def _file_inputs(job: Job) -> InputOf:
    keys = await file_keys(job)

    def input_of(held: JobRange) -> Mapping[str, Any]:
        inventory, key = job.options.inventory, keys[file_number(held)]
        return {"Bucket": job.bucket, "Prefix": job.prefix, "Inventory": inventory, "Key": key}

    return input_of
