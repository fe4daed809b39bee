"""The counters of usage on a real database: exact at every moment, whatever writers, folds and counts do at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import TypeAlias

import asyncpg
import pytest

from subscriber.adapters.postgres import short_locks
from subscriber.adapters.postgres.columns import upsert_parameters
from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.adapters.postgres.features import Features, enabled_features
from subscriber.adapters.postgres.reader import Reader
from subscriber.adapters.postgres.statements import quoted, statement
from subscriber.adapters.postgres.store import PostgresStore
from subscriber.adapters.postgres.usage import UsageFold, count_anew
from subscriber.errors import SchemaError
from subscriber.features import Usage, UsageDifference, state_of
from subscriber.model import ObjectEvent
from tests.adapters.postgres.object_rows import colliding_row, row

Database: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

_TRUTH = """
SELECT
    usage_folder(key, 2) AS folder, coalesce(storage_class, '') AS storage_class,
    sum(objects), sum(object_bytes), sum(versions), sum(version_bytes), sum(markers)
FROM (
    SELECT key, storage_class, 1 AS objects, size_bytes AS object_bytes, 0 AS versions, 0 AS version_bytes, 0 AS markers
    FROM objects
    WHERE bucket = 'bucket'
    UNION ALL
    SELECT key, storage_class, 0, 0, (state = 'present')::integer, CASE WHEN state = 'present' THEN size_bytes END,
        (state = 'delete_marker')::integer
    FROM versions WHERE bucket = 'bucket'
) AS rows
GROUP BY 1, 2
ORDER BY 1, 2
"""
_PRUNE = """
DELETE FROM object_versions
WHERE ctid = ANY (ARRAY(SELECT ctid FROM object_versions WHERE state = 'removed' FOR UPDATE SKIP LOCKED))
"""
_TRANSITION = """
UPDATE object_versions SET storage_class = $1
WHERE ctid = ANY (ARRAY(SELECT ctid FROM object_versions WHERE state = 'present' LIMIT 2 FOR UPDATE SKIP LOCKED))
"""
_KEYS = ("top", "a/1", "a/2", "a/b/1", "a/b/c/1", "a/b/c/2", "ä/1")


@pytest.fixture
async def counted(migrated: StoreOptions) -> StoreOptions:
    """The feature is on."""
    await Features(migrated).enable("usage", {"depth": 2})
    assert await count_anew(migrated) == []
    return migrated


@asynccontextmanager
async def connected(options: StoreOptions) -> AsyncIterator[Database]:
    """One more session."""
    connection = await asyncpg.connect(options.url, server_settings={"search_path": quoted(options.schema)})
    try:
        yield connection
    finally:
        await connection.close()


async def disagreement(database: Database) -> tuple[list[tuple[object, ...]], list[tuple[object, ...]]] | None:
    """What the counters and the rows say in one state of all tables, where they differ."""
    async with database.transaction(isolation="repeatable_read", readonly=True):
        told = await database.fetch("SELECT * FROM usage_of('bucket') ORDER BY folder, storage_class")
        true = await database.fetch(_TRUTH)
    ours = [(*[*one][:2], *(int(value or 0) for value in [*one][2:])) for one in told]
    theirs = [(*[*one][:2], *(int(value or 0) for value in [*one][2:])) for one in true]
    return None if ours == theirs else (ours, theirs)


class Writers:
    """Sessions that write at once, some of them slow to commit."""

    def __init__(self, options: StoreOptions, random: Random, versions: tuple[str, ...]) -> None:
        self.options = options
        self.random = random
        self.versions = versions
        self.upsert = statement("upsert", options.schema)

    async def write(self, steps: int) -> None:
        """One session: transactions of one statement, as the daemon's, but committed later or never."""
        async with connected(self.options) as database:
            for _ in range(steps):
                transaction = database.transaction()
                await transaction.start()
                if self.random.random() < 0.1:
                    await database.execute(_TRANSITION, self.random.choice(["GLACIER", "STANDARD", None]))
                elif self.random.random() < 0.1:  # alone, as `prune` does it: two statements might wait for each other
                    await database.execute(_PRUNE)
                else:
                    await database.execute(self.upsert, *upsert_parameters(self._rows()))
                await asyncio.sleep(self.random.choice([0, 0, 0.002, 0.01]))
                await (transaction.rollback() if self.random.random() < 0.1 else transaction.commit())

    async def fold(self, until: asyncio.Event) -> None:
        """Another session folds all the time, some rows at a time."""
        async with connected(self.options) as database:
            while not until.is_set():
                await database.execute("SELECT fold_usage($1)", self.random.choice([1, 3, 1000]))
                await asyncio.sleep(0.001)

    def _rows(self) -> list[ObjectEvent]:
        given = {}
        for _ in range(self.random.randint(1, 5)):
            one = colliding_row(self.random, self.random.choice(_KEYS), self.random.choice(self.versions))
            given[one.key, one.version_id] = one
        return [*given.values()]


