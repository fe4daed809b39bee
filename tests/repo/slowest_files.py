"""A pytest plugin: prints the slowest test files at the end of a large run, so that a slow file is noticed."""

from __future__ import annotations

from collections import defaultdict

import pytest

FILES_SHOWN = 10
TESTS_OF_A_LARGE_RUN = 500


class SlowestFiles:
    """Sums the durations of setup, call and teardown by file. Under xdist the controller receives all reports."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = defaultdict(float)
        self._tests: dict[str, int] = defaultdict(int)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add the duration of one phase of one test."""
        path = report.nodeid.partition("::")[0]
        self._seconds[path] += report.duration
        self._tests[path] += report.when == "setup"

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the table, but only after more than TESTS_OF_A_LARGE_RUN tests."""
        rows = self.table()
        if rows:
            terminalreporter.section(f"slowest {len(rows)} test files")
            for row in rows:
                terminalreporter.write_line(row)

    def table(self) -> list[str]:
        """Seconds, number of tests and path of the slowest files; empty after a small run."""
        if sum(self._tests.values()) <= TESTS_OF_A_LARGE_RUN:
            return []
        slowest = sorted(self._seconds, key=lambda path: (-self._seconds[path], path))[:FILES_SHOWN]
        return [f"{self._seconds[path]:8.1f} s {self._tests[path]:6} tests  {path}" for path in slowest]


def pytest_configure(config: pytest.Config) -> None:
    """Register the plugin."""
    config.pluginmanager.register(SlowestFiles(), "slowest-files")
