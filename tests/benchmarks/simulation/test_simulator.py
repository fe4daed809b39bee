"""The simulated database, queue, sensor and tasks obey the same laws as real ones."""

from __future__ import annotations

import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.simulation.backlog import Backlog
from benchmarks.simulation.controller import GOVERNOR, Bounds, ControllerSpec
from benchmarks.simulation.controllers.fixed import Fixed
from benchmarks.simulation.database import Database, DatabaseOptions, Statement
from benchmarks.simulation.scenario import Event, Fleet, Load, Scenario, WarmUp
from benchmarks.simulation.sensor import Sensor, SensorOptions
from benchmarks.simulation.simulator import simulate
from subscriber.control.reading import Reading

pytestmark = pytest.mark.usefixtures("untraced")
"""These tests simulate hours; tests/control covers the governor."""

EXACT = DatabaseOptions(cores=4, row_cpu_microseconds=100, contention=0, variation=0)


class Client:
    """An owner of statements."""

    def has_stored(self, statement: Statement) -> None:
        """Ignores the commit."""

    def has_failed(self, statement: Statement) -> None:
        """Ignores the deadlock."""


def statements(database: Database, number: int) -> float:
    """Starts `number` statements of a thousand rows at once; returns the seconds until the first finishes."""
    for _ in range(number):
        database.begin(Statement(Client(), 1000, 0.0), 0.0)
    return database.next_finish_in()


@given(number=st.integers(1, 64), cores=st.floats(0.5, 32))
def test_utilization_is_at_most_capacity_and_demand(number: int, cores: float) -> None:
    """The two bounds of operational analysis, and Little's law between time and throughput."""
    database = Database(msgspec.structs.replace(EXACT, cores=cores))
    seconds = statements(database, number)
    alone = 0.102 + 0.004
    assert seconds >= alone * 0.999
    assert number / seconds <= 1.001 * min(number / alone, cores / 0.102)
    database.advance(seconds)
    assert database.busy_seconds * cores == pytest.approx(number * 0.102, rel=1e-6)


def test_a_neighbor_takes_its_share_and_slows_our_statements() -> None:
    """Eight of ours and eight of the neighbor on four cores: each statement takes four times as long."""
    database = Database(EXACT)
    database.neighbor_cores = 8.0
    assert statements(database, 8) == pytest.approx(0.106 * (8 * 0.102 / 0.106 + 8) / 4, rel=0.01)


def test_aborted_statements_do_not_finish() -> None:
    """The other statements continue."""
    database, other = Database(EXACT), Client()
    statements(database, 3)
    database.begin(Statement(other, 1000, 0.0), 0.0)
    assert len(database.abort(other)) == 1
    assert len(database.abort()) == 3
    assert database.next_finish_in() == math.inf


def test_the_oldest_message_is_as_old_as_its_arrival() -> None:
    """Messages are taken in order of arrival, at any rate."""
    backlog = Backlog()
    backlog.rate = 10.0
    for second in range(1, 11):
        backlog.advance(float(second))
        backlog.mark()
    assert (backlog.waiting, backlog.age_seconds()) == pytest.approx((100.0, 10.0))
    backlog.take(35)
    assert backlog.age_seconds() == pytest.approx(6.5)
    backlog.put_back(35, 0.5)
    assert (backlog.waiting, backlog.age_seconds()) == pytest.approx((100.0, 9.5))
    assert backlog.shown_lag_seconds() == pytest.approx(9.5)
    backlog.take(40)
    assert backlog.age_seconds() == pytest.approx(6.0)
    backlog.take(60)
    assert backlog.age_seconds() == 0.0


def test_a_backlog_may_be_older_than_the_simulation() -> None:
    """The ages of its messages are spread evenly up to its age."""
    backlog = Backlog()
    backlog.add(1000.0, 100.0)
    assert backlog.age_seconds() == pytest.approx(100.0)
    backlog.take(500)
    assert backlog.age_seconds() == pytest.approx(50.0)


