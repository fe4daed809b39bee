"""SIGTERM to the real process in any state: it ends drained, and no message stays in flight."""

from __future__ import annotations

import asyncio
import os
import signal

import msgspec
import pytest

from subscriber.app import RELEASE_SECONDS, Daemon
from subscriber.control.regulator import Regulator
from subscriber.errors import ExitCode
from subscriber.model import MESSAGES_PER_POLL
from subscriber.settings.table import Settings
from tests.e2e.environment import QueueCounts, RunContext, put_body, until

EMPTY = QueueCounts(visible=0, in_flight=0)


async def test_while_idle(context: RunContext) -> None:
    """It ends with its open poll and reports `drained`."""
    with context.daemon() as daemon:
        await asyncio.to_thread(daemon.wait_for, "pipeline.started")
        assert await asyncio.to_thread(daemon.stop) == ExitCode.DRAINED
        assert daemon.events("daemon.ended")[0]["meaning"] == "drained"


async def test_while_polling_the_messages_of_the_open_poll_are_released(context: RunContext) -> None:
    """A message that an open poll receives after SIGTERM is visible again at once and not stored."""
    with context.daemon(RECEIVE_WAIT_SECONDS=5) as daemon:
        await asyncio.to_thread(daemon.wait_for, "pipeline.started")
        await until(lambda: daemon.metric("subscriber_reserved_messages") == MESSAGES_PER_POLL)
        daemon.signal(signal.SIGTERM)
        await asyncio.to_thread(daemon.wait_for, "daemon.stopping")
        context.send([put_body("late.txt")])
        assert await asyncio.to_thread(daemon.wait) == ExitCode.DRAINED
    assert context.counts() == QueueCounts(visible=1, in_flight=0)
    assert await context.fetch("SELECT FROM object_versions") == []


async def test_mid_batch_the_open_batch_is_sent_at_once(context: RunContext) -> None:
    """A batch with a linger of a minute is written when the pipeline drains, and its messages are deleted."""
    with context.daemon(BATCH_LINGER_SECONDS=60) as daemon:
        context.send(put_body(f"{number}.txt") for number in range(25))
        await until(lambda: daemon.metric("subscriber_received_messages_total") == 25)
        assert context.counts().in_flight == 25
        assert await asyncio.to_thread(daemon.stop) == ExitCode.DRAINED
    assert context.counts() == EMPTY
    assert len(await context.fetch("SELECT FROM objects")) == 25


async def test_during_a_write_the_write_finishes_and_is_acknowledged(context: RunContext) -> None:
    """A write that waits for a lock at SIGTERM is committed, and its messages are deleted."""
    with context.daemon() as daemon:
        await asyncio.to_thread(daemon.wait_for, "pipeline.started")
        async with context.writes_blocked():
            context.send([put_body("one.txt")])
            await until(lambda: daemon.metric("subscriber_concurrency") == 1)
            daemon.signal(signal.SIGTERM)
            await asyncio.to_thread(daemon.wait_for, "daemon.stopping")
            assert context.counts() == QueueCounts(visible=0, in_flight=1)
        assert await asyncio.to_thread(daemon.wait) == ExitCode.DRAINED
    assert context.counts() == EMPTY
    assert len(await context.fetch("SELECT FROM objects")) == 1


async def test_a_second_signal_releases_messages_that_are_not_stored(context: RunContext) -> None:
    """The write is cancelled, its message is visible again at once, and the exit code is STOPPED_LATE."""
    with context.daemon(WRITE_TIMEOUT_SECONDS=5, RECEIVE_VISIBILITY_SECONDS=300) as daemon:
        await asyncio.to_thread(daemon.wait_for, "pipeline.started")
        async with context.writes_blocked():
            context.send([put_body("one.txt")])
            await until(lambda: daemon.metric("subscriber_concurrency") == 1)
            daemon.signal(signal.SIGTERM)
            await asyncio.to_thread(daemon.wait_for, "daemon.stopping")
            daemon.signal(signal.SIGTERM)
            assert await asyncio.to_thread(daemon.wait) == ExitCode.STOPPED_LATE
    assert context.counts() == QueueCounts(visible=1, in_flight=0)
    assert await context.fetch("SELECT FROM object_versions") == []


async def test_a_side_task_that_fails_ends_the_daemon(context: RunContext, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pipeline drains, nothing is lost, and the exit code is FAILED."""

    async def broken(_: Regulator) -> None:
        raise RuntimeError("the regulator is broken")

    monkeypatch.setattr(Regulator, "run", broken)
    environment = context.environment(HTTP_PORT=0)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    context.send([put_body("one.txt")])
    assert await Daemon(Settings.from_environment(environment)).run(migrate_first=True) == ExitCode.FAILED
    assert context.counts().in_flight == 0


async def test_the_deadline_releases_messages(context: RunContext, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten seconds before the stop budget ends, messages that are not stored are released without a second signal."""
    environment = context.environment(WRITE_TIMEOUT_SECONDS=10, HTTP_PORT=0)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    settings = Settings.from_environment(environment | {"SUBSCRIBER_STOP_TIMEOUT_SECONDS": "45"})
    daemon = Daemon(msgspec.structs.replace(settings, stop_timeout_seconds=RELEASE_SECONDS + 2))
    running = asyncio.create_task(daemon.run(migrate_first=True), name="daemon")
    await until(lambda: daemon.readiness()["started"])
    async with context.writes_blocked():
        context.send([put_body("one.txt")])
        await until(lambda: context.counts().in_flight == 1)
        os.kill(os.getpid(), signal.SIGTERM)
        assert await running == ExitCode.STOPPED_LATE
    assert context.counts() == QueueCounts(visible=1, in_flight=0)
    assert await context.fetch("SELECT FROM object_versions") == []
