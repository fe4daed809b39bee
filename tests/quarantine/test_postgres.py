"""The quarantine table: every filter selects, pages are bounded, and a message is marked once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import asyncpg
import msgspec
import pytest

from subscriber.adapters.postgres import quarantine as postgres_quarantine
from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.adapters.postgres.quarantine import Filters, Quarantine, QueueCount
from subscriber.adapters.postgres.statements import statement
from tests.quarantine.conftest import QUEUE, Put

OTHER = "https://sqs.eu-west-1.amazonaws.com/123456789012/more-events"


async def ids(quarantine: Quarantine, filters: Filters, at_most: int = 100) -> list[str]:
    """The message ids of all pages."""
    found: list[str] = []
    after = ("", "")
    while page := await quarantine.page(filters, after, at_most):
        assert len(page) <= at_most
        found += [message.message_id for message in page]
        after = page[-1].position
    return found


@pytest.mark.parametrize("at_most", [1, 3, 100])
async def test_pages_contain_every_message_once(quarantine: Quarantine, put: Put, at_most: int) -> None:
    """In the order of queue and id, whatever the size of a page."""
    for queue in (OTHER, QUEUE):
        for number in range(4):
            await put(f"{number}", queue=queue)
    assert await ids(quarantine, Filters(), at_most) == ["0", "1", "2", "3"] * 2


async def test_a_page_is_bounded_in_bytes(quarantine: Quarantine, put: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    """Large bodies make small pages, but never an empty page; no message is skipped."""
    monkeypatch.setattr(postgres_quarantine, "PAGE_BYTES", 1000)
    sizes = {"a": 400, "b": 500, "c": 300, "d": 5000, "e": 1}
    for name, size in sizes.items():
        await put(name, body=b"x" * size)
    assert [message.message_id for message in await quarantine.page(Filters(), ("", ""), 100)] == ["a", "b"]
    (large,) = await quarantine.page(Filters(), (QUEUE, "c"), 100)
    assert (large.message_id, len(large.body)) == ("d", 5000)
    assert await ids(quarantine, Filters()) == list(sizes)


async def test_filters(quarantine: Quarantine, put: Put) -> None:
    """By reason, by queue (its URL or its name), by age, and by whether the message was replayed."""
    await put("old", age=timedelta(days=3))
    await put("key", reason="bad_key")
    await put("far", queue=OTHER)
    now = datetime.now(UTC)
    assert await ids(quarantine, Filters(reasons=("bad_key", "none"))) == ["key"]
    assert await ids(quarantine, Filters(queue="events")) == ["key", "old"]
    assert await ids(quarantine, Filters(queue=OTHER)) == ["far"]
    assert await ids(quarantine, Filters(before=now - timedelta(days=2))) == ["old"]
    assert await ids(quarantine, Filters(since=now - timedelta(days=2))) == ["key", "far"]
    (key,) = await quarantine.find("key", None)
    await quarantine.mark([key], "me")
    assert await ids(quarantine, Filters(is_replayed=False)) == ["old", "far"]
    assert await ids(quarantine, Filters(is_replayed=True)) == ["key"]
    counts = {c.reason: (c.waiting, c.replayed) for c in await quarantine.counts(Filters())}
    assert counts == {"not_json": (2, 0), "bad_key": (0, 1)}
    assert [c.reason for c in await quarantine.counts(Filters(queue="more-events"))] == ["not_json"]


async def test_a_message_keeps_its_first_mark(
    quarantine: Quarantine, put: Put, database: asyncpg.Connection[asyncpg.Record]
) -> None:
    """The first user stays, and only new marks are counted."""
    for name in ("a", "b"):
        await put(name)
    first, second = await quarantine.page(Filters(), ("", ""), 10)
    assert await quarantine.mark([first], "one") == 1
    assert await quarantine.mark([first, second], "two") == 1
    assert await quarantine.mark([], "three") == 0
    rows = await database.fetch(
        "SELECT replayed_by, replayed_at IS NOT NULL FROM quarantined_messages ORDER BY message_id"
    )
    assert [tuple(row) for row in rows] == [("one", True), ("two", True)]


async def test_two_queues_may_use_the_same_id(quarantine: Quarantine, put: Put) -> None:
    """`find` returns both, or only that of the given queue; an unknown id gives nothing."""
    for queue in (QUEUE, OTHER):
        await put("same", queue=queue)
    assert [message.queue for message in await quarantine.find("same", None)] == [QUEUE, OTHER]
    assert [message.queue for message in await quarantine.find("same", "events")] == [QUEUE]
    assert await quarantine.find("none", None) == []


async def test_an_id_may_be_a_prefix(quarantine: Quarantine, put: Put) -> None:
    """Of one message or several; the exact id excludes longer ones."""
    for name in ("ab", "abc", "abd", "a%"):
        await put(name)
    assert [message.message_id for message in await quarantine.find("ab", None)] == ["ab"]
    assert [message.message_id for message in await quarantine.find("abc", "events")] == ["abc"]
    assert [message.message_id for message in await quarantine.find("a", None)] == ["a%", "ab", "abc", "abd"]
    assert [message.message_id for message in await quarantine.find("a%", None)] == ["a%"]


async def test_queues_are_counted(quarantine: Quarantine, put: Put) -> None:
    """Waiting and replayed messages of each."""
    for name in ("a", "b"):
        await put(name)
    await put("c", queue=OTHER)
    await quarantine.mark(await quarantine.find("a", None), "me")
    assert await quarantine.queues() == [QueueCount(QUEUE, 1, 1), QueueCount(OTHER, 1, 0)]


async def test_a_page_uses_the_primary_key(
    migrated: StoreOptions, database: asyncpg.Connection[asyncpg.Record]
) -> None:
    """Reading a page does not scan a large quarantine."""
    await database.execute(
        "INSERT INTO quarantined_messages (queue, message_id, reason, detail, body, receive_count) "
        "SELECT $1, n::text, 'not_json', '', '', 1 FROM generate_series(1, 20000) AS n",
        QUEUE,
    )
    await database.execute("ANALYZE quarantined_messages")
    text = statement("quarantine_page", migrated.schema)
    values = msgspec.structs.astuple(Filters())
    plan = await database.fetch(f"EXPLAIN {text}", *values, QUEUE, "5", 200, 1_000_000)
    assert "Index Scan using quarantined_messages_pkey" in "\n".join(row[0] for row in plan)


@pytest.mark.parametrize("name", ["quarantine_page", "quarantine_counts", "quarantine_find"])
def test_the_statements_share_one_filter(name: str) -> None:
    """Each contains the text of the fragment, and no placeholder is left."""
    text = statement(name, "any")
    assert statement("quarantine_filter", "any").rstrip() in text
    assert ":quarantine_filter" not in text


async def test_waiting_messages_are_counted_by_reason(
    quarantine: Quarantine, put: Put, database: asyncpg.Connection[asyncpg.Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Replayed ones are not; both the messages and the reasons are bounded."""
    assert await quarantine.waiting(10) == {}
    for number in range(3):
        await put(f"{number}", reason="bad_key")
    await put("json")
    await put("done")
    await database.execute("UPDATE quarantined_messages SET replayed_at = now() WHERE message_id = 'done'")
    assert await quarantine.waiting(10) == {"bad_key": 3, "not_json": 1}
    assert await quarantine.waiting(1) == {"bad_key": 3}
    monkeypatch.setattr(postgres_quarantine, "WAITING_COUNTED_AT_MOST", 2)
    assert sum((await quarantine.waiting(10)).values()) == 2
