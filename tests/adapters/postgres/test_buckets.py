"""The table of buckets on a real database: what daemons note, what the migration finds, what is read."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

import asyncpg
import msgspec
import pytest

from subscriber.adapters.postgres import store as postgres_store
from subscriber.adapters.postgres.buckets import BucketsTable
from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.adapters.postgres.jobs import Jobs
from subscriber.adapters.postgres.migrations import migrate
from subscriber.adapters.postgres.statements import migrations
from subscriber.adapters.postgres.store import PostgresStore, opened_store
from subscriber.buckets import BucketEvents, BucketTally
from subscriber.errors import StoreError
from subscriber.jobs import Counters, JobOptions, NewJob, PageDone
from subscriber.model import KeyRange
from tests.adapters.postgres.object_rows import NOON, row

Database: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
MINUTE = timedelta(minutes=1)


@pytest.fixture
def table(migrated: StoreOptions) -> BucketsTable:
    """The tables, empty."""
    return BucketsTable(migrated)


def tally(rows: int = 1, oldest: datetime = NOON, youngest: datetime = NOON, ago_seconds: float = 0.0) -> BucketTally:
    """A tally whose rows were stored some seconds ago."""
    stored = asyncio.get_running_loop().time() - ago_seconds
    return BucketTally(rows, oldest, youngest, stored, stored)


async def only(table: BucketsTable) -> BucketEvents:
    """The only bucket."""
    (found,) = await table.events(10, ())
    return found


async def test_notes_of_several_daemons_add_up(store: PostgresStore, table: BucketsTable) -> None:
    """In any order: the first and the last of each time, and the sum of the rows."""
    await store.note_buckets({"lake": tally(3, NOON, NOON + MINUTE, 30.0)})
    await store.note_buckets({"lake": tally(4, NOON - MINUTE, NOON, 5000.0)})
    await store.note_buckets({})
    found = await only(table)
    assert (found.event_rows, found.has_rows) == (7, False)
    assert (found.oldest_event_time, found.youngest_event_time) == (NOON - MINUTE, NOON + MINUTE)
    assert found.noted_at is not None
    assert found.events_since is not None
    assert found.last_stored_at is not None
    assert found.events_since < found.last_stored_at < found.noted_at


async def test_ages_of_the_youngest_events(store: PostgresStore, database: Database) -> None:
    """Of the buckets that are asked for, or the youngest of all; one without an event has none."""
    assert await store.youngest_event_ages([]) == {}
    await store.note_buckets({"a": tally(youngest=NOON - 2 * MINUTE), "b": tally(), "c": tally()})
    await database.execute("INSERT INTO buckets (bucket) VALUES ('migrated')")
    ages = await store.youngest_event_ages(["a", "b", "migrated", "unknown"])
    assert ages.keys() == {"a", "b"}
    assert ages["a"] - ages["b"] == pytest.approx(120.0)
    everything = await store.youngest_event_ages([])
    assert everything.keys() == {"all"}
    assert everything["all"] >= ages["b"]


async def test_no_event_is_younger_than_its_note(store: PostgresStore, table: BucketsTable) -> None:
    """A sender whose clock is wrong does not hide for years that no event comes."""
    await store.note_buckets({"lake": tally(youngest=NOON.replace(year=2999))})
    found = await only(table)
    assert found.youngest_event_time is not None
    assert found.youngest_event_time <= await table.now()


async def test_daemons_that_note_the_same_buckets_do_not_deadlock(
    migrated: StoreOptions, database: Database, table: BucketsTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each takes its locks in the order of names, whatever its own order is: both wait, and then both are done."""
    monkeypatch.setattr(postgres_store, "NOTE_SECONDS", 60.0)
    orders: list[Mapping[str, BucketTally]] = [{name: tally() for name in names} for names in ("abc", "cba")]
    async with opened_store(migrated) as one, opened_store(migrated) as other:
        await one.note_buckets(orders[0])
        await database.execute("BEGIN; SELECT FROM buckets WHERE bucket = 'b' FOR UPDATE")
        async with asyncio.TaskGroup() as both:
            for store, order in zip((one, other), orders, strict=True):
                both.create_task(store.note_buckets(order), name="note")
            while await database.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted") < 2:  # noqa: ASYNC110 - the sessions are the server's
                await asyncio.sleep(0.01)
            await database.execute("ROLLBACK")
    assert [(each.bucket, each.event_rows) for each in await table.events(10, ())] == [("a", 3), ("b", 3), ("c", 3)]


async def test_a_locked_table_costs_no_connection(store: PostgresStore, database: Database) -> None:
    """The server ends the statement, so the same session stores the next rows; nothing was noted."""
    await store.store([row()])
    sessions = "SELECT array_agg(pid) FROM pg_stat_activity WHERE application_name = 'subscriber'"
    before = await database.fetchval(sessions)
    await database.execute("BEGIN; LOCK TABLE buckets")
    with pytest.raises(StoreError) as caught:
        await store.note_buckets({"lake": tally()})
    assert caught.value.sqlstate == "57014"
    await store.store([row()])
    await database.execute("ROLLBACK")
    assert await database.fetchval(sessions) == before
    assert len(before) == 1
    assert await database.fetchval("SELECT count(*) FROM buckets") == 0


