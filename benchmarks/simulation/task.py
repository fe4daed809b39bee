"""One daemon as its regulator sees it: batches that grow while the limiter is shut, statements, rests, and a law.

The limiter is the daemon's own arithmetic (`subscriber.flow.limiter`), duty cycle and all. A batch leaves when it is
full, or when its linger is over; if it then finds no place, the limit has been reached. What a task takes of the
queue is its even share.
"""

from __future__ import annotations

import random
from typing import Protocol

from benchmarks.simulation.backlog import Backlog
from benchmarks.simulation.controller import Policy, SizingPolicy
from benchmarks.simulation.database import Database, Statement
from benchmarks.simulation.scenario import Fleet
from benchmarks.simulation.sensor import Sensor
from benchmarks.simulation.timers import Timers
from subscriber.control.reading import Reading, reading_between
from subscriber.control.regulator import BUDGET_SECONDS
from subscriber.flow.breaker import probe_backoff
from subscriber.flow.limiter import cool_down_after, permits_for
from subscriber.signals import WriteTally

LEASE_SECONDS = 300.0
PERIOD_SECONDS = 1.0


class Surroundings(Protocol):
    """What a task works with."""

    timers: Timers
    database: Database
    backlog: Backlog
    sensor: Sensor
    random: random.Random

    @property
    def sharers(self) -> int:
        """How many tasks take from the queue."""
        ...


