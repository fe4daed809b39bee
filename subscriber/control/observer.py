"""Makes the readings: what the line did since the last one, what the queues say, and what the sensor has seen.

Nothing is asked for here. The line leaves running totals behind, backlog and load are brought by tasks of their own,
and a reading is the difference of two looks; so it costs the same however much has flowed in between.
"""

from __future__ import annotations

import asyncio
import copy
import math
import time
from collections.abc import Callable, Mapping
from typing import Protocol

import msgspec

from subscriber.control.arrivals import Arrivals
from subscriber.control.backlog import Backlog
from subscriber.control.lag import lag_of
from subscriber.control.load_watch import LoadWatch
from subscriber.control.reading import Reading, WriteTally, reading_between
from subscriber.flow.gate import GateUsage
from subscriber.observe.metrics import Metrics


class UsedGate(Protocol):
    """The gate, as the observer sees it."""

    def usage(self) -> GateUsage:
        """Running totals up to now."""
        ...


class Held(Protocol):
    """The leases, as the observer sees them."""

    @property
    def oldest_sent_at(self) -> float:
        """Unix seconds at which the oldest first receive inside was sent; infinite: none."""
        ...


class LineSigns(msgspec.Struct, frozen=True):
    """What the line leaves behind to be looked at."""

    tally: WriteTally
    gate: UsedGate
    leases: Held
    arrivals: Mapping[str, Arrivals]
    """By the URL of the queue."""
    is_away: Callable[[], bool]
    """Whether the database is away."""


class _Look(msgspec.Struct, frozen=True):
    """The running totals at one moment."""

    taken_at: float
    tally: WriteTally
    usage: GateUsage


class Observer:
    """One for the line; read by the regulator alone, since a reading is told once.

    Args:
        line: what it leaves behind.
        backlog: what the queues say.
        load: what the sensor says.
        metrics: the catalogue.
        wall_clock: Unix seconds.
    """

    def __init__(
        self,
        line: LineSigns,
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
        youngest = [arrivals.take_youngest() for arrivals in self.line.arrivals.values()]
        reading = msgspec.structs.replace(
            reading_between(before.tally, look.tally, now, elapsed_seconds),
            concurrency_used=(look.usage.place_seconds - before.usage.place_seconds) / elapsed_seconds,
            # While the database is away places are taken by writes that wait for it: more of them would not help.
            limit_reached=look.usage.shortage_seconds > before.usage.shortage_seconds and not self.line.is_away(),
            lag_seconds=lag_of(youngest, self.line.leases.oldest_sent_at, self._wall_clock()),
            backlog_messages=self.backlog.visible_messages(now),
            load=self.load.newest,
            load_age_seconds=self.load.age_seconds,
        )
        self._show(reading, youngest)
        return reading

    def _look(self, now: float) -> _Look:
        return _Look(taken_at=now, tally=copy.copy(self.line.tally), usage=self.line.gate.usage())

    def _show(self, reading: Reading, youngest: list[float | None]) -> None:
        metrics, load = self._metrics, reading.load
        metrics.newest_lag_seconds.set(max((age for age in youngest if age is not None), default=0.0))
        metrics.line_lag_seconds.set(reading.lag_seconds)
        metrics.concurrency_used.set(reading.concurrency_used)
        metrics.database_cpu_percent.set(load.cpu_percent if load else math.nan)
        metrics.database_load_age_seconds.set(reading.load_age_seconds if load else math.nan)
