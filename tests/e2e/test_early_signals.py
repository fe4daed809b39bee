"""SIGTERM and SIGINT to the real process before it has begun: it ends at once, with the exit code of a stop."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from subscriber.errors import ExitCode
from tests.e2e.environment import RunContext, until

ROOT = Path(__file__).resolve().parents[2]
PYTHON = [sys.executable, "-m", "subscriber"]
UNTRACED = {"COVERAGE_PROCESS_CONFIG": ""}
"""Coverage begins before the command and handles SIGTERM itself: by ending the process with the signal."""
END_SECONDS = 60


def takes_sigterm(pid: int) -> bool:
    """Whether the process is the command, and no longer a fork of this one, and has a handler for SIGTERM."""
    if b"subscriber" not in Path(f"/proc/{pid}/cmdline").read_bytes():
        return False
    caught = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("SigCgt:"))
    return bool(int(caught.split()[1], 16) & 1 << (signal.SIGTERM - 1))


def has_loaded(library: str) -> Callable[[int], bool]:
    """Whether the process has imported that extension module."""
    return lambda pid: takes_sigterm(pid) and library in Path(f"/proc/{pid}/maps").read_text()


MOMENTS = {
    "before the first import": takes_sigterm,
    "while importing asyncio": has_loaded("_asyncio."),
    "while importing aiohttp": has_loaded("aiohttp/"),
    "while importing uvloop": has_loaded("uvloop/"),
    "while importing asyncpg": has_loaded("asyncpg/"),
}


async def signalled(
    command: list[str], environment: dict[str, str], number: signal.Signals, moment: Callable[[int], bool]
) -> tuple[int, bytes]:
    """Exit code and stderr of a process that gets a signal in that moment of its start."""
    process = await asyncio.create_subprocess_exec(
        *command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=ROOT, env=os.environ | environment | UNTRACED
    )
    await until(lambda: moment(process.pid))
    process.send_signal(number)
    async with asyncio.timeout(END_SECONDS):
        _, errors = await process.communicate()
    return process.returncode or 0, errors


@pytest.mark.skipif(sys.platform != "linux", reason="the moments are read from /proc")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("moment", MOMENTS)
async def test_a_signal_before_the_start_ends_the_daemon(
    context: RunContext, moment: str, number: signal.Signals
) -> None:
    """Exit code 0 and no word, in whichever moment of the start."""
    command, environment = [*PYTHON, "run"], context.environment(HTTP_PORT=0)
    assert await signalled(command, environment, number, MOMENTS[moment]) == (ExitCode.DRAINED, b"")


class SilentDatabase:
    """Accepts connections and never answers, so that a command which asks it cannot end by itself."""

    def __init__(self) -> None:
        self.accepted = asyncio.Event()
        self.closed = asyncio.Event()

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Read until the other side closes."""
        self.accepted.set()
        await reader.read()
        self.closed.set()
        writer.close()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        """Serve while the block runs, under the URL that it is given."""
        async with await asyncio.start_server(self.accept, "127.0.0.1", 0) as server:
            yield f"postgresql://u:p@127.0.0.1:{server.sockets[0].getsockname()[1]}/lake"


@pytest.mark.skipif(sys.platform != "linux", reason="the moment is read from /proc")
async def test_a_command_ends_as_a_shell_reports_it(context: RunContext) -> None:
    """Any other command ends with 128 plus the number and without a word, in whichever moment of its start.

    `check` imports all that `run` does.
    """
    async with SilentDatabase().serving() as url:
        environment = context.environment(DATABASE_URL=url)
        for number, code in ((signal.SIGTERM, 143), (signal.SIGINT, 130)):
            for moment in MOMENTS.values():
                assert await signalled([*PYTHON, "check"], environment, number, moment) == (code, b"")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
async def test_a_command_at_work_ends_alike(context: RunContext, number: signal.Signals, code: int) -> None:
    """While it waits for the database: its connection is closed, and it says nothing."""
    silent = SilentDatabase()
    async with silent.serving() as url:
        environment = context.environment(DATABASE_URL=url)
        ended = await signalled([*PYTHON, "migrate"], environment, number, lambda _: silent.accepted.is_set())
        assert ended == (code, b"")
        async with asyncio.timeout(END_SECONDS):
            await silent.closed.wait()


def can_isolate() -> bool:
    """Whether a process may be made the first one of a namespace."""
    unshare = shutil.which("unshare")
    return (
        unshare is not None
        and subprocess.run([unshare, "-pf", "true"], capture_output=True, check=False).returncode == 0
    )


def child_of(pid: int) -> int | None:
    """The only child of a process, once it exists."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(children[0]) if children else None


@pytest.mark.skipif(not can_isolate(), reason="no right to make a namespace of processes")
async def test_the_first_process_of_a_container_takes_sigterm(context: RunContext) -> None:
    """The kernel keeps a signal without a handler from process 1: it has one from its first moment."""
    outer = await asyncio.create_subprocess_exec(
        *("unshare", "-pf", "--kill-child", *PYTHON, "run"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        env=os.environ | context.environment(HTTP_PORT=0) | UNTRACED,
    )
    await until(lambda: takes_sigterm(child_of(outer.pid) or outer.pid))
    first = child_of(outer.pid)
    assert first is not None
    os.kill(first, signal.SIGTERM)
    async with asyncio.timeout(END_SECONDS):
        _, errors = await outer.communicate()
    assert (outer.returncode, errors) == (ExitCode.DRAINED, b"")
