"""The load test: `python -m benchmarks.loadtest SCENARIO`, or `all` (`make bench`, `make bench SCENARIO=…`).

The real daemon drains a queue into PostgreSQL. Every part is a process of its own, and another process measures them.
Each scenario ends with a comparison of the table with the expected rows: the exit code is not 0 if a single row is
wrong or lost, or if a scenario failed. Figures go to the terminal and, with the facts about the machine, to
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
from benchmarks.loadtest.competitors import COMPETITORS_SCENARIO
from benchmarks.loadtest.console import print_report, print_scorecard
from benchmarks.loadtest.html_report import write_page
from benchmarks.loadtest.plots import write_picture
from benchmarks.loadtest.result import (
    Report,
    Run,
    Scorecard,
    read_scorecard,
    remove_report,
    report,
    write_report,
    write_scorecard,
)
from benchmarks.loadtest.runner import run_scenario
from benchmarks.loadtest.scenarios import SCENARIOS, Scenario
from benchmarks.loadtest.targets import target_results, with_earlier
from testkit.postgres.postgres_binaries import LocalPostgresError
from testkit.process import ProcessError
from testkit.terminal import Screen, duration

RESULTS = Path(__file__).parents[1] / "results"
ALL = "all"

Measuring = Callable[[Screen, Path], list[Run]]
"""Takes the screen and the folder for results."""


def _drained(scenario: Scenario) -> Measuring:
    return lambda screen, _: [run_scenario(scenario, screen)]


MEASURED: Final[dict[str, tuple[str, Measuring]]] = {
    **{name: (scenario.question, _drained(scenario)) for name, scenario in SCENARIOS.items()},
    COMPETITORS_SCENARIO: (compare.QUESTION, lambda screen, _: compare.run_competitors(screen)),
    governor_run.GOVERNOR: (governor_run.QUESTION, lambda screen, _: governor_run.measure_governor(screen)),
    delayed.DELAYED: (delayed.QUESTION, lambda screen, _: delayed.measure_delayed(screen)),
    other_controllers.CONTROLLERS_SCENARIO: (other_controllers.QUESTION, other_controllers.compare_controllers),
}
"""By the name of the scenario: its question, and the function that measures it."""

APART: Final = frozenset({delayed.DELAYED, other_controllers.CONTROLLERS_SCENARIO})
"""Not part of `all`: each takes longer than all others together."""

ALIASES: Final = {"peers": COMPETITORS_SCENARIO}
"""Names that the command line knew before."""


def measure(name: str, screen: Screen, folder: Path) -> Report:
    """Runs one scenario."""
    question, measuring = MEASURED[name]
    screen.say(f"{screen.styled(name, 'bold')} – {question}\n")
    return report(name, question, measuring(screen, folder))


def run(names: list[str], folder: Path, screen: Screen) -> bool:
    """Runs the scenarios one after the other; True if all finished and every row was right.

    A scenario that fails does not stop the others.
    """
    started, reports, failures = time.monotonic(), dict[str, Report](), dict[str, str]()
    for name in names:
        try:
            found = reports[name] = measure(name, screen, folder)
        except (ProcessError, LocalPostgresError) as error:
            failures[name] = str(error).partition("\n")[0]  # the end of a log follows
            screen.say(f"\n  {screen.styled(f'{name} FAILED', 'bold', 'red')}: {error}\n")
            remove_report(name, folder)
        else:
            print_report(screen, found)
            write_report(found, folder)
            write_picture(found, folder)
    scorecard = with_earlier(Scorecard(datetime.now(UTC), target_results(reports), failures), read_scorecard(folder))
    print_scorecard(screen, scorecard)
    write_scorecard(scorecard, folder)
    summary = f"{len(reports)} of {len(names)} measured in {duration(time.monotonic() - started)}"
    screen.say(f"  {summary}; all results: {write_page(folder)}")
    return not failures and all(found.is_flawless for found in reports.values())


def main() -> None:
    """Runs the named scenarios; exits with 0, or with 1 if anything is lost, wrong or failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.loadtest", description=__doc__)
    parser.add_argument(
        "scenario",
        choices=[ALL, *MEASURED, *ALIASES],
        metavar="SCENARIO",
        help=f"{ALL}, or one of {', '.join(MEASURED)}",
    )
    parser.add_argument("--results", type=Path, default=RESULTS, help="the folder for results")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    chosen = ALIASES.get(options.scenario, options.scenario)
    names = [name for name in MEASURED if name not in APART] if chosen == ALL else [chosen]
    screen = Screen()
    try:
        sys.exit(0 if run(names, options.results, screen) else 1)
    except KeyboardInterrupt:
        screen.say("\n  stopped; no process is left running")
        sys.exit(130)


if __name__ == "__main__":
    main()
