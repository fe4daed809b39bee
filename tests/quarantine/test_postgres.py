"""The kept messages: found by every filter, page by page within bounds, and marked once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import asyncpg
import msgspec
import pytest

from subscriber.adapters.postgres import quarantine as postgres_quarantine
from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.adapters.postgres.quarantine import Filters, Quarantine
from subscriber.adapters.postgres.statements import statement
from tests.quarantine.conftest import QUEUE, Keep

OTHER = "https://sqs.eu-west-1.amazonaws.com/123456789012/more-events"


async def ids(quarantine: Quarantine, filters: Filters, at_most: int = 100) -> list[str]:
    """Of all pages, one after the other."""
    found: list[str] = []
    behind = ("", "")
    while page := await quarantine.page(filters, behind, at_most):
        assert len(page) <= at_most
        found += [kept.message_id for kept in page]
        behind = page[-1].place
    return found


@pytest.mark.parametrize("at_most", [1, 3, 100])
async def test_pages_hold_every_message_once(quarantine: Quarantine, keep: Keep, at_most: int) -> None:
    """In the order of queue and id, whatever the size of a page."""
    for queue in (OTHER, QUEUE):
        for number in range(4):
            await keep(f"{number}", queue=queue)
    assert await ids(quarantine, Filters(), at_most) == ["0", "1", "2", "3"] * 2


async def test_a_page_is_bounded_in_bytes(quarantine: Quarantine, keep: Keep, monkeypatch: pytest.MonkeyPatch) -> None:
    """Large bodies make small pages, but never an empty one; nothing is left out."""
    monkeypatch.setattr(postgres_quarantine, "PAGE_BYTES", 1000)
    sizes = {"a": 400, "b": 500, "c": 300, "d": 5000, "e": 1}
    for name, size in sizes.items():
        await keep(name, body=b"x" * size)
    assert [kept.message_id for kept in await quarantine.page(Filters(), ("", ""), 100)] == ["a", "b"]
    (large,) = await quarantine.page(Filters(), (QUEUE, "c"), 100)
    assert (large.message_id, len(large.body)) == ("d", 5000)
    assert await ids(quarantine, Filters()) == list(sizes)


async def test_filters(quarantine: Quarantine, keep: Keep) -> None:
    """By reason, by queue (its URL or its whole name), by age, and by whether it was replayed."""
    await keep("old", age=timedelta(days=3))
    await keep("key", reason="bad_key")
    await keep("far", queue=OTHER)
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


async def test_a_mark_stays_as_it_was_made(
    quarantine: Quarantine, keep: Keep, database: asyncpg.Connection[asyncpg.Record]
) -> None:
    """Who was first is kept, and only new marks are counted."""
    for name in ("a", "b"):
        await keep(name)
    first, second = await quarantine.page(Filters(), ("", ""), 10)
    assert await quarantine.mark([first], "one") == 1
    assert await quarantine.mark([first, second], "two") == 1
    assert await quarantine.mark([], "nobody") == 0
    rows = await database.fetch(
        "SELECT replayed_by, replayed_at IS NOT NULL FROM quarantined_messages ORDER BY message_id"
    )
    assert [tuple(row) for row in rows] == [("one", True), ("two", True)]


async def test_an_id_may_be_in_two_queues(quarantine: Quarantine, keep: Keep) -> None:
    """Both are found, or the one of a queue; an id that nobody has is none."""
    for queue in (QUEUE, OTHER):
        await keep("same", queue=queue)
    assert [kept.queue for kept in await quarantine.find("same", None)] == [QUEUE, OTHER]
    assert [kept.queue for kept in await quarantine.find("same", "events")] == [QUEUE]
    assert await quarantine.find("none", None) == []


async def test_pages_are_read_by_the_primary_key(
    migrated: StoreOptions, database: asyncpg.Connection[asyncpg.Record]
) -> None:
    """A page of a large quarantine does not read all of it."""
    await database.execute(
        "INSERT INTO quarantined_messages (queue, message_id, reason, detail, body, receive_count) "
        "SELECT $1, n::text, 'not_json', '', '', 1 FROM generate_series(1, 20000) AS n",
        QUEUE,
    )
    await database.execute("ANALYZE quarantined_messages")
    text = statement("quarantine_page", migrated.schema)
    values = msgspec.structs.astuple(Filters())
    plan = await database.fetch(f"EXPLAIN {text}", QUEUE, "5", *values, 200, 1_000_000)
    assert "Index Scan using quarantined_messages_pkey" in "\n".join(row[0] for row in plan)
