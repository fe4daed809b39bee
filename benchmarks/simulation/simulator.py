"""The simulator: the clock, the parts that it drives, and the events of the scenario."""

from __future__ import annotations

import random

from benchmarks.simulation.backlog import Backlog
from benchmarks.simulation.controller import ControllerSpec
from benchmarks.simulation.database import Database
from benchmarks.simulation.record import Record, Second
from benchmarks.simulation.scenario import Event, Scenario
from benchmarks.simulation.sensor import Sensor
from benchmarks.simulation.task import Task
from benchmarks.simulation.timers import Timers


def simulate(name: str, scenario: Scenario, spec: ControllerSpec) -> Record:
    """Runs one controller in one scenario; the same arguments always give the same record."""
    simulator = Simulator(scenario, spec)
    simulator.run()
    paths = tuple(tuple(path) for path in simulator.paths.values())
    bounds, capacity = scenario.fleet.bounds, scenario.database.rows_per_second
    return Record(spec.name, name, bounds, capacity, tuple(simulator.seconds), paths)


class Simulator:
    """All parts of the simulation, and the loop that advances the time."""

    def __init__(self, scenario: Scenario, spec: ControllerSpec) -> None:
        self._scenario = scenario
        self._spec = spec
        self.random = random.Random(f"world {scenario.seed}")
        self._deadlocks = random.Random(f"deadlocks {scenario.seed}")
        self.timers = Timers()
        self.database = Database(scenario.database)
        self.backlog = Backlog()
        self.sensor = Sensor(scenario.sensor, scenario.seed)
        self.sensor.is_unavailable = not scenario.fleet.bounds.has_load_source
        self.tasks: list[Task] = []
        self.consumers = 1
        self.seconds: list[Second] = []
        self.paths: dict[int, list[float]] = {}
        self._ended_rows = 0
        self._ended_used = 0.0
        self._before = (0.0, 0.0)
        self._begins_at = float(scenario.warm_up.seconds)

    def run(self) -> None:
        """Runs the scenario from the start of the warm-up to its end."""
        scenario, begins_at = self._scenario, self._begins_at
        self._apply(Event(0.0, scenario.warm_up_messages_per_second, start_tasks=scenario.fleet.tasks))
        for event in scenario.events:
            self.timers.after(begins_at + event.at_seconds, lambda event=event: self._apply(event))  # type: ignore[misc] # bound now
        if begins_at:
            self.timers.after(begins_at, self._begin)
        else:
            self._begin()
        self.timers.after(1.0, self._tick)
        while len(self.seconds) < self._scenario.seconds:
            self._advance()

    def _begin(self) -> None:
        """Ends the warm-up: starts the scenario's load and the record."""
        load = self._scenario.load
        self._apply(Event(0.0, load.messages_per_second), backlog=(load.backlog_messages, load.backlog_age_seconds))
        if load.backlog_was_received:
            self.backlog.received_before = self.backlog.arrived
        self.paths = {id(task): [task.limit] for task in self.tasks}

    def _advance(self) -> None:
        """Advances the time to the next finish or timer, and executes it."""
        timers, database = self.timers, self.database
        finish_at = timers.now + database.next_finish_in()
        moment = min(finish_at, timers.next_at)
        database.advance(moment - timers.now)
        timers.now = moment
        self.backlog.advance(moment)
        if finish_at <= moment and not database.is_down:
            statement = database.finish_next()
            if self._deadlocks.random() < self._scenario.database.deadlock_share:
                statement.owner.has_failed(statement)
            else:
                statement.owner.has_stored(statement)
        else:
            timers.run_next()

    def _apply(self, event: Event, backlog: tuple[float, float] = (0.0, 0.0)) -> None:
        if event.messages_per_second is not None:
            self.backlog.mark()
            self.backlog.rate = event.messages_per_second
        if event.backlog_messages or backlog[0]:
            self.backlog.add(event.backlog_messages or backlog[0], backlog[1])
        if event.neighbor_cores is not None:
            self.database.neighbor_cores = event.neighbor_cores
        if event.cores is not None:
            self.database.cores = event.cores
        if event.row_cpu_microseconds is not None:
            self.database.row_cpu_microseconds = event.row_cpu_microseconds
        self.database.changed()
        if event.database_down_seconds is not None:
            self._start_outage(event.database_down_seconds)
        if event.sensor_lost_seconds is not None:
            self.sensor.is_unavailable = True
            self.timers.after(event.sensor_lost_seconds, self._restore_sensor)
        self._resize(event)

    def _resize(self, event: Event) -> None:
        for _ in range(event.kill_tasks):
            self._oldest_task().kill()
        for _ in range(event.stop_tasks):
            self._oldest_task().stop()
        running = len(self.tasks)
        self.consumers = max(1, sum(not task.is_stopping for task in self.tasks) + event.start_tasks)
        for _ in range(event.start_tasks):
            self.tasks.append(Task(self, self._scenario.fleet, self._spec.make(self._scenario.fleet.bounds)))
        assert len(self.tasks) == running + event.start_tasks

    def _oldest_task(self) -> Task:
        return next(task for task in self.tasks if not task.is_stopping)

    def _start_outage(self, seconds: float) -> None:
        """Aborts every statement; later writes wait for the end of the outage."""
        self.database.is_down = True
        aborted = self.database.abort()
        for task in self.tasks:
            own = [statement for statement in aborted if statement.owner is task]
            if own:
                task.hold(own)
        self.timers.after(seconds, self._end_outage)

    def _end_outage(self) -> None:
        self.database.is_down = False
        self.database.changed()

    def _restore_sensor(self) -> None:
        self.sensor.is_unavailable = False

    def _tick(self) -> None:
        """Once a second: takes a sample of the sensor, and records the second."""
        self.timers.after(1.0, self._tick)
        database, now = self.database, float(round(self.timers.now))
        self.sensor.sample(now, database.busy_seconds, is_database_down=database.is_down)
        self.backlog.mark()
        self._remove_ended_tasks()
        used = self._ended_used + sum(task.used_seconds for task in self.tasks)
        busy_before, used_before = self._before
        self._before = (database.busy_seconds, used)
        if now <= self._begins_at:
            return
        self.seconds.append(
            Second(
                at=now - self._begins_at,
                cpu_percent=100 * (database.busy_seconds - busy_before),
                neighbor_cores=database.neighbor_cores,
                cores=database.cores,
                lag_seconds=self.backlog.age_seconds(),
                waiting=self.backlog.waiting,
                arrived=self.backlog.arrived,
                stored=self._ended_rows + sum(task.tally.rows for task in self.tasks),
                used=used - used_before,
                limits=tuple(task.limit for task in self.tasks),
            )
        )
        for task in self.tasks:
            self.paths.setdefault(id(task), []).append(task.limit)

    def _remove_ended_tasks(self) -> None:
        for task in [task for task in self.tasks if task.has_ended]:
            self._ended_rows += task.tally.rows
            self._ended_used += task.used_seconds
            self.tasks.remove(task)
