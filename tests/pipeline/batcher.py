"""A batcher between two channels, in front of a limiter whose capacity the test sets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from subscriber.flow.channel import Channel
from subscriber.flow.limiter import ConcurrencyLimiter
from subscriber.model import Batch, Delivery, Trigger
from subscriber.observe.metrics import Metrics
from subscriber.pipeline.batch import Batcher, BatchOptions
from tests.fakes.samples import delivery, object_event

OPTIONS = BatchOptions(max_rows=10, max_messages=20, linger_seconds=0.25)


class SwitchedLimiter(ConcurrencyLimiter):
    """A limiter with or without capacity, as the test sets it."""

    def __init__(self) -> None:
        super().__init__(1)
        self.is_full = False
        self.saturations = 0

    @property
    def has_capacity(self) -> bool:
        """As the test has set it."""
        return not self.is_full

    def mark_saturated(self) -> None:
        """Count the calls."""
        self.saturations += 1


class Setup:
    """A batcher and everything around it."""

    def __init__(self, options: BatchOptions = OPTIONS, *, capacity: int = 1000) -> None:
        self.inbox: Channel[tuple[Delivery, ...]] = Channel(1000)
        self.outbox: Channel[Batch] = Channel(capacity)
        self.limiter = SwitchedLimiter()
        self.metrics = Metrics()
        self.batcher = Batcher(options, self.inbox, self.outbox, self.limiter, self.metrics)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the stage; at the end close the inbox and wait for the stage to end."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.batcher.run(), name="batch")
            yield
            self.inbox.close()

    def sent(self) -> list[tuple[Trigger, int]]:
        """Trigger and number of deliveries of every batch so far."""
        return [(one.trigger, len(one.deliveries)) for one in iter(self.outbox.receive_nowait, None)]

    def free_limiter(self) -> None:
        """Give the limiter capacity, and notify the batcher as a limiter does."""
        self.limiter.is_full = False
        self.batcher.notify()


def deliveries(count: int, *, rows: int = 1) -> tuple[Delivery, ...]:
    """So many deliveries with so many rows each."""
    return tuple(delivery(*(object_event(f"{one}/{row}") for row in range(rows))) for one in range(count))
