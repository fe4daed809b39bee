"""The real daemon while its database restarts, fails or is slow: held messages stay invisible and reach no DLQ."""

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
from tests.e2e.environment import POLL_SECONDS, TIMEOUT_SECONDS, QueueCounts, RunContext, put_body, until

pytestmark = pytest.mark.usefixtures("untraced")

EMPTY = QueueCounts(visible=0, in_flight=0)


def dead_letters(context: RunContext, max_receives: int) -> str:
    """The URL of the dead-letter queue, after setting its maximum receive count."""
    dead = f"{context.queue}-dead"
    answer = context.client.call("GetQueueAttributes", QueueUrl=dead, AttributeNames=["QueueArn"])
    redrive = {"deadLetterTargetArn": answer["Attributes"]["QueueArn"], "maxReceiveCount": str(max_receives)}
    policy = {"RedrivePolicy": msgspec.json.encode(redrive).decode()}
    context.client.call("SetQueueAttributes", QueueUrl=context.queue, Attributes=policy)
    return dead


async def test_a_restart_under_load_costs_no_message_a_second_receive(
    context: RunContext, postgres_server: LocalPostgres
) -> None:
    """Messages that are held during the restart are stored afterwards; every message is received once."""
    dead = dead_letters(context, 1)
    with context.daemon(DATABASE_URL=postgres_server.url) as daemon:
        await asyncio.to_thread(daemon.wait_for, "pipeline.started")
        sending = asyncio.create_task(send_slowly(context), name="send")
        async with context.writes_blocked(postgres_server.url) as blocker:
            await until_a_write_waits(blocker)
            await asyncio.to_thread(postgres_server.restart)
        await sending
        await context.until_empty()
        await until(lambda: daemon.metric("subscriber_acknowledged_messages_total") == 1000)
        assert daemon.metric("subscriber_received_messages_total") == 1000
        assert daemon.metric("subscriber_rows_applied_total") == 1000
        assert context.counts(dead) == EMPTY
        assert await asyncio.to_thread(daemon.stop) == ExitCode.DRAINED


async def send_slowly(context: RunContext) -> None:
    """Send a thousand messages in about three seconds."""
    for number in range(100):
        context.send(put_body(f"{number}/{part}.txt") for part in range(10))
        await asyncio.sleep(0.03)


async def until_a_write_waits(blocker: asyncpg.Connection[asyncpg.Record]) -> None:
    """Wait until the server has a session that waits for a lock."""
    async with asyncio.timeout(TIMEOUT_SECONDS):
        while not await blocker.fetchval("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"):  # noqa: ASYNC110 – as in until
            await asyncio.sleep(POLL_SECONDS)


async def test_a_message_that_waits_longer_than_its_visibility_stays_invisible(context: RunContext) -> None:
    """While the table is locked for several times as long: one receive, then a row."""
    with context.daemon(RECEIVE_VISIBILITY_SECONDS=2, WRITE_TIMEOUT_SECONDS=0.3) as daemon:
        await asyncio.to_thread(daemon.wait_for, "pipeline.started")
        async with context.writes_blocked():
            context.send(put_body(f"{number}.txt") for number in range(20))
            await until(lambda: daemon.metric("subscriber_visibility_extended_messages_total") >= 4 * 20)
            assert context.counts() == QueueCounts(visible=0, in_flight=20)
        await context.until_empty()
        await until(lambda: daemon.metric("subscriber_acknowledged_messages_total") == 20)
        assert daemon.metric("subscriber_received_messages_total") == 20
        assert await asyncio.to_thread(daemon.stop) == ExitCode.DRAINED


async def test_healthy_messages_stay_out_of_the_dead_letter_queue(context: RunContext) -> None:
    """The database answers and fails every row for many times the hold time; then it recovers."""
    dead = dead_letters(context, 3)
    changed = {"HOLD_MAX_SECONDS": 2, "WRITE_TIMEOUT_SECONDS": 0.5, "RECEIVE_VISIBILITY_SECONDS": 10}
    with context.daemon(**changed) as daemon:
        await asyncio.to_thread(daemon.wait_for, "pipeline.started")
        operator = await context.connect()
        await operator.execute(
            """CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$;
            CREATE TRIGGER no BEFORE INSERT ON object_versions EXECUTE FUNCTION no()"""
        )
        context.send(put_body(f"{number}.txt") for number in range(200))
        await until(lambda: len(daemon.events("batch.given_up")) >= 1 + 3)  # three more polls without success
        await operator.execute("DROP TRIGGER no ON object_versions")
        await operator.close()
        await context.until_empty()
        assert context.counts(dead) == EMPTY
        assert daemon.events("messages.unsettled") == []
        assert await asyncio.to_thread(daemon.stop) == ExitCode.DRAINED
    assert len(await context.fetch("SELECT FROM objects")) == 200
    assert await context.fetch("SELECT FROM quarantined_messages") == []


async def test_one_row_that_a_trigger_rejects_delays_no_other(context: RunContext) -> None:
    """It is isolated and quarantined; the others are stored."""
    with context.daemon() as daemon:
        await asyncio.to_thread(daemon.wait_for, "pipeline.started")
        operator = await context.connect()
        await operator.execute(
            """CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$;
            CREATE TRIGGER no BEFORE INSERT ON object_versions FOR EACH ROW WHEN (NEW.key = '7.txt')
            EXECUTE FUNCTION no()"""
        )
        await operator.close()
        context.send(put_body(f"{number}.txt") for number in range(20))
        await context.until_empty()
    assert [row["reason"] for row in await context.fetch("SELECT reason FROM quarantined_messages")] == ["trigger"]
    assert len(await context.fetch("SELECT FROM objects")) == 19


async def test_a_stop_during_an_outage_releases_at_once(context: RunContext, postgres_server: LocalPostgres) -> None:
    """Messages that could not be stored are visible before the process ends, which is drained, not late."""
    with context.daemon(DATABASE_URL=postgres_server.url) as daemon:
        await asyncio.to_thread(daemon.wait_for, "pipeline.started")
        postgres_server.stop("immediate")
        context.send([put_body("first.txt")])
        await asyncio.to_thread(daemon.wait_for, "database.unavailable")
        assert await asyncio.to_thread(daemon.stop) == ExitCode.DRAINED
    assert context.counts() == QueueCounts(visible=1, in_flight=0)


async def test_a_stop_is_in_time_though_queue_and_database_do_not_answer(
    context: RunContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everything it waits for, releases and closing the adapters included, fits the stop budget."""
    database_port = int(context.database_url.rpartition(":")[2].partition("/")[0])
    queue_port = int(context.endpoint_url.rpartition(":")[2].rstrip("/"))
    async with network_to(database_port) as database, network_to(queue_port) as queues:
        url = context.database_url.replace(f":{database_port}/", f":{database.port}/")
        environment = context.environment(
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
        database.set_mode("silent")
        context.send([put_body("one.txt")])
        await until(lambda: daemon._pipeline is not None and bool(list(daemon._pipeline.leases.outstanding())))
        queues.set_mode("silent")
        began = time.monotonic()
        daemon._stop.request()
        assert await running == ExitCode.STOPPED_LATE
        assert time.monotonic() - began < budget_seconds
