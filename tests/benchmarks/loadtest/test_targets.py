"""Targets: each is met on one side of its bound and missed on the other; a figure not measured is not claimed."""

from __future__ import annotations

import io
import math
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree as ET

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.governor_live.run import control_figures
from benchmarks.loadtest.competitors import BULK_INSERT, COMPETITORS, COMPETITORS_SCENARIO, DAEMON
from benchmarks.loadtest.console import print_scorecard
from benchmarks.loadtest.html_report import write_page
from benchmarks.loadtest.result import Figures, Report, Run, Scorecard, read_scorecard, report, write_scorecard
from benchmarks.loadtest.row_checker import CheckResult
from benchmarks.loadtest.scenarios import SCENARIOS
from benchmarks.loadtest.targets import TARGETS, Measure, Target, target_results, with_earlier
from testkit.checker.latency import Latency
from testkit.terminal import Screen
from tests.benchmarks.governor_live.runs import SAMPLES

FIGURES = Figures(
    messages=1_000,
    seconds=1.0,
    messages_per_second=1_000.0,
    cpu_microseconds_per_message={"consumer": 30.0, "queue": 30.0, "database": 20.0},
    database_cpu_share=0.5,
    max_resident_mib=100.0,
    requests_per_message=0.2,
    latency=Latency(1_000, 0.2, 0.3, 0.4),
)
CONTROLLED = ("governor", "governor-delayed")
CONTROL = dict.fromkeys(control_figures(SAMPLES, 1), 5.0) | {"everyday_cpu_to_allowed": 0.9, "peak_to_peak_points": 5.0}
FINE = CheckResult(0, 0, 0)


def run(name: str = DAEMON, check_result: CheckResult = FINE, **changes: object) -> Run:
    """A run with figures of its own."""
    return Run(name, check_result, msgspec.structs.replace(FIGURES, **changes), 0, ())


def reports(check_result: CheckResult = FINE) -> dict[str, Report]:
    """A report of every scenario, all with the same figures."""
    names = [*(competitor.name for competitor in COMPETITORS), BULK_INSERT]
    alone = {name: report(name, "", [run(check_result=check_result)]) for name in SCENARIOS}
    controlled = {name: report(name, "", [run(name, check_result, control=CONTROL)]) for name in CONTROLLED}
    return {
        **alone,
        **controlled,
        COMPETITORS_SCENARIO: report(COMPETITORS_SCENARIO, "", [run(name, check_result) for name in names]),
    }


def throughput_of(scenario: str) -> Measure:
    """Messages a second."""
    return Measure(scenario, DAEMON, lambda found: found.messages_per_second)


def test_a_whole_run_measures_every_target() -> None:
    """Each target names existing scenarios, competitors and figures; names are unique."""
    found = target_results(reports())
    assert [result.name for result in found if result.measured is None] == []
    assert {result.status for result in found} == {"met", "missed"}
    assert len({result.name for result in found}) == len(found) == len(TARGETS)


@given(value=st.floats(0.01, 100), least=st.floats(0.1, 10), most=st.floats(0.1, 10))
def test_a_bound_is_inclusive(value: float, least: float, most: float) -> None:
    """Met within the bounds, the bounds included, and missed outside, with one bound or two."""
    found = {"flood": report("flood", "", [run(messages_per_second=value)])}
    for at_least, at_most in ((least, None), (None, most), (least, most)):
        (result,) = target_results(found, [Target("throughput", "", "/s", throughput_of("flood"), at_most, at_least)])
        is_met = (at_least is None or value >= at_least) and (at_most is None or value <= at_most)
        assert (result.measured, result.status) == (value, "met" if is_met else "missed")


