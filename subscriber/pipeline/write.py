"""Room four: batches in, receipts out.

Each batch is stored by one statement under the gate. A failure is settled here, in one of three ways: what
chance or an outage broke is written again until a deadline; what a row broke is halved by deliveries until
the bad message stands alone and goes to quarantine; the rest becomes the verdict *failed*, and the queue will
bring it again. No receipt says *stored* or *quarantined* before the commit that makes it true.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol, TypeVar

import msgspec
from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from subscriber.control.reading import WriteTally
from subscriber.errors import StoreError, Treatment
from subscriber.flow.channel import Channel
from subscriber.flow.gate import Gate
from subscriber.model import Batch, Delivery, Message, ObjectEvent, Receipt, Refusal
from subscriber.observe.log import get_logger
from subscriber.observe.metrics import Metrics
from subscriber.pipeline.settlement import Settlement, deadline_of, halves

ATTEMPTS_AT_MOST = 20
RETRY_WAIT_FIRST_SECONDS = 0.05
RETRY_WAIT_AT_MOST_SECONDS = 5.0
"""Full jitter up to doubling bounds: 20 attempts wait 67 s at most in all; the batch's deadline may end them sooner."""

OUTAGES = frozenset({Treatment.RECONNECT, Treatment.CREDENTIALS, Treatment.BACK_OFF, Treatment.STOP})
"""Failures that are the database's, not the batch's: the intake stops until a write succeeds."""

_log = get_logger()

T = TypeVar("T")


class Store(Protocol):
    """Where rows and bodies become durable. Both calls raise StoreError, or have committed."""

    async def store(self, rows: Sequence[ObjectEvent]) -> int:
        """Commit `rows` (one per version, key order) and say how many were news."""
        ...

    async def quarantine(self, entries: Sequence[tuple[Message, Refusal]]) -> None:
        """Commit whole bodies with their reasons."""
        ...


class Outages(Protocol):
    """What the writer tells and asks of outages."""

    def holding(self) -> AbstractAsyncContextManager[None]:
        """For the time of a batch."""
        ...

    async def may_try(self) -> None:
        """Wait while the database is away."""
        ...

    def begin(self, error: StoreError) -> None:
        """The database is away."""
        ...

    def end(self) -> None:
        """A write succeeded."""
        ...


def is_worth_repeating(error: BaseException) -> bool:
    """Whether the same write may succeed later: everything but a row that cannot be stored."""
    return isinstance(error, StoreError) and error.treatment is not Treatment.HALVE


class WriteOptions(msgspec.Struct, frozen=True):
    """How long a batch is tried."""

    deadline_seconds: float
    """From the first statement of a batch to the verdict *failed*; half the visibility at most."""


