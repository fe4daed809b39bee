"""A job that fills the index from an inventory: made once, then worked on by any number of processes until it ends."""

from __future__ import annotations

import getpass
import os
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, aclosing, asynccontextmanager, nullcontext
from pathlib import Path
from typing import Final, cast

import msgspec

from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.adapters.postgres.jobs import Jobs
from subscriber.adapters.postgres.store import PostgresStore
from subscriber.adapters.s3.objects import S3ObjectReader
from subscriber.errors import ConfigurationError
from subscriber.jobs import Job, JobOptions, JobRange, NewJob, PageDone, Tolerance
from subscriber.reconcile.inventory.file_ranges import digest_of, file_ranges
from subscriber.reconcile.inventory.fill import ROWS_PER_STATEMENT, FillOptions, InventoryFill
from subscriber.reconcile.inventory.key_list import SourceFormat
from subscriber.reconcile.inventory.objects import ObjectReader
from subscriber.reconcile.inventory.source import Location, Source, local_reader, open_source, parse_location
from subscriber.reconcile.worker import DoRange, Worker, WorkerOptions

KIND: Final = "inventory"
SLOTS_AT_MOST: Final = 16
"""Files that one process reads at once, at most: more would only wait for its CPU, and each holds some megabytes."""

COLUMNAR_SLOTS_AT_MOST: Final = 1
"""The same for Parquet and ORC: each file takes some 40 MB of buffers in pyarrow. Other processes can read others."""


class NewFill(msgspec.Struct, frozen=True):
    """What a new job is to do."""

    bucket: str
    """Whose objects the inventory lists."""
    prefix: str
    location: str
    """Of manifest.json, of its folder, or of a list of keys."""
    source_format: SourceFormat | None = None
    """None to recognize it."""
    concurrency: int = 4
    tolerance: Tolerance = Tolerance()


class OpenSource(msgspec.Struct, frozen=True):
    """A source, and what reads its files."""

    source: Source
    reader: ObjectReader
    requests: Callable[[], int]


def absolute(location: str) -> str:
    """The location as every process of this machine understands it; a folder of this machine ends in a slash.

    Raises:
        ListingError: it names no file.
    """
    place = parse_location(location)
    if not place.is_local:
        return location
    path = Path(place.key).absolute()
    return f"{path}/" if path.is_dir() or place.key.endswith("/") else str(path)


@asynccontextmanager
async def opened(location: str, bucket: str, source_format: SourceFormat | None) -> AsyncIterator[OpenSource]:
    """The source at a location, open while the block runs.

    Raises:
        ListingError: as `open_source`.
        ConfigurationError: AWS's settings cannot be used.
        QueueError: there are no AWS credentials.
    """
    place = parse_location(location)
    if place.is_local:
        # The reader looks beside the manifest, which is in the folder that such a location names.
        manifest = Location("", f"{place.key}manifest.json") if place.key.endswith("/") else place
        files = local_reader(manifest)
        yield OpenSource(await open_source(files, manifest, bucket, source_format), files, lambda: 0)
        return
    async with S3ObjectReader() as objects:
        source = await open_source(objects, place, bucket, source_format)
        yield OpenSource(source, objects, lambda: objects.requests)


async def create(jobs: Jobs, new: NewFill) -> int:
    """Make the job, one range for each file; return its id.

    Raises:
        ListingError: the inventory cannot be read.
        ConfigurationError: it has no files, so that there is nothing to do.
        StoreError: the database failed.
    """
    async with opened(new.location, new.bucket, new.source_format) as found:
        ranges = file_ranges(found.source)
        if not ranges:
            raise ConfigurationError(f"the inventory {new.location} has no files: the bucket was empty")
        options = JobOptions(
            repair=True,
            inventory=new.location,
            inventory_format=found.source.source_format,
            inventory_digest=digest_of(found.source),
        )
    by = f"{_user()}@{socket.gethostname()}"
    return await jobs.create(NewJob(KIND, new.bucket, new.prefix, ranges, by, options, new.concurrency, new.tolerance))


async def file_keys(job: Job) -> tuple[str, ...]:
    """The keys of the files that are the job's ranges, in their order.

    Raises:
        ConfigurationError: the job reads no inventory, or the inventory at its place is another one now.
        ListingError: the inventory cannot be opened.
    """
    async with _opened_of(job) as found:
        return tuple(file.key for file in found.source.files)


async def work(
    database: StoreOptions,
    jobs: Jobs,
    job: Job,
    on_page: Callable[[PageDone], None] = lambda _: None,
    *,
    worker: WorkerOptions | None = None,
    rows_per_statement: int = ROWS_PER_STATEMENT,
    permit: Callable[[], AbstractAsyncContextManager[object]] = nullcontext,
) -> Job:
    """Work on the job until it has ended; return it as it is then. Cancelled, it gives its files back.

    Args:
        database: of the index.
        jobs: the tables of the same schema.
        job: one of `create`.
        on_page: called before each commit of a position.
        worker: of this process; None for the usual.
        rows_per_statement: at most.
        permit: as for InventoryFill.

    Raises:
        ConfigurationError: the job reads no inventory, or the inventory at its place is another one now.
        ListingError: the inventory cannot be opened.
        StoreError: the database failed for good; the job can go on later.
    """
    async with AsyncExitStack() as stack:
        found = await stack.enter_async_context(_opened_of(job))
        slots = slots_for(found.source)
        store = PostgresStore(msgspec.structs.replace(database, connections_max=slots))
        stack.push_async_callback(store.close)
        fill = InventoryFill(
            found.reader,
            found.source,
            store,
            FillOptions(job.prefix, rows_per_statement),
            requests=found.requests,
            permit=permit,
        )
        options = worker or WorkerOptions(f"{socket.gethostname()}/{os.getpid()}", slots)
        return await Worker(jobs, _told(fill.do_range, on_page), options).run(job.job_id)


def slots_for(source: Source) -> int:
    """How many files of a source one process reads at once at most, whatever the job's concurrency is."""
    is_columnar = source.manifest is not None and source.manifest.file_format != "CSV"
    return min(COLUMNAR_SLOTS_AT_MOST if is_columnar else SLOTS_AT_MOST, len(source.files))


@asynccontextmanager
async def _opened_of(job: Job) -> AsyncIterator[OpenSource]:
    """The source of a job, if it is still the one that the job was made of."""
    asked = job.options
    if job.kind != KIND or not asked.inventory:
        raise ConfigurationError(f"job {job.job_id} is of the kind {job.kind!r} and reads no inventory")
    async with opened(asked.inventory, job.bucket, cast("SourceFormat", asked.inventory_format)) as found:
        if digest_of(found.source) != asked.inventory_digest or len(found.source.files) != job.ranges.total:
            sentence = f"the inventory at {asked.inventory} is not that of job {job.job_id} any more: begin a new job"
            raise ConfigurationError(sentence)
        yield found


def _told(do_range: DoRange, on_page: Callable[[PageDone], None]) -> DoRange:
    """The same, and each page is told. Nothing is passed on to it: a file is not split, so that its end stays."""

    async def told(job: Job, held: JobRange) -> AsyncGenerator[PageDone, str | None]:
        async with aclosing(do_range(job, held)) as pages:
            async for page in pages:
                on_page(page)
                yield page

    return told


def _user() -> str:
    """Who runs this process; a container may have a user without a name."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return str(os.getuid())
