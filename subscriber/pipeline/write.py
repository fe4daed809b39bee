"""Room four: batches in, receipts out.

Each batch is stored by one statement under the limiter, and kept until it is: through deadlocks, restarts and outages,
as long as its messages are ours. What a row broke is halved by deliveries until the bad message stands alone and goes
to quarantine. What is refused again and again for another reason is halved as well, since nobody can tell yet whether
the database or one of the rows is at fault: a message that is refused alone while others are stored is to blame,
and one that is refused while nothing is stored is not. A batch that waits for the database, or for such evidence,
releases its permit: the writes of others may be the evidence. No receipt says *stored* or *quarantined* before the
commit that makes it true.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TypeAlias

import msgspec

from subscriber.errors import StoreError, Treatment
from subscriber.flow.channel import Channel
from subscriber.flow.limiter import ConcurrencyLimiter, Permit
from subscriber.model import Batch, Delivery, Receipt, Rejection
from subscriber.observe.log import get_logger
from subscriber.observe.metrics import Metrics
from subscriber.pipeline.attempts import Outages, PipelineStoppingError, RetryingStore, Store
from subscriber.pipeline.outcomes import BatchOutcome, Part, halves, held_until, still_ours

ATTEMPTS_AT_MOST = 3
"""Of a part as it is: what more than one node, one restart or one lack of memory refuses is looked into by halves."""

ROW_FAILURES = frozenset({Treatment.BISECT, Treatment.MAYBE_ROW})
"""What a row is refused with; SUSPECT only where other rows are taken meanwhile."""

SERVER_WIDE_SQLSTATES = ("53100", "53300", "28")
"""What never speaks of a row: a full disk, too many connections, a login. A full disk goes on taking rows that need no
room, which proves nothing about one that does."""

Refused: TypeAlias = tuple[Delivery, Rejection]
"""What the quarantine is to take, and why."""

_log = get_logger()


def is_of_the_server(error: StoreError) -> bool:
    """Whether no message can be to blame, whatever becomes of others."""
    return error.treatment is Treatment.CREDENTIALS or (error.sqlstate or "").startswith(SERVER_WIDE_SQLSTATES)


class Writer:
    """The room. Takes batches as the limiter lets it; each is a task of its own until its receipts are sent."""

    def __init__(
        self,
        inbox: Channel[Batch],
        outbox: Channel[tuple[Receipt, ...]],
        limiter: ConcurrencyLimiter,
        store: Store,
        *,
        breaker: Outages,
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
                await self._limiter.enter()
                writes.create_task(self._write(batch, Permit(self._limiter)), name="write")
        self._outbox.close()

    async def _write(self, batch: Batch, permit: Permit) -> None:
        stored = False
        try:
            async with self._breaker.holding():
                receipts = await self._settle(batch, permit)
            stored = all(receipt.verdict in {"stored", "quarantined"} for receipt in receipts)
        finally:
            permit.leave(cool_down=stored)
        await self._outbox.send(receipts)

    async def _settle(self, batch: Batch, permit: Permit) -> tuple[Receipt, ...]:
        """One receipt for each delivery of `batch`, at the latest when the last of them is handed back."""
        settlement = BatchOutcome(batch.deliveries, self._retrying_store.successes)
        refused = [(delivery, delivery.rejection) for delivery in batch.deliveries if delivery.rejection]
        try:
            async with asyncio.timeout_at(held_until(batch.deliveries)):
                refused = await self._quarantine_refused(refused, settlement, permit)
                await self._store_parts(Part(batch.deliveries, batch.rows), settlement, permit)
                while refused:  # an outage has begun, so each attempt waits for the probe
                    refused = await self._quarantine_refused(refused, settlement, permit)
        except TimeoutError:
            _log.error("batch.given_up", messages=settlement.open)
        except PipelineStoppingError:
            _log.warning("batch.released", messages=settlement.open)
        return settlement.receipts(asyncio.get_running_loop().time())

    async def _wait_for_database(self, permit: Permit) -> None:
        """Until a write may be tried; meanwhile the permit is others'.

        Once only: should the database be away again when there is a permit, the write itself waits, and is then sure
        to be tried. Else whoever fails first each time would keep the others from ever trying.

        Raises:
            PipelineStoppingError: none will be.
        """
        if self._retrying_store.must_wait:
            permit.leave(cool_down=False)
            await self._retrying_store.wait_for_database()
            await permit.take_again()

    async def _quarantine_refused(
        self, refused: list[Refused], settlement: BatchOutcome, permit: Permit
    ) -> list[Refused]:
        """Commit the bodies of what decode refused; those that are to be tried once more, after the batch's rows."""
        # One that holds a bad row, too, may have been quarantined for that meanwhile.
        left = [one for one in refused if not settlement.is_quarantined(one[0])]
        if not left:
            return []
        await self._wait_for_database(permit)
        try:
            await self._quarantine(left, settlement)
        except StoreError as error:
            left = [one for one in left if not settlement.is_quarantined(one[0])]
            return [] if self._quarantine_keeps_failing([one[0] for one in left], error, settlement) else left
        return []

    def _quarantine_keeps_failing(self, bad: Sequence[Delivery], error: StoreError, settlement: BatchOutcome) -> bool:
        """Settle bad messages which the quarantine refuses again, if all the while the index takes rows.

        Else whatever is wrong with the quarantine alone would hold up the healthy ones, and the line with them.
        """
        if not settlement.quarantine_keeps_failing(bad, self._retrying_store.successes):
            return False
        self._retrying_store.record_success()
        for delivery in bad:
            settlement.failed(delivery, error.word)
        _log.error("quarantine.failed", message_id=bad[0].message.message_id, messages=len(bad), detail=str(error))
        return True

    async def _store_parts(self, whole: Part, settlement: BatchOutcome, permit: Permit) -> None:
        """Store `whole`; where it is refused, its halves, smaller and smaller."""
        parts = [whole]
        while parts:
            await self._wait_for_database(permit)
            part = still_ours(parts.pop(), asyncio.get_running_loop().time())
            try:
                await self._retrying_store.store(part.rows)
            except StoreError as error:
                parts = await self._parts_after(part, error, parts, settlement)
            else:
                settlement.stored(part.deliveries)

    async def _parts_after(
        self, part: Part, error: StoreError, others: list[Part], settlement: BatchOutcome
    ) -> list[Part]:
        """What is to be tried now that `part` was refused, the next one last."""
        is_alone = len(part.deliveries) == 1
        # Of many, so much bad luck was tried often enough already; of one alone, patience costs nobody else anything.
        is_patient = error.treatment not in ROW_FAILURES and (is_alone or error.treatment is not Treatment.RETRY)
        if is_patient and part.rejections + 1 < ATTEMPTS_AT_MOST:
            return [*others, msgspec.structs.replace(part, rejections=part.rejections + 1)]
        if not is_alone:
            return [*others, *halves(part.deliveries)]
        if await self._reject_if_poison(part.deliveries[0], error, settlement):
            return others
        # All others first: one of them may show that the database is well.
        return [msgspec.structs.replace(part, rejections=0), *others]

    async def _reject_if_poison(self, delivery: Delivery, error: StoreError, settlement: BatchOutcome) -> bool:
        """Settle a message that was refused alone, if it is to blame for it and the database lets us."""
        if error.treatment is not Treatment.BISECT:
            if is_of_the_server(error) or not settlement.is_poison(delivery, self._retrying_store.successes):
                return False
            self._retrying_store.record_success()
            _log.error("message.poisoned", message_id=delivery.message.message_id, reason=error.word, detail=str(error))
        if error.treatment not in ROW_FAILURES:
            settlement.failed(delivery, error.word)
            return True
        try:
            await self._store_singly(delivery, error, settlement)
        except StoreError as other:
            return self._quarantine_keeps_failing([delivery], other, settlement)
        return True

    async def _store_singly(self, delivery: Delivery, error: StoreError, settlement: BatchOutcome) -> None:
        """The bad message has been found: quarantine it whole, and store what is good in it all the same.

        Event by event, for behind a bad one there may be a good older one of the same version. Where even the
        quarantine refuses the body it is not settled: the queue alone still has all of it.
        """
        if not settlement.is_quarantined(delivery):
            rejection = delivery.rejection or Rejection(reason=error.word, detail=error.detail)
            await self._quarantine([(delivery, rejection)], settlement)
        for event in delivery.events if len(delivery.events) > 1 else ():
            try:
                await self._retrying_store.store((event,))
            except StoreError as other:
                if other.treatment not in ROW_FAILURES:
                    raise
        if settlement.is_quarantined(delivery):
            settlement.stored([delivery])

    async def _quarantine(self, refused: Sequence[Refused], settlement: BatchOutcome) -> None:
        """Commit the bodies; should one of them be unstorable itself, it alone stays in the queue."""
        try:
            await self._retrying_store.quarantine(refused)
        except StoreError as error:
            if error.treatment is not Treatment.BISECT:
                raise
            if len(refused) == 1:
                settlement.failed(refused[0][0], error.word)
                _log.error(
                    "quarantine.failed", message_id=refused[0][0].message.message_id, messages=1, detail=str(error)
                )
                return
            for one in refused:
                await self._quarantine([one], settlement)
            return
        for delivery, rejection in refused:
            settlement.quarantined(delivery, rejection)
