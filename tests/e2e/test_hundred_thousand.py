"""One hundred thousand events through the whole line: the table is what the bucket says, and the queue is empty."""

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
    """Every body, a tenth of them twice, in no order at all."""
    told = bodies + random.sample(bodies, EVENTS - len(bodies))
    random.shuffle(told)
    return told


@pytest.mark.timeout(300)
async def test_the_table_is_what_the_bucket_says(scene: RunContext) -> None:
    """Puts, deletes, versions and markers of three buckets, shuffled, a tenth twice: equal to the oracle."""
    random = Random(2026)
    buckets = seeded_buckets(2026, events=EVENTS - DUPLICATES, keys=KEYS)
    bodies = shuffled_bodies(random, [native_body(emission) for bucket in buckets for emission in bucket.history])
    # Branch coverage of this process would measure coverage's own cost more than anything.
    environment = scene.environment(BATCH_LINGER_SECONDS=0.25) | {"COVERAGE_PROCESS_CONFIG": ""}
    with scene.daemon_with(environment) as daemon:
        await asyncio.to_thread(daemon.wait_for, "pipeline.started")
        for start in range(0, EVENTS, SEND_AT_ONCE):
            scene.send(itertools.islice(bodies, start, start + SEND_AT_ONCE))
        await scene.until_empty(patience_seconds=240)
        assert await asyncio.to_thread(daemon.stop) == ExitCode.DRAINED
    assert scene.counts() == QueueCounts(visible=0, in_flight=0)
    versions = [VersionRow(*row) for row in await scene.fetch(VERSIONS_SQL)]
    assert versions == sorted(row for bucket in buckets for row in bucket.expected_versions())
    objects = [ObjectRow(*row) for row in await scene.fetch(OBJECTS_SQL)]
    assert objects == sorted(row for bucket in buckets for row in bucket.expected_objects())
    assert await scene.fetch("SELECT FROM quarantined_messages") == []
