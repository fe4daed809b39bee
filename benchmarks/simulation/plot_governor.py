"""The governor at work in one scenario, with its reasons: the picture of `docs/control-law.md`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, TypeAlias

from benchmarks.panels import LEFT, PANEL_GAP, RIGHT, WIDTH, Line, Panel, axis, bottom_of, page, panels, x_of
from benchmarks.panels import text as words
from benchmarks.simulation import scenario
from benchmarks.simulation.controller import Bounds, Governor, Law
from benchmarks.simulation.record import Record
from benchmarks.simulation.simulator import simulate
from subscriber.control.governor.state import Decision
from subscriber.control.reading import Reading

ROW_HEIGHT: Final = 20

ExpectedMessage: TypeAlias = list[tuple[float, float, Decision]]
"""When, the limit before, and what was decided."""


class Telling(Governor):
    """The governor, and what it said."""

    def __init__(self, bounds: Bounds, told: ExpectedMessage) -> None:
        super().__init__(bounds)
        self._told = told

    def decide(self, reading: Reading) -> float:
        """One step, noted."""
        before = self.limit
        after = super().decide(reading)
        assert self.last is not None
        self._told.append((reading.taken_at, before, self.last))
        return after


def portrait(name: str, until_seconds: int) -> str:
    """The first so many seconds of a scenario, as an SVG.

    Raises:
        FileNotFoundError: there is no such scenario.
    """
    chosen = scenario.read(name)
    told: ExpectedMessage = []
    record = simulate(name, chosen, Law("governor", "", lambda bounds: Telling(bounds, told)))
    begin = chosen.lead_in.seconds
    shown = [(at - begin, before, said) for at, before, said in told if 0 <= at - begin <= until_seconds]
    drawn = _panels(record, until_seconds)
    bottom = bottom_of(len(drawn) - 1)
    rows = list(_reasons(shown, until_seconds, bottom + PANEL_GAP))
    height = bottom + PANEL_GAP + ROW_HEIGHT * len({said.reason for _, _, said in shown})
    heads = (
        f"The law at work: {name}",
        chosen.question,
        "Dashed: the ceiling. Brown: the neighbor's demand. Below: the reason of each second; green up, red down.",
    )
    parts = [*panels(drawn, until_seconds), *rows, axis(until_seconds, height + 8)]
    return page(heads, parts, height + 24)


def _panels(record: Record, until_seconds: int) -> list[Panel]:
    seconds = [each for each in record.seconds if each.at <= until_seconds]
    foreign = [(each.at, min(100.0, 100 * each.neighbor_cores / each.cores)) for each in seconds]
    allowed = [(each.at, each.ceiling_percent(record.bounds)) for each in seconds]
    cpu = [(each.at, each.cpu_percent) for each in seconds]
    return [
        Panel(
            "CPU of the database, per cent",
            [Line(foreign, "foreign"), Line(cpu, "ours"), Line(allowed, "ceiling")],
            100.0,
        ),
        Panel("limit: writes at work on average", [Line([(each.at, sum(each.limits)) for each in seconds], "ours")]),
        Panel("lag, seconds", [Line([(each.at, each.lag_seconds) for each in seconds], "ours")]),
    ]


def _reasons(shown: Sequence[tuple[float, float, Decision]], until_seconds: int, top: float) -> Iterator[str]:
    """A row for each reason that was given, a mark for each second that it was."""
    for number, reason in enumerate(dict.fromkeys(said.reason for _, _, said in shown)):
        y = top + ROW_HEIGHT * number
        yield words(LEFT - 8, y + 4, reason, "name")
        yield f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:g}" y2="{y:g}"/>'
        for kind in ("stay", "up", "down"):
            marks = [at for at, before, said in shown if said.reason == reason and _kind(before, said) == kind]
            path = "".join(f"M{x_of(at, until_seconds):.0f} {y - 5:g}v10" for at in marks)
            yield f'<path class="{kind}" d="{path}"/>' if path else ""


def _kind(before: float, said: Decision) -> str:
    if said.limit == before:
        return "stay"
    return "up" if said.limit > before else "down"
