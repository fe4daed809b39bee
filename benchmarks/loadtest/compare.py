"""The daemon and its peers, one after the other: same queue server, same table, same messages, same machine.

Those that lie close together take turns, there and back, and the middle one of their drains counts: a drain takes some
seconds, and such a machine's speed moves by a tenth between two of them. Before each the table is emptied and a new
queue is made. Who stored a wrong row has lost, however fast.
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
from benchmarks.loadtest.competitors import COMPETITORS, FLOOR, Competitor
from benchmarks.loadtest.database import database_settings
from benchmarks.loadtest.drain import drain_backlog, watch
from benchmarks.loadtest.result import Run, figures
from benchmarks.loadtest.row_checker import judge_backlog, look_before
from benchmarks.loadtest.samples import Consumer, Meter, Sample, daemon_as_consumer, peer_as_consumer
from benchmarks.loadtest.scenarios import UNGOVERNED
from testkit.environment import Stage, stage
from testkit.local_stack import READY_SECONDS, running_daemon
from testkit.process import Child, child_process
from testkit.terminal import Screen
from testkit.workload.backlogs import BacklogLoad

QUESTION: Final = (
    "What do mq-bridge, the loop of the manuals and Lambda's event source mapping cost for the same messages?"
)
MESSAGES: Final = 60_000
ROUNDS: Final = 3
FLOOR_FACTOR: Final = 5
"""The floor stores so many times the rows: otherwise it were over before it could be measured."""
PATIENCE_SECONDS: Final = 300.0
_SPARE_CONNECTIONS = 20
_FLOOR_MODULE = "benchmarks.baselines.bulk_insert"


def hold_contest(screen: Screen, messages: int = MESSAGES, rounds: int = ROUNDS) -> list[Run]:
    """Everybody in turn, and the floor at the end; one run of each.

    Args:
        screen: where progress is told.
        messages: of each drain.
        rounds: of those that lie close together.

    Raises:
        PartError: a part did not come up, or died.
        LocalPostgresError: PostgreSQL did not come up.
    """
    settings = database_settings() | {"max_connections": str(BATCHES_AT_MOST + _SPARE_CONNECTIONS)}
    with stage(settings) as parts:
        drains: dict[str, list[Run]] = {competitor.name: [] for competitor in COMPETITORS}
        for number, competitor in enumerate(running_order(rounds)):
            drains[competitor.name].append(_drain(parts, competitor, messages, number, screen))
        floor = measure_floor(parts, BacklogLoad("flood", messages * FLOOR_FACTOR), screen)
        return [*map(middle_one, drains.values()), floor]


def running_order(rounds: int) -> list[Competitor]:
    """Those that lie close together in so many rounds, every other one backwards; then all others, once."""
    close = [competitor for competitor in COMPETITORS if competitor.is_close]
    turns = [close if number % 2 == 0 else close[::-1] for number in range(rounds)]
    return [*itertools.chain.from_iterable(turns), *(each for each in COMPETITORS if not each.is_close)]


def middle_one(runs: Sequence[Run]) -> Run:
    """Of one contender's drains the one in the middle by processor time; of an even number the better of both.

    One that is not flawless counts instead of all others.
    """
    flawed = next((run for run in runs if not run.is_flawless), None)
    if flawed is not None:
        return flawed
    by_cost = sorted(runs, key=lambda run: run.figures.cpu_microseconds_per_message["consumer"])
    run = by_cost[(len(by_cost) - 1) // 2]
    if len(runs) == 1:
        return run
    return msgspec.structs.replace(run, remark=f"{run.remark}; the middle one of {len(runs)} drains")


def _drain(parts: Stage, competitor: Competitor, messages: int, number: int, screen: Screen) -> Run:
    screen.say(f"  {competitor.name}: {competitor.remark}")
    load = BacklogLoad("flood", messages, is_flat=competitor.takes_flat)
    queue_url = parts.make_queue(f"{competitor.queue_name}-{number}")
    with _running(parts, competitor, queue_url) as (consumer, stop):
        asyncio.run(empty(parts.postgres.url))
        before = asyncio.run(look_before(parts.postgres.url))
        meter = Meter(parts, queue_url, consumer)
        samples = drain_backlog(meter, load, lambda: load.attach(parts.client, queue_url), screen, PATIENCE_SECONDS)
        exit_code = stop()
    check_result = msgspec.structs.replace(
        asyncio.run(judge_backlog(parts.postgres.url, load, before)),
        left_in_queue=parts.unfinished(queue_url),
        dead_letters=parts.dead_letters(queue_url),
    )
    return Run(competitor.name, check_result, figures(samples), exit_code, tuple(samples), competitor.remark)


@contextmanager
def _running(parts: Stage, competitor: Competitor, queue_url: str) -> Iterator[tuple[Consumer, Callable[[], int]]]:
    """The contender, ready for the first message, and how to stop it."""
    if not competitor.module:
        with running_daemon(parts, queue_url, UNGOVERNED) as daemon:
            yield daemon_as_consumer(daemon), daemon.stop
        return
    with _peer(parts, competitor.name, competitor.command(queue_url)) as child:
        yield peer_as_consumer(child), child.stop


@contextmanager
def _peer(parts: Stage, name: str, command: Sequence[str]) -> Iterator[Child]:
    environment = {
        **parts.environment(),
        "AWS_DEFAULT_REGION": parts.environment()["AWS_REGION"],
        DATABASE_URL: parts.postgres.url,
    }
    with child_process(name, command, environment=environment) as child:
        child.read_line(READY_SECONDS)
        yield child


def measure_floor(parts: Stage, load: BacklogLoad, screen: Screen) -> Run:
    """The rows of a flood in statements of a thousand, into the emptied table.

    Raises:
        PartError: it did not come up, or died.
    """
    name, remark = FLOOR, f"no queue: {load.messages:,} rows in statements of 1,000"
    screen.say(f"  {name}: {remark}")
    queue_url = parts.make_queue("contest-floor")
    asyncio.run(empty(parts.postgres.url))
    before = asyncio.run(look_before(parts.postgres.url))
    with _peer(parts, name, [sys.executable, "-m", _FLOOR_MODULE, "--messages", str(load.messages)]) as child:
        meter = Meter(parts, queue_url, Consumer(child.pid, dict))
        samples: list[Sample] = watch(meter, lambda: (load.messages, child.is_running), screen, PATIENCE_SECONDS)
        exit_code = child.stop()
    check_result = asyncio.run(judge_backlog(parts.postgres.url, load, before))
    return Run(name, check_result, figures(samples), exit_code, tuple(samples), remark)


async def empty(database_url: str) -> None:
    """No rows, and nothing left to write to the disk of those who came before."""
    connection = await asyncpg.connect(database_url, timeout=10, command_timeout=60)
    try:
        await connection.execute("TRUNCATE subscriber.object_versions, subscriber.quarantined_messages")
        await connection.execute("CHECKPOINT")
    finally:
        await connection.close()
