"""The plant's parts on a real server: rows that cost, a neighbor who takes his share, a flood judged half-way."""

from __future__ import annotations

import io
import os

import pytest

from benchmarks.governor_live import cpu_pinning
from benchmarks.governor_live.control_api import Controller
from benchmarks.governor_live.environment import Drained, plant
from benchmarks.governor_live.noisy_neighbor import noisy_neighbor_of
from benchmarks.governor_live.row_cost import TRIGGER_MICROSECONDS, burden
from benchmarks.governor_live.run import GOVERNED
from benchmarks.governor_live.timeline import Act, follow
from benchmarks.loadtest.samples import Meter, daemon_as_consumer
from testkit.local_stack import running_daemon
from testkit.terminal import Screen
from testkit.workload.backlogs import BacklogLoad

pytestmark = pytest.mark.usefixtures("untraced")

SECONDS = 4.0
MESSAGES = 100_000


def test_the_governor_steers_a_database_with_a_neighbor() -> None:
    """Acts happen in their order; ceiling and CPU are seen, a row costs what the trigger burns; nothing is lost."""
    load = BacklogLoad("flood", MESSAGES)
    with plant() as built, noisy_neighbor_of(built.parts.postgres) as neighbor:
        queue_url = built.parts.make_queue("plant")
        with running_daemon(built.parts, queue_url, GOVERNED) as daemon:
            burden(built.parts.postgres.url)
            burden(built.parts.postgres.url)  # a second time it is there already
            controller, done = Controller(daemon), list[str]()
            controller.wait_for_sensor()

            def flood(_: object) -> None:
                load.attach(built.parts.client, queue_url)
                done.append("flood")

            def limit(_: object) -> None:
                controller.fix(100)
                done.append("limit")

            acts = [Act(2, "limit", limit), Act(0, "flood", flood)]
            meter = Meter(built.parts, queue_url, daemon_as_consumer(daemon))
            with built.watched() as disturbance, neighbor.at_work(0.2):
                samples = follow(meter, MESSAGES, acts, SECONDS, Screen(io.StringIO()))
            assert controller.status().fixed_limit == controller.status().limit_at_most
            controller.release()
            assert controller.status().mode == "auto"
            exit_code = daemon.stop()
        run = built.judged("flood", Drained(load, queue_url, samples, exit_code, {}), {})
    assert done == ["flood", "limit"]
    assert run.is_flawless
    assert 0 < run.figures.messages < MESSAGES
    assert run.figures.cpu_microseconds_per_message["database"] > TRIGGER_MICROSECONDS / 2
    assert any(each.cpu_ceiling_percent is not None for each in samples)
    assert (disturbance.percent is None) is (built.cores is None)


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one core cannot be divided")
def test_cores_are_given_back() -> None:
    """In the block this process is off the database's core, afterwards everything is as before."""
    before = os.sched_getaffinity(0)
    with cpu_pinning.apart() as divided:
        assert divided is not None
        assert os.sched_getaffinity(0) == divided.others == before - {divided.database}
        assert str(divided.database) in cpu_pinning.told(divided)
    assert os.sched_getaffinity(0) == before
    assert "NOT held" in cpu_pinning.told(None)
