"""Hostile bodies through a real queue, the real daemon and a real database."""

from __future__ import annotations

import asyncio
import json
from collections import Counter

import psutil
import pytest

from subscriber.errors import ExitCode
from testkit.workload import notifications
from tests.corpus.everything import corpus
from tests.corpus.expected import quarantine_of, rows_of, stored_quarantine, stored_rows
from tests.e2e.environment import RunContext, put_body, until

pytestmark = pytest.mark.usefixtures("untraced")

RESIDENT_BYTES_AT_MOST = 512 * 1024**2
"""Of the daemon. The corpus has sixteen bodies of a megabyte, and the test sends fifty more."""


@pytest.mark.timeout(180)
async def test_the_corpus_through_the_real_daemon(context: RunContext) -> None:
    """Every body that SQS accepts has its expected outcome, in bounded memory, and the daemon goes on."""
    cases = [case for case in corpus() if case.is_sendable]
    with context.daemon() as daemon:
        for case in cases:
            context.send([case.body])  # one call takes a megabyte in all
        await context.until_empty(timeout_seconds=90)
        connection = await context.connect()
        try:
            assert await stored_rows(connection) == rows_of(cases)
            assert await stored_quarantine(connection) == quarantine_of(cases)
        finally:
            await connection.close()
        await until(lambda: daemon.metric("subscriber_acknowledged_messages_total") == len(cases))
        for _ in range(50):
            context.send(["9" * 1_048_576])
        await context.until_empty(timeout_seconds=60)
        assert psutil.Process(daemon.pid).memory_info().rss < RESIDENT_BYTES_AT_MOST
        assert [line for line in daemon.log if line.get("level") in {"error", "critical"}] == []
        assert await asyncio.to_thread(daemon.stop) == ExitCode.DRAINED


async def test_events_of_other_buckets_stay_out_of_the_index(context: RunContext) -> None:
    """With SUBSCRIBER_BUCKETS they are quarantined; an event of a listed bucket in the same message becomes a row."""
    other = put_body("other.txt").replace('"lake"', '"lake-of-another"')
    mixed = put_body("mine.txt")[:-2] + ", " + other.removeprefix('{"Records": [')
    with context.daemon(BUCKETS="lake,lake-two") as daemon:
        context.send([put_body("plain.txt"), other, mixed])
        await context.until_empty()
        assert daemon.metric("subscriber_quarantined_messages_total", reason="bucket_not_allowed") == 2
        assert await asyncio.to_thread(daemon.stop) == ExitCode.DRAINED
    rows = await context.fetch("SELECT bucket, key FROM object_versions")
    assert sorted(map(tuple, rows)) == [("lake", "mine.txt"), ("lake", "plain.txt")]
    kept = await context.fetch("SELECT body, reason FROM quarantined_messages")
    assert sorted((row["body"].decode(), row["reason"]) for row in kept) == sorted(
        [(other, "bucket_not_allowed"), (mixed, "bucket_not_allowed")]
    )


async def test_unknown_events_are_kept_whole(context: RunContext) -> None:
    """Each body is in the quarantine and counted; one warning names each event, and known ones are ignored."""
    trail = {"detail-type": "AWS API Call via CloudTrail", "source": "aws.s3", "time": "2026-09-01T10:00:00Z"}
    trail_body = json.dumps({"version": "0", **trail, "detail": {"eventName": "DeleteObject"}})
    expired = put_body("a.txt", event_name="ObjectLifecycle:Expiration:Current")
    bodies = [trail_body, trail_body, notifications.sns_body(trail_body), expired, expired]
    with context.daemon() as daemon:
        context.send([*bodies, put_body("a.txt"), put_body("a.txt", event_name="ObjectTagging:Put")])
        await context.until_empty()
        assert daemon.metric("subscriber_quarantined_messages_total", reason="unknown_event") == len(bodies)
        assert daemon.metric("subscriber_ignored_events_total", event_name="ObjectTagging:Put") == 1
        warned = sorted(line["detail"] for line in daemon.log if line["event"] == "event.unknown")
        assert await asyncio.to_thread(daemon.stop) == ExitCode.DRAINED
    assert warned == [
        "no rule for the detail-type 'AWS API Call via CloudTrail'",
        "no rule for the event 'ObjectLifecycle:Expiration:Current'",
    ]
    kept = await context.fetch("SELECT body, reason FROM quarantined_messages")
    assert Counter((row["body"].decode(), row["reason"]) for row in kept) == Counter(
        (body, "unknown_event") for body in bodies
    )
    assert [tuple(row) for row in await context.fetch("SELECT key FROM object_versions")] == [("a.txt",)]