def test_a_backlog_that_was_received_before_shows_its_age_in_full_answers() -> None:
    """What arrived after it shows its own."""
    backlog = Backlog()
    backlog.add(1000.0, 100.0)
    backlog.received_before = 1000.0
    assert backlog.shown_lag_seconds() == pytest.approx(100.0)
    backlog.take(995)
    assert backlog.age_seconds() == pytest.approx(0.5)
    assert backlog.shown_lag_seconds() == 0.0
    backlog.rate = 1.0
    backlog.advance(5.0)
    backlog.take(5)
    assert backlog.shown_lag_seconds() == backlog.age_seconds() > 0


def test_a_sensor_reports_past_windows_when_they_are_due() -> None:
    """It reports the mean of each whole window, and skips a window in which the database was down."""
    sensor = Sensor(SensorOptions(window_seconds=2, delay_seconds=1.5, noise_percent=0), seed=1)
    for second in range(1, 9):
        sensor.sample(float(second), 0.25 * second, is_database_down=second == 5)
    assert sensor.newest(3.4) is None
    first = sensor.newest(3.5)
    assert first is not None
    assert (first.cpu_percent, first.taken_at, first.window_seconds) == (25.0, 2.0, 2.0)
    gap = sensor.newest(7.6)
    assert gap is not None
    assert gap.taken_at == 4.0
    last = sensor.newest(9.5)
    assert last is not None
    assert last.taken_at == 8.0


EVENTFUL = Scenario(
    question="",
    seconds=120,
    warm_up=WarmUp(seconds=0),
    fleet=Fleet(tasks=3),
    load=Load(messages_per_second=20_000.0),
    events=(
        Event(20, start_tasks=2),
        Event(40, database_down_seconds=10),
        Event(60, stop_tasks=2),
        Event(80, kill_tasks=1),
    ),
)


def test_no_message_is_lost_or_stored_twice() -> None:
    """Through an outage and a deployment each is stored, waiting, in a statement, or leased by a killed task."""
    spec = ControllerSpec("half open", "", lambda bounds: Fixed(bounds.limit_at_most / 2))
    deadlocks = msgspec.structs.replace(EVENTFUL, database=msgspec.structs.replace(EXACT, deadlock_share=0.05))
    for scenario in (EVENTFUL, deadlocks):
        last = simulate("eventful", scenario, spec).seconds[-1]
        inside = last.arrived - last.waiting - last.stored
        assert 0 <= inside <= 1000 * 4 * 4
        assert last.stored > 0.9 * last.arrived


def test_the_same_seed_gives_the_same_run_and_another_one_another() -> None:
    """Compared second by second."""
    short = msgspec.structs.replace(EVENTFUL, seconds=60)
    assert simulate("a", short, GOVERNOR) == simulate("a", short, GOVERNOR)
    assert simulate("a", short, GOVERNOR) != simulate("a", msgspec.structs.replace(short, seed=2), GOVERNOR)


def test_the_warm_up_runs_and_is_not_recorded() -> None:
    """It uses ten percent of the database; the record starts with the limit at the end of the warm-up."""
    scenario = Scenario(question="", seconds=10, warm_up=WarmUp(seconds=60), load=Load(backlog_messages=1e6))
    record = simulate("after", scenario, GOVERNOR)
    assert [each.at for each in record.seconds] == list(range(1, 11))
    (path,) = record.paths
    assert len(path) == 11
    assert path[0] > Bounds().limit_at_least
    assert record.seconds[0].arrived == pytest.approx(61 * 0.1 * scenario.database.rows_per_second + 1e6, rel=0.1)


