"""All laws in one scenario, or in many: what is measured, written and said of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from benchmarks.simulation import scenario as scenarios
from benchmarks.simulation.controller import GOVERNOR
from benchmarks.simulation.controllers.registry import PUBLISHED
from benchmarks.simulation.figures import value_of
from benchmarks.simulation.plot import picture
from benchmarks.simulation.scenario import Expectation
from benchmarks.simulation.score import Parts, Result, floors, ranked
from benchmarks.simulation.simulator import simulate

LAWS = (GOVERNOR, *PUBLISHED)


class Met(msgspec.Struct, frozen=True):
    """What was expected of the governor, and what came of it."""

    expectation: Expectation
    value: float
    is_met: bool


class Outcome(msgspec.Struct, frozen=True):
    """One scenario's file."""

    scenario: str
    question: str
    is_counted: bool
    """Among those over which laws are ranked."""
    floors: Parts
    results: tuple[Result, ...]
    """The best first."""
    expectations: tuple[Met, ...]

    def of(self, law: str) -> Result:
        """The result of one law."""
        return next(result for result in self.results if result.law == law)


def hold(name: str, folder: Path) -> Outcome:
    """Runs every law in a scenario, and writes `name.json` and `name.svg` into the folder.

    Raises:
        FileNotFoundError: there is no such scenario.
    """
    chosen = scenarios.read(name)
    records = [simulate(name, chosen, law) for law in LAWS]
    ours = records[0]
    met = []
    for expectation in chosen.expected:
        value = value_of(expectation, ours)
        met.append(Met(expectation, value, expectation.is_met(value)))
    results = ranked([(record, law.source) for record, law in zip(records, LAWS, strict=True)])
    outcome = Outcome(name, chosen.question, chosen.is_counted, floors(ours), tuple(results), tuple(met))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_bytes(msgspec.json.format(msgspec.json.encode(outcome), indent=1) + b"\n")
    (folder / f"{name}.svg").write_text(picture(name, chosen.question, ours, records[1:]), "utf-8")
    return outcome


def table(outcome: Outcome) -> list[str]:
    """One scenario for a terminal."""
    head = f"  {'':4}{'law':20}{'score':>8}{'heat':>10}{'lateness':>12}{'wander':>9}{'CPU':>7}{'stored':>14}"
    lines = [outcome.scenario, f"  {outcome.question}", head]
    for result in outcome.results:
        ratios = result.ratios
        lines.append(
            f"  {result.rank:<4}{result.law:20}{result.score:8.2f}{ratios.heat:10.2f}{ratios.lateness:12.2f}"
            f"{ratios.wander:9.2f}{result.mean_cpu_percent:6.1f}%{result.stored:14,}"
        )
    lines += [f"      {line(met)}" for met in outcome.expectations]
    return lines


def summary(outcomes: Sequence[Outcome]) -> list[str]:
    """The ranks of every law over the scenarios that count, the best mean rank first."""
    counted = [outcome for outcome in outcomes if outcome.is_counted] or outcomes
    ranks = {law.name: [outcome.of(law.name).rank for outcome in counted] for law in LAWS}
    order = sorted(ranks, key=lambda name: sum(ranks[name]))
    lines = [f"  {'law':20}{'mean rank':>10}{'first':>7}{'last':>6}   ranks, scenario by scenario"]
    for name in order:
        own = ranks[name]
        each = " ".join(f"{rank:2}" for rank in own)
        lines.append(f"  {name:20}{sum(own) / len(own):10.1f}{own.count(1):7}{own.count(len(LAWS)):6}   {each}")
    return lines


def line(met: Met) -> str:
    """A figure, its value and its range."""
    expectation = met.expectation
    low = "" if expectation.at_least is None else f"at least {expectation.at_least:g}"
    high = "" if expectation.at_most is None else f"at most {expectation.at_most:g}"
    span = f"{expectation.from_seconds:g} to {expectation.to_seconds:g} s"
    word = "" if met.is_met else "   NOT MET"
    return f"{expectation.figure}, {span}: {met.value:.2f} ({low}{high}){word}"
