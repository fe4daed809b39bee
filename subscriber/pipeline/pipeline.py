"""The line: five rooms, three channels, and the way it ends.

Shutdown travels in flow order: receive stops and closes its channel, each room finishes what it has and
closes the next, and `run` returns when the last delete has been answered. Nothing here looks at a message.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Protocol

import msgspec

from subscriber.events.decode import decode
from subscriber.flow.breaker import CircuitBreaker
from subscriber.flow.channel import Channel
from subscriber.flow.leases import VisibilityLeases
from subscriber.flow.limiter import ConcurrencyLimiter
from subscriber.flow.visibility_extension import VisibilityExtender
from subscriber.model import Batch, Delivery, Receipt
from subscriber.observe.metrics import Metrics
from subscriber.pipeline.acknowledge import AcknowledgeOptions, Acknowledger, Queues
from subscriber.pipeline.attempts import Store
from subscriber.pipeline.batch import Batcher, BatchOptions
from subscriber.pipeline.receive import ReceiveOptions, Receiver, Source
from subscriber.pipeline.write import Writer
from subscriber.signals import Arrivals

POLLS_IN_CHANNEL = 8
BATCHES_IN_CHANNEL = 1
RECEIPTS_IN_CHANNEL = 2
"""Small on purpose: what waits here is already counted in the leases, and a full channel is the back-pressure."""


class QueueEdge(Source, Queues, Protocol):
    """Everything the line asks of the queues."""


class StoreEdge(Store, Protocol):
    """Everything the line asks of the database."""

    async def ping(self) -> None:
        """Succeed if a write could; raises StoreError."""
        ...


class PipelineOptions(msgspec.Struct, frozen=True):
    """The options of every room."""

    receive: ReceiveOptions
    batch: BatchOptions
    acknowledge: AcknowledgeOptions
    buckets: frozenset[str] | None = None
    """Whose events may become rows; None: those of every bucket."""


class Pipeline:
    """Builds the rooms, runs them, stops them.

    Args:
        options: of every room.
        queues: the queues' edge.
        store: the database's edge.
        limiter: how many writes at once.
        leases: what is held.
        metrics: the catalog.
    """

    def __init__(
        self,
        options: PipelineOptions,
        queues: QueueEdge,
        store: StoreEdge,
        limiter: ConcurrencyLimiter,
        leases: VisibilityLeases,
        metrics: Metrics,
    ) -> None:
        self.limiter = limiter
        self.leases = leases
        self.breaker = CircuitBreaker(leases, metrics.database_available.set)
        self._ping = store.ping
        self._keeper = VisibilityExtender(leases, queues, metrics)
        deliveries: Channel[tuple[Delivery, ...]] = Channel(POLLS_IN_CHANNEL)
        batches: Channel[Batch] = Channel(BATCHES_IN_CHANNEL)
        receipts: Channel[tuple[Receipt, ...]] = Channel(RECEIPTS_IN_CHANNEL)
        understand = functools.partial(decode, buckets=options.buckets)
        self._receiver = Receiver(options.receive, queues, understand, leases, deliveries, metrics=metrics)
        self.batches = Batcher(options.batch, deliveries, batches, limiter, metrics)
        writer = Writer(batches, receipts, limiter, store, breaker=self.breaker, metrics=metrics)
        self.tally = writer.tally
        acknowledger = Acknowledger(options.acknowledge, receipts, queues, leases, metrics)
        limiter.watch(self.batches.notify)
        self._stages: dict[str, Callable[[], Coroutine[Any, Any, None]]] = {
            "receive": self._receiver.run,
            "batch": self.batches.run,
            "write": writer.run,
            "acknowledge": acknowledger.run,
        }

    @property
    def is_receiving(self) -> bool:
        """Whether every queue answers."""
        return self._receiver.is_receiving

    @property
    def arrivals(self) -> Mapping[str, Arrivals]:
        """What each queue has brought lately, by its URL."""
        return self._receiver.arrivals

    async def run(self) -> None:
        """Run until the line is dry. A room that dies takes the others with it, loudly."""
        async with asyncio.TaskGroup() as side:
            helpers = [
                side.create_task(self.breaker.run(self._ping), name="probe"),
                side.create_task(self._keeper.run(), name="lease keeper"),
            ]
            try:
                await self._run_stages()
            finally:
                for task in helpers:
                    task.cancel()

    async def _run_stages(self) -> None:
        async with asyncio.TaskGroup() as rooms:
            for name, run in self._stages.items():
                rooms.create_task(run(), name=name)

    def stop(self) -> None:
        """Receive nothing more and let the line run dry; `run` returns when it is.

        What the database does not take at once is handed back.
        """
        self._receiver.stop()
        self.breaker.stop()
        self.limiter.drain()
