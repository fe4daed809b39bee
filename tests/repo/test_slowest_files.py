"""The slowest test files are printed after a large run."""

from __future__ import annotations

from typing import Literal

import pytest

from tests.repo.slowest_files import FILES_SHOWN, TESTS_OF_A_LARGE_RUN, SlowestFiles


def _report(nodeid: str, when: Literal["setup", "call", "teardown"], seconds: float) -> pytest.TestReport:
    return pytest.TestReport(nodeid, (nodeid, 0, nodeid), {}, "passed", None, when, duration=seconds)


def _after_tests(count: int) -> SlowestFiles:
    """The state after this number of tests in twelve files, the later ones slower."""
    slowest = SlowestFiles()
    for number in range(count):
        file = number % 12
        nodeid = f"tests/test_{file:02}.py::test_{number}[a::b]"
        slowest.pytest_runtest_logreport(_report(nodeid, "setup", 0.25))
        slowest.pytest_runtest_logreport(_report(nodeid, "call", file))
        slowest.pytest_runtest_logreport(_report(nodeid, "teardown", 0.25))
    return slowest


def test_a_large_run_prints_the_slowest_files() -> None:
    """The sums of setup, call and teardown, the largest first."""
    rows = _after_tests(TESTS_OF_A_LARGE_RUN + 4).table()
    assert len(rows) == FILES_SHOWN
    assert rows[:2] == [
        "   483.0 s     42 tests  tests/test_11.py",
        "   441.0 s     42 tests  tests/test_10.py",
    ]


def test_a_small_run_prints_nothing() -> None:
    """Neither does a run of exactly the limit."""
    assert _after_tests(TESTS_OF_A_LARGE_RUN).table() == []
    assert _after_tests(0).table() == []


def test_the_plugin_is_active(pytestconfig: pytest.Config) -> None:
    """The run of this test has it."""
    assert isinstance(pytestconfig.pluginmanager.get_plugin("slowest-files"), SlowestFiles)
