"""What the line knows of the database being away, and who may try it.

While an outage lasts no message is received. One probe knocks with growing pauses; when it is answered, the
writers that still hold something try again, and only a write that succeeds ends the outage (a database that
answers a ping may still refuse every write). Where no writer holds anything, the answer alone ends it, but the intake
is on trial until a write has succeeded: else a database that refuses writes for hours would have every message of the
queue received in vain, again and again, on its way to the dead-letter queue. The same trial is made where the database
answers and goes on refusing what is held: that may be one bad message, and only others can tell.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Protocol

from subscriber.errors import StoreError
from subscriber.observe.log import get_logger

PROBE_BACKOFF_FIRST_SECONDS = 0.25
PROBE_BACKOFF_MAX_SECONDS = 2.0
"""Pauses double from the first to this. The longest, and a knock that nobody hears, are what a database that is back
waits for us; a knock is one connection and one statement."""

HALF_OPEN_FAILURES_BEFORE_PROBATION = 3
"""So often a write is refused after an answered knock, and the intake is tried out."""

_log = get_logger()


class Intake(Protocol):
    """What stops taking messages while the database is away."""

    def pause(self) -> None:
        """Take no more."""
        ...

    def resume(self) -> None:
        """Take again."""
        ...

    def begin_probation(self) -> None:
        """Take again, but little until `resume`."""
        ...


def probe_backoff(attempt: int, chance: float) -> float:
    """Seconds before knock number `attempt` (from 0), for a `chance` in 0 … 1: doubling, at least half of it."""
    longest = min(PROBE_BACKOFF_MAX_SECONDS, PROBE_BACKOFF_FIRST_SECONDS * (1 << min(attempt, 20)))
    return longest * (0.5 + chance / 2)


class CircuitBreaker:
    """One for the line.

    Args:
        intake: paused while an outage lasts.
        report: told 1 or 0 as the database comes and goes, for the metric.
    """

    def __init__(self, intake: Intake, report: Callable[[float], None]) -> None:
        self._intake = intake
        self._report = report
        self._holding = 0
        self._began_at: float | None = None
        self._is_proven = True
        """Whether a write has succeeded since the last failure."""
        self._is_stopping = False
        self._probes = 0
        self._refusals = 0
        """How often a write that an answered knock let through was refused, in this outage."""
        self._may_try = asyncio.Event()
        self._may_try.set()
        self._lost = asyncio.Event()
        report(1)

    @property
    def is_ongoing(self) -> bool:
        """Whether the database is away."""
        return self._began_at is not None

    @asynccontextmanager
    async def holding(self) -> AsyncIterator[None]:
        """For the time of a write: somebody is there who can end an outage by succeeding."""
        self._holding += 1
        try:
            yield
        finally:
            self._holding -= 1
            if self.is_ongoing and not self._holding:
                self._lost.set()  # nobody is left whose success could end it: the probe must knock again

    @property
    def must_wait(self) -> bool:
        """Whether a write would have to wait for the probe now."""
        return not self._may_try.is_set()

    async def may_try(self) -> bool:
        """Wait until there is no outage, or the probe was answered; False: the line ends before that."""
        await self._may_try.wait()
        return not (self._is_stopping and self.is_ongoing)

    def stop(self) -> None:
        """The line is running dry: nobody waits for the database any more, now or in an outage yet to come."""
        self._is_stopping = True
        self._may_try.set()

    def begin(self, error: StoreError) -> None:
        """A write met a failure that is not its own: stop the intake, send the probe."""
        self._is_proven = False
        if self._began_at is None:
            self._began_at = asyncio.get_running_loop().time()
            self._report(0)
            self._refusals = 0
            self._intake.pause()
            _log.error("database.unavailable", treatment=error.treatment.value, reason=error.word, detail=str(error))
        elif self._may_try.is_set():
            self._refusals += 1
            if self._refusals == HALF_OPEN_FAILURES_BEFORE_PROBATION:
                self._intake.begin_probation()
        if not self._is_stopping:
            self._may_try.clear()
        self._lost.set()

    def end(self) -> None:
        """A write succeeded: the database is there."""
        if self._is_proven:
            return
        self._is_proven = True
        self._probes = 0
        self._close()
        self._intake.resume()

    def _close(self) -> None:
        if self._began_at is None:
            return
        seconds = asyncio.get_running_loop().time() - self._began_at
        self._began_at = None
        self._lost.clear()
        self._may_try.set()
        self._report(1)
        _log.info("database.available", away_seconds=round(seconds, 3))

    async def run(self, ping: Callable[[], Awaitable[None]]) -> None:
        """Knock by `ping` while an outage lasts, for ever; ends by cancellation only."""
        while True:
            await self._lost.wait()
            await asyncio.sleep(probe_backoff(self._probes, random.random()))  # noqa: S311 – jitter, not a secret
            self._probes += 1
            if self._lost.is_set() and await self._answers(ping):
                self._lost.clear()
                self._may_try.set()
                if self.is_ongoing and not self._holding:
                    self._close()
                    self._intake.begin_probation()

    async def _answers(self, ping: Callable[[], Awaitable[None]]) -> bool:
        try:
            await ping()
        except StoreError as error:
            if self._probes & (self._probes - 1) == 0:  # the 1st, 2nd, 4th, 8th …: a long outage is few lines
                _log.warning("database.still_unavailable", reason=error.word, detail=str(error), probes=self._probes)
            return False
        return True
