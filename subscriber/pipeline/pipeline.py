"""The pipeline: its stages, the channels between them, and its shutdown.

Shutdown follows the flow: receive stops and closes its channel, each stage finishes what it holds and closes the next
channel, and `run` returns when the last delete has been answered. Decode (stage 2) is a function that receive calls.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import msgspec

from subscriber.events.decode import decode
from subscriber.flow.breaker import CircuitBreaker
from subscriber.flow.channel import Channel
from subscriber.flow.leases import VisibilityLeases
from subscriber.flow.limiter import ConcurrencyLimiter
from subscriber.flow.visibility_extension import VisibilityExtender
from subscriber.model import Batch, Delivery, Receipt
from subscriber.observe.metrics import Metrics
from subscriber.pipeline.acknowledge import AcknowledgeOptions, Acknowledger
from subscriber.pipeline.batch import Batcher, BatchOptions
from subscriber.pipeline.receive import ReceiveOptions, Receiver
from subscriber.pipeline.write import WriteOptions, Writer
from subscriber.ports import QueueClient, Store
from subscriber.signals import Arrivals

POLLS_IN_CHANNEL = 8
BATCHES_IN_CHANNEL = 1
RECEIPTS_IN_CHANNEL = 2
"""Small on purpose: the leases already count what waits here, and a full channel is the back-pressure."""


class PipelineOptions(msgspec.Struct, frozen=True):
    """The options of every stage."""

    receive: ReceiveOptions
    batch: BatchOptions
    write: WriteOptions
    acknowledge: AcknowledgeOptions
    buckets: frozenset[str] | None = None
    """Bucket allow-list; None: events of every bucket may become rows."""
    keeps_requester: bool = False
    """Whether rows tell who made the request."""


class Pipeline:
    """Connects the stages, runs them, stops them.

    Args:
        options: of every stage.
        queues: the SQS client.
        store: the database.
        limiter: of concurrent writes.
        leases: of the messages in flight.
        metrics: the metrics of the process.
    """

    def __init__(
        self,
        options: PipelineOptions,
        queues: QueueClient,
        store: Store,
        limiter: ConcurrencyLimiter,
        leases: VisibilityLeases,
        metrics: Metrics,
    ) -> None:
        self.limiter = limiter
        self.leases = leases
        self.breaker = CircuitBreaker(leases, metrics.database_available.set)
        self._ping = store.ping
        self._extender = VisibilityExtender(leases, queues, metrics)
        deliveries: Channel[tuple[Delivery, ...]] = Channel(POLLS_IN_CHANNEL)
        batches: Channel[Batch] = Channel(BATCHES_IN_CHANNEL)
        receipts: Channel[tuple[Receipt, ...]] = Channel(RECEIPTS_IN_CHANNEL)
        decode_message = functools.partial(decode, buckets=options.buckets, keeps_requester=options.keeps_requester)
        self._receiver = Receiver(options.receive, queues, decode_message, leases, deliveries, metrics=metrics)
        self.batcher = Batcher(options.batch, deliveries, batches, limiter, metrics)
        writer = Writer(options.write, batches, receipts, limiter, store, breaker=self.breaker, metrics=metrics)
        self.tally = writer.tally
        self.bucket_tallies = writer.bucket_tallies
        self._comparison = writer.comparison
        acknowledger = Acknowledger(options.acknowledge, receipts, queues, leases, metrics)
        limiter.watch(self.batcher.notify)
        self._stages: dict[str, Callable[[], Coroutine[Any, Any, None]]] = {
            "receive": self._receiver.run,
            "batch": self.batcher.run,
            "write": writer.run,
            "acknowledge": acknowledger.run,
        }

    @property
    def queues_answer(self) -> bool:
        """Whether every queue answers."""
        return self._receiver.queues_answer

    @property
    def arrivals(self) -> Mapping[str, Arrivals]:
        """What each queue has returned lately, by its URL."""
        return self._receiver.arrivals

    async def run(self) -> None:
        """Run until the pipeline is drained. A stage that fails cancels the others, and its exception is raised."""
        async with asyncio.TaskGroup() as side:
            tasks = [
                side.create_task(self.breaker.run(self._probe), name="probe"),
                side.create_task(self._extender.run(), name="visibility extension"),
                side.create_task(self._comparison.run(), name="comparison"),
            ]
            try:
                await self._run_stages()
            finally:
                for task in tasks:
                    task.cancel()

    async def _probe(self) -> None:
        await self._comparison.probe(self._ping)

    async def _run_stages(self) -> None:
        async with asyncio.TaskGroup() as stages:
            for name, run in self._stages.items():
                stages.create_task(run(), name=name)

    def stop(self) -> None:
        """Receive nothing more and drain; `run` returns when nothing is held.

        Messages that the database cannot store at once are released.
        """
        self._receiver.stop()
        self.breaker.stop()
        self.limiter.drain()
