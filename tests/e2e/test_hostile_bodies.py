"""Hostile bodies in a real queue, the real daemon, a real database: together, and nothing but what is due."""

from __future__ import annotations

import asyncio

import psutil
import pytest

from subscriber.errors import ExitCode
from tests.corpus.everything import corpus
from tests.corpus.expected import quarantine_of, rows_of, stored_quarantine, stored_rows
from tests.e2e.environment import RunContext, put_body, until

RESIDENT_BYTES_AT_MOST = 512 * 1024**2
"""Of the daemon. Sixteen bodies of a megabyte are among these, and fifty more follow."""


@pytest.mark.timeout(180)
async def test_the_corpus_through_the_real_daemon(scene: RunContext) -> None:
    """Whatever SQS would take becomes what the table of expectation says, in bounded memory, and the daemon goes on."""
    cases = [case for case in corpus() if case.is_sendable]
    with scene.daemon() as daemon:
        for case in cases:
            scene.send([case.body])  # a call takes a megabyte in all
        await scene.until_empty(patience_seconds=90)
        connection = await scene.connect()
        try:
            assert await stored_rows(connection) == rows_of(cases)
            assert await stored_quarantine(connection) == quarantine_of(cases)
        finally:
            await connection.close()
        await until(lambda: daemon.metric("subscriber_acknowledged_messages_total") == len(cases))
        for _ in range(50):
            scene.send(["9" * 1_048_576])
        await scene.until_empty(patience_seconds=60)
        assert psutil.Process(daemon.pid).memory_info().rss < RESIDENT_BYTES_AT_MOST
        assert [line for line in daemon.log if line.get("level") in {"error", "critical"}] == []
        assert await asyncio.to_thread(daemon.stop) == ExitCode.DRAINED


async def test_events_of_foreign_buckets_stay_out_of_the_index(scene: RunContext) -> None:
    """With SUBSCRIBER_BUCKETS they are quarantined; what a listed bucket told in the same message is a row."""
    foreign = put_body("foreign.txt").replace('"lake"', '"lake-of-another"')
    mixed = put_body("mine.txt")[:-2] + ", " + foreign.removeprefix('{"Records": [')
    with scene.daemon(BUCKETS="lake,lake-two") as daemon:
        scene.send([put_body("plain.txt"), foreign, mixed])
        await scene.until_empty()
        assert daemon.metric("subscriber_quarantined_messages_total", reason="bucket_not_allowed") == 2
        assert await asyncio.to_thread(daemon.stop) == ExitCode.DRAINED
    rows = await scene.fetch("SELECT bucket, key FROM object_versions")
    assert sorted(map(tuple, rows)) == [("lake", "mine.txt"), ("lake", "plain.txt")]
    kept = await scene.fetch("SELECT body, reason FROM quarantined_messages")
    assert sorted((row["body"].decode(), row["reason"]) for row in kept) == sorted(
        [(foreign, "bucket_not_allowed"), (mixed, "bucket_not_allowed")]
    )
