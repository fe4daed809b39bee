"""The load test: `python -m benchmarks.loadtest SCENARIO`, or `all` (`make bench`, `make bench SCENARIO=…`).

The real daemon drains a queue into PostgreSQL, every part in a process of its own, while somebody else looks on
and counts. Each scenario ends with the comparison of the table with the truth: the exit code is not 0 if a single
row is wrong or lost, or a scenario failed. Figures go to the terminal and, with the facts about the machine, to
benchmarks/results/.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from benchmarks.governor_live import delayed, other_controllers
from benchmarks.governor_live import run as governor_run
from benchmarks.loadtest import compare
from benchmarks.loadtest.competitors import PEERS
from benchmarks.loadtest.console import print_report, print_standing
from benchmarks.loadtest.html_report import write_page
from benchmarks.loadtest.result import (
    Report,
    Run,
    Standing,
    read_standing,
    remove_report,
    report,
    write_report,
    write_standing,
)
from benchmarks.loadtest.runner import conduct
from benchmarks.loadtest.scenarios import SCENARIOS, Scenario
from benchmarks.loadtest.targets import outcomes, with_earlier
from testkit.postgres.postgres_binaries import LocalPostgresError
from testkit.process import PartError
from testkit.terminal import Screen, duration

RESULTS = Path(__file__).parents[1] / "results"
ALL = "all"

Measuring = Callable[[Screen, Path], list[Run]]
"""Given the folder for results."""


def _drained(scenario: Scenario) -> Measuring:
    return lambda screen, _: [conduct(scenario, screen)]


MEASURED: Final[dict[str, tuple[str, Measuring]]] = {
    **{name: (scenario.question, _drained(scenario)) for name, scenario in SCENARIOS.items()},
    PEERS: (compare.QUESTION, lambda screen, _: compare.hold_contest(screen)),
    governor_run.GOVERNOR: (governor_run.QUESTION, lambda screen, _: governor_run.conduct_governor(screen)),
    delayed.DELAYED: (delayed.QUESTION, lambda screen, _: delayed.conduct_delayed(screen)),
    other_controllers.LAWS_SCENARIO: (other_controllers.QUESTION, other_controllers.hold_laws),
}
"""By the name of the scenario: its question, and how it is measured."""

APART: Final = frozenset({delayed.DELAYED, other_controllers.LAWS_SCENARIO})
"""Not of `all`: each takes longer than all others together."""


def measure(name: str, screen: Screen, folder: Path) -> Report:
    """Runs one scenario."""
    question, measuring = MEASURED[name]
    screen.say(f"{screen.styled(name, 'bold')} – {question}\n")
    return report(name, question, measuring(screen, folder))


def run(names: list[str], folder: Path, screen: Screen) -> bool:
    """Runs the scenarios one after the other; whether all came to their end and were flawless.

    A scenario whose parts fail does not take the others with it.
    """
    started, reports, failures = time.monotonic(), dict[str, Report](), dict[str, str]()
    for name in names:
        try:
            found = reports[name] = measure(name, screen, folder)
        except (PartError, LocalPostgresError) as error:
            failures[name] = str(error).partition("\n")[0]  # the end of somebody's log follows
            screen.say(f"\n  {screen.styled(f'{name} FAILED', 'bold', 'red')}: {error}\n")
            remove_report(name, folder)
        else:
            print_report(screen, found)
            write_report(found, folder)
    standing = with_earlier(Standing(datetime.now(UTC), outcomes(reports), failures), read_standing(folder))
    print_standing(screen, standing)
    write_standing(standing, folder)
    told = f"{len(reports)} of {len(names)} measured in {duration(time.monotonic() - started)}"
    screen.say(f"  {told}; all results: {write_page(folder)}")
    return not failures and all(found.is_flawless for found in reports.values())


def main() -> None:
    """Runs what the command line names and exits: 0, or 1 if anything is lost, wrong or failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.loadtest", description=__doc__)
    parser.add_argument("scenario", choices=[ALL, *MEASURED])
    parser.add_argument("--results", type=Path, default=RESULTS, help="the folder for results")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    names = [name for name in MEASURED if name not in APART] if options.scenario == ALL else [options.scenario]
    screen = Screen()
    try:
        sys.exit(0 if run(names, options.results, screen) else 1)
    except KeyboardInterrupt:
        screen.say("\n  stopped: nothing is left running")
        sys.exit(130)


if __name__ == "__main__":
    main()
