"""Plots the governor in one scenario, with the reasons of its decisions; for `docs/explanation/control-law.md`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, TypeAlias

from benchmarks.panels import LEFT, PANEL_GAP, RIGHT, WIDTH, Line, Panel, axis, bottom_of, page, panels, x_of
from benchmarks.panels import text as words
from benchmarks.simulation import scenario
from benchmarks.simulation.controller import Bounds, ControllerSpec, Governor
from benchmarks.simulation.record import Record
from benchmarks.simulation.simulator import simulate
from subscriber.control.governor.state import Decision
from subscriber.control.reading import Reading

ROW_HEIGHT: Final = 20

Decisions: TypeAlias = list[tuple[float, float, Decision]]
"""Time, limit before, and decision."""


class RecordingGovernor(Governor):
    """A governor that records its decisions."""

    def __init__(self, bounds: Bounds, decisions: Decisions) -> None:
        super().__init__(bounds)
        self._decisions = decisions

    def decide(self, reading: Reading) -> float:
        """Makes and records one decision."""
        before = self.limit
        after = super().decide(reading)
        assert self.last is not None
        self._decisions.append((reading.taken_at, before, self.last))
        return after


def governor_svg(name: str, until_seconds: int) -> str:
    """The first `until_seconds` of a scenario, as an SVG.

    Raises:
        FileNotFoundError: there is no such scenario.
    """
    chosen = scenario.read(name)
    decisions: Decisions = []
    record = simulate(name, chosen, ControllerSpec("governor", "", lambda bounds: RecordingGovernor(bounds, decisions)))
    begin = chosen.warm_up.seconds
    shown = [(at - begin, before, decision) for at, before, decision in decisions if 0 <= at - begin <= until_seconds]
    drawn = _panels(record, until_seconds)
    bottom = bottom_of(len(drawn) - 1)
    rows = list(_reasons(shown, until_seconds, bottom + PANEL_GAP))
    height = bottom + PANEL_GAP + ROW_HEIGHT * len({decision.reason for _, _, decision in shown})
    heads = (
        f"The governor in the scenario {name}",
        chosen.question,
        "Dashed: ceiling. Brown: the neighbor's demand. Bottom: reason per second; green: limit raised, red: lowered.",
    )
    parts = [*panels(drawn, until_seconds), *rows, axis(until_seconds, height + 8)]
    return page(heads, parts, height + 24)


def _panels(record: Record, until_seconds: int) -> list[Panel]:
    seconds = [each for each in record.seconds if each.at <= until_seconds]
    neighbor = [(each.at, min(100.0, 100 * each.neighbor_cores / each.cores)) for each in seconds]
    allowed = [(each.at, each.ceiling_percent(record.bounds)) for each in seconds]
    cpu = [(each.at, each.cpu_percent) for each in seconds]
    return [
        Panel(
            "database CPU, percent",
            [Line(neighbor, "external"), Line(cpu, "ours"), Line(allowed, "ceiling")],
            100.0,
        ),
        Panel("limit: mean concurrent writes", [Line([(each.at, sum(each.limits)) for each in seconds], "ours")]),
        Panel("lag, seconds", [Line([(each.at, each.lag_seconds) for each in seconds], "ours")]),
    ]


def _reasons(shown: Sequence[tuple[float, float, Decision]], until_seconds: int, top: float) -> Iterator[str]:
    """A row per reason, with a mark per second in which it was given."""
    for number, reason in enumerate(dict.fromkeys(decision.reason for _, _, decision in shown)):
        y = top + ROW_HEIGHT * number
        yield words(LEFT - 8, y + 4, reason, "name")
        yield f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:g}" y2="{y:g}"/>'
        for kind in ("stay", "up", "down"):
            marks = [
                at for at, before, decision in shown if decision.reason == reason and _kind(before, decision) == kind
            ]
            path = "".join(f"M{x_of(at, until_seconds):.0f} {y - 5:g}v10" for at in marks)
            yield f'<path class="{kind}" d="{path}"/>' if path else ""


def _kind(before: float, decision: Decision) -> str:
    if decision.limit == before:
        return "stay"
    return "up" if decision.limit > before else "down"
