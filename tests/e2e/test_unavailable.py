"""The real daemon while its database restarts, refuses or is slow: what it holds stays its own, and none of it dies."""

from __future__ import annotations

import asyncio
import time

import asyncpg
import msgspec
import pytest

from benchmarks.chaos.proxy import network as network_to
from subscriber.app import RELEASE_SECONDS, Daemon
from subscriber.errors import ExitCode
from subscriber.settings.table import Settings
from testkit.postgres.postgres import LocalPostgres
from tests.e2e.environment import LOOK_SECONDS, PATIENCE_SECONDS, QueueCounts, RunContext, put_body, until

EMPTY = QueueCounts(visible=0, in_flight=0)


def dead_letters(scene: RunContext, max_receives: int) -> str:
    """The URL of the scene's dead-letter queue, from now on for what was received more often than this."""
    dead = f"{scene.queue}-dead"
    answer = scene.client.call("GetQueueAttributes", QueueUrl=dead, AttributeNames=["QueueArn"])
    redrive = {"deadLetterTargetArn": answer["Attributes"]["QueueArn"], "maxReceiveCount": str(max_receives)}
    policy = {"RedrivePolicy": msgspec.json.encode(redrive).decode()}
    scene.client.call("SetQueueAttributes", QueueUrl=scene.queue, Attributes=policy)
    return dead


async def test_a_restart_under_load_costs_no_message_a_second_receive(
    scene: RunContext, postgres_server: LocalPostgres
) -> None:
    """What was received when the database restarted is kept and stored afterwards: every message received once."""
    dead = dead_letters(scene, 1)
    with scene.daemon(DATABASE_URL=postgres_server.url) as daemon:
        await asyncio.to_thread(daemon.wait_for, "pipeline.started")
        sending = asyncio.create_task(send_slowly(scene), name="send")
        async with scene.writes_blocked(postgres_server.url) as blocker:
            await until_a_write_waits(blocker)
            await asyncio.to_thread(postgres_server.restart)
        await sending
        await scene.until_empty()
        await until(lambda: daemon.metric("subscriber_acknowledged_messages_total") == 1000)
        assert len(daemon.events("database.unavailable")) >= 1
        assert daemon.metric("subscriber_received_messages_total") == 1000
        assert daemon.metric("subscriber_rows_applied_total") == 1000
        assert scene.counts(dead) == EMPTY
        assert await asyncio.to_thread(daemon.stop) == ExitCode.DRAINED


async def send_slowly(scene: RunContext) -> None:
    """Send a thousand messages in about three seconds."""
    for number in range(100):
        scene.send(put_body(f"{number}/{part}.txt") for part in range(10))
        await asyncio.sleep(0.03)


