"""Rows that are only added: what the index has stays, and what it lacks is filled in."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, TypeAlias

import asyncpg
import msgspec
import pytest

from subscriber.adapters.postgres.store import PostgresStore
from subscriber.model import ObjectEvent

Database: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

TOLD = ObjectEvent(
    bucket="lake",
    key="a",
    version_id="v1",
    state="present",
    sequencer="6A",
    event_name="ObjectCreated:Put",
    event_time=datetime(2026, 11, 29, tzinfo=UTC),
    size_bytes=5,
    etag="e",
)
FOUND = msgspec.structs.replace(
    TOLD, sequencer="7", event_name="Observed:Inventory", event_time=datetime(2026, 11, 30, tzinfo=UTC)
)


def row(event: ObjectEvent, **changed: object) -> ObjectEvent:
    """The event with other values."""
    return msgspec.structs.replace(event, **changed)


async def rows(database: Database) -> list[tuple[Any, ...]]:
    """All rows of the table."""
    columns = "bucket, key, version_id, state, sequencer, event_name, event_time, size_bytes, etag"
    return [tuple(found) for found in await database.fetch(f"SELECT {columns} FROM object_versions ORDER BY 1, 2, 3")]


async def test_rows_that_are_missing_are_added_once(store: PostgresStore, database: Database) -> None:
    """The count tells it."""
    other = row(FOUND, key="b", version_id="", state="delete_marker", size_bytes=None, etag=None)
    assert await store.add_missing([FOUND, other]) == 2
    assert await store.add_missing([FOUND, other]) == 0
    assert await store.add_missing([]) == 0
    assert await rows(database) == [msgspec.structs.astuple(FOUND), msgspec.structs.astuple(other)]


@pytest.mark.parametrize(
    "told",
    [
        row(TOLD),
        row(TOLD, etag="other", size_bytes=6),
        row(TOLD, state="removed", size_bytes=None, etag=None),
        row(TOLD, state="delete_marker", size_bytes=None, etag=None),
        # The null version comes and goes: without its ETag nobody knows whether it is this content.
        row(TOLD, version_id="", size_bytes=None, etag=None),
        row(TOLD, version_id="", size_bytes=None, etag="other"),
    ],
)
async def test_what_the_index_has_stays(store: PostgresStore, database: Database, told: ObjectEvent) -> None:
    """Although the row would be newer by the order of events, and also where the index has less."""
    await store.store([told])
    assert await store.add_missing([row(FOUND, version_id=told.version_id)]) == 0
    assert await rows(database) == [msgspec.structs.astuple(told)]


@pytest.mark.parametrize(
    ("told", "filled"),
    [
        (row(TOLD, size_bytes=None), TOLD),
        (row(TOLD, etag=None), TOLD),
        (row(TOLD, size_bytes=None, etag=None), TOLD),
        (row(TOLD, version_id="", size_bytes=None), row(TOLD, version_id="")),
    ],
)
async def test_what_the_index_lacks_is_filled_in(
    store: PostgresStore, database: Database, told: ObjectEvent, filled: ObjectEvent
) -> None:
    """Size and ETag of what is certainly the same content; its order, name and time stay the event's."""
    await store.store([told])
    found = row(FOUND, version_id=told.version_id)
    assert await store.add_missing([found]) == 1
    assert await store.add_missing([found]) == 0
    assert await rows(database) == [msgspec.structs.astuple(filled)]
    await store.store([told])  # the event once more
    assert await rows(database) == [msgspec.structs.astuple(filled)]


async def test_complete_rows_are_not_even_locked(store: PostgresStore, database: Database) -> None:
    """A conflict would write the row's block; a row that is passed over does not."""
    await store.store([TOLD])
    before = await database.fetchrow("SELECT ctid, xmin, xmax FROM object_versions")
    assert await store.add_missing([FOUND]) == 0
    assert await database.fetchrow("SELECT ctid, xmin, xmax FROM object_versions") == before
