"""The history on a real database: it knows what existed at any moment, and keeps its partitions in order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from random import Random
from typing import TypeAlias

import asyncpg
import msgspec
import pytest

from subscriber.adapters.postgres.columns import upsert_parameters
from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.adapters.postgres.features import Features
from subscriber.adapters.postgres.history import DAYS_AHEAD, HistoryDays
from subscriber.adapters.postgres.statements import statement
from subscriber.adapters.postgres.store import PostgresStore
from subscriber.changes import DifferenceSums, TendedDays, difference_kind, kind_of
from subscriber.model import DetailedEvent, ObjectEvent
from subscriber.query.history import HistoryReader, opened_history
from subscriber.query.reader import opened_search
from subscriber.query.search_query import Query, QueryError
from tests.adapters.postgres.object_rows import colliding_row, row

Database: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

_COLUMNS = "bucket, key, version_id, state, is_latest, size_bytes, etag, event_time"
_KEYS = ("top", "a", "a/1", "a/2", "a/b/1", "ä/1")
_PARTITIONS = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'object_history'::regclass ORDER BY 1"


@pytest.fixture
async def recorded(migrated: StoreOptions) -> StoreOptions:
    """The feature is on."""
    await Features(migrated).enable("history", {"keep_days": 2})
    return migrated


@pytest.fixture
async def reader(recorded: StoreOptions) -> AsyncIterator[HistoryReader]:
    """A reader of the history."""
    async with opened_history(recorded, 10.0) as reader:
        yield reader


async def existing(database: Database) -> tuple[datetime, list[tuple[object, ...]]]:
    """A moment, and what exists then."""
    moment = await database.fetchval("SELECT clock_timestamp()")
    rows = await database.fetch(f"SELECT {_COLUMNS} FROM versions ORDER BY bucket, key, version_id")
    return moment, [tuple(one) for one in rows]


def batch(random: Random, versions: tuple[str, ...]) -> list[ObjectEvent]:
    """Some rows, each of another version."""
    given = {}
    for _ in range(random.randint(1, 5)):
        one = colliding_row(random, random.choice(_KEYS), random.choice(versions))
        given[one.key, one.version_id] = one
    return [*given.values()]


async def change(database: Database, random: Random, versions: tuple[str, ...], upsert: str) -> None:
    """One statement, mostly as the daemon's; now and then one of an operator."""
    kind = random.random()
    if kind < 0.05:
        await database.execute("DELETE FROM object_versions WHERE key = $1", random.choice(_KEYS))
    elif kind < 0.1:
        await database.execute("DELETE FROM object_versions WHERE state = 'removed'")
    else:
        await database.execute(upsert, *upsert_parameters(batch(random, versions)))


@pytest.mark.parametrize("versions", [("",), ("", "v1"), ("v1", "v2", "v3")])
async def test_it_knows_what_existed_at_any_moment(
    migrated: StoreOptions, database: Database, versions: tuple[str, ...]
) -> None:
    """Versions, markers, and which is the latest: as a look at that moment, however much has changed since."""
    random, upsert = Random(str(versions)), statement("upsert", migrated.schema)
    for _ in range(20):
        await change(database, random, versions, upsert)
    await Features(migrated).enable("history", {"keep_days": 2})
    looks = [await existing(database)]
    for _ in range(60):
        await change(database, random, versions, upsert)
        looks.append(await existing(database))
    assert len({str(rows) for _, rows in looks}) > 10
    text = f"SELECT {_COLUMNS} FROM versions_at('bucket', $1, $2) ORDER BY bucket, key, version_id"
    for moment, rows in looks:
        for prefix in ("", "a"):
            found = [tuple(one) for one in await database.fetch(text, prefix, moment)]
            assert found == [one for one in rows if str(one[1]).startswith(prefix)]


@pytest.mark.parametrize("step_rows", [1, 3, 2000])
async def test_a_search_walks_through_a_moment_in_steps(
    recorded: StoreOptions, database: Database, monkeypatch: pytest.MonkeyPatch, step_rows: int
) -> None:
    """Whatever the size of a step and of a page, all rows come once and in order."""
    monkeypatch.setattr("subscriber.adapters.postgres.history._STEP_ROWS", step_rows)
    random, upsert = Random(9), statement("upsert", recorded.schema)
    looks = []
    for _ in range(20):
        await change(database, random, ("", "v1", "v2"), upsert)
        looks.append(await existing(database))
    async with opened_search(recorded, 10.0) as search:
        for moment, rows in looks[::3]:
            query = Query(bucket="bucket", prefix="a", versions=True, as_of=moment)
            expected = [one[1:3] for one in rows if str(one[1]).startswith("a")]
            streamed = [(one.key, one.version_id) async for some in search.batches(query) for one in some]
            assert streamed == expected
            page, paged = await search.page(query, 2), list[tuple[str, str]]()
            while page.rows:
                paged += [(one.key, one.version_id) for one in page.rows]
                page = await search.page(query, 2, page.token) if page.token else type(page)((), None)
            assert paged == expected


