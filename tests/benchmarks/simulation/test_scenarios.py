"""The governor in every scenario: its figures are within the ranges that the scenario file states."""

from __future__ import annotations

import pytest

from benchmarks.simulation.controller import GOVERNOR
from benchmarks.simulation.controllers import fixed
from benchmarks.simulation.figures import value_of
from benchmarks.simulation.scenario import names, read
from benchmarks.simulation.simulator import simulate

pytestmark = pytest.mark.usefixtures("untraced")
"""These tests simulate hours; tests/control covers the governor."""


@pytest.mark.parametrize("name", names())
def test_the_governor_keeps_the_ranges_of(name: str) -> None:
    """Every figure of every span, for the function that the daemon runs."""
    scenario = read(name)
    assert scenario.expected
    record = simulate(name, scenario, GOVERNOR)
    found = {each: value_of(each, record) for each in scenario.expected}
    missed = [f"{value:.3f} for {each}" for each, value in found.items() if not each.is_met(value)]
    assert not missed, "\n".join(missed)


@pytest.mark.parametrize("name", [name for name in names() if name.startswith(("no-source-", "tasks-killed"))])
def test_a_wrong_law_misses_a_range_of(name: str) -> None:
    """One writer per task, or always the largest limit."""
    scenario = read(name)
    missed = []
    for spec in (fixed.LOW, fixed.HIGH):
        record = simulate(name, scenario, spec)
        missed.append(any(not each.is_met(value_of(each, record)) for each in scenario.expected))
    assert any(missed)
