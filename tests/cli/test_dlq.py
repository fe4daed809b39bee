"""`subscriber dlq` against a real queue: what it prints, what it moves, what it rejects."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest
from click.testing import CliRunner, Result

from subscriber.cli.main import main
from tests.e2e.conftest import context as context  # noqa: PLC0414 - a fixture
from tests.e2e.conftest import plain_schema as plain_schema  # noqa: PLC0414 - a fixture
from tests.e2e.environment import RunContext, put_body, until


class DlqCli:
    """The command with a queue of its own and the dead-letter queue behind it."""

    def __init__(self, context: RunContext) -> None:
        self.context = context
        self.dead = f"{context.queue}-dead"

    def run(self, *arguments: str, **settings: object) -> Result:
        """The command in this process."""
        return CliRunner().invoke(main, ["dlq", *arguments], env=self.context.environment(**settings))

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """The command as a process that handles SIGINT, even if this one ignores it, as background jobs do."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("SUBSCRIBER_", "AWS_"))}
        return subprocess.Popen(
            [sys.executable, "-m", "subscriber", "dlq", *arguments],
            env=inherited | self.context.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 -- one call, no lock
        )

    def let_die(self, *bodies: str) -> None:
        """Let bodies become dead letters by receives that nobody deletes."""
        self.context.send(bodies)
        client = self.context.client
        while self.context.counts(self.dead).visible < len(bodies):
            client.call("ReceiveMessage", QueueUrl=self.context.queue, MaxNumberOfMessages=10, VisibilityTimeout=0)


@pytest.fixture
def cli(context: RunContext, monkeypatch: pytest.MonkeyPatch) -> DlqCli:
    """Two dead letters: an event and a body that is no JSON."""
    # The log is configured for the whole process, which would outlive the test.
    monkeypatch.setattr("subscriber.cli.environment.configure", lambda *_: None)
    cli = DlqCli(context)
    cli.let_die(put_body("a\x1b"), "not JSON")
    return cli


def test_list_counts(cli: DlqCli) -> None:
    """A row for each dead-letter queue, as text and as JSON."""
    headings, row = cli.run("list").stdout.splitlines()
    name = cli.dead.rsplit("/", 1)[1]
    assert headings.split() == ["queue", "visible", "in", "flight", "kept", "days", "of", "moves"]
    assert row.split() == [name, "2", "0", "4", name.removesuffix("-dead"), "none"]
    queue = json.loads(cli.run("list", "--format", "json").stdout)
    assert (queue["name"], queue["visible_messages"], queue["moves"]) == (name, 2, [])


def test_show_decodes_and_leaves(cli: DlqCli) -> None:
    """Reasons and objects, with control characters escaped; afterwards every message is visible."""
    done = cli.run("show")
    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    assert len(lines) == 3
    assert any("  readable  " in line and "ObjectCreated:Put" in line and "/a\\x1b" in line for line in lines)
    assert any("  not_json  " in line for line in lines)
    shown = [json.loads(line) for line in cli.run("show", "--format", "json").stdout.splitlines()]
    assert sorted(each["reason"] for each in shown) == ["not_json", "readable"]
    assert {each["body"] for each in shown} == {put_body("a\x1b"), "not JSON"}
    assert cli.context.counts(cli.dead).visible == 2


def test_redrive_by_reason(cli: DlqCli) -> None:
    """A dry run moves nothing; a redrive of one reason leaves the other."""
    dry = cli.run("redrive", "--dry-run", "--reason", "readable")
    assert "nothing was moved" in dry.stdout
    assert "1 readable: would be moved\n" in dry.stdout
    assert "1 not_json: would stay\n" in dry.stdout
    done = cli.run("redrive", "--reason", "readable")
    name = cli.dead.rsplit("/", 1)[1]
    assert done.stdout == f"1 of 2 messages of {name} moved, 1 have other reasons\n"
    assert (cli.context.counts().visible, cli.context.counts(cli.dead).visible) == (1, 1)


def test_redrive_by_sqs(cli: DlqCli) -> None:
    """Without a selection SQS moves all."""
    done = cli.run("redrive", "--per-second", "500")
    assert (done.exit_code, done.stdout.endswith(" moved by SQS: completed\n")) == (0, True)
    assert (cli.context.counts().visible, cli.context.counts(cli.dead).visible) == (2, 0)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_cancels_the_move(cli: DlqCli, number: int) -> None:
    """The task is canceled, what it has not moved stays, and the exit code is that of the signal."""
    cli.let_die(*("x" for _ in range(30)))
    process = cli.start("redrive", "--per-second", "1")
    try:
        await until(lambda: status(cli) == ["RUNNING"])
        process.send_signal(number)
        process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 128 + number
    assert status(cli) == ["CANCELLED"]
    assert cli.context.counts(cli.dead).visible > 0


def status(cli: DlqCli) -> list[str]:
    """Of the queue's move tasks."""
    arn = cli.context.client.call("GetQueueAttributes", QueueUrl=cli.dead, AttributeNames=["QueueArn"])
    answer = cli.context.client.call("ListMessageMoveTasks", SourceArn=arn["Attributes"]["QueueArn"])
    return [task["Status"] for task in answer.get("Results", [])]


def test_an_unknown_queue_is_rejected(cli: DlqCli) -> None:
    """With exit code 2, and the queues there are."""
    done = cli.run("show", "daed")
    assert done.exit_code == 2
    assert done.stderr == f"subscriber: daed is no dead-letter queue of SUBSCRIBER_QUEUE_URLS; there are {cli.dead}\n"


def test_a_missing_queue_is_a_sentence(cli: DlqCli) -> None:
    """Exit code 4, and the permission it may lack."""
    done = cli.run("list", QUEUE_URLS=f"{cli.context.queue}-nowhere")
    assert done.exit_code == 4
    assert "cannot be asked (QueueDoesNotExist" in done.stderr
