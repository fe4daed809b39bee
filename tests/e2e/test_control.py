"""Overrides of the real daemon: `subscriber control` as a process of its own, over the real socket."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from typing import Any

from subscriber.errors import ExitCode
from subscriber.model import MESSAGES_PER_POLL
from testkit.daemon import DaemonProcess
from tests.e2e.environment import QueueCounts, RunContext, put_body, until

TOKEN = "open-sesame-42"
TICKS = 2.0
"""Seconds of readings after which a change would show: the regulator decides once a second."""


class Answer:
    """Exit code and output of one run of `subscriber control`."""

    def __init__(self, done: subprocess.CompletedProcess[str]) -> None:
        self.code, self.out, self.err = done.returncode, done.stdout, done.stderr


async def control(daemon: DaemonProcess | int, *words: str, token: str | None = TOKEN) -> Answer:
    """Run `subscriber control …` against a daemon, or a port, with that and the token as its only settings."""
    port = daemon if isinstance(daemon, int) else daemon.wait_for("http.listening")["port"]
    environment = {"SUBSCRIBER_HTTP_PORT": str(port)} | ({"SUBSCRIBER_CONTROL_TOKEN": token} if token else {})
    command = [sys.executable, "-m", "subscriber", "control", *words]
    return Answer(
        await asyncio.to_thread(
            subprocess.run, command, env=environment, capture_output=True, text=True, check=False, timeout=30
        )
    )


def state(daemon: DaemonProcess) -> dict[str, Any]:
    """The status that /control returns."""
    status, text = daemon.page("/control")
    assert status == 200, text
    shown: dict[str, Any] = json.loads(text)
    return shown


async def readings_later(daemon: DaemonProcess) -> None:
    """Wait for TICKS seconds of readings."""

    def taken_at() -> float:
        return float((state(daemon)["reading"] or {"taken_at": 0})["taken_at"])

    begun = taken_at()
    await until(lambda: taken_at() >= begun + TICKS)


async def test_an_idle_daemon_holds_no_message(context: RunContext) -> None:
    """In the status, on the page, in the metrics and in the log; what an open poll reserves has its own figures."""
    with context.daemon(CONTROL_TOKEN=TOKEN) as daemon:
        await asyncio.to_thread(daemon.wait_for, "pipeline.started")
        await readings_later(daemon)
        await until(lambda: daemon.metric("subscriber_reserved_messages") == MESSAGES_PER_POLL)
        held = [daemon.metric(f"subscriber_in_process_{unit}") for unit in ("messages", "bytes")]
        assert (held, state(daemon)["held_messages"]) == ([0, 0], 0)
        assert ", 0 messages held\n" in (await control(daemon, "status")).out
        assert (await control(daemon, "pause")).out.startswith("paused, 0 messages held")
        assert await asyncio.to_thread(daemon.stop) == ExitCode.DRAINED
        assert [line["in_process_messages"] for line in daemon.events("daemon.stopping")] == [0]


async def test_pause_and_resume(context: RunContext) -> None:
    """During a pause messages stay visible and nothing is written; afterwards they are stored; /readyz stays 200."""
    with context.daemon(CONTROL_TOKEN=TOKEN) as daemon:
        await asyncio.to_thread(daemon.wait_for, "pipeline.started")
        answer = await control(daemon, "pause")
        assert (answer.code, answer.out.split(",")[0], answer.err) == (0, "paused", "")
        await until(lambda: daemon.metric("subscriber_reserved_messages") == 0)  # the open poll has ended
        context.send(put_body(f"{number}.txt") for number in range(20))
        await readings_later(daemon)
        assert context.counts() == QueueCounts(visible=20, in_flight=0)
        assert daemon.metric("subscriber_control_mode", mode="paused") == 1
        assert daemon.page("/readyz")[0] == 200
        answer = await control(daemon, "resume")
        assert (answer.code, answer.out.split(",")[0]) == (0, "governed")
        await context.until_empty()
        assert await asyncio.to_thread(daemon.stop) == ExitCode.DRAINED
        assert [line["command"] for line in daemon.events("control.applied")] == ["pause", "resume"]
    assert len(await context.fetch("SELECT FROM objects")) == 20


async def test_a_pause_finishes_the_current_write_and_begins_no_other(context: RunContext) -> None:
    """A write that waits for a lock is committed and its message deleted; the next batch is held."""
    with context.daemon(CONTROL_TOKEN=TOKEN, WRITE_MAX_CONCURRENCY=1) as daemon:
        await asyncio.to_thread(daemon.wait_for, "pipeline.started")
        async with context.writes_blocked():
            context.send([put_body("first.txt")])
            await until(lambda: daemon.metric("subscriber_concurrency") == 1)
            context.send([put_body("second.txt")])
            await until(lambda: daemon.metric("subscriber_received_messages_total") == 2)
            assert (await control(daemon, "pause")).code == 0
        await until(lambda: daemon.metric("subscriber_acknowledged_messages_total") == 1)
        await readings_later(daemon)
        assert [row["key"] for row in await context.fetch("SELECT key FROM objects")] == ["first.txt"]
        assert context.counts() == QueueCounts(visible=0, in_flight=1)
        assert (await control(daemon, "auto")).code == 0
        await context.until_empty()
    assert len(await context.fetch("SELECT FROM objects")) == 2


async def test_a_fixed_limit_and_back_to_the_governor(context: RunContext) -> None:
    """The limiter has the operator's limit until `auto`; an invalid limit changes nothing."""
    with context.daemon(CONTROL_TOKEN=TOKEN, DATABASE_LOAD_SOURCE="none") as daemon:
        await asyncio.to_thread(daemon.wait_for, "pipeline.started")
        assert (await control(daemon, "limit", "0.5")).out == "fixed at 0.5, until auto\n"
        await readings_later(daemon)
        assert daemon.metric("subscriber_concurrency_limit") == 0.5
        rejected = await control(daemon, "limit", "9")
        assert (rejected.code, rejected.out) == (2, "")
        assert rejected.err == (
            "subscriber: the daemon rejects it: a limit of 9 is out of bounds: "
            "SUBSCRIBER_WRITE_MIN_CONCURRENCY is 0.05, SUBSCRIBER_WRITE_MAX_CONCURRENCY is 8\n"
        )
        context.send(put_body(f"{number}.txt") for number in range(20))
        await context.until_empty()
        assert (state(daemon)["mode"], state(daemon)["limit"]) == ("fixed", 0.5)
        assert (await control(daemon, "auto")).code == 0
        await until(lambda: state(daemon)["decisions"][0]["reason"] == "not_needed")
        assert (state(daemon)["mode"], state(daemon)["limit"]) == ("auto", 0.5)
        newest_first = [note["reason"] for note in state(daemon)["decisions"]]
        assert newest_first.index("operator_auto") < newest_first.index("operator_limit")


