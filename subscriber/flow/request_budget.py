"""How many requests to a service may run at once and start in a second."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import msgspec

SLOWEST_PART = 1 / 64
"""The rate never falls below this part of its maximum: six halvings."""
REGAIN_SECONDS = 60.0
"""In so many seconds without a slowdown the rate regains its maximum from nothing, in even steps."""
HALVINGS_APART_SECONDS = 1.0
"""Requests that ran at once are throttled together, which is one reason to slow down and not many."""


class RequestLimits(msgspec.Struct, frozen=True):
    """The bounds of a budget."""

    at_once: int
    per_second: float


class RequestRate:
    """When the next request may start. Pure: it takes the time and returns a delay.

    Starts are spaced by 1 / rate (a token bucket of one token, as the generic cell rate algorithm schedules it; ITU-T
    I.371, annex A). A throttled request halves the rate; it rises again by an even amount in every second, so that many
    clients of one service share it ("additive increase, multiplicative decrease").

    Args:
        per_second: the maximum rate.
    """

    def __init__(self, per_second: float) -> None:
        self._most = per_second
        self._rate = per_second
        self._changed_at = 0.0
        self._halved_at = float("-inf")
        self._next_at = float("-inf")

    def per_second(self, now: float) -> float:
        """The rate at the time `now`, in seconds of any steady clock."""
        self._rate = min(self._most, self._rate + self._most * max(0.0, now - self._changed_at) / REGAIN_SECONDS)
        self._changed_at = now
        return self._rate

    def reserve(self, now: float) -> float:
        """Take the next start; return the seconds until then."""
        start = max(self._next_at, now)
        self._next_at = start + 1 / self.per_second(now)
        return start - now

    def slow_down(self, now: float) -> None:
        """Halve the rate, once for requests that were throttled together."""
        if now - self._halved_at < HALVINGS_APART_SECONDS:
            return
        self._halved_at = now
        self._rate = max(self.per_second(now) / 2, self._most * SLOWEST_PART)


class RequestBudget:
    """Waits until a request may start, and counts requests: each has its price."""

    def __init__(self, limits: RequestLimits, clock: Callable[[], float] | None = None) -> None:
        self._slots = asyncio.Semaphore(limits.at_once)
        self._rate = RequestRate(limits.per_second)
        self._clock = clock or asyncio.get_running_loop().time
        self.started: Counter[str] = Counter()
        """Requests by their operation; failed ones count too."""

    @asynccontextmanager
    async def request(self, operation: str) -> AsyncIterator[None]:
        """A block in which one request runs. A cancelled wait costs the others its place in time, and no slot."""
        async with self._slots:
            delay_seconds = self._rate.reserve(self._clock())
            if delay_seconds > 0:
                await asyncio.sleep(delay_seconds)
            self.started[operation] += 1
            yield

    def slow_down(self) -> None:
        """The service has throttled a request."""
        self._rate.slow_down(self._clock())
