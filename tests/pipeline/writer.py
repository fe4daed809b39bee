"""A writer between two channels, with a fake store, a real limiter and a real circuit breaker with its probe."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from subscriber.flow.breaker import CircuitBreaker
from subscriber.flow.channel import Channel
from subscriber.flow.limiter import ConcurrencyLimiter
from subscriber.model import Batch, Delivery, Receipt
from subscriber.observe.metrics import Metrics
from subscriber.pipeline.write import WriteOptions, Writer
from tests.fakes.leases import RecordingLeases
from tests.fakes.samples import batch
from tests.fakes.store import FakeStore

STATEMENT_SECONDS = 29.0
HOLD_SECONDS = 90.0
"""From `hold` until the messages that are not written are released."""


class Setup:
    """A writer and everything around it."""

    def __init__(
        self,
        *,
        limit: float = 4.0,
        store: FakeStore | None = None,
        statement_seconds: float = STATEMENT_SECONDS,
    ) -> None:
        self.store = store or FakeStore()
        self.leases = RecordingLeases()
        self.reported: list[float] = []
        self.breaker = CircuitBreaker(self.leases, self.reported.append)
        self.limiter = ConcurrencyLimiter(limit)
        self.metrics = Metrics()
        self.inbox: Channel[Batch] = Channel(1000)
        self.outbox: Channel[tuple[Receipt, ...]] = Channel(1000)
        self.writer = Writer(
            WriteOptions(statement_seconds),
            self.inbox,
            self.outbox,
            self.limiter,
            self.store,
            breaker=self.breaker,
            metrics=self.metrics,
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[asyncio.Task[None]]:
        """Run the stage and the probe; at the end close the inbox and wait for the stage to end."""
        probe = asyncio.create_task(self.breaker.run(self._probe), name="probe")
        compare = asyncio.create_task(self.writer.comparison.run(), name="comparison")
        try:
            async with asyncio.TaskGroup() as group:
                yield group.create_task(self.writer.run(), name="write")
                self.inbox.close()
        finally:
            probe.cancel()
            compare.cancel()
            await asyncio.wait([probe, compare])

    async def _probe(self) -> None:
        await self.writer.comparison.probe(self.store.ping)

    @staticmethod
    def hold(*deliveries: Delivery) -> tuple[Delivery, ...]:
        """These deliveries, under leases that are released after HOLD_SECONDS."""
        for one in deliveries:
            one.message.lease.held_until = asyncio.get_running_loop().time() + HOLD_SECONDS
        return deliveries

    async def write(self, *deliveries: Delivery) -> list[tuple[str, str]]:
        """Write one batch, then end; verdict and reason of each delivery."""
        async with self.running():
            await self.inbox.send(batch(*deliveries))
        place = {one.message.receipt_handle: number for number, one in enumerate(deliveries)}
        receipts = sorted(self.receipts(), key=lambda one: place[one.message.receipt_handle])
        assert [one.message for one in receipts] == [one.message for one in deliveries]
        return [(one.verdict, one.reason) for one in receipts]

    def receipts(self) -> list[Receipt]:
        """All receipts so far."""
        return [one for group in iter(self.outbox.receive_nowait, None) for one in group]

    def breaker_state(self) -> tuple[bool, bool]:
        """Whether the circuit is open, and whether polling is paused."""
        return self.breaker.is_unavailable, self.leases.is_paused

    def keys(self) -> set[str]:
        """Keys of the objects in the index."""
        return {key for _, key, _ in self.store.rows}

    def reasons(self) -> dict[str, str]:
        """Reason of each message in the quarantine, by message id."""
        return {message_id: one.reason for (_, message_id), one in self.store.quarantined.items()}

    def count(self, name: str, **labels: str) -> float | None:
        """A metric's value."""
        return self.metrics.registry.get_sample_value(f"subscriber_{name}", labels)
