"""Room four: batches in, receipts out.

Each batch is stored by one statement under the gate, and kept until it is: through deadlocks, restarts and outages,
as long as its messages are ours. What a row broke is halved by deliveries until the bad message stands alone and goes
to quarantine. What is refused again and again for another reason is halved as well, since nobody can tell yet whether
the database or one of the rows is at fault: a message that is refused alone while others are stored is to blame,
and one that is refused while nothing is stored is not. Who waits for the database, or for such proof, leaves its place
at the gate to others: they may be the proof. No receipt says *stored* or *quarantined* before the commit that makes it
true.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TypeAlias

import msgspec

from subscriber.errors import StoreError, Treatment
from subscriber.flow.channel import Channel
from subscriber.flow.limiter import Gate, Place
from subscriber.model import Batch, Delivery, Receipt, Refusal
from subscriber.observe.log import get_logger
from subscriber.observe.metrics import Metrics
from subscriber.pipeline.attempts import LineEndsError, Outages, Persistence, Store
from subscriber.pipeline.outcomes import Part, Settlement, halves, held_until, still_ours

ATTEMPTS_AT_MOST = 3
"""Of a part as it is: what more than one node, one restart or one lack of memory refuses is looked into by halves."""

ROW_FAILURES = frozenset({Treatment.HALVE, Treatment.SUSPECT})
"""What a row is refused with; SUSPECT only where other rows are taken meanwhile."""

SERVERS_OWN = ("53100", "53300", "28")
"""What never speaks of a row: a full disk, too many connections, a login. A full disk goes on taking rows that need no
room, which proves nothing about one that does."""

Refused: TypeAlias = tuple[Delivery, Refusal]
"""What the quarantine is to take, and why."""

_log = get_logger()


def is_of_the_server(error: StoreError) -> bool:
    """Whether no message can be to blame, whatever becomes of others."""
    return error.treatment is Treatment.CREDENTIALS or (error.sqlstate or "").startswith(SERVERS_OWN)


class Writer:
    """The room. Takes batches as the gate lets it; each is a task of its own until its receipts are sent."""

    def __init__(
        self,
        inbox: Channel[Batch],
        outbox: Channel[tuple[Receipt, ...]],
        gate: Gate,
        store: Store,
        *,
        outages: Outages,
        metrics: Metrics,
    ) -> None:
        self._inbox = inbox
        self._outbox = outbox
        self._gate = gate
        self._outages = outages
        self._persistence = Persistence(store, outages, metrics)
        self.tally = self._persistence.tally

    async def run(self) -> None:
        """Write until the inbox has ended and every batch has its receipts; then close the outbox."""
        async with asyncio.TaskGroup() as writes:
            async for batch in self._inbox:
                await self._gate.enter()
                writes.create_task(self._write(batch, Place(self._gate)), name="write")
        self._outbox.close()

    async def _write(self, batch: Batch, place: Place) -> None:
        stored = False
        try:
            async with self._outages.holding():
                receipts = await self._settle(batch, place)
            stored = all(receipt.verdict in {"stored", "quarantined"} for receipt in receipts)
        finally:
            place.leave(rest=stored)
        await self._outbox.send(receipts)

    async def _settle(self, batch: Batch, place: Place) -> tuple[Receipt, ...]:
        """One receipt for each delivery of `batch`, at the latest when the last of them is handed back."""
        settlement = Settlement(batch.deliveries, self._persistence.successes)
        refused = [(delivery, delivery.refusal) for delivery in batch.deliveries if delivery.refusal]
        try:
            async with asyncio.timeout_at(held_until(batch.deliveries)):
                refused = await self._quarantine_refused(refused, settlement, place)
                await self._store_parts(Part(batch.deliveries, batch.rows), settlement, place)
                while refused:  # an outage has begun, so each attempt waits for the probe
                    refused = await self._quarantine_refused(refused, settlement, place)
        except TimeoutError:
            _log.error("batch.given_up", messages=settlement.open)
        except LineEndsError:
            _log.warning("batch.returned", messages=settlement.open)
        return settlement.receipts(asyncio.get_running_loop().time())

    async def _wait_for_database(self, place: Place) -> None:
        """Until a write may be tried; meanwhile the place is others'.

        Once only: should the database be away again when there is a place, the write itself waits, and is then sure
        to be tried. Else whoever fails first each time would keep the others from ever trying.

        Raises:
            LineEndsError: none will be.
        """
        if self._persistence.must_wait:
            place.leave(rest=False)
            await self._persistence.wait_for_database()
            await place.take_again()

    async def _quarantine_refused(self, refused: list[Refused], settlement: Settlement, place: Place) -> list[Refused]:
        """Commit the bodies of what decode refused; those that are to be tried once more, after the batch's rows."""
        # One that holds a bad row, too, may have been quarantined for that meanwhile.
        left = [one for one in refused if not settlement.is_quarantined(one[0])]
        if not left:
            return []
        await self._wait_for_database(place)
        try:
            await self._quarantine(left, settlement)
        except StoreError as error:
            left = [one for one in left if not settlement.is_quarantined(one[0])]
            return [] if self._are_unkeepable([one[0] for one in left], error, settlement) else left
        return []

    def _are_unkeepable(self, bad: Sequence[Delivery], error: StoreError, settlement: Settlement) -> bool:
        """Settle bad messages which the quarantine refuses again, if all the while the index takes rows.

        Else whatever is wrong with the quarantine alone would hold up the healthy ones, and the line with them.
        """
        if not settlement.are_unkeepable(bad, self._persistence.successes):
            return False
        self._persistence.acquit_database()
        for delivery in bad:
            settlement.failed(delivery, error.word)
        _log.error("quarantine.failed", message_id=bad[0].message.message_id, messages=len(bad), detail=str(error))
        return True

    async def _store_parts(self, whole: Part, settlement: Settlement, place: Place) -> None:
        """Store `whole`; where it is refused, its halves, smaller and smaller."""
        parts = [whole]
        while parts:
            await self._wait_for_database(place)
            part = still_ours(parts.pop(), asyncio.get_running_loop().time())
            try:
                await self._persistence.store(part.rows)
            except StoreError as error:
                parts = await self._parts_after(part, error, parts, settlement)
            else:
                settlement.stored(part.deliveries)

    async def _parts_after(
        self, part: Part, error: StoreError, others: list[Part], settlement: Settlement
    ) -> list[Part]:
        """What is to be tried now that `part` was refused, the next one last."""
        is_alone = len(part.deliveries) == 1
        # Of many, so much bad luck was tried often enough already; of one alone, patience costs nobody else anything.
        is_patient = error.treatment not in ROW_FAILURES and (is_alone or error.treatment is not Treatment.RETRY)
        if is_patient and part.refusals + 1 < ATTEMPTS_AT_MOST:
            return [*others, msgspec.structs.replace(part, refusals=part.refusals + 1)]
        if not is_alone:
            return [*others, *halves(part.deliveries)]
        if await self._was_blamed(part.deliveries[0], error, settlement):
            return others
        # All others first: one of them may show that the database is well.
        return [msgspec.structs.replace(part, refusals=0), *others]

    async def _was_blamed(self, delivery: Delivery, error: StoreError, settlement: Settlement) -> bool:
        """Settle a message that was refused alone, if it is to blame for it and the database lets us."""
        if error.treatment is not Treatment.HALVE:
            if is_of_the_server(error) or not settlement.is_to_blame(delivery, self._persistence.successes):
                return False
            self._persistence.acquit_database()
            _log.error("message.refused", message_id=delivery.message.message_id, reason=error.word, detail=str(error))
        if error.treatment not in ROW_FAILURES:
            settlement.failed(delivery, error.word)
            return True
        try:
            await self._store_singly(delivery, error, settlement)
        except StoreError as other:
            return self._are_unkeepable([delivery], other, settlement)
        return True

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
                await self._persistence.store((event,))
            except StoreError as other:
                if other.treatment not in ROW_FAILURES:
                    raise
        if settlement.is_quarantined(delivery):
            settlement.stored([delivery])

    async def _quarantine(self, refused: Sequence[Refused], settlement: Settlement) -> None:
        """Commit the bodies; should one of them be unstorable itself, it alone stays in the queue."""
        try:
            await self._persistence.quarantine(refused)
        except StoreError as error:
            if error.treatment is not Treatment.HALVE:
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
        for delivery, refusal in refused:
            settlement.quarantined(delivery, refusal)
