"""Targets: each is met on one side of its bound and short on the other, and what was not measured is not claimed."""

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
from benchmarks.loadtest.competitors import COMPETITORS, DAEMON, FLOOR, PEERS
from benchmarks.loadtest.console import print_standing
from benchmarks.loadtest.html_report import write_page
from benchmarks.loadtest.result import Figures, Report, Run, Standing, read_standing, report, write_standing
from benchmarks.loadtest.row_checker import CheckResult
from benchmarks.loadtest.scenarios import SCENARIOS
from benchmarks.loadtest.targets import TARGETS, Measure, Target, outcomes, with_earlier
from testkit.checker.latency import Latency
from testkit.terminal import Screen
from tests.benchmarks.governor_live.runs import SAMPLES

FIGURES = Figures(
    messages=1_000,
    seconds=1.0,
    messages_per_second=1_000.0,
    cpu_microseconds_per_message={"consumer": 30.0, "queue": 30.0, "database": 20.0},
    database_cpu_share=0.5,
    resident_mib_at_most=100.0,
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
    names = [*(competitor.name for competitor in COMPETITORS), FLOOR]
    alone = {name: report(name, "", [run(check_result=check_result)]) for name in SCENARIOS}
    held = {name: report(name, "", [run(name, check_result, control=CONTROL)]) for name in CONTROLLED}
    return {**alone, **held, PEERS: report(PEERS, "", [run(name, check_result) for name in names])}


def pace_of(scenario: str) -> Measure:
    """Messages a second."""
    return Measure(scenario, DAEMON, lambda found: found.messages_per_second)


def test_a_whole_run_answers_every_target() -> None:
    """Each target names scenarios and contenders that there are, and figures that they have; no two have one name."""
    found = outcomes(reports())
    assert [outcome.name for outcome in found if outcome.measured is None] == []
    assert {outcome.verdict for outcome in found} == {"met", "short"}
    assert len({outcome.name for outcome in found}) == len(found) == len(TARGETS)


@given(value=st.floats(0.01, 100), least=st.floats(0.1, 10), most=st.floats(0.1, 10))
def test_a_bound_belongs_to_what_is_met(value: float, least: float, most: float) -> None:
    """Met within the bounds, the bounds included, and short outside, whichever of the two there are."""
    found = {"flood": report("flood", "", [run(messages_per_second=value)])}
    for at_least, at_most in ((least, None), (None, most), (least, most)):
        (outcome,) = outcomes(found, [Target("pace", "/s", pace_of("flood"), at_most, at_least)])
        is_met = (at_least is None or value >= at_least) and (at_most is None or value <= at_most)
        assert (outcome.measured, outcome.verdict) == (value, "met" if is_met else "short")


def test_a_ratio_is_of_one_run() -> None:
    """The first measure is divided by the second; of nothing there is no multiple."""
    found = {
        "grown": report("grown", "", [run(messages_per_second=70.0)]),
        "flood": report("flood", "", [run(messages_per_second=100.0)]),
        "hot": report("hot", "", [run(messages_per_second=0.0)]),
    }
    ratio, of_nothing = pace_of("grown").over(pace_of("flood")), pace_of("grown").over(pace_of("hot"))
    told = outcomes(found, [Target("a", "×", ratio, at_least=0.7), Target("b", "×", of_nothing, at_most=1)])
    assert [(each.measured, each.verdict) for each in told] == [(pytest.approx(0.7), "met"), (None, "void")]


def test_what_never_came_is_short() -> None:
    """A ceiling that was never found took for ever; a figure that nobody took is void."""
    found = {"governor": report("governor", "", [run("governor", control={"settling_seconds": None})])}
    targets = [target for target in TARGETS if target.measure.scenarios == {"governor"}]
    verdicts = {each.name: (each.measured, each.verdict) for each in outcomes(found, targets)}
    assert verdicts.pop("governor: settles in") == (math.inf, "short")
    assert set(verdicts.values()) == {(None, "void")}


@pytest.mark.parametrize("missing", [*SCENARIOS, PEERS, *CONTROLLED])
def test_what_was_not_run_says_so(missing: str) -> None:
    """Without a scenario exactly the targets that need it say `not run`."""
    found = outcomes({name: each for name, each in reports().items() if name != missing})
    needing = [target.name for target in TARGETS if missing in target.measure.scenarios]
    assert [each.name for each in found if each.verdict == "not run"] == needing
    assert all((each.verdict == "not run") is (each.measured is None) for each in found)


def test_speed_on_wrong_rows_proves_nothing() -> None:
    """A figure of a run with a single lost message is void, however good."""
    assert {each.verdict for each in outcomes(reports(CheckResult(0, 0, 1)))} == {"void"}


def test_a_standing_survives_its_file_and_is_shown(tmp_path: Path) -> None:
    """File, page and terminal tell every outcome, and what failed."""
    standing = Standing(datetime.now(UTC), outcomes({}), {"burst": "the load <failed>"})
    assert read_standing(tmp_path) is None
    write_standing(standing, tmp_path)
    assert read_standing(tmp_path) == standing
    text = write_page(tmp_path).read_text("utf-8")
    tree = ET.fromstring(text.removeprefix("<!doctype html>\n"))
    assert len(list(tree.iter("tr"))) == 1 + len(TARGETS)
    assert "burst failed: the load &lt;failed&gt;" in text
    screen = io.StringIO()
    print_standing(Screen(screen), standing)
    assert all(target.name in screen.getvalue() for target in TARGETS)
    assert "burst FAILED: the load <failed>" in screen.getvalue()


def test_what_is_not_run_keeps_its_last_figure() -> None:
    """With its day, and a second time with that day again; but nothing of what has failed, or whose bound moved."""
    day = datetime(2026, 11, 22, tzinfo=UTC)
    whole = Standing(day, outcomes(reports()))
    alone = {"governor-delayed": reports()["governor-delayed"]}
    again = with_earlier(with_earlier(Standing(datetime.now(UTC), outcomes(alone)), whole), whole)
    fresh = {target.name for target in TARGETS if target.measure.scenarios == {"governor-delayed"}}
    assert {each.name for each in again.outcomes if each.taken_at is None} == fresh
    assert {each.taken_at for each in again.outcomes if each.name not in fresh} == {day}
    twice = with_earlier(Standing(datetime.now(UTC), outcomes({}), {"flood": "died"}), again)
    failed = {target.name for target in TARGETS if "flood" in target.measure.scenarios}
    assert {each.name for each in twice.outcomes if each.verdict == "not run"} == failed
    moved = Standing(day, (msgspec.structs.replace(whole.outcomes[0], target="≤ 1"),))
    assert with_earlier(Standing(day, outcomes({})), moved).outcomes == outcomes({})
    assert with_earlier(whole, None) is whole
