"""Failures at the start: one line, an exit code, and no message received."""

from __future__ import annotations

import asyncio
import re
import uuid

import pytest

from subscriber.errors import ExitCode
from testkit.aws.aws_services import AwsServices, Fault
from testkit.daemon import DaemonProcess, daemon_process
from testkit.postgres.postgres import LocalPostgres
from tests.check.test_denied import GOOD, QUEUE
from tests.e2e.environment import QueueCounts, RunContext, put_body, until


async def ended(daemon: DaemonProcess) -> tuple[int, list[str]]:
    """Its exit code and the plain lines for the operator; the log has the code too, in its last line."""
    code = await asyncio.to_thread(daemon.wait)
    (line,) = daemon.events("daemon.ended")
    assert (line["level"], line["exit_code"]) == ("error", code)
    return code, [line["text"] for line in daemon.log if "text" in line]


async def test_a_queue_that_does_not_exist(context: RunContext) -> None:
    """Exit 4, and the line names the queue and what to correct."""
    with context.daemon(QUEUE_URLS=f"{context.queue}-nowhere") as daemon:
        code, lines = await ended(daemon)
    assert code == ExitCode.QUEUE
    advice = "does not exist in this account and region; correct SUBSCRIBER_QUEUE_URLS or AWS_REGION"
    assert lines == [f"subscriber: queue {context.queue}-nowhere: {advice}"]


async def test_invalid_credentials(context: RunContext) -> None:
    """Exit 4, and the line quotes the answer of SQS."""
    with daemon_process(context.environment() | {"AWS_SECRET_ACCESS_KEY": "wrong"}, "--migrate") as daemon:
        code, lines = await ended(daemon)
    assert code == ExitCode.QUEUE
    assert len(lines) == 1
    assert context.queue in lines[0]


async def test_no_region(context: RunContext) -> None:
    """Exit 2: a queue URL without a region needs one from the environment."""
    environment = {name: value for name, value in context.environment().items() if name != "AWS_REGION"}
    with daemon_process(environment) as daemon:
        code, lines = await ended(daemon)
    assert code == ExitCode.CONFIGURATION
    assert lines == [f"subscriber: the queue URL {context.queue} names no region: set AWS_REGION"]


async def test_a_queue_on_a_host_of_its_own_needs_its_endpoint_named(context: RunContext) -> None:
    """Exit 2 with the variable to set; without it, calls for a local queue would go to AWS."""
    environment = {name: value for name, value in context.environment().items() if name != "AWS_ENDPOINT_URL_SQS"}
    with daemon_process(environment) as daemon:
        code, lines = await ended(daemon)
    assert code == ExitCode.CONFIGURATION
    assert lines[0].endswith(f"set AWS_ENDPOINT_URL_SQS={context.endpoint_url}")


async def test_a_queue_that_rejects_large_events(context: RunContext) -> None:
    """Exit 4: MaximumMessageSize under 64 KB means that S3 cannot deliver every event."""
    attributes = {"MaximumMessageSize": "1024"}
    context.client.call("SetQueueAttributes", QueueUrl=context.queue, Attributes=attributes)
    with context.daemon() as daemon:
        code, lines = await ended(daemon)
    assert code == ExitCode.QUEUE
    assert "set MaximumMessageSize to 65536 or more" in lines[0]


async def test_a_queue_without_redrive_is_a_warning(context: RunContext) -> None:
    """Without a dead-letter queue the daemon warns and starts."""
    bare = context.client.call("CreateQueue", QueueName=context.queue.rsplit("/", 1)[-1] + "-bare")["QueueUrl"]
    with context.daemon(QUEUE_URLS=bare) as daemon:
        await asyncio.to_thread(daemon.wait_for, "pipeline.started")
        assert "no redrive policy" in daemon.events("queue.suspicious")[0]["finding"]
        assert await asyncio.to_thread(daemon.stop) == ExitCode.DRAINED


async def test_a_schema_that_does_not_exist(context: RunContext) -> None:
    """Exit 5, with the command to run; nothing was received."""
    context.send([put_body("one.txt")])
    with daemon_process(context.environment()) as daemon:
        code, lines = await ended(daemon)
    assert code == ExitCode.SCHEMA
    assert lines[0].endswith("has no tables of this program; run `subscriber migrate`")
    assert context.counts() == QueueCounts(visible=1, in_flight=0)


async def test_a_wrong_password(context: RunContext) -> None:
    """Exit 3; neither line nor log shows the password."""
    url = context.database_url.replace("postgres:", "postgres:not-the-", 1)
    with context.daemon(DATABASE_URL=url) as daemon:
        code, lines = await ended(daemon)
        assert "not-the-" not in str(daemon.log)
    assert code == ExitCode.DATABASE
    assert lines[0].startswith("subscriber: database: rejects the login (credentials 28P01: 127.0.0.1:")
    assert lines[0].endswith("; correct user and password in SUBSCRIBER_DATABASE_URL")


