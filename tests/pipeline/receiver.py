"""A receiver between fake queues and a channel that the test reads."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from subscriber.flow.channel import Channel
from subscriber.flow.leases import InFlightLimits, VisibilityLeases
from subscriber.model import Delivery, Message
from subscriber.observe.metrics import Metrics
from subscriber.pipeline.receive import ReceiveOptions, Receiver
from tests.fakes.queues import ROUND_TRIP_SECONDS, FakeQueues
from tests.fakes.samples import QUEUE

ROOMY = InFlightLimits(messages=100_000, bytes=1 << 34)


class Setup:
    """A receiver and everything around it."""

    def __init__(
        self, *urls: str, polls_at_most: int = 8, limits: InFlightLimits = ROOMY, capacity: int = 10_000
    ) -> None:
        urls = urls or (QUEUE,)
        self.queues = FakeQueues()
        self.leases = VisibilityLeases(urls, limits, visibility_seconds=300)
        self.outbox: Channel[tuple[Delivery, ...]] = Channel(capacity)
        self.metrics = Metrics()
        self.receiver = Receiver(
            ReceiveOptions(queues=urls, polls_at_most=polls_at_most),
            self.queues,
            Delivery,
            self.leases,
            self.outbox,
            metrics=self.metrics,
            wall_clock=lambda: 1000.0,
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[asyncio.Task[None]]:
        """Run the stage; at the end stop it and wait for its end."""
        async with asyncio.TaskGroup() as group:
            yield group.create_task(self.receiver.run(), name="receive")
            self.receiver.stop()

    def taken(self) -> list[Message]:
        """Messages of all deliveries so far."""
        groups = iter(self.outbox.receive_nowait, None)
        return [delivery.message for group in groups for delivery in group]

    def requests(self, answer: str) -> float | None:
        """How many polls had this answer, by the metric."""
        labels = {"queue": "events", "answer": answer}
        return self.metrics.registry.get_sample_value("subscriber_receive_requests_total", labels)

    def pauses(self) -> list[float]:
        """Seconds between the end of each poll and the begin of the next, for one poll at a time."""
        times = [began_at for _, began_at in self.queues.polls]
        return [round(after - before - ROUND_TRIP_SECONDS, 6) for before, after in itertools.pairwise(times)]
