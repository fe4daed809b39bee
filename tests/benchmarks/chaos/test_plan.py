"""A seed defines a run: plan, load and expectations are reproducible, and the record can be resumed."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from benchmarks.chaos.catalog import FAULTS
from benchmarks.chaos.faults.tables import REJECTED_OBJECT
from benchmarks.chaos.load import LOCKED_OBJECT, ArrivingBacklog, ChaosLoad
from benchmarks.chaos.plan import plan_of, short_plan
from benchmarks.chaos.record import append_result, read_record, write_table
from benchmarks.chaos.result import RunResult
from benchmarks.chaos.variants import Variant
from subscriber.events.decode import decode
from subscriber.model import Lease, Message
from testkit.workload.backlogs import key

MESSAGES = 4_000


def test_a_seed_defines_the_plan() -> None:
    """The same seed gives the same plan, another seed gives another plan."""
    assert plan_of(7, MESSAGES) == plan_of(7, MESSAGES) != plan_of(7 + len(FAULTS), MESSAGES)


def test_consecutive_seeds_cycle_through_all_faults() -> None:
    """As many seeds as there are faults include each of them; no run has two faults of one group."""
    plans = [plan_of(seed, MESSAGES) for seed in range(100, 100 + len(FAULTS))]
    assert {plan.faults[0] for plan in plans} == set(FAULTS)
    for plan in plans:
        groups = [FAULTS[name].group for name in plan.faults]
        assert len(set(groups)) == len(groups)


def test_three_hundred_seeds_include_each_fault_five_times() -> None:
    """The default number of runs of `make chaos` covers every fault."""
    plans = [plan_of(seed, MESSAGES) for seed in range(1, 301)]
    assert min(sum(name in plan.faults for plan in plans) for name in FAULTS) >= 5


def test_a_short_plan_is_defined_by_its_faults() -> None:
    """It has these faults and no other, and the same ones give the same plan."""
    plan = short_plan(["row-locked", "ceph-workload"], MESSAGES)
    assert plan == short_plan(["row-locked", "ceph-workload"], MESSAGES)
    assert plan.faults == ("row-locked", "ceph-workload")
    assert (plan.variant, short_plan(["row-locked"], MESSAGES).variant) == ("ceph", "aws")


def test_what_a_plan_says_about_healthy_messages() -> None:
    """Rows that are refused or locked are not theirs; of those only the refused may be quarantined."""
    plan = short_plan(["row-locked", "sqs-lost-responses"], MESSAGES)
    assert (plan.concerned_objects, plan.rejected_objects) == (frozenset({LOCKED_OBJECT}), frozenset())
    assert plan.takes_messages
    assert not short_plan(["object-rejected-as-value"], MESSAGES).takes_messages
    assert short_plan(["object-rejected-as-value"], MESSAGES).concerned_objects == {REJECTED_OBJECT}


@pytest.mark.parametrize("variant", ["aws", "unknown", "ceph"])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_expectations_match_the_decoded_bodies(seed: int, variant: Variant) -> None:
    """The load knows the rows without reading bodies; the daemon's decode reads the bodies and finds the same rows."""
    load = ChaosLoad(seed, MESSAGES, variant=variant)
    lease = Lease(queue="q", expires_at=0.0, handles=set())
    for index in range(MESSAGES):
        expected = load.expected(index, "id")
        delivery = decode(Message("q", "id", "h", load.body(index), 0.0, 1, lease))
        assert delivery.events == expected.events
        assert expected.is_readable == (delivery.rejection is None)
        assert expected.reason is None or (delivery.rejection and delivery.rejection.reason == expected.reason)
        assert expected.body is None if expected.is_readable else expected.body == load.body(index).encode()


