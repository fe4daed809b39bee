"""Figures, scores, tables and plots that are made from runs."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path

import msgspec
import pytest

from benchmarks.simulation import figures
from benchmarks.simulation.__main__ import RESULTS
from benchmarks.simulation.compare import CONTROLLERS, Outcome, compare, summary, table
from benchmarks.simulation.controller import GOVERNOR, Bounds, ControllerSpec
from benchmarks.simulation.record import Record, Second
from benchmarks.simulation.report import firsts, report, section
from benchmarks.simulation.scenario import Load, Scenario, names, read
from benchmarks.simulation.score import Parts, floors, ranked, values
from benchmarks.simulation.simulator import simulate

pytestmark = pytest.mark.usefixtures("untraced")
"""These tests simulate hours; tests/control covers the governor."""


def second(at: int, cpu: float, *, waiting: float = 100.0, limits: tuple[float, ...] = (1.0,)) -> Second:
    """A second of a record, with a ceiling of 60."""
    return Second(
        at=at, cpu_percent=cpu, neighbor_cores=0, cores=1, lag_seconds=5.0, waiting=waiting, arrived=100.0, stored=at,
        used=1.0, limits=limits,
    )  # fmt: skip


def record(controller: str, cpus: list[float], path: tuple[float, ...], waiting: float = 100.0) -> Record:
    """A run in which no message arrives after the start."""
    seconds = tuple(second(at, cpu, waiting=waiting) for at, cpu in enumerate(cpus, start=1))
    return Record(controller, "synthetic", Bounds(), 10_000.0, seconds, (path,))


def test_cpu_that_stays_near_the_ceiling_is_settled() -> None:
    """A short stay does not count; without a lasting one the time is infinite."""
    span = [second(at, 60 if at in range(5, 9) or at > 20 else 10) for at in range(1, 41)]
    assert figures.settling_seconds(span, Bounds()) == pytest.approx(22)
    assert figures.settling_seconds(span[:25], Bounds()) == math.inf
    assert figures.back_in_band_seconds(span, Bounds()) == 0


def test_overshoot_and_peak_to_peak_are_taken_over_three_seconds() -> None:
    """A single second of 90 counts as three seconds of ten points."""
    span = [second(at, 90 if at == 10 else 60) for at in range(1, 21)]
    assert figures.overshoot_points(span, Bounds()) == pytest.approx(10)
    assert figures.peak_to_peak_points(span, Bounds()) == pytest.approx(10)


def test_a_ceiling_that_falls_with_the_lag_counts_from_the_next_second_on() -> None:
    """The ceiling before is in force for the second in which the queue becomes empty."""
    late = [msgspec.structs.replace(second(at, 84), lag_seconds=300.0) for at in range(1, 10)]
    assert figures.overshoot_points([*late, second(10, 80), second(11, 0)], Bounds()) == 0
    assert figures.overshoot_points([*late, second(10, 80), second(11, 80), second(12, 80)], Bounds()) > 10


def test_fairness_is_one_if_all_are_equal_and_one_nth_for_a_monopoly() -> None:
    """Jain's index at the end of the span."""
    assert figures.fairness([second(1, 0, limits=(2.0, 2.0))], Bounds()) == 1.0
    assert figures.fairness([second(1, 0, limits=(2.0, 0.0, 0.0, 0.0))], Bounds()) == 0.25


def test_the_three_quantities_of_a_run() -> None:
    """Points above the maximum, messages late since the start, changes of the limit's logarithm."""
    found = values(record("hot", [95.0, 85.0, 100.0], (1.0, 2.0, 1.0)))
    assert msgspec.structs.astuple(found) == pytest.approx((25.0, 300.0, 2 * math.log(2)))


def test_each_part_is_divided_by_the_best_value_plus_a_floor() -> None:
    """Floors: ten seconds at the wrong bound, in points, in messages, and in the movement to it."""
    good = record("good", [60.0] * 10, (1.0, 1.0), waiting=0.0)
    hot = record("hot", [100.0] * 10, (1.0, 8.0), waiting=0.0)
    assert msgspec.structs.astuple(floors(good)) == pytest.approx((150.0, 1e6, math.log(160)))
    found = ranked([(hot, "h"), (good, "g")])
    assert [(each.controller, each.rank, each.source) for each in found] == [("good", 1, "g"), ("hot", 2, "h")]
    assert found[0].ratios == Parts(0.0, 0.0, 0.0)
    assert found[1].ratios == Parts(150 / 150, 0.0, math.log(8) / math.log(160))
    assert found[1].score == pytest.approx((1 + math.log(8) / math.log(160)) / 3)
    late = record("late", [60.0] * 10, (1.0, 1.0), waiting=100.0)
    later = record("later", [60.0] * 20, (1.0, 1.0), waiting=100.0)
    assert ranked([(late, "l"), (later, "l")])[1].ratios.lateness == pytest.approx(2000 / (1000 + 1e6))


