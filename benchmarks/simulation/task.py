"""A simulated daemon as its regulator sees it: batches, statements, the limiter with its cool-downs, a controller.

The limiter uses the daemon's own arithmetic (`subscriber.flow.limiter`), including the duty cycle. A batch is due when
it is full or its linger time is over; it grows until a permit is free, and without one the limit counts as reached.
Each task takes an equal share of the queue.
"""

from __future__ import annotations

import random
from typing import Protocol

from benchmarks.simulation.backlog import Backlog
from benchmarks.simulation.controller import BatchSizingController, Controller
from benchmarks.simulation.database import Database, Statement
from benchmarks.simulation.scenario import Fleet
from benchmarks.simulation.sensor import Sensor
from benchmarks.simulation.timers import Timers
from subscriber.control.reading import Reading, reading_between
from subscriber.control.regulator import BUDGET_SECONDS
from subscriber.flow.breaker import PROBE_BACKOFF
from subscriber.flow.limiter import cool_down_after, permits_for
from subscriber.signals import WriteTally

LEASE_SECONDS = 300.0
PERIOD_SECONDS = 1.0


class TaskEnvironment(Protocol):
    """The parts that a task uses; `Simulator` provides them."""

    timers: Timers
    database: Database
    backlog: Backlog
    sensor: Sensor
    random: random.Random

    @property
    def consumers(self) -> int:
        """Number of tasks that receive from the queue."""
        ...


