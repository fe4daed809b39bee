"""The simulated database: cores under processor sharing, with a knee before saturation.

Statements use CPU and wait (for disk and network). The demand `r` is the CPU that all statements and the neighbor ask
for, divided by the number of cores. Two bounds hold for any such system (Denning and Buzen, "The Operational Analysis
of Queueing Network Models", ACM Computing Surveys 10(3), 1978): the utilization is at most `r`, and at most 1. The
model uses a smooth minimum of the two, and slows all statements by the same factor:

    stretch = (1 + r^sharpness) ^ (1 ÷ sharpness)        utilization = r ÷ stretch

When sessions outnumber the cores they also slow each other down (locks, caches, context switches): `contention` says
by how much.
"""

from __future__ import annotations

import heapq
import math
from typing import Protocol

import msgspec


class DatabaseOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Capacity of the database, and the cost of a statement."""

    cores: float = 8.0
    row_cpu_microseconds: float = 60.0
    statement_cpu_milliseconds: float = 2.0
    statement_wait_milliseconds: float = 4.0
    """Time that a statement waits when it runs alone: commit, network."""
    sharpness: float = 6.0
    """Sharpness of the knee; at 6 a demand of exactly all cores uses 89 % of them."""
    contention: float = 0.02
    """Relative slowdown of a statement per multiple by which sessions exceed the cores."""
    variation: float = 0.15
    """Standard deviation of the logarithm of a statement's CPU."""
    deadlock_share: float = 0.0
    """Share of the statements, 0 to 1, that fail at their end and are tried again."""

    @property
    def rows_per_second(self) -> float:
        """Rows per second that all cores together could store."""
        return self.cores * 1e6 / self.row_cpu_microseconds


class StatementOwner(Protocol):
    """The task that is notified when its statement commits or fails."""

    def has_stored(self, statement: Statement) -> None:
        """Called after the commit."""
        ...

    def has_failed(self, statement: Statement) -> None:
        """Called after a deadlock."""
        ...


class Statement:
    """One bulk upsert in progress."""

    __slots__ = ("cpu_share", "finish", "owner", "rows", "started_at", "unloaded_seconds")

    def __init__(self, owner: StatementOwner, rows: int, started_at: float) -> None:
        self.owner = owner
        self.rows = rows
        self.started_at = started_at
        self.unloaded_seconds = 0.0
        """Duration when it runs alone."""
        self.cpu_share = 0.0
        """Share of that duration on a core."""
        self.finish = 0.0
        """Finish time on the database's own clock, which runs slower under load."""


class Database:
    """Executes statements and integrates the utilization.

    All statements are slowed by the same factor, so one clock that runs at `1 ÷ stretch` gives every finish time: when
    a statement starts or ends, nothing has to be recomputed for the others.
    """

    def __init__(self, options: DatabaseOptions) -> None:
        self._options = options
        self.cores = options.cores
        self.row_cpu_microseconds = options.row_cpu_microseconds
        self.neighbor_cores = 0.0
        """CPU demand of the noisy neighbor, in cores."""
        self.is_down = False
        self.busy_seconds = 0.0
        """Integral of the utilization over time."""
        self._clock = 0.0
        self._speed = 1.0
        self._utilization = 0.0
        self._demand = 0.0
        self._running: list[tuple[float, int, Statement]] = []
        self._number = 0

    def begin(self, statement: Statement, chance: float) -> None:
        """Starts a statement whose cost deviates by `chance` (standard normal)."""
        options = self._options
        cpu = options.statement_cpu_milliseconds / 1e3 + statement.rows * self.row_cpu_microseconds / 1e6
        cpu *= math.exp(options.variation * chance)
        statement.unloaded_seconds = cpu + options.statement_wait_milliseconds / 1e3
        statement.cpu_share = cpu / statement.unloaded_seconds
        statement.finish = self._clock + statement.unloaded_seconds
        self._number += 1
        heapq.heappush(self._running, (statement.finish, self._number, statement))
        self._demand += statement.cpu_share
        self.changed()

    def next_finish_in(self) -> float:
        """Seconds until the next statement finishes, if nothing else happens before."""
        return (self._running[0][0] - self._clock) / self._speed if self._running else math.inf

    def finish_next(self) -> Statement:
        """Removes and returns the statement that has finished."""
        statement = heapq.heappop(self._running)[2]
        self._demand -= statement.cpu_share
        self.changed()
        return statement

    def abort(self, owner: StatementOwner | None = None) -> list[Statement]:
        """Aborts the statements of one owner, or of all."""
        gone = [entry[2] for entry in self._running if owner is None or entry[2].owner is owner]
        self._running = [entry for entry in self._running if not (owner is None or entry[2].owner is owner)]
        heapq.heapify(self._running)
        self._demand = sum(entry[2].cpu_share for entry in self._running)
        self.changed()
        return gone

    def advance(self, seconds: float) -> None:
        """Advances the time, at most to the next finish."""
        self._clock += seconds * self._speed
        self.busy_seconds += seconds * self._utilization

    def changed(self) -> None:
        """Recomputes speed and utilization; call it after a change of statements, neighbor or cores."""
        if not self._running:
            self._demand = 0.0  # rounding errors must not accumulate over hours
        options = self._options
        demand = 0.0 if self.is_down else (self._demand + self.neighbor_cores) / self.cores
        stretch = (1 + demand**options.sharpness) ** (1 / options.sharpness)
        crowding = 1 + options.contention * max(0.0, (len(self._running) + self.neighbor_cores) / self.cores - 1)
        self._utilization = demand / stretch
        self._speed = 1 / (stretch * crowding)
