"""A seed is a run: its plan, its load and what is known of each message never differ; the record remembers it."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from benchmarks.chaos.catalog import FAULTS
from benchmarks.chaos.load import ArrivingBacklog, ChaosLoad
from benchmarks.chaos.plan import plan_of
from benchmarks.chaos.record import append_result, read_record, write_table
from benchmarks.chaos.result import RunResult
from subscriber.events.decode import decode
from subscriber.model import Lease, Message
from testkit.workload.backlogs import key

MESSAGES = 4_000


def test_a_plan_is_its_seed() -> None:
    """The same seed is the same plan, and another is another."""
    assert plan_of(7, MESSAGES) == plan_of(7, MESSAGES) != plan_of(7 + len(FAULTS), MESSAGES)


def test_seeds_in_a_row_go_through_all_faults() -> None:
    """As many seeds as there are faults meet each of them; no run has two of one group, which would undo each other."""
    plans = [plan_of(seed, MESSAGES) for seed in range(100, 100 + len(FAULTS))]
    assert {plan.faults[0] for plan in plans} == set(FAULTS)
    for plan in plans:
        groups = [FAULTS[name].group for name in plan.faults]
        assert len(set(groups)) == len(groups)


def test_three_hundred_seeds_meet_each_fault_five_times() -> None:
    """What `make chaos` promises without further words."""
    plans = [plan_of(seed, MESSAGES) for seed in range(1, 301)]
    assert min(sum(name in plan.faults for plan in plans) for name in FAULTS) >= 5


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_what_a_message_told_is_what_stands_in_it(seed: int) -> None:
    """The judge knows rows without reading bodies; the daemon's decode, which reads them, finds the same."""
    load = ChaosLoad(seed, MESSAGES)
    lease = Lease(queue="q", expires_at=0.0, handles=set())
    for index in range(MESSAGES):
        told = load.told(index, "id")
        delivery = decode(Message("q", "id", "h", load.body(index), 0.0, 1, lease))
        assert delivery.events == told.events
        assert told.is_readable == (delivery.rejection is None)
        assert told.body is None if told.is_readable else told.body == load.body(index).encode()


def test_the_quarantine_may_hold_refused_objects_alone() -> None:
    """Those that the faults of a plan refuse, with the bodies the queue has."""
    plan = plan_of(list(FAULTS).index("object-refused-by-check"), MESSAGES)
    load = ChaosLoad(3, 30_000)
    tolds = [load.told(index, "id", plan.refused_objects) for index in range(load.messages)]
    refusable = {index: told for index, told in enumerate(tolds) if told.refusable}
    keys = {name for told in refusable.values() for _, name, _ in told.refusable}
    assert keys == {key(number) for number in plan.refused_objects}
    assert all(told.body == load.body(index).encode() for index, told in refusable.items())
    assert {len(told.events) for told in refusable.values()} == {1, 2, 3, 4, 5}
    assert not plan_of(list(FAULTS).index("deadlocks"), MESSAGES, is_short=True).refused_objects


def test_a_load_is_not_all_alike() -> None:
    """Rows told of once, rows told of often and out of order, messages without a row, and nonsense."""
    tolds = [ChaosLoad(3, 30_000).told(index, "id") for index in range(30_000)]
    events = [event for told in tolds for event in told.events]
    hot = [event.sequencer for event in events if event.key == key(7)]
    assert hot != sorted(hot)
    assert {event.state for event in events} == {"present", "removed", "delete_marker"}
    assert any(not told.events and told.is_readable for told in tolds)
    assert any(not told.events and not told.is_readable for told in tolds)
    assert any(len(told.events) > 1 and not told.is_readable for told in tolds)
    twice = [
        [event.sequencer for event in told.events if event.key == told.events[-1].key] for told in tolds if told.events
    ]
    assert any(len(told) > 2 and told != sorted(told) for told in twice)


def test_half_of_a_load_waits_and_the_rest_arrives_evenly() -> None:
    """The backlog tells when the next message comes, gives what is there, and ends."""
    backlog = ArrivingBacklog(ChaosLoad(1, 100, seconds=10.0), started_at=1000.0)
    assert len(backlog.take(1000, 1000.0)) == 50
    due = backlog.next_arrival(1000.0)
    assert due == pytest.approx(1000.2)
    assert [backlog.available(moment) for moment in (1000.1, 1000.25, 1005.0, 1010.0, 2000.0)] == [0, 1, 25, 50, 50]
    assert len(backlog.take(1000, 1010.0)) == 50
    assert backlog.next_arrival(1010.0) is None


def test_the_record_is_resumed_and_becomes_a_table(tmp_path: Path) -> None:
    """The last result of a seed counts; the table names each fault, its runs, events and failed seeds."""
    record, table = tmp_path / "chaos.jsonl", tmp_path / "chaos.md"
    failed = RunResult(plan=plan_of(2, MESSAGES), events=5_000, errors=("lost: 1\n  trace",))
    plan = plan_of(2 + len(FAULTS), MESSAGES)
    alone = msgspec.structs.replace(plan, occurrences=plan.occurrences[:1])
    good = RunResult(plan=alone, events=6_000, signs={"database.unavailable network": 2})
    mended = RunResult(plan=plan_of(3, MESSAGES))
    for result in (failed, good, msgspec.structs.replace(mended, errors=("stuck",)), mended):
        append_result(record, result)
    results = read_record(record)
    assert results == [failed, good, mended]
    write_table(table, record, results)
    text = table.read_text()
    name = failed.plan.faults[0]
    row = next(line for line in text.splitlines() if line.startswith(f"| {name} |"))
    assert row.split(" | ")[2] == "2"
    assert row.split(" | ")[4:] == ["11,000", "database.unavailable network", "seed 2 |"]
    assert f"In all 3 runs with {3 * MESSAGES:,} messages of 11,000 events; 1 of them with an error." in text
