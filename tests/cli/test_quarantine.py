"""`subscriber quarantine` as a process, on a real database: what it prints, and that killing it loses nothing."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import TypeAlias

import asyncpg
import pytest
from click.testing import CliRunner

from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.adapters.postgres.migrations import migrate
from subscriber.cli.main import main
from tests.e2e.conftest import plain_schema as plain_schema  # noqa: PLC0414 - a fixture
from tests.e2e.environment import put_body

Database: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
QUEUE = "https://sqs.eu-west-1.amazonaws.com/123456789012/events"
MANY = 60


def _restore_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class QuarantineCli:
    """The command with a schema of its own, and a connection to inspect it."""

    def __init__(self, environment: dict[str, str], database: Database) -> None:
        self.environment = environment
        self.database = database

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a command that handles SIGINT, even if this process ignores it, as a shell's background jobs do."""
        command = [sys.executable, "-m", "subscriber", "quarantine", *arguments]
        return subprocess.Popen(
            command,
            env=self.environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            preexec_fn=_restore_interrupts,  # noqa: PLW1509 -- one call that takes no lock, before anything else
        )

    async def run(self, *arguments: str) -> tuple[int, str, str]:
        """Exit code, stdout and stderr of a command; in this process, which saves the start of another."""
        command = ["quarantine", *arguments]
        done = await asyncio.to_thread(CliRunner().invoke, main, command, env=self.environment)
        return done.exit_code, done.stdout, done.stderr

    async def keep(self, *bodies: str, reason: str = "not_json") -> None:
        """Insert messages into the quarantine; their ids end with their number."""
        rows = [
            (QUEUE, f"{reason}-{number:03}", reason, "a word", body.encode(), 1) for number, body in enumerate(bodies)
        ]
        columns = ["queue", "message_id", "reason", "detail", "body", "receive_count"]
        await self.database.copy_records_to_table("quarantined_messages", records=rows, columns=columns)

    async def count(self, what: str) -> int:
        """The number of rows."""
        return int(await self.database.fetchval(f"SELECT count(*) FROM {what}"))


@pytest.fixture
async def cli(postgres_url: str, plain_schema: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[QuarantineCli]:
    """The command in front of an empty quarantine."""
    # The log is configured for the whole process, which would outlive the test.
    monkeypatch.setattr("subscriber.cli.environment.configure", lambda *_: None)
    await migrate(StoreOptions(url=postgres_url, schema=plain_schema, tls="disable"))
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("SUBSCRIBER_", "AWS_"))}
    environment = inherited | {
        "SUBSCRIBER_QUEUE_URLS": QUEUE,
        "SUBSCRIBER_DATABASE_URL": postgres_url,
        "SUBSCRIBER_DATABASE_SCHEMA": plain_schema,
    }
    connection = await asyncpg.connect(postgres_url, timeout=10, server_settings={"search_path": plain_schema})
    yield QuarantineCli(environment, connection)
    await connection.close()


async def test_list_counts_and_shows(cli: QuarantineCli) -> None:
    """Counts by reason, then a line for each message; filters narrow both, and JSON has the bodies."""
    await cli.keep("{}", "[]")
    await cli.keep(put_body("a.txt"), reason="bad_key")
    code, out, errors = await cli.run("list", "--limit", "2")
    assert (code, errors) == (0, "")
    head, first, second, *messages = out.splitlines()
    assert head.split() == ["waiting", "replayed", "reason", "oldest", "newest"]
    assert [first.split()[:3], second.split()[:3]] == [["2", "0", "not_json"], ["1", "0", "bad_key"]]
    assert [line.split()[2:5] for line in messages] == [
        ["bad_key", "events", "bad_key-000"],
        ["not_json", "events", "not_json-000"],
    ]
    _, out, _ = await cli.run("list", "--json", "--reason", "bad_key", "--newer-than", "1h", "--queue", "events")
    assert json.loads(out)["body"] == put_body("a.txt")
    nothing = "no message in quarantine matches; "
    held = "the quarantine has not_json (2 waiting, 0 replayed), bad_key (1 waiting, 0 replayed)\n"
    assert (await cli.run("list", "--older-than", "1h"))[1] == nothing + held
    assert (await cli.run("replay", "--reason", "bad_kye"))[1] == nothing + held
    code, _, errors = await cli.run("list", "--older-than", "yesterday")
    assert (code, "'yesterday' is not an age; write 90s, 15m, 12h or 3d" in errors) == (2, True)


