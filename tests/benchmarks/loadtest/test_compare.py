"""The order in which competitors take turns, and which of their drains counts."""

from __future__ import annotations

import msgspec

from benchmarks.loadtest.compare import median_run, running_order
from benchmarks.loadtest.competitors import (
    COMPETITORS,
    DAEMON,
    LAMBDA,
    LAMBDA_WARM,
    MANUAL_LOOP,
    MQ_BRIDGE,
    MQ_BRIDGE_TUNED,
)
from benchmarks.loadtest.result import Run, figures
from benchmarks.loadtest.row_checker import CheckResult
from tests.benchmarks.loadtest.test_report import SAMPLES


def drain(microseconds: float, **faults: int) -> Run:
    """A drain with this CPU time of the consumer per message."""
    measured = msgspec.structs.replace(figures(SAMPLES), cpu_microseconds_per_message={"consumer": microseconds})
    return Run(DAEMON, msgspec.structs.replace(CheckResult(0, 0, 0), **faults), measured, 0, SAMPLES, "a remark")


def test_competitors_of_similar_cost_take_turns_forward_and_backward() -> None:
    """A machine that gets slower does so for each of them; the others have one turn."""
    names = [competitor.name for competitor in running_order(2)]
    close, others = [DAEMON, MQ_BRIDGE, MQ_BRIDGE_TUNED], [MANUAL_LOOP, LAMBDA, LAMBDA_WARM]
    assert names == [*close, *close[::-1], *others]
    assert [competitor.name for competitor in running_order(1)] == [competitor.name for competitor in COMPETITORS]


def test_the_median_drain_counts() -> None:
    """By CPU time, and its remark says of how many; a single drain stays as it is."""
    runs = [drain(cost) for cost in (90.0, 70.0, 80.0)]
    assert median_run(runs) == msgspec.structs.replace(runs[2], remark="a remark; median of 3 drains")
    assert median_run(runs[:1]) == runs[0]


def test_a_drain_with_a_wrong_row_always_counts() -> None:
    """Whatever the other drains were like."""
    flawed = drain(1.0, lost=1)
    assert median_run([drain(2.0), flawed, drain(3.0)]) == flawed
