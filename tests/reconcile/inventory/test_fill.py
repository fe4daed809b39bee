"""Jobs whose ranges are the files of an inventory, with workers on a real database."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias, get_args

import asyncpg
import msgspec
import pytest

from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.adapters.postgres.jobs import Jobs
from subscriber.adapters.postgres.store import PostgresStore
from subscriber.errors import ConfigurationError, ListingError
from subscriber.jobs import Job, PageDone, Tolerance
from subscriber.model import ListedVersion, ObjectEvent
from subscriber.reconcile.inventory.facts import inventoried_event
from subscriber.reconcile.inventory.fill import is_row_storable
from subscriber.reconcile.inventory.fill_job import NewFill, absolute, create, opened, slots_for, work
from subscriber.reconcile.inventory.manifest import FileFormat
from subscriber.reconcile.job import TRANSITIONS
from subscriber.reconcile.worker import WorkerOptions
from testkit.s3.inventory import Written, sample_versions, write_inventory
from tests.reconcile.inventory.reading import BUCKET

Database: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

CREATED = 1_790_000_000
WORTH = CREATED - 86_400
FAST = WorkerOptions("test", slots=2, lease_seconds=30.0, heartbeat_seconds=0.2, idle_seconds=0.05)
_CONTENT = len(ObjectEvent.__struct_fields__)
_COLUMNS = "bucket, key, version_id, state, sequencer, event_name, event_time, size_bytes, etag"


@pytest.fixture
async def jobs(migrated: StoreOptions) -> AsyncIterator[Jobs]:
    """The tables of jobs."""
    jobs = Jobs(migrated)
    yield jobs
    await jobs.close()


async def made(jobs: Jobs, manifest: Path, prefix: str = "", tolerance: Tolerance | None = None) -> Job:
    """A new job."""
    new = NewFill(BUCKET, prefix, absolute(str(manifest)), concurrency=2, tolerance=tolerance or Tolerance())
    return await jobs.get(await create(jobs, new))


async def filled(options: StoreOptions, jobs: Jobs, job: Job) -> Job:
    """The job, worked on to its end."""
    return await work(options, jobs, job, worker=FAST, rows_per_statement=50)


def data_files(folder: Path) -> list[Path]:
    """The files of an inventory in CSV, in its order."""
    return sorted(folder.rglob("*.csv.gz"))


async def all_rows(database: Database) -> set[tuple[Any, ...]]:
    """All rows of the index."""
    return {tuple(row) for row in await database.fetch(f"SELECT {_COLUMNS} FROM object_versions")}


def facts(versions: Sequence[ListedVersion]) -> set[tuple[Any, ...]]:
    """The rows that an inventory's versions amount to."""
    return {msgspec.structs.astuple(inventoried_event(BUCKET, version, WORTH))[:_CONTENT] for version in versions}


@pytest.mark.parametrize("file_format", get_args(FileFormat))
async def test_every_row_of_every_file_is_added(
    tmp_path: Path, migrated: StoreOptions, jobs: Jobs, database: Database, file_format: FileFormat
) -> None:
    """Hostile keys such as `000123` and `NULL` too, in no order; a second job finds nothing to add."""
    versions = list(sample_versions(1, 900))
    manifest = write_inventory(tmp_path, versions, Written(file_format=file_format, rows_per_file=200))
    job = await filled(migrated, jobs, await made(jobs, manifest))
    assert (job.state, job.ranges.succeeded) == ("succeeded", 5)
    assert (job.counters.listed, job.counters.written) == (900, 900)
    assert await all_rows(database) == facts(versions)
    again = await filled(migrated, jobs, await made(jobs, manifest))
    assert (again.counters.listed, again.counters.written) == (900, 0)


async def test_only_keys_of_the_prefix_are_added(
    tmp_path: Path, migrated: StoreOptions, jobs: Jobs, database: Database
) -> None:
    """Other rows are passed over and not counted."""
    versions = list(sample_versions(2, 600))
    manifest = write_inventory(tmp_path, versions, Written(rows_per_file=200))
    job = await filled(migrated, jobs, await made(jobs, manifest, "year=2001/"))
    wanted = [version for version in versions if version.key.startswith("year=2001/")]
    assert wanted
    assert (job.counters.listed, job.counters.written) == (len(wanted), len(wanted))
    assert await all_rows(database) == facts(wanted)


