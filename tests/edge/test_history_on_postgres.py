"""Whatever happened to a bucket, and however the queue told of it, the real table ends as the bucket is."""

from __future__ import annotations

import asyncio

import asyncpg
from hypothesis import HealthCheck, given, settings

from benchmarks.lab.bucket import ObjectRow, VersionRow
from subscriber.edge.postgres import PostgresStore
from subscriber.events.order import fold
from subscriber.model import Lease, Message, ObjectEvent
from subscriber.pipeline.decode import decode
from tests.events.histories import OBJECTS_SQL, VERSIONS_SQL, Arrival, arrivals

EXAMPLES = 150
LEASE = Lease(queue="q", expires_at=0.0, handles=set())


def rows_of(bodies: list[str]) -> tuple[ObjectEvent, ...]:
    """What one batch of bodies would write."""
    messages = (Message("q", str(number), str(number), body, 0.0, 1, LEASE) for number, body in enumerate(bodies))
    return fold(event for message in messages for event in decode(message).events)


@given(arrival=arrivals())
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_any_order_duplication_and_batching_ends_as_the_bucket(
    store: PostgresStore, database: asyncpg.Connection[asyncpg.Record], arrival: Arrival
) -> None:
    """Batches are written side by side on several connections; table and view are what the simulated bucket says."""
    await database.execute("TRUNCATE object_versions")
    async with asyncio.TaskGroup() as writes:
        for bodies in arrival.batches:
            writes.create_task(store.store(rows_of(bodies)), name="write")
    versions = [VersionRow(*row) for row in await database.fetch(VERSIONS_SQL)]
    assert versions == arrival.expected_versions()
    objects = [ObjectRow(*row) for row in await database.fetch(OBJECTS_SQL)]
    assert objects == arrival.expected_objects()
