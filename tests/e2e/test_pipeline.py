"""The real daemon between a real queue and a real database: meaning, quarantine, outages, many queues."""

from __future__ import annotations

import asyncio

from subscriber.errors import ExitCode
from testkit.postgres.postgres import LocalPostgres
from tests.e2e.environment import QueueCounts, RunContext, put_body, until


async def test_a_message_becomes_a_row_and_is_deleted(scene: RunContext) -> None:
    """From send to row to delete, and the metrics tell the story."""
    with scene.daemon() as daemon:
        scene.send([put_body("a.txt"), put_body("b+c%20d.txt")])
        await scene.until_empty()
        assert [tuple(row) for row in await scene.fetch("SELECT bucket, key, size_bytes, etag FROM objects")] == [
            ("lake", "a.txt", 5, "abc"),
            ("lake", "b c d.txt", 5, "abc"),
        ]
        assert daemon.metric("subscriber_received_messages_total") == 2
        await until(lambda: daemon.metric("subscriber_acknowledged_messages_total") == 2)
        assert daemon.metric("subscriber_rows_applied_total") == 2
        assert daemon.metric("subscriber_receive_age_seconds_count") >= 1
        assert await asyncio.to_thread(daemon.stop) == ExitCode.DRAINED


async def test_no_log_line_per_message(scene: RunContext) -> None:
    """Two hundred messages cost no more lines than two."""
    with scene.daemon() as daemon:
        scene.send(put_body(f"{number}.txt") for number in range(200))
        await scene.until_empty()
        assert await asyncio.to_thread(daemon.stop) == ExitCode.DRAINED
        assert len(daemon.log) < 15


async def test_what_cannot_be_read_is_quarantined_whole_before_it_is_deleted(scene: RunContext) -> None:
    """Bodies that are no events, and records that are no rows, end in the table; their good records are stored."""
    half_bad = put_body("good.txt")[:-2] + "," + put_body("a%FFb.txt")[len('{"Records": [') :]
    bodies = ["not json", '{"hello": "world"}', put_body("%FF.txt"), half_bad]
    with scene.daemon():
        scene.send([*bodies, put_body("fine.txt")])
        await scene.until_empty()
    rows = await scene.fetch("SELECT body, reason, detail, queue FROM quarantined_messages")
    assert {row["body"].decode() for row in rows} == set(bodies)
    assert all(row["reason"] and row["detail"] and row["queue"] == scene.queue for row in rows)
    assert [row["key"] for row in await scene.fetch("SELECT key FROM objects")] == ["fine.txt", "good.txt"]


async def test_events_that_say_nothing_about_existence_create_no_row(scene: RunContext) -> None:
    """Test events, tagging and empty bodies are acknowledged and counted."""
    test_event = '{"Service":"Amazon S3","Event":"s3:TestEvent","Time":"2026-11-22T10:00:00.000Z","Bucket":"lake"}'
    with scene.daemon() as daemon:
        scene.send([test_event, '{"Records":[]}', put_body("a.txt", event_name="ObjectTagging:Put")])
        await scene.until_empty()
        assert daemon.metric("subscriber_ignored_events_total", event_name="ObjectTagging:Put") == 1
    assert await scene.fetch("SELECT FROM object_versions") == []
    assert await scene.fetch("SELECT FROM quarantined_messages") == []


async def test_several_queues_in_one_process(scene: RunContext) -> None:
    """Each is read, and deletes go back to where the message came from."""
    other = scene.client.call("CreateQueue", QueueName=scene.queue.rsplit("/", 1)[-1] + "-other")["QueueUrl"]
    with scene.daemon(QUEUE_URLS=f"{scene.queue},{other}") as daemon:
        scene.send(put_body(f"one/{number}") for number in range(100))
        scene.send((put_body(f"two/{number}") for number in range(100)), queue=other)
        await scene.until_empty(scene.queue, other)
        await until(lambda: daemon.metric("subscriber_acknowledged_messages_total") == 200)
        name = other.rsplit("/", 1)[-1]
        assert daemon.metric("subscriber_acknowledged_messages_total", queue=name) == 100
    assert len(await scene.fetch("SELECT FROM objects")) == 200


async def test_a_database_that_goes_away_and_comes_back(scene: RunContext, postgres_server: LocalPostgres) -> None:
    """Nothing is lost and nothing received meanwhile; alive, not ready, and back by itself."""
    with scene.daemon(DATABASE_URL=postgres_server.url) as daemon:
        await asyncio.to_thread(daemon.wait_for, "pipeline.started")
        postgres_server.stop("immediate")
        scene.send([put_body("first.txt")])
        await asyncio.to_thread(daemon.wait_for, "database.unavailable")
        assert daemon.page("/livez")[0] == 200
        assert daemon.page("/readyz")[0] == 503
        # Polls that were open when it went away still bring what they bring; from then on nothing is taken.
        await until(lambda: daemon.metric("subscriber_in_process_messages") == 1)
        scene.send(put_body(f"{number}.txt") for number in range(50))
        assert scene.counts() == QueueCounts(visible=50, in_flight=1)
        postgres_server.start()
        await asyncio.to_thread(daemon.wait_for, "database.available")
        await scene.until_empty()
        assert daemon.page("/readyz")[0] == 200
        await until(lambda: daemon.metric("subscriber_rows_applied_total") == 51)
        assert await asyncio.to_thread(daemon.stop) == ExitCode.DRAINED