async def test_an_inventory_changes_nothing_that_events_told(
    tmp_path: Path, migrated: StoreOptions, jobs: Jobs, store: PostgresStore, database: Database
) -> None:
    """Whether the events are later or earlier than the inventory's rows, removals among them."""
    versions = list(sample_versions(3, 400))
    manifest = write_inventory(tmp_path, versions, Written(rows_per_file=150))
    told = [_told(version, number) for number, version in enumerate(versions[:200])]
    await store.store(sorted(told, key=lambda event: (event.key, event.version_id)))
    job = await filled(migrated, jobs, await made(jobs, manifest))
    assert job.counters.written == 200
    kept = {msgspec.structs.astuple(event)[:_CONTENT] for event in told}
    assert await all_rows(database) == facts(versions[200:]) | kept


def _told(version: ListedVersion, number: int) -> ObjectEvent:
    """An event about the version: a put or a removal, long before or after the inventory."""
    fact = inventoried_event(BUCKET, version, WORTH)
    second = WORTH + (-1000 if number % 3 else 1000)
    return msgspec.structs.replace(
        fact,
        state="removed" if number % 4 == 0 else fact.state,
        sequencer=f"{second:08X}01",
        event_name="ObjectCreated:Put",
        size_bytes=7,
        etag="told",
    )


async def test_a_job_goes_on_within_a_file(
    tmp_path: Path, migrated: StoreOptions, jobs: Jobs, database: Database
) -> None:
    """After a worker that ended anywhere, each row is counted once, and none is missing."""
    versions = list(sample_versions(4, 1000))
    manifest = write_inventory(tmp_path, versions, Written(rows_per_file=500))
    job = await made(jobs, manifest)
    pages = 0

    def interrupt(_: PageDone) -> None:
        nonlocal pages
        pages += 1
        if pages == 7:
            worker.cancel()

    doing = work(migrated, jobs, job, interrupt, worker=FAST, rows_per_statement=50)
    worker = asyncio.create_task(doing, name="worker that is interrupted")
    with pytest.raises(asyncio.CancelledError):
        await worker
    stopped = await jobs.get(job.job_id)
    assert 0 < stopped.counters.listed < 1000
    assert stopped.ranges.running == 0
    # Its statements need not end where those of the first worker did.
    ended = await work(migrated, jobs, stopped, worker=FAST, rows_per_statement=70)
    assert (ended.state, ended.counters.listed) == ("succeeded", 1000)
    assert await all_rows(database) == facts(versions)


async def test_a_damaged_file_fails_alone_and_is_redriven(
    tmp_path: Path, migrated: StoreOptions, jobs: Jobs, database: Database
) -> None:
    """The other files are done; once the file is whole again, only it is read."""
    versions = list(sample_versions(5, 600))
    manifest = write_inventory(tmp_path, versions, Written(rows_per_file=200))
    damaged = data_files(tmp_path)[1]
    whole = damaged.read_bytes()
    damaged.write_bytes(gzip.compress(b'"lake","other"\n'))
    job = await filled(migrated, jobs, await made(jobs, manifest, tolerance=Tolerance(1)))
    assert (job.state, job.ranges.succeeded, job.ranges.failed) == ("succeeded", 2, 1)
    assert job.counters.written == 400
    failed = await jobs.ranges(job.job_id, states={"failed"})
    assert "InvalidRow: row 1 of" in (failed[0].error or "")
    damaged.write_bytes(whole)
    assert await jobs.redrive(job.job_id, TRANSITIONS["redrive"][0]) == 1
    again = await filled(migrated, jobs, await jobs.get(job.job_id))
    assert (again.state, again.ranges.succeeded, again.counters.listed) == ("succeeded", 3, 600)
    assert await all_rows(database) == facts(versions)


