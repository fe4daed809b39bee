"""Line charts in panels over a common time axis: an SVG with its own background, readable on a page of any color."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from typing import Final, TypeAlias

import msgspec

from benchmarks.charts import ceiling, number_text

WIDTH: Final = 900
LEFT: Final = 110
RIGHT: Final = 30
TOP: Final = 98
PANEL_HEIGHT: Final = 130
PANEL_GAP: Final = 40

_POINTS: Final = 240
"""The most points of a line; more would not be visible on a screen."""
_TICKS: Final = 8
_STYLE: Final = """
text { font: 12px system-ui, "Segoe UI", Helvetica, Arial, sans-serif; fill: #1f2733; }
.head { font-size: 15px; font-weight: 600; } .title { font-weight: 600; } .caption { fill: #5b6675; }
.name { text-anchor: end; } .tick { text-anchor: middle; } .grid { stroke: #dde2ea; }
.background { fill: #fbfcfe; stroke: #cfd6e0; } polyline { fill: none; stroke-linejoin: round; }
.ours { stroke: #1668a8; stroke-width: 2; } .ceiling { stroke: #c02f2f; stroke-dasharray: 5 4; }
.external { stroke: #b07312; stroke-width: 1.5; } .other { stroke: #7d8794; opacity: .45; }
.up { stroke: #23804a; stroke-width: 2; } .down { stroke: #c02f2f; stroke-width: 2; } .stay { stroke: #9aa4b2; }
"""

Point: TypeAlias = tuple[float, float]


class Line(msgspec.Struct, frozen=True):
    """Points of time in seconds and value, and the CSS class that sets the color."""

    points: Sequence[Point]
    kind: str


class Panel(msgspec.Struct, frozen=True):
    """The chart of one quantity."""

    title: str
    lines: Sequence[Line]
    highest: float | None = None
    """Value at the top; None: a round number above all lines."""


def page(heads: Sequence[str], parts: Sequence[str], height: float) -> str:
    """A complete SVG: title, caption lines and parts."""
    background = f'<rect class="background" x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1:g}" rx="8"/>'
    kinds = ["head", *["caption"] * (len(heads) - 1)]
    words = [text(20, 26 + 18 * number, head, kinds[number]) for number, head in enumerate(heads)]
    inside = "\n".join([f"<style>{_STYLE}</style>", background, *words, *parts])
    view = f'viewBox="0 0 {WIDTH} {height:g}" width="{WIDTH}" height="{height:g}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {view} role="img">\n{inside}\n</svg>\n'


def panels(drawn: Sequence[Panel], seconds: float) -> Iterator[str]:
    """The panels, one below the other, as SVG elements."""
    for number, panel in enumerate(drawn):
        bottom = bottom_of(number)
        highest = panel.highest or ceiling(max(value for line in panel.lines for _, value in line.points))
        yield text(LEFT, bottom - PANEL_HEIGHT - 6, panel.title, "title")
        for share in (0.0, 0.5, 1.0):
            y = bottom - share * PANEL_HEIGHT
            yield f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:g}" y2="{y:g}"/>'
            yield text(LEFT - 8, y + 4, number_text(share * highest), "name")
        for line in panel.lines:
            yield _polyline(line, seconds, bottom, highest)


def bottom_of(number: int) -> float:
    """The y coordinate of a panel's zero."""
    return TOP + number * (PANEL_HEIGHT + PANEL_GAP) + PANEL_HEIGHT


def axis(seconds: float, y: float) -> str:
    """The labels of the time axis."""
    step = ceiling(seconds / _TICKS)
    moments = [number * step for number in range(int(seconds / step) + 1)]
    return "".join(text(x_of(moment, seconds), y, f"{number_text(moment)} s", "tick") for moment in moments)


def x_of(moment: float, seconds: float) -> float:
    """The x coordinate of a moment."""
    return LEFT + moment / seconds * (WIDTH - LEFT - RIGHT)


def text(x: float, y: float, words: str, kind: str) -> str:
    """A text element."""
    return f'<text class="{kind}" x="{x:.0f}" y="{y:.0f}">{escape(words)}</text>'


def _polyline(line: Line, seconds: float, bottom: float, highest: float) -> str:
    """A line, with means where there are too many points, and no points inside a level stretch."""
    stride = -(-len(line.points) // _POINTS)
    dots: list[tuple[int, int]] = []
    for at in range(0, len(line.points), stride):
        some = line.points[at : at + stride]
        value = sum(value for _, value in some) / len(some)
        dot = (round(x_of(some[-1][0], seconds)), round(bottom - value / highest * PANEL_HEIGHT))
        if len(dots) > 1 and dots[-2][1] == dots[-1][1] == dot[1]:
            dots[-1] = dot
        else:
            dots.append(dot)
    points = " ".join(f"{x},{y}" for x, y in dots)
    return f'<polyline class="{line.kind}" points="{points}"/>'
