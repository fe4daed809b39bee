"""Figures, scores, tables and pictures: what is made of the runs."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path

import msgspec
import pytest

from benchmarks.simulation import figures
from benchmarks.simulation.__main__ import RESULTS
from benchmarks.simulation.compare import LAWS, Outcome, hold, summary, table
from benchmarks.simulation.controller import GOVERNOR, Bounds, Law
from benchmarks.simulation.record import Record, Second
from benchmarks.simulation.report import firsts, report, section
from benchmarks.simulation.scenario import Load, Scenario, names, read
from benchmarks.simulation.score import Parts, floors, ranked, values
from benchmarks.simulation.simulator import simulate

pytestmark = pytest.mark.usefixtures("untraced")
"""Hours are simulated here; tests/control covers the law."""


def second(at: int, cpu: float, *, waiting: float = 100.0, limits: tuple[float, ...] = (1.0,)) -> Second:
    """One of a record, with a ceiling of 60."""
    return Second(
        at=at, cpu_percent=cpu, neighbor_cores=0, cores=1, lag_seconds=5.0, waiting=waiting, arrived=100.0, stored=at,
        used=1.0, limits=limits,
    )  # fmt: skip


def record(law: str, cpus: list[float], path: tuple[float, ...], waiting: float = 100.0) -> Record:
    """A run in which nothing came after the start."""
    seconds = tuple(second(at, cpu, waiting=waiting) for at, cpu in enumerate(cpus, start=1))
    return Record(law, "made up", Bounds(), 10_000.0, seconds, (path,))


def test_settled_is_what_stays_near_the_ceiling() -> None:
    """A short visit does not count; what comes back never does."""
    span = [second(at, 60 if at in range(5, 9) or at > 20 else 10) for at in range(1, 41)]
    assert figures.settling_seconds(span, Bounds()) == pytest.approx(22)
    assert figures.settling_seconds(span[:25], Bounds()) == math.inf
    assert figures.back_in_band_seconds(span, Bounds()) == 0


def test_overshoot_and_peak_to_peak_are_taken_over_three_seconds() -> None:
    """A single second of 90 is three of ten points."""
    span = [second(at, 90 if at == 10 else 60) for at in range(1, 21)]
    assert figures.overshoot_points(span, Bounds()) == pytest.approx(10)
    assert figures.peak_to_peak_points(span, Bounds()) == pytest.approx(10)


def test_a_ceiling_that_falls_with_the_lag_counts_from_the_next_second_on() -> None:
    """The second in which the queue runs empty was lived under the old one."""
    late = [msgspec.structs.replace(second(at, 84), lag_seconds=300.0) for at in range(1, 10)]
    assert figures.overshoot_points([*late, second(10, 80), second(11, 0)], Bounds()) == 0
    assert figures.overshoot_points([*late, second(10, 80), second(11, 80), second(12, 80)], Bounds()) > 10


def test_fairness_is_one_for_equals_and_a_share_for_a_monopoly() -> None:
    """Jain's index at the end of the span."""
    assert figures.fairness([second(1, 0, limits=(2.0, 2.0))], Bounds()) == 1.0
    assert figures.fairness([second(1, 0, limits=(2.0, 0.0, 0.0, 0.0))], Bounds()) == 0.25


def test_the_three_quantities_of_a_run() -> None:
    """Points above the maximum, messages late since the start, changes of the logarithm."""
    found = values(record("hot", [95.0, 85.0, 100.0], (1.0, 2.0, 1.0)))
    assert msgspec.structs.astuple(found) == pytest.approx((25.0, 300.0, 2 * math.log(2)))


def test_each_part_is_divided_by_the_best_laws_and_a_floor() -> None:
    """Floors: ten seconds at the wrong end of the bounds, in points, in messages, and in the way there."""
    good = record("good", [60.0] * 10, (1.0, 1.0), waiting=0.0)
    hot = record("hot", [100.0] * 10, (1.0, 8.0), waiting=0.0)
    assert msgspec.structs.astuple(floors(good)) == pytest.approx((150.0, 1e6, math.log(160)))
    found = ranked([(hot, "h"), (good, "g")])
    assert [(each.law, each.rank, each.source) for each in found] == [("good", 1, "g"), ("hot", 2, "h")]
    assert found[0].ratios == Parts(0.0, 0.0, 0.0)
    assert found[1].ratios == Parts(150 / 150, 0.0, math.log(8) / math.log(160))
    assert found[1].score == pytest.approx((1 + math.log(8) / math.log(160)) / 3)
    late = record("late", [60.0] * 10, (1.0, 1.0), waiting=100.0)
    later = record("later", [60.0] * 20, (1.0, 1.0), waiting=100.0)
    assert ranked([(late, "l"), (later, "l")])[1].ratios.lateness == pytest.approx(2000 / (1000 + 1e6))


