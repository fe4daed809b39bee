"""The local CloudWatch: means of whole minutes, published late, in the format of the service."""

from __future__ import annotations

import pytest

from benchmarks.governor_live.cloudwatch import Minutes, response
from subscriber.adapters.load.cloudwatch import queries
from subscriber.adapters.load.process_tree import Snapshot


def test_a_minute_is_the_mean_of_its_seconds_and_published_late() -> None:
    """The minute of the first sample is left out; a minute is published when it and the delay are over."""
    minutes = Minutes()
    for second in range(30, 241):
        minutes.add(1_200 + second, Snapshot(at=second, cpu_seconds=second / 4), cores=0.5)
    assert minutes.published(1_200 + 240, 0) == {
        1_260: pytest.approx(50),
        1_320: pytest.approx(50),
        1_380: pytest.approx(50),
    }
    assert list(minutes.published(1_200 + 240, 60)) == [1_260, 1_320]


def test_the_response_has_only_what_was_requested() -> None:
    """Points lie within the requested span, its end excluded; only CPUUtilization has points."""
    request = {"MetricDataQueries": queries([], ["cpu", "used"]), "StartTime": 60, "EndTime": 180}
    cpu, used = response(request, {0: 1.0, 60: 2.0, 120: 3.0, 180: 4.0})["MetricDataResults"]
    assert [at.timestamp() for at in cpu["Timestamps"]] == [120, 60]
    assert (cpu["Values"], used["Values"]) == ([3.0, 2.0], [])
