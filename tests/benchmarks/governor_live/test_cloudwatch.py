"""The plant's CloudWatch: whole minutes, told late, in the service's shape."""

from __future__ import annotations

import pytest

from benchmarks.governor_live.cloudwatch import Minutes, answer
from subscriber.adapters.load.cloudwatch import queries
from subscriber.adapters.load.process_tree import Snapshot


def test_a_minute_is_the_mean_of_its_seconds_and_told_late() -> None:
    """The minute in which the watch began is none; one that has ended is told when the delay is over too."""
    minutes = Minutes()
    for second in range(30, 241):
        minutes.add(1_200 + second, Snapshot(at=second, cpu_seconds=second / 4), cores=0.5)
    assert minutes.told(1_200 + 240, 0) == {
        1_260: pytest.approx(50),
        1_320: pytest.approx(50),
        1_380: pytest.approx(50),
    }
    assert list(minutes.told(1_200 + 240, 60)) == [1_260, 1_320]


def test_only_what_was_asked_for_is_answered() -> None:
    """The span is the client's, its end excluded; there is no other metric than CPUUtilization."""
    asked = {"MetricDataQueries": queries([], ["cpu", "used"]), "StartTime": 60, "EndTime": 180}
    cpu, used = answer(asked, {0: 1.0, 60: 2.0, 120: 3.0, 180: 4.0})["MetricDataResults"]
    assert [at.timestamp() for at in cpu["Timestamps"]] == [120, 60]
    assert (cpu["Values"], used["Values"]) == ([3.0, 2.0], [])