class Writer:
    """The room. Takes batches as the gate lets it; each is a task of its own until its receipts are sent."""

    def __init__(
        self,
        options: WriteOptions,
        inbox: Channel[Batch],
        outbox: Channel[tuple[Receipt, ...]],
        gate: Gate,
        store: Store,
        *,
        outages: Outages,
        metrics: Metrics,
    ) -> None:
        self._options = options
        self._inbox = inbox
        self._outbox = outbox
        self._gate = gate
        self._store = store
        self._outages = outages
        self._metrics = metrics
        self.tally = WriteTally()
        """For the regulator."""

    async def run(self) -> None:
        """Write until the inbox has ended and every batch has its receipts; then close the outbox."""
        async with asyncio.TaskGroup() as writes:
            async for batch in self._inbox:
                await self._gate.enter()
                writes.create_task(self._write(batch), name="write")
        self._outbox.close()

    async def _write(self, batch: Batch) -> None:
        clock = asyncio.get_running_loop().time
        started = clock()
        stored = False
        try:
            async with self._outages.holding():
                receipts = await self._settle(batch, deadline_of(batch, started, self._options.deadline_seconds))
            stored = all(receipt.verdict != "failed" for receipt in receipts)
        finally:
            self._gate.leave(clock() - started, rest=stored)
        await self._outbox.send(receipts)

    async def _settle(self, batch: Batch, deadline: float) -> tuple[Receipt, ...]:
        """One receipt for each delivery of `batch`, `deadline` (loop's clock) at the latest."""
        settlement = Settlement(batch.deliveries)
        try:
            async with asyncio.timeout_at(deadline):
                refused = [(delivery, delivery.refusal) for delivery in batch.deliveries if delivery.refusal]
                if refused:
                    await self._quarantine(refused, settlement)
                await self._store_halving(batch.deliveries, batch.rows, settlement)
        except TimeoutError:
            _log.error("batch.given_up", messages=settlement.open, after_seconds=self._options.deadline_seconds)
        except StoreError as error:
            _log.error("batch.failed", messages=settlement.open, reason=error.word, detail=str(error))
            settlement.reason = error.word
        return settlement.receipts()

    async def _store_halving(
        self, deliveries: Sequence[Delivery], rows: Sequence[ObjectEvent], settlement: Settlement
    ) -> None:
        """Store `rows`, the fold of `deliveries`; where a row is to blame, its halves, smaller and smaller."""
        parts = [(deliveries, rows)]
        while parts:
            part, part_rows = parts.pop()
            try:
                await self._store_rows(part_rows)
            except StoreError as error:
                if error.treatment is not Treatment.HALVE:
                    raise
                if len(part) > 1:
                    parts.extend(halves(part))
                else:
                    await self._store_singly(part[0], error, settlement)
            else:
                settlement.stored(part)

    async def _store_singly(self, delivery: Delivery, error: StoreError, settlement: Settlement) -> None:
        """The bad message has been found: quarantine it whole, and store what is good in it all the same.

        Event by event, for behind a bad one there may be a good older one of the same version. Where even the
        quarantine refuses the body it is not settled: the queue alone still has all of it.
        """
        if not settlement.is_quarantined(delivery):
            refusal = delivery.refusal or Refusal(reason=error.word, detail=error.detail)
            await self._quarantine([(delivery, refusal)], settlement)
        for event in delivery.events if len(delivery.events) > 1 else ():
            try:
                await self._store_rows((event,))
            except StoreError as other:
                if other.treatment is not Treatment.HALVE:
                    raise
        if settlement.is_quarantined(delivery):
            settlement.stored([delivery])

    async def _store_rows(self, rows: Sequence[ObjectEvent]) -> None:
        if not rows:
            return
        applied = await self._persist(lambda: self._timed_store(rows))
        self._metrics.rows_applied.inc(applied)
        self._metrics.rows_stale.inc(len(rows) - applied)

    async def _timed_store(self, rows: Sequence[ObjectEvent]) -> int:
        clock = asyncio.get_running_loop().time
        started = clock()
        applied = await self._store.store(rows)
        seconds = clock() - started
        self._metrics.write_seconds.observe(seconds)
        self.tally.rows += len(rows)
        self.tally.statements += 1
        self.tally.seconds += seconds
        return applied

    async def _quarantine(self, refused: Sequence[tuple[Delivery, Refusal]], settlement: Settlement) -> None:
        """Commit the bodies; should one of them be unstorable itself, it alone stays in the queue."""
        entries = [(delivery.message, refusal) for delivery, refusal in refused]
        try:
            await self._persist(lambda: self._store.quarantine(entries))
        except StoreError as error:
            if error.treatment is not Treatment.HALVE:
                raise
            if len(refused) == 1:
                _log.error("quarantine.failed", message_id=entries[0][0].message_id, detail=str(error))
                return
            for one in refused:
                await self._quarantine([one], settlement)
            return
        for delivery, refusal in refused:
            self._metrics.refused_messages.labels(refusal.reason).inc()
            settlement.quarantined(delivery, refusal)

    async def _persist(self, call: Callable[[], Awaitable[T]]) -> T:
        """Do `call` until it succeeds, is refused for a row's sake, or the attempts are used up."""
        retrying = AsyncRetrying(
            stop=stop_after_attempt(ATTEMPTS_AT_MOST),
            wait=wait_random_exponential(multiplier=RETRY_WAIT_FIRST_SECONDS, max=RETRY_WAIT_AT_MOST_SECONDS),
            retry=retry_if_exception(is_worth_repeating),
            reraise=True,
        )
        return await retrying(self._try, call)

    async def _try(self, call: Callable[[], Awaitable[T]]) -> T:
        await self._outages.may_try()
        try:
            result = await call()
        except StoreError as error:
            self._took_note_of(error)
            raise
        self._outages.end()
        return result

    def _took_note_of(self, error: StoreError) -> None:
        self._metrics.write_failures.labels(error.treatment.value, error.word).inc()
        if error.treatment is not Treatment.HALVE:
            self.tally.failures += 1
        if error.treatment in OUTAGES:
            self._outages.begin(error)
