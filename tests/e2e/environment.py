"""Environment of an end-to-end test: a queue, a schema, and the real daemon between them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractContextManager, asynccontextmanager
from typing import Any

import asyncpg
import msgspec

from testkit.daemon import DaemonProcess, daemon_process
from testkit.sqs.raw_client import RawClient

VISIBILITY_SECONDS = 60
POLL_SECONDS = 0.05
TIMEOUT_SECONDS = 60.0
"""Only a failure takes so long: a machine may be busy."""


def fitting_constraints(**changed: object) -> dict[str, str]:
    """Settings for tests: short waits that satisfy the constraints."""
    values: dict[str, object] = {
        "RECEIVE_WAIT_SECONDS": 1,
        "RECEIVE_VISIBILITY_SECONDS": VISIBILITY_SECONDS,
        "WRITE_TIMEOUT_SECONDS": 3,
        "STOP_TIMEOUT_SECONDS": 30,
        "BATCH_LINGER_SECONDS": 0.05,
    }
    return {f"SUBSCRIBER_{name}": str(value) for name, value in (values | changed).items()}


class QueueCounts(msgspec.Struct, frozen=True):
    """Message counts of a queue."""

    visible: int
    in_flight: int


class RunContext:
    """Queue and schema of one test, and the ways to start a daemon between them."""

    def __init__(self, client: RawClient, queue: str, database_url: str, schema: str, endpoint_url: str) -> None:
        self.client = client
        self.queue = queue
        self.database_url = database_url
        self.schema = schema
        self.endpoint_url = endpoint_url

    def environment(self, **changed: object) -> dict[str, str]:
        """The environment of the daemon; `changed` names settings without their prefix."""
        return {
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_ENDPOINT_URL_SQS": self.endpoint_url,
            "SUBSCRIBER_QUEUE_URLS": self.queue,
            "SUBSCRIBER_DATABASE_URL": self.database_url,
            "SUBSCRIBER_DATABASE_SCHEMA": self.schema,
            **fitting_constraints(**changed),
        }

    def daemon(self, **changed: object) -> AbstractContextManager[DaemonProcess]:
        """The real process, migrating first."""
        return self.daemon_with(self.environment(**changed))

    def daemon_with(self, environment: dict[str, str]) -> AbstractContextManager[DaemonProcess]:
        """The same, with this environment."""
        return daemon_process(environment, "--migrate")

    def send(self, bodies: Iterable[str], queue: str | None = None) -> None:
        """Send bodies to the queue, ten at a time."""
        batch: list[str] = []
        for body in bodies:
            batch.append(body)
            if len(batch) == 10:
                self._send_batch(batch, queue or self.queue)
                batch = []
        if batch:
            self._send_batch(batch, queue or self.queue)

    def _send_batch(self, batch: list[str], queue: str) -> None:
        entries = [{"Id": str(number), "MessageBody": body} for number, body in enumerate(batch)]
        answer = self.client.call("SendMessageBatch", QueueUrl=queue, Entries=entries)
        assert not answer.get("Failed")

    def counts(self, queue: str | None = None) -> QueueCounts:
        """Messages in the queue now."""
        answer = self.client.call("GetQueueAttributes", QueueUrl=queue or self.queue, AttributeNames=["All"])
        attributes = answer["Attributes"]
        return QueueCounts(
            visible=int(attributes["ApproximateNumberOfMessages"]),
            in_flight=int(attributes["ApproximateNumberOfMessagesNotVisible"]),
        )

    async def until_empty(self, *queues: str, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        """Wait until no message is visible or in flight."""
        nothing = QueueCounts(visible=0, in_flight=0)
        await until(lambda: all(self.counts(queue) == nothing for queue in queues or (self.queue,)), timeout_seconds)

    async def connect(self, database_url: str | None = None) -> asyncpg.Connection[asyncpg.Record]:
        """A connection with this run's schema as search path, to its own database unless another is given."""
        path = {"search_path": '"{}"'.format(self.schema.replace('"', '""'))}
        return await asyncpg.connect(database_url or self.database_url, server_settings=path, timeout=10)

    @asynccontextmanager
    async def writes_blocked(
        self, database_url: str | None = None
    ) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
        """Lock the table as long as the block or the server runs; every write waits for the yielded connection."""
        blocker = await self.connect(database_url)
        try:
            await blocker.execute("BEGIN; LOCK TABLE object_versions IN EXCLUSIVE MODE")
            yield blocker
        finally:
            await blocker.close()

    async def fetch(self, query: str) -> list[asyncpg.Record]:
        """Rows of one query in this schema."""
        connection = await self.connect()
        try:
            return await connection.fetch(query)
        finally:
            await connection.close()


async def until(condition: Callable[[], bool], timeout_seconds: float = TIMEOUT_SECONDS) -> None:
    """Poll `condition` until it holds.

    Raises:
        TimeoutError: it does not hold in time.
    """
    async with asyncio.timeout(timeout_seconds):
        while not condition():  # noqa: ASYNC110 – the condition is another process's
            await asyncio.sleep(POLL_SECONDS)


def put_body(key: str, *, second: int = 0, event_name: str = "ObjectCreated:Put", **fields: Any) -> str:
    """A native notification of one record about `key` in bucket `lake`."""
    sequencer = f"00{1_795_341_600 + second:08X}00000001"
    record = {
        "eventVersion": "2.5",
        "eventSource": "aws:s3",
        "eventTime": f"2026-11-22T10:{second // 60:02}:{second % 60:02}.000Z",
        "eventName": event_name,
        "s3": {
            "bucket": {"name": "lake"},
            "object": {"key": key, "size": 5, "eTag": "abc", "sequencer": sequencer, **fields},
        },
    }
    return json.dumps({"Records": [record]})
