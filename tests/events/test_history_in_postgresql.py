"""Histories in the real table: the final index equals the buckets, whatever the order of delivery."""

from __future__ import annotations

import asyncio
import itertools
from typing import TypeAlias

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings

from subscriber.adapters.postgres.store import PostgresStore
from subscriber.events.order import fold
from subscriber.events.sender import SENDERS
from subscriber.model import ObjectEvent
from testkit.workload.bucket import ObjectRow, VersionRow
from tests.events.histories import OBJECTS_SQL, VERSIONS_SQL, Arrival, arrivals, seeded_arrival
from tests.events.samples import body, decoded, record

Database: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
EXAMPLES = 100


def rows_of(bodies: list[str]) -> tuple[ObjectEvent, ...]:
    """What one batch writes."""
    return fold(event for body in bodies for event in decoded(body).events)


async def assert_equals_buckets(database: Database, arrival: Arrival) -> None:
    """Table and view equal the buckets."""
    versions = [VersionRow(*row) for row in await database.fetch(VERSIONS_SQL)]
    assert versions == arrival.expected_versions()
    objects = [ObjectRow(*row) for row in await database.fetch(OBJECTS_SQL)]
    assert objects == arrival.expected_objects()


@pytest.mark.parametrize("seed", range(3))
async def test_batch_after_batch(store: PostgresStore, database: Database, seed: int) -> None:
    """The upsert's guard and the view keep the order that the fold keeps."""
    arrival = seeded_arrival(seed, events=1_000, keys=100)
    for bodies in arrival.batches:
        await store.store(rows_of(bodies))
    await assert_equals_buckets(database, arrival)


async def test_all_batches_at_once(store: PostgresStore, database: Database) -> None:
    """Concurrent writers of the same rows lose no event."""
    arrival = seeded_arrival(4, events=1_000, keys=20)
    bodies = [body for batch in arrival.batches for body in batch]
    async with asyncio.TaskGroup() as writers:
        for start in range(0, len(bodies), 100):
            rows = rows_of(bodies[start : start + 100])
            writers.create_task(store.store(rows), name=f"writer {start}")
    await assert_equals_buckets(database, arrival)


@given(arrival=arrivals())
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_any_order_duplication_and_batching(store: PostgresStore, database: Database, arrival: Arrival) -> None:
    """Small histories found by hypothesis: concurrent batches end in the state of the buckets."""
    await database.execute("TRUNCATE object_versions")
    async with asyncio.TaskGroup() as writers:
        for bodies in arrival.batches:
            writers.create_task(store.store(rows_of(bodies)), name="writer")
    await assert_equals_buckets(database, arrival)


@pytest.mark.parametrize("source", [name for name, sender in SENDERS.items() if not sender.is_sequencer_trusted])
async def test_untrusted_sequencers(store: PostgresStore, database: Database, source: str) -> None:
    """Within one second, statement after statement in every order: the times decide, against the digits."""

    def sent(milliseconds: int, event_name: str, digits: str, **changes: str) -> str:
        time = f"2026-08-02T07:51:20.{milliseconds:03}Z"
        return body(record(eventSource=source, eventTime=time, event_name=event_name, sequencer=digits, **changes))

    bodies = [
        sent(100, "ObjectCreated:Put", "F" * 16, key="removed", versionId=""),
        sent(200, "ObjectRemoved:Delete", "1", key="removed", versionId=""),
        sent(100, "ObjectCreated:Put", "F" * 16, key="marked", versionId="v1"),
        sent(200, "ObjectRemoved:DeleteMarkerCreated", "1", key="marked", versionId="v2"),
        sent(300, "ObjectCreated:Put", "", key="kept", versionId="v3"),
        sent(50, "ObjectRemoved:DeleteMarkerCreated", "F" * 64, key="kept", versionId="v2"),
    ]
    for order in itertools.islice(itertools.permutations(bodies), 0, None, 60):
        await database.execute("TRUNCATE object_versions")
        for text in order:
            await store.store(rows_of([text]))
        states = await database.fetch("SELECT key, version_id, state FROM object_versions ORDER BY key, version_id")
        assert [tuple(row) for row in states] == [
            ("kept", "v2", "delete_marker"),
            ("kept", "v3", "present"),
            ("marked", "v1", "present"),
            ("marked", "v2", "delete_marker"),
            ("removed", "", "removed"),
        ]
        assert [row["key"] for row in await database.fetch("SELECT key FROM objects")] == ["kept"]
