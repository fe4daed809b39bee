"""The real daemon between a real queue and a real database: rows, quarantine, outages, several queues."""

from __future__ import annotations

import asyncio

from subscriber.errors import ExitCode
from testkit.postgres.postgres import LocalPostgres
from tests.e2e.environment import QueueCounts, RunContext, put_body, until


async def test_a_message_becomes_a_row_and_is_deleted(context: RunContext) -> None:
    """From send to row to delete, with its metrics."""
    with context.daemon() as daemon:
        context.send([put_body("a.txt"), put_body("b+c%20d.txt")])
        await context.until_empty()
        assert [tuple(row) for row in await context.fetch("SELECT bucket, key, size_bytes, etag FROM objects")] == [
            ("lake", "a.txt", 5, "abc"),
            ("lake", "b c d.txt", 5, "abc"),
        ]
        assert daemon.metric("subscriber_received_messages_total") == 2
        await until(lambda: daemon.metric("subscriber_acknowledged_messages_total") == 2)
        assert daemon.metric("subscriber_rows_applied_total") == 2
        assert daemon.metric("subscriber_receive_age_seconds_count") >= 1
        assert await asyncio.to_thread(daemon.stop) == ExitCode.DRAINED


async def test_no_log_line_per_message(context: RunContext) -> None:
    """Two hundred messages cost no more lines than two."""
    with context.daemon() as daemon:
        context.send(put_body(f"{number}.txt") for number in range(200))
        await context.until_empty()
        assert await asyncio.to_thread(daemon.stop) == ExitCode.DRAINED
        assert len(daemon.log) < 15


async def test_an_unreadable_message_is_quarantined_whole_before_it_is_deleted(context: RunContext) -> None:
    """Bodies without an event and bodies with a rejected record are quarantined; their good records are stored."""
    half_bad = put_body("good.txt")[:-2] + "," + put_body("a%FFb.txt")[len('{"Records": [') :]
    bodies = ["not json", '{"hello": "world"}', put_body("%FF.txt"), half_bad]
    with context.daemon():
        context.send([*bodies, put_body("fine.txt")])
        await context.until_empty()
    rows = await context.fetch("SELECT body, reason, detail, queue FROM quarantined_messages")
    assert {row["body"].decode() for row in rows} == set(bodies)
    assert all(row["reason"] and row["detail"] and row["queue"] == context.queue for row in rows)
    assert [row["key"] for row in await context.fetch("SELECT key FROM objects")] == ["fine.txt", "good.txt"]


async def test_events_that_say_nothing_about_existence_create_no_row(context: RunContext) -> None:
    """Test events, tagging and empty bodies are acknowledged and counted."""
    test_event = '{"Service":"Amazon S3","Event":"s3:TestEvent","Time":"2026-11-22T10:00:00.000Z","Bucket":"lake"}'
    with context.daemon() as daemon:
        context.send([test_event, '{"Records":[]}', put_body("a.txt", event_name="ObjectTagging:Put")])
        await context.until_empty()
        assert daemon.metric("subscriber_ignored_events_total", event_name="ObjectTagging:Put") == 1
    assert await context.fetch("SELECT FROM object_versions") == []
    assert await context.fetch("SELECT FROM quarantined_messages") == []


async def test_several_queues_in_one_process(context: RunContext) -> None:
    """Each is polled, and each message is deleted from its own queue."""
    other = context.client.call("CreateQueue", QueueName=context.queue.rsplit("/", 1)[-1] + "-other")["QueueUrl"]
    with context.daemon(QUEUE_URLS=f"{context.queue},{other}") as daemon:
        context.send(put_body(f"one/{number}") for number in range(100))
        context.send((put_body(f"two/{number}") for number in range(100)), queue=other)
        await context.until_empty(context.queue, other)
        await until(lambda: daemon.metric("subscriber_acknowledged_messages_total") == 200)
        name = other.rsplit("/", 1)[-1]
        assert daemon.metric("subscriber_acknowledged_messages_total", queue=name) == 100
    assert len(await context.fetch("SELECT FROM objects")) == 200


async def test_a_database_restart(context: RunContext, postgres_server: LocalPostgres) -> None:
    """Nothing is lost and nothing received meanwhile; /livez stays 200, /readyz is 503, and the daemon recovers."""
    with context.daemon(DATABASE_URL=postgres_server.url) as daemon:
        await asyncio.to_thread(daemon.wait_for, "pipeline.started")
        postgres_server.stop("immediate")
        context.send([put_body("first.txt")])
        await asyncio.to_thread(daemon.wait_for, "database.unavailable")
        assert daemon.page("/livez")[0] == 200
        assert daemon.page("/readyz")[0] == 503
        # Polls that were open at that moment still return messages; after them nothing is received.
        await until(lambda: daemon.metric("subscriber_in_process_messages") == 1)
        await until(lambda: daemon.metric("subscriber_reserved_messages") == 0)
        context.send(put_body(f"{number}.txt") for number in range(50))
        assert context.counts() == QueueCounts(visible=50, in_flight=1)
        postgres_server.start()
        await asyncio.to_thread(daemon.wait_for, "database.available")
        await context.until_empty()
        assert daemon.page("/readyz")[0] == 200
        await until(lambda: daemon.metric("subscriber_rows_applied_total") == 51)
        assert await asyncio.to_thread(daemon.stop) == ExitCode.DRAINED
