"""Rows of a backfill are inserted: in the end the table is what the upsert would have made of it."""

from __future__ import annotations

import asyncio
from typing import TypeAlias

import asyncpg
import msgspec
import pytest

from subscriber.adapters.postgres.store import PostgresStore
from subscriber.errors import StoreError
from subscriber.model import ObjectEvent
from tests.adapters.postgres.object_rows import row
from tests.adapters.postgres.test_upsert import HOSTILE_KEYS

Database: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

ROWS = [
    row(key=key, version_id=version_id, etag=etag, size_bytes=size)
    for key in sorted(HOSTILE_KEYS)
    for version_id, etag, size in (("", "", 0), ("v1", None, None), ("v2", "e", 1))
]


async def _table(database: Database) -> list[ObjectEvent]:
    columns = ", ".join(ObjectEvent.__struct_fields__)
    found = await database.fetch(f"SELECT {columns} FROM object_versions ORDER BY bucket, key, version_id")
    return [ObjectEvent(*record) for record in found]


async def test_what_is_inserted_is_what_is_upserted(store: PostgresStore, database: Database) -> None:
    """Every key, and columns without value; all of them count."""
    assert await store.insert(ROWS) == len(ROWS)
    inserted = await _table(database)
    await database.execute("TRUNCATE object_versions")
    assert await store.store(ROWS) == len(ROWS)
    assert inserted == await _table(database)
    assert await store.insert([]) == 0


async def test_a_row_that_is_there_already_keeps_its_order(store: PostgresStore, database: Database) -> None:
    """The newer of the two stays, all other rows are stored, and the count is that of the upsert."""
    newer, older = msgspec.structs.replace(ROWS[4], sequencer="7"), msgspec.structs.replace(ROWS[7], sequencer="5")
    await store.store([newer, older])
    assert await store.insert(ROWS) == len(ROWS) - 1
    assert await _table(database) == [
        msgspec.structs.replace(newer if place == 4 else each, etag=each.etag or None)
        for place, each in enumerate(ROWS)
    ]


async def test_a_row_that_another_writer_is_inserting_is_awaited(store: PostgresStore, database: Database) -> None:
    """An event that is not committed yet when the insert begins."""
    newer = msgspec.structs.replace(ROWS[4], sequencer="7")
    async with database.transaction():
        await database.execute(
            "INSERT INTO object_versions (bucket, key, version_id, state, sequencer, event_name, event_time) "
            "VALUES ($1, $2, $3, 'present', $4, $5, $6)",
            newer.bucket, newer.key, newer.version_id, newer.sequencer, newer.event_name, newer.event_time,
        )  # fmt: skip
        inserting = asyncio.create_task(store.insert(ROWS), name="insert")
        query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%unnest%'"
        async with asyncio.timeout(60):
            while not await database.fetchval(query):
                await database.execute("SELECT pg_stat_clear_snapshot()")
    assert await inserting == len(ROWS) - 1
    stored = await _table(database)
    assert (len(stored), stored[4].sequencer) == (len(ROWS), "7")


async def test_a_row_that_cannot_be_stored_fails_as_in_an_upsert(store: PostgresStore, database: Database) -> None:
    """Nothing is stored."""
    with pytest.raises(StoreError) as raised:
        await store.insert([*ROWS, row(key="x" * 1025)])
    assert raised.value.sqlstate == "23514"
    assert await _table(database) == []
