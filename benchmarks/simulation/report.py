"""The page of results: ranks, their sensitivity to the floors, and a table and a plot per scenario."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from benchmarks.simulation.compare import CONTROLLERS, Outcome, line
from benchmarks.simulation.controller import GOVERNOR
from benchmarks.simulation.score import Parts, ratios_of

FLOORS_TIMES: Final = (0.25, 0.5, 1.0, 2.0, 4.0)

_COLUMNS: Final = ("", "controller", "score", "overload", "lateness", "movement")

_HEAD: Final = """# Concurrency controllers in simulated time: results

Written by `python -m benchmarks.simulation`; do not edit. What is simulated, how the score is computed, and where the
governor loses and why: [benchmarks/simulation](../../simulation/README.md).
"""


def report(outcomes: Sequence[Outcome]) -> str:
    """The whole page, as Markdown."""
    counted = [outcome for outcome in outcomes if outcome.is_counted]
    parts = [_HEAD, *_ranks(counted), *_floors(counted)]
    parts += [section(outcome) for outcome in (*counted, *(each for each in outcomes if not each.is_counted))]
    return "\n".join(parts)


def section(outcome: Outcome) -> str:
    """One scenario: table, expectations of the governor, plot."""
    columns = (*_COLUMNS, "point-s above max", "message-s late", "Σ abs Δ log limit", "CPU", "stored")
    lines = [
        f"## {outcome.scenario}{'' if outcome.is_counted else ' (not ranked)'}",
        "",
        outcome.question,
        "",
        f"| {' | '.join(columns)} |",
        f"| --: | --- |{' --: |' * (len(columns) - 2)}",
    ]
    for each in outcome.results:
        ratios, found = each.ratios, each.values
        name = f"**{each.controller}**" if each.controller == GOVERNOR.name else each.controller
        lines.append(
            f"| {each.rank} | {name} | {each.score:.2f} "
            f"| {ratios.overload:.2f} | {ratios.lateness:.2f} | {ratios.movement:.2f} "
            f"| {found.overload:,.0f} | {found.lateness:.3g} | {found.movement:.2f} "
            f"| {each.mean_cpu_percent:.1f} % | {each.stored:,} |"
        )
    lines += ["", "Expected of the governor:", ""]
    lines += [f"- {line(each)}" for each in outcome.expectations]
    lines += ["", f"![{outcome.scenario}]({outcome.scenario}.svg)", ""]
    return "\n".join(lines)


def firsts(outcomes: Sequence[Outcome], times: float) -> int:
    """In how many scenarios the governor would be first with the floors multiplied by `times`."""
    return sum(_first(outcome, times) == GOVERNOR.name for outcome in outcomes)


def _first(outcome: Outcome, times: float) -> str:
    floor = Parts(*(times * each for each in msgspec.structs.astuple(outcome.floors)))
    ratios = ratios_of([each.values for each in outcome.results], floor)
    means = [each.mean for each in ratios]
    return outcome.results[means.index(min(means))].controller


def _ranks(counted: Sequence[Outcome]) -> list[str]:
    ranks = {spec.name: [outcome.of(spec.name).rank for outcome in counted] for spec in CONTROLLERS}
    names = " | ".join(outcome.scenario for outcome in counted)
    lines = [
        "## Ranks",
        "",
        f"| controller | mean | first | last | {names} |",
        "| --- | --: | --: | --: | " + " | ".join("--:" for _ in counted) + " |",
    ]
    for name in sorted(ranks, key=lambda name: sum(ranks[name])):
        own = ranks[name]
        each = " | ".join(str(rank) for rank in own)
        lines.append(
            f"| {name} | {sum(own) / len(own):.1f} | {own.count(1)} | {own.count(len(CONTROLLERS))} | {each} |",
        )
    return [*lines, ""]


def _floors(counted: Sequence[Outcome]) -> list[str]:
    cells = " | ".join(str(firsts(counted, times)) for times in FLOORS_TIMES)
    return [
        "## Sensitivity to the floors",
        "",
        f"| floors × | {' | '.join(f'{times:g}' for times in FLOORS_TIMES)} |",
        "| --- | " + " | ".join("--:" for _ in FLOORS_TIMES) + " |",
        f"| governor first, of {len(counted)} | {cells} |",
        "",
    ]
