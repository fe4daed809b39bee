"""The write stage's calls to the store: counted, and retried after transient conflicts.

Any other failure is a StoreError that the stage handles; this module does not decide whether the database or a row is
the cause.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt

from subscriber.errors import StoreError, Treatment
from subscriber.flow.backoff import Backoff
from subscriber.flow.breaker import CircuitBreaker
from subscriber.model import Delivery, ObjectEvent, Rejection
from subscriber.observe.metrics import Metrics
from subscriber.ports import Store
from subscriber.signals import WriteTally

CONFLICT_ATTEMPTS_AT_MOST = 20
RETRY_BACKOFF = Backoff(first_seconds=0.05, max_seconds=5.0, jitter=1)
"""After a transient conflict: 20 attempts wait 67 s at most in all."""

T = TypeVar("T")


class PipelineStoppingError(Exception):
    """The pipeline drains and the database is unavailable: rows that are not stored yet will not be stored here."""


def is_transient_conflict(error: BaseException) -> bool:
    """Whether the same write may succeed at once: a deadlock, a serialization failure, a lock timeout."""
    return isinstance(error, StoreError) and error.treatment is Treatment.RETRY


class RetryingStore:
    """One per write stage.

    Args:
        store: where rows and bodies are committed.
        breaker: records failures and successes, and says when to wait.
        metrics: the metrics of the process.
    """

    def __init__(self, store: Store, breaker: CircuitBreaker, metrics: Metrics) -> None:
        self._store = store
        self._breaker = breaker
        self._metrics = metrics
        self.tally = WriteTally()
        """For the regulator."""
        self.successes = 0
        """Writes of rows that have succeeded: a difference of two values proves that the index stored rows."""
        self._index_fails = False
        """Whether the last write of rows failed and no row was the cause: then a success of the quarantine, which is
        another table, proves nothing."""

    @property
    def must_wait(self) -> bool:
        """Whether a write has to wait for the database now."""
        return self._breaker.must_wait

    async def wait_for_database(self) -> None:
        """Wait until a write may be tried.

        Raises:
            PipelineStoppingError: no write will be tried.
        """
        if not await self._breaker.wait_until_allowed():
            raise PipelineStoppingError

    def record_success(self) -> None:
        """Close the circuit: a message, not the database, was the cause of the failures."""
        self._index_fails = False
        self._breaker.record_success()

    async def store(self, rows: Sequence[ObjectEvent]) -> None:
        """Commit `rows`; no call for none.

        Raises:
            StoreError: it failed. Unless a row is the cause, the circuit is open.
            PipelineStoppingError: it will not be tried any more.
        """
        if not rows:
            return
        try:
            applied = await self._with_retries(lambda: self._timed_store(rows))
        except StoreError as error:
            self._index_fails = self._index_fails or error.treatment is not Treatment.BISECT
            raise
        self._metrics.rows_applied.inc(applied)
        self._metrics.rows_stale.inc(len(rows) - applied)

    async def quarantine(self, rejected: Sequence[tuple[Delivery, Rejection]]) -> None:
        """Commit whole bodies; raises as `store` does."""
        entries = [(delivery.message, rejection) for delivery, rejection in rejected]
        await self._with_retries(lambda: self._store.quarantine(entries))
        for _, rejection in rejected:
            self._metrics.quarantined_messages.labels(rejection.reason).inc()

    async def _timed_store(self, rows: Sequence[ObjectEvent]) -> int:
        clock = asyncio.get_running_loop().time
        started = clock()
        applied = await self._store.store(rows)
        self.successes += 1
        self._index_fails = False
        seconds = clock() - started
        self._metrics.write_seconds.observe(seconds)
        self.tally.rows += len(rows)
        self.tally.statements += 1
        self.tally.seconds += seconds
        return applied

    async def _with_retries(self, call: Callable[[], Awaitable[T]]) -> T:
        retrying = AsyncRetrying(
            stop=stop_after_attempt(CONFLICT_ATTEMPTS_AT_MOST),
            wait=lambda state: RETRY_BACKOFF.delay_seconds(state.attempt_number),
            retry=retry_if_exception(is_transient_conflict),
            reraise=True,
        )
        try:
            return await retrying(self._try, call)
        except StoreError as error:
            if is_transient_conflict(error):  # a conflict after so many attempts is not transient
                self._breaker.record_failure(error)
            raise

    async def _try(self, call: Callable[[], Awaitable[T]]) -> T:
        await self.wait_for_database()
        try:
            result = await call()
        except StoreError as error:
            self._record_failure(error)
            raise
        if not self._index_fails:
            self._breaker.record_success()
        return result

    def _record_failure(self, error: StoreError) -> None:
        self._metrics.write_failures.labels(error.treatment.value, error.word).inc()
        if error.treatment is Treatment.BISECT:
            return
        self.tally.failures += 1
        if not is_transient_conflict(error):
            self._breaker.record_failure(error)
