"""The write stage on the real database, with rows that decode would not produce."""

from __future__ import annotations

import asyncio

import asyncpg
import msgspec
import pytest

from subscriber.adapters.postgres.store import PostgresStore
from subscriber.events.order import fold
from subscriber.flow.breaker import CircuitBreaker
from subscriber.flow.channel import Channel
from subscriber.flow.leases import InFlightLimits, VisibilityLeases
from subscriber.flow.limiter import ConcurrencyLimiter
from subscriber.model import Batch, Delivery, Lease, Message, ObjectEvent, Receipt, Rejection
from subscriber.observe.metrics import Metrics
from subscriber.pipeline.write import WriteOptions, Writer
from tests.adapters.postgres.object_rows import row

MESSAGES = 1_000
BAD_POSITION = 617
LEASE = Lease(queue="q", expires_at=1e12, handles=set())


def delivery(number: int, *events: ObjectEvent) -> Delivery:
    """One message with these events."""
    return Delivery(message=Message("q", f"id-{number}", f"handle-{number}", "{}", 0.0, 1, LEASE), events=events)


async def written(store: PostgresStore, deliveries: list[Delivery]) -> tuple[Receipt, ...]:
    """The receipts of one batch from the write stage."""
    batches: Channel[Batch] = Channel(1)
    receipts: Channel[tuple[Receipt, ...]] = Channel(1000)
    metrics = Metrics()
    breaker = CircuitBreaker(VisibilityLeases(("q",), InFlightLimits(1_000, 10**9), 30), metrics.database_available.set)
    limiter = ConcurrencyLimiter(2)
    writer = Writer(WriteOptions(29.0), batches, receipts, limiter, store, breaker=breaker, metrics=metrics)
    rows = fold(event for one in deliveries for event in one.events)
    await batches.send(Batch(deliveries=tuple(deliveries), rows=rows, opened_at=0.0, trigger="full"))
    batches.close()
    probe = asyncio.create_task(breaker.run(lambda: writer.comparison.probe(store.ping)), name="probe")
    compare = asyncio.create_task(writer.comparison.run(), name="comparison")
    try:
        await writer.run()
    finally:
        probe.cancel()
        compare.cancel()
        await asyncio.wait([probe, compare])
    found = {one.message.message_id: one for group in iter(receipts.receive_nowait, None) for one in group}
    return tuple(found[one.message.message_id] for one in deliveries)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (msgspec.structs.replace(row(), size_bytes=2**63), "unstorable_value"),
        (msgspec.structs.replace(row(), key="nul\0"), "unstorable_value"),
        (msgspec.structs.replace(row(), key="lone \ud800 surrogate"), "unstorable_value"),
        (msgspec.structs.replace(row(), size_bytes=-1), "check_violation"),
        (msgspec.structs.replace(row(), key="k" * 1_025), "check_violation"),
    ],
    ids=["2^63", "NUL", "lone surrogate", "negative size", "key of 1,025 bytes"],
)
async def test_one_bad_message_among_a_thousand(
    store: PostgresStore, database: asyncpg.Connection[asyncpg.Record], bad: ObjectEvent, reason: str
) -> None:
    """Only it goes to quarantine, with its reason; all others are stored."""
    deliveries = [
        delivery(number, msgspec.structs.replace(row(), key=f"key-{number:04}")) for number in range(MESSAGES)
    ]
    deliveries[BAD_POSITION] = delivery(BAD_POSITION, bad)
    receipts = await written(store, deliveries)
    assert [receipt.verdict for receipt in receipts].count("stored") == MESSAGES - 1
    assert (receipts[BAD_POSITION].verdict, receipts[BAD_POSITION].reason) == ("quarantined", reason)
    assert await database.fetchval("SELECT count(*) FROM objects") == MESSAGES - 1
    (quarantined,) = await database.fetch("SELECT message_id, reason, detail FROM quarantined_messages")
    assert (quarantined["message_id"], quarantined["reason"]) == (f"id-{BAD_POSITION}", reason)
    assert quarantined["detail"]


async def test_a_message_with_a_good_and_a_bad_record(
    store: PostgresStore, database: asyncpg.Connection[asyncpg.Record]
) -> None:
    """Its whole body is quarantined, and its good record is stored."""
    good = msgspec.structs.replace(row(), key="good")
    bad = msgspec.structs.replace(row(), key="bad", size_bytes=2**63)
    (receipt,) = await written(store, [delivery(0, good, bad)])
    assert receipt.verdict == "quarantined"
    assert [record["key"] for record in await database.fetch("SELECT key FROM objects")] == ["good"]


async def test_without_the_quarantines_table(
    store: PostgresStore, database: asyncpg.Connection[asyncpg.Record]
) -> None:
    """The bad messages stay in the queue with a retry delay; the good ones are stored and deleted."""
    await database.execute("DROP TABLE quarantined_messages")
    bad = delivery(2, msgspec.structs.replace(row(), size_bytes=-1))
    rejected = msgspec.structs.replace(delivery(3), rejection=Rejection(reason="not_json", detail="it is none"))
    healthy = [delivery(number, msgspec.structs.replace(row(), key=f"{number}")) for number in (0, 1)]
    receipts = await written(store, [healthy[0], bad, rejected, healthy[1]])
    assert [(receipt.verdict, receipt.reason) for receipt in receipts] == [
        ("stored", ""),
        ("retry_later", "schema_mismatch"),
        ("retry_later", "schema_mismatch"),
        ("stored", ""),
    ]
    assert await database.fetchval("SELECT count(*) FROM objects") == 2
