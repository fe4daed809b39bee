"""What the line knows of the database being away, and who may try it.

While an outage lasts no message is received. One probe knocks with growing pauses; when it is answered, the
writers that still hold something try again, and only a write that succeeds ends the outage (a database that
answers a ping may still refuse every write). Where no writer holds anything, the answer alone ends it.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Protocol

from subscriber.errors import StoreError
from subscriber.observe.log import get_logger

KNOCK_FIRST_SECONDS = 0.25
KNOCK_AT_MOST_SECONDS = 10.0
"""Pauses double from the first to this: an Aurora failover takes about half a minute (RDS API reference)."""

_log = get_logger()


class Intake(Protocol):
    """What stops taking messages while the database is away."""

    def pause(self) -> None:
        """Take no more."""
        ...

    def resume(self) -> None:
        """Take again."""
        ...


def pause_before_knock(attempt: int, chance: float) -> float:
    """Seconds before knock number `attempt` (from 0), for a `chance` in 0 … 1: doubling, at least half of it."""
    longest = min(KNOCK_AT_MOST_SECONDS, KNOCK_FIRST_SECONDS * (1 << min(attempt, 20)))
    return longest * (0.5 + chance / 2)


class Outage:
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
        self._knocks = 0
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

    async def may_try(self) -> None:
        """Wait until there is no outage, or the probe was answered."""
        await self._may_try.wait()

    def begin(self, error: StoreError) -> None:
        """A write met a failure that is not its own: stop the intake, send the probe."""
        if self._began_at is None:
            self._began_at = asyncio.get_running_loop().time()
            self._report(0)
            self._intake.pause()
            _log.error("database.lost", treatment=error.treatment.value, reason=error.word, detail=str(error))
        self._may_try.clear()
        self._lost.set()

    def end(self) -> None:
        """A write succeeded: the database is there."""
        if self._began_at is None:
            return
        seconds = asyncio.get_running_loop().time() - self._began_at
        self._began_at = None
        self._knocks = 0
        self._lost.clear()
        self._may_try.set()
        self._report(1)
        self._intake.resume()
        _log.info("database.returned", away_seconds=round(seconds, 3))

    async def run(self, ping: Callable[[], Awaitable[None]]) -> None:
        """Knock by `ping` while an outage lasts, for ever; ends by cancellation only."""
        while True:
            await self._lost.wait()
            await asyncio.sleep(pause_before_knock(self._knocks, random.random()))  # noqa: S311 – jitter, not a secret
            self._knocks += 1
            if self._lost.is_set() and await self._answers(ping):
                self._lost.clear()
                self._may_try.set()
                if not self._holding:
                    self.end()

    async def _answers(self, ping: Callable[[], Awaitable[None]]) -> bool:
        try:
            await ping()
        except StoreError as error:
            _log.warning("database.still_away", reason=error.word, detail=str(error), knocks=self._knocks)
            return False
        return True