@pytest.fixture(scope="module")
def contest(tmp_path_factory: pytest.TempPathFactory) -> tuple[Outcome, Path]:
    """The shortest one, held once, and the folder it was written to."""
    folder = tmp_path_factory.mktemp("contest")
    return hold("burst", folder), folder


def test_a_contest_leaves_a_file_with_every_law_ranked(contest: tuple[Outcome, Path]) -> None:
    """The table and the summary name them all."""
    outcome, folder = contest
    assert msgspec.json.decode((folder / "burst.json").read_bytes(), type=Outcome) == outcome
    assert sorted(each.law for each in outcome.results) == sorted(law.name for law in LAWS)
    assert [each.rank for each in outcome.results] == list(range(1, len(LAWS) + 1))
    for text in ("\n".join(table(outcome)), "\n".join(summary([outcome])), report([outcome])):
        assert all(law.name in text for law in LAWS)


def test_the_committed_page_is_what_the_source_gives(contest: tuple[Outcome, Path]) -> None:
    """If this fails, the results are of an older law: `python -m benchmarks.simulation` writes them anew."""
    outcome, _ = contest
    assert section(outcome) in (RESULTS / "README.md").read_text("utf-8")


def test_every_scenario_has_its_committed_results() -> None:
    """A file, a section and a picture that is small enough to be committed."""
    page = (RESULTS / "README.md").read_text("utf-8")
    for name in names():
        outcome = msgspec.json.decode((RESULTS / f"{name}.json").read_bytes(), type=Outcome)
        assert section(outcome) in page
        assert (RESULTS / f"{name}.svg").stat().st_size < 60_000


def test_the_governor_is_first_in_nine_of_the_twelve_and_never_last() -> None:
    """As committed; the floors of the score as they are."""
    outcomes = [msgspec.json.decode((RESULTS / f"{name}.json").read_bytes(), type=Outcome) for name in names()]
    counted = [outcome for outcome in outcomes if outcome.is_counted]
    ranks = [outcome.of("governor").rank for outcome in counted]
    assert len(ranks) == 12
    assert ranks.count(1) == firsts(counted, 1.0) >= 9
    assert max(ranks) < len(LAWS)


def test_floors_decide_between_a_little_heat_and_a_little_haste(contest: tuple[Outcome, Path]) -> None:
    """With endless floors every law is as good as the next, and the first of the list is the first."""
    outcome, _ = contest
    assert firsts([outcome], 1.0) == (outcome.results[0].law == "governor")
    ours_first = msgspec.structs.replace(outcome, results=(outcome.of("governor"), *outcome.results))
    assert firsts([ours_first], math.inf) == 1


def test_a_burst_is_drained_as_fast_as_by_the_fixed_limit_of_the_same_cpu() -> None:
    """Finding the level costs no more than a tenth of the time that knowing it would take."""
    burst = Scenario(question="", seconds=400, load=Load(backlog_messages=6e6), database=read("burst").database)
    governed = simulate("burst", burst, GOVERNOR)
    busy = [each for each in governed.seconds if each.waiting > 0]
    mean = sum(each.cpu_percent for each in busy) / len(busy)
    fixed, limit = governed, 1.0
    for _ in range(12):
        fixed = simulate("burst", burst, Law("fixed", "", partial(Held, limit)))
        found = [each.cpu_percent for each in fixed.seconds if each.waiting > 0]
        limit *= mean / (sum(found) / len(found))
    drained = sum(each.waiting > 0 for each in fixed.seconds)
    assert len(busy) <= drained / 0.9


class Held:
    """A limit that somebody knew."""

    def __init__(self, limit: float, bounds: Bounds) -> None:
        del bounds
        self.limit = limit

    def decide(self, reading: object) -> float:
        """The same for ever."""
        del reading
        return self.limit
