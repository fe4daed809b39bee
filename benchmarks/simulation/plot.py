"""Plots a comparison: CPU and ceiling, limits, backlog; the governor in bold over the published controllers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from benchmarks.panels import PANEL_GAP, Line, Panel, axis, bottom_of, page, panels
from benchmarks.simulation.record import Record, Second

Value = Callable[[Second], float]


def comparison_svg(title: str, question: str, ours: Record, others: Sequence[Record]) -> str:
    """One scenario as a self-contained SVG."""
    records = [(each, "other") for each in others] + [(ours, "ours")]

    def lines(value_of: Value) -> list[Line]:
        return [Line([(each.at, value_of(each)) for each in record.seconds], kind) for record, kind in records]

    allowed = Line([(each.at, each.ceiling_percent(ours.bounds)) for each in ours.seconds], "ceiling")
    drawn = [
        Panel("database CPU, percent", [*lines(lambda each: each.cpu_percent), allowed], 100.0),
        Panel("sum of the limits of all tasks", lines(lambda each: sum(each.limits))),
        Panel("messages waiting", lines(lambda each: each.waiting)),
    ]
    seconds = max(record.seconds[-1].at for record, _ in records)
    bottom = bottom_of(len(drawn) - 1)
    heads = (title, question, "Blue: the governor. Gray: published controllers. Dashed: the governor's ceiling.")
    return page(heads, [*panels(drawn, seconds), axis(seconds, bottom + 18)], bottom + PANEL_GAP)
