"""The whole corpus through the real rooms into a real PostgreSQL, in one flood: table and quarantine to the letter.

The queue is a list, so that bodies which SQS itself would refuse come too; `tests/e2e/test_hostile_bodies.py` sends
the others to the real daemon.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import asyncpg
import pytest

from subscriber.adapters.postgres.store import PostgresStore
from subscriber.flow.leases import POLL_MESSAGES, InFlightLimits, VisibilityLeases
from subscriber.flow.limiter import ConcurrencyLimiter
from subscriber.model import BatchAnswer, Lease, Message
from subscriber.observe.metrics import Metrics
from subscriber.pipeline.acknowledge import AcknowledgeOptions
from subscriber.pipeline.batch import BatchOptions
from subscriber.pipeline.pipeline import Pipeline, PipelineOptions
from subscriber.pipeline.receive import ReceiveOptions
from tests.corpus.everything import corpus
from tests.corpus.expected import quarantine_of, rows_of, stored_quarantine, stored_rows

QUEUE = "http://queue.example/1/hostile"
OPTIONS = PipelineOptions(
    receive=ReceiveOptions(queues=(QUEUE,), polls_at_most=4),
    batch=BatchOptions(max_rows=500, max_messages=500, linger_seconds=0.05),
    acknowledge=AcknowledgeOptions(calls_at_most=4),
)


class ListQueue:
    """Gives every body once, remembers what is deleted, and then has nothing until it is closed."""

    def __init__(self, bodies: Sequence[str]) -> None:
        self._left = list(enumerate(bodies))
        self.deleted: list[str] = []
        self.hidden: list[str] = []
        self._wanted = len(bodies)
        self.settled = asyncio.Event()
        self.closed = asyncio.Event()

    async def receive(self, lease: Lease) -> list[Message]:
        """Ten at a time."""
        some, self._left = self._left[:POLL_MESSAGES], self._left[POLL_MESSAGES:]
        if not some:
            await self.closed.wait()
        return [Message(QUEUE, f"m{number}", f"h{number}", text, 0.0, 1, lease) for number, text in some]

    async def delete(self, queue: str, handles: Sequence[str]) -> BatchAnswer:
        """All of them, at once."""
        self.deleted += handles
        self._note()
        return BatchAnswer(done=tuple(range(len(handles))))

    async def change_visibility(self, queue: str, entries: Sequence[tuple[str, int]]) -> BatchAnswer:
        """What failed."""
        self.hidden += [handle for handle, _ in entries]
        self._note()
        return BatchAnswer(done=tuple(range(len(entries))))

    async def release(self, queue: str, handles: Sequence[str]) -> int:
        """Nobody asks for it here."""
        raise AssertionError("handed back")

    def _note(self) -> None:
        if len(self.deleted) + len(self.hidden) == self._wanted:
            self.settled.set()


@pytest.mark.timeout(120)
async def test_every_body_leads_where_the_table_says(
    store: PostgresStore, database: asyncpg.Connection[asyncpg.Record]
) -> None:
    """Nothing crashes, nothing stalls, nothing is lost or stored otherwise, whatever came beside it."""
    queue = ListQueue([case.body for case in corpus()])
    leases = VisibilityLeases((QUEUE,), InFlightLimits(messages=2_000, bytes=1 << 26), visibility_seconds=300)
    line = Pipeline(OPTIONS, queue, store, ConcurrencyLimiter(4.0), leases, Metrics())
    async with asyncio.timeout(90), asyncio.TaskGroup() as tasks:
        tasks.create_task(line.run(), name="line")
        await queue.settled.wait()
        queue.closed.set()
        line.stop()
    assert (len(queue.deleted), queue.hidden) == (len(corpus()), [])
    assert await stored_rows(database) == rows_of(corpus())
    assert await stored_quarantine(database) == quarantine_of(corpus())
