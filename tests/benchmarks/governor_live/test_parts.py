"""The parts of the live benchmark on a real server: expensive rows, a noisy neighbor, a backlog drained in part."""

from __future__ import annotations

import io
import os

import pytest

from benchmarks.governor_live import cpu_pinning
from benchmarks.governor_live.control_api import ControlClient
from benchmarks.governor_live.environment import DrainResult, live_environment
from benchmarks.governor_live.noisy_neighbor import noisy_neighbor_of
from benchmarks.governor_live.row_cost import TRIGGER_MICROSECONDS, make_rows_expensive
from benchmarks.governor_live.run import GOVERNED
from benchmarks.governor_live.timeline import Action, run_timeline
from benchmarks.loadtest.samples import Meter, daemon_as_consumer
from testkit.local_stack import running_daemon
from testkit.terminal import Screen
from testkit.workload.backlogs import BacklogLoad

pytestmark = pytest.mark.usefixtures("untraced")

SECONDS = 4.0
MESSAGES = 100_000


def test_the_governor_controls_a_database_with_a_neighbor() -> None:
    """Actions happen in order; samples have ceiling and CPU, a row costs what the trigger burns; nothing is lost."""
    load = BacklogLoad("flood", MESSAGES)
    with live_environment() as environment, noisy_neighbor_of(environment.parts.postgres) as neighbor:
        queue_url = environment.parts.make_queue("governor-live")
        with running_daemon(environment.parts, queue_url, GOVERNED) as daemon:
            make_rows_expensive(environment.parts.postgres.url)
            make_rows_expensive(environment.parts.postgres.url)  # a second call does nothing
            client, done = ControlClient(daemon), list[str]()
            client.wait_for_sensor()

            def flood(_: object) -> None:
                load.attach(environment.parts.client, queue_url)
                done.append("flood")

            def limit(_: object) -> None:
                client.fix(100)
                done.append("limit")

            actions = [Action(2, "limit", limit), Action(0, "flood", flood)]
            meter = Meter(environment.parts, queue_url, daemon_as_consumer(daemon))
            with environment.watched() as disturbance, neighbor.active(0.2):
                samples = run_timeline(meter, MESSAGES, actions, SECONDS, Screen(io.StringIO()))
            assert client.status().fixed_limit == client.status().limit_at_most
            client.release()
            assert client.status().mode == "auto"
            exit_code = daemon.stop()
        run = environment.checked_run("flood", DrainResult(load, queue_url, samples, exit_code, {}), {})
    assert done == ["flood", "limit"]
    assert run.is_flawless
    assert 0 < run.figures.messages < MESSAGES
    assert run.figures.cpu_microseconds_per_message["database"] > TRIGGER_MICROSECONDS / 2
    assert any(each.cpu_ceiling_percent is not None for each in samples)
    assert (disturbance.percent is None) is (environment.cores is None)


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one core cannot be divided")
def test_cpu_affinity_is_restored() -> None:
    """Inside the block this process is off the database's core; afterwards its affinity is as before."""
    before = os.sched_getaffinity(0)
    with cpu_pinning.pinned() as divided:
        assert divided is not None
        assert os.sched_getaffinity(0) == divided.others == before - {divided.database}
        assert str(divided.database) in cpu_pinning.describe(divided)
    assert os.sched_getaffinity(0) == before
    assert "NOT pinned" in cpu_pinning.describe(None)