class Task:
    """One daemon of the fleet."""

    def __init__(self, environment: TaskEnvironment, fleet: Fleet, controller: Controller) -> None:
        self._environment = environment
        self._fleet = fleet
        self._controller = controller
        self._sizing = controller if isinstance(controller, BatchSizingController) else None
        self._batch_rows = self._sizing.batch_rows if self._sizing else fleet.bounds.batch_max_rows
        """The most rows in one statement: as the controller says, if it sizes batches."""
        self.limit = controller.limit
        self.tally = WriteTally()
        self.is_stopping = False
        self.has_ended = False
        self._running = 0
        self._cool_downs: list[tuple[float, float]] = []
        """Start of each cool-down, and the duration of the write before it."""
        self._held: list[Statement] = []
        self._is_unavailable = False
        """Whether a write has failed because the database is down, and none has succeeded since."""
        self._probes = 0
        self._due_at = 0.0
        self._is_waiting_for_due = False
        self._was_reached = False
        self._rows_per_second = 0.0
        """Stored in the last second."""
        self._used_seconds = 0.0
        self._used_until = environment.timers.now
        self._before = (WriteTally(), 0.0, environment.timers.now)
        environment.timers.after(environment.random.random() * PERIOD_SECONDS, self._regulate)
        self.start_due()

    @property
    def used_seconds(self) -> float:
        """Integral of the number of running writes over time."""
        now = self._environment.timers.now
        self._used_seconds += self._running * (now - self._used_until)
        self._used_until = now
        return self._used_seconds

    def start_due(self) -> None:
        """Starts every batch that is due and gets a permit."""
        if self.is_stopping or self._held:
            return None
        environment = self._environment
        while True:
            waiting = environment.backlog.waiting
            available = max(waiting / environment.consumers, min(1.0, waiting))
            is_due = available >= 1 and environment.timers.now >= self._due_at
            if available < self._batch_rows and not is_due:
                return self._wait_for_due()
            if self._running + len(self._cool_downs) >= permits_for(self.limit):
                self._was_reached = True
                return None
            self._start(min(self._batch_rows, int(available)))

    def has_stored(self, statement: Statement) -> None:
        """Counts a committed statement, and releases its permit or starts the cool-down."""
        seconds = self._environment.timers.now - statement.started_at
        self._is_unavailable = False
        self.tally.rows += statement.rows
        self.tally.statements += 1
        self.tally.seconds += seconds
        self._change_running(-1)
        if self.is_stopping:
            self.has_ended = self._running == 0
            return
        if cool_down_after(seconds, self.limit) > 0:
            self._cool_downs.append((self._environment.timers.now, seconds))
            self._environment.timers.after(cool_down_after(seconds, self.limit), self._cooled_down)
        self.start_due()

    def has_failed(self, statement: Statement) -> None:
        """Counts a deadlock, and tries the statement again under the same permit."""
        environment = self._environment
        self.tally.failures += 1
        statement.started_at = environment.timers.now
        environment.database.begin(statement, environment.random.gauss(0, 1))

    def hold(self, statements: list[Statement]) -> None:
        """Keeps failed statements, with their permits, until the database is up again."""
        self.tally.failures += len(statements)
        self._held += statements
        self._is_unavailable = True
        self._probe_later()

    def stop(self) -> None:
        """Starts no more statements; the task ends when the running ones have finished."""
        self.is_stopping = True
        self.has_ended = self._running == 0

    def kill(self) -> None:
        """Ends at once; all that it has received becomes visible again when the leases expire."""
        environment, backlog = self._environment, self._environment.backlog
        sent_at = environment.timers.now - backlog.age_seconds()
        unwritten = min(backlog.waiting / environment.consumers, self._budget_messages(self._rows_per_second))
        backlog.take(unwritten)
        written = sum(statement.rows for statement in (*environment.database.abort(self), *self._held))
        self._change_running(-self._running)
        self._held = []
        self.is_stopping = self.has_ended = True
        environment.timers.after(LEASE_SECONDS, lambda: backlog.put_back(unwritten + written, sent_at))

    def _start(self, rows: int) -> None:
        environment = self._environment
        environment.backlog.take(rows)
        self._change_running(+1)
        self._due_at = environment.timers.now + self._fleet.linger_seconds
        statement = Statement(self, rows, environment.timers.now)
        if environment.database.is_down:
            self.hold([statement])
        else:
            environment.database.begin(statement, environment.random.gauss(0, 1))

    def _wait_for_due(self) -> None:
        if self._is_waiting_for_due:
            return
        self._is_waiting_for_due = True
        now = self._environment.timers.now
        wait = self._due_at - now
        self._environment.timers.after(wait if wait > 0 else self._fleet.linger_seconds, self._is_due)

    def _is_due(self) -> None:
        self._is_waiting_for_due = False
        self.start_due()

    def _cooled_down(self) -> None:
        """Removes the cool-downs that are over by the limit in force, not by the limit at their start."""
        now = self._environment.timers.now
        self._cool_downs = [
            each for each in self._cool_downs if each[0] + cool_down_after(each[1], self.limit) > now + 1e-9
        ]
        self.start_due()

    def _probe_later(self) -> None:
        delay_seconds = PROBE_BACKOFF.delay_seconds(self._probes + 1, self._environment.random.random())
        self._environment.timers.after(delay_seconds, self._probe_database)
        self._probes += 1

    def _probe_database(self) -> None:
        if self._held and self._environment.database.is_down:
            self._probe_later()
        elif self._held:
            self._probes = 0
            self._write_again()

    def _write_again(self) -> None:
        held, self._held = self._held, []
        for statement in held:
            statement.started_at = self._environment.timers.now
            self._environment.database.begin(statement, self._environment.random.gauss(0, 1))
        self.start_due()

    def _change_running(self, by: int) -> None:
        self._used_seconds = self.used_seconds
        self._running += by

    def _regulate(self) -> None:
        """Reads, decides and sets the limit, once a second."""
        if self.has_ended:
            return
        self._environment.timers.after(PERIOD_SECONDS, self._regulate)
        self.start_due()  # a batch that still waits for the limiter has waited in this second too
        limit = self._controller.decide(self._reading())
        if self._sizing:
            self._batch_rows = self._sizing.batch_rows
        self._was_reached = False
        if limit != self.limit:
            self._set_limit(limit)

    def _set_limit(self, limit: float) -> None:
        """Sets the limit; it also changes the duration of current cool-downs."""
        self.limit = limit
        now = self._environment.timers.now
        for began_at, worked_seconds in self._cool_downs:
            ends_at = began_at + cool_down_after(worked_seconds, limit)
            self._environment.timers.after(max(0.0, ends_at - now), self._cooled_down)
        self.start_due()

    def _reading(self) -> Reading:
        """The reading that the daemon's regulator would take."""
        environment = self._environment
        now, used = environment.timers.now, self.used_seconds
        tally, used_before, taken_before = self._before
        elapsed = now - taken_before
        load = environment.sensor.newest(now)
        base = reading_between(tally, self.tally, now, elapsed)
        self._rows_per_second = base.rows_per_second
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
            lag_seconds=environment.backlog.shown_lag_seconds(),
            backlog_messages=self._visible_messages(base.rows_per_second),
            load=load,
            load_age_seconds=now - load.taken_at if load else 0.0,
            rows_per_statement=base.rows_per_statement,
            statements=base.statements,
            database_unavailable=self._is_unavailable,
        )

    def _visible_messages(self, rows_per_second: float) -> int:
        """The queue's count of visible messages: without those that the tasks have received, up to their budgets."""
        held = self._budget_messages(rows_per_second)
        return max(0, int(self._environment.backlog.waiting) - self._environment.consumers * held)

    def _budget_messages(self, rows_per_second: float) -> int:
        """How many messages the task receives before they can be written."""
        return max(2 * self._fleet.bounds.batch_max_rows, int(BUDGET_SECONDS * rows_per_second))