def test_a_ratio_is_of_one_run() -> None:
    """The first measure is divided by the second; a ratio to zero is void."""
    found = {
        "grown": report("grown", "", [run(messages_per_second=70.0)]),
        "flood": report("flood", "", [run(messages_per_second=100.0)]),
        "hot": report("hot", "", [run(messages_per_second=0.0)]),
    }
    ratio, to_zero = (
        throughput_of("grown").over(throughput_of("flood")),
        throughput_of("grown").over(throughput_of("hot")),
    )
    found_results = target_results(
        found, [Target("a", "", "×", ratio, at_least=0.7), Target("b", "", "×", to_zero, at_most=1)]
    )
    assert [(each.measured, each.status) for each in found_results] == [(pytest.approx(0.7), "met"), (None, "void")]


def test_an_event_that_never_happened_is_missed() -> None:
    """A ceiling that was never reached took infinitely long; a figure that was not measured is void."""
    found = {"governor": report("governor", "", [run("governor", control={"settling_seconds": None})])}
    targets = [target for target in TARGETS if target.measure.scenarios == {"governor"}]
    statuses = {each.name: (each.measured, each.status) for each in target_results(found, targets)}
    assert statuses.pop("governor: settling time") == (math.inf, "missed")
    assert set(statuses.values()) == {(None, "void")}


@pytest.mark.parametrize("missing", [*SCENARIOS, COMPETITORS_SCENARIO, *CONTROLLED])
def test_targets_of_a_scenario_not_run_say_so(missing: str) -> None:
    """Without a scenario, exactly the targets that need it are `not run`."""
    found = target_results({name: each for name, each in reports().items() if name != missing})
    needing = [target.name for target in TARGETS if missing in target.measure.scenarios]
    assert [each.name for each in found if each.status == "not run"] == needing
    assert all((each.status == "not run") is (each.measured is None) for each in found)


def test_a_figure_of_wrong_rows_is_void() -> None:
    """A figure of a run with a single lost message proves nothing, however good."""
    assert {each.status for each in target_results(reports(CheckResult(0, 0, 1)))} == {"void"}


def test_a_scorecard_survives_its_file_and_is_shown(tmp_path: Path) -> None:
    """File, page and terminal show every result and every failure."""
    scorecard = Scorecard(datetime.now(UTC), target_results({}), {"burst": "the load <failed>"})
    assert read_scorecard(tmp_path) is None
    write_scorecard(scorecard, tmp_path)
    assert read_scorecard(tmp_path) == scorecard
    text = write_page(tmp_path).read_text("utf-8")
    tree = ET.fromstring(text.removeprefix("<!doctype html>\n"))
    assert len(list(tree.iter("tr"))) == 1 + len(TARGETS)
    assert "burst failed: the load &lt;failed&gt;" in text
    screen = io.StringIO()
    print_scorecard(Screen(screen), scorecard)
    assert all(target.name in screen.getvalue() for target in TARGETS)
    assert "burst FAILED: the load <failed>" in screen.getvalue()


def test_a_scenario_not_run_keeps_its_last_figures() -> None:
    """With their date, also the second time; but not if the scenario failed or the bound has changed."""
    day = datetime(2026, 11, 22, tzinfo=UTC)
    whole = Scorecard(day, target_results(reports()))
    alone = {"governor-delayed": reports()["governor-delayed"]}
    again = with_earlier(with_earlier(Scorecard(datetime.now(UTC), target_results(alone)), whole), whole)
    fresh = {target.name for target in TARGETS if target.measure.scenarios == {"governor-delayed"}}
    assert {each.name for each in again.targets if each.measured_at is None} == fresh
    assert {each.measured_at for each in again.targets if each.name not in fresh} == {day}
    twice = with_earlier(Scorecard(datetime.now(UTC), target_results({}), {"flood": "died"}), again)
    failed = {target.name for target in TARGETS if "flood" in target.measure.scenarios}
    assert {each.name for each in twice.targets if each.status == "not run"} == failed
    moved = Scorecard(day, (msgspec.structs.replace(whole.targets[0], bound="≤ 1"),))
    assert with_earlier(Scorecard(day, target_results({})), moved).targets == target_results({})
    assert with_earlier(whole, None) is whole
