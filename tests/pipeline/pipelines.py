"""The whole line on fake queues and a fake store; only the bodies are real."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from subscriber.flow.leases import InFlightLimits, VisibilityLeases
from subscriber.flow.limiter import ConcurrencyLimiter
from subscriber.observe.metrics import Metrics
from subscriber.pipeline.acknowledge import AcknowledgeOptions
from subscriber.pipeline.batch import BatchOptions
from subscriber.pipeline.pipeline import Pipeline, PipelineOptions
from subscriber.pipeline.receive import ReceiveOptions
from tests.fakes.queues import FakeQueues
from tests.fakes.samples import OTHER_QUEUE, QUEUE, put_body
from tests.fakes.store import FakeStore, Hold
from tests.fakes.virtual_time import settle

QUEUES = (QUEUE, OTHER_QUEUE)
VISIBILITY_SECONDS = 300.0
HOLD_SECONDS = 900.0
CEILING = InFlightLimits(messages=2000, bytes=1 << 26)
OPTIONS = PipelineOptions(
    receive=ReceiveOptions(queues=QUEUES, polls_at_most=32),
    batch=BatchOptions(max_rows=200, max_messages=200, linger_seconds=0.25),
    acknowledge=AcknowledgeOptions(calls_at_most=8),
)


class Stage:
    """Everything the line touches."""

    def __init__(self, *, limit: float = 4.0, queues: FakeQueues | None = None, store: FakeStore | None = None) -> None:
        self.queues = queues or FakeQueues()
        self.store = store or FakeStore()
        self.leases = VisibilityLeases(QUEUES, CEILING, VISIBILITY_SECONDS, HOLD_SECONDS)
        self.metrics = Metrics()
        self.line = Pipeline(OPTIONS, self.queues, self.store, ConcurrencyLimiter(limit), self.leases, self.metrics)

    def send(self, count: int, queue: str = QUEUE) -> set[str]:
        """So many objects are put; their keys."""
        keys = [f"{queue[-6:]}/{number:05}" for number in range(count)]
        self.queues.send(queue, [put_body(key) for key in keys])
        return set(keys)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[asyncio.Task[None]]:
        """The line at work; at the end it is stopped and must run dry."""
        line = asyncio.create_task(self.line.run(), name="line")
        try:
            yield line
            self.line.stop()
            await line
        finally:
            line.cancel()
            await asyncio.wait([line])

    def keys(self) -> set[str]:
        """Keys of the objects in the index."""
        return {key for _, key, _ in self.store.rows}

    def left(self) -> int:
        """Messages that no queue has deleted."""
        return sum(len(self.queues.left(queue)) for queue in QUEUES)

    def is_dry(self) -> bool:
        """Whether nothing is held any more."""
        return (self.leases.messages_held, self.leases.bytes_held, list(self.leases.outstanding())) == (0, 0, [])

    def count(self, name: str, **labels: str) -> float | None:
        """A metric's value."""
        return self.metrics.registry.get_sample_value(f"subscriber_{name}", labels)


async def rest_of(stage: Stage) -> None:
    """One message has been written for half a second; its place now begins to rest by the limiter's limit."""
    hold = Hold()
    stage.store.script(hold)
    stage.queues.send(QUEUE, [put_body("first")])
    await hold.reached.wait()
    await asyncio.sleep(0.5)
    hold.release()
    await settle()
    assert stage.keys() == {"first"}
    assert not stage.line.limiter.has_capacity
