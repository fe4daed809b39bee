"""Who takes turns in the contest, and which of the drains counts."""

from __future__ import annotations

import msgspec

from benchmarks.loadtest.compare import middle_one, running_order
from benchmarks.loadtest.competitors import (
    COMPETITORS,
    DAEMON,
    LAMBDA,
    LAMBDA_WARM,
    MANUAL_LOOP,
    MQ_BRIDGE,
    MQ_BRIDGE_BEST,
)
from benchmarks.loadtest.result import Run, figures
from benchmarks.loadtest.row_checker import CheckResult
from tests.benchmarks.loadtest.test_report import SAMPLES


def drain(microseconds: float, **faults: int) -> Run:
    """A drain that cost the consumer so much a message."""
    measured = msgspec.structs.replace(figures(SAMPLES), cpu_microseconds_per_message={"consumer": microseconds})
    return Run(DAEMON, msgspec.structs.replace(CheckResult(0, 0, 0), **faults), measured, 0, SAMPLES, "a remark")


def test_close_ones_take_turns_there_and_back() -> None:
    """So that a machine that grows slower does so for each of them; the others have one turn."""
    names = [competitor.name for competitor in running_order(2)]
    close, others = [DAEMON, MQ_BRIDGE, MQ_BRIDGE_BEST], [MANUAL_LOOP, LAMBDA, LAMBDA_WARM]
    assert names == [*close, *close[::-1], *others]
    assert [competitor.name for competitor in running_order(1)] == [competitor.name for competitor in COMPETITORS]


def test_the_drain_in_the_middle_counts() -> None:
    """By processor time, and its remark says of how many; a single one stays as it is."""
    runs = [drain(cost) for cost in (90.0, 70.0, 80.0)]
    assert middle_one(runs) == msgspec.structs.replace(runs[2], remark="a remark; the middle one of 3 drains")
    assert middle_one(runs[:1]) == runs[0]


def test_a_flawed_drain_is_never_outvoted() -> None:
    """A wrong row counts, whatever the other drains were like."""
    flawed = drain(1.0, lost=1)
    assert middle_one([drain(2.0), flawed, drain(3.0)]) == flawed
