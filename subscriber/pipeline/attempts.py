"""The write stage's way to the store: carries out a plan's steps, counts them, and keeps the evidence for all plans."""

from __future__ import annotations

import asyncio
import math

from subscriber.buckets import BucketTallies
from subscriber.errors import StoreError, Treatment
from subscriber.flow.breaker import CircuitBreaker
from subscriber.flow.wakeup import Waiters
from subscriber.model import ObjectEvent
from subscriber.observe.metrics import Metrics
from subscriber.pipeline.failing_rows import Version
from subscriber.pipeline.judgment import takes_time
from subscriber.pipeline.steps import Evidence, FindLockedRows, QuarantineBodies, StoreRows
from subscriber.ports import Store
from subscriber.signals import WriteTally


class PipelineStoppingError(Exception):
    """The pipeline drains, and what is not stored yet cannot be stored at once: it is released."""


class Attempts:
    """One for the write stage.

    Args:
        store: the database adapter.
        breaker: learns what fails and what succeeds, and says when to wait.
        metrics: the catalog.
    """

    def __init__(self, store: Store, breaker: CircuitBreaker, metrics: Metrics) -> None:
        self._store = store
        self._breaker = breaker
        self._metrics = metrics
        self._writes = 0
        self._comparisons = 0
        self._index_fails = False
        """Whether the last write of rows failed, and not on a constraint of our own: then a success of the quarantine,
        which is another table, proves nothing."""
        self._waiters = Waiters()
        self.tally = WriteTally()
        """For the regulator."""
        self.bucket_tallies = BucketTallies()
        """For the table of buckets."""
        breaker.on_change = self._waiters.wake_all

    def evidence(self) -> Evidence:
        """What has been seen to work up to now."""
        return Evidence(self._writes, self._comparisons, self._breaker.probes_answered)

    async def new_evidence(self, known: Evidence, until: float) -> None:
        """Wait for more than `known` to be seen to work, the pipeline to stop, or the loop's clock to read `until`."""
        if self.evidence() != known:
            return
        try:
            async with asyncio.timeout_at(None if until == math.inf else until):
                await self._waiters.wait()
        except TimeoutError:
            return

    async def carry_out(self, step: StoreRows | QuarantineBodies) -> StoreError | None:
        """Do what `step` says; the error if it is not committed. Without rows there is nothing to do."""
        try:
            if isinstance(step, QuarantineBodies):
                await self._quarantine(step)
            elif step.rows:
                await self._write(step)
        except StoreError as error:
            self._note_failure(error, step)
            return error
        return None

    async def locked_rows(self, step: FindLockedRows) -> frozenset[Version]:
        """The answer to the question of `step`. Where it names rows, the failure before it was not the database's."""
        found = await locked_rows(self._store, step)
        if found:
            self._breaker.record_success()
        return found

    async def compare(self, row: ObjectEvent) -> None:
        """Write a row of our own and roll it back: success is evidence, failure the database's."""
        try:
            await self._store.rehearse(row)
        except StoreError as error:
            self._breaker.record_failure(error)
            return
        self._comparisons += 1
        self._breaker.record_success()
        self._waiters.wake_all()

    async def _write(self, step: StoreRows) -> None:
        clock = asyncio.get_running_loop().time
        started = clock()
        applied = await self._store.store(step.rows, step.limit_seconds)
        ended = clock()
        seconds = ended - started
        self.bucket_tallies.add(step.rows, ended)
        self._metrics.write_seconds.observe(seconds)
        self._metrics.rows_applied.inc(applied)
        self._metrics.rows_stale.inc(len(step.rows) - applied)
        self.tally.rows += len(step.rows)
        self.tally.statements += 1
        self.tally.seconds += seconds
        if step.is_evidence:
            received_at = step.deliveries[-1].message.lease.taken_at
            self.tally.newest_received_at = max(self.tally.newest_received_at, received_at)
            self._index_fails = False
            self._writes += 1
            self._breaker.record_success()
            if self._waiters:
                self._waiters.wake_all()

    async def _quarantine(self, step: QuarantineBodies) -> None:
        await self._store.quarantine([(delivery.message, rejection) for delivery, rejection in step.entries])
        for _, rejection in step.entries:
            self._metrics.quarantined_messages.labels(rejection.reason).inc()
        if not self._index_fails:
            self._breaker.record_success()

    def _note_failure(self, error: StoreError, step: StoreRows | QuarantineBodies) -> None:
        self._metrics.write_failures.labels(error.treatment.value, error.word).inc()
        if error.names_own_constraint:
            return
        if isinstance(step, StoreRows):
            self._index_fails = True
        if error.treatment is not Treatment.BISECT:
            self.tally.failures += 1
        if not is_part_of_search(step, error):
            self._breaker.record_failure(error)


async def locked_rows(store: Store, step: FindLockedRows) -> frozenset[Version]:
    """The rows of the part that other sessions keep locked; none where the question fails: then the part is halved.

    Its failure is not recorded: the statements that follow tell what the database does.
    """
    try:
        return await store.locked_rows(step.part.rows, step.part.limit_seconds)
    except StoreError:
        return frozenset()


def is_part_of_search(step: StoreRows | QuarantineBodies, error: StoreError) -> bool:
    """Whether a failure was expected: some part of a batch has the row that is locked, and little time to wait for it.

    It says nothing new about the database. If it counted, the circuit would open while a row is looked for.
    """
    is_part = isinstance(step, StoreRows) and step.limit_seconds < math.inf and len(step.deliveries) > 1
    return is_part and takes_time(error)