async def test_a_role_that_may_not_write(context: RunContext) -> None:
    """Exit 3 with the sentence of `subscriber check`, before /readyz is 200 and before a message is received."""
    context.send([put_body("one.txt")])
    await asyncio.to_thread(_migrate, context)
    role = f"guest_{uuid.uuid4().hex[:12]}"
    schema = context.schema
    await context.fetch(f"CREATE ROLE {role} LOGIN PASSWORD 'secret'")
    await context.fetch(f"GRANT USAGE ON SCHEMA {schema} TO {role}")
    await context.fetch(f"GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {role}")
    try:
        url = re.sub("//[^@]+@", f"//{role}:secret@", context.database_url)
        with daemon_process(context.environment(DATABASE_URL=url)) as daemon:
            code, lines = await ended(daemon)
            assert not daemon.events("pipeline.started")
    finally:
        await context.fetch(f"DROP OWNED BY {role}")
        await context.fetch(f"DROP ROLE {role}")
    assert code == ExitCode.DATABASE
    assert lines == [
        f"subscriber: database: user {role} lacks INSERT, UPDATE on {schema}.{table}; "
        f"GRANT INSERT, UPDATE ON {schema}.{table} TO {role}"
        for table in ("object_versions", "quarantined_messages")
    ]
    assert context.counts() == QueueCounts(visible=1, in_flight=0)


def _migrate(context: RunContext) -> None:
    with context.daemon() as daemon:
        daemon.wait_for("schema.migrated")


@pytest.mark.parametrize(
    ("operation", "action"),
    [
        ("GetQueueAttributes", "sqs:GetQueueAttributes"),
        ("DeleteMessageBatch", "sqs:DeleteMessage"),
        ("ChangeMessageVisibilityBatch", "sqs:ChangeMessageVisibility"),
    ],
)
async def test_a_role_that_may_not_settle_messages(context: RunContext, operation: str, action: str) -> None:
    """Exit 4 with the sentence of `subscriber check`, before a message is received or a login to the database made."""
    async with AwsServices.running() as aws:
        for each, answer in GOOD.items():
            aws.answer("sqs", each, answer)
        aws.answer("sqs", operation, Fault.denied(action))
        environment = context.environment(QUEUE_URLS=QUEUE) | {"AWS_ENDPOINT_URL_SQS": aws.endpoint_url}
        with daemon_process(environment) as daemon:
            code, lines = await ended(daemon)
        received = [request for request in aws.requests if request.operation == "ReceiveMessage"]
    assert (code, received) == (ExitCode.QUEUE, [])
    (line,) = lines
    assert line.startswith(f"subscriber: queue {QUEUE}: access denied to {action} (")
    assert line.endswith(f"; allow the role {action} on this queue")


async def test_row_level_security_without_a_policy(context: RunContext) -> None:
    """Exit 3 with the sentence of `subscriber check`: a write that is rolled back shows what grants do not."""
    await asyncio.to_thread(_migrate, context)
    await context.fetch("ALTER TABLE object_versions ENABLE ROW LEVEL SECURITY")
    role = f"guest_{uuid.uuid4().hex[:12]}"
    await context.fetch(f"CREATE ROLE {role} LOGIN PASSWORD 'secret'")
    await context.fetch(f"GRANT USAGE ON SCHEMA {context.schema} TO {role}")
    await context.fetch(f"GRANT ALL ON ALL TABLES IN SCHEMA {context.schema} TO {role}")
    try:
        url = re.sub("//[^@]+@", f"//{role}:secret@", context.database_url)
        with daemon_process(context.environment(DATABASE_URL=url)) as daemon:
            code, lines = await ended(daemon)
    finally:
        await context.fetch(f"DROP OWNED BY {role}")
        await context.fetch(f"DROP ROLE {role}")
    assert code == ExitCode.DATABASE
    (line,) = lines
    assert line.startswith(f"subscriber: database: row-level security rejects the rows of user {role} (no_privilege ")
    assert f"CREATE POLICY … ON that table of {context.schema}" in line


