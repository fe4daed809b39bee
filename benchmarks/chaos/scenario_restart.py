"""PostgreSQL restarted under 2,000 events a second: how late rows are before and after, and what it costs in receives.

Lateness is judged from outside: from the moment a message counts as sent to the commit of a row that stands for it, by
the database's own log.
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
from benchmarks.chaos.run import drained, staged
from benchmarks.chaos.scenario_shutdown import Stage
from testkit.checker.commit_log import Change, RowCommit
from testkit.checker.evidence import Version, version_of
from testkit.checker.history import History
from testkit.checker.latency import percentile
from testkit.terminal import Screen, duration

EVENTS_PER_SECOND: Final = 2_000
BEFORE_SECONDS: Final = 32.0
AFTER_SECONDS: Final = 25.0
_WINDOW_SECONDS = 30.0
"""Of the time before, what is compared with."""
_RECOVERED_SECONDS = 10.0
"""So long after the database is up again lateness must be at most twice what it was."""
_FACTOR = 2.0
_RECEIVES_AT_MOST = 2


class Late(msgspec.Struct, frozen=True):
    """One event: when it counts as sent, and how long until a row stood for it."""

    sent_at: float
    seconds: float


async def restart_trial(seed: int, stage: Stage, screen: Screen) -> bool:
    """Prints the figures; whether they are as they must be."""
    messages = int(EVENTS_PER_SECOND * (BEFORE_SECONDS + AFTER_SECONDS))
    load = ChaosLoad(seed, messages, BEFORE_SECONDS + AFTER_SECONDS, is_steady=True)
    plan = Plan(seed, messages, load.seconds, daemons=1, concurrency=4, batch_rows=1000, occurrences=())
    observations = Observations()
    async with stage() as (database, queue), staged(plan, database, queue, observations) as scene:
        await scene.daemons[0].started()
        began, began_at = time.monotonic(), time.time()
        queue.attach(load)
        await asyncio.sleep(BEFORE_SECONDS)
        down_at = time.time()
        database.postgres.restart("fast")
        up_at = time.time()
        is_dry = await drained(queue, began + load.seconds)
        await scene.daemons[0].terminate()
        told, record = queue.testimony(load)
        changes = await database.changes()
        account = History(told, record, changes, await database.tables()).check()
        observations.take(scene.daemons)
    indexes = [record.passages[each.message_id].number - 1 for each in told]
    sent = [began_at + load.arrives_after(index) for index in indexes]
    late = _lateness([(at, version_of(each.events[0])) for at, each in zip(sent, told, strict=True)], changes)
    most = max(len(passage.received_at) for passage in record.passages.values())
    before = _percentile_99(late, down_at - _WINDOW_SECONDS, down_at)
    after = _percentile_99(late, up_at + _RECOVERED_SECONDS, math.inf)
    screen.table(
        [
            ("away", duration(up_at - down_at), "from the order to stop until it takes connections again"),
            ("p99 before", duration(before), f"from send to commit, in the {_WINDOW_SECONDS:g} s before"),
            ("p99 after", duration(after), f"from {_RECOVERED_SECONDS:g} s after it was up"),
            ("back after", duration(_recovered_after(late, up_at, _FACTOR * before)), f"p99 ≤ {_FACTOR:g} × before"),
            ("receives", str(most), "of one message at most"),
            ("errors", str(len(account.findings) + len(observations.errors)), "of the history"),
        ]
    )
    for sentence in (*observations.errors, *traces(account.findings)):
        screen.say(sentence)
    is_clean = is_dry and not observations.errors and not account.findings
    return is_clean and after <= _FACTOR * before and most <= _RECEIVES_AT_MOST


def _lateness(sent: Sequence[tuple[float, Version]], changes: Sequence[Change]) -> list[Late]:
    """For each event, in the order of sending; each version is told of once."""
    committed: dict[Version, float] = {}
    for change in changes:
        if isinstance(change, RowCommit):
            committed.setdefault(version_of(change.row), change.committed_at)
    return sorted(
        (Late(at, committed[version] - at) for at, version in sent if version in committed),
        key=lambda late: late.sent_at,
    )


def _percentile_99(late: Sequence[Late], first: float, last: float) -> float:
    moments = [each.sent_at for each in late]
    inside = late[bisect_left(moments, first) : bisect_left(moments, last)]
    return percentile([each.seconds for each in inside], 99) if inside else math.nan


def _recovered_after(late: Sequence[Late], up_at: float, limit: float) -> float:
    """Seconds from the database's return to the first second of sending from which on all p99 keep the limit."""
    seconds = int(AFTER_SECONDS)
    for second in range(seconds):
        windows = [_percentile_99(late, up_at + later, up_at + later + 1) for later in range(second, seconds)]
        if all(math.isnan(one) or one <= limit for one in windows):
            return float(second)
    return math.inf
