"""The store's connections: used again after success, dropped after doubt, never more than allowed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import asyncpg
import msgspec
import pytest

from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.adapters.postgres.store import PostgresStore
from subscriber.errors import StoreError
from tests.adapters.postgres.object_rows import row

Database: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


@asynccontextmanager
async def _locked(database: Database) -> AsyncIterator[None]:
    """While nobody can write to the index."""
    async with database.transaction():
        await database.execute("LOCK TABLE object_versions")
        yield


async def _until(condition: Any) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110  -- the store tells nobody
            await asyncio.sleep(0.005)


async def _waiting(database: Database) -> int:
    """How many sessions wait for the lock of `_locked`."""
    return int(await database.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'relation'"))


async def _until_waiting(database: Database, count: int) -> None:
    async with asyncio.timeout(10):
        while await _waiting(database) < count:  # noqa: ASYNC110  -- the server tells nobody
            await asyncio.sleep(0.005)


async def test_one_connection_serves_one_writer_for_ever(store: PostgresStore) -> None:
    """Writes one after another share a connection, on which the statement is prepared once."""
    (connection,) = store._idle
    for number in range(20):
        await store.store([row(key=f"{number}")])
    assert store._idle == [connection]
    prepared = await connection.fetch("SELECT generic_plans + custom_plans AS runs FROM pg_prepared_statements")
    assert 20 in [record["runs"] for record in prepared]


async def test_a_row_that_fails_keeps_the_connection(store: PostgresStore) -> None:
    """A refused row says nothing against the connection."""
    before = list(store._idle)
    with pytest.raises(StoreError):
        await store.store([row(size_bytes=-1)])
    assert store._idle == before


async def test_doubt_drops_the_connection_and_its_siblings(store: PostgresStore, database: Database) -> None:
    """When one connection turns out to lead to the wrong node, the idle ones are not trusted either."""
    async with _locked(database):
        writes = [asyncio.create_task(store.store([row(key=f"{n}")]), name=f"write {n}") for n in range(3)]
        await _until_waiting(database, 3)
    await asyncio.gather(*writes)
    idle = list(store._idle)
    assert len(idle) == 3
    await idle[-1].execute("SET default_transaction_read_only = on")
    with pytest.raises(StoreError):
        await store.store([row()])
    assert store._idle == []
    assert all(connection.is_closed() for connection in idle)


async def test_the_last_given_back_is_the_first_taken(store: PostgresStore, database: Database) -> None:
    """In quiet times one of many connections does the work, and the rest may be dropped by whoever likes."""
    async with _locked(database):
        writes = [asyncio.create_task(store.store([row(key=f"{n}")]), name=f"write {n}") for n in range(3)]
        await _until_waiting(database, 3)
    await asyncio.gather(*writes)
    before = list(store._idle)
    await store.store([row()])
    assert store._idle == before


async def test_no_more_connections_than_allowed(migrated: StoreOptions, database: Database) -> None:
    """Of many writers at once as many are under way as there may be connections; the others follow."""
    store = PostgresStore(msgspec.structs.replace(migrated, connections_max=3))
    async with _locked(database):
        writes = [asyncio.create_task(store.store([row(key=f"{n}")]), name=f"write {n}") for n in range(10)]
        await _until_waiting(database, 3)
        assert len(store._busy) == 3
    assert await asyncio.gather(*writes) == [1] * 10
    assert len(store._idle) == 3
    await store.close()


async def test_a_cancelled_write_leaves_nothing_behind(migrated: StoreOptions, database: Database) -> None:
    """Cancelled while it waits for a connection or for the server, a write frees its place and its connection."""
    store = PostgresStore(msgspec.structs.replace(migrated, connections_max=1))
    async with _locked(database):
        writing = asyncio.create_task(store.store([row()]), name="write")
        queued = asyncio.create_task(store.store([row()]), name="write")
        await _until_waiting(database, 1)
        (connection,) = store._busy
        for task in (queued, writing):
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert connection.is_closed()
        assert not store._busy
        assert not store._idle
    async with asyncio.timeout(5):
        await store.store([row()])
    await store.close()


@pytest.mark.parametrize("steps", range(12))
async def test_cancelled_at_any_step(migrated: StoreOptions, steps: int) -> None:
    """Whichever await the cancellation meets, connecting and preparing included, the store works on."""
    store = PostgresStore(msgspec.structs.replace(migrated, connections_max=1))
    writing = asyncio.create_task(store.store([row()]), name="write")
    for _ in range(steps * 2):
        await asyncio.sleep(0)
    writing.cancel()
    await asyncio.gather(writing, return_exceptions=True)
    assert not store._busy
    async with asyncio.timeout(5):
        await store.store([row(sequencer="F")])
    await store.close()


async def test_closing_ends_writes_under_way(store: PostgresStore, database: Database) -> None:
    """A write that is under way when the store closes fails instead of hanging, and none begins afterwards."""
    async with _locked(database):
        writing = asyncio.create_task(store.store([row()]), name="write")
        await _until_waiting(database, 1)
        await store.close()
        with pytest.raises(StoreError):
            await writing
    assert not store._busy
    assert not store._idle
    with pytest.raises(RuntimeError, match="closed"):
        await store.store([row()])


async def test_a_changed_schema_is_met_without_a_failure(store: PostgresStore, database: Database) -> None:
    """A migration that adds a column while we run is none of our business."""
    await store.store([row(sequencer="1")])
    await database.execute("ALTER TABLE object_versions ADD owner text")
    assert await store.store([row(sequencer="2")]) == 1


async def test_waiting_for_a_connection_counts(migrated: StoreOptions, database: Database) -> None:
    """A write that gets no connection in time fails within the write timeout as well."""
    store = PostgresStore(msgspec.structs.replace(migrated, connections_max=1))
    patient = asyncio.create_task(store.store([row()]), name="write")
    async with _locked(database):
        await _until(lambda: bool(store._busy))
        store._options = msgspec.structs.replace(store._options, write_timeout_seconds=0.05)
        with pytest.raises(StoreError) as caught:
            await store.store([row()])
        assert caught.value.word == "timeout"
    assert await patient == 1
    await store.close()
