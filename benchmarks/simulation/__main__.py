"""The laws in the scenarios: `python -m benchmarks.simulation [SCENARIO …]`; without a name, all of them.

Prints a table per scenario and the ranks over all; writes a JSON file and a picture of each to
`benchmarks/results/simulation/`, and when all have been held, the page that shows them. Everything is seeded: the same
source gives the same figures everywhere.

`--picture SCENARIO FILE` draws the governor at work instead, with its reasons.
"""

from __future__ import annotations

import argparse
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from benchmarks.simulation.compare import Outcome, hold, summary, table
from benchmarks.simulation.plot_governor import portrait
from benchmarks.simulation.report import report
from benchmarks.simulation.scenario import names

RESULTS = Path(__file__).parent.parent / "results" / "simulation"


def run(chosen: list[str], folder: Path, processes: int) -> list[Outcome]:
    """Holds the contests and prints each as it is done, in the order of their names."""
    outcomes = []
    with ProcessPoolExecutor(processes) as pool:
        for outcome in pool.map(hold, chosen, [folder] * len(chosen)):
            outcomes.append(outcome)
            print("\n".join(table(outcome)), end="\n\n", flush=True)
    return outcomes


def main() -> None:
    """Exits 0 if the governor came out as the scenarios expect, else 1."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.simulation", description=__doc__)
    parser.add_argument("scenario", nargs="*", choices=[*names(), []], help="which of them; all by default")
    parser.add_argument("--results", type=Path, default=RESULTS, help="the folder for results")
    parser.add_argument("--processes", type=int, default=1, help="how many scenarios at once")
    parser.add_argument("--picture", nargs=2, metavar=("SCENARIO", "FILE"), help="the governor at work, as an SVG")
    parser.add_argument("--until", type=int, default=300, help="how many seconds of it; 300 by default")
    options = parser.parse_args()
    if options.picture:
        name, file = options.picture
        Path(file).write_text(portrait(name, options.until), "utf-8")
        return
    outcomes = run(options.scenario or names(), options.results, options.processes)
    print("\n".join(summary(outcomes)))
    if not options.scenario:
        (options.results / "README.md").write_text(report(outcomes), "utf-8")
    print(f"\n  pictures and figures: {options.results}")
    sys.exit(0 if all(met.is_met for outcome in outcomes for met in outcome.expectations) else 1)


if __name__ == "__main__":
    main()