@pytest.fixture(scope="module")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> tuple[Outcome, Path]:
    """The comparison in the shortest scenario, run once, and the folder of its files."""
    folder = tmp_path_factory.mktemp("comparison")
    return compare("burst", folder), folder


def test_a_comparison_writes_a_file_with_every_controller_ranked(comparison: tuple[Outcome, Path]) -> None:
    """Table, summary and report name all controllers."""
    outcome, folder = comparison
    assert msgspec.json.decode((folder / "burst.json").read_bytes(), type=Outcome) == outcome
    assert sorted(each.controller for each in outcome.results) == sorted(spec.name for spec in CONTROLLERS)
    assert [each.rank for each in outcome.results] == list(range(1, len(CONTROLLERS) + 1))
    for text in ("\n".join(table(outcome)), "\n".join(summary([outcome])), report([outcome])):
        assert all(spec.name in text for spec in CONTROLLERS)


def test_the_committed_page_matches_the_source(comparison: tuple[Outcome, Path]) -> None:
    """If this fails, the results are outdated: `python -m benchmarks.simulation` writes new ones."""
    outcome, _ = comparison
    assert section(outcome) in (RESULTS / "README.md").read_text("utf-8")


def test_every_scenario_has_its_committed_results() -> None:
    """A file, a section, and a plot that is small enough to be committed."""
    page = (RESULTS / "README.md").read_text("utf-8")
    for name in names():
        outcome = msgspec.json.decode((RESULTS / f"{name}.json").read_bytes(), type=Outcome)
        assert section(outcome) in page
        assert (RESULTS / f"{name}.svg").stat().st_size < 60_000


def test_the_governor_is_first_in_ten_of_the_fifteen_and_never_last() -> None:
    """In the committed results, with the floors as they are."""
    outcomes = [msgspec.json.decode((RESULTS / f"{name}.json").read_bytes(), type=Outcome) for name in names()]
    counted = [outcome for outcome in outcomes if outcome.is_counted]
    ranks = [outcome.of("governor").rank for outcome in counted]
    assert len(ranks) == 15
    assert ranks.count(1) == firsts(counted, 1.0) >= 10
    assert max(ranks) < len(CONTROLLERS)


def test_floors_weigh_small_differences(comparison: tuple[Outcome, Path]) -> None:
    """With infinite floors all controllers are equal, and the first of the list is first."""
    outcome, _ = comparison
    assert firsts([outcome], 1.0) == (outcome.results[0].controller == "governor")
    ours_first = msgspec.structs.replace(outcome, results=(outcome.of("governor"), *outcome.results))
    assert firsts([ours_first], math.inf) == 1


def test_a_burst_is_drained_as_fast_as_by_the_fixed_limit_of_the_same_cpu() -> None:
    """Finding the right limit adds at most a tenth to the time with a known fixed limit."""
    burst = Scenario(question="", seconds=400, load=Load(backlog_messages=6e6), database=read("burst").database)
    governed = simulate("burst", burst, GOVERNOR)
    busy = [each for each in governed.seconds if each.waiting > 0]
    mean = sum(each.cpu_percent for each in busy) / len(busy)
    fixed, limit = governed, 1.0
    for _ in range(12):
        fixed = simulate("burst", burst, ControllerSpec("fixed", "", partial(FixedLimit, limit)))
        found = [each.cpu_percent for each in fixed.seconds if each.waiting > 0]
        limit *= mean / (sum(found) / len(found))
    drained = sum(each.waiting > 0 for each in fixed.seconds)
    assert len(busy) <= drained / 0.9


class FixedLimit:
    """A controller with a known limit."""

    def __init__(self, limit: float, bounds: Bounds) -> None:
        del bounds
        self.limit = limit

    def decide(self, reading: object) -> float:
        """Always the same limit."""
        del reading
        return self.limit
