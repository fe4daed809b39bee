"""Stage 4: write. Receives batches, sends receipts.

One statement stores a batch under a permit of the concurrency limiter. The batch is kept until it is stored, through
deadlocks, restarts and outages, as long as its messages are ours. When a row is the cause of a failure, the batch is
bisected until the poison message stands alone and goes to the quarantine. When a batch keeps failing for another
reason, it is bisected as well, because it is not yet clear whether the database or a row is the cause: a message that
fails alone while other writes succeed is poison; a message that fails while no write succeeds is not. A batch that
waits for the database, or for such evidence, releases its permit, because the writes of other batches may be the
evidence. No receipt says *stored* or *quarantined* before the commit that makes it true.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TypeAlias

import msgspec

from subscriber.errors import StoreError, Treatment
from subscriber.flow.breaker import CircuitBreaker
from subscriber.flow.channel import Channel
from subscriber.flow.limiter import ConcurrencyLimiter, Permit
from subscriber.model import Batch, Delivery, Receipt, Rejection
from subscriber.observe.log import get_logger
from subscriber.observe.metrics import Metrics
from subscriber.pipeline.outcomes import BatchOutcome, Part, halves, held_until, without_expired
from subscriber.pipeline.retrying_store import PipelineStoppingError, RetryingStore
from subscriber.ports import Store

ATTEMPTS_BEFORE_BISECTION = 3
"""Attempts of a part before it is bisected: more failures than one node, one restart or one lack of memory explains."""

SERVER_WIDE_SQLSTATES = ("53100", "53300", "28")
"""Never caused by a row: a full disk, too many connections, a login. A full disk still accepts rows that need no new
space, so their success proves nothing about a row that does."""

RejectedEntry: TypeAlias = tuple[Delivery, Rejection]
"""A message for the quarantine, with the reason."""

_log = get_logger()


def is_server_wide(error: StoreError) -> bool:
    """Whether no message can be the cause, whatever happens to other writes."""
    return error.treatment is Treatment.CREDENTIALS or (error.sqlstate or "").startswith(SERVER_WIDE_SQLSTATES)


class Writer:
    """The stage. Each batch gets a permit and a task of its own, until its receipts are sent."""

    def __init__(
        self,
        inbox: Channel[Batch],
        outbox: Channel[tuple[Receipt, ...]],
        limiter: ConcurrencyLimiter,
        store: Store,
        *,
        breaker: CircuitBreaker,
        metrics: Metrics,
    ) -> None:
        self._inbox = inbox
        self._outbox = outbox
        self._limiter = limiter
        self._breaker = breaker
        self._retrying_store = RetryingStore(store, breaker, metrics)
        self.tally = self._retrying_store.tally

    async def run(self) -> None:
        """Write until the inbox has ended and every batch has its receipts; then close the outbox."""
        async with asyncio.TaskGroup() as writes:
            async for batch in self._inbox:
                await self._limiter.acquire()
                writes.create_task(self._write(batch, Permit(self._limiter)), name="write")
        self._outbox.close()

    async def _write(self, batch: Batch, permit: Permit) -> None:
        stored = False
        try:
            async with self._breaker.holding_batch():
                receipts = await self._receipts_for(batch, permit)
            stored = all(receipt.verdict in {"stored", "quarantined"} for receipt in receipts)
        finally:
            permit.release(cool_down=stored)
        await self._outbox.send(receipts)

    async def _receipts_for(self, batch: Batch, permit: Permit) -> tuple[Receipt, ...]:
        """One receipt for each delivery of `batch`, at the latest when the last of their leases is released."""
        outcome = BatchOutcome(batch.deliveries, self._retrying_store.successes)
        rejected = [(delivery, delivery.rejection) for delivery in batch.deliveries if delivery.rejection]
        try:
            async with asyncio.timeout_at(held_until(batch.deliveries)):
                rejected = await self._quarantine_rejected(rejected, outcome, permit)
                await self._store_parts(Part(batch.deliveries, batch.rows), outcome, permit)
                while rejected:  # the circuit is open, so each attempt waits for the probe
                    rejected = await self._quarantine_rejected(rejected, outcome, permit)
        except TimeoutError:
            _log.error("batch.given_up", messages=outcome.undecided_count)
        except PipelineStoppingError:
            _log.warning("batch.released", messages=outcome.undecided_count)
        return outcome.receipts(asyncio.get_running_loop().time())

    async def _wait_for_database(self, permit: Permit) -> None:
        """Wait until a write may be tried, without the permit.

        It waits once: if the database is unavailable again when the permit is reacquired, the write itself waits, with
        the permit, and is then certain to be tried. Otherwise the first batch that fails each time could keep the
        others from ever trying.

        Raises:
            PipelineStoppingError: no write will be tried.
        """
        if self._retrying_store.must_wait:
            permit.release(cool_down=False)
            await self._retrying_store.wait_for_database()
            await permit.reacquire()

    async def _quarantine_rejected(
        self, rejected: list[RejectedEntry], outcome: BatchOutcome, permit: Permit
    ) -> list[RejectedEntry]:
        """Quarantine the bodies that decode rejected; return those to try again after the rows of the batch."""
        # A message that also holds an unstorable row may have been quarantined for that meanwhile.
        left = [entry for entry in rejected if not outcome.is_quarantined(entry[0])]
        if not left:
            return []
        await self._wait_for_database(permit)
        try:
            await self._quarantine(left, outcome)
        except StoreError as error:
            left = [entry for entry in left if not outcome.is_quarantined(entry[0])]
            return [] if self._give_up_quarantine([entry[0] for entry in left], error, outcome) else left
        return []

    def _give_up_quarantine(self, bad: Sequence[Delivery], error: StoreError, outcome: BatchOutcome) -> bool:
        """Record as failed the messages that the quarantine fails to store repeatedly while the index stores rows.

        Otherwise a fault of the quarantine table alone would hold up healthy messages, and the pipeline with them.
        """
        if not outcome.record_quarantine_failure(bad, self._retrying_store.successes):
            return False
        self._retrying_store.record_success()
        for delivery in bad:
            outcome.record_failed(delivery, error.word)
        _log.error("quarantine.failed", message_id=bad[0].message.message_id, messages=len(bad), detail=str(error))
        return True

    async def _store_parts(self, whole: Part, outcome: BatchOutcome, permit: Permit) -> None:
        """Store `whole`; bisect the parts that fail."""
        parts = [whole]
        while parts:
            await self._wait_for_database(permit)
            part = without_expired(parts.pop(), asyncio.get_running_loop().time())
            try:
                await self._retrying_store.store(part.rows)
            except StoreError as error:
                parts = await self._parts_after(part, error, parts, outcome)
            else:
                outcome.record_stored(part.deliveries)

    async def _parts_after(
        self, part: Part, error: StoreError, others: list[Part], outcome: BatchOutcome
    ) -> list[Part]:
        """The parts to try after `part` failed; the last one is next."""
        is_alone = len(part.deliveries) == 1
        # A conflict was already retried often enough for many messages; retrying one alone delays no other message.
        may_retry = not error.treatment.concerns_row and (is_alone or error.treatment is not Treatment.RETRY)
        if may_retry and part.failures + 1 < ATTEMPTS_BEFORE_BISECTION:
            return [*others, msgspec.structs.replace(part, failures=part.failures + 1)]
        if not is_alone:
            return [*others, *halves(part.deliveries)]
        if await self._record_if_poison(part.deliveries[0], error, outcome):
            return others
        # The others first: the success of one of them proves that the database works.
        return [msgspec.structs.replace(part, failures=0), *others]

    async def _record_if_poison(self, delivery: Delivery, error: StoreError, outcome: BatchOutcome) -> bool:
        """Record the outcome of a message that failed alone, if it is poison and quarantine or queue keeps it."""
        if error.treatment is not Treatment.BISECT:
            if is_server_wide(error) or not outcome.record_failed_alone(delivery, self._retrying_store.successes):
                return False
            self._retrying_store.record_success()
            _log.error("message.poisoned", message_id=delivery.message.message_id, reason=error.word, detail=str(error))
        if not error.treatment.concerns_row:
            outcome.record_failed(delivery, error.word)
            return True
        try:
            await self._store_singly(delivery, error, outcome)
        except StoreError as other:
            return self._give_up_quarantine([delivery], other, outcome)
        return True

    async def _store_singly(self, delivery: Delivery, error: StoreError, outcome: BatchOutcome) -> None:
        """Quarantine a poison message whole, and store its good events all the same.

        Each event has a statement of its own, because an older good event of the same version may follow a bad one. If
        the quarantine cannot store the body either, the message stays in the queue, which alone still has all of it.
        """
        if not outcome.is_quarantined(delivery):
            rejection = delivery.rejection or Rejection(reason=error.word, detail=error.detail)
            await self._quarantine([(delivery, rejection)], outcome)
        for event in delivery.events if len(delivery.events) > 1 else ():
            try:
                await self._retrying_store.store((event,))
            except StoreError as other:
                if not other.treatment.concerns_row:
                    raise
        if outcome.is_quarantined(delivery):
            outcome.record_stored([delivery])

    async def _quarantine(self, rejected: Sequence[RejectedEntry], outcome: BatchOutcome) -> None:
        """Quarantine the bodies; a body that cannot be stored itself stays in the queue alone."""
        try:
            await self._retrying_store.quarantine(rejected)
        except StoreError as error:
            if error.treatment is not Treatment.BISECT:
                raise
            if len(rejected) == 1:
                delivery = rejected[0][0]
                outcome.record_failed(delivery, error.word)
                _log.error("quarantine.failed", message_id=delivery.message.message_id, messages=1, detail=str(error))
                return
            for entry in rejected:
                await self._quarantine([entry], outcome)
            return
        for delivery, rejection in rejected:
            outcome.record_quarantined(delivery, rejection)