class Task:
    """One of the fleet."""

    def __init__(self, world: Surroundings, fleet: Fleet, policy: Policy) -> None:
        self._world = world
        self._fleet = fleet
        self._policy = policy
        self._sizing = policy if isinstance(policy, SizingPolicy) else None
        self._batch_rows = self._sizing.batch_rows if self._sizing else fleet.bounds.batch_max_rows
        """The most in one statement: as the law says, if it says so."""
        self.limit = policy.limit
        self.tally = WriteTally()
        self.is_leaving = False
        self.is_gone = False
        self._at_work = 0
        self._rests: list[tuple[float, float]] = []
        """When each began, and how long the place had worked."""
        self._held: list[Statement] = []
        self._probes = 0
        self._due_at = 0.0
        self._is_waiting_for_due = False
        self._was_reached = False
        self._used_seconds = 0.0
        self._used_until = world.timers.now
        self._before = (WriteTally(), 0.0, world.timers.now)
        world.timers.after(world.random.random() * PERIOD_SECONDS, self._regulate)
        self.look()

    @property
    def used_seconds(self) -> float:
        """Integral of the writes at work."""
        now = self._world.timers.now
        self._used_seconds += self._at_work * (now - self._used_until)
        self._used_until = now
        return self._used_seconds

    def look(self) -> None:
        """Start what can be started."""
        if self.is_leaving or self._held:
            return None
        world = self._world
        while True:
            waiting = world.backlog.waiting
            available = max(waiting / world.sharers, min(1.0, waiting))
            is_due = available >= 1 and world.timers.now >= self._due_at
            if available < self._batch_rows and not is_due:
                return self._wait_for_due()
            if self._at_work + len(self._rests) >= permits_for(self.limit):
                self._was_reached = True
                return None
            self._start(min(self._batch_rows, int(available)))

    def has_stored(self, statement: Statement) -> None:
        """A statement has committed."""
        seconds = self._world.timers.now - statement.started_at
        self.tally.rows += statement.rows
        self.tally.statements += 1
        self.tally.seconds += seconds
        self._change_at_work(-1)
        if self.is_leaving:
            self.is_gone = self._at_work == 0
            return
        if cool_down_after(seconds, self.limit) > 0:
            self._rests.append((self._world.timers.now, seconds))
            self._world.timers.after(cool_down_after(seconds, self.limit), self._has_rested)
        self.look()

    def lose(self, statements: list[Statement]) -> None:
        """The database has gone: its statements wait for it, with their places."""
        self.tally.failures += len(statements)
        self._held += statements
        self._probe_later()

    def leave(self) -> None:
        """Start nothing more."""
        self.is_leaving = True
        self.is_gone = self._at_work == 0

    def die(self) -> None:
        """End in the middle of everything."""
        world = self._world
        rows = sum(statement.rows for statement in (*world.database.abandon(self), *self._held))
        self._change_at_work(-self._at_work)
        self._held = []
        self.is_leaving = self.is_gone = True
        world.timers.after(LEASE_SECONDS, lambda: world.backlog.put_back(rows))

    def _start(self, rows: int) -> None:
        world = self._world
        world.backlog.take(rows)
        self._change_at_work(+1)
        self._due_at = world.timers.now + self._fleet.linger_seconds
        statement = Statement(self, rows, world.timers.now)
        if world.database.is_away:
            self.lose([statement])
        else:
            world.database.begin(statement, world.random.gauss(0, 1))

    def _wait_for_due(self) -> None:
        if self._is_waiting_for_due:
            return
        self._is_waiting_for_due = True
        now = self._world.timers.now
        wait = self._due_at - now
        self._world.timers.after(wait if wait > 0 else self._fleet.linger_seconds, self._is_due)

    def _is_due(self) -> None:
        self._is_waiting_for_due = False
        self.look()

    def _has_rested(self) -> None:
        """Somebody may have: by the limit in force, not by that of the rest's begin."""
        now = self._world.timers.now
        self._rests = [each for each in self._rests if each[0] + cool_down_after(each[1], self.limit) > now + 1e-9]
        self.look()

    def _probe_later(self) -> None:
        self._world.timers.after(probe_backoff(self._probes, self._world.random.random()), self._probe_database)
        self._probes += 1

    def _probe_database(self) -> None:
        if self._held and self._world.database.is_away:
            self._probe_later()
        elif self._held:
            self._probes = 0
            self._write_again()

    def _write_again(self) -> None:
        held, self._held = self._held, []
        for statement in held:
            statement.started_at = self._world.timers.now
            self._world.database.begin(statement, self._world.random.gauss(0, 1))
        self.look()

    def _change_at_work(self, by: int) -> None:
        self._used_seconds = self.used_seconds
        self._at_work += by

    def _regulate(self) -> None:
        """Read, decide, set: once a second."""
        if self.is_gone:
            return
        self._world.timers.after(PERIOD_SECONDS, self._regulate)
        self.look()  # a batch that still waits for the limiter has waited in this second too
        limit = self._policy.decide(self._reading())
        if self._sizing:
            self._batch_rows = self._sizing.batch_rows
        self._was_reached = False
        if limit != self.limit:
            self._set_limit(limit)

    def _set_limit(self, limit: float) -> None:
        """A rest lasts as long as the limit that is in force asks."""
        self.limit = limit
        now = self._world.timers.now
        for began_at, worked_seconds in self._rests:
            ends_at = began_at + cool_down_after(worked_seconds, limit)
            self._world.timers.after(max(0.0, ends_at - now), self._has_rested)
        self.look()

    def _reading(self) -> Reading:
        """What the daemon's regulator would say."""
        world = self._world
        now, used = world.timers.now, self.used_seconds
        tally, used_before, taken_before = self._before
        elapsed = now - taken_before
        load = world.sensor.newest(now)
        base = reading_between(tally, self.tally, now, elapsed)
        self._before = (
            WriteTally(self.tally.rows, self.tally.statements, self.tally.seconds, self.tally.failures),
            used,
            now,
        )
        return Reading(
            taken_at=now,
            rows_per_second=base.rows_per_second,
            statement_seconds=base.statement_seconds,
            failures=base.failures,
            concurrency_used=(used - used_before) / elapsed,
            limit_reached=self._was_reached,
            lag_seconds=world.backlog.age_seconds(),
            backlog_messages=self._visible_messages(base.rows_per_second),
            load=load,
            load_age_seconds=now - load.taken_at if load else 0.0,
            rows_per_statement=base.rows_per_statement,
        )

    def _visible_messages(self, rows_per_second: float) -> int:
        """What the queue counts: not what the tasks have received already, which is as much as their budgets allow."""
        held = max(2 * self._fleet.bounds.batch_max_rows, int(BUDGET_SECONDS * rows_per_second))
        return max(0, int(self._world.backlog.waiting) - self._world.sharers * held)
