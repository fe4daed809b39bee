"""The write room's way to the store: calls are counted, and repeated where only chance was against them.

What else goes wrong is a StoreError for the room to judge: whether database or row is to blame is not known here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol, TypeVar

from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from subscriber.errors import StoreError, Treatment
from subscriber.model import Delivery, Message, ObjectEvent, Rejection
from subscriber.observe.metrics import Metrics
from subscriber.signals import WriteTally

ATTEMPTS_AT_MOST = 20
RETRY_WAIT_FIRST_SECONDS = 0.05
RETRY_WAIT_AT_MOST_SECONDS = 5.0
"""Full jitter up to doubling bounds: 20 attempts wait 67 s at most in all."""

T = TypeVar("T")


class Store(Protocol):
    """Where rows and bodies become durable. Both calls raise StoreError, or have committed."""

    async def store(self, rows: Sequence[ObjectEvent]) -> int:
        """Commit `rows` (one per version, key order) and say how many were news."""
        ...

    async def quarantine(self, entries: Sequence[tuple[Message, Rejection]]) -> None:
        """Commit whole bodies with their reasons."""
        ...


class Outages(Protocol):
    """What the writer tells and asks of outages."""

    def holding(self) -> AbstractAsyncContextManager[None]:
        """For the time of a batch."""
        ...

    @property
    def must_wait(self) -> bool:
        """Whether the database is away, and nobody may try it yet."""
        ...

    async def may_try(self) -> bool:
        """Wait while the database is away; False: the line ends before it is back."""
        ...

    def begin(self, error: StoreError) -> None:
        """The database is away."""
        ...

    def end(self) -> None:
        """A write succeeded."""
        ...


class PipelineStoppingError(Exception):
    """The line is running dry and the database is away: what is not stored yet will not be stored here."""


def is_transient_conflict(error: BaseException) -> bool:
    """Whether the very same write may succeed at once: a deadlock, a serialization race, a lock."""
    return isinstance(error, StoreError) and error.treatment is Treatment.RETRY


class RetryingStore:
    """One for the room.

    Args:
        store: the database's edge.
        outages: who is told how the database is, and says when to wait.
        metrics: the catalog.
    """

    def __init__(self, store: Store, breaker: Outages, metrics: Metrics) -> None:
        self._store = store
        self._breaker = breaker
        self._metrics = metrics
        self.tally = WriteTally()
        """For the regulator."""
        self.successes = 0
        """How many writes of rows have succeeded: two readings that differ prove that the index took something."""
        self._index_refuses = False
        """Whether the last write of rows was refused and no row was at fault: then what the quarantine takes proves
        nothing, for it is another table."""

    @property
    def must_wait(self) -> bool:
        """Whether a write may not be tried now."""
        return self._breaker.must_wait

    async def wait_for_database(self) -> None:
        """Wait until a write may be tried.

        Raises:
            PipelineStoppingError: none will be.
        """
        if not await self._breaker.may_try():
            raise PipelineStoppingError

    def record_success(self) -> None:
        """What looked like an outage was the fault of a message."""
        self._index_refuses = False
        self._breaker.end()

    async def store(self, rows: Sequence[ObjectEvent]) -> None:
        """Commit `rows`; nothing to do for none.

        Raises:
            StoreError: it did not work. Unless the failure is a row's, an outage has begun.
            PipelineStoppingError: it will not be tried any more.
        """
        if not rows:
            return
        try:
            applied = await self._with_retries(lambda: self._timed_store(rows))
        except StoreError as error:
            self._index_refuses = self._index_refuses or error.treatment is not Treatment.BISECT
            raise
        self._metrics.rows_applied.inc(applied)
        self._metrics.rows_stale.inc(len(rows) - applied)

    async def quarantine(self, refused: Sequence[tuple[Delivery, Rejection]]) -> None:
        """Commit whole bodies; the same is raised."""
        entries = [(delivery.message, rejection) for delivery, rejection in refused]
        await self._with_retries(lambda: self._store.quarantine(entries))
        for _, rejection in refused:
            self._metrics.quarantined_messages.labels(rejection.reason).inc()

    async def _timed_store(self, rows: Sequence[ObjectEvent]) -> int:
        clock = asyncio.get_running_loop().time
        started = clock()
        applied = await self._store.store(rows)
        self.successes += 1
        self._index_refuses = False
        seconds = clock() - started
        self._metrics.write_seconds.observe(seconds)
        self.tally.rows += len(rows)
        self.tally.statements += 1
        self.tally.seconds += seconds
        return applied

    async def _with_retries(self, call: Callable[[], Awaitable[T]]) -> T:
        retrying = AsyncRetrying(
            stop=stop_after_attempt(ATTEMPTS_AT_MOST),
            wait=wait_random_exponential(multiplier=RETRY_WAIT_FIRST_SECONDS, max=RETRY_WAIT_AT_MOST_SECONDS),
            retry=retry_if_exception(is_transient_conflict),
            reraise=True,
        )
        try:
            return await retrying(self._try, call)
        except StoreError as error:
            if is_transient_conflict(error):  # so much of it is none
                self._breaker.begin(error)
            raise

    async def _try(self, call: Callable[[], Awaitable[T]]) -> T:
        await self.wait_for_database()
        try:
            result = await call()
        except StoreError as error:
            self._record_failure(error)
            raise
        if not self._index_refuses:
            self._breaker.end()
        return result

    def _record_failure(self, error: StoreError) -> None:
        self._metrics.write_failures.labels(error.treatment.value, error.word).inc()
        if error.treatment is Treatment.BISECT:
            return
        self.tally.failures += 1
        if not is_transient_conflict(error):
            self._breaker.begin(error)
