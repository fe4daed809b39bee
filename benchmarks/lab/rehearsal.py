"""Everything the demo needs, running: PostgreSQL, a queue, the real daemon, and a load.

Each part is a process of its own that ends with the block, on whatever path the block is left.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import msgspec

from benchmarks.lab.cpu import cpu_seconds
from benchmarks.lab.daemon import DaemonProcess, daemon_process
from benchmarks.lab.load import LoadPlan
from benchmarks.lab.postgres import LocalPostgres
from benchmarks.lab.process import Child, LabError, child_process
from benchmarks.lab.queue import local_queue_server
from benchmarks.lab.queue.raw_client import RawClient

REGION: Final = "us-east-1"
READY_SECONDS: Final = 60.0
_QUEUE_NAME = "object-events"
_DEAD_LETTER_QUEUE_NAME = "object-events-dead"
_VISIBILITY_SECONDS = 300
_MAX_RECEIVES = 10
"""SQS's own default for a redrive policy made in its console."""
_RECEIVE_WAIT_SECONDS = 2
"""Short, so that the stop at the end, which waits for open polls, is short too."""
_COUNTS = (
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
)


class Reading(msgspec.Struct, frozen=True):
    """The line at one moment."""

    unfinished: int
    """All messages of the queue: waiting, in flight and delayed."""
    applied_rows: int
    """Rows inserted or updated."""
    deleted: int
    """Messages the queue has confirmed as deleted."""
    dead_letters: int
    lag_seconds: float
    daemon_cpu_seconds: float
    database_cpu_seconds: float


class Rehearsal:
    """The running parts. Made by `rehearsal`."""

    def __init__(self, postgres: LocalPostgres, client: RawClient, queue_url: str, daemon: DaemonProcess) -> None:
        self.postgres = postgres
        self.queue_url = queue_url
        self.daemon = daemon
        self._client = client

    def read(self) -> Reading:
        """Asks everyone how far they are.

        Raises:
            LabError: the daemon or the queue is gone.
        """
        try:
            return self._read()
        except OSError as error:
            raise LabError(f"no answer ({error}); the end of the daemon's log:\n{self.daemon.log_tail()}") from error

    def _read(self) -> Reading:
        dead_letter_queue_url = self.queue_url.replace(_QUEUE_NAME, _DEAD_LETTER_QUEUE_NAME)
        samples = read_samples(self.daemon.page("/metrics")[1])
        return Reading(
            unfinished=self._messages_in(self.queue_url),
            applied_rows=int(samples.get("subscriber_rows_applied_total", 0)),
            deleted=int(samples.get("subscriber_acknowledged_messages_total", 0)),
            dead_letters=self._messages_in(dead_letter_queue_url),
            lag_seconds=samples.get("subscriber_newest_lag_seconds", 0.0),
            daemon_cpu_seconds=cpu_seconds(self.daemon.pid),
            database_cpu_seconds=self.postgres.cpu_seconds(),
        )

    def _messages_in(self, queue_url: str) -> int:
        attributes = _attributes(self._client, queue_url)
        return sum(int(attributes[name]) for name in _COUNTS)


def _attributes(client: RawClient, queue_url: str) -> dict[str, str]:
    answer = client.call("GetQueueAttributes", QueueUrl=queue_url, AttributeNames=["All"])
    return dict(answer["Attributes"])


def _make_queues(client: RawClient) -> str:
    """A queue as it should be in production, with a dead-letter queue behind it; its URL."""
    dead_letter_queue_url = client.call("CreateQueue", QueueName=_DEAD_LETTER_QUEUE_NAME)["QueueUrl"]
    redrive = {
        "deadLetterTargetArn": _attributes(client, dead_letter_queue_url)["QueueArn"],
        "maxReceiveCount": _MAX_RECEIVES,
    }
    attributes = {
        "VisibilityTimeout": str(_VISIBILITY_SECONDS),
        "RedrivePolicy": msgspec.json.encode(redrive).decode(),
    }
    created = client.call("CreateQueue", QueueName=_QUEUE_NAME, Attributes=attributes)
    return str(created["QueueUrl"])


def read_samples(page: str) -> dict[str, float]:
    """The sum of all samples of each name on a page of Prometheus text."""
    sums: dict[str, float] = {}
    for line in page.splitlines():
        if line and not line.startswith("#"):
            series, _, value = line.rpartition(" ")
            name = series.partition("{")[0]
            sums[name] = sums.get(name, 0.0) + float(value)
    return sums


@contextmanager
def rehearsal() -> Iterator[Rehearsal]:
    """PostgreSQL, queue and daemon, up and ready.

    Raises:
        LabError: a part does not come up; with the end of its log.
        LocalPostgresError: PostgreSQL does not.
    """
    with ExitStack() as parts:
        postgres = parts.enter_context(LocalPostgres(settings={"track_commit_timestamp": "on"}))
        server = parts.enter_context(local_queue_server(region=REGION))
        client = parts.enter_context(RawClient(server.endpoint_url, region=REGION))
        queue_url = _make_queues(client)
        environment = {
            "SUBSCRIBER_QUEUE_URLS": queue_url,
            "SUBSCRIBER_DATABASE_URL": postgres.url,
            "SUBSCRIBER_RECEIVE_WAIT_SECONDS": str(_RECEIVE_WAIT_SECONDS),
            "AWS_ENDPOINT_URL_SQS": server.endpoint_url,
            "AWS_REGION": REGION,
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
        }
        daemon = parts.enter_context(daemon_process(environment, "--migrate"))
        daemon.wait_for("line.started", READY_SECONDS)
        yield Rehearsal(postgres, client, queue_url, daemon)


@contextmanager
def running_load(queue_url: str, plan: LoadPlan, record: Path) -> Iterator[Child]:
    """The load as a process, from the moment at which it begins to send.

    Raises:
        LabError: it does not get that far.
    """
    profile = ",".join(f"{phase.messages_per_second:g}x{phase.seconds:g}" for phase in plan.profile)
    command = [sys.executable, "-m", "benchmarks.lab.load", "--queue-url", queue_url, "--profile", profile]
    command += ["--seed", str(plan.seed), "--start-second", str(plan.start_second), "--record", str(record)]
    with child_process("the load", command) as child:
        child.read_line(READY_SECONDS)
        yield child
