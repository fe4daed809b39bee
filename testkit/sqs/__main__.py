"""`python -m testkit.sqs --port 0`: prints one line of JSON with the URL, then serves until SIGTERM.

It also ends with the process that started it: at once when its standard input is a pipe and is closed, otherwise
within a second of the end of its parent process.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import os
import signal
import stat
import sys

import msgspec
import uvloop

from testkit.sqs import limits
from testkit.sqs.server import ServerOptions, serve

_PARENT_CHECK_SECONDS = 1.0


def _options() -> ServerOptions:
    parser = argparse.ArgumentParser(prog="python -m testkit.sqs", description=__doc__)
    environment = os.environ
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--access-key", default=environment.get("TESTKIT_SQS_ACCESS_KEY", "local"))
    parser.add_argument("--secret-key", default=environment.get("TESTKIT_SQS_SECRET_KEY", "local"))
    parser.add_argument("--region", default="us-east-1")
    parser.add_argument("--in-flight-limit", type=int, default=limits.MAX_IN_FLIGHT)
    parser.add_argument("--audit-log", dest="keeps_audit_log", action="store_true", help="record receives and deletes")
    return ServerOptions(**vars(parser.parse_args()))


async def _serve_until_stopped(options: ServerOptions) -> None:
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    _watch_standard_input(loop, stopping)
    parent = os.getppid()
    async with serve(options) as endpoint_url:
        gc.collect()
        gc.freeze()
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


if __name__ == "__main__":
    uvloop.run(_serve_until_stopped(_options()))
