"""Every fault there is, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Final, Literal, TypeAlias

import msgspec

from benchmarks.chaos.context import RunContext
from benchmarks.chaos.faults import clock, locks, network, process, queue, server, tables

Group: TypeAlias = Literal["process", "database", "network", "queue", "clock"]
"""Faults of one group are never combined: they would undo each other."""
Need: TypeAlias = Literal["credentials", "clock", "active_sessions", "local", "small_disk"]
"""What the run must have prepared."""


class Fault(msgspec.Struct, frozen=True):
    """A thing that goes wrong: entering `act` begins it, leaving ends it."""

    name: str
    group: Group
    act: Callable[[RunContext], AbstractAsyncContextManager[None]]
    least_seconds: float = 0.3
    most_seconds: float = 1.5
    """It lasts some time between both."""
    need: Need | None = None
    refuses: tuple[int, ...] = ()
    """Objects, by number, whose rows it makes the database refuse: their messages may be quarantined."""

    @property
    def says(self) -> str:
        """What it does, in a sentence."""
        return (self.act.__doc__ or "").partition("\n")[0]


_ONE_OBJECT = (tables.REFUSED_OBJECT,)

_ALL: Final = (
    Fault("daemon-killed", "process", process.killed, 0.0, 0.5),
    Fault("daemon-terminated", "process", process.terminated, 0.0, 0.5),
    Fault("postgres-stopped-fast", "database", server.stopped_fast),
    Fault("postgres-crashed", "database", server.stopped_immediately),
    Fault("postgres-restarted", "database", server.restarted, 0.0, 0.1),
    Fault("backends-terminated", "database", server.backends_terminated),
    Fault("database-read-only", "database", server.read_only),
    Fault("disk-full", "database", server.disk_full, need="small_disk"),
    Fault("too-many-connections", "database", server.too_many_connections),
    Fault("password-rotated", "database", server.password_rotated),
    Fault("lock-timeouts", "database", locks.lock_timeouts),
    Fault("statement-timeouts", "database", locks.statement_timeouts, 1.6, 2.5),
    Fault("deadlocks", "database", locks.deadlocks, 1.0, 2.5),
    Fault("table-changed", "database", locks.table_changed, 0.8, 2.0),
    Fault("index-rebuilt", "database", locks.index_rebuilt, 1.0, 2.5),
    Fault("rows-refused", "database", tables.every_row_refused, 0.3, 3.0),
    Fault("object-refused-by-trigger", "database", tables.object_refused_by_trigger, refuses=_ONE_OBJECT),
    Fault("object-refused-by-check", "database", tables.object_refused_by_check, refuses=_ONE_OBJECT),
    Fault("object-refused-everywhere", "database", tables.object_refused_everywhere, refuses=_ONE_OBJECT),
    Fault("quarantine-refused", "database", tables.quarantine_refused, 0.5, 3.0),
    Fault("quarantine-locked", "database", locks.quarantine_locked, 1.6, 2.5),
    Fault("network-silent", "network", network.silent, 0.5, 3.0),
    Fault("network-slow", "network", network.slow, 0.5, 2.0),
    Fault("network-reset", "network", network.reset),
    Fault("network-cut-after-commit", "network", network.cut_after_commit),
    Fault("sqs-500", "queue", queue.internal_errors),
    Fault("sqs-throttled", "queue", queue.throttled),
    Fault("sqs-failed-entries", "queue", queue.failed_entries),
    Fault("sqs-lost-answers", "queue", queue.lost_answers),
    Fault("sqs-slow-answers", "queue", queue.slow_answers),
    Fault("sqs-duplicates", "queue", queue.duplicates),
    Fault("sqs-reordered", "queue", queue.reordered),
    Fault("sqs-expired-handles", "queue", queue.expired_handles),
    Fault("sqs-short-visibility", "queue", queue.short_visibility),
    Fault("sqs-visibility-over", "queue", queue.visibility_over),
    Fault("sqs-in-flight-wall", "queue", queue.wall_in_flight),
    Fault("sqs-clock-skewed", "queue", queue.clock_skewed),
    Fault("credentials-expired", "queue", queue.credentials_expired, need="credentials"),
    Fault("sensor-lost", "database", clock.sensor_lost, need="active_sessions"),
    Fault("sensor-local-lost", "database", clock.sensor_lost, need="local"),
    Fault("wall-clock-jumps", "clock", clock.jumps, need="clock"),
    # Longer than a batch is tried, and longer than messages are hidden: they come back while the database is away.
    Fault("postgres-long-away", "database", server.stopped_fast, 12.0, 25.0),
    Fault("network-long-silent", "network", network.silent, 12.0, 25.0),
    Fault("disk-long-full", "database", server.disk_full, 12.0, 25.0, need="small_disk"),
)

FAULTS: Final[Mapping[str, Fault]] = {fault.name: fault for fault in _ALL}
