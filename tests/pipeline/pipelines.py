"""The whole pipeline on fake queues and a fake store; only the bodies are real."""

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
from subscriber.pipeline.write import WriteOptions
from tests.fakes.queues import FakeQueues
from tests.fakes.samples import OTHER_QUEUE, QUEUE, put_body
from tests.fakes.store import FakeStore, Hold
from tests.fakes.virtual_time import settle

QUEUES = (QUEUE, OTHER_QUEUE)
VISIBILITY_SECONDS = 300.0
HOLD_SECONDS = 900.0
LIMITS = InFlightLimits(messages=2000, bytes=1 << 26)
OPTIONS = PipelineOptions(
    receive=ReceiveOptions(queues=QUEUES, polls_at_most=32),
    batch=BatchOptions(max_rows=200, max_messages=200, linger_seconds=0.25),
    write=WriteOptions(statement_seconds=29.0),
    acknowledge=AcknowledgeOptions(calls_at_most=8),
)


class Setup:
    """A pipeline and everything around it."""

    def __init__(self, *, limit: float = 4.0, queues: FakeQueues | None = None, store: FakeStore | None = None) -> None:
        self.queues = queues or FakeQueues()
        self.store = store or FakeStore()
        self.leases = VisibilityLeases(QUEUES, LIMITS, VISIBILITY_SECONDS, HOLD_SECONDS)
        self.metrics = Metrics()
        self.pipeline = Pipeline(OPTIONS, self.queues, self.store, ConcurrencyLimiter(limit), self.leases, self.metrics)

    def send(self, count: int, queue: str = QUEUE) -> set[str]:
        """Put so many objects; their keys."""
        keys = [f"{queue[-6:]}/{number:05}" for number in range(count)]
        self.queues.send(queue, [put_body(key) for key in keys])
        return set(keys)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[asyncio.Task[None]]:
        """Run the pipeline; at the end stop it and wait until it is drained."""
        task = asyncio.create_task(self.pipeline.run(), name="pipeline")
        try:
            yield task
            self.pipeline.stop()
            await task
        finally:
            task.cancel()
            await asyncio.wait([task])

    def keys(self) -> set[str]:
        """Keys of the objects in the index."""
        return {key for _, key, _ in self.store.rows}

    def left(self) -> int:
        """Number of messages that are not deleted."""
        return sum(len(self.queues.left(queue)) for queue in QUEUES)

    def is_drained(self) -> bool:
        """Whether nothing is held or reserved."""
        leases = self.leases
        held, reserved = (leases.messages_held, leases.bytes_held), (leases.messages_reserved, leases.bytes_reserved)
        return (held, reserved, list(leases.outstanding())) == ((0, 0), (0, 0), [])

    def count(self, name: str, **labels: str) -> float | None:
        """A metric's value."""
        return self.metrics.registry.get_sample_value(f"subscriber_{name}", labels)


async def cool_down_after_write(setup: Setup) -> None:
    """Write one message for half a second; its permit then begins the cool-down of the limiter's limit."""
    hold = Hold()
    setup.store.script(hold)
    setup.queues.send(QUEUE, [put_body("first")])
    await hold.reached.wait()
    await asyncio.sleep(0.5)
    hold.release()
    await settle()
    assert setup.keys() == {"first"}
    assert not setup.pipeline.limiter.has_capacity
