"""`subscriber prune` against a real queue and a real database: what is rejected, what it prints, what is left."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator

import asyncpg
import pytest
from click.testing import CliRunner

from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.adapters.postgres.migrations import migrate
from subscriber.cli.main import main
from tests.e2e.conftest import context as context  # noqa: PLC0414 - a fixture
from tests.e2e.conftest import plain_schema as plain_schema  # noqa: PLC0414 - a fixture
from tests.e2e.environment import RunContext

DAY = 86_400


class PruneCli:
    """The command with a queue and a schema of its own, and a connection to inspect it."""

    def __init__(self, context: RunContext, database: asyncpg.Connection[asyncpg.Record]) -> None:
        self.context = context
        self.database = database

    async def run(self, *arguments: str, **settings: object) -> tuple[int, str, str]:
        """Exit code, stdout and stderr."""
        environment = self.context.environment(**settings)
        done = await asyncio.to_thread(CliRunner().invoke, main, ["prune", *arguments], env=environment)
        return done.exit_code, done.stdout, done.stderr

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """The command as a process that handles SIGINT, even if this one ignores it, as background jobs do."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("SUBSCRIBER_", "AWS_"))}
        return subprocess.Popen(
            [sys.executable, "-m", "subscriber", "prune", *arguments],
            env=inherited | self.context.environment(),
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 -- one call, no lock
        )

    def retain(self, days: int) -> None:
        """Set the retention of the queue; its dead-letter queue keeps SQS's default of four days."""
        attributes = {"MessageRetentionPeriod": str(days * DAY)}
        self.context.client.call("SetQueueAttributes", QueueUrl=self.context.queue, Attributes=attributes)

    async def keys(self) -> list[str]:
        """The keys that are left."""
        return [row[0] for row in await self.database.fetch("SELECT key FROM object_versions ORDER BY key")]


