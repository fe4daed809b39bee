"""The figures behind the default of the load source: what a new task stores in its first minute."""

from __future__ import annotations

import msgspec
import pytest

from benchmarks.simulation.controller import GOVERNOR
from benchmarks.simulation.default_source import CASES
from benchmarks.simulation.simulator import simulate

pytestmark = pytest.mark.usefixtures("untraced")


def test_without_a_source_a_task_stores_far_more_than_with_one_that_finds_nothing() -> None:
    """And about as much as with a source of seconds; what would change the default is a change of this."""
    stored = {
        name: simulate(name, msgspec.structs.replace(scenario, seconds=60), GOVERNOR).seconds[-1].stored
        for name, scenario in CASES.items()
    }
    assert stored["none"] > 0.8 * stored["auto, a source of seconds"]
    assert stored["none"] > 10 * max(stored["auto, nothing found"], stored["auto, CloudWatch"])