@pytest.mark.parametrize("is_analyzed", [True, False])
async def test_the_migration_finds_the_buckets_by_the_primary_key(
    migrated: StoreOptions, database: Database, store: PostgresStore, table: BucketsTable, *, is_analyzed: bool
) -> None:
    """Without statistics, too; when their first event came stays unknown."""
    await store.store([row(bucket=bucket, key=f"k-{n:04}") for bucket in ("a", "b", "Z") for n in range(700)])
    await database.execute("DROP TABLE buckets; DELETE FROM schema_migrations WHERE number = 7")
    if is_analyzed:
        await database.execute("ANALYZE object_versions")
    (step,) = [each for each in migrations(migrated.schema) if each.name == "1_007_buckets"]
    statement = step.sql[step.sql.index("INSERT INTO") :].rstrip().removesuffix(";")
    assert await migrate(migrated) == ["1_007_buckets"]
    await database.execute("TRUNCATE buckets")
    lines = [each[0] for each in await database.fetch(f"EXPLAIN (ANALYZE, TIMING OFF, SUMMARY OFF) {statement}")]
    assert not [line for line in lines if "Seq Scan on object_versions" in line]
    found = await table.events(10, ())
    assert [(each.bucket, each.events_since) for each in found] == [("Z", None), ("a", None), ("b", None)]
    await store.note_buckets({"a": tally()})
    (_, noted, _) = await table.events(10, ())
    assert (noted.events_since, noted.event_rows, noted.oldest_event_time) == (None, 1, NOON)


async def test_buckets_come_from_rows_notes_jobs_and_names(
    migrated: StoreOptions, store: PostgresStore, table: BucketsTable
) -> None:
    """Each once, by name, and no more than asked for."""
    await store.store([row(bucket="rows"), row(bucket="both")])
    await store.note_buckets({"noted": tally(), "both": tally()})
    await _job(migrated, "job", Counters())
    found = await table.events(10, ["named", "rows"])
    names = ["both", "job", "named", "noted", "rows"]
    assert [each.bucket for each in found] == names
    assert [each.bucket for each in found if each.has_rows] == ["both", "rows"]
    assert [each.bucket for each in found if each.noted_at is not None] == ["both", "noted"]
    assert [each.bucket for each in await table.events(3, ["named"])] == names[:3]


async def _job(options: StoreOptions, bucket: str, counters: Counters, *, prefix: str = "", end: bool = True) -> int:
    """A job of one range that repairs, ended unless it is to go on."""
    jobs = Jobs(options)
    try:
        new = NewJob("reconcile", bucket, prefix, (KeyRange(),), "me", JobOptions(repair=True))
        job_id = await jobs.create(new)
        claim = await jobs.claim(job_id, "w", 60.0)
        assert claim is not None
        await jobs.progress(claim.held, PageDone("z", 1, counters), 60.0)
        if end:
            await jobs.leave(claim.held, "succeeded")
            await jobs.move(job_id, {"running"}, "succeeded")
    finally:
        await jobs.close()
    return job_id


async def test_the_jobs_of_each_place(migrated: StoreOptions, table: BucketsTable) -> None:
    """Of a whole bucket those that succeeded, and one that goes on; of a prefix the last; the oldest end first."""
    going_on = await _job(migrated, "lake", Counters(), end=False)
    first = await _job(migrated, "lake", Counters(missing=3, ghost=1))
    second = await _job(migrated, "lake", Counters(stale=2))
    await _job(migrated, "lake", Counters(), prefix="raw/")
    of_prefix = await _job(migrated, "lake", Counters(), prefix="raw/")
    await _job(migrated, "other", Counters())
    found = await table.jobs(["lake", "none"])
    assert [(each.job_id, each.prefix, each.state) for each in found] == [
        (first, "", "succeeded"),
        (second, "", "succeeded"),
        (going_on, "", "running"),
        (of_prefix, "raw/", "succeeded"),
    ]
    told = found[0]
    assert (told.bucket, told.kind, told.repairs) == ("lake", "reconcile", True)
    assert (told.missing, told.ghost, told.stale) == (3, 1, 0)
    assert (told.ranges, told.succeeded, told.failed, found[2].succeeded) == (1, 1, 0, 0)
    assert told.finished_at is not None
    assert told.finished_at.tzinfo is not None
    assert msgspec.structs.replace(told, missing=0).differences == 1


async def test_the_clock_is_that_of_the_database(table: BucketsTable) -> None:
    """Ages are told by it."""
    assert abs((await table.now() - datetime.now(UTC)).total_seconds()) < 3600