@pytest.fixture
async def cli(context: RunContext, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[PruneCli]:
    """A schema with a young tombstone, two old ones, and a message that was replayed long ago."""
    # The log is configured for the whole process, which would outlive the test.
    monkeypatch.setattr("subscriber.cli.environment.configure", lambda *_: None)
    await migrate(StoreOptions(url=context.database_url, schema=context.schema, tls="disable"))
    settings = {"search_path": context.schema}
    connection = await asyncpg.connect(context.database_url, timeout=10, server_settings=settings)
    await connection.execute(
        "INSERT INTO object_versions SELECT 'b', 'k' || n, '', 'removed', '1', 'e', now(), NULL, NULL, "
        "now() - make_interval(days => n) FROM unnest(ARRAY[10, 50, 60]) AS n"
    )
    await connection.execute(
        "INSERT INTO quarantined_messages VALUES ('q', 'done', 'r', '', '', 1, now() - '99 days'::interval, "
        "now() - '99 days'::interval)"
    )
    yield PruneCli(context, connection)
    await connection.close()


async def test_old_tombstones_and_replayed_messages_go(cli: PruneCli) -> None:
    """A dry run says the same beforehand; repeated, there is nothing left to do."""
    both = ("--older-than", "45d", "--quarantine-older-than", "90d")
    expected = "2 tombstones {0} removed, 3 rows read\n1 replayed message {1} removed, 1 row read\n"
    assert await cli.run(*both, "--dry-run") == (0, expected.format("would be", "would be"), "")
    assert await cli.keys() == ["k10", "k50", "k60"]
    assert await cli.run(*both) == (0, expected.format("were", "was"), "")
    assert await cli.keys() == ["k10"]
    assert await cli.database.fetchval("SELECT count(*) FROM quarantined_messages") == 0
    nothing = "0 tombstones were removed, 1 row read\n0 replayed messages were removed, 0 rows read\n"
    assert await cli.run(*both, "--rate", "0") == (0, nothing, "")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
async def test_a_prune_that_is_killed_is_simply_continued(cli: PruneCli, number: signal.Signals) -> None:
    """As a process: what it removed is gone, Ctrl-C prints where to go on, and the rest follows from there."""
    await cli.database.execute(
        "INSERT INTO object_versions SELECT 'b', 'm' || lpad(n::text, 3, '0'), '', 'removed', '1', 'e', now(), NULL, "
        "NULL, now() - '50 days'::interval FROM generate_series(1, 60) AS n"
    )
    process = cli.start("--older-than", "45d", "--rate", "1")  # it would take a minute; the first second is enough
    try:
        while len(await cli.keys()) == 63:
            assert process.poll() is None
    finally:
        process.send_signal(number)
        _, errors = await asyncio.to_thread(process.communicate, timeout=30)
    left = await cli.keys()
    assert 1 < len(left) < 63
    after = re.findall(r"stopped early: \d+ tombstones? w\w+ removed, .*: run it again with --after (b/\w+) to", errors)
    assert bool(after) is (number is not signal.SIGKILL)
    assert process.returncode == (-number if number is signal.SIGKILL else 128 + number)
    code, out, _ = await cli.run("--older-than", "45d", *(("--after", *after) if after else ()))
    assert (code, out.split(" ")[0]) == (0, str(len(left) - 1))
    assert await cli.keys() == ["k10"]


async def test_an_age_within_the_retention_is_rejected(cli: PruneCli) -> None:
    """By the queue's and the dead-letter queue's retention as SQS reports them; nothing is deleted."""
    cli.retain(14)
    code, out, errors = await cli.run("--older-than", "20d")
    assert (code, out) == (2, "")
    assert errors == (
        f"subscriber: --older-than: 20 days is too short: a message of queue {cli.context.queue} can be 18 days old "
        "(14 days in the queue, 4 days in its dead-letter queue, moved back once), and an older event would bring a "
        "removed object back; with a margin of 3 days, write --older-than 21d or more\n"
    )
    assert await cli.keys() == ["k10", "k50", "k60"]
    assert (await cli.run("--older-than", "21d"))[0] == 0


async def test_a_queue_that_cannot_be_asked_stops_it(cli: PruneCli) -> None:
    """Nothing is deleted on a guess."""
    code, _, errors = await cli.run("--older-than", "45d", QUEUE_URLS=f"{cli.context.queue}-missing")
    assert (code, len(await cli.keys())) == (4, 3)
    assert errors.startswith(f"subscriber: the retention of queue {cli.context.queue}-missing cannot be read (")
    assert errors.endswith("so no tombstone is removed; allow sqs:GetQueueAttributes on it\n")


async def test_a_waiting_message_keeps_tombstones(cli: PruneCli) -> None:
    """Its replay may need those that were written after it was sent."""
    await cli.database.execute(
        "INSERT INTO quarantined_messages VALUES ('q', 'waits', 'r', '', '', 1, now() - '9 days'::interval)"
    )
    code, out, errors = await cli.run("--older-than", "45d")
    assert (code, out) == (0, "1 tombstone was removed, 3 rows read\n")
    assert errors.startswith("a message waits in quarantine since ")
    assert await cli.keys() == ["k10", "k50"]


async def test_replayed_messages_need_no_queue(cli: PruneCli) -> None:
    """No queue has anything to do with them."""
    code, out, _ = await cli.run("--quarantine-older-than", "90d", QUEUE_URLS="")
    assert (code, out) == (0, "1 replayed message was removed, 1 row read\n")


async def test_jobs_that_ended_long_ago_go(cli: PruneCli) -> None:
    """With their ranges; no queue has anything to do with them, and one that has not ended stays."""
    await cli.database.execute(
        "INSERT INTO jobs (kind, bucket, concurrency, tolerated_failures, created_by, state, finished_at)"
        " SELECT 'reconcile', 'lake', 1, 0, 'me', state, now() - age FROM (VALUES ('cancelled', interval '91 days'),"
        " ('failed', interval '89 days'), ('running', NULL)) AS given (state, age)"
    )
    await cli.database.execute("INSERT INTO job_ranges (job_id, number, after) SELECT job_id, 1, '' FROM jobs")
    arguments = ("--jobs-older-than", "90d")
    expected = (0, "1 ended job would be removed, 3 rows read\n", "")
    assert await cli.run(*arguments, "--dry-run", QUEUE_URLS="") == expected
    assert await cli.run(*arguments, QUEUE_URLS="") == (0, "1 ended job was removed, 3 rows read\n", "")
    left = "SELECT array_agg(state ORDER BY state) FROM jobs JOIN job_ranges USING (job_id)"
    assert await cli.database.fetchval(left.replace("state", "jobs.state")) == ["failed", "running"]


async def test_the_last_job_that_compared_a_bucket_stays(cli: PruneCli) -> None:
    """Of each bucket, however old it is: only it tells how complete the index is. An inventory tells less."""
    await cli.database.execute(
        "INSERT INTO jobs (kind, bucket, prefix, concurrency, tolerated_failures, created_by, state, finished_at)"
        " SELECT kind, bucket, prefix, 1, 0, bucket || kind || days, 'succeeded', now() - make_interval(days => days)"
        " FROM (VALUES ('backfill', 'a', '', 300), ('reconcile', 'a', '', 200), ('inventory', 'a', '', 100),"
        " ('reconcile', 'a', 'raw/', 99), ('inventory', 'b', '', 300), ('backfill', 'b', '', 200),"
        " ('inventory', 'c', '', 200), ('inventory', 'c', '', 100)) AS given (kind, bucket, prefix, days)"
    )
    arguments = ("--jobs-older-than", "90d")
    expected = (0, "4 ended jobs would be removed, 8 rows read\n", "")
    assert await cli.run(*arguments, "--dry-run", QUEUE_URLS="") == expected
    assert await cli.run(*arguments, QUEUE_URLS="") == (0, "4 ended jobs were removed, 8 rows read\n", "")
    left = await cli.database.fetchval("SELECT array_agg(created_by ORDER BY created_by) FROM jobs")
    assert left == ["ainventory100", "areconcile200", "bbackfill200", "cinventory100"]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ((), "--quarantine-older-than 90d, --jobs-older-than 90d, or several\n"),
        (("--older-than", "999999d"), "'999999d' is longer than 36500d\n"),
    ],
)
async def test_arguments(cli: PruneCli, arguments: tuple[str, ...], problem: str) -> None:
    """One sentence for each mistake."""
    code, _, errors = await cli.run(*arguments)
    assert code == 2
    assert errors.endswith(problem)
