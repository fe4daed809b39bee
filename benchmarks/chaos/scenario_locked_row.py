"""Keeps one row locked for minutes under a small steady load, with the write timeout's default.

The load overwrites the locked object every second. Everything else must be stored within the bound of a healthy wait,
and the messages of the locked object once the lock is gone.
"""

from __future__ import annotations

import asyncio
import time
from random import Random
from typing import Final

from benchmarks.chaos.faults.locks import row_locked
from benchmarks.chaos.load import LOCKED_OBJECT, ChaosLoad
from benchmarks.chaos.observations import Observations
from benchmarks.chaos.plan import Plan
from benchmarks.chaos.result import traces
from benchmarks.chaos.run import drained, prepared_run, supervised
from benchmarks.chaos.scenario_shutdown import EnvironmentFactory
from subscriber.choices import WRITE_TIMEOUT_SECONDS
from testkit.checker.healthy_wait import Beside, HealthyWait, bound_seconds, healthy_wait
from testkit.checker.history import HistoryChecker, HistoryReport
from testkit.terminal import Screen, duration

EVENTS_PER_SECOND: Final = 20
_OVERWRITTEN_EVERY: Final = 20
_PRODUCTION: Final = {
    "WRITE_TIMEOUT_SECONDS": f"{WRITE_TIMEOUT_SECONDS:g}",
    "RECEIVE_WAIT_SECONDS": "20",
    "RECEIVE_VISIBILITY_SECONDS": "300",
    "STOP_TIMEOUT_SECONDS": "110",
}
"""The defaults of these settings: other runs shorten them."""
_BEFORE_SECONDS = 2.0
_AFTER_SECONDS = 5.0


async def locked_row_scenario(seed: int, minutes: float, environment: EnvironmentFactory, screen: Screen) -> bool:
    """Prints the figures; whether nothing is lost or wrong and no healthy message waited longer than the bound."""
    seconds = _BEFORE_SECONDS + minutes * 60 + _AFTER_SECONDS
    messages = int(EVENTS_PER_SECOND * seconds)
    load = ChaosLoad(seed, messages, seconds, is_steady=True, overwritten_every=_OVERWRITTEN_EVERY)
    plan = Plan(seed, messages, seconds, daemons=1, concurrency=4, batch_rows=500, occurrences=())
    observations = Observations()
    async with (
        environment() as (database, queue),
        prepared_run(plan, database, queue, observations, **_PRODUCTION) as context,
    ):
        await context.daemons[0].started()
        async with supervised(context):
            began = time.monotonic()
            queue.attach(load)
            await asyncio.sleep(_BEFORE_SECONDS)
            async with row_locked(context.with_random(Random(seed))):
                await asyncio.sleep(minutes * 60)
            is_drained = await drained(queue, began + load.seconds)
        await context.daemons[0].terminate()
        expected, record = queue.evidence(load)
        checker = HistoryChecker(expected, record, await database.changes(), await database.tables())
        report = checker.check()
        observations.take(context.daemons)
    beside = Beside(concerned=load.versions_of(frozenset({LOCKED_OBJECT})))
    wait = healthy_wait(expected, record, checker.commits, beside, bound_seconds(WRITE_TIMEOUT_SECONDS))
    most = max(len(delivery.received_at) for delivery in record.deliveries.values())
    _print_figures(screen, report, wait, most)
    for sentence in (*observations.errors, *traces(report.findings)):
        screen.say(sentence)
    is_clean = is_drained and not observations.errors and not report.findings
    return is_clean and report.stored == messages and not wait.exceeded


def _print_figures(screen: Screen, report: HistoryReport, wait: HealthyWait, most_receives: int) -> None:
    bound = duration(bound_seconds(WRITE_TIMEOUT_SECONDS))
    load = f"{EVENTS_PER_SECOND} a second, every {_OVERWRITTEN_EVERY}th of the locked row"
    screen.table(
        [
            ("messages", str(report.messages), load),
            ("stored", str(report.stored), "all of them, those of the locked row after the lock"),
            ("healthy wait", duration(wait.longest_seconds), f"the bound is {bound}"),
            ("exceeded", str(wait.exceeded), "healthy messages that waited longer"),
            ("receives", str(most_receives), "the most of one message"),
            ("findings", str(len(report.findings)), "in the history"),
        ]
    )
