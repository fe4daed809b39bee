"""The pace of a command that works beside the fleet in a process of its own: with a governor of its own.

It reads the same sensor as the daemon and asks the same governor, but always for the CPU target: a job never gets the
ceiling that rises with the lag. What the governor calls a statement is here a page, with its reads and writes, and
without a sensor it goes by the times of the pages. The limit is at most the job's share of the greatest limit of a
daemon. As the fleet's lag grows, by the counts of the queues, the job uses less of its limit.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from subscriber.control.backlog import Backlog
from subscriber.control.governor.decide import GovernorOptions, GovernorState, decide
from subscriber.control.load_monitor import LoadMonitor
from subscriber.control.reading import Reading, reading_between
from subscriber.errors import StoreError
from subscriber.flow.limiter import ConcurrencyLimiter
from subscriber.reconcile.pace import LOOK_SECONDS, PaceOptions, Use, share_of_limit
from subscriber.reconcile.queue_trend import QueueTrend, trend_after
from subscriber.signals import LimiterUsage, WriteTally


class OwnPace:
    """The permits of one process; `run` must run beside its work.

    Args:
        options: of the share.
        governor: the daemon's options.
        backlog: the counts of the fleet's queues.
        load: the database's load.
    """

    def __init__(self, options: PaceOptions, governor: GovernorOptions, backlog: Backlog, load: LoadMonitor) -> None:
        self._options = options
        self._governor = with_share(governor, options.share)
        self._backlog = backlog
        self._load = load
        self._state = GovernorState.at_start(self._governor)
        self._limiter = ConcurrencyLimiter(self._state.limit)
        self._tally = WriteTally()
        self._trend = QueueTrend(0.0)

    @property
    def limit(self) -> float:
        """Pages in the database at once, on average."""
        return self._limiter.limit

    @asynccontextmanager
    async def permit(self) -> AsyncIterator[Use]:
        """Hold a permit for a page's reads and writes in the database; cancelled, none is held."""
        clock = asyncio.get_running_loop().time
        await self._limiter.acquire()
        began_at, use = clock(), Use()
        try:
            yield use
        except StoreError:
            self._tally.failures += 1
            raise
        else:
            self._tally.rows += 1
            self._tally.statements += 1
            self._tally.seconds += use.worked_seconds(clock() - began_at)
        finally:
            self._limiter.release(use.worked_seconds(clock() - began_at))

    async def run(self) -> None:
        """Read, decide and set, once a second; ends by cancellation only."""
        async with asyncio.TaskGroup() as side:
            side.create_task(self._backlog.run(), name="backlog")
            side.create_task(self._load.run(), name="load")
            await self._regulate()

    async def _regulate(self) -> None:
        clock = asyncio.get_running_loop().time
        self._trend = QueueTrend(clock())
        before = _Sample(clock(), copy.copy(self._tally), self._limiter.usage())
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            now = _Sample(clock(), copy.copy(self._tally), self._limiter.usage())
            self._decide(before, now)
            before = now

    def _decide(self, before: _Sample, now: _Sample) -> None:
        if self._backlog.queues:
            self._trend = trend_after(self._trend, self._backlog.visible_messages(now.taken_at), now.taken_at)
        part = part_of_limit(self._options, self._trend.lag_seconds if self._backlog.queues else 0.0)
        self._state, decision = decide(self._governor, self._state, self._reading(before, now))
        self._limiter.set_limit(decision.limit * part)

    def _reading(self, before: _Sample, now: _Sample) -> Reading:
        elapsed_seconds = max(now.taken_at - before.taken_at, 1e-9)
        is_saturated = now.usage.saturated_seconds > before.usage.saturated_seconds
        return msgspec.structs.replace(
            reading_between(before.tally, now.tally, now.taken_at, elapsed_seconds),
            concurrency_used=(now.usage.permit_seconds - before.usage.permit_seconds) / elapsed_seconds,
            # Pages that wait because the job uses less than its limit are no evidence that the limit is too small.
            limit_reached=is_saturated and self._limiter.limit >= self._state.limit,
            load=self._load.newest,
            load_age_seconds=self._load.age_seconds,
        )


class _Sample(msgspec.Struct, frozen=True):
    """The running totals at one moment."""

    taken_at: float
    tally: WriteTally
    usage: LimiterUsage


def with_share(governor: GovernorOptions, share: float) -> GovernorOptions:
    """The daemon's options with a limit of at most the share of its greatest limit."""
    at_most = governor.limit_at_most * share
    return msgspec.structs.replace(
        governor, limit_at_most=at_most, limit_at_least=min(governor.limit_at_least, at_most)
    )


def part_of_limit(options: PaceOptions, lag_seconds: float | None) -> float:
    """The part of its own limit that the job uses, above 0 up to 1; half of it while the lag is unknown."""
    if lag_seconds is None:
        return 0.5
    return share_of_limit(lag_seconds, options.lag_target_seconds, options.lag_max_seconds, 1.0)
