"""How fast a job may work beside live traffic: its share of the concurrency limit, and the permits inside the daemon.

A page of a job takes a permit as a write does, but never more than the job's share of the limit on average, and behind
every write that is due. While rows are late the share shrinks, to a part that still moves: a job that stands still
would never end on a system that is always a little late. In a pause or an outage it is 0.

What a job costs the database looks to the governor like the work of others. A job raises no limit: only writes that
wait are evidence for that.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from typing import Final, Protocol

import msgspec

from subscriber.flow.limiter import ConcurrencyLimiter

SHARE: Final = 0.5
"""Of the concurrency limit, while rows are on time: live traffic keeps as much as the job has."""
LEAST_PART: Final = 0.05
"""What is left of the share however late rows are. A page of a thousand keys takes the database some 5 ms, so at a
limit of 1 a job still compares about 5,000 keys a second."""
PATIENCE_SECONDS: Final = 2.0
"""How long a page gives way to writes that wait. With pages of 5 ms writes lose 0.3 % of one permit by the turns."""
LOOK_SECONDS: Final = 1.0
"""Between two looks at the lag and the limit, which the regulator sets as often."""


class Use(msgspec.Struct):
    """How a permit was used.

    A statement's answer may lie in the socket while this process reads pages of the listing. That time is none of the
    database's: counted as such, a busy process would look like a busy database, and slow itself down.
    """

    seconds: float | None = None
    """That the database worked, where it told; else the time for which the permit was held counts."""

    def worked_seconds(self, held_seconds: float) -> float:
        """The time that counts."""
        return held_seconds if self.seconds is None else min(self.seconds, held_seconds)


class Pace(Protocol):
    """Decides when the job may use the database."""

    def permit(self) -> AbstractAsyncContextManager[Use]:
        """A block in which one page is read from the index, or rows of one are written; it may tell how it used it."""
        ...


class Unlimited:
    """A pace without bound."""

    def permit(self) -> AbstractAsyncContextManager[Use]:
        """No wait."""
        return nullcontext(Use())


class PaceOptions(msgspec.Struct, frozen=True):
    """How a job's share follows the lag."""

    lag_target_seconds: float
    """Up to this lag the job has its whole share."""
    lag_max_seconds: float
    """From this lag on it has LEAST_PART of it."""
    share: float = SHARE
    """0 … 1."""


class Conditions(msgspec.Struct, frozen=True):
    """What live traffic shows at the moment."""

    limit: float
    """Concurrent writes on average, above zero."""
    lag_seconds: float
    """How late rows are."""
    is_stopped: bool = False
    """Whether an operator has paused the writes, or the database is unavailable."""


def share_of_limit(lag_seconds: float, lag_target_seconds: float, lag_max_seconds: float, share: float) -> float:
    """The part of the concurrency limit that a job may use while rows are so late, 0 … 1.

    It falls in a straight line from the share at the target to LEAST_PART of it at the maximum, as the governor's
    ceiling rises between the same two lags. A lag that is not a number counts as the maximum.
    """
    if lag_seconds <= lag_target_seconds:
        return share
    span = lag_max_seconds - lag_target_seconds
    if span <= 0 or not lag_seconds < lag_max_seconds:
        return share * LEAST_PART
    urgency = (lag_seconds - lag_target_seconds) / span
    return share * (1 - urgency * (1 - LEAST_PART))


def concurrency_of_job(options: PaceOptions, now: Conditions) -> float:
    """How many pages a job may have in the database at once on average; 0: none until that changes."""
    if now.is_stopped:
        return 0.0
    share = share_of_limit(now.lag_seconds, options.lag_target_seconds, options.lag_max_seconds, options.share)
    return now.limit * share


class LivePace:
    """The permits of jobs inside the daemon; all its jobs share one of these.

    Args:
        options: of the share.
        limiter: of the live writes.
        conditions: what live traffic shows now.
    """

    def __init__(self, options: PaceOptions, limiter: ConcurrencyLimiter, conditions: Callable[[], Conditions]) -> None:
        self._options = options
        self._limiter = limiter
        self._conditions = conditions
        self._share = ConcurrencyLimiter(options.share * limiter.limit)

    @asynccontextmanager
    async def permit(self) -> AsyncIterator[Use]:
        """Hold a permit for a page's reads and writes in the database; cancelled, none is held."""
        clock = asyncio.get_running_loop().time
        await self._turn_within_share()
        try:
            await self._limiter.acquire_behind(PATIENCE_SECONDS)
        except BaseException:
            self._share.release(0.0)
            raise
        began_at, use = clock(), Use()
        try:
            yield use
        finally:
            worked_seconds = use.worked_seconds(clock() - began_at)
            self._limiter.release(worked_seconds)
            self._share.release(worked_seconds)

    async def _turn_within_share(self) -> None:
        """Wait until the share allows a page; it is looked at again and again, because it follows the lag."""
        while not await self._try_turn():
            pass

    async def _try_turn(self) -> bool:
        """Wait for the share as it is now, for LOOK_SECONDS at most; whether a page may begin."""
        concurrency = concurrency_of_job(self._options, self._conditions())
        if concurrency <= 0:
            await asyncio.sleep(LOOK_SECONDS)
            return False
        self._share.set_limit(concurrency)
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                await self._share.acquire()
        except TimeoutError:
            return False
        return True
