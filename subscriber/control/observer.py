"""Makes the readings: what the line did since the last one, what the queues say, and what the sensor has seen.

Nothing is asked for here. The line leaves running totals behind, backlog and load are brought by tasks of their own,
and a reading is the difference of two looks; so it costs the same however much has flowed in between.

How late the line is. Pure.

Two ages are looked at, both of messages received for the first time (one that comes again is old for another reason).
The youngest that a queue has given tells how far behind its far end is: a queue that is drained gives fresh ones.
The oldest that is still inside tells of the near end: a database that stands still lets it grow by a second a
second, while nothing is received. The larger one counts, and of several queues the worst.

An idle queue is not late, so nothing is remembered of a second in which nothing came.
"""

from __future__ import annotations

import asyncio
import copy
import math
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

import msgspec

from subscriber.control.backlog import Backlog
from subscriber.control.load_monitor import LoadWatch
from subscriber.control.reading import Reading, reading_between
from subscriber.observe.metrics import Metrics
from subscriber.signals import Arrivals, LimiterUsage, WriteTally


def lag_of(youngest_seconds: Iterable[float | None], oldest_sent_at: float, now: float) -> float:
    """Seconds the line is late, 0 where nothing says that it is.

    Args:
        youngest_seconds: of each queue, the age of the youngest first receive since the last look; None: none came.
        oldest_sent_at: when the oldest first receive inside was sent, Unix seconds; infinite: there is none.
        now: Unix seconds.
    """
    ages = [age for age in youngest_seconds if age is not None]
    return max(0.0, now - oldest_sent_at, *ages)


class UsedLimiter(Protocol):
    """The limiter, as the observer sees it."""

    def usage(self) -> LimiterUsage:
        """Running totals up to now."""
        ...


class Held(Protocol):
    """The leases, as the observer sees them."""

    @property
    def oldest_sent_at(self) -> float:
        """Unix seconds at which the oldest first receive inside was sent; infinite: none."""
        ...


class PipelineSignals(msgspec.Struct, frozen=True):
    """What the line leaves behind to be looked at."""

    tally: WriteTally
    limiter: UsedLimiter
    leases: Held
    arrivals: Mapping[str, Arrivals]
    """By the URL of the queue."""
    is_away: Callable[[], bool]
    """Whether the database is away."""


class _Look(msgspec.Struct, frozen=True):
    """The running totals at one moment."""

    taken_at: float
    tally: WriteTally
    usage: LimiterUsage


class Observer:
    """One for the line; read by the regulator alone, since a reading is told once.

    Args:
        line: what it leaves behind.
        backlog: what the queues say.
        load: what the sensor says.
        metrics: the catalog.
        wall_clock: Unix seconds.
    """

    def __init__(
        self,
        line: PipelineSignals,
        backlog: Backlog,
        load: LoadWatch,
        metrics: Metrics,
        *,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self.line = line
        self.backlog = backlog
        self.load = load
        self._metrics = metrics
        self._wall_clock = wall_clock
        self._before: _Look | None = None

    @property
    def is_receiving(self) -> bool:
        """Whether polls are made, as far as the database is concerned."""
        return not self.line.is_away()

    async def run(self) -> None:
        """Keep backlog and load up to date; ends by cancellation only."""
        async with asyncio.TaskGroup() as side:
            side.create_task(self.backlog.run(), name="backlog")
            side.create_task(self.load.run(), name="load")

    def begin(self, now: float) -> None:
        """The first reading will tell of the time from `now` (loop's clock) on."""
        self._before = self._look(now)

    def read(self, now: float) -> Reading:
        """What has happened since the last reading, or since `begin`, up to `now` (loop's clock)."""
        before = self._before or self._look(now)
        self._before = look = self._look(now)
        elapsed_seconds = max(look.taken_at - before.taken_at, 1e-9)
        youngest = [arrivals.pop_min_age() for arrivals in self.line.arrivals.values()]
        reading = msgspec.structs.replace(
            reading_between(before.tally, look.tally, now, elapsed_seconds),
            concurrency_used=(look.usage.permit_seconds - before.usage.permit_seconds) / elapsed_seconds,
            # While the database is away places are taken by writes that wait for it: more of them would not help.
            limit_reached=look.usage.saturated_seconds > before.usage.saturated_seconds and not self.line.is_away(),
            lag_seconds=lag_of(youngest, self.line.leases.oldest_sent_at, self._wall_clock()),
            backlog_messages=self.backlog.visible_messages(now),
            load=self.load.newest,
            load_age_seconds=self.load.age_seconds,
        )
        self._show(reading, youngest)
        return reading

    def _look(self, now: float) -> _Look:
        return _Look(taken_at=now, tally=copy.copy(self.line.tally), usage=self.line.limiter.usage())

    def _show(self, reading: Reading, youngest: list[float | None]) -> None:
        metrics, load = self._metrics, reading.load
        metrics.newest_receive_age_seconds.set(max((age for age in youngest if age is not None), default=0.0))
        metrics.lag_seconds.set(reading.lag_seconds)
        metrics.concurrency_used.set(reading.concurrency_used)
        metrics.database_cpu_percent.set(load.cpu_percent if load else math.nan)
        metrics.database_load_age_seconds.set(reading.load_age_seconds if load else math.nan)
