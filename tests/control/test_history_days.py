"""The history's partitions are tended every hour, and a minute after a failure."""

from __future__ import annotations

import asyncio
import itertools

import structlog

from subscriber.changes import TendedDays
from subscriber.control.history_days import PERIOD_SECONDS, RETRY_SECONDS, HistoryTending
from subscriber.errors import StoreError, Treatment
from subscriber.observe.metrics import Metrics

LOCKED = StoreError(Treatment.RETRY, "locked", "55P03", "canceling statement due to lock timeout", "")


async def test_it_is_tended_again_soon_after_a_failure() -> None:
    """The days ahead are shown as they were seen last, and failures are logged with ever longer gaps."""
    answers: list[TendedDays | StoreError] = [
        TendedDays(4, 0, 3),
        *[LOCKED] * 3,
        TendedDays(1, 1, 3),
        TendedDays(0, 0, None),
    ]
    times, clock, metrics = list[float](), asyncio.get_running_loop().time, Metrics()
    done = asyncio.Event()

    async def tend() -> TendedDays:
        times.append(clock())
        answer = answers[len(times) - 1]
        if len(times) == len(answers):
            done.set()
        if isinstance(answer, StoreError):
            raise answer
        return answer

    with structlog.testing.capture_logs() as logs:
        task = asyncio.create_task(HistoryTending(tend, metrics).run(), name="days")
        await done.wait()
        task.cancel()
        await asyncio.wait([task])
    pauses = [after - before for before, after in itertools.pairwise(times)]
    for pause, expected in zip(pauses, [PERIOD_SECONDS, *[RETRY_SECONDS] * 3, PERIOD_SECONDS], strict=True):
        assert 0.8 * expected <= pause <= 1.2 * expected
    assert [log["event"] for log in logs] == [
        "history.tended",
        "history.not_tended",
        "history.not_tended",
        "history.tended",
    ]
    assert metrics.registry.get_sample_value("subscriber_history_days_ahead", {"feature": "history"}) == 3
