"""Nobody reads the log of the real process: it polls, writes and answers all the same."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import psutil

from subscriber.errors import ExitCode
from tests.e2e.environment import RunContext, put_body, until

ROOT = Path(__file__).resolve().parents[2]
TOKEN = "open-sesame-42"
PIPE_BYTES = 4096
ANSWER_SECONDS = 30
COMMANDS = 40
"""Each logs a line of more than a hundred bytes: together more than the pipe takes."""


def listening_port(pid: int) -> int | None:
    """The port at which a process listens, once it does: its log, which names it, is not read."""
    connections = psutil.Process(pid).net_connections("tcp")
    return next((each.laddr.port for each in connections if each.status == psutil.CONN_LISTEN), None)


def answers(port: int, path: str, body: bytes | None = None) -> bool:
    """Whether the daemon answers 200 in time."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", body, {"Authorization": f"Bearer {TOKEN}"})
    try:
        with urllib.request.urlopen(request, timeout=ANSWER_SECONDS) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@asynccontextmanager
async def unread_daemon(context: RunContext) -> AsyncIterator[tuple[asyncio.subprocess.Process, int, int]]:
    """A daemon that has more to log than its pipe takes; the pipe's end to read from, and its HTTP port."""
    environment = context.environment(HTTP_PORT=0, CONTROL_TOKEN=TOKEN, LOG_FORMAT="json")
    reading, writing = os.pipe()
    fcntl.fcntl(reading, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    with os.fdopen(writing, "wb") as pipe:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "subscriber", "run", "--migrate"),
            stdout=pipe,
            stderr=subprocess.PIPE,
            cwd=ROOT,
            env={**os.environ, **environment},
        )
    try:
        await until(lambda: listening_port(process.pid) is not None)
        port = listening_port(process.pid)
        assert port is not None
        await until(lambda: answers(port, "/readyz"))
        for number in range(COMMANDS):
            command = msgspec.json.encode({"mode": "limit", "limit": 1 + number % 2})
            assert await asyncio.to_thread(answers, port, "/control", command)
        yield process, reading, port
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        os.close(reading)


async def test_a_log_that_nobody_reads_stops_nothing(context: RunContext) -> None:
    """Pages answer, commands are applied and messages are stored while the pipe is full; then every line comes."""
    async with unread_daemon(context) as (process, reading, port):
        context.send([put_body("late.txt")])
        await context.until_empty()
        assert await asyncio.to_thread(answers, port, "/livez")
        process.send_signal(signal.SIGTERM)
        with os.fdopen(os.dup(reading), "rb") as pipe:
            lines = [msgspec.json.decode(line) for line in await asyncio.to_thread(pipe.readlines)]
        assert await process.wait() == ExitCode.DRAINED
    names = [line["event"] for line in lines]
    assert names.count("control.applied") == COMMANDS
    assert (names[0], names[-1]) == ("daemon.started", "daemon.ended")
    assert [row["key"] for row in await context.fetch("SELECT key FROM objects")] == ["late.txt"]


async def test_the_process_ends_although_nobody_reads(context: RunContext) -> None:
    """A stop with a full pipe ends with its exit code, without the lines that nobody wanted."""
    async with unread_daemon(context) as (process, _, _):
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(60):
            _, errors = await process.communicate()
        assert (process.returncode, errors) == (ExitCode.DRAINED, b"")
