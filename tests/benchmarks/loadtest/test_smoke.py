"""Small runs of the load test: every part runs, and every row is right. Nothing is timed."""

from __future__ import annotations

import io

import pytest

from benchmarks.loadtest.compare import BULK_INSERT_FACTOR, run_competitors
from benchmarks.loadtest.competitors import COMPETITORS
from benchmarks.loadtest.runner import run_scenario
from benchmarks.loadtest.scenarios import Scenario
from testkit.latency_proxy import Delay
from testkit.terminal import Screen
from testkit.workload.backlogs import BacklogLoad, Kind
from testkit.workload.load import Phase

pytestmark = pytest.mark.usefixtures("untraced")


@pytest.fixture
def screen() -> Screen:
    """A screen without a terminal."""
    return Screen(io.StringIO())


@pytest.mark.parametrize(("kind", "messages"), [("flood", 5_000), ("mixed", 1_000)])
def test_a_backlog_ends_in_its_table(kind: Kind, messages: int, screen: Screen) -> None:
    """The database holds exactly the rows of the generated messages; the queue is empty."""
    run = run_scenario(Scenario(kind, "", backlog=BacklogLoad(kind, messages)), screen)
    assert run.is_flawless, run.check_result
    assert run.figures.messages == messages
    assert run.samples[-1].deleted == messages
    assert set(run.figures.cpu_microseconds_per_message) == {"consumer", "queue", "database"}


def test_a_prefilled_table_behind_a_slow_network(screen: Screen) -> None:
    """New rows fall between prefilled ones, which do not change; network delay changes no row."""
    load = BacklogLoad("flood", 2_000, spacing=10)
    run = run_scenario(Scenario("grown", "", backlog=load, prefilled_rows=10_000, network_delay=Delay(1, 5)), screen)
    assert run.is_flawless, run.check_result


def test_a_paced_load_is_checked_against_its_log(screen: Screen) -> None:
    """Every message of a paced load is accounted for, and latencies are measured."""
    run = run_scenario(Scenario("steady", "", profile=(Phase(500, 1),)), screen)
    assert run.is_flawless, run.check_result
    assert run.figures.latency is not None
    assert run.figures.latency.events > 0
    assert "load" in run.figures.cpu_microseconds_per_message


def test_competitors_store_what_the_daemon_stores(screen: Screen) -> None:
    """Each competitor drains its queue into the same table without a fault; so does the bulk insert without a queue."""
    runs = run_competitors(screen, messages=300, rounds=1)
    assert [run.name for run in runs] == [*(competitor.name for competitor in COMPETITORS), "bulk insert"]
    assert all(run.is_flawless for run in runs), [run.check_result for run in runs]
    assert [run.figures.messages for run in runs] == [300] * len(COMPETITORS) + [300 * BULK_INSERT_FACTOR]
