"""The fault catalog: every fault that a chaos test can inject, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Final, Literal, TypeAlias

import msgspec

from benchmarks.chaos.context import RunContext
from benchmarks.chaos.faults import clock, http, locks, messages, network, process, queue, server, tables
from benchmarks.chaos.load import LOCKED_OBJECT
from benchmarks.chaos.variants import Variant

Group: TypeAlias = Literal["process", "database", "network", "queue", "clock", "messages"]
"""A run has at most one fault per group: two of one group would undo each other."""
Need: TypeAlias = Literal[
    "credentials", "clock", "clock_ahead", "active_sessions", "local", "small_disk", "silent_first_host"
]
"""What a run must prepare before this fault can be injected."""


class Fault(msgspec.Struct, frozen=True):
    """A fault: entering the context manager `inject` starts it, leaving ends it."""

    name: str
    group: Group
    inject: Callable[[RunContext], AbstractAsyncContextManager[None]]
    min_seconds: float = 0.3
    max_seconds: float = 1.5
    """The duration is drawn between the two."""
    need: Need | None = None
    rejects: tuple[int, ...] = ()
    """Numbers of the objects whose rows the database rejects because of it: their messages may be quarantined."""
    locks: tuple[int, ...] = ()
    """Numbers of the objects whose rows another session keeps locked: their messages wait for it."""
    stops_writes: bool = False
    """Whether no write, or hardly any, succeeds while it lasts: the wait of healthy messages does not count that."""
    takes_messages: bool = False
    """Whether received messages are taken away from the daemon: their wait begins with the next receive."""
    variant: Variant = "aws"
    """What the load of the whole run consists of."""

    @property
    def description(self) -> str:
        """One sentence about its effect."""
        return (self.inject.__doc__ or "").partition("\n")[0]


_ONE_OBJECT = (tables.REJECTED_OBJECT,)

_ALL: Final = (
    Fault("daemon-killed", "process", process.killed, 0.0, 0.5, stops_writes=True, takes_messages=True),
    Fault("daemon-terminated", "process", process.terminated, 0.0, 0.5, stops_writes=True, takes_messages=True),
    Fault("postgres-stopped-fast", "database", server.stopped_fast, stops_writes=True),
    Fault("postgres-crashed", "database", server.stopped_immediately, stops_writes=True),
    Fault("postgres-restarted", "database", server.restarted, 0.0, 0.1, stops_writes=True),
    Fault("backends-terminated", "database", server.backends_terminated, stops_writes=True),
    Fault("database-read-only", "database", server.read_only, stops_writes=True),
    Fault("disk-full", "database", server.disk_full, need="small_disk", stops_writes=True),
    Fault("too-many-connections", "database", server.too_many_connections, stops_writes=True),
    Fault("password-rotated", "database", server.password_rotated, stops_writes=True),
    Fault("lock-timeouts", "database", locks.lock_timeouts, stops_writes=True),
    Fault("statement-timeouts", "database", locks.statement_timeouts, 1.6, 2.5, stops_writes=True),
    Fault("row-locked", "database", locks.row_locked, 12.0, 25.0, locks=(LOCKED_OBJECT,)),
    Fault("deadlocks", "database", locks.deadlocks, 1.0, 2.5),
    Fault("table-changed", "database", locks.table_changed, 0.8, 2.0),
    Fault("index-rebuilt", "database", locks.index_rebuilt, 1.0, 2.5),
    Fault("rows-rejected", "database", tables.every_row_rejected, 0.3, 3.0, stops_writes=True),
    Fault("object-rejected-by-trigger", "database", tables.object_rejected_by_trigger, rejects=_ONE_OBJECT),
    Fault("object-rejected-by-check", "database", tables.object_rejected_by_check, rejects=_ONE_OBJECT),
    Fault("object-rejected-everywhere", "database", tables.object_rejected_everywhere, rejects=_ONE_OBJECT),
    Fault("rows-rejected-as-value", "database", tables.all_rejected_as_value, 0.3, 3.0, stops_writes=True),
    Fault("rows-rejected-as-violation", "database", tables.all_rejected_as_violation, 0.3, 3.0, stops_writes=True),
    Fault("object-rejected-as-value", "database", tables.one_rejected_as_value, 1.0, 3.0, rejects=_ONE_OBJECT),
    Fault("object-rejected-as-violation", "database", tables.one_rejected_as_violation, 1.0, 3.0, rejects=_ONE_OBJECT),
    Fault("quarantine-denied", "database", tables.quarantine_denied, 0.5, 3.0),
    Fault("quarantine-locked", "database", locks.quarantine_locked, 1.6, 2.5),
    Fault("network-silent", "network", network.silent, 0.5, 3.0, stops_writes=True),
    Fault("network-slow", "network", network.slow, 0.5, 2.0, stops_writes=True),
    Fault("network-reset", "network", network.reset, stops_writes=True),
    Fault("network-cut-after-commit", "network", network.cut_after_commit, stops_writes=True),
    Fault("slow-logins", "network", network.slow_logins, 1.0, 4.0, stops_writes=True),
    Fault("silent-first-host", "network", network.silent_first_host, 1.0, 4.0, need="silent_first_host"),
    Fault("slowloris", "process", http.slowloris, 1.5, 4.0),
    Fault("unknown-events", "messages", messages.unknown_events, variant="unknown"),
    Fault("ceph-workload", "messages", messages.from_ceph, variant="ceph"),
    Fault("sqs-500", "queue", queue.internal_errors),
    Fault("sqs-throttled", "queue", queue.throttled),
    Fault("sqs-failed-entries", "queue", queue.failed_entries),
    Fault("sqs-lost-responses", "queue", queue.lost_responses, takes_messages=True),
    Fault("sqs-slow-responses", "queue", queue.slow_responses),
    Fault("sqs-duplicates", "queue", queue.duplicates),
    Fault("sqs-reordered", "queue", queue.reordered),
    Fault("sqs-expired-handles", "queue", queue.expired_handles),
    Fault("sqs-short-visibility", "queue", queue.short_visibility),
    Fault("sqs-visibility-over", "queue", queue.visibility_over),
    Fault("sqs-in-flight-limit", "queue", queue.in_flight_limit),
    Fault("sqs-clock-skewed", "queue", queue.clock_skewed),
    Fault("credentials-expired", "queue", queue.credentials_expired, need="credentials"),
    Fault("sensor-lost", "database", clock.sensor_lost, need="active_sessions", stops_writes=True),
    Fault("sensor-local-lost", "database", clock.sensor_lost, need="local", stops_writes=True),
    Fault("wall-clock-jumps", "clock", clock.jumps, need="clock"),
    Fault("clock-ahead", "clock", clock.ahead, 1.0, 2.5, need="clock_ahead"),
    # Longer than a batch is retried and longer than retry delays: messages come back while the database is down.
    Fault("postgres-long-outage", "database", server.stopped_fast, 12.0, 25.0, stops_writes=True),
    Fault("network-long-silence", "network", network.silent, 12.0, 25.0, stops_writes=True),
    Fault("disk-long-full", "database", server.disk_full, 12.0, 25.0, need="small_disk", stops_writes=True),
)

FAULTS: Final[Mapping[str, Fault]] = {fault.name: fault for fault in _ALL}
