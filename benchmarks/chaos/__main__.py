"""`python -m benchmarks.chaos` (`make chaos`): seeded chaos tests, recorded one by one, and a table of their results.

Each run is one seed. Seeds that are in the record already are skipped, so Ctrl-C loses only the current run.
The exit code is 1 if any run in the record has an error.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from benchmarks.chaos.database import ChaosDatabase, chaos_database
from benchmarks.chaos.plan import Plan, plan_of
from benchmarks.chaos.queues import ChaosQueue, chaos_queues
from benchmarks.chaos.record import append_result, read_record, write_table
from benchmarks.chaos.result import RunResult
from benchmarks.chaos.run import run
from benchmarks.chaos.scenario_locked_row import locked_row_scenario
from benchmarks.chaos.scenario_observations import observations_scenario
from benchmarks.chaos.scenario_restart import restart_scenario
from benchmarks.chaos.scenario_shutdown import shutdown_scenario
from testkit.process import ProcessError
from testkit.terminal import Screen

RESULTS = Path(__file__).parents[1] / "results"
RUNS_PER_ENVIRONMENT = 20
"""Database and SQS emulator are replaced after so many runs, so that leftovers of old runs cannot mask a fault."""

RUN_SECONDS_AT_MOST = 300.0
"""Enough for faults of half a minute and a minute of draining."""


@asynccontextmanager
async def chaos_environment() -> AsyncIterator[tuple[ChaosDatabase, ChaosQueue]]:
    """Starts a database and an SQS emulator that serve several runs."""
    with chaos_database() as database, chaos_queues() as queue:
        await database.prepare()
        yield database, queue


async def chaos(plans: Sequence[Plan], record: Path, screen: Screen) -> None:
    """Executes these runs one after the other and appends each result to the record."""
    waiting = deque(plans)
    while waiting:
        async with chaos_environment() as environment:
            await _run_in_environment(waiting, environment, record, screen)


async def _run_in_environment(
    waiting: deque[Plan], environment: tuple[ChaosDatabase, ChaosQueue], record: Path, screen: Screen
) -> None:
    """Removes runs from `waiting` and executes them, up to RUNS_PER_ENVIRONMENT or to the first that fails."""
    for _ in range(min(RUNS_PER_ENVIRONMENT, len(waiting))):
        plan = waiting.popleft()
        screen.say(plan.describe())
        result = await _result_of(plan, *environment)
        append_result(record, result)
        _print_result(screen, result)
        if not result.is_flawless:
            return  # the state of this environment is unknown now


async def _result_of(plan: Plan, database: ChaosDatabase, queue: ChaosQueue) -> RunResult:
    try:
        async with asyncio.timeout(RUN_SECONDS_AT_MOST):
            return await run(plan, database, queue)
    except Exception as error:  # noqa: BLE001 -- any error belongs into the record, and the other seeds go on
        return RunResult(plan=plan, errors=(f"test environment: {_error_text(error)}",))


def _error_text(error: BaseException) -> str:
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(_error_text(one) for one in error.exceptions)
    return f"{type(error).__name__}: {error}"


def _print_result(screen: Screen, result: RunResult) -> None:
    status = screen.styled("clean", "green") if result.is_flawless else screen.styled("ERROR", "bold", "red")
    bound = result.healthy_wait_bound_seconds
    screen.say(
        f"  {status} in {result.seconds} s: {result.stored} stored, {result.quarantined} quarantined, "
        f"{result.receives / result.plan.messages:.2f} receives per message, at most {result.most_receives}; "
        f"healthy wait {result.healthy_wait_seconds:.1f} s"
        + (f" of {bound:g} s, exceeded {result.healthy_waits_exceeded} times" if bound else ", not judged")
    )
    for sentence in result.errors:
        screen.say(f"  {sentence}")


def main() -> None:
    """Runs the mode that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chaos", description=__doc__)
    modes = ["runs", "stop", "restart", "locked-row", "observations"]
    parser.add_argument("mode", nargs="?", choices=modes, default="runs")
    parser.add_argument("--runs", type=int, default=300, help="number of seeds, or of SIGTERMs with `stop`")
    parser.add_argument("--seed", type=int, default=1, help="first seed")
    parser.add_argument("--messages", type=int, default=24_000, help="messages per run")
    parser.add_argument("--minutes", type=float, default=20.0, help="how long the row stays locked with `locked-row`")
    parser.add_argument("--fault", help="run only seeds whose plan has this fault")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the record and the table")
    parser.add_argument("--again", action="store_true", help="repeat seeds that are in the record already")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    screen = Screen()
    try:
        sys.exit(0 if _run_mode(options, screen) else 1)
    except ProcessError as error:
        sys.exit(f"the chaos tests cannot go on: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


def _run_mode(options: argparse.Namespace, screen: Screen) -> bool:
    if options.mode == "stop":
        return asyncio.run(shutdown_scenario(options.runs, options.seed, chaos_environment, screen))
    if options.mode == "restart":
        return asyncio.run(restart_scenario(options.seed, chaos_environment, screen))
    if options.mode == "locked-row":
        return asyncio.run(locked_row_scenario(options.seed, options.minutes, chaos_environment, screen))
    if options.mode == "observations":
        observed = options.results / "observations" / "observations.json"
        return observations_scenario(options.runs, options.seed, observed, screen)
    record = options.results / "chaos.jsonl"
    recorded = set() if options.again else {result.plan.seed for result in read_record(record)}
    plans = [plan_of(seed, options.messages) for seed in range(options.seed, options.seed + options.runs)]
    wanted = [plan for plan in plans if plan.seed not in recorded and options.fault in {None, *plan.faults}]
    screen.say(
        f"{len(wanted)} runs; {len(plans) - len(wanted)} skipped: recorded already, or without the requested fault"
    )
    asyncio.run(chaos(wanted, record, screen))
    results = read_record(record)
    write_table(options.results / "chaos.md", record, results)
    screen.say(f"table: {options.results / 'chaos.md'}")
    return all(result.is_flawless for result in results)


if __name__ == "__main__":
    main()
