"""`python -m benchmarks.chaos` (`make chaos`): many seeded runs, resumable, and a table of what came of them.

Each run is one seed. Seeds that the record has already are not run again; Ctrl-C loses the run that is on, no more.
The exit code is 1 if any run of the record has an error.
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
from benchmarks.chaos.scenario_restart import restart_trial
from benchmarks.chaos.scenario_shutdown import stop_trials
from testkit.process import PartError
from testkit.terminal import Screen

RESULTS = Path(__file__).parents[1] / "results"
RUNS_PER_STAGE = 20
"""After so many runs everything is made anew: a fault must not be able to hide in what an earlier one left."""

RUN_SECONDS_AT_MOST = 300.0
"""Faults of half a minute and a minute of patience leave plenty of it."""


@asynccontextmanager
async def chaos_environment() -> AsyncIterator[tuple[ChaosDatabase, ChaosQueue]]:
    """A database and a queue server, for several runs."""
    with chaos_database() as database, chaos_queues() as queue:
        await database.prepare()
        yield database, queue


async def chaos(plans: Sequence[Plan], record: Path, screen: Screen) -> None:
    """Conduct these runs one after the other, and put each into the record."""
    waiting = deque(plans)
    while waiting:
        async with chaos_environment() as stage:
            await _on_one_stage(waiting, stage, record, screen)


async def _on_one_stage(
    waiting: deque[Plan], stage: tuple[ChaosDatabase, ChaosQueue], record: Path, screen: Screen
) -> None:
    """Some of the runs, which are then waiting no more."""
    for _ in range(min(RUNS_PER_STAGE, len(waiting))):
        plan = waiting.popleft()
        screen.say(plan.printed())
        result = await _conducted(plan, *stage)
        append_result(record, result)
        _print_result(screen, result)
        if not result.is_flawless:
            return  # what this stage is like now, nobody knows


async def _conducted(plan: Plan, database: ChaosDatabase, queue: ChaosQueue) -> RunResult:
    try:
        async with asyncio.timeout(RUN_SECONDS_AT_MOST):
            return await run(plan, database, queue)
    except Exception as error:  # noqa: BLE001 -- whatever it is, it belongs into the record, and other seeds go on
        return RunResult(plan=plan, errors=(f"lab: {_told(error)}",))


def _told(error: BaseException) -> str:
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(_told(one) for one in error.exceptions)
    return f"{type(error).__name__}: {error}"


def _print_result(screen: Screen, result: RunResult) -> None:
    verdict = screen.styled("clean", "green") if result.is_flawless else screen.styled("ERROR", "bold", "red")
    screen.say(
        f"  {verdict} in {result.seconds} s: {result.stored} stored, {result.quarantined} quarantined, "
        f"{result.receives / result.plan.messages:.2f} receives a message, at most {result.most_receives}"
    )
    for sentence in result.errors:
        screen.say(f"  {sentence}")


def main() -> None:
    """Runs what the command line names."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chaos", description=__doc__)
    parser.add_argument("mode", nargs="?", choices=["runs", "stop", "restart"], default="runs")
    parser.add_argument("--runs", type=int, default=300, help="seeds, or tries of a stop")
    parser.add_argument("--seed", type=int, default=1, help="the first")
    parser.add_argument("--messages", type=int, default=24_000, help="of a run")
    parser.add_argument("--fault", help="only seeds whose plan has it")
    parser.add_argument("--results", type=Path, default=RESULTS, help="the folder for results")
    parser.add_argument("--again", action="store_true", help="run seeds that the record has, too")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    screen = Screen()
    try:
        sys.exit(0 if _applied(options, screen) else 1)
    except PartError as error:
        sys.exit(f"the chaos cannot go on: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


def _applied(options: argparse.Namespace, screen: Screen) -> bool:
    if options.mode == "stop":
        return asyncio.run(stop_trials(options.runs, options.seed, chaos_environment, screen))
    if options.mode == "restart":
        return asyncio.run(restart_trial(options.seed, chaos_environment, screen))
    record = options.results / "chaos.jsonl"
    known = set() if options.again else {result.plan.seed for result in read_record(record)}
    plans = [plan_of(seed, options.messages) for seed in range(options.seed, options.seed + options.runs)]
    wanted = [plan for plan in plans if plan.seed not in known and options.fault in {None, *plan.faults}]
    screen.say(f"{len(wanted)} runs; {len(plans) - len(wanted)} are in the record already or not asked for")
    asyncio.run(chaos(wanted, record, screen))
    results = read_record(record)
    write_table(options.results / "chaos.md", record, results)
    screen.say(f"the table is {options.results / 'chaos.md'}")
    return all(result.is_flawless for result in results)


if __name__ == "__main__":
    main()
