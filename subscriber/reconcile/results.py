"""What became of the ranges of a job, for the files that `manifest` writes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec

from subscriber.adapters.s3.client import BucketOptions
from subscriber.adapters.s3.objects import S3ObjectWriter
from subscriber.jobs import Job, JobRange, RangeState
from subscriber.reconcile.manifest import ObjectWriter, Outcome, ResultFolder, Status, range_input, write_results

RANGES_PER_CALL: Final = 1000

_STATUSES: Final[Mapping[RangeState, Status]] = {
    "succeeded": "SUCCEEDED",
    "failed": "FAILED",
    # Nobody works on it any more once its job has ended.
    "running": "PENDING",
    "pending": "PENDING",
}

InputOf = Callable[[JobRange], Mapping[str, Any]]
"""What was asked for, as JSON."""


class JobRanges(Protocol):
    """The ranges of a job, as `Jobs` gives them."""

    async def ranges(self, job_id: int, after_number: int = 0, at_most: int = 1000) -> list[JobRange]:
        """The ranges after a number, in order."""
        ...


class ResultPlace(msgspec.Struct, frozen=True):
    """Where results are written."""

    bucket: str
    """Empty for a folder of this machine."""
    path: str
    """The folder, or the prefix of keys, which ends in a slash or is empty."""


def result_place(text: str) -> ResultPlace:
    """The place that `s3://bucket/prefix` or a folder names."""
    if not text.startswith("s3://"):
        return ResultPlace("", text)
    bucket, _, prefix = text.removeprefix("s3://").partition("/")
    return ResultPlace(bucket, f"{prefix.rstrip('/')}/" if prefix.strip("/") else "")


@asynccontextmanager
async def writer_to(place: ResultPlace) -> AsyncIterator[ObjectWriter]:
    """What writes there."""
    if not place.bucket:
        yield ResultFolder(Path(place.path))
        return
    async with S3ObjectWriter(BucketOptions(place.bucket)) as writer:
        yield writer


async def write_job_results(
    tables: JobRanges, job: Job, place: ResultPlace, writer: ObjectWriter, input_of: InputOf | None = None
) -> str:
    """Write manifest.json and the files of each status below `job-<id>/`; where the manifest is.

    Files of an earlier attempt are replaced; the manifest names only those of this one.

    Raises:
        ListingError: S3 does not take a file.
        OSError: the folder does not.
        StoreError: the database failed.
    """
    key_range = input_of or (lambda held: range_input(job.bucket, held.keys))
    outcomes = [outcome_of(held, key_range) async for held in all_ranges(tables, job.job_id)]
    prefix = f"{place.path if place.bucket else ''}job-{job.job_id}/"
    name = f"job-{job.job_id}"
    manifest = await write_results(writer, prefix, outcomes, job=name, destination_bucket=place.bucket)
    return f"s3://{place.bucket}/{manifest}" if place.bucket else str(Path(place.path) / manifest)


async def all_ranges(tables: JobRanges, job_id: int) -> AsyncIterator[JobRange]:
    """The ranges of a job in the order of their numbers."""
    after = 0
    while page := await tables.ranges(job_id, after, RANGES_PER_CALL):
        for held in page:
            yield held
        after = page[-1].number


def outcome_of(held: JobRange, input_of: InputOf) -> Outcome:
    """What became of a range. Of a failure the code is the first word of its sentence, as errors are written."""
    status = _STATUSES[held.state]
    code, colon, cause = (held.error or "").partition(": ")
    is_coded = bool(colon) and code.isidentifier()
    return Outcome(
        name=f"job-{held.job_id}-{held.number}",
        input=input_of(held),
        status=status,
        output=msgspec.structs.asdict(held.counters) if status == "SUCCEEDED" else None,
        error=(code if is_coded else "Failed") if held.error else "",
        cause=(cause if is_coded else held.error or ""),
        started_at=held.started_at.timestamp() if held.started_at else None,
        stopped_at=held.finished_at.timestamp() if held.finished_at else None,
        redrive_count=max(0, held.claims - 1),
    )
