"""A model of Lambda's event source mapping for a standard queue: its documented rules, not Lambda itself.

    python -m benchmarks.baselines.lambda_model --queue-url URL [--warm]

The rules (AWS Lambda developer guide, "Configuring scaling behavior for SQS event source mappings"): it starts with
five concurrent batches; while messages are available, it adds up to 300 a minute, up to 1,250. A batch has ten
messages, the default, and goes to one invocation with an execution environment to itself; the messages of a finished
invocation are deleted. Here the 300 are spread evenly over the minute, from the first message on.

There are two versions: each invocation opens its own connection, as a handler does that connects in its body; or an
environment keeps its connection for the next invocation (`--warm`), which compares more fairly. Receiving and deleting
use the daemon's thin client, since Lambda's own cost of them is unknown: the model's CPU time means little, the
database's is what counts.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import asyncpg

from benchmarks.baselines.index_rows import rows_of, upsert
from benchmarks.baselines.service import database_url, say_ready, serve
from subscriber.adapters.sqs.client import Sqs
from subscriber.adapters.sqs.options import SqsOptions
from subscriber.model import Lease, Message

BATCHES_AT_START: Final = 5
BATCHES_PER_MINUTE: Final = 300
BATCHES_AT_MOST: Final = 1_250
_WAIT_SECONDS = 2
_VISIBILITY_SECONDS = 300


def begins_after_seconds(number: int) -> float:
    """Seconds after the first message until the reader of this number, counted from 0, may start."""
    return max(0, number + 1 - BATCHES_AT_START) * 60 / BATCHES_PER_MINUTE


class Environments:
    """The execution environments: an invocation takes the idle one used last, or a new one."""

    def __init__(self, url: str, *, is_warm: bool) -> None:
        self._url = url
        self._is_warm = is_warm
        self._idle: list[asyncpg.Connection[Any]] = []

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[asyncpg.Connection[Any]]:
        """The connection of one invocation."""
        connection = self._idle.pop() if self._idle else await asyncpg.connect(self._url)
        try:
            yield connection
        finally:
            if self._is_warm:
                self._idle.append(connection)
            else:
                await connection.close()


class Mapping:
    """The event source mapping."""

    def __init__(self, queues: Sqs, queue_url: str, environments: Environments) -> None:
        self._queues = queues
        self._queue_url = queue_url
        self._environments = environments
        self._first_message = asyncio.Event()

    async def run(self) -> None:
        """Drains the queue until cancelled."""
        async with asyncio.TaskGroup() as group:
            for number in range(BATCHES_AT_START):
                group.create_task(self._reader(), name=f"reader {number}")
            say_ready()
            await self._first_message.wait()
            started = asyncio.get_running_loop().time()
            for number in range(BATCHES_AT_START, BATCHES_AT_MOST):
                await asyncio.sleep(started + begins_after_seconds(number) - asyncio.get_running_loop().time())
                group.create_task(self._reader(), name=f"reader {number}")

    async def _reader(self) -> None:
        while True:
            lease = Lease(self._queue_url, asyncio.get_running_loop().time() + _VISIBILITY_SECONDS, set())
            messages = await self._queues.receive(lease)
            if messages:
                self._first_message.set()
                await self._invoke(messages)
                await self._queues.delete(self._queue_url, [message.receipt_handle for message in messages])

    async def _invoke(self, messages: list[Message]) -> None:
        async with self._environments.connection() as connection:
            await upsert(connection, [row for message in messages for row in rows_of(message.body)])


async def work(queue_url: str, *, is_warm: bool) -> None:
    """Drains the queue until cancelled."""
    options = SqsOptions(
        queues=(queue_url,),
        wait_seconds=_WAIT_SECONDS,
        visibility_seconds=_VISIBILITY_SECONDS,
        polls_at_most=BATCHES_AT_MOST,
        settle_calls_at_most=BATCHES_AT_MOST,
    )
    async with Sqs(options) as queues:
        await Mapping(queues, queue_url, Environments(database_url(), is_warm=is_warm)).run()


def main() -> None:
    """Drains until SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.baselines.lambda_model", description=__doc__)
    parser.add_argument("--queue-url", required=True)
    parser.add_argument("--warm", action="store_true", help="an environment keeps its connection")
    options = parser.parse_args()
    serve(lambda: work(options.queue_url, is_warm=options.warm))


if __name__ == "__main__":
    main()
