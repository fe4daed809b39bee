"""Storage facts and details: any order of arrival ends in the same row, and content stays what events say."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, TypeAlias

import asyncpg
import msgspec
import pytest

from subscriber.adapters.postgres.store import PostgresStore
from subscriber.events.order import fold
from subscriber.model import DetailedEvent, ObjectEvent, StorageFact
from tests.adapters.postgres.object_rows import NOON, row

Database: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

UNTIL = datetime(2026, 12, 1, tzinfo=UTC)


def fact(sequencer: str, storage_class: str = "GLACIER", tier: str | None = None, **identity: Any) -> StorageFact:
    """The object is stored in that class now."""
    plain = row(
        state="unchanged",
        sequencer=sequencer,
        event_name="LifecycleTransition",
        size_bytes=None,
        etag=None,
        **identity,
    )
    return StorageFact(**msgspec.structs.asdict(plain), storage_class=storage_class, access_tier=tier)


def restore(sequencer: str, until: datetime | None = UNTIL, **identity: Any) -> StorageFact:
    """The object has a restored copy until that time, or none any more."""
    name = "ObjectRestore:Delete" if until is None else "ObjectRestore:Completed"
    plain = row(state="unchanged", sequencer=sequencer, event_name=name, size_bytes=None, etag=None, **identity)
    return StorageFact(**msgspec.structs.asdict(plain), restored_until=until)


def detailed(sequencer: str, **details: Any) -> DetailedEvent:
    """A row that says more."""
    return DetailedEvent(**msgspec.structs.asdict(row(sequencer=sequencer)), **details)


async def _stored(database: Database, columns: str = "storage_class, access_tier, restored_until") -> list[Any]:
    return [tuple(found) for found in await database.fetch(f"SELECT {columns} FROM object_versions ORDER BY key")]


async def test_a_fact_changes_a_row_that_exists(store: PostgresStore, database: Database) -> None:
    """It changes its own columns, never the content nor the time of writing, and counts as applied once."""
    await store.store([row(sequencer="5")])
    content = await _stored(database, "sequencer, event_name, event_time, size_bytes, etag, ingested_at, state")
    assert await store.store(fold([fact("6"), restore("61")])) == 1
    assert await store.store(fold([fact("6"), restore("61")])) == 0
    assert await _stored(database) == [("GLACIER", None, UNTIL)]
    assert await _stored(database, "sequencer, event_name, event_time, size_bytes, etag, ingested_at, state") == content


async def test_a_fact_never_makes_a_row(store: PostgresStore, database: Database) -> None:
    """Before its object is known it is lost: a listing says it again."""
    assert await store.store([fact("6")]) == 0
    assert await _stored(database) == []


async def test_content_and_facts_of_one_batch(store: PostgresStore, database: Database) -> None:
    """The content is stored first, so that the fact finds its row."""
    rows = fold([fact("6", key="b"), row(sequencer="5", key="b"), row(sequencer="5", key="a"), restore("7", key="a")])
    assert await store.store(rows) == 4
    assert await _stored(database) == [(None, None, UNTIL), ("GLACIER", None, None)]


async def test_a_newer_content_starts_anew(store: PostgresStore, database: Database) -> None:
    """It is another object under the same name; a fact that is newer than it stays."""
    for sequencer, expected in (("7", (None, None, None)), ("55", ("GLACIER", None, UNTIL))):
        await database.execute("TRUNCATE object_versions")
        await store.store([row(sequencer="5")])
        await store.store(fold([fact("6"), restore("6")]))
        await store.store([row(sequencer=sequencer)])
        assert await _stored(database) == [expected]


async def test_facts_older_than_the_content_are_ignored(store: PostgresStore, database: Database) -> None:
    """They are about the object before it."""
    await store.store([row(sequencer="7")])
    assert await store.store(fold([fact("6"), restore("7")])) == 0
    assert await _stored(database) == [(None, None, None)]


async def test_the_end_of_a_restored_copy(store: PostgresStore, database: Database) -> None:
    """It is newer than the copy, in whatever order they come."""
    for facts in ([restore("6"), restore("7", None)], [restore("7", None), restore("6")]):
        await database.execute("TRUNCATE object_versions")
        await store.store([row(sequencer="5")])
        for each in facts:
            await store.store([each])
        assert await _stored(database) == [(None, None, None)]


async def test_details_are_stored_with_their_content(store: PostgresStore, database: Database) -> None:
    """Also beside rows that have none; the next content has none of them."""
    columns = "storage_class, is_multipart, checksum_algorithm, requester, remote_ip, request_id"
    told = detailed(
        "5",
        storage_class="STANDARD_IA",
        is_multipart=True,
        checksum_algorithm="CRC64NVME",
        requester="AWS:AIDA",
        remote_ip="192.0.2.1",
        request_id="C3D13FE58DE4C810",
    )
    assert await store.store([told, row(key="z")]) == 2
    assert await _stored(database, columns) == [
        ("STANDARD_IA", True, "CRC64NVME", "AWS:AIDA", "192.0.2.1", "C3D13FE58DE4C810"),
        (None,) * 6,
    ]
    assert await store.store([row(sequencer="6")]) == 1
    assert (await _stored(database, columns))[0] == (None,) * 6


@pytest.mark.parametrize("seed", range(8))
async def test_any_order_ends_in_the_same_row(store: PostgresStore, database: Database, seed: int) -> None:
    """Contents, storage facts and restores in any order, repeated and batched differently, once the row exists."""
    random = Random(seed)
    events = [*_history(random, "folder/object"), *_history(random, "other")]
    first = [row(key=key, sequencer="1") for key in ("folder/object", "other")]
    tables = []
    for _ in range(6):
        await database.execute("TRUNCATE object_versions")
        await store.store(first)
        stream = random.sample(events, len(events)) + random.sample(events, 5)
        while stream:
            size = random.randint(1, 6)
            await store.store(fold(stream[:size]))
            stream = stream[size:]
        columns = "sequencer, event_name, state, storage_class, access_tier, restored_until, storage_sequencer"
        tables.append(await _stored(database, f"{columns}, restore_sequencer"))
    assert all(table == tables[0] for table in tables)


def _history(random: Random, key: str) -> list[ObjectEvent]:
    events: list[ObjectEvent] = []
    for number in range(12):
        sequencer = random.choice("23456789AB")
        match number % 4:
            case 0:
                events.append(row(key=key, sequencer=sequencer, event_time=NOON + timedelta(seconds=number)))
            case 1:
                events.append(
                    row(key=key, sequencer=f"{sequencer}1", state="removed", event_name="ObjectRemoved:Delete")
                )
            case 2:
                tier = random.choice([None, "ARCHIVE_ACCESS"])
                events.append(fact(sequencer, random.choice(["GLACIER", "STANDARD_IA"]), tier, key=key))
            case _:
                until = random.choice([None, UNTIL, UNTIL + timedelta(days=1)])
                events.append(restore(sequencer, until, key=key))
    return events


async def test_an_inventory_fills_in_a_storage_class(store: PostgresStore, database: Database) -> None:
    """Where the row is certainly the same content; its time of writing stays, and it is written once."""
    await store.store([row(sequencer="5")])
    written = await _stored(database, "ingested_at")
    told = detailed("4", storage_class="DEEP_ARCHIVE", is_multipart=False)
    assert await store.add_missing([told]) == 1
    assert await store.add_missing([told]) == 0
    assert await _stored(database) == [("DEEP_ARCHIVE", None, None)]
    assert await _stored(database, "ingested_at") == written
    await store.store([row(sequencer="6", etag="other")])
    assert await store.add_missing([told]) == 0
    assert await _stored(database) == [(None, None, None)]


async def test_views_show_what_follows_from_other_columns(store: PostgresStore, database: Database) -> None:
    """The time of an upload in one piece, and the ETag of one in parts, need no column of their own."""
    parts = row(key="parts", event_name="ObjectCreated:CompleteMultipartUpload", etag="0123456789abcdef-7")
    await store.store([row(key="one"), parts])
    found = await database.fetch("SELECT key, last_modified, is_multipart FROM objects ORDER BY key")
    assert [tuple(each) for each in found] == [("one", NOON, False), ("parts", None, True)]
    assert [
        tuple(each)
        for each in await database.fetch("SELECT key, storage_class FROM search_objects('bucket') ORDER BY key")
    ] == [("one", None), ("parts", None)]
