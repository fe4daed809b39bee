"""Pictures of runs: all that happened is on them, and they stay small."""

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
from benchmarks.simulation.plot import picture
from benchmarks.simulation.scenario import Event, LeadIn, Load, Scenario
from benchmarks.simulation.simulator import simulate

pytestmark = pytest.mark.usefixtures("untraced")
"""Hours are simulated here; tests/control covers the law."""

SHORT = Scenario(
    question="",
    seconds=60,
    lead_in=LeadIn(seconds=0),
    load=Load(backlog_messages=3e5),
    events=(Event(30, neighbor_cores=4),),
)

DOCUMENT = Path(__file__).parents[3] / "docs" / "control-law.svg"


def polylines(svg: str) -> list[ET.Element]:
    """The lines of a picture that can be read."""
    return [each for each in ET.fromstring(svg).iter() if each.tag.endswith("polyline")]


def test_a_contest_is_drawn_with_a_line_for_each_law_and_quantity() -> None:
    """And one for the ceiling."""
    ours, *others = [simulate("short", SHORT, law) for law in (GOVERNOR, LOW, HIGH)]
    found = polylines(picture("short", "who?", ours, others))
    assert sorted(each.attrib["class"] for each in found) == sorted(["ceiling", *["ours"] * 3, *["other"] * 6])


def test_a_line_is_no_longer_than_a_screen_is_wide_and_keeps_its_corners() -> None:
    """Level stretches have two dots; so many seconds as one likes have a few hundred."""
    level = Line([(float(at), 1.0 if at < 500 else 2.0) for at in range(1, 1001)], "ours")
    rough = Line([(float(at), float(at % 97)) for at in range(1, 100_001)], "ours")
    (drawn,) = [each for each in panels([Panel("level", [level])], 1000) if each.startswith("<polyline")]
    assert len(re.findall(r"\d+,\d+", drawn)) in {4, 5}
    (drawn,) = [each for each in panels([Panel("rough", [rough])], 100_000) if each.startswith("<polyline")]
    assert 100 < len(re.findall(r"\d+,\d+", drawn)) <= 240


def test_the_command_draws_the_law_at_work_as_it_is_committed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a row for every reason that was given; the picture of the documentation is of the law as it is."""
    file = tmp_path / "law.svg"
    monkeypatch.setattr(sys, "argv", ["simulate", "--picture", "noisy-neighbor", str(file)])
    command.main()
    drawn = file.read_text("utf-8")
    assert {each.attrib["class"] for each in polylines(drawn)} == {"ours", "ceiling", "foreign"}
    for reason in ("below_ceiling", "above_ceiling", "steady"):
        assert f">{reason}<" in drawn
    assert drawn == DOCUMENT.read_text("utf-8"), "draw it anew: see docs/control-law.md"
    assert len(drawn) < 60_000