async def test_an_unknown_queue_names_the_queues_that_have_messages(cli: QuarantineCli) -> None:
    """With their counts; a queue with messages that other filters exclude is not unknown."""
    await cli.keep("{}", "[]")
    named = "no message of queue nope is in quarantine; the quarantine has messages of events (2 waiting, 0 replayed)\n"
    assert (await cli.run("list", "--queue", "nope"))[1] == named
    assert (await cli.run("replay", "--queue", "nope"))[1] == named
    assert (await cli.run("list", "--queue", "events", "--reason", "bad_key"))[1].startswith("no message in quarantine")
    await cli.database.execute("DELETE FROM quarantined_messages")
    assert (await cli.run("list", "--queue", "nope"))[1] == "no message is in quarantine\n"


async def test_queues_of_one_name_are_told_apart(cli: QuarantineCli) -> None:
    """Their names are those of metrics and log, also where only one of them is on the page, and --queue takes them."""
    await cli.keep("{}")
    other = QUEUE.replace("eu-west-1", "us-east-1")
    await cli.database.execute(
        "INSERT INTO quarantined_messages SELECT $1, 'far', 'bad_key', detail, body, 1, "
        "quarantined_at FROM quarantined_messages",
        other,
    )
    ours, theirs = "eu-west-1/123456789012/events", "us-east-1/123456789012/events"
    assert [line.split()[3] for line in (await cli.run("list"))[1].splitlines()[3:]] == [ours, theirs]
    assert (await cli.run("list", "--limit", "1"))[1].splitlines()[-1].split()[3] == ours
    shown = (await cli.run("list", "--queue", theirs))[1].splitlines()
    assert [line.split()[3:5] for line in shown[2:]] == [[theirs, "far"]]
    assert f"queue        {other}\n" in (await cli.run("show", "far", "--queue", theirs))[1]
    assert (await cli.run("show", "far", "--queue", ours))[0] == 2
    assert (await cli.run("replay", "--dry-run", "--queue", ours))[1].startswith("0 of 1 messages would be replayed")
    assert (await cli.run("list", "--queue", "a/b"))[1].endswith(
        f"{ours} (1 waiting, 0 replayed), {theirs} (1 waiting, 0 replayed)\n"
    )


async def test_the_beginning_of_an_id_shows_its_message(cli: QuarantineCli) -> None:
    """With or without the ellipsis; an id that others begin with shows itself, and several candidates are listed."""
    await cli.keep(put_body("a.txt"), reason="bad_key")
    await cli.keep("{}", "[]")
    for prefix in ("bad", "bad…", "bad_key-0..."):
        code, out, _ = await cli.run("show", prefix)
        assert (code, "message      bad_key-000" in out) == (0, True)
    code, out, errors = await cli.run("show", "not_")
    assert (code, out) == (2, "")
    assert errors.splitlines() == [
        "subscriber: several ids begin with not_; write more of the one to show:",
        "subscriber: not_json-000  not_json  events",
        "subscriber: not_json-001  not_json  events",
    ]
    await cli.database.execute("UPDATE quarantined_messages SET message_id = 'not_' WHERE message_id = 'not_json-001'")
    assert "message      not_\n" in (await cli.run("show", "not_"))[1]
    assert (await cli.run("show", "…"))[0] == 2


async def test_no_queue_is_needed(cli: QuarantineCli) -> None:
    """The commands call the database only."""
    del cli.environment["SUBSCRIBER_QUEUE_URLS"]
    assert await cli.run("list") == (0, "no message is in quarantine\n", "")


