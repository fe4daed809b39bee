"""Stage 4: write. Receives batches, sends receipts.

One statement stores a batch under a permit of the concurrency limiter. If it fails, a plan (bisection.py) says what is
tried next. This stage carries the plan out and waits where the plan has to wait: for the circuit breaker, for evidence
about a message that failed alone, or for a moment. A batch that waits holds no permit, and receipts are sent as soon as
they are true. What is not stored when the hold time of its messages ends is released. No receipt says *stored* or
*quarantined* before the commit that makes it true.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import msgspec

from subscriber.flow.breaker import CircuitBreaker
from subscriber.flow.channel import Channel
from subscriber.flow.limiter import ConcurrencyLimiter, Permit
from subscriber.model import Batch, Receipt
from subscriber.observe.log import get_logger
from subscriber.observe.metrics import Metrics
from subscriber.pipeline.attempts import Attempts, PipelineStoppingError
from subscriber.pipeline.bisection import BatchPlan
from subscriber.pipeline.comparison import Comparison
from subscriber.pipeline.failing_rows import FailingRows
from subscriber.pipeline.progress import held_until
from subscriber.pipeline.steps import Evidence, FindLockedRows, Note, Wait
from subscriber.ports import Store

_log = get_logger()


class WriteOptions(msgspec.Struct, frozen=True):
    """How long a statement may take."""

    statement_seconds: float
    """The write timeout."""


class Writer:
    """The stage. Takes batches as the limiter lets it; each is a task of its own until its receipts are sent.

    Args:
        options: of the stage.
        inbox: batches.
        outbox: receipts.
        limiter: how many statements at once.
        store: the database adapter.
        breaker: the database's health.
        metrics: the catalog.
    """

    def __init__(
        self,
        options: WriteOptions,
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
        self._options = options
        self._attempts = Attempts(store, breaker, metrics)
        self._failing_rows = FailingRows()
        self.comparison = Comparison(self._attempts, breaker, limiter)
        self.tally = self._attempts.tally
        self.bucket_tallies = self._attempts.bucket_tallies

    async def run(self) -> None:
        """Write until the inbox has ended and every batch has its receipts; then close the outbox."""
        async with asyncio.TaskGroup() as writes:
            async for batch in self._inbox:
                await self._limiter.acquire()
                writes.create_task(self._write(batch, Permit(self._limiter)), name="write")
        self._outbox.close()

    async def _write(self, batch: Batch, permit: Permit) -> None:
        receipts: tuple[Receipt, ...] = ()
        try:
            async with self._breaker.holding_batch():
                receipts = await self._settle(batch, permit)
        finally:
            permit.release(cool_down=any(one.verdict in {"stored", "quarantined"} for one in receipts))
        await self._send(receipts)

    async def _send(self, receipts: tuple[Receipt, ...]) -> None:
        if receipts:
            await self._outbox.send(receipts)

    async def _settle(self, batch: Batch, permit: Permit) -> tuple[Receipt, ...]:
        """Receipts that were not sent yet, when nothing is left to be tried."""
        plan = BatchPlan(batch.deliveries, batch.rows, self._options.statement_seconds, failing_rows=self._failing_rows)
        try:
            async with asyncio.timeout_at(held_until(batch.deliveries)):
                await self._carry_out(plan, permit)
        except TimeoutError:
            _log.error("batch.given_up", messages=plan.unfinished)
        except PipelineStoppingError:
            _log.warning("batch.released", messages=plan.unfinished)
        return plan.remaining_receipts(asyncio.get_running_loop().time())

    async def _carry_out(self, plan: BatchPlan, permit: Permit) -> None:
        clock = asyncio.get_running_loop().time
        while (step := plan.next(clock(), known := self._attempts.evidence())) is not None:
            if isinstance(step, Wait):
                permit.release(cool_down=False)
                await self._send(plan.take_receipts())
                await self._wait(step, plan, known)
                continue
            if isinstance(step, FindLockedRows):  # at once: its answer may close the circuit that the failure opened
                await permit.hold()
                locked = await self._attempts.locked_rows(step)
                plan.record_locked(step, locked, clock(), self._attempts.evidence())
                continue
            await self._wait_for_database(permit)
            await permit.hold()
            if (step := plan.reconsidered(step)) is None:
                continue
            error = await self._attempts.carry_out(step)
            plan.record(step, error, clock(), self._attempts.evidence())
            if error is not None:
                _log_notes(plan.take_notes())
                await self._send(plan.take_receipts())

    async def _wait(self, step: Wait, plan: BatchPlan, known: Evidence) -> None:
        """Wait for more evidence than is `known`, or until a part is due.

        Raises:
            PipelineStoppingError: there will be no more evidence.
        """
        if step.is_for_evidence and self._breaker.is_stopping:
            raise PipelineStoppingError
        with self.comparison.of(plan.unexplained):
            await self._attempts.new_evidence(known, step.until)

    async def _wait_for_database(self, permit: Permit) -> None:
        """Until a write may be tried; meanwhile the permit is others'.

        Once only: should the breaker be open again when there is a permit, the write is tried all the same. Else
        whichever batch fails first each time would keep the others from ever trying.

        Raises:
            PipelineStoppingError: none will be.
        """
        if self._breaker.must_wait:
            permit.release(cool_down=False)
        if not await self._breaker.wait_until_allowed():
            raise PipelineStoppingError


def _log_notes(notes: Iterable[Note]) -> None:
    for note in notes:
        message_id = note.deliveries[0].message.message_id
        if note.is_poison:
            _log.error("message.poisoned", message_id=message_id, reason=note.error.word, detail=str(note.error))
        else:
            messages = len(note.deliveries)
            _log.error("quarantine.failed", message_id=message_id, messages=messages, detail=str(note.error))
