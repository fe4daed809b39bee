"""Versions of a listing are added by COPY: in the end the table is what the upsert would have made of them."""

from __future__ import annotations

import asyncio
from typing import TypeAlias

import asyncpg
import msgspec
import pytest

from subscriber.adapters.postgres.copy_text import copy_text
from subscriber.adapters.postgres.store import PostgresStore
from subscriber.errors import StoreError
from subscriber.model import ListedVersion, ObjectEvent, RankedVersion
from testkit.reconcile.passes import added_event
from tests.adapters.postgres.test_upsert import HOSTILE_KEYS

Database: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

NAME = "Observed:List"
PLAIN_KEYS = sorted(key for key in HOSTILE_KEYS if not set(key) & set("\t\n\r\\"))


def version(key: str, version_id: str = "", *, is_marker: bool = False, etag: str | None = "e") -> ListedVersion:
    """A version as a listing shows it."""
    size = None if is_marker else 7
    return ListedVersion(key, version_id, is_marker, False, 1_700_000_000, size, None if is_marker else etag)


ROWS: list[RankedVersion] = [
    (version(key, version_id, is_marker=is_marker), sequencer)
    for key in PLAIN_KEYS
    for version_id, is_marker, sequencer in (("", False, "61"), ("v1", True, "62"), ("v2", False, "63"))
]


def events(rows: list[RankedVersion]) -> list[ObjectEvent]:
    """The rows that these must become."""
    return [added_event("b", each, sequencer, NAME) for each, sequencer in rows]


async def _table(database: Database) -> list[ObjectEvent]:
    columns = ", ".join(ObjectEvent.__struct_fields__)
    found = await database.fetch(f"SELECT {columns} FROM object_versions ORDER BY bucket, key, version_id")
    return [ObjectEvent(*record) for record in found]


async def test_a_storage_class_comes_along(store: PostgresStore, database: Database) -> None:
    """A listing names it for nearly every object; markers have none."""
    cold = msgspec.structs.replace(version("cold"), storage_class="DEEP_ARCHIVE")
    assert await store.add_listed("b", [(cold, "61"), (version("m", is_marker=True), "62"), (version("u"), "63")], NAME)
    found = await database.fetch("SELECT key, storage_class FROM object_versions ORDER BY key")
    assert [tuple(each) for each in found] == [("cold", "DEEP_ARCHIVE"), ("m", None), ("u", None)]
    odd = msgspec.structs.replace(version("odd"), storage_class="A\tB")
    assert not await store.add_listed("b", [(odd, "61")], NAME)


async def test_what_is_added_is_what_is_upserted(store: PostgresStore, database: Database) -> None:
    """Every key, delete markers, and what a listing does not tell."""
    assert len(PLAIN_KEYS) > 5
    untold = [(msgspec.structs.replace(version("\U0010ffff"), size_bytes=None, etag=None), "64")]
    assert await store.add_listed("b", [*ROWS, *untold], NAME)
    added = await _table(database)
    await database.execute("TRUNCATE object_versions")
    assert await store.store(events([*ROWS, *untold])) == len(ROWS) + 1
    assert (
        added == await _table(database) == sorted(events([*ROWS, *untold]), key=lambda row: (row.key, row.version_id))
    )


@pytest.mark.parametrize(
    "odd",
    [
        *(version(f"a{character}b") for character in "\t\n\r\\"),
        version("\\N"),
        version("\ud800"),
        version("a", "\\N"),
        version("a", etag="e\\"),
    ],
)
async def test_texts_that_would_need_escapes_are_left_to_the_upsert(
    store: PostgresStore, database: Database, odd: ListedVersion
) -> None:
    """Nothing is stored, whatever stands beside them."""
    rows = [*ROWS, (odd, "64")]
    assert copy_text("b", rows, NAME) is None
    assert not await store.add_listed("b", rows, NAME)
    assert await _table(database) == []


async def test_beside_a_row_that_is_there_nothing_is_added(store: PostgresStore, database: Database) -> None:
    """Whether it is older or newer; the connection can be used again."""
    for sequencer in ("5", "7"):
        there = [msgspec.structs.replace(events(ROWS)[4], sequencer=sequencer)]
        await store.store(there)
        assert not await store.add_listed("b", ROWS, NAME)
        assert await _table(database) == there
    assert await store.add_listed("b", ROWS[:3], NAME)


async def test_an_event_that_is_not_committed_yet_is_awaited(store: PostgresStore, database: Database) -> None:
    """It comes after the probe for rows and before COPY."""
    newer = msgspec.structs.replace(events(ROWS)[4], sequencer="7")
    async with database.transaction():
        await database.execute(
            "INSERT INTO object_versions (bucket, key, version_id, state, sequencer, event_name, event_time) "
            "VALUES ($1, $2, $3, $4, $5, $6, $7)",
            newer.bucket, newer.key, newer.version_id, newer.state, newer.sequencer, newer.event_name, newer.event_time,
        )  # fmt: skip
        adding = asyncio.create_task(store.add_listed("b", ROWS, NAME), name="add")
        query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'COPY%'"
        async with asyncio.timeout(10):
            while not await database.fetchval(query):
                await database.execute("SELECT pg_stat_clear_snapshot()")
    assert not await adding
    assert [row.sequencer for row in await _table(database)] == ["7"]
    assert await store.store(events(ROWS)) == len(ROWS) - 1
    assert [row.sequencer for row in await _table(database)] == [
        "7" if place == 4 else row.sequencer for place, row in enumerate(events(ROWS))
    ]


async def test_an_event_that_comes_after_copy_wins(store: PostgresStore, database: Database) -> None:
    """An observation is older than every event that tells more."""
    assert await store.add_listed("b", ROWS, NAME)
    newer = msgspec.structs.replace(events(ROWS)[4], sequencer="7")
    assert await store.store([newer]) == 1
    assert (await _table(database))[4] == newer


async def test_a_row_that_cannot_be_stored_fails_as_in_an_upsert(store: PostgresStore, database: Database) -> None:
    """Nothing is stored."""
    with pytest.raises(StoreError) as raised:
        await store.add_listed("b", [*ROWS, (version("x" * 1025), "64")], NAME)
    assert raised.value.sqlstate == "23514"
    assert await _table(database) == []