def test_only_messages_of_rejected_objects_may_be_quarantined() -> None:
    """Those are the objects that the faults of a plan reject, with the bodies that the queue holds."""
    plan = plan_of(list(FAULTS).index("object-rejected-by-check"), MESSAGES)
    load = ChaosLoad(3, 30_000)
    messages = [load.expected(index, "id", plan.rejected_objects) for index in range(load.messages)]
    may_be_rejected = {index: message for index, message in enumerate(messages) if message.may_be_rejected}
    keys = {name for message in may_be_rejected.values() for _, name, _ in message.may_be_rejected}
    assert keys == {key(number) for number in plan.rejected_objects}
    assert all(message.body == load.body(index).encode() for index, message in may_be_rejected.items())
    assert {len(message.events) for message in may_be_rejected.values()} == {1, 2, 3, 4, 5}
    assert not short_plan(["deadlocks"], MESSAGES).rejected_objects


def test_a_load_is_varied() -> None:
    """Rows with one event, rows with many events out of order, messages without a row, and unreadable messages."""
    messages = [ChaosLoad(3, 30_000).expected(index, "id") for index in range(30_000)]
    events = [event for message in messages for event in message.events]
    hot = [event.sequencer for event in events if event.key == key(7)]
    assert hot != sorted(hot)
    assert {event.state for event in events} == {"present", "removed", "delete_marker"}
    assert any(not message.events and message.is_readable for message in messages)
    assert any(not message.events and not message.is_readable for message in messages)
    assert any(len(message.events) > 1 and not message.is_readable for message in messages)
    sequencers = [
        [event.sequencer for event in message.events if event.key == message.events[-1].key]
        for message in messages
        if message.events
    ]
    assert any(len(each) > 2 and each != sorted(each) for each in sequencers)


def test_a_ninth_of_the_messages_are_unknown_events() -> None:
    """Of each kind there are some, and one kind has a known record beside the unknown one."""
    load = ChaosLoad(3, MESSAGES, variant="unknown")
    messages = [load.expected(index, "id") for index in range(MESSAGES)]
    unknown = [message for message in messages if message.reason == "unknown_event"]
    assert len(unknown) == pytest.approx(MESSAGES / 9, abs=1)
    assert {len(message.events) for message in unknown} == {0, 1}


def test_sequencers_of_ceph_do_not_order_its_events() -> None:
    """Its events of one object are in the order of their times, whatever the text of the digits says."""
    load = ChaosLoad(3, 30_000, variant="ceph")
    events = [event for index in range(30_000) for event in load.expected(index, "id").events if event.key == key(7)]
    digits = [event.sequencer[13:] for event in sorted(events, key=lambda event: event.event_time)]
    assert len(events) > 10
    assert digits != sorted(digits)


def test_half_of_a_load_waits_and_the_rest_arrives_evenly() -> None:
    """The backlog knows the time of the next arrival, hands out what has arrived, and ends."""
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
    failed = RunResult(
        plan=plan_of(2, MESSAGES), events=5_000, healthy_wait_bound_seconds=4.0, errors=("lost: 1\n  trace",)
    )
    plan = plan_of(2 + len(FAULTS), MESSAGES)
    alone = msgspec.structs.replace(plan, occurrences=plan.occurrences[:1])
    good = RunResult(
        plan=alone,
        events=6_000,
        symptoms={"database.unavailable network": 2},
        healthy_wait_seconds=4.25,
        healthy_wait_bound_seconds=4.0,
        healthy_waits_exceeded=3,
    )
    repaired = RunResult(plan=plan_of(3, MESSAGES), healthy_wait_seconds=9.0)
    for result in (failed, good, msgspec.structs.replace(repaired, errors=("stuck",)), repaired):
        append_result(record, result)
    results = read_record(record)
    assert results == [failed, good, repaired]
    write_table(table, record, results)
    text = table.read_text()
    name = failed.plan.faults[0]
    row = next(line for line in text.splitlines() if line.startswith(f"| {name} |"))
    assert row.split(" | ")[2] == "2"
    assert row.split(" | ")[4:] == ["11,000", "4.2 s, exceeded 3 times", "database.unavailable network", "seed 2 |"]
    assert f"Total: 3 runs with {3 * MESSAGES:,} messages of 11,000 events; 1 of the runs had an error." in text
    assert "The longest healthy wait of the 2 runs without a sensor was 4.2 s" in text, "9 s are not judged"
    assert f"the bound of 4 s was exceeded in 1 runs (seed {alone.seed})." in text
