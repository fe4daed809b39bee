"""The lag of the real daemon: while messages wait it is never 0, and their receive count does not matter."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from benchmarks.chaos.faults.clock import CLOCK_FILE, clock_environment
from testkit.daemon import DaemonProcess
from testkit.postgres.postgres import LocalPostgres
from tests.e2e.environment import QueueCounts, RunContext, put_body, until
from tests.e2e.test_control import TOKEN, control

pytestmark = pytest.mark.usefixtures("untraced")

COUNTED_SECONDS = 40.0
"""More than two periods of the queue's counts."""


def lag_seconds(daemon: DaemonProcess) -> float:
    """As the metric has it."""
    return float(daemon.metric("subscriber_lag_seconds"))


async def test_messages_that_wait_in_a_pause_are_late(context: RunContext) -> None:
    """The metric and the status say so, and again 0 once they are stored."""
    with context.daemon(CONTROL_TOKEN=TOKEN) as daemon:
        await asyncio.to_thread(daemon.wait_for, "pipeline.started")
        assert (await control(daemon, "pause")).code == 0
        await until(lambda: daemon.metric("subscriber_reserved_messages") == 0)  # the open poll has ended
        context.send(put_body(f"{number}.txt") for number in range(5))
        await until(lambda: daemon.metric("subscriber_queue_visible_messages") == 5, COUNTED_SECONDS)
        await until(lambda: lag_seconds(daemon) > 2)
        status = await control(daemon, "status", token=None)
        assert " 0 s late" not in status.out
        assert (await control(daemon, "resume")).code == 0
        await context.until_empty()
        await until(lambda: lag_seconds(daemon) == 0)


async def test_messages_that_an_outage_released_stay_late(context: RunContext, postgres_server: LocalPostgres) -> None:
    """After the hold time nothing is held, and the lag goes on growing until the rows are stored."""
    with context.daemon(DATABASE_URL=postgres_server.url, HOLD_MAX_SECONDS=3) as daemon:
        await asyncio.to_thread(daemon.wait_for, "pipeline.started")
        await asyncio.to_thread(postgres_server.stop, "fast")
        try:
            context.send(put_body(f"{number}.txt") for number in range(3))
            await until(lambda: daemon.metric("subscriber_released_messages_total") >= 3)
            await until(lambda: lag_seconds(daemon) >= 5)
            before = lag_seconds(daemon)
            await until(lambda: lag_seconds(daemon) >= before + 2)
        finally:
            await asyncio.to_thread(postgres_server.start)
        await context.until_empty()
        await until(lambda: lag_seconds(daemon) == 0)


async def test_a_backlog_that_another_consumer_received_before_is_late(context: RunContext) -> None:
    """Its messages show their age, though none is received for the first time; in seconds between polls, too."""
    context.send(put_body(f"{number}.txt") for number in range(1000))
    taken = 0
    while taken < 1000:
        answer = context.client.call(
            "ReceiveMessage", QueueUrl=context.queue, MaxNumberOfMessages=10, VisibilityTimeout=3
        )
        taken += len(answer.get("Messages", []))
    await until(lambda: context.counts() == QueueCounts(visible=1000, in_flight=0))
    slowly = {"WRITE_MIN_CONCURRENCY": 0.01, "WRITE_MAX_CONCURRENCY": 0.01, "BATCH_MAX_ROWS": 10}
    with context.daemon(**slowly) as daemon:
        await until(lambda: daemon.metric("subscriber_received_messages_total") > 0)
        await until(lambda: lag_seconds(daemon) >= 5)
        seen: list[float] = []

        def has_seen_six() -> bool:
            seen.append(lag_seconds(daemon))
            return len(set(seen)) > 5

        await until(has_seen_six)
        assert min(seen) >= 5


@pytest.mark.parametrize("ahead_seconds", [7200, -7200])
async def test_a_wall_clock_that_is_not_that_of_sqs_is_not_lateness(
    context: RunContext, tmp_path: Path, ahead_seconds: int
) -> None:
    """Neither a clock that is ahead nor one behind makes fresh messages late, nor old ones fresh."""
    (tmp_path / CLOCK_FILE).write_text(str(ahead_seconds))
    shifted = {
        **context.environment(CONTROL_TOKEN=TOKEN),
        **clock_environment(tmp_path, os.environ.get("PYTHONPATH", "")),
    }
    seen: list[float] = []
    with context.daemon_with(shifted) as daemon:
        await asyncio.to_thread(daemon.wait_for, "pipeline.started")
        for number in range(30):
            context.send([put_body(f"{number}.txt")])
            await asyncio.sleep(0.1)
            seen.append(lag_seconds(daemon))
        await context.until_empty()
        assert (await control(daemon, "pause")).code == 0
        await until(lambda: daemon.metric("subscriber_reserved_messages") == 0)
        context.send([put_body("late.txt")])
        await asyncio.sleep(3)
        assert (await control(daemon, "resume")).code == 0
        await until(lambda: 2 <= lag_seconds(daemon) < abs(ahead_seconds) / 2)
        await context.until_empty()
        assert daemon.metric("subscriber_received_messages_total") == 31
    assert max(seen) < abs(ahead_seconds) / 2
