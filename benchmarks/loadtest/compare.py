"""The daemon and its competitors, one after the other: same SQS emulator, table, messages and machine.

Competitors of similar cost take turns, forward and backward, and the median of their drains counts: a drain takes some
seconds, and the speed of a virtual machine changes by a tenth between two of them. Before each drain the table is
emptied and a new queue is made. A competitor that stored a wrong row is out of the comparison, however fast it was.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import asyncpg
import msgspec

from benchmarks.baselines.lambda_model import BATCHES_AT_MOST
from benchmarks.baselines.service import DATABASE_URL
from benchmarks.loadtest.competitors import BULK_INSERT, COMPETITORS, Competitor
from benchmarks.loadtest.database import database_settings
from benchmarks.loadtest.drain import drain_backlog, watch
from benchmarks.loadtest.result import Run, figures
from benchmarks.loadtest.row_checker import check_backlog, take_snapshot
from benchmarks.loadtest.samples import Consumer, Meter, Sample, competitor_as_consumer, daemon_as_consumer
from benchmarks.loadtest.scenarios import UNGOVERNED
from testkit.environment import LocalEnvironment, local_environment
from testkit.local_stack import READY_SECONDS, running_daemon
from testkit.process import Child, child_process
from testkit.terminal import Screen
from testkit.workload.backlogs import BacklogLoad

QUESTION: Final = (
    "What do mq-bridge, the loop of the SDK tutorials and Lambda's event source mapping cost for the same messages?"
)
MESSAGES: Final = 60_000
ROUNDS: Final = 3
BULK_INSERT_FACTOR: Final = 5
"""The bulk insert stores so many times the rows: with fewer it would end before it could be measured."""
DRAIN_TIMEOUT_SECONDS: Final = 300.0
_SPARE_CONNECTIONS = 20
_BULK_INSERT_MODULE = "benchmarks.baselines.bulk_insert"


def run_competitors(screen: Screen, messages: int = MESSAGES, rounds: int = ROUNDS) -> list[Run]:
    """Measures every competitor, and the bulk insert at the end.

    Args:
        screen: shows the progress.
        messages: per drain.
        rounds: drains of each competitor of similar cost.

    Returns:
        one run per competitor, and that of the bulk insert.

    Raises:
        ProcessError: a part did not start, or died.
        LocalPostgresError: PostgreSQL did not start.
    """
    settings = database_settings() | {"max_connections": str(BATCHES_AT_MOST + _SPARE_CONNECTIONS)}
    with local_environment(settings) as parts:
        drains: dict[str, list[Run]] = {competitor.name: [] for competitor in COMPETITORS}
        for number, competitor in enumerate(running_order(rounds)):
            drains[competitor.name].append(_drain(parts, competitor, messages, number, screen))
        baseline = measure_bulk_insert(parts, BacklogLoad("flood", messages * BULK_INSERT_FACTOR), screen)
        return [*map(median_run, drains.values()), baseline]


def running_order(rounds: int) -> list[Competitor]:
    """Competitors of similar cost in so many rounds, every other one backward; then each of the others once."""
    close = [competitor for competitor in COMPETITORS if competitor.is_close]
    turns = [close if number % 2 == 0 else close[::-1] for number in range(rounds)]
    return [*itertools.chain.from_iterable(turns), *(each for each in COMPETITORS if not each.is_close)]


def median_run(runs: Sequence[Run]) -> Run:
    """The run with the median CPU time of one competitor's drains; of an even number the cheaper of the middle two.

    A drain with a wrong row counts in place of all others.
    """
    flawed = next((run for run in runs if not run.is_flawless), None)
    if flawed is not None:
        return flawed
    by_cost = sorted(runs, key=lambda run: run.figures.cpu_microseconds_per_message["consumer"])
    run = by_cost[(len(by_cost) - 1) // 2]
    if len(runs) == 1:
        return run
    return msgspec.structs.replace(run, remark=f"{run.remark}; median of {len(runs)} drains")


def _drain(parts: LocalEnvironment, competitor: Competitor, messages: int, number: int, screen: Screen) -> Run:
    screen.say(f"  {competitor.name}: {competitor.remark}")
    load = BacklogLoad("flood", messages, is_flat=competitor.takes_flat)
    queue_url = parts.make_queue(f"{competitor.queue_name}-{number}")
    with _running(parts, competitor, queue_url) as (consumer, stop):
        asyncio.run(empty(parts.postgres.url))
        before = asyncio.run(take_snapshot(parts.postgres.url))
        meter = Meter(parts, queue_url, consumer)
        samples = drain_backlog(
            meter, load, lambda: load.attach(parts.client, queue_url), screen, DRAIN_TIMEOUT_SECONDS
        )
        exit_code = stop()
    check_result = msgspec.structs.replace(
        asyncio.run(check_backlog(parts.postgres.url, load, before)),
        left_in_queue=parts.unfinished(queue_url),
        dead_letters=parts.dead_letters(queue_url),
    )
    return Run(competitor.name, check_result, figures(samples), exit_code, tuple(samples), competitor.remark)


@contextmanager
def _running(
    parts: LocalEnvironment, competitor: Competitor, queue_url: str
) -> Iterator[tuple[Consumer, Callable[[], int]]]:
    """The competitor, ready for the first message, and the function that stops it."""
    if not competitor.module:
        with running_daemon(parts, queue_url, UNGOVERNED) as daemon:
            yield daemon_as_consumer(daemon), daemon.stop
        return
    with _competitor_process(parts, competitor.name, competitor.command(queue_url)) as child:
        yield competitor_as_consumer(child), child.stop


@contextmanager
def _competitor_process(parts: LocalEnvironment, name: str, command: Sequence[str]) -> Iterator[Child]:
    environment = {
        **parts.aws_variables(),
        "AWS_DEFAULT_REGION": parts.aws_variables()["AWS_REGION"],
        DATABASE_URL: parts.postgres.url,
    }
    with child_process(name, command, environment=environment) as child:
        child.read_line(READY_SECONDS)
        yield child


def measure_bulk_insert(parts: LocalEnvironment, load: BacklogLoad, screen: Screen) -> Run:
    """The baseline: the rows of a flood in statements of 1,000, into the emptied table.

    Raises:
        ProcessError: its process did not start, or died.
    """
    name, remark = BULK_INSERT, f"no queue: {load.messages:,} rows in statements of 1,000"
    screen.say(f"  {name}: {remark}")
    queue_url = parts.make_queue("compare-bulk-insert")
    asyncio.run(empty(parts.postgres.url))
    before = asyncio.run(take_snapshot(parts.postgres.url))
    with _competitor_process(
        parts, name, [sys.executable, "-m", _BULK_INSERT_MODULE, "--messages", str(load.messages)]
    ) as child:
        meter = Meter(parts, queue_url, Consumer(child.pid, dict))
        samples: list[Sample] = watch(meter, lambda: (load.messages, child.is_running), screen, DRAIN_TIMEOUT_SECONDS)
        exit_code = child.stop()
    check_result = asyncio.run(check_backlog(parts.postgres.url, load, before))
    return Run(name, check_result, figures(samples), exit_code, tuple(samples), remark)


async def empty(database_url: str) -> None:
    """Empties the table, and flushes what earlier runs left to write to disk."""
    connection = await asyncpg.connect(database_url, timeout=10, command_timeout=60)
    try:
        await connection.execute("TRUNCATE subscriber.object_versions, subscriber.quarantined_messages")
        await connection.execute("CHECKPOINT")
    finally:
        await connection.close()
