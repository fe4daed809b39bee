"""Runs `subscriber reconcile` and `backfill`, and compares the index with a bucket."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import subprocess
import sys
import time
from typing import Any

import msgspec
from click.testing import CliRunner

from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.adapters.postgres.migrations import migrate
from subscriber.cli.main import main
from testkit.s3.launch import ListingServer
from testkit.s3.raw_client import RawS3
from tests.e2e.environment import RunContext

SUBSCRIPTION = """<NotificationConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><QueueConfiguration>
<Queue>{arn}</Queue><Event>s3:ObjectCreated:*</Event><Event>s3:ObjectRemoved:*</Event></QueueConfiguration>
</NotificationConfiguration>"""


class Ended(msgspec.Struct, frozen=True):
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def report(self) -> dict[str, Any]:
        """What `--format json` printed."""
        found: dict[str, Any] = msgspec.json.decode(self.out)
        return found


class ReconcileRuns:
    """Commands on one schema, one queue and the listing server."""

    def __init__(self, context: RunContext, server: ListingServer) -> None:
        self.context = context
        self.server = server
        self.changed: dict[str, str] = {}
        """Environment variables that differ from those of the run."""
        self.options = StoreOptions(url=context.database_url, schema=context.schema, tls="disable")

    async def migrate(self) -> None:
        """Create the tables."""
        await migrate(self.options)

    @property
    def environment(self) -> dict[str, str]:
        """The environment of a command."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "SUBSCRIBER_"))}
        ours = {"AWS_ENDPOINT_URL_S3": self.server.endpoint_url}
        # From the smallest limit a command needs half a minute to its full pace.
        return kept | self.context.environment(WRITE_MIN_CONCURRENCY=1) | ours | self.changed

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Begin a command."""
        command = [sys.executable, "-m", "subscriber", *arguments]
        return subprocess.Popen(command, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    async def run(self, *arguments: str) -> Ended:
        """Run a command to its end; in this process, which saves the start of another. One at a time."""
        inherited = {name: None for name in os.environ if name.startswith(("AWS_", "SUBSCRIBER_"))}
        environment = inherited | self.environment
        done = await asyncio.to_thread(CliRunner().invoke, main, arguments, env=environment)
        return Ended(done.exit_code, done.stdout, done.stderr)

    def subscribe(self, bucket: str) -> None:
        """Let the bucket name the run's queue in its notification configuration."""
        asked = {"QueueUrl": self.context.queue, "AttributeNames": ["QueueArn"]}
        arn = self.context.client.call("GetQueueAttributes", **asked)["Attributes"]["QueueArn"]
        with RawS3(self.server.endpoint_url) as client:
            client.call("PUT", bucket, {"notification": ""}, SUBSCRIPTION.format(arn=arn).encode())

    async def versions(self, bucket: str) -> list[tuple[Any, ...]]:
        """Rows that are no tombstones: key, version id, state, size and ETag."""
        query = "SELECT key, version_id, state, size_bytes, etag FROM object_versions WHERE state <> 'removed'"
        return sorted(tuple(row) for row in await self._rows(query, bucket))

    async def objects(self, bucket: str) -> list[tuple[Any, ...]]:
        """The view: key, version id, size and ETag."""
        query = "SELECT key, version_id, size_bytes, etag FROM objects WHERE true"
        return sorted(tuple(row) for row in await self._rows(query, bucket))

    async def until_rows(self, bucket: str, count: int) -> None:
        """Wait until the index has so many rows of a bucket."""
        async with asyncio.timeout(60):
            query = "SELECT 1 FROM object_versions WHERE true"
            while len(await self._rows(query, bucket)) < count:  # noqa: ASYNC110 - theirs
                await asyncio.sleep(0.05)

    async def execute(self, statement: str) -> None:
        """Execute a statement of the test."""
        connection = await self.context.connect()
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    async def _rows(self, query: str, bucket: str) -> list[Any]:
        connection = await self.context.connect()
        try:
            return await connection.fetch(f"{query} AND bucket = $1", bucket)
        finally:
            await connection.close()


def event_now(bucket: str, key: str, body: bytes | None, etag: str = "") -> str:
    """The notification of a key that has just got this body, or was deleted; its ETag is the MD5 unless given."""
    nanoseconds = time.time_ns()
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    described: dict[str, object] = {"key": key, "sequencer": f"00{seconds:08X}{rest:08X}"}
    if body is not None:
        described |= {"size": len(body), "eTag": etag or hashlib.md5(body).hexdigest()}
    record = {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "eventTime": time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(seconds)),
        "eventName": "ObjectRemoved:Delete" if body is None else "ObjectCreated:Put",
        "s3": {"bucket": {"name": bucket}, "object": described},
    }
    return json.dumps({"Records": [record]})
