"""The whole corpus through the real pipeline into a real PostgreSQL: rows and quarantine are exactly as expected.

The queue is a list, so that bodies which SQS would reject are included. `tests/e2e/test_hostile_bodies.py` sends the
others to the real daemon.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import asyncpg
import pytest

from subscriber.adapters.postgres.store import PostgresStore
from subscriber.flow.leases import InFlightLimits, VisibilityLeases
from subscriber.flow.limiter import ConcurrencyLimiter
from subscriber.model import MESSAGES_PER_POLL, BatchAnswer, Lease, Message
from subscriber.observe.metrics import Metrics
from subscriber.pipeline.acknowledge import AcknowledgeOptions
from subscriber.pipeline.batch import BatchOptions
from subscriber.pipeline.pipeline import Pipeline, PipelineOptions
from subscriber.pipeline.receive import ReceiveOptions
from subscriber.pipeline.write import WriteOptions
from tests.corpus.everything import corpus
from tests.corpus.expected import quarantine_of, rows_of, stored_quarantine, stored_rows

QUEUE = "http://queue.example/1/hostile"
OPTIONS = PipelineOptions(
    receive=ReceiveOptions(queues=(QUEUE,), polls_at_most=4),
    batch=BatchOptions(max_rows=500, max_messages=500, linger_seconds=0.05),
    write=WriteOptions(statement_seconds=30),
    acknowledge=AcknowledgeOptions(calls_at_most=4),
)


class ListQueue:
    """A queue client that delivers every body once, records the deletes, and then blocks until it is closed."""

    def __init__(self, bodies: Sequence[str]) -> None:
        self._left = list(enumerate(bodies))
        self.deleted: list[str] = []
        self.delayed: list[str] = []
        self._wanted = len(bodies)
        self.finished = asyncio.Event()
        self.closed = asyncio.Event()

    async def receive(self, lease: Lease) -> list[Message]:
        """Ten messages at a time."""
        some, self._left = self._left[:MESSAGES_PER_POLL], self._left[MESSAGES_PER_POLL:]
        if not some:
            await self.closed.wait()
        return [Message(QUEUE, f"m{number}", f"h{number}", text, 0.0, 1, lease) for number, text in some]

    async def delete(self, queue: str, handles: Sequence[str]) -> BatchAnswer:
        """Record the deletes; all of them succeed."""
        self.deleted += handles
        self._check_finished()
        return BatchAnswer(done=tuple(range(len(handles))))

    async def change_visibility(self, queue: str, entries: Sequence[tuple[str, int]]) -> BatchAnswer:
        """Record the messages with a retry delay; no case should have one."""
        self.delayed += [handle for handle, _ in entries]
        self._check_finished()
        return BatchAnswer(done=tuple(range(len(entries))))

    async def release(self, queue: str, handles: Sequence[str]) -> BatchAnswer:
        """The test never releases a message."""
        raise AssertionError("released")

    def _check_finished(self) -> None:
        if len(self.deleted) + len(self.delayed) == self._wanted:
            self.finished.set()


@pytest.mark.timeout(120)
async def test_every_body_gives_the_expected_rows(
    store: PostgresStore, database: asyncpg.Connection[asyncpg.Record]
) -> None:
    """Nothing fails or stalls, and no case affects the result of another one in the same batch."""
    queue = ListQueue([case.body for case in corpus()])
    leases = VisibilityLeases((QUEUE,), InFlightLimits(messages=2_000, bytes=1 << 26), visibility_seconds=300)
    pipeline = Pipeline(OPTIONS, queue, store, ConcurrencyLimiter(4.0), leases, Metrics())
    async with asyncio.timeout(90), asyncio.TaskGroup() as tasks:
        tasks.create_task(pipeline.run(), name="pipeline")
        await queue.finished.wait()
        queue.closed.set()
        pipeline.stop()
    assert (len(queue.deleted), queue.delayed) == (len(corpus()), [])
    assert await stored_rows(database) == rows_of(corpus())
    assert await stored_quarantine(database) == quarantine_of(corpus())