async def test_more_failures_than_tolerated_fail_the_job(tmp_path: Path, migrated: StoreOptions, jobs: Jobs) -> None:
    """A file that is gone fails at once."""
    manifest = write_inventory(tmp_path, sample_versions(6, 100), Written(rows_per_file=50))
    data_files(tmp_path)[0].unlink()
    job = await filled(migrated, jobs, await made(jobs, manifest))
    assert (job.state, job.ranges.failed) == ("failed", 1)


async def test_a_list_of_keys_is_one_file(
    tmp_path: Path, migrated: StoreOptions, jobs: Jobs, database: Database
) -> None:
    """Its rows tell no time, so that they lose to every event."""
    keys = tmp_path / "keys.jsonl"
    keys.write_text('{"Key": "000123", "Size": 5}\n{"Key": "NULL"}\n{"Key": "a\\u0000b"}\n')
    job = await filled(migrated, jobs, await made(jobs, keys))
    assert (job.state, job.ranges.total, job.counters.listed, job.counters.written) == ("succeeded", 1, 3, 2)
    found = await database.fetch("SELECT key, sequencer FROM object_versions ORDER BY key")
    assert [tuple(row) for row in found] == [("000123", "00000001FFFFFFFF"), ("NULL", "00000001FFFFFFFF")]


async def test_another_inventory_at_the_same_place_is_refused(
    tmp_path: Path, migrated: StoreOptions, jobs: Jobs
) -> None:
    """The positions of a job are those of its own files."""
    manifest = write_inventory(tmp_path, sample_versions(7, 100), Written(rows_per_file=50))
    job = await made(jobs, manifest)
    write_inventory(tmp_path, sample_versions(8, 100), Written(rows_per_file=50))
    with pytest.raises(ConfigurationError, match="is not that of job"):
        await filled(migrated, jobs, job)


@pytest.mark.parametrize(
    ("file_format", "files", "slots"), [("CSV", 3, 3), ("CSV", 40, 16), ("Parquet", 3, 1), ("ORC", 3, 1)]
)
async def test_memory_bounds_how_many_files_are_read_at_once(
    tmp_path: Path, file_format: FileFormat, files: int, slots: int
) -> None:
    """Files of columns take more of it, and no more slots than files are of use."""
    how = Written(file_format=file_format, rows_per_file=5)
    manifest = write_inventory(tmp_path, sample_versions(1, 5 * files), how)
    async with opened(str(manifest), BUCKET, None) as found:
        assert slots_for(found.source) == slots


async def test_an_inventory_without_files_makes_no_job(tmp_path: Path, jobs: Jobs) -> None:
    """S3 writes one for an empty bucket."""
    manifest = write_inventory(tmp_path, [], Written())
    with pytest.raises(ConfigurationError, match="has no files: the bucket was empty"):
        await made(jobs, manifest)
    with pytest.raises(ListingError, match="NoSuchKey"):
        await made(jobs, tmp_path / "absent.json")
    assert await jobs.newest(10) == []


async def test_a_folder_is_as_good_as_its_manifest(
    tmp_path: Path, migrated: StoreOptions, jobs: Jobs, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also as a relative path, which other processes may not resolve."""
    versions = list(sample_versions(9, 60))
    manifest = write_inventory(tmp_path, versions, Written())
    monkeypatch.chdir(manifest.parent.parent)
    job = await made(jobs, Path(manifest.parent.name))
    assert job.options.inventory == f"{manifest.parent}/"
    assert (await filled(migrated, jobs, job)).state == "succeeded"
    assert await all_rows(database) == facts(versions)


def test_a_row_that_the_table_would_reject_is_told() -> None:
    """One such row would fail its whole statement."""
    row = ListedVersion("k", "v", False, True, 1, 1, "e")
    assert is_row_storable(row)
    changes: list[dict[str, Any]] = [
        {"key": "a\0b"},
        {"key": "ü" * 513},
        {"version_id": "v" * 1025},
        {"etag": "e" * 256},
        {"size_bytes": -1},
        {"size_bytes": 1 << 63},
        {"last_modified": 253_402_300_800},
    ]
    assert not any(is_row_storable(msgspec.structs.replace(row, **change)) for change in changes)
