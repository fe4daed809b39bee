"""One hundred thousand events through the daemon: the table equals the buckets, and the queue is empty."""

from __future__ import annotations

import asyncio
import itertools
from random import Random

import pytest

from subscriber.errors import ExitCode
from testkit.workload.bucket import ObjectRow, VersionRow
from testkit.workload.notifications import native_body
from testkit.workload.random_walk import seeded_buckets
from tests.e2e.environment import QueueCounts, RunContext
from tests.events.histories import OBJECTS_SQL, VERSIONS_SQL

pytestmark = pytest.mark.usefixtures("untraced")

EVENTS = 100_000
DUPLICATES = EVENTS // 10
KEYS = 20_000
SEND_AT_ONCE = 1_000


def shuffled_bodies(random: Random, bodies: list[str]) -> list[str]:
    """Every body, a tenth of them twice, in random order."""
    sent = bodies + random.sample(bodies, EVENTS - len(bodies))
    random.shuffle(sent)
    return sent


@pytest.mark.timeout(300)
async def test_the_table_equals_the_buckets(context: RunContext) -> None:
    """Puts, deletes, versions and delete markers of three buckets, shuffled, a tenth twice: equal to the oracle."""
    random = Random(2026)
    buckets = seeded_buckets(2026, events=EVENTS - DUPLICATES, keys=KEYS)
    bodies = shuffled_bodies(random, [native_body(emission) for bucket in buckets for emission in bucket.history])
    # Coverage of the daemon would mostly measure the cost of coverage itself.
    environment = context.environment(BATCH_LINGER_SECONDS=0.25) | {"COVERAGE_PROCESS_CONFIG": ""}
    with context.daemon_with(environment) as daemon:
        await asyncio.to_thread(daemon.wait_for, "pipeline.started")
        for start in range(0, EVENTS, SEND_AT_ONCE):
            context.send(itertools.islice(bodies, start, start + SEND_AT_ONCE))
        await context.until_empty(timeout_seconds=240)
        assert await asyncio.to_thread(daemon.stop) == ExitCode.DRAINED
    assert context.counts() == QueueCounts(visible=0, in_flight=0)
    versions = [VersionRow(*row) for row in await context.fetch(VERSIONS_SQL)]
    assert versions == sorted(row for bucket in buckets for row in bucket.expected_versions())
    objects = [ObjectRow(*row) for row in await context.fetch(OBJECTS_SQL)]
    assert objects == sorted(row for bucket in buckets for row in bucket.expected_objects())
    assert await context.fetch("SELECT FROM quarantined_messages") == []
