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
from subscriber.model import Delivery, Message, ObjectEvent, Refusal
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

    async def quarantine(self, entries: Sequence[tuple[Message, Refusal]]) -> None:
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


class LineEndsError(Exception):
    """The line is running dry and the database is away: what is not stored yet will not be stored here."""


def is_bad_luck(error: BaseException) -> bool:
    """Whether the very same write may succeed at once: a deadlock, a serialization race, a lock."""
    return isinstance(error, StoreError) and error.treatment is Treatment.RETRY


class Persistence:
    """One for the room.

    Args:
        store: the database's edge.
        outages: who is told how the database is, and says when to wait.
        metrics: the catalogue.
    """

    def __init__(self, store: Store, outages: Outages, metrics: Metrics) -> None:
        self._store = store
        self._outages = outages
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
        return self._outages.must_wait

    async def wait_for_database(self) -> None:
        """Wait until a write may be tried.

        Raises:
            LineEndsError: none will be.
        """
        if not await self._outages.may_try():
            raise LineEndsError

    def acquit_database(self) -> None:
        """What looked like an outage was the fault of a message."""
        self._index_refuses = False
        self._outages.end()

    async def store(self, rows: Sequence[ObjectEvent]) -> None:
        """Commit `rows`; nothing to do for none.

        Raises:
            StoreError: it did not work. Unless the failure is a row's, an outage has begun.
            LineEndsError: it will not be tried any more.
        """
        if not rows:
            return
        try:
            applied = await self._persist(lambda: self._timed_store(rows))
        except StoreError as error:
            self._index_refuses = self._index_refuses or error.treatment is not Treatment.HALVE
            raise
        self._metrics.rows_applied.inc(applied)
        self._metrics.rows_stale.inc(len(rows) - applied)

    async def quarantine(self, refused: Sequence[tuple[Delivery, Refusal]]) -> None:
        """Commit whole bodies; the same is raised."""
        entries = [(delivery.message, refusal) for delivery, refusal in refused]
        await self._persist(lambda: self._store.quarantine(entries))
        for _, refusal in refused:
            self._metrics.refused_messages.labels(refusal.reason).inc()

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

    async def _persist(self, call: Callable[[], Awaitable[T]]) -> T:
        retrying = AsyncRetrying(
            stop=stop_after_attempt(ATTEMPTS_AT_MOST),
            wait=wait_random_exponential(multiplier=RETRY_WAIT_FIRST_SECONDS, max=RETRY_WAIT_AT_MOST_SECONDS),
            retry=retry_if_exception(is_bad_luck),
            reraise=True,
        )
        try:
            return await retrying(self._try, call)
        except StoreError as error:
            if is_bad_luck(error):  # so much of it is none
                self._outages.begin(error)
            raise

    async def _try(self, call: Callable[[], Awaitable[T]]) -> T:
        await self.wait_for_database()
        try:
            result = await call()
        except StoreError as error:
            self._took_note_of(error)
            raise
        if not self._index_refuses:
            self._outages.end()
        return result

    def _took_note_of(self, error: StoreError) -> None:
        self._metrics.write_failures.labels(error.treatment.value, error.word).inc()
        if error.treatment is Treatment.HALVE:
            return
        self.tally.failures += 1
        if not is_bad_luck(error):
            self._outages.begin(error)
