"""The load test in small: every part of it runs, and every row is right. Nothing here is timed."""

from __future__ import annotations

import io

import pytest

from benchmarks.loadtest.compare import FLOOR_FACTOR, hold_contest
from benchmarks.loadtest.competitors import COMPETITORS
from benchmarks.loadtest.runner import conduct
from benchmarks.loadtest.scenarios import Scenario
from testkit.latency_proxy import Delay
from testkit.terminal import Screen
from testkit.workload.backlogs import BacklogLoad, Kind
from testkit.workload.load import Phase

pytestmark = pytest.mark.usefixtures("untraced")


@pytest.fixture
def screen() -> Screen:
    """A screen nobody looks at."""
    return Screen(io.StringIO())


@pytest.mark.parametrize(("kind", "messages"), [("flood", 5_000), ("mixed", 1_000)])
def test_a_backlog_ends_in_its_table(kind: Kind, messages: int, screen: Screen) -> None:
    """What the queue server made up is, to the row, what the database holds; the queue is empty."""
    run = conduct(Scenario(kind, "", backlog=BacklogLoad(kind, messages)), screen)
    assert run.is_flawless, run.check_result
    assert run.figures.messages == messages
    assert run.samples[-1].deleted == messages
    assert set(run.figures.cpu_microseconds_per_message) == {"consumer", "queue", "database"}


def test_a_grown_table_behind_a_slow_network(screen: Screen) -> None:
    """New rows fall between those that were there, which stay as they were; a slow network changes nothing."""
    load = BacklogLoad("flood", 2_000, spacing=10)
    run = conduct(Scenario("grown", "", backlog=load, resident_rows=10_000, network_delay=Delay(1, 5)), screen)
    assert run.is_flawless, run.check_result


def test_a_paced_load_is_judged_by_its_record(screen: Screen) -> None:
    """A paced load ends with every message accounted for, and with latencies."""
    run = conduct(Scenario("steady", "", profile=(Phase(500, 1),)), screen)
    assert run.is_flawless, run.check_result
    assert run.figures.latency is not None
    assert run.figures.latency.events > 0
    assert "load" in run.figures.cpu_microseconds_per_message


def test_peers_store_what_the_daemon_stores(screen: Screen) -> None:
    """Each contender drains its queue into the same table without a fault, and so does the floor without a queue."""
    runs = hold_contest(screen, messages=300, rounds=1)
    assert [run.name for run in runs] == [*(competitor.name for competitor in COMPETITORS), "floor"]
    assert all(run.is_flawless for run in runs), [run.check_result for run in runs]
    assert [run.figures.messages for run in runs] == [300] * len(COMPETITORS) + [300 * FLOOR_FACTOR]
