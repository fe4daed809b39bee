"""Compares all controllers: `python -m benchmarks.simulation [SCENARIO …]`; without a name, in all scenarios.

Prints a table per scenario and the ranks over all; writes a JSON file and a plot of each scenario to
`benchmarks/results/simulation/`, and after a run of all scenarios the page of results. Everything is seeded: the same
source gives the same figures on every machine.

`--plot SCENARIO FILE` plots only the governor in one scenario, with the reasons of its decisions.
"""

from __future__ import annotations

import argparse
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from benchmarks.simulation.compare import Outcome, compare, summary, table
from benchmarks.simulation.plot_governor import governor_svg
from benchmarks.simulation.report import report
from benchmarks.simulation.scenario import names

RESULTS = Path(__file__).parent.parent / "results" / "simulation"


def run(chosen: list[str], folder: Path, processes: int) -> list[Outcome]:
    """Compares the controllers in each scenario and prints the tables in the order of `chosen`."""
    outcomes = []
    with ProcessPoolExecutor(processes) as pool:
        for outcome in pool.map(compare, chosen, [folder] * len(chosen)):
            outcomes.append(outcome)
            print("\n".join(table(outcome)), end="\n\n", flush=True)
    return outcomes


def main() -> None:
    """Exits with 0 if the governor meets the expectations of the scenarios, else with 1."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.simulation", description=__doc__)
    parser.add_argument("scenario", nargs="*", choices=[*names(), []], help="scenarios to run; all by default")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder for results")
    parser.add_argument("--processes", type=int, default=1, help="number of scenarios that run in parallel")
    parser.add_argument("--plot", nargs=2, metavar=("SCENARIO", "FILE"), help="plot only the governor, as an SVG")
    parser.add_argument("--until", type=int, default=300, help="seconds that --plot shows; 300 by default")
    options = parser.parse_args()
    if options.plot:
        name, file = options.plot
        Path(file).write_text(governor_svg(name, options.until), "utf-8")
        return
    outcomes = run(options.scenario or names(), options.results, options.processes)
    print("\n".join(summary(outcomes)))
    if not options.scenario:
        (options.results / "README.md").write_text(report(outcomes), "utf-8")
    print(f"\n  plots and figures: {options.results}")
    sys.exit(0 if all(each.is_met for outcome in outcomes for each in outcome.expectations) else 1)


if __name__ == "__main__":
    main()
