"""Stage 3: batch. Receives deliveries, sends batches.

A batch opens with its first delivery. It closes when it is full, when its linger is over *and* the limiter has
capacity, or when the pipeline drains. Without capacity it keeps growing to the maximum: a light load waits for the
linger, a heavy load gets the large batches that cost the database least. Deliveries are never split and keep their
order; the first delivery of a batch always fits, however many rows it has.
"""

from __future__ import annotations

import asyncio
from collections import deque

import msgspec

from subscriber.events.order import fold
from subscriber.flow.channel import Channel
from subscriber.flow.limiter import ConcurrencyLimiter
from subscriber.flow.wakeup import WakeEvent
from subscriber.model import Batch, Delivery, Trigger
from subscriber.observe.metrics import Metrics


class BatchOptions(msgspec.Struct, frozen=True):
    """When a batch is full and when it is due."""

    max_rows: int
    """At the start; `Batcher.set_rows_at_most` may lower it."""
    max_messages: int
    """Bounds a batch of messages without rows, too."""
    linger_seconds: float


class OpenBatch:
    """The batch that is being gathered.

    Rows are counted before they are folded, so a batch never has more than `max_rows` (one large delivery apart).
    """

    def __init__(self, options: BatchOptions) -> None:
        self.options = options
        self.deliveries: list[Delivery] = []
        self.rows = 0
        self.opened_at = 0.0

    @property
    def due_at(self) -> float:
        """When the linger of the first delivery is over, on the loop's clock."""
        return self.opened_at + self.options.linger_seconds

    @property
    def is_full(self) -> bool:
        """Whether no further delivery with a row could join."""
        return len(self.deliveries) >= self.options.max_messages or self.rows >= self.options.max_rows

    def take(self, waiting: deque[Delivery], now: float) -> None:
        """Take deliveries from the front of `waiting` while they fit; the first always does, and starts the linger."""
        deliveries, options = self.deliveries, self.options
        if waiting and not deliveries:
            self.opened_at = now
            self.rows = len(waiting[0].events)
            deliveries.append(waiting.popleft())
        while waiting and len(deliveries) < options.max_messages and self.rows < options.max_rows:
            rows = self.rows + len(waiting[0].events)
            if rows > options.max_rows:
                return
            self.rows = rows
            deliveries.append(waiting.popleft())

    def close(self, trigger: Trigger) -> Batch:
        """The finished batch, folded to one row per object version."""
        return Batch(
            deliveries=tuple(self.deliveries),
            rows=fold(event for delivery in self.deliveries for event in delivery.events),
            opened_at=self.opened_at,
            trigger=trigger,
        )


def trigger_for(
    batch: OpenBatch, *, next_fits: bool, ended: bool, due: bool, limiter_has_capacity: bool
) -> Trigger | None:
    """Why `batch` has to be closed now; None: it may grow.

    Args:
        batch: the batch that is being gathered.
        next_fits: False if the next delivery does not fit.
        ended: the inbox has ended.
        due: the linger is over.
        limiter_has_capacity: a write could start at once.
    """
    if not batch.deliveries:
        return None
    if batch.is_full or not next_fits:
        return "full"
    if ended:
        return "drain"
    return "due" if due and limiter_has_capacity else None


class Batcher:
    """The stage. Its inbox and the limiter wake it; it waits in exactly one place."""

    def __init__(
        self,
        options: BatchOptions,
        inbox: Channel[tuple[Delivery, ...]],
        outbox: Channel[Batch],
        limiter: ConcurrencyLimiter,
        metrics: Metrics,
    ) -> None:
        self._options = options
        self._inbox = inbox
        self._outbox = outbox
        self._limiter = limiter
        self._metrics = metrics
        self._wake = WakeEvent()
        self._waiting: deque[Delivery] = deque()
        self._batch = OpenBatch(options)
        inbox.watch(self._wake.notify)

    @property
    def rows_at_most(self) -> int:
        """The most rows of a batch."""
        return self._options.max_rows

    def set_rows_at_most(self, rows: int) -> None:
        """Change it. Rows that are gathered already stay in one batch, however many."""
        if rows != self._options.max_rows:
            self._options = msgspec.structs.replace(self._options, max_rows=rows)
            self._batch.options = self._options
            self._wake.notify()

    def notify(self) -> None:
        """Wake the stage: the limiter may have capacity now."""
        self._wake.notify()

    async def run(self) -> None:
        """Gather and send batches until the inbox has ended and everything is sent; then close the outbox."""
        clock = asyncio.get_running_loop().time
        while True:
            self._gather(clock())
            due = clock() >= self._batch.due_at
            trigger = trigger_for(
                self._batch,
                next_fits=not self._waiting,
                ended=self._inbox.is_ended,
                due=due,
                limiter_has_capacity=self._limiter.has_capacity,
            )
            if trigger is not None:
                await self._send(trigger)
            elif self._inbox.is_ended:
                break
            else:
                if due and self._batch.deliveries:
                    self._limiter.mark_saturated()
                await self._wake.wait(until=self._batch.due_at if self._batch.deliveries and not due else None)
        self._outbox.close()

    def _gather(self, now: float) -> None:
        # Takes the available deliveries without waiting; stops at the first one that does not fit.
        self._batch.take(self._waiting, now)
        while not self._waiting and not self._batch.is_full and (group := self._inbox.receive_nowait()) is not None:
            self._waiting.extend(group)
            self._batch.take(self._waiting, now)

    async def _send(self, trigger: Trigger) -> None:
        batch = self._batch.close(trigger)
        self._batch = OpenBatch(self._options)
        self._metrics.batches.labels(trigger).inc()
        self._metrics.batch_rows.observe(len(batch.rows))
        await self._outbox.send(batch)
