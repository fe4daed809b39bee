"""Samples every 250 ms: progress of the drain, and the CPU time of each part, counted separately.

The kernel counts CPU time in ticks of 10 ms (times(2), sysconf _SC_CLK_TCK), so a single interval says little: figures
cover whole runs, and pictures show means over a second.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

import msgspec
import psutil

from testkit.cpu import cpu_seconds
from testkit.daemon import DaemonProcess
from testkit.environment import LocalEnvironment
from testkit.local_stack import read_samples
from testkit.process import Child, ProcessError

INTERVAL_SECONDS: Final = 0.25

Counts: TypeAlias = dict[str, float]
"""By part: `consumer`, `queue`, `database`, `load`."""


class Consumer(msgspec.Struct, frozen=True):
    """The process that drains the queue."""

    process_id: int
    counters: Callable[[], Mapping[str, float]]
    """Its own counters, by the names of the daemon's metrics; a competitor has none."""


class Sample(msgspec.Struct, frozen=True):
    """All parts at one moment. Counters count from the start of their process."""

    seconds: float
    """Since the first message was offered."""
    offered: int
    """Messages offered so far."""
    unfinished: int
    """Messages in the queue: waiting or in flight."""
    cpu_seconds: Counts
    resident_bytes: int
    """Of the consumer."""
    received: float = 0
    receive_requests: float = 0
    settle_requests: float = 0
    """Calls that delete up to ten messages or change their visibility."""
    deleted: float = 0
    rows: float = 0
    """Applied or stale."""
    batches: float = 0
    batched_rows: float = 0
    receive_age_seconds: float = 0
    """Age of the newest message when it was first received; 0: none was received in the last second."""
    concurrency: float = 0
    concurrency_limit: float = 0
    cpu_ceiling_percent: float | None = None
    """The governor's ceiling for the database; None where no sensor is configured."""


class Meter:
    """Takes samples of one drain.

    Args:
        environment: database and SQS emulator.
        queue_url: the queue that is drained.
        consumer: drains it.
        load: fills it, if that is a separate process.
    """

    def __init__(
        self, environment: LocalEnvironment, queue_url: str, consumer: Consumer, load: Child | None = None
    ) -> None:
        self._environment = environment
        self._queue_url = queue_url
        self._consumer = consumer
        self._load = load
        self._highest: Counts = {}

    def take(self, seconds: float, offered: int) -> Sample:
        """Reads every part.

        Raises:
            OSError: a part is gone.
        """
        unfinished = self._environment.unfinished(self._queue_url)
        counters = self._consumer.counters()  # after the queue: the calls that emptied it are then counted
        return Sample(
            seconds=seconds,
            offered=offered,
            unfinished=unfinished,
            cpu_seconds=self._cpu_seconds(),
            resident_bytes=_resident_bytes(self._consumer.process_id),
            received=counters.get("subscriber_received_messages_total", 0),
            receive_requests=counters.get("subscriber_receive_requests_total", 0),
            settle_requests=counters.get("subscriber_settle_requests_total", 0),
            deleted=counters.get("subscriber_acknowledged_messages_total", 0),
            rows=counters.get("subscriber_rows_applied_total", 0) + counters.get("subscriber_rows_stale_total", 0),
            batches=counters.get("subscriber_batch_rows_count", 0),
            batched_rows=counters.get("subscriber_batch_rows_sum", 0),
            receive_age_seconds=counters.get("subscriber_newest_receive_age_seconds", 0),
            concurrency=counters.get("subscriber_concurrency", 0),
            concurrency_limit=counters.get("subscriber_concurrency_limit", 0),
            cpu_ceiling_percent=_number(counters.get("subscriber_database_cpu_ceiling_percent")),
        )

    def _cpu_seconds(self) -> Counts:
        used = {
            "consumer": cpu_seconds(self._consumer.process_id),
            "queue": cpu_seconds(self._environment.server.pid),
            "database": self._environment.postgres.cpu_seconds(),
        }
        if self._load is not None:
            used["load"] = cpu_seconds(self._load.pid)
        # A process that has ended no longer reports what it used.
        self._highest = {part: max(seconds, self._highest.get(part, 0.0)) for part, seconds in used.items()}
        return self._highest


def _number(value: float | None) -> float | None:
    """None for NaN, which a metric without a value shows and JSON cannot hold."""
    return None if value is None or math.isnan(value) else value


def daemon_as_consumer(daemon: DaemonProcess) -> Consumer:
    """The daemon, with the counters of its metrics page."""
    return Consumer(daemon.pid, lambda: read_samples(daemon.page("/metrics")[1]))


def competitor_as_consumer(child: Child) -> Consumer:
    """A competitor: only its process and the queue are observed; it has failed if it ends before it is stopped."""

    def no_counters() -> Mapping[str, float]:
        if not child.is_running:
            raise ProcessError(f"{child.name} ended before it was stopped\n{child.log_tail()}")
        return {}

    return Consumer(child.pid, no_counters)


def _resident_bytes(process_id: int) -> int:
    with contextlib.suppress(psutil.NoSuchProcess):
        return int(psutil.Process(process_id).memory_info().rss)
    return 0
