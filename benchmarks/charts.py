"""SVG charts without a library: panels of lines over one time axis, and bars."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from typing import Final, TypeAlias

import msgspec

Point: TypeAlias = tuple[float, float]

WIDTH: Final = 900
_LEFT = 84
_RIGHT = 20
_PANEL_HEIGHT = 90
_PANEL_GAP = 34
_TOP = 24
_AXIS_HEIGHT = 30
_BAR_HEIGHT = 22
_BAR_GAP = 8
_BAR_NAMES = 190
_BAR_VALUES = 90
_BAR_CUT = 4.0
"""A bar this many times longer than the next one is cut, or the others could not be told apart."""
_TIME_TICKS = 8
_MARGIN = 20
_HEAD_HEIGHT = 44
_LINE_HEIGHT = 16
_MARK_ROWS = 2
"""Texts of marks alternate between so many rows, because neighbors may be closer than their texts are wide."""
_PICTURE_STYLE: Final = """
text { font: 12px system-ui, "Segoe UI", Helvetica, Arial, sans-serif; fill: #1f2733; }
.head { font-size: 15px; font-weight: 600; } .caption { font-size: 11px; fill: #5b6675; }
.title { font-weight: 600; } .name { text-anchor: end; } .tick { text-anchor: middle; }
.ground { fill: #fbfcfe; stroke: #cfd6e0; } .grid { stroke: #dde2ea; }
.line { fill: none; stroke: #1668a8; stroke-width: 1.6; stroke-linejoin: round; }
.dashed { fill: none; stroke: #c33; stroke-width: 1.2; stroke-dasharray: 5 4; }
.mark { stroke: #b07312; stroke-width: 1; stroke-dasharray: 2 3; } .moment { font-size: 11px; fill: #8a5a0c; }
"""


class Panel(msgspec.Struct, frozen=True):
    """One quantity over time: pairs of seconds and value."""

    title: str
    points: Sequence[Point]
    dashed: Sequence[Point] = ()
    """A second line to compare with; the title says what it is."""


def picture(
    title: str, panels: Sequence[Panel], captions: Sequence[str], marks: Sequence[tuple[float, str]] = ()
) -> str:
    """The panels one below the other over one axis of seconds, as an SVG file with its own colors and background.

    Args:
        title: stands at the top.
        panels: what is drawn.
        captions: lines of small print at the bottom.
        marks: moments that cross all panels, each with its second and a short text.
    """
    head = _HEAD_HEIGHT + (_MARK_ROWS * _LINE_HEIGHT if marks else 0)
    bottom = head + _time_height(panels)
    height = bottom + _LINE_HEIGHT * len(captions) + 2
    inside = "\n".join([*_time_parts(panels), *_marks(panels, marks)])
    parts = [
        f"<style>{_PICTURE_STYLE}</style>",
        f'<rect class="ground" x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1}" rx="8"/>',
        _text(_MARGIN, _HEAD_HEIGHT - 14, title, "head"),
        f'<g transform="translate(0 {head})">\n{inside}\n</g>',
        *(_text(_MARGIN, bottom + _LINE_HEIGHT * number, line, "caption") for number, line in enumerate(captions)),
    ]
    return _svg(height, parts) + "\n"


def bar_chart(title: str, bars: Sequence[tuple[str, float]]) -> str:
    """A bar for each name, as long as its value; the longest is cut where it would dwarf all others."""
    ordered = sorted((value for _, value in bars), reverse=True)
    is_cut = len(ordered) > 1 and ordered[0] > _BAR_CUT * ordered[1] > 0
    full = (1.25 * ordered[1] if is_cut else ordered[0] if ordered else 0.0) or 1.0
    widest = WIDTH - _BAR_NAMES - _BAR_VALUES
    parts = [_text(0, 14, title, "title")]
    for number, (name, value) in enumerate(bars):
        top = _TOP + number * (_BAR_HEIGHT + _BAR_GAP)
        length = max(1.0, widest * min(1.0, value / full))
        middle = top + _BAR_HEIGHT * 0.7
        parts.append(_text(_BAR_NAMES - 8, middle, name, "name"))
        parts.append(f'<rect class="bar" x="{_BAR_NAMES}" y="{top}" width="{length:.1f}" height="{_BAR_HEIGHT}"/>')
        if value > full:
            parts.append(_cut(_BAR_NAMES + 0.9 * length, top))
        parts.append(_text(_BAR_NAMES + length + 6, middle, number_text(value), "value"))
    return _svg(_TOP + len(bars) * (_BAR_HEIGHT + _BAR_GAP), parts)


def number_text(value: float) -> str:
    """A number with about three significant digits, however large."""
    if value >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.3g}"


def ceiling(value: float) -> float:
    """The top of an axis: the smallest of 1, 2 or 5 times a power of ten that is not below the value."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= value * (1 - 1e-9))


def _time_height(panels: Sequence[Panel]) -> float:
    return _TOP + len(panels) * (_PANEL_HEIGHT + _PANEL_GAP) + _AXIS_HEIGHT


def _time_parts(panels: Sequence[Panel]) -> list[str]:
    seconds = _seconds(panels)
    parts = [_axis(seconds, _time_height(panels) - _AXIS_HEIGHT - _PANEL_GAP + 16)]
    for number, panel in enumerate(panels):
        parts += _panel(panel, seconds, _TOP + number * (_PANEL_HEIGHT + _PANEL_GAP))
    return parts


def _seconds(panels: Sequence[Panel]) -> float:
    return max((point[0] for panel in panels for point in panel.points), default=0.0) or 1.0


def _panel(panel: Panel, seconds: float, top: float) -> Iterator[str]:
    highest = ceiling(max((value for _, value in [*panel.points, *panel.dashed]), default=0.0))
    bottom = top + _PANEL_HEIGHT
    yield _text(_LEFT, top - 6, panel.title, "title")
    for share in (0.0, 0.5, 1.0):
        y = bottom - share * _PANEL_HEIGHT
        yield f'<line class="grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield _text(_LEFT - 6, y + 4, number_text(share * highest), "name")
    for kind, points in (("dashed", panel.dashed), ("line", panel.points)):
        line = " ".join(f"{_x(at, seconds):.1f},{bottom - value / highest * _PANEL_HEIGHT:.1f}" for at, value in points)
        if points:
            yield f'<polyline class="{kind}" points="{line}"/>'


def _marks(panels: Sequence[Panel], marks: Sequence[tuple[float, str]]) -> Iterator[str]:
    """A vertical line through all panels for each moment, with its text above the first panel."""
    seconds, bottom = _seconds(panels), _time_height(panels) - _AXIS_HEIGHT - _PANEL_GAP
    for number, (moment, text) in enumerate(marks):
        x, y = _x(moment, seconds), -_LINE_HEIGHT * (_MARK_ROWS - 1 - number % _MARK_ROWS) - 2
        yield f'<line class="mark" x1="{x:.1f}" x2="{x:.1f}" y1="{y + 3}" y2="{bottom:.1f}"/>'
        yield _text(x + 3, y, text, "moment")


def _cut(x: float, top: float) -> str:
    """Two slanted gaps: the bar is longer than it is drawn."""
    return "".join(
        f'<path class="cut" d="M{x + shift:.1f} {top + _BAR_HEIGHT} l8 {-_BAR_HEIGHT}"/>' for shift in (0, 7)
    )


def _axis(seconds: float, y: float) -> str:
    step = ceiling(seconds / _TIME_TICKS)
    moments = [number * step for number in range(int(seconds / step) + 1)]
    return "".join(_text(_x(moment, seconds), y, f"{number_text(moment)} s", "tick") for moment in moments)


def _x(moment: float, seconds: float) -> float:
    return _LEFT + moment / seconds * (WIDTH - _LEFT - _RIGHT)


def _text(x: float, y: float, text: str, kind: str) -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>'


def _svg(height: float, parts: Iterable[str]) -> str:
    inside = "\n".join(parts)
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" role="img">\n{inside}\n</svg>'
