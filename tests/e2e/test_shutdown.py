"""SIGTERM to the real process, in whatever state it is: it ends dry, and the queue holds nothing in flight."""

from __future__ import annotations

import asyncio
import os
import signal

import msgspec
import pytest

from subscriber.app import RELEASE_SECONDS, Daemon
from subscriber.control.regulator import Regulator
from subscriber.errors import ExitCode
from subscriber.flow.leases import POLL_MESSAGES
from subscriber.settings.table import Settings
from tests.e2e.environment import QueueCounts, RunContext, put_body, until

EMPTY = QueueCounts(visible=0, in_flight=0)


async def test_while_idle(scene: RunContext) -> None:
    """Nothing to do: it ends as soon as its open poll has, and says that it is dry."""
    with scene.daemon() as daemon:
        await asyncio.to_thread(daemon.wait_for, "pipeline.started")
        assert await asyncio.to_thread(daemon.stop) == ExitCode.DRAINED
        assert daemon.events("daemon.ended")[0]["meaning"] == "drained"


async def test_while_polling_what_the_open_poll_brings_is_handed_back(scene: RunContext) -> None:
    """A message that comes after SIGTERM, into a poll begun before it, is visible again at once and not stored."""
    with scene.daemon(RECEIVE_WAIT_SECONDS=5) as daemon:
        await asyncio.to_thread(daemon.wait_for, "pipeline.started")
        await until(lambda: daemon.metric("subscriber_in_process_messages") == POLL_MESSAGES)
        daemon.signal(signal.SIGTERM)
        await asyncio.to_thread(daemon.wait_for, "daemon.stopping")
        scene.send([put_body("late.txt")])
        assert await asyncio.to_thread(daemon.wait) == ExitCode.DRAINED
    assert scene.counts() == QueueCounts(visible=1, in_flight=0)
    assert await scene.fetch("SELECT FROM object_versions") == []


async def test_mid_batch_the_open_batch_leaves_at_once(scene: RunContext) -> None:
    """A batch that would linger for a minute is written when the line runs dry, then deleted."""
    with scene.daemon(BATCH_LINGER_SECONDS=60) as daemon:
        scene.send(put_body(f"{number}.txt") for number in range(25))
        await until(lambda: daemon.metric("subscriber_received_messages_total") == 25)
        assert scene.counts().in_flight == 25
        assert await asyncio.to_thread(daemon.stop) == ExitCode.DRAINED
    assert scene.counts() == EMPTY
    assert len(await scene.fetch("SELECT FROM objects")) == 25


async def test_during_a_write_the_write_finishes_and_is_acknowledged(scene: RunContext) -> None:
    """A write that waits for a lock when SIGTERM comes is waited for, committed, and its messages are deleted."""
    with scene.daemon() as daemon:
        await asyncio.to_thread(daemon.wait_for, "pipeline.started")
        async with scene.writes_blocked():
            scene.send([put_body("one.txt")])
            await until(lambda: daemon.metric("subscriber_concurrency") == 1)
            daemon.signal(signal.SIGTERM)
            await asyncio.to_thread(daemon.wait_for, "daemon.stopping")
            assert scene.counts() == QueueCounts(visible=0, in_flight=1)
        assert await asyncio.to_thread(daemon.wait) == ExitCode.DRAINED
    assert scene.counts() == EMPTY
    assert len(await scene.fetch("SELECT FROM objects")) == 1


async def test_a_second_signal_hands_back_what_is_not_stored(scene: RunContext) -> None:
    """Twice is now: the write is cancelled, its message is visible again at once, and the exit code says late."""
    with scene.daemon(WRITE_TIMEOUT_SECONDS=5, RECEIVE_VISIBILITY_SECONDS=300) as daemon:
        await asyncio.to_thread(daemon.wait_for, "pipeline.started")
        async with scene.writes_blocked():
            scene.send([put_body("one.txt")])
            await until(lambda: daemon.metric("subscriber_concurrency") == 1)
            daemon.signal(signal.SIGTERM)
            await asyncio.to_thread(daemon.wait_for, "daemon.stopping")
            daemon.signal(signal.SIGTERM)
            assert await asyncio.to_thread(daemon.wait) == ExitCode.STOPPED_LATE
    assert scene.counts() == QueueCounts(visible=1, in_flight=0)
    assert await scene.fetch("SELECT FROM object_versions") == []


async def test_a_side_task_that_dies_is_a_failure(scene: RunContext, monkeypatch: pytest.MonkeyPatch) -> None:
    """The line runs dry, nothing is lost, and the exit code does not say that all was well."""

    async def broken(_: Regulator) -> None:
        raise RuntimeError("the regulator is broken")

    monkeypatch.setattr(Regulator, "run", broken)
    environment = scene.environment(HTTP_PORT=0)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    scene.send([put_body("one.txt")])
    assert await Daemon(Settings.from_environment(environment)).run(migrate_first=True) == ExitCode.FAILED
    assert scene.counts().in_flight == 0


async def test_the_deadline_hands_back_too(scene: RunContext, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten seconds before the stop budget ends, what is not stored goes back to the queue without a second signal."""
    environment = scene.environment(WRITE_TIMEOUT_SECONDS=10, HTTP_PORT=0)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    settings = Settings.from_environment(environment | {"SUBSCRIBER_STOP_TIMEOUT_SECONDS": "45"})
    daemon = Daemon(msgspec.structs.replace(settings, stop_timeout_seconds=RELEASE_SECONDS + 2))
    running = asyncio.create_task(daemon.run(migrate_first=True), name="daemon")
    await until(lambda: daemon.readiness()["started"])
    async with scene.writes_blocked():
        scene.send([put_body("one.txt")])
        await until(lambda: scene.counts().in_flight == 1)
        os.kill(os.getpid(), signal.SIGTERM)
        assert await running == ExitCode.STOPPED_LATE
    assert scene.counts() == QueueCounts(visible=1, in_flight=0)
    assert await scene.fetch("SELECT FROM object_versions") == []