async def test_two_moments_differ_by_what_a_look_at_both_shows(
    recorded: StoreOptions, database: Database, reader: HistoryReader
) -> None:
    """Each object that is there at one moment only, or is another one; nothing else."""
    random, upsert = Random(5), statement("upsert", recorded.schema)
    looks = [await existing(database)]
    for _ in range(25):
        await change(database, random, ("", "v1"), upsert)
        looks.append(await existing(database))
    for _ in range(60):
        (first, before), (second, after) = sorted(random.sample(looks, 2))
        old, new = ({one[1]: one for one in rows if one[3] == "present" and one[4]} for rows in (before, after))
        kinds = {key: "removed" if key not in new else "added" if key not in old else "changed" for key in {*old, *new}}
        expected = {key: kind for key, kind in kinds.items() if old.get(key) != new.get(key)}
        found = [one async for some in reader.diff("bucket", "", first, second) for one in some]
        assert {one.key: difference_kind(one) for one in found} == expected
        assert [one.key.encode() for one in found] == sorted(str(key).encode() for key in expected)
        sums = DifferenceSums()
        for one in found:
            sums.add(one)
        bytes_of = [sum(int(str(one[5] or 0)) for one in rows.values()) for rows in (old, new)]
        assert sums.bytes_more == bytes_of[1] - bytes_of[0]


async def test_a_timeline_tells_what_an_object_had_been(
    recorded: StoreOptions, store: PostgresStore, database: Database, reader: HistoryReader
) -> None:
    """Created, overwritten, deleted, and created again; neighbors only by their prefix."""
    for sequencer, state, size_bytes in (("1", "present", 3), ("2", "present", 5), ("3", "removed", None)):
        await store.store([row(key="a", sequencer=sequencer, state=state, size_bytes=size_bytes)])
    await store.store([row(key="a", sequencer="4")])
    await store.store([row(key="a", version_id="m", state="delete_marker"), row(key="ab", state="removed")])
    await store.store([row(key="a", version_id="m", state="removed", sequencer="FF")])
    await database.execute("DELETE FROM object_versions WHERE key = 'a'")
    found = await reader.of("bucket", "a", 100, below=False)
    assert [(kind_of(one), one.size_bytes, one.old_size_bytes) for one in reversed(found)] == [
        ("created", 3, None),
        ("overwritten", 5, 3),
        ("deleted", None, 5),
        ("created", 3, None),
        ("marked deleted", 3, None),
        ("marker removed", 3, 3),
        ("erased", None, 3),
    ]
    assert [one.recorded_at for one in found] == sorted((one.recorded_at for one in found), reverse=True)
    assert [one.recorded_at for one in await reader.of("bucket", "a", 2, below=False)] == [
        one.recorded_at for one in found[:2]
    ]
    below = await reader.of("bucket", "a", 100, below=True)
    assert [kind_of(one) for one in below if one.key == "ab"] == ["noted"]


async def test_a_search_shows_the_objects_of_a_moment(
    recorded: StoreOptions, store: PostgresStore, database: Database
) -> None:
    """All conditions and pages are as for the present; moments before the history are refused."""
    await store.store([row(key=f"a/{number}", size_bytes=number) for number in range(9)])
    moment, _ = await existing(database)
    await store.store([row(key=f"a/{number}", state="removed", sequencer="FF") for number in range(5)])
    await store.store([row(key="a/9", size_bytes=1), row(key="a/8", size_bytes=100, sequencer="FF")])
    query = Query(bucket="bucket", prefix="a/", larger_than_bytes=2, as_of=moment)
    async with opened_search(recorded, 10.0) as search:
        first = await search.page(query, 4)
        rest = await search.page(query, 4, first.token)
        assert [one.size_bytes for one in (*first.rows, *rest.rows)] == [3, 4, 5, 6, 7, 8]
        assert rest.token is None
        by_size = await search.page(Query(bucket="bucket", as_of=moment, order="size"), 2)
        assert [one.key for one in by_size.rows] == ["a/8", "a/7"]
        assert await search.explain(query, 4)
        with pytest.raises(QueryError, match=r"does not reach back to .*: it is complete since"):
            await search.page(Query(bucket="bucket", as_of=moment - timedelta(hours=1)), 1)
        await Features(recorded).disable("history")
        with pytest.raises(QueryError, match="the history is off"):
            await search.page(query, 1)


