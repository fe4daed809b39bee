"""A contest as a picture: CPU under its ceiling, the limits, what waits; ours in bold, the published laws behind it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from benchmarks.panels import PANEL_GAP, Line, Panel, axis, bottom_of, page, panels
from benchmarks.simulation.record import Record, Second

Counted = Callable[[Second], float]


def picture(title: str, question: str, ours: Record, others: Sequence[Record]) -> str:
    """The scenario as an SVG that needs nothing but itself."""
    records = [(each, "other") for each in others] + [(ours, "ours")]

    def lines(counted: Counted) -> list[Line]:
        return [Line([(each.at, counted(each)) for each in record.seconds], kind) for record, kind in records]

    allowed = Line([(each.at, each.ceiling_percent(ours.bounds)) for each in ours.seconds], "ceiling")
    drawn = [
        Panel("CPU of the database, per cent", [*lines(lambda each: each.cpu_percent), allowed], 100.0),
        Panel("limits of all tasks together", lines(lambda each: sum(each.limits))),
        Panel("messages that wait", lines(lambda each: each.waiting)),
    ]
    seconds = max(record.seconds[-1].at for record, _ in records)
    bottom = bottom_of(len(drawn) - 1)
    heads = (title, question, "Blue: the governor. Grey: the published laws. Dashed: the governor's ceiling.")
    return page(heads, [*panels(drawn, seconds), axis(seconds, bottom + 18)], bottom + PANEL_GAP)
