"""A batcher between two channels, before a limiter that the test opens and shuts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from subscriber.flow.channel import Channel
from subscriber.model import Batch, Delivery, Trigger
from subscriber.observe.metrics import Metrics
from subscriber.pipeline.batch import Batcher, BatchOptions
from tests.fakes.samples import delivery, object_event

OPTIONS = BatchOptions(max_rows=10, max_messages=20, linger_seconds=0.25)


class ConcurrencyLimiter:
    """Open or shut, as the test says."""

    has_capacity = True
    saturations = 0

    def mark_saturated(self) -> None:
        """A batch that is due waits."""
        self.saturations += 1


class Stage:
    """A batcher between two channels."""

    def __init__(self, options: BatchOptions = OPTIONS, *, capacity: int = 1000) -> None:
        self.inbox: Channel[tuple[Delivery, ...]] = Channel(1000)
        self.outbox: Channel[Batch] = Channel(capacity)
        self.limiter = ConcurrencyLimiter()
        self.metrics = Metrics()
        self.batcher = Batcher(options, self.inbox, self.outbox, self.limiter, self.metrics)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """The room at work; at the end the inbox is closed and the room must come to its end."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.batcher.run(), name="batch")
            yield
            self.inbox.close()

    def left(self) -> list[tuple[Trigger, int]]:
        """Trigger and number of deliveries of every batch that has left."""
        return [(one.trigger, len(one.deliveries)) for one in iter(self.outbox.receive_nowait, None)]

    def open_limiter(self) -> None:
        """Room appears, and the limiter notifications."""
        self.limiter.has_capacity = True
        self.batcher.notify()


def deliveries(count: int, *, rows: int = 1) -> tuple[Delivery, ...]:
    """So many deliveries with so many rows each."""
    return tuple(delivery(*(object_event(f"{one}/{row}") for row in range(rows))) for one in range(count))
