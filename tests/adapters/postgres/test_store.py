"""The store's connections: reused after a known outcome, dropped after an unknown one, limited in number."""

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
    """Lock the index table for the block."""
    async with database.transaction():
        await database.execute("LOCK TABLE object_versions")
        yield


async def _until(condition: Any) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110  -- no event to wait for
            await asyncio.sleep(0.005)


async def _waiting(database: Database) -> int:
    """The number of sessions that wait for the lock of `_locked`."""
    return int(await database.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'relation'"))


async def _until_waiting(database: Database, count: int) -> None:
    async with asyncio.timeout(60):
        while await _waiting(database) < count:  # noqa: ASYNC110  -- no event to wait for
            await asyncio.sleep(0.005)


async def test_sequential_writes_share_a_connection(store: PostgresStore) -> None:
    """Sequential writes share a connection, on which the statement is prepared once."""
    (connection,) = store._idle
    for number in range(20):
        await store.store([row(key=f"{number}")])
    assert store._idle == [connection]
    prepared = await connection.fetch("SELECT generic_plans + custom_plans AS runs FROM pg_prepared_statements")
    assert 20 in [record["runs"] for record in prepared]


async def test_a_rejected_row_keeps_the_connection(store: PostgresStore) -> None:
    """A rejected row does not affect the connection."""
    before = list(store._idle)
    with pytest.raises(StoreError):
        await store.store([row(size_bytes=-1)])
    assert store._idle == before


async def test_a_wrong_node_drops_all_idle_connections(store: PostgresStore, database: Database) -> None:
    """If one connection leads to the wrong node, the idle ones are dropped too."""
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


async def test_the_most_recent_connection_is_reused_first(store: PostgresStore, database: Database) -> None:
    """With low load one of many connections does all the work."""
    async with _locked(database):
        writes = [asyncio.create_task(store.store([row(key=f"{n}")]), name=f"write {n}") for n in range(3)]
        await _until_waiting(database, 3)
    await asyncio.gather(*writes)
    before = list(store._idle)
    await store.store([row()])
    assert store._idle == before


async def test_no_more_connections_than_allowed(migrated: StoreOptions, database: Database) -> None:
    """Only as many writes run at once as there may be connections; the others wait."""
    store = PostgresStore(msgspec.structs.replace(migrated, connections_max=3))
    async with _locked(database):
        writes = [asyncio.create_task(store.store([row(key=f"{n}")]), name=f"write {n}") for n in range(10)]
        await _until_waiting(database, 3)
        assert len(store._busy) == 3
    assert await asyncio.gather(*writes) == [1] * 10
    assert len(store._idle) == 3
    await store.close()


async def test_a_cancelled_write_frees_its_connection(migrated: StoreOptions, database: Database) -> None:
    """A write that is cancelled while it waits for a connection or for the server frees both."""
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
    async with asyncio.timeout(60):
        await store.store([row()])
    await store.close()


@pytest.mark.parametrize("steps", range(12))
async def test_cancelled_at_any_step(migrated: StoreOptions, steps: int) -> None:
    """Cancelled at any await, also while connecting and preparing, the store stays usable."""
    store = PostgresStore(msgspec.structs.replace(migrated, connections_max=1))
    writing = asyncio.create_task(store.store([row()]), name="write")
    for _ in range(steps * 2):
        await asyncio.sleep(0)
    writing.cancel()
    await asyncio.gather(writing, return_exceptions=True)
    assert not store._busy
    async with asyncio.timeout(60):
        await store.store([row(sequencer="F")])
    await store.close()


async def test_closing_ends_writes_in_progress(store: PostgresStore, database: Database) -> None:
    """A write in progress fails instead of hanging, and no new write starts."""
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


async def test_an_added_column_does_not_matter(store: PostgresStore, database: Database) -> None:
    """A migration may add a column while the daemon runs."""
    await store.store([row(sequencer="1")])
    await database.execute("ALTER TABLE object_versions ADD owner text")
    assert await store.store([row(sequencer="2")]) == 1


async def test_the_timeout_includes_waiting_for_a_connection(migrated: StoreOptions, database: Database) -> None:
    """A write that gets no connection fails within the write timeout."""
    store = PostgresStore(msgspec.structs.replace(migrated, connections_max=1))
    first = asyncio.create_task(store.store([row()]), name="write")
    async with _locked(database):
        await _until(lambda: bool(store._busy))
        store._options = msgspec.structs.replace(store._options, write_timeout_seconds=0.05)
        with pytest.raises(StoreError) as caught:
            await store.store([row()])
        assert caught.value.word == "timeout"
    assert await first == 1
    await store.close()
