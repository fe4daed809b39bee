"""Restarts PostgreSQL under 2,000 events a second: measures latency before and after, and receives per message.

Latency runs from the time a message counts as sent to the commit of a row for it, according to the database's own log.
"""

from __future__ import annotations

import asyncio
import math
import time
from bisect import bisect_left
from collections.abc import Sequence
from typing import Final

import msgspec

from benchmarks.chaos.load import ChaosLoad
from benchmarks.chaos.observations import Observations
from benchmarks.chaos.plan import Plan
from benchmarks.chaos.result import traces
from benchmarks.chaos.run import drained, prepared_run
from benchmarks.chaos.scenario_shutdown import EnvironmentFactory
from testkit.checker.commit_log import Change, RowCommit
from testkit.checker.evidence import Version, version_of
from testkit.checker.history import HistoryChecker
from testkit.checker.latency import percentile
from testkit.terminal import Screen, duration

EVENTS_PER_SECOND: Final = 2_000
BEFORE_SECONDS: Final = 32.0
AFTER_SECONDS: Final = 25.0
_WINDOW_SECONDS = 30.0
"""Length of the reference window before the restart."""
_RECOVERED_SECONDS = 10.0
"""From so long after the database is up, latency must be at most twice that of the reference window."""
_FACTOR = 2.0
_RECEIVES_AT_MOST = 2


class EventLatency(msgspec.Struct, frozen=True):
    """One event: when it counts as sent, and the seconds until the commit of its row."""

    sent_at: float
    seconds: float


async def restart_scenario(seed: int, environment: EnvironmentFactory, screen: Screen) -> bool:
    """Prints the figures and returns whether they are within their limits."""
    messages = int(EVENTS_PER_SECOND * (BEFORE_SECONDS + AFTER_SECONDS))
    load = ChaosLoad(seed, messages, BEFORE_SECONDS + AFTER_SECONDS, is_steady=True)
    plan = Plan(seed, messages, load.seconds, daemons=1, concurrency=4, batch_rows=1000, occurrences=())
    observations = Observations()
    async with environment() as (database, queue), prepared_run(plan, database, queue, observations) as context:
        await context.daemons[0].started()
        began, began_at = time.monotonic(), time.time()
        queue.attach(load)
        await asyncio.sleep(BEFORE_SECONDS)
        down_at = time.time()
        database.postgres.restart("fast")
        up_at = time.time()
        is_drained = await drained(queue, began + load.seconds)
        await context.daemons[0].terminate()
        expected, record = queue.evidence(load)
        changes = await database.changes()
        report = HistoryChecker(expected, record, changes, await database.tables()).check()
        observations.take(context.daemons)
    indexes = [record.deliveries[each.message_id].number - 1 for each in expected]
    sent = [began_at + load.arrives_after(index) for index in indexes]
    latencies = _latencies([(at, version_of(each.events[0])) for at, each in zip(sent, expected, strict=True)], changes)
    most = max(len(delivery.received_at) for delivery in record.deliveries.values())
    before = _percentile_99(latencies, down_at - _WINDOW_SECONDS, down_at)
    recovered = _recovered_after(latencies, up_at, _FACTOR * before)
    after = _percentile_99(latencies, up_at + _RECOVERED_SECONDS, math.inf)
    screen.table(
        [
            ("down", duration(up_at - down_at), "from the stop command until it accepts connections again"),
            ("p99 before", duration(before), f"from send to commit, in the {_WINDOW_SECONDS:g} s before"),
            ("p99 after", duration(after), f"from {_RECOVERED_SECONDS:g} s after it was up"),
            ("recovered after", duration(recovered), f"p99 ≤ {_FACTOR:g} × before"),
            ("receives", str(most), "the most of one message"),
            ("errors", str(len(report.findings) + len(observations.errors)), "in the history"),
        ]
    )
    for sentence in (*observations.errors, *traces(report.findings)):
        screen.say(sentence)
    is_clean = is_drained and not observations.errors and not report.findings
    return is_clean and after <= _FACTOR * before and most <= _RECEIVES_AT_MOST


def _latencies(sent: Sequence[tuple[float, Version]], changes: Sequence[Change]) -> list[EventLatency]:
    """The latency of each committed event, in order of sending; the load has one event per version."""
    committed: dict[Version, float] = {}
    for change in changes:
        if isinstance(change, RowCommit):
            committed.setdefault(version_of(change.row), change.committed_at)
    return sorted(
        (EventLatency(at, committed[version] - at) for at, version in sent if version in committed),
        key=lambda latency: latency.sent_at,
    )


def _percentile_99(latencies: Sequence[EventLatency], first: float, last: float) -> float:
    moments = [each.sent_at for each in latencies]
    inside = latencies[bisect_left(moments, first) : bisect_left(moments, last)]
    return percentile([each.seconds for each in inside], 99) if inside else math.nan


def _recovered_after(latencies: Sequence[EventLatency], up_at: float, limit: float) -> float:
    """Seconds from `up_at` to the first second of sending from which on every p99 is within the limit."""
    seconds = int(AFTER_SECONDS)
    for second in range(seconds):
        windows = [_percentile_99(latencies, up_at + later, up_at + later + 1) for later in range(second, seconds)]
        if all(math.isnan(one) or one <= limit for one in windows):
            return float(second)
    return math.inf