async def test_a_suspicious_database_is_a_warning(context: RunContext) -> None:
    """A trigger that rejects our row may accept real ones: the daemon warns and starts."""
    await asyncio.to_thread(_migrate, context)
    await context.fetch(
        f"CREATE FUNCTION {context.schema}.f() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'not this bucket'; END $$"
    )
    await context.fetch(
        "CREATE TRIGGER t BEFORE INSERT ON object_versions FOR EACH ROW "
        f"WHEN (NEW.bucket = 'subscriber') EXECUTE FUNCTION {context.schema}.f()"
    )
    context.send([put_body("one.txt")])
    with daemon_process(context.environment()) as daemon:
        await context.until_empty()
        (line,) = daemon.events("database.suspicious")
        assert line["finding"].startswith(
            "rejected a row of subscriber's own, which was to be rolled back (trigger P0001"
        )
        assert await asyncio.to_thread(daemon.stop) == ExitCode.DRAINED


async def test_mistakes_in_the_settings(context: RunContext) -> None:
    """Exit 2, all mistakes at once."""
    with context.daemon(BATCH_MAX_ROWS="many", BATCH_LINGER="1") as daemon:
        code, lines = await ended(daemon)
    assert code == ExitCode.CONFIGURATION
    assert any("SUBSCRIBER_BATCH_MAX_ROWS" in line for line in lines)
    assert any("SUBSCRIBER_BATCH_LINGER_SECONDS" in line for line in lines)


@pytest.mark.timeout(120)
async def test_the_start_waits_for_an_unavailable_database(context: RunContext, postgres_server: LocalPostgres) -> None:
    """/livez is 200, /readyz is 503, nothing is received; the daemon starts when the database is available."""
    postgres_server.stop()
    context.send([put_body("one.txt")])
    with context.daemon(DATABASE_URL=postgres_server.url) as daemon:
        waiting = await asyncio.to_thread(daemon.wait_for, "database.waiting")
        assert waiting["database"] == f"127.0.0.1:{postgres_server.port}"
        detail = waiting["detail"]
        assert detail.startswith(f"database: unreachable: 127.0.0.1:{postgres_server.port}: ")
        assert detail.endswith(
            "; check host and port in SUBSCRIBER_DATABASE_URL, the security group, and that the database runs"
        )
        assert daemon.page("/livez")[0] == 200
        assert daemon.page("/readyz")[0] == 503
        assert context.counts() == QueueCounts(visible=1, in_flight=0)
        postgres_server.start()
        await asyncio.to_thread(daemon.wait_for, "pipeline.started")
        await context.until_empty()
        await until(lambda: daemon.page("/readyz")[0] == 200)
        assert await asyncio.to_thread(daemon.stop) == ExitCode.DRAINED


async def test_sigterm_while_waiting_for_the_database(context: RunContext, postgres_server: LocalPostgres) -> None:
    """A start that waits can be stopped; it ends drained."""
    postgres_server.stop()
    with context.daemon(DATABASE_URL=postgres_server.url) as daemon:
        await asyncio.to_thread(daemon.wait_for, "database.waiting")
        assert await asyncio.to_thread(daemon.stop) == ExitCode.DRAINED


async def test_a_profile_that_does_not_exist(context: RunContext) -> None:
    """Exit 2: one line says that the AWS variables cannot be used."""
    with daemon_process(context.environment() | {"AWS_PROFILE": "nobody"}) as daemon:
        code, lines = await ended(daemon)
    assert code == ExitCode.CONFIGURATION
    (line,) = lines
    assert line == (
        "subscriber: the AWS settings cannot be used: The config profile (nobody) could not be found; check "
        "AWS_PROFILE, AWS_REGION and AWS_ENDPOINT_URL (http:// or https:// and a host)"
    )


async def test_credentials_that_never_come(context: RunContext) -> None:
    """Exit 4 after five attempts: the endpoint of the task's role does not answer, and no setting is wrong."""
    environment = {name: text for name, text in context.environment().items() if not name.startswith("AWS_ACCESS_KEY")}
    address = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:9/credentials"}
    with daemon_process(environment | address) as daemon:
        code, lines = await ended(daemon)
        assert len(daemon.events("credentials.waiting")) == 4
    assert code == ExitCode.QUEUE
    (line,) = lines
    assert line.startswith("subscriber: no AWS credentials after 5 attempts: Error when retrieving credentials from ")
    assert "; check the task's role, and the endpoint, file or process" in line


async def test_a_stop_while_credentials_do_not_come(context: RunContext) -> None:
    """The wait ends at once, with exit code 0."""
    environment = {name: text for name, text in context.environment().items() if not name.startswith("AWS_ACCESS_KEY")}
    address = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:9/credentials"}
    with daemon_process(environment | address) as daemon:
        await asyncio.to_thread(daemon.wait_for, "credentials.waiting")
        assert await asyncio.to_thread(daemon.stop) == ExitCode.DRAINED
        assert len(daemon.events("credentials.waiting")) < 4