@pytest.mark.parametrize("versions", [("",), ("", "v1"), ("v1", "v2", "v3"), ("", "", "", "", "v1")])
async def test_counters_are_exact_at_every_moment(
    counted: StoreOptions, database: Database, versions: tuple[str, ...]
) -> None:
    """In every state that a reader can see, and in the end after all was folded and counted anew."""
    writing, done = Writers(counted, Random(str(versions)), versions), asyncio.Event()
    folding = asyncio.create_task(writing.fold(done), name="fold")
    writers = [asyncio.create_task(writing.write(60), name="writer") for _ in range(4)]
    looks = 0
    while not all(writer.done() for writer in writers):
        assert await disagreement(database) is None
        looks += 1
    await asyncio.gather(*writers)
    done.set()
    await folding
    assert looks
    for _ in range(3):
        await database.execute("SELECT fold_usage(100000)")
    assert await disagreement(database) is None
    assert await database.fetchval("SELECT count(*) FROM usage_deltas") == 0
    assert await database.fetchval("SELECT count(*) FROM usage_touched") == 0
    assert await count_anew(counted) == []


async def test_a_count_beside_writers_misses_nothing(migrated: StoreOptions, database: Database) -> None:
    """The feature is enabled, and counted anew, while sessions write."""
    writing, done = Writers(migrated, Random(3), ("", "v1", "v2")), asyncio.Event()
    writers = [asyncio.create_task(writing.write(80), name="writer") for _ in range(4)]
    await asyncio.sleep(0)
    await Features(migrated).enable("usage", {"depth": 2})
    await count_anew(migrated)
    folding = asyncio.create_task(writing.fold(done), name="fold")
    while not all(writer.done() for writer in writers):
        assert await count_anew(migrated) == []
    await asyncio.gather(*writers)
    done.set()
    await folding
    assert await disagreement(database) is None
    assert await count_anew(migrated) == []


async def test_wrong_counters_are_named_and_put_right(
    counted: StoreOptions, store: PostgresStore, database: Database
) -> None:
    """As after a restore of some tables alone."""
    await store.store([row(key="a/1"), row(key="b/1", size_bytes=5)])
    await database.execute("SELECT fold_usage(10)")
    await database.execute("UPDATE usage_totals SET objects = objects + 1 WHERE folder = 'a/'")
    assert await count_anew(counted) == [
        UsageDifference("bucket", "a/", "", Usage(2, 3, 1, 3, 0), Usage(1, 3, 1, 3, 0))
    ]
    assert await count_anew(counted) == []


async def test_sizes_of_any_event_are_added(counted: StoreOptions, store: PostgresStore, database: Database) -> None:
    """The sum of two largest sizes does not overflow and so refuses no write."""
    await store.store([row(key=f"a/{number}", size_bytes=2**63 - 1) for number in range(3)])
    await database.execute("SELECT fold_usage(10)")
    assert await database.fetchval("SELECT object_bytes FROM usage_of('bucket')") == 3 * (2**63 - 1)


async def test_an_empty_table_has_no_usage(counted: StoreOptions, store: PostgresStore, database: Database) -> None:
    """TRUNCATE tells its triggers no rows."""
    await store.store([row(key="a/1"), row(key="a/1", version_id="v1")])
    await database.execute("TRUNCATE object_versions")
    assert await database.fetch("SELECT * FROM usage_of('bucket')") == []
    assert await count_anew(counted) == []


async def test_a_feature_is_switched_once(migrated: StoreOptions, store: PostgresStore, database: Database) -> None:
    """Its options stay when it is enabled again; disabled, it keeps nothing and hears of nothing."""
    features, reader = Features(migrated), Reader(migrated, 10)
    assert not await features.disable("usage")
    assert await features.enable("usage", {"depth": 1})
    assert not await features.enable("usage", {"depth": 5})
    (found,) = (await enabled_features(reader, migrated.schema)).values()
    assert (found.name, found.options, state_of(found)) == ("usage", {"depth": 1}, "counting")
    await store.store([row()])
    await count_anew(migrated)
    assert state_of((await features.enabled())["usage"]) == "on"
    assert await features.disable("usage")
    await store.store([row(key="another")])
    assert await features.enabled() == {}
    assert await database.fetchval("SELECT count(*) FROM usage_deltas") == 0
    await reader.close()


async def test_a_lock_of_another_session_is_named(
    migrated: StoreOptions, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A switch lets go within a second, so that writers go on, and gives up with a sentence."""
    monkeypatch.setattr(short_locks, "LOCK_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(short_locks, "SET_LOCK_TIMEOUT", "SET LOCAL lock_timeout = 20")
    monkeypatch.setattr("subscriber.adapters.postgres.features.SET_LOCK_TIMEOUT", "SET LOCAL lock_timeout = 20")
    monkeypatch.setattr(short_locks.tried_for_locks, "__defaults__", (0.1,))
    async with database.transaction():
        await database.execute("LOCK TABLE object_versions IN ROW EXCLUSIVE MODE")
        with pytest.raises(SchemaError, match=r"The feature usage was not enabled: for .* pid \d+"):
            await Features(migrated).enable("usage", {"depth": 2})
    assert await Features(migrated).enabled() == {}


async def test_a_daemon_folds_through_its_store(counted: StoreOptions, store: PostgresStore) -> None:
    """A fold says what there was; the next one finds nothing, and so does one while the feature is off."""
    fold = UsageFold(store.noting, counted.schema)
    await store.store([row(key="a/1"), row(key="a/2"), row(key="b/1")])
    assert await fold.fold(100) == (2, 0)
    assert await fold.fold(100) == (0, 0)
    await Features(counted).disable("usage")
    assert await fold.fold(100) == (0, 0)
