"""The queue of enrichment on a real database: claims, leases, results, and versions that change meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any, TypeAlias

import asyncpg
import msgspec
import pytest

from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.adapters.postgres.enrichment import ClaimedVersion, Enrichment
from subscriber.adapters.postgres.store import PostgresStore
from tests.adapters.postgres.object_rows import NOON, row

Database: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

TAGGED = {"tags": {"project": "x"}}


@pytest.fixture
async def queue(migrated: StoreOptions, store: PostgresStore) -> AsyncIterator[Enrichment]:
    """Three objects in the index, none in the queue."""
    await store.store([VERSION, msgspec.structs.replace(VERSION, key="b"), msgspec.structs.replace(VERSION, key="c")])
    queue = Enrichment(migrated)
    yield queue
    await queue.close()


VERSION = msgspec.structs.replace(row(), bucket="lake", key="a", version_id="", etag="abc", state="present")


async def claimed(queue: Enrichment, key: str = "a", lease_seconds: float = 60.0) -> ClaimedVersion:
    """An object that was queued and taken."""
    assert await queue.add("lake", [(key, "")]) == 1
    (version,) = await queue.claim(1, lease_seconds)
    assert version.key == key
    return version


async def metadata(database: Database) -> list[tuple[str, Any]]:
    """Keys and documents."""
    rows = await database.fetch("SELECT key, metadata FROM object_metadata ORDER BY key")
    return [(key, msgspec.json.decode(document)) for key, document in rows]


async def waiting(database: Database) -> int:
    """Rows of the queue."""
    return int(await database.fetchval("SELECT count(*) FROM enrichment_queue"))


async def test_the_newest_is_taken_first_and_once(queue: Enrichment) -> None:
    """A version that is queued again counts as new, and one in work is not taken a second time."""
    for key in ("a", "b", "c", "a"):
        assert await queue.add("lake", [(key, "")]) == 1
    assert [version.key for version in await queue.claim(1, 60.0)] == ["a"]
    assert sorted(version.key for version in await queue.claim(5, 60.0)) == ["b", "c"]
    assert await queue.claim(5, 60.0) == []


async def test_only_versions_that_exist_are_queued(queue: Enrichment, store: PostgresStore) -> None:
    """A key that the index does not know is not asked for, and neither is a removed one."""
    removed = msgspec.structs.replace(VERSION, state="removed", event_time=NOON + timedelta(hours=1), sequencer="FF")
    await store.store([removed])
    assert await queue.add("lake", [("a", ""), ("b", ""), ("unknown", "")]) == 1


async def test_parallel_workers_share_the_queue(migrated: StoreOptions, queue: Enrichment) -> None:
    """No version is taken by two of them."""
    await queue.add("lake", [("a", ""), ("b", ""), ("c", "")])
    workers = [Enrichment(migrated) for _ in range(3)]
    taken = await asyncio.gather(*(worker.claim(1, 60.0) for worker in workers))
    keys = [version.key for versions in taken for version in versions]
    keys += [version.key for version in await queue.claim(3, 60.0)]
    assert sorted(keys) == ["a", "b", "c"]
    await asyncio.gather(*(worker.close() for worker in workers))


async def test_a_result_ends_the_row_of_the_queue(queue: Enrichment, database: Database) -> None:
    """Both in one statement; the next result of the version replaces the first."""
    assert await queue.store(await claimed(queue), TAGGED, "abc")
    assert (await metadata(database), await waiting(database)) == ([("a", TAGGED)], 0)
    assert await queue.store(await claimed(queue), {"tags": {}}, "abc")
    assert (await metadata(database), await waiting(database)) == ([("a", {"tags": {}})], 0)


async def test_a_lease_that_is_over_is_taken_by_another_worker(queue: Enrichment, database: Database) -> None:
    """A worker that died loses nothing."""
    first = await claimed(queue, lease_seconds=0.0)
    (second,) = await queue.claim(1, 60.0)
    assert (second.generation, second.attempts) == (first.generation, first.attempts + 1)
    assert await queue.store(second, TAGGED, "abc")
    assert not await queue.store(first, {"tags": {"late": "1"}}, "abc")
    assert (await metadata(database), await waiting(database)) == ([("a", TAGGED)], 0)


async def test_a_version_that_was_queued_again_keeps_its_row(queue: Enrichment, database: Database) -> None:
    """The result, the failure and the end of an older generation change nothing."""
    old = await claimed(queue)
    assert await queue.add("lake", [("a", "")]) == 1
    assert not await queue.store(old, TAGGED, "abc")
    await queue.fail(old, "late", None)
    await queue.remove(old)
    (new,) = await queue.claim(1, 60.0)
    assert new.generation > old.generation
    assert (await metadata(database), new.attempts) == ([], 1)


async def test_a_result_of_another_content_is_not_stored(queue: Enrichment, database: Database) -> None:
    """The null version was overwritten before the answer, and its event has not come, or the other way round."""
    version = await claimed(queue)
    assert not await queue.store(version, TAGGED, "newer")
    assert (await metadata(database), await waiting(database)) == ([], 1)


async def test_a_result_waits_for_a_write_of_its_version(queue: Enrichment, database: Database) -> None:
    """It sees the ETag that the write commits, and stays in the queue."""
    version = await claimed(queue)
    async with database.transaction():
        await database.execute("UPDATE object_versions SET etag = 'newer' WHERE key = 'a'")
        storing = asyncio.create_task(queue.store(version, TAGGED, "abc"), name="storing")
        text = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE $1"
        async with asyncio.timeout(10):
            while not await database.fetchval(text, "-- Stores the metadata%"):
                await database.execute("SELECT pg_stat_clear_snapshot()")
    assert not await storing
    assert (await metadata(database), await waiting(database)) == ([], 1)


async def test_a_removed_version_gets_no_metadata(queue: Enrichment, store: PostgresStore, database: Database) -> None:
    """Its row of the queue ends all the same."""
    version = await claimed(queue)
    removed = msgspec.structs.replace(VERSION, state="removed", event_time=NOON + timedelta(hours=1), sequencer="FF")
    await store.store([removed])
    assert await queue.store(version, TAGGED, "abc")
    assert (await metadata(database), await waiting(database)) == ([], 0)


async def test_a_version_that_s3_does_not_have_is_dropped(queue: Enrichment, database: Database) -> None:
    """With the metadata of former days."""
    assert await queue.store(await claimed(queue), TAGGED, "abc")
    await queue.remove(await claimed(queue))
    assert (await metadata(database), await waiting(database)) == ([], 0)


async def test_failures_are_kept_and_tried_again_until_given_up(queue: Enrichment, database: Database) -> None:
    """A version is not due before its delay is over; one that was given up keeps its error until it is queued anew."""
    version = await claimed(queue)
    await queue.fail(version, "SlowDown", 0.0)
    (again,) = await queue.claim(1, 60.0)
    assert again.attempts == 2
    await queue.fail(again, "SlowDown", 3600.0)
    assert await queue.claim(1, 60.0) == []
    await queue.fail(again, "AccessDenied: \0", None)
    assert await queue.claim(1, 60.0) == []
    assert await database.fetchval("SELECT error FROM enrichment_queue WHERE due_at IS NULL") == "AccessDenied: \ufffd"
    assert (await claimed(queue)).attempts == 1
