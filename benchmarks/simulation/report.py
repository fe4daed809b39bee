"""The page of results: ranks, whether they hang on the floors, and a table and a picture per scenario."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from benchmarks.simulation.compare import LAWS, Outcome, line
from benchmarks.simulation.controller import GOVERNOR
from benchmarks.simulation.score import Parts, ratios_of

FLOORS_TIMES: Final = (0.25, 0.5, 1.0, 2.0, 4.0)

_COLUMNS: Final = ("", "law", "score", "heat", "lateness", "wander")

_HEAD: Final = """# Laws of control, in simulated time: results

Written by `python -m benchmarks.simulation`; not to be edited. What is simulated, how it is scored, and where the
governor loses and why: [benchmarks/simulation](../../simulation/README.md).
"""


def report(outcomes: Sequence[Outcome]) -> str:
    """The whole page, as Markdown."""
    counted = [outcome for outcome in outcomes if outcome.is_counted]
    parts = [_HEAD, *_ranks(counted), *_floors(counted)]
    parts += [section(outcome) for outcome in (*counted, *(each for each in outcomes if not each.is_counted))]
    return "\n".join(parts)


def section(outcome: Outcome) -> str:
    """One scenario: its table, what was expected of the governor, its picture."""
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
        name = f"**{each.law}**" if each.law == GOVERNOR.name else each.law
        lines.append(
            f"| {each.rank} | {name} | {each.score:.2f} "
            f"| {ratios.heat:.2f} | {ratios.lateness:.2f} | {ratios.wander:.2f} "
            f"| {found.heat:,.0f} | {found.lateness:.3g} | {found.wander:.2f} "
            f"| {each.mean_cpu_percent:.1f} % | {each.stored:,} |"
        )
    lines += ["", "Of the governor:", ""]
    lines += [f"- {line(met)}" for met in outcome.expectations]
    lines += ["", f"![{outcome.scenario}]({outcome.scenario}.svg)", ""]
    return "\n".join(lines)


def firsts(outcomes: Sequence[Outcome], times: float) -> int:
    """In how many scenarios the governor would be first if the floors were so many times as large."""
    return sum(_first(outcome, times) == GOVERNOR.name for outcome in outcomes)


def _first(outcome: Outcome, times: float) -> str:
    floor = Parts(*(times * each for each in msgspec.structs.astuple(outcome.floors)))
    ratios = ratios_of([each.values for each in outcome.results], floor)
    means = [each.mean for each in ratios]
    return outcome.results[means.index(min(means))].law


def _ranks(counted: Sequence[Outcome]) -> list[str]:
    ranks = {law.name: [outcome.of(law.name).rank for outcome in counted] for law in LAWS}
    names = " | ".join(outcome.scenario for outcome in counted)
    lines = [
        "## Ranks",
        "",
        f"| law | mean | first | last | {names} |",
        "| --- | --: | --: | --: | " + " | ".join("--:" for _ in counted) + " |",
    ]
    for name in sorted(ranks, key=lambda name: sum(ranks[name])):
        own = ranks[name]
        each = " | ".join(str(rank) for rank in own)
        lines.append(
            f"| {name} | {sum(own) / len(own):.1f} | {own.count(1)} | {own.count(len(LAWS))} | {each} |",
        )
    return [*lines, ""]


def _floors(counted: Sequence[Outcome]) -> list[str]:
    cells = " | ".join(str(firsts(counted, times)) for times in FLOORS_TIMES)
    return [
        "## Do they hang on the floors?",
        "",
        f"| floors times | {' | '.join(f'{times:g}' for times in FLOORS_TIMES)} |",
        "| --- | " + " | ".join("--:" for _ in FLOORS_TIMES) + " |",
        f"| governor first, of {len(counted)} | {cells} |",
        "",
    ]
