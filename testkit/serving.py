"""How a server that is a process of its own says where it is, and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import stat
import sys

import msgspec

_PARENT_CHECK_SECONDS = 1.0


async def announce_and_wait(endpoint_url: str) -> None:
    """Print one line of JSON with the URL and the process id, then wait until the process is to end.

    That is at SIGTERM or SIGINT, when standard input is a pipe and is closed, or when the parent process is gone.
    """
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    _watch_standard_input(loop, stopping)
    parent = os.getppid()
    line = msgspec.json.encode({"endpoint_url": endpoint_url, "pid": os.getpid()})
    sys.stdout.write(line.decode() + "\n")
    sys.stdout.flush()
    while not stopping.is_set() and os.getppid() == parent:
        await _wait_briefly(stopping)


async def _wait_briefly(stopping: asyncio.Event) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_PARENT_CHECK_SECONDS):
            await stopping.wait()


def _watch_standard_input(loop: asyncio.AbstractEventLoop, stopping: asyncio.Event) -> None:
    mode = os.fstat(0).st_mode
    if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)):
        return

    def read_input() -> None:
        if not os.read(0, 4_096):
            loop.remove_reader(0)
            stopping.set()

    loop.add_reader(0, read_input)
