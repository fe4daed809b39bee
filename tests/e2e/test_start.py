"""What the daemon says and does at the start when something is wrong: one line, an exit code, nothing taken."""

from __future__ import annotations

import asyncio

import pytest

from subscriber.errors import ExitCode
from testkit.daemon import DaemonProcess, daemon_process
from testkit.postgres.postgres import LocalPostgres
from tests.e2e.environment import QueueCounts, RunContext, put_body, until


async def ended(daemon: DaemonProcess) -> tuple[int, list[str]]:
    """Its exit code and the plain lines it wrote for the operator."""
    code = await asyncio.to_thread(daemon.wait)
    return code, [line["text"] for line in daemon.log if "text" in line]


async def test_a_queue_that_does_not_exist(scene: RunContext) -> None:
    """Exit 4, and the line names the queue and what to correct."""
    with scene.daemon(QUEUE_URLS=f"{scene.queue}-nowhere") as daemon:
        code, said = await ended(daemon)
    assert code == ExitCode.QUEUE
    advice = "does not exist in this account and region; correct SUBSCRIBER_QUEUE_URLS or AWS_REGION"
    assert said == [f"subscriber: queue {scene.queue}-nowhere: {advice}"]


async def test_credentials_that_are_refused(scene: RunContext) -> None:
    """Exit 4, and the line says what the queue said."""
    with daemon_process(scene.environment() | {"AWS_SECRET_ACCESS_KEY": "wrong"}, "--migrate") as daemon:
        code, said = await ended(daemon)
    assert code == ExitCode.QUEUE
    assert len(said) == 1
    assert scene.queue in said[0]


async def test_no_region(scene: RunContext) -> None:
    """Exit 2: a queue URL without a region needs one from the environment."""
    environment = {name: value for name, value in scene.environment().items() if name != "AWS_REGION"}
    with daemon_process(environment) as daemon:
        code, said = await ended(daemon)
    assert code == ExitCode.CONFIGURATION
    assert said == [f"subscriber: the queue URL {scene.queue} names no region: set AWS_REGION"]


async def test_a_queue_on_a_host_of_its_own_needs_its_endpoint_named(scene: RunContext) -> None:
    """Exit 2 with the variable to set; without it, calls for a local queue would go to AWS."""
    environment = {name: value for name, value in scene.environment().items() if name != "AWS_ENDPOINT_URL_SQS"}
    with daemon_process(environment) as daemon:
        code, said = await ended(daemon)
    assert code == ExitCode.CONFIGURATION
    assert said[0].endswith(f"set AWS_ENDPOINT_URL_SQS={scene.endpoint_url}")


async def test_a_queue_that_loses_large_events(scene: RunContext) -> None:
    """Exit 4: MaximumMessageSize under 64 KB means that S3 cannot deliver every event."""
    attributes = {"MaximumMessageSize": "1024"}
    scene.client.call("SetQueueAttributes", QueueUrl=scene.queue, Attributes=attributes)
    with scene.daemon() as daemon:
        code, said = await ended(daemon)
    assert code == ExitCode.QUEUE
    assert "set MaximumMessageSize to 65536 or more" in said[0]


async def test_a_queue_without_redrive_is_doubted_and_used(scene: RunContext) -> None:
    """No dead-letter queue: a warning, and it starts."""
    bare = scene.client.call("CreateQueue", QueueName=scene.queue.rsplit("/", 1)[-1] + "-bare")["QueueUrl"]
    with scene.daemon(QUEUE_URLS=bare) as daemon:
        await asyncio.to_thread(daemon.wait_for, "pipeline.started")
        assert "no redrive policy" in daemon.events("queue.suspicious")[0]["finding"]
        assert await asyncio.to_thread(daemon.stop) == ExitCode.DRAINED


async def test_a_schema_that_is_not_there(scene: RunContext) -> None:
    """Exit 5, with the command to type; nothing was received."""
    scene.send([put_body("one.txt")])
    with daemon_process(scene.environment()) as daemon:
        code, said = await ended(daemon)
    assert code == ExitCode.SCHEMA
    assert said[0].endswith("Run: subscriber migrate")
    assert scene.counts() == QueueCounts(visible=1, in_flight=0)


async def test_a_wrong_password(scene: RunContext) -> None:
    """Exit 3; neither line nor log shows the password."""
    url = scene.database_url.replace("postgres:", "postgres:not-the-", 1)
    with scene.daemon(DATABASE_URL=url) as daemon:
        code, said = await ended(daemon)
        assert "not-the-" not in str(daemon.log)
    assert code == ExitCode.DATABASE
    assert "password" in said[0]


async def test_mistakes_in_the_settings(scene: RunContext) -> None:
    """Exit 2, all mistakes at once."""
    with scene.daemon(BATCH_MAX_ROWS="many", BATCH_LINGER="1") as daemon:
        code, said = await ended(daemon)
    assert code == ExitCode.CONFIGURATION
    assert any("SUBSCRIBER_BATCH_MAX_ROWS" in line for line in said)
    assert any("SUBSCRIBER_BATCH_LINGER_SECONDS" in line for line in said)


@pytest.mark.timeout(120)
async def test_a_database_that_is_not_up_yet_is_awaited(scene: RunContext, postgres_server: LocalPostgres) -> None:
    """Alive and not ready, nothing received; it starts by itself when the database is there."""
    postgres_server.stop()
    scene.send([put_body("one.txt")])
    with scene.daemon(DATABASE_URL=postgres_server.url) as daemon:
        await asyncio.to_thread(daemon.wait_for, "database.waiting")
        assert daemon.page("/livez")[0] == 200
        assert daemon.page("/readyz")[0] == 503
        assert scene.counts() == QueueCounts(visible=1, in_flight=0)
        postgres_server.start()
        await asyncio.to_thread(daemon.wait_for, "pipeline.started")
        await scene.until_empty()
        await until(lambda: daemon.page("/readyz")[0] == 200)
        assert await asyncio.to_thread(daemon.stop) == ExitCode.DRAINED


async def test_sigterm_while_the_database_is_awaited(scene: RunContext, postgres_server: LocalPostgres) -> None:
    """A start that waits can be stopped: dry, since nothing was taken."""
    postgres_server.stop()
    with scene.daemon(DATABASE_URL=postgres_server.url) as daemon:
        await asyncio.to_thread(daemon.wait_for, "database.waiting")
        assert await asyncio.to_thread(daemon.stop) == ExitCode.DRAINED


async def test_a_profile_that_does_not_exist(scene: RunContext) -> None:
    """Exit 2: what AWS's own variables say cannot be used, in one line."""
    with daemon_process(scene.environment() | {"AWS_PROFILE": "nobody"}) as daemon:
        code, said = await ended(daemon)
    assert code == ExitCode.CONFIGURATION
    (line,) = said
    assert line == (
        "subscriber: the AWS settings cannot be used: The config profile (nobody) could not be found; look at "
        "AWS_PROFILE, AWS_REGION and AWS_ENDPOINT_URL (which takes http:// or https:// and a host)"
    )