def test_messages_held_by_a_task_are_not_visible_in_the_queue() -> None:
    """Controllers that use the queue's count see no backlog while messages only linger."""
    seen: list[int | None] = []

    class Recording(Fixed):
        """Records the backlog of each reading."""

        def decide(self, reading: Reading) -> float:
            """Always the same limit."""
            seen.append(reading.backlog_messages)
            return super().decide(reading)

    scenario = Scenario(question="", seconds=30, warm_up=WarmUp(seconds=30), load=Load(backlog_messages=1e6))
    simulate("recording", scenario, ControllerSpec("recording", "", lambda _: Recording(1.0)))
    assert set(seen[:29]) == {0}
    assert min(each or 0 for each in seen[31:]) > 100_000


def test_a_deadlock_is_a_failed_statement_that_is_tried_again() -> None:
    """The controllers see about the share of failures that the scenario names."""
    seen: list[Reading] = []

    class Recording(Fixed):
        """Records the readings."""

        def decide(self, reading: Reading) -> float:
            """Always the same limit."""
            seen.append(reading)
            return super().decide(reading)

    database = msgspec.structs.replace(EXACT, deadlock_share=0.2)
    scenario = Scenario(question="", seconds=200, database=database, load=Load(backlog_messages=1e9))
    simulate("recording", scenario, ControllerSpec("recording", "", lambda _: Recording(2.0)))
    failures, successes = sum(each.failures for each in seen), sum(each.statements for each in seen)
    assert failures / (failures + successes) == pytest.approx(0.2, abs=0.02)


def test_a_row_may_become_more_expensive() -> None:
    """From the event on: the same limit then stores fewer rows."""
    events = (Event(100, row_cpu_microseconds=1000),)
    scenario = Scenario(question="", seconds=200, database=EXACT, load=Load(backlog_messages=1e9), events=events)
    seconds = simulate("step", scenario, ControllerSpec("one", "", lambda _: Fixed(1.0))).seconds
    before, after = seconds[99].stored - seconds[0].stored, seconds[199].stored - seconds[100].stored
    assert before / after == pytest.approx(9.5, rel=0.05)


def test_what_a_killed_task_held_returns_after_the_visibility_timeout() -> None:
    """Two seconds of its rows and its statements; then the others store every message."""
    kill = Event(100, kill_tasks=1)
    scenario = Scenario(
        question="",
        seconds=450,
        database=EXACT,
        load=Load(messages_per_second=0.0, backlog_messages=2e6),
        fleet=Fleet(tasks=2),
        events=(kill,),
    )
    seconds = simulate("kill", scenario, ControllerSpec("one", "", lambda _: Fixed(1.0))).seconds
    withheld = seconds[350].arrived - seconds[350].stored
    assert seconds[350].waiting == pytest.approx(0, abs=1e-3)
    assert 2000 <= withheld <= 60_000
    assert seconds[-1].stored == pytest.approx(seconds[-1].arrived)


def test_without_a_load_source_no_controller_gets_a_reading() -> None:
    """Not even in the warm-up."""
    seen: list[Reading] = []

    class Recording(Fixed):
        """Records the readings."""

        def decide(self, reading: Reading) -> float:
            """Always the same limit."""
            seen.append(reading)
            return super().decide(reading)

    fleet = Fleet(bounds=Bounds(has_load_source=False))
    scenario = Scenario(
        question="", seconds=30, warm_up=WarmUp(seconds=30), fleet=fleet, load=Load(backlog_messages=1e6)
    )
    simulate("recording", scenario, ControllerSpec("recording", "", lambda _: Recording(1.0)))
    assert {each.load for each in seen} == {None}
    assert len(seen) >= 58


def test_a_duty_cycle_is_what_the_limit_says() -> None:
    """A limit of a quarter uses a quarter, on average."""
    scenario = Scenario(question="", seconds=300, load=Load(backlog_messages=1e9))
    record = simulate("quarter", scenario, ControllerSpec("quarter", "", lambda _: Fixed(0.25)))
    assert sum(each.used for each in record.seconds) / 300 == pytest.approx(0.25, rel=0.02)