async def test_a_stop_ends_a_pause(context: RunContext) -> None:
    """Held messages are written, and the daemon ends drained."""
    with context.daemon(CONTROL_TOKEN=TOKEN, BATCH_LINGER_SECONDS=60) as daemon:
        context.send(put_body(f"{number}.txt") for number in range(25))
        await until(lambda: daemon.metric("subscriber_received_messages_total") == 25)
        assert (await control(daemon, "pause")).code == 0
        assert await asyncio.to_thread(daemon.stop) == ExitCode.DRAINED
    assert context.counts() == QueueCounts(visible=0, in_flight=0)
    assert len(await context.fetch("SELECT FROM objects")) == 25


async def test_commands_need_the_token_and_the_status_does_not(context: RunContext) -> None:
    """Without a token in the settings every command is rejected. The token is never logged."""
    with context.daemon() as daemon:
        await asyncio.to_thread(daemon.wait_for, "pipeline.started")
        rejected = await control(daemon, "pause")
        assert (rejected.code, "SUBSCRIBER_CONTROL_TOKEN is not set" in rejected.err) == (2, True)
        shown = await control(daemon, token=None)
        assert (shown.code, shown.out.splitlines()[0].split(",")[0]) == (0, "control   governed")
    with context.daemon(CONTROL_TOKEN=TOKEN) as daemon:
        await asyncio.to_thread(daemon.wait_for, "pipeline.started")
        for wrong in ("guessed-it-8", None):
            rejected = await control(daemon, "pause", token=wrong)
            assert (rejected.code, rejected.out, rejected.err.count("\n")) == (2, "", 1)
        assert state(daemon)["mode"] == "auto"
        assert (await control(daemon, "pause")).code == 0
        assert daemon.events("daemon.started")[0]["control_token"] == "***"
        assert not any(TOKEN in str(line) for line in daemon.log)
        port = daemon.wait_for("http.listening")["port"]
        assert await asyncio.to_thread(daemon.stop) == ExitCode.DRAINED
    gone = await control(port, "pause")
    assert (gone.code, gone.err.count("\n")) == (1, 1)
    assert f"no daemon answers at http://127.0.0.1:{port}/control" in gone.err


async def test_the_status_shows_a_daemon_at_work(context: RunContext) -> None:
    """Reading, queue, sensor and decisions, by /control and by `control status`."""
    with context.daemon(DATABASE_LOAD_SOURCE="auto") as daemon:
        context.send(put_body(f"{number}.txt") for number in range(500))
        await context.until_empty()
        await until(lambda: (state(daemon)["reading"] or {}).get("backlog_messages") == 0)
        await until(lambda: (state(daemon)["reading"] or {}).get("load") is not None)
        shown = state(daemon)
        assert shown["queues"][0]["name"] == context.queue.rsplit("/", 1)[-1]
        assert (shown["sensor"]["source"], shown["alarms"], shown["database_available"]) == ("local", [], True)
        assert (shown["queues"][0]["visible_messages"], shown["reading"]["backlog_messages"]) == (0, 0)
        assert shown["decisions"][0]["limit"] == shown["limit"]
        assert 0.05 <= shown["limit"] <= 8
        status = await control(daemon, "status", token=None)
        assert {line.split()[0] for line in status.out.splitlines()} >= {
            "control",
            "pipeline",
            "writes",
            "queue",
            "decision",
        }
