"""The run: a clock, everything that hangs on it, and what happens when."""

from __future__ import annotations

import random

from benchmarks.simulation.backlog import Backlog
from benchmarks.simulation.controller import Law
from benchmarks.simulation.database import Database
from benchmarks.simulation.record import Record, Second
from benchmarks.simulation.scenario import Event, Scenario
from benchmarks.simulation.sensor import Sensor
from benchmarks.simulation.task import Task
from benchmarks.simulation.timers import Timers


def simulate(name: str, scenario: Scenario, law: Law) -> Record:
    """One law in one scenario; the same arguments always give the same record."""
    world = World(scenario, law)
    world.run()
    paths = tuple(tuple(path) for path in world.paths.values())
    bounds, capacity = scenario.fleet.bounds, scenario.database.rows_per_second
    return Record(law.name, name, bounds, capacity, tuple(world.seconds), paths)


class World:
    """Everything there is, and the loop that moves it."""

    def __init__(self, scenario: Scenario, law: Law) -> None:
        self._scenario = scenario
        self._law = law
        self.random = random.Random(f"world {scenario.seed}")
        self.timers = Timers()
        self.database = Database(scenario.database)
        self.backlog = Backlog()
        self.sensor = Sensor(scenario.sensor, scenario.seed)
        self.tasks: list[Task] = []
        self.sharers = 1
        self.seconds: list[Second] = []
        self.paths: dict[int, list[float]] = {}
        self._ended_rows = 0
        self._ended_used = 0.0
        self._before = (0.0, 0.0)
        self._begins_at = float(scenario.lead_in.seconds)

    def run(self) -> None:
        """From the beginning of the lead-in to the end."""
        scenario, begins_at = self._scenario, self._begins_at
        self._happen(Event(0.0, scenario.everyday_messages_per_second, start_tasks=scenario.fleet.tasks))
        for event in scenario.events:
            self.timers.after(begins_at + event.at_seconds, lambda event=event: self._happen(event))  # type: ignore[misc] # bound now
        if begins_at:
            self.timers.after(begins_at, self._begin)
        else:
            self._begin()
        self.timers.after(1.0, self._tick)
        while len(self.seconds) < self._scenario.seconds:
            self._move()

    def _begin(self) -> None:
        """The lead-in is over: the scenario's own load, and the record."""
        load = self._scenario.load
        self._happen(Event(0.0, load.messages_per_second), backlog=(load.backlog_messages, load.backlog_age_seconds))
        self.paths = {id(task): [task.limit] for task in self.tasks}

    def _move(self) -> None:
        """To the next thing that happens, whatever it is."""
        timers, database = self.timers, self.database
        finish_at = timers.now + database.next_finish_in()
        moment = min(finish_at, timers.next_at)
        database.advance(moment - timers.now)
        timers.now = moment
        self.backlog.advance(moment)
        if finish_at <= moment and not database.is_away:
            statement = database.finish_next()
            statement.owner.has_stored(statement)
        else:
            timers.act()

    def _happen(self, event: Event, backlog: tuple[float, float] = (0.0, 0.0)) -> None:
        if event.messages_per_second is not None:
            self.backlog.mark()
            self.backlog.rate = event.messages_per_second
        if event.backlog_messages or backlog[0]:
            self.backlog.add(event.backlog_messages or backlog[0], backlog[1])
        if event.neighbor_cores is not None:
            self.database.neighbor_cores = event.neighbor_cores
        if event.cores is not None:
            self.database.cores = event.cores
        self.database.changed()
        if event.database_away_seconds is not None:
            self._go_away(event.database_away_seconds)
        if event.sensor_lost_seconds is not None:
            self.sensor.is_lost = True
            self.timers.after(event.sensor_lost_seconds, self._find_sensor)
        self._resize(event)

    def _resize(self, event: Event) -> None:
        for _ in range(event.kill_tasks):
            self._eldest().die()
        for _ in range(event.stop_tasks):
            self._eldest().leave()
        born = len(self.tasks)
        self.sharers = max(1, sum(not task.is_leaving for task in self.tasks) + event.start_tasks)
        for _ in range(event.start_tasks):
            self.tasks.append(Task(self, self._scenario.fleet, self._law.make(self._scenario.fleet.bounds)))
        assert len(self.tasks) == born + event.start_tasks

    def _eldest(self) -> Task:
        return next(task for task in self.tasks if not task.is_leaving)

    def _go_away(self, seconds: float) -> None:
        """Every statement fails, and who comes later waits."""
        self.database.is_away = True
        gone = self.database.abandon()
        for task in self.tasks:
            lost = [statement for statement in gone if statement.owner is task]
            if lost:
                task.lose(lost)
        self.timers.after(seconds, self._come_back)

    def _come_back(self) -> None:
        self.database.is_away = False
        self.database.changed()

    def _find_sensor(self) -> None:
        self.sensor.is_lost = False

    def _tick(self) -> None:
        """Once a second: the sensor looks, and so do we."""
        self.timers.after(1.0, self._tick)
        database, now = self.database, float(round(self.timers.now))
        self.sensor.look(now, database.busy_seconds, is_blind=database.is_away)
        self.backlog.mark()
        self._part_with_the_gone()
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

    def _part_with_the_gone(self) -> None:
        for task in [task for task in self.tasks if task.is_gone]:
            self._ended_rows += task.tally.rows
            self._ended_used += task.used_seconds
            self.tasks.remove(task)
