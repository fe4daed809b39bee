"""The database: cores under processor sharing, with a knee before they are full.

Statements ask for CPU and wait (for the disk, for the network). What all of them and the neighbor ask for, in units of
the cores there are, is the demand `r`. Two bounds hold for any such system (Denning and Buzen, "The Operational
Analysis of Queueing Network Models", ACM Computing Surveys 10(3), 1978): no more than `r` is used, and no more than
everything. The cores' use is a smooth minimum of the two, and every statement is stretched alike:

    stretch = (1 + r^sharpness) ^ (1 ÷ sharpness)        use = r ÷ stretch

Sessions that outnumber the cores also get in each other's way (locks, caches, switches): `contention` says how much
less is done per second then.
"""

from __future__ import annotations

import heapq
import math
from typing import Protocol

import msgspec


class DatabaseOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the database can do and what a statement costs it."""

    cores: float = 8.0
    row_cpu_microseconds: float = 60.0
    statement_cpu_milliseconds: float = 2.0
    statement_wait_milliseconds: float = 4.0
    """Of a statement alone on the machine: commit, network."""
    sharpness: float = 6.0
    """Of the knee; at 6 a demand of exactly all cores uses 89 % of them."""
    contention: float = 0.02
    """By how much more a statement takes for each time that sessions outnumber the cores."""
    variation: float = 0.15
    """Of a statement's CPU: the standard deviation of its logarithm."""

    @property
    def rows_per_second(self) -> float:
        """What all cores together could store if they did nothing else."""
        return self.cores * 1e6 / self.row_cpu_microseconds


class Owner(Protocol):
    """Who is told what became of a statement."""

    def has_stored(self, statement: Statement) -> None:
        """It has committed."""
        ...


class Statement:
    """One bulk upsert at work."""

    __slots__ = ("cpu_share", "finish", "owner", "rows", "started_at", "unloaded_seconds")

    def __init__(self, owner: Owner, rows: int, started_at: float) -> None:
        self.owner = owner
        self.rows = rows
        self.started_at = started_at
        self.unloaded_seconds = 0.0
        """How long it takes alone."""
        self.cpu_share = 0.0
        """Of that time, on a core."""
        self.finish = 0.0
        """On the database's own clock, which runs slower the more it has to do."""


class Database:
    """Statements in, statements out, and how busy it was.

    All statements are stretched alike, so one clock that runs at `1 ÷ stretch` says when each will be done; nothing
    has to be worked out anew for the others when one comes or goes.
    """

    def __init__(self, options: DatabaseOptions) -> None:
        self._options = options
        self.cores = options.cores
        self.neighbor_cores = 0.0
        """What somebody else asks for."""
        self.is_away = False
        self.busy_seconds = 0.0
        """Integral of the share of the cores in use."""
        self._clock = 0.0
        self._speed = 1.0
        self._use = 0.0
        self._asked = 0.0
        self._at_work: list[tuple[float, int, Statement]] = []
        self._number = 0

    def begin(self, statement: Statement, chance: float) -> None:
        """Start a statement whose cost deviates by `chance` (standard normal)."""
        options = self._options
        cpu = options.statement_cpu_milliseconds / 1e3 + statement.rows * options.row_cpu_microseconds / 1e6
        cpu *= math.exp(options.variation * chance)
        statement.unloaded_seconds = cpu + options.statement_wait_milliseconds / 1e3
        statement.cpu_share = cpu / statement.unloaded_seconds
        statement.finish = self._clock + statement.unloaded_seconds
        self._number += 1
        heapq.heappush(self._at_work, (statement.finish, self._number, statement))
        self._asked += statement.cpu_share
        self.changed()

    def next_finish_in(self) -> float:
        """Seconds until the next statement is done, if nothing else happens before."""
        return (self._at_work[0][0] - self._clock) / self._speed if self._at_work else math.inf

    def finish_next(self) -> Statement:
        """Take the statement that is done."""
        statement = heapq.heappop(self._at_work)[2]
        self._asked -= statement.cpu_share
        self.changed()
        return statement

    def abandon(self, owner: Owner | None = None) -> list[Statement]:
        """End the statements of one owner, or all, without a commit."""
        gone = [entry[2] for entry in self._at_work if owner is None or entry[2].owner is owner]
        self._at_work = [entry for entry in self._at_work if not (owner is None or entry[2].owner is owner)]
        heapq.heapify(self._at_work)
        self._asked = sum(entry[2].cpu_share for entry in self._at_work)
        self.changed()
        return gone

    def advance(self, seconds: float) -> None:
        """Let time pass; not beyond the next finish."""
        self._clock += seconds * self._speed
        self.busy_seconds += seconds * self._use

    def changed(self) -> None:
        """Work out speed and use anew: a statement, the neighbor or the cores have changed."""
        if not self._at_work:
            self._asked = 0.0  # no rounding errors may add up over hours
        options = self._options
        demand = 0.0 if self.is_away else (self._asked + self.neighbor_cores) / self.cores
        stretch = (1 + demand**options.sharpness) ** (1 / options.sharpness)
        crowding = 1 + options.contention * max(0.0, (len(self._at_work) + self.neighbor_cores) / self.cores - 1)
        self._use = demand / stretch
        self._speed = 1 / (stretch * crowding)
