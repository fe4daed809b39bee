"""Plots of runs: they show every quantity, and they stay small."""

from __future__ import annotations

import re
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from benchmarks.panels import Line, Panel, panels
from benchmarks.simulation import __main__ as command
from benchmarks.simulation.controller import GOVERNOR
from benchmarks.simulation.controllers.fixed import HIGH, LOW
from benchmarks.simulation.plot import comparison_svg
from benchmarks.simulation.scenario import Event, Load, Scenario, WarmUp
from benchmarks.simulation.simulator import simulate

pytestmark = pytest.mark.usefixtures("untraced")
"""These tests simulate hours; tests/control covers the governor."""

SHORT = Scenario(
    question="",
    seconds=60,
    warm_up=WarmUp(seconds=0),
    load=Load(backlog_messages=3e5),
    events=(Event(30, neighbor_cores=4),),
)

DOCUMENT = Path(__file__).parents[3] / "docs" / "explanation" / "control-law.svg"


def polylines(svg: str) -> list[ET.Element]:
    """The polylines of an SVG."""
    return [each for each in ET.fromstring(svg).iter() if each.tag.endswith("polyline")]


def test_a_comparison_plot_has_a_line_per_controller_and_quantity() -> None:
    """And one line for the ceiling."""
    ours, *others = [simulate("short", SHORT, spec) for spec in (GOVERNOR, LOW, HIGH)]
    found = polylines(comparison_svg("short", "who?", ours, others))
    assert sorted(each.attrib["class"] for each in found) == sorted(["ceiling", *["ours"] * 3, *["other"] * 6])


def test_a_line_has_few_points_and_keeps_its_corners() -> None:
    """Level stretches have two points; any number of seconds has a few hundred."""
    level = Line([(float(at), 1.0 if at < 500 else 2.0) for at in range(1, 1001)], "ours")
    rough = Line([(float(at), float(at % 97)) for at in range(1, 100_001)], "ours")
    (drawn,) = [each for each in panels([Panel("level", [level])], 1000) if each.startswith("<polyline")]
    assert len(re.findall(r"\d+,\d+", drawn)) in {4, 5}
    (drawn,) = [each for each in panels([Panel("rough", [rough])], 100_000) if each.startswith("<polyline")]
    assert 100 < len(re.findall(r"\d+,\d+", drawn)) <= 240


def test_the_command_plots_the_governor_as_committed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The plot has a row per reason, and the committed one is that of the current governor."""
    file = tmp_path / "governor.svg"
    monkeypatch.setattr(sys, "argv", ["simulation", "--plot", "noisy-neighbor", str(file)])
    command.main()
    drawn = file.read_text("utf-8")
    assert {each.attrib["class"] for each in polylines(drawn)} == {"ours", "ceiling", "external"}
    for reason in ("below_ceiling", "above_ceiling", "steady"):
        assert f">{reason}<" in drawn
    assert drawn == DOCUMENT.read_text("utf-8"), "plot it again: see docs/explanation/control-law.md"
    assert len(drawn) < 60_000