async def test_partitions_are_made_ahead_and_dropped_when_old(
    recorded: StoreOptions, store: PostgresStore, database: Database, reader: HistoryReader
) -> None:
    """Today and three days more; what is older than the feature keeps goes, and answers begin later."""
    days = HistoryDays(store.noting, recorded.schema)
    assert await days.tend() == TendedDays(0, 0, DAYS_AHEAD)
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    for age in (2, 3):
        day = today - timedelta(days=age)
        await database.execute(
            f"CREATE TABLE object_history_{day:%Y%m%d} PARTITION OF object_history "
            f"FOR VALUES FROM ('{day.isoformat()}') TO ('{(day + timedelta(days=1)).isoformat()}')"
        )
    await database.execute("UPDATE features SET ready_at = now() - interval '9 days'")
    assert await days.tend() == TendedDays(0, 1, DAYS_AHEAD)
    assert await reader.since() == today - timedelta(days=2)
    names = [f"object_history_{today + timedelta(days=day):%Y%m%d}" for day in (-2, 0, 1, 2, 3)]
    assert [one[0] for one in await database.fetch(_PARTITIONS)] == [*names, "object_history_rest"]


async def test_a_day_without_a_partition_loses_nothing(
    recorded: StoreOptions, store: PostgresStore, database: Database, reader: HistoryReader
) -> None:
    """Its changes are in the default partition, which never gives them away; later days are made nevertheless."""
    for name, *_ in await database.fetch(_PARTITIONS):
        if name != "object_history_rest":
            await database.execute(f"DROP TABLE {name}")
    await store.store([row(key="a")])
    assert await HistoryDays(store.noting, recorded.schema).tend() == TendedDays(DAYS_AHEAD, 0, -1)
    assert len(await reader.of("bucket", "a", 10, below=False)) == 1
    assert await database.fetchval("SELECT count(*) FROM object_history_rest") == 1


async def test_one_daemon_tends_and_none_while_it_is_off(
    recorded: StoreOptions, store: PostgresStore, database: Database
) -> None:
    """Another that is at it, or a feature that is off, leaves nothing to do; switched off, it keeps nothing."""
    days = HistoryDays(store.noting, recorded.schema)
    async with database.transaction():
        await database.execute("SELECT tend_history(3)")
        async with asyncio.timeout(10):
            assert await days.tend() == TendedDays(0, 0, None)
    await store.store([row()])
    assert await Features(recorded).disable("history")
    assert [one[0] for one in await database.fetch(_PARTITIONS)] == ["object_history_rest"]
    await store.store([row(key="another")])
    assert await database.fetchval("SELECT count(*) FROM object_history") == 0
    assert await days.tend() == TendedDays(0, 0, None)
    assert await Features(recorded).enable("history", {"keep_days": 2})


async def test_an_emptied_table_begins_the_history_anew(
    recorded: StoreOptions, store: PostgresStore, database: Database, reader: HistoryReader
) -> None:
    """TRUNCATE tells its triggers no rows: older moments are refused then."""
    await store.store([row()])
    moment, _ = await existing(database)
    await database.execute("TRUNCATE object_versions")
    assert await reader.since() > moment
    assert await reader.of("bucket", "", 10, below=True) == []


async def test_who_made_a_request_is_kept_with_the_change(
    store: PostgresStore, reader: HistoryReader, database: Database
) -> None:
    """Of a deletion too; a change of the storage class alone is no change of the content."""
    who = {"requester": "AWS:AROA1:anna", "remote_ip": "192.0.2.7", "request_id": "R2"}
    plain = msgspec.structs.asdict(row(key="a/1"))
    await store.store([DetailedEvent(**plain)])
    await database.execute("UPDATE object_versions SET storage_class = 'GLACIER'")
    gone = plain | {"state": "removed", "sequencer": "F1", "size_bytes": None, "etag": None} | who
    await store.store([DetailedEvent(**gone)])
    deleted, created = await reader.of("bucket", "a/1", 10, below=False)
    assert (deleted.requester, deleted.remote_ip, deleted.request_id) == ("AWS:AROA1:anna", "192.0.2.7", "R2")
    assert (created.requester, created.old_state) == (None, None)