async def test_show_one(cli: QuarantineCli) -> None:
    """The reason, what a replay would do today, the body; with --raw only its bytes."""
    await cli.keep(put_body("a.txt"))
    code, out, _ = await cli.run("show", "not_json-000")
    assert code == 0
    assert "today        would be written: lake/a.txt present" in out
    assert (await cli.run("show", "not_json-000", "--raw"))[1] == put_body("a.txt")
    code, _, errors = await cli.run("show", "nobody")
    assert (code, errors) == (
        2,
        "subscriber: no message nobody is in quarantine; `subscriber quarantine list` shows them\n",
    )


async def test_replay_says_what_it_does(cli: QuarantineCli) -> None:
    """A dry run prints what would happen, a replay what happened; the row records who ran it."""
    await cli.keep(put_body("a.txt"), "no JSON")
    _, out, _ = await cli.run("replay", "--dry-run")
    assert out == "1 of 2 messages would be replayed; nothing was written\n1 still rejected: not_json\n"
    assert await cli.count("object_versions") == 0
    code, out, errors = await cli.run("replay", "--by", "operator")
    assert (code, errors) == (0, "")
    assert out == "1 of 2 messages replayed, 1 row was newer than the index\n1 still rejected: not_json\n"
    assert await cli.count("quarantined_messages WHERE replayed_by = 'operator'") == 1
    counts = (await cli.run("list", "--all", "--limit", "0"))[1].splitlines()[1]
    assert counts.split()[:3] == ["1", "1", "not_json"]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
async def test_a_replay_that_is_killed_is_simply_run_again(cli: QuarantineCli, number: signal.Signals) -> None:
    """Every marked message is in the index; the second run replays the rest."""
    await cli.keep(*(put_body(f"{key:03}") for key in range(MANY)))
    process = cli.start("replay", "--rate", "1")  # the replay would take a minute; the first second is enough
    marked = 0
    try:
        while not marked:
            assert process.poll() is None
            marked = await cli.count("quarantined_messages WHERE replayed_at IS NOT NULL")
    finally:
        process.send_signal(number)
        _, errors = await asyncio.to_thread(process.communicate, timeout=30)
    marked = await cli.count("quarantined_messages WHERE replayed_at IS NOT NULL")
    assert 0 < marked < MANY
    assert await cli.count("object_versions") >= marked
    assert ("run it again to continue" in errors) is (number is not signal.SIGKILL)
    assert process.returncode == (-number if number is signal.SIGKILL else 128 + number)
    code, out, _ = await cli.run("replay", "--rate", "0")
    assert (code, out.split(",")[0]) == (0, f"{MANY - marked} of {MANY - marked} messages replayed")
    assert await cli.count("object_versions") == MANY
    assert await cli.count("quarantined_messages WHERE replayed_at IS NULL") == 0


async def test_without_a_database_it_is_one_line(cli: QuarantineCli) -> None:
    """It ends with an exit code and a sentence."""
    cli.environment["SUBSCRIBER_DATABASE_URL"] = "postgresql://u:secret@127.0.0.1:1/lake"
    code, out, errors = await cli.run("list")
    assert (code, out, len(errors.splitlines())) == (3, "", 1)
    assert "secret" not in errors


async def test_a_long_replay_reports_progress(cli: QuarantineCli, monkeypatch: pytest.MonkeyPatch) -> None:
    """It prints to stderr how far it is."""
    monkeypatch.setattr("subscriber.quarantine.progress.ELSEWHERE_SECONDS", 0.1)
    await cli.keep(*(put_body(f"{key:03}") for key in range(MANY)))
    code, _, errors = await cli.run("replay", "--rate", "50")
    assert code == 0
    assert f"of {MANY} (" in errors.splitlines()[0]
    assert await cli.count("quarantined_messages WHERE replayed_at IS NULL") == 0
