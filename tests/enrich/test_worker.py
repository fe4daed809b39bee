"""The worker on a real queue, with answers of S3 that the test gives."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TypeAlias

import asyncpg
import msgspec
import pytest

from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.adapters.postgres.enrichment import Enrichment
from subscriber.adapters.postgres.features import Features
from subscriber.adapters.postgres.store import PostgresStore
from subscriber.adapters.s3.metadata import ObjectMetadata
from subscriber.enrich import worker as worker_module
from subscriber.enrich.worker import EnrichmentWorker, EnrichOptions
from subscriber.errors import ListingError
from subscriber.features import Option
from subscriber.model import ObjectEvent
from subscriber.observe.metrics import Metrics
from tests.adapters.postgres.object_rows import NOON, row

Database: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
Answer: TypeAlias = ObjectMetadata | ListingError | None

TAGGED = ObjectMetadata(etag="abc", content_type="text/csv", tags={"project": "x"})
DENIED = ListingError("AccessDenied", "s3://lake/a: denied")


class Answers:
    """S3: an answer for each key; it counts two requests for each."""

    def __init__(self, by_key: Mapping[str, Answer]) -> None:
        self.by_key = dict(by_key)
        self.asked: list[str] = []

    @property
    def requests(self) -> int:
        """So far."""
        return 2 * len(self.asked)

    async def read(self, bucket: str, key: str, version_id: str) -> ObjectMetadata | None:
        """The answer."""
        self.asked.append(key)
        answer = self.by_key[key]
        if isinstance(answer, ListingError):
            raise answer
        return answer


def version(key: str, hours: int = 0, **changes: object) -> ObjectEvent:
    """An object; later hours make later events of it."""
    made = msgspec.structs.replace(
        row(), bucket="lake", key=key, version_id="", etag="abc", state="present", sequencer=f"{hours + 1:X}"
    )
    return msgspec.structs.replace(made, event_time=NOON + timedelta(hours=hours), **changes)


async def enabled(options: StoreOptions, **filters: Option) -> None:
    """Switch the feature on."""
    assert await Features(options).enable("enrichment", filters)


async def queued(database: Database) -> list[str]:
    """Keys that wait."""
    return [each["key"] for each in await database.fetch("SELECT key FROM enrichment_queue ORDER BY key")]


@asynccontextmanager
async def working(
    options: StoreOptions, answers: Answers, dollars: float = 0.0
) -> AsyncIterator[Callable[[Callable[[], Awaitable[bool]]], Awaitable[None]]]:
    """A worker that runs; a function that waits until something holds."""
    queue = Enrichment(options)
    worker = EnrichmentWorker(EnrichOptions(2, dollars, 1.0), queue, answers, Metrics())
    task = asyncio.create_task(worker.run(), name="worker")

    async def until(holds: Callable[[], Awaitable[bool]]) -> None:
        async with asyncio.timeout(20):
            while not await holds():
                assert not task.done()
                await asyncio.sleep(0.01)

    try:
        yield until
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await queue.close()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Idle workers look again soon."""
    monkeypatch.setattr(worker_module, "IDLE_SECONDS", 0.01)
    monkeypatch.setattr(worker_module, "BILL_SECONDS", 0.01)


async def test_writes_queue_what_the_filter_takes(
    migrated: StoreOptions, store: PostgresStore, database: Database
) -> None:
    """By bucket, prefix, suffix and size; both bounds of the size are included."""
    await enabled(migrated, bucket="lake", prefix="raw/", suffix=".csv", smallest_bytes=10, largest_bytes=20)
    sizes = {"raw/a.csv": 10, "raw/b.csv": 20, "raw/c.csv": 21, "raw/d.csv": 9, "raw/e.txt": 15, "other.csv": 15}
    rows = [version(key, size_bytes=size) for key, size in sizes.items()]
    await store.store([*rows, version("raw/f.csv", size_bytes=15, bucket="pond")])
    assert await queued(database) == ["raw/a.csv", "raw/b.csv"]


async def test_only_what_changed_is_queued_again(
    migrated: StoreOptions, store: PostgresStore, database: Database
) -> None:
    """An overwrite is, a repeated or older event is not."""
    await enabled(migrated)
    await store.store([version("a", 2), version("b", 2)])
    await database.execute("DELETE FROM enrichment_queue")
    await store.store([version("a", 2), version("b", 1)])
    await database.execute("UPDATE object_versions SET ingested_at = now()")
    assert await queued(database) == []
    await store.store([version("a", 3)])
    assert await queued(database) == ["a"]


async def test_an_answer_is_stored_and_a_removal_drops_it(
    migrated: StoreOptions, store: PostgresStore, database: Database
) -> None:
    """From the write to the document, and from the delete event to nothing; what S3 does not have leaves the queue."""
    await enabled(migrated)
    await store.store([version("a"), version("gone")])
    async with working(migrated, Answers({"a": TAGGED, "gone": None})) as until:
        await until(lambda: _is_empty(database))
    rows = await database.fetch("SELECT key, metadata FROM object_metadata")
    assert [(each["key"], msgspec.json.decode(each["metadata"])) for each in rows] == [("a", TAGGED.document())]
    await store.store([version("a", 1, state="removed", size_bytes=None, etag=None)])
    assert await database.fetchval("SELECT count(*) FROM object_metadata") == 0


