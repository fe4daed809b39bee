"""Makes the readings: what the pipeline did since the last one, the counts of the queues, and the database's load.

It asks nobody. The pipeline keeps running totals, tasks of their own update backlog and load, and a reading is the
difference of two samples; so its cost does not depend on how much has flowed in between.

How late rows are is derived in `lag`, queue by queue; the worst counts.
"""

from __future__ import annotations

import asyncio
import copy
import math
from collections.abc import Callable, Mapping

import msgspec

from subscriber.control.alarms import detect_stall, health_of
from subscriber.control.backlog import Backlog
from subscriber.control.lag import OVERTAKEN_SECONDS, QueueLag, QueueSecond, lag_after
from subscriber.control.load_monitor import LoadMonitor
from subscriber.control.reading import Reading, reading_between
from subscriber.flow.leases import VisibilityLeases
from subscriber.flow.limiter import ConcurrencyLimiter
from subscriber.observe.metrics import Metrics
from subscriber.signals import Arrivals, LimiterUsage, WriteTally


class PipelineSignals(msgspec.Struct, frozen=True):
    """What the pipeline publishes to the observer."""

    tally: WriteTally
    limiter: ConcurrencyLimiter
    leases: VisibilityLeases
    arrivals: Mapping[str, Arrivals]
    """By the URL of the queue."""
    is_database_unavailable: Callable[[], bool]
    """Whether the circuit breaker is not closed."""


class _Sample(msgspec.Struct, frozen=True):
    """The running totals at one moment."""

    taken_at: float
    tally: WriteTally
    usage: LimiterUsage


class Observer:
    """One per pipeline, read by the regulator alone: each reading covers the time since the reading before.

    Args:
        signals: what the pipeline publishes.
        backlog: the counts of the queues.
        load: the database's load.
        metrics: the catalog.
    """

    def __init__(
        self,
        signals: PipelineSignals,
        backlog: Backlog,
        load: LoadMonitor,
        metrics: Metrics,
    ) -> None:
        self.signals = signals
        self.backlog = backlog
        self.load = load
        self._metrics = metrics
        self._before: _Sample | None = None
        self._lags: dict[str, QueueLag] = {}

    @property
    def is_database_available(self) -> bool:
        """Whether the circuit breaker is closed; while it is not, polling may be paused."""
        return not self.signals.is_database_unavailable()

    async def run(self) -> None:
        """Keep backlog and load up to date; ends by cancellation only."""
        async with asyncio.TaskGroup() as side:
            side.create_task(self.backlog.run(), name="backlog")
            side.create_task(self.load.run(), name="load")

    def begin(self, now: float) -> None:
        """Let the first reading cover the time from `now` (loop's clock) on."""
        self._before = self._sample(now)
        self._lags = dict.fromkeys(self.signals.arrivals, QueueLag(received_until=now))

    def read(self, now: float) -> Reading:
        """What has happened since the last reading, or since `begin`, up to `now` (loop's clock)."""
        before = self._before or self._sample(now)
        self._before = sample = self._sample(now)
        elapsed_seconds = max(sample.taken_at - before.taken_at, 1e-9)
        is_saturated = sample.usage.saturated_seconds > before.usage.saturated_seconds
        seconds = self._queue_seconds(now)
        self._lags = {
            queue: lag_after(self._lags.get(queue, QueueLag(received_until=now)), seen, now)
            for queue, seen in seconds.items()
        }
        reading = msgspec.structs.replace(
            reading_between(before.tally, sample.tally, now, elapsed_seconds),
            concurrency_used=(sample.usage.permit_seconds - before.usage.permit_seconds) / elapsed_seconds,
            # A write that waits for the database releases its permit, but keeps it when it waits a second time. So in
            # an outage the limiter may be saturated, though more permits would not help.
            limit_reached=is_saturated and not self.signals.is_database_unavailable(),
            lag_seconds=max((lag.seconds for lag in self._lags.values()), default=0.0),
            backlog_messages=self.backlog.visible_messages(now),
            load=self.load.newest,
            load_age_seconds=self.load.age_seconds,
            database_unavailable=self.signals.is_database_unavailable(),
        )
        self._publish(reading, [seen.youngest_seconds for seen in seconds.values()])
        return reading

    def _queue_seconds(self, now: float) -> dict[str, QueueSecond]:
        """What each queue has shown since the last reading."""
        overtaken_before = self.signals.tally.newest_received_at - OVERTAKEN_SECONDS
        held = self.signals.leases.oldest_sent_at(overtaken_before)
        seconds = {}
        for queue, arrivals in self.signals.arrivals.items():
            counts = self.backlog.counts(queue, now)
            seconds[queue] = QueueSecond(
                youngest_seconds=arrivals.pop_min_age(),
                oldest_held_at=held.get(queue, math.inf),
                is_asked=arrivals.is_asked,
                is_quiet=arrivals.is_quiet(now),
                emptied_at=arrivals.emptied_at,
                full_at=arrivals.full_at,
                is_stalled=detect_stall(health_of(arrivals, counts, now)) is not None,
                counts=counts,
            )
        return seconds

    def _sample(self, now: float) -> _Sample:
        return _Sample(taken_at=now, tally=copy.copy(self.signals.tally), usage=self.signals.limiter.usage())

    def _publish(self, reading: Reading, youngest: list[float | None]) -> None:
        metrics, load = self._metrics, reading.load
        metrics.newest_receive_age_seconds.set(max((age for age in youngest if age is not None), default=0.0))
        metrics.lag_seconds.set(reading.lag_seconds)
        metrics.concurrency_used.set(reading.concurrency_used)
        metrics.database_cpu_percent.set(load.cpu_percent if load else math.nan)
        metrics.database_load_age_seconds.set(reading.load_age_seconds if load else math.nan)
