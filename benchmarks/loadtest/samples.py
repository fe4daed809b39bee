"""Who used what, every 250 ms: how far the line is, and the processor time of each part, accounted separately.

The kernel counts processor time in ticks of 10 ms (times(2), sysconf _SC_CLK_TCK), so a single interval says
little; figures are made over whole runs, and the page smooths over a second.
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
from testkit.environment import Stage
from testkit.local_stack import read_samples
from testkit.process import Child, PartError

INTERVAL_SECONDS: Final = 0.25

Counts: TypeAlias = dict[str, float]
"""By part: `consumer`, `queue`, `database`, `load`."""


class Consumer(msgspec.Struct, frozen=True):
    """Whoever drains the queue."""

    process_id: int
    counters: Callable[[], Mapping[str, float]]
    """What it tells of itself, by the names of the daemon's metrics; a peer tells nothing."""


class Sample(msgspec.Struct, frozen=True):
    """Everything at one moment. What counts up counts from the start of the parts."""

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
    """Calls that delete or hide up to ten messages."""
    deleted: float = 0
    rows: float = 0
    """Applied or stale."""
    batches: float = 0
    batched_rows: float = 0
    lag_seconds: float = 0
    concurrency: float = 0
    concurrency_limit: float = 0
    cpu_ceiling_percent: float | None = None
    """What the governor allows the database; None where it does not look at the processor."""


class Meter:
    """Takes samples of one drain.

    Args:
        stage: database and queue server.
        queue_url: the queue that is drained.
        consumer: who drains it.
        load: who fills it, if that is a process of its own.
    """

    def __init__(self, stage: Stage, queue_url: str, consumer: Consumer, load: Child | None = None) -> None:
        self._stage = stage
        self._queue_url = queue_url
        self._consumer = consumer
        self._load = load
        self._highest: Counts = {}

    def take(self, seconds: float, offered: int) -> Sample:
        """Asks everyone.

        Raises:
            OSError: one of them is gone.
        """
        unfinished = self._stage.unfinished(self._queue_url)
        told = self._consumer.counters()  # asked later: once the queue is empty, every call that emptied it is counted
        return Sample(
            seconds=seconds,
            offered=offered,
            unfinished=unfinished,
            cpu_seconds=self._cpu_seconds(),
            resident_bytes=_resident_bytes(self._consumer.process_id),
            received=told.get("subscriber_received_messages_total", 0),
            receive_requests=told.get("subscriber_receive_requests_total", 0),
            settle_requests=told.get("subscriber_settle_requests_total", 0),
            deleted=told.get("subscriber_acknowledged_messages_total", 0),
            rows=told.get("subscriber_rows_applied_total", 0) + told.get("subscriber_rows_stale_total", 0),
            batches=told.get("subscriber_batch_rows_count", 0),
            batched_rows=told.get("subscriber_batch_rows_sum", 0),
            lag_seconds=told.get("subscriber_newest_receive_age_seconds", 0),
            concurrency=told.get("subscriber_concurrency", 0),
            concurrency_limit=told.get("subscriber_concurrency_limit", 0),
            cpu_ceiling_percent=_number(told.get("subscriber_database_cpu_ceiling_percent")),
        )

    def _cpu_seconds(self) -> Counts:
        spent = {
            "consumer": cpu_seconds(self._consumer.process_id),
            "queue": cpu_seconds(self._stage.server.pid),
            "database": self._stage.postgres.cpu_seconds(),
        }
        if self._load is not None:
            spent["load"] = cpu_seconds(self._load.pid)
        # A process that has ended no longer tells what it used.
        self._highest = {part: max(used, self._highest.get(part, 0.0)) for part, used in spent.items()}
        return self._highest


def _number(told: float | None) -> float | None:
    """What can be written as JSON: no NaN, by which a metric says that there is nothing to say."""
    return None if told is None or math.isnan(told) else told


def daemon_as_consumer(daemon: DaemonProcess) -> Consumer:
    """The daemon, read by its own page of metrics."""
    return Consumer(daemon.pid, lambda: read_samples(daemon.page("/metrics")[1]))


def peer_as_consumer(child: Child) -> Consumer:
    """A peer: only its process is seen, and the queue; a peer that ends before it is told to has failed."""

    def nothing() -> Mapping[str, float]:
        if not child.is_running:
            raise PartError(f"{child.name} ended too soon\n{child.log_tail()}")
        return {}

    return Consumer(child.pid, nothing)


def _resident_bytes(process_id: int) -> int:
    with contextlib.suppress(psutil.NoSuchProcess):
        return int(psutil.Process(process_id).memory_info().rss)
    return 0