async def test_a_failure_is_noted_and_a_missing_right_counts_no_attempt(
    migrated: StoreOptions, store: PostgresStore, database: Database
) -> None:
    """The error is kept without the key; the worker asks each denied version once and then pauses."""
    await enabled(migrated)
    await store.store([version("a"), version("b")])
    answers = Answers({"a": DENIED, "b": ListingError("SlowDown", "s3://lake/b: slow down")})
    async with working(migrated, answers) as until:
        await until(lambda: _have_failed(database, 2))
    rows = await database.fetch("SELECT key, attempts, error, due_at > now() FROM enrichment_queue ORDER BY key")
    assert [tuple(each) for each in rows] == [
        ("a", 0, "AccessDenied: s3://lake/…: denied", True),
        ("b", 1, "SlowDown: s3://lake/…: slow down", True),
    ]


async def test_content_that_the_index_does_not_know_is_asked_for_later(
    migrated: StoreOptions, store: PostgresStore, database: Database
) -> None:
    """Nothing is stored, and the event of the content queues it at once."""
    await enabled(migrated)
    await store.store([version("a")])
    answers = Answers({"a": msgspec.structs.replace(TAGGED, etag="newer")})
    async with working(migrated, answers) as until:
        await until(lambda: _have_failed(database, 1))
        assert await database.fetchval("SELECT count(*) FROM object_metadata") == 0
        await store.store([version("a", 1, etag="newer")])
        await until(lambda: _is_empty(database))
    assert await database.fetchval("SELECT count(*) FROM object_metadata") == 1


async def test_the_bill_of_the_fleet_stops_all_workers(
    migrated: StoreOptions, store: PostgresStore, database: Database
) -> None:
    """At a price of 1 USD a million, 4 requests are allowed: two versions of ten, and the next month goes on."""
    await enabled(migrated)
    keys = [f"{number}" for number in range(10)]
    await store.store([version(key) for key in keys])
    answers = Answers(dict.fromkeys(keys, TAGGED))
    async with working(migrated, answers, dollars=4e-6) as until:
        await until(lambda: _has_spent(database, 4))
        assert len(await queued(database)) == 8
        await database.execute("UPDATE enrichment_requests SET requests = 0")
        await until(lambda: _waits_for(database, 6))
    assert len(answers.asked) == 4


async def test_what_is_there_already_is_queued_in_pages(
    migrated: StoreOptions, store: PostgresStore, database: Database
) -> None:
    """What has metadata is left out unless it is asked for again; given up ones are tried again by `retry`."""
    await store.store([version(f"raw/{number}") for number in range(5)] + [version("other")])
    await store.store([version("raw/3", 1, state="removed")])
    await enabled(migrated)
    await database.execute("INSERT INTO object_metadata VALUES ('lake', 'raw/1', '', '{}')")
    queue = Enrichment(migrated)
    assert await queue.queue_range("lake", ("raw/", "raw0"), again=False, page_rows=2) == (5, 3)
    assert await queue.queue_range("lake", ("raw/", "raw0"), again=True, page_rows=2) == (5, 1)
    await database.execute("UPDATE enrichment_queue SET due_at = NULL, error = 'SlowDown: no' WHERE key = 'raw/1'")
    status = await queue.status(10)
    assert (status.due, status.later, status.given_up, status.errors) == (3, 0, 1, (("SlowDown: no", 1),))
    assert await queue.retry() == 1
    assert (await queue.status(10)).due == 4
    await queue.close()


async def test_switched_off_nothing_is_kept(migrated: StoreOptions, store: PostgresStore, database: Database) -> None:
    """The metadata is deleted, and writes queue nothing."""
    await enabled(migrated)
    await store.store([version("a")])
    assert await Features(migrated).disable("enrichment")
    await store.store([version("a", 1), version("b")])
    assert await queued(database) == []


async def test_rows_that_are_deleted_or_truncated_keep_no_metadata(
    migrated: StoreOptions, store: PostgresStore, database: Database
) -> None:
    """By hand, as no command does it."""
    await enabled(migrated)
    await store.store([version("a"), version("b")])
    await database.execute("INSERT INTO object_metadata SELECT bucket, key, version_id, '{}' FROM object_versions")
    await database.execute("DELETE FROM object_versions WHERE key = 'a'")
    assert await queued(database) == ["b"]
    await database.execute("TRUNCATE object_versions")
    assert await database.fetchval("SELECT count(*) FROM object_metadata") == 0
    assert await queued(database) == []


async def _is_empty(database: Database) -> bool:
    return await queued(database) == []


async def _waits_for(database: Database, count: int) -> bool:
    return len(await queued(database)) == count


async def _have_failed(database: Database, count: int) -> bool:
    return bool(await database.fetchval("SELECT count(*) = $1 FROM enrichment_queue WHERE error IS NOT NULL", count))


async def _has_spent(database: Database, requests: int) -> bool:
    return bool(await database.fetchval("SELECT requests >= $1 FROM enrichment_requests", requests))
