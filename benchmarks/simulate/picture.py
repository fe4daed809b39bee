"""A run as a picture: CPU under its ceiling, the limits, what waits; ours in bold, the published laws behind it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from html import escape
from typing import Final

from benchmarks.simulate.record import Record, Second
from benchmarks.trial.chart import ceiling, number_text

_WIDTH: Final = 900
_LEFT: Final = 80
_RIGHT: Final = 40
_PANEL_HEIGHT: Final = 130
_PANEL_GAP: Final = 40
_TOP: Final = 80
_POINTS: Final = 300
"""A line has no more than this: there are not many more dots on a screen."""
_TICKS: Final = 8
_STYLE: Final = """
svg { color-scheme: light dark; background: Canvas; color: CanvasText; }
text { font: 12px system-ui, sans-serif; fill: currentColor; } .title { font-weight: 600; }
.name { text-anchor: end; } .tick { text-anchor: middle; } .grid { stroke: #8884; }
polyline { fill: none; } .ours { stroke: #1668a8; stroke-width: 2; } .ceiling { stroke: #c33; stroke-dasharray: 5 4; }
.other { stroke: #888; stroke-width: 1; opacity: .45; }
"""

Counted = Callable[[Second], float]


def picture(title: str, question: str, ours: Record, others: Sequence[Record]) -> str:
    """The scenario as an SVG that needs nothing but itself."""
    seconds = len(ours.seconds)
    height = _TOP + 3 * (_PANEL_HEIGHT + _PANEL_GAP)
    records = [(each, "other") for each in others] + [(ours, "ours")]
    parts = [
        f"<style>{_STYLE}</style>",
        _text(0, 16, title, "title"),
        _text(0, 34, question, ""),
        _text(0, 52, "Bold: the governor. Grey: published laws. Dashed: the governor's ceiling.", ""),
        *_panel(0, "CPU of the database, per cent", records, lambda each: each.cpu_percent),
        _line([(each.at, each.ceiling_percent(ours.bounds)) for each in ours.seconds], seconds, (0, 100), "ceiling"),
        *_panel(1, "limits of all tasks together", records, lambda each: sum(each.limits)),
        *_panel(2, "messages that wait", records, lambda each: each.waiting),
        _axis(seconds, height - _PANEL_GAP + 18),
    ]
    inside = "\n".join(parts)
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img">\n{inside}\n</svg>\n'


def _panel(number: int, title: str, records: Sequence[tuple[Record, str]], counted: Counted) -> Iterator[str]:
    highest = ceiling(max(counted(each) for record, _ in records for each in record.seconds))
    bottom = _bottom(number)
    yield _text(_LEFT, bottom - _PANEL_HEIGHT - 6, title, "title")
    for share in (0.0, 0.5, 1.0):
        y = bottom - share * _PANEL_HEIGHT
        yield f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield _text(_LEFT - 6, y + 4, number_text(share * highest), "name")
    for record, kind in records:
        points = [(each.at, counted(each)) for each in record.seconds]
        yield _line(points, len(record.seconds), (number, highest), kind)


def _line(points: Sequence[tuple[float, float]], seconds: int, panel: tuple[int, float], kind: str) -> str:
    """A line in a panel, given by its number and what its top stands for; means where there are too many points."""
    number, highest = panel
    stride = max(1, len(points) // _POINTS)
    drawn = []
    for at in range(0, len(points), stride):
        some = points[at : at + stride]
        value = sum(value for _, value in some) / len(some)
        drawn.append(f"{_x(some[-1][0], seconds):.1f},{_bottom(number) - value / highest * _PANEL_HEIGHT:.1f}")
    return f'<polyline class="{kind}" points="{" ".join(drawn)}"/>'


def _axis(seconds: int, y: float) -> str:
    step = ceiling(seconds / _TICKS)
    moments = [number * step for number in range(int(seconds / step) + 1)]
    return "".join(_text(_x(moment, seconds), y, f"{number_text(moment)} s", "tick") for moment in moments)


def _bottom(number: int) -> float:
    return _TOP + number * (_PANEL_HEIGHT + _PANEL_GAP) + _PANEL_HEIGHT


def _x(moment: float, seconds: int) -> float:
    return _LEFT + moment / seconds * (_WIDTH - _LEFT - _RIGHT)


def _text(x: float, y: float, text: str, kind: str) -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>'
