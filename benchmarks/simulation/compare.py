"""Compares all controllers in one scenario: runs them, writes the results, and formats tables for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from benchmarks.simulation import scenario as scenarios
from benchmarks.simulation.controller import GOVERNOR
from benchmarks.simulation.controllers.registry import PUBLISHED
from benchmarks.simulation.figures import value_of
from benchmarks.simulation.plot import comparison_svg
from benchmarks.simulation.scenario import Expectation
from benchmarks.simulation.score import Parts, Result, floors, ranked
from benchmarks.simulation.simulator import simulate

CONTROLLERS = (GOVERNOR, *PUBLISHED)


class ExpectationResult(msgspec.Struct, frozen=True):
    """An expectation of the governor, and the value that was measured."""

    expectation: Expectation
    value: float
    is_met: bool


class Outcome(msgspec.Struct, frozen=True):
    """The results of one scenario: the content of its JSON file."""

    scenario: str
    question: str
    is_counted: bool
    """Whether the scenario counts for the ranks."""
    floors: Parts
    results: tuple[Result, ...]
    """Best first."""
    expectations: tuple[ExpectationResult, ...]

    def of(self, controller: str) -> Result:
        """The result of one controller."""
        return next(result for result in self.results if result.controller == controller)


def compare(name: str, folder: Path) -> Outcome:
    """Runs every controller in a scenario, and writes `name.json` and `name.svg` into the folder.

    Raises:
        FileNotFoundError: there is no such scenario.
    """
    chosen = scenarios.read(name)
    records = [simulate(name, chosen, spec) for spec in CONTROLLERS]
    ours = records[0]
    expectations = []
    for expectation in chosen.expected:
        value = value_of(expectation, ours)
        expectations.append(ExpectationResult(expectation, value, expectation.is_met(value)))
    results = ranked([(record, spec.source) for record, spec in zip(records, CONTROLLERS, strict=True)])
    outcome = Outcome(name, chosen.question, chosen.is_counted, floors(ours), tuple(results), tuple(expectations))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_bytes(msgspec.json.format(msgspec.json.encode(outcome), indent=1) + b"\n")
    (folder / f"{name}.svg").write_text(comparison_svg(name, chosen.question, ours, records[1:]), "utf-8")
    return outcome


def table(outcome: Outcome) -> list[str]:
    """One scenario as a table for a terminal."""
    columns = f"{'score':>8}{'overload':>10}{'lateness':>12}{'movement':>9}{'CPU':>7}{'stored':>14}"
    lines = [outcome.scenario, f"  {outcome.question}", f"  {'':4}{'controller':20}{columns}"]
    for result in outcome.results:
        ratios = result.ratios
        lines.append(
            f"  {result.rank:<4}{result.controller:20}{result.score:8.2f}{ratios.overload:10.2f}{ratios.lateness:12.2f}"
            f"{ratios.movement:9.2f}{result.mean_cpu_percent:6.1f}%{result.stored:14,}"
        )
    lines += [f"      {line(each)}" for each in outcome.expectations]
    return lines


def summary(outcomes: Sequence[Outcome]) -> list[str]:
    """The ranks of every controller over the scenarios that count, best mean rank first."""
    counted = [outcome for outcome in outcomes if outcome.is_counted] or outcomes
    ranks = {spec.name: [outcome.of(spec.name).rank for outcome in counted] for spec in CONTROLLERS}
    order = sorted(ranks, key=lambda name: sum(ranks[name]))
    lines = [f"  {'controller':20}{'mean rank':>10}{'first':>7}{'last':>6}   ranks, scenario by scenario"]
    for name in order:
        own = ranks[name]
        each = " ".join(f"{rank:2}" for rank in own)
        lines.append(f"  {name:20}{sum(own) / len(own):10.1f}{own.count(1):7}{own.count(len(CONTROLLERS)):6}   {each}")
    return lines


def line(result: ExpectationResult) -> str:
    """A figure, its measured value and its expected range."""
    expectation = result.expectation
    low = "" if expectation.at_least is None else f"at least {expectation.at_least:g}"
    high = "" if expectation.at_most is None else f"at most {expectation.at_most:g}"
    span = f"{expectation.from_seconds:g} to {expectation.to_seconds:g} s"
    mark = "" if result.is_met else "   NOT MET"
    return f"{expectation.figure}, {span}: {result.value:.2f} ({low}{high}){mark}"