async def until_a_write_waits(blocker: asyncpg.Connection[asyncpg.Record]) -> None:
    """Wait until the server has a session that waits for a lock."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await blocker.fetchval("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"):  # noqa: ASYNC110 – as in until
            await asyncio.sleep(LOOK_SECONDS)


async def test_what_waits_longer_than_its_visibility_is_seen_by_nobody_else(scene: RunContext) -> None:
    """Behind a table that is locked for several times as long: one receive, then a row."""
    with scene.daemon(RECEIVE_VISIBILITY_SECONDS=2, WRITE_TIMEOUT_SECONDS=0.3) as daemon:
        await asyncio.to_thread(daemon.wait_for, "pipeline.started")
        async with scene.writes_blocked():
            scene.send(put_body(f"{number}.txt") for number in range(20))
            await until(lambda: daemon.metric("subscriber_visibility_extended_messages_total") >= 4 * 20)
            assert scene.counts() == QueueCounts(visible=0, in_flight=20)
        await scene.until_empty()
        await until(lambda: daemon.metric("subscriber_acknowledged_messages_total") == 20)
        assert daemon.metric("subscriber_received_messages_total") == 20
        assert await asyncio.to_thread(daemon.stop) == ExitCode.DRAINED


async def test_healthy_messages_stay_out_of_the_dead_letter_queue(scene: RunContext) -> None:
    """The database answers and refuses every row, for many times as long as messages are held; then it relents."""
    dead = dead_letters(scene, 3)
    changed = {"HOLD_MAX_SECONDS": 2, "WRITE_TIMEOUT_SECONDS": 0.5, "RECEIVE_VISIBILITY_SECONDS": 10}
    with scene.daemon(**changed) as daemon:
        await asyncio.to_thread(daemon.wait_for, "pipeline.started")
        operator = await scene.connect()
        await operator.execute(
            """CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$;
            CREATE TRIGGER no BEFORE INSERT ON object_versions EXECUTE FUNCTION no()"""
        )
        scene.send(put_body(f"{number}.txt") for number in range(200))
        await until(lambda: len(daemon.events("batch.given_up")) >= 1 + 3)  # three polls more, all in vain
        await operator.execute("DROP TRIGGER no ON object_versions")
        await operator.close()
        await scene.until_empty()
        assert scene.counts(dead) == EMPTY
        assert daemon.events("messages.unsettled") == []
        assert await asyncio.to_thread(daemon.stop) == ExitCode.DRAINED
    assert len(await scene.fetch("SELECT FROM objects")) == 200
    assert await scene.fetch("SELECT FROM quarantined_messages") == []


async def test_one_row_that_a_trigger_refuses_holds_up_nobody(scene: RunContext) -> None:
    """It is found among the others and quarantined; they are stored."""
    with scene.daemon() as daemon:
        await asyncio.to_thread(daemon.wait_for, "pipeline.started")
        operator = await scene.connect()
        await operator.execute(
            """CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$;
            CREATE TRIGGER no BEFORE INSERT ON object_versions FOR EACH ROW WHEN (NEW.key = '7.txt')
            EXECUTE FUNCTION no()"""
        )
        await operator.close()
        scene.send(put_body(f"{number}.txt") for number in range(20))
        await scene.until_empty()
    assert [row["reason"] for row in await scene.fetch("SELECT reason FROM quarantined_messages")] == ["trigger"]
    assert len(await scene.fetch("SELECT FROM objects")) == 19


async def test_a_stop_in_an_outage_hands_back_at_once(scene: RunContext, postgres_server: LocalPostgres) -> None:
    """What could not be stored is visible before the process has ended, which is dry, not late."""
    with scene.daemon(DATABASE_URL=postgres_server.url) as daemon:
        await asyncio.to_thread(daemon.wait_for, "pipeline.started")
        postgres_server.stop("immediate")
        scene.send([put_body("first.txt")])
        await asyncio.to_thread(daemon.wait_for, "database.unavailable")
        assert await asyncio.to_thread(daemon.stop) == ExitCode.DRAINED
    assert scene.counts() == QueueCounts(visible=1, in_flight=0)


async def test_a_stop_is_in_time_though_queue_and_database_are_silent(
    scene: RunContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that it waits for, hand-back and closing of the edges included, fits the stop budget."""
    database_port = int(scene.database_url.rpartition(":")[2].partition("/")[0])
    queue_port = int(scene.endpoint_url.rpartition(":")[2].rstrip("/"))
    async with network_to(database_port) as database, network_to(queue_port) as queues:
        url = scene.database_url.replace(f":{database_port}/", f":{database.port}/")
        environment = scene.environment(
            DATABASE_URL=url, HTTP_PORT=0, WRITE_TIMEOUT_SECONDS=10, STOP_TIMEOUT_SECONDS=45
        )
        environment["AWS_ENDPOINT_URL_SQS"] = f"http://127.0.0.1:{queues.port}"
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        budget_seconds = RELEASE_SECONDS + 1
        settings = Settings.from_environment(environment)
        daemon = Daemon(msgspec.structs.replace(settings, stop_timeout_seconds=budget_seconds))
        running = asyncio.create_task(daemon.run(migrate_first=True), name="daemon")
        await until(lambda: daemon.readiness()["started"])
        database.set_weather("silent")
        scene.send([put_body("one.txt")])
        await until(lambda: daemon._line is not None and bool(list(daemon._line.leases.outstanding())))
        queues.set_weather("silent")
        began = time.monotonic()
        daemon._stop.ask()
        assert await running == ExitCode.STOPPED_LATE
        assert time.monotonic() - began < budget_seconds
